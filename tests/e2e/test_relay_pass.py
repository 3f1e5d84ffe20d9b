#!/usr/bin/env python3
"""What a relay passes on, and what it says of what it cannot.

RFC 4975 7.1.1, 9, 12, RFC 4976 3, 6.2, 6.4.
"""
import os
import socket
import threading

from lib import case, msrp
from lib.frame import new_id
from lib.relay_client import PLAIN, Peer
from lib.waiting import Timeout, poll
from test_relay_auth import RelayCase

MIB = 1024 * 1024


class PassCase(RelayCase):
    def pair(self, behave=msrp.answer_ok, **kwargs):
        """A client, a peer with a listener, and the client's session to it."""
        client = self.client(**kwargs)
        client.auth()
        peer = Peer(behave=behave)
        return client, peer, client.session(peer.path)

    def expect_body(self, conn, octets):
        """All chunks of the next message, and its body put together by Byte-Range."""
        frames, got = [], bytearray()
        while len(got) < octets or not frames or frames[-1].flag == '+':
            frame = conn.expect('SEND')
            start = int(frame.get('Byte-Range').split('-')[0])
            self.assertEqual(start, len(got) + 1)
            got += frame.body or b''
            frames.append(frame)
        return frames, bytes(got)


class FrameTest(PassCase):
    def test_headers_stay_as_they_are(self):
        client, peer, session = self.pair()
        headers = [('X-Foo', 'a: b: c'), ('Content-Disposition', 'attachment; filename="ä\\"b"'),
                   ('X-Foo', 'again'), ('x-empty', ''), ('Content-ID', '<a@b>')]
        request = session.send('grüße', headers=headers, success='yes')
        frame = peer.listener.accept().expect('SEND')
        self.assertEqual(frame.headers[2:], request.headers[2:])
        self.assertEqual(frame.to_path, peer.path)
        self.assertEqual(frame.from_path, [client.granted, client.own])
        self.assertEqual(frame.body, 'grüße'.encode())
        self.assertNotEqual(frame.tid, request.tid)

    def test_message_ids_beyond_the_grammar(self):
        """FreeSWITCH's have 36 characters; up to 128 pass, in any method."""
        client, peer, session = self.pair(behave=msrp.silent)
        for size in (36, 128):
            name = 'm' * size
            for method, headers, body in (
                    ('SEND', [('Byte-Range', '1-1/1'), ('Content-Type', 'text/plain')], b'x'),
                    ('REPORT', [('Byte-Range', '1-1/1'), ('Status', '000 200 OK')], None),
                    ('NICKNAME', [], None)):
                client.conn.send(msrp.build(method, session.to_path, session.from_path,
                                            [('Message-ID', name), *headers], body))
                conn = peer.listener.first()
                frame = conn.expect(method)
                self.assertEqual(frame.message_id, name)
                if method == 'SEND':
                    conn.send(msrp.response(frame, 413))
                    self.assertEqual(client.conn.expect('REPORT').message_id, name)
            answer = client.ask(authorization=client.credentials.value(),
                                headers=[('Message-ID', name)])
            self.assertIn(answer.code, (200, 401))
        session.send('x', code=400, message_id='m' * 129)

    def test_reports_with_bodies(self):
        """RFC 7701 6.2: a REPORT on a private message has its addresses with it."""
        client, peer, session = self.pair()
        session.send('hello', success='yes')
        conn = peer.listener.accept()
        report = msrp.report_for(conn.expect('SEND'), '000 200 OK', '1-5/5')
        report.headers.append(('Content-Type', 'message/cpim'))
        report.body = b'From: <sip:a@example.org>\r\nTo: <sip:b@example.org>\r\n\r\n\r\n'
        conn.send_raw(report.encode(), 40)
        got = client.conn.expect('REPORT')
        self.assertEqual((got.body, got.headers[2:]), (report.body, report.headers[2:]))

    def test_uris_stay_as_they_are(self):
        client = self.client(own=f'msrp://alice@127.0.0.1:9/{new_id()};TCP;x=y')
        client.auth()
        peer = Peer()
        peer.own = f'MSRP://127.0.0.1:{peer.listener.port}/{new_id()};tcp;a=b;c'
        client.session([peer.own, 'msrps://far.test:1/z;ws;q']).send('x')
        frame = peer.listener.accept().expect('SEND')
        self.assertEqual(frame.to_path, [peer.own, 'msrps://far.test:1/z;ws;q'])
        self.assertEqual(frame.from_path[1], client.own)

    def test_both_ways_on_one_connection(self):
        client, peer, session = self.pair()
        session.send('there')
        conn = peer.listener.accept()
        conn.expect('SEND')
        peer.back(conn, client.path).send('and back')
        self.assertEqual(client.conn.expect('SEND').body, b'and back')
        session.send('again')
        conn.expect('SEND')
        self.assertEqual(peer.listener.count, 1)

    def test_a_peer_that_connects_is_answered_on_its_connection(self):
        client = self.client()
        client.auth()
        peer = Peer(listen=False)
        session = peer.connect(client.path)
        session.send('knock')
        self.assertEqual(client.conn.expect('SEND').from_path, [client.granted, peer.own])
        client.session(peer.path).send('who is there')
        self.assertEqual(session.conn.expect('SEND').body, b'who is there')
        # It comes back on another connection: that is where answers go now.
        again = peer.connect(client.path)
        again.send('knock again')
        client.conn.expect('SEND')
        client.session(peer.path).send('you again')
        self.assertEqual(again.conn.expect('SEND').body, b'you again')

    def test_two_clients_of_one_relay(self):
        alice, bob = self.client(), self.client('bob')
        alice.auth()
        bob.auth()
        alice.session(bob.path).send('hello', success='yes')
        frame = bob.conn.expect('SEND')
        self.assertEqual(frame.from_path, [bob.granted, alice.granted, alice.own])
        bob.conn.send(msrp.report_for(frame, '000 200 OK', '1-5/5'))
        report = alice.conn.expect('REPORT')
        self.assertEqual(report.to_path, [alice.own])
        self.assertEqual(report.from_path, [alice.granted, bob.granted, bob.own])

    def test_two_sessions_of_one_connection(self):
        alice = self.client()
        alice.auth()
        other = self.client('bob', conn=alice.conn)
        other.auth()
        alice.session(other.path).send('to myself')
        self.assertEqual(alice.conn.expect('SEND').to_path, [other.own])

    def test_bodies_of_all_kinds(self):
        client, peer, session = self.pair()
        conn = None
        for body in (b'', b'x', bytes(range(256)), b'\r\n', b'-------', b'\r\n-------abcd$\r\n',
                     b'a\r\n-------\r\nb', os.urandom(20000), os.urandom(3 * MIB)):
            session.send(body)
            conn = conn or peer.listener.accept()
            self.assertEqual(self.expect_body(conn, len(body))[1], body)
        session.send(None)
        self.assertIsNone(conn.expect('SEND').body)
        self.assertEqual(self.sessions()[0]['messages_from_client'], 10)

    def test_in_small_pieces(self):
        client, peer, session = self.pair()
        request = session.build(body='é'.encode() * 500)
        client.conn.send_raw(request.encode(), piece=1)
        client.conn.expect_response(request, 200)
        frame = peer.listener.accept().expect('SEND')
        self.assertEqual(frame.body, request.body)

    def test_chunks_and_flags(self):
        client, peer, session = self.pair()
        body = os.urandom(5000)
        for request in session.chunks(body, 2048):
            session.conn.send(request)
            session.conn.expect_response(request, 200)
        self.assertEqual(self.expect_body(peer.listener.accept(), len(body))[1], body)
        session.send(b'abc', flag='#', byte_range='1-*/100')
        self.assertEqual(peer.listener.first().expect('SEND').flag, '#')

    def test_long_ranges_become_interruptible(self):
        client, peer, session = self.pair()
        for size, given, wanted in ((2048, '1-2048/2048', '1-2048/2048'),
                                    (2049, '1-2049/2049', '1-*/2049'),
                                    (3000, '101-3100/9000', '101-*/9000'),
                                    (3000, '1-*/*', '1-*/*'), (10, None, None)):
            session.send(os.urandom(size), byte_range=given)
            conn = peer.listener.first()
            self.assertEqual(conn.expect('SEND').get('Byte-Range'), wanted)

    def test_it_cuts_through(self):
        client, peer, session = self.pair()
        request = session.build(body=os.urandom(MIB))
        raw = request.encode()
        client.conn.send_raw(raw[:MIB // 2])
        conn = peer.listener.accept()
        conn.wait_body(MIB // 2 - 2000)
        client.conn.send_raw(raw[MIB // 2:])
        client.conn.expect_response(request, 200)
        self.assertEqual(self.expect_body(conn, MIB)[1], request.body)

    def test_the_answer_is_hop_by_hop(self):
        client, peer, session = self.pair(behave=msrp.silent)
        answer = client.conn.ask(session.build(body=b'x'))
        self.assertEqual((answer.code, answer.to_path, answer.from_path),
                         (200, [client.own], [client.granted]))
        request = peer.listener.accept().expect('SEND')
        peer.listener.first().send(msrp.response(request, 200))
        session.flush()
        self.assertEqual(client.conn.inbox.has(), [])

    def test_other_methods_are_answered_from_end_to_end(self):
        client, peer, session = self.pair(behave=msrp.silent)
        for method, body in (('NICKNAME', None), ('FOO', None), ('FOO', b'with a body' * 100)):
            headers = [('Use-Nickname', '"Alice"'), ('X-Foo', 'bar')]
            if body:
                headers.append(('Content-Type', 'text/plain'))
            request = client.conn.send(msrp.build(method, session.to_path, session.from_path,
                                                  headers, body))
            conn = peer.listener.first()
            frame = conn.expect(method)
            self.assertEqual(frame.headers[2:], request.headers[2:])
            self.assertEqual((frame.from_path, frame.body),
                             ([client.granted, client.own], body))
            answer = msrp.response(frame, 425, 'Nickname usage failed')
            answer.headers.append(('X-More', 'to say'))
            conn.send(answer)
            back = client.conn.expect_response(request, 425)
            self.assertEqual((back.to_path, back.from_path, back.get('X-More')),
                             ([client.own], [client.granted, *peer.path], 'to say'))

    def test_reports_pass_and_get_no_answer(self):
        client, peer, session = self.pair()
        session.send('x', success='yes')
        conn = peer.listener.accept()
        request = conn.expect('SEND')
        report = msrp.report_for(request, '000 200 OK', '1-1/1')
        report.headers.append(('X-Foo', 'bar'))
        conn.send(report)
        got = client.conn.expect('REPORT')
        self.assertEqual(got.headers[2:], report.headers[2:])
        self.assertNotEqual(got.tid, report.tid)
        peer.back(conn, client.path).flush()
        self.assertEqual(conn.inbox.has(lambda f: f.code is not None), [])


class WhoMayTest(PassCase):
    """RFC 4976 6.4 as a matrix; nobody gets anything to or from another than it should."""

    def test_directions(self):
        client, peer, session = self.pair()
        session.send('opens the way')
        peer_conn = peer.listener.accept()
        peer_conn.expect('SEND')
        other = self.client('bob')
        other.auth()
        stranger = msrp.connect(self.relay, relay=True)
        victim = msrp.Listener(name='victim', relay=True)
        for who, conn, path, code in (
                ('client out', client.conn, [client.granted, peer.own], 200),
                ('peer in', peer_conn, client.path, 200),
                ('stranger in', stranger, client.path, 200),
                ('stranger out', stranger, [client.granted, victim.uri()], 403),
                ('peer out', peer_conn, [client.granted, victim.uri()], 403),
                ('other client by a foreign grant', other.conn, [client.granted, victim.uri()], 403),
                ('client in a circle', client.conn, [client.granted] * 3 + [peer.own], 403),
                ('through two grants and out', client.conn,
                 [client.granted, other.granted, victim.uri()], 403),
                ('stranger through the other', stranger, [other.granted, *client.path], 403),
                ('no grant', client.conn, [self.relay, victim.uri()], 481),
                ('unknown grant', client.conn, [self.relay.replace(';', '/nosuch;'), peer.own], 481),
                ('case of the session id', client.conn,
                 [client.granted.replace(client.session_id, client.session_id.swapcase()),
                  peer.own], 481),
                ('without a port', client.conn,
                 [client.granted.replace(':' + self.relay.split(':')[2][:-4], ''), peer.own], 481),
                ('a grant of ours that is gone', client.conn,
                 [client.granted, self.relay.replace(';', '/nosuch;'), peer.own], 481),
                ('nowhere to go', client.conn, [client.granted], 481)):
            with self.subTest(who=who):
                request = msrp.build('SEND', path, ['msrp://127.0.0.1:9/me;tcp'],
                                     [('Message-ID', new_id()), ('Byte-Range', '1-1/1'),
                                      ('Content-Type', 'text/plain')], b'x')
                conn.send(request)
                self.assertEqual(conn.expect_response(request).code, code)
        self.assertEqual(victim.count, 0)

    def test_reports_obey_the_same(self):
        client, peer, session = self.pair()
        stranger = msrp.connect(self.relay, relay=True)
        victim = msrp.Listener(name='victim', relay=True)
        stranger.send(msrp.build('REPORT', [client.granted, victim.uri()],
                                 ['msrp://127.0.0.1:9/me;tcp'],
                                 [('Message-ID', new_id()), ('Byte-Range', '1-1/1'),
                                  ('Status', '000 200 OK')]))
        msrp.Session(stranger, client.path, ['msrp://127.0.0.1:9/me;tcp']).flush()
        self.assertEqual(victim.count, 0)

    def test_a_client_may_write_as_several(self):
        client, peer, _ = self.pair()
        client.own = f'msrp://127.0.0.1:10/{new_id()};tcp'
        client.session(peer.path).send('under another name')
        conn = peer.listener.accept()
        conn.expect('SEND')
        peer.back(conn, client.path).send('and back to it')
        client.conn.expect('SEND')

    def test_a_foreign_first_uri(self):
        fresh = msrp.connect(self.relay, relay=True)
        foreign = ['msrp://foreign.test:2855/abc;tcp', 'msrp://127.0.0.1:9/x;tcp']
        before = self.stat('foreign')
        fresh.send(msrp.Session(fresh, foreign, ['msrp://127.0.0.1:9/me;tcp']).build(body=b'x'))
        fresh.expect_closed()
        self.assertEqual(fresh.inbox.has(), [])
        self.assertEqual(self.stat('foreign'), before + 1)
        client, _, session = self.pair()
        msrp.Session(client.conn, foreign, [client.own]).send('x', code=481)
        session.flush()

    def test_the_third_request_in_vain_closes(self):
        fresh = msrp.connect(self.relay, relay=True)
        unknown = msrp.Session(fresh, [self.relay.replace(';', '/nosuch;'), 'msrp://127.0.0.1:9/x;tcp'],
                               ['msrp://127.0.0.1:9/me;tcp'])
        for _ in range(3):
            unknown.send('x', code=481)
        fresh.expect_closed()


class FailureTest(PassCase):
    """What each Failure-Report asks for, and the ranges of REPORTs."""

    own = {}

    @classmethod
    def setUpClass(cls):
        cls.config = {**PLAIN, 'msrp': {'transaction_timeout': '3s'}}
        super().setUpClass()

    FAILURE_REPORTS = (None, 'yes', 'partial', 'no')

    def outcome(self, peer_path, failure, answered, reported):
        """What a SEND gets, with the code of its answer and the REPORT on it where they are due."""
        client = self.client()
        client.auth()
        session = client.session(peer_path)
        request = session.build(body=b'0123456789', byte_range='1-*/100', flag='+', failure=failure)
        client.conn.send(request)
        code = client.conn.expect_response(request).code if answered else None
        report = client.conn.expect('REPORT') if reported else None
        with self.assertRaises(Timeout):
            client.conn.expect(lambda f: f.tid == request.tid or f.method == 'REPORT', 4.5)
        return request, client, code, report

    def check_report(self, report, request, client, status):
        self.assertEqual(report.get('Status').split(' ')[:2], status.split(' '))
        self.assertEqual((report.to_path, report.from_path), ([client.own], [client.granted]))
        self.assertEqual(report.message_id, request.message_id)
        self.assertEqual(report.get('Byte-Range'), '1-10/100')

    def run_all(self, path, behaviours):
        """Cases side by side: silence takes its time."""
        failures = []

        def one(failure, wants_code, wants_status, target):
            try:
                request, client, code, report = self.outcome(target(), failure, wants_code,
                                                             wants_status)
                self.assertEqual(code, wants_code)
                if wants_status:
                    self.check_report(report, request, client, wants_status)
            except Exception as error:      # shown by the main thread
                failures.append(f'{path} Failure-Report {failure}: {error!r}')
        threads = [threading.Thread(target=one, args=args) for args in behaviours]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def answers(self, failure):
        return 200 if failure in (None, 'yes') else None

    def test_all_is_well(self):
        self.run_all('200', [(fr, self.answers(fr), None, lambda: Peer().path)
                             for fr in self.FAILURE_REPORTS])

    def test_error_responses(self):
        for code in (413, 481, 599):
            self.run_all(code, [
                (fr, self.answers(fr), f'000 {code}' if fr != 'no' else None,
                 lambda code=code: Peer(behave=msrp.answer_with(code)).path)
                for fr in self.FAILURE_REPORTS])

    def test_silence(self):
        self.run_all('silence', [
            (fr, self.answers(fr), '000 408' if fr in (None, 'yes') else None,
             lambda: Peer(behave=msrp.silent).path) for fr in self.FAILURE_REPORTS])

    def test_nobody_listens(self):
        self.run_all('refused', [
            (fr, self.answers(fr), '000 408' if fr != 'no' else None,
             lambda: ['msrp://127.0.0.1:1/x;tcp']) for fr in self.FAILURE_REPORTS])

    def test_no_such_name(self):
        self.run_all('no such name', [
            (fr, self.answers(fr), '000 408' if fr != 'no' else None,
             lambda: ['msrp://no.such.name.invalid:2855/x;tcp']) for fr in (None, 'partial')])

    def test_connection_lost(self):
        def hang_up(frame, conn):
            if frame.method == 'SEND':
                conn.sock.shutdown(socket.SHUT_RDWR)
        self.run_all('lost', [
            (fr, self.answers(fr), '000 408' if fr in (None, 'yes') else None,
             lambda: Peer(behave=hang_up).path) for fr in self.FAILURE_REPORTS])

    def test_the_total_is_filled_in_when_known(self):
        client, _, session = self.pair(behave=msrp.answer_with(415, 'No such type'))
        session.send(b'12345', byte_range='1-*/*')
        report = client.conn.expect('REPORT')
        self.assertEqual((report.get('Byte-Range'), report.get('Status')),
                         ('1-5/5', '000 415 No such type'))

    def test_reports_name_the_message_however_its_head_is_spaced(self):
        client, _, session = self.pair(behave=msrp.answer_with(415))
        for size in (5, 5000):
            for blanks in ('', ' ', '\t ', ' ' * 3000):
                with self.subTest(size=size, blanks=len(blanks)):
                    request = msrp.build(
                        'SEND', session.to_path, session.from_path,
                        [('Byte-Range', f'1-{size}/{size}{blanks}'), ('X', 'y'),
                         ('Message-ID', new_id()), ('Content-Type', 'text/plain')], b'x' * size)
                    client.conn.send(request)
                    report = client.conn.expect('REPORT')
                    self.assertEqual(report.message_id, request.message_id)
                    self.assertEqual(report.get('Byte-Range'), f'1-{size}/{size}')

    def test_other_methods_time_out_too(self):
        client, peer, session = self.pair(behave=msrp.silent)
        request = client.conn.send(msrp.build('FOO', session.to_path, session.from_path))
        self.assertEqual(client.conn.expect_response(request).code, 408)

    def test_an_error_in_mid_chunk_stops_it(self):
        def refuse(frame, conn):
            pass
        client, peer, session = self.pair(behave=refuse)
        request = session.build(body=os.urandom(MIB))
        raw = request.encode()
        client.conn.send_raw(raw[:MIB // 2])
        conn = peer.listener.accept()
        head = conn.wait_head()
        conn.send(msrp.response(head, 413, 'Enough'))
        report = client.conn.expect('REPORT')
        self.assertEqual(report.get('Status'), '000 413 Enough')
        self.assertEqual(conn.expect('SEND').flag, '#')
        client.conn.send_raw(raw[MIB // 2:])
        client.conn.expect_response(request, 200)
        session.flush()


class StreamTest(PassCase):
    """Chunks that take their time."""

    def begun(self, session, size, body=None):
        """A chunk of which half is sent: the request and the rest of its bytes."""
        request = session.build(body=body if body is not None else os.urandom(size))
        raw = request.encode()
        session.conn.send_raw(raw[:len(raw) // 2])
        return request, raw[len(raw) // 2:]

    def test_others_do_not_wait_behind_it(self):
        alice, carol = self.client(), self.client('bob')
        alice.auth()
        carol.auth()
        peer = Peer()
        long_one, short_one = alice.session(peer.path), carol.session(peer.path)
        request, rest = self.begun(long_one, MIB)
        conn = peer.listener.accept()
        conn.wait_body(1)
        short_one.send('me too')
        cut = conn.expect('SEND')
        self.assertEqual((cut.flag, cut.message_id), ('+', request.message_id))
        self.assertEqual(conn.expect('SEND').body, b'me too')
        self.assertEqual(peer.listener.count, 1)
        alice.conn.send_raw(rest)
        alice.conn.expect_response(request, 200)
        last = conn.expect('SEND')
        self.assertEqual(last.get('Byte-Range'), f'{len(cut.body) + 1}-*/{MIB}')
        self.assertEqual((cut.body + last.body, last.flag), (request.body, '$'))
        self.assertEqual(last.headers[4:], cut.headers[4:])
        self.assertNotEqual(last.tid, cut.tid)

    def test_all_but_its_end(self):
        """Nothing is left for another chunk, whose Byte-Range would begin behind its end."""
        alice, carol = self.client(), self.client('bob')
        alice.auth()
        carol.auth()
        for keep in range(1, len('\r\n-------abcd$\r\n') + 1):
            peer = Peer()
            request = alice.session(peer.path).build(body=b'all of it', tid=f'ab{keep:02}',
                                                      byte_range='1-*/9')
            alice.conn.send_raw(request.encode()[:-keep])
            conn = peer.listener.accept()
            conn.wait_body(len(request.body))
            carol.session(peer.path).send('me too')
            first = conn.expect('SEND')
            self.assertEqual((first.body, first.flag), (request.body, '$'))
            self.assertEqual(conn.expect('SEND').body, b'me too')
            alice.conn.send_raw(request.encode()[-keep:])
            alice.conn.expect_response(request, 200)
            alice.session(peer.path).send('next')
            self.assertEqual(conn.expect('SEND').body, b'next')
        self.assertEqual(self.ctl.call('get_statistics')['relay:messages'], 3 * keep)

    def test_of_a_known_length(self):
        """RFC 4975 7.1.1: what says in its head where it ends is not cut."""
        alice, carol = self.client(), self.client('bob')
        alice.auth()
        carol.auth()
        for sent in range(len('all of it') + 1):
            peer = Peer()
            request = alice.session(peer.path).build(body=b'all of it', byte_range='1-9/9')
            head, rest = request.encode().split(b'\r\n\r\n', 1)
            alice.conn.send_raw(head + b'\r\n\r\n' + rest[:sent])
            carol.session(peer.path).send('me too')
            conn = peer.listener.accept()
            self.assertEqual(conn.expect('SEND').body, b'me too')
            alice.conn.send_raw(rest[sent:])
            alice.conn.expect_response(request, 200)
            frame = conn.expect('SEND')
            self.assertEqual((frame.body, frame.flag, frame.get('Byte-Range')),
                             (request.body, '$', '1-9/9'))

    def test_more_than_its_total(self):
        """What comes behind the end of a message that others did not wait for is refused."""
        alice, carol = self.client(), self.client('bob')
        alice.auth()
        carol.auth()
        peer = Peer()
        request = alice.session(peer.path).build(body=b'all of it, and more', byte_range='1-*/9')
        head, more, end = request.encode().partition(b', and more')
        alice.conn.send_raw(head)
        conn = peer.listener.accept()
        conn.wait_body(9)
        carol.session(peer.path).send('me too')
        self.assertEqual([conn.expect('SEND').body for _ in range(2)], [b'all of it', b'me too'])
        alice.conn.send_raw(more + end)
        alice.conn.expect_response(request, 400)
        alice.session(peer.path).send('next')
        self.assertEqual(conn.expect('SEND').body, b'next')

    def test_two_long_ones_share_the_line(self):
        alice, carol = self.client(), self.client('bob')
        alice.auth()
        carol.auth()
        peer = Peer()
        pairs = [(session, *self.begun(session, MIB))
                 for session in (alice.session(peer.path), carol.session(peer.path))]
        for session, request, rest in pairs:
            session.conn.send_raw(rest)
            session.conn.expect_response(request, 200)
        conn = peer.listener.accept()
        got = {}
        while sum(map(len, got.values())) < 2 * MIB:
            frame = conn.expect('SEND')
            body = got.setdefault(frame.message_id, bytearray())
            self.assertEqual(int(frame.get('Byte-Range').split('-')[0]), len(body) + 1)
            body += frame.body
        for _, request, _ in pairs:
            self.assertEqual(got[request.message_id], request.body)

    def test_without_a_byte_range(self):
        alice, carol = self.client(), self.client('bob')
        alice.auth()
        carol.auth()
        peer = Peer()
        session = alice.session(peer.path)
        request = session.build(body=os.urandom(100000), byte_range=None)
        raw = request.encode()
        alice.conn.send_raw(raw[:50000])
        conn = peer.listener.accept()
        conn.wait_body(1)
        carol.session(peer.path).send('x')
        cut = conn.expect('SEND')
        self.assertEqual(cut.flag, '+')
        conn.expect('SEND')
        alice.conn.send_raw(raw[50000:])
        last = conn.expect('SEND')
        self.assertEqual(last.get('Byte-Range'), f'{len(cut.body) + 1}-*/*')
        self.assertEqual(cut.body + last.body, request.body)

    def test_its_sender_dies(self):
        client, peer, session = self.pair()
        request, _ = self.begun(session, MIB)
        conn = peer.listener.accept()
        conn.wait_body(1)
        client.conn.reset()
        frame = conn.expect('SEND')
        self.assertEqual(frame.flag, '#')
        self.assertTrue(request.body.startswith(frame.body))

    def test_its_receiver_dies(self):
        client, peer, session = self.pair()
        request, rest = self.begun(session, MIB)
        conn = peer.listener.accept()
        conn.wait_body(1)
        conn.reset()
        report = client.conn.expect('REPORT')
        self.assertEqual(report.get('Status').split()[1], '408')
        end = int(report.get('Byte-Range').split('-')[1].split('/')[0])
        self.assertLessEqual(end, MIB)
        self.assertGreater(end, 0)
        client.conn.send_raw(rest)
        client.conn.expect_response(request, 200)

    def test_its_grant_is_ended(self):
        client, peer, session = self.pair()
        request, rest = self.begun(session, MIB)
        conn = peer.listener.accept()
        conn.wait_body(1)
        self.ctl.call('msrp_relay_end_session', session_id=client.session_id)
        self.assertEqual(conn.expect('SEND').flag, '#')
        self.assertEqual(client.conn.expect('REPORT').get('Status').split()[1], '481')
        client.conn.send_raw(rest)
        client.conn.expect_response(request)
        session.send('x', code=481)

    def test_our_transaction_id_does_not_end_it(self):
        """A receiver that tells the sender our transaction id could make it end the frame."""
        for before, line_break in ((30000, '\r\n'), (0, '')):
            for cut_at in (0, 1, 9, 20, 24):
                with self.subTest(before=before, cut_at=cut_at):
                    self.end_line_in_body(before, line_break, cut_at)

    def end_line_in_body(self, before, line_break, cut_at):
        client, peer, session = self.pair()
        request = session.build(body=b'?' * 100000)
        raw = request.encode()
        head = raw.index(b'\r\n\r\n') + 4
        client.conn.send_raw(raw[:head + before])
        conn = peer.listener.accept()
        tid = conn.wait_head().tid
        if before:
            conn.wait_body(before)
        evil = f'{line_break}-------{tid}$\r\nMSRP evil SEND\r\n'.encode()
        body = b'?' * before + evil + b'?' * (100000 - before - len(evil))
        rest = body[before:] + raw[head + 100000:]
        for piece in (rest[:cut_at], rest[cut_at:60], rest[60:]):
            if not piece:
                continue
            wanted = self.bytes_in() + len(piece)
            client.conn.send_raw(piece)
            poll(lambda n=wanted: self.bytes_in() >= n, what='the piece to be read')
        got = b''
        while len(got) < len(body):
            frame = conn.expect('SEND')
            self.assertEqual(frame.get('Byte-Range').split('-')[0], str(len(got) + 1))
            self.assertNotIn(f'-------{frame.tid}'.encode(), frame.body)
            got += frame.body
        self.assertEqual(got, body)
        client.close()

    def test_what_goes_on_comes_as_a_whole(self):
        """Where others write as well the rest is kept until all of it is here."""
        alice, carol = self.client(), self.client('bob')
        alice.auth()
        carol.auth()
        peer = Peer()
        request = alice.session(peer.path).build(body=b'?' * 5000)
        raw = request.encode()
        head = raw.index(b'\r\n\r\n') + 4
        alice.conn.send_raw(raw[:head + 100])
        conn = peer.listener.accept()
        conn.wait_body(100)
        carol.session(peer.path).send('me too')
        got = conn.expect('SEND').body
        self.assertEqual(conn.expect('SEND').body, b'me too')
        alice.conn.send_raw(b'---')
        carol.session(peer.path).send('and me')
        self.assertEqual(conn.expect('SEND').body, b'and me')
        body = b'?' * 100 + b'---' + b'?' * 4897
        alice.conn.send_raw(body[103:] + raw[head + 5000:])
        self.assertEqual(got + conn.expect('SEND').body, body)

    def bytes_in(self):
        return self.ctl.call('get_statistics', group='msrp')['msrp:bytes_in']

    def test_back_pressure(self):
        client, peer, session = self.pair()
        session.send('first')
        conn = peer.listener.accept()
        conn.expect('SEND')
        conn.pause()
        request = session.build(body=os.urandom(48 * MIB))
        sender = threading.Thread(target=client.conn.send, args=[request])
        sender.start()
        poll(lambda: self.ctl.call('get_statistics', group='relay')['relay:body_bytes'] > MIB,
             what='some of it to pass')
        before = None

        def stuck():
            nonlocal before
            now = self.stat('body_bytes')
            same, before = now == before, now
            return same
        poll(stuck, interval=0.5, what='the relay to stop reading')
        self.assertLess(before, 40 * MIB)
        # The other direction is not held up.
        peer.back(conn, client.path).send('hello', code=None)
        self.assertEqual(client.conn.expect('SEND').body, b'hello')
        conn.resume()
        sender.join(60)
        client.conn.expect_response(request, 200)
        self.assertEqual(self.expect_body(conn, len(request.body))[1], request.body)

    def test_both_directions_full(self):
        alice, bob = self.client(), self.client('bob')
        alice.auth()
        bob.auth()
        there, back = alice.session(bob.path), bob.session(alice.path)
        requests = [(s, s.build(body=os.urandom(16 * MIB))) for s in (there, back)]
        threads = [threading.Thread(target=s.conn.send, args=[r]) for s, r in requests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for (session, request), receiver in zip(requests, (bob, alice)):
            session.conn.expect_response(request, 200)
            self.assertEqual(self.expect_body(receiver.conn, len(request.body))[1], request.body)

    def test_one_full_destination_does_not_hold_up_the_others(self):
        client = self.client()
        client.auth()
        slow, quick = Peer(name='slow'), Peer(name='quick')
        to_slow, to_quick = client.session(slow.path), client.session(quick.path)
        for session in (to_slow, to_quick):
            session.send('opens')
        stuck = slow.listener.accept()
        stuck.expect('SEND')
        quick.listener.accept().expect('SEND')
        stuck.pause()
        request = to_slow.build(body=os.urandom(32 * MIB))
        sender = threading.Thread(target=client.conn.send, args=[request])
        sender.start()
        report = client.conn.expect('REPORT')
        self.assertEqual(report.get('Status').split()[1], '408')
        self.assertEqual(report.message_id, request.message_id)
        sender.join(30)
        client.conn.expect_response(request, 200)
        to_quick.send('not held up')
        quick.listener.first().expect('SEND')
        # As long as it takes nothing, it gets nothing.
        to_slow.send('more', code=408)
        stuck.resume()
        poll(lambda: stuck.inbox.has(lambda f: f.message_id == request.message_id), 20, 'the rest')
        self.assertEqual(stuck.expect('SEND').flag, '#')

        def takes_again():
            answer = client.conn.ask(to_slow.build(body=b'again'))
            return answer.code == 200
        poll(takes_again, what='the slow one to be served again')


class ManyTest(PassCase):
    def test_many_messages_at_once(self):
        client, peer, session = self.pair()
        requests = [session.build(body=b'message %d' % i) for i in range(2000)]
        client.conn.send(*requests)
        for request in requests:
            client.conn.expect_response(request, 200)
        conn = peer.listener.accept()
        for request in requests:
            self.assertEqual(conn.expect('SEND').body, request.body)

    def test_a_flood_of_reports_is_held_back(self):
        client, peer, session = self.pair()
        session.send('x', success='yes')
        conn = peer.listener.accept()
        request = conn.expect('SEND')
        client.conn.pause()
        flood = b''.join(msrp.report_for(request, '000 200 OK', '1-1/1').encode()
                         for _ in range(2000))
        stop = threading.Event()

        def pour():
            try:
                while not stop.is_set():
                    conn._write(flood, timeout=3)       # pylint: disable=protected-access
            except (OSError, AssertionError):
                pass
        thread = threading.Thread(target=pour)
        thread.start()
        thread.join(60)
        self.assertFalse(thread.is_alive(), 'the flood was never held back')
        stop.set()
        client.conn.resume()
        client.conn.inbox.until(lambda: len(client.conn.inbox.items) > 2000, what='the REPORTs')


if __name__ == '__main__':
    case.main()
