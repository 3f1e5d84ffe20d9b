#!/usr/bin/env python3
"""msrpctl against a daemon of a few lines, which answers what each test wants."""
import base64
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from lib.waiting import DEADLINE

MSRPCTL = os.environ['MSRPCTL']


class Daemon:
    """Takes one connection after the other; `answer` makes the lines for each request."""

    def __init__(self, path, answer):
        self.requests, self.answer = [], answer
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, client.makefile('rwb') as stream:
                for line in stream:
                    self.requests.append(json.loads(line))
                    try:
                        stream.write(self.answer(self.requests[-1]))
                        stream.flush()
                    except BrokenPipeError:
                        break

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(DEADLINE)


def result(value):
    return lambda request: (json.dumps({'jsonrpc': '2.0', 'id': request['id'], 'result': value},
                                       ensure_ascii=False) + '\n').encode()


class MsrpctlTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.path = self.dir.name + '/ctl'
        self.daemon = None

    def tearDown(self):
        if self.daemon:
            self.daemon.close()
        self.dir.cleanup()

    def serve(self, answer):
        if self.daemon:
            self.daemon.close()
            os.unlink(self.path)
        self.daemon = Daemon(self.path, answer)

    def run_it(self, *args, stdin=b''):
        return subprocess.run([MSRPCTL, '-s', self.path, *args], input=stdin, capture_output=True,
                              timeout=DEADLINE)

    def show(self, value, *options):
        self.serve(result(value))
        done = self.run_it(*options, 'anything')
        self.assertEqual((done.returncode, done.stderr), (0, b''))
        return done.stdout.decode()

    def params(self, *args, stdin=b''):
        self.serve(result('OK'))
        done = self.run_it('a_command', *args, stdin=stdin)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b'OK\n', b''))
        request, = self.daemon.requests
        self.assertEqual((request['jsonrpc'], request['method']), ('2.0', 'a_command'))
        self.assertIn('id', request)
        return request.get('params')

    def test_params(self):
        for args, params in (
                ((), None),
                (('one',), ['one']),
                (('one', '2', ''), ['one', '2', '']),
                (('sip:a@b;x=y', 'name=value'), ['sip:a@b;x=y', 'name=value']),
                (('a=b', 'c_2=d=e', 'f='), {'a': 'b', 'c_2': 'd=e', 'f': ''}),
                (('--', 'a=b', '--'), ['a=b', '--']),
                (('--',), None),
                (('x=@/etc/passwd', 'y=-'), {'x': '@/etc/passwd', 'y': '-'}),
                (('k=ü "\n',), {'k': 'ü "\n'})):
            with self.subTest(args=args):
                self.assertEqual(self.params(*args), params)

    def test_body_from_file(self):
        name = self.dir.name + '/body'
        for content, params in (
                ('Grüße\n'.encode(), {'body': 'Grüße\n'}),
                (b'', {'body': ''}),
                (b'\xff\x00', {'body_base64': '/wA='}),
                (b'a\0', {'body_base64': 'YQA='}),
                (b'a\0b', {'body_base64': 'YQBi'}),
                (bytes(range(256)) * 2000,
                 {'body_base64': base64.b64encode(bytes(range(256)) * 2000).decode()})):
            with self.subTest(length=len(content)):
                with open(name, 'wb') as f:
                    f.write(content)
                self.assertEqual(self.params('body=@' + name), params)
                self.assertEqual(self.params('a=b', 'body=-', stdin=content), {'a': 'b'} | params)
        self.assertEqual(self.run_it('x', 'body=@' + name + '.none').returncode, 2)

    def test_tables(self):
        for value, text in (
                ('OK', 'OK\n'), (5, '5\n'), (None, '-\n'), (True, 'true\n'), ([], ''), ({}, ''),
                (['status', 'which'], 'status\nwhich\n'),
                ({'version': '0.1.0', 'pid': 7, 'sessions': {'ua': 1}, 'listen': {'sip': ['a', 'b'], 'msrp': []}},
                 'version      0.1.0\npid          7\nsessions.ua  1\nlisten.sip   a, b\nlisten.msrp  \n'),
                ([{'session_id': 'abc', 'state': 'setup'}, {'session_id': 'd', 'n': None, 'state': 'established'}],
                 'session_id  state        n\nabc         setup        \nd           established  -\n'),
                ([{'k': 'äöü', 'l': 1}, {'k': 'abcd', 'l': 2}], 'k     l\näöü   1\nabcd  2\n'),
                ([{'a': 1}, 'text'], '{"a": 1}\ntext\n'),
                ([{'a': [{'b': 1}, 2]}], 'a\n{"b": 1}, 2\n')):
            with self.subTest(value=value):
                self.assertEqual(self.show(value), text)

    def test_raw_json(self):
        for value in ('OK', None, [], {'a': [1, {'b': 'ü\x1b\x7f\u009b'}]}):
            text = self.show(value, '-j')
            self.assertEqual(json.loads(text), value)
            self.assertEqual(text.count('\n'), 1)

    def test_control_characters_stay_off_the_terminal(self):
        evil = 'a\x1b[2J\r\n\t\x7f\u009b31m\0'
        for value in (evil, [evil], {'k': evil, evil: {evil: 1}}, [{'k': evil, evil: evil}], [{'k': {'l': evil}}]):
            for options in ((), ('-j',)):
                text = self.show(json.loads(json.dumps(value).replace('\\u0000', '')), *options)
                for c in text:
                    self.assertTrue(c == '\n' or (c >= ' ' and not '\x7f' <= c < '\xa0'), repr(text))

    def test_error_object(self):
        self.serve(lambda request: (json.dumps({'jsonrpc': '2.0', 'id': request['id'], 'error': {
            'code': 404, 'message': 'unknown\x1b session'}}) + '\n').encode())
        done = self.run_it('x')
        self.assertEqual((done.returncode, done.stdout), (1, b''))
        self.assertEqual(done.stderr, b'msrpctl: error 404: unknown\\x1b session\n')
        done = self.run_it('-j', 'x')
        self.assertEqual((done.returncode, json.loads(done.stdout)['code'], done.stderr), (1, 404, b''))

    def test_trouble(self):
        self.assertEqual(self.run_it('status').returncode, 2)
        for args in ((), ('-x', 'status'), ('-s',)):
            done = subprocess.run([MSRPCTL, *args], capture_output=True, timeout=DEADLINE)
            self.assertEqual((done.returncode, done.stdout), (2, b''))
            self.assertIn(b'usage:', done.stderr)
        self.assertEqual(self.run_it('x', 'a=b', 'c').returncode, 2)
        self.assertEqual(self.run_it('x', b'\xff').returncode, 2)
        self.assertEqual(self.run_it('-s', '/' + 'x' * 200, 'status').returncode, 2)
        for answer in (b'', b'rubbish\n', b'[]\n', b'{"a":"\xff"}\n'):
            with self.subTest(answer=answer):
                self.serve(lambda request, answer=answer: answer)
                if not answer:
                    self.daemon.answer = lambda request: (_ for _ in ()).throw(BrokenPipeError())
                self.assertEqual(self.run_it('status').returncode, 2)

    def test_help_and_version(self):
        for option, word in (('-h', 'usage:'), ('-V', 'msrpctl ')):
            done = subprocess.run([MSRPCTL, option], capture_output=True, timeout=DEADLINE, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ''))
            self.assertTrue(done.stdout.startswith(word))

    def test_events(self):
        events = [('E_A', {'session_id': 's1', 'code': 408, 'none': None, 'body': 'two words\n"\\\x1b', 'e': ''}),
                  ('E_B', {}), ('E_B', {'n': 'null'})]
        lines = b''.join((json.dumps({'jsonrpc': '2.0', 'method': name, 'params': params}) + '\n').encode()
                         for name, params in events)
        expected = ['E_A session_id=s1 code=408 none=null body="two words\\n\\"\\\\\\x1b" e=""\n', 'E_B\n',
                    'E_B n="null"\n']
        self.serve(lambda request: result('OK')(request) + lines)
        for stop in (signal.SIGINT, signal.SIGTERM):
            with subprocess.Popen([MSRPCTL, '-s', self.path, 'events', 'E_A', 'E_B'], text=True,
                                  stdout=subprocess.PIPE) as follower:
                self.assertEqual([follower.stdout.readline() for _ in expected], expected)
                self.assertIsNone(follower.poll())
                follower.send_signal(stop)
                self.assertEqual(follower.wait(DEADLINE), 0)
        self.assertEqual(self.daemon.requests[0]['method'], 'event_subscribe')
        self.assertEqual(self.daemon.requests[0]['params'], {'names': ['E_A', 'E_B']})
        with subprocess.Popen([MSRPCTL, '-j', '-s', self.path, 'events'], text=True,
                              stdout=subprocess.PIPE) as follower:
            for name, params in events:
                event = json.loads(follower.stdout.readline())
                self.assertEqual((event['method'], event['params']), (name, params))
            follower.terminate()
        self.assertNotIn('params', self.daemon.requests[-1])

    def test_events_refused(self):
        self.serve(lambda request: b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"unknown event"}}\n')
        self.assertEqual(self.run_it('events', 'E_C').returncode, 1)


if __name__ == '__main__':
    unittest.main()
