"""SIP over UDP from outside: what makes up for lost datagrams, bounds, and when TCP takes over."""
import socket

from lib import bounds, case, sdp
from lib.daemon import free_port
from lib.sip import Dialog, Message, tag_of, token, uri_of
from lib.waiting import DEADLINE, poll

URIS = {'from_uri': 'sip:alice@example.org', 'to_uri': 'sip:bob@example.org'}


class Peer:
    """A socket that does nothing by itself."""

    def __init__(self, test, daemon=None):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(('127.0.0.1', 0))
        self.sock.settimeout(DEADLINE)
        self.port = self.sock.getsockname()[1]
        self.daemon = ('127.0.0.1', (daemon or test.daemon).sip_port)
        test.addCleanup(self.sock.close)

    @property
    def uri(self):
        return f'sip:bob@127.0.0.1:{self.port}'

    def send(self, data):
        self.sock.sendto(data, self.daemon)

    def receive(self):
        return self.sock.recv(65536)

    def expect(self, start):
        """The next message that begins so; others are passed over."""
        while True:
            data = self.receive()
            if data.startswith(start.encode()):
                return Message.parse(data)

    def request(self, method, extra='', body=b'', length=None, via=None, branch=None, cseq=1,
                call_id=None):
        branch = branch or f'z9hG4bK{token()}'
        via = via or f'127.0.0.1:{self.port};rport'
        return (f'{method} sip:x@127.0.0.1 SIP/2.0\r\n'
                f'Via: SIP/2.0/UDP {via};branch={branch}\r\n'
                f'From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\n'
                f'Call-ID: {call_id or token()}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n'
                f'Contact: <sip:a@127.0.0.1:{self.port}>\r\n{extra}'
                f'Content-Length: {len(body) if length is None else length}\r\n\r\n'
                ).encode() + body

    def answer(self, request, code, tag='t', headers=(), body=b''):
        fields = [(name, value) for name, value in request.headers
                  if name in ('Via', 'Record-Route', 'From', 'Call-ID', 'CSeq')]
        to = request.get('To')
        fields.append(('To', to if tag_of(to) else f'{to};tag={tag}'))
        fields += headers
        self.send(Message(f'SIP/2.0 {code} Whatever', fields, body).encode())


class UdpCase(case.Case):
    def number(self, name, ctl=None):
        return (ctl or self.ctl).call('get_statistics', group='sip')[f'sip:{name}']

    def start_to(self, uri, ctl=None, **kwargs):
        return (ctl or self.ctl).call('msrp_ua_start_session', content_types='text/plain',
                                      ruri=uri, **URIS, **kwargs)['session_id']

    def failure(self, session_id, ctl=None):
        return (ctl or self.ctl).event('E_MSRP_SESSION_FAILED', session_id=session_id)['code']


