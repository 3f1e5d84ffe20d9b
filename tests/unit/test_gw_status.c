/* What a failure on one side means on the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "gw/priv.h"

static void test_msrp_status(void **state)
{
	static const struct {
		int sip, msrp;
	} cases[] = {
	    {200, 200},
	    {202, 200},
	    {300, 408},
	    {400, 400},
	    {401, 403},
	    {403, 403},
	    {404, 404},
	    {405, 403},
	    {406, 415},
	    {407, 403},
	    {408, 408},
	    {410, 404},
	    {413, 413},
	    {415, 415},
	    {420, 400},
	    {480, 408},
	    {481, 400},
	    {486, 408},
	    {488, 415},
	    {500, 408},
	    {503, 408},
	    {513, 413},
	    {600, 408},
	    {603, 403},
	    {604, 404},
	    {606, 415},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct page_result r = {.code = cases[i].sip, .from_peer = true};

		assert_int_equal(gw_msrp_status(&r), cases[i].msrp);
		r.from_peer = false;
		/* by us: too large for what may carry it, or no answer */
		assert_int_equal(gw_msrp_status(&r), cases[i].sip == 413 ? 413 : 408);
	}
}

static void test_sip_status(void **state)
{
	static const struct {
		int msrp, sip;
	} cases[] = {
	    {400, 400},
	    {403, 403},
	    {404, 404},
	    {408, 504},
	    {413, 413},
	    {415, 415},
	    {423, 500},
	    {481, 480},
	    {501, 500},
	    {506, 480},
	    {999, 500},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(gw_sip_status(cases[i].msrp), cases[i].sip);
}

static void test_reason(void **state)
{
	char text[GW_HEADERS_SIZE], phrase[1000];
	struct slice line;

	(void)state;
	line = gw_reason_header(text, "SIP", 486, SLICE("Busy Here"));
	assert_true(slice_equal(line, SLICE("Reason: SIP;cause=486;text=\"Busy Here\"\r\n")));
	line = gw_reason_header(text, "MSRP", 408, (struct slice){NULL, 0});
	assert_true(slice_equal(line, SLICE("Reason: MSRP;cause=408\r\n")));
	line = gw_reason_header(text, "MSRP", 413, SLICE("a\"b\\c\r\nX: \xff"));
	assert_true(slice_equal(line, SLICE("Reason: MSRP;cause=413;text=\"a?b?c??X: ?\"\r\n")));
	memset(phrase, 'x', sizeof(phrase));
	line = gw_reason_header(text, "MSRP", 413, (struct slice){phrase, sizeof(phrase)});
	assert_true(line.len < sizeof(text));
	assert_memory_equal(line.p + line.len - 3, "\"\r\n", 3);
}

static void test_phrase(void **state)
{
	struct page_result r = {404, SLICE("No \xff such\r\n\"user\""), true};
	char text[GW_PHRASE_SIZE], reason[100];

	(void)state;
	assert_true(slice_equal(gw_report_phrase(text, &r), SLICE("SIP 404 No ? such???user?")));
	memset(reason, 'x', sizeof(reason));
	r.reason = (struct slice){reason, sizeof(reason)};
	assert_int_equal(gw_report_phrase(text, &r).len, strlen("SIP 404 ") + 40);
	r.code = 200;
	assert_null(gw_report_phrase(text, &r).p);
	r = (struct page_result){408, SLICE("x"), false};
	assert_null(gw_report_phrase(text, &r).p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_msrp_status),
	    cmocka_unit_test(test_sip_status),
	    cmocka_unit_test(test_reason),
	    cmocka_unit_test(test_phrase),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
