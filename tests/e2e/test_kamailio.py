#!/usr/bin/env python3
"""The UA behind a relay that is none of ours: Kamailio's msrp module."""
import re
import sys

from lib import case, kamailio, msrp, sdp, ws
from lib.case import Call
from lib.daemon import free_port
from lib.frame import new_id
from lib.relay import CREDENTIALS
from lib.relay_client import Client
from lib.sip import Dialog


class Kamailio(kamailio.Kamailio):
    """Kamailio as an MSRP relay."""

    def __init__(self, directory):
        super().__init__(directory, 'relay.cfg', free_port())

    @property
    def uri(self):
        return f'msrp://127.0.0.1:{self.port};tcp'


class KamailioTest(case.Case):
    @classmethod
    def prepare(cls):
        cls.kamailio = Kamailio(cls.directory)
        cls.addClassCleanup(cls.kamailio.stop)
        cls.config = {'ua': {'relay_uri': cls.kamailio.uri}, 'credentials': CREDENTIALS}

    def incoming(self, own=None):
        """We call; msrpd answers with the Use-Path that Kamailio granted it; we connect there."""
        own = own or f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction = self.invite(self.offer(own, setup='active'))
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        description = sdp.Sdp(answer.body)
        event = self.ctl.event('E_MSRP_SESSION_NEW')
        call = Call(self, dialog, description, own, session_id=event['session_id'])
        call.attach(msrp.connect(call.path[0], relay=True, name='peer of Kamailio'))
        call.msrp.bind()
        return call

    def test_path(self):
        """RFC 4976 4.2, 5.1: AUTH with Digest; a=path is Kamailio's URI and then ours."""
        call = self.incoming()
        self.assertRegex(call.path[0],
                         rf'^msrp://127\.0\.0\.1:{self.kamailio.port}/kamailio[0-9]+;tcp$')
        self.assertEqual(len(call.path), 2)
        self.assertIsNone(re.search('kamailio', call.path[1]))

    def test_messages_in(self):
        """What the peer sends to Kamailio arrives; the success REPORT finds its way back."""
        listener = self.listener(relay=True)        # Kamailio connects to the path, as relays do
        call = self.incoming(listener.uri())
        sent = call.send('through Kamailio', success='yes')
        self.assertEqual(self.received(call)['body'], 'through Kamailio')
        report = listener.accept().expect('REPORT')
        self.assertEqual((report.message_id, report.get('Byte-Range')),
                         (sent.message_id, '1-16/16'))

    def test_messages_out(self):
        """What msrpd sends goes through Kamailio to the listener that we offered."""
        listener = self.listener(relay=True)
        session_id, invite = self.start_session()
        offer = sdp.Sdp(invite.request.body)
        self.assertEqual(len(offer.message.path), 2)
        path = listener.uri()
        invite.respond(200, sdp.document(sdp.message(path, setup='passive')))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        call = Call(self, dialog, offer, path, session_id=session_id)
        message_id = self.say(call, 'out through Kamailio', success_report='yes')
        conn = listener.accept()
        frame = conn.expect(lambda f: f.body is not None)
        self.assertEqual((frame.message_id, frame.body), (message_id, b'out through Kamailio'))
        self.assertEqual(frame.from_path, offer.message.path)
        conn.send(msrp.report_for(frame, '000 200 OK', '1-20/20'))
        self.assertEqual(self.ctl.event('E_MSRP_REPORT_RECEIVED'), {
            'session_id': session_id, 'message_id': message_id, 'status': '000 200 OK',
            'byte_range': '1-20/20'})

    def test_long_message_out(self):
        """Chunks behind a relay are small enough for it, and end where a character does."""
        listener = self.listener(relay=True)
        session_id, invite = self.start_session()
        path = listener.uri()
        invite.respond(200, sdp.document(sdp.message(path, setup='passive')))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        call = Call(self, dialog, sdp.Sdp(invite.request.body), path, session_id=session_id)
        body = 'é' * 30000
        self.say(call, body)
        conn = listener.accept()
        got = ''
        while len(got) < len(body):
            got += conn.expect(lambda f: f.body is not None).body.decode()
        self.assertEqual(got, body)

    def test_two_sessions(self):
        """RFC 4976 3.1, 5.2: each session has its grant; they do not mix."""
        one, two = self.incoming(), self.incoming()
        self.assertNotEqual(one.path[0], two.path[0])
        one.send('one')
        two.send('two')
        self.received(one, body='one')
        self.received(two, body='two')
        for call in (one, two):
            self.say(call, f'to {call.id}')

    def test_chunks(self):
        """Chunks that Kamailio can carry make one message."""
        call = self.incoming()
        body = bytes(range(32, 127)) * 100
        for frame in call.msrp.chunks(body, 4000):
            call.conn.ask(frame, 200)
        self.assertEqual(self.received(call)['body'].encode(), body)


class WebSocketTest(case.Case):
    """A browser that is Kamailio's client, over its websocket module; msrpd is its peer."""

    @classmethod
    def prepare(cls):
        cls.kamailio = Kamailio(cls.directory)
        cls.addClassCleanup(cls.kamailio.stop)

    def test_both_ways(self):
        browser = Client(self.kamailio.uri, password=CREDENTIALS[0]['password'],
                         own=f'msrp://{new_id()}.invalid:2855/{new_id()};ws',
                         conn=ws.connect(self.kamailio.uri.replace(';tcp', ';ws'), relay=True))
        self.addCleanup(browser.close)
        browser.auth()
        offer = sdp.document(sdp.message(' '.join(browser.path), setup='active'))
        transaction = self.invite(offer)
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        event = self.ctl.event('E_MSRP_SESSION_NEW')
        call = Call(self, dialog, sdp.Sdp(answer.body), browser.own,
                    session_id=event['session_id'])
        session = browser.session(call.path)
        frame = session.build('SEND', b'from a browser', success='yes')
        browser.conn.ask(frame, 200)
        self.assertEqual(self.received(call)['body'], 'from a browser')
        browser.conn.expect('REPORT')
        self.say(call, 'to a browser')
        got = browser.conn.expect(lambda f: f.body is not None)
        self.assertEqual((got.body, got.to_path[-1]), (b'to a browser', browser.own))


class WrongPasswordTest(case.Case):
    @classmethod
    def prepare(cls):
        cls.kamailio = Kamailio(cls.directory)
        cls.addClassCleanup(cls.kamailio.stop)
        cls.config = {'ua': {'relay_uri': cls.kamailio.uri},
                      'credentials': [{**CREDENTIALS[0], 'password': 'wrong'}]}

    def test_refused(self):
        """Kamailio answers 401 again: no loop, 503 to who calls."""
        self.invite(self.offer()).final(503)
        self.ctl.call('msrp_ua_start_session', content_types='text/plain',
                      from_uri='sip:a@x.org', to_uri='sip:b@x.org', ruri=self.sip.contact())
        self.assertEqual(self.ctl.event('E_MSRP_SESSION_FAILED')['code'], 401)


if __name__ == '__main__':
    if not kamailio.PROGRAM:
        print('kamailio is not installed', file=sys.stderr)
        sys.exit(2)
    case.main()
