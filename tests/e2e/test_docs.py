#!/usr/bin/env python3
"""What the pages of the project show in fenced blocks is true; docs/README.md says how."""
import hashlib
import hmac
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
import unittest

from lib import case, certs, msrp, sdp
from lib.daemon import MSRPCTL, MSRPD, SOURCE, die_with_parent, free_port
from lib.digest import authorized
from lib.kamailio import PROGRAM as KAMAILIO
from lib.program import Program
from lib.sip import Dialog, SipUa
from lib.waiting import DEADLINE, Timeout, poll

sys.path.insert(0, os.path.join(SOURCE, 'scripts'))
import pages                                                # noqa: E402

PAGES = pages.pages(SOURCE)
PROMTOOL = os.path.join(SOURCE, 'tests', 'e2e', 'tools', 'promtool')
SECRET = 'a secret of sixteen or more\n'
ELLIPSIS = '…'

# Lines of `sh elsewhere`, and who else runs them, or why nobody does.
PACKAGE = 'tests/package/life.py'
BY_HAND = 'takes minutes, or wants a quiet machine'
OWN_SYSTEM = "changes the operator's own system"
ELSEWHERE = {
    'scripts/demo': 'tests/e2e/test_demo.py',
    'scripts/demo web': 'tests/e2e/test_demo.py',
    'scripts/demo cluster': 'tests/e2e/test_demo.py',
    'scripts/test': 'it is what runs this test',
    'scripts/package': 'tests/package/test_package.py',
    'scripts/install-build-needs': OWN_SYSTEM,
    'scripts/install-build-needs test': OWN_SYSTEM,
    'cmake --preset release && cmake --build --preset release': 'scripts/package',
    'build/release/msrpd -n -c conf/gateway.yaml': 'tests/e2e/test_gw_sipp.py',
    'build/release/msrpctl -s /tmp/msrpd-gateway.sock status': 'tests/e2e/test_msrpctl.py',
    'sudo apt install ./build/package/msrpd_*.deb': PACKAGE,
    'sudoedit /etc/msrpd/msrpd.yaml': OWN_SYSTEM,
    'sudo msrpd -t': PACKAGE,
    'sudo systemctl restart msrpd': OWN_SYSTEM,
    'sudo msrpctl status': PACKAGE,
    'for finding in findings/*-*.sh; do "$finding"; done': 'they need the network and fixed ports',
    'sngrep -L udp:192.0.2.7:9060': 'tests/e2e/test_trace.py',
    'bench/ua.py': BY_HAND,
    'build/release/bench/bench_frame': BY_HAND,
    'build/release/bench/bench_ctl_events': BY_HAND,
    'bench/relay.py': BY_HAND,
    'bench/relay.py --rounds 9 64B 1MiB-in-8KiB': BY_HAND,
    'bench/against HEAD~10': BY_HAND,
    'bench/against --only instructions HEAD~10 1KiB': BY_HAND,
    'bench/gateway.py --msrpd build/release/msrpd': BY_HAND,
    'bench/gateway.py --msrpd build/release/msrpd --transport udp --sessions 0': BY_HAND,
    'bench/conf.py': BY_HAND,
    'bench/conf.py memory slow': BY_HAND,
    'bench/table': BY_HAND,
    'bench/cluster.py': BY_HAND,
    'bench/cluster.py local': BY_HAND,
    'bench/cluster_sizing.py': BY_HAND,
    'bench/nodes.py': BY_HAND,
    'bench/nodes.py gateway': BY_HAND,
    'bench/files.py': BY_HAND,
    'bench/handshakes.py': BY_HAND,
    'bench/handshakes.py rsa-2048': BY_HAND,
    'bench/ws.py': BY_HAND,
    'bench/ws.py --rounds 9 relay': BY_HAND,
}
# What OpenSIPS 4.1 exports: modules with their parameters, and the functions of those.
OPENSIPS = {
    'proto_msrp': ('send_timeout', 'tls_handshake_timeout', 'max_msg_chunks',
                   'cert_check_on_conn_reusage', 'trace_destination', 'trace_on',
                   'trace_filter_route'),
    'msrp_ua': ('hash_size', 'cleanup_interval', 'max_duration', 'my_uri', 'advertised_contact',
                'relay_uri'),
    'msrp_gateway': ('hash_size', 'cleanup_interval', 'session_timeout', 'message_timeout'),
    'msrp_relay': ('hash_size', 'cleanup_interval', 'auth_route', 'username_var', 'realm_var',
                   'password_var', 'calculate_ha1', 'socket_route', 'dst_schema_var',
                   'dst_host_var', 'auth_realm', 'auth_expires', 'auth_min_expires',
                   'auth_max_expires', 'nonce_expire', 'my_uri'),
}
OPENSIPS_FUNCTIONS = ('msrp_ua_answer', 'msrp_gw_answer', 'msg_to_msrp')


