#!/usr/bin/env python3
"""A peer that says nothing more, at each step of SIP: what becomes of it is told, and nothing stays.

Here 64 times T1 are some seconds (sip.transaction_timeout): what is answered has to be by then.
"""
import os

from lib import case, sdp
from lib.anchor import AnchorCase
from lib.gateway import GatewayCase, routes
from lib.rooms import LOBBY, Referral, RoomCase, rooms
from lib.roster import Watcher
from lib.sip import Dialog
from lib.waiting import poll

QUICK = {'transaction_timeout': '4s'}
# What nua takes for the end of a dialog.
CODES = (404, 408, 410, 416, 480, 481, 482, 484, 485, 502, 604)
GAUGES = ('sip:dialogs', 'sip:subscriptions', 'sip:requests_waiting', 'ua:sessions', 'gw:sessions',
          'anchor:sessions', 'conf:participants')


class SilenceMixin:
    def nothing_left(self):
        def left():
            numbers = self.ctl.call('get_statistics')
            return [name for name in GAUGES if numbers.get(name)]
        poll(lambda: not left(), what='the end of all that is counted')

    def failed_bye(self, call):
        """A BYE, and the event for it."""
        call.dialog.expect('BYE').respond(200)
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)['reason'],
                         'failed')
        self.nothing_left()


class SetUpTest(SilenceMixin, case.Case):
    config = {'sip': QUICK}

    def test_invite(self):
        """No answer at all: 408 for who has begun the call."""
        session, _ = self.start_session()
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED', session_id=session)['code'], 408)
        self.nothing_left()

    def test_next_target(self):
        """The next one is called, and may hang up while the last could still answer."""
        silent, other = self.ua(name='silent'), self.ua(name='other')
        session, invite = self.start_session()
        invite.respond(302, headers=[('Contact', f'<{silent.contact()}>;q=0.9'),
                                     ('Contact', f'<{other.contact()}>;q=0.5')])
        silent.expect('INVITE')
        invite = other.expect('INVITE')
        invite.respond(200, self.offer(setup='active'))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=session)
        dialog.bye()
        self.ctl.event('E_MSRP_SESSION_END', session_id=session, reason='bye')
        self.nothing_left()

    def test_cancel(self):
        """Neither the CANCEL nor the INVITE is answered: it is gone for who has ended it."""
        session, invite = self.start_session()
        invite.respond(180)
        self.ctl.call('msrp_ua_end_session', session_id=session)
        self.sip.expect('CANCEL')
        self.assertEqual(self.ctl.call('msrp_ua_list_sessions'), [])
        self.nothing_left()
        self.assertEqual(self.ctl.pending(), [])

    def test_ack(self):
        """A BYE instead of it (RFC 3261 13.3.1.4); nobody has been told of a session."""
        transaction = self.invite(self.offer())
        dialog = Dialog.of_client(transaction, transaction.final(200))
        dialog.expect('BYE').respond(200)
        self.nothing_left()
        self.assertEqual(self.ctl.pending(), [])

    def test_ack_but_messages(self):
        """What comes by MSRP shows that the answer was there: the session begins, and ends."""
        transaction = self.invite(self.offer())
        answer = transaction.final(200)
        call = case.Call(self, Dialog.of_client(transaction, answer), sdp.Sdp(answer.body),
                         sdp.Sdp(transaction.request.body).message.path)
        call.connect().send('hello')
        self.failed_bye(call)


