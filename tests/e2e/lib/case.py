"""The base of all end-to-end tests: a daemon per test case, peers per test, a judge at the end."""
import os
import shutil
import sys
import tempfile
import unittest

from . import judge, msrp, sdp
from .ctl import RpcError
from .daemon import Daemon, merge, msrpctl, sample
from .frame import URI, new_id
from .sip import Dialog, SipUa
from .waiting import DEADLINE, poll

TYPES = 'text/plain message/cpim'


class Call:
    """A session between a scripted peer and msrpd."""

    def __init__(self, case, dialog, description, own_path, conn=None, session_id=None):
        self.case = case
        self.dialog = dialog
        self.sdp = description              # msrpd's
        self.path = description.message.path
        self.own_path = own_path.split() if isinstance(own_path, str) else own_path
        self.id = session_id or URI.match(self.path[-1])['session']
        self.conn = None
        self.msrp = None
        if conn:
            self.attach(conn)

    def attach(self, conn):
        self.conn = conn
        # To-Path: msrpd's path; From-Path: our own URI alone (RFC 4975 7.1).
        self.msrp = msrp.Session(conn, self.path, self.own_path[-1:])
        return self

    def connect(self, behave=msrp.answer_ok, tls=None, bind=True):
        self.attach(msrp.connect(self.path[0], behave, tls=tls, name=f'peer of {self.id[:6]}'))
        if bind:
            self.msrp.bind()
        return self

    def send(self, body=None, code=200, **kwargs):
        return self.msrp.send(body, code, **kwargs)

    def receive(self, timeout=DEADLINE):
        """The next SEND with a body that msrpd sends on this session."""
        return self.conn.expect(lambda f: f.method == 'SEND' and f.body is not None
                                and f.to_path[-1] == self.own_path[-1], timeout)

    def bye(self):
        self.dialog.bye()


