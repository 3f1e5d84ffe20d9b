"""SIP messages at the bounds of a config, and what of them the SIP stack is given."""
import re
import subprocess

SIZE, LINES, LINE = 8192, 32, 512
BOUNDS = {'max_message_size': SIZE, 'max_headers': LINES, 'max_header_size': LINE}


def messages(build, beyond=0):
    """
    What is at its bound, or so many beyond: its name, the message, the code that it gets beyond.

    build(extra, body) makes a BYE of sip:x: each is for the stack, which knows no such dialog.
    """
    start = len(build().partition(b'\r\n')[0])
    lines = build().count(b'\r\n') - 2
    head = len(build(body=b'x' * 1000)) - 1000
    folded = '\r\n y' * 127
    yield 'size', build(body=b'x' * (SIZE + beyond - head)), b'513'
    yield 'headers', build('X: y\r\n' * (LINES + beyond - lines)), b'400'
    yield 'header', build(f'X: {"y" * (LINE + beyond - 3)}\r\n'), b'400'
    yield 'folded', build(f'X: {"y" * (LINE + beyond - 3 - len(folded))}{folded}\r\n'), b'400'
    # Nothing of it has been read that an answer could be made of.
    yield 'start line', build().replace(
        b'sip:x@', b'sip:%s@' % (b'x' * (LINE + beyond - start + 1)), 1), None


def _sockets(daemon, state):
    """What ss says of them, a line each."""
    shown = subprocess.run(['ss', '-tinpHO', 'state', state], capture_output=True,
                           text=True, check=True, timeout=60).stdout
    return [line for line in shown.splitlines() if f'pid={daemon.process.pid},' in line]


def ports(daemon):
    """Those that it listens on by TCP."""
    return {int(line.split()[2].rpartition(':')[2]) for line in _sockets(daemon, 'listening')}


def bytes_of_stack(daemon):
    """
    How many have gone between the streams and datagrams of SIP and the stack: over a connection
    that has both its ends in one process.
    """
    ends = {}
    for line in _sockets(daemon, 'established'):
        own, peer = line.split()[2:4]
        received = re.search(r'bytes_received:(\d+)', line)
        ends[own, peer] = int(received[1]) if received else 0
    own = [count for (here, there), count in ends.items() if (there, here) in ends]
    assert len(own) == 2, ends
    return sum(own)
