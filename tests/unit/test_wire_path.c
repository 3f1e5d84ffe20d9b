#include "wire/path.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cut.h"
#include "base/buffer.h"

#define A "msrps://a.example.com:9000/jui787s2f;tcp"
#define B "msrps://b.example.com:9000/m2nBvw/;tcp"
#define C "msrp://[2001:db8::3]:7777/c;tcp;x=y"

static struct guard guard;

static ssize_t count(const char *path)
{
	return msrp_path_count(guard_copy(&guard, slice_of(path)));
}

static void counts(void **state)
{
	(void)state;
	assert_int_equal(count(A), 1);
	assert_int_equal(count(A " " B), 2);
	assert_int_equal(count(A " " B " " C " " A), 4);
}

static void is_strict(void **state)
{
	static const char *const bad[] = {
	    "",
	    " ",
	    A " ",
	    " " A,
	    A "  " B,
	    A "\t" B,
	    A "," B,
	    A ", " B,
	    A " " B " ",
	    A " x",
	    A " msrp://h",
	    "x " A,
	    A ";",
	    A "\r\n",
	    A "\r",
	    A " " A " sip:b",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (count(bad[i]) != -EBADMSG)
			fail_msg("taken: '%s'", bad[i]);
	assert_int_equal(msrp_path_count((struct slice){NULL, 0}), -EBADMSG);
	assert_int_equal(msrp_path_count(SLICE(A "\0 " B)), -EBADMSG);
}

static void goes_through_the_uris(void **state)
{
	struct slice rest = guard_copy(&guard, SLICE(A " " B " " C));
	struct msrp_uri uri;

	(void)state;
	assert_int_equal(msrp_path_next(&rest, &uri), 1);
	assert_true(slice_equal(uri.session_id, SLICE("jui787s2f")));
	assert_int_equal(msrp_path_next(&rest, &uri), 1);
	assert_true(slice_equal(uri.session_id, SLICE("m2nBvw/")));
	assert_non_null(rest.p);
	assert_int_equal(msrp_path_next(&rest, &uri), 1);
	assert_true(slice_equal(uri.host, SLICE("2001:db8::3")));
	assert_null(rest.p);
	assert_int_equal(msrp_path_next(&rest, &uri), 0);
}

static void takes_paths_apart(void **state)
{
	struct slice one = SLICE(A), three = SLICE(A " " B " " C);

	(void)state;
	assert_true(slice_equal(msrp_path_first(one), SLICE(A)));
	assert_true(slice_equal(msrp_path_last(one), SLICE(A)));
	assert_null(msrp_path_rest(one).p);
	assert_true(slice_equal(msrp_path_first(three), SLICE(A)));
	assert_true(slice_equal(msrp_path_last(three), SLICE(C)));
	assert_true(slice_equal(msrp_path_rest(three), SLICE(B " " C)));
}

static struct slice reversed(struct slice path, char *buf, size_t size)
{
	struct buffer w = {.p = buf, .cap = size};

	msrp_path_write_reversed(&w, path);
	assert_false(w.err);
	return buffer_text(&w);
}

/* RFC 4976 5.1: Use-Path "B C" of client A is offered as "C B A", and used as "B C D E F". */
static void forms_paths_behind_relays(void **state)
{
	struct slice use_path = SLICE(B " " C);
	char buf[256], text[256];
	struct buffer w = BUFFER_ON(text);

	(void)state;
	msrp_path_write_joined(&w, reversed(use_path, buf, sizeof(buf)), SLICE(A));
	assert_true(slice_equal(buffer_text(&w), SLICE(C " " B " " A)));
	w.len = 0;
	msrp_path_write_joined(&w, use_path, SLICE("D E F"));
	assert_true(slice_equal(buffer_text(&w), SLICE(B " " C " D E F")));
	assert_true(slice_equal(reversed(SLICE(A), buf, sizeof(buf)), SLICE(A)));
	assert_int_equal(reversed(SLICE(""), buf, sizeof(buf)).len, 0);
}

static void joins_with_nothing(void **state)
{
	struct slice none = {NULL, 0};
	char text[64];
	struct buffer w = BUFFER_ON(text);

	(void)state;
	msrp_path_write_joined(&w, SLICE("a"), none);
	msrp_path_write_joined(&w, none, SLICE("b"));
	msrp_path_write_joined(&w, none, none);
	assert_true(slice_equal(buffer_text(&w), SLICE("ab")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counts),
	    cmocka_unit_test(is_strict),
	    cmocka_unit_test(goes_through_the_uris),
	    cmocka_unit_test(takes_paths_apart),
	    cmocka_unit_test(forms_paths_behind_relays),
	    cmocka_unit_test(joins_with_nothing),
	};
	int failed;

	guard_init(&guard, 4096);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	guard_fini(&guard);
	return failed;
}
