#!/usr/bin/env python3
"""Conversations over connections that go wrong at any byte (lib/fault.py).

Whatever happens to the connection: each message is delivered once, or its sender is told; no
more than once; the counters say what the peers saw; and nothing is left behind, no memory either.
A conversation ends when both sides know what became of all that was said, or when its connection
is gone, and no sooner.  This takes a sample of all bytes; scripts/torture walks the rest.
"""
import os
import re
import ssl

from lib import case, certs, judge, msrp, sdp
from lib.ctl import RpcError
from lib.daemon import UA_ROUTES
from lib.digest import sip_credentials
from lib.dns import DnsServer
from lib.fault import CORRUPTING, KINDS, OUT, FaultProxy, faults
from lib.gateway import CLIENT, PHONE, TEXT, GatewayCase, routes
from lib.registrar import DOMAIN, RegistrarCase
from lib.registrar import config as registrar_config
from lib.relay_client import USERS, Client, Peer, Refused
from lib.sip import Dialog
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

    def target(self):
        """Where the proxy connects to."""
        return self.daemon.listeners(self.ctl)[0]

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
        before = self.statistics()
        self.ctl.events.items.clear()
        proxy = FaultProxy(*self.target(), fault)
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

    def end(self, call, ua, lost):
        """msrpd ends a session that has lost its connection; any other one the peer ends."""
        ua.agree()
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
        scheme = 'msrps' if self.secure else 'msrp'
        call = self.call(path=f'{scheme}://127.0.0.1:9/peer;tcp', connect=False, ua=ua)
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
        self.assertEqual(after[self.counter] - before[self.counter], 1)


class UaTlsFaults(UaFaults):
    secure = True


class UaDialFaults(UaFaults):
    """msrpd calls, and connects to the peer through the proxy."""

    counter = 'ua:started'

    def target(self):
        # Who listens there is known once the call has begun.
        self.taker = msrp.Listener(tls=self.secure and certs.server_context(self.ca.issue('peer')))
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


