"""MSRP peers: connections and listeners whose every byte is framed, judged and recorded."""
import select
import socket
import ssl
import struct
import threading
import time

from . import judge
from .frame import Frame, Framer, GrammarError, URI, new_id
from .rules import Rules
from .waiting import DEADLINE, Mailbox, Timeout, poll


def build(method, to_path, from_path, headers=(), body=None, flag='$', tid=None):
    """A request; headers are (name, value) pairs that follow the paths."""
    return Frame(tid or new_id(), method=method, headers=[
        ('To-Path', ' '.join(to_path)), ('From-Path', ' '.join(from_path)), *headers],
        body=body, flag=flag)


def response(request, code, comment=None):
    """The response to a request, its paths as RFC 4975 7.2 has them."""
    to_path = request.from_path[:1] if request.method == 'SEND' else request.from_path
    if not request.to_path:
        raise GrammarError(f'{request!r} without a To-Path')
    return Frame(request.tid, code=code, comment=comment, headers=[
        ('To-Path', ' '.join(to_path)), ('From-Path', request.to_path[0])])


def report_for(request, status, byte_range, tid=None):
    """A REPORT on a SEND that came in."""
    return build('REPORT', request.from_path, request.to_path[:1], [
        ('Message-ID', request.message_id), ('Byte-Range', byte_range), ('Status', status)],
        tid=tid)


def answer_ok(frame, conn):
    """The default behaviour of a peer: 200 where Failure-Report wants one."""
    if frame.method == 'SEND' and frame.get('Failure-Report', 'yes') == 'yes':
        conn.send(response(frame, 200, 'OK'))


def answer_with(code, comment=None):
    def behave(frame, conn):
        if frame.method == 'SEND' and frame.get('Failure-Report', 'yes') != 'no':
            conn.send(response(frame, code, comment))
    return behave


def silent(frame, conn):
    """Read and say nothing."""


def _grammatical(frame):
    try:
        return len(Framer(strict=True).feed(frame.raw)) == 1 and \
            [name for name, _ in frame.headers[:2]] == ['To-Path', 'From-Path']
    except GrammarError:
        return False


