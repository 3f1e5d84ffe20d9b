#!/usr/bin/env python3
"""Chunks: cutting, interleaving and interrupting what goes out, putting together what comes in."""
import base64
import os
import random

from lib import case, msrp, sdp
from lib.case import Call
from lib.frame import new_id
from lib.sip import Dialog
from lib.waiting import Timeout, poll

KIB = 1024
LONG = 6 * 1024 * KIB           # more than the kernel's buffers take


def body_of(event):
    if 'body_base64' in event:
        return base64.b64decode(event['body_base64'])
    return event['body'].encode()


def collect(call, message_id):
    """All chunks of a message that msrpd sends."""
    frames = []
    while not frames or frames[-1].flag == '+':
        frames.append(call.conn.expect('SEND', Message_ID=message_id))
    return frames


class ReceiveTest(case.Case):
    """Reassembly."""

    def check(self, call, frames, body, events=1, **report):
        """All frames are acknowledged and make one message."""
        for frame in frames:
            call.conn.ask(frame, 200)
        event = self.received(call, message_id=frames[0].message_id)
        self.assertEqual(body_of(event), body)
        self.assertEqual(self.ctl.pending('E_MSRP_MSG_RECEIVED'), [])

    def test_in_order(self):
        """RFC 4975 7.1.1: 10 KiB in chunks of 2 KiB make one event."""
        call = self.call()
        body = os.urandom(10 * KIB)
        for size in (2 * KIB, 1000, 10 * KIB, 10 * KIB - 1):
            for total in ('known', '*'):
                with self.subTest(size=size, total=total):
                    self.check(call, call.msrp.chunks(body, size, total=total), body)

    def test_small_chunks(self):
        """RFC 4975 7.1.1: chunks of one byte, and empty ones."""
        call = self.call()
        self.check(call, call.msrp.chunks(b'hello world', 1), b'hello world')
        frames = call.msrp.chunks(b'hello', 3, total='*')
        empty = call.msrp.build(body=b'', message_id=frames[0].message_id, flag='+',
                                byte_range='4-3/*')
        self.check(call, [frames[0], empty, frames[1]], b'hello')

    def test_in_any_order(self):
        """RFC 4975 7.3.1: chunks 3, 1, 2 with `$` on the third; any permutation."""
        call = self.call()
        body = os.urandom(4000)
        for order in ((2, 0, 1), (2, 1, 0), (1, 2, 0), (0, 2, 1)):
            for total in ('known', '*'):
                with self.subTest(order=order, total=total):
                    frames = call.msrp.chunks(body, 1500, total=total)
                    self.check(call, [frames[index] for index in order], body)

    def test_overlap(self):
        """Chunks that overlap or come twice count once."""
        call = self.call()
        body = os.urandom(100)
        message_id = new_id()

        def chunk(first, last, flag='+'):
            return call.msrp.build(body=body[first - 1:last], message_id=message_id, flag=flag,
                                   byte_range=f'{first}-{last}/100')
        self.check(call, [chunk(1, 60), chunk(1, 60), chunk(20, 40), chunk(40, 90),
                          chunk(70, 100, '$')], body)

    def test_last_chunk_counts(self):
        """RFC 4975 7.3.1: where chunks overlap, the one that came last counts."""
        call = self.call()
        message_id = new_id()

        def chunk(body, byte_range, flag='+'):
            return call.msrp.build(body=body, message_id=message_id, flag=flag,
                                   byte_range=byte_range)
        self.check(call, [chunk(b'a' * 60, '1-60/100'), chunk(b'b' * 60, '41-100/100', '$')],
                   b'a' * 40 + b'b' * 60)
        message_id = new_id()
        self.check(call, [chunk(b'b' * 60, '41-100/100', '$'), chunk(b'a' * 60, '1-60/100')],
                   b'a' * 60 + b'b' * 40)

    def test_success_report_of_chunks(self):
        """RFC 4975 7.1.1, 7.1.3: a chunked message is reported once, with the full range."""
        call = self.call()
        body = os.urandom(5000)
        frames = call.msrp.chunks(body, 2048, success='yes')
        self.check(call, frames, body)
        covered = set()
        while len(covered) < 5000:
            first, last, _ = call.conn.expect(
                'REPORT', Message_ID=frames[0].message_id).byte_range
            self.assertTrue(covered.isdisjoint(range(first, last + 1)))
            covered |= set(range(first, last + 1))
        self.assertEqual((min(covered), max(covered)), (1, 5000))
        call.msrp.flush()
        self.assertEqual(call.conn.inbox.has(lambda f: f.method == 'REPORT'), [])

    def test_two_messages_interleave(self):
        """RFC 4975 5.1, RFC 4976 6.4.1: chunks of several messages alternate."""
        call = self.call()
        bodies = [os.urandom(5000) for _ in range(3)]
        columns = [call.msrp.chunks(body, 1000) for body in bodies]
        for row in zip(*columns):
            call.conn.send(*row)
        for body, frames in zip(bodies, columns):
            self.assertEqual(body_of(self.received(call, message_id=frames[0].message_id)), body)

    def test_range_does_not_rule(self):
        """RFC 4975 7.3.1: the end-line decides how long a chunk is, not the Byte-Range."""
        call = self.call()
        for text in ('1-5/*', '1-50/*', '1-*/*'):
            with self.subTest(text):
                sent = call.send('0123456789', byte_range=text)
                self.assertEqual(self.received(call, message_id=sent.message_id)['body'],
                                 '0123456789')

    def test_without_range(self):
        """RFC 4975 7.3.1: no Byte-Range, one message."""
        call = self.call()
        sent = call.send('hello', byte_range=None, success='yes')
        self.assertEqual(self.received(call)['body'], 'hello')
        self.assertEqual(call.conn.expect('REPORT').get('Byte-Range'), '1-5/5')
        self.assertIsNotNone(sent)

    def test_bodies_like_end_lines(self):
        """RFC 4975 7.1: a body may hold whatever looks like an end-line, but its own."""
        call = self.call()
        for body in (b'a\r\n-------zzzz$\r\nb', b'-------zzzz$', b'\r\n\r\n', b'\r\n-------',
                     b'\r\n', b'-' * 1000, b'\r\n-------' * 500 + b'x', b'\0' * 100):
            with self.subTest(body=body[:30]):
                frame = call.msrp.build(body=body)
                own = b'\r\n-------' + frame.tid.encode()
                frame.body = body + own + b'x\r\n' + own + b'$\r\r\n' + own[:-1] + b'$\r\n'
                call.conn.ask(frame, 200)
                event = self.received(call, message_id=frame.message_id)
                self.assertEqual(body_of(event), frame.body)

    def test_trickle(self):
        """3 KiB written a byte at a time."""
        call = self.call()
        body = os.urandom(3 * KIB)
        frame = call.msrp.build(body=body)
        call.conn.send_raw(frame.encode(), piece=1)
        call.conn.expect_response(frame, 200)
        self.assertEqual(body_of(self.received(call)), body)

    def test_large_chunk(self):
        """1 MiB in one chunk, and a whole message of the largest size."""
        call = self.call()
        for size in (1024 * KIB, 8 * 1024 * KIB):
            body = os.urandom(size)
            call.send(body, byte_range=f'1-*/{size}')
            self.assertEqual(body_of(self.received(call)), body)

    def test_bodiless(self):
        """RFC 4975 7.1.1: bodiless SENDs with any flag are acknowledged and are no messages."""
        call = self.call()
        for flag in '$+#':
            call.send(None, flag=flag)
        call.send(None, byte_range=None)
        call.send('x')
        self.received(call)
        self.assertEqual(self.ctl.pending('E_MSRP_MSG_RECEIVED'), [])

    def test_empty_body(self):
        """RFC 4975 7.1.1: a body of no bytes is empty: acknowledged, reported, and no message."""
        call = self.call()
        sent = call.send('', success='yes')
        self.assertEqual(call.conn.expect('REPORT').message_id, sent.message_id)
        call.send('x')
        self.assertEqual(self.received(call)['body'], 'x')
        self.assertEqual(self.ctl.pending('E_MSRP_MSG_RECEIVED'), [])

    def test_aborted(self):
        """RFC 4975 7.1: `#` ends a message that will never be whole."""
        call = self.call()
        frames = call.msrp.chunks(b'x' * 3000, 1000)
        call.conn.ask(frames[0], 200)
        frames[1].flag = '#'
        call.conn.ask(frames[1], 200)
        call.send('next')
        self.assertEqual(self.received(call)['body'], 'next')
        self.assertEqual(self.ctl.pending('E_MSRP_MSG_RECEIVED'), [])

    def test_types(self):
        """RFC 4975 7.3.1, 8.6, 14.3: 415 for what was not offered, containers always pass."""
        call = self.call()
        for mime, code in (('application/x', 415), ('text/html', 415), ('text/plain', 200),
                           ('TEXT/PLAIN', 200), ('text/plain; charset="utf-8"', 200),
                           ('message/cpim', 200), ('multipart/mixed;boundary=x', 200),
                           ('multipart/alternative;boundary="x y"', 200),
                           ('multipart/signed;boundary=x', 200),
                           ('multipart/related;boundary=x', 415)):
            with self.subTest(mime):
                sent = call.send('--x--', content_type=mime, code=code)
                if code == 200:
                    event = self.received(call, message_id=sent.message_id)
                    self.assertEqual(event['content_type'], mime)
        self.assertEqual(self.ctl.pending('E_MSRP_MSG_RECEIVED'), [])

    def test_type_of_a_chunked_message(self):
        """RFC 4975 7.3.1: every chunk of a refused message is refused."""
        call = self.call()
        for frame in call.msrp.chunks(b'x' * 3000, 1000, content_type='application/x'):
            call.conn.ask(frame, 415)

    def test_methods(self):
        """RFC 4975 7.1, 7.2, 9, 12: unknown methods get 501 to the whole From-Path."""
        call = self.call()
        for method in ('FOO', 'NICKNAME', 'AUTH', 'SENDX'):
            frame = msrp.build(method, call.path, [*call.own_path, 'msrp://127.0.0.1:9/b;tcp'],
                               [('Message-ID', new_id())])
            answer = call.conn.ask(frame, 501)
            self.assertEqual(answer.to_path, frame.from_path)
        call.send('x', code=None)
        self.received(call)

    def test_large_body_of_other_methods(self):
        """RFC 4975 7.1: a body of more than 10240 bytes belongs to SEND alone: refused or
        closed."""
        call = self.call()
        frame = msrp.build('FOO', call.path, call.own_path,
                           [('Message-ID', new_id()), ('Content-Type', 'text/plain')],
                           b'x' * 10241)
        call.conn.send(frame)
        call.conn.inbox.until(lambda: call.conn.closed or call.conn.inbox.has(
            lambda f: f.tid == frame.tid), what='an answer or the end')
        other = self.call()
        other.send('unharmed')


