/* HTTP over time: answers that are read slowly, and bodies that nobody wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <msrpd/stats.h>

#include "loop.h"
#include "net/stream.h"
#include "web_visitor.h"

enum {
	TIMEOUT_MS = 500,
	LENGTH = 8 << 20, /* more than the kernel takes of an answer that is not read */
};

static int set_up(void **state)
{
	return visited_set_up(state, TIMEOUT_MS);
}

/* --- answers --- */

static bool has_answered(void *arg)
{
	const struct web_host *h = arg;

	return *h->web->http.requests > 0;
}

/* Until others have run into the time-outs, one after the other. */
static void wait_for_both_timeouts(struct web_host *h)
{
	struct visitor silent, idle;

	visitor_open(&silent, h);
	visitor_hears_the_end(&silent);
	assert_int_equal(silent.in.len, 0);
	visitor_open(&idle, h);
	visitor_say(&idle, SLICE("GET /x HTTP/1.1\r\nHost: x\r\n\r\n"));
	visitor_hears_the_end(&idle);
	assert_int_equal(visitor_count(&idle, "HTTP/1.1 404 "), 1);
	visitor_close(&silent);
	visitor_close(&idle);
}

/* There is something to say of a number. */
static void lengthen_metrics(struct web_host *h)
{
	static char help[LENGTH];
	static const struct stats_row rows[] = {{.name = "number", .help = help}, {0}};
	uint64_t *number;

	memset(help, 'x', sizeof(help) - 1);
	assert_int_equal(stats_register(h->stats, "test", rows, &number), 0);
}

static size_t told_length(const struct buffer *answer)
{
	static const struct slice header = SLICE("Content-Length: ");
	const char *line = memmem(answer->p, answer->len, header.p, header.len);

	assert_non_null(line);
	return strtoul(line + header.len, NULL, 10);
}

/* @param late  what comes behind the whole answer, or NULL */
static void read_slowly(struct web_host *h, const char *version, const char *header,
    const char *behind, const char *late)
{
	struct visitor v;
	const char *body;
	size_t whole, rest;
	char text[200];
	int n = snprintf(text, sizeof(text), "GET /metrics HTTP/%s\r\nHost: x\r\n%s\r\n%s", version,
	    header, behind);

	lengthen_metrics(h);
	*h->web->http.requests = 0;
	visitor_open(&v, h);
	v.deaf = true;
	assert_int_equal(send(v.fd, text, (size_t)n, MSG_NOSIGNAL), n);
	loop_until(h->base, has_answered, h);
	wait_for_both_timeouts(h);
	v.deaf = false;
	visitor_hears_the_end(&v);
	body = memmem(v.in.p, v.in.len, "\r\n\r\n", 4);
	assert_non_null(body);
	whole = told_length(&v.in);
	assert_true(whole > LENGTH);
	rest = v.in.len - (size_t)(body + 4 - v.in.p);
	assert_true(late ? rest > whole : rest == whole);
	assert_int_equal(visitor_count(&v, "HTTP/1.1 "), late ? 2 : 1);
	assert_true(!late || visitor_count(&v, late));
	visitor_close(&v);
}

static void test_slow_readers(void **state)
{
	read_slowly(*state, "1.1", "", "", NULL);
	read_slowly(*state, "1.0", "", "", NULL);
	read_slowly(*state, "1.1", "Connection: close\r\n", "", NULL);
}

/* What stands behind the request has its time from when the answer has left. */
static void test_what_is_behind_a_slow_answer(void **state)
{
	read_slowly(*state, "1.1", "", "GET / HTTP/1.1\r\n", "HTTP/1.1 408 ");
	read_slowly(*state, "1.1", "", "GET /\x01", "HTTP/1.1 400 ");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, visited_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_slow_readers),
	    CASE(test_what_is_behind_a_slow_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
