#!/usr/bin/env python3
"""REFER to a room: somebody in it has others called in, or sent out (RFC 4579 5.5 and 5.11)."""
from lib import case, sdp
from lib.daemon import merge
from lib.rooms import CPIM, LOBBY, Referral, RoomCase, rooms, uri
from lib.sip import Dialog
from lib.waiting import poll

STAFF = uri('staff')
RULES = [{'if': {'$hdr(X-Call)': '!null'}, 'do': [{'msrp_conf_join': {'room': '$ru'}}]},
         {'if': {'$rm': 'REFER', '$fU': 'boss'},
          'do': [{'msrp_conf_refer': {'room': '$ru', 'kick': 'yes'}}]},
         {'if': {'$rm': 'REFER', '$hdr(X-Who)': '!null'},
          'do': [{'msrp_conf_refer': {'room': '$ru', 'from': '$hdr(X-Who)'}}]},
         {'if': {'$rm': 'REFER'}, 'do': [{'msrp_conf_refer': {'room': '$ru'}}]}]
BASE = rooms({'uri': LOBBY}, {'uri': STAFF, 'users': ['alice'], 'max_participants': 2})


class ReferTest(RoomCase):
    config = merge(BASE, {'routes': {'sip': [*RULES, *BASE['routes']['sip']]}})

    def setUp(self):
        super().setUp()
        self.alice = self.join('alice')
        self.phone = self.ua(user='alice', name="alice's phone")
        self.carol = self.ua(user='carol', name='carol')

    def refused(self, code, target, **kwargs):
        return Referral(self, self.phone, target, code=code, **kwargs)

    def heard_nothing(self, *agents):
        for ua in agents:
            ua.flush(self.daemon.sip_port)
            self.assertEqual(ua.requests.has(), [])

    def test_call(self):
        """Who is called sees the room, and who has asked for it."""
        listener = self.listener()
        referral = Referral(self, self.phone, f'<{self.carol.contact()}>',
                            headers=[('Referred-By', '"Ally" <sip:alice@im.example.org>')]).tried()
        self.assertIsNotNone(referral.answer.to_tag)
        self.assertIn('REFER', referral.answer.get('Allow'))
        invite = self.carol.expect('INVITE')
        self.assertIn(';isfocus', invite.request.get('Contact'))
        self.assertIn(LOBBY, invite.request.get('From'))
        self.assertIn('sip:alice@im.example.org', invite.request.get('Referred-By'))
        invite.respond(200, sdp.document(sdp.message(listener.uri(), CPIM, setup='passive', extra=[
            'a=accept-wrapped-types:*'])))
        Dialog.of_server(invite).expect('ACK')
        self.ctl.event('E_MSRP_CONF_JOIN', participant=self.carol.contact())
        listener.accept().expect('SEND')
        referral.over('200 OK')

    def test_hops(self):
        """Rooms that call each other in do not do so for ever (RFC 3261 16.3)."""
        self.refused(483, self.carol.contact(), hops=0)
        self.heard_nothing(self.carol)
        referral = Referral(self, self.phone, self.carol.contact(), hops=3).tried()
        invite = self.carol.expect('INVITE')
        self.assertEqual(invite.request.get('Max-Forwards'), '2')
        invite.respond(486)
        referral.over('486 Busy Here')

    def test_not_reached(self):
        referral = Referral(self, self.phone, self.carol.contact()).tried()
        self.carol.expect('INVITE').respond(603, reason='Not Now')
        referral.over('603 Not Now')
        # The room ends its call while it rings.
        referral = Referral(self, self.phone, self.carol.contact()).tried()
        invite = self.carol.expect('INVITE')
        invite.respond(180)
        self.ctl.call('msrp_conf_kick', room=LOBBY, participant=self.carol.contact())
        referral.over('487 Request Terminated')
        self.carol.expect('CANCEL').respond(200)
        invite.respond(487)

    def test_silent(self):
        """RFC 4488: he wants to hear nothing of it."""
        for headers in ([('Refer-Sub', 'false')],
                        [('Refer-Sub', 'false'), ('Require', 'norefersub')]):
            referral = Referral(self, self.phone, self.carol.contact(), headers=headers)
            self.assertEqual(referral.answer.get('Refer-Sub'), 'false')
            self.assertIn('127.0.0.1', referral.answer.get('Contact'))
            self.carol.expect('INVITE').respond(603)
        poll(lambda: self.statistics()['participants'] == 1, what='the end of both calls')
        self.heard_nothing(self.phone)

    def test_gone(self):
        """He has lost interest, and the call goes on."""
        referral = Referral(self, self.phone, self.carol.contact())
        self.phone.expect('NOTIFY', call_id=referral.call_id).respond(481)
        invite = self.carol.expect('INVITE')
        invite.respond(180)
        poll(lambda: self.ctl.call('get_statistics', group='sip')['sip:subscriptions'] == 0)
        invite.respond(486)
        poll(lambda: self.statistics()['participants'] == 1)

    def test_send_out(self):
        """Only for whom a rule lets."""
        bob = self.join('bob')
        self.refused(403, f'<{bob.uri};method=BYE>')
        boss = self.join('boss')
        desk = self.ua(user='boss', name='boss')
        referral = Referral(self, desk, f'<{bob.uri};method=BYE>', user='boss').tried()
        bob.dialog.expect('BYE').respond(200)
        self.left(bob, 'kicked')
        referral.over('200 OK')
        self.refused(480, f'<{bob.uri};method=BYE>', user='boss')
        self.assertEqual(self.participants(), [self.alice.uri, boss.uri])

    def test_refused(self):
        carol = f'<{self.carol.contact()}>'
        self.refused(404, carol, room=uri('nowhere'))
        self.refused(403, carol, user='stranger')
        self.refused(400, carol, headers=[('X-Call', 'yes')])    # by a rule that means calls
        self.refused(400, None)
        self.refused(400, carol, headers=[('Refer-To', carol)])
        self.refused(400, '<sip:@>')
        self.refused(501, f'<{self.carol.contact()};method=REFER>')
        self.refused(501, f'<{self.carol.contact()}?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>')
        # Of whom the room lets in, and no more than it holds.
        self.join('alice', STAFF)
        self.refused(403, carol, room=STAFF)
        self.join('alice', STAFF)
        self.refused(486, f'<{self.alice.uri}>', room=STAFF)
        self.heard_nothing(self.phone, self.carol)

    def test_from(self):
        """Who asks says the rule; one who is here without his name may ask by it."""
        hidden = self.join('hidden', headers=[('Privacy', 'id')])
        self.assertNotEqual(hidden.known_as, hidden.uri)
        Referral(self, self.phone, self.carol.contact(), user='anybody',
                 headers=[('X-Who', f'"Who" <{hidden.uri}>')]).tried()
        self.carol.expect('INVITE').respond(603)

    def test_in_dialogs(self):
        """A dialog has its one purpose: neither that of a session nor that of a REFER has another."""
        fields = [('Refer-To', self.carol.contact()), ('Contact', f'<{self.phone.contact()}>')]
        self.alice.dialog.request('REFER', headers=fields).final(405)
        referral = Referral(self, self.phone, self.carol.contact()).tried()
        dialog = Dialog.of_client(referral.transaction, referral.answer)
        dialog.request('REFER', headers=fields).final(405)
        dialog.request('SUBSCRIBE', headers=[*fields, ('Event', 'refer'), ('Expires', '600')]).final(403)
        self.carol.expect('INVITE').respond(603)
        referral.over('603 Decline')
        self.alice.say('The session goes on')


if __name__ == '__main__':
    case.main()
