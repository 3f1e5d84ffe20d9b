"""Who is in a room, as those see it who watch: RFC 4575."""
import time
import xml.etree.ElementTree as xml

from .rooms import LOBBY

INFO = '{urn:ietf:params:xml:ns:conference-info}'
NICKNAME = '{urn:ietf:params:xml:ns:xcon-conference-info}nickname'


class Document:
    def __init__(self, body):
        root = xml.fromstring(body)
        assert root.tag == f'{INFO}conference-info', root.tag
        self.entity, self.state = root.get('entity'), root.get('state')
        self.version = int(root.get('version'))
        self.subject = root.findtext(f'{INFO}conference-description/{INFO}subject')
        self.count = int(root.findtext(f'{INFO}conference-state/{INFO}user-count'))
        self.users = {user.get('entity'): user for user in root.iter(f'{INFO}user')}

    def endpoints(self, user):
        return self.users[user].findall(f'{INFO}endpoint')


class Watcher:
    """A subscription to the roster of a room."""

    def __init__(self, case_, ua, room=LOBBY, daemon=None, code=200, expires=600, event='conference',
                 from_uri=None, headers=(), udp=''):
        self.case, self.ua = case_, ua
        transport = ua.reach('127.0.0.1', (daemon or case_.daemon).sip_port, 'UDP')
        request = ua.build('SUBSCRIBE', room, transport, from_uri=from_uri, headers=[
            ('Event', event), ('Expires', str(expires)), ('Contact', f'<{ua.contact()}{udp}>'),
            *headers])
        self.answer = ua.transact(request, transport).final(code)
        self.call_id = request.call_id
        self.users = {}
        self.version = -1
        self.came = []                  # when

    def notified(self):
        """The next document; what it says is added to what is known."""
        transaction = self.ua.expect('NOTIFY', call_id=self.call_id)
        self.came.append(time.monotonic())
        self.kind = transaction.transport.kind
        transaction.respond(200)
        self.state = transaction.request.get('Subscription-State')
        if not transaction.request.body:
            return None
        self.case.assertEqual(transaction.request.get('Content-Type'),
                              'application/conference-info+xml')
        document = Document(transaction.request.body)
        self.case.assertEqual(document.version, self.version + 1)
        self.version += 1
        if document.state == 'full':
            self.users = {}
        for entity, user in document.users.items():
            if user.get('state') == 'deleted':
                self.users.pop(entity, None)
            else:
                self.users[entity] = user
        self.case.assertLessEqual(len(self.users), document.count)
        return document

    def ended(self):
        """The last document, which says of the room alone: its URI and its state."""
        transaction = self.ua.expect('NOTIFY', call_id=self.call_id)
        transaction.respond(200)
        self.state = transaction.request.get('Subscription-State')
        root = xml.fromstring(transaction.request.body)
        return root.get('entity'), root.get('state')

    def until(self, condition):
        """NOTIFYs until the picture is so."""
        while not condition(self.users):
            self.case.assertEqual(self.notified().state, 'partial')
