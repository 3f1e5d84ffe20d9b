"""What tests of anchored sessions share: alice, who calls, and bob, who is called."""
from . import msrp, sdp
from .case import TYPES, Call, Case
from .ctl import RpcError
from .frame import new_id
from .sip import Dialog
from .waiting import poll

ALICE = 'sip:alice@example.org'
BOB = 'sip:bob@example.org'
ROUTES = {'sip': [{'if': {'$rm': 'INVITE'}, 'do': [{'msrp_anchor': {'ruri': '$hdr(X-Callee)'}}]}]}


class Pair:
    """Two peers who chat with each other."""

    def __init__(self, alice, bob, event):
        self.alice, self.bob, self.event = alice, bob, event
        self.id = event['id']


class AnchorCase(Case):
    """The URI of who is called is where he listens."""

    config = {'routes': ROUTES}

    def setUp(self):
        super().setUp()
        self.alice = self.ua(user='alice', name='alice')
        self.bob = self.ua(user='bob', name='bob')

    def _end_sessions(self, ctl):
        for ua in self._uas:
            ua.agree()
        for session in ctl.call('msrp_anchor_list'):
            try:
                ctl.call('msrp_anchor_end', id=session['id'])
            except RpcError:
                pass                # it ended by itself meanwhile
        super()._end_sessions(ctl)

    def calls(self, offer=None, kind='UDP', headers=(), daemon=None, **kwargs):
        """Alice's INVITE."""
        offer = self.offer(f'msrp://127.0.0.1:9/{new_id()};tcp') if offer is None else offer
        return self.invite(offer, daemon, kind, self.alice, from_uri=ALICE, to_uri=BOB,
                           headers=[('X-Callee', self.bob.contact(kind)), *headers], **kwargs)

    def rings(self, **kwargs):
        """The same, and bob's."""
        return self.calls(**kwargs), self.bob.expect('INVITE')

    def answers(self, invite, listener=None, path=None, setup='passive', accept_types=TYPES,
                extra=()):
        """Bob takes it; his side."""
        path = path or (listener.uri() if listener else f'msrp://127.0.0.1:9/{new_id()};tcp')
        invite.respond(200, sdp.document(sdp.message(path, accept_types, setup=setup,
                                                     extra=extra)))
        return Call(self, Dialog.of_server(invite), sdp.Sdp(invite.request.body), path)

    def taken(self, transaction, path):
        """Alice has got her answer; her side."""
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        return Call(self, dialog, sdp.Sdp(answer.body), path)

    def join(self, ctl=None, connect=True, behave=msrp.answer_ok, bob_behave=msrp.answer_ok,
             extra=(), types=TYPES, relay=False, **kwargs):
        """Alice connects, bob is connected to; relay: what he gets may be words of hers."""
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        listener = self.listener(behave=bob_behave, name='bob', relay=relay)
        transaction, invite = self.rings(offer=self.offer(path, types, extra=extra), **kwargs)
        bob = self.answers(invite, listener)
        alice = self.taken(transaction, path)
        bob.dialog.expect('ACK')
        event = (ctl or self.ctl).event('E_MSRP_ANCHOR_NEW')
        if connect:
            alice.connect(behave)
            bob.attach(listener.accept())
            self.assertIsNone(bob.conn.expect('SEND').body)
        return Pair(alice, bob, event)

    def passes(self, one, other, body, **kwargs):
        """What one says reaches the other; as it arrives."""
        sent = one.send(body, **kwargs)
        got = other.receive()
        self.assertEqual((got.body, got.message_id), (sent.body, sent.message_id))
        self.assertEqual((got.to_path, got.from_path), (other.own_path, other.path))
        return got

    def listed(self, ctl=None):
        return (ctl or self.ctl).call('msrp_anchor_list')

    def ends(self, pair, reason, ctl=None, **params):
        event = (ctl or self.ctl).event('E_MSRP_ANCHOR_END', id=pair.id)
        self.assertEqual(event['reason'], reason)
        poll(lambda: not self.listed(ctl), what='the end of the anchored session')
        return event

    def statistics(self, ctl=None):
        return {name.partition(':')[2]: value for name, value in
                (ctl or self.ctl).call('get_statistics', group='anchor').items()}
