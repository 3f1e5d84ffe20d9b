#!/usr/bin/env python3
"""Anchored sessions: whatever way each side comes, and what becomes of connections."""
import os
import re
import threading
import time

from lib import case, certs, msrp, sdp, ws
from lib.anchor import ALICE, BOB, ROUTES, AnchorCase, Pair
from lib.case import TYPES, Call
from lib.daemon import free_port
from lib.digest import authorized
from lib.frame import URI, new_id
from lib.sip import Dialog
from lib.waiting import poll


class Way:
    """How a side has its MSRP: it connects, or is connected to; over what."""

    def __init__(self, case_, active, tls=False, web=False):
        self.case, self.active, self.tls, self.web = case_, active, tls, web
        scheme = 'msrps' if tls else 'msrp'
        self.listener = None if active else case_.listener(
            name='passive', port=free_port(),
            tls=certs.server_context(case_.peer) if tls else None)
        self.path = (f'{scheme}://127.0.0.1:9/{new_id()};{"ws" if web else "tcp"}' if active
                     else self.listener.uri())

    def stream(self, setup):
        extra = [f'a=fingerprint:{self.case.peer.fingerprint()}'] if self.tls else []
        return sdp.message(self.path, TYPES, setup=setup, extra=extra)

    @property
    def offer(self):
        return sdp.document(self.stream('active' if self.active else 'passive'))

    @property
    def answer(self):
        return sdp.document(self.stream('active' if self.active else 'passive'))

    def attach(self, call, conn=None):
        """Connect, unless by a connection that is there, or be connected to; as its SDP has said."""
        if not self.active:
            call.attach(self.listener.accept())
            self.case.assertIsNone(call.conn.expect('SEND').body)
            return call
        tls = certs.client_context(self.case.ca, self.case.peer) if self.tls else None
        connect = ws.connect if self.web else msrp.connect
        call.attach(conn or connect(call.path[0], tls=tls))
        call.msrp.bind()
        return call


class WaysCase(AnchorCase):
    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        cls.own = cls.ca.issue('msrpd')
        cls.peer = certs.self_signed(cls.directory, 'peer')
        cls.other = certs.self_signed(cls.directory, 'other')
        cls.config = {
            'routes': ROUTES, 'anchor': {'reconnect_grace': '60s'},
            'msrp': {'listen': [{'uri': f'{scheme}://127.0.0.1:0;{transport}'}
                                for transport in ('tcp', 'ws') for scheme in ('msrp', 'msrps')],
                     'tls': {'certificate': cls.own.certificate, 'private_key': cls.own.key,
                             'ca_file': cls.ca.file}}}

    def meet(self, one, other, comes=True, conn=None):
        """A session with alice coming by one way, bob by another; or he does not come, and she may
        come by a connection that is there."""
        transaction = self.calls(offer=one.offer)
        invite = self.bob.expect('INVITE')
        offered = sdp.Sdp(invite.request.body).message
        if (offered.proto == 'TCP/TLS/MSRP') != other.tls:
            invite.respond(488)
            invite = self.bob.expect('INVITE')
        invite.respond(200, other.answer)
        bob = Call(self, Dialog.of_server(invite), sdp.Sdp(invite.request.body), other.path)
        alice = self.taken(transaction, one.path)
        bob.dialog.expect('ACK')
        event = self.ctl.event('E_MSRP_ANCHOR_NEW')
        if not comes:
            one.attach(alice, conn)
        elif one.active:            # it is she who has to begin
            one.attach(alice)
            other.attach(bob)
        else:
            other.attach(bob)
            one.attach(alice)
        return Pair(alice, bob, event)

    def moves(self, pair, setup, path, *extra):
        """Bob says by re-INVITE that he is there now, alice that she is where she was."""
        transaction = pair.bob.dialog.request('INVITE', sdp.document(
            sdp.message(path, setup=setup, extra=extra), origin='- 1 2'))
        fingerprint = pair.alice.own_path[0].startswith('msrps:')
        pair.alice.dialog.expect('INVITE').respond(200, sdp.document(
            sdp.message(pair.alice.own_path[0], setup='passive', extra=[
                f'a=fingerprint:{self.peer.fingerprint()}'] if fingerprint else [])))
        pair.alice.dialog.expect('ACK')
        transaction.final(200)
        pair.bob.dialog.ack()

    def leave(self, pair):
        pair.alice.bye()
        pair.bob.dialog.expect('BYE').respond(200)
        self.ends(pair, 'bye')


