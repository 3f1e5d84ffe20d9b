#!/usr/bin/env python3
"""The gateway: sessions from either side, both directions, and their ends."""
from lib import case, sdp
from lib.gateway import CLIENT, GatewayCase, routes
from lib.sip import Dialog
from lib.waiting import poll


class FirstContactTest(GatewayCase):
    """Either side may begin."""

    def confirmed(self):
        return self.ctl.call('get_statistics', group='gw')['gw:to_msrp']

    def test_from_the_phone(self):
        """A MESSAGE is answered 202, makes an INVITE, and arrives in the session."""
        sent = self.message('first')
        self.assertEqual(sent.final(202).body, b'')
        invite = self.client.expect('INVITE')
        self.assertEqual(invite.request.uri, self.client.contact())
        self.assertIn(f'<{self.phone.contact()}>', invite.request.get('From'))
        self.assertIn(f'<{CLIENT}>', invite.request.get('To'))
        self.assertEqual(sdp.Sdp(invite.request.body).message.get('accept-types'), 'text/plain')
        call = self.answer(invite)
        self.assertEqual(call.receive().body, b'first')

    def test_from_the_client(self):
        """An INVITE is answered, and what is sent goes out as MESSAGE."""
        call = self.client_calls()
        call.send('hi phone')
        got = self.gets('hi phone').request
        self.assertEqual(got.uri, self.phone.contact())
        self.assertIn(f'<{CLIENT}>', got.get('From'))
        self.assertIn(f'<{self.phone.contact()}>', got.get('To'))
        self.assertEqual(got.get('Content-Type'), 'text/plain')
        self.assertIsNone(got.get('Contact'))

    def test_both_ways_in_one_session(self):
        """The two rules' keys are the same from both sides."""
        for begin in (self.client_calls, self.begin_by_message):
            with self.subTest(begin=begin.__name__):
                call = begin()
                self.message('there').final(202)
                self.assertEqual(call.receive().body, b'there')
                call.send('and back')
                got = self.gets('and back').request
                self.assertIn(f'<{CLIENT}>', got.get('From'))
                self.assertEqual(got.uri, self.phone.contact())
                call.bye()
                self.ctl.event('E_MSRP_GW_SESSION_END', key=self.key(), reason='bye',
                               msrp_ua_session_id=call.id)

    def begin_by_message(self):
        self.message('begin').final(202)
        call = self.answer()
        self.assertEqual(call.receive().body, b'begin')
        return call

    def test_queue_in_order(self):
        """What comes while the session is being set up waits, and leaves in order."""
        for i in range(20):
            self.message(f'message {i}').final(202)
        call = self.answer()
        self.assertEqual([call.receive().body for _ in range(20)],
                         [f'message {i}'.encode() for i in range(20)])
        self.assertEqual(self.client.requests.has(lambda t: t.method == 'INVITE'), [])

    def test_queue_for_the_connection(self):
        """The session is there, its connection not yet."""
        self.message('one').final(202)
        call = self.answer(connect=False, setup='active')
        self.message('two').final(202)
        call.connect()
        self.assertEqual([call.receive().body for _ in range(2)], [b'one', b'two'])

    def test_hops(self):
        """The INVITE is one hop on (RFC 3261 16.3)."""
        self.message(hops=0).final(483)
        self.message(hops=8)
        invite = self.client.expect('INVITE')
        self.assertEqual(invite.request.get('Max-Forwards'), '7')
        invite.respond(486)

    def test_no_ua_events(self):
        """Sessions of the gateway raise gateway events only."""
        confirmed = self.confirmed()
        call = self.client_calls()
        call.send('x')
        self.gets('x')
        self.message('y').final(202)
        call.receive()
        # A BYE goes another way than the response, and may be there before it.
        poll(lambda: self.confirmed() > confirmed, what='the response')
        call.bye()
        self.ctl.event('E_MSRP_GW_SESSION_END')
        self.assertEqual(self.ctl.pending(), [])


