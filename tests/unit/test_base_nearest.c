/* Which known name is near enough to be meant. */
#include "base/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static const char *const known[] = {"if", "socket", "max_request", "max_backlog", "x"};

static const struct {
	const char *name, *meant; /* NULL: none */
} cases[] = {
    {"sokcet", "socket"},
    {"sockets", "socket"},
    {"ocket", "socket"},
    {"socket", "socket"},
    {"max_requests", "max_request"},
    {"max_reqest", "max_request"},
    {"maxbacklog", "max_backlog"},
    {"iff", "if"},
    {"f", "if"},
    {"rocket_science", NULL},
    {"zzzz", NULL},
    {"", NULL},
    {"a_name_that_is_so_long_that_nobody_can_have_meant_it", NULL},
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct nearest n = {.name = slice_of(cases[i].name)};
		char hint[NEAREST_HINT_SIZE], want[NEAREST_HINT_SIZE] = "";

		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
			nearest_offer(&n, known[k]);
		if (cases[i].meant)
			snprintf(want, sizeof(want), "; did you mean %s?", cases[i].meant);
		assert_string_equal(nearest_hint(&n, hint), want);
	}
}

static void test_nothing_known(void **state)
{
	struct nearest n = {.name = SLICE("x")};
	char hint[NEAREST_HINT_SIZE];

	(void)state;
	assert_string_equal(nearest_hint(&n, hint), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_nothing_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
