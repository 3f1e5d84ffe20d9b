#!/usr/bin/env python3
"""A UA session from INVITE to its end: both directions, messages, events, commands."""
import base64

from lib import case, msrp, sdp
from lib.case import Call
from lib.daemon import free_port
from lib.frame import IDENT, URI, new_id
from lib.sip import Dialog, uri_of
from lib.waiting import poll

URIS = {'from_uri': 'sip:alice@example.org', 'to_uri': 'sip:bob@example.org'}


class UasTest(case.Case):
    """The peer calls."""

    def test_set_up_and_events(self):
        """RFC 4975 5.4, 8, 8.1, RFC 6135 4.2.1: INVITE, 200 with SDP, ACK; the event names the
        session."""
        offer = self.offer(accept_types='text/plain text/html;charset=utf-8')
        transaction = self.invite(offer, from_uri='sip:carol@example.com',
                                  to_uri='sip:assistant@example.com')
        answer = transaction.final(200)
        self.assertEqual(answer.get('Content-Type'), 'application/sdp')
        self.assertTrue(answer.get('Contact'))
        self.assertEqual(self.ctl.pending('E_MSRP_SESSION_NEW'), [])
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        event = self.ctl.event('E_MSRP_SESSION_NEW')
        self.assertEqual(event, {
            'from_uri': 'sip:carol@example.com', 'to_uri': 'sip:assistant@example.com',
            'ruri': self.daemon.sip_uri, 'session_id': event['session_id'],
            'content_types': 'text/plain text/html;charset=utf-8'})
        path = sdp.Sdp(answer.body).message.path
        self.assertEqual(len(path), 1)
        self.assertEqual(URI.match(path[0])['session'], event['session_id'])
        call = Call(self, dialog, sdp.Sdp(answer.body), 'msrp://127.0.0.1:9/a;tcp').connect()
        call.bye()
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_END'),
                         {'session_id': event['session_id'], 'reason': 'bye'})

    def test_list(self):
        """What msrp_ua_list_sessions tells of a session."""
        call = self.call(path='msrp://127.0.0.1:9/list.me;tcp')
        listed, = self.ctl.call('msrp_ua_list_sessions')
        for key, value in {'session_id': call.id, 'type': 'uas', 'state': 'established',
                           'from_uri': self.sip.contact(), 'to_uri': self.daemon.sip_uri,
                           'peer_path': 'msrp://127.0.0.1:9/list.me;tcp'}.items():
            self.assertEqual(listed.get(key), value, key)
        self.assertIsInstance(listed['handler'], str)
        self.assertGreater(listed['lifetime'], 11 * 3600)
        self.assertLessEqual(listed['lifetime'], 12 * 3600)

    def test_message_in(self):
        """RFC 4975 7.2: acknowledged, and one event with the whole message."""
        call = self.call()
        sent = call.send('Hallo Wörld', content_type='text/plain;charset=utf-8')
        self.assertEqual(self.ctl.event('E_MSRP_MSG_RECEIVED'), {
            'session_id': call.id, 'message_id': sent.message_id,
            'content_type': 'text/plain;charset=utf-8', 'body': 'Hallo Wörld'})

    def test_binary_message_in(self):
        """RFC 4975 9: all 256 values in a body arrive, as base64 since they are no UTF-8."""
        call = self.call()
        body = bytes(range(256)) * 3
        call.send(body)
        event = self.received(call)
        self.assertNotIn('body', event)
        self.assertEqual(base64.b64decode(event['body_base64']), body)

    def test_utf8_body_cut_between_segments(self):
        """A character that a read boundary cuts in two stays whole."""
        call = self.call()
        frame = call.msrp.build(body='é'.encode() * 10)
        call.conn.send_raw(frame.encode(), piece=1)
        call.conn.expect_response(frame, 200)
        self.assertEqual(self.received(call)['body'], 'é' * 10)

    def test_message_out(self):
        """RFC 4975 7.1, 7.1.1: a message is a SEND with everything in its place."""
        call = self.call()
        message_id = self.say(call, 'how are you?', 'text/plain')
        frame = call.receive()
        self.assertEqual(frame.headers, [
            ('To-Path', call.own_path[0]), ('From-Path', call.path[0]),
            ('Message-ID', message_id), ('Byte-Range', '1-12/12'),
            ('Content-Type', 'text/plain')])
        self.assertEqual((frame.body, frame.flag), (b'how are you?', '$'))
        call.msrp.flush()
        self.assertEqual(self.ctl.pending('E_MSRP_REPORT_RECEIVED'), [])

    def test_bodies_out(self):
        """RFC 4975 7.1, 7.1.1: no body, an empty body, a binary one."""
        call = self.call()
        self.say(call, None, mime=None)
        frame = call.conn.expect('SEND')
        self.assertIsNone(frame.body)
        self.assertEqual(frame.get('Byte-Range'), '1-0/0')
        self.assertEqual(frame.raw.split(b'\r\n')[5:],
                         [b'-------' + frame.tid.encode() + b'$', b''])
        self.say(call, '', mime='text/plain')
        frame = call.conn.expect('SEND')
        self.assertEqual((frame.body, frame.get('Byte-Range'), frame.get('Content-Type')),
                         (b'', '1-0/0', 'text/plain'))
        body = bytes(range(256))
        self.say(call, None, body_base64=base64.b64encode(body).decode())
        self.assertEqual(call.receive().body, body)

    def test_report_headers_out(self):
        """RFC 4975 7.1.1: Failure-Report is written only for no and partial, Success-Report only
        for yes."""
        call = self.call()
        for success in (None, 'yes', 'no'):
            for failure in (None, 'yes', 'no', 'partial'):
                with self.subTest(success=success, failure=failure):
                    options = {key: value for key, value in (('success_report', success),
                                                             ('failure_report', failure)) if value}
                    self.say(call, 'x', **options)
                    frame = call.receive()
                    self.assertEqual(frame.get('Success-Report'),
                                     'yes' if success == 'yes' else None)
                    self.assertEqual(frame.get('Failure-Report'),
                                     failure if failure in ('no', 'partial') else None)

    def test_nothing_is_sent_before_the_first_request(self):
        """RFC 4975 5.4: on a connection that we accepted we wait for the peer's first SEND."""
        call = self.call(connect=False)
        self.say(call, 'queued 1')
        self.say(call, 'queued 2')
        call.connect(bind=False)
        # A round trip of another session shows that the daemon had its chance.
        other = self.call()
        other.send('x')
        self.assertEqual(call.conn.bytes_in, 0)
        call.msrp.bind()
        self.assertEqual([call.receive().body for _ in range(2)], [b'queued 1', b'queued 2'])

    def test_end_session(self):
        """msrp_ua_end_session: BYE goes out, no E_MSRP_SESSION_END comes."""
        call = self.call()
        self.assertEqual(self.ctl.call('msrp_ua_end_session', session_id=call.id), 'OK')
        call.dialog.expect('BYE').respond(200)
        poll(lambda: not self.ctl.call('msrp_ua_list_sessions'), what='an empty list')
        self.assertEqual(self.ctl.pending('E_MSRP_SESSION_END'), [])
        self.refused(404, self.ctl.call, 'msrp_ua_end_session', session_id=call.id)
        self.refused(404, self.say, call, 'too late')

    def test_after_bye(self):
        """RFC 4975 7.1.2: BYE, then a late chunk: 481 at most, no event and no REPORT."""
        call = self.call()
        call.bye()
        self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
        call.send('late', code=None, success='yes')
        self.assertEqual(self.ctl.pending('E_MSRP_MSG_RECEIVED'), [])
        self.assertEqual([f for f in call.conn.inbox.has() if f.method or f.code != 481], [])

    def test_parameters_belong_to_their_session(self):
        """Events of two sessions share nothing."""
        one = self.call(accept_types='text/plain')
        two = self.call(accept_types='message/cpim')
        self.assertNotEqual(one.id, two.id)
        two.bye()
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_END'),
                         {'session_id': two.id, 'reason': 'bye'})
        one.send('still here')
        self.assertEqual(self.received(one)['body'], 'still here')

    def test_response_before_reaction(self):
        """The 200 to a SEND precedes its REPORT and whatever the application says then."""
        call = self.call()
        sent = call.send('ping', code=None, success='yes')
        self.received(call)
        self.say(call, 'pong')
        call.receive()
        order = [frame.code or frame.method for frame in call.conn.inbox.has()]
        self.assertEqual(order, [200, 'REPORT'])
        self.assertEqual(call.conn.expect('REPORT').message_id, sent.message_id)

    def test_many_in_flight(self):
        """RFC 4975 7.1.1: ten messages leave without waiting for a response; all responses
        count."""
        call = self.call()
        call.conn.behave = msrp.silent
        ids = [self.say(call, f'message {number}') for number in range(10)]
        frames = [call.receive() for _ in range(10)]
        self.assertEqual([frame.message_id for frame in frames], ids)
        for frame in reversed(frames):
            call.conn.send(msrp.response(frame, 200, 'OK'))
        call.msrp.flush()
        self.assertEqual(self.ctl.pending('E_MSRP_REPORT_RECEIVED'), [])

    def test_identifiers(self):
        """RFC 4975 8.2, 14.1: session ids are long, unique, and not made of the Call-ID."""
        ids = []
        for _ in range(100):
            transaction = self.invite(self.offer(), call_id='always-the-same@example.org')
            answer = transaction.final(200)
            dialog = Dialog.of_client(transaction, answer)
            dialog.ack()
            ids.append(URI.match(sdp.Sdp(answer.body).message.path[0])['session'])
            dialog.bye()
        self.assertEqual(len(set(ids)), 100)
        for ident in ids:
            # 128 bits are 22 characters of an alphabet of 64, 32 hexadecimal digits.
            self.assertGreaterEqual(len(ident), 22)
        # At each place the characters spread: no prefix, no counter, no clock.
        alphabet = 16 if all(set(i) <= set('0123456789abcdef') for i in ids) else 64
        least = 10 if alphabet == 16 else 25
        for place in range(21):
            self.assertGreaterEqual(len({ident[place] for ident in ids}), least, place)

    def test_message_ids(self):
        """RFC 4975 7.1, 7.1.1: message and transaction ids are idents and never repeat."""
        call = self.call()
        ids = [self.say(call, 'x') for _ in range(500)]
        tids = set()
        for wanted in ids:
            frame = call.receive()
            self.assertEqual(frame.message_id, wanted)
            tids.add(frame.tid)
        self.assertEqual((len(set(ids)), len(tids)), (500, 500))
        for ident in ids + list(tids):
            self.assertRegex(ident, IDENT)
        for tid in tids:
            self.assertGreaterEqual(len(tid), 11)       # 64 bits, 6 a character

    def test_sip_over_tcp(self):
        """The same with SIP over TCP."""
        call = self.call(kind='TCP')
        call.send('by TCP')
        self.assertEqual(self.received(call)['body'], 'by TCP')
        self.ctl.call('msrp_ua_end_session', session_id=call.id)
        call.dialog.expect('BYE').respond(200)


