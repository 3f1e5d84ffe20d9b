"""MSRP frames: RFC 4975 section 9, read strictly for what msrpd sends and leniently for
what a test sends on purpose."""
import os
import re

IDENT = re.compile(r'[A-Za-z0-9][A-Za-z0-9.\-+%=]{3,31}\Z')
# What others write: FreeSWITCH's ids have 36 characters.
LONG_IDENT = re.compile(r'[A-Za-z0-9][A-Za-z0-9.\-+%=]{3,127}\Z')
URI = re.compile(
    r'(?P<scheme>[Mm][Ss][Rr][Pp][Ss]?)://'
    r'(?:(?P<userinfo>[A-Za-z0-9\-._~!$&\'()*+,;=:%]*)@)?'
    r'(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-]+)'
    r'(?::(?P<port>[0-9]+))?'
    r'(?:/(?P<session>[A-Za-z0-9\-._~+=/]+))?'
    r';(?P<transport>[A-Za-z0-9]+)'
    r'(?P<params>(?:;[^;=\s]+(?:=[^;\s]+)?)*)\Z')
START = re.compile(rb'MSRP (\S+) (?:([A-Z]+)|([0-9]{3})(?: ([^\r\n]*))?)\Z')
HEADER = re.compile(r'([A-Za-z][A-Za-z0-9!#$%&\'*+\-.^_`{|}~]*): (.*)\Z', re.S)
BYTE_RANGE = re.compile(r'([0-9]+)-([0-9]+|\*)/([0-9]+|\*)\Z')
STATUS = re.compile(r'([0-9]{3}) ([0-9]{3})(?: (.*))?\Z')


class GrammarError(AssertionError):
    """Bytes that RFC 4975 section 9 does not know."""


def new_id(octets=12):
    return 'p' + os.urandom(octets).hex()[:30]


class Frame:
    """One request or response."""

    def __init__(self, tid, method=None, code=None, comment=None, headers=(), body=None, flag='$'):
        self.tid = tid
        self.method = method
        self.code = code
        self.comment = comment
        self.headers = list(headers)
        self.body = body
        self.flag = flag
        self.raw = b''

    def get(self, name, default=None):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return default

    @property
    def to_path(self):
        return self.get('To-Path', '').split()

    @property
    def from_path(self):
        return self.get('From-Path', '').split()

    @property
    def message_id(self):
        return self.get('Message-ID')

    @property
    def byte_range(self):
        """(start, end or None, total or None)"""
        match = BYTE_RANGE.match(self.get('Byte-Range', ''))
        if not match:
            return None
        return tuple(None if part == '*' else int(part) for part in match.groups())

    @property
    def status(self):
        """The code of a REPORT's Status, namespace 000."""
        match = STATUS.match(self.get('Status', ''))
        return int(match.group(2)) if match and match.group(1) == '000' else None

    def encode(self):
        if self.method:
            start = f'MSRP {self.tid} {self.method}'
        else:
            start = f'MSRP {self.tid} {self.code:03d}'
            if self.comment is not None:
                start += f' {self.comment}'
        lines = [start] + [f'{name}: {value}' for name, value in self.headers]
        data = '\r\n'.join(lines).encode() + b'\r\n'
        if self.body is not None:
            data += b'\r\n' + self.body + b'\r\n'
        return data + f'-------{self.tid}{self.flag}\r\n'.encode()

    def __repr__(self):
        kind = self.method or self.code
        body = '' if self.body is None else f' {len(self.body)} bytes'
        headers = ' '.join(f'{name}: {value};' for name, value in self.headers
                           if name not in ('To-Path', 'From-Path'))
        return f'<{kind} {self.tid} {headers}{body} {self.flag}>'


