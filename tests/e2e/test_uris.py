#!/usr/bin/env python3
"""URIs of all kinds in all places: RFC 3261 19.1, 3966 (tel:), 3861 (im:, pres:), 5031 (urn:)."""
from lib import case
from lib.case import Call
from lib.frame import new_id
from lib.sdp import Sdp
from lib.sip import Dialog, SipUa, uri_of
from lib.waiting import poll

# uri: its user and domain in rules
KINDS = {
    'sip:alice@example.org': ('alice', 'example.org'),
    'sips:alice@example.org': ('alice', 'example.org'),
    'tel:+1-201-555-0123': ('+1-201-555-0123', ''),
    'tel:7042;phone-context=example.org': ('7042', ''),
    'im:alice@example.org': ('alice', 'example.org'),
    'pres:alice@example.org': ('alice', 'example.org'),
    'urn:service:sos': ('', ''),
    'urn:service:sos.fire': ('', ''),
    'urn:service:test.sos': ('', ''),
}
# as it comes: as it stands in variables and goes out, its user
ESCAPES = {
    'sip:alice;x@example.org': ('sip:alice;x@example.org', 'alice;x'),
    'sip:alice%3bx@example.org': ('sip:alice%3Bx@example.org', 'alice%3Bx'),
    'sip:%61lice@example.org': ('sip:alice@example.org', 'alice'),
    'sip:a%2fb%40c@example.org': ('sip:a%2Fb%40c@example.org', 'a%2Fb%40c'),
    'sip:a:p%3aw@example.org;x=%3d%41': ('sip:a:p%3Aw@example.org;x=%3DA', 'a'),
    'tel:%2b1': ('tel:%2B1', '%2B1'),
}
TELL = {'X-R': '$ru', 'X-F': '$fu', 'X-T': '$tu', 'X-User': '<$rU>', 'X-Domain': '<$rd>'}
ROUTES = [
    {'if': {'$hdr(X-Do)': 'ua'}, 'do': [{'msrp_ua_answer': {'content_types': 'text/plain'}}]},
    {'if': {'$rm': 'INVITE', '$hdr(X-Do)': 'gw'}, 'do': [{'msrp_gw_answer': {
        'key': '$fu:$tu', 'content_types': 'text/plain', 'from': '$tu', 'to': '$fu',
        'ruri': '$fu'}}]},
    {'if': {'$hdr(X-Do)': 'gw'}, 'do': [{'msg_to_msrp': {
        'key': '$tu:$fu', 'content_types': 'text/plain'}}]},
    {'if': {'$hdr(X-Do)': 'via'}, 'do': [
        {'send_reply': {'code': 299, 'reason': 'Told', 'headers': {'X-Via': '$hdr(Via)'}}}]},
    {'if': {'$hdr(X-Do)': 'send'}, 'do': [
        {'send_message': {'ruri': '$ru', 'from': '$fu', 'to': '$tu', 'content_type': 'text/plain',
                          'body': 'x'}},
        {'send_reply': {'code': 200, 'reason': 'OK'}}]},
    {'if': {'$hdr(X-Do)': 'type'}, 'do': [
        {'send_message': {'ruri': '$ru', 'from': '$fu', 'to': '$tu', 'content_type': '$rb',
                          'body': 'x'}},
        {'send_reply': {'code': 200, 'reason': 'OK'}}]},
    {'do': [{'send_reply': {'code': 299, 'reason': 'Told', 'headers': TELL}}]},
]


class UriCase(case.Case):
    def ask(self, method, uri, do=None, body=b'', content_type='text/plain', **kwargs):
        transport = self.sip.reach('127.0.0.1', self.daemon.sip_port)
        headers = [('X-Do', do)] if do else []
        return self.sip.request(method, uri, transport, body, content_type=content_type,
                                headers=headers, **kwargs)

    def invite_to(self, uri, do, **kwargs):
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction = self.ask('INVITE', uri, do, self.offer(path, 'text/plain'),
                               'application/sdp', **kwargs)
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        return Call(self, dialog, Sdp(answer.body), path).connect()


