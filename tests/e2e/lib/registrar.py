"""What tests of the registrar share."""
import re

from .case import Case
from .digest import sip_credentials
from .sip import token, uri_of

DOMAIN = 'example.org'
USERS = {name: {'password': f'{name} secret'} for name in ('alice', 'bob', 'carol')}
INSTANCE = '"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'
# A page for whom the Request-URI names, as $hdr tells what it is made of.
PAGE = {'if': {'$rm': 'MESSAGE'}, 'do': [
    'lookup',
    {'send_message': {'ruri': '$ru', 'from': '$fu', 'to': '$tu', 'content_type': '$cT',
                      'body': '$rb'}},
    {'send_reply': {'code': 202, 'reason': 'Accepted', 'headers': {'X-Target': '$ru'}}}]}


def config(registrar=None, rules=()):
    return {'users': USERS, 'registrar': {'domains': [DOMAIN], **(registrar or {})},
            'routes': {'sip': [*rules, PAGE]}}


class RegistrarCase(Case):
    config = config()

    def tearDown(self):
        if self.daemon and self.daemon.alive:
            for one in self.ctl.call('registrar_list'):
                try:
                    self.ctl.call('registrar_remove', aor=one['aor'])
                except Exception:   # gone with the one before
                    pass
        super().tearDown()

    def aor(self, user='alice'):
        return f'sip:{user}@{DOMAIN}'

    def register(self, contacts=(), user='alice', code=200, expires=None, call_id=None, cseq=1,
                 aor=None, ua=None, kind='UDP', daemon=None, password=None, headers=(), over=None,
                 uri=f'sip:{DOMAIN}'):
        """A whole registration, challenge included, over that transport; the final answer."""
        ua = ua or self.sip
        daemon = daemon or self.daemon
        transport = over or ua.reach('127.0.0.1', daemon.sip_port, kind)
        fields = [('Contact', value) for value in
                  ([contacts] if isinstance(contacts, str) else contacts)]
        if expires is not None:
            fields.append(('Expires', str(expires)))
        fields += headers
        aor = aor or self.aor(user)
        kwargs = {'from_uri': aor, 'to_uri': aor, 'call_id': call_id or token()}
        first = ua.request('REGISTER', uri, transport, headers=fields, cseq=cseq, **kwargs).final()
        if first.code != 401:
            self.assertEqual(first.code, code, first.start)
            return first
        value = sip_credentials(first.get('WWW-Authenticate'), 'REGISTER', uri, user,
                                password or f'{user} secret')
        return ua.request('REGISTER', uri, transport, cseq=cseq + 1,
                          headers=[*fields, ('Authorization', value)], **kwargs).final(code)

    def contacts(self, response):
        """{URI: parameters} of the Contacts of an answer, in their order."""
        found = {}
        for value in response.all('Contact'):
            parameters = dict(re.findall(r';([^=;]+)=("[^"]*"|[^;]*)', value.partition('>')[2]))
            found[uri_of(value)] = parameters
        return found

    def listed(self, user='alice', ctl=None):
        return [one['contact'] for one in
                (ctl or self.ctl).call('registrar_list', aor=self.aor(user))]

    def new(self, contact, user='alice'):
        self.ctl.event('E_REGISTRATION_NEW', aor=self.aor(user), contact=contact)

    def ended(self, contact, reason, user='alice'):
        self.ctl.event('E_REGISTRATION_END', aor=self.aor(user), contact=contact, reason=reason)

    def page(self, user='alice', code=202, daemon=None, body=b'hello', uri=None, over=None,
             **kwargs):
        """A MESSAGE for a user; the answer to its sender."""
        daemon = daemon or self.daemon
        sender = over.ua if over else self.ua(name='sender')
        transport = over or sender.reach('127.0.0.1', daemon.sip_port)
        return sender.request('MESSAGE', uri or self.aor(user), transport, body,
                              to_uri=uri or self.aor(user), content_type='text/plain',
                              **kwargs).final(code)

    def statistics(self):
        return {name.partition(':')[2]: value for name, value in
                self.ctl.call('get_statistics', group='registrar').items()}
