#!/usr/bin/env python3
"""conf/cluster/ as it stands, but for its ports: three nodes behind one address of HAProxy's."""
import os
import re
import signal
import socket
import sys
import unittest

from lib import case, certs, msrp
from lib.cluster import NAMES, Redis
from lib.daemon import SOURCE, free_port
from lib.gateway import CLIENT, TEXT, GatewayCase
from lib.msrp import report_for
from lib.program import Program
from lib.relay_client import Client, Peer
from lib.sip import uri_of
from lib.waiting import poll

sys.path.insert(0, os.path.join(SOURCE, 'scripts'))
import pages                                                # noqa: E402

FRONT = '127.0.0.9'
NODES = {name: f'127.0.0.{i + 1}' for i, name in enumerate(NAMES)}
PORTS = (5060, 2855, 2856, 9155)        # of those files


def read(name):
    with open(os.path.join(SOURCE, 'conf', 'cluster', name), encoding='utf-8') as file:
        return file.read()


class AlikeTest(unittest.TestCase):
    def test_alike(self):
        """The three configurations are one, but for name and address."""
        bodies = []
        for name, address in NODES.items():
            text = read(f'{name}.yaml').replace('127.0.0.1:6379', 'REDIS')
            text = text.replace(f'{address}:', 'ADDRESS:')
            text = text.replace(f'cluster-{name}.sock', 'SOCKET')
            bodies.append(text[text.index('log:'):].replace(f'node: {name}\n', 'NODE\n'))
        self.assertEqual(bodies[0].count('ADDRESS:'), 6)
        self.assertEqual(bodies, bodies[:1] * len(bodies))


