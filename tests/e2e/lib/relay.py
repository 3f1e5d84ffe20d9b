"""A scripted MSRP relay (RFC 4976) as msrpd's UA meets it behind relay_uri."""
import hashlib

from . import msrp
from .daemon import free_port
from .frame import Frame, new_id
from .sip import digest_response, parameters
from .waiting import Mailbox

REALM = 'relay.example.org'
USER, PASSWORD = 'gw', 's3cret'
CREDENTIALS = [{'realm': REALM, 'username': USER, 'password': PASSWORD}]


class Relay:
    """Challenges, checks and grants as told; forwards nothing.

    grant(frame) gives the URIs of the Use-Path; change the attributes to misbehave.
    """

    def __init__(self, tls=None):
        self.listener = msrp.Listener(behave=self._behave, tls=tls, name='relay', port=free_port())
        self.auths = Mailbox('AUTHs')
        self.challenge_text = None          # instead of the proper challenge
        self.always = None                  # a code that every AUTH gets, whatever it holds
        self.silent = False
        self.expires = 1800
        self.extra = ''                     # of the challenge
        self.authentication_info = None     # instead of the proper value
        self.next_nonce = None
        self.nonce = new_id()
        self.grants = []
        self.grant = lambda frame: [self.listener.uri()]

    @property
    def uri(self):
        return self.listener.uri().rsplit('/', 1)[0] + ';tcp'

    def _behave(self, frame, conn):
        if frame.method == 'AUTH':
            self.auths.put(frame)
            if not self.silent:
                self._auth(frame, conn)
        else:
            msrp.answer_ok(frame, conn)

    def _auth(self, frame, conn):
        value = frame.get('Authorization')
        if self.always:
            self._answer(conn, frame, self.always, [])
        elif value is None or not self._proven(frame, value):
            text = self.challenge_text
            if text is None:
                text = f'Digest realm="{REALM}", nonce="{self.nonce}", qop="auth"{self.extra}'
            self._answer(conn, frame, 401, [('WWW-Authenticate', text)])
        else:
            self._grant(conn, frame, parameters(value))

    def _proven(self, frame, value):
        given = parameters(value)
        if given.get('nonce') != self.nonce:
            return False
        return given.get('response') == digest_response(
            USER, REALM, PASSWORD, 'AUTH', frame.to_path[-1], given['nonce'], given.get('nc'),
            given.get('cnonce'), given.get('qop'))

    def _grant(self, conn, frame, given):
        path = self.grant(frame)
        self.grants.append(path)
        info = self.authentication_info or self._rspauth(frame, given)
        if self.next_nonce:
            info += f', nextnonce="{self.next_nonce}"'
            self.nonce, self.next_nonce = self.next_nonce, None
        self._answer(conn, frame, 200, [('Use-Path', ' '.join(path)),
                                        ('Expires', str(self.expires)),
                                        ('Authentication-Info', info)])

    @staticmethod
    def _rspauth(frame, given):
        def md5(text):
            return hashlib.md5(text.encode()).hexdigest()
        ha1 = md5(f'{USER}:{REALM}:{PASSWORD}')
        proof = md5(f'{ha1}:{given["nonce"]}:{given["nc"]}:{given["cnonce"]}:auth:'
                    + md5(f':{frame.to_path[-1]}'))
        return (f'rspauth="{proof}", cnonce="{given["cnonce"]}", nc={given["nc"]}, qop=auth')

    @staticmethod
    def _answer(conn, frame, code, headers):
        conn.send(Frame(frame.tid, code=code, comment='x', headers=[
            ('To-Path', ' '.join(frame.from_path)), ('From-Path', frame.to_path[0]), *headers]))

    def expect_auth(self):
        return self.auths.take(what='AUTH')
