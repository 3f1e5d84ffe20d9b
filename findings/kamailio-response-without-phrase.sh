#!/bin/sh
# Kamailio's msrp module takes a response without a phrase ("MSRP tid 200", which RFC 4975 section 9
# allows: the comment is optional) for a request whose method is "200". With a phrase it is a reply.
. "$(dirname "$0")/lib.sh"
unpack kamailio=5.6.3-2
listen_kamailio 32855 <<'C'
	if (msrp_is_reply()) {
		xlog("L_ALERT", "FOUND $msrp(transid) is a reply, $msrp(code)\n");
	} else {
		xlog("L_ALERT", "FOUND $msrp(transid) is a request, method $msrp(method)\n");
	}
C
python3 - "$tmp/log" <<'P'
import socket
import sys
import time

deadline = time.monotonic() + 20
peer = socket.create_connection(('127.0.0.1', 32855))
for start in (b'MSRP without11 200', b'MSRP withone22 200 OK'):
    tid = start.split()[1]
    peer.sendall(start + b'\r\nTo-Path: msrp://127.0.0.1:32855/a;tcp\r\nFrom-Path: msrp://127.0.0.1:9/b;tcp\r\n'
                 b'-------' + tid + b'$\r\n')
while time.monotonic() < deadline:
    with open(sys.argv[1], encoding='utf-8', errors='replace') as log:
        if sum('FOUND' in line for line in log) == 2:
            break
    time.sleep(0.1)
P
sed -n 's/.*FOUND //p' "$tmp/log" | judge "without11 is a request, method 200
withone22 is a reply, 200"
