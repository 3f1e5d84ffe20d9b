#!/usr/bin/env python3
"""The chat page in a browser: people who chat with each other and with telephones."""
import hashlib
import json
import os
import re
import shutil
import struct
import sys
import tempfile
import unittest
import zlib

from lib import browser, case, front, phones
from lib.browser import Page
from lib.certs import Authority
from lib.daemon import MSRPCTL, MSRPD, SOURCE, free_port
from lib.program import Program

REALM = 'example.org'
PASSWORD = 'wonderland'
LOBBY = f'sip:lobby@{REALM}'
SINGLE = 'text/plain message/cpim application/im-iscomposing+xml'
ROUTES = {'sip': [
    {'if': {'$rm': '!REGISTER'}, 'do': [{'www_authorize': {'realm': REALM}}], 'continue': True},
    {'if': {'$rm': 'INVITE', '$rU': 'lobby'},
     'do': [{'msrp_conf_join': {'room': LOBBY, 'from': f'sip:$au@{REALM}'}}]},
    {'if': {'$rm': 'INVITE'}, 'do': ['lookup'], 'continue': True},
    {'if': {'$rm': 'INVITE', '$ru': '*;transport=ws*'},
     'do': [{'msrp_anchor': {'ruri': '$ru', 'from': f'sip:$au@{REALM}'}}]},
    {'if': {'$rm': 'INVITE'}, 'do': [{'msrp_gw_answer': {
        'key': f'sip:$au@{REALM}:$tu', 'content_types': SINGLE, 'from': f'sip:$au@{REALM}',
        'to': '$tu', 'ruri': '$ru'}}]},
    {'if': {'$rm': 'MESSAGE'}, 'do': ['lookup', {'msg_to_msrp': {
        'key': f'$tu:sip:$au@{REALM}', 'content_types': SINGLE}}]}]}


def picture(side=64):
    """A PNG."""
    def chunk(name, body):
        return struct.pack('>I', len(body)) + name + body \
            + struct.pack('>I', zlib.crc32(name + body))
    rows = b''.join(b'\0' + bytes(byte for x in range(side)
                                  for byte in (x * 4 % 256, y * 4 % 256, 128)) for y in range(side))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)) \
        + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')


class PageCase(case.Case):
    """msrpd, which serves the page, and a browser."""

    relay = False               # sessions go through it (RFC 4976)
    settings = {}               # more of config.json

    @classmethod
    def prepare(cls):
        port = free_port()
        origin = f'http://127.0.0.1:{port}'
        cls.url = f'{origin}/'
        cls.config = {
            'web': {'listen': [origin], 'root': cls.root({
                'domain': REALM, 'rooms': [{'uri': LOBBY, 'name': 'Lobby'}], **cls.settings,
                **({'relay': f'msrp://127.0.0.1:{port};ws'} if cls.relay else {})})},
            'relay': {'enabled': cls.relay, 'allow_plain_auth': True},
            'users': {name: {'password': PASSWORD} for name in ('alice', 'bob', 'carol', 'baresip')},
            'registrar': {'domains': [REALM]},
            'ua': {'reconnect_grace': '500ms'},
            'gateway': {'iscomposing': 'forward'},
            'msrp': {'max_message_size': '1MiB'},       # of rooms
            'conference': {'rooms': [{'uri': LOBBY, 'subject': 'Lobby'}],
                           'persist': os.path.join(cls.directory, 'rooms.db')},
            'routes': ROUTES}
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.stop)

    @classmethod
    def root(cls, config):
        root = os.path.join(cls.directory, 'web')
        shutil.copytree(os.path.join(browser.WEB, 'dist'), root)
        with open(os.path.join(root, 'config.json'), 'w', encoding='utf-8') as file:
            json.dump(config, file)
        return root

    def setUp(self):
        super().setUp()
        self.pages = []

    def tearDown(self):
        for page in self.pages:
            page.close()
        super().tearDown()

    def page(self, name, **options):
        self.pages.append(Page(self.browser, name, self.url, **options))
        return self.pages[-1]

    def person(self, name, **options):
        page = self.page(name, **options)
        page.log_in(PASSWORD)
        return page

    @staticmethod
    def picture_for_docs(page, name, width, height, dark=False):
        """With MSRPD_SCREENSHOTS=docs those of docs/page.md are made anew."""
        folder = os.environ.get('MSRPD_SCREENSHOTS')
        if folder:
            page.do('size', width=width, height=height)
            page.do('dark', on=dark)
            page.do('shot', file=os.path.join(folder, f'{name}.png'))

    def file(self, name, content):
        path = os.path.join(self.directory, name)
        with open(path, 'wb') as file:
            file.write(content)
        return path


