/* Datagrams for which the kernel has no room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "loop.h"
#include "net/net.h"
#include "net/udp.h"

enum { LARGE = 1 << 16, QUEUE = 1 << 20, SENT_MAX = 64 };

/* The kernel: its socket full has no room. */
static struct {
	int full;
	size_t sent[SENT_MAX], count;
} kernel;

ssize_t __wrap_sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *to,
    socklen_t to_len);

ssize_t __wrap_sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *to,
    socklen_t to_len)
{
	(void)bytes;
	(void)flags;
	(void)to;
	(void)to_len;
	if (fd == kernel.full) {
		errno = EAGAIN;
		return -1;
	}
	assert_true(kernel.count < SENT_MAX);
	kernel.sent[kernel.count++] = len;
	return (ssize_t)len;
}

static void on_received(void *arg, const union addr *from, struct slice bytes)
{
	(void)arg;
	(void)from;
	(void)bytes;
}

static const struct net_udp_handler handler = {.received = on_received};

static void open_socket(struct net_udp *u, struct net *net, uint64_t *count)
{
	union addr any;

	assert_int_equal(addr_parse(&any, SLICE("127.0.0.1:0")), 0);
	*u = (struct net_udp){.net = net,
	    .handler = &handler,
	    .count = {count, count, count, count, count}};
	assert_int_equal(net_udp_open(u, &any), 0);
}

static void send_one(struct net_udp *u, size_t len)
{
	static const char bytes[LARGE];
	union addr to;

	assert_int_equal(addr_parse(&to, SLICE("127.0.0.1:9")), 0);
	assert_int_equal(net_udp_send(u, &to, (struct slice){bytes, len}), 0);
}

static bool all_left(void *arg)
{
	return ((const struct net_udp *)arg)->parcel_bytes == 0;
}

/* They wait in their order, as many as there is room for; others do not. */
static void what_waits_is_bounded(void **state)
{
	struct event_base *base = event_base_new();
	struct net_udp full, other;
	uint64_t count = 0;
	struct net *net;

	(void)state;
	assert_int_equal(net_new(&net, base), 0);
	open_socket(&full, net, &count);
	open_socket(&other, net, &count);
	kernel.full = full.fd;
	for (int i = 0; i < QUEUE / LARGE - 1; i++)
		send_one(&full, LARGE);
	send_one(&full, LARGE - 2);
	send_one(&full, 3); /* lost */
	send_one(&full, 2);
	send_one(&full, 1); /* lost */
	assert_int_equal(full.parcel_bytes, QUEUE);
	send_one(&other, 5);
	assert_int_equal(kernel.count, 1);
	kernel.full = -1;
	send_one(&full, 4); /* there is room, but not before those that wait: lost */
	assert_int_equal(kernel.count, 1);
	loop_until(base, all_left, &full);
	send_one(&full, 6);
	assert_int_equal(kernel.count, 1 + QUEUE / LARGE + 1 + 1);
	assert_int_equal(kernel.sent[0], 5);
	for (int i = 0; i < QUEUE / LARGE - 1; i++)
		assert_int_equal(kernel.sent[1 + i], LARGE);
	assert_int_equal(kernel.sent[QUEUE / LARGE], LARGE - 2);
	assert_int_equal(kernel.sent[QUEUE / LARGE + 1], 2);
	assert_int_equal(kernel.sent[QUEUE / LARGE + 2], 6);
	net_udp_close(&full);
	net_udp_close(&other);
	net_free(net);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_waits_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
