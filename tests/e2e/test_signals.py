#!/usr/bin/env python3
"""SIGTERM and SIGHUP while sessions of all kinds are busy, with an account of each message."""
import collections
import signal

from lib import case
from lib.busy import KINDS, SHOWN, BusyCase, GatewayConversation, RelayConversation
from lib.daemon import merge
from lib.relay_client import USERS
from lib.waiting import poll

EACH = 4                        # conversations of a kind
BURST = 10                      # messages of each that are under way at a signal
RELOADS = 5
ALL_WAYS = 9                    # two each of UA, gateway, relay and anchor, and a room's
FORCED = 'not everything ended within shutdown_grace'


def kinds_of(messages):
    return {message.kind for message in messages}


class SignalCase(BusyCase):
    """No time is up in it: whatever is lost was lost by the signal."""

    own_daemon = True
    config = merge(BusyCase.config, {
        'shutdown_grace': '50s',
        'sip': {'transaction_timeout': '60s'},
        'msrp': {'transaction_timeout': '60s', 'send_timeout': '60s', 'bind_timeout': '60s'},
        'gateway': {'max_queued': 10000, 'max_queued_bytes': '64MiB'}})

    def begin(self, kinds, ways):
        """All are at work, and each way has been gone."""
        for make in kinds:
            for _ in range(EACH):
                self.converse(make)
        while len(kinds_of(self.ledger.messages.values())) < ways:
            self.burst(1)

        def flows():
            self.turn()
            there = [one for one in self.ledger.messages.values() if one.delivered]
            return len(kinds_of(there)) == ways
        poll(flows, what='a message each way', interval=0)

    def burst(self, count=BURST):
        """Nobody reads or answers meanwhile."""
        for _ in range(count):
            for conversation in self.conversations:
                conversation.step()


class StopTest(SignalCase):
    def is_taken(self):
        """The gateway has what is under way, and owes its senders an answer."""
        now = self.ctl.call('get_statistics')
        owed = collections.Counter(message.kind for message in self.ledger.in_flight())
        return (now['msrp:messages_in'] - now['gw:to_sip'] == owed['client to phone']
                and now['sip:messages_in'] - now['gw:to_msrp'] == owed['phone to client'])

    def stop_amid(self, answers):
        """SIGTERM, and the account of it."""
        self.begin((RelayConversation, GatewayConversation), 4)
        self.burst()
        poll(self.is_taken, what='all of it at the gateway')
        self.burst()                    # and what has not been read
        self.answers = answers
        self.daemon.signal(signal.SIGTERM)

        def ended():
            self.burst(1)               # whoever has not heard of it goes on
            self.turn()
            return not self.daemon.alive
        poll(ended, what='the end of msrpd', interval=0)
        self.assertEqual(self.daemon.wait(), 0)

        def closed():
            self.turn()
            return not self.account.lines and not self.phones.connections()
        poll(closed, what='the end of all connections', interval=0)
        self.turn()                     # what had come before
        for _, message in self.pages:
            message.cut = True
        self.assertEqual(self.ledger.in_flight()[:SHOWN], [])
        self.assertEqual(self.ledger.wrong()[:SHOWN], [])

    def test_phones_answer(self):
        """Each message is delivered once, or its sender told, or nobody there to tell."""
        self.stop_amid(answers=(200, 404, 500))
        self.assertNotIn(FORCED, self.daemon.log())

    def test_phones_fall_silent(self):
        """The same of what waits for them until the end."""
        self.reload({'shutdown_grace': '1s'})
        self.stop_amid(answers=(0,))
        self.assertIn(FORCED, self.daemon.log())


class ReloadTest(SignalCase):
    def test_all(self):
        """SIGHUP, again and again: nothing is lost or refused, no session ends, counters agree."""
        self.begin(KINDS, ALL_WAYS)
        sessions = self.sessions()
        for number in range(RELOADS):
            self.daemon.config = merge(self.daemon.config, self.change(number))
            self.daemon.write_config()
            self.burst()
            self.assertEqual(len(kinds_of(self.ledger.in_flight())), ALL_WAYS)
            self.daemon.signal(signal.SIGHUP)
            poll(self.is_reloaded, what='the end of a reload', interval=0)
            self.daemon.notify.heard.clear()
        self.assertEqual(self.daemon.log().count('info: reload: '), RELOADS)
        self.burst()
        self.settle()
        self.assertEqual([message for message in self.ledger.messages.values()
                          if message.delivered != 1 or message.bad or message.cut][:SHOWN], [])
        self.assertFalse(any(line.gone for one in self.conversations for line in one.lines))
        self.assertEqual(self.sessions(), sessions)
        self.end_all()
        self.check()

    @staticmethod
    def change(number):
        """In each part that is at work."""
        return {'msrp': {'send_queue': f'{64 + number}KiB'},
                'gateway': {'max_queued': 10000 + number},
                'relay': {'users': {**USERS, f'user{number}': {'password': 'secret'}}},
                'routes': {'sip': [{'if': {'$ru': f'sip:nobody{number}@*'},
                                    'do': [{'send_reply': {'code': 404, 'reason': 'No'}}]},
                                   *BusyCase.config['routes']['sip']]}}

    def is_reloaded(self):
        self.burst(1)
        self.turn()
        self.daemon.notify.poll()
        return 'READY=1' in self.daemon.notify.heard

    def sessions(self):
        """Those there are, and how many have ended."""
        now = self.ctl.call('get_statistics')
        return {name: value for name, value in now.items()
                if name in ('gw:sessions', 'relay:sessions', 'ua:sessions')
                or ':ended' in name}


if __name__ == '__main__':
    case.main()
