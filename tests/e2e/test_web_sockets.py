#!/usr/bin/env python3
"""MSRP and SIP over WebSocket through the web port: what holds at ports of their own holds there."""
import re
import urllib.parse
from unittest import mock

import test_sip_ws
import test_ws
from lib import case, certs, web as weblib, ws
from lib.digest import authorized
from lib.registrar import RegistrarCase
from lib.waiting import poll
from lib.web import Web

LISTEN = {'web': {'listen': ['http://127.0.0.1:0']}}
request = ws.request


def request_at_its_path(key, protocol='msrp', path='/', *args, **kwargs):
    return request(key, protocol, f'/{protocol}' if path == '/' else path, *args, **kwargs)


ws.request = request_at_its_path


class MsrpTest(test_ws.SessionTest):
    config = LISTEN

    test_node = None


class SecureMsrpTest(test_ws.SecureTest):
    @classmethod
    def prepare(cls):
        super().prepare()
        tls = cls.config['msrp']['tls']
        cls.config = {'msrp': {'listen': [{'name': 'inside', 'uri': 'msrps://127.0.0.1:0;tcp'}],
                               'tls': tls},
                      'web': {'listen': ['https://127.0.0.1:0'], 'tls': {
                          key: tls[key] for key in ('certificate', 'private_key')}}}


class SipTest(test_sip_ws.SessionTest):
    config = {'sip': {'listen': test_sip_ws.WebCase.listen[:1]}, **LISTEN}


class ProtoTest(case.Case):
    """$proto is wss for who came by https, and ws for who came by http, whichever is first."""

    own_daemon = True

    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        own = cls.ca.issue('msrpd')
        cls.tls = {'certificate': own.certificate, 'private_key': own.key}

    def proto(self, url):
        where = urllib.parse.urlsplit(url)
        sock, _ = ws.handshake(f'msrp://{where.netloc};ws',
                               certs.client_context(self.ca) if where.scheme == 'https' else None,
                               protocol='sip')
        transport = self.sip.adopt(ws.Socket(sock), 'WSS' if where.scheme == 'https' else 'WS')
        answer = self.sip.request('MESSAGE', f'sip:x@{where.hostname}', transport, b'hi',
                                  content_type='text/plain').final(200)
        transport.close()
        return answer.reason

    def test_by_whichever(self):
        rules = [{'do': [{'send_reply': {'code': 200, 'reason': '$proto'}}]}]
        for schemes in (('http', 'https'), ('https', 'http')):
            for more in ({}, {'advertise': 'http://im.example.org'},
                         {'advertise': 'https://im.example.org'}):
                with self.subTest(schemes, **more):
                    _, ctl = self.start({
                        'web': {'listen': [f'{scheme}://127.0.0.1:0' for scheme in schemes],
                                'tls': self.tls, **more},
                        'routes': {'sip': rules}})
                    # Who advertises https has a proxy that it ends at.
                    by_tls = more.get('advertise', '').startswith('https')
                    expected = ['wss' if by_tls or scheme == 'https' else 'ws'
                                for scheme in schemes]
                    self.assertEqual(list(map(self.proto, ctl.call('status')['listen']['web'])),
                                     expected)


class RelayTest(test_ws.RelayTest):
    config = {**test_ws.RelayTest.config, **LISTEN,
              'msrp': {'listen': [{'name': 'inside', 'uri': 'msrp://127.0.0.1:0;tcp'}]}}


