"""An MSRP peer without threads and without a judge: for crowds, and where time is measured."""
import socket
import time

from . import msrp, ws
from .digest import Credentials
from .frame import Framer, URI, new_id
from .stamped import Stamped, Tls
from .waiting import DEADLINE


def address_of(uri):
    match = URI.match(uri)
    return match['host'].strip('[]'), int(match['port'])


class Wire:
    """One blocking connection; its answers are taken in order."""

    def __init__(self, address, source=None, tls=None, own=None, options=(), stamped=False,
                 sock=None, web=False):
        """sock: one that msrpd has connected to us by, in place of the address."""
        self.sock = sock or socket.socket()
        for option in options:
            self.sock.setsockopt(*option)
        if source:
            self.sock.bind((source, 0))
        self.sock.settimeout(DEADLINE)
        if not sock:
            self.sock.connect(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = None            # nanoseconds: when the last bytes did
        if stamped:                 # the kernel is to say when something came
            self._clock = self.sock = Stamped(self.sock)
        if tls:
            self.sock = Tls(self.sock, tls, address[0]) if stamped \
                else tls.wrap_socket(self.sock, server_hostname=address[0])
        self._write = self.sock.sendall
        if web:
            self.sock = ws.Socket(ws.shake_hands(self.sock)[0])
            self._write = self.sock.send
        self.own = own or f'msrp{"s" if tls else ""}://127.0.0.1:9/{new_id()};tcp'
        self._framer = Framer(strict=False)
        self._frames = []

    @property
    def came(self):
        """Nanoseconds: when the last bytes did, where that is stamped."""
        return self._clock.came

    def send(self, frame):
        data = frame.encode()
        self.left = time.clock_gettime_ns(time.CLOCK_REALTIME)
        self._write(data)
        return frame

    def _receive(self):
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return b''              # a WebSocket's message is not whole
        if not data:
            raise EOFError('msrpd closed the connection')
        return data

    def frame(self):
        """The next one that comes."""
        while not self._frames:
            self._frames += self._framer.feed(self._receive())
        return self._frames.pop(0)

    def ask(self, frame):
        """A request and its answer; what else comes first gets its 200."""
        return self.answer_to(self.send(frame))

    def answer_to(self, frame):
        while (answer := self.frame()).tid != frame.tid or answer.method:
            self.answer(answer)
        return answer

    def answer(self, frame):
        if frame.method == 'SEND':
            self.send(msrp.response(frame, 200, 'OK'))

    def take(self, body):
        """Until a SEND with this body has come; it is answered."""
        while True:
            frame = self.frame()
            self.answer(frame)
            if frame.method == 'SEND' and frame.body == body:
                return

    def send_frame(self, to_path, body=None, **kwargs):
        """A SEND from here, not sent yet."""
        return msrp.Session(None, to_path, [self.own]).build(body=body, **kwargs)

    def auth(self, relay, user, password):
        """As a client of a relay's; the last answer."""
        answer = self.ask(msrp.build('AUTH', [relay], [self.own]))
        if answer.code != 401:
            return answer
        credentials = Credentials(answer.get('WWW-Authenticate'), relay, user, password)
        credentials.header_uri = relay
        return self.ask(msrp.build('AUTH', [relay], [self.own],
                                   [('Authorization', credentials.value())]))

    def close(self):
        self.sock.close()
