#!/usr/bin/env python3
"""Three nodes, their Redis and load, while nodes and Redis fail in every way.

Each message that was sent was delivered once, or its sender was told that it was not, or its
sender's own connection broke before he could be told, or it was in the memory of a node that was
killed.  Whatever was served twice meanwhile is one node's at the end, two who come to a room by
different nodes are in the same, a phone that has registered is known at each node, each time that
Redis was away stands in the log once, and what is local goes on all the time.  This is the short
form, one fault after the other; scripts/torture cluster takes them at random, for ten minutes.
"""
import collections
import os
import random
import re
import signal
import time

from lib import case
from lib.account import Account, Ledger, Line, drain, final_code
from lib.cluster import NAMES, ClusterCase, Redis, Way
from lib.daemon import free_port
from lib.load import DOMAIN, PASSWORD, TYPE, Chat, Relayed, Roomed
from lib.relay_client import USERS
from lib.waiting import DEADLINE, Timeout, poll
from lib.wire import address_of

LONG = 'MSRPD_TORTURE' in os.environ
SECONDS = float(os.environ.get('MSRPD_TORTURE_SECONDS', 600))
CHATS = 100 if LONG else 12
ROOMS = 20 if LONG else 4
ROUNDS = 20                     # of load at each turn of things
SHOWN = 8
AWAY = 'what is new is served by this node alone'


