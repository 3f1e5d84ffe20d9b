#!/usr/bin/env python3
"""SIP over TLS from outside: certificates both ways (RFC 5922), reload, other people's clients."""
import socket
import ssl

from lib import case, certs, sdp
from lib.daemon import free_port, merge
from lib.dns import DnsServer
from lib.gateway import TEXT
from lib.program import Program
from lib.sip import Dialog, token
from lib.tls_server import TlsServer
from lib.waiting import DEADLINE, poll


SIP_DOMAIN = '1.3.6.1.5.5.7.3.20'


class TlsCase(case.Case):
    tls = {}

    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        cls.own = cls.ca.issue('msrpd', ['IP:127.0.0.1', 'DNS:localhost'])
        cls.config = {'sip': {
            'listen': ['sip:127.0.0.1:0;transport=udp', 'sips:127.0.0.1:0'],
            'tls': {'certificate': cls.own.certificate, 'private_key': cls.own.key,
                    'ca_file': cls.ca.file, **cls.tls}}}

    def port(self, ctl=None):
        return int((ctl or self.ctl).call('status')['listen']['sip'][1].rpartition(':')[2])

    @property
    def by_udp(self):
        uri = self.ctl.call('status')['listen']['sip'][0]
        return self.sip.reach('127.0.0.1', int(uri.partition(';')[0].rpartition(':')[2]))

    def connect(self, certificate=None, ctl=None, version=None):
        ua = self.ua()
        return ua, ua.reach('127.0.0.1', self.port(ctl), 'TLS',
                            certs.client_context(self.ca, certificate, version))

    def asks(self, ua, transport):
        ua.request('OPTIONS', 'sip:x@127.0.0.1', transport).final(200)


class OutgoingCase(TlsCase):
    def server(self, sans, require_client=False, ca=None, usage=None, chain=True):
        own = (ca or self.ca).issue(f'peer{sans[0].replace(":", "")}{usage}', sans, usage=usage,
                                    chain=chain)
        names = []
        server = TlsServer(self.ua(),
                           certs.server_context(own, self.ca, require_client, names))
        server.names = names
        self.addCleanup(server.close)
        return server

    def calls(self, server, host):
        self.ctl.call('msrp_ua_start_session', content_types=TEXT,
                      ruri=f'sips:bob@{host}:{server.port}', from_uri='sips:a@example.org',
                      to_uri='sips:bob@example.org')

    def failed(self, code):
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], code)


class OutgoingTest(OutgoingCase):
    """Whom msrpd calls over TLS has to be who stands in the URI."""

    def test_the_right_name(self):
        """By SNI, which has no addresses; and our certificate, which the server insists on."""
        for host, sans, name in (('127.0.0.1', ['IP:127.0.0.1'], None),
                                 ('localhost', ['DNS:localhost'], 'localhost')):
            with self.subTest(host):
                server = self.server(sans, require_client=True)
                self.calls(server, host)
                invite = server.ua.expect('INVITE')
                self.assertRegex(invite.request.get('Via'), '^SIP/2.0/TLS .*;alias$')
                self.assertTrue(invite.transport.certificate)
                self.assertEqual(server.names, [name])
                invite.respond(486)
                self.failed(486)

    def test_another_name(self):
        """Nothing is sent, and the log says why."""
        for host, sans, why in (('127.0.0.1', ['DNS:other.example'], 'IP address mismatch'),
                                ('localhost', ['DNS:other.example'], 'ostname mismatch')):
            with self.subTest(host):
                server = self.server(sans)
                self.calls(server, host)
                self.failed(503)
                self.assertTrue(server.refused.wait(10))
                self.assertRegex(self.daemon.log(), f'TLS handshake with {host}: .*{why}')

    def test_usage(self):
        """RFC 5924 5, and what authorities of the web have."""
        for usage, code in (('serverAuth', 486), (SIP_DOMAIN, 486), ('anyExtendedKeyUsage', 486),
                            (f'clientAuth,{SIP_DOMAIN}', 486), ('clientAuth', 503),
                            ('emailProtection', 503)):
            with self.subTest(usage):
                server = self.server(['IP:127.0.0.1'], usage=usage)
                self.calls(server, '127.0.0.1')
                if code == 486:
                    server.ua.expect('INVITE').respond(486)
                self.failed(code)

    def test_another_authority(self):
        other = certs.Authority(self.directory, 'other')
        server = self.server(['IP:127.0.0.1'], ca=other)
        self.calls(server, '127.0.0.1')
        self.failed(503)
        self.assertRegex(self.daemon.log(), 'TLS handshake with 127.0.0.1: .*(issuer|self)')


    def test_scheme(self):
        """By TLS alone a dialog is not one of sips (RFC 5630 5.1.1.2)."""
        server = self.server(['IP:127.0.0.1'])
        for ruri, contact in (
                (f'sip:bob@127.0.0.1:{server.port};transport=tls',
                 f'<sip:127.0.0.1:{self.port()};transport=tls>'),
                (f'sips:bob@127.0.0.1:{server.port}', f'<sips:127.0.0.1:{self.port()}>')):
            with self.subTest(ruri):
                self.ctl.call('msrp_ua_start_session', content_types=TEXT, ruri=ruri,
                              from_uri='sip:a@example.org', to_uri='sip:bob@example.org')
                invite = server.ua.expect('INVITE')
                self.assertEqual(invite.transport.kind, 'TLS')
                self.assertEqual(invite.request.get('Contact'), contact)
                invite.respond(486)
                self.failed(486)

    def test_redirected(self):
        """What was asked for by sips goes nowhere else (RFC 5630 5.1.1)."""
        server = self.server(['IP:127.0.0.1'])
        self.calls(server, '127.0.0.1')
        plain = self.ua(name='plain')
        server.ua.expect('INVITE').respond(302, headers=[
            ('Contact', f'<{plain.contact()}>, <sips:carol@127.0.0.1:{server.port}>;q=0.1')])
        invite = server.ua.expect('INVITE')
        self.assertEqual(invite.request.uri, f'sips:carol@127.0.0.1:{server.port}')
        invite.respond(486)
        self.failed(486)
        self.assertEqual(plain.requests.has(), [])


