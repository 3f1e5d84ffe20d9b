#!/usr/bin/env python3
"""What it costs that a message comes to the wrong node, and what two processes carry.

Starts a redis-server of its own and two nodes on loopback, and prints "name value unit" lines;
CPU is that of both nodes. The rounds are interleaved, and ratios are medians of rounds.

    bench/nodes.py [--build build/release] [--rounds 5] [--seconds 3] [PART…]

    relay      1 KiB and 1 MiB from a client of one node to a peer who came to the other one,
               beside both at one node
    gateway    a MESSAGE that comes to the node that has not its key, beside one that comes to
               the other
    processes  two processes with the same ports beside one: MSRP messages, TLS handshakes. Each
               process has a core where there are enough, so both carry as much as their CPU for
               each says: clients and load have their own
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import cluster
import gateway
import relay

HERE = os.path.dirname(os.path.abspath(__file__))
KIB = 1024
NAME = 'im.example.org'


def show(name, value, unit):
    print(f'{name} {value:.4g} {unit}', flush=True)


def side_by_side(name, rounds, one, other, what):
    """Both in turns: the medians, and that of their ratios."""
    figures = [(one(), other()) for _ in range(rounds)]
    show(f'{name}.{what[0]}', statistics.median(a for a, _ in figures), 'us')
    show(f'{name}.{what[1]}', statistics.median(b for _, b in figures), 'us')
    return statistics.median(b / a for a, b in figures)


class Relay(relay.Msrpd):
    """Node number of those that share a port, or that have it each at an address of its own."""

    def __init__(self, bench, number, redis, shared, like=None):
        super().__init__(bench)
        self.number, self.redis, self.shared = number, redis, shared
        self.host = '127.0.0.1' if shared else f'127.0.0.{number}'
        self.directory = os.path.join(bench.directory, f'node{number}-{shared}')
        os.mkdir(self.directory)
        self.ports = like.ports if like else relay.free_ports(2)
        self.own_port, self.sip = relay.free_ports(2)

    def run(self):
        tcp, tls = self.ports
        own = f'msrp://{self.host}:{self.own_port};tcp'
        name = f'msrp://{self.host if self.shared else NAME}:{tcp};tcp'
        config = {
            'log': {'target': 'stderr', 'level': 'warn'},
            'share_ports': self.shared,
            'tls_threads': 1,
            'control': {'socket': os.path.join(self.directory, 'msrpd.sock')},
            'sip': {'listen': [f'sip:127.0.0.1:{self.sip};transport=tcp']},
            'msrp': {'listen': [
                {'uri': own},
                {'uri': f'msrp://{self.host}:{tcp};tcp',
                 **({} if self.shared else {'advertise': f'{NAME}:{tcp}'})},
                {'uri': f'msrps://{self.host}:{tls};tcp'}],
                'tls': {'certificate': self.bench.certificate, 'private_key': self.bench.key,
                        'ca_file': self.bench.certificate}},
            'relay': {'users': relay.USERS, 'allow_plain_auth': True,
                      'my_uri': [own if self.shared else name]},
            'cluster': {'redis': f'unix://{self.redis.path}', 'node': f'n{self.number}',
                        'sip': f'sip:127.0.0.1:{self.sip};transport=tcp', 'msrp': own}}
        path = self.write('msrpd.yaml', json.dumps(config))
        log = os.path.join(self.directory, 'log')
        with open(log, 'wb') as file:
            self.process = subprocess.Popen(
                [os.path.join(self.bench.build, 'msrpd'), '-n', '-c', path], stdout=file,
                stderr=file, stdin=subprocess.DEVNULL, start_new_session=True)
        relay.wait_port(self.sip, self.process)


class Pair:
    """Two of them."""

    def __init__(self, bench, redis, shared):
        self.bench = bench
        first = Relay(bench, 1, redis, shared)
        self.nodes = [first, Relay(bench, 2, redis, shared, first)]
        for node in self.nodes:
            node.run()
        time.sleep(1)           # until they know of each other

    def relayed(self, by=None, nodes=None, **arguments):
        """CPU of all nodes for each message."""
        nodes = nodes or self.nodes
        first = nodes[0]
        arguments = {'pairs': 8, 'window': 4, 'seconds': self.bench.seconds, **arguments}
        command = [os.path.join(self.bench.build, 'bench', 'bench_relay'), '--auth',
                   '--proxy', str(first.ports[0]),
                   '--receivers', ','.join(map(str, first.receivers)),
                   '--pids', ','.join(str(node.process.pid) for node in nodes)]
        if by:
            command += ['--behind', '--by', by.host]
        for name, value in arguments.items():
            command += [f'--{name}'] + ([] if value is True else [str(value)])
        return self.figures(command)['cpu_per_message']

    def handshakes(self, nodes):
        command = [os.path.join(self.bench.build, 'bench', 'bench_handshakes'),
                   '--port', str(nodes[0].ports[1]), '--ca', self.bench.certificate,
                   '--seconds', str(self.bench.seconds), '--threads', '8',
                   '--pids', ','.join(str(node.process.pid) for node in nodes)]
        return self.figures(command)['cpu_per_handshake']

    @staticmethod
    def figures(command):
        result = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120)
        return {name: float(value) for name, value, _ in
                (line.split() for line in result.stdout.decode().splitlines())}

    def stop(self):
        for node in self.nodes:
            node.stop()


def run_relay(options, redis):
    bench = relay.Bench(options)
    pair = Pair(bench, redis, shared=False)
    first, other = pair.nodes
    sizes = {'1KiB': {'size': KIB, 'window': 16}, '1MiB-in-8KiB': {'size': KIB * KIB, 'chunk': 8 * KIB}}
    try:
        for name, size in sizes.items():
            ratio = side_by_side(f'relay.{name}', options.rounds,
                                 lambda size=size: pair.relayed(first, **size),
                                 lambda size=size: pair.relayed(other, **size),
                                 ('one_node', 'two_nodes'))
            show(f'relay.{name}.ratio', ratio, 'times, at most 1.9')
    finally:
        pair.stop()
        bench.stop()


def run_processes(options, redis):
    bench = relay.Bench(options)
    pair = Pair(bench, redis, shared=True)
    first, other = pair.nodes

    def alone(measure):
        def run():
            other.stop()
            cost = measure([first])
            other.run()
            time.sleep(1)
            return cost
        return run
    try:
        for name, measure, least in (
                ('messages', lambda nodes: pair.relayed(nodes=nodes, size=KIB, pairs=16), 1.7),
                ('handshakes', pair.handshakes, 1.8)):
            ratio = side_by_side(f'processes.{name}', options.rounds, alone(measure),
                                 lambda measure=measure: measure(pair.nodes), ('one', 'two'))
            show(f'processes.{name}.carried', 2 / ratio, f'times, at least {least}')
    finally:
        pair.stop()
        bench.stop()


def run_gateway(options, redis):
    def section(name):
        return lambda daemon: {'redis': f'unix://{redis.path}', 'node': name,
                               'sip': f'sip:127.0.0.1:{daemon.sip};transport=tcp'}
    daemons = [gateway.Daemon(os.path.join(options.build, 'msrpd'), 'tcp', cluster=section(name))
               for name in ('g1', 'g2')]
    numbers, count = iter(range(30, 1000)), 5000
    try:
        bench = gateway.Bench(daemons[0], 'tcp')
        bench.set_up(0, 200, 10000000)
        ways = [bench.caller, bench.dial(daemons[1].sip, bench.take_sip)]
        bench.streams.append(ways[1])

        def to(way):
            def run():
                bench.sender = way
                ident, want = next(numbers) * 1000000, bench.count['202'] + count
                cpu = sum(daemon.cpu() for daemon in daemons)
                for start in range(0, count, 50):
                    for number in range(start, start + 50):
                        bench.message(number % 200, ident + number)
                    bench.until(lambda: bench.count['202'] >= want - count + start + 50, '202')
                return (sum(daemon.cpu() for daemon in daemons) - cpu) * 1e6 / count
            return run
        for way in ways:
            to(way)()           # warm
        ratio = side_by_side('gateway.message', options.rounds, to(ways[0]), to(ways[1]),
                             ('here', 'there'))
        show('gateway.message.ratio', ratio, 'times, at most 2.2')
    finally:
        for daemon in daemons:
            daemon.stop()


PARTS = {'relay': run_relay, 'gateway': run_gateway, 'processes': run_processes}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--build', default=os.path.join(HERE, '..', 'build/release'))
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=3)
    parser.add_argument('parts', nargs='*', metavar='PART', help=', '.join(PARTS))
    options = parser.parse_args()
    options.proxies = ''
    for part in options.parts or PARTS:
        redis = cluster.Redis()
        try:
            PARTS[part](options, redis)
        finally:
            redis.stop()


if __name__ == '__main__':
    sys.exit(main())
