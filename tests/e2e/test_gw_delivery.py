#!/usr/bin/env python3
"""The gateway is honest: each side hears what became of what it sent."""
from lib import case, msrp
from lib.daemon import free_port
from lib.frame import new_id
from lib.gateway import COMPOSING, GatewayCase, routes
from lib.msrp import report_for
from lib.waiting import poll


class ToMessageTest(GatewayCase):
    """What the MSRP side hears of its messages."""

    def report(self, call, sent, status):
        report = call.conn.expect('REPORT')
        self.assertEqual(report.message_id, sent.message_id)
        self.assertRegex(report.get('Status'), f'^000 {status}( |$)')
        self.assertEqual(report.to_path[-1], call.own_path[-1])
        return report

    def no_report(self, call):
        call.msrp.flush()
        self.assertEqual(call.conn.inbox.has(lambda f: f.method == 'REPORT'), [])

    def test_answers(self):
        """The MESSAGE's answer becomes the REPORT, where the sender wants one."""
        call = self.client_calls()
        for answer, status in ((200, 200), (202, 200), (404, 404), (415, 415), (413, 413),
                               (403, 403), (480, 408), (400, 400), (500, 408), (603, 403)):
            for failure in (None, 'yes', 'partial', 'no'):
                for success in (None, 'yes'):
                    with self.subTest(answer=answer, failure=failure, success=success):
                        sent = call.msrp.build(body=b'x', failure=failure, success=success)
                        call.conn.send(sent)
                        if failure in (None, 'yes'):
                            call.conn.expect_response(sent, 200)
                        self.gets('x', answer)
                        wanted = success == 'yes' if status == 200 else failure != 'no'
                        if wanted:
                            self.report(call, sent, status)
                        else:
                            self.no_report(call)

    def test_response_before_the_answer(self):
        """RFC 4975 5.3, 7.1.4: the 200 comes at once, the report when the MESSAGE is answered."""
        call = self.client_calls()
        sent = call.send('slow', success='yes')
        message = self.gets('slow', code=None)
        self.no_report(call)
        message.respond(200)
        report = self.report(call, sent, 200)
        self.assertEqual(report.get('Byte-Range'), '1-4/4')

    def test_phrase(self):
        """People read what SIP said."""
        call = self.client_calls()
        sent = call.send('x')
        self.gets('x', 404, reason='No "such" user')
        self.assertIn('SIP 404 No', self.report(call, sent, 404).get('Status'))

    def test_no_answer(self):
        """408, and the next one leaves."""
        daemon, ctl = self.start({'sip': {'transaction_timeout': '1s'}, 'routes': routes()})
        call = self.client_calls(daemon=daemon, ctl=ctl)
        sent = call.send('lost')
        self.gets('lost', code=None)
        call.send('next')
        self.report(call, sent, 408)
        self.gets('next')

    def test_unreachable(self):
        """Nobody at the Request-URI: 408."""
        daemon, ctl = self.start({'routes': routes(ruri='sip:phone@127.0.0.1:9;transport=tcp')})
        call = self.client_calls(daemon=daemon, ctl=ctl)
        self.report(call, call.send('lost'), 408)
        self.report(call, call.send('lost, too'), 408)

    def test_one_at_a_time(self):
        """RFC 3428 8: the next MESSAGE leaves when the one before is answered."""
        call = self.client_calls()
        for i in range(5):
            call.send(f'{i}')
        for i in range(5):
            message = self.gets(f'{i}', code=None)
            call.msrp.flush()
            self.assertEqual(self.phone.requests.has(lambda t: t.method == 'MESSAGE'), [])
            message.respond(200 if i % 2 else 500)

    def test_two_sessions_one_uri(self):
        """One at a time also from two sessions to the same Request-URI."""
        daemon, ctl = self.start({'routes': routes(ruri=self.phone.contact())})
        phones = [self.ua(user=name, name=name) for name in ('one', 'two')]
        calls = [self.client_calls(daemon=daemon, ctl=ctl, phone=phone) for phone in phones]
        calls[0].send('a')
        first = self.gets('a', code=None)
        calls[1].send('b')
        calls[1].msrp.flush()
        self.assertEqual(self.phone.requests.has(lambda t: t.method == 'MESSAGE'), [])
        first.respond(200)
        self.gets('b')

    def test_chunks_make_one_message(self):
        """In however many chunks, one MESSAGE."""
        call = self.client_calls(kind='TCP')
        body = bytes(range(32, 127)) * 110
        for frame in call.msrp.chunks(body, 2048):
            call.conn.ask(frame, 200)
        self.gets(body)
        call.send('after')
        self.gets('after')

    def test_bodiless(self):
        """No MESSAGE for a SEND that says nothing."""
        call = self.client_calls()
        call.send(None)
        call.send('')
        call.send('x')
        self.gets('x')

    def test_type(self):
        """415 for what content_types does not have."""
        call = self.client_calls()
        call.send('<p>', 415, content_type='text/html')
        call.send('x')
        self.gets('x')

    def test_queue_bound(self):
        """max_queued wait behind the one under way, one more is refused."""
        daemon, ctl = self.start({'gateway': {'max_queued': 3}, 'routes': routes()})
        call = self.client_calls(daemon=daemon, ctl=ctl)
        sent = [call.send(f'{i}') for i in range(5)]
        self.report(call, sent[4], 413)
        for i in range(4):
            self.gets(f'{i}')

    def test_large(self):
        """RFC 3428 8: over 1300 bytes goes over TCP, or is refused."""
        call = self.client_calls(kind='UDP')
        sent = call.send('x' * 2000)            # the phone's URI says nothing of TCP: allowed
        self.assertEqual(self.gets('x' * 2000).transport.kind, 'TCP')
        daemon, ctl = self.start({'gateway': {'large_messages': 'refuse'}, 'routes': routes()})
        other = self.client_calls(daemon=daemon, ctl=ctl)
        sent = other.send('x' * 2000)
        self.report(other, sent, 413)
        other.send('short')
        self.gets('short')

    def test_session_gone_meanwhile(self):
        """What was accepted is still sent, and nobody is reported to."""
        call = self.client_calls()
        call.send('one', success='yes')
        call.send('two', success='yes')
        one = self.gets('one', code=None)
        call.bye()
        one.respond(200)
        self.gets('two')
        self.assertEqual(self.sessions(), [])


