"""Peers by the thousand: each crowd is a process, so that it takes no turns from the test's own.

    python3 -m lib.crowd BEHAVIOUR ARGUMENTS-AS-JSON

Both sides speak lines: the crowd says what has come about, and is told to go on by one.
"""
import collections
import errno
import itertools
import json
import os
import re
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

from .daemon import die_with_parent
from .digest import sip_credentials
from .waiting import DEADLINE, Mailbox
from .wire import Wire, address_of

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NUMBER = b'@@@@@@@@'            # in what is sent stands for a number that is used once
CREDENTIALS = '@credentials@'   # there, for their header, or for nothing
STEP = 256                      # connections that are opened at once
WRITES = 16                     # of one peer before the others have their turn
CONGESTION = 0.02               # seconds until what is full is tried again
ASKED = 64                      # challenges that one crowd waits for at a time
LOST = 1                        # seconds until one that has not come is not waited for
IP_PKTINFO = getattr(socket, 'IP_PKTINFO', 8)      # Linux; older Pythons do not name it


def sources(first, count):
    """Loopback addresses 127.N.x.y."""
    return [f'127.{first}.{i // 250}.{i % 250 + 1}' for i in range(count)]


def every_source(first):
    """The same, and no end of them: 127.N.x.y, 127.(N+1).x.y."""
    for i in itertools.count(first):
        yield from sources(i, 250 * 250)


