#include <msrpd/slice.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cut.h"

static const struct slice absent = {NULL, 0};
static struct guard guard;

static void assert_text(struct slice got, const char *expected)
{
	assert_true(slice_equal(got, slice_of(expected)));
}

static void compares(void **state)
{
	(void)state;
	assert_true(slice_equal(SLICE("aB"), SLICE("aB")));
	assert_false(slice_equal(SLICE("aB"), SLICE("ab")));
	assert_false(slice_equal(SLICE("aB"), SLICE("aBc")));
	assert_true(slice_equal(SLICE(""), absent));
	assert_true(slice_equal(SLICE("a\0b"), SLICE("a\0b")));
	assert_false(slice_equal(SLICE("a\0b"), SLICE("a\0c")));
	assert_true(slice_equal_nocase(SLICE("aB-1"), SLICE("Ab-1")));
	assert_false(slice_equal_nocase(SLICE("a"), SLICE("ab")));
	assert_true(slice_equal_nocase(absent, SLICE("")));
	assert_true(slice_starts_nocase(SLICE("Digest x"), SLICE("digest ")));
	assert_true(slice_starts_nocase(SLICE("x"), SLICE("")));
	assert_false(slice_starts_nocase(SLICE("dig"), SLICE("digest")));
}

static void is_listed(void **state)
{
	static const char *const words[] = {"Via", "Content-", NULL};

	(void)state;
	assert_true(slice_is_listed(SLICE("VIA"), words));
	assert_true(slice_is_listed(SLICE("content-x"), words));
	assert_false(slice_is_listed(SLICE("Vi"), words));
	assert_false(slice_is_listed(SLICE("Viaduct"), words));
	assert_false(slice_is_listed(SLICE("Content"), words));
	assert_false(slice_is_listed(SLICE("Via"), NULL));
}

static void makes(void **state)
{
	(void)state;
	assert_null(slice_of(NULL).p);
	assert_int_equal(slice_of("abc").len, 3);
	assert_text(slice_head(SLICE("abc"), 2), "ab");
	assert_text(slice_head(SLICE("abc"), 9), "abc");
	assert_text(slice_from(SLICE("abc"), 1), "bc");
	assert_text(slice_from(SLICE("abc"), 3), "");
	assert_null(slice_from(absent, 0).p);
}

static void cuts(void **state)
{
	static const struct {
		const char *text, *pieces[4];
		size_t count;
	} cases[] = {
	    {"a b c", {"a", "b", "c"}, 3},
	    {"a", {"a"}, 1},
	    {"", {""}, 1},
	    {" ", {"", ""}, 2},
	    {"a  b", {"a", "", "b"}, 3},
	    {"a ", {"a", ""}, 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice rest = guard_copy(&guard, slice_of(cases[i].text)), piece;
		size_t n = 0;

		for (; slice_cut(&rest, ' ', &piece); n++) {
			assert_true(n < cases[i].count);
			assert_text(piece, cases[i].pieces[n]);
		}
		assert_int_equal(n, cases[i].count);
	}
}

static void trims(void **state)
{
	(void)state;
	assert_text(slice_trim(guard_copy(&guard, SLICE(" \t a b\t "))), "a b");
	assert_text(slice_trim(guard_copy(&guard, SLICE("a"))), "a");
	assert_text(slice_trim(guard_copy(&guard, SLICE(" \t"))), "");
	assert_text(slice_trim(SLICE("\ra\n")), "\ra\n");
	assert_null(slice_trim(absent).p);
}

static void reads_numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t max, value;
		int err;
	} cases[] = {
	    {"0", 0, 0, 0},
	    {"007", 7, 7, 0},
	    {"8", 7, 0, -ERANGE},
	    {"18446744073709551615", UINT64_MAX, UINT64_MAX, 0},
	    {"18446744073709551616", UINT64_MAX, 0, -ERANGE},
	    {"18446744073709551625", UINT64_MAX, 0, -ERANGE},
	    {"99999999999999999999999999", UINT64_MAX, 0, -ERANGE},
	    {"00000000000000000000000000000001", 1, 1, 0},
	    {"99999999999999999999999999x", UINT64_MAX, 0, -EBADMSG},
	    {"", 9, 0, -EBADMSG},
	    {"-1", 9, 0, -EBADMSG},
	    {"+1", 9, 0, -EBADMSG},
	    {" 1", 9, 0, -EBADMSG},
	    {"1 ", 9, 0, -EBADMSG},
	    {"0x1", 9, 0, -EBADMSG},
	    {"1\303\244", 9, 0, -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice text = guard_copy(&guard, slice_of(cases[i].text));
		uint64_t value = 4711;
		int err = slice_to_u64(text, cases[i].max, &value);

		if (err != cases[i].err)
			fail_msg("%d for %s", err, cases[i].text);
		assert_int_equal(value, err ? 4711 : cases[i].value);
	}
	assert_int_equal(slice_to_u64(absent, 9, &(uint64_t){0}), -EBADMSG);
}