class ToMsrpTest(GatewayCase):
    """What the MESSAGE side hears."""

    def test_accepted(self):
        """202 at once, whatever becomes of it."""
        call = self.client_calls(behave=msrp.answer_with(413))
        self.message('x').final(202)
        call.receive()

    def test_send_reply(self):
        """The rule's own answer behind msg_to_msrp."""
        daemon, ctl = self.start({'routes': routes(reply=True)})
        call = self.client_calls(daemon=daemon, ctl=ctl)
        self.assertEqual(self.message('x', daemon=daemon).final(200).reason, 'OK')
        call.receive()

    def test_no_content(self):
        """No body, no Content-Type: 400, and no set-up."""
        self.message(b'').final(400)
        transport = self.phone.reach('127.0.0.1', self.daemon.sip_port, 'UDP')
        request = self.phone.build('MESSAGE', self.client.contact(), transport, b'x',
                                   from_uri=self.phone.contact())
        request.headers = [h for h in request.headers if h[0] != 'Content-Type']
        self.phone.transact(request, transport).final(400)
        self.assertEqual(self.sessions(), [])

    def test_type(self):
        """415 with Accept for what the peer does not take."""
        call = self.client_calls(accept_types='text/plain text/html')
        answer = self.message('{}', content_type='application/json').final(415)
        self.assertEqual(answer.get('Accept'), 'text/plain, text/html')
        self.message('<p>', content_type='text/html;charset=utf-8').final(202)
        self.assertEqual(call.receive().get('Content-Type'), 'text/html;charset=utf-8')

    def test_large_message(self):
        """One MESSAGE is one MSRP message."""
        call = self.client_calls(kind='TCP')
        body = bytes(range(32, 127)) * 500
        transport = self.phone.reach('127.0.0.1', self.daemon.sip_port, 'TCP')
        request = self.phone.build('MESSAGE', self.client.contact(), transport, body,
                                   content_type='text/plain',
                                   from_uri=self.phone.contact('TCP'),
                                   to_uri='sip:client@example.org')
        self.phone.transact(request, transport).final(202)
        got, ids = b'', set()
        while len(got) < len(body):
            frame = call.receive()
            got += frame.body
            ids.add(frame.message_id)
        self.assertEqual((got, len(ids)), (body, 1))

    def test_queue_bound(self):
        """max_queued wait for the set-up, one more is answered 480."""
        daemon, ctl = self.start({'gateway': {'max_queued': 3}, 'routes': routes()})
        for i in range(3):
            self.message(f'{i}', daemon=daemon).final(202)
        self.message('4', daemon=daemon).final(480)
        call = self.answer(ctl=ctl, connect=False, setup='active')
        self.message('5', daemon=daemon).final(480)     # and for the connection
        call.connect()
        for i in range(3):
            self.assertEqual(call.receive().body, f'{i}'.encode())
        poll(lambda: self.sessions(ctl)[0]['queued'] == 0, what='an empty queue')
        self.message('6', daemon=daemon).final(202)
        self.assertEqual(call.receive().body, b'6')
        self.assertEqual(self.statistics(ctl)['refused_full'], 2)

    def test_queue_bytes(self):
        """max_queued_bytes, the same."""
        daemon, ctl = self.start({'gateway': {'max_queued_bytes': 1000}, 'routes': routes()})
        self.message('x' * 600, daemon=daemon).final(202)
        self.message('y' * 600, daemon=daemon).final(480)
        self.message('z' * 400, daemon=daemon).final(202)
        call = self.answer(ctl=ctl)
        self.assertEqual(call.receive().body, b'x' * 600)
        self.assertEqual(call.receive().body, b'z' * 400)


