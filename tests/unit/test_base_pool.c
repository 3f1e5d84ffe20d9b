#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct object {
	void *link;
	char text[32];
};

static void test_keeps_up_to_its_bound(void **state)
{
	struct pool pool = POOL(struct object, 2);
	struct object *objects[3];

	(void)state;
	assert_null(pool_take(&pool));
	for (int i = 0; i < 3; i++) {
		objects[i] = pool_get(&pool);
		assert_non_null(objects[i]);
	}
	pool_put(&pool, objects[0]);
	assert_false(pool_is_full(&pool));
	pool_put(&pool, objects[1]);
	assert_true(pool_is_full(&pool));
	pool_put(&pool, objects[2]);
	assert_int_equal(pool.count, 2);
	assert_ptr_equal(pool_get(&pool), objects[1]);
	assert_ptr_equal(pool_take(&pool), objects[0]);
	assert_null(pool_take(&pool));
	free(objects[0]);
	pool_put(&pool, objects[1]);
	pool_trim(&pool);
	assert_int_equal(pool.count, 0);
	assert_null(pool_take(&pool));
}

static void test_gives_back_what_was_put(void **state)
{
	struct pool pool = POOL(struct object, 1);
	struct object *object = pool_get(&pool);

	(void)state;
	strcpy(object->text, "as it was");
	pool_put(&pool, object);
	object = pool_get(&pool);
	assert_string_equal(object->text, "as it was");
	free(object);
}

#if defined(__SANITIZE_ADDRESS__)
static void test_guards_what_is_kept(void **state)
{
	struct pool pool = POOL(struct object, 1);
	struct object *object = pool_get(&pool);

	(void)state;
	pool_put(&pool, object);
	assert_true(__asan_address_is_poisoned(object->text));
	assert_ptr_equal(pool_get(&pool), object);
	assert_false(__asan_address_is_poisoned(object->text));
	free(object);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keeps_up_to_its_bound),
		cmocka_unit_test(test_gives_back_what_was_put),
#if defined(__SANITIZE_ADDRESS__)
		cmocka_unit_test(test_guards_what_is_kept),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
