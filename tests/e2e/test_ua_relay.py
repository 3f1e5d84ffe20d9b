#!/usr/bin/env python3
"""The UA behind a relay (RFC 4976 as a client): AUTH, Use-Path, refresh."""
import ssl

from lib import case, certs, msrp, sdp
from lib.case import Call
from lib.frame import URI, new_id
from lib.relay import CREDENTIALS, REALM, USER, Relay
from lib.sip import Dialog, parameters
from lib.waiting import Timeout, poll


class RelayCase(case.Case):
    own_daemon = True

    def behind(self, relay=None, **changes):
        """A relay and a daemon behind it."""
        relay = relay or Relay()
        ua = {'relay_uri': relay.uri, **changes.pop('ua', {})}
        daemon, ctl = self.start({'ua': ua, 'credentials': CREDENTIALS, **changes})
        return relay, daemon, ctl

    def incoming(self, relay, daemon, ctl, setup='actpass', path=None, bind=True):
        """We call; the frames go over the relay's connection."""
        path = path or f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction = self.invite(self.offer(path, setup=setup), daemon)
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        call = Call(self, dialog, sdp.Sdp(answer.body), path)
        event = ctl.event('E_MSRP_SESSION_NEW')
        call.id = event['session_id']
        call.attach(relay.listener.conns[-1])
        # What the relay hands on: its own URI has gone from To-Path to From-Path.
        call.msrp.to_path = call.path[-1:]
        call.msrp.from_path = [*reversed(call.path[:-1]), *call.own_path]
        if bind:
            call.msrp.bind()
        return call


