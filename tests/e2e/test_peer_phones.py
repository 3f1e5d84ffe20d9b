#!/usr/bin/env python3
"""The gateway between an MSRP client and the phones that people have, in a domain of Kamailio's."""
import sys

from lib import case, kamailio, phones, sdp
from lib.case import Call
from lib.daemon import free_port
from lib.frame import new_id
from lib.gateway import CLIENT, CPIM, TEXT, GatewayCase, routes
from lib.sip import Dialog

HTML = 'text/html'


class PhoneTests:
    """One phone, registered; the client registers for each test.  To be mixed with GatewayCase."""

    peer = None                 # a class of lib.phones
    html = None                 # what it answers to a type that it may not know
    shows_long = True           # a text of some thousand bytes
    invited = None              # what it answers to an INVITE of m=message alone

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.handset = cls.peer(cls.directory, cls.proxy.port, CLIENT)
        cls.addClassCleanup(cls.handset.stop)

    @classmethod
    def prepare(cls):
        port = free_port()
        cls.proxy = kamailio.Kamailio(cls.directory, 'domain.cfg', free_port(), GATEWAY=port)
        cls.addClassCleanup(cls.proxy.stop)
        cls.config = {
            'sip': {'listen': [f'sip:127.0.0.1:{port};transport=udp',
                               f'sip:127.0.0.1:{port};transport=tcp'],
                    'outbound_proxy': f'sip:127.0.0.1:{cls.proxy.port};lr'},
            'routes': routes(f'{TEXT} {CPIM} {HTML}', ruri='$tu')}

    def setUp(self):
        super().setUp()
        self.phone = self.handset
        self.phone.program.lines.items.clear()
        transport = self.client.reach('127.0.0.1', self.proxy.port)
        self.client.request('REGISTER', 'sip:example.org', transport, from_uri=CLIENT,
                            to_uri=CLIENT, headers=[('Contact', f'<{self.client.contact()}>'),
                                                    ('Expires', '600')]).final(200)

    def client_calls(self, accept_types=TEXT, **kwargs):
        """The client's INVITE, by way of the proxy."""
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transport = self.client.reach('127.0.0.1', self.proxy.port)
        transaction = self.client.request('INVITE', self.phone.uri, transport,
                                          self.offer(path, accept_types), from_uri=CLIENT)
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        call = Call(self, dialog, sdp.Sdp(answer.body), path)
        self.ctl.event('E_MSRP_GW_SESSION_NEW', key=self.key(), msrp_ua_session_id=call.id)
        return call.connect()

    def reported(self, call, sent, status):
        report = call.conn.expect('REPORT')
        self.assertEqual(report.message_id, sent.message_id)
        self.assertRegex(report.get('Status'), f'^000 {status}( |$)')

    def test_phone_begins(self):
        """Its first text calls the client; an answer comes back; after BYE it begins anew."""
        for text in ('Grüße', 'wieder da'):
            self.phone.send(text)
            call = self.answer()
            self.assertEqual(call.receive().body.decode(), text)
            self.phone.send('and more')
            self.assertEqual(call.receive().body, b'and more')
            self.reported(call, call.send('drüben', success='yes'), 200)
            self.phone.shows('drüben')
            call.bye()
            self.ctl.event('E_MSRP_GW_SESSION_END', reason='bye')

    def test_client_begins(self):
        """The client's call reaches the phone as texts, whose own come into the same session."""
        call = self.client_calls()
        self.reported(call, call.send('hello', success='yes'), 200)
        self.phone.shows('hello')
        self.phone.send('who is there')
        self.assertEqual(call.receive().body, b'who is there')
        self.ctl.call('msrp_gw_end_session', key=self.key())
        call.dialog.expect('BYE').respond(200)

    def test_order(self):
        """Texts that come at once are shown in their order."""
        call = self.client_calls()
        for i in range(20):
            call.send(f'text {i}', code=None)
        for i in range(20):
            self.phone.shows(f'text {i}')

    def test_long(self):
        """A message in chunks is one text; it does not fit a datagram of 1300 bytes."""
        call = self.client_calls()
        body = 'word ' * 800 + 'end'
        for frame in call.msrp.chunks(body.encode(), 1000, success='yes'):
            call.conn.ask(frame, 200)
        self.reported(call, frame, 200)
        if self.shows_long:
            self.phone.shows(body)

    def test_envelope(self):
        """For a client that takes message/cpim alone the text is wrapped, its answer unwrapped."""
        self.phone.send('bare')
        call = self.answer(accept_types=CPIM)
        wrapped = call.receive()
        self.assertEqual(wrapped.get('Content-Type'), CPIM)
        head, text = wrapped.body.rsplit(b'\r\n\r\n', 1)
        self.assertEqual(text, b'bare')
        self.assertIn(f'From: <{self.phone.uri}>'.encode(), head)
        body = f'From: <{CLIENT}>\r\nTo: <{self.phone.uri}>\r\n\r\n' \
               'Content-Type: text/plain\r\n\r\nfrom the envelope'
        self.reported(call, call.send(body, content_type=CPIM, success='yes'), 200)
        self.phone.shows('from the envelope')

    def test_other_type(self):
        """What the phone answers to text/html is what the client is told."""
        call = self.client_calls()
        self.reported(call, call.send('<b>x</b>', content_type=HTML, success='yes'), self.html)

    def test_session(self):
        """A phone without MSRP refuses the UA's call."""
        self.ctl.call('msrp_ua_start_session', content_types=TEXT, from_uri=CLIENT,
                      to_uri=self.phone.uri, ruri=self.phone.uri)
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], self.invited)


class BaresipTest(PhoneTests, GatewayCase):
    peer = phones.Baresip
    html = 415
    shows_long = False          # it says 200, and its console prints no more than 511 bytes
    invited = 488


class LinphoneTest(PhoneTests, GatewayCase):
    peer = phones.Linphone
    html = 415
    invited = 488


class SipJsTest(PhoneTests, GatewayCase):
    peer = phones.SipJs
    html = 200
    invited = 486


class JsSipTest(PhoneTests, GatewayCase):
    peer = phones.JsSip
    html = 200
    invited = 405


if __name__ == '__main__':
    missing = [phone.name for phone in (phones.Baresip, phones.Linphone, phones.SipJs,
                                        phones.JsSip) if not phone.installed()]
    if not kamailio.PROGRAM or missing:
        print(f'kamailio or {missing} is not installed', file=sys.stderr)
        sys.exit(2)
    case.main()
