#include "base/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint64_t *number(struct stats *stats, const char *group, const char *name, bool gauge)
{
	const struct stats_row rows[] = {{.name = name, .help = "", .gauge = gauge}, {0}};
	uint64_t *value;

	assert_int_equal(stats_register(stats, group, rows, &value), 0);
	return value;
}

static void add_line(const struct stats_item *item, void *arg)
{
	char *text = arg;

	size_t len = strlen(text);

	snprintf(text + len, 256 - len, "%s:%s%s=%llu ", item->group, item->name,
	    item->gauge ? "~" : "", (unsigned long long)item->value);
}

static void test_groups_stay_together(void **state)
{
	struct stats *stats;
	uint64_t *a, *b, *c, *d;
	char text[256] = "";

	(void)state;
	assert_int_equal(stats_new(&stats), 0);
	stats_each(stats, add_line, text);
	assert_string_equal(text, "");
	a = number(stats, "ua", "sent", false);
	b = number(stats, "relay", "grants", true);
	c = number(stats, "ua", "received", false);
	d = number(stats, "gw", "sent", false);
	*a += 2;
	*b += 3;
	--*b;
	*c = UINT64_MAX;
	++*d;
	stats_each(stats, add_line, text);
	assert_string_equal(text,
	    "ua:sent=2 ua:received=18446744073709551615 relay:grants~=2 gw:sent=1 ");
	stats_free(stats);
}

static void test_same_pair_same_number(void **state)
{
	struct stats *stats;
	uint64_t *a;

	(void)state;
	assert_int_equal(stats_new(&stats), 0);
	a = number(stats, "ua", "sent", false);
	assert_ptr_equal(number(stats, "ua", "sent", false), a);
	assert_ptr_not_equal(number(stats, "gw", "sent", false), a);
	stats_free(stats);
}

static void test_times(void **state)
{
	static const struct stats_row rows[] = {{.name = "setup", .help = "", .times = true}, {0}};
	static const struct {
		uint64_t ms;
		unsigned bucket; /* STATS_BUCKETS: none */
	} cases[] = {
	    {0, 0},
	    {1, 0},
	    {2, 1},
	    {3, 2},
	    {4, 2},
	    {5, 3},
	    {65535, 16},
	    {65536, 16},
	    {65537, STATS_BUCKETS},
	    {UINT64_MAX, STATS_BUCKETS},
	};
	struct stats *stats;
	struct stats_times *times, *again;

	(void)state;
	assert_int_equal(stats_new(&stats), 0);
	assert_int_equal(stats_register(stats, "sip", rows, &times), 0);
	assert_int_equal(stats_register(stats, "sip", rows, &again), 0);
	assert_ptr_equal(times, again);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		*times = (struct stats_times){0};
		stats_took(times, cases[i].ms);
		assert_int_equal(times->count, 1);
		assert_int_equal(times->sum_ms, cases[i].ms);
		for (unsigned b = 0; b < STATS_BUCKETS; b++)
			assert_int_equal(times->buckets[b], b == cases[i].bucket);
	}
	stats_free(stats);
}

/* Pointers given out stay good however many numbers follow. */
static void test_numbers_stay_where_they_are(void **state)
{
	static char names[500][8];
	struct stats *stats;
	uint64_t *numbers[500];

	(void)state;
	assert_int_equal(stats_new(&stats), 0);
	for (size_t i = 0; i < 500; i++) {
		snprintf(names[i], sizeof(names[i]), "n%zu", i);
		numbers[i] = number(stats, i % 2 ? "odd" : "even", names[i], false);
		*numbers[i] = i;
	}
	for (size_t i = 0; i < 500; i++)
		assert_int_equal(*numbers[i], i);
	stats_free(stats);
}

static void test_has_group(void **state)
{
	struct stats *stats;

	(void)state;
	assert_int_equal(stats_new(&stats), 0);
	assert_false(stats_has_group(stats, SLICE("ua")));
	number(stats, "ua", "sent", false);
	assert_true(stats_has_group(stats, SLICE("ua")));
	assert_false(stats_has_group(stats, SLICE("u")));
	stats_free(stats);
	stats_free(NULL);
}

struct counters {
	bool before;
	uint64_t *sent, *waiting, *classes[2];
};

static const struct stats_row rows[] = {
    {.name = "sent", .help = "Sent.", .offset = offsetof(struct counters, sent)},
    {.name = "waiting",
	.help = "Waiting.",
	.offset = offsetof(struct counters, waiting),
	.gauge = true},
    {.name = "class_1", .help = "", .offset = offsetof(struct counters, classes[1])},
    {0},
};

static void test_registers_rows(void **state)
{
	struct counters a = {0}, b = {0};
	char text[256] = "";
	struct stats *stats;

	(void)state;
	assert_int_equal(stats_new(&stats), 0);
	assert_int_equal(stats_register(stats, "ua", rows, &a), 0);
	assert_int_equal(stats_register(stats, "ua", rows, &b), 0);
	assert_ptr_equal(a.waiting, b.waiting);
	assert_null(a.classes[0]);
	++*a.sent;
	++*b.classes[1];
	stats_each(stats, add_line, text);
	assert_string_equal(text, "ua:sent=1 ua:waiting~=0 ua:class_1=1 ");
	stats_free(stats);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_groups_stay_together),
	    cmocka_unit_test(test_same_pair_same_number),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_numbers_stay_where_they_are),
	    cmocka_unit_test(test_has_group),
	    cmocka_unit_test(test_registers_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
