/* WebSockets of the API over time: messages that do not end, and who is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "web_visitor.h"

enum { TIMEOUT_MS = 1000, QUIET_MS = 300 };

static int set_up(void **state)
{
	return visited_set_up(state, TIMEOUT_MS);
}

static void open_socket(struct visitor *v, struct web_host *h)
{
	char text[1000];
	int n = snprintf(text, sizeof(text),
	    "GET /api?token=%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Protocol: jsonrpc\r\n\r\n",
	    h->token);

	visitor_open(v, h);
	visitor_say(v, (struct slice){text, (size_t)n});
	visitor_hears(v, "\r\n\r\n");
	v->in.len = 0;
}

/* A frame of RFC 6455 5.2, whose mask is zero. */
static void say_frame(struct visitor *v, unsigned char first, struct slice payload)
{
	const char head[6] = {(char)first, (char)(0x80 | payload.len)};

	visitor_say(v, (struct slice){head, sizeof(head)});
	visitor_say(v, payload);
}

enum { TEXT = 0x01, CONTINUATION = 0x00, PING = 0x09, PONG = 0x0a, LAST = 0x80 };

#define PINGED "\x89"
#define PONGED "\x8a"
#define CLOSED "\x88\x02"

/* --- tests --- */

static bool is_reading(const struct web_host *h)
{
	return timer_queue_first(&h->web->sockets.reading) != NULL;
}

static void test_a_message_that_does_not_end(void **state)
{
	struct visitor v;

	open_socket(&v, *state);
	say_frame(&v, TEXT, SLICE("{\"json"));
	say_frame(&v, LAST | PING, SLICE("x"));
	visitor_hears(&v, PONGED "\x01x");
	assert_true(is_reading(*state));
	say_frame(&v, CONTINUATION, SLICE("rpc"));
	visitor_hears_the_end(&v);
	assert_int_equal(visitor_count(&v, CLOSED), 1);
	visitor_close(&v);
}

static void test_a_message_that_ends(void **state)
{
	static const char answer[] = "\"result\":\"OK\"";
	struct visitor v;

	open_socket(&v, *state);
	say_frame(&v, TEXT, SLICE("{\"jsonrpc\":\"2.0\",\"id\":1,"));
	say_frame(&v, LAST | CONTINUATION, SLICE("\"method\":\"watch\"}"));
	visitor_hears(&v, answer);
	assert_false(is_reading(*state));
	visitor_close(&v);
}

static void test_who_is_gone(void **state)
{
	struct web_host *h = *state;
	struct visitor v;

	timer_queue_set_period(&h->web->sockets.quiet, QUIET_MS);
	open_socket(&v, h);
	visitor_hears_the_end(&v);
	assert_int_equal(visitor_count(&v, PINGED), 2);
	assert_int_equal(visitor_count(&v, CLOSED), 1);
	visitor_close(&v);
}

/* Who answers, or pings himself, stays. */
static void test_who_is_there(void **state)
{
	struct web_host *h = *state;
	struct visitor v;

	timer_queue_set_period(&h->web->sockets.quiet, QUIET_MS);
	open_socket(&v, h);
	for (int i = 0; i < 6; i++) {
		visitor_hears(&v, PINGED);
		v.in.len = 0;
		say_frame(&v, LAST | (i % 2 ? PING : PONG), SLICE("x"));
	}
	assert_false(v.over);
	visitor_close(&v);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, visited_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_a_message_that_does_not_end),
	    CASE(test_a_message_that_ends),
	    CASE(test_who_is_gone),
	    CASE(test_who_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
