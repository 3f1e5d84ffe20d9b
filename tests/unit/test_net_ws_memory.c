/* The life of a WebSocket, both its ends, while the n-th allocation fails, for each n. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "loop.h"
#include "memory.h"
#include "net/listener.h"
#include "net/net.h"
#include "net/stream.h"
#include "net/transport.h"

enum { LARGE = 300000, ROUNDS = 3 };

static const unsigned char mask[4] = {1, 2, 3, 4};

struct fixture {
	struct event_base *base;
	struct net *net;
	struct net_protocol protocol;
	struct net_listener listener;
	uint64_t counts[7];
	struct net_stream *stream; /* of the one that was accepted, while it is open */
	bool over;                 /* the end has come, at our end or the client's */
	unsigned messages;

	/* the client */
	int fd;
	char *out;
	size_t out_len, out_at, got;
};

static struct fixture *fixture_of(const struct net_stream *s)
{
	return (struct fixture *)(void *)((char *)s->protocol - offsetof(struct fixture, protocol));
}

static struct net_stream *on_accept(void *arg)
{
	struct net_stream *s = calloc(1, sizeof(*s));

	if (s)
		net_stream_init(s, &((struct fixture *)arg)->protocol);
	return s;
}

static void on_opened(struct net_stream *s)
{
	fixture_of(s)->stream = s;
}

/* Everything goes back: by copy, and by reference. */
static ssize_t on_input(struct net_stream *s, struct slice bytes, bool end)
{
	net_stream_send(s, slice_head(bytes, 1000));
	fixture_of(s)->messages += end;
	return (ssize_t)bytes.len;
}

static void ignore(struct net_stream *s)
{
	(void)s;
}

static void on_closed(struct net_stream *s, int err)
{
	(void)err;
	fixture_of(s)->stream = NULL;
	fixture_of(s)->over = true;
}

static void on_free(struct net_stream *s)
{
	free(s);
}

static const struct net_handler handler = {.accept = on_accept,
    .alive = ignore,
    .opened = on_opened,
    .input = on_input,
    .room = ignore,
    .interrupt = ignore,
    .closed = on_closed,
    .free = on_free};

/* --- what the client says --- */

static void add(struct fixture *f, const void *bytes, size_t len)
{
	memcpy(f->out + f->out_len, bytes, len);
	f->out_len += len;
}

static void add_frame(struct fixture *f, unsigned first, size_t len)
{
	unsigned char head[] = {(unsigned char)first, 0xff, 0, 0, 0, 0, (unsigned char)(len >> 24),
	    (unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len};

	if (len < 126)
		add(f, (unsigned char[]){(unsigned char)first, (unsigned char)(0x80 | len)}, 2);
	else
		add(f, head, sizeof(head));
	add(f, mask, sizeof(mask));
	memset(f->out + f->out_len, 'x', len);
	f->out_len += len;
}

static void write_all(struct fixture *f)
{
	static const char hello[] =
	    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Protocol: test\r\n\r\n";

	f->out_len = f->out_at = 0;
	add(f, hello, sizeof(hello) - 1);
	for (int i = 0; i < ROUNDS; i++) {
		add_frame(f, 0x82, 10);
		add_frame(f, 0x02, LARGE); /* fragments, with a ping between them */
		add_frame(f, 0x89, 5);
		add_frame(f, 0x80, 70000);
	}
	add_frame(f, 0x88, 0);
}

/* Say and hear what can be said and heard; is it over? */
static bool client_turn(void *arg)
{
	struct fixture *f = arg;
	char in[65536];
	ssize_t n = 0;

	if (f->out_at < f->out_len)
		n = send(f->fd, f->out + f->out_at, f->out_len - f->out_at,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		f->out_at += (size_t)n;
	n = recv(f->fd, in, sizeof(in), MSG_DONTWAIT);
	if (n > 0)
		f->got += (size_t)n;
	if (n == 0 || (n < 0 && errno != EAGAIN))
		f->over = true;
	return f->over;
}

static bool is_quiet(void *arg)
{
	return ((struct fixture *)arg)->protocol.stream_count == 0;
}

/* --- */

static int start(struct fixture *f, const struct net_transport *transport)
{
	uint64_t *c = f->counts;

	f->protocol = (struct net_protocol){.net = f->net,
	    .name = "test",
	    .subprotocol = "test",
	    .handler = &handler,
	    .limits = {.max_streams = 100,
		.send_queue = 1 << 16,
		.max_message = 1 << 20,
		.preface_timeout_ms = 10000},
	    .count = {&c[0], &c[1], &c[2], &c[3], &c[4], &c[5], &c[6]}};
	f->listener = (struct net_listener){.protocol = &f->protocol,
	    .transport = transport,
	    .name = "test",
	    .arg = f};
	assert_int_equal(addr_parse_host(&f->listener.addr, SLICE("127.0.0.1")), 0);
	return net_protocol_init(&f->protocol);
}

static void talk(struct fixture *f)
{
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(f->fd, &f->listener.addr.any, addr_len(&f->listener.addr)), 0);
	loop_until(f->base, client_turn, f);
	close(f->fd);
	loop_until(f->base, is_quiet, f);
}

static void each_allocation(void **state)
{
	char *out = malloc(4 << 20);
	unsigned n = 0, broken = 0;
	bool failed;

	(void)state;
	do {
		struct fixture f = {.base = event_base_new(), .out = out};

		write_all(&f);
		assert_int_equal(net_new(&f.net, f.base), 0);
		memory_fail_at(++n);
		if (start(&f, &net_ws) == 0 && net_listener_open(&f.listener) == 0) {
			talk(&f);
			net_listener_close(&f.listener);
		}
		failed = memory_has_failed();
		memory_fail_at(0);
		assert_true(failed || f.messages == 2 * ROUNDS);
		broken += f.messages != 2 * ROUNDS;
		net_protocol_fini(&f.protocol);
		net_free(f.net);
		event_base_free(f.base);
		assert_true(n < 1000);
	} while (failed);
	free(out);
	assert_in_range(broken, 3, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
