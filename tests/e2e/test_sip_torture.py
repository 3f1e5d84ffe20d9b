#!/usr/bin/env python3
"""The torture messages of RFC 4475, as they come in: what each is answered, and that all goes on."""
import collections
import os
import random
import re
import socket

from lib import case
from lib.daemon import SOURCE
from lib.digest import sip_credentials
from lib.sip import Message, token, uri_of
from lib.waiting import DEADLINE, poll

MESSAGES = os.path.join(SOURCE, 'tests/torture')
DOMAIN = 'example.com'
SIP_PORT = 5060                 # where answers to datagrams go, as the Vias have no port

Expected = collections.namedtuple('Expected', 'code closes', defaults=[False])
SILENCE = Expected(None)
CLOSED = Expected(400, True)    # by TCP nobody knows where the next message would begin

# By section; where the RFC leaves a choice, the daemon's.  Of what is valid 488 is said to what
# offers no MSRP, 481 to what has a To tag.
EXPECTED = {
    'wsinv': 481, 'intmeth': 501, 'esc01': 488, 'escnull': 401, 'esc02': 501, 'lwsdisp': 200,
    'longreq': 200, 'semiuri': 200, 'transports': 200, 'mpart01': 200, 'unreason': SILENCE,
    'noreason': SILENCE,
    'badinv01': 400, 'ncl': CLOSED, 'five': CLOSED, 'scalar02': 400, 'scalarlg': SILENCE,
    'quotbal': 400, 'ltgtruri': 400, 'lwsruri': 400, 'lwsstart': 400, 'trws': 400,
    'escruri': 400, 'baddate': 200, 'badaspec': 400, 'baddn': 400,
    'badvers': 505, 'mismatch01': 400, 'mismatch02': 400, 'bigcode': SILENCE,
    'badbranch': 200,
    'insuf': 400, 'unkscm': 416, 'novelsc': 416, 'unksm2': 400, 'bext01': 420, 'invut': 415,
    'regaut01': 401, 'multi01': 400, 'mcl01': CLOSED, 'bcast': SILENCE, 'zeromf': 200,
    'sdp01': 406, 'inv2543': CLOSED,
}
SAID = {'bext01': ('Unsupported', 'nothing, nobody'),
        'invut': ('Accept', 'application/sdp, multipart/mixed'),
        'transports': ('Via', 'SIP/2.0/UDP t1.example.com;branch=z9hG4bKa')}
# REGISTERs that want credentials: the Contact of the 200, or the code.  Headers of a Contact's URI
# are not kept, against 3.3.14: who calls it would send them.
REGISTERED = {
    'regbadct': 400,
    'cparam01': 'sip:+19725552222@gw.example.net',
    'cparam02': 'sip:+19725552222@gw.example.net;unknown',
    'regescrt': 'sip:ann@host.example.net'}
OTHERS = {'clerr', 'dblreq'}    # whose datagram is not as long as it says


def load(name):
    with open(os.path.join(MESSAGES, f'{name}.sip'), 'rb') as file:
        return file.read()


