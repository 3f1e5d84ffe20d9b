"""One life of the package, in namespaces of its own, on top of this machine's root.

    life.py FIRST.deb SECOND.deb

The root is an overlay: what the package brings and leaves is what the upper layer has.
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / 'tests/e2e'))
from lib import msrp, sdp                                   # noqa: E402
from lib.ctl import Control                                 # noqa: E402
from lib.daemon import NotifySocket, die_with_parent        # noqa: E402
from lib.frame import URI, new_id                           # noqa: E402
from lib.sip import Dialog, SipUa                           # noqa: E402

CONFIG = pathlib.Path('/etc/msrpd/msrpd.yaml')
UNIT = pathlib.Path('/lib/systemd/system/msrpd.service')
# What dpkg and its triggers note, and the account, which stays.
NOTED = re.compile(r'var/lib/(dpkg|systemd)|var/log|var/cache|run|tmp|dev|proc|etc/ld\.so\.cache'
                   r'|etc/(passwd|group|shadow|gshadow)-?$|etc/\.pwd\.lock$')


def run(*command):
    environment = dict(os.environ, DEBIAN_FRONTEND='noninteractive', LC_ALL='C.UTF-8',
                       PATH='/usr/sbin:/usr/bin:/sbin:/bin')
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, env=environment, check=False)
    print('$', *command, '\n' + result.stdout, flush=True)
    assert result.returncode == 0, f'{command} exits with {result.returncode}'
    return result.stdout


def enter():
    """A root where all changes fall into a layer of memory.  @return that layer, seen from within."""
    place = pathlib.Path(tempfile.mkdtemp(prefix='msrpd-root-'))
    run('mount', '--make-rprivate', '/')
    run('mount', '-t', 'tmpfs', 'msrpd', place)
    for name in ('upper', 'work', 'root'):
        (place / name).mkdir()
    root = place / 'root'
    run('mount', '-t', 'overlay', 'msrpd', '-o',
        f'lowerdir=/,upperdir={place}/upper,workdir={place}/work', root)
    run('mount', '--rbind', '/dev', root / 'dev')
    run('mount', '-t', 'proc', 'proc', root / 'proc')
    run('mount', '-t', 'tmpfs', 'tmpfs', root / 'run')
    run('mount', '-t', 'tmpfs', 'tmpfs', root / 'tmp')
    (root / 'run/upper').mkdir()
    run('mount', '--bind', place / 'upper', root / 'run/upper')
    os.chroot(root)
    os.chdir('/')
    run('ip', 'link', 'set', 'lo', 'up')
    return pathlib.Path('/run/upper')


class Service:
    """msrpd as its unit starts it, for want of a service manager."""

    def __init__(self):
        unit = dict(line.split('=', 1) for line in UNIT.read_text().splitlines()
                    if re.match('ExecStart|User|Group', line))
        notify = NotifySocket('/run/notify')
        os.chmod(notify.path, 0o666)
        self.process = subprocess.Popen(
            [*shlex.split(unit['ExecStart']), '-n'], user=unit['User'], group=unit['Group'],
            extra_groups=[], env={'NOTIFY_SOCKET': notify.path}, preexec_fn=die_with_parent)
        notify.expect('READY=1')
        notify.close()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0


def say(text):
    """A call to the assistant of the configuration, and a message in it that its event tells."""
    control = Control('/run/msrpd/msrpd.sock')
    control.subscribe('E_MSRP_MSG_RECEIVED')
    peer = SipUa()
    path = f'msrp://127.0.0.1:9/{new_id()};tcp'
    invite = peer.request('INVITE', 'sip:assistant@127.0.0.1', peer.reach('127.0.0.1', 5060),
                          sdp.document(sdp.message(path, 'text/plain')))
    answer = invite.final(200)
    dialog = Dialog.of_client(invite, answer)
    dialog.ack()
    ours = sdp.Sdp(answer.body).message.path
    conn = msrp.connect(ours[0])
    session = msrp.Session(conn, ours, [path])
    session.bind()
    session.send(text)
    control.event('E_MSRP_MSG_RECEIVED', session_id=URI.match(ours[-1])['session'], body=text)
    dialog.bye()
    for thing in (conn, peer, control):
        thing.close()


def use(text):
    service = Service()
    try:
        say(text)
        assert '127.0.0.1:5060' in run('msrpctl', 'status')
    finally:
        service.stop()


def mode(path):
    return f'{path.stat().st_mode & 0o7777:o} {path.owner()} {path.group()}'


def left_in(upper):
    return sorted(str(path.relative_to(upper)) for path in upper.rglob('*')
                  if not path.is_dir() and not NOTED.match(str(path.relative_to(upper))))


def main():
    first, second = (pathlib.Path(name).read_bytes() for name in sys.argv[1:])
    upper = enter()
    before = left_in(upper)
    for name, data in (('first', first), ('second', second)):
        pathlib.Path(f'/tmp/{name}.deb').write_bytes(data)

    run('dpkg', '-i', '/tmp/first.deb')
    assert mode(CONFIG) == '640 root msrpd', mode(CONFIG)
    assert mode(pathlib.Path('/var/lib/msrpd')) == '750 msrpd msrpd'
    use('installed')
    for page in (('8', 'msrpd'), ('1', 'msrpctl'), ('5', 'msrpd.yaml')):
        assert run('man', '-w', *page).startswith('/usr/share/man/')

    with CONFIG.open('a') as file:
        file.write('# ours\n')
    run('dpkg', '-i', '/tmp/second.deb')
    assert run('dpkg-query', '-W', '-f', '${Version}', 'msrpd').endswith('+next')
    assert CONFIG.read_text().endswith('# ours\n'), 'the upgrade lost our configuration'
    assert mode(CONFIG) == '640 root msrpd', mode(CONFIG)
    use('upgraded')

    run('dpkg', '-r', 'msrpd')
    assert CONFIG.exists() and not UNIT.exists()
    run('dpkg', '-P', 'msrpd')
    left = sorted(set(left_in(upper)) - set(before))
    assert not left, f'left behind: {left}'
    for path in (CONFIG.parent, pathlib.Path('/run/msrpd'), pathlib.Path('/var/lib/msrpd')):
        assert not path.exists(), f'left behind: {path}'


if __name__ == '__main__':
    main()
