#!/usr/bin/env python3
"""The registrar over many nodes: who registers at one is found at each."""
import re
import signal

from lib import case, msrp, phones, sdp
from lib.case import Call
from lib.cluster import ClusterCase, SecureNodes
from lib.digest import authorized, sip_credentials
from lib.gateway import CLIENT, TEXT
from lib.registrar import INSTANCE, RegistrarCase, config
from lib.relay import CREDENTIALS, Relay
from lib.sip import Dialog, token
from lib.waiting import poll


class SharedCase(RegistrarCase, ClusterCase):
    """Nodes with a registrar."""

    config = config({'min_expires': '1s'})

    def at(self, i, *args, **kwargs):
        """A REGISTER at a node."""
        return self.register(*args, daemon=self.nodes[i], **kwargs)

    def known(self, i, user='alice'):
        """Contacts that a node knows after a lookup of its own."""
        return self.contacts(self.at(i, user=user))

    def page_at(self, i, code=202, **kwargs):
        return self.page(code=code, daemon=self.nodes[i], **kwargs)

    def gets_page(self, phone, body=b'hello'):
        message = phone.expect('MESSAGE')
        self.assertEqual(message.request.body, body)
        message.respond(200)
        return message

    def told(self, i, name, contact, **kwargs):
        self.ctls[i].event(name, aor=self.aor(), contact=contact, **kwargs)

    def counts(self, i):
        return self.numbers(i, 'registrar')