class Conn:
    """One TCP or TLS connection to msrpd.

    A thread reads it; frames land in inbox, and then behave(frame, conn) may answer them: who takes
    one from there does not know that its answer has left; of one in worked_off it has.
    """

    def __init__(self, sock, name, behave=answer_ok, client=True, relay=False):
        self.sock = sock
        self.name = name
        self.behave = behave
        self.inbox = Mailbox(name)
        self.rules = Rules(name, judge.CAPTURE.violations, relay)
        self.error = None           # what made the reader stop, None for an orderly end
        self.local = sock.getsockname()[:2]
        self.remote = sock.getpeername()[:2]
        # Later the thread may be in the middle of a ticket, and there is none for a moment.
        self.certificate = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
        self.bytes_in = 0
        self.history = []           # every frame that came, in order
        self.worked_off = []        # of these what has been answered, if it is to be
        self._stop_at_head = False
        self._ended = False
        self._held_up = False       # what we have to say finds no room
        self._in = Framer(strict=True)
        self._out = Framer(strict=False)
        self._trace = judge.CAPTURE.stream(name, client)
        self._tls = threading.Lock()        # an SSL object is not for two threads at a time
        self._sending = threading.Lock()
        self._reading = threading.Event()
        self._reading.set()
        self._wake, self._woken = socket.socketpair()
        sock.setblocking(False)
        self._thread = threading.Thread(target=self._read_loop, daemon=True)
        self._thread.start()
        judge.CAPTURE.opened(self)

    # --- sending

    def send(self, *frames):
        """Send whole frames in one write; returns the last of them."""
        self.send_raw(b''.join(frame.encode() for frame in frames))
        return frames[-1]

    def send_raw(self, data, piece=None):
        """Send bytes as they are, piece bytes at a time when told so."""
        with self._sending:
            for frame in self._out.feed(data):
                self.rules.sent(frame)
                if _grammatical(frame):     # what is bent on purpose is not for tshark
                    self._trace.frame(0, frame)
            step = piece or len(data) or 1
            for at in range(0, len(data), step):
                self._write(data[at:at + step])

    def try_send_raw(self, data):
        """Send to a connection that may be closed under our hands; whether it went out."""
        try:
            self.send_raw(data)
            return True
        except OSError:
            return False

    def _write(self, data, timeout=DEADLINE):
        deadline = time.monotonic() + timeout
        view = memoryview(data)
        while view:
            try:
                with self._tls:
                    sent = self.sock.send(view)
                self._held_up = False
                view = view[sent:]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Timeout(f'{self.name}: the other side reads no more') from None
                self._held_up = True
                select.select([], [self.sock], [], left)

    # --- receiving

    def _read_loop(self):
        try:
            while self._read_some():
                pass
        except GrammarError as error:
            self.error = error
            judge.CAPTURE.violations.append(f'{self.name}: {error}')
            self._hang_up()
        except (OSError, ValueError) as error:
            self.error = error
        self.inbox.close()

    def _read_some(self):
        self._reading.wait()
        select.select([self.sock, self._woken], [], [])
        if self._ended:
            return False
        if not self._reading.is_set():
            return True
        try:
            with self._tls:
                data = b'' if self._ended else self.sock.recv(262144)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        if not data:
            return False
        self.bytes_in += len(data)
        for frame in self._in.feed(data):
            self._trace.frame(1, frame)
            self.rules.received(frame)
            self.history.append(frame)
            self.inbox.put(frame)
            try:
                self.behave(frame, self)
            except OSError:
                pass                # it was closed meanwhile; the next read says so
            self.worked_off.append(frame)
        if self._stop_at_head and self._in.current is not None:
            self.pause()
        self.inbox.poke()
        return True

    def pause(self):
        """Read no more: the receive window fills up."""
        self._reading.clear()

    def resume(self):
        self._stop_at_head = False
        self._reading.set()

    def pause_at_head(self):
        """Read on, up to the head of the next frame with a body."""
        self._stop_at_head = True
        self._reading.set()

    def ahead_of(self, tid):
        """The frames that came before the one with that transaction id."""
        tids = [frame.tid for frame in self.history]
        return self.history[:tids.index(tid)]

    def narrow(self):
        """Keep the receive window small, so that little is on its way at a time."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

    def expect(self, what, timeout=DEADLINE, **headers):
        """Take the next frame that fits: a method, a code, or a predicate."""
        def wanted(frame):
            if callable(what):
                return what(frame)
            fits = frame.method == what if isinstance(what, str) else frame.code == what
            return fits and all(frame.get(name.replace('_', '-')) == value
                                for name, value in headers.items())
        return self.inbox.take(wanted, timeout, f'{what} {headers or ""}')

    def expect_response(self, request, code=None, timeout=DEADLINE):
        frame = self.inbox.take(lambda f: f.code is not None and f.tid == request.tid, timeout,
                                f'a response to {request.tid}')
        if code is not None and frame.code != code:
            raise AssertionError(f'{self.name}: {code} was expected, got {frame!r}')
        return frame

    def ask(self, request, code=None, timeout=DEADLINE):
        """Send a request and take its response."""
        self.send(request)
        return self.expect_response(request, code, timeout)

    def wait_head(self, timeout=DEADLINE):
        """The head of a frame whose body is still on its way."""
        self.inbox.until(lambda: self._in.current is not None, timeout, 'the head of a frame')
        return self._in.current

    def wait_body(self, octets, timeout=DEADLINE):
        self.inbox.until(lambda: self._in.body_so_far >= octets, timeout,
                         f'{octets} bytes of a body')

    def expect_closed(self, timeout=DEADLINE):
        """The other side closes; frames that came before stay in the inbox."""
        self.inbox.until(lambda: self.inbox.closed, timeout, 'the end of the connection')

    @property
    def closed(self):
        return self.inbox.closed

    @property
    def unfinished(self):
        """Bytes of a frame that was never completed."""
        return self._in.pending

    # --- ending

    def _hang_up(self):
        """Whoever cannot read on tells the other side so."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self):
        """What has come is answered first, as far as the other side takes that."""
        came = len(self.history)
        if threading.current_thread() is not self._thread:
            poll(lambda: len(self.worked_off) >= came or self._held_up
                 or not self._thread.is_alive(), what=f'{self.name}: the answers')
        self._end(lambda: self.sock.shutdown(socket.SHUT_RDWR))

    def reset(self):
        """Close with RST."""
        self._end(lambda: self.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)))

    def _end(self, how):
        if self._ended:
            return
        with self._tls:
            self._ended = True      # what is read after this is no more deciphered
            try:
                how()
            except OSError:
                pass                # the other side was faster
        self._reading.set()
        self._wake.send(b'x')
        self._thread.join(5)
        for sock in (self.sock, self._wake, self._woken):
            sock.close()
        judge.CAPTURE.closed(self)


