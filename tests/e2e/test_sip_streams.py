"""SIP over streams from outside: bounds, framing, connections used again."""
import re
import socket

from lib import bounds, case, certs
from lib.daemon import UA_ROUTES
from lib.waiting import DEADLINE, poll

BOUNDS = {**bounds.BOUNDS, 'message_timeout': '2s'}

# What is wrong with a message that ends where it says, and the answer.
FAULTS = {
    'scheme': (b'sip:x@', b'http:x@', b'416'),
    'not ASCII': (b'sip:x@', b'sip:\xc3\xbc@', b'400'),
    'version': (b' SIP/2.0\r\n', b' SIP/3.0\r\n', b'505'),
    'method': (b'OPTIONS sip', b'OPT\xc3\xbcONS sip', b'400'),
    'another method': (b'1 OPTIONS', b'1 INFO', b'400'),
    'From twice': (b'To:', b'From: <sip:z@127.0.0.1>;tag=2\r\nTo:', b'400'),
    'From': (b'From: <', b'From: a@b <', b'400'),
    'Max-Forwards': (b'Max-Forwards: 70', b'Max-Forwards: 300', b'400'),
    'an empty Via': (b'From:', b'Via:\r\nFrom:', b'400'),
    'an empty Route': (b'From:', b'Route:\r\nFrom:', b'400'),
    'no name': (b'To:', b'no name\r\nTo:', b'400'),
    'NUL': (b'To:', b'X: a\0b\r\nTo:', b'400'),
    'LF': (b'To:', b'X: a\nY: b\r\nTo:', b'400'),
    'CR': (b'To:', b'X: a\rb\r\nTo:', b'400'),
    'LF in what is answered': (b'tag=1', b'tag=1\nX: y', b'400'),
}


def options(extra='', body=b'', branch='z9hG4bK1', length=None):
    head = ('OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n'
            f'Via: SIP/2.0/TCP 127.0.0.1;branch={branch}\r\n'
            'From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\n'
            f'Call-ID: {branch}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n{extra}')
    if length != '':
        head += f'Content-Length: {len(body) if length is None else length}\r\n'
    return head.encode() + b'\r\n' + body


def bye(*args, **kwargs):
    """Unlike OPTIONS it is the stack that answers it."""
    return options(*args, **kwargs).replace(b'OPTIONS', b'BYE')


