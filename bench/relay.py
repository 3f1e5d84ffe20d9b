#!/usr/bin/env python3
"""Relays side by side: msrpd, Kamailio's msrp module and HAProxy, which only copies bytes.

Runs bench_relay against each of them, the rounds interleaved, and prints medians as
"scenario.proxy.name value unit" lines.

    bench/relay.py --build build/release [--rounds 5] [--seconds 3] [SCENARIO…]
"""
import argparse
import glob
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PATH = os.environ.get('PATH', '') + ':/usr/sbin:/sbin'
USERS = {'bench': {'password': 'bench'}}


given = set()


def free_ports(count):
    """Below those that the kernel gives to outgoing connections; none of them twice."""
    ports = []
    while len(ports) < count:
        port = random.randint(10000, 30000)
        if port in given:
            continue
        try:
            socket.create_server(('127.0.0.1', port)).close()
            ports.append(port)
            given.add(port)
        except OSError:
            pass
    return ports


def wait_port(port, process):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f'{process.args} ended with {process.returncode}')
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f'{process.args} does not listen on {port}')


EC_KEY = ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']


def make_certificate(directory, new_key=()):
    """A CA that is its own server certificate: enough for loopback."""
    key, certificate = (os.path.join(directory, name) for name in ('key.pem', 'cert.pem'))
    subprocess.run(['openssl', 'req', '-x509', '-newkey', *(new_key or EC_KEY), '-nodes', '-keyout', key, '-out', certificate,
                    '-days', '30', '-subj', '/CN=127.0.0.1', '-addext',
                    'subjectAltName=IP:127.0.0.1'], check=True, stderr=subprocess.DEVNULL)
    with open(os.path.join(directory, 'both.pem'), 'wb') as both:
        for name in (certificate, key):
            with open(name, 'rb') as file:
                both.write(file.read())
    return certificate, key


class Proxy:
    auth = False
    largest_frame = None

    def __init__(self, bench):
        self.bench = bench
        self.directory = bench.directory
        # Its own: one that still has a message for a receiver would connect in another's round.
        self.receivers = free_ports(bench.pairs_max)
        self.process = None

    def start(self, command):
        with open(os.path.join(self.directory, f'{self.name}.log'), 'wb') as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        wait_port(self.ports[0], self.process)

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, 'w', encoding='ascii') as file:
            file.write(text)
        return path

    def pids(self):
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for path in glob.glob(f'/proc/{pid}/task/*/children'):
                with open(path, encoding='ascii') as file:
                    todo += map(int, file.read().split())
        return found

    def memory(self):
        """Bytes that belong to its processes alone, and what they share once."""
        total = 0
        for pid in self.pids():
            with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith('Pss:'))
        return total * 1024

    def stop(self):
        if self.process:
            for sign in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(self.process.pid, sign)
                    self.process.wait(10)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass


class Msrpd(Proxy):
    name = 'msrpd'
    auth = True
    log = {}

    def run(self):
        self.ports = free_ports(2)
        config = {
            'log': {'target': 'stderr', 'level': 'warn', **self.log},
            'control': {'socket': os.path.join(self.directory, 'msrpd.sock')},
            'msrp': {'listen': [{'name': 'tcp', 'uri': f'msrp://127.0.0.1:{self.ports[0]};tcp'},
                                {'name': 'tls', 'uri': f'msrps://127.0.0.1:{self.ports[1]};tcp'}],
                     'tls': {'certificate': self.bench.certificate,
                             'private_key': self.bench.key, 'ca_file': self.bench.certificate}},
            'relay': {'users': USERS, 'allow_plain_auth': True}}
        path = self.write('msrpd.yaml', json.dumps(config))
        self.start([os.path.join(self.bench.build, 'msrpd'), '-n', '-c', path])

    def listening(self, tls):
        return self.ports[1:] if tls else self.ports[:1]


