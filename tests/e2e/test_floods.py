#!/usr/bin/env python3
"""Crowds that mean no good, and a few who do: those go on, and nothing grows beyond its bound.

This is the short form; scripts/torture floods has the numbers that count, of a release build.
"""
import collections
import contextlib
import functools
import os
import re
import resource
import socket
import ssl
import statistics
import time
import unittest
import urllib.parse

from lib import bounds, case, certs, sdp, visits, ws
from lib.crowd import CREDENTIALS, NUMBER, Crowd, sources
from lib.daemon import SOURCE, UA_ROUTES, Daemon
from lib.digest import authorized, sip_credentials
from lib.frame import new_id
from lib.good import GoodPhone, RelayPair, Session
from lib.relay_client import USERS
from lib.sip import token
from lib.waiting import poll
from lib.wire import Wire, address_of

LONG = 'MSRPD_TORTURE' in os.environ
in_the_long_form = unittest.skipUnless(LONG, 'the long form')
PROCESSORS = os.sched_getaffinity(0)
REFUSALS_A_SECOND = 20          # lines of the log (src/base/story.c)
EVENTS_A_SECOND = 20            # the same, of one session (src/event/logline.h)
ADDRESS_MAX = 256               # limits.connections_per_address
QUEUE = 16384                   # msrp.send_queue
MEMORY = 4 << 20                # msrp.max_memory
# docs/evidence.md, Bounds: KiB
SILENT = 0.5                    # a connection that says nothing
BEGUN = 1.5                     # one that says a byte of a head now and then
UNREAD = QUEUE / 1024           # answers that are not read
UNSENT = UNREAD + 256           # a client that does not read
MARGIN = 1.5                    # for the allocator, which rounds up
REQUESTS = 64 << 10             # sip.transaction_memory
INVITE = 20                     # that one takes of it until it is over
SESSION = 28                    # one that nobody acknowledges
UNREAD_SIP = 64                 # answers of SIP's
# Microseconds that a message over a bound may take besides its connection.
FAULTY = 2000
RATIO = 2                       # of the good ones' median beside a crowd to that without
DOMAIN = 'example.org'
# Of the good ones' messages: seconds between two, and one in how many comes so.
PACES = {'in_a_row': (0, 1), 'apart': (0.0005, 10), 'rare': (0.06, 80)}
FEWEST = 10                     # of which a median says something
EVERY_WAY = ('ua', 'relay', 'tls', 'web', 'sip')
CAROL = 'carol', 'carol secret'


def scale(short, long):
    return long if LONG else short


def show(name, value, unit):
    if LONG:
        print(f'{name} {value:.3f} {unit}' if isinstance(value, float)
              else f'{name} {value} {unit}', flush=True)


def sip_address_of(uri):
    match = re.match(r'sips?:([^:;]+):([0-9]+)', uri)
    return match[1], int(match[2])


def address_of_url(url):
    parts = urllib.parse.urlsplit(url)
    return parts.hostname, parts.port