def program(name):
    return shutil.which(name, path=os.environ['PATH'] + ':/usr/sbin')


def blocks(kind):
    return [block for page in PAGES for block in page.blocks if block.kind == kind]


def run(*command, **kwargs):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=4 * DEADLINE,
                          preexec_fn=die_with_parent, **kwargs)


def end_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def without_comment(line):
    return re.sub(r'(^|\s+)#\s.*', '', line).strip()


class Place:
    """A directory with what the pages suppose is there, and their paths turned into it."""

    def __init__(self, directory):
        self.directory = directory
        self.authority = certs.Authority(directory)
        self.certificate = self.authority.issue('im', ['DNS:im.example.org', 'IP:127.0.0.1'])
        self.etc, self.var = os.path.join(directory, 'etc'), os.path.join(directory, 'var')
        for folder in (self.etc, self.var, os.path.join(self.var, 'traces')):
            os.mkdir(folder)

    def turn(self, text):
        """The text with the paths of a machine in use turned into this place."""
        text = re.sub(r'/etc/(?:msrpd|haproxy|ssl|nginx)/([\w.-]+)', self._file, text)
        text = text.replace('/var/lib/msrpd', self.var)
        return text.replace('/usr/share/msrpd/web', os.path.join(SOURCE, 'web', 'dist'))

    def _file(self, match):
        name = match[1]
        path = os.path.join(self.etc, name)
        if os.path.splitext(name)[1] in ('.key', '.pem', '.crt'):
            text = self._read(self.certificate.certificate) + self._read(self.certificate.key)
        elif name.endswith('.htdigest'):
            text = 'alice:example.org:' + '0' * 32 + '\n'
        else:
            text = SECRET
        if not os.path.exists(path):
            self.write(path, text)
        return path

    @staticmethod
    def _read(path):
        with open(path, encoding='ascii') as file:
            return file.read()

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path


# --- what is read

class MechanismTest(unittest.TestCase):
    """Nothing is shown that nobody checks."""

    def test_all_kinds(self):
        for page in PAGES:
            for block in page.blocks:
                self.assertIn(block.kind, pages.KINDS, block)

    def test_elsewhere(self):
        said = set()
        for block in blocks('sh elsewhere'):
            for line in filter(None, map(without_comment, block.text.splitlines())):
                self.assertIn(line, ELSEWHERE, block)
                said.add(line)
                path = shlex.split(line)[0]
                if path.split('/')[0] in ('scripts', 'bench'):
                    self.assertTrue(os.access(os.path.join(SOURCE, path), os.X_OK), line)
        self.assertEqual(said, set(ELSEWHERE), 'lines that no page has')
        for who in ELSEWHERE.values():
            if '/' in who:
                self.assertTrue(os.path.exists(os.path.join(SOURCE, who)), who)

    def test_configurations_of_the_folder(self):
        """Those of conf/ load where they lie."""
        programs = {'.yaml': (MSRPD, '-t', '-c'), '.cfg': (program('haproxy'), '-c', '-q', '-f')}
        for folder, _, names in os.walk(os.path.join(SOURCE, 'conf')):
            for name in names:
                with self.subTest(name):
                    done = run(*programs[os.path.splitext(name)[1]], os.path.join(folder, name))
                    self.assertEqual(done.returncode, 0, done.stdout)


