#!/usr/bin/env python3
"""Raw frames: RFC 4975 section 9 and what must be survived.

Each case is sent on a session of its own; another session on another connection has to be none
the worse after every one of them.
"""
import os
import random

from lib import case, msrp
from lib.frame import URI, Frame, new_id


UMLAUT = 'Grüße'.encode().decode('latin-1')       # UTF-8 on the wire


class Raw:
    """A frame as lines, to be bent."""

    def __init__(self, call, body=b'hello', tid=None, method='SEND'):
        self.tid = tid or new_id()
        self.message_id = new_id()
        self.start = f'MSRP {self.tid} {method}'
        self.headers = [f'To-Path: {call.path[0]}', f'From-Path: {call.own_path[0]}',
                        f'Message-ID: {self.message_id}']
        if body is not None:
            self.headers += [f'Byte-Range: 1-{len(body)}/{len(body)}', 'Content-Type: text/plain']
        self.body = body
        self.end = f'-------{self.tid}$'
        self.eol = '\r\n'

    def replace(self, start, *lines):
        """Other lines for the header that begins so."""
        at = next(i for i, line in enumerate(self.headers) if line.startswith(start))
        self.headers[at:at + 1] = lines
        return self

    def add(self, *lines):
        self.headers[2:2] = lines
        return self

    def bytes(self):
        text = self.eol.join([self.start, *self.headers]) + self.eol
        data = text.encode('latin-1')
        if self.body is not None:
            data += self.eol.encode() + self.body + self.eol.encode()
        return data + self.end.encode('latin-1') + self.eol.encode()


class SyntaxCase(case.Case):
    def setUp(self):
        super().setUp()
        self.witness = self.call()

    def unharmed(self):
        """The witness' session works as before, and nothing was raised meanwhile."""
        self.assertEqual(self.ctl.pending('E_MSRP_MSG_RECEIVED'), [])
        self.witness.send('witness')
        self.assertEqual(self.received(self.witness)['body'], 'witness')


