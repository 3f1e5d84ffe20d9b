"""SIP phones that are none of ours, as far as they know MESSAGE.

They register with the proxy of a domain, or with msrpd, and write to one peer.
"""
import os
import shutil

from .daemon import free_port
from .program import Program
from .waiting import Timeout, poll

NPM = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'npm')


class Phone:
    """Subclasses start the program and know how it is talked to."""

    name = None                 # of the user, too
    shown = ''                  # how a line begins that has a message
    tls_host = '127.0.0.1'      # by what it knows the other side where that shows a certificate

    def __init__(self, directory, proxy_port, peer, password=None, transport='udp',
                 authority=None):
        """The authority is the file of who vouches for the other side's certificate."""
        self.directory = os.path.join(directory, f'{self.name}-{proxy_port}')
        os.mkdir(self.directory)
        self.port = free_port(count=2)  # baresip takes the next one for TLS
        host = self.tls_host if authority else '127.0.0.1'
        self.proxy = f'sip:{host}:{proxy_port}'
        if transport != 'udp':
            self.proxy += f';transport={transport}'
        self.password = password
        self.transport = transport
        self.authority = authority
        self.peer = peer
        self.program = Program(self.name, self.command(), self.directory, **self.environment())
        try:
            self.ready()
        except Timeout:
            self.stop()
            raise

    def environment(self):
        return {}

    @property
    def uri(self):
        return f'sip:{self.name}@example.org'

    def contact(self, kind='UDP'):
        """Where the gateway finds it, whatever transport it is reached by: the proxy knows."""
        return self.uri

    def write(self, name, text):
        with open(os.path.join(self.directory, name), 'w', encoding='ascii') as file:
            file.write(text)

    def shows(self, text):
        """The next message that it shows ends so."""
        self.program.line(f'{self.shown}{text}"?$')

    def stop(self):
        self.program.stop()


class Baresip(Phone):
    """It writes to whom it has among its contacts."""

    name = 'baresip'
    shown = ': ".*'

    @classmethod
    def installed(cls):
        return shutil.which('baresip')

    def command(self):
        self.write('config', '\n'.join([
            f'sip_listen 127.0.0.1:{self.port}', 'module_path /usr/lib/baresip/modules',
            'module stdio.so', 'module_app menu.so', 'module_app account.so',
            'module_app contact.so', '']))
        secret = f';auth_pass={self.password}' if self.password else ''
        self.write('accounts', f'<{self.uri}>;regint=600;outbound="{self.proxy}"{secret}\n')
        self.write('contacts', f'"Peer" <{self.peer}>\n')
        return ['baresip', '-f', self.directory, '-v']

    def ready(self):
        self.program.line('200 OK')

    def send(self, text):
        self.program.tell(f'/message {text}')


class Linphone(Phone):
    """The addresses in a certificate are nothing to its TLS library."""

    name = 'linphone'
    tls_host = 'localhost'
    shown = 'Message received from .*: .*'

    @classmethod
    def installed(cls):
        return shutil.which('linphonec')

    def command(self):
        os.makedirs(os.path.join(self.directory, '.local', 'share', 'linphone'))
        self.write('rc', '\n'.join([
            '[sip]', f'sip_port={self.port}', f'sip_tcp_port={self.port}',
            f'sip_tls_port={self.port + 1 if self.authority else 0}',
            f'root_ca={self.authority or ""}', 'bind_address=127.0.0.1', 'default_proxy=0', '[proxy_0]',
            f'reg_proxy=<{self.proxy}>', f'reg_route=<{self.proxy}>',
            f'reg_identity={self.uri}', 'reg_sendregister=1', 'reg_expires=600', *self.account(),
            '']))
        return ['linphonec', '-c', 'rc']

    def account(self):
        if not self.password:
            return []
        return ['[auth_info_0]', f'username={self.name}', f'passwd={self.password}',
                'realm=example.org']

    def ready(self):
        poll(self._registered, what="linphone's registration", interval=0.2)

    def _registered(self):
        self.program.tell('status register')
        return self.program.lines.has(lambda line: line.startswith('registered, '))

    def send(self, text):
        self.program.tell(f'chat {self.peer} {text}')


class JavaScript(Phone):
    """Over WebSocket."""

    shown = '^message .*'
    library = None

    @classmethod
    def installed(cls):
        return shutil.which('node') and os.path.isdir(
            os.path.join(NPM, 'node_modules', cls.library))

    def command(self):
        place = self.proxy.removeprefix('sip:').partition(';')[0]
        scheme = 'wss' if self.transport == 'wss' else 'ws'
        return ['node', os.path.join(NPM, 'phone.mjs'), self.library, f'{scheme}://{place}',
                self.uri, self.peer, *([self.password] if self.password else [])]

    def environment(self):
        return {'NODE_EXTRA_CA_CERTS': self.authority} if self.authority else {}

    def ready(self):
        self.program.line('^ready')

    def send(self, text):
        self.program.tell(text)


class SipJs(JavaScript):
    name = 'sipjs'
    library = 'sip.js'


class JsSip(JavaScript):
    name = 'jssip'
    library = 'jssip'
