#!/usr/bin/env python3
"""MSRP over TLS: both ends of it, names, trust, fingerprints (RFC 4975 5.4, 14.2 to 14.4)."""
import os
import shutil
import signal
import socket
import ssl

from lib import case, certs, msrp, sdp
from lib.daemon import free_port
from lib.frame import new_id
from lib.sip import Dialog
from lib.waiting import poll


class TlsCase(case.Case):
    tls = {}
    listen = ('msrp', 'msrps')
    ua_config = {}

    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        cls.other_ca = certs.Authority(cls.directory, 'other')
        cls.own = cls.ca.issue('msrpd', ['IP:127.0.0.1', 'DNS:localhost'])
        cls.config = {
            'msrp': {'listen': [{'name': scheme, 'uri': f'{scheme}://127.0.0.1:0;tcp'}
                                for scheme in cls.listen],
                     'tls': {'certificate': cls.own.certificate, 'private_key': cls.own.key,
                             'ca_file': cls.ca.file, **cls.tls}},
            'ua': cls.ua_config}

    def secure_call(self, connect=True, tls=None, **kwargs):
        tls = tls or certs.client_context(self.ca)
        return self.call(path=f'msrps://127.0.0.1:9/{new_id()};tcp', tls=tls, connect=connect,
                         **kwargs)


