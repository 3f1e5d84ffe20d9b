#!/usr/bin/env python3
"""Connections: binding, sharing, loss, time-outs (RFC 4975 5.4, 6.1, 14.1)."""
import re
import socket

from lib import case, msrp, sdp
from lib.case import Call
from lib.daemon import free_port
from lib.dns import A, DnsServer
from lib.frame import URI, new_id
from lib.sip import Dialog
from lib.waiting import Timeout, poll


class BindingTest(case.Case):
    def test_unknown_session(self):
        """RFC 4975 5.4: a random session id gets 481, and not a 200 before it."""
        call = self.call()
        stranger = msrp.Session(call.conn, [call.path[0].replace(call.id, new_id())],
                                call.own_path)
        stranger.send('x', code=481)
        call.send('own session')

    def test_first_frame_unknown(self):
        """RFC 4975 5.4: also as the first frame of a connection, which may try again."""
        call = self.call(connect=False)
        conn = msrp.connect(call.path[0])
        stranger = msrp.Session(conn, [call.path[0].replace(call.id, new_id())], call.own_path)
        stranger.send(None, code=481)
        call.attach(conn)
        call.send('right')
        self.received(call)

    def test_late_messages(self):
        """SENDs after the end of a session are 481, and cost nobody the connection."""
        one = self.call()
        two = self.call(connect=False)
        one.dialog.bye()
        self.ctl.event('E_MSRP_SESSION_END', session_id=one.id)
        for _ in range(10):
            one.send('late', code=481)
        two.attach(one.conn)
        two.send('in time')
        self.received(two)

    def test_other_connection(self):
        """RFC 4975 5.4: a third party with the right To-Path gets 506, no event; the owner goes
        on."""
        call = self.call()
        thief = msrp.connect(call.path[0], name='thief')
        session = msrp.Session(thief, call.path, ['msrp://127.0.0.1:9/thief;tcp'])
        session.send('inject', code=506)
        session.send(None, code=506)
        session.send('silent', code=None, failure='no')
        thief.send(msrp.build('REPORT', call.path, session.from_path, [
            ('Message-ID', new_id()), ('Byte-Range', '1-1/1'), ('Status', '000 200 OK')]))
        session.send(None, code=506)
        call.send('mine')
        self.assertEqual(self.received(call)['body'], 'mine')
        self.assertEqual(self.ctl.pending(), [])
        self.say(call, 'to the owner')
        self.assertEqual(call.receive().body, b'to the owner')

    def test_other_connection_of_another_session(self):
        """RFC 4975 5.4: the same from a connection that has a session of its own."""
        one, two = self.call(), self.call()
        msrp.Session(two.conn, one.path, two.own_path).send('x', code=506)
        one.send('x')
        two.send('x')

    def test_comparison_of_uris(self):
        """RFC 4975 6, 6.1, 7.3: what matches our URI and what does not."""
        call = self.call()
        own = call.path[0]
        port = URI.match(own)['port']
        flipped = own.replace(call.id, call.id.swapcase())
        self.assertNotEqual(flipped, own)
        for uri, code in ((own.replace('msrp://', 'MSRP://'), 200),
                          (own.replace(';tcp', ';TCP'), 200),
                          (own + ';x=y', 200),
                          (own.replace('msrp://', 'msrp://user@'), 200),
                          (flipped, 481),
                          (own.replace(f':{port}', ''), 481),
                          (own.replace(f':{port}', ':1'), 481),
                          (own.replace('127.0.0.1', '127.0.0.2'), 481),
                          (own.replace('msrp://', 'msrps://'), 481),
                          (own.replace(f'/{call.id}', ''), 481),
                          (own + ' msrp://127.0.0.1:9/x;tcp', 481)):
            with self.subTest(uri):
                frame = msrp.build('SEND', uri.split(), call.own_path,
                                   [('Message-ID', new_id()), ('Byte-Range', '1-0/0')])
                call.conn.ask(frame, code)

    def test_foreign_session_ids(self):
        """A peer's session id may hold / + = and its From-Path may differ from its a=path."""
        call = self.call(path='msrp://127.0.0.1:9/a/b+c==/d;tcp;p=q')
        self.say(call, 'hello')
        self.assertEqual(call.receive().to_path, ['msrp://127.0.0.1:9/a/b+c==/d;tcp;p=q'])
        call.msrp.from_path = ['msrp://192.0.2.7:1234/rewritten;tcp']
        call.send('through a middlebox')
        self.assertEqual(self.received(call)['body'], 'through a middlebox')

    def test_responses_use_the_connection_of_the_request(self):
        """RFC 4975 7.2: two connections, each gets its own responses."""
        one, two = self.call(), self.call()
        first, second = one.msrp.build(body=b'1'), two.msrp.build(body=b'2')
        one.conn.send(first)
        two.conn.send(second)
        two.conn.expect_response(second, 200)
        one.conn.expect_response(first, 200)

    def test_two_sessions_on_one_incoming_connection(self):
        """RFC 4975 5.4, 7.1.1: the peer uses one connection for two sessions; ending one leaves it
        up."""
        one = self.call()
        two = self.call(connect=False).attach(one.conn)
        two.msrp.bind()
        for call in (one, two):
            call.send('x')
            self.received(call)
            self.say(call, 'y')
            call.receive()
        one.bye()
        self.ctl.event('E_MSRP_SESSION_END', session_id=one.id)
        two.send('still up')
        self.received(two)


