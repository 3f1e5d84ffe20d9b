#!/usr/bin/env python3
"""Conversations over connections that go wrong at any byte (lib/fault.py).

Whatever happens to the connection: each message is delivered once, or its sender is told; no
more than once; the counters say what the peers saw; and nothing is left behind, no memory either.
A conversation ends when both sides know what became of all that was said, or when its connection
is gone, and no sooner.  This takes a sample of all bytes; scripts/torture walks the rest.
"""
from lib import case, msrp
from lib.anchor import ROUTES, AnchorCase
from lib.ctl import RpcError
from lib.fault import CORRUPTING, KINDS
from lib.gateway import GatewayCase, routes
from lib.relay_client import USERS, Client, Peer, Refused
from lib.rooms import CPIM, LOBBY, RoomCase, envelope, rooms
from lib.waiting import Timeout, poll
from lib.walk import Walk


class UaFaults(Walk, case.Case):
    """A session with the UA, whose peer connects."""

    changes = {'ua': {'reconnect_grace': '0s'}}
    counter = 'ua:answered'

    def say_to(self, call):
        """The Message-ID of what msrpd took to send; None: it took nothing."""
        try:
            return self.say(call, 'from msrpd')
        except RpcError:
            return None

    def ended(self, call):
        return self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)

    def meet(self, proxy, ua):
        """A call, and the peer's session on a connection by the proxy."""
        call = self.call(path=self.own(), connect=False, ua=ua, setup='active')
        conn = self.connect(proxy, call.path[0])
        return call, msrp.Session(conn, call.path, call.own_path)

    def bound(self, session, first):
        """msrpd knows which connection is the session's."""
        return self.answered(session.conn, first)

    def converse(self, proxy, fault):
        ua = self.ua()
        call, session = self.meet(proxy, ua)
        conn = session.conn
        first, message = session.build(), session.build(body=b'to msrpd', success='yes')
        if conn:
            conn.try_send_raw(first.encode() + message.encode())
        said = self.say_to(call)

        def reports():
            return len(self.ctl.events.has(lambda e: e['method'] == 'E_MSRP_REPORT_RECEIVED'
                                           and e['params']['message_id'] == said))

        def settled():
            told = not said or self.delivered(conn, b'from msrpd') or reports()
            return told and self.success(conn, message) or self.over(conn)
        poll(settled, what='the fate of both messages')
        self.flush(session)
        self.end(call, ua, self.over(conn) and self.bound(session, first))
        self.check(fault, conn, message, said, reports())
        self._uas.remove(ua)
        ua.close()

    def check(self, fault, conn, message, said, reports):
        """However the session has ended, each message's fate is known by now."""
        events = self.ctl.pending('E_MSRP_MSG_RECEIVED')
        delivered = self.delivered(conn, b'from msrpd')
        self.events = len(events)
        taken = self.answered(conn, message) and not (fault and fault.corrupts)
        self.bounds = {'msrp:messages_in': (taken, conn is not None),
                       'msrp:messages_out': (said is not None,) * 2}
        self.assertLessEqual(len(events), 1)
        self.assertLessEqual(reports, 1)
        if fault and fault.corrupts:
            came = self.heard(conn, lambda f: f.method == 'SEND' and f.body)
            self.assertTrue(not said or came or reports)
            return
        self.assertLessEqual(delivered, 1)
        self.assertTrue(not said or delivered or reports)
        if self.answered(conn, message):
            self.assertEqual([e['body'] for e in events], ['to msrpd'])
        if self.harmless(fault):
            self.assertEqual((taken, delivered, reports, len(events)), (True, 1, 0, 1))

    def check_counters(self, before, after):
        self.assertEqual(after['msrp:messages_in'] - before['msrp:messages_in'], self.events)
        self.assertEqual(after['ua:sessions'], 0)
        self.assertEqual(after[self.counter] - before[self.counter], 1)


class UaTlsFaults(UaFaults):
    secure = True


class UaWebFaults(UaFaults):
    """The same from a browser (RFC 7977)."""

    web = True


class UaWebTlsFaults(UaWebFaults):
    secure = True


class UaDialFaults(UaFaults):
    """msrpd calls, and connects to the peer through the proxy."""

    counter = 'ua:started'

    def target(self):
        # Who listens there is known once the call has begun.
        self.taker = msrp.Listener(tls=self.server_tls)
        return '127.0.0.1', self.taker.port

    def meet(self, proxy, ua):
        call = case.Case.answered(self, self.taker, ua=ua, path=proxy.through(self.taker.uri()),
                                  connect=False)

        def known():
            return self.taker.conns or self.ctl.events.has(
                lambda e: e['method'] == 'E_MSRP_SESSION_END')
        poll(known, what='a connection, or the end')
        conn = self.taker.conns[0] if self.taker.conns else None
        return call, msrp.Session(conn, call.path, call.own_path)

    def bound(self, session, first):
        return True