class LimitsTest(case.Case):
    """Limits of what is received; max_message_size and the like."""

    config = {'msrp': {'max_message_size': '64KiB', 'max_open_messages': 3,
                       'partial_timeout': '6s', 'max_memory': '1MiB'}}

    def test_announced_size(self):
        """RFC 4975 7.1.1: a total above max_message_size is answered 413, exactly it is not."""
        call = self.call()
        call.send(b'x' * 65536)
        self.assertEqual(len(self.received(call)['body']), 65536)
        call.send(b'x' * 65537, code=413)
        call.send(b'x', byte_range='1-1/65537', flag='+', code=413)
        call.send(b'x', byte_range='65537-65537/*', code=413)
        call.send('fits')
        self.received(call)

    def test_endless_chunk(self):
        """An endless chunk gets 413 while it runs, and costs no memory."""
        call = self.call()
        head, _, tail = call.msrp.build(body=b'@', byte_range='1-*/*').encode().partition(b'@')
        tid = head.split(b' ')[1].decode()
        call.conn.rules.excuse(tid)
        before = self.daemon.resident_kib()
        piece = os.urandom(32 * KIB)
        call.conn.send_raw(head)
        for _ in range(2048):
            if not call.conn.try_send_raw(piece):
                break
        call.conn.inbox.until(lambda: call.conn.closed or call.conn.inbox.has(
            lambda f: f.code == 413 and f.tid == tid), what='413')
        self.assertTrue(call.conn.inbox.has(lambda f: f.code == 413))
        self.assertLess(self.daemon.resident_kib() - before, 32 * KIB)
        call.conn.try_send_raw(tail)
        self.call().send('unharmed')

    def test_endless_chunks(self):
        """The same in many chunks."""
        call = self.call()
        frames = call.msrp.chunks(b'x' * 70000, 7000, total='*')
        codes = [call.conn.ask(frame).code for frame in frames]
        self.assertEqual(codes[:9], [200] * 9)
        self.assertEqual(codes[9], 413)

    def test_open_messages(self):
        """max_open_messages: one more is answered 413 until one of them ends."""
        call = self.call()
        opened = [call.msrp.chunks(b'x' * 2000, 1000) for _ in range(4)]
        for frames in opened[:3]:
            call.conn.ask(frames[0], 200)
        call.conn.ask(opened[3][0], 413)
        call.send('a whole one needs no place')
        self.received(call)
        call.conn.ask(opened[0][1], 200)
        self.received(call, message_id=opened[0][0].message_id)
        call.conn.ask(call.msrp.chunks(b'x' * 2000, 1000)[0], 200)

    def test_partial_timeout(self):
        """partial_timeout: an incomplete message is dropped, with a log line."""
        call = self.call()
        for _ in range(3):
            call.conn.ask(call.msrp.chunks(b'x' * 2000, 1000)[0], 200)
        call.conn.ask(call.msrp.chunks(b'x' * 2000, 1000)[0], 413)
        poll(lambda: call.conn.ask(call.msrp.build(body=b'x', flag='+', byte_range='1-1/2')).code
             == 200, what='room for one more')

    def test_memory(self):
        """max_memory: bodies held by the process are bounded, beyond it new ones get 413."""
        calls = [self.call() for _ in range(7)]
        codes = []
        for call in calls:
            for _ in range(3):
                frame = call.msrp.build(body=b'x' * 60000, flag='+', byte_range='1-60000/60001')
                codes.append(call.conn.ask(frame).code)
        self.assertEqual(codes[:10], [200] * 10)
        self.assertIn(413, codes)
        calls[0].msrp.flush()


