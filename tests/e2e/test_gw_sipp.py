#!/usr/bin/env python3
"""The gateway against SIP implementations that are none of ours: sipp, and Kamailio between."""
import os
import shutil
import subprocess

from lib import case, sdp
from lib.case import Call
from lib.daemon import die_with_parent, free_port, sample
from lib.gateway import CLIENT, GatewayCase, routes
from lib.kamailio import PROGRAM, Kamailio
from lib.sip import Dialog
from lib.waiting import poll

HERE = os.path.dirname(os.path.abspath(__file__))
COUNT = 50


class SippCase(GatewayCase):
    def sipp(self, scenario, port, *arguments, lost=0, transport='u1', target=None):
        """Run it on a copy of the scenario; field0 is where the client listens."""
        with open(os.path.join(HERE, 'sipp', scenario), encoding='ascii') as file:
            text = file.read().replace('@LOST@', str(lost))
        # sipp does not answer again once a call is over.  It draws lots for each repetition anew: with
        # more than that lost, one run in some hundred would lose all of a message.
        text = text.replace('@WAIT@', '15000' if lost else '4000')
        copy = os.path.join(self.directory, f'{port}-{scenario}')
        with open(copy, 'w', encoding='ascii') as file:
            file.write(text)
        fields = os.path.join(self.directory, f'{port}.csv')
        with open(fields, 'w', encoding='ascii') as file:
            file.write(f'SEQUENTIAL\n127.0.0.1:{self.client.port}\n')
        return subprocess.Popen(
            ['sipp', '-sf', copy, '-inf', fields, '-i', '127.0.0.1', '-p', str(port),
             '-m', str(COUNT), '-t', transport, '-nostdin', '-timeout', '60s', '-timeout_error',
             *arguments, *([f'127.0.0.1:{target}'] if target else [])],
            cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
            env=dict(os.environ, TERM='dumb'))

    def finish(self, process):
        try:
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        self.assertEqual(process.returncode, 0, output.decode(errors='replace')[-3000:])

    def session_with(self, port, kind='UDP', daemon=None, ctl=None):
        """The client calls the phone that sipp will be, or is."""
        phone = f'sip:phone@127.0.0.1:{port}' + (';transport=tcp' if kind == 'TCP' else '')
        to = f'sip:phone@127.0.0.1:{port}'
        daemon, ctl = daemon or self.daemon, ctl or self.ctl
        path = 'msrp://127.0.0.1:9/sipp;tcp'
        transaction = self.invite(self.offer(path, 'text/plain'), daemon, 'UDP', self.client,
                                  from_uri=CLIENT, to_uri=to, headers=[('X-Phone', phone)])
        answer = transaction.final(200)
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        call = Call(self, dialog, sdp.Sdp(answer.body), path)
        ctl.event('E_MSRP_GW_SESSION_NEW', key=f'{CLIENT}:{to}')
        return call.connect()

    def bodies(self, call):
        return [call.receive().body.decode() for _ in range(COUNT)]


class SippTest(SippCase):
    def to_msrp(self, transport, lost):
        port = free_port()
        call = self.session_with(port)
        process = self.sipp('gw_message.xml', port, '-r', '50', lost=lost, transport=transport,
                            target=self.daemon.sip_port)
        got = self.bodies(call)
        self.finish(process)
        self.assertEqual(sorted(got), sorted(f'message {i + 1}' for i in range(COUNT)))
        if transport == 't1':
            self.assertEqual(got, [f'message {i + 1}' for i in range(COUNT)])
        call.msrp.flush()
        self.assertEqual(call.conn.inbox.has(lambda f: f.body is not None), [])
        call.bye()

    def test_messages_over_udp(self):
        """Fifty MESSAGEs, each in the session once."""
        self.to_msrp('u1', 0)

    def test_messages_over_udp_with_losses(self):
        """Requests and answers get lost; they are repeated, and arrive once."""
        self.to_msrp('u1', 10)

    def test_messages_over_tcp(self):
        """In order, since TCP has one."""
        self.to_msrp('t1', 0)

    def from_msrp(self, transport, lost):
        port = free_port()
        kind = 'TCP' if transport == 't1' else 'UDP'
        process = self.sipp('gw_phone.xml', port, lost=lost, transport=transport)
        try:
            poll(lambda: self.taken(port, kind), what='sipp')
            call = self.session_with(port, kind)
            sent = [call.send(f'message {i}', success='yes').message_id for i in range(COUNT)]
            reports = [call.conn.expect('REPORT', 30) for _ in range(COUNT)]
            self.assertEqual([r.message_id for r in reports], sent)
            self.assertEqual({r.get('Status') for r in reports}, {'000 200'})
            call.bye()
        finally:
            self.finish(process)

    def test_phone_over_udp(self):
        """Each message is one MESSAGE, in order, and reported."""
        self.from_msrp('u1', 0)

    def test_phone_over_udp_with_losses(self):
        """We repeat what gets lost; one at a time, so the order stays."""
        self.from_msrp('u1', 5)

    def test_phone_over_tcp(self):
        self.from_msrp('t1', 0)

    @staticmethod
    def taken(port, kind):
        with open(f'/proc/net/{kind.lower()}', encoding='ascii') as file:
            return f':{port:04X} ' in file.read()


