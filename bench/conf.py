#!/usr/bin/env python3
"""What a chat room costs, seen by a crowd of scripted clients that have a connection each.

    bench/conf.py [messages|memory|storm|slow|persist ...]      (default: all)

$MSRPD names the program (default build/release/msrpd).  Prints "name value unit".  CPU time is the kernel's own count for the process.
"""
import glob
import hashlib
import itertools
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from ua import MSRPD, Daemon, show

ROOM = 'sip:lobby@127.0.0.1'
SIZES = (10, 100, 1000)
COPIES = 60000                  # of one run
RUNS = 5
NUMBERS = itertools.count()
CONFIG = """
log: {{target: stderr, level: {level}}}
control: {{socket: {socket}, mode: "0600"}}
sip: {{listen: ["sip:127.0.0.1:0;transport=tcp"]}}
msrp: {{listen: [{{name: lo, uri: "msrp://127.0.0.1:0;tcp"}}], max_connections: 15000}}
relay: {{enabled: false}}
limits: {{connections_per_address: 0}}
conference: {{rooms: [{{uri: "sip:lobby@127.0.0.1"}}], max_participants: 5000, history: HISTORY PERSIST}}
routes:
  sip:
    - if: {{$rm: INVITE}}
      do: [{{msrp_conf_join: {{room: "sip:lobby@127.0.0.1"}}}}]
"""


def start_room(history=0, persist=''):
    text = CONFIG.replace('HISTORY', str(history)).replace(
        'PERSIST', f', persist: {persist}' if persist else '')
    return Daemon('room', config=text)


class Client:
    """One participant."""

    def __init__(self, number, crowd):
        self.number, self.crowd = number, crowd
        self.name = f'sip:user{number}@127.0.0.1'
        self.own = f'msrp://127.0.0.1:9/client{number};tcp'
        self.path, self.sock = None, None
        self.rest = b''
        self.heard = 0

    def connect(self):
        host, port = re.match(r'msrp://([\d.]+):(\d+)/', self.path).groups()
        self.sock = socket.create_connection((host, int(port)))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(self.frame('bind', b''))

    def frame(self, tid, body):
        head = f'MSRP {tid} SEND\r\nTo-Path: {self.path}\r\nFrom-Path: {self.own}\r\n' \
               f'Message-ID: {tid}\r\nByte-Range: 1-{len(body)}/{len(body)}\r\n'
        if not body:
            return f'{head}-------{tid}$\r\n'.encode()
        return f'{head}Content-Type: message/cpim\r\n\r\n'.encode() + body + \
            f'\r\n-------{tid}$\r\n'.encode()

    def say(self, tid, size):
        head = f'From: <{self.name}>\r\nTo: <{ROOM}>\r\n\r\nContent-Type: text/plain\r\n\r\n'
        self.sock.sendall(self.frame('tid' + tid, head.encode() + b'x' * (size - len(head))))

    SEND = re.compile(rb'MSRP (\S+) SEND\r\nTo-Path: \S+\r\nFrom-Path: (\S+)[^\r]*\r\n')

    def read(self):
        """Answer what has come; how many messages that was."""
        data = self.rest + self.sock.recv(1 << 18)
        if not data:
            raise EOFError(self.name)
        out, count, at = [], 0, 0
        while True:
            end = data.find(b'\r\n', at)
            if end < 0:
                break
            tid = data[at + 5:end].split(b' ', 1)[0]
            end = data.find(b'-------' + tid, end)
            if end < 0 or len(data) < end + len(tid) + 10:
                break
            found = self.SEND.match(data, at)
            if found:
                out.append(b'MSRP %s 200 OK\r\nTo-Path: %s\r\nFrom-Path: %s\r\n-------%s$\r\n' % (
                    tid, found[2], self.own.encode(), tid))
                count += 1
            at = end + len(tid) + 10
        self.rest = data[at:]
        if out:
            self.sock.sendall(b''.join(out))
        self.heard += count
        return count


