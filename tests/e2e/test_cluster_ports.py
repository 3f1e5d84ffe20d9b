#!/usr/bin/env python3
"""Several processes on one machine, with one file and the same ports: nodes as any others."""
from lib import case, msrp, sdp
from lib.cluster import Redis
from lib.daemon import free_port
from lib.gateway import GatewayCase, routes
from lib.msrp import report_for
from lib.relay_client import USERS, Client, Peer
from lib.waiting import poll

NAMES = ('a', 'b')
MANY = 64                           # connections: the kernel gives each process some of them


class SharedCase(GatewayCase):
    own_daemon = True

    def setUp(self):
        super().setUp()
        self.redis = Redis().start()
        self.addCleanup(self.redis.discard)
        self.sip_port, self.msrp_port = free_port(count=2), free_port()
        self.msrp_uri = f'msrp://127.0.0.1:{self.msrp_port};tcp'
        self.ctls = [self.start(self.process(), arguments=['-i', name])[1] for name in NAMES]
        for ctl in self.ctls:
            poll(lambda c=ctl: sorted(node['node'] for node in c.call('cluster')['nodes'])
                 == list(NAMES), what='both nodes')

    def process(self):
        """What one of them is told; only where it is alone differs, and the name."""
        sip, msrp_uri = free_port(), f'msrp://127.0.0.1:{free_port()};tcp'
        return {'share_ports': True,
                'sip': {'listen': [f'sip:127.0.0.1:{sip}', f'sip:127.0.0.1:{self.sip_port}']},
                'msrp': {'listen': [{'uri': self.msrp_uri}, {'uri': msrp_uri}]},
                'relay': {'users': USERS, 'allow_plain_auth': True,
                          'my_uri': [self.called_by(msrp_uri)]},
                'ua': {'my_uri': [self.called_by(msrp_uri)]},
                'routes': routes(),
                'cluster': {'redis': self.redis.url, 'node': '${instance}', 'ttl': '2s',
                            'sip': f'sip:127.0.0.1:{sip};transport=tcp', 'msrp': msrp_uri}}

    def called_by(self, own):
        """What paths name: the port of all, or the process's own."""
        return self.msrp_uri

    def numbers(self, name):
        """Of that name, of each process."""
        group = name.partition(':')[0]
        return [ctl.call('get_statistics', group=group)[name] for ctl in self.ctls]

    def until_more(self, name, before, do):
        """As many times as it takes until each has counted more than that."""
        for i in range(MANY):
            do(i)
            if all(now > then for now, then in zip(self.numbers(name), before)):
                return
        self.fail(f'{name}: {self.numbers(name)}')

    def until_both(self, name, do):
        self.until_more(name, [0, 0], do)

    def write(self, i):
        """A MESSAGE of the same phone over another connection, or from another UDP port."""
        phone = self.ua(user='phone', name=f'phone {i}')
        transport = phone.reach('127.0.0.1', self.sip_port, 'UDP' if i % 2 else 'TCP')
        request = phone.build('MESSAGE', self.client.contact(), transport, f'{i}'.encode(),
                              content_type='text/plain', from_uri=self.phone.contact(),
                              to_uri='sip:client@example.org')
        return phone.transact(request, transport)

    def auth_at_both(self):
        """Clients of each process."""
        clients = []

        def auth(_):
            clients.append(Client(self.msrp_uri, conn=msrp.connect(
                self.msrp_uri, relay=True, name=f'client {len(clients)}')))
            clients[-1].auth()
        self.until_both('relay:sessions', auth)
        return [next(one for one in clients if f'/{name}.' in one.granted) for name in NAMES]


class SharedTest(SharedCase):
    def test_messages(self):
        """One session, whichever process a MESSAGE comes to."""
        self.write(0).final(202)
        poll(lambda: any(one['msrp_ua_session_id'] for ctl in self.ctls
                         for one in self.sessions(ctl)), what='a session')
        owner = next(ctl for ctl in self.ctls if self.sessions(ctl))
        call = self.answer(ctl=owner)
        self.assertEqual(call.receive().body, b'0')

        def write(i):
            self.write(i + 1).final(202)
            self.assertEqual(call.receive().body, f'{i + 1}'.encode())
        self.until_both('sip:messages_in', write)
        self.assertEqual(sum(len(self.sessions(ctl)) for ctl in self.ctls), 1)
        self.assertEqual(sum(self.numbers('gw:remote')), sum(self.numbers('gw:remote_taken')))
        self.assertGreater(sum(self.numbers('gw:remote')), 0)

    def test_grants(self):
        """AUTH at either, and what is sent to any finds its way."""
        for client in self.auth_at_both():
            # Each SEND is its node's, and the other's as well once it has come by way of that.
            before = self.numbers('relay:requests_send')
            self.until_more('relay:requests_send', before, lambda _, c=client: self.passes(c))

    def passes(self, client):
        """A SEND and its REPORT, by way of whichever process the peer's connection came to."""
        peer = Peer(listen=False)
        session = msrp.Session(msrp.connect(self.msrp_uri, relay=True, name='peer'),
                               client.path, [peer.own])
        sent = session.send('hello', success='yes')
        frame = client.conn.expect('SEND')
        self.assertEqual(frame.body, b'hello')
        client.conn.send(report_for(frame, '000 200 OK', '1-5/5'))
        self.assertEqual(session.conn.expect('REPORT').message_id, sent.message_id)


class OwnPathTest(SharedCase):
    """Paths that name the process's own port: who is told one comes to the right process."""

    def called_by(self, own):
        return own

    def test_grants(self):
        for i, client in enumerate(self.auth_at_both()):
            told = self.ctls[i].call('cluster')['nodes']
            at = next(node['msrp'] for node in told if node['node'] == NAMES[i])
            self.assertEqual(f'{client.granted.rpartition("/")[0]};tcp', at)
            before = sum(self.numbers('msrp:frames_in'))
            peer = Peer(listen=False)
            session = msrp.Session(msrp.connect(client.granted, relay=True, name='peer'),
                                   client.path, [peer.own])
            session.send('hello')
            frame = client.conn.expect('SEND')
            self.assertEqual(frame.body, b'hello')
            client.conn.send(report_for(frame, '000 200 OK', '1-5/5'))
            session.conn.expect('REPORT')
            # The SEND, its 200 and the REPORT, each of them once.
            self.assertEqual(sum(self.numbers('msrp:frames_in')) - before, 3)

    def test_sessions(self):
        for i, ctl in enumerate(self.ctls):
            told = ctl.call('cluster')['nodes']
            at = next(node['msrp'] for node in told if node['node'] == NAMES[i])
            _, transaction = self.start_session(ctl)
            path, = sdp.Sdp(transaction.request.body).message.path
            self.assertEqual(f'{path.rpartition("/")[0]};tcp', at)
            transaction.respond(486)


if __name__ == '__main__':
    case.main()