class FrontTest(GatewayCase):
    """Clients know one address, and need to know nothing else."""

    own_daemon = True

    def setUp(self):
        super().setUp()
        self.redis = Redis().start()
        self.addCleanup(self.redis.discard)
        self.ports = {port: free_port(FRONT, others=NODES.values()) for port in PORTS}
        self.nodes = {name: self.start_node(name) for name in NODES}
        for _, ctl in self.nodes.values():
            poll(lambda c=ctl: len(c.call('cluster')['nodes']) == 3, what='all nodes')
        self.haproxy = Program('haproxy', ['haproxy', '-db', '-f', self.file('haproxy.cfg')],
                               self.redis.directory)
        self.addCleanup(self.haproxy.stop)
        self.relay = f'msrp://{FRONT}:{self.ports[2855]};tcp'
        for port in (5060, 2855):
            poll(lambda p=self.ports[port]: self.answers(p), what='haproxy')

    @staticmethod
    def answers(port):
        try:
            socket.create_connection((FRONT, port)).close()
            return True
        except OSError:
            return False

    def turn(self, text):
        """With ports, sockets and Redis of this test's own."""
        for old, new in self.ports.items():
            text = re.sub(rf'\b(127\.0\.0\.\d:|check port ){old}\b', rf'\g<1>{new}', text)
        text = text.replace('/tmp/', f'{self.redis.directory}/')
        return text.replace('redis://127.0.0.1:6379/0', self.redis.url)

    def file(self, name):
        path = os.path.join(self.redis.directory, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(self.turn(read(name)))
        return path

    def start_node(self, name):
        text = self.turn(read(f'{name}.yaml'))
        control = f'{self.redis.directory}/msrpd-cluster-{name}.sock'
        return self.start({'control': {'socket': control}}, text=text)

    def key(self, phone=None, kind='UDP'):
        return f'{CLIENT}:{self.phone.contact(kind)}'

    def writes(self, body, ua):
        """A MESSAGE from the phone over the connection of ua, which is one of HAProxy's."""
        transport = ua.reach(FRONT, self.ports[5060], 'TCP')
        request = ua.build('MESSAGE', self.client.contact(), transport, body.encode(),
                           content_type=TEXT, from_uri=self.phone.contact(), to_uri=CLIENT)
        return ua.transact(request, transport)

    @staticmethod
    def confirm(call, body):
        frame = call.receive()
        call.conn.send(report_for(frame, '000 200 OK', frame.get('Byte-Range')))
        assert frame.body == body.encode(), frame

    def begin(self, body, ua):
        """A first contact: the session, and the name of the node that has it."""
        sent = self.writes(body, ua)
        invite = self.client.expect('INVITE')
        contact = uri_of(invite.request.get('Contact'))
        name = next(name for name, address in NODES.items() if f'{address}:' in contact)
        call = self.answer(invite, ctl=self.nodes[name][1])
        self.confirm(call, body)
        sent.final(200)
        return call, name

    def spread(self, count=6):
        """Phones whose connections go to all of the nodes."""
        uas = [self.ua(name=f'phone {i}') for i in range(count)]
        for ua in uas:
            ua.reach(FRONT, self.ports[5060], 'TCP')
        for _, ctl in self.nodes.values():
            poll(lambda c=ctl: c.call('get_statistics', group='sip')['sip:connections'] > 0,
                 what='a connection at each node')
        return uas

    def test_gateway(self):
        """Whatever node a MESSAGE comes to, it is one session."""
        uas = self.spread()
        call, _ = self.begin('first', uas[0])
        for i, ua in enumerate(uas):
            sent = self.writes(f'from {i}', ua)
            self.confirm(call, f'from {i}')
            sent.final(200)
        self.assertEqual(sum(len(self.sessions(ctl)) for _, ctl in self.nodes.values()), 1)
        call.send('back')
        self.gets('back')

    def clients(self):
        """One with a grant of each node, by its name."""
        def come():
            client = Client(self.relay, 'alice', 'wonderland')
            client.auth()
            clients[client.session_id[0]] = client
            return len(clients) == len(NODES)
        clients = {}
        poll(come, what='a client at each node')
        return clients

    def test_relay(self):
        """Clients of two nodes; each is known by its own address, not by HAProxy's."""
        clients = self.clients()
        for name, client in clients.items():
            mine = '%s:%u' % client.conn.local
            self.assertIn(mine, [session['peer'] for session in
                                 self.nodes[name][1].call('msrp_relay_list_sessions')])
        alice, bob = clients['a'], clients['c']
        alice.session(bob.path).send('hello')
        self.assertEqual(bob.conn.expect('SEND').body, b'hello')
        peer = Peer(listen=False)
        session = msrp.Session(msrp.connect(self.relay, relay=True, name='peer'), alice.path,
                               [peer.own])
        session.send('from outside')
        self.assertEqual(alice.conn.expect('SEND').body, b'from outside')
        alice.session(peer.path).send('back')
        self.assertEqual(session.conn.expect('SEND').body, b'back')

    def test_node_stops(self):
        """It has no new clients from then on, and who comes is served by the others."""
        daemon, _ = self.nodes.pop('a')
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        self.served()

    def test_node_killed(self):
        """Its clients lose their connections; when they come again another node has them."""
        uas = self.spread()
        _, name = self.begin('first', uas[0])
        daemon, ctl = self.nodes.pop(name)
        self._daemons.remove((daemon, ctl))
        self.addCleanup(daemon.discard)
        daemon.kill()
        self.served()

    def served(self):
        """Somebody new is."""
        self.phone = self.ua(name='somebody new')
        _, name = self.begin('anybody?', self.phone)
        self.assertIn(name, self.nodes)


class RedisTest(GatewayCase):
    """Redis by TLS, and whichever is the master: the HAProxy of docs/cluster.md."""

    own_daemon = True

    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        cls.server = cls.ca.issue('redis', ['DNS:redis.example.org'])
        cls.client_pem = os.path.join(cls.directory, 'client.pem')
        client = cls.ca.issue('node')
        with open(cls.client_pem, 'w', encoding='ascii') as pem:
            for part in (client.certificate, client.key):
                with open(part, encoding='ascii') as file:
                    pem.write(file.read())

    def redis(self, server):
        """With TLS alone at its port."""
        redis = Redis(0, ['--tls-port', str(free_port()), '--tls-cert-file', server.certificate,
                          '--tls-key-file', server.key, '--tls-ca-cert-file', self.ca.file,
                          '--tls-replication', 'yes'])
        redis.port_of_tls = redis.options[1]
        self.addCleanup(redis.discard)
        return redis.start()

    def haproxy(self, one, two):
        """The block of the page; the URL that a node has then."""
        block, = (block.text for page in pages.pages(SOURCE) for block in page.blocks
                  if page.name == 'docs/cluster.md' and 'listen redis' in block.text)
        at = free_port()
        for old, new in (('127.0.0.1:6379', f'127.0.0.1:{at}'),
                         ('192.0.2.9:6379', f'127.0.0.1:{one.port_of_tls}'),
                         ('192.0.2.10:6379', f'127.0.0.1:{two.port_of_tls}'),
                         ('/etc/msrpd/redis-ca.pem', self.ca.file),
                         ('/etc/msrpd/redis-client.pem', self.client_pem)):
            self.assertIn(old, block)
            block = block.replace(old, new)
        path = os.path.join(one.directory, 'haproxy.cfg')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(block)
        haproxy = Program('haproxy', ['haproxy', '-db', '-f', path], one.directory)
        self.addCleanup(haproxy.stop)
        return f'redis://127.0.0.1:{at}/0'

    def node(self, url):
        _, ctl = self.start({'cluster': {'redis': url, 'node': 'a', 'ttl': '2s'}})
        return ctl

    @staticmethod
    def together(ctl):
        poll(lambda: not ctl.call('cluster')['alone'], what='Redis')

    def test_master(self):
        """The replica is not asked, and when it has become the master it is."""
        one, two = self.redis(self.server), self.redis(self.server)
        two.call('REPLICAOF', '127.0.0.1', one.port_of_tls)
        ctl = self.node(self.haproxy(one, two))
        self.together(ctl)
        self.assertIn(b'a', one.call('SMEMBERS', 'msrpd:nodes'))
        one.stop()
        poll(lambda: ctl.call('cluster')['alone'], what='no Redis')
        two.call('REPLICAOF', 'NO', 'ONE')
        self.together(ctl)

    def test_stranger(self):
        """A Redis whose certificate another authority has made is none."""
        other = certs.Authority(self.directory, 'other').issue('strange', ['DNS:redis.example.org'])
        strange, good = self.redis(other), self.redis(self.server)
        ctl = self.node(self.haproxy(strange, good))
        self.together(ctl)
        self.assertEqual(strange.call('EXISTS', 'msrpd:nodes'), b':0\r\n')
        self.assertEqual(good.call('EXISTS', 'msrpd:nodes'), b':1\r\n')


if __name__ == '__main__':
    case.main()