class Framer:
    """Bytes to frames.

    strict: the grammar to the letter, GrammarError otherwise.  Lenient: anything that can be
    cut into frames at all; what cannot sets broken and the rest of the stream is ignored.
    """

    MAX_LINE = 65536

    def __init__(self, strict):
        self.strict = strict
        self.broken = False
        self._buffer = bytearray()
        self._restart()

    def _restart(self):
        self._lines = []
        self._line_end = 0          # where the next header line begins
        self._body_start = None
        self._scanned = 0
        self.current = None         # the frame whose head is known, its body not yet

    @property
    def pending(self):
        """Bytes of a frame that is not whole yet."""
        return len(self._buffer)

    @property
    def body_so_far(self):
        return len(self._buffer) - self._body_start if self._body_start is not None else 0

    def feed(self, data):
        if self.broken:
            return []
        self._buffer += data
        frames = []
        try:
            while True:
                frame = self._step()
                if frame is None:
                    return frames
                frames.append(frame)
        except GrammarError:
            self.broken = True
            if self.strict:
                raise
            return frames

    def _step(self):
        if not self.strict and not self._lines:
            while self._buffer.startswith(b'\r\n'):
                del self._buffer[:2]
        if self._body_start is None and not self._read_head():
            return None
        if self._body_start is not None:
            return self._read_body()
        return self._finish(self._line_end, None)

    def _read_head(self):
        """True once the head is whole: at the blank line, or at the end-line."""
        while True:
            end = self._buffer.find(b'\r\n', self._line_end)
            if end < 0:
                if len(self._buffer) - self._line_end > self.MAX_LINE:
                    raise GrammarError('a line without an end')
                return False
            line = bytes(self._buffer[self._line_end:end])
            self._line_end = end + 2
            if not self._lines:
                self._start_line(line)
            elif line == b'':
                self._body_start = self._scanned = self._line_end
                self._head_done()
                return True
            elif line[:-1] == self._delimiter and line[-1:] in b'$+#':
                self._flag = line[-1:].decode()
                self._head_done()
                return True
            self._lines.append(line)

    def _start_line(self, line):
        match = START.match(line) if self.strict else \
            re.match(rb'MSRP (\S+) (?:(\S*[^\s0-9]\S*)|([0-9]+)(?: ([^\r\n]*))?)\Z', line)
        if not match:
            raise GrammarError(f'start line {line!r}')
        self._tid = match.group(1).decode('ascii', 'replace')
        if self.strict and not IDENT.match(self._tid):
            raise GrammarError(f'transaction id {self._tid!r}')
        self._method = match.group(2).decode('ascii', 'replace') if match.group(2) else None
        self._code = int(match.group(3)) if match.group(3) else None
        self._comment = match.group(4).decode('utf-8', 'replace') \
            if match.group(4) is not None else None
        self._delimiter = b'-------' + match.group(1)

    def _head_done(self):
        headers = []
        for line in self._lines[1:]:
            try:
                text = line.decode('utf-8')
            except UnicodeDecodeError:
                if self.strict:
                    raise GrammarError(f'header is not UTF-8: {line!r}') from None
                text = line.decode('latin-1')
            match = HEADER.match(text)
            if match:
                headers.append(match.groups())
            elif self.strict:
                raise GrammarError(f'header line {line!r}')
            else:
                name, _, value = text.partition(':')
                headers.append((name, value.strip()))
        self.current = Frame(self._tid, self._method, self._code, self._comment, headers)

    def _read_body(self):
        wanted = b'\r\n' + self._delimiter
        while True:
            at = self._buffer.find(wanted, self._scanned)
            if at < 0:
                self._scanned = max(self._body_start, len(self._buffer) - len(wanted) + 1)
                return None
            tail = bytes(self._buffer[at + len(wanted):at + len(wanted) + 3])
            if len(tail) < 3 and (tail[:1] == b'' or tail[:1] in b'$+#') and b'\r\n'.startswith(
                    tail[1:]):
                self._scanned = at
                return None
            if tail[:1] in b'$+#' and tail[1:] == b'\r\n':
                self._flag = tail[:1].decode()
                body = bytes(self._buffer[self._body_start:at])
                return self._finish(at + len(wanted) + 3, body)
            self._scanned = at + 1

    def _finish(self, end, body):
        frame = self.current
        frame.flag = self._flag
        frame.body = body
        frame.raw = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._restart()
        return frame
