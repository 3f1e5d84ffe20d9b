#!/usr/bin/env python3
"""The control socket, its events, and msrpctl."""
import json
import os
import re
import signal
import subprocess
import threading

from lib import case, msrp
from lib.daemon import MSRPCTL, die_with_parent, msrpctl
from lib.sip import Dialog
from lib.waiting import poll

COMMANDS = ['msrp_ua_start_session', 'msrp_ua_send_message', 'msrp_ua_list_sessions',
            'msrp_ua_end_session', 'event_subscribe', 'event_unsubscribe', 'get_statistics',
            'status', 'reload', 'log_level', 'which']


class RpcTest(case.Case):
    config = {'control': {'max_request': '64KiB', 'max_backlog': '128KiB'}}

    def client(self):
        client = self.daemon.control('client')
        self.addCleanup(client.close)
        return client

    def error(self, client, line, code, ident=None):
        client.send_raw(line if isinstance(line, bytes) else line.encode() + b'\n')
        answer = client.answers.take(what=f'the answer to {line!r}')
        self.assertEqual(answer['error']['code'], code, answer)
        self.assertEqual(answer['id'], ident)
        self.assertEqual(answer['jsonrpc'], '2.0')
        self.assertIsInstance(answer['error']['message'], str)

    def test_parse_errors(self):
        """JSON-RPC 5.1: -32700 for what is no JSON; the connection goes on."""
        client = self.client()
        for line in (b'{\n', b'nonsense\n', b'{"jsonrpc": "2.0", "method": "foo, "params"}\n',
                     b'[1,\n', b'"\\ud800\n', b'\xff\xfe{}\n', b'{}{}\n', b'\0\n',
                     b'[' * 5000 + b'\n'):
            with self.subTest(line[:20]):
                self.error(client, line, -32700)
        client.call('status')

    def test_unreadable_requests(self):
        """JSON that cannot be taken is refused by its id: who pipelines does not wait for ever."""
        client = self.client()
        head = '{"jsonrpc": "2.0", "id": 9, "method": "log_level", "params": '
        for params in ('["\\ud800"]', '[1e999]', '[99999999999999999999]', '[' * 4000 + ']' * 4000,
                       '{"level": "info", "level": "info"}'):
            with self.subTest(params[:20]):
                self.error(client, head + params + '}', 400, 9)
        client.call('status')

    def test_invalid_requests(self):
        """JSON-RPC 5.1: -32600 for JSON that is no request."""
        client = self.client()
        for line in ('1', '"x"', 'null', 'true', '[]', '{}', '{"jsonrpc":"2.0"}',
                     '{"jsonrpc":"2.0","method":1}', '{"jsonrpc":"1.0","method":"status","id":1}',
                     '{"jsonrpc":"2.0","method":"status","params":7,"id":1}',
                     '{"jsonrpc":"2.0","method":"status","id":{}}'):
            with self.subTest(line):
                client.send_raw(line.encode() + b'\n')
                answer = client.answers.take()
                self.assertEqual(answer['error']['code'], -32600, answer)
                self.assertIn(answer['id'], (None, 1))
        client.call('status')

    def test_unknown_method_and_parameters(self):
        """-32601 and -32602."""
        client = self.client()
        self.refused(-32601, client.call, 'msrp_ua_sing')
        self.refused(-32601, client.call, '')
        self.refused(-32602, client.call, 'msrp_ua_end_session')
        self.refused(-32602, client.call, 'msrp_ua_end_session', session_id=7)
        self.refused(-32602, client.call, 'msrp_ua_end_session', session_id=None)
        self.refused(-32602, client.call, 'msrp_ua_end_session', session_id='x', more='y')
        self.refused(-32602, client.call, 'msrp_ua_end_session', ['x', 'y'])
        self.refused(-32602, client.call, 'log_level', level=3)
        self.refused(404, client.call, 'msrp_ua_end_session', session_id='nobody')
        self.refused(404, client.call, 'msrp_ua_send_message', session_id='nobody')

    def test_identifiers(self):
        """JSON-RPC 5: the id comes back as it was."""
        client = self.client()
        for ident in (1, 'x', '', -5, 2 ** 40, 'ü"\\'):
            client.send({'jsonrpc': '2.0', 'id': ident, 'method': 'which'})
            self.assertEqual(client.answers.take()['id'], ident)
        client.send({'jsonrpc': '2.0', 'id': None, 'method': 'which'})
        self.assertIsNone(client.answers.take()['id'])

    def test_notifications(self):
        """JSON-RPC 4.1: no id, no answer, not even to an error."""
        client = self.client()
        client.send({'jsonrpc': '2.0', 'method': 'which'})
        client.send({'jsonrpc': '2.0', 'method': 'nonsense'})
        client.send({'jsonrpc': '2.0', 'method': 'event_subscribe', 'params': {'x': 1}})
        client.call('status')
        self.assertEqual(client.answers.items, [])

    def test_batches(self):
        """JSON-RPC 6: answers of a batch are one array; of notifications, nothing."""
        client = self.client()
        client.send([{'jsonrpc': '2.0', 'id': 1, 'method': 'which'},
                     {'jsonrpc': '2.0', 'method': 'which'},
                     {'foo': 'boo'}, 1,
                     {'jsonrpc': '2.0', 'id': 2, 'method': 'nonsense'},
                     {'jsonrpc': '2.0', 'id': '3', 'method': 'status'}])
        answers = client.answers.take()
        found = {answer['id']: answer.get('error', {}).get('code') for answer in answers
                 if answer['id'] is not None}
        self.assertEqual(found, {1: None, 2: -32601, '3': None})
        self.assertEqual([a['error']['code'] for a in answers if a['id'] is None],
                         [-32600, -32600])
        client.send([{'jsonrpc': '2.0', 'method': 'which'}] * 3)
        client.call('status')
        self.assertEqual(client.answers.items, [])

    def test_pipelining(self):
        """A thousand requests in one write: a thousand answers, in order."""
        client = self.client()
        requests = b''.join(json.dumps({'jsonrpc': '2.0', 'id': n, 'method': 'log_level'}).encode()
                            + b'\n' for n in range(1000))
        threading.Thread(target=client.send_raw, args=(requests, ), daemon=True).start()
        self.assertEqual([client.answers.take()['id'] for _ in range(1000)], list(range(1000)))

    def test_pieces(self):
        """A request that comes byte by byte, empty lines, CRLF."""
        client = self.client()
        line = b'\n\r\n{"jsonrpc":"2.0","id":1,"method":"which"}\r\n'
        for at in range(len(line)):
            client.send_raw(line[at:at + 1])
        self.assertEqual(client.answers.take()['id'], 1)

    def test_positions_and_names(self):
        """Parameters by position, and OpenSIPS' spelling of names."""
        call = self.call()
        message_id = self.ctl.call('msrp_ua:send_message',
                                   [call.id, 'text/plain', 'by position'])['message_id']
        frame = call.receive()
        self.assertEqual((frame.message_id, frame.body), (message_id, b'by position'))
        self.assertEqual(self.ctl.call('msrp_ua:list_sessions'),
                         self.ctl.call('msrp_ua_list_sessions', []))
        self.assertEqual(self.ctl.call('msrp_ua:end_session', [call.id]), 'OK')

    def test_bad_values(self):
        """400 for a bad value of the right type."""
        call = self.call()
        send = self.ctl.call
        for params in ({'success_report': 'maybe'}, {'failure_report': 'perhaps'},
                       {'success_report': 'partial'}, {'mime': 'plain'}, {'mime': ''},
                       {'body': None, 'body_base64': 'no base64!'},
                       {'body': None, 'body_base64': 'AAA'}):
            with self.subTest(params):
                given = {'session_id': call.id, 'mime': 'text/plain', 'body': 'x', **params}
                given = {key: value for key, value in given.items() if value is not None}
                self.refused(400, send, 'msrp_ua_send_message', given)
        for params in ({'body': 7}, {'mime': 7}, {'body': ['x']}, {'success_report': True}):
            with self.subTest(params):
                self.refused(-32602, send, 'msrp_ua_send_message',
                             {'session_id': call.id, 'mime': 'text/plain', 'body': 'x', **params})
        self.refused(400, send, 'log_level', level='loud')
        call.msrp.flush()
        self.assertEqual(call.conn.inbox.has(lambda f: f.method == 'SEND'), [])

    def test_oversized_request(self):
        """max_request: more gets an error, or the end of that client; others live on."""
        client = self.client()
        try:
            client.send_raw(b'"' + b'x' * (128 * 1024) + b'"\n')
        except OSError:
            pass
        client.answers.until(lambda: client.answers.closed or client.answers.items,
                             what='an error or the end')
        for answer in client.answers.items:
            self.assertIn('error', answer)
        self.ctl.call('status')

    def test_slow_subscriber(self):
        """max_backlog: who does not read is disconnected, with a log line; others miss nothing."""
        slow, quick = self.client(), self.client()
        slow.subscribe('E_MSRP_MSG_RECEIVED')
        quick.subscribe('E_MSRP_MSG_RECEIVED')
        slow.pause()
        call = self.call()
        body = 'x' * 50000
        count = 0
        while 'backlog' not in self.daemon.log():
            self.assertLess(count, 200, 'the backlog has no bound')
            sent = call.send(body)
            quick.event('E_MSRP_MSG_RECEIVED', message_id=sent.message_id)
            self.ctl.events.items.clear()
            count += 1
        slow.resume()
        slow.answers.until(lambda: slow.answers.closed, what='the end')
        self.ctl.call('status')

    def test_client_that_leaves(self):
        """SIGPIPE: a client that is gone before its answer."""
        for _ in range(20):
            client = self.daemon.control('leaver')
            client.send_raw(b'{"jsonrpc":"2.0","id":1,"method":"which"}\n' * 50)
            client.close()
        self.ctl.call('status')


