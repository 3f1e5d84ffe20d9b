#!/usr/bin/env python3
"""The programs of examples/."""
import os
import subprocess
import sys

from lib import case, sdp, web as weblib
from lib.daemon import SOURCE, free_port
from lib.program import Program
from lib.sip import Dialog
from lib.waiting import DEADLINE, poll
from lib.web import Web

EXAMPLES = os.path.join(SOURCE, 'examples')
NODE_MODULES = os.path.join(SOURCE, 'tests', 'e2e', 'npm', 'node_modules')
SECRET = 'of the webhook'


class ExampleTest(case.Case):
    own_daemon = True

    def with_token(self, user, **web):
        daemon, ctl = self.start(weblib.config(**web))
        return daemon, ctl, Web.of(ctl), ctl.call('token', user=user)['token']

    def program(self, name, command, **environment):
        program = Program(name, command, self.directory, **environment)
        self.addCleanup(program.stop)
        return program

    def test_say(self):
        daemon, ctl, web, token = self.with_token('alice')
        listener = self.listener()
        to = self.sip.contact('UDP')
        text = 'Dinner is "ready" \\ grüße'
        said = subprocess.run(
            [os.path.join(EXAMPLES, 'say.sh'), web.url, 'sip:alice@example.org', to, text],
            env=dict(os.environ, MSRPD_TOKEN=token), stdout=subprocess.PIPE, check=True,
            timeout=DEADLINE)
        invite = self.sip.expect('INVITE')
        invite.respond(200, sdp.document(sdp.message(listener.uri(), 'text/plain',
                                                     setup='passive')))
        Dialog.of_server(invite).expect('ACK')
        conn = listener.accept()
        frame = conn.expect(lambda f: f.method == 'SEND' and f.body is not None)
        self.assertEqual(frame.body.decode(), text)
        self.assertEqual(ctl.call('msrp_ua_list_sessions')[0]['session_id'],
                         said.stdout.decode().strip())
        wrong = subprocess.run(
            [os.path.join(EXAMPLES, 'say.sh'), web.url, 'sip:bob@example.org', to, 'x'],
            env=dict(os.environ, MSRPD_TOKEN=token), stderr=subprocess.PIPE, timeout=DEADLINE)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn(b'403', wrong.stderr)

    def test_echo_bot(self):
        port = free_port()
        daemon, ctl, web, token = self.with_token('bob', webhooks=[{
            'url': f'http://127.0.0.1:{port}/', 'events': ['E_MSRP_MSG_RECEIVED'],
            'secret': SECRET}])
        self.program('echo-bot', [sys.executable, os.path.join(EXAMPLES, 'echo-bot.py'), web.url,
                                  str(port)], MSRPD_TOKEN=token, MSRPD_SECRET=SECRET)
        others = self.call(daemon, ctl, uri=f'sip:alice@example.org:{daemon.sip_port}')
        others.send('not for the bot')
        call = self.call(daemon, ctl, uri=f'sip:bob@example.org:{daemon.sip_port}')
        for text in ('hello', 'grüße'):
            call.send(text)
            self.assertEqual(call.receive().body.decode(), text)

    def test_support_desk(self):
        daemon, ctl, web, token = self.with_token('bob')
        # Where modules are looked for is where the program is.
        os.symlink(NODE_MODULES, os.path.join(self.directory, 'node_modules'))
        with open(os.path.join(EXAMPLES, 'support-desk.mjs'), encoding='utf-8') as source, \
                open(os.path.join(self.directory, 'desk.mjs'), 'w', encoding='utf-8') as copy:
            copy.write(source.read())
        desk = self.program('desk', ['node', 'desk.mjs', web.url.replace('http', 'ws')],
                            MSRPD_TOKEN=token)
        desk.line('^open$')
        calls = []
        for number in (1, 2):
            calls.append(self.call(daemon, ctl, uri=f'sip:bob@example.org:{daemon.sip_port}'))
            desk.line(f'^{number} is sip:')
            self.assertEqual(calls[-1].receive().body.decode(),
                             f'Welcome. You are number {number}.')
        calls[1].send('it does not work')
        desk.line('^2: it does not work$')
        desk.tell('2 have you tried to turn it off and on?')
        self.assertEqual(calls[1].receive().body, b'have you tried to turn it off and on?')
        desk.tell('3 hello')
        desk.line('nobody of that number')
        calls[0].bye()
        desk.line('^1 has gone: bye$')
        desk.tell('2')
        calls[1].dialog.expect('BYE').respond(200)
        poll(lambda: not ctl.call('msrp_ua_list_sessions'), what='the end')


if __name__ == '__main__':
    case.main()