class PageTest(PageCase):
    def test_wrong_password(self):
        page = self.page('alice')
        page.do('fill', what={'label': 'User name'}, value='alice')
        page.do('fill', what={'label': 'Password'}, value='wrong')
        page.press('Log in')
        page.see('Name or password is wrong')
        page.log_in(PASSWORD)

    def test_two_browsers(self):
        alice, bob = self.person('alice'), self.person('bob')
        alice.chat_with('bob')
        alice.say('Hello Bob')
        alice.sees_message('Hello Bob')
        alice.see('delivered', role='log')
        bob.enter('alice')
        bob.sees_message('Hello Bob')
        bob.say('Grüße zurück')
        alice.sees_message('Grüße zurück')
        bob.see('delivered', role='log')
        alice.write('typing')
        bob.see('alice is typing')
        alice.press('Send', exact=True)
        bob.sees_message('typing')
        bob.gone('alice is typing')
        bob.write('typing, too')
        alice.see('bob is typing')
        for page, other, name in ((alice, bob, 'x.png'), (bob, alice, 'y.png')):
            page.do('upload', what={'label': 'File to send'}, file=self.file(name, picture()))
            other.do('see', what={'role': 'img', 'name': f'Picture {name}'})
        self.assertEqual(len(self.ctl.call('msrp_anchor_list')), 1)
        self.assertEqual(alice.do('said') + bob.do('said'), [])

    def test_large_files(self):
        """As large as config.json lets them be, one to one, either way, with a bar."""
        alice, bob = self.person('alice'), self.person('bob')
        for page, other in ((alice, bob), (bob, alice)):
            page.chat_with(other.name)
            page.do('watch')
            name, body = f'{page.name}.bin', os.urandom(8 * 1048576)
            page.do('upload', what={'label': 'File to send'}, file=self.file(name, body))
            other.enter(page.name)
            self.assertEqual(other.do('save', what={'role': 'button', 'name': f'Save {name}'}),
                             hashlib.sha256(body).hexdigest())
            page.see('delivered', role='log')
            self.assertEqual(page.do('watched'), [f'Sending {name}'])

    def test_nobody_there(self):
        alice = self.person('alice')
        alice.chat_with('carol')
        alice.say('Are you there?')
        alice.see('Not online at the moment', role='log')
        carol = self.person('carol')
        alice.press('Try again')
        carol.enter('alice')
        carol.sees_message('Are you there?')

    def test_away_for_a_moment(self):
        """Who was there gets what was said while he was not, with nobody doing anything."""
        alice, bob = self.person('alice'), self.person('bob')
        alice.chat_with('bob')
        alice.say('first')
        bob.enter('alice')
        bob.sees_message('first')
        bob.do('reload')
        alice.say('second')
        alice.see('waiting for the connection', role='log')
        alice.see('Not online at the moment')
        bob.log_in(PASSWORD)
        bob.enter('alice')
        bob.sees_message('second')
        for text in ('first', 'second'):
            self.assertEqual(bob.count(text), 1, text)

    def test_a_phone_instead(self):
        """The page is closed, and its user has a telephone."""
        alice, page = self.person('alice'), self.person('baresip')
        alice.chat_with('baresip')
        alice.say('to the page')
        page.enter('alice')
        page.sees_message('to the page')
        page.close()
        self.pages.remove(page)
        phone = self.phone()
        try:
            alice.say('to the phone')
            phone.shows('to the phone')
            alice.gone('waiting for the connection')
        finally:
            phone.stop()

    def phone(self):
        directory = os.path.join(self.directory, self._testMethodName)
        os.mkdir(directory)
        return phones.Baresip(directory, self.daemon.sip_port, f'sip:alice@{REALM}', PASSWORD)

    def test_phone(self):
        """A telephone that knows SIP MESSAGE alone, in either direction."""
        phone = self.phone()
        try:
            alice = self.person('alice')
            alice.chat_with('baresip')
            alice.say('to the phone')
            phone.shows('to the phone')
            alice.see('delivered', role='log')
            phone.send('from the phone')
            alice.sees_message('from the phone')
            # Busy (486) until the old session is missed.
            alice.do('reload')
            alice.log_in(PASSWORD)
            alice.chat_with('baresip')
            alice.say('once more')
            phone.shows('once more')
        finally:
            phone.stop()

    def test_phone_begins(self):
        phone = self.phone()
        try:
            alice = self.person('alice')
            phone.send('knock')
            alice.enter('baresip')
            alice.sees_message('knock')
            alice.say('come in')
            phone.shows('come in')
        finally:
            phone.stop()

    def test_room_of_three(self):
        alice, bob = self.person('alice'), self.person('bob')
        for page in (alice, bob):
            page.enter('Lobby')
            page.see('Participants (2)')
        alice.say('Hello, everybody')
        bob.sees_message('Hello, everybody')
        alice.see('delivered', role='log')
        bob.press('Nickname', exact=True)
        bob.do('fill', what={'label': 'Nickname in this room'}, value='Bobby')
        bob.press('Take it')
        bob.say('I am Bobby')
        alice.sees_message('I am Bobby')
        carol = self.person('carol')
        carol.enter('Lobby')
        carol.sees_message('Hello, everybody')     # from before she came
        carol.see('Participants (3)')
        carol.do('click', what={'text': 'Participants (3)'})
        carol.press('Bobby (write privately)')
        carol.say('for Bobby alone')
        bob.sees_message('for Bobby alone')
        bob.see('privately to you', role='log')
        carol.press('Write to all')
        body = os.urandom(300000)
        carol.do('upload', what={'label': 'File to send'}, file=self.file('some.bin', body))
        alice.see('some.bin, 293 KiB', role='log')
        self.assertEqual(alice.count('for Bobby alone'), 0)
        carol.do('upload', what={'label': 'File to send'}, file=self.file('z.png', picture()))
        bob.do('see', what={'role': 'img', 'name': 'Picture z.png'})
        self.picture_for_docs(bob, 'page-room', 1000, 640)
        self.picture_for_docs(bob, 'page-phone', 360, 640, dark=True)
        alice.press('Nickname', exact=True)
        alice.do('fill', what={'label': 'Nickname in this room'}, value='bobby')
        alice.press('Take it')
        alice.see('Somebody else has this name')

    def test_a_file_too_large(self):
        alice = self.person('alice')
        alice.enter('Lobby')
        alice.do('upload', what={'label': 'File to send'},
                 file=self.file('large.bin', bytes(9 * 1048576)))
        alice.see('large.bin is larger than 8.0 MiB')

    def test_restart(self):
        alice, bob = self.person('alice'), self.person('bob')
        for page in (alice, bob):
            page.enter('Lobby')
            page.see('Participants (2)')
        self.talk_over_a_restart(alice, bob)

    def test_restart_between_two(self):
        alice, bob = self.person('alice'), self.person('bob')
        alice.chat_with('bob')
        bob.chat_with('alice')
        self.talk_over_a_restart(alice, bob)

    def talk_over_a_restart(self, alice, bob):
        """What was said and typed is there afterwards, once; what was said meanwhile arrives."""
        alice.say('before')
        bob.sees_message('before')
        bob.write('half a thou')
        self._stop_class_daemon()
        for page in (alice, bob):
            page.see('Connection lost', role='status')
        alice.say('meanwhile')
        alice.write('a draft')
        bob.do('type', text='ght')
        bob.do('press', key='Enter')
        for page in (alice, bob):
            page.see('waiting for the connection', role='log')
        self._start_class_daemon()
        self._daemons[:] = [(self.daemon, self.ctl)]
        for page in (alice, bob):
            page.see('Online', role='status')
        bob.sees_message('meanwhile')
        alice.sees_message('half a thought')
        self.assertEqual(alice.do('value', what={'label': 'Message', 'exact': True}), 'a draft')
        for page in (alice, bob):
            page.gone('waiting for the connection')
        for page in (alice, bob):
            for text in ('before', 'meanwhile', 'half a thought'):
                self.assertEqual(page.count(text), 1, (page.name, text))

    def test_reload(self):
        """A reload of the page keeps what was said and typed."""
        alice = self.person('alice')
        alice.enter('Lobby')
        alice.say('kept')
        alice.see('delivered', role='log')
        alice.write('unsent')
        alice.do('reload')
        alice.log_in(PASSWORD)
        alice.enter('Lobby')
        alice.sees_message('kept')
        self.assertEqual(alice.do('value', what={'label': 'Message', 'exact': True}), 'unsent')
        self.assertEqual(alice.count('kept'), 1)

    def test_reload_between_two(self):
        alice, bob = self.person('alice'), self.person('bob')
        alice.chat_with('bob')
        alice.say('first')
        bob.enter('alice')
        bob.sees_message('first')
        alice.do('reload')
        alice.log_in(PASSWORD)
        alice.chat_with('bob')
        alice.say('second')
        bob.sees_message('second')
        alice.see('delivered', role='log')
        for text in ('first', 'second'):
            self.assertEqual(bob.count(text), 1, text)

    def test_keyboard(self):
        """Everything without a mouse, from the first field on."""
        alice = self.page('alice')
        alice.do('see', what={'label': 'User name'})
        for keys in ('alice', 'Tab', PASSWORD, 'Enter'):
            alice.do('press' if keys in ('Tab', 'Enter') else 'type',
                     **{'key' if keys in ('Tab', 'Enter') else 'text': keys})
        alice.see('Online', role='status')
        self.reach(alice, 'Lobby')
        alice.do('press', key='Enter')
        alice.see('Participants (1)')
        self.assertEqual(alice.do('focused'), 'Message')
        alice.do('type', text='by hand')
        alice.do('press', key='Enter')
        alice.sees_message('by hand')
        self.reach(alice, 'Nickname')
        alice.do('press', key='Enter')
        alice.do('type', text='Ally')
        alice.do('press', key='Enter')
        self.reach(alice, 'Participants (1)')
        alice.do('press', key='Enter')
        alice.see('Ally (you)')
        self.reach(alice, 'Send a file')
        alice.do('choose_file', file=self.file('k.bin', bytes(1000)))
        alice.do('press', key='Enter')
        alice.see('delivered', role='log')
        self.reach(alice, 'Save k.bin')
        self.reach(alice, 'Name or address')
        alice.do('type', text='carol')
        alice.do('press', key='Enter')
        self.assertEqual(alice.do('focused'), 'Message')
        alice.do('type', text='Are you there?')
        alice.do('press', key='Enter')
        alice.see('Not online at the moment', role='log')
        self.reach(alice, 'Try again')
        alice.do('press', key='Enter')
        alice.see('Not online at the moment', role='log')
        self.reach(alice, 'Log out')
        alice.do('press', key='Enter')
        alice.do('see', what={'label': 'Password'})

    def reach(self, page, name):
        """By the Tab key."""
        for _ in range(40):
            if page.do('focused') == name:
                return
            page.do('press', key='Tab')
        self.fail(f'{name} cannot be reached')

    def test_axe(self):
        """WCAG 2.2 AA as far as a program can tell, light and dark, on a desk and on a telephone."""
        alice = self.page('alice')
        self.assertEqual(alice.do('axe'), [])
        alice.do('fill', what={'label': 'User name'}, value='alice')
        alice.do('fill', what={'label': 'Password'}, value='wrong')
        alice.press('Log in')
        alice.see('Name or password is wrong')
        self.assertEqual(alice.do('axe'), [])
        alice.log_in(PASSWORD)
        self.assertEqual(alice.do('axe'), [])
        alice.chat_with('carol')
        alice.say('w' * 300)
        alice.see('Not online at the moment', role='log')
        self.look_at(alice)
        alice.do('size', width=1280, height=800)
        alice.enter('Lobby')
        alice.see('Participants (1)')
        alice.say('to be seen')
        alice.see('delivered', role='log')
        name = f'{"y" * 90}.png'
        alice.do('upload', what={'label': 'File to send'}, file=self.file(name, picture(600)))
        alice.do('see', what={'role': 'img', 'name': f'Picture {name}'})
        alice.do('click', what={'text': 'Participants (1)'})
        self.look_at(alice)
        alice.press('Nickname', exact=True)
        self.assertEqual(alice.do('axe'), [])
        alice.press('Cancel')
        alice.press('Back to conversations')
        self.assertEqual(alice.do('axe') + alice.do('wide'), [])

    def look_at(self, page):
        for size in ((1280, 800), (360, 640), (320, 480)):
            page.do('size', width=size[0], height=size[1])
            for dark in (False, True):
                page.do('dark', on=dark)
                with self.subTest(size=size, dark=dark):
                    self.assertEqual(page.do('axe') + page.do('wide'), [])


