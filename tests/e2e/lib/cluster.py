"""Several nodes of one cluster, and the Redis between them."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from .daemon import Daemon, die_with_parent
from .gateway import GatewayCase, routes
from .waiting import poll

REDIS = shutil.which('redis-server')
NAMES = ('a', 'b', 'c')


class Redis:
    """A Redis of a test's own, at a UNIX socket."""

    def __init__(self):
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

    def start(self):
        """Empty, whatever was in it."""
        self.process = subprocess.Popen(
            [REDIS, '--port', '0', '--unixsocket', self.path, '--save', '', '--appendonly', 'no',
             '--dir', self.directory], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        poll(self._answers, what='Redis')
        return self

    def call(self, *words):
        """A command; the raw answer."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.path)
            sock.sendall(b''.join([b'*%d\r\n' % len(words),
                                   *(b'$%d\r\n%s\r\n' % (len(word), word) for word in
                                     (str(word).encode() for word in words))]))
            return sock.recv(1 << 20)

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


class ClusterCase(GatewayCase):
    """Nodes a, b, … of one cluster; self.nodes has them, self.ctls their control sockets."""

    own_daemon = True
    node_count = 2
    ttl = '2s'                  # more than a busy machine keeps a node from saying so
    config = {'routes': routes()}

    def setUp(self):
        super().setUp()
        self.redis = Redis().start()
        self.addCleanup(self.redis.discard)
        self.nodes, self.ctls = [], []
        for name in NAMES[:self.node_count]:
            node, ctl = self.start_node(name)
            self.nodes.append(node)
            self.ctls.append(ctl)
        self.wait_nodes(self.node_count)

    def node_config(self, name):
        """Beside self.config; its SIP port is put in by start_node()."""
        return {'cluster': {'redis': self.redis.url, 'node': name, 'ttl': self.ttl}}

    def start_node(self, name):
        daemon = Daemon({**self.config, **self.node_config(name)})
        daemon.config['cluster']['sip'] = f'sip:127.0.0.1:{daemon.sip_port};transport=tcp'
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

    def cluster(self, i):
        return self.ctls[i].call('cluster')

    def wait_nodes(self, count, ctls=None):
        for ctl in ctls or self.ctls:
            poll(lambda c=ctl: not (told := c.call('cluster'))['alone']
                 and len(told['nodes']) == count, what=f'{count} nodes')

    def numbers(self, i, group='cluster'):
        return {name.partition(':')[2]: value for name, value in
                self.ctls[i].call('get_statistics', group=group).items()}
