#include "base/buffer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_text(const struct buffer *b, const char *expected)
{
	assert_true(slice_equal(buffer_text(b), slice_of(expected)));
}

static void test_borrows_an_array(void **state)
{
	char text[8];
	struct buffer b = BUFFER_ON(text);

	(void)state;
	buffer_add(&b, SLICE("abc"));
	buffer_add(&b, (struct slice){NULL, 0});
	buffer_add_char(&b, '-');
	buffer_add_number(&b, 4567);
	assert_text(&b, "abc-4567");
	assert_ptr_equal(buffer_text(&b).p, text);
	assert_int_equal(buffer_result(&b), 8);
	/* All of it or nothing, and then nothing any more. */
	b.len = 6;
	buffer_add(&b, SLICE("xyz"));
	assert_int_equal(b.len, 6);
	assert_int_equal(buffer_result(&b), -EMSGSIZE);
	buffer_add_char(&b, 'x');
	assert_int_equal(b.len, 6);
	buffer_fini(&b);
}

static void test_numbers(void **state)
{
	static const struct {
		uint64_t value;
		const char *text;
	} cases[] = {{0, "0"}, {9, "9"}, {10, "10"}, {UINT64_MAX, "18446744073709551615"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[20];
		struct buffer b = BUFFER_ON(text);

		buffer_add_number(&b, cases[i].value);
		assert_text(&b, cases[i].text);
	}
}

static void test_grows_to_its_bound(void **state)
{
	struct buffer b = {.max = 1000};

	(void)state;
	for (int i = 0; i < 100; i++)
		buffer_add(&b, SLICE("0123456789"));
	assert_int_equal(buffer_result(&b), 1000);
	assert_int_equal(b.cap, 1000);
	assert_memory_equal(b.p + 990, "0123456789", 10);
	buffer_add_char(&b, 'x');
	assert_int_equal(buffer_result(&b), -EMSGSIZE);
	buffer_fini(&b);
	buffer_add(&b, SLICE("again"));
	assert_text(&b, "again");
	buffer_fini(&b);
}

static void test_reserves(void **state)
{
	struct buffer b = {.max = BUFFER_UNBOUNDED};
	size_t cap;

	(void)state;
	assert_int_equal(buffer_reserve(&b, 5000), 0);
	assert_true(b.cap >= 5000);
	cap = b.cap;
	buffer_add(&b, SLICE("abc"));
	assert_int_equal(buffer_reserve(&b, cap - 3), 0);
	assert_int_equal(b.cap, cap);
	assert_int_equal(buffer_reserve(&b, SIZE_MAX - 2), -EMSGSIZE);
	buffer_fini(&b);
}

static void test_prints(void **state)
{
	struct buffer b = {.max = 4000};
	char text[8];

	(void)state;
	for (int i = 0; i < 200; i++)
		buffer_printf(&b, "%03d:%s\n", i, "abc");
	assert_int_equal(buffer_result(&b), 200 * 8);
	assert_memory_equal(b.p + 199 * 8, "199:abc\n", 8);
	buffer_printf(&b, "%3000d", 1);
	assert_int_equal(buffer_result(&b), -EMSGSIZE);
	buffer_fini(&b);

	b = BUFFER_ON(text);
	buffer_printf(&b, "%s", "1234567");
	assert_text(&b, "1234567");
	buffer_printf(&b, "%s", "8");
	assert_int_equal(buffer_result(&b), -EMSGSIZE);
}

static void test_drops(void **state)
{
	struct buffer b = {.max = 100};

	(void)state;
	buffer_drop(&b, 0);
	buffer_add(&b, SLICE("abcdef"));
	buffer_drop(&b, 0);
	buffer_drop(&b, 2);
	assert_text(&b, "cdef");
	buffer_drop(&b, 4);
	assert_text(&b, "");
	buffer_fini(&b);
}

static void test_takes(void **state)
{
	struct buffer b = {.max = 512};
	char *text;
	size_t len;

	(void)state;
	assert_int_equal(buffer_take(&b, &text, &len), 0);
	assert_string_equal(text, "");
	free(text);
	buffer_add(&b, SLICE("abc"));
	assert_int_equal(buffer_take(&b, &text, &len), 0);
	assert_string_equal(text, "abc");
	assert_int_equal(len, 3);
	assert_text(&b, "");
	free(text);
	for (int i = 0; i < 512; i++)
		buffer_add_char(&b, 'x');
	assert_int_equal(buffer_take(&b, &text, &len), -EMSGSIZE);
	assert_int_equal(buffer_result(&b), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_borrows_an_array),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_grows_to_its_bound),
	    cmocka_unit_test(test_reserves),
	    cmocka_unit_test(test_prints),
	    cmocka_unit_test(test_drops),
	    cmocka_unit_test(test_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
