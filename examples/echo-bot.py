#!/usr/bin/env python3
"""Say back what one is told: events come by a webhook, answers go by POST.

    echo-bot.py http://127.0.0.1:8080 9000

with MSRPD_TOKEN, of the user that the bot is, and MSRPD_SECRET, of the webhook:

    webhooks: [{url: "http://127.0.0.1:9000/", events: [E_MSRP_MSG_RECEIVED], secret: …}]

Events are those of everybody: for what is not the bot's own msrpd answers 404.
"""
import hashlib
import hmac
import http.server
import json
import os
import sys
import urllib.request

URL, PORT = sys.argv[1], int(sys.argv[2])
TOKEN, SECRET = os.environ['MSRPD_TOKEN'], os.environ['MSRPD_SECRET'].encode()


def call(method, **params):
    request = urllib.request.Request(
        f'{URL}/api', json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': method,
                                  'params': params}).encode(),
        {'Authorization': f'Bearer {TOKEN}', 'Content-Type': 'application/json'})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        expected = 'sha256=' + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        good = hmac.compare_digest(expected, self.headers.get('X-Msrpd-Signature', ''))
        self.send_response(204 if good else 403)
        self.end_headers()
        if good:
            self.echo(json.loads(body)['params'])

    def echo(self, event):
        if 'body' in event:         # else it is no text
            call('msrp_ua_send_message', session_id=event['session_id'],
                 mime=event['content_type'], body=event['body'])


http.server.ThreadingHTTPServer(('127.0.0.1', PORT), Hook).serve_forever()
