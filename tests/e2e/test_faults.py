#!/usr/bin/env python3
"""Conversations over connections that go wrong at any byte (lib/fault.py).

Whatever happens to the connection: each message is delivered once, or its sender is told; no
more than once; the counters say what the peers saw; and nothing is left behind, no memory either.
A conversation ends when both sides know what became of all that was said, or when its connection
is gone, and no sooner.  This takes a sample of all bytes; scripts/torture walks the rest.
"""
import os
import ssl

from lib import case, certs, judge, msrp
from lib.ctl import RpcError
from lib.fault import CORRUPTING, KINDS, FaultProxy, faults
from lib.gateway import GatewayCase, routes
from lib.relay_client import USERS, Client, Peer, Refused
from lib.waiting import Timeout, poll

GROWTH_KIB = 4096               # of a walk; with AddressSanitizer more than there is to see
QUICK = {'transaction_timeout': '1s', 'bind_timeout': '5s'}


class FaultsMixin:
    """A conversation, run once for each fault."""

    secure = False
    changes = {}
    kinds = KINDS

    @classmethod
    def prepare(cls):
        section = {**QUICK, 'listen': [{'name': 'x', 'uri': 'msrp://127.0.0.1:0;tcp'}]}
        if cls.secure:
            cls.ca = certs.Authority(cls.directory)
            own = cls.ca.issue('msrpd')
            section = {**QUICK, 'listen': [{'name': 'x', 'uri': 'msrps://127.0.0.1:0;tcp'}],
                       'tls': {'certificate': own.certificate, 'private_key': own.key,
                               'ca_file': cls.ca.file}}
        cls.config = {**cls.changes, 'msrp': section}

    @property
    def tls(self):
        return certs.client_context(self.ca) if self.secure else None

    # --- what is there before and after

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.daemon.process.pid}/fd'))

    def statistics(self):
        return self.ctl.call('get_statistics')

    def quiet(self):
        """Nobody is connected any more, and nothing is held for anybody."""
        now = self.statistics()
        return now['msrp:connections'] == now['msrp:body_bytes'] == 0

    def connect(self, proxy, uri, **kwargs):
        """A connection through the proxy; None when the fault was faster."""
        try:
            return msrp.connect(proxy.through(uri), tls=self.tls, server_hostname='127.0.0.1',
                                **kwargs)
        except (OSError, ssl.SSLError):
            if not proxy.fault:
                raise
            return None

    @staticmethod
    def close_all():
        """Also what is accepted meanwhile."""
        while things := judge.CAPTURE.take_open():
            for thing in things:
                thing.close()

    def run_through(self, fault=None):
        """One conversation; how many bytes passed each way."""
        host, port = self.daemon.listeners(self.ctl)[0]
        before = self.statistics()
        self.ctl.events.items.clear()
        proxy = FaultProxy(host, port, fault)
        try:
            self.converse(proxy, fault)
        finally:
            proxy.close()
            self.close_all()
        poll(self.quiet, what='the end of all connections')
        self.check_counters(before, self.statistics())
        if fault and fault.corrupts:
            judge.CAPTURE.take_violations()     # of bytes that msrpd never sent, or never got
        return proxy.passed

    def test_walk(self):
        passed = self.run_through()
        poll(self.quiet)
        base = self.descriptors()
        memory = []
        for fault in faults(passed, self.kinds, self.secure):
            with self.subTest(fault):
                self.run_through(fault)
                poll(lambda: self.descriptors() <= base, what='the descriptors of before')
                memory.append(self.daemon.resident_kib())
        # The first third of them has made what is made once.
        grown = memory[-1] - memory[len(memory) // 3]
        self.assertLess(grown, GROWTH_KIB, memory)

    # --- what most conversations look at

    @staticmethod
    def heard(conn, wanted):
        return [frame for frame in conn.history if wanted(frame)] if conn else []

    def delivered(self, conn, body):
        return len(self.heard(conn, lambda f: f.method == 'SEND' and f.body == body
                              and f.flag == '$'))

    def success(self, conn, request):
        """It was answered, and the REPORT that was asked for came."""
        return self.answered(conn, request) and bool(self.heard(
            conn, lambda f: f.method == 'REPORT' and f.get('Message-ID') == request.message_id
            and f.get('Status').startswith('000 200')))

    def answered(self, conn, request):
        return bool(self.heard(conn, lambda f: f.code == 200 and f.tid == request.tid))

    def end(self, call, ua, conn, first):
        """msrpd ends a session that has lost its connection; any other one the peer ends."""
        ua.agree()
        lost = self.over(conn) and self.answered(conn, first)
        if not lost:
            try:
                call.bye()
            except AssertionError:
                pass                # 481: it was lost meanwhile, or has never been connected
        end = self.ended(call)
        if lost:
            self.assertEqual(end['reason'], 'failed')

    def flush(self, session):
        """What the peer has sent, answers too, msrpd has seen."""
        if session.conn:
            last = session.build()
            session.conn.try_send_raw(last.encode())
            poll(lambda: self.over(session.conn) or self.answered(session.conn, last),
                 what='an answer, or the end')

    @staticmethod
    def over(conn):
        """Nothing more is to be expected of the connection."""
        return conn is None or conn.closed

    @staticmethod
    def harmless(fault):
        """Everything has to come, if late."""
        return not fault or fault.kind == 'delay'


class UaFaults(FaultsMixin, case.Case):
    """A session with the UA, whose peer connects."""

    changes = {'ua': {'reconnect_grace': '0s'}}

    def say_to(self, call):
        """The Message-ID of what msrpd took to send; None: it took nothing."""
        try:
            return self.say(call, 'from msrpd')
        except RpcError:
            return None

    def ended(self, call):
        return self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)

    def converse(self, proxy, fault):
        ua = self.ua()
        scheme = 'msrps' if self.secure else 'msrp'
        call = self.call(path=f'{scheme}://127.0.0.1:9/peer;tcp', connect=False, ua=ua)
        conn = self.connect(proxy, call.path[0])
        session = msrp.Session(conn, call.path, call.own_path)
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
        self.end(call, ua, conn, first)
        self.check(fault, conn, message, said, reports())
        self._uas.remove(ua)
        ua.close()

    def check(self, fault, conn, message, said, reports):
        """However the session has ended, each message's fate is known by now."""
        events = self.ctl.pending('E_MSRP_MSG_RECEIVED')
        delivered = self.delivered(conn, b'from msrpd')
        self.events = len(events)
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
            self.assertEqual((delivered, reports, len(events)), (1, 0, 1))

    def check_counters(self, before, after):
        self.assertEqual(after['msrp:messages_in'] - before['msrp:messages_in'], self.events)
        self.assertEqual(after['ua:sessions'], 0)
        self.assertEqual(after['ua:answered'] - before['ua:answered'], 1)


