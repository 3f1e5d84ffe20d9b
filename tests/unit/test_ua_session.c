/* Sessions between two UAs of their own, each with its stacks, on one loop. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include "loop.h"
#include "msrp/conn.h"
#include "ua/priv.h"
#include "ua_host.h"

struct pair {
	struct event_base *base;
	struct host a, b;
};

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->base = event_base_new();
	p->b.accepts = "text/plain";
	*state = p;
	return 0;
}

/* Not in setup: a test may want other settings. */
static void open_both(struct pair *p)
{
	host_open(&p->a, p->base);
	host_open(&p->b, p->base);
}

static int teardown(void **state)
{
	struct pair *p = *state;

	if (p->a.ua)
		host_close(&p->a);
	if (p->b.ua)
		host_close(&p->b);
	event_base_free(p->base);
	free(p);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* --- set-up --- */

static void test_call(void **state)
{
	struct pair *p = *state;
	struct ua_session_info info;

	open_both(p);
	host_connect(&p->a, &p->b, "text/plain message/cpim");
	assert_int_equal(strlen(ua_session_id(p->a.s)), 22);
	assert_string_not_equal(ua_session_id(p->a.s), ua_session_id(p->b.s));
	assert_ptr_equal(ua_find(p->a.ua, slice_of(p->a.id)), p->a.s);
	ua_session_info(p->b.s, &info);
	assert_false(info.uac);
	assert_string_equal(info.state, "established");
	assert_true(slice_equal(info.from_uri, SLICE("sip:alice@a.example")));
	assert_true(slice_equal(info.to_uri, SLICE("sip:bob@b.example")));
	assert_true(ua_accepts(p->b.s, SLICE("message/cpim")));
	assert_true(ua_accepts_wrapped(p->b.s, SLICE("text/html")));
	assert_true(ua_accepts(p->a.s, SLICE("Text/Plain;charset=utf-8")));
	assert_false(ua_accepts(p->a.s, SLICE("message/cpim")));
	assert_false(ua_accepts_wrapped(p->a.s, SLICE("text/plain")));
	assert_int_equal(host_number(&p->a, "ua", "sessions"), 1);
	assert_int_equal(host_number(&p->b, "ua", "established"), 1);
	ua_end(p->a.s);
	host_wait(&p->b, "end:bye ");
	host_quiet(&p->a);
	assert_string_equal(p->a.log, "");
	assert_int_equal(host_number(&p->a, "ua", "sessions"), 0);
	assert_int_equal(host_number(&p->b, "ua", "sessions"), 0);
}

/* However many spaces it came with; and the peer's list of nothing but a wildcard. */
static void test_lists(void **state)
{
	struct pair *p = *state;

	p->b.accepts = "*";
	open_both(p);
	assert_int_equal(host_call(&p->a, &p->b, " text/plain   image/* "), 0);
	host_wait(&p->b, "new:text/plain image/* ");
	host_wait(&p->a, "new:* ");
	assert_true(ua_accepts(p->b.s, SLICE("image/png")));
	assert_true(ua_accepts(p->a.s, SLICE("x/y")));
	assert_false(ua_accepts(p->a.s, SLICE("x")));
}

static void test_refused(void **state)
{
	struct pair *p = *state;

	open_both(p);
	assert_int_equal(host_call(&p->a, &p->b, "image/png"), 0);
	host_wait(&p->a, "failed:488 ");
	assert_string_equal(p->b.log, "refused ");
	p->b.accepts = NULL;
	assert_int_equal(host_call(&p->a, &p->b, "text/plain"), 0);
	host_wait(&p->a, "failed:404 ");
	assert_int_equal(host_number(&p->a, "ua", "sessions"), 0);
	assert_int_equal(host_number(&p->a, "ua", "failed"), 2);
}

static void test_unreachable(void **state)
{
	struct pair *p = *state;
	struct host nowhere = {.uri = "sip:127.0.0.1:9;transport=tcp"};

	open_both(p);
	assert_int_equal(host_call(&p->a, &nowhere, "text/plain"), 0);
	host_wait(&p->a, "failed:503(local) ");
}

static void test_bad_arguments(void **state)
{
	static const char *const types[] = {"", " ", "text", "text/", "/plain",
	    "text/plain,text/html", "text/plain\r\nX: y", "text/pl\x01in"};
	static const char *const uris[] = {"", "bob", "http://example.org", "sip:"};
	struct pair *p = *state;

	open_both(p);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(host_call(&p->a, &p->b, types[i]), -EINVAL);
	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
		struct host to = {.uri = ""};

		snprintf(to.uri, sizeof(to.uri), "%s", uris[i]);
		assert_int_equal(host_call(&p->a, &to, "text/plain"), -EINVAL);
	}
	assert_int_equal(host_number(&p->a, "ua", "sessions"), 0);
}

