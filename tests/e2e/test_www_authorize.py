#!/usr/bin/env python3
"""www_authorize: a caller proves who it is (RFC 3261 22, RFC 7616, RFC 8760)."""
import os

from lib import case
from lib.case import Case
from lib.daemon import Daemon, free_port, sample
from lib.digest import digest, sip_credentials
from lib.sip import parameters, uri_of

REALM = 'example.org'


def ha1(user, password, algorithm='MD5'):
    return digest(algorithm, f'{user}:{REALM}:{password}')


def rules(*actions, **authorize):
    return {'sip': [{'do': [{'www_authorize': {'realm': REALM, **authorize}}, *actions]}]}


GOOD = {'send_reply': {'code': 200, 'reason': 'OK', 'headers': {'X-User': '$au', 'X-Realm': '$ar'}}}
USERS = {'alice': {'password': 'secret'}, 'bob': {'ha1': ha1('bob', 'builder')},
         'carol': {'ha1_sha256': ha1('carol', 'singer', 'SHA-256')}}


def not_started(test, routes, words):
    """These rules are a config error that says so."""
    daemon = Daemon({'routes': routes})
    try:
        daemon.spawn()
        test.assertEqual(daemon.wait(), 1)
        test.assertIn(words, daemon.log())
    finally:
        daemon.kill()
        daemon.discard()


class WwwAuthorizeCase(Case):
    config = {'users': USERS, 'routes': rules(GOOD)}

    def message(self, authorization=None, daemon=None, kind='UDP', method='MESSAGE', ua=None,
                uri=None, **kwargs):
        """A request with these credentials; its final answer."""
        daemon = daemon or self.daemon
        ua = ua or self.sip
        values = [authorization] if isinstance(authorization, str) else authorization or []
        transport = ua.reach('127.0.0.1', daemon.sip_port, kind)
        return ua.request(method, uri or daemon.sip_uri, transport, b'hello',
                                content_type='text/plain', headers=[
                                    ('Authorization', value) for value in values],
                                **kwargs).final()

    def challenged(self, response, stale=False):
        """One challenge, and what it says."""
        self.assertEqual(response.code, 401)
        values = response.all('WWW-Authenticate')
        self.assertEqual(len(values), 1)
        given = parameters(values[0])
        self.assertEqual((given['realm'], given['qop'], given.get('stale')),
                         (REALM, 'auth', 'true' if stale else None))
        return values[0]

    def ask(self, daemon=None, kind='UDP', ua=None):
        return self.challenged(self.message(daemon=daemon, kind=kind, ua=ua))

    def prove(self, challenge, user, password, method='MESSAGE', daemon=None, uri=None,
              kind='UDP', **changes):
        daemon = daemon or self.daemon
        value = sip_credentials(challenge, method, uri or daemon.sip_uri, user, password,
                                 **changes)
        return self.message(value, daemon, kind)

    def admitted(self, response, user):
        self.assertEqual((response.code, response.get('X-User'), response.get('X-Realm')),
                         (200, user, REALM))


