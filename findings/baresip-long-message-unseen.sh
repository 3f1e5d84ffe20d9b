#!/bin/sh
# baresip answers 200 to a long MESSAGE and shows nothing of it: its console takes lines of 511
# bytes at most, and drops a longer one without a word.  A 200 from it says "received", not "shown".
. "$(dirname "$0")/lib.sh"
unpack baresip-core=1.0.0-4+b3
python3 - "$tmp" "$arch" <<'P' | judge "MESSAGE of 400 bytes: 200, shown
MESSAGE of 600 bytes: 200, not shown
MESSAGE of 5 bytes: 200, shown"
import os
import select
import socket
import subprocess
import sys

tmp, arch = sys.argv[1:]
config = os.path.join(tmp, 'baresip')
os.mkdir(config)
modules = f'{tmp}/root/usr/lib/baresip/modules'
for name, text in (('config', f'sip_listen 127.0.0.1:35060\nmodule_path {modules}\nmodule stdio.so\n'
                    'module_app menu.so\nmodule_app account.so\n'),
                   ('accounts', '<sip:phone@127.0.0.1:35060>;regint=0\n'), ('contacts', '')):
    with open(os.path.join(config, name), 'w', encoding='ascii') as file:
        file.write(text)
phone = subprocess.Popen(['stdbuf', '-oL', f'{tmp}/root/usr/bin/baresip', '-f', config], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
shown = b''


def read_until(text, seconds):
    global shown
    while text not in shown and select.select([phone.stdout], [], [], seconds)[0]:
        piece = os.read(phone.stdout.fileno(), 65536)
        if not piece:
            sys.exit(f'baresip ended: {shown}')
        shown += piece
    return text in shown


try:
    if not read_until(b'baresip is ready', 10):
        sys.exit(f'baresip is not ready: {shown}')
    sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sip.bind(('127.0.0.1', 0))
    sip.settimeout(10)
    for number, size in enumerate((400, 600, 5)):
        body = b'%d' % number * size
        sip.sendto(b'MESSAGE sip:phone@127.0.0.1:35060 SIP/2.0\r\n'
                   b'Via: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%d;rport\r\nMax-Forwards: 70\r\n'
                   b'From: <sip:a@example.org>;tag=%d\r\nTo: <sip:phone@127.0.0.1>\r\n'
                   b'Call-ID: finding-%d\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n'
                   b'Content-Length: %d\r\n\r\n%s'
                   % (sip.getsockname()[1], number, number, number, size, body),
                   ('127.0.0.1', 35060))
        code = sip.recv(65536).split()[1].decode()
        seen = read_until(body, 2)
        print(f'MESSAGE of {size} bytes: {code}, {"shown" if seen else "not shown"}')
finally:
    phone.terminate()
    phone.wait()
P
