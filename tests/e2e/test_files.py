#!/usr/bin/env python3
"""Files over MSRP: RFC 5547, in sessions of their own and as further streams of others."""
import hashlib
import os
import random
import shutil
import tempfile
import time

from lib import case, msrp, sdp
from lib.case import Call
from lib.frame import new_id
from lib.sip import Dialog
from lib.waiting import poll

SIZE = 300_000
URIS = {'from_uri': 'sip:alice@example.org', 'to_uri': 'sip:bob@example.org'}


def content(size=SIZE, seed=1):
    return random.Random(seed).randbytes(size)


def sha1(data):
    return ':'.join(f'{byte:02X}' for byte in hashlib.sha1(data).digest())


def selector(data, name='photo.png', kind='image/png', **changes):
    parts = {'name': f'"{name}"', 'type': kind, 'size': len(data), 'hash': f'sha-1:{sha1(data)}'}
    parts.update(changes)
    return ' '.join(f'{key}:{value}' for key, value in parts.items() if value is not None)


def file_stream(path, selected, file_range=None, direction='sendonly', types='*', identity='id1'):
    extra = [f'a={direction}', f'a=file-selector:{selected}', f'a=file-transfer-id:{identity}']
    if file_range:
        extra.append(f'a=file-range:{file_range}')
    return sdp.message(path, types, extra=extra)


class FileCase(case.Case):
    """msrpd with a directory, and rules that take files for some."""

    @classmethod
    def prepare(cls):
        cls.received_in = tempfile.mkdtemp(prefix='msrpd-in-')
        cls.sent_from = tempfile.mkdtemp(prefix='msrpd-out-')
        cls.addClassCleanup(shutil.rmtree, cls.received_in)
        cls.addClassCleanup(shutil.rmtree, cls.sent_from)
        cls.config = {
            'ua': {'files': {'directory': cls.received_in, 'max_size': '2MiB', 'max_total': '4MiB',
                             'send_from': [cls.sent_from], 'idle_timeout': '20s',
                             'accept_in_session': 'image/png'}},
            'routes': {'sip': [
                {'if': {'$tu': 'sip:files@*'}, 'do': ['msrp_file_accept']},
                {'if': {'$tu': 'sip:small@*'},
                 'do': [{'msrp_file_accept': {'content_types': 'image/png image/gif',
                                              'max_size': 1000}}]},
                {'if': {'$rm': 'INVITE'},
                 'do': [{'msrp_ua_answer': {'content_types': 'text/plain message/cpim'}}]}]}}

    def setUp(self):
        super().setUp()
        for name in os.listdir(self.received_in):
            os.unlink(os.path.join(self.received_in, name))

    def names(self):
        return sorted(os.listdir(self.received_in))

    def on_disk(self, name, data):
        path = os.path.join(self.sent_from, name)
        with open(path, 'wb') as file:
            file.write(data)
        return path

    def read(self, path):
        with open(path, 'rb') as file:
            return file.read()