class FloodCase(case.Case):
    """What the good ones are, and how they fare."""

    changes = {}
    sip_listen = []                 # besides UDP and TCP
    apart = True                    # from the daemon's processor: latency is measured
    ways = EVERY_WAY[:2]            # of the good ones

    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        own = cls.ca.issue('msrpd')
        tls = {'certificate': own.certificate, 'private_key': own.key}
        _, cls.files = resource.getrlimit(resource.RLIMIT_NOFILE)
        cls.config = {
            'log': {'level': 'info'},
            'limits': {'exempt': ['127.0.0.1'], 'connections_per_address': ADDRESS_MAX},
            'users': {**USERS, CAROL[0]: {'password': CAROL[1]}},
            'registrar': {'domains': [DOMAIN]},
            'relay': {'allow_plain_auth': True},
            'web': {'listen': ['http://127.0.0.1:0'], 'request_timeout': '2s'},
            **cls.changes,
            'msrp': {'tls': tls, 'bind_timeout': '2s', 'send_queue': QUEUE, 'send_timeout': '2s',
                     'max_connections': 65536, 'max_memory': MEMORY,
                     # Of thousands of resets at once the system loses some.
                     'idle_timeout': '45s',
                     'listen': [{'name': 'plain', 'uri': 'msrp://127.0.0.1:0;tcp'},
                                {'name': 'tls', 'uri': 'msrps://127.0.0.1:0;tcp'},
                                {'name': 'web', 'uri': 'msrp://127.0.0.1:0;ws'}],
                     **cls.changes.get('msrp', {})}}
        cls.config['sip'] = {'message_timeout': '2s', 'tls': tls, **cls.changes.get('sip', {})}

    @classmethod
    def _start_class_daemon(cls):
        cls.daemon = Daemon(cls.config)
        cls.daemon.config['sip']['listen'] += cls.sip_listen
        cls.daemon.write_config()
        cls.daemon.start()
        cls.ctl = cls.daemon.control()
        cls.ctl.subscribe('E_MSRP_SESSION_NEW')     # of messages nobody asks: they would pile up

    def setUp(self):
        super().setUp()
        self.crowds = []
        self.addCleanup(self.close_crowds)
        if LONG and self.apart:
            self.part()
        self.ready = time.monotonic()
        self.logged = len(self.daemon.log())      # by tests before this one
        self.call_up = self.call(connect=False)
        self.good = {}
        for way in self.ways:
            self.good[way] = getattr(self, f'good_{way}')()
        self.session, self.pair = self.good['ua'].wire, self.good['relay']
        self.good_connections = self.number('msrp:connections')
        self.base = len(self.descriptors())
        self.lines = self.count_lines()
        self.began = time.monotonic()

    def close_crowds(self):
        while self.crowds:
            self.crowds.pop().close()

    def tearDown(self):
        self.close_crowds()
        for one in self.good.values():
            one.close()
        super().tearDown()

    # --- the daemon

    def part(self):
        """
        The daemon has a processor of its own, and the crowd, which is idle work, leaves to those
        who measure what they want of the others.  That processor never sleeps: how long it takes
        to wake, 5 to 70 us, is the luck of the moment on a virtual machine.  So what they see is
        the daemon's doing.
        """
        first, *others = sorted(PROCESSORS)
        for pid, places in ((self.daemon.process.pid, {first}),
                            (os.getpid(), set(others) or {first})):
            for thread in os.listdir(f'/proc/{pid}/task'):
                os.sched_setaffinity(int(thread), places)
        self.crowd('awake', processor=first).hear()

    def relay(self, secure=False):
        host, port = self.daemon.listeners(self.ctl)[secure]
        return f'msrp{"s" if secure else ""}://{host}:{port};tcp'

    @property
    def sip_address(self):
        return '127.0.0.1', self.daemon.sip_port

    def sip_addresses(self):
        """By UDP, by TCP, at sip_listen, and at the web port."""
        return [sip_address_of(uri) for uri in self.ctl.call('status')['listen']['sip']]

    def descriptors(self):
        return os.listdir(f'/proc/{self.daemon.process.pid}/fd')

    def cpu(self):
        """Nanoseconds by the kernel's own count, of all threads: some do sums of TLS handshakes."""
        total = 0
        for task in os.scandir(f'/proc/{self.daemon.process.pid}/task'):
            with open(f'{task.path}/schedstat', encoding='ascii') as file:
                total += int(file.read().split()[0])
        return total

    def number(self, name):
        return self.ctl.call('get_statistics')[name]

    # --- the good ones

    def good_ua(self):
        return Session(self.call_up)

    def good_relay(self):
        return RelayPair(self.relay())

    def good_tls(self):
        call = self.call(path=f'msrps://127.0.0.1:9/{new_id()};tcp', connect=False)
        return Session(call, tls=certs.client_context(self.ca))

    def good_web(self):
        path = f'msrp://{new_id()}.invalid:2855/{new_id()};ws'
        return Session(self.call(path=path, setup='active', connect=False), web=True)

    def good_sip(self):
        return GoodPhone(self.sip_address, *CAROL, DOMAIN)

    def trips(self, count, pause=0):
        """
        Seconds of the median and the slowest way of each, until the kernel has got what comes:
        that this program waits for a processor as well is the crowd's doing.
        """
        all_times = {way: [] for way in self.good}
        for _ in range(count):
            for way, one in self.good.items():
                time.sleep(pause)
                all_times[way].append(one.trip())
        return {f'{way}{kind}': f(times) / 1e9 for way, times in all_times.items()
                for kind, f in (('', statistics.median), ('_slowest', max))}

    def fare(self, count):
        """
        In a row, when the crowd has little time; apart: then it has all that it wants; and rarely,
        as people write: then nothing of it is in the processor's caches any more, and each message
        has its line of the log.
        """
        for pace, (pause, part) in PACES.items():
            began, spent = time.monotonic(), self.cpu()
            times = self.trips(max(scale(1, FEWEST), count // part), pause)
            busy = (self.cpu() - spent) / (time.monotonic() - began) / 1e9
            yield pace, busy, times

    def measure_idle(self, count=None):
        self.trips(10)
        self.idle = {pace: times for pace, _, times in self.fare(count or scale(20, 2000))}

    def compare(self, name, count=None):
        """
        How they fare now, beside the times that were taken before the crowd came: less than twice
        as long in the median.
        """
        slow = []
        for pace, busy, times in self.fare(count or scale(20, 2000)):
            show(f'{name}.{pace}.busy', busy, "of msrpd's processor")
            for what, now in times.items():
                idle = self.idle[pace][what]
                show(f'{name}.{pace}.{what}.idle', idle * 1e6, 'us')
                show(f'{name}.{pace}.{what}', now * 1e6, 'us')
                show(f'{name}.{pace}.{what}.ratio', now / idle, '')
                if now > RATIO * idle and not what.endswith('_slowest'):
                    slow.append((pace, what, idle, now))
        if LONG:
            self.assertEqual(slow, [], name)

    # --- the crowd

    def crowd(self, behaviour, **arguments):
        crowd = Crowd(behaviour, **arguments)
        self.crowds.append(crowd)
        if LONG:
            os.sched_setscheduler(crowd.process.pid, os.SCHED_IDLE, os.sched_param(0))
            # Where the kernel shares the time out by sessions first.
            with contextlib.suppress(OSError):
                with open(f'/proc/{crowd.process.pid}/autogroup', 'w', encoding='ascii') as file:
                    file.write('19')
        return crowd

    def count_lines(self):
        """Of the log, without events: those have a bound for each session."""
        return sum(' info: E_' not in line for line in self.daemon.log().splitlines())

    def check_events(self, seconds):
        """A session has the lines of its begin and end, and of its messages a number a second."""
        events = collections.Counter(re.findall(r' info: E_\S+.*? session_id=(\S+)',
                                                self.daemon.log()[self.logged:]))
        for session, lines in events.items():
            self.assertLessEqual(lines, 2 + EVENTS_A_SECOND * (seconds + 2), session)
        return events

    def check_log(self, name):
        """A line of each refused session and code, and of those a number a second."""
        self.check_events(time.monotonic() - self.ready)
        lines = self.count_lines() - self.lines
        seconds = time.monotonic() - self.began
        show(f'{name}.log', lines / seconds, 'lines/s')
        self.assertLessEqual(lines, (REFUSALS_A_SECOND + 1) * (seconds + 2), self.daemon.log_tail())

    def check_base(self):
        """Nothing is left of the crowd but what was there before."""
        poll(lambda: len(self.descriptors()) <= self.base, what='the descriptors of before')


class MemoryCase(FloodCase):
    """What a crowd takes: of a daemon that has seen none before, which would hide it."""

    fresh = LONG
    used = False

    def setUp(self):
        if self.fresh and self.used:
            self._stop_class_daemon()
            self._start_class_daemon()
        type(self).used = True
        super().setUp()

    def check_memory(self, name, before, bound, count=None):
        """KiB of a connection, or of all, beside what docs/evidence.md says is the most."""
        grown = (self.daemon.resident_kib() - before) / (count or 1)
        show(f'{name}.memory', grown, 'KiB/connection' if count else 'KiB')
        if LONG:
            self.assertLessEqual(grown, bound * MARGIN, name)


class EventFlood(FloodCase):
    def test_messages(self):
        """Of one session's messages each is an event, and few have a line."""
        count = scale(3000, 100000)
        other = self.daemon.control('subscriber')
        other.subscribe('E_MSRP_MSG_RECEIVED')
        for _ in range(count // 100):
            for _ in range(100):
                self.session.send(self.session.send_frame(self.call_up.path, b'x'))
            for _ in range(100):
                self.assertEqual(self.session.frame().code, 200)
                other.event('E_MSRP_MSG_RECEIVED')
        lines = self.check_events(time.monotonic() - self.ready)[self.call_up.id]
        self.assertGreaterEqual(lines, EVENTS_A_SECOND)
        self.assertLess(lines, count // 2)
        # The next one in another second says how many there were.
        poll(lambda: self.session.ask(self.session.send_frame(self.call_up.path, b'x'))
             and 'info: events: ' in self.daemon.log(), what='how many there were')
        self.check_log('events')


class CrowdFlood(MemoryCase):
    ways = EVERY_WAY
    changes = {'msrp': {'bind_timeout': '10m'}}

    def test_at_once(self):
        """As many connections as there are descriptors, 20,000 at most."""
        count = scale(1000, min(20000, self.files - 200))
        self.measure_idle()
        before = self.daemon.resident_kib()
        crowds = [self.crowd('many', target=address_of(self.relay()), count=count // 2,
                             sources=sources(1 + i, 1 + count // 2 // ADDRESS_MAX))
                  for i in range(2)]
        for crowd in crowds:
            self.assertEqual(crowd.hear()['left'], 0)
        poll(lambda: self.number('msrp:connections') >= count, what='all connections')
        self.compare('crowd')
        show('crowd.connections', count, '')
        self.check_memory('crowd', before, SILENT, count)
        self.assertGreaterEqual(len(self.descriptors()), count)
        for crowd in crowds:
            end = crowd.end()
            self.assertEqual(end['open'], count // 2, end)
        self.check_base()
        self.check_log('crowd')


class CostFlood(FloodCase):
    """
    Of each listener: who is sent away at once, beside a whole visit of who is let in, and beside
    who is let in and has nothing to say.  All come one after the other.
    """

    changes = {'limits': {'connections_per_address': 1, 'auth_failures': 3, 'exempt': ['127.0.0.1']},
               'metrics': {'listen': '127.0.0.1:0'},
               'routes': {'sip': [{'if': {'$rm': 'MESSAGE'},
                                   'do': [{'send_reply': {'code': 202, 'reason': 'Accepted'}}]},
                                  *UA_ROUTES]},
               # Who holds a place keeps it.
               'msrp': {'bind_timeout': '10m'}, 'sip': {'message_timeout': '10m'},
               'web': {'listen': ['http://127.0.0.1:0'], 'request_timeout': '10m',
                       'root': os.path.join(SOURCE, 'web/dist')}}
    apart = False                   # it may sleep between clients
    SIP = ('UDP', 'TCP', 'TLS', 'WS')
    sip_listen = ['sips:127.0.0.1:0', 'sip:127.0.0.1:0;transport=ws']
    RATIO = scale(0.15, 0.1)        # to a visit; what it is to wake up and accept is in both
    ROUNDS = scale(1, 5)
    VISITS, REFUSALS = scale(5, 250), scale(64, 1000)
    CLIENTS = 256                   # of the control socket (src/ctl/server.c)
    HOLDER, GUESSER, OTHER_GUESSER = '127.9.0.1', '127.9.0.2', '127.9.0.3'
    user = 'alice', USERS['alice']['password']

    def setUp(self):
        super().setUp()
        self.tls = certs.client_context(self.ca)
        listen = self.ctl.call('status')['listen']
        self.phones = dict(zip(self.SIP, self.sip_addresses()))
        self.web = address_of_url(listen['web'][0])
        self.metrics = '127.0.0.1', listen['metrics']

    # --- visits

    def client(self, secure, source, password, message=True):
        """The last answer to AUTH."""
        relay = self.relay(secure)
        wire = Wire(address_of(relay), source, self.tls if secure else None)
        answer = wire.auth(relay, 'alice', password)
        if message:
            wire.ask(wire.send_frame([*answer.get('Use-Path').split(' '), self.pair.peer.own],
                                     b'hello'))
        wire.close()
        return answer.code

    def phone(self, kind, source):
        phone = visits.Phone(kind, self.phones[kind], source, self.tls)
        self.assertEqual(phone.register(*self.user, DOMAIN), 200)
        self.assertEqual(phone.ask(phone.request('MESSAGE', 'alice', DOMAIN)).code, 202)
        self.assertEqual(phone.register(*self.user, DOMAIN, [('Expires', '0')]), 200)
        phone.close()

    def median_cost(self, count, each, settle=lambda: None):
        """Microseconds of one: the median of some rounds."""
        rounds = []
        for _ in range(self.ROUNDS):
            before = self.cpu()
            for source in sources(8, count // self.ROUNDS):
                each(source)
            settle()
            rounds.append((self.cpu() - before) / (count // self.ROUNDS) / 1000)
        return statistics.median(rounds)

    def cost(self, count, group, visit, counter='connections'):
        """Each comes from another address, and all are gone at the end."""
        held = self.number(f'{group}:{counter}')
        return self.median_cost(count, visit, lambda: poll(
            lambda: self.number(f'{group}:{counter}') <= held, what='the end of all'))

    def refused(self, knock):
        """Of one that is sent away."""
        return self.median_cost(self.REFUSALS, lambda _: knock())

    def refused_connections(self, group, address, source=None):
        refused = self.number(f'{group}:refused')
        spent = self.refused(lambda: visits.knock(address, source))
        self.assertGreaterEqual(self.number(f'{group}:refused'), refused + self.REFUSALS)
        return spent

    def compare_costs(self, name, accepted, refused, silent=None):
        show(f'cost.{name}.accepted', accepted, 'us')
        show(f'cost.{name}.refused', refused, 'us')
        show(f'cost.{name}.ratio', refused / accepted, '')
        if silent:
            show(f'cost.{name}.silent', silent, 'us')
        self.check_log(f'cost.{name}')
        if LONG:
            self.assertLess(refused / accepted, self.RATIO, name)
            if silent:
                self.assertLess(refused, silent, name)

    def silent(self, group, address):
        """Of one that is let in, and says nothing."""
        return self.cost(self.REFUSALS, group, lambda source: visits.hang_up(address, source))

    def check(self, name, group, address, visit):
        """A listener of connections, of which each address may have one."""
        accepted = self.cost(self.VISITS, group, visit)
        silent = self.silent(group, address)
        with contextlib.closing(socket.create_connection(address, source_address=(self.HOLDER, 0))):
            refused = self.refused_connections(group, address, self.HOLDER)
        self.compare_costs(name, accepted, refused, silent)
        self.check_base()           # the next one may hold a place again

    # --- listeners

    def test_msrp(self):
        """AUTH, a message through the relay, and its answer."""
        for secure, name in enumerate(('msrp.tcp', 'msrp.tls')):
            self.check(name, 'msrp', address_of(self.relay(secure)),
                       lambda source, s=secure: self.client(s, source, self.user[1]))

    def test_barred(self):
        """Who has guessed too often gets no handshake by TLS, and no look at what he shows."""
        for _ in range(3):
            self.assertEqual(self.client(False, self.GUESSER, 'wrong', False), 401)
        self.assertEqual(self.client(False, self.GUESSER, self.user[1], False), 403)
        address = address_of(self.relay(True))
        accepted = self.cost(self.VISITS, 'msrp',
                             lambda source: self.client(True, source, self.user[1]))
        self.compare_costs('msrp.barred', accepted,
                           self.refused_connections('msrp', address, self.GUESSER),
                           self.silent('msrp', address))

    def test_sip(self):
        """A phone that registers, sends a message, and goes."""
        for kind in self.SIP[1:]:
            self.check(f'sip.{kind.lower()}', 'sip', self.phones[kind],
                       lambda source, k=kind: self.phone(k, source))

    def test_sip_datagrams(self):
        """A datagram with credentials of who has guessed too often."""
        guesser = visits.Phone('UDP', self.phones['UDP'], self.OTHER_GUESSER)
        self.addCleanup(guesser.close)
        for code in (401, 401, 401, 403):
            self.assertEqual(guesser.register('alice', 'wrong', DOMAIN), code)
        proof = sip_credentials('Digest realm="x", nonce="x"', 'REGISTER', f'sip:{DOMAIN}')
        accepted = self.cost(self.VISITS, 'sip', lambda source: self.phone('UDP', source))

        def knock(code, *headers):
            request = guesser.request('REGISTER', 'alice', DOMAIN, headers)
            self.assertEqual(guesser.ask(request).code, code)
        asked = self.refused(lambda: knock(401))
        refused = self.refused(lambda: knock(403, ('Authorization', proof)))
        self.compare_costs('sip.udp', accepted, refused, asked)

    def test_web(self):
        """The chat page, as a browser loads it."""
        self.check('web', 'web', self.web, lambda source: visits.load(self.web, source))

    def test_metrics(self):
        """Scrapes: Prometheus keeps its connection from one to the next."""
        self.check('metrics', 'metrics', self.metrics,
                   lambda source: visits.load(self.metrics, source, 2 * ['/metrics']))

    def test_control(self):
        """What `msrpctl status` asks; who comes when all places are taken waits, unaccepted."""
        path = self.daemon.socket_path
        accepted = self.cost(self.VISITS, 'ctl', lambda _: visits.control(path, 'status'),
                             'clients')
        with contextlib.ExitStack() as held:
            while self.number('ctl:clients') < self.CLIENTS:
                held.enter_context(visits.connect(path))
            self.ctl.call('status')         # the listener is looked at once more
            self.compare_costs('control', accepted,
                               self.refused(lambda: visits.queue_up(path)))
        poll(lambda: self.number('ctl:clients') < self.CLIENTS, what='a place')
        visits.control(path, 'status')


class SlowFlood(MemoryCase):
    changes = {'msrp': {'max_memory': 16 * MEMORY}}     # a head of each reader's waits

    def test_writers(self):
        """A byte at a time, of what never becomes whole: each protocol has its time for that."""
        web = self.ctl.call('status')['listen']['web'][0].rpartition(':')[2].strip('/')
        text = {'msrp': (address_of(self.relay()), 'MSRP abcd1234 SEND\r\nTo-Path: '),
                'sip': (self.sip_address, 'MESSAGE sip:bob@example.org SIP/2.0\r\nSubject: '),
                'web': (('127.0.0.1', int(web)), 'GET / HTTP/1.1\r\nCookie: ')}
        count = scale(100, 1000)
        self.measure_idle()
        before = self.daemon.resident_kib()
        crowds = [self.crowd('many', target=target, count=count, trickle=0.1, again=True,
                             text=words + 'x' * 100000, sources=sources(11 + i, 1 + count // 200))
                  for i, (target, words) in enumerate(text.values())]
        for crowd in crowds:
            crowd.hear()
        self.compare('slow_writers')
        self.check_memory('slow_writers', before, BEGUN, count * 3)
        # Each of them has been sent away once.
        for name in text:
            poll(lambda n=name: self.number(f'{n}:closed') >= count,
                 what=f'the end of all slow writers of {name}')
        ends = [crowd.end() for crowd in crowds]
        for end, name in zip(ends, text):
            self.assertGreaterEqual(end['left'], 1, name)
        self.check_base()
        self.check_log('slow_writers')

    def test_readers(self):
        """Clients of the relay who do not read, and peers who send to them all they can."""
        count = scale(40, 2000)
        self.measure_idle()
        before = self.daemon.resident_kib()
        crowd = self.crowd('lurkers', relay=self.relay(), user='bob',
                           password=USERS['bob']['password'], count=count,
                           sources=sources(21, 1 + count // 100), size=30000)
        crowd.hear()
        self.compare('slow_readers')
        self.check_memory('slow_readers', before, UNSENT, count)
        show('slow_readers.body_bytes', self.number('msrp:body_bytes'), 'bytes')
        poll(lambda: self.number('relay:sessions') == 1, what='the end of all clients but ours')
        self.compare('senders_to_nobody')
        self.assertGreaterEqual(self.number('msrp:connections'), count)
        end = crowd.end()
        self.assertEqual(end['closed'], count, end)
        self.check_base()
        self.check_log('slow_readers')

    def test_askers(self):
        """Requests whose answers are not read: no more are read then."""
        count = scale(20, 1000)
        uri = self.relay()
        text = f'MSRP {NUMBER.decode()} AUTH\r\nTo-Path: {uri}\r\n' \
               f'From-Path: msrp://127.0.0.1:9/asker;tcp\r\n-------{NUMBER.decode()}$\r\n'
        self.measure_idle()
        before = self.daemon.resident_kib()
        crowd = self.crowd('many', target=address_of(uri), count=count, text=text, repeat=True,
                           reads=False, small=True, sources=sources(31, 1 + count // 200))
        crowd.hear()
        self.compare('askers')
        self.check_memory('askers', before, SILENT + UNREAD, count)
        poll(lambda: self.number('msrp:connections') <= self.good_connections,
             what='the end of all askers')
        crowd.end()
        self.check_base()
        self.check_log('askers')


    def test_sip_askers(self):
        """The same by SIP."""
        count = scale(20, 1000)
        number = NUMBER.decode()
        text = f'OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n' \
               f'Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK{number}\r\n' \
               f'From: <sip:a@127.0.0.1>;tag={number}\r\nTo: <sip:x@127.0.0.1>\r\n' \
               f'Call-ID: {number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n'
        self.measure_idle()
        before = self.daemon.resident_kib()
        crowd = self.crowd('many', target=self.sip_address, count=count, text=text, repeat=True,
                           reads=False, small=True, sources=sources(32, 1 + count // 200))
        crowd.hear()
        self.compare('sip_askers')
        self.check_memory('sip_askers', before, SILENT + UNREAD_SIP, count)
        if LONG:                # the time for that is no setting
            poll(lambda: self.number('sip:connections') == 0, what='the end of all askers')
        crowd.end()
        self.check_base()
        self.check_log('sip_askers')


class FaultyFlood(FloodCase):
    """
    Messages of SIP just over each bound, and endless ones: what one costs, besides what a
    connection does that says nothing.
    """

    changes = {'sip': {'max_message_size': '64KiB', 'max_headers': 128, 'max_header_size': '8KiB'}}
    apart = False
    sip_listen = ['sips:127.0.0.1:0', 'sip:127.0.0.1:0;transport=ws']
    BOUNDS = {'size': 65536, 'headers': 128, 'header': 8192}
    TOO_LARGE = 1009                # RFC 6455 7.4.1

    def setUp(self):
        super().setUp()
        self.tls = certs.client_context(self.ca)
        self.places = dict(zip(('TCP', 'TLS', 'WS'), self.sip_addresses()[1:]))

    def faulty(self, kind):
        """By name, with the answer; what has no end gets none, or the one for its bound."""
        line = 'X-Folded: y\r\n'
        fold = ' ' + 'y' * 61 + '\r\n'
        bye = functools.partial(self.bye, kind)
        return {
            'size': (bye(body='x' * self.BOUNDS['size']), 513),
            'headers': (bye('X: y\r\n' * self.BOUNDS['headers']), 400),
            'header': (bye(f'X: {"y" * self.BOUNDS["header"]}\r\n'), 400),
            'folds': (bye(line + fold * (self.BOUNDS['header'] // len(fold))), 400),
            'start_line': ('BYE sip:' + 'x' * self.BOUNDS['header'], None),
            'endless_line': ('BYE sip:' + 'x' * (4 << 20), None),
            'endless_header': (bye('X: ' + 'y' * (4 << 20)), 400),
            'endless_folds': (bye(line + fold * 65536), 400),
            'endless_headers': (bye('X: y\r\n' * (1 << 19)), 400),
            'endless_body': (bye(body='x' * (4 << 20)), 513),
        }

    @staticmethod
    def bye(kind, extra='', body=''):
        """Of no dialog: what is within the bounds is the stack's to answer."""
        number = token()
        return f'BYE sip:x@127.0.0.1 SIP/2.0\r\n' \
               f'Via: SIP/2.0/{kind} 127.0.0.1;branch=z9hG4bK{number}\r\n' \
               f'From: <sip:a@127.0.0.1>;tag={number}\r\nTo: <sip:x@127.0.0.1>\r\n' \
               f'Call-ID: {number}\r\nCSeq: 1 BYE\r\nMax-Forwards: 70\r\n{extra}' \
               f'Content-Length: {len(body)}\r\n\r\n{body}'

    def visit(self, kind, text=b'', once=False):
        """What is answered, once or until msrpd closes; it may do so before all is written."""
        sock = visits.connect(self.places[kind])
        if kind == 'TLS':
            sock = self.tls.wrap_socket(sock, server_hostname='127.0.0.1')
        elif kind == 'WS':
            sock = ws.Socket(ws.shake_hands(sock, protocol='sip')[0])
        with contextlib.closing(sock):
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                if not text:
                    sock.shutdown(socket.SHUT_WR)
                elif kind == 'WS':
                    sock.send(text)
                else:
                    sock.sendall(text)
            return self.read_all(sock, once), getattr(sock, 'close_code', None)

    @staticmethod
    def read_all(sock, once):
        answer = b''
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while not (once and answer):
                with contextlib.suppress(BlockingIOError):
                    piece = sock.recv(65536)
                    if not piece:
                        break
                    answer += piece
        return answer

    def cost(self, kind, text, count):
        """Microseconds of a visit, and what was answered."""
        before = self.cpu()
        seen = [self.visit(kind, text) for _ in range(count)]
        poll(lambda: self.number('sip:connections') == 0, what='the end of all')
        return (self.cpu() - before) / count / 1000, seen

    def check(self, kind, count):
        self.cost(kind, b'', count)     # what the first ones take is not counted
        bare, _ = self.cost(kind, b'', count)
        show(f'faulty.{kind.lower()}.nothing', bare, 'us')
        slow = []
        stack = bounds.bytes_of_stack(self.daemon)
        for name, (text, code) in self.faulty(kind).items():
            bad = self.number('sip:bad_messages')
            spent, seen = self.cost(kind, text.encode(), count)
            show(f'faulty.{kind.lower()}.{name}', spent - bare, 'us')
            if kind == 'WS' and len(text) > self.BOUNDS['size']:
                code = None         # the WebSocket says so itself: there is no message
                self.assertLessEqual({closed for _, closed in seen}, {None, self.TOO_LARGE})
            else:
                bad += count
            self.assertEqual(self.number('sip:bad_messages'), bad)
            for answer, _ in seen:
                # A reset behind what was not read takes the answer with it.
                self.assertLessEqual(answer.count(b'SIP/2.0 '), 1)
                if answer:
                    self.assertTrue(answer.startswith(f'SIP/2.0 {code} '.encode()), answer)
            if spent - bare > FAULTY:
                slow.append((name, spent - bare))
        self.assertEqual(bounds.bytes_of_stack(self.daemon), stack)
        if LONG:
            self.assertEqual(slow, [])
        # And one within the bounds reaches it.
        answer, _ = self.visit(kind, self.bye(kind).encode(), once=True)
        self.assertTrue(answer.startswith(b'SIP/2.0 481 '), answer)
        self.assertGreater(bounds.bytes_of_stack(self.daemon), stack)
        self.check_log(f'faulty.{kind.lower()}')

    def test_cost(self):
        """One error at most, no byte of it for the stack, and microseconds for all of it."""
        for kind in self.places:
            with self.subTest(kind):
                self.check(kind, scale(1, 50 if kind == 'TCP' else 20))


class StormFlood(MemoryCase):
    def test_endless_chunks(self):
        """Chunks without an end, more than a message may have, and messages without an end."""
        count = scale(2, 8)
        calls = [self.call(connect=False) for _ in range(count)]
        self.measure_idle()
        before = self.daemon.resident_kib()
        crowds = []
        for call in calls:
            head = f'MSRP endless1 SEND\r\nTo-Path: {" ".join(call.path)}\r\n' \
                   f'From-Path: {call.own_path[-1]}\r\nMessage-ID: endless\r\n' \
                   'Byte-Range: 1-*/*\r\nContent-Type: text/plain\r\n\r\n'
            crowds.append(self.crowd('many', target=address_of(call.path[0]), count=1,
                                     head=head, text='x' * 65536, repeat=True,
                                     sources=['127.0.0.1']))
        for crowd in crowds:
            crowd.hear()
        self.compare('endless_chunks')
        self.assertLessEqual(self.number('msrp:body_bytes'), MEMORY)
        self.check_memory('endless_chunks', before, MEMORY / 1024)
        sent = sum(crowd.end()['sent'] for crowd in crowds)
        show('endless_chunks.sent', sent / (1 << 20), 'MiB')

    def test_endless_messages(self):
        """Messages that are begun and never ended: so many of a session, so much of all."""
        calls = [self.call() for _ in range(12)]
        for call in calls:
            refused = 0
            for _ in range(40):
                frame = call.msrp.build(body=b'x' * 30000, byte_range='1-30000/1000000', flag='+')
                call.conn.send(frame)
                refused += call.conn.expect_response(frame, None).code == 413
            self.assertGreaterEqual(refused, 40 - 16)
        held = self.number('msrp:body_bytes')
        show('endless_messages.held', held, 'bytes')
        self.assertLessEqual(held, MEMORY * 7 // 10)
        self.trips(10)          # there is room for what passes through
        self.check_log('endless_messages')

    def test_reports(self):
        """REPORTs on what was never sent, to a session and to nobody."""
        self.call_storm = self.call(connect=False)
        targets = [' '.join(self.call_storm.path), self.relay().replace(';', '/nobody;')]
        self.measure_idle()
        before = self.daemon.resident_kib()
        crowds = []
        for i, path in enumerate(targets):
            text = f'MSRP {NUMBER.decode()} REPORT\r\nTo-Path: {path}\r\n' \
                   f'From-Path: {self.call_storm.own_path[-1]}\r\n' \
                   f'Message-ID: {NUMBER.decode()}\r\nByte-Range: 1-1/1\r\nStatus: 000 413\r\n' \
                   f'-------{NUMBER.decode()}$\r\n'
            crowds.append(self.crowd('many', target=address_of(self.relay()), count=4,
                                     text=text * 50, repeat=True, sources=sources(41 + i, 1)))
        for crowd in crowds:
            crowd.hear()
        self.compare('reports')
        self.check_memory('reports', before, 8 * (SILENT + UNREAD) + 256)
        sent = sum(crowd.end()['sent'] for crowd in crowds)
        show('reports.sent', sent / (1 << 20), 'MiB')
        self.check_log('reports')


class StrangersCase(MemoryCase):
    """Requests of SIP by somebody whom nobody knows."""

    ways = EVERY_WAY
    SOURCES = 20                    # connections, or sockets of datagrams

    @staticmethod
    def text(way, method, user='', to='mallory', branch=NUMBER.decode(), fields='', body=''):
        number = NUMBER.decode()
        return f'{method} sip:{user and user + "@"}{DOMAIN} SIP/2.0\r\n' \
               f'Via: SIP/2.0/{way} 127.51.0.1:5999;branch=z9hG4bK{branch};rport\r\n' \
               f'From: <sip:mallory@{DOMAIN}>;tag={number}\r\nTo: <sip:{to}@{DOMAIN}>\r\n' \
               f'Call-ID: {number}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n' \
               f'Contact: <sip:mallory@127.51.0.1:5999>\r\n{fields}' \
               f'Content-Length: {len(body)}\r\n\r\n{body}'

    def strangers(self, way, text, first):
        """As many of these as they can send; they are there."""
        places = sources(first, self.SOURCES)
        if way == 'UDP':
            crowd = self.crowd('datagrams', target=self.sip_address, text=text, sources=places)
        else:
            crowd = self.crowd('many', target=self.sip_address, text=text, repeat=True,
                               count=self.SOURCES, sources=places)
        crowd.hear()
        return crowd

    def grown(self, before, name):
        return self.number(name) - before[name]

    def check_registers(self, name, idle):
        """
        A REGISTER over TCP has its answer as soon.  By UDP that cannot be: all datagrams of a
        listener wait in one queue of the kernel, which drops what it has no room for.
        """
        now = self.registers()
        show(f'{name}.register.idle', idle * 1e6, 'us')
        show(f'{name}.register', now * 1e6, 'us')
        show(f'{name}.register.ratio', now / idle, '')
        if LONG:
            self.assertLessEqual(now, RATIO * idle, name)

    def registers(self):
        """Seconds of the median: that, and all that it takes, as the kernel has it."""
        return statistics.median(self.good['sip'].register()
                                 for _ in range(scale(5, 200))) / 1e9


class RegisterCase(StrangersCase):
    def register(self, kind):
        """A good one, which is sent again until there is an answer."""
        ua = self.sip
        transport = ua.reach('127.0.0.1', self.daemon.sip_port, kind)
        aor = f'sip:{CAROL[0]}@{DOMAIN}'
        fields = [('Contact', f'<{ua.contact(kind)}>')]
        authorized(ua, 'REGISTER', f'sip:{DOMAIN}', transport, *CAROL,
                   headers=fields, from_uri=aor, to_uri=aor).final(200)

    def flood(self, way, name, begin):
        count = scale(10, 500)
        self.measure_idle(count)
        idle = self.registers()
        before, counts = self.daemon.resident_kib(), self.ctl.call('get_statistics')
        crowd = begin(way)
        self.compare(name, count)
        self.check_registers(name, idle)
        self.check_counts(name, counts)
        end = crowd.end()
        show(f'{name}.sent', end['sent'], 'datagrams' if way == 'UDP' else 'bytes')
        self.check_memory(name, before, REQUESTS)
        self.assertLessEqual(self.number('registrar:contacts'), 8)
        self.register(way)
        self.check_log(name)


class RegisterFlood(RegisterCase):
    """Of those who show no credentials."""

    # In 32 s a flood by UDP has all that datagrams may take, and then a good phone by UDP gets 503.
    changes = {'sip': {'transaction_memory': f'{REQUESTS}KiB', 'transaction_timeout': '3s'}}

    def check_counts(self, name, before):
        poll(lambda: self.grown(before, 'sip:registers_in') >= scale(100, 10000),
             what='the REGISTERs')

    @in_the_long_form
    def test_udp(self):
        self.flood('UDP', 'registers.udp',
                   lambda way: self.strangers(way, self.text(way, 'REGISTER'), 51))

    def test_tcp(self):
        self.flood('TCP', 'registers.tcp',
                   lambda way: self.strangers(way, self.text(way, 'REGISTER'), 52))


class CredentialsFlood(RegisterCase):
    """
    Of those who show wrong ones: each address asks for a challenge, and answers it as often as it
    is looked at.  What was guessed is forgotten so early that there is room for all of it.
    """

    TRIES = 10                      # limits.auth_failures
    changes = {'sip': {'transaction_memory': f'{REQUESTS}KiB', 'transaction_timeout': '3s'}}

    def guessers(self, way):
        crowd = self.crowd('guess_by_datagrams' if way == 'UDP' else 'guess_by_streams',
                           target=self.sip_address, uri=f'sip:{DOMAIN}', user=CAROL[0],
                           tries=self.TRIES, first=100 if way == 'UDP' else 110,
                           text=self.text(way, 'REGISTER', to=CAROL[0], fields=CREDENTIALS))
        crowd.hear()
        return crowd

    def check_counts(self, name, before):
        """Nearly all of what msrpd has heard was looked at, and was wrong."""
        poll(lambda: self.grown(before, 'sip:auth_failures') >= scale(1000, 10000),
             what='the wrong credentials')
        numbers = self.ctl.call('get_statistics')
        wrong, heard, barred, refused = (
            numbers[each] - before[each] for each in (
                'sip:auth_failures', 'sip:registers_in', 'limits:barred',
                'sip:transactions_refused'))
        show(f'{name}.looked_at', wrong, '')
        self.assertGreaterEqual(wrong, 0.75 * heard)
        self.assertLessEqual(barred + refused, 0.1 * wrong)

    def test_udp(self):
        self.flood('UDP', 'credentials.udp', self.guessers)

    def test_tcp(self):
        self.flood('TCP', 'credentials.tcp', self.guessers)


class StrangersFlood(StrangersCase):
    """INVITEs and MESSAGEs, most of them refused; what nobody acknowledges stays for a while."""

    fresh = True                    # the one before would leave no room
    BOUND = scale(4, 16) << 10      # sip.transaction_memory
    SESSIONS = scale(50, 500)
    changes = {'sip': {'transaction_memory': f'{BOUND}KiB',
                       'transaction_timeout': '3m'},     # nothing of it is over in the meantime
               'ua': {'max_sessions': SESSIONS},
               'routes': {'sip': [{'if': {'$tu': 'sip:nobody@*'},
                                   'do': [{'send_reply': {'code': 404, 'reason': 'Nobody'}}]},
                                  *UA_ROUTES]}}
    OFFER = sdp.document(sdp.message(f'msrp://127.51.0.1:9/{NUMBER.decode()};tcp')).decode()

    def flood(self, name, way, text, first, counter, most=None):
        """Of requests that this counts so many at most may be let in."""
        count = scale(10, 500)
        self.measure_idle(count)
        idle = self.registers()
        before, counts = self.daemon.resident_kib(), self.ctl.call('get_statistics')
        crowd = self.strangers(way, text, first)
        self.compare(name, count)
        self.check_registers(name, idle)
        self.check_bound(name, way, f'sip:{counter}', counts, most)
        end = crowd.end()
        show(f'{name}.sent', end['sent'], 'datagrams' if way == 'UDP' else 'bytes')
        self.check_memory(name, before, self.BOUND + self.number('ua:sessions') * SESSION)
        self.check_log(name)

    def check_bound(self, name, way, counter, before, most):
        """Of a MESSAGE over a stream nothing is kept; of others there have been too many now."""
        refused = 'sip:transactions_refused' if most or way == 'UDP' else counter
        poll(lambda: self.grown(before, refused) >= scale(100, 10000)
             or most and self.grown(before, counter) > most, what='more than there is room for')
        took = self.number('sip:transaction_memory') / 1024
        show(f'{name}.let_in', self.grown(before, counter), '')
        show(f'{name}.sessions', self.number('ua:sessions'), '')
        show(f'{name}.transaction_memory', took, 'KiB')
        self.assertLessEqual(took, self.BOUND + INVITE)
        self.assertLessEqual(self.number('ua:sessions'), self.SESSIONS)
        if most:
            self.assertLessEqual(self.grown(before, counter), most)

    def invites(self, kind, way, first, user='nobody', sessions=0, **kwargs):
        """The last one may be one too many."""
        text = self.text(way, 'INVITE', user, user, body=self.OFFER,
                         fields='Content-Type: application/sdp\r\n', **kwargs)
        self.flood(f'invites.{kind}', way, text, first, 'invites_in',
                   self.BOUND // INVITE + 1 + sessions)

    def messages(self, way, first):
        text = self.text(way, 'MESSAGE', 'nobody', 'nobody', body='hello',
                         fields='Content-Type: text/plain\r\n')
        self.flood(f'messages.{way.lower()}', way, text, first, 'messages_in')

    def test_invites_by_udp(self):
        self.invites('udp', 'UDP', 53)

    @in_the_long_form
    def test_invites_by_tcp(self):
        self.invites('tcp', 'TCP', 54)

    def test_invites_of_one_branch(self):
        """Each is another call, whatever its branch says; by UDP they are the first one's."""
        self.invites('one_branch', 'TCP', 55, branch='theonlyone')

    @in_the_long_form
    def test_calls(self):
        """To somebody who is there: sessions up to their number, and what is refused then."""
        self.invites('calls', 'TCP', 58, user='chat', sessions=self.SESSIONS)

    @in_the_long_form
    def test_messages_by_udp(self):
        self.messages('UDP', 56)

    @in_the_long_form
    def test_messages_by_tcp(self):
        self.messages('TCP', 57)


class GuessFlood(FloodCase):
    """Those who are sent away: the log has so many lines a second, whoever they are."""

    def test_auth(self):
        """Wrong credentials, over one connection after the other."""
        relay = self.relay()
        count = scale(60, 2000)
        for source in sources(71, count):
            guesser = Wire(address_of(relay), source)
            self.assertEqual(guesser.auth(relay, 'alice', 'wrong').code, 401)
            guesser.close()
        poll(lambda: self.number('msrp:connections') <= self.good_connections,
             what='the end of all')
        self.assertGreaterEqual(self.number('relay:auth_failures'), count)
        self.assertIn('wrong credentials of "alice"', self.daemon.log())
        self.check_log('guesses')

    def test_offers(self):
        """Calls of which nothing can be used."""
        offer = sdp.document(sdp.AUDIO)
        for _ in range(scale(60, 2000)):
            self.invite(offer, kind='TCP').final(488)
        self.assertIn('no stream of MSRP that can be used', self.daemon.log())
        self.check_log('offers')


class TlsFlood(FloodCase):
    """Connections by TLS that come and go: nothing is left of them (RSS within 1 MiB)."""

    GROWTH = 1024                   # KiB
    sip_listen = ['sips:127.0.0.1:0']

    def test_nothing_is_left(self):
        count = int(os.environ.get('MSRPD_TORTURE_TLS', 100000)) if LONG else 400
        targets = [address_of(self.relay(True)), self.sip_addresses()[2]]
        warm = self.run_many(targets, max(200, count // 10))
        before = self.daemon.resident_kib()
        kinds = self.run_many(targets, count)
        grown = self.daemon.resident_kib() - before
        for kind, number in kinds.items():
            show(f'tls.{kind}', number, 'connections')
        show('tls.memory.before', before, 'KiB')
        show('tls.memory.grown', grown, 'KiB')
        self.assertGreater(warm['resumed'], 0)
        self.check_base()
        self.check_log('tls')
        if LONG:
            self.assertLessEqual(grown, self.GROWTH)

    def run_many(self, targets, count):
        crowds = [self.crowd('handshakes', targets=targets, count=count // 2, ca=self.ca.file,
                             sources=sources(61 + i, 20)) for i in range(2)]
        total = {}
        for crowd in crowds:
            while 'good' not in (line := crowd.hear(600)):
                pass
            crowd.close()
            for kind, number in line.items():
                total[kind] = total.get(kind, 0) + number
        poll(lambda: len(self.descriptors()) <= self.base, what='the end of all')
        return total


if __name__ == '__main__':
    case.main()
