#!/bin/sh
# rtpengine hands on a stream of MSRP as it is, with three exceptions: an a=setup at session level is
# lost, m=MESSAGE in capitals (as RCS phones write it) gets a port for RTP and loses its a=setup, and
# the c= line that it inserts ends in a bare LF.
. "$(dirname "$0")/lib.sh"
unpack rtpengine-daemon=10.5.3.5-1+deb12u1
"$tmp/root/usr/bin/rtpengine" --config-file=none --foreground --log-stderr --table=-1 \
	--interface=127.0.0.1 --listen-ng=127.0.0.1:32222 --pidfile="$tmp/pid" 2>"$tmp/log" &
daemon=$!
trap 'kill "$daemon" 2>/dev/null || true; rm -rf "$tmp"' EXIT
python3 - <<'P' | judge "m=message: port kept, a=setup kept, c= line ends in a bare LF
m=message, session's a=setup: port kept, a=setup lost, c= line ends in a bare LF
m=MESSAGE: port replaced, a=setup lost, no c= line"
import re
import socket
import sys

HEAD = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n'
BY_CRLF = re.compile('c=[^\n]*\r\n')
SETUP = 'a=setup:actpass\r\n'
PATH = 'a=path:msrp://127.0.0.1:2855/session;tcp\r\n'
ng = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ng.connect(('127.0.0.1', 32222))
ng.settimeout(1)


def text(value):
    return f'{len(value)}:{value}'


def offer(name, sdp):
    request = name + ' d' + text('command') + text('offer') + text('call-id') + text(name) \
        + text('from-tag') + text('x') + text('sdp') + text(sdp) + 'e'
    for _ in range(60):
        try:
            ng.send(request.encode())
            answer = ng.recv(65536).decode()
            if answer.startswith(name):
                return answer
        except OSError:
            continue
    sys.exit('rtpengine does not answer')


for number, (title, sdp) in enumerate((
        ('m=message', HEAD + 'm=message 2855 TCP/MSRP *\r\n' + PATH + SETUP),
        ("m=message, session's a=setup", HEAD + SETUP + 'm=message 2855 TCP/MSRP *\r\n' + PATH),
        ('m=MESSAGE', HEAD + 'm=MESSAGE 2855 TCP/MSRP *\r\n' + PATH + SETUP))):
    stream = offer(f'call{number}', sdp).partition('m=')[2]
    print(f'{title}: port {"kept" if " 2855 " in stream else "replaced"},',
          f'a=setup {"kept" if SETUP in stream else "lost"},',
          'no c= line' if 'c=' not in stream else
          f'c= line ends in {"CRLF" if BY_CRLF.search(stream) else "a bare LF"}')
P
