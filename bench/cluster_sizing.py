#!/usr/bin/env python3
"""What many nodes and clients need of one Redis, and where it breaks first: a simulation.

Redis is one queue and one processor; each script costs what bench/cluster.py has measured. Nodes
say that they are there and renew what is theirs, clients begin and end sessions and register. Then
a tenth of the nodes is killed, and later Redis comes back empty: every node claims what it has
anew, a batch at a time, and whoever waits for longer than a second leaves, comes back and begins
again, as src/cluster/redis.c does. Prints "name value unit" lines.

    bench/cluster_sizing.py [--nodes 100,300] [--clients 10,20,50,100]     (millions)
"""
import argparse
import collections
import random

# Measured (docs/cluster.md): microseconds of Redis' CPU, bytes of its memory.
COST = {'claim': 9.0, 'release': 4.0, 'renew': 2.5, 'reclaim': 5.8, 'register': 7.0,
        'node': 10.0, 'node_each': 1.65}
MEMORY = {'session': 214, 'binding': 405, 'nonce': 133}
TTL_S = 10.0
KEY_S = 90 * TTL_S
BATCH = 128
ANSWER_S = 1.0          # nobody waits longer
RETRY_S = 0.1           # until a connection is made again
RETURN_S = 5.0          # within which the clients of a node that died come to others
STEP_S = 0.001
# What a client does, on average.
SESSIONS = 0.05         # that it has at a time
LIFE_S = 1800.0         # of a session
EXPIRES_S = 3600.0      # of a registration, which is said again at half of it
NONCES_S = 60.0


class Node:
    def __init__(self, keys):
        self.keys = keys
        self.next_tick = random.uniform(0, TTL_S / 3)
        self.left = 0           # keys that are to be claimed anew
        self.back = 0.0         # when it is connected again
        self.alive = True
        self.batch = 0          # which one is under way: those before it are nobody's any more
        self.slow = 0           # times that it has given up


