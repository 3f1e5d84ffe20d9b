#!/usr/bin/env python3
"""Offers and answers of m=message: RFC 4975 section 8, RFC 3264, RFC 6135."""
import re

from lib import case, sdp
from lib.case import Call
from lib.daemon import free_port
from lib.frame import URI, new_id
from lib.sip import Dialog

OWN = 'msrp://127.0.0.1:9/own.path;tcp'


def stream(*args, **kwargs):
    return sdp.message(OWN, *args, **kwargs)


def without(lines, start):
    return [line for line in lines if not line.startswith(start)]


class OfferTest(case.Case):
    """Offers that reach us."""

    def answer(self, *streams, code=200, **kwargs):
        """The answer to an offer of these streams; the call is ended at once."""
        transaction = self.invite(sdp.document(*streams, **kwargs))
        response = transaction.final(code)
        if code != 200:
            return response
        dialog = Dialog.of_client(transaction, response)
        dialog.ack()
        dialog.bye()
        return sdp.Sdp(response.body)

    def test_our_description(self):
        """RFC 4975 6, 8.1: what our answer looks like, line by line."""
        answer = self.answer(stream())
        media = answer.message
        self.assertEqual([kind for kind, _ in answer.session], list('vosct'))
        self.assertRegex(answer.origin, r'^- [0-9]+ [0-9]+ IN IP4 127\.0\.0\.1$')
        self.assertEqual(answer.connection(media), 'IN IP4 127.0.0.1')
        self.assertEqual((media.kind, media.proto, media.formats), ('message', 'TCP/MSRP', ['*']))
        uri = URI.match(media.path[0])
        self.assertEqual((uri['scheme'], uri['host'], int(uri['port']), uri['transport'],
                          uri['params']), ('msrp', '127.0.0.1', media.port, 'tcp', ''))
        self.assertEqual(self.daemon.listeners(self.ctl), [('127.0.0.1', uri['port'])])
        self.assertEqual(media.get('accept-types'), 'text/plain message/cpim')
        self.assertEqual(media.get('accept-wrapped-types'), '*')
        self.assertEqual(media.get('max-size'), str(8 * 1024 * 1024))
        self.assertEqual(media.get('setup'), 'passive')
        self.assertIsNone(media.get('connection'))                      # RFC 6135 4.4

    def test_acceptable_types(self):
        """RFC 4975 8.6: any common type will do, parameters and case do not count."""
        for types in ('message/cpim', 'text/plain', 'image/png message/cpim', '*', 'text/*',
                      '* text/plain', 'text/plain;charset=utf-8', 'TEXT/Plain', 'message/*',
                      'image/png  text/plain', 'text/plain ', 'a/b;x="y z" text/plain'):
            with self.subTest(types):
                self.answer(stream(types))

    def test_unacceptable_offers(self):
        """RFC 4975 8, 8.2, 8.6: 488, and the next offer is none the worse."""
        good = stream()
        for name, streams in {
                'no common type': [stream('image/png')],
                'no common type, wildcard': [stream('image/*')],
                'prefix of a type': [stream('text/plai text/plainer')],
                'no accept-types': [stream(None)],
                'empty accept-types': [stream('')],
                'no path': [without(good, 'a=path')],
                'empty path': [without(good, 'a=path') + ['a=path:']],
                'path without port': [sdp.message('msrp://127.0.0.1/x;tcp', port=9)],
                'path without session id': [sdp.message('msrp://127.0.0.1:9;tcp', port=9)],
                'path without transport': [sdp.message('msrp://127.0.0.1:9/x', port=9)],
                'no MSRP path': [sdp.message('http://127.0.0.1:9/x;tcp', port=9)],
                'port 0': [sdp.message(OWN, port=0)],
                'TLS that nobody serves': [sdp.message('msrps://127.0.0.1:9/x;tcp')],
                'audio alone': [sdp.AUDIO],
                'another protocol': [sdp.message(OWN, proto='TCP/FOO')],
                'no stream': []}.items():
            with self.subTest(name):
                self.answer(*streams, code=488)
        self.answer(good)
        self.assertEqual(self.ctl.call('msrp_ua_list_sessions'), [])

    def test_hostile_descriptions(self):
        """Descriptions that are none get an error, and the daemon lives."""
        good = sdp.document(stream())
        media = good[good.index(b'm='):]
        head = good[:good.index(b'm=')]
        for name, body in {
                'non-ASCII protocol': head + 'm=audio 1 RTP/AVPÄ 3\r\n'.encode(),
                'kind that is no token': head + b'm="audio" 1 RTP/AVP 3\r\n',
                'short line': head + b'm\r\n' + media,
                'last line without end': good[:-2] + b'\r\nm=',
                'line without value': head + b'm=\r\n',
                'port beyond 16 bits': head + media.replace(b'message 9', b'message 65536'),
                'negative port': head + media.replace(b'message 9', b'message -1'),
                'NUL': good.replace(b's=-', b's=\0'),
                'nothing but m': b'm' * 5000,
                'nothing': b'\r\n'}.items():
            with self.subTest(name):
                response = self.invite(body).final()
                self.assertIn(response.code, (200, 400, 488), response.start)
        # A 200 above stays unacknowledged: the daemon will end it by itself.
        call = self.call()
        call.send('alive')

    def test_liberal_reading(self):
        """RFC 4975 7.1.1: forms that exist in the field."""
        good = sdp.document(stream())
        for name, body in {
                'm=MESSAGE': sdp.document(stream(kind='MESSAGE')),
                'empty lines before it': b'\r\n\n' + good,
                'no format': good.replace(b' TCP/MSRP *', b' TCP/MSRP'),
                'bare LF': good.replace(b'\r\n', b'\n'),
                'c= in the stream': sdp.document(stream()[:1] + ['c=IN IP4 127.0.0.1']
                                                 + stream()[1:]),
                'a=connection': sdp.document(stream(extra=['a=connection:new'])),
                'file transfer': sdp.document(stream(extra=[
                    'a=max-size:10480000', 'a=accept-wrapped-types:*',
                    'a=file-selector:name:"a b" type:image/jpeg size:4092', 'a=file-icon:cid:x'])),
                'b= and k=': good.replace(b't=0 0', b'b=AS:1\r\nt=0 0'),
                'setup of the session': sdp.document(stream(setup=None),
                                                     session=['a=setup:actpass']),
                'c= that lies (RFC 4975 8.2)': good.replace(b'c=IN IP4 127.0.0.1',
                                                        b'c=IN IP4 192.0.2.1')}.items():
            with self.subTest(name):
                transaction = self.invite(body)
                response = transaction.final(200)
                dialog = Dialog.of_client(transaction, response)
                dialog.ack()
                dialog.bye()

    def test_other_streams(self):
        """RFC 3264 6: the answer has the offer's streams in its order, all others with
        port 0."""
        answer = self.answer(sdp.AUDIO, stream(), ['m=video 5000 RTP/AVP 31'])
        self.assertEqual([(m.kind, m.port != 0) for m in answer.media],
                         [('audio', False), ('message', True), ('video', False)])
        self.assertEqual([m.proto for m in answer.media], ['RTP/AVP', 'TCP/MSRP', 'RTP/AVP'])

    def test_two_message_streams(self):
        """RFC 4975 8.1: one of two MSRP streams is taken, were their ports the same."""
        answer = self.answer(stream(), sdp.message('msrp://127.0.0.1:9/other;tcp'))
        self.assertEqual([m.port != 0 for m in answer.media], [True, False])
        answer = self.answer(stream('image/png'), sdp.message('msrp://127.0.0.1:9/other;tcp'))
        self.assertEqual([m.port != 0 for m in answer.media], [False, True])

    def test_setup(self):
        """RFC 6135 4.2.1, 4.2.2: answers are passive unless the offer leaves only active."""
        for offered, answered in (('actpass', 'passive'), ('active', 'passive'),
                                  (None, 'passive'), ('holdconn', 'passive'),
                                  ('passive', 'active')):
            with self.subTest(offered):
                listener = self.listener()
                transaction = self.invite(sdp.document(
                    sdp.message(listener.uri(), setup=offered)))
                response = transaction.final(200)
                dialog = Dialog.of_client(transaction, response)
                dialog.ack()
                self.assertEqual(sdp.Sdp(response.body).message.get('setup'), answered)
                if answered == 'active':
                    self.assertIsNone(listener.accept().expect('SEND').body)
                dialog.bye()
                self.assertEqual(listener.count, 1 if answered == 'active' else 0)

    def test_active_with_the_discard_port(self):
        """RFC 6135 4.2.2: an active offerer gives port 9, or a real one, in m= and path."""
        for path in ('msrp://127.0.0.1:9/a;tcp', 'msrp://127.0.0.1:7777/a;tcp'):
            call = self.call(path=path, setup='active')
            call.send('hello')
            self.assertEqual(self.received(call)['body'], 'hello')

    def test_multipart(self):
        """SDP inside multipart/mixed is found; a body that is no SDP is refused."""
        part = sdp.document(stream())
        body = (b'--b\r\nContent-Type: application/resource-lists+xml\r\n\r\n<x/>\r\n'
                b'--b\r\nContent-Type: application/sdp\r\n\r\n' + part + b'\r\n--b--\r\n')
        transaction = self.invite(body, content_type='multipart/mixed;boundary=b')
        response = transaction.final(200)
        self.assertEqual(response.get('Content-Type'), 'application/sdp')
        dialog = Dialog.of_client(transaction, response)
        dialog.ack()
        dialog.bye()
        response = self.invite(b'hello', content_type='text/plain').final()
        self.assertEqual(response.code, 415)
        self.assertIn('application/sdp', response.get('Accept', ''))
        for broken in (b'--b\r\n', b'no boundary here', b'--b--\r\n',
                       b'--b\r\nContent-Type: application/sdp\r\n\r\n--b--'):
            response = self.invite(broken, content_type='multipart/mixed;boundary=b').final()
            self.assertIn(response.code, (400, 415, 488))

    def test_path_of_several(self):
        """RFC 4975 7.1, 8.3: with three URIs in a=path all go into To-Path, in order."""
        path = ('msrp://127.0.0.1:9/one;tcp msrp://127.0.0.1:9/two;tcp;x=y '
                'msrp://127.0.0.1:9/three+/=;tcp')
        call = self.call(path=path)
        self.say(call, 'hello')
        self.assertEqual(call.receive().to_path, path.split())

    def test_max_size(self):
        """RFC 4975 8.6: what the peer cannot take is refused with 413, nothing goes out."""
        call = self.call(extra=['a=max-size:10'])
        self.refused(413, self.say, call, 'x' * 11)
        self.say(call, 'x' * 10)
        self.assertEqual(call.receive().body, b'x' * 10)

    def test_type_not_signalled(self):
        """RFC 4975 8.6: a type that the peer does not list is refused with 415, nothing goes
        out."""
        call = self.call(accept_types='text/plain', extra=['a=accept-wrapped-types:image/png'])
        for mime in ('text/html', 'image/png', 'message/cpim'):
            self.refused(415, self.say, call, 'x', mime)
        for bad in ('', 'nonsense', 'text/plain\r\nX: y'):
            self.refused(400, self.say, call, 'x', bad)
        self.say(call, 'x', 'Text/Plain; charset=utf-8')
        self.assertEqual(call.receive().get('Content-Type'), 'Text/Plain; charset=utf-8')
        self.assertEqual(call.conn.inbox.has(lambda f: f.body is not None), [])

    def test_direction(self):
        """RFC 4975 8.9: sendonly limits content SENDs alone, and the answer mirrors it."""
        call = self.call(extra=['a=sendonly'])
        self.assertIn('a=recvonly', call.sdp.lines)
        with self.assertRaises(case.RpcError):
            self.say(call, 'x')
        call.send('y', success='yes')
        call.conn.expect('REPORT')
        self.say(call, None, mime=None)
        self.assertIsNone(call.conn.expect('SEND').body)
        call = self.call(extra=['a=recvonly'])
        self.assertIn('a=sendonly', call.sdp.lines)
        self.say(call, 'x')
        call.receive()


