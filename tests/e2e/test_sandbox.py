#!/usr/bin/env python3
"""What msrpd takes from itself: seccomp and Landlock around the running daemon."""
import os
import re
import shutil
import tempfile

from lib import case


def status_of(daemon):
    with open(f'/proc/{daemon.process.pid}/status', encoding='ascii') as file:
        return dict(re.findall(r'^(\w+):\s*(\S+)', file.read(), re.M))


class SandboxTest(case.Case):
    own_daemon = True

    def elsewhere(self, name, text):
        """A file in a directory of its own."""
        directory = tempfile.mkdtemp(prefix='msrpd-elsewhere-')
        self.addCleanup(shutil.rmtree, directory)
        return self.write(os.path.join(directory, name), text)

    @staticmethod
    def write(path, text):
        with open(path, 'w', encoding='ascii') as file:
            file.write(text)
        return path

    def test_on(self):
        """Both are on by themselves, after the start, and the daemon works."""
        daemon, ctl = self.start()
        self.assertEqual(status_of(daemon)['Seccomp'], '2')
        self.assertEqual(status_of(daemon)['NoNewPrivs'], '1')
        self.assertRegex(daemon.log(), r'sandbox: landlock\n(.*\n)*.*sandbox: seccomp\n')
        call = self.call(daemon, ctl)
        call.send('hello')
        self.received(call, ctl, body='hello')

    def test_off(self):
        daemon, _ = self.start({'sandbox': {'seccomp': False, 'landlock': False}})
        self.assertEqual(status_of(daemon)['Seccomp'], '0')
        self.assertEqual(status_of(daemon)['NoNewPrivs'], '0')
        self.assertNotIn('sandbox: landlock', daemon.log())

    def test_files_of_a_reload(self):
        """New files are found where the configuration had files before, and nowhere else."""
        secret = self.elsewhere('secret', 's3cret\n')
        credential = {'realm': 'example.org', 'username': 'gw', 'password': {'file': secret}}
        daemon, ctl = self.start({'credentials': [credential]})
        users = 'alice:example.org:0123456789abcdef0123456789abcdef\n'
        daemon.config['relay'] = {'htdigest': self.elsewhere('users', users)}
        daemon.write_config()
        refused = self.refused(500, ctl.call, 'reload')
        self.assertIn('Permission denied', refused.message)
        os.unlink(secret)
        self.write(secret, 'another\n')
        daemon.config['relay']['htdigest'] = self.write(
            os.path.join(os.path.dirname(secret), 'users'), users)
        daemon.write_config()
        self.assertEqual(ctl.call('reload'), 'OK')

    def test_fixed(self):
        """What was taken does not come back."""
        daemon, ctl = self.start()
        daemon.config['sandbox'] = {'seccomp': False}
        daemon.write_config()
        self.assertIn('sandbox cannot change', self.refused(500, ctl.call, 'reload').message)


if __name__ == '__main__':
    case.main()
