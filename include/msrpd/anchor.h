/*
 * Sessions between two others (docs/anchoring.md): a second INVITE for one that has come, and MSRP
 * joined between the two.  For services that know where somebody is whom they do not serve
 * themselves.
 */
#pragma once

#include <msrpd/slice.h>

struct anchors;
struct sip_flow;
struct sip_request;

/** The second INVITE; everything is copied. */
struct anchor_call {
	struct slice ruri;
	struct slice from_uri, to_uri; /* or name-addrs; absent: as in the first */
	struct slice node;             /* URI of a proxy, or of a node of ours, that it goes to */
	struct sip_flow *flow;         /* that it goes over (flow.h); NULL: where ruri or node is */
	struct slice headers;          /* further lines, each "Name: value\r\n"; may be absent */
};

/**
 * Put an INVITE through.  It is answered here, now or later: by what the one who is called says,
 * or because it cannot be done.  What sip.pass_headers names goes along with it.
 *
 * @param anchors  NULL: there is no SIP
 * @return 0; negative: it was refused, and is answered
 */
int anchor_call(struct anchors *anchors, struct sip_request *invite,
    const struct anchor_call *call);
