"""Start and stop msrpd, and look at what it leaves behind."""
import atexit
import copy
import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from .ctl import Control
from .waiting import DEADLINE, Timeout, poll

SOURCE = os.environ.get('MSRPD_SOURCE') or os.path.abspath(
    os.path.join(os.path.dirname(__file__), '..', '..', '..'))
SANITIZER = re.compile(r'(ERROR: \w*Sanitizer|runtime error:|WARNING: \w*Sanitizer)')


def _binary(variable, name):
    path = os.environ.get(variable)
    if path:
        return path
    for preset in ('asan', 'debug', 'release'):
        path = os.path.join(SOURCE, 'build', preset, name)
        if os.path.exists(path):
            return path
    return name


MSRPD = _binary('MSRPD', 'msrpd')
MSRPCTL = _binary('MSRPCTL', 'msrpctl')
UNDER = os.environ.get('MSRPD_UNDER', '').split()       # a command that runs it: valgrind, say
DIE_WITH_PARENT = 1             # PR_SET_PDEATHSIG
_libc = ctypes.CDLL(None)


def die_with_parent():
    """In the child: a test that is killed leaves nothing running."""
    _libc.prctl(DIE_WITH_PARENT, signal.SIGKILL)


def _is_free(host, port):
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family), \
                socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.bind((host, port))
    except OSError:
        return False
    return True


class Ports:
    """
    Those below the ones that the kernel gives away by itself, by slices: a slice is one process's
    for as long as it lives, so no test is given what another is about to open. Those from 20000 to
    FIRST nobody opens: tests name them.
    """

    FIRST, LAST, SLICE = 20064, 32768, 64

    def __init__(self):
        self.claims = []        # sockets whose names say which slices are ours
        self.next = self.end = 0

    def claim(self):
        starts = list(range(self.FIRST, self.LAST - self.SLICE, self.SLICE))
        random.shuffle(starts)
        for start in starts:
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f'\0msrpd-test-ports-{start}')
            except OSError:
                claim.close()
                continue
            self.claims.append(claim)
            self.next, self.end = start, start + self.SLICE
            return
        raise OSError('no free port')

    def take(self, count):
        """The first of so many."""
        if self.next + count > self.end:
            self.claim()
        self.next += count
        return self.next - count

    def give_back(self):
        for claim in self.claims:
            claim.close()


_ports = Ports()
atexit.register(_ports.give_back)


def free_port(host='127.0.0.1', count=1, others=()):
    """
    A port that is free for UDP and TCP now, at the other hosts too, and those behind it up to
    count.
    """
    for _ in range(200):
        port = _ports.take(count)
        if all(_is_free(each, port + i) for each in (host, *others) for i in range(count)):
            return port
    raise OSError('no free port')


def merge(base, changes):
    """A copy of base with changes laid over it; None removes a key."""
    result = copy.deepcopy(base)
    for key, value in (changes or {}).items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


UA_ROUTES = [{'if': {'$rm': 'INVITE'},
              'do': [{'msrp_ua_answer': {'content_types': 'text/plain message/cpim'}}]}]


def default_config(directory, sip_port):
    return {
        'log': {'target': 'stderr', 'level': 'debug'},
        'shutdown_grace': '2s',
        'control': {'socket': os.path.join(directory, 'ctl.sock')},
        'sip': {'listen': [f'sip:127.0.0.1:{sip_port};transport=udp',
                           f'sip:127.0.0.1:{sip_port};transport=tcp']},
        'msrp': {'listen': [{'name': 'inside', 'uri': 'msrp://127.0.0.1:0;tcp'}]},
        'routes': {'sip': UA_ROUTES},
        **({'sandbox': {'seccomp': False, 'landlock': False}} if UNDER else {}),
    }


def sample(name, changes):
    """conf/NAME.yaml as it stands, but for its ports and paths: what each of them is replaced by."""
    with open(os.path.join(SOURCE, 'conf', f'{name}.yaml'), encoding='utf-8') as file:
        text = file.read()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


class NotifySocket:
    """What systemd would hear."""

    def __init__(self, path):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.sock.settimeout(0.1)
        self.heard = []

    def poll(self):
        try:
            self.heard += self.sock.recv(4096).decode().splitlines()
        except (TimeoutError, BlockingIOError):
            pass

    def expect(self, line, timeout=DEADLINE):
        def heard():
            self.poll()
            return line in self.heard
        poll(heard, timeout, f'{line} on the notify socket', interval=0)
        self.heard.remove(line)

    def close(self):
        self.sock.close()
        os.unlink(self.path)


