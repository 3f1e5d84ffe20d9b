#!/usr/bin/env python3
"""What becomes of dialogs when the connection of their peer ends: RFC 5626, RFC 5923."""
import re
import socket

from lib import case, certs, sdp
from lib.case import Call
from lib.daemon import UA_ROUTES
from lib.dns import A, SRV, DnsServer
from lib.gateway import CLIENT, TEXT, GatewayCase, routes
from lib.rooms import LOBBY, RoomCase, rooms
from lib.sip import Dialog, token, uri_of
from lib.waiting import DEADLINE, poll


class FlowCase(case.Case):
    config = {'sip': {'listen': ['sip:127.0.0.1:0;transport=udp', 'sip:127.0.0.1:0;transport=tcp',
                                 'sip:127.0.0.1:0;transport=ws']}}

    def setUp(self):
        super().setUp()
        self.ports = dict(zip(('UDP', 'TCP', 'WS'), (
            int(re.search(r':(\d+)(;|$)', uri)[1])
            for uri in self.ctl.call('status')['listen']['sip'])))
        self.daemon.sip_port = self.ports['UDP']

    def caller(self, kind, contact=None):
        """A user agent on a connection of its own, and that; contact: what it says of itself."""
        ua = self.ua(user='caller', name=f'{kind} caller')
        if contact:
            ua.contact = lambda kind='TCP': contact.format(ua=ua)
        return ua, ua.reach('127.0.0.1', self.ports[kind], kind)

    def call_over(self, kind, contact=None):
        """A session that the peer set up over a connection: it, and the connection."""
        ua, transport = self.caller(kind, contact)
        self.daemon.sip_port = self.ports[kind]
        try:
            return self.call(ua=ua, kind=kind), transport
        finally:
            self.daemon.sip_port = self.ports['UDP']


NOWHERE = {             # kind of connection, Contact
    'WebSocket': ('WS', None),
    'invalid': ('TCP', 'sip:caller@a1b2c3.invalid;transport=tcp'),
    'ob': ('TCP', 'sip:caller@127.0.0.1:{ua.port};transport=tcp;ob'),
}


class SessionTest(FlowCase):
    def test_no_other_way(self):
        """The session ends with the connection."""
        for name, (kind, contact) in NOWHERE.items():
            with self.subTest(name):
                call, transport = self.call_over(kind, contact)
                transport.close()
                self.assertEqual(
                    self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)['reason'], 'failed')

    def test_another_way(self):
        """Who can be called is, when there is something to tell him."""
        call, transport = self.call_over('TCP')
        transport.close()
        self.say(call, 'still there')
        self.assertEqual(call.receive().body, b'still there')
        self.ctl.call('msrp_ua_end_session', session_id=call.id)
        bye = call.dialog.expect('BYE')
        self.assertIsNot(bye.transport, transport)
        self.assertEqual(bye.transport.kind, 'TCP')
        bye.respond(200)

    def answer_and_close(self, contact):
        """msrpd calls over TCP, and the peer closes the connection once the call stands."""
        ua = self.ua(user='callee')
        listener = self.listener()
        called = ua.contact('TCP')
        session, invite = self.start_session(ua=ua, kind='TCP')
        if contact:
            ua.contact = lambda kind='TCP': contact.format(ua=ua)
        self.assertEqual(invite.request.uri, called)
        invite.respond(200, sdp.document(sdp.message(listener.uri(), TEXT, setup='passive')))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=session)
        invite.transport.close()
        return session, dialog

    def test_called_over_its_connection(self):
        for name in ('invalid', 'ob'):
            with self.subTest(name):
                session, _ = self.answer_and_close(NOWHERE[name][1])
                self.assertEqual(
                    self.ctl.event('E_MSRP_SESSION_END', session_id=session)['reason'], 'failed')

    def test_called_where_it_is(self):
        session, dialog = self.answer_and_close(None)
        self.ctl.call('msrp_ua_end_session', session_id=session)
        dialog.expect('BYE').respond(200)

    def test_before_the_answer(self):
        """Nobody is left to be answered, and no session is."""
        before = self.ctl.call('get_statistics', group='sip')['sip:dialogs']
        _, transport = self.caller('WS')
        ua = transport.ua
        for _ in range(5):
            ua.request('INVITE', 'sip:chat@127.0.0.1', transport, self.offer())
        transport.close()
        poll(lambda: not self.ctl.call('msrp_ua_list_sessions'), what='the end of the sessions')
        poll(lambda: self.ctl.call('get_statistics', group='sip')['sip:dialogs'] == before,
             what='the end of the dialogs')


