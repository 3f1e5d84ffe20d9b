"""A TCP proxy between a scripted peer and msrpd that goes wrong at one byte of one direction."""
import os
import re
import socket
import struct
import threading

IN, OUT = 'in', 'out'           # from the peer to msrpd, and back
DELAY = 0.05                    # seconds that the bytes from there on are late
SILENCE = 1.5                   # seconds after which a connection that is ruined breaks down
KINDS = ('delay', 'truncate', 'reset', 'drop', 'duplicate', 'stall')
CORRUPTING = ('drop', 'duplicate')


class Fault:
    """What happens at which byte; all but a delay end the connection, if not at once."""

    def __init__(self, kind, direction, offset):
        self.kind = kind
        self.direction = direction
        self.offset = offset

    @property
    def corrupts(self):
        return self.kind in CORRUPTING

    def __repr__(self):
        return f'{self.kind} {self.direction} at {self.offset}'


class _Link:
    """A connection through the proxy: two sockets, two pumps."""

    def __init__(self, proxy, peer, daemon, fault):
        self.proxy = proxy
        self.sockets = {IN: (peer, daemon), OUT: (daemon, peer)}    # from, to
        self.fault = fault
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._pump, args=(direction,), daemon=True)
                        for direction in (IN, OUT)]
        for thread in tuple(self.threads):      # one may be added by them
            thread.start()

    def _pump(self, direction):
        source, target = self.sockets[direction]
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    if not self.over.is_set():
                        target.shutdown(socket.SHUT_WR)
                    return
                self._pass(direction, target, data)
        except OSError:
            pass                # the other pump, or the test, has ended it

    def _pass(self, direction, target, data):
        fault, at = self.fault, self.proxy.passed[direction]
        self.proxy.passed[direction] += len(data)
        if not fault or fault.direction != direction or at + len(data) <= fault.offset:
            target.sendall(data)
            return
        self.fault = None
        target.sendall(data[:fault.offset - at])
        self.proxy.hit.set()
        rest = getattr(self, f'_{fault.kind}')(data[fault.offset - at:])
        if rest:
            target.sendall(rest)
        if fault.corrupts:
            self._break_down_later()

    def _delay(self, rest):
        self.over.wait(DELAY)
        return rest

    def _drop(self, rest):
        return rest[1:]

    def _duplicate(self, rest):
        return rest[:1] + rest

    def _truncate(self, rest):
        self.end()

    def _reset(self, rest):
        self._close(socket.SHUT_RD, 1)      # no FIN before the RST

    def _stall(self, rest):
        """Nothing more in this direction; a while later the connection is given up."""
        self.over.wait(SILENCE)
        self._reset(rest)

    def _break_down_later(self):
        thread = threading.Thread(target=self._stall, args=(b'',), daemon=True)
        self.threads.append(thread)
        thread.start()

    def _close(self, how, linger):
        self.over.set()
        for source, _ in self.sockets.values():
            try:
                if linger:
                    source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      struct.pack('ii', 1, 0))
                source.shutdown(how)        # wakes the pump
            except OSError:
                pass                        # closed already
            source.close()

    def end(self):
        self._close(socket.SHUT_RDWR, 0)

    def join(self):
        for thread in self.threads:
            if thread is not threading.current_thread():
                thread.join(5)


class FaultProxy:
    """Its first connection has the fault, further ones are passed on as they are."""

    def __init__(self, host, port, fault=None):
        self.target = (host.strip('[]'), int(port))
        self.fault = fault
        self.hit = threading.Event()        # the fault has happened
        self.passed = {IN: 0, OUT: 0}       # bytes that came, of all connections
        self.links = []
        self.sock = socket.create_server(('127.0.0.1', 0))
        self.port = self.sock.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def through(self, uri):
        """The same MSRP URI, by way of the proxy."""
        return re.sub(r'//[^/;]*', f'//127.0.0.1:{self.port}', uri, count=1)

    def _accept(self):
        while True:
            try:
                peer, _ = self.sock.accept()
                daemon = socket.create_connection(self.target)
            except OSError:
                return
            for sock in (peer, daemon):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.links.append(_Link(self, peer, daemon, None if self.links else self.fault))

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        self._thread.join(5)
        for link in self.links:
            link.end()
        for link in self.links:
            link.join()


def faults(passed, kinds=KINDS, turn=0):
    """
    All of them for a conversation of so many bytes, or a sample (scripts/torture walks all).
    Silence takes its time: turn says which direction's turn it is.  So does TLS, whose it is.
    """
    every = int(os.environ.get('MSRPD_TORTURE', 0))
    share, shares = map(int, os.environ.get('MSRPD_TORTURE_SHARE', '0/1').split('/'))
    for index, kind in enumerate(kinds):
        for at, (direction, total) in enumerate(sorted(passed.items())):
            silent = kind in ('stall', *CORRUPTING)
            if silent and not every and (index + at + turn) % 2:
                continue
            if every:
                # Conversations differ by a digit: a share knows its bytes without the others.
                offsets = range(share * every, total, shares * every)
            else:
                # Here another part of the conversation for each kind.
                count = 1 if silent or turn else 2
                offsets = (total * (2 * i + 1) // (2 * count) - index for i in range(count))
            for offset in offsets:
                yield Fault(kind, direction, max(0, offset))
