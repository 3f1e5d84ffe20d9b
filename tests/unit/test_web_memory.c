/* What browsers ask of the web port while the n-th allocation fails, for each n. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <jansson.h>

#include "loop.h"
#include "memory.h"
#include "web_host.h"

#define HOST "Host: 127.0.0.1\r\n"

enum { TEXT_MAX = 4096, ROOM = 65536 };

struct browser {
	struct web_host *host;
	int fd;
	const char *out;
	size_t out_len, in_len;
	bool told, over;
	char in[ROOM];
};

static bool turn(void *arg)
{
	struct browser *b = arg;
	ssize_t n = 0;

	if (b->out_len)
		n = send(b->fd, b->out, b->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0) {
		b->out += n;
		b->out_len -= (size_t)n;
	}
	n = recv(b->fd, b->in + b->in_len, ROOM - b->in_len, MSG_DONTWAIT);
	if (n > 0)
		b->in_len += (size_t)n;
	if (n == 0 || (n < 0 && errno != EAGAIN))
		b->over = true;
	/* Whoever has subscribed is to hear of something. */
	if (!b->told && memmem(b->in, b->in_len, "\"OK\"", 4)) {
		b->told = true;
		web_host_tell(b->host);
		b->out = "\x88\x80\0\0\0"; /* and that is all */
		b->out_len = 6;
	}
	return b->over;
}

static bool is_quiet(void *arg)
{
	struct web_host *h = arg;

	return h->web->http.protocol.stream_count + h->web->sockets.protocol.stream_count == 0;
}

/* @return what came of it: does it hold the text? */
static bool visit(struct web_host *h, const char *out, size_t len, const char *wanted)
{
	static struct browser b;
	const union addr *addr = &STAILQ_FIRST(&h->web->listeners)->socket.addr;

	b = (struct browser){.host = h, .out = out, .out_len = len};
	b.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(b.fd, &addr->any, addr_len(addr)), 0);
	loop_until(h->base, turn, &b);
	close(b.fd);
	loop_until(h->base, is_quiet, h);
	return memmem(b.in, b.in_len, wanted, strlen(wanted)) != NULL;
}

static bool ask(struct web_host *h, const char *start, const char *headers, const char *body,
    const char *wanted)
{
	char text[TEXT_MAX];
	int n = snprintf(text, sizeof(text),
	    "%s HTTP/1.1\r\n" HOST "%sConnection: close\r\nContent-Length: %zu\r\n\r\n%s", start,
	    headers, strlen(body), body);

	return visit(h, text, (size_t)n, wanted);
}

static bool talk(struct web_host *h)
{
	static const char words[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"watch\"}";
	char text[TEXT_MAX];
	int n = snprintf(text, sizeof(text),
	    "GET /api?token=%s HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Protocol: jsonrpc\r\n\r\n%c%c%c%c%c%c%s",
	    h->token, 0x01, 0x80 | 10, 0, 0, 0, 0, "");

	/* In two fragments. */
	memcpy(text + n, words, 10);
	n += 10;
	memcpy(text + n, (char[]){(char)0x80, (char)(0x80 | (sizeof(words) - 11)), 0, 0, 0, 0}, 6);
	n += 6;
	memcpy(text + n, words + 10, sizeof(words) - 11);
	n += (int)sizeof(words) - 11;
	return visit(h, text, (size_t)n, "something happened");
}

static unsigned live(struct web_host *h)
{
	static const char login[] = "{\"username\":\"alice\",\"password\":\"secret\"}";
	static const char request[] =
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\",\"params\":{\"from_uri\":\"sip:x\"}}";
	char bearer[TOKEN_SIZE + 100];
	struct reason why;
	unsigned good = 0;

	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s\r\n", h->token);
	good += ask(h, "GET /CHANGES.md", "", "", "HTTP/1.1 200");
	good += ask(h, "GET /metrics", "", "", "msrpd_web_requests_total ");
	good += ask(h, "POST /api/token", "Origin: http://127.0.0.1\r\n", login, "{\"token\":");
	good += ask(h, "POST /api", bearer, request, "\"from_uri\":\"sip:x\"");
	good += talk(h);
	good += web_reload(h->web, &h->settings, &why) == 0;
	good += ask(h, "GET /CHANGES.md", "", "", "HTTP/1.1 200");
	return good;
}

enum { ALL = 7 };

static void each_allocation(void **state)
{
	unsigned n = 0, hurt = 0;
	bool failed;

	(void)state;
	setenv("SSL_CERT_FILE", "/dev/null", 1); /* the system's take long to read, each time */
	do {
		struct event_base *base = event_base_new();
		struct web_host host;
		unsigned good = 0;

		web_host_init(&host, base);
		host.settings.request_timeout_ms = host.settings.idle_timeout_ms = 300;
		host.settings.root = (char *)(uintptr_t) "."; /* of the sources */
		memory_fail_at(++n);
		if (web_host_start(&host) == 0) {
			/* Of jansson's own, one that fails ends the daemon: src/ctl/rpc.c. */
			json_set_alloc_funcs(memory_spared, free);
			good = live(&host);
		}
		failed = memory_has_failed();
		memory_fail_at(0);
		/* One failure, one who suffers it: or all, when it does not start. */
		assert_true(good == 0 || good >= ALL - 1);
		assert_true(failed || good == ALL);
		hurt += good == ALL - 1;
		web_host_stop(&host);
		event_base_free(base);
		assert_true(n < 2000);
	} while (failed);
	assert_true(hurt > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
