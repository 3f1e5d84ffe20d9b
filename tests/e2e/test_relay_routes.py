#!/usr/bin/env python3
"""The relay's rules: routes.msrp, msrp_auth and msrp_socket, their variables and actions.

RFC 4976 6.3, 9.4.
"""
import os
import re

from lib import case, msrp
from lib.dns import DnsServer
from lib.frame import URI, new_id
from lib.relay_client import PLAIN, Client, Peer
from lib.waiting import poll

LOG = {'log': {'level': 'info'}}


class RoutesCase(case.Case):
    own_daemon = True

    def relay(self, routes, **changes):
        daemon, ctl = self.start({**PLAIN, 'routes': {'sip': None, **routes}, **changes})
        self.daemon_, self.ctl_ = daemon, ctl
        self.uri = 'msrp://%s:%s;tcp' % daemon.listeners(ctl)[0]
        return self.uri

    def pair(self, routes, behave=msrp.answer_ok, **changes):
        client = Client(self.relay(routes, **changes))
        client.auth()
        peer = Peer(behave=behave)
        return client, peer, client.session(peer.path)

    def logged(self, pattern):
        return poll(lambda: re.search(pattern, self.daemon_.log()), what=f'{pattern} in the log')


class ActionTest(RoutesCase):
    def test_reply(self):
        client, peer, session = self.pair({'msrp': [
            {'if': {'$hdr(X-Forbidden)': '*'},
             'do': [{'msrp_reply': {'code': 403, 'reason': 'No $hdr(X-Forbidden) here',
                                    'headers': {'X-Why': '$msrp(msgid)'}}}]},
            {'do': ['msrp_relay']}]})
        session.send('fine')
        request = session.build(body=b'x', headers=[('X-Forbidden', 'cats')])
        answer = client.conn.ask(request)
        self.assertEqual((answer.code, answer.comment, answer.get('X-Why')),
                         (403, 'No cats here', request.message_id))
        no = session.build(body=b'x', headers=[('X-Forbidden', 'dogs')], failure='no')
        client.conn.send(no)
        session.flush()
        self.assertEqual(client.conn.inbox.has(lambda f: f.tid == no.tid), [])
        self.assertEqual(len(peer.listener.accept().inbox.has(lambda f: f.body == b'x')), 0)

    def test_reply_first_and_relay_then(self):
        client, peer, session = self.pair({'msrp': [
            {'if': {'$msrp(method)': 'SEND'},
             'do': [{'msrp_reply': {'code': 200, 'reason': 'Mine'}}, 'msrp_relay']}]})
        answer = client.conn.ask(session.build(body=b'x'))
        self.assertEqual(answer.comment, 'Mine')
        self.assertEqual(peer.listener.accept().expect('SEND').body, b'x')

    def test_every_answer_has_a_phrase(self):
        """Kamailio takes a status line without one for a request."""
        client, peer, session = self.pair({'msrp': [
            {'if': {'is_request': True, '$hdr(X-Code)': '*'},
             'do': [{'msrp_reply': {'code': '$hdr(X-Code)', 'reason': '$hdr(X-Reason)'}}]}]})
        for code, phrase in ((200, 'OK'), (403, 'Forbidden'), (481, 'No Such Session'),
                             (299, 'OK'), (499, 'Failed')):
            answer = client.conn.ask(session.build(body=b'x', headers=[('X-Code', str(code))]))
            self.assertEqual((answer.code, answer.comment), (code, phrase))
        peer.listener.behave = msrp.silent
        request = client.conn.send(msrp.build('NICKNAME', session.to_path, session.from_path))
        conn = peer.listener.accept()
        conn.send(msrp.response(conn.expect('NICKNAME'), 425))
        self.assertEqual(client.conn.expect_response(request, 425).comment, 'Nickname Reserved')

    def test_a_reply_cannot_break_out(self):
        client, _, session = self.pair({'msrp': [
            {'if': {'$msrp(method)': 'SEND'},
             'do': [{'msrp_reply': {'code': 200, 'reason': '$msrp(body)'}}]}]})
        answer = client.conn.ask(session.build(body=b'OK\r\nX-Evil: yes'))
        self.assertEqual((answer.code, answer.get('X-Evil')), (400, None))

    def test_drop(self):
        client, peer, session = self.pair({'msrp': [
            {'if': {'$msrp(method)': 'SEND', '$hdr(X-Drop)': 'yes'}, 'do': ['drop']}]})
        request = client.conn.send(session.build(body=b'x' * 5000, headers=[('X-Drop', 'yes')]))
        session.flush()
        self.assertEqual(client.conn.inbox.has(lambda f: f.tid == request.tid), [])

    def test_forward_to_many(self):
        """None of their connections is one that a session has left."""
        dns = DnsServer()
        self.addCleanup(dns.close)
        peer = Peer()
        uri = self.relay({'msrp': [{'if': {'$hdr(X-To)': '*'}, 'do': [
            {'msrp_forward': {'to_path': '$hdr(X-To)',
                              'from_path': '$msrp(crthop) $msrp(prevhop)'}}]}]},
            dns={'servers': [dns.address]})
        conn = msrp.connect(uri, relay=True)
        session = msrp.Session(conn, [uri.replace(';', '/conference;')],
                               [f'msrp://127.0.0.1:9/{new_id()};tcp'])
        for i in range(260):
            dns.host(f'host{i}.example')
            session.send(b'x', headers=[
                ('X-To', peer.own.replace('127.0.0.1', f'host{i}.example'))])
        poll(lambda: peer.listener.count == 260, what='a connection for each of them')
        session.send(b'x', headers=[('X-To', peer.own.replace('127.0.0.1', 'host0.example'))])
        poll(lambda: len(peer.listener.conns[0].worked_off) == 2, what='one more over the first')
        self.assertEqual(self.ctl_.call('get_statistics')['msrp:connections'], 261)

    def test_forward(self):
        peer = Peer()
        uri = self.relay({'msrp': [
            {'if': {'$(msrp(crthop){msrpuri.session})': 'conference'},
             'do': [{'msrp_forward': {'to_path': peer.own,
                                      'from_path': '$msrp(crthop) $msrp(prevhop)'}}]}]})
        conn = msrp.connect(uri, relay=True)
        session = msrp.Session(conn, [uri.replace(';', '/conference;')],
                               [f'msrp://127.0.0.1:9/{new_id()};tcp'])
        request = session.send('to the room', success='yes')
        there = peer.listener.accept()
        frame = there.expect('SEND')
        self.assertEqual((frame.to_path, frame.from_path),
                         (peer.path, session.to_path + session.from_path))
        self.assertEqual(frame.headers[2:], request.headers[2:])
        peer.listener.behave = there.behave = msrp.answer_with(413)
        failing = session.send('too much')
        report = conn.expect('REPORT')
        self.assertEqual((report.to_path, report.from_path, report.message_id),
                         (session.from_path, session.to_path, failing.message_id))

    def test_a_bad_forward_is_refused(self):
        uri = self.relay({'msrp': [{'do': [
            {'msrp_forward': {'to_path': '$hdr(X-To)', 'from_path': '$msrp(prevhop)'}}]}]})
        conn = msrp.connect(uri, relay=True)
        msrp.Session(conn, [uri.replace(';', '/x;')], ['msrp://127.0.0.1:9/y;tcp']).send('x', code=400)

    def test_set_dst(self):
        other = msrp.Listener(relay=True)
        client, peer, session = self.pair({'msrp': [
            {'if': {'$msrp(method)': 'SEND'},
             'do': [{'msrp_set_dst': {'addr': other.uri(), 'sock': '$msrp(srcsock)'}},
                    'msrp_relay']}]})
        session.send('elsewhere')
        frame = other.accept().expect('SEND')
        self.assertEqual(frame.to_path, peer.path)
        self.assertEqual(peer.listener.count, 0)

    def test_flags(self):
        client, peer, session = self.pair({'msrp': [
            {'if': {'$hdr(X-Flag)': 'stay'},
             'do': [{'msrp_relay_flags': ['no_connect']}, 'msrp_relay']},
            {'if': {'$hdr(X-Flag)': 'close'}, 'do': [{'msrp_relay_flags': 2}, 'msrp_relay']},
            {'if': {'$hdr(X-Flag)': 'bye'},
             'do': [{'msrp_reply_flags': ['close']}, {'msrp_reply': {'code': 480, 'reason': 'Bye'}}]},
        ]})
        session.send('x', code=481, headers=[('X-Flag', 'stay')])
        self.assertEqual(peer.listener.count, 0)
        session.send('opens')
        session.send('there is one now', headers=[('X-Flag', 'stay')])
        session.send('the last', headers=[('X-Flag', 'close')])
        conn = peer.listener.accept()
        conn.expect_closed()
        self.assertEqual(conn.inbox.has()[-1].body, b'the last')
        session.send('x', code=480, headers=[('X-Flag', 'bye')])
        client.conn.expect_closed()

    def test_responses_pass_the_rules(self):
        client, peer, session = self.pair({'msrp': [
            {'if': {'is_request': False, '$msrp(code)': '413'}, 'do': ['drop']},
            {'if': {'is_request': False}, 'do': [
                {'log': {'text': 'answer $msrp(code) $msrp(reason)'}}], 'continue': True}]},
            behave=msrp.answer_with(481, 'Gone'), **LOG)
        session.send('x')
        self.assertEqual(client.conn.expect('REPORT').get('Status'), '000 481 Gone')
        self.logged('answer 481 Gone')
        peer.listener.first().behave = msrp.answer_with(413)
        session.send('y')
        session.flush()
        self.assertEqual(client.conn.inbox.has(lambda f: f.method == 'REPORT'), [])

    def test_credentials(self):
        uri = self.relay({'msrp_auth': [
            {'if': {'$au': 'drop*'}, 'do': ['drop']},
            {'if': {'$ar': '127.0.0.1', '$au': 'guest*', '$si': '127.0.0.0/8'},
             'do': [{'msrp_credentials': {'password': 'welcome $au'}}]},
            {'if': {'$au': 'nobody'}, 'do': [{'log': {'text': 'nobody'}}]}]})
        self.assertEqual(Client(uri, 'guest7', 'welcome guest7').auth().code, 200)
        self.assertEqual(Client(uri).auth().code, 200)      # no rule holds: the users
        for user, password in (('guest7', 'secret'), ('nobody', 'x')):
            with self.assertRaisesRegex(AssertionError, '401'):
                Client(uri, user, password).auth()

    def test_denied_by_rule(self):
        uri = self.relay({'msrp': [
            {'if': {'$msrp(method)': 'AUTH', '$au': 'alice'},
             'do': [{'msrp_reply': {'code': 403, 'reason': 'Not you'}}]}]})
        with self.assertRaisesRegex(AssertionError, '403'):
            Client(uri).auth()
        Client(uri, 'bob', 'hidden').auth()