class ReceiveTest(FileCase):
    """Files that peers offer."""

    def offer_file(self, selected, to_uri='sip:files@example.org', code=200, **kwargs):
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction = self.invite(sdp.document(file_stream(path, selected, **kwargs)),
                                  to_uri=to_uri, from_uri='sip:carol@example.com')
        answer = transaction.final(code)
        if code != 200:
            return answer
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        return Call(self, dialog, sdp.Sdp(answer.body), path).connect()

    def send_all(self, call, data, content_type='image/png', size=50_000):
        chunks = call.msrp.chunks(data, size, content_type=content_type, success='yes')
        for frame in chunks:
            call.conn.ask(frame, 200)
        return chunks[0].message_id

    def test_progress(self):
        """How far it is, once a second at most."""
        data = content()
        began = time.monotonic()
        call = self.offer_file(selector(data))
        self.send_all(call, data)
        told = self.ctl.event('E_MSRP_FILE_PROGRESS', session_id=call.id)
        self.assertEqual(told['size'], len(data))
        self.assertIn(told['bytes'], range(1, len(data) + 1))
        self.ctl.event('E_MSRP_FILE_RECEIVED', session_id=call.id)
        more = len(self.ctl.pending('E_MSRP_FILE_PROGRESS'))
        self.assertLessEqual(more, time.monotonic() - began)

    def test_whole(self):
        """RFC 5547 8.2.2, 9.1: taken, checked, under a name of ours, and reported."""
        data = content()
        selected = selector(data, name='../../etc/%22x%22 %00.png')
        call = self.offer_file(selected)
        media = call.sdp.message
        self.assertEqual(media.get('file-selector'), selected)
        self.assertEqual(media.get('file-transfer-id'), 'id1')
        self.assertIsNone(media.get('file-range'))
        self.assertIn(('recvonly', None), media.attributes)
        self.assertIsNone(media.get('max-size'))
        self.send_all(call, data)
        report = call.conn.expect('REPORT')
        self.assertEqual((report.get('Status'), report.get('Byte-Range')),
                         ('000 200', f'1-{SIZE}/{SIZE}'))
        event = self.ctl.event('E_MSRP_FILE_RECEIVED')
        self.assertEqual(event['session_id'], call.id)
        self.assertEqual((event['type'], event['size']), ('image/png', SIZE))
        self.assertTrue(event['name'].startswith('../../etc/"x" '))
        self.assertEqual(event['sha1'], hashlib.sha1(data).hexdigest())
        self.assertEqual(event['sha256'], hashlib.sha256(data).hexdigest())
        self.assertEqual(os.path.dirname(event['path']), self.received_in)
        self.assertRegex(os.path.basename(event['path']), '^file-[A-Za-z0-9]{22}$')
        self.assertEqual(self.read(event['path']), data)
        self.assertEqual(os.stat(event['path']).st_mode & 0o777, 0o600)
        self.assertEqual(self.names(), [os.path.basename(event['path'])])
        call.bye()

    def test_envelope(self):
        """RFC 5547 9.1: a file inside message/cpim."""
        data = content(20_000)
        call = self.offer_file(selector(data), types='message/cpim')
        self.send_all(call, b'From: <sip:a@b.c>\r\nTo: <sip:b@b.c>\r\n\r\n'
                      b'Content-Type: image/png\r\n\r\n' + data, 'message/cpim', 7)
        event = self.ctl.event('E_MSRP_FILE_RECEIVED')
        self.assertEqual(self.read(event['path']), data)
        call.bye()

    def test_other_bytes(self):
        """What has another SHA-1, or is longer or shorter than announced, leaves nothing."""
        data = content(5000)
        for sent, selected, reason in (
                (data, selector(content(5000, 2)), 'its SHA-1 is not the one announced'),
                (data + b'x', selector(data), None), (data[:-1], selector(data), None),
                (data, selector(data, size=4999), None)):
            with self.subTest(reason=reason, size=len(sent)):
                call = self.offer_file(selected)
                frame = call.msrp.build(body=sent, content_type='image/png',
                                        success='yes')
                call.conn.send(frame)
                if reason:
                    event = self.ctl.event('E_MSRP_FILE_FAILED', session_id=call.id)
                    self.assertEqual(event['reason'], reason)
                    self.assertEqual(call.conn.expect('REPORT').get('Status')[:7], '000 400')
                    call.dialog.expect('BYE').respond(200)
                else:
                    call.conn.expect_response(frame, 413)
                    call.bye()
                    self.ctl.event('E_MSRP_FILE_FAILED', session_id=call.id)
                poll(lambda: not self.names(), what='an empty directory')

    def test_resumed(self):
        """RFC 5547 6: what has come stays a while, and the answer asks for the rest."""
        data = content()
        for offered in ('1-*', f'1-{SIZE}'):
            call = self.offer_file(selector(data), file_range=offered)
            self.assertEqual(call.sdp.message.get('file-range'), f'1-{SIZE}')
            first = call.msrp.chunks(data, 100_000, content_type='image/png')[0]
            call.conn.ask(first, 200)
            call.bye()
            self.assertEqual(self.ctl.event('E_MSRP_FILE_FAILED')['reason'],
                             'cancelled by the sender')
            poll(lambda: [os.stat(os.path.join(self.received_in, name)).st_size
                          for name in self.names()] == [100_000], what='the part')
            self.assertTrue(self.names()[0].startswith('.part-'))
            self.offer_file(selector(data), code=488, file_range='100000-*')
            self.offer_file(selector(data), code=488, file_range='100002-*')
            call = self.offer_file(selector(data), file_range=offered)
            self.assertEqual(call.sdp.message.get('file-range'), f'100001-{SIZE}')
            self.send_all(call, data[100_000:])
            event = self.ctl.event('E_MSRP_FILE_RECEIVED')
            self.assertEqual(self.read(event['path']), data)
            os.unlink(event['path'])
            call.bye()
            self.assertEqual(self.names(), [])

    def test_whole_in_spite_of_a_part(self):
        """Who sends all of it after all, or knows of no ranges, is not misunderstood."""
        data = content()
        for file_range in ('1-*', None):
            call = self.offer_file(selector(data), file_range='1-*')
            call.conn.ask(call.msrp.chunks(data, 100_000, content_type='image/png')[0], 200)
            call.bye()
            self.ctl.event('E_MSRP_FILE_FAILED')
            poll(lambda: self.names() and os.stat(
                os.path.join(self.received_in, self.names()[0])).st_size == 100_000)
            call = self.offer_file(selector(data), file_range=file_range)
            self.send_all(call, data)
            event = self.ctl.event('E_MSRP_FILE_RECEIVED')
            self.assertEqual(self.read(event['path']), data)
            os.unlink(event['path'])
            call.bye()

    def test_refused(self):
        """488 for what no rule takes, and for what is no file."""
        data = content(2000)
        good = selector(data)
        for to_uri, selected, kwargs in (
                ('sip:chat@example.org', good, {}),
                ('sip:small@example.org', good, {}),
                ('sip:small@example.org', selector(data[:10], kind='text/plain'), {}),
                ('sip:files@example.org', selector(data, size=3 << 20), {}),
                ('sip:files@example.org', selector(b''), {}),
                ('sip:files@example.org', 'size:x', {}),
                ('sip:files@example.org', 'name:"x', {}),
                ('sip:files@example.org', 'hash:sha-1:12:34', {}),
                ('sip:files@example.org', good, {'direction': 'recvonly'}),
                ('sip:files@example.org', good, {'file_range': '0-1'}),
                ('sip:files@example.org', good, {'file_range': '1-100'}),
                ('sip:files@example.org', good, {'identity': 'a b'})):
            with self.subTest(to_uri=to_uri, selected=selected, **kwargs):
                self.offer_file(selected, to_uri, 488, **kwargs)
        transaction = self.invite(self.offer(), to_uri='sip:files@example.org')
        transaction.final(488)
        self.assertEqual(self.names(), [])

    def test_why(self):
        """The story of a call tells why its file was refused, or failed."""
        def told(answer):
            return [line['line'] for line in self.ctl.call('why', id=answer.call_id)]

        data = content(2000)
        for to_uri, selected, code, reason in (
                ('sip:small@example.org', selector(data), 488, 'larger than the rule takes'),
                ('sip:small@example.org', selector(data, kind='text/html'), 488,
                 'a type that the rule does not take'),
                ('sip:chat@example.org', selector(data), 488, 'msrp_file_accept')):
            with self.subTest(reason):
                lines = told(self.offer_file(selected, to_uri, code))
                self.assertTrue([line for line in lines if reason in line], lines)
                self.assertTrue([line for line in lines if f'refused: {code}' in line], lines)
        call = self.offer_file(selector(data))
        call.bye()
        self.ctl.event('E_MSRP_FILE_FAILED', session_id=call.id)
        lines = told(call.dialog)
        self.assertIn(f'files: session {call.id}: file failed: cancelled by the sender', lines)

    def test_quota(self):
        """ua.files.max_total counts what is promised; parts give way."""
        calls = [self.offer_file(selector(content(3000, i), size=2 << 20)) for i in range(2)]
        self.offer_file(selector(content(10, 9)), code=480)
        for call in calls:
            call.bye()
            self.ctl.event('E_MSRP_FILE_FAILED', session_id=call.id)
        poll(lambda: not self.names(), what='an empty directory')
        self.offer_file(selector(content(10, 9))).bye()

    def test_added_to_a_session(self):
        """A re-INVITE adds the file to a chat; both go on side by side, and it goes by port 0."""
        call = self.call()
        data = content(10_000)
        chat = sdp.message(call.own_path[0])
        path = 'msrp://127.0.0.1:9/file;tcp'
        answer = sdp.Sdp(call.dialog.reinvite(sdp.document(
            chat, file_stream(path, selector(data)))).body)
        self.assertEqual(len(answer.media), 2)
        self.assertNotEqual(answer.media[1].port, 0)
        self.assertEqual(answer.media[1].get('file-selector'), selector(data))
        stream = msrp.Session(call.conn, answer.media[1].path, [path])
        frames = stream.chunks(data, 4000, content_type='image/png')
        call.conn.ask(frames[0], 200)
        call.send('in between')
        self.assertEqual(self.received(call)['body'], 'in between')
        for frame in frames[1:]:
            call.conn.ask(frame, 200)
        self.assertEqual(self.read(self.ctl.event('E_MSRP_FILE_RECEIVED')['path']), data)
        gone = [f'm=message 0 TCP/MSRP *']
        answer = sdp.Sdp(call.dialog.reinvite(sdp.document(chat, gone)).body)
        self.assertEqual([media.port != 0 for media in answer.media], [True, False])
        # of another type, and what is taken away before it is whole
        answer = sdp.Sdp(call.dialog.reinvite(sdp.document(
            chat, file_stream(path, selector(data, kind='text/html')))).body)
        self.assertEqual([media.port != 0 for media in answer.media], [True, False])
        answer = sdp.Sdp(call.dialog.reinvite(sdp.document(
            chat, file_stream(path, selector(data)))).body)
        self.assertEqual([media.port != 0 for media in answer.media], [True, True])
        call.dialog.reinvite(sdp.document(chat, gone))
        self.assertEqual(self.ctl.event('E_MSRP_FILE_FAILED')['reason'], 'cancelled by the sender')
        call.send('still here')
        self.received(call, body='still here')
        call.bye()