class Crowd:
    """As the test sees it."""

    def __init__(self, behaviour, **arguments):
        self.name = f'crowd {behaviour}'
        self.lines = Mailbox(self.name)
        self.process = subprocess.Popen(
            [sys.executable, '-B', '-m', 'lib.crowd', behaviour, json.dumps(arguments)],
            cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            start_new_session=True, preexec_fn=die_with_parent)
        self._thread = threading.Thread(target=self._read_loop, daemon=True)
        self._thread.start()

    def _read_loop(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.close()

    def hear(self, timeout=DEADLINE):
        """What it says next."""
        return self.lines.take(timeout=timeout, what='a line')

    def tell(self):
        self.process.stdin.write('\n')

    def end(self, timeout=DEADLINE):
        """Have it end; what it says at last."""
        self.tell()
        last = self.hear(timeout)
        self.close()
        return last

    def close(self):
        self.process.stdin.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._thread.join()
        self.process.stdout.close()


# --- in the process of a crowd

def say(value):
    print(json.dumps(value), flush=True)


class Loop:
    """Sockets that connect, write and read, until the test says a line."""

    def __init__(self):
        self.epoll = select.epoll()
        self.epoll.register(sys.stdin.fileno(), select.EPOLLIN)
        self.peers = {}
        self.told = False

    def add(self, peer, events):
        self.peers[peer.sock.fileno()] = peer
        self.epoll.register(peer.sock.fileno(), events)

    def remove(self, peer):
        del self.peers[peer.sock.fileno()]
        self.epoll.unregister(peer.sock.fileno())
        peer.sock.close()

    def turn(self, timeout):
        for fd, events in self.epoll.poll(timeout):
            if fd == sys.stdin.fileno():
                sys.stdin.readline()
                self.told = True
            elif fd in self.peers:
                self.peers[fd].ready(events)


class Peer:
    """A connection that says what it is given, again and again or once, and reads or not."""

    def __init__(self, loop, crowd, address, source):
        self.loop, self.crowd = loop, crowd
        self.sock = socket.socket()
        self.sock.setblocking(False)
        for option in crowd.options:
            self.sock.setsockopt(*option)
        self.sock.bind((source, 0))
        self.up, self.rest, self.got = False, b'', 0
        self.said, self.at = False, 0
        self.address = address
        if self.sock.connect_ex(address) not in (0, errno.EINPROGRESS):
            raise OSError('connect')
        loop.add(self, select.EPOLLOUT | select.EPOLLIN)

    def ready(self, events):
        if not self.up:
            self.up = True
            self.crowd.opened(self)
        if events & (select.EPOLLHUP | select.EPOLLERR):
            self.crowd.gone(self)
            return
        if events & select.EPOLLIN and not self.read():
            return
        if events & select.EPOLLOUT:
            self.write()

    def read(self):
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return True
        except OSError:
            data = b''
        return self.take(data)

    def take(self, data):
        """What has come, nothing at the end.  Is there more to be read?"""
        self.got += len(data)
        if not data:
            self.crowd.gone(self)
        return bool(data)

    def write(self):
        try:
            for _ in range(WRITES):
                if not self.rest:
                    self.rest = self.crowd.words(self)
                if not self.rest:
                    self.loop.epoll.modify(self.sock.fileno(), self.interest)
                    return
                sent = self.sock.send(self.rest)
                self.rest = self.rest[sent:]
                self.crowd.sent += sent
                if self.rest:
                    return
        except BlockingIOError:
            pass
        except OSError:
            self.crowd.gone(self)

    @property
    def interest(self):
        return select.EPOLLIN if self.crowd.reads else 0


class Many:
    """Connections that behave as told."""

    options = ()
    reads = True
    peer = Peer

    def __init__(self, target, count, sources, text='', head='', again=False, reads=True,
                 small=False, repeat=False, trickle=0):
        self.loop = Loop()
        self.target, self.count, self.sources = tuple(target), count, itertools.cycle(sources)
        self.head, self.text = head.encode(), text.encode()
        self.again, self.reads, self.repeat = again, reads, repeat
        self.trickle = trickle
        if small:
            self.options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),
                            (socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)]
        self.numbers = itertools.count(1)
        self.sent = self.came = self.left = self.connecting = self.got = 0
        self.wanted = count

    def words(self, peer):
        """What a peer says next."""
        first, peer.said = not peer.said, True
        if self.trickle or not (first or self.repeat):
            return b''
        text = self.head + self.text if first else self.text
        if NUMBER in text:
            text = text.replace(NUMBER, b'%08d' % next(self.numbers))
        return text

    def opened(self, peer):
        self.came += 1
        self.connecting -= 1

    def gone(self, peer):
        self.left += 1
        self.got += peer.got
        self.loop.remove(peer)
        if self.again:
            self.wanted += 1

    def open_some(self):
        while self.wanted > 0 and self.connecting < STEP:
            peer = self.peer(self.loop, self, self.target, next(self.sources))
            if not self.reads:
                self.loop.epoll.modify(peer.sock.fileno(), select.EPOLLOUT)
            self.connecting += 1
            self.wanted -= 1

    def drip(self):
        """A byte more of everybody's text."""
        for peer in list(self.loop.peers.values()):
            try:
                peer.sock.send(self.text[peer.at:peer.at + 1])
                peer.at = (peer.at + 1) % len(self.text)
            except BlockingIOError:
                pass
            except OSError:
                self.gone(peer)

    def run(self):
        there = False
        next_drip = 0
        while not self.loop.told:
            self.open_some()
            if not there and self.came >= self.count:
                there = True
                say({'there': self.came, 'left': self.left})
            self.loop.turn(self.trickle or 0.2)
            if self.trickle and there and time.monotonic() >= next_drip:
                self.drip()
                next_drip = time.monotonic() + self.trickle
        got = self.got + sum(peer.got for peer in self.loop.peers.values())
        say({'came': self.came, 'open': len(self.loop.peers), 'left': self.left,
             'sent': self.sent, 'got': got})


def many(**arguments):
    Many(**arguments).run()


def datagrams(target, text, sources):
    """As many as can be sent, each from the next source and port."""
    socks = []
    for source in sources:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((source, 0))
        sock.connect(tuple(target))
        socks.append(sock)
    loop = Loop()
    text = text.encode()
    count = answers = 0
    say({'there': len(socks)})
    for sock in itertools.cycle(socks):
        count += 1
        try:
            sock.send(text.replace(NUMBER, b'%08d' % count))
        except OSError:
            pass
        try:
            while True:
                sock.recv(65536)
                answers += 1
        except OSError:
            pass
        if count % 100 == 0:
            loop.turn(0)
            if loop.told:
                break
    say({'sent': count, 'got': answers})


