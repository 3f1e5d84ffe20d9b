"""Headless Chromium, by the commands of web/test/browser.mjs."""
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from .daemon import SOURCE, die_with_parent
from .waiting import DEADLINE, Mailbox

WEB = os.path.join(SOURCE, 'web')
PATIENCE = 2 * DEADLINE         # the browser itself gives up after one


def installed():
    return shutil.which('chromium') and shutil.which('node') and \
        os.path.isdir(os.path.join(WEB, 'node_modules', 'playwright-core'))


class BrowserError(AssertionError):
    """What was to be seen or done could not be."""


class Browser:
    """One Chromium, in which each person has a page, with nothing in common."""

    def __init__(self):
        # Chromium leaves its profile behind when it is killed; and it is many processes.
        self.home = tempfile.mkdtemp(prefix='msrpd-browser-')
        self.answers = Mailbox('browser')
        self.ids = itertools.count(1)
        self.process = subprocess.Popen(
            ['node', os.path.join(WEB, 'test', 'browser.mjs'), shutil.which('chromium')],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, 'HOME': self.home, 'TMPDIR': self.home},
            start_new_session=True, preexec_fn=die_with_parent)
        self._thread = threading.Thread(target=self._read_loop, daemon=True)
        self._thread.start()
        try:
            self._answer(0)
        except AssertionError:
            self.stop()
            raise

    def _read_loop(self):
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.close()

    def _answer(self, number):
        answer = self.answers.take(lambda one: one['id'] == number, PATIENCE, 'an answer')
        if 'error' in answer:
            raise BrowserError(answer['error'])
        return answer['result']

    def do(self, command, page, **parameters):
        number = next(self.ids)
        line = json.dumps({'id': number, 'do': command, 'page': page, **parameters})
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        return self._answer(number)

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._thread.join(DEADLINE)
        self.process.stdout.close()
        shutil.rmtree(self.home, ignore_errors=True)


class Page:
    """What a person does and sees."""

    def __init__(self, browser, name, url, **options):
        self.browser = browser
        self.name = name
        self.do('open', url=url, options=options)

    def do(self, command, **parameters):
        return self.browser.do(command, self.name, **parameters)

    def log_in(self, password):
        self.do('fill', what={'label': 'User name'}, value=self.name)
        self.do('fill', what={'label': 'Password'}, value=password)
        self.press('Log in')
        self.see('Online', role='status')

    def press(self, name, role='button', **where):
        self.do('click', what={'role': role, 'name': name, **where})

    def see(self, text, role=None):
        """It is there, or comes."""
        self.do('see', what={'within': {'role': role}, 'text': text} if role else {'text': text})

    def sees_message(self, text):
        self.do('see', what={'within': {'role': 'log'}, 'text': text, 'exact': True})

    def count(self, text):
        return self.do('count', what={'within': {'role': 'log'}, 'text': text, 'exact': True})

    def gone(self, text):
        self.do('gone', what={'text': text})

    def write(self, text):
        self.do('fill', what={'label': 'Message', 'exact': True}, value=text)

    def say(self, text):
        self.write(text)
        self.press('Send', exact=True)

    def chat_with(self, address, kind='person'):
        self.do('fill', what={'label': 'Name or address'}, value=address)
        self.do('choose', what={'label': 'Kind'}, value=kind)
        self.press('Start chat')

    def enter(self, title):
        self.do('click', what={'within': {'role': 'navigation'}, 'role': 'button', 'name': title})

    def close(self):
        self.do('close')
