/* Use-Nickname: RFC 7701 section 7.1. */
#include "wire/nickname.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct {
	const char *value, *nickname; /* NULL: malformed */
} cases[] = {
    {"\"Alice the great\"", "Alice the great"},
    {"\"\"", ""},
    {"\"a \\\"b\\\" \\\\c\"", "a \"b\" \\c"},
    {"\"Zo\xc3\xab\"", "Zo\xc3\xab"},
    {"\"a\tb\"", "a\tb"},
    {"", NULL},
    {"\"", NULL},
    {"Alice", NULL},
    {"\"Alice", NULL},
    {"\"Alice\" ", NULL},
    {"\"a\"b\"", NULL},
    {"\"a\\b\"", NULL},
    {"\"a\\\"", NULL},
    {"\"a\x01\"", NULL},
    {"\"a\x7f\"", NULL},
    {"\"\xc3\"", NULL},
};

static void test_cases(void **state)
{
	char text[MSRP_NICKNAME_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ssize_t n = msrp_nickname_parse(text, slice_of(cases[i].value));

		if (!cases[i].nickname) {
			assert_int_equal(n, -EBADMSG);
			continue;
		}
		assert_int_equal(n, strlen(cases[i].nickname));
		assert_memory_equal(text, cases[i].nickname, (size_t)n);
	}
	assert_int_equal(msrp_nickname_parse(text, (struct slice){NULL, 0}), -EBADMSG);
}

static void test_length(void **state)
{
	char value[MSRP_NICKNAME_MAX + 3], text[MSRP_NICKNAME_MAX];

	(void)state;
	memset(value, 'x', sizeof(value));
	value[0] = value[MSRP_NICKNAME_MAX + 1] = '"';
	assert_int_equal(msrp_nickname_parse(text, (struct slice){value, MSRP_NICKNAME_MAX + 2}),
	    MSRP_NICKNAME_MAX);
	value[MSRP_NICKNAME_MAX + 1] = 'x';
	value[MSRP_NICKNAME_MAX + 2] = '"';
	assert_int_equal(msrp_nickname_parse(text, (struct slice){value, MSRP_NICKNAME_MAX + 3}),
	    -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
