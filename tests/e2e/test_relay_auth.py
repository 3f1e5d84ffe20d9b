#!/usr/bin/env python3
"""AUTH: who gets a URI of the relay, for how long, and what it says.

RFC 4976 4.2, 4.6, 5.1, 6.1, 6.3, 8, 9.1, 10.3.
"""
import os
import re

from lib import case, certs, msrp
from lib.daemon import free_port, sample
from lib.frame import URI, new_id
from lib.digest import Credentials, digest
from lib.relay_client import PLAIN, RELAY, USERS, Client
from lib.sip import parameters
from lib.waiting import poll


class RelayCase(case.Case):
    """One relay on plain TCP, as labs have it."""

    config = PLAIN
    own = {}                    # laid over the relay section

    @classmethod
    def setUpClass(cls):
        cls.config = {**cls.config, 'relay': {**PLAIN['relay'], **cls.own}}
        super().setUpClass()

    def setUp(self):
        super().setUp()
        host, port = self.daemon.listeners(self.ctl)[0]
        self.relay = f'msrp://{host}:{port};tcp'

    def client(self, user='alice', **kwargs):
        return Client(self.relay, user, USERS[user]['password'], **kwargs)

    def sessions(self):
        return self.ctl.call('msrp_relay_list_sessions')

    def stat(self, name):
        return self.ctl.call('get_statistics', group='relay')[f'relay:{name}']


class ChallengeTest(RelayCase):
    def test_form_of_the_challenge(self):
        client = self.client()
        answer = client.ask()
        self.assertEqual(answer.code, 401)
        challenges = [value for name, value in answer.headers if name == 'WWW-Authenticate']
        self.assertEqual(len(challenges), 1)
        given = parameters(challenges[0])
        self.assertTrue(challenges[0].startswith('Digest '))
        self.assertIn('qop="auth"', challenges[0])
        self.assertEqual(given['realm'], '127.0.0.1')
        self.assertNotIn('domain', given)
        self.assertIn(given.get('algorithm', 'MD5'), ('MD5',))
        self.assertNotIn('stale', given)
        self.assertGreaterEqual(len(given['nonce']), 16)

    def test_nonces_differ(self):
        client = self.client()
        nonces = {parameters(client.challenge())['nonce'] for _ in range(20)}
        self.assertEqual(len(nonces), 20)

    def test_a_bare_auth_counts_for_nothing(self):
        client = self.client()
        for _ in range(10):
            client.challenge()
        self.assertEqual(client.auth().code, 200)


class BoundsTest(RelayCase):
    own = {'max_sessions': 5, 'max_sessions_per_user': 3}

    def codes(self, client, count):
        return [client.ask(from_path=[own], authorization=self.proof(client, own)).code
                for own in (f'msrp://127.0.0.1:9/{new_id()};tcp' for _ in range(count))]

    def proof(self, client, own):
        credentials = Credentials(client.challenge(from_path=[own]), self.relay, client.user,
                                  client.password)
        credentials.header_uri = self.relay
        return credentials.value()

    def test_sessions(self):
        alice, bob = self.client(), self.client('bob')
        self.assertEqual(self.codes(alice, 5), [200, 200, 200, 403, 403])
        self.assertEqual(self.codes(self.client(), 1), [403])    # on another connection as well
        self.assertEqual(self.codes(bob, 4), [200, 200, 408, 408])
        self.assertEqual(len(self.sessions()), 5)
        alice.close()
        poll(lambda: len(self.sessions()) == 2, what='the end of those')
        self.assertEqual(self.codes(bob, 2), [200, 403])
        self.assertEqual(self.codes(self.client(), 2), [200, 200])

    def test_what_there_is_goes_on(self):
        client = self.client()
        self.assertEqual(client.auth().code, 200)
        self.codes(client, 4)
        self.assertEqual(client.auth().code, 200)

    def test_from_path(self):
        client = self.client()
        for length, code in ((1500, 200), (2200, 400)):
            own = f'msrp://127.0.0.1:9/{"p" * length};tcp'
            self.assertEqual(client.ask(from_path=[own],
                                        authorization=self.proof(client, own)).code, code)