class Md5Test(WwwAuthorizeCase):
    def test_right(self):
        """By password and by hash; every request is challenged anew, or uses the nonce on."""
        for user, password in (('alice', 'secret'), ('bob', 'builder')):
            challenge = self.ask()
            self.assertEqual(parameters(challenge).get('algorithm', 'MD5'), 'MD5')
            for nc in (1, 2, 3):
                self.admitted(self.prove(challenge, user, password, nc=nc), user)

    def test_over_tcp(self):
        challenge = self.challenged(self.message(kind='TCP'))
        value = sip_credentials(challenge, 'MESSAGE', self.daemon.sip_uri, 'alice', 'secret')
        self.admitted(self.message(value, kind='TCP'), 'alice')

    def test_wrong(self):
        """Wrong is challenged as nothing is, whatever was wrong; and no rule goes on."""
        cases = [('alice', 'wrong', {}), ('nobody', 'secret', {}), ('carol', 'singer', {}),
                 ('alice', 'secret', {'response': '"' + '0' * 32 + '"'}), ('alice', 'secret', {'qop': None}),
                 ('alice', 'secret', {'realm': '"example.com"'}), ('Alice', 'secret', {}),
                 ('alice', 'secret', {'cnonce': None}),
                 ('alice', 'secret', {'username': None}), ('alice', 'secret', {'qop': 'auth-int'}),
                 ('alice', 'secret', {'algorithm': 'SHA-256'}),
                 ('alice', 'secret', {'algorithm': 'MD5-sess'})]
        for user, password, changes in cases:
            with self.subTest(user=user, **changes):
                self.challenged(self.prove(self.ask(), user, password, **changes))
        self.challenged(self.message('Basic YWxpY2U6c2VjcmV0'))
        self.challenged(self.message('Digest'))

    def test_of_another_method(self):
        value = sip_credentials(self.ask(), 'INVITE', self.daemon.sip_uri, 'alice', 'secret')
        self.challenged(self.message(value))

    def test_digest_uri(self):
        """A proxy on the way may have put another Request-URI in the place of the client's."""
        self.admitted(self.prove(self.ask(), 'alice', 'secret', uri='sip:example.org'), 'alice')

    def test_no_count_twice(self):
        challenge = self.ask()
        value = sip_credentials(challenge, 'MESSAGE', self.daemon.sip_uri, 'alice', 'secret')
        self.admitted(self.message(value), 'alice')
        again = self.challenged(self.message(value), stale=True)
        self.admitted(self.prove(again, 'alice', 'secret'), 'alice')

    def test_nonces_of_others(self):
        """Of good credentials it is said that the nonce alone was bad; by UDP of bad ones, too."""
        for nonce in ('x', '0' * 64, 'f' * 4000):
            theirs = f'Digest realm="{REALM}", nonce="{nonce}", qop="auth"'
            for kind in ('UDP', 'TCP'):
                self.challenged(self.prove(theirs, 'alice', 'secret', kind=kind), stale=True)
                self.challenged(self.prove(theirs, 'alice', 'wrong', kind=kind),
                                stale=kind == 'UDP')

    def test_nonces_of_another_way(self):
        """By UDP a nonce is good from the address that it was sent to; over TCP from any."""
        by_tcp = self.ask(kind='TCP')
        elsewhere = self.ask(ua=self.ua(host='127.0.0.2'))
        for challenge in (elsewhere, by_tcp):
            again = self.challenged(self.prove(challenge, 'alice', 'secret'), stale=True)
            self.admitted(self.prove(again, 'alice', 'secret'), 'alice')
        again = self.challenged(self.prove(self.ask(), 'alice', 'secret', kind='TCP'), stale=True)
        self.admitted(self.prove(again, 'alice', 'secret', kind='TCP'), 'alice')

    def test_several_credentials(self):
        """RFC 3261 22.3: a request may have some of other realms beside them."""
        right = sip_credentials(self.ask(), 'MESSAGE', self.daemon.sip_uri, 'alice', 'secret')
        other = sip_credentials('Digest realm="example.com", nonce="n", qop="auth"', 'MESSAGE',
                                 self.daemon.sip_uri, 'alice', 'other')
        self.admitted(self.message([other, right]), 'alice')

    def test_unusual_names(self):
        """Quotes and escapes in what was never a user do no harm."""
        for user in ('al"ice', 'al\\ice', '', 'a' * 1500, 'alice\\'):
            with self.subTest(user=user):
                escaped = user.replace('\\', '\\\\').replace('"', '\\"')
                self.challenged(self.prove(self.ask(), user, 'secret', username=f'"{escaped}"'))

    def test_counted(self):
        before = self.ctl.call('get_statistics', group='sip')['sip:auth_failures']
        self.ask()
        self.prove(self.ask(), 'alice', 'wrong')
        after = self.ctl.call('get_statistics', group='sip')['sip:auth_failures']
        self.assertEqual(after, before + 1)
        self.assertNotIn('secret', self.daemon.log().split('alice')[-1])

    def test_invite(self):
        """Challenged as well; the ACK of the 401 ends it."""
        transaction = self.invite(self.offer())
        challenge = self.challenged(transaction.final())
        value = sip_credentials(challenge, 'INVITE', self.daemon.sip_uri, 'alice', 'secret')
        again = self.invite(self.offer(), headers=[('Authorization', value)])
        self.assertEqual(again.final(200).get('X-User'), 'alice')