class BindingTest(SharedCase):
    """Contacts that any node may send to."""

    def test_everywhere(self):
        """Registered at a, found and listed at b, and gone everywhere once it is gone there."""
        phone = self.ua(user='alice')
        contact = phone.contact()
        self.at(0, f'<{contact}>;q=0.5', ua=phone)
        self.told(0, 'E_REGISTRATION_NEW', contact)
        self.page_at(1, body=b'by way of b')
        self.gets_page(phone, b'by way of b')
        for i in range(2):
            one, = self.ctls[i].call('registrar_list', aor=self.aor())
            self.assertEqual((one['contact'], one['q'], one['node']), (contact, '0.500', 'a'))
        self.assertEqual([self.counts(i)['contacts'] for i in range(2)], [1, 0])
        self.assertEqual([self.counts(i)['elsewhere'] for i in range(2)], [0, 1])
        self.at(1, f'<{contact}>', expires=0)
        self.told(1, 'E_REGISTRATION_END', contact, reason='unregistered')
        for i in range(2):
            self.page_at(i, code=480)
        self.assertEqual(self.listed(ctl=self.ctls[0]), [])
        self.assertEqual(self.ctls[0].pending('E_REGISTRATION_END'), [])

    def test_moves(self):
        """Refreshed at another node it is that one's, and no event tells of it."""
        phone = self.ua(user='alice')
        contact = phone.contact()
        call_id = token()
        self.at(0, f'<{contact}>', call_id=call_id)
        self.told(0, 'E_REGISTRATION_NEW', contact)
        self.at(1, f'<{contact}>', call_id=call_id, cseq=5)
        self.assertEqual(list(self.known(0)), [contact])
        for ctl in self.ctls:
            one, = ctl.call('registrar_list', aor=self.aor())
            self.assertEqual((one['node'], one['cseq']), ('b', 6))
            self.assertEqual(ctl.pending('E_REGISTRATION_NEW'), [])
            self.assertEqual(ctl.pending('E_REGISTRATION_END'), [])

    def test_order(self):
        """Of one Call-ID the CSeq grows, whatever node it comes to."""
        contact = self.sip.contact()
        call_id = token()
        self.at(0, f'<{contact}>', call_id=call_id, cseq=10)
        self.at(1, f'<{contact}>', call_id=call_id, cseq=5, code=400)
        self.at(1, f'<{contact}>', call_id=call_id, cseq=20)
        self.at(0, f'<{contact}>', call_id=call_id, cseq=15, expires=0, code=400)
        self.at(0, f'<{contact}>', call_id=call_id, cseq=30, expires=0)
        self.assertEqual(self.known(1), {})

    def test_best(self):
        """The highest q of all nodes, the newest of equal ones."""
        first, second = self.ua(user='alice'), self.ua(user='alice')
        self.at(0, f'<{first.contact()}>;q=0.5')
        self.at(1, f'<{second.contact()}>;q=0.5')
        for i in range(2):
            self.assertEqual(self.page_at(i).get('X-Target'), second.contact())
        self.at(0, f'<{first.contact()}>;q=0.7')
        for i in range(2):
            self.assertEqual(self.page_at(i).get('X-Target'), first.contact())

    def test_instance(self):
        """One with the same instance and reg-id takes the place of another node's."""
        first, second = self.ua(user='alice'), self.ua(user='alice')
        parameters = f';+sip.instance={INSTANCE};reg-id=1'
        self.at(0, f'<{first.contact()}>{parameters}')
        self.at(1, f'<{second.contact()}>{parameters}')
        self.told(1, 'E_REGISTRATION_END', first.contact(), reason='replaced')
        for i in range(2):
            self.assertEqual(list(self.known(i)), [second.contact()])

    def test_path(self):
        """All nodes know the proxies before him, and what his Contact says."""
        phone, proxy = self.ua(user='alice'), self.ua(name='proxy')
        path = f'<{proxy.contact()};lr>'
        self.at(0, f'<{phone.contact()}>;methods="MESSAGE"', ua=proxy, headers=[
            ('Via', 'SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKphone'), ('Path', path)])
        self.page_at(1)
        message = self.gets_page(proxy)
        self.assertEqual((message.request.uri, message.request.all('Route')),
                         (phone.contact(), [path]))
        self.assertEqual(self.known(1)[phone.contact()]['methods'], '"MESSAGE"')

    def test_datagrams(self):
        """Who is reached by UDP where he came from is so by way of the node that he came to."""
        phone = self.ua(user='alice')
        self.at(0, '<sip:alice@192.0.2.77:5060;ob>', ua=phone)
        self.page_at(1)
        message = self.gets_page(phone)
        self.assertEqual(message.request.uri, 'sip:alice@192.0.2.77:5060;ob')
        self.assertEqual(message.transport.peer[1], self.nodes[0].sip_port)

    def test_removed(self):
        """registrar_remove at a node that knows of it."""
        contact = self.sip.contact()
        self.at(0, f'<{contact}>')
        self.assertEqual(list(self.known(1)), [contact])
        self.ctls[1].call('registrar_remove', aor=self.aor())
        self.told(1, 'E_REGISTRATION_END', contact, reason='removed')
        poll(lambda: self.known(0) == {}, what='its end')

    def test_expires(self):
        """It is over everywhere, and told once, by the node that it came to last."""
        contact = self.sip.contact()
        call_id = token()
        self.at(0, f'<{contact}>', expires=3, call_id=call_id)
        self.at(1, f'<{contact}>', expires=4, call_id=call_id, cseq=3)
        self.told(1, 'E_REGISTRATION_END', contact, reason='expired')
        self.assertEqual(self.known(0), {})
        self.assertEqual(self.ctls[0].pending('E_REGISTRATION_END'), [])

    def test_one_expires(self):
        """What others of its address-of-record outlive is told of as well."""
        brief, lasting = self.ua(user='alice'), self.ua(user='alice')
        self.at(0, f'<{lasting.contact()}>')
        self.at(0, f'<{brief.contact()}>', expires=1)
        self.told(0, 'E_REGISTRATION_END', brief.contact(), reason='expired')
        for i in range(2):
            self.assertEqual(list(self.known(i)), [lasting.contact()])

    def test_at_once(self):
        """REGISTERs of many contacts at two nodes at once: none is lost."""
        phones = [self.ua(user='alice') for _ in range(6)]
        contacts = [phone.contact() for phone in phones]
        calls = []
        for i, phone in enumerate(phones):
            transport = phone.reach('127.0.0.1', self.nodes[i % 2].sip_port)
            calls.append(authorized(phone, 'REGISTER', 'sip:example.org', transport, 'alice',
                                    'alice secret', headers=[('Contact', f'<{contacts[i]}>')],
                                    from_uri=self.aor(), to_uri=self.aor()))
        for call in calls:
            call.final(200)
        for i in range(2):
            self.assertEqual(sorted(self.known(i)), sorted(contacts))

    def test_owner_killed(self):
        """What any node can reach stays when the one that it came to is gone."""
        phone = self.ua(user='alice')
        self.at(0, f'<{phone.contact()}>')
        self.kill(0)
        self.page_at(1)
        self.gets_page(phone)