def connect(uri, behave=answer_ok, tls=None, name=None, timeout=DEADLINE, server_hostname=None,
            relay=False):
    """Connect to the host and port of an MSRP URI; msrps takes tls, an SSLContext."""
    match = URI.match(uri)
    host = match['host'].strip('[]')
    sock = socket.create_connection((host, int(match['port'])), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls:
        sock = tls.wrap_socket(sock, server_hostname=server_hostname or host)
    return Conn(sock, name or f'conn to {match["host"]}:{match["port"]}', behave, relay=relay)


class Listener:
    """Where msrpd connects to."""

    def __init__(self, host='127.0.0.1', tls=None, behave=answer_ok, name='listener', port=0,
                 advertise=None, relay=False):
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        self.sock = socket.create_server((host, port), family=family)
        self.host = advertise or (f'[{host}]' if ':' in host else host)
        self.port = self.sock.getsockname()[1]
        self.tls = tls
        self.behave = behave
        self.name = name
        self.relay = relay                  # who connects is a relay: it hands on others' words
        self.gate = None                    # a Semaphore: each TLS handshake waits for its turn
        self.accepted = Mailbox(name)
        self.conns = []
        self.count = 0                      # of connections taken
        self._closing = False
        self._thread = threading.Thread(target=self._accept_loop, daemon=True)
        self._thread.start()
        judge.CAPTURE.opened(self)

    def uri(self, session=None, params=''):
        scheme = 'msrps' if self.tls else 'msrp'
        return f'{scheme}://{self.host}:{self.port}/{session or new_id()};tcp{params}'

    def _accept_loop(self):
        while True:
            try:
                sock, address = self.sock.accept()
            except OSError:
                return
            if self._closing:
                sock.close()
                return
            self.count += 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                if self.gate:
                    self.gate.acquire(timeout=DEADLINE)
                sock.settimeout(DEADLINE)
                try:
                    sock = self.tls.wrap_socket(sock, server_side=True)
                except OSError:
                    continue
            try:
                conn = Conn(sock, f'{self.name} conn {self.count}', self.behave, client=False,
                            relay=self.relay)
            except OSError:
                continue            # gone before we looked at it
            self.conns.append(conn)
            self.accepted.put(conn)

    def accept(self, timeout=DEADLINE):
        """The next connection."""
        return self.accepted.take(timeout=timeout, what='a connection')

    def skip_to(self, count):
        """Wait until that many came, the last to a closed gate; forget what became of the others.

        Whether one stood for a moment whose other side refused our certificate is a race.
        """
        poll(lambda: self.count >= count, what=f'connection {count}')
        self.accepted.items.clear()

    def first(self):
        """The first connection, once it is there."""
        poll(lambda: self.conns, what='a connection')
        return self.conns[0]

    def close(self):
        self._closing = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        self._thread.join(5)
        judge.CAPTURE.closed(self)


class Session:
    """One MSRP session as its peer sees it: our URI, the way to msrpd's, a connection."""

    def __init__(self, conn, to_path, from_path):
        self.conn = conn
        self.to_path = list(to_path)
        self.from_path = list(from_path)

    def build(self, method='SEND', body=None, content_type='text/plain', message_id=None,
              byte_range='auto', success=None, failure=None, flag='$', tid=None, headers=()):
        """A request on this session; byte_range None leaves the header out."""
        fields = [('Message-ID', message_id or new_id())]
        if byte_range == 'auto':
            byte_range = f'1-{len(body or b"")}/{len(body or b"")}'
        if byte_range is not None:
            fields.append(('Byte-Range', byte_range))
        if success is not None:
            fields.append(('Success-Report', success))
        if failure is not None:
            fields.append(('Failure-Report', failure))
        fields += headers
        if body is not None:
            fields.append(('Content-Type', content_type))
        return build(method, self.to_path, self.from_path, fields, body, flag, tid)

    def send(self, body=None, code=200, timeout=DEADLINE, **kwargs):
        """A SEND and its response; code None: do not wait for one.  Returns the SEND."""
        if isinstance(body, str):
            body = body.encode()
        request = self.build('SEND', body, **kwargs)
        self.conn.send(request)
        if code is not None:
            self.conn.expect_response(request, code, timeout)
        return request

    def chunks(self, body, size, message_id=None, total='known', **kwargs):
        """The SENDs of a message cut into pieces of size bytes."""
        message_id = message_id or new_id()
        count = str(len(body)) if total == 'known' else '*'
        frames = []
        for at in range(0, len(body), size):
            piece = body[at:at + size]
            last = at + size >= len(body)
            frames.append(self.build(
                'SEND', piece, message_id=message_id, flag='$' if last else '+',
                byte_range=f'{at + 1}-{at + len(piece)}/{count}', **kwargs))
        return frames

    def bind(self):
        """The first SEND of who connects (RFC 4975 5.4)."""
        return self.send(None)

    def flush(self):
        """A round trip: whatever was sent before has been dealt with."""
        return self.send(None)
