#!/usr/bin/env python3
"""What the system has no more of: descriptors, room on the disk.  Who is there goes on."""
import contextlib
import errno
import os
import resource
import shutil
import socket
import sqlite3
import subprocess

from lib import case, msrp
from lib.case import Case
from lib.rooms import LOBBY, RoomCase, rooms
from lib.waiting import DEADLINE, poll

FEW = 20                        # descriptors beyond those that are open
DISK = '1m'                      # a filesystem, to be filled


@contextlib.contextmanager
def limited(daemon, what, value):
    """The daemon has no more than that, until the end of the block."""
    pid = daemon.process.pid
    soft, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (value, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, what, (soft, hard))


def on_own_disk(directory):
    """A command that runs another with a disk of its own there; its log goes there as well."""
    return ('unshare', '--map-root-user', '--mount', 'sh', '-ec',
            f'mount -t tmpfs -o size={DISK} none "$0"; mkdir "$0/traces"; '
            'exec "$@" 2>"$0/stderr.log"', directory)


@contextlib.contextmanager
def full(directory):
    """Nothing more fits on its disk, until the end of the block."""
    ballast = os.path.join(directory, 'ballast')
    with open(ballast, 'wb', buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    try:
        yield
    finally:
        os.unlink(ballast)


def descriptors(daemon):
    return [int(name) for name in os.listdir(f'/proc/{daemon.process.pid}/fd')]


def cpu(daemon):
    """Seconds."""
    with open(f'/proc/{daemon.process.pid}/schedstat', encoding='ascii') as file:
        return int(file.read().split()[0]) / 1e9


class DescriptorsTest(Case):
    config = {'log': {'level': 'info'}, 'metrics': {'listen': '127.0.0.1:0'},
              'web': {'listen': ['http://127.0.0.1:0']},
              'limits': {'connections_per_address': 0}, 'ua': {'reconnect_grace': '0s'}}

    def crowd(self, port, count=2 * FEW):
        return [socket.create_connection(('127.0.0.1', port), DEADLINE) for _ in range(count)]

    def ports(self):
        listen = self.ctl.call('status')['listen']
        return [int(self.daemon.listeners(self.ctl)[0][1]), self.daemon.sip_port,
                int(listen['web'][0].rstrip('/').rpartition(':')[2]), listen['metrics']]

    def test_none_left(self):
        """Who comes waits, without a line or a turn of the loop for each; who is there goes on."""
        call = self.call()
        before = len(descriptors(self.daemon))
        for port in self.ports():
            with self.subTest(port), limited(self.daemon, resource.RLIMIT_NOFILE,
                                             max(descriptors(self.daemon)) + FEW):
                lines = self.daemon.log().count('\n')
                crowd = self.crowd(port)
                poll(lambda: len(descriptors(self.daemon)) >= before + FEW // 2)
                began = cpu(self.daemon)
                for _ in range(10):
                    call.send('hello', success='yes')
                    self.received(call)
                    call.conn.expect('REPORT')
                    self.say(call, 'hello')
                    call.receive()
                self.assertLess(cpu(self.daemon) - began, 5)
                # Nobody can be called now, and that is said.
                peer = msrp.Listener()
                self.start_session_at(peer)
                self.assertLessEqual(self.daemon.log().count('\n') - lines, 150)
                for sock in crowd:
                    sock.close()
            poll(lambda: len(descriptors(self.daemon)) <= before, what='the end of the crowd')
            peer.close()
        again = self.call()
        again.send('hello')

    def start_session_at(self, listener):
        """An answer whose path cannot be connected to."""
        call = self.answered(listener, connect=False)
        self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)


class DiskTest(RoomCase):
    own_daemon = True

    def begin(self, directory, **kwargs):
        """Two in a room, whose memory and what is traced go there."""
        daemon, ctl = self.start({
            **rooms({'uri': LOBBY}, persist=os.path.join(directory, 'rooms.db'), history=3),
            'trace': {'directory': os.path.join(directory, 'traces')}}, **kwargs)
        alice, bob = (self.join(name, daemon=daemon, ctl=ctl) for name in ('alice', 'bob'))
        alice.say('before')
        bob.hears('before')
        ctl.call('msrp_trace', mode='on', file='full.pcapng')
        return daemon, ctl, alice, bob

    def talk(self, alice, bob):
        for number in range(20):
            alice.say(f'number {number}')
            bob.hears(f'number {number}')
        alice.nickname('Ally')

    def remembers(self, file):
        """It is whole, and what came when there was room again is in it."""
        with contextlib.closing(sqlite3.connect(file)) as base:
            self.assertEqual(base.execute('PRAGMA integrity_check').fetchone()[0], 'ok')
            body, = base.execute('SELECT body FROM history ORDER BY id DESC').fetchone()
            self.assertEqual(body.rpartition(b'\n')[2], b'after')

    def test_no_more(self):
        """No file may grow, be it log, memory or trace: rooms go on, and what was lost is said."""
        os.mkdir(os.path.join(self.directory, 'traces'))
        daemon, ctl, alice, bob = self.begin(self.directory)
        with limited(daemon, resource.RLIMIT_FSIZE, 100):
            self.talk(alice, bob)
            size = os.path.getsize(daemon.log_file)
        bob.say('after')
        alice.hears('after')
        poll(lambda: 'lines were lost' in daemon.log(), what='what was lost')
        self.assertGreater(os.path.getsize(daemon.log_file), size)
        ctl.call('msrp_trace', mode='off')
        daemon.stop()
        self.remembers(os.path.join(self.directory, 'rooms.db'))

    def test_full(self):
        """The same of a disk that has no room, where writes fail otherwise; then it has."""
        disk = os.path.join(self.directory, 'disk')
        os.mkdir(disk)
        under = on_own_disk(disk)
        if subprocess.run([*under, 'true'], stderr=subprocess.DEVNULL, check=False).returncode:
            self.skipTest('nothing may be mounted here')
        daemon, ctl, alice, bob = self.begin(disk, under=under)
        # What keeps it when msrpd is gone.
        handle = os.open(f'/proc/{daemon.process.pid}/root{disk}', os.O_PATH)
        self.addCleanup(os.close, handle)
        there = f'/proc/self/fd/{handle}'
        daemon.log_file = os.path.join(there, 'stderr.log')
        with full(there):
            self.talk(alice, bob)
        bob.say('after')
        alice.hears('after')
        poll(lambda: 'lines were lost' in daemon.log(), what='what was lost')
        ctl.call('msrp_trace', mode='off')
        daemon.stop()
        self.assertRegex(daemon.log(), r'full\.pcapng: [0-9]+ messages, [1-9][0-9]* lost')
        self.remembers(shutil.copy(os.path.join(there, 'rooms.db'),
                                   os.path.join(self.directory, 'copy.db')))


if __name__ == '__main__':
    case.main()