class UaDialTlsFaults(UaDialFaults):
    secure = True


class GatewayFaults(Walk, GatewayCase):
    """A phone with MESSAGE, and an MSRP client whose connection goes wrong."""

    changes = {'ua': {'reconnect_grace': '0s'}, 'routes': routes(confirm='sent')}

    def ended(self, call):
        return self.ctl.event('E_MSRP_GW_SESSION_END', msrp_ua_session_id=call.id)

    def converse(self, proxy, fault):
        phone = self.ua(user='phone', name='phone')
        call = self.client_calls(phone=phone, connect=False, path=self.own())
        conn = self.connect(proxy, call.path[0])
        session = msrp.Session(conn, call.path, call.own_path)
        first, message = session.build(), session.build(body=b'to the phone', success='yes')
        if conn:
            conn.try_send_raw(first.encode() + message.encode())
        page = self.message('to the client', phone=phone)
        rung = []

        def answer():
            for transaction in phone.requests.has(lambda t: t.method == 'MESSAGE'):
                phone.requests.items.remove(transaction)
                transaction.respond(200)
                rung.append(transaction.request.body)

        def settled():
            answer()
            return self.over(conn) or page.seen and self.success(conn, message)
        poll(settled, what='the fate of both messages')
        self.flush(session)
        self.end(call, self.client, self.over(conn) and self.answered(conn, first))
        final = page.final()
        if self.answered(conn, message) and not (fault and fault.corrupts):
            poll(lambda: answer() or rung, what='the MESSAGE of what was answered')
        answer()
        self.check(fault, conn, message, final, rung)
        self._uas.remove(phone)
        phone.close()

    def check(self, fault, conn, message, final, rung):
        delivered = self.delivered(conn, b'to the client')
        self.final = final.code
        self.assertLessEqual(len(rung), 1)
        self.bounds = {'msrp:messages_in': (len(rung), conn is not None)}
        if fault and fault.corrupts:
            return
        self.bounds['gw:to_sip'] = self.success(conn, message), len(rung)
        self.assertLessEqual(delivered, 1)
        if final.code == 200:
            self.assertEqual(delivered, 1)
        if self.answered(conn, message):
            self.assertEqual(rung, [b'to the phone'])
        if self.harmless(fault):
            self.assertEqual((final.code, len(rung)), (200, 1))
            self.assertTrue(self.success(conn, message))

    def check_counters(self, before, after):
        self.assertEqual(after['gw:sessions'], 0)
        confirmed = after['gw:to_msrp'] - before['gw:to_msrp']
        self.assertEqual(confirmed, 1 if self.final == 200 else 0)


class GatewayTlsFaults(GatewayFaults):
    secure = True


