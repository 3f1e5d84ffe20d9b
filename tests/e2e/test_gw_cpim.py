#!/usr/bin/env python3
"""The gateway and message/cpim (RFC 3862), and IMDN (RFC 5438) across it."""
import re

from lib import case
from lib.gateway import CLIENT, CPIM, GatewayCase, routes

TYPES = 'text/plain message/cpim'
DATE = 'Sat, 21 Nov 2026 11:30:00 GMT'


def cpim(body='Hi', content_type='text/plain', headers=(), content_headers=(), sender=CLIENT,
         receiver='sip:phone@example.org'):
    lines = [f'From: Client <{sender}>', f'To: <{receiver}>', *headers, '',
             f'Content-Type: {content_type}', *content_headers, '', body]
    return '\r\n'.join(lines)


IMDN = ['NS: imdn <urn:ietf:params:imdn>', 'imdn.Message-ID: 34jk324j',
        'DateTime: 2026-11-21T12:30:00+01:00']


def wants(*what):
    return [*IMDN, f'imdn.Disposition-Notification: {", ".join(what)}']


class UnwrapTest(GatewayCase):
    """To a phone that does not take envelopes."""

    config = {'routes': routes(TYPES)}

    def test_unwrapped(self):
        """The content goes out; what SIP has a place for goes along."""
        call = self.client_calls(TYPES)
        call.send(cpim('Grüße', 'text/plain;charset=utf-8', [
            'DateTime: 2026-11-21T12:30:00.250+01:00', 'Subject: about\\tthis'],
            ['Content-Disposition: render', 'Content-ID: <1@a>']), content_type=CPIM)
        got = self.gets('Grüße').request
        self.assertEqual(got.get('Content-Type'), 'text/plain;charset=utf-8')
        self.assertEqual(got.get('Date'), DATE)
        self.assertEqual(got.get('Subject'), 'about this')
        self.assertEqual(got.get('Content-Disposition'), 'render')
        self.assertIn(f'<{CLIENT}>', got.get('From'))

    def test_no_header_can_be_smuggled(self):
        """Escapes for CR and LF end no line of SIP."""
        call = self.client_calls(TYPES)
        call.send(cpim('x', headers=['Subject: a\\r\\nX-Evil: \\u000ab', 'DateTime: nonsense'],
                       content_headers=['Content-Language: en\rX-Evil: 1']),
                  content_type=CPIM, code=None)
        got = self.gets('x').request
        self.assertIsNone(got.get('X-Evil'))
        self.assertIsNone(got.get('Date'))
        call.send(cpim('y', 'text/plain\rX-Evil: 1'), content_type=CPIM, code=None)
        self.assertRegex(call.conn.expect('REPORT').get('Status'), '^000 400')

    def test_encoded_content_stays(self):
        """SIP has no Content-Transfer-Encoding: such an envelope goes as it is."""
        call = self.client_calls(TYPES)
        text = cpim('SGk=', content_headers=['Content-Transfer-Encoding: base64'])
        call.send(text, content_type=CPIM)
        self.assertEqual(self.gets(text).request.get('Content-Type'), CPIM)

    def test_malformed(self):
        """What is no CPIM although it says so: 400, and nothing goes out."""
        call = self.client_calls(TYPES)
        sent = call.send('no envelope', content_type=CPIM)
        report = call.conn.expect('REPORT')
        self.assertEqual((report.message_id, report.get('Status')[:7]),
                         (sent.message_id, '000 400'))
        call.send('x')
        self.gets('x')

    def test_phone_that_takes_envelopes(self):
        """Who sends one gets them as they are."""
        call = self.client_calls(TYPES)
        self.message(cpim('from the phone'), content_type=CPIM).final(202)
        self.assertEqual(call.receive().body, cpim('from the phone').encode())
        text = cpim('to the phone', headers=wants('display'))
        call.send(text, content_type=CPIM)
        self.assertEqual(self.gets(text).request.get('Content-Type'), CPIM)

    def test_pass(self):
        """cpim: pass leaves bodies alone."""
        daemon, ctl = self.start({'routes': routes(TYPES), 'gateway': {'cpim': 'pass'}})
        call = self.client_calls(TYPES, daemon=daemon, ctl=ctl)
        text = cpim('as it is')
        call.send(text, content_type=CPIM)
        self.assertEqual(self.gets(text).request.get('Content-Type'), CPIM)
        call.send('not even one', content_type=CPIM)
        self.gets('not even one')

    def test_composing_inside(self):
        """isComposing in an envelope is dropped, too."""
        call = self.client_calls(TYPES)
        call.send(cpim('<isComposing/>', 'application/im-iscomposing+xml'), content_type=CPIM)
        call.send('x')
        self.gets('x')


