#!/usr/bin/env python3
"""Emergency calls by text as NENA-STA-010 has them, against conf/ng911.yaml; headers out and in."""
from lib import case
from lib.case import Call
from lib.daemon import Daemon
from lib.frame import new_id
from lib.gateway import CLIENT, GatewayCase, routes
from lib.sdp import Sdp, document, message
from lib.sip import Dialog, SipUa, uri_of

BOUNDARY = 'ng911boundary'
CALLER = 'sip:+15125550123@originator.example;user=phone'
GEOLOCATION = '<cid:loc1@originator.example>'
CALL_INFO = ('<urn:emergency:uid:callid:a56e556d871:bcf.example>;purpose=emergency-CallId, '
             '<urn:emergency:uid:incidentid:a56e556d871:bcf.example>;purpose=emergency-IncidentId')
PIDF_LO = b'''<?xml version="1.0" encoding="UTF-8"?>\r
<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10"\r
 xmlns:gml="http://www.opengis.net/gml" entity="pres:anna@originator.example"><tuple id="t1">\r
<status><gp:geopriv><gp:location-info><gml:Point srsName="urn:ogc:def:crs:EPSG::4326">\r
<gml:pos>30.2672 -97.7431</gml:pos></gml:Point></gp:location-info></gp:geopriv></status>\r
</tuple></presence>\r
'''


def body(offer, *more):
    parts = [(b'Content-Type: application/sdp\r\n', offer),
             (b'Content-Type: application/pidf+xml\r\nContent-ID: <loc1@originator.example>\r\n'
              b'Content-Disposition: by-reference;handling=optional\r\n', PIDF_LO), *more]
    mark = BOUNDARY.encode()
    return b''.join(b'--' + mark + b'\r\n' + head + b'\r\n' + content + b'\r\n'
                    for head, content in parts) + b'--' + mark + b'--\r\n'


class PsapTest(case.Case):
    sample = 'ng911'

    @classmethod
    def prepare(cls):
        cls.bcf = SipUa(user='bcf', name='border')
        cls.addClassCleanup(cls.bcf.close)

    @classmethod
    def sample_changes(cls):
        return {'127.0.0.1:5070': f'127.0.0.1:{cls.bcf.port}'}

    def emergency(self, uri='urn:service:sos', more=(), headers=(), code=200,
                  kind='UDP'):
        path = f'msrp://127.0.0.1:9/{new_id()};tcp'
        transaction = self.invite(
            body(self.offer(path, 'text/plain'), *more), uri=uri, from_uri=CALLER, to_uri=uri,
            content_type=f'multipart/mixed;boundary={BOUNDARY}', kind=kind,
            headers=[('Geolocation', GEOLOCATION), ('Geolocation-Routing', 'yes'),
                     ('Call-Info', CALL_INFO), ('P-Asserted-Identity', f'<{CALLER}>'),
                     ('Priority', 'emergency'), *headers])
        answer = transaction.final(code)
        if code != 200:
            return answer
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        return Call(self, dialog, Sdp(answer.body), path), answer

    def test_call(self):
        """A caller reaches the call taker's program, which sees where it is, and writes back."""
        for uri in ('urn:service:sos', 'urn:service:sos.fire', 'urn:service:test.sos'):
            call, answer = self.emergency(
                uri, headers=[('Require', 'geolocation'), ('Resource-Priority', 'esnet.1')],
                more=[(b'Content-Type: text/plain\r\n', b'There is a fire')])
            event = self.ctl.event('E_MSRP_SESSION_NEW', session_id=call.id)
            self.assertEqual([event[name] for name in ('from_uri', 'to_uri', 'ruri')],
                             [CALLER, uri, uri])
            self.assertEqual(event['headers'], {
                'Geolocation': [GEOLOCATION], 'Geolocation-Routing': ['yes'],
                'Call-Info': CALL_INFO.split(', '), 'P-Asserted-Identity': [f'<{CALLER}>'],
                'Resource-Priority': ['esnet.1']})
            self.assertEqual(event['parts'], [{
                'content_type': 'application/pidf+xml', 'content_id': '<loc1@originator.example>',
                'body': PIDF_LO.decode()}])
            self.received(call, body='There is a fire')
            if 'test' not in uri:
                self.assertIn('urn:emergency:service', answer.get('Call-Info'))
            call.connect()
            self.say(call, '911. What is the emergency?')
            self.assertEqual(call.receive().body, b'911. What is the emergency?')
            call.dialog.request('MESSAGE', b'now here', content_type='text/plain', headers=[
                ('Geolocation', '<https://lis.example/loc1>')]).final(200)
            update = self.received(call, in_dialog=True)
            self.assertEqual(update['headers'], {'Geolocation': ['<https://lis.example/loc1>']})
            call.bye()
            self.ctl.event('E_MSRP_SESSION_END', session_id=call.id)

    def test_parts_have_a_bound(self):
        """64 KiB in all; what is beyond is left out, and what is no text comes in base64."""
        call, _ = self.emergency(kind='TCP', more=[
            (b'Content-Type: application/big\r\n', b'x' * 65536),
            (b'Content-Type: image/x\r\nContent-Disposition: icon\r\n', b'\xff\x00')])
        event = self.ctl.event('E_MSRP_SESSION_NEW', session_id=call.id)
        self.assertEqual([part['content_type'] for part in event['parts']],
                         ['application/pidf+xml', 'image/x'])
        self.assertEqual((event['parts'][1]['content_id'], event['parts'][1]['body_base64']),
                         (None, '/wA='))
        call.bye()

    def test_require(self):
        """RFC 3261 8.2.2.3: what accept_required does not list is refused."""
        call, _ = self.emergency(headers=[('Require', 'resource-priority, geolocation')])
        call.bye()
        refused = self.emergency(headers=[('Require', 'geolocation, foo')], code=420)
        self.assertEqual(refused.get('Unsupported'), 'foo')

    def test_call_back(self):
        """To a tel: number by way of the border, with headers of our own."""
        self.ctl.call('msrp_ua_start_session', content_types='text/plain',
                      from_uri='sip:psap@example.org', to_uri='tel:+15125550123',
                      ruri='tel:+15125550123',
                      headers={'Priority': 'psap-callback', 'Resource-Priority': 'esnet.1'})
        invite = self.bcf.expect('INVITE')
        self.assertEqual(invite.request.uri, 'tel:+15125550123')
        self.assertEqual((invite.request.get('Priority'), invite.request.get('Resource-Priority')),
                         ('psap-callback', 'esnet.1'))
        invite.respond(486)
        self.ctl.event('E_MSRP_SESSION_FAILED', code=486)

    def test_headers_not_ours_to_write(self):
        start = {'content_types': 'text/plain', 'from_uri': 'sip:a@b', 'to_uri': 'sip:c@d',
                 'ruri': 'sip:c@d'}
        for name in ('Via', 'from', 'T', 'Call-ID', 'cseq', 'Contact', 'Route', 'Record-Route',
                     'Max-Forwards', 'Content-Type', 'c', 'Content-Length', 'l', 'content-whatever',
                     'bad name', ''):
            self.refused(400, self.ctl.call, 'msrp_ua_start_session', headers={name: 'x'}, **start)
        for value in ('x\r\nVia: y', 'x\n', 'x\u0000'):
            self.refused(400, self.ctl.call, 'msrp_ua_start_session', headers={'X-A': value},
                         **start)
        for value in ('text', ['X-A'], {'X-A': 1}):
            self.refused(-32602, self.ctl.call, 'msrp_ua_start_session', headers=value, **start)