class SendTest(case.Case):
    """Cutting."""

    def test_chunk_sizes(self):
        """RFC 4975 7.1.1: cut at chunk_size, `*` above 2048, no chunk below 2048 but the last.

        (The rules that every frame is judged by look at ranges, order and headers.)
        """
        call = self.call()
        for size in (1, 2047, 2048, 2049, 32 * KIB, 32 * KIB + 1, 200 * KIB):
            with self.subTest(size):
                body = base64.b64encode(os.urandom(size))[:size].decode()
                message_id = self.say(call, body, success_report='yes')
                frames = collect(call, message_id)
                self.assertEqual(b''.join(frame.body for frame in frames), body.encode())
                self.assertTrue(all(len(frame.body) >= 2048 for frame in frames[:-1]))
                self.assertTrue(all(len(frame.body) <= 32 * KIB for frame in frames))
                self.assertEqual(frames[0].byte_range[2], size)         # known: given
                self.assertEqual(frames[0].byte_range[1], size if size <= 2048 else None)
                self.assertEqual({frame.get('Success-Report') for frame in frames}, {'yes'})

    def test_reports_of_chunks(self):
        """RFC 4975 7.3.2: one event for each REPORT, whatever its range; responses of chunks make
        none."""
        call = self.call()
        message_id = self.say(call, 'x' * 100000, success_report='yes')
        frames = collect(call, message_id)
        self.assertGreater(len(frames), 2)
        call.conn.send(msrp.report_for(frames[0], '000 200 OK', '1-100000/100000'))
        self.assertEqual(self.ctl.event('E_MSRP_REPORT_RECEIVED')['byte_range'],
                         '1-100000/100000')
        call.msrp.flush()
        self.assertEqual(self.ctl.pending('E_MSRP_REPORT_RECEIVED'), [])

    def test_bodies_like_end_lines(self):
        """RFC 4975 7.1: thousands of lines that look like end-lines arrive as they are."""
        call = self.call()
        pick = random.Random(4975)
        alphabet = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-+%='
        body = ''.join('\r\n-------' + ''.join(pick.choices(alphabet, k=pick.randint(4, 32)))
                       + pick.choice('$+#') for _ in range(5000))
        frames = collect(call, self.say(call, body))
        self.assertEqual(b''.join(frame.body for frame in frames).decode(), body)

    def test_responses_overtake(self):
        """RFC 4975 7.1.1: with a long message under way a SEND gets its response at once."""
        call = self.call()
        call.conn.narrow()
        call.conn.pause()
        message_id = self.say(call, 'x' * LONG)
        frame = call.msrp.build(body=b'hello', success='yes')
        call.conn.send(frame)
        self.received(call)
        call.conn.resume()
        call.conn.expect_response(frame, 200)
        call.conn.expect('REPORT', Message_ID=frame.message_id)
        self.assertNotIn('$', [f.flag for f in call.conn.ahead_of(frame.tid)
                               if f.message_id == message_id])
        frames = collect(call, message_id)
        self.assertEqual(sum(len(f.body) for f in frames), LONG)

    def test_messages_share(self):
        """RFC 4975 7.1.1: a short message does not wait for a long one of the same session."""
        call = self.call()
        call.conn.narrow()
        call.conn.pause()
        long = self.say(call, 'x' * LONG)
        short = self.say(call, 'quick')
        call.conn.resume()
        frame = call.conn.expect('SEND', Message_ID=short)
        self.assertNotIn('$', [f.flag for f in call.conn.ahead_of(frame.tid)
                               if f.message_id == long])
        collect(call, long)

    def test_sessions_share(self):
        """RFC 4975 7.1.1: nor does one of another session on the same connection."""
        one = self.answered()
        listener = one.conn
        path = f'{one.own_path[0].rsplit("/", 1)[0]}/{new_id()};tcp'
        session_id, invite = self.start_session()
        invite.respond(200, sdp.document(sdp.message(path, setup='passive')))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        two = Call(self, dialog, sdp.Sdp(invite.request.body), path, one.conn, session_id)
        listener.expect(lambda f: f.method == 'SEND' and f.to_path == [path])
        one.conn.narrow()
        one.conn.pause()
        long = self.say(one, 'x' * LONG)
        self.say(two, 'quick')
        one.conn.resume()
        frame = two.receive()
        self.assertEqual(frame.body, b'quick')
        self.assertNotIn('$', [f.flag for f in one.conn.ahead_of(frame.tid)
                               if f.message_id == long])
        collect(one, long)

    def stopped_by(self, say_stop):
        """The peer says stop after the first chunk and reads on when that has been heard."""
        call = self.call()

        def behave(frame, conn):
            if frame.method == 'SEND' and frame.body and not conn.told:
                conn.told = True
                conn.pause()
                conn.send(say_stop(frame))
        call.conn.told = False
        call.conn.behave = behave
        call.conn.narrow()
        message_id = self.say(call, 'x' * LONG)
        event = self.ctl.event('E_MSRP_REPORT_RECEIVED')
        self.assertEqual((event['message_id'], event['status']), (message_id, '000 413 Stop'))
        call.conn.resume()
        call.conn.behave = msrp.answer_ok
        call.msrp.flush()
        self.say(call, 'next')
        call.conn.expect(lambda f: f.body == b'next')
        frames = call.conn.inbox.has(lambda f: f.message_id == message_id)
        self.assertLess(sum(len(f.body) for f in frames), LONG - 1024 * KIB)
        self.assertIn(frames[-1].flag, '+#')

    def test_stopped(self):
        """RFC 4975 7.1.1, 7.3.2: after a 413 no more of the message is sent, other messages are."""
        self.stopped_by(lambda frame: msrp.response(frame, 413, 'Stop'))

    def test_stopped_by_report(self):
        """RFC 4975 7.3.2: REPORT `000 413` stops sending as a response does."""
        self.stopped_by(lambda frame: msrp.report_for(frame, '000 413 Stop', f'1-32768/{LONG}'))