class Daemon:
    """One msrpd in a directory of its own."""

    def __init__(self, changes=None, arguments=(), text=None, environment=None, under=()):
        self.directory = tempfile.mkdtemp(prefix='msrpd-')
        self.sip_port = free_port()
        self.config = merge(default_config(self.directory, self.sip_port), changes)
        self.config_file = os.path.join(self.directory, 'msrpd.yaml')
        self.log_file = os.path.join(self.directory, 'stderr.log')
        self.write_config(text)
        self.arguments = list(arguments)
        self.under = list(under)        # a command that runs it
        self.environment = environment or {}
        self.process = None
        self.notify = None
        self.controls = []

    @property
    def socket_path(self):
        return self.config['control']['socket']

    def write_config(self, text=None):
        """JSON is YAML."""
        with open(self.config_file, 'w', encoding='utf-8') as file:
            file.write(text if text is not None else json.dumps(self.config, indent=1) + '\n')

    def spawn(self):
        """Start without waiting for anything."""
        self.notify = NotifySocket(os.path.join(self.directory, 'notify.sock'))
        environment = dict(os.environ, NOTIFY_SOCKET=self.notify.path)
        # A small quarantine: tests of bounded memory look at the resident size.
        environment.setdefault('ASAN_OPTIONS',
                               'detect_leaks=1:exitcode=99:abort_on_error=0:quarantine_size_mb=8')
        environment.setdefault('UBSAN_OPTIONS', 'print_stacktrace=1:halt_on_error=1')
        environment.update(self.environment)
        with open(self.log_file, 'ab') as log:
            self.process = subprocess.Popen(
                [*self.under, *UNDER, MSRPD, '-c', self.config_file, *self.arguments], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=environment, start_new_session=True,
                preexec_fn=die_with_parent)
        return self

    def start(self, timeout=DEADLINE):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f'msrpd ended with {self.process.returncode}:\n{self.log()}')
            self.notify.poll()
            return 'READY=1' in self.notify.heard
        try:
            self.spawn()
            poll(ready, timeout, 'READY=1')
        except Exception:
            self.kill()
            raise
        self.notify.heard.remove('READY=1')
        return self

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def control(self, name='control'):
        control = Control(self.socket_path, name)
        self.controls.append(control)
        return control

    def resident_kib(self):
        """Its resident memory."""
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as file:
            return next(int(line.split()[1]) for line in file if line.startswith('VmRSS:'))

    def listeners(self, ctl):
        """The MSRP listeners' host and port, in the order of the config."""
        listen = ctl.call('status')['listen']['msrp']
        return [re.search(r'msrps?://(\[[^\]]+\]|[^:/;"]+):([0-9]+)', json.dumps(one)).groups()
                for one in listen]

    @property
    def sip_uri(self):
        return f'sip:chat@127.0.0.1:{self.sip_port}'

    def log(self):
        try:
            with open(self.log_file, encoding='utf-8', errors='replace') as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def log_tail(self, lines=80):
        return '\n'.join(self.log().splitlines()[-lines:])

    def sanitizer_report(self):
        text = self.log()
        match = SANITIZER.search(text)
        return text[max(0, match.start() - 200):match.start() + 6000] if match else None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=DEADLINE):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Timeout(f'msrpd did not end within {timeout} s') from None

    def kill(self):
        """End it whatever its state, and everything that it may have started."""
        for control in self.controls:
            control.close()
        self.controls = []
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
        if self.notify is not None:
            self.notify.close()
            self.notify = None

    def stop(self, timeout=DEADLINE):
        """End it as an operator would; it has to end well."""
        try:
            if self.alive:
                self.signal(signal.SIGTERM)
            status = self.wait(timeout)
            report = self.sanitizer_report()
            if report:
                raise AssertionError(f'msrpd, exit status {status}:\n{report}')
            if status != 0:
                raise AssertionError(f'msrpd ended with {status}:\n{self.log_tail()}')
            if os.path.exists(self.socket_path):
                raise AssertionError(f'{self.socket_path} is left behind')
        finally:
            self.kill()

    def discard(self):
        if not os.environ.get('MSRPD_KEEP'):
            shutil.rmtree(self.directory, ignore_errors=True)


def msrpctl(socket_path, *arguments, timeout=DEADLINE, stdin=None):
    """Run msrpctl; the finished process with stdout and stderr as text."""
    return subprocess.run([MSRPCTL, '-s', socket_path, *arguments], input=stdin, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                          preexec_fn=die_with_parent)