class MemoryTest(FileCase):
    """Files and msrp.max_memory, of which they have half."""

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.config['msrp'] = {'max_memory': '8MiB'}

    def offer_file(self, data):
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction = self.invite(sdp.document(file_stream(path, selector(data), '1-*')),
                                  to_uri='sip:files@example.org', from_uri='sip:carol@example.com')
        answer = transaction.final(200)
        return Call(self, Dialog.of_client(transaction, answer), sdp.Sdp(answer.body), path)

    def test_offers_take_none(self):
        """What costs its sender an INVITE without an ACK keeps no message of others out."""
        offered = [self.offer_file(b'%d' % i) for i in range(11)]
        call = self.call()
        body = 'x' * 100_000
        for frame in call.msrp.chunks(body.encode(), 10_000):
            call.conn.ask(frame, 200)
        self.assertEqual(self.received(call)['body'], body)
        call.bye()
        for other in offered:
            other.dialog.ack()
            other.bye()
            self.ctl.event('E_MSRP_FILE_FAILED', session_id=other.id)

    def test_no_more_than_half(self):
        """The sixth file that begins is refused, and taken when there is room again."""
        calls = [self.offer_file(content(2000, i)) for i in range(6)]
        for call in calls:
            call.dialog.ack()
            call.connect()
        last = calls.pop()
        data = content(2000, 5)
        begin = last.msrp.chunks(data, 500, content_type='image/png')[0]
        for i, call in enumerate(calls):
            call.conn.ask(call.msrp.chunks(content(2000, i), 500, content_type='image/png')[0],
                          200)
        last.conn.ask(begin, 413)
        event = self.ctl.event('E_MSRP_FILE_FAILED', session_id=last.id)
        self.assertEqual(event['reason'], 'msrp.max_memory is reached')
        last.dialog.expect('BYE').respond(200)
        text = self.call()
        text.send('still here')
        self.received(text, body='still here')
        text.bye()
        for call in calls:
            call.bye()
            self.ctl.event('E_MSRP_FILE_FAILED', session_id=call.id)
        again = self.offer_file(data)
        again.dialog.ack()
        again.connect()
        for frame in again.msrp.chunks(data, 500, content_type='image/png'):
            again.conn.ask(frame, 200)
        self.assertEqual(self.read(self.ctl.event('E_MSRP_FILE_RECEIVED')['path']), data)
        again.bye()