class LoginTest(SharedCase):
    """Challenges, and wrong answers to them."""

    config = {**config(), 'limits': {'auth_failures': 3, 'exempt': []}}

    def answers(self, challenge, i, code, password='alice secret', nc=1):
        """A REGISTER at that node with credentials."""
        uri, aor = 'sip:example.org', self.aor()
        value = sip_credentials(challenge, 'REGISTER', uri, 'alice', password, nc=nc)
        transport = self.sip.reach('127.0.0.1', self.nodes[i].sip_port)
        return self.sip.request('REGISTER', uri, transport, from_uri=aor, to_uri=aor,
                                headers=[('Authorization', value)]).final(code)

    def challenge(self, i):
        uri, aor = 'sip:example.org', self.aor()
        transport = self.sip.reach('127.0.0.1', self.nodes[i].sip_port)
        return self.sip.request('REGISTER', uri, transport, from_uri=aor,
                                to_uri=aor).final(401).get('WWW-Authenticate')

    def test_nonce(self):
        """One of a is good at b, each count once."""
        challenge = self.challenge(0)
        self.answers(challenge, 1, 200)
        stale = self.answers(challenge, 1, 401).get('WWW-Authenticate')
        self.assertIn('stale', stale)
        self.answers(challenge, 1, 200, nc=2)
        self.answers(stale, 0, 200)

    def test_guesser(self):
        """Who has guessed at a has no more tries at b."""
        for _ in range(3):
            self.answers(self.challenge(0), 0, 401, password='wrong')
        self.answers(self.challenge(0), 0, 403)
        challenge = self.challenge(1)
        # One shows him to b, which is told of the others before long.
        self.answers(challenge, 1, 401, password='wrong')
        poll(lambda: self.numbers(1, 'limits')['auth_failures'] == 1, what='the failure')
        poll(lambda: self.tries(challenge) == 403, what='b to know')

    def tries(self, challenge):
        self.count = getattr(self, 'count', 1) + 1
        uri, aor = 'sip:example.org', self.aor()
        value = sip_credentials(challenge, 'REGISTER', uri, 'alice', 'alice secret', nc=self.count)
        transport = self.sip.reach('127.0.0.1', self.nodes[1].sip_port)
        return self.sip.request('REGISTER', uri, transport, from_uri=aor, to_uri=aor,
                                headers=[('Authorization', value)]).final().code


class BoundTest(SharedCase):
    config = config({'max_contacts': 2})

    def test_max_contacts(self):
        contacts = [self.ua(user='alice').contact() for _ in range(3)]
        self.at(0, f'<{contacts[0]}>')
        self.at(1, f'<{contacts[1]}>')
        for i in range(2):
            self.at(i, f'<{contacts[2]}>', code=403)
        self.at(0, f'<{contacts[1]}>', expires=0)
        self.at(1, f'<{contacts[2]}>')
        self.assertEqual(sorted(self.known(0)), sorted([contacts[0], contacts[2]]))


