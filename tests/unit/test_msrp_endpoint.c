/* Endpoints: against each other through the stack, and against a raw peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "loop.h"
#include "msrp_sides.h"

static const struct slice NONE = {NULL, 0};

static void messages_go_both_ways(void **state)
{
	struct sides *f = *state;
	char id[40];

	sides_connect(f, false);
	sides_wait(f, &f->b.bound, 1);
	assert_int_equal(f->b.messages, 0); /* the greeting is no message */
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_YES, true, MSRP_SEND_CONFIRM), 0);
	memcpy(id, f->a.id, sizeof(id));
	sides_wait(f, &f->b.messages, 1);
	assert_string_equal(f->b.body, "hello");
	assert_string_equal(f->b.type, "text/plain");
	assert_string_equal(f->b.id, id);
	sides_wait(f, &f->a.reports, 2); /* the 200, then the REPORT */
	assert_string_equal(f->a.status, "000 200");
	assert_string_equal(f->a.range, "1-5/5");
	assert_string_equal(f->a.reported_id, id);
	assert_int_equal(side_send(&f->b, SLICE("you too"), FAILURE_REPORT_NO, false, 0), 0);
	sides_wait(f, &f->a.messages, 1);
	assert_string_equal(f->a.body, "you too");
	loop_settle(f->base);
	assert_int_equal(f->b.reports, 0);
	assert_true(f->a.drained > 0 && f->b.drained > 0);
}

static void an_empty_body_is_a_message(void **state)
{
	struct sides *f = *state;

	sides_connect(f, false);
	assert_int_equal(side_send(&f->a, SLICE(""), FAILURE_REPORT_YES, true, 0), 0);
	sides_wait(f, &f->b.messages, 1);
	assert_int_equal(f->b.body_len, 0);
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.range, "1-0/0");
}

static void long_messages_are_chunked_and_joined(void **state)
{
	struct sides *f = *state;
	size_t len = 200000;
	char *big = malloc(len);

	for (size_t i = 0; i < len; i++)
		big[i] = (char)(i * 7 + i / 251);
	sides_connect(f, false);
	assert_int_equal(side_send(&f->a, (struct slice){big, len}, FAILURE_REPORT_YES, true, 0), 0);
	/* a short one does not wait for it */
	assert_int_equal(side_send(&f->a, SLICE("short"), FAILURE_REPORT_YES, false, 0), 0);
	sides_wait(f, &f->b.messages, 1);
	assert_string_equal(f->b.body, "short");
	sides_wait(f, &f->b.messages, 2);
	assert_int_equal(f->b.body_len, len);
	assert_memory_equal(f->b.body, big, len);
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.range, "1-200000/200000");
	free(big);
}

static bool nothing_queued(void *arg)
{
	struct msrp_endpoint_info info;

	msrp_endpoint_info(((struct side *)arg)->ep, &info);
	return info.queued_bytes == 0 && info.drained;
}

static void too_long_a_message_is_refused_and_given_up(void **state)
{
	struct sides *f = *state;
	size_t len = 2 << 20;
	char *big = calloc(1, len);

	sides_connect(f, false);
	assert_int_equal(side_send(&f->a, (struct slice){big, len}, FAILURE_REPORT_YES, true, 0), 0);
	sides_wait(f, &f->a.reports, 1);
	assert_int_equal(f->a.code, 413);
	loop_until(f->base, nothing_queued, &f->a);
	assert_int_equal(f->b.messages, 0);
	assert_int_equal(f->a.reports, 1);
	free(big);
}

static void unwelcome_types_are_refused(void **state)
{
	struct sides *f = *state;
	struct message_out out = {.content_type = SLICE("image/png"), .body.bytes = SLICE("x")};

	sides_connect(f, false);
	assert_int_equal(msrp_endpoint_send(f->a.ep, &out, 0, NULL), 0);
	sides_wait(f, &f->a.reports, 1);
	assert_memory_equal(f->a.status, "000 415", 7);
	out.content_type = SLICE("Multipart/Mixed; boundary=x");
	assert_int_equal(msrp_endpoint_send(f->a.ep, &out, 0, NULL), 0);
	sides_wait(f, &f->b.messages, 1);
}

