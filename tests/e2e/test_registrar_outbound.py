#!/usr/bin/env python3
"""Clients that keep flows to us, and those behind proxies: RFC 5626, RFC 3327."""
import socket

from lib import case, sdp
from lib.daemon import free_port
from lib.registrar import DOMAIN, INSTANCE, RegistrarCase, config
from lib.sip import Dialog, uri_of
from lib.waiting import DEADLINE, poll

OUTBOUND = ('Supported', 'path, outbound')
VIA = ('Via', 'SIP/2.0/UDP 192.0.2.77:5060;branch=z9hG4bKphone;received=192.0.2.77')


def flow(uri, reg_id=1):
    return f'<{uri}>;reg-id={reg_id};+sip.instance={INSTANCE}'


class OutboundTest(RegistrarCase):
    """Who has come to us himself."""

    contact = 'sip:alice@192.0.2.77:5060;transport=tcp;ob'

    def test_two_flows(self):
        """One client over two connections, by one Contact: two bindings, and each is of its own."""
        first, second = self.ua(user='alice'), self.ua(user='alice')
        self.register(flow(self.contact, 1), ua=first, kind='TCP')
        self.register(flow(self.contact, 2), ua=second, kind='TCP')
        self.assertEqual([one['reg_id'] for one in self.ctl.call('registrar_list')], ['2', '1'])
        self.page(body=b'by the newer')
        message = second.expect('MESSAGE')
        self.assertEqual(message.request.body, b'by the newer')
        message.respond(200)
        second.reach('127.0.0.1', self.daemon.sip_port, 'TCP').close()
        self.ended(self.contact, 'failed')
        self.page(body=b'by the other')
        first.expect('MESSAGE').respond(200)

    def test_same_flow(self):
        """The same two, by another Contact, are one binding."""
        self.register(flow(self.contact), kind='TCP')
        self.register(flow('sip:alice@192.0.2.78;transport=tcp'), kind='TCP')
        self.ended(self.contact, 'replaced')
        self.assertEqual(self.listed(), ['sip:alice@192.0.2.78;transport=tcp'])

    def test_require(self):
        """The answer tells whether it has been understood."""
        for headers, required in (([OUTBOUND], 'outbound'), ([('k', 'outbound')], 'outbound'),
                                  ([('Require', 'path,Outbound')], 'outbound'),
                                  ([('Supported', 'path')], None), ([], None)):
            with self.subTest(headers=headers):
                response = self.register(flow(self.contact), headers=headers, kind='TCP')
                self.assertEqual(response.get('Require'), required)
                self.assertEqual(response.get('Flow-Timer'), '120' if required else None)
        for contact in (f'<{self.contact}>', f'<{self.contact}>;reg-id=1',
                        f'<{self.contact}>;+sip.instance={INSTANCE}'):
            with self.subTest(contact=contact):
                response = self.register(contact, headers=[OUTBOUND], kind='TCP')
                self.assertIsNone(response.get('Require'))
        response = self.register(flow(self.contact), headers=[('Require', 'gruu')], code=420)
        self.assertEqual(response.get('Unsupported'), 'gruu')

    def test_parameters(self):
        """All of a Contact's are kept, and given back."""
        self.register(f'<{self.contact}>;audio;q=0.5;methods="INVITE,MESSAGE";expires=600;+g.a="<x;y>"',
                      kind='TCP')
        contact, = self.register(kind='TCP').all('Contact')
        self.assertRegex(contact, r'>;expires=\d+;q=0.500;audio;methods="INVITE,MESSAGE";\+g.a="<x;y>"$')
        self.register(f'<{self.contact}>;long="{"x" * 1020}"', kind='TCP', code=400)


