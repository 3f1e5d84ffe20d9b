"""Sessions of all kinds that are busy at once, and the account of what goes through them."""
import collections
import itertools
import os
import random
import re
import socket

from . import certs, sdp
from .account import Account, Ledger, Line, drain, final_code, text_of
from .case import Case
from .ctl import RpcError
from .daemon import merge
from .digest import authorized
from .frame import new_id
from .registrar import DOMAIN
from .relay_client import USERS
from .rooms import CPIM, envelope
from .sip import Dialog
from .waiting import DEADLINE, poll
from .wire import address_of

SIZES = (30, 30, 30, 300, 3000, 30000, 100000)
TYPE = 'text/plain'
SHOWN = 8
# MSRP by TLS, and what SIP goes over: each kind of conversation takes them in turn.
WAYS = ((False, 'TLS'), (True, 'TCP'), (False, 'TCP'), (True, 'TLS'))
SEATS = 40                      # users of a role and a way
TO_ENDPOINTS = ('peer to UA', 'client to phone', 'in a room')
RELAYED = ('peer to client', 'client to peer')
ANCHORED = ('caller to callee', 'callee to caller')
# What the peers know as well as msrpd does: no SIP connection breaks, and no handshake.
KNOWN = ('ua:answered', 'gw:setups', 'gw:to_msrp', 'gw:to_sip', 'gw:to_sip_failed', 'conf:joins',
         'relay:granted', 'relay:requests_auth', 'anchor:established', 'registrar:registered',
         'registrar:refreshed', 'registrar:unregistered', 'registrar:found', 'sip:invites_in',
         'sip:invites_out', 'sip:messages_in', 'sip:messages_out', 'sip:registers_in',
         'msrp:accepted', 'msrp:connected')


def own_path(secure):
    return f'msrp{"s" if secure else ""}://127.0.0.1:9/{new_id()};tcp'


class UaConversation:
    """A session with the UA, whose application is the control client."""

    kind = 'ua'
    web = False

    def __init__(self, case, secure, sip):
        self.case = case
        call = case.call(connect=False, ua=case.peers, kind=sip, uri=case.uri('chat'),
                         **self.offered(secure))
        self.dialogs, self.id, self.path = [call.dialog], call.id, call.path
        self.sent = {}
        self.line = case.line(self.path, secure, call.own_path[-1], self.web)
        self.lines = [self.line]
        case.did['ua:answered'] += 1

    def offered(self, secure):
        return {'path': own_path(secure)}

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
    web = True

    def offered(self, secure):
        scheme = 'msrps' if secure else 'msrp'
        return {'path': f'{scheme}://{new_id()}.invalid:2855/{new_id()};ws', 'setup': 'active'}


class GatewayConversation:
    """An MSRP client, and a phone with MESSAGE."""

    kind = 'gateway'

    def __init__(self, case, secure, sip):
        self.case, self.sip = case, sip
        number = next(case.numbers)
        self.client = f'sip:client{number}@{DOMAIN}'
        self.phone, asked = self.find_phone(number)
        path = own_path(secure)
        transaction = case.invite(case.offer(path, TYPE), None, sip, case.peers,
                                  from_uri=self.client, to_uri=self.phone, **asked)
        answer = transaction.final(200)
        self.dialogs = [Dialog.of_client(transaction, answer)]
        self.dialogs[0].ack()
        self.path = sdp.Sdp(answer.body).message.path
        self.line = case.line(self.path, secure, path)
        self.lines = [self.line]
        case.did['ua:answered'] += 1
        case.did['gw:setups'] += 1

    def find_phone(self, number):
        """Who it is, and an INVITE that gets there."""
        phone = self.case.phones.contact('TCP').replace('peer', f'phone{number}')
        return phone, {'uri': self.case.uri('gw'), 'headers': [('X-Phone', phone)]}

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
        self.case.did['sip:messages_in'] += 1
        self.case.pages.append((page, message))

    def send_page(self, body):
        phones = self.case.phones
        transport = self.case.reach(phones, self.sip)
        request = phones.build('MESSAGE', self.case.peers.contact('TCP'), transport,
                               body.encode(), content_type=TYPE, from_uri=self.phone,
                               to_uri=self.client)
        return phones.transact(request, transport)

    def end(self):
        self.case.hang_up(self.dialogs[0])


