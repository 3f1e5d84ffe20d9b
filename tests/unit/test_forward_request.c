/* Requests other than SEND on their way: RFC 4976 6.4.2, 6.4.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <event2/event.h>

#include "loop.h"
#include "relay_side.h"

struct fixture {
	struct relay_cast cast;
	char tid[40]; /* of the request as bob gets it */
};

static int setup(void **state)
{
	struct fixture *f = relay_fixture_new(sizeof(*f));

	relay_peer_open(&f->cast.bob, f->cast.side, "bob");
	relay_peer_knock(&f->cast.bob, &f->cast.alice);
	*state = f;
	return 0;
}

static void ask(struct fixture *f, const char *method, const char *more)
{
	const char *at;
	char end[64];

	relay_peer_say(&f->cast.alice,
	    "MSRP ask12345 %s\r\nTo-Path: %s\r\nFrom-Path: %s\r\nX: y\r\n%s-------ask12345$\r\n",
	    method, relay_way_out(&f->cast.alice, &f->cast.bob), f->cast.alice.own, more);
	snprintf(end, sizeof(end), " %s\r\nTo-Path: ", method);
	msrp_peer_expect(&f->cast.bob.raw, end);
	msrp_peer_expect(&f->cast.bob.raw, "$\r\n");
	at = strstr(f->cast.bob.raw.got, end);
	memcpy(f->tid, at - 16, 16);
	f->tid[16] = '\0';
	relay_peer_expect(&f->cast.bob, end);
}

static void nothing_is_left(struct fixture *f)
{
	loop_settle(f->cast.side->msrp.base);
	assert_true(LIST_EMPTY(&f->cast.side->relay->forwarder.requests));
	assert_true(LIST_EMPTY(&f->cast.side->relay->forwarder.collectors));
	assert_true(LIST_EMPTY(&f->cast.side->relay->forwarder.drains));
}

static void its_response_comes_back(void **state)
{
	struct fixture *f = *state;
	char expected[512];

	ask(f, "NICKNAME", "");
	assert_true(relay_peer_got(&f->cast.bob, "X: y\r\n-------"));
	relay_peer_say(&f->cast.bob,
	    "MSRP %s 425 Taken\r\nTo-Path: %s %s\r\nFrom-Path: %s\r\nMore: z\r\n"
	    "-------%s$\r\n",
	    f->tid, f->cast.alice.granted, f->cast.alice.own, f->cast.bob.own, f->tid);
	snprintf(expected, sizeof(expected),
	    "MSRP ask12345 425 Taken\r\nTo-Path: %s\r\nFrom-Path: %s %s\r\nMore: z\r\n"
	    "-------ask12345$\r\n",
	    f->cast.alice.own, f->cast.alice.granted, f->cast.bob.own);
	relay_peer_expect(&f->cast.alice, expected);
	nothing_is_left(f);
}

static void with_a_body(void **state)
{
	struct fixture *f = *state;

	ask(f, "FOO", "Content-Type: a/b\r\n\r\nbytes\r\n");
	assert_true(
	    relay_peer_got(&f->cast.bob, "X: y\r\nContent-Type: a/b\r\n\r\nbytes\r\n-------"));
	assert_true(LIST_EMPTY(&f->cast.side->relay->forwarder.collectors));
}

static void a_report_is_forgotten(void **state)
{
	struct fixture *f = *state;

	ask(f, "REPORT", "Message-ID: m1m1\r\nByte-Range: 1-1/1\r\nStatus: 000 200 OK\r\n");
	nothing_is_left(f);
	assert_false(relay_peer_got(&f->cast.alice, "MSRP ask12345 "));
}

static void nobody_answers(void **state)
{
	struct fixture *f = *state;

	ask(f, "NICKNAME", "");
	relay_peer_expect(&f->cast.alice, "MSRP ask12345 408 No answer\r\n");
	nothing_is_left(f);
}

