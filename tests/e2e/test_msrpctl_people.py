#!/usr/bin/env python3
"""msrpctl in a terminal: tables, events, chat, top, check."""
import fcntl
import json
import os
import pty
import re
import select
import socket
import struct
import subprocess
import termios
import time
import unittest

from lib import case, certs, msrp, sdp
from lib.daemon import MSRPCTL, MSRPD, die_with_parent
from lib.sip import Dialog
from lib.waiting import DEADLINE, Timeout, poll

ESCAPE = re.compile(r'\x1b\[[0-9;?]*[a-zA-Z]')


class Terminal:
    """msrpctl on a pseudo-terminal of so many columns."""

    def __init__(self, *arguments, columns=80, rows=40, **environment):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
        environment = dict(os.environ, TERM='xterm', LC_ALL='C.UTF-8', **environment)
        if 'NO_COLOR' not in environment or not environment['NO_COLOR']:
            environment.pop('NO_COLOR', None)
        self.process = subprocess.Popen([MSRPCTL, *arguments], stdin=slave, stdout=slave,
                                        stderr=slave, env=environment, start_new_session=True,
                                        preexec_fn=self._prepare)
        os.close(slave)
        self.raw = ''

    @staticmethod
    def _prepare():
        """In the child: Ctrl-C reaches it, and it does not outlive the test."""
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        die_with_parent()

    @property
    def text(self):
        return ESCAPE.sub('', self.raw).replace('\r', '')

    def read(self, seconds=0.1):
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.raw += data.decode(errors='replace')
        return bool(data)

    def expect(self, pattern, timeout=DEADLINE):
        """Until the pattern has been shown, behind what was found before."""
        end = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.text)
            if found:
                return found
            if not self.read() or time.monotonic() > end:
                found = re.search(pattern, self.text)
                if found:
                    return found
                raise Timeout(f'{pattern} is not in {self.text!r}')

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self):
        """Its exit status."""
        end = time.monotonic() + DEADLINE
        while self.read() and time.monotonic() < end:
            if self.process.poll() is not None:
                while self.read(0) and select.select([self.master], [], [], 0)[0]:
                    pass
                break
        return self.process.wait(DEADLINE)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


class PeopleCase(case.Case):
    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        own = cls.ca.issue('msrpd', ['IP:127.0.0.1', 'DNS:localhost'])
        cls.config = {
            'msrp': {'listen': [{'name': 'inside', 'uri': 'msrp://127.0.0.1:0;tcp',
                                 'advertise': 'localhost'},
                                {'name': 'outside', 'uri': 'msrps://127.0.0.1:0;tcp'}],
                     'tls': {'certificate': own.certificate, 'private_key': own.key,
                             'ca_file': cls.ca.file}},
            'conference': {'rooms': [{'uri': 'sip:lobby@im.example.org', 'subject': 'Lobby'}]}}

    def terminal(self, *arguments, **kwargs):
        terminal = Terminal('-s', self.daemon.socket_path, *arguments, **kwargs)
        self.addCleanup(terminal.close)
        return terminal


class TableTest(PeopleCase):
    def test_fits(self):
        """No line is longer than the terminal."""
        call = self.call()
        columns = 40 + 10 * len(self.ctl.call('msrp_ua_list_sessions')[0])
        terminal = self.terminal('msrp_ua_list_sessions', columns=columns)
        self.assertEqual(terminal.end(), 0)
        lines = terminal.text.splitlines()
        self.assertEqual(len(lines), 2, lines)
        for line in lines:
            self.assertLessEqual(len(line), columns)
        self.assertIn('\u2026', lines[1])
        self.assertNotIn(call.own_path[-1], lines[1])

    def test_too_narrow(self):
        """Where no table fits each is shown by itself."""
        call = self.call()
        terminal = self.terminal('msrp_ua_list_sessions', columns=50)
        self.assertEqual(terminal.end(), 0)
        self.assertRegex(terminal.text, f'(?m)^session_id +{call.id}$')

    def test_piped(self):
        """What scripts read is whole, and without colours."""
        call = self.call()
        done = self.msrpctl('msrp_ua_list_sessions')
        self.assertIn(call.own_path[-1], done.stdout)
        self.assertNotIn('\x1b', done.stdout)

    def test_colours(self):
        self.assertIn('\x1b[1m', self._shown())
        self.assertNotIn('\x1b[1m', self._shown(NO_COLOR='1'))

    def _shown(self, **environment):
        terminal = self.terminal('status', **environment)
        self.assertEqual(terminal.end(), 0)
        return terminal.raw

    def test_json(self):
        terminal = self.terminal('--json', 'status')
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(json.loads(terminal.text)['pid'], self.daemon.process.pid)


