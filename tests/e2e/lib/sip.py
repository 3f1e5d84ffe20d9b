"""A small SIP user agent (RFC 3261) over UDP, TCP, TLS and WebSocket for scripted peers.

It does what it is told and no more: no answer is sent that the test did not ask for, except
that retransmitted requests get the response that they got before, and that failed INVITEs are
acknowledged.
"""
import hashlib
import os
import re
import select
import socket
import ssl
import threading
import time

from . import judge, ws
from .frame import GrammarError
from .waiting import DEADLINE, Mailbox, Timeout

COMPACT = {'i': 'Call-ID', 'm': 'Contact', 'e': 'Content-Encoding', 'l': 'Content-Length',
           'c': 'Content-Type', 'f': 'From', 's': 'Subject', 'k': 'Supported', 't': 'To',
           'v': 'Via', 'x': 'Session-Expires'}
REASONS = {100: 'Trying', 180: 'Ringing', 183: 'Session Progress', 200: 'OK', 202: 'Accepted',
           301: 'Moved Permanently', 302: 'Moved Temporarily', 401: 'Unauthorized',
           403: 'Forbidden', 404: 'Not Found', 407: 'Proxy Authentication Required',
           415: 'Unsupported Media Type', 480: 'Temporarily Unavailable', 481: 'No Dialog',
           486: 'Busy Here', 487: 'Request Terminated', 488: 'Not Acceptable Here',
           491: 'Request Pending', 500: 'Server Error', 503: 'Service Unavailable',
           603: 'Decline'}
T1 = 0.5


def token(octets=8):
    return os.urandom(octets).hex()


def uri_of(value):
    """The URI of a From, To, Contact or Route value."""
    match = re.search(r'<([^>]*)>', value)
    return match.group(1) if match else value.split(';')[0].strip()


def tag_of(value):
    match = re.search(r';\s*tag=([^;\s]+)', re.sub(r'<[^>]*>', '', value))
    return match.group(1) if match else None


class Message:
    """A request or a response."""

    def __init__(self, start, headers=(), body=b''):
        self.start = start
        self.headers = list(headers)
        self.body = body
        self.transport = None       # how it came: where responses go back to
        if start.startswith('SIP/2.0 '):
            self.method = None
            self.code = int(start.split(' ')[1])
            self.reason = start.split(' ', 2)[2] if start.count(' ') > 1 else ''
            self.uri = None
        else:
            self.method, self.uri = start.split(' ')[:2]
            self.code = None

    @classmethod
    def parse(cls, data):
        head, _, body = data.partition(b'\r\n\r\n')
        lines = re.sub(r'\r\n[ \t]+', ' ', head.decode('utf-8', 'surrogateescape')).split('\r\n')
        headers = []
        for line in lines[1:]:
            name, _, value = line.partition(':')
            name = name.strip()
            headers.append((COMPACT.get(name.lower(), name), value.strip()))
        return cls(lines[0], headers, body)

    def get(self, name, default=None):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return default

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def routes(self):
        """The values of Record-Route, one by one."""
        return [value for line in self.all('Record-Route')
                for value in re.split(r',\s*(?=<)', line)]

    def encode(self):
        headers = [(name, value) for name, value in self.headers
                   if name.lower() != 'content-length']
        headers.append(('Content-Length', str(len(self.body))))
        text = '\r\n'.join([self.start] + [f'{name}: {value}' for name, value in headers])
        return text.encode('utf-8', 'surrogateescape') + b'\r\n\r\n' + self.body

    @property
    def branch(self):
        match = re.search(r'branch=([^;,\s]+)', self.get('Via', ''))
        return match.group(1) if match else None

    @property
    def cseq(self):
        number, method = self.get('CSeq').split()
        return int(number), method

    @property
    def from_tag(self):
        return tag_of(self.get('From', ''))

    @property
    def to_tag(self):
        return tag_of(self.get('To', ''))

    @property
    def call_id(self):
        return self.get('Call-ID')

    def __repr__(self):
        return f'<{self.start} | {self.get("CSeq")} | {self.call_id}>'


