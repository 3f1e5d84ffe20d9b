/* What a connection may not do for long: stay unbound, idle, or deaf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <msrpd/timer.h>

#include "loop.h"
#include "msrp/pool.h"
#include "msrp_side.h"
#include "net/listener.h"

struct fixture {
	struct msrp_side side;
	struct msrp_peer peer;
	bool framed;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	msrp_side_init(&f->side, NULL);
	*state = f;
	return 0;
}

static int setup_framed(void **state)
{
	setup(state);
	((struct fixture *)*state)->framed = true;
	return 0;
}

static void begin(struct fixture *f)
{
	msrp_side_start(&f->side);
	if (f->framed)
		msrp_peer_open_framed(&f->peer, &f->side);
	else
		msrp_peer_open(&f->peer, &f->side, NULL, false);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	msrp_peer_close(&f->peer);
	msrp_side_stop(&f->side);
	free(f);
	return 0;
}

static const char to_nobody[] =
    "MSRP abcd1234 SEND\r\nTo-Path: msrp://127.0.0.1:1/nobody;tcp\r\n"
    "From-Path: msrp://127.0.0.1:9/peer;tcp\r\nMessage-ID: m1m1m1\r\n"
    "Content-Type: text/plain\r\n\r\nhi\r\n-------abcd1234$\r\n\r\n\r\n";

static bool keeps_busy(void *arg)
{
	struct fixture *f = arg;

	msrp_peer_try(&f->peer, to_nobody, sizeof(to_nobody) - 1);
	msrp_peer_read(&f->peer);
	return f->peer.eof || f->peer.reset;
}

/* Neither frames for nobody nor keep-alives put it off. */
static void an_unbound_connection_is_closed_however_busy(void **state)
{
	struct fixture *f = *state;
	uint64_t start = timer_now_ms();

	f->side.settings.bind_timeout_ms = 100;
	begin(f);
	loop_until(f->side.base, keeps_busy, f);
	assert_true(timer_now_ms() - start >= 100);
	assert_non_null(strstr(f->peer.got, "MSRP abcd1234 481"));
}

static bool is_bound(void *arg)
{
	return ((struct fixture *)arg)->side.conn != NULL;
}

static void bind_it(struct fixture *f)
{
	msrp_peer_send(&f->peer, f->side.uri, "hello", "");
	loop_until(f->side.base, is_bound, f);
}

static void an_idle_connection_is_closed_after_its_last_user(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	f->side.settings.bind_timeout_ms = f->side.settings.idle_timeout_ms = 50;
	begin(f);
	bind_it(f);
	start = timer_now_ms();
	while (timer_now_ms() < start + 120)
		event_base_loop(f->side.base, EVLOOP_NONBLOCK);
	assert_int_equal(msrp_stack_connections(f->side.stack), 1);
	start = timer_now_ms();
	msrp_conn_detach(&f->side.user);
	msrp_peer_expect_end(&f->peer);
	assert_in_range(timer_now_ms() - start, 49, 30000);
}

/* RFC 4976 5.4: a client keeps its relay for longer. */
static void who_wants_longer_gets_longer(void **state)
{
	struct fixture *f = *state;
	struct msrp_user other = {.ops = NULL};
	uint64_t start;

	f->side.settings.idle_timeout_ms = 50;
	begin(f);
	bind_it(f);
	other.ops = f->side.user.ops;
	msrp_conn_attach(f->side.conn, &other, 700);
	start = timer_now_ms();
	msrp_conn_detach(&f->side.user);
	msrp_conn_detach(&other);
	msrp_peer_expect_end(&f->peer);
	assert_in_range(timer_now_ms() - start, 950, 30000); /* in whole seconds */
}

static bool is_gone(void *arg)
{
	struct fixture *f = arg;

	msrp_peer_try(&f->peer, to_nobody, sizeof(to_nobody) - 1);
	return msrp_stack_connections(f->side.stack) == 0;
}

/* Answers that nobody reads are bounded: first the peer is not read, then it is closed. */
static void a_deaf_flooder_is_closed(void **state)
{
	struct fixture *f = *state;

	f->side.settings.send_queue = 4096;
	f->side.settings.send_timeout_ms = 200;
	begin(f);
	for (int i = 0; i < 200000 && msrp_peer_try(&f->peer, to_nobody, sizeof(to_nobody) - 1);
	     i++)
		event_base_loop(f->side.base, EVLOOP_NONBLOCK);
	loop_until(f->side.base, is_gone, f);
}

static int reconnected;

static void reconnect(struct msrp_user *user, int err)
{
	struct msrp_side *side =
	    (struct msrp_side *)(void *)((char *)user - offsetof(struct msrp_side, user));
	struct msrp_destination to = {.host = SLICE("127.0.0.1"), .port = side->port};
	struct msrp_conn *conn;

	(void)err;
	reconnected = msrp_pool_get(side->stack, &to, &conn);
}

static const struct msrp_user_ops stubborn_ops = {.closed = reconnect};

static void nothing_is_opened_while_stopping(void **state)
{
	struct fixture *f = *state;

	begin(f);
	bind_it(f);
	f->side.user.ops = &stubborn_ops;
	msrp_target_unbind(f->side.stack, &f->side.target);
	msrp_sink_drop(&f->side.sink);
	net_listener_close(&f->side.framed);
	msrp_stack_free(f->side.stack);
	f->side.stack = NULL;
	assert_int_equal(reconnected, -ESHUTDOWN);
}

static int teardown_stopped(void **state)
{
	struct fixture *f = *state;

	assert_null(f->side.stack);
	f->side.target = (struct msrp_target){0};
	return teardown(state);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#define FRAMED_CASE(name)                                             \
	{                                                             \
#name " (framed)", name, setup_framed, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(an_unbound_connection_is_closed_however_busy),
	    FRAMED_CASE(an_unbound_connection_is_closed_however_busy),
	    CASE(an_idle_connection_is_closed_after_its_last_user),
	    FRAMED_CASE(an_idle_connection_is_closed_after_its_last_user),
	    CASE(who_wants_longer_gets_longer),
	    FRAMED_CASE(who_wants_longer_gets_longer),
	    CASE(a_deaf_flooder_is_closed),
	    FRAMED_CASE(a_deaf_flooder_is_closed),
	    cmocka_unit_test_setup_teardown(nothing_is_opened_while_stopping, setup,
		teardown_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