class EventsTest(PeopleCase):
    def test_terminal(self):
        """Time, name and fields, coloured."""
        terminal = self.terminal('events')
        call = None

        def seen():
            nonlocal call
            call = self.call(connect=False)
            terminal.read()
            return 'E_MSRP_SESSION_NEW' in terminal.text
        poll(seen, what='an event')
        terminal.expect(r'\d\d:\d\d:\d\d E_MSRP_SESSION_NEW from_uri=')
        self.assertIn('\x1b[32mE_MSRP_SESSION_NEW', terminal.raw)
        terminal.type('\x03')
        self.assertEqual(terminal.end(), 0)

    def test_json(self):
        terminal = self.terminal('events', '--json')

        def seen():
            self.call(connect=False)
            terminal.read()
            return '\n' in terminal.text
        poll(seen, what='an event')
        self.assertEqual(json.loads(terminal.text.splitlines()[0])['jsonrpc'], '2.0')


class ChatTest(PeopleCase):
    def test_call(self):
        """By URI: who is called, what is said, reports, the end."""
        listener, ua = self.listener(), self.sip
        terminal = self.terminal('chat', ua.contact('TCP'), 'from=sip:me@example.org')
        invite = ua.expect('INVITE')
        self.assertIn('sip:me@example.org', invite.request.get('From'))
        conn, session = self.answer(invite, listener)
        terminal.expect('connected')
        terminal.type('hello there\r')
        said = conn.expect(lambda f: f.method == 'SEND' and f.body)
        self.assertEqual(said.body, b'hello there')
        self.assertEqual(said.get('Success-Report'), 'yes')
        conn.send(msrp.report_for(said, '000 200 OK', said.get('Byte-Range')))
        terminal.expect('delivered')
        session.send('hello yourself')
        terminal.expect('peer: hello yourself')
        session.send('<isComposing><state>active</state></isComposing>',
                     content_type='application/im-iscomposing+xml')
        terminal.expect('typing')
        session.send('evil \x1b[2J')
        terminal.expect(r'peer: evil \\x1b\[2J')
        terminal.type('/quit\r')
        self.assertEqual(terminal.end(), 0)
        self.ctl.event('E_MSRP_SESSION_NEW')
        poll(lambda: not self.ctl.call('msrp_ua_list_sessions'), what='the end of the session')

    def answer(self, invite, listener):
        path = listener.uri()
        types = 'text/plain application/im-iscomposing+xml'
        invite.respond(200, sdp.document(sdp.message(path, types, setup='passive')))
        Dialog.of_server(invite).expect('ACK')
        conn = listener.accept()
        conn.expect('SEND')
        offer = sdp.Sdp(invite.request.body)
        return conn, msrp.Session(conn, offer.message.path, [path])

    def test_refused(self):
        ua = self.sip
        terminal = self.terminal('chat', ua.contact('TCP'))
        ua.expect('INVITE').respond(486)
        terminal.expect('failed: 486')
        self.assertEqual(terminal.end(), 1)

    def test_session(self):
        """A session that is there, which stays."""
        call = self.call()
        terminal = self.terminal('chat', call.id)
        terminal.expect('in the session')
        terminal.type('from here\r')
        self.assertEqual(call.receive().body, b'from here')
        terminal.type('half a line')
        terminal.expect('half a line')
        call.send('from there')
        terminal.expect('peer: from there')
        terminal.type('\x15\x04')
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(len(self.ctl.call('msrp_ua_list_sessions')), 1)

    def test_editing(self):
        """A line is edited before it goes."""
        call = self.call()
        terminal = self.terminal('chat', call.id)
        terminal.expect('in the session')
        terminal.type('wrong\x7f\x7f\x7f\x7f\x7fright\r')
        self.assertEqual(call.receive().body, b'right')

    def test_peer_ends(self):
        call = self.call()
        terminal = self.terminal('chat', call.id)
        terminal.expect('in the session')
        call.bye()
        terminal.expect('ended: bye')
        self.assertEqual(terminal.end(), 0)

    def test_room(self):
        terminal = self.terminal('chat', 'sip:lobby@im.example.org')
        terminal.expect('in the room')
        terminal.type('anybody here?\r')
        poll(lambda: self.ctl.call('msrp_conf_history', room='sip:lobby@im.example.org'),
             what='the message in the room')
        self.ctl.call('msrp_conf_send', room='sip:lobby@im.example.org', body='yes',
                      **{'from': 'sip:bob@example.org'})
        terminal.expect('bob@example.org>?: yes')

    def test_piped(self):
        """Lines of a pipe, and its end."""
        call = self.call()
        done = subprocess.run([MSRPCTL, '-s', self.daemon.socket_path, 'chat', call.id],
                              input='one\ntwo\n', capture_output=True, text=True,
                              timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual([call.receive().body, call.receive().body], [b'one', b'two'])

    def test_nobody(self):
        done = self.msrpctl('chat', 'nobody')
        self.assertEqual(done.returncode, 2)
        self.assertIn('no session, no room and no URI', done.stderr)


class TopTest(PeopleCase):
    def test_terminal(self):
        call = self.call()
        terminal = self.terminal('top', columns=100)
        terminal.expect('msrpd [0-9.]+ +up [0-9]+ s')
        terminal.expect(call.id)
        terminal.expect('sip:lobby@im.example.org')
        terminal.expect('msrp:frames_in +[1-9]')
        for _ in range(3):
            call.send('x')
        terminal.expect(r'msrp:frames_in +[0-9]+ +[1-9][0-9]*\.[0-9]')
        terminal.type('q')
        self.assertEqual(terminal.end(), 0)
        self.assertTrue(terminal.raw.rstrip().endswith('\x1b[?1049l'), terminal.raw[-40:])

    def test_once(self):
        done = self.msrpctl('top')
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stdout,
                         'msrpd [0-9.]+ +up [0-9]+ s +connections [0-9]+ +sessions:.* ua [0-9]+ ')
        self.assertIn('NUMBER', done.stdout)
        self.assertNotIn('\x1b', done.stdout)