class GrantTest(RelayCase):
    def test_answer(self):
        client = self.client()
        answer = client.auth()
        self.assertEqual(answer.get('Expires'), '1800')
        match = URI.match(client.granted)
        self.assertEqual((match['scheme'], f'{match["host"]}:{match["port"]}'),
                         ('msrp', URI.match(self.relay)['host'] + ':'
                          + URI.match(self.relay)['port']))
        self.assertEqual(len(client.use_path), 1)
        self.assertGreaterEqual(len(client.session_id), 22)
        info = parameters('x ' + answer.get('Authentication-Info'))
        self.assertEqual(info['rspauth'], client.credentials.rspauth)
        self.assertEqual((info['cnonce'], info['nc'], info['qop']),
                         (client.credentials.cnonce, '00000001', 'auth'))

    def test_session_ids_are_unlike_each_other(self):
        client = self.client()
        ids = set()
        for _ in range(50):
            own = f'msrp://127.0.0.1:9/{new_id()};tcp'
            client.auth(from_path=[own])
            ids.add(client.session_id)
        self.assertEqual(len(ids), 50)
        self.assertTrue(all(re.fullmatch(r'[A-Za-z0-9.+=-]{22,}', one) for one in ids))
        # 130 random bits leave no character in its place.
        for column in zip(*ids):
            self.assertGreater(len(set(column)), 10)

    def test_expires(self):
        for asked, code, header, value in (
                (60, 200, 'Expires', '60'), (3600, 200, 'Expires', '3600'),
                (59, 423, 'Min-Expires', '60'), (0, 423, 'Min-Expires', '60'),
                (3601, 423, 'Max-Expires', '3600'), (99999999999999999999, 423, 'Max-Expires', '3600'),
                ('soon', 400, 'Expires', None), ('-1', 400, 'Expires', None)):
            with self.subTest(asked=asked):
                client = self.client()
                credentials = Credentials(client.challenge(), self.relay)
                answer = client.ask(authorization=credentials.value(), expires=asked)
                self.assertEqual(answer.code, code)
                self.assertEqual(answer.get(header), value)
                if code != 423:
                    self.assertIsNone(answer.get('Min-Expires') or answer.get('Max-Expires'))

    def test_it_dies_at_its_expiry(self):
        daemon, ctl = self.start({**PLAIN, 'relay': {**PLAIN['relay'], 'auth_min_expires': '1s'}})
        host, port = daemon.listeners(ctl)[0]
        client = Client(f'msrp://{host}:{port};tcp')
        client.auth(expires=3)
        stranger = msrp.connect(self.relay.replace(URI.match(self.relay)['port'], port), relay=True)
        session = msrp.Session(stranger, client.path, ['msrp://127.0.0.1:9/x;tcp'])
        session.send('in time')
        client.conn.expect('SEND')
        poll(lambda: not ctl.call('msrp_relay_list_sessions'), 20, 'the expiry')
        session.send('too late', code=481)
        client.conn.send(client.session(['msrp://127.0.0.1:9/x;tcp']).build('SEND', b'late'))
        client.conn.expect(481)

    def test_it_dies_with_its_connection(self):
        client = self.client()
        client.auth()
        client.conn.reset()
        poll(lambda: not self.sessions(), what='the end of the session')
        again = self.client(own=client.own)
        again.auth()
        self.assertNotEqual(again.granted, client.granted)
        message = msrp.Session(again.conn, [client.granted, 'msrp://127.0.0.1:9/x;tcp'], [again.own])
        message.send('x', code=481)

    def test_list_and_end(self):
        client = self.client()
        client.auth(expires=100)
        one, = self.sessions()
        self.assertEqual((one['session_id'], one['user']), (client.session_id, 'alice'))
        self.assertEqual(one['peer'], '%s:%d' % client.conn.local)
        self.assertIn(one['expires'], (99, 100))
        self.assertEqual(self.ctl.call('status')['sessions']['relay'], 1)
        self.assertEqual(self.ctl.call('msrp_relay_end_session', session_id=client.session_id), 'OK')
        self.assertEqual(self.sessions(), [])
        self.refused(404, self.ctl.call, 'msrp_relay_end_session', session_id=client.session_id)


