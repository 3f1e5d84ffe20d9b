#!/usr/bin/env python3
"""The gateway under load: MESSAGEs and MSRP messages both ways at once, and many sessions.

Starts msrpd on loopback, is phone and MSRP client to it, and prints "name value unit" lines.
CPU is the daemon's own, as the kernel counts it.

    bench/gateway.py --msrpd build/release/msrpd [--transport tcp|udp] [--rate 2000] [--uris 1000]
                     [--seconds 20] [--sessions 10000] [--messages 200000]
"""
import argparse
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PAGE = os.sysconf('SC_PAGE_SIZE')
TEXT = 'a message as people write them, of some eighty characters, and no more than that..'


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as tcp:
        return tcp.getsockname()[1]


class Daemon:
    def __init__(self, program, transport, **sections):
        self.directory = tempfile.mkdtemp(prefix='msrpd-bench-')
        self.sip, self.msrp = free_port(), free_port()
        kinds = ('udp', 'tcp')
        config = {
            'log': {'target': 'stderr', 'level': 'warn'},
            'control': {'socket': os.path.join(self.directory, 'ctl.sock')},
            'sip': {'listen': [f'sip:127.0.0.1:{self.sip};transport={kind}' for kind in kinds]},
            'msrp': {'listen': [{'name': 'bench', 'uri': f'msrp://127.0.0.1:{self.msrp};tcp'}]},
            'routes': {'sip': [
                {'if': {'$rm': 'INVITE'}, 'do': [{'msrp_gw_answer': {
                    'key': '$fu:$tu', 'content_types': 'text/plain', 'from': '$fu', 'to': '$tu',
                    'ruri': f'$tu;transport={transport}'}}]},
                {'if': {'$rm': 'MESSAGE'}, 'do': [{'msg_to_msrp': {
                    'key': '$tu:$fu', 'content_types': 'text/plain'}}]}]},
            **{name: section(self) for name, section in sections.items()},
        }
        path = os.path.join(self.directory, 'msrpd.yaml')
        with open(path, 'w', encoding='ascii') as file:
            json.dump(config, file)
        self.process = subprocess.Popen([program, '-c', path], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(('127.0.0.1', self.sip), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise SystemExit('msrpd does not start') from None
                time.sleep(0.05)

    def cpu(self):
        """Seconds, of all its threads."""
        with open(f'/proc/{self.process.pid}/schedstat', encoding='ascii') as file:
            return int(file.read().split()[0]) / 1e9

    def memory(self):
        """Resident bytes."""
        with open(f'/proc/{self.process.pid}/statm', encoding='ascii') as file:
            return int(file.read().split()[1]) * PAGE

    def ask(self, method):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(os.path.join(self.directory, 'ctl.sock'))
            sock.sendall(json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': method}).encode() + b'\n')
            with sock.makefile() as file:
                return json.loads(file.readline())['result']

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.directory)


class Stream:
    """A TCP connection whose bytes go out as they can."""

    def __init__(self, sock, take):
        self.sock, self.take = sock, take
        self.buffer, self.out = b'', bytearray()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.out += data

    def flush(self):
        if self.out:
            try:
                del self.out[:self.sock.send(self.out)]
            except BlockingIOError:
                pass

    def read(self):
        data = self.sock.recv(1 << 20)
        if not data:
            raise SystemExit('msrpd closed a connection')
        self.buffer = self.take(self, self.buffer + data)


class Datagrams:
    def __init__(self, sock, take, peer):
        self.sock, self.take, self.peer = sock, take, peer
        self.pending = []
        sock.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, 4 << 20)

    def send(self, data):
        self.pending.append(data)

    @property
    def out(self):
        return self.pending

    def flush(self):
        while self.pending:
            try:
                self.sock.sendto(self.pending[0], self.peer)
            except BlockingIOError:
                return
            del self.pending[0]

    def read(self):
        for _ in range(256):
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                return
            self.take(self, data)


SEND_HEAD = re.compile(rb'MSRP (\S+) SEND\r\nTo-Path: ([^\r]*)\r\nFrom-Path: ([^\r]*)\r\n')


class Bench:
    def __init__(self, daemon, transport):
        self.daemon, self.transport = daemon, transport
        self.phone = free_port()
        self.count = dict.fromkeys(('202', 'refused', 'message', 'send', '200', 'failed'), 0)
        self.paths = []                     # the gateway's, by number of the session
        self.answers = {}
        self.listener = socket.create_server(('127.0.0.1', self.phone))
        self.listener.setblocking(False)
        self.caller = self.dial(daemon.sip, self.take_sip)
        self.msrp = self.dial(daemon.msrp, self.take_msrp)
        self.streams = [self.caller, self.msrp]
        if transport == 'udp':
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(('127.0.0.1', self.phone))
            self.sender = Datagrams(sock, self.take_sip, ('127.0.0.1', daemon.sip))
            self.streams.append(self.sender)
        else:
            self.sender = self.caller

    @staticmethod
    def dial(port, take):
        return Stream(socket.create_connection(('127.0.0.1', port)), take)

    # --- what comes

    def take_sip(self, stream, data):
        while True:
            head, found, rest = data.partition(b'\r\n\r\n')
            if not found:
                return data
            length = int(re.search(rb'\r\n(?:Content-Length|l):\s*([0-9]+)', head, re.I).group(1))
            if len(rest) < length:
                return data
            self.sip(stream, head, rest[:length])
            data = rest[length:]
            if not data:
                return data

    def sip(self, stream, head, body):
        if head.startswith(b'SIP/2.0 '):
            code = head[8:11]
            if b'CSeq: 1 INVITE' in head:
                if code >= b'200':
                    self.answers[re.search(rb'Call-ID: i([0-9]+)', head, re.I).group(1)] \
                        = (head, body)
            elif code == b'202':
                self.count['202'] += 1
            else:
                self.count['refused'] += 1
            return
        if not head.startswith(b'MESSAGE'):
            return
        self.count['message'] += 1
        lines = [line for line in head.split(b'\r\n')[1:] if line.split(b':')[0].lower() in
                 (b'via', b'v', b'from', b'f', b'to', b't', b'call-id', b'i', b'cseq')]
        stream.send(self.with_tag(lines))

    @staticmethod
    def with_tag(lines):
        tagged = [line + b';tag=b' if line.lower().startswith((b'to:', b't:')) else line
                  for line in lines]
        return b'SIP/2.0 200 OK\r\n' + b'\r\n'.join(tagged) + b'\r\nContent-Length: 0\r\n\r\n'

    def take_msrp(self, stream, data):
        at = 0
        while True:
            end = data.find(b'\r\n', at)
            if end < 0:
                return data[at:]
            tid = data[at:end].split(b' ')[1]
            mark = b'-------' + tid
            close = data.find(mark, end)
            if close < 0 or len(data) < close + len(mark) + 3:
                return data[at:]
            head = SEND_HEAD.match(data, at)
            if head:
                self.count['send'] += 1
                stream.send(b'MSRP %s 200 OK\r\nTo-Path: %s\r\nFrom-Path: %s\r\n-------%s$\r\n'
                            % (tid, head.group(3), head.group(2), tid))
            elif data[at:end].split(b' ')[2] == b'200':
                self.count['200'] += 1
            else:
                self.count['failed'] += 1
            at = close + len(mark) + 3

    # --- what goes

    def turn(self, timeout=0.01):
        writing = [s for s in self.streams if s.out]
        for stream in writing:
            stream.flush()
        by_socket = {s.sock: s for s in self.streams}
        ready, _, _ = select.select([self.listener, *by_socket], [], [], timeout)
        for sock in ready:
            if sock is self.listener:
                self.streams.append(Stream(sock.accept()[0], self.take_sip))
            else:
                by_socket[sock].read()

    def until(self, done, what, seconds=60):
        deadline = time.monotonic() + seconds
        while not done():
            self.turn()
            if time.monotonic() > deadline:
                raise SystemExit(f'{what} did not come: {self.count}')

    def uri(self, number):
        return f'sip:u{number}@127.0.0.1:{self.phone}'

    def own(self, number):
        return f'msrp://127.0.0.1:9/bench{number};tcp'

    def invite(self, number):
        sdp = ('v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n'
               'm=message 9 TCP/MSRP *\r\na=accept-types:text/plain\r\n'
               f'a=path:{self.own(number)}\r\na=setup:active\r\n')
        self.caller.send((
            f'INVITE sip:gw@127.0.0.1:{self.daemon.sip};transport=tcp SIP/2.0\r\n'
            f'Via: SIP/2.0/TCP 127.0.0.1:{self.phone};branch=z9hG4bKi{number};rport\r\n'
            f'From: <sip:client@example.org>;tag=c{number}\r\nTo: <{self.uri(number)}>\r\n'
            f'Call-ID: i{number}\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n'
            f'Contact: <sip:client@127.0.0.1:{self.phone};transport=tcp>\r\n'
            f'Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n{sdp}').encode())

    def ack(self, number):
        head, body = self.answers.pop(str(number).encode())
        if not head.startswith(b'SIP/2.0 200'):
            raise SystemExit(head.decode())
        to = re.search(rb'\r\nTo: ([^\r]*)', head, re.I).group(1).decode()
        contact = re.search(rb'\r\nContact: <([^>]*)>', head, re.I).group(1).decode()
        self.paths.append(re.search(rb'a=path:(\S+)', body).group(1).decode())
        self.caller.send((
            f'ACK {contact} SIP/2.0\r\n'
            f'Via: SIP/2.0/TCP 127.0.0.1:{self.phone};branch=z9hG4bKa{number};rport\r\n'
            f'From: <sip:client@example.org>;tag=c{number}\r\nTo: {to}\r\nCall-ID: i{number}\r\n'
            'CSeq: 1 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n').encode())

    def say(self, number, ident, body=None):
        frame = (f'MSRP t{ident:08d} SEND\r\nTo-Path: {self.paths[number]}\r\n'
                 f'From-Path: {self.own(number)}\r\nMessage-ID: m{ident:08d}\r\n')
        frame += (f'Byte-Range: 1-{len(body)}/{len(body)}\r\nContent-Type: text/plain\r\n\r\n'
                  f'{body}\r\n' if body else 'Byte-Range: 1-0/0\r\n')
        self.msrp.send((frame + f'-------t{ident:08d}$\r\n').encode())

    def message(self, number, ident):
        kind = self.transport.upper()
        self.sender.send((
            f'MESSAGE sip:client@example.org SIP/2.0\r\n'
            f'Via: SIP/2.0/{kind} 127.0.0.1:{self.phone};branch=z9hG4bKm{ident};rport\r\n'
            f'From: <{self.uri(number)}>;tag=p{ident}\r\nTo: <sip:client@example.org>\r\n'
            f'Call-ID: m{ident}\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\n'
            f'Content-Type: text/plain\r\nContent-Length: {len(TEXT)}\r\n\r\n{TEXT}').encode())

    # --- the runs

    def set_up(self, first, last, ident):
        for start in range(first, last, 100):
            batch = range(start, min(start + 100, last))
            for number in batch:
                self.invite(number)
            self.until(lambda: len(self.answers) == len(batch), 'answers to INVITE')
            for number in batch:
                self.ack(number)
            want = self.count['200'] + len(batch)
            for number in batch:
                self.say(number, ident + number)
            self.until(lambda: self.count['200'] == want, 'bound sessions')

    def both_ways(self, rate, uris, total, first):
        """total messages each way, evenly; the messages of each way that were lost."""
        before = dict(self.count)
        began = time.monotonic()
        sent = 0
        while sent < total:
            due = min(total, int((time.monotonic() - began) * rate) + 1)
            for ident in range(first + sent, first + due):
                self.message(ident % uris, ident)
                self.say(ident % uris, ident, TEXT)
            sent = due
            self.turn(0.001)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and any(
                self.count[name] - before[name] < total for name in ('202', 'message', 'send')):
            self.turn()
        return {name: self.count[name] - before[name] for name in self.count}


def run(options):
    daemon = Daemon(options.msrpd, options.transport)
    prefix = f'gateway.{options.transport}'
    try:
        bench = Bench(daemon, options.transport)
        bench.set_up(0, options.uris, 10000000)
        print(f'{prefix}.memory_of_sessions {daemon.memory() / 1048576:.1f} MiB')
        bench.both_ways(options.rate, options.uris, options.uris, 20000000)     # warm
        total = options.rate * options.seconds
        cpu, began = daemon.cpu(), time.monotonic()
        got = bench.both_ways(options.rate, options.uris, total, 30000000)
        cpu, took = daemon.cpu() - cpu, time.monotonic() - began
        print(f'{prefix}.rate {total / took:.0f} messages/s each way')
        print(f'{prefix}.cpu {cpu * 1e6 / (2 * total):.1f} us/message')
        print(f'{prefix}.lost_to_msrp {total - got["send"]} of {total}')
        print(f'{prefix}.lost_to_sip {total - got["message"]} of {total}')
        print(f'{prefix}.refused {got["refused"] + got["failed"]} messages')
        first, at = daemon.memory(), 50000000
        print(f'{prefix}.memory_before {first / 1048576:.1f} MiB')
        for part in range(4):
            count = options.messages // 8       # each way
            bench.both_ways(options.rate, options.uris, count, at)
            at += count
            print(f'{prefix}.memory_{(part + 1) * 2 * count} {daemon.memory() / 1048576:.1f} MiB')
    finally:
        daemon.stop()


def run_sessions(options):
    daemon = Daemon(options.msrpd, options.transport)
    try:
        bench = Bench(daemon, options.transport)
        bench.set_up(0, 100, 10000000)      # what is allocated once
        before, count = daemon.memory(), options.sessions
        bench.set_up(100, 100 + count, 60000000)
        print(f'gateway.session {(daemon.memory() - before) / count / 1024:.1f} KiB')
        print(f'gateway.sessions {daemon.ask("status")["sessions"]["gw"]} sessions')
    finally:
        daemon.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--msrpd', default='build/release/msrpd')
    parser.add_argument('--transport', default='tcp', choices=('tcp', 'udp'))
    parser.add_argument('--rate', type=int, default=2000)
    parser.add_argument('--uris', type=int, default=1000)
    parser.add_argument('--seconds', type=int, default=20)
    parser.add_argument('--sessions', type=int, default=10000)
    parser.add_argument('--messages', type=int, default=200000)
    options = parser.parse_args()
    if options.seconds:
        run(options)
    if options.sessions:
        run_sessions(options)


if __name__ == '__main__':
    main()
