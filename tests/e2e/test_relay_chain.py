#!/usr/bin/env python3
"""Relays among relays: chains, bridges between listeners, TLS, Kamailio as the neighbour.

RFC 4975 5.4, RFC 4976 4.2, 5.1, 6.3, 6.4, 9.2.
"""
import os
import threading

from lib import case, certs, msrp, sdp
from lib.frame import URI, new_id
from lib.digest import Credentials
from lib.relay_client import PLAIN, RELAY, USERS, Client, Peer
from lib.sip import Dialog
from lib.waiting import poll
from test_kamailio import Kamailio


class ChainTest(case.Case):
    """Two relays of ours; the client authenticates to both, to the second through the first."""

    own_daemon = True

    def setUp(self):
        super().setUp()
        self.relays, self.ctls = [], []
        for _ in range(2):
            daemon, ctl = self.start(PLAIN)
            self.relays.append('msrp://%s:%s;tcp' % daemon.listeners(ctl)[0])
            self.ctls.append(ctl)

    def chained(self, user='alice'):
        client = Client(self.relays[0], user, USERS[user]['password'])
        client.auth()
        first = client.granted
        answer = client.auth([first, self.relays[1]])
        self.assertEqual(answer.from_path, [first, self.relays[1]])
        self.assertEqual(len(client.use_path), 2)
        self.assertEqual(client.use_path[0], first)
        self.assertEqual(URI.match(client.use_path[1])['port'], URI.match(self.relays[1])['port'])
        return client

    def test_there_and_back(self):
        client = self.chained()
        peer = Peer()
        body = os.urandom(300000)
        client.session(peer.path).send(body, success='yes')
        conn = peer.listener.accept()
        frame = conn.expect('SEND')
        self.assertEqual(frame.body, body)
        self.assertEqual(frame.from_path, client.path)
        conn.send(msrp.report_for(frame, '000 200 OK', '1-300000/300000'))
        report = client.conn.expect('REPORT')
        self.assertEqual(report.from_path, [*client.use_path, peer.own])
        peer.back(conn, client.path).send('back')
        self.assertEqual(client.conn.expect('SEND').body, b'back')

    def test_failures_come_back(self):
        client = self.chained()
        client.session(Peer(behave=msrp.answer_with(413)).path).send('x')
        self.assertEqual(client.conn.expect('REPORT').get('Status').split()[1], '413')
        client.session(['msrp://127.0.0.1:1/x;tcp']).send('x')
        self.assertEqual(client.conn.expect('REPORT').get('Status').split()[1], '408')

    def test_a_peer_that_connects(self):
        client = self.chained()
        peer = Peer(listen=False)
        session = peer.connect(client.path)
        session.send('knock')
        client.conn.expect('SEND')
        client.session(peer.path).send('yes?')
        self.assertEqual(session.conn.expect('SEND').body, b'yes?')

    def test_by_names_without_session_ids(self):
        """RFC 4976 5.1 has this form in its text."""
        client = Client(self.relays[0])
        client.auth()
        first = client.granted
        client.auth(self.relays)
        self.assertEqual(client.use_path[0], first)

    def test_strangers_may_not_chain(self):
        client = Client(self.relays[0])
        answer = client.ask(to_path=self.relays)
        self.assertEqual(answer.code, 403)

    def test_wrong_passwords_for_the_second_close_too(self):
        client = Client(self.relays[0])
        client.auth()
        path = [client.granted, self.relays[1]]
        for _ in range(3):
            challenge = client.ask(to_path=path).get('WWW-Authenticate')
            wrong = Credentials(challenge, path[-1], password='wrong')
            self.assertEqual(client.ask(to_path=path, authorization=wrong.value()).code, 401)
        client.conn.expect_closed()

    def test_one_connection_between_them(self):
        """Two clients, four sessions: the relays share a connection."""
        clients = [self.chained(user) for user in ('alice', 'bob')]
        peer = Peer()
        for client in clients:
            client.session(peer.path).send('x')
        there = peer.listener.accept()
        there.expect('SEND')
        there.expect('SEND')
        self.assertEqual(peer.listener.count, 1)
        stats = self.ctls[1].call('get_statistics', group='msrp')
        self.assertEqual(stats['msrp:accepted'], 1)

    def test_the_second_goes_away(self):
        client = self.chained()
        self.ctls[1].call('msrp_relay_end_session',
                          session_id=URI.match(client.use_path[1])['session'])
        client.session(Peer().path).send('x')
        self.assertEqual(client.conn.expect('REPORT').get('Status').split()[1], '481')

    def test_both_ends_behind_relays(self):
        alice = self.chained()
        bob = Client(self.relays[1], 'bob', 'hidden')
        bob.auth()
        alice.session(bob.path).send('to bob')
        frame = bob.conn.expect('SEND')
        self.assertEqual(frame.from_path, [bob.granted, *alice.path])
        bob.session(alice.path).send('to alice')
        self.assertEqual(alice.conn.expect('SEND').from_path, [*alice.use_path, *bob.path])