class StreamTest(case.Case):
    config = {'sip': BOUNDS}

    def dial(self):
        sock = socket.create_connection(('127.0.0.1', self.daemon.sip_port), DEADLINE)
        self.addCleanup(sock.close)
        return sock

    def number(self, name):
        return self.ctl.call('get_statistics', group='sip')[f'sip:{name}']

    def read_all(self, sock):
        """Until msrpd closes."""
        data = b''
        while piece := sock.recv(65536):
            data += piece
        return data

    def read_answers(self, sock, count):
        data = b''
        while data.count(b'\r\n\r\n') < count:
            piece = sock.recv(65536)
            self.assertTrue(piece, data)
            data += piece
        return data

    def test_bounds(self):
        """One answer, then the connection closes, and the stack has seen nothing."""
        cases = [
            *bounds.messages(bye, 1),
            ('no length', bye(length=''), b'400'),
            ('two lengths', bye('Content-Length: 0\r\n'), b'400'),
            ('bad length', bye(length='x'), b'400'),
            ('slow', bye()[:-2], b'408'),
        ]
        before, seen = self.number('stream_messages_in'), bounds.bytes_of_stack(self.daemon)
        for name, data, code in cases:
            with self.subTest(name):
                sock = self.dial()
                sock.sendall(data)
                answer = self.read_all(sock)
                self.assertEqual(answer.count(b'SIP/2.0 4') + answer.count(b'SIP/2.0 5'),
                                 1 if code else 0)
                self.assertTrue(answer.startswith(b'SIP/2.0 ' + code if code else b''), answer)
        self.assertEqual(self.number('stream_messages_in'), before)
        self.assertEqual(bounds.bytes_of_stack(self.daemon), seen)

    def test_at_the_bounds(self):
        """What is just within them is the stack's to answer."""
        for name, data, _ in bounds.messages(bye):
            with self.subTest(name):
                seen = bounds.bytes_of_stack(self.daemon)
                sock = self.dial()
                sock.sendall(data)
                self.assertTrue(self.read_answers(sock, 1).startswith(b'SIP/2.0 481 '))
                self.assertGreater(bounds.bytes_of_stack(self.daemon), seen + len(data))

    def test_faults(self):
        """A faulty message is answered, and the next one read; the stack has seen no byte of it."""
        sock = self.dial()
        sock.sendall(options(branch='z9hG4bKfirst'))
        self.read_answers(sock, 1)
        for name, (good, bad, code) in FAULTS.items():
            with self.subTest(name):
                before, seen = self.number('bad_messages'), self.number('stream_messages_in')
                branch = f'z9hG4bK{name.replace(" ", "")}'
                data = options(branch=branch, body=b'OPTIONS sip:y SIP/2.0\r\n\r\n')
                sock.sendall(data.replace(good, bad, 1) + options(branch=branch + 'next'))
                faulty, fine, rest = self.read_answers(sock, 2).split(b'\r\n\r\n')
                self.assertEqual((faulty[8:11], fine[8:11], rest), (code, b'200', b''))
                self.assertNotIn(b'\nX: y', faulty)
                self.assertEqual(self.number('bad_messages'), before + 1)
                self.assertEqual(self.number('stream_messages_in'), seen + 1)

    def test_another_length(self):
        """Who ends lines elsewhere reads another length: nobody knows where this one ends."""
        for bad in (b'X: a\nl: 100\r\nTo:', b'X: a\rContent-Length : 100\r\nTo:',
                    b'X: a\n\nY: b\r\nTo:', b'X: a\n\r\nTo:', b'\nX: a\r\nTo:'):
            with self.subTest(bad):
                sock = self.dial()
                sock.sendall(options())
                self.read_answers(sock, 1)
                sock.sendall(options().replace(b'To:', bad, 1) + options())
                answers = self.read_all(sock)
                self.assertEqual((answers[8:11], answers.count(b'SIP/2.0 ')), (b'400', 1))

    def test_faulty_responses(self):
        """Dropped, and counted."""
        before = self.number('bad_messages')
        sock = self.dial()
        response = options().replace(b'OPTIONS sip:x@127.0.0.1 SIP/2.0', b'SIP/2.0 200 OK', 1)
        sock.sendall(response.replace(b'From: <', b'From: a@b <')
                     + response.replace(b' 200 ', b' 999 ') + options())
        self.assertTrue(self.read_answers(sock, 1).startswith(b'SIP/2.0 200 '))
        self.assertEqual(self.number('bad_messages'), before + 2)

    def test_nothing_but_faults(self):
        """Of three messages none was right: no more of them.  Who has been right may go on."""
        bad = options().replace(b'sip:x@', b'http:x@', 1)
        sock = self.dial()
        sock.sendall(bad * 5)
        self.assertEqual(self.read_all(sock).count(b'SIP/2.0 416 '), 3)
        sock = self.dial()
        sock.sendall(bad * 2 + options() + bad * 100 + options(branch='z9hG4bK2'))
        answers = self.read_answers(sock, 104)
        self.assertEqual((answers.count(b'SIP/2.0 416 '), answers.count(b'SIP/2.0 200 ')),
                         (102, 2))

    def test_endless_start_line(self):
        sock = self.dial()
        sock.sendall(b'OPTIONS sip:' + b'x' * 2000)
        self.assertEqual(self.read_all(sock), b'')

    def test_pieces(self):
        """A message in many pieces, and many in one."""
        sock = self.dial()
        for byte in options(branch='z9hG4bKslowly'):
            sock.sendall(bytes([byte]))
        self.assertIn(b'SIP/2.0 200 ', self.read_answers(sock, 1))
        sock.sendall(b''.join(options(branch=f'z9hG4bK{n}') for n in range(200)))
        answers = self.read_answers(sock, 200)
        self.assertEqual(answers.count(b'SIP/2.0 200 '), 200)
        self.assertNotIn(b'.invalid', answers)

    def test_ping(self):
        """RFC 5626 4.4.1"""
        sock = self.dial()
        sock.sendall(b'\r\n\r\n')
        self.assertEqual(sock.recv(16), b'\r\n')

    def test_stray_response(self):
        before = self.number('stray_responses')
        sock = self.dial()
        sock.sendall(options().replace(b'OPTIONS sip:x@127.0.0.1 SIP/2.0', b'SIP/2.0 200 OK', 1))
        poll(lambda: self.number('stray_responses') == before + 1)

    def test_same_connection(self):
        """The BYE of msrpd comes over the caller's connection, wherever its Contact points."""
        call = self.call(kind='TCP')
        connected = self.number('connected')
        self.ctl.call('msrp_ua_end_session', session_id=call.id)
        call.dialog.expect('BYE').respond(200)
        self.assertEqual(self.number('connected'), connected)


