#!/usr/bin/env python3
"""Peers of bad manners: what once brought msrpd down, as small as it can be made."""
from lib import case, certs
from lib.digest import Credentials
from lib.relay_client import USERS, Client


class TlsTest(case.Case):
    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        own = cls.ca.issue('msrpd')
        cls.config = {
            'msrp': {'listen': [{'name': 'tls', 'uri': 'msrps://127.0.0.1:0;tcp'}],
                     'tls': {'certificate': own.certificate, 'private_key': own.key,
                             'ca_file': cls.ca.file}},
            'relay': {'users': USERS, 'max_auth_attempts': 1}}

    def test_more_behind_the_last_attempt(self):
        """A connection that is closed once its answer has gone, with more to read than one turn."""
        host, port = self.daemon.listeners(self.ctl)[0]
        relay = f'msrps://{host}:{port};tcp'
        for _ in range(10):
            client = Client(relay, tls=certs.client_context(self.ca))
            wrong = Credentials(client.challenge(), relay, password='wrong')
            frame = client.auth_frame(authorization=wrong.value())
            client.conn.try_send_raw(frame.encode() + b'\r\n' * (256 * 1024))
            client.conn.expect_closed()
        self.ctl.call('status')


if __name__ == '__main__':
    case.main()