class BridgeTest(case.Case):
    """TCP inside, TLS outside."""

    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        server = cls.ca.issue('relay', ('DNS:localhost', 'IP:127.0.0.1'))
        cls.peer_certificate = cls.ca.issue('peer', ('IP:127.0.0.1',))
        cls.stranger_certificate = cls.ca.issue('stranger', ('DNS:elsewhere.test',))
        cls.config = {**PLAIN, 'msrp': {
            'listen': [{'name': 'inside', 'uri': 'msrp://127.0.0.1:0;tcp'},
                       {'name': 'outside', 'uri': 'msrps://127.0.0.1:0;tcp'}],
            'tls': {'certificate': server.certificate, 'private_key': server.key,
                    'ca_file': cls.ca.file}}}

    def setUp(self):
        super().setUp()
        (host, tcp), (_, tls) = self.daemon.listeners(self.ctl)
        self.tcp, self.tls = f'msrp://{host}:{tcp};tcp', f'msrps://{host}:{tls};tcp'

    def clients(self):
        plain = Client(self.tcp)
        secure = Client(self.tls, 'bob', 'hidden', tls=certs.client_context(self.ca))
        plain.auth()
        secure.auth()
        return plain, secure

    def test_between_them(self):
        plain, secure = self.clients()
        for one, other in ((plain, secure), (secure, plain)):
            body = os.urandom(200000)
            one.session(other.path).send(body)
            got = bytearray()
            while len(got) < len(body):
                got += other.conn.expect('SEND').body
            self.assertEqual(bytes(got), body)

    def test_out_to_a_tls_peer(self):
        plain, _ = self.clients()
        peer = Peer(tls=certs.server_context(self.peer_certificate))
        plain.session(peer.path).send('secret', success='yes')
        conn = peer.listener.accept()
        frame = conn.expect('SEND')
        self.assertEqual(frame.body, b'secret')
        peer.back(conn, plain.path).send('answer')
        self.assertEqual(plain.conn.expect('SEND').body, b'answer')

    def test_a_peer_with_another_name_gets_nothing(self):
        plain, _ = self.clients()
        peer = Peer(tls=certs.server_context(self.stranger_certificate))
        plain.session(peer.path).send('secret')
        self.assertEqual(plain.conn.expect('REPORT').get('Status').split()[1], '408')
        self.assertEqual([conn.bytes_in for conn in peer.listener.conns], [0] * len(peer.listener.conns))

    def test_many_at_once(self):
        """Bytes of one connection never turn up on another, however full they are."""
        clients = [Client(self.tcp) if i % 2 else Client(self.tls, tls=certs.client_context(self.ca))
                   for i in range(6)]
        peers = [Peer(tls=certs.server_context(self.peer_certificate)) if i % 3 else Peer()
                 for i in range(6)]
        bodies = [bytes([65 + i]) * (8 << 20) for i in range(6)]
        requests = []
        for client, peer, body in zip(clients, peers, bodies):
            client.auth()
            requests.append(client.session(peer.path).build(body=body))
        threads = [threading.Thread(target=client.conn.send, args=[request])
                   for client, request in zip(clients, requests)]
        for thread in threads:
            thread.start()
        for thread, client, request in zip(threads, clients, requests):
            thread.join(120)
            client.conn.expect_response(request, 200, timeout=120)
        for peer, body in zip(peers, bodies):
            conn = peer.listener.accept()
            got = bytearray()
            while len(got) < len(body):
                got += conn.expect('SEND').body
            self.assertTrue(bytes(got) == body, 'the body has changed')