class VariableTest(RoutesCase):
    NAMES = ('method', 'transid', 'msgid', 'sessid', 'crthop', 'nexthop', 'prevhop', 'firsthop',
             'lasthop', 'nexthops', 'prevhops', 'conid', 'srcaddr', 'srcsock', 'bodylen', 'body',
             'buflen')

    def test_values(self):
        text = ' '.join(f'{name}=<$msrp({name})>' for name in self.NAMES)
        text += ' si=<$si> sp=<$sp> ct=<$hdr(content-type)> none=<$hdr(X-None)>'
        text += ' code=<$msrp(code)> money=<$$>'
        client, peer, session = self.pair({'msrp': [
            {'if': {'$msrp(method)': 'SEND'}, 'do': [{'log': {'text': text}}, 'msrp_relay']}]}, **LOG)
        request = session.build(body=b'hello')
        client.conn.ask(request, 200)
        line = self.logged('route: method=.*')[0]
        got = dict(re.findall(r'(\w+)=<([^>]*)>', line))
        address, port = client.conn.local
        wanted = {
            'method': 'SEND', 'transid': request.tid, 'msgid': request.message_id,
            'sessid': client.session_id, 'crthop': client.granted, 'nexthop': peer.own,
            'prevhop': client.own, 'firsthop': client.own, 'lasthop': peer.own, 'nexthops': '1',
            'prevhops': '1', 'srcaddr': f'msrp://{address}:{port}', 'bodylen': '5',
            'body': 'hello', 'buflen': str(len(request.encode())), 'si': address, 'sp': str(port),
            'ct': 'text/plain', 'none': '', 'code': '', 'money': '$',
            'srcsock': 'tcp:' + self.uri[len('msrp://'):-len(';tcp')]}
        self.assertEqual({name: got[name] for name in wanted}, wanted)

    def test_parts_of_uris(self):
        parts = ('user', 'userinfo', 'host', 'port', 'session', 'proto', 'scheme', 'params')
        text = ' '.join(f'{part}=<$(msrp(nexthop){{msrpuri.{part}}})>' for part in parts)
        client, peer, _ = self.pair({'msrp': [
            {'if': {'$msrp(method)': 'SEND'}, 'do': [{'log': {'text': text}}, 'msrp_relay']}]}, **LOG)
        port = URI.match(peer.own)['port']
        client.session([f'msrp://al;x=y@127.0.0.1:{port}/s/t+u=;tcp;a=b;c']).send('x')
        line = self.logged('route: user=.*')[0]
        self.assertEqual(dict(re.findall(r'(\w+)=<([^>]*)>', line)), {
            'user': 'al', 'userinfo': 'al;x=y', 'host': '127.0.0.1', 'port': port,
            'session': 's/t+u=', 'proto': 'tcp', 'scheme': 'msrp', 'params': 'a=b;c'})

    def test_ipv6_hosts_have_their_brackets(self):
        text = ' '.join(f'{part}=<$(msrp(nexthop){{msrpuri.{part}}})>'
                        for part in ('host', 'port', 'params'))
        client, _, _ = self.pair({'msrp': [
            {'if': {'$msrp(method)': 'SEND', '$(msrp(nexthop){msrpuri.host})': '2001:db8::/32',
                    '$(msrp(nexthop){msrpuri.params})': None},
             'do': [{'log': {'text': text}},
                    {'msrp_reply': {'code': 200, 'reason': 'Six'}}]}]}, **LOG)
        answer = client.conn.ask(
            client.session(['msrp://[2001:db8::7]:9/x;tcp']).build(body=b'x'))
        self.assertEqual(answer.comment, 'Six')
        self.logged(r'route: host=<\[2001:db8::7\]> port=<9> params=<>')

    def test_conditions(self):
        client, _, session = self.pair({'msrp': [
            {'if': {'$msrp(method)': ['FOO', 'BAR']},
             'do': [{'msrp_reply': {'code': 501, 'reason': 'No'}}]},
            {'if': {'$msrp(nexthops)': '>3'}, 'do': [{'msrp_reply': {'code': 400, 'reason': 'Far'}}]},
            {'if': {'$msrp(method)': 'SEND', '$hdr(Content-Type)': None},
             'do': [{'msrp_reply': {'code': 200, 'reason': 'Empty'}}]},
            {'if': {'$si': '!127.0.0.0/8'}, 'do': ['drop']}]})
        for method in ('FOO', 'BAR'):
            request = client.conn.send(msrp.build(method, session.to_path, session.from_path))
            self.assertEqual(client.conn.expect_response(request).code, 501)
        self.assertEqual(client.conn.ask(session.build()).comment, 'Empty')
        far = client.session(['msrp://127.0.0.1:9/a;tcp'] * 4)
        far.send('x', code=400)
        session.send('x')