class LargeChunkTest(case.Case):
    config = {'msrp': {'chunk_size': '16MiB', 'send_queue': '64KiB', 'transaction_timeout': '5s'}}

    def test_stopped_in_a_chunk(self):
        """RFC 4975 7.3.2: 413 for a chunk that is still being written: it is cut short with `#`."""
        call = self.call(behave=msrp.silent)
        call.conn.narrow()
        call.conn.pause()
        message_id = self.say(call, 'x' * LONG)
        call.conn.pause_at_head()
        call.conn.send(msrp.response(call.conn.wait_head(), 413))
        self.ctl.event('E_MSRP_REPORT_RECEIVED', status='000 413')
        call.conn.resume()
        frame = call.conn.expect('SEND', Message_ID=message_id)
        self.assertEqual(frame.flag, '#')
        self.assertLess(len(frame.body), LONG)
        call.msrp.flush()
        self.assertEqual(call.conn.inbox.has(lambda f: f.method == 'SEND'), [])

    def test_responses_interrupt(self):
        """RFC 4975 7.1.1: a response and a report break into a chunk that is being written."""
        call = self.call()
        call.conn.narrow()
        call.conn.pause()
        message_id = self.say(call, 'x' * LONG)
        frame = call.msrp.build(body=b'hello', success='yes')
        call.conn.send(frame)
        self.received(call)
        call.conn.resume()
        call.conn.expect_response(frame, 200)
        call.conn.expect('REPORT', Message_ID=frame.message_id)
        self.assertLess(sum(len(f.body or b'') for f in call.conn.ahead_of(frame.tid)), LONG)
        collect(call, message_id)

    def test_no_time_out_while_bytes_leave(self):
        """RFC 4975 7.1.1: the time-out is counted from the last byte of a chunk, not from its
        first."""
        call = self.call()
        call.conn.narrow()
        call.conn.pause()
        message_id = self.say(call, 'x' * LONG)
        with self.assertRaises(Timeout):
            self.ctl.event('E_MSRP_REPORT_RECEIVED', timeout=6)
        call.conn.resume()
        frames = collect(call, message_id)
        self.assertEqual(sum(len(f.body) for f in frames), LONG)
        call.msrp.flush()
        self.assertEqual(self.ctl.pending('E_MSRP_REPORT_RECEIVED'), [])