class RelayTest(PageCase):
    relay = True

    def test_room(self):
        alice, bob = self.person('alice'), self.person('bob')
        for page in (alice, bob):
            page.enter('Lobby')
            page.see('Participants (2)')
        self.assertEqual(len(self.ctl.call('msrp_relay_list_sessions')), 2)
        alice.say('by way of the relay')
        alice.see('delivered', role='log')
        bob.sees_message('by way of the relay')
        bob.do('upload', what={'label': 'File to send'}, file=self.file('r.bin', bytes(100000)))
        alice.see('r.bin, 98 KiB', role='log')

    def test_two_browsers(self):
        alice, bob = self.person('alice'), self.person('bob')
        alice.chat_with('bob')
        alice.say('by way of the relay')
        alice.see('delivered', role='log')
        bob.enter('alice')
        bob.sees_message('by way of the relay')


class ProxyCase:
    """A proxy in front has the certificate: what docs/web.md has of it, at other places."""

    advertise = True

    @classmethod
    def prepare(cls):
        super().prepare()
        port = free_port()
        inner = cls.url.split(':')[-1].strip('/')
        certificate = Authority(cls.directory).issue('proxy')
        with open(os.path.join(SOURCE, 'docs', 'web.md'), encoding='utf-8') as file:
            text = re.search(f'```{cls.program}\n(.*?)```', file.read(), re.DOTALL)[1]
        for old, new in (('listen 443', f'listen 127.0.0.1:{port}'), (' :443', f' 127.0.0.1:{port}'),
                         ('127.0.0.1:8080', f'127.0.0.1:{inner}'),
                         ('/etc/ssl/im.key', certificate.key),
                         ('/etc/ssl/im.pem', certificate.certificate),
                         ('/etc/haproxy/im.pem', certificate.certificate)):
            text = text.replace(old, new)
        # HAProxy wants both in one file, or the key beside it.
        os.link(certificate.key, f'{certificate.certificate}.key')
        cls.config['web']['forwarded'] = ['127.0.0.1']
        if cls.advertise:
            cls.config['web']['advertise'] = f'https://127.0.0.1:{port}'
        cls.addClassCleanup(front.start(cls.program, text, port, cls.directory).stop)
        cls.url = f'https://127.0.0.1:{port}/'

    def test_chat(self):
        alice, bob = (self.person(name, ignoreHTTPSErrors=True) for name in ('alice', 'bob'))
        alice.chat_with('bob')
        alice.say('through the proxy')
        alice.see('delivered', role='log')
        bob.enter('alice')
        bob.sees_message('through the proxy')
        bob.do('upload', what={'label': 'File to send'}, file=self.file('p.bin', bytes(300000)))
        alice.see('p.bin, 293 KiB', role='log')
        for page in (alice, bob):
            page.enter('Lobby')
            page.see('Participants (2)')
        bob.say('in the room')
        alice.sees_message('in the room')
        self.assertEqual(alice.do('said') + bob.do('said'), [])