class ReadTest(unittest.TestCase):
    """Blocks that a program reads and finds good."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix='msrpd-docs-')
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.place = Place(cls.directory)

    def each(self, kind, check):
        found = blocks(kind)
        self.assertTrue(found, kind)
        for block in found:
            with self.subTest(str(block)):
                check(block)

    def good(self, *command, **kwargs):
        done = run(*command, **kwargs)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def loads(self, text):
        path = self.place.write('msrpd.yaml', self.place.turn(text))
        said = self.good(MSRPD, '-t', '-i', '1', '-c', path)
        self.assertEqual(said, f'msrpd: {path}: good\n')

    def test_config(self):
        self.each('yaml config', lambda block: self.loads(block.text))

    def test_rules(self):
        """In a configuration that has all that rules may speak of."""
        whole = ('sip: {listen: ["sip:127.0.0.1:5060"]}\n'
                 'msrp: {listen: [{name: outside, uri: "msrp://127.0.0.1:2855;tcp"}]}\n'
                 'users: {alice: {password: secret}}\nregistrar: {domains: [example.org]}\n'
                 'relay: {auth_realm: example.org}\nconference: {create: true}\nroutes:\n')

        def check(block):
            rules = ''.join('    ' + line for line in block.text.splitlines(keepends=True))
            self.loads(f'{whole}  {block.rest}:\n{rules}')
        self.each('yaml rules', check)

    def test_prometheus(self):
        for name in os.listdir(os.path.join(SOURCE, 'docs')):
            if name.endswith('.yml'):
                shutil.copy(os.path.join(SOURCE, 'docs', name), self.directory)
        self.each('yaml prometheus', lambda block: self.good(
            PROMTOOL, 'check', 'config', self.place.write('prometheus.yml', block.text)))

    def test_nginx(self):
        def check(block):
            inner = self.place.turn(block.text).replace('listen 443', f'listen {free_port()}')
            path = self.place.write('nginx.conf', f'''pid {self.directory}/nginx.pid;
error_log {self.directory}/error.log;
events {{}}
http {{ access_log off; {inner} }}''')
            self.good(program('nginx'), '-t', '-q', '-e', f'{self.directory}/error.log',
                      '-p', self.directory, '-c', path)
        self.each('nginx', check)

    def test_haproxy(self):
        self.each('haproxy', lambda block: self.good(
            program('haproxy'), '-c', '-q', '-f',
            self.place.write('haproxy.cfg', self.place.turn(block.text))))

    def test_kamailio(self):
        self.each('kamailio', lambda block: self.good(
            KAMAILIO, '-c', '-f', self.place.write('kamailio.cfg', self.place.turn(block.text))))

    def test_opensips(self):
        """Debian has none that could read it, so its names are held to a list."""
        def check(block):
            for module, name in re.findall(r'modparam\("(\w+)",\s*"(\w+)"', block.text):
                self.assertIn(name, OPENSIPS[module])
            for module in re.findall(r'loadmodule "(\w+)\.so"', block.text):
                self.assertIn(module, OPENSIPS)
            for name in re.findall(r'\b(ms\w+)\(', block.text):
                self.assertIn(name, OPENSIPS_FUNCTIONS)
        self.each('opensips', check)

    def test_c(self):
        def check(block):
            before = ''.join(f'#include <msrpd/{name}.h>\n' for name in block.rest.split())
            self.good('gcc', '-fsyntax-only', '-std=gnu11', '-Wall', '-Wextra', '-Werror',
                      '-Wno-unused-function', '-I', os.path.join(SOURCE, 'include'),
                      self.place.write('page.c', before + block.text))
        self.each('c', check)

    def test_excerpts(self):
        """Line by line, where `...` stands for some that are left out."""
        def check(block):
            with open(os.path.join(SOURCE, block.rest), encoding='utf-8') as file:
                pattern = '.*'.join(re.escape(part) for part in
                                    re.split(r'^\s*\.\.\.\n', block.text, flags=re.M))
                self.assertRegex(file.read(), re.compile(pattern, re.S))
        for kind in ('c of', 'ts of'):
            self.each(kind, check)


class WordsTest(case.Case):
    """JSON that a daemon knows the words of."""

    config = {'conference': {}, 'relay': {}, 'registrar': {'domains': ['example.org']},
              'users': {'alice': {'password': 'secret'}}}

    def test_json(self):
        commands = {}
        for command in self.ctl.call('help'):
            commands[command['command']] = re.findall(r'\w+', command['params'])
        for block in blocks('json'):
            with self.subTest(str(block)):
                value = json.loads(given(block.text))
                method = value.get('method', '')
                if method.startswith('E_'):
                    self.ctl.call('event_subscribe', names=[method])
                elif method:
                    self.assertIn(method, commands)
                    self.assertLessEqual(set(value.get('params', ())), set(commands[method]))


def given(text):
    """JSON, where an ellipsis alone is a text."""
    return re.sub(rf'(?<=[:\[,{{])(\s*){ELLIPSIS}', rf'\1"{ELLIPSIS}"', text)


# --- what is run

SHELL = r'''
set -E
trap 'echo "status $? of line $LINENO: $BASH_COMMAND" >>"$DOCS_FAULTS"' ERR
'''
# msrpctl as a page calls it, at this test's daemon.  One that shows events until it is stopped
# is stopped as soon as it is there.
WRAPPER = r'''#!/bin/bash
[ "$1" = -s ] && shift 2
clients() { "$MSRPCTL" -s "$DOCS_SOCKET" -j get_statistics ctl | sed 's/.*"ctl:clients": \([0-9]*\).*/\1/'; }
[ "$1" = events ] || exec "$MSRPCTL" -s "$DOCS_SOCKET" "$@"
before=$(clients)
"$MSRPCTL" -s "$DOCS_SOCKET" "$@" &
while [ "$(clients)" -le "$before" ]; do kill -0 $! || exit 1; done
kill $!
wait $! || [ $? -gt 128 ]
'''
CURL = r'''#!/bin/bash
exec /usr/bin/curl -sS --cacert "$DOCS_CA" --connect-to "::127.0.0.1:$DOCS_WEB" "$@"
'''


def matches(shown, said):
    """Is what was said as it is shown, where an ellipsis is any text?"""
    pattern = '.*'.join(re.escape(part) for part in shown.strip().split(ELLIPSIS))
    return re.fullmatch(pattern, said.strip(), re.S)


def script(block):
    """What bash reads, and for each command what it is to say: None for anything."""
    if block.kind == 'sh run':
        return block.text, [None]
    parts = re.split(r'^\$ ', block.text, flags=re.M)
    assert parts[0] == '', f'{block} does not begin with $'
    commands, shown = [], []
    for part in parts[1:]:
        command = re.match(r'(?:.*\\\n)*.*\n(?:(?=[ \t]).*\n)*', part)[0]
        if command.count("'") % 2:
            command = part[:part.index("'\n", part.index("'") + 1) + 2]
        commands.append(command)
        shown.append(part[len(command):].strip() or None)
    return "printf '\\x1e'\n".join(commands), shown


class Callee(threading.Thread):
    """Whoever is called takes the call, until the test is over."""

    def __init__(self, ua, listener):
        super().__init__(daemon=True)
        self.ua, self.listener, self.ending = ua, listener, False
        self.start()

    def run(self):
        while not self.ending:
            try:
                asked = self.ua.requests.take(lambda t: t.method in ('INVITE', 'BYE'), 0.5)
            except Timeout:
                continue
            if asked.method == 'BYE':
                asked.respond(200)
            else:
                path = self.listener.uri()
                asked.respond(200, sdp.document(sdp.message(path, '*', setup='passive')))

    def stop(self):
        self.ending = True
        self.join(2 * DEADLINE)


def answer_and_report(frame, conn):
    """What a client does that was asked for success reports."""
    msrp.answer_ok(frame, conn)
    if frame.method == 'SEND' and frame.get('Success-Report') == 'yes':
        size = len(frame.body)
        conn.send(msrp.report_for(frame, '000 200', f'1-{size}/{size}'))


class RunTest(case.Case):
    """One daemon with all of its roles, for everything that is run."""

    @classmethod
    def prepare(cls):
        cls.place = Place(cls.directory)
        cls.bin = os.path.join(cls.directory, 'bin')
        os.mkdir(cls.bin)
        for name, text in (('msrpctl', WRAPPER), ('curl', CURL)):
            os.chmod(cls.place.write(os.path.join('bin', name), text), 0o755)
        cls.place.write('photo.png', 'a picture')
        cls.callee = SipUa(name='callee')
        cls.addClassCleanup(cls.callee.close)
        cls.port = free_port()
        cls.config = {
            'sip': {'outbound_proxy': f'sip:127.0.0.1:{cls.callee.port};lr'},
            'web': {'listen': [f'https://127.0.0.1:{cls.port}'], 'api_token_secret': SECRET,
                    'tls': {'certificate': cls.place.certificate.certificate,
                            'private_key': cls.place.certificate.key},
                    'advertise': 'https://im.example.org'},
            'users': {'alice': {'password': 'secret'}, 'bob': {'password': 'secret'}},
            'registrar': {'domains': ['example.org']}, 'conference': {'rooms': [
                {'uri': 'sip:lobby@example.org'}]}, 'relay': {},
            'trace': {'directory': os.path.join(cls.place.var, 'traces')},
            'routes': {'sip': [
                {'if': {'$rm': 'INVITE', '$rU': 'phone'}, 'do': [{'msrp_gw_answer': {
                    'key': '$fu:$tu', 'content_types': 'text/plain', 'from': '$fu', 'to': '$tu',
                    'ruri': '$ru'}}]},
                {'if': {'$rm': 'INVITE'}, 'do': [{'msrp_ua_answer': {
                    'content_types': 'text/plain'}}]}]}}

    def setUp(self):
        super().setUp()
        listener = self.listener(behave=answer_and_report)
        callee = Callee(self.callee, listener)
        self.sip.agree()
        self.addCleanup(callee.stop)

    def register(self, contact):
        """As alice."""
        transport, aor = self.sip.reach('127.0.0.1', self.daemon.sip_port), 'sip:alice@example.org'
        authorized(self.sip, 'REGISTER', 'sip:example.org', transport, 'alice', 'secret',
                   headers=[('Contact', f'<{contact}>')], from_uri=aor, to_uri=aor).final(200)

    def gateway_session(self):
        """Under the key sip:client@example.org:sip:phone@example.org."""
        transport = self.sip.reach('127.0.0.1', self.daemon.sip_port)
        asked = self.sip.request('INVITE', f'sip:phone@127.0.0.1:{self.daemon.sip_port}', transport,
                                 self.offer(accept_types='text/plain'),
                                 from_uri='sip:client@example.org', to_uri='sip:phone@example.org')
        Dialog.of_client(asked, asked.final(200)).ack()
        self.ctl.event('E_MSRP_GW_SESSION_NEW')

    def end_all(self):
        for session in self.ctl.call('msrp_gw_list_sessions'):
            self.ctl.call('msrp_gw_end_session', key=session['key'])
        self._end_sessions(self.ctl)

    def run_page(self, found, **environment):
        """The blocks of a page, one bash for all of them."""
        texts, shown = zip(*(script(block) for block in found))
        faults = os.path.join(self.directory, 'faults')
        text = SHELL + "printf '\\x1e'\n".join(self.place.turn(text) for text in texts)
        environment = dict(
            os.environ, LC_ALL='C.UTF-8', PATH=self.bin + ':' + os.environ['PATH'],
            MSRPCTL=MSRPCTL, MSRPD=MSRPD, DOCS_SOCKET=self.daemon.socket_path, DOCS_FAULTS=faults,
            DOCS_CA=self.place.authority.file, DOCS_WEB=str(self.port), **environment)
        with tempfile.TemporaryFile('w+', encoding='utf-8') as output:
            shell = subprocess.Popen(
                ['bash', self.place.write('page.sh', text)], cwd=self.directory, env=environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                preexec_fn=die_with_parent)
            try:
                shell.wait(4 * DEADLINE)
            finally:
                end_group(shell.pid)    # with what it left in the background
            output.seek(0)
            said = output.read()
        if os.path.exists(faults):
            with open(faults, encoding='utf-8') as file:
                self.fail(file.read() + said)
        said = said.split('\x1e')
        shown = [one for of_block in shown for one in of_block]
        self.assertEqual(len(said), len(shown), said)
        for one, other in zip(shown, said):
            self.assertTrue(one is None or matches(one, other), f'shown:\n{one}\nsaid:\n{other}')

    def test_commands(self):
        """Each page finds a session `$id`, one of the gateway, and a contact of alice."""
        for page in PAGES:
            found = [block for block in page.blocks if block.kind in ('sh run', 'console run')]
            if not found:
                continue
            with self.subTest(page.name):
                self.register('sip:alice@192.0.2.7')
                self.gateway_session()
                self.run_page(found, id=self.call().id)
            self.end_all()

    def test_programs(self):
        """The Python of a page is one program: it answers who writes to it."""
        for page in PAGES:
            found = [block for block in page.blocks if block.kind == 'python run']
            if not found:
                continue
            with self.subTest(page.name):
                text = ''.join(block.text for block in found)
                self.assertIn('/run/msrpd/msrpd.sock', text)
                path = self.place.write('page.py', text.replace('/run/msrpd/msrpd.sock',
                                                                self.daemon.socket_path))
                clients = self.ctl.call('get_statistics', group='ctl')['ctl:clients']
                bot = Program(page.name, [sys.executable, path], self.directory)
                self.addCleanup(bot.stop)
                poll(lambda: self.ctl.call('get_statistics', group='ctl')['ctl:clients'] > clients,
                     what=f'the program of {page.name}')
                call = self.call()
                call.send('hi')
                self.assertEqual(call.receive().body, b'You said: hi')

    def test_parts(self):
        """A part of somebody's program, with the names that the rest of it would have."""
        body = b'{}'
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        names = {'secret': SECRET.encode(), 'body': body, 'hmac': hmac, 'hashlib': hashlib,
                 'request': types.SimpleNamespace(
                     headers={'X-Msrpd-Signature': f'sha256={signature}'})}
        for block in blocks('python part'):
            with self.subTest(str(block)):
                exec(compile(block.text, str(block), 'exec'), dict(names))

    def test_conversations(self):
        for block in blocks('jsonrpc run'):
            with self.subTest(str(block)):
                Conversation(self, block).run()


