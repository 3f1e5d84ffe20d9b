#!/usr/bin/env python3
"""The web port behind nginx and HAProxy, as docs/web.md has it."""
import os

import test_ws
from lib import case, front, web as weblib, ws
from lib.daemon import free_port, merge
from lib.web import Web

NGINX = '''    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{inner};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}'''

HAPROXY = '''    timeout tunnel 1h
frontend web
    mode http
    bind 127.0.0.1:{port}
    option forwardfor
    default_backend msrpd
backend msrpd
    mode http
    http-reuse always
    server msrpd 127.0.0.1:{inner}'''


class ProxyCase:
    @classmethod
    def prepare(cls):
        root = os.path.join(cls.directory, 'site')
        os.mkdir(root)
        with open(f'{root}/index.html', 'w', encoding='ascii') as file:
            file.write('<p>hello')
        cls.config = merge(weblib.config(root=root, forwarded=['127.0.0.1'],
                                         metrics=['127.0.0.1']), {})

    def setUp(self):
        super().setUp()
        inner = Web.of(self.ctl).port
        port = free_port()
        self.addCleanup(front.start(self.program, self.site.format(port=port, inner=inner), port,
                                    self.directory).stop)
        self.web = Web(f'http://127.0.0.1:{port}')

    def test_files_and_requests(self):
        for _ in range(3):
            self.assertEqual(self.web.get('/').body, b'<p>hello')
        token = self.web.token('alice')
        self.assertEqual(self.web.call(token, 'msrp_ua_list_sessions'), [])
        self.assertEqual(self.web.get('/metrics').status, 200)

    def test_a_client_that_says_whom_it_speaks_for(self):
        """The proxy's word counts, beside it or in its place."""
        for told in ('192.0.2.1', '192.0.2.1, 192.0.2.2'):
            self.assertEqual(self.web.get('/metrics', X_Forwarded_For=told).status, 200)

    def test_the_api(self):
        origin = f'http://{self.web.host}:{self.web.port}'
        token = self.web.token('bob')
        for _ in range(3):
            self.web.get('/')           # so that there are connections to be used again
        sock, answer = self.web.socket(token, headers={
            'Origin': origin, 'Host': f'{self.web.host}:{self.web.port}'})
        self.assertEqual(answer.status, 101)
        api = weblib.Api(sock)
        api.call('event_subscribe')
        call = self.call(uri=f'sip:bob@example.org:{self.daemon.sip_port}')
        call.send('x' * 200000)
        self.assertEqual(api.event('E_MSRP_MSG_RECEIVED')['body'], 'x' * 200000)
        api.close()

    def test_msrp(self):
        call = self.call(path=test_ws.invalid(), connect=False, setup='active')
        conn = ws.connect(f'msrp://{self.web.host}:{self.web.port};ws', path='/msrp')
        call.attach(conn).msrp.bind()
        call.send('hello')
        self.assertEqual(self.received(call)['body'], 'hello')
        self.say(call, 'and back')
        self.assertEqual(call.receive().body, b'and back')


class NginxTest(ProxyCase, case.Case):
    program, site = 'nginx', NGINX


class HaproxyTest(ProxyCase, case.Case):
    program, site = 'haproxy', HAPROXY


if __name__ == '__main__':
    case.main()