class SipFaults(FaultsMixin, RegistrarCase):
    """A phone whose SIP connection goes wrong: REGISTER, MESSAGE, INVITE and BYE."""

    kind = 'TCP'
    HOST = 'phone.example'      # by name: an address of which a byte is missing is someone else's
    sip = {'transaction_timeout': '1s', 'message_timeout': '1s'}

    @classmethod
    def prepare(cls):
        cls.dns = DnsServer()
        cls.addClassCleanup(cls.dns.close)
        cls.dns.host(cls.HOST)
        where = {'TLS': 'sips:127.0.0.1:0'}.get(
            cls.kind, f'sip:127.0.0.1:0;transport={cls.kind.lower()}')
        section = {**cls.sip, 'listen': ['sip:127.0.0.1:0;transport=udp', where]}
        if cls.secure:
            cls.ca = certs.Authority(cls.directory)
            own = cls.ca.issue('msrpd')
            section['tls'] = {'certificate': own.certificate, 'private_key': own.key,
                              'ca_file': cls.ca.file}
        cls.config = {**registrar_config(), 'sip': section, 'dns': {'servers': [cls.dns.address]}}
        cls.config['routes'] = {'sip': [
            {'if': {'$rm': 'MESSAGE'}, 'do': [
                {'send_message': {'ruri': '$hdr(X-To)', 'from': '$fu', 'to': '$tu',
                                  'content_type': '$cT', 'body': '$rb'}},
                {'send_reply': {'code': 202, 'reason': 'Accepted'}}]}, *UA_ROUTES]}

    def setUp(self):
        super().setUp()
        self.target()
        # What msrpd opens once to ask for a name is there from now on.
        self.ctl.call('msrp_ua_start_session', content_types=TEXT, ruri=f'sip:a@{self.HOST}:9',
                      from_uri='sip:a@example.org', to_uri='sip:a@example.org')
        self.ctl.event('E_MSRP_SESSION_FAILED')

    def target(self):
        datagrams, stream = (re.search(r':([0-9]+)(;|$)', uri)[1]
                             for uri in self.ctl.call('status')['listen']['sip'])
        self.daemon.sip_port = int(datagrams)
        return '127.0.0.1', int(stream)

    def quiet(self):
        now = self.statistics()
        return now['sip:connections'] == now['msrp:body_bytes'] == now['ua:sessions'] == 0

    def statistics(self):
        return self.ctl.call('get_statistics')

    def dial(self, ua, proxy):
        """None when the fault was faster."""
        try:
            return ua.reach('127.0.0.1', proxy.port, self.kind, self.tls)
        except (OSError, ValueError, AssertionError):
            if not proxy.fault:
                raise
            return None

    def ask(self, make, transport, *codes):
        """The answer to a request, None if its connection is gone without one."""
        if transport is None or transport.closed:
            return None
        try:
            transaction = make()
        except OSError:
            return None             # it has closed while we wrote
        poll(lambda: [one for one in transaction.seen if one.code >= 200] or transport.closed,
             what=f'an answer to {transaction.request!r}, or the end')
        for response in transaction.seen:
            if response.code >= 200:
                self.assertIn(response.code, codes)
                return response
        return None

    def converse(self, proxy, fault):
        # Twice: the second connection is good, whatever became of the first.
        self.counted = 0, 0
        self.talk(proxy, fault)
        if fault:
            self.talk(proxy, None)

    def talk(self, proxy, fault):
        phone, friend = self.ua(user='alice', name='phone'), self.ua(name='friend')
        phone.advertise = self.HOST
        transport = self.dial(phone, proxy)
        corrupted = (400, 404, 413, 416, 420, 481, 488, 500, 501, 505, 513) \
            if fault and fault.corrupts else ()
        aor, domain = self.aor(), f'sip:{DOMAIN}'

        def register(*fields, cseq=1):
            return phone.request('REGISTER', domain, transport, from_uri=aor, to_uri=aor,
                                 cseq=cseq, headers=[('Contact', f'<{phone.contact(self.kind)}>'),
                                                     *fields])
        first = self.ask(register, transport, 401, 403, *corrupted)
        value = first and first.get('WWW-Authenticate')
        second = value and self.ask(
            lambda: register(('Authorization', sip_credentials(
                value, 'REGISTER', domain, 'alice', 'alice secret')), cseq=2),
            transport, 200, *((401, 403, 423, *corrupted) if corrupted else ()))
        page = self.ask(lambda: phone.request(
            'MESSAGE', domain, transport, b'hello', content_type='text/plain', to_uri=aor,
            headers=[('X-To', friend.contact())]), transport, 202, *corrupted)
        offer = self.offer()
        call = self.ask(lambda: phone.request('INVITE', domain, transport, offer),
                        transport, 200, *corrupted)
        bye = None
        if call and call.code == 200 and not (fault and fault.corrupts and fault.direction == OUT):
            bye = self.hang_up(phone, call, transport, corrupted)
        self.settle(phone, friend, fault, (second, page, call, bye))

    def hang_up(self, phone, call, transport, corrupted):
        transaction = next(iter(t for t in phone._clients.values() if call in t.seen))
        dialog = Dialog.of_client(transaction, call)
        try:
            dialog.ack()
        except OSError:
            pass
        bye = self.ask(lambda: dialog.request('BYE'), transport, 200, 481, *corrupted)
        if not bye:
            # Whoever has lost the connection says it over another.
            dialog.transport = phone.reach('127.0.0.1', self.daemon.sip_port)
            bye = dialog.request('BYE').final()
            self.assertIn(bye.code, (200, 481))
        return bye

    def settle(self, phone, friend, fault, answers):
        """What was asked for has been done, once; then nothing of it is left."""
        second, page, call, bye = answers
        phone.agree()
        if page and page.code == 202:
            friend.expect('MESSAGE').respond(200)
        poll(lambda: not self.ctl.call('msrp_ua_list_sessions'), what='the end of the session')
        events = {name: len(self.ctl.pending(name)) for name in
                  ('E_MSRP_SESSION_NEW', 'E_MSRP_SESSION_END', 'E_REGISTRATION_NEW')}
        self.assertEqual(events['E_MSRP_SESSION_NEW'], events['E_MSRP_SESSION_END'])
        self.assertLessEqual(events['E_MSRP_SESSION_NEW'], 1)
        self.assertLessEqual(events['E_REGISTRATION_NEW'], 1)
        if second and second.code == 200:
            self.assertEqual(events['E_REGISTRATION_NEW'], 1)
        if self.harmless(fault):
            self.assertEqual([one and one.code for one in answers], [200, 202, 200, 200])
        for one in self.ctl.call('registrar_list'):
            self.ctl.call('registrar_remove', aor=one['aor'])
        for transaction in friend.requests.items:
            transaction.respond(200)        # one whose answer was lost
        self.counted = tuple(map(sum, zip(self.counted, (
            len(friend._servers), events['E_MSRP_SESSION_NEW']))))
        self.assertLessEqual(len(friend._servers), 1)
        self.ctl.events.items.clear()
        for ua in (phone, friend):
            self._uas.remove(ua)
            ua.close()

    def check_counters(self, before, after):
        pages, sessions = self.counted
        self.assertEqual(after['sip:messages_out'] - before['sip:messages_out'], pages)
        self.assertGreaterEqual(after['ua:answered'] - before['ua:answered'], sessions)


class SipTlsFaults(SipFaults):
    kind, secure = 'TLS', True


