#!/usr/bin/env python3
"""Chat rooms: who may come in, who hears what, and how it ends (RFC 7701 sections 5 and 6)."""
from lib import case
from lib.rooms import CPIM, LOBBY, RoomCase, envelope, rooms, uri

MADE = uri('made')


class JoinTest(RoomCase):
    config = rooms({'uri': LOBBY, 'subject': 'Lobby'},
                   {'uri': uri('staff'), 'users': ['alice', 'sip:bob@im.example.org']},
                   {'uri': uri('pair'), 'max_participants': 2})

    def test_answer(self):
        """The focus says what it is, and what the room can do."""
        alice = self.join('alice')
        self.assertIn(';isfocus', alice.answer.get('Contact'))
        media = alice.sdp.message
        self.assertIn('private-messages', media.get('chatroom').split())
        self.assertEqual(media.get('accept-types'), CPIM)
        self.assertEqual(media.get('accept-wrapped-types'), '*')
        self.assertEqual(self.participants(), [alice.uri])
        alice.bye()
        self.left(alice, 'bye')
        self.assertEqual(self.participants(), [])
        self.assertEqual(self.ctl.call('msrp_conf_list', room=LOBBY)[0]['subject'], 'Lobby')

    def test_refused(self):
        """404, 403, 486, 488."""
        self.refused_join(404, 'alice', uri('nowhere'))
        self.refused_join(403, 'carol', uri('staff'))
        self.refused_join(403, 'sip:bob@elsewhere.example', uri('staff'))
        self.refused_join(488, 'alice', accept_types='text/plain')
        for user in ('alice', 'bob'):
            self.join(user, uri('staff'))
            self.join(user, uri('pair'))
        self.refused_join(486, 'carol', uri('pair'))
        self.assertEqual(len(self.ctl.call('msrp_conf_list')), 3)

    def test_uris(self):
        """Parameters, case of the host and escapes do not tell two URIs apart."""
        alice = self.join('alice')
        bob = self.join('sip:bob@IM.example.org;x=y')
        self.assertEqual(self.participants(), [alice.uri, uri('bob')])
        alice.say('one', to='sip:l%6Fbby@IM.example.org;transport=tcp')
        bob.hears('one')

    def test_kick_and_end(self):
        alice, bob = self.join('alice'), self.join('bob')
        self.ctl.call('msrp_conf_kick', room=LOBBY, participant=bob.uri)
        self.left(bob, 'kicked')
        bob.dialog.expect('BYE').respond(200)
        self.refused(404, self.ctl.call, 'msrp_conf_kick', room=LOBBY, participant=bob.uri)
        self.ctl.call('msrp_conf_create', room=MADE, subject='Made')
        self.ctl.event('E_MSRP_CONF_NEW', room=MADE)
        self.refused(400, self.ctl.call, 'msrp_conf_create', room=MADE)
        carol = self.join('carol', MADE)
        self.ctl.call('msrp_conf_end', room=MADE)
        self.left(carol, 'ended')
        self.ctl.event('E_MSRP_CONF_END', room=MADE)
        carol.dialog.expect('BYE').respond(200)
        self.refused(404, self.ctl.call, 'msrp_conf_end', room=MADE)
        self.assertEqual(self.participants(), [alice.uri])


class CreateTest(RoomCase):
    """Rooms that an INVITE makes."""
    config = rooms(create=True, max_rooms=2)

    def test_made(self):
        self.refused_join(488, 'alice', MADE, accept_types='text/plain')
        alice, bob = self.join('alice', MADE), self.join('bob', MADE)
        self.ctl.event('E_MSRP_CONF_NEW', room=MADE)
        other = self.join('alice', uri('other'))
        self.refused_join(486, 'alice', uri('third'))
        for participant in (alice, bob, other):
            participant.bye()
        self.ctl.event('E_MSRP_CONF_END', room=MADE)
        self.ctl.event('E_MSRP_CONF_END', room=uri('other'))
        self.assertEqual(self.ctl.call('msrp_conf_list'), [])


