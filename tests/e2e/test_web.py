#!/usr/bin/env python3
"""The web port: files, and whatever else comes by HTTP (RFC 9110, RFC 9112)."""
import os
import socket
import subprocess

from lib import case, certs
from lib.waiting import DEADLINE, poll
from lib.web import Web


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(content)


def curl(*arguments):
    return subprocess.run(['curl', '-sS', '--max-time', str(DEADLINE), *arguments], check=True,
                          stdout=subprocess.PIPE, timeout=2 * DEADLINE).stdout


class SiteCase(case.Case):
    settings = {}

    @classmethod
    def prepare(cls):
        cls.root = os.path.join(cls.directory, 'site')
        cls.big = os.urandom(1 << 20) * 5
        write(f'{cls.root}/index.html', b'<p>hello')
        write(f'{cls.root}/a b/page.js', b'let x\n')
        write(f'{cls.root}/sub/index.html', b'<p>sub')
        write(f'{cls.root}/empty/x.png', b'')
        write(f'{cls.root}/big.bin', cls.big)
        write(f'{cls.root}/.hidden', b'secret')
        write(f'{cls.directory}/outside.txt', b'secret')
        os.symlink('../outside.txt', f'{cls.root}/link.txt')
        os.symlink('..', f'{cls.root}/up')
        os.mkfifo(f'{cls.root}/pipe.txt')
        cls.config = {'web': {'listen': ['http://127.0.0.1:0'], 'root': cls.root,
                              **cls.settings}}

    def setUp(self):
        super().setUp()
        self.web = Web.of(self.ctl)


class FilesTest(SiteCase):
    def test_a_page(self):
        for path in ('/', '/index.html', '/?a=b', 'http://elsewhere.example.org/'):
            answer = self.web.get(path)
            self.assertEqual((answer.status, answer.body), (200, b'<p>hello'), path)
            self.assertEqual(answer.headers['Content-Type'], 'text/html; charset=utf-8')
            self.assertIn("default-src 'self'", answer.headers['Content-Security-Policy'])
            self.assertIn("frame-ancestors 'self'", answer.headers['Content-Security-Policy'])
            self.assertEqual(answer.headers['Referrer-Policy'], 'no-referrer')
        self.assertEqual(self.web.get('/sub/').body, b'<p>sub')

    def test_types(self):
        answer = self.web.get('/a%20b/page.js')
        self.assertEqual(answer.body, b'let x\n')
        self.assertEqual(answer.headers['Content-Type'], 'text/javascript; charset=utf-8')
        self.assertEqual(self.web.get('/empty/x.png').headers['Content-Type'], 'image/png')

    def test_head(self):
        answer = self.web.ask('HEAD', '/index.html')
        self.assertEqual((answer.status, answer.body, answer.headers['Content-Length']),
                         (200, b'', '8'))

    def test_a_page_that_is_known(self):
        tag = self.web.get('/').headers['ETag']
        for known in (tag, f'"x", W/{tag}', '*'):
            answer = self.web.get('/', If_None_Match=known)
            self.assertEqual((answer.status, answer.body), (304, b''), known)
        self.assertEqual(self.web.get('/', If_None_Match='"x"').status, 200)
        for lines, status in ((['"x"', tag], 304), ([tag, '"x"'], 200)):
            out = self.web.raw(b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n' + b''.join(
                f'If-None-Match: {line}\r\n'.encode() for line in lines) + b'\r\n')
            self.assertTrue(out.startswith(f'HTTP/1.1 {status} '.encode()), (lines, out))

    def test_a_directory_is_not_listed(self):
        self.assertEqual(self.web.get('/empty/').status, 404)
        answer = self.web.get('/sub')
        self.assertEqual((answer.status, answer.headers['Location']), (301, '/sub/'))

    def test_nothing_leaves_the_root(self):
        for path in ('/../outside.txt', '/sub/../../outside.txt', '/%2e%2e/outside.txt',
                     '/sub/%2e%2e/%2e%2e/outside.txt', '/..%2foutside.txt', '/link.txt',
                     '/up/outside.txt', '/%252e%252e/outside.txt', '//outside.txt',
                     '/.hidden', '/./index.html', '/sub//index.html', '/index.html/',
                     '/pipe.txt', '/' + 'a/' * 2000, '/' + 'a' * 3000,
                     self.root.join(['/', '/index.html'])):
            self.assertEqual(self.web.get(path).status, 404, path)
        self.assertIn(self.web.get('/index.html%00.txt').status, (400, 404))

    def test_methods(self):
        for method in ('POST', 'PUT', 'DELETE', 'OPTIONS'):
            answer = self.web.ask(method, '/')
            self.assertEqual((answer.status, answer.headers['Allow']), (405, 'GET, HEAD'))

    def test_a_large_file_and_what_comes_behind_it(self):
        conn = self.web.connect()
        self.assertEqual(self.web.ask('GET', '/big.bin', conn=conn).body, self.big)
        self.assertEqual(self.web.ask('GET', '/', conn=conn).body, b'<p>hello')
        conn.close()

    def test_pipelining(self):
        one = b'GET %s HTTP/1.1\r\nHost: x\r\n\r\n'
        last = b'GET /sub/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
        out = self.web.raw(one % b'/' + one % b'/big.bin' + one % b'/' * 50 + last)
        self.assertEqual(out.count(b'HTTP/1.1 200 OK\r\n'), 53)
        self.assertIn(self.big, out)
        self.assertTrue(out.endswith(b'<p>sub'))

    def test_who_does_not_read_is_let_go_of(self):
        before = self.daemon_memory()
        socks = []
        for _ in range(4):
            sock = socket.create_connection((self.web.host, self.web.port), DEADLINE)
            sock.settimeout(1)
            socks.append(sock)
            try:
                for _ in range(200):
                    sock.sendall(b'GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n' * 100)
            except TimeoutError:
                pass
        self.assertEqual(self.web.get('/').status, 200)
        self.assertLess(self.daemon_memory() - before, 64 << 20)
        for sock in socks:
            sock.close()

    def test_bodies_that_nobody_wants(self):
        """They are answered without being kept."""
        before = self.daemon_memory()
        socks = []
        for _ in range(100):
            sock = socket.create_connection((self.web.host, self.web.port), DEADLINE)
            socks.append(sock)
            try:
                sock.sendall(b'PUT /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n'
                             + b'a' * 1000000)
            except ConnectionError:
                pass
        self.assertEqual(self.web.get('/').status, 200)
        self.assertLess(self.daemon_memory() - before, 32 << 20)
        for sock in socks:
            self.assertTrue(sock.recv(100).startswith(b'HTTP/1.1 405 '))
            sock.close()

    def daemon_memory(self):
        with open(f'/proc/{self.daemon.process.pid}/statm', encoding='ascii') as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGESIZE')

    def test_curl(self):
        url = self.web.url
        self.assertEqual(curl(f'{url}/big.bin'), self.big)
        self.assertEqual(curl('--path-as-is', '-o', '/dev/null', '-w', '%{http_code}',
                              f'{url}/../outside.txt'), b'404')
        self.assertEqual(curl('--http1.0', f'{url}/'), b'<p>hello')
        self.assertEqual(curl('--http2', f'{url}/'), b'<p>hello')
        self.assertEqual(curl('-L', f'{url}/sub'), b'<p>sub')

    def test_no_metrics_unless_allowed(self):
        self.assertEqual(self.web.get('/metrics').status, 404)

    def test_no_api_without_a_secret(self):
        for path in ('/api', '/api/token'):
            self.assertEqual(self.web.ask('POST', path, '{}').status, 404)


