#!/usr/bin/env python3
"""The harness itself: its readers and judges must see what is wrong, peers must get along."""
import os
import shutil
import tempfile
import unittest

from lib import judge, msrp, sdp
from lib.frame import Frame, Framer, GrammarError, new_id
from lib.relay import PASSWORD, REALM, USER, Relay
from lib.sip import Dialog, Message, SipUa, authorized, challenge, digest_response, parameters
from lib.waiting import Mailbox, Timeout

SEND = (b'MSRP d93kswow SEND\r\n'
        b'To-Path: msrp://bob.example.com:8888/9di4eae923wzd;tcp\r\n'
        b'From-Path: msrp://alice.example.com:7777/iau39soe2843z;tcp\r\n'
        b'Message-ID: 12339sdqwer\r\n'
        b'Byte-Range: 1-16/16\r\n'
        b'Content-Type: text/plain\r\n'
        b'\r\n'
        b"Hi, I'm Alice!\r\n"
        b'\r\n'
        b'-------d93kswow$\r\n')


class FramerTest(unittest.TestCase):
    def test_whole_and_trickled(self):
        for step in (1, 7, len(SEND) * 3):
            framer, frames = Framer(strict=True), []
            for at in range(0, len(SEND) * 3, step):
                frames += framer.feed((SEND * 3)[at:at + step])
            self.assertEqual([f.body for f in frames], [b"Hi, I'm Alice!\r\n"] * 3)
            self.assertEqual([f.raw for f in frames], [SEND] * 3)
            self.assertEqual(frames[0].encode(), SEND)

    def test_bodies_that_look_like_end_lines(self):
        body = b'\r\n-------d93ksww$\r\n-------d93kswowx\r\n-------d93kswow$\r\r\n-------'
        frame = Frame('d93kswow', method='SEND', headers=[('To-Path', 'a'), ('From-Path', 'b')],
                      body=body)
        for step in (1, 1000):
            framer, frames = Framer(strict=True), []
            data = frame.encode()
            for at in range(0, len(data), step):
                frames += framer.feed(data[at:at + step])
            self.assertEqual([f.body for f in frames], [body])

    def test_strict_grammar(self):
        for old, new in ((b'MSRP d93', b'msrp d93'), (b'kswow SEND', b'kswow  SEND'),
                         (b' SEND\r', b' send\r'), (b'To-Path: ', b'To-Path:'),
                         (b'Message-ID: 12', b' folded: 12'), (b'd93kswow SEND', b'd9 SEND'),
                         (b'MSRP d93', b'\r\nMSRP d93'), (b'sdqwer', b'\xff\xfe')):
            with self.subTest(new=new), self.assertRaises(GrammarError):
                Framer(strict=True).feed(SEND.replace(old, new, 1))

    def test_response_forms(self):
        frames = Framer(strict=True).feed(
            b'MSRP abcd 481\r\nTo-Path: a\r\nFrom-Path: b\r\n-------abcd$\r\n'
            b'MSRP abcd 200 OK\r\nTo-Path: a\r\nFrom-Path: b\r\n-------abcd$\r\n')
        self.assertEqual([(f.code, f.comment) for f in frames], [(481, None), (200, 'OK')])


