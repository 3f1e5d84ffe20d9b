"""Scripted SIP and MSRP peers that drive msrpd from outside.

Standard library only, and nothing shared with src/: what is judged here is judged
by a second reading of the RFCs.
"""
