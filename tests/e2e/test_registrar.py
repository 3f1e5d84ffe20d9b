#!/usr/bin/env python3
"""The registrar (RFC 3261 10.3, RFC 5626): REGISTER, save, lookup, and what operators see of it."""
from lib import case, certs, sdp
from lib.case import Call
from lib.daemon import Daemon, free_port, merge
from lib.digest import digest
from lib.frame import new_id
from lib.gateway import CLIENT, TEXT, GatewayCase
from lib.registrar import DOMAIN, INSTANCE, PAGE, USERS, RegistrarCase, config
from lib.rooms import LOBBY, RoomCase, rooms
from lib.sip import Dialog, token
from lib.waiting import poll


class RegisterTest(RegistrarCase):
    def test_register(self):
        """Challenged, kept, told, and answered with what there is."""
        before = self.statistics()
        contact = self.sip.contact()
        response = self.register(f'<{contact}>;expires=600')
        self.assertEqual(self.contacts(response), {contact: {'expires': '600'}})
        self.assertRegex(response.get('Date'), r'^\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$')
        event = self.ctl.event('E_REGISTRATION_NEW', aor=self.aor(), contact=contact)
        self.assertEqual(event['expires'], 600)
        one, = self.ctl.call('registrar_list')
        self.assertEqual((one['aor'], one['contact'], one['q'], one['instance']),
                         (self.aor(), contact, '1.000', None))
        self.assertIn(one['expires'], range(590, 601))
        self.assertTrue(one['source'].startswith('udp:127.0.0.1:'))
        after = self.statistics()
        self.assertEqual((after['aors'], after['contacts'], after['registered']),
                         (1, 1, before['registered'] + 1))

    def test_refresh(self):
        """No event; the newer interval counts."""
        contact = self.sip.contact()
        call_id = token()
        self.register(f'<{contact}>', call_id=call_id)
        self.new(contact)
        self.register(f'<{contact}>', expires=100, call_id=call_id, cseq=5)
        self.assertEqual(self.ctl.pending('E_REGISTRATION_NEW'), [])
        self.assertIn(self.ctl.call('registrar_list')[0]['expires'], range(90, 101))

    def test_expires(self):
        """Of the contact, else of the header, else the default; never more than max_expires."""
        a, b, c, d, e = (f'sip:alice@127.0.0.1:{port}' for port in range(20001, 20006))
        response = self.register([f'<{a}>;expires=70', f'<{b}>', f'<{c}>;expires=99999999999',
                                  f'<{d}>;expires=soon', f'<{e}>;expires=4294967295'],
                                 expires=80)
        self.assertEqual({uri: each['expires'] for uri, each in self.contacts(response).items()},
                         {a: '70', b: '80', c: '7200', d: '80', e: '7200'})
        response = self.register(f'<{a}>')
        self.assertEqual(self.contacts(response)[a], {'expires': '3600'})

    def test_expires_of_many_digits(self):
        """More than 32 bits is as much as there may be, and noughts in front count for nothing."""
        a, b, c, d = (f'sip:alice@127.0.0.1:{port}' for port in range(20001, 20005))
        response = self.register([f'<{a}>;expires=70', f'<{b}>;expires=4294967296',
                                  f'<{c}>;expires=9999999999', f'<{d}>;expires=0000000000060'])
        self.assertEqual({uri: each['expires'] for uri, each in self.contacts(response).items()},
                         {a: '70', b: '7200', c: '7200', d: '60'})

    def test_fetch(self):
        """Without a Contact: what there is, and nothing else happens."""
        self.assertEqual(self.contacts(self.register()), {})
        contact = self.sip.contact()
        self.register(f'<{contact}>', expires=100)
        self.assertEqual(list(self.contacts(self.register(expires=0))), [contact])

    def test_remove(self):
        one, two = 'sip:alice@127.0.0.1:20001', 'sip:alice@127.0.0.1:20002'
        self.register([f'<{one}>', f'<{two}>'])
        response = self.register(f'<{one}>;expires=0')
        self.assertEqual(list(self.contacts(response)), [two])
        self.ended(one, 'unregistered')
        # What is not there may be removed, too.
        self.register(f'<{one}>', expires=0)
        self.register(f'<{two}>', expires=0)
        self.ended(two, 'unregistered')
        self.assertEqual(self.statistics()['aors'], 0)

    def test_remove_all(self):
        one, two = 'sip:alice@127.0.0.1:20001', 'sip:alice@127.0.0.1:20002'
        self.register([f'<{one}>', f'<{two}>'])
        for contacts, expires in (('*', None), ('*', 60), (['*', f'<{one}>'], 0),
                                  ([f'<{one}>', '*'], 0), (['*', '*'], 0)):
            with self.subTest(contacts=contacts, expires=expires):
                self.register(contacts, expires=expires, code=400)
        self.assertEqual(sorted(self.listed()), [one, two])
        self.assertEqual(self.contacts(self.register('*', expires=0)), {})
        self.ended(one, 'unregistered')
        self.ended(two, 'unregistered')

    def test_too_brief(self):
        response = self.register('<sip:alice@127.0.0.1:20001>;expires=59', code=423)
        self.assertEqual(response.get('Min-Expires'), '60')
        self.assertEqual(self.listed(), [])

    def test_order(self):
        """Step 7: what comes late changes nothing, whichever contact it was about."""
        one, two = 'sip:alice@127.0.0.1:20001', 'sip:alice@127.0.0.1:20002'
        call_id = token()
        self.register(f'<{one}>', call_id=call_id, cseq=10)
        for cseq in (9, 10):        # the second request of each has one more
            self.register([f'<{two}>', f'<{one}>;expires=0'], call_id=call_id, cseq=cseq, code=400)
            self.register('*', expires=0, call_id=call_id, cseq=cseq, code=400)
        self.assertEqual(self.listed(), [one])
        self.register(f'<{one}>;expires=0', call_id=call_id, cseq=11)
        self.assertEqual(self.listed(), [])
        # Another Call-ID is another client, or one that has begun anew.
        self.register(f'<{one}>', call_id=call_id, cseq=10)
        self.register(f'<{one}>;expires=0', cseq=1)
        self.assertEqual(self.listed(), [])

    def test_all_or_nothing(self):
        """One contact that cannot be, and none is."""
        good = '<sip:alice@127.0.0.1:20001>'
        long = 'sip:' + 'a' * 1100 + '@127.0.0.1:20002'
        for bad, code in (('<sip:alice@127.0.0.1:20002>;expires=1', 423),
                          ('<tel:+12125551212>', 400), ('<sip:alice@p/.a/.example.org>', 400),
                          ('<mailto:alice@example.org>', 400),
                          ('<sip:alice@127.0.0.1:20002>;q=2', 400), ('*', 400),
                          ('<sip:alice@127.0.0.1:20002>;q=0.1234', 400),
                          ('<sip:alice@127.0.0.1:20002>;q=x', 400), (good, 400),
                          (f'<{long}>', 400), ('<sip:alice@127.0.0.1:20002', 400),
                          (f'<sip:alice@{DOMAIN}>', 403)):
            with self.subTest(bad=bad[:50]):
                self.register([good, bad], code=code)
                self.assertEqual(self.listed(), [])
        self.assertEqual(self.ctl.pending('E_REGISTRATION_NEW'), [])

    def test_itself(self):
        """Who is called here would be looked for here: whatever the spelling."""
        port = self.daemon.sip_port
        for host in (f'127.0.0.1:{port}', f'localhost:{port}', f'LOCALHOST.:{port}',
                     f'127.1:{port}', f'2130706433:{port}', f'0.0.0.0:{port}',
                     f'[::ffff:127.0.0.1]:{port}', f'[::]:{port}',
                     f'[0:0:0:0:0:ffff:7f00:1]:{port};transport=tcp',
                     f'elsewhere.example:{port};maddr=127.1', f'elsewhere.example;maddr={DOMAIN}',
                     DOMAIN, 'EXAMPLE.ORG.', f'{DOMAIN}:20001'):
            with self.subTest(host=host):
                self.register(f'<sip:alice@{host}>', code=403)
        self.assertEqual(self.ctl.call('registrar_list'), [])
        for host in ('127.0.0.1:20001', 'localhost:20001', f'127.0.0.2:{port}',
                     f'phone.{DOMAIN}:{port}'):
            with self.subTest(host=host):
                self.register(f'<sip:alice@{host}>')
                self.assertEqual(self.listed(), [f'sip:alice@{host}'])
                self.register('*', expires=0)

    def test_who(self):
        """Who does not know the password; who does, but is another; what is no domain of ours."""
        contact = '<sip:alice@127.0.0.1:20001>'
        self.register(contact, password='wrong', code=401)
        self.register(contact, user='mallory', code=401)
        self.register(contact, user='bob', aor=self.aor('alice'), code=403)
        self.register(contact, aor='sip:alice@example.com', code=403)
        self.register(contact, aor=f'sip:{DOMAIN}', code=403)
        self.register(contact, aor='tel:+12125551212', code=400)
        self.assertEqual(self.ctl.call('registrar_list'), [])

    def test_names(self):
        """The case of a domain does not matter, nor do parameters; that of a user does."""
        contact = 'sip:alice@127.0.0.1:20001'
        self.register(f'<{contact}>', aor='sip:%61lice@EXAMPLE.org:5070;transport=tcp')
        self.assertEqual(self.listed(), [contact])
        self.register(f'<{contact}>', aor='sip:Alice@example.org', code=403)

    def test_comparison(self):
        """RFC 3261 19.1.4: one contact in other words is the same."""
        self.register('<sip:alice@Example.NET;transport=tcp;a=1>')
        self.register('"Alice" <sip:alice@example.net;TRANSPORT=TCP>;q=0.5')
        self.assertEqual(len(self.listed()), 1)
        self.register('<sip:alice@example.net>')
        self.register('<sip:alice@example.net:5060>')
        self.register('<sip:Alice@example.net>')
        self.assertEqual(len(self.listed()), 4)

    def test_max_contacts(self):
        """One more is refused; one for another, and a refresh, are not."""
        contacts = [f'sip:alice@127.0.0.1:{port}' for port in range(20001, 20009)]
        for contact in contacts:
            self.register(f'<{contact}>')
        self.register('<sip:alice@127.0.0.1:20009>', code=403)
        self.register(f'<{contacts[0]}>')
        self.register([f'<{contacts[0]}>;expires=0', '<sip:alice@127.0.0.1:20009>'])
        self.assertEqual(len(self.listed()), 8)
        self.register([f'<sip:bob@127.0.0.1:{port}>' for port in range(20001, 20010)],
                      user='bob', code=403)
        self.assertEqual(self.listed('bob'), [])
        self.register([f'<sip:bob@127.0.0.1:{port}>;expires=0' for port in range(20001, 20050)],
                      user='bob', code=403)

    def test_instance(self):
        """RFC 5626: a client that comes back from another address is one contact."""
        one, two, three = (f'sip:alice@127.0.0.1:{port}' for port in range(20001, 20004))
        same = f';+sip.instance={INSTANCE};reg-id=1'
        response = self.register(f'<{one}>{same}')
        self.assertEqual(self.contacts(response)[one]['+sip.instance'], INSTANCE)
        self.assertEqual(self.contacts(response)[one]['reg-id'], '1')
        self.new(one)
        self.register(f'<{two}>{same}')
        self.ended(one, 'replaced')
        self.new(two)
        self.register(f'<{three}>;+sip.instance={INSTANCE};reg-id=2')
        self.assertEqual(sorted(self.listed()), [two, three])
        self.register([f'<{one}>{same}', f'<{two}>;+sip.instance={INSTANCE};reg-id=3'], code=400)
        # Without an instance a reg-id says nothing.
        self.register(f'<{one}>;reg-id=1')
        self.assertEqual(len(self.listed()), 3)

    def test_commands(self):
        one, two = 'sip:alice@127.0.0.1:20001', 'sip:alice@127.0.0.1:20002'
        self.register([f'<{one}>', f'<{two}>'])
        self.register('<sip:bob@127.0.0.1:20003>', user='bob')
        self.assertEqual(len(self.ctl.call('registrar_list')), 3)
        self.assertEqual(self.ctl.call('registrar_list', aor='alice@EXAMPLE.ORG')[0]['aor'],
                         self.aor())
        self.assertEqual(self.ctl.call('registrar_list', aor=self.aor('carol')), [])
        self.assertEqual(self.ctl.call('registrar_remove', aor=self.aor(), contact=one), 'OK')
        self.ended(one, 'removed')
        self.refused(404, self.ctl.call, 'registrar_remove', aor=self.aor(), contact=one)
        self.assertEqual(self.ctl.call('registrar_remove', aor=self.aor()), 'OK')
        self.ended(two, 'removed')
        for aor in (self.aor(), 'carol@example.org', 'nobody', 'sip:', 'x' * 2000):
            self.refused(404, self.ctl.call, 'registrar_remove', aor=aor)
        self.assertEqual(self.msrpctl('registrar_list').returncode, 0)

    def test_allowed(self):
        """OPTIONS says that REGISTER is taken."""
        transport = self.sip.reach('127.0.0.1', self.daemon.sip_port)
        response = self.sip.request('OPTIONS', self.daemon.sip_uri, transport).final(200)
        self.assertIn('REGISTER', response.get('Allow'))

    def test_over_tcp(self):
        contact = self.sip.contact('TCP')
        self.register(f'<{contact}>', kind='TCP')
        self.assertTrue(self.ctl.call('registrar_list')[0]['source'].startswith('tcp:'))
        response = self.page(body=b'over tcp')
        self.assertEqual(response.get('X-Target'), contact)
        message = self.sip.expect('MESSAGE')
        self.assertEqual((message.request.body, message.transport.kind), (b'over tcp', 'TCP'))
        message.respond(200)