class Sha256Test(WwwAuthorizeCase):
    config = {'users': USERS, 'routes': rules(GOOD, algorithm='SHA-256')}

    def test_right(self):
        for user, password in (('alice', 'secret'), ('carol', 'singer')):
            challenge = self.ask()
            self.assertEqual(parameters(challenge)['algorithm'], 'SHA-256')
            self.admitted(self.prove(challenge, user, password), user)

    def test_no_way_down(self):
        """MD5 is refused where SHA-256 is asked for."""
        challenge = self.ask().replace('SHA-256', 'MD5')
        self.challenged(self.prove(challenge, 'alice', 'secret'))
        self.challenged(self.prove(challenge, 'bob', 'builder'))


class SeveralTest(WwwAuthorizeCase):
    """A list of algorithms: the client takes the one that it likes (RFC 8760 2.4)."""
    config = {'users': USERS, 'routes': rules(GOOD, algorithm=['SHA-256', 'MD5'])}

    def offers(self, daemon=None):
        response = self.message(daemon=daemon)
        self.assertEqual(response.code, 401)
        return {parameters(value).get('algorithm', 'MD5'): value
                for value in response.all('WWW-Authenticate')}

    def test_either(self):
        for user, password, algorithms in (('alice', 'secret', ('MD5', 'SHA-256')),
                                           ('bob', 'builder', ('MD5',)),
                                           ('carol', 'singer', ('SHA-256',))):
            for algorithm in algorithms:
                offers = self.offers()
                self.assertEqual(list(offers), ['SHA-256', 'MD5'])
                self.assertEqual({parameters(each)['realm'] for each in offers.values()}, {REALM})
                self.admitted(self.prove(offers[algorithm], user, password), user)

    def test_wrong(self):
        """What is wrong is challenged by all of them, and so is what is stale."""
        for algorithm, other in (('MD5', 'SHA-256'), ('SHA-256', 'MD5')):
            offer = self.offers()[algorithm]
            answers = [self.prove(offer, 'alice', 'wrong'),
                       self.prove(offer.replace(algorithm, other), 'alice', 'wrong')]
            self.admitted(self.prove(offer, 'alice', 'secret'), 'alice')
            answers.append(self.prove(offer, 'alice', 'secret'))
            for answer, stale in zip(answers, (None, None, 'true')):
                self.assertEqual([parameters(value).get('stale') for value in
                                  answer.all('WWW-Authenticate')], [stale, stale])

    def test_one_of_two(self):
        """Credentials by both: the first of those that are offered counts."""
        offers = self.offers()
        values = [sip_credentials(offers[algorithm], 'MESSAGE', self.daemon.sip_uri, 'alice',
                                   'secret') for algorithm in ('MD5', 'SHA-256')]
        self.admitted(self.message(values), 'alice')

    def test_order(self):
        daemon, _ = self.start({'users': USERS,
                                'routes': rules(GOOD, algorithm=['MD5', 'SHA-256'])})
        self.assertEqual(list(self.offers(daemon)), ['MD5', 'SHA-256'])


