#!/usr/bin/env python3
"""Messages of a session that SIP brings: MESSAGE in the dialog, text beside the SDP of the INVITE."""
from lib import case
from lib.case import Call
from lib.frame import new_id
from lib.gateway import CLIENT, GatewayCase, routes
from lib.sdp import Sdp
from lib.sip import Dialog

BOUNDARY = 'b0undary'
MIXED = f'multipart/mixed;boundary={BOUNDARY}'
COMPOSING = 'application/im-iscomposing+xml'


def part(content_type, body, disposition=None, **headers):
    lines = [f'--{BOUNDARY}', f'Content-Type: {content_type}']
    if disposition:
        lines.append(f'Content-Disposition: {disposition}')
    lines += [f'{name.replace("_", "-")}: {value}' for name, value in headers.items()]
    body = body.encode() if isinstance(body, str) else body
    return '\r\n'.join(lines).encode() + b'\r\n\r\n' + body + b'\r\n'


def multipart(*parts):
    return b''.join(parts) + f'--{BOUNDARY}--\r\n'.encode()


class InDialogTest(case.Case):
    """RFC 3428, RFC 5057: a MESSAGE in the dialog of a session belongs to the session."""

    def message(self, call, body=b'hello', content_type='text/plain', **kwargs):
        return call.dialog.request('MESSAGE', body, content_type=content_type, **kwargs)

    def still_there(self, call):
        call.send('still there')
        self.received(call, body='still there')

    def test_received(self):
        """As an event that says so; both for who called and for who was called."""
        for call in (self.call(), self.answered()):
            self.message(call).final(200)
            event = self.received(call)
            self.assertEqual((event['message_id'], event['content_type'], event['body'],
                              event['in_dialog']), ('', 'text/plain', 'hello', True))
            call.send('over MSRP')
            self.assertNotIn('in_dialog', self.received(call, body='over MSRP'))
            call.bye()

    def test_what_is_taken(self):
        """The types of the session; 415 says which. Nothing ends the dialog."""
        call = self.call()
        refused = self.message(call, b'<x/>', 'application/xml').final(415)
        self.assertEqual(refused.get('Accept'), 'text/plain, message/cpim')
        self.message(call, b'', '').final(200)
        refused = self.message(call, b'x', headers=[('Content-Encoding', 'gzip')]).final(415)
        self.assertEqual(refused.get('Accept-Encoding'), 'identity')
        self.assertEqual(self.ctl.pending('E_MSRP_MSG_RECEIVED'), [])
        self.still_there(call)

    def test_before_the_ack(self):
        """The peer has our answer, so the session is there."""
        transaction = self.invite(self.offer())
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.request('MESSAGE', b'early', content_type='text/plain').final(200)
        session = self.ctl.event('E_MSRP_SESSION_NEW')['session_id']
        self.ctl.event('E_MSRP_MSG_RECEIVED', session_id=session, body='early', in_dialog=True)
        dialog.ack(cseq=1)
        dialog.bye()
        self.ctl.event('E_MSRP_SESSION_END', session_id=session)


class GatewayTest(GatewayCase):
    def test_in_dialog(self):
        """As if it had come over MSRP, to the phone; what that says is the answer, unless it would
        end the dialog (RFC 5057)."""
        call = self.client_calls()
        for said, heard in ((200, 200), (202, 200), (404, 500), (415, 415), (480, 504), (603, 403)):
            message = call.dialog.request('MESSAGE', b'hello', content_type='text/plain')
            self.gets('hello', code=said)
            message.final(heard)
        call.send('and over MSRP')
        self.gets('and over MSRP')

    def test_composing(self):
        """Dropped, as over MSRP."""
        call = self.client_calls(accept_types=f'text/plain {COMPOSING}')
        call.dialog.request('MESSAGE', b'<isComposing/>', content_type=COMPOSING).final(415)
        call.send('text')
        self.gets('text')

    def test_in_the_invite(self):
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        body = multipart(part('application/sdp', self.offer(path, 'text/plain')),
                         part('text/plain', 'my first words'))
        transaction = self.invite(body, None, 'UDP', self.client, content_type=MIXED,
                                  from_uri=CLIENT, to_uri=self.phone.contact(),
                                  headers=[('X-Phone', self.phone.contact())])
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        self.assertEqual(self.phone.requests.has(), [])
        dialog.ack()
        self.gets('my first words')
        Call(self, dialog, Sdp(answer.body), path).connect().send('and more')
        self.gets('and more')


