#!/usr/bin/env python3
"""SIGTERM: what peers and applications hear, whatever is under way."""
import os
import signal
import time

from lib import case
from lib.anchor import AnchorCase
from lib.gateway import GatewayCase, routes
from lib.relay import CREDENTIALS, Relay
from lib.sip import Dialog
from lib.waiting import Timeout

STOPPING = {'code': 503, 'reason': 'Shutting Down'}


class StopTest(case.Case):
    own_daemon = True

    def test_graceful(self):
        """SIGTERM: BYE to every dialog, then the end, before the grace is over."""
        daemon, ctl = self.start({'shutdown_grace': '60s'})
        calls = [self.call(daemon, ctl), self.answered(ctl=ctl)]
        _, ringing = self.start_session(ctl)
        ringing.respond(180)
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        for call in calls:
            call.dialog.expect('BYE').respond(200)
        cancel = self.sip.expect('CANCEL', call_id=ringing.request.call_id)
        cancel.respond(200)
        ringing.respond(487)
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, 50)

    def test_grace(self):
        """SIGTERM with peers that answer nothing: the end after shutdown_grace."""
        daemon, ctl = self.start({'shutdown_grace': '1s'})
        self.call(daemon, ctl)
        self.answered(ctl=ctl)
        self.start_session(ctl)
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, 25)     # Sofia-SIP alone would take 32 s

    def test_queued_messages_are_flushed(self):
        """SIGTERM: what was accepted before is sent."""
        daemon, ctl = self.start({'shutdown_grace': '60s'})
        call = self.call(daemon, ctl)
        size, count = 200000, 10
        ids = [self.say(call, 'x' * size, ctl=ctl) for _ in range(count)]
        daemon.signal(signal.SIGTERM)
        received = {ident: 0 for ident in ids}
        while sum(received.values()) < size * count:
            frame = call.receive()
            received[frame.message_id] += len(frame.body)
        call.dialog.expect('BYE').respond(200)
        self.assertEqual(daemon.wait(), 0)

    def test_second_signal(self):
        """SIGTERM twice, SIGHUP meanwhile: still an orderly end."""
        daemon, ctl = self.start({'shutdown_grace': '2s'})
        self.call(daemon, ctl)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
            daemon.signal(number)
        self.assertEqual(daemon.wait(), 0)

    def test_new_calls_while_stopping(self):
        """Who calls while we stop is refused, not kept."""
        daemon, ctl = self.start({'shutdown_grace': '3s'})
        self.call(daemon, ctl)
        daemon.signal(signal.SIGTERM)
        daemon.notify.expect('STOPPING=1')
        try:
            self.assertGreaterEqual(self.invite(self.offer(), daemon).final(timeout=5).code, 400)
        except Timeout:
            pass                    # it is gone already
        self.assertEqual(daemon.wait(), 0)

    def test_under_load(self):
        """SIGTERM amid calls and messages: what was answered has been done, and all is told."""
        daemon, ctl = self.start({'shutdown_grace': '1s'})
        calls = [self.call(daemon, ctl) for _ in range(5)]
        transactions = [self.invite(self.offer(), daemon) for _ in range(10)]
        sent, said = {}, []
        for call in calls:
            frames = [call.msrp.build(body=b'x' * 1000) for _ in range(50)]
            sent[call] = frames
            call.conn.send(*frames)
            said.append((call, self.say(call, 'y' * 100000, ctl=ctl)))
        started = [self.start_session(ctl)[1] for _ in range(5)]
        for invite in started:
            invite.respond(180)
        self.sip.agree()
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        ctl.events.until(lambda: ctl.events.closed, what='the last event')

        def told(name, key):
            return [event['params'][key] for event in ctl.history if event['method'] == name]
        received, reported = (told(name, 'message_id') for name in
                              ('E_MSRP_MSG_RECEIVED', 'E_MSRP_REPORT_RECEIVED'))
        self.assertEqual(len(received), len(set(received)))
        for call, frames in sent.items():
            call.conn.expect_closed()
            answered = {frame.tid for frame in call.conn.history if frame.code == 200}
            self.assertLessEqual({frame.message_id for frame in frames if frame.tid in answered},
                                 set(received))
        for call, message in said:
            whole = [frame for frame in call.conn.history
                     if frame.message_id == message and frame.flag == '$']
            self.assertEqual(len(whole) or reported.count(message), 1, message)
        for transaction in transactions:
            transaction.final()
        for invite in started:
            self.sip.expect('CANCEL', call_id=invite.request.call_id)
        for call in calls:
            call.dialog.expect('BYE')


