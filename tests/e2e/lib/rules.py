"""What every frame that msrpd sends has to keep to, whatever a test is about.

A violation is noted, not raised: it is found on a reader thread, and the test case fails at its
end with the list.  The rules are those of RFC 4975 6, 7.1 to 7.2 and 9, and RFC 4976 8.
"""
import threading

from .frame import BYTE_RANGE, IDENT, LONG_IDENT, STATUS, URI

METHODS = ('SEND', 'REPORT', 'AUTH')
MIME_HEADERS = ('content-type', 'content-id', 'content-description', 'content-disposition')
INTERRUPTIBLE = 2048            # RFC 4975 7.1.1: larger chunks must be interruptible


class Ids:
    """All transaction ids that msrpd made in one test program: none twice (RFC 4975 7.1)."""

    def __init__(self):
        self._lock = threading.Lock()
        self._seen = set()

    def first_time(self, tid):
        with self._lock:
            if tid in self._seen:
                return False
            self._seen.add(tid)
            return True


IDS = Ids()


class _Outgoing:
    """A message that msrpd sends on one connection, as far as it has come."""

    def __init__(self, frame, start):
        self.reports = (frame.get('Failure-Report'), frame.get('Success-Report'))
        self.total = None
        self.expected = start       # the next chunk begins here
        self.content_type = frame.get('Content-Type')