class Kamailio(Proxy):
    name = 'kamailio'
    auth = True
    largest_frame = 14000           # its msrp module refuses more

    # The example of its documentation, without the password.
    CONFIG = '''
debug=0
log_stderror=yes
fork=yes
children=1
tcp_children=8
auto_aliases=no
listen=tcp:127.0.0.1:{port}
tcp_accept_no_cl=yes
tcp_connection_lifetime=3600
tcp_max_connections=16384
tcp_rd_buf_size=65536
tcp_conn_wq_max=8388608
tcp_wq_max=134217728
loadmodule "pv.so"
loadmodule "htable.so"
loadmodule "cfgutils.so"
loadmodule "textops.so"
loadmodule "sl.so"
loadmodule "msrp.so"
modparam("htable", "htable", "msrp=>size=12;autoexpire=3600;")
request_route {{ exit; }}
event_route[msrp:frame-in] {{
	msrp_reply_flags("1");
	if (msrp_is_reply()) {{
		exit;
	}}
	if ($msrp(method) == "AUTH") {{
		$var(id) = "s" + $RANDOM + $RANDOM;
		$sht(msrp=>$var(id)::srcaddr) = $msrp(srcaddr);
		$sht(msrp=>$var(id)::srcsock) = $msrp(srcsock);
		$var(headers) = "Use-Path: msrp://127.0.0.1:{port}/" + $var(id)
		    + ";tcp\\r\\nExpires: 1800\\r\\n";
		msrp_reply("200", "OK", "$var(headers)");
		exit;
	}}
	if ($msrp(method) == "SEND" || $msrp(method) == "REPORT") {{
		$var(id) = $msrp(sessid);
		if ($sht(msrp=>$var(id)::srcaddr) == $null) {{
			msrp_reply("481", "Session-does-not-exist");
			exit;
		}}
		if ($msrp(method) == "SEND") {{
			msrp_reply("200", "OK");
		}}
		if ($msrp(srcaddr) != $sht(msrp=>$var(id)::srcaddr)) {{
			msrp_relay_flags("1");
			msrp_set_dst("$sht(msrp=>$var(id)::srcaddr)", "$sht(msrp=>$var(id)::srcsock)");
		}}
		msrp_relay();
		exit;
	}}
	msrp_reply("501", "Request-method-not-understood");
}}
'''

    def run(self):
        self.ports = free_ports(1)
        path = self.write('kamailio.cfg', self.CONFIG.format(port=self.ports[0]))
        self.start([shutil.which('kamailio', path=PATH), '-f', path, '-DD', '-E', '-m', '512',
                    '-M', '16', '-w', self.directory, '-Y', self.directory,
                    '-P', os.path.join(self.directory, 'kamailio.pid')])

    def listening(self, tls):
        return None if tls else self.ports


class Haproxy(Proxy):
    name = 'haproxy'

    def run(self):
        count = len(self.receivers)
        self.ports = free_ports(2 * count)
        text = ['global', ' nbthread 1', ' maxconn 4000', 'defaults', ' mode tcp',
                ' timeout connect 5s', ' timeout client 1h', ' timeout server 1h']
        both = os.path.join(self.directory, 'both.pem')
        for i, receiver in enumerate(self.receivers):
            text += [f'listen tcp{i}', f' bind 127.0.0.1:{self.ports[i]}',
                     f' server r 127.0.0.1:{receiver}',
                     f'listen tls{i}', f' bind 127.0.0.1:{self.ports[count + i]} ssl crt {both}',
                     f' server r 127.0.0.1:{receiver} ssl verify none']
        path = self.write('haproxy.cfg', '\n'.join(text) + '\n')
        self.start([shutil.which('haproxy', path=PATH), '-db', '-f', path])

    def listening(self, tls):
        count = len(self.receivers)
        return self.ports[count:] if tls else self.ports[:count]


SCENARIOS = {
    '64B': {'size': 64, 'pairs': 4, 'window': 16},
    '1KiB': {'size': 1024},
    '1KiB-batched': {'size': 1024, 'window': 64},
    '1MiB-in-8KiB': {'size': 1 << 20, 'chunk': 8192},
    '1MiB-in-64KiB': {'size': 1 << 20, 'chunk': 65536},
    'tls-1KiB': {'size': 1024, 'tls': True},
    'tls-1MiB-in-64KiB': {'size': 1 << 20, 'chunk': 65536, 'tls': True},
    'window-1': {'size': 1024, 'window': 1, 'pairs': 1},
    '10-of-window-1': {'size': 1024, 'window': 1, 'pairs': 10},     # what bench/conf.py is
    '64-of-window-1': {'size': 1024, 'window': 1, 'pairs': 64},     # to be held against
    '5000-a-second': {'size': 1024, 'rate': 5000},
}
PAIRS_MAX = max(scenario.get('pairs', 8) for scenario in SCENARIOS.values())
SHOWN = ('rate', 'throughput', 'cpu_per_message', 'cpu_per_byte', 'latency_p50', 'latency_p99')
UNITS = {'rate': '1/s', 'throughput': 'MB/s', 'cpu_per_message': 'us', 'cpu_per_byte': 'ns',
         'latency_p50': 'us', 'latency_p99': 'us'}


