#!/usr/bin/env python3
"""Webhooks: events posted to a server of the standard library."""
import hashlib
import hmac
import http.server
import json
import os
import subprocess
import threading

from lib import case, certs
from lib.daemon import free_port
from lib.waiting import Mailbox, poll

SECRET = 'what both of us know'

# Preloaded: one name whose address never comes.
SLOW_NAMES = '''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
    struct addrinfo **result)
{
	int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	static const char said[] = "it is asked for\\n";

	*(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
	if (!host || strcmp(host, "slow.example.org") != 0)
		return next(host, service, hints, result);
	if (write(2, said, sizeof(said) - 1) < 0)
		return EAI_SYSTEM;
	for (;;)
		poll(NULL, 0, -1);
}
'''


class Receiver:
    """Takes posts; answers with the next of its statuses, and then 200."""

    def __init__(self, tls=None, port=0):
        self.posts = Mailbox('posts')
        self.all = []
        self.statuses = []
        self.answer = b''
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                receiver.all.append((self.path, dict(self.headers), body, status))
                self.send_response(status)
                if status in (301, 307):
                    self.send_header('Location', '/elsewhere')
                self.send_header('Content-Length', str(len(receiver.answer)))
                self.end_headers()
                if status == 200:
                    receiver.posts.put(json.loads(body))
                if receiver.answer:     # of which msrpd reads as much as it likes
                    self.close_connection = True
                    try:
                        self.wfile.write(receiver.answer)
                    except ConnectionError:
                        pass

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.scheme = 'https' if tls else 'http'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f'{self.scheme}://127.0.0.1:{self.server.server_port}/hook?x=1'

    def event(self, name, **params):
        return self.posts.take(lambda e: e['method'] == name and all(
            e['params'].get(key) == value for key, value in params.items()), what=name)['params']

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class HookCase(case.Case):
    own_daemon = True

    def hook(self, receiver, **kwargs):
        return {'url': receiver.url, **kwargs}

    def with_hooks(self, *hooks, **kwargs):
        return self.start({'web': {'webhooks': list(hooks)}}, **kwargs)

    def receiver(self, **kwargs):
        receiver = Receiver(**kwargs)
        self.addCleanup(receiver.close)
        return receiver

    def number(self, ctl, name):
        return ctl.call('get_statistics')[f'webhooks:{name}']


