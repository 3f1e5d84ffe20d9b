#!/usr/bin/env python3
"""scripts/demo with the programs that are built: it shows the exchange and leaves nothing."""
import os
import shutil
import subprocess
import tempfile
import unittest

from lib.daemon import MSRPCTL, MSRPD, SOURCE, die_with_parent


class DemoTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='msrpd-demo-test-')
        self.addCleanup(shutil.rmtree, self.directory)

    def run_demo(self, **environment):
        return subprocess.run(
            [os.path.join(SOURCE, 'scripts', 'demo')], stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, preexec_fn=die_with_parent,
            env={**os.environ, 'MSRPD': MSRPD, 'MSRPCTL': MSRPCTL,
                 'XDG_RUNTIME_DIR': self.directory, **environment})

    def test_exchange(self):
        """Both directions, reports and events; the runtime directory is empty afterwards."""
        result = self.run_demo()
        self.assertEqual((result.returncode, result.stderr), (0, ''), result.stdout)
        for wanted in ("→ SEND 'Hello, msrpd!'", "← SEND 'You said: Hello, msrpd!'",
                       '← REPORT 000 200', 'E_MSRP_MSG_RECEIVED', 'E_MSRP_REPORT_RECEIVED',
                       'E_MSRP_SESSION_END', '← SIP/2.0 200 OK'):
            self.assertIn(wanted, result.stdout)
        self.assertEqual(os.listdir(self.directory), [])

    def test_failure(self):
        """A daemon that does not start: the demo says so and cleans up."""
        result = self.run_demo(MSRPD='/bin/false')
        self.assertNotEqual(result.returncode, 0)
        self.assertIn('msrpd did not start', result.stderr)
        self.assertEqual(os.listdir(self.directory), [])


if __name__ == '__main__':
    unittest.main(verbosity=2)