class FlowTest(RegistrarCase):
    """RFC 5626: who came over a connection is reached over that connection, and no longer."""

    nowhere = 'sip:alice@a1b2c3.invalid;transport=tcp'

    def test_over_its_connection(self):
        """The contact leads nowhere, as a browser's does."""
        phone = self.ua(user='alice')
        self.register(f'<{self.nowhere}>', ua=phone, kind='TCP')
        stream = phone.reach('127.0.0.1', self.daemon.sip_port, 'TCP')
        for body in (b'one', b'two'):
            self.assertEqual(self.page(body=body).get('X-Target'), self.nowhere)
            message = phone.expect('MESSAGE')
            self.assertEqual((message.request.body, message.request.uri), (body, self.nowhere))
            self.assertIs(message.transport, stream)
            message.respond(200)

    def test_its_end(self):
        """The contact ends with it; another connection brings another."""
        phone = self.ua(user='alice')
        self.register(f'<{self.nowhere}>', ua=phone, kind='TCP')
        self.new(self.nowhere)
        phone.reach('127.0.0.1', self.daemon.sip_port, 'TCP').close()
        self.ended(self.nowhere, 'failed')
        self.page(code=480)
        self.register(f'<{self.nowhere}>', ua=phone, kind='TCP')
        self.page()
        phone.expect('MESSAGE').respond(200)

    def test_who_does_not_read(self):
        """What waits for him is bounded: then he is gone, and nobody else."""
        slow, bob = self.ua(user='alice'), self.ua(user='bob')
        self.register(f'<{self.nowhere}>', ua=slow, kind='TCP')
        self.register(f'<{bob.contact()}>', user='bob', ua=bob)
        sender = self.ua(name='sender')
        transport = sender.reach('127.0.0.1', self.daemon.sip_port, 'TCP')
        with slow.reach('127.0.0.1', self.daemon.sip_port, 'TCP').lock:     # its reader waits
            pages = 0
            while not self.ctl.pending('E_REGISTRATION_END') and pages < 1000:
                sender.request('MESSAGE', self.aor(), transport, b'x' * 60000,
                               to_uri=self.aor(), content_type='text/plain').final()
                pages += 1
            self.ended(self.nowhere, 'failed')
            self.page('bob')
            bob.expect('MESSAGE').respond(200)
        self.assertIn('does not read, closed', self.daemon.log())

    def test_a_refresh_moves_it(self):
        """From then on the newer connection is the one that counts."""
        first, second = self.ua(user='alice'), self.ua(user='alice')
        self.register(f'<{self.nowhere}>', ua=first, kind='TCP')
        self.register(f'<{self.nowhere}>', ua=second, kind='TCP')
        first.reach('127.0.0.1', self.daemon.sip_port, 'TCP').close()
        self.page()
        second.expect('MESSAGE').respond(200)
        self.assertEqual(self.ctl.pending('E_REGISTRATION_END'), [])


