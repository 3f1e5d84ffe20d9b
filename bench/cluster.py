#!/usr/bin/env python3
"""What a cluster costs in Redis, and what Redis costs those who do not need it.

Starts a redis-server of its own and msrpd on loopback, and prints "name value unit" lines.

    bench/cluster.py [--msrpd build/release/msrpd] [PART…]

    redis    memory of each kind of key over 100,000 of them, and Redis' CPU for each script
    idle     commands a second of a node with sessions that say nothing
    local    times of MESSAGEs in sessions that are there, first contacts beside them: with Redis
             there and hanging, in turns
"""
import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

import gateway

HERE = os.path.dirname(os.path.abspath(__file__))
TTL_MS = 10000
KEY_MS = 90 * TTL_MS
KEYS = 100000
NODES = (2, 10, 100, 1000)
INSTANCE = 'i' * 16
# A key of the gateway is whatever the rule says: two URIs here, as docs/gateway.md has it.
GATEWAY_KEY = 'msrpd:gw:sip:client{0:08}@example.org:sip:phone{0:08}@example.org'
RECORD = f'{INSTANCE} sip:192.0.2.1:5060;transport=tcp msrp://192.0.2.1:2855;tcp gw=100000'


def scripts():
    """Those that src/cluster/scripts.c has, by name."""
    with open(os.path.join(HERE, '..', 'src', 'cluster', 'scripts.c'), encoding='utf-8') as file:
        text = re.sub(r'/\*.*?\*/', '', file.read(), flags=re.S)
    found = {}
    for name, body in re.findall(r'\[SCRIPT_(\w+)\] =((?:\s*"(?:[^"\\]|\\.)*")+)', text):
        found[name] = ''.join(re.findall(r'"((?:[^"\\]|\\.)*)"', body)).replace('\\n', '\n')
    return found


