#!/usr/bin/env python3
"""Sessions between two users, anchored: a chat from the INVITE to the BYE, and its reports."""

from lib import case, msrp, sdp
from lib.anchor import ALICE, BOB, AnchorCase
from lib.digest import authorized
from lib.frame import URI, new_id
from lib.waiting import poll


class ChatTest(AnchorCase):
    """Alice connects to msrpd, and msrpd to bob."""

    def test_chat(self):
        """Both ways; events, the list, and the account at the end."""
        pair = self.join()
        self.assertEqual(pair.event, {'id': pair.id, 'from_uri': ALICE, 'to_uri': BOB})
        self.passes(pair.alice, pair.bob, 'Hallo Wörld', content_type='text/plain;charset=utf-8')
        self.passes(pair.bob, pair.alice, 'hello')
        listed, = self.listed()
        self.assertEqual((listed['id'], listed['state'], listed['from_uri'], listed['to_uri']),
                         (pair.id, 'established', ALICE, BOB))
        for side, name in ((pair.alice, 'caller'), (pair.bob, 'callee')):
            self.assertEqual(listed[name]['session_id'], side.id)
            self.assertEqual(listed[name]['peer_path'], side.own_path[0])
            self.assertEqual(listed[name]['messages'], 1)
            self.assertTrue(listed[name]['connected'])
        pair.alice.bye()
        pair.bob.dialog.expect('BYE').respond(200)
        self.assertEqual(self.ends(pair, 'bye'), {
            'id': pair.id, 'from_uri': ALICE, 'to_uri': BOB, 'bytes': len('Hallo Wörld'.encode())
            + 5, 'messages': 2, 'reason': 'bye'})

    def test_neither_sees_the_other(self):
        """RFC 7092: no path, address or tag of the one in what the other gets."""
        pair = self.join()
        offer, answer = pair.bob.sdp, pair.alice.sdp
        for description in (offer, answer):
            self.assertEqual(len(description.message.path), 1)
            self.assertEqual(URI.match(description.message.path[0])['host'], '127.0.0.1')
        self.assertNotEqual(pair.alice.id, pair.bob.id)
        self.assertNotIn(pair.alice.own_path[0], '\n'.join(offer.lines))
        self.assertNotIn(pair.bob.own_path[0], '\n'.join(answer.lines))
        self.assertNotEqual(pair.alice.dialog.call_id, pair.bob.dialog.call_id)
        self.assertNotIn(str(self.bob.port), pair.alice.dialog.target)
        self.assertNotIn(str(self.alice.port), pair.bob.dialog.target)

    def test_what_passes_in_sdp(self):
        """Types, sizes and attributes that concern the two; what concerns a connection does not."""
        passed = ['a=accept-wrapped-types:text/plain image/*', 'a=max-size:4711',
                  'a=chatroom:nickname', 'a=x-own:1 2']
        own = ['a=candidate:1 1 TCP 1 127.0.0.1 9 typ host', 'a=tls-id:1234',
               'a=connection:new', 'a=ice-ufrag:abcd']
        pair = self.join(extra=[*passed, *own], types='message/cpim text/html')
        offer = pair.bob.sdp.message
        self.assertEqual(offer.get('accept-types'), 'message/cpim text/html')
        for line in passed:
            name, _, value = line[2:].partition(':')
            self.assertEqual(offer.get(name), value)
        for line in own:
            self.assertIsNone(offer.get(line[2:].partition(':')[0]))
        self.assertEqual(offer.get('setup'), 'actpass')
        self.assertEqual(pair.alice.sdp.message.get('setup'), 'passive')

    def test_other_media(self):
        """They are refused by port 0, and not offered (RFC 3264 6)."""
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        offer = sdp.document(sdp.AUDIO, sdp.message(path))
        transaction, invite = self.rings(offer=offer)
        offered = sdp.Sdp(invite.request.body)
        self.assertEqual([media.kind for media in offered.media], ['message'])
        self.answers(invite)
        alice = self.taken(transaction, path)
        self.assertEqual([(media.kind, media.port != 0) for media in alice.sdp.media],
                         [('audio', False), ('message', True)])

    def test_abilities(self):
        """What a Contact says of them passes (RFC 3840), what it says of a binding does not."""
        transaction, invite = self.rings()
        invite.respond(200, self.offer(), contact=False, headers=[
            ('Contact', f'<{self.bob.contact()}>;isfocus;q=0.5;+sip.instance="<urn:x>"')])
        contact = transaction.final(200).get('Contact')
        self.assertRegex(contact, '>;isfocus$')
        self.assertNotIn('bob', contact)

    def test_reports(self):
        """Success and failure are between the two; paths are not."""
        pair = self.join()
        got = self.passes(pair.alice, pair.bob, 'did you get it?', success='yes')
        self.assertEqual(got.get('Success-Report'), 'yes')
        pair.bob.conn.send(msrp.report_for(got, '000 200 OK', '1-15/15'))
        report = pair.alice.conn.expect('REPORT')
        self.assertEqual((report.message_id, report.get('Status'), report.to_path,
                          report.from_path),
                         (got.message_id, '000 200 OK', pair.alice.own_path, pair.alice.path))

    def test_refused_message(self):
        """What bob answers to a chunk that was passed on comes as a REPORT."""
        pair = self.join(bob_behave=msrp.answer_with(415, 'No'))
        sent = pair.alice.send('x', content_type='text/x-none')
        report = pair.alice.conn.expect('REPORT')
        self.assertEqual((report.message_id, report.get('Status')),
                         (sent.message_id, '000 415 No'))

    def test_nickname(self):
        """A request that is no SEND is answered by the other side, and its path not shown."""
        pair = self.join(relay=True)
        request = pair.alice.msrp.build('NICKNAME', byte_range=None,
                                        headers=[('Use-Nickname', '"Ann"')])
        pair.alice.conn.send(request)
        got = pair.bob.conn.expect('NICKNAME')
        self.assertEqual(got.get('Use-Nickname'), '"Ann"')
        pair.bob.conn.send(msrp.response(got, 425, 'Taken'))
        answer = pair.alice.conn.expect_response(request, 425)
        self.assertEqual(answer.from_path, pair.alice.path)

    def test_cut_through(self):
        """Bob gets the beginning before alice has written the end."""
        pair = self.join()
        whole = pair.alice.msrp.build('SEND', b'x' * 200000, byte_range='1-*/200000').encode()
        pair.alice.conn.send_raw(whole[:100000])
        pair.bob.conn.wait_body(90000)
        pair.alice.conn.send_raw(whole[100000:])
        body = b''
        while len(body) < 200000:
            body += pair.bob.receive().body
        self.assertEqual(body, b'x' * 200000)