class PostTest(HookCase):
    def test_events_in_order_and_signed(self):
        receiver = self.receiver()
        daemon, ctl = self.with_hooks(self.hook(receiver, secret=SECRET))
        call = self.call(daemon, ctl)
        for i in range(20):
            call.send(f'message {i}')
        call.bye()
        receiver.event('E_MSRP_SESSION_END', session_id=call.id)
        names = [json.loads(body)['method'] for _, _, body, _ in receiver.all]
        self.assertEqual(names, ['E_MSRP_SESSION_NEW', *['E_MSRP_MSG_RECEIVED'] * 20,
                                 'E_MSRP_SESSION_END'])
        self.assertEqual([json.loads(body)['params']['body'] for _, _, body, _
                          in receiver.all[1:-1]], [f'message {i}' for i in range(20)])
        for path, headers, body, _ in receiver.all:
            self.assertEqual((path, headers['Content-Type']), ('/hook?x=1', 'application/json'))
            mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
            self.assertEqual(headers['X-Msrpd-Signature'], f'sha256={mac}')
        self.assertEqual(len({h['X-Msrpd-Delivery'] for _, h, _, _ in receiver.all}), 22)
        poll(lambda: self.number(ctl, 'delivered') == 22, what='their count')
        self.assertEqual(self.number(ctl, 'queued'), 0)

    def test_those_that_are_wanted(self):
        some, every = self.receiver(), self.receiver()
        daemon, ctl = self.with_hooks(self.hook(some, events=['E_MSRP_SESSION_END']),
                                      self.hook(every))
        call = self.call(daemon, ctl)
        call.bye()
        some.event('E_MSRP_SESSION_END', session_id=call.id)
        every.event('E_MSRP_SESSION_END', session_id=call.id)
        self.assertEqual([len(some.all), len(every.all)], [1, 2])
        self.assertNotIn('X-Msrpd-Signature', some.all[0][1])

    def test_what_is_not_taken_comes_again(self):
        receiver = self.receiver()
        receiver.statuses = [500, 307]
        daemon, ctl = self.with_hooks(self.hook(receiver))
        call = self.call(daemon, ctl)
        call.bye()
        receiver.event('E_MSRP_SESSION_END', session_id=call.id)
        bodies = [body for _, _, body, _ in receiver.all]
        self.assertEqual(bodies[:3], [bodies[0]] * 3)
        self.assertEqual({path for path, _, _, _ in receiver.all}, {'/hook?x=1'})
        self.assertEqual(len({h['X-Msrpd-Delivery'] for _, h, _, _ in receiver.all}), 2)
        self.assertEqual(self.number(ctl, 'retried'), 2)

    def test_a_long_answer(self):
        receiver = self.receiver()
        receiver.answer = b'x' * 200000
        daemon, ctl = self.with_hooks(self.hook(receiver, events=['E_MSRP_SESSION_NEW']))
        for count in (1, 2):
            call = self.call(daemon, ctl)
            receiver.event('E_MSRP_SESSION_NEW', session_id=call.id)
            poll(lambda: self.number(ctl, 'delivered') == count, what='its count')
        self.assertEqual(len(receiver.all), 2)
        self.assertEqual(self.number(ctl, 'retried'), 0)

    def test_nobody_there(self):
        port = free_port()
        url = f'http://127.0.0.1:{port}/hook?x=1'
        daemon, ctl = self.with_hooks({'url': url})
        call = self.call(daemon, ctl)
        poll(lambda: self.number(ctl, 'retried') >= 1, what='a second try')
        receiver = self.receiver(port=port)
        receiver.event('E_MSRP_SESSION_NEW', session_id=call.id)
        self.assertEqual(self.number(ctl, 'given_up'), 0)

    def test_what_waits_at_the_end_is_told(self):
        daemon, ctl = self.with_hooks({'url': f'http://127.0.0.1:{free_port()}/'})
        self.call(daemon, ctl)
        poll(lambda: self.number(ctl, 'retried') >= 1, what='a second try')
        daemon.signal(15)
        daemon.wait()
        self.assertIn('1 events were not delivered', daemon.log())

    def test_a_reload_keeps_what_waits(self):
        receiver = self.receiver()
        receiver.statuses = [503]
        daemon, ctl = self.with_hooks(self.hook(receiver))
        call = self.call(daemon, ctl)
        poll(lambda: self.number(ctl, 'retried') >= 1, what='a second try')
        daemon.config['web']['webhooks'] = [self.hook(receiver, secret=SECRET)]
        daemon.write_config()
        self.assertEqual(ctl.call('reload'), 'OK')
        receiver.event('E_MSRP_SESSION_NEW', session_id=call.id)
        self.assertIn('X-Msrpd-Signature', receiver.all[-1][1])

    def slow_names(self):
        """The environment in which the address of slow.example.org is waited for."""
        library = os.path.join(self.directory, 'slow_names.so')
        subprocess.run(['cc', '-shared', '-fPIC', '-Wall', '-Werror', '-x', 'c', '-', '-o',
                        library], input=SLOW_NAMES, text=True, check=True)
        options = os.environ.get('ASAN_OPTIONS', 'detect_leaks=1:exitcode=99')
        return {'LD_PRELOAD': library, 'ASAN_OPTIONS': f'{options}:verify_asan_link_order=0'}

    def test_a_host_whose_address_does_not_come(self):
        """Who gives up the request does not wait for it."""
        daemon, ctl = self.with_hooks({'url': 'http://slow.example.org/'},
                                      environment=self.slow_names())
        call = self.call(daemon, ctl)
        poll(lambda: 'it is asked for' in daemon.log(), what='the question')
        daemon.config['web']['webhooks'] = []
        daemon.write_config()
        self.assertEqual(ctl.call('reload'), 'OK')
        call.bye()

    def test_certificates_are_verified(self):
        ca = certs.Authority(self.directory)
        other = certs.Authority(self.directory, 'other')
        good = self.receiver(tls=certs.server_context(ca.issue('good')))
        bad = self.receiver(tls=certs.server_context(other.issue('bad')))
        unknown = self.receiver(tls=certs.server_context(ca.issue('unknown')))
        daemon, ctl = self.with_hooks(self.hook(good, ca_file=ca.file),
                                      self.hook(bad, ca_file=ca.file), self.hook(unknown))
        call = self.call(daemon, ctl)
        good.event('E_MSRP_SESSION_NEW', session_id=call.id)
        poll(lambda: self.number(ctl, 'retried') >= 2, what='two refusals')
        self.assertEqual((bad.all, unknown.all), ([], []))

    def test_settings(self):
        for hook, word in (({}, 'url'), ({'url': 'ftp://x/'}, 'url'), ({'url': 'x'}, 'url'),
                           ({'url': 'http://a:b@x/'}, 'url')):
            daemon = case.Daemon({'web': {'webhooks': [hook]}}, arguments=['-t'])
            try:
                daemon.spawn()
                self.assertEqual(daemon.wait(), 1, hook)
                self.assertIn(word, daemon.log())
            finally:
                daemon.kill()
                daemon.discard()
        daemon = case.Daemon({'web': {'webhooks': [{'url': 'http://x/', 'events': ['E_NONE']}]}})
        try:
            daemon.spawn()
            self.assertEqual(daemon.wait(), 1)
            self.assertIn('E_NONE', daemon.log())
        finally:
            daemon.kill()
            daemon.discard()


if __name__ == '__main__':
    case.main()