class PrackTest(SilenceMixin, case.Case):
    """What Sofia-SIP keeps of an INVITE whose dialog ends before it is found when msrpd ends."""

    config = {'sip': QUICK}

    def rings(self, kind='UDP'):
        session, invite = self.start_session(kind=kind)
        invite.respond(183, headers=[('Require', '100rel'), ('RSeq', '1')])
        return session, invite, self.sip.expect('PRACK', call_id=invite.request.call_id)

    def refused(self, session, invite):
        invite.respond(486)
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED', session_id=session)['code'], 486)

    def test_answered(self):
        """A reliable 183 whose PRACK is not answered: the INVITE may be, and then it counts."""
        session, invite, prack = self.rings()
        # It comes again after T1, 2 T1, 4 T1 and so on.
        poll(lambda: prack.retransmissions, what='the PRACK again')
        invite.respond(200, self.offer(setup='active'))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=session)
        dialog.bye()
        self.ctl.event('E_MSRP_SESSION_END', session_id=session, reason='bye')
        self.refused(*self.rings()[:2])
        self.nothing_left()

    def test_nothing(self):
        """Nor is the INVITE: it is cancelled."""
        sessions = [self.rings() for _ in range(len(CODES) + 1)]
        for (_, _, prack), code in zip(sessions, CODES):
            prack.respond(code)
        for session, invite, _ in sessions:
            cancel = self.sip.expect('CANCEL', call_id=invite.request.call_id)
            cancel.respond(200)
            invite.respond(487)
            event = self.ctl.event('E_MSRP_SESSION_FAILED', session_id=session)
            self.assertEqual(event['code'], 487)
        self.nothing_left()

    def test_hung_up(self):
        """RFC 3261 15: who is called does not hang up before he has answered."""
        session, invite, prack = self.rings()
        prack.respond(200)
        Dialog.of_server(invite).request('BYE').final(481)
        self.refused(session, invite)
        self.nothing_left()

    def test_asked_while_cancelled(self):
        """RFC 3261 14.2: no dialog is over by a request before the INVITE is answered."""
        session, invite, prack = self.rings()
        prack.respond(200)
        dialog = Dialog.of_server(invite)
        self.ctl.call('msrp_ua_end_session', session_id=session)
        cancel = self.sip.expect('CANCEL', call_id=invite.request.call_id)
        dialog.request('UPDATE', self.offer()).final(491)
        cancel.respond(200)
        invite.respond(487)
        self.nothing_left()

    def test_another_branch(self):
        """nua hears no more of a fork than the branch whose reliable 183 was the first: of a refusal
        by another one it is told, and what another one accepts is ended."""
        for kind in ('UDP', 'TCP'):
            with self.subTest(kind):
                session, invite, prack = self.rings(kind)
                prack.respond(200)
                first = Dialog.of_server(invite)
                invite.respond(486, tag='other')
                self.sip.expect_failure_ack(invite)
                self.assertEqual(
                    self.ctl.event('E_MSRP_SESSION_FAILED', session_id=session)['code'], 486)
                first.request('BYE').final(481)
                invite.respond(200, self.offer(setup='active'), tag='third')
                third = Dialog.of_server(invite)
                third.expect('ACK')
                third.expect('BYE').respond(200)
                session, invite, prack = self.rings(kind)
                prack.respond(200)
                invite.respond(200, self.offer(setup='active'), tag='other')
                other = Dialog.of_server(invite)
                other.expect('ACK')
                other.expect('BYE').respond(200)
                self.assertEqual(
                    self.ctl.event('E_MSRP_SESSION_FAILED', session_id=session)['code'], 487)
                self.nothing_left()

    def test_lost(self):
        """The connection closes, by which the answer would come."""
        session, _, prack = self.rings('TCP')
        prack.respond(200)
        prack.transport.close()
        self.ctl.event('E_MSRP_SESSION_FAILED', session_id=session)
        self.nothing_left()


class SessionTest(SilenceMixin, case.Case):
    @classmethod
    def prepare(cls):
        cls.config = {'sip': QUICK, 'ua': {'files': {'directory': cls.directory}}}

    def test_bye(self):
        """It is over for whoever has ended it, and soon for SIP."""
        call = self.call()
        self.ctl.call('msrp_ua_end_session', session_id=call.id)
        call.dialog.expect('BYE')
        self.nothing_left()
        self.assertEqual(self.ctl.pending(), [])

    def test_reinvite_of_ours(self):
        """RFC 3261 14.1, 12.2.1.2: the dialog is over, and what the re-INVITE was for, by no answer,
        408 or 481."""
        path = os.path.join(self.directory, 'file.txt')
        with open(path, 'w', encoding='ascii') as file:
            file.write('hello')
        for kind in ('UDP', 'TCP'):
            for code in (None, 408, 481):
                with self.subTest(kind=kind, code=code):
                    call = self.call(kind=kind)
                    self.ctl.call('msrp_ua_send_file', session_id=call.id, path=path)
                    invite = call.dialog.expect('INVITE')
                    if code:
                        invite.respond(code)
                        self.sip.expect_failure_ack(invite)
                    self.ctl.event('E_MSRP_FILE_FAILED')
                    self.failed_bye(call)

    def test_reinvite_of_theirs(self):
        """They do not acknowledge our answer (RFC 3261 14.2)."""
        call = self.call()
        call.dialog.request('INVITE', self.offer(call.own_path[0])).final(200)
        self.failed_bye(call)

    def refreshed(self, methods, expires=120):
        """A session that msrpd is to keep by requests every half of that time."""
        transaction = self.invite(self.offer(), headers=[
            ('Supported', 'timer'), ('Session-Expires', f'{expires};refresher=uas'),
            ('Allow', methods)])
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        call = case.Call(self, dialog, sdp.Sdp(answer.body), 'msrp://127.0.0.1:9/x;tcp')
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=call.id)
        return call.connect()

    def test_refresh(self):
        """RFC 4028 10: nobody answers the UPDATE, or re-INVITE, that keeps the session, or 408 or
        481: BYE."""
        calls = [(self.refreshed('INVITE, ACK, BYE, CANCEL, UPDATE'), 'UPDATE', None),
                 (self.refreshed('INVITE, ACK, BYE, CANCEL'), 'INVITE', None),
                 (self.refreshed('INVITE, ACK, BYE, CANCEL, UPDATE'), 'UPDATE', 408),
                 (self.refreshed('INVITE, ACK, BYE, CANCEL, UPDATE'), 'UPDATE', 481),
                 (self.refreshed('INVITE, ACK, BYE, CANCEL'), 'INVITE', 408),
                 (self.refreshed('INVITE, ACK, BYE, CANCEL'), 'INVITE', 481)]
        for call, method, code in calls:
            request = call.dialog.expect(method, timeout=120)     # in the middle of them
            if code:
                request.respond(code)
            if code and method == 'INVITE':
                self.sip.expect_failure_ack(request)
        for call, _, _ in calls:
            call.dialog.expect('BYE').respond(200)
            self.ctl.event('E_MSRP_SESSION_END', session_id=call.id, reason='failed')
        self.nothing_left()