class RenegotiationTest(case.Case):
    """Offers within a session."""

    def test_nothing_changes(self):
        """RFC 4975 8.4: the same offer again gets the same description, o= and path included."""
        for set_up in (self.call, self.answered):
            with self.subTest(set_up.__name__):
                call = set_up()
                offer = sdp.document(sdp.message(
                    call.own_path[0], setup='actpass' if set_up == self.call else 'active'))
                first = sdp.Sdp(call.dialog.reinvite(offer).body)
                second = sdp.Sdp(call.dialog.reinvite(offer).body)
                self.assertEqual(first.origin, second.origin)
                self.assertEqual(first.message.path, second.message.path)
                if set_up == self.call:
                    self.assertEqual(first.origin, call.sdp.origin)
                    self.assertEqual(first.lines, call.sdp.lines)
                call.send('still bound')
                self.assertEqual(self.received(call)['body'], 'still bound')

    def test_path_changes(self):
        """RFC 4975 5.4, 8.4: the path of the last offer is the one that is used."""
        call = self.call()
        new = f'msrp://127.0.0.1:9/{new_id()};tcp'
        answer = sdp.Sdp(call.dialog.reinvite(self.offer(new)).body)
        call.path, call.own_path = answer.message.path, [new]
        call.attach(call.conn)
        call.msrp.bind()
        self.say(call, 'to the new path')
        self.assertEqual(call.receive().to_path, [new])

    def test_types_change(self):
        """The accept-types of the last offer count."""
        call = self.call(accept_types='text/plain')
        self.refused(415, self.say, call, 'x', 'message/cpim')
        call.dialog.reinvite(self.offer(call.own_path[0], 'message/cpim'))
        self.refused(415, self.say, call, 'x', 'text/plain')
        self.say(call, 'From: <im:a@b>\r\n\r\nContent-Type: text/plain\r\n\r\nx', 'message/cpim')
        self.assertEqual(call.receive().get('Content-Type'), 'message/cpim')

    def test_update(self):
        """An UPDATE with an offer is answered by an answer, one without by nothing but 200."""
        call = self.call()
        response = call.dialog.request('UPDATE', self.offer(call.own_path[0])).final(200)
        self.assertEqual(sdp.Sdp(response.body).message.path, call.path)
        self.assertEqual(sdp.Sdp(response.body).origin, call.sdp.origin)
        response = call.dialog.request('UPDATE').final(200)
        self.assertEqual(response.body, b'')
        call.send('still here')
        self.assertEqual(self.received(call)['body'], 'still here')

    def test_bad_offer_changes_nothing(self):
        """A re-INVITE or UPDATE that we cannot accept gets 488, the session goes on as it was."""
        call = self.call()
        call.dialog.reinvite(self.offer(accept_types='image/png'), 488)
        call.dialog.request('UPDATE', self.offer(accept_types='image/png')).final(488)
        self.assertIn(call.dialog.request('INVITE', b'garbage\r\n').final().code, (400, 488))
        call.send('still here')
        self.say(call, 'me too')
        self.assertEqual(call.receive().to_path, call.own_path)

    def test_reinvite_without_offer(self):
        """A re-INVITE without SDP: our offer in the 200, the answer in the ACK."""
        call = self.call()
        transaction = call.dialog.request('INVITE')
        offer = sdp.Sdp(transaction.final(200).body)
        self.assertEqual(offer.message.path, call.path)
        self.assertIn(offer.message.get('setup'), ('actpass', 'passive'))
        call.dialog.ack(self.offer(call.own_path[0], setup='active'))
        call.send('still here')
        self.assertEqual(self.received(call)['body'], 'still here')

    def test_connection_moves(self):
        """RFC 4975 5.4: after a re-INVITE that makes us active we connect to the new path."""
        call = self.call()
        listener = self.listener()
        call.dialog.reinvite(self.offer(listener.uri(), setup='passive'))
        conn = listener.accept()
        self.assertIsNone(conn.expect('SEND').body)

    def test_audio_is_added(self):
        """RFC 3264 8: an offer with a new stream beside the old one: refused there,
        kept here."""
        call = self.call()
        offer = sdp.document(sdp.message(call.own_path[0]), sdp.AUDIO)
        answer = sdp.Sdp(call.dialog.reinvite(offer).body)
        self.assertEqual([(m.kind, m.port != 0) for m in answer.media],
                         [('message', True), ('audio', False)])
        self.assertEqual(answer.message.path, call.path)

    def test_stream_is_dropped(self):
        """RFC 3264 8.2: the MSRP stream offered again with port 0 is the end of the session."""
        for more in ([], [sdp.AUDIO]):
            call = self.call()
            offer = sdp.document(sdp.message(call.own_path[0], port=0), *more)
            response = call.dialog.request('INVITE', offer).final(200)
            self.assertEqual([m.port for m in sdp.Sdp(response.body).media], [0] * (1 + len(more)))
            self.assertEqual(self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)['reason'],
                             'bye')
            self.assertEqual(self.sip.requests.has(), [])
            call.dialog.ack()
            call.dialog.expect('BYE').respond(200)


