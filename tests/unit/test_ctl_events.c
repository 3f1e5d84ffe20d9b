#include "ctl/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "ctl_peer.h"
#include "event/bus.h"

static void test_subscribe(void **state)
{
	struct ctl_fixture *f = *state;
	struct ctl_peer a = ctl_peer_connect(f), b = ctl_peer_connect(f), c = ctl_peer_connect(f);

	assert_false(event_wanted(f->bus, &ctl_type_a));
	ctl_peer_says(&a, CALL("1", "event_subscribe", "{}"));
	ctl_peer_says(&b, CALL("1", "event_subscribe", "{\"names\":[\"E_B\"]}"));
	assert_line(&a, RESULT("1", "\"OK\""));
	assert_line(&b, RESULT("1", "\"OK\""));
	assert_true(event_wanted(f->bus, &ctl_type_a));
	ctl_emit(f, &ctl_type_a, 3, 'x');
	ctl_emit(f, &ctl_type_b, 2, 'y');
	assert_line(&a, EVENT("E_A", "{\"body\":\"xxx\"}"));
	assert_line(&a, EVENT("E_B", "{\"body\":\"yy\"}"));
	assert_line(&b, EVENT("E_B", "{\"body\":\"yy\"}"));
	assert_silence(&b);
	assert_silence(&c);
	ctl_peer_says(&a, CALL("2", "event_unsubscribe", "[[\"E_A\"]]"));
	assert_line(&a, RESULT("2", "\"OK\""));
	assert_false(event_wanted(f->bus, &ctl_type_a));
	ctl_emit(f, &ctl_type_a, 3, 'x');
	ctl_emit(f, &ctl_type_b, 1, 'z');
	assert_line(&a, EVENT("E_B", "{\"body\":\"z\"}"));
	assert_line(&b, EVENT("E_B", "{\"body\":\"z\"}"));
	ctl_peer_says(&a, CALL("3", "event_unsubscribe", "[]"));
	assert_line(&a, RESULT("3", "\"OK\""));
	ctl_peer_close(&b);
	ctl_settle(f);
	assert_false(event_wanted(f->bus, &ctl_type_b));
	ctl_peer_close(&a);
	ctl_peer_close(&c);
}

static void test_subscribe_to_unknown(void **state)
{
	struct ctl_fixture *f = *state;
	struct ctl_peer p = ctl_peer_connect(f);

	ctl_peer_says(&p,
	    CALL("1", "event_subscribe", "{\"names\":[\"E_A\",\"E_C\"]}")
		CALL("2", "event_subscribe", "{\"names\":[]}")
		    CALL("3", "event:unsubscribe", "{\"names\":\"E_A\"}"));
	assert_line_has(&p,
	    "\"id\":1,\"error\":{\"code\":-32602,\"message\":\"unknown event E_C\"");
	assert_line_has(&p, "\"id\":2,\"error\":{\"code\":-32602,");
	assert_line_has(&p, "\"id\":3,\"error\":{\"code\":-32602,");
	assert_false(event_wanted(f->bus, &ctl_type_a));
	ctl_peer_close(&p);
}

/* Large events are not copied for each; what each gets is the same. */
static void test_large_events(void **state)
{
	static const size_t sizes[] = {16000, 16300, 16384, 100000, 900000, 10};
	struct ctl_fixture *f = *state;
	struct ctl_peer a = ctl_peer_connect(f), b = ctl_peer_connect(f);

	ctl_peer_subscribe(&a);
	ctl_peer_subscribe(&b);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		ctl_emit(f, &ctl_type_a, sizes[i], (char)('a' + i));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *x = ctl_peer_line(&a), *y = ctl_peer_line(&b);

		assert_int_equal(strlen(x), sizes[i] + strlen(EVENT("E_A", "{\"body\":\"\"}")));
		assert_int_equal(x[strlen(x) - 4], 'a' + (int)i);
		assert_string_equal(x, y);
		free(x);
		free(y);
	}
	ctl_peer_close(&a);
	ctl_peer_close(&b);
}

