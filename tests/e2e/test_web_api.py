#!/usr/bin/env python3
"""The API of the web port: who may do what, over POST and over WebSocket."""
import hashlib
import hmac
import json
import time

from lib import case, rooms, web as weblib, ws
from lib.daemon import merge
from lib.waiting import poll
from lib.web import SECRET, Web

OTHER = 'https://elsewhere.example.org'
ROUTES = {'sip': [{'if': {'$rm': 'INVITE', '$tU': 'lobby'},
                   'do': [{'msrp_conf_join': {'room': '$tu'}}]},
                  {'if': {'$rm': 'INVITE'},
                   'do': [{'msrp_ua_answer': {'content_types': 'text/plain'}}]}]}


def forge(user, expiry, secret=SECRET):
    text = f'{user.encode().hex()}.{expiry}'
    code = hmac.new(secret.encode(), b'msrpd token ' + text.encode(), hashlib.sha256)
    return f'{text}.{code.hexdigest()}'


class ApiCase(case.Case):
    settings = {}
    config = {**weblib.config(origins=['https://chat.example.net']), 'routes': ROUTES}

    def setUp(self):
        super().setUp()
        self.web = Web.of(self.ctl)

    def outgoing(self, token, **kwargs):
        """A session that a user starts: its id and the INVITE."""
        params = {'content_types': 'text/plain', 'from_uri': 'sip:alice@example.org',
                  'to_uri': 'sip:carol@example.net', 'ruri': self.sip.contact('UDP'), **kwargs}
        return self.web.call(token, 'msrp_ua_start_session', **params)['session_id']


class TokenTest(ApiCase):
    def test_log_in(self):
        answer = self.web.log_in('alice', 'wonderland')
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers['Cache-Control'], 'no-store')
        self.assertEqual(answer.headers['Content-Type'], 'application/json')
        self.assertAlmostEqual(answer.json['expires'], time.time() + 12 * 3600, delta=600)
        self.assertEqual(self.web.call(answer.json['token'], 'msrp_ua_list_sessions'), [])

    def test_wrong_credentials(self):
        for user, password in (('alice', 'Wonderland'), ('alice', ''), ('nobody', 'x'), ('', ''),
                               ('alice ', 'wonderland'), ('bob', 'wonderland')):
            answer = self.web.log_in(user, password)
            self.assertEqual((answer.status, answer.headers['Cache-Control']), (401, 'no-store'))
            self.assertIn('WWW-Authenticate', answer.headers)

    def test_what_is_no_log_in(self):
        for body in ('', '{', '[]', '1', '{"username": "alice"}',
                     '{"username": "alice\\u0000", "password": "wonderland"}', '{"username": 1, "password": 2}',
                     '{"username":"alice","username":"bob","password":"x"}'):
            self.assertEqual(self.web.ask('POST', '/api/token', body).status, 400, body)
        self.assertEqual(self.web.ask('POST', '/api/token', ' ' * 5000).status, 413)
        self.assertEqual(self.web.get('/api/token').status, 405)

    def test_the_command(self):
        made = self.ctl.call('token', user='grüße', seconds=60)
        self.assertEqual(made['token'], forge('grüße', made['expires']))
        self.assertAlmostEqual(made['expires'], time.time() + 60, delta=50)
        self.assertEqual(self.web.post(made['token'], 'which').status, 200)
        out = self.msrpctl('token', 'alice', '3600')
        self.assertEqual(out.returncode, 0, out)
        self.assertRegex(out.stdout, r'616c696365\.[0-9]+\.[0-9a-f]{64}')
        for params in ({'user': ''}, {'user': 'x' * 129}, {'user': 'a', 'seconds': 0},
                       {'user': 'a', 'seconds': 1 << 40}, {'user': 'a\n'}):
            self.refused(400, self.ctl.call, 'token', **params)

    def test_bad_tokens(self):
        good = forge('alice', int(time.time()) + 600)
        self.assertEqual(self.web.post(good, 'which').status, 200)
        bad = ['', 'x', good[:-1], good + '0', good[:-1] + ('0' if good[-1] != '0' else '1'),
               good.replace('616c', '626f'), forge('alice', int(time.time()) - 1),
               forge('alice', int(time.time()) + 600, 'another secret of length'),
               good.upper(), '.' * 70, 'a' * 400, f'..{good.split(".")[2]}']
        for token in bad:
            answer = self.web.post(token, 'which')
            self.assertEqual(answer.status, 401, token)
            self.assertTrue(answer.headers['WWW-Authenticate'].startswith('Bearer'))
            self.assertEqual(self.web.socket(token)[1].status, 401, token)
        request = json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': 'which'})
        for headers in ({}, {'Authorization': f'Basic {good}'}, {'Authorization': good}):
            self.assertEqual(self.web.ask('POST', '/api', request, headers).status, 401)
        self.assertEqual(self.web.ask('POST', f'/api?x=1&token={good}', request).status, 200)


