
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <msrpd/rand.h>

static void test_token_alphabet(void **state)
{
	char token[64];

	(void)state;
	for (size_t n = 0; n < sizeof(token) - 2; n++) {
		memset(token, '#', sizeof(token));
		rand_token(token, n);
		assert_int_equal(strlen(token), n);
		for (size_t i = 0; i < n; i++)
			assert_true(isalnum((unsigned char)token[i]));
		assert_int_equal(token[n + 1], '#');
	}
}

/* 62 letters, 62,000 draws: 1,000 each, standard deviation 31.4; 7 of them are never seen. */
static void test_token_is_unbiased(void **state)
{
	enum { DRAWS = 62000 };
	static char token[DRAWS + 1];
	unsigned seen[256] = {0}, letters = 0;

	(void)state;
	rand_token(token, DRAWS);
	for (size_t i = 0; i < DRAWS; i++)
		seen[(unsigned char)token[i]]++;
	for (size_t c = 0; c < 256; c++) {
		if (!seen[c])
			continue;
		letters++;
		assert_in_range(seen[c], 780, 1220);
	}
	assert_int_equal(letters, 62);
}

static void test_nothing_repeats(void **state)
{
	enum { COUNT = 2000 };
	static char tokens[COUNT][12];
	uint64_t last = rand_u64();

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		rand_token(tokens[i], 11);
	for (size_t i = 0; i < COUNT; i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(tokens[i], tokens[k]);
	for (size_t i = 0; i < COUNT; i++) {
		uint64_t next = rand_u64();

		assert_true(next != last);
		last = next;
	}
}

/* Requests around the size of the pool, all of whose bytes are written. */
static void test_bytes_fill(void **state)
{
	static const size_t sizes[] = {1, 511, 512, 513, 5000};
	static unsigned char bytes[5002];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned char seen[5000] = {0};

		for (int round = 0; round < 64; round++) {
			memset(bytes, 0, sizeof(bytes));
			rand_bytes(bytes + 1, sizes[i]);
			assert_int_equal(bytes[0], 0);
			assert_int_equal(bytes[1 + sizes[i]], 0);
			for (size_t k = 0; k < sizes[i]; k++)
				seen[k] |= bytes[1 + k];
		}
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_not_equal(seen[k], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_token_alphabet),
	    cmocka_unit_test(test_token_is_unbiased),
	    cmocka_unit_test(test_nothing_repeats),
	    cmocka_unit_test(test_bytes_fill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
