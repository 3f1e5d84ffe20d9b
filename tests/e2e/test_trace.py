#!/usr/bin/env python3
"""A trace: what tshark and a collector of HEP make of it, what is in it and what is not."""
import os
import socket
import stat
import struct
import subprocess
import time

from lib import case, certs, ws
from lib.daemon import free_port
from lib.frame import new_id
from lib.program import Program
from lib.waiting import DEADLINE, poll

BODY = 'the quick brown fox'


def packets(path):
    """
    What tshark dissects: a dict of fields for each packet.  By what it looks like before its
    port: each of them may be another protocol's.
    """
    fields = ('frame.protocols', 'ip.src', 'tcp.srcport', 'tcp.dstport', 'tcp.seq', 'tcp.len',
              'tcp.checksum.status', 'msrp.transaction.id', 'msrp.method', 'msrp.status.code',
              'sip.Method', 'sip.Status-Code', 'sip.CSeq', 'sip.Call-ID', 'frame.comment',
              '_ws.col.Protocol', '_ws.malformed', 'msrp.end.line', 'ip.checksum.status',
              'tcp.payload')
    command = ['tshark', '-r', path, '-n', '-o', 'tcp.check_checksum:TRUE',
               '-o', 'ip.check_checksum:TRUE', '-o', 'tcp.try_heuristic_first:TRUE',
               '-o', 'udp.try_heuristic_first:TRUE', '-T', 'fields', '-E', 'separator=/t']
    for field in fields:
        command += ['-e', field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE)
    return [dict(zip(fields, line.split('\t'))) for line in done.stdout.splitlines()]


class TraceCase(case.Case):
    @classmethod
    def prepare(cls):
        cls.traces = os.path.join(cls.directory, 'traces')
        os.mkdir(cls.traces)
        cls.ca = certs.Authority(cls.directory)
        own = cls.ca.issue('msrpd', ['IP:127.0.0.1', 'DNS:localhost'])
        cls.config = {
            'msrp': {'listen': [{'name': 'inside', 'uri': 'msrp://127.0.0.1:0;tcp'},
                                {'name': 'outside', 'uri': 'msrps://127.0.0.1:0;tcp'},
                                {'name': 'web', 'uri': 'msrp://127.0.0.1:0;ws'}],
                     'tls': {'certificate': own.certificate, 'private_key': own.key,
                             'ca_file': cls.ca.file}},
            'trace': {'directory': cls.traces, 'queue': '256KiB'}}

    def tearDown(self):
        self.ctl.call('msrp_trace', mode='off')
        super().tearDown()

    def trace(self, name=None, **params):
        """Begin one; its file."""
        name = name or f'{new_id()}.pcapng'
        state = self.ctl.call('msrp_trace', mode='on', file=name, **params)
        self.assertEqual(state['mode'], 'on')
        return state['file']

    def end(self, path):
        """The packets of a trace that is over."""
        state = self.ctl.call('msrp_trace', mode='off')
        self.assertEqual(state['mode'], 'off')
        found = packets(path)
        self.assertEqual(len(found), state['messages'])
        for packet in found:
            # What is not whole nothing may take but another protocol that has its port.
            if not packet['frame.comment'].endswith(' not whole'):
                self.assertEqual(packet['_ws.malformed'], '', packet)
        # Of a test before the last answer may come when this one has begun.
        asked = {packet['sip.Call-ID'] for packet in found if packet['sip.Method']}
        return [packet for packet in found
                if not packet['sip.Call-ID'] or packet['sip.Call-ID'] in asked]

    def chat(self, body=BODY, **kwargs):
        """A call over TCP with a message each way, and its end."""
        call = self.call(kind='TCP', **kwargs)
        call.send(body, success='yes')
        self.received(call)
        call.conn.expect('REPORT')
        self.say(call, 'likewise')
        call.receive()
        call.bye()
        self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
        return call


