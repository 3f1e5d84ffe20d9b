#!/usr/bin/env python3
"""Anchored sessions: what one side says by SIP, said to the other (RFC 7092)."""
from lib import case, msrp, sdp
from lib.anchor import ALICE, AnchorCase
from lib.daemon import free_port
from lib.frame import new_id
from lib.sip import Dialog
from lib.sipp import Sipp
from lib.waiting import poll


class SetUpTest(AnchorCase):
    """Until there is a session, or there is none."""

    config = {**AnchorCase.config, 'sip': {'pass_headers': ['Subject']}}

    def gone(self):
        poll(lambda: not self.listed(), what='the end of the anchored session')

    def test_the_second_invite(self):
        """From and To with display names, headers that pass, one hop less."""
        self.calls(from_name='Alice', headers=[('Subject', 'lunch'), ('X-Other', '1')])
        request = self.bob.expect('INVITE').request
        self.assertRegex(request.get('From'), rf'^"?Alice"? <{ALICE}>;tag=')
        self.assertEqual(request.get('To'), '<sip:bob@example.org>')
        self.assertEqual(request.get('Subject'), 'lunch')
        self.assertIsNone(request.get('X-Other'))
        self.assertEqual(request.get('Max-Forwards'), '69')

    def calls_with_hops(self, hops):
        return self.alice.request('INVITE', self.daemon.sip_uri,
                                  self.alice.reach('127.0.0.1', self.daemon.sip_port),
                                  self.offer(), headers=[('X-Callee', self.bob.contact())],
                                  hops=hops)

    def test_no_hop_left(self):
        """A call that comes back does not go round for ever (RFC 3261 16.3)."""
        self.calls_with_hops(0).final(483)
        self.calls_with_hops(1)
        self.assertEqual(self.bob.expect('INVITE').request.get('Max-Forwards'), '0')

    def test_provisional(self):
        """180 and 183 pass."""
        transaction, invite = self.rings()
        for code in (180, 183):
            invite.respond(code)
            self.assertEqual(transaction.expect(code).code, code)

    def test_failures(self):
        """The code, its phrase, and what it says besides."""
        for code, headers, passed in (
                (486, [], 486), (600, [], 600), (404, [], 404),
                (480, [('Retry-After', '120')], 480), (503, [('Retry-After', '7')], 500),
                (606, [('Warning', '304 bob.example.org "No"')], 606),
                (488, [('Reason', 'Q.850;cause=16')], 488), (415, [('Accept', 'a/b')], 415),
                (407, [('Proxy-Authenticate', 'Digest realm="x", nonce="y"')], 403)):
            with self.subTest(code=code):
                transaction, invite = self.rings()
                invite.respond(code, headers=headers)
                answer = transaction.final(passed)
                for name, value in headers:
                    if code != 407:
                        self.assertEqual(answer.get(name), value)
                self.assertIsNone(answer.get('Proxy-Authenticate'))
                self.gone()

    def test_redirection(self):
        """It is the caller who follows it."""
        transaction, invite = self.rings()
        invite.respond(302, headers=[('Contact', '<sip:bob@192.0.2.9>;q=0.7, <sip:b@192.0.2.8>')])
        answer = transaction.final(302)
        contacts = ','.join(answer.all('Contact'))
        self.assertIn('<sip:bob@192.0.2.9>;q=0.7', contacts)
        self.assertIn('<sip:b@192.0.2.8>', contacts)
        self.assertNotIn(str(self.daemon.sip_port), contacts)
        self.gone()

    def test_cancel(self):
        """With its Reason (RFC 3326)."""
        transaction, invite = self.rings()
        invite.respond(180)
        transaction.expect(180)
        transaction.cancel(headers=[('Reason', 'SIP;cause=200;text="Call completed elsewhere"')])
        cancel = self.bob.expect('CANCEL')
        self.assertIn('cause=200', cancel.request.get('Reason'))
        cancel.respond(200)
        invite.respond(487)
        transaction.final(487)
        self.gone()

    def test_answer_that_crosses_a_cancel(self):
        """Bob's 2xx is acknowledged, and ended."""
        transaction, invite = self.rings()
        invite.respond(180)
        transaction.expect(180)
        transaction.cancel()
        transaction.final(487)
        bob = self.answers(invite)
        bob.dialog.expect('ACK')
        bob.dialog.expect('BYE').respond(200)
        self.gone()

    def test_nothing_to_anchor(self):
        """No MSRP in the offer: 488, and nobody is called."""
        self.calls(offer=sdp.document(sdp.AUDIO)).final(488)

    def test_useless_answer(self):
        """Bob refuses the stream in a 2xx: 488 for alice, BYE for bob."""
        transaction, invite = self.rings()
        invite.respond(200, sdp.document(['m=message 0 TCP/MSRP *']))
        bob = Dialog.of_server(invite)
        bob.expect('ACK')
        bob.expect('BYE').respond(200)
        transaction.final(488)
        self.gone()

    def test_answer_that_cannot_be_passed(self):
        """Bob agrees, but with CRLF for LF it is too long for alice: nobody is left alone."""
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction, invite = self.rings(kind='TCP')
        invite.respond(200, sdp.document(sdp.message(path, setup='passive', extra=['a=x'] * 15000))
                       .replace(b'\r\n', b'\n'))
        bob = Dialog.of_server(invite)
        bob.expect('ACK')
        bye = bob.expect('BYE')
        self.assertIn('cause=488', bye.request.get('Reason'))
        bye.respond(200)
        transaction.final(500)
        self.gone()

    def test_late_offer(self):
        """Alice offers nothing: bob's offer goes to her in the 200, her answer to him in the ACK."""
        transaction, invite = self.rings(offer=b'')
        self.assertEqual(invite.request.body, b'')
        listener = self.listener(name='bob')
        bob_path, alice_path = listener.uri(), f'msrp://127.0.0.1:9/{new_id()};tcp'
        invite.respond(200, sdp.document(sdp.message(bob_path, 'text/plain')))
        answer = transaction.final(200)
        offer = sdp.Sdp(answer.body)
        self.assertEqual(offer.message.get('accept-types'), 'text/plain')
        self.assertNotEqual(offer.message.path, [bob_path])
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack(sdp.document(sdp.message(alice_path, 'text/html', setup='active')))
        bob = Dialog.of_server(invite)
        ours = sdp.Sdp(bob.expect('ACK').request.body)
        self.assertEqual(ours.message.get('accept-types'), 'text/html')
        event = self.ctl.event('E_MSRP_ANCHOR_NEW')
        alice = case.Call(self, dialog, offer, alice_path, session_id=event['id']).connect()
        other = case.Call(self, bob, ours, bob_path).attach(
            msrp.connect(ours.message.path[0], name='bob'))
        other.msrp.bind()
        self.passes(alice, other, 'late')

    def test_ring_timeout(self):
        """Nobody answers: CANCEL for bob, 408 for alice."""
        daemon, ctl = self.start({**self.config, 'anchor': {'ring_timeout': '500ms'}})
        transaction = self.calls(daemon=daemon)
        invite = self.bob.expect('INVITE')
        invite.respond(180)
        transaction.final(408)
        cancel = self.bob.expect('CANCEL')
        self.assertIn('cause=408', cancel.request.get('Reason'))
        cancel.respond(200)
        invite.respond(487)
        poll(lambda: not self.listed(ctl), what='its end')

    def test_too_many(self):
        """Beyond max_sessions: 503."""
        daemon, _ = self.start({**self.config, 'anchor': {'max_sessions': 1}})
        self.calls(daemon=daemon)
        self.bob.expect('INVITE')
        self.calls(daemon=daemon).final(503)

    def test_nowhere(self):
        """A Request-URI that is none, or leads nowhere."""
        self.invite(self.offer(), ua=self.alice).final(400)
        self.invite(self.offer(), ua=self.alice,
                    headers=[('X-Callee', 'tel:+49123456')]).final(400)

    def test_outbound_proxy(self):
        """A parameter of the action: by way of it, wherever ruri leads."""
        daemon, _ = self.start({'routes': {'sip': [{'do': [{'msrp_anchor': {
            'ruri': 'sip:bob@nowhere.invalid', 'from': 'sip:a@example.com', 'to': 'sip:b@example.com',
            'outbound_proxy': f'{self.bob.contact()};lr'}}]}]}})
        self.calls(daemon=daemon)
        request = self.bob.expect('INVITE').request
        self.assertEqual(request.start.split()[1], 'sip:bob@nowhere.invalid')
        self.assertRegex(request.get('From'), '^<sip:a@example.com>')
        self.assertEqual(request.get('To'), '<sip:b@example.com>')


