#!/usr/bin/env python3
"""scripts/demo with the programs that are built: it shows the exchange and leaves nothing."""
import os
import pty
import re
import shutil
import subprocess
import tempfile
import unittest

from lib.daemon import MSRPCTL, MSRPD, SOURCE, die_with_parent

# What has to be seen in each scene, in this order.
SCENES = (
    ('Alice → msrpd SIP INVITE sip:chat@', 'Alice ← msrpd SIP 200 OK',
     "Alice → msrpd MSRP SEND 'Hello, msrpd!'",
     "App ← msrpd JSON E_MSRP_MSG_RECEIVED body='Hello, msrpd!'",
     "Alice ← msrpd MSRP SEND 'You said: Hello, msrpd!'",
     "App ← msrpd JSON E_MSRP_REPORT_RECEIVED status='000 200 OK'",
     'Alice → msrpd SIP BYE', "App ← msrpd JSON E_MSRP_SESSION_END reason='bye'"),
    ('Bob → msrpd SIP MESSAGE sip:alice@', 'Alice ← msrpd SIP INVITE sip:alice@',
     "Alice ← msrpd MSRP SEND 'Hi Alice", 'Alice → msrpd MSRP REPORT 000 200 OK',
     'Bob ← msrpd SIP 200 OK', "Alice → msrpd MSRP SEND 'I can.",
     'Bob ← msrpd SIP MESSAGE sip:bob@', 'Bob → msrpd SIP 200 OK',
     'Alice ← msrpd MSRP REPORT 000 200',
     "App ← msrpd JSON E_MSRP_GW_SESSION_END reason='bye'"),
    ('Alice → msrpd MSRP AUTH msrp://', 'Alice ← msrpd MSRP 401',
     'Alice ← msrpd MSRP 200 OK Use-Path: msrp://',
     "Carol → msrpd MSRP SEND 'Hello Alice", "Alice ← msrpd MSRP SEND 'Hello Alice",
     'Carol ← msrpd MSRP REPORT 000 200', "Alice → msrpd MSRP SEND 'And I answer",
     "Carol ← msrpd MSRP SEND 'And I answer", 'Alice ← msrpd MSRP REPORT 000 200'),
    ('Alice → msrpd SIP INVITE sip:lobby@', 'App ← msrpd JSON E_MSRP_CONF_JOIN participant=',
     "Alice → msrpd MSRP SEND 'Hello, everybody!'", 'Alice ← msrpd MSRP REPORT 000 200',
     "Carol ← msrpd MSRP SEND 'Hello, everybody!'", 'Bob → msrpd SIP MESSAGE sip:lobby@',
     "Alice ← msrpd MSRP SEND 'Hello from a telephone.'",
     "Bob ← msrpd SIP MESSAGE sip:bob@", 'App ← msrpd JSON E_MSRP_CONF_END'),
)

CLUSTER = (
    ('node c$ msrpctl cluster',),
    ('Bob → node a SIP MESSAGE', 'Alice ← node a SIP INVITE',
     "Alice ← node a MSRP SEND 'This came to node a.'", 'Bob ← node a SIP 200 OK',
     'Bob → node b SIP MESSAGE', "Alice ← node a MSRP SEND 'This came to node b.'",
     'Bob ← node b SIP 200 OK'),
    ('Alice ← node a MSRP 200 OK Use-Path: msrp://127.0.0.9:',
     "Carol → node c MSRP SEND 'I know node c alone.'",
     "Alice ← node a MSRP SEND 'I know node c alone.'", 'Carol ← node c MSRP REPORT 000 200',
     "Carol ← node c MSRP SEND 'And I node a.'", 'Alice ← node a MSRP REPORT 000 200'),
    ('kill -9 node a', 'Alice ← node a MSRP the connection is closed',
     'Bob → node b SIP MESSAGE', 'Alice ← node b SIP INVITE',
     "Alice ← node b MSRP SEND 'Is anybody there?'", 'Bob ← node b SIP 200 OK',
     'node b$ msrpctl cluster', 'Alice ← node b SIP 200 OK'),
)


class DemoTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='msrpd-demo-test-')
        self.addCleanup(shutil.rmtree, self.directory)

    def run_demo(self, *scene, stdin=subprocess.DEVNULL, **environment):
        return subprocess.run(
            [os.path.join(SOURCE, 'scripts', 'demo'), *scene], stdin=stdin, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, preexec_fn=die_with_parent,
            env={**os.environ, 'MSRPD': MSRPD, 'MSRPCTL': MSRPCTL,
                 'XDG_RUNTIME_DIR': self.directory, **environment})

    def test_exchange(self):
        """The four roles; the runtime directory is empty afterwards."""
        result = self.run_demo()
        self.assert_shown(result, ['The User Agent', 'The gateway', 'The relay', 'The chat room'],
                          SCENES)

    def test_cluster(self):
        """Three nodes, of which one is killed."""
        result = self.run_demo('cluster')
        self.assert_shown(result, ['Three nodes with one name', 'One session', 'One relay',
                                   'Node a is killed'], CLUSTER)

    def assert_shown(self, result, headings, wanted):
        """These scenes with these lines, and nothing is left behind."""
        self.assertEqual((result.returncode, result.stderr), (0, ''), result.stdout)
        scenes = re.split(r'^\d\. ', result.stdout, flags=re.M)[1:]
        self.assertEqual([scene.split('.')[0] for scene in scenes], headings)
        for scene, lines in zip(scenes, wanted):
            self.assert_said(scene, lines)
        self.assertEqual(os.listdir(self.directory), [])

    def assert_said(self, scene, lines):
        """These lines in this order, others between them."""
        said = iter(re.sub(' +', ' ', line).strip() for line in scene.splitlines())
        for wanted in lines:
            self.assertTrue(any(line.startswith(wanted) for line in said), f'{wanted}: {scene}')

    def test_terminal(self):
        """What is typed is sent: by Alice first, by Bob after an empty line, until Ctrl-D."""
        master, terminal = pty.openpty()
        self.addCleanup(os.close, master)
        os.write(master, b'typed by me\n\nand by Bob\n\x04')
        result = self.run_demo(stdin=terminal)
        os.close(terminal)
        self.assertEqual((result.returncode, result.stderr), (0, ''), result.stdout)
        self.assertEqual(result.stdout.count('Your turn'), 2)
        self.assert_said(result.stdout, (
            "Alice → msrpd MSRP SEND 'typed by me'",
            "Alice ← msrpd MSRP SEND 'You said: typed by me'",
            'Alice → msrpd SIP BYE', 'Bob → msrpd SIP MESSAGE sip:alice@',
            "Alice ← msrpd MSRP SEND 'and by Bob'", 'Bob ← msrpd SIP 200 OK',
            "Alice → msrpd MSRP SEND 'Alice read: and by Bob'",
            'Bob ← msrpd SIP MESSAGE sip:bob@', 'Alice ← msrpd MSRP REPORT 000 200',
            'Alice → msrpd SIP BYE', 'Carol'))

    def test_failure(self):
        """A daemon that does not start: the demo says so and cleans up."""
        for scene in ((), ('cluster',)):
            result = self.run_demo(*scene, MSRPD='/bin/false')
            self.assertNotEqual(result.returncode, 0)
            self.assertIn('did not start', result.stderr)
            self.assertEqual(os.listdir(self.directory), [])


if __name__ == '__main__':
    unittest.main(verbosity=2)