_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Stream:
    """A connection that carries SIP."""

    def __init__(self, ua, sock, kind):
        self.ua = ua
        self.sock = sock
        self.peer = sock.getpeername()[:2]
        self.kind = kind
        self.closed = False
        self.blank = 0              # bytes of empty lines, which are pings (RFC 5626 4.4.1)
        # While the thread reads a ticket there is none for a moment.
        self.certificate = sock.getpeercert(True) if isinstance(sock, ssl.SSLSocket) else None
        # Two threads must not be inside one TLS object at a time, so none may block there.
        self.lock = threading.Lock()
        self._ending = False
        sock.setblocking(False)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def send(self, data):
        while data:
            try:
                with self.lock:
                    data = data[self.sock.send(data):]
            except _WOULD_BLOCK:
                select.select([], [self.sock], [], DEADLINE)

    def _receive(self):
        """The next bytes; none when the connection is over."""
        while True:
            try:
                with self.lock:
                    return b'' if self._ending else self.sock.recv(65536)
            except _WOULD_BLOCK:
                if self._has_more():
                    continue
            except OSError:
                return b''
            try:
                select.select([self.sock], [], [])
            except (OSError, ValueError):
                return b''

    def _has_more(self):
        """TLS has read what no select() shows."""
        with self.lock:
            return hasattr(self.sock, 'pending') and self.sock.pending()

    def _over(self):
        self.ua._gone(self)
        self.sock.close()

    def _broken(self, what):
        judge.CAPTURE.violations.append(f'{self.ua.name}: {what}')
        self._over()

    def _read(self):
        buffer = b''
        while True:
            try:
                data = self._receive()
            except GrammarError as error:   # of a WebSocket
                self._broken(error)
                return
            if not data:
                self._over()
                return
            buffer += data
            while True:
                rest = buffer.lstrip(b'\r\n')
                self.blank += len(buffer) - len(rest)
                buffer = rest
                head, found, rest = buffer.partition(b'\r\n\r\n')
                if not found:
                    break
                length = re.search(rb'\r\n(?:content-length|l)\s*:\s*([0-9]+)', head, re.I)
                length = int(length.group(1)) if length else 0
                if len(rest) < length:
                    break
                try:
                    self.ua._arrived(head + found + rest[:length], self)
                except (AttributeError, IndexError, ValueError) as error:
                    self._broken(f'no SIP: {error}: {head}')
                    return
                buffer = rest[length:]

    def close(self):
        with self.lock:
            self._ending = True     # what is read after this is no more deciphered
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.thread.join(5)
        self.sock.close()


class _Datagram:
    """Where a datagram came from."""
    kind = 'UDP'

    def __init__(self, sock, peer):
        self.sock = sock
        self.peer = peer

    def send(self, data):
        self.sock.sendto(data, self.peer)


class ClientTransaction:
    """A request that we sent and what came back."""

    def __init__(self, ua, request, transport):
        self.ua = ua
        self.request = request
        self.transport = transport
        self.responses = Mailbox(f'responses to {request.method}')
        self.seen = []
        self._interval = T1
        self._next = time.monotonic() + T1

    def send(self):
        self.transport.send(self.request.encode())
        return self

    def _tick(self):
        """Retransmit over UDP until something comes (17.1.1.2, 17.1.2.2)."""
        if self.transport.kind != 'UDP' or self.seen:
            return 60
        now = time.monotonic()
        if now >= self._next:
            self.send()
            self._interval = min(self._interval * 2, 4)
            self._next = now + self._interval
        return self._next - now

    def arrived(self, response):
        if self.request.method == 'INVITE' and response.code >= 300:
            try:
                self.transport.send(self._ack(response).encode())
            except OSError:
                pass            # the connection that it came over has closed
        if any(old.code == response.code and old.to_tag == response.to_tag for old in self.seen):
            return                  # a retransmission
        self.seen.append(response)
        self.responses.put(response)

    def _ack(self, response):
        headers = [('Via', self.request.get('Via')), ('From', self.request.get('From')),
                   ('To', response.get('To')), ('Call-ID', self.request.call_id),
                   ('CSeq', f'{self.request.cseq[0]} ACK'), ('Max-Forwards', '70')]
        headers += [('Route', value) for value in self.request.all('Route')]
        return Message(f'ACK {self.request.uri} SIP/2.0', headers)

    def expect(self, code=None, timeout=DEADLINE):
        """The next response with that code."""
        return self.responses.take(lambda r: code is None or r.code == code, timeout,
                                   f'{code or "a response"} to {self.request!r}', self._tick)

    def final(self, code=None, timeout=DEADLINE):
        """The final response, which has to be code."""
        response = self.responses.take(lambda r: r.code >= 200, timeout,
                                       f'a final response to {self.request!r}', self._tick)
        if code is not None and response.code != code:
            raise AssertionError(f'{code} was expected, got {response.start}')
        return response

    def cancel(self, headers=()):
        fields = [(name, value) for name, value in self.request.headers
                  if name in ('Via', 'From', 'To', 'Call-ID', 'Max-Forwards', 'Route')]
        fields += [('CSeq', f'{self.request.cseq[0]} CANCEL'), *headers]
        return self.ua.transact(Message(f'CANCEL {self.request.uri} SIP/2.0', fields),
                                self.transport)