class JudgeTest(unittest.TestCase):
    def setUp(self):
        judge.CAPTURE.take_streams()
        judge.CAPTURE.take_violations()
        self.directory = tempfile.mkdtemp(prefix='msrpd-harness-')
        self.addCleanup(shutil.rmtree, self.directory)
        self.listener = msrp.Listener()
        self.addCleanup(self.listener.close)
        self.conn = msrp.connect(self.listener.uri())
        self.addCleanup(self.conn.close)
        self.theirs = self.listener.accept()
        self.addCleanup(self.theirs.close)
        self.session = msrp.Session(self.conn, [self.listener.uri()],
                                    ['msrp://127.0.0.1:9/own;tcp'])

    def violations(self):
        self.theirs.inbox.take(what='the frame')
        return judge.CAPTURE.take_violations()

    def test_peers_agree_with_tshark(self):
        self.session.bind()
        self.session.send('hello')
        self.session.send(os.urandom(200000), byte_range='1-*/200000')
        for frame in self.session.chunks(b'a\r\n-------zzzz$\r\nb' * 200, 2048):
            self.conn.ask(frame, 200)
        self.session.send('a;b')
        self.session.send('a;b', content_type='text/plain;x=y')
        self.conn.send_raw(SEND.replace(b'Message-ID: 12339sdqwer\r\n', b''))
        self.conn.expect(200)
        count = judge.judge(self.directory, judge.CAPTURE.take_streams())
        self.assertEqual(count, 2 * 2 * (3 + 2 + 2 + 1))

    def test_disagreement_is_found(self):
        self.session.bind()
        self.session.send('hello')
        streams = judge.CAPTURE.take_streams()
        frames = streams[0].frames
        when, direction, raw, say = frames[2]
        for change in ((raw[:40], say), (raw, ('other', 'SEND', '$')),
                       (raw.replace(b'SEND', b'SE\x00D'), say),
                       (raw.replace(b'hello', b';ello'), say)):
            frames[2] = (when, direction, *change)
            with self.subTest(change=change), self.assertRaises(AssertionError):
                judge.judge(self.directory, streams)

    def test_rules_find_faults(self):
        body = b'x' * 3000
        uris = 'msrp://127.0.0.1:9/a;tcp', 'msrp://127.0.0.1:8/b;tcp'
        good = [('Message-ID', 'abcd'), ('Byte-Range', '1-*/3000'), ('Content-Type', 'text/plain')]
        cases = {
            'interruptible': dict(headers=[good[0], ('Byte-Range', '1-3000/3000'), good[2]]),
            'no Byte-Range': dict(headers=[good[0], good[2]]),
            'no ident': dict(headers=[('Message-ID', 'ab'), *good[1:]]),
            'last header': dict(headers=[good[2], *good[:2]]),
            'Failure-Report': dict(headers=[('Failure-Report', 'yes'), *good]),
            'out of order': dict(headers=[good[0], ('Byte-Range', '2-*/3001'), good[2]]),
            'before the total': dict(headers=[good[0], ('Byte-Range', '1-*/4000'), good[2]]),
            'without port': dict(to='msrp://127.0.0.1/a;tcp', headers=good),
            'MIME header': dict(headers=[good[0], ('Byte-Range', '1-0/0'), good[2]], body=None),
            'more than once': dict(headers=[good[0], *good]),
        }
        for wanted, case in cases.items():
            frame = msrp.build('SEND', [case.get('to', uris[0])], [uris[1]], case['headers'],
                               case.get('body', body))
            with self.subTest(wanted):
                self.conn.send(frame)
                self.assertIn(wanted, '\n'.join(self.violations()))
        self.conn.send(msrp.build('SEND', [uris[0]], [uris[1]], [('Message-ID', 'good'),
                                                                 *good[1:]], body))
        self.assertEqual(self.violations(), [])

    def test_rules_find_reused_ids_and_stray_responses(self):
        frame = self.session.build()
        self.conn.send(frame)
        self.assertEqual(self.violations(), [])
        self.conn.send(frame)
        self.assertIn('used before', '\n'.join(self.violations()))
        self.conn.send(Frame(new_id(), code=200, headers=frame.headers[:2]))
        self.assertIn('response to nothing', '\n'.join(self.violations()))

    def test_slow_reader_and_reset(self):
        self.theirs.pause()
        self.conn.send_raw(self.session.build(body=bytes(100000)).encode(), piece=999)
        self.theirs.resume()
        self.theirs.expect('SEND')
        self.theirs.reset()
        self.conn.expect_closed()


