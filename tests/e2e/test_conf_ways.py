#!/usr/bin/env python3
"""Chat rooms whose participants come each in its way: TCP, TLS, WebSocket, through a relay."""
from lib import case, certs, msrp, sdp, ws
from lib.frame import new_id
from lib.relay_client import PLAIN, Client
from lib.rooms import CPIM, LOBBY, RoomCase, envelope, rooms, uri


class WaysTest(RoomCase):
    @classmethod
    def prepare(cls):
        ca = certs.Authority(cls.directory)
        own = ca.issue('msrpd', ['IP:127.0.0.1'])
        cls.tls = certs.client_context(ca)
        cls.config = {**rooms({'uri': LOBBY}, history=0), 'msrp': {
            'listen': [{'name': 'inside', 'uri': 'msrp://127.0.0.1:0;tcp'},
                       {'name': 'outside', 'uri': 'msrps://127.0.0.1:0;tcp'},
                       {'name': 'web', 'uri': 'msrp://127.0.0.1:0;ws'},
                       {'name': 'secure-web', 'uri': 'msrps://127.0.0.1:0;ws'}],
            'tls': {'certificate': own.certificate, 'private_key': own.key, 'ca_file': ca.file}}}

    def tls_join(self, user):
        path = f'msrps://127.0.0.1:9/{new_id()};tcp'
        participant = self.join(user, path=path, connect=False)
        self.assertRegex(participant.path[0], '^msrps:.*;tcp$')
        return participant.connect(tls=self.tls)

    def web_join(self, user, scheme):
        path = f'{scheme}://{new_id()}.invalid:2855/{new_id()};ws'
        participant = self.join(user, path=path, connect=False)
        self.assertRegex(participant.path[0], f'^{scheme}:.*;ws$')
        participant.attach(ws.connect(participant.path[0], tls=self.tls if 'msrps' in path else None))
        participant.msrp.bind()
        return participant

    def relayed_join(self, user):
        """Behind a relay of his own, another daemon."""
        relay, ctl = self.start(PLAIN)
        host, port = relay.listeners(ctl)[0]
        client = Client(f'msrp://{host}:{port};tcp')
        client.auth()
        participant = self.join(user, path=' '.join(client.path), connect=False)
        participant.attach(client.conn)
        participant.msrp.to_path = [*client.use_path, *participant.path]
        participant.msrp.bind()
        return participant

    def test_each_to_each(self):
        everybody = [self.join('tcp'), self.tls_join('tls'), self.web_join('web', 'msrp'),
                     self.web_join('secure', 'msrps'), self.relayed_join('relayed')]
        for speaker in everybody:
            words = f'from {speaker.user}'
            speaker.say(words)
            for listener in everybody:
                if listener is not speaker:
                    listener.hears(words, speaker.uri, LOBBY)
        # A long one, which is cut to each one's measure.
        for speaker in everybody:
            body = envelope(speaker.user + ' ' + 'x' * 100000, speaker.uri)
            for frame in speaker.msrp.chunks(body, 20000, content_type=CPIM):
                speaker.conn.send(frame)
                speaker.conn.expect_response(frame, 200)
            for listener in everybody:
                if listener is not speaker:
                    self.assertEqual(listener.message(), body)
        # Private ones, and what is reported of them, over the relay as well.
        for speaker, listener in zip(everybody, everybody[1:] + everybody[:1]):
            speaker.say('psst', to=listener.uri, success='yes')
            listener.hears('psst', speaker.uri, listener.uri)
            report = speaker.conn.expect('REPORT')
            self.assertRegex(report.get('Status'), '^000 200')
            self.assertIn(f'To: <{listener.uri}>'.encode(), report.body)
            speaker.nickname(f'the {speaker.user}')
        for participant in everybody:
            participant.bye()
            self.left(participant, 'bye')

    def test_another_offer(self):
        """RFC 7701 section 8: what a client said last counts; the focus says again what it is."""
        alice, bob = self.join('alice'), self.join('bob')
        alice.say('psst', to=bob.uri)
        bob.hears('psst')
        answer = bob.dialog.reinvite(self.offer(bob.own_path[0], CPIM, extra=[
            'a=accept-wrapped-types:text/plain']))
        self.assertRegex(answer.get('Contact'), r'<sip:lobby@.*>;isfocus')
        self.assertIn('private-messages', sdp.Sdp(answer.body).message.get('chatroom'))
        alice.say('psst', to=bob.uri, code=428)
        alice.say('<html/>', content_type='text/html')
        alice.say('still here')
        bob.hears('still here', alice.uri)
        self.assertEqual(len(self.participants()), 2)

    def test_a_refusing_client(self):
        """One that answers 415 to what is in an envelope still gets the next one."""
        alice, bob = self.join('alice'), self.join('bob', behave=msrp.answer_with(415))
        alice.say('<html/>', content_type='text/html')
        bob.hears('<html/>')
        bob.conn.behave = msrp.answer_ok
        alice.say('plain')
        bob.hears('plain', alice.uri)

    def test_beside_the_offer(self):
        """A MESSAGE in the dialog of a session is a message of it, with the answers of SIP."""
        alice, bob = self.join('alice'), self.join('bob')
        for to, code in ((LOBBY, 200), (bob.uri, 200), (uri('nobody'), 488)):
            transaction = alice.dialog.request(
                'MESSAGE', envelope('by MESSAGE', alice.uri, to), content_type=CPIM)
            self.assertEqual(transaction.final().code == 200, code == 200)
            if code == 200:
                bob.hears('by MESSAGE', alice.uri, to)


if __name__ == '__main__':
    case.main()