class OwnNameTest(WwwAuthorizeCase):
    """Who has proven to be one user is not to write as another."""
    own_daemon = True

    def write_as(self, name, daemon, **kwargs):
        value = sip_credentials(self.ask(daemon), 'MESSAGE', daemon.sip_uri, 'phone', 'change me')
        return self.message(value, daemon, from_uri=f'sip:{name}@bank.example', **kwargs)

    def test_rule(self):
        rule = {'if': {'$fU': '!$au'}, 'do': [{'send_reply': {'code': 403, 'reason': 'No'}}]}
        before, after = rules()['sip'][0], rules(GOOD)['sip'][0]
        daemon, _ = self.start({'users': {'phone': {'password': 'change me'},
                                          '*': {'password': 'change me'}},
                                'routes': {'sip': [{**before, 'continue': True}, rule, after]}})
        self.admitted(self.write_as('phone', daemon), 'phone')
        for name in ('ceo', 'Phone', 'phon', 'phones', '*', '%2A', 'phone;x', '$au'):
            with self.subTest(name=name):
                self.assertEqual(self.write_as(name, daemon).code, 403)
        value = sip_credentials(self.ask(daemon), 'MESSAGE', daemon.sip_uri, '*', 'change me')
        self.assertEqual(self.message(value, daemon, from_uri='sip:ceo@bank.example').code, 403)

    def test_nobody_has_been_asked(self):
        rule = {'if': {'$fU': '!$au'}, 'do': [{'send_reply': {'code': 403, 'reason': 'No'}}]}
        daemon, _ = self.start({'routes': {'sip': [rule]}})
        for uri in ('sip:alice@example.org', 'sip:example.org'):
            self.assertEqual(self.message(daemon=daemon, from_uri=uri).code, 403)

    def test_gateway(self):
        """conf/gateway.yaml, as if this machine were another."""
        port = free_port()
        control = os.path.join(self.directory, 'gateway.sock')
        text = sample('gateway', {'127.0.0.1:5060': f'127.0.0.1:{port}',
                                  '127.0.0.1:2855': '127.0.0.1:0', '127.0.0.0/8': '10.0.0.0/8',
                                  '/tmp/msrpd-gateway.sock': control})
        daemon, _ = self.start({'control': {'socket': control}}, text=text)
        daemon.sip_port = port
        client = self.ua(user='client')
        for name, code in (('ceo', 403), ('phone', 202)):
            challenge = self.challenged(self.message(daemon=daemon, ua=client))
            value = sip_credentials(challenge, 'MESSAGE', daemon.sip_uri, 'phone', 'change me')
            response = self.message(value, daemon, ua=client, uri=client.contact(),
                                    from_uri=f'sip:{name}@bank.example')
            self.assertEqual(response.code, code)
        self.assertEqual(uri_of(client.expect('INVITE').request.get('From')),
                         'sip:phone@bank.example')

    def test_config(self):
        """What could be meant for a variable is one that is known."""
        for pattern, words in (('$nobody', 'unknown variable'), ('!$AU', 'unknown variable'),
                               ('$param(code)', 'unknown variable'), ('sip:$au@*', 'beside'),
                               ('~^$au$', 'cannot stand'), ('a$', 'unknown variable')):
            not_started(self, {'sip': [{'if': {'$fU': pattern}, 'do': ['drop']}]}, words)