class SipWsFaults(SipFaults):
    kind = 'WS'


class SipDialFaults(SipFaults):
    """msrpd calls over SIP, by a connection of its own that goes wrong."""

    def target(self):
        super().target()
        self.peer = self.ua(user='peer', name='peer')
        self.peer.advertise = self.HOST
        return '127.0.0.1', self.peer.port

    def converse(self, proxy, fault):
        taker = self.listener(advertise=self.HOST)
        session = self.ctl.call(
            'msrp_ua_start_session', content_types=TEXT, from_uri='sip:a@example.org',
            to_uri='sip:b@example.org',
            ruri=f'sip:b@127.0.0.1:{proxy.port};transport=tcp')['session_id']

        def answer():
            for transaction in self.peer.requests.has(lambda t: not t.last and t.method != 'ACK'):
                body = b''
                if transaction.method == 'INVITE':
                    body = sdp.document(sdp.message(taker.uri(), TEXT, setup='passive'))
                try:
                    transaction.respond(200, body)
                except OSError:
                    pass            # the connection that it came over has closed

        def told(*names):
            return self.ctl.events.has(lambda e: e['params'].get('session_id') == session
                                       and e['method'] in names)

        def begun():
            answer()
            return told('E_MSRP_SESSION_NEW', 'E_MSRP_SESSION_FAILED')
        poll(begun, what='what became of the call')
        if told('E_MSRP_SESSION_NEW'):
            try:
                self.ctl.call('msrp_ua_end_session', session_id=session)
            except RpcError:
                pass                # it was lost before

        def ended():
            answer()
            return not self.ctl.call('msrp_ua_list_sessions')
        poll(ended, what='the end of the session')
        self.assertEqual(len(told('E_MSRP_SESSION_NEW', 'E_MSRP_SESSION_FAILED')), 1)
        self.assertLessEqual(len(told('E_MSRP_SESSION_END')), 1)
        if self.harmless(fault):
            self.assertEqual(len(told('E_MSRP_SESSION_NEW')), 1)
            self.peer.expect('BYE')
        calls = [t for t in self.peer._servers.values() if t.method == 'INVITE']
        self.assertLessEqual(len(calls), 1)
        self._uas.remove(self.peer)
        self.peer.close()

    def check_counters(self, before, after):
        self.assertEqual(after['ua:started'] - before['ua:started'], 1)
        self.assertEqual(after['ua:sessions'], 0)


class PageDialFaults(FaultsMixin, GatewayCase):
    """A message of an MSRP client's, which goes as MESSAGE over a connection that goes wrong."""

    # A host of which a byte is missing would be asked of a name server.
    kinds = [kind for kind in KINDS if kind not in CORRUPTING]
    changes = {'routes': routes(), 'sip': {'transaction_timeout': '1s'}}

    def quiet(self):
        return self.statistics()['sip:connections'] == 0 and super().quiet()

    def target(self):
        self.receiver = self.ua(user='receiver', name='receiver')
        return '127.0.0.1', self.receiver.port

    def converse(self, proxy, fault):
        address = f'sip:receiver@127.0.0.1:{proxy.port};transport=tcp'
        transaction = self.invite(
            self.offer(accept_types=TEXT), ua=self.client, from_uri=CLIENT, to_uri=PHONE,
            headers=[('X-Phone', address)])
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        path = sdp.Sdp(answer.body).message.path
        conn = msrp.connect(path[0])
        session = msrp.Session(conn, path, ['msrp://127.0.0.1:9/client;tcp'])
        message = session.build(body=b'to the phone', success='yes')
        conn.send(session.build(), message)

        def reports():
            for each in self.receiver.requests.has(lambda t: not t.last):
                try:
                    each.respond(200)
                except OSError:
                    pass            # the connection that it came over has closed
            return [frame.get('Status')[:7] for frame in self.heard(
                conn, lambda f: f.method == 'REPORT'
                and f.get('Message-ID') == message.message_id)]
        poll(reports, what='what became of the message')
        dialog.bye()
        self.ctl.event('E_MSRP_GW_SESSION_END')
        rung = [t for t in self.receiver._servers.values() if t.method == 'MESSAGE']
        self.assertEqual(len(reports()), 1)
        self.assertLessEqual(len(rung), 1)
        self.good = reports() == ['000 200']
        if self.good:
            self.assertEqual(rung[0].request.body, b'to the phone')
        if self.harmless(fault):
            self.assertTrue(self.good)
        self._uas.remove(self.receiver)
        self.receiver.close()

    def check_counters(self, before, after):
        self.assertEqual(after['gw:sessions'], 0)
        self.assertEqual(after['gw:to_sip'] - before['gw:to_sip'], self.good)


if __name__ == '__main__':
    case.main()
