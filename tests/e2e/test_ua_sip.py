#!/usr/bin/env python3
"""SIP around the session: refusals, challenges, redirects, forks, routes, time-outs."""
import hashlib
import os
import socket
import time

from lib import case, certs, front, sdp
from lib.case import Call
from lib.daemon import free_port
from lib.sip import Dialog, authorized, challenge, parameters, token, uri_of
from lib.sipp import SCENARIOS, Sipp
from lib.waiting import poll


class UasTest(case.Case):
    config = {'routes': {'sip': [{'if': {'$rm': 'INVITE', '$rU': 'chat'},
                                  'do': [{'msrp_ua_answer': {'content_types': 'text/plain'}}]}]}}

    def out_of_dialog(self, method, **kwargs):
        transport = self.sip.reach('127.0.0.1', self.daemon.sip_port)
        return self.sip.request(method, self.daemon.sip_uri, transport, **kwargs)

    def test_options(self):
        """RFC 3261 11.2: OPTIONS is answered 200 without a rule, and says what we can."""
        response = self.out_of_dialog('OPTIONS').final(200)
        allow = response.get('Allow', '')
        for method in ('INVITE', 'ACK', 'CANCEL', 'BYE', 'OPTIONS', 'MESSAGE', 'UPDATE'):
            self.assertIn(method, allow)
        self.assertEqual(response.all('Accept'), ['application/sdp'])

    def test_other_methods(self):
        """RFC 3261 8.2.1: 405 with Allow, or 481, for methods that nothing here takes."""
        for method in ('SUBSCRIBE', 'PUBLISH', 'INFO', 'NOTIFY', 'PRACK', 'FOO'):
            with self.subTest(method):
                headers = {'SUBSCRIBE': [('Event', 'presence')], 'NOTIFY': [('Event', 'presence')],
                           'PUBLISH': [('Event', 'presence')],
                           'PRACK': [('RAck', '1 1 INVITE')]}.get(method, [])
                if method in ('SUBSCRIBE', 'NOTIFY'):
                    headers = headers + [('Contact', f'<{self.sip.contact()}>')]
                response = self.out_of_dialog(method, headers=headers).final()
                self.assertIn(response.code, (405, 481, 489, 501))
                if response.code == 405:
                    self.assertIn('INVITE', response.get('Allow', ''))
        self.call().send('unharmed')

    def test_no_dialog(self):
        """RFC 3261 12.2.2: requests within a dialog that is none get 481."""
        call = self.call()
        for method in ('BYE', 'INVITE', 'UPDATE', 'MESSAGE'):
            with self.subTest(method):
                dialog = Dialog(self.sip, call.dialog.transport, token(), call.dialog.local,
                                f'<{self.daemon.sip_uri}>;tag=nobody', self.daemon.sip_uri)
                body = self.offer() if method in ('INVITE', 'UPDATE') else b''
                dialog.request(method, body).final(481)
        call.send('unharmed')

    def test_no_rule(self):
        """No rule holds: 404, for INVITE and MESSAGE; 405 for a REFER."""
        self.invite(self.offer(), uri=f'sip:nobody@127.0.0.1:{self.daemon.sip_port}').final(404)
        self.out_of_dialog('MESSAGE', body=b'hi', content_type='text/plain').final(404)
        self.out_of_dialog('REFER', headers=[('Contact', f'<{self.sip.contact()}>'),
                                             ('Refer-To', '<sip:x@y>')]).final(405)
        self.assertEqual(self.ctl.call('msrp_ua_list_sessions'), [])

    def test_required_extension(self):
        """RFC 3261 8.2.2.3: an unknown option tag in Require gets 420 with Unsupported."""
        response = self.invite(self.offer(), headers=[('Require', 'foobar')]).final(420)
        self.assertEqual(response.get('Unsupported'), 'foobar')

    def test_reliable_where_required(self):
        """RFC 3262 3: Require: 100rel is about provisional responses; we send none but the 100."""
        transaction = self.invite(self.offer(), headers=[('Require', '100rel')])
        dialog = Dialog.of_client(transaction, transaction.final(200))
        self.assertEqual([r.code for r in transaction.responses.has() if r.code > 100], [])
        dialog.ack()
        dialog.bye()

    def test_preconditions(self):
        """RFC 3312: taken where what is meets what is wanted, otherwise 580."""
        met = ['a=curr:qos e2e sendrecv', 'a=des:qos mandatory e2e sendrecv',
               'a=curr:qos local none', 'a=des:qos optional local sendrecv',
               'a=des:qos none remote sendrecv']
        transaction = self.invite(self.offer(extra=met), headers=[('Require', 'precondition')])
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        # RFC 3312 5: the same from our side
        said = [line for line in answer.body.decode().splitlines() if 'qos' in line]
        self.assertEqual(said, ['a=curr:qos e2e sendrecv', 'a=des:qos mandatory e2e sendrecv',
                                'a=curr:qos remote none', 'a=des:qos optional remote sendrecv',
                                'a=des:qos none local sendrecv'])
        dialog.ack()
        dialog.bye()
        for unmet in (['a=curr:qos local none', 'a=des:qos mandatory local sendrecv'],
                      ['a=curr:qos local send', 'a=des:qos mandatory local sendrecv'],
                      ['a=des:qos mandatory remote recv'], ['a=des:foo mandatory e2e sendrecv']):
            self.invite(self.offer(extra=unmet), headers=[('Require', 'precondition')]).final(580)

    def test_cancel(self):
        """RFC 3261 9.2: INVITE and CANCEL at once: 487 or 200, and no session in the end."""
        transaction = self.invite(self.offer())
        cancel = transaction.cancel()
        # A 2xx ends the server transaction (17.2.1): a CANCEL behind it finds none (9.2).
        cancelled = cancel.final().code == 200
        response = transaction.final()
        self.assertIn(response.code, (200, 487) if cancelled else (200, ))
        if response.code == 200:
            dialog = Dialog.of_client(transaction, response)
            dialog.ack()
            dialog.bye()
        poll(lambda: not self.ctl.call('msrp_ua_list_sessions'), what='no session')

    def test_retransmitted_invite(self):
        """RFC 3261 17.2.1: the same INVITE again makes no second session."""
        transaction = self.invite(self.offer())
        transaction.send()
        response = transaction.final(200)
        transaction.send()
        dialog = Dialog.of_client(transaction, response)
        dialog.ack()
        self.ctl.event('E_MSRP_SESSION_NEW')
        self.assertEqual(len(self.ctl.call('msrp_ua_list_sessions')), 1)
        dialog.ack()
        dialog.ack()
        dialog.bye()
        self.assertEqual(self.ctl.pending('E_MSRP_SESSION_NEW'), [])

    def test_bye_before_ack(self):
        """BYE during the set-up ends the session without a fuss."""
        transaction = self.invite(self.offer())
        response = transaction.final(200)
        dialog = Dialog.of_client(transaction, response)
        dialog.bye()
        dialog.ack(cseq=1)
        poll(lambda: not self.ctl.call('msrp_ua_list_sessions'), what='no session')
        self.call().send('unharmed')

    def test_session_timer(self):
        """RFC 4028: a session timer that the peer wants is agreed to."""
        transaction = self.invite(self.offer(), headers=[
            ('Supported', 'timer'), ('Session-Expires', '1800;refresher=uac'), ('Min-SE', '90')])
        response = transaction.final(200)
        self.assertRegex(response.get('Session-Expires', ''), r'^1800\s*;\s*refresher=uac')
        dialog = Dialog.of_client(transaction, response)
        dialog.ack()
        dialog.bye()
        response = self.invite(self.offer(), headers=[
            ('Supported', 'timer'), ('Session-Expires', '10')]).final(422)
        self.assertTrue(response.get('Min-SE'))

    def test_record_route(self):
        """RFC 3261 12.1.1: our BYE follows the route set of the INVITE."""
        proxy = self.ua(user='proxy', name='proxy')
        ua = self.ua()
        transaction = self.invite(self.offer(), ua=ua, headers=[
            ('Record-Route', f'<sip:127.0.0.1:{proxy.port};lr>')])
        response = transaction.final(200)
        self.assertEqual(response.all('Record-Route'), [f'<sip:127.0.0.1:{proxy.port};lr>'])
        dialog = Dialog.of_client(transaction, response)
        dialog.routes = []
        dialog.ack()
        event = self.ctl.event('E_MSRP_SESSION_NEW')
        self.ctl.call('msrp_ua_end_session', session_id=event['session_id'])
        bye = proxy.expect('BYE')
        self.assertEqual(bye.request.uri, ua.contact())
        bye.respond(200)