class NginxTest(ProxyCase, PageCase):
    program = 'nginx'


class HaproxyTest(ProxyCase, PageCase):
    program = 'haproxy'
    advertise, settings = False, {'secure': False}


class DemoTest(unittest.TestCase):
    """scripts/demo web, with the programs that are built."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='msrpd-demo-test-')
        self.addCleanup(shutil.rmtree, self.directory)
        self.browser = browser.Browser()
        self.addCleanup(self.browser.stop)

    def test_demo(self):
        """Two people meet in its room and chat; nothing is left of it."""
        # ASan wants to be the first library, and not stdbuf's.
        command = ['env', '-u', 'LD_PRELOAD', os.path.join(SOURCE, 'scripts', 'demo'), 'web',
                   str(free_port())]
        demo = Program('demo', command, self.directory, MSRPD=MSRPD, MSRPCTL=MSRPCTL,
                       XDG_RUNTIME_DIR=self.directory)
        try:
            url = demo.line('^The chat page: (http://.*)$')[1]
            alice, bob = (Page(self.browser, name, url) for name in ('alice', 'bob'))
            for page in (alice, bob):
                page.log_in(page.name)
                page.enter('Lobby')
            alice.see('Participants (2)')
            alice.say('Hello, everybody')
            bob.sees_message('Hello, everybody')
            bob.chat_with('alice')
            bob.say('Hello, Alice')
            alice.enter('bob')
            alice.sees_message('Hello, Alice')
            alice.close()
            bob.close()
        finally:
            demo.stop()
        self.assertEqual(os.listdir(self.directory), [])


if __name__ == '__main__':
    if not browser.installed() or not phones.Baresip.installed():
        print('chromium, playwright-core or baresip is not installed', file=sys.stderr)
        sys.exit(2)
    case.main()