class KeyTest(GatewayCase):
    """One key, one session."""

    def test_in_use(self):
        """A second INVITE under the key of a session is refused, and the session lives."""
        call = self.client_calls()
        self.client_calls(code=486)
        call.send('still here')
        self.gets('still here')
        self.assertEqual(len(self.sessions()), 1)

    def test_again_after_bye(self):
        """After a BYE the next MESSAGE makes a new session."""
        for i in range(3):
            self.message(f'round {i}').final(202)
            call = self.answer()
            self.assertEqual(call.receive().body, f'round {i}'.encode())
            call.bye()
            self.ctl.event('E_MSRP_GW_SESSION_END', reason='bye')
        self.assertEqual(self.sessions(), [])

    def test_failed_set_up_poisons_nothing(self):
        """Refused once, the next MESSAGE makes an INVITE again."""
        self.message('lost').final(202)
        self.client.expect('INVITE').respond(486)
        self.assertEqual(self.ctl.event('E_MSRP_GW_SETUP_FAILED'), {
            'key': self.key(), 'from_uri': CLIENT, 'to_uri': self.phone.contact(),
            'ruri': self.phone.contact(), 'code': 486, 'reason': 'Busy Here'})
        self.assertEqual(self.sessions(), [])
        self.message('second').final(202)
        call = self.answer()
        self.assertEqual(call.receive().body, b'second')
        self.assertEqual(self.ctl.pending('E_MSRP_GW_SETUP_FAILED'), [])

    def test_meeting(self):
        """First contact from both sides at once ends with one session and no message lost."""
        for smaller in (True, False):
            with self.subTest(theirs_sorts_first=smaller):
                # From of the INVITEs decide who gives way: CLIENT against the phone's.
                user = 'zoe' if smaller else 'a'
                phone = self.ua(user=user, name=user)
                self.message('from the phone', phone=phone).final(202)
                ours = self.client.expect('INVITE')
                transport = self.client.reach('127.0.0.1', self.daemon.sip_port, 'UDP')
                path = 'msrp://127.0.0.1:9/meeting;tcp'
                theirs = self.client.request(
                    'INVITE', self.daemon.sip_uri, transport, self.offer(path, 'text/plain'),
                    from_uri=CLIENT, to_uri=phone.contact(),
                    headers=[('X-Phone', phone.contact())])
                ours.respond(180)       # without it there is nothing that may be cancelled
                if smaller:
                    answer = theirs.final(200)
                    cancel = self.client.expect('CANCEL', call_id=ours.request.call_id)
                    cancel.respond(200)
                    ours.respond(487)
                else:
                    ours.respond(486)
                    answer = theirs.final(200)
                dialog = Dialog.of_client(theirs, answer)
                dialog.ack()
                call = case.Call(self, dialog, sdp.Sdp(answer.body), path)
                self.ctl.event('E_MSRP_GW_SESSION_NEW', msrp_ua_session_id=call.id)
                call.connect()
                self.assertEqual(call.receive().body, b'from the phone')
                self.assertEqual(len(self.sessions()), 1)
                self.assertEqual(self.ctl.pending('E_MSRP_GW_SETUP_FAILED'), [])
                call.bye()
                self.ctl.event('E_MSRP_GW_SESSION_END')

    def test_meeting_ours_answered(self):
        """The peer answers ours: its own is refused, and there is one session."""
        phone = self.ua(user='a', name='a')
        self.message('mine', phone=phone).final(202)
        ours = self.client.expect('INVITE')
        transport = self.client.reach('127.0.0.1', self.daemon.sip_port, 'UDP')
        theirs = self.client.request(
            'INVITE', self.daemon.sip_uri, transport, self.offer(accept_types='text/plain'),
            from_uri=CLIENT, to_uri=phone.contact(), headers=[('X-Phone', phone.contact())])
        call = self.answer(ours, phone=phone)
        theirs.final(486)
        self.assertEqual(call.receive().body, b'mine')
        self.assertEqual(len(self.sessions()), 1)

    def test_meeting_with_a_slow_peer(self):
        """Neither answers the other's: after a while theirs is taken."""
        phone = self.ua(user='a', name='a')
        self.message('mine', phone=phone).final(202)
        ours = self.client.expect('INVITE')
        transport = self.client.reach('127.0.0.1', self.daemon.sip_port, 'UDP')
        path = 'msrp://127.0.0.1:9/slow;tcp'
        theirs = self.client.request(
            'INVITE', self.daemon.sip_uri, transport, self.offer(path, 'text/plain'),
            from_uri=CLIENT, to_uri=phone.contact(), headers=[('X-Phone', phone.contact())])
        ours.respond(180)
        answer = theirs.final(200)
        self.client.expect('CANCEL').respond(200)
        ours.respond(487)
        dialog = Dialog.of_client(theirs, answer)
        dialog.ack()
        call = case.Call(self, dialog, sdp.Sdp(answer.body), path).connect()
        self.assertEqual(call.receive().body, b'mine')
        self.assertEqual(len(self.sessions()), 1)