class UacTest(case.Case):
    config = {'credentials': [
        {'realm': 'example.org', 'username': 'gw', 'password': 's3cret'},
        {'realm': 'hashed.org', 'username': 'gw',
         'ha1': hashlib.md5(b'gw:hashed.org:s3cret').hexdigest()}]}

    def challenged(self, invite, code, realm='example.org', nonce='abc', extra=''):
        header, answer = (('WWW-Authenticate', 'Authorization') if code == 401 else
                          ('Proxy-Authenticate', 'Proxy-Authorization'))
        invite.respond(code, headers=[(header, challenge(realm, nonce, extra=extra))])
        self.sip.expect_failure_ack(invite)
        return answer

    def test_challenges(self):
        """401 and 407 are answered with the credentials of their realm, ha1 as well."""
        for code in (401, 407):
            for realm in ('example.org', 'hashed.org'):
                with self.subTest(code=code, realm=realm):
                    session_id, invite = self.start_session()
                    header = self.challenged(invite, code, realm)
                    again = self.sip.expect('INVITE')
                    value = again.request.get(header)
                    self.assertTrue(authorized(value, 'INVITE', 's3cret'), value)
                    given = parameters(value)
                    self.assertEqual((given['username'], given['realm'], given['uri']),
                                     ('gw', realm, again.request.uri))
                    self.assertEqual(again.request.call_id, invite.request.call_id)
                    self.assertGreater(again.request.cseq[0], invite.request.cseq[0])
                    self.assertEqual(again.request.body, invite.request.body)
                    again.respond(486)
                    self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED'), {
                        'session_id': session_id, 'code': 486, 'reason': 'Busy Here'})

    def test_authorized_session(self):
        """A challenged session works like any other."""
        listener = self.listener()
        session_id, invite = self.start_session()
        self.challenged(invite, 407)
        again = self.sip.expect('INVITE')
        path = listener.uri()
        again.respond(200, sdp.document(sdp.message(path, setup='passive')))
        dialog = Dialog.of_server(again)
        dialog.expect('ACK')
        call = Call(self, dialog, sdp.Sdp(again.request.body), path, listener.accept(), session_id)
        call.send('hello')
        self.received(call)

    def test_wrong_credentials(self):
        """Refused again is refused for good: two INVITEs, then the event."""
        session_id, invite = self.start_session()
        self.challenged(invite, 401)
        again = self.sip.expect('INVITE')
        self.challenged(again, 401, nonce='def')
        event = self.ctl.event('E_MSRP_SESSION_FAILED')
        self.assertEqual((event['session_id'], event['code']), (session_id, 401))
        self.assertEqual(self.sip.requests.has(lambda t: t.method == 'INVITE'), [])

    def test_stale_nonce(self):
        """RFC 2617 3.2.1: stale=true is worth another try, but not for ever."""
        _, invite = self.start_session()
        self.challenged(invite, 401)
        again = self.sip.expect('INVITE')
        self.challenged(again, 401, nonce='fresh', extra=', stale=true')
        third = self.sip.expect('INVITE')
        self.assertEqual(parameters(third.request.get('Authorization'))['nonce'], 'fresh')
        count = 0
        while third:
            count += 1
            self.challenged(third, 401, nonce=f'fresh{count}', extra=', stale=true')
            third = self.another_invite()
        self.assertLess(count, 10)
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], 401)

    def another_invite(self):
        """None: the session has failed instead."""
        poll(lambda: self.sip.requests.has(lambda t: t.method == 'INVITE')
             or self.ctl.events.has(lambda e: e['method'] == 'E_MSRP_SESSION_FAILED'),
             what='another INVITE or the end')
        return self.sip.expect('INVITE') \
            if self.sip.requests.has(lambda t: t.method == 'INVITE') else None

    def test_unknown_realm(self):
        """No credentials for the realm: no retry, E_MSRP_SESSION_FAILED with the code."""
        for code in (401, 407):
            session_id, invite = self.start_session()
            self.challenged(invite, code, 'elsewhere.org')
            event = self.ctl.event('E_MSRP_SESSION_FAILED')
            self.assertEqual((event['session_id'], event['code']), (session_id, code))

    def test_redirect(self):
        """3xx is followed to its Contact; to and from stay what they were."""
        other = self.ua(user='moved', name='target')
        ua = self.ua()
        for code in (301, 302):
            with self.subTest(code):
                session_id, invite = self.start_session(ua=ua)
                invite.respond(code, headers=[('Contact', f'<{other.contact()}>')], contact=False)
                ua.expect_failure_ack(invite)
                again = other.expect('INVITE')
                self.assertEqual(again.request.uri, other.contact())
                self.assertEqual(uri_of(again.request.get('To')), 'sip:bob@example.org')
                again.respond(486)
                self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['session_id'],
                                 session_id)

    def test_redirect_order(self):
        """RFC 3261 20.10: by falling q, an absent one being 1."""
        ua = self.ua()
        session_id, invite = self.start_session(ua=ua)
        contacts = ', '.join(f'<{ua.contact()};n={name}>{q}' for name, q in (
            ('third', ';q=0.3'), ('first', ''), ('last', ';q=0.05'), ('second', ';q=0.7'),
            ('fourth', ';q=0.3')))
        invite.respond(300, headers=[('Contact', contacts)], contact=False)
        for name in ('first', 'second', 'third', 'fourth', 'last'):
            invite = ua.expect('INVITE')
            self.assertEqual(invite.request.uri, f'{ua.contact()};n={name}')
            invite.respond(486)
        self.ctl.event('E_MSRP_SESSION_FAILED', session_id=session_id, code=486)

    def test_redirect_loop(self):
        """Five targets at most, then E_MSRP_SESSION_FAILED with the 3xx."""
        session_id, invite = self.start_session()
        count = 0
        while invite:
            count += 1
            invite.respond(302, headers=[('Contact', f'<{self.sip.contact()};n={count}>')],
                           contact=False)
            self.sip.expect_failure_ack(invite)
            invite = self.another_invite()
        self.assertEqual(count, 6)      # the first, and five that it was sent on to
        event = self.ctl.event('E_MSRP_SESSION_FAILED')
        self.assertEqual((event['session_id'], event['code']), (session_id, 302))

    def test_redirect_to_nowhere(self):
        """A 3xx without Contact, or with a foreign scheme, is a refusal."""
        for contact in (None, '<mailto:x@example.org>'):
            session_id, invite = self.start_session()
            headers = [('Contact', contact)] if contact else []
            invite.respond(302, headers=headers, contact=False)
            event = self.ctl.event('E_MSRP_SESSION_FAILED', session_id=session_id)
            self.assertGreaterEqual(event['code'], 300)

    def test_fork(self):
        """RFC 4975 8.8: two 200s from two forks: one session, the other acknowledged and ended."""
        one, two = self.listener(), self.listener()
        session_id, invite = self.start_session()
        answers = [invite.respond(200, sdp.document(sdp.message(listener.uri(), setup='passive')),
                                  tag=tag) for listener, tag in ((one, 'one'), (two, 'two'))]
        bye = self.sip.expect('BYE')
        self.assertIn(bye.request.to_tag, ('one', 'two'))
        bye.respond(200)
        kept = one if bye.request.to_tag == 'two' else two
        conn = kept.accept()
        self.assertIsNone(conn.expect('SEND').body)
        acks = {self.sip.expect('ACK').request.to_tag for _ in range(2)}
        self.assertEqual(acks, {'one', 'two'})
        self.assertEqual((one.count, two.count).count(0), 1)
        self.assertEqual(len(self.ctl.call('msrp_ua_list_sessions')), 1)
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=session_id)
        self.assertEqual(len(answers), 2)

    def test_repeated_200(self):
        """RFC 3261 13.2.2.4: each retransmission of the 200 gets the ACK again."""
        call = self.answered()
        invite, = [t for t in self.sip._servers.values() if t.method == 'INVITE']
        for _ in range(20):
            invite.transport.send(invite.last.encode())
            call.dialog.expect('ACK')
        call.send('unharmed')

    def test_early_media_of_no_interest(self):
        """183 with SDP, 180 twice, 199: provisional all of them."""
        listener = self.listener()
        _, invite = self.start_session()
        body = sdp.document(sdp.message(listener.uri(), setup='passive'))
        for code in (100, 180, 183, 180, 199):
            invite.respond(code, body if code == 183 else b'')
        invite.respond(200, body)
        self.assertIsNone(listener.accept().expect('SEND').body)

    def reliably(self, body, final_body, tag=None):
        """Answer an INVITE by a reliable 183, and the PRACK, and then by 200."""
        session_id, invite = self.start_session()
        self.assertIn('100rel', invite.request.get('Supported'))
        self.assertIsNone(invite.request.get('Require'))
        for name in ('Contact', 'Max-Forwards', 'Allow'):
            self.assertTrue(invite.request.get(name), name)
        invite.respond(183, body, headers=[('Require', '100rel'), ('RSeq', '7')])
        prack = self.sip.expect('PRACK')
        self.assertEqual(prack.request.get('RAck'), f'7 {invite.request.cseq[0]} INVITE')
        prack.respond(200)
        invite.respond(200, final_body, tag=tag)
        Dialog.of_server(invite).expect('ACK')
        return session_id

    def test_reliable_provisional(self):
        """RFC 3262: PRACK; an answer there need not come again in the 200."""
        answer = self.offer(accept_types='text/plain', setup='active')
        for final_body in (answer, b''):
            session_id = self.reliably(answer, final_body)
            event = self.ctl.event('E_MSRP_SESSION_NEW', session_id=session_id)
            self.assertEqual(event['content_types'], 'text/plain')
        session_id = self.reliably(b'', answer)
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=session_id)
        session_id = self.reliably(b'', b'')
        self.sip.expect('BYE').respond(200)
        self.ctl.event('E_MSRP_SESSION_FAILED', session_id=session_id, code=488)


