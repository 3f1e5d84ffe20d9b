#!/usr/bin/env python3
"""Secrets of the configuration: in no log, event, trace or answer, and gone once they are old."""
import base64
import hashlib
import json
import os
import re
import socket
import ssl
import threading

from lib import case, certs
from lib.relay_client import Client, Refused
from lib.sip import challenge

REALM = 'example.org'


def secret(name):
    return f'{name}-{os.urandom(16).hex()}'


def ha1(user, password, algorithm='md5'):
    return hashlib.new(algorithm, f'{user}:{REALM}:{password}'.encode()).hexdigest()


class Key:
    """A certificate's key: as it stands in its file, and as OpenSSL calculates with it."""

    def __init__(self, certificate):
        with open(certificate.key, encoding='ascii') as file:
            lines = [line for line in file.read().splitlines() if '-' not in line]
        der = base64.b64decode(''.join(lines))
        self.lines = lines[:-1]     # the last one may be a few characters
        # PKCS #8 around RFC 5915: the octets behind version 1
        at = der.index(b'\x02\x01\x01\x04\x20') + 5
        self.number = der[at:at + 32][::-1]


class Secrets:
    """One of each kind, and the configuration that has them."""

    def __init__(self, directory, authority):
        self.sip, self.relay, self.hashed, self.rule, self.listed = map(secret, (
            'sip', 'relay', 'hashed', 'rule', 'listed'))
        self.user, self.stronger, self.token, self.hook = map(secret, (
            'user', 'stronger', 'token', 'hook'))
        self.certificate = authority.issue(secret('key'))
        self.key = Key(self.certificate)
        self.in_file = os.path.join(directory, 'secret')
        self.htdigest = os.path.join(directory, 'htdigest')
        with open(self.in_file, 'w', encoding='ascii') as file:
            file.write(self.sip + '\n')
        with open(self.htdigest, 'w', encoding='ascii') as file:
            file.write(f'dave:{REALM}:{ha1("dave", self.listed)}\n')

    @property
    def words(self):
        """What must not be seen: passwords are never sent, hashes are as good as they."""
        return [self.sip, self.relay, self.hashed, self.rule, self.listed, self.user,
                self.stronger, self.token, self.hook, *self.key.lines,
                ha1('gw', self.sip), ha1('alice', self.relay), ha1('bob', self.hashed),
                ha1('dave', self.listed), ha1('guest', self.rule), ha1('carol', self.user),
                ha1('erin', self.stronger, 'sha256')]

    @property
    def kept(self):
        """Those that the configuration has as they stand."""
        return [self.sip, self.relay, self.rule, self.user, self.token, self.hook,
                ha1('bob', self.hashed), ha1('dave', self.listed),
                ha1('erin', self.stronger, 'sha256'), self.key.number]

    def config(self):
        return {
            'credentials': [{'realm': REALM, 'username': 'gw',
                             'password': {'file': self.in_file}}],
            'relay': {'allow_plain_auth': True, 'auth_realm': REALM, 'htdigest': self.htdigest,
                      'users': {'alice': {'password': self.relay},
                                'bob': {'ha1': ha1('bob', self.hashed)}}},
            'users': {'carol': {'password': self.user},
                      'erin': {'ha1_sha256': ha1('erin', self.stronger, 'sha256')}},
            'msrp': {'tls': {'certificate': self.certificate.certificate,
                             'private_key': self.certificate.key}},
            'web': {'api_token_secret': self.token,
                    'webhooks': [{'url': 'http://127.0.0.1:9/', 'secret': self.hook}]},
            'routes': {'msrp_auth': [{'if': {'$au': 'guest'},
                                      'do': [{'msrp_credentials': {'password': self.rule}}]}]},
            'sandbox': {'core_dumps': True},    # for us to look at its memory
        }


def memory(daemon):
    """All that the daemon's pages hold, region by region."""
    with open(f'/proc/{daemon.process.pid}/maps', encoding='ascii') as maps, \
            open(f'/proc/{daemon.process.pid}/mem', 'rb', buffering=0) as mem:
        for line in maps:
            match = re.match(r'([0-9a-f]+)-([0-9a-f]+) rw.. (?:\S+ ){2}0 *(\[heap\]|\[stack\]|)$',
                             line)
            if not match or int(match[2], 16) - int(match[1], 16) > 1 << 30:
                continue                        # the sanitizer's shadow is no memory of anybody
            mem.seek(int(match[1], 16))
            try:
                yield mem.read(int(match[2], 16) - int(match[1], 16))
            except OSError:
                continue


def found(daemon, words):
    """By what is behind their first octets, which an allocator writes over once they are freed."""
    regions = list(memory(daemon))
    tails = [(word if isinstance(word, bytes) else word.encode())[16:] for word in words]
    assert all(len(tail) >= 15 for tail in tails)
    return [word for word, tail in zip(words, tails) if any(tail in each for each in regions)]


def shake_hands(host, port):
    with socket.create_connection((host, port), timeout=case.DEADLINE) as plain:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(plain) as sock:
            return sock.version()