static void test_ended_while_it_rings(void **state)
{
	struct pair *p = *state;
	uint64_t deadline = timer_now_ms() + LOOP_DEADLINE_MS;

	open_both(p);
	assert_int_equal(host_call(&p->a, &p->b, "text/plain"), 0);
	ua_end(p->a.s);
	assert_null(ua_find(p->a.ua, slice_of(p->a.id)));
	do {
		assert_true(timer_now_ms() < deadline);
		host_quiet(&p->a);
	} while (host_number(&p->b, "ua", "sessions") > 0);
	assert_string_equal(p->a.log, "");
}

/* --- messages --- */

static void test_messages(void **state)
{
	struct pair *p = *state;
	char id[UA_MESSAGE_ID_SIZE];

	open_both(p);
	host_connect(&p->a, &p->b, "*");
	assert_int_equal(host_send(&p->a, "text/plain", "hello", id), 0);
	assert_true(strlen(id) >= 4);
	host_wait(&p->b, "msg:text/plain:hello ");
	host_wait(&p->a, "report:000 200:1-5/5 ");
	assert_int_equal(host_send(&p->b, "x/y", "z", NULL), 0);
	host_wait(&p->a, "msg:x/y:z ");
	host_wait(&p->b, "report:000 200:1-1/1 ");
	/* A SEND without a body, or with one of no bytes, is no message. */
	assert_int_equal(host_send(&p->a, "text/plain", "", NULL), 0);
	host_wait(&p->a, "report:000 200:1-0/0 ");
	assert_int_equal(host_send(&p->a, NULL, NULL, NULL), 0);
	host_wait(&p->a, "report:000 200:1-0/0 ");
	assert_string_equal(p->b.log, "");
	p->b.verdict = 413;
	assert_int_equal(host_send(&p->a, "text/plain", "late", NULL), 0);
	host_wait(&p->b, "msg:text/plain:late ");
	host_wait(&p->a, "report:000 413:1-4/4 ");
}

static void test_queued_before(void **state)
{
	struct pair *p = *state;

	open_both(p);
	assert_int_equal(host_call(&p->a, &p->b, "text/plain"), 0);
	assert_int_equal(host_send(&p->a, "text/plain", "one", NULL), 0);
	assert_int_equal(host_send(&p->a, "text/html", "no", NULL), 0);
	assert_int_equal(host_send(&p->a, "text/plain", "two", NULL), 0);
	host_wait(&p->b, "new:text/plain msg:text/plain:one msg:text/plain:two ");
	host_wait(&p->a,
	    "new:text/plain report:000 415:1-2/2 report:000 200:1-3/3 "
	    "report:000 200:1-3/3 ");
}

