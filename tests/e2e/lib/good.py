"""Those who behave, beside a crowd: how long it takes until the kernel has what they wait for."""
import time

from .digest import sip_credentials
from .relay_client import USERS
from .sip import token
from .visits import Phone
from .wire import Wire, address_of


class Session:
    """One with the UA, by TCP, TLS or WebSocket: a message, and its answer."""

    def __init__(self, call, **kwargs):
        self.path = call.path
        self.wire = Wire(address_of(call.path[0]), own=call.own_path[-1], stamped=True, **kwargs)
        self.wire.ask(self.wire.send_frame(self.path))

    def trip(self):
        """Nanoseconds."""
        answer = self.wire.ask(self.wire.send_frame(self.path, b'to the UA'))
        if answer.code != 200:
            raise AssertionError(f'the UA answered {answer!r}')
        return self.wire.came - self.wire.left

    def close(self):
        self.wire.close()


class RelayPair:
    """A client of the relay's and its peer, who is sent a message by the client's SEND."""

    def __init__(self, relay):
        user = 'alice'
        self.client = Wire(address_of(relay))
        answer = self.client.auth(relay, user, USERS[user]['password'])
        self.use_path = answer.get('Use-Path').split(' ')
        self.peer = Wire(address_of(self.use_path[0]), stamped=True)
        path = [*reversed(self.use_path), self.client.own]
        # So that the relay knows where the peer is.
        self.peer.send(self.peer.send_frame(path, b'knock'))
        self.client.take(b'knock')
        self.peer.frame()

    def trip(self):
        """Nanoseconds until the message is there."""
        body = token().encode()
        frame = self.client.send(self.client.send_frame([*self.use_path, self.peer.own], body))
        left = self.client.left
        self.peer.take(body)
        came = self.peer.came
        answer = self.client.answer_to(frame)
        if answer.code != 200:
            raise AssertionError(f'the relay answered {answer!r}')
        return came - left

    def close(self):
        self.client.close()
        self.peer.close()


class GoodPhone:
    """By SIP over TCP: an OPTIONS and its answer."""

    def __init__(self, address, user, password, domain):
        self.user, self.password, self.domain = user, password, domain
        self.phone = Phone('TCP', address, address[0], stamped=True)

    def ask(self, method, code, headers=()):
        """Nanoseconds, and the answer."""
        request = self.phone.request(method, self.user, self.domain, headers)
        left = time.clock_gettime_ns(time.CLOCK_REALTIME)
        answer = self.phone.ask(request)
        if answer.code != code:
            raise AssertionError(f'{method}: {answer!r}')
        return self.phone.sock.came - left, answer

    def trip(self):
        return self.ask('OPTIONS', 200)[0]

    def register(self):
        """The same of a REGISTER that is challenged, and of the one that answers that."""
        asked, answer = self.ask('REGISTER', 401)
        proof = sip_credentials(answer.get('WWW-Authenticate'), 'REGISTER', f'sip:{self.domain}',
                                self.user, self.password)
        return asked + self.ask('REGISTER', 200, [('Authorization', proof)])[0]

    def close(self):
        self.phone.close()