class ReuseTest(case.Case):
    """Connections that we open."""

    def second(self, one, listener):
        """One more session to the same listener: it comes on the connection of the first."""
        path = listener.uri()
        session_id, invite = self.start_session()
        invite.respond(200, sdp.document(sdp.message(path, setup='passive')))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=session_id)
        call = Call(self, dialog, sdp.Sdp(invite.request.body), path, one.conn, session_id)
        one.conn.expect(lambda f: f.method == 'SEND' and f.to_path == [path])
        return call

    def test_reuse(self):
        """RFC 4975 5.4, RFC 4976 5.2: two sessions to one host, port and scheme share a
        connection."""
        listener = self.listener()
        one = self.answered(listener)
        two = self.second(one, listener)
        self.assertEqual(listener.count, 1)
        for call in (one, two):
            self.say(call, f'to {call.id}')
            frame = call.receive()
            self.assertEqual((frame.to_path, frame.from_path), (call.own_path, call.path))
        one.bye()
        self.ctl.event('E_MSRP_SESSION_END', session_id=one.id)
        two.send('the connection is still there')
        self.received(two)

    def test_different_listeners(self):
        """RFC 4975 5.4: another port is another connection."""
        one, two = self.answered(), self.answered()
        self.assertIsNot(one.conn, two.conn)

    def test_source_port(self):
        """We connect from any port."""
        call = self.answered()
        self.assertNotEqual(call.conn.remote[1], int(URI.match(call.path[0])['port']))

    def test_names(self):
        """RFC 4975 6.2: a name is looked up; where its first address is dead the next one is
        tried."""
        addresses = [info[4][0] for info in socket.getaddrinfo('localhost', 1, proto=6)]
        self.assertIn('127.0.0.1', addresses)
        call = self.answered(self.listener(advertise='localhost'))
        self.assertIn('//localhost:', call.own_path[0])
        call.send('hello')
        self.received(call)
        listener = self.listener(advertise='no.such.name.invalid')
        session_id, invite = self.start_session()
        invite.respond(200, sdp.document(sdp.message(listener.uri(), setup='passive')))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        dialog.expect('BYE').respond(200)
        self.ctl.event('E_MSRP_SESSION_END', session_id=session_id, reason='failed')

    def test_both_active(self):
        """The peer connects to us although we connect to it: one bound session in the end."""
        listener = self.listener()
        session_id, invite = self.start_session()
        offer = sdp.Sdp(invite.request.body)
        path = listener.uri()
        conn = msrp.connect(offer.message.path[0], name='their own')
        invite.respond(200, sdp.document(sdp.message(path, setup='actpass')))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        theirs = msrp.Session(conn, offer.message.path, [path])
        request = theirs.build()
        conn.send(request)
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=session_id)
        code = conn.expect_response(request).code
        self.assertIn(code, (200, 506))
        call = Call(self, dialog, offer, path, session_id=session_id)
        call.attach(conn if code == 200 else listener.accept())
        call.send('bound')
        self.assertEqual(self.received(call)['body'], 'bound')
        self.say(call, 'likewise')
        # The listener may see its connection only now: look at the list anew each time.
        poll(lambda: any(each.inbox.has(lambda f: f.body == b'likewise')
                         for each in [conn] + listener.conns), what='the message on either')

    def test_empty_send_on_our_connection(self):
        """The peer's own empty SEND on the connection that we opened is no conflict."""
        call = self.answered()
        call.msrp.bind()
        call.msrp.bind()
        call.send('x')

    def test_connection_refused(self):
        """RFC 4975 5.4, 7.1.2: nobody listens at the path: BYE, and the session ends as failed."""
        path = f'msrp://127.0.0.1:{free_port()}/{new_id()};tcp'
        session_id, invite = self.start_session()
        message_id = self.ctl.call('msrp_ua_send_message', session_id=session_id,
                                   mime='text/plain', body='never')['message_id']
        invite.respond(200, sdp.document(sdp.message(path, setup='passive')))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        report = self.ctl.event('E_MSRP_REPORT_RECEIVED', session_id=session_id)
        self.assertEqual((report['message_id'], report['status']), (message_id, '000 481'))
        dialog.expect('BYE').respond(200)
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_END', session_id=session_id)['reason'],
                         'failed')


    def test_port_opens_after_the_ack(self):
        """RFC 4975 5.4: a refused connection is tried again while reconnect_grace runs."""
        port = free_port()
        call = self.answered(path=f'msrp://127.0.0.1:{port}/{new_id()};tcp', connect=False)
        message_id = self.say(call, 'patient')
        poll(lambda: f'{call.id}: connection lost: Connection refused' in self.daemon.log(),
             what='a refused connection')
        conn = self.listener(port=port).accept()
        self.assertEqual(conn.expect('SEND').message_id, message_id)
        call.attach(conn)
        call.send('here I am')
        self.assertEqual(self.received(call)['body'], 'here I am')