class EventTest(case.Case):
    def test_subscriptions(self):
        """A connection gets the events it asked for, from then on, until it has enough."""
        client = self.daemon.control('subscriber')
        other = self.daemon.control('bystander')
        one = self.call()
        self.assertEqual(client.subscribe('E_MSRP_SESSION_END'), 'OK')
        self.assertEqual(client.subscribe('E_MSRP_MSG_RECEIVED'), 'OK')
        one.send('x')
        client.event('E_MSRP_MSG_RECEIVED')
        client.call('event_unsubscribe', names=['E_MSRP_MSG_RECEIVED'])
        one.send('y')
        one.bye()
        client.event('E_MSRP_SESSION_END')
        self.assertEqual(client.pending(), [])
        client.call('event_unsubscribe')
        self.call().bye()
        self.ctl.event('E_MSRP_SESSION_END')
        self.assertEqual(client.pending(), [])
        self.assertEqual(other.history, [])
        for name in ('E_MSRP_NONSENSE', '', 'status'):
            self.refused(-32602, client.subscribe, name)
        self.refused(-32602, client.call, 'event_subscribe', names='E_MSRP_SESSION_END')
        self.refused(-32602, client.call, 'event_subscribe', names=[7])

    def test_form(self):
        """Events are notifications of JSON-RPC."""
        self.call()
        event = [e for e in self.ctl.history if e['method'] == 'E_MSRP_SESSION_NEW'][-1]
        self.assertEqual(set(event), {'jsonrpc', 'method', 'params'})
        self.assertEqual(event['jsonrpc'], '2.0')

    def test_log_lines(self):
        """Each event is a line in the log: NAME key=value key="quoted value", no body."""
        call = self.call()
        sent = call.send('the secret body', content_type='text/plain; charset=utf-8')
        self.received(call)
        lines = [line for line in self.daemon.log().splitlines() if sent.message_id in line
                 and 'E_MSRP_MSG_RECEIVED' in line]
        self.assertEqual(len(lines), 1)
        self.assertRegex(lines[0], rf'E_MSRP_MSG_RECEIVED (.* )?session_id={re.escape(call.id)}')
        self.assertIn('content_type="text/plain; charset=utf-8"', lines[0])
        self.assertNotIn('secret', self.daemon.log())

    def test_log_lines_are_escaped(self):
        """Control characters of a peer cannot forge a line."""
        call = self.call(behave=msrp.answer_with(400, 'bad\tE_MSRP_FORGED "x" \\ \x1b[31m'))
        self.say(call, 'x')
        self.ctl.event('E_MSRP_REPORT_RECEIVED')
        log = self.daemon.log()
        self.assertNotIn('\x1b', log)
        self.assertIsNone(re.search(r'^\S*E_MSRP_FORGED', log, re.M))


