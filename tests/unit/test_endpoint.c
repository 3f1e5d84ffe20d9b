/* Endpoints: against each other through the stack, and against a raw peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/budget.h"
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
	assert_int_equal(
	    side_send(&f->a, SLICE("hello"), FAILURE_REPORT_YES, true, MSRP_SEND_CONFIRM), 0);
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

/* RFC 4975 7.1.1 calls it empty: it is acknowledged and reported, and the service not told. */
static void an_empty_body_is_no_message(void **state)
{
	struct sides *f = *state;

	for (int stream = 0; stream < 2; stream++) {
		sides_connect(f, stream);
		assert_int_equal(side_send(&f->a, SLICE(""), FAILURE_REPORT_YES, true, 0), 0);
		sides_wait(f, &f->a.reports, 1u + (unsigned)stream);
		assert_string_equal(f->a.range, "1-0/0");
		assert_string_equal(f->a.status, "000 200");
		assert_int_equal(f->b.messages + f->b.begins + f->b.ends, 0);
		endpoint_free(f->a.ep);
		endpoint_free(f->b.ep);
		f->a.ep = f->b.ep = NULL;
	}
}

static bool nothing_queued(void *arg)
{
	struct endpoint_info info;

	endpoint_info(((struct side *)arg)->ep, &info);
	return info.queued_bytes == 0 && info.drained;
}

static void too_long_a_message_is_refused_and_given_up(void **state)
{
	struct sides *f = *state;
	size_t len = 2 << 20;
	char *big = calloc(1, len);

	sides_connect(f, false);
	assert_int_equal(side_send(&f->a, (struct slice){big, len}, FAILURE_REPORT_YES, true, 0),
	    0);
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
	assert_int_equal(endpoint_send(f->a.ep, &out, 0, NULL), 0);
	sides_wait(f, &f->a.reports, 1);
	assert_memory_equal(f->a.status, "000 415", 7);
	out.content_type = SLICE("Multipart/Mixed; boundary=x");
	assert_int_equal(endpoint_send(f->a.ep, &out, 0, NULL), 0);
	sides_wait(f, &f->b.messages, 1);
}

static void the_service_may_report_later(void **state)
{
	struct report_out report = {.code = 404, .phrase = SLICE("Gone")};
	struct sides *f = *state;

	sides_connect(f, false);
	f->b.verdict = MSRP_REPORT_LATER;
	assert_int_equal(side_send(&f->a, SLICE("x"), FAILURE_REPORT_YES, true, 0), 0);
	sides_wait(f, &f->b.messages, 1);
	loop_settle(f->base);
	assert_int_equal(f->a.reports, 0);
	assert_int_equal(endpoint_report(f->b.ep, SLICE("nosuch"), &report), -ENOENT);
	assert_int_equal(endpoint_report(f->b.ep, slice_of(f->b.id), &report), 0);
	sides_wait(f, &f->a.reports, 1);
	assert_string_equal(f->a.status, "000 404 Gone");
	assert_string_equal(f->a.report_body_type, "");
	assert_int_equal(endpoint_report(f->b.ep, slice_of(f->b.id), &report), -ENOENT);
}

/* Also when the connection has changed meanwhile; but not who is somewhere else now. */
static void who_has_spoken_is_known(void **state)
{
	struct sides *f = *state;

	sides_connect(f, false);
	assert_false(endpoint_heard(f->b.ep));
	assert_int_equal(side_send(&f->a, SLICE("x"), FAILURE_REPORT_YES, false, 0), 0);
	sides_wait(f, &f->b.messages, 1);
	assert_true(endpoint_heard(f->b.ep));
	endpoint_unbind(f->b.ep);
	assert_int_equal(endpoint_set_path(f->b.ep, NONE, slice_of(f->a.uri)), 0);
	assert_true(endpoint_heard(f->b.ep));
	assert_int_equal(endpoint_set_path(f->b.ep, NONE, SLICE("msrp://127.0.0.1:9/other;tcp")),
	    0);
	assert_false(endpoint_heard(f->b.ep));
}

static void the_endpoint_may_be_freed_in_its_callback(void **state)
{
	struct sides *f = *state;

	sides_connect(f, false);
	f->b.free_on_message = true;
	assert_int_equal(side_send(&f->a, SLICE("x"), FAILURE_REPORT_YES, true, MSRP_SEND_CONFIRM),
	    0);
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
	assert_int_equal(side_send(&f->a, (struct slice){big, len}, FAILURE_REPORT_YES, true, 0),
	    0);
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

	msrp_stack_budget(f->stack)->max = 64 << 20;
	sides_connect(f, true);
	f->b.pause = -EAGAIN;
	assert_int_equal(side_send(&f->a, (struct slice){big, len}, FAILURE_REPORT_YES, true, 0),
	    0);
	sides_wait(f, &f->b.pieces, 1);
	before = f->b.body_len;
	assert_true(before < len / 2);
	loop_settle(f->base);
	assert_int_equal(f->b.body_len, before);
	f->b.pause = 0;
	endpoint_resume(f->b.ep, &f->b);
	sides_wait(f, &f->b.ends, 1);
	assert_int_equal(f->b.body_len, len);
	free(big);
}