class LostCallerTest(FlowCase):
    """
    By calls whose own connection has ended, or never was one, nobody has more connections than he
    may open, nor more questions asked.
    """

    CALLER, HOME = '127.0.0.77', '127.0.0.79'

    @classmethod
    def prepare(cls):
        cls.dns = DnsServer()
        cls.addClassCleanup(cls.dns.close)
        pages = {'if': {'$rm': 'MESSAGE'}, 'do': [{'msg_to_conf': {'room': LOBBY}}]}
        cls.config = {**FlowCase.config, 'dns': {'servers': [cls.dns.address]},
                      'conference': {'rooms': [{'uri': LOBBY}]},
                      'routes': {'sip': [*UA_ROUTES, pages]},
                      'limits': {'connections_per_address': 2, 'exempt': ['127.0.0.1']}}

    def setUp(self):
        super().setUp()
        self.homes = [socket.create_server((self.HOME, 0)) for _ in range(4)]
        for home in self.homes:
            self.addCleanup(home.close)
            home.settimeout(DEADLINE)
        self.places = [f'{self.HOME}:{home.getsockname()[1]};transport=tcp'
                       for home in self.homes]

    def number(self, name):
        return self.ctl.call('get_statistics')[name]

    def connection(self):
        sock = socket.create_connection(('127.0.0.1', self.ports['TCP']), DEADLINE,
                                        source_address=(self.CALLER, 0))
        sock.settimeout(None)
        return sock

    def calls(self, places, sock=None):
        """
        Sessions over one connection, now ended, or by UDP; each is to be told to another place of
        his.
        """
        ua = self.ua(user='caller', host=self.CALLER)
        transport = sock and ua.adopt(sock, 'TCP')
        self.daemon.sip_port = sock.getpeername()[1] if sock else self.ports['UDP']
        sessions = []
        for place in places:
            contact = f'sip:caller@{place}'
            ua.contact = lambda kind='', contact=contact: contact
            sessions.append(self.call(ua=ua, kind='TCP' if sock else 'UDP').id)
        if transport:
            transport.close()
            poll(lambda: self.number('sip:connections') == 0, what='the end')
        return sessions

    def end(self, sessions, refused=0):
        """All of them, for so many of whom nothing is done."""
        before = self.number('limits:refused')
        for session in sessions:
            self.ctl.call('msrp_ua_end_session', session_id=session)
        poll(lambda: self.number('limits:refused') == before + refused, what='the others')

    def told(self, home):
        """The connection by which he is told, not answered yet."""
        back, _ = home.accept()
        self.addCleanup(back.close)
        back.settimeout(DEADLINE)
        self.assertTrue(back.recv(65536).startswith(b'BYE '))
        return back

    def told_of_two(self, sessions):
        self.end(sessions, 2)
        backs = [self.told(home) for home in self.homes[:2]]
        for home in self.homes[2:]:
            home.setblocking(False)
            self.assertRaises(BlockingIOError, home.accept)
            home.settimeout(DEADLINE)
        for back in backs:
            back.close()
        poll(lambda: self.number('sip:connections') == 0, what='their end')

    def test_not_all_are_told(self):
        for name, sock in (('TCP', self.connection()), ('UDP', None)):
            with self.subTest(name):
                self.told_of_two(self.calls(self.places, sock))
                self.end(self.calls(self.places[3:], sock and self.connection()))
                self.told(self.homes[3]).close()
                poll(lambda: self.number('sip:connections') == 0, what='its end')

    def test_over_our_connection(self):
        """He is called where he says, and calls by that himself."""
        self.end(self.calls(self.places[:1], self.connection()))
        back = self.told(self.homes[0])
        back.settimeout(None)
        self.told_of_two(self.calls(self.places, back))

    def test_who_is_remembered(self):
        """A closed connection counts no more, though he whose it was may yet be written to."""
        self.end(self.calls(self.places[:2], self.connection()))
        for i, home in enumerate(self.homes[:2]):
            back = self.told(home)
            back.settimeout(None)
            ua = self.ua(user='writer')
            transport = ua.adopt(back, 'TCP')
            ua.request('MESSAGE', LOBBY, transport, b'hi', content_type='text/plain',
                       from_uri=f'sip:writer{i}@example.org').final(200)
            transport.close()
        poll(lambda: self.number('sip:connections') == 0, what='their end')
        self.told_of_two(self.calls(self.places, self.connection()))

    def test_not_all_are_asked_for(self):
        for kind, suffix, what in (('TCP', ';transport=tcp', SRV), ('UDP', '', SRV),
                                   ('TCP', ':5060;transport=tcp', A),
                                   ('TCP', ':5060;transport=udp', A), ('UDP', ':5060', A)):
            with self.subTest(kind, suffix=suffix):
                self.dns.silent, self.dns.asked = {SRV, A}, []
                name = token()
                self.end(self.calls([f'{name}{i}.example{suffix}' for i in range(4)],
                                    self.connection() if kind == 'TCP' else None), 2)
                poll(lambda: self.number('sip:dialogs') == 0, what='the end of all questions')
                asked = {name.split('.')[-2] for name, kind in self.dns.asked if kind == what}
                self.assertEqual(len(asked), 2, asked)