class GatewayTest(RegistrarCase, GatewayCase):
    """Answers to a phone that wrote first go to where it is registered then."""

    nowhere = FlowTest.nowhere
    config = config(rules=[{'if': {'$rm': 'MESSAGE'}, 'do': [
        {'msg_to_msrp': {'key': '$tu:$fu', 'content_types': TEXT}}]}])

    def writes(self, phone, kind, body):
        """A MESSAGE of alice's; the client answers it if it has to."""
        transport = phone.reach('127.0.0.1', self.daemon.sip_port, kind)
        phone.request('MESSAGE', self.client.contact(), transport, body, from_uri=self.aor(),
                      to_uri=CLIENT, content_type=TEXT).final(202)

    def answer(self):
        self.phone.contact = lambda kind='UDP': self.aor()      # of which the key is made
        return super().answer()

    def test_over_its_connection(self):
        first, second = self.ua(user='alice'), self.ua(user='alice')
        self.register(f'<{self.nowhere}>', ua=first, kind='TCP')
        self.writes(first, 'TCP', b'hello')
        call = self.answer()
        self.assertEqual(call.receive().body, b'hello')
        call.send('to the first')
        self.gets('to the first', phone=first)
        self.register(f'<{self.nowhere}>', ua=second, kind='TCP')
        call.send('to the second')
        self.gets('to the second', phone=second)

    def test_over_udp(self):
        phone = self.ua(user='alice')
        self.register(f'<{phone.contact()}>', ua=phone)
        self.writes(phone, 'UDP', b'hello')
        call = self.answer()
        self.assertEqual(call.receive().body, b'hello')
        call.send('back')
        self.assertEqual(self.gets('back', phone=phone).request.uri, phone.contact())