class Case(unittest.TestCase):
    """One msrpd with cls.config laid over the default for all tests of the class."""

    config = {}
    maxDiff = None
    own_daemon = False          # True: tests start their daemons themselves
    sample = None               # NAME: conf/NAME.yaml in place of the default, on other ports
    _daemons = ()               # of a test that is skipped

    @classmethod
    def setUpClass(cls):
        cls.streams = []
        cls.directory = tempfile.mkdtemp(prefix='msrpd-case-')
        cls.addClassCleanup(cls._judge)
        cls.prepare()
        cls.daemon = None
        if not cls.own_daemon:
            cls._start_class_daemon()
            cls.addClassCleanup(cls._stop_class_daemon)

    @classmethod
    def prepare(cls):
        """For what the config needs: certificates, listeners."""

    @classmethod
    def _start_class_daemon(cls):
        cls.daemon = Daemon({} if cls.sample else cls.config)
        if cls.sample:
            cls.daemon.write_config(sample(cls.sample, {
                f'/tmp/msrpd-{cls.sample}.sock': cls.daemon.socket_path,
                '127.0.0.1:5060': f'127.0.0.1:{cls.daemon.sip_port}',
                '127.0.0.1:2855': '127.0.0.1:0', **cls.sample_changes()}))
        cls.daemon.start()
        cls.ctl = cls.daemon.control()
        cls.ctl.subscribe()

    @classmethod
    def sample_changes(cls):
        """What else is replaced in it."""
        return {}

    @classmethod
    def _stop_class_daemon(cls):
        if cls.daemon:
            daemon, cls.daemon = cls.daemon, None
            try:
                daemon.stop()
            finally:
                daemon.discard()

    @classmethod
    def _judge(cls):
        judge.judge(cls.directory, cls.streams)
        shutil.rmtree(cls.directory, ignore_errors=True)

    def setUp(self):
        judge.CAPTURE.take_streams()
        judge.CAPTURE.take_violations()
        self._daemons = []
        self._uas = []
        if not self.own_daemon:
            if not self.daemon.alive:
                self._stop_quietly(self.daemon)
                self._start_class_daemon()
            self.ctl.events.items.clear()
            self._daemons.append((self.daemon, self.ctl))

    @staticmethod
    def _stop_quietly(daemon):
        daemon.kill()
        daemon.discard()

    def run(self, result=None):
        """Show the daemon's log where a test has failed."""
        before = len(result.failures) + len(result.errors) if result else 0
        outcome = super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            for daemon, _ in self._daemons:
                if os.environ.get('MSRPD_E2E_LOG', '1') != '0':
                    print(f'--- {self.id()}: end of the log of msrpd\n{daemon.log_tail(40)}\n---',
                          file=sys.stderr)
        for daemon, _ in self._daemons:
            if daemon is not type(self).daemon:
                daemon.discard()
        return outcome

    def tearDown(self):
        problems = []
        for daemon, ctl in self._daemons:
            if daemon.alive:
                self._end_sessions(ctl)
        opened = judge.CAPTURE.take_open()
        for ua in self._uas:
            ua.close()
        for thing in opened:
            thing.close()
        streams = judge.CAPTURE.take_streams()
        for stream in streams:
            stream.name = f'{self._testMethodName}: {stream.name}'
        type(self).streams += streams
        problems += judge.CAPTURE.take_violations()
        for daemon, _ in self._daemons:
            problems += self._finish(daemon)
        self.assertEqual(problems, [])

    def _finish(self, daemon):
        report = daemon.sanitizer_report()
        if daemon is type(self).daemon:
            if not daemon.alive:
                return [f'msrpd died with {daemon.process.returncode}:\n'
                        f'{report or daemon.log_tail()}']
            return []
        try:
            daemon.stop()
        except AssertionError as error:
            return [str(error)]
        return []

    def _end_sessions(self, ctl):
        """Leave nothing to the next test: end what runs, and let the peers agree."""
        for ua in self._uas:
            ua.agree()
        for session in ctl.call('msrp_ua_list_sessions'):
            try:
                ctl.call('msrp_ua_end_session', session_id=session['session_id'])
            except RpcError:
                pass                # it ended by itself meanwhile
        poll(lambda: not ctl.call('msrp_ua_list_sessions'), what='the end of all sessions')

    # --- actors

    def start(self, changes=None, **kwargs):
        """A daemon of this test's own; stopped, and judged, at its end."""
        daemon = Daemon(changes, **kwargs)
        try:
            daemon.start()
        except Exception:
            daemon.discard()
            raise
        ctl = daemon.control()
        ctl.subscribe()
        self._daemons.append((daemon, ctl))
        return daemon, ctl

    def reload(self, changes, daemon=None, ctl=None):
        """Have it read its config again, with changes laid over it."""
        daemon = daemon or self.daemon
        daemon.config = merge(daemon.config, changes)
        daemon.write_config()
        (ctl or self.ctl).call('reload')

    def ua(self, **kwargs):
        ua = SipUa(**kwargs)
        self._uas.append(ua)
        return ua

    def listener(self, **kwargs):
        return msrp.Listener(**kwargs)

    @property
    def sip(self):
        """The first SIP peer of this test."""
        return self._uas[0] if self._uas else self.ua()

    # --- what most tests begin with

    def invite(self, body=b'', daemon=None, kind='UDP', ua=None, uri=None, **kwargs):
        """An INVITE to msrpd; the transaction."""
        ua = ua or self.sip
        daemon = daemon or self.daemon
        transport = ua.reach('127.0.0.1', daemon.sip_port, kind)
        return ua.request('INVITE', uri or daemon.sip_uri, transport, body, **kwargs)

    def offer(self, path=None, accept_types=TYPES, **kwargs):
        """The description of one MSRP stream of ours, on a port where nobody listens."""
        path = path or f'msrp://127.0.0.1:9/{new_id()};tcp'
        return sdp.document(sdp.message(path, accept_types, **kwargs))

    def call(self, daemon=None, ctl=None, path=None, accept_types=TYPES, connect=True,
             behave=msrp.answer_ok, ua=None, kind='UDP', uri=None, tls=None, **kwargs):
        """A session that we set up: INVITE, 200, ACK, connection, first SEND."""
        path = path or f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction = self.invite(self.offer(path, accept_types, **kwargs), daemon, kind, ua, uri)
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        call = Call(self, dialog, sdp.Sdp(answer.body), path)
        (ctl or self.ctl).event('E_MSRP_SESSION_NEW', session_id=call.id)
        if connect:
            call.connect(behave, tls)
        return call

    def start_session(self, ctl=None, ua=None, content_types=TYPES, kind='UDP', **kwargs):
        """Have msrpd call us: the session id and its INVITE."""
        ua = ua or self.sip
        ctl = ctl or self.ctl
        params = {'content_types': content_types, 'from_uri': 'sip:alice@example.org',
                  'to_uri': 'sip:bob@example.org', 'ruri': ua.contact(kind)}
        params.update(kwargs)
        session_id = ctl.call('msrp_ua_start_session', params)['session_id']
        return session_id, ua.expect('INVITE')

    def answered(self, listener=None, ctl=None, ua=None, accept_types=TYPES, setup='passive',
                 path=None, connect=True, kind='UDP', behave=None, extra=(), **kwargs):
        """A session that msrpd sets up and we answer, with its connection to our listener."""
        listener = listener or self.listener(behave=behave or msrp.answer_ok)
        path = path or listener.uri()
        session_id, invite = self.start_session(ctl, ua, kind=kind, **kwargs)
        offer = sdp.Sdp(invite.request.body)
        invite.respond(200, sdp.document(sdp.message(path, accept_types, setup=setup,
                                                     extra=extra)))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        (ctl or self.ctl).event('E_MSRP_SESSION_NEW', session_id=session_id)
        call = Call(self, dialog, offer, path, session_id=session_id)
        if connect:
            conn = listener.accept()
            call.attach(conn)
            first = conn.expect('SEND')
            self.assertIsNone(first.body)
        return call

    def say(self, call, body, mime='text/plain', ctl=None, **kwargs):
        """Have msrpd send a message; its Message-ID."""
        if isinstance(body, str):
            kwargs['body'] = body
        return (ctl or self.ctl).call('msrp_ua_send_message', session_id=call.id, mime=mime,
                                      **kwargs)['message_id']

    def received(self, call, ctl=None, **params):
        return (ctl or self.ctl).event('E_MSRP_MSG_RECEIVED', session_id=call.id, **params)

    def refused(self, code, function, *args, **kwargs):
        """The command fails with that error code."""
        with self.assertRaises(RpcError) as caught:
            function(*args, **kwargs)
        self.assertEqual(caught.exception.code, code, caught.exception)
        return caught.exception

    def msrpctl(self, *arguments, daemon=None, **kwargs):
        return msrpctl((daemon or self.daemon).socket_path, *arguments, **kwargs)


def main():
    if not judge.available():
        print('tshark is not installed: nobody judges', file=sys.stderr)
        sys.exit(2)
    unittest.main(verbosity=2)
