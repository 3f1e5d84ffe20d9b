#!/usr/bin/env python3
"""What WebSockets cost: MSRP over them beside MSRP over TCP, an idle browser, subscribers of the API.

    bench/ws.py [--rounds 5] [--seconds 3] [relay|idle|api|instructions ...]  (default: the first three)

$MSRPD names the program (default build/release/msrpd), beside which bench/ has the load generators.
Prints "name value unit".  CPU time is the kernel's own count for the process.
"""
import argparse
import hashlib
import hmac
import json
import os
import re
import statistics
import subprocess
import tempfile
import time

from ua import MSRPD, Control, Daemon, show

PROGRAMS = os.path.join(os.path.dirname(MSRPD), 'bench')
RELAY = """
log: {{target: stderr, level: {level}}}
control: {{socket: {socket}, mode: "0600"}}
sip: {{listen: ["sip:127.0.0.1:0;transport=tcp"]}}
msrp:
  listen:
    - {{name: tcp, uri: "msrp://127.0.0.1:0;tcp"}}
    - {{name: ws, uri: "msrp://127.0.0.1:0;ws"}}
  max_connections: 20000
limits: {{connections_per_address: 0}}
relay: {{users: {{bench: {{password: bench}}}}, allow_plain_auth: true}}
"""
SECRET = 'sixteen-characters-and-more'
API = """
log: {{target: stderr, level: {level}}}
control: {{socket: {socket}, mode: "0600", max_backlog: 256MiB}}
sip: {{listen: ["sip:127.0.0.1:0;transport=tcp"]}}
msrp: {{listen: [{{name: lo, uri: "msrp://127.0.0.1:0;tcp"}}]}}
relay: {{enabled: false}}
limits: {{connections_per_address: 0}}
registrar: {{domains: ["127.0.0.1"]}}
web: {{listen: ["http://127.0.0.1:0"], api_token_secret: SECRET, max_connections: 20000}}
routes:
  sip:
    - if: {{$rm: INVITE}}
      do: [{{msrp_ua_answer: {{content_types: "text/plain"}}}}]
""".replace('SECRET', SECRET)
SUBSCRIBERS = 10000
SPOKEN_TO = 100


def ports(daemon):
    """By transport."""
    found = {}
    for listen in daemon.control.call('status')['listen']['msrp']:
        uri = listen['uri'] if isinstance(listen, dict) else listen
        found[uri.rpartition(';')[2]] = re.search(r':(\d+)', uri.partition('//')[2])[1]
    return found


def load(daemon, transport, *options):
    """A bench_relay whose sender and receiver are the relay's clients over that transport."""
    return [os.path.join(PROGRAMS, 'bench_relay'), '--proxy', ports(daemon)[transport], '--auth',
            '--behind', '--pids', str(daemon.process.pid), *options,
            *(['--ws'] if transport == 'ws' else [])]


# --- MSRP over WebSocket beside MSRP over TCP

SCENARIOS = {
    '1KiB': ('cpu_per_message', 'us', ['--size', '1024', '--pairs', '8', '--window', '4']),
    '1KiB_batched': ('cpu_per_message', 'us', ['--size', '1024', '--pairs', '8', '--window', '64']),
    '1MiB_in_8KiB': ('cpu_per_byte', 'ns', ['--size', str(1 << 20), '--chunk', '8192', '--pairs',
                                            '8', '--window', '4']),
}


def relay(options):
    daemon = Daemon('ws', config=RELAY)
    for name, (what, unit, arguments) in SCENARIOS.items():
        figures = {'tcp': [], 'ws': []}
        for _ in range(options.rounds):
            for transport, of_it in figures.items():
                result = subprocess.run(load(daemon, transport, *arguments, '--seconds',
                                             str(options.seconds)),
                                        stdout=subprocess.PIPE, check=True, text=True)
                of_it.append(float(re.search(rf'^{what} (\S+)', result.stdout, re.M)[1]))
        for transport, of_it in figures.items():
            show(f'ws_{name}_{transport}', statistics.median(of_it), unit)
        show(f'ws_{name}_ratio', statistics.median(
            b / a for a, b in zip(figures['tcp'], figures['ws'])), 'of TCP')
    daemon.stop()


# --- the same in instructions, which are steady on a machine that does much else

COUNTED = {
    '1KiB': (['--size', '1024', '--pairs', '8', '--window', '4'], 1024, 1),
    '1KiB_batched': (['--size', '1024', '--pairs', '8', '--window', '16'], 2048, 1),
    '1MiB_in_8KiB': (['--size', str(1 << 20), '--chunk', '8192', '--pairs', '1', '--window', '2'],
                     8, 128),
}


