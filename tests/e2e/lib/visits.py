"""Clients of every listener, each for a whole visit; blocking and without threads: for what a visit costs."""
import contextlib
import http.client
import json
import socket

from . import ws
from .digest import sip_credentials
from .sip import Message, token
from .stamped import Stamped
from .waiting import DEADLINE

# What a browser asks for that opens the chat page.
PAGE = ('/', '/chat.css', '/chat.js', '/config.json', '/icon.svg')


def knock(address, source=None):
    """A connection that msrpd is to close at once."""
    with connect(address, source) as sock:
        octets = sock.recv(1)
        assert octets == b'', octets


def hang_up(address, source=None):
    """A connection that is let in, and says nothing."""
    with connect(address, source) as sock:
        sock.shutdown(socket.SHUT_WR)
        octets = sock.recv(1)
        assert octets == b'', octets


def queue_up(path):
    """One that msrpd leaves in its backlog, if that has room, and that goes."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(path)


def connect(address, source=None):
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(DEADLINE)
        sock.connect(address)
        return sock
    return socket.create_connection(address, DEADLINE, source_address=source and (source, 0))


class Phone:
    """SIP by one transport: UDP, TCP, TLS or WS."""

    def __init__(self, kind, address, source, tls=None, stamped=False):
        self.kind, self.source = kind, source
        if kind == 'UDP':
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sock.bind((source, 0))
            self.sock.settimeout(DEADLINE)
            self.sock.connect(address)
        else:
            self.sock = connect(address, source)
        if stamped:                 # the kernel is to say when something came
            self.sock = Stamped(self.sock)
        if kind == 'TLS':
            self.sock = tls.wrap_socket(self.sock, server_hostname=address[0])
        elif kind == 'WS':
            ws.shake_hands(self.sock, protocol='sip')
            self.sock = ws.Socket(self.sock)
        self.cseq = 0
        self.call_id = token()

    def request(self, method, user, domain, headers=()):
        """One outside of a dialog, from that user to himself."""
        self.cseq += 1
        port = self.sock.getsockname()[1]
        aor = f'<sip:{user}@{domain}>'
        return Message(f'{method} sip:{domain} SIP/2.0', [
            ('Via', f'SIP/2.0/{self.kind} {self.source}:{port};branch=z9hG4bK{token()};rport'),
            ('From', f'{aor};tag=1'), ('To', aor), ('Call-ID', self.call_id),
            ('CSeq', f'{self.cseq} {method}'), ('Max-Forwards', '70'),
            ('Contact', f'<sip:{user}@192.0.2.9>'), *headers]).encode()

    def ask(self, request):
        """The answer to it."""
        self.sock.send(request)
        return self.answer()

    def answer(self):
        data = b''
        while b'\r\n\r\n' not in data:
            with contextlib.suppress(BlockingIOError):      # a WebSocket's message is not whole
                data += self.sock.recv(65536)
            data = data.lstrip(b'\r\n')      # pings of who is registered (RFC 5626 4.4.1)
        return Message.parse(data)

    def register(self, user, password, domain, headers=()):
        """The code of the last answer."""
        answer = self.ask(self.request('REGISTER', user, domain, headers))
        if answer.code != 401:
            return answer.code
        proof = sip_credentials(answer.get('WWW-Authenticate'), 'REGISTER', f'sip:{domain}',
                                user, password)
        return self.ask(self.request('REGISTER', user, domain,
                                     [('Authorization', proof), *headers])).code

    def close(self):
        self.sock.close()


def load(address, source, paths=PAGE):
    """Ask for these over one connection."""
    conn = http.client.HTTPConnection(*address, timeout=DEADLINE, source_address=(source, 0))
    for path in paths:
        conn.request('GET', path)
        answer = conn.getresponse()
        assert answer.status == 200 and answer.read(), (path, answer.status)
    conn.close()


def control(path, method):
    """As msrpctl asks."""
    with connect(path) as sock, sock.makefile('rb') as lines:
        sock.sendall(json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': method}).encode() + b'\n')
        assert 'result' in json.loads(lines.readline())
