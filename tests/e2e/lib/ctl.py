"""A client of the control socket: JSON-RPC 2.0, a value a line, and events as they come."""
import json
import socket
import threading

from .waiting import DEADLINE, Mailbox


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(f'{error.get("code")} {error.get("message")}')
        self.code = error.get('code')
        self.message = error.get('message')


class Control:
    """One connection; a thread sorts what comes into answers and events."""

    def __init__(self, path, name='control'):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)
        self.answers = Mailbox(f'{name} answers')
        self.events = Mailbox(f'{name} events')
        self.history = []                   # every event, taken or not
        self._next = 0
        self._lock = threading.Lock()
        self._reading = threading.Event()
        self._reading.set()
        self._thread = threading.Thread(target=self._read_loop, daemon=True)
        self._thread.start()

    def _read_loop(self):
        buffer = bytearray()
        while True:
            self._reading.wait()
            try:
                data = self.sock.recv(262144)
            except OSError:
                data = b''
            if not data:
                break
            buffer += data
            while True:
                line, found, rest = buffer.partition(b'\n')
                if not found:
                    break
                buffer = rest
                value = json.loads(line)
                if isinstance(value, dict) and 'method' in value:
                    self.history.append(value)
                    self.events.put(value)
                else:
                    self.answers.put(value)
        self.answers.close()
        self.events.close()

    def pause(self):
        """Read no more (after what is being read now)."""
        self._reading.clear()

    def resume(self):
        self._reading.set()

    def send_raw(self, data):
        self.sock.sendall(data)

    def send(self, value):
        self.send_raw(json.dumps(value).encode() + b'\n')

    def call(self, method, params=None, timeout=DEADLINE, **named):
        """The result of a command, or RpcError."""
        with self._lock:
            self._next += 1
            ident = self._next
        request = {'jsonrpc': '2.0', 'id': ident, 'method': method}
        if params is not None or named:
            request['params'] = params if params is not None else named
        self.send(request)
        answer = self.answers.take(lambda a: isinstance(a, dict) and a.get('id') == ident,
                                   timeout, f'the answer to {method}')
        if answer.get('jsonrpc') != '2.0' or ('result' in answer) == ('error' in answer):
            raise AssertionError(f'no JSON-RPC 2.0 answer: {answer!r}')
        if 'error' in answer:
            raise RpcError(answer['error'])
        return answer['result']

    def subscribe(self, *names):
        return self.call('event_subscribe', names=list(names)) if names \
            else self.call('event_subscribe')

    def event(self, name, timeout=DEADLINE, where=lambda params: True, **params):
        """The params of the next event of that name that has these values."""
        def wanted(event):
            given = event.get('params', {})
            return event['method'] == name and where(given) and \
                all(given.get(key) == value for key, value in params.items())
        return self.events.take(wanted, timeout, f'event {name} {params or ""}')['params']

    def pending(self, name=None, **params):
        """Events that came and were not taken; a round trip first, so none is on its way."""
        self.call('status')
        return [event['params'] for event in self.events.has(
            lambda e: name in (None, e['method']) and
            all(e['params'].get(key) == value for key, value in params.items()))]

    def close(self):
        self._reading.set()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join(5)
        self.sock.close()