class SecureTest(StreamTest):
    """The same by TLS."""

    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        own = cls.ca.issue('msrpd')
        # Not in 2 s: they are a handshake's as well, which takes longer under valgrind.
        cls.config = {'sip': {
            **BOUNDS, 'message_timeout': '5s',
            'listen': ['sip:127.0.0.1:0;transport=udp', 'sips:127.0.0.1:0'],
            'tls': {'certificate': own.certificate, 'private_key': own.key}}}

    test_same_connection = None

    def dial(self):
        port = int(self.ctl.call('status')['listen']['sip'][1].rpartition(':')[2])
        sock = socket.create_connection(('127.0.0.1', port), DEADLINE)
        sock = certs.client_context(self.ca).wrap_socket(sock, server_hostname='127.0.0.1')
        self.addCleanup(sock.close)
        return sock


class LinkTest(case.Case):
    """Between streams and the stack there is a connection of msrpd's own, and a port for it."""

    def strangers_port(self):
        msrp, = (int(port) for _, port in self.daemon.listeners(self.ctl))
        port, = bounds.ports(self.daemon) - {self.daemon.sip_port, msrp}
        return port

    def test_strangers(self):
        """Nobody else is heard there, as a proxy or as the stack."""
        port = self.strangers_port()
        messages = (options(), options('Route: <sip:127.0.0.1;lr>\r\n'),
                    options().replace(b'OPTIONS sip:x@127.0.0.1 SIP/2.0', b'SIP/2.0 200 OK', 1))
        before = self.ctl.call('get_statistics', group='sip')
        for data in messages:
            with socket.create_connection(('127.0.0.1', port), DEADLINE) as sock:
                sock.sendall(data)
                try:
                    self.assertEqual(sock.recv(4096), b'')
                except ConnectionResetError:
                    pass            # with what it had not read
        after = self.ctl.call('get_statistics', group='sip')
        self.assertEqual(after, before)
        self.call().bye()


class HalfClosedTest(StreamTest):
    """Who sends no more may wait for his answers."""

    config = {'sip': {**BOUNDS, 'transaction_timeout': '3s'}}

    def test_answered(self):
        sock = self.dial()
        sock.sendall(b''.join(options(branch=f'z9hG4bKhalf{n}') for n in range(50)))
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(self.read_all(sock).count(b'SIP/2.0 200 '), 50)

    def test_nothing_to_wait_for(self):
        """He is gone at once; and so is half a message."""
        for data in (b'', b'\r\n\r\n', options()[:-2]):
            sock = self.dial()
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(self.read_all(sock).strip(), b'')