class Guesser:
    """What somebody says who does not know the password: REGISTERs."""

    def __init__(self, text, uri, user, tries):
        self.text, self.uri, self.user, self.tries = text.encode(), uri, user, tries
        self.numbers = itertools.count(1)

    def _fill(self, credentials):
        return self.text.replace(NUMBER, b'%08d' % next(self.numbers)).replace(
            CREDENTIALS.encode(), credentials)

    def question(self):
        """Which is challenged."""
        return self._fill(b'')

    def guesses(self, answer):
        """What follows; nothing if that is no challenge."""
        match = re.search(rb'\r\nWWW-Authenticate: *([^\r]+)', answer)
        if not match:
            return []
        value = sip_credentials(match[1].decode(), 'REGISTER', self.uri, self.user, 'wrong')
        field = f'Authorization: {value}\r\n'.encode()
        return [self._fill(field) for _ in range(self.tries)]


class GuessingPeer(Peer):
    """Over a connection: the question, so many guesses, and the end, when all is answered."""

    def __init__(self, *args):
        super().__init__(*args)
        self.data, self.asked, self.awaited = b'', True, 1

    def take(self, data):
        *answers, self.data = (self.data + data).split(b'\r\n\r\n')
        if answers and self.asked:
            guesses = self.crowd.guesser.guesses(answers[0])
            self.asked, self.awaited = False, 1 + len(guesses)
            self.rest = b''.join(guesses)
            self.loop.epoll.modify(self.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
        self.awaited -= len(answers)
        if not data or not self.awaited:
            self.crowd.gone(self)
            return False
        return True


class GuessingMany(Many):
    """Connections from one address after the other."""

    peer = GuessingPeer

    def __init__(self, guesser, **kwargs):
        super().__init__(again=True, **kwargs)
        self.guesser = guesser

    def words(self, peer):
        first, peer.said = not peer.said, True
        return self.guesser.question() if first else b''


def guess_by_streams(target, first, **kwargs):
    GuessingMany(Guesser(**kwargs), target=target, count=20, sources=every_source(first)).run()


class GuessingSocket:
    """One for datagrams from all addresses."""

    def __init__(self, target):
        self.target = tuple(target)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        self.sock.bind(('0.0.0.0', 0))

    def send(self, source, data):
        """From there; what the kernel has no room for is lost."""
        note = struct.pack('=i4s4s', 0, socket.inet_aton(source), bytes(4))
        try:
            self.sock.sendmsg([data], [(socket.IPPROTO_IP, IP_PKTINFO, note)], 0,
                              self.target)
        except BlockingIOError:
            pass

    def received(self):
        """What has come, and to whom."""
        while True:
            try:
                data, notes, _, _ = self.sock.recvmsg(65536, socket.CMSG_SPACE(12))
            except BlockingIOError:
                return
            for level, kind, value in notes:
                if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
                    yield socket.inet_ntoa(value[8:12]), data


def guess_by_datagrams(target, first, **kwargs):
    """From one address after the other: the question, and then so many guesses."""
    guesser, sock = Guesser(**kwargs), GuessingSocket(target)
    places = every_source(first)
    asked, ready = {}, collections.deque()
    loop = Loop()
    loop.epoll.register(sock.sock.fileno(), select.EPOLLIN)
    sent = answers = 0
    say({'there': 1})
    while not loop.told:
        for place, data in sock.received():
            answers += 1
            if asked.pop(place, None):
                ready += [(place, guess) for guess in guesser.guesses(data)]
        late = time.monotonic() - LOST
        while asked and next(iter(asked.values())) < late:
            del asked[next(iter(asked))]
        while not ready and len(asked) < ASKED:
            place = next(places)
            asked[place] = time.monotonic()
            sock.send(place, guesser.question())
            sent += 1
        for _ in range(min(len(ready), ASKED)):
            sock.send(*ready.popleft())
            sent += 1
        loop.turn(0 if ready else CONGESTION)
    say({'sent': sent, 'got': answers})


def awake(processor):
    """Keeps a processor from sleeping."""
    os.sched_setaffinity(0, {processor})
    say({'there': 1})
    while True:
        pass


def lurkers(relay, user, password, count, sources, size):
    """
    Clients of a relay who read nothing any more, each with a peer that sends him as much as it
    can.
    """
    address = address_of(relay)
    small = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),
             (socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)]
    pairs = []
    for _, source in zip(range(count), itertools.cycle(sources)):
        client = Wire(address, source, options=small)
        answer = client.auth(relay, user, password)
        path = [*reversed(answer.get('Use-Path').split(' ')), client.own]
        peer = Wire(address, source)
        peer.send(peer.send_frame(path, b'knock'))      # or it would be closed as one of no use
        frame = peer.send_frame(path, b'x' * size).encode()
        peer.sock.setblocking(False)
        pairs.append([client, peer, frame, b''])
    say({'there': count})
    loop = Loop()
    sent = 0
    refused = set()
    while not loop.told:
        busy = False
        for index, pair in enumerate(pairs):
            try:
                if pair[1].sock.recv(65536) == b'':
                    refused.add(index)
            except BlockingIOError:
                pass
            except OSError:
                refused.add(index)
            if index in refused:
                continue
            try:
                pair[3] = pair[3] or pair[2]
                n = pair[1].sock.send(pair[3])
                pair[3] = pair[3][n:]
                sent += n
                busy = True
            except BlockingIOError:
                pass
            except OSError:
                refused.add(index)
        loop.turn(0 if busy else CONGESTION)
    say({'sent': sent, 'closed': count_over([pair[0].sock for pair in pairs])})


