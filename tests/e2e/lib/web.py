"""The web port of a daemon: plain requests by http.client, JSON-RPC by POST and by WebSocket."""
import http.client
import json
import socket
import urllib.parse

from . import ws
from .ctl import RpcError
from .waiting import DEADLINE, Timeout

SECURITY = {'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer'}
SECRET = 'a secret of sixteen or more'
DOMAIN = 'example.org'
USERS = {'alice': {'password': 'wonderland'}, 'bob': {'password': 'builder'}}


def config(**web):
    """What the API needs."""
    return {'web': {'listen': ['http://127.0.0.1:0'], 'api_token_secret': SECRET, **web},
            'users': USERS, 'registrar': {'domains': [DOMAIN]}}


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Web:
    """One listener, by its URL."""

    def __init__(self, url, tls=None):
        parts = urllib.parse.urlsplit(url)
        self.url, self.host, self.port, self.tls = url, parts.hostname, parts.port, tls

    @classmethod
    def of(cls, ctl, index=0, **kwargs):
        return cls(ctl.call('status')['listen']['web'][index], **kwargs)

    def connect(self):
        if self.tls:
            return http.client.HTTPSConnection(self.host, self.port, timeout=DEADLINE,
                                               context=self.tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE)

    def ask(self, method, path, body=None, headers=None, conn=None):
        own = conn or self.connect()
        try:
            own.request(method, path, body, headers or {})
            answer = Answer(own.getresponse())
        finally:
            if not conn:
                own.close()
        for name, value in SECURITY.items():
            assert answer.headers[name] == value, (path, answer.headers.items())
        assert 'frame-ancestors' in answer.headers['Content-Security-Policy'], path
        return answer

    def get(self, path, **headers):
        return self.ask('GET', path, headers={name.replace('_', '-'): value
                                              for name, value in headers.items()})

    def raw(self, data, half_close=False):
        """Octets in, all that comes out until the end."""
        with socket.create_connection((self.host, self.port), DEADLINE) as sock:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            out = b''
            while piece := sock.recv(65536):
                out += piece
        return out

    # --- the API

    def log_in(self, username, password, conn=None, **headers):
        return self.ask('POST', '/api/token',
                        json.dumps({'username': username, 'password': password}),
                        {'Content-Type': 'application/json', **headers}, conn)

    def token(self, username):
        answer = self.log_in(username, USERS[username]['password'])
        assert answer.status == 200, answer.status
        return answer.json['token']

    def post(self, token, method, params=None, **headers):
        """The HTTP answer to one call."""
        request = {'jsonrpc': '2.0', 'id': 1, 'method': method}
        if params is not None:
            request['params'] = params
        return self.ask('POST', '/api', json.dumps(request),
                        {'Authorization': f'Bearer {token}', **headers})

    def call(self, token, method, **params):
        answer = self.post(token, method, params)
        assert answer.status == 200, (answer.status, answer.body)
        return result_of(answer.json)

    def socket(self, token=None, path='/api', **kwargs):
        """A WebSocket of the API."""
        target = f'{path}?token={token}' if token else path
        uri = f'msrp://{self.host}:{self.port};ws'
        sock, answer = ws.handshake(uri, self.tls, path=target, protocol='jsonrpc', **kwargs)
        return sock, answer

    def api(self, token):
        sock, answer = self.socket(token)
        assert answer.status == 101, answer.status
        return Api(sock)


def result_of(answer):
    if 'error' in answer:
        raise RpcError(answer['error'])
    return answer['result']


class Api:
    """A WebSocket that speaks JSON-RPC."""

    def __init__(self, sock):
        self.sock = ws.Socket(sock)
        self.sock.opcode = ws.TEXT
        self.events = []
        self._id = 0

    def _next(self):
        while not self.sock.messages:
            try:
                if not self.sock.recv(65536) and self.sock.close_code is not None:
                    raise ConnectionResetError('closed')
            except BlockingIOError:
                continue
            except TimeoutError:
                raise Timeout('nothing comes from the API') from None
        return json.loads(self.sock.messages.pop(0))

    def call(self, method, **params):
        self._id += 1
        self.sock.send(json.dumps({'jsonrpc': '2.0', 'id': self._id, 'method': method,
                                   'params': params}).encode())
        while True:
            message = self._next()
            if message.get('id') == self._id:
                return result_of(message)
            self.events.append(message)

    def event(self, name, **params):
        """The first of that name with these params; those before it are passed by."""
        def fits(message):
            return message['method'] == name and all(
                message['params'].get(key) == value for key, value in params.items())
        while True:
            for i, message in enumerate(self.events):
                if fits(message):
                    del self.events[:i + 1]
                    return message['params']
            self.events.append(self._next())

    def close(self):
        self.sock.sock.close()
