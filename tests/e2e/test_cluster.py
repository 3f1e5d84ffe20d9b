#!/usr/bin/env python3
"""Many nodes, one name: a key lives on one of them, whatever node is spoken to."""
from lib import case
from lib.cluster import ClusterCase
from lib.gateway import routes
from lib.msrp import report_for
from lib.waiting import poll


class KeyTest(ClusterCase):
    """Keys of the gateway."""

    def begin(self, node=0, body='first'):
        """First contact at a node; the call."""
        self.message(body, daemon=self.nodes[node]).final(202)
        call = self.answer(ctl=self.ctls[node])
        self.assertEqual(call.receive().body, body.encode())
        return call

    def test_other_node(self):
        """A MESSAGE to the node that has not the key reaches the session at the one that has."""
        call = self.begin()
        for i in range(3):
            self.message(f'by way of b {i}', daemon=self.nodes[1]).final(202)
            self.assertEqual(call.receive().body, f'by way of b {i}'.encode())
        self.assertEqual([len(self.sessions(ctl)) for ctl in self.ctls], [1, 0])
        self.assertEqual(self.numbers(1, 'gw')['remote'], 3)
        self.assertEqual(self.numbers(0, 'gw')['remote_taken'], 3)
        self.assertEqual(self.cluster(0)['owned'], 1)
        self.assertEqual(self.cluster(1)['owned'], 0)
        # Its answer comes from the owner: here that it does not take the type.
        self.message('<x/>', content_type='text/x-strange', daemon=self.nodes[1]).final(415)
        call.send('back')
        self.gets('back')
        call.bye()
        self.ctls[0].event('E_MSRP_GW_SESSION_END')
        # The key is free again, for any node.
        call = self.begin(node=1, body='anew')
        self.message('by way of a', daemon=self.nodes[0]).final(202)
        self.assertEqual(call.receive().body, b'by way of a')

    def test_at_once(self):
        """First contact on two nodes at once ends with one session, and nothing is lost."""
        sent = [self.message(f'{i}', daemon=self.nodes[i % 2]) for i in range(10)]
        invite = self.client.expect('INVITE')
        owner = next(i for i in range(2) if self.sessions(self.ctls[i]))
        call = self.answer(invite, ctl=self.ctls[owner])
        self.assertEqual(sorted(call.receive().body for _ in range(10)),
                         [f'{i}'.encode() for i in range(10)])
        for transaction in sent:
            transaction.final(202)
        self.assertEqual(self.client.requests.has(lambda t: t.method == 'INVITE'), [])

    def test_invite_elsewhere(self):
        """The client calls another node while its key has a session: as on one node, 486."""
        self.begin()
        self.client_calls(code=486, daemon=self.nodes[1], ctl=self.ctls[1])
        self.assertEqual(len(self.sessions(self.ctls[0])), 1)

    def test_invite(self):
        """An INVITE claims the key as a MESSAGE does."""
        call = self.client_calls(daemon=self.nodes[1], ctl=self.ctls[1])
        self.message('to the owner', daemon=self.nodes[0]).final(202)
        self.assertEqual(call.receive().body, b'to the owner')
        call.send('back')
        self.gets('back')

    def test_no_redis(self):
        """Without Redis each node serves; when it is back one session of two stays."""
        self.redis.stop()
        for ctl in self.ctls:
            poll(lambda c=ctl: c.call('cluster')['alone'], what='no Redis')
        calls = [self.begin(node=i, body=f'alone {i}') for i in range(2)]
        self.redis.start()
        self.wait_nodes(2)
        poll(lambda: sum(len(self.sessions(ctl)) for ctl in self.ctls) == 1, what='one session')
        owner = next(i for i in range(2) if self.sessions(self.ctls[i]))
        self.assertEqual(self.numbers(1 - owner)['conflicts'], 1)
        self.message('together again', daemon=self.nodes[1 - owner]).final(202)
        self.assertEqual(calls[owner].receive().body, b'together again')

    def test_paused(self):
        """Redis hangs: a first contact waits for it no longer than a second or so."""
        self.redis.pause()
        self.addCleanup(self.redis.pause, False)
        call = self.begin()
        self.message('and on', daemon=self.nodes[0]).final(202)
        self.assertEqual(call.receive().body, b'and on')
        self.assertGreater(self.numbers(0)['redis_timeouts'], 0)
        self.redis.pause(False)
        self.wait_nodes(2)
        self.message('by way of b', daemon=self.nodes[1]).final(202)
        self.assertEqual(call.receive().body, b'by way of b')

    def test_full(self):
        """Redis takes nothing more: local service goes on, and nodes stay what they are."""
        self.redis.call('CONFIG', 'SET', 'maxmemory', '1')
        call = self.begin()
        self.message('and on', daemon=self.nodes[0]).final(202)
        self.assertEqual(call.receive().body, b'and on')
        self.assertEqual(self.numbers(0)['alone'], 1)
        self.assertFalse(self.cluster(0)['alone'])
        self.redis.call('CONFIG', 'SET', 'maxmemory', '0')

    def test_owner_killed(self):
        """Its keys are free when its time is over, and those who write meanwhile learn of it."""
        self.begin()
        self.kill(0)
        # A code of ours if the key is still the dead node's; 202 once it is not.
        poll(lambda: self.message('anybody?', daemon=self.nodes[1]).final().code == 202,
             what='the key to be free')
        call = self.answer(ctl=self.ctls[1])
        self.assertEqual(call.receive().body, b'anybody?')

    def test_forged(self):
        """What a stranger says in the nodes' name is no more than a MESSAGE."""
        call = self.begin()
        self.message('forged', daemon=self.nodes[1],
                     headers=[('Msrpd-Cluster', f'b {"0" * 64} gw =x =text/plain - =accepted')]
                     ).final(202)
        self.assertEqual(call.receive().body, b'forged')
        self.assertEqual(self.numbers(1, 'gw')['remote_taken'], 0)


class ConfirmTest(ClusterCase):
    """What the session's node hears of the message is the answer at the other one."""

    config = {'routes': routes(confirm='delivered')}

    def test_delivered(self):
        sent = self.message('first', daemon=self.nodes[0])
        call = self.answer(ctl=self.ctls[0])
        self.confirm(call)
        sent.final(200)
        sent = self.message('second', daemon=self.nodes[1])
        self.confirm(call)
        sent.final(200)
        sent = self.message('third', daemon=self.nodes[1])
        self.confirm(call, '000 413 Too much')
        sent.final(413)

    @staticmethod
    def confirm(call, status='000 200 OK'):
        frame = call.receive()
        call.conn.send(report_for(frame, status, frame.get('Byte-Range')))


if __name__ == '__main__':
    case.main()