class OutboundProxyTest(case.Case):
    @classmethod
    def prepare(cls):
        cls.proxy_port = free_port()
        cls.config = {'sip': {'outbound_proxy': f'sip:127.0.0.1:{cls.proxy_port};lr'}}

    def test_proxy(self):
        """outbound_proxy: the INVITE goes there, whatever its Request-URI."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(('127.0.0.1', self.proxy_port))
            sock.settimeout(10)
            self.ctl.call('msrp_ua_start_session', content_types='text/plain',
                          from_uri='sip:a@example.org', to_uri='sip:b@example.org',
                          ruri='sip:b@unreachable.invalid')
            data, peer = sock.recvfrom(65536)
            self.assertTrue(data.startswith(b'INVITE sip:b@unreachable.invalid SIP/2.0\r\n'), data)
            self.assertIn(f'Route: <sip:127.0.0.1:{self.proxy_port};lr>'.encode(), data)
            head = data.split(b'\r\n\r\n')[0].split(b'\r\n')[1:]
            keep = [line for line in head if line.split(b':')[0] in (
                b'Via', b'From', b'Call-ID', b'CSeq')]
            to = [line + b';tag=x' for line in head if line.startswith(b'To:')]
            sock.sendto(b'\r\n'.join([b'SIP/2.0 486 Busy Here', *keep, *to,
                                      b'Content-Length: 0', b'', b'']), peer)
            self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], 486)


class AdvertisedContactTest(case.Case):
    config = {'sip': {'advertised_contact': 'sip:msrpd@im.example.org:5099'}}

    def test_contact(self):
        """advertised_contact: in our answers and in our requests."""
        answer = self.invite(self.offer()).final(200)
        self.assertEqual(uri_of(answer.get('Contact')), 'sip:msrpd@im.example.org:5099')
        _, invite = self.start_session()
        self.assertEqual(uri_of(invite.request.get('Contact')), 'sip:msrpd@im.example.org:5099')
        invite.respond(486)


class RouteTest(case.Case):
    """Rules on SIP requests: each test has its user in the Request-URI."""

    TABLE = {
        # user: (if, whether a request that is the same for all of them matches)
        'method': ({'$rm': 'MESSAGE'}, True),
        'method2': ({'$rm': 'INVITE'}, False),
        'list': ({'$rm': ['INVITE', 'MESSAGE']}, True),
        'fromuser': ({'$fU': 'alice'}, True),
        'fromdomain': ({'$fd': 'example.org'}, True),
        'fromuri': ({'$fu': 'sip:alice@*'}, True),
        'touri': ({'$tu': 'sip:bob@example.???'}, True),
        'touser': ({'$tU': 'bo*'}, True),
        'todomain': ({'$td': '~^example\\.(org|net)$'}, True),
        'regex': ({'$tu': '~bob'}, True),
        'noregex': ({'$tu': '~^bob'}, False),
        'source': ({'$si': '127.0.0.0/8'}, True),
        'source2': ({'$si': '10.0.0.0/8'}, False),
        'port': ({'$sp': '>1023'}, True),
        'port2': ({'$sp': '<1024'}, False),
        'proto': ({'$proto': 'udp'}, True),
        'type': ({'$cT': 'text/plain*'}, True),
        'agent': ({'$ua': 'tester/1.*'}, True),
        'body': ({'$rb': '*magic*'}, True),
        'header': ({'$hdr(X-Kind)': 'special'}, True),
        'header2': ({'$hdr(x-kind)': 'special'}, True),
        'header3': ({'$hdr(X-Other)': '*'}, False),
        'noheader': ({'$hdr(X-Other)': None}, True),
        'someheader': ({'$hdr(X-Kind)': None}, False),
        'not': ({'$fU': '!alice'}, False),
        'not2': ({'$fU': '!bob'}, True),
        'number': ({'$hdr(X-Number)': '=7'}, True),
        'number2': ({'$hdr(X-Number)': '>=8'}, False),
        'number3': ({'$hdr(X-Kind)': '<9'}, False),
        'both': ({'$fU': 'alice', '$tU': 'bob'}, True),
        'both2': ({'$fU': 'alice', '$tU': 'carol'}, False),
        'maps': ([{'$fU': 'alice'}, {'$tU': ['bob', 'carol']}], True),
        'maps2': ([{'$fU': 'alice'}, {'$tU': 'carol'}], False),
        'callid': ({'$ci': 'call-*'}, True),
        'contact': ({'$ct': None}, True),
    }

    @classmethod
    def prepare(cls):
        rules = []
        for user, (condition, _) in cls.TABLE.items():
            maps = condition if isinstance(condition, list) else [condition]
            rules.append({'if': [{'$rU': user}, *maps],
                          'do': [{'send_reply': {'code': 299, 'reason': 'Matched'}}]})
        rules += [
            {'if': {'$rU': 'reply'}, 'do': [{'send_reply': {
                'code': 480, 'reason': 'Try $fU later, $$5',
                'headers': {'Retry-After': '30', 'X-From': '$fu'}}}]},
            {'if': {'$rU': 'walk'}, 'continue': True,
             'do': [{'log': {'level': 'info', 'text': 'walking with $fU'}}]},
            {'if': {'$rU': 'walk'}, 'do': [{'send_reply': {'code': 486, 'reason': 'Second'}}]},
            {'if': {'$rU': 'walk'}, 'do': [{'send_reply': {'code': 487, 'reason': 'Third'}}]},
            {'if': {'$rU': 'dropped'}, 'do': ['drop', {'send_reply': {'code': 500,
                                                                      'reason': 'No'}}]},
            {'if': {'$rU': 'none'}, 'do': [{'log': {'level': 'info', 'text': 'none'}}]},
            {'if': {'$rd': 'other.example'}, 'do': [{'send_reply': {'code': 410,
                                                                    'reason': 'Domain'}}]},
            {'if': {'$ru': 'sip:exact@127.0.0.1:*'}, 'do': [{'send_reply': {'code': 411,
                                                                          'reason': 'Uri'}}]},
        ]
        cls.config = {'routes': {'sip': rules}}

    def message(self, user, host=None, headers=()):
        transport = self.sip.reach('127.0.0.1', self.daemon.sip_port)
        uri = f'sip:{user}@{host or "127.0.0.1:" + str(self.daemon.sip_port)}'
        return self.sip.request(
            'MESSAGE', uri, transport, b'some magic text', content_type='text/plain;charset=utf-8',
            from_uri='sip:alice@example.org', to_uri='sip:bob@example.org',
            call_id=f'call-{token()}', headers=[
                ('User-Agent', 'tester/1.0'), ('X-Kind', 'special'), ('X-Number', '7'), *headers])

    def test_conditions(self):
        """Every variable and kind of pattern, on one and the same MESSAGE."""
        for user, (condition, matches) in self.TABLE.items():
            with self.subTest(user, condition=condition):
                self.message(user).final(299 if matches else 404)

    def test_reply(self):
        """send_reply: code, phrase and headers with variables in them."""
        response = self.message('reply').final(480)
        self.assertEqual((response.reason, response.get('Retry-After'), response.get('X-From')),
                         ('Try alice later, $5', '30', 'sip:alice@example.org'))

    def test_walk(self):
        """The first rule that holds ends the walk, `continue` goes on; log writes a line."""
        self.assertEqual(self.message('walk').final(486).reason, 'Second')
        self.assertIn('walking with alice', self.daemon.log())

    def test_drop(self):
        """drop: nothing is said; the actions behind it are not run."""
        transaction = self.message('dropped')
        self.message('reply').final(480)
        self.assertEqual([r for r in transaction.seen if r.code >= 200], [])

    def test_rule_without_answer(self):
        """A rule that answers nothing: the request is refused, not forgotten."""
        response = self.message('none').final()
        self.assertGreaterEqual(response.code, 400)

    def test_request_uri(self):
        self.message('x', 'other.example').final(410)
        self.message('exact').final(411)


class TimeoutTest(case.Case):
    """Sofia's timers of 32 s: everything that has to wait for them waits at once."""

    def test_nobody_answers(self):
        """408 for an INVITE without an answer; BYE for an answer without an ACK."""
        began = time.monotonic()
        silent_id, _ = self.start_session()
        transaction = self.invite(self.offer())
        answer = transaction.final(200)
        unacknowledged = Dialog.of_client(transaction, answer)
        event = self.ctl.event('E_MSRP_SESSION_FAILED', timeout=75, session_id=silent_id)
        self.assertEqual(event['code'], 408)
        self.assertIsInstance(event['reason'], str)
        self.assertGreater(time.monotonic() - began, 20)
        unacknowledged.expect('BYE').respond(200)
        self.assertEqual(self.ctl.call('msrp_ua_list_sessions'), [])
        self.assertEqual(self.ctl.pending(), [])


