#!/usr/bin/env python3
"""A room watched by a SIP implementation that is none of ours: sipp."""
import os
import shutil
import subprocess

from lib import case
from lib.daemon import die_with_parent, free_port
from lib.rooms import LOBBY, RoomCase, rooms
from lib.waiting import poll

SCENARIO = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'sipp', 'watcher.xml')
COUNT = 20


class WatcherTest(RoomCase):
    config = rooms({'uri': LOBBY})

    def watch(self, transport):
        """RFC 6665: each watcher subscribes, refreshes and gives up, and is told each time."""
        process = subprocess.Popen(
            ['sipp', '-sf', SCENARIO, '-i', '127.0.0.1', '-p', str(free_port()), '-m', str(COUNT),
             '-r', str(COUNT), '-t', transport, '-nostdin', '-timeout', '60s', '-timeout_error',
             f'127.0.0.1:{self.daemon.sip_port}'],
            cwd=self.daemon.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
            env=dict(os.environ, TERM='dumb'))
        try:
            output, _ = process.communicate(timeout=90)
        finally:
            process.kill()
            process.wait()
        self.assertEqual(process.returncode, 0, output.decode(errors='replace')[-3000:])
        # The last 200 to a NOTIFY may still be on its way.
        numbers = poll(self.numbers, what='the end of all subscriptions')
        return numbers['sip:subscribes_in'], numbers['sip:notifies_out']

    def numbers(self):
        numbers = self.ctl.call('get_statistics', group='sip')
        return numbers if numbers['sip:subscriptions'] == 0 else None

    def test_udp_and_tcp(self):
        self.assertIsNotNone(shutil.which('sipp'))
        for i, transport in enumerate(('u1', 't1'), 1):
            with self.subTest(transport):
                subscribes, notifies = self.watch(transport)
                self.assertEqual(notifies, i * 3 * COUNT)
                self.assertGreaterEqual(subscribes, i * 3 * COUNT)


if __name__ == '__main__':
    case.main()