class DisplayNameTest(GatewayCase):
    """RFC 3261 20.10: the caller's display name goes with the caller."""
    config = {'routes': routes('text/plain message/cpim')}
    NAMES = (('"Anna Ray"', '"Anna Ray"'), ('Anna Ray', '"Anna Ray"'),
             ('"A \\"x\\" \\\\ <b>, c"', '"A \\"x\\" \\\\ <b>, c"'), ('"\u00c4nne"', '"\u00c4nne"'))

    def named(self, request, name, header='From'):
        """The same request with that display name."""
        request.headers = [(key, f'{name} {value}' if key == header else value)
                           for key, value in request.headers]
        return request

    def test_message_to_invite(self):
        for name, shown in self.NAMES:
            transport = self.phone.reach('127.0.0.1', self.daemon.sip_port)
            request = self.phone.build('MESSAGE', self.client.contact(), transport, b'hi',
                                       content_type='text/plain', from_uri=self.phone.contact(),
                                       to_uri=CLIENT)
            self.phone.transact(self.named(self.named(request, name), 'Bob', 'To'),
                                transport).final(202)
            invite = self.client.expect('INVITE')
            self.assertTrue(invite.request.get('From').startswith(
                f'{shown} <{self.phone.contact()}>;tag='), invite.request.get('From'))
            self.assertEqual(invite.request.get('To'), f'"Bob" <{CLIENT}>')
            listed = self.sessions()[0]
            self.assertEqual((listed['msg_side_from'], listed['msg_side_to']),
                             (CLIENT, self.phone.contact()))
            call = self.answer(invite, accept_types='message/cpim')
            envelope = call.receive().body.decode()
            self.assertIn(f'From: {name} <{self.phone.contact()}>\r\nTo: Bob <{CLIENT}>\r\n',
                          envelope)
            call.send('to the phone')
            message = self.gets('to the phone').request
            self.assertTrue(message.get('From').startswith(f'"Bob" <{CLIENT}>;tag='))
            self.assertEqual(message.get('To'), f'{shown} <{self.phone.contact()}>')
            call.bye()
            self.wait_sessions(0)

    def test_invite_to_messages(self):
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transport = self.client.reach('127.0.0.1', self.daemon.sip_port)
        request = self.named(self.client.build(
            'INVITE', self.daemon.sip_uri, transport, self.offer(path, 'text/plain'),
            from_uri=CLIENT, to_uri=self.phone.contact(),
            headers=[('X-Phone', self.phone.contact())]), '"Anna Ray"')
        transaction = self.client.transact(request, transport)
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        self.ctl.event('E_MSRP_GW_SESSION_NEW', key=self.key())
        Call(self, dialog, Sdp(answer.body), path).connect().send('hello')
        message = self.gets('hello').request
        self.assertTrue(message.get('From').startswith(f'"Anna Ray" <{CLIENT}>;tag='))
        self.assertEqual(message.get('To'), f'<{self.phone.contact()}>')


class EncodingTest(GatewayCase):
    """RFC 3261 8.2.3: a Content-Encoding that we do not know."""
    config = {'routes': routes()}

    def test_message_and_invite(self):
        for encoding in ('gzip', 'deflate', 'x'):
            refused = self.message(b'x', headers=[('Content-Encoding', encoding)]).final(415)
            self.assertEqual(refused.get('Accept-Encoding'), 'identity')
            refused = self.invite(self.offer(), headers=[('e', encoding)]).final(415)
            self.assertEqual(refused.get('Accept-Encoding'), 'identity')
        self.assertEqual(self.sessions(), [])

    def test_over_msrp(self):
        """A SEND with one: 415, and nothing reaches the phone."""
        call = self.client_calls()
        for encoding in ('gzip', 'X'):
            call.send('x', 415, headers=[('Content-Encoding', encoding)])
        call.send('y', headers=[('Content-Encoding', 'Identity')])
        self.gets('y')

    def test_identity(self):
        self.message('x', headers=[('Content-Encoding', 'identity')]).final(202)
        self.answer().receive()