class GatewaySessionTest(FlowCase, GatewayCase):
    config = {**FlowCase.config, **GatewayCase.config}

    def test_caller(self):
        """An MSRP client in a browser."""
        client, transport = self.caller('WS')
        answer = client.request('INVITE', self.phone.contact(), transport, self.offer(),
                                headers=[('X-Phone', self.phone.contact())]).final(200)
        ack = client.build('ACK', uri_of(answer.get('Contact')), transport)
        ack.headers = [(name, {'To': answer.get('To'), 'From': answer.get('From'),
                               'Call-ID': answer.call_id, 'CSeq': '1 ACK'}.get(name, value))
                       for name, value in ack.headers]
        transport.send(ack.encode())
        self.ctl.event('E_MSRP_GW_SESSION_NEW')
        transport.close()
        self.assertEqual(self.ctl.event('E_MSRP_GW_SESSION_END')['reason'], 'failed')
        self.wait_sessions(0)


ANNA = 'sip:anna@example.invalid'       # where nobody can be found


class ReplyTest(FlowCase, GatewayCase):
    """Who writes without having registered is answered over the connection that he wrote on."""

    config = {**FlowCase.config, 'routes': routes(reply=True)}

    def writes(self, ua, transport, text, via=()):
        request = ua.build('MESSAGE', self.client.contact(), transport, text.encode(),
                           content_type=TEXT, from_uri=ANNA, to_uri=CLIENT)
        request.headers += [('Via', value) for value in via]
        ua.transact(request, transport).final(200)

    def conversation(self, kind, via=()):
        ua, transport = self.caller(kind)
        self.writes(ua, transport, 'anybody there', via)
        invite = self.client.expect('INVITE')
        listener = self.listener()
        path = listener.uri()
        invite.respond(200, sdp.document(sdp.message(path, TEXT, setup='passive')))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        offer = sdp.Sdp(invite.request.body)
        call = Call(self, dialog, offer, path).attach(listener.accept())
        self.assertEqual(call.receive().body, b'anybody there')
        return ua, transport, call

    def answered(self, ua, transport, call, text):
        call.send(text)
        message = self.gets(text, phone=ua)
        self.assertEqual(message.request.uri, ANNA)
        self.assertIs(message.transport, transport)

    def refused(self, call, text):
        sent = call.send(text)
        report = call.conn.expect('REPORT')
        self.assertEqual(report.message_id, sent.message_id)
        self.assertNotIn('000 200', report.get('Status'))

    def test_connection(self):
        for kind in ('WS', 'TCP'):
            with self.subTest(kind):
                ua, transport, call = self.conversation(kind)
                self.answered(ua, transport, call, 'here')
                transport.close()
                poll(lambda: self.connections() == 0, what='the end of the connection')
                self.refused(call, 'gone?')
                ua, transport = self.caller(kind)
                self.writes(ua, transport, 'back again')
                self.assertEqual(call.receive().body, b'back again')
                self.answered(ua, transport, call, 'hello again')
                call.bye()
                self.ctl.event('E_MSRP_GW_SESSION_END')
                transport.close()
                poll(lambda: self.connections() == 0, what='the end of the connection')

    def connections(self):
        return self.ctl.call('get_statistics', group='sip')['sip:connections']

    def test_in_his_name(self):
        """While he is there nobody else is given his answers."""
        ua, transport, call = self.conversation('WS')
        self.writes(*self.caller('WS'), 'it is me')
        self.assertEqual(call.receive().body, b'it is me')
        self.answered(ua, transport, call, 'here')

    def test_proxy(self):
        """A proxy's connection leads to it, and the answer goes by its address."""
        via = ['SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKfar']
        _, _, call = self.conversation('TCP', via)
        self.refused(call, 'nowhere')