class SourcesTest(WwwAuthorizeCase):
    own_daemon = True

    def run_with(self, changes):
        daemon, ctl = self.start({'routes': rules(GOOD), **changes})
        return daemon, ctl

    def test_users_of_the_relay(self):
        """users first, then relay.users, then relay.htdigest."""
        path = os.path.join(self.directory, 'htdigest')
        with open(path, 'w', encoding='ascii') as file:
            file.write(f'dave:{REALM}:{ha1("dave", "diver")}\n'
                       f'alice:{REALM}:{ha1("alice", "third")}\n')
        secret = os.path.join(self.directory, 'erin.secret')
        with open(secret, 'w', encoding='ascii') as file:
            file.write('from a file\n')
        daemon, _ = self.run_with({
            'users': {'alice': {'password': 'first'}, 'erin': {'password': {'file': secret}}},
            'relay': {'htdigest': path, 'users': {'alice': {'password': 'second'},
                                                  'frank': {'password': 'frankly'}}}})
        for user, password in (('alice', 'first'), ('erin', 'from a file'), ('frank', 'frankly'),
                               ('dave', 'diver')):
            self.admitted(self.prove(self.ask(daemon), user, password, daemon=daemon), user)
        for password in ('second', 'third'):
            self.challenged(self.prove(self.ask(daemon), 'alice', password, daemon=daemon))

    def test_reload(self):
        """Other users count at once, and nonces that are out stay good."""
        daemon, ctl = self.run_with({'users': {'alice': {'password': 'old'}}})
        challenge = self.ask(daemon)
        self.admitted(self.prove(challenge, 'alice', 'old', daemon=daemon), 'alice')
        daemon.config['users'] = {'alice': {'password': 'new'}}
        daemon.write_config()
        ctl.call('reload')
        self.challenged(self.prove(challenge, 'alice', 'old', daemon=daemon, nc=2))
        self.admitted(self.prove(challenge, 'alice', 'new', daemon=daemon, nc=3), 'alice')

    def test_a_bad_reload(self):
        """A file of users that cannot be read changes nothing."""
        path = os.path.join(self.directory, 'bad')
        with open(path, 'w', encoding='ascii') as file:
            file.write('no line of htdigest\n')
        daemon, ctl = self.run_with({'users': {'alice': {'password': 'old'}}})
        daemon.config['users'] = {'alice': {'password': 'new'}}
        daemon.config['relay'] = {'htdigest': path}
        daemon.write_config()
        self.refused(500, ctl.call, 'reload')
        self.admitted(self.prove(self.ask(daemon), 'alice', 'old', daemon=daemon), 'alice')

    def test_nonce_expire(self):
        """relay.nonce_expire holds for SIP too."""
        daemon, _ = self.run_with({'users': {'alice': {'password': 'secret'}},
                                   'relay': {'nonce_expire': '2s'}})
        challenge = self.ask(daemon)
        nc = 1
        response = self.prove(challenge, 'alice', 'secret', daemon=daemon)
        while response.code == 200:
            nc += 1
            response = self.prove(challenge, 'alice', 'secret', daemon=daemon, nc=nc)
        again = self.challenged(response, stale=True)
        self.admitted(self.prove(again, 'alice', 'secret', daemon=daemon), 'alice')

    def test_twice_in_a_walk(self):
        """Who was asked is not asked again; another realm is another question."""
        first = {'do': [{'www_authorize': {'realm': REALM}}], 'continue': True}
        daemon, _ = self.run_with({'users': {'alice': {'password': 'secret'}},
                                   'routes': {'sip': [first, *rules(GOOD)['sip']]}})
        self.admitted(self.prove(self.ask(daemon), 'alice', 'secret', daemon=daemon), 'alice')

    def test_realm_of_variables(self):
        """A realm may come from the request; one that is none is our fault, not the caller's."""
        routes = {'sip': [{'do': [{'www_authorize': {'realm': '$hdr(X-Realm)'}}, GOOD]}]}
        daemon, _ = self.run_with({'routes': routes})
        transport = self.sip.reach('127.0.0.1', daemon.sip_port)
        for realm, code in ((REALM, 401), ('', 500), ('x' * 3000, 500)):
            response = self.sip.request('MESSAGE', daemon.sip_uri, transport, b'x',
                                        content_type='text/plain',
                                        headers=[('X-Realm', realm)]).final(code)
            if code == 401:
                self.challenged(response)

    def test_too_many_failures(self):
        """limits.auth_failures: then right ones are refused too, and a bare request is not."""
        daemon, ctl = self.run_with({'users': USERS, 'limits': {
            'auth_failures': 3, 'auth_failure_window': '1h', 'exempt': []}})
        for _ in range(3):
            self.challenged(self.prove(self.ask(daemon), 'alice', 'wrong', daemon=daemon))
        for password in ('wrong', 'secret'):
            response = self.prove(self.ask(daemon), 'alice', password, daemon=daemon)
            self.assertEqual(response.code, 403)
        self.assertEqual(ctl.call('get_statistics', group='sip')['sip:auth_failures'], 3)
        # Nor is the stack asked, whatever they come with, but for what goes on with something.
        value = sip_credentials(self.ask(daemon), 'x', daemon.sip_uri, 'alice', 'secret')
        refusals = 'refused: 403 too many wrong credentials'
        for method in ('INVITE', 'MESSAGE', 'OPTIONS', 'REFER', 'REGISTER', 'SUBSCRIBE'):
            for kind in ('UDP', 'TCP'):
                with self.subTest(method, kind=kind):
                    before = daemon.log().count(refusals)
                    self.assertEqual(self.message(value, daemon, kind, method).code, 403)
                    self.assertEqual(daemon.log().count(refusals), before + 1)
        self.assertEqual(self.message(value, daemon, method='CANCEL').code, 481)
        # A tag that anybody may write helps nobody who registers.
        transport = self.sip.reach('127.0.0.1', daemon.sip_port)
        for method, code in (('BYE', 481), ('REGISTER', 403)):
            tagged = self.sip.build(method, daemon.sip_uri, transport,
                                    headers=[('Authorization', value)])
            tagged.headers = [(name, f'{text};tag=1' if name == 'To' else text)
                              for name, text in tagged.headers]
            self.assertEqual(self.sip.transact(tagged, transport).final().code, code)

    def test_failures_in_another_name(self):
        """Anybody can send datagrams from an address: without a nonce that has reached it, nothing
        that they say counts against it."""
        daemon, ctl = self.run_with({'users': USERS, 'limits': {
            'auth_failures': 1, 'auth_failure_window': '1h', 'exempt': []}})
        by_tcp = self.ask(daemon, 'TCP')
        elsewhere = self.ask(daemon, ua=self.ua(host='127.0.0.2'))
        for challenge in (f'Digest realm="{REALM}", nonce="00", qop="auth"', by_tcp, elsewhere):
            self.challenged(self.prove(challenge, 'alice', 'wrong', daemon=daemon), stale=True)
        self.challenged(self.message('Digest x', daemon))
        self.assertEqual(ctl.call('get_statistics', group='sip')['sip:auth_failures'], 0)
        for kind in ('UDP', 'TCP'):
            challenge = self.ask(daemon, kind)
            self.admitted(self.prove(challenge, 'alice', 'secret', daemon=daemon, kind=kind),
                          'alice')
        self.challenged(self.prove(self.ask(daemon), 'alice', 'wrong', daemon=daemon))
        response = self.prove(self.ask(daemon, 'TCP'), 'alice', 'secret', daemon=daemon, kind='TCP')
        self.assertEqual(response.code, 403)

    def test_another_algorithm(self):
        """Phones go on with MD5 after a reload to SHA-256: that is no attempt at anything."""
        daemon, ctl = self.run_with({'users': USERS, 'limits': {'auth_failures': 1, 'exempt': []}})
        challenge = self.ask(daemon)
        self.admitted(self.prove(challenge, 'alice', 'secret', daemon=daemon), 'alice')
        daemon.config['routes'] = rules(GOOD, algorithm='SHA-256')
        daemon.write_config()
        ctl.call('reload')
        for nc in (2, 3):
            again = self.challenged(self.prove(challenge, 'alice', 'secret', daemon=daemon, nc=nc))
        self.assertEqual(parameters(again)['algorithm'], 'SHA-256')
        self.assertEqual(ctl.call('get_statistics', group='sip')['sip:auth_failures'], 0)
        self.admitted(self.prove(again, 'alice', 'secret', daemon=daemon), 'alice')

    def test_exempt(self):
        """This machine is exempt by default."""
        daemon, _ = self.run_with({'users': USERS, 'limits': {'auth_failures': 1}})
        for _ in range(3):
            self.challenged(self.prove(self.ask(daemon), 'alice', 'wrong', daemon=daemon))
        self.admitted(self.prove(self.ask(daemon), 'alice', 'secret', daemon=daemon), 'alice')

    def test_rules_of_the_config(self):
        """What cannot be is told with its place."""
        for routes, words in (
                (rules(algorithm='SHA-512-256'), 'unknown word'),
                (rules(algorithm=['MD5', 'SHA-512-256']), 'unknown word'),
                (rules(algorithm=['MD5', 'MD5']), 'each algorithm once'),
                (rules(algorithm=[]), 'each algorithm once'),
                ({'sip': [{'do': [{'www_authorize': {'algorithm': 'MD5'}}]}]}, 'lacks realm'),
                ({'msrp': [{'do': [{'www_authorize': {'realm': 'x'}}]}]}, 'cannot stand')):
            not_started(self, routes, words)


if __name__ == '__main__':
    case.main()