class FileTest(TraceCase):
    def check_sequence(self, found):
        """The bytes of each direction of a connection follow each other."""
        expected = {}
        for packet in found:
            key = packet['tcp.srcport'], packet['tcp.dstport']
            self.assertEqual(int(packet['tcp.seq']), expected.get(key, 1), packet)
            expected[key] = int(packet['tcp.seq']) + int(packet['tcp.len'])
            self.assertEqual(packet['tcp.checksum.status'], '1', packet)
            self.assertEqual(packet['ip.checksum.status'], '1', packet)

    def check_chat(self, found):
        """Each frame and message a packet, and of its protocol."""
        sip = [p for p in found if p['sip.Call-ID']]
        frames = [p for p in found if p['msrp.transaction.id']]
        self.assertEqual(len(sip) + len(frames), len(found), found)
        # A 200 comes again until there is the ACK: once for each CSeq.
        asked = dict.fromkeys((p['sip.Method'] or p['sip.Status-Code'], p['sip.CSeq']) for p in sip
                              if p['sip.Status-Code'] != '100')
        self.assertEqual([what for what, _ in asked], ['INVITE', '200', 'ACK', 'BYE', '200'])
        self.assertEqual({p['sip.Call-ID'] for p in sip}, {sip[0]['sip.Call-ID']})
        said = [p['msrp.method'] or p['msrp.status.code'] for p in frames]
        self.assertEqual(sorted(said),
                         sorted(['SEND', '200', 'SEND', '200', 'REPORT', 'SEND', '200']))
        for frame in frames:
            self.assertIn(f"call {sip[0]['sip.Call-ID']}", frame['frame.comment'])
            self.assertEqual(frame['msrp.end.line'][7:-1],
                             frame['msrp.transaction.id'].split(',')[0])
        return frames

    def test_plain(self):
        path = self.trace()
        self.chat()
        found = self.end(path)
        self.check_chat(found)
        self.check_sequence(found)

    def test_tls(self):
        """What went over TLS is there in plain text."""
        path = self.trace()
        self.chat(path=f'msrps://127.0.0.1:9/{new_id()};tcp', tls=certs.client_context(self.ca))
        found = self.end(path)
        frames = self.check_chat(found)
        self.check_sequence(found)
        self.assertTrue(all(' tls ' in p['frame.comment'] for p in frames))

    def test_websocket(self):
        """On whatever port, as MSRP."""
        path = self.trace()
        call = self.call(kind='TCP', path=f'msrp://web.invalid:9/{new_id()};ws', connect=False)
        call.attach(ws.connect(call.path[0]))
        call.msrp.bind()
        call.send(BODY, success='yes')
        self.received(call)
        call.conn.expect('REPORT')
        self.say(call, 'likewise')
        call.receive()
        call.bye()
        self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
        frames = self.check_chat(self.end(path))
        self.assertTrue(all(' ws ' in p['frame.comment'] for p in frames))

    def test_mode_of_the_file(self):
        path = self.trace()
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(os.path.dirname(path), self.traces)

    def test_large_messages(self):
        """Frames that are larger than a packet are cut within their body."""
        path = self.trace()
        call = self.call(kind='TCP')
        # A `;` among the first ten bytes is one of Content-Type's to tshark: lib/judge.py.
        body = b'0123456789' + os.urandom(300000)
        call.send(body, byte_range=f'1-*/{len(body)}')
        self.received(call)
        found = [p for p in self.end(path) if p['msrp.transaction.id']]
        self.assertEqual([p['msrp.method'] or p['msrp.status.code'] for p in found],
                         ['SEND', '200', 'SEND', '200'])
        self.assertGreater(int(found[2]['tcp.len']), 60000)
        self.check_sequence(found)

    def test_bodies(self):
        """A body that is cut keeps its frame's end-line; SDP is never cut."""
        path = self.trace(bodies=4)
        self.chat('SECRETSECRET')
        found = self.end(path)
        self.check_chat(found)
        with open(path, 'rb') as file:
            text = file.read()
        self.assertIn(b'\r\n\r\nSECR\r\n-------', text)
        self.assertNotIn(b'SECRE', text)
        self.assertIn(b'a=accept-types', text)

    def test_bodies_of_sip(self):
        """The same for a MESSAGE, which says how long it was."""
        path = self.trace(bodies=0)
        ua = self.ua()
        transport = ua.reach('127.0.0.1', self.daemon.sip_port, 'TCP')
        ua.request('MESSAGE', self.daemon.sip_uri, transport, b'SECRET',
                   content_type='text/plain').final(404)
        found = self.end(path)
        self.assertEqual([p['sip.Method'] or p['sip.Status-Code'] for p in found],
                         ['MESSAGE', '404'])
        with open(path, 'rb') as file:
            self.assertNotIn(b'SECRET', file.read())

    def test_udp(self):
        """SIP over UDP, as datagrams."""
        path = self.trace()
        ua = self.ua()
        transport = ua.reach('127.0.0.1', self.daemon.sip_port, 'UDP')
        ua.request('MESSAGE', self.daemon.sip_uri, transport, b'x',
                   content_type='text/plain').final(404)
        found = self.end(path)
        self.assertEqual([p['sip.Method'] or p['sip.Status-Code'] for p in found],
                         ['MESSAGE', '404'])
        for packet in found:
            self.assertIn('udp:sip', packet['frame.protocols'])
            self.assertEqual(packet['ip.checksum.status'], '1')
            self.assertEqual(packet['frame.comment'].split(' ')[0], 'udp')

    def test_begins_in_the_middle(self):
        """A trace that begins within a frame begins with the next one."""
        call = self.call(kind='TCP')
        frame = call.msrp.build(body=b'x' * 2000)
        bytes_ = frame.encode()
        call.conn.send_raw(bytes_[:1000])
        call.conn.send_raw(b'')
        path = self.trace()
        call.conn.send_raw(bytes_[1000:])
        call.conn.expect_response(frame, 200)
        call.send('whole')
        found = [p['msrp.method'] or p['msrp.status.code'] for p in self.end(path)]
        self.assertIn(found, (['200', 'SEND', '200'], ['SEND', '200', 'SEND', '200']))

    def broken(self, *pieces, **params):
        """What the trace has of bytes that cost their connection."""
        path = self.trace(**params)
        call = self.call(kind='TCP')
        call.conn.rules.excuse('abcd')
        for piece in pieces:
            call.conn.send_raw(piece)
        call.conn.expect_closed()
        found = [p for p in self.end(path) if p['frame.comment'].endswith(' not whole')]
        self.assertEqual(len(found), 1)
        return bytes.fromhex(found[0]['tcp.payload'])

    def test_broken(self):
        """What is no frame is there as far as it was read."""
        head = b'MSRP abcd SEND more\r\nTo-Path: nonsense\r\nFrom-Path: nonsense\r\n'
        for pieces in ((b'GET / HTTP/1.1\r\n\r\n',), (head + b'\r\nx\r\n-------abcd$\r\n',),
                       (head[:20], head[20:] + b'-------abcd$\r\n'), (b'\rx',)):
            with self.subTest(pieces):
                got = self.broken(*pieces)
                self.assertTrue(got and b''.join(pieces).endswith(got)
                                or b''.join(pieces).startswith(got), got)

    def test_broken_is_bounded(self):
        """It has no more of what looks like a body than others, and no more than a packet."""
        head = b'MSRP abcd SEND more\r\nTo-Path: nonsense\r\nFrom-Path: nonsense\r\n\r\n'
        self.assertEqual(self.broken(head + b'SECRET\r\n-------abcd$\r\n', bodies=0), head)
        got = self.broken(b'MSRP abcd SEND\r\nTo-Path: ' + b'x' * 100000)
        self.assertLess(len(got), 65536)

    def test_cut_off(self):
        """A frame whose connection ends within its body."""
        path = self.trace()
        call = self.call(kind='TCP')
        call.conn.send_raw(call.msrp.build(body=b'y' * 5000).encode()[:4000])
        call.conn.close()
        self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
        found = [p for p in self.end(path) if p['frame.comment'].endswith(' not whole')]
        self.assertEqual([int(p['tcp.len']) for p in found], [4000])

    def cut_head(self, call, length, path=None):
        """What the trace has of a frame of whose head so much has come."""
        path = path or self.trace()
        head = call.msrp.build(body=b'y').encode()[:length]
        call.conn.send_raw(head)
        call.conn.close()
        self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
        found = [p for p in self.end(path) if p['frame.comment'].endswith(' not whole')]
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0]['frame.comment'].startswith('conn '))
        return head, found[0]

    def test_cut_in_its_head(self):
        """A frame whose connection ends before its body."""
        for length in (2, 9, 30, 60):
            with self.subTest(length):
                head, found = self.cut_head(self.call(kind='TCP'), length)
                self.assertEqual(bytes.fromhex(found['tcp.payload']), head)

    def test_cut_in_its_head_by_tls(self):
        call = self.call(kind='TCP', path=f'msrps://127.0.0.1:9/{new_id()};tcp',
                         tls=certs.client_context(self.ca))
        head, found = self.cut_head(call, 60)
        self.assertEqual(bytes.fromhex(found['tcp.payload']), head)

    def test_cut_in_its_head_by_reset(self):
        """Once, and the frames before it whole."""
        call = self.call(kind='TCP')
        call.send('whole')
        self.received(call)
        path = self.trace()
        call.send('whole')
        self.received(call)
        call.conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.cut_head(call, 60, path)

    def test_cut_in_its_head_by_websocket(self):
        """A message that is not a whole frame, and the close that it costs."""
        path = self.trace()
        call = self.call(kind='TCP', path=f'msrp://web.invalid:9/{new_id()};ws', connect=False)
        call.attach(ws.connect(call.path[0]))
        call.conn.send_raw(b'MSRP abcd SEND\r\nTo-Pa')
        call.conn.expect_closed()
        found = [p for p in self.end(path) if p['frame.comment'].endswith(' ws not whole')]
        self.assertEqual([p['frame.protocols'] for p in found], ['exported_pdu'])
        with open(path, 'rb') as file:
            self.assertEqual(file.read().count(b'To-Pa\0'), 1)

    def test_cut_in_its_head_of_a_session(self):
        """Before it names its session, it goes with the frame before it."""
        for mine in (True, False):
            with self.subTest(mine):
                call, other = self.call(kind='TCP'), self.call(kind='TCP')
                path = self.trace(session_id=(call if mine else other).id)
                for one in (call, other):
                    one.send('whole')
                    self.received(one)
                call.conn.send_raw(b'MSRP abcd SE')
                call.conn.close()
                self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
                found = [p['tcp.payload'] for p in self.end(path)
                         if p['frame.comment'].endswith(' not whole')]
                self.assertEqual(found, [b'MSRP abcd SE'.hex()] if mine else [])

    def test_rotation(self):
        """Files are bounded, and the last ones stay."""
        self.daemon.config['trace'].update({'max_file': '128KiB', 'files': 2})
        self.daemon.write_config()
        self.ctl.call('reload')
        path = self.trace('rotated.pcapng')
        call = self.call(kind='TCP')
        for _ in range(12):
            call.send(os.urandom(50000), byte_range='1-*/50000')
            self.received(call)
        self.ctl.call('msrp_trace', mode='off')
        names = sorted(name for name in os.listdir(self.traces) if name.startswith('rotated'))
        self.assertEqual(len(names), 2, names)
        self.assertNotIn('rotated.pcapng', names)
        for name in names:
            path = os.path.join(self.traces, name)
            self.assertLessEqual(os.stat(path).st_size, 128 * 1024)
            self.assertTrue(packets(path))