def count_over(socks, seconds=10):
    """How many msrpd has given up?  All that waits is read."""
    deadline = time.monotonic() + seconds
    left = list(socks)
    while left and time.monotonic() < deadline:
        left = [sock for sock in left if not is_over(sock)]
        time.sleep(CONGESTION)
    return len(socks) - len(left)


def is_over(sock):
    sock.setblocking(False)
    try:
        while sock.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def handshakes(targets, count, sources, ca):
    """
    TLS connections, one after the other: good ones with an old session and without, such as
    end in the middle of the handshake, and such as say garbage.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    context.check_hostname = False
    sessions = {}
    source = itertools.cycle(sources)
    kinds = {'good': 0, 'cut': 0, 'garbage': 0, 'resumed': 0}
    loop = Loop()
    for i in range(count):
        target = tuple(targets[i % len(targets)])
        kind = ('good', 'good', 'cut', 'garbage')[i // len(targets) % 4]
        sock = socket.socket()
        sock.bind((next(source), 0))
        sock.settimeout(DEADLINE)
        sock.connect(target)
        if kind == 'garbage':
            sock.sendall(b'\x16\x03\x01\x00\x80' + os.urandom(200))
            drain(sock)
        else:
            sessions[target] = hello(sock, context, sessions.get(target), kind == 'cut', kinds)
        kinds[kind] += 1
        if i % 1000 == 999:
            say({'done': i + 1})
            loop.turn(0)
    say(kinds)


def drain(sock):
    try:
        while sock.recv(4096):
            pass
    except OSError:
        pass
    sock.close()


def hello(sock, context, session, cut, kinds):
    """A handshake, or half of one; the session for the next."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=None, session=session)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            hail = outgoing.read()
            if cut:
                # Half of the hello, or all of it, and the end.
                sock.sendall(hail[:len(hail) // 2] if kinds['cut'] % 2 else hail)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                sock.close()
                return session
            sock.sendall(hail)
            incoming.write(sock.recv(1 << 16))
    sock.sendall(outgoing.read())
    kinds['resumed'] += tls.session_reused
    # What both protocols skip; and the tickets, which come with or before the close.
    tls.write(b'\r\n\r\n')
    sock.sendall(outgoing.read())
    if session is None or not tls.session_reused:
        incoming.write(sock.recv(1 << 16))
        try:
            tls.read(1)
        except ssl.SSLError:
            pass
        session = tls.session
    sock.shutdown(socket.SHUT_WR)
    drain(sock)
    return session


if __name__ == '__main__':
    {'many': many, 'datagrams': datagrams, 'lurkers': lurkers,
     'guess_by_datagrams': guess_by_datagrams, 'guess_by_streams': guess_by_streams,
     'handshakes': handshakes, 'awake': awake}[sys.argv[1]](**json.loads(sys.argv[2]))