class RequestTest(SyntaxCase):
    """Well-framed requests."""

    def expect_code(self, call, raw, code):
        call.conn.rules.excuse(raw.tid)
        call.conn.send_raw(raw.bytes())
        frame = call.conn.expect(lambda f: f.code is not None and f.tid == raw.tid)
        self.assertEqual(frame.code, code)
        return frame

    def test_wrong_in_itself(self):
        """RFC 4975 6, 9, 12: 400, the connection stays."""
        call = self.call()

        def raw(**kwargs):
            return Raw(call, **kwargs)
        cases = {
            'no Message-ID': raw().replace('Message-ID'),
            'empty Message-ID': raw().replace('Message-ID', 'Message-ID: '),
            'Message-ID of 3': raw().replace('Message-ID', 'Message-ID: abc'),
            'Message-ID of 129': raw().replace('Message-ID', f'Message-ID: {"a" * 129}'),
            'Message-ID with @': raw().replace('Message-ID', 'Message-ID: abc@def'),
            'two Message-IDs': raw().add('Message-ID: other'),
            'two Byte-Ranges': raw().add('Byte-Range: 1-5/5'),
            'two Content-Types': raw().add('Content-Type: text/plain'),
            'two Failure-Reports': raw().add('Failure-Report: yes', 'Failure-Report: no'),
            'NUL in a header': raw().add('X-Nul: a\0b'),
        }
        for text in ('0-5/5', '-1-5/5', '5', '1-5', '1/5', 'a-5/5', '1-b/5', '1-5/c', '', '1-5/',
                     '2147483648', '1-18446744073709551616/18446744073709551616',
                     '99999999999999999999-*/*', '6-5/5x', '1 - 5 / 5', '*-5/5',
                     '+1-5/5', '1-5/+5', '0x1-5/5'):
            cases[f'Byte-Range {text!r}'] = raw().replace('Byte-Range', f'Byte-Range: {text}')
        for name, frame in cases.items():
            with self.subTest(name):
                self.expect_code(call, frame, 400)
        call.send('the connection is still there')
        self.received(call)
        self.unharmed()

    def test_lines_that_are_no_headers(self):
        """RFC 4975 9: a folded line, one without a colon: 400; whether the connection stays is
        ours."""
        for lines in (('X-Folded: a', ' b'), ('nonsense', ), (': value', ), ('X y: z', )):
            call = self.call()
            raw = Raw(call, body=None).add(*lines)
            call.conn.rules.excuse(raw.tid)
            with self.subTest(lines):
                call.conn.send_raw(raw.bytes())
                call.conn.inbox.until(lambda c=call, r=raw: c.conn.closed or c.conn.inbox.has(
                    lambda f: f.tid == r.tid), what='400 or the end')
                self.assertIn([f.code for f in call.conn.inbox.has()], ([], [400]))
        self.unharmed()

    def test_uris_without_sense(self):
        """RFC 4975 6: a To-Path that is no list of URIs gets 400, or ends the connection."""
        for path in ('msrp://127.0.0.1:1/x', 'nonsense', 'msrp://', 'msrp:///x;tcp',
                     'http://127.0.0.1:1/x;tcp', 'msrp://127.0.0.1:99999/x;tcp',
                     'msrp://127.0.0.1:a/x;tcp', 'msrp://[::1/x;tcp', 'msrp://a:1/x;', ' ',
                     'msrp://127.0.0.1:0/x;tcp', 'msrp://127.0.0.1:1/;tcp'):
            with self.subTest(path):
                call = self.call()
                raw = Raw(call).replace('To-Path', f'To-Path: {path}')
                self.answered_or_closed(call, raw, (400, 481))
        self.unharmed()

    def answered_or_closed(self, call, raw, codes):
        call.conn.rules.excuse(raw.tid)
        call.conn.send_raw(raw.bytes())
        call.conn.inbox.until(lambda: call.conn.closed or call.conn.inbox.has(
            lambda f: f.tid == raw.tid), what='an answer or the end')
        for frame in call.conn.inbox.has(lambda f: f.tid == raw.tid):
            self.assertIn(frame.code, codes)

    def test_syntax_before_session(self):
        """400 comes before 506 and 481: syntax is judged first."""
        call = self.call()
        thief = msrp.connect(call.path[0], name='thief')
        raw = Raw(call).replace('Message-ID')
        thief.rules.excuse(raw.tid)
        thief.send_raw(raw.bytes())
        self.assertEqual(thief.expect(lambda f: f.tid == raw.tid).code, 400)
        raw = Raw(call).replace('Byte-Range', 'Byte-Range: 0-1/1')
        raw.headers[0] = f'To-Path: {call.path[0].replace(call.id, new_id())}'
        thief.rules.excuse(raw.tid)
        thief.send_raw(raw.bytes())
        self.assertEqual(thief.expect(lambda f: f.tid == raw.tid).code, 400)

    def test_accepted(self):
        """RFC 4975 9, 12: forms that are right, or harmless."""
        call = self.call()
        cases = {
            'header names in any case': Raw(call).replace('Message-ID', 'MESSAGE-id: abcd').replace(
                'Byte-Range', 'byte-range: 1-5/5').replace('Content-Type',
                                                           'content-TYPE: text/plain'),
            'unknown headers': Raw(call).add('X-Foo: a: b: c', 'X-Foo: again', 'X-Empty: '),
            'MIME headers': Raw(call).add('Content-Disposition: inline; filename="a: b.txt"',
                                          'Content-ID: <a@b>',
                                          'Content-Description: ' + UMLAUT),
            'quoted string': Raw(call).replace(
                'Content-Type', r'Content-Type: text/plain; x="a\"b\\c; d"'),
            'Content-Type not last': Raw(call).replace('Content-Type').add(
                'Content-Type: text/plain'),
            'UTF-8 value': Raw(call).add('Subject: ' + UMLAUT),
            'longest ids': Raw(call, tid='a' * 32).replace('Message-ID',
                                                           f'Message-ID: {"b" * 128}'),
            'shortest ids': Raw(call, tid='abcd').replace('Message-ID', 'Message-ID: 1.-%'),
            'all characters of ids': Raw(call, tid='A.-+%=z0'),
        }
        for name, raw in cases.items():
            with self.subTest(name):
                self.expect_code(call, raw, 200)
                self.assertEqual(self.received(call)['body'], 'hello')
        self.unharmed()

    def test_empty_lines_between_frames(self):
        """2.13: CRLF between frames is skipped, also as the first bytes of a connection."""
        call = self.call(connect=False)
        call.connect(bind=False)
        call.conn.send_raw(b'\r\n\r\n')
        call.msrp.bind()
        frame = call.msrp.build(body=b'hello')
        call.conn.send_raw(b'\r\n' * 20 + frame.encode() + b'\r\n\r\n' + b'\r\n' * 2)
        call.conn.expect_response(frame, 200)
        call.send('after them')
        self.received(call)

    def test_methods_in_lower_case(self):
        """RFC 4975 9: `send` is not SEND; methods are upper case."""
        call = self.call()
        for method in ('send', 'Send', 'SEND1'):
            raw = Raw(call, method=method)
            with self.subTest(method):
                self.answered_or_closed(call, raw, (400, 501))
                if call.conn.closed:
                    call = self.call()
        self.unharmed()

    def test_order_of_paths(self):
        """RFC 4975 9: To-Path comes first, From-Path second."""
        for change in (lambda h: [h[1], h[0], *h[2:]], lambda h: [h[2], *h[:2], *h[3:]],
                       lambda h: h[1:], lambda h: [h[0], *h[2:]],
                       lambda h: [h[0], h[0], *h[1:]]):
            call = self.call()
            raw = Raw(call)
            raw.headers = change(raw.headers)
            with self.subTest(raw.headers[:3]):
                self.answered_or_closed(call, raw, (400, ))
        self.unharmed()

    def test_lenient_or_400(self):
        """RFC 4975 9: tabs, missing or double spaces: taken as they are meant, or 400."""
        call = self.call()
        for name, raw in {
                'tab after the colon': Raw(call).replace('Message-ID', 'Message-ID:\tabcdef'),
                'no space': Raw(call).replace('Message-ID', 'Message-ID:abcdeg'),
                'two spaces': Raw(call).replace('Message-ID', 'Message-ID:  abcdeh'),
                'space at the end': Raw(call).replace('Message-ID', 'Message-ID: abcdei ')}.items():
            with self.subTest(name):
                call.conn.rules.excuse(raw.tid)
                call.conn.send_raw(raw.bytes())
                answer = call.conn.expect(lambda f, tid=raw.tid: f.tid == tid)
                self.assertIn(answer.code, (200, 400))
                if answer.code == 200:
                    self.assertEqual(self.received(call)['body'], 'hello')
        self.unharmed()

    def test_reports_of_any_kind(self):
        """REPORTs that lack or mangle everything neither crash nor get an answer."""
        call = self.call()
        for line in ('Status: ', 'Status: 000', 'Status: 000 2000', 'Status: abc def',
                     'Status: 000 200 ' + 'x' * 5000, 'Byte-Range: 0-0/0', 'Byte-Range: ',
                     'Byte-Range: 18446744073709551616-*/*', 'Status: 000 200\tOK'):
            with self.subTest(line[:30]):
                raw = Raw(call, body=None, method='REPORT').add(line)
                call.conn.send_raw(raw.bytes())
                call.msrp.flush()
                self.assertEqual(call.conn.inbox.has(lambda f, r=raw: f.tid == r.tid), [])
        self.unharmed()