static void the_service_may_report_later(void **state)
{
	struct sides *f = *state;

	sides_connect(f, false);
	f->b.verdict = MSRP_REPORT_LATER;
	assert_int_equal(side_send(&f->a, SLICE("x"), FAILURE_REPORT_YES, true, 0), 0);
	sides_wait(f, &f->b.messages, 1);
	loop_settle(f->base);
	assert_int_equal(f->a.reports, 0);
	assert_int_equal(msrp_endpoint_report(f->b.ep, SLICE("nosuch"), 200, NONE), -ENOENT);
	assert_int_equal(msrp_endpoint_report(f->b.ep, slice_of(f->b.id), 404, SLICE("Gone")), 0);
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.status, "000 404 Gone");
	assert_int_equal(msrp_endpoint_report(f->b.ep, slice_of(f->b.id), 404, NONE), -ENOENT);
}

static void the_endpoint_may_be_freed_in_its_callback(void **state)
{
	struct sides *f = *state;

	sides_connect(f, false);
	f->b.free_on_message = true;
	assert_int_equal(side_send(&f->a, SLICE("x"), FAILURE_REPORT_YES, true, MSRP_SEND_CONFIRM), 0);
	sides_wait(f, &f->a.reports, 1);
	assert_int_equal(f->a.code, 200);
	assert_null(f->b.ep);
}

static void streams_pass_in_pieces(void **state)
{
	struct sides *f = *state;
	size_t len = 250000;
	char *big = malloc(len);

	for (size_t i = 0; i < len; i++)
		big[i] = (char)(i * 13 + i / 255);
	sides_connect(f, true);
	assert_int_equal(side_send(&f->a, (struct slice){big, len}, FAILURE_REPORT_YES, true, 0), 0);
	sides_wait(f, &f->b.ends, 1);
	assert_int_equal(f->b.end_err, 0);
	assert_int_equal(f->b.body_len, len);
	assert_memory_equal(f->b.body, big, len);
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.range, "1-250000/250000");
	free(big);
}

static void a_paused_stream_holds_the_sender(void **state)
{
	struct sides *f = *state;
	size_t len = 12 << 20, before;
	char *big = calloc(1, len);

	f->settings.max_memory = 64 << 20;
	sides_connect(f, true);
	f->b.pause = -EAGAIN;
	assert_int_equal(side_send(&f->a, (struct slice){big, len}, FAILURE_REPORT_YES, true, 0), 0);
	sides_wait(f, &f->b.begins, 1);
	loop_settle(f->base);
	before = f->b.body_len;
	assert_true(before < len / 2);
	loop_settle(f->base);
	assert_int_equal(f->b.body_len, before);
	f->b.pause = 0;
	msrp_endpoint_resume(f->b.ep, &f->b);
	sides_wait(f, &f->b.ends, 1);
	assert_int_equal(f->b.body_len, len);
	free(big);
}

/* --- sources --- */

struct source {
	struct side	*side;
	size_t		left, given;
	unsigned	dones;
	bool		stall, fail;
	char		bytes[40000];
};

static int pull(void *arg, size_t want, struct slice *piece)
{
	struct source *s = arg;

	if (s->fail)
		return -EIO;
	if (s->stall)
		return -EAGAIN;
	if (want > s->left)
		want = s->left;
	if (want > sizeof(s->bytes))
		want = sizeof(s->bytes);
	memset(s->bytes, 'a' + (int)(s->given / 1000 % 26), sizeof(s->bytes));
	*piece = (struct slice){s->bytes, want};
	s->left -= want;
	s->given += want;
	return 0;
}

static void source_done(void *arg)
{
	((struct source *)arg)->dones++;
}

