#!/usr/bin/env python3
"""The other side of scripts/demo: peers that talk to msrpd, and an application of it.

    demo_peer.py CONTROL-SOCKET

Four scenes, one for each role.  Alice calls msrpd's User Agent, and an application answers what
she writes: it does what an operator would, over the control socket.  Bob, whose telephone has SIP
MESSAGE alone, writes to Alice, who has MSRP, through the gateway.  Carol writes to Alice through
the relay.  Then all of them meet in a chat room.  Nothing here shares code with msrpd, and it needs Python 3 alone.

From a terminal, lines that are typed become messages; elsewhere the scenes end by themselves.
"""
import collections
import hashlib
import json
import os
import queue
import re
import socket
import sys
import threading

PATIENCE = 30                   # seconds that anything here may take
# A frame ends with its own transaction id (RFC 4975 9).
FRAME = re.compile(rb'MSRP (\S+) ([^\r\n]*)\r\n(?:.*?\r\n)?-------\1[$+#]\r\n', re.S)


def show(who, arrow, protocol, what, server='msrpd'):
    sys.stdout.write(f'  {who:<6} {arrow} {server:<7} {protocol:<5}  {what}\n')
    sys.stdout.flush()


def heading(text):
    bold, plain = ('\033[1m', '\033[0m') if sys.stdout.isatty() else ('', '')
    print(f'\n{bold}{text}{plain}', flush=True)


def word(octets=8):
    return os.urandom(octets).hex()


def header(head, name):
    found = re.search(rf'^{name}: *(.*?)\r?$', head, re.M | re.I)
    return found.group(1) if found else ''


class Application:
    """Commands and events over the control socket: a JSON value a line."""

    TOLD = ('from_uri', 'participant', 'body', 'status', 'reason')     # of an event's parameters, on the screen

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.results = queue.Queue()
        self.events = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.call('event_subscribe')

    def send(self, method, **params):
        request = {'jsonrpc': '2.0', 'id': method, 'method': method, 'params': params}
        self.sock.sendall(json.dumps(request).encode() + b'\n')

    def call(self, method, **params):
        self.send(method, **params)
        answer = self.results.get(timeout=PATIENCE)
        if 'error' in answer:
            raise SystemExit(f'{method}: {answer["error"]["message"]}')
        return answer['result']

    def read(self):
        with self.sock.makefile('r', encoding='utf-8') as lines:
            for line in lines:
                value = json.loads(line)
                if 'method' in value:
                    self.event(value['method'], value['params'])
                elif value['id'] != 'msrp_ua_send_message':
                    self.results.put(value)

    def event(self, name, params):
        told = [f'{key}={params[key]!r}' for key in self.TOLD if key in params]
        show('App', '←', 'JSON', '  '.join([name, *told]))
        if name == 'E_MSRP_MSG_RECEIVED' and 'body' in params:
            self.answer(params['session_id'], f'You said: {params["body"]}')
        self.events.put(name)

    def until(self, name):
        """Wait for this event."""
        while self.events.get(timeout=PATIENCE) != name:
            pass

    def answer(self, session_id, text):
        show('App', '→', 'JSON', f'msrp_ua_send_message  body={text!r}')
        self.send('msrp_ua_send_message', session_id=session_id, mime='text/plain', body=text,
                  success_report='yes')


