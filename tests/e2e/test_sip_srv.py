#!/usr/bin/env python3
"""Domains and their servers: RFC 3263, RFC 2782, with a name server of our own."""
import time

from lib import case, certs
from lib.daemon import free_port
from lib.dns import SRV, DnsServer
from lib.gateway import TEXT
from lib.tls_server import TlsServer

DOMAIN = 'carrier.example'
PASSED_OVER = 30                # seconds


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

    def calls(self, domain, params='', scheme='sip'):
        return self.ctl.call('msrp_ua_start_session', content_types=TEXT,
                             ruri=f'{scheme}:bob@{domain}{params}',
                             from_uri='sip:a@example.org',
                             to_uri=f'sip:bob@{domain}')['session_id']

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
                self.dns.service(service, f'dead.{domain}', free_port(), 10)
                self.dns.service(service, f'gone.{domain}', free_port(), 20)
                self.dns.service(service, f'alive.{domain}', ua.port, 30)
                began = time.monotonic()
                for _ in range(2):
                    self.calls(domain, f';transport={kind}')
                    self.taken(ua, kind.upper())
                if time.monotonic() - began >= PASSED_OVER:
                    continue        # a machine so slow has let the time go by
                # One line for each of the two: the second call has not tried them.
                self.assertEqual(len([line for line in self.daemon.log().splitlines()
                                      if f'.{domain} ' in line and 'not reached' in line]), 2)

    def test_nobody_left(self):
        for kind in ('udp', 'tcp'):
            with self.subTest(kind):
                domain = self.domain(f'nobody-{kind}')
                for name in ('one', 'two'):
                    self.dns.service(f'_sip._{kind}.{domain}', f'{name}.{domain}', free_port())
                self.calls(domain, f';transport={kind}')
                self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], 503)

    def two_servers(self, name, kind):
        servers, domain = [self.server('first'), self.server('second')], self.domain(name)
        for index, server in enumerate(servers):
            self.dns.service(f'_sip._{kind}.{domain}', f'{index}.{domain}', server.port, index)
        return (*servers, domain)

    def unavailable(self, ua, headers=()):
        """Its INVITE is answered 503, and gets its ACK."""
        invite = ua.expect('INVITE')
        invite.respond(100)
        invite.respond(503, headers=headers, reason=f'{ua.name} is busy')
        ua.expect_failure_ack(invite)
        return invite

    def test_unavailable(self):
        """RFC 3263 4.3: 503 is a failure as well, and the next server gets a request of its own."""
        for kind in ('udp', 'tcp'):
            with self.subTest(kind):
                first, second, domain = self.two_servers(f'busy-{kind}', kind)
                self.calls(domain, f';transport={kind}')
                refused = self.unavailable(first, [('Retry-After', '3600')])
                invite = second.expect('INVITE')
                self.assertNotEqual(invite.request.branch, refused.request.branch)
                self.assertEqual(invite.request.call_id, refused.request.call_id)
                if kind == 'udp':       # its ACK was lost
                    refused.acked.clear()
                    refused.transport.send(refused.last.encode())
                    first.expect_failure_ack(refused)
                invite.respond(180)
                invite.respond(486)
                second.expect_failure_ack(invite)
                self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], 486)
                self.calls(domain, f';transport={kind}')    # the first is passed over
                self.taken(second, kind.upper())

    def test_unavailable_for_a_bye(self):
        """What is no INVITE gets no ACK, and is sent to the next one all the same."""
        for kind in ('udp', 'tcp'):
            with self.subTest(kind):
                first, second, domain = self.two_servers(f'bye-{kind}', kind)
                caller = self.ua(name='caller')
                caller.contact = lambda *_, to=f'sip:a@{domain};transport={kind}': to
                call = self.call(ua=caller, connect=False)
                self.ctl.call('msrp_ua_end_session', session_id=call.id)
                refused = first.expect('BYE')
                refused.respond(503)
                bye = second.expect('BYE')
                self.assertNotEqual(bye.request.branch, refused.request.branch)
                bye.respond(200)

    def test_all_unavailable(self):
        """The last one's answer counts, and all are tried once."""
        for kind in ('udp', 'tcp'):
            with self.subTest(kind):
                first, second, domain = self.two_servers(f'all-{kind}', kind)
                self.calls(domain, f';transport={kind}')
                self.unavailable(first)
                self.unavailable(second)
                failed = self.ctl.event('E_MSRP_SESSION_FAILED')
                self.assertEqual((failed['code'], failed['reason']), (503, 'second is busy'))

    def test_unavailable_after_ringing(self):
        """Whoever rings is there: what he says then is the answer."""
        first, _, domain = self.two_servers('rings', 'udp')
        self.calls(domain, ';transport=udp')
        invite = first.expect('INVITE')
        invite.respond(180)
        invite.respond(503)
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], 503)

    def test_cancelled_before_unavailable(self):
        """What is not wanted any more goes nowhere else."""
        first, second, domain = self.two_servers('cancel', 'udp')
        session_id = self.calls(domain, ';transport=udp')
        invite = first.expect('INVITE')
        invite.respond(100)
        self.ctl.call('msrp_ua_end_session', session_id=session_id)
        first.expect('CANCEL').respond(200)
        invite.respond(503)
        first.expect_failure_ack(invite)
        self.calls(domain, ';transport=udp')
        again = first.expect('INVITE')
        self.assertNotEqual(again.request.call_id, invite.request.call_id)
        again.respond(486)
        self.assertEqual(second.requests.has(), [])

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
        for name, sans, code in (
                ('good', [f'DNS:{DOMAIN}'], 486), ('bad', [f'DNS:host.{DOMAIN}'], 503),
                ('wild', ['DNS:*.example.org', 'DNS:*.example.com'], 503),
                ('uri', [f'URI:SIP:{DOMAIN.upper()}:5061;x=y'], 486),
                ('second', ['URI:sip:other.example', f'URI:sip:{DOMAIN}'], 486),
                ('suffix', [f'URI:sip:x.{DOMAIN}'], 503), ('sips', [f'URI:sips:{DOMAIN}'], 503),
                ('user', [f'URI:sip:alice@{DOMAIN}'], 503),
                # DNS names count where there is no such URI.
                ('first', ['URI:sip:other.example', f'DNS:{DOMAIN}'], 503),
                ('beside', ['URI:sip:alice@other.example', 'URI:https://other.example',
                            f'DNS:{DOMAIN}'], 486)):
            with self.subTest(name):
                domain = self.domain(name)
                own = self.ca.issue(name, [san.replace(DOMAIN, domain).replace(
                    DOMAIN.upper(), domain.upper()) for san in sans])
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
