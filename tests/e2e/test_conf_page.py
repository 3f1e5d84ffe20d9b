#!/usr/bin/env python3
"""Chat rooms for phones that have SIP MESSAGE alone."""
from lib import case
from lib.daemon import merge
from lib.rooms import LOBBY, RoomCase, rooms, uri


class PageTest(RoomCase):
    config = rooms({'uri': LOBBY}, {'uri': uri('staff'), 'users': ['alice']},
                   {'uri': uri('small'), 'max_participants': 1}, history=0)

    def setUp(self):
        super().setUp()
        self.sip                                # peers with sessions call from here
        self.phone = self.ua(user='phone', name='phone')
        self.uri = self.phone.contact()

    def write(self, text, code=200, room=LOBBY, content_type='text/plain', phone=None, headers=(),
              from_uri=None, **kwargs):
        """A MESSAGE from the phone to the room."""
        phone = phone or self.phone
        transport = phone.reach('127.0.0.1', self.daemon.sip_port, 'UDP')
        request = phone.build('MESSAGE', room, transport, text.encode(), content_type=content_type,
                              from_uri=from_uri or phone.contact(), to_uri=room,
                              headers=headers, **kwargs)
        phone.transact(request, transport).final(code)

    def gets(self, text, code=200, phone=None, hops=70):
        """The phone is sent the next MESSAGE, and answers it."""
        transaction = (phone or self.phone).expect('MESSAGE')
        self.assertEqual(transaction.request.get('Max-Forwards'), str(hops))
        self.assertEqual(transaction.request.body.decode(), text)
        self.assertIn(LOBBY, transaction.request.get('From'))
        transaction.respond(code)

    def test_conversation(self):
        """The first MESSAGE joins; texts of others come in order, with their names."""
        alice = self.join('alice')
        self.write('Hello from a phone')
        self.ctl.event('E_MSRP_CONF_JOIN', participant=self.uri, session_id=None)
        alice.hears('Hello from a phone', self.uri, LOBBY)
        alice.nickname('Ally')
        for number in range(5):
            alice.say(f'answer {number}')
        for number in range(5):
            self.gets(f'Ally: answer {number}')
        event = self.ctl.event('E_MSRP_CONF_MESSAGE', **{'from': self.uri})
        self.assertEqual(event['body'], 'Hello from a phone')
        alice.say(b'\xff\xd8', content_type='image/jpeg')
        alice.say('psst', to=self.uri, code=428)
        other = self.ua(user='other', name='other')
        self.write('another phone', phone=other)
        self.gets('other: another phone', hops=69)
        alice.hears('another phone')
        self.ctl.call('msrp_conf_send', room=LOBBY, body='notice')
        self.gets('lobby: notice')
        self.gets('lobby: notice', phone=other)
        self.assertEqual([p['mode'] for p in self.ctl.call('msrp_conf_list', room=LOBBY)[0][
            'participants']], ['msrp', 'page', 'page'])

    def test_hops(self):
        """A phone may be another room: RFC 3261 16.3."""
        other = self.ua(user='other', name='other')
        self.write('hello')
        self.write('one less', phone=other, hops=5)
        self.gets('other: one less', hops=4)
        self.write('the last', phone=other, hops=1)
        self.gets('other: the last', hops=0)
        self.write('none is left', phone=other, hops=0, code=483)
        self.phone.flush(self.daemon.sip_port)
        self.assertEqual(self.phone.requests.has(), [])

    def test_commands(self):
        alice = self.join('alice')
        self.write('/leave')
        self.write('/nick Fon')
        self.ctl.event('E_MSRP_CONF_JOIN', participant=self.uri)
        self.gets('You are Fon now.')
        alice.nickname('fon', 425)
        self.write('/who')
        self.gets('alice, Fon')
        self.write('/nick')
        self.gets('You have no nickname now.')
        self.write('/what')
        self.gets('I know /nick NAME, /who and /leave.')
        self.write('/leave')
        self.ctl.event('E_MSRP_CONF_LEAVE', participant=self.uri, reason='bye')
        alice.say('Bye, phone')
        alice.heard_nothing()
        self.assertEqual(self.participants(), [alice.uri])
        self.assertEqual(self.phone.requests.has(lambda t: t.method == 'MESSAGE'), [])

    def test_anonymous(self):
        """Privacy: id: nobody learns who it is, and he is the same one in each MESSAGE."""
        private = [('Privacy', 'id')]
        alice = self.join('alice')
        self.write('guess who', headers=private)
        known_as = self.ctl.event('E_MSRP_CONF_JOIN', session_id=None)['participant']
        self.assertRegex(known_as, r'^sip:anonymous-\w+@anonymous\.invalid$')
        alice.hears('guess who', known_as)
        self.write('still here')        # one that does not ask again
        alice.hears('still here', known_as)
        alice.say('hello, you')
        self.gets('alice: hello, you')
        self.write('/who')
        self.gets('alice, ' + known_as[4:].partition('@')[0])
        for _ in range(2):
            self.assertEqual(self.ctl.event('E_MSRP_CONF_MESSAGE')['from'], known_as)
        self.assertEqual(self.participants(), [alice.uri, known_as])
        alice.say('psst', to=self.uri, code=404)
        self.write('/leave')
        self.ctl.event('E_MSRP_CONF_LEAVE', participant=known_as, reason='bye')

    def test_anonymous_later(self):
        """Who is here by name and asks to remain unknown leaves, and comes anew."""
        alice = self.join('alice')
        self.write('by name')
        alice.hears('by name', self.uri)
        self.write('unknown', headers=[('Privacy', 'header;user')])
        self.ctl.event('E_MSRP_CONF_LEAVE', participant=self.uri, reason='bye')
        head, _, _ = alice.hears('unknown')
        self.assertIn('@anonymous.invalid>', head['From'])
        self.assertNotIn(self.uri, self.participants())
        self.write('x', 433, from_uri='sip:anonymous@anonymous.invalid')

    def test_refused(self):
        self.write('x', 404, uri('nowhere'))
        self.write('x', 403, uri('staff'))
        self.write('<b>x</b>', 415, content_type='text/html')
        self.write('', 400)
        self.write('x', room=uri('small'))
        self.write('x', 486, uri('small'), phone=self.ua(user='other', name='other'))

    def test_failures(self):
        """One that does not take its MESSAGEs has left; one failure is none."""
        alice = self.join('alice')
        self.write('here')
        alice.say('first')
        self.gets('alice: first', 480)
        alice.say('second')
        self.gets('alice: second')
        for _ in range(3):
            alice.say('and more')
        for _ in range(3):
            self.gets('alice: and more', 480)
        self.ctl.event('E_MSRP_CONF_LEAVE', participant=self.uri, reason='failed')


class TimeoutTest(PageTest):
    """The same with a short page_timeout."""
    config = merge(rooms({'uri': LOBBY}), {'conference': {'page_timeout': '1s'}})
    test_conversation = test_hops = test_commands = test_refused = test_failures = None
    test_anonymous = test_anonymous_later = None

    def test_silent(self):
        self.write('here, and then no more')
        self.ctl.event('E_MSRP_CONF_LEAVE', participant=self.uri, reason='expired')


if __name__ == '__main__':
    case.main()