class FilterTest(TraceCase):
    def test_session(self):
        """Another session's messages are not there; the SIP of this one is."""
        one, other = self.call(kind='TCP'), self.call(kind='TCP')
        path = self.trace(session_id=one.id)
        for call in (one, other):
            call.send(BODY)
            self.received(call)
        one.bye()
        other.bye()
        for call in (one, other):
            self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
        found = self.end(path)
        self.assertEqual([p['msrp.method'] or p['msrp.status.code'] for p in found
                          if p['msrp.transaction.id']], ['SEND', '200'])
        self.check_end_of(one, found)

    def check_end_of(self, call, found):
        """The SIP of a call that began before the trace did."""
        self.assertEqual([p['sip.Method'] or p['sip.Status-Code'] for p in found
                          if p['sip.Call-ID']], ['BYE', '200'])
        self.assertEqual({p['frame.comment'].split(' call ')[1] for p in found},
                         {call.dialog.call_id})

    def test_user_of_before(self):
        """The same by a user."""
        alice, bob = [self.call(kind='TCP', ua=self.ua(user=user)) for user in ('alice', 'bob')]
        path = self.trace(user='alice')
        for call in (alice, bob):
            call.send(BODY)
            self.received(call)
            call.bye()
            self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
        found = self.end(path)
        self.assertEqual([p['msrp.method'] or p['msrp.status.code'] for p in found
                          if p['msrp.transaction.id']], ['SEND', '200'])
        self.check_end_of(alice, found)

    def test_user(self):
        """By the user of a SIP URI: his calls, and the sessions that they set up."""
        path = self.trace(user='alice')
        alice, bob = self.ua(user='alice'), self.ua(user='bob')
        for ua in (alice, bob):
            call = self.call(kind='TCP', ua=ua)
            call.send(BODY)
            self.received(call)
        found = self.end(path)
        self.assertEqual([p['sip.Method'] for p in found if p['sip.Method']], ['INVITE', 'ACK'])
        self.assertEqual([p['msrp.method'] for p in found if p['msrp.method']], ['SEND', 'SEND'])
        self.assertEqual(len({p['frame.comment'].split(' call ')[1] for p in found}), 1)

    def test_address(self):
        for address, wanted in (('127.0.0.1', True), ('127.0.0.0/8', True),
                                ('192.0.2.1', False), ('::1', False), ('192.0.2.0/24', False)):
            with self.subTest(address):
                path = self.trace(address=address)
                self.chat()
                self.assertEqual(bool(self.end(path)), wanted)

    def test_address_with_port(self):
        call, other = self.call(kind='TCP'), self.call(kind='TCP')
        host, port = call.conn.sock.getsockname()[:2]
        path = self.trace(address=f'{host}:{port}')
        call.send('this')
        other.send('that')
        found = self.end(path)
        self.assertEqual(len(found), 2)


