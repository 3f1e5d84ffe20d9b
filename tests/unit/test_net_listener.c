/* Listening sockets while more come than are accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "loop.h"
#include "loopback.h"
#include "net/listener.h"
#include "net/net.h"
#include "net/stream.h"
#include "net/transport.h"

enum { CROWD = 300 };

struct fixture {
	struct event_base *base;
	struct net *net;
	struct net_protocol protocol;
	struct net_listener listener;
	uint64_t counts[7];
	struct event *other; /* something that is to be done in each turn of the loop */
	unsigned accepted, at_once, most;
};

static void come(struct fixture *f)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, &f->listener.addr.any, addr_len(&f->listener.addr)), 0);
	close(fd);
}

/* Whenever one is accepted, and refused, the next one is there. */
static struct net_stream *on_accept(void *arg)
{
	struct fixture *f = arg;

	if (++f->at_once > f->most)
		f->most = f->at_once;
	if (++f->accepted < CROWD)
		come(f);
	return NULL;
}

static const struct net_handler handler = {.accept = on_accept};

static void on_other(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval now = {0, 0};
	struct fixture *f = arg;

	(void)fd;
	(void)what;
	f->at_once = 0;
	evtimer_add(f->other, &now);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint64_t *c = f->counts;

	f->base = event_base_new();
	f->other = evtimer_new(f->base, on_other, f);
	assert_int_equal(net_new(&f->net, f->base), 0);
	f->protocol = (struct net_protocol){.net = f->net,
	    .name = "test",
	    .handler = &handler,
	    .limits = {.max_streams = 1},
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
	net_listener_close(&f->listener);
	net_protocol_fini(&f->protocol);
	net_free(f->net);
	event_free(f->other);
	event_base_free(f->base);
	free(f);
	return 0;
}

static bool all_came(void *arg)
{
	return ((const struct fixture *)arg)->accepted == CROWD;
}

static void a_crowd_leaves_others_their_turn(void **state)
{
	struct fixture *f = *state;

	on_other(-1, 0, f);
	come(f);
	loop_until(f->base, all_came, f);
	assert_in_range(f->most, 1, CROWD / 3);
}

/* Some of them wait for their turn then. */
static void it_is_closed_before_a_crowd(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 100; i++)
		come(f);
	event_base_loop(f->base, EVLOOP_ONCE);
	assert_in_range(f->accepted, 1, 99);
	net_listener_close(&f->listener);
	on_other(-1, 0, f);
	event_base_loop(f->base, EVLOOP_ONCE);
	assert_in_range(f->accepted, 1, 99);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(a_crowd_leaves_others_their_turn),
	    CASE(it_is_closed_before_a_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
