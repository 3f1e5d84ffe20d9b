#!/usr/bin/env python3
"""PROXY headers in front of every listener of streams: whose connection rules and lists see."""
import contextlib
import re
import socket
import ssl

from lib import case, certs, msrp, web as weblib, ws
from lib.frame import URI
from lib.proxied import v1, v2
from lib.relay_client import USERS, Client
from lib.waiting import DEADLINE, poll
from lib.web import Web

PROXY = '127.0.0.1'
CLIENTS = (('198.51.100.7', '198.51.100.7'), ('2001:db8::7', '[2001:db8::7]'))


class ListenerCase(case.Case):
    """Each of them, with TLS and without."""

    @classmethod
    def prepare(cls):
        ca = certs.Authority(cls.directory)
        own = ca.issue('msrpd', [f'IP:{PROXY}'])
        cls.tls = certs.client_context(ca)
        cls.own = {'certificate': own.certificate, 'private_key': own.key}

    def dial(self, port, header, secure):
        """A connection that the proxy makes."""
        sock = socket.create_connection((PROXY, port), DEADLINE)
        sock.sendall(header)
        return self.tls.wrap_socket(sock, server_hostname=PROXY) if secure else sock

    def assert_closed(self, port, first):
        """For what it is, without a word."""
        line = f'no PROXY header from {PROXY}'
        before = self.daemon.log().count(line)
        with socket.create_connection((PROXY, port), DEADLINE) as sock:
            sock.sendall(first)
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(sock.recv(1), b'')
        poll(lambda: self.daemon.log().count(line) == before + 1, what=line)

    def each_header(self):
        for version in (v1, v2):
            for client, text in CLIENTS:
                yield version, client, text


