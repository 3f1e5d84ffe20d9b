#!/bin/sh
# Kamailio's msrp module does not show its script a frame of more than some 11 KiB: the frame is
# dropped without an answer or a line in the log, and the connection lives on.
. "$(dirname "$0")/lib.sh"
unpack kamailio=5.6.3-2
listen_kamailio 32856 <<'C'
	xlog("L_ALERT", "FOUND $msrp(transid)\n");
C
python3 - "$tmp/log" <<'P'
import socket
import sys
import time

deadline = time.monotonic() + 40
peer = socket.create_connection(('127.0.0.1', 32856))
for number, size in enumerate((11000, 12000, 5)):
    tid = b'frame%d' % number
    peer.sendall(b'MSRP %s SEND\r\nTo-Path: msrp://127.0.0.1:32856/a;tcp\r\n'
                 b'From-Path: msrp://127.0.0.1:9/b;tcp\r\nMessage-ID: %s\r\nByte-Range: 1-%d/%d\r\n'
                 b'Content-Type: text/plain\r\n\r\n%s\r\n-------%s$\r\n'
                 % (tid, tid, size, size, b'x' * size, tid))
    time.sleep(1)           # a segment each
while time.monotonic() < deadline:
    with open(sys.argv[1], encoding='utf-8', errors='replace') as log:
        if 'FOUND frame2' in log.read():
            break
    time.sleep(0.1)
P
sed -n 's/.*FOUND \(frame.*\)/of bodies of 11000, 12000 and 5 bytes the script sees: \1/p' "$tmp/log" |
	judge "of bodies of 11000, 12000 and 5 bytes the script sees: frame0
of bodies of 11000, 12000 and 5 bytes the script sees: frame2"