class WaysTest(WaysCase):
    def test_all_ways(self):
        """Active or passive, TCP or TLS on either side; WebSocket on alice's."""
        ways = [(active, tls, False) for active in (True, False) for tls in (False, True)]
        for first in [*ways, (True, False, True), (True, True, True)]:
            for second in ways:
                with self.subTest(alice=first, bob=second):
                    pair = self.meet(Way(self, *first), Way(self, *second))
                    self.passes(pair.alice, pair.bob, 'there')
                    self.passes(pair.bob, pair.alice, 'and back' * 1000)
                    self.leave(pair)

    def test_offer_names_what_it_is(self):
        """A path of the scheme and transport that fits what is offered, and our fingerprint."""
        for tls in (False, True):
            for web in (False, True):
                with self.subTest(tls=tls, web=web):
                    way = Way(self, True, tls, web)
                    pair = self.meet(way, Way(self, True, tls))
                    for call, transport in ((pair.alice, 'ws' if web else 'tcp'),
                                            (pair.bob, 'tcp')):
                        uri = URI.match(call.path[0])
                        self.assertEqual((uri['scheme'], uri['transport']),
                                         ('msrps' if tls else 'msrp', transport))
                        fingerprint = call.sdp.message.get('fingerprint')
                        self.assertEqual(fingerprint and fingerprint.upper(),
                                         self.own.fingerprint().upper() if tls else None)
                    self.leave(pair)

    def test_nothing_else_to_offer(self):
        """Who has refused an INVITE without an offer has refused neither TLS nor TCP."""
        transaction, invite = self.rings(offer=b'')
        invite.respond(488)
        transaction.final(488)
        self.assertEqual(self.bob.requests.has(lambda t: t.method == 'INVITE'), [])

    def test_wrong_certificate(self):
        """RFC 8122 6.2: whoever has another certificate than the SDP says is not let in."""
        way = Way(self, True, tls=True)
        pair = self.meet(way, Way(self, False))
        pair.alice.conn.close()
        transaction = self.calls(offer=way.offer)
        invite = self.bob.expect('INVITE')
        invite.respond(488)
        bob = Way(self, False)
        invite = self.bob.expect('INVITE')
        invite.respond(200, bob.answer)
        alice = self.taken(transaction, way.path)
        thief = msrp.connect(alice.path[0], tls=certs.client_context(self.ca, self.other))
        msrp.Session(thief, alice.path, alice.own_path).send('x', code=403)
        way.attach(alice).send('x')

    def comes_early(self, tls, credentials=None, path=None):
        """Somebody connects before bob has answered.  @return alice's side, bob's, the connection"""
        way, other = Way(self, True, tls=tls), Way(self, True, tls=tls)
        transaction, invite = self.rings(offer=way.offer)
        offered = sdp.Sdp(invite.request.body)
        early = msrp.connect(offered.message.path[0], name='early', tls=credentials
                             and certs.client_context(self.ca, credentials))
        early_session = msrp.Session(early, offered.message.path, [path or other.path])
        early_session.send(None, code=481)
        early_session.send('x', code=481)
        invite.respond(200, other.answer)
        bob = Call(self, Dialog.of_server(invite), offered, other.path)
        alice = way.attach(self.taken(transaction, way.path))
        bob.dialog.expect('ACK')
        return alice, bob, other, early

    def test_comes_before_his_answer(self):
        """Bob's SDP takes longer than he does: he need not say anything once more."""
        for tls in (False, True):
            with self.subTest(tls=tls):
                alice, bob, _, early = self.comes_early(tls, self.peer if tls else None)
                bob.attach(early)
                self.passes(alice, bob, 'to him')
                self.passes(bob, alice, 'from him')

    def test_another_comes_before_his_answer(self):
        """Who is not the one that bob's SDP speaks of leaves room for him when that comes."""
        for tls, who in ((False, {'path': 'msrp://127.0.0.1:9/other;tcp'}),
                         (True, {'credentials': self.other})):
            with self.subTest(tls=tls):
                alice, bob, other, _ = self.comes_early(tls, **who)
                other.attach(bob)
                self.passes(alice, bob, 'to him')

    def test_another_certificate(self):
        """Bob says by re-INVITE that he has another: the connection with the first is his no more."""
        other = Way(self, True, tls=True)
        pair = self.meet(Way(self, True, tls=True), other)
        self.moves(pair, 'active', other.path, f'a=fingerprint:{self.other.fingerprint()}')
        pair.bob.send('x', code=403)
        pair.bob.attach(msrp.connect(pair.bob.path[0],
                                     tls=certs.client_context(self.ca, self.other)))
        pair.bob.msrp.bind()
        self.passes(pair.alice, pair.bob, 'to him')

    def test_another_certificate_where_we_connect(self):
        """The same where it is us who connect, to the same place, and where we are about to."""
        for connecting in (False, True):
            with self.subTest(connecting=connecting):
                other = Way(self, False, tls=True)
                other.listener.gate = threading.Semaphore(0 if connecting else 1)
                pair = self.meet(Way(self, True, tls=True), other, comes=not connecting)
                self.moves(pair, 'passive', other.path, f'a=fingerprint:{self.other.fingerprint()}')
                if connecting:
                    other.listener.gate.release()
                other.listener.skip_to(2)
                other.listener.tls = certs.server_context(self.other)
                other.listener.gate.release()
                pair.bob.attach(other.listener.accept())
                pair.bob.conn.expect('SEND')
                self.passes(pair.alice, pair.bob, 'to him')

    def test_what_comes_early_waits(self):
        """Bob is not there yet: alice's message waits for him, and she is not read on."""
        way, other = Way(self, True), Way(self, True)
        transaction = self.calls(offer=way.offer)
        invite = self.bob.expect('INVITE')
        invite.respond(200, other.answer)
        bob = Call(self, Dialog.of_server(invite), sdp.Sdp(invite.request.body), other.path)
        alice = way.attach(self.taken(transaction, way.path))
        sent = [alice.send(text, code=None) for text in ('one', 'two')]
        other.attach(bob)
        for request in sent:
            got = bob.receive()
            self.assertEqual((got.body, got.message_id), (request.body, request.message_id))
            alice.conn.expect_response(request, 200)

    def test_back_pressure(self):
        """Bob reads nothing: alice is not read either, and memory stays what it is."""
        pair = self.meet(Way(self, True), Way(self, False))
        pair.bob.conn.narrow()
        pair.bob.conn.pause()
        body = os.urandom(1 << 20)
        head, _, end = pair.alice.msrp.build('SEND', b'', byte_range='1-*/*').encode().partition(
            b'\r\n\r\n')
        pair.alice.conn.send_raw(head + b'\r\n\r\n')
        sent = 0
        with self.assertRaises(Exception):
            while sent < 64 << 20:
                pair.alice.conn._write(body, timeout=1)
                sent += len(body)
        self.assertLess(sent, 48 << 20)
        pair.bob.conn.resume()
        pair.bob.conn.wait_body(sent)