class FaultTest(ClusterCase):
    node_count = 3
    config = {
        'log': {'level': 'info'},
        'sip': {'transaction_timeout': '10s'},
        'msrp': {'transaction_timeout': '10s'},
        'ua': {'reconnect_grace': '0s'},
        'relay': {'users': USERS, 'allow_plain_auth': True},
        'users': {f'{kind}{number}': {'password': PASSWORD}
                  for kind in ('sure', 'fast') for number in range(1, 50 * CHATS)},
        'registrar': {'domains': [DOMAIN]},
        'conference': {'create': True},
        'routes': {'sip': [
            {'if': {'$rm': 'INVITE'}, 'do': [{'msrp_conf_join': {'room': '$tu'}}]},
            {'if': {'$rm': 'MESSAGE', '$fu': 'sip:sure*'}, 'do': [{'msg_to_msrp': {
                'key': '$tu:$fu', 'content_types': TYPE, 'confirm': 'delivered'}}]},
            {'if': {'$rm': 'MESSAGE'}, 'do': [{'msg_to_msrp': {
                'key': '$tu:$fu', 'content_types': TYPE}}]}]}}

    def setUp(self):
        seed = int(os.environ.get('MSRPD_SEED', random.randrange(1 << 30)))
        print(f'MSRPD_SEED={seed}', flush=True)
        random.seed(seed)
        self.port = free_port('127.0.0.1', others=('127.0.0.2', '127.0.0.3'))
        self.name = f'msrp://im.example.org:{self.port};tcp'
        super().setUp()
        self.account = Account()
        self.ledger = self.account.ledger
        self.phones, self.clients = self.ua(name='phones'), self.ua(name='clients')
        self.pages = []
        self.taken = {}             # MESSAGEs by Call-ID: one that had its 202 may fail later
        self.numbering = iter(range(1, 1 << 30))
        self.chats = []
        self.relayed = [Relayed(self, at, by) for at in range(3) for by in range(3)]
        self.rooms = []
        self.alive = [True] * 3
        self.said = [self.times_away(i) for i in range(3)]
        self.totals = collections.Counter()
        self.conflicts = 0

    def tearDown(self):
        for bye in [bye for roomed in self.rooms for bye in roomed.end()]:
            bye.final()
        super().tearDown()

    def start_redis(self):
        ports = free_port(count=2)
        self.redis, self.replica = Redis(ports), Redis(ports + 1)
        for redis in (self.redis, self.replica):
            self.addCleanup(redis.discard)
        self.redis.start()
        self.replica.start(self.redis)
        self.ways = {name: Way(self.redis, os.path.join(self.redis.directory, f'{name}.sock'))
                     for name in NAMES}
        for way in self.ways.values():
            self.addCleanup(way.discard)

    def node_config(self, name):
        config = super().node_config(name)
        host = f'127.0.0.{NAMES.index(name) + 1}'
        at = f'msrp://{host}:{self.port};tcp'
        config['cluster'].update(redis=[self.ways[name].url, self.replica.url], msrp=at)
        return {**config,
                'msrp': {**self.config['msrp'], 'listen': [
                    {'name': 'node', 'uri': f'msrp://{host}:0;tcp'},
                    {'name': 'relay', 'uri': at, 'advertise': f'im.example.org:{self.port}'}]},
                'relay': {**self.config['relay'], 'my_uri': [self.name]}}

    # --- where things are

    def relay_at(self, i):
        return f'127.0.0.{i + 1}', self.port

    @staticmethod
    def node_of(uri):
        return int(address_of(uri)[0].split('.')[3]) - 1

    def line(self, address, node, own=None, start=True):
        """A connection to that node; None: it is gone."""
        try:
            line = Line(self.account, address, own)
        except OSError:
            return None
        line.node = node
        return line.start() if start else line

    # --- messages

    def sent(self, name, kind, nodes, sender=None, chat=None):
        message = self.ledger.sent(name, kind, *[sender] if sender else [])
        message.nodes, message.chat, message.doomed = nodes, chat, False
        return message

    def note(self, line, nodes, chat=None):
        """Where the message is that was sent last on that line."""
        message = list(line.sent.values())[-1]
        message.nodes, message.chat, message.doomed = nodes, chat, False

    # --- what comes

    def turn(self, timeout=0.005):
        self.account.turn(timeout)
        for transaction in drain(self.clients.requests):
            call_id = transaction.request.call_id
            if transaction.method == 'INVITE':
                self.chat_of(transaction.request).called(transaction)
            elif transaction.method == 'ACK':
                for chat in self.chats:
                    chat.acknowledged(call_id)
            else:
                for one in (*self.chats, *self.rooms):
                    one.hung_up(call_id)
                self.respond(transaction, 200)
        for transaction in drain(self.phones.requests):
            self.ledger.delivered(transaction.request.body)
            self.respond(transaction, 200)
        for roomed in self.rooms:
            roomed.turn()
        for page, message in list(self.pages):
            code = final_code(page)
            if not code and not page.transport.closed:
                continue
            if not code:
                message.cut = True
            elif code != 202:
                Line.told(message, 200 if code < 300 else code)
            self.pages.remove((page, message))
        for ctl in self.ctls:
            for event in drain(ctl.events):
                if event['method'] == 'E_MSRP_GW_MSG_FAILED':
                    Line.told(self.taken.get(event['params']['call_id']), event['params']['code'])
                    self.totals['failed after their 202'] += 1

    def chat_of(self, request):
        return next((chat for chat in self.chats
                     if request.uri.partition('@')[0] == chat.client.partition('@')[0]))

    @staticmethod
    def respond(transaction, code, body=b''):
        try:
            transaction.respond(code, body)
        except OSError:
            pass

    # --- load

    def running(self):
        return [i for i in range(3) if self.alive[i]]

    def more(self, count):
        """First contacts, each at two nodes at once, and a room."""
        self.rooms.append(Roomed(self, next(self.numbering), random.sample(range(3), 2)))
        self.rooms[-1].say()
        for i in range(count):
            number = next(self.numbering)
            chat = Chat(self, ('sure', 'fast')[i % 2], number)
            self.chats.append(chat)
            if chat.registration:
                chat.registration.refresh(random.choice(self.running()))
            for node in random.sample(self.running(), min(2, len(self.running()))):
                chat.write(node)

    def load(self, rounds=ROUNDS):
        for chat in random.sample(self.chats, 2):
            chat.leave()
        for _ in range(rounds):
            for chat in random.sample(self.chats, min(4, len(self.chats))):
                if chat.left():
                    chat.write(random.choice(self.running()))
                    chat.answer()
            for relayed in random.sample(self.relayed, 2):
                if self.alive[relayed.at] and self.alive[relayed.by]:
                    relayed.say()
            random.choice(self.rooms).say()
            registration = random.choice(self.chats).registration
            if registration and registration.settled():
                registration.refresh(random.choice(self.running()))
            for _ in range(4):
                self.turn(0.002)

    def until(self, condition, what, timeout=DEADLINE):
        def holds():
            self.turn(0.02)
            return condition()
        return poll(holds, timeout, what, interval=0)

    def settle(self):
        """Whatever is under way has an end."""
        def open_ones():
            return [message for message in self.ledger.in_flight() if not message.doomed]
        try:
            self.until(lambda: not open_ones() and not self.pages, 'the fate of all messages')
        except Timeout as error:
            raise AssertionError(f'{error}: {open_ones()[:SHOWN]}') from None

    def owners(self):
        """For each key the nodes that have a session with it."""
        owners = collections.defaultdict(list)
        for i in self.running():
            for session in self.ctls[i].call('msrp_gw_list_sessions'):
                owners[session['key']].append(i)
        return owners

    def one_owner(self):
        self.until(lambda: all(len(nodes) == 1 for nodes in self.owners().values()),
                   'one owner for each key')

    def registrations(self):
        return [chat.registration for chat in self.chats if chat.registration]

    def all_known(self):
        """Each phone is known at each node.  Those that failed, as it may be, come again."""
        def registered():
            settled = [one.settled() for one in self.registrations()]
            for one in self.registrations():
                if one.settled() and one.node is None:
                    one.refresh(random.choice(self.running()))
            return all(settled) and all(one.node is not None for one in self.registrations())
        self.until(registered, 'all registrations')
        for one in self.registrations():
            for i in self.running():
                # What a node has taken while it had no Redis is shared once it has, in batches.
                self.until(lambda i=i, one=one: one.is_known(i), f'{one.aor} of {one.node} at {i}')

    def one_room(self):
        """For each room one node has it, and its two are in it."""
        self.until(lambda: all([roomed.settled() and roomed.together() for roomed in self.rooms]),
                   'all in their rooms')
        owners = collections.Counter(
            room['room'] for i in self.running() for room in self.ctls[i].call('msrp_conf_list')
            if room['node'] == NAMES[i])
        self.assertEqual(set(owners.values()), {1}, owners)

    # --- faults, and what is expected of each

    def times_away(self, i):
        """How often it has said so: never again before it has said that Redis is in use."""
        told = re.findall(r'cluster: redis \S+: (.*)', self.nodes[i].log())
        away = [line.endswith(AWAY) for line in told]
        self.assertNotIn((True, True), list(zip(away, away[1:])))
        return sum(away)

    def all_alone(self):
        self.until(lambda: all(self.cluster(i)['alone'] for i in self.running()), 'no Redis')

    def together(self):
        ctls = [self.ctls[i] for i in self.running()]
        self.until(lambda: all(not (told := ctl.call('cluster'))['alone']
                               and len(told['nodes']) == len(ctls) for ctl in ctls), 'all nodes')

    def check(self, away=None):
        """The account until now; how often each node has said that Redis is away, at least."""
        self.together()
        self.settle()
        self.one_owner()
        self.all_known()
        self.one_room()
        wrong = [message for message in self.ledger.messages.values()
                 if message.delivered > 1
                 or (message.good and not message.delivered and not message.doomed)]
        self.assertEqual(wrong[:SHOWN], [])
        said = [self.times_away(i) for i in range(3)]
        for i, least in enumerate(away or ()):
            self.assertGreaterEqual(said[i] - self.said[i], least)
        self.said = said
        conflicts = [self.numbers(i)['conflicts'] for i in range(3)]
        self.assertEqual(conflicts, [self.numbers(i, 'gw')['yielded']
                                     + self.numbers(i, 'conf')['yielded'] for i in range(3)])
        self.conflicts = max(self.conflicts, sum(conflicts))
        self.totals.update(self.ledger.table())
        self.totals['lost with a node'] += sum(
            message.doomed and not message.delivered and not message.bad
            for message in self.ledger.messages.values())
        self.ledger = self.account.ledger = Ledger()
        self.taken = {}

    def calm(self):
        self.load()
        return 0, 0, 0

    def hung(self):
        self.redis.pause()
        try:
            self.load()
            self.more(3)
            self.all_alone()
            self.load()
        finally:
            self.redis.pause(False)
        return 1, 1, 1

    def empty(self):
        self.redis.stop()
        self.all_alone()
        for one in self.registrations():
            one.forgotten()
        self.more(3)
        self.load()
        self.redis.start()
        self.replica.call('REPLICAOF', '127.0.0.1', self.redis.port)
        return 1, 1, 1

    def slow(self):
        """Connections that have to be made anew are made all the same."""
        for way in self.ways.values():
            way.delay = 0.2
            way.cut()
        self.all_alone()
        for way in self.ways.values():
            way.cut(False)
        self.more(3)
        self.load()
        self.together()
        for way in self.ways.values():
            way.delay = 0

    def full(self):
        self.redis.call('CONFIG', 'SET', 'maxmemory', '1')
        self.load()
        self.more(3)
        self.load()
        self.redis.call('CONFIG', 'SET', 'maxmemory', '0')
        return 0, 0, 0

    def parted(self):
        """One node alone has no Redis, and serves what others serve as well."""
        i = random.randrange(3)
        self.ways[NAMES[i]].cut()
        self.until(lambda: self.cluster(i)['alone'], 'a node alone')
        self.more(3)
        self.load()
        self.ways[NAMES[i]].cut(False)
        return [int(node == i) for node in range(3)]

    def others_know(self, i):
        """That it is gone, or seems to be."""
        self.alive[i] = False
        self.load()
        self.more(3)
        self.together()
        self.load()

    def killed(self):
        i = random.randrange(3)
        for message in self.ledger.messages.values():
            nodes = message.nodes | (message.chat.nodes() if message.chat else set())
            message.doomed |= i in nodes and not message.delivered
        self.kill(i)
        for one in self.registrations():
            one.lost(i)
        self.others_know(i)
        self.settle()
        self.restart(i)
        self.alive[i] = True
        return 0, 0, 0

    def stuck(self):
        """A node does nothing, and then goes on."""
        i = random.randrange(3)
        self.nodes[i].signal(signal.SIGSTOP)
        try:
            self.others_know(i)
        finally:
            self.nodes[i].signal(signal.SIGCONT)
        self.alive[i] = True

    def failed_over(self):
        """The replica becomes the master, and the old one follows it when it is back."""
        masters = [self.redis, self.replica]
        for master, other in (masters, masters[::-1]):
            self.until(lambda m=master, o=other: o.has_all_of(m), 'the replica')
            master.stop()
            self.load()
            self.all_alone()
            other.call('REPLICAOF', 'NO', 'ONE')
            self.together()
            self.load()
            master.start(other)
        return 2, 2, 2

    # --- all of them

    FAULTS = calm, hung, empty, slow, full, parted, killed, stuck, failed_over

    def suffer(self, fault):
        began = time.monotonic()
        expected = fault(self)
        self.load()
        self.check(expected)
        print(f'{fault.__name__} {time.monotonic() - began:.1f} s', flush=True)

    def test_account(self):
        for _ in range(ROOMS):
            self.more(CHATS // ROOMS)
        self.check()
        if LONG:
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                self.suffer(random.choice(self.FAULTS))
                while len(self.chats) > 2 * CHATS:
                    self.chats.pop(0).leave()
                while len(self.rooms) > 2 * ROOMS:
                    self.rooms.pop(0).end()
        else:
            for fault in self.FAULTS:
                self.suffer(fault)
        self.assertGreater(self.conflicts, 0)
        for what, count in sorted(self.totals.items(), key=str):
            name = what if isinstance(what, str) else '.'.join(what)
            print(f'cluster.{name.replace(" ", "_")} {count} messages')


if __name__ == '__main__':
    case.main()