class BodyLogTest(case.Case):
    config = {'log': {'event_body': True}}

    def test_bodies(self):
        """log.event_body: bodies are in the log, cut at 256 bytes."""
        call = self.call()
        call.send('short and sweet')
        call.send('y' * 1000)
        self.received(call)
        self.received(call)
        log = self.daemon.log()
        self.assertIn('short and sweet', log)
        self.assertIn('y' * 250, log)
        self.assertNotIn('y' * 257, log)


class CommandTest(case.Case):
    def test_which(self):
        names = self.ctl.call('which')
        for command in COMMANDS:
            self.assertIn(command, names)
        self.assertEqual(len(names), len(set(names)))

    def test_status(self):
        status = self.ctl.call('status')
        self.assertEqual(status['pid'], self.daemon.process.pid)
        self.assertIsInstance(status['version'], str)
        self.assertGreaterEqual(status['uptime'], 0)
        self.assertEqual(len(status['listen']['sip']), 2)
        self.assertEqual(len(status['listen']['msrp']), 1)
        self.assertEqual(status['sessions']['ua'], 0)
        self.call()
        self.assertEqual(self.ctl.call('status')['sessions']['ua'], 1)

    def test_statistics(self):
        before = self.ctl.call('get_statistics')
        for name, value in before.items():
            self.assertRegex(name, r'^[a-z0-9_]+:[a-z0-9_]+$')
            self.assertIsInstance(value, (int, float))
        call = self.call()
        call.send('x')
        self.received(call)
        after = self.ctl.call('get_statistics')
        self.assertEqual(set(before), set(after))
        self.assertTrue(any(after[name] > before[name] for name in before if 'sess' in name))
        group = sorted(before)[0].split(':')[0]
        part = self.ctl.call('get_statistics', group=group)
        self.assertTrue(part)
        self.assertEqual({name.split(':')[0] for name in part}, {group})
        self.refused(404, self.ctl.call, 'get_statistics', group='nonsense')

    def test_log_level(self):
        """The level as it is, and another one from now on."""
        self.assertEqual(self.ctl.call('log_level'), 'debug')
        self.assertEqual(self.ctl.call('log_level', level='error'), 'error')
        size = len(self.daemon.log())
        self.call().send('x')
        self.assertEqual(self.daemon.log()[size:], '')
        self.assertEqual(self.ctl.call('log_level', level='debug'), 'debug')
        self.call().send('x')
        self.assertGreater(len(self.daemon.log()), size)

    def test_reload(self):
        """reload: new routes for new calls, sessions live on; a bad file changes nothing."""
        call = self.call()
        good = json.loads(json.dumps(self.daemon.config))
        self.daemon.config['routes'] = {'sip': [{'do': [{'send_reply': {
            'code': 480, 'reason': 'Later'}}]}]}
        self.daemon.write_config()
        self.assertEqual(self.ctl.call('reload'), 'OK')
        self.invite(self.offer()).final(480)
        call.send('still here')
        self.received(call)
        self.daemon.write_config('log:\n  levle: info\n')
        error = self.refused(500, self.ctl.call, 'reload')
        self.assertIn(f'{self.daemon.config_file}:2:3', error.message)
        self.invite(self.offer()).final(480)
        self.daemon.config = good
        self.daemon.write_config()
        self.ctl.call('reload')
        self.call().send('as before')

    def test_reload_of_option_tags(self):
        """sip.accept_required: what Require may hold from now on."""
        good = json.loads(json.dumps(self.daemon.config))
        self.invite(self.offer(), headers=[('Require', 'foo')]).final(420)
        self.daemon.config['sip']['accept_required'] = ['foo']
        self.daemon.write_config()
        self.ctl.call('reload')
        transaction = self.invite(self.offer(), headers=[('Require', 'foo')])
        dialog = Dialog.of_client(transaction, transaction.final(200))
        dialog.ack()
        dialog.bye()
        answer = self.invite(self.offer(), headers=[('Require', 'foo, geolocation')]).final(420)
        self.assertEqual(answer.get('Unsupported'), 'geolocation')
        self.daemon.config = good
        self.daemon.write_config()
        self.ctl.call('reload')

    def test_reload_of_what_cannot_change(self):
        """A changed listener or socket path changes nothing, and says so."""
        good = json.loads(json.dumps(self.daemon.config))
        for change in ({'msrp': {'listen': [{'name': 'x', 'uri': 'msrp://127.0.0.9:0;tcp'}]}},
                       {'control': {'socket': self.daemon.socket_path + '2'}},
                       {'sip': {'listen': []}}):
            changed = json.loads(json.dumps(good))
            for section, values in change.items():
                changed[section].update(values)
            self.daemon.config = changed
            self.daemon.write_config()
            self.daemon.config = good
            with self.subTest(change):
                self.refused(500, self.ctl.call, 'reload')
        self.daemon.write_config()
        self.assertEqual(self.ctl.call('reload'), 'OK')
        self.call().send('unharmed')