class GuardTest(ApiCase):
    config = {**ApiCase.config, 'limits': {'auth_failures': 3, 'exempt': []}}

    def test_who_tries_is_stopped(self):
        token = self.web.token('alice')
        for _ in range(3):
            self.assertEqual(self.web.log_in('alice', 'x').status, 401)
        answer = self.web.log_in('alice', 'wonderland')
        self.assertEqual(answer.status, 429)
        self.assertIn('Retry-After', answer.headers)
        self.assertEqual(self.web.post(token, 'which').status, 200)


class OriginTest(ApiCase):
    def test_pages(self):
        token = self.web.token('alice')
        own = f'http://{self.web.host}:{self.web.port}'
        host = f'{self.web.host}:{self.web.port}'
        for origin, status in ((own, 200), ('https://chat.example.net', 200), (OTHER, 403),
                               ('null', 403), (own + '.example.org', 403), ('', 403)):
            answer = self.web.post(token, 'which', Origin=origin)
            self.assertEqual(answer.status, status, origin)
            self.assertEqual(answer.headers['Access-Control-Allow-Origin'],
                             origin if status == 200 else None)
            self.assertEqual(self.web.log_in('alice', 'wonderland', Origin=origin).status, status)
            sock, answer = self.web.socket(token, headers={'Origin': origin, 'Host': host})
            self.assertEqual(answer.status, 101 if status == 200 else 403, origin)
            sock.close()

    def test_a_page_asks_first(self):
        answer = self.web.ask('OPTIONS', '/api', headers={
            'Origin': 'https://chat.example.net', 'Access-Control-Request-Method': 'POST'})
        self.assertEqual(answer.status, 204)
        self.assertIn('Authorization', answer.headers['Access-Control-Allow-Headers'])
        self.assertEqual(self.web.ask('OPTIONS', '/api', headers={'Origin': OTHER}).status, 403)