class CredentialsTest(RelayCase):
    def refuse(self, value, stale=False):
        client = self.client()
        answer = client.ask(authorization=value(client))
        self.assertEqual(answer.code, 401)
        self.assertEqual('stale=true' in answer.get('WWW-Authenticate').lower(), stale)
        self.assertIsNone(answer.get('Use-Path'))

    def test_wrong(self):
        def made(client, user='alice', password='secret', **changes):
            return Credentials(client.challenge(), self.relay, user, password).value(**changes)
        for what, value in (
                ('password', lambda c: made(c, password='Secret')),
                ('user', lambda c: made(c, user='nobody')),
                ('empty user', lambda c: made(c, user='')),
                ('realm', lambda c: made(c, realm='"other"')),
                ('algorithm', lambda c: made(c, algorithm='SHA-256')),
                ('MD5-sess', lambda c: made(c, algorithm='MD5-sess')),
                ('no qop', lambda c: made(c, qop=None)),
                ('auth-int', lambda c: made(c, qop='auth-int')),
                ('no nc', lambda c: made(c, nc=None)),
                ('short nc', lambda c: made(c, nc='1')),
                ('no cnonce', lambda c: made(c, cnonce=None)),
                ('no response', lambda c: made(c, response=None)),
                ('Basic', lambda c: 'Basic YWxpY2U6c2VjcmV0'),
                ('nothing', lambda c: ''),
                ('garbage', lambda c: 'Digest """,,,=,')):
            with self.subTest(what=what):
                self.refuse(value)

    def test_nonce_of_another_maker_is_stale(self):
        def value(client):
            credentials = Credentials(client.challenge(), self.relay)
            credentials.nonce = 'f' * len(credentials.nonce)
            return credentials.value()
        self.refuse(value, stale=True)

    def test_a_replay_is_stale(self):
        client = self.client()
        client.auth()
        value = client.credentials.value()
        for conn in (client, self.client(own=client.own)):
            answer = conn.ask(authorization=value)
            self.assertEqual(answer.code, 401)
            self.assertIn('stale=true', answer.get('WWW-Authenticate').lower())

    def test_a_nonce_serves_while_its_count_goes_up(self):
        client = self.client()
        credentials = Credentials(client.challenge(), self.relay)
        for nc in (1, 2, 5, 4):
            credentials.nc = f'{nc:08x}'
            self.assertEqual(client.ask(authorization=credentials.value()).code, 200)
        self.assertEqual(client.ask(authorization=credentials.value()).code, 401)

    def test_nonces_grow_old(self):
        daemon, ctl = self.start({**PLAIN, 'relay': {**PLAIN['relay'], 'nonce_expire': '2s'}})
        relay = 'msrp://%s:%s;tcp' % daemon.listeners(ctl)[0]
        client = Client(relay)
        credentials = Credentials(client.challenge(), relay)
        count = [0]

        def stale():
            count[0] += 1
            credentials.nc = f'{count[0]:08x}'
            answer = client.ask(authorization=credentials.value())
            return answer.code == 401 and 'stale=true' in answer.get('WWW-Authenticate').lower()
        poll(stale, 20, 'a stale nonce')
        self.assertGreater(count[0], 1)
        self.assertEqual(client.auth().code, 200)       # stale ones count for nothing

    def test_the_third_wrong_one_closes(self):
        client = self.client()
        for _ in range(3):
            credentials = Credentials(client.challenge(), self.relay, password='wrong')
            self.assertEqual(client.ask(authorization=credentials.value()).code, 401)
        client.conn.expect_closed()
        self.assertGreaterEqual(self.stat('auth_failures'), 3)

    def test_the_digest_is_over_the_rightmost_uri(self):
        client = self.client()
        credentials = Credentials(client.challenge(), self.relay)
        credentials.header_uri = 'msrps://elsewhere.example.org;tcp'
        self.assertEqual(client.ask(authorization=credentials.value()).code, 200)

    def test_a_user_part_belongs_to_it(self):
        named = self.relay.replace('msrp://', 'msrp://alice@')
        client = self.client()
        credentials = Credentials(client.challenge([named]), named)
        answer = client.ask(to_path=[named], authorization=credentials.value())
        self.assertEqual(answer.code, 200)
        self.assertNotIn('@', answer.get('Use-Path'))

    def test_opaque_is_nothing_to_us(self):
        client = self.client()
        credentials = Credentials(client.challenge(), self.relay)
        self.assertEqual(client.ask(authorization=credentials.value(opaque='"abc"')).code, 200)


