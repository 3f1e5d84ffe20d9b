#include <msrpd/hash.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t value_of(struct hash *hash, struct slice a, struct slice b)
{
	struct slice texts[] = {a, b};

	return hash_texts(hash, texts, 2);
}

static void test_same_texts_same_value(void **state)
{
	struct hash *hash;

	(void)state;
	assert_int_equal(hash_new(&hash), 0);
	assert_true(
	    value_of(hash, SLICE("abc"), SLICE("de")) == value_of(hash, SLICE("abc"), SLICE("de")));
	assert_true(
	    value_of(hash, SLICE("abc"), SLICE("de")) != value_of(hash, SLICE("ab"), SLICE("cde")));
	assert_true(value_of(hash, SLICE("abc"), SLICE(""))
	    != value_of(hash, (struct slice){NULL, 0}, SLICE("abc")));
	hash_free(hash);
	hash_free(NULL);
}

static void test_every_hash_has_its_secret(void **state)
{
	struct hash *a, *b;

	(void)state;
	assert_int_equal(hash_new(&a), 0);
	assert_int_equal(hash_new(&b), 0);
	assert_true(
	    value_of(a, SLICE("abc"), SLICE("de")) != value_of(b, SLICE("abc"), SLICE("de")));
	hash_free(a);
	hash_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same_texts_same_value),
	    cmocka_unit_test(test_every_hash_has_its_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
