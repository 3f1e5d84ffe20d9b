#!/usr/bin/env python3
"""What one address may do, and whose address it is: limits, proxy_protocol."""
import contextlib
import re
import socket
import ssl
import time

from lib import case, certs, msrp
from lib.ctl import RpcError
from lib.daemon import free_port
from lib.digest import authorized
from lib.frame import URI
from lib.program import Program
from lib.proxied import SIGNATURE, v1, v2
from lib.relay_client import RELAY, USERS, Client, Refused
from lib.waiting import DEADLINE, poll
from test_relay_auth import RelayCase


def is_open(relay, first=b''):
    """Is anybody answered who begins with these bytes?  The socket then, else None."""
    match = URI.match(relay)
    sock = socket.create_connection((match['host'], int(match['port'])), DEADLINE)
    auth = msrp.build('AUTH', [relay], ['msrp://127.0.0.1:9/x;tcp'])
    try:
        sock.sendall(first + auth.encode())
        if sock.recv(1):
            return sock
    except (BrokenPipeError, ConnectionResetError):
        pass
    sock.close()
    return None


def listens(port):
    with socket.socket() as sock:
        return sock.connect_ex(('127.0.0.1', port)) == 0


class LimitsCase(RelayCase):
    limits = {}
    proxies = []

    @classmethod
    def setUpClass(cls):
        cls.config = {**cls.config, 'limits': {'exempt': ['192.0.2.200'], **cls.limits},
                      'proxy_protocol': cls.proxies}
        super().setUpClass()

    def count(self, name):
        return self.ctl.call('get_statistics', group='limits')[f'limits:{name}']

    def count_of_streams(self, name):
        return self.ctl.call('get_statistics', group='msrp')[f'msrp:{name}']


class MetricsTest(LimitsCase):
    """metrics.listen is under them as well, and is this process's own."""
    config = {**RelayCase.config, 'metrics': {'listen': '127.0.0.1:0'}, 'share_ports': True}
    limits = {'connections_per_address': 3}
    proxies = ['127.0.0.1']             # whose health checks have no header

    def ask(self, sock):
        sock.sendall(b'GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n')
        return sock.recv(15)

    def test_so_many_and_no_more(self):
        address = '127.0.0.1', self.ctl.call('status')['listen']['metrics']
        socks = [socket.create_connection(address, DEADLINE) for _ in range(3)]
        for sock in socks:
            self.addCleanup(sock.close)
            self.assertEqual(self.ask(sock), b'HTTP/1.1 200 OK')
        with socket.create_connection(address, DEADLINE) as sock:
            with contextlib.suppress(ConnectionError):
                self.assertEqual(self.ask(sock), b'')
        self.assertEqual(self.count('refused'), 1)
        self.assertEqual(self.ctl.call('get_statistics', group='metrics')['metrics:refused'], 1)
        with socket.socket() as sock:   # nobody else shares its port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self.assertRaises(OSError, sock.bind, address)


class ConnectionsTest(LimitsCase):
    limits = {'connections_per_address': 3}

    def test_so_many_and_no_more(self):
        clients = [self.client() for _ in range(3)]
        for client in clients:
            client.auth()
        before = self.count('refused')
        self.assertIsNone(is_open(self.relay))
        self.assertEqual(self.count('refused'), before + 1)
        clients[0].close()
        poll(lambda: self.count_of_streams('connections') == 2, what='the end of one')
        self.client().auth()


class WindowMixin:
    def end_of_window(self):
        """It ends when it is made short."""
        self.daemon.config['limits']['auth_failure_window'] = '1s'
        self.daemon.write_config()
        self.ctl.call('reload')
        poll(lambda: self.attempt(USERS['alice']['password']) == 200, what='the end of the window')


class CredentialsTest(WindowMixin, LimitsCase):
    limits = {'auth_failures': 3, 'auth_failure_window': '1h'}

    def attempt(self, password):
        client = Client(self.relay, 'alice', password)
        try:
            return client.auth().code
        except Refused as refused:
            return refused.frame.code
        finally:
            client.close()

    def test_wrong_credentials_bar_an_address(self):
        codes = [self.attempt('wrong') for _ in range(4)]
        self.assertEqual(codes, [401, 401, 401, 403])
        self.assertEqual(self.attempt(USERS['alice']['password']), 403)
        self.assertGreaterEqual(self.count('barred'), 2)
        self.end_of_window()


class TlsCase(case.Case):
    """One listener, of TLS, that the context tls trusts."""

    @classmethod
    def prepare(cls):
        ca = certs.Authority(cls.directory)
        own = ca.issue('msrpd', ['IP:127.0.0.1'])
        cls.tls = certs.client_context(ca)
        cls.config = {
            **cls.config, 'msrp': {
                'listen': [{'name': 'one', 'uri': 'msrps://127.0.0.1:0;tcp'}],
                'tls': {'certificate': own.certificate, 'private_key': own.key}}}