class SippCase(case.Case):
    """SIP call flows against sipp, a SIP implementation that is none of ours."""

    def came_and_went(self, count, before):
        poll(lambda: not self.ctl.call('msrp_ua_list_sessions'), what='the end of all calls')
        for name in ('E_MSRP_SESSION_NEW', 'E_MSRP_SESSION_END'):
            self.assertEqual(len([e for e in self.ctl.history[before:]
                                  if e['method'] == name]), count)

    def call_it(self, sipp, protocol, scheme, port):
        """Fifty calls by us."""
        try:
            sipp.ready(protocol)
            for _ in range(50):
                session_id = self.ctl.call(
                    'msrp_ua_start_session', content_types='text/plain',
                    from_uri=f'{scheme}:a@example.org', to_uri=f'{scheme}:b@example.org',
                    ruri=f'{scheme}:b@127.0.0.1:{port}')['session_id']
                self.ctl.event('E_MSRP_SESSION_NEW', session_id=session_id)
                self.ctl.call('msrp_ua_end_session', session_id=session_id)
        finally:
            sipp.finish()


class SippTest(SippCase):
    def test_callers(self):
        """Fifty calls to us, by UDP and by TCP."""
        before = len(self.ctl.history)
        for transport in ('u1', 't1'):
            with self.subTest(transport):
                Sipp(self.directory, 'uac.xml', 50, free_port(), '-r', '20', '-t', transport,
                     f'127.0.0.1:{self.daemon.sip_port}').finish()
        self.came_and_went(100, before)

    def test_callees(self):
        sipp = Sipp(self.directory, 'uas.xml', 50, free_port())
        self.call_it(sipp, 'udp', 'sip', sipp.port)