class SecretsTest(case.Case):
    own_daemon = True

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.authority = certs.Authority(cls.directory)

    def secrets(self):
        return Secrets(self.directory, self.authority)

    def use(self, daemon, ctl, secrets):
        """Prove each of them, and fail to.  What came of it that is as good as one: a token."""
        (host, port), (_, secure) = daemon.listeners(ctl)
        uri = f'msrp://{host}:{port};tcp'
        for user, password in (('alice', secrets.relay), ('bob', secrets.hashed),
                               ('dave', secrets.listed), ('guest', secrets.rule),
                               ('carol', secrets.user)):
            client = Client(uri, user, 'wrong')
            with self.assertRaises(Refused):
                client.auth()
            client.password = password
            client.auth()
            client.close()
        shake_hands(host, secure)
        token = ctl.call('token', user='carol')['token']
        _, invite = self.start_session(ctl)
        invite.respond(401, headers=[('WWW-Authenticate', challenge(REALM, 'abc'))])
        again = self.sip.expect('INVITE')
        self.assertIn('gw', again.request.get('Authorization'))
        again.respond(486)
        ctl.event('E_MSRP_SESSION_FAILED')
        return token

    def configure(self, daemon, ctl, secrets):
        daemon.config.update(json.loads(json.dumps(case.merge(daemon.config, secrets.config()))))
        daemon.write_config()
        self.assertEqual(ctl.call('reload'), 'OK')

    def trace(self, ctl):
        """What a trace has that ends now: what proves that one knows a password, too."""
        state = ctl.call('msrp_trace', mode='off')
        with open(state['file'], 'rb') as file:
            trace = file.read()
        self.assertEqual(state['lost'], 0)
        for proof in (b'Digest username="alice"', b'Digest username="guest"', b'username="gw"'):
            self.assertIn(proof, trace)
        return trace.decode('latin-1')

    def test_secrets(self):
        before = self.secrets()
        daemon, ctl = self.start(case.merge(before.config(), {
            'trace': {'directory': self.directory},
            'msrp': {'listen': [
                {'name': 'inside', 'uri': 'msrp://127.0.0.1:0;tcp'},
                {'name': 'outside', 'uri': 'msrps://127.0.0.1:0;tcp'}]}}))
        ctl.call('msrp_trace', mode='on', file='secrets.pcapng')
        tokens = [self.use(daemon, ctl, before)]
        self.assertEqual(found(daemon, before.kept), before.kept)
        after = self.secrets()
        self.configure(daemon, ctl, after)
        tokens.append(self.use(daemon, ctl, after))
        self.assertEqual(found(daemon, after.kept), after.kept)
        self.assertEqual(found(daemon, before.kept), [])
        self.assertEqual(found(daemon, before.key.lines + after.key.lines), [])
        log = daemon.log()
        self.assertIn('debug', log)
        events = json.dumps(ctl.history)
        self.assertIn('E_MSRP_SESSION_FAILED', events)
        words = before.words + after.words + tokens
        for place, text in ('log', log), ('events', events), ('trace', self.trace(ctl)):
            with self.subTest(place):
                self.assertEqual([word for word in words if word in text], [])

    def file(self, text):
        path = os.path.join(self.directory, secret('file'))
        with open(path, 'w', encoding='ascii') as file:
            file.write(text)
        return path

    def broken(self, word):
        """Configurations with a mistake near a secret."""
        user = 'a:b:'
        return (
            f'credentials: [{{realm: a, username: b, password: {word}, ]',
            f'credentials: [{{realm: a, username: b, password: {word}, ha1: {"0" * 32}}}]',
            f'credentials: [{{realm: a, username: b, ha1: {word}}}]',
            f'credentials: [{{realm: a, username: b, password: !x {word}}}]',
            f'credentials: [{{realm: a, username: b, pasword: {word}}}]',
            f'credentials: [{{realm: a, username: b, password: {{file: '
            f'{self.file(chr(10) + word)}}}}}]',
            f'credentials: [{{realm: a, username: b, password: {{file: '
            f'{self.file(word + chr(0) + chr(10))}}}}}]',
            f'users: {{alice: {word}}}',
            f'users: {{alice: {{password: [{word}]}}}}',
            f'relay: {{enabled: true, htdigest: {self.file(user + word)}}}',
            f'web: {{api_token_secret: {word[:15]}}}',
            f'cluster: {{node: a, redis: "rediss://u:{word}@h"}}',
            f'cluster: {{node: a, redis: "redis://u:{word}@h:x"}}',
            f'routes: {{msrp_auth: [{{do: [{{msrp_credentials: {{password: {word}, x: y}}}}]}}]}}',
            f'routes: {{msrp_auth: [{{do: [{{msrp_credentials: {{password: [{word}]}}}}]}}]}}',
        )

    def test_mistakes(self):
        sandbox = {'core_dumps': True, 'landlock': False}   # for us to look, for it to read files
        daemon, ctl = self.start({'sandbox': sandbox})
        words = [os.urandom(16).hex() for _ in self.broken('')]
        for i, word in enumerate(words):
            text = self.broken(word)[i]
            daemon.write_config(f'sandbox: {json.dumps(sandbox)}\n{text}\n')
            with self.subTest(text):
                answer = self.refused(500, ctl.call, 'reload')
                self.assertNotIn(word[:15], str(answer))
                self.assertNotIn(word[16:], str(answer))
        log = daemon.log()
        seen = found(daemon, words)
        for i, word in enumerate(words):
            with self.subTest(self.broken(word)[i]):
                self.assertNotIn(word[:15], log)
                self.assertNotIn(word[16:], log)
                self.assertNotIn(word, seen)

    def test_refused_by_redis(self):
        """What Redis says of a command that it does not have repeats what came with it."""
        word = secret('redis')
        asked = threading.Event()
        server = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(server.close)

        def serve():
            conn, _ = server.accept()
            with conn:
                conn.recv(4096)
                conn.sendall(b"-ERR unknown command 'AUTH', with args beginning with: '%s' \r\n"
                             % word.encode())
                asked.set()
                conn.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        daemon, _ = self.start({'cluster': {
            'node': 'a', 'password': word,
            'redis': f'redis://127.0.0.1:{server.getsockname()[1]}'}})
        self.assertTrue(asked.wait(case.DEADLINE))
        case.poll(lambda: 'unknown command' in daemon.log(), what='what Redis says')
        self.assertNotIn(word, daemon.log())


if __name__ == '__main__':
    case.main()
