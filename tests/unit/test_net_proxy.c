/* The header of a proxy, and streams that begin with one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <msrpd/setting.h>

#include "base/stats.h"
#include "loop.h"
#include "loopback.h"
#include "net/guard.h"
#include "net/listener.h"
#include "net/net.h"
#include "net/proxy.h"
#include "net/stream.h"

#define BYTES(literal)                       \
	{                                    \
		literal, sizeof(literal) - 1 \
	}
#define SIG     "\r\n\r\n\0\r\nQUIT\n"
#define V2_TCP4 SIG "\x21\x11\x00\x0c\xc6\x33\x64\x07\xc0\x00\x02\x09\xc3\x50\x13\xc5"

/* --- the header alone --- */

static void open_pair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

static const struct {
	struct slice bytes;
	int result;
	const char *client;
} cases[] = {
    {BYTES("PROXY TCP4 198.51.100.7 192.0.2.9 50000 5061\r\n"), 1, "198.51.100.7:50000"},
    {BYTES("PROXY TCP6 2001:db8::7 2001:db8::1 50000 5061\r\n"), 1, "[2001:db8::7]:50000"},
    {BYTES("PROXY TCP6 ::ffff:198.51.100.7 ::ffff:192.0.2.9 50000 5061\r\n"), 1,
	"198.51.100.7:50000"},
    {BYTES("PROXY UNKNOWN\r\n"), 1, "-"},
    {BYTES("PROXY UNKNOWN ffff:f...f:ffff and so on\r\n"), 1, "-"},
    {BYTES(V2_TCP4), 1, "198.51.100.7:50000"},
    {BYTES(SIG "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
	       "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xc3\x50\x13\xc5"),
	1, "[2001:db8::7]:50000"},
    {BYTES(SIG "\x21\x21\x00\x24\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x07"
	       "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x09\xc3\x50\x13\xc5"),
	1, "198.51.100.7:50000"},
    /* behind the addresses, what a receiver may not know */
    {BYTES(SIG "\x21\x11\x00\x11\xc6\x33\x64\x07\xc0\x00\x02\x09\xc3\x50\x13\xc5\x04\x00\x02hi"), 1,
	"198.51.100.7:50000"},
    {BYTES(SIG "\x20\x00\x00\x00"), 1, "-"},
    {BYTES(SIG "\x20\x11\x00\x0c\xc6\x33\x64\x07\xc0\x00\x02\x09\xc3\x50\x13\xc5"), 1, "-"},
    {BYTES(SIG "\x20\x11\x00\x02hi"), 1, "-"},
    {BYTES(SIG "\x21\x00\x00\x03"
	       "abc"),
	1, "-"},
    {BYTES(SIG "\x21\x12\x00\x0c\xc6\x33\x64\x07\xc0\x00\x02\x09\xc3\x50\x13\xc5"), 1, "-"},
    {BYTES("GET / HTTP/1.1\r\n\r\n"), -EPROTO, NULL},
    {BYTES("MSRP abcd1234 SEND\r\n"), -EPROTO, NULL},
    {BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00"), -EPROTO, NULL},
    {BYTES("PROXY TCP4 198.51.100.7 192.0.2.9 50000\r\n"), -EPROTO, NULL},
    {BYTES("PROXY TCP4 198.51.100.7 192.0.2.9 50000 5061 x\r\n"), -EPROTO, NULL},
    {BYTES("PROXY TCP4 198.51.100.7  192.0.2.9 50000 5061\r\n"), -EPROTO, NULL},
    {BYTES("PROXY TCP4 198.51.100.7 192.0.2.9 50000 65536\r\n"), -EPROTO, NULL},
    {BYTES("PROXY TCP4 2001:db8::7 2001:db8::1 50000 5061\r\n"), -EPROTO, NULL},
    {BYTES("PROXY TCP6 198.51.100.7 192.0.2.9 50000 5061\r\n"), -EPROTO, NULL},
    {BYTES("PROXY UDP4 198.51.100.7 192.0.2.9 50000 5061\r\n"), -EPROTO, NULL},
    {BYTES("PROXY TCP4 198.51.100.7 192.0.2.9 50000 5061\n"), -EPROTO, NULL},
    {BYTES("PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"),
	-EPROTO, NULL},
    {BYTES(SIG "\x22\x11\x00\x00"), -EPROTO, NULL},
    {BYTES(SIG "\x11\x11\x00\x0c"), -EPROTO, NULL},
    {BYTES(SIG "\x21\x11\x00\x0b\xc6\x33\x64\x07\xc0\x00\x02\x09\xc3\x50\x13"), -EPROTO, NULL},
    {BYTES(SIG "\x21\x11\xff\xff"), -EPROTO, NULL},
};

static void check_header(size_t i, size_t step)
{
	struct proxy_header header = {0};
	struct slice bytes = cases[i].bytes;
	char text[ADDR_TEXT_SIZE], rest[8] = "";
	int fds[2], n = 0;
	union addr client;

	open_pair(fds);
	for (size_t at = 0; n == 0 && at < bytes.len; at += step) {
		size_t len = bytes.len - at < step ? bytes.len - at : step;

		assert_int_equal(send(fds[0], bytes.p + at, len, 0), len);
		if (at + len == bytes.len)
			assert_int_equal(send(fds[0], "rest", 4, 0), 4);
		n = proxy_header_read(&header, fds[1], &client);
	}
	if (n != cases[i].result)
		fail_msg("%d, not %d, for case %zu", n, cases[i].result, i);
	if (n > 0) {
		assert_string_equal(addr_print(&client, text), cases[i].client);
		assert_int_equal(recv(fds[1], rest, sizeof(rest), 0), 4);
		assert_string_equal(rest, "rest");
	} else {
		assert_int_equal(addr_len(&client), 0);
	}
	close(fds[0]);
	close(fds[1]);
}

static void headers_are_read_and_not_a_byte_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_header(i, SIZE_MAX);
		check_header(i, 1);
		check_header(i, 17);
	}
}

