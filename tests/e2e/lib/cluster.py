"""Several nodes of one cluster, and the Redis between them."""
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from . import certs
from .daemon import Daemon, die_with_parent, free_port, merge
from .gateway import GatewayCase, routes
from .waiting import poll

REDIS = shutil.which('redis-server')
NAMES = ('a', 'b', 'c')


class Redis:
    """A Redis of a test's own, at a UNIX socket; and for its replica at a port."""

    def __init__(self, port=0, options=()):
        self.port = port
        self.options = list(options)
        self.directory = tempfile.mkdtemp(prefix='msrpd-redis-')
        self.path = os.path.join(self.directory, 'redis.sock')
        self.process = None

    @property
    def url(self):
        return f'unix://{self.path}'

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(self.path)
            except OSError:
                return False
            sock.sendall(b'PING\r\n')
            return sock.recv(16).startswith(b'+PONG')

    def start(self, master=None):
        """Empty, whatever was in it; or what its master has."""
        follow = ['--replicaof', '127.0.0.1', str(master.port)] if master else []
        self.process = subprocess.Popen(
            [REDIS, '--port', str(self.port), '--bind', '127.0.0.1', '--unixsocket', self.path,
             '--save', '', '--appendonly', 'no', '--repl-diskless-sync-delay', '0',
             '--dir', self.directory, *self.options, *follow], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        poll(self._answers, what='Redis')
        if master:
            poll(lambda: b'master_link_status:up' in self.call('INFO', 'replication'),
                 what='the replica')
        return self

    def call(self, *words):
        """A command; the raw answer."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.path)
            sock.sendall(b''.join([b'*%d\r\n' % len(words),
                                   *(b'$%d\r\n%s\r\n' % (len(word), word) for word in
                                     (word if isinstance(word, bytes) else str(word).encode()
                                      for word in words))]))
            return sock.recv(1 << 20)

    def has_all_of(self, master):
        """A replica that is behind loses what it has not got yet."""
        info = self.call('INFO', 'replication').decode()
        here = re.search(r'slave_repl_offset:(\d+)', info)
        there = re.search(r'master_repl_offset:(\d+)', master.call('INFO', 'replication').decode())
        return 'master_link_status:up' in info and here and here[1] == there[1]

    def field(self, key, name):
        """Of a hash, as bytes."""
        head, _, value = self.call('HGET', key, name).partition(b'\r\n')
        return value[:int(head[1:])]

    def pause(self, pause=True):
        self.process.send_signal(signal.SIGSTOP if pause else signal.SIGCONT)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def discard(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Way:
    """
    A node's way to Redis: everything takes delay seconds each way, or does not come at all while
    it is cut; at a UNIX socket.
    """

    def __init__(self, redis, path):
        self.redis, self.path = redis, path
        self.delay = 0
        self.is_cut = False
        self._under_way = []                    # (when it is due, what, to whom), the oldest first
        self._others = {}                       # both ends of each connection
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(16)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f'unix://{self.path}'

    def cut(self, cut=True):
        """Connections end, and new ones are closed; or it is good again."""
        self.is_cut = cut
        self._wake.send(b'x')

    def discard(self):
        self._over = True
        self._wake.send(b'x')
        self._thread.join()
        for sock in (*self._others, self._listener, self._wake, self._woken):
            sock.close()
        self._selector.close()

    def _run(self):
        while not self._over:
            due = self._under_way[0][0] - time.monotonic() if self._under_way else None
            for key, _ in self._selector.select(None if due is None else max(0, due)):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._woken:
                    self._woken.recv(64)
                else:
                    self._read(key.fileobj)
            if self.is_cut:
                for sock in list(self._others):
                    self._end(sock)
            self._deliver()

    def _accept(self):
        near, _ = self._listener.accept()
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(self.redis.path)
        except OSError:
            near.close()
            far.close()
            return
        for sock, other in ((near, far), (far, near)):
            self._others[sock] = other
            self._selector.register(sock, selectors.EVENT_READ)

    def _read(self, sock):
        if sock not in self._others:
            return                              # it has ended with the other one
        try:
            data = sock.recv(1 << 16)
        except OSError:
            data = b''
        if data:
            self._under_way.append((time.monotonic() + self.delay, data, self._others[sock]))
        else:
            self._end(sock)

    def _deliver(self):
        while self._under_way and self._under_way[0][0] <= time.monotonic():
            _, data, sock = self._under_way.pop(0)
            try:
                if sock in self._others:
                    sock.sendall(data)
            except OSError:
                self._end(sock)

    def _end(self, sock):
        other = self._others.pop(sock, None)
        if other:
            self._selector.unregister(sock)
            sock.close()
            self._end(other)


class ClusterCase(GatewayCase):
    """Nodes a, b, … of one cluster; self.nodes has them, self.ctls their control sockets."""

    own_daemon = True
    node_count = 2
    listen = ()                 # for SIP, beside UDP and TCP
    ttl = '5s'                  # more than a busy machine keeps a node from saying so
    config = {'routes': routes()}

    def setUp(self):
        super().setUp()
        self.start_redis()
        self.nodes, self.ctls = [], []
        for name in NAMES[:self.node_count]:
            node, ctl = self.start_node(name)
            self.nodes.append(node)
            self.ctls.append(ctl)
        self.wait_nodes(self.node_count)

    def start_redis(self):
        self.redis = Redis().start()
        self.addCleanup(self.redis.discard)

    def node_config(self, name):
        """Beside self.config; its SIP port is put in by start_node()."""
        return {'cluster': {'redis': self.redis.url, 'node': name, 'ttl': self.ttl}}

    def sip_place(self, daemon):
        """Where other nodes reach it."""
        return f'sip:127.0.0.1:{daemon.sip_port};transport=tcp'

    def start_node(self, name):
        daemon = Daemon(merge(self.config, self.node_config(name)))
        place = self.sip_place(daemon)
        if place:
            daemon.config['cluster']['sip'] = place
        daemon.config['sip']['listen'] += self.listen
        daemon.write_config()
        daemon.start()
        ctl = daemon.control()
        ctl.subscribe()
        self._daemons.append((daemon, ctl))
        return daemon, ctl

    def kill(self, i):
        """A node dies."""
        self._daemons.remove((self.nodes[i], self.ctls[i]))
        self.addCleanup(self.nodes[i].discard)
        self.nodes[i].kill()

    def restart(self, i):
        """One that was killed comes again."""
        self.nodes[i].start()
        self.ctls[i] = self.nodes[i].control()
        self.ctls[i].subscribe()
        self._daemons.append((self.nodes[i], self.ctls[i]))

    def cluster(self, i):
        return self.ctls[i].call('cluster')

    def wait_nodes(self, count, ctls=None):
        for ctl in ctls or self.ctls:
            poll(lambda c=ctl: not (told := c.call('cluster'))['alone']
                 and len(told['nodes']) == count, what=f'{count} nodes')

    def numbers(self, i, group='cluster'):
        return {name.partition(':')[2]: value for name, value in
                self.ctls[i].call('get_statistics', group=group).items()}


class SecureNodes:
    """For a ClusterCase: nodes that speak TLS with each other, each by another kind of URI."""

    @classmethod
    def prepare(cls):
        super().prepare()
        ca = certs.Authority(cls.directory)
        own = ca.issue('node', [f'IP:127.0.0.{i + 1}' for i in range(len(NAMES))])
        tls = {'certificate': own.certificate, 'private_key': own.key, 'ca_file': ca.file}
        cls.config = merge(cls.config, {'sip': {'tls': tls}, 'msrp': {'tls': tls}})
        cls.tls = certs.client_context(ca)

    def sip_place(self, daemon):
        port = free_port()
        daemon.config['sip']['listen'].append(f'sips:127.0.0.1:{port}')
        return f'sips:127.0.0.1:{port}' if daemon.config['cluster']['node'] == 'a' else \
            f'sip:127.0.0.1:{port};transport=tls'
