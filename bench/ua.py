#!/usr/bin/env python3
"""What the User Agent costs, measured on two daemons that talk over loopback.

    bench/ua.py [messages|idle|invites|wakeups ...]      (default: all)

$MSRPD names the program (default build/release/msrpd).  Prints "name value unit".
CPU time is the kernel's own count for the process (/proc/PID/schedstat), not a timer's.
"""
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MSRPD = os.environ.get('MSRPD', os.path.join(ROOT, 'build/release/msrpd'))
CONFIG = """
log: {{target: stderr, level: {level}}}
control: {{socket: {socket}, mode: "0600", max_backlog: 256MiB}}
sip: {{listen: ["sip:127.0.0.1:0;transport=tcp"]}}
msrp: {{listen: [{{name: lo, uri: "msrp://127.0.0.1:0;tcp"}}], max_connections: 15000}}
relay: {{enabled: false}}
ua: {{max_queued_bytes: 64MiB}}
routes:
  sip:
    - if: {{$rm: INVITE}}
      do: [{{msrp_ua_answer: {{content_types: "text/plain"}}}}]
"""


def show(name, value, unit):
    print(f'{name} {value:.2f} {unit}' if isinstance(value, float) else f'{name} {value} {unit}',
          flush=True)


class Control:
    """A client of the control socket that does not parse what it need not."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.rest = b''
        self.serial = 0

    def send(self, method, **params):
        self.serial += 1
        self.socket.sendall(json.dumps({'jsonrpc': '2.0', 'id': self.serial, 'method': method,
                                        'params': params}).encode() + b'\n')
        return self.serial

    def lines(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise EOFError('the daemon went away')
        *lines, self.rest = (self.rest + data).split(b'\n')
        return lines

    def call(self, method, **params):
        serial = self.send(method, **params)
        while True:
            for line in self.lines():
                answer = json.loads(line)
                if answer.get('id') == serial:
                    if 'error' in answer:
                        raise RuntimeError(answer['error'])
                    return answer['result']

    def wait(self, event, count=1):
        found = []
        needle = f'"{event}"'.encode()
        while len(found) < count:
            found += [line for line in self.lines() if needle in line]
        return [json.loads(line)['params'] for line in found]


class Daemon:
    def __init__(self, name, level='warn', config=CONFIG, under=()):
        """under: a program, with its options, that runs msrpd."""
        self.directory = tempfile.mkdtemp(prefix=f'msrpd-bench-{name}-')
        self.socket = os.path.join(self.directory, 'ctl.sock')
        path = os.path.join(self.directory, 'msrpd.yaml')
        with open(path, 'w') as f:
            f.write(config.format(level=level, socket=self.socket))
        self.log = open(os.path.join(self.directory, 'log'), 'wb')
        self.process = subprocess.Popen([*under, MSRPD, '-n', '-c', path], stderr=self.log)
        deadline = time.monotonic() + (60 if under else 10)
        while True:
            try:
                self.control = Control(self.socket)
                self.events = Control(self.socket)
                break
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.01)
        self.sip = next(u for u in self.control.call('status')['listen']['sip'] if 'tcp' in u)

    def cpu_ns(self):
        with open(f'/proc/{self.process.pid}/schedstat') as f:
            return int(f.read().split()[0])

    def rss_kib(self, field='VmRSS'):
        with open(f'/proc/{self.process.pid}/status') as f:
            return next(int(line.split()[1]) for line in f if line.startswith(field + ':'))

    def switches(self):
        with open(f'/proc/{self.process.pid}/status') as f:
            return sum(int(line.split()[1]) for line in f if 'ctxt_switches' in line)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
        shutil.rmtree(self.directory)


def start_session(caller, callee):
    return caller.control.call('msrp_ua_start_session', content_types='text/plain',
                               from_uri='sip:a@127.0.0.1', to_uri='sip:b@127.0.0.1',
                               ruri=callee.sip)['session_id']


def run_messages(caller, callee, subscriber, session, count, window):
    """Send count messages of 1 KiB with so many in flight; how long, and the CPU of the callee."""
    request = json.dumps({'jsonrpc': '2.0', 'method': 'msrp_ua_send_message', 'params': {
        'session_id': session, 'mime': 'text/plain', 'body': 'x' * 1024}}).encode() + b'\n'
    control = Control(caller.socket)
    sent = done = 0
    began, cpu = time.monotonic(), callee.cpu_ns()
    while done < count:
        more = min(window - (sent - done), count - sent)
        if more:
            control.socket.sendall(request * more)
            sent += more
        done += sum(b'E_MSRP_MSG_RECEIVED' in line for line in subscriber.lines())
    return time.monotonic() - began, callee.cpu_ns() - cpu


def messages():
    for level, window, count in (('warn', 32, 60000), ('info', 32, 60000), ('warn', 1, 10000)):
        caller, callee = Daemon('caller'), Daemon('callee', level)
        subscriber = Control(callee.socket)
        subscriber.call('event_subscribe')
        caller.events.call('event_subscribe', names=['E_MSRP_SESSION_NEW'])
        session = start_session(caller, callee)
        caller.events.wait('E_MSRP_SESSION_NEW')
        run_messages(caller, callee, subscriber, session, count // 10, window)
        runs = [run_messages(caller, callee, subscriber, session, count, window)
                for _ in range(5)]
        name = f'ua_receive_1KiB_window{window}_{level}'
        show(name, statistics.median(cpu / count / 1000 for _, cpu in runs), 'us/message')
        show(name + '_rate', statistics.median(count / t for t, _ in runs), 'messages/s')
        caller.stop()
        callee.stop()


def idle():
    """Growth from 5,000 to 10,000 sessions, each time after the 32 s for which Sofia-SIP keeps
    an outgoing INVITE: what those took is there to be used again, so it is no session's."""
    caller, callee = Daemon('caller'), Daemon('callee')
    caller.events.call('event_subscribe', names=['E_MSRP_SESSION_NEW', 'E_MSRP_SESSION_FAILED'])
    count, resident = 5000, []
    for _ in range(2):
        for _ in range(count // 50):
            for _ in range(50):
                start_session(caller, callee)
            caller.events.wait('E_MSRP_SESSION_NEW', 50)
        time.sleep(35)
        resident.append((caller.rss_kib(), callee.rss_kib()))
    for i, side in enumerate(('uac', 'uas')):
        show(f'ua_idle_session_{side}', (resident[1][i] - resident[0][i]) / count, 'KiB')
    caller.stop()
    callee.stop()


def run_invites(caller, callee, count, rate):
    began = time.monotonic()
    for i in range(0, count, 10):
        sessions = [start_session(caller, callee) for _ in range(10)]
        caller.events.wait('E_MSRP_SESSION_NEW', 10)
        for session in sessions:
            caller.control.call('msrp_ua_end_session', session_id=session)
        ahead = (i + 10) / rate - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
    return count / (time.monotonic() - began)


def invites():
    caller, callee = Daemon('caller'), Daemon('callee')
    caller.events.call('event_subscribe', names=['E_MSRP_SESSION_NEW', 'E_MSRP_SESSION_FAILED'])
    for run in (1, 2):
        show(f'ua_sessions_rate_run{run}', run_invites(caller, callee, 20000, 500), 'sessions/s')
        show(f'ua_sessions_peak_uac_run{run}', caller.rss_kib('VmHWM') / 1024, 'MiB')
        show(f'ua_sessions_peak_uas_run{run}', callee.rss_kib('VmHWM') / 1024, 'MiB')
    caller.stop()
    callee.stop()


def wakeups():
    daemon = Daemon('idle')
    time.sleep(2)
    before = daemon.switches()
    time.sleep(10)
    show('idle_wakeups', (daemon.switches() - before) / 10, '1/s')
    show('idle_rss', daemon.rss_kib() / 1024, 'MiB')
    daemon.stop()


def main():
    for name in sys.argv[1:] or ['messages', 'idle', 'invites', 'wakeups']:
        {'messages': messages, 'idle': idle, 'invites': invites, 'wakeups': wakeups}[name]()


if __name__ == '__main__':
    main()