class CallerTest(RegistrarCase, GatewayCase):
    """msrp_gw_answer behind lookup: the phone may come back over another connection."""

    nowhere = FlowTest.nowhere
    config = config(rules=[{'if': {'$rm': 'INVITE'}, 'do': ['lookup', {'msrp_gw_answer': {
        'key': '$fu:$tu', 'content_types': TEXT, 'from': '$fu', 'to': '$tu', 'ruri': '$ru'}}]}])

    def test_it_comes_back(self):
        first, second = self.ua(user='alice'), self.ua(user='alice')
        self.register(f'<{self.nowhere}>', ua=first, kind='TCP')
        transaction = self.invite(self.offer(accept_types=TEXT), ua=self.client, uri=self.aor(),
                                  from_uri=CLIENT)
        response = transaction.final(200)
        dialog = Dialog.of_client(transaction, response)
        dialog.ack()
        call = Call(self, dialog, sdp.Sdp(response.body),
                    f'msrp://127.0.0.1:9/{new_id()};tcp').connect()
        call.send('to the first')
        self.gets('to the first', phone=first)
        first.reach('127.0.0.1', self.daemon.sip_port, 'TCP').close()
        self.ended(self.nowhere, 'failed')
        self.register(f'<{self.nowhere}>', ua=second, kind='TCP')
        call.send('to the second')
        self.gets('to the second', phone=second)