class MessageTest(RoomCase):
    def test_to_everybody(self):
        """One copy to each other participant, exactly as it came; none back."""
        alice, bob, carol = (self.join(user) for user in ('alice', 'bob', 'carol'))
        send = alice.say('Hello, crowd', headers=['DateTime: 2026-11-28T21:00:00Z'])
        for participant in (bob, carol):
            self.assertEqual(participant.message(), send.body)
        alice.heard_nothing(bob, carol)
        event = self.ctl.event('E_MSRP_CONF_MESSAGE', room=LOBBY)
        self.assertEqual(event, {
            'room': LOBBY, 'from': alice.uri, 'to': LOBBY, 'message_id': send.message_id,
            'content_type': 'text/plain;charset=UTF-8', 'body': 'Hello, crowd'})

    def test_to_one(self):
        alice, bob, carol = (self.join(user) for user in ('alice', 'bob', 'carol'))
        dave = self.join('dave', extra=['a=chatroom'])
        alice.say('psst', to=bob.uri)
        bob.hears('psst', alice.uri, bob.uri)
        alice.say('psst', to=uri('erin'), code=404)
        alice.say('psst', to=dave.uri, code=428)
        for participant in (alice, carol, dave):
            participant.heard_nothing()
        self.assertEqual(self.ctl.event('E_MSRP_CONF_MESSAGE')['to'], bob.uri)

    def test_refused(self):
        """Somebody else's name, several addressees, no envelope."""
        alice, bob = self.join('alice'), self.join('bob')
        alice.say('I am Bob', sender=bob.uri, code=403)
        alice.say('to two', headers=[f'To: <{bob.uri}>'], code=403)
        alice.send('bare', 415)
        alice.send(b'no envelope at all', 415, content_type=CPIM)
        alice.send(b'--x--\r\n', 415, content_type='multipart/mixed;boundary=x')
        bob.heard_nothing(alice)

    def test_devices(self):
        """One user, two sessions: every copy on both, his own words on the other."""
        phone, laptop, bob = self.join('alice'), self.join('alice'), self.join('bob')
        phone.say('from my phone')
        laptop.hears('from my phone', phone.uri)
        bob.hears('from my phone', phone.uri)
        bob.say('for you', to=phone.uri)
        for device in (phone, laptop):
            device.hears('for you', bob.uri)
        self.assertEqual(self.participants(), [phone.uri, phone.uri, bob.uri])
        laptop.bye()
        self.left(laptop, 'bye')
        bob.say('still there', to=phone.uri)
        phone.hears('still there')

    def test_reports(self):
        """The room reports success itself; what recipients report ends there."""
        alice, bob = self.join('alice'), self.join('bob')
        send = alice.say('Did it come?', success='yes')
        report = alice.conn.expect('REPORT')
        self.assertEqual(report.message_id, send.message_id)
        self.assertRegex(report.get('Status'), '^000 200')
        self.assertEqual(report.get('Byte-Range'), f'1-{len(send.body)}/{len(send.body)}')
        self.assertIsNone(bob.receive().get('Success-Report'))

    def test_types_of_recipients(self):
        """Who cannot take a message does not get it, and the others do."""
        alice, bob = self.join('alice'), self.join('bob', wrapped='text/plain')
        carol = self.join('carol', max_size=300)
        alice.say(b'\x89PNG', content_type='image/png')
        carol.hears(b'\x89PNG')
        alice.say('x' * 1000)
        bob.hears('x' * 1000)
        bob.heard_nothing(alice)
        carol.heard_nothing()
        self.assertEqual(self.statistics()['skipped'], 2)

    def test_chunks(self):
        alice, bob = self.join('alice'), self.join('bob')
        body = envelope(b'0123456789' * 10000, alice.uri)
        frames = alice.msrp.chunks(body, 7000, content_type=CPIM, total='unknown')
        for frame in frames:
            alice.conn.send(frame)
            alice.conn.expect_response(frame, 200)
        self.assertEqual(bob.message(), body)


if __name__ == '__main__':
    case.main()