class RelayFaults(Walk, case.Case):
    """Two clients of a relay's: one behind the proxy that authenticated, one elsewhere."""

    changes = {'sip': None, 'routes': None, 'relay': {'users': USERS, 'allow_plain_auth': True}}
    # A host of which a byte is missing would be asked of a name server.
    kinds = [kind for kind in KINDS if kind not in CORRUPTING]

    def authenticate(self, conn, relay):
        """None when the fault was faster."""
        client = Client(relay, conn=conn, own=self.own())
        try:
            client.auth()
        except (Refused, Timeout, OSError):
            return None
        return client

    def converse(self, proxy, fault):
        host, port = self.target()
        relay = f'{self.scheme}://{host}:{port};{"ws" if self.web else "tcp"}'
        before = self.statistics()['relay:messages']
        conn = self.connect(proxy, relay, relay=True)
        self.counted = 0, 0, False
        client = self.authenticate(conn, relay) if conn else None
        if client is None:
            if not proxy.hit.is_set():
                raise AssertionError('no AUTH, and no fault')
            return
        peer = Peer()
        message = client.session(peer.path).build(body=b'to the peer')
        conn.try_send_raw(message.encode())
        back = peer.connect(client.path, tls=self.tls)
        answer = back.build(body=b'to the client')
        back.conn.send(answer)
        code = back.conn.expect(lambda f: f.code is not None and f.tid == answer.tid).code

        def reports(on, request):
            return len(self.heard(on, lambda f: f.method == 'REPORT'
                                  and f.get('Message-ID') == request.message_id))

        def there():
            # A peer that has come by itself is answered on its own connection.
            return sum(self.delivered(one, b'to the peer')
                       for one in (back.conn, *peer.listener.conns))

        def settled():
            told = code != 200 or self.delivered(conn, b'to the client') \
                or reports(back.conn, answer)
            return told and (self.over(conn) or self.answered(conn, message) and there())
        poll(settled, what='the fate of both messages')
        delivered = self.delivered(conn, b'to the client')
        if self.answered(conn, message) and not (fault and fault.corrupts):
            # What the relay has taken it passes on, or its sender is told.
            poll(lambda: there() or reports(conn, message), what='what the relay has taken')
        if self.over(conn):
            # And what it has taken without a word to the client, whom it has lost.
            poll(lambda: self.statistics()['relay:sessions'] == 0, what='the end of the grant')
            passed = self.statistics()['relay:messages'] - before - (code == 200)
            poll(lambda: there() >= passed, what='what the relay has passed on')
        if not (fault and fault.corrupts):
            self.assertLessEqual(delivered, 1)
        self.assertLessEqual(there(), 1)
        self.assertLessEqual(reports(conn, message), 1)
        self.assertLessEqual(reports(back.conn, answer), 1)
        if self.harmless(fault):
            self.assertEqual((delivered, there()), (1, 1))
            self.assertEqual(reports(back.conn, answer) + reports(conn, message), 0)
        self.counted = there(), delivered, code == 200

    def check_counters(self, before, after):
        poll(lambda: self.statistics()['relay:sessions'] == 0, what='the end of all grants')
        there, delivered, taken = self.counted
        passed = after['relay:messages'] - before['relay:messages'] - there
        # What was written to a connection that is ruined may not have come.
        self.assertIn(passed, range(delivered, taken + 1))


class RelayTlsFaults(RelayFaults):
    secure = True
    kinds = KINDS


class RelayWebFaults(RelayFaults):
    """The one behind the proxy is a browser."""

    web = True


class AnchorFaults(Walk, AnchorCase):
    """Alice and bob, between whom msrpd stands: hers is the connection that goes wrong."""

    changes = {'routes': ROUTES, 'anchor': {'reconnect_grace': '1s'}}

    def target(self):
        self.taker = self.listener(name='bob', relay=True)
        return super().target()

    def quiet(self):
        return super().quiet() and self.statistics()['anchor:sessions'] == 0

    def reach(self, proxy, path):
        """Alice's connection, None when the fault was faster."""
        return self.connect(proxy, path)

    def way_to_bob(self, proxy):
        return self.taker.uri()

    def has_ended(self):
        return self.ctl.events.has(lambda e: e['method'] == 'E_MSRP_ANCHOR_END')

    def ended(self, _):
        return self.ctl.event('E_MSRP_ANCHOR_END')

    def converse(self, proxy, fault):
        self.alice, self.bob = (self.ua(user=name, name=name) for name in ('alice', 'bob'))
        path = self.own()
        transaction, invite = self.rings(offer=self.offer(path, setup='active'))
        bob = self.answers(invite, path=self.way_to_bob(proxy))
        alice = self.taken(transaction, path)
        self.ctl.event('E_MSRP_ANCHOR_NEW')
        to_bob, to_alice = (msrp.Session(None, one.path, one.own_path).build(body=body)
                            for one, body in ((alice, b'to bob'), (bob, b'to alice')))
        conn = self.reach(proxy, alice.path[0])
        hers, his = [conn] if conn else [], self.taker.conns
        if conn:
            conn.try_send_raw(to_bob.encode())
        poll(lambda: his or self.has_ended(), what='a connection to bob, or the end')
        if his:
            his[0].try_send_raw(to_alice.encode())
        self.fates = [(to_bob, hers, his), (to_alice, his[:1], hers)]
        self.changed = fault and fault.corrupts
        poll(lambda: self.has_ended() or all(self.settled(*one) for one in self.fates),
             what='the fate of both messages')
        self.bob.agree()
        self.end(alice, self.alice, self.over(conn))
        for one in self.fates:
            self.check(fault, *one)
        arrived = sum(self.arrived(theirs, request) for request, _, theirs in self.fates)
        if not self.changed:
            self.bounds = {'anchor:messages': (arrived, len(self.fates))}
        for ua in (self.alice, self.bob):
            self._uas.remove(ua)
            ua.close()

    def taken_by(self, conns, request):
        return any(self.answered(conn, request) for conn in conns)

    def arrived(self, conns, request):
        """With a byte more or less it is still the only one that has a body."""
        if self.changed:
            return sum(len(self.heard(conn, lambda f: f.method == 'SEND' and f.body
                                      and f.flag == '$')) for conn in conns)
        return sum(self.delivered(conn, request.body) for conn in conns)

    def reported(self, conns, request):
        return sum(len(self.heard(conn, lambda f: f.method == 'REPORT'
                                  and f.get('Message-ID') == request.message_id))
                   for conn in conns)

    def settled(self, request, ours, theirs):
        """What was taken has arrived, or its sender is told: who is gone cannot be."""
        if self.taken_by(ours, request) and self.arrived(theirs, request):
            return True
        return self.reported(ours, request) or all(self.over(conn) for conn in ours)

    def check(self, fault, request, ours, theirs):
        corrupts = fault and fault.corrupts
        if self.taken_by(ours, request) and not corrupts:
            poll(lambda: self.settled(request, ours, theirs), what='the fate of what was taken')
        arrived, reported = self.arrived(theirs, request), self.reported(ours, request)
        self.assertLessEqual(reported, 1)
        if not corrupts:
            self.assertLessEqual(arrived, 1)
        if self.harmless(fault):
            self.assertEqual((arrived, reported), (1, 0))

    def check_counters(self, before, after):
        passed = {name: after[f'anchor:{name}'] - before[f'anchor:{name}']
                  for name in ('established', 'failed', 'ended_bye', 'ended_failed')}
        self.assertEqual((passed['established'], passed['failed'],
                          passed['ended_bye'] + passed['ended_failed']), (1, 0, 1))