static void its_receiver_goes(void **state)
{
	struct fixture *f = *state;

	ask(f, "NICKNAME", "");
	msrp_conn_close(f->cast.bob.conn, -ECONNRESET);
	relay_peer_expect(&f->cast.alice, "MSRP ask12345 408 Connection lost\r\n");
	nothing_is_left(f);
}

static void its_sender_goes(void **state)
{
	struct fixture *f = *state;

	ask(f, "NICKNAME", "");
	msrp_conn_close(f->cast.alice.conn, -ECONNRESET);
	relay_peer_say(&f->cast.bob,
	    "MSRP %s 200 OK\r\nTo-Path: %s\r\nFrom-Path: %s\r\n-------%s$\r\n", f->tid,
	    f->cast.alice.granted, f->cast.bob.own, f->tid);
	nothing_is_left(f);
}

static bool is_collecting(void *arg)
{
	struct fixture *f = arg;

	return !LIST_EMPTY(&f->cast.side->relay->forwarder.collectors);
}

static void the_relay_goes(void **state)
{
	struct fixture *f = *state;

	ask(f, "NICKNAME", "");
	relay_peer_say(&f->cast.alice,
	    "MSRP foo12345 FOO\r\nTo-Path: %s\r\nFrom-Path: %s\r\nContent-Type: a/b\r\n\r\nhalf",
	    relay_way_out(&f->cast.alice, &f->cast.bob), f->cast.alice.own);
	loop_until(f->cast.side->msrp.base, is_collecting, f);
	relay_service.stop(f->cast.side->relay);
	f->cast.side->relay = NULL;
}

static bool drain_is_there(void *arg)
{
	struct fixture *f = arg;
	char frame[9000], body[8000];
	int n;

	memset(body, 'x', sizeof(body));
	n = snprintf(frame, sizeof(frame),
	    "MSRP report12 REPORT\r\nTo-Path: %s\r\nFrom-Path: %s\r\nMessage-ID: m1m1\r\nStatus: 000 200\r\n"
	    "X: %.*s\r\n-------report12$\r\n",
	    relay_way_out(&f->cast.alice, &f->cast.bob), f->cast.alice.own, (int)sizeof(body),
	    body);
	msrp_peer_say(&f->cast.alice.raw, frame, (size_t)n);
	return !LIST_EMPTY(&f->cast.side->relay->forwarder.drains);
}

static bool drain_is_gone(void *arg)
{
	struct fixture *f = arg;

	msrp_peer_read(&f->cast.bob.raw);
	return LIST_EMPTY(&f->cast.side->relay->forwarder.drains);
}

/* Who sends too many small frames to one that reads none is not read until they have left. */
static void too_many_of_them(void **state)
{
	struct fixture *f = *state;
	size_t most = 2 * f->cast.side->msrp.settings.send_queue + 512 * 1024;

	loop_until(f->cast.side->msrp.base, drain_is_there, f);
	loop_settle(f->cast.side->msrp.base);
	assert_true(msrp_conn_backlog(f->cast.bob.conn) < most);
	loop_until(f->cast.side->msrp.base, drain_is_gone, f);
	relay_peer_send(&f->cast.alice, relay_way_out(&f->cast.alice, &f->cast.bob), "send1234", "",
	    "read again");
	relay_peer_expect(&f->cast.bob, "read again");
}

static void their_receiver_goes(void **state)
{
	struct fixture *f = *state;

	loop_until(f->cast.side->msrp.base, drain_is_there, f);
	msrp_conn_close(f->cast.bob.conn, -ETIMEDOUT);
	nothing_is_left(f);
	relay_peer_send(&f->cast.alice, relay_way_in(&f->cast.alice), "send1234", "", "read again");
	relay_peer_expect(&f->cast.alice, "MSRP send1234 200 OK\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, relay_fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(its_response_comes_back),
	    TEST(with_a_body),
	    TEST(a_report_is_forgotten),
	    TEST(nobody_answers),
	    TEST(its_receiver_goes),
	    TEST(its_sender_goes),
	    TEST(the_relay_goes),
	    TEST(too_many_of_them),
	    TEST(their_receiver_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