class RoomTest(RegistrarCase, RoomCase):
    """A phone in a room, that has MESSAGE alone."""

    config = {**config(), **rooms({'uri': LOBBY})}

    def test_texts(self):
        phone = self.ua(user='alice')
        self.register(f'<{FlowTest.nowhere}>', ua=phone, kind='TCP')
        transport = phone.reach('127.0.0.1', self.daemon.sip_port, 'TCP')
        phone.request('MESSAGE', LOBBY, transport, b'hello', from_uri=self.aor(), to_uri=LOBBY,
                      content_type='text/plain').final(200)
        self.join('bob').say('hello alice')
        message = phone.expect('MESSAGE')
        self.assertIn(b'hello alice', message.request.body)
        self.assertIs(message.transport, transport)
        message.respond(200)


class LookupTest(RegistrarCase):
    def gets(self, ua, body):
        message = ua.expect('MESSAGE')
        self.assertEqual((message.request.body, message.request.uri), (body, ua.contact()))
        message.respond(200)

    def test_lookup(self):
        """The contact is in the place of the Request-URI, for rules and for what they send."""
        phone = self.ua(user='alice')
        self.register(f'<{phone.contact()}>', ua=phone)
        self.assertEqual(self.page(body=b'one').get('X-Target'), phone.contact())
        self.gets(phone, b'one')

    def test_nobody(self):
        before = self.statistics()['not_found']
        for user in ('alice', 'nobody', 'a' * 600):
            self.page(user, code=480)
        self.assertEqual(self.statistics()['not_found'], before + 3)

    def test_best(self):
        """The highest q; of equal ones the newest, which a refresh makes one."""
        first, second, third = (self.ua(user='alice') for _ in range(3))
        self.register(f'<{first.contact()}>;q=0.5', ua=first)
        self.register(f'<{second.contact()}>;q=0.5', ua=second)
        self.assertEqual(self.page().get('X-Target'), second.contact())
        self.register(f'<{first.contact()}>;q=0.5', ua=first)
        self.assertEqual(self.page().get('X-Target'), first.contact())
        self.register(f'<{third.contact()}>;q=0.7', ua=third)
        self.register(f'<{second.contact()}>;q=0.5', ua=second)
        self.assertEqual(self.page().get('X-Target'), third.contact())
        self.assertEqual(self.listed(), [third.contact(), second.contact(), first.contact()])
        self.register(f'<{third.contact()}>;q=0', ua=third)
        self.assertEqual(self.page().get('X-Target'), second.contact())
        self.assertEqual(self.ctl.call('registrar_list')[-1]['q'], '0.000')

    def test_without_q(self):
        """It is 1."""
        first, second = self.ua(user='alice'), self.ua(user='alice')
        self.register(f'<{first.contact()}>', ua=first)
        self.register(f'<{second.contact()}>;q=0.999', ua=second)
        self.assertEqual(self.page().get('X-Target'), first.contact())

    def test_hops(self):
        """What comes back goes not round for ever (RFC 3261 16.3)."""
        phone = self.ua(user='alice')
        self.register(f'<{phone.contact()}>', ua=phone)
        for hops in (70, 1):
            self.page(hops=hops)
            message = phone.expect('MESSAGE')
            self.assertEqual(message.request.get('Max-Forwards'), str(hops - 1))
            message.respond(200)
        self.page(hops=0, code=483)
        phone.flush(self.daemon.sip_port)
        self.assertEqual(phone.requests.has(), [])

    def test_gone(self):
        phone = self.ua(user='alice')
        self.register(f'<{phone.contact()}>', ua=phone)
        self.page()
        phone.expect('MESSAGE').respond(200)
        self.register(f'<{phone.contact()}>', ua=phone, expires=0)
        self.page(code=480)