class CheckTest(PeopleCase):
    def check(self, *arguments, socket_path=None, **kwargs):
        done = subprocess.run(
            [MSRPCTL, '-s', socket_path or self.daemon.socket_path, 'check', *arguments],
            capture_output=True, text=True, timeout=2 * DEADLINE, env=dict(os.environ,
                                                                           MSRPD=MSRPD))
        return done

    def test_good(self):
        done = self.check()
        self.assertEqual(done.returncode, 0, done)
        for pattern in ('good  configuration', 'good  msrpd: answers',
                        'msrp certificate .*: valid for [0-9]+ days',
                        'msrp certificate .*: is for localhost',
                        'good  .*msrps://127.0.0.1:[0-9]+;tcp: is open',
                        f'good  .*{self.daemon.sip_port}.*transport=tcp.*: is open',
                        'advertised name localhost: leads here', '(good|warn)  clock'):
            self.assertRegex(done.stdout, pattern)

    def test_bad_config(self):
        path = os.path.join(self.directory, 'bad.yaml')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('msrp: {lissten: []}\n')
        done = self.check(path)
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stdout, 'BAD   configuration: .*bad.yaml:1')

    def test_no_daemon(self):
        done = self.check(self.daemon.config_file, socket_path='/nowhere/socket')
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stdout, 'BAD   /nowhere/socket: No such file .*is msrpd running')


class HintTest(unittest.TestCase):
    def test_nobody_there(self):
        done = subprocess.run([MSRPCTL, '-s', '/nowhere/socket', 'status'],
                              capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 2)
        self.assertIn('is msrpd running', done.stderr)

    def test_left_over(self):
        with socket.socket(socket.AF_UNIX) as sock:
            path = f'/tmp/msrpctl-test-{os.getpid()}.sock'
            sock.bind(path)
            self.addCleanup(os.unlink, path)
            done = subprocess.run([MSRPCTL, '-s', path, 'status'], capture_output=True,
                                  text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 2)
        self.assertIn('msrpd has ended', done.stderr)


if __name__ == '__main__':
    case.main()
