"""SDP as far as m=message needs it: RFC 4566 lines, RFC 4975 section 8."""


class Media:
    def __init__(self, line):
        kind, port, proto, *formats = line.split(' ')
        self.kind, self.port, self.proto, self.formats = kind, int(port), proto, formats
        self.connection = None
        self.attributes = []

    def get(self, name):
        for key, value in self.attributes:
            if key == name:
                return value
        return None

    def all(self, name):
        return [value for key, value in self.attributes if key == name]

    @property
    def path(self):
        return (self.get('path') or '').split()


class Sdp:
    """What a peer got; the parser is strict in the order of lines and their ends."""

    def __init__(self, text):
        if isinstance(text, bytes):
            text = text.decode()
        if not text.endswith('\r\n'):
            raise AssertionError(f'SDP does not end in CRLF: {text!r}')
        self.lines = text[:-2].split('\r\n')
        self.session = []
        self.media = []
        for line in self.lines:
            kind, equals, value = line.partition('=')
            if equals != '=' or len(kind) != 1 or '\n' in line or '\r' in line:
                raise AssertionError(f'SDP line {line!r}')
            if kind == 'm':
                self.media.append(Media(value))
            elif not self.media:
                self.session.append((kind, value))
            elif kind == 'a':
                name, _, rest = value.partition(':')
                self.media[-1].attributes.append((name, rest if _ else None))
            elif kind == 'c':
                self.media[-1].connection = value
        order = ''.join(kind for kind, _ in self.session if kind in 'vosct')
        if order not in ('vosct', 'vost'):
            raise AssertionError(f'session lines come as {order}')

    def get(self, kind):
        for key, value in self.session:
            if key == kind:
                return value
        return None

    @property
    def origin(self):
        return self.get('o')

    @property
    def message(self):
        """The MSRP stream that is not refused."""
        for media in self.media:
            if media.kind == 'message' and media.port != 0:
                return media
        raise AssertionError(f'no m=message in {self.lines}')

    def connection(self, media):
        return media.connection or self.get('c')


def message(path, accept_types='text/plain message/cpim', port=None, proto=None, setup='actpass',
            extra=(), kind='message', formats='*'):
    """The lines of one MSRP stream."""
    first = path.split()[0]
    if port is None:
        port = int(first.split('//')[1].split('/')[0].rsplit(':', 1)[1])
    if proto is None:
        proto = 'TCP/TLS/MSRP' if first.startswith('msrps') else 'TCP/MSRP'
    lines = [f'm={kind} {port} {proto} {formats}']
    if accept_types is not None:
        lines.append(f'a=accept-types:{accept_types}')
    lines.append(f'a=path:{path}')
    if setup:
        lines.append(f'a=setup:{setup}')
    return lines + list(extra)


def document(*streams, host='127.0.0.1', origin='- 3724394400 3724394405', session=()):
    """A whole description of streams, each a list of lines."""
    family = 'IP6' if ':' in host else 'IP4'
    lines = ['v=0', f'o={origin} IN {family} {host}', 's=-', f'c=IN {family} {host}', 't=0 0',
             *session]
    for stream in streams:
        lines += stream
    return ('\r\n'.join(lines) + '\r\n').encode()


AUDIO = ['m=audio 49170 RTP/AVP 0 8', 'a=rtpmap:0 PCMU/8000']