def invite(branch, source='127.0.0.1'):
    """Of nobody."""
    return (options(f'Contact: <sip:a@{source}>\r\n', branch=f'z9hG4bK{branch}')
            .replace(b'OPTIONS sip:x', b'INVITE sip:nobody', 1)
            .replace(b'To: <sip:x', b'To: <sip:nobody').replace(b'OPTIONS', b'INVITE'))


def final_code(file):
    """Of the next response that is final."""
    code = 100
    while code == 100:
        code = int(file.readline().split()[1])
        while file.readline() != b'\r\n':
            pass
    return code


class RefusalsTest(case.Case):
    """Sofia-SIP keeps a refused INVITE for 64*T1, acknowledged or not: so many and no more."""

    config = {'sip': {'transaction_memory': '1MiB', 'transaction_timeout': '20s'},
              'routes': {'sip': [{'if': {'$rm': 'INVITE'},
                                  'do': [{'send_reply': {'code': 486, 'reason': 'Busy Here'}}]}]}}

    def code(self, method='INVITE', kind='TCP'):
        transport = self.sip.reach('127.0.0.1', self.daemon.sip_port, kind)
        return self.sip.request(method, self.daemon.sip_uri, transport).final().code

    def test_bound(self):
        codes = []
        while 503 not in codes and len(codes) < 500:
            codes.append(self.code())
        self.assertGreater(len(codes), 50)
        self.assertEqual((set(codes[:-1]), codes[-1]), ({486}, 503))
        self.assertEqual(self.code(kind='UDP'), 503)
        self.assertEqual(self.code('OPTIONS'), 200)
        poll(lambda: self.code() == 486, what='the end of those')

    def burst(self, requests):
        with socket.create_connection(('127.0.0.1', self.daemon.sip_port), DEADLINE) as sock:
            sock.sendall(b''.join(requests))
            file = sock.makefile('rb')
            codes = [final_code(file) for _ in requests]
        self.assertEqual(set(codes) - {486}, {503})
        self.assertLessEqual(codes.count(486), (1 << 20) // (20 << 10) + 1)

    def test_burst(self):
        """Those that have come count before they are refused."""
        self.burst([invite(f'burst-{i}') for i in range(200)])

    def test_one_branch(self):
        """What Sofia-SIP takes for another transaction counts, whatever its branch says."""
        one = invite('one').decode()
        self.burst([re.sub(line.format('.*?'), line.format(i), one, count=1).encode()
                    for line in ('Call-ID: {}\r\n', 'CSeq: {} INVITE', ';tag={}\r\n')
                    for i in range(100)])


class SharesTest(case.Case):
    """Who is refused all the time leaves room for others, on whatever connections he comes."""

    config = {'sip': {'transaction_memory': '1MiB'}, 'limits': {'exempt': ['127.0.0.99']},
              'routes': {'sip': [{'if': {'$tu': 'sip:nobody@*'},
                                  'do': [{'send_reply': {'code': 404, 'reason': 'No'}}]},
                                 *UA_ROUTES]}}

    def refused(self, source, number, count):
        """How many INVITEs of that address are refused before one is too many."""
        with socket.create_connection(('127.0.0.1', self.daemon.sip_port), DEADLINE,
                                      source_address=(source, 0)) as sock:
            file = sock.makefile('rb')
            for i in range(count):
                sock.sendall(invite(f'{source}-{number}-{i}', source))
                code = final_code(file)
                if code == 503:
                    return i
                self.assertEqual(code, 404)
        return count

    def test_others_go_on(self):
        self.assertIn(self.refused('127.0.0.77', 1, 60), range(20, 30))
        self.assertEqual(self.refused('127.0.0.77', 2, 60), 0)
        self.assertIn(self.refused('127.0.0.78', 1, 60), range(5, 8))
        for kind in ('UDP', 'TCP'):
            self.call(kind=kind).bye()
        # A proxy through which everybody comes is in limits.exempt.
        self.assertGreater(self.refused('127.0.0.99', 1, 60), 10)


if __name__ == '__main__':
    case.main()