class SetUpTest(case.Case):
    """Calls that are no sessions yet."""

    own_daemon = True

    def rest(self, ctl):
        """The events that have not been asked for."""
        ctl.events.until(lambda: ctl.events.closed, what='the end of the socket')
        return ctl.events.items

    def test_outgoing(self):
        """Whoever began one is told; who was called gets a CANCEL, once he has said something."""
        daemon, ctl = self.start({'shutdown_grace': '60s'})
        ringing, invite = self.start_session(ctl)
        invite.respond(180)
        silent, unanswered = self.start_session(ctl)
        daemon.signal(signal.SIGTERM)
        for session in (ringing, silent):
            self.assertEqual(ctl.event('E_MSRP_SESSION_FAILED', session_id=session),
                             {'session_id': session, **STOPPING})
        unanswered.respond(180)
        for each in (invite, unanswered):
            self.sip.expect('CANCEL', call_id=each.request.call_id).respond(200)
            each.respond(487)
        self.assertEqual(daemon.wait(), 0)

    def test_nobody_answers(self):
        """No CANCEL can be sent (RFC 3261 9.1): told all the same, and over in time."""
        daemon, ctl = self.start({'shutdown_grace': '500ms'})
        session, _ = self.start_session(ctl)
        daemon.signal(signal.SIGTERM)
        ctl.event('E_MSRP_SESSION_FAILED', session_id=session, **STOPPING)
        self.assertEqual(daemon.wait(), 0)

    def test_behind_a_relay(self):
        """While AUTH is under way: 503 to who calls, the event for who has begun a call."""
        relay = Relay()
        relay.silent = True
        daemon, ctl = self.start({'ua': {'relay_uri': relay.uri}, 'credentials': CREDENTIALS,
                                  'shutdown_grace': '60s'})
        transaction = self.invite(self.offer(), daemon)
        relay.expect_auth()
        session = ctl.call('msrp_ua_start_session', content_types='text/plain',
                           from_uri='sip:a@example.org', to_uri='sip:b@example.org',
                           ruri=self.sip.contact())['session_id']
        daemon.signal(signal.SIGTERM)
        response = transaction.final(503)
        self.assertEqual(response.reason, STOPPING['reason'])
        ctl.event('E_MSRP_SESSION_FAILED', session_id=session, **STOPPING)
        self.assertEqual(daemon.wait(), 0)
        self.assertEqual(self.rest(ctl), [])

    def test_no_ack_yet(self):
        """Answered, so that a BYE follows the ACK; nobody has been told of a session."""
        daemon, ctl = self.start({'shutdown_grace': '60s'})
        transaction = self.invite(self.offer(), daemon)
        dialog = Dialog.of_client(transaction, transaction.final(200))
        daemon.signal(signal.SIGTERM)
        daemon.notify.expect('STOPPING=1')
        dialog.ack()
        dialog.expect('BYE').respond(200)
        self.assertEqual(daemon.wait(), 0)
        self.assertEqual(self.rest(ctl), [])

    def test_file(self):
        """One that waits for its session."""
        daemon, ctl = self.start({'shutdown_grace': '60s', 'ua': {'files': {
            'directory': self.directory}}})
        path = os.path.join(self.directory, 'file.txt')
        with open(path, 'w', encoding='ascii') as file:
            file.write('hello')
        session = ctl.call('msrp_ua_send_file', from_uri='sip:a@example.org',
                           to_uri='sip:b@example.org', ruri=self.sip.contact(),
                           path=path)['session_id']
        invite = self.sip.expect('INVITE')
        invite.respond(180)
        daemon.signal(signal.SIGTERM)
        ctl.event('E_MSRP_FILE_FAILED', session_id=session, reason='503 Shutting Down')
        self.sip.expect('CANCEL').respond(200)
        invite.respond(487)
        self.assertEqual(daemon.wait(), 0)


class GatewayStopTest(GatewayCase):
    own_daemon = True

    def test_set_up(self):
        """The phone that waits gets 503, and the event is there for who has got his 202."""
        daemon, ctl = self.start({'routes': routes(confirm='sent'), 'shutdown_grace': '60s'})
        transaction = self.message('waits', daemon=daemon)
        invite = self.client.expect('INVITE')
        invite.respond(180)
        daemon.signal(signal.SIGTERM)
        transaction.final(503)
        ctl.event('E_MSRP_GW_SETUP_FAILED', key=self.key(), **STOPPING)
        self.client.expect('CANCEL').respond(200)
        invite.respond(487)
        self.assertEqual(daemon.wait(), 0)


class AnchorStopTest(AnchorCase):
    own_daemon = True

    def test_set_up(self):
        """CANCEL for bob, and alice is not told that anybody is gone."""
        daemon, _ = self.start({**self.config, 'shutdown_grace': '60s'})
        transaction = self.calls(daemon=daemon)
        invite = self.bob.expect('INVITE')
        invite.respond(180)
        transaction.expect(180)
        daemon.signal(signal.SIGTERM)
        transaction.final(503)
        self.bob.expect('CANCEL').respond(200)
        invite.respond(487)
        self.assertEqual(daemon.wait(), 0)

    def test_session(self):
        """BYE to both, and the event while there is somebody to hear it."""
        daemon, ctl = self.start({**self.config, 'shutdown_grace': '60s'})
        pair = self.join(ctl, daemon=daemon)
        daemon.signal(signal.SIGTERM)
        for side in (pair.alice, pair.bob):
            side.dialog.expect('BYE').respond(200)
        self.assertEqual(ctl.event('E_MSRP_ANCHOR_END', id=pair.id)['reason'], 'stopped')
        self.assertEqual(daemon.wait(), 0)


if __name__ == '__main__':
    case.main()