class UacTest(case.Case):
    """msrpd calls."""

    def test_set_up_and_events(self):
        """RFC 4975 5.4, 7.1.1: our INVITE, our connection, a bodiless SEND at once."""
        listener = self.listener()
        session_id, invite = self.start_session()
        request = invite.request
        self.assertEqual(request.uri, self.sip.contact())
        self.assertEqual(uri_of(request.get('From')), 'sip:alice@example.org')
        self.assertEqual(uri_of(request.get('To')), 'sip:bob@example.org')
        self.assertIsNone(request.to_tag)
        offer = sdp.Sdp(request.body)
        listed, = self.ctl.call('msrp_ua_list_sessions')
        self.assertEqual((listed['session_id'], listed['type'], listed['state']),
                         (session_id, 'uac', 'setup'))
        path = listener.uri()
        invite.respond(180)
        invite.respond(200, sdp.document(sdp.message(path, 'text/*', setup='passive')))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_NEW'), {
            **URIS, 'ruri': self.sip.contact(), 'session_id': session_id,
            'content_types': 'text/*'})
        conn = listener.accept()
        first = conn.expect('SEND')
        self.assertEqual(first.headers[:2], [('To-Path', path),
                                             ('From-Path', offer.message.path[0])])
        self.assertEqual((first.body, first.get('Byte-Range')), (None, '1-0/0'))
        self.assertEqual(URI.match(offer.message.path[0])['session'], session_id)
        listed, = self.ctl.call('msrp_ua_list_sessions')
        self.assertEqual((listed['state'], listed['peer_path']), ('established', path))

    def test_messages_both_ways(self):
        call = self.answered()
        call.send('from the callee')
        self.assertEqual(self.received(call)['body'], 'from the callee')
        self.say(call, 'from the caller')
        self.assertEqual(call.receive().body, b'from the caller')

    def test_queue_before_the_session(self):
        """Messages sent while the INVITE is under way leave first, in order."""
        listener = self.listener()
        session_id, invite = self.start_session()
        bodies = [f'early {number}' for number in range(5)]
        for body in bodies:
            self.ctl.call('msrp_ua_send_message', session_id=session_id, mime='text/plain',
                          body=body)
        invite.respond(200, sdp.document(sdp.message(listener.uri(), setup='passive')))
        conn = listener.accept()
        frames = [conn.expect(lambda f: f.method == 'SEND' and f.body is not None)
                  for _ in bodies]
        self.assertEqual([frame.body.decode() for frame in frames], bodies)

    def test_refused(self):
        """A negative reply is E_MSRP_SESSION_FAILED with its code and reason."""
        for code, reason in ((486, 'Busy Here'), (603, 'Nobody home'), (404, 'Not Found')):
            with self.subTest(code):
                session_id, invite = self.start_session()
                invite.respond(code, reason=reason)
                self.sip.expect_failure_ack(invite)
                self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED'), {
                    'session_id': session_id, 'code': code, 'reason': reason})
                self.assertEqual(self.ctl.call('msrp_ua_list_sessions'), [])

    def test_unreachable(self):
        """Nobody listens there: code 503."""
        session_id = self.ctl.call(
            'msrp_ua_start_session', content_types='text/plain', **URIS,
            ruri=f'sip:bob@127.0.0.1:{free_port()};transport=tcp')['session_id']
        event = self.ctl.event('E_MSRP_SESSION_FAILED', session_id=session_id)
        self.assertEqual(event['code'], 503)
        self.assertIsInstance(event['reason'], str)

    def test_end_before_the_answer(self):
        """msrp_ua_end_session while it rings: CANCEL."""
        session_id, invite = self.start_session()
        invite.respond(180)
        # The 180 has been dealt with when a request behind it has been answered.
        self.ctl.call('msrp_ua_end_session', session_id=session_id)
        self.sip.expect('CANCEL', call_id=invite.request.call_id).respond(200)
        invite.respond(487)
        self.sip.expect_failure_ack(invite)
        self.assertEqual(self.ctl.call('msrp_ua_list_sessions'), [])
        self.assertEqual(self.ctl.pending(), [])

    def test_end_crosses_the_answer(self):
        """A 200 that crosses our CANCEL is acknowledged and ended by BYE."""
        session_id, invite = self.start_session()
        invite.respond(180)
        self.ctl.call('msrp_ua_end_session', session_id=session_id)
        cancel = self.sip.expect('CANCEL', call_id=invite.request.call_id)
        invite.respond(200, self.offer(setup='passive'))
        cancel.respond(481)
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        dialog.expect('BYE').respond(200)

    def test_peer_ends(self):
        call = self.answered()
        call.bye()
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_END'),
                         {'session_id': call.id, 'reason': 'bye'})

    def test_bye_crosses_bye(self):
        """Both sides end at once."""
        call = self.answered()
        self.ctl.call('msrp_ua_end_session', session_id=call.id)
        theirs = call.dialog.expect('BYE')
        ours = call.dialog.request('BYE')
        theirs.respond(200)
        self.assertIn(ours.final().code, (200, 481))
        self.assertEqual(self.ctl.pending('E_MSRP_SESSION_END'), [])

    def test_bad_parameters(self):
        """400 for a bad value, -32602 for a missing or mistyped parameter."""
        good = {'content_types': 'text/plain', **URIS, 'ruri': self.sip.contact()}
        for key in good:
            params = dict(good)
            del params[key]
            self.refused(-32602, self.ctl.call, 'msrp_ua_start_session', params)
            self.refused(-32602, self.ctl.call, 'msrp_ua_start_session', {**good, key: 7})
        for key, value in (('ruri', 'not a uri'), ('from_uri', ''), ('to_uri', 'sip:\r\nX: y'),
                           ('content_types', ''), ('content_types', 'plain')):
            self.refused(400, self.ctl.call, 'msrp_ua_start_session', {**good, key: value})
        self.assertEqual(self.ctl.call('msrp_ua_list_sessions'), [])

    def test_invite_may_be_answered_late(self):
        """A session can be ended by its caller, and the next one begins afresh."""
        for _ in range(3):
            call = self.answered()
            self.say(call, 'hello')
            self.assertEqual(call.receive().body, b'hello')
            call.bye()
            self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)