class ChainTest(OutgoingCase):
    """Of msrpd and of its peers the certificates are an intermediate authority's."""

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.between = certs.Authority(cls.directory, 'between', cls.ca)
        own = cls.between.issue('chain')
        cls.config['sip']['tls'].update(certificate=own.certificate, private_key=own.key)

    def test_called(self):
        """Who knows the root alone is shown what is between."""
        self.asks(*self.connect())

    def test_calls(self):
        """So is whom msrpd calls, and he has to show it as well."""
        server = self.server(['IP:127.0.0.1'], require_client=True, ca=self.between)
        self.calls(server, '127.0.0.1')
        server.ua.expect('INVITE').respond(486)
        self.failed(486)
        server = self.server(['IP:127.0.0.1'], ca=self.between, chain=False)
        self.calls(server, '127.0.0.1')
        self.failed(503)


class SchemeTest(TlsCase):
    """sips is for who asks for it, and for nobody who can be heard (RFC 5630)."""

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.config = merge(cls.config, {
            'registrar': {'domains': ['example.org']},
            'routes': {'sip': [
                {'if': {'$rm': 'INVITE'}, 'do': [{'msrp_ua_answer': {'content_types': TEXT}}]},
                {'if': {'$rm': 'MESSAGE'},
                 'do': [{'send_reply': {'code': 200, 'reason': 'OK'}}]}]}})

    def answer(self, uri, contact, headers=()):
        """Our Contact in the 200 to an INVITE over TLS."""
        ua, transport = self.connect()
        path = f'msrp://127.0.0.1:9/{token()};tcp'
        request = ua.build('INVITE', uri, transport, sdp.document(sdp.message(path, TEXT)),
                           headers=headers)
        request.headers = [(name, f'<{contact}>' if name == 'Contact' else value)
                           for name, value in request.headers]
        transaction = ua.transact(request, transport)
        response = transaction.final(200)
        dialog = Dialog.of_client(transaction, response)
        dialog.ack()
        dialog.bye()
        return response.get('Contact')

    def test_contact(self):
        """RFC 3261 12.1.1: of the Request-URI, the top Record-Route, or the peer's Contact."""
        plain = f'<sip:127.0.0.1:{self.port()};transport=tls>'
        secure = f'<sips:127.0.0.1:{self.port()}>'
        sip, sips = 'sip:a@127.0.0.1:9;transport=tls', 'sips:a@127.0.0.1:9'
        proxy = [('Record-Route', '<sip:192.0.2.1;transport=tls;lr>')]
        secure_proxy = [('Record-Route', '<sips:192.0.2.1;lr>')]
        for uri, contact, headers, expected in (
                ('sip:x@127.0.0.1', sip, [], plain), ('sips:x@127.0.0.1', sips, [], secure),
                ('sips:x@127.0.0.1', sips, secure_proxy, secure),
                ('sip:x@127.0.0.1', sips, [], secure), ('sip:x@127.0.0.1', sip, proxy, plain),
                ('sip:x@127.0.0.1', sips, proxy, plain),
                ('sip:x@127.0.0.1', sip, secure_proxy, secure)):
            with self.subTest(uri=uri, contact=contact, headers=headers):
                self.assertEqual(self.answer(uri, contact, headers), expected)

    def test_by_udp(self):
        """A sips URI reaches the rules by whatever transport: who ended the TLS may be in front."""
        for ua, transport in ((self.sip, self.by_udp), self.connect()):
            ua.request('MESSAGE', 'sips:x@127.0.0.1', transport, b'hi',
                       content_type=TEXT).final(200)