class MutualTest(case.Case):
    """RFC 4976 6.3: a relay behind a relay, each sure of the other by its certificate."""

    own_daemon = True

    def test_chain_without_a_challenge(self):
        ca = certs.Authority(self.directory)
        uris = []
        for name in ('inner', 'outer'):
            own = ca.issue(name, ('IP:127.0.0.1',))
            daemon, ctl = self.start({**RELAY, 'msrp': {
                'listen': [{'name': 'tls', 'uri': 'msrps://127.0.0.1:0;tcp'}],
                'tls': {'certificate': own.certificate, 'private_key': own.key,
                        'ca_file': ca.file}}})
            uris.append('msrps://%s:%s;tcp' % daemon.listeners(ctl)[0])
        client = Client(uris[0], tls=certs.client_context(ca))
        client.auth()
        answer = client.ask(to_path=[client.granted, uris[1]])
        self.assertEqual(answer.code, 200)
        client.use_path = answer.get('Use-Path').split(' ')
        self.assertEqual(len(client.use_path), 2)
        peer = Peer(tls=certs.server_context(ca.issue('peer')))
        client.session(peer.path).send('through both')
        conn = peer.listener.accept()
        conn.expect('SEND')
        peer.back(conn, client.path).send('and back')
        self.assertEqual(client.conn.expect('SEND').body, b'and back')