class BodyTest(RoutesCase):
    ROUTES = {'msrp': [
        {'if': {'$msrp(method)': 'SEND', '$hdr(Content-Type)': 'text/plain', '$msrp(body)': '*spam*'},
         'do': [{'msrp_reply': {'code': 403, 'reason': 'Spam'}}]}]}

    def test_it_is_looked_at_whole(self):
        client, peer, session = self.pair(self.ROUTES)
        request = session.build(body=b'x' * 30000 + b'spam')
        client.conn.send_raw(request.encode(), piece=7000)
        self.assertEqual(client.conn.expect_response(request).code, 403)
        ham = session.build(body=os.urandom(60000).replace(b'spam', b'ham!'),
                            byte_range='1-60000/60000')
        client.conn.send_raw(ham.encode(), piece=7000)
        client.conn.expect_response(ham, 200)
        frame = peer.listener.accept().expect('SEND')
        self.assertEqual((frame.body, frame.flag), (ham.body, '$'))

    def test_too_much_is_too_much(self):
        client, _, session = self.pair(self.ROUTES)
        session.send(b'x' * 65536)
        session.send(b'x' * 65537, code=413)
        session.send('small again')

    def test_what_no_rule_can_concern_streams(self):
        client, peer, session = self.pair(self.ROUTES)
        request = session.build(body=os.urandom(200000), content_type='image/png')
        raw = request.encode()
        client.conn.send_raw(raw[:100000])
        peer.listener.accept().wait_body(1)
        client.conn.send_raw(raw[100000:])
        client.conn.expect_response(request, 200)