/* A subscriber that stops reading is disconnected at the bound; the others miss nothing. */
static void test_slow_subscriber(void **state)
{
	enum { SIZE = 1000 };
	struct ctl_fixture *f = *state;
	struct ctl_peer slow = ctl_peer_connect(f), quick = ctl_peer_connect(f);
	unsigned emitted = 0, received = 0;
	char *line;

	ctl_peer_subscribe(&slow);
	ctl_peer_subscribe(&quick);
	f->settings.max_backlog = 200000;
	ctl_server_reload(f->server, &f->settings);
	while (ctl_stat(f, "disconnected") == 0 && emitted < 100000) {
		ctl_emit(f, &ctl_type_a, SIZE, 'x');
		emitted++;
		free(ctl_peer_line(&quick));
	}
	assert_int_equal(ctl_stat(f, "disconnected"), 1);
	assert_true(emitted > 200000 / (SIZE + 100));
	assert_int_equal(ctl_stat(f, "clients"), 1);
	ctl_emit(f, &ctl_type_b, 1, 'y');
	assert_line(&quick, EVENT("E_B", "{\"body\":\"y\"}"));
	/* what it had got before stands; then its line may be cut, and is the last */
	while (!slow.eof)
		ctl_peer_receive(&slow);
	while (slow.len && memchr(slow.bytes, '\n', slow.len)) {
		line = ctl_peer_line(&slow);
		assert_non_null(strstr(line, "E_A"));
		received++;
		free(line);
	}
	assert_true(received > 0 && received < emitted);
	ctl_peer_close(&slow);
	ctl_peer_close(&quick);
}

/* Who cannot be given an event must not believe that there was none. */
static void test_no_memory_for_an_event(void **state)
{
	struct ctl_fixture *f = *state;
	struct ctl_peer a = ctl_peer_connect(f), b = ctl_peer_connect(f);

	ctl_peer_subscribe(&a);
	ctl_peer_subscribe(&b);
	for (size_t size = 10; size <= 100000; size *= 10000) {
		ctl_no_memory = true;
		ctl_emit(f, &ctl_type_a, size, 'x');
		ctl_no_memory = false;
		assert_int_equal(ctl_stat(f, "clients"), 0);
		assert_end(&a);
		assert_end(&b);
		ctl_peer_close(&a);
		ctl_peer_close(&b);
		a = ctl_peer_connect(f);
		b = ctl_peer_connect(f);
		ctl_peer_subscribe(&a);
		ctl_peer_subscribe(&b);
	}
	assert_int_equal(ctl_stat(f, "disconnected"), 4);
	ctl_peer_close(&a);
	ctl_peer_close(&b);
}

/* An event that its own request brings about comes before the answer, or ends the client. */
static void test_event_inside_request(void **state)
{
	struct ctl_fixture *f = *state;
	struct ctl_peer p = ctl_peer_connect(f);

	ctl_peer_subscribe(&p);
	ctl_peer_says(&p, CALL("1", "emit", "[1]"));
	assert_line(&p, EVENT("E_A", "{\"body\":\"x\"}"));
	assert_line(&p, RESULT("1", "\"emitted\""));
	f->settings.max_backlog = 100000;
	ctl_server_reload(f->server, &f->settings);
	ctl_peer_says(&p, CALL("2", "emit", "[200000]") CALL("3", "emit", "[1]"));
	assert_end(&p);
	assert_int_equal(ctl_stat(f, "clients"), 0);
	assert_int_equal(ctl_stat(f, "disconnected"), 1);
	ctl_peer_close(&p);
}

static void test_half_closed_subscriber(void **state)
{
	struct ctl_fixture *f = *state;
	struct ctl_peer p = ctl_peer_connect(f), other;

	ctl_peer_says(&p, CALL("1", "event_subscribe", "[]"));
	shutdown(p.fd, SHUT_WR);
	assert_line(&p, RESULT("1", "\"OK\""));
	ctl_settle(f);
	ctl_emit(f, &ctl_type_a, 1, 'x');
	assert_line(&p, EVENT("E_A", "{\"body\":\"x\"}"));
	ctl_peer_close(&p);
	ctl_settle(f);
	other = ctl_peer_connect(f);
	assert_int_equal(ctl_stat(f, "clients"), 1);
	assert_false(event_wanted(f->bus, &ctl_type_a));
	ctl_peer_close(&other);
}

/* What was emitted in one turn of the loop leaves in one piece. */
static void test_events_leave_together(void **state)
{
	struct ctl_fixture *f = *state;
	struct ctl_peer p = ctl_peer_connect(f);
	char bytes[16384];
	ssize_t n;

	ctl_peer_subscribe(&p);
	for (int i = 0; i < 100; i++)
		ctl_emit(f, &ctl_type_a, 10, 'x');
	assert_int_equal(recv(p.fd, bytes, sizeof(bytes), 0), -1);
	ctl_turn(f);
	n = recv(p.fd, bytes, sizeof(bytes), 0);
	assert_int_equal(n, 100 * (strlen(EVENT("E_A", "{\"body\":\"\"}")) + 11));
	ctl_peer_close(&p);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, ctl_setup, ctl_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_subscribe),
	    CASE(test_subscribe_to_unknown),
	    CASE(test_large_events),
	    CASE(test_slow_subscriber),
	    CASE(test_no_memory_for_an_event),
	    CASE(test_event_inside_request),
	    CASE(test_half_closed_subscriber),
	    CASE(test_events_leave_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
