"""Somebody else's program, run for a test: what it prints, what it is told, its end."""
import os
import re
import subprocess
import threading

from .daemon import die_with_parent
from .waiting import DEADLINE, Mailbox


class Program:
    """Its lines of both streams, as they come."""

    def __init__(self, name, command, directory, **environment):
        self.name = name
        self.lines = Mailbox(name)
        # What writes to a pipe would otherwise write when a buffer is full, or at its end.
        self.process = subprocess.Popen(
            ['stdbuf', '-oL', *command], cwd=directory, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
            env=dict(os.environ, HOME=directory, LC_ALL='C.UTF-8', **environment),
            preexec_fn=die_with_parent)
        self._thread = threading.Thread(target=self._read_loop, daemon=True)
        self._thread.start()

    def _read_loop(self):
        for line in self.process.stdout:
            self.lines.put(line.decode(errors='replace').rstrip('\r\n'))
        self.lines.close()

    def line(self, pattern, timeout=DEADLINE):
        """The next line that the pattern is found in, as a match."""
        found = self.lines.take(lambda line: re.search(pattern, line), timeout, pattern)
        return re.search(pattern, found)

    def tell(self, text):
        """A line for its standard input."""
        self.process.stdin.write(text.encode() + b'\n')

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._thread.join(DEADLINE)
        self.process.stdin.close()
        self.process.stdout.close()