class TlsCredentialsTest(WindowMixin, TlsCase):
    """Who is barred costs no handshake, whoever says that it is he."""

    config = {
        **RELAY, 'proxy_protocol': ['127.0.0.1'],
        'limits': {'auth_failures': 1, 'auth_failure_window': '1h', 'exempt': ['192.0.2.200']}}

    def attempt(self, password, address='198.51.100.7'):
        """The code of the answer; None: the connection was closed before the handshake."""
        host, port = self.daemon.listeners(self.ctl)[0]
        relay = f'msrps://{host}:{port};tcp'
        sock = socket.create_connection((host, int(port)), DEADLINE)
        sock.sendall(v1(address))
        try:
            sock = self.tls.wrap_socket(sock, server_hostname=host)
        except (ConnectionResetError, ssl.SSLEOFError):
            sock.close()
            return None
        client = Client(relay, 'alice', password, conn=msrp.Conn(sock, 'proxied', relay=True))
        try:
            return client.auth().code
        except Refused as refused:
            return refused.frame.code
        finally:
            client.close()

    def count(self, name):
        return self.ctl.call('get_statistics')[name]

    def test_who_is_barred_is_closed(self):
        self.assertEqual(self.attempt('wrong'), 401)
        before = self.count('msrp:refused'), self.count('limits:barred')
        self.assertIsNone(self.attempt(USERS['alice']['password']))
        self.assertEqual((self.count('msrp:refused'), self.count('limits:barred')),
                         (before[0] + 1, before[1] + 1))
        self.assertEqual(self.attempt(USERS['alice']['password'], '198.51.100.8'), 200)
        self.end_of_window()


class DatagramTest(TlsCase):
    """What a datagram shows may be anybody's: no connection is closed for it."""

    config = {'users': USERS, 'registrar': {'domains': ['example.org']},
              'limits': {'auth_failures': 1, 'exempt': []}}

    def test_handshake(self):
        transport = self.sip.reach('127.0.0.1', self.daemon.sip_port, 'UDP')
        aor = 'sip:alice@example.org'
        for code in (401, 403):
            authorized(self.sip, 'REGISTER', 'sip:example.org', transport, 'alice', 'wrong',
                       from_uri=aor, to_uri=aor).final(code)
        host, port = self.daemon.listeners(self.ctl)[0]
        with socket.create_connection((host, int(port)), DEADLINE) as sock:
            self.tls.wrap_socket(sock, server_hostname=host).close()


class SessionsTest(case.Case):
    config = {'ua': {'max_sessions': 2}}

    def test_so_many_and_no_more(self):
        calls = [self.call(connect=False) for _ in range(2)]
        self.invite(self.offer()).final(503)
        with self.assertRaises(RpcError):
            self.start_session()
        calls[0].bye()
        self.ctl.event('E_MSRP_SESSION_END')
        self.call(connect=False)


class SipConnectionsTest(case.Case):
    config = {'sip': {'max_connections': 3},
              'routes': {'sip': [{'do': [{'send_reply': {'code': 200, 'reason': 'OK'}}]}]}}

    def number(self, name):
        return self.ctl.call('get_statistics', group='sip')[f'sip:{name}']

    def connect(self):
        """Another one, that is served."""
        sock = socket.create_connection(('127.0.0.1', self.daemon.sip_port), DEADLINE)
        sock.settimeout(None)
        transport = self.sip.adopt(sock, 'TCP')
        self.ask(transport)
        return transport

    def ask(self, transport):
        self.sip.request('MESSAGE', self.daemon.sip_uri, transport).final(200)

    def test_so_many_and_no_more(self):
        """One more is closed; who is there goes on, and so does UDP."""
        transports = [self.connect() for _ in range(3)]
        with socket.create_connection(('127.0.0.1', self.daemon.sip_port), DEADLINE) as sock, \
                contextlib.suppress(ConnectionResetError):
            self.assertEqual(sock.recv(1), b'')
        self.assertEqual((self.number('refused'), self.number('connections')), (1, 3))
        for transport in transports:
            self.ask(transport)
        self.ask(self.sip.reach('127.0.0.1', self.daemon.sip_port))
        transports[0].close()
        poll(lambda: self.number('connections') == 2, what='the end of one')
        self.connect()