class RelayTest(unittest.TestCase):
    def test_auth(self):
        """The scripted relay challenges, believes the right password alone, and grants."""
        relay = Relay()
        self.addCleanup(relay.listener.close)
        conn = msrp.connect(relay.uri)
        self.addCleanup(conn.close)

        def auth(headers, code):
            return conn.ask(msrp.build('AUTH', [relay.uri], ['msrp://127.0.0.1:9/own;tcp'],
                                       headers), code)
        nonce = parameters(auth([], 401).get('WWW-Authenticate'))['nonce']
        for password, code in (('wrong', 401), (PASSWORD, 200)):
            proof = digest_response(USER, REALM, password, 'AUTH', relay.uri, nonce, '00000001',
                                    'c', 'auth')
            answer = auth([('Authorization', f'Digest username="{USER}", realm="{REALM}", '
                            f'nonce="{nonce}", uri="x", nc=00000001, cnonce="c", qop=auth, '
                            f'response="{proof}"')], code)
        self.assertEqual([answer.get('Use-Path')], relay.grants[0])
        for conn in relay.listener.conns:
            conn.close()


class SipTest(unittest.TestCase):
    def setUp(self):
        self.alice, self.bob = SipUa(user='alice'), SipUa(user='bob')
        self.addCleanup(self.alice.close)
        self.addCleanup(self.bob.close)

    def test_call(self):
        for kind in ('UDP', 'TCP'):
            with self.subTest(kind):
                transport = self.alice.reach('127.0.0.1', self.bob.port, kind)
                invite = self.alice.request('INVITE', self.bob.contact(kind), transport,
                                            sdp.document(sdp.message(
                                                'msrp://127.0.0.1:9/x;tcp')))
                incoming = self.bob.expect('INVITE')
                media = sdp.Sdp(incoming.request.body).message
                self.assertEqual((media.port, media.get('setup')), (9, 'actpass'))
                incoming.respond(180)
                incoming.respond(200, incoming.request.body)
                invite.expect(180)
                dialog = Dialog.of_client(invite, invite.final(200))
                dialog.ack()
                other = Dialog.of_server(incoming)
                other.expect('ACK')
                bye = other.request('BYE')
                dialog.expect('BYE').respond(200)
                bye.final(200)

    def test_failures_are_acknowledged_and_retransmissions_absorbed(self):
        transport = self.alice.reach('127.0.0.1', self.bob.port)
        invite = self.alice.request('INVITE', self.bob.contact(), transport)
        incoming = self.bob.expect('INVITE')
        invite.send()
        self.bob.requests.until(lambda: incoming.retransmissions == 1)
        incoming.respond(486)
        invite.final(486)
        self.bob.expect_failure_ack(incoming)
        self.assertEqual(self.bob.requests.has(), [])

    def test_cancel(self):
        transport = self.alice.reach('127.0.0.1', self.bob.port)
        invite = self.alice.request('INVITE', self.bob.contact(), transport)
        incoming = self.bob.expect('INVITE')
        cancel = invite.cancel()
        self.bob.expect('CANCEL').respond(200)
        cancel.final(200)
        incoming.respond(487)
        invite.final(487)

    def test_compact_headers(self):
        message = Message.parse(b'MESSAGE sip:x SIP/2.0\r\ni: 1\r\nf: <sip:a@b>;tag=7\r\n'
                                b'c: text/plain\r\nl: 2\r\n\r\nhi')
        self.assertEqual((message.call_id, message.from_tag, message.get('content-type'),
                          message.body), ('1', '7', 'text/plain', b'hi'))

    def test_digest_of_rfc_2617(self):
        self.assertEqual(digest_response(
            'Mufasa', 'testrealm@host.com', 'Circle Of Life', 'GET', '/dir/index.html',
            'dcd98b7102dd2f0e8b11d0f600bfb0c093', '00000001', '0a4f113b', 'auth'),
            '6629fae49393a05397450978507c4ef1')
        value = ('Digest username="u", realm="r", nonce="n", uri="sip:x", response="' +
                 digest_response('u', 'r', 'p', 'INVITE', 'sip:x', 'n') + '"')
        self.assertTrue(authorized(value, 'INVITE', 'p'))
        self.assertFalse(authorized(value, 'INVITE', 'q'))
        self.assertEqual(parameters(challenge('r', 'n'))['qop'], 'auth')


class WaitingTest(unittest.TestCase):
    def test_deadline(self):
        box = Mailbox('box')
        box.put(1)
        with self.assertRaises(Timeout):
            box.take(lambda item: item == 2, timeout=0.05)
        self.assertEqual(box.take(), 1)


if __name__ == '__main__':
    unittest.main(verbosity=2)
