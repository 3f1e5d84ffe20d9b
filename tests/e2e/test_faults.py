#!/usr/bin/env python3
"""Conversations over connections that go wrong at any byte (lib/fault.py).

Whatever happens to the connection: each message is delivered once, or its sender is told; no
more than once; the counters say what the peers saw; and nothing is left behind.  This takes a
sample of all bytes; scripts/torture walks the rest.
"""
import os
import ssl

from lib import case, certs, judge, msrp
from lib.ctl import RpcError
from lib.fault import CORRUPTING, KINDS, FaultProxy, faults
from lib.gateway import GatewayCase, routes
from lib.relay_client import USERS, Client, Peer, Refused
from lib.waiting import Timeout, poll

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
        """Nobody is connected any more."""
        return self.statistics()['msrp:connections'] == 0

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
        proxy = FaultProxy(host, port, fault)
        try:
            self.converse(proxy, fault)
        finally:
            proxy.close()
            self.close_all()
        poll(self.quiet, what='the end of all connections')
        self.check_counters(before, self.statistics())
        self.ctl.events.items.clear()
        if fault and fault.corrupts:
            judge.CAPTURE.take_violations()     # of bytes that msrpd never sent, or never got
        return proxy.passed

    def test_walk(self):
        passed = self.run_through()
        poll(self.quiet)
        base = self.descriptors()
        for fault in faults(passed, self.kinds):
            with self.subTest(fault):
                self.run_through(fault)
                poll(lambda: self.descriptors() <= base, what='the descriptors of before')

    # --- what most conversations look at

    @staticmethod
    def heard(conn, wanted):
        return [frame for frame in conn.history if wanted(frame)] if conn else []

    def delivered(self, conn, body):
        return len(self.heard(conn, lambda f: f.method == 'SEND' and f.body == body
                              and f.flag == '$'))

    def answered(self, conn, request):
        return bool(self.heard(conn, lambda f: f.code == 200 and f.tid == request.tid))

    def hang_up(self, call, ua):
        """The peer ends the session, if msrpd has not."""
        ua.agree()
        try:
            call.bye()
        except AssertionError:
            pass                    # 481

    def over(self, proxy, fault, conn):
        """Nothing more is to be expected of the connection."""
        if fault and fault.kind != 'delay' and proxy.hit.is_set():
            return True
        return conn is None or conn.closed


class UaFaults(FaultsMixin, case.Case):
    """A session with the UA, whose peer connects."""

    changes = {'ua': {'reconnect_grace': '0s'}}

    def say_to(self, call):
        """The Message-ID of what msrpd took to send; None: it took nothing."""
        try:
            return self.say(call, 'from msrpd')
        except RpcError:
            return None

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
            return told and self.answered(conn, message) or self.over(proxy, fault, conn)
        poll(settled, what='the fate of both messages')
        self.hang_up(call, ua)
        end = self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
        self.check(fault, conn, message, said and end['reason'] == 'failed', reports)
        self._uas.remove(ua)
        ua.close()

    def check(self, fault, conn, message, owed, reports):
        """owed: the session has failed, so that the fate of what was sent has to be told."""
        events = self.ctl.pending('E_MSRP_MSG_RECEIVED')
        delivered = self.delivered(conn, b'from msrpd')
        self.events = len(events)
        self.assertLessEqual(len(events), 1)
        if not (fault and fault.corrupts):
            self.assertLessEqual(delivered, 1)
            if self.answered(conn, message):
                self.assertEqual([e['body'] for e in events], ['to msrpd'])
            self.assertTrue(not owed or self.delivered(conn, b'from msrpd') or reports())
        self.assertLessEqual(reports(), 1)

    def check_counters(self, before, after):
        self.assertEqual(after['msrp:messages_in'] - before['msrp:messages_in'], self.events)
        self.assertEqual(after['ua:sessions'], 0)
        self.assertEqual(after['ua:answered'] - before['ua:answered'], 1)


class UaTlsFaults(UaFaults):
    secure = True


class GatewayFaults(FaultsMixin, GatewayCase):
    """A phone with MESSAGE, and an MSRP client whose connection goes wrong."""

    changes = {'ua': {'reconnect_grace': '0s'}, 'routes': routes(confirm='sent')}

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
            paged = page.seen or self.over(proxy, fault, conn)
            return paged and (self.over(proxy, fault, conn) or self.answered(conn, message)
                              and b'to the phone' in rung)
        poll(settled, what='the fate of both messages')
        self.hang_up(call, self.client)
        final = page.final()
        self.ctl.event('E_MSRP_GW_SESSION_END')
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
        self.count = 0
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

        def reports():
            return len(self.heard(back.conn, lambda f: f.method == 'REPORT'))

        def there():
            # A peer that has come by itself is answered on its own connection.
            return sum(self.delivered(one, b'to the peer')
                       for one in (back.conn, *peer.listener.conns))

        def settled():
            told = code != 200 or self.delivered(conn, b'to the client') or reports()
            return told and (self.over(proxy, fault, conn)
                             or self.answered(conn, message) and there())
        poll(settled, what='the fate of both messages')
        if not (fault and fault.corrupts):
            self.assertLessEqual(self.delivered(conn, b'to the client'), 1)
        self.assertLessEqual(there(), 1)
        self.assertLessEqual(reports(), 1)
        self.count = there()

    def check_counters(self, before, after):
        poll(lambda: self.statistics()['relay:sessions'] == 0, what='the end of all grants')
        self.assertGreaterEqual(after['relay:messages'] - before['relay:messages'], self.count)


class RelayTlsFaults(RelayFaults):
    secure = True
    kinds = KINDS


if __name__ == '__main__':
    case.main()
