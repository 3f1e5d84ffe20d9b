#!/bin/sh
# Kamailio's msrp module does not show its script a frame of more than some 11 KiB: the frame is
# dropped without an answer or a line in the log, and the connection lives on.
. "$(dirname "$0")/lib.sh"
unpack kamailio=5.6.3-2
cat >"$tmp/kamailio.cfg" <<'C'
#!KAMAILIO
debug=0
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
listen=tcp:127.0.0.1:32856
tcp_accept_no_cl=yes
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "msrp.so"
request_route {
	exit;
}
event_route[msrp:frame-in] {
	xlog("L_ALERT", "FOUND $msrp(transid)\n");
	exit;
}
C
"$tmp/root/usr/sbin/kamailio" -DD -E -m 32 -M 8 -w "$tmp" -Y "$tmp" -L "$tmp/root/usr/lib/$arch/kamailio/modules" \
	-f "$tmp/kamailio.cfg" >"$tmp/out" 2>"$tmp/log" &
daemon=$!
trap 'kill "$daemon" 2>/dev/null || true; rm -rf "$tmp"' EXIT
python3 - "$tmp/log" <<'P'
import socket
import sys
import time

deadline = time.monotonic() + 40
while True:
    try:
        peer = socket.create_connection(('127.0.0.1', 32856))
        break
    except OSError:
        if time.monotonic() > deadline:
            sys.exit('kamailio does not listen')
        time.sleep(0.1)
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