def count(transport, arguments, messages, frames):
    """Instructions of the daemon for each frame, by callgrind."""
    with tempfile.TemporaryDirectory() as directory:
        counts = os.path.join(directory, 'counts')
        daemon = Daemon('counted', config=RELAY, under=[
            'valgrind', '-q', '--tool=callgrind', '--instr-atstart=no',
            f'--callgrind-out-file={counts}'])

        def control(what):
            subprocess.run(['callgrind_control', what, str(daemon.process.pid)], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with subprocess.Popen(load(daemon, transport, *arguments, '--messages', str(messages)),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == 'ready\n'
            control('--instr=on')
            print(file=process.stdin, flush=True)
            assert process.stdout.readline() == 'done\n'
            control('--dump')
            process.stdin.close()
        daemon.stop()
        with open(f'{counts}.1', encoding='ascii', errors='replace') as file:
            return int(re.search(r'^totals: (\d+)', file.read(), re.M)[1]) / messages / frames


def instructions(_):
    for name, scenario in COUNTED.items():
        tcp, ws = (count(transport, *scenario) for transport in ('tcp', 'ws'))
        show(f'ws_{name}_tcp', tcp, 'instructions')
        show(f'ws_{name}_ws', ws, 'instructions')
        show(f'ws_{name}_ratio', ws / tcp, 'of TCP')


# --- clients that have authenticated and say nothing

def idle(_):
    for transport in ('tcp', 'ws'):
        daemon = Daemon('idle', config=RELAY)

        def clients(count):
            process = subprocess.Popen(load(daemon, transport, '--idle', str(count)),
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            process.stdout.readline()
            return process
        first = clients(500)            # what grows once
        before = daemon.rss_kib()
        others = clients(8000)
        time.sleep(1)
        show(f'ws_idle_{transport}', (daemon.rss_kib() - before) / 8000, 'KiB')
        for process in (first, others):
            process.stdin.close()
            process.wait()
        daemon.stop()


# --- subscribers of the API, each of whom sees what is his

def token(user):
    text = f'{user.encode().hex()}.{int(time.time()) + 3600}'
    code = hmac.new(SECRET.encode(), b'msrpd token ' + text.encode(), hashlib.sha256).hexdigest()
    return f'{text}.{code}'


class Subscribers:
    def __init__(self, daemon, count):
        listen = daemon.control.call('status')['listen']['web'][0]
        port = re.search(r':(\d+)', listen.partition('//')[2])[1]
        self.process = subprocess.Popen([os.path.join(PROGRAMS, 'bench_api'), port], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for number in range(count):
            self.process.stdin.write(token(f'user{number}') + '\n')
        self.process.stdin.write('\n')
        self.process.stdin.flush()
        self.line()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit('bench_api ended')
        return line

    def events(self):
        """How many have come since the last call."""
        self.process.stdin.write('.\n')
        self.process.stdin.flush()
        return int(self.line().split()[1])

    def hear(self, count):
        deadline = time.monotonic() + 60
        heard = self.events()
        while heard < count:
            if time.monotonic() > deadline:
                raise SystemExit(f'{heard} of {count} events')
            time.sleep(0.01)
            heard += self.events()

    def leave(self):
        self.process.stdin.close()
        self.process.wait(20)


def say(control, sessions, count, rate):
    """Messages to one session after the other, so many a second; 0: at once."""
    began = time.monotonic()
    for number in range(count):
        control.socket.sendall(json.dumps({
            'jsonrpc': '2.0', 'method': 'msrp_ua_send_message', 'params': {
                'session_id': sessions[number % len(sessions)], 'mime': 'text/plain',
                'body': 'x' * 100}}).encode() + b'\n')
        ahead = rate and began + number / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    return time.monotonic() - began


def api(_):
    caller, callee = Daemon('caller'), Daemon('api', config=API)
    before = callee.rss_kib()
    crowd = Subscribers(callee, SUBSCRIBERS)
    show('ws_api_subscriber', (callee.rss_kib() - before) / SUBSCRIBERS, 'KiB')
    sessions = [caller.control.call(
        'msrp_ua_start_session', content_types='text/plain', from_uri='sip:a@127.0.0.1',
        to_uri=f'sip:user{number}@127.0.0.1', ruri=callee.sip)['session_id']
        for number in range(SPOKEN_TO)]
    caller.events.call('event_subscribe')
    deadline = time.monotonic() + 30
    while len(callee.control.call('msrp_ua_list_sessions')) < SPOKEN_TO:
        if time.monotonic() > deadline:
            raise SystemExit('sessions do not come')
        time.sleep(0.05)
    time.sleep(1)
    crowd.events()                      # of the sessions
    control = Control(caller.socket)
    for name, count, rate in (('100_a_second', 1000, 100), ('full_speed', 20000, 0)):
        cpu, began = callee.cpu_ns(), time.monotonic()
        say(control, sessions, count, rate)
        crowd.hear(count)
        took, cpu = time.monotonic() - began, callee.cpu_ns() - cpu
        show(f'ws_api_{name}_rate', count / took, 'events/s')
        show(f'ws_api_{name}_cpu', cpu / 1e7 / took, '% of a core')
        show(f'ws_api_{name}_event', cpu / count / 1000, 'us')
    crowd.leave()
    for daemon in (caller, callee):
        daemon.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=3)
    parser.add_argument('what', nargs='*', default=['relay', 'idle', 'api'])
    options = parser.parse_args()
    for name in options.what:
        {'relay': relay, 'idle': idle, 'api': api, 'instructions': instructions}[name](options)


if __name__ == '__main__':
    main()
