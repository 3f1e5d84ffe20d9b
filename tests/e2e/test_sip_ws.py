#!/usr/bin/env python3
"""SIP over WebSocket from outside: RFC 7118, RFC 6455."""
import re

from lib import bounds, case, certs, ws
from lib.digest import authorized
from lib.gateway import TEXT, GatewayCase
from lib.sip import tag_of, token, uri_of
from lib.waiting import poll

ORIGIN = 'https://chat.example.org'
DOMAIN = 'example.org'
# Not in a second: it is a handshake's as well, which takes longer under valgrind.
BOUNDS = {**bounds.BOUNDS, 'message_timeout': '5s'}


class WebCase(case.Case):
    kind, tls = 'WS', None
    listen = ['sip:127.0.0.1:0;transport=udp', 'sip:127.0.0.1:0;transport=ws']
    config = {'sip': {**BOUNDS, 'listen': listen, 'origins': [ORIGIN]}}

    def setUp(self):
        super().setUp()
        self.find_ports(self.daemon, self.ctl)

    def find_ports(self, daemon, ctl):
        """UDP is the first of the listeners, the WebSocket the second."""
        daemon.sip_port, self.port = (
            int(re.search(r':(\d+)(;|$)', uri)[1]) for uri in ctl.call('status')['listen']['sip'])

    def browser(self, user='alice', name='browser', port=None):
        ua = self.ua(user=user, name=name)
        return ua, ua.reach('127.0.0.1', port or self.port, self.kind, self.tls)

    def uri(self):
        return f'msrp://127.0.0.1:{self.port};ws'

    def raw(self):
        sock, answer = ws.handshake(self.uri(), self.tls, protocol='sip')
        self.assertEqual(answer.status, 101)
        self.addCleanup(sock.close)
        return ws.Socket(sock)

    def options(self, extra='', body=b'', length=None):
        branch = f'z9hG4bK{token()}'
        head = ('OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n'
                f'Via: SIP/2.0/{self.kind} a.invalid;branch={branch}\r\n'
                'From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\n'
                f'Call-ID: {branch}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n{extra}')
        if length is not None:
            head += f'Content-Length: {length}\r\n'
        return head.encode() + b'\r\n' + body

    def read(self, sock, count=1):
        """The next messages."""
        sock.messages.clear()
        sock.opcodes.clear()
        while len(sock.messages) < count:
            try:
                self.assertTrue(sock.recv(65536), 'the end')
            except BlockingIOError:
                pass
        return sock.messages

    def read_all(self, sock):
        """Until msrpd closes: what it says before, and the close code."""
        sock.messages.clear()
        while True:
            try:
                if not sock.recv(65536) and sock.close_code:
                    return sock.messages, sock.close_code
            except BlockingIOError:
                pass

    def number(self, name):
        return self.ctl.call('get_statistics', group='sip')[f'sip:{name}']


class HandshakeTest(WebCase):
    def test_who_is_let_in(self):
        for origin, status in ((None, 101), (ORIGIN, 101), ('https://evil.example', 403),
                               ('null', 403)):
            headers = {'Origin': origin} if origin else {}
            with self.subTest(origin=origin):
                self.assertEqual(ws.refused(self.uri(), protocol='sip', headers=headers).status,
                                 status)

    def test_what_is_asked_for(self):
        for status, kwargs in ((400, {'protocol': 'msrp'}), (101, {'protocol': 'msrp, sip'}),
                               (400, {'leave_out': ['Sec-WebSocket-Protocol']}),
                               (400, {'leave_out': ['Host']}), (101, {'path': '/any?thing'})):
            with self.subTest(kwargs=kwargs):
                answer = ws.refused(self.uri(), **{'protocol': 'sip', **kwargs})
                self.assertEqual(answer.status, status)
                if status == 101:
                    self.assertEqual(answer.headers['Sec-WebSocket-Protocol'], 'sip')

    def test_reload(self):
        """Other pages may come, once the config says so."""
        daemon, ctl = self.start(self.config)
        self.find_ports(daemon, ctl)
        new = {'protocol': 'sip', 'headers': {'Origin': 'https://new.example'}}
        self.assertEqual(ws.refused(self.uri(), **new).status, 403)
        daemon.config['sip']['origins'] = ['https://new.example']
        daemon.write_config()
        self.assertEqual(ctl.call('reload'), 'OK')
        self.assertEqual(ws.refused(self.uri(), **new).status, 101)