class RefreshTest(RelayCase):
    def refreshed(self, client, to_path=None, **kwargs):
        path = to_path or [self.relay]
        credentials = Credentials(client.challenge(path), path[-1])
        return client.ask(to_path=path, authorization=credentials.value(), **kwargs)

    def test_by_uri_and_by_from_path(self):
        client = self.client()
        client.auth(expires=100)
        for to_path in ([client.granted], [self.relay]):
            answer = self.refreshed(client, to_path, expires=3000)
            self.assertEqual((answer.code, answer.get('Use-Path'), answer.get('Expires')),
                             (200, client.granted, '3000'))
        self.assertEqual(len(self.sessions()), 1)
        self.assertGreater(self.sessions()[0]['expires'], 2990)

    def test_credentials_are_always_asked_for(self):
        client = self.client()
        client.auth()
        self.assertEqual(client.ask(to_path=[client.granted]).code, 401)

    def test_another_from_path_is_another_session(self):
        client = self.client()
        client.auth()
        first = client.granted
        client.auth(from_path=[f'msrp://127.0.0.1:9/{new_id()};tcp'])
        self.assertNotEqual(client.granted, first)
        self.assertEqual(len(self.sessions()), 2)

    def test_not_from_another_connection(self):
        client, other = self.client(), self.client('bob')
        client.auth()
        other.auth()
        self.assertEqual(other.ask(to_path=[client.granted]).code, 403)

    def test_an_expired_one_is_unknown(self):
        client = self.client()
        client.auth()
        self.ctl.call('msrp_relay_end_session', session_id=client.session_id)
        self.assertEqual(client.ask(to_path=[client.granted]).code, 481)


