#!/usr/bin/env python3
"""An account of every message while everything goes wrong at random.

UA, by TCP and by WebSocket, gateway, relay and chat rooms together: each message that was sent was delivered once, or its sender was
told that it was not, or its sender's own connection broke before he could be told.  Nothing is in
flight at the end, the counters say what the peers saw, and descriptors and memory are those of
before.  This is the short form; scripts/torture soak takes ten minutes and 200 sessions.
"""
import collections
import os
import random
import signal
import time

from lib import case, sdp
from lib.account import Account, Ledger, Line, drain, final_code, text_of
from lib.case import Case
from lib.ctl import Control, RpcError
from lib.frame import new_id
from lib.relay_client import USERS
from lib.rooms import CPIM, envelope
from lib.sip import Dialog
from lib.waiting import DEADLINE, poll
from lib.wire import address_of

LONG = 'MSRPD_TORTURE' in os.environ
SECONDS = float(os.environ.get('MSRPD_TORTURE_SECONDS', 600 if LONG else 4))
PHASE = 60                      # seconds after which all sessions end, and memory is looked at
SESSIONS = 200 if LONG else 15  # in equal parts of those below
SIZES = (30, 30, 30, 300, 3000, 30000, 100000)
GROWTH = 2048                   # KiB of resident memory from the first third to the last
if LONG:
    # What is free goes back at once: else that is as much as the worst moment so far has wanted.
    os.environ.setdefault('GLIBC_TUNABLES', 'glibc.malloc.mmap_threshold=4096')
ANSWERS = (200, 200, 200, 200, 202, 404, 500, 0)    # of the phones; 0: none
TYPE = 'text/plain'
SHOWN = 8


class UaConversation:
    """A session with the UA, whose application is the control client."""

    kind = 'ua'

    def __init__(self, soak, web=False, **kwargs):
        self.soak = soak
        call = soak.call(connect=False, ua=soak.peers, kind='TCP', uri=soak.uri('chat'), **kwargs)
        self.dialogs, self.id, self.path = [call.dialog], call.id, call.path
        self.sent = {}
        self.lines = [Line(soak.account, address_of(self.path[0]), call.own_path[-1], web)]
        self.line, = self.lines
        self.line.start().put(self.line.send_frame(self.path).encode())
        soak.answered += 1

    def step(self):
        size = random.choice(SIZES)
        if random.random() < 0.5:
            self.line.say(self.path, 'peer to UA', size)
            return
        name, body = text_of(size)
        try:
            ident = self.soak.ctl.call('msrp_ua_send_message', session_id=self.id, mime=TYPE,
                                       body=body, success_report='yes')['message_id']
        except RpcError:
            return
        self.sent[ident] = self.soak.by_id[ident] = self.soak.ledger.sent(name, 'UA to peer')

    def end(self):
        self.soak.hang_up(self.dialogs[0])

    def stop(self):
        """By the application, which is told no more of what it has sent."""
        try:
            self.soak.ctl.call('msrp_ua_end_session', session_id=self.id)
        except RpcError:
            return
        for message in self.sent.values():
            message.cut = not message.good and not message.bad


class WebConversation(UaConversation):
    """The same from a browser."""

    kind = 'web'

    def __init__(self, soak):
        super().__init__(soak, True, path=f'msrp://{new_id()}.invalid:2855/{new_id()};ws',
                         setup='active')


class GatewayConversation:
    """An MSRP client, and a phone with MESSAGE."""

    kind = 'gateway'

    def __init__(self, soak):
        self.soak = soak
        number = next(soak.numbers)
        self.client = f'sip:client{number}@example.org'
        self.phone = soak.phones.contact('TCP').replace('peer', f'phone{number}')
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction = soak.invite(soak.offer(path, TYPE), soak.daemon, 'TCP', soak.peers,
                                  uri=soak.uri('gw'), from_uri=self.client, to_uri=self.phone,
                                  headers=[('X-Phone', self.phone)])
        answer = transaction.final(200)
        self.dialogs = [Dialog.of_client(transaction, answer)]
        self.dialogs[0].ack()
        self.path = sdp.Sdp(answer.body).message.path
        self.lines = [Line(soak.account, address_of(self.path[0]), path)]
        self.line, = self.lines
        self.line.start().put(self.line.send_frame(self.path).encode())
        soak.answered += 1

    def step(self):
        if random.random() < 0.5:
            self.line.say(self.path, 'client to phone', random.choice(SIZES[:5]))
            return
        name, body = text_of(random.choice(SIZES[:5]))
        message = self.soak.ledger.sent(name, 'phone to client')
        phones = self.soak.phones
        transport = phones.reach('127.0.0.1', self.soak.daemon.sip_port, 'TCP')
        request = phones.build('MESSAGE', self.soak.peers.contact('TCP'), transport,
                               body.encode(), content_type=TYPE, from_uri=self.phone,
                               to_uri=self.client)
        self.soak.pages.append((phones.transact(request, transport), message))

    def end(self):
        self.soak.hang_up(self.dialogs[0])


