#!/usr/bin/env python3
"""Many nodes, one name: a room lives on one of them, and is joined on any."""
import signal

from lib import case, msrp, sdp
from lib.cluster import ClusterCase, SecureNodes
from lib.ctl import RpcError
from lib.daemon import free_port
from lib.rooms import LOBBY, Referral, RoomCase, rooms, uri
from lib.roster import Watcher
from lib.sip import Dialog
from lib.waiting import poll

MADE = uri('made')


class RoomsCase(RoomCase, ClusterCase):
    """Two nodes; what comes by way of node b is for a room of node a."""

    def come(self, user, node=0, room=LOBBY, **kwargs):
        """Somebody joins at that node a room of the first one."""
        return self.join(user, room, ctl=self.ctls[0], daemon=self.nodes[node], **kwargs)

    def participants(self, node, room=LOBBY):
        try:
            return [p['participant'] for p in
                    self.ctls[node].call('msrp_conf_list', room=room)[0]['participants']]
        except RpcError:
            return []

    def write(self, text, node, code=200):
        """A MESSAGE of the phone to the lobby."""
        transport = self.phone.reach('127.0.0.1', self.nodes[node].sip_port, 'UDP')
        request = self.phone.build('MESSAGE', LOBBY, transport, text.encode(),
                                   content_type='text/plain', from_uri=self.phone.contact(),
                                   to_uri=LOBBY)
        return self.phone.transact(request, transport).final(code)