class LossTest(case.Case):
    config = {'ua': {'reconnect_grace': '1s'}}

    def test_reset(self):
        """RFC 4975 5.4: RST with two sessions: two E_MSRP_SESSION_END, both failed, and two
        BYEs."""
        one = self.call()
        two = self.call(connect=False).attach(one.conn)
        two.msrp.bind()
        one.conn.reset()
        for call in (one, two):
            call.dialog.expect('BYE').respond(200)
            self.assertEqual(self.ctl.event('E_MSRP_SESSION_END', session_id=call.id),
                             {'session_id': call.id, 'reason': 'failed'})

    def test_orderly_close(self):
        """RFC 4975 5.4: a close is a loss too; no silent reconnect."""
        listener = self.listener()
        call = self.answered(listener)
        call.conn.close()
        call.dialog.expect('BYE').respond(200)
        self.ctl.event('E_MSRP_SESSION_END', session_id=call.id, reason='failed')
        self.assertEqual(listener.count, 1)

    def test_queued_messages_are_reported(self):
        """RFC 4975 7.3.2: what was queued or unanswered is reported `000 481`."""
        call = self.call(behave=msrp.silent)
        first = self.say(call, 'unanswered')
        call.receive()
        call.conn.reset()
        second = None
        try:
            second = self.say(call, 'queued')
        except case.RpcError as error:
            self.assertIn(error.code, (404, 500))
        wanted = {first, second} - {None}
        while wanted:
            event = self.ctl.event('E_MSRP_REPORT_RECEIVED')
            self.assertEqual(event['status'], '000 481')
            wanted.remove(event['message_id'])
        call.dialog.expect('BYE').respond(200)

    def test_messages_at_a_bye_are_reported(self):
        """The same when the peer hangs up, before its end is told."""
        call = self.call(behave=msrp.silent)
        ident = self.say(call, 'unanswered')
        call.receive()
        call.dialog.bye()
        end = self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
        self.assertEqual(end['reason'], 'bye')
        report, = self.ctl.pending('E_MSRP_REPORT_RECEIVED')
        self.assertEqual((report['message_id'], report['status']), (ident, '000 481'))

    def test_other_sessions_are_untouched(self):
        """The loss of one connection is nothing to the others."""
        one, two = self.call(), self.call()
        one.conn.reset()
        one.dialog.expect('BYE').respond(200)
        two.send('unharmed')
        self.received(two)

    def test_loss_before_binding(self):
        """A connection that goes before its first SEND has bound nothing."""
        call = self.call(connect=False)
        msrp.connect(call.path[0]).reset()
        call.connect()
        call.send('x')

    def test_loss_in_the_middle_of_a_chunk(self):
        """A message whose connection dies half-way makes no event."""
        call = self.call()
        data = call.msrp.build(body=b'x' * 5000).encode()
        call.conn.send_raw(data[:3000])
        call.conn.reset()
        call.dialog.expect('BYE').respond(200)
        self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
        self.assertEqual(self.ctl.pending('E_MSRP_MSG_RECEIVED'), [])