class RelayConversation:
    """A client of the relay's, and its peer."""

    kind = 'relay'

    def __init__(self, soak):
        self.soak, self.dialogs = soak, []
        client = Line(soak.account, address_of(soak.relay))
        self.use_path = client.auth(soak.relay, 'alice', USERS['alice']['password']) \
            .get('Use-Path').split(' ')
        peer = Line(soak.account, address_of(soak.relay))
        self.lines = [client, peer]
        self.path = [*reversed(self.use_path), client.own]
        for line in self.lines:
            line.start()
        # So that the relay knows where the peer is.
        peer.put(peer.send_frame(self.path).encode())

    def step(self):
        client, peer = self.lines
        size = random.choice(SIZES)
        if random.random() < 0.5:
            peer.say(self.path, 'peer to client', size)
        else:
            client.say([*self.use_path, peer.own], 'client to peer', size)

    def end(self):
        for line in self.lines:
            line.over()


class RoomConversation:
    """Two who are in a room of their own."""

    kind = 'room'

    def __init__(self, soak):
        self.soak = soak
        self.room = f'sip:room{next(soak.numbers)}@example.org'
        self.dialogs, self.lines, self.paths = [], [], []
        for user in ('sip:a@example.org', 'sip:b@example.org'):
            self.join(user)

    def join(self, user):
        soak = self.soak
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction = soak.invite(
            soak.offer(path, CPIM, extra=['a=accept-wrapped-types:*']), soak.daemon, 'TCP',
            soak.peers, uri=soak.uri('room'), from_uri=user, to_uri=self.room)
        answer = transaction.final(200)
        self.dialogs.append(Dialog.of_client(transaction, answer))
        self.dialogs[-1].ack()
        self.paths.append(sdp.Sdp(answer.body).message.path)
        line = Line(soak.account, address_of(self.paths[-1][0]), path)
        line.start().put(line.send_frame(self.paths[-1]).encode())
        self.lines.append(line)
        soak.ctl.event('E_MSRP_CONF_JOIN', room=self.room)
        soak.answered += 1

    def step(self):
        """A room says 200 for itself; who does not hear it is somebody who leaves."""
        speaker = random.randrange(2)
        name, body = text_of(random.choice(SIZES[:5]))
        message = self.soak.ledger.sent(name, 'in a room', *self.lines)
        self.lines[speaker].pass_on(
            message, self.paths[speaker],
            envelope(body, f'sip:{"ab"[speaker]}@example.org', self.room), content_type=CPIM)

    def end(self):
        for dialog in self.dialogs:
            self.soak.hang_up(dialog)


KINDS = (UaConversation, WebConversation, GatewayConversation, RelayConversation, RoomConversation)