class LossTest(WaysCase):
    def closed(self):
        """How many connections are, tries that came to nothing among them."""
        return self.ctl.call('get_statistics', group='msrp')['msrp:closed']

    def test_connected_again(self):
        """Who connects may do so again within reconnect_grace; what is said meanwhile waits."""
        pair = self.meet(Way(self, True), Way(self, True))
        pair.bob.conn.close()
        poll(lambda: not self.listed()[0]['callee']['connected'], what='the loss of his connection')
        sent = pair.alice.send('meanwhile', code=None)
        pair.bob.connect()
        got = pair.bob.receive()
        self.assertEqual(got.message_id, sent.message_id)
        pair.alice.conn.expect_response(sent, 200)
        self.assertEqual((self.statistics()['lost'], self.statistics()['reconnected']), (1, 1))

    def test_we_connect_again(self):
        """Where it is us who connect, we do."""
        other = Way(self, False)
        pair = self.meet(Way(self, True), other)
        pair.bob.conn.close()
        pair.bob.attach(other.listener.accept())
        self.assertIsNone(pair.bob.conn.expect('SEND').body)
        self.passes(pair.alice, pair.bob, 'again')

    def test_we_connect_again_later(self):
        """Nobody listens at first: what is said meanwhile waits until somebody does."""
        other = Way(self, False)
        pair = self.meet(Way(self, True), other)
        other.listener.close()
        before = self.closed()
        pair.bob.conn.close()
        poll(lambda: self.closed() > before, what='the loss of his connection')
        sent, before = pair.alice.send('meanwhile', code=None), self.closed()
        poll(lambda: self.closed() > before + 1, what='another try, and another')
        listener = self.listener(name='passive again', port=other.listener.port)
        pair.bob.attach(listener.accept())
        pair.bob.conn.expect('SEND', **{'Message-ID': sent.message_id})
        pair.alice.conn.expect_response(sent, 200)

    def test_moves_when_lost(self):
        """What waits for him goes to where he says that he is now."""
        pair = self.meet(Way(self, True), Way(self, True))
        pair.bob.conn.close()
        poll(lambda: not self.listed()[0]['callee']['connected'], what='the loss of his connection')
        sent = pair.alice.send('meanwhile', code=None)
        path = f'msrp://127.0.0.1:9/{new_id()}x;tcp'
        self.moves(pair, 'active', path)
        pair.bob.own_path = [path]
        pair.bob.connect()
        got = pair.bob.receive()
        self.assertEqual((got.message_id, got.to_path), (sent.message_id, [path]))
        pair.alice.conn.expect_response(sent, 200)

    def test_stranger(self):
        """RFC 4975 5.4: a session is bound to one connection."""
        pair = self.meet(Way(self, True), Way(self, True))
        thief = msrp.connect(pair.alice.path[0], name='thief')
        msrp.Session(thief, pair.alice.path, ['msrp://127.0.0.1:9/thief;tcp']).send('x', code=506)
        self.passes(pair.alice, pair.bob, 'mine')


