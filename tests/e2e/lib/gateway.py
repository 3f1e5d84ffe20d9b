"""What tests of the gateway share: a phone that knows MESSAGE alone, and an MSRP client."""
from . import msrp, sdp
from .case import Call, Case
from .ctl import RpcError
from .frame import URI, new_id
from .sip import Dialog
from .waiting import DEADLINE, poll

PHONE = 'sip:phone@example.org'
CLIENT = 'sip:client@example.org'
KEY = f'{CLIENT}:{PHONE}'
TEXT = 'text/plain'
CPIM = 'message/cpim'
COMPOSING = 'application/im-iscomposing+xml'


def routes(types=TEXT, reply=False, ruri=None, **message):
    """The rules of docs/gateway.md; ruri: where MESSAGEs to the phone of an MSRP caller go."""
    into = [{'msg_to_msrp': {'key': '$tu:$fu', 'content_types': types, **message}}]
    if reply:
        into.append({'send_reply': {'code': 200, 'reason': 'OK'}})
    return {'sip': [
        {'if': {'$rm': 'INVITE'}, 'do': [{'msrp_gw_answer': {
            'key': '$fu:$tu', 'content_types': types, 'from': '$fu', 'to': '$tu',
            'ruri': ruri or '$hdr(X-Phone)'}}]},
        {'if': {'$rm': 'MESSAGE'}, 'do': into}]}


class GatewayCase(Case):
    """The phone's URI is where it listens, so that MESSAGEs find their way to it."""

    config = {'routes': routes()}

    def setUp(self):
        super().setUp()
        self.phone = self.ua(user='phone', name='phone')
        self.client = self.ua(user='client', name='client')

    def _end_sessions(self, ctl):
        for ua in self._uas:
            ua.agree()
        for session in ctl.call('msrp_gw_list_sessions'):
            try:
                ctl.call('msrp_gw_end_session', key=session['key'])
            except RpcError:
                pass                # it ended by itself meanwhile
        super()._end_sessions(ctl)

    # --- the phone

    def message(self, body='hello', kind='UDP', content_type=TEXT, daemon=None, headers=(),
                to=None, phone=None, **kwargs):
        """A MESSAGE from the phone to the client; the transaction."""
        daemon = daemon or self.daemon
        phone = phone or self.phone
        transport = phone.reach('127.0.0.1', daemon.sip_port, kind)
        body = body.encode() if isinstance(body, str) else body
        # The Request-URI leads to the client: what the gateway calls.
        request = phone.build('MESSAGE', to or self.client.contact(), transport, body,
                              content_type=content_type, from_uri=phone.contact(kind),
                              to_uri=CLIENT, headers=headers, **kwargs)
        return phone.transact(request, transport)

    def gets(self, body=None, code=200, phone=None, timeout=DEADLINE, **kwargs):
        """The phone takes the next MESSAGE and answers it."""
        transaction = (phone or self.phone).expect('MESSAGE', timeout)
        if body is not None:
            self.assertEqual(transaction.request.body,
                             body.encode() if isinstance(body, str) else body)
        if code:
            transaction.respond(code, **kwargs)
        return transaction

    # --- the client

    def key(self, phone=None, kind='UDP'):
        return f'{CLIENT}:{(phone or self.phone).contact(kind)}'

    def client_calls(self, accept_types=TEXT, connect=True, daemon=None, ctl=None, phone=None,
                     path=None, kind='UDP', code=200, behave=msrp.answer_ok):
        """The client sets the session up: INVITE from it to the phone."""
        phone = phone or self.phone
        path = path or f'msrp://127.0.0.1:9/{new_id()};tcp'
        daemon = daemon or self.daemon
        transaction = self.invite(
            self.offer(path, accept_types), daemon, 'UDP', self.client, from_uri=CLIENT,
            to_uri=phone.contact(kind), headers=[('X-Phone', phone.contact(kind))])
        answer = transaction.final(code)
        if code != 200:
            return None
        dialog = Dialog.of_client(transaction, answer)
        dialog.ack()
        description = sdp.Sdp(answer.body)
        call = Call(self, dialog, description, path)
        (ctl or self.ctl).event('E_MSRP_GW_SESSION_NEW', key=self.key(phone, kind),
                                msrp_ua_session_id=call.id)
        return call.connect(behave) if connect else call

    def answer(self, invite=None, accept_types=TEXT, connect=True, ctl=None, listener=None,
               setup='passive', behave=msrp.answer_ok, phone=None, kind='UDP', extra=(),
               greeting=False):
        """The client answers the gateway's INVITE and is connected to."""
        invite = invite or self.client.expect('INVITE')
        listener = listener or self.listener(behave=behave)
        path = listener.uri()
        offer = sdp.Sdp(invite.request.body)
        invite.respond(200, sdp.document(sdp.message(path, accept_types, setup=setup,
                                                     extra=extra)))
        dialog = Dialog.of_server(invite)
        dialog.expect('ACK')
        session = URI.match(offer.message.path[-1])['session']
        (ctl or self.ctl).event('E_MSRP_GW_SESSION_NEW', key=self.key(phone, kind),
                                msrp_ua_session_id=session)
        call = Call(self, dialog, offer, path, session_id=session)
        return call.attach(listener.accept()) if connect else call

    def sessions(self, ctl=None):
        return (ctl or self.ctl).call('msrp_gw_list_sessions')

    def wait_sessions(self, count, ctl=None):
        poll(lambda: len(self.sessions(ctl)) == count, what=f'{count} gateway sessions')

    def statistics(self, ctl=None):
        return {name.partition(':')[2]: value for name, value in
                (ctl or self.ctl).call('get_statistics', group='gw').items()}