class Redis:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix='msrpd-bench-redis-')
        self.path = os.path.join(self.directory, 'redis.sock')
        self.process = subprocess.Popen(
            ['redis-server', '--port', '0', '--unixsocket', self.path, '--save', '',
             '--appendonly', 'no', '--dir', self.directory], stdout=subprocess.DEVNULL)
        self.sock = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 20
        while self.sock.connect_ex(self.path):
            if time.monotonic() > deadline:
                raise SystemExit('redis-server does not start')
            time.sleep(0.05)
        self.file = self.sock.makefile('rb')

    @staticmethod
    def encode(words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        return b''.join([b'*%d\r\n' % len(words),
                         *(b'$%d\r\n%s\r\n' % (len(word), word) for word in words)])

    def answer(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b'-':
            raise SystemExit(rest.decode())
        if kind == b'$' and rest != b'-1':
            return self.file.read(int(rest) + 2)[:-2]
        if kind == b'*':
            return [self.answer() for _ in range(int(rest))]
        return rest

    def ask(self, *words):
        self.sock.sendall(self.encode(words))
        return self.answer()

    def many(self, commands, at_once=200):
        """Pipelined."""
        batch = []
        for command in commands:
            batch.append(self.encode(command))
            if len(batch) == at_once:
                self.flush(batch)
        self.flush(batch)

    def flush(self, batch):
        self.sock.sendall(b''.join(batch))
        for _ in batch:
            self.answer()
        batch.clear()

    def info(self, section, name):
        return float(re.search(rf'\b{name}:([\d.]+)', self.ask('INFO', section).decode())[1])

    def cpu(self):
        with open(f'/proc/{self.process.pid}/schedstat', encoding='ascii') as file:
            return int(file.read().split()[0]) / 1e9

    def clear(self):
        self.ask('FLUSHALL')

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory)


# --- redis

def cost(redis, name, commands, each=1):
    """Redis' CPU for one of them, its sockets included."""
    commands = list(commands)
    cpu = redis.cpu()
    redis.many(commands)
    print(f'redis.{name} {(redis.cpu() - cpu) * 1e6 / len(commands) / each:.2f} us')


def memory(redis, name, commands):
    redis.clear()
    before = redis.info('memory', 'used_memory')
    redis.many(commands)
    print(f'redis.memory_{name} {(redis.info("memory", "used_memory") - before) / KEYS:.0f} bytes')


def run_redis(_):
    redis = Redis()
    try:
        sha = {name: redis.ask('SCRIPT', 'LOAD', text) for name, text in scripts().items()}

        def claims(owner, count, size):
            for start in range(0, count, size):
                keys = [GATEWAY_KEY.format(n) for n in range(start, start + size)]
                yield ('EVALSHA', sha['CLAIM'], size, *keys, f'{owner} {INSTANCE}', KEY_MS,
                       'msrpd:node:')

        def tell(name):
            return ('EVALSHA', sha['NODE'], 3, f'msrpd:node:{name}', 'msrpd:nodes',
                    'msrpd:secret', RECORD, INSTANCE, TTL_MS * 1000, '1', 'msrpd:node:', name,
                    's' * 43)

        memory(redis, 'session', claims('node-a', KEYS, 1))
        print('redis.memory_usage_session '
              f'{redis.ask("MEMORY", "USAGE", GATEWAY_KEY.format(1)).decode()} bytes')
        memory(redis, 'binding', (
            ('SET', f'msrpd:aor:sip:user{n:08}@example.org', 'x' * 250, 'PX', KEY_MS)
            for n in range(KEYS)))
        memory(redis, 'nonce', (('SET', f'msrpd:nonce:{n:032}', '1', 'PX', 60000)
                                for n in range(KEYS)))
        redis.clear()
        redis.many([tell('node-a')])
        cost(redis, 'claim', claims('node-a', KEYS, 1))
        cost(redis, 'renew', claims('node-a', KEYS, 1))
        cost(redis, 'renew_each_of_128', claims('node-a', KEYS // 128 * 128, 128), 128)
        cost(redis, 'refuse', claims('node-b', KEYS, 1))
        cost(redis, 'release', (
            ('EVALSHA', sha['RELEASE'], 1, GATEWAY_KEY.format(n), f'node-a {INSTANCE}')
            for n in range(KEYS)))
        redis.clear()
        redis.many([tell('node-a')])
        cost(redis, 'claim_each_of_128', claims('node-a', KEYS // 128 * 128, 128), 128)
        cost(redis, 'set', (('SET', f'msrpd:aor:sip:user{n:08}@example.org', 'x' * 250, 'PX',
                             KEY_MS) for n in range(KEYS)))
        for count in NODES:
            redis.clear()
            redis.many(tell(f'node-{n}') for n in range(count))
            cost(redis, f'node_of_{count}', [tell('node-0')] * 300)
    finally:
        redis.stop()


# --- a node

def node(options, redis):
    return gateway.Daemon(options.msrpd, 'tcp', cluster=lambda daemon: {
        'redis': f'unix://{redis.path}', 'node': 'a',
        'sip': f'sip:127.0.0.1:{daemon.sip};transport=tcp'})


def commands(redis):
    """Scripts that were called, and the commands inside of them included."""
    text = redis.ask('INFO', 'commandstats').decode()
    calls = {name: int(count) for name, count in re.findall(r'cmdstat_(\w+):calls=(\d+)', text)}
    return calls.get('evalsha', 0), sum(calls.get(name, 0) for name in (
        'get', 'set', 'del', 'pexpire', 'smembers', 'sadd', 'srem'))


def run_idle(options):
    redis = Redis()
    daemon = node(options, redis)
    try:
        bench = gateway.Bench(daemon, 'tcp')
        had = 0
        for count in (0, 1000, options.sessions):
            bench.set_up(had, count, 10000000)
            had = count
            before, began = commands(redis), time.monotonic()
            while time.monotonic() < began + options.seconds:
                bench.turn(0.5)
            took = time.monotonic() - began
            calls, inside = (b - a for a, b in zip(before, commands(redis)))
            print(f'idle.calls_with_{count} {calls / took:.2f} commands/s')
            print(f'idle.inside_with_{count} {inside / took:.2f} commands/s')
    finally:
        daemon.stop()
        redis.stop()


class Timed(gateway.Bench):
    """Times of MESSAGEs to their 202, from when they were due."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.due, self.took, self.contacts = {}, [], 0

    def sip(self, stream, head, body):
        if head.startswith(b'SIP/2.0 202'):
            ident = int(re.search(rb'Call-ID: m([0-9]+)', head, re.I).group(1))
            self.took.append(time.monotonic() - self.due.pop(ident))
        super().sip(stream, head, body)

    def load(self, rate, seconds, ident, sessions, contacts):
        """Local MESSAGEs, and first contacts that Redis is asked for; the times of the former."""
        self.took = []
        began = time.monotonic()
        sent = called = 0
        while (now := time.monotonic() - began) < seconds:
            while sent < now * rate:
                self.due[ident + sent] = began + sent / rate
                self.message((ident + sent) % sessions, ident + sent)
                sent += 1
            while called < now * contacts:
                self.invite(self.contacts)
                self.contacts += 1
                called += 1
            self.turn(0.001)
        self.until(lambda: not self.due, 'the last 202')
        return sorted(self.took)


def run_local(options):
    redis = Redis()
    daemon = node(options, redis)
    figures = {'there': [], 'hanging': []}
    try:
        bench = Timed(daemon, 'tcp')
        bench.set_up(0, options.uris, 10000000)
        bench.contacts = 1000000
        ident = 20000000
        bench.load(options.rate, 2, ident, options.uris, options.contacts)      # warm
        for number in range(2 * options.rounds):
            name = list(figures)[number % 2]
            redis.process.send_signal(signal.SIGSTOP if number % 2 else signal.SIGCONT)
            time.sleep(3)       # until it is known to hang, or is there again
            ident += 1000000
            took = bench.load(options.rate, options.seconds, ident, options.uris,
                              options.contacts)
            figures[name].append((took[len(took) // 2], took[len(took) * 99 // 100], took[-1]))
        for name, rounds in figures.items():
            for i, what in enumerate(('p50', 'p99', 'longest')):
                print(f'local.{name}_{what} '
                      f'{statistics.median(one[i] for one in rounds) * 1000:.2f} ms')
            print(f'local.{name}_p99_least {min(one[1] for one in rounds) * 1000:.2f} ms')
        print('local.p99_hanging_to_there %.2f times' % statistics.median(
            hanging[1] / there[1] for there, hanging in
            zip(figures['there'], figures['hanging'])))
    finally:
        redis.process.send_signal(signal.SIGCONT)
        daemon.stop()
        redis.stop()


PARTS = {'redis': run_redis, 'idle': run_idle, 'local': run_local}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--msrpd', default=os.path.join(HERE, '..', 'build/release/msrpd'))
    parser.add_argument('--rate', type=int, default=1000)
    parser.add_argument('--contacts', type=int, default=20)
    parser.add_argument('--uris', type=int, default=200)
    parser.add_argument('--seconds', type=int, default=20)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--sessions', type=int, default=20000)
    parser.add_argument('parts', nargs='*', metavar='PART', help=', '.join(PARTS))
    options = parser.parse_args()
    for part in options.parts or PARTS:
        PARTS[part](options)


if __name__ == '__main__':
    main()
