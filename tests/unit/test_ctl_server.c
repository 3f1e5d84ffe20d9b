#include "ctl/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>
#include <event2/event.h>

#include "ctl_peer.h"

static void test_pipelined(void **state)
{
	struct ctl_peer p = ctl_peer_connect(*state);

	ctl_peer_says(&p,
	    CALL("1", "count", "[]") CALL("\"b\"", "count",
		"{}") "{\"jsonrpc\":\"2.0\",\"method\":\"count\"}\n\n" CALL("3", "nope",
		"[]") "[" CALL("4", "count", "[]") "]\n"
						   "rubbish\n" CALL("5", "count", "[]"));
	assert_line(&p, RESULT("1", "0"));
	assert_line(&p, RESULT("\"b\"", "1"));
	assert_line_has(&p, "\"id\":3,\"error\":{\"code\":-32601,");
	/* a batch over two lines is two broken lines */
	assert_line_has(&p, "-32700");
	assert_line_has(&p, "-32700");
	assert_line_has(&p, "-32700");
	assert_line(&p, RESULT("5", "3"));
	assert_silence(&p);
	ctl_peer_close(&p);
}

static void test_byte_by_byte(void **state)
{
	static const char text[] = CALL("1", "count", "[]") CALL("2", "count", "[]");
	struct ctl_peer p = ctl_peer_connect(*state);

	for (const char *c = text; *c; c++) {
		ctl_peer_send(&p, c, 1);
		ctl_turn(*state);
	}
	assert_line(&p, RESULT("1", "0"));
	assert_line(&p, RESULT("2", "1"));
	ctl_peer_close(&p);
}

static void test_many_lines_at_once(void **state)
{
	enum { LINES = 5000 };
	struct ctl_peer p = ctl_peer_connect(*state);
	char expected[64];

	for (int i = 0; i < LINES; i++)
		ctl_peer_says(&p, CALL("0", "count", "[]"));
	for (int i = 0; i < LINES; i++) {
		snprintf(expected, sizeof(expected), RESULT("0", "%d"), i);
		assert_line(&p, expected);
	}
	assert_silence(&p);
	ctl_peer_close(&p);
}

/* Lines that bring no answer must not wait for a write that never comes. */
static void test_many_notifications(void **state)
{
	enum { LINES = 5000 };
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"method\":\"count\"}\n";
	struct ctl_peer p = ctl_peer_connect(*state);

	for (int i = 0; i < LINES; i++)
		ctl_peer_says(&p, line);
	ctl_peer_says(&p, CALL("1", "count", "[]"));
	assert_line(&p, RESULT("1", "5000"));
	assert_silence(&p);
	ctl_peer_close(&p);
}

