"""Messages: each delivered once, or its sender told, or nobody there to tell."""
import collections
import select
import socket
import struct
import time

from . import msrp, ws
from .frame import new_id
from .wire import Wire


def text_of(size):
    """The body of one message; its beginning is its name."""
    name = new_id()
    return name, name + '.' * max(0, size - len(name))


def drain(mailbox):
    """All that is in it."""
    items = mailbox.has()
    del mailbox.items[:len(items)]          # what is put meanwhile is behind them
    return items


def final_answer(transaction):
    """What a request of ours was answered; None: nothing yet."""
    return next((one for one in transaction.seen if one.code >= 200), None)


def final_code(transaction):
    answer = final_answer(transaction)
    return answer and answer.code


class Message:
    def __init__(self, kind, *ends):
        self.kind = kind
        self.ends = ends                # lines without which nobody is told
        self.to = None                  # the line that it is to come by, where one is known
        self.unanswered = 0             # chunks of which its sender has heard nothing
        self.refused = None             # the answer to one of them that was no 200
        self.delivered = 0
        self.good = False               # the sender was told that it has arrived
        self.bad = None                 # or why not
        self.cut = False                # or nobody could tell him any more

    @property
    def settled(self):
        return self.delivered or self.bad or self.cut

    @property
    def taken(self):
        """Each chunk of it was answered 200."""
        return not self.unanswered and not self.refused

    @property
    def lost_sight_of(self):
        """It may have gone to somebody who is no longer there to say whether it has come."""
        return not self.delivered and self.to.gone

    def __repr__(self):
        return f'<{self.kind} delivered {self.delivered} good {self.good} bad {self.bad} ' \
               f'cut {self.cut} unanswered {self.unanswered} refused {self.refused}>'


class Ledger:
    """All messages by the names that their bodies begin with."""

    def __init__(self):
        self.messages = {}

    def sent(self, name, kind, *ends):
        message = self.messages[name] = Message(kind, *ends)
        message.cut = any(line.gone for line in ends)
        return message

    def delivered(self, body):
        body = body.decode() if isinstance(body, bytes) else body
        message = self.messages.get(body.rstrip('.'))
        if message is None:
            raise AssertionError(f'{body[:60]!r} was never sent')
        message.delivered += 1

    def cut(self, line):
        """Nobody will tell whoever is at that end."""
        line.gone = True
        for message in self.messages.values():
            if line in message.ends and not message.good and not message.bad:
                message.cut = True

    def in_flight(self):
        return [message for message in self.messages.values() if not message.settled]

    def wrong(self):
        """What must not be; all is settled."""
        return [message for message in self.messages.values()
                if message.delivered > 1 or (message.good and not message.delivered)]

    def of(self, *kinds):
        return [message for message in self.messages.values() if message.kind in kinds]

    def table(self):
        rows = collections.Counter()
        for message in self.messages.values():
            rows[message.kind, 'sent'] += 1
            rows[message.kind, 'delivered' if message.delivered else
                 'reported' if message.bad else 'cut' if message.cut else 'in flight'] += 1
        return rows