class SyntaxTest(SiteCase):
    """What is no request of RFC 9112 is answered once, and its connection closed."""

    def refused(self, status, data):
        out = self.web.raw(data)
        self.assertTrue(out.startswith(f'HTTP/1.1 {status} '.encode()), (data[:80], out[:80]))
        self.assertIn(b'\r\nX-Content-Type-Options: nosniff\r\n', out)
        self.assertIn(b'\r\nConnection: close\r\n', out)
        self.assertEqual(out.count(b'HTTP/1.1 '), 1, out)

    def test_bad_requests(self):
        behind = b'GET /behind HTTP/1.1\r\nHost: x\r\n\r\n'
        for head in (b'GET / HTTP/1.1\r\n\r\n', b'GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n',
                     b'GET / HTTP/1.1\nHost: x\n\n', b'GET / HTTP/1.1\r\nHost: x\n\r\n',
                     b'GET /\r\nHost: x\r\n\r\n', b'GET / HTTP/2.0\r\nHost: x\r\n\r\n',
                     b'GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n',
                     b'FOO / HTTP/1.1\r\nHost: x\r\n\r\n', b'GET / HTTP/1.1\r\nHost : x\r\n\r\n',
                     b'GET / HTTP/1.1\r\nHost: x\r\nOrigin: a\r\n b\r\n\r\n',
                     b'GET / HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n', b'GET * HTTP/1.1\r\nHost: x\r\n\r\n',
                     b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
                     b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
                     b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n'
                     b'Transfer-Encoding: chunked\r\n\r\n',
                     b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n',
                     b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n',
                     b'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n'):
            with self.subTest(head=head):
                self.refused(400, head + behind)

    def test_bounds(self):
        self.refused(431, b'GET / HTTP/1.1\r\nHost: x\r\n' + b'X: ' + b'a' * 9000)
        for path, status in ((b'/', 405), (b'/metrics', 404), (b'/api', 404)):
            head = b'POST %s HTTP/1.1\r\nHost: x\r\n' % path
            self.refused(status, head + b'Content-Length: 9999999\r\n\r\n')
            self.refused(status, head + b'Transfer-Encoding: chunked\r\n\r\n'
                                 b'1ffff\r\n' + b'a' * 0x1ffff)
        self.refused(413, b'GET /msrp HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n'
                          b'Connection: Upgrade\r\nContent-Length: 5000\r\n\r\n')

    def test_a_body_in_chunks(self):
        out = self.web.raw(b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
                           b'3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n'
                           b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        self.assertTrue(out.startswith(b'HTTP/1.1 405 '), out)
        self.assertTrue(out.endswith(b'<p>hello'), out)

    def test_empty_lines_in_front(self):
        out = self.web.raw(b'\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        self.assertTrue(out.startswith(b'HTTP/1.1 200 '), out)

    def test_octet_by_octet(self):
        request = b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
        with socket.create_connection((self.web.host, self.web.port), DEADLINE) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for octet in request:
                sock.sendall(bytes([octet]))
            out = b''
            while piece := sock.recv(65536):
                out += piece
        self.assertTrue(out.endswith(b'<p>hello'), out)


class TimeTest(SiteCase):
    settings = {'request_timeout': '1s', 'idle_timeout': '1s'}

    def test_a_slow_request(self):
        out = self.web.raw(b'GET / HTTP/1.1\r\nHost: x\r\n')
        self.assertTrue(out.startswith(b'HTTP/1.1 408 '), out)

    def test_no_request_and_no_further_one(self):
        self.assertEqual(self.web.raw(b''), b'')
        self.assertTrue(self.web.raw(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n').endswith(b'hello'))


class CountTest(SiteCase):
    settings = {'max_connections': 4}

    def test_too_many(self):
        """Those beyond are closed, and let in again when there is room."""
        socks = [socket.create_connection((self.web.host, self.web.port), DEADLINE)
                 for _ in range(8)]
        poll(lambda: self.ctl.call('get_statistics')['web:refused'] >= 4, what='the refusal')
        for sock in socks:
            sock.close()
        poll(lambda: self.ctl.call('get_statistics')['web:connections'] == 0, what='room')
        self.assertEqual(self.web.get('/').status, 200)


class MetricsTest(SiteCase):
    settings = {'metrics': ['127.0.0.0/8'], 'forwarded': ['127.0.0.1']}

    def test_where_allowed(self):
        self.assertIn(b'msrpd_web_requests_total ', self.web.get('/metrics').body)
        self.assertEqual(self.web.ask('POST', '/metrics').status, 405)
        self.assertEqual(self.web.get('/metrics', X_Forwarded_For='192.0.2.1').status, 404)
        self.assertEqual(self.web.get('/metrics', X_Forwarded_For='192.0.2.1, 127.0.0.2').status,
                         200)

    def test_the_last_of_several_lines(self):
        for addresses, status in ((['192.0.2.1', '127.0.0.2'], 200),
                                  (['127.0.0.2', '192.0.2.1'], 404)):
            out = self.web.raw(b'GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
                               + b''.join(f'X-Forwarded-For: {address}\r\n'.encode()
                                          for address in addresses) + b'\r\n')
            self.assertTrue(out.startswith(f'HTTP/1.1 {status} '.encode()), (addresses, out[:80]))


class SecureTest(SiteCase):
    @classmethod
    def prepare(cls):
        super().prepare()
        cls.ca = certs.Authority(cls.directory)
        own = cls.ca.issue('msrpd')
        cls.tls = certs.client_context(cls.ca)
        cls.config['web']['listen'] = ['http://127.0.0.1:0', 'https://127.0.0.1:0']
        cls.config['web']['tls'] = {'certificate': own.certificate, 'private_key': own.key}

    def test_https(self):
        web = Web.of(self.ctl, 1, tls=self.tls)
        self.assertTrue(web.url.startswith('https://'))
        self.assertEqual(web.get('/big.bin').body, self.big)
        self.assertEqual(curl('--cacert', self.ca.file, f'{web.url}/'), b'<p>hello')
        self.assertEqual(self.web.get('/').body, b'<p>hello')


class ConfigTest(case.Case):
    own_daemon = True

    def check(self, web):
        daemon = case.Daemon({'web': web}, arguments=['-t'])
        try:
            daemon.spawn()
            return daemon.wait(), daemon.log()
        finally:
            daemon.kill()
            daemon.discard()

    def test_faults(self):
        for web, word in (({'listen': ['127.0.0.1:80']}, 'http[s]://ADDRESS:PORT'),
                          ({'listen': ['https://127.0.0.1:0']}, 'tls.certificate'),
                          ({'root': 'site'}, 'absolute'),
                          ({'origins': ['chat.example.org']}, 'origin'),
                          ({'metrics': ['nowhere']}, 'prefix'),
                          ({'api_token_secret': 'short'}, '16'),
                          ({'max_connections': 0}, 'max_connections')):
            status, log = self.check(web)
            self.assertEqual(status, 1, web)
            self.assertIn(word, log)
        self.assertEqual(self.check({'listen': ['http://[::1]:0']})[0], 0)


if __name__ == '__main__':
    case.main()