class ConfTest(SippCase):
    """conf/gateway.yaml as it stands, on other ports."""

    own_daemon = True

    def test_demo(self):
        """A MESSAGE from sipp arrives in an MSRP session, the reply comes back as a MESSAGE."""
        port, sip = free_port(), free_port()
        socket = os.path.join(self.directory, 'gateway.sock')
        text = sample('gateway', {'127.0.0.1:5060': f'127.0.0.1:{sip}', '127.0.0.1:2855': '127.0.0.1:0',
                                  '/tmp/msrpd-gateway.sock': socket})
        daemon, ctl = self.start({'control': {'socket': socket}}, text=text)
        daemon.sip_port = sip
        process = self.sipp('gw_message.xml', port, '-r', '100', target=sip)
        call = self.answer_conf(ctl, port)
        got = self.bodies(call)
        self.finish(process)
        self.assertEqual(got, [f'message {i + 1}' for i in range(COUNT)])
        process = self.sipp('gw_phone.xml', port)
        try:
            poll(lambda: SippTest.taken(port, 'UDP'), what='sipp')
            for i in range(COUNT):
                call.send(f'reply {i}', success='yes')
                self.assertEqual(call.conn.expect('REPORT').get('Status'), '000 200')
        finally:
            self.finish(process)

    def answer_conf(self, ctl, port):
        invite = self.client.expect('INVITE')
        listener = self.listener()
        path = listener.uri()
        offer = sdp.Sdp(invite.request.body)
        self.assertEqual(offer.message.get('accept-types'), 'text/plain message/cpim')
        invite.respond(200, sdp.document(sdp.message(path, 'text/plain', setup='passive')))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        event = ctl.event('E_MSRP_GW_SESSION_NEW',
                          key=f'sip:client@example.org:sip:phone@127.0.0.1:{port}')
        call = Call(self, dialog, offer, path, session_id=event['msrp_ua_session_id'])
        return call.attach(listener.accept())


class ProxyTest(SippCase):
    """Kamailio as the SIP proxy between phone, gateway and client."""

    own_daemon = True

    def setUp(self):
        super().setUp()
        self.port, self.sip_port = free_port(), free_port()
        self.proxy = Kamailio(self.directory, 'proxy.cfg', self.port, GATEWAY=self.sip_port,
                              CLIENT=self.client.port)
        self.addCleanup(self.proxy.stop)
        self.gateway, self.ctl = self.start({
            'sip': {'listen': [f'sip:127.0.0.1:{self.sip_port};transport=udp',
                               f'sip:127.0.0.1:{self.sip_port};transport=tcp'],
                    'outbound_proxy': f'sip:127.0.0.1:{self.port};lr'},
            'routes': routes(ruri='$tu')})

    def test_both_ways(self):
        """A MESSAGE through the proxy, INVITE through the proxy, replies through the proxy."""
        transport = self.phone.reach('127.0.0.1', self.port, 'UDP')
        for i in range(3):
            self.phone.request(
                'MESSAGE', CLIENT, transport, f'message {i}'.encode(), to_uri=CLIENT,
                from_uri=self.phone.contact(), content_type='text/plain').final(202)
        invite = self.client.expect('INVITE')
        self.assertEqual(len(invite.request.all('Via')), 2)
        call = self.answer(invite)
        self.assertEqual([call.receive().body for _ in range(3)],
                         [f'message {i}'.encode() for i in range(3)])
        sent = call.send('reply', success='yes')
        got = self.gets('reply')
        self.assertEqual(len(got.request.all('Via')), 2)
        self.assertEqual(call.conn.expect('REPORT').message_id, sent.message_id)
        call.bye()
        self.ctl.event('E_MSRP_GW_SESSION_END', reason='bye')

    def test_failures(self):
        """What the phone, the proxy or the client refuse is told through the proxy."""
        transport = self.phone.reach('127.0.0.1', self.port, 'UDP')
        self.phone.request('MESSAGE', CLIENT, transport, b'lost', to_uri=CLIENT,
                           from_uri=self.phone.contact(), content_type='text/plain').final(202)
        self.client.expect('INVITE').respond(486)
        self.assertEqual(self.ctl.event('E_MSRP_GW_SETUP_FAILED')['code'], 486)


if __name__ == '__main__':
    if not PROGRAM or not shutil.which('sipp'):
        raise SystemExit('kamailio and sipp are needed')
    case.main()