class NamesTest(case.Case):
    own_daemon = True

    def test_plain_auth_is_refused_by_default(self):
        daemon, ctl = self.start(RELAY)
        client = Client('msrp://%s:%s;tcp' % daemon.listeners(ctl)[0])
        self.assertEqual(client.ask().code, 403)

    def test_allowing_it_warns(self):
        daemon, _ = self.start(PLAIN)
        self.assertRegex(daemon.log(), r'allow_plain_auth')

    def test_advertised_names(self):
        port = free_port()
        daemon, _ = self.start({**PLAIN, 'msrp': {'listen': [
            {'name': 'a', 'uri': f'msrp://127.0.0.1:{port};tcp',
             'advertise': 'im.example.org:3000'}]}})
        real = f'msrp://127.0.0.1:{port};tcp'
        for named in (real, 'msrp://im.example.org:3000;tcp', 'msrp://IM.example.org;tcp'):
            with self.subTest(named=named):
                client = Client(real)
                client.auth([named])
                self.assertEqual(URI.match(client.granted)['host'], 'im.example.org')
                self.assertEqual(URI.match(client.granted)['port'], '3000')
        client = Client(real)
        self.assertEqual(parameters(client.challenge(['msrp://im.example.org;tcp']))['realm'],
                         'im.example.org')

    def test_my_uri_and_realm(self):
        port = free_port()
        daemon, _ = self.start({**PLAIN, 'msrp': {'listen': [
            {'name': 'a', 'uri': f'msrp://127.0.0.1:{port};tcp', 'advertise': f'relay.test:{port}'}]},
            'relay': {**PLAIN['relay'], 'my_uri': [f'msrp://relay.test:{port};tcp'],
                      'auth_realm': 'example.org'}})
        client = Client(f'msrp://127.0.0.1:{port};tcp')
        client.auth(['msrp://relay.test;tcp'])
        self.assertTrue(client.granted.startswith(f'msrp://relay.test:{port}/'))
        self.assertEqual(client.credentials.realm, 'example.org')

    def test_hashed_passwords(self):
        ha1 = digest('MD5', 'carol:example.org:pass')
        path = os.path.join(self.directory, 'users.htdigest')
        with open(path, 'w', encoding='ascii') as file:
            file.write(f'dave:example.org:{digest("MD5", "dave:example.org:dove")}\n')
        daemon, ctl = self.start({**PLAIN, 'relay': {
            'allow_plain_auth': True, 'auth_realm': 'example.org', 'htdigest': path,
            'users': {'carol': {'ha1': ha1}}}})
        relay = 'msrp://%s:%s;tcp' % daemon.listeners(ctl)[0]
        self.assertEqual(Client(relay, 'carol', 'pass').auth().code, 200)
        self.assertEqual(Client(relay, 'dave', 'dove').auth().code, 200)

    def test_reload_of_users(self):
        daemon, ctl = self.start(PLAIN)
        relay = 'msrp://%s:%s;tcp' % daemon.listeners(ctl)[0]
        client = Client(relay)
        client.auth()
        daemon.config['relay']['users'] = {'erin': {'password': 'new'}}
        daemon.write_config()
        self.assertEqual(ctl.call('reload'), 'OK')
        self.assertEqual(Client(relay, 'erin', 'new').auth().code, 200)
        with self.assertRaises(AssertionError):
            Client(relay).auth()
        self.assertEqual(len(ctl.call('msrp_relay_list_sessions')), 2)

    def test_sha256(self):
        ha1 = digest('SHA-256', 'carol:example.org:pass')
        daemon, ctl = self.start({**PLAIN, 'relay': {
            'allow_plain_auth': True, 'auth_realm': 'example.org', 'auth_algorithm': 'SHA-256',
            'users': {'alice': {'password': 'secret'}, 'carol': {'ha1_sha256': ha1}}}})
        relay = 'msrp://%s:%s;tcp' % daemon.listeners(ctl)[0]
        for user, password in (('alice', 'secret'), ('carol', 'pass')):
            client = Client(relay, user, password)
            answer = client.auth()
            self.assertEqual(client.credentials.said, 'SHA-256')
            self.assertIn(client.credentials.rspauth, answer.get('Authentication-Info'))
        client = Client(relay)
        credentials = Credentials(client.challenge(), relay)
        credentials.algorithm = credentials.said = 'MD5'
        self.assertEqual(client.ask(authorization=credentials.value()).code, 401)

    def test_bad_configs(self):
        for relay, what in (
                ({'auth_min_expires': '100s', 'auth_max_expires': '50s'}, 'auth_min_expires'),
                ({'auth_expires': '1500ms'}, 'auth_expires'),
                ({'users': {'a': {}}}, 'password'),
                ({'users': {'a': {'ha1': 'xyz'}}}, 'ha1'),
                ({'my_uri': ['msrp://127.0.0.1:1/abc;tcp']}, 'session id'),
                ({'htdigest': '/nonexistent'}, 'htdigest')):
            with self.subTest(relay=relay):
                with self.assertRaisesRegex(AssertionError, what):
                    self.start({**RELAY, 'relay': relay})


