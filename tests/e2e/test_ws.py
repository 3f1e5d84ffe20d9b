#!/usr/bin/env python3
"""MSRP over WebSocket: RFC 7977, RFC 6455."""
import os

from lib import case, certs, msrp, ws
from lib.daemon import SOURCE, free_port
from lib.frame import URI, Framer, new_id
from lib.program import Program
from lib.relay_client import USERS, Client, Peer
from lib.waiting import poll

ORIGIN = 'https://chat.example.org'
NODE = os.path.join(SOURCE, 'tests', 'e2e', 'npm', 'websocket.mjs')


def invalid(scheme='msrp'):
    """A browser has no address: RFC 7977 appendix A."""
    return f'{scheme}://{new_id()}.invalid:2855/{new_id()};ws'


class WebCase(case.Case):
    config = {'msrp': {'listen': [
        {'name': 'inside', 'uri': 'msrp://127.0.0.1:0;tcp'},
        {'name': 'web', 'uri': 'msrp://127.0.0.1:0;ws', 'origins': [ORIGIN]}]}}
    scheme, tls = 'msrp', None

    def setUp(self):
        super().setUp()
        places = self.daemon.listeners(self.ctl)
        self.tcp, self.web = (f'{self.scheme}://{host}:{port};{transport}'
                              for (host, port), transport in zip(places, ('tcp', 'ws')))

    def connect(self, **kwargs):
        return ws.connect(self.web, tls=self.tls, **kwargs)

    def web_call(self, **kwargs):
        """A session with a client that comes by WebSocket."""
        call = self.call(path=invalid(self.scheme), connect=False, setup='active')
        self.assertEqual(URI.match(call.path[0])['transport'], 'ws')
        self.assertEqual(URI.match(call.path[0])['port'], URI.match(self.web)['port'])
        call.attach(self.connect(**kwargs)).msrp.bind()
        return call

    def assert_one_frame_each(self, conn):
        for message in conn.sock.messages:
            framer = Framer(strict=True)
            self.assertEqual(len(framer.feed(message)), 1)
            self.assertFalse(framer.pending)


class HandshakeTest(WebCase):
    def test_who_is_let_in(self):
        for origin, status in ((None, 101), (ORIGIN, 101), ('https://evil.example', 403),
                               ('http://chat.example.org', 403), ('null', 403)):
            headers = {'Origin': origin} if origin else {}
            with self.subTest(origin=origin):
                self.assertEqual(ws.refused(self.web, headers=headers).status, status)

    def test_what_is_asked_for(self):
        self.assertEqual(ws.refused(self.web, protocol='sip').status, 400)
        self.assertEqual(ws.refused(self.web, leave_out=['Sec-WebSocket-Protocol']).status, 400)
        self.assertEqual(ws.refused(self.web, leave_out=['Host']).status, 400)
        self.assertEqual(ws.refused(self.web, leave_out=['Upgrade']).status, 400)
        answer = ws.refused(self.web, headers={'Sec-WebSocket-Version': '8'})
        self.assertEqual(answer.status, 426)
        self.assertEqual(answer.headers['Sec-WebSocket-Version'], '13')
        self.assertEqual(ws.refused(self.web, protocol='chat, msrp', path='/any?thing').status, 101)
        answer = ws.refused(self.web, headers={'Sec-WebSocket-Extensions': 'permessage-deflate'})
        self.assertNotIn('Sec-WebSocket-Extensions', answer.headers)

    def test_it_is_not_for_ever(self):
        daemon, ctl = self.start({**self.config, 'msrp': {
            **self.config['msrp'], 'bind_timeout': '1s'}})
        host, port = daemon.listeners(ctl)[1]
        sock = ws.open_socket(f'msrp://{host}:{port};ws')
        sock.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n')
        self.assertEqual(sock.recv(1), b'')
        sock.close()


class SessionTest(WebCase):
    def test_messages_both_ways(self):
        call = self.web_call()
        call.send('hello', success='yes')
        self.assertEqual(self.received(call)['body'], 'hello')
        call.conn.expect('REPORT')
        self.say(call, 'likewise')
        self.assertEqual(call.receive().body, b'likewise')
        self.assert_one_frame_each(call.conn)

    def test_text_fragments_and_pings(self):
        call = self.web_call()
        sock = call.conn.sock
        sock.opcode, sock.fragment = ws.TEXT, 7
        call.send('grüße' * 100)
        self.assertEqual(self.received(call)['body'], 'grüße' * 100)
        sock.control(ws.PING, b'are you there')
        call.msrp.flush()
        self.assertEqual(sock.pongs, [b'are you there'])

    def test_a_large_message_comes_in_chunks(self):
        call = self.web_call()
        body = 'x' * 300000
        call.send(body)
        self.assertEqual(len(self.received(call)['body']), len(body))
        self.say(call, body)
        got = b''
        while len(got) < len(body):
            got += call.receive().body
        self.assertEqual(got, body.encode())
        self.assert_one_frame_each(call.conn)
        self.assertLess(max(map(len, call.conn.sock.messages)), 40000)

    def test_a_message_is_a_whole_frame(self):
        call = self.web_call()
        call.conn.sock.control(ws.BINARY, call.msrp.build('SEND', b'x').encode()[:-10])
        call.conn.expect_closed()

    def test_the_close_is_answered(self):
        call = self.web_call()
        call.conn.sock.control(ws.CLOSE, b'\x0f\xa0')
        call.conn.expect_closed()
        self.assertEqual(call.conn.sock.close_code, 4000)

    def test_a_server_does_not_take_what_is_not_masked(self):
        call = self.web_call()
        call.conn.sock.sock.send(ws.frame(b'x', mask=False))
        call.conn.expect_closed()
        self.assertEqual(call.conn.sock.close_code, 1002)

    def test_a_tcp_client_keeps_tcp(self):
        call = self.call()
        self.assertEqual(URI.match(call.path[0])['transport'], 'tcp')
        call.send('hello')

    def test_node(self):
        """The client of the package ws, which others wrote."""
        path = invalid()
        call = self.call(path=path, connect=False, setup='active')
        url = self.web.replace('msrp://', 'ws://').replace(';ws', '/')
        node = Program('node', ['node', NODE, url, call.path[0], path], self.directory)
        try:
            self.assertEqual(self.received(call)['body'], 'grüße from node')
            self.ctl.call('msrp_ua_send_message', session_id=call.id, mime='text/plain',
                          body='and back')
            node.line('^got and back$')
        finally:
            node.stop()