/* --- against a raw peer --- */

static void a_nickname_is_the_services_to_give(void **state)
{
	static const struct {
		const char *header, *nickname;
		int code;
		const char *answer;
	} cases[] = {
	    {"Use-Nickname: \"Al\"\r\n", "Al", 200, "nick0 200 OK\r\n"},
	    {"Use-Nickname: \"Al\"\r\n", "Al", 425, "nick1 425 Nickname Reserved\r\n"},
	    {"Use-Nickname: Al\r\n", "malformed", 424, "nick2 424 Malformed Nickname\r\n"},
	    {"", "malformed", 403, "nick3 403 Forbidden\r\n"},
	    {"Use-Nickname: \"\"\r\n", "", 200, "nick4 200 OK\r\n"},
	};
	struct sides *f = *state;
	char frame[512];

	raw_open(f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->a.nickname_code = cases[i].code;
		snprintf(frame, sizeof(frame),
		    "MSRP nick%zu NICKNAME\r\nTo-Path: %s\r\n"
		    "From-Path: msrp://127.0.0.1:9/peer;tcp\r\n%s-------nick%zu$\r\n",
		    i, f->a.uri, cases[i].header, i);
		raw_send(f, frame);
		raw_expect(f, cases[i].answer);
		assert_string_equal(f->a.nickname, cases[i].nickname);
	}
}

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

static void unknown_methods_and_longer_paths_are_refused(void **state)
{
	struct sides *f = *state;
	char frame[1024];

	raw_open(f);
	snprintf(frame, sizeof(frame),
	    "MSRP foo12345 FOO\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "-------foo12345$\r\n"
	    "MSRP bar12345 SEND\r\nTo-Path: %s msrp://h:1/x;tcp\r\n"
	    "From-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
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

static void empty_chunks_are_no_message(void **state)
{
	struct sides *f = *state;

	raw_open(f);
	raw_chunk(f, "m1m1", "1-0/*", "", '+');
	raw_chunk(f, "m1m1", "1-0/0", "", '$');
	raw_chunk(f, "m2m2", "1-1/1", "x", '$');
	raw_expect(f, "Message-ID: m2m2\r\nByte-Range: 1-1/1\r\nStatus: 000 200\r\n");
	assert_non_null(strstr(f->got, "Message-ID: m1m1\r\nByte-Range: 1-0/0\r\n"));
	assert_int_equal(f->a.messages, 1);
}

/* RFC 4975 5.4: acknowledged like the first time; refused ones do not push them out. */
static void repetitions_are_known_for_long(void **state)
{
	struct sides *f = *state;
	char mid[16], told[32];

	raw_open(f);
	for (unsigned i = 0; i < 1040; i++) {
		snprintf(mid, sizeof(mid), "id%04u", i % 1000);
		snprintf(told, sizeof(told), "tid%s 200", mid);
		f->got_len = 0;
		raw_chunk(f, mid, "1-1/1", "x", '$');
		raw_expect(f, told);
		if (i >= 960 && i < 1000) {
			raw_chunk(f, mid + 1, "1-1/400000", "x", '$');
			raw_expect(f, " 413");
		}
	}
	assert_int_equal(f->a.messages, 1000);
}

/* --- streams, again --- */

static void streams_come_in_the_order_of_the_message(void **state)
{
	struct sides *f = *state;

	raw_open_stream(f);
	raw_chunk(f, "m1m1", "7-9/9", "ghi", '$');
	raw_chunk(f, "m1m1", "4-7/9", "defg", '+');
	raw_expect(f, "tidm1m1 200");
	assert_int_equal(f->a.begins, 1);
	assert_int_equal(f->a.body_len, 0);
	f->a.pause = -EAGAIN;
	raw_chunk(f, "m1m1", "1-4/9", "abcd", '+');
	loop_settle(f->base);
	assert_string_equal(f->a.body, "abcd");
	f->a.pause = 0;
	endpoint_resume(f->a.ep, &f->a);
	assert_string_equal(f->a.body, "abcd");
	sides_wait(f, &f->a.ends, 1);
	assert_string_equal(f->a.body, "abcdefghi");
	raw_expect(f, "Byte-Range: 1-9/9\r\nStatus: 000 200\r\n");
}

static void streams_may_be_refused_at_any_piece(void **state)
{
	struct sides *f = *state;

	raw_open_stream(f);
	f->a.pause = 413;
	raw_chunk(f, "m1m1", "1-3/9", "abc", '+');
	raw_expect(f, "tidm1m1 413");
	assert_int_equal(f->a.ends, 1);
	assert_int_equal(f->a.end_err, -EMSGSIZE);
	raw_chunk(f, "m1m1", "4-6/9", "def", '+');
	f->got_len = 0;
	raw_expect(f, "tidm1m1 413");
	assert_int_equal(f->a.begins, 1);
}

static void streams_end_when_nothing_comes_any_more(void **state)
{
	struct sides *f = *state;

	raw_open_stream(f);
	raw_chunk(f, "m1m1", "1-3/9", "abc", '+');
	sides_wait(f, &f->a.ends, 1);
	assert_int_equal(f->a.end_err, -ETIMEDOUT);
	raw_chunk(f, "m2m2", "1-3/9", "abc", '+');
	sides_wait(f, &f->a.begins, 2);
	raw_chunk(f, "m2m2", "4-6/9", "def", '#');
	sides_wait(f, &f->a.ends, 2);
	assert_int_equal(f->a.end_err, -ECANCELED);
}

static void a_service_may_end_it_all_in_a_piece(void **state)
{
	struct sides *f = *state;

	raw_open_stream(f);
	f->a.give_up_on_piece = true;
	raw_chunk(f, "m1m1", "1-3/9", "abc", '+');
	sides_wait(f, &f->a.ends, 1);
	assert_int_equal(f->a.end_err, -ECONNRESET);
	f->a.give_up_on_piece = false;
	f->a.free_on_piece = true;
	raw_chunk(f, "m2m2", "1-3/9", "abc", '+');
	sides_wait(f, &f->a.begins, 2);
	loop_settle(f->base);
	assert_null(f->a.ep);
	raw_chunk(f, "m3m3", "1-1/1", "x", '$');
	raw_expect(f, "tidm3m3 481");
}

/* --- both connect --- */

static int raw_listen(uint16_t *portp)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 5), 0);
	getsockname(fd, (struct sockaddr *)&in, &len);
	*portp = ntohs(in.sin_port);
	return fd;
}