class DurationTest(case.Case):
    config = {'ua': {'max_duration': '1h', 'cleanup_interval': '200ms'}}

    def test_expiry(self):
        """max_duration: BYE, and E_MSRP_SESSION_END with reason expired exactly once."""
        for set_up in (self.call, self.answered):
            call = set_up()
            self.assertLessEqual(self.ctl.call('msrp_ua_list_sessions')[0]['lifetime'], 3600)
            # Its time becomes short once it is there.
            self.reload({'ua': {'max_duration': '1s'}})
            bye = call.dialog.expect('BYE')
            self.assertEqual(self.ctl.event('E_MSRP_SESSION_END'),
                             {'session_id': call.id, 'reason': 'expired'})
            bye.respond(200)
            self.assertEqual(self.ctl.pending(), [])
            self.assertEqual(self.ctl.call('msrp_ua_list_sessions'), [])
            self.reload({'ua': {'max_duration': '1h'}})


class NoLimitTest(case.Case):
    config = {'ua': {'max_duration': 0}}

    def test_lifetime_without_limit(self):
        """No limit is no negative number."""
        self.call()
        lifetime = self.ctl.call('msrp_ua_list_sessions')[0]['lifetime']
        self.assertTrue(lifetime is None or lifetime >= 0, lifetime)


class Ipv6Test(case.Case):
    own_daemon = True

    def test_session(self):
        """Addresses in brackets, in SIP, SDP and MSRP."""
        daemon, ctl = self.start({
            'sip': {'listen': ['sip:[::1]:0;transport=udp']},
            'msrp': {'listen': [{'name': 'six', 'uri': 'msrp://[::1]:0;tcp'}]}})
        listen = ctl.call('status')['listen']
        port = int(str(listen['sip'][0]).split(']:')[1].split(';')[0].strip('>\'"}'))
        ua = self.ua(host='::1')
        own = f'msrp://[::1]:9/{new_id()};tcp'
        transaction = ua.request('INVITE', f'sip:chat@[::1]:{port}', ua.reach('::1', port),
                                 sdp.document(sdp.message(own), host='::1'))
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        description = sdp.Sdp(answer.body)
        self.assertEqual(description.connection(description.message), 'IN IP6 ::1')
        call = Call(self, dialog, description, own).connect()
        call.send('six')
        self.assertEqual(self.received(call, ctl)['body'], 'six')


if __name__ == '__main__':
    case.main()