class MemoryTest(AnchorCase):
    """SDP of peers is kept, so it counts (msrp.max_memory)."""

    config = {**AnchorCase.config, 'msrp': {'max_memory': '300KiB'}}

    def fill(self, octets):
        """Attributes of about that size."""
        return [f'a=x-{i}:{"x" * 1000}' for i in range(octets // 1000)]

    def offers(self, octets):
        """An SDP of about that size."""
        return self.offer(f'msrp://127.0.0.1:9/{new_id()};tcp', extra=self.fill(octets))

    def says(self, call, octets):
        """The same in a session."""
        return sdp.document(sdp.message(call.own_path[0], setup='active', extra=self.fill(octets)),
                            origin='- 1 2')

    def test_too_much(self):
        """Beyond that an INVITE is answered 500, until there is memory again."""
        for _ in range(2):
            invites = []
            for _ in range(2):
                self.calls(offer=self.offers(30000), kind='TCP')
                invites.append(self.bob.expect('INVITE'))
            self.calls(offer=self.offers(30000), kind='TCP').final(500)
            self.calls()
            invites.append(self.bob.expect('INVITE'))
            for invite in invites:
                invite.respond(486)
            poll(lambda: not self.listed(), what='their end')

    def up(self):
        """One that is, with much said on alice's side."""
        return self.join(extra=self.fill(59000), kind='TCP')

    def asks(self, pair, octets, answered):
        """Bob says that much, alice answers as much; bob's transaction."""
        transaction = pair.bob.dialog.request('INVITE', self.says(pair.bob, octets))
        pair.alice.dialog.expect('INVITE').respond(200, self.says(pair.alice, answered))
        pair.alice.dialog.expect('ACK')
        return transaction

    def test_said_again(self):
        """What a session says again takes nothing, and what it says anew finds room beyond that."""
        pair = self.up()
        pair.alice.dialog.reinvite(self.offer(pair.alice.own_path[0], extra=self.fill(59000)))
        self.assertEqual(self.bob.requests.has(lambda t: t.method == 'INVITE'), [])
        self.asks(pair, 20000, 1000).final(200)
        pair.bob.dialog.ack()
        self.passes(pair.alice, pair.bob, 'on')

    def test_none_left(self):
        """What a session says with none left is refused, and all goes on as before."""
        pair = self.up()
        pair.bob.dialog.request('INVITE', self.says(pair.bob, 64000)).final(488)
        self.passes(pair.alice, pair.bob, 'on')
        self.asks(pair, 39000, 64000).final(488)
        again = pair.alice.dialog.expect('INVITE')
        self.assertIsNone(sdp.Sdp(again.request.body).message.get('x-1'))
        again.respond(200, self.says(pair.alice, 1000))
        pair.alice.dialog.expect('ACK')
        self.passes(pair.bob, pair.alice, 'on')


class SampleTest(AnchorCase):
    """conf/anchor.yaml as it stands, on other ports."""

    sample = 'anchor'

    def authorized(self, ua, method, uri, user, body=b'', contact=()):
        own = f'sip:{user}@127.0.0.1'
        return authorized(ua, method, uri, ua.reach('127.0.0.1', self.daemon.sip_port), user, user,
                          body, contact, from_uri=own,
                          to_uri=own if method == 'REGISTER' else uri)

    def test_call(self):
        """Bob has registered, alice calls him and is shown as who she has proved to be."""
        self.authorized(self.bob, 'REGISTER', 'sip:127.0.0.1', 'bob', contact=[
            ('Contact', f'<{self.bob.contact()}>')]).final(200)
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction = self.authorized(self.alice, 'INVITE', 'sip:bob@127.0.0.1', 'alice',
                                      self.offer(path))
        invite = self.bob.expect('INVITE')
        self.assertRegex(invite.request.get('From'), '^<sip:alice@127.0.0.1>')
        listener = self.listener(name='bob')
        bob = self.answers(invite, listener)
        alice = self.taken(transaction, path).connect()
        bob.attach(listener.accept())
        self.passes(alice, bob, 'hello')
        self.passes(bob, alice, 'hello to you')


if __name__ == '__main__':
    case.main()