class QueueTest(case.Case):
    config = {'ua': {'max_queued_bytes': '100KiB'}}

    def test_queue_limit(self):
        """max_queued_bytes: beyond it msrp_ua_send_message fails with 500, nothing is lost."""
        call = self.call(connect=False)
        accepted = 0
        while True:
            try:
                self.say(call, 'x' * (10 * KIB))
                accepted += 1
            except case.RpcError as error:
                self.assertEqual(error.code, 500)
                break
        self.assertGreaterEqual(accepted, 9)
        self.assertLessEqual(accepted, 10)
        call.connect()
        for _ in range(accepted):
            size = 0
            while True:
                frame = call.receive()
                size += len(frame.body)
                if frame.flag == '$':
                    break
            self.assertEqual(size, 10 * KIB)
        self.say(call, 'room again')
        call.receive()


class StandstillTest(case.Case):
    config = {'msrp': {'send_timeout': '2s', 'send_queue': '64KiB'}}

    def test_reader_that_stands_still(self):
        """send_timeout: a full connection that takes nothing is closed, what it owed reported."""
        call = self.call()
        call.conn.narrow()
        call.conn.pause()
        message_id = self.say(call, 'x' * LONG)
        event = self.ctl.event('E_MSRP_REPORT_RECEIVED')
        self.assertEqual((event['message_id'], event['status']), (message_id, '000 408'))
        call.dialog.expect('BYE').respond(200)
        self.ctl.event('E_MSRP_SESSION_END', session_id=call.id, reason='failed')


if __name__ == '__main__':
    case.main()