class ProxyTest(UriCase):
    """With an outbound proxy everything goes there."""

    @classmethod
    def prepare(cls):
        cls.proxy = SipUa(user='proxy', name='proxy')
        cls.addClassCleanup(cls.proxy.close)
        cls.config = {'sip': {'outbound_proxy': f'sip:127.0.0.1:{cls.proxy.port};lr'},
                      'routes': {'sip': ROUTES}}

    def test_in_rules(self):
        """As Request-URI, From and To, of INVITE and MESSAGE: as it stands, before any 416."""
        for uri, (user, domain) in KINDS.items():
            for method in ('MESSAGE', 'INVITE'):
                with self.subTest(uri, method=method):
                    response = self.ask(method, uri, body=b'x', from_uri=uri, to_uri=uri).final(299)
                    told = [response.get(name) for name in TELL]
                    self.assertEqual(told, [uri, uri, uri, f'<{user}>', f'<{domain}>'])

    def test_escapes(self):
        """RFC 3261 19.1.4: an escaped reserved character is not the character."""
        for uri, (shown, user) in ESCAPES.items():
            with self.subTest(uri):
                response = self.ask('MESSAGE', uri, body=b'x', from_uri=uri, to_uri=uri).final(299)
                told = [response.get(name) for name in TELL]
                self.assertEqual(told[:4], [shown, shown, shown, f'<{user}>'])

    def test_escapes_out(self):
        """In what goes out they stay as well."""
        for uri, (shown, _) in ESCAPES.items():
            with self.subTest(uri):
                self.ctl.call('msrp_ua_start_session', content_types='text/plain', from_uri=uri,
                              to_uri=uri, ruri=uri)
                invite = self.proxy.expect('INVITE')
                self.assertEqual([invite.request.uri, uri_of(invite.request.get('From')),
                                  uri_of(invite.request.get('To'))], [shown] * 3)
                invite.respond(486)

    def test_target_of_bye(self):
        """RFC 3261 12.2.1.1: the BYE's Request-URI is the peer's Contact."""
        contact = f'sip:peer%3bx@127.0.0.1:{self.sip.port};a=%3b%3d;ob'
        transport = self.sip.reach('127.0.0.1', self.daemon.sip_port)
        request = self.sip.build('INVITE', 'sip:x@example.org', transport,
                                 self.offer(accept_types='text/plain'), headers=[('X-Do', 'ua')])
        request.headers = [(name, f'<{contact}>' if name == 'Contact' else value)
                           for name, value in request.headers]
        transaction = self.sip.transact(request, transport)
        Dialog.of_client(transaction, transaction.final(200)).ack()
        session = self.ctl.event('E_MSRP_SESSION_NEW')['session_id']
        self.ctl.call('msrp_ua_end_session', session_id=session)
        bye = self.sip.expect('BYE')
        self.assertEqual(bye.request.uri, contact.replace('%3b', '%3B').replace('%3d', '%3D'))
        bye.respond(200)

    def test_names(self):
        """A name-addr as From and To: RFC 3261 25.1; events have the URI alone."""
        start = {'content_types': 'text/plain', 'ruri': 'sip:x@example.org',
                 'to_uri': 'sip:x@example.org'}
        uri = 'sip:anna@example.org'
        for given, shown in ((f'"Anna Ray" <{uri}>', f'"Anna Ray" <{uri}>'),
                             (f'Anna  Ray<{uri}>', f'"Anna  Ray" <{uri}>'), (f'<{uri}>', f'<{uri}>'),
                             (f'"a \\"<b>\\"" <{uri}>', f'"a \\"<b>\\"" <{uri}>')):
            self.ctl.call('msrp_ua_start_session', from_uri=given, **start)
            invite = self.proxy.expect('INVITE')
            self.assertTrue(invite.request.get('From').startswith(shown + ';tag='),
                            invite.request.get('From'))
            listed = self.ctl.call('msrp_ua_list_sessions')[0]
            self.assertEqual(listed['from_uri'], uri)
            invite.respond(486)
            poll(lambda: not self.ctl.call('msrp_ua_list_sessions'), what='no session')
        for bad in (f'"Anna <{uri}>', f'<{uri}>;tag=x', f'"a"b" <{uri}>', f'a\\ <{uri}>', '<>', '"a"',
                    f'"a\\" <{uri}>', f'"a\r\nb" <{uri}>', f'<{uri}> x'):
            self.refused(400, self.ctl.call, 'msrp_ua_start_session', from_uri=bad, **start)

    def test_several_contacts(self):
        """A list of them, the first with an escape: each is what it says."""
        self.ctl.call('msrp_ua_start_session', content_types='text/plain',
                      from_uri='sip:a@b', to_uri='sip:a@b', ruri='sip:a@b')
        contacts = [f'sip:{user}@127.0.0.1:{self.proxy.port}' for user in ('a%3b', 'b', 'c%41%3A')]
        invite = self.proxy.expect('INVITE')
        invite.respond(302, contact=False, headers=[
            ('Contact', ', '.join(f'<{contact}>' for contact in contacts))])
        for contact in contacts:
            invite = self.proxy.expect('INVITE')
            self.assertEqual(invite.request.uri,
                             contact.replace('%3b', '%3B').replace('%41', 'A'))
            invite.respond(486)

    def test_session_in(self):
        """In events."""
        for uri in KINDS:
            with self.subTest(uri):
                call = self.invite_to(uri, 'ua', from_uri=uri, to_uri=uri)
                event = self.ctl.event('E_MSRP_SESSION_NEW', session_id=call.id)
                self.assertEqual([event[name] for name in ('from_uri', 'to_uri', 'ruri')],
                                 [uri] * 3)
                call.bye()

    def test_session_out(self):
        for uri in KINDS:
            with self.subTest(uri):
                self.ctl.call('msrp_ua_start_session', content_types='text/plain', from_uri=uri,
                              to_uri=uri, ruri=uri)
                invite = self.proxy.expect('INVITE')
                self.assertEqual([invite.request.uri, uri_of(invite.request.get('From')),
                                  uri_of(invite.request.get('To'))], [uri] * 3)
                invite.respond(603)
                self.ctl.event('E_MSRP_SESSION_FAILED', code=603)

    def test_gateway(self):
        """A session of the gateway from and to each: keys, and the MESSAGEs that it makes."""
        for uri in KINDS:
            with self.subTest(uri):
                call = self.invite_to('sip:x@example.org', 'gw', from_uri=uri,
                                      to_uri='urn:service:sos')
                self.ctl.event('E_MSRP_GW_SESSION_NEW', key=f'{uri}:urn:service:sos')
                call.send('hello')
                message = self.proxy.expect('MESSAGE')
                self.assertEqual([message.request.uri, uri_of(message.request.get('From')),
                                  uri_of(message.request.get('To'))],
                                 [uri, 'urn:service:sos', uri])
                message.respond(200)
                call.bye()
                self.ctl.event('E_MSRP_GW_SESSION_END')

    def test_gateway_from_message(self):
        """A MESSAGE from and to each: the INVITE that it makes."""
        for uri in KINDS:
            with self.subTest(uri):
                self.ask('MESSAGE', uri, 'gw', b'hello', from_uri=uri, to_uri=uri).final(202)
                invite = self.proxy.expect('INVITE')
                self.assertEqual([invite.request.uri, uri_of(invite.request.get('From')),
                                  uri_of(invite.request.get('To'))], [uri] * 3)
                invite.respond(603)
                self.ctl.event('E_MSRP_GW_SETUP_FAILED', key=f'{uri}:{uri}', code=603)
                poll(lambda: not self.ctl.call('msrp_gw_list_sessions'), what='no session')


