/* Patterns as they stand in the file, matched against values. */
#include "route/pattern.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "base/tree.h"
#include "config_yaml.h"
#include "route/route.h"

static const struct route_variable *const no_variables[] = {NULL};
static const struct route_spec spec = {.list = ROUTE_SIP, .variables = no_variables};

static int compile(struct route_pattern *p, const char *yaml, struct tree_fault *fault)
{
	struct tree *root;
	int err = config_compose(&root, slice_of(yaml), fault);

	*p = (struct route_pattern){0};
	if (err == 0)
		err = route_pattern_compile(p, root, &spec, fault);
	tree_free(root);
	return err;
}

static const struct {
	const char *yaml, *value; /* value NULL: the variable has none */
	bool matches;
} cases[] = {
    {"INVITE", "INVITE", true},
    {"INVITE", "invite", false},
    {"INVITE", "INVITEX", false},
    {"INVITE", NULL, false},
    {"\"\"", "", true},
    {"\"\"", NULL, false},
    {"\"\"", "x", false},
    {"text/plain", "text/plain", true},

    {"\"sip:assistant@*\"", "sip:assistant@example.org", true},
    {"\"sip:assistant@*\"", "sip:assistant@", true},
    {"\"sip:assistant@*\"", "sip:other@example.org", false},
    {"\"*\"", "", true},
    {"\"*\"", "anything", true},
    {"\"*\"", NULL, false},
    {"\"*@example.org\"", "sip:x@example.org", true},
    {"\"*@example.org\"", "sip:x@example.org.evil", false},
    {"\"a*b*c\"", "abc", true},
    {"\"a*b*c\"", "a-b-b-c", true},
    {"\"a*b*c\"", "acb", false},
    {"\"a**c\"", "ac", true},
    {"\"*ab\"", "aab", true},
    {"\"ab*ab\"", "ab", false},
    {"\"ab*ab\"", "abab", true},
    {"\"?\"", "x", true},
    {"\"?\"", "", false},
    {"\"?\"", "xy", false},
    {"\"?\"", "\xc3\xa9", true},
    {"\"??\"", "\xc3\xa9", false},
    {"\"*??\"", "\xc3\xa9", false},
    {"\"*?\"", "\xe2\x82\xac", true},
    {"\"gr?n*\"", "gr\xc3\xbcn", true},
    {"\"a*?c\"", "ac", false},
    {"\"a*?c\"", "abc", true},
    {"\"*x?z*\"", "aaxyzaa", true},
    {"\"*x?z*\"", "aaxzaa", false},
    {"guest*", "guest7", true},

    {"\"~^a+$\"", "aaa", true},
    {"\"~^a+$\"", "aab", false},
    {"\"~b\"", "abc", true},
    {"~b", "abc", true},
    {"\"~^$\"", "", true},
    {"\"~^(a$|b)\"", "a", true},
    {"\"~^[$a]x\"", "$x", true},
    {"\"~^\\\\$a\"", "$a", true},
    {"\"$$a$$\"", "$a$", true},
    {"\"$$a\"", "$$a", false},
    {"\"!$$a\"", "b", true},
    {"\"~.\"", NULL, false},
    {"\"~^[0-9]{1,3}(\\\\.[0-9]{1,3}){3}$\"", "192.0.2.1", true},
    {"\"~^[]{}(]+$\"", "]{(}", true},
    {"\"~^[[:alpha:]]+$\"", "abc", true},

    {"<5", "4", true},
    {"<5", "5", false},
    {"\">5\"", "6", true},
    {"\">5\"", "5", false},
    {"<=5", "5", true},
    {"<=5", "6", false},
    {"\">=5\"", "5", true},
    {"\">=5\"", "4", false},
    {"=5", "005", true},
    {"=5", "6", false},
    {"<5", "", false},
    {"<5", "-1", false},
    {"<5", "4x", false},
    {"<5", NULL, false},
    {"< 5", "4", true},
    {"\">18446744073709551614\"", "18446744073709551615", true},
    {"\">1\"", "99999999999999999999999", true},

    {"198.51.100.0/24", "198.51.100.7", true},
    {"198.51.100.0/24", "198.51.101.7", false},
    {"198.51.100.9/24", "198.51.100.7", true},
    {"198.51.100.0/24", "198.51.100.0/24", false},
    {"0.0.0.0/0", "1.2.3.4", true},
    {"0.0.0.0/0", "::1", false},
    {"10.0.0.0/9", "10.127.255.255", true},
    {"10.0.0.0/9", "10.128.0.0", false},
    {"10.0.0.1/32", "10.0.0.1", true},
    {"10.0.0.1", "10.0.0.1", true},
    {"10.0.0.1", "10.0.0.10", false},
    {"\"2001:db8::/32\"", "2001:db8:1::5", true},
    {"\"2001:db8::/32\"", "2001:db9::5", false},
    {"2001:db8::/32", "2001:DB8:0:0::5", true},
    {"2001:db8::/32", "[2001:db8::5]", true}, /* as hosts of URIs are written */
    {"2001:db8::/32", "[2001:db9::5]", false},
    {"2001:db8::/32", "[2001:db8::5", false},
    {"2001:db8::/32", "[]", false},
    {"\"::1\"", "0:0:0:0:0:0:0:1", true},
    {"\"::/0\"", "fe80::1", true},
    {"10.0.0.0/8", "not an address", false},
    {"10.0.0.0/8", NULL, false},

    {"\"!INVITE\"", "INVITE", false},
    {"\"!INVITE\"", "MESSAGE", true},
    {"\"!INVITE\"", NULL, true},
    {"\"!10.0.0.0/8\"", "10.1.1.1", false},
    {"\"!10.0.0.0/8\"", "11.1.1.1", true},
    {"\"!~^a\"", "abc", false},
    {"\"!~^a\"", "xyz", true},
    {"\"!<5\"", "7", true},
    {"\"!a*\"", "abc", false},

    {"null", NULL, true},
    {"null", "null", false},
    {"null", "", false},
    {"\"null\"", "null", true},
    {"\"null\"", NULL, false},
    {"\"!null\"", NULL, false},
    {"\"!null\"", "", true},
};