class ServerTransaction:
    """A request that came in and our response."""

    def __init__(self, ua, request, transport):
        self.ua = ua
        self.request = request
        self.transport = transport
        self.tag = token(4)
        self.last = None
        self.retransmissions = 0
        self.acked = threading.Event()      # by the ACK to a failure

    @property
    def method(self):
        return self.request.method

    def respond(self, code, body=b'', headers=(), reason=None, content_type='application/sdp',
                tag=None, contact=True):
        request = self.request
        fields = [('Via', value) for value in request.all('Via')]
        fields += [('Record-Route', value) for value in request.all('Record-Route')]
        to = request.get('To')
        if code > 100 and not request.to_tag:
            to += f';tag={tag or self.tag}'
        fields += [('From', request.get('From')), ('To', to), ('Call-ID', request.call_id),
                   ('CSeq', request.get('CSeq'))]
        if contact and request.method in ('INVITE', 'UPDATE') and 100 < code < 300:
            fields.append(('Contact', f'<{self.ua.contact(self.transport.kind)}>'))
        fields += headers
        if body:
            fields.append(('Content-Type', content_type))
        reason = reason if reason is not None else REASONS.get(code, 'Whatever')
        response = Message(f'SIP/2.0 {code} {reason}', fields, body)
        self.last = response
        self.transport.send(response.encode())
        return response

    def __repr__(self):
        return f'<in: {self.request!r}>'


class Dialog:
    """Enough of a dialog (RFC 3261 12) to send and recognise requests in it."""

    def __init__(self, ua, transport, call_id, local, remote, target, routes=(), cseq=1):
        self.ua = ua
        self.transport = transport
        self.call_id = call_id
        self.local = local          # our From value, with tag
        self.remote = remote        # their To value, with tag
        self.target = target
        self.routes = list(routes)
        self.cseq = cseq
        self.invite = None          # the INVITE transaction that is to be acknowledged

    @classmethod
    def of_client(cls, transaction, response):
        """The dialog that a 1xx or 2xx to our INVITE made."""
        request = transaction.request
        dialog = cls(transaction.ua, transaction.transport, request.call_id, request.get('From'),
                     response.get('To'), uri_of(response.get('Contact')),
                     reversed(response.routes()), request.cseq[0])
        dialog.invite = transaction
        return dialog

    @classmethod
    def of_server(cls, transaction):
        """The dialog that our 2xx to their INVITE made."""
        request = transaction.request
        return cls(transaction.ua, transaction.transport, request.call_id,
                   transaction.last.get('To'), request.get('From'),
                   uri_of(request.get('Contact')), request.routes(), 100)

    def ack(self, sdp=b'', cseq=None):
        self.transport.send(self._build('ACK', sdp, cseq=cseq or self.cseq).encode())

    def _build(self, method, body=b'', headers=(), cseq=None, content_type='application/sdp'):
        fields = [('Via', self.ua.via(self.transport.kind)), ('Max-Forwards', '70'),
                  ('From', self.local), ('To', self.remote), ('Call-ID', self.call_id),
                  ('CSeq', f'{cseq} {method}')]
        fields += [('Route', value) for value in self.routes]
        if method in ('INVITE', 'UPDATE'):
            fields.append(('Contact', f'<{self.ua.contact(self.transport.kind)}>'))
        fields += headers
        if body:
            fields.append(('Content-Type', content_type))
        return Message(f'{method} {self.target} SIP/2.0', fields, body)

    def request(self, method, body=b'', headers=(), content_type='application/sdp'):
        self.cseq += 1
        return self.ua.transact(
            self._build(method, body, headers, self.cseq, content_type), self.transport)

    def bye(self, code=200):
        return self.request('BYE').final(code)

    def reinvite(self, sdp, code=200):
        """A re-INVITE and its answer, acknowledged."""
        transaction = self.request('INVITE', sdp)
        response = transaction.final(code)
        if response.code < 300:
            self.ack()
        return response

    def expect(self, method, timeout=DEADLINE):
        """The next request of this dialog."""
        return self.ua.expect(method, timeout, call_id=self.call_id)