class Crowd:
    """Clients whose SIP goes over one connection."""

    def __init__(self, room):
        self.room = room
        host, port = re.match(r'sip:([\d.]+):(\d+)', room.sip).groups()
        self.sip = socket.create_connection((host, int(port)))
        self.port = self.sip.getsockname()[1]
        self.rest = b''
        self.clients = []
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.sip, selectors.EVENT_READ, self)
        self.invited = 0

    # --- SIP

    def request(self, method, client, cseq, tag='', body='', headers='', target=ROOM):
        via = f'z9hG4bK{method}{client.number}.{cseq}'
        kind = 'application/sdp' if body else ''
        return (f'{method} {target} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:{self.port};branch={via}\r\n'
                f'From: <{client.name}>;tag=t{client.number}\r\nTo: <{ROOM}>{tag}\r\n'
                f'Call-ID: call{client.number}\r\n'
                f'CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n'
                f'Contact: <sip:user{client.number}@127.0.0.1:{self.port};transport=tcp>\r\n{headers}'
                + (f'Content-Type: {kind}\r\n' if kind else '') +
                f'Content-Length: {len(body)}\r\n\r\n{body}').encode()

    def invite(self, client):
        sdp = ('v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n'
               'm=message 9 TCP/MSRP *\r\na=accept-types:message/cpim\r\na=accept-wrapped-types:*\r\n'
               f'a=path:{client.own}\r\na=setup:active\r\na=chatroom:private-messages\r\n')
        self.sip.sendall(self.request('INVITE', client, 1, body=sdp))

    def read(self):
        data = self.rest + self.sip.recv(1 << 18)
        while True:
            head, found, rest = data.partition(b'\r\n\r\n')
            size = re.search(rb'(?im)^(?:Content-Length|l):\s*(\d+)', head) if found else None
            if not size or len(rest) < int(size[1]):
                break
            data = rest[int(size[1]):]
            self.message(head.decode(), rest[:int(size[1])].decode())
        self.rest = data

    def message(self, head, body):
        line = head.split('\r\n', 1)[0]
        call = int(re.search(r'(?im)^(?:Call-ID|i):\s*[a-z]+(\d+)', head)[1])
        client = self.clients[call]
        if not line.startswith('SIP/2.0'):
            self.answer(head)
        elif 'INVITE' in re.search(r'(?im)^CSeq:(.*)', head)[1] and ' 200 ' in line:
            tag = re.search(r'(?im)^(?:To|t):.*(;tag=[^;\r]+)', head)[1]
            target = re.search(r'(?im)^(?:Contact|m):\s*<([^>]+)>', head)[1]
            client.path = re.search(r'a=path:(\S+)', body)[1]
            self.sip.sendall(self.request('ACK', client, 1, tag, target=target))
            self.invited += 1
        elif not re.match(r'SIP/2.0 [12]', line):
            raise SystemExit(head)

    def answer(self, head):
        kept = [line for line in head.split('\r\n')[1:]
                if re.match(r'(?i)(via|v|from|f|to|t|call-id|i|cseq)\s*:', line)]
        self.sip.sendall('\r\n'.join(['SIP/2.0 200 OK', *kept, 'Content-Length: 0', '', '']).encode())

    # --- all of it

    def turn(self, timeout=30, wanted=None):
        count = 0
        events = self.selector.select(timeout)
        if not events and timeout >= 30:
            raise SystemExit(f'nothing comes any more: {wanted}')
        for key, _ in events:
            count += key.data.read() or 0
        return count

    def join(self, count):
        """So many more."""
        for _ in range(count):
            client = Client(len(self.clients), self)
            self.clients.append(client)
            before = self.invited
            self.invite(client)
            while self.invited == before:
                self.turn(wanted='200')
            client.connect()
            self.selector.register(client.sock, selectors.EVENT_READ, client)
        while len(self.room.control.call('msrp_conf_list')[0]['participants']) < len(self.clients):
            self.turn(0.05)

    def hear(self, count):
        heard = 0
        while heard < count:
            heard += self.turn(wanted=f'{heard} of {count} copies')

    def leave(self):
        for client in self.clients:
            client.sock.close()
        self.sip.close()
        self.selector.close()