class SoakTest(Case):
    config = {
        'log': {'level': 'info'},
        'shutdown_grace': '5s',
        # An ACK of ours that is later than that, on a busy machine, ends a session.
        'sip': {'transaction_timeout': '8s'},
        'msrp': {'transaction_timeout': '2s', 'send_timeout': '3s', 'bind_timeout': '5s',
                 'send_queue': '64KiB', 'listen': [
                     {'name': 'tcp', 'uri': 'msrp://127.0.0.1:0;tcp'},
                     {'name': 'web', 'uri': 'msrp://127.0.0.1:0;ws'}]},
        'ua': {'reconnect_grace': '0s'},
        'gateway': {'large_messages': 'tcp'},
        'relay': {'users': USERS, 'allow_plain_auth': True},
        'conference': {'create': True},
        'routes': {'sip': [
            {'if': {'$rm': 'INVITE', '$ru': 'sip:room@*'},
             'do': [{'msrp_conf_join': {'room': '$tu'}}]},
            {'if': {'$rm': 'INVITE', '$ru': 'sip:chat@*'},
             'do': [{'msrp_ua_answer': {'content_types': TYPE}}]},
            {'if': {'$rm': 'INVITE'}, 'do': [{'msrp_gw_answer': {
                'key': '$fu:$tu', 'content_types': TYPE, 'from': '$fu', 'to': '$tu',
                'ruri': '$hdr(X-Phone)'}}]},
            {'if': {'$rm': 'MESSAGE'}, 'do': [{'msg_to_msrp': {
                'key': '$tu:$fu', 'content_types': TYPE, 'confirm': 'sent'}}]}]}}

    def setUp(self):
        super().setUp()
        seed = int(os.environ.get('MSRPD_SEED', random.randrange(1 << 30)))
        print(f'MSRPD_SEED={seed}', flush=True)
        random.seed(seed)
        self.peers, self.phones = self.ua(name='peers'), self.ua(name='phones')
        host, port = self.daemon.listeners(self.ctl)[0]
        self.relay = f'msrp://{host}:{port};tcp'
        self.account = Account()
        self.conversations = []
        self.numbers = iter(range(1, 1 << 30))
        self.byes, self.later, self.rogues = [], [], []
        self.totals = collections.Counter()
        self.begin_account()

    def begin_account(self):
        self.ledger = self.account.ledger = Ledger()
        self.by_id, self.pages = {}, []
        self.answered = self.received = 0
        self.before = self.ctl.call('get_statistics')

    def uri(self, user):
        return f'sip:{user}@127.0.0.1:{self.daemon.sip_port};transport=tcp'

    # --- what comes

    def turn(self, timeout=0.005):
        self.account.turn(timeout)
        self.take_events()
        for ua in (self.peers, self.phones):
            self.take_requests(ua)
        self.take_answers()
        self.account.hearing()

    def take_events(self):
        self.ctl.history.clear()
        for event in drain(self.ctl.events):
            params = event['params']
            if event['method'] == 'E_MSRP_MSG_RECEIVED':
                self.received += 1
                self.ledger.delivered(params['body'])
            elif event['method'] == 'E_MSRP_REPORT_RECEIVED':
                Line.told(self.by_id.get(params['message_id']), int(params['status'].split()[1]))

    def take_requests(self, ua):
        for transaction in drain(ua.requests):
            if transaction.method == 'BYE':
                self.respond(transaction, 200)
                self.hung_up(transaction.request.call_id)
            elif transaction.method == 'INVITE':
                self.respond(transaction, 480)
            elif transaction.method == 'MESSAGE':
                code = random.choice(ANSWERS) if self.faulty else 200
                self.ledger.delivered(transaction.request.body)
                if code:
                    self.respond(transaction, code)

    @staticmethod
    def respond(transaction, code):
        try:
            transaction.respond(code)
        except OSError:
            pass

    def take_answers(self):
        for page, message in list(self.pages):
            code = final_code(page)
            if code:
                Line.told(message, 200 if code < 300 else code)
                self.pages.remove((page, message))

    # --- what goes wrong

    def hung_up(self, call_id):
        """Who is told that the session is over is told of all that was under way."""
        for conversation in self.conversations:
            for dialog, line in zip(conversation.dialogs, conversation.lines):
                if dialog.call_id == call_id:
                    self.ledger.cut(line)

    def hang_up(self, dialog):
        self.hung_up(dialog.call_id)
        try:
            self.byes.append(dialog.request('BYE'))
        except OSError:
            pass

    def fault(self):
        what = random.choice(('close', 'reset', 'cut', 'deaf', 'mute', 'bye', 'end', 'rogue',
                              'reload'))
        conversation = random.choice(self.conversations)
        line = random.choice(conversation.lines)
        if what in ('close', 'reset', 'cut'):
            line.break_down(what)
        elif what == 'deaf' and not line.closed:
            line.deaf_until = time.monotonic() + random.uniform(0.1, 4)
            line.flush()
        elif what == 'mute':
            line.mute = True
        elif what == 'bye':
            conversation.end()
        elif what == 'end' and conversation.kind in ('ua', 'web'):
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
        for make in KINDS:
            for _ in range(SESSIONS // len(KINDS) - kinds[make.kind]):
                self.conversations.append(make(self))

    def phase(self, seconds):
        self.faulty = True
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.renew()
            for _ in range(20):
                random.choice(self.conversations).step()
                self.turn(0)
            if random.random() < 0.3:
                self.fault()
            self.turn()
        self.faulty = False
        self.settle()
        self.check()

    def settle(self):
        """No more faults; whatever is under way gets where it can get."""
        for line in self.account.lines.values():
            line.deaf_until, line.mute = 0, False
            line.flush()

        def settled():
            self.turn(0.05)
            return not self.ledger.in_flight() and not self.pages
        try:
            poll(settled, DEADLINE, 'the fate of all messages', interval=0)
        except AssertionError as error:
            raise AssertionError(f'{error}: {self.ledger.in_flight()[:SHOWN]}') from None
        for conversation in self.conversations:
            conversation.end()

        def over():
            self.turn(0.05)
            return self.ctl.call('get_statistics', group='ua')['ua:sessions'] == 0
        poll(over, DEADLINE, 'the end of all sessions', interval=0)
        for line in list(self.account.lines.values()):
            line.over()
        self.conversations.clear()
        while self.rogues:
            self.rogues.pop().close()

        def closed():
            self.turn(0.05)         # phones still get what was taken from who is gone
            return not self.left_open()
        try:
            poll(closed, what='the end of all that was open', interval=0)
        except AssertionError as error:
            raise AssertionError(f'{error}: {self.left_open()}') from None
        self.turn(0)

    def left_open(self):
        now = self.ctl.call('get_statistics')
        return {name: now[name] for name in (
            'msrp:connections', 'gw:sessions', 'relay:sessions', 'msrp:body_bytes') if now[name]}

    def is_accounted(self):
        """Whoever sent it is gone, but a MESSAGE may still be under way.

        What goes through a room counts once it is whole there: it is sent in one chunk.
        """
        self.turn(0.05)
        after = self.ctl.call('get_statistics')
        taken = after['msrp:messages_in'] - self.before['msrp:messages_in']
        ended = sum(after[name] - self.before[name] for name in (
            'gw:to_sip', 'gw:to_sip_failed', 'gw:refused_full', 'conf:messages'))
        return taken - ended == self.received

    def check(self):
        self.assertEqual(self.ledger.wrong()[:SHOWN], [])
        poll(self.is_accounted, what='the end of the last MESSAGE', interval=0)
        after = self.ctl.call('get_statistics')

        def counted(name):
            return after[name] - self.before[name]
        self.assertEqual(counted('ua:answered'), self.answered)
        good = sum(message.good for message in self.ledger.messages.values()
                   if message.kind == 'phone to client')
        self.assertEqual(counted('gw:to_msrp'), good)
        self.totals.update(self.ledger.table())
        self.begin_account()

    def descriptors(self):
        """But for SIP connections, of which each to a peer stays for its idle_timeout."""
        return len(os.listdir(f'/proc/{self.daemon.process.pid}/fd')) \
            - self.ctl.call('get_statistics', group='sip')['sip:connections']

    def test_account(self):
        self.phase(min(2, SECONDS / 2))         # what is allocated once
        base, memory = None, []
        phases = max(1, round(SECONDS / PHASE))
        for _ in range(phases):
            self.phase(SECONDS / phases)
            base = base or self.descriptors()
            poll(lambda: self.descriptors() <= base, what='the descriptors of before')
            memory.append(self.daemon.resident_kib())
        if not LONG:
            return
        for (kind, what), count in sorted(self.totals.items()):
            print(f'soak.{kind.replace(" ", "_")}.{what.replace(" ", "_")} {count} messages')
        print('soak.memory', *memory, 'KiB', flush=True)
        third = max(1, len(memory) // 3)
        self.assertLessEqual(max(memory[-third:]) - max(memory[:third]), GROWTH)


if __name__ == '__main__':
    case.main()