class RedisTest(SharedCase):
    """Redis is away, and comes back with nothing."""

    def test_away(self):
        """Local contacts go on, and are known to all when it is back."""
        phones = [self.ua(user='alice') for _ in range(2)]
        self.at(0, f'<{phones[0].contact()}>;q=0.5')
        self.redis.stop()
        for ctl in self.ctls:
            poll(lambda c=ctl: c.call('cluster')['alone'], what='no Redis')
        self.page_at(0)
        self.gets_page(phones[0])
        self.at(1, f'<{phones[1].contact()}>;q=0.7')
        self.page_at(1)
        self.gets_page(phones[1])
        self.redis.start()
        self.wait_nodes(2)
        for i in range(2):
            poll(lambda n=i: len(self.known(n)) == 2, what='both contacts')
            self.page_at(i)
            self.gets_page(phones[1])

    def test_goes_back(self):
        """Redis knows only what was before, as a replica that was behind: what is later is kept."""
        contact, call_id = self.sip.contact(), token()
        key = 'msrpd:aor:alice@example.org'
        self.at(0, f'<{contact}>;q=0.1', call_id=call_id)
        before = [self.redis.field(key, name) for name in ('born', 'version', 'lines')]
        self.at(1, f'<{contact}>;q=0.9', call_id=call_id, cseq=50)
        self.known(0)
        self.redis.call('HSET', key, 'born', before[0], 'version', before[1], 'lines', before[2])
        self.known(0)
        poll(lambda: b'=900' in self.redis.field(key, 'lines'), what='the later one')
        for i in range(2):
            self.assertEqual(list(self.known(i)), [contact])
            one, = self.ctls[i].call('registrar_list', aor=self.aor())
            self.assertEqual((one['q'], one['node'], one['cseq']), ('0.900', 'b', 51))

    def test_removed_meanwhile(self):
        """What has gone without Redis is gone when it is back."""
        contact = self.sip.contact()
        self.at(0, f'<{contact}>')
        self.redis.pause()
        self.addCleanup(self.redis.pause, False)
        self.at(0, f'<{contact}>', expires=0)
        self.redis.pause(False)
        self.wait_nodes(2)
        poll(lambda: self.known(1) == {}, what='its end')

    def test_hangs(self):
        """A lookup waits no longer than a second or so, and finds what is here."""
        phone = self.ua(user='alice')
        self.at(0, f'<{phone.contact()}>')
        self.redis.pause()
        self.addCleanup(self.redis.pause, False)
        self.page_at(0)
        self.gets_page(phone)
        self.assertGreater(self.counts(0)['alone'], 0)
        self.redis.pause(False)


class FlowCase(SharedCase):
    """Phones that nothing but their connection leads to."""

    kind, tls = 'TCP', None

    @property
    def parameter(self):
        """Of URIs: RFC 7118 knows no wss there."""
        return f'transport={self.kind.lower()}'.replace('wss', 'ws')

    @property
    def nowhere(self):
        return f'sip:alice@a1b2c3.invalid;{self.parameter}'

    def comes(self, i, phone):
        """It registers at that node; its connection there."""
        last = self.ctls[i].call('status')['listen']['sip'][-1]
        port = int(re.search(r':(\d+)(;|$)', last)[1])
        over = phone.reach('127.0.0.1', port, self.kind, self.tls)
        self.at(i, f'<{self.nowhere}>', ua=phone, over=over)
        return over


class FlowTest(FlowCase):
    def test_unseen(self):
        """Who writes what he has seen while a node seemed to be gone takes nothing of it away."""
        first, second = self.ua(user='alice'), self.ua(user='alice')
        other = self.nowhere.replace('a1b2c3', 'd4e5f6')
        over = self.comes(1, second)
        self.at(1, f'<{other}>', ua=second, over=over)
        over = self.comes(0, first)
        self.assertEqual(sorted(self.known(0)), sorted([self.nowhere, other]))
        read = self.numbers(1, 'cluster')['records_read']
        self.nodes[1].signal(signal.SIGSTOP)
        try:
            self.redis.call('DEL', 'msrpd:node:b')
            self.assertEqual(list(self.known(0)), [self.nowhere])
            before = self.redis.call('EXISTS', 'msrpd:node:b')
        finally:
            self.nodes[1].signal(signal.SIGCONT)
        self.assertEqual(before, b':0\r\n')
        poll(lambda: self.numbers(1, 'cluster')['records_read'] > read, what='b to look')
        self.at(0, f'<{self.nowhere}>', ua=first, over=over)
        for i in range(2):
            poll(lambda n=i: sorted(self.known(n)) == sorted([self.nowhere, other]),
                 what='both contacts')

    def test_comes_back(self):
        """It registers anew over another connection, at the other node."""
        first, second = self.ua(user='alice'), self.ua(user='alice')
        over = self.comes(0, first)
        self.comes(1, second)
        for i in range(2):
            self.page_at(i)
            self.gets_page(second)
        over.close()
        self.page_at(0)
        self.gets_page(second)
        self.assertEqual(self.ctls[0].pending('E_REGISTRATION_END'), [])

    def test_owner_killed(self):
        """Nobody is there then, for whoever asks."""
        phone = self.ua(user='alice')
        self.comes(0, phone)
        self.page_at(1)
        self.gets_page(phone)
        self.kill(0)
        self.wait_nodes(1, [self.ctls[1]])
        self.page_at(1, code=480)