class LateOfferTest(case.Case):
    def late(self):
        transaction = self.invite()
        answer = transaction.final(200)
        return Dialog.of_client(transaction, answer), sdp.Sdp(answer.body)

    def test_late_offer(self):
        """RFC 4975 8.8: an INVITE without SDP gets our offer in the 200."""
        for setup in ('active', 'passive', None):
            with self.subTest(setup):
                dialog, offer = self.late()
                self.assertEqual(offer.message.get('setup'), 'actpass')
                listener = self.listener()
                path = listener.uri()
                dialog.ack(sdp.document(sdp.message(path, setup=setup)))
                event = self.ctl.event('E_MSRP_SESSION_NEW')
                self.assertEqual(event['content_types'], 'text/plain message/cpim')
                call = Call(self, dialog, offer, path)
                if setup == 'active':
                    call.connect()
                else:
                    call.attach(listener.accept())
                    call.conn.expect('SEND')
                call.send('hello')
                self.assertEqual(self.received(call)['body'], 'hello')
                call.bye()

    def test_bad_answer(self):
        """RFC 4975 8.6: an answer in the ACK that does not fit: BYE, and no session."""
        for name, body in {'no answer': b'',
                           'refused': sdp.document(stream(port=0)),
                           'no path': sdp.document(without(stream(), 'a=path')),
                           'garbage': b'hello\r\n'}.items():
            with self.subTest(name):
                dialog, _ = self.late()
                dialog.ack(body)
                dialog.expect('BYE').respond(200)
        self.assertEqual(self.ctl.call('msrp_ua_list_sessions'), [])
        self.assertEqual(self.ctl.pending('E_MSRP_SESSION_NEW'), [])