class ExampleTest(case.Case):
    own_daemon = True

    def test_it_runs_as_it_stands(self):
        """conf/relay.yaml, but for its port and socket, which may be in use."""
        path = os.path.join(self.directory, 'relay.sock')
        text = sample('relay', {'127.0.0.1:2855': '127.0.0.1:0', '/tmp/msrpd-relay.sock': path})
        daemon, ctl = self.start({'control': {'socket': path}}, text=text)
        relay = 'msrp://%s:%s;tcp' % daemon.listeners(ctl)[0]
        for user, password in (('alice', 'wonderland'), ('bob', 'builder')):
            self.assertEqual(Client(relay, user, password).auth().code, 200)


class TlsTest(case.Case):
    """AUTH as RFC 4976 wants it."""

    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        cls.other_ca = certs.Authority(cls.directory, 'other')
        server = cls.ca.issue('relay', ('DNS:localhost', 'IP:127.0.0.1'))
        cls.config = {**RELAY, 'msrp': {
            'listen': [{'name': 'tls', 'uri': 'msrps://127.0.0.1:0;tcp'}],
            'tls': {'certificate': server.certificate, 'private_key': server.key,
                    'ca_file': cls.ca.file}}}

    def setUp(self):
        super().setUp()
        self.relay = 'msrps://%s:%s;tcp' % self.daemon.listeners(self.ctl)[0]

    def client(self, certificate=None, **kwargs):
        return Client(self.relay, tls=certs.client_context(self.ca, certificate), **kwargs)

    def test_use_path_is_whole(self):
        client = self.client()
        client.auth()
        self.assertTrue(client.granted.startswith('msrps://127.0.0.1:'))
        self.assertTrue(client.granted.endswith(';tcp'))

    def test_a_relay_is_not_challenged(self):
        other = self.ca.issue('other-relay', ('DNS:relay.other.test',))
        first, second = (self.client(other, own='msrps://relay.other.test:2855/ab;tcp')
                         for _ in range(2))
        answer = first.ask()
        self.assertEqual(answer.code, 200)
        self.assertIsNone(answer.get('Authentication-Info'))
        first.use_path = answer.get('Use-Path').split(' ')
        # It is the identity's, so any connection of that relay will do.
        peer = msrp.Listener(relay=True)
        second.use_path = first.use_path
        second.session([peer.uri()]).send('by the other one')
        peer.accept().expect('SEND')
        first.close()
        second.session([peer.uri()]).send('and still')
        self.assertEqual(second.ask().get('Use-Path'), first.granted)

    def test_under_another_name_it_may_not(self):
        other = self.ca.issue('wrong-relay', ('DNS:relay.other.test',))
        client = self.client(other)
        answer = client.ask(from_path=['msrps://relay.third.test:2855/ab;tcp', client.own])
        self.assertEqual(answer.code, 403)

    def test_an_endpoint_with_a_certificate_is_challenged(self):
        some = self.ca.issue('endpoint', ('DNS:alice.test',))
        client = self.client(some)
        self.assertEqual(client.auth().code, 200)

    def test_a_certificate_of_nobody_does_not_vouch(self):
        forged = self.other_ca.issue('forged', ('DNS:relay.other.test',))
        try:
            client = self.client(forged, own='msrps://relay.other.test:2855/ab;tcp')
            self.assertEqual(client.ask().code, 401)
        except (OSError, AssertionError):
            pass                # refused before the first byte will do as well
        self.assertEqual(self.ctl.call('msrp_relay_list_sessions'), [])


if __name__ == '__main__':
    case.main()
