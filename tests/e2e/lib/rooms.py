"""What tests of chat rooms share: participants with MSRP sessions in them."""
from . import msrp, sdp
from .case import Call, Case
from .ctl import RpcError
from .frame import new_id
from .sip import Dialog
from .waiting import DEADLINE

CPIM = 'message/cpim'
DOMAIN = 'im.example.org'
LOBBY = f'sip:lobby@{DOMAIN}'
CHATROOM = 'a=chatroom:nickname private-messages'


def uri(user):
    return f'sip:{user}@{DOMAIN}'


def envelope(body, sender, to=LOBBY, content_type='text/plain;charset=UTF-8', headers=()):
    """A message/cpim (RFC 3862)."""
    lines = [f'From: <{sender}>', f'To: <{to}>', *headers, '', f'Content-Type: {content_type}',
             '', '']
    return '\r\n'.join(lines).encode() + (body.encode() if isinstance(body, str) else body)


def rooms(*listed, **settings):
    """A config: rooms, and rules that take everybody who calls one."""
    return {'conference': {'rooms': list(listed), **settings},
            'routes': {'sip': [{'if': {'$rm': 'INVITE'},
                                'do': [{'msrp_conf_join': {'room': '$ru'}}]},
                               {'if': {'$rm': 'MESSAGE'},
                                'do': [{'msg_to_conf': {'room': '$ru'}}]}]}}


class Participant(Call):
    """A session in a room."""

    def __init__(self, case, user, room, dialog, answer, path):
        self.known_as = None            # to the room
        super().__init__(case, dialog, sdp.Sdp(answer.body), path)
        self.user = user
        self.uri = user if ':' in user else uri(user)
        self.room = room
        self.answer = answer

    def say(self, body, to=None, code=200, sender=None, content_type='text/plain;charset=UTF-8',
            headers=(), **kwargs):
        """A message to the room, or to a participant of it; the SEND."""
        return self.send(envelope(body, sender or self.uri, to or self.room, content_type, headers),
                         code, content_type=CPIM, **kwargs)

    def hears(self, body=None, sender=None, to=None):
        """The next message that comes, without its envelope."""
        text = self.message()
        head, content_head, content = text.split(b'\r\n\r\n', 2)
        head = dict(line.split(': ', 1) for line in head.decode().split('\r\n'))
        if body is not None:
            self.case.assertEqual(content, body.encode() if isinstance(body, str) else body)
        if sender is not None:
            self.case.assertEqual(head['From'], f'<{sender}>')
        if to is not None:
            self.case.assertEqual(head['To'], f'<{to}>')
        return head, content_head.decode(), content

    def message(self, timeout=DEADLINE):
        """The next whole message, put together of its chunks."""
        return self.rest_of(self.receive(timeout), timeout)

    def rest_of(self, frame, timeout=DEADLINE):
        """The message of which frame is the first chunk."""
        body, message_id = frame.body, frame.message_id
        while frame.flag == '+':
            frame = self.conn.expect(lambda f: f.method == 'SEND' and f.message_id == message_id,
                                     timeout)
            body += frame.body
        self.case.assertEqual(frame.flag, '$')
        return body

    def hears_all(self, count):
        """So many messages, whose chunks may interleave: head and content of each."""
        parts, done = {}, []
        while len(done) < count:
            frame = self.receive()
            body = parts.pop(frame.message_id, b'') + frame.body
            if frame.flag == '+':
                parts[frame.message_id] = body
                continue
            head, _, content = body.split(b'\r\n\r\n', 2)
            done.append((dict(line.split(': ', 1) for line in head.decode().split('\r\n')),
                         content))
        return done

    def nickname(self, name, code=200):
        """Ask for a nickname; None: without one in the request."""
        quoted = (name or '').replace('\\', '\\\\').replace('"', '\\"')
        headers = [] if name is None else [('Use-Nickname', f'"{quoted}"')]
        request = msrp.build('NICKNAME', self.msrp.to_path, self.msrp.from_path, headers)
        self.conn.send(request)
        self.conn.expect_response(request, code)

    def heard_nothing(self, *others):
        """What the others have said before reached them, and nothing came here."""
        for participant in (self, *others):
            participant.msrp.flush()
        self.case.assertEqual(
            self.conn.inbox.has(lambda f: f.method == 'SEND' and f.body is not None), [])


