#!/usr/bin/env python3
"""Domains and their servers: RFC 3263, RFC 2782, with a name server of our own."""
import socket

from lib import case, certs
from lib.dns import SRV, DnsServer
from lib.gateway import TEXT
from lib.tls_server import TlsServer

DOMAIN = 'carrier.example'


class SrvCase(case.Case):
    sip = {}

    @classmethod
    def prepare(cls):
        cls.dns = DnsServer()
        cls.addClassCleanup(cls.dns.close)
        cls.config = {'dns': {'servers': [cls.dns.address]}, **cls.sip}

    def setUp(self):
        super().setUp()
        self.dns.asked.clear()

    def domain(self, name):
        """One that nobody has asked for before."""
        return f'{name}.{DOMAIN}'

    def server(self, name):
        return self.ua(user='server', name=name)

    def nobody(self):
        """A port that nobody listens on."""
        with socket.create_server(('127.0.0.1', 0)) as sock:
            return sock.getsockname()[1]

    def calls(self, domain, params='', scheme='sip'):
        self.ctl.call('msrp_ua_start_session', content_types=TEXT,
                      ruri=f'{scheme}:bob@{domain}{params}', from_uri='sip:a@example.org',
                      to_uri=f'sip:bob@{domain}')

    def taken(self, ua, kind):
        invite = ua.expect('INVITE')
        self.assertIn(f'/{kind} ', invite.request.get('Via'))
        invite.respond(486)
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], 486)

    def services_asked(self, domain):
        return [name for name, kind in self.dns.asked if kind == SRV and name.endswith(domain)]


class ServiceTest(SrvCase):
    def test_transports(self):
        """Which service is asked for, and who is called."""
        for name, params, service, kind in (
                ('udp', ';transport=udp', '_sip._udp', 'UDP'),
                ('tcp', ';transport=tcp', '_sip._tcp', 'TCP'),
                ('any', '', '_sip._udp', 'UDP')):
            with self.subTest(name):
                ua, domain = self.server(name), self.domain(name)
                self.dns.service(f'{service}.{domain}', f'host.{domain}', ua.port)
                self.calls(domain, params)
                self.taken(ua, kind)
                self.assertEqual(self.services_asked(domain), [f'{service}.{domain}'])

    def test_tcp_alone(self):
        """RFC 3263 4.1: the URI leaves the transport open, and the domain has TCP alone."""
        ua, domain = self.server('only'), self.domain('only')
        self.dns.service(f'_sip._tcp.{domain}', f'host.{domain}', ua.port)
        self.calls(domain)
        self.taken(ua, 'TCP')

    def test_known(self):
        """What is known is not asked for again, and requests meanwhile keep their order."""
        ua, domain = self.server('known'), self.domain('known')
        self.dns.service(f'_sip._udp.{domain}', f'host.{domain}', ua.port)
        for user in 'abcde':
            self.ctl.call('msrp_ua_start_session', content_types=TEXT, ruri=f'sip:{user}@{domain}',
                          from_uri='sip:a@example.org', to_uri=f'sip:{user}@{domain}')
        for user in 'abcde':
            invite = ua.expect('INVITE')
            self.assertEqual(invite.request.uri, f'sip:{user}@{domain}')
            invite.respond(486)
            self.ctl.event('E_MSRP_SESSION_FAILED')
        self.assertEqual(self.services_asked(domain), [f'_sip._udp.{domain}'])

    def test_port(self):
        """With a port nobody is asked for services."""
        ua, domain = self.server('port'), self.domain('port')
        self.dns.host(domain)
        self.calls(f'{domain}:{ua.port}')
        self.taken(ua, 'UDP')
        self.assertEqual(self.services_asked(domain), [])

    def test_priority(self):
        for kind in ('udp', 'tcp'):
            with self.subTest(kind):
                domain = self.domain(f'priority-{kind}')
                first, second = self.server('first'), self.server('second')
                self.dns.service(f'_sip._{kind}.{domain}', f'second.{domain}', second.port, 20)
                self.dns.service(f'_sip._{kind}.{domain}', f'first.{domain}', first.port, 10)
                self.calls(domain, f';transport={kind}')
                self.taken(first, kind.upper())

    def test_failover(self):
        """Who cannot be reached is passed over, by the same request, and for a while by others."""
        for kind in ('udp', 'tcp'):
            with self.subTest(kind):
                domain, ua = self.domain(f'failover-{kind}'), self.server('alive')
                service = f'_sip._{kind}.{domain}'
                self.dns.service(service, f'dead.{domain}', self.nobody(), 10)
                self.dns.service(service, f'gone.{domain}', self.nobody(), 20)
                self.dns.service(service, f'alive.{domain}', ua.port, 30)
                for _ in range(2):
                    self.calls(domain, f';transport={kind}')
                    self.taken(ua, kind.upper())
                # One line for each of the two: the second call has not tried them.
                self.assertEqual(len([line for line in self.daemon.log().splitlines()
                                      if f'.{domain} ' in line and 'not reached' in line]), 2)

    def test_nobody_left(self):
        for kind in ('udp', 'tcp'):
            with self.subTest(kind):
                domain = self.domain(f'nobody-{kind}')
                for name in ('one', 'two'):
                    self.dns.service(f'_sip._{kind}.{domain}', f'{name}.{domain}', self.nobody())
                self.calls(domain, f';transport={kind}')
                self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], 503)

    def test_silent_server(self):
        """A name server that says nothing is not waited for without end."""
        domain = self.domain('silent')
        self.dns.silent.add(SRV)
        self.addCleanup(self.dns.silent.clear)
        self.calls(domain, ';transport=udp')
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], 503)
        self.assertRegex(self.daemon.log(), f'_sip._udp.{domain}: .*[Tt]ime')


class TlsServiceTest(SrvCase):
    """The domain is who has to be there, whatever its server is called (RFC 5922 4)."""

    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        cls.sip = {'sip': {'listen': ['sip:127.0.0.1:0;transport=udp',
                                      'sip:127.0.0.1:0;transport=tcp'],
                           'tls': {'ca_file': cls.ca.file}}}
        super().prepare()

    def test_identity(self):
        """And whoever has no certificate is a client of TLS all the same."""
        for name, san, code in (('good', DOMAIN, 486), ('bad', f'host.{DOMAIN}', 503)):
            with self.subTest(name):
                domain = self.domain(name)
                own = self.ca.issue(name, [f'DNS:{san.replace(DOMAIN, domain)}'])
                server = TlsServer(self.ua(), certs.server_context(own, self.ca))
                self.addCleanup(server.close)
                self.dns.service(f'_sips._tcp.{domain}', f'host.{domain}', server.port)
                self.calls(domain, scheme='sips')
                if code == 486:
                    invite = server.ua.expect('INVITE')
                    self.assertNotIn('alias', invite.request.get('Via'))
                    invite.respond(486)
                self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], code)


if __name__ == '__main__':
    case.main()
