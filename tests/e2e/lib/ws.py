"""MSRP over WebSocket (RFC 7977): a client of RFC 6455 beneath a connection of frames."""
import base64
import email
import hashlib
import os
import socket
import ssl
import struct
import threading

from . import msrp
from .frame import URI, GrammarError
from .waiting import DEADLINE

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def frame(payload, opcode=BINARY, fin=True, mask=True):
    """One frame of RFC 6455 5.2."""
    head = bytes([opcode | (0x80 if fin else 0)])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += struct.pack('!BH', bit | 126, len(payload))
    else:
        head += struct.pack('!BQ', bit | 127, len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    pad = (key * (len(payload) // 4 + 1))[:len(payload)]
    masked = (int.from_bytes(payload, 'big') ^ int.from_bytes(pad, 'big')).to_bytes(
        len(payload), 'big')
    return head + key + masked


class Answer:
    """What the server says to the handshake."""

    def __init__(self, head):
        lines = head.decode('latin-1').split('\r\n')
        self.status = int(lines[0].split(' ')[1])
        self.headers = email.message_from_string('\n'.join(lines[1:]))  # names in any case


def request(key, protocol='msrp', path='/', headers=(), leave_out=()):
    fields = {'Host': 'im.example.org', 'Upgrade': 'websocket', 'Connection': 'Upgrade',
              'Sec-WebSocket-Key': key, 'Sec-WebSocket-Version': '13',
              'Sec-WebSocket-Protocol': protocol, **dict(headers)}
    lines = [f'{name}: {value}' for name, value in fields.items() if name not in leave_out]
    return '\r\n'.join([f'GET {path} HTTP/1.1', *lines, '', '']).encode()


def read_head(sock):
    head = b''
    while not head.endswith(b'\r\n\r\n'):
        octet = sock.recv(1)
        if not octet:
            raise ConnectionResetError(f'the server closed after {head!r}')
        head += octet
    return head


def open_socket(uri, tls=None, server_hostname=None):
    match = URI.match(uri)
    host = match['host'].strip('[]')
    sock = socket.create_connection((host, int(match['port'])), DEADLINE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls.wrap_socket(sock, server_hostname=server_hostname or host) if tls else sock


def handshake(uri, tls=None, server_hostname=None, **kwargs):
    """The socket after its handshake, and the answer."""
    return shake_hands(open_socket(uri, tls, server_hostname), **kwargs)


def shake_hands(sock, **kwargs):
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(request(key, **kwargs))
    answer = Answer(read_head(sock))
    if answer.status == 101:
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        assert answer.headers['Sec-WebSocket-Accept'] == accept, answer.headers
        assert 'Sec-WebSocket-Extensions' not in answer.headers, answer.headers
    return sock, answer


def refused(uri, **kwargs):
    """The answer to a handshake that comes to nothing."""
    sock, answer = handshake(uri, **kwargs)
    sock.close()
    return answer


class Socket:
    """What a Conn takes for a socket: each send() is a message, recv() gives those that came."""

    def __init__(self, sock):
        self.sock = sock
        self.opcode = BINARY
        self.fragment = None        # bytes of a frame; None: one frame a message
        self.messages = []          # that came, each whole
        self.opcodes = []           # of each
        self.pings, self.pongs = [], []
        self.answers_pings = True
        self.close_code = None
        self._in, self._out, self._message, self._opcode = b'', b'', b'', None
        self._lock = threading.Lock()

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def send(self, data):
        data = bytes(data)
        with self._lock:
            self._flush()
            step = self.fragment or len(data) or 1
            for at in range(0, len(data), step):
                self._out += frame(data[at:at + step], self.opcode if at == 0 else CONTINUATION,
                                   at + step >= len(data))
            try:
                self._flush()
            except WOULD_BLOCK:
                pass                # goes on with the next, or with what is read
        return len(data)

    def control(self, opcode, payload=b''):
        with self._lock:
            self._out += frame(payload, opcode)
            self._flush()

    def _flush(self):
        while self._out:
            self._out = self._out[self.sock.send(self._out):]

    def recv(self, size):
        data = self.sock.recv(size)
        self._in += data
        whole = b''
        while (cut := self._cut()) is not None:
            whole += cut
        if data and not whole:
            raise BlockingIOError
        return whole

    def _cut(self):
        """Bytes of a message that is whole, or of none; None: no frame is."""
        if len(self._in) < 2:
            return None
        first, size, at = self._in[0], self._in[1], 2
        if size & 0x80 or first & 0x70:
            raise GrammarError('a server masks nothing')
        if size >= 126:
            octets = 2 if size == 126 else 8
            if len(self._in) < 2 + octets:
                return None
            size, at = int.from_bytes(self._in[2:2 + octets], 'big'), 2 + octets
        if len(self._in) < at + size:
            return None
        payload, self._in = self._in[at:at + size], self._in[at + size:]
        return self._take(first & 15, first & 0x80, payload)

    def _take(self, opcode, fin, payload):
        if opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2], 'big')
            return b''
        if opcode == PONG:
            self.pongs.append(payload)
            return b''
        if opcode == PING:
            self.pings.append(payload)
            if self.answers_pings:
                self.control(PONG, payload)
            return b''
        if (opcode == CONTINUATION) != bool(self._message):
            raise GrammarError('a fragment out of turn')
        if opcode != CONTINUATION:
            self._opcode = opcode
        self._message += payload
        if not fin:
            return b''
        message, self._message = self._message, b''
        self.messages.append(message)
        self.opcodes.append(self._opcode)
        return message


class Conn(msrp.Conn):
    """Each MSRP frame in a message of its own (RFC 7977 5.1)."""

    def send(self, *frames):
        for one in frames:
            self.send_raw(one.encode())
        return frames[-1]


def connect(uri, behave=msrp.answer_ok, tls=None, name='web', relay=False, server_hostname=None,
            **kwargs):
    """Connect to the host and port of a URI that ends with ;ws."""
    sock, answer = handshake(uri, tls, server_hostname, **kwargs)
    if answer.status != 101:
        raise AssertionError(f'{uri}: {answer.status}')
    return Conn(Socket(sock), name, behave, relay=relay)
