#!/usr/bin/env python3
"""Passwords and hashes: in no log line, and in no memory once they count no more."""
import hashlib
import json
import os
import re

from lib import case
from lib.relay_client import Client, Refused
from lib.sip import challenge

REALM = 'example.org'


def secret(name):
    return f'{name}-{os.urandom(8).hex()}'


def ha1(user, password, algorithm='md5'):
    return hashlib.new(algorithm, f'{user}:{REALM}:{password}'.encode()).hexdigest()


class Secrets:
    """One of each kind, and the configuration that has them."""

    def __init__(self, directory):
        self.sip, self.relay, self.hashed, self.rule, self.listed = map(secret, (
            'sip', 'relay', 'hashed', 'rule', 'listed'))
        self.in_file = os.path.join(directory, 'secret')
        self.htdigest = os.path.join(directory, 'htdigest')
        with open(self.in_file, 'w', encoding='ascii') as file:
            file.write(self.sip + '\n')
        with open(self.htdigest, 'w', encoding='ascii') as file:
            file.write(f'dave:{REALM}:{ha1("dave", self.listed)}\n')

    @property
    def words(self):
        """What must not be seen: passwords are never sent, hashes are as good as they."""
        return [self.sip, self.relay, self.hashed, self.rule, self.listed,
                ha1('gw', self.sip), ha1('alice', self.relay), ha1('bob', self.hashed),
                ha1('dave', self.listed), ha1('guest', self.rule)]

    @property
    def kept(self):
        """Those that the configuration has as they stand."""
        return [self.sip, self.relay, self.rule, ha1('bob', self.hashed),
                ha1('dave', self.listed)]

    def config(self):
        return {
            'credentials': [{'realm': REALM, 'username': 'gw',
                             'password': {'file': self.in_file}}],
            'relay': {'allow_plain_auth': True, 'auth_realm': REALM, 'htdigest': self.htdigest,
                      'users': {'alice': {'password': self.relay},
                                'bob': {'ha1': ha1('bob', self.hashed)}}},
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
    regions = list(memory(daemon))
    return [word for word in words if any(word.encode() in region for region in regions)]


class SecretsTest(case.Case):
    own_daemon = True

    def use(self, daemon, ctl, secrets):
        """Prove each of them, and fail to."""
        (host, port), = daemon.listeners(ctl)
        uri = f'msrp://{host}:{port};tcp'
        for user, password in (('alice', secrets.relay), ('bob', secrets.hashed),
                               ('dave', secrets.listed), ('guest', secrets.rule)):
            client = Client(uri, user, 'wrong')
            with self.assertRaises(Refused):
                client.auth()
            client.password = password
            client.auth()
            client.close()
        _, invite = self.start_session(ctl)
        invite.respond(401, headers=[('WWW-Authenticate', challenge(REALM, 'abc'))])
        again = self.sip.expect('INVITE')
        self.assertIn('gw', again.request.get('Authorization'))
        again.respond(486)

    def test_secrets(self):
        before = Secrets(self.directory)
        daemon, ctl = self.start(before.config())
        self.use(daemon, ctl, before)
        self.assertEqual(found(daemon, before.kept), before.kept)
        after = Secrets(self.directory)
        daemon.config.update(json.loads(json.dumps(after.config())))
        daemon.write_config()
        self.assertEqual(ctl.call('reload'), 'OK')
        self.use(daemon, ctl, after)
        self.assertEqual(found(daemon, after.kept), after.kept)
        self.assertEqual(found(daemon, before.kept), [])
        daemon.write_config(f'credentials: [{{realm: a, username: b, password: {after.sip}, '
                            f'ha1: {after.relay}}}]\n')
        self.refused(500, ctl.call, 'reload')
        log = daemon.log()
        self.assertIn('debug', log)
        self.assertEqual([word for word in before.words + after.words if word in log], [])


if __name__ == '__main__':
    case.main()