class MessagesTest(WebCase):
    def test_both_kinds_of_frames(self):
        """In pieces as well; the answer is text, one message of SIP in one of the WebSocket."""
        sock = self.raw()
        for opcode, fragment in ((ws.TEXT, None), (ws.BINARY, None), (ws.TEXT, 7)):
            sock.opcode, sock.fragment = opcode, fragment
            sock.send(self.options())
            answer, = self.read(sock)
            self.assertTrue(answer.startswith(b'SIP/2.0 200 '), answer)
            self.assertTrue(answer.endswith(b'\r\n\r\n'), answer)
            self.assertEqual(sock.opcodes, [ws.TEXT])
            self.assertIn(b';received=127.0.0.1', answer)

    def test_many_at_once(self):
        sock = self.raw()
        for _ in range(200):
            sock.send(self.options())
        for answer in self.read(sock, 200):
            self.assertEqual(answer.count(b'SIP/2.0 200 '), 1)

    def test_keep_alive(self):
        """CRLF CRLF (RFC 5626 4.4.1), as SIP.js has it, and pings of WebSocket."""
        sock = self.raw()
        sock.opcode = ws.TEXT
        sock.send(b'\r\n\r\n')
        self.assertEqual(self.read(sock), [b'\r\n'])
        sock.control(ws.PING, b'here?')
        sock.send(self.options())
        self.read(sock)
        self.assertEqual(sock.pongs, [b'here?'])

    def bye(self, *args, **kwargs):
        """Unlike OPTIONS it is the stack that answers it."""
        return self.options(*args, **kwargs).replace(b'OPTIONS', b'BYE')

    def test_bounds(self):
        """One answer where there can be one, then the end, and the stack has seen nothing."""
        before, seen = self.number('stream_messages_in'), bounds.bytes_of_stack(self.daemon)
        for name, data, code in bounds.messages(self.bye, 1):
            with self.subTest(name):
                sock = self.raw()
                sock.send(data)
                answers, closed = self.read_all(sock)
                if name == 'size':      # that is the WebSocket's to say
                    self.assertEqual((answers, closed), ([], 1009))
                    continue
                self.assertEqual([answer[8:11] for answer in answers], [code] if code else [])
                self.assertEqual(closed, 1000)
        self.assertEqual(self.number('stream_messages_in'), before)
        self.assertEqual(bounds.bytes_of_stack(self.daemon), seen)

    def test_at_the_bounds(self):
        """What is just within them is the stack's to answer."""
        for name, data, _ in bounds.messages(self.bye):
            with self.subTest(name):
                seen = bounds.bytes_of_stack(self.daemon)
                sock = self.raw()
                sock.send(data)
                self.assertTrue(self.read(sock)[0].startswith(b'SIP/2.0 481 '))
                self.assertGreater(bounds.bytes_of_stack(self.daemon), seen + len(data))

    def test_faults(self):
        """Answered where there can be an answer, and the next message is read: the WebSocket says
        where that begins."""
        cases = {
            'scheme': (self.options().replace(b'sip:x@', b'http:x@', 1), b'416'),
            'two lengths': (self.options('Content-Length: 0\r\n', length=0), b'400'),
            'a length beyond': (self.options(length=1), b'400'),
            'no length': (self.options(length='x'), b'400'),
            'no end': (self.options()[:-2], b'400'),
            'a line within a line': (self.options('X: a\nl: 7\r\n'), b'400'),
            'garbage': (b'\x00\xff\x13 garbage', None),
            'HTTP': (b'GET / HTTP/1.1\r\nHost: x\r\n\r\n' + self.options(), None),
        }
        sock = self.raw()
        sock.send(self.options())
        self.read(sock)
        for fragment in (None, 7):
            for name, (data, code) in cases.items():
                with self.subTest(name, fragment=fragment):
                    before = self.number('bad_messages')
                    sock.fragment = fragment
                    sock.send(data)
                    sock.send(self.options())
                    answers = self.read(sock, 2 if code else 1)
                    self.assertEqual([answer[8:11] for answer in answers],
                                     [code, b'200'] if code else [b'200'])
                    self.assertEqual(self.number('bad_messages'), before + 1)

    def test_nothing_but_faults(self):
        sock = self.raw()
        for _ in range(3):
            sock.send(b'garbage')
        self.assertEqual(self.read_all(sock), ([], 1000))

    def test_slow(self):
        sock = self.raw()
        sock.sock.sendall(ws.frame(self.options()[:-2], fin=False))
        answers, _ = self.read_all(sock)
        self.assertEqual([answer[8:11] for answer in answers], [b'408'])

    def test_behind_the_body(self):
        """A Content-Length that is shorter than the message: the rest is no second one."""
        sock = self.raw()
        sock.send(self.options(body=self.options(), length=0))
        sock.send(self.options())
        self.assertEqual(len(self.read(sock, 2)), 2)

    def test_stray_response(self):
        before = self.number('stray_responses')
        sock = self.raw()
        sock.send(self.options().replace(b'OPTIONS sip:x@127.0.0.1 SIP/2.0', b'SIP/2.0 200 OK', 1))
        poll(lambda: self.number('stray_responses') == before + 1)


