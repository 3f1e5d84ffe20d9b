/* Bodies that several messages send: whole ones, and ones that grow meanwhile. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/budget.h"
#include "base/shared_body.h"

static uint64_t used;
static struct budget budget = {.used = &used};

struct reader {
	struct shared_reader reader; /* first */
	struct shared_body *body;
	unsigned calls;
	size_t len;
	int state;
	bool leaves;
};

static void on_grown(struct shared_reader *reader)
{
	struct reader *r = (struct reader *)reader;

	r->calls++;
	r->len = shared_body_bytes(r->body).len;
	r->state = shared_body_state(r->body);
	if (r->leaves)
		shared_body_leave(reader);
}

static struct reader reading(struct shared_body *body)
{
	return (struct reader){.reader.grown = on_grown, .body = body};
}

static void test_whole(void **state)
{
	struct shared_body *body;

	(void)state;
	assert_int_equal(shared_body_new(&body, &budget, SLICE("hello")), 0);
	assert_int_equal(used, 5);
	assert_int_equal(shared_body_state(body), 0);
	assert_int_equal(shared_body_total(body), 5);
	shared_body_unref(shared_body_ref(body));
	assert_true(slice_equal(shared_body_bytes(body), SLICE("hello")));
	shared_body_unref(body);
	assert_int_equal(used, 0);
}

static void test_growing(void **state)
{
	struct shared_body *body;
	struct reader stays, leaves;

	(void)state;
	assert_int_equal(shared_body_open(&body, &budget, UINT64_MAX, 8), 0);
	assert_int_equal(shared_body_total(body), UINT64_MAX);
	stays = reading(body);
	leaves = reading(body);
	leaves.leaves = true;
	shared_body_read(body, &stays.reader);
	shared_body_read(body, &leaves.reader);
	assert_int_equal(shared_body_append(body, SLICE("abc")), 0);
	assert_int_equal(shared_body_append(body, SLICE("defgh")), 0);
	assert_int_equal(shared_body_append(body, SLICE("i")), -EMSGSIZE);
	assert_int_equal(stays.state, -EAGAIN);
	shared_body_close(body, 0);
	assert_int_equal(stays.calls, 3);
	assert_int_equal(stays.len, 8);
	assert_int_equal(stays.state, 0);
	assert_int_equal(leaves.calls, 1);
	assert_int_equal(shared_body_total(body), 8);
	assert_true(slice_equal(shared_body_bytes(body), SLICE("abcdefgh")));
	shared_body_leave(&stays.reader);
	shared_body_leave(&leaves.reader);
	shared_body_unref(body);
	assert_int_equal(used, 0);
}

static void test_bounds(void **state)
{
	struct shared_body *body;

	(void)state;
	assert_int_equal(shared_body_open(&body, &budget, 9, 8), -EMSGSIZE);
	assert_int_equal(shared_body_open(&body, &budget, 200, 200), 0);
	budget.max = 4;
	assert_int_equal(shared_body_append(body, SLICE("hello")), -ENOBUFS);
	shared_body_close(body, -ECONNRESET);
	assert_int_equal(shared_body_state(body), -ECONNRESET);
	shared_body_unref(body);
	assert_int_equal(shared_body_new(&body, &budget, SLICE("hello")), -ENOBUFS);
	assert_int_equal(used, 0);
}

static int setup(void **state)
{
	(void)state;
	used = 0;
	budget.max = 1000;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_whole, setup),
	    cmocka_unit_test_setup(test_growing, setup),
	    cmocka_unit_test_setup(test_bounds, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