# --- CPU time of a copy, beside the relay's of a message

RELAY = """
log: {{target: stderr, level: {level}}}
control: {{socket: {socket}, mode: "0600"}}
sip: {{listen: ["sip:127.0.0.1:0;transport=tcp"]}}
msrp: {{listen: [{{name: lo, uri: "msrp://127.0.0.1:0;tcp"}}], max_connections: 15000}}
limits: {{connections_per_address: 0}}
relay: {{users: {{bench: {{password: bench}}}}, allow_plain_auth: true}}
"""


class Receiver(Client):
    """Somebody without a relay, whom the relay connects to."""

    def __init__(self, number, crowd):
        super().__init__(number, crowd)
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.own = f'msrp://127.0.0.1:{self.listener.getsockname()[1]}/receiver{number};tcp'


class Relayed:
    """One client of a relay, who writes to many: what a room does, done by a relay."""

    def __init__(self, relay, count):
        self.selector = selectors.DefaultSelector()
        self.own = 'msrp://127.0.0.1:9/sender;tcp'
        self.sock = socket.create_connection(self.address(relay))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.receivers = [Receiver(number, self) for number in range(count)]
        self.authenticate(relay)
        self.selector.register(self.sock, selectors.EVENT_READ, self)
        for receiver in self.receivers:
            self.sock.sendall(self.frame(receiver, 'first'))
            receiver.sock, _ = receiver.listener.accept()
            receiver.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(receiver.sock, selectors.EVENT_READ, receiver)
        self.hear(count)

    @staticmethod
    def address(relay):
        listen = relay.control.call('status')['listen']['msrp'][0]
        text = listen['uri'] if isinstance(listen, dict) else listen
        host, port = re.search(r'([\d.]+):(\d+)', text).groups()
        return host, int(port)

    def authenticate(self, relay):
        host, port = self.address(relay)
        uri = f'msrp://{host}:{port};tcp'
        head = f'To-Path: {uri}\r\nFrom-Path: {self.own}\r\n'
        self.sock.sendall(f'MSRP auth1 AUTH\r\n{head}-------auth1$\r\n'.encode())
        challenge = dict(re.findall(r'(\w+)="([^"]*)"', self.sock.recv(65536).decode()))

        def md5(text):
            return hashlib.md5(text.encode()).hexdigest()
        proof = md5(':'.join([md5(f'bench:{challenge["realm"]}:bench'), challenge['nonce'],
                              '00000001', 'bench', 'auth', md5(f'AUTH:{uri}')]))
        self.sock.sendall((
            f'MSRP auth2 AUTH\r\n{head}Authorization: Digest username="bench", '
            f'realm="{challenge["realm"]}", nonce="{challenge["nonce"]}", qop=auth, nc=00000001, '
            f'cnonce="bench", response="{proof}"\r\n-------auth2$\r\n').encode())
        self.grant = re.search(r'Use-Path: (\S+)', self.sock.recv(65536).decode())[1]

    def frame(self, receiver, name):
        tid = f'{name}x{receiver.number}'
        return (f'MSRP {tid} SEND\r\nTo-Path: {self.grant} {receiver.own}\r\nFrom-Path: {self.own}\r\n'
                f'Message-ID: {tid}\r\nByte-Range: 1-1024/1024\r\nContent-Type: text/plain\r\n\r\n'
                + 'x' * 1024 + f'\r\n-------{tid}$\r\n').encode()

    def read(self):
        if not self.sock.recv(1 << 18):
            raise EOFError('the relay')

    def say(self, name, _):
        self.sock.sendall(b''.join(self.frame(receiver, name) for receiver in self.receivers))

    turn, hear = Crowd.turn, Crowd.hear

    def leave(self):
        for receiver in self.receivers:
            receiver.listener.close()
            receiver.sock.close()
        self.sock.close()
        self.selector.close()


