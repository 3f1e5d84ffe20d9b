#!/usr/bin/env python3
"""Many nodes, one name: a key lives on one of them, whatever node is spoken to."""
import os
import signal
import socket
import time

from lib import case, msrp
from lib.anchor import AnchorCase
from lib.cluster import NAMES, ClusterCase, SecureNodes
from lib.daemon import free_port
from lib.digest import Credentials
from lib.frame import new_id
from lib.gateway import COMPOSING, routes
from lib.msrp import report_for
from lib.program import Program
from lib.relay_client import USERS, Client, Peer
from lib.waiting import Timeout, poll


def open_text(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


class KeyTest(ClusterCase):
    """Keys of the gateway."""

    def begin(self, node=0, body='first'):
        """First contact at a node; the call."""
        self.message(body, daemon=self.nodes[node]).final(202)
        call = self.answer(ctl=self.ctls[node])
        self.assertEqual(call.receive().body, body.encode())
        return call

    def test_other_node(self):
        """A MESSAGE to the node that has not the key reaches the session at the one that has."""
        call = self.begin()
        for i in range(3):
            self.message(f'by way of b {i}', daemon=self.nodes[1]).final(202)
            self.assertEqual(call.receive().body, f'by way of b {i}'.encode())
        self.assertEqual([len(self.sessions(ctl)) for ctl in self.ctls], [1, 0])
        self.assertEqual(self.numbers(1, 'gw')['remote'], 3)
        self.assertEqual(self.numbers(0, 'gw')['remote_taken'], 3)
        self.assertEqual(self.cluster(0)['owned'], 1)
        self.assertEqual(self.cluster(1)['owned'], 0)
        # Its answer comes from the owner: here that it does not take the type.
        self.message('<x/>', content_type='text/x-strange', daemon=self.nodes[1]).final(415)
        call.send('back')
        self.gets('back')

    def test_extension(self):
        """What a proxy would have to know, the node between does not (RFC 3261 16.3)."""
        call = self.begin()
        refused = self.message('by way of b', daemon=self.nodes[1],
                               headers=[('Proxy-Require', 'foo, bar')]).final(420)
        self.assertEqual(refused.get('Unsupported'), 'foo, bar')
        self.message('to a itself', daemon=self.nodes[0],
                     headers=[('Proxy-Require', 'foo, bar')]).final(202)
        self.assertEqual(call.receive().body, b'to a itself')

    def test_at_once(self):
        """First contact on two nodes at once ends with one session, and nothing is lost."""
        sent = [self.message(f'{i}', daemon=self.nodes[i % 2]) for i in range(10)]
        invite = self.client.expect('INVITE')
        # The other one may still be asking whose the key is.
        owner = next(i for i in range(2) for session in self.sessions(self.ctls[i])
                     if session['msrp_ua_session_id'])
        call = self.answer(invite, ctl=self.ctls[owner])
        self.assertEqual(sorted(call.receive().body for _ in range(10)),
                         [f'{i}'.encode() for i in range(10)])
        for transaction in sent:
            transaction.final(202)
        self.assertEqual(self.client.requests.has(lambda t: t.method == 'INVITE'), [])

    def test_invite_elsewhere(self):
        """The client calls another node while its key has a session: as on one node, 486."""
        self.begin()
        self.client_calls(code=486, daemon=self.nodes[1], ctl=self.ctls[1])
        self.assertEqual(len(self.sessions(self.ctls[0])), 1)

    def test_invite(self):
        """An INVITE claims the key as a MESSAGE does."""
        call = self.client_calls(daemon=self.nodes[1], ctl=self.ctls[1])
        self.message('to the owner', daemon=self.nodes[0]).final(202)
        self.assertEqual(call.receive().body, b'to the owner')
        call.send('back')
        self.gets('back')

    def test_no_redis(self):
        """Without Redis each node serves; when it is back one session of two stays."""
        self.redis.stop()
        for ctl in self.ctls:
            poll(lambda c=ctl: c.call('cluster')['alone'], what='no Redis')
        calls = [self.begin(node=i, body=f'alone {i}') for i in range(2)]
        self.redis.start()
        self.wait_nodes(2)
        poll(lambda: sum(len(self.sessions(ctl)) for ctl in self.ctls) == 1, what='one session')
        owner = next(i for i in range(2) if self.sessions(self.ctls[i]))
        self.assertEqual(self.numbers(1 - owner)['conflicts'], 1)
        self.message('together again', daemon=self.nodes[1 - owner]).final(202)
        self.assertEqual(calls[owner].receive().body, b'together again')

    def test_paused(self):
        """Redis hangs: a first contact waits for it no longer than a second or so."""
        self.redis.pause()
        self.addCleanup(self.redis.pause, False)
        call = self.begin()
        self.message('and on', daemon=self.nodes[0]).final(202)
        self.assertEqual(call.receive().body, b'and on')
        self.assertGreater(self.numbers(0)['redis_timeouts'], 0)
        self.redis.pause(False)
        self.wait_nodes(2)
        self.message('by way of b', daemon=self.nodes[1]).final(202)
        self.assertEqual(call.receive().body, b'by way of b')

    def test_full(self):
        """Redis takes nothing more: local service goes on, and nodes stay what they are."""
        self.redis.call('CONFIG', 'SET', 'maxmemory', '1')
        call = self.begin()
        self.message('and on', daemon=self.nodes[0]).final(202)
        self.assertEqual(call.receive().body, b'and on')
        self.assertEqual(self.numbers(0)['alone'], 1)
        self.assertFalse(self.cluster(0)['alone'])
        self.redis.call('CONFIG', 'SET', 'maxmemory', '0')

    def test_owner_killed(self):
        """Its keys are free when its time is over, and those who write meanwhile learn of it."""
        self.begin()
        self.kill(0)
        # A code of ours if the key is still the dead node's; 202 once it is not.
        poll(lambda: self.message('anybody?', daemon=self.nodes[1]).final().code == 202,
             what='the key to be free')
        call = self.answer(ctl=self.ctls[1])
        self.assertEqual(call.receive().body, b'anybody?')

    def test_forged(self):
        """What a stranger says in the nodes' name is no more than a MESSAGE."""
        call = self.begin()
        self.message('forged', daemon=self.nodes[1],
                     headers=[('Msrpd-Cluster', f'b {"0" * 64} gw =x =text/plain - =accepted')]
                     ).final(202)
        self.assertEqual(call.receive().body, b'forged')
        self.assertEqual(self.numbers(1, 'gw')['remote_taken'], 0)


class SecureKeyTest(SecureNodes, ClusterCase):
    begin = KeyTest.begin
    test_other_node = KeyTest.test_other_node


class OwnerTest(ClusterCase):
    """Which node has a key is not asked for each MESSAGE."""

    ttl = '10s'                 # without Redis it is known for no longer than that
    node_count = 3
    begin = KeyTest.begin

    def pass_on(self, call, body):
        self.message(body, daemon=self.nodes[1]).final(202)
        self.assertEqual(call.receive().body, body.encode())

    def test_known(self):
        """What goes to a node that is known to have the key needs no Redis."""
        call = self.begin()
        self.message('by way of b', daemon=self.nodes[1]).final(202)
        # What b has learned now it will ask for again before long.
        self.redis.pause()
        self.addCleanup(self.redis.pause, False)
        self.message('without Redis', daemon=self.nodes[1]).final(202)
        for body in (b'by way of b', b'without Redis'):
            self.assertEqual(call.receive().body, body)
        self.assertEqual(len(self.sessions(self.ctls[1])), 0)

    def test_another_by_now(self):
        """The node that had it sends it on to the one that has it."""
        call = self.begin()
        self.pass_on(call, 'by way of b')
        call.bye()
        self.ctls[0].event('E_MSRP_GW_SESSION_END')
        # The key is free again, for any node, as soon as Redis knows.
        poll(lambda: self.redis.call('EXISTS', f'msrpd:gw:{self.key()}') == b':0\r\n',
             what='a free key')
        call = self.begin(node=2, body='anew')
        self.pass_on(call, 'by way of b and a')
        self.assertEqual([self.numbers(i, 'gw')['remote'] for i in range(3)], [1, 2, 0])
        self.assertEqual(self.numbers(2, 'gw')['remote_taken'], 1)


class ComposingTest(ClusterCase):
    """RFC 3994: that somebody is typing, said to a node that has not the key."""

    ttl = '10s'                 # without Redis it is known for no longer than that
    node_count = 3
    types = f'text/plain {COMPOSING}'
    config = {'routes': routes(types), 'gateway': {'iscomposing': 'forward'}}

    def types_at(self, node, code=202):
        self.message('<isComposing/>', content_type=COMPOSING,
                     daemon=self.nodes[node]).final(code)

    def begin(self, node, types=types):
        self.message('first', daemon=self.nodes[node]).final(202)
        call = self.answer(accept_types=types, ctl=self.ctls[node])
        self.assertEqual(call.receive().body, b'first')
        return call

    def gets_it(self, call):
        frame = call.receive()
        self.assertEqual((frame.get('Content-Type'), frame.body), (COMPOSING, b'<isComposing/>'))

    def test_nobody(self):
        """Without a session anywhere it makes none, and claims no key."""
        for i in range(3):
            self.types_at(i)
        self.assertEqual([self.numbers(i, 'gw')['iscomposing_dropped'] for i in range(3)], [1] * 3)
        self.assertEqual([self.sessions(ctl) for ctl in self.ctls], [[]] * 3)
        self.assertEqual(self.redis.call('KEYS', 'msrpd:gw:*'), b'*0\r\n')

    def test_elsewhere(self):
        """It reaches the session, after Redis was asked and without; the owner answers."""
        call = self.begin(0)
        self.types_at(1)
        self.redis.pause()
        self.addCleanup(self.redis.pause, False)
        self.types_at(1)
        for _ in range(2):
            self.gets_it(call)
        self.assertEqual([self.numbers(i, 'gw')['remote'] for i in range(2)], [0, 2])
        self.assertEqual(self.numbers(0, 'gw')['remote_taken'], 2)
        # Whose the key is is not to be heard of now.
        self.types_at(2)
        self.assertEqual(self.numbers(2, 'gw')['iscomposing_dropped'], 1)

    def test_refused(self):
        """The client does not take it: as at the node that has the session."""
        call = self.begin(0, 'text/plain')
        self.types_at(1, 415)
        self.message('text', daemon=self.nodes[1]).final(202)
        self.assertEqual(call.receive().body, b'text')

    def test_another_by_now(self):
        """The node that had the key sends it on to the one that has it."""
        call = self.begin(0)
        self.types_at(1)
        self.gets_it(call)
        call.bye()
        self.ctls[0].event('E_MSRP_GW_SESSION_END')
        poll(lambda: self.redis.call('EXISTS', f'msrpd:gw:{self.key()}') == b':0\r\n',
             what='a free key')
        call = self.begin(2)
        self.types_at(1)
        self.gets_it(call)
        self.assertEqual([self.numbers(i, 'gw')['remote'] for i in range(3)], [1, 2, 0])


class BoundTest(ClusterCase):
    """What is put on a request that goes on could take it over the bounds of the next node."""

    config = {'routes': routes(confirm='delivered'), 'sip': {'max_message_size': '8KiB'}}

    def setUp(self):
        super().setUp()
        first = self.message('first', kind='TCP', daemon=self.nodes[0])
        self.call = self.answer(ctl=self.ctls[0], kind='TCP')
        ConfirmTest.confirm(self.call)
        first.final(200)
        self.sent = self.message('under way', kind='TCP', daemon=self.nodes[1])
        self.frame = self.call.receive()

    def gets_there(self):
        """What was under way."""
        report = report_for(self.frame, '000 200 OK', self.frame.get('Byte-Range'))
        self.call.conn.send(report)
        self.sent.final(200)

    def test_near(self):
        """It is refused, and nothing else that goes there is lost."""
        for near in ({'body': 'x' * (8192 - 560)},
                     {'body': 'x', 'headers': [(f'X-{i}', 'y') for i in range(119)]},
                     {'body': 'x', 'headers': [(f'X-{i}', 'y') for i in range(116)]}):
            self.message(kind='TCP', daemon=self.nodes[1], **near).final(513)
        self.gets_there()
        self.assertEqual(self.numbers(1, 'sip')['passed_failed'], 0)

    def test_half_closed(self):
        """Refused, it is one answer: who sends no more waits for that to his other request."""
        self.message(kind='TCP', daemon=self.nodes[1], body='x' * (8192 - 560)).final(513)
        self.phone.reach('127.0.0.1', self.nodes[1].sip_port, 'TCP').sock.shutdown(socket.SHUT_WR)
        for _ in range(2):
            self.numbers(1)         # it has seen that
        self.gets_there()


class NamelessTest(ClusterCase):
    """A node that others do not reach by SIP reaches them."""

    begin = KeyTest.begin

    def sip_place(self, daemon):
        return super().sip_place(daemon) if not self.nodes else None

    def test_other_node(self):
        call = self.begin()
        self.message('by way of b', daemon=self.nodes[1]).final(202)
        self.assertEqual(call.receive().body, b'by way of b')


class TicketTest(SecureNodes, ClusterCase):
    """A ticket of TLS that one node has given."""

    def visit(self, i, version, *options):
        """How OpenSSL's client is received at a node."""
        port = next(uri.rpartition(':')[2] for uri in self.nodes[i].config['sip']['listen']
                    if uri.startswith('sips:'))
        program = Program('openssl', ['openssl', 's_client', '-connect', f'127.0.0.1:{port}',
                                      f'-tls1_{version}', *options], self.directory)
        try:
            return program.line(f'^(New|Reused), (TLSv1.{version}|SSLv3)')[1]
        finally:
            self.ends.append(program)

    def first(self, i, version, *options):
        """The file that has the session of a first visit."""
        file = os.path.join(self.directory, new_id())
        self.assertEqual(self.visit(i, version, '-sess_out', file, *options), 'New')
        poll(lambda: os.path.exists(file) and open_text(file).rstrip().endswith('PARAMETERS-----'),
             what='a ticket')
        return file

    def setUp(self):
        self.ends = []
        super().setUp()

    def tearDown(self):
        for program in self.ends:
            program.stop()
        super().tearDown()

    def test_other_node(self):
        """It is good at the other one, in both directions."""
        for i in range(2):
            file = self.first(i, 3)
            self.assertEqual(self.visit(1 - i, 3, '-sess_in', file), 'Reused')

    def test_old_tls(self):
        """With TLS 1.2, where a ticket's key would open what was said, at its own node alone."""
        file = self.first(0, 2)
        self.assertEqual(self.visit(1, 2, '-sess_in', file), 'New')
        self.assertEqual(self.visit(0, 2, '-sess_in', file), 'Reused')

    def test_another_secret(self):
        """Written to Redis, it ends all tickets of before."""
        file = self.first(0, 3)
        self.redis.call('SET', 'msrpd:secret', 'x' * 43)
        for i in range(2):
            poll(lambda i=i: self.visit(i, 3, '-sess_in', file) == 'New', what='another secret')
        file = self.first(0, 3)
        self.assertEqual(self.visit(1, 3, '-sess_in', file), 'Reused')

    def test_certificate(self):
        """Who has shown a certificate is known where he did."""
        tls = self.config['sip']['tls']
        shown = ('-cert', tls['certificate'], '-key', tls['private_key'])
        file = self.first(0, 3, *shown)
        self.assertEqual(self.visit(1, 3, '-sess_in', file, *shown), 'New')
        self.assertEqual(self.visit(0, 3, '-sess_in', file, *shown), 'Reused')


class HangTest(ClusterCase):
    """A node does nothing for a time."""

    config = {**ClusterCase.config, 'sip': {'transaction_timeout': '3s'}}

    def test_owner_hangs(self):
        """What it may have is not sent again: it comes once when the node goes on."""
        self.message('first', kind='TCP', daemon=self.nodes[0]).final(202)
        call = self.answer(ctl=self.ctls[0], kind='TCP')
        self.assertEqual(call.receive().body, b'first')
        self.nodes[0].signal(signal.SIGSTOP)
        try:
            sent = self.message('slowly', kind='TCP', daemon=self.nodes[1])
            poll(lambda: self.numbers(1, 'sip')['passed_failed'] == 1, what='no answer')
        finally:
            self.nodes[0].signal(signal.SIGCONT)
        self.assertEqual(call.receive().body, b'slowly')
        sent.final(202)
        self.wait_nodes(2)
        self.message('and on', kind='TCP', daemon=self.nodes[1]).final(202)
        self.assertEqual(call.receive().body, b'and on')


class RepetitionTest(ClusterCase):
    """Retransmitted MESSAGEs for another node's key are not delivered twice."""

    config = {**ClusterCase.config, 'sip': {'transaction_timeout': '1s'}}
    begin = KeyTest.begin

    def test_retransmission(self):
        """Also when the SIP of the node between has forgotten the transaction."""
        call = self.begin()
        sent = self.message('once', daemon=self.nodes[1])
        sent.final(202)
        self.assertEqual(call.receive().body, b'once')
        poll(lambda: self.repeat(sent), what='a second transaction for it', interval=0.1)
        self.message('end', daemon=self.nodes[1]).final(202)
        self.assertEqual(call.receive().body, b'end')

    def repeat(self, sent):
        """Once more; has the owner seen it again?"""
        sent.transport.send(sent.request.encode())
        return self.numbers(0, 'gw')['duplicates'] > 0


class ConfirmTest(ClusterCase):
    """What the session's node hears of the message is the answer at the other one."""

    config = {'routes': routes(confirm='delivered')}

    def test_delivered(self):
        sent = self.message('first', daemon=self.nodes[0])
        call = self.answer(ctl=self.ctls[0])
        self.confirm(call)
        sent.final(200)
        sent = self.message('second', daemon=self.nodes[1])
        self.confirm(call)
        sent.final(200)
        sent = self.message('third', daemon=self.nodes[1])
        self.confirm(call, '000 413 Too much')
        sent.final(413)

    @staticmethod
    def confirm(call, status='000 200 OK'):
        frame = call.receive()
        call.conn.send(report_for(frame, status, frame.get('Byte-Range')))


class NameCase(ClusterCase):
    """Two nodes, at 127.0.0.1 and 127.0.0.2, with one name."""

    scheme, tls = 'msrp', None

    def setUp(self):
        self.port = free_port('127.0.0.2')
        self.name = f'{self.scheme}://im.example.org:{self.port};tcp'
        super().setUp()

    def node_config(self, name):
        at = self.place(NAMES.index(name))
        config = super().node_config(name)
        config['cluster']['msrp'] = at
        return {**config, 'msrp': {'listen': [{'uri': at,
                                               'advertise': f'im.example.org:{self.port}'}]},
                'relay': {'users': USERS, 'allow_plain_auth': True, 'my_uri': [self.name]}}

    def place(self, i):
        return f'{self.scheme}://127.0.0.{i + 1}:{self.port};tcp'

    def connect(self, i, name):
        return msrp.connect(self.place(i), tls=self.tls, relay=True, name=name)

    def comes(self, i, user='alice'):
        """A client of the relay at that node."""
        return Client(self.name, user, USERS[user]['password'], conn=self.connect(i, user))

    def granted(self, i, user='alice'):
        """Somebody with a grant of that node."""
        client = self.comes(i, user)
        client.auth()
        return client

    def peer(self, i, client):
        """Somebody without one, who has come to that node; his session to the client."""
        peer = Peer(listen=False, own=f'{self.scheme}://127.0.0.1:9/{new_id()};tcp')
        return peer, msrp.Session(self.connect(i, 'peer'), client.path, [peer.own])


class AnchorTest(AnchorCase, NameCase):
    """Sessions between two users, anchored."""

    config = AnchorCase.config

    def test_either_side(self):
        """Either may connect to the node that has not the session."""
        own = [f'msrp://127.0.0.1:9/{new_id()};tcp' for _ in range(2)]
        transaction, invite = self.rings(daemon=self.nodes[0], offer=self.offer(own[0]))
        bob = self.answers(invite, path=own[1], setup='active')
        alice = self.taken(transaction, own[0])
        for side in (alice, bob):
            self.assertIn('/a.', side.path[0])
            side.attach(msrp.connect(self.place(1))).msrp.bind()
        self.passes(alice, bob, 'there')
        self.passes(bob, alice, 'and back' * 1000)


class RelayTest(NameCase):
    """Grants of the relay."""

    def test_from_outside(self):
        """What comes to the wrong node reaches the client, and his answers come back."""
        client = self.granted(0)
        self.assertIn('/a.', client.granted)
        peer, session = self.peer(1, client)
        for body in ('hello', 'x' * (1 << 20)):
            sent = session.send(body, success='yes')
            got, first = b'', None
            while len(got) < len(body):
                frame = client.conn.expect('SEND')
                first = first or frame
                got += frame.body
            self.assertEqual(got, body.encode())
            self.assertEqual(first.from_path, [client.granted, peer.own])
            client.conn.send(report_for(first, '000 200 OK', f'1-{len(body)}/{len(body)}'))
            report = session.conn.expect('REPORT')
            self.assertEqual(report.message_id, sent.message_id)
        client.session(peer.path).send('back')
        frame = session.conn.expect('SEND')
        self.assertEqual(frame.body, b'back')
        self.assertEqual(frame.from_path, [client.granted, client.own])

    def test_between_grants(self):
        """Each of the two has a grant of another node."""
        alice, bob = self.granted(0), self.granted(1, 'bob')
        alice.session(bob.path).send('hello')
        frame = bob.conn.expect('SEND')
        self.assertEqual(frame.body, b'hello')
        self.assertEqual(frame.from_path, [bob.granted, alice.granted, alice.own])
        bob.session(alice.path).send('back')
        self.assertEqual(alice.conn.expect('SEND').body, b'back')

    def test_no_such_grant(self):
        """What the node of the grant says comes back; of a node that there is not it is 481."""
        client = self.granted(0)
        _, session = self.peer(1, client)
        head, token = client.granted.split('/a.')
        other = ('X' if token[0] != 'X' else 'Y') + token[1:]
        for node, grant in (('a', f'{head}/a.{other}'),
                            ('z', client.granted.replace('/a.', '/z.'))):
            with self.subTest(node=node):
                sent = msrp.Session(session.conn, [grant, client.own], session.from_path).build(
                    body=b'x')
                session.conn.send(sent)
                answer = session.conn.expect_response(sent)
                if answer.code == 200:
                    self.assertIn(' 481', session.conn.expect('REPORT').get('Status'))
                else:
                    self.assertEqual(answer.code, 481)

    def test_stranger_on_the_way_back(self):
        """Nobody but the node itself gets anything through to who wrote to it."""
        client = self.granted(0)
        peer, session = self.peer(1, client)
        session.send('hello')
        client.conn.expect('SEND')
        stranger = self.connect(1, 'stranger')
        sent = msrp.Session(stranger, [peer.own], [client.granted, client.own]).build(body=b'x')
        stranger.try_send_raw(sent.encode())
        stranger.expect_closed()
        self.assertEqual(session.conn.inbox.has(lambda f: f.method == 'SEND'), [])


    def test_short_chunks_of_several(self):
        """Between the nodes is one connection: those who write over it do not split each other's."""
        client = self.granted(0)
        (_, slow), (_, quick) = self.peer(1, client), self.peer(1, client)

        def around():
            """A chunk in two halves, and a message between them; what has come of the chunk."""
            sent = slow.build(body=b'x' * 8192)
            raw = sent.encode()
            slow.conn.send_raw(raw[:4096])
            quick.send('between')
            slow.conn.send_raw(raw[4096:])
            slow.conn.expect_response(sent, 200)
            self.assertTrue(client.conn.expect(lambda frame: frame.body == b'between'))
            frames = [client.conn.expect('SEND')]
            while frames[-1].flag == '+':
                frames.append(client.conn.expect('SEND'))
            self.assertEqual(b''.join(frame.body for frame in frames), sent.body)
            return len(frames)
        # Two that come at once are company; from then on theirs go whole.
        poll(lambda: around() > 1, what='one that was split')
        self.assertEqual({around() for _ in range(10)}, {1})

    def test_report_in_vain(self):
        """What comes back for somebody who is gone ends nothing that the others use."""
        client = self.granted(0)
        peer, session = self.peer(1, client)
        session.send('hello', success='yes')
        frame = client.conn.expect('SEND')
        session.conn.close()
        poll(lambda: self.numbers(1, 'msrp')['closed'], what='the end of its connection')
        client.conn.send(report_for(frame, '000 200 OK', '1-5/5'))
        poll(lambda: self.numbers(1, 'relay')['foreign'], what='the REPORT')
        _, other = self.peer(1, client)
        other.send('and on')
        self.assertEqual(client.conn.expect('SEND').body, b'and on')
        self.assertEqual(self.numbers(1, 'msrp')['connected'], 1)


class IdleTest(NameCase):
    """The connection between the nodes, which is nobody's."""

    def node_config(self, name):
        config = super().node_config(name)
        return {**config, 'msrp': {**config['msrp'], 'idle_timeout': '2s'}}

    def test_used(self):
        """It is not idle while frames pass."""
        client = self.comes(0)
        client.auth()
        peer = Peer(listen=False, own=f'msrp://127.0.0.1:9/{new_id()};tcp')
        session = msrp.Session(self.connect(1, 'peer'), client.path, [peer.own])
        end = time.monotonic() + 5
        while time.monotonic() < end:
            session.send('hello')
            client.conn.expect('SEND')
        self.assertEqual(self.numbers(1, 'msrp')['connected'], 1)


class AnswersTest(NameCase):
    """Nodes answer each other's SENDs together, and who has written notices nothing of it."""

    SOON = 3        # seconds: longer than the time-out

    def node_config(self, name):
        config = super().node_config(name)
        config['msrp']['transaction_timeout'] = '2s'
        rules = {'msrp': [{'if': {'$hdr(X-Flag)': 'drop'}, 'do': ['drop']}]}
        return {**config, 'routes': rules} if name == NAMES[0] else config

    @staticmethod
    def refuse_some(frame, conn):
        if frame.method == 'SEND':
            conn.send(msrp.response(frame, 413, 'Too bad') if frame.body == b'bad'
                      else msrp.response(frame, 200))

    def reports(self, session, count):
        """So many, and no more: status by Message-ID."""
        told = {}
        for _ in range(count):
            report = session.conn.expect('REPORT')
            told[report.message_id] = report.get('Status')
        with self.assertRaises(Timeout):
            session.conn.expect('REPORT', self.SOON)
        return told

    def write(self, session, requests):
        """All at once."""
        session.conn.send_raw(b''.join(request.encode() for request in requests))
        for request in requests:
            session.conn.expect_response(request, 200)

    def test_burst(self):
        """Also the first ones, which open the connection between the nodes."""
        client = self.granted(0)
        client.conn.behave = self.refuse_some
        _, session = self.peer(1, client)
        for _ in range(2):
            sent = [session.build(body=body) for body in [b'good', b'bad', b'good'] * 50]
            before = self.numbers(0, 'msrp')['frames_out']
            self.write(session, sent)
            told = self.reports(session, 50)
            self.assertEqual(told, {request.message_id: '000 413 Too bad' for request in sent
                                    if request.body == b'bad'})
        # The node of the grant passes each on and reports 50; an answer to each were 150 more.
        self.assertLess(self.numbers(0, 'msrp')['frames_out'] - before, 2 * len(sent))

    def test_what_a_rule_drops(self):
        """It has no answer, and those around it have."""
        client = self.granted(0)
        _, session = self.peer(1, client)
        session.send('first')
        sent = [session.build(body=b'x', headers=[('X-Flag', flag)] if flag else [])
                for flag in ('', 'drop', '')]
        self.write(session, sent)
        self.assertEqual(self.reports(session, 1), {sent[1].message_id: '000 408'})

    def test_what_breaks_off(self):
        """Nor does it matter that one of them has gone in the middle of his."""
        client = self.granted(0)
        _, session = self.peer(1, client)
        _, other = self.peer(1, client)
        session.send('first')
        whole = other.build(body=b'x' * 100000).encode()
        other.conn.send_raw(whole[:50000])
        client.conn.wait_body(40000)
        session.conn.send_raw(b''.join(
            session.build(body=b'x').encode() for _ in range(10)))
        other.conn.reset()
        for _ in range(10):
            client.conn.expect(lambda frame: frame.method == 'SEND' and frame.body == b'x')
        self.assertEqual(self.reports(session, 0), {})


class SecureRelayTest(SecureNodes, RelayTest):
    scheme = 'msrps'


class ChallengeTest(NameCase):
    """AUTH at one node with a nonce of another."""

    config = {**NameCase.config, 'limits': {'auth_failures': 3, 'exempt': []}}

    def answer(self, client, challenge, password=None, nc=1):
        """What an AUTH with credentials is answered."""
        credentials = Credentials(challenge, self.name, client.user, password or client.password,
                                  nc)
        return client.ask(authorization=credentials.value())

    def test_nonce(self):
        """One of a is good at b, each count once; and so is at a what b has given instead."""
        alice, elsewhere = self.comes(0), self.comes(1)
        challenge = alice.challenge()
        granted = self.answer(elsewhere, challenge)
        self.assertEqual(granted.code, 200)
        self.assertIn('/b.', granted.get('Use-Path'))
        again = self.answer(elsewhere, challenge)
        self.assertEqual(again.code, 401)
        stale = again.get('WWW-Authenticate')
        self.assertIn('stale=true', stale)
        self.assertEqual(self.answer(elsewhere, challenge, nc=2).code, 200)
        self.assertEqual(self.answer(alice, stale).code, 200)
        # No wrong credentials among these.
        self.assertEqual(self.redis.call('KEYS', 'msrpd:failures:*'), b'*0\r\n')

    def test_guesser(self):
        """Who has guessed at a has, from his first wrong try at b, no more there."""
        guesser = self.comes(0)
        for _ in range(2):
            self.assertEqual(self.answer(guesser, guesser.challenge(), 'wrong').code, 401)
        poll(lambda: self.redis.call('GET', 'msrpd:failures:7f000001') == b'$1\r\n2\r\n',
             what='both to be counted')
        elsewhere = self.comes(1)
        self.assertEqual(self.answer(elsewhere, elsewhere.challenge(), 'wrong').code, 401)

        def barred():
            client = self.comes(1)
            code = self.answer(client, client.challenge()).code
            client.close()
            return code == 403
        poll(barred, what='b to know')


if __name__ == '__main__':
    case.main()