class GraceCase(WaysCase):
    grace = '60s'

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.config['anchor'] = {'reconnect_grace': cls.grace}
        cls.config['msrp']['shared_stall'] = '300ms'

    def grant(self, grace):
        self.reload({'anchor': {'reconnect_grace': grace}})

    def lost_for_good(self, pair, why='MSRP connection lost'):
        """Both get a BYE that says why."""
        for side in (pair.alice, pair.bob):
            bye = side.dialog.expect('BYE')
            self.assertIn(why, bye.request.get('Reason'))
            bye.respond(200)
        self.assertEqual(self.ctl.event('E_MSRP_ANCHOR_END', id=pair.id)['reason'], 'failed')


class GraceTest(GraceCase):
    """A connection that does not come, or not again."""

    def meet(self, *args, **kwargs):
        """With time for it; from then on there is little."""
        self.grant('60s')
        pair = super().meet(*args, **kwargs)
        self.grant('300ms')
        return pair

    def test_lost_for_good(self):
        """Of who connects."""
        pair = self.meet(Way(self, True), Way(self, True))
        pair.alice.conn.close()
        self.lost_for_good(pair)

    def test_nobody_listens_any_more(self):
        """Where it is us who connect; however often that is tried, it is lost once."""
        other, lost = Way(self, False), self.statistics()['lost']
        pair = self.meet(Way(self, True), other)
        other.listener.close()
        pair.bob.conn.close()
        self.lost_for_good(pair)
        self.assertEqual(self.statistics()['lost'], lost + 1)

    def test_session_is_not_known_any_more(self):
        """Somebody is there, but he knows nothing of it."""
        for code in (481, 506):
            with self.subTest(code=code):
                other, before = Way(self, False), self.statistics()
                pair = self.meet(Way(self, True), other)
                other.listener.behave = msrp.answer_with(code)
                pair.bob.conn.close()
                self.lost_for_good(pair)
                numbers = self.statistics()
                self.assertEqual((numbers['lost'], numbers['reconnected']),
                                 (before['lost'] + 1, before['reconnected']))

    def test_never_comes(self):
        """Who is to connect has as long from the beginning, and from a re-INVITE."""
        self.lost_for_good(self.meet(Way(self, True), Way(self, True), comes=False), 'No MSRP connection')
        pair = self.meet(Way(self, False), Way(self, False))
        self.moves(pair, 'active', f'msrp://127.0.0.1:9/{new_id()};tcp')
        self.lost_for_good(pair, 'No MSRP connection')


class SoonGoneTest(GraceCase):
    grace = '10s'

    def test_gone_as_soon_as_there(self):
        """Who answers and closes, each time, is sought less and less often, but within the grace."""
        other = Way(self, False)
        pair = self.meet(Way(self, True), other)
        start = time.monotonic()
        pair.bob.conn.close()
        for times in range(1, 6):
            conn = other.listener.accept()
            poll(lambda times=times: self.statistics()['reconnected'] == times, what='his return')
            conn.close()
        pair.bob.attach(other.listener.accept())
        self.assertGreater(time.monotonic() - start, 1)    # 0.6 if each wait were the first
        self.passes(pair.alice, pair.bob, 'again')