class RightsTest(ApiCase):
    def test_operators_commands(self):
        token = self.web.token('alice')
        for command, params in (('reload', None), ('status', None), ('get_statistics', None),
                                ('token', ['alice']), ('log_level', ['debug']),
                                ('msrp_conf_create', ['sip:r@example.org']),
                                ('msrp_gw_list_sessions', None), ('registrar_remove', ['x'])):
            answer = self.web.post(token, command, params).json
            self.assertEqual(answer['error']['code'], 403, (command, answer))
        self.assertNotIn('reload', self.web.call(token, 'which'))
        self.assertIn('msrp_ua_start_session', self.web.call(token, 'which'))
        self.assertEqual(self.web.post(token, 'nonsense').json['error']['code'], -32601)

    def test_one_starts_sessions_from_ones_own_address(self):
        token = self.web.token('alice')
        for uri in ('sip:bob@example.org', 'sip:alice@example.net', 'sip:alice@evil.example.org',
                    'tel:alice', '"sip:alice@example.org" <sip:bob@example.org>', 'alice',
                    'sip:Alice@example.org', 'sip:alice%40example.org@x', 'sip:@example.org',
                    'im:alice@example.org', 'sip:%61lice@example.org', 'sip:example.org'):
            self.refused(403, self.outgoing, token, from_uri=uri)
        self.refused(403, self.outgoing, token, headers={'P-Asserted-Identity': '<sip:b@x>'})
        for uri in ('sip:alice@EXAMPLE.org', '"Alice" <sip:alice@example.org>'):
            session_id = self.outgoing(token, from_uri=uri)
            invite = self.sip.expect('INVITE')
            self.assertIn('alice@', invite.request.get('From'))
            self.assertEqual(self.web.call(token, 'msrp_ua_end_session', session_id=session_id),
                             'OK')

    def test_others_sessions_are_not_there(self):
        alice, bob = self.web.token('alice'), self.web.token('bob')
        session_id = self.outgoing(alice)
        self.sip.expect('INVITE')
        call = self.call(uri=f'sip:bob@example.org:{self.daemon.sip_port}')
        self.assertEqual([s['session_id'] for s in self.web.call(alice, 'msrp_ua_list_sessions')],
                         [session_id])
        self.assertEqual([s['session_id'] for s in self.web.call(bob, 'msrp_ua_list_sessions')],
                         [call.id])
        self.assertEqual(len(self.ctl.call('msrp_ua_list_sessions')), 2)
        for token, other in ((bob, session_id), (alice, call.id), (bob, 'nonsense')):
            self.refused(404, self.web.call, token, 'msrp_ua_end_session', session_id=other)
            self.refused(404, self.web.call, token, 'msrp_ua_send_message', session_id=other,
                         mime='text/plain', body='x')
        self.assertIn('message_id', self.web.call(bob, 'msrp_ua_send_message', session_id=call.id,
                                                  mime='text/plain', body='hello'))
        self.assertEqual(call.receive().body, b'hello')

    def test_requests(self):
        token = self.web.token('alice')
        bearer = {'Authorization': f'Bearer {token}'}
        for body, code in (('', -32600), (' \t\r\n', -32600), ('{', -32700), ('[]', -32600), ('7', -32600),
                           ('[{"jsonrpc":"2.0","id":1,"method":"which"}]', -32600)):
            answer = self.web.ask('POST', '/api', body, bearer)
            self.assertEqual((answer.status, answer.json['error']['code']), (200, code), body)
        answer = self.web.ask('POST', '/api', '{"jsonrpc":"2.0","method":"which"}', bearer)
        self.assertEqual((answer.status, answer.body), (204, b''))
        self.assertEqual(self.web.get('/api').status, 405)
        self.refused(400, self.web.call, token, 'event_subscribe')

    def test_a_large_message(self):
        """curl and its like wait for 100 Continue with these."""
        token = self.web.token('bob')
        call = self.call(uri=f'sip:bob@example.org:{self.daemon.sip_port}')
        body = 'x' * 900000
        self.web.call(token, 'msrp_ua_send_message', session_id=call.id, mime='text/plain',
                      body=body)
        got = b''
        while len(got) < len(body):
            got += call.receive().body
        self.assertEqual(got, body.encode())


class BodyTest(ApiCase):
    config = {**ApiCase.config, 'web': {**ApiCase.config['web'], 'max_request': '256KiB'}}

    def test_long_bodies(self):
        """With a token up to web.max_request; without, it is that which is told."""
        bearer = {'Authorization': f'Bearer {self.web.token("alice")}'}
        for path, headers, size, status in (
                ('/api', bearer, 1 << 18, 200), ('/api', bearer, (1 << 18) + 1, 413),
                ('/api', {}, 4096, 401), ('/api', {}, 1 << 18, 401),
                ('/api', {'Origin': OTHER, **bearer}, 1 << 18, 403),
                ('/api/token', bearer, 4096, 400), ('/api/token', bearer, 4097, 413)):
            answer = self.web.ask('POST', path, ' ' * size, headers)
            self.assertEqual(answer.status, status, (path, headers, size))
            self.assertEqual(answer.headers['Connection'],
                             'close' if size > 4096 and status != 200 else None)