class ServerTest(UdpCase):
    """Requests to us: RFC 3261 17.2."""

    config = {'sip': bounds.BOUNDS}

    def test_stun(self):
        """RFC 5626 8: a Binding Request is told where it came from; nothing else is answered."""
        peer = Peer(self)
        head = b'\x21\x12\xa4\x42' + b'0123456789ab'
        peer.send(b'\0\x01\0\x08' + head + b'\0\x06\0\x04user')       # it wants more
        peer.send(b'\x01\x01\0\0' + head)                               # an answer
        peer.send(b'\0\x01\0\0' + head)
        answer = peer.receive()
        self.assertEqual(answer[:20], b'\x01\x01\0\x0c' + head)
        self.assertEqual(answer[20:26], b'\0\x20\0\x08\0\x01')
        self.assertEqual(int.from_bytes(answer[26:28], 'big') ^ 0x2112, peer.port)
        self.assertEqual(bytes(a ^ b for a, b in zip(answer[28:], head)),
                         socket.inet_aton('127.0.0.1'))

    def test_repeated(self):
        """A request that comes again is taken once, and gets the same answer."""
        peer = Peer(self)
        before = self.number('messages_in')
        request = peer.request('MESSAGE', body=b'hello', extra='Content-Type: text/plain\r\n')
        peer.send(request)
        first = peer.receive()
        self.assertTrue(first.startswith(b'SIP/2.0 404 '), first)
        for _ in range(3):
            peer.send(request)
            self.assertEqual(peer.receive(), first)
        self.assertEqual(self.number('messages_in'), before + 1)

    def test_old_client(self):
        """The same without a branch (RFC 2543): known by its fields."""
        peer = Peer(self)
        before = self.number('messages_in')
        request = peer.request('MESSAGE', branch='1')
        peer.send(request)
        first = peer.receive()
        peer.send(request)
        self.assertEqual(peer.receive(), first)
        self.assertEqual(self.number('messages_in'), before + 1)

    def test_refused_invite(self):
        """Its failure comes again until the ACK, timer G."""
        _, ctl = self.start({'sip': {'transaction_timeout': '4s'}, 'routes': {'sip': []}})
        peer = Peer(self, self._daemons[-1][0])
        request = peer.request('INVITE')
        peer.send(request)
        response = peer.expect('SIP/2.0 404 ')
        peer.expect('SIP/2.0 404 ')
        ack = Message('ACK sip:x@127.0.0.1 SIP/2.0',
                      [('Via', Message.parse(request).get('Via')), ('To', response.get('To')),
                       ('From', response.get('From')), ('Call-ID', response.call_id),
                       ('CSeq', '1 ACK'), ('Max-Forwards', '70')])
        peer.send(ack.encode())
        repeats = self.number('repeats_in', ctl)
        peer.send(ack.encode())
        poll(lambda: self.number('repeats_in', ctl) == repeats + 1)
        # Timer I: nothing is known of it any more, and nothing more is sent.
        poll(lambda: self.number('transactions', ctl) == 0)

    def test_accepted_invite(self):
        """A 200 comes again until its ACK, and the INVITE that comes again makes no second call."""
        peer = Peer(self)
        offer = self.offer()
        request = peer.request('INVITE', extra='Content-Type: application/sdp\r\n', body=offer)
        peer.send(request)
        response = peer.expect('SIP/2.0 200 ')
        again = peer.expect('SIP/2.0 200 ')
        self.assertEqual(again.to_tag, response.to_tag)
        peer.send(request)
        fields = [('Via', f'SIP/2.0/UDP 127.0.0.1:{peer.port};branch=z9hG4bK{token()}'),
                  ('Max-Forwards', '70'), ('From', response.get('From')),
                  ('To', response.get('To')), ('Call-ID', response.call_id), ('CSeq', '1 ACK')]
        fields += [('Route', value) for value in response.all('Record-Route')]
        peer.send(Message(f'ACK {uri_of(response.get("Contact"))} SIP/2.0', fields).encode())
        session = self.ctl.event('E_MSRP_SESSION_NEW')['session_id']
        self.ctl.call('msrp_ua_end_session', session_id=session)
        peer.answer(peer.expect('BYE '), 200)
        self.assertEqual(self.ctl.pending('E_MSRP_SESSION_NEW'), [])

    def test_trying(self):
        """An INVITE that is dropped gets its 100 again, and no late 408."""
        daemon, ctl = self.start({'sip': {'transaction_timeout': '2s'},
                                  'routes': {'sip': [{'do': ['drop']}]}})
        peer = Peer(self, daemon)
        request = peer.request('INVITE')
        peer.send(request)
        trying = peer.receive()
        self.assertTrue(trying.startswith(b'SIP/2.0 100 Trying\r\n'), trying)
        peer.send(request)
        self.assertEqual(peer.receive(), trying)
        poll(lambda: self.number('transactions', ctl) == 0)
        peer.sock.setblocking(False)
        with self.assertRaises(BlockingIOError):
            peer.receive()

    def test_response_address(self):
        """RFC 3261 18.2.2, RFC 3581: rport is where it came from, otherwise Via has the port."""
        peer, other = Peer(self), Peer(self)
        peer.send(peer.request('OPTIONS', via=f'192.0.2.1:{other.port};rport'))
        via = peer.expect('SIP/2.0 200 ').get('Via')
        self.assertIn(f';rport={peer.port}', via)
        self.assertIn(';received=127.0.0.1', via)
        peer.send(peer.request('OPTIONS', via=f'192.0.2.1:{other.port}'))
        via = other.expect('SIP/2.0 200 ').get('Via')
        self.assertIn(';received=127.0.0.1', via)
        self.assertNotIn('rport', via)

    def test_bounds(self):
        """One answer each, and the stack has seen nothing."""
        peer = Peer(self)

        def bye(extra='', body=b'', **kwargs):
            return peer.request('BYE', extra, body, **kwargs)

        cases = [
            *bounds.messages(bye, 1),
            ('length', bye(length=10), b'400'),
            ('two lengths', bye('Content-Length: 0\r\n'), b'400'),
            ('scheme', bye().replace(b'sip:x@', b'http:x@', 1), b'416'),
        ]
        before, seen = self.number('bad_messages'), bounds.bytes_of_stack(self.daemon)
        for name, data, code in cases:
            with self.subTest(name):
                peer.send(data)
                if not code:
                    continue            # an answer would be taken for the next one's
                answer = Message.parse(peer.receive())
                self.assertEqual((answer.code, answer.call_id),
                                 (int(code), Message.parse(data).call_id))
                self.assertIn(f';rport={peer.port}', answer.get('Via'))
        self.assertEqual(self.number('bad_messages'), before + len(cases))
        self.assertEqual(bounds.bytes_of_stack(self.daemon), seen)
        for name, data, _ in bounds.messages(bye):
            with self.subTest(name, within='them'):
                seen = bounds.bytes_of_stack(self.daemon)
                peer.send(data)
                peer.expect('SIP/2.0 481 ')
                self.assertGreater(bounds.bytes_of_stack(self.daemon), seen + len(data))

    def test_no_messages(self):
        """Keep-alives and noise get no answer, and what is behind the body is cut off."""
        peer = Peer(self)
        for data in (b'', b'\r\n', b'\r\n\r\n', b'\0', b'jaK', b'SIP/2.0 200 OK\r\n\r\n',
                     b'\r\n' * 2000):
            peer.send(data)
        peer.send(peer.request('OPTIONS', body=b'x', length=0))
        self.assertTrue(peer.receive().startswith(b'SIP/2.0 200 '))

    def test_stray_response(self):
        before = self.number('stray_responses')
        peer = Peer(self)
        peer.send(peer.request('OPTIONS').replace(b'OPTIONS sip:x@127.0.0.1 SIP/2.0',
                                                  b'SIP/2.0 200 OK', 1))
        poll(lambda: self.number('stray_responses') == before + 1)

    def test_memory(self):
        """Beyond transaction_memory new requests are refused, and known ones still answered."""
        daemon, ctl = self.start({'sip': {'transaction_memory': '1MiB', 'transaction_timeout': '3m'},
                                  'log': {'level': 'warn'}})
        peer = Peer(self, daemon)
        first = peer.request('OPTIONS')
        peer.send(first)
        answer = peer.receive()
        code = 200
        for _ in range(10000):
            peer.send(peer.request('OPTIONS', call_id=token(100)))
            code = Message.parse(peer.receive()).code
            if code != 200:
                break
        self.assertEqual(code, 503)
        peer.send(first)
        self.assertEqual(peer.receive(), answer)
        self.assertGreater(self.number('transactions_refused', ctl), 0)
        self.assertLessEqual(self.number('transaction_memory', ctl), 3 << 18)
        # A quarter is left to those who are where they say.
        transport = self.sip.reach('127.0.0.1', daemon.sip_port, 'TCP')
        invite = self.sip.request('INVITE', f'sip:x@127.0.0.1:{daemon.sip_port}', transport)
        self.assertNotEqual(invite.final().code, 503)


