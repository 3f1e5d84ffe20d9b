/* Message-IDs that were delivered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "endpoint/delivered.h"

static void the_last_ones_are_known(void **state)
{
	struct delivered d = {0};

	(void)state;
	assert_false(delivered_has(&d, 1));
	for (uint64_t hash = 1; hash <= 5 * DELIVERED_MAX; hash++) {
		uint64_t oldest = hash > DELIVERED_MAX ? hash - DELIVERED_MAX + 1 : 1;

		assert_false(delivered_has(&d, hash));
		delivered_add(&d, hash);
		assert_true(delivered_has(&d, hash));
		assert_true(delivered_has(&d, oldest));
		assert_false(delivered_has(&d, oldest - 1));
	}
	assert_true(d.cap <= DELIVERED_MAX);
	for (uint64_t hash = 4 * DELIVERED_MAX + 1; hash <= 5 * DELIVERED_MAX; hash++)
		assert_true(delivered_has(&d, hash));
	delivered_fini(&d);
	assert_false(delivered_has(&d, 5 * DELIVERED_MAX));
}

/* As a hostile peer would choose them. */
static void hashes_may_share_their_place(void **state)
{
	struct delivered d = {0};

	(void)state;
	for (uint64_t i = 0; i < 2 * DELIVERED_MAX; i++)
		delivered_add(&d, i * DELIVERED_MAX);
	assert_false(delivered_has(&d, 0));
	for (uint64_t i = DELIVERED_MAX; i < 2 * DELIVERED_MAX; i++)
		assert_true(delivered_has(&d, i * DELIVERED_MAX));
	delivered_fini(&d);
}

static void memory_follows_their_number(void **state)
{
	struct delivered d = {0};

	(void)state;
	for (uint64_t hash = 1; hash <= 8; hash++)
		delivered_add(&d, hash);
	assert_int_equal(d.cap, 8);
	delivered_fini(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_last_ones_are_known),
	    cmocka_unit_test(hashes_may_share_their_place),
	    cmocka_unit_test(memory_follows_their_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