class JoinTest(RoomsCase):
    config = rooms({'uri': LOBBY}, create=True, history=0)
    config['routes']['sip'].append(
        {'if': {'$rm': 'REFER'}, 'do': [{'msrp_conf_refer': {'room': '$ru', 'kick': 'yes'}}]})

    def test_session(self):
        """A participant by way of another node: all that a dialog may have comes through."""
        alice = self.come('alice')
        bob = self.come('bob', 1)
        self.assertEqual(len(bob.dialog.routes), 2)
        alice.say('hello')
        bob.hears('hello', alice.uri)
        bob.say('hello, too')
        alice.hears('hello, too', bob.uri)
        self.assertEqual(self.participants(0), [alice.uri, bob.uri])
        listed = [ctl.call('msrp_conf_list', room=LOBBY)[0] for ctl in self.ctls]
        self.assertEqual([one['node'] for one in listed], ['a', 'a'])
        self.assertEqual(listed[1]['participants'], [])
        self.assertEqual([self.cluster(i)['owned'] for i in range(2)], [1, 0])
        self.assertEqual(self.numbers(1, 'conf')['remote'], 1)
        self.assertEqual(self.numbers(0, 'conf')['remote_taken'], 1)
        again = bob.dialog.reinvite(self.offer(bob.own_path[0], 'message/cpim',
                                               extra=['a=accept-wrapped-types:*']))
        self.assertEqual(sdp.Sdp(again.body).message.path, bob.path)
        alice.say('still there?')
        bob.hears('still there?')
        bob.bye()
        self.ctls[0].event('E_MSRP_CONF_LEAVE', participant=bob.uri, reason='bye')

    def test_bye_from_the_owner(self):
        self.come('alice')
        bob = self.come('bob', 1)
        self.ctls[0].call('msrp_conf_kick', room=LOBBY, participant=bob.uri)
        bob.dialog.expect('BYE').respond(200)

    def test_streams(self):
        """The same for who has a connection to the other node instead of datagrams."""
        self.come('alice')
        transaction, _ = self.ask('bob', daemon=self.nodes[1], kind='TCP')
        dialog = Dialog.of_client(transaction, transaction.final(200))
        dialog.ack()
        event = self.ctls[0].event('E_MSRP_CONF_JOIN', participant=uri('bob'))
        self.ctls[0].call('msrp_conf_kick', room=LOBBY, participant=event['participant'])
        bye = dialog.expect('BYE')
        self.assertEqual(bye.transport.kind, 'TCP')
        bye.respond(200)

    def test_refused(self):
        """What the owner says is the answer, and its ACK ends the transaction there."""
        self.come('alice')
        transaction, _ = self.ask('bob', daemon=self.nodes[1], accept_types='text/plain')
        transaction.final(488)

    def test_cancelled(self):
        """While b asks Redis whose the room is, and while the owner does not answer."""
        alice = self.come('alice')
        self.redis.pause()
        self.addCleanup(self.redis.pause, False)
        transaction, _ = self.ask('bob', MADE, daemon=self.nodes[1])
        transaction.cancel().final(200)
        transaction.final(487)
        self.redis.pause(False)
        self.wait_nodes(2)
        self.assertEqual([self.participants(i, MADE) for i in range(2)], [[], []])
        self.nodes[0].signal(signal.SIGSTOP)
        try:
            transaction, _ = self.ask('bob', daemon=self.nodes[1])
            poll(lambda: self.numbers(1, 'conf')['remote'] == 1, what='the INVITE at the owner')
            cancel = transaction.cancel()
        finally:
            self.nodes[0].signal(signal.SIGCONT)
        cancel.final()
        answer = transaction.final()
        if answer.code == 200:          # it has crossed the CANCEL
            dialog = Dialog.of_client(transaction, answer)
            dialog.ack()
            dialog.bye()
        else:
            self.assertEqual(answer.code, 487)
        poll(lambda: self.participants(0) == [alice.uri], what='alice alone')

    def test_made(self):
        """A room that an INVITE makes is its node's, and free when the last one has left."""
        alice = self.come('alice', room=MADE)
        bob = self.come('bob', 1, room=MADE)
        alice.say('hello')
        bob.hears('hello', alice.uri)
        for participant in (alice, bob):
            participant.bye()
        self.ctls[0].event('E_MSRP_CONF_END', room=MADE)
        poll(lambda: not self.cluster(0)['owned'], what='the room to be free')
        self.join('carol', MADE, ctl=self.ctls[1], daemon=self.nodes[1])
        self.assertEqual(self.cluster(1)['owned'], 1)

    def test_at_once(self):
        """Two INVITEs to two nodes make one room."""
        asked = [self.ask(user, MADE, daemon=self.nodes[i])[0]
                 for i, user in enumerate(('alice', 'bob'))]
        for transaction in asked:
            Dialog.of_client(transaction, transaction.final(200)).ack()
        poll(lambda: sorted(len(self.participants(i, MADE)) for i in range(2)) == [0, 2],
             what='both in one room')

    def test_phone(self):
        """Who has MESSAGE alone writes to either node, and hears from the owner."""
        alice = self.come('alice')
        self.write('by way of b', 1)
        alice.hears('by way of b', self.phone.contact())
        alice.say('hello, phone')
        message = self.phone.expect('MESSAGE')
        self.assertEqual(message.request.body, b'alice: hello, phone')
        message.respond(200)
        self.write('by way of a', 0)
        alice.hears('by way of a')

    def test_refer(self):
        """Somebody in it has others called in, by way of any node."""
        alice = self.come('alice')
        carol, phone = self.ua(user='carol', name='carol'), self.ua(user='alice', name='phone')
        target = f'<{carol.contact()}>'
        referral = Referral(self, phone, target, daemon=self.nodes[1]).tried()
        carol.expect('INVITE').respond(603)
        referral.over('603 Decline')
        Referral(self, phone, target, user='stranger', daemon=self.nodes[1], code=403)
        Referral(self, phone, target, room=MADE, daemon=self.nodes[1], code=404)
        bob = self.come('bob', 1)
        referral = Referral(self, phone, f'<{bob.uri};method=BYE>', daemon=self.nodes[1]).tried()
        bob.dialog.expect('BYE').respond(200)
        referral.over('200 OK')
        self.assertEqual(self.participants(0), [alice.uri])

    def test_watch(self):
        """A roster is watched by way of any node."""
        alice = self.come('alice')
        desk = self.ua(user='desk', name='desk')
        watcher = Watcher(self, desk, daemon=self.nodes[1])
        self.assertEqual(list(watcher.notified().users), [alice.uri])
        bob = self.come('bob', 1)
        watcher.until(lambda users: bob.uri in users)
        Watcher(self, desk, MADE, daemon=self.nodes[1], code=404)

    def test_commands(self):
        """At the node that has not the room they say which one has it."""
        self.come('alice')
        self.come('bob', 1)
        error = self.refused(409, self.ctls[1].call, 'msrp_conf_send', room=LOBBY, body='x')
        self.assertIn('node a', str(error))

    def test_owner_killed(self):
        """Its room is free when its time is over; until then who comes is told to wait."""
        self.come('alice')
        self.come('bob', 1)
        self.kill(0)

        def joins():
            transaction, _ = self.ask('carol', daemon=self.nodes[1])
            answer = transaction.final()
            if answer.code == 200:
                Dialog.of_client(transaction, answer).ack()
            else:
                self.assertIn(answer.code, (480, 500))
            return answer.code == 200
        poll(joins, what='the room to be free')
        poll(lambda: self.participants(1) == [uri('carol')], what='her in it')

    def test_no_redis(self):
        """Both nodes have had the room: it is one's in the end, and the others come again."""
        self.redis.stop()
        for ctl in self.ctls:
            poll(lambda c=ctl: c.call('cluster')['alone'], what='no Redis')
        there = [self.join(user, ctl=self.ctls[i], daemon=self.nodes[i])
                 for i, user in enumerate(('alice', 'bob'))]
        self.redis.start()
        self.wait_nodes(2)
        poll(lambda: sum(len(self.participants(i)) for i in range(2)) == 1, what='one room')
        owner = next(i for i in range(2) if self.participants(i))
        there[1 - owner].dialog.expect('BYE').respond(200)
        self.assertEqual(self.numbers(1 - owner, 'conf')['yielded'], 1)
        carol = self.join('carol', ctl=self.ctls[owner], daemon=self.nodes[1 - owner])
        carol.say('together again')
        there[owner].hears('together again')