class Bench:
    def __init__(self, options):
        self.build = options.build
        self.seconds = options.seconds
        self.rounds = options.rounds
        self.directory = tempfile.mkdtemp(prefix='bench-relay-')
        self.certificate, self.key = make_certificate(self.directory)
        self.pairs_max = getattr(options, 'pairs_max', PAIRS_MAX)
        wanted = {'msrpd': Msrpd, 'kamailio': Kamailio, 'haproxy': Haproxy}
        self.proxies = [wanted[name](self) for name in options.proxies.split(',')
                        if name == 'msrpd' or shutil.which(name, path=PATH)]

    def command(self, proxy, tls, arguments):
        command = [os.path.join(self.build, 'bench', 'bench_relay'),
                   '--proxy', ','.join(map(str, proxy.listening(tls))),
                   '--receivers', ','.join(map(str, proxy.receivers)),
                   '--pids', ','.join(map(str, proxy.pids()))]
        if proxy.auth:
            command.append('--auth')
        if tls:
            command += ['--ca', self.certificate, '--certificate', self.certificate,
                        '--key', self.key]
        for name, value in arguments.items():
            command += [f'--{name}'] + ([] if value is True else [str(value)])
        return command

    def once(self, proxy, scenario):
        """One round: name → value, or None when this proxy cannot."""
        arguments = dict({'pairs': 8, 'window': 4, 'seconds': self.seconds}, **scenario)
        tls = arguments.pop('tls', False)
        frame = arguments.get('chunk', arguments['size'])
        if proxy.listening(tls) is None or \
                (proxy.largest_frame and frame > proxy.largest_frame):
            return None
        for _ in range(3):
            result = subprocess.run(self.command(proxy, tls, arguments), stdout=subprocess.PIPE,
                                    timeout=120, check=False)
            if result.returncode == 0:
                break
            time.sleep(1)       # it may still have been busy with the end of the last round
        else:
            raise SystemExit(f'bench_relay against {proxy.name} ended with {result.returncode}')
        return {name: float(value) for name, value, _ in
                (line.split() for line in result.stdout.decode().splitlines())}

    def scenario(self, name, label=None):
        rounds = {proxy.name: [] for proxy in self.proxies}
        for _ in range(self.rounds):
            for proxy in self.proxies:
                figures = self.once(proxy, SCENARIOS[name])
                if figures:
                    rounds[proxy.name].append(figures)
        for proxy, all_figures in rounds.items():
            for what in SHOWN if all_figures else ():
                value = statistics.median(figures[what] for figures in all_figures)
                print(f'{label or name}.{proxy}.{what} {value:.4g} {UNITS[what]}', flush=True)

    def idle_clients(self, proxy, count, tls, **more):
        command = self.command(proxy, tls, dict(more, idle=count))
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdout.readline()
        return process

    def idle_memory(self, proxy, tls, **more):
        """Memory of a client that has authenticated and says nothing, or None."""
        if not proxy.auth or proxy.listening(tls) is None:
            return None
        # What the last lines about sessions take is bounded: full before anything is measured.
        proxy.log = {'memory': '64KiB'}
        # Memory that was given back before would count for nothing.
        proxy.stop()
        proxy.run()
        # The first ones pay for what grows once.
        first = self.idle_clients(proxy, 500, tls, **more)
        before = proxy.memory()
        others = self.idle_clients(proxy, 4000, tls, **more)
        time.sleep(1)
        each = (proxy.memory() - before) / 4000
        for process in (first, others):
            process.stdin.close()
            process.wait()
        return each

    def idle(self, name, tls, **more):
        for proxy in self.proxies:
            each = self.idle_memory(proxy, tls, **more)
            if each is not None:
                print(f'{name}.{proxy.name}.memory {each:.0f} B', flush=True)

    def beside_idle(self):
        """1 KiB messages with and without 10,000 idle clients: the rounds interleaved."""
        proxy = self.proxies[0]
        figures = {'without': [], 'with': []}
        for _ in range(self.rounds):
            figures['without'].append(self.once(proxy, SCENARIOS['1KiB']))
            crowd = self.idle_clients(proxy, 10000, False)
            figures['with'].append(self.once(proxy, SCENARIOS['1KiB']))
            crowd.stdin.close()
            crowd.wait()
            time.sleep(0.5)
        for name, all_figures in figures.items():
            value = statistics.median(f['cpu_per_message'] for f in all_figures)
            print(f'{name}-10000-idle.{proxy.name}.cpu_per_message {value:.4g} us', flush=True)

    def run(self, names):
        for proxy in self.proxies:
            proxy.run()
        others = {'idle': lambda: self.idle('idle', False),
                  'idle-tls': lambda: self.idle('idle-tls', True),
                  'idle-tls-certificate':
                      lambda: self.idle('idle-tls-certificate', True, present=True),
                  'beside-idle': self.beside_idle}
        for name in names or [*SCENARIOS, *others]:
            others.get(name, lambda: self.scenario(name))()

    def stop(self):
        for proxy in self.proxies:
            proxy.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', default='build/release')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=3)
    parser.add_argument('--proxies', default='msrpd,kamailio,haproxy')
    parser.add_argument('scenario', nargs='*',
                        help=' '.join([*SCENARIOS, 'idle', 'idle-tls', 'idle-tls-certificate',
                                       'beside-idle']))
    options = parser.parse_args()
    bench = Bench(options)
    try:
        bench.run(options.scenario)
    finally:
        bench.stop()


if __name__ == '__main__':
    sys.exit(main())
