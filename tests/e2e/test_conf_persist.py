#!/usr/bin/env python3
"""Chat rooms that outlive the daemon, however it ends."""
import contextlib
import os
import shutil
import sqlite3
import tempfile

from lib import case
from lib.rooms import LOBBY, RoomCase, rooms, uri
from lib.waiting import poll

MADE = uri('made')
KEPT = uri('kept')


class PersistTest(RoomCase):
    own_daemon = True

    def begin(self, **settings):
        file = os.path.join(self.directory, f'{self._testMethodName}.db')
        return self.start(rooms({'uri': LOBBY}, create=True, persist=file, history=3, **settings))

    def fill(self, daemon, ctl):
        """Somebody in two rooms has said something; all of it was acknowledged."""
        alice = self.join('alice', daemon=daemon, ctl=ctl)
        made = self.join('alice', MADE, daemon=daemon, ctl=ctl)
        ctl.call('msrp_conf_create', room=KEPT, subject='Kept', max_participants=2)
        for number in range(5):
            alice.say(f'message {number}')
        made.say('in a room that a call has made')
        alice.nickname('Ally')
        alice.nickname('The one')

    def look(self, daemon, ctl):
        self.assertEqual([entry['body'] for entry in ctl.call('msrp_conf_history', room=LOBBY)],
                         ['message 2', 'message 3', 'message 4'])
        self.assertEqual(ctl.call('msrp_conf_list', room=KEPT)[0]['subject'], 'Kept')
        bob = self.join('bob', daemon=daemon, ctl=ctl)
        for number in (2, 3, 4):
            bob.hears(f'message {number}', uri('alice'), LOBBY)
        bob.nickname('the ONE', 425)
        bob.nickname('Ally')
        alice = self.join('alice', daemon=daemon, ctl=ctl)
        self.assertEqual(ctl.call('msrp_conf_list', room=LOBBY)[0]['participants'][1]['nickname'],
                         'The one')
        made = self.join('carol', MADE, daemon=daemon, ctl=ctl)
        made.hears('in a room that a call has made')
        made.bye()
        ctl.event('E_MSRP_CONF_END', room=MADE)
        alice.bye()
        self.left(alice, 'bye', ctl)
        bob.nickname('the one')

    def test_killed(self):
        daemon, ctl = self.begin()
        self.fill(daemon, ctl)
        daemon.kill()
        self._daemons.clear()
        self.look(*self.begin())

    def test_stopped(self):
        daemon, ctl = self.begin()
        self.fill(daemon, ctl)
        for ua in self._uas:
            ua.agree()
        daemon.stop()
        self._uas.clear()
        self._daemons.clear()
        self.look(*self.begin())

    def test_elsewhere(self):
        """A file of its own directory, under the sandbox: an orderly end leaves nothing beside it."""
        directory = tempfile.mkdtemp(prefix='msrpd-persist-')
        self.addCleanup(shutil.rmtree, directory)
        file = os.path.join(directory, 'rooms.db')
        daemon, ctl = self.start(rooms({'uri': LOBBY}, persist=file))
        for number in range(3):
            ctl.call('msrp_conf_send', room=LOBBY, body=f'message {number}')
        self.assertEqual(sorted(os.listdir(directory)), ['rooms.db', 'rooms.db-shm', 'rooms.db-wal'])
        daemon.stop()
        self._daemons.clear()
        self.assertEqual(os.listdir(directory), ['rooms.db'])
        _, ctl = self.start(rooms({'uri': LOBBY}, persist=file))
        self.assertEqual(len(ctl.call('msrp_conf_history', room=LOBBY)), 3)

    def test_log_without_a_pause(self):
        """Steady changes do not keep the write-ahead log from beginning anew."""
        _, ctl = self.begin()
        path = os.path.join(self.directory, f'{self._testMethodName}.db-wal')
        written, body = 0, 'x' * 60000

        def salt():
            """A log that begins anew has another."""
            with open(path, 'rb') as file:
                return file.read(24)[16:]
        ctl.call('msrp_conf_send', room=LOBBY, body=body)
        first = salt()
        while salt() == first:
            ctl.call('msrp_conf_send', room=LOBBY, body=body)
            written += len(body)
            self.assertLess(written, 160 << 20)

    def test_log(self):
        """The write-ahead log is brought into the file while the daemon runs."""
        daemon, ctl = self.begin()
        for number in range(3):
            ctl.call('msrp_conf_send', room=LOBBY, body=f'message {number}')
        file = daemon.config['conference']['persist']

        def brought_in():
            with contextlib.closing(sqlite3.connect(f'file:{file}?immutable=1', uri=True)) as db:
                return db.execute('SELECT count(*) FROM history').fetchone() == (3,)
        poll(brought_in)

    def test_damaged(self):
        """A file that a power cut has damaged is put aside; one that is none is not touched."""
        daemon, ctl = self.begin()
        for number in range(200):
            ctl.call('msrp_conf_create', room=uri(f'room{number}'), subject='x' * 200)
        daemon.stop()
        self._daemons.clear()
        file = daemon.config['conference']['persist']
        with open(file, 'r+b') as damaged:
            damaged.seek(8192)
            damaged.write(b'\xff' * 8192)
        daemon, ctl = self.begin()
        self.assertIn('is damaged', daemon.log())
        self.assertEqual([room['room'] for room in ctl.call('msrp_conf_list')], [LOBBY])
        self.assertTrue(os.path.exists(file + '.damaged'))
        daemon.stop()
        self._daemons.clear()
        with open(file, 'wb') as other:
            other.write(b'my diary' * 1000)
        with self.assertRaises(AssertionError) as caught:
            self.begin()
        self.assertIn('persist', str(caught.exception))
        with open(file, 'rb') as other:
            self.assertEqual(other.read(8), b'my diary')

    def test_ended(self):
        """What has ended leaves nothing behind."""
        daemon, ctl = self.begin()
        self.fill(daemon, ctl)
        for room in (LOBBY, MADE, KEPT):
            ctl.call('msrp_conf_end', room=room)
        daemon.kill()
        self._daemons.clear()
        with sqlite3.connect(daemon.config['conference']['persist']) as db:
            for table in ('rooms', 'history', 'nicknames'):
                self.assertEqual(db.execute(f'SELECT * FROM {table}').fetchall(), [])

    def test_no_file(self):
        """A file that cannot be opened is told at the start."""
        file = os.path.join(self.directory, 'nowhere', 'rooms.db')
        with self.assertRaises(AssertionError) as caught:
            self.start(rooms(persist=file))
        self.assertIn('persist', str(caught.exception))


if __name__ == '__main__':
    case.main()