static void sources_are_asked_as_bytes_can_leave(void **state)
{
	struct sides *f = *state;
	struct source *s = calloc(1, sizeof(*s));
	struct message_out out = {.content_type = SLICE("text/plain"), .success_report = true,
		.body = {.total = UINT64_MAX, .pull = pull, .done = source_done, .arg = s}};
	char id[MSRP_MESSAGE_ID_SIZE];

	s->left = 100000;
	s->stall = true;
	sides_connect(f, true);
	assert_int_equal(msrp_endpoint_send(f->a.ep, &out, 0, id), 0);
	sides_wait(f, &f->b.bound, 1);
	assert_int_equal(f->b.begins, 0);
	s->stall = false;
	msrp_endpoint_ready(f->a.ep, slice_of(id));
	sides_wait(f, &f->b.ends, 1);
	assert_int_equal(f->b.body_len, 100000);
	assert_int_equal(s->dones, 1);
	sides_wait(f, &f->a.reports, 1);
	free(s);
}

static void a_source_that_fails_aborts_its_message(void **state)
{
	struct sides *f = *state;
	struct source *s = calloc(1, sizeof(*s));
	struct message_out out = {.content_type = SLICE("text/plain"),
		.body = {.total = 500000, .pull = pull, .done = source_done, .arg = s}};

	s->left = 40000;
	sides_connect(f, true);
	assert_int_equal(msrp_endpoint_send(f->a.ep, &out, 0, NULL), 0);
	sides_wait(f, &f->b.ends, 1);
	assert_int_equal(f->b.end_err, -ECANCELED);
	assert_int_equal(s->dones, 1);
	free(s);
}

/* --- against a raw peer --- */

static void chunks_come_in_any_order(void **state)
{
	struct sides *f = *state;

	raw_open(f);
	raw_chunk(f, "m1m1", "7-9/9", "ghi", '$');
	raw_chunk(f, "m1m1", "1-3/9", "abc", '+');
	raw_chunk(f, "m2m2", "1-2/*", "xy", '+');
	raw_chunk(f, "m1m1", "3-7/9", "cdefg", '+');
	sides_wait(f, &f->a.messages, 1);
	assert_string_equal(f->a.body, "abcdefghi");
	raw_expect(f, "Status: 000 200\r\n");
	assert_non_null(strstr(f->got, "Byte-Range: 1-9/9\r\n"));
	raw_chunk(f, "m2m2", "3-*/*", "z", '$');
	sides_wait(f, &f->a.messages, 2);
	assert_string_equal(f->a.body, "xyz");
	/* again: acknowledged and reported (RFC 4975 5.4), not delivered */
	raw_chunk(f, "m2m2", "1-3/3", "xyz", '$');
	raw_chunk(f, "m3m3", NULL, "no range", '$');
	sides_wait(f, &f->a.messages, 3);
	assert_string_equal(f->a.body, "no range");
	raw_expect(f, "m3m3 200");
	assert_int_equal(raw_count(f, "m2m2 200"), 3);
	assert_int_equal(raw_count(f, "REPORT\r\n"), 4);
}

static void incomplete_messages_are_bounded(void **state)
{
	struct sides *f = *state;

	raw_open(f);
	for (int i = 0; i < 4; i++) {
		char mid[24];

		snprintf(mid, sizeof(mid), "open%d", i);
		raw_chunk(f, mid, "1-1/10", "x", '+');
	}
	raw_chunk(f, "open4", "1-1/10", "x", '+');
	raw_expect(f, "open4 413");
	raw_chunk(f, "open0", "2-3/10", "yz", '#');
	raw_chunk(f, "open5", "1-1/10", "x", '+');
	raw_expect(f, "open5 200");
	raw_chunk(f, "claim", "1-1/400000", "x", '$');
	raw_expect(f, "claim 413");
}