class CallCase(FlowCase):
    """A phone whose connection is node a's: b writes to it, and its gateway calls it."""

    config = config(rules=[
        {'if': {'$rm': 'INVITE'}, 'do': ['lookup', {'msrp_gw_answer': {
            'key': '$fu:$tu', 'content_types': TEXT, 'from': '$fu', 'to': '$tu',
            'ruri': '$ru'}}]},
        {'if': {'$rm': 'MESSAGE', '$hdr(X-To)': 'msrp'}, 'do': ['lookup', {'msg_to_msrp': {
            'key': '$tu:$fu', 'content_types': TEXT}}]}])

    def setUp(self):
        super().setUp()
        self.called = self.ua(user='alice')
        self.over = self.comes(0, self.called)

    def expect(self, method):
        """What comes to the phone, over its connection."""
        transaction = self.called.expect(method)
        self.assertIs(transaction.transport, self.over)
        return transaction

    def owns(self, name, key):
        """That node has a key, as Redis knows, but not any more."""
        node = self.redis.call('GET', f'msrpd:node:{name}').split(b'\r\n')[1].decode()
        self.redis.call('SET', f'msrpd:gw:{key}', f'{name} {node.split()[0]}')

    def rings(self, node=1, owner=None):
        """A MESSAGE at a node makes it, or the owner, call the phone; both requests."""
        sender = self.ua(user='sender')
        transport = sender.reach('127.0.0.1', self.nodes[node].sip_port)
        if owner:
            self.owns(owner, f'{self.aor()}:{sender.contact()}')
        sent = sender.request('MESSAGE', self.aor(), transport, b'first',
                              from_uri=sender.contact(), to_uri=self.aor(),
                              content_type='text/plain', headers=[('X-To', 'msrp')])
        return sent, self.expect('INVITE')

    def call(self, at=1, **kwargs):
        """The phone answers, and is connected to, by that node."""
        sent, invite = self.rings(**kwargs)
        listener = self.listener(behave=msrp.answer_ok)
        path = listener.uri()
        invite.respond(200, sdp.document(sdp.message(path, TEXT, setup='passive')))
        dialog = Dialog.of_server(invite)
        self.expect('ACK')
        self.ctls[at].event('E_MSRP_GW_SESSION_NEW')
        call = Call(self, dialog, sdp.Sdp(invite.request.body), path)
        call.attach(listener.accept())
        sent.final(202)
        self.assertEqual(call.receive().body, b'first')
        return call

    def end(self):
        """b gives the session up."""
        session, = self.sessions(self.ctls[1])
        self.ctls[1].call('msrp_gw_end_session', key=session['key'])


