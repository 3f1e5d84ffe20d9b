"""The second opinion: tshark reads what went over the wire and must find what we found.

The peers write the capture themselves, as TCP segments made up for the purpose.  That needs no
permission to sniff, shows TLS in the clear (the peers are one end of it), and leaves out the
bytes that a test sends to break the framing.  Each frame gets segments of its own because the
MSRP dissector of tshark 4.0 finds one frame in a segment and no more; the segments of a frame
that needs several are put together by tshark.
"""
import os
import shutil
import socket
import struct
import subprocess
import threading
import time

PORT = 2855                     # the port that tshark knows as MSRP
SEGMENT = 60000                 # an IPv4 packet holds 65535 bytes
SYN, ACK, PSH = 2, 16, 8


def _too_much(frame):
    """Frames that tshark 4.0 misreads; their start is compared all the same."""
    body = frame.body or b''
    # It takes the first line that looks like an end-line for the end, after a bare LF as well, and
    # looks for the `;` of Content-Type's parameters as far into the body as the header's name is
    # long.
    return b'\n-------' in b'\n' + body or \
        b';' in body[:10] and ';' not in frame.get('Content-Type', '')


class Stream:
    """The frames of one connection in the order in which they were seen."""

    def __init__(self, name, client, lock):
        self.name = name
        self.client = client        # the peer opened it: its packets come from the odd port
        self.frames = []            # (time, direction, raw, what tshark has to say about it)
        self._lock = lock

    def frame(self, direction, frame):
        """direction 0: from the peer to msrpd, 1: the other way."""
        kind = frame.method or f'{frame.code}'
        raw = frame.raw
        if len(raw) > 4 * SEGMENT:
            # tshark reads a frame anew with each segment of it: leave out the middle of the body.
            raw = raw[:SEGMENT] + raw[-SEGMENT:]
        with self._lock:
            self.frames.append((time.time(), direction, raw,
                                (frame.tid, kind, None if _too_much(frame) else frame.flag)))


class Capture:
    """All connections of the test case that runs."""

    def __init__(self):
        self._lock = threading.Lock()
        self.streams = []
        self.violations = []        # of the rules for single frames
        self._open = []

    def stream(self, name, client):
        stream = Stream(name, client, self._lock)
        with self._lock:
            self.streams.append(stream)
        return stream

    def opened(self, thing):
        with self._lock:
            self._open.append(thing)

    def closed(self, thing):
        with self._lock:
            if thing in self._open:
                self._open.remove(thing)

    def take_open(self):
        """Connections and listeners that were not closed by the test."""
        with self._lock:
            things, self._open = self._open, []
        return things

    def take_violations(self):
        with self._lock:
            violations = list(self.violations)
            self.violations.clear()     # the connections hold this very list
        return violations

    def take_streams(self):
        with self._lock:
            streams, self.streams = self.streams, []
        return streams


CAPTURE = Capture()


def _checksum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class _Writer:
    """A pcap file of raw IPv4 packets."""

    def __init__(self, file):
        self.file = file
        file.write(struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 262144, 101))

    def packet(self, when, source, target, sequence, acknowledged, flags, data=b''):
        tcp = struct.pack('!HHIIBBHHH', source[1], target[1], sequence & 0xffffffff,
                          acknowledged & 0xffffffff, 5 << 4, flags, 65535, 0, 0)
        addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
        ip = struct.pack('!BBHHHBBH', 0x45, 0, 40 + len(data), 0, 0x4000, 64, 6, 0) + addresses
        ip = ip[:10] + struct.pack('!H', _checksum(ip)) + ip[12:]
        packet = ip + tcp + data
        self.file.write(struct.pack('<IIII', int(when), int(when % 1 * 1000000), len(packet),
                                    len(packet)) + packet)


def write_pcap(path, streams):
    """Write the streams; returns what tshark must find, in order, per TCP stream."""
    expected = []
    with open(path, 'wb') as file:
        writer = _Writer(file)
        for index, stream in enumerate(streams):
            if not stream.frames:
                continue
            ours = (f'127.1.{index // 250}.{index % 250 + 1}', 40000)
            theirs = ('127.0.0.1', PORT)
            ends = (ours, theirs)
            position = [1, 1]
            when = stream.frames[0][0]
            writer.packet(when, ours, theirs, 0, 0, SYN)
            writer.packet(when, theirs, ours, 0, 1, SYN | ACK)
            writer.packet(when, ours, theirs, 1, 1, ACK)
            for when, direction, raw, _ in stream.frames:
                for at in range(0, len(raw), SEGMENT):
                    piece = raw[at:at + SEGMENT]
                    writer.packet(when, ends[direction], ends[1 - direction],
                                  position[direction], position[1 - direction], PSH | ACK, piece)
                    position[direction] += len(piece)
            expected.append((stream.name, [frame[3] for frame in stream.frames]))
    return expected


FIELDS = ('tcp.stream', 'frame.protocols', 'msrp.transaction.id', 'msrp.method',
          'msrp.status.code', 'msrp.cnt.flg', '_ws.expert.message')


def _dissect(path):
    command = ['tshark', '-n', '-r', path, '-d', f'tcp.port=={PORT},msrp', '-Y',
               'msrp || _ws.malformed', '-T', 'fields', '-E', 'separator=|']
    for field in FIELDS:
        command += ['-e', field]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    if result.returncode != 0:
        raise AssertionError(f'tshark: {result.stderr.decode()}')
    return [line.split('|') for line in result.stdout.decode().splitlines()]


def verdict(path, streams):
    """What tshark objects to, as a list of sentences."""
    expected = write_pcap(path, streams)
    found = {index: [] for index in range(len(expected))}
    wrong = []
    for stream, protocols, tids, method, code, flag, expert in _dissect(path):
        name, frames = expected[int(stream)]
        mine = found[int(stream)]
        understood = len(mine) >= len(frames) or frames[len(mine)][2] is not None
        # What follows msrp is the dissector of a body, which may be anything.
        if 'Malformed' in expert and protocols.endswith(':msrp') and understood:
            wrong.append(f'{name}: tshark calls a frame malformed: {tids} {method}{code}')
        # The id in the start line and the one in the end-line.
        first, _, last = tids.partition(',')
        mine.append((first, method or code, flag if first == last else None))
    for index, (name, frames) in enumerate(expected):
        wrong += _compare(name, frames, found[index])
    return wrong


def _compare(name, frames, found):
    if len(frames) != len(found):
        return [f'{name}: the peers saw {len(frames)} frames, tshark {len(found)}: '
                f'{frames} {found}']
    wrong = []
    for ours, theirs in zip(frames, found):
        if ours[:2] != theirs[:2] or (ours[2] and ours[2] != theirs[2]):
            wrong.append(f'{name}: the peers saw {ours}, tshark {theirs}')
    return wrong


def available():
    return shutil.which('tshark') is not None


def judge(directory, streams):
    """Judge and raise; the capture stays in directory when something is wrong."""
    path = os.path.join(directory, 'msrp.pcap')
    wrong = verdict(path, streams)
    if wrong:
        raise AssertionError('\n'.join(wrong + [f'capture: {path}']))
    return sum(len(stream.frames) for stream in streams)