class AdvertisedTest(SchemeTest):
    """sip.advertised_contact with the scheme that is wanted, and what goes with it."""

    def test_contact(self):
        sip, sips = 'sip:a@127.0.0.1:9;transport=tls', 'sips:a@127.0.0.1:9'
        for advertised, plain, secure in (
                ('sip:me@im.example.org', None, '<sips:me@im.example.org>'),
                ('sip:[2001:db8::1]:5060;transport=udp', None,
                 f'<sips:[2001:db8::1]:{self.port()}>'),
                ('sips:me@im.example.org:5071', '<sip:me@im.example.org:5071;transport=tls>',
                 None),
                ('sips:im.example.org', '<sip:im.example.org;transport=tls>', None)):
            with self.subTest(advertised):
                self.daemon.config['sip']['advertised_contact'] = advertised
                self.daemon.write_config()
                self.ctl.call('reload')
                for uri, contact, expected in (('sip:x@127.0.0.1', sip, plain),
                                               ('sips:x@127.0.0.1', sips, secure)):
                    self.assertEqual(self.answer(uri, contact), expected or f'<{advertised}>')


class AliasTest(TlsCase):
    """RFC 5923: the connection that a peer has opened leads to where he says that he listens."""

    @classmethod
    def prepare(cls):
        super().prepare()
        dns = DnsServer()                   # who is not there by alias is nowhere
        cls.addClassCleanup(dns.close)
        cls.config = {**cls.config, 'dns': {'servers': [dns.address]}}

    def peer(self, certificate, alias=True, host='127.0.0.1'):
        """One that says so, on a connection of his; nobody listens at that port."""
        port = free_port()
        ua, transport = self.connect(certificate)
        suffix = ';alias' if alias else ''
        ua.via = lambda kind='TLS', branch=None: \
            f'SIP/2.0/TLS {host}:{port};branch={branch or "z9hG4bK" + token()};rport{suffix}'
        self.asks(ua, transport)
        return ua, transport, port

    def calls(self, host, port):
        self.ctl.call('msrp_ua_start_session', content_types=TEXT, ruri=f'sips:bob@{host}:{port}',
                      from_uri='sips:a@example.org', to_uri='sips:bob@example.org')

    def failed(self, code):
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], code)

    def test_reused(self):
        """By the address and by the name, if the certificate has both."""
        own = self.ca.issue('peer', ['IP:127.0.0.1', 'DNS:localhost'])
        for host in ('127.0.0.1', 'localhost', 'LOCALHOST'):
            with self.subTest(host):
                ua, transport, port = self.peer(own, host=host)
                self.calls(host, port)
                invite = ua.expect('INVITE')
                self.assertIs(invite.transport, transport)
                invite.respond(486)
                self.failed(486)

    def test_not_proven(self):
        """No alias, no certificate, one for another name or of somebody else: a new connection."""
        stranger = certs.Authority(self.directory, 'stranger')
        good = self.ca.issue('good')
        for name, certificate, alias in (
                ('no alias', good, False), ('no certificate', None, True),
                ('another name', self.ca.issue('other', ['DNS:other.example']), True),
                ('another usage', self.ca.issue('mail', usage='emailProtection'), True),
                ('another authority, and a usage of SIP',
                 stranger.issue('somebody', usage=SIP_DOMAIN), True),
                ('another authority', stranger.issue('nobody'), True)):
            with self.subTest(name):
                ua, _, port = self.peer(certificate, alias)
                self.calls('127.0.0.1', port)
                self.failed(503)
                self.assertFalse(ua.requests.has(lambda t: t.method == 'INVITE'))

    def test_names(self):
        """RFC 5922 7: a domain's URI is one, a wildcard is nothing, nor is what follows a URI."""
        host = 'bank.example.com'
        for name, sans, code in (
                ('uri', [f'URI:sip:{host}'], 486), ('wild', ['DNS:*.example.com'], 503),
                ('user', [f'URI:sip:alice@{host}'], 503),
                ('first', ['URI:sip:example.com', f'DNS:{host}'], 503)):
            with self.subTest(name):
                ua, transport, port = self.peer(self.ca.issue(name, sans), host=host)
                self.calls(host, port)
                if code == 486:
                    invite = ua.expect('INVITE')
                    self.assertIs(invite.transport, transport)
                    invite.respond(486)
                self.failed(code)
                self.assertEqual(ua.requests.has(lambda t: t.method == 'INVITE'), [])

    def test_gone(self):
        """With the connection the alias goes."""
        ua, transport, port = self.peer(self.ca.issue('peer2'))
        transport.close()
        poll(lambda: self.ctl.call('get_statistics', group='sip')['sip:connections'] == 0,
             what='the end of the connection')
        self.calls('127.0.0.1', port)
        self.failed(503)