static void test_matches(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tree_fault fault;
		struct route_pattern p;

		if (compile(&p, cases[i].yaml, &fault) < 0)
			fail_msg("%s: %s", cases[i].yaml, fault.text);
		if (route_pattern_matches(&p, NULL, slice_of(cases[i].value)) != cases[i].matches)
			fail_msg("%s on %s: not %d", cases[i].yaml,
			    cases[i].value ? cases[i].value : "nothing", cases[i].matches);
		route_pattern_fini(&p);
	}
}

static const struct {
	const char *yaml, *text; /* how the message begins */
} faults[] = {
    {"<five", "< wants a whole number behind it, not \"five\""},
    {"<=", "<= wants a whole number behind it, not \"\""},
    {"<-1", "< wants a whole number behind it, not \"-1\""},
    {"10.0.0.0/33", "the length of a prefix is 0 to 32"},
    {"10.0.0.0/", "the length of a prefix is 0 to 32"},
    {"10.0.0.0/x", "the length of a prefix is 0 to 32"},
    {"\"2001:db8::/129\"", "the length of a prefix is 0 to 128"},
    {"~", "~ wants a regular expression: it is empty"},
    {"\"~(\"", "~ wants a regular expression: "},
    {"\"~[\"", "~ wants a regular expression: "},
    {"\"~(a)\\\\1\"", "~ wants a regular expression: back-references are not supported"},
    {"\"~((a{99}){99}){99}\"", "~ wants a regular expression: too many repetitions"},
    {"\"~a+*\"", "~ wants a regular expression: a repetition of a repetition"},
    {"\"~a{2}{2}\"", "~ wants a regular expression: a repetition of a repetition"},
    {"\"~((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)\"",
	"~ wants a regular expression: too many repetitions"},
    {"\"~a{9999}\"", "~ wants a regular expression: too many repetitions"},
    {"\"~((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))\"",
	"~ wants a regular expression: groups are nested too deep"},
    {"\"~^$au$\"", "~ wants a regular expression: variables cannot stand in it"},
    {"\"~^$(au)$\"", "~ wants a regular expression: variables cannot stand in it"},
    {"<$n", "< wants a whole number behind it, not \"$n\""},
    {"$none", "unknown variable here: $none"},
    {"\"!$none\"", "unknown variable here: $none"},
    {"a$", "unknown variable here: $"},
    {"\"$$*\"", "* and ? cannot stand beside a variable"},
    {"|\n  text", "a pattern that begins with > or | wants quotes"},
    {"!x", "tags are not supported; a text that begins with ! wants quotes"},
    {"! x", "tags are not supported; a text that begins with ! wants quotes"},
    {"!!str x", "tags are not supported; a text that begins with ! wants quotes"},
    {"&a x", "anchors are not supported; a text that begins with & wants quotes"},
    {"*a", "aliases are not supported; a text that begins with * wants quotes"},
    {"{a: b}", "a pattern is a text, not a map; with { or [ it wants quotes"},
};

