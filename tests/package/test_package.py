#!/usr/bin/env python3
"""The Debian packages: built twice, judged by lintian, and one life of them in a root of its own."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
# Of 10: what a daemon that listens on the network and may bind low ports cannot do without.
EXPOSURE_MAX = 2.0
DEADLINE = 600


def run(*command, **kwargs):
    """Standard output and error of a command that succeeds."""
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, timeout=DEADLINE, check=False,
                            **kwargs)
    if result.returncode:
        raise AssertionError(f'{command} exits with {result.returncode}:\n{result.stdout[-8000:]}')
    return result.stdout


class Build:
    """What scripts/package makes of this source."""

    def __init__(self, directory, *arguments):
        run(SOURCE / 'scripts/package', *arguments, directory)
        self.msrpd, = directory.glob('msrpd_*.deb')
        self.dev, = directory.glob('msrpd-dev_*.deb')
        self.root = directory / 'root'
        for package in (self.msrpd, self.dev):
            run('dpkg-deb', '-x', package, self.root)

    def files(self):
        """The contents of each file but the one that tells the package's version."""
        return {path.relative_to(self.root): path.read_bytes() for path in self.root.rglob('*')
                if path.is_file() and not path.name.startswith('changelog')}


class PackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Always the same places: then ccache finds again what it has built.
        place = SOURCE / 'build/test_package'
        cls.addClassCleanup(shutil.rmtree, place)
        cls.first = Build(place / 'first')
        cls.second = Build(place / 'elsewhere/second', '-s', 'next')

    def test_same_files(self):
        """Two builds in different places differ in their version alone."""
        first, second = self.first.files(), self.second.files()
        self.assertEqual(sorted(first), sorted(second))
        self.assertEqual([path for path in first if first[path] != second[path]], [])

    def test_version(self):
        """debian/changelog has the version of the program."""
        version = run(self.first.root / 'usr/sbin/msrpd', '-V').split()[1]
        self.assertEqual(self.first.msrpd.name.split('_')[1], version)
        self.assertEqual(self.second.msrpd.name.split('_')[1], version + '+next')

    def test_build_needs(self):
        """Build-Depends is what scripts/install-build-needs installs, but for tests and dpkg's own."""
        script = (SOURCE / 'scripts/install-build-needs').read_text()
        needs = set(re.search(r'^build="([^"]*)"', script, re.M).group(1).split())
        needs -= {'ca-certificates', 'gcc', 'libc6-dev', 'libcmocka-dev', 'pkg-config'}
        control = (SOURCE / 'packaging/debian/control').read_text()
        depends = re.search(r'^Build-Depends: ((?:.*\n )*.*)', control, re.M).group(1)
        self.assertLessEqual(needs, set(re.findall(r'[a-z0-9.+-]+', depends)))

    def test_lintian(self):
        run('lintian', '--allow-root', '--fail-on', 'error,warning', self.first.msrpd,
            self.first.dev)

    def test_hardening(self):
        run(SOURCE / 'scripts/check-hardening', self.first.root / 'usr/sbin/msrpd',
            self.first.root / 'usr/bin/msrpctl')

    def test_exposure(self):
        """The unit gives away what the daemon does not use."""
        unit = self.first.root / 'lib/systemd/system/msrpd.service'
        told = run('systemd-analyze', 'security', '--offline=true', unit)
        exposure = float(re.search(r'Overall exposure level for msrpd\.service: ([0-9.]+)',
                                   told).group(1))
        self.assertLessEqual(exposure, EXPOSURE_MAX, told)

    def test_headers(self):
        """Each header stands by itself, found by pkg-config."""
        flags = run('pkg-config', '--cflags', 'msrpd', env={
            **os.environ, 'PKG_CONFIG_SYSROOT_DIR': str(self.first.root),
            'PKG_CONFIG_LIBDIR': str(self.first.root / 'usr/share/pkgconfig')}).split()
        headers = sorted((self.first.root / 'usr/include/msrpd').glob('*.h'))
        self.assertEqual([header.name for header in headers],
                         sorted(path.name for path in (SOURCE / 'include/msrpd').glob('*.h')))
        for header in headers:
            run('cc', '-std=c11', '-D_GNU_SOURCE', '-Wall', '-Werror', '-fsyntax-only', *flags,
                '-x', 'c', '-include', f'msrpd/{header.name}', '/dev/null')

    def test_life(self):
        """Installed, started, used, upgraded, removed, purged: tests/package/life.py."""
        run('unshare', '--mount', '--net', '--ipc', '--pid', '--fork', '--kill-child',
            sys.executable, '-B', HERE / 'life.py', self.first.msrpd, self.second.msrpd)


if __name__ == '__main__':
    unittest.main(verbosity=2)