class RequiredTest(TlsCase):
    """Who calls has to show a certificate."""

    tls = {'verify_client': True}

    def test_usage(self):
        """A server's is enough, which calls as well."""
        for usage in (None, 'clientAuth', 'serverAuth', SIP_DOMAIN, 'anyExtendedKeyUsage'):
            with self.subTest(usage):
                self.asks(*self.connect(self.ca.issue(f'client{usage}', usage=usage)))

    def test_refused(self):
        stranger = certs.Authority(self.directory, 'stranger')
        for name, certificate in (
                ('none', None), ('usage', self.ca.issue('mail', usage='emailProtection')),
                ('authority', stranger.issue('nobody', usage=SIP_DOMAIN)),
                ('expired', self.ca.issue('old', expired=True, usage=SIP_DOMAIN))):
            with self.subTest(name), self.assertRaisesRegex(ssl.SSLError, 'alert'), \
                    socket.create_connection(('127.0.0.1', self.port()), DEADLINE) as sock, \
                    certs.client_context(self.ca, certificate).wrap_socket(
                        sock, server_hostname='127.0.0.1') as tls:
                tls.recv(1)


class IncomingTest(TlsCase):
    def test_versions(self):
        """TLS 1.2 and 1.3; who speaks 1.1 is told that it is too old."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.asks(*self.connect(version=version))
        with self.assertRaisesRegex(ssl.SSLError, 'ALERT_PROTOCOL_VERSION'):
            self.connect(version=ssl.TLSVersion.TLSv1_1)

    def test_reload(self):
        """A connection goes on while new ones are shown the new certificate."""
        daemon, ctl = self.start(self.config)
        ua, transport = self.connect(ctl=ctl)
        self.asks(ua, transport)
        new = self.ca.issue('new', ['IP:127.0.0.1'])
        daemon.config['sip']['tls'].update(certificate=new.certificate, private_key=new.key)
        daemon.write_config()
        self.assertEqual(ctl.call('reload'), 'OK')
        self.asks(ua, transport)
        other, second = self.connect(ctl=ctl)
        self.asks(other, second)
        self.assertNotEqual(transport.certificate, second.certificate)
        self.asks(ua, transport)

    def test_openssl(self):
        """OPTIONS by hand."""
        program = Program('openssl', [
            'openssl', 's_client', '-quiet', '-verify_return_error', '-CAfile', self.ca.file,
            '-connect', f'127.0.0.1:{self.port()}'], self.directory)
        self.addCleanup(program.stop)
        program.process.stdin.write(
            b'OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bKby\r\n'
            b'From: <sips:a@127.0.0.1>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: hand\r\n'
            b'CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n')
        program.line('^SIP/2.0 200 OK')

    def test_strangers(self):
        """What is no TLS, or ends in its middle, is closed and harms nobody."""
        ua, transport = self.connect()
        for data in (b'OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n\r\n', b'\x16\x03\x01\x02\x00\x01', b''):
            with socket.create_connection(('127.0.0.1', self.port()), 10) as sock:
                sock.sendall(data)
        poll(lambda: self.ctl.call('get_statistics', group='sip')['sip:connections'] == 1,
             what='the end of the strangers')
        self.asks(ua, transport)


class MutualTest(TlsCase):
    tls = {'verify_client': True}

    def test_certificate_required(self):
        ua, transport = self.connect(self.ca.issue('client'))
        self.asks(ua, transport)
        before = self.ctl.call('get_statistics', group='sip')['sip:stream_messages_in']
        with self.assertRaises(OSError):
            ua, transport = self.connect()
            # In TLS 1.3 the client hears of it behind the handshake.
            poll(lambda: not transport.thread.is_alive(), what='the end of the connection')
            raise ConnectionResetError
        self.assertEqual(
            self.ctl.call('get_statistics', group='sip')['sip:stream_messages_in'], before)


if __name__ == '__main__':
    case.main()
