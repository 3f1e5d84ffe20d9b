#!/usr/bin/env python3
"""`msrpctl why`: the story of a session, and of what was refused."""
import re

from lib import case, certs, msrp, sdp
from lib.frame import new_id
from lib.sip import Dialog
from lib.waiting import poll

ROUTES = [{'if': {'$rm': 'INVITE', '$rU': 'nobody'},
           'do': [{'send_reply': {'code': 403, 'reason': 'Go away'}}]},
          {'if': {'$rm': 'INVITE', '$rU': 'gateway'},
           'do': [{'msrp_gw_answer': {'key': '$fu:$tu', 'content_types': 'text/plain',
                                      'from': '$fu', 'to': '$tu', 'ruri': '$ru'}}]},
          {'if': {'$rm': 'INVITE'},
           'do': [{'msrp_ua_answer': {'content_types': 'text/plain message/cpim'}}]},
          {'if': {'$rm': 'MESSAGE', '$rU': 'lost'}, 'do': ['drop']}]


class WhyTest(case.Case):
    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        own = cls.ca.issue('msrpd', ['IP:127.0.0.1', 'DNS:localhost'])
        cls.config = {
            'log': {'level': 'info', 'memory': '256KiB'},
            'msrp': {'max_message_size': '64KiB',
                     'listen': [{'name': 'inside', 'uri': 'msrp://127.0.0.1:0;tcp'},
                                {'name': 'outside', 'uri': 'msrps://127.0.0.1:0;tcp'}],
                     'tls': {'certificate': own.certificate, 'private_key': own.key,
                             'ca_file': cls.ca.file}},
            'relay': {'allow_plain_auth': True},
            'routes': {'sip': ROUTES}}

    def why(self, name):
        return [line['line'] for line in self.ctl.call('why', id=name)]

    def assert_story(self, lines, *patterns):
        """The patterns are found, one after the other."""
        rest = list(lines)
        for pattern in patterns:
            while rest and not re.search(pattern, rest[0]):
                rest.pop(0)
            self.assertTrue(rest, f'{pattern} is not in {lines}')

    def test_session(self):
        """By its id and by its Call-ID: who connects, on which connection, how it ends."""
        call, other = self.call(), self.call()
        call.send('x')
        call.bye()
        self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)
        lines = self.why(call.id)
        self.assert_story(lines, f'agreed: the peer connects; peer.s path {call.own_path[0]}',
                          'setup -> established', f'session_id={call.id}',
                          'on conn [0-9]+, opened by 127.0.0.1:[0-9]+ by TCP',
                          'established -> over', 'E_MSRP_SESSION_END .*reason=bye')
        self.assertFalse([line for line in lines if other.id in line])
        self.assertFalse([line for line in lines if 'MSG_RECEIVED' in line])
        self.assertEqual(self.why(call.dialog.call_id), lines)

    def test_when(self):
        """Each line has its time and level, and they are in order."""
        call = self.call()
        lines = self.ctl.call('why', id=call.id)
        times = [line['time'] for line in lines]
        self.assertEqual(times, sorted(times))
        for line in lines:
            self.assertRegex(line['time'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$')
            self.assertIn(line['level'], ('info', 'debug', 'warn', 'error'))

    def test_gateway(self):
        """By its key."""
        transaction = self.invite(self.offer(accept_types='text/plain'),
                                  uri=f'sip:gateway@127.0.0.1:{self.daemon.sip_port}')
        dialog = Dialog.of_client(transaction, transaction.final(200))
        dialog.ack()
        key = self.ctl.event('E_MSRP_GW_SESSION_NEW')['key']
        self.assert_story(self.why(key), 'agreed', 'E_MSRP_GW_SESSION_NEW')
        self.ctl.call('msrp_gw_end_session', key=key)
        self.assertEqual(self.why(key)[:3], self.why(dialog.call_id)[:3])

    def test_refused_invite(self):
        """With the rule that chose it, at level info."""
        transaction = self.invite(self.offer(),
                                  uri=f'sip:nobody@127.0.0.1:{self.daemon.sip_port}')
        transaction.final(403)
        line = self.why(transaction.request.call_id)[0]
        self.assertRegex(line, r'INVITE sip:nobody@\S+ of sip:peer@\S+ from 127.0.0.1 refused: '
                               r'403 Go away, by routes.sip.0, line [0-9]+$')
        self.assertIn(line, self.daemon.log())

    def test_no_rule(self):
        ua = self.sip
        transport = ua.reach('127.0.0.1', self.daemon.sip_port, 'UDP')
        transaction = ua.request('MESSAGE', self.daemon.sip_uri, transport, b'x',
                                 content_type='text/plain')
        transaction.final(404)
        self.assertRegex(self.why(transaction.request.call_id)[0], 'refused: 404 .*, by no rule$')

    def test_refused_offer(self):
        """Why an offer cannot be taken."""
        for offer, reason in (
                (self.offer(accept_types='image/png'), 'no content type is common'),
                (sdp.document(['m=audio 9 RTP/AVP 0']), 'no stream of MSRP that can be used'),
                (b'nonsense', 'its SDP is malformed')):
            with self.subTest(reason):
                transaction = self.invite(offer)
                transaction.final(488)
                self.assert_story(self.why(transaction.request.call_id),
                                  f'ua: INVITE refused: {reason}$', 'refused: 488')

    def test_refused_frames(self):
        """A session's first refusal with a code is logged, the others are not."""
        call = self.call()
        listener = call.path[0].split('/')[2]
        stranger = msrp.Session(call.conn, [f'msrp://{listener}/{new_id()};tcp'],
                                call.own_path)
        for _ in range(20):
            stranger.send('x', code=481)
        name = stranger.to_path[-1].split('/')[-1].split(';')[0]
        lines = self.why(name)
        found = [line for line in lines if 'refused: 481' in line]
        self.assertEqual(len(found), 1, lines)
        self.assertEqual(self.daemon.log().count(found[0]), 1)

    def test_refused_in_the_middle(self):
        """A frame that is refused in a later read, with the paths of the frame before it."""
        call = self.call()
        first = call.msrp.build(body=b'x')
        second = call.msrp.build(body=b'y' * 1000, byte_range='1-*/*')
        text = second.encode()
        cut = text.index(b'yyyy') + 100
        call.conn.send_raw(first.encode() + text[:cut])
        call.conn.expect_response(first, 200)
        call.conn.send_raw(b'y' * 100000 + text[cut:])
        call.conn.expect_response(second, 413)
        name = call.path[-1].split('/')[-1].split(';')[0]
        self.assertIn(f'SEND for session {name} refused: 413', self.daemon.log())

    def test_tls_failure(self):
        """What a peer of ours has shown is told with the session."""
        wrong = certs.Authority(self.directory, 'wrong').issue('peer', ['IP:127.0.0.1'])
        listener = self.listener(tls=certs.server_context(wrong))
        _, ctl = self.start({**self.config, 'msrp': {**self.config['msrp'],
                                                     'listen': [self.config['msrp']['listen'][1]]}})
        call = self.answered(listener, ctl=ctl, connect=False)

        def told():
            lines = [line['line'] for line in ctl.call('why', id=call.id)]
            return [line for line in lines if ': TLS ' in line and 'certificate' in line]
        poll(told, what='the handshake in the story')

    def test_unknown(self):
        self.refused(404, self.ctl.call, 'why', id='nothing')
        self.refused(404, self.ctl.call, 'why', id='')
        self.refused(-32602, self.ctl.call, 'why')

    def test_no_memory(self):
        daemon, ctl = self.start({'log': {'level': 'info', 'memory': 0}})
        call = self.call(daemon=daemon, ctl=ctl)
        self.refused(404, ctl.call, 'why', id=call.id)


if __name__ == '__main__':
    case.main()