class Phone:
    """A SIP telephone on UDP (RFC 3261), with one call at a time."""

    def __init__(self, name, server, server_name='msrpd'):
        self.name, self.server_name = name, server_name
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((server[0], 0))
        self.sock.connect(server)
        self.sock.settimeout(PATIENCE)
        self.address = '%s:%d' % self.sock.getsockname()
        self.uri = f'sip:{name.lower()}@{self.address}'
        self.cseq = 0

    def move(self, server, server_name):
        """From now on it speaks with another one."""
        self.sock.connect(server)
        self.server_name = server_name

    def begin(self, target, local='', remote='', call_id=''):
        """What follows belongs to a new dialog, or to the one that the peer has begun."""
        self.target = target
        self.local = local or f'<{self.uri}>;tag={word(4)}'
        self.remote = remote or f'<{target}>'
        self.call_id = call_id or word()

    def send(self, start, headers, body):
        lines = [start, *headers, f'Content-Length: {len(body.encode())}', '', body]
        self.show('→', start, '\r\n'.join(headers), body)
        self.sock.send('\r\n'.join(lines).encode())

    def show(self, arrow, start, head, body):
        what = re.sub(r'^SIP/2.0 | SIP/2.0$', '', start)
        if header(head, 'Content-Type') == 'text/plain':
            what += f'  {body!r}'
        show(self.name, arrow, 'SIP', what, self.server_name)

    def request(self, method, *headers, body=''):
        self.cseq += method != 'ACK'
        self.send(f'{method} {self.target} SIP/2.0',
                  [f'Via: SIP/2.0/UDP {self.address};branch=z9hG4bK{word()}', 'Max-Forwards: 70',
                   f'From: {self.local}', f'To: {self.remote}', f'Call-ID: {self.call_id}',
                   f'CSeq: {self.cseq} {method}', *headers], body)

    def respond(self, head, *headers, body=''):
        """200 to the request with this head."""
        same = re.findall(r'^(?:Via|From|Call-ID|CSeq):.*?(?=\r?$)', head, re.M | re.I)
        to = header(head, 'To')
        tag = '' if ';tag=' in to else f';tag={word(4)}'
        self.send('SIP/2.0 200 OK', [*same, f'To: {to}{tag}', *headers], body)
        return f'{to}{tag}'

    def receive(self, wanted):
        """Head and body of the next message whose start line begins so."""
        while True:
            head, _, body = self.sock.recv(65536).decode().partition('\r\n\r\n')
            start = head.split('\r\n')[0]
            if re.match(wanted, start):
                self.show('←', start, head, body)
                return head, body

    def response(self):
        """The final response."""
        head, body = self.receive('SIP/2.0 [2-6]')
        if not head.startswith('SIP/2.0 2'):
            raise SystemExit(f'{self.name} was refused')
        return head, body

    def described(self, path, types='text/plain'):
        """Contact, and a body: one MSRP stream, which we will connect (RFC 4975 8, RFC 6135)."""
        sdp = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0',
               'm=message 9 TCP/MSRP *', f'a=accept-types:{types}', f'a=path:{path}',
               'a=setup:active', '']
        return ([f'Contact: <{self.uri}>', 'Content-Type: application/sdp'], '\r\n'.join(sdp))

    def call(self, target, path, types='text/plain'):
        """Call somebody; the peer's path."""
        self.begin(target)
        headers, offer = self.described(path, types)
        self.request('INVITE', *headers, body=offer)
        head, answer = self.response()
        self.begin(contact(head), self.local, header(head, 'To'), self.call_id)
        self.request('ACK')
        return msrp_path(answer)

    def accept(self, path):
        """Take a call; the peer's path."""
        head, offer = self.receive('INVITE ')
        headers, answer = self.described(path)
        local = self.respond(head, *headers, body=answer)
        self.begin(contact(head), local, header(head, 'From'), header(head, 'Call-ID'))
        self.receive('ACK ')
        return msrp_path(offer)

    def hang_up(self):
        self.request('BYE')
        self.response()

    def write(self, target, text):
        """A message in page mode (RFC 3428); its answer is still to come."""
        self.begin(target)
        self.request('MESSAGE', 'Content-Type: text/plain', body=text)

    def read(self):
        head, _ = self.receive('MESSAGE ')
        self.respond(head)


def contact(head):
    return re.search(r'<([^>]*)>', header(head, 'Contact')).group(1)


def msrp_path(sdp):
    return re.search(r'^a=path:(.*?)\r?$', sdp, re.M).group(1)