class Conversation:
    """Lines of JSON to the control socket and from it; session and message ids are as they come."""

    def __init__(self, test, block):
        self.test, self.block, self.ids = test, block, {}
        self.heard = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(test.daemon.socket_path)
        self.lines = self.socket.makefile('r', encoding='utf-8')

    def run(self):
        try:
            for way, text in re.findall('^([→←]) (.*(?:\n[^→←].*)*)', self.block.text, re.M):
                value = json.loads(given(text))
                if way == '→':
                    self.socket.sendall((json.dumps(self._known(value)) + '\n').encode())
                else:
                    self._hear(value)
        finally:
            self.lines.close()
            self.socket.close()

    def _known(self, value):
        """With the ids that were heard in place of those shown."""
        if isinstance(value, dict):
            return {key: self._known(one) for key, one in value.items()}
        for shown, real in self.ids.items():
            if isinstance(value, str) and len(value) > 1 and matches(value, shown):
                return real
        return value

    def _hear(self, shown):
        """An event between answers may have come earlier."""
        is_same = (lambda one: one.get('id') == shown.get('id')
                   and one.get('method') == shown.get('method'))
        while not any(map(is_same, self.heard)):
            self.heard.append(json.loads(self.lines.readline()))
        said = next(filter(is_same, self.heard))
        self.heard.remove(said)
        self._compare(shown, said)

    def _compare(self, shown, said, key=None):
        """What is not shown may be there."""
        if isinstance(shown, dict):
            for name, value in shown.items():
                self.test.assertIn(name, said, self.block)
                self._compare(value, said[name], name)
        elif key in ('session_id', 'message_id') and self._known(shown) == shown:
            self.ids[shown] = said
        elif isinstance(shown, str):
            self.test.assertTrue(matches(self._known(shown), said), f'{self.block}: {said}')
        else:
            self.test.assertEqual(shown, said, self.block)


if __name__ == '__main__':
    case.main()