class Seat:
    """A user who has registered."""

    def __init__(self, case, ua, role, way):
        self.case, self.ua, self.way = case, ua, way
        self.user = f'{role}-{way.lower()}-{next(case.numbers_of_seats[role, way])}'
        self.aor = f'sip:{self.user}@{DOMAIN}'
        self.free = True
        self.register(3600)
        case.did['registrar:registered'] += 1

    def register(self, expires):
        contact = self.ua.contact(self.way).replace('peer', self.user)
        authorized(self.ua, 'REGISTER', f'sip:{DOMAIN}', self.case.reach(self.ua, self.way),
                   self.user, self.user, from_uri=self.aor, to_uri=self.aor,
                   headers=[('Contact', f'<{contact}>'), ('Expires', str(expires))]).final(200)
        self.case.did['sip:registers_in'] += 2

    def refresh(self):
        self.register(3600)
        self.case.did['registrar:refreshed'] += 1

    def leave(self):
        self.register(0)
        self.case.did['registrar:unregistered'] += 1


class FoundConversation(GatewayConversation):
    """The phone has registered, and is found by that."""

    kind = 'found'

    def find_phone(self, _):
        self.seat = self.case.seat(self.case.phones, 'phone', self.sip)
        return self.seat.aor, {'uri': self.seat.aor}

    def end(self):
        super().end()
        self.seat.free = True


class AnchorConversation:
    """A caller and a callee, who has registered, and msrpd between them; it connects to him."""

    kind = 'anchor'

    def __init__(self, case, secure, sip):
        self.case = case
        self.seat = case.seat(case.callees, 'callee', sip)
        path = own_path(secure)
        transaction = case.invite(case.offer(path, TYPE), None, sip, case.peers,
                                  uri=self.seat.aor, to_uri=self.seat.aor)
        invite = case.callees.expect('INVITE')
        case.did['sip:invites_out'] += 1
        with socket.create_server(('127.0.0.1', 0)) as listener:
            listener.settimeout(DEADLINE)
            port = listener.getsockname()[1]
            his_path = own_path(secure).replace(':9/', f':{port}/')
            invite.respond(200, sdp.document(sdp.message(his_path, TYPE, setup='passive')))
            answer = transaction.final(200)
            self.dialogs = [Dialog.of_client(transaction, answer), Dialog.of_server(invite)]
            self.dialogs[0].ack()
            sock, _ = listener.accept()
        sock.settimeout(DEADLINE)
        if secure:
            sock = case.server_tls.wrap_socket(sock, server_side=True)
        case.did['msrp:connected'] += 1
        self.paths = [sdp.Sdp(answer.body).message.path,
                      sdp.Sdp(invite.request.body).message.path]
        self.lines = [case.line(self.paths[0], secure, path),
                      Line(case.account, None, his_path, sock=sock).start()]
        self.id = case.ctl.event('E_MSRP_ANCHOR_NEW')['id']
        case.did['anchor:established'] += 1

    def step(self):
        speaker = random.randrange(2)
        self.lines[speaker].say(self.paths[speaker], ANCHORED[speaker], random.choice(SIZES),
                                self.lines[1 - speaker])

    def end(self):
        self.case.hang_up(self.dialogs[0])
        self.seat.free = True

    def stop(self):
        """By the operator; both hear of it by BYE."""
        try:
            self.case.ctl.call('msrp_anchor_end', id=self.id)
        except RpcError:
            pass                    # it has ended


