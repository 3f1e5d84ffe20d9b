#!/usr/bin/env python3
"""SIP over connections that go wrong at any byte: test_faults.py has the rules."""
import re

from lib import case, msrp, sdp
from lib.ctl import RpcError
from lib.daemon import UA_ROUTES
from lib.digest import sip_credentials
from lib.dns import DnsServer
from lib.fault import CORRUPTING, IN, KINDS, OUT
from lib.gateway import CLIENT, PHONE, TEXT, GatewayCase, routes
from lib.registrar import DOMAIN, RegistrarCase
from lib.registrar import config as registrar_config
from lib.sip import Dialog, parameters, token
from lib.tls_server import TlsServer
from lib.waiting import poll
from lib.walk import Walk


class SipFaults(Walk, RegistrarCase):
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
        cls.config = {**registrar_config(), 'sip': section | cls.prepare_tls(),
                      'dns': {'servers': [cls.dns.address]}}
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
        self.friends = []               # who pages are for
        self.sessions = self.asked = self.taken = 0
        # What we ask for may be something else.
        self.changed = fault and fault.corrupts and fault.direction == IN
        self.talk(proxy, fault)
        if fault:
            self.talk(proxy, None)

    def talk(self, proxy, fault):
        phone, friend = self.ua(user='alice', name='phone'), self.ua(user=token(), name='friend')
        phone.advertise = friend.advertise = self.HOST
        transport = self.dial(phone, proxy)
        refusals = ()
        if fault and fault.corrupts:
            # Of what it was made into; or a status with a digit more.
            refusals = range(400, 600) if fault.direction == IN else range(1000, 6000)
        elif fault and fault.kind == 'stall':
            refusals = 408,        # half a request: message_timeout
        aor, domain = self.aor(), f'sip:{DOMAIN}'

        def register(*fields, cseq=1):
            return phone.request('REGISTER', domain, transport, from_uri=aor, to_uri=aor,
                                 cseq=cseq, headers=[('Contact', f'<{phone.contact(self.kind)}>'),
                                                     *fields])
        first = self.ask(register, transport, 401, 403, *refusals)
        value = first and first.get('WWW-Authenticate')
        if value and fault and fault.corrupts \
                and not {'realm', 'nonce'} <= parameters(value).keys():
            value = None            # a challenge that nobody can answer
        second = value and self.ask(
            lambda: register(('Authorization', sip_credentials(
                value, 'REGISTER', domain, 'alice', 'alice secret')), cseq=2),
            transport, 200, *((401, 403, *refusals) if refusals else ()))
        page = self.ask(lambda: phone.request(
            'MESSAGE', domain, transport, b'hello', content_type='text/plain', to_uri=aor,
            headers=[('X-To', friend.contact())]), transport, 202, *refusals)
        offer = self.offer()
        call = self.ask(lambda: phone.request('INVITE', domain, transport, offer),
                        transport, 200, *refusals)
        self.asked += transport is not None
        self.taken += call is not None and call.code == 200
        bye = None
        if call and call.code == 200 and not (fault and fault.corrupts and fault.direction == OUT):
            bye = self.hang_up(phone, call, transport, refusals)
        self.settle(phone, friend, fault, (second, page, call, bye))

    def hang_up(self, phone, call, transport, refusals):
        transaction = next(iter(t for t in phone._clients.values() if call in t.seen))
        dialog = Dialog.of_client(transaction, call)
        try:
            dialog.ack()
        except OSError:
            pass
        bye = self.ask(lambda: dialog.request('BYE'), transport, 200, 481, *refusals)
        if not bye or bye.code != 200:
            # Whoever has lost the connection, or was not understood, says it over another.
            dialog.transport = phone.reach('127.0.0.1', self.daemon.sip_port)
            bye = dialog.request('BYE').final()
            if self.changed and bye.code == 500:
                dialog.cseq += 1000     # the INVITE's was another one (RFC 3261 12.2.2)
                bye = dialog.request('BYE').final()
            self.assertIn(bye.code, (200, 481))
        return bye

    def settle(self, phone, friend, fault, answers):
        """What was asked for has been done, once; then nothing of it is left."""
        second, page, call, bye = answers
        phone.agree()
        if page and page.code == 202 and not self.changed:
            friend.expect('MESSAGE').respond(200)
        poll(lambda: not self.ctl.call('msrp_ua_list_sessions'), what='the end of the session')
        events = {name: len(self.ctl.pending(name)) for name in
                  ('E_MSRP_SESSION_NEW', 'E_MSRP_SESSION_END', 'E_REGISTRATION_NEW')}
        self.assertEqual(events['E_MSRP_SESSION_NEW'], events['E_MSRP_SESSION_END'])
        self.assertLessEqual(events['E_MSRP_SESSION_NEW'], 1)
        self.assertLessEqual(events['E_REGISTRATION_NEW'], 1)
        if second and second.code == 200 and second.get('Contact'):     # or it was a question
            self.assertEqual(events['E_REGISTRATION_NEW'], 1)
        if self.harmless(fault):
            self.assertEqual([one and one.code for one in answers], [200, 202, 200, 200])
        for one in self.ctl.call('registrar_list'):
            try:
                self.ctl.call('registrar_remove', aor=one['aor'])
            except RpcError:
                pass                # gone with its connection
        self.sessions += events['E_MSRP_SESSION_NEW']
        self.ctl.events.items.clear()
        friend.agree()                  # to a page of whose answer nobody heard
        self.friends.append(friend)
        self.leave(phone)

    def leave(self, ua):
        self._uas.remove(ua)
        ua.close()

    def check_counters(self, before, after):
        def agreed():
            # His port was another one's before, for whom a page may still come again.
            pages = [sum(friend.user in t.request.uri for t in list(friend._servers.values()))
                     for friend in self.friends]
            self.assertLessEqual(max(pages), 1)
            # To whom a page names that has lost a byte nobody knows.
            sent = self.statistics()['sip:messages_out'] - before['sip:messages_out']
            return sent - sum(pages) in ((0, 1) if self.changed else (0,))
        poll(agreed, what='all pages')  # one may be on its way
        for friend in self.friends:
            self.leave(friend)
        # Those that the phone was told of, and those whose 200 was lost.
        answered = after['ua:answered'] - before['ua:answered']
        self.assertIn(answered, range(max(self.sessions, self.taken), self.asked + 1))


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
        return '127.0.0.1', self.peer_port()

    def peer_port(self):
        return self.peer.port

    def converse(self, proxy, fault):
        taker = self.listener(advertise=self.HOST)
        session = self.ctl.call(
            'msrp_ua_start_session', content_types=TEXT, from_uri='sip:a@example.org',
            to_uri='sip:b@example.org',
            ruri=f'sip:b@127.0.0.1:{proxy.port};transport={self.kind.lower()}')['session_id']

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
        self.leave(self.peer)

    def check_counters(self, before, after):
        self.assertEqual(after['ua:started'] - before['ua:started'], 1)
        self.assertEqual(after['ua:sessions'], 0)


class SipDialTlsFaults(SipDialFaults):
    kind, secure = 'TLS', True

    def peer_port(self):
        self.server = TlsServer(self.peer, self.server_tls)
        return self.server.port

    def converse(self, proxy, fault):
        super().converse(proxy, fault)
        self.server.close()


class PageDialFaults(Walk, GatewayCase):
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