class IdentityTest(case.Case):
    """RFC 4976 6.3: a grant that belongs to whoever shows the certificate of the client's host."""

    own_daemon = True

    def setUp(self):
        super().setUp()
        self.ca = certs.Authority(self.directory)
        own = self.ca.issue('relay')
        daemon, self.relay_ctl = self.start({**RELAY, 'msrp': {
            'listen': [{'name': 'inside', 'uri': 'msrp://127.0.0.1:0;tcp'},
                       {'name': 'tls', 'uri': 'msrps://127.0.0.1:0;tcp'}],
            'tls': {'certificate': own.certificate, 'private_key': own.key,
                    'ca_file': self.ca.file}}})
        (host, tcp), (_, tls) = daemon.listeners(self.relay_ctl)
        self.tcp, self.tls = f'msrp://{host}:{tcp};tcp', f'msrps://{host}:{tls};tcp'
        self.shown = self.ca.issue('client')

    def client(self, own):
        """Not challenged; own is its URI."""
        client = Client(self.tls, own=own,
                        tls=certs.client_context(self.ca, self.shown))
        answer = client.ask()
        self.assertEqual(answer.code, 200)
        client.use_path = answer.get('Use-Path').split(' ')
        return client

    def connected(self):
        return self.relay_ctl.call('get_statistics', group='msrp')['msrp:connected']

    def stranger(self, client, tls=False):
        """A session towards the client by somebody else."""
        conn = msrp.connect(self.tls, tls=certs.client_context(self.ca), relay=True) if tls \
            else msrp.connect(self.tcp, relay=True)
        return msrp.Session(conn, client.path, [f'msrp://127.0.0.1:9/{new_id()};tcp'])

    def test_delivered_where_it_waits(self):
        """The client listens, too, with and without TLS: its open connection is the way."""
        secure = msrp.Listener(tls=certs.server_context(self.shown), relay=True, name='secure')
        plain = msrp.Listener(relay=True, name='plain')
        for own in (secure.uri(), plain.uri()):
            with self.subTest(own=own):
                client = self.client(own)
                self.stranger(client, tls=True).send('over TLS')
                self.assertEqual(client.conn.expect('SEND').body, b'over TLS')
                self.stranger(client).send('over TCP')
                self.assertEqual(client.conn.expect('SEND').body, b'over TCP')
        self.assertEqual((secure.count, plain.count, self.connected()), (0, 0, 0))

    def test_on_any_connection_of_the_identity(self):
        plain = msrp.Listener(relay=True, name='plain')
        client = self.client(plain.uri())
        other = msrp.connect(self.tls, relay=True, name='other',
                             tls=certs.client_context(self.ca, self.shown))
        again = Client(self.tls, own=client.own, conn=other)
        again.use_path = client.use_path
        peer = Peer()
        again.session(peer.path).send('from the other one')
        there = peer.listener.accept()
        there.expect('SEND')
        peer.back(there, client.path).send('goes where it was last heard')
        self.assertEqual(other.expect('SEND').body, b'goes where it was last heard')
        other.close()
        poll(lambda: self.relay_ctl.call('msrp_relay_list_sessions')[0]['peer'] == '-',
             what='the end of that connection')
        peer.back(there, client.path).send('and then to any of the same identity')
        self.assertEqual(client.conn.expect('SEND').body, b'and then to any of the same identity')
        self.assertEqual(plain.count, 0)

    def test_when_none_is_open(self):
        """A client behind TLS is connected to, and has to prove itself; one without is not."""
        secure = msrp.Listener(tls=certs.server_context(self.shown), relay=True, name='secure')
        plain = msrp.Listener(relay=True, name='plain')
        wrong = self.ca.issue('wrong', ('DNS:elsewhere.test',))
        impostor = msrp.Listener(tls=certs.server_context(wrong), relay=True, name='impostor')
        clients = [self.client(listener.uri()) for listener in (secure, plain, impostor)]
        for client in clients:
            client.close()
        poll(lambda: {session['peer'] for session in
                      self.relay_ctl.call('msrp_relay_list_sessions')} == {'-'},
             what='the end of the connections')
        self.stranger(clients[0], tls=True).send('secret')
        self.assertEqual(secure.accept().expect('SEND').body, b'secret')
        for tls in (False, True):
            self.stranger(clients[1], tls=tls).send('secret', code=481)
        self.assertEqual(plain.count, 0)
        session = self.stranger(clients[2], tls=True)
        session.send('secret')
        self.assertEqual(session.conn.expect('REPORT').get('Status').split()[1], '408')
        self.assertEqual([conn.bytes_in for conn in impostor.conns], [0] * len(impostor.conns))

    def test_a_certificate_of_another_host_is_nobody(self):
        plain = msrp.Listener(relay=True, name='plain')
        client = self.client(plain.uri())
        client.close()
        other = self.ca.issue('other', ('DNS:elsewhere.test',))
        stranger = msrp.connect(self.tls, relay=True, name='elsewhere',
                                tls=certs.client_context(self.ca, other))
        peer = Peer()
        msrp.Session(stranger, [client.granted, *peer.path], [client.own]).send('x', code=403)
        self.stranger(client).send('x', code=481)
        self.assertEqual(peer.listener.count, 0)

    def test_a_passive_ua(self):
        """msrpd's own UA, whose certificate names its MSRP host: it waits on its AUTH connection."""
        ua, ctl = self.start({
            'ua': {'relay_uri': self.tls}, 'relay': {'enabled': False},
            'msrp': {'listen': [{'name': 'own', 'uri': 'msrps://127.0.0.1:0;tcp'}],
                     'tls': {'certificate': self.shown.certificate,
                             'private_key': self.shown.key, 'ca_file': self.ca.file}}})
        own = f'msrps://127.0.0.1:9/{new_id()};tcp'
        transaction = self.invite(self.offer(own, setup='active'), ua)
        answer = transaction.final(200)
        Dialog.of_client(transaction, answer).ack()
        session_id = ctl.event('E_MSRP_SESSION_NEW')['session_id']
        path = sdp.Sdp(answer.body).message.path
        session = msrp.Session(msrp.connect(path[0], relay=True,
                                            tls=certs.client_context(self.ca)), path, [own])
        session.bind()
        session.send('to the UA')
        self.assertEqual(ctl.event('E_MSRP_MSG_RECEIVED')['body'], 'to the UA')
        ctl.call('msrp_ua_send_message', session_id=session_id, mime='text/plain', body='and back')
        self.assertEqual(session.conn.expect('SEND').body, b'and back')
        self.assertEqual(self.connected(), 0)


