#!/usr/bin/env python3
"""Responses and REPORTs: RFC 4975 7.1.1 to 7.3.2, both directions."""
import base64
import time

from lib import case, msrp
from lib.frame import Frame, new_id

TRUTH = [                       # Failure-Report; a 200, an error response
    (None, True, True),
    ('yes', True, True),
    ('partial', False, True),
    ('no', False, False),
]


class TruthTableTest(case.Case):
    """What each Failure-Report and Success-Report asks for, as the receiving endpoint."""

    def responses(self, call, request):
        """What came back for the request, once a later one has been answered."""
        call.msrp.flush()
        return [f for f in call.conn.inbox.has() if f.tid == request.tid]

    def reports(self, call, request):
        return [f for f in call.conn.inbox.has()
                if f.method == 'REPORT' and f.message_id == request.message_id]

    def test_delivered(self):
        """RFC 4975 5.3, 7.1.1, 7.1.3, 7.1.4, 7.2: the eight combinations for a message that
        arrives."""
        call = self.call()
        for failure, ok, _ in TRUTH:
            for success in (None, 'no', 'yes'):
                with self.subTest(failure=failure, success=success):
                    sent = call.send('hello', code=None, failure=failure, success=success)
                    self.received(call, message_id=sent.message_id)
                    if success == 'yes':
                        report = call.conn.expect('REPORT', Message_ID=sent.message_id)
                        self.assertRegex(report.get('Status'), r'^000 200( |$)')
                        self.assertEqual(report.get('Byte-Range'), '1-5/5')
                        self.assertEqual(report.to_path, call.own_path)
                    self.assertEqual([f.code for f in self.responses(call, sent)],
                                     [200] if ok else [])
                    self.assertEqual(self.reports(call, sent), [])      # none, or no second

    def test_refused(self):
        """RFC 4975 7.1.4, 7.3.1: the same for one that is refused (415): no event, no success
        REPORT."""
        call = self.call()
        for failure, _, error in TRUTH:
            for success in (None, 'yes'):
                with self.subTest(failure=failure, success=success):
                    sent = call.send('hello', code=None, failure=failure, success=success,
                                     content_type='application/x-unknown')
                    self.assertEqual([f.code for f in self.responses(call, sent)],
                                     [415] if error else [])
                    self.assertEqual(self.reports(call, sent), [])
        self.assertEqual(self.ctl.pending('E_MSRP_MSG_RECEIVED'), [])

    def test_unknown_session(self):
        """RFC 4975 5.4, 7.1.4: 481 for an unknown session id, but nothing for Failure-Report no."""
        call = self.call()
        stranger = [call.path[0].replace(call.id, new_id())]
        for failure, _, error in TRUTH:
            with self.subTest(failure=failure):
                headers = [('Message-ID', new_id()), ('Byte-Range', '1-1/1')]
                if failure:
                    headers.append(('Failure-Report', failure))
                headers.append(('Content-Type', 'text/plain'))
                sent = call.conn.send(msrp.build('SEND', stranger, call.own_path, headers, b'x'))
                self.assertEqual([f.code for f in self.responses(call, sent)],
                                 [481] if error else [])

    def test_values_in_any_case(self):
        """RFC 4975 9: yes and no are compared without case (RFC 5234 strings)."""
        call = self.call()
        sent = call.send('x', code=None, failure='NO', success='YES')
        call.conn.expect('REPORT', Message_ID=sent.message_id)
        self.assertEqual(self.responses(call, sent), [])

    def test_no_response_to_a_report(self):
        """RFC 4975 7.1.2: REPORTs are never answered, whatever they lack."""
        call = self.call()
        for headers in ([('Message-ID', 'abcd'), ('Byte-Range', '1-1/1'), ('Status', '000 200')],
                        [('Message-ID', 'abcd'), ('Byte-Range', '1-1/1')],
                        [('Message-ID', 'abcd'), ('Status', '000 200')],
                        [('Byte-Range', '1-1/1'), ('Status', '000 200')],
                        [('Message-ID', 'abcd')],
                        []):
            with self.subTest(headers=headers):
                before = call.conn.bytes_in
                sent = call.conn.send(msrp.build('REPORT', call.path, call.own_path, headers))
                call.msrp.flush()
                self.assertEqual([f for f in call.conn.inbox.has() if f.tid == sent.tid], [])
                self.assertLess(call.conn.bytes_in - before, 300)       # the flush alone

    def test_duplicates(self):
        """A Message-ID that was delivered already: acknowledged, delivered once."""
        call = self.call()
        sent = call.send('once', success='yes')
        self.received(call)
        call.conn.expect('REPORT')
        call.send('once', message_id=sent.message_id)
        call.send('twice')
        self.assertEqual(self.received(call)['body'], 'twice')
        self.assertEqual(self.ctl.pending('E_MSRP_MSG_RECEIVED'), [])

    def test_duplicates_of_long_ago(self):
        """RFC 4975 5.4: the last 1,000 messages of a session are known, refused ones aside."""
        call = self.call()
        sent = [call.send(f'{i}') for i in range(60)]
        for i in range(60):
            self.received(call)
            call.send('x', 415, content_type='image/png')
        for i, frame in enumerate(sent):
            call.send(f'{i}', message_id=frame.message_id)
        call.send('new')
        self.assertEqual(self.received(call)['body'], 'new')
        self.assertEqual(self.ctl.pending('E_MSRP_MSG_RECEIVED'), [])

    def test_report_form(self):
        """RFC 4975 7.1.2, 7.1.3: a REPORT goes back along the whole From-Path, from our own URI
        alone."""
        call = self.call(path='msrp://127.0.0.1:9/first;tcp msrp://127.0.0.1:9/last;tcp',
                         connect=False)
        call.connect(bind=False)
        call.msrp.from_path = call.own_path
        call.msrp.bind()
        sent = call.send('far away', success='yes')
        report = call.conn.expect('REPORT')
        self.assertEqual(report.to_path, sent.from_path)
        self.assertEqual(report.from_path, call.path)
        self.assertEqual([name for name, _ in report.headers],
                         ['To-Path', 'From-Path', 'Message-ID', 'Byte-Range', 'Status'])