class InviteTest(case.Case):
    """Other bodies beside the SDP: RFC 3261 13.2.1, RFC 5621."""

    def try_invite(self, *parts, code=200, content_type=MIXED):
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        offer = self.offer(path)
        body = multipart(*(p if isinstance(p, bytes) else p(offer) for p in parts))
        transaction = self.invite(body, content_type=content_type)
        answer = transaction.final(code)
        if code != 200:
            return answer
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        call = Call(self, dialog, Sdp(answer.body), path)
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=call.id)
        return call

    @staticmethod
    def sdp(offer):
        return part('application/sdp', offer)

    def test_first_message(self):
        """Text beside the SDP comes first, once the session is there."""
        cpim = 'From: <sip:a@b>\r\nTo: <sip:c@d>\r\n\r\nContent-Type: text/plain\r\n\r\nhi'
        for content_type, body in (('text/plain', 'hello'), ('message/cpim', cpim),
                                   ('text/plain; charset=utf-8', 'h\u00e9')):
            for parts in ((self.sdp, part(content_type, body)),
                          (part(content_type, body, 'render'), self.sdp)):
                call = self.try_invite(*parts)
                event = self.received(call)
                self.assertEqual((event['message_id'], event['content_type'], event['body']),
                                 ('', content_type, body))
                self.assertNotIn('in_dialog', event)
                call.bye()

    def test_text_not_taken(self):
        """415, unless it is optional."""
        refused = self.try_invite(self.sdp, part('text/html', '<p>'), code=415)
        self.assertIn('text/plain', refused.get('Accept'))
        call = self.try_invite(self.sdp, part('text/html', '<p>', 'render;handling=optional'))
        call.connect().send('x')
        self.assertEqual(self.received(call)['body'], 'x')

    def test_handling(self):
        """handling=required of what we do not know: 415 (RFC 3204 6)."""
        for disposition in ('render;handling=required', 'signal ; Handling = "required"'):
            refused = self.try_invite(self.sdp, part('application/x', 'x', disposition), code=415)
            self.assertTrue(refused.get('Accept'))
        for disposition in (None, 'render', 'icon;handling=optional'):
            self.try_invite(self.sdp, part('application/x', 'x', disposition)).bye()

    def test_early_session(self):
        """RFC 3959: a description with that disposition is not the offer."""
        other = self.offer('msrp://127.0.0.1:8/early;tcp')
        call = self.try_invite(part('application/sdp', other, 'early-session'), self.sdp)
        listed = self.ctl.call('msrp_ua_list_sessions')[0]
        self.assertEqual(listed['peer_path'], call.own_path[0])
        call.bye()
        self.try_invite(part('application/sdp', other, 'early-session'), code=415)

    def test_alternative(self):
        """RFC 2046 5.1.4: the last one that is understood."""
        alternative = f'multipart/alternative;boundary={BOUNDARY}'
        other = self.offer('msrp://127.0.0.1:8/other;tcp')
        for parts in ((part('application/sdp', other), self.sdp),
                      (part('application/sdp', other), self.sdp, part('application/x', 'x'))):
            call = self.try_invite(*parts, content_type=alternative)
            listed = self.ctl.call('msrp_ua_list_sessions')[0]
            self.assertEqual(listed['peer_path'], call.own_path[0])
            call.bye()
            self.ctl.event('E_MSRP_SESSION_END')

    def test_base64(self):
        import base64
        self.try_invite(lambda offer: part('application/sdp', base64.encodebytes(offer),
                                           Content_Transfer_Encoding='BASE64')).bye()
        self.try_invite(part('application/sdp', '!', Content_Transfer_Encoding='base64'), code=415)

    def test_trailing_semicolon(self):
        self.invite(self.offer(), content_type='application/sdp;').final(200)
        self.invite(self.offer(), content_type='application/sdp ; ').final(200)
        self.try_invite(lambda offer: part('application/sdp;', offer)).bye()
        self.try_invite(self.sdp, content_type=MIXED + ';').bye()


if __name__ == '__main__':
    case.main()
