#!/usr/bin/env python3
"""The UA behind a proxy that puts rtpengine into the path of every call, whatever its media."""
import shutil
import sys

from lib import case, certs, kamailio, sdp
from lib.case import Call
from lib.daemon import free_port
from lib.frame import new_id
from lib.msrp import report_for
from lib.program import Program
from lib.sip import Dialog


def description(body):
    """rtpengine 10.5 ends the c= line that it puts under m= in a bare LF."""
    return sdp.Sdp(body.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n'))


class RtpengineTest(case.Case):
    @classmethod
    def prepare(cls):
        control, port = free_port(), free_port()
        cls.engine = Program('rtpengine', [
            'rtpengine', '--config-file=none', '--foreground', '--log-stderr', '--table=-1',
            '--interface=127.0.0.1', f'--listen-ng=127.0.0.1:{control}'], cls.directory)
        cls.addClassCleanup(cls.engine.stop)
        cls.engine.line('Startup complete')
        cls.proxy = kamailio.Kamailio(cls.directory, 'media.cfg', free_port(), RTPENGINE=control,
                                      UA=port)
        cls.addClassCleanup(cls.proxy.stop)
        cls.ca = certs.Authority(cls.directory)
        own = cls.ca.issue('msrpd')
        cls.config = {
            'sip': {'listen': [f'sip:127.0.0.1:{port};transport=udp',
                               f'sip:127.0.0.1:{port};transport=tcp'],
                    'outbound_proxy': f'sip:127.0.0.1:{cls.proxy.port};lr'},
            'msrp': {'listen': [{'name': 'plain', 'uri': 'msrp://127.0.0.1:0;tcp'},
                                {'name': 'secure', 'uri': 'msrps://127.0.0.1:0;tcp'}],
                     'tls': {'certificate': own.certificate, 'private_key': own.key,
                             'ca_file': cls.ca.file}}}

    def incoming(self, *streams, path=None, tls=None):
        """We call by way of the proxy, with these streams or one of MSRP."""
        path = path or f'msrp://127.0.0.1:9/{new_id()};tcp'
        streams = streams or (sdp.message(path), )
        transport = self.sip.reach('127.0.0.1', self.proxy.port)
        transaction = self.sip.request('INVITE', 'sip:bot@example.org', transport,
                                       sdp.document(*streams))
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        call = Call(self, dialog, description(answer.body), path)
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=call.id)
        return call.connect(tls=tls)

    def talk(self, call):
        """Texts, a message in chunks and reports, both ways."""
        sent = call.send('hello', success='yes')
        self.received(call, body='hello')
        self.assertEqual(call.conn.expect('REPORT').message_id, sent.message_id)
        body = 'x' * 10000
        for frame in call.msrp.chunks(body.encode(), 3000):
            call.conn.ask(frame, 200)
        self.received(call, body=body)
        message_id = self.say(call, 'hi', success_report='yes')
        frame = call.receive()
        self.assertEqual(frame.body, b'hi')
        call.conn.send(report_for(frame, '000 200 OK', '1-2/2'))
        self.ctl.event('E_MSRP_REPORT_RECEIVED', message_id=message_id)

    def test_incoming(self):
        call = self.incoming()
        self.talk(call)
        call.bye()
        self.ctl.event('E_MSRP_SESSION_END', session_id=call.id, reason='bye')

    def test_outgoing(self):
        listener = self.listener()
        session_id, invite = self.start_session()
        path = listener.uri()
        offer = description(invite.request.body)
        invite.respond(200, sdp.document(sdp.message(path, setup='passive')))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=session_id)
        call = Call(self, dialog, offer, path, session_id=session_id)
        self.talk(call.attach(listener.accept()))
        self.ctl.call('msrp_ua_end_session', session_id=session_id)
        dialog.expect('BYE').respond(200)

    def test_tls(self):
        """The path and our fingerprint arrive as we wrote them."""
        call = self.incoming(path=f'msrps://127.0.0.1:9/{new_id()};tcp',
                             tls=certs.client_context(self.ca))
        self.assertEqual(call.sdp.message.proto, 'TCP/TLS/MSRP')
        self.assertIsNotNone(call.sdp.message.get('fingerprint'))
        self.talk(call)

    def test_beside_audio(self):
        """Its own ports stand in the offer's audio, which we refuse; the chat is taken."""
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        call = self.incoming(sdp.AUDIO, sdp.message(path), path=path)
        self.assertEqual([(media.kind, media.port == 0) for media in call.sdp.media],
                         [('audio', True), ('message', False)])
        self.talk(call)


if __name__ == '__main__':
    if not kamailio.PROGRAM or not shutil.which('rtpengine'):
        print('kamailio or rtpengine is not installed', file=sys.stderr)
        sys.exit(2)
    case.main()
