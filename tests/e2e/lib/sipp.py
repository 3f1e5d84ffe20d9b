"""sipp, a SIP implementation that is none of ours."""
import os
import subprocess

from .daemon import die_with_parent
from .waiting import poll

SCENARIOS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'sipp')


class Sipp:
    """It runs a scenario so many times."""

    def __init__(self, directory, scenario, count, port, *arguments):
        self.port = port
        self.process = subprocess.Popen(
            ['sipp', '-sf', os.path.join(SCENARIOS, scenario), '-i', '127.0.0.1', '-m', str(count),
             '-p', str(port), '-nostdin', '-timeout', '60s', '-timeout_error', *arguments],
            cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
            env=dict(os.environ, TERM='dumb'))

    def ready(self, protocol='udp'):
        """It is when its port is taken."""
        def taken():
            with open(f'/proc/net/{protocol}', encoding='ascii') as file:
                return f':{self.port:04X} ' in file.read()
        poll(taken, what='sipp')

    def finish(self):
        """All calls have gone as the scenario says."""
        try:
            output, _ = self.process.communicate(timeout=90)
        finally:
            self.process.kill()
            self.process.wait()
        assert self.process.returncode == 0, output.decode(errors='replace')[-3000:]