class ServerTest(TlsCase):
    def test_session(self):
        """RFC 4975 5.4: an offer of TCP/TLS/MSRP gets a path of msrps, and messages both ways."""
        call = self.secure_call()
        self.assertEqual(call.sdp.message.proto, 'TCP/TLS/MSRP')
        self.assertRegex(call.path[0], '^msrps://127.0.0.1:')
        call.send('in secret', success='yes')
        self.assertEqual(self.received(call)['body'], 'in secret')
        call.conn.expect('REPORT')
        self.say(call, 'likewise')
        self.assertEqual(call.receive().body, b'likewise')
        fingerprint = call.sdp.message.get('fingerprint')
        if fingerprint:
            name, value = fingerprint.split(' ')
            self.assertEqual(f'{name.lower()} {value.upper()}',
                             self.own.fingerprint(name.lower()))

    def test_plain_and_tls(self):
        """A plain and a TLS client on one daemon."""
        plain, secure = self.call(), self.secure_call()
        for call in (plain, secure):
            call.send('hello')
            self.received(call)
            self.say(call, 'hello')
            call.receive()

    def test_scheme_has_to_match(self):
        """RFC 4975 5.4, 6.1: a session of msrps is not to be had over plain TCP, nor the
        reverse."""
        secure = self.secure_call(connect=False)
        plain = self.call()
        msrp.Session(plain.conn, secure.path, secure.own_path).send('x', code=481)
        conn = msrp.connect(secure.path[0], tls=certs.client_context(self.ca))
        msrp.Session(conn, plain.path, plain.own_path).send('x', code=481)

    def test_large_and_small_records(self):
        """A MiB at once, and bytes one by one."""
        call = self.secure_call()
        body = os.urandom(1024 * 1024)
        call.send(body, byte_range=f'1-*/{len(body)}')
        self.received(call)
        frame = call.msrp.build(body=b'trickle')
        call.conn.send_raw(frame.encode(), piece=1)
        call.conn.expect_response(frame, 200)
        self.assertEqual(self.received(call)['body'], 'trickle')
        self.say(call, 'x' * 1000000)
        size = 0
        while size < 1000000:
            size += len(call.receive().body)

    def test_strangers(self):
        """Plain text, garbage and half a handshake on the TLS port harm nobody."""
        call = self.secure_call()
        uri = call.path[0]
        port = int(uri.split(':')[2].split('/')[0])
        for data in (b'MSRP abcd SEND\r\n\r\n', b'\x16\x03\x01', os.urandom(2000), b'\0' * 50):
            with self.subTest(data[:10]), socket.create_connection(('127.0.0.1', port)) as sock:
                sock.settimeout(10)
                sock.sendall(data)
                try:
                    while sock.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
        call.send('unharmed')

    def test_handshake_timeout(self):
        """tls_handshake_timeout: who begins no handshake is closed (5 s)."""
        call = self.secure_call()
        port = int(call.path[0].split(':')[2].split('/')[0])
        with socket.create_connection(('127.0.0.1', port)) as sock:
            sock.settimeout(15)
            self.assertEqual(sock.recv(1), b'')

    def test_client_certificates_are_optional(self):
        """RFC 4976 6.1: verify_client false: with a certificate, or without one."""
        mine = self.ca.issue('peer')
        call = self.secure_call(tls=certs.client_context(self.ca, mine))
        call.send('with')
        call = self.secure_call()
        call.send('without')

    def test_versions(self):
        """min_version 1.2: TLS 1.2 and 1.3 are served; who speaks 1.1 is told that it is too old."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            call = self.secure_call(tls=certs.client_context(self.ca, version=version))
            call.send('x')
        with self.assertRaisesRegex(ssl.SSLError, 'ALERT_PROTOCOL_VERSION'):
            msrp.connect(call.path[0], tls=certs.client_context(
                self.ca, version=ssl.TLSVersion.TLSv1_1))

    def test_early_close(self):
        """A TLS connection that is reset is a loss like any other."""
        call = self.secure_call()
        call.conn.reset()
        call.dialog.expect('BYE').respond(200)
        self.ctl.event('E_MSRP_SESSION_END', session_id=call.id, reason='failed')

    def test_reload(self):
        """SIGHUP: new connections see the new certificate, sessions live on."""
        call = self.secure_call()
        renewed = self.ca.issue('renewed', ['IP:127.0.0.1', 'DNS:localhost'])
        for source, target in ((renewed.certificate, self.own.certificate),
                               (renewed.key, self.own.key)):
            shutil.copyfile(source, target)
        self.daemon.signal(signal.SIGHUP)
        self.daemon.notify.expect('READY=1')

        def serial():
            conn = msrp.connect(call.path[0], tls=certs.client_context(self.ca))
            subject = conn.certificate['subject']
            conn.close()
            return subject
        poll(lambda: ((('commonName', 'renewed'), ), ) == serial(), what='the new certificate')
        call.send('still here')


class MutualTest(TlsCase):
    tls = {'verify_client': True, 'min_version': '1.3'}

    def test_certificate_required(self):
        """verify_client true: no certificate, or one of another authority: no session."""
        mine, foreign = self.ca.issue('peer'), self.other_ca.issue('foreign')
        self.secure_call(tls=certs.client_context(self.ca, mine)).send('hello')
        call = self.secure_call(connect=False)
        for certificate in (None, foreign):
            with self.subTest(certificate and 'foreign'):
                try:
                    conn = msrp.connect(call.path[0],
                                        tls=certs.client_context(self.ca, certificate))
                except OSError:
                    continue
                conn.try_send_raw(b'\r\n')
                conn.expect_closed()
                self.assertEqual(conn.bytes_in, 0)
        call.connect(tls=certs.client_context(self.ca, mine))

    def test_version(self):
        """min_version 1.3: TLS 1.2 is refused."""
        context = certs.client_context(self.ca, self.ca.issue('peer'))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        call = self.secure_call(connect=False)
        with self.assertRaises(OSError):
            msrp.connect(call.path[0], tls=context)


class ChainTest(TlsCase):
    @classmethod
    def prepare(cls):
        super().prepare()
        between = certs.Authority(cls.directory, 'between', cls.ca)
        own = between.issue('chain')
        cls.config['msrp']['tls'].update(certificate=own.certificate, private_key=own.key)

    def test_session(self):
        """Who knows the root alone is shown what is between."""
        self.secure_call().send('hello')


class CipherTest(TlsCase):
    tls = {'ciphers': 'AES128-SHA'}

    @classmethod
    def prepare(cls):
        super().prepare()
        rsa = cls.ca.issue('rsa', ['IP:127.0.0.1'], rsa=True)
        cls.config['msrp']['tls'].update(certificate=rsa.certificate, private_key=rsa.key)

    def test_ciphers(self):
        """RFC 4975 14.2: the mandatory suite of RFC 4975 can be configured."""
        context = certs.client_context(self.ca)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers('ALL')
        call = self.secure_call(tls=context)
        self.assertEqual(call.conn.sock.cipher()[0], 'AES128-SHA')
        call.send('hello')


class ClientTest(TlsCase):
    """We connect."""

    listen = ('msrps', )
    no_fingerprints = ('sha-256 00', 'sha-256', 'md2 AA:BB', '')
    ua_config = {'reconnect_grace': 0}

    def serve(self, certificate, host='127.0.0.1', **kwargs):
        names = []
        listener = self.listener(tls=certs.server_context(certificate, names=names, **kwargs),
                                 advertise=host if host != '127.0.0.1' else None)
        listener.names = names
        return listener

    def works(self, listener, **kwargs):
        call = self.answered(listener, **kwargs)
        call.send('hello')
        self.received(call)
        self.say(call, 'hello')
        call.receive()
        return call

    def fails(self, listener, extra=()):
        """No byte of MSRP, BYE, and the end as failed."""
        session_id, invite = self.start_session()
        invite.respond(200, sdp.document(sdp.message(listener.uri(), setup='passive',
                                                     extra=extra)))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        dialog.expect('BYE').respond(200)
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_END', session_id=session_id)['reason'],
                         'failed')
        self.assertEqual([conn.bytes_in for conn in listener.conns if conn.bytes_in], [])

    def test_good_certificates(self):
        """RFC 4975 5.4: SAN is the address, or the name, of the path."""
        self.works(self.serve(self.ca.issue('good', ['IP:127.0.0.1'])))
        self.works(self.serve(self.ca.issue('named', ['DNS:localhost']), 'localhost'))

    def test_server_name(self):
        """RFC 4975 14.2, RFC 4976 9.2: SNI carries the name, and no address."""
        listener = self.serve(self.ca.issue('sni', ['DNS:localhost', 'IP:127.0.0.1']), 'localhost')
        self.works(listener)
        self.assertEqual(listener.names, ['localhost'])
        listener = self.serve(self.ca.issue('sni2', ['IP:127.0.0.1']))
        self.works(listener)
        self.assertEqual(listener.names, [None])

    def test_chain(self):
        """What is between the root and the peer is the peer's to show."""
        between = certs.Authority(self.directory, 'between', self.ca)
        self.works(self.serve(between.issue('chain')))
        self.fails(self.serve(between.issue('bare', chain=False)))

    def test_bad_certificates(self):
        """RFC 4975 5.4: wrong SAN, no SAN, expired, unknown authority, self-signed."""
        for name, certificate in {
                'wrong address': self.ca.issue('w1', ['IP:127.0.0.2']),
                'name instead of address': self.ca.issue('w2', ['DNS:127.0.0.1']),
                'other name': self.ca.issue('w3', ['DNS:localhost']),
                'no SAN': self.ca.issue('127.0.0.1', []),
                'expired': self.ca.issue('old', expired=True),
                'unknown authority': self.other_ca.issue('foreign'),
                'self-signed': certs.self_signed(self.directory, 'self', ['IP:127.0.0.1'])
        }.items():
            with self.subTest(name):
                self.fails(self.serve(certificate))

    def test_fingerprint(self):
        """RFC 4975 5.4, 14.4: a self-signed certificate works with its fingerprint, and with no
        other."""
        mine = certs.self_signed(self.directory, 'mine')
        other = certs.self_signed(self.directory, 'notmine')
        for name in ('sha-256', 'sha-1'):
            call = self.works(self.serve(mine), extra=[f'a=fingerprint:{mine.fingerprint(name)}'])
            call.bye()
        self.works(self.serve(mine), extra=[
            f'a=fingerprint:{mine.fingerprint().replace("sha-256", "SHA-256").lower()}'])
        for value in (other.fingerprint(), *self.no_fingerprints):
            with self.subTest(value):
                self.fails(self.serve(mine), [f'a=fingerprint:{value}'])

    def test_fingerprint_of_a_good_certificate(self):
        """RFC 4975 14.4: a fingerprint that does not match counts more than a trusted chain."""
        good = self.ca.issue('trusted')
        other = certs.self_signed(self.directory, 'another')
        self.fails(self.serve(good), [f'a=fingerprint:{other.fingerprint()}'])

    def test_client_certificate(self):
        """RFC 4976 6.3: asked for one, we show ours."""
        listener = self.serve(self.ca.issue('asks'), ca=self.ca, require_client=True)
        call = self.works(listener)
        self.assertIn(('DNS', 'localhost'), call.conn.certificate['subjectAltName'])

    def test_no_tls_there(self):
        """RFC 4975 5.4: the first bytes are a ClientHello; a plain listener is no use to us."""
        with socket.create_server(('127.0.0.1', 0)) as server:
            server.settimeout(10)
            path = f'msrps://127.0.0.1:{server.getsockname()[1]}/{new_id()};tcp'
            session_id, invite = self.start_session()
            invite.respond(200, sdp.document(sdp.message(path, setup='passive')))
            sock, _ = server.accept()
            with sock:
                sock.settimeout(10)
                hello = sock.recv(3)
                self.assertEqual(hello[:2], b'\x16\x03')
                sock.sendall(b'MSRP abcd 200 OK\r\n')
                dialog = Dialog.of_server(invite)
                dialog.expect('ACK')
                dialog.expect('BYE').respond(200)
                self.ctl.event('E_MSRP_SESSION_END', session_id=session_id, reason='failed')

    def test_connections_are_shared_by_scheme(self):
        """RFC 4975 5.4: a second session to the same host and port over TLS uses the connection."""
        listener = self.serve(self.ca.issue('shared'))
        one = self.works(listener)
        path = listener.uri()
        _, invite = self.start_session()
        invite.respond(200, sdp.document(sdp.message(path, setup='passive')))
        one.conn.expect(lambda f: f.method == 'SEND' and f.to_path == [path])
        self.assertEqual(listener.count, 1)