class SipUa:
    """A user agent on one address: the same port for UDP and TCP."""

    def __init__(self, host='127.0.0.1', user='peer', name='sip peer', port=0):
        self.host = host
        self.user = user
        self.name = name
        self.requests = Mailbox(f'{name} requests')
        self.stray = Mailbox(f'{name} stray responses')
        self._lock = threading.RLock()
        self._clients = {}
        self._servers = {}
        self._streams = []
        self._closing = False
        self._agreeing = False
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        self.udp, self.tcp, self.port = _bind(family, host, port)
        self.advertise = None       # a name, in place of the address
        self.invalid = f'{token()}.invalid'     # a browser has no address: RFC 7118 appendix B
        self._wake, self._woken = socket.socketpair()
        self._threads = [threading.Thread(target=loop, daemon=True)
                         for loop in (self._udp_loop, self._tcp_loop)]
        for thread in self._threads:
            thread.start()

    # --- names

    @property
    def _authority(self):
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'{self.advertise or host}:{self.port}'

    def contact(self, kind='UDP'):
        if kind in ('WS', 'WSS'):
            return f'sip:{self.user}@{self.invalid};transport=ws'
        suffix = '' if kind == 'UDP' else f';transport={kind.lower()}'
        return f'sip:{self.user}@{self._authority}{suffix}'

    def via(self, kind='UDP', branch=None):
        sent_by = self.invalid if kind in ('WS', 'WSS') else self._authority
        return f'SIP/2.0/{kind} {sent_by};branch={branch or "z9hG4bK" + token()};rport'

    # --- in

    def _udp_loop(self):
        while not self._closing:
            select.select([self.udp, self._woken], [], [])
            if self._closing:
                return
            try:
                data, peer = self.udp.recvfrom(65536)
            except OSError:
                continue
            if data.strip(b'\r\n\0 '):
                self._arrived(data, _Datagram(self.udp, peer))

    def _tcp_loop(self):
        while not self._closing:
            try:
                sock, _ = self.tcp.accept()
            except OSError:
                return
            if self._closing:
                sock.close()
                return
            with self._lock:
                try:
                    self._streams.append(_Stream(self, sock, 'TCP'))
                except OSError:
                    sock.close()    # gone before we looked at it

    def adopt(self, sock, kind):
        """A connection that somebody else has made or accepted for it."""
        with self._lock:
            stream = _Stream(self, sock, kind)
            self._streams.append(stream)
        return stream

    def _gone(self, stream):
        stream.closed = True
        with self._lock:
            if stream in self._streams:
                self._streams.remove(stream)

    def _arrived(self, data, transport):
        message = Message.parse(data)
        message.transport = transport
        with self._lock:
            if message.code is not None:
                self._response_arrived(message)
            else:
                self._request_arrived(message, transport)

    def _response_arrived(self, message):
        transaction = self._clients.get((message.branch, message.cseq[1]))
        if transaction:
            transaction.arrived(message)
        else:
            self.stray.put(message)

    def _request_arrived(self, message, transport):
        known = self._servers.get(message.branch)
        if message.method == 'ACK' and known:
            known.acked.set()
            self.requests.poke()
            return
        key = message.branch if message.method != 'CANCEL' else f'{message.branch} CANCEL'
        known = self._servers.get(key)
        if known:
            known.retransmissions += 1
            self.requests.poke()
            if known.last:
                transport.send(known.last.encode())
            return
        if not all(message.get(name) for name in ('From', 'To', 'Call-ID', 'CSeq')):
            return                  # nobody could answer it
        transaction = ServerTransaction(self, message, transport)
        if message.method != 'ACK':
            self._servers[key] = transaction
        if self._agreeing:
            self._agree(transaction)
        self.requests.put(transaction)

    # --- out

    def reach(self, host, port, kind='UDP', tls=None, server_hostname=None):
        """A transport to send on."""
        if kind == 'UDP':
            return _Datagram(self.udp, (host, port))
        with self._lock:
            for stream in self._streams:
                if stream.peer == (host, port) and stream.kind == kind:
                    return stream
        plain = sock = socket.create_connection((host, port), DEADLINE)
        sock.settimeout(None)
        try:
            if kind in ('TLS', 'WSS'):
                plain = sock = tls.wrap_socket(sock, server_hostname=server_hostname or host)
            if kind in ('WS', 'WSS'):
                sock, answer = ws.shake_hands(sock, protocol='sip')
                assert answer.headers['Sec-WebSocket-Protocol'] == 'sip', answer.headers
                sock = ws.Socket(sock)
        except Exception:
            plain.close()
            raise
        return self.adopt(sock, kind)

    def connections(self):
        """Those that are open; of others all that came has been taken in."""
        with self._lock:
            return list(self._streams)

    def transact(self, request, transport):
        transaction = ClientTransaction(self, request, transport)
        with self._lock:
            self._clients[(request.branch, request.cseq[1])] = transaction
        return transaction.send()

    def build(self, method, uri, transport, body=b'', content_type='application/sdp',
              from_uri=None, from_name=None, to_uri=None, headers=(), call_id=None, cseq=1,
              hops=70):
        """A request outside of a dialog."""
        fields = [('Via', self.via(transport.kind)), ('Max-Forwards', str(hops)),
                  ('From', (f'"{from_name}" ' if from_name else '')
                   + f'<{from_uri or self.contact()}>;tag={token(4)}'),
                  ('To', f'<{to_uri or uri}>'),
                  ('Call-ID', call_id or f'{token()}@{self.host}'), ('CSeq', f'{cseq} {method}')]
        if method in ('INVITE', 'OPTIONS'):
            fields.append(('Contact', f'<{self.contact(transport.kind)}>'))
        fields += headers
        if body:
            fields.append(('Content-Type', content_type))
        return Message(f'{method} {uri} SIP/2.0', fields, body)

    def request(self, method, uri, transport, body=b'', **kwargs):
        return self.transact(self.build(method, uri, transport, body, **kwargs), transport)

    def flush(self, port, host='127.0.0.1'):
        """A round trip: what was sent to us before has come."""
        self.request('OPTIONS', f'sip:{host}:{port}', self.reach(host, port)).final(200)

    def expect(self, method, timeout=DEADLINE, call_id=None):
        """The next request of that method that came in, as a ServerTransaction."""
        return self.requests.take(
            lambda t: t.method == method and call_id in (None, t.request.call_id),
            timeout, f'{method} {call_id or ""}')

    def expect_failure_ack(self, transaction, timeout=DEADLINE):
        """The ACK to a failure that we answered."""
        if not transaction.acked.wait(timeout):
            raise Timeout(f'{self.name}: no ACK for {transaction!r}')

    def agree(self):
        """From now on say yes to every BYE, no to everything else: the test is over."""
        with self._lock:
            self._agreeing = True
            for transaction in self.requests.has():
                self._agree(transaction)

    def _agree(self, transaction):
        try:
            if transaction.method in ('BYE', 'CANCEL'):
                transaction.respond(200)
            elif transaction.method != 'ACK' and not transaction.last:
                transaction.respond(487 if transaction.method == 'INVITE' else 481)
        except OSError:
            pass                    # the connection that it came over has closed

    def close(self):
        self._closing = True
        self._wake.send(b'x')
        try:
            self.tcp.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.tcp.close()
        for thread in self._threads:
            thread.join(5)
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.close()
        self.udp.close()
        self._wake.close()
        self._woken.close()


