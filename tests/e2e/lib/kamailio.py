"""A Kamailio of a test's own, on a copy of one of kamailio/*.cfg."""
import os
import shutil
import signal
import socket
import subprocess

from .daemon import die_with_parent
from .waiting import poll

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'kamailio')
PROGRAM = shutil.which('kamailio', path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')


class Kamailio:
    def __init__(self, directory, name, port, **names):
        """names: what the config has between @ and @ beside PORT."""
        self.port = port
        self.log_file = os.path.join(directory, f'kamailio-{port}.log')
        config = os.path.join(directory, f'{port}-{name}')
        with open(os.path.join(FOLDER, name), encoding='ascii') as file:
            text = file.read()
        for key, value in dict(names, PORT=port).items():
            text = text.replace(f'@{key}@', str(value))
        with open(config, 'w', encoding='ascii') as file:
            file.write(text)
        with open(self.log_file, 'wb') as log:
            self.process = subprocess.Popen(
                [PROGRAM, '-f', config, '-DD', '-E', '-m', '32', '-M', '4', '-w', directory,
                 '-Y', directory, '-P', os.path.join(directory, f'kamailio-{port}.pid')],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=die_with_parent)
        poll(self._listens, what='Kamailio')

    def _listens(self):
        if self.process.poll() is not None:
            with open(self.log_file, encoding='utf-8', errors='replace') as file:
                raise AssertionError(file.read()[-3000:])
        try:
            socket.create_connection(('127.0.0.1', self.port), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