class Msrp:
    """
    One session over TCP (RFC 4975): own is our URI, path leads to the peer, by way of its first
    URI or of another server.
    """

    def __init__(self, name, path, own, server=None, server_name='msrpd'):
        self.name, self.path, self.own, self.server_name = name, path, own, server_name
        server = server or re.match(r'msrp://([^:/]+):([0-9]+)', path).groups()
        self.sock = socket.create_connection(server, PATIENCE)
        self.data = b''
        self.heard, self.reports, self.answers = (collections.deque() for _ in range(3))

    def show(self, arrow, what):
        show(self.name, arrow, 'MSRP', what, self.server_name)

    def write(self, start, headers=(), body=None, path=None):
        lines = [f'MSRP {start}', f'To-Path: {path or self.path}', f'From-Path: {self.own}',
                 *headers]
        content = '' if body is None else f'\r\n{body}\r\n'
        end = f'-------{start.split()[0]}$\r\n'
        self.sock.sendall(('\r\n'.join(lines) + '\r\n' + content + end).encode())

    def bind(self):
        """The bodiless SEND that binds the session to this connection (RFC 4975 5.4)."""
        self.show('→', 'SEND  without a body: the session is on this connection')
        self.write(f'{word()} SEND', [f'Message-ID: {word()}', 'Byte-Range: 1-0/0'])

    def say(self, text, envelope='', content_type='text/plain'):
        self.show('→', f'SEND  {text!r}')
        body = envelope + text
        size = len(body.encode())
        self.write(f'{word()} SEND', [f'Message-ID: {word()}', f'Byte-Range: 1-{size}/{size}',
                                      'Success-Report: yes', f'Content-Type: {content_type}'],
                   body)

    def hear(self):
        """Wait for a message."""
        return self.next(self.heard)

    def reported(self):
        """Wait for the report on what we said."""
        return self.next(self.reports)

    def next(self, wanted):
        while not wanted:
            frame = FRAME.match(self.data)
            if frame:
                self.data = self.data[frame.end():]
                self.frame(frame.group(1).decode(), frame.group(2).decode(),
                           frame.group(0).decode(errors='replace'))
                continue
            more = self.sock.recv(65536)
            if not more:
                raise SystemExit(f'{self.name} lost the connection')
            self.data += more
        return wanted.popleft()

    def frame(self, tid, kind, data):
        head, _, rest = data.partition('\r\n\r\n')
        if kind == 'SEND':
            self.write(f'{tid} 200 OK', path=self.path.split()[0])
            if rest:
                text = rest.rpartition('\r\n-------')[0]
                if header(head, 'Content-Type') == 'message/cpim':
                    text = text.split('\r\n\r\n', 2)[2]
                self.show('←', f'SEND  {text!r}')
                if header(head, 'Success-Report') == 'yes':
                    self.report(head)
                self.heard.append(text)
        elif kind == 'REPORT':
            self.show('←', f'REPORT  {header(data, "Status")}')
            self.reports.append(data)
        else:
            self.answer(kind, data)

    def answer(self, kind, data):
        """A response; 200 to a SEND is not worth a line."""
        granted = header(data, 'Use-Path')
        if granted or not kind.startswith('200'):
            self.show('←', f'{kind}  Use-Path: {granted}' if granted else kind)
            self.answers.append(data)

    def report(self, head):
        """Tell that the message has arrived (7.1.2)."""
        self.show('→', 'REPORT  000 200 OK')
        fields = [f'{name}: {header(head, name)}' for name in ('Message-ID', 'Byte-Range')]
        self.write(f'{word()} REPORT', [*fields, 'Status: 000 200 OK'])

    def auth(self, user, password):
        """Ask a relay for a path (RFC 4976): AUTH, its challenge, AUTH again."""
        self.show('→', f'AUTH  {self.path}')
        self.write(f'{word()} AUTH')
        challenge = self.answered('WWW-Authenticate')
        self.show('→', 'AUTH  with Digest credentials')
        self.write(f'{word()} AUTH', [digest(challenge, user, password, self.path)])
        return self.answered('Use-Path')

    def answered(self, name):
        """This header of the response."""
        value = header(self.next(self.answers), name)
        if not value:
            raise SystemExit(f'{self.name} was refused')
        return value


def digest(challenge, user, password, uri):
    """Credentials for the challenge (RFC 7616, as RFC 4976 5.1 wants them)."""
    def md5(*parts):
        return hashlib.md5(':'.join(parts).encode()).hexdigest()

    given = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm, nonce, cnonce = given['realm'], given['nonce'], word()
    response = md5(md5(user, realm, password), nonce, '00000001', cnonce, 'auth', md5('AUTH', uri))
    return (f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", '
            f'uri="{uri}", qop=auth, nc=00000001, cnonce="{cnonce}", response="{response}"')


def own_path():
    """A URI of somebody who connects and is never connected to."""
    return f'msrp://127.0.0.1:9/{word()};tcp'


def typed(who):
    """Lines of the terminal until there are no more; none elsewhere."""
    if sys.stdin.isatty():
        heading(f'Your turn: a line is a message from {who}; an empty line or Ctrl-D goes on.')
        for line in sys.stdin:
            if not line.strip():
                return
            yield line.rstrip('\n')


