#!/usr/bin/env python3
"""A SIP proxy of others' over TLS: Kamailio, with certificates both ways."""
import sys

from lib import case, certs, kamailio, sdp
from lib.case import Call
from lib.daemon import free_port
from lib.frame import new_id
from lib.gateway import CLIENT, PHONE, TEXT, GatewayCase, routes
from lib.sip import Dialog


class KamailioTlsTest(GatewayCase):
    """Phone and client are behind the proxy, which is reached by TLS alone and trusts nobody."""

    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        cls.own = cls.ca.issue('msrpd', ['IP:127.0.0.1'])
        cls.port, cls.tls_port, cls.sip_port = free_port(), free_port(), free_port()
        cls.config = {
            'sip': {'listen': [f'sip:127.0.0.1:{cls.sip_port};transport=udp',
                               f'sips:127.0.0.1:{cls.tls_port}'],
                    'outbound_proxy': f'sip:127.0.0.1:{cls.port};transport=tls;lr',
                    'tls': {'certificate': cls.own.certificate, 'private_key': cls.own.key,
                            'ca_file': cls.ca.file, 'verify_client': True}},
            'routes': routes(ruri='$tu')}

    def setUp(self):
        super().setUp()
        self.proxy = kamailio.Kamailio(
            self.directory, 'tls.cfg', self.port, GATEWAY=self.tls_port, PHONE=self.phone.port,
            CLIENT=self.client.port, TLS=self.tls_settings())
        self.addCleanup(self.proxy.stop)

    def tls_settings(self):
        theirs = self.ca.issue('kamailio', ['IP:127.0.0.1'])
        path = f'{self.directory}/tls.cfg'
        with open(path, 'w', encoding='ascii') as file:
            for side in ('server', 'client'):
                file.write(f'[{side}:default]\nmethod = TLSv1.2+\nverify_certificate = yes\n'
                           f'require_certificate = yes\nprivate_key = {theirs.key}\n'
                           f'certificate = {theirs.certificate}\nca_list = {self.ca.file}\n')
        return path

    def via_proxy(self, ua):
        return ua.reach('127.0.0.1', self.port)

    def connections(self):
        statistics = self.ctl.call('get_statistics', group='sip')
        return statistics['sip:accepted'], statistics['sip:connected']

    def writes(self, text):
        self.phone.request('MESSAGE', CLIENT, self.via_proxy(self.phone), text.encode(),
                           content_type=TEXT, from_uri=PHONE, to_uri=CLIENT).final(202)

    def answered(self, call, text):
        sent = call.send(text, success='yes')
        self.assertEqual(self.gets(text).request.uri, PHONE)
        report = call.conn.expect('REPORT')
        self.assertEqual((report.message_id, report.get('Status')[:7]),
                         (sent.message_id, '000 200'))

    def test_phone_begins(self):
        """MESSAGE in, INVITE out, ACK and BYE; MESSAGEs out; no more than one connection a way."""
        before = self.connections()
        self.writes('over TLS')
        invite = self.client.expect('INVITE')
        listener = self.listener()
        path = listener.uri()
        invite.respond(200, sdp.document(sdp.message(path, TEXT, setup='passive')),
                       headers=[('Record-Route', value)
                                for value in invite.request.all('Record-Route')])
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        call = Call(self, dialog, sdp.Sdp(invite.request.body), path).attach(listener.accept())
        self.assertEqual(call.receive().body, b'over TLS')
        self.answered(call, 'and back')
        self.writes('again')
        self.assertEqual(call.receive().body, b'again')
        self.answered(call, 'and again')
        self.ctl.call('msrp_gw_end_session', key=f'{CLIENT}:{PHONE}')
        dialog.expect('BYE').respond(200)
        after = self.connections()
        self.assertEqual([now - then for then, now in zip(before, after)], [1, 1])

    def test_client_begins(self):
        """INVITE in, and BYE in either direction."""
        for ends in ('client', 'gateway'):
            with self.subTest(ends):
                path = f'msrp://127.0.0.1:9/{new_id()};tcp'
                transaction = self.client.request('INVITE', PHONE, self.via_proxy(self.client),
                                                  self.offer(path, TEXT), from_uri=CLIENT)
                answer = transaction.final(200)
                dialog = Dialog.of_client(transaction, answer)
                dialog.ack()
                call = Call(self, dialog, sdp.Sdp(answer.body), path)
                self.ctl.event('E_MSRP_GW_SESSION_NEW', msrp_ua_session_id=call.id)
                call.connect()
                self.answered(call, 'over TLS')
                self.writes('and back')
                self.assertEqual(call.receive().body, b'and back')
                if ends == 'client':
                    call.bye()
                    self.ctl.event('E_MSRP_GW_SESSION_END', msrp_ua_session_id=call.id)
                else:
                    self.ctl.call('msrp_gw_end_session', key=f'{CLIENT}:{PHONE}')
                    dialog.expect('BYE').respond(200)
                    self.wait_sessions(0)

    def test_no_certificate(self):
        """Without one of its own msrpd is no client for this proxy: the sender is told."""
        config = {**self.config, 'sip': {**self.config['sip'], 'listen': [
            'sip:127.0.0.1:0;transport=tcp'], 'tls': {'ca_file': self.ca.file}}}
        _, ctl = self.start(config)
        ctl.call('msrp_ua_start_session', content_types=TEXT, from_uri=CLIENT, to_uri=PHONE,
                 ruri=PHONE)
        self.assertEqual(ctl.event('E_MSRP_SESSION_FAILED')['code'], 503)


if __name__ == '__main__':
    if not kamailio.PROGRAM:
        print('kamailio is not installed', file=sys.stderr)
        sys.exit(2)
    case.main()