class SecureTest(SessionTest):
    scheme = 'msrps'

    @classmethod
    def prepare(cls):
        ca = certs.Authority(cls.directory)
        own = ca.issue('msrpd', ['IP:127.0.0.1', 'DNS:localhost'])
        cls.tls = certs.client_context(ca)
        cls.config = {'msrp': {
            'listen': [{'name': 'inside', 'uri': 'msrps://127.0.0.1:0;tcp'},
                       {'name': 'web', 'uri': 'msrps://127.0.0.1:0;ws'}],
            'tls': {'certificate': own.certificate, 'private_key': own.key, 'ca_file': ca.file}}}

    def call(self, **kwargs):
        kwargs.setdefault('path', f'msrps://127.0.0.1:9/{new_id()};tcp')
        kwargs.setdefault('tls', self.tls)
        return super().call(**kwargs)

    test_node = None


class NamesTest(case.Case):
    own_daemon = True

    def test_each_transport_has_its_name(self):
        tcp, web = (f'127.0.0.1:{free_port()}' for _ in range(2))
        name = f'im.example.org:{web.split(":")[1]}'
        daemon, ctl = self.start({
            'msrp': {'listen': [{'name': 'inside', 'uri': f'msrp://{tcp};tcp'},
                                {'name': 'web', 'uri': f'msrp://{web};ws', 'advertise': name}]},
            'ua': {'my_uri': [f'msrp://{tcp};tcp', f'msrp://{name};ws']}})
        for own, place, transport in ((invalid(), name, 'ws'), (None, tcp, 'tcp')):
            call = self.call(daemon=daemon, ctl=ctl, path=own, connect=False, setup='active')
            match = URI.match(call.path[0])
            self.assertEqual((f'{match["host"]}:{match["port"]}', match['transport']),
                             (place, transport))


class RelayTest(WebCase):
    config = {**WebCase.config, 'sip': None, 'routes': None,
              'relay': {'users': USERS, 'allow_plain_auth': True}}

    def client(self, user='alice'):
        conn = self.connect(relay=True, name=f'client {user}')
        client = Client(self.web, user, USERS[user]['password'], own=invalid(), conn=conn)
        client.auth()
        match = URI.match(client.granted)
        self.assertEqual((match['transport'], match['port']), ('tcp', URI.match(self.tcp)['port']))
        return client

    def test_a_tcp_peer_and_a_browser(self):
        client, peer = self.client(), Peer()
        client.session(peer.path).send('from the web')
        conn = peer.listener.accept()
        frame = conn.expect('SEND')
        self.assertEqual(frame.from_path, [client.granted, client.own])
        peer.back(conn, client.path).send('and back')
        self.assertEqual(client.conn.expect('SEND').body, b'and back')

    def test_a_peer_that_connects(self):
        client, peer = self.client(), Peer(listen=False)
        session = peer.connect(client.path)
        session.send('knock')
        self.assertEqual(client.conn.expect('SEND').body, b'knock')

    def test_two_browsers(self):
        alice, bob = self.client(), self.client('bob')
        alice.session(bob.path).send('hello')
        self.assertEqual(bob.conn.expect('SEND').body, b'hello')
        bob.session(alice.path).send('hello yourself')
        self.assertEqual(alice.conn.expect('SEND').body, b'hello yourself')

    def test_a_large_chunk_is_split_for_a_browser(self):
        client, peer = self.client(), Peer(listen=False)
        body = os.urandom(300000)
        peer.connect(client.path).send(body, content_type='application/octet-stream')
        got, frames = b'', []
        while not frames or frames[-1].flag == '+':
            frames.append(client.conn.expect('SEND'))
            self.assertEqual(int(frames[-1].get('Byte-Range').split('-')[0]), len(got) + 1)
            got += frames[-1].body
        self.assertEqual(got, body)
        self.assertLessEqual(max(len(frame.body) for frame in frames), 32768)
        self.assert_one_frame_each(client.conn)

    def test_nobody_is_called_by_websocket(self):
        client = self.client()
        client.session([invalid()]).send('x', code=None)
        poll(lambda: any(frame.code in (400, 408, 481) or frame.method == 'REPORT'
                         for frame in client.conn.history[2:]), what='a refusal')

    def test_the_grant_ends_with_the_connection(self):
        client, peer = self.client(), Peer(listen=False)
        session = peer.connect(client.path)
        client.conn.sock.control(ws.CLOSE, b'\x03\xe8')
        client.conn.expect_closed()
        poll(lambda: not self.ctl.call('msrp_relay_list_sessions'), what='the end of the grant')
        session.send('x', code=481)


if __name__ == '__main__':
    case.main()