class MsrpctlTest(case.Case):
    def run_ok(self, *arguments):
        result = self.msrpctl(*arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ''), arguments)
        return result.stdout

    def test_exit_status(self):
        """0 a result, 1 an error object, 2 usage or no daemon."""
        self.run_ok('status')
        for arguments, status in ((('msrp_ua_end_session', 'nobody'), 1),
                                  (('nonsense', ), 1),
                                  (('msrp_ua_end_session', ), 1),
                                  ((), 2), (('-x', ), 2), (('-s', ), 2)):
            with self.subTest(arguments):
                result = self.msrpctl(*arguments)
                self.assertEqual(result.returncode, status)
                self.assertNotEqual(result.stderr, '')
                self.assertEqual(result.stdout, '')
        result = msrpctl('/nonexistent/socket', 'status')
        self.assertEqual(result.returncode, 2)
        self.assertIn('/nonexistent/socket', result.stderr)

    def test_json(self):
        """-j: the result as it is."""
        self.call()
        listed = json.loads(self.run_ok('-j', 'msrp_ua_list_sessions'))
        self.assertEqual(listed[0]['session_id'],
                         self.ctl.call('msrp_ua_list_sessions')[0]['session_id'])
        self.assertEqual(json.loads(self.run_ok('-j', 'log_level')), 'debug')
        result = self.msrpctl('-j', 'msrp_ua_end_session', 'nobody')
        self.assertEqual(result.returncode, 1)

    def test_tables(self):
        """For a person: a line for each session, with what identifies it."""
        one, two = self.call(), self.call()
        text = self.run_ok('msrp_ua_list_sessions')
        for call in (one, two):
            self.assertEqual(len([line for line in text.splitlines() if call.id in line]), 1)
        self.assertIn('session_id', text.lower())
        self.assertEqual(sorted(self.run_ok('which').split()), sorted(self.ctl.call('which')))
        self.assertIn(str(self.daemon.process.pid), self.run_ok('status'))
        self.assertIn(':', self.run_ok('get_statistics'))

    def test_arguments(self):
        """Arguments by position and as name=value; a value may hold `=`."""
        call = self.call()
        self.run_ok('msrp_ua_send_message', call.id, 'text/plain', 'a=b c')
        self.assertEqual(call.receive().body, b'a=b c')
        self.run_ok('msrp_ua_send_message', f'session_id={call.id}', 'mime=text/plain',
                    'body=x=y', 'success_report=yes')
        frame = call.receive()
        self.assertEqual((frame.body, frame.get('Success-Report')), (b'x=y', 'yes'))
        self.run_ok('msrp_ua_end_session', call.id)
        call.dialog.expect('BYE').respond(200)

    def test_events(self):
        """msrpctl events: a line each, until interrupted."""
        process = subprocess.Popen(
            [MSRPCTL, '-s', self.daemon.socket_path, 'events', 'E_MSRP_SESSION_NEW',
             'E_MSRP_MSG_RECEIVED'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        try:
            # It has subscribed once it is told of a session; until then sessions are made.
            found = threading.Event()
            lines = []

            def read():
                for line in process.stdout:
                    lines.append(line.decode())
                    found.set()
            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            poll(lambda: self.call(connect=False) and found.wait(0.5), what='a line')
            call = self.call()
            call.send('to be seen')
            self.received(call)
            poll(lambda: any('E_MSRP_MSG_RECEIVED' in line and call.id in line for line in lines),
                 what='the line of the message')
            call.bye()
            process.send_signal(signal.SIGINT)
            process.wait(10)
            reader.join(10)
            self.assertFalse(any('E_MSRP_SESSION_END' in line for line in lines))
            self.assertEqual(process.stderr.read(), b'')
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        result = self.msrpctl('events', 'E_NONSENSE')
        self.assertEqual(result.returncode, 1)

    def test_daemon_goes(self):
        """events ends, with an exit status that says so, when the daemon ends."""
        daemon, ctl = self.start()
        process = subprocess.Popen([MSRPCTL, '-s', daemon.socket_path, 'events'],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        try:
            poll(lambda: os.path.exists(f'/proc/{process.pid}/fd/3'), what='its connection')
            ctl.call('status')
            daemon.stop()
            process.wait(10)
            self.assertEqual(process.returncode, 2)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        self._daemons.remove((daemon, ctl))
        daemon.discard()


if __name__ == '__main__':
    case.main()