class SenderTest(case.Case):
    """As the sending endpoint: what comes back becomes an event."""

    config = {'msrp': {'transaction_timeout': '2s'}}

    def test_reports_become_events(self):
        """RFC 4975 7.1.2, 7.3.2: REPORTs from the peer, whole, in parts, of foreign namespaces."""
        call = self.call()
        message_id = self.say(call, 'x' * 100, success_report='yes')
        frame = call.receive()
        for status, byte_range in (('000 200 OK', '1-40/100'), ('000 200', '41-100/100'),
                                   ('001 481 whatever', '1-100/100')):
            call.conn.send(msrp.report_for(frame, status, byte_range))
            self.assertEqual(self.ctl.event('E_MSRP_REPORT_RECEIVED'), {
                'session_id': call.id, 'message_id': message_id, 'status': status,
                'byte_range': byte_range})
        call.send('the session lives')

    def test_body(self):
        """RFC 7701 6.2: what a REPORT carries is told with it; without a type it is nothing."""
        call = self.call()
        message_id = self.say(call, 'hello', success_report='yes')
        frame = call.receive()
        event = {'session_id': call.id, 'message_id': message_id, 'status': '000 200 OK',
                 'byte_range': '1-5/5'}
        for body, told in (('To: <sip:b@example.org>\r\n\r\n'.encode(), 'body'), (b'', 'body'),
                           (b'\xff\x00', 'body_base64'), (b'x' * 10240, 'body')):
            report = msrp.report_for(frame, '000 200 OK', '1-5/5')
            report.headers.append(('Content-Type', 'message/cpim'))
            report.body = body
            call.conn.send_raw(report.encode(), 1000)
            got = self.ctl.event('E_MSRP_REPORT_RECEIVED')
            content = base64.b64encode(body).decode() if told != 'body' else body.decode()
            self.assertEqual(got, {**event, 'content_type': 'message/cpim', told: content})
        report = msrp.report_for(frame, '000 200 OK', '1-5/5')
        report.body = b'what'
        call.conn.send(report)
        self.assertEqual(self.ctl.event('E_MSRP_REPORT_RECEIVED'), event)

    def test_unknown_message(self):
        """RFC 4975 7.1.1: a REPORT on a message that nobody sent is ignored."""
        call = self.call()
        call.conn.send(msrp.build('REPORT', call.path, call.own_path, [
            ('Message-ID', new_id()), ('Byte-Range', '1-1/1'), ('Status', '000 200 OK')]))
        call.msrp.flush()
        self.assertEqual(self.ctl.pending('E_MSRP_REPORT_RECEIVED'), [])

    def test_failure_responses(self):
        """RFC 4975 7.1.1: a failure response is an event with its whole phrase and the bare
        range."""
        for failure in (None, 'partial'):
            for code, comment, status in ((481, 'Session gone', '000 481 Session gone'),
                                          (413, None, '000 413'),
                                          (400, 'Bad', '000 400 Bad')):
                with self.subTest(code=code, failure=failure):
                    call = self.call(behave=msrp.answer_with(code, comment))
                    options = {'failure_report': failure} if failure else {}
                    message_id = self.say(call, 'hello', **options)
                    self.assertEqual(self.ctl.event('E_MSRP_REPORT_RECEIVED'), {
                        'session_id': call.id, 'message_id': message_id, 'status': status,
                        'byte_range': '1-5/5'})
                    self.assertEqual(self.ctl.pending('E_MSRP_REPORT_RECEIVED'), [])

    def test_session_gone(self):
        """RFC 4975 10.8: after a 481 the session is ended: BYE and an event."""
        call = self.call(behave=msrp.answer_with(481))
        self.say(call, 'hello')
        self.ctl.event('E_MSRP_REPORT_RECEIVED')
        call.dialog.expect('BYE').respond(200)
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_END'),
                         {'session_id': call.id, 'reason': 'failed'})

    def test_other_connection(self):
        """RFC 4975 10.10: after a 506 no more is sent on that connection."""
        call = self.call(behave=msrp.answer_with(506))
        self.say(call, 'hello')
        self.ctl.event('E_MSRP_REPORT_RECEIVED')
        call.receive()
        try:
            self.say(call, 'more')
        except case.RpcError:
            pass                    # the session may be gone by now
        call.conn.try_send_raw(call.msrp.build().encode())
        self.assertEqual(call.conn.inbox.has(lambda f: f.method == 'SEND'), [])

    def test_time_out(self):
        """RFC 4975 7.1.1: without a response there is `000 408` at transaction_timeout, and no
        earlier."""
        call = self.call(behave=msrp.silent)
        began = time.monotonic()
        message_id = self.say(call, 'hello')
        call.receive()
        event = self.ctl.event('E_MSRP_REPORT_RECEIVED')
        self.assertGreaterEqual(time.monotonic() - began, 1.99)
        self.assertEqual(event, {'session_id': call.id, 'message_id': message_id,
                                 'status': '000 408', 'byte_range': '1-5/5'})

    def test_no_time_out(self):
        """RFC 4975 7.1.1: partial and no have no timer."""
        call = self.call(behave=msrp.silent)
        for failure in ('partial', 'no'):
            self.say(call, 'hello', failure_report=failure)
        # One that has a timer is sent last: when it has run out, the others' would have too.
        message_id = self.say(call, 'hello')
        self.assertEqual(self.ctl.event('E_MSRP_REPORT_RECEIVED')['message_id'], message_id)
        self.assertEqual(self.ctl.pending('E_MSRP_REPORT_RECEIVED'), [])

    def test_late_response(self):
        """RFC 4975 10.4: a 408 of the peer is a time-out; a response after our own is ignored."""
        call = self.call(behave=msrp.silent)
        self.say(call, 'hello')
        frame = call.receive()
        self.ctl.event('E_MSRP_REPORT_RECEIVED', status='000 408')
        call.conn.send(msrp.response(frame, 200, 'OK'))
        call.msrp.flush()
        call.conn.behave = msrp.answer_with(408)
        self.say(call, 'again')
        self.assertEqual(self.ctl.event('E_MSRP_REPORT_RECEIVED')['status'], '000 408')
        self.assertEqual(self.ctl.pending('E_MSRP_REPORT_RECEIVED'), [])

    def test_report_instead_of_response(self):
        """RFC 4975 7.3.2: REPORT `000 NNN` counts as a failure, extra headers in responses as
        nothing."""
        call = self.call(behave=msrp.silent)
        message_id = self.say(call, 'hello')
        frame = call.receive()
        answer = msrp.response(frame, 200)
        answer.headers.append(('Message-ID', message_id))
        call.conn.send(answer)
        call.conn.send(msrp.report_for(frame, '000 413 enough', '1-5/5', tid=frame.tid))
        event = self.ctl.event('E_MSRP_REPORT_RECEIVED')
        self.assertEqual((event['status'], event['message_id']), ('000 413 enough', message_id))
        call.msrp.flush()
        self.assertEqual(self.ctl.pending('E_MSRP_REPORT_RECEIVED'), [])

    def test_type_refused(self):
        """RFC 4975 10.6: after a 415 no more of that type in the session."""
        call = self.call(behave=msrp.answer_with(415))
        self.say(call, 'hello')
        self.ctl.event('E_MSRP_REPORT_RECEIVED', status='000 415')
        call.conn.behave = msrp.answer_ok
        self.refused(415, self.say, call, 'again')
        self.say(call, 'Subject: x\r\n\r\n', mime='message/cpim')
        self.assertEqual(call.conn.expect(lambda f: f.get('Content-Type') == 'message/cpim').flag,
                         '$')

    def test_stray_responses(self):
        """RFC 4976 6.4.3: responses to nothing are dropped."""
        call = self.call()
        for code in (200, 481, 999):
            call.conn.send(Frame(new_id(), code=code, headers=[
                ('To-Path', call.path[0]), ('From-Path', call.own_path[0])]))
        call.msrp.flush()
        self.assertEqual(self.ctl.pending(), [])


if __name__ == '__main__':
    case.main()
