#!/usr/bin/env python3
"""SIP over TLS from outside: certificates both ways (RFC 5922), reload, other people's clients."""
import socket
import threading

from lib import case, certs
from lib.gateway import TEXT
from lib.program import Program
from lib.waiting import poll


class Server:
    """Takes TLS for a user agent."""

    def __init__(self, ua, context):
        self.ua, self.context = ua, context
        self.refused = threading.Event()        # by whom we have shown our certificate to
        self.sock = socket.create_server(('127.0.0.1', 0))
        self.port = self.sock.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            try:
                sock = self.context.wrap_socket(sock, server_side=True)
            except OSError:
                self.refused.set()
                sock.close()
            else:
                self.ua.adopt(sock, 'TLS')

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.thread.join(5)


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

    def connect(self, certificate=None, ctl=None):
        ua = self.ua()
        return ua, ua.reach('127.0.0.1', self.port(ctl), 'TLS',
                            certs.client_context(self.ca, certificate))

    def asks(self, ua, transport):
        ua.request('OPTIONS', 'sip:x@127.0.0.1', transport).final(200)


class OutgoingTest(TlsCase):
    """Whom msrpd calls over TLS has to be who stands in the URI."""

    def server(self, sans, require_client=False, ca=None):
        own = (ca or self.ca).issue(f'peer{sans[0].replace(":", "")}', sans)
        server = Server(self.ua(), certs.server_context(own, self.ca, require_client))
        self.addCleanup(server.close)
        return server

    def calls(self, server, host):
        self.ctl.call('msrp_ua_start_session', content_types=TEXT,
                      ruri=f'sips:bob@{host}:{server.port}', from_uri='sips:a@example.org',
                      to_uri='sips:bob@example.org')

    def failed(self, code):
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], code)

    def test_the_right_name(self):
        """And our certificate, which the server insists on."""
        for host, sans in (('127.0.0.1', ['IP:127.0.0.1']), ('localhost', ['DNS:localhost'])):
            with self.subTest(host):
                server = self.server(sans, require_client=True)
                self.calls(server, host)
                invite = server.ua.expect('INVITE')
                self.assertTrue(invite.request.get('Via').startswith('SIP/2.0/TLS '))
                self.assertTrue(invite.transport.sock.getpeercert(True))
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

    def test_another_authority(self):
        other = certs.Authority(self.directory, 'other')
        server = self.server(['IP:127.0.0.1'], ca=other)
        self.calls(server, '127.0.0.1')
        self.failed(503)
        self.assertRegex(self.daemon.log(), 'TLS handshake with 127.0.0.1: .*(issuer|self)')


class IncomingTest(TlsCase):
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
        self.assertNotEqual(transport.sock.getpeercert(True), second.sock.getpeercert(True))
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
