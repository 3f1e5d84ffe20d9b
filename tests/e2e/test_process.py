#!/usr/bin/env python3
"""The process: options, config errors, signals, notifications, sockets, metrics."""
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

from lib import case, certs
from lib.daemon import MSRPD, Daemon, die_with_parent, free_port
from lib.waiting import DEADLINE, poll

HERE = os.path.dirname(os.path.abspath(__file__))
PROMTOOL = os.path.join(HERE, 'tools', 'promtool')
DOCS = os.path.join(HERE, '..', '..', 'docs')
DASHBOARD, ALERTS = os.path.join(DOCS, 'grafana.json'), os.path.join(DOCS, 'alerts.yml')


def run(*arguments, timeout=DEADLINE, **environment):
    return subprocess.run([MSRPD, *arguments], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=timeout,
                          env=dict(os.environ, **environment), preexec_fn=die_with_parent)


class ConfigTest(unittest.TestCase):
    """-t, and what it says."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='msrpd-config-')
        self.addCleanup(shutil.rmtree, self.directory)
        self.file = os.path.join(self.directory, 'msrpd.yaml')

    def check(self, text):
        with open(self.file, 'w', encoding='utf-8') as file:
            file.write(text)
        return run('-t', '-c', self.file)

    def wrong(self, text, line, what, column=None):
        """-t fails with one line that begins msrpd: FILE:LINE:COLUMN: and holds what."""
        result = self.check(text)
        self.assertEqual(result.returncode, 1, f'{text!r}: {result.stderr}')
        first = result.stderr.splitlines()[0]
        match = re.match(rf'msrpd: {re.escape(self.file)}:([0-9]+):([0-9]+): (.*)', first)
        self.assertTrue(match, result.stderr)
        self.assertEqual(int(match.group(1)), line, first)
        if column:
            self.assertEqual(int(match.group(2)), column, first)
        self.assertRegex(match.group(3), what)

    def right(self, text):
        result = self.check(text)
        self.assertEqual((result.returncode, result.stderr), (0, ''), text)

    def test_good_files(self):
        self.right('')
        self.right('{}\n')
        self.right('log: {level: debug}\n')
        self.right('shutdown_grace: 500ms\nmsrp:\n  idle_timeout: 0\n  max_memory: 1GiB\n')
        self.right('control: {mode: "0600"}\ncredentials: []\n')
        self.right('control: {mode: 0600}\n')
        self.right('msrp:\n  listen:\n    - {name: a, uri: "msrp://127.0.0.1:0;tcp"}\n')

    def test_unknown_keys(self):
        """The nearest known name is suggested."""
        self.wrong('lgo: {}\n', 1, 'log', 1)
        self.wrong('log:\n  levle: info\n', 2, 'level', 3)
        self.wrong('log: {level: info, nonsense: 1}\n', 1, 'nonsense', 20)
        self.wrong("msrp:\n  listen:\n    - {name: a, url: 'msrp://127.0.0.1:0;tcp'}\n", 3,
                   "ur[il]")

    def test_values(self):
        """Wrong types and values out of range."""
        for text, line in (('log: 7\n', 1), ('log:\n  level: loud\n', 2),
                           ('log:\n  level: [info]\n', 2),
                           ('shutdown_grace: soon\n', 1), ('shutdown_grace: -1\n', 1),
                           ('shutdown_grace: 5 s\n', 1), ('shutdown_grace: 1.5\n', 1),
                           ('shutdown_grace: 99999999999999999999s\n', 1),
                           ('msrp: {max_message_size: 8MB}\n', 1),
                           ('msrp: {max_message_size: 99999999999GiB}\n', 1),
                           ('msrp: {max_connections: 0}\n', 1),
                           ('msrp: {max_connections: 1e3}\n', 1),
                           ('control: {mode: "0999"}\n', 1), ('control: {mode: rw}\n', 1),
                           ('log: {event_body: yes}\n', 1), ('log: {event_body: "1"}\n', 1),
                           ('ua: {hash_size: 21}\n', 1), ('ua: {hash_size: 0}\n', 1),
                           ('msrp:\n  tls: {min_version: "0.9"}\n', 2)):
            with self.subTest(text):
                self.wrong(text, line, '.')

    def test_syntax(self):
        for text, line in (('log: {level: info\n', 2), ('log: [\n', 2), ('a: b: c\n', 1),
                           ('\tlog: {}\n', 1), ('- log\n', 1), ('log: *x\n', 1),
                           ('log: {level: info}\nlog: {level: debug}\n', 2),
                           ('log: {level: info, level: debug}\n', 1)):
            with self.subTest(text):
                result = self.check(text)
                self.assertEqual(result.returncode, 1)
                self.assertRegex(result.stderr, rf'^msrpd: {re.escape(self.file)}:[0-9]+:[0-9]+: ')
                self.assertIsNotNone(line)

    def test_consistency(self):
        """What fits no listener, what cannot be read, what lacks a part."""
        listen = 'msrp:\n  listen:\n    - {name: a, uri: "msrp://127.0.0.1:2855;tcp"}\n'
        for text, line in (
                (listen + 'ua: {my_uri: "msrp://127.0.0.1:2856;tcp"}\n', 4),
                (listen + 'ua: {my_uri: "msrps://127.0.0.1:2855;tcp"}\n', 4),
                (listen + 'ua: {my_uri: "msrp://127.0.0.1:2855/id;tcp"}\n', 4),
                (listen + 'ua: {my_uri: "msrp://127.0.0.1:2855;ws"}\n', 4),
                (listen + 'ua: {relay_uri: "msrps://r.example/id;tcp"}\n', 4),
                (listen + 'ua: {relay_uri: "http://r.example"}\n', 4),
                ('msrp:\n  listen:\n    - {name: a, uri: "msrp://0.0.0.0:2855;tcp"}\n', 3),
                ('msrp:\n  listen:\n    - {name: a, uri: "msrp://127.0.0.1:2855/x;tcp"}\n', 3),
                ('msrp:\n  listen:\n    - {name: a, uri: "msrp://127.0.0.1:2855"}\n', 3),
                ('msrp:\n  listen:\n    - {name: a, uri: "msrp://127.0.0.1:99999;tcp"}\n', 3),
                ('sip:\n  listen: ["http://127.0.0.1"]\n', 2),
                ('msrp:\n  listen:\n    - {name: a, uri: "msrp://127.0.0.1:2855;sctp"}\n', 3),
                (listen + 'sip:\n  listen: ["sip:127.0.0.1:99999"]\n', 5),
                (listen + 'sip:\n  listen: ["sips:127.0.0.1:5061"]\n', 5),
                (listen + 'sip: {listen: ["sip:127.0.0.1:8443;transport=wss"]}\n', 4),
                ('control:\n  socket: relative.sock\n', 2),
                ('control:\n  socket: /%s\n' % ('a' * 107), 2),
                ('web:\n  webhooks:\n  - url: http://127.0.0.1:9/\n'
                 '    events: [E_MSRP_SESSION_NEW, E_MSRP_SESION_END]\n', 4),
                ('credentials:\n  - {realm: a, username: b, ha1: c}\n', 2),
                ('credentials:\n  - {username: a, password: b}\n', 2),
                ('credentials:\n  - {realm: a, password: b}\n', 2),
                ('credentials:\n  - {realm: a, username: b, password: {file: /nonexistent}}\n', 2),
                ('msrp:\n  tls: {certificate: /etc/hostname}\n', 2),
                ('sip:\n  tls: {private_key: /etc/hostname}\n', 2),
                ('msrp:\n  tls:\n    certificate: /nonexistent.pem\n', 3)):
            with self.subTest(text):
                self.wrong(text, line, '.')

    def test_tls(self):
        """What OpenSSL will not take, in whatever section."""
        one, other = certs.self_signed(self.directory, 'one'), \
            certs.self_signed(self.directory, 'other')
        pair = f'certificate: {one.certificate}, private_key: {one.key}'
        for section in ('msrp', 'sip', 'web'):
            self.right(f'{section}: {{tls: {{{pair}, ciphers: ECDHE+AESGCM}}}}\n')
            for text, what in (
                    (f'certificate: {one.certificate}, private_key: {other.key}', 'private_key'),
                    ('certificate: /etc/hostname, private_key: /etc/hostname', 'certificate'),
                    (f'{pair}, ca_file: /etc/hostname', 'ca_file'),
                    ('ciphers: nonsense', 'ciphers'),
                    ('ciphersuites: nonsense', 'ciphersuites')):
                with self.subTest(f'{section} {text}'):
                    self.wrong(f'{section}:\n  tls: {{{text}}}\n', 2, what)

    def test_named_listener(self):
        """A listener is an address; the message says where a name belongs."""
        self.wrong('msrp:\n  listen:\n    - {uri: "msrp://im.example.org:2855;tcp"}\n', 3,
                   'advertise')

    def test_routes(self):
        """Unknown variables, actions, parameters, bad patterns: at their line."""
        head = 'routes:\n  sip:\n'
        for text, line in (
                ('    - do: [{msrp_ua_anwser: {content_types: text/plain}}]\n', 3),
                ('    - do: [{msrp_ua_answer: {content_type: text/plain}}]\n', 3),
                ('    - do: [{msrp_ua_answer: {}}]\n', 3),
                ('    - do: [{msrp_ua_answer: {content_types: "text/plain, text/html"}}]\n', 3),
                ('    - do: [{msrp_ua_answer: {content_types: ""}}]\n', 3),
                ('    - do: [{send_reply: {code: 99, reason: x}}]\n', 3),
                ('    - do: [{send_reply: {code: abc, reason: x}}]\n', 3),
                ('    - do: [{send_message: {ruri: $ru, from: $fu, to: $tu, content_type: text, '
                 'body: x}}]\n', 3),
                ('    - do: [msrp_relay]\n', 3),
                ('    - if: {$xx: a}\n      do: [drop]\n', 3),
                ('    - if: {$rm: "~("}\n      do: [drop]\n', 3),
                ('    - if: {$si: "10.0.0.0/33"}\n      do: [drop]\n', 3),
                ('    - if: {$rm: *x}\n      do: [drop]\n', 3),
                ('    - if: {$rm: !x}\n      do: [drop]\n', 3),
                ('    - if: {$rm: |\n        x\n       }\n      do: [drop]\n', 3),
                ('    - if: {$rm: INVITE}\n', 3),
                ('    - fi: {$rm: INVITE}\n      do: [drop]\n', 3),
                ('    - do: [{log: {level: loud, text: x}}]\n', 3),
                ('    - do: [{log: {level: info, text: $xx}}]\n', 3),
                ('    - do: [drop]\n      continue: perhaps\n', 4)):
            with self.subTest(text):
                result = self.check(head + text)
                self.assertEqual(result.returncode, 1, text)
                match = re.match(rf'msrpd: {re.escape(self.file)}:([0-9]+):[0-9]+: ',
                                 result.stderr)
                self.assertTrue(match, result.stderr)
                self.assertEqual(int(match.group(1)), line, result.stderr)
        self.wrong('routes:\n  spi: []\n', 2, 'sip')

    def test_rooms(self):
        """A room has a SIP URI of its own, whatever its spelling, and somebody may come in."""
        head = 'conference:\n  rooms:\n    - {uri: "sip:a@h"}\n'
        self.right(head + '    - {uri: "sip:A@h", max_participants: 1}\n')
        self.wrong(head + '    - {uri: "tel:+1-201-555-0123"}\n', 4, 'uri is not a SIP URI', 13)
        self.wrong(head + '    - {uri: "sip:b@h", max_participants: 0}\n', 4, 'max_participants')
        self.wrong(head + '    - {uri: "sip:b@h"}\n    - {uri: "sip:%61@H;x=y"}\n', 2,
                   'conference has the room sip:a@h twice', 3)

    def test_htdigest(self):
        users = os.path.join(self.directory, 'users')
        text = 'relay:\n  htdigest: %s\n' % users
        for line, good in (('a:realm:' + '0' * 32, True), ('a:realm:' + '0' * 31 + 'x', False),
                           ('junk', False)):
            with open(users, 'w', encoding='ascii') as file:
                file.write(f'# comment\n\n{line}\n')
            if good:
                self.right(text)
            else:
                self.wrong(text, 2, f'{users}:3: not a line of user:realm:ha1', 13)

    def test_cluster_routes(self):
        """Another node may have the room, and answers: nothing behind does."""
        routes = ('routes:\n  sip:\n    - do: [{msg_to_conf: {room: $ru}}, '
                  '{send_reply: {code: 202, reason: OK}}]\n')
        self.right(routes)
        self.wrong(routes + 'cluster: {redis: "redis://127.0.0.1", node: a}\n', 3,
                   'msg_to_conf.*answers', 13)

    def test_secrets(self):
        """Secrets in files."""
        secret = os.path.join(self.directory, 'secret')
        with open(secret, 'w', encoding='ascii') as file:
            file.write('s3cret\n')
        self.right('credentials:\n  - {realm: a, username: b, password: {file: %s}}\n' % secret)

    def test_options(self):
        """-V, usage, a file that is not there; -t touches nothing."""
        result = run('-V')
        self.assertEqual(result.returncode, 0)
        for word in ('msrpd', 'libevent', 'OpenSSL', 'sofia', 'libyaml', 'jansson', 'libcurl',
                     'SQLite', 'c-ares', 'wslay', 'hiredis', 'http-parser', 'libseccomp',
                     'libunistring'):
            self.assertIn(word.lower(), result.stdout.lower())
        self.assertNotEqual(run('-x').returncode, 0)
        result = run('-t', '-c', '/nonexistent/msrpd.yaml')
        self.assertEqual(result.returncode, 1)
        self.assertIn('/nonexistent/msrpd.yaml', result.stderr)
        socket_path = os.path.join(self.directory, 's')
        self.right(f'control: {{socket: {socket_path}}}\n')
        self.assertFalse(os.path.exists(socket_path))


class StartTest(case.Case):
    own_daemon = True

    def dies(self, daemon, what, status=1):
        """It does not start, and says why."""
        daemon.spawn()
        try:
            self.assertEqual(daemon.wait(), status, daemon.log())
            self.assertRegex(daemon.log(), what)
            self.assertIsNone(daemon.sanitizer_report())
        finally:
            daemon.kill()
            daemon.discard()

    def test_notifications(self):
        """READY=1 at start, RELOADING=1 and READY=1 at SIGHUP, STOPPING=1 at the end."""
        daemon, ctl = self.start()
        daemon.signal(signal.SIGHUP)
        daemon.notify.expect('RELOADING=1')
        daemon.notify.expect('READY=1')
        ctl.call('status')
        daemon.signal(signal.SIGTERM)
        daemon.notify.expect('STOPPING=1')
        self.assertEqual(daemon.wait(), 0)

    def test_watchdog(self):
        """WATCHDOG=1 within WATCHDOG_USEC."""
        daemon, _ = self.start(environment={'WATCHDOG_USEC': '1000000'})
        for _ in range(3):
            daemon.notify.expect('WATCHDOG=1')

    def test_ends_by_signals(self):
        """SIGTERM and SIGINT: exit status 0, nothing left behind."""
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = Daemon().start()
            try:
                daemon.signal(number)
                self.assertEqual(daemon.wait(), 0)
                self.assertFalse(os.path.exists(daemon.socket_path))
            finally:
                daemon.kill()
                daemon.discard()

    def test_sockets_in_use(self):
        """A port or control socket that is taken: exit status 1 and a word about it."""
        first, ctl = self.start()
        (_, port), = first.listeners(ctl)
        self.dies(Daemon({'control': {'socket': first.socket_path}}), re.escape(first.socket_path))
        self.dies(Daemon({'msrp': {'listen': [
            {'name': 'x', 'uri': f'msrp://127.0.0.1:{port};tcp'}]}}), port)
        self.dies(Daemon({'sip': {'listen': [
            f'sip:127.0.0.1:{first.sip_port};transport=udp']}}), str(first.sip_port))
        with socket.create_server(('127.0.0.1', 0)) as taken:
            address = '127.0.0.1:%d' % taken.getsockname()[1]
            self.dies(Daemon({'metrics': {'listen': address}}),
                      f'metrics.listen: {address}: Address already in use')
        self.dies(Daemon({'control': {'socket': '/nonexistent/ctl.sock'}}), '/nonexistent')
        self.call(first, ctl).send('unharmed')

    def test_stale_socket(self):
        """A socket file that nobody listens on is replaced; a file that is no socket is not."""
        daemon = Daemon()
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(daemon.socket_path)
        try:
            daemon.start()
            daemon.stop()
        finally:
            daemon.kill()
            daemon.discard()
        daemon = Daemon()
        with open(daemon.socket_path, 'w', encoding='ascii') as file:
            file.write('precious')
        daemon.spawn()
        try:
            self.assertEqual(daemon.wait(), 1)
            with open(daemon.socket_path, encoding='ascii') as file:
                self.assertEqual(file.read(), 'precious')
        finally:
            daemon.kill()
            daemon.discard()

    def test_socket_mode(self):
        """control.mode."""
        daemon, _ = self.start({'control': {'mode': '0600'}})
        self.assertEqual(os.stat(daemon.socket_path).st_mode & 0o777, 0o600)

    def test_bad_config_at_start(self):
        self.dies(Daemon(text='log: {levle: info}\n'), r'^msrpd: .*msrpd\.yaml:1:7: ')

    def test_log_to_stderr(self):
        """-n: to stderr whatever the config says; -v: more of it."""
        daemon, _ = self.start({'log': {'target': 'syslog', 'level': 'error'}},
                               arguments=['-n', '-v', '-v'])
        poll(lambda: daemon.log(), what='a line on stderr')

    def test_without_sip(self):
        """No sip.listen: no UA, but the daemon runs."""
        for sip in (None, {'listen': []}):
            daemon, ctl = self.start({'sip': None, 'routes': None} if sip is None else
                                     {'sip': sip, 'routes': None})
            self.assertEqual(ctl.call('status')['listen']['sip'], [])
            with self.assertRaises(case.RpcError):
                ctl.call('msrp_ua_start_session', content_types='text/plain',
                         from_uri='sip:a@b', to_uri='sip:c@d', ruri='sip:c@d')

    def test_ports_of_sip(self):
        """Port 0 in a SIP listener: status tells the port."""
        daemon, ctl = self.start({'sip': {'listen': ['sip:127.0.0.1:0;transport=udp']}})
        text = json.dumps(ctl.call('status')['listen']['sip'])
        daemon.sip_port = int(re.search(r'127\.0\.0\.1:([0-9]+)', text).group(1))
        self.assertNotEqual(daemon.sip_port, 0)
        self.call(daemon, ctl).send('hello')

    def test_descriptors(self):
        """RLIMIT_NOFILE is raised to what max_connections needs, or a warning says what is left."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for wanted in (2000, 10 ** 7):
            with self.subTest(wanted):
                daemon, _ = self.start({'msrp': {'max_connections': wanted}})
                with open(f'/proc/{daemon.process.pid}/limits', encoding='ascii') as file:
                    soft = int(re.search(r'^Max open files\s+([0-9]+)', file.read(), re.M).group(1))
                if hard == resource.RLIM_INFINITY or hard > wanted + 1000 or soft > wanted:
                    self.assertGreater(soft, wanted)
                else:
                    self.assertRegex(daemon.log(), r'(?i)connections')

    def test_idle(self):
        """An idle daemon wakes up at most three times a second."""
        daemon, _ = self.start()

        def switches():
            with open(f'/proc/{daemon.process.pid}/status', encoding='ascii') as file:
                return int(re.search(r'^voluntary_ctxt_switches:\s*([0-9]+)', file.read(),
                                     re.M).group(1))
        pause = threading.Event()
        pause.wait(1)
        before, began = switches(), time.monotonic()
        pause.wait(5)
        seconds = time.monotonic() - began
        self.assertLessEqual(switches() - before, 3 * seconds + 1)