class BudgetTest(GatewayCase):
    """What waits in either direction is of msrp.max_memory, and given back when it has left."""
    own_daemon = True
    BODY = 'x' * 1000
    COUNT = 60

    def setUp(self):
        super().setUp()
        self.daemon, self.ctl = self.start({
            'gateway': {'max_queued': 1000, 'max_queued_bytes': '1MiB'},
            'msrp': {'max_memory': '64KiB'}, 'routes': routes()})

    def taken(self):
        return self.ctl.call('get_statistics', group='msrp')['msrp:body_bytes']

    def check(self, codes, good, full):
        accepted = codes.count(good)
        self.assertEqual(codes, [good] * accepted + [full] * (self.COUNT - accepted))
        self.assertIn(accepted, range(20, 50))
        self.assertIn(self.taken(), range(40000, 64 << 10))
        return accepted

    def test_to_the_client(self):
        codes = [self.message(f'{i} {self.BODY}').final().code for i in range(self.COUNT)]
        accepted = self.check(codes, 202, 480)
        call = self.answer()
        for i in range(accepted):
            self.assertEqual(call.receive().body, f'{i} {self.BODY}'.encode())
        poll(lambda: self.taken() == 0, what='the memory that was taken')

    def test_to_the_phone(self):
        call = self.client_calls()
        for _ in range(self.COUNT):
            call.send(self.BODY)
        refused = self.statistics()['refused_full']
        self.check([200] * (self.COUNT - refused) + [413] * refused, 200, 413)
        for _ in range(refused):
            self.assertIn('000 413', call.conn.expect('REPORT').get('Status'))
        for _ in range(self.COUNT - refused):
            self.gets(self.BODY)
        poll(lambda: self.taken() == 0, what='the memory that was taken')