class TwoGatewaysTest(GatewayCase):
    """Two gateways back to back: phones on both ends, MSRP in the middle."""

    own_daemon = True

    def test_meeting(self):
        """Both phones write at once, again and again: no message is lost."""
        sides = [self.start({'routes': routes(ruri='$tu')}) for _ in range(2)]
        for turn in range(6):
            phones = [self.ua(user=f'{name}{turn}', name=name) for name in ('one', 'two')]
            sent = [self.write(phones[i], phones[1 - i], sides[i][0], sides[1 - i][0])
                    for i in range(2)]
            for transaction in sent:
                transaction.final(202)
            for i in range(2):
                self.gets(f'from {phones[1 - i].name}', phone=phones[i])
            for daemon, ctl in sides:
                self.assertEqual(len(self.sessions(ctl)), 1)
                self.assertEqual(ctl.pending('E_MSRP_GW_SETUP_FAILED'), [])
            key = self.sessions(sides[0][1])[0]['key']
            sides[0][1].call('msrp_gw_end_session', key=key)
            sides[1][1].event('E_MSRP_GW_SESSION_END', reason='bye')
            self.wait_sessions(0, sides[0][1])

    def write(self, phone, other, daemon, far):
        transport = phone.reach('127.0.0.1', daemon.sip_port, 'UDP')
        request = phone.build('MESSAGE', f'sip:{other.user}@127.0.0.1:{far.sip_port}', transport,
                              f'from {phone.name}'.encode(), content_type='text/plain',
                              from_uri=phone.contact(), to_uri=other.contact())
        return phone.transact(request, transport)


class FailureTest(GatewayCase):
    """Set-ups that come to nothing."""

    config = {'routes': routes(), 'sip': {'transaction_timeout': '2s'}}

    def test_no_answer(self):
        """Nobody replies: code and reason are null, once."""
        self.message('lost').final(202)
        self.client.expect('INVITE')
        event = self.ctl.event('E_MSRP_GW_SETUP_FAILED')
        self.assertEqual((event['key'], event['code'], event['reason']), (self.key(), None, None))
        self.assertEqual(self.sessions(), [])
        self.assertEqual(self.ctl.pending('E_MSRP_GW_SETUP_FAILED'), [])

    def test_unreachable(self):
        """The next hop is down, then up."""
        self.message('lost', kind='TCP', to='sip:client@127.0.0.1:9;transport=tcp')
        event = self.ctl.event('E_MSRP_GW_SETUP_FAILED')
        self.assertEqual((event['code'], event['reason']), (None, None))
        self.message('second', kind='TCP').final(202)
        call = self.answer(kind='TCP')
        self.assertEqual(call.receive().body, b'second')

    def test_no_transport(self):
        """No listener of ours reaches it: the MESSAGE is refused at once."""
        self.message('lost', to='sip:client@127.0.0.1:9;transport=sctp').final(503)
        self.assertIsNone(self.ctl.event('E_MSRP_GW_SETUP_FAILED')['code'])
        self.assertEqual(self.sessions(), [])

    def test_each_message_is_told_of(self):
        """Beside the set-up each MESSAGE that has had its 202, and none that had another answer."""
        sent = [self.message(f'{i}') for i in range(3)]
        for transaction in sent:
            transaction.final(202)
        self.client.expect('INVITE').respond(486)
        told = [self.ctl.event('E_MSRP_GW_MSG_FAILED') for _ in sent]
        self.assertEqual([event['call_id'] for event in told],
                         [transaction.request.call_id for transaction in sent])
        self.assertEqual({(event['key'], event['from_uri'], event['to_uri'], event['ruri'],
                           event['code'], event['reason']) for event in told},
                         {(self.key(), CLIENT, self.phone.contact(), self.phone.contact(),
                           486, 'SIP;cause=486;text="Busy Here"')})
        self.message('lost', to='sip:client@127.0.0.1:9;transport=sctp').final(503)
        self.assertEqual(self.ctl.pending('E_MSRP_GW_MSG_FAILED'), [])

    def test_bad_answer(self):
        """SDP that is of no use: the set-up failed."""
        self.message('lost').final(202)
        invite = self.client.expect('INVITE')
        invite.respond(200, sdp.document(sdp.AUDIO))
        self.client.expect('ACK')
        self.client.expect('BYE').respond(200)
        failed = self.ctl.event('E_MSRP_GW_SETUP_FAILED', key=self.key())
        self.assertEqual((failed['code'], failed['reason']), (488, 'Not Acceptable Here'))
        self.assertEqual(self.sessions(), [])


class TellTest(GatewayCase):
    """The rules tell the phone of a failed set-up."""

    config = {'routes': dict(routes(), event=[{
        'if': {'$event': 'E_MSRP_GW_SETUP_FAILED'},
        'do': [{'send_message': {
            'ruri': '$param(ruri)', 'from': '$param(from_uri)', 'to': '$param(to_uri)',
            'content_type': 'text/plain',
            'body': 'Failed to establish session, error: $param(code) $param(reason)'}}]}])}

    def test_message_back(self):
        self.message('lost').final(202)
        self.client.expect('INVITE').respond(603)
        got = self.gets('Failed to establish session, error: 603 Decline').request
        self.assertIn(f'<{CLIENT}>', got.get('From'))
        self.assertEqual(self.phone.requests.has(lambda t: t.method == 'MESSAGE'), [])