class RoomTest(SilenceMixin, RoomCase):
    config = {**rooms({'uri': LOBBY}), 'sip': QUICK}
    config['routes'] = {'sip': [{'if': {'$rm': 'REFER'}, 'do': [{'msrp_conf_refer': {
        'room': '$ru'}}]}, *config['routes']['sip']]}

    def test_notify(self):
        """The subscription ends, and neither who is in the room nor who is called notices."""
        alice = self.join('alice')
        watcher = self.ua(user='alice', name='watcher')
        subscription = Watcher(self, watcher, from_uri=alice.uri)
        watcher.expect('NOTIFY', call_id=subscription.call_id)
        carol = self.ua(user='carol', name='carol')
        referral = Referral(self, watcher, carol.contact())
        watcher.expect('NOTIFY', call_id=referral.call_id)
        invite = carol.expect('INVITE')
        invite.respond(180)
        poll(lambda: self.ctl.call('get_statistics')['sip:subscriptions'] == 0,
             what='the end of both subscriptions')
        invite.respond(486)
        alice.msrp.flush()
        self.assertEqual(self.participants(), [alice.uri])
        alice.bye()
        self.nothing_left()


class GatewayTest(SilenceMixin, GatewayCase):
    config = {'routes': routes(), 'sip': QUICK}

    def test_message(self):
        """The MSRP side is told, and the session goes on."""
        call = self.client_calls()
        sent = call.send('hello', success='yes')
        self.phone.expect('MESSAGE')
        report = call.conn.expect('REPORT')
        self.assertEqual((report.message_id, report.get('Status')[:7]),
                         (sent.message_id, '000 408'))
        call.send('again')
        self.gets('again')
        call.bye()
        self.nothing_left()


class AnchorTest(SilenceMixin, AnchorCase):
    config = {**AnchorCase.config, 'sip': QUICK}

    def test_invite(self):
        """Bob says nothing: alice hears so."""
        transaction = self.calls()
        self.bob.expect('INVITE')
        transaction.final(408)
        self.nothing_left()

    def test_ack(self):
        """Alice does not acknowledge: a BYE to both, and there was no session."""
        transaction, invite = self.rings()
        bob = self.answers(invite)
        alice = Dialog.of_client(transaction, transaction.final(200))
        for dialog in (alice, bob.dialog):
            dialog.expect('BYE').respond(200)
        self.nothing_left()

    def test_reinvite(self):
        """Bob does not answer what alice asks: his dialog is over (RFC 3261 14.1), and so is hers."""
        pair = self.join()
        pair.alice.dialog.request('INVITE', sdp.document(sdp.message(
            pair.alice.own_path[0], 'text/html'), origin='- 1 2'))
        pair.bob.dialog.expect('INVITE')
        for side in (pair.alice, pair.bob):
            side.dialog.expect('BYE').respond(200)
        self.ends(pair, 'failed')
        self.nothing_left()

    def test_bye(self):
        """Bob does not answer the BYE: it is over all the same."""
        pair = self.join()
        pair.alice.bye()
        pair.bob.dialog.expect('BYE')
        self.ends(pair, 'bye')
        self.nothing_left()


if __name__ == '__main__':
    case.main()