class SendTest(FileCase):
    """Files that we offer."""

    def order(self, data, name='a b%.bin', **kwargs):
        path = self.on_disk(name, data)
        return self.ctl.call('msrp_ua_send_file', path=path, **kwargs)['session_id']

    def answer(self, invite, listener, extra=(), types='*'):
        offer = sdp.Sdp(invite.request.body)
        media = offer.media[-1]
        path = listener.uri()
        stream = sdp.message(path, types, setup='passive', extra=[
            'a=recvonly', f'a=file-selector:{media.get("file-selector")}',
            f'a=file-transfer-id:{media.get("file-transfer-id")}', *extra])
        return offer, path, stream

    def collect(self, listener, size, conn=None):
        """The bytes of one message, and its last frame."""
        conn = conn or listener.accept()
        body = b''
        while len(body) < size:
            frame = conn.expect(lambda f: f.method == 'SEND' and f.body is not None)
            body += frame.body
        return conn, body, frame

    def test_whole(self):
        """RFC 5547 8.2.1: the offer says it all; SENT when the receiver has reported."""
        data = content()
        session_id = self.order(data, ruri=self.sip.contact(), mime='image/png', **URIS)
        invite = self.sip.expect('INVITE')
        listener = self.listener()
        offer, _, stream = self.answer(invite, listener)
        media = offer.message
        self.assertEqual(media.get('file-selector'), selector(data, 'a b%25.bin'))
        self.assertRegex(media.get('file-transfer-id'), '^[A-Za-z0-9]{22}$')
        self.assertEqual(media.get('file-disposition'), 'attachment')
        self.assertEqual(media.get('file-range'), f'1-{SIZE}')
        self.assertIn(('sendonly', None), media.attributes)
        invite.respond(200, sdp.document(stream))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        conn, body, last = self.collect(listener, SIZE)
        self.assertEqual(body, data)
        self.assertEqual((last.get('Content-Type'), last.get('Success-Report')),
                         ('image/png', 'yes'))
        conn.send(msrp.report_for(last, '000 200', f'1-{SIZE}/{SIZE}'))
        event = self.ctl.event('E_MSRP_FILE_SENT')
        self.assertEqual((event['session_id'], event['sha256']),
                         (session_id, hashlib.sha256(data).hexdigest()))
        dialog.expect('BYE').respond(200)

    def test_the_rest(self):
        """The answer's file-range is obeyed; and an envelope, where only that is taken."""
        data = content()
        self.order(data, ruri=self.sip.contact(), **URIS)
        invite = self.sip.expect('INVITE')
        listener = self.listener()
        _, _, stream = self.answer(invite, listener, ['a=file-range:250001-*',
                                                      'a=accept-wrapped-types:*'], 'message/cpim')
        invite.respond(200, sdp.document(stream))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        conn = listener.accept()
        first = conn.expect(lambda f: f.method == 'SEND' and f.body is not None)
        total = int(first.get('Byte-Range').split('/')[1])
        _, body, last = self.collect(listener, total - len(first.body), conn)
        body = first.body + body
        self.assertEqual(last.get('Content-Type'), 'message/cpim')
        self.assertEqual(body.split(b'\r\n\r\n', 2)[2], data[250_000:])
        dialog.bye()
        conn.close()
        self.assertEqual(self.ctl.event('E_MSRP_FILE_SENT')['size'], SIZE)

    def test_refused_and_aborted(self):
        """488; 413 in the middle; BYE in the middle; a file-range that is none of it."""
        data = content(2 << 20)
        self.order(data, ruri=self.sip.contact(), **URIS)
        self.sip.expect('INVITE').respond(488)
        self.assertEqual(self.ctl.event('E_MSRP_FILE_FAILED')['reason'][:3], '488')
        for behave, extra, reason in ((msrp.answer_with(413), [], '413'),
                                      (msrp.answer_ok, ['a=file-range:9999999-*'],
                                       "the answer's file-range is none of this file"),
                                      (msrp.silent, [], 'cancelled by the receiver')):
            with self.subTest(reason):
                self.order(data, ruri=self.sip.contact(), **URIS)
                invite = self.sip.expect('INVITE')
                listener = self.listener(behave=behave)
                _, _, stream = self.answer(invite, listener, extra)
                invite.respond(200, sdp.document(stream))
                dialog = Dialog.of_server(invite)
                dialog.expect('ACK')
                if behave is msrp.silent:
                    listener.accept().expect('SEND')
                    dialog.bye()
                else:
                    dialog.expect('BYE').respond(200)
                self.assertEqual(self.ctl.event('E_MSRP_FILE_FAILED')['reason'], reason)

    def overtaken(self, way, words):
        """Words are said after the end that they were meant to precede; what then is told."""
        listener = self.listener(behave=msrp.silent)
        call = self.call() if way == 'port 0' else None
        order = {'session_id': call.id} if call else {'ruri': self.sip.contact(), **URIS}
        session_id = self.order(content(), **order)
        invite = (call.dialog if call else self.sip).expect('INVITE')
        _, _, stream = self.answer(invite, listener)
        chat = [sdp.message(call.own_path[0])] if call else []
        invite.respond(200, sdp.document(*chat, stream))
        dialog = call.dialog if call else Dialog.of_server(invite)
        dialog.expect('ACK')
        conn = listener.accept()
        frames = []
        while not frames or frames[-1].flag != '$':
            frames.append(conn.expect(lambda f: f.method == 'SEND' and f.body is not None))
        if call:
            dialog.reinvite(sdp.document(*chat, ['m=message 0 TCP/MSRP *']))
        else:
            dialog.bye()
        for frame in frames[len(frames) if words == 'nothing' else words == 'some':]:
            conn.send(msrp.response(frame, 200))
        if words == 'failure':
            conn.send(msrp.report_for(frames[-1], '000 400 Not Good', f'1-{SIZE}/{SIZE}'))
        conn.close()
        name = 'E_MSRP_FILE_SENT' if words == 'answers' else 'E_MSRP_FILE_FAILED'
        return self.ctl.event(name, session_id=session_id).get('reason')

    def test_overtaken_by_the_end(self):
        """A BYE, or port 0, goes another way than the answers and the REPORT before it."""
        for way in ('BYE', 'port 0'):
            for words, reason in {'answers': None, 'failure': '400 Not Good',
                                  'some': 'cancelled by the receiver',
                                  'nothing': 'cancelled by the receiver'}.items():
                with self.subTest(way=way, words=words):
                    self.assertEqual(self.overtaken(way, words), reason)

    def test_in_a_session(self):
        """A second m= line of the dialog; the chat goes on whatever becomes of it."""
        call = self.call()
        data = content()
        session_id = self.order(data, session_id=call.id)
        again = call.dialog.expect('INVITE')
        listener = self.listener()
        offer, _, stream = self.answer(again, listener)
        self.assertEqual([media.port != 0 for media in offer.media], [True, True])
        chat = sdp.message(call.own_path[0])
        again.respond(200, sdp.document(chat, stream))
        call.dialog.expect('ACK')
        conn, body, last = self.collect(listener, SIZE)
        self.assertEqual(body, data)
        conn.send(msrp.report_for(last, '000 200', f'1-{SIZE}/{SIZE}'))
        self.ctl.event('E_MSRP_FILE_SENT', session_id=session_id)
        again = call.dialog.expect('INVITE')
        self.assertEqual([media.port != 0 for media in sdp.Sdp(again.request.body).media],
                         [True, False])
        again.respond(200, sdp.document(chat, ['m=message 0 TCP/MSRP *']))
        call.dialog.expect('ACK')
        # refused by port 0, by 488; ended by the operator; the place is used again
        for refusal in ('port', 488, 'operator'):
            session_id = self.order(data, session_id=call.id)
            again = call.dialog.expect('INVITE')
            offer, _, stream = self.answer(again, listener)
            self.assertEqual(len(offer.media), 2)
            if refusal == 488:
                again.respond(488)
                self.sip.expect_failure_ack(again)
            else:
                again.respond(200, sdp.document(chat, ['m=message 0 TCP/MSRP *']
                                                if refusal == 'port' else stream))
                call.dialog.expect('ACK')
            if refusal == 'operator':
                self.ctl.call('msrp_ua_end_session', session_id=session_id)
                again = call.dialog.expect('INVITE')
                self.assertEqual(sdp.Sdp(again.request.body).media[1].port, 0)
                again.respond(200, sdp.document(chat, ['m=message 0 TCP/MSRP *']))
                call.dialog.expect('ACK')
            reason = self.ctl.event('E_MSRP_FILE_FAILED', session_id=session_id)['reason']
            self.assertEqual(reason[:9], 'cancelled' if refusal == 'operator' else '488 Not A')
        call.send('still here')
        self.received(call, body='still here')
        call.bye()

    def test_ends_with_its_carrier(self):
        """A BYE takes the file along."""
        call = self.call()
        session_id = self.order(content(), session_id=call.id)
        again = call.dialog.expect('INVITE')
        listener = self.listener(behave=msrp.silent)
        _, _, stream = self.answer(again, listener)
        again.respond(200, sdp.document(sdp.message(call.own_path[0]), stream))
        call.dialog.expect('ACK')
        listener.accept().expect('SEND')
        call.dialog.bye()
        self.assertEqual(self.ctl.event('E_MSRP_FILE_FAILED', session_id=session_id)['reason'],
                         'cancelled by the receiver')

    def test_bad_orders(self):
        """Errors say what is wrong."""
        good = self.on_disk('good', b'x')
        empty = self.on_disk('empty', b'')
        link = os.path.join(self.sent_from, 'link')
        os.symlink('/etc/hostname', link)
        os.mkdir(os.path.join(self.sent_from, 'directory'))
        for message, params in {
                'path does not begin with /': {'path': 'good'},
                'No such file or directory': {'path': good + 'x'},
                'not below ua.files.directory or a directory of ua.files.send_from':
                    {'path': link},
                'an empty file, which MSRP cannot bring': {'path': empty},
                'Is a directory': {'path': os.path.join(self.sent_from, 'directory')},
                'mime is not a media type': {'path': good, 'mime': 'x'},
                'wants either session_id, or from_uri, to_uri and ruri':
                    {'path': good, 'session_id': 'x'}}.items():
            with self.subTest(message):
                error = self.refused(400, self.ctl.call, 'msrp_ua_send_file',
                                     {'ruri': 'sip:x@127.0.0.1', **URIS, **params})
                self.assertIn(message, str(error))
        self.refused(404, self.ctl.call, 'msrp_ua_send_file', {'path': good, 'session_id': 'x'})


