/* Media types from services and applications. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ua/types.h"

struct type_case {
	const char *type;
	bool good;
};

static const struct type_case types[] = {
    {"text/plain", true},
    {"Text/Plain; charset=\"utf-8\"", true},
    {"application/vnd.x+xml;a=b;c=\"d e\"", true},
    {"text / plain", false},
    {"text/plain;name=\xc3\xa9", true},
    {"text/plain;name=\xff", false},
    {"text", false},
    {"text/", false},
    {"/plain", false},
    {"", false},
    {"text/plain/x", false},
    {"text/plain\r\nX: y", false},
    {"text/plain;a=\r\nX: y", false},
    {"text/plain;a=\x7f", false},
    {"text/plain, text/html", false},
};

static void test_types(void **state)
{
	char *long_type = malloc(UA_TYPE_MAX + 2);

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (ua_type_is_good(slice_of(types[i].type)) != types[i].good)
			fail_msg("%s", types[i].type);
	assert_false(ua_type_is_good((struct slice){NULL, 0}));
	assert_false(ua_type_is_good((struct slice){"a/b\0c", 5}));
	assert_non_null(long_type);
	memset(long_type, 'x', UA_TYPE_MAX + 1);
	long_type[1] = '/';
	assert_true(ua_type_is_good((struct slice){long_type, UA_TYPE_MAX}));
	assert_false(ua_type_is_good((struct slice){long_type, UA_TYPE_MAX + 1}));
	free(long_type);
}

struct list_case {
	const char *list, *clean; /* clean NULL: refused */
};

static const struct list_case lists[] = {
    {"text/plain", "text/plain"},
    {"  text/plain   message/cpim ", "text/plain message/cpim"},
    {"*", "*"},
    {"text/* *", "text/* *"},
    {"", NULL},
    {"   ", NULL},
    {"text", NULL},
    {"text/plain,text/html", NULL},
    {"text/plain;a=b", NULL},
    {"text/plain\ttext/html", NULL},
    {"text/plain\r\na=path:x", NULL},
};

static void test_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct slice list = slice_of(lists[i].list);
		char *text = malloc(list.len + 1);
		ssize_t n;

		assert_non_null(text);
		n = ua_types_clean(text, list);
		if (lists[i].clean) {
			assert_int_equal(n, strlen(lists[i].clean));
			assert_memory_equal(text, lists[i].clean, (size_t)n);
		} else {
			assert_int_equal(n, -EINVAL);
		}
		free(text);
	}
}

static void test_long_list(void **state)
{
	char list[UA_TYPES_MAX + 1], text[UA_TYPES_MAX + 1];

	(void)state;
	memset(list, 'x', sizeof(list));
	list[1] = '/';
	assert_int_equal(ua_types_clean(text, (struct slice){list, UA_TYPES_MAX}), UA_TYPES_MAX);
	assert_int_equal(ua_types_clean(text, (struct slice){list, UA_TYPES_MAX + 1}), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_types),
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_long_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