class SecureMixin:
    """The same by TLS."""

    kind = 'WSS'
    sip = {}

    @classmethod
    def prepare(cls):
        ca = certs.Authority(cls.directory)
        own = ca.issue('msrpd', ['IP:127.0.0.1'])
        cls.tls = certs.client_context(ca)
        cls.config = {'sip': {
            **cls.sip, 'listen': [cls.listen[0], 'sip:127.0.0.1:0;transport=wss'],
            'tls': {'certificate': own.certificate, 'private_key': own.key}}}


class SecureMessagesTest(SecureMixin, MessagesTest):
    sip = BOUNDS


class PingTest(WebCase):
    own_daemon = True

    def run_with(self, sip):
        daemon, self.ctl = self.start({'sip': {**self.config['sip'], **sip}})
        self.find_ports(daemon, self.ctl)

    def setUp(self):
        case.Case.setUp(self)

    def test_who_is_there_stays(self):
        """However long it says nothing else."""
        self.run_with({'ping_interval': '3s', 'idle_timeout': '6s'})
        sock = self.raw()
        while len(sock.pings) < 3:
            try:
                self.assertTrue(sock.recv(65536), 'the end')
            except BlockingIOError:
                pass
        self.assertIsNone(sock.close_code)
        sock.send(self.options())
        self.read(sock)

    def test_who_is_not_goes(self):
        self.run_with({'ping_interval': '100ms'})
        sock = self.raw()
        sock.answers_pings = False
        self.read_all(sock)
        self.assertEqual(sock.pings, [b''])

    def test_nobody_is_asked(self):
        self.run_with({'ping_interval': 0, 'idle_timeout': '300ms'})
        sock = self.raw()
        self.read_all(sock)
        self.assertEqual(sock.pings, [])


class SessionTest(WebCase):
    """The UA's sessions with who is reached over his connection alone."""

    def web_call(self):
        browser, transport = self.browser()
        call = self.call(ua=browser, kind=self.kind, daemon=self.as_seen())
        return browser, transport, call

    def as_seen(self):
        """The daemon, as who comes over the WebSocket sees it."""
        class Seen:
            sip_port, sip_uri = self.port, f'sip:chat@127.0.0.1:{self.port};transport=ws'
        return Seen

    def call(self, **kwargs):
        ua = kwargs['ua']
        ua.reach('127.0.0.1', self.port, self.kind, self.tls)   # so that invite() finds it
        return super().call(**kwargs)

    def test_session(self):
        """INVITE, texts both ways, BYE of msrpd's over the same connection."""
        browser, transport, call = self.web_call()
        call.send('from the browser')
        self.assertEqual(self.received(call)['body'], 'from the browser')
        self.say(call, 'to the browser')
        self.assertEqual(call.receive().body, b'to the browser')
        self.assertRegex(call.dialog.target, ';transport=ws$')
        self.ctl.call('msrp_ua_end_session', session_id=call.id)
        bye = call.dialog.expect('BYE')
        self.assertIs(bye.transport, transport)
        self.assertTrue(bye.request.get('Via').startswith(f'SIP/2.0/{self.kind} '))
        self.assertEqual(bye.request.uri, browser.contact(self.kind))
        bye.respond(200)

    def test_nobody_is_dialled(self):
        for uri in (f'sip:bob@127.0.0.1:{self.port};transport=ws',
                    'sips:bob@a.invalid;transport=ws', 'sip:bob@127.0.0.1:9;transport=wss'):
            error = self.refused(500, self.ctl.call, 'msrp_ua_start_session', content_types=TEXT,
                                 ruri=uri, from_uri='sip:a@example.org',
                                 to_uri='sip:b@example.org')
            self.assertIn('no SIP listener can reach it', str(error))

    def test_binary(self):
        """What is not UTF-8 goes out in binary (RFC 7118 4.2)."""
        browser, transport, call = self.web_call()
        transport.sock.opcodes.clear()
        transaction = browser.request(
            'MESSAGE', 'sip:nobody@127.0.0.1', transport, from_uri='sip:a@127.0.0.1',
            headers=[('X-Data', '\udcff')], content_type=TEXT)
        transaction.final()
        self.assertEqual(transport.sock.opcodes, [ws.TEXT])
        transport.sock.opcodes.clear()
        request = browser.build('MESSAGE', 'sip:nobody@127.0.0.1', transport,
                                from_uri='sip:a@127.0.0.1')
        request.headers = [(name, value + ';x="\udcff"' if name == 'From' else value)
                           for name, value in request.headers]
        browser.transact(request, transport).final()
        self.assertEqual(transport.sock.opcodes, [ws.BINARY])