static void the_end_of_the_socket_is_told(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(V2_TCP4) - 1; len++) {
		struct proxy_header header = {0};
		union addr client;
		int fds[2];

		open_pair(fds);
		assert_int_equal(send(fds[0], V2_TCP4, len, 0), len);
		assert_int_equal(proxy_header_read(&header, fds[1], &client), 0);
		close(fds[0]);
		assert_int_equal(proxy_header_read(&header, fds[1], &client), -ECONNRESET);
		close(fds[1]);
	}
}

/* --- streams --- */

struct fixture {
	struct event_base *base;
	struct stats *stats;
	struct net_guard *guard;
	struct net *net;
	struct net_protocol protocol;
	struct net_listener listener;
	uint64_t counts[7];
	struct net_stream *stream;
	unsigned opened, closed, freed;
	int err;
	char got[64];
	size_t got_len;
};

static struct fixture *fixture_of(const struct net_stream *s)
{
	return (struct fixture *)(void *)((char *)s->protocol - offsetof(struct fixture, protocol));
}

static struct net_stream *on_accept(void *arg)
{
	struct fixture *f = arg;

	f->stream = calloc(1, sizeof(*f->stream));
	net_stream_init(f->stream, &f->protocol);
	return f->stream;
}

static void on_opened(struct net_stream *s)
{
	fixture_of(s)->opened++;
}

static ssize_t on_input(struct net_stream *s, struct slice bytes, bool end)
{
	struct fixture *f = fixture_of(s);

	(void)end;
	assert_true(f->got_len + bytes.len <= sizeof(f->got));
	memcpy(f->got + f->got_len, bytes.p, bytes.len);
	f->got_len += bytes.len;
	return (ssize_t)bytes.len;
}

static void on_room(struct net_stream *s)
{
	(void)s;
}

static void on_closed(struct net_stream *s, int err)
{
	fixture_of(s)->closed++;
	fixture_of(s)->err = err;
}

static void on_free(struct net_stream *s)
{
	fixture_of(s)->freed++;
	free(s);
}

static const struct net_handler handler = {.accept = on_accept,
    .opened = on_opened,
    .input = on_input,
    .room = on_room,
    .interrupt = on_room,
    .closed = on_closed,
    .free = on_free};