class Stranger:
    """A socket of an address of its own, by UDP or TCP."""

    def __init__(self, kind, target):
        self.kind = kind
        self.host = '127.' + '.'.join(str(random.randrange(2, 250)) for _ in range(3))
        self.sock = socket.socket(socket.AF_INET,
                                  socket.SOCK_DGRAM if kind == 'UDP' else socket.SOCK_STREAM)
        self.sock.settimeout(DEADLINE)
        self.sock.bind((self.host, SIP_PORT if kind == 'UDP' else 0))
        self.sock.connect(target)
        self._bytes = b''

    def send(self, data):
        self.sock.sendall(data)

    def receive(self):
        """The next message; None: the connection is over."""
        if self.kind == 'UDP':
            return Message.parse(self.sock.recv(65536))
        while True:
            head, found, rest = self._bytes.partition(b'\r\n\r\n')
            if found:
                length = int(Message.parse(head).get('Content-Length', 0))
                if len(rest) >= length:
                    self._bytes = rest[length:]
                    return Message.parse(head + found + rest[:length])
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b''
            if not data:
                return None
            self._bytes += data

    def within(self, method, answer, uri=None, routes=()):
        """An ACK or a BYE that belongs to the answer."""
        number = answer.cseq[0] + (method == 'BYE')
        via = answer.get('Via').split(',')[0] if uri else \
            f'SIP/2.0/{self.kind} {self.host};branch=z9hG4bK{token()}'
        self.send(Message(f'{method} {uri or uri_of(answer.get("Contact"))} SIP/2.0', [
            ('Via', via), *(('Route', one) for one in routes), ('From', answer.get('From')),
            ('To', answer.get('To')), ('Call-ID', answer.call_id), ('CSeq', f'{number} {method}'),
            ('Max-Forwards', '70')]).encode())

    def final(self):
        while (answer := self.receive()) and answer.code < 200:
            pass
        return answer

    def options(self):
        """All that comes before the answer to a good request; None: the connection was closed."""
        call_id = token()
        self.send(Message('OPTIONS sip:127.0.0.1 SIP/2.0', [
            ('Via', f'SIP/2.0/{self.kind} {self.host};branch=z9hG4bK{call_id}'),
            ('From', f'<sip:good@{self.host}>;tag=1'), ('To', '<sip:127.0.0.1>'),
            ('Call-ID', call_id), ('CSeq', '1 OPTIONS'), ('Max-Forwards', '70')]).encode())
        came = []
        while message := self.receive():
            if message.call_id == call_id:
                assert message.code == 200, message
                return came
            came.append(message)
        return None

    def close(self):
        self.sock.close()