# The sipp of Debian speaks no TLS: HAProxy does it for it, whoever calls.
FRONT = '''
listen to-msrpd
    mode tcp
    bind 127.0.0.1:{to}
    server msrpd 127.0.0.1:{msrpd} ssl verify required ca-file {ca} crt {pem}
listen to-sipp
    mode tcp
    bind 127.0.0.1:{own} ssl crt {pem} ca-file {ca} verify required
    server sipp 127.0.0.1:{sipp}
'''


class SippTlsTest(SippCase):
    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        own = cls.ca.issue('msrpd')
        cls.port = free_port()
        cls.config = {'sip': {
            'listen': [f'sips:127.0.0.1:{cls.port}'],
            'tls': {'certificate': own.certificate, 'private_key': own.key,
                    'ca_file': cls.ca.file, 'verify_client': True}}}

    def setUp(self):
        super().setUp()
        own = self.ca.issue('sipp')
        with open(own.certificate, 'a', encoding='ascii') as pem, \
                open(own.key, encoding='ascii') as key:
            pem.write(key.read())
        self.to, self.own, self.sipp = (free_port() for _ in range(3))
        proxy = front.start('haproxy', FRONT.format(
            to=self.to, own=self.own, sipp=self.sipp, msrpd=self.port, ca=self.ca.file,
            pem=own.certificate), self.to, self.directory)
        self.addCleanup(proxy.stop)

    def scenario(self, name):
        """As it is by TLS, and with the Contact that leads to HAProxy."""
        with open(os.path.join(SCENARIOS, name), encoding='ascii') as file:
            text = file.read()
        for old, new in (('SIP/2.0/[transport]', 'SIP/2.0/TLS'), ('sip:chat@', 'sips:chat@'),
                         ('sip:sipp@[local_ip]:[local_port]', f'sips:sipp@127.0.0.1:{self.own}')):
            text = text.replace(old, new)
        path = os.path.join(self.directory, f'tls-{name}')
        with open(path, 'w', encoding='ascii') as file:
            file.write(text)
        return path

    def test_callers(self):
        """Fifty calls to us over one connection, with certificates both ways."""
        before = len(self.ctl.history)
        Sipp(self.directory, self.scenario('uac.xml'), 50, self.sipp, '-r', '20', '-t', 't1',
             f'127.0.0.1:{self.to}').finish()
        self.came_and_went(50, before)

    def test_callees(self):
        sipp = Sipp(self.directory, self.scenario('uas.xml'), 50, self.sipp, '-t', 't1')
        self.call_it(sipp, 'tcp', 'sips', self.own)


class SipTlsTest(case.Case):
    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        own = cls.ca.issue('sip')
        cls.port = free_port()
        cls.config = {'sip': {
            'listen': [f'sip:127.0.0.1:{free_port()};transport=udp', f'sips:127.0.0.1:{cls.port}'],
            'tls': {'certificate': own.certificate, 'private_key': own.key, 'ca_file': cls.ca.file,
                    'verify_server': False}}}

    def test_options(self):
        """sips: a listener over TLS answers."""
        transport = self.sip.reach('127.0.0.1', self.port, 'TLS', certs.client_context(self.ca))
        self.sip.request('OPTIONS', f'sips:127.0.0.1:{self.port}', transport).final(200)
        transport.close()


if __name__ == '__main__':
    case.main()