static void test_not_sent(void **state)
{
	struct pair *p = *state;
	char body[1002];

	p->a.ua_settings.max_queued_bytes = 1000;
	open_both(p);
	host_connect(&p->a, &p->b, "text/plain");
	memset(body, 'x', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	assert_int_equal(host_send(&p->a, "text/plain", body, NULL), -ENOBUFS);
	assert_int_equal(host_send(&p->a, "text/html", "x", NULL), -EPROTOTYPE);
	assert_int_equal(host_send(&p->a, "text/plain\r\nX: y", "x", NULL), -EINVAL);
	assert_int_equal(host_send(&p->a, "text", "x", NULL), -EINVAL);
	host_quiet(&p->a);
	assert_string_equal(p->b.log, "");
}

static void test_max_size(void **state)
{
	struct pair *p = *state;
	struct message_out big = {.content_type = SLICE("text/plain")};

	open_both(p);
	host_connect(&p->a, &p->b, "text/plain");
	big.body.bytes.len = (size_t)p->b.msrp_settings.max_message_size + 1;
	big.body.bytes.p = calloc(1, big.body.bytes.len);
	assert_non_null(big.body.bytes.p);
	assert_int_equal(ua_send(p->a.s, &big, 0, NULL), -EMSGSIZE);
	free((void *)big.body.bytes.p);
}

/* RFC 4975 10.6 */
static void test_type_refused(void **state)
{
	struct pair *p = *state;

	p->b.streams = true;
	p->b.accepts = "text/*";
	open_both(p);
	host_connect(&p->a, &p->b, "text/plain");
	p->b.verdict = 415;
	assert_int_equal(host_send(&p->a, "text/html;x=y", "no", NULL), 0);
	host_wait(&p->b, "begin:text/html;x=y ");
	host_quiet(&p->a);
	assert_non_null(strstr(p->a.log, "report:000 415"));
	p->b.verdict = 0;
	assert_int_equal(host_send(&p->a, "TEXT/HTML", "no", NULL), -EPROTOTYPE);
	assert_false(ua_accepts(p->a.s, SLICE("text/html")));
	assert_int_equal(host_send(&p->a, "text/plain", "yes", NULL), 0);
	host_wait(&p->b, "begin:text/plain whole:0:3 ");
}

struct source {
	char piece[4096];
	size_t left;
	int done;
};

static int on_pull(void *arg, size_t want, struct slice *piece)
{
	struct source *source = arg;
	size_t n = want < sizeof(source->piece) ? want : sizeof(source->piece);

	if (n > source->left)
		n = source->left;
	source->left -= n;
	*piece = (struct slice){source->piece, n};
	return 0;
}

static void on_done(void *arg)
{
	((struct source *)arg)->done++;
}

/* Larger than max-size, which is no bound for a service that takes streams. */
static void test_stream(void **state)
{
	struct pair *p = *state;
	struct source source = {.left = 0};
	struct message_out message = {
	    .content_type = SLICE("text/plain"),
	    .body = {.pull = on_pull, .done = on_done, .arg = &source},
	};
	char expected[64];

	p->b.streams = true;
	open_both(p);
	host_connect(&p->a, &p->b, "text/plain");
	source.left = (size_t)p->b.msrp_settings.max_message_size + 12345;
	message.body.total = source.left;
	snprintf(expected, sizeof(expected), "begin:text/plain whole:0:%zu ", source.left);
	assert_int_equal(ua_send(p->a.s, &message, 0, NULL), 0);
	host_wait(&p->b, expected);
	assert_int_equal(source.done, 1);
}

/* --- ending --- */

static void test_end_in_handlers(void **state)
{
	struct pair *p = *state;

	open_both(p);
	p->b.end_in = "new";
	assert_int_equal(host_call(&p->a, &p->b, "text/plain"), 0);
	/* The BYE may come sooner or later than the 481 to the first SEND. */
	host_wait_either(&p->a, "new:text/plain end:bye ", "new:text/plain end:failed ");
	host_wait(&p->b, "new:text/plain ");
	p->b.end_in = NULL;
	p->a.end_in = "new";
	assert_int_equal(host_call(&p->a, &p->b, "text/plain"), 0);
	host_wait(&p->b, "new:text/plain end:bye ");
	host_wait(&p->a, "new:text/plain ");
	p->a.end_in = NULL;
	p->b.end_in = "msg";
	host_connect(&p->a, &p->b, "text/plain");
	assert_int_equal(host_send(&p->a, "text/plain", "bye", NULL), 0);
	host_wait(&p->b, "msg:text/plain:bye ");
	host_wait(&p->a, "end:bye ");
	p->b.end_in = NULL;
	p->a.end_in = "report";
	host_connect(&p->a, &p->b, "text/plain");
	assert_int_equal(host_send(&p->a, "text/plain", "bye", NULL), 0);
	host_wait(&p->b, "msg:text/plain:bye end:bye ");
	assert_int_equal(host_number(&p->a, "ua", "sessions"), 0);
	assert_int_equal(host_number(&p->b, "ua", "sessions"), 0);
}

static void test_end_in_a_report_of_the_queue(void **state)
{
	struct pair *p = *state;

	open_both(p);
	p->a.end_in = "report";
	assert_int_equal(host_call(&p->a, &p->b, "text/plain"), 0);
	assert_int_equal(host_send(&p->a, "text/html", "no", NULL), 0);
	assert_int_equal(host_send(&p->a, "text/html", "no", NULL), 0);
	host_wait(&p->b, "new:text/plain end:bye ");
	host_wait(&p->a, "new:text/plain report:000 415:1-2/2 ");
}

/* BYE, and told once. */
static void test_expiry(void **state)
{
	struct pair *p = *state;

	p->a.ua_settings.max_duration_ms = 200;
	p->a.ua_settings.cleanup_interval_ms = 50;
	open_both(p);
	host_connect(&p->a, &p->b, "text/plain");
	host_wait(&p->a, "end:expired ");
	host_wait(&p->b, "end:bye ");
	host_quiet(&p->a);
	assert_string_equal(p->a.log, "");
	assert_int_equal(host_number(&p->a, "ua", "ended_expired"), 1);
}

static bool has_connection(void *arg)
{
	return msrp_stack_connections(((struct pair *)arg)->b.msrp) == 1;
}

/* RFC 4975 5.4: what was not answered is told of, then the end. */
static void test_connection_lost(void **state)
{
	struct pair *p = *state;

	p->a.ua_settings.reconnect_grace_ms = 100;
	p->b.ua_settings.reconnect_grace_ms = 3000;
	open_both(p);
	host_connect(&p->a, &p->b, "text/plain");
	loop_until(p->base, has_connection, p);
	host_quiet(&p->a);
	msrp_conn_close(endpoint_conn(p->b.s->endpoint), -ECONNRESET);
	assert_int_equal(host_send(&p->a, "text/plain", "too late", NULL), 0);
	host_wait(&p->a, "report:000 481:1-8/8 end:failed ");
	host_wait(&p->b, "end:bye ");
	assert_int_equal(host_number(&p->a, "ua", "ended_failed"), 1);
}

static void on_stopped(void *arg)
{
	*(bool *)arg = true;
}

static bool is_true(void *arg)
{
	return *(bool *)arg;
}

/* A service says things of its own in SDP, and hears such things of the peer (RFC 7701 8). */
static void test_attributes(void **state)
{
	struct pair *p = *state;

	p->a.attributes = "a=chatroom:nickname private-messages\r\na=x\r\n";
	p->a.peer_attribute = p->b.peer_attribute = "chatroom";
	open_both(p);
	host_connect(&p->a, &p->b, "text/plain");
	assert_true(slice_equal(ua_peer_attribute(p->b.s), SLICE("nickname private-messages")));
	assert_null(ua_peer_attribute(p->a.s).p);
}

/* What the endpoint has read comes to the service, and its status back (RFC 7701 7.1). */
static void test_nickname(void **state)
{
	struct pair *p = *state;

	p->b.streams = true;
	open_both(p);
	host_connect(&p->a, &p->b, "text/plain");
	assert_int_equal(ua_endpoint_handler.nickname(SLICE("Al"), p->a.s), 425);
	host_wait(&p->a, "nickname:Al ");
	assert_int_equal(ua_endpoint_handler.nickname(SLICE("Bo"), p->b.s), 501);
	p->a.end_in = "nickname";
	assert_int_equal(ua_endpoint_handler.nickname(SLICE("Al"), p->a.s), 425);
	host_wait(&p->a, "nickname:Al ");
	host_wait(&p->b, "end:bye ");
}

static void test_stop(void **state)
{
	struct pair *p = *state;
	bool stopped = false;
	char body[100001];

	p->b.streams = true;
	open_both(p);
	host_connect(&p->a, &p->b, "text/plain");
	memset(body, 'x', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	assert_int_equal(host_send(&p->a, "text/plain", body, NULL), 0);
	ua_stop(p->a.ua, on_stopped, &stopped);
	assert_false(stopped);
	assert_int_equal(host_send(&p->a, "text/plain", "more", NULL), -EPIPE);
	host_wait(&p->b, "begin:text/plain whole:0:100000 end:bye ");
	loop_until(p->base, is_true, &stopped);
	host_wait(&p->a, "end:stopped ");
	assert_true(host_call(&p->a, &p->b, "text/plain") < 0);
	assert_int_equal(host_call(&p->b, &p->a, "text/plain"), 0);
	p->a.accepts = "text/plain";
	host_wait(&p->b, "failed:503 ");
}

static void test_stop_idle(void **state)
{
	struct pair *p = *state;
	bool stopped = false;

	open_both(p);
	ua_stop(p->a.ua, on_stopped, &stopped);
	assert_false(stopped);
	loop_until(p->base, is_true, &stopped);
}

/* What is under way when everything goes is no reason to trip. */
static void test_free_at_any_time(void **state)
{
	struct pair *p = *state;

	open_both(p);
	host_connect(&p->a, &p->b, "text/plain");
	assert_int_equal(host_send(&p->a, "text/plain", "left behind", NULL), 0);
	assert_int_equal(host_call(&p->a, &p->b, "text/plain"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_call),
	    TEST(test_lists),
	    TEST(test_refused),
	    TEST(test_unreachable),
	    TEST(test_bad_arguments),
	    TEST(test_ended_while_it_rings),
	    TEST(test_messages),
	    TEST(test_queued_before),
	    TEST(test_not_sent),
	    TEST(test_max_size),
	    TEST(test_type_refused),
	    TEST(test_stream),
	    TEST(test_end_in_handlers),
	    TEST(test_end_in_a_report_of_the_queue),
	    TEST(test_expiry),
	    TEST(test_connection_lost),
	    TEST(test_attributes),
	    TEST(test_nickname),
	    TEST(test_stop),
	    TEST(test_stop_idle),
	    TEST(test_free_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