class DatagramTest(RegistrarCase):
    """Flows by UDP: who is behind a NAT has no other way."""

    private = 'sip:alice@192.0.2.77:5060'
    config = config(rules=[{'if': {'$rm': 'REGISTER', '$hdr(X-NAT)': 'yes'}, 'do': [
        {'www_authorize': {'realm': DOMAIN}}, 'fix_nated_register', 'save']},
        {'if': {'$rm': 'INVITE'}, 'do': ['lookup', {'msrp_anchor': {'ruri': '$ru'}}]}])

    def setUp(self):
        super().setUp()
        self.phone = self.ua(user='alice')

    def gets_page(self, uri, body=b'hello'):
        self.page(body=body)
        message = self.phone.expect('MESSAGE')
        self.assertEqual((message.request.body, message.request.uri), (body, uri))
        message.respond(200)

    def test_outbound(self):
        for contact in (flow(self.private), f'<{self.private};ob>'):
            with self.subTest(contact=contact):
                response = self.register(contact, ua=self.phone, headers=[OUTBOUND])
                outbound = 'reg-id' in contact
                self.assertEqual((response.get('Require'), response.get('Flow-Timer')),
                                 ('outbound', '29') if outbound else (None, None))
                self.gets_page(uri_of(contact))
                self.register('*', ua=self.phone, expires=0)

    def test_nated(self):
        """A plain phone, of which a rule says so; and how it is called."""
        self.register(f'<{self.private}>', ua=self.phone, headers=[('X-NAT', 'yes')])
        self.gets_page(self.private)
        caller = self.ua(name='caller')
        offer = sdp.document(sdp.message('msrp://127.0.0.1:9/caller;tcp', 'text/plain'))
        call = self.invite(offer, ua=caller, uri=self.aor(), to_uri=self.aor())
        invite = self.phone.expect('INVITE')
        self.assertEqual(invite.request.uri, self.private)
        self.phone.contact = lambda kind='UDP': self.private
        invite.respond(200, sdp.document(sdp.message('msrp://127.0.0.1:9/phone;tcp', 'text/plain',
                                                     setup='passive')))
        dialog = Dialog.of_client(call, call.final(200))
        dialog.ack()
        called = Dialog.of_server(invite)
        called.expect('ACK')
        dialog.request('BYE').final(200)
        called.expect('BYE').respond(200)

    def test_moves(self):
        """The NAT has given it another port: from the refresh on it is reached there."""
        self.register(f'<{self.private};ob>', ua=self.phone)
        self.phone = self.ua(user='alice')
        self.register(f'<{self.private};ob>', ua=self.phone)
        self.gets_page(f'{self.private};ob')
        self.assertEqual(self.ctl.pending('E_REGISTRATION_END'), [])

    def test_unreachable(self):
        """ICMP: its binding ends, and those of others at that port (RFC 5626 7)."""
        other = 'sip:bob@192.0.2.77:5060;ob'
        phone = self.ua(user='alice', port=free_port())
        self.register(f'<{self.private};ob>', ua=phone)
        self.register(f'<{other}>', user='bob', ua=phone)
        phone.close()
        self._uas.remove(phone)
        self.page()
        self.ended(f'{self.private};ob', 'failed')
        self.ended(other, 'failed', user='bob')
        self.page(code=480)

    def test_large(self):
        """No TCP leads there: what is too large for a datagram does not go at all."""
        self.register(f'<{self.private};ob>', ua=self.phone)
        self.page(body=b'x' * 2000, code=513)
        self.gets_page(f'{self.private};ob', b'small')


class LifeTest(RegistrarCase):
    """A connection on which somebody is registered stays, be it never so silent."""

    own_daemon = True

    def run_with(self, sip):
        self.one, self.ctl = self.start({**config(), 'sip': {'idle_timeout': '2s', **sip}})
        self.phone = self.ua(user='alice')
        self.register('<sip:alice@a1b2c3.invalid;transport=tcp>', ua=self.phone, kind='TCP',
                      daemon=self.one)
        self.stream = self.phone.reach('127.0.0.1', self.one.sip_port, 'TCP')

    def outlives_another(self):
        """One that was opened later, and on which nobody is."""
        with socket.create_connection(('127.0.0.1', self.one.sip_port), DEADLINE) as other:
            self.assertEqual(other.recv(1), b'')
        self.page(daemon=self.one)
        message = self.phone.expect('MESSAGE')
        self.assertIs(message.transport, self.stream)
        message.respond(200)

    def test_pinged(self):
        """It need not answer."""
        self.run_with({'ping_interval': '50ms'})
        poll(lambda: self.stream.blank >= 10 * 4, what='pings')
        self.outlives_another()

    def test_not_pinged(self):
        self.run_with({'ping_interval': 0})
        self.outlives_another()
        self.assertEqual(self.stream.blank, 0)

    def test_until_it_ends(self):
        """Nobody is registered any more: it is closed as any other."""
        self.run_with({'ping_interval': 0})
        self.outlives_another()
        self.ctl.call('registrar_remove', aor=self.aor())
        self.stream.thread.join(DEADLINE)
        self.assertFalse(self.stream.thread.is_alive())


