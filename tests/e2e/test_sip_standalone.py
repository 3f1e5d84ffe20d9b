#!/usr/bin/env python3
"""Requests outside of dialogs that make none (RFC 3261 8.2): what is taken, and what an answer has."""
from lib import case
from lib.sip import tag_of

RULES = [
    {'if': {'$rm': 'MESSAGE', '$hdr(X-Own)': 'yes'}, 'do': [{'send_reply': {
        'code': 299, 'reason': 'As It Is',
        'headers': {'Allow': 'MESSAGE', 'X-More': 'here'}}}]},
    {'if': {'$rm': 'MESSAGE'}, 'do': [{'send_reply': {'code': 202, 'reason': 'Accepted'}}]},
]


class AnswersTest(case.Case):
    config = {'routes': {'sip': RULES}}

    def ask(self, transport, method, uri=None, **kwargs):
        transaction = self.sip.request(method, uri or self.daemon.sip_uri,
                                       self.sip.reach('127.0.0.1', self.daemon.sip_port, transport),
                                       **kwargs)
        response = transaction.expect()
        self.assertGreaterEqual(response.code, 200)     # no 100, whatever is asked: RFC 4320 4.1
        self.assertTrue(tag_of(response.get('To')))
        return response

    def each(self):
        for transport in 'UDP', 'TCP':
            with self.subTest(transport):
                yield transport

    def test_what_we_are(self):
        for transport in self.each():
            response = self.ask(transport, 'MESSAGE', headers=[('Timestamp', '7')])
            self.assertEqual((response.code, response.reason), (202, 'Accepted'))
            self.assertIn('MESSAGE', response.get('Allow').split(', '))
            self.assertIn('timer', response.get('Supported').split(', '))
            self.assertTrue(response.get('User-Agent').startswith('msrpd/'))

    def test_own_headers(self):
        """Those of the rule, and none twice."""
        for transport in self.each():
            response = self.ask(transport, 'MESSAGE', headers=[('X-Own', 'yes')])
            self.assertEqual((response.code, response.reason), (299, 'As It Is'))
            self.assertEqual(response.all('Allow'), ['MESSAGE'])
            self.assertEqual(response.all('X-More'), ['here'])
            self.assertEqual(len(response.all('Supported')), 1)

    def test_options(self):
        for transport in self.each():
            response = self.ask(transport, 'OPTIONS')
            self.assertEqual(response.code, 200)
            for name in 'Contact', 'Accept', 'Allow', 'Allow-Events', 'Supported':
                self.assertEqual(len(response.all(name)), 1, name)
            self.assertEqual(response.get('Accept'), 'application/sdp')
            self.assertIn('refer', response.get('Allow-Events').split(', '))

    def test_refused(self):
        """RFC 3261 8.2.1, 8.2.2.3; whatever rules say."""
        for transport in self.each():
            for method, code in ('PUBLISH', 405), ('REGISTER', 405), ('FOO', 501):
                response = self.ask(transport, method)
                self.assertEqual(response.code, code)
                self.assertIn('OPTIONS', response.get('Allow').split(', '))
            self.assertEqual(self.ask(transport, 'MESSAGE', 'urn:foo:bar').code, 416)
            self.assertEqual(self.ask(transport, 'MESSAGE', 'urn:service:sos').code, 202)
            response = self.ask(transport, 'MESSAGE', headers=[('Require', 'timer, foo, bar')])
            self.assertEqual(response.code, 420)
            self.assertEqual(response.get('Unsupported'), 'foo, bar')
            self.assertIn('timer', response.get('Supported').split(', '))

    def test_tags(self):
        """Each request has its own (RFC 3261 8.2.6.2)."""
        tags = {tag_of(self.ask('TCP', 'OPTIONS').get('To')) for _ in range(3)}
        self.assertEqual(len(tags), 3)


if __name__ == '__main__':
    case.main()