class NoGraceTest(GraceCase):
    """With reconnect_grace 0 it is over in the midst of what is being said."""

    grace = '0s'

    def test_lost(self):
        pair = self.meet(Way(self, True), Way(self, True))
        pair.alice.conn.close()
        self.lost_for_good(pair)

    def test_moves_to_where_we_cannot_connect(self):
        pair = self.meet(Way(self, False), Way(self, False))
        self.moves(pair, 'passive', f'msrp://127.0.0.1:9/{new_id()};sctp')
        self.lost_for_good(pair)

    def test_is_where_we_cannot_connect(self):
        """And would have been made another offer, without CEMA."""
        way = Way(self, True)
        transaction, invite = self.rings(offer=way.offer)
        invite.respond(200, sdp.document(sdp.message(
            f'msrp://192.0.2.1:9/{new_id()};sctp msrp://192.0.2.2:9/{new_id()};tcp', port=7,
            setup='passive')))
        bob = Dialog.of_server(invite)
        alice = self.taken(transaction, way.path)
        bob.expect('ACK')
        for dialog in (alice.dialog, bob):
            dialog.expect('BYE').respond(200)
        poll(lambda: not self.listed(), what='its end')


class LongGraceTest(GraceCase):
    def test_shared_connection(self):
        """Who waits for a peer does not hold up another session of the same connection for long."""
        waits = self.meet(Way(self, True), Way(self, True), comes=False)
        before = self.statistics()['lost']
        waits.alice.conn.close()
        poll(lambda: self.statistics()['lost'] > before, what='the loss of her connection')
        pair = self.meet(Way(self, True), Way(self, False))
        waits.alice.attach(pair.alice.conn)
        waits.alice.conn.send(waits.alice.msrp.build('SEND', b'to nobody'))
        self.passes(pair.alice, pair.bob, 'to somebody')
        self.assertEqual(pair.alice.conn.expect('REPORT').get('Status').split()[1], '408')

    def test_shared_connection_is_first_made(self):
        """What comes while we connect for the first time goes there, and nobody waits for that."""
        way, slow = Way(self, True, tls=True), Way(self, False, tls=True)
        other = self.meet(way, Way(self, True, tls=True))
        slow.listener.gate = threading.Semaphore(0)
        pair = self.meet(Way(self, True, tls=True), slow, comes=False, conn=other.alice.conn)
        pair.alice.send('early')
        slow.listener.gate.release()
        pair.bob.attach(slow.listener.accept())
        self.assertEqual(pair.bob.receive().body, b'early')

    def test_first_comes_to_nothing(self):
        """What comes while we connect for the first time waits for the next try."""
        slow, numbers = Way(self, False, tls=True), lambda: self.ctl.call(
            'get_statistics', group='msrp')
        good, slow.listener.tls = slow.listener.tls, certs.server_context(self.other)
        slow.listener.gate = threading.Semaphore(0)
        pair = self.meet(Way(self, True, tls=True), slow, comes=False)
        before = numbers()
        sent = pair.alice.send('early', code=None)
        poll(lambda: numbers()['msrp:frames_in'] > before['msrp:frames_in'], what='the SEND')
        slow.listener.gate.release()
        slow.listener.skip_to(2)
        slow.listener.tls = good
        slow.listener.gate.release()
        pair.bob.attach(slow.listener.accept())
        pair.bob.conn.expect('SEND', **{'Message-ID': sent.message_id})
        pair.alice.conn.expect_response(sent, 200)


class ReloadTest(GraceCase):
    def test_reload(self):
        """With 0 whoever has lost a connection ends at once; who was never there may still come."""
        late = Way(self, True)
        waits = self.meet(Way(self, True), late, comes=False)
        gone = self.meet(Way(self, True), Way(self, True))
        gone.bob.conn.close()
        sought = self.meet(Way(self, False), Way(self, False))
        self.moves(sought, 'passive', f'msrp://127.0.0.1:9/{new_id()};sctp')
        poll(lambda: self.statistics()['lost'] == 2, what='the loss of two connections')
        self.grant('0s')
        self.lost_for_good(gone)
        self.lost_for_good(sought)
        late.attach(waits.bob)
        self.passes(waits.alice, waits.bob, 'here')