class ConfirmTest(GatewayCase):
    """confirm: sent and delivered."""

    def daemon_for(self, confirm, **more):
        return self.start(dict({'routes': routes(confirm=confirm)}, **more))

    def test_config_error(self):
        """A send_reply behind it is a config error."""
        for confirm in ('sent', 'delivered'):
            with self.assertRaisesRegex(AssertionError, 'send_reply'):
                self.start({'routes': routes(confirm=confirm, reply=True)})

    def test_sent(self):
        """200 when the peer has responded, and not before."""
        daemon, ctl = self.daemon_for('sent')
        call = self.client_calls(daemon=daemon, ctl=ctl, behave=msrp.silent)
        sent = self.message('x', daemon=daemon)
        frame = call.receive()
        self.assertIsNone(frame.get('Success-Report'))
        ctl.call('status')
        self.assertEqual(sent.seen, [])
        call.conn.send(msrp.response(frame, 200, 'OK'))
        sent.final(200)

    def test_sent_failures(self):
        """What the peer's status becomes, with a Reason."""
        daemon, ctl = self.daemon_for('sent')
        for status, code in ((400, 400), (403, 403), (413, 413), (408, 504), (501, 500)):
            with self.subTest(status=status):
                call = self.client_calls(daemon=daemon, ctl=ctl,
                                         behave=msrp.answer_with(status, 'because'))
                answer = self.message('x', daemon=daemon).final(code)
                self.assertEqual(answer.get('Reason'), f'MSRP;cause={status};text="because"')
                call.bye()
                ctl.event('E_MSRP_GW_SESSION_END')

    def test_sent_415(self):
        """The peer takes its word back: 415 with Accept."""
        daemon, ctl = self.daemon_for('sent')
        self.client_calls(daemon=daemon, ctl=ctl, behave=msrp.answer_with(415))
        answer = self.message('x', daemon=daemon).final(415)
        self.assertEqual(answer.get('Accept'), 'text/plain')

    def test_delivered(self):
        """200 when the success REPORT has come, for all of it."""
        daemon, ctl = self.daemon_for('delivered')
        call = self.client_calls(daemon=daemon, ctl=ctl)
        sent = self.message('0123456789', daemon=daemon)
        frame = call.receive()
        self.assertEqual(frame.get('Success-Report'), 'yes')
        call.conn.send(report_for(frame, '000 200 OK', '1-5/10'))
        call.msrp.flush()
        self.assertEqual(sent.seen, [])
        call.conn.send(report_for(frame, '000 200 OK', '6-10/10'))
        sent.final(200)

    def test_delivered_failure(self):
        """A failure REPORT instead."""
        daemon, ctl = self.daemon_for('delivered')
        call = self.client_calls(daemon=daemon, ctl=ctl)
        sent = self.message('x', daemon=daemon)
        frame = call.receive()
        call.conn.send(report_for(frame, '000 413 Too "much"', '1-1/1'))
        self.assertEqual(sent.final(413).get('Reason'),
                         'MSRP;cause=413;text="Too ?much?"')

    def test_set_up_refused(self):
        """The INVITE's answer is the MESSAGE's."""
        daemon, ctl = self.daemon_for('sent')
        for code, expected in ((486, 486), (603, 603), (404, 404), (407, 480), (302, 480)):
            with self.subTest(code=code):
                sent = self.message('x', daemon=daemon)
                invite = self.client.expect('INVITE')
                ctl.call('status')
                self.assertEqual(sent.seen, [])
                invite.respond(code)
                answer = sent.final(expected)
                self.assertIn(f'SIP;cause={code}', answer.get('Reason'))
                ctl.event('E_MSRP_GW_SETUP_FAILED')

    def test_session_ends(self):
        """BYE before the peer has responded: 480."""
        daemon, ctl = self.daemon_for('sent')
        call = self.client_calls(daemon=daemon, ctl=ctl, behave=msrp.silent)
        sent = self.message('x', daemon=daemon)
        call.receive()
        call.bye()
        sent.final(480)

    def test_no_response(self):
        """The peer says nothing: 504 before SIP's own time is over."""
        daemon, ctl = self.daemon_for('sent', msrp={'transaction_timeout': '1s'})
        call = self.client_calls(daemon=daemon, ctl=ctl, behave=msrp.silent)
        sent = self.message('x', daemon=daemon)
        call.receive()
        self.assertEqual(sent.final(504).get('Reason'), 'MSRP;cause=408')


    def test_no_connection(self):
        """The client's SDP leads nowhere: the session fails, and so does the MESSAGE."""
        daemon, ctl = self.daemon_for('sent', ua={'reconnect_grace': '300ms'})
        sent = self.message('x', daemon=daemon)
        listener = self.listener(port=free_port())
        listener.close()
        call = self.answer(ctl=ctl, listener=listener, connect=False)
        sent.final(480)
        call.dialog.expect('BYE').respond(200)
        ctl.event('E_MSRP_GW_SESSION_END', reason='failed')
        again = self.message('again', daemon=daemon)
        self.assertEqual(self.answer(ctl=ctl).receive().body, b'again')
        again.final(200)

    def test_after_202(self):
        """What becomes of it later is told by an event: refused, never taken, its session over."""
        daemon, ctl = self.start({'routes': routes('text/plain text/html')})

        def told(transaction, code, reason):
            event = ctl.event('E_MSRP_GW_MSG_FAILED', call_id=transaction.request.call_id)
            self.assertEqual((event['key'], event['code'], event['reason']),
                             (self.key(), code, reason))

        early = self.message('<p>', daemon=daemon, content_type='text/html')
        early.final(202)
        call = self.answer(ctl=ctl, behave=msrp.answer_with(413))
        told(early, 415, '')
        late = self.message('<p>', daemon=daemon, content_type='text/html')
        late.final(415)
        refused = self.message('x', daemon=daemon)
        refused.final(202)
        told(refused, 413, 'MSRP;cause=413')
        call.conn.behave = msrp.silent
        unanswered = self.message('y', daemon=daemon)
        unanswered.final(202)
        call.receive()
        call.receive()
        call.bye()
        told(unanswered, 480, '')
        self.assertEqual(ctl.call('get_statistics', group='gw')['gw:to_msrp_failed'], 4)
        self.assertEqual(ctl.pending('E_MSRP_GW_MSG_FAILED'), [])

    def test_no_such_session(self):
        """481 from the peer ends the session (RFC 4975 10.8), and the next MESSAGE makes
        another."""
        daemon, ctl = self.daemon_for('sent')
        call = self.client_calls(daemon=daemon, ctl=ctl, behave=msrp.answer_with(481))
        self.message('x', daemon=daemon).final(480)
        call.dialog.expect('BYE').respond(200)
        ctl.event('E_MSRP_GW_SESSION_END', reason='failed')
        self.assertEqual(self.sessions(ctl), [])

    def test_reload(self):
        """Sessions live on, new settings and rules hold."""
        daemon, ctl = self.daemon_for('sent')
        call = self.client_calls(daemon=daemon, ctl=ctl)
        self.message('x', daemon=daemon).final(200)
        daemon.config['routes'] = routes()
        daemon.config['gateway'] = {'max_queued': 1}
        daemon.write_config()
        self.assertEqual(ctl.call('reload'), 'OK')
        self.message('y', daemon=daemon).final(202)
        self.assertEqual([call.receive().body for _ in range(2)], [b'x', b'y'])
        other = self.ua(user='other', name='other')
        self.message('1', daemon=daemon, phone=other).final(202)
        self.message('2', daemon=daemon, phone=other).final(480)