class SecureTest(SecureMixin, SessionTest):
    def test_where(self):
        """sips and ws, since RFC 7118 has no other name for it; either is taken in the config."""
        listen = self.ctl.call('status')['listen']['sip'][1]
        self.assertEqual(listen, f'sips:127.0.0.1:{self.port};transport=ws')
        config = {**self.config['sip'],
                  'listen': [self.listen[0], 'sips:127.0.0.1:0;transport=ws']}
        daemon, ctl = self.start({'sip': config})
        self.find_ports(daemon, ctl)
        self.raw().send(self.options())


class RegisteredTest(WebCase, GatewayCase):
    """A browser at the registrar, and the gateway before it."""

    config = {
        'sip': {'listen': WebCase.listen},
        'users': {'alice': {'password': 'secret'}}, 'registrar': {'domains': [DOMAIN]},
        'routes': {'sip': [
            {'if': {'$rm': 'MESSAGE'}, 'do': [
                'lookup', {'msg_to_msrp': {'key': '$tu:$fu', 'content_types': TEXT}}]},
            {'if': {'$rm': 'INVITE'}, 'do': ['lookup', {'msrp_gw_answer': {
                'key': '$fu:$tu', 'content_types': TEXT, 'from': '$fu', 'to': '$tu',
                'ruri': '$ru'}}]}]}}
    aor = f'sip:alice@{DOMAIN}'

    def setUp(self):
        super().setUp()
        self.alice, self.transport = self.browser()
        self.contact = f'sip:alice@{self.alice.invalid};transport=ws;ob'
        authorized(self.alice, 'REGISTER', f'sip:{DOMAIN}', self.transport, 'alice', 'secret',
                   headers=[('Contact', f'<{self.contact}>;expires=600')], from_uri=self.aor,
                   to_uri=self.aor).final(200)

    def test_source(self):
        one, = self.ctl.call('registrar_list')
        self.assertEqual(one['contact'], self.contact)
        self.assertTrue(one['source'].startswith('ws:127.0.0.1:'), one)

    def test_the_gateway_calls_it(self):
        """A phone writes to the browser, which takes calls alone."""
        self.phone = self.ua(user='phone')
        sender = self.phone.reach('127.0.0.1', self.daemon.sip_port)
        transaction = self.phone.request('MESSAGE', self.aor, sender, b'hello',
                                         to_uri=self.aor, content_type=TEXT)
        transaction.final(202)
        invite = self.alice.expect('INVITE')
        self.assertIs(invite.transport, self.transport)
        self.assertEqual(invite.request.uri, self.contact)
        self.assertRegex(uri_of(invite.request.get('Contact')), ';transport=ws$')
        self.assertTrue(tag_of(invite.request.get('From')))
        invite.respond(486)
        self.ctl.event('E_MSRP_GW_SETUP_FAILED', code=486)

    def test_its_end(self):
        self.transport.close()
        self.ctl.event('E_REGISTRATION_END', aor=self.aor, reason='failed')


if __name__ == '__main__':
    case.main()
