/* REPORTs that have a body: RFC 7701 6.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"
#include "msrp_sides.h"

/* What sides write into the one of their own. */
#define CONTENT "Content-Type: message/cpim\r\n\r\nFrom: <sip:a@x>\r\n\r\n\r\n\r\n-------"

static void one_goes_from_side_to_side(void **state)
{
	struct sides *f = *state;
	struct report_out report = {.code = 200,
	    .phrase = SLICE("OK"),
	    .content_type = SLICE("text/plain"),
	    .body = SLICE("seen")};

	sides_connect(f, false);
	f->b.verdict = MSRP_REPORT_LATER;
	assert_int_equal(side_send(&f->a, SLICE("x"), FAILURE_REPORT_YES, true, 0), 0);
	sides_wait(f, &f->b.messages, 1);
	assert_int_equal(endpoint_report(f->b.ep, slice_of(f->b.id), &report), 0);
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.status, "000 200 OK");
	assert_string_equal(f->a.range, "1-1/1");
	assert_string_equal(f->a.report_body_type, "text/plain");
	assert_string_equal(f->a.report_body, "seen");
}

static void a_service_may_send_it_from_inside(void **state)
{
	struct sides *f = *state;

	for (int stream = 0; stream < 2; stream++) {
		sides_fini(f);
		assert_int_equal(sides_init(f), 0);
		sides_connect(f, stream);
		f->b.own_report = 200;
		assert_int_equal(side_send(&f->a, SLICE("x"), FAILURE_REPORT_YES, true, 0), 0);
		sides_wait(f, &f->a.reports, 1);
		assert_string_equal(f->a.report_body_type, "message/cpim");
		assert_string_equal(f->a.report_body, "From: <sip:a@x>\r\n\r\n\r\n");
		/* It was not put off as well. */
		assert_int_equal(
		    endpoint_report(f->b.ep, slice_of(f->b.id), &(struct report_out){.code = 200}),
		    -ENOENT);
	}
}

static void it_goes_to_who_asked_alone(void **state)
{
	struct sides *f = *state;

	sides_connect(f, true);
	f->b.own_report = 200;
	assert_int_equal(side_send(&f->a, SLICE("x"), FAILURE_REPORT_YES, false, MSRP_SEND_CONFIRM),
	    0);
	sides_wait(f, &f->a.reports, 1);
	loop_settle(f->base);
	assert_int_equal(f->a.reports, 1); /* the 200 */
	assert_string_equal(f->a.report_body_type, "");
}

/* Its last chunk was answered before the service had seen the first one. */
static void one_that_is_refused_late_has_it_too(void **state)
{
	struct sides *f = *state;

	raw_open_stream(f);
	f->a.own_report = 428;
	raw_chunk(f, "m1m1", "4-6/6", "def", '$');
	raw_expect(f, "tidm1m1 200");
	f->a.pause = -EAGAIN;
	raw_chunk(f, "m1m1", "1-3/6", "abc", '+');
	loop_settle(f->base);
	f->a.pause = 428;
	endpoint_resume(f->a.ep, &f->a);
	sides_wait(f, &f->a.ends, 1);
	assert_int_equal(f->a.end_err, -EMSGSIZE);
	raw_expect(f, "Status: 000 428");
	raw_expect(f, CONTENT);
	loop_settle(f->base);
	raw_read(f);
	assert_int_equal(raw_count(f, " REPORT\r\n"), 1);
}

/* --- in --- */

static void raw_bind(struct sides *f)
{
	raw_open(f);
	raw_chunk(f, "bind", "1-0/0", "", '$');
	raw_expect(f, "tidbind 200");
}

/* A message of side a is with the peer. */
static void raw_take_message(struct sides *f)
{
	assert_int_equal(side_send(&f->a, SLICE("x"), FAILURE_REPORT_NO, true, 0), 0);
	raw_expect(f, "x\r\n-------");
}

/* @param text  room for 1024 bytes */
static void write_report(const struct sides *f, char *text, const char *content)
{
	snprintf(text, 1024,
	    "MSRP tidreport REPORT\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: %s\r\nByte-Range: 1-1/1\r\nStatus: 000 404 Not here\r\n%s"
	    "-------tidreport$\r\n",
	    f->a.uri, f->a.id, content);
}

static void it_may_come_byte_by_byte(void **state)
{
	struct sides *f = *state;
	char text[1024], byte[2] = "";

	raw_bind(f);
	raw_take_message(f);
	write_report(f, text, "Content-Type: message/cpim\r\n\r\nTo: <sip:b@x>\r\n\r\n\r\n\r\n");
	for (size_t i = 0; text[i]; i++) {
		assert_int_equal(f->a.reports, 0);
		byte[0] = text[i];
		raw_send(f, byte);
		loop_settle(f->base);
	}
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.status, "000 404 Not here");
	assert_string_equal(f->a.range, "1-1/1");
	assert_string_equal(f->a.reported_id, f->a.id);
	assert_string_equal(f->a.report_body_type, "message/cpim");
	assert_string_equal(f->a.report_body, "To: <sip:b@x>\r\n\r\n\r\n");
}

/* Without a type nobody could make anything of it. */
static void a_body_without_a_type_is_passed_over(void **state)
{
	struct sides *f = *state;
	char text[1024];

	raw_bind(f);
	raw_take_message(f);
	write_report(f, text, "\r\nwhat\r\n");
	raw_send(f, text);
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.status, "000 404 Not here");
	assert_string_equal(f->a.report_body, "");
}

static void what_does_not_come_to_its_end_is_not_told(void **state)
{
	struct sides *f = *state;
	char text[1024];

	raw_bind(f);
	raw_take_message(f);
	write_report(f, text, "Content-Type: text/plain\r\n\r\nwha");
	*strstr(text, "-------tidreport$") = '\0';
	raw_send(f, text);
	loop_settle(f->base);
	close(f->fd);
	f->fd = -1;
	sides_wait(f, &f->a.lost, 1);
	assert_int_equal(f->a.reports, 0);
	/* Another begins, and the endpoint does not wait for it. */
	raw_connect(f);
	raw_send(f, text);
	loop_settle(f->base);
	endpoint_free(f->a.ep);
	f->a.ep = NULL;
	raw_send(f, "t\r\n-------tidreport$\r\n");
	loop_settle(f->base);
	assert_int_equal(f->a.reports, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sides_setup, sides_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(one_goes_from_side_to_side),
	    CASE(a_service_may_send_it_from_inside),
	    CASE(it_goes_to_who_asked_alone),
	    CASE(one_that_is_refused_late_has_it_too),
	    CASE(it_may_come_byte_by_byte),
	    CASE(a_body_without_a_type_is_passed_over),
	    CASE(what_does_not_come_to_its_end_is_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