class ComposingTest(GatewayCase):
    """RFC 3994: isComposing."""

    BODY = ('<?xml version="1.0"?><isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing">'
            '<state>active</state></isComposing>')
    TYPES = f'text/plain {COMPOSING}'

    def test_dropped(self):
        """The default: answered, and that is all."""
        daemon, ctl = self.start({'routes': routes(self.TYPES)})
        self.message(self.BODY, content_type=COMPOSING, daemon=daemon).final(202)
        self.assertEqual(self.sessions(ctl), [])
        call = self.client_calls(self.TYPES, daemon=daemon, ctl=ctl)
        self.message(self.BODY, content_type=COMPOSING, daemon=daemon).final(202)
        self.message('text', daemon=daemon).final(202)
        self.assertEqual(call.receive().body, b'text')
        sent = call.send(self.BODY, content_type=COMPOSING, success='yes')
        self.assertEqual(call.conn.expect('REPORT').message_id, sent.message_id)
        call.send('back')
        self.gets('back')
        self.assertEqual(self.statistics(ctl)['iscomposing_dropped'], 3)

    def test_forwarded(self):
        """Where there is a session; it makes none and keeps none alive."""
        daemon, ctl = self.start({'routes': routes(self.TYPES), 'gateway': {
            'iscomposing': 'forward', 'cleanup_interval': '100ms'}})
        self.message(self.BODY, content_type=COMPOSING, daemon=daemon).final(202)
        self.assertEqual(self.sessions(ctl), [])
        call = self.client_calls(self.TYPES, daemon=daemon, ctl=ctl)
        self.message(self.BODY, content_type=f'{COMPOSING};charset=utf-8',
                     daemon=daemon).final(202)
        self.assertEqual(call.receive().body, self.BODY.encode())
        sent = call.send(self.BODY, content_type=COMPOSING)
        self.gets(self.BODY, 415)
        self.assertEqual(call.conn.expect('REPORT').message_id, sent.message_id)
        call.send('text goes on')
        self.gets('text goes on')
        self.reload({'gateway': {'session_timeout': '1s'}}, daemon, ctl)
        poll(lambda: self.ended_while_typing(daemon, ctl), interval=0.2,
             what='the end of a session in which somebody only types')
        call.dialog.expect('BYE').respond(200)
        ctl.event('E_MSRP_GW_SESSION_END', reason='expired')

    def ended_while_typing(self, daemon, ctl):
        self.message(self.BODY, content_type=COMPOSING, daemon=daemon).final(202)
        return ctl.pending('E_MSRP_GW_SESSION_END')