class AbsentTest(case.Case):
    """A peer that is to connect, and does not."""

    config = {'ua': {'bind_timeout': '60s', 'reconnect_grace': '60s'}}

    def setUp(self):
        super().setUp()
        self.limit('60s')

    def limit(self, time):
        self.reload({'ua': {**self.config['ua'], 'bind_timeout': time}})

    def absent(self, call):
        """Time is up for all: it ends."""
        self.limit('1ms')
        bye = call.dialog.expect('BYE')
        bye.respond(200)
        self.assertEqual(bye.request.get('Reason'),
                         'SIP;cause=503;text="No MSRP connection"')
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)['reason'],
                         'absent')

    def ended(self):
        return self.ctl.call('get_statistics', group='ua')['ua:ended_absent']

    def test_no_connection(self):
        """RFC 4975 5.4: who connects does so at once; what waited is reported."""
        call = self.call(connect=False)
        before, message_id = self.ended(), self.say(call, 'anybody?')
        self.absent(call)
        report, = self.ctl.pending('E_MSRP_REPORT_RECEIVED')
        self.assertEqual((report['message_id'], report['status']), (message_id, '000 481'))
        self.assertEqual(self.ended(), before + 1)

    def test_no_first_send(self):
        """A connection alone binds nothing."""
        self.absent(self.call(connect=False).connect(bind=False))

    def test_called_peer(self):
        """The same of who has been called."""
        self.absent(self.answered(setup='active', connect=False))

    def test_reinvite_to_elsewhere(self):
        """A re-INVITE with another path, whose connection does not come."""
        call = self.call()
        self.absent(self.call(connect=False))       # the time that has begun before is over
        self.limit('60s')
        call.dialog.reinvite(self.offer(f'msrp://127.0.0.1:9/{new_id()};tcp'))
        self.absent(call)

    def test_who_is_there_stays(self):
        """One SEND without a body is enough, and who does not connect has no time for it."""
        calls = [self.call(), self.answered()]
        self.absent(self.call(connect=False))
        for call in calls:
            call.send('still here')
            self.received(call)

    def test_no_limit(self):
        self.limit(0)
        call = self.call(connect=False)
        self.assertEqual(self.ctl.call('get_statistics', group='ua')['ua:sessions'], 1)
        call.connect().send('late')
        self.received(call)


class RestoreTest(case.Case):
    config = {'ua': {'reconnect_grace': '60s'}}

    def closed(self):
        return self.ctl.call('get_statistics', group='msrp')['msrp:closed']

    def test_reinvite_restores(self):
        """RFC 4975 5.4: a re-INVITE in time makes the connection anew, no end comes."""
        call = self.call()
        before = self.closed()
        call.conn.reset()
        poll(lambda: self.closed() > before, what='the loss of the connection')
        new = f'msrp://127.0.0.1:9/{new_id()};tcp'
        answer = sdp.Sdp(call.dialog.reinvite(self.offer(new)).body)
        call.path, call.own_path = answer.message.path, [new]
        call.connect()
        call.send('back again')
        self.assertEqual(self.received(call)['body'], 'back again')
        self.say(call, 'welcome')
        self.assertEqual(call.receive().to_path, [new])
        # A timer that was left running would be over now.
        self.reload({'ua': {'reconnect_grace': '1ms'}})
        with self.assertRaises(Timeout):
            self.ctl.event('E_MSRP_SESSION_END', timeout=1)


