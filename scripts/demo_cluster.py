#!/usr/bin/env python3
"""scripts/demo cluster: three nodes with one name over one Redis, and the end of one of them.

    demo_cluster.py DIRECTORY MSRPD MSRPCTL

The nodes are those of conf/cluster/, on free ports.  Bob writes to one node and then to another,
and Alice has all of it in one session; Carol reaches Alice's grant by a node that has it not; the
node with the session is killed, and Bob's next message makes another.
"""
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time

from demo_peer import PATIENCE, Msrp, Phone, heading, own_path, show

CONF = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'conf', 'cluster')
NODES = {'a': '127.0.0.1', 'b': '127.0.0.2', 'c': '127.0.0.3'}
PORTS = (5060, 2855, 2856, 9155)    # of those files


def is_free(port):
    """At each of the nodes' addresses, for UDP and TCP."""
    try:
        for address in NODES.values():
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as sock:
                    sock.bind((address, port))
    except OSError:
        return False
    return True


def free_ports(count):
    """Below those that the kernel gives away by itself."""
    ports = [port for port in random.sample(range(10000, 20000), 200) if is_free(port)]
    return ports[:count]


def until(done, what):
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f'{what} took too long')
        time.sleep(0.05)


class Cluster:
    def __init__(self, directory, msrpd, msrpctl):
        self.directory, self.msrpd, self.msrpctl = directory, msrpd, msrpctl
        self.redis = os.path.join(directory, 'redis.sock')
        self.ports = dict(zip(PORTS, free_ports(len(PORTS))))
        self.processes = []
        self.nodes = {}

    def start(self):
        self.run('redis', ['redis-server', '--port', '0', '--unixsocket', self.redis,
                           '--save', '', '--dir', self.directory])
        until(lambda: os.path.exists(self.redis), 'Redis')
        for name in NODES:
            self.nodes[name] = self.run(name, [self.msrpd, '-n', '-c', self.config(name)])
        for name in NODES:
            until(lambda n=name: self.count(n) == len(NODES), f'node {name}')

    def config(self, name):
        """That of conf/cluster/, with ports, Redis and directory of this demo."""
        with open(os.path.join(CONF, f'{name}.yaml'), encoding='utf-8') as file:
            text = file.read()
        for old, new in self.ports.items():
            text = re.sub(rf'\b(127\.0\.0\.\d):{old}\b', rf'\1:{new}', text)
        text = text.replace('/tmp/', f'{self.directory}/').replace('ttl: 10s', 'ttl: 2s')
        text = text.replace('redis://127.0.0.1:6379/0', f'unix://{self.redis}')
        path = os.path.join(self.directory, f'{name}.yaml')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def run(self, name, command):
        with open(os.path.join(self.directory, f'{name}.log'), 'wb') as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def cluster(self, name):
        """What `msrpctl cluster` says at that node."""
        control = os.path.join(self.directory, f'msrpd-cluster-{name}.sock')
        return subprocess.run([self.msrpctl, '-s', control, 'cluster'], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout

    def count(self, name):
        if self.nodes[name].poll() is not None:
            raise SystemExit(f'node {name} did not start')
        return self.cluster(name).count('sip:127.')

    def tell(self, name):
        print(f'  node {name}$ msrpctl cluster')
        for line in self.cluster(name).splitlines():
            print(f'    {line}')
        sys.stdout.flush()

    def at(self, name, port):
        """Address of a node, by the port that conf/cluster/ has."""
        return NODES[name], self.ports[port]

    def kill(self, name):
        print(f'  kill -9   node {name}', flush=True)
        self.nodes[name].send_signal(signal.SIGKILL)
        self.nodes[name].wait()

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait()


def gateway(cluster):
    """Bob, who has SIP MESSAGE, and Alice, who has MSRP; the two, and her session."""
    heading('2. One session.  Bob writes to node a, which calls Alice.')
    alice = Phone('Alice', cluster.at('a', 5060), 'node a')
    bob = Phone('Bob', cluster.at('a', 5060), 'node a')
    own = own_path()
    bob.write(alice.uri, 'This came to node a.')
    msrp = Msrp('Alice', alice.accept(own), own, server_name='node a')
    msrp.bind()
    msrp.hear()
    bob.response()

    heading('His next message comes to node b, and reaches her in the same session.')
    bob.move(cluster.at('b', 5060), 'node b')
    bob.write(alice.uri, 'This came to node b.')
    msrp.hear()
    bob.response()
    cluster.tell('a')
    return alice, bob, msrp


def relay(cluster):
    heading('3. One relay.  Alice has a grant of node a; Carol comes to node c.')
    own, peer = own_path(), own_path()
    uri = 'msrp://127.0.0.9:%d;tcp' % cluster.ports[2855]
    alice = Msrp('Alice', uri, own, cluster.at('a', 2855), 'node a')
    granted = alice.auth('alice', 'wonderland')
    carol = Msrp('Carol', f'{granted} {own}', peer, cluster.at('c', 2855), 'node c')
    alice.path = f'{granted} {peer}'
    carol.say('I know node c alone.')
    alice.hear()
    carol.reported()
    alice.say('And I node a.')
    carol.hear()
    alice.reported()


def end(cluster, alice, bob, msrp):
    heading('4. Node a is killed.  What was on it ends; Bob is told so until its time is over.')
    cluster.kill('a')
    while msrp.sock.recv(65536):
        pass
    show('Alice', '←', 'MSRP', 'the connection is closed', 'node a')
    alice.move(cluster.at('b', 5060), 'node b')
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        bob.write(alice.uri, 'Is anybody there?')
        ready, _, _ = select.select([alice.sock, bob.sock], [], [], PATIENCE)
        if alice.sock in ready:
            break
        bob.receive('SIP/2.0 [2-6]')
        time.sleep(0.5)
    own = own_path()
    msrp = Msrp('Alice', alice.accept(own), own, server_name='node b')
    msrp.bind()
    msrp.hear()
    bob.response()
    cluster.tell('b')
    alice.hang_up()


def main(*arguments):
    cluster = Cluster(*arguments)
    try:
        heading('1. Three nodes with one name.')
        cluster.start()
        cluster.tell('c')
        people = gateway(cluster)
        relay(cluster)
        end(cluster, *people)
    finally:
        cluster.stop()


if __name__ == '__main__':
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    try:
        main(*sys.argv[1:])
    except (TimeoutError, OSError) as error:
        raise SystemExit(error) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
