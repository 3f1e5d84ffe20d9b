#!/usr/bin/env python3
"""An account of every message while everything goes wrong at random.

UA, by TCP and by WebSocket, gateway, relay, chat rooms, anchored sessions and phones that register
together, half of each by TLS: each message that was sent was delivered once, or its sender was told
that it was not, or its sender's own connection broke before he could be told.  Nothing is in flight
at the end, the counters say what the peers saw, and descriptors and memory are those of before.
This is the short form; scripts/torture soak takes ten minutes and 200 sessions.
"""
import collections
import os
import random
import signal
import time

from lib import case
from lib.busy import KINDS, WAYS, BusyCase
from lib.ctl import Control
from lib.waiting import poll

LONG = 'MSRPD_TORTURE' in os.environ
SECONDS = float(os.environ.get('MSRPD_TORTURE_SECONDS', 600 if LONG else 6))
PHASE = 60                      # seconds after which all sessions end, and memory is looked at
SESSIONS = 200 if LONG else 14  # of all kinds, as many of each as can be
AMID = 5                        # messages of a conversation that are under way when it goes wrong
ANSWERS = (200, 200, 200, 200, 202, 404, 500, 0)    # of the phones; 0: none
GROWTH = 2048                   # KiB of resident memory from the first third to the last
# And from before all of it, when each kind had been there once: the allocator may keep what was
# small in it of what all sessions at their worst have held, a send_queue each and a quarter more.
GROWTH_FROM_BASE = SESSIONS * 80
if LONG:
    # What is free goes back at once: else that is as much as the worst moment so far has wanted.
    os.environ.setdefault('GLIBC_TUNABLES', 'glibc.malloc.mmap_threshold=4096')


class SoakTest(BusyCase):
    def setUp(self):
        super().setUp()
        self.rogues = []
        self.totals = collections.Counter()

    # --- what goes wrong

    def fault(self):
        what = random.choice(('close', 'reset', 'cut', 'deaf', 'mute', 'bye', 'end', 'rogue',
                              'reload'))
        conversation = random.choice(self.conversations)
        line = random.choice(conversation.lines)
        for _ in range(AMID):
            conversation.step()
        if what in ('close', 'reset', 'cut'):
            line.break_down(what)
        elif what == 'deaf' and not line.closed:
            line.deaf_until = time.monotonic() + random.uniform(0.1, 4)
            line.flush()
        elif what == 'mute':
            line.mute = True
        elif what == 'bye':
            conversation.end()
        elif what == 'end' and conversation.kind in ('ua', 'web', 'anchor'):
            conversation.stop()
        elif what == 'rogue':
            self.rogue()
        elif what == 'reload':
            self.daemon.signal(signal.SIGHUP)

    def rogue(self):
        """A control client that subscribes, reads nothing and dies."""
        if self.rogues:
            self.rogues.pop().close()
            return
        client = Control(self.daemon.socket_path, 'rogue')
        client.subscribe()
        client.pause()
        self.rogues.append(client)

    # --- the account

    def renew(self):
        """Conversations that have lost a line or a session end, and others begin."""
        for conversation in list(self.conversations):
            if any(line.gone for line in conversation.lines):
                conversation.end()
                for line in conversation.lines:
                    line.over()
                self.conversations.remove(conversation)
        kinds = collections.Counter(one.kind for one in self.conversations)
        for i, make in enumerate(KINDS):
            share = SESSIONS * (i + 1) // len(KINDS) - SESSIONS * i // len(KINDS)
            for _ in range(share - kinds[make.kind]):
                self.converse(make)

    def phase(self, seconds):
        self.answers = ANSWERS
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.renew()
            for _ in range(20):
                random.choice(self.conversations).step()
                self.turn(0)
            if random.random() < 0.3:
                self.fault()
            self.turn()
        self.answers = (200,)
        for line in self.account.lines.values():
            line.deaf_until, line.mute = 0, False
            line.flush()
        self.settle()
        while self.rogues:
            self.rogues.pop().close()
        self.end_all()
        self.check()
        self.totals.update(self.ledger.table())
        self.begin_account()

    # --- what is left

    def warm_up(self):
        """A conversation of each kind each way: what msrpd makes once it has made now."""
        for make in KINDS:
            for _ in WAYS:
                self.converse(make)
        for conversation in self.conversations:
            conversation.step()
        self.settle()
        self.end_all()
        self.check()
        self.begin_account()

    def sip_connections(self):
        """
        How many there are, by those at their other ends.  They stay for their idle_timeout: of
        each peer no more than one by TCP and one by TLS to msrpd, and one from there.
        """
        counts = collections.Counter(
            (ua.name, stream.kind, stream.peer[1] in self.sip_ports.values())
            for ua in self.uas for stream in ua.connections())
        self.assertLessEqual(max(counts.values(), default=0), 1, counts)
        return sum(counts.values())

    def descriptors(self):
        """Without those of SIP connections that the peers have, too."""
        return len(os.listdir(f'/proc/{self.daemon.process.pid}/fd')) - self.sip_connections()

    def look_back(self, base):
        poll(lambda: self.ctl.call('get_statistics', group='sip')['sip:connections']
             == self.sip_connections(), what='the SIP connections of the peers and no others')
        poll(lambda: self.descriptors() <= base, what='the descriptors of before')

    def test_account(self):
        self.warm_up()
        base, memory = self.descriptors(), [self.daemon.resident_kib()]
        phases = max(2, round(SECONDS / PHASE))
        for _ in range(phases):
            self.phase(SECONDS / phases)
            self.look_back(base)
            memory.append(self.daemon.resident_kib())
        for ua in self.uas:
            self._uas.remove(ua)
            ua.close()
        self.look_back(base)
        if not LONG:
            return
        for (kind, what), count in sorted(self.totals.items()):
            print(f'soak.{kind.replace(" ", "_")}.{what.replace(" ", "_")} {count} messages')
        print('soak.memory', *memory, 'KiB', flush=True)
        third = max(1, phases // 3)
        self.assertLessEqual(max(memory[-third:]) - max(memory[1:third + 1]), GROWTH)
        self.assertLessEqual(max(memory) - memory[0], GROWTH_FROM_BASE)


if __name__ == '__main__':
    case.main()