class SocketTest(ApiCase):
    def test_requests_and_events(self):
        alice, bob = (self.web.api(self.web.token(user)) for user in ('alice', 'bob'))
        for api in (alice, bob):
            self.assertEqual(api.call('event_subscribe'), 'OK')
        call = self.call(uri=f'sip:bob@example.org:{self.daemon.sip_port}')
        self.assertEqual(bob.event('E_MSRP_SESSION_NEW')['session_id'], call.id)
        call.send('hello bob')
        self.assertEqual(bob.event('E_MSRP_MSG_RECEIVED')['body'], 'hello bob')
        bob.call('msrp_ua_send_message', session_id=call.id, mime='text/plain', body='and back')
        self.assertEqual(call.receive().body, b'and back')
        call.bye()
        bob.event('E_MSRP_SESSION_END', session_id=call.id, reason='bye')
        # Alice has got nothing of all that, and what is hers comes.
        alice.call('msrp_ua_start_session', content_types='text/plain',
                   from_uri='sip:alice@example.org', to_uri='sip:x@example.net',
                   ruri=self.sip.contact('UDP'))
        self.sip.expect('INVITE').respond(486)
        alice.event('E_MSRP_SESSION_FAILED', code=486)
        self.assertEqual(alice.events, [])
        self.assertEqual(alice.call('event_unsubscribe'), 'OK')

    def test_several_of_one_user(self):
        token = self.web.token('bob')
        apis = [self.web.api(token) for _ in range(3)]
        for api in apis[:2]:
            api.call('event_subscribe', names=['E_MSRP_SESSION_NEW'])
        call = self.call(uri=f'sip:bob@example.org:{self.daemon.sip_port}')
        for api in apis[:2]:
            api.event('E_MSRP_SESSION_NEW', session_id=call.id)
        self.assertEqual(apis[2].call('msrp_ua_list_sessions')[0]['session_id'], call.id)
        self.assertEqual(apis[2].events, [])
        for api in apis:
            api.close()
        poll(lambda: self.ctl.call('get_statistics')['api:connections'] == 0, what='their end')

    def test_errors(self):
        api = self.web.api(self.web.token('alice'))
        self.refused(403, api.call, 'status')
        self.refused(404, api.call, 'msrp_ua_end_session', session_id='x')
        self.refused(-32601, api.call, 'nonsense')

    def test_the_handshake(self):
        token = self.web.token('alice')
        self.assertEqual(self.web.socket(token, leave_out=('Sec-WebSocket-Protocol',))[1].status,
                         400)
        self.assertEqual(self.web.socket(None)[1].status, 401)
        sock, answer = self.web.socket(headers={'Authorization': f'Bearer {token}'})
        self.assertEqual(answer.status, 101)
        self.assertEqual(answer.headers['X-Content-Type-Options'], 'nosniff')
        self.assertEqual(weblib.Api(sock).call('msrp_ua_list_sessions'), [])
        for headers in ({'Sec-WebSocket-Version': '12'}, {'Sec-WebSocket-Key': 'x'}):
            sock, answer = self.web.socket(token, headers=headers)
            self.assertIn(answer.status, (400, 426))
            self.assertEqual(answer.headers['X-Content-Type-Options'], 'nosniff')

    def test_after_other_requests_on_the_connection(self):
        """A proxy in front may take any connection that it has."""
        token = self.web.token('alice')
        conn = self.web.connect()
        self.assertEqual(self.web.ask('GET', '/nothing', conn=conn).status, 404)
        conn.sock.sendall(ws.request('dGhlIHNhbXBsZSBub25jZQ==', 'jsonrpc', f'/api?token={token}')
                          + ws.frame(b'{"jsonrpc":"2.0","id":1,"method":"which"}', ws.TEXT))
        self.assertEqual(ws.Answer(ws.read_head(conn.sock)).status, 101)
        api = weblib.Api(conn.sock)
        self.assertIn('which', api._next()['result'])
        conn.close()

    def test_messages_of_any_form(self):
        api = self.web.api(self.web.token('alice'))
        api.sock.fragment = 7
        self.assertEqual(api.call('msrp_ua_list_sessions'), [])
        api.sock.control(ws.PING, b'are you there')
        self.assertEqual(api.call('msrp_ua_list_sessions'), [])
        self.assertEqual(api.sock.pongs, [b'are you there'])
        api.sock.fragment = None
        self.refused(404, api.call, 'msrp_ua_end_session', session_id='x' * 100000)

    def test_too_long_a_message(self):
        api = self.web.api(self.web.token('alice'))
        with self.assertRaises((ConnectionResetError, BrokenPipeError)):
            api.call('msrp_ua_end_session', session_id='x' * (2 << 20))
        self.assertIn(api.sock.close_code, (None, 1009))

    def test_an_end_to_the_token(self):
        token = self.ctl.call('token', user='alice', seconds=3600)['token']
        api = self.web.api(token)
        short = self.web.api(forge('alice', int(time.time()) + 3))
        def refused():
            try:
                short.call('which')
            except (ConnectionResetError, BrokenPipeError):
                return True
            return False
        poll(refused, what='the end of what has expired')
        self.assertIn('which', api.call('which'))