/* No more is read than is handled. */
static void test_flood_of_notifications(void **state)
{
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"method\":\"count\"}\n";
	static char text[2000 * (sizeof(line) - 1)];
	struct ctl_fixture *f = *state;
	struct ctl_peer p = ctl_peer_connect(f);
	size_t sent = 0, handled;

	/* a long line first: its buffer is kept, and takes much at once */
	memset(text, ' ', 50000);
	ctl_peer_send(&p, text, 50000);
	ctl_peer_says(&p, CALL("1", "count", "[]"));
	assert_line(&p, RESULT("1", "0"));
	for (size_t i = 0; i < sizeof(text); i += sizeof(line) - 1)
		memcpy(text + i, line, sizeof(line) - 1);
	for (int turns = 0; turns < 200; turns++) {
		ssize_t n;

		do {
			n = send(p.fd, text + sent % sizeof(text),
			    sizeof(text) - sent % sizeof(text), MSG_NOSIGNAL);
			sent += n > 0 ? (size_t)n : 0;
		} while (n > 0);
		event_base_loop(f->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	}
	handled = (f->calls - 1) * (sizeof(line) - 1);
	assert_true(handled > 0 && handled < sent);
	assert_true(sent - handled < 600000);
	ctl_peer_close(&p);
}

static void test_two_clients(void **state)
{
	struct ctl_peer a = ctl_peer_connect(*state), b = ctl_peer_connect(*state);

	ctl_peer_says(&a, "{\"jsonrpc\":\"2.0\",\"id\":\"half ");
	ctl_peer_says(&b, CALL("\"b\"", "count", "[]"));
	assert_line(&b, RESULT("\"b\"", "0"));
	ctl_peer_says(&a, "a line\",\"method\":\"count\"}\n");
	assert_line(&a, RESULT("\"half a line\"", "1"));
	assert_silence(&b);
	ctl_peer_close(&a);
	ctl_peer_close(&b);
	ctl_settle(*state);
	assert_int_equal(ctl_stat(*state, "clients"), 0);
}

/* printf … | nc -U: answers come to a client that has said all that it will say. */
static void test_half_close(void **state)
{
	struct ctl_peer p = ctl_peer_connect(*state);

	ctl_peer_says(&p,
	    CALL("1", "letters", "[900000]")
		CALL("2", "letters", "[1]") "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"count\"}");
	shutdown(p.fd, SHUT_WR);
	assert_line_has(&p, "\"id\":1,\"result\":\"aaa");
	assert_line(&p, RESULT("2", "\"b\""));
	assert_line(&p, RESULT("3", "2"));
	assert_end(&p);
	assert_int_equal(ctl_stat(*state, "clients"), 0);
	ctl_peer_close(&p);
}

static void test_gone_before_the_answer(void **state)
{
	struct ctl_peer p = ctl_peer_connect(*state);

	ctl_peer_says(&p, CALL("1", "letters", "[900000]") CALL("2", "letters", "[900000]"));
	ctl_peer_close(&p);
	ctl_settle(*state);
	assert_int_equal(ctl_stat(*state, "clients"), 0);
}

static void test_line_too_long(void **state)
{
	struct ctl_fixture *f = *state;
	struct ctl_peer p = ctl_peer_connect(f);
	char *line = malloc(200000);
	int len;

	f->settings.max_request = 1024;
	ctl_server_reload(f->server, &f->settings);
	memset(line, ' ', 200000);
	/* 1024 bytes and a newline are a line; one more is not */
	len = snprintf(line, 200000, "%-1024s\n", CALL("1", "count", "[]"));
	line[strlen(CALL("1", "count", "[]")) - 1] = ' ';
	ctl_peer_send(&p, line, (size_t)len);
	assert_line(&p, RESULT("1", "0"));
	line[1024] = ' ';
	ctl_peer_send(&p, line, 1025);
	ctl_peer_says(&p, "\n");
	assert_line_has(&p, "\"id\":null,\"error\":{\"code\":-32600,");
	/* refused once, and before it has ended */
	for (int i = 0; i < 20; i++)
		ctl_peer_send(&p, line, 200000);
	assert_line_has(&p, "\"id\":null,\"error\":{\"code\":-32600,");
	assert_silence(&p);
	ctl_peer_says(&p, "\n" CALL("2", "count", "[]"));
	assert_line(&p, RESULT("2", "1"));
	assert_silence(&p);
	free(line);
	ctl_peer_close(&p);
}

static void test_long_line(void **state)
{
	struct ctl_peer p = ctl_peer_connect(*state);
	size_t len = (1 << 20) - 200;
	char *body = malloc(len);

	memset(body, ' ', len);
	ctl_peer_says(&p, "{\"jsonrpc\":\"2.0\",\"id\":1,");
	ctl_peer_send(&p, body, len);
	ctl_peer_says(&p, "\"method\":\"count\"}\n");
	assert_line(&p, RESULT("1", "0"));
	free(body);
	ctl_peer_close(&p);
}

/* Who asks and does not read is not read either; who reads at last gets every answer. */
static void test_back_pressure(void **state)
{
	enum { REQUESTS = 20000, SIZE = 2000 };
	static const char request[] = CALL("0", "letters", "[2000]");
	struct ctl_fixture *f = *state;
	struct ctl_peer p = ctl_peer_connect(f);
	size_t sent = 0, total = REQUESTS * strlen(request), received = 0;
	char *text = malloc(total);
	unsigned calls;

	for (size_t i = 0; i < REQUESTS; i++)
		memcpy(text + i * strlen(request), request, strlen(request));
	for (int idle = 0; idle < TURNS_IDLE && sent < total;) {
		ssize_t n = send(p.fd, text + sent, total - sent, MSG_NOSIGNAL);

		ctl_turn(f);
		idle = n > 0 ? 0 : idle + 1;
		sent += n > 0 ? (size_t)n : 0;
	}
	ctl_settle(f);
	calls = f->calls;
	/* what the socket holds, 64 KiB in the server, and what was begun */
	assert_true(calls > 0 && calls * SIZE < 400000);
	assert_true(sent < total);
	ctl_settle(f);
	assert_int_equal(f->calls, calls);
	while (received < REQUESTS) {
		char *line;

		if (sent < total) {
			ssize_t n = send(p.fd, text + sent, total - sent, MSG_NOSIGNAL);

			sent += n > 0 ? (size_t)n : 0;
		}
		line = ctl_peer_line(&p);
		assert_non_null(line);
		assert_int_equal(strlen(line), SIZE + strlen(RESULT("0", "\"\"")));
		assert_int_equal(line[strlen(line) - 5], 'a' + (int)(received++ % 26));
		free(line);
	}
	assert_silence(&p);
	free(text);
	ctl_peer_close(&p);
}
static void test_no_memory_for_an_answer(void **state)
{
	struct ctl_fixture *f = *state;
	struct ctl_peer p = ctl_peer_connect(f), other = ctl_peer_connect(f);

	ctl_peer_says(&p, CALL("1", "letters", "[100000]"));
	ctl_no_memory = true;
	ctl_settle(f);
	ctl_no_memory = false;
	assert_end(&p);
	ctl_peer_says(&other, CALL("1", "count", "[]"));
	assert_line(&other, RESULT("1", "1"));
	ctl_peer_close(&p);
	ctl_peer_close(&other);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, ctl_setup, ctl_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_pipelined),
	    CASE(test_byte_by_byte),
	    CASE(test_many_lines_at_once),
	    CASE(test_many_notifications),
	    CASE(test_flood_of_notifications),
	    CASE(test_two_clients),
	    CASE(test_half_close),
	    CASE(test_gone_before_the_answer),
	    CASE(test_line_too_long),
	    CASE(test_long_line),
	    CASE(test_back_pressure),
	    CASE(test_no_memory_for_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