static void both_sides_may_connect(void **state)
{
	struct sides *f = *state;
	struct msrp_destination to = {.host = SLICE("127.0.0.1")};
	int listener = raw_listen(&to.port), first;

	assert_int_equal(sides_open_one(f, &f->a, "sideaaaaaaaaaaaaaaaaaaa", false), 0);
	assert_int_equal(endpoint_set_path(f->a.ep, NONE, SLICE("msrp://127.0.0.1:9/peer;tcp")), 0);
	endpoint_start(f->a.ep);
	assert_int_equal(endpoint_connect(f->a.ep, &to, true, 0), 0);
	sides_wait(f, &f->a.bound, 1);
	first = accept(listener, NULL, NULL);
	/* Nothing was answered on ours, and the peer speaks on its own. */
	raw_connect(f);
	raw_chunk(f, "m1m1", "1-1/1", "x", '$');
	raw_expect(f, "tidm1m1 200");
	raw_chunk(f, "m2m2", "1-1/1", "y", '$');
	raw_expect(f, "tidm2m2 200");
	assert_int_equal(f->a.messages, 2);
	/* It gives the other one up: the session goes on here. */
	close(first);
	assert_int_equal(side_send(&f->a, SLICE("hello"), FAILURE_REPORT_YES, false, 0), 0);
	raw_expect(f, "hello");
	assert_int_equal(f->a.lost, 0);
	/* A third one is a stranger. */
	first = raw_connect(f);
	raw_chunk(f, "m3m3", "1-1/1", "x", '$');
	raw_expect(f, "tidm3m3 506");
	close(first);
	close(listener);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sides_setup, sides_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(messages_go_both_ways),
	    CASE(an_empty_body_is_no_message),
	    CASE(empty_chunks_are_no_message),
	    CASE(repetitions_are_known_for_long),
	    CASE(too_long_a_message_is_refused_and_given_up),
	    CASE(unwelcome_types_are_refused),
	    CASE(the_service_may_report_later),
	    CASE(a_nickname_is_the_services_to_give),
	    CASE(who_has_spoken_is_known),
	    CASE(the_endpoint_may_be_freed_in_its_callback),
	    CASE(streams_pass_in_pieces),
	    CASE(a_paused_stream_holds_the_sender),
	    CASE(chunks_come_in_any_order),
	    CASE(incomplete_messages_are_bounded),
	    CASE(another_connection_is_506),
	    CASE(unknown_methods_and_longer_paths_are_refused),
	    CASE(streams_come_in_the_order_of_the_message),
	    CASE(streams_may_be_refused_at_any_piece),
	    CASE(streams_end_when_nothing_comes_any_more),
	    CASE(a_service_may_end_it_all_in_a_piece),
	    CASE(both_sides_may_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
