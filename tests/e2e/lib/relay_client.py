"""A client of an MSRP relay (RFC 4976), and the peer that it talks to through it."""
from . import msrp
from .digest import Credentials
from .frame import URI, new_id

USERS = {'alice': {'password': 'secret'}, 'bob': {'password': 'hidden'}}
# A relay and nothing else; PLAIN as labs have it, without TLS.
RELAY = {'sip': None, 'routes': None, 'relay': {'users': USERS}}
PLAIN = {**RELAY, 'relay': {'users': USERS, 'allow_plain_auth': True}}


class Refused(AssertionError):
    def __init__(self, frame):
        super().__init__(f'the relay answered {frame!r}')
        self.frame = frame


class Client:
    """One client on one connection; several sessions if told so."""

    def __init__(self, relay, user='alice', password='secret', own=None, tls=None, conn=None,
                 behave=msrp.answer_ok, server_hostname=None):
        self.relay = relay
        self.user, self.password = user, password
        self.own = own or f'{relay.split(":")[0]}://127.0.0.1:9/{new_id()};tcp'
        self.conn = conn or msrp.connect(relay, behave, tls=tls, relay=True,
                                         name=f'client {user}', server_hostname=server_hostname)
        self.use_path = []
        self.credentials = None

    # --- AUTH

    def auth_frame(self, to_path=None, authorization=None, expires=None, from_path=None,
                   headers=()):
        fields = []
        if expires is not None:
            fields.append(('Expires', str(expires)))
        if authorization is not None:
            fields.append(('Authorization', authorization))
        return msrp.build('AUTH', to_path or [self.relay], from_path or [self.own],
                          [*fields, *headers])

    def ask(self, **kwargs):
        """An AUTH as told, and its answer."""
        return self.conn.ask(self.auth_frame(**kwargs))

    def challenge(self, to_path=None, **kwargs):
        """The value of WWW-Authenticate that a bare AUTH gets."""
        answer = self.ask(to_path=to_path, **kwargs)
        if answer.code != 401:
            raise Refused(answer)
        return answer.get('WWW-Authenticate')

    def auth(self, to_path=None, expires=None, from_path=None):
        """The whole exchange; the final answer, whose Use-Path is kept."""
        path = to_path or [self.relay]
        self.credentials = Credentials(self.challenge(path, from_path=from_path), path[-1],
                                       self.user, self.password)
        self.credentials.header_uri = path[-1]
        answer = self.ask(to_path=path, authorization=self.credentials.value(), expires=expires,
                          from_path=from_path)
        if answer.code != 200:
            raise Refused(answer)
        self.use_path = answer.get('Use-Path').split(' ')
        return answer

    @property
    def granted(self):
        return self.use_path[-1]

    @property
    def session_id(self):
        return URI.match(self.granted)['session']

    @property
    def path(self):
        """What goes into a=path: RFC 4976 5.1."""
        return [*reversed(self.use_path), self.own]

    # --- sessions

    def session(self, peer_path):
        """Towards a peer by its a=path."""
        return msrp.Session(self.conn, [*self.use_path, *peer_path], [self.own])

    def close(self):
        self.conn.close()


class Peer:
    """Somebody without a relay: it listens, or connects to the first URI of the way."""

    def __init__(self, tls=None, behave=msrp.answer_ok, name='peer', listen=True, own=None,
                 host='127.0.0.1'):
        self.behave = behave
        self.name = name
        self.listener = msrp.Listener(tls=tls, behave=behave, name=name, relay=True,
                                      host=host) if listen else None
        self.own = own or (self.listener.uri() if listen
                           else f'msrp://127.0.0.1:9/{new_id()};tcp')

    @property
    def path(self):
        return [self.own]

    def connect(self, path, tls=None, server_hostname=None):
        """A session towards a client by its a=path, on a connection of our own."""
        conn = msrp.connect(path[0], self.behave, tls=tls, relay=True, name=self.name,
                            server_hostname=server_hostname)
        return msrp.Session(conn, path, [self.own])

    def back(self, conn, path):
        """A session towards a client on a connection that came from its relay."""
        return msrp.Session(conn, path, [self.own])
