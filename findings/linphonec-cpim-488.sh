#!/bin/sh
# linphonec refuses a MESSAGE of a type that it does not know with 415, but message/cpim with 488,
# which says nothing about a type (RFC 3261 21.4.26): a gateway that unwraps after a 415 only would not.
. "$(dirname "$0")/lib.sh"
version=5.1.65-4
unpack linphone-cli=$version linphone-common=$version liblinphone10=$version
python3 - "$tmp" <<'P' | judge "text/plain: 200
text/html: 415
message/cpim: 488"
import os
import socket
import subprocess
import sys

tmp = sys.argv[1]
os.makedirs(f'{tmp}/.local/share/linphone')
with open(f'{tmp}/rc', 'w', encoding='ascii') as file:
    file.write('[sip]\nsip_port=32062\nsip_tcp_port=0\nsip_tls_port=0\nbind_address=127.0.0.1\n')
phone = subprocess.Popen([f'{tmp}/root/usr/bin/linphonec', '-c', f'{tmp}/rc'], stdin=subprocess.PIPE,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         env=dict(os.environ, HOME=tmp))
sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sip.bind(('127.0.0.1', 0))
sip.settimeout(0.5)


def answer(request, call_id):
    """Repeat it until it is answered, as the phone starts slowly; answers to older ones may come."""
    for _ in range(60):
        sip.sendto(request, ('127.0.0.1', 32062))
        try:
            response = sip.recv(65536)
            if b'Call-ID: ' + call_id in response:
                return response.split()[1].decode()
        except OSError:
            continue
    sys.exit('linphonec does not answer')


try:
    for name, body in (('text/plain', b'hello'), ('text/html', b'<p>hello</p>'),
                       ('message/cpim', b'From: <im:a@example.org>\r\nTo: <im:b@example.org>\r\n\r\n'
                        b'Content-Type: text/plain\r\n\r\nhello')):
        tag = name.encode().replace(b'/', b'')
        print(f'{name}:', answer(
            b'MESSAGE sip:phone@127.0.0.1:32062 SIP/2.0\r\n'
            b'Via: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\n'
            b'From: <sip:a@example.org>;tag=1\r\nTo: <sip:phone@127.0.0.1>\r\nCall-ID: %s\r\n'
            b'CSeq: 1 MESSAGE\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s'
            % (sip.getsockname()[1], tag, tag, name.encode(), len(body), body), tag))
finally:
    phone.terminate()
    phone.wait()
P
