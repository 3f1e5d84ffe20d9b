"""Who is at work while nodes and Redis fail: each keeps an account of what it has sent."""
import random

from . import sdp
from .account import final_answer, final_code, text_of
from .digest import sip_credentials
from .frame import new_id
from .relay_client import USERS
from .rooms import CPIM, envelope
from .sip import Dialog, token, uri_of
from .wire import address_of

DOMAIN = 'example.org'
TYPE = 'text/plain'
PASSWORD = 'phones have one'
SIZES = (30, 30, 300, 3000)
RELAYED = (30, 300, 30000)


class Registration:
    """A phone that registers now at this node and now at that one."""

    def __init__(self, load, user):
        self.load, self.user = load, user
        self.aor = f'sip:{user}@{DOMAIN}'
        self.kind = random.choice(('UDP', 'TCP'))
        self.contact = load.phones.contact(self.kind).replace('peer', user)
        self.call_id, self.cseq = token(), 0
        self.node = None                # that has taken it last
        self.alone = False              # that node is gone: Redis alone knows it for sure
        self.request = self.asked = None

    def ask(self, node, fields):
        """A REGISTER; None: nobody is there."""
        self.cseq += 1
        try:
            transport = self.load.phones.reach('127.0.0.1', self.load.nodes[node].sip_port,
                                               self.kind)
            return self.load.phones.request('REGISTER', f'sip:{DOMAIN}', transport,
                                            headers=fields, cseq=self.cseq, from_uri=self.aor,
                                            to_uri=self.aor, call_id=self.call_id)
        except OSError:
            return None

    def fields(self, challenge=None):
        fields = [('Contact', f'<{self.contact}>')]
        return [*fields, self.proof(challenge)] if challenge else fields

    def proof(self, challenge):
        return 'Authorization', sip_credentials(challenge.get('WWW-Authenticate'), 'REGISTER',
                                                f'sip:{DOMAIN}', self.user, PASSWORD)

    def refresh(self, node):
        if not self.request:
            self.asked = node
            self.request = self.ask(node, self.fields())

    def settled(self):
        """Is none under way?"""
        answer = self.request and final_answer(self.request)
        if answer and answer.code == 401 and not self.request.request.get('Authorization'):
            self.request = self.ask(self.asked, self.fields(answer))
        elif answer:
            self.node = self.asked if answer.code == 200 else None
            self.alone = False
            self.request = None
        return not self.request

    def lost(self, node):
        """That node is gone, and so is what has come by a connection to it."""
        if self.asked == node:
            self.request = None
        if self.node == node and self.kind == 'TCP':
            self.node = None
        self.alone |= self.node == node

    def forgotten(self):
        """Redis has lost everything."""
        if self.alone:
            self.node = None

    def is_known(self, node):
        """By that node, which asks whoever knows more."""
        challenge = self.ask(node, []).final(401)
        answer = self.ask(node, [self.proof(challenge)]).final(200)
        return [uri_of(value) for value in answer.all('Contact')] == [self.contact]


class Chat:
    """A phone that has MESSAGE, and an MSRP client, who is called."""

    def __init__(self, load, user, number):
        self.load = load
        self.client = load.clients.contact('TCP').replace('peer', f'client{number}')
        self.registration = None
        self.phone = load.phones.contact('TCP').replace('peer', f'{user}{number}')
        if random.random() < 0.5:
            self.registration = Registration(load, f'{user}{number}')
            self.phone = self.registration.aor
        self.kind = f'phone to client, {user}'
        self.lines = []         # sessions of the client; two where two nodes served it alone
        self.calls = {}         # that are being set up: by Call-ID, node, its path and our URI
        self.byes = []

    def nodes(self):
        """Those where its messages may be."""
        self.lines = [line for line in self.lines if not line.closed]
        return {line.node for line in self.lines} | {node for node, *_ in self.calls.values()}

    def write(self, node):
        """A MESSAGE to that node."""
        load = self.load
        name, body = text_of(random.choice(SIZES))
        try:
            transport = load.phones.reach('127.0.0.1', load.nodes[node].sip_port, 'TCP')
            request = load.phones.build('MESSAGE', self.client, transport, body.encode(),
                                        content_type=TYPE, from_uri=self.phone)
            transaction = load.phones.transact(request, transport)
        except OSError:
            return
        message = load.taken[request.call_id] = load.sent(name, self.kind, {node}, chat=self)
        load.pages.append((transaction, message))

    def answer(self):
        """A message of the client's."""
        nodes = self.nodes()
        if self.lines:
            line = random.choice(self.lines)
            line.say(line.path, 'client to phone', random.choice(SIZES))
            self.load.note(line, nodes, chat=self)

    def called(self, transaction):
        """The client takes each call, and will connect."""
        offer = sdp.Sdp(transaction.request.body)
        own = f'msrp://127.0.0.1:9/{new_id()};tcp'
        node = self.load.node_of(offer.message.path[0])
        self.load.respond(transaction, 200, sdp.document(sdp.message(own, TYPE, setup='active')))
        self.calls[transaction.request.call_id] = (node, offer.message.path, own,
                                                   Dialog.of_server(transaction))

    def acknowledged(self, call_id):
        if call_id not in self.calls:
            return
        node, path, own, dialog = self.calls.pop(call_id)
        line = self.load.line(address_of(path[0]), node, own)
        if line:
            line.path, line.dialog = path, dialog
            line.put(line.send_frame(path).encode())
            self.lines.append(line)

    def hung_up(self, call_id):
        self.calls.pop(call_id, None)
        for line in self.lines:
            if line.dialog.call_id == call_id:
                line.over()

    def leave(self):
        """The client hangs up, where nothing is under way."""
        if self.calls or any(message.chat is self and not message.settled
                             for message in self.load.ledger.messages.values()):
            return
        for line in self.lines:
            try:
                self.byes.append(line.dialog.request('BYE'))
            except OSError:
                pass
            line.over()

    def left(self):
        """Is it over?  Until then nobody writes."""
        self.byes = [bye for bye in self.byes
                     if not final_code(bye) and not bye.transport.closed]
        return not self.byes