class ReloadTest(ApiCase):
    own_daemon = True

    def setUp(self):
        case.Case.setUp(self)

    def test_the_secret_of_open_sockets(self):
        """They stay where it stays, and go with it."""
        daemon, ctl = self.start(self.config)
        web = Web.of(ctl)
        for secret in ('another secret of length', None):
            api = web.api(ctl.call('token', user='alice')['token'])
            self.assertEqual(ctl.call('reload'), 'OK')
            self.assertIn('which', api.call('which'))
            daemon.config = merge(daemon.config, {'web': {'api_token_secret': secret}})
            daemon.write_config()
            self.assertEqual(ctl.call('reload'), 'OK')
            with self.assertRaises((ConnectionResetError, BrokenPipeError)):
                while True:
                    api.call('which')
            api.close()
            poll(lambda: ctl.call('get_statistics')['api:connections'] == 0, what='their end')


class BacklogTest(ApiCase):
    config = {**ApiCase.config, 'web': {**ApiCase.config['web'], 'max_backlog': '64KiB'}}

    def test_who_does_not_read_is_let_go_of(self):
        api = self.web.api(self.web.token('bob'))
        api.call('event_subscribe')
        call = self.call(uri=f'sip:bob@example.org:{self.daemon.sip_port}')
        body = 'x' * 100000
        def gone():
            call.send(body)
            return self.ctl.call('get_statistics')['api:disconnected'] == 1
        poll(gone, what='the end of the connection')


class RoomTest(rooms.RoomCase):
    config = merge(rooms.rooms({'uri': rooms.LOBBY}, {'uri': 'sip:other@im.example.org'}),
                   {**weblib.config(), 'registrar': {'domains': [rooms.DOMAIN]}})

    def test_rooms_are_for_who_is_in_them(self):
        web = Web.of(self.ctl)
        tokens = [web.token(user) for user in ('alice', 'bob')]
        alice, bob = (web.api(token) for token in tokens)
        for api in (alice, bob):
            api.call('event_subscribe')
            self.assertEqual(api.call('msrp_conf_list'), [])
        self.refused(404, alice.call, 'msrp_conf_history', room=rooms.LOBBY)
        first, second = self.join('alice'), self.join('carol')
        for user in ('alice', 'carol'):
            event = alice.event('E_MSRP_CONF_JOIN', participant=rooms.uri(user))
            self.assertNotIn('session_id', event)
        room, = alice.call('msrp_conf_list')
        self.assertEqual([p['session_id'] for p in room['participants']], [first.id, None])
        self.refused(404, alice.call, 'msrp_conf_list', room='sip:other@im.example.org')
        second.say('hello all')
        alice.event('E_MSRP_CONF_MESSAGE', body='hello all')
        second.say('to myself', to=second.uri)
        second.say('the end')
        alice.event('E_MSRP_CONF_MESSAGE', body='the end')
        self.assertEqual([e['body'] for e in alice.call('msrp_conf_history', room=rooms.LOBBY)],
                         ['hello all', 'the end'])
        first.bye()
        alice.event('E_MSRP_CONF_LEAVE', participant=first.uri)
        second.say('alone')
        self.received_by_operator('alone')
        self.assertEqual(alice.call('msrp_conf_list'), [])
        self.assertEqual(alice.events, [])
        self.assertEqual(bob.call('msrp_conf_list'), [])
        self.assertEqual(bob.events, [])

    def received_by_operator(self, body):
        self.ctl.event('E_MSRP_CONF_MESSAGE', body=body)


if __name__ == '__main__':
    case.main()