class FramingTest(SyntaxCase):
    """Bytes that are no frames close their connection and nothing else."""

    def closes(self, data, tid=None):
        """The bytes end the connection; a 400 may come first where the id could be read."""
        call = self.call()
        if tid:
            call.conn.rules.excuse(tid)
        call.conn.try_send_raw(data(call) if callable(data) else data)
        call.conn.expect_closed()
        answers = call.conn.inbox.has(lambda f: f.code is not None)
        if tid:
            self.assertIn([f.code for f in answers], ([], [400]))
        else:
            self.assertEqual(answers, [])

    def test_garbage(self):
        """RFC 4975 9: what does not begin like a frame."""
        for data in (b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'\0' * 100, b'MSRP\r\n', b'MSRP \r\n',
                     b'MSRP a b\r\n', b'MSRPx abcd SEND\r\n', b' MSRP abcd SEND\r\n',
                     b'\xff\xfe\xfd\r\n', b'INVITE sip:x SIP/2.0\r\n\r\n',
                     b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'
                     + b'\xab' * 200 + b'\r\n'):
            with self.subTest(data[:30]):
                self.closes(data)
        self.unharmed()

    def test_start_lines(self):
        """RFC 4975 9: 400 where the transaction id could be read, then the end."""
        for start in ('MSRP abcd  SEND', 'MSRP  abcd SEND', 'MSRP abcd', 'MSRP abcd SEND extra',
                      'MSRP abcd 20 OK', 'MSRP abcd 2000 OK', 'MSRP abc SEND',
                      f'MSRP {"a" * 33} SEND', 'MSRP ab@d SEND', 'MSRP -bcd SEND',
                      'msrp abcd SEND', 'MSRP abcd SEND ', 'MSRP\tabcd SEND'):
            def data(call, start=start):
                raw = Raw(call, tid='abcd')
                raw.start = start
                return raw.bytes()
            with self.subTest(start):
                self.closes(data, 'abcd')
        self.unharmed()

    def test_bare_line_feeds(self):
        """2.13: LF without CR is an error: 400 or the end."""
        def bare(call):
            raw = Raw(call, tid='abcdef')
            raw.eol = '\n'
            return raw.bytes()
        for data in (bare, lambda c: Raw(c, tid='abcdef').add('X-A: b\nX-C: d').bytes()):
            call = self.call()
            call.conn.rules.excuse('abcdef')
            call.conn.try_send_raw(data(call))
            call.conn.inbox.until(lambda c=call: c.conn.closed or c.conn.inbox.has(
                lambda f: f.code == 400 and f.tid == 'abcdef'), what='400 or the end')
        self.unharmed()

    def test_carriage_returns_alone(self):
        """RFC 4975 9: a line ended by CR alone does not swallow the frames behind it: the end."""
        def response(call):
            raw = Raw(call, body=None, tid='abcdef')
            raw.start, raw.eol = 'MSRP abcdef 200 OK', '\r'
            return raw.bytes()

        def end_line(call):
            return Raw(call, body=None, tid='abcdef').bytes()[:-1]
        for data in (response, end_line):
            call = self.call()
            call.conn.rules.excuse('abcdef')
            call.conn.try_send_raw(data(call) + Raw(call, body=None).bytes())
            call.conn.expect_closed(10)
        self.unharmed()

    def test_header_limit(self):
        """max_header_size: a head without end costs no memory and closes the connection."""
        for data in (lambda c: f'MSRP abcd SEND\r\nTo-Path: {c.path[0]}\r\n'.encode()
                     + b'X-Long: ' + b'x' * 100000,
                     lambda c: f'MSRP abcd SEND\r\nTo-Path: {c.path[0]}\r\n'.encode()
                     + b'X: y\r\n' * 20000,
                     lambda c: b'MSRP ' + b'x' * 100000,
                     lambda c: f'MSRP abcd SEND\r\nTo-Path: {c.path[0]}'.encode()
                     + f' {c.path[0]}'.encode() * 5000):
            self.closes(data, 'abcd')
        self.unharmed()

    def test_header_just_within_the_limit(self):
        """max_header_size: a long header that fits is nothing special."""
        call = self.call()
        raw = Raw(call).add('X-Long: ' + 'x' * 15000)
        call.conn.send_raw(raw.bytes())
        call.conn.expect(lambda f: f.tid == raw.tid and f.code == 200)
        self.received(call)

    def test_missing_end_lines(self):
        """RFC 4975 7.1: a bodiless frame without an end-line has no end: the next start line is an
        error."""
        def data(call):
            raw = Raw(call, body=None, tid='abcdef')
            return raw.bytes().replace(b'-------abcdef$\r\n', b'') * 2
        call = self.call()
        call.conn.rules.excuse('abcdef')
        call.conn.send_raw(data(call))
        other = self.call()
        other.send('x')
        self.received(other)
        self.unharmed()

    def test_wrong_end_lines(self):
        """RFC 4975 7.1: an end-line of another transaction is a header that is none."""
        call = self.call()
        raw = Raw(call, body=None, tid='abcdef')
        raw.end = '-------fedcba$'
        call.conn.rules.excuse('abcdef')
        call.conn.send_raw(raw.bytes() + b'-------abcdef$\r\n')
        call.conn.inbox.until(lambda: call.conn.closed or call.conn.inbox.has(
            lambda f: f.code == 400), what='400 or the end')
        self.unharmed()

    def test_responses_that_are_none(self):
        """RFC 4975 9, RFC 4976 6.4.3: malformed responses are dropped, or end their connection."""
        call = self.call()
        call.conn.send_raw(b'MSRP abcd 200 OK\r\n-------abcd$\r\n')
        call.conn.try_send_raw(b'MSRP abcd 200 OK\r\nTo-Path: x\r\nFrom-Path: y\r\n'
                               b'-------abcd$\r\n')
        self.unharmed()

    def test_random_bytes(self):
        """Any byte stream at all: bent frames, at random; the witness lives."""
        pick = random.Random(2855)
        for _ in range(60):
            call = self.call()
            data = bytearray(Raw(call).bytes())
            for _ in range(pick.randint(1, 6)):
                at = pick.randrange(len(data))
                kind = pick.randrange(4)
                if kind == 0:
                    data[at] = pick.randrange(256)
                elif kind == 1:
                    del data[at:at + pick.randint(1, 20)]
                elif kind == 2:
                    data[at:at] = bytes(data[:pick.randint(1, 100)])
                else:
                    data[at:at] = pick.choice((b'\r\n', b'\0', b'-------', b': ', b'$\r\n', b' '))
            call.conn.rules = Lenient()
            call.conn.try_send_raw(bytes(data) + os.urandom(pick.randint(0, 50)))
            call.conn.close()
            call.dialog.request('BYE').final()
        self.ctl.events.items.clear()
        self.unharmed()