class ClientTest(UdpCase):
    """Requests of ours: RFC 3261 17.1."""

    def test_repeats(self):
        """An INVITE comes again until it is answered; its failure is acknowledged each time."""
        peer = Peer(self)
        session = self.start_to(peer.uri)
        first = peer.receive()
        self.assertEqual(peer.receive(), first)
        invite = Message.parse(first)
        peer.answer(invite, 486)
        ack = peer.expect('ACK ')
        self.assertEqual(ack.branch, invite.branch)
        self.assertEqual(self.failure(session), 486)
        peer.answer(invite, 486)
        self.assertEqual(peer.expect('ACK ').encode(), ack.encode())

    def test_lost_ack(self):
        """A 200 that comes again gets its ACK again."""
        peer = Peer(self)
        session = self.start_to(peer.uri)
        invite = peer.expect('INVITE ')
        body = sdp.document(sdp.message('msrp://127.0.0.1:9/x;tcp', 'text/plain',
                                        setup='active'))
        headers = [('Contact', f'<{peer.uri}>'), ('Content-Type', 'application/sdp')]
        for _ in range(2):
            peer.answer(invite, 200, headers=headers, body=body)
            self.assertEqual(tag_of(peer.expect('ACK ').get('To')), 't')
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=session)
        self.ctl.call('msrp_ua_end_session', session_id=session)
        bye = peer.receive()
        self.assertTrue(bye.startswith(b'BYE '), bye)
        self.assertEqual(peer.receive(), bye)
        peer.answer(Message.parse(bye), 200)

    def test_fork(self):
        """A second 200, of another branch of a fork, is acknowledged and its dialog ended."""
        peer = Peer(self)
        session = self.start_to(peer.uri)
        invite = peer.expect('INVITE ')
        body = sdp.document(sdp.message('msrp://127.0.0.1:9/x;tcp', 'text/plain',
                                        setup='active'))
        headers = [('Contact', f'<{peer.uri}>'), ('Content-Type', 'application/sdp')]
        peer.answer(invite, 200, 'one', headers, body)
        self.assertEqual(peer.expect('ACK ').to_tag, 'one')
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=session)
        peer.answer(invite, 200, 'two', headers, body)
        for method in ('ACK', 'BYE'):
            request = peer.expect(f'{method} ')
            self.assertEqual(request.to_tag, 'two')
            self.assertEqual(request.get('Max-Forwards'), '70')
        peer.answer(request, 200)
        self.ctl.call('msrp_ua_end_session', session_id=session)
        bye = peer.expect('BYE ')
        self.assertEqual(bye.to_tag, 'one')
        peer.answer(bye, 200)

    def test_refused(self):
        """ICMP says that nobody is there: 503, not 408."""
        self.assertEqual(self.failure(self.start_to(f'sip:bob@127.0.0.1:{free_port()}')), 503)

    def test_name(self):
        """A name is looked up."""
        peer = Peer(self)
        session = self.start_to(f'sip:bob@localhost:{peer.port}')
        peer.answer(peer.expect('INVITE '), 486)
        self.assertEqual(self.failure(session), 486)

    def test_cancel(self):
        """CANCEL goes where the INVITE went, and comes again."""
        peer = Peer(self)
        session = self.start_to(peer.uri)
        invite = peer.expect('INVITE ')
        peer.answer(invite, 180)
        self.ctl.call('msrp_ua_end_session', session_id=session)
        cancel = peer.expect('CANCEL ')
        self.assertEqual(peer.expect('CANCEL ').encode(), cancel.encode())
        self.assertEqual(cancel.branch, invite.branch)
        peer.answer(cancel, 200)
        peer.answer(invite, 487)
        self.assertEqual(peer.expect('ACK ').branch, invite.branch)