class NoProxyTest(UriCase):
    """Without one only SIP's own URIs lead anywhere: 400, and why."""

    config = {'routes': {'sip': ROUTES}}
    OTHERS = [uri for uri in KINDS if not uri.startswith('sip')]

    def test_session_out(self):
        for uri in self.OTHERS:
            with self.subTest(uri):
                error = self.refused(400, self.ctl.call, 'msrp_ua_start_session',
                                     content_types='text/plain', from_uri=uri, to_uri=uri,
                                     ruri=uri)
                self.assertIn('outbound_proxy', str(error))

    def test_gateway(self):
        for uri in self.OTHERS:
            with self.subTest(uri):
                response = self.ask('INVITE', 'sip:x@example.org', 'gw', self.offer(),
                                    'application/sdp', from_uri=uri).final(400)
                self.assertIn('Proxy', response.reason)
                response = self.ask('MESSAGE', uri, 'gw', b'hello').final(400)
                self.assertIn('Proxy', response.reason)
                failed = self.ctl.event('E_MSRP_GW_SETUP_FAILED')
                self.assertEqual((failed['code'], failed['reason']), (400, response.reason))
                response = self.ask('MESSAGE', uri, 'send', b'hello').final(400)
                self.assertIn('Proxy', response.reason)
        self.assertEqual(self.ctl.call('msrp_gw_list_sessions'), [])

    def test_media_type(self):
        """What variables make of one is none: nothing is sent."""
        self.ask('MESSAGE', self.sip.contact(), 'type', b'text').final(400)
        self.ask('MESSAGE', self.sip.contact(), 'type', b'text/html').final(200)
        self.assertEqual(self.sip.expect('MESSAGE').request.get('Content-Type'), 'text/html')

    def test_via(self):
        """$hdr(Via) is the sender's."""
        transaction = self.ask('MESSAGE', 'sip:x@example.org', 'via', b'x')
        self.assertIn(transaction.request.branch, transaction.final(299).get('X-Via'))

    def test_unknown_schemes(self):
        """RFC 3261 8.2.2.1: 416."""
        for uri in ('urn:isbn:0451450523', 'foo:bar'):
            self.ask('MESSAGE', uri, body=b'x').final(416)


if __name__ == '__main__':
    case.main()