static char *proxies[] = {"127.0.0.1"};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint64_t *c = f->counts;
	struct net_guard_settings limits = {.connections_per_address = 2};
	struct setting_list list = {proxies, 1};

	f->base = event_base_new();
	assert_int_equal(net_new(&f->net, f->base), 0);
	assert_int_equal(stats_new(&f->stats), 0);
	assert_int_equal(net_guard_new(&f->guard, f->base, &limits, f->stats), 0);
	net_use_guard(f->net, f->guard);
	assert_int_equal(net_use_proxies(f->net, &list), 0);
	f->protocol = (struct net_protocol){.net = f->net,
	    .name = "test",
	    .handler = &handler,
	    .limits = {.max_streams = 10, .send_queue = 1 << 16},
	    .count = {&c[0], &c[1], &c[2], &c[3], &c[4], &c[5], &c[6]}};
	assert_int_equal(net_protocol_init(&f->protocol), 0);
	f->listener = (struct net_listener){.protocol = &f->protocol,
	    .transport = &net_tcp,
	    .name = "test",
	    .arg = f};
	loopback_listen(&f->listener);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	net_listener_close(&f->listener);
	net_protocol_fini(&f->protocol);
	net_free(f->net);
	net_guard_free(f->guard);
	stats_free(f->stats);
	event_base_free(f->base);
	free(f);
	return 0;
}

static int call(struct fixture *f, const char *bytes, size_t len)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &f->listener.addr.any, addr_len(&f->listener.addr)), 0);
	assert_int_equal(send(fd, bytes, len, 0), len);
	return fd;
}

static bool has_bytes(void *arg)
{
	return ((struct fixture *)arg)->got_len;
}

static bool is_closed(void *arg)
{
	return ((struct fixture *)arg)->closed;
}

static void the_client_is_whom_the_proxy_names(void **state)
{
	static const char bytes[] = V2_TCP4 "hello";
	struct fixture *f = *state;
	char text[ADDR_TEXT_SIZE];
	union addr peer;
	int fd = call(f, bytes, sizeof(bytes) - 1);

	loop_until(f->base, has_bytes, f);
	assert_int_equal(f->got_len, 5);
	assert_memory_equal(f->got, "hello", 5);
	net_stream_peer(f->stream, &peer);
	assert_string_equal(addr_print(&peer, text), "198.51.100.7:50000");
	close(fd);
	loop_until(f->base, is_closed, f);
	assert_int_equal(f->freed, 1);
}

static void who_names_nobody_is_closed(void **state)
{
	struct fixture *f = *state;
	int fd = call(f, "MSRP abcd1234 SEND\r\n", 20);

	loop_until(f->base, is_closed, f);
	assert_int_equal(f->err, -EPROTO);
	assert_int_equal(f->opened, 0);
	close(fd);
}

static void nobody_waits_for_ever(void **state)
{
	struct fixture *f = *state;
	struct net_limits limits = f->protocol.limits;
	int fd;

	limits.preface_timeout_ms = 50;
	net_protocol_reload(&f->protocol, &limits, NULL);
	fd = call(f, "PROXY ", 6);
	loop_until(f->base, is_closed, f);
	assert_int_equal(f->err, -ETIMEDOUT);
	close(fd);
}

static void the_limits_are_the_clients(void **state)
{
	static const char other[] = "PROXY TCP4 203.0.113.1 192.0.2.9 50000 5061\r\nx";
	struct fixture *f = *state;
	int fds[4];

	for (int i = 0; i < 3; i++)
		fds[i] = call(f, V2_TCP4, sizeof(V2_TCP4) - 1);
	loop_until(f->base, is_closed, f);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->opened, 2);
	assert_int_equal(*f->protocol.count.refused, 1);
	fds[3] = call(f, other, sizeof(other) - 1);
	loop_until(f->base, has_bytes, f);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(headers_are_read_and_not_a_byte_more),
	    cmocka_unit_test(the_end_of_the_socket_is_told),
	    CASE(the_client_is_whom_the_proxy_names),
	    CASE(who_names_nobody_is_closed),
	    CASE(nobody_waits_for_ever),
	    CASE(the_limits_are_the_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
