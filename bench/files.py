#!/usr/bin/env python3
"""What files cost: one is sent from disk by one daemon and received to disk by another.

    bench/files.py [SIZE-IN-MIB ...]      (default: 64 1024)

$MSRPD names the program (default build/release/msrpd); the plain stream of the endpoint is measured
beside it by bench_endpoint, where that was built, and what bounds a file: both of its sums on one core,
and the disk.  Prints "name value unit"; CPU is that of the loop's thread, and of all.
"""
import glob
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time

from ua import MSRPD, Control, Daemon, show

CONFIG = """
log: {{target: stderr, level: {level}}}
control: {{socket: {socket}, mode: "0600"}}
sip: {{listen: ["sip:127.0.0.1:0;transport=tcp"]}}
msrp: {{listen: [{{name: lo, uri: "msrp://127.0.0.1:0;tcp"}}]}}
relay: {{enabled: false}}
ua: {{files: {{directory: DIRECTORY, max_size: 64GiB, max_total: 64GiB}}}}
routes: {{sip: [{{do: [msrp_file_accept]}}]}}
"""


class Peak(threading.Thread):
    """The most memory of our own that a daemon has while something runs: pages of files are the kernel's."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.watched, self.peak, self.stop = daemon, 0, threading.Event()
        self.start()

    def run(self):
        while not self.stop.wait(0.02):
            self.peak = max(self.peak, self.watched.rss_kib('RssAnon'))

    def end(self):
        self.stop.set()
        self.join()
        return self.peak


def write_file(path, mib):
    block = os.urandom(1 << 20)
    with open(path, 'wb') as file:
        for _ in range(mib):
            file.write(block)


def cpu_ns(daemon):
    """Of all its threads."""
    total = 0
    for path in glob.glob(f'/proc/{daemon.process.pid}/task/*/schedstat'):
        with open(path) as file:
            total += int(file.read().split()[0])
    return total


def bounds(directory, mib=256):
    block = os.urandom(mib << 20)
    hashlib.sha1(block)     # the first to touch all of that pays for it
    for name in ('sha1', 'sha256'):
        began = time.process_time()
        hashlib.new(name, block)
        show(f'files_bound_{name}', mib / (time.process_time() - began), 'MiB/s')
    with open(os.path.join(directory, 'bound'), 'wb') as file:
        began = time.monotonic()
        file.write(block)
        file.flush()
        os.fdatasync(file.fileno())
        show('files_bound_disk', mib / (time.monotonic() - began), 'MiB/s')
    os.unlink(file.name)


def send(mib, directory):
    path = os.path.join(directory, 'file')
    write_file(path, mib)
    config = CONFIG.replace('DIRECTORY', directory)
    caller, callee = Daemon('caller', config=config), Daemon('callee', config=config)
    there = Control(callee.socket)
    there.call('event_subscribe', names=['E_MSRP_FILE_RECEIVED', 'E_MSRP_FILE_FAILED'])
    caller.events.call('event_subscribe', names=['E_MSRP_FILE_PROGRESS'])
    peaks = [Peak(caller), Peak(callee)]
    loop = [daemon.cpu_ns() for daemon in (caller, callee)]
    began = time.monotonic()
    caller.control.call('msrp_ua_send_file', path=path, from_uri='sip:a@127.0.0.1',
                        to_uri='sip:b@127.0.0.1', ruri=callee.sip)
    caller.events.wait('E_MSRP_FILE_PROGRESS')
    first = time.monotonic()
    cpu = [cpu_ns(daemon) for daemon in (caller, callee)]
    event, = there.wait('E_MSRP_FILE_RECEIVED')
    ended = time.monotonic()
    name = f'files_{mib}MiB'
    show(name + '_sums_before_the_offer', first - began, 's')
    show(name + '_rate', mib / (ended - first), 'MiB/s')
    for i, (who, daemon) in enumerate((('sender', caller), ('receiver', callee))):
        show(f'{name}_loop_of_{who}', (daemon.cpu_ns() - loop[i]) / 1e9, 's')
        show(f'{name}_cpu_of_{who}', (cpu_ns(daemon) - cpu[i]) / 1e9, 's')
    show(name + '_peak_of_sender', peaks[0].end() / 1024, 'MiB')
    show(name + '_peak_of_receiver', peaks[1].end() / 1024, 'MiB')
    os.unlink(event['path'])
    os.unlink(path)
    caller.stop()
    callee.stop()


def main():
    endpoint = os.path.join(os.path.dirname(MSRPD), 'bench/bench_endpoint')
    if os.path.exists(endpoint):
        subprocess.run([endpoint, 'stream'], check=True)
    with tempfile.TemporaryDirectory(prefix='msrpd-bench-files-') as directory:
        bounds(directory)
        for mib in [int(size) for size in sys.argv[1:]] or [64, 1024]:
            send(mib, directory)


if __name__ == '__main__':
    main()