class AuthTest(RelayCase):
    def test_incoming(self):
        """RFC 4975 7.1, RFC 4976 4.2, 5.1, 8, 9.1: AUTH, then the Use-Path in our answer."""
        relay, daemon, ctl = self.behind()
        call = self.incoming(relay, daemon, ctl)
        bare, proven = relay.expect_auth(), relay.expect_auth()
        own = call.path[-1]
        for frame in (bare, proven):
            self.assertEqual(frame.to_path, [relay.uri])
            self.assertEqual(frame.from_path, [own])
            self.assertIsNone(frame.body)
        self.assertIsNone(bare.get('Authorization'))
        given = parameters(proven.get('Authorization'))
        self.assertEqual((given['username'], given['realm'], given['qop'], given['nc']),
                         (USER, REALM, 'auth', '00000001'))
        self.assertTrue(given['cnonce'])
        self.assertIn('qop=auth', proven.get('Authorization').replace(' ', ''))
        self.assertEqual(call.path, [*relay.grants[0], own])
        self.assertEqual(call.sdp.message.port, int(URI.match(call.path[0])['port']))
        call.send('through the relay')
        self.assertEqual(ctl.event('E_MSRP_MSG_RECEIVED')['body'], 'through the relay')
        self.say(call, 'back', ctl=ctl)
        frame = call.receive()
        self.assertEqual(frame.to_path, [*relay.grants[0], *call.own_path])
        self.assertEqual(frame.from_path, [own])
        self.assertEqual(relay.listener.count, 1)

    def test_delivery_over_another_connection(self):
        """A relay may connect to our own URI, as OpenSIPS' does; what we send goes by the grant."""
        relay, daemon, ctl = self.behind()
        call = self.incoming(relay, daemon, ctl, bind=False)
        delivery = msrp.Session(msrp.connect(call.path[-1], relay=True), call.msrp.to_path,
                                call.msrp.from_path)
        delivery.send('in')
        ctl.event('E_MSRP_MSG_RECEIVED', body='in')
        self.say(call, 'out', ctl=ctl)
        self.assertEqual(call.receive().body, b'out')
        call.send('by the grant')
        delivery.send('again')
        ctl.event('E_MSRP_MSG_RECEIVED', body='again')

    def test_delivery_when_bound(self):
        """The same where the relay's connection has brought something before."""
        relay, daemon, ctl = self.behind()
        call = self.incoming(relay, daemon, ctl)
        delivery = msrp.Session(msrp.connect(call.path[-1], relay=True), call.msrp.to_path,
                                call.msrp.from_path)
        delivery.send('in')
        ctl.event('E_MSRP_MSG_RECEIVED', body='in')
        delivery.conn.close()
        self.say(call, 'out', ctl=ctl)
        self.assertEqual(call.receive().body, b'out')

    def test_outgoing(self):
        """RFC 4976 4.2, 5.1, RFC 6135 4.5: our offer has the Use-Path; the first SEND goes over the
        relay."""
        relay, _, ctl = self.behind()
        peer = f'msrp://127.0.0.1:9/{new_id()};tcp'
        session_id, invite = self.start_session(ctl)
        offer = sdp.Sdp(invite.request.body)
        self.assertEqual(offer.message.path[:-1], relay.grants[0])
        invite.respond(200, sdp.document(sdp.message(peer, setup='passive')))
        Dialog.of_server(invite).expect('ACK')
        ctl.event('E_MSRP_SESSION_NEW', session_id=session_id)
        first = relay.listener.first().expect('SEND')
        self.assertEqual((first.to_path, first.body), ([*relay.grants[0], peer], None))

    def test_passive_behind_a_relay(self):
        """RFC 6135 4.5: the passive side connects to its relay too, but sends nothing before the
        peer."""
        relay, daemon, ctl = self.behind()
        call = self.incoming(relay, daemon, ctl, setup='active', bind=False)
        self.say(call, 'queued', ctl=ctl)
        ctl.call('status')
        self.assertEqual(call.conn.inbox.has(lambda f: f.method == 'SEND'), [])
        call.msrp.bind()
        self.assertEqual(call.receive().body, b'queued')

    def test_secure_relay_before_a_plain_listener(self):
        """RFC 4976 5.1: what an msrps relay passes down is ours though our own URI is msrp."""
        authority = certs.Authority(self.directory)
        own = authority.issue('relay')
        relay, daemon, ctl = self.behind(Relay(tls=certs.server_context(own)),
                                         msrp={'tls': {'ca_file': authority.file}})
        call = self.incoming(relay, daemon, ctl, path=f'msrps://127.0.0.1:9/{new_id()};tcp')
        self.assertTrue(call.path[0].startswith('msrps:') and call.path[-1].startswith('msrp:'))
        call.send('down')
        self.assertEqual(ctl.event('E_MSRP_MSG_RECEIVED')['body'], 'down')
        self.say(call, 'up', ctl=ctl)
        self.assertEqual(call.receive().body, b'up')
        # The far end would have to reach that relay without TLS.
        self.invite(self.offer(), daemon).final(488)
        poll(lambda: 'offers TCP/MSRP' in daemon.log(), what='a log line')

    def test_failed_handshake(self):
        """RFC 4976 5.1: a relay that refuses the handshake: the log has its alert."""
        authority = certs.Authority(self.directory)
        context = certs.server_context(authority.issue('relay'))
        # Its certificate is for none of the ciphers that it has.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers('AES128-SHA')
        relay, daemon, _ = self.behind(Relay(tls=context), msrp={'tls': {'ca_file': authority.file}})
        self.invite(self.offer(), daemon).final(503)
        self.assertRegex(daemon.log(), 'TLS handshake with .*alert')

    def test_chunk_size(self):
        """relay_chunk_size: bytes of body in a SEND through the relay."""
        for ua, most in (({}, 8192), ({'relay_chunk_size': 3000}, 3000)):
            relay, daemon, ctl = self.behind(ua=ua)
            call = self.incoming(relay, daemon, ctl)
            self.say(call, 'x' * 20000, ctl=ctl)
            sizes = [len(call.receive().body) for _ in range(-(-20000 // most))]
            self.assertEqual((max(sizes), sum(sizes)), (most, 20000))

    def test_use_path_of_two(self):
        """RFC 4976 4.2, 5.1: a Use-Path of two relays is reversed in a=path and kept in To-Path."""
        relay, daemon, ctl = self.behind()
        inner, outer = relay.listener.uri(), 'msrp://127.0.0.1:9/outer;tcp'
        relay.grant = lambda frame: [inner, outer]
        call = self.incoming(relay, daemon, ctl)
        self.assertEqual(call.path[:-1], [outer, inner])
        self.say(call, 'x', ctl=ctl)
        self.assertEqual(call.receive().to_path, [inner, outer, *call.own_path])

    def test_one_use_path_for_each_session(self):
        """RFC 4976 3.1, 5.2: two sessions, two grants, one connection."""
        relay, daemon, ctl = self.behind()
        one = self.incoming(relay, daemon, ctl)
        two = self.incoming(relay, daemon, ctl)
        self.assertEqual(len(relay.grants), 2)
        self.assertNotEqual(one.path[0], two.path[0])
        self.assertEqual(relay.listener.count, 1)
        one.send('1')
        two.send('2')

    def test_challenges_that_work(self):
        """RFC 4976 9.1: with opaque, domain, algorithm, stale; without any of them."""
        for extra in (', opaque="xyz"', ', domain="msrp://a"', ', algorithm=MD5',
                      ', algorithm="MD5", opaque="", stale=false', ', charset="utf-8"'):
            with self.subTest(extra):
                relay, daemon, ctl = self.behind()
                relay.extra = extra
                self.incoming(relay, daemon, ctl)
                relay.expect_auth()
                value = relay.expect_auth().get('Authorization')
                if 'xyz' in extra:
                    self.assertEqual(parameters(value)['opaque'], 'xyz')

    def refused(self, code_out, prepare, most=2, **changes):
        """Incoming calls get 503, outgoing ones fail with the code, after few AUTHs."""
        relay, daemon, ctl = self.behind(**changes)
        prepare(relay)
        self.invite(self.offer(), daemon).final(503)
        session_id = ctl.call('msrp_ua_start_session', content_types='text/plain',
                              from_uri='sip:a@x.org', to_uri='sip:b@x.org',
                              ruri=self.sip.contact())['session_id']
        event = ctl.event('E_MSRP_SESSION_FAILED', session_id=session_id)
        self.assertEqual(event['code'], code_out)
        self.assertLessEqual(len(relay.auths.has()), 2 * most)
        self.assertEqual(self.sip.requests.has(), [])
        self.assertEqual(ctl.call('msrp_ua_list_sessions'), [])
        return relay

    def test_always_401(self):
        """RFC 4976 5.1: wrong password against a relay that answers 401: two AUTHs, no loop."""
        self.refused(401, lambda relay: setattr(relay, '_proven', lambda *_: False))

    def test_unknown_realm(self):
        """RFC 4976 5.1: no credentials for the realm: no retry."""
        relay = self.refused(401, lambda relay: setattr(
            relay, 'challenge_text', 'Digest realm="other", nonce="n", qop="auth"'), most=1)
        self.assertEqual([f.get('Authorization') for f in relay.auths.has()], [None, None])

    def test_challenges_that_are_refused(self):
        """RFC 4976 9.1: Basic, auth-int, MD5-sess are not answered."""
        for text in (f'Basic realm="{REALM}"',
                     f'Digest realm="{REALM}", nonce="n", qop="auth-int"',
                     f'Digest realm="{REALM}", nonce="n", qop="auth", algorithm=MD5-sess',
                     f'Digest realm="{REALM}", qop="auth"', 'nonsense', ''):
            with self.subTest(text):
                self.refused(401, lambda relay, t=text: setattr(relay, 'challenge_text', t),
                             most=1)

    def test_forbidden(self):
        """RFC 4976 6.3: 403 is final."""
        self.refused(403, lambda relay: setattr(relay, 'always', 403), most=1)

    def test_wrong_rspauth(self):
        """RFC 4976 9.1: a relay that cannot prove itself is not believed."""
        relay, daemon, _ = self.behind()
        relay.authentication_info = ('rspauth="00000000000000000000000000000000", '
                                     'cnonce="x", nc=00000001, qop=auth')
        self.invite(self.offer(), daemon).final(503)

    def test_malformed_info(self):
        """RFC 4976 9.1: an Authentication-Info that cannot be read counts as absent, and is logged;
        OpenSIPS 4.1 closes a quotation too early."""
        relay, daemon, ctl = self.behind()
        relay.authentication_info = ('rspauth="0000"0000000000000000000000000000", '
                                     'cnonce="x", nc=00000001, qop=auth')
        self.incoming(relay, daemon, ctl)
        poll(lambda: 'malformed Authentication-Info' in daemon.log(), what='a log line')

    def test_bad_grants(self):
        """A 200 whose Use-Path is none is a failure."""
        for path in ([], ['nonsense'], ['http://a:1/x;tcp']):
            relay, daemon, _ = self.behind()
            relay.grant = lambda frame, p=path: p
            self.invite(self.offer(), daemon).final(503)

    def test_silent_relay(self):
        """No answer to the AUTH: 503 or 408 after transaction_timeout, no crash."""
        self.refused(408, lambda relay: setattr(relay, 'silent', True),
                     msrp={'transaction_timeout': '1s'})

    def test_relay_is_down(self):
        """Nobody listens at relay_uri: 503, and the relay may come back."""
        self.refused(503, lambda relay: relay.listener.close())

    def test_stale_nonce(self):
        """stale=true: once more with the new nonce."""
        relay, daemon, ctl = self.behind()
        first = relay.nonce
        proven = relay._proven

        def stale_once(frame, value):
            if relay.nonce == first:
                relay.nonce = new_id()
                relay.extra = ', stale=true'
                return False
            return proven(frame, value)
        relay._proven = stale_once
        self.incoming(relay, daemon, ctl)
        self.assertEqual(len(relay.auths.has()), 3)


class RefreshTest(RelayCase):
    def test_refresh(self):
        """RFC 4976 5.1, 6.3: AUTH again before Expires, with credentials; nothing else happens."""
        relay, daemon, ctl = self.behind()
        relay.expires = 4
        use_path = [relay.listener.uri()]
        relay.grant = lambda frame: use_path
        call = self.incoming(relay, daemon, ctl)
        relay.expect_auth()
        relay.expect_auth()
        for _ in range(2):
            frame = relay.expect_auth()
            while frame.get('Authorization') is None:
                frame = relay.expect_auth()
            self.assertEqual(frame.from_path, call.path[-1:])
        call.send('still here')
        self.assertEqual(self.sip.requests.has(), [])

    def test_use_path_changes(self):
        """RFC 4975 5.4: a changed Use-Path is offered by re-INVITE."""
        relay, daemon, ctl = self.behind()
        def grant(frame):
            relay.expires = 1800 if relay.grants else 2
            return [relay.listener.uri()]
        relay.grant = grant
        call = self.incoming(relay, daemon, ctl)
        invite = call.dialog.expect('INVITE')
        offer = sdp.Sdp(invite.request.body)
        self.assertEqual(offer.message.path, [*relay.grants[1], call.path[-1]])
        self.assertNotEqual(relay.grants[0], relay.grants[1])
        # RFC 3264 8: a changed description has the next version.
        before, after = (int(d.origin.split()[2]) for d in (call.sdp, offer))
        self.assertEqual(after, before + 1)
        invite.respond(200, self.offer(call.own_path[0]))
        call.dialog.expect('ACK')
        self.say(call, 'on the new path', ctl=ctl)
        self.assertEqual(call.receive().to_path, [*relay.grants[-1], *call.own_path])

    def test_next_nonce(self):
        """RFC 4976 9.1: nextnonce is what the next AUTH uses, with nc 1."""
        relay, daemon, ctl = self.behind()
        relay.expires = 3
        use_path = [relay.listener.uri()]
        relay.grant = lambda frame: use_path
        relay.next_nonce = 'the-next-nonce'
        self.incoming(relay, daemon, ctl)
        relay.expect_auth()
        relay.expect_auth()
        given = parameters(relay.expect_auth().get('Authorization') or '')
        self.assertEqual((given.get('nonce'), given.get('nc')), ('the-next-nonce', '00000001'))

    def test_refresh_is_refused(self):
        """A refresh that fails does not loop, and the session ends before it rots."""
        relay, daemon, ctl = self.behind(ua={'reconnect_grace': '1s'})
        relay.expires = 2
        call = self.incoming(relay, daemon, ctl)
        relay.always = 403
        call.dialog.expect('BYE').respond(200)
        self.assertEqual(ctl.event('E_MSRP_SESSION_END')['reason'], 'failed')
        self.assertLess(len(relay.auths.has()), 8)

    def test_peer_never_speaks(self):
        """The relay is there, but nothing comes from the peer, which is to send first."""
        relay, daemon, ctl = self.behind(ua={'bind_timeout': '1s'})
        call = self.incoming(relay, daemon, ctl, bind=False)
        call.dialog.expect('BYE').respond(200)
        self.assertEqual(ctl.event('E_MSRP_SESSION_END')['reason'], 'absent')

    def test_relay_connection_lost(self):
        """RFC 4975 5.4: the relay goes: sessions end as failed."""
        relay, daemon, ctl = self.behind(ua={'reconnect_grace': 0})
        call = self.incoming(relay, daemon, ctl)
        relay.listener.close()
        call.conn.reset()
        call.dialog.expect('BYE').respond(200)
        self.assertEqual(ctl.event('E_MSRP_SESSION_END')['reason'], 'failed')

    def test_idle_connection(self):
        """RFC 4976 5.4: the connection to our relay stays after its last session, then goes."""
        relay, daemon, ctl = self.behind(ua={'relay_idle_timeout': '3s'},
                                         msrp={'idle_timeout': '1s'})
        call = self.incoming(relay, daemon, ctl)
        call.bye()
        ctl.event('E_MSRP_SESSION_END')
        with self.assertRaises(Timeout):
            call.conn.expect_closed(1.5)
        call.conn.expect_closed(10)


if __name__ == '__main__':
    case.main()
