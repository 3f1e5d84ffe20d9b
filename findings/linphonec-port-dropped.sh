#!/bin/sh
# linphonec drops the port of an address that it is told to write to: "chat sip:peer@127.0.0.1:32061"
# sends a MESSAGE for sip:peer@127.0.0.1.  Whoever listens elsewhere than at 5060 hears of it only
# through a proxy, which has to know the port by itself.
. "$(dirname "$0")/lib.sh"
version=5.1.65-4
unpack linphone-cli=$version linphone-common=$version liblinphone10=$version
python3 - "$tmp" <<'P' | judge "told to write to sip:peer@127.0.0.1:32061: MESSAGE sip:peer@127.0.0.1 SIP/2.0"
import os
import socket
import subprocess
import sys

tmp = sys.argv[1]
os.makedirs(f'{tmp}/.local/share/linphone')
with open(f'{tmp}/rc', 'w', encoding='ascii') as file:
    file.write('[sip]\nsip_port=32062\nsip_tcp_port=0\nsip_tls_port=0\nbind_address=127.0.0.1\n'
               'default_proxy=0\n[proxy_0]\nreg_proxy=<sip:127.0.0.1:32060>\n'
               'reg_route=<sip:127.0.0.1:32060>\nreg_identity=sip:phone@example.org\n'
               'reg_sendregister=0\n')
proxy = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
proxy.bind(('127.0.0.1', 32060))
proxy.settimeout(30)
phone = subprocess.Popen([f'{tmp}/root/usr/bin/linphonec', '-c', f'{tmp}/rc'], stdin=subprocess.PIPE,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         env=dict(os.environ, HOME=tmp), bufsize=0)
try:
    phone.stdin.write(b'chat sip:peer@127.0.0.1:32061 hello\n')
    print('told to write to sip:peer@127.0.0.1:32061:',
          proxy.recv(65536).partition(b'\r\n')[0].decode())
finally:
    phone.terminate()
    phone.wait()
P