class SocketTest(RoutesCase):
    def test_the_listener_to_leave_from(self):
        listen = [{'name': 'inside', 'uri': 'msrp://127.0.0.1:0;tcp'},
                  {'name': 'outside', 'uri': 'msrp://127.0.0.2:0;tcp'}]
        client, peer, session = self.pair({'msrp_socket': [
            {'if': {'$dst_scheme': 'msrp', '$dst_host': '127.*', '$msrp(method)': 'SEND'},
             'do': [{'log': {'text': 'leaves for $dst_host'}},
                    {'msrp_set_socket': {'name': 'outside'}}]}]}, msrp={'listen': listen}, **LOG)
        session.send('x')
        session.send('y')
        conn = peer.listener.accept()
        self.assertEqual(conn.remote[0], '127.0.0.2')
        self.assertEqual(len(re.findall('leaves for 127.0.0.1', self.daemon_.log())), 1)

    def test_a_name_that_no_listener_has(self):
        client, peer, session = self.pair({'msrp_socket': [
            {'do': [{'msrp_set_socket': {'name': '$hdr(X-Leave)'}}]}]}, **LOG)
        session.send('x', code=400, headers=[('X-Leave', 'backstage')])
        self.logged('listener.*"backstage"')
        self.assertEqual(peer.listener.count, 0)
        session.send('x', headers=[('X-Leave', 'inside')])
        peer.listener.accept().expect('SEND')

    def test_a_destination_from_a_listener_that_is_not_there(self):
        client, peer, session = self.pair({'msrp': [
            {'if': {'$hdr(X-Leave)': '*'},
             'do': [{'msrp_set_dst': {'addr': '$msrp(nexthop)', 'sock': '$hdr(X-Leave)'}},
                    'msrp_relay']}]}, **LOG)
        for name in ('backstage', 'tcp:192.0.2.1:1'):
            session.send('x', code=400, headers=[('X-Leave', name)])
            self.logged(f'listener.*"{name}"')
        self.assertEqual(peer.listener.count, 0)

    def test_config_errors(self):
        for routes, what in (
                ({'msrp': [{'if': {'$rU': 'x'}, 'do': ['drop']}]}, r'\$rU'),
                ({'msrp': [{'do': [{'msrp_set_socket': {'name': 'x'}}]}]}, 'msrp_set_socket'),
                ({'msrp_socket': [{'do': [{'msrp_set_socket': {'name': 'x'}}]}]}, 'no listener.*"x"'),
                ({'msrp_socket': [{'do': [{'msrp_set_socket': 'x'}]}]}, 'no listener.*"x"'),
                ({'msrp': [{'do': [{'msrp_set_dst': {'addr': 'msrp://a:1/b;tcp', 'sock': 'x'}}]}]},
                 'no listener.*"x"'),
                ({'msrp': [{'do': [{'msrp_reply': {'code': 99, 'reason': 'x'}}]}]}, 'code'),
                ({'msrp': [{'do': [{'msrp_relay_flags': ['sideways']}]}]}, 'sideways'),
                ({'msrp_auth': [{'do': [{'msrp_credentials': {}}]}]}, 'password')):
            with self.subTest(routes=routes):
                with self.assertRaisesRegex(AssertionError, what):
                    self.start({**PLAIN, 'routes': {'sip': None, **routes}})


if __name__ == '__main__':
    case.main()