class InSessionTest(AnchorCase):
    """While there is one, and at its end."""

    def test_bye_of_either(self):
        """With its Reason."""
        for side, other in (('alice', 'bob'), ('bob', 'alice')):
            with self.subTest(side=side):
                pair = self.join()
                bye = getattr(pair, side).dialog.request(
                    'BYE', headers=[('Reason', 'Q.850;cause=16;text="bye"')])
                got = getattr(pair, other).dialog.expect('BYE')
                self.assertIn('cause=16', got.request.get('Reason'))
                got.respond(200)
                bye.final(200)
                self.ends(pair, 'bye')

    def test_operator(self):
        """msrp_anchor_end: both get a BYE."""
        pair = self.join()
        self.assertEqual(self.ctl.call('msrp_anchor_end', id=pair.id), 'OK')
        for side in (pair.alice, pair.bob):
            side.dialog.expect('BYE').respond(200)
        self.ends(pair, 'ended')
        self.refused(404, self.ctl.call, 'msrp_anchor_end', id=pair.id)

    def hold(self, one, other, direction, answered):
        """one says by re-INVITE in which direction; other hears it and answers."""
        offer = sdp.document(sdp.message(one.own_path[0], extra=[f'a={direction}']),
                             origin='- 1 2')
        transaction = one.dialog.request('INVITE', offer)
        invite = other.dialog.expect('INVITE')
        got = sdp.Sdp(invite.request.body).message
        self.assertIn((direction, None), got.attributes)
        self.assertEqual(got.path, other.path)
        invite.respond(200, sdp.document(sdp.message(other.own_path[0], setup='passive',
                                                     extra=[f'a={answered}'])))
        other.dialog.expect('ACK')
        answer = transaction.final(200)
        one.dialog.ack()
        got = sdp.Sdp(answer.body).message
        self.assertIn((answered, None), got.attributes)
        self.assertEqual(got.path, one.path)

    def test_hold(self):
        """A re-INVITE of either is one for the other; messages go on."""
        pair = self.join()
        self.hold(pair.alice, pair.bob, 'sendonly', 'recvonly')
        self.passes(pair.alice, pair.bob, 'while held')

    def test_unchanged(self):
        """A refresh that says nothing new (RFC 4028) is answered here."""
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        offer = self.offer(path)
        transaction, invite = self.rings(offer=offer)
        self.answers(invite)
        alice = self.taken(transaction, path)
        self.ctl.event('E_MSRP_ANCHOR_NEW')
        answer = alice.dialog.reinvite(offer)
        self.assertEqual(sdp.Sdp(answer.body).lines, alice.sdp.lines)
        self.assertEqual(self.bob.requests.has(lambda t: t.method == 'INVITE'), [])

    def test_refused_reinvite(self):
        """With the other side's code, and all goes on as before."""
        pair = self.join()
        transaction = pair.alice.dialog.request('INVITE', sdp.document(sdp.message(
            pair.alice.own_path[0], 'text/html'), origin='- 1 2'))
        invite = pair.bob.dialog.expect('INVITE')
        invite.respond(488, headers=[('Warning', '305 bob "No HTML"')])
        answer = transaction.final(488)
        self.assertEqual(answer.get('Warning'), '305 bob "No HTML"')
        self.passes(pair.bob, pair.alice, 'as before')

    def test_credentials_in_the_dialog(self):
        """It is msrpd that bob asks for them; all goes on as before."""
        pair = self.join()
        transaction = pair.alice.dialog.request('INVITE', sdp.document(sdp.message(
            pair.alice.own_path[0], 'text/html'), origin='- 1 2'))
        pair.bob.dialog.expect('INVITE').respond(407, headers=[
            ('Proxy-Authenticate', 'Digest realm="x", nonce="y"')])
        self.assertIsNone(transaction.final(403).get('Proxy-Authenticate'))
        self.passes(pair.bob, pair.alice, 'as before')

    def test_update(self):
        """With an offer it is as a re-INVITE; without one it is answered here (RFC 3311, 4028)."""
        pair = self.join()
        pair.alice.dialog.request('UPDATE').final(200)
        transaction = pair.bob.dialog.request('UPDATE', sdp.document(
            sdp.message(pair.bob.own_path[0], extra=['a=inactive']), origin='- 1 2'))
        invite = pair.alice.dialog.expect('INVITE')
        self.assertIn(('inactive', None), sdp.Sdp(invite.request.body).message.attributes)
        invite.respond(200, sdp.document(sdp.message(pair.alice.own_path[0], setup='active',
                                                     extra=['a=inactive'])))
        pair.alice.dialog.expect('ACK')
        self.assertIn(('inactive', None),
                      sdp.Sdp(transaction.final(200).body).message.attributes)

    def test_new_path(self):
        """Bob says where he is now, and what is said meanwhile waits for him."""
        pair = self.join()
        listener = self.listener(name='bob, elsewhere')
        path = listener.uri()
        transaction = pair.bob.dialog.request('INVITE', sdp.document(
            sdp.message(path), origin='- 1 2'))
        invite = pair.alice.dialog.expect('INVITE')
        invite.respond(200, sdp.document(sdp.message(pair.alice.own_path[0], setup='active')))
        pair.alice.dialog.expect('ACK')
        answer = transaction.final(200)
        pair.bob.dialog.ack()
        conn = msrp.connect(sdp.Sdp(answer.body).message.path[0], name='bob, again')
        pair.bob.own_path = [path]
        pair.bob.attach(conn)
        pair.bob.msrp.bind()
        self.passes(pair.alice, pair.bob, 'there')
        self.passes(pair.bob, pair.alice, 'here')

    def test_question_without_offer(self):
        """Alice asks by re-INVITE what bob offers; his offer in the 200, her answer in the ACK."""
        pair = self.join()
        transaction = pair.alice.dialog.request('INVITE')
        invite = pair.bob.dialog.expect('INVITE')
        self.assertEqual(invite.request.body, b'')
        invite.respond(200, sdp.document(sdp.message(pair.bob.own_path[0], 'text/plain')))
        offer = sdp.Sdp(transaction.final(200).body)
        self.assertEqual(offer.message.get('accept-types'), 'text/plain')
        pair.alice.dialog.ack(sdp.document(sdp.message(pair.alice.own_path[0], 'text/plain',
                                                       setup='active')))
        ack = pair.bob.dialog.expect('ACK')
        self.assertEqual(sdp.Sdp(ack.request.body).message.path, pair.bob.path)
        self.passes(pair.alice, pair.bob, 'on')

    def test_question_without_an_answer(self):
        """Bob has no offer either: 488, and all goes on as before."""
        pair = self.join()
        transaction = pair.alice.dialog.request('INVITE')
        pair.bob.dialog.expect('INVITE').respond(200)
        self.assertEqual(pair.bob.dialog.expect('ACK').request.body, b'')
        transaction.final(488)
        self.passes(pair.alice, pair.bob, 'as before')
        self.hold(pair.bob, pair.alice, 'sendonly', 'recvonly')

    def test_offer_withdrawn(self):
        """Alice cancels what bob is being asked: whatever he says, he is told that it does not hold."""
        pair = self.join()
        transaction = pair.alice.dialog.request('INVITE', sdp.document(sdp.message(
            pair.alice.own_path[0], extra=['a=sendonly']), origin='- 1 2'))
        invite = pair.bob.dialog.expect('INVITE')
        transaction.cancel().final(200)
        transaction.final(487)
        invite.respond(200, sdp.document(sdp.message(pair.bob.own_path[0], setup='passive',
                                                     extra=['a=recvonly'])))
        pair.bob.dialog.expect('ACK')
        pair.bob.dialog.expect('INVITE').respond(491)    # crossed: RFC 3261 14.1
        again = pair.bob.dialog.expect('INVITE')
        self.assertNotIn(('sendonly', None), sdp.Sdp(again.request.body).message.attributes)
        again.respond(200, sdp.document(sdp.message(pair.bob.own_path[0], setup='passive')))
        pair.bob.dialog.expect('ACK')
        self.hold(pair.alice, pair.bob, 'sendonly', 'recvonly')

    def test_question_withdrawn(self):
        """The same of one without an offer: bob's own is answered by what holds."""
        pair = self.join()
        transaction = pair.alice.dialog.request('INVITE')
        invite = pair.bob.dialog.expect('INVITE')
        transaction.cancel().final(200)
        transaction.final(487)
        invite.respond(200, sdp.document(sdp.message(pair.bob.own_path[0])))
        ack = pair.bob.dialog.expect('ACK')
        self.assertEqual(sdp.Sdp(ack.request.body).message.path, pair.bob.path)
        self.hold(pair.alice, pair.bob, 'sendonly', 'recvonly')

    def test_what_was_not_said(self):
        """Asked or refused, what bob was not offered changes nothing of what he has heard."""
        pair = self.join()
        self.hold(pair.alice, pair.bob, 'sendonly', 'recvonly')
        offer = sdp.document(sdp.message(pair.bob.own_path[0], setup='passive',
                                         extra=['a=recvonly']))
        heard = sdp.Sdp(pair.bob.dialog.reinvite(offer).body).lines
        pair.alice.dialog.request('INVITE')
        pair.bob.dialog.expect('INVITE').respond(488)
        self.assertEqual(sdp.Sdp(pair.bob.dialog.reinvite(offer).body).lines, heard)
        pair.bob.dialog.request('INVITE', offer).final(200)
        pair.alice.dialog.request('INVITE', sdp.document(sdp.message(
            pair.alice.own_path[0], 'text/html'), origin='- 1 3')).final(491)
        pair.bob.dialog.ack()
        self.assertEqual(sdp.Sdp(pair.bob.dialog.reinvite(offer).body).lines, heard)

    def test_stream_taken_away(self):
        """Port 0 is agreed to, and ends it."""
        pair = self.join()
        answer = pair.alice.dialog.reinvite(
            sdp.document(['m=message 0 TCP/MSRP *'], origin='- 1 2'))
        self.assertEqual([media.port for media in sdp.Sdp(answer.body).media], [0])
        for side in (pair.alice, pair.bob):
            side.dialog.expect('BYE').respond(200)
        self.ends(pair, 'bye')

    def test_both_ask_at_once(self):
        """While one is asked nothing of his is taken: 491 (RFC 3261 14.2)."""
        pair = self.join()
        offer = sdp.document(sdp.message(pair.alice.own_path[0], 'text/html'), origin='- 1 2')
        transaction = pair.alice.dialog.request('INVITE', offer)
        invite = pair.bob.dialog.expect('INVITE')
        pair.bob.dialog.request('INVITE', sdp.document(
            sdp.message(pair.bob.own_path[0], 'text/html'), origin='- 1 2')).final(491)
        invite.respond(200, sdp.document(sdp.message(pair.bob.own_path[0], 'text/html',
                                                     setup='passive')))
        transaction.final(200)
        pair.alice.dialog.ack()
        self.passes(pair.alice, pair.bob, 'on')

    def test_message_in_the_dialog(self):
        """There is a session for it."""
        pair = self.join()
        pair.alice.dialog.request('MESSAGE', b'x', content_type='text/plain').final(405)
        self.passes(pair.alice, pair.bob, 'on')


class SippTest(AnchorCase):
    """Between two peers that are none of ours."""

    def test_calls(self):
        """Fifty of them ring, are answered, and end."""
        callee = Sipp(self.directory, 'uas.xml', 50, free_port())
        try:
            callee.ready()
            daemon, ctl = self.start({'routes': {'sip': [{'do': [{'msrp_anchor': {
                'ruri': f'sip:sipp@127.0.0.1:{callee.port}'}}]}]}})
            Sipp(self.directory, 'uac.xml', 50, free_port(), '-r', '20',
                 f'127.0.0.1:{daemon.sip_port}').finish()
        finally:
            callee.finish()
        poll(lambda: not self.listed(ctl), what='the end of all sessions')
        numbers = self.statistics(ctl)
        self.assertEqual((numbers['established'], numbers['ended_bye'], numbers['failed']),
                         (50, 50, 0))


if __name__ == '__main__':
    case.main()