class Cluster:
    """Its Redis works one thing after the other; what waits is (when it came, cost, what)."""

    def __init__(self, nodes, clients):
        self.clients = clients
        self.nodes = [Node(clients * SESSIONS / nodes) for _ in range(nodes)]
        self.queue = collections.deque()
        self.now = self.debt = self.used = 0.0
        self.waits = []
        self.batches = 0
        self.lost_at_once = 0.0
        self.lost = 0.0         # keys of nodes that died, not claimed by others yet

    @property
    def begins(self):
        """Sessions a second."""
        return self.clients * SESSIONS / LIFE_S

    def alive(self):
        return [node for node in self.nodes if node.alive]

    def arrive(self):
        """What comes within one step."""
        def count(rate):
            return max(0.0, random.gauss(rate, rate ** 0.5))
        rate = self.begins * STEP_S
        again = min(self.lost, count(self.lost_at_once * STEP_S / RETURN_S))
        self.lost -= again
        self.queue.append((self.now, COST['claim'] * (count(rate) + again), 'claim', None))
        self.queue.append((self.now, COST['release'] * count(rate), None, None))
        self.queue.append((self.now, COST['register'] * count(
            self.clients / (EXPIRES_S / 2) * STEP_S), None, None))
        count_of_nodes = len(self.alive())
        for node in self.alive():
            if self.now < node.next_tick or self.now < node.back:
                continue
            node.next_tick = self.now + TTL_S / 3
            self.queue.append((self.now, COST['node'] + COST['node_each'] * count_of_nodes,
                               None, None))
            if not node.left:       # a ninetieth of its keys, by batches
                self.queue.append((self.now, COST['renew'] * node.keys / 90, None, None))

    def ask(self, node):
        """Its next batch."""
        node.batch = self.batches = self.batches + 1
        size = min(BATCH, node.left)
        self.queue.append((self.now, COST['reclaim'] * size, 'batch', (node, node.batch, size)))

    def kill(self, count):
        """So many nodes; whoever writes to their sessions makes new ones at others."""
        for node in self.nodes[:count]:
            node.alive = False
            self.lost += node.keys
        self.lost_at_once = self.lost
        share = self.lost / len(self.alive())
        for node in self.alive():
            node.keys += share

    def claim_anew(self):
        """Redis is empty."""
        for node in self.alive():
            node.left = node.keys
            self.ask(node)

    def work(self):
        """One step of Redis' processor."""
        room = STEP_S * 1e6 - self.debt
        while self.queue and room > 0:
            came, cost, what, batch = self.queue.popleft()
            room -= cost
            self.used += cost
            done = self.now + STEP_S - max(0.0, room) / 1e6
            if what == 'claim':
                self.waits.append(done - came)
            elif what == 'batch':
                self.answered(*batch)
        self.debt = max(0.0, -room)

    def answered(self, node, batch, size):
        if batch != node.batch or not node.alive:
            return
        node.left -= size
        if node.left > 0:
            self.ask(node)

    def give_up(self):
        """A node with a batch that waits too long leaves, and claims all anew."""
        for came, _, what, batch in self.queue:
            if self.now - came < ANSWER_S:
                return
            if what == 'batch' and batch[1] == batch[0].batch:
                node = batch[0]
                node.slow += 1
                node.batch = 0
                node.back = self.now + RETRY_S

    def come_back(self):
        for node in self.alive():
            if node.left > 0 and not node.batch and self.now >= node.back:
                node.left = node.keys
                self.ask(node)

    def run(self, seconds, done=lambda: False):
        """The processor's share; until all is done, or time is over."""
        self.waits, self.used = [], 0.0
        began = self.now
        while self.now - began < seconds and not done():
            self.arrive()
            self.work()
            self.give_up()
            self.come_back()
            self.now += STEP_S
        return self.used / ((self.now - began) * 1e6)

    def percentile(self, share):
        waits = sorted(self.waits)
        return waits[int((len(waits) - 1) * share)] * 1000 if waits else 0.0


def simulate(nodes, millions):
    clients = millions * 1000000
    cluster = Cluster(nodes, clients)
    name = f'sizing.{nodes}_nodes.{millions}M'
    bytes_of = {'sessions': clients * SESSIONS * MEMORY['session'],
                'bindings': clients * MEMORY['binding'],
                'nonces': clients / (EXPIRES_S / 2) * NONCES_S * MEMORY['nonce']}
    print(f'{name}.memory {sum(bytes_of.values()) / 2**30:.1f} GiB')
    print(f'{name}.begun {cluster.begins:.0f} sessions/s')
    print(f'{name}.busy {100 * cluster.run(20):.1f} %')
    print(f'{name}.claim_p99 {cluster.percentile(0.99):.2f} ms')
    cluster.kill(nodes // 10)
    print(f'{name}.tenth_dies_busy {100 * cluster.run(RETURN_S):.1f} %')
    print(f'{name}.tenth_dies_claim_p99 {cluster.percentile(0.99):.1f} ms')
    began = cluster.now
    cluster.claim_anew()
    limit = 120
    cluster.run(limit, lambda: not any(node.left > 0 for node in cluster.alive()))
    took = cluster.now - began
    print(f'{name}.empty_resolved_after {took:.1f} s' if took < limit else
          f'{name}.empty_resolved_after - s')
    print(f'{name}.empty_claim_p99 {cluster.percentile(0.99):.0f} ms')
    print(f'{name}.empty_gave_up {sum(node.slow for node in cluster.nodes)} times', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--nodes', default='100', help='several by commas')
    parser.add_argument('--clients', default='10,20,50,100', help='millions, several by commas')
    options = parser.parse_args()
    random.seed(1)
    for nodes in options.nodes.split(','):
        for millions in options.clients.split(','):
            simulate(int(nodes), int(millions))


if __name__ == '__main__':
    main()