class CallTest(CallCase):
    def test_page(self):
        """What b sends goes by way of a, over that connection."""
        for body in (b'short', b'x' * 5000):
            self.page_at(1, body=body)
            message = self.gets_page(self.called, body)
            self.assertIs(message.transport, self.over)
            self.assertEqual(message.request.all('Route'), [])
            self.assertEqual(len(message.request.all('Via')), 2)
            # One less for the rule, as the sender's is what its message counts on, and one for a.
            self.assertEqual(message.request.get('Max-Forwards'), '68')
        self.over.close()
        self.told(0, 'E_REGISTRATION_END', self.nowhere, reason='failed')
        poll(lambda: self.known(1) == {}, what='its end')
        self.page_at(1, code=480)

    def test_we_end(self):
        """BYE of ours goes the same way."""
        self.call()
        self.end()
        self.expect('BYE').respond(200)

    def test_phone_ends(self):
        """BYE of the phone's goes back the same way, to the node that has called."""
        call = self.call()
        call.dialog.bye()
        self.ctls[1].event('E_MSRP_GW_SESSION_END')

    def test_owner_calls(self):
        """The key is b's: that calls whom a has looked up, over the connection that a has."""
        call = self.call(node=0, owner='b', at=1)
        self.assertEqual(self.numbers(0, 'gw')['remote'], 1)
        call.dialog.bye()
        self.ctls[1].event('E_MSRP_GW_SESSION_END')

    def test_owner_has_him(self):
        """The key is a's: that calls whom b has looked up, over its own connection."""
        call = self.call(node=1, owner='a', at=0)
        self.assertEqual(self.numbers(1, 'gw')['remote'], 1)
        call.dialog.bye()
        self.ctls[0].event('E_MSRP_GW_SESSION_END')

    def test_cancel(self):
        """b gives up while it rings: CANCEL, and the ACK of what the phone says then."""
        _, invite = self.rings()
        invite.respond(180)
        self.end()
        cancel = self.expect('CANCEL')
        self.assertEqual(cancel.request.branch, invite.request.branch)
        cancel.respond(200)
        invite.respond(487)
        self.called.expect_failure_ack(invite)
        self.ctls[1].event('E_MSRP_GW_SETUP_FAILED')
        self.assertEqual(self.sessions(self.ctls[1]), [])

    def test_reinvite(self):
        """The phone changes to another connection for MSRP; it stays in the session."""
        call = self.call()
        self.assertIn(f';{self.parameter};lr>', call.dialog.routes[0])
        listener = self.listener(behave=msrp.answer_ok)
        path = listener.uri()
        answer = call.dialog.reinvite(sdp.document(sdp.message(path, TEXT, setup='passive')))
        self.assertEqual(sdp.Sdp(answer.body).message.path, call.path)
        again = Call(self, call.dialog, sdp.Sdp(answer.body), path)
        again.attach(listener.accept())
        again.send('by the new one')
        self.end()
        self.expect('BYE').respond(200)


class WebSocketTest(CallTest):
    kind, listen = 'WS', ['sip:127.0.0.1:0;transport=ws']


class TlsTest(SecureNodes, CallTest):
    """The nodes speak TLS, too; at the same port."""

    kind = 'TLS'


class SecureWebSocketTest(SecureNodes, CallTest):
    kind, listen = 'WSS', ['sip:127.0.0.1:0;transport=wss']


class ReofferTest(CallCase):
    """b is behind a relay, which moves its sessions: a re-INVITE of ours."""

    def setUp(self):
        self.relay = Relay()
        super().setUp()

    def node_config(self, name):
        return {**super().node_config(name), 'ua': {'relay_uri': self.relay.uri},
                'credentials': CREDENTIALS}

    def answers(self, invite):
        invite.respond(200, self.offer(accept_types=TEXT))
        self.expect('ACK')
        return sdp.Sdp(invite.request.body).message.path

    def test_reinvite(self):
        self.relay.expires = 2
        sent, invite = self.rings()
        before = self.answers(invite)
        sent.final(202)
        again = self.expect('INVITE')
        self.relay.expires = 1800
        self.assertEqual(again.request.call_id, invite.request.call_id)
        self.assertEqual(self.answers(again), [*self.relay.grants[1], before[-1]])
        self.end()
        self.expect('BYE').respond(200)


class PhoneTest(SharedCase):
    """Phones that people have, registered at a: what is sent at b reaches them."""

    config = {**config(), 'users': {name: {'password': 'wonderland'}
                                    for name in ('baresip', 'linphone')}}

    def shows(self, kind, transport):
        phone = kind(self.directory, self.nodes[0].sip_port, CLIENT, 'wonderland', transport)
        self.addCleanup(phone.stop)
        poll(lambda: self.ctls[0].call('registrar_list'), what='the registration')
        for body in ('by way of b', 'and again'):
            self.page(phone.name, daemon=self.nodes[1], body=body.encode())
            phone.shows(body)

    def test_baresip(self):
        self.shows(phones.Baresip, 'tcp')

    def test_linphone(self):
        self.shows(phones.Linphone, 'tcp')


class SharedNameTest(CallTest):
    """The same where clients call all nodes by one name, which leads to neither."""

    config = {**CallTest.config, 'sip': {**CallTest.config.get('sip', {}),
                                         'advertised_contact': 'sip:nodes.invalid'}}


if __name__ == '__main__':
    case.main()