class BothTest(FileCase):
    """msrpd to itself."""

    def test_there_and_back(self):
        """In a session of its own."""
        data = content(2 << 20)
        path = self.on_disk('both', data)
        self.ctl.call('msrp_ua_send_file', path=path, from_uri='sip:a@example.org',
                      to_uri='sip:files@example.org', ruri=self.daemon.sip_uri)
        event = self.ctl.event('E_MSRP_FILE_RECEIVED')
        self.assertEqual(self.read(event['path']), data)
        self.ctl.event('E_MSRP_FILE_SENT')
        poll(lambda: not self.ctl.call('msrp_ua_list_sessions'), what='the end of both sessions')

    def test_msrpctl(self):
        """msrpctl send-file: progress in lines, the end, and exact errors."""
        data = content(100_000)
        path = self.on_disk('for people', data)
        done = self.msrpctl('send-file', f'sip:files@{self.daemon.sip_uri.split("@")[1]}', path,
                            'from=sip:a@example.org', 'mime=image/png', 'name=x.png')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        *progress, last = done.stdout.splitlines()
        self.assertRegex(progress[0], '^[0-9]+ of 100000 bytes$')
        self.assertEqual(last, 'sent x.png, 100000 bytes, SHA-256 '
                         + hashlib.sha256(data).hexdigest())
        self.assertEqual(self.ctl.event('E_MSRP_FILE_RECEIVED')['name'], 'x.png')
        done = self.msrpctl('send-file', self.daemon.sip_uri, path)
        self.assertEqual(done.returncode, 1)
        self.assertIn('not sent: 488', done.stderr)
        done = self.msrpctl('send-file', self.daemon.sip_uri, path + 'x')
        self.assertEqual(done.returncode, 1)
        self.assertIn('No such file or directory', done.stderr)
        self.assertEqual(self.msrpctl('send-file', self.daemon.sip_uri).returncode, 2)

    def test_in_a_session(self):
        """In a session that is there."""
        data = content(1 << 20)
        path = self.on_disk('both', data)
        session_id = self.ctl.call('msrp_ua_start_session', content_types='text/plain',
                                   ruri=self.daemon.sip_uri, **URIS)['session_id']
        self.ctl.event('E_MSRP_SESSION_NEW', session_id=session_id)
        self.ctl.call('msrp_ua_send_file', path=path, session_id=session_id, mime='image/png')
        event = self.ctl.event('E_MSRP_FILE_RECEIVED')
        self.assertEqual(self.read(event['path']), data)
        self.ctl.event('E_MSRP_FILE_SENT')
        poll(lambda: len(self.ctl.call('msrp_ua_list_sessions')) == 2, what='the chat alone')


if __name__ == '__main__':
    case.main()
