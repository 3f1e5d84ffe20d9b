"""A certification authority for one test run, made with the openssl command."""
import hashlib
import os
import ssl
import subprocess
import warnings


def _openssl(*arguments):
    result = subprocess.run(['openssl', *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=60)
    if result.returncode != 0:
        raise AssertionError(f'openssl {arguments}: {result.stderr.decode()}')
    return result.stdout


class Certificate:
    def __init__(self, directory, name):
        self.certificate = os.path.join(directory, f'{name}.pem')
        self.key = os.path.join(directory, f'{name}.key')

    def fingerprint(self, name='sha-256'):
        """As in a=fingerprint (RFC 8122)."""
        with open(self.certificate, encoding='ascii') as file:
            der = ssl.PEM_cert_to_DER_cert(file.read())
        digest = hashlib.new(name.replace('-', ''), der).digest()
        return f'{name} {":".join(f"{octet:02X}" for octet in digest)}'


class Authority:
    """Elliptic curves: quick to make."""

    def __init__(self, directory, name='ca', issuer=None):
        """issuer: another authority, whose this one is; what it issues has this one's behind it."""
        self.directory = directory
        self.name = name
        self.issuer = issuer
        self.own = Certificate(directory, name)
        self._serial = 0
        signed = ['-CA', issuer.own.certificate, '-CAkey', issuer.own.key] if issuer else []
        _openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
                 '-nodes', '-keyout', self.own.key, '-out', self.own.certificate, '-days', '30',
                 '-subj', f'/CN=msrpd test {name}', *signed,
                 '-addext', 'basicConstraints=critical,CA:TRUE',
                 '-addext', 'keyUsage=critical,keyCertSign,cRLSign')

    @property
    def file(self):
        return self.own.certificate

    def issue(self, name, sans=('IP:127.0.0.1',), expired=False, rsa=False, usage=None,
              chain=True):
        """A certificate for those subjectAltNames ('DNS:x', 'IP:y'), and that extendedKeyUsage."""
        made = Certificate(self.directory, name)
        request = os.path.join(self.directory, f'{name}.csr')
        extensions = os.path.join(self.directory, f'{name}.ext')
        key = ['-newkey', 'rsa:2048'] if rsa else \
            ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
        _openssl('req', *key, '-nodes', '-keyout', made.key, '-out', request,
                 '-subj', f'/CN={name}')
        with open(extensions, 'w', encoding='ascii') as file:
            file.write('basicConstraints=CA:FALSE\n')
            if sans:
                file.write(f'subjectAltName={",".join(sans)}\n')
            if usage:
                file.write(f'extendedKeyUsage={usage}\n')
        self._serial += 1
        days = ['-days', '30'] if not expired else ['-days', '-1']
        _openssl('x509', '-req', '-in', request, '-CA', self.own.certificate, '-CAkey',
                 self.own.key, '-set_serial', str(self._serial), '-out', made.certificate,
                 '-extfile', extensions, *days)
        if self.issuer and chain:
            with open(self.own.certificate, encoding='ascii') as own, \
                    open(made.certificate, 'a', encoding='ascii') as file:
                file.write(own.read())
        return made


def self_signed(directory, name, sans=('DNS:self.invalid',)):
    made = Certificate(directory, name)
    _openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
             '-keyout', made.key, '-out', made.certificate, '-days', '30', '-subj', f'/CN={name}',
             '-addext', f'subjectAltName={",".join(sans)}')
    return made


def server_context(certificate, ca=None, require_client=False, names=None):
    """names: to be filled with what clients call us (SNI)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if names is not None:
        context.sni_callback = lambda sock, name, context: names.append(name)
    context.load_cert_chain(certificate.certificate, certificate.key)
    if ca:
        context.load_verify_locations(ca.file)
        context.verify_mode = ssl.CERT_REQUIRED if require_client else ssl.CERT_OPTIONAL
    return context


def client_context(ca=None, certificate=None, version=None):
    """version: that one alone, with ciphers that even TLS 1.1 has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if version:
        context.set_ciphers('ALL:@SECLEVEL=0')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', DeprecationWarning)     # of those before 1.2
            context.minimum_version = context.maximum_version = version
    if ca:
        context.load_verify_locations(ca.file)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate.certificate, certificate.key)
    return context