static void another_connection_is_506(void **state)
{
	struct sides *f = *state;
	int first;

	raw_open(f);
	raw_chunk(f, "m1m1", "1-1/1", "x", '$');
	raw_expect(f, "m1m1 200");
	first = raw_connect(f);
	raw_chunk(f, "m2m2", "1-1/1", "x", '$');
	raw_expect(f, "m2m2 506");
	assert_int_equal(f->a.messages, 1);
	close(first);
	sides_wait(f, &f->a.lost, 1);
}

static void silence_is_408_and_loss_is_481(void **state)
{
	struct sides *f = *state;

	raw_open(f);
	raw_chunk(f, "m1m1", "1-1/1", "x", '$');
	raw_expect(f, "m1m1 200");
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_YES, false, 0), 0);
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.status, "000 408");
	assert_string_equal(f->a.range, "1-5/5");
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_PARTIAL, false, 0), 0);
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_NO, false, 0), 0);
	sides_wait(f, &f->a.drained, 2);
	assert_int_equal(f->a.reports, 1);
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_YES, false, 0), 0);
	close(f->fd);
	f->fd = -1;
	sides_wait(f, &f->a.lost, 1);
	assert_int_equal(f->a.reports, 1);
	msrp_endpoint_give_up(f->a.ep);
	assert_int_equal(f->a.reports, 2);
	assert_string_equal(f->a.status, "000 481");
}

static void what_was_not_answered_is_sent_again_on_the_next_connection(void **state)
{
	struct sides *f = *state;
	char id[64];

	raw_open(f);
	raw_chunk(f, "m1m1", "1-1/1", "x", '$');
	raw_expect(f, "m1m1 200");
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_YES, false, 0), 0);
	snprintf(id, sizeof(id), "Message-ID: %s\r\n", f->a.id);
	raw_expect(f, id);
	close(f->fd);
	sides_wait(f, &f->a.lost, 1);
	raw_connect(f);
	raw_chunk(f, "m2m2", "1-1/1", "x", '$');
	raw_expect(f, id);
	raw_expect(f, "hello");
}

static void unknown_methods_and_longer_paths_are_refused(void **state)
{
	struct sides *f = *state;
	char frame[1024];

	raw_open(f);
	snprintf(frame, sizeof(frame),
	    "MSRP foo12345 FOO\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n-------foo12345$\r\n"
	    "MSRP bar12345 SEND\r\nTo-Path: %s msrp://h:1/x;tcp\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: abcd\r\n-------bar12345$\r\n"
	    "MSRP rep12345 REPORT\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: abcd\r\nByte-Range: 1-1/1\r\nStatus: 000 200\r\n-------rep12345$\r\n",
	    f->a.uri, f->a.uri, f->a.uri);
	raw_send(f, frame);
	raw_expect(f, "MSRP foo12345 501");
	raw_expect(f, "MSRP bar12345 481");
	raw_chunk(f, "m1m1", "1-1/1", "x", '$');
	raw_expect(f, "m1m1 200");
	assert_null(strstr(f->got, "rep12345"));
	assert_int_equal(f->a.reports, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sides_setup, sides_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(messages_go_both_ways),
		CASE(an_empty_body_is_a_message),
		CASE(long_messages_are_chunked_and_joined),
		CASE(too_long_a_message_is_refused_and_given_up),
		CASE(unwelcome_types_are_refused),
		CASE(the_service_may_report_later),
		CASE(the_endpoint_may_be_freed_in_its_callback),
		CASE(streams_pass_in_pieces),
		CASE(a_paused_stream_holds_the_sender),
		CASE(sources_are_asked_as_bytes_can_leave),
		CASE(a_source_that_fails_aborts_its_message),
		CASE(chunks_come_in_any_order),
		CASE(incomplete_messages_are_bounded),
		CASE(another_connection_is_506),
		CASE(silence_is_408_and_loss_is_481),
		CASE(what_was_not_answered_is_sent_again_on_the_next_connection),
		CASE(unknown_methods_and_longer_paths_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
