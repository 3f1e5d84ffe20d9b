"""A walk: one conversation again and again, each time with another fault (lib/fault.py)."""
import os

from . import certs, judge, msrp, ws
from .fault import KINDS, FaultProxy, faults
from .frame import new_id
from .waiting import poll

# Of a long walk, with some 400 faults, twice what is ever seen; in a short one AddressSanitizer's
# quarantine fills.
GROWTH_KIB = 2048 if 'MSRPD_TORTURE' in os.environ else 4096
QUICK = {'transaction_timeout': '1s'}


class Walk:
    """A conversation, run once for each fault."""

    secure = web = False        # TLS; WebSocket
    changes = {}
    kinds = KINDS
    # Of each conversation: least and most of counters by what its peers know.  They are one number
    # where no connection broke; where one did, what it had not told yet makes them two.
    bounds = {}

    @classmethod
    def prepare(cls):
        cls.scheme = 'msrps' if cls.secure else 'msrp'
        section = {**QUICK, 'listen': [{'uri': f'{cls.scheme}://127.0.0.1:0;{transport}'}
                                       for transport in ('tcp', *(['ws'] if cls.web else []))]}
        cls.config = {**cls.changes, 'msrp': section | cls.prepare_tls()}

    @classmethod
    def prepare_tls(cls):
        """The peers' contexts; what msrpd is told is returned."""
        cls.tls = cls.server_tls = None
        if not cls.secure:
            return {}
        ca = certs.Authority(cls.directory)
        own = ca.issue('msrpd')
        cls.tls = certs.client_context(ca)
        cls.server_tls = certs.server_context(ca.issue('peer'), ca)
        return {'tls': {'certificate': own.certificate, 'private_key': own.key,
                        'ca_file': ca.file}}

    # --- what is there before and after

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.daemon.process.pid}/fd'))

    def statistics(self):
        return self.ctl.call('get_statistics')

    def quiet(self):
        """Nobody is connected any more, and nothing is held for anybody."""
        now = self.statistics()
        return now['msrp:connections'] == now['msrp:body_bytes'] == 0

    def target(self):
        """Where the proxy connects to."""
        return self.daemon.listeners(self.ctl)[-1]

    def own(self):
        """The URI of who connects; a browser has no address (RFC 7977 appendix A)."""
        return f'{self.scheme}://{new_id()}.invalid:2855/{new_id()};ws' if self.web \
            else f'{self.scheme}://127.0.0.1:9/{new_id()};tcp'

    def connect(self, proxy, uri, **kwargs):
        """A connection through the proxy; None when the fault was faster."""
        reach = ws.connect if self.web else msrp.connect
        try:
            return reach(proxy.through(uri), tls=self.tls, server_hostname='127.0.0.1', **kwargs)
        except (OSError, ValueError, AssertionError):   # bytes of a handshake, too
            if not proxy.fault:
                raise
            return None

    @staticmethod
    def close_all():
        """Also what is accepted meanwhile."""
        while things := judge.CAPTURE.take_open():
            for thing in things:
                thing.close()

    def run_through(self, fault=None):
        """One conversation; how many bytes passed each way."""
        before = self.statistics()
        self.bounds = {}
        self.ctl.events.items.clear()
        proxy = FaultProxy(*self.target(), fault)
        try:
            self.converse(proxy, fault)
        finally:
            proxy.close()
            self.close_all()
        poll(self.quiet, what='the end of all connections')
        after = self.statistics()
        self.check_counters(before, after)
        for name, (least, most) in self.bounds.items():
            self.assertIn(after[name] - before[name], range(least, most + 1), name)
        if fault and fault.corrupts:
            judge.CAPTURE.take_violations()     # of bytes that msrpd never sent, or never got
        return proxy.passed

    def clear(self, ours):
        """What a conversation that has failed would leave to the next one."""
        self._end_sessions(self.ctl)
        while len(self._uas) > len(ours):
            self._uas.pop().close()

    def test_walk(self):
        ours = list(self._uas)
        passed = self.run_through()
        poll(self.quiet)
        base = self.descriptors()
        memory = []
        for fault in faults(passed, self.kinds, self.secure):
            with self.subTest(fault):
                try:
                    self.run_through(fault)
                except Exception:
                    self.clear(ours)
                    raise
                poll(lambda: self.descriptors() <= base, what='the descriptors of before')
                memory.append(self.daemon.resident_kib())
        # The first half of them has made what is made once, and what the SIP stack keeps of each
        # call for 32 s.
        grown = memory[-1] - memory[len(memory) // 2]
        if 'MSRPD_TORTURE' in os.environ:
            print(f'\n{len(memory)} faults, {grown} KiB', flush=True)
        self.assertLess(grown, GROWTH_KIB, memory)

    # --- what most conversations look at

    @staticmethod
    def heard(conn, wanted):
        return [frame for frame in conn.worked_off if wanted(frame)] if conn else []

    def delivered(self, conn, body):
        """In as many chunks as it takes: what else is on the way may go between them."""
        count, parts = 0, {}
        for frame in self.heard(conn, lambda f: f.method == 'SEND' and f.body is not None):
            start = frame.byte_range[0] if frame.byte_range else 1
            before = parts.pop(frame.message_id, b'')
            if start == 1:
                before = b''
            elif start != len(before) + 1 or not frame.body:
                continue
            if frame.flag == '+':
                parts[frame.message_id] = before + frame.body
            count += frame.flag == '$' and before + frame.body == body
        return count

    def success(self, conn, request):
        """It was answered, and the REPORT that was asked for came."""
        return self.answered(conn, request) and bool(self.heard(
            conn, lambda f: f.method == 'REPORT' and f.get('Message-ID') == request.message_id
            and f.get('Status', '').startswith('000 200')))

    def answered(self, conn, request):
        return bool(self.heard(conn, lambda f: f.code == 200 and f.tid == request.tid))

    def end(self, call, ua, lost):
        """msrpd ends a session that has lost its connection; any other one the peer ends."""
        ua.agree()
        if not lost:
            try:
                call.bye()
            except AssertionError:
                pass                # 481: it was lost meanwhile, or has never been connected
        end = self.ended(call)
        if lost:
            self.assertEqual(end['reason'], 'failed')

    def flush(self, session):
        """What the peer has sent, answers too, msrpd has seen."""
        if session.conn:
            last = session.build()
            session.conn.try_send_raw(last.encode())
            poll(lambda: self.over(session.conn) or self.answered(session.conn, last),
                 what='an answer, or the end')

    @staticmethod
    def over(conn):
        """Nothing more is to be expected of the connection."""
        return conn is None or conn.closed

    @staticmethod
    def harmless(fault):
        """Everything has to come, if late."""
        return not fault or fault.kind == 'delay'