class ProxyTest(RegistrarCase):
    """Whose REGISTER has more than one Via."""

    def setUp(self):
        super().setUp()
        self.phone, self.proxy = self.ua(user='alice'), self.ua(name='proxy')

    def by_proxy(self, contact=None, headers=(), **kwargs):
        return self.register(contact or f'<{self.phone.contact()}>', ua=self.proxy, kind='TCP',
                             headers=[VIA, *headers], **kwargs)

    def path(self, *parameters):
        return ';'.join((self.proxy.contact(), *parameters))

    def test_it_is_called(self):
        """Where it says; the proxy's connection is the proxy's, and may end."""
        self.by_proxy()
        self.page(body=b'one')
        message = self.phone.expect('MESSAGE')
        self.assertEqual(message.request.uri, self.phone.contact())
        message.respond(200)
        self.proxy.reach('127.0.0.1', self.daemon.sip_port, 'TCP').close()
        self.page(body=b'two')
        self.phone.expect('MESSAGE').respond(200)
        self.assertEqual(self.ctl.pending('E_REGISTRATION_END'), [])

    def test_no_outbound(self):
        """The first hop keeps no flow: who asks for it is told, who does not is a plain contact."""
        contact = flow(self.phone.contact())
        for path in ([], [('Path', f'<{self.path("lr")}>')],
                     [('Path', f'<{self.path("lr;ob")}>, <sip:first@192.0.2.1;lr>')]):
            with self.subTest(path=path):
                response = self.by_proxy(contact, [OUTBOUND, *path], code=439)
                self.assertEqual(response.reason, 'First Hop Lacks Outbound Support')
        response = self.by_proxy(contact, [('Supported', 'path')])
        self.assertNotIn('reg-id', response.get('Contact'))
        self.assertEqual(self.contacts(response)[self.phone.contact()]['+sip.instance'], INSTANCE)
        self.assertIsNone(self.ctl.call('registrar_list')[0]['reg_id'])

    def test_outbound(self):
        """Its first hop does."""
        response = self.by_proxy(flow(self.phone.contact()), [
            OUTBOUND, ('Path', f'<sip:192.0.2.9;lr>, <{self.path("lr", "ob")}>')])
        self.assertEqual(response.get('Require'), 'outbound')
        self.assertIsNone(response.get('Flow-Timer'))       # the proxy's to say
        self.assertEqual(self.contacts(response)[self.phone.contact()]['reg-id'], '1')

    def test_path(self):
        """It is the Route of what is sent there, and given back to who knows of it."""
        first, second = self.path('lr', 'x=1'), 'sip:edge@192.0.2.9;lr'
        response = self.by_proxy(headers=[('Path', f'<{first}>'), ('Path', f'<{second}>;a=b'),
                                          ('Supported', 'path')])
        self.assertEqual(', '.join(response.all('Path')), f'<{first}>, <{second}>;a=b')
        self.proxy.reach('127.0.0.1', self.daemon.sip_port, 'TCP').close()
        self.page(body=b'by way of it')
        message = self.proxy.expect('MESSAGE')
        self.assertEqual((message.request.uri, ', '.join(message.request.all('Route'))),
                         (self.phone.contact(), f'<{first}>, <{second}>;a=b'))
        message.respond(200)
        response = self.by_proxy(headers=[('Path', f'<{first}>')])
        self.assertIsNone(response.get('Path'))
        self.by_proxy(headers=[])
        self.page()
        self.phone.expect('MESSAGE').respond(200)

    def test_bad_paths(self):
        for path in ('<sip:192.0.2.9>', '<tel:+1212;lr>', 'x<y', '<sip:192.0.2.9;lr>, *',
                     ', '.join(f'<sip:{n}@192.0.2.9;lr>' for n in range(50))):
            with self.subTest(path=path[:30]):
                self.by_proxy(headers=[('Path', path)], code=400)
                self.assertEqual(self.listed(), [])


class ProxiedSessionTest(RegistrarCase):
    """A call of the gateway's to who is behind a proxy."""

    config = config(rules=[{'if': {'$rm': 'MESSAGE'}, 'do': [
        'lookup', {'msg_to_msrp': {'key': '$tu:$fu', 'content_types': 'text/plain'}}]}])

    def test_path(self):
        client, proxy = self.ua(user='bob'), self.ua(name='proxy')
        path = f'{proxy.contact()};lr'
        self.register(f'<{client.contact()}>', user='bob', ua=proxy,
                      headers=[VIA, ('Path', f'<{path}>')])
        self.page('bob')
        invite = proxy.expect('INVITE')
        self.assertEqual((invite.request.uri, invite.request.all('Route')),
                         (client.contact(), [f'<{path}>']))
        invite.respond(486)
        self.ctl.event('E_MSRP_GW_SETUP_FAILED', code=486)


if __name__ == '__main__':
    case.main()
