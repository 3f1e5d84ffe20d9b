"""Sessions of all kinds that are busy at once, and the account of what goes through them."""
import os
import random

from . import sdp
from .account import Account, Ledger, Line, drain, final_code, text_of
from .case import Case
from .ctl import RpcError
from .frame import new_id
from .relay_client import USERS
from .rooms import CPIM, envelope
from .sip import Dialog
from .waiting import DEADLINE, poll
from .wire import address_of

SIZES = (30, 30, 30, 300, 3000, 30000, 100000)
TYPE = 'text/plain'
SHOWN = 8


class UaConversation:
    """A session with the UA, whose application is the control client."""

    kind = 'ua'

    def __init__(self, case, web=False, **kwargs):
        self.case = case
        call = case.call(connect=False, ua=case.peers, kind='TCP', uri=case.uri('chat'), **kwargs)
        self.dialogs, self.id, self.path = [call.dialog], call.id, call.path
        self.sent = {}
        self.lines = [Line(case.account, address_of(self.path[0]), call.own_path[-1], web)]
        self.line, = self.lines
        self.line.start().put(self.line.send_frame(self.path).encode())
        case.answered += 1

    def step(self):
        size = random.choice(SIZES)
        if random.random() < 0.5:
            self.line.say(self.path, 'peer to UA', size)
            return
        name, body = text_of(size)
        try:
            ident = self.case.ctl.call('msrp_ua_send_message', session_id=self.id, mime=TYPE,
                                       body=body, success_report='yes')['message_id']
        except RpcError:
            return
        self.sent[ident] = self.case.by_id[ident] = self.case.ledger.sent(name, 'UA to peer')

    def end(self):
        self.case.hang_up(self.dialogs[0])

    def stop(self):
        """By the application, which is told no more of what it has sent."""
        try:
            self.case.ctl.call('msrp_ua_end_session', session_id=self.id)
        except RpcError:
            return
        for message in self.sent.values():
            message.cut = not message.good and not message.bad


class WebConversation(UaConversation):
    """The same from a browser."""

    kind = 'web'

    def __init__(self, case):
        super().__init__(case, True, path=f'msrp://{new_id()}.invalid:2855/{new_id()};ws',
                         setup='active')


class GatewayConversation:
    """An MSRP client, and a phone with MESSAGE."""

    kind = 'gateway'

    def __init__(self, case):
        self.case = case
        number = next(case.numbers)
        self.client = f'sip:client{number}@example.org'
        self.phone = case.phones.contact('TCP').replace('peer', f'phone{number}')
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction = case.invite(case.offer(path, TYPE), case.daemon, 'TCP', case.peers,
                                  uri=case.uri('gw'), from_uri=self.client, to_uri=self.phone,
                                  headers=[('X-Phone', self.phone)])
        answer = transaction.final(200)
        self.dialogs = [Dialog.of_client(transaction, answer)]
        self.dialogs[0].ack()
        self.path = sdp.Sdp(answer.body).message.path
        self.lines = [Line(case.account, address_of(self.path[0]), path)]
        self.line, = self.lines
        self.line.start().put(self.line.send_frame(self.path).encode())
        case.answered += 1

    def step(self):
        if random.random() < 0.5:
            self.line.say(self.path, 'client to phone', random.choice(SIZES[:5]))
            return
        name, body = text_of(random.choice(SIZES[:5]))
        message = self.case.ledger.sent(name, 'phone to client')
        try:
            page = self.send_page(body)
        except OSError:             # msrpd is gone
            message.cut = True
            return
        self.case.pages.append((page, message))

    def send_page(self, body):
        phones = self.case.phones
        transport = phones.reach('127.0.0.1', self.case.daemon.sip_port, 'TCP')
        request = phones.build('MESSAGE', self.case.peers.contact('TCP'), transport,
                               body.encode(), content_type=TYPE, from_uri=self.phone,
                               to_uri=self.client)
        return phones.transact(request, transport)

    def end(self):
        self.case.hang_up(self.dialogs[0])


class RelayConversation:
    """A client of the relay's, and its peer."""

    kind = 'relay'

    def __init__(self, case):
        self.case, self.dialogs = case, []
        client = Line(case.account, address_of(case.relay))
        self.use_path = client.auth(case.relay, 'alice', USERS['alice']['password']) \
            .get('Use-Path').split(' ')
        peer = Line(case.account, address_of(case.relay))
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

    def __init__(self, case):
        self.case = case
        self.room = f'sip:room{next(case.numbers)}@example.org'
        self.dialogs, self.lines, self.paths = [], [], []
        for user in ('sip:a@example.org', 'sip:b@example.org'):
            self.join(user)

    def join(self, user):
        case = self.case
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction = case.invite(
            case.offer(path, CPIM, extra=['a=accept-wrapped-types:*']), case.daemon, 'TCP',
            case.peers, uri=case.uri('room'), from_uri=user, to_uri=self.room)
        answer = transaction.final(200)
        self.dialogs.append(Dialog.of_client(transaction, answer))
        self.dialogs[-1].ack()
        self.paths.append(sdp.Sdp(answer.body).message.path)
        line = Line(case.account, address_of(self.paths[-1][0]), path)
        line.start().put(line.send_frame(self.paths[-1]).encode())
        self.lines.append(line)
        case.ctl.event('E_MSRP_CONF_JOIN', room=self.room)
        case.answered += 1

    def step(self):
        """A room says 200 for itself; who does not hear it is somebody who leaves."""
        speaker = random.randrange(2)
        name, body = text_of(random.choice(SIZES[:5]))
        message = self.case.ledger.sent(name, 'in a room', *self.lines)
        self.lines[speaker].pass_on(
            message, self.paths[speaker],
            envelope(body, f'sip:{"ab"[speaker]}@example.org', self.room), content_type=CPIM)

    def end(self):
        for dialog in self.dialogs:
            self.case.hang_up(dialog)


KINDS = (UaConversation, WebConversation, GatewayConversation, RelayConversation, RoomConversation)


class BusyCase(Case):
    """The account of one daemon: msrpd of the class, or of the test itself."""

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
        if self.own_daemon:
            self.daemon, self.ctl = self.start(self.config)
        self.peers, self.phones = self.ua(name='peers'), self.ua(name='phones')
        host, port = self.daemon.listeners(self.ctl)[0]
        self.relay = f'msrp://{host}:{port};tcp'
        self.account = Account()
        self.conversations = []
        self.numbers = iter(range(1, 1 << 30))
        self.byes = []
        self.answers = (200,)           # of the phones, by chance; 0: none
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
                code = random.choice(self.answers)
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

    # --- the account

    def settle(self):
        """Whatever is under way gets where it can get."""
        def settled():
            self.turn(0.05)
            return not self.ledger.in_flight() and not self.pages
        try:
            poll(settled, DEADLINE, 'the fate of all messages', interval=0)
        except AssertionError as error:
            raise AssertionError(f'{error}: {self.ledger.in_flight()[:SHOWN]}') from None

    def end_all(self):
        """All sessions, and what was open for them."""
        for conversation in self.conversations:
            conversation.end()

        def over():
            self.turn(0.05)
            return self.ctl.call('get_statistics', group='ua')['ua:sessions'] == 0
        poll(over, DEADLINE, 'the end of all sessions', interval=0)
        for line in list(self.account.lines.values()):
            line.over()
        self.conversations.clear()

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