class Referral:
    """A REFER, and what is told of it."""

    def __init__(self, case, ua, target, room=LOBBY, user='alice', code=202, headers=(),
                 daemon=None, **kwargs):
        self.case, self.ua = case, ua
        transport = ua.reach('127.0.0.1', (daemon or case.daemon).sip_port, 'UDP')
        fields = [('Contact', f'<{ua.contact()}>'), *headers]
        if target:
            fields.append(('Refer-To', target))
        request = ua.build('REFER', room, transport, from_uri=uri(user), headers=fields, **kwargs)
        self.transaction = ua.transact(request, transport)
        self.answer = self.transaction.final(code)
        self.call_id = request.call_id

    def told(self, status, state):
        """The next NOTIFY."""
        transaction = self.ua.expect('NOTIFY', call_id=self.call_id)
        transaction.respond(200)
        request = transaction.request
        self.case.assertEqual(request.get('Event'), 'refer')
        self.case.assertEqual(request.get('Content-Type'), 'message/sipfrag')
        self.case.assertEqual(request.body.decode(), f'SIP/2.0 {status}\r\n')
        self.case.assertRegex(request.get('Subscription-State'), state)
        return self

    def tried(self):
        return self.told('100 Trying', '^active;expires=300$')

    def over(self, status):
        return self.told(status, '^terminated;reason=noresource$')


class RoomCase(Case):
    config = rooms({'uri': LOBBY, 'subject': 'Lobby'})

    def _end_sessions(self, ctl):
        for ua in self._uas:
            ua.agree()
        for room in ctl.call('msrp_conf_list'):
            for participant in room['participants']:
                try:
                    ctl.call('msrp_conf_kick', room=room['room'],
                             participant=participant['participant'])
                except RpcError:
                    pass            # gone with another session of that user
        super()._end_sessions(ctl)

    def ask(self, user, room=LOBBY, accept_types=CPIM, extra=(CHATROOM,), headers=(), daemon=None,
            path=None, wrapped='*', ua=None, display=None, max_size=None, kind='UDP'):
        """An INVITE to a room; the transaction."""
        path = path or f'msrp://127.0.0.1:9/{new_id()};tcp'
        lines = [f'a=accept-wrapped-types:{wrapped}'] if wrapped else []
        if max_size is not None:
            lines.append(f'a=max-size:{max_size}')
        transaction = self.invite(
            self.offer(path, accept_types, extra=[*lines, *extra]), daemon, kind, ua=ua,
            uri=room, from_uri=user if ':' in user else uri(user), from_name=display,
            headers=headers)
        return transaction, path

    def refused_join(self, code, *args, **kwargs):
        self.ask(*args, **kwargs)[0].final(code)

    def join(self, user, room=LOBBY, ctl=None, connect=True, behave=msrp.answer_ok,
             **kwargs):
        """Somebody comes in."""
        transaction, path = self.ask(user, room, **kwargs)
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        participant = Participant(self, user, room, dialog, answer, path)
        event = (ctl or self.ctl).event('E_MSRP_CONF_JOIN', room=room, session_id=participant.id)
        participant.known_as = event['participant']
        return participant.connect(behave) if connect else participant

    def participants(self, room=LOBBY, ctl=None):
        return [p['participant'] for p in
                (ctl or self.ctl).call('msrp_conf_list', room=room)[0]['participants']]

    def left(self, participant, reason, ctl=None):
        return (ctl or self.ctl).event('E_MSRP_CONF_LEAVE', session_id=participant.id,
                                       participant=participant.uri, reason=reason)

    def statistics(self, ctl=None):
        return {name.partition(':')[2]: value for name, value in
                (ctl or self.ctl).call('get_statistics', group='conf').items()}