class Collector:
    """Takes HEPv3: each packet as its chunks by number."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(('127.0.0.1', 0))
        self.sock.settimeout(DEADLINE)
        self.place = '{}:{}'.format(*self.sock.getsockname())

    def take(self):
        data = self.sock.recv(65536)
        magic, length = struct.unpack('!4sH', data[:6])
        assert (magic, length) == (b'HEP3', len(data)), data
        chunks, rest = {}, data[6:]
        while rest:
            vendor, number, length = struct.unpack('!HHH', rest[:6])
            assert vendor == 0 and number not in chunks and length >= 6, data
            chunks[number], rest = rest[6:length], rest[length:]
        return chunks

    def close(self):
        self.sock.close()


class HepTest(TraceCase):
    def test_chunks(self):
        """All of a call in one correlation id, SIP as SIP."""
        collector = Collector()
        self.addCleanup(collector.close)
        self.assertEqual(self.ctl.call('msrp_trace', mode='on', hep=collector.place)['hep'],
                         collector.place)
        call = self.call(kind='TCP')
        call.send(BODY)
        self.received(call)
        state = self.ctl.call('msrp_trace', mode='off')
        self.assertEqual(state['lost'], 0)
        found = [collector.take() for _ in range(state['messages'])]
        found = [chunks for chunks in found if chunks[17] == call.dialog.call_id.encode()]
        self.assertGreaterEqual(len(found), 5)
        for chunks in found:
            self.assertEqual((chunks[1], chunks[2]), (b'\x02', b'\x06'))
            self.assertEqual((chunks[3], chunks[4]), (b'\x7f\0\0\x01', b'\x7f\0\0\x01'))
            self.assertEqual(chunks[12], struct.pack('!I', 2855))
            self.assertLess(abs(struct.unpack('!I', chunks[9])[0] - time.time()), 60)
            is_sip = b'SIP/2.0' in chunks[15].split(b'\r\n')[0]
            self.assertEqual(chunks[11], bytes([1 if is_sip else 100]))
        self.assertEqual(sum(BODY.encode() in chunks[15] for chunks in found), 1)
        ports = {struct.unpack('!H', chunks[number])[0] for chunks in found for number in (7, 8)}
        self.assertIn(self.daemon.sip_port, ports)

    def test_cut_in_its_head(self):
        """What has come of a frame, as a text."""
        collector = Collector()
        self.addCleanup(collector.close)
        call = self.call(kind='TCP')
        self.ctl.call('msrp_trace', mode='on', hep=collector.place)
        head = call.msrp.build(body=b'y').encode()[:60]
        call.conn.send_raw(head)
        call.conn.close()
        chunks = collector.take()
        self.assertEqual(chunks[15], head)
        self.assertEqual(chunks[11], b'\x64')

    def test_sngrep(self):
        """sngrep listens, and sees a call of that Call-ID."""
        port = free_port()
        sngrep = Program('sngrep', ['sngrep', '-N', '-F', '-L', f'udp:127.0.0.1:{port}',
                                    '-O', os.path.join(self.directory, 'sngrep.pcap')],
                         self.directory, TERM='dumb')
        self.addCleanup(sngrep.stop)
        self.ctl.call('msrp_trace', mode='on', hep=f'127.0.0.1:{port}', bodies=0)
        seen = os.path.join(self.directory, 'sngrep.pcap')

        def shown():
            call = self.call(kind='TCP')
            call.bye()
            self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
            if not os.path.exists(seen) or os.path.getsize(seen) < 1000:
                return False
            found = packets(seen)
            return {'INVITE', 'BYE'} <= {packet['sip.Method'] for packet in found}
        poll(shown, what='a call in sngrep', interval=1)

    def test_nobody_collects(self):
        """Where there is nobody, nothing happens."""
        self.ctl.call('msrp_trace', mode='on', hep=f'127.0.0.1:{free_port()}')
        self.chat()
        self.assertEqual(self.ctl.call('msrp_trace', mode='off')['mode'], 'off')

    def test_configured(self):
        collector = Collector()
        self.addCleanup(collector.close)
        self.daemon.config['trace'].update({'hep': collector.place, 'hep_id': 7})
        self.daemon.write_config()
        self.ctl.call('reload')
        done = self.msrpctl('msrp_trace', 'mode=on', 'hep=true')
        self.assertEqual(done.returncode, 0, done)
        self.call(kind='TCP').send('x')
        self.assertEqual(collector.take()[12], struct.pack('!I', 7))
        self.daemon.config['trace'].update({'hep': 'nonsense'})
        self.daemon.write_config()
        self.refused(500, self.ctl.call, 'reload')
        del self.daemon.config['trace']['hep']
        self.daemon.write_config()
        self.ctl.call('reload')


class CommandTest(TraceCase):
    def test_refusals(self):
        for params in ({'mode': 'maybe'}, {'mode': 'on', 'file': '../x'},
                       {'mode': 'on', 'file': '/etc/x'}, {'mode': 'on', 'file': ''},
                       {'mode': 'on', 'file': '.hidden'}, {'mode': 'on', 'file': 'a\nb'},
                       {'mode': 'on', 'file': 'x', 'hep': '127.0.0.1:9'},
                       {'mode': 'on', 'hep': 'nowhere'}, {'mode': 'on', 'hep': True},
                       {'mode': 'on', 'hep': '127.0.0.1:0'}, {'mode': 'on', 'bodies': -1},
                       {'mode': 'on', 'address': 'example.org'}):
            with self.subTest(params):
                self.refused(400, self.ctl.call, 'msrp_trace', **params)
        self.refused(-32602, self.ctl.call, 'msrp_trace')
        self.refused(-32602, self.ctl.call, 'msrp_trace', mode='on', hep=1)
        self.assertEqual(self.ctl.call('get_statistics', group='trace')['trace:on'], 0)

    def test_no_file_is_overwritten(self):
        path = self.trace('once.pcapng')
        self.ctl.call('msrp_trace', mode='off')
        error = self.refused(400, self.ctl.call, 'msrp_trace', mode='on', file='once.pcapng')
        self.assertIn('exists', str(error))
        os.symlink('/dev/null', os.path.join(self.traces, 'link'))
        self.refused(400, self.ctl.call, 'msrp_trace', mode='on', file='link')
        self.assertTrue(os.path.exists(path))

    def test_path_in_the_directory(self):
        path = os.path.join(self.traces, 'whole.pcapng')
        self.assertEqual(self.trace(path), path)

    def test_a_new_one_ends_the_old(self):
        first, second = self.trace(), self.trace()
        self.assertNotEqual(first, second)
        self.chat()
        self.assertTrue(self.end(second))
        self.assertEqual(packets(first), [])

    def test_from_a_shell(self):
        done = self.msrpctl('msrp_trace', 'mode=on', 'file=shell.pcapng', 'bodies=10')
        self.assertEqual(done.returncode, 0, done)
        self.assertIn('shell.pcapng', done.stdout)
        done = self.msrpctl('msrp_trace', 'off')
        self.assertEqual(done.returncode, 0, done)

    def test_statistics(self):
        before = self.ctl.call('get_statistics', group='trace')
        path = self.trace()
        self.assertEqual(self.ctl.call('get_statistics', group='trace')['trace:on'], 1)
        self.chat()
        found = self.end(path)
        after = self.ctl.call('get_statistics', group='trace')
        self.assertGreaterEqual(after['trace:messages'] - before['trace:messages'], len(found))
        self.assertEqual(after['trace:lost'], before['trace:lost'])
        self.assertEqual(after['trace:on'], 0)

    def test_cannot_be_written(self):
        """What cannot be written is lost and counted, and no session notices."""
        before = self.ctl.call('get_statistics', group='trace')['trace:lost']
        # There is no place for a second file.
        self.daemon.config['trace'].update({'max_file': '128KiB'})
        self.daemon.write_config()
        self.ctl.call('reload')
        self.trace('lost.pcapng')
        away = self.traces + '-'
        os.rename(self.traces, away)
        self.addCleanup(os.rename, away, self.traces)
        call = self.call(kind='TCP')
        for _ in range(6):
            call.send(os.urandom(50000), byte_range='1-*/50000')
            self.received(call)
        state = self.ctl.call('msrp_trace', mode='off')
        self.assertGreater(state['lost'], 0)
        self.assertGreater(self.ctl.call('get_statistics', group='trace')['trace:lost'], before)
        self.assertIn('lost.pcapng: No such file or directory', self.daemon.log())


if __name__ == '__main__':
    case.main()