class RepetitionTest(GatewayCase):
    """Retransmitted MESSAGEs are not delivered twice."""

    config = {'routes': routes(), 'sip': {'transaction_timeout': '5s'}}

    def test_retransmission(self):
        """Also when SIP has forgotten the transaction."""
        call = self.client_calls()
        sent = self.message('once')
        sent.final(202)
        self.assertEqual(call.receive().body, b'once')
        for _ in range(3):
            sent.transport.send(sent.request.encode())
        # The transaction is gone after 5 s; other MESSAGEs pass meanwhile.
        poll(lambda: self.repeat(sent), what='a second transaction for it', interval=0.1)
        self.message('end').final(202)
        self.assertEqual(call.receive().body, b'end')

    def repeat(self, sent):
        sent.transport.send(sent.request.encode())
        return self.statistics()['duplicates'] > 0

    def test_merged(self):
        """The same MESSAGE by another way: another branch, the same Call-ID and CSeq (8.2.2.2)."""
        call = self.client_calls()
        sent = self.message('once')
        sent.final(202)
        call.receive()
        text = sent.request.encode().replace(sent.request.branch.encode(),
                                             f'z9hG4bK{new_id()}'.encode())
        sent.transport.send(text)
        self.phone.stray.take(lambda r: r.code == 482, what='482 Loop Detected')
        self.message('end').final(202)
        self.assertEqual(call.receive().body, b'end')


if __name__ == '__main__':
    case.main()