class ReloadTest(case.Case):
    own_daemon = True

    def test_hangup(self):
        """SIGHUP re-reads the file; a bad one changes nothing and is logged."""
        daemon, ctl = self.start()
        call = self.call(daemon, ctl)
        daemon.config['routes'] = {'sip': [{'do': [{'send_reply': {'code': 480,
                                                                   'reason': 'x'}}]}]}
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        daemon.notify.expect('READY=1')
        self.invite(self.offer(), daemon).final(480)
        daemon.write_config('routes: 7\n')
        daemon.signal(signal.SIGHUP)
        daemon.notify.expect('READY=1')
        poll(lambda: f'{daemon.config_file}:1:' in daemon.log(), what='the reason in the log')
        self.invite(self.offer(), daemon).final(480)
        call.send('unharmed')
        self.received(call, ctl)

    def test_new_values(self):
        """Limits and the log level of the new file count from now on."""
        daemon, ctl = self.start()
        call = self.call(daemon, ctl)
        call.send('x' * 2000)
        daemon.config['msrp']['max_message_size'] = '1KiB'
        daemon.config['log']['level'] = 'warn'
        daemon.write_config()
        self.assertEqual(ctl.call('reload'), 'OK')
        self.assertEqual(ctl.call('log_level'), 'warn')
        call.send('x' * 2000, code=413)