class SubscriptionTest(FlowCase, RoomCase):
    config = {**FlowCase.config, **rooms({'uri': LOBBY})}

    def subscribe(self, kind, contact=None):
        ua, transport = self.caller(kind, contact)
        ua.request('SUBSCRIBE', LOBBY, transport, from_uri='sip:caller@example.org', headers=[
            ('Event', 'conference'), ('Expires', '600'),
            ('Contact', f'<{ua.contact(kind)}>')]).final(200)
        notify = ua.expect('NOTIFY')
        self.assertIs(notify.transport, transport)
        notify.respond(200)
        return ua, transport

    def wait_count(self, count):
        poll(lambda: self.ctl.call('get_statistics', group='sip')['sip:subscriptions'] == count,
             what=f'{count} subscriptions')

    def test_no_other_way(self):
        for name, (kind, contact) in NOWHERE.items():
            with self.subTest(name):
                _, transport = self.subscribe(kind, contact)
                self.wait_count(1)
                transport.close()
                self.wait_count(0)

    def test_another_way(self):
        """Until he says that he is no longer there, whom somebody else's coming is told."""
        ua, transport = self.subscribe('TCP')
        transport.close()
        self.join('other')
        notify = ua.expect('NOTIFY')
        self.assertIsNot(notify.transport, transport)
        notify.respond(481)
        self.wait_count(0)


class AnswerTest(GatewayCase):
    """What becomes of an answer whose connection has ended before it: RFC 3261 18.2.2."""

    config = {'routes': routes('text/plain', confirm='sent')}

    def setUp(self):
        super().setUp()
        self.home = socket.create_server(('127.0.0.1', 0))
        self.home.settimeout(DEADLINE)
        self.addCleanup(self.home.close)

    def dial(self, source='127.0.0.1'):
        sock = socket.create_connection(('127.0.0.1', self.daemon.sip_port), DEADLINE,
                                        source_address=(source, 0))
        self.addCleanup(sock.close)
        self.halves = self.daemon.log().count('sends no more')
        return sock

    def message(self, home, host, params='', kind='TCP'):
        """Its answer waits for the callee."""
        return (f'MESSAGE {self.client.contact()} SIP/2.0\r\n'
                f'Via: SIP/2.0/{kind} {host}:{home.getsockname()[1]}'
                f';branch=z9hG4bK{token()}{params}\r\n'
                f'From: <{self.phone.contact()}>;tag=1\r\nTo: <{CLIENT}>\r\n'
                f'Call-ID: {token()}\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\n'
                'Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi').encode()

    def ask(self, host='127.0.0.1', params='', kind='TCP'):
        """The connection, and the INVITE."""
        sock = self.dial()
        sock.sendall(self.message(self.home, host, params, kind))
        return sock, self.client.expect('INVITE')

    def ends(self, sock):
        """For msrpd as well."""
        sock.close()
        poll(lambda: self.daemon.log().count('sends no more') > self.halves, what='the end')

    def answer_of(self, sock):
        data = b''
        while b'\r\n\r\n' not in data:
            piece = sock.recv(65536)
            self.assertTrue(piece, data)
            data += piece
        return data.lstrip()

    def test_half_closed(self):
        sock, invite = self.ask()
        sock.shutdown(socket.SHUT_WR)
        invite.respond(486)
        self.assertTrue(self.answer_of(sock).startswith(b'SIP/2.0 486 '))
        self.assertEqual(sock.recv(1), b'')

    def test_called_back(self):
        for host, params in (('127.0.0.1', ''), ('phone.example.net', ''),
                             ('127.0.0.1', ';rport'), ('127.0.0.1', ';received=127.0.0.2')):
            with self.subTest(host=host, params=params):
                sock, invite = self.ask(host, params)
                self.ends(sock)
                invite.respond(486)
                back, _ = self.home.accept()
                with back:
                    back.settimeout(DEADLINE)
                    answer = self.answer_of(back)
                self.assertTrue(answer.startswith(b'SIP/2.0 486 '), answer)
                self.assertIn(f'Via: SIP/2.0/TCP {host}:'.encode(), answer)

    def test_not_called_back(self):
        """A sender without an address."""
        connected = self.ctl.call('get_statistics')['sip:connected']
        sock, invite = self.ask('a.invalid')
        self.ends(sock)
        invite.respond(486)
        self.ctl.event('E_MSRP_GW_SETUP_FAILED')
        sock, invite = self.ask()
        invite.respond(486)
        self.answer_of(sock)
        self.assertEqual(self.ctl.call('get_statistics')['sip:connected'], connected)