def cost(daemon, crowd, speaker, recipients):
    """CPU for each recipient of a message: us."""
    count, cpu = max(4, COPIES // RUNS // recipients), daemon.cpu_ns()
    for _ in range(count):
        speaker.say(f'm{next(NUMBERS)}x', 1024)     # one that was sent already is not passed on
        crowd.hear(recipients)
    return (daemon.cpu_ns() - cpu) / (count * recipients) / 1000


def messages():
    """A room of so many beside a relay whose client writes to so many, the runs interleaved."""
    for participants in SIZES:
        others = participants - 1
        room, relay = start_room(), Daemon('relay', config=RELAY)
        crowd, relayed = Crowd(room), Relayed(relay, others)
        crowd.join(participants)
        pairs = [(cost(room, crowd, crowd.clients[0], others),
                  cost(relay, relayed, relayed, others)) for _ in range(RUNS)]
        show(f'conf_{participants}_1KiB', statistics.median(pair[0] for pair in pairs), 'us/copy')
        show(f'conf_{participants}_1KiB_relay', statistics.median(pair[1] for pair in pairs),
             'us/message')
        show(f'conf_{participants}_1KiB_ratio', statistics.median(a / b for a, b in pairs),
             'of the relay')
        for one in (crowd, relayed):
            one.leave()
        for one in (room, relay):
            one.stop()


# --- crowds whose load generator is bench/room.c

class Throng:
    """Many who come in fast; a process of its own."""

    def __init__(self, room, *options):
        port = re.match(r'sip:[\d.]+:(\d+)', room.sip)[1]
        program = os.path.join(os.path.dirname(MSRPD), 'bench', 'bench_room')
        self.process = subprocess.Popen([program, '--sip', port, *options], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line, answer):
        """What it prints up to the line that begins with answer; the number there."""
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        figures = {}
        while True:
            words = self.process.stdout.readline().split()
            if not words:
                raise SystemExit(f'bench_room: nothing after {line}')
            if words[0] == answer:
                return float(words[1]), figures
            figures[words[0]] = words[1:]

    def join(self, count, seconds=0):
        return self.ask(f'join {count} {seconds}', 'joined')[0]

    def leave(self):
        self.process.stdin.close()
        self.process.wait(20)


def each(config):
    """KiB for each of those who are there and say nothing."""
    daemon = Daemon('idle', config=config)
    throng = Throng(daemon)
    throng.join(500)                # what grows once
    before = daemon.rss_kib()
    throng.join(2000)
    grown = (daemon.rss_kib() - before) / 2000
    throng.leave()
    daemon.stop()
    return grown


def memory():
    """Participants, beside sessions of the User Agent: what of it is SIP's dialog and MSRP's session."""
    room = CONFIG.replace('HISTORY', '0').replace('PERSIST', '')
    participant = each(room)
    session = each(room.replace('msrp_conf_join: {{room: "sip:lobby@127.0.0.1"}}',
                                'msrp_ua_answer: {{content_types: "message/cpim"}}'))
    show('conf_idle_participant', participant, 'KiB')
    show('conf_idle_session', session, 'KiB')
    show('conf_idle_participant_beyond_session', participant - session, 'KiB')


# --- a thousand who come in ten seconds, each of whom watches the roster

def storm():
    room = start_room()
    throng = Throng(room, '--subscribe')
    cpu = room.cpu_ns()
    show('conf_storm_joins', throng.join(1000, 10), 's')
    took, figures = throng.ask('roster', 'known')
    show('conf_storm_known', took, 's')
    for name, (value, unit) in figures.items():
        show(f'conf_storm_{name}', value, unit)
    show('conf_storm_cpu', (room.cpu_ns() - cpu) / 1e9, 's')
    show('conf_storm_rss', room.rss_kib() / 1024, 'MiB')
    throng.leave()
    room.stop()


# --- one of a thousand who does not read

def slow():
    """Latencies of the others, with and without him, the rounds interleaved."""
    room = start_room()
    crowd = Crowd(room)
    crowd.join(999)
    figures = {'without': [], 'with': []}
    for number in range(3):
        figures['without'] += latencies(crowd, f'a{number}')
        lazy = Client(len(crowd.clients), crowd)
        crowd.clients.append(lazy)
        before = crowd.invited
        crowd.invite(lazy)
        while crowd.invited == before:
            crowd.turn()
        lazy.sock = socket.socket()
        lazy.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = re.match(r'msrp://([\d.]+):(\d+)/', lazy.path).groups()
        lazy.sock.connect((host, int(port)))
        lazy.sock.sendall(lazy.frame('bind', b''))
        figures['with'] += latencies(crowd, f'b{number}', until=lambda: dropped(room) > number)
        lazy.sock.close()
    for name, all_of_them in figures.items():
        all_of_them.sort()
        show(f'conf_slow_{name}_p50', all_of_them[len(all_of_them) // 2] * 1000, 'ms')
        show(f'conf_slow_{name}_p99', all_of_them[len(all_of_them) * 99 // 100] * 1000, 'ms')
        show(f'conf_slow_{name}_max', all_of_them[-1] * 1000, 'ms')
    show('conf_slow_dropped', dropped(room), 'participants')
    crowd.leave()
    room.stop()


def dropped(room):
    return room.control.call('get_statistics', group='conf')['conf:slow']


def latencies(crowd, name, count=150, size=16384, until=None):
    """From a message's leaving to its coming, of each of the others."""
    taken = []
    speaker, others = crowd.clients[0], 998
    while len(taken) < count * others or (until and not until()):
        began = time.monotonic()
        speaker.say(f'{name}n{len(taken)}x', size)
        left = others
        while left:
            events = crowd.selector.select(30)
            for key, _ in events:
                come = key.data.read() or 0
                taken += [time.monotonic() - began] * come
                left -= come
    return taken


# --- what the loop waits for the store

def persist():
    """How long the loop is in the store for each message, as seen in the system calls' times."""
    directory = tempfile.mkdtemp(prefix='bench-conf-')
    for name, extra in (('without', ''), ('with', os.path.join(directory, 'rooms.db'))):
        room = start_room(history=100, persist=extra)
        crowd = Crowd(room)
        crowd.join(2)
        if extra:
            longest_change(room, crowd)
        times, cpu = [], room.cpu_ns()
        for number in range(3000):
            began = time.monotonic()
            crowd.clients[0].say(f'm{number}x', 1024)
            crowd.hear(1)
            times.append(time.monotonic() - began)
        times.sort()
        show(f'conf_persist_{name}_cpu', (room.cpu_ns() - cpu) / 3000 / 1000, 'us/message')
        for part in (500, 990, 999):
            show(f'conf_persist_{name}_p{part / 10:g}', times[len(times) * part // 1000] * 1000, 'ms')
        crowd.leave()
        room.stop()
    for file in glob.glob(os.path.join(directory, '*')):
        os.unlink(file)
    os.rmdir(directory)


def waited_ns(daemon):
    """How long it was ready to run while others had the processors, ever."""
    with open(f'/proc/{daemon.process.pid}/schedstat') as file:
        return int(file.read().split()[1])


def longest_change(room, crowd):
    """The longest that the store took for a change, and how much of it the processor was others'."""
    longest, waited = 0, 0
    for number in range(2000):
        before = waited_ns(room)
        crowd.clients[0].say(f'n{number}x', 1024)
        crowd.hear(1)
        took = room.control.call('get_statistics', group='conf')['conf:persist_longest']
        if took > longest:
            waited = (waited_ns(room) - before) / 1000
        longest = max(longest, took)
    show('conf_persist_longest', longest / 1000, 'ms')
    show('conf_persist_longest_waited', waited / 1000, 'ms of the processor meanwhile, at most')


def main():
    for name in sys.argv[1:] or ['messages', 'memory', 'storm', 'slow', 'persist']:
        {'messages': messages, 'memory': memory, 'storm': storm, 'slow': slow,
         'persist': persist}[name]()


if __name__ == '__main__':
    main()