class TimeoutTest(case.Case):
    config = {'msrp': {'bind_timeout': '1s', 'idle_timeout': '1s', 'keepalive': '1s'},
              'ua': {'reconnect_grace': 0}}

    def test_bind_timeout(self):
        """RFC 4976 6.1: a connection that says nothing, or nothing of ours, is closed."""
        call = self.call(connect=False)
        quiet = msrp.connect(call.path[0], name='quiet')
        babbler = msrp.connect(call.path[0], name='babbler')
        stranger = msrp.Session(babbler, [call.path[0].replace(call.id, new_id())],
                                call.own_path)
        stranger.send(None, code=481)
        quiet.expect_closed(5)
        babbler.expect_closed(5)

    def test_idle_timeout(self):
        """A connection without sessions is closed after idle_timeout."""
        call = self.call()
        call.bye()
        call.conn.expect_closed(5)
        call = self.answered()
        call.bye()
        call.conn.expect_closed(5)

    def test_bound_connection_stays(self):
        """Neither of them closes a connection that has a session; keepalive speaks on it."""
        call = self.call()
        for _ in range(3):
            frame = call.conn.expect('SEND')
            self.assertEqual((frame.body, frame.get('Byte-Range')), (None, '1-0/0'))
        call.send('alive')

    def test_no_grace(self):
        """reconnect_grace 0: a lost connection ends the session at once."""
        call = self.call()
        call.conn.reset()
        call.dialog.expect('BYE').respond(200)
        self.ctl.event('E_MSRP_SESSION_END', reason='failed')


class ConnectionLimitTest(case.Case):
    config = {'msrp': {'max_connections': 3}}

    def test_limit(self):
        """RFC 4976 6.5: one more is accepted and closed at once; those that are there stay."""
        call = self.call()
        others = [msrp.connect(call.path[0], name=f'other {n}') for n in range(2)]
        extra = msrp.connect(call.path[0], name='one too many')
        extra.expect_closed()
        call.send('unharmed')
        others[0].close()
        poll(lambda: self._accepted(call), what='room for one more')

    @staticmethod
    def _accepted(call):
        conn = msrp.connect(call.path[0], name='another')
        stranger = msrp.Session(conn, [call.path[0].replace(call.id, new_id())], call.own_path)
        frame = stranger.build()
        if not conn.try_send_raw(frame.encode()):
            return False
        try:
            conn.expect_response(frame, 481, timeout=1)
        except Timeout:
            return False
        finally:
            conn.close()
        return True


class UnusedTest(case.Case):
    """By sessions that move on nobody has more connections than by sessions."""

    UNUSED = 256

    @classmethod
    def prepare(cls):
        cls.dns = DnsServer()
        cls.addClassCleanup(cls.dns.close)
        cls.config = {'dns': {'servers': [cls.dns.address]}}

    def move(self, call, host, port):
        """Where msrpd is to connect to, from now on."""
        call.dialog.reinvite(self.offer(f'msrp://{host}:{port}/{new_id()};tcp',
                                        setup='passive'))

    def connections(self):
        return self.ctl.call('get_statistics')['msrp:connections']

    def test_connected(self):
        listener = self.listener()
        call = self.call(connect=False)
        for i in range(self.UNUSED + 5):
            self.dns.host(f'host{i}.example')
            self.move(call, f'host{i}.example', listener.port)
            poll(lambda i=i: listener.count == i + 1, what='the connection')
        poll(lambda: self.connections() == self.UNUSED + 1, what='the end of the oldest')
        call.dialog.bye()
        self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
        poll(lambda: self.connections() == self.UNUSED, what='the end of one more')
        # One of them is used again.
        again = self.call(connect=False)
        self.move(again, f'host{self.UNUSED + 1}.example', listener.port)
        self.say(again, 'over one that was there')
        poll(lambda: any(frame.body == b'over one that was there'
                         for conn in listener.conns for frame in conn.history), what='it')
        self.assertEqual(self.connections(), self.UNUSED)

    def test_not_connected(self):
        """Nobody waits for it any more."""
        self.dns.silent = {A}
        call = self.call(connect=False)
        for i in range(5):
            self.move(call, f'dead{i}.example', 9)
            poll(lambda i=i: (f'dead{i}.example', A) in self.dns.asked, what='the question')
        poll(lambda: self.connections() == 1, what='the end of the others')
        call.dialog.bye()
        poll(lambda: self.connections() == 0, what='the end of all')


class StatusTest(case.Case):
    def test_listeners(self):
        """Port 0 is any free port, and status tells which."""
        (host, port), = self.daemon.listeners(self.ctl)
        self.assertEqual(host, '127.0.0.1')
        self.assertGreater(int(port), 0)
        call = self.call()
        self.assertIsNotNone(re.search(rf':{port}/', call.path[0]))


if __name__ == '__main__':
    case.main()
