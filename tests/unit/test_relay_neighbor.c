/* Where frames for the URIs beside a grant go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "relay/neighbor.h"
#include "relay_side.h"

enum { KNOWN_MAX = 16 };

static const struct slice uri = SLICE("msrp://127.0.0.1:9/one;tcp");

static void it_is_where_it_was_heard_last(void **state)
{
	struct neighbors list = LIST_HEAD_INITIALIZER(list);
	struct relay_peer a, b;

	relay_peer_open(&a, *state, "a");
	relay_peer_open(&b, *state, "b");
	assert_null(neighbors_find(&list, uri));
	neighbors_learn(&list, uri, a.conn);
	assert_ptr_equal(neighbors_find(&list, uri), a.conn);
	neighbors_learn(&list, uri, b.conn);
	assert_ptr_equal(neighbors_find(&list, uri), b.conn);
	assert_int_equal(msrp_conn_users(a.conn), 0);
	neighbors_clear(&list);
	assert_int_equal(msrp_conn_users(b.conn), 0);
	relay_peer_close(&a);
	relay_peer_close(&b);
}

static void a_connection_that_closes_is_forgotten(void **state)
{
	struct neighbors list = LIST_HEAD_INITIALIZER(list);
	struct relay_peer a;
	struct msrp_conn *conn;

	relay_peer_open(&a, *state, "a");
	conn = msrp_conn_ref(a.conn);
	neighbors_learn(&list, uri, conn);
	neighbors_learn(&list, SLICE("msrp://127.0.0.1:9/two;tcp"), conn);
	msrp_conn_close(conn, -ECONNRESET);
	assert_true(LIST_EMPTY(&list));
	/* Nobody would tell of the end of a closed one. */
	neighbors_learn(&list, uri, conn);
	assert_true(LIST_EMPTY(&list));
	msrp_conn_unref(conn);
	relay_peer_close(&a);
}

static void the_longest_unused_makes_room(void **state)
{
	struct neighbors list = LIST_HEAD_INITIALIZER(list);
	struct relay_peer a;
	char names[KNOWN_MAX + 1][16];

	relay_peer_open(&a, *state, "a");
	for (int i = 0; i <= KNOWN_MAX; i++)
		snprintf(names[i], sizeof(names[i]), "uri%d", i);
	for (int i = 0; i < KNOWN_MAX; i++)
		neighbors_learn(&list, slice_of(names[i]), a.conn);
	assert_non_null(neighbors_find(&list, slice_of(names[0])));
	neighbors_learn(&list, slice_of(names[KNOWN_MAX]), a.conn);
	assert_non_null(neighbors_find(&list, slice_of(names[0])));
	assert_null(neighbors_find(&list, slice_of(names[1])));
	assert_int_equal(msrp_conn_users(a.conn), KNOWN_MAX);
	neighbors_clear(&list);
	relay_peer_close(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, relay_side_setup, relay_side_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(it_is_where_it_was_heard_last),
	    TEST(a_connection_that_closes_is_forgotten),
	    TEST(the_longest_unused_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
