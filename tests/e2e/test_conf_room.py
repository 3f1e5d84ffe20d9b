#!/usr/bin/env python3
"""Chat rooms: who may come in, who hears what, and how it ends (RFC 7701 sections 5 and 6)."""

from lib import case, sdp
from lib.daemon import merge
from lib.rooms import CPIM, LOBBY, RoomCase, envelope, rooms, uri
from lib.sip import Dialog

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

    def test_odd_names(self):
        """What stands in a URI for a reserved character, in small letters or capitals."""
        room = 'sip:%23a%2fb;c&d=e@im.example.org'
        self.ctl.call('msrp_conf_create', room=room)
        known = self.ctl.event('E_MSRP_CONF_NEW')['room']
        self.assertEqual(known, 'sip:%23a%2Fb;c&d=e@im.example.org')
        alice, bob = self.join('alice', known), self.join('sip:b%2fb@im.example.org', known)
        self.assertEqual(bob.known_as, 'sip:b%2Fb@im.example.org')
        alice.say('one', to=room)
        bob.hears('one')
        alice.say('two', to=bob.uri)
        bob.hears('two')
        self.ctl.call('msrp_conf_end', room=room)

    def test_kick_and_end(self):
        alice, bob = self.join('alice'), self.join('bob')
        self.ctl.call('msrp_conf_kick', room=LOBBY, participant=bob.uri)
        self.left(bob, 'kicked')
        bob.dialog.expect('BYE').respond(200)
        self.refused(404, self.ctl.call, 'msrp_conf_kick', room=LOBBY, participant=bob.uri)
        self.ctl.call('msrp_conf_create', room=MADE, subject='Made')
        self.ctl.event('E_MSRP_CONF_NEW', room=MADE)
        for bad in ({}, {'room': 'tel:+1-201-555-0123'}, {'room': uri('x'), 'max_participants': 0}):
            self.refused(400, self.ctl.call, 'msrp_conf_create', **{'room': MADE, **bad})
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
    config = rooms({'uri': LOBBY}, history=0)

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
        alice.say('to two', to=f'{LOBBY}>, <{bob.uri}', code=404)
        alice.say('from two', sender=f'{alice.uri}>, <{bob.uri}', code=403)
        alice.say('from two', headers=[f'From: <{bob.uri}>'], code=403)
        alice.send('bare', 415)
        alice.send(b'no envelope at all', 415, content_type=CPIM)
        alice.send(b'--x--\r\n', 415, content_type='multipart/mixed;boundary=x')
        bob.heard_nothing(alice)

    def test_headers(self):
        """What else is in an envelope is for its readers (RFC 3862 4); names are by namespace."""
        alice, bob = self.join('alice'), self.join('bob')
        send = alice.say('all of it', headers=[
            f'cc: Bob <{bob.uri}>', 'DateTime: 2026-11-29T08:15:00+01:00', 'Subject: Essais',
            'Subject:;lang=fr Essais d\'hiver', 'NS: x <mid:x@example.org>', f'x.To: <{uri("nobody")}>',
            f'x.From: <{bob.uri}>'])
        self.assertEqual(bob.message(), send.body)
        core = 'NS: y <urn:ietf:params:cpim-headers:>'
        alice.say('From in disguise', headers=[core, f'y.From: <{bob.uri}>'], code=403)
        alice.say('To in disguise', headers=[core, f'y.To: <{bob.uri}>'], code=403)
        body = envelope('to nobody', alice.uri).replace(b'To: ', b'x-To: ')
        alice.send(body, 404, content_type=CPIM)

    def test_failure_report(self):
        """RFC 4975 7.1.2: with `no` no answer at all, with `partial` only what went wrong."""
        alice, bob = self.join('alice'), self.join('bob')
        for failure in ('no', 'partial'):
            alice.say(f'with {failure}', failure=failure, success='yes', code=None)
            self.assertRegex(alice.conn.expect('REPORT').get('Status'), '^000 200')
            bob.hears(f'with {failure}')
        alice.say('to nobody', uri('nobody'), failure='no', code=None)
        alice.say('to nobody', uri('nobody'), failure='partial', code=404)
        alice.say('and on')
        bob.hears('and on')
        self.assertFalse(alice.conn.inbox.has(lambda f: f.method != 'SEND'))

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
        self.assertIsNone(report.body)
        self.assertIsNone(bob.receive().get('Success-Report'))

    def test_private_reports(self):
        """RFC 7701 6.2: a REPORT on a private message has its addresses, as they came."""
        alice, bob = self.join('alice'), self.join('bob')
        to = '"Bob, the one" <sip:b%6Fb@IM.example.org>'
        body = (f'From: Alice <{alice.uri}>\r\nSubject: x\r\nTo: {to}\r\n\r\n'
                'Content-Type: text/plain\r\n\r\npsst').encode()
        send = alice.send(body, 200, content_type=CPIM, success='yes')
        report = alice.conn.expect('REPORT')
        self.assertEqual(report.message_id, send.message_id)
        self.assertRegex(report.get('Status'), '^000 200')
        self.assertEqual(report.get('Content-Type'), CPIM)
        self.assertEqual(report.body.partition(b'\r\n\r\n')[0].decode(),
                         f'From: Alice <{alice.uri}>\r\nTo: {to}')
        bob.hears('psst')
        alice.say('psst', to=bob.uri)
        bob.hears('psst')
        alice.msrp.flush()
        self.assertEqual(alice.conn.inbox.has(lambda f: f.method == 'REPORT'), [])

    def test_private_report_of_a_failure(self):
        """The same for one that is refused when its last chunk was answered already."""
        alice = self.join('alice')
        body = envelope('psst', alice.uri, uri('nobody'))
        first, last = alice.msrp.chunks(body, len(body) // 2 + 1, content_type=CPIM)
        alice.conn.send(last)
        alice.conn.expect_response(last, 200)
        alice.conn.send(first)
        alice.conn.expect_response(first, 200)
        report = alice.conn.expect('REPORT')
        self.assertRegex(report.get('Status'), '^000 404')
        self.assertIn(f'To: <{uri("nobody")}>'.encode(), report.body)

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

    def test_long_message(self):
        """It goes on while it arrives: the first byte is there before the last is sent."""
        alice, bob, carol = (self.join(user) for user in ('alice', 'bob', 'carol'))
        for total in ('known', 'unknown'):
            body = envelope(b'0123456789' * 20000, alice.uri)
            frames = alice.msrp.chunks(body, 50000, content_type=CPIM, total=total)
            alice.conn.send(frames[0])
            alice.conn.expect_response(frames[0], 200)
            first = [participant.receive() for participant in (bob, carol)]
            for frame in frames[1:]:
                alice.conn.send(frame)
                alice.conn.expect_response(frame, 200)
            for participant, frame in zip((bob, carol), first):
                self.assertEqual(participant.rest_of(frame), body)
        self.assertEqual(len(self.ctl.event('E_MSRP_CONF_MESSAGE')['body']), 200000)

    def test_short_in_pieces(self):
        """What is one chunk goes as one, however it comes, and what is said next comes next."""
        alice, bob = self.join('alice'), self.join('bob')
        body = envelope(b'x' * 6000, alice.uri)
        first, last = alice.msrp.chunks(body, 5000, content_type=CPIM)
        alice.conn.send(first)
        alice.conn.expect_response(first, 200)
        alice.conn.send(last, alice.msrp.build('SEND', envelope('and this', alice.uri),
                                               content_type=CPIM))
        frame = bob.receive()
        self.assertEqual((frame.body, frame.flag), (body, '$'))
        bob.hears('and this')

    def test_long_message_given_up(self):
        """Those who have a part of it are told that no more comes."""
        alice, bob = self.join('alice'), self.join('bob')
        frames = alice.msrp.chunks(envelope(b'x' * 50000, alice.uri), 20000, content_type=CPIM)
        alice.conn.send(frames[0])
        first = bob.receive()
        alice.bye()
        while first.flag == '+':
            first = bob.conn.expect(lambda f: f.method == 'SEND')
        self.assertEqual(first.flag, '#')
        self.assertEqual(self.ctl.pending('E_MSRP_CONF_MESSAGE'), [])

    def test_unbounded_message(self):
        """One who takes less gets it aborted, the others get it."""
        alice, bob = self.join('alice'), self.join('bob')
        carol = self.join('carol', max_size=50000)
        body = envelope(b'y' * 60000, alice.uri)
        for frame in alice.msrp.chunks(body, 20000, content_type=CPIM, total='unknown'):
            alice.conn.send(frame)
            alice.conn.expect_response(frame, 200)
        self.assertEqual(bob.message(), body)
        frame = carol.receive()
        while frame.flag == '+':
            frame = carol.conn.expect(lambda f: f.method == 'SEND')
        self.assertEqual(frame.flag, '#')

    def test_anonymous(self):
        """Privacy: id: nobody learns the name, not even from the sender's own client."""
        alice = self.join('alice', headers=[('Privacy', 'id')])
        bob = self.join('bob')
        self.assertRegex(alice.known_as, r'^sip:anonymous-\w+@anonymous\.invalid$')
        alice.say('guess', sender=alice.uri)
        bob.hears('guess', alice.known_as)
        alice.say('again', sender=alice.known_as)
        bob.hears('again', alice.known_as)
        bob.say('psst', to=alice.known_as)
        alice.hears('psst', bob.uri)
        bob.say('psst', to=alice.uri, code=404)

    def test_anonymous_callers(self):
        """RFC 3323 4.1.1.3: two who write the same into From are not one user."""
        unknown = 'sip:anonymous@anonymous.invalid'
        one, two, bob = self.join(unknown), self.join(unknown), self.join('bob')
        self.assertNotEqual(one.known_as, two.known_as)
        one.say('hello')
        bob.hears('hello', one.known_as)
        two.hears('hello', one.known_as)
        bob.say('psst', to=one.known_as)
        one.hears('psst')
        two.heard_nothing(bob)
        thief = self.join(one.known_as)
        self.assertNotEqual(thief.known_as, one.known_as)

    def test_signals(self):
        """Typing and notifications pass to whom they are for, and are no messages."""
        alice, bob = self.join('alice'), self.join('bob')
        alice.say('<isComposing/>', content_type='application/im-iscomposing+xml')
        bob.hears('<isComposing/>')
        bob.say('<imdn/>', to=alice.uri, content_type='message/imdn+xml')
        alice.hears('<imdn/>')
        self.assertEqual(self.ctl.pending('E_MSRP_CONF_MESSAGE'), [])

    def test_commands(self):
        """An application speaks in the room."""
        alice, bob = self.join('alice'), self.join('bob')
        sent = self.ctl.call('msrp_conf_send', room=LOBBY, body='Welcome')
        for participant in (alice, bob):
            head, _, _ = participant.hears('Welcome', LOBBY, LOBBY)
            self.assertRegex(head['DateTime'], r'^20\d\d-.*Z$')
        self.assertEqual(self.ctl.event('E_MSRP_CONF_MESSAGE', message_id=sent['message_id'])['body'],
                         'Welcome')
        self.ctl.call('msrp_conf_send', room=LOBBY, body='<b>hi</b>', mime='text/html',
                      **{'from': 'sip:bot@im.example.org', 'to': bob.uri})
        bob.hears('<b>hi</b>', 'sip:bot@im.example.org', bob.uri)
        alice.heard_nothing(bob)
        self.refused(404, self.ctl.call, 'msrp_conf_send', room=LOBBY, body='x', to=uri('nobody'))
        self.refused(400, self.ctl.call, 'msrp_conf_send', room=LOBBY)
        for mime in ('a\rb', 'text', 'text/plain, text/html', ''):
            self.refused(400, self.ctl.call, 'msrp_conf_send', room=LOBBY, body='x', mime=mime)

    def test_invite(self):
        """The room calls somebody in (RFC 4579 5.5)."""
        alice = self.join('alice')
        carol = self.ua(user='carol', name='carol')
        listener = self.listener()
        session_id = self.ctl.call('msrp_conf_invite', room=LOBBY, uri=carol.contact())['session_id']
        invite = carol.expect('INVITE')
        self.assertIn(';isfocus', invite.request.get('Contact'))
        self.assertIn(LOBBY, invite.request.get('From'))
        self.assertIn('nickname', sdp.Sdp(invite.request.body).message.get('chatroom'))
        invite.respond(200, sdp.document(sdp.message(listener.uri(), CPIM, setup='passive', extra=[
            'a=accept-wrapped-types:*'])))
        Dialog.of_server(invite).expect('ACK')
        self.ctl.event('E_MSRP_CONF_JOIN', session_id=session_id, participant=carol.contact())
        conn = listener.accept()
        conn.expect('SEND')
        alice.say('Hello, Carol')
        self.assertIn(b'Hello, Carol', conn.expect('SEND').body)
        self.ctl.call('msrp_conf_invite', room=LOBBY, uri=carol.contact())
        carol.expect('INVITE').respond(603)
        self.refused(400, self.ctl.call, 'msrp_conf_invite', room=LOBBY, uri='nobody')


class NicknameTest(RoomCase):
    config = rooms({'uri': LOBBY, 'users': ['alice', 'bob', 'carol']}, {'uri': uri('open')},
                   reserved_nicknames='Moderator')

    def test_taken(self):
        """Unique without regard to case and the like; a user may have one on all devices."""
        alice, bob = self.join('alice'), self.join('bob')
        alice.nickname('Ally')
        event = self.ctl.event('E_MSRP_CONF_NICKNAME')
        self.assertEqual((event['participant'], event['nickname']), (alice.uri, 'Ally'))
        for taken in ('ally', 'ALLY', '  Ally ', '\uff21\uff4c\uff4c\uff59', 'moderator', 'Carol'):
            bob.nickname(taken, 425)
        bob.nickname('bob')
        self.join('alice').nickname('ally')
        self.assertEqual([p['nickname'] for p in self.ctl.call('msrp_conf_list', room=LOBBY)[0][
            'participants']], ['Ally', 'bob', 'ally'])

    def test_malformed(self):
        alice = self.join('alice', uri('open'))
        for bad in ('   ', 'a\u200bb', 'x' * 1024):
            alice.nickname(bad, 424)
        alice.nickname(None, 424)
        alice.nickname('Zo\u00eb  \u00a0the 1st')
        self.assertEqual(self.ctl.event('E_MSRP_CONF_NICKNAME')['nickname'], 'Zo\u00eb the 1st')

    def test_released(self):
        """By another one, by none, by leaving; not by one that was refused."""
        alice, bob = self.join('alice'), self.join('bob')
        alice.nickname('one')
        alice.nickname('carol', 425)
        bob.nickname('one', 425)
        alice.nickname('two')
        bob.nickname('one')
        bob.nickname('')
        self.ctl.event('E_MSRP_CONF_NICKNAME', participant=bob.uri, nickname=None)
        alice.nickname('one')
        alice.bye()
        self.assertEqual(self.left(alice, 'bye')['nickname'], 'one')
        bob.nickname('One')


class NoNicknamesTest(RoomCase):
    config = rooms({'uri': LOBBY}, nicknames=False, private_messages=False)

    def test_off(self):
        alice, bob = self.join('alice'), self.join('bob')
        self.assertIsNone(alice.sdp.message.get('chatroom'))
        self.assertIn(('chatroom', None), alice.sdp.message.attributes)
        alice.nickname('Ally', 403)
        alice.say('psst', to=bob.uri, code=428)


class HistoryTest(RoomCase):
    config = rooms({'uri': LOBBY}, history=3, history_bytes=2000)

    def test_given_to_who_comes(self):
        """The last three, with the time at which they were said; nothing private."""
        alice, bob = self.join('alice'), self.join('bob')
        for number in range(4):
            alice.say(f'message {number}')
        alice.say('dated', headers=['DateTime: 2020-02-20T20:20:20Z'])
        alice.say('psst', to=bob.uri)
        alice.say('<isComposing/>', content_type='application/im-iscomposing+xml')
        alice.say('z' * 3000)
        for _ in range(7):
            bob.message()
        carol = self.join('carol')
        for number in (2, 3):
            head, _, _ = carol.hears(f'message {number}', alice.uri, LOBBY)
            self.assertRegex(head['DateTime'], r'^20\d\d-\d\d-\d\dT.*Z$')
        self.assertEqual(carol.hears('dated')[0]['DateTime'], '2020-02-20T20:20:20Z')
        carol.heard_nothing(alice)
        history = self.ctl.call('msrp_conf_history', room=LOBBY)
        self.assertEqual([entry['body'] for entry in history], ['message 2', 'message 3', 'dated'])
        self.assertEqual(history[2]['from'], alice.uri)
        self.assertEqual(history[2]['datetime'], '2020-02-20T20:20:20Z')
        self.refused(404, self.ctl.call, 'msrp_conf_history', room=uri('nowhere'))


class SlowTest(RoomCase):
    config = merge(rooms({'uri': LOBBY}, history=0), {
        'msrp': {'send_queue': '64KiB', 'shared_stall': '3s', 'max_message_size': '64MiB'},
        'ua': {'max_queued_bytes': '64MiB'}})

    def test_dropped(self):
        """Who does not read goes; the others hear everything."""
        alice, bob, carol = (self.join(user) for user in ('alice', 'bob', 'carol'))
        carol.conn.narrow()
        carol.conn.pause()
        body = envelope(b'0' * 200000, alice.uri)
        for number in range(60):
            alice.msrp.send(body, content_type=CPIM)
            self.assertEqual(len(bob.message()), len(body))
            if self.ctl.pending('E_MSRP_CONF_LEAVE'):
                break
        self.left(carol, 'slow')
        alice.say('still here')
        bob.hears('still here')
        self.assertEqual(self.statistics()['slow'], 1)


class CrowdTest(RoomCase):
    config = rooms({'uri': LOBBY}, history=0)

    def test_many(self):
        """Several speak at once: everybody hears everything, each speaker's words in order."""
        crowd = [self.join(f'user{number}') for number in range(24)]
        speakers, words = crowd[:4], 15
        for word in range(words):
            for number, speaker in enumerate(speakers):
                # Some of one chunk, some of several.
                speaker.say(f'{word} ' + 'x' * (100, 3000, 40000, 90000)[number], code=None)
        for participant in crowd:
            others = [speaker for speaker in speakers if speaker is not participant]
            heard = {speaker.uri: [] for speaker in others}
            for head, content in participant.hears_all(len(others) * words):
                heard[head['From'].strip('<>')].append(int(content.split(b' ')[0]))
            for speaker in others:
                self.assertEqual(sorted(heard[speaker.uri]), list(range(words)))
            for speaker in others[:2]:      # what is short keeps its order
                if speaker in speakers[:2]:
                    self.assertEqual(heard[speaker.uri], list(range(words)))


class SampleTest(RoomCase):
    """conf/rooms.yaml as it stands, on other ports."""

    sample = 'rooms'

    def test_rooms(self):
        for room in ('sip:lobby@127.0.0.1', 'sip:staff@127.0.0.1', 'sip:made@127.0.0.1'):
            alice, bob = self.join('alice', room), self.join('bob', room)
            alice.say('Hello')
            bob.hears('Hello', alice.uri, room)
        self.refused_join(403, 'carol', 'sip:staff@127.0.0.1')


class ReloadTest(RoomCase):
    own_daemon = True

    def test_reload(self):
        """Rooms are added and change; one taken out ends when it is empty."""
        daemon, ctl = self.start(rooms({'uri': LOBBY, 'subject': 'One'}, {'uri': MADE}))
        alice = self.join('alice', daemon=daemon, ctl=ctl)
        daemon.config = merge(daemon.config, rooms({'uri': uri('new'), 'subject': 'New'}))
        daemon.write_config()
        ctl.call('reload')
        ctl.event('E_MSRP_CONF_NEW', room=uri('new'))
        ctl.event('E_MSRP_CONF_END', room=MADE)
        self.assertEqual(self.participants(LOBBY, ctl), [alice.uri])
        alice.bye()
        self.left(alice, 'bye', ctl)
        ctl.event('E_MSRP_CONF_END', room=LOBBY)


if __name__ == '__main__':
    case.main()