class SipsTest(RegistrarCase):
    """Who can be called by sips, and who cannot (RFC 5630)."""

    sips = f'sips:{DOMAIN}'
    away = 'alice@192.0.2.1:5061;x=y'       # nobody is ever called there

    @classmethod
    def prepare(cls):
        cls.ca = certs.Authority(cls.directory)
        own = cls.ca.issue('msrpd')
        cls.port = free_port()
        cls.config = merge(config(), {'sip': {
            'listen': [f'sip:127.0.0.1:{free_port()};transport=udp', f'sips:127.0.0.1:{cls.port}'],
            'tls': {'certificate': own.certificate, 'private_key': own.key}}})

    def setUp(self):
        super().setUp()
        self.phone = self.ua(user='alice')
        self.tls = self.connect(self.phone)

    def connect(self, ua):
        return ua.reach('127.0.0.1', self.port, 'TLS', certs.client_context(self.ca))

    def over_tls(self, contacts, **kwargs):
        return self.register(contacts, ua=self.phone, over=self.tls, **kwargs)

    def gets(self, body, uri):
        message = self.phone.expect('MESSAGE')
        self.assertEqual((message.request.body, message.request.uri), (body, uri))
        self.assertIs(message.transport, self.tls)
        message.respond(200)

    def test_all_of_it(self):
        """5.2: a contact by sips, if all of the REGISTER is, From and To aside."""
        sips, sip = f'<sips:{self.away}>', '<sip:alice@127.0.0.1:20001>'
        self.over_tls(sips, code=400)
        self.over_tls([sips, sip], uri=self.sips, code=400)
        self.over_tls([sip, sips], uri=self.sips, code=400)
        self.assertEqual(self.listed(), [])
        self.over_tls(sips, uri=self.sips)
        self.assertEqual(self.listed(), [f'sips:{self.away}'])
        self.over_tls(sip, uri=self.sips)
        self.over_tls([f'{sips};expires=0', sip])
        self.assertEqual(self.listed(), ['sip:alice@127.0.0.1:20001'])
        self.over_tls(sips, uri=self.sips, aor=f'sips:alice@{DOMAIN}')
        self.assertEqual(len(self.listed()), 2)

    def test_by_sips(self):
        """4.1: it goes to a contact by sips, or nowhere."""
        caller = self.connect(self.ua(user='bob'))
        aor = f'sips:alice@{DOMAIN}'
        self.assertIsNone(self.page(uri=aor, over=caller, code=480).get('Warning'))
        self.over_tls(f'<sip:{self.away}>;transport=tls')
        response = self.page(uri=aor, over=caller, code=480)
        self.assertEqual(response.get('Warning'), '380 msrpd "SIPS Not Allowed"')
        self.over_tls(f'<sips:{self.away}>;q=0.1', uri=self.sips)
        self.page(uri=aor, over=caller, body=b'by sips')
        self.gets(b'by sips', f'sips:{self.away}')

    def test_by_sip(self):
        """5.3: a contact by sips is called by sip, over its TLS and with all else as it was."""
        self.over_tls(f'<sips:{self.away}>', uri=self.sips)
        caller = self.connect(self.ua(user='bob'))
        response = self.page(over=caller, body=b'by sip')
        self.assertEqual(response.get('X-Target'), f'sip:{self.away}')
        self.gets(b'by sip', f'sip:{self.away}')