class OurOfferTest(case.Case):
    """Offers that we make."""

    def test_offer(self):
        """RFC 4975 8.1, 8.2, 8.6, RFC 6135 4.2.1, 4.2.2: what our offer looks like."""
        _, invite = self.start_session(content_types='text/plain image/*')
        self.assertEqual(invite.request.get('Content-Type'), 'application/sdp')
        offer = sdp.Sdp(invite.request.body)
        media, = offer.media
        self.assertEqual((media.kind, media.proto, media.formats), ('message', 'TCP/MSRP', ['*']))
        self.assertEqual(media.get('accept-types'), 'text/plain image/*')
        self.assertIsNone(media.get('accept-wrapped-types'))
        self.assertEqual(media.get('setup'), 'actpass')
        self.assertEqual(media.get('max-size'), str(8 * 1024 * 1024))
        self.assertEqual(offer.connection(media), 'IN IP4 127.0.0.1')
        self.assertEqual(URI.match(media.path[0])['port'], str(media.port))
        invite.respond(486)

    def test_answers(self):
        """RFC 4975 5.4, 8.5, RFC 6135 4.2.1: who connects is what the answer says; without a=setup
        we do."""
        for setup in ('passive', None, 'holdconn'):
            with self.subTest(setup):
                call = self.answered(setup=setup)
                call.send('hello')
                call.bye()
        call = self.answered(setup='active', path='msrp://127.0.0.1:9/active;tcp', connect=False)
        call.connect()
        call.send('hello')
        self.assertEqual(self.received(call)['body'], 'hello')
        self.say(call, 'hello yourself')
        self.assertEqual(call.receive().body, b'hello yourself')

    def test_bad_answers(self):
        """An answer that does not fit: ACK, BYE, E_MSRP_SESSION_FAILED; nothing is connected."""
        listener = self.listener()
        good = sdp.message(listener.uri(), setup='passive')
        for name, body in {'refused': sdp.document(sdp.message(listener.uri(), port=0)),
                           'no answer': b'',
                           'no path': sdp.document(without(good, 'a=path')),
                           'no types': sdp.document(without(good, 'a=accept-types')),
                           'TLS instead': sdp.document(sdp.message(
                               'msrps://127.0.0.1:9/x;tcp', setup='passive')),
                           'garbage': b'hello'}.items():
            with self.subTest(name):
                session_id, invite = self.start_session()
                invite.respond(200, body)
                dialog = Dialog.of_server(invite)
                dialog.expect('ACK')
                dialog.expect('BYE').respond(200)
                event = self.ctl.event('E_MSRP_SESSION_FAILED', session_id=session_id)
                self.assertEqual(event['code'], 488)
        self.assertEqual(listener.count, 0)
        self.assertEqual(self.ctl.pending(), [])

    def test_one_common_direction(self):
        """RFC 4975 8.6: the peer's types need not be ours: its list says what we may send."""
        call = self.answered(accept_types='text/plain text/html')
        self.say(call, '<p>', 'text/html')
        self.assertEqual(call.receive().get('Content-Type'), 'text/html')

    def test_reinvite_by_the_callee(self):
        """RFC 4975 8.4: either side re-offers."""
        call = self.answered()
        new = self.listener()
        answer = call.dialog.reinvite(self.offer(new.uri(), setup='passive'))
        self.assertEqual(sdp.Sdp(answer.body).message.get('setup'), 'active')
        self.assertIsNone(new.accept().expect('SEND').body)