class Lenient:
    """Rules for a connection whose requests nobody can tell."""

    @staticmethod
    def sent(frame):
        pass

    @staticmethod
    def received(frame):
        pass


class HeadTest(SyntaxCase):
    def test_session_ids_with_slashes(self):
        """2.8: a To-Path is split at the first slash and the first semicolon."""
        call = self.call()
        uri = call.path[0].replace(call.id, f'{call.id}/more')
        frame = msrp.build('SEND', [uri], call.own_path, [('Message-ID', new_id())])
        call.conn.ask(frame, 481)
        self.assertIsNotNone(URI.match(uri))

    def test_response_without_phrase(self):
        """2.2: `MSRP tid 481` without a phrase is a response like any other."""
        call = self.call(behave=msrp.answer_with(481))
        self.say(call, 'x')
        self.assertEqual(self.ctl.event('E_MSRP_REPORT_RECEIVED')['status'], '000 481')

    def test_phrase_of_any_characters(self):
        """RFC 4975 9: the comment is UTF-8."""
        def behave(frame, conn):
            if frame.method == 'SEND' and frame.body:
                conn.send(Frame(frame.tid, code=400, comment='größer: "x" \\ = 7', headers=[
                    ('To-Path', frame.from_path[0]), ('From-Path', frame.to_path[0])]))
        call = self.call(behave=behave)
        self.say(call, 'x')
        self.assertEqual(self.ctl.event('E_MSRP_REPORT_RECEIVED')['status'],
                         '000 400 größer: "x" \\ = 7')


if __name__ == '__main__':
    case.main()