class EndTest(GatewayCase):
    """How sessions end."""

    def test_list_and_end(self):
        """msrp_gw_list_sessions, msrp_gw_end_session, status."""
        call = self.client_calls()
        listed, = self.sessions()
        for name, value in {'key': self.key(), 'msg_side_from': CLIENT,
                            'msg_side_to': self.phone.contact(),
                            'msg_side_ruri': self.phone.contact(),
                            'msrp_ua_session_id': call.id, 'queued': 0,
                            'state': 'established'}.items():
            self.assertEqual(listed.get(name), value, name)
        self.assertEqual(self.ctl.call('status')['sessions']['gw'], 1)
        self.assertEqual([one['key'] for one in self.ctl.call('msrp_gateway:list_sessions')],
                         [self.key()])
        self.refused(404, self.ctl.call, 'msrp_gateway:end_session', key='nobody')
        self.assertEqual(self.ctl.call('msrp_gw_end_session', key=self.key()), 'OK')
        call.dialog.expect('BYE').respond(200)
        self.ctl.event('E_MSRP_GW_SESSION_END', reason='bye')
        self.assertEqual(self.sessions(), [])
        self.refused(404, self.ctl.call, 'msrp_gw_end_session', key=self.key())

    def test_end_during_set_up(self):
        """CANCEL, and what waited is told of."""
        self.message('lost').final(202)
        invite = self.client.expect('INVITE')
        invite.respond(180)
        self.assertEqual(self.sessions()[0]['queued'], 1)
        self.assertEqual(self.ctl.call('msrp_gw_end_session', key=self.key()), 'OK')
        self.client.expect('CANCEL').respond(200)
        invite.respond(487)
        self.ctl.event('E_MSRP_GW_SETUP_FAILED', key=self.key(), code=None)
        self.assertEqual(self.sessions(), [])

    def test_connection_lost(self):
        """Lost for good: reason failed, and the key is free again."""
        daemon, ctl = self.start({'ua': {'reconnect_grace': 0}, 'routes': routes()})
        call = self.client_calls(daemon=daemon, ctl=ctl)
        call.conn.reset()
        call.dialog.expect('BYE').respond(200)
        ctl.event('E_MSRP_GW_SESSION_END', reason='failed')
        self.assertEqual(self.sessions(ctl), [])
        self.message('again', daemon=daemon).final(202)
        again = self.answer(ctl=ctl)
        self.assertEqual(again.receive().body, b'again')

    def test_max_duration(self):
        """The UA's own limit ends it, too."""
        daemon, ctl = self.start({'ua': {'max_duration': '1s', 'cleanup_interval': '200ms'},
                                  'routes': routes()})
        call = self.client_calls(daemon=daemon, ctl=ctl)
        call.dialog.expect('BYE').respond(200)
        ctl.event('E_MSRP_GW_SESSION_END', reason='expired')

    def test_shutdown(self):
        """SIGTERM with sessions, waiting MESSAGEs and MESSAGEs under way."""
        daemon, ctl = self.start({'routes': routes(), 'shutdown_grace': '500ms'})
        call = self.client_calls(daemon=daemon, ctl=ctl)
        call.send('under way')
        self.phone.expect('MESSAGE')
        other = self.ua(user='other', name='other')
        self.message('waits', phone=other, daemon=daemon).final(202)
        self.client.expect('INVITE')
        self.client.agree()
        daemon.stop()


class TimeoutTest(GatewayCase):
    """The sweep; what moves which clock is in tests/unit/test_gw_binding.c."""

    def clocks(self, **settings):
        return self.start({'gateway': {'cleanup_interval': '100ms', **settings},
                           'routes': routes()})

    def expires(self, setting):
        """A session that goes on while its time is long, and is over when it is made short."""
        daemon, ctl = self.clocks(**{setting: '1h'})
        call = self.client_calls(daemon=daemon, ctl=ctl)
        self.message('y', daemon=daemon).final(202)
        call.receive()
        call.send('x')
        self.gets('x')
        self.assertEqual(len(self.sessions(ctl)), 1)
        daemon.config['gateway'][setting] = '1s'
        daemon.write_config()
        ctl.call('reload')
        call.dialog.expect('BYE').respond(200)
        ctl.event('E_MSRP_GW_SESSION_END', reason='expired')
        self.assertEqual(self.sessions(ctl), [])

    def test_message_timeout(self):
        self.expires('message_timeout')

    def test_session_timeout(self):
        self.expires('session_timeout')

    def test_off(self):
        """0 is off, and the sweep leaves sessions alone."""
        daemon, ctl = self.clocks(session_timeout=0, message_timeout=0)
        self.client_calls(daemon=daemon, ctl=ctl)
        self.assertEqual(len(self.sessions(ctl)), 1)


if __name__ == '__main__':
    case.main()