class TortureCase(case.Case):
    kind = None
    config = {'sip': {'message_timeout': '1s'},
              'users': {'bea': {'password': 'secret'}},
              'registrar': {'domains': [DOMAIN]},
              'routes': {'sip': [
                  {'if': {'$rm': 'INVITE'},
                   'do': [{'msrp_ua_answer': {'content_types': 'text/plain'}}]},
                  {'if': {'$rm': 'MESSAGE'},
                   'do': [{'send_reply': {'code': 200, 'reason': 'OK'}}]}]}}

    def stranger(self):
        one = Stranger(self.kind, ('127.0.0.1', self.daemon.sip_port))
        self.addCleanup(one.close)
        return one

    def settle(self, stranger, uri, answer):
        """An INVITE's answer wants an ACK, and a session an end."""
        if answer.code >= 300:
            stranger.within('ACK', answer, uri)
            return
        routes = answer.routes()[::-1]
        stranger.within('ACK', answer, routes=routes)
        stranger.within('BYE', answer, routes=routes)
        self.assertEqual(stranger.final().cseq[1], 'BYE')

    def ask(self, name):
        """What it is answered, if at all; and a good request, on that connection if it is left."""
        expected = EXPECTED[name]
        if not isinstance(expected, Expected):
            expected = Expected(expected)
        stranger = self.stranger()
        text = load(name)
        stranger.send(text)
        answer = stranger.final() if expected.code else None
        if answer and text.startswith(b'INVITE'):
            self.settle(stranger, text.split()[1].decode(), answer)
        if expected.closes and self.kind == 'TCP':
            self.assertIsNone(stranger.receive())
            stranger = self.stranger()
        self.assertEqual(stranger.options(), [])
        self.assertEqual(answer and answer.code, expected.code, answer)
        return answer

    def test_messages(self):
        for name in EXPECTED:
            with self.subTest(name):
                answer = self.ask(name)
                if name in SAID:
                    header, value = SAID[name]
                    self.assertTrue(answer.get(header).startswith(value), answer.headers)

    def test_logged(self):
        """A line of each that is refused: what, from whom, and why."""
        no_contact = re.sub(rb'Contact: .*\r\n', b'', load('baddate'))
        for text, line in (
                (load('insuf'), r'INVITE sip:bea@example\.com of  from {} refused: 400 '),
                (load('quotbal'), 'INVITE .* from {} refused: 400 no To or a bad one'),
                (no_contact, 'INVITE sip:bea@example.com of sip:ann@example.net from {} '
                             'refused: 400 Bad Contact or Record-Route, by no rule')):
            stranger = self.stranger()

            def is_logged():
                """There is a number of lines a second, and one of each call."""
                text_of_another = re.sub(rb'(\r\n(?:i|Call-ID): )\S+', rb'\g<1>' + token().encode(),
                                         text)
                stranger.send(text_of_another.replace(b'z9hG4bK', b'z9hG4bK' + token().encode()))
                self.assertEqual(stranger.final().code, 400)
                return re.search('info: sip: ' + line.format(re.escape(stranger.host)),
                                 self.daemon.log())
            poll(is_logged, interval=0.2, what=line)

    def register(self, name):
        """Again with credentials, as a client does: the answer."""
        stranger = self.stranger()
        text = load(name)
        stranger.send(text)
        challenge = stranger.final()
        self.assertEqual(challenge.code, 401)
        start, _, rest = text.partition(b'\r\n')
        proof = sip_credentials(challenge.get('WWW-Authenticate'), 'REGISTER', f'sip:{DOMAIN}',
                                'bea', 'secret')
        rest = re.sub(rb'CSeq: \d+', b'CSeq: %d' % (challenge.cseq[0] + 1), rest)
        rest = rest.replace(b'z9hG4bK', b'z9hG4bKagain')
        stranger.send(b'%s\r\nAuthorization: %s\r\n%s' % (start, proof.encode(), rest))
        answer = stranger.final()
        self.assertEqual(stranger.options(), [])
        return answer

    def test_registrations(self):
        for name, expected in REGISTERED.items():
            with self.subTest(name):
                answer = self.register(name)
                if answer.code == 200:
                    self.ctl.call('registrar_remove', aor=f'sip:bea@{DOMAIN}')
                self.assertIn(expected, (answer.code, uri_of(answer.get('Contact', ''))))


class UdpTest(TortureCase):
    kind = 'UDP'

    def test_all(self):
        self.assertEqual({name[:-4] for name in os.listdir(MESSAGES) if name.endswith('.sip')},
                         set(EXPECTED) | set(REGISTERED) | OTHERS)

    def test_longer_than_it_is(self):
        """3.1.2.2"""
        stranger = self.stranger()
        stranger.send(load('clerr'))
        self.assertEqual(stranger.final().code, 400)
        self.assertEqual(stranger.options(), [])

    def test_octets_behind_it(self):
        """3.1.1.8: they are no message."""
        stranger = self.stranger()
        stranger.send(load('dblreq'))
        self.assertEqual((answer := stranger.final()).code, 401)
        self.assertEqual(answer.cseq, (8, 'REGISTER'))
        self.assertEqual(stranger.options(), [])


class TcpTest(TortureCase):
    kind = 'TCP'

    def test_longer_than_it_is(self):
        """3.1.2.2: the rest is waited for, as long as a message may take."""
        stranger = self.stranger()
        stranger.send(load('clerr'))
        self.assertEqual(stranger.final().code, 408)
        self.assertIsNone(stranger.receive())
        self.assertEqual(self.stranger().options(), [])

    def test_octets_behind_it(self):
        """3.1.1.8: they are the next message."""
        stranger = self.stranger()
        stranger.send(load('dblreq'))
        answers = {stranger.final().cseq[1]: None for _ in range(2)}
        self.assertEqual(set(answers), {'REGISTER', 'INVITE'})
        self.assertEqual(stranger.options(), [])


del TortureCase

if __name__ == '__main__':
    case.main()