class RelayConversation:
    """A client of the relay's, and its peer."""

    kind = 'relay'

    def __init__(self, case, secure, _):
        self.case, self.dialogs = case, []
        relay = case.relays[secure]
        client = case.line([relay], secure, bind=False)
        self.use_path = client.auth(relay, 'alice', USERS['alice']['password']) \
            .get('Use-Path').split(' ')
        case.did['relay:requests_auth'] += 2
        case.did['relay:granted'] += 1
        self.path = [*reversed(self.use_path), client.own]
        peer = case.line([relay], secure, bind=False)
        # So that the relay knows where the peer is.
        first = peer.send(peer.send_frame(self.path))
        client.answer(client.frame())
        peer.answer_to(first)
        case.did['relay:messages'] += 1
        self.lines = [client.start(), peer.start()]

    def step(self):
        client, peer = self.lines
        size = random.choice(SIZES)
        if random.random() < 0.5:
            peer.say(self.path, 'peer to client', size, client)
        else:
            client.say([*self.use_path, peer.own], 'client to peer', size, peer)

    def end(self):
        for line in self.lines:
            line.over()


class RoomConversation:
    """Two who are in a room of their own."""

    kind = 'room'

    def __init__(self, case, secure, sip):
        self.case = case
        self.room = f'sip:room{next(case.numbers)}@{DOMAIN}'
        self.dialogs, self.lines, self.paths = [], [], []
        for user in ('sip:a@example.org', 'sip:b@example.org'):
            self.join(user, secure, sip)

    def join(self, user, secure, sip):
        case = self.case
        path = own_path(secure)
        transaction = case.invite(
            case.offer(path, CPIM, extra=['a=accept-wrapped-types:*']), None, sip,
            case.peers, uri=case.uri('room'), from_uri=user, to_uri=self.room)
        answer = transaction.final(200)
        self.dialogs.append(Dialog.of_client(transaction, answer))
        self.dialogs[-1].ack()
        self.paths.append(sdp.Sdp(answer.body).message.path)
        self.lines.append(case.line(self.paths[-1], secure, path))
        case.ctl.event('E_MSRP_CONF_JOIN', room=self.room)
        case.did['ua:answered'] += 1
        case.did['conf:joins'] += 1

    def step(self):
        """A room says 200 for itself; who does not hear it is somebody who leaves."""
        speaker = random.randrange(2)
        name, body = text_of(random.choice(SIZES[:5]))
        message = self.case.ledger.sent(name, 'in a room', *self.lines)
        message.to = self.lines[1 - speaker]
        self.lines[speaker].pass_on(
            message, self.paths[speaker],
            envelope(body, f'sip:{"ab"[speaker]}@example.org', self.room), content_type=CPIM)

    def end(self):
        for dialog in self.dialogs:
            self.case.hang_up(dialog)


KINDS = (UaConversation, WebConversation, GatewayConversation, FoundConversation,
         RelayConversation, RoomConversation, AnchorConversation)


