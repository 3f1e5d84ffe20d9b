#!/usr/bin/env python3
"""Phones that people have, registered with msrpd itself: no other server is there."""
import sys

from lib import case, certs, msrp, phones, sdp, ws
from lib.case import Call
from lib.daemon import free_port
from lib.digest import authorized
from lib.frame import new_id
from lib.gateway import CLIENT, TEXT, GatewayCase
from lib.sip import Dialog
from lib.waiting import poll

REALM = 'example.org'
PASSWORD = 'wonderland'


class PhoneTests:
    """One phone over one transport.  To be mixed with GatewayCase."""

    peer = None                 # a class of lib.phones
    transport = 'udp'
    authority = None            # a file
    config = {
        'users': {name: {'password': PASSWORD}
                  for name in ('baresip', 'linphone', 'sipjs', 'jssip', 'client')},
        'registrar': {'domains': [REALM]},
        'routes': {'sip': [
            {'if': {'$rm': 'MESSAGE'}, 'do': [
                {'www_authorize': {'realm': REALM}}, 'lookup',
                {'msg_to_msrp': {'key': '$tu:$fu', 'content_types': TEXT}}]},
            {'if': {'$rm': 'INVITE'}, 'do': ['lookup', {'msrp_gw_answer': {
                'key': '$fu:$tu', 'content_types': TEXT, 'from': '$fu', 'to': '$tu',
                'ruri': '$ru'}}]}]}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.handset = cls.peer(cls.directory, cls.proxy_port(), CLIENT, PASSWORD, cls.transport,
                               cls.authority)
        cls.addClassCleanup(cls.handset.stop)

    @classmethod
    def proxy_port(cls):
        return cls.daemon.sip_port

    def setUp(self):
        super().setUp()
        self.phone = self.handset
        self.phone.program.lines.items.clear()
        self.client_registers()

    def client_registers(self):
        transport = self.client.reach('127.0.0.1', self.daemon.sip_port)
        authorized(self.client, 'REGISTER', f'sip:{REALM}', transport, 'client', PASSWORD,
                   headers=[('Contact', f'<{self.client.contact()}>')], from_uri=CLIENT,
                   to_uri=CLIENT).final(200)

    def registered(self):
        return [one for one in self.ctl.call('registrar_list') if one['aor'] == self.phone.uri]

    def calls(self):
        """The client calls the phone by its address-of-record."""
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction = self.invite(self.offer(path, TEXT), ua=self.client, uri=self.phone.uri,
                                  from_uri=CLIENT)
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        call = Call(self, dialog, sdp.Sdp(answer.body), path)
        self.ctl.event('E_MSRP_GW_SESSION_NEW', msrp_ua_session_id=call.id,
                       key=f'{CLIENT}:{self.phone.uri}')
        return call.connect()

    def test_there(self):
        poll(self.registered, what='the registration')
        one, = self.registered()
        self.assertTrue(one['source'].startswith(f'{self.transport}:127.0.0.1:'), one)

    def test_both_ways(self):
        """What the client says is shown; what the phone says, asked who it is, arrives."""
        poll(self.registered, what='the registration')
        call = self.calls()
        call.send('to the phone')
        self.phone.shows('to the phone')
        self.phone.send('from the phone')
        self.assertEqual(call.receive().body, b'from the phone')
        call.send('and again')
        self.phone.shows('and again')
        call.bye()
        self.ctl.event('E_MSRP_GW_SESSION_END', msrp_ua_session_id=call.id)


    def test_phone_begins(self):
        """Answers to who wrote first go where it is registered, be it a connection alone."""
        poll(self.registered, what='the registration')
        self.phone.send('from the phone')
        call = self.answer()
        self.assertEqual(call.receive().body, b'from the phone')
        call.send('back to the phone')
        self.phone.shows('back to the phone')
        call.bye()
        self.ctl.event('E_MSRP_GW_SESSION_END', msrp_ua_session_id=call.id)


class BaresipUdpTest(PhoneTests, GatewayCase):
    peer = phones.Baresip


class BaresipTcpTest(PhoneTests, GatewayCase):
    peer = phones.Baresip
    transport = 'tcp'


class BaresipTlsTest(PhoneTests, GatewayCase):
    """The phone has no certificate and listens to nobody: it is reached over its connection."""

    peer = phones.Baresip
    transport = 'tls'

    @classmethod
    def prepare(cls):
        cls.issuer = certs.Authority(cls.directory)
        own = cls.issuer.issue('msrpd', ['IP:127.0.0.1', 'DNS:localhost'])
        cls.tls_port = free_port()
        plain = free_port()
        cls.config = {**PhoneTests.config, 'sip': {
            'listen': [f'sip:127.0.0.1:{plain};transport=udp',
                       f'sips:127.0.0.1:{cls.tls_port}'],
            'tls': {'certificate': own.certificate, 'private_key': own.key}}}
        cls.plain_port = plain

    @classmethod
    def proxy_port(cls):
        cls.daemon.sip_port = cls.plain_port
        return cls.tls_port


class LinphoneUdpTest(PhoneTests, GatewayCase):
    peer = phones.Linphone


class LinphoneTcpTest(PhoneTests, GatewayCase):
    peer = phones.Linphone
    transport = 'tcp'


class LinphoneTlsTest(BaresipTlsTest):
    """It looks at the certificate of the server."""

    peer = phones.Linphone

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.authority = cls.issuer.file


class WebTests(PhoneTests):
    """In a browser's place: no address but its connection, neither for SIP nor for MSRP."""

    transport = 'ws'

    @classmethod
    def prepare(cls):
        cls.plain_port, cls.web_port = free_port(), free_port()
        cls.config = {**PhoneTests.config, 'sip': {
            'listen': [f'sip:127.0.0.1:{cls.plain_port};transport=udp',
                       f'sip:127.0.0.1:{cls.web_port};transport={cls.transport}']},
            'msrp': {'listen': [{'name': 'inside', 'uri': 'msrp://127.0.0.1:0;tcp'},
                                {'name': 'web', 'uri': 'msrp://127.0.0.1:0;ws'}]}}

    @classmethod
    def proxy_port(cls):
        cls.daemon.sip_port = cls.plain_port
        return cls.web_port


class SipJsTest(WebTests, GatewayCase):
    """Over TLS, and with a session of its own."""

    peer = phones.SipJs
    transport = 'wss'

    @classmethod
    def prepare(cls):
        super().prepare()
        authority = certs.Authority(cls.directory)
        own = authority.issue('msrpd', ['IP:127.0.0.1'])
        cls.authority = authority.file
        cls.config['sip']['tls'] = {'certificate': own.certificate, 'private_key': own.key}
        assistant = {'if': {'$rm': 'INVITE', '$ru': 'sip:assistant@*'},
                     'do': [{'msrp_ua_answer': {'content_types': TEXT}}]}
        cls.config['routes'] = {'sip': [assistant, *PhoneTests.config['routes']['sip']]}

    def test_session(self):
        """Its INVITE, ACK, and the BYE to it."""
        self.phone.send(f'/call sip:assistant@{REALM}')
        path = self.phone.program.line('^path (.*)')[1]
        self.phone.program.line('^session Established')
        session = self.ctl.event('E_MSRP_SESSION_NEW')['session_id']
        conn = ws.connect(path)
        msrp.Session(conn, [path], ['msrp://browser.invalid:2855/browser;ws']).send('over the web')
        self.assertEqual(self.ctl.event('E_MSRP_MSG_RECEIVED', session_id=session)['body'],
                         'over the web')
        self.ctl.call('msrp_ua_end_session', session_id=session)
        self.phone.program.line('^session Terminated')


class JsSipTest(WebTests, GatewayCase):
    peer = phones.JsSip


if __name__ == '__main__':
    for phone in (phones.Baresip, phones.Linphone, phones.SipJs, phones.JsSip):
        if not phone.installed():
            print(f'{phone.name} is not installed', file=sys.stderr)
            sys.exit(2)
    case.main()