static void test_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct tree_fault fault = {0};
		struct route_pattern p;

		assert_int_equal(compile(&p, faults[i].yaml, &fault), -EINVAL);
		if (strncmp(fault.text, faults[i].text, strlen(faults[i].text)) != 0)
			fail_msg("%s: %s", faults[i].yaml, fault.text);
		assert_int_equal(fault.line, 1);
		route_pattern_fini(&p);
	}
}

static void test_too_long(void **state)
{
	char text[ROUTE_PATTERN_MAX + 2];
	struct tree node = {.kind = TREE_TEXT, .line = 7, .column = 3};
	struct route_pattern p = {0};
	struct tree_fault fault;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	node.text = slice_of(text);
	assert_int_equal(route_pattern_compile(&p, &node, &spec, &fault), -EINVAL);
	assert_int_equal(fault.line, 7);
	assert_int_equal(fault.column, 3);
}

/* What makes a naive matcher try every combination: must not take time to speak of. */
static void test_no_backtracking(void **state)
{
	static const char *const patterns[] = {
	    "\"*a*a*a*a*a*a*a*a*a*a*a*a*a*b\"",
	    "\"*a?a*a?a*a?a*a?a*b\"",
	    "\"~(a*)*b\"",
	    "\"~^(a+)+b\"",
	};
	size_t len = 65536;
	char *value = malloc(len);
	clock_t begin = clock();

	(void)state;
	memset(value, 'a', len);
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		struct tree_fault fault;
		struct route_pattern p;

		assert_int_equal(compile(&p, patterns[i], &fault), 0);
		assert_false(route_pattern_matches(&p, NULL, (struct slice){value, len}));
		route_pattern_fini(&p);
	}
	free(value);
	assert_true((clock() - begin) / CLOCKS_PER_SEC < 5);
}

/* A value need not end with a NUL, nor be without one. */
static void test_values_are_slices(void **state)
{
	static const char *const patterns[] = {"abc", "\"a*c\"", "\"~^abc$\"", "\"?bc\""};
	char *value = malloc(3);

	(void)state;
	memcpy(value, "abc", 3);
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		struct tree_fault fault;
		struct route_pattern p;

		assert_int_equal(compile(&p, patterns[i], &fault), 0);
		assert_true(route_pattern_matches(&p, NULL, (struct slice){value, 3}));
		assert_false(route_pattern_matches(&p, NULL, (struct slice){"abc\0", 4}));
		route_pattern_fini(&p);
	}
	free(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_matches),
	    cmocka_unit_test(test_faults),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_no_backtracking),
	    cmocka_unit_test(test_values_are_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