class Rules:
    """The judge of one connection."""

    def __init__(self, name, violations, relay=False):
        self.name = name
        self.relay = relay          # what is forwarded keeps the words of who wrote it
        self.violations = violations
        self._excused = set()
        self._sent = {}             # our requests by transaction id
        self._answered = set()
        self._messages = {}

    def note(self, frame, what):
        self.violations.append(f'{self.name}: {what}: {frame!r}')

    def excuse(self, tid):
        """A request that only its transaction id can be read of may be answered as well."""
        self._excused.add(tid)

    def sent(self, frame):
        """The peer sent this."""
        if frame.method:
            self._sent[frame.tid] = frame

    def received(self, frame):
        """msrpd sent this."""
        self._paths(frame)
        if frame.code is not None:
            self._response(frame)
            return
        if not self.relay and not IDS.first_time(frame.tid):
            self.note(frame, 'a transaction id used before')
        if not IDENT.match(frame.tid):
            self.note(frame, 'transaction id is no ident')
        if frame.method not in METHODS and not self.relay:
            self.note(frame, 'a method that RFC 4975 does not know')
        self._headers_once(frame)
        if frame.method == 'SEND':
            self._send(frame)
        elif frame.method == 'REPORT':
            self._report(frame)

    def _paths(self, frame):
        if frame.tid in self._excused:
            return                  # an echo of paths that are none
        names = [name for name, _ in frame.headers[:2]]
        if names != ['To-Path', 'From-Path']:
            self.note(frame, 'To-Path and From-Path do not come first')
            return
        for name, value in frame.headers[:2]:
            uris = value.split(' ')
            for index, uri in enumerate(uris):
                match = URI.match(uri)
                if not match:
                    self.note(frame, f'{name} holds {uri!r}')
                    continue
                bare_allowed = frame.method == 'AUTH' or frame.code is not None
                if not bare_allowed and not (match['port'] and match['session']):
                    self.note(frame, f'{name} holds {uri!r} without port or session id')
                own = name == 'From-Path' and index == 0
                if own and match['userinfo'] and frame.method and not self.relay:
                    self.note(frame, 'user part in our own URI')

    def _headers_once(self, frame):
        names = [name.lower() for name, _ in frame.headers]
        for name in ('to-path', 'from-path', 'message-id', 'byte-range', 'success-report',
                     'failure-report', 'status', 'content-type'):
            if names.count(name) > 1:
                self.note(frame, f'{name} more than once')
        for name, value in frame.headers:
            if value != value.strip(' \t') and not (self.relay and frame.method == 'SEND'):
                self.note(frame, f'blanks around the value of {name}')

    def _response(self, frame):
        request = self._sent.get(frame.tid)
        if request is None:
            if frame.tid not in self._excused:
                self.note(frame, 'a response to nothing')
            return
        if request.method == 'REPORT':
            self.note(frame, 'a response to a REPORT')
        if frame.tid in self._answered:
            self.note(frame, 'a second response')
        self._answered.add(frame.tid)
        if frame.flag != '$' or frame.body is not None:
            self.note(frame, 'a response with a body or an open end')
        if self.relay and frame.get('From-Path') != (request.to_path or [''])[0]:
            return                  # a forwarded response
        wanted = request.from_path[:1] if request.method == 'SEND' else request.from_path
        if request.from_path and frame.to_path != wanted:
            self.note(frame, f'To-Path of the response is not {wanted}')
        if request.to_path and frame.from_path != request.to_path[:1]:
            self.note(frame, f'From-Path of the response is not {request.to_path[:1]}')

    def _send(self, frame):
        if not (LONG_IDENT if self.relay else IDENT).match(frame.message_id or ''):
            self.note(frame, 'Message-ID is no ident')
        start, end, total = frame.byte_range or (1, None, None)
        if total and start > total:
            self.note(frame, 'a chunk that begins behind the end of its message')
        if end and frame.flag == '+' and end - start + 1 != len(frame.body or b''):
            self.note(frame, 'a chunk that was cut and may not be')
        if self.relay:
            return
        if frame.get('Failure-Report') not in (None, 'no', 'partial'):
            self.note(frame, 'Failure-Report is written only for no and partial')
        if frame.get('Success-Report') not in (None, 'yes'):
            self.note(frame, 'Success-Report is written only for yes')
        self._content(frame)
        self._range(frame)

    def _content(self, frame):
        names = [name.lower() for name, _ in frame.headers]
        if 'content-transfer-encoding' in names:
            self.note(frame, 'a transfer encoding')
        if frame.body is None:
            if any(name in MIME_HEADERS for name in names):
                self.note(frame, 'a MIME header without a body')
        elif names[-1] != 'content-type':
            self.note(frame, 'Content-Type is not the last header of a frame with a body')
        if frame.body is not None and f'-------{frame.tid}'.encode() in frame.body:
            self.note(frame, 'the end-line occurs in the body')

    def _range(self, frame):
        match = BYTE_RANGE.match(frame.get('Byte-Range', ''))
        if not match:
            self.note(frame, 'no Byte-Range')
            return
        start, end, total = (None if part == '*' else int(part) for part in match.groups())
        size = len(frame.body or b'')
        if start < 1:
            self.note(frame, 'positions begin at 1')
        if size == 0 and start == 1 and frame.flag == '$' and \
                frame.get('Byte-Range') != '1-0/0':
            self.note(frame, 'the Byte-Range of nothing is 1-0/0')
        if size > INTERRUPTIBLE and end is not None:
            self.note(frame, 'more than 2048 bytes and not interruptible')
        if end is not None and frame.flag != '#' and end - start + 1 != size:
            self.note(frame, f'Byte-Range does not fit {size} bytes')
        if end is not None and total is not None and end > total:
            self.note(frame, 'range-end beyond the total')
        self._sequence(frame, start, size, total)

    def _sequence(self, frame, start, size, total):
        message = self._messages.get(frame.message_id)
        if message is None:
            message = self._messages[frame.message_id] = _Outgoing(frame, 1)
        if start != message.expected:
            self.note(frame, f'chunk out of order, {message.expected} was next')
        if (frame.get('Failure-Report'), frame.get('Success-Report')) != message.reports:
            self.note(frame, 'the chunks of a message ask for different reports')
        if frame.get('Content-Type') != message.content_type:
            self.note(frame, 'the chunks of a message differ in Content-Type')
        if total is not None and message.total not in (None, total):
            self.note(frame, 'the total has changed')
        message.total = total or message.total
        message.expected = start + size
        if frame.flag == '$' and total is not None and start + size - 1 != total:
            self.note(frame, '"$" before the total')

    def _report(self, frame):
        names = [name.lower() for name, _ in frame.headers]
        if not STATUS.match(frame.get('Status', '')):
            self.note(frame, 'Status')
        if not LONG_IDENT.match(frame.message_id or ''):
            self.note(frame, 'Message-ID is no ident')
        if 'failure-report' in names or 'success-report' in names:
            self.note(frame, 'a REPORT asks for reports')
        if not BYTE_RANGE.match(frame.get('Byte-Range', '')) and not self.relay:
            self.note(frame, 'no Byte-Range')
        if len(frame.body or b'') > 10240:      # RFC 4975 7.1
            self.note(frame, 'a REPORT with so large a body')
        self._content(frame)