class MetricsTest(case.Case):
    @classmethod
    def prepare(cls):
        cls.port = free_port()
        cls.config = {'metrics': {'listen': f'127.0.0.1:{cls.port}'}, 'conference': {},
                      'relay': {}, 'web': {'listen': ['http://127.0.0.1:0']},
                      'cluster': {'redis': 'unix:///nonexistent', 'node': 'a'}}

    def get(self, path):
        try:
            with urllib.request.urlopen(f'http://127.0.0.1:{self.port}{path}',
                                        timeout=DEADLINE) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()

    def test_metrics(self):
        """GET /metrics: Prometheus' text form of the same statistics."""
        call = self.call()
        call.send('x')
        status, headers, text = self.get('/metrics')
        self.assertEqual(status, 200)
        self.assertTrue(headers['Content-Type'].startswith('text/plain'))
        samples = {}
        for line in text.splitlines():
            if line.startswith('#'):
                self.assertRegex(line, r'^# (TYPE [a-z_:0-9]+ (counter|gauge|histogram)'
                                       r'|HELP [a-z_:0-9]+ .*)$')
                continue
            match = re.match(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? ([0-9.e+-]+)$', line)
            self.assertTrue(match, line)
            samples[match.group(1) + (match.group(2) or '')] = match.group(3)
        statistics = self.ctl.call('get_statistics')
        self.assertGreaterEqual(len(samples), len(statistics))
        self.assertTrue(text.endswith('\n'))

    def test_promtool(self):
        """What Prometheus' own program says of the metrics: nothing."""
        text = self.get('/metrics')[2]
        verdict = subprocess.run([PROMTOOL, 'check', 'metrics'], input=text, timeout=DEADLINE,
                                 capture_output=True, text=True)
        self.assertEqual((verdict.returncode, verdict.stdout, verdict.stderr), (0, '', ''))

    def test_times(self):
        self.call().send('x')
        statistics = self.ctl.call('get_statistics')
        self.assertGreaterEqual(statistics['sip:setup_count'], 1)
        self.assertIn('sip:setup_ms', statistics)
        text = self.get('/metrics')[2]
        self.assertIn('msrpd_sip_setup_seconds_count %d\n' % statistics['sip:setup_count'], text)

    def check_rules(self, file, exprs):
        """Prometheus reads them, and they ask for no metric that there is not."""
        verdict = subprocess.run([PROMTOOL, 'check', 'rules', file], timeout=DEADLINE, text=True,
                                 capture_output=True)
        self.assertEqual(verdict.returncode, 0, verdict.stderr)
        names = set(re.findall(r'^([a-z_0-9]+)', self.get('/metrics')[2], re.M))
        for expr in exprs:
            used = re.findall(r'\b(?:msrpd|process)_[a-z_0-9]+|\bup\b', expr)
            self.assertTrue(used, expr)
            self.assertLessEqual(set(used), names | {'up'}, expr)

    def test_dashboard(self):
        with open(DASHBOARD, encoding='utf-8') as file:
            dashboard = json.load(file)
        exprs = [target['expr'] for panel in dashboard['panels']
                 for target in panel.get('targets', [])]
        self.assertGreater(len(exprs), 10)
        rules = os.path.join(self.daemon.directory, 'rules.json')
        with open(rules, 'w', encoding='utf-8') as file:
            json.dump({'groups': [{'name': 'panels', 'rules': [
                {'record': f'panel:{i}', 'expr': expr.replace('$__rate_interval', '5m')}
                for i, expr in enumerate(exprs)]}]}, file)
        self.check_rules(rules, exprs)

    def test_places_on_the_dashboard(self):
        """Each panel has a number and a place of its own within 24 columns, and Prometheus to ask."""
        with open(DASHBOARD, encoding='utf-8') as file:
            panels = json.load(file)['panels']
        self.assertEqual(len({panel['id'] for panel in panels}), len(panels))
        taken = {}
        for panel in panels:
            place = panel['gridPos']
            self.assertLessEqual(place['x'] + place['w'], 24, panel['title'])
            for x in range(place['x'], place['x'] + place['w']):
                for y in range(place['y'], place['y'] + place['h']):
                    self.assertEqual(taken.setdefault((x, y), panel['title']), panel['title'])
            if panel['type'] != 'row':
                self.assertEqual(panel['datasource']['type'], 'prometheus', panel['title'])

    def test_alerts(self):
        """docs/alerts.yml; docs/metrics.md names each of them."""
        with open(ALERTS, encoding='utf-8') as file:
            alerts = re.split(r'^ *- alert: ', file.read(), flags=re.M)[1:]
        self.check_rules(ALERTS, alerts)
        with open(os.path.join(DOCS, 'metrics.md'), encoding='utf-8') as file:
            page = file.read()
        for alert in alerts:
            self.assertIn(f'`{alert.split()[0]}`', page)

    def test_health(self):
        self.assertEqual(self.get('/healthz')[0], 200)
        self.assertEqual(self.get('/readyz')[0], 200)
        self.assertEqual(self.get('/nonsense')[0], 404)

    def test_hostile_requests(self):
        for data in (b'GET\r\n\r\n', b'\0' * 100, b'GET /' + b'x' * 100000 + b' HTTP/1.1\r\n\r\n',
                     b'POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n'):
            with socket.create_connection(('127.0.0.1', self.port)) as sock:
                try:
                    sock.sendall(data)
                except OSError:
                    pass
        self.assertEqual(self.get('/healthz')[0], 200)


if __name__ == '__main__':
    case.main()