class UaTest(case.Case):
    """msrpd's own UA as the client: behind one relay, and two of them behind one each."""

    own_daemon = True
    CREDENTIALS = [{'realm': '127.0.0.1', 'username': 'alice', 'password': 'secret'}]

    def behind(self):
        """A relay, and a UA that uses it."""
        relay, relay_ctl = self.start(PLAIN)
        uri = 'msrp://%s:%s;tcp' % relay.listeners(relay_ctl)[0]
        ua, ua_ctl = self.start({'ua': {'relay_uri': uri}, 'credentials': self.CREDENTIALS,
                                 'relay': {'enabled': False}})
        return ua, ua_ctl, relay_ctl

    def test_behind_one(self):
        ua, ctl, relay_ctl = self.behind()
        listener = self.listener(relay=True)
        own = listener.uri()
        transaction = self.invite(self.offer(own, setup='active'), ua)
        answer = transaction.final(200)
        Dialog.of_client(transaction, answer).ack()
        session_id = ctl.event('E_MSRP_SESSION_NEW')['session_id']
        path = sdp.Sdp(answer.body).message.path
        self.assertEqual(len(path), 2)
        self.assertEqual(len(relay_ctl.call('msrp_relay_list_sessions')), 1)
        session = msrp.Session(msrp.connect(path[0], relay=True), path, [own])
        session.bind()
        session.send('to the UA', success='yes')
        self.assertEqual(ctl.event('E_MSRP_MSG_RECEIVED')['body'], 'to the UA')
        self.assertEqual(session.conn.expect('REPORT').get('Byte-Range'), '1-9/9')
        ctl.call('msrp_ua_send_message', session_id=session_id, mime='text/plain', body='and back')
        self.assertEqual(session.conn.expect('SEND').body, b'and back')

    def test_each_behind_its_own(self):
        (one, ctl_one, relay_one), (two, ctl_two, relay_two) = self.behind(), self.behind()
        started = ctl_one.call('msrp_ua_start_session', content_types='text/plain message/cpim',
                               from_uri='sip:one@127.0.0.1', to_uri='sip:two@127.0.0.1',
                               ruri=two.sip_uri)['session_id']
        ctl_one.event('E_MSRP_SESSION_NEW', session_id=started)
        answered = ctl_two.event('E_MSRP_SESSION_NEW')['session_id']
        body = 'x' * 300000
        for sender, session_id, receiver in ((ctl_one, started, ctl_two),
                                             (ctl_two, answered, ctl_one)):
            message_id = sender.call('msrp_ua_send_message', session_id=session_id,
                                     mime='text/plain', body=body,
                                     success_report='yes')['message_id']
            self.assertTrue(receiver.event('E_MSRP_MSG_RECEIVED')['body'] == body)
            report = sender.event('E_MSRP_REPORT_RECEIVED', message_id=message_id)
            self.assertEqual(report['status'].split()[:2], ['000', '200'])
        for ctl in (relay_one, relay_two):
            one_session, = ctl.call('msrp_relay_list_sessions')
            self.assertGreaterEqual(one_session['bytes_from_client'], 300000)
            self.assertGreaterEqual(one_session['bytes_to_client'], 300000)


class KamailioTest(case.Case):
    """Kamailio's msrp module as the neighbouring relay, in either order."""

    @classmethod
    def prepare(cls):
        cls.config = PLAIN
        cls.kamailio = Kamailio(cls.directory)
        cls.addClassCleanup(cls.kamailio.stop)

    def setUp(self):
        super().setUp()
        self.ours = 'msrp://%s:%s;tcp' % self.daemon.listeners(self.ctl)[0]

    def at_kamailio(self):
        client = Client(self.kamailio.uri, 'relay', 's3cret')
        client.auth()
        return client

    def at_ours(self):
        client = Client(self.ours)
        client.auth()
        return client

    def exchange(self, one, other):
        for sender, receiver in ((one, other), (other, one)):
            sender.session(receiver.path).send('hello', success='yes')
            frame = receiver.conn.expect('SEND')
            self.assertEqual(frame.body, b'hello')
            self.assertEqual(frame.to_path, [receiver.own])
            receiver.conn.send(msrp.report_for(frame, '000 200 OK', '1-5/5'))
            report = sender.conn.expect('REPORT')
            self.assertEqual(report.message_id, frame.message_id)

    def test_ours_first(self):
        self.exchange(self.at_ours(), self.at_kamailio())

    def test_kamailio_first(self):
        self.exchange(self.at_kamailio(), self.at_ours())

    def test_in_chunks(self):
        ours, theirs = self.at_ours(), self.at_kamailio()
        body = os.urandom(60000)
        for sender, receiver in ((ours, theirs), (theirs, ours)):
            session = sender.session(receiver.path)
            for chunk in session.chunks(body, 6000):
                sender.conn.ask(chunk, 200)
            got = bytearray()
            while len(got) < len(body):
                got += receiver.conn.expect('SEND').body
            self.assertEqual(bytes(got), body)


if __name__ == '__main__':
    case.main()