def user_agent(application, server):
    """Alice and the application."""
    def converse(text):
        msrp.say(text)
        msrp.hear()
        msrp.reported()
        application.until('E_MSRP_REPORT_RECEIVED')

    heading('1. The User Agent.  Alice calls msrpd by SIP.')
    alice, own = Phone('Alice', server), own_path()
    path = alice.call('sip:chat@%s:%d' % server, own)
    application.until('E_MSRP_SESSION_NEW')

    heading('She connects to the path in its answer.  What she says, an application answers.')
    msrp = Msrp('Alice', path, own)
    msrp.bind()
    converse('Hello, msrpd!')
    converse('Grüße über MSRP: any text, any length, any language.')
    for line in typed('Alice'):
        converse(line)

    heading('She hangs up.')
    alice.hang_up()
    application.until('E_MSRP_SESSION_END')


def gateway(application, server):
    """Bob, who has SIP MESSAGE, and Alice, who has MSRP."""
    def reply(text):
        """Bob's message is under way: it arrives, his telephone is told so, Alice replies."""
        msrp.hear()
        bob.response()
        msrp.say(text)
        bob.read()
        msrp.reported()

    heading('2. The gateway.  Bob has SIP MESSAGE alone.  He writes to Alice; msrpd calls her.')
    alice, bob, own = Phone('Alice', server), Phone('Bob', server), own_path()
    bob.write(alice.uri, 'Hi Alice, I have no MSRP. Can you read this?')
    path = alice.accept(own)
    application.until('E_MSRP_GW_SESSION_NEW')

    heading('She has MSRP alone.  Each is told of success when the other has the message.')
    msrp = Msrp('Alice', path, own)
    msrp.bind()
    reply('I can. And I have nothing but MSRP.')
    for line in typed('Bob'):
        bob.write(alice.uri, line)
        reply(f'Alice read: {line}')

    heading('She hangs up.')
    alice.hang_up()
    application.until('E_MSRP_GW_SESSION_END')


def relay(uri):
    """Alice, who cannot be connected to, and Carol."""
    heading('3. The relay.  Alice cannot be connected to: she asks for a path that leads to her.')
    own, peer = own_path(), own_path()
    alice = Msrp('Alice', uri, own)
    granted = alice.auth('alice', 'wonderland')

    heading('Carol writes along it; one connection of Alice serves both directions.')
    carol = Msrp('Carol', f'{granted} {own}', peer)
    alice.path = f'{granted} {peer}'
    carol.say('Hello Alice, I found you behind the relay.')
    alice.hear()
    carol.reported()
    alice.say('And I answer through it.')
    carol.hear()
    alice.reported()


def room(application, server):
    """Alice, Carol and Bob's telephone."""
    def enter(name):
        phone, own = Phone(name, server), own_path()
        msrp = Msrp(name, phone.call(lobby, own, 'message/cpim'), own)
        application.until('E_MSRP_CONF_JOIN')
        msrp.bind()
        return phone, msrp

    def say(phone, msrp, text):
        """In an envelope (RFC 3862), which says who, and to whom."""
        msrp.say(text, f'From: <{phone.uri}>\r\nTo: <{lobby}>\r\n\r\n'
                       'Content-Type: text/plain;charset=UTF-8\r\n\r\n', 'message/cpim')
        msrp.reported()

    lobby = 'sip:lobby@%s:%d' % server
    heading('4. The chat room.  Alice and Carol call it: what one of them says the other hears.')
    alice, alice_msrp = enter('Alice')
    carol, carol_msrp = enter('Carol')
    say(alice, alice_msrp, 'Hello, everybody!')
    carol_msrp.hear()

    heading('Bob writes to it from his telephone, and is in it.')
    bob = Phone('Bob', server)
    bob.write(lobby, 'Hello from a telephone.')
    bob.response()
    alice_msrp.hear()
    carol_msrp.hear()
    say(carol, carol_msrp, 'Welcome, Bob.')
    alice_msrp.hear()
    bob.read()

    heading('They leave, and the room ends with the last of them.')
    alice.hang_up()
    carol.hang_up()
    bob.write(lobby, '/leave')
    bob.response()
    application.until('E_MSRP_CONF_END')


def main(path):
    application = Application(path)
    listen = application.call('status')['listen']
    host, port = re.search(r'([0-9.]+):([0-9]+)', json.dumps(listen['sip'])).groups()
    user_agent(application, (host, int(port)))
    gateway(application, (host, int(port)))
    relay(re.search(r'msrp://[0-9.:]+;tcp', json.dumps(listen['msrp'])).group(0))
    room(application, (host, int(port)))


if __name__ == '__main__':
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    try:
        main(sys.argv[1])
    except (queue.Empty, TimeoutError):
        raise SystemExit('msrpd took too long to answer') from None
    except OSError as error:
        raise SystemExit(error) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