class UaTlsFaults(UaFaults):
    secure = True


class GatewayFaults(FaultsMixin, GatewayCase):
    """A phone with MESSAGE, and an MSRP client whose connection goes wrong."""

    changes = {'ua': {'reconnect_grace': '0s'}, 'routes': routes(confirm='sent')}

    def ended(self, call):
        return self.ctl.event('E_MSRP_GW_SESSION_END', msrp_ua_session_id=call.id)

    def converse(self, proxy, fault):
        phone = self.ua(user='phone', name='phone')
        scheme = 'msrps' if self.secure else 'msrp'
        call = self.client_calls(phone=phone, connect=False,
                                 path=f'{scheme}://127.0.0.1:9/client;tcp')
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
        self.end(call, self.client, conn, first)
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
        if fault and fault.corrupts:
            return
        self.assertLessEqual(delivered, 1)
        if final.code == 200:
            self.assertEqual(delivered, 1)
        if self.answered(conn, message):
            self.assertEqual(rung, [b'to the phone'])
        if self.harmless(fault):
            self.assertEqual((final.code, len(rung)), (200, 1))

    def check_counters(self, before, after):
        self.assertEqual(after['gw:sessions'], 0)
        confirmed = after['gw:to_msrp'] - before['gw:to_msrp']
        self.assertEqual(confirmed, 1 if self.final == 200 else 0)


class GatewayTlsFaults(GatewayFaults):
    secure = True


class RelayFaults(FaultsMixin, case.Case):
    """Two clients of a relay's: one behind the proxy that authenticated, one elsewhere."""

    changes = {'sip': None, 'routes': None, 'relay': {'users': USERS, 'allow_plain_auth': True}}
    # A host of which a byte is missing would be asked of a name server.
    kinds = [kind for kind in KINDS if kind not in CORRUPTING]

    def authenticate(self, conn, relay):
        """None when the fault was faster."""
        client = Client(relay, conn=conn)
        try:
            client.auth()
        except (Refused, Timeout, OSError):
            return None
        return client

    def converse(self, proxy, fault):
        host, port = self.daemon.listeners(self.ctl)[0]
        relay = f'{"msrps" if self.secure else "msrp"}://{host}:{port};tcp'
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


if __name__ == '__main__':
    case.main()