class AnchorDialFaults(AnchorFaults):
    """Bob's is, which msrpd opens, and opens again when it is lost."""

    def target(self):
        super().target()
        return '127.0.0.1', self.taker.port

    def reach(self, proxy, path):
        return msrp.connect(path)

    def way_to_bob(self, proxy):
        return proxy.through(self.taker.uri())


class RoomFaults(Walk, RoomCase):
    """Two in a chat room: alice's connection goes wrong."""

    changes = {**rooms({'uri': LOBBY}, history=0), 'ua': {'reconnect_grace': '0s'}}

    def ended(self, call):
        return self.ctl.event('E_MSRP_CONF_LEAVE', session_id=call.id)

    def converse(self, proxy, fault):
        ua = self.ua()
        alice = self.join('alice', path=self.own(), connect=False, ua=ua)
        conn = self.connect(proxy, alice.path[0])
        session = msrp.Session(conn, alice.path, alice.own_path)
        bob = self.join('bob', ua=ua)
        first = session.build()
        message = session.build(body=envelope('from alice', alice.uri), content_type=CPIM,
                                success='yes')
        if conn:
            conn.try_send_raw(first.encode() + message.encode())
        said = bob.say('from bob').body
        poll(lambda: self.over(conn) or self.delivered(conn, said)
             and self.success(conn, message), what='the fate of both messages')
        self.flush(session)
        self.end(alice, ua, self.over(conn) and self.answered(conn, first))
        bob.msrp.flush()            # behind what it was sent
        self.check(fault, self.answered(conn, message), self.delivered(conn, said),
                   self.delivered(bob.conn, message.body))
        bob.bye()
        self.ended(bob)
        self._uas.remove(ua)
        ua.close()

    def check(self, fault, taken, to_alice, to_bob):
        self.events = [e['body'] for e in self.ctl.pending('E_MSRP_CONF_MESSAGE')]
        if fault and fault.corrupts:
            return
        # Bob's connection is good: he knows what he has said and what he was sent.
        self.bounds = {'conf:messages': (1 + to_bob,) * 2,
                       'conf:copies': (to_bob + to_alice, to_bob + 1)}
        self.assertLessEqual(to_alice, 1)
        self.assertEqual(to_bob, self.events.count('from alice'))
        self.assertLessEqual(to_bob, 1)
        if taken:
            self.assertEqual(to_bob, 1)
        if self.harmless(fault):
            self.assertEqual((to_alice, to_bob), (1, 1))

    def check_counters(self, before, after):
        self.assertEqual(after['conf:messages'] - before['conf:messages'], len(self.events))
        self.assertEqual(after['conf:participants'], 0)


class RoomWebFaults(RoomFaults):
    """She is in a browser."""

    web = True


if __name__ == '__main__':
    case.main()
