#!/usr/bin/env python3
"""TLS handshakes: what they cost, on how many processors, and whom they hold up.

For each kind of key, and 1 and 2 threads: handshakes a second as fast as they come, the daemon's
CPU for each, the same with tickets; then the round trip on a connection that is there already,
alone and beside 1,000 handshakes a second. Prints "KEY.what value unit".

    bench/handshakes.py [--build build/release] [--seconds 3] [--rounds 3] [KEY…]
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

import relay

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
KEYS = {'ecdsa-p256': relay.EC_KEY, 'rsa-2048': ['rsa:2048'], 'rsa-4096': ['rsa:4096']}
STORM = 1000        # handshakes a second
CLIENTS = 8         # threads of the load


class Msrpd(relay.Msrpd):
    """The relay of bench/relay.py with a key of that kind, and so many threads."""

    def __init__(self, bench, key, threads):
        super().__init__(bench)
        self.threads = threads
        self.directory = os.path.join(bench.directory, f'{key}-{threads}')
        os.mkdir(self.directory)
        self.certificate, self.key = relay.make_certificate(self.directory, KEYS[key])

    def start(self, command):
        path = command[-1]
        with open(path, encoding='ascii') as file:
            config = json.load(file)
        config['tls_threads'] = self.threads
        config['msrp']['tls'].update(certificate=self.certificate, private_key=self.key,
                                     ca_file=self.certificate)
        with open(path, 'w', encoding='ascii') as file:
            json.dump(config, file)
        super().start(command)

    def load(self, *more):
        command = [os.path.join(self.bench.build, 'bench', 'bench_handshakes'),
                   '--port', self.ports[1], '--pids', self.process.pid, '--ca', self.certificate,
                   '--seconds', self.bench.seconds, *more]
        result = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True)
        return {name: float(value) for name, value, _ in
                (line.split() for line in result.stdout.decode().splitlines())}


def medians(rounds, measure):
    figures = [measure() for _ in range(rounds)]
    return {name: statistics.median(f[name] for f in figures) for name in figures[0]}


def measure(bench, key):
    def show(what, value, unit):
        print(f'{key}.{what} {value:.4g} {unit}', flush=True)

    def load(*more):
        figures = medians(bench.rounds, lambda: daemon.load(*more))
        if figures['failures']:
            show('failures', figures['failures'], 'count')
        return figures

    rates = {}
    for threads in (1, 2):
        daemon = Msrpd(bench, key, threads)
        daemon.run()
        try:
            whole = load('--threads', CLIENTS)
            rates[threads] = whole['handshakes']
            show(f'{threads}-threads.handshakes', whole['handshakes'], '1/s')
            show(f'{threads}-threads.cpu', whole['cpu'], 'cores')
            show(f'{threads}-threads.cpu_per_handshake', whole['cpu_per_handshake'], 'us')
            if threads == 1:
                continue
            again = load('--threads', CLIENTS, '--resume')
            show('resumed.cpu_per_handshake', again['cpu_per_handshake'], 'us')
            show('resumed.ratio', again['cpu_per_handshake'] / whole['cpu_per_handshake'], 'times')
            alone = load('--threads', 0, '--probe', daemon.ports[0])
            beside = load('--threads', CLIENTS, '--rate', STORM, '--probe', daemon.ports[0])
            for name in ('round_trip_p50', 'round_trip_p99'):
                show(f'alone.{name}', alone[name], 'us')
                show(f'storm.{name}', beside[name], 'us')
                show(f'storm.{name}_ratio', beside[name] / alone[name], 'times')
            show('storm.handshakes', beside['handshakes'], '1/s')
        finally:
            daemon.stop()
    show('threads.ratio', rates[2] / rates[1], 'times')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', default=os.path.join(ROOT, 'build', 'release'))
    parser.add_argument('--seconds', type=float, default=3)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('key', nargs='*', help=' '.join(KEYS))
    options = parser.parse_args()
    options.proxies = ''
    bench = relay.Bench(options)
    try:
        for key in options.key or KEYS:
            measure(bench, key)
    finally:
        bench.stop()


if __name__ == '__main__':
    sys.exit(main())