def _bind(family, host, port):
    """UDP and TCP on that port, or on one free one."""
    for _ in range(50):
        tcp = socket.create_server((host, port), family=family)
        bound = tcp.getsockname()[1]
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            udp.bind((host, bound))
            return udp, tcp, bound
        except OSError:
            tcp.close()
            udp.close()
    raise OSError('no port that is free for UDP and TCP')


# --- Digest, RFC 2617 with MD5

def _md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def challenge(realm, nonce, qop='auth', extra=''):
    text = f'Digest realm="{realm}", nonce="{nonce}"'
    if qop:
        text += f', qop="{qop}"'
    return text + extra


def parameters(value):
    """The parameters of an Authorization or challenge value."""
    return {name.lower(): quoted if quoted else bare for name, quoted, bare in
            re.findall(r'([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^\s,]+))', value.partition(' ')[2])}


def digest_response(username, realm, password, method, uri, nonce, nc=None, cnonce=None,
                    qop=None, hash_name='md5'):
    def digest(text):
        return hashlib.new(hash_name, text.encode()).hexdigest()
    ha1 = digest(f'{username}:{realm}:{password}')
    ha2 = digest(f'{method}:{uri}')
    if qop:
        return digest(f'{ha1}:{nonce}:{nc}:{cnonce}:{qop}:{ha2}')
    return digest(f'{ha1}:{nonce}:{ha2}')


def authorized(value, method, password):
    """Whether an Authorization value proves the password."""
    given = parameters(value)
    return given.get('response') == digest_response(
        given.get('username'), given.get('realm'), password, method, given.get('uri'),
        given.get('nonce'), given.get('nc'), given.get('cnonce'), given.get('qop'))