class SecureTest(SecureNodes, RoomsCase):
    """The nodes speak TLS with each other, whatever the participant speaks."""

    config = JoinTest.config
    test_session = JoinTest.test_session
    test_bye_from_the_owner = JoinTest.test_bye_from_the_owner
    test_streams = JoinTest.test_streams
    test_phone = JoinTest.test_phone
    test_watch = JoinTest.test_watch


class ListedTest(RoomsCase):
    config = rooms({'uri': LOBBY}, create=False, history=0)

    def test_no_such_room(self):
        """None that another node has either; one that it has made is found."""
        self.ask('bob', MADE, daemon=self.nodes[1])[0].final(404)
        self.ctls[0].call('msrp_conf_create', room=MADE)
        poll(lambda: self.cluster(0)['owned'] == 1, what='the room to be claimed')
        self.come('bob', 1, room=MADE)
        self.assertEqual(self.participants(0, MADE), [uri('bob')])

    def test_forged(self):
        """What a stranger says in the nodes' name is nothing."""
        self.come('alice')
        transaction, _ = self.ask('bob', daemon=self.nodes[1], headers=[
            ('Msrpd-Cluster', f'b {"0" * 64} conf =join ={LOBBY} =sip:eve@example.org')])
        Dialog.of_client(transaction, transaction.final(200)).ack()
        poll(lambda: self.participants(0) == [uri('alice'), uri('bob')], what='bob himself')


class BalancedTest(RoomsCase):
    """MSRP, too, comes to any node: whose a session is says its id."""
    config = rooms({'uri': LOBBY}, history=0)

    def node_config(self, name):
        return {**super().node_config(name),
                'msrp': {'listen': [{'uri': f'msrp://127.0.0.1:{free_port()};tcp'}]}}

    def test_other_node(self):
        alice = self.come('alice')
        bob = self.come('bob', 1, connect=False)
        self.assertRegex(bob.path[0], '/a\\.')
        host, port = self.nodes[1].listeners(self.ctls[1])[0]
        bob.attach(msrp.connect(f'msrp://{host}:{port};tcp', name='bob'))
        bob.msrp.bind()
        alice.say('hello')
        bob.hears('hello', alice.uri)
        bob.say('x' * (1 << 18))
        alice.hears('x' * (1 << 18), bob.uri)


if __name__ == '__main__':
    case.main()