class ConfigTest(case.Case):
    own_daemon = True

    def test_errors(self):
        """Headers that no rule may write, names that cannot be passed."""
        for changes in ({'sip': {'pass_headers': ['Via']}}, {'sip': {'pass_headers': ['a b']}},
                        {'sip': {'accept_required': ['a,b']}},
                        {'routes': {'sip': [{'do': [{'msrp_ua_answer': {
                            'content_types': '*', 'headers': {'Contact': 'x'}}}]}]}},
                        {'routes': {'sip': [{'do': [{'send_reply': {
                            'code': 200, 'reason': '', 'headers': {'Content-Whatever': 'x'}}}]}]}},
                        {'routes': {'msrp': [{'do': [{'msrp_reply': {
                            'code': 403, 'reason': '', 'headers': {'to-path': 'x'}}}]}]}},
                        {'routes': {'msrp': [{'do': [{'msrp_reply': {
                            'code': 403, 'reason': '', 'headers': {'Content-Type': 'x'}}}]}]}},
                        {'routes': {'event': [{'do': [{'send_message': {
                            'ruri': 'sip:a@b', 'from': 'sip:a@b', 'to': 'sip:a@b',
                            'content_type': 'a/b', 'body': '', 'headers': {'v': 'x'}}}]}]}}):
            daemon = Daemon(changes)
            try:
                daemon.spawn()
                self.assertEqual(daemon.wait(), 1)
                self.assertRegex(daemon.log(), r'msrpd\.yaml:[0-9]+:[0-9]+: ')
            finally:
                daemon.kill()
                daemon.discard()


class GatewayHeadersTest(GatewayCase):
    """What sip.pass_headers names goes through the gateway, both ways."""
    config = {'sip': {'pass_headers': ['Geolocation', 'Contribution-ID']}, 'routes': {'sip': [
        {**rule, 'do': [{name: {**arguments, 'headers': {'X-Rule': '$rm'}}}
                        for name, arguments in rule['do'][0].items()]}
        for rule in routes()['sip']]}}

    def test_message_to_invite(self):
        self.message(headers=[('Geolocation', '<a>'), ('Geolocation', '<b>'), ('X-Other', 'x'),
                              ('Contribution-ID', 'c1')]).final(202)
        transaction = self.client.expect('INVITE')
        invite = transaction.request
        self.assertEqual((invite.all('Geolocation'), invite.get('Contribution-ID'),
                          invite.get('X-Other'), invite.get('X-Rule')),
                         (['<a>', '<b>'], 'c1', None, 'MESSAGE'))
        transaction.respond(200, document(message(self.listener().uri(), setup='passive')))
        Dialog.of_server(transaction).expect('ACK')
        self.assertEqual(self.ctl.event('E_MSRP_GW_SESSION_NEW')['headers'],
                         {'Geolocation': ['<a>', '<b>'], 'Contribution-ID': ['c1']})

    def test_invite_to_messages(self):
        transaction = self.invite(
            self.offer(path := f'msrp://127.0.0.1:9/{new_id()};tcp', 'text/plain'), ua=self.client,
            from_uri=CLIENT, to_uri=self.phone.contact(),
            headers=[('X-Phone', self.phone.contact()), ('Geolocation', '<a>')])
        answer = transaction.final(200)
        self.assertEqual(answer.get('X-Rule'), 'INVITE')
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        event = self.ctl.event('E_MSRP_GW_SESSION_NEW')
        self.assertEqual(event['headers'], {'Geolocation': ['<a>']})
        call = Call(self, dialog, Sdp(answer.body), path).connect()
        for text in ('one', 'two'):
            call.send(text)
            message = self.gets(text).request
            self.assertEqual((message.all('Geolocation'), message.get('X-Rule')), (['<a>'], None))
            self.assertEqual(uri_of(message.get('From')), CLIENT)


if __name__ == '__main__':
    case.main()