class WrapTest(GatewayCase):
    """To an MSRP client that takes nothing else."""

    config = {'routes': routes(TYPES)}

    def test_wrapped(self):
        call = self.client_calls(CPIM)
        self.message('Grüße', content_type='text/plain;charset=utf-8', headers=[
            ('Date', DATE), ('Subject', 'this')]).final(202)
        frame = call.receive()
        self.assertEqual(frame.get('Content-Type'), CPIM)
        head, content, body = frame.body.decode().split('\r\n\r\n', 2)
        self.assertIn(f'From: <{self.phone.contact()}>', head)
        self.assertIn(f'To: <{CLIENT}>', head)
        self.assertIn('DateTime: 2026-11-21T11:30:00Z', head)
        self.assertIn('Subject: this', head)
        self.assertRegex(content, r'(?i)^content-type: text/plain;charset=utf-8')
        self.assertEqual(body, 'Grüße')

    def test_not_wrapped_where_text_is_taken(self):
        call = self.client_calls('message/cpim text/plain')
        self.message('plain').final(202)
        self.assertEqual(call.receive().body, b'plain')

    def test_types_inside(self):
        """415 for what the envelope may not hold."""
        self.message('first').final(202)
        call = self.answer(accept_types=CPIM, extra=['a=accept-wrapped-types:text/plain'])
        self.assertIn(b'first', call.receive().body)
        self.message('{}', content_type='application/json').final(415)
        self.message(cpim('{}', 'application/json'), content_type=CPIM).final(415)
        self.message(cpim('fine'), content_type=CPIM).final(202)
        self.assertEqual(call.receive().body, cpim('fine').encode())

    def test_malformed(self):
        self.client_calls(CPIM)
        self.message('no envelope', content_type=CPIM).final(400)

    def test_pass(self):
        daemon, ctl = self.start({'routes': routes(TYPES), 'gateway': {'cpim': 'pass'}})
        self.client_calls(CPIM, daemon=daemon, ctl=ctl)
        self.message('plain', daemon=daemon).final(415)

    def test_not_taken_at_all(self):
        """An envelope for a client that takes none: 415."""
        self.client_calls('text/plain')
        self.message(cpim('x'), content_type=CPIM).final(415)


class ImdnTest(GatewayCase):
    """Notifications cross the gateway."""

    config = {'routes': routes(TYPES)}
    NOTE = ('<?xml version="1.0" encoding="UTF-8"?><imdn xmlns="urn:ietf:params:xml:ns:imdn">'
            '<message-id>34jk324j</message-id><datetime>2026-11-21T11:30:00Z</datetime>'
            '<display-notification><status><displayed/></status></display-notification></imdn>')

    def note(self, sender, receiver):
        return cpim(self.NOTE, 'message/imdn+xml', ['NS: imdn <urn:ietf:params:imdn>',
                    'imdn.Message-ID: d834jied93rf'],
                    ['Content-Disposition: notification'], sender, receiver)

    def test_both_ways(self):
        """The phone asks and hears of delivery and display; so does the client."""
        call = self.client_calls(TYPES)
        asks = cpim('from the phone', headers=wants('positive-delivery', 'display'))
        self.message(asks, content_type=CPIM).final(202)
        self.assertEqual(call.receive().body, asks.encode())
        note = self.note(CLIENT, self.phone.contact())
        call.send(note, content_type=CPIM)
        self.assertEqual(self.gets(note).request.get('Content-Type'), CPIM)
        call.send(asks, content_type=CPIM)
        self.gets(asks)
        self.message(note, content_type=CPIM).final(202)
        self.assertEqual(call.receive().body, note.encode())

    def test_note_is_never_unwrapped(self):
        call = self.client_calls(TYPES)
        note = self.note(CLIENT, self.phone.contact())
        call.send(note, content_type=CPIM)
        self.assertEqual(self.gets(note).request.get('Content-Type'), CPIM)

    def test_for_a_phone_without_envelopes(self):
        """The gateway, which took the wish off the message, answers it from the MESSAGE's fate."""
        call = self.client_calls(TYPES)
        for wish, code, status in ((('positive-delivery',), 200, 'delivered'),
                                   (('negative-delivery',), 404, 'failed'),
                                   (('positive-delivery', 'display'), 404, None),
                                   (('display',), 200, None),
                                   (('negative-delivery',), 202, None)):
            with self.subTest(wish=wish, code=code):
                call.send(cpim('x', headers=wants(*wish)), content_type=CPIM)
                self.gets('x', code)
                if not status:
                    call.msrp.flush()
                    self.assertEqual(call.conn.inbox.has(lambda f: f.body is not None), [])
                    continue
                frame = call.receive()
                self.assertEqual(frame.get('Content-Type'), CPIM)
                text = frame.body.decode()
                self.assertIn(f'To: <{CLIENT}>', text)
                self.assertIn('Content-Disposition: notification', text)
                self.assertRegex(text, '(?i)content-type: message/imdn\\+xml')
                self.assertTrue(re.search(
                    r'<message-id>34jk324j</message-id>.*<delivery-notification>\s*'
                    rf'<status>\s*<{status} ?/>', text, re.S), text)


if __name__ == '__main__':
    case.main()
