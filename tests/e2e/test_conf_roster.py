#!/usr/bin/env python3
"""Who is in a room: the event package conference (RFC 4575), nicknames as in RFC 6501."""
from lib import case
from lib.daemon import merge
from lib.digest import sip_credentials
from lib.rooms import LOBBY, RoomCase, rooms, uri
from lib.roster import INFO, NICKNAME, Watcher
from lib.sip import Dialog


class RosterTest(RoomCase):
    config = rooms({'uri': LOBBY, 'subject': 'A & B <"lobby">'},
                   {'uri': uri('staff'), 'users': ['alice']})

    def setUp(self):
        super().setUp()
        self.sip
        self.desk = self.ua(user='desk', name='desk')

    def test_full_then_partial(self):
        alice = self.join('alice')
        alice.nickname('A<l>&"y"')
        desk = Watcher(self, self.desk)
        full = desk.notified()
        self.assertEqual((full.state, full.entity), ('full', LOBBY))
        self.assertEqual(full.subject, 'A & B <"lobby">')
        self.assertEqual(full.users[alice.uri].get(NICKNAME), 'A<l>&"y"')
        self.assertEqual(full.endpoints(alice.uri)[0].findtext(f'{INFO}joining-method'), 'dialed-in')
        bob = self.join('bob')
        partial = desk.notified()
        self.assertEqual((partial.state, list(partial.users)), ('partial', [bob.uri]))
        self.assertIsNone(partial.subject)
        again = self.join('alice')
        desk.until(lambda users: len(users[alice.uri].findall(f'{INFO}endpoint')) == 2)
        alice.nickname('other')
        desk.until(lambda users: users[alice.uri].get(NICKNAME) == 'other')
        for participant in (alice, again):
            participant.bye()
        desk.until(lambda users: alice.uri not in users)
        self.assertEqual(list(desk.users), [bob.uri])

    def test_long(self):
        """More than one NOTIFY has room for: all of it, in several, over TCP or by UDP."""
        names = [f'{number:02} {"n" * 900}' for number in range(40)]
        for number, name in enumerate(names):
            self.join(f'user{number}', connect=False, display=name)
        for udp, kind in (('', 'TCP'), (';transport=udp', 'UDP')):
            with self.subTest(kind):
                desk = Watcher(self, self.desk, udp=udp)
                first = desk.notified()
                self.assertEqual((first.state, first.count, desk.kind), ('full', 40, kind))
                self.assertLess(len(first.users), 40)
                desk.until(lambda users: len(users) == 40)
                self.assertEqual(desk.users[uri('user39')].findtext(f'{INFO}display-text'),
                                 names[39])

    def test_options(self):
        """RFC 4579 4.3: who asks sees that it is a room, within its dialog and without one."""
        def contact(to, from_uri=None):
            transport = self.desk.reach('127.0.0.1', self.daemon.sip_port)
            return self.desk.request('OPTIONS', to, transport,
                                     from_uri=from_uri).final(200).get('Contact')
        self.assertRegex(contact(LOBBY), r'^<sip:lobby@127\.0\.0\.1:\d+\S*>;isfocus$')
        self.assertNotIn('isfocus', contact(uri('nowhere')))
        self.assertNotIn('isfocus', contact(uri('staff')))
        self.assertIn('staff@127.0.0.1', contact(uri('staff'), uri('alice')))
        alice = self.join('alice')
        self.assertEqual(alice.dialog.request('OPTIONS').final(200).get('Contact'),
                         alice.answer.get('Contact'))

    def test_rate(self):
        """However much happens: two a second at most, and in the end all of it is known."""
        desk = Watcher(self, self.desk)
        desk.notified()
        alice = self.join('alice')
        for number in range(40):
            alice.nickname(f'name {number}')
        desk.until(lambda users: alice.uri in users
                   and users[alice.uri].get(NICKNAME) == 'name 39')
        self.assertLess(desk.version, 20)
        self.assertGreaterEqual(min(b - a for a, b in zip(desk.came, desk.came[1:])), 0.5)

    def test_refused(self):
        Watcher(self, self.desk, uri('nowhere'), code=404)
        Watcher(self, self.desk, uri('staff'), code=403)
        Watcher(self, self.desk, event='presence', code=489)
        Watcher(self, self.desk, uri('staff'), from_uri=uri('alice')).notified()

    def test_anonymous(self):
        alice = self.join('alice', headers=[('Privacy', 'id')])
        desk = Watcher(self, self.desk)
        self.assertEqual(list(desk.notified().users), [alice.known_as])

    def test_by_contact(self):
        """RFC 4579 4.2: the URI in our Contact names the room: to watch it, and to come in."""
        alice = self.join('alice')
        contact = alice.answer.get('Contact').partition('>')[0].strip('<')
        self.assertRegex(contact, r'^sip:lobby@127\.0\.0\.1:')
        desk = Watcher(self, self.desk, contact)
        self.assertEqual(desk.notified().entity, LOBBY)
        transaction, _ = self.ask('bob', contact)
        Dialog.of_client(transaction, transaction.final(200)).ack()
        self.ctl.event('E_MSRP_CONF_JOIN', room=LOBBY, participant=uri('bob'))
        desk.until(lambda users: uri('bob') in users)
        self.ctl.call('msrp_conf_create', room='sip:lobby@elsewhere.example')
        Watcher(self, self.desk, contact, code=404)     # which of the two?
        self.ctl.call('msrp_conf_end', room='sip:lobby@elsewhere.example')

    def test_room_ends(self):
        self.ctl.call('msrp_conf_create', room=uri('made'), subject='Made')
        desk = Watcher(self, self.desk, uri('made'))
        self.assertEqual(desk.notified().subject, 'Made')
        self.ctl.call('msrp_conf_end', room=uri('made'))
        self.assertEqual(desk.ended(), (uri('made'), 'deleted'))
        self.assertRegex(desk.state, '^terminated;.*noresource')


class RealmTest(RoomCase):
    """RFC 4575 3.5: who watches shows who he is."""
    config = merge(rooms({'uri': uri('staff'), 'users': ['alice']}, roster_realm='im.example.org'),
                   {'users': {'alice': {'password': 'secret'}, 'bob': {'password': 'builder'}}})

    def watch(self, user, password, code):
        challenge = Watcher(self, self.sip, uri('staff'), code=401,
                            from_uri=uri('alice')).answer.get('WWW-Authenticate')
        proof = sip_credentials(challenge, 'SUBSCRIBE', uri('staff'), user, password)
        return Watcher(self, self.sip, uri('staff'), code=code, from_uri=uri('alice'),
                       headers=[('Authorization', proof)])

    def test_credentials(self):
        self.watch('alice', 'wrong', 401)
        self.watch('bob', 'builder', 403)
        self.assertEqual(self.watch('alice', 'secret', 200).notified().state, 'full')


class SubjectTest(RoomCase):
    own_daemon = True

    def test_reload(self):
        daemon, ctl = self.start(rooms({'uri': LOBBY, 'subject': 'One'}))
        desk = Watcher(self, self.sip, daemon=daemon)
        desk.notified()
        daemon.config = merge(daemon.config, rooms({'uri': LOBBY, 'subject': 'Two'}))
        daemon.write_config()
        ctl.call('reload')
        self.assertEqual(desk.notified().subject, 'Two')


if __name__ == '__main__':
    case.main()