class Line(Wire):
    """An MSRP connection that never blocks, answers what comes, and breaks when told."""

    def __init__(self, account, address, own=None, web=False, tls=None, sock=None):
        super().__init__(address, own=own, tls=tls, sock=sock)
        if web:
            self.sock = ws.Socket(ws.shake_hands(self.sock)[0])
        self.account = account
        self.owner = None
        self.closed = False
        self.gone = False               # or its session is over
        self.deaf_until = 0
        self.mute = False               # answers nothing
        self.waiting = {}               # by transaction: the message that it carries the end of
        self.sent = {}                  # by Message-ID
        self.parts = {}                 # of messages that are being received
        self._out = []                  # frames

    def start(self):
        self.sock.setblocking(False)
        self.account.epoll.register(self.sock.fileno(), select.EPOLLIN)
        self.account.lines[self.sock.fileno()] = self
        return self

    # --- out

    def put(self, data):
        self._out.append(data)
        self.flush()

    def flush(self):
        try:
            while self._out and not self.closed:
                self._out[0] = self._out[0][self.sock.send(self._out[0]):]
                if not self._out[0]:
                    del self._out[0]
            if isinstance(self.sock, ws.Socket) and not self.closed:
                self.sock.send(b'')     # what it keeps
        except ws.WOULD_BLOCK:
            pass
        except OSError:
            self.over()
        if not self.closed:
            self.account.epoll.modify(self.sock.fileno(), self.interest)

    @property
    def interest(self):
        return (0 if time.monotonic() < self.deaf_until else select.EPOLLIN) \
            | (select.EPOLLOUT if self._out or getattr(self.sock, '_out', b'') else 0)

    def say(self, to_path, kind, size, to=None):
        """A message that a report is asked for; to: the line that it is to come by."""
        name, body = text_of(size)
        message = self.account.ledger.sent(name, kind, self)
        message.to = to
        self.pass_on(message, to_path, body.encode(), success='yes')

    def pass_on(self, message, to_path, body, **kwargs):
        """A message in one chunk or several."""
        frames = msrp.Session(self, to_path, [self.own]).chunks(body, 20000, **kwargs)
        self.sent[frames[0].message_id] = message
        message.unanswered = len(frames)
        for frame in frames:
            self.waiting[frame.tid] = message
        for frame in frames:
            self.put(frame.encode())

    # --- in

    def ready(self):
        self.take_in()
        # TLS may have read more than it gives at a time, which epoll does not tell.
        while not self.closed and getattr(self.sock, 'pending', int)():
            self.take_in()

    def take_in(self):
        try:
            data = self.sock.recv(1 << 16)
        except ws.WOULD_BLOCK:
            return
        except OSError:
            data = b''
        if not data:
            self.over()
            return
        for frame in self._framer.feed(data):
            self.arrived(frame)

    def arrived(self, frame):
        if frame.method == 'SEND':
            self.take_send(frame)
        elif frame.method == 'REPORT':
            self.told(self.sent.get(frame.message_id), frame.status)
        elif frame.code is not None:
            message = self.waiting.pop(frame.tid, None)
            if message:
                message.unanswered -= 1
                if frame.code >= 300:
                    message.refused = frame.code
                    self.told(message, frame.code)

    @staticmethod
    def told(message, status):
        if message is None:
            return
        if status == 200:
            message.good = True
        else:
            message.bad = status

    def take_send(self, frame):
        if frame.body is not None and frame.flag != '#':
            self.take_body(frame)
        if not self.mute and frame.get('Failure-Report', 'yes') == 'yes':
            self.put(msrp.response(frame, 200, 'OK').encode())

    def take_body(self, frame):
        start, _, total = frame.byte_range
        part = self.parts.setdefault(frame.message_id, [bytearray(total or 0), 0])
        part[0][start - 1:start - 1 + len(frame.body)] = frame.body
        part[1] += len(frame.body)
        if part[1] >= (total or 0) and frame.flag == '$':
            del self.parts[frame.message_id]
            self.account.ledger.delivered(
                bytes(part[0]).rpartition(b'\r\n\r\n')[2])      # of a room: in an envelope
            if frame.get('Success-Report') == 'yes' and not self.mute:
                self.put(msrp.report_for(frame, '000 200 OK', f'1-{total}/{total}').encode())

    # --- the end

    def over(self):
        if self.closed:
            return
        self.closed = True
        self.account.epoll.unregister(self.sock.fileno())
        del self.account.lines[self.sock.fileno()]
        self.sock.close()
        self.account.ledger.cut(self)

    def break_down(self, how):
        if self.closed:
            return
        if how == 'cut':                # in the middle of a frame
            self.put(b'MSRP cutcutcut SEND\r\nTo-Path: msrp://x')
        if how == 'reset' and not self.closed:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.over()


class Account:
    """The connections that messages come and go by, and their ledger."""

    def __init__(self):
        self.epoll = select.epoll()
        self.lines = {}
        self.ledger = Ledger()

    def turn(self, timeout=0.005):
        """Whatever has come, and whatever can go."""
        for fd, events in self.epoll.poll(timeout):
            line = self.lines.get(fd)
            if line and events & (select.EPOLLOUT):
                line.flush()
            if line and not line.closed and events & ~select.EPOLLOUT \
                    and time.monotonic() >= line.deaf_until:
                line.ready()

    def hearing(self):
        """Those that were deaf for a time."""
        for line in list(self.lines.values()):
            if line.deaf_until and time.monotonic() >= line.deaf_until:
                line.deaf_until = 0
                line.flush()
