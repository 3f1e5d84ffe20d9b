#!/usr/bin/env python3
"""The other side of scripts/demo: a SIP/MSRP peer, and an application on the control socket.

    demo-peer.py CONTROL-SOCKET

The peer, Alice, calls msrpd by SIP, opens an MSRP session as the answer says, and talks on it.
The application is what an operator would write: it follows msrpd's events and answers each
message with one of its own.  Neither shares code with msrpd; both need Python 3 alone.

From a terminal, lines that are typed go out as Alice's; elsewhere the exchange ends by itself.
"""
import json
import os
import queue
import re
import socket
import sys
import threading

PATIENCE = 10                   # seconds that anything here may take
PRINTING = threading.Lock()
# A frame ends with its own transaction id (RFC 4975 9).
FRAME = re.compile(rb'MSRP (\S+) ([^\r\n]*)\r\n(?:.*?\r\n)?-------\1[$+#]\r\n', re.S)


def show(who, what):
    with PRINTING:
        print(f'    {who:<11} {what}', flush=True)


def heading(text):
    with PRINTING:
        print(f'\n{text}', flush=True)


def word(octets=8):
    return os.urandom(octets).hex()


class Application:
    """Commands and events over the control socket: a JSON value a line."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.results = queue.Queue()
        self.ended = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()

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
        if name == 'E_MSRP_MSG_RECEIVED' and 'body' in params:
            self.send('msrp_ua_send_message', session_id=params['session_id'], mime='text/plain',
                      body=f'You said: {params["body"]}', success_report='yes')
        elif name == 'E_MSRP_SESSION_END':
            self.ended.set()


class Sip:
    """One call over UDP (RFC 3261): INVITE, ACK, BYE."""

    def __init__(self, host, port):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((host, 0))
        self.sock.connect((host, port))
        self.sock.settimeout(PATIENCE)
        self.own = '%s:%d' % self.sock.getsockname()
        self.target = f'sip:chat@{host}:{port}'
        self.from_ = f'<sip:alice@{self.own}>;tag={word(4)}'
        self.to = f'<{self.target}>'
        self.call_id = word()
        self.cseq = 1

    def request(self, method, body=''):
        lines = [f'{method} {self.target} SIP/2.0',
                 f'Via: SIP/2.0/UDP {self.own};branch=z9hG4bK{word()}', 'Max-Forwards: 70',
                 f'From: {self.from_}', f'To: {self.to}', f'Call-ID: {self.call_id}',
                 f'CSeq: {self.cseq} {method}', f'Contact: <sip:alice@{self.own}>']
        if body:
            lines.append('Content-Type: application/sdp')
        lines += [f'Content-Length: {len(body.encode())}', '', body]
        show('Alice SIP', f'→ {lines[0]}')
        self.sock.send('\r\n'.join(lines).encode())

    def response(self):
        """The final response; its head and body."""
        while True:
            head, _, body = self.sock.recv(65536).decode().partition('\r\n\r\n')
            if not head.startswith('SIP/2.0 '):
                continue
            show('Alice SIP', f'← {head.splitlines()[0]}')
            if int(head.split()[1]) >= 200:
                return head, body

    def invite(self, description):
        self.request('INVITE', description)
        head, answer = self.response()
        if not head.startswith('SIP/2.0 200 '):
            raise SystemExit('the call was refused')
        self.to = re.search(r'^To: *(.*?)\r?$', head, re.M | re.I).group(1)
        self.target = re.search(r'^Contact: *<([^>]*)>', head, re.M | re.I).group(1)
        self.request('ACK')
        return answer

    def bye(self):
        self.cseq += 1
        self.request('BYE')
        self.response()


class Msrp:
    """One session over TCP (RFC 4975)."""

    def __init__(self, path, own):
        self.path, self.own = path, own
        host, port = re.match(r'msrp://([^:/]+):([0-9]+)/', path).groups()
        self.sock = socket.create_connection((host, int(port)), PATIENCE)
        self.sock.settimeout(None)
        self.writing = threading.Lock()
        self.arrived = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def write(self, start, headers, body=None):
        lines = [f'MSRP {start}', f'To-Path: {self.path}', f'From-Path: {self.own}', *headers]
        content = '' if body is None else f'\r\n{body}\r\n'
        end = f'-------{start.split()[0]}$\r\n'
        with self.writing:
            self.sock.sendall(('\r\n'.join(lines) + '\r\n' + content + end).encode())

    def say(self, text=None):
        """A message; without text the bodiless SEND that binds the session to this connection."""
        size = len((text or '').encode())
        headers = [f'Message-ID: {word()}', f'Byte-Range: 1-{size}/{size}']
        if text is not None:
            headers += ['Success-Report: yes', 'Content-Type: text/plain']
            show('Alice MSRP', f'→ SEND {text!r}')
        self.write(f'{word()} SEND', headers, text)

    def read(self):
        data = b''
        while True:
            frame = FRAME.match(data)
            if frame:
                data = data[frame.end():]
                self.frame(frame.group(1).decode(), frame.group(2).decode(), frame.group(0))
                continue
            more = self.sock.recv(65536)
            if not more:
                return
            data += more

    def frame(self, tid, kind, data):
        if kind == 'SEND':
            head, _, rest = data.partition(b'\r\n\r\n')
            self.write(f'{tid} 200 OK', [])
            if rest:
                text = rest.rpartition(b'\r\n-------')[0].decode(errors='replace')
                show('Alice MSRP', f'← SEND {text!r}')
                if b'\r\nSuccess-Report: yes' in head:
                    self.report(head.decode())
                self.arrived.put(text)
        elif kind == 'REPORT':
            status = re.search(rb'\r\nStatus: ([^\r]*)', data)
            show('Alice MSRP', f'← REPORT {status.group(1).decode() if status else ""}')
        elif not kind.startswith('200'):
            show('Alice MSRP', f'← {kind}')

    def report(self, head):
        """Tell that the message has arrived (7.1.2)."""
        fields = re.findall(r'^((?:Message-ID|Byte-Range): .*?)\r?$', head, re.M)
        self.write(f'{word()} REPORT', [*fields, 'Status: 000 200 OK'])

    def converse(self, text):
        """Say something and wait for what comes back."""
        self.say(text)
        self.arrived.get(timeout=PATIENCE)


def description(own):
    """What Alice offers: one MSRP stream, which she will connect (RFC 4975 8, RFC 6135)."""
    return '\r\n'.join(['v=0', 'o=alice 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1',
                        't=0 0', 'm=message 9 TCP/MSRP *', 'a=accept-types:text/plain',
                        f'a=path:{own}', 'a=setup:active', ''])


def typed(msrp):
    """Lines of the terminal until there are no more."""
    heading('Your turn: a line is a message from Alice; an empty line or Ctrl-D ends the call.')
    for line in sys.stdin:
        if not line.strip():
            return
        msrp.converse(line.rstrip('\n'))


def main(path):
    application = Application(path)
    application.call('event_subscribe', names=['E_MSRP_MSG_RECEIVED', 'E_MSRP_SESSION_END'])
    listen = json.dumps(application.call('status')['listen']['sip'])
    host, port = re.search(r'([0-9.]+):([0-9]+)', listen).groups()

    heading(f'Alice calls msrpd at {host}:{port}')
    own = f'msrp://127.0.0.1:9/{word()};tcp'
    sip = Sip(host, int(port))
    answer = sip.invite(description(own))

    heading('She connects to the path in its answer; what she says, an application answers')
    msrp = Msrp(re.search(r'^a=path:(\S+)', answer, re.M).group(1), own)
    msrp.say()
    msrp.converse('Hello, msrpd!')
    msrp.converse('Grüße über MSRP — any text, any length, any language.')

    if sys.stdin.isatty():
        typed(msrp)

    heading('Alice hangs up')
    sip.bye()
    if not application.ended.wait(PATIENCE):
        raise SystemExit('msrpd did not notice')


if __name__ == '__main__':
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    try:
        main(sys.argv[1])
    except (queue.Empty, TimeoutError):
        raise SystemExit('msrpd took too long to answer') from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