class TcpTest(UdpCase):
    """RFC 3261 18.1.1"""

    LARGE = {'X-Filler': 'x' * 1500}

    def test_large(self):
        """A large request goes over TCP where its URI leaves it open."""
        session = self.start_to(self.sip.contact(), headers=self.LARGE)
        invite = self.sip.expect('INVITE')
        self.assertEqual(invite.transport.kind, 'TCP')
        self.assertIn('SIP/2.0/TCP ', invite.request.get('Via'))
        invite.respond(486)
        self.sip.expect_failure_ack(invite)
        self.assertEqual(self.failure(session), 486)

    def test_large_without_tcp(self):
        """And over UDP when nobody takes its connection."""
        peer = Peer(self)
        session = self.start_to(peer.uri, headers=self.LARGE)
        invite = peer.expect('INVITE ')
        self.assertIn('SIP/2.0/UDP ', invite.get('Via'))
        peer.answer(invite, 486)
        self.assertEqual(peer.expect('ACK ').branch, invite.branch)
        self.assertEqual(self.failure(session), 486)

    def test_large_by_name_of_transport(self):
        """Not where the URI says UDP."""
        session = self.start_to(f'{self.sip.contact()};transport=udp', headers=self.LARGE)
        invite = self.sip.expect('INVITE')
        self.assertEqual(invite.transport.kind, 'UDP')
        invite.respond(486)
        self.assertEqual(self.failure(session), 486)

    def test_contact(self):
        """A dialog over UDP whose peer's Contact says TCP goes on over TCP."""
        contact = self.sip.contact('TCP')
        self.sip.contact = lambda kind='UDP': contact
        transaction = self.invite(self.offer())
        dialog = Dialog.of_client(transaction, transaction.final(200))
        dialog.ack()
        session = self.ctl.event('E_MSRP_SESSION_NEW')['session_id']
        self.ctl.call('msrp_ua_end_session', session_id=session)
        bye = dialog.expect('BYE')
        self.assertEqual(bye.transport.kind, 'TCP')
        bye.respond(200)


if __name__ == '__main__':
    case.main()