class BusyCase(Case):
    """The account of one daemon: msrpd of the class, or of the test itself."""

    config = {
        'log': {'level': 'info'},
        'shutdown_grace': '5s',
        # An ACK of ours that is later than that, on a busy machine, ends a session.
        'sip': {'transaction_timeout': '8s',
                'listen': ['sip:127.0.0.1:0;transport=tcp', 'sips:127.0.0.1:0']},
        'msrp': {'transaction_timeout': '2s', 'send_timeout': '3s', 'bind_timeout': '5s',
                 'send_queue': '64KiB', 'listen': [
                     {'name': 'tcp', 'uri': 'msrp://127.0.0.1:0;tcp'},
                     {'name': 'web', 'uri': 'msrp://127.0.0.1:0;ws'},
                     {'name': 'tls', 'uri': 'msrps://127.0.0.1:0;tcp'},
                     {'name': 'web over TLS', 'uri': 'msrps://127.0.0.1:0;ws'}]},
        'limits': {'connections_per_address': 1000},
        'users': {f'{role}-{way}-{n}': {'password': f'{role}-{way}-{n}'}
                  for role in ('phone', 'callee') for way in ('tcp', 'tls') for n in range(SEATS)},
        'registrar': {'domains': [DOMAIN]},
        'ua': {'reconnect_grace': '0s'},
        'anchor': {'reconnect_grace': '0s'},
        'gateway': {'large_messages': 'tcp'},
        'relay': {'users': USERS, 'allow_plain_auth': True},
        'conference': {'create': True},
        'routes': {'sip': [
            {'if': {'$rm': 'INVITE', '$ru': 'sip:room@*'},
             'do': [{'msrp_conf_join': {'room': '$tu'}}]},
            {'if': {'$rm': 'INVITE', '$ru': 'sip:chat@*'},
             'do': [{'msrp_ua_answer': {'content_types': TYPE}}]},
            {'if': {'$rm': 'INVITE', '$ru': f'sip:callee-*@{DOMAIN}'},
             'do': ['lookup', {'msrp_anchor': {'ruri': '$ru'}}]},
            {'if': {'$rm': 'INVITE', '$ru': f'sip:phone-*@{DOMAIN}'},
             'do': ['lookup', {'msrp_gw_answer': {
                 'key': '$fu:$tu', 'content_types': TYPE, 'from': '$fu', 'to': '$tu',
                 'ruri': '$ru'}}]},
            {'if': {'$rm': 'INVITE'}, 'do': [{'msrp_gw_answer': {
                'key': '$fu:$tu', 'content_types': TYPE, 'from': '$fu', 'to': '$tu',
                'ruri': '$hdr(X-Phone)'}}]},
            {'if': {'$rm': 'MESSAGE'}, 'do': [{'msg_to_msrp': {
                'key': '$tu:$fu', 'content_types': TYPE, 'confirm': 'sent'}}]}]}}

    @classmethod
    def prepare(cls):
        authority = certs.Authority(cls.directory)
        own, peer = authority.issue('msrpd'), authority.issue('peer')
        cls.tls, cls.server_tls = certs.client_context(authority), certs.server_context(peer)
        tls = {'tls': {'certificate': own.certificate, 'private_key': own.key,
                       'ca_file': authority.file}}
        cls.config = merge(cls.config, {'msrp': tls, 'sip': tls})

    def setUp(self):
        super().setUp()
        seed = int(os.environ.get('MSRPD_SEED', random.randrange(1 << 30)))
        print(f'MSRPD_SEED={seed}', flush=True)
        random.seed(seed)
        if self.own_daemon:
            self.daemon, self.ctl = self.start(self.config)
        self.uas = self.peers, self.phones, self.callees = [
            self.ua(name=name) for name in ('peers', 'phones', 'callees')]
        plain, _, tls, _ = self.daemon.listeners(self.ctl)
        self.relays = {False: 'msrp://{}:{};tcp'.format(*plain),
                       True: 'msrps://{}:{};tcp'.format(*tls)}
        self.sip_ports = dict(zip(('TCP', 'TLS'), (
            int(re.search(r':([0-9]+)(;|$)', uri)[1])
            for uri in self.ctl.call('status')['listen']['sip'])))
        self.account = Account()
        self.conversations = []
        self.numbers = iter(range(1, 1 << 30))
        self.ways = collections.defaultdict(lambda: itertools.cycle(WAYS))
        self.byes = []
        self.answers = (200,)           # of the phones, by chance; 0: none
        self.begin_account()

    def begin_account(self):
        self.ledger = self.account.ledger = Ledger()
        self.by_id, self.pages = {}, []
        self.received = 0
        self.seats, self.numbers_of_seats = [], collections.defaultdict(itertools.count)
        self.did = collections.Counter()        # what the peers did, by what counts it
        self.before = self.ctl.call('get_statistics')

    def uri(self, user):
        return f'sip:{user}@127.0.0.1:{self.sip_ports["TCP"]};transport=tcp'

    # --- what conversations are made of

    def converse(self, make):
        """One more conversation of a kind."""
        self.conversations.append(make(self, *next(self.ways[make])))

    def reach(self, ua, way):
        return ua.reach('127.0.0.1', self.sip_ports[way], way, self.tls)

    def invite(self, body=b'', daemon=None, kind='TCP', ua=None, uri=None, **kwargs):
        self.did['sip:invites_in'] += 1
        return ua.request('INVITE', uri, self.reach(ua, kind), body, **kwargs)

    def line(self, to_path, secure, own=None, web=False, bind=True):
        """A connection to msrpd, which learns whose it is."""
        line = Line(self.account, address_of(to_path[0]), own, web, self.tls if secure else None)
        self.did['msrp:accepted'] += 1
        if bind:
            line.start().put(line.send_frame(to_path).encode())
        return line

    def seat(self, ua, role, way):
        """Somebody who has registered, and whom nobody talks to."""
        for seat in self.seats:
            if seat.free and (seat.ua, seat.way) == (ua, way):
                seat.refresh()
                break
        else:
            seat = Seat(self, ua, role, way)
            self.seats.append(seat)
        seat.free = False
        self.did['registrar:found'] += 1
        return seat

    # --- what comes

    def turn(self, timeout=0.005):
        self.account.turn(timeout)
        self.take_events()
        for ua in self.uas:
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
                self.did['sip:invites_out'] += 1
                self.did['gw:setups'] += 1
                self.respond(transaction, 480)
            elif transaction.method == 'MESSAGE':
                code = random.choice(self.answers)
                self.ledger.delivered(transaction.request.body)
                self.did['sip:messages_out'] += 1
                self.did['gw:to_sip' if 200 <= code < 300 else 'gw:to_sip_failed'] += 1
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
        while self.seats:
            self.seats.pop().leave()

    def left_open(self):
        now = self.ctl.call('get_statistics')
        return {name: now[name] for name in (
            'msrp:connections', 'gw:sessions', 'relay:sessions', 'anchor:sessions',
            'msrp:body_bytes') if now[name]}

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

    def bounds(self):
        """
        What counters of messages can be: nobody knows what became of one that went to somebody
        who is gone, or whose answer its sender did not live to see.  They are one number where
        nobody has gone.
        """
        def taken(*kinds):
            """The UA's application is never gone.  The gateway may refuse what is whole."""
            messages = self.ledger.of(*kinds)
            rest = [message for message in messages if not message.taken and not message.delivered]
            least = len(messages) - len(rest)
            return least, least + sum(
                message.kind == 'client to phone' or message.kind == 'in a room'
                and message.unanswered > 0 for message in rest)

        def passed(*kinds, others=0):
            messages = self.ledger.of(*kinds)
            least = others + sum(message.delivered for message in messages)
            return least, least + sum(message.lost_sight_of for message in messages)
        pages = self.ledger.of('phone to client')
        copies = passed('in a room')
        said = len(self.by_id)          # by the application
        return {
            'msrp:messages_in': taken(*TO_ENDPOINTS),
            'msrp:messages_out': (
                said + sum(message.delivered for message in pages) + copies[0],
                said + len(pages) + copies[1]),
            'conf:messages': taken('in a room'),
            'conf:copies': copies,
            'relay:messages': passed(*RELAYED, others=self.did['relay:messages']),
            'anchor:messages': passed(*ANCHORED)}

    def check(self):
        self.assertEqual(self.ledger.wrong()[:SHOWN], [])
        self.assertEqual([message for message in self.ledger.of('peer to UA')
                          if message.taken and not message.delivered][:SHOWN], [])
        poll(self.is_accounted, what='the end of the last MESSAGE', interval=0)
        after = self.ctl.call('get_statistics')
        counted = {name: after[name] - self.before[name] for name in after}
        self.did['gw:to_msrp'] = sum(message.good for message in self.ledger.of('phone to client'))
        self.assertEqual({name: counted[name] for name in KNOWN},
                         {name: self.did[name] for name in KNOWN})
        self.assertEqual({name: (counted[name], *bound) for name, bound in self.bounds().items()
                          if not bound[0] <= counted[name] <= bound[1]}, {})