class SipTest(ListenerCase):
    """What the rules call $proto, $si and $sp is in the phrase of the answer."""

    KINDS = ('UDP', 'TCP', 'TLS', 'WS', 'WSS')

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.config = {
            'proxy_protocol': [PROXY],
            'sip': {'listen': [f'sip:{PROXY}:0;transport={kind.lower()}' for kind in cls.KINDS],
                    'tls': cls.own},
            'routes': {'sip': [{'do': [{'send_reply': {
                'code': 200, 'reason': 'by $proto of $si at $sp'}}]}]}}

    def setUp(self):
        super().setUp()
        self.ports = dict(zip(self.KINDS, (
            int(re.search(r':(\d+)(;|$)', uri)[1])
            for uri in self.ctl.call('status')['listen']['sip'])))

    def answer(self, transport):
        """To a MESSAGE, from the rules."""
        uri = f'sip:x@{PROXY}'
        return self.sip.request('MESSAGE', uri, transport, b'hi',
                                content_type='text/plain').final(200)

    def connect(self, kind, header):
        sock = self.dial(self.ports[kind], header, kind in ('TLS', 'WSS'))
        sock.settimeout(None)
        if kind in ('WS', 'WSS'):
            sock = ws.Socket(ws.shake_hands(sock, protocol='sip')[0])
        return self.sip.adopt(sock, kind)

    def test_the_client_is_whom_the_header_names(self):
        for kind in self.KINDS[1:]:
            for version, client, _ in self.each_header():
                with self.subTest(kind, version=version.__name__, client=client):
                    transport = self.connect(kind, version(client, 50123))
                    answer = self.answer(transport)
                    self.assertEqual(answer.reason, f'by {kind.lower()} of {client} at 50123')
                    self.assertRegex(answer.get('Via'), f';received={re.escape(client)}(;|$)')
                    self.assertRegex(answer.get('Via'), ';rport=50123(;|$)')
                    transport.close()

    def test_datagrams_have_none(self):
        answer = self.answer(self.sip.reach(PROXY, self.ports['UDP']))
        self.assertEqual(answer.reason, f'by udp of {PROXY} at {self.sip.port}')

    def test_without_one_it_is_closed(self):
        for kind in self.KINDS[1:]:
            with self.subTest(kind):
                for first in (b'OPTIONS sip:x SIP/2.0\r\n', b'GET / HTTP/1.1\r\n',
                              b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00'):
                    self.assert_closed(self.ports[kind], first)


class MsrpTest(ListenerCase):
    """The relay's list has the address of each client."""

    SCHEMES = (('msrp', 'tcp'), ('msrps', 'tcp'), ('msrp', 'ws'), ('msrps', 'ws'))

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.config = {
            'proxy_protocol': [PROXY], 'sip': None, 'routes': None,
            'msrp': {'listen': [{'name': f'{scheme}-{transport}',
                                 'uri': f'{scheme}://{PROXY}:0;{transport}'}
                                for scheme, transport in cls.SCHEMES], 'tls': cls.own},
            'relay': {'users': USERS, 'allow_plain_auth': True}}

    def uris(self):
        for (scheme, transport), (host, port) in zip(
                self.SCHEMES, self.daemon.listeners(self.ctl)):
            yield f'{scheme}://{host}:{port};{transport}'

    def client(self, uri, header):
        match = URI.match(uri)
        sock = self.dial(int(match['port']), header, match['scheme'] == 'msrps')
        conn = msrp.Conn
        if match['transport'] == 'ws':
            sock, conn = ws.Socket(ws.shake_hands(sock)[0]), ws.Conn
        return Client(uri, conn=conn(sock, 'proxied', relay=True))

    def peers(self):
        return [session['peer'] for session in self.ctl.call('msrp_relay_list_sessions')]

    def test_the_client_is_whom_the_header_names(self):
        for uri in self.uris():
            for version, address, text in self.each_header():
                with self.subTest(uri, version=version.__name__, client=address):
                    client = self.client(uri, version(address, 50123))
                    client.auth()
                    peers = self.peers()
                    client.close()
                    poll(lambda: not self.peers(), what='the end of the grant')
                    self.assertEqual(peers, [f'{text}:50123'])

    def test_without_one_it_is_closed(self):
        for uri in self.uris():
            with self.subTest(uri):
                self.assert_closed(int(URI.match(uri)['port']), b'MSRP abcd1234 SEND\r\n')


class ProxiedWeb(Web):
    """A listener as one client sees it whom the proxy speaks for, in each connection."""

    def __init__(self, url, dial):
        super().__init__(url)
        self.dial = dial

    def connect(self):
        conn = super().connect()
        conn.sock = self.dial()
        return conn


class WebTest(ListenerCase):
    """Who asks is shown by /metrics, which some may read, and in /sip and /msrp as above."""

    FEW = 3                         # connections, and wrong passwords

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.config = {
            **weblib.config(listen=[f'http://{PROXY}:0', f'https://{PROXY}:0'], tls=cls.own,
                            metrics=[client for client, _ in CLIENTS]),
            'proxy_protocol': [PROXY],
            'limits': {'exempt': [], 'auth_failures': cls.FEW, 'connections_per_address': cls.FEW},
            'routes': {'sip': [{'do': [{'send_reply': {
                'code': 200, 'reason': 'of $si at $sp'}}]}]}}

    def each_listener(self):
        """And the beginning of addresses that nobody else has."""
        for number, url in enumerate(self.ctl.call('status')['listen']['web'], 1):
            yield url, f'203.0.113.{number}'

    def dial_url(self, url, header):
        port = int(url.rstrip('/').rpartition(':')[2])
        return self.dial(port, header, url.startswith('https'))

    def web(self, url, header):
        return ProxiedWeb(url, lambda: self.dial_url(url, header))

    def socket(self, url, header, path):
        """A WebSocket there."""
        sock, answer = ws.shake_hands(self.dial_url(url, header), path=path, protocol=path[1:])
        self.addCleanup(sock.close)
        self.assertEqual(answer.status, 101)
        return sock

    @contextlib.contextmanager
    def accepted(self, name, client):
        """That it was is in the log, once."""
        line = rf' {name}: conn \d+: accepted from {re.escape(client)}:50123 on '
        before = len(re.findall(line, self.daemon.log()))
        yield
        poll(lambda: len(re.findall(line, self.daemon.log())) == before + 1, what=line)

    def is_served(self, web):
        try:
            return web.get('/nothing').status == 404
        except (ConnectionError, ssl.SSLEOFError):
            return False

    def test_the_client_is_whom_the_header_names(self):
        for url, other in self.each_listener():
            for version, client, text in self.each_header():
                with self.subTest(url, version=version.__name__, client=client):
                    web = self.web(url, version(client, 50123))
                    with self.accepted('web', text):
                        self.assertEqual(web.get('/metrics', X_Forwarded_For=other).status, 200)
            for header in (v1(other), v2(other), v2(CLIENTS[0][0], command=0)):
                web = self.web(url, header)
                self.assertEqual(web.get('/metrics', X_Forwarded_For=CLIENTS[0][0]).status, 404)

    def test_without_one_it_is_closed(self):
        for url, _ in self.each_listener():
            with self.subTest(url):
                for first in (b'GET / HTTP/1.1\r\n', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03'):
                    self.assert_closed(int(url.rpartition(':')[2]), first)

    def test_connections(self):
        """They are the client's, also those that have become WebSockets."""
        for url, client in self.each_listener():
            with self.subTest(url):
                web, neighbour = self.web(url, v1(client)), self.web(url, v2(client + '0'))
                socks = [self.socket(url, v2(client), path) for path in ('/sip', '/msrp', '/sip')]
                self.assertFalse(self.is_served(web))
                self.assertTrue(self.is_served(neighbour))
                socks[0].close()
                poll(lambda w=web: self.is_served(w), what='room for another one')

    def test_wrong_passwords(self):
        """They are the client's, and so is the bar; by TLS he is closed before the handshake."""
        for url, client in self.each_listener():
            with self.subTest(url):
                client += '1'
                web, neighbour = self.web(url, v2(client)), self.web(url, v1(client + '0'))
                conn = web.connect()
                self.addCleanup(conn.close)
                for _ in range(self.FEW):
                    self.assertEqual(web.log_in('alice', 'wrong', conn=conn).status, 401)
                self.assertEqual(web.log_in('alice', 'wonderland', conn=conn).status, 429)
                self.assertEqual(neighbour.log_in('alice', 'wonderland').status, 200)
                self.assertEqual(self.is_served(web), url.startswith('http:'))

    def test_websockets(self):
        """Rules and the log of what a connection is handed to have the client as well."""
        for url, _ in self.each_listener():
            for version, client, text in self.each_header():
                with self.subTest(url, version=version.__name__, client=client):
                    sock = self.socket(url, version(client, 50123), '/sip')
                    sock.settimeout(None)
                    transport = self.sip.adopt(ws.Socket(sock), 'WS')
                    answer = self.sip.request('MESSAGE', f'sip:x@{PROXY}', transport).final(200)
                    self.assertEqual(answer.reason, f'of {client} at 50123')
                    transport.close()
                    with self.accepted('msrp', text):
                        self.socket(url, version(client, 50123), '/msrp').close()


if __name__ == '__main__':
    case.main()
