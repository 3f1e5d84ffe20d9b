#!/usr/bin/env python3
"""What the system has no more of: descriptors, room on the disk.  Who is there goes on."""
import contextlib
import os
import resource
import socket
import sqlite3

from lib import case, msrp
from lib.case import Case
from lib.rooms import LOBBY, RoomCase, rooms
from lib.waiting import DEADLINE, poll

FEW = 20                        # descriptors beyond those that are open


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

    def test_full(self):
        """No room for log, room's memory and trace: rooms go on, and what was lost is said."""
        file = os.path.join(self.directory, 'rooms.db')
        traces = os.path.join(self.directory, 'traces')
        os.mkdir(traces)
        daemon, ctl = self.start({**rooms({'uri': LOBBY}, persist=file, history=3),
                                  'trace': {'directory': traces}})
        alice, bob = (self.join(name, daemon=daemon, ctl=ctl) for name in ('alice', 'bob'))
        alice.say('before')
        bob.hears('before')
        ctl.call('msrp_trace', mode='on', file='full.pcapng')
        with limited(daemon, resource.RLIMIT_FSIZE, 100):
            for number in range(20):
                alice.say(f'number {number}')
                bob.hears(f'number {number}')
            alice.nickname('Ally')
            size = os.path.getsize(daemon.log_file)
        bob.say('after')
        alice.hears('after')
        poll(lambda: 'lines were lost' in daemon.log(), what='what was lost')
        self.assertGreater(os.path.getsize(daemon.log_file), size)
        ctl.call('msrp_trace', mode='off')
        daemon.stop()
        with contextlib.closing(sqlite3.connect(file)) as base:
            self.assertEqual(base.execute('PRAGMA integrity_check').fetchone()[0], 'ok')


if __name__ == '__main__':
    case.main()