class TrustingTest(ClientTest):
    """verify_server false: any certificate will do (but for a fingerprint that is given)."""

    tls = {'verify_server': False}
    no_fingerprints = ()        # what cannot be read demands nothing
    test_chain = None

    def test_bad_certificates(self):
        self.works(self.serve(certs.self_signed(self.directory, 'self')))
        self.works(self.serve(self.ca.issue('old', expired=True)))


class AdvertisedTest(case.Case):
    own_daemon = True

    def test_name_in_the_path(self):
        """RFC 4976 4.2: a DNS name in the path, its certificate, a peer that checks it."""
        ca = certs.Authority(self.directory)
        own = ca.issue('named', ['DNS:localhost'])
        port = free_port()
        daemon, ctl = self.start({'msrp': {
            'listen': [{'name': 'x', 'uri': f'msrps://127.0.0.1:{port};tcp',
                        'advertise': f'localhost:{port}'}],
            'tls': {'certificate': own.certificate, 'private_key': own.key,
                    'ca_file': ca.file}}})
        call = self.call(daemon, ctl, path=f'msrps://127.0.0.1:9/{new_id()};tcp',
                         tls=certs.client_context(ca))
        self.assertRegex(call.path[0], rf'^msrps://localhost:{port}/')
        call.send('hello')


if __name__ == '__main__':
    case.main()