class ForwardedTest(RegistrarCase):
    """Who comes through an HTTP proxy is whom that names (web.forwarded)."""

    own_daemon = True
    config = {**weblib.config(forwarded=['127.0.0.1']),
              'limits': {'exempt': [], 'auth_failures': 3, 'connections_per_address': 4},
              'routes': {'sip': [
                  {'if': {'$rm': 'REGISTER'}, 'do': [{'www_authorize': {'realm': 'example.org'}}, 'save']},
                  {'if': {'$rm': 'MESSAGE', '$si': '!127.0.0.0/8'},
                   'do': [{'www_authorize': {'realm': 'example.org'}}], 'continue': True},
                  {'if': {'$rm': 'MESSAGE'}, 'do': [{'send_reply': {
                      'code': 200, 'reason': 'OK', 'headers': {'X-Source': '$si'}}}]}]}}

    def setUp(self):
        super().setUp()
        self.daemon, self.ctl = self.start(self.config)
        self.port = Web.of(self.ctl).port

    def come(self, forwarded, path='sip'):
        """A handshake of which the proxy says that; the socket and the status."""
        headers = {'X-Forwarded-For': forwarded} if forwarded else {}
        sock, answer = ws.handshake(f'msrp://127.0.0.1:{self.port};ws', protocol=path,
                                    headers=headers)
        self.addCleanup(sock.close)
        return sock, answer.status

    def browser(self, forwarded):
        """A user agent behind the proxy."""
        def ask(*args, headers=(), **kwargs):
            return request_at_its_path(*args, **kwargs, headers={
                **dict(headers), 'X-Forwarded-For': forwarded})
        ua = self.ua(name='browser')
        with mock.patch.object(ws, 'request', ask):
            return ua, ua.reach('127.0.0.1', self.port, 'WS')

    def message(self, browser, password):
        ua, transport = browser
        return authorized(ua, 'MESSAGE', 'sip:example.org', transport, 'alice', password).final()

    def test_rules(self):
        """The last that the proxy says is the source; it is the proxy who has said nothing."""
        browser = self.browser('127.0.0.1, 203.0.113.9')
        answer = self.message(browser, weblib.USERS['alice']['password'])
        self.assertEqual((answer.code, answer.get('X-Source')), (200, '203.0.113.9'))
        ua, transport = self.browser('nobody')
        answer = ua.request('MESSAGE', 'sip:example.org', transport).final(200)
        self.assertEqual(answer.get('X-Source'), '127.0.0.1')

    def test_registrar(self):
        ua, transport = self.browser('203.0.113.9')
        self.register(f'<{ua.contact("WS")}>', ua=ua, over=transport,
                      password=weblib.USERS['alice']['password'])
        listed, = self.ctl.call('registrar_list', aor=self.aor())
        self.assertIn('203.0.113.9', listed['source'])

    def test_wrong_credentials(self):
        """They are the client's, whatever connection he has, and no neighbour's."""
        for _ in range(3):
            self.assertEqual(self.message(self.browser('203.0.113.9'), 'wrong').code, 401)
        ua, transport = self.browser('203.0.113.9')
        good = self.browser('203.0.113.10')
        self.assertEqual(self.message(good, weblib.USERS['alice']['password']).code, 200)
        answer = ua.request('MESSAGE', 'sip:example.org', transport,
                            headers=[('Authorization', 'Digest username="alice"')]).final()
        self.assertEqual(answer.code, 403)

    def test_connections(self):
        """So are connections, of either protocol: one too many is refused."""
        socks = [self.come('203.0.113.9', path) for path in ('sip', 'msrp', 'sip', 'msrp')]
        self.assertEqual([status for _, status in socks], [101] * 4)
        self.assertEqual(self.come('203.0.113.9')[1], 503)
        self.assertEqual(self.come('2001:db8::9', 'msrp')[1], 101)
        self.assertEqual(self.ctl.call('get_statistics')['limits:refused'], 1)
        socks[0][0].close()
        poll(lambda: self.come('203.0.113.9')[1] == 101, what='room for another one')

    def test_log(self):
        for path, number in (('sip', 9), ('msrp', 10)):
            self.come(f'203.0.113.{number}', path)
            poll(lambda n=number: f'accepted from 203.0.113.{n}:' in self.daemon.log(),
                 what='the line')


class DoorTest(case.Case):
    config = {**weblib.config(origins=['https://chat.example.net'])}

    def setUp(self):
        super().setUp()
        self.web = Web.of(self.ctl)

    def knock(self, path, protocol=None, **kwargs):
        sock, answer = ws.handshake(f'msrp://{self.web.host}:{self.web.port};ws', path=path,
                                    protocol=protocol or path[1:], **kwargs)
        sock.close()
        self.assertEqual(answer.headers['X-Content-Type-Options'], 'nosniff')
        return answer.status

    def test_who_is_let_in(self):
        host = f'{self.web.host}:{self.web.port}'
        for path in ('/msrp', '/sip'):
            self.assertEqual(self.knock(path), 101)
            for origin, status in ((f'http://{host}', 101), ('https://chat.example.net', 101),
                                   ('https://elsewhere.example.org', 403), ('null', 403)):
                self.assertEqual(self.knock(path, headers={'Host': host, 'Origin': origin}),
                                 status, origin)
            self.assertEqual(self.knock(path, 'chat'), 400)
            self.assertEqual(self.knock(path, headers={'Sec-WebSocket-Version': '8'}), 426)
            self.assertEqual(self.web.get(path).status, 400)

    def test_where_there_is_none(self):
        daemon, ctl = self.start({'web': {'listen': ['http://127.0.0.1:0'], 'sip': False,
                                          'msrp': False}})
        self.web = Web.of(ctl)
        for path in ('/msrp', '/sip'):
            self.assertEqual(self.knock(path), 404)
        self.assertEqual(len(ctl.call('status')['listen']['msrp']), 1)

    def test_what_others_are_told(self):
        daemon, ctl = self.start({'web': {'listen': ['http://0.0.0.0:0'],
                                          'advertise': 'https://im.example.org'}})
        call = self.call(daemon=daemon, ctl=ctl, path=test_ws.invalid('msrps'), connect=False,
                         setup='active', tls=None)
        self.assertTrue(re.match(r'msrps://im\.example\.org:443/[^;]+;ws$', call.path[0]),
                        call.path)
        daemon = case.Daemon({'web': {'listen': ['http://0.0.0.0:0']}}, arguments=['-t'])
        try:
            daemon.spawn()
            self.assertEqual(daemon.wait(), 1)
            self.assertIn('advertise', daemon.log())
        finally:
            daemon.kill()
            daemon.discard()


if __name__ == '__main__':
    case.main()