class AddressTest(case.Case):
    own_daemon = True

    def test_default_port(self):
        """RFC 4975 6: a my_uri without port means 2855, in m= and in the path."""
        daemon, ctl = self.start({
            'msrp': {'listen': [{'name': 'x', 'uri': 'msrp://127.0.7.7:2855;tcp'}]},
            'ua': {'my_uri': 'msrp://127.0.7.7;tcp'}})
        call = self.call(daemon, ctl)
        self.assertEqual(call.sdp.message.port, 2855)
        self.assertRegex(call.path[0], r'^msrp://127\.0\.7\.7:2855/')
        self.assertEqual(call.sdp.connection(call.sdp.message), 'IN IP4 127.0.7.7')

    def test_advertised_name(self):
        """RFC 4975 8.1, RFC 4976 4.2: the advertised name in path and c=, reachable as such."""
        port = free_port()
        daemon, ctl = self.start({'msrp': {'listen': [
            {'name': 'x', 'uri': f'msrp://127.0.0.1:{port};tcp',
             'advertise': f'localhost:{port}'}]}})
        call = self.call(daemon, ctl)
        self.assertRegex(call.path[0], rf'^msrp://localhost:{port}/')
        self.assertEqual(call.sdp.connection(call.sdp.message), 'IN IP4 localhost')
        call.send('hello')

    def test_max_size_of_ours(self):
        """a=max-size follows max_message_size."""
        daemon, ctl = self.start({'msrp': {'max_message_size': '64KiB'}})
        self.assertEqual(self.call(daemon, ctl).sdp.message.get('max-size'), '65536')

    def test_multipart_is_offered_where_listed(self):
        """RFC 4975 7.3.1: content_types is what is offered, multipart included."""
        daemon, ctl = self.start({'routes': {'sip': [{'do': [{'msrp_ua_answer': {
            'content_types': 'text/plain multipart/mixed'}}]}]}})
        call = self.call(daemon, ctl)
        self.assertEqual(call.sdp.message.get('accept-types'), 'text/plain multipart/mixed')
        self.assertIsNone(re.search('cpim', '\n'.join(call.sdp.lines)))


if __name__ == '__main__':
    case.main()