class CemaTest(WaysCase):
    """RFC 6714."""

    CEMA = 'a=msrp-cema'

    def test_answered_with_it(self):
        """In our offers, and in answers to offers that have it."""
        for extra in ((), (self.CEMA,)):
            with self.subTest(extra=extra):
                pair = self.join(extra=extra)
                self.assertEqual(('msrp-cema', None) in pair.alice.sdp.message.attributes,
                                 bool(extra))
                self.assertIn(('msrp-cema', None), pair.bob.sdp.message.attributes)
                self.leave(pair)

    def test_offerer_behind_a_middlebox(self):
        """We connect to c= and m= when it is us who connect."""
        box = self.listener(name='middlebox')
        path = f'msrp://192.0.2.1:9/{new_id()};tcp'
        offer = sdp.document(sdp.message(path, port=box.port, setup='passive', extra=[self.CEMA]))
        transaction, invite = self.rings(offer=offer)
        listener = self.listener(name='bob')
        bob = self.answers(invite, listener)
        alice = self.taken(transaction, path)
        alice.attach(box.accept())
        self.assertEqual(alice.conn.expect('SEND').to_path, [path])
        bob.attach(listener.accept())
        self.passes(bob, alice, 'through the box')

    def test_answerer_behind_a_middlebox(self):
        """The same for an answer with it."""
        box = self.listener(name='middlebox')
        path = f'msrp://192.0.2.1:9/{new_id()};tcp'
        own = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction, invite = self.rings(offer=self.offer(own))
        invite.respond(200, sdp.document(sdp.message(path, port=box.port, setup='passive',
                                                     extra=[self.CEMA])))
        bob = Call(self, Dialog.of_server(invite), sdp.Sdp(invite.request.body), path)
        alice = self.taken(transaction, own).connect()
        bob.attach(box.accept())
        self.passes(alice, bob, 'through the box')

    def test_another_offer_without_it(self):
        """An answer that does not know it, from behind a middlebox, by who connects: offered anew."""
        path = f'msrp://192.0.2.1:9/{new_id()};tcp'
        own = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction, invite = self.rings(offer=self.offer(own))
        answer = sdp.document(sdp.message(path, port=7, setup='active'))
        invite.respond(200, answer)
        dialog = Dialog.of_server(invite)
        self.taken(transaction, own)
        dialog.expect('ACK')
        again = dialog.expect('INVITE')
        self.assertNotIn(('msrp-cema', None), sdp.Sdp(again.request.body).message.attributes)
        again.respond(200, answer)
        dialog.expect('ACK')


class BrowserTest(WaysCase):
    """A browser that has registered is called over its WebSocket, and its MSRP comes by one."""

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.config.update({
            'sip': {'listen': [f'sip:127.0.0.1:0;transport={kind}' for kind in ('udp', 'ws')]},
            'users': {'bob': {'password': 'builder'}},
            'registrar': {'domains': ['example.org']},
            'routes': {'sip': [{'if': {'$rm': 'INVITE'}, 'do': [
                'lookup', {'msrp_anchor': {'ruri': '$ru'}}]}]}})

    def setUp(self):
        super().setUp()
        self.daemon.sip_port, self.port = (
            int(re.search(r':(\d+)(;|$)', uri)[1])
            for uri in self.ctl.call('status')['listen']['sip'])

    def register(self):
        transport = self.bob.reach('127.0.0.1', self.port, 'WS')
        authorized(self.bob, 'REGISTER', 'sip:example.org', transport, 'bob', 'builder',
                   headers=[('Contact', f'<{self.bob.contact("WS")}>')], from_uri=BOB,
                   to_uri=BOB).final(200)

    def test_called(self):
        """Its offer has a path that ends with ;ws; a BYE goes the same way."""
        self.register()
        one, other = Way(self, False), Way(self, True, web=True)
        transaction = self.invite(one.offer, ua=self.alice, uri=BOB, from_uri=ALICE)
        invite = self.bob.expect('INVITE')
        offered = sdp.Sdp(invite.request.body)
        self.assertEqual(URI.match(offered.message.path[0])['transport'], 'ws')
        invite.respond(200, other.answer)
        bob = Call(self, Dialog.of_server(invite), offered, other.path)
        alice = self.taken(transaction, one.path)
        bob.dialog.expect('ACK')
        pair = Pair(alice, bob, self.ctl.event('E_MSRP_ANCHOR_NEW'))
        other.attach(bob)
        one.attach(alice)
        self.passes(alice, bob, 'to the browser')
        self.passes(bob, alice, 'from the browser')
        self.leave(pair)


if __name__ == '__main__':
    case.main()
