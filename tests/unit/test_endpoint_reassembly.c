/* Chunks put together, in every order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "endpoint/reassembly.h"

static const char text[] = "The quick brown fox jumps over the lazy dog";
enum { TEXT_LEN = sizeof(text) - 1 };

struct part {
	size_t from, to;
};

/* One chunk, its bytes in pieces of at most piece. */
static void add(struct reassembly *a, struct part p, size_t piece, bool last)
{
	assert_int_equal(reassembly_begin(a, p.from), 0);
	for (size_t at = p.from; at < p.to; at += piece) {
		size_t len = p.to - at < piece ? p.to - at : piece;

		assert_int_equal(reassembly_add(a, (struct slice){text + at, len}), 0);
	}
	if (last)
		reassembly_set_total(a, p.to);
}

static void check_whole(struct reassembly *a)
{
	struct slice body;

	assert_true(reassembly_complete(a));
	assert_int_equal(reassembly_join(a, &body), 0);
	assert_int_equal(body.len, TEXT_LEN);
	assert_memory_equal(body.p, text, TEXT_LEN);
}

static void every_order_makes_the_same_message(void **state)
{
	static const struct part parts[][4] = {
	    {{0, 10}, {10, 20}, {20, 30}, {30, TEXT_LEN}},
	    {{0, 1}, {1, 42}, {42, 42}, {42, TEXT_LEN}},      /* an empty one */
	    {{0, 25}, {10, 20}, {5, 35}, {30, TEXT_LEN}},     /* overlaps */
	    {{0, TEXT_LEN}, {3, 9}, {0, 20}, {20, TEXT_LEN}}, /* all of it, and again */
	};
	static const size_t pieces[] = {1, 7, 100};

	(void)state;
	for (size_t row = 0; row < sizeof(parts) / sizeof(parts[0]); row++)
		for (int order = 0; order < 256; order++)
			for (size_t i = 0; i < 3; i++) {
				struct reassembly a = {0};
				unsigned seen = 0;

				for (int k = 0; k < 4; k++)
					seen |= 1u << (order >> 2 * k & 3);
				if (seen != 15)
					continue;
				for (int k = 0; k < 4; k++) {
					struct part p = parts[row][order >> 2 * k & 3];

					add(&a, p, pieces[i], p.to == TEXT_LEN && p.from > 0);
				}
				check_whole(&a);
				reassembly_fini(&a);
			}
}

struct letters {
	uint64_t from;
	const char *bytes;
};

/* RFC 4975 7.3.1: "the last chunk received takes precedence". */
static void what_came_last_counts(void **state)
{
	static const struct {
		struct letters chunks[4];
		const char *whole;
	} rows[] = {
	    {{{0, "aaaaaa"}, {2, "bb"}}, "aabbaa"},
	    {{{2, "bb"}, {0, "aaaaaa"}}, "aaaaaa"},
	    {{{0, "aaaa"}, {2, "bbbb"}}, "aabbbb"},
	    {{{2, "bbbb"}, {0, "aaaa"}}, "aaaabb"},
	    {{{0, "aa"}, {4, "bb"}, {1, "cccc"}}, "accccb"},
	    {{{0, "aa"}, {2, "bb"}, {4, "cc"}, {0, "dddddd"}}, "dddddd"},
	    {{{1, "b"}, {3, "d"}, {5, "f"}, {0, "ACEGIK"}}, "ACEGIK"},
	    {{{0, "abcdef"}, {5, "g"}, {0, "h"}}, "hbcdeg"},
	};
	static const size_t pieces[] = {1, 2, 100};

	(void)state;
	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++)
		for (size_t i = 0; i < 3; i++) {
			struct reassembly a = {0};
			struct slice body;

			for (int k = 0; k < 4 && rows[row].chunks[k].bytes; k++) {
				struct slice rest = slice_of(rows[row].chunks[k].bytes);

				assert_int_equal(reassembly_begin(&a, rows[row].chunks[k].from), 0);
				for (; rest.len;
				     rest = slice_from(rest, slice_head(rest, pieces[i]).len))
					assert_int_equal(
					    reassembly_add(&a, slice_head(rest, pieces[i])), 0);
			}
			reassembly_set_total(&a, 6);
			assert_true(reassembly_complete(&a));
			assert_int_equal(reassembly_join(&a, &body), 0);
			assert_true(slice_equal(body, slice_of(rows[row].whole)));
			reassembly_fini(&a);
		}
}

static void gaps_are_not_complete(void **state)
{
	struct reassembly a = {0};

	(void)state;
	assert_false(reassembly_complete(&a));
	add(&a, (struct part){30, TEXT_LEN}, 100, true);
	add(&a, (struct part){0, 10}, 100, false);
	add(&a, (struct part){11, 30}, 100, false);
	assert_false(reassembly_complete(&a));
	assert_int_equal(reassembly_at(&a, 0).len, 10);
	assert_int_equal(reassembly_at(&a, 10).len, 0);
	add(&a, (struct part){10, 11}, 100, false);
	check_whole(&a);
	reassembly_fini(&a);
}

static void an_empty_message_is_complete(void **state)
{
	struct reassembly a = {0};
	struct slice body;

	(void)state;
	assert_int_equal(reassembly_begin(&a, 0), 0);
	reassembly_set_total(&a, 0);
	assert_true(reassembly_complete(&a));
	assert_int_equal(reassembly_join(&a, &body), 0);
	assert_int_equal(body.len, 0);
	reassembly_fini(&a);
}

static void memory_follows_what_has_come(void **state)
{
	struct reassembly a = {0};
	size_t fragments = 0;
	int err = 0;

	(void)state;
	add(&a, (struct part){0, 1}, 1, false);
	assert_true(a.held < 64 * 1024);
	/* Claims of far-away bytes cost what they bring, and not without end. */
	for (uint64_t at = UINT64_C(1) << 40; err == 0; at += UINT64_C(1) << 40, fragments++)
		err = reassembly_begin(&a, at);
	assert_int_equal(err, -EMSGSIZE);
	assert_true(fragments <= REASSEMBLY_FRAGMENTS_MAX);
	assert_true(a.held < 64 * 1024);
	reassembly_fini(&a);
}

static void what_was_taken_is_forgotten(void **state)
{
	struct reassembly a = {0};

	(void)state;
	add(&a, (struct part){20, 30}, 100, false);
	add(&a, (struct part){0, 10}, 100, false);
	reassembly_forget(&a, 10);
	assert_int_equal(a.count, 1);
	assert_int_equal(reassembly_at(&a, 0).len, 0);
	assert_int_equal(reassembly_at(&a, 25).len, 5);
	assert_memory_equal(reassembly_at(&a, 25).p, text + 25, 5);
	reassembly_forget(&a, 30);
	assert_int_equal(a.count, 0);
	assert_int_equal(a.held, 0);
	reassembly_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_order_makes_the_same_message),
	    cmocka_unit_test(what_came_last_counts),
	    cmocka_unit_test(gaps_are_not_complete),
	    cmocka_unit_test(an_empty_message_is_complete),
	    cmocka_unit_test(memory_follows_what_has_come),
	    cmocka_unit_test(what_was_taken_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