class CallerTest(AnswerTest):
    """By answers nobody has more connections than he may open."""

    config = {**AnswerTest.config,
              'limits': {'connections_per_address': 2, 'exempt': ['127.0.0.1']}}

    test_half_closed = test_not_called_back = None

    def test_called_back(self):
        caller = '127.0.0.77'
        homes = [socket.create_server((caller, 0)) for _ in range(4)]
        sock = self.dial(caller)
        came = self.ctl.call('get_statistics')['sip:stream_messages_in'] + len(homes)
        for home in homes:
            self.addCleanup(home.close)
            home.settimeout(DEADLINE)
            sock.sendall(self.message(home, caller))
        poll(lambda: self.ctl.call('get_statistics')['sip:stream_messages_in'] == came,
             what='all of them')
        self.ends(sock)
        self.client.expect('INVITE').respond(486)
        for home in homes[:2]:
            back, _ = home.accept()
            self.addCleanup(back.close)
            back.settimeout(DEADLINE)
            self.assertTrue(self.answer_of(back).startswith(b'SIP/2.0 486 '))
        poll(lambda: self.daemon.log().count('not called back: too many') == 2,
             what='the others')
        self.assertEqual(self.ctl.call('get_statistics')['limits:refused'], 2)
        for home in homes[2:]:
            home.setblocking(False)
            self.assertRaises(BlockingIOError, home.accept)


class SecureAnswerTest(AnswerTest):
    """By TLS he has to be who his Via says he is, as anybody whom msrpd calls."""

    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        own = cls.ca.issue('msrpd')
        cls.config = {**AnswerTest.config, 'sip': {
            'listen': ['sip:127.0.0.1:0;transport=udp', 'sips:127.0.0.1:0'],
            'tls': {'certificate': own.certificate, 'private_key': own.key,
                    'ca_file': cls.ca.file}}}

    test_half_closed = test_not_called_back = None

    def dial(self, source='127.0.0.1'):
        port = int(self.ctl.call('status')['listen']['sip'][1].rpartition(':')[2])
        sock = socket.create_connection(('127.0.0.1', port), DEADLINE)
        sock = certs.client_context(self.ca).wrap_socket(sock, server_hostname='127.0.0.1')
        self.addCleanup(sock.close)
        return sock

    def ends(self, sock):
        """Without a word of TLS's about it."""
        before = self.ctl.call('get_statistics')['sip:closed']
        sock.close()
        poll(lambda: self.ctl.call('get_statistics')['sip:closed'] > before, what='the end')

    def called_back(self, host, sans):
        """The connection that msrpd makes for an answer to that host, with that certificate."""
        sock, invite = self.ask(host, kind='TLS')
        self.ends(sock)
        invite.respond(486)
        back, _ = self.home.accept()
        back.settimeout(DEADLINE)
        self.addCleanup(back.close)
        context = certs.server_context(self.ca.issue(token(), sans))
        return context.wrap_socket(back, server_side=True)

    def test_called_back(self):
        for host, sans in (('127.0.0.1', ['IP:127.0.0.1']),
                           ('phone.example.net', ['DNS:phone.example.net'])):
            with self.subTest(host), self.called_back(host, sans) as back:
                self.assertTrue(self.answer_of(back).startswith(b'SIP/2.0 486 '))

    def test_another(self):
        """Not a byte for somebody else, though he is at that address."""
        for host, sans in (('127.0.0.1', ['IP:127.0.0.2']),
                           ('phone.example.net', ['IP:127.0.0.1'])):
            with self.subTest(host):
                try:
                    with self.called_back(host, sans) as back:
                        self.assertEqual(back.recv(1), b'')
                except OSError:
                    pass            # refused in the handshake


if __name__ == '__main__':
    case.main()
