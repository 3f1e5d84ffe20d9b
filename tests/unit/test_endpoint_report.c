/* REPORTs that are sent later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "endpoint/report.h"

#define OWN SLICE("msrp://127.0.0.1:9/own;tcp")

static void add(struct report_list *list, unsigned number)
{
	char id[16], path[64];
	struct report_subject subject = {
	    .range = {1, number, number},
	    .failure_report = FAILURE_REPORT_PARTIAL,
	    .success_report = number % 2,
	};

	snprintf(id, sizeof(id), "id%u", number);
	snprintf(path, sizeof(path), "msrp://peer:1/%u;tcp", number);
	subject.message_id = slice_of(id);
	subject.from_path = slice_of(path);
	assert_int_equal(report_list_add(list, &subject), 0);
}

static int take(struct report_list *list, unsigned number)
{
	char id[16], path[64];
	struct report_subject subject;
	struct later_report *later;
	int err;

	snprintf(id, sizeof(id), "id%u", number);
	snprintf(path, sizeof(path), "msrp://peer:1/%u;tcp", number);
	err = report_list_take(list, slice_of(id), OWN, &subject, &later);
	if (err < 0)
		return err;
	assert_true(slice_equal(subject.message_id, slice_of(id)));
	assert_true(slice_equal(subject.from_path, slice_of(path)));
	assert_true(slice_equal(subject.own_uri, OWN));
	assert_int_equal(subject.range.end, number);
	assert_int_equal(subject.failure_report, FAILURE_REPORT_PARTIAL);
	assert_int_equal(subject.success_report, number % 2);
	free(later);
	return 0;
}

static void any_of_them_can_be_taken_once(void **state)
{
	static const unsigned order[] = {3, 1, 4, 2, 5}; /* in the middle, first, last, … */
	struct report_list list;

	(void)state;
	report_list_init(&list);
	assert_int_equal(take(&list, 1), -ENOENT);
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 1; i <= 5; i++)
			add(&list, i);
		for (int i = 0; i < 5; i++) {
			assert_int_equal(take(&list, order[i]), 0);
			assert_int_equal(take(&list, order[i]), -ENOENT);
		}
		assert_int_equal(list.count, 0);
	}
}

static void the_oldest_goes_when_there_are_too_many(void **state)
{
	struct report_list list;

	(void)state;
	report_list_init(&list);
	for (unsigned i = 1; i <= REPORTS_LATER_MAX + 2; i++)
		add(&list, i);
	assert_int_equal(list.count, REPORTS_LATER_MAX);
	assert_int_equal(take(&list, 2), -ENOENT);
	assert_int_equal(take(&list, 3), 0);
	assert_int_equal(take(&list, REPORTS_LATER_MAX + 2), 0);
	report_list_fini(&list);
	assert_int_equal(list.count, 0);
}

/* RFC 4975 7.1.3, 7.1.4 */
static void who_asked_is_told(void **state)
{
	static const struct {
		enum failure_report failure_report;
		bool success_report;
		int code;
		bool wanted;
	} rows[] = {
	    {FAILURE_REPORT_YES, false, 200, false},
	    {FAILURE_REPORT_YES, false, 404, true},
	    {FAILURE_REPORT_YES, true, 200, true},
	    {FAILURE_REPORT_YES, true, 404, true},
	    {FAILURE_REPORT_PARTIAL, false, 200, false},
	    {FAILURE_REPORT_PARTIAL, false, 404, true},
	    {FAILURE_REPORT_PARTIAL, true, 200, true},
	    {FAILURE_REPORT_PARTIAL, true, 404, true},
	    {FAILURE_REPORT_NO, false, 200, false},
	    {FAILURE_REPORT_NO, false, 404, false},
	    {FAILURE_REPORT_NO, true, 200, true},
	    {FAILURE_REPORT_NO, true, 404, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct report_subject subject = {.failure_report = rows[i].failure_report,
		    .success_report = rows[i].success_report};

		assert_int_equal(report_wanted(&subject, rows[i].code), rows[i].wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_of_them_can_be_taken_once),
	    cmocka_unit_test(the_oldest_goes_when_there_are_too_many),
	    cmocka_unit_test(who_asked_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