class ProxyTest(LimitsCase):
    limits = {'connections_per_address': 2}
    proxies = ['127.0.0.1']

    def connect(self, header):
        match = URI.match(self.relay)
        sock = socket.create_connection((match['host'], int(match['port'])), DEADLINE)
        sock.sendall(header)
        return Client(self.relay, 'alice', USERS['alice']['password'],
                      conn=msrp.Conn(sock, 'proxied', relay=True))

    def test_the_client_is_whom_the_header_names(self):
        for header in (v1('198.51.100.7'), v2('198.51.100.7')):
            client = self.connect(header)
            client.auth()
            peers = [session['peer'] for session in self.sessions()]
            self.assertEqual(peers, ['198.51.100.7:50000'])
            client.close()
            poll(lambda: not self.sessions(), what='the end of the grant')

    def test_local_and_unknown_are_the_proxy_itself(self):
        for header in (v2('198.51.100.7', command=0), b'PROXY UNKNOWN\r\n'):
            client = self.connect(header)
            client.auth()
            self.assertRegex(self.sessions()[0]['peer'], '^127.0.0.1:')
            client.close()
            poll(lambda: not self.sessions(), what='the end of the grant')

    def test_without_one_it_is_closed(self):
        for first in (b'MSRP abcd1234 SEND\r\n', b'PROXY TCP4 no such thing\r\n',
                      SIGNATURE + b'\x31\x11\x00\x00'):
            self.assertIsNone(is_open(self.relay, first))
        poll(lambda: self.daemon.log().count('no PROXY header from 127.0.0.1') >= 3,
             what='a log line for each')

    def test_limits_are_the_clients(self):
        socks = [is_open(self.relay, v1('203.0.113.5')) for _ in range(3)]
        self.assertIsNotNone(socks[0])
        self.assertIsNotNone(socks[1])
        self.assertIsNone(socks[2])
        other = is_open(self.relay, v1('203.0.113.6'))
        self.assertIsNotNone(other)
        for sock in (*socks[:2], other):
            sock.close()

    def test_haproxy(self):
        """A proxy that others wrote, with both versions."""
        match = URI.match(self.relay)
        for option in ('send-proxy', 'send-proxy-v2'):
            port = free_port()
            path = f'{self.directory}/haproxy.cfg'
            with open(path, 'w', encoding='ascii') as file:
                file.write('defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n'
                           ' timeout server 60s\n'
                           f'listen msrp\n bind 127.0.0.1:{port}\n'
                           f' server one {match["host"]}:{match["port"]} {option}\n')
            haproxy = Program('haproxy', ['haproxy', '-db', '-f', path], self.directory)
            try:
                poll(lambda: listens(port), what='haproxy')
                client = Client(f'msrp://127.0.0.1:{port};tcp', 'alice',
                                USERS['alice']['password'])
                client.relay = self.relay
                client.auth()
                self.assertEqual(self.sessions()[0]['peer'],
                                 '%s:%u' % client.conn.local)
                client.close()
                poll(lambda: not self.sessions(), what='the end of the grant')
            finally:
                haproxy.stop()


class HandshakesTest(case.Case):
    """Later ones wait, at every listener of TLS, and those of others do not."""

    SECOND = .999                   # that of the daemon's clock, which cuts off what is below 1 ms

    @classmethod
    def prepare(cls):
        ca = certs.Authority(cls.directory)
        own = ca.issue('msrpd', ['IP:127.0.0.1'])
        cls.tls = certs.client_context(ca)
        tls = {'certificate': own.certificate, 'private_key': own.key}
        cls.config = {
            'limits': {'handshakes_per_second': 2, 'exempt': []},
            'sip': {'listen': [f'sip:127.0.0.1:0;transport={kind}' for kind in ('tls', 'wss')],
                    'tls': tls},
            'msrp': {'listen': [{'name': kind, 'uri': f'msrps://127.0.0.1:0;{kind}'}
                                for kind in ('tcp', 'ws')], 'tls': tls,
                     'tls_handshake_timeout': '1m'},
            'web': {'listen': ['https://127.0.0.1:0'], 'tls': tls, 'msrp': False, 'sip': False}}

    def ports(self):
        listen = self.ctl.call('status')['listen']
        for uri in listen['sip'] + listen['web'] + listen['msrp']:
            yield int(re.search(r':(\d+)(;|$)', uri)[1])

    def connect(self, port, address):
        sock = socket.create_connection(('127.0.0.1', port), DEADLINE, (address, 0))
        self.addCleanup(sock.close)
        return sock

    def shake_hands(self, sock):
        self.tls.wrap_socket(sock, server_hostname='127.0.0.1').close()

    def count(self, name):
        """Of all protocols together."""
        return sum(value for key, value in self.ctl.call('get_statistics').items()
                   if key.endswith(f':{name}'))

    def come(self, ports, address, neighbour):
        """Five of one address, and then one of another while some of those wait."""
        accepted, began = self.count('accepted'), time.monotonic()
        socks = [self.connect(port, address) for port in ports]
        poll(lambda: self.count('accepted') == accepted + len(socks), what='all of them')
        delayed = self.count('delayed')
        self.shake_hands(self.connect(ports[0], neighbour))
        self.assertEqual(self.count('delayed'), delayed)
        for turn, some in enumerate((socks[:2], socks[2:4], socks[4:])):
            for sock in some:
                self.shake_hands(sock)
            self.assertGreaterEqual(time.monotonic() - began, turn * self.SECOND)

    def test_each_listener(self):
        for number, port in enumerate(self.ports(), 1):
            with self.subTest(port):
                self.come([port] * 5, f'127.0.1.{number}', f'127.0.2.{number}')

    def test_all_listeners(self):
        """They are the address's, wherever it comes."""
        self.come(list(self.ports()), '127.0.3.1', '127.0.3.2')


if __name__ == '__main__':
    case.main()