class RulesTest(RegistrarCase):
    own_daemon = True

    def run_with(self, changes):
        self.daemon, self.ctl = self.start(changes)
        type(self).daemon = None
        return self.daemon

    def test_no_registrar(self):
        """405, whatever rules say; and no command, no statistics."""
        daemon, ctl = self.start({'routes': {'sip': [
            {'do': [{'send_reply': {'code': 200, 'reason': 'OK'}}]}]}})
        transport = self.sip.reach('127.0.0.1', daemon.sip_port)
        response = self.sip.request('REGISTER', f'sip:{DOMAIN}', transport).final(405)
        self.assertNotIn('REGISTER', response.get('Allow'))
        self.refused(-32601, ctl.call, 'registrar_list')

    def test_it_comes_by_restart_alone(self):
        """A reload can change what is in the section, but not whether there is one."""
        daemon, ctl = self.start()
        daemon.config['registrar'] = {}
        daemon.write_config()
        error = self.refused(500, ctl.call, 'reload')
        self.assertIn('registrar cannot change while msrpd runs', str(error))

    def test_own_rules(self):
        """A rule may ask for another realm; without credentials save refuses."""
        rules = [{'if': {'$rm': 'REGISTER', '$hdr(X-Open)': 'yes'}, 'do': ['save']},
                 {'if': {'$rm': 'REGISTER'}, 'do': [
                     {'www_authorize': {'realm': 'sip', 'algorithm': 'SHA-256'}}, {'save': {}}]}]
        daemon, ctl = self.start(config(rules=rules))
        kwargs = {'daemon': daemon, 'contacts': '<sip:alice@127.0.0.1:20001>'}
        self.register(headers=[('X-Open', 'yes')], code=403, **kwargs)
        self.register(**kwargs)
        self.assertEqual(self.listed(ctl=ctl), ['sip:alice@127.0.0.1:20001'])

    def test_realm(self):
        """Of a REGISTER without a rule: as the config has the domain, however To spells it."""
        for registrar, advertised, realm in (
                ({'domains': ['Example.ORG', 'example.net']}, 'sip:x@127.0.0.1', 'Example.ORG'),
                ({}, 'sip:x@example.org', 'example.org')):
            ha1 = digest('MD5', f'dave:{realm}:dave secret')
            daemon, ctl = self.start({'users': {'dave': {'ha1': ha1}}, 'registrar': registrar,
                                      'sip': {'advertised_contact': advertised}})
            for domain in ('example.org', 'EXAMPLE.org', 'Example.ORG'):
                self.register('<sip:dave@127.0.0.1:20001>', user='dave', daemon=daemon,
                              aor=f'sip:dave@{domain}')
            self.assertEqual([one['aor'] for one in ctl.call('registrar_list')],
                             ['sip:dave@example.org'])

    def test_name_with_its_domain(self):
        """Who logs in as user@domain has that address-of-record, and no other."""
        name, password = 'erin@example.org', 'erin secret'
        daemon, ctl = self.start({'users': {name: {'password': password}},
                                  'registrar': {'domains': [DOMAIN, 'example.net']}})
        kwargs = {'user': name, 'password': password, 'daemon': daemon}
        for aor, code in (('sip:erin@example.net', 403), ('sip:bob@example.org', 403),
                          ('sip:erin%40example.org@example.net', 403),
                          ('sip:erin@example.orgx', 403), ('sip:eri@example.org', 403),
                          ('sip:example.org', 403), ('sip:erin@EXAMPLE.org', 200)):
            with self.subTest(aor=aor):
                self.register('<sip:erin@127.0.0.1:20001>', aor=aor, code=code, **kwargs)
        self.assertEqual([one['aor'] for one in ctl.call('registrar_list')],
                         ['sip:erin@example.org'])

    def test_default_domains(self):
        """The hosts that we are reached at."""
        daemon, ctl = self.start({
            'users': USERS, 'registrar': {}, 'routes': {'sip': [PAGE]},
            'sip': {'advertised_contact': 'sip:msrpd@IM.example.net'}})
        for domain, code in (('127.0.0.1', 200), ('im.example.net', 200), (DOMAIN, 403)):
            self.register(f'<sip:alice@127.0.0.1:20001>', aor=f'sip:alice@{domain}',
                          daemon=daemon, code=code)
        self.assertEqual(sorted(one['aor'] for one in ctl.call('registrar_list')),
                         ['sip:alice@127.0.0.1', 'sip:alice@im.example.net'])

    def test_expiry(self):
        """A contact that is not refreshed goes by itself."""
        daemon, ctl = self.start(config({'min_expires': '1s'}))
        contact = 'sip:alice@127.0.0.1:20001'
        self.register(f'<{contact}>', expires=1, daemon=daemon)
        ctl.event('E_REGISTRATION_END', aor=self.aor(), contact=contact, reason='expired')
        self.assertEqual(ctl.call('registrar_list'), [])
        self.page(code=480, daemon=daemon)

    def test_gateway(self):
        """msg_to_msrp calls the contact that lookup found."""
        daemon, ctl = self.start(config(rules=[{'if': {'$rm': 'MESSAGE'}, 'do': [
            'lookup', {'msg_to_msrp': {'key': '$tu:$fu', 'content_types': 'text/plain'}}]}]))
        client = self.ua(user='bob')
        self.register(f'<{client.contact()}>', user='bob', ua=client, daemon=daemon)
        self.page('bob', daemon=daemon)
        invite = client.expect('INVITE')
        self.assertEqual(invite.request.uri, client.contact())
        invite.respond(486)
        ctl.event('E_MSRP_GW_SETUP_FAILED', code=486)

    def test_settings(self):
        for section, words in (
                ({'min_expires': '2h'}, 'min_expires'),
                ({'min_expires': '10m', 'default_expires': '5m'}, 'in this order'),
                ({'max_expires': '30m'}, 'in this order'),
                ({'max_contacts': 0}, 'max_contacts'), ({'max_contacts': 33}, 'max_contacts'),
                ({'domains': 'sip:example.org'}, 'is not a domain'),
                ({'min_expires': '1500ms'}, 'whole number of seconds')):
            daemon = Daemon({'registrar': section})
            try:
                daemon.spawn()
                self.assertEqual(daemon.wait(), 1, section)
                self.assertIn(words, daemon.log())
            finally:
                daemon.kill()
                daemon.discard()


if __name__ == '__main__':
    case.main()
