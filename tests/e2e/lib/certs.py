"""A certification authority for one test run, made with the openssl command."""
import hashlib
import os
import ssl
import subprocess


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

    def __init__(self, directory, name='ca'):
        self.directory = directory
        self.name = name
        self.own = Certificate(directory, name)
        self._serial = 0
        _openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
                 '-nodes', '-keyout', self.own.key, '-out', self.own.certificate, '-days', '30',
                 '-subj', f'/CN=msrpd test {name}',
                 '-addext', 'basicConstraints=critical,CA:TRUE',
                 '-addext', 'keyUsage=critical,keyCertSign,cRLSign')

    @property
    def file(self):
        return self.own.certificate

    def issue(self, name, sans=('IP:127.0.0.1',), expired=False, rsa=False, usage=None):
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
        return made


def self_signed(directory, name, sans=('DNS:self.invalid',)):
    made = Certificate(directory, name)
    _openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
             '-keyout', made.key, '-out', made.certificate, '-days', '30', '-subj', f'/CN={name}',
             '-addext', f'subjectAltName={",".join(sans)}')
    return made


def server_context(certificate, ca=None, require_client=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    if ca:
        context.load_verify_locations(ca.file)
        context.verify_mode = ssl.CERT_REQUIRED if require_client else ssl.CERT_OPTIONAL
    return context


def client_context(ca=None, certificate=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        context.load_verify_locations(ca.file)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate.certificate, certificate.key)
    return context