static void copies(void **state)
{
	char *copy = slice_dup(guard_copy(&guard, SLICE("a\0b")));

	(void)state;
	assert_memory_equal(copy, "a\0b\0", 4);
	free(copy);
	copy = slice_dup(SLICE(""));
	assert_string_equal(copy, "");
	free(copy);
	assert_null(slice_dup(absent));
}

/* RFC 3629 section 4 */
static void tells_utf8(void **state)
{
	static const char *const good[] = {
	    "",
	    "abc",
	    "\x7f",
	    "\xc2\x80",
	    "\xdf\xbf",
	    "\xe0\xa0\x80",
	    "\xed\x9f\xbf",
	    "\xee\x80\x80",
	    "\xef\xbf\xbf",
	    "\xf0\x90\x80\x80",
	    "\xf4\x8f\xbf\xbf",
	    "a\xc3\xa4z",
	};
	static const char *const bad[] = {
	    "\x80",
	    "\xbf",
	    "\xc0\x80",
	    "\xc1\xbf",
	    "\xc2",
	    "\xc2z",
	    "\xe0\x9f\xbf",
	    "\xe0\xa0",
	    "\xe1\x80z",
	    "\xed\xa0\x80",
	    "\xed\xbf\xbf",
	    "\xf0\x8f\xbf\xbf",
	    "\xf0\x90\x80",
	    "\xf4\x90\x80\x80",
	    "\xf5\x80\x80\x80",
	    "\xff",
	    "a\xfe",
	    "\xf0\x90z\x80",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(slice_is_utf8(guard_copy(&guard, slice_of(good[i]))));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(slice_is_utf8(guard_copy(&guard, slice_of(bad[i]))));
	assert_true(slice_is_utf8(SLICE("a\0b")));
}

static void packs(void **state)
{
	char memory[8] = "", *p = memory;
	struct slice first = slice_pack(&p, SLICE("abc")), none = slice_pack(&p, absent),
		     empty = slice_pack(&p, SLICE("")), last = slice_pack(&p, SLICE("de"));

	(void)state;
	assert_text(first, "abc");
	assert_ptr_equal(first.p, memory);
	assert_null(none.p);
	assert_non_null(empty.p);
	assert_text(last, "de");
	assert_ptr_equal(p, memory + 5);
}

/* Printable ASCII without the separators of RFC 2045 5.1. */
static void tells_tokens(void **state)
{
	char c[1];

	(void)state;
	assert_false(slice_is_token(absent));
	assert_true(slice_is_token(guard_copy(&guard, SLICE("Content-Type"))));
	assert_false(slice_is_token(guard_copy(&guard, SLICE("Content Type"))));
	for (int i = 0; i < 256; i++) {
		c[0] = (char)i;
		assert_int_equal(slice_is_token((struct slice){c, 1}),
		    i > ' ' && i < 0x7f && !memchr("()<>@,;:\\\"/[]?=", i, 15));
	}
}

static void keeps_to_one_line(void **state)
{
	char text[] = "a\r\nb\tc\x7f\0d";

	(void)state;
	assert_true(slice_is_one_line(absent));
	assert_true(slice_is_one_line(SLICE("a b \xc3\xa4")));
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		assert_int_equal(slice_is_one_line((struct slice){text + i, 1}),
		    strchr("abcd", text[i]) && text[i]);
	assert_false(slice_is_one_line((struct slice){text, sizeof(text) - 1}));
	slice_make_one_line(text, sizeof(text) - 1);
	assert_string_equal(text, "a  b c  d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(compares),
	    cmocka_unit_test(is_listed),
	    cmocka_unit_test(makes),
	    cmocka_unit_test(cuts),
	    cmocka_unit_test(trims),
	    cmocka_unit_test(reads_numbers),
	    cmocka_unit_test(copies),
	    cmocka_unit_test(tells_utf8),
	    cmocka_unit_test(packs),
	    cmocka_unit_test(tells_tokens),
	    cmocka_unit_test(keeps_to_one_line),
	};
	int failed;

	guard_init(&guard, 4096);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	guard_fini(&guard);
	return failed;
}