class Relayed:
    """A client with a grant of one node, and its peer, who has come to another."""

    def __init__(self, load, at, by):
        self.load, self.at, self.by = load, at, by
        self.lines = []

    def begin(self):
        """Again where one of the two has lost its connection."""
        load = self.load
        if self.lines and not any(line.closed for line in self.lines):
            return True
        for line in self.lines:
            line.over()
        self.lines = [line for line in (load.line(load.relay_at(self.at), self.at, start=False),
                                        load.line(load.relay_at(self.by), self.by, start=False))
                      if line]
        if len(self.lines) == 2:
            try:
                return self.bind(*self.lines)
            except (OSError, EOFError):
                pass
        self.lines = []
        return False

    def bind(self, client, peer):
        answer = client.auth(self.load.name, 'alice', USERS['alice']['password'])
        if answer.code != 200:
            return False
        self.use_path = answer.get('Use-Path').split(' ')
        self.path = [*reversed(self.use_path), client.own]
        for line in self.lines:
            line.start()
        peer.put(peer.send_frame(self.path).encode())
        return True

    def say(self):
        if not self.begin():
            return
        client, peer = self.lines
        size = random.choice(RELAYED)
        if random.random() < 0.5:
            peer.say(self.path, 'peer to client', size)
            self.load.note(peer, {self.at, self.by})
        else:
            client.say([*self.use_path, peer.own], 'client to peer', size)
            self.load.note(client, {self.at, self.by})


class Roomed:
    """Two who talk in a room, and have come to it by different nodes."""

    def __init__(self, load, number, ways):
        self.load = load
        self.room = f'sip:room{number}@{DOMAIN}'
        self.seats = [Seat(self, f'sip:{name}@{DOMAIN}', way) for name, way in zip('ab', ways)]

    def turn(self):
        for seat in self.seats:
            seat.turn()

    def end(self):
        """The BYEs of both."""
        return [bye for bye in [seat.hang_up() for seat in self.seats] if bye]

    def settled(self):
        return all(not seat.call for seat in self.seats)

    def hung_up(self, call_id):
        for seat in self.seats:
            if seat.dialog and seat.dialog.call_id == call_id:
                seat.leave()

    def together(self):
        """Are both in the same room?  Each that is in none comes again."""
        for seat in self.seats:
            if not seat.line or seat.line.closed:
                seat.come()
        return all(seat.is_bound() for seat in self.seats) \
            and len({seat.line.node for seat in self.seats}) == 1

    def say(self):
        """A room says 200 for itself; who does not hear it is somebody who leaves."""
        if not self.together():
            return
        speaker = random.choice(self.seats)
        name, body = text_of(random.choice(SIZES))
        message = self.load.sent(name, 'in a room', {speaker.line.node}, None)
        message.ends = tuple(seat.line for seat in self.seats)
        speaker.line.pass_on(message, speaker.path, envelope(body, speaker.user, self.room),
                             content_type=CPIM)


class Seat:
    """Of one who comes to a room by way of a node."""

    def __init__(self, roomed, user, way):
        self.roomed, self.load, self.user, self.way = roomed, roomed.load, user, way
        self.call = self.dialog = self.line = self.own = None

    def come(self):
        load = self.load
        if self.call or not load.alive[self.way]:
            return
        self.own = f'msrp://127.0.0.1:9/{new_id()};tcp'
        offer = sdp.document(sdp.message(self.own, CPIM, extra=['a=accept-wrapped-types:*']))
        try:
            self.call = load.invite(offer, load.nodes[self.way], 'TCP', load.clients,
                                    uri=self.roomed.room, from_uri=self.user,
                                    to_uri=self.roomed.room)
        except OSError:
            pass

    def turn(self):
        code = self.call and final_code(self.call)
        if not code and (not self.call or not self.call.transport.closed):
            return
        call, self.call = self.call, None
        if code != 200:
            return
        answer = call.final(200)
        self.dialog = Dialog.of_client(call, answer)
        self.path = sdp.Sdp(answer.body).message.path
        try:
            self.dialog.ack()
        except OSError:
            return
        self.line = self.load.line(address_of(self.path[0]), self.load.node_of(self.path[0]),
                                   self.own)
        if self.line:
            hello = self.line.send_frame(self.path)
            self.hello = hello.tid
            self.line.waiting[hello.tid] = None
            self.line.put(hello.encode())

    def is_bound(self):
        return self.line and not self.line.closed and self.hello not in self.line.waiting

    def leave(self):
        if self.line:
            self.line.over()
        self.dialog = self.line = None

    def hang_up(self):
        """The BYE; None: there is nobody to hear it."""
        dialog = self.dialog
        self.leave()
        try:
            return dialog and dialog.request('BYE')
        except OSError:
            return None
