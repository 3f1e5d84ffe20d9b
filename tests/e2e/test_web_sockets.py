#!/usr/bin/env python3
"""MSRP and SIP over WebSocket through the web port: what holds at ports of their own holds there."""
import re

import test_sip_ws
import test_ws
from lib import case, web as weblib, ws
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


class RelayTest(test_ws.RelayTest):
    config = {**test_ws.RelayTest.config, **LISTEN,
              'msrp': {'listen': [{'name': 'inside', 'uri': 'msrp://127.0.0.1:0;tcp'}]}}


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
