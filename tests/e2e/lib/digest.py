"""Digest as a client: RFC 7616, RFC 4976 9.1, RFC 3261 22."""
import hashlib
import os

from .sip import parameters, token


def digest(algorithm, text):
    name = {'MD5': 'md5', 'SHA-256': 'sha256'}[algorithm]
    return hashlib.new(name, text.encode()).hexdigest()


class Credentials:
    """What answers a challenge; attributes may be bent before value() is asked."""

    def __init__(self, challenge, uri, user='alice', password='secret', nc=1, cnonce=None,
                 method='AUTH'):
        given = parameters(challenge)
        self.user, self.password, self.uri = user, password, uri
        self.method = method
        self.realm = given['realm']
        self.nonce = given['nonce']
        self.algorithm = given.get('algorithm', 'MD5')
        self.said = given.get('algorithm')
        self.nc = f'{nc:08x}'
        self.cnonce = cnonce or os.urandom(8).hex()
        self.qop = 'auth'
        self.header_uri = None

    def _ha1(self):
        return digest(self.algorithm, f'{self.user}:{self.realm}:{self.password}')

    def _proof(self, method):
        ha2 = digest(self.algorithm, f'{method}:{self.uri}')
        return digest(self.algorithm,
                      f'{self._ha1()}:{self.nonce}:{self.nc}:{self.cnonce}:auth:{ha2}')

    @property
    def response(self):
        return self._proof(self.method)

    @property
    def rspauth(self):
        return self._proof('')

    def value(self, **changes):
        """The header; changes replace parameters as written, None leaves one out."""
        fields = {'username': f'"{self.user}"', 'realm': f'"{self.realm}"',
                  'nonce': f'"{self.nonce}"', 'qop': self.qop, 'nc': self.nc,
                  'cnonce': f'"{self.cnonce}"', 'response': f'"{self.response}"'}
        if self.said:
            fields['algorithm'] = self.said
        if self.header_uri:
            fields['uri'] = f'"{self.header_uri}"'
        fields.update(changes)
        return 'Digest ' + ', '.join(f'{name}={value}' for name, value in fields.items()
                                     if value is not None)


def sip_credentials(challenge, method, uri, user='alice', password='secret', nc=1, **changes):
    """The value of Authorization that answers a challenge of SIP."""
    credentials = Credentials(challenge, uri, user, password, nc, method=method)
    credentials.header_uri = uri
    return credentials.value(**changes)


def authorized(ua, method, uri, transport, user, password, body=b'', headers=(), **kwargs):
    """A request that shows credentials once it is asked for them; the transaction."""
    kwargs = {'call_id': token(), **kwargs}
    first = ua.request(method, uri, transport, body, headers=headers, **kwargs).final(401)
    value = sip_credentials(first.get('WWW-Authenticate'), method, uri, user, password)
    return ua.request(method, uri, transport, body, cseq=2,
                      headers=[*headers, ('Authorization', value)], **kwargs)
