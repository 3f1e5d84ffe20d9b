/* src/edge over UDP, between a stack and a peer that the test plays: RFC 3261 17, RFC 6026. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/priv.h"
#include "edge/reply.h"
#include "edge/server_priv.h"
#include "edge_side.h"
#include "loop.h"
#include "net/guard.h"
#include "net/net.h"

static int set_up(void **state)
{
	static struct edge_side side;

	edge_side_open(&side, NULL);
	*state = &side;
	return 0;
}

static int tear_down(void **state)
{
	edge_side_close(*state);
	return 0;
}

/* 17.2.2: absorbed before there is an answer, and answered alike afterwards, until timer J. */
static void test_server(void **state)
{
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT], response[EDGE_SIDE_TEXT], first[EDGE_SIDE_TEXT];

	edge_request(w, text, "MESSAGE", "z9hG4bKa");
	edge_peer_send(w, text);
	edge_stack_wait(w, "MESSAGE ");
	edge_answer(w, response, "200 OK");
	edge_peer_send(w, text);
	edge_peer_send(w, edge_request(w, first, "MESSAGE", "z9hG4bKb"));
	edge_stack_wait(w, "MESSAGE ");
	assert_non_null(strstr(w->text, "z9hG4bKb"));
	assert_int_equal(edge_number(w, "repeats_in"), 1);
	edge_stack_send(w, response);
	edge_peer_wait(w, "SIP/2.0 200 OK\r\n");
	memcpy(first, w->text, EDGE_SIDE_TEXT);
	edge_peer_send(w, text);
	edge_peer_wait(w, "SIP/2.0 200 OK\r\n");
	assert_string_equal(w->text, first);
	loop_until(w->base, edge_side_is_quiet, w);
	edge_peer_send(w, text);
	edge_stack_wait(w, "MESSAGE ");
}

/* 17.2.1: timer G, the ACK, and timer I. */
static void test_server_invite(void **state)
{
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT], ack[EDGE_SIDE_TEXT], response[EDGE_SIDE_TEXT];

	edge_peer_send(w, edge_request(w, text, "INVITE", "z9hG4bKi"));
	edge_stack_wait(w, "INVITE ");
	edge_stack_send(w, edge_answer(w, response, "486 Busy Here"));
	edge_peer_wait(w, "SIP/2.0 486 ");
	edge_peer_wait(w, "SIP/2.0 486 ");
	edge_request(w, ack, "ACK", "z9hG4bKi");
	edge_peer_send(w, ack);
	edge_stack_wait(w, "ACK ");
	edge_peer_send(w, ack);
	edge_peer_send(w, text);
	loop_until(w->base, edge_side_is_quiet, w);
	assert_int_equal(edge_number(w, "repeats_in"), 2);
	assert_true(edge_number(w, "repeats_out") >= 1);
}

/* RFC 6026: the INVITE that comes again gets nothing, and its 2xx is the stack's to repeat. */
static void test_server_accepted(void **state)
{
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT], response[EDGE_SIDE_TEXT];

	edge_peer_send(w, edge_request(w, text, "INVITE", "z9hG4bKi"));
	edge_stack_wait(w, "INVITE ");
	edge_answer(w, response, "200 OK");
	for (int i = 0; i < 2; i++) {
		edge_stack_send(w, response);
		edge_peer_wait(w, "SIP/2.0 200 ");
	}
	edge_peer_send(w, text);
	loop_until(w->base, edge_side_is_quiet, w);
	assert_int_equal(edge_number(w, "repeats_in"), 1);
	assert_int_equal(edge_number(w, "repeats_out"), 0);
}

/* 8.2.2.2 */
static void test_merged(void **state)
{
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT];
	char *branch;

	edge_peer_send(w, edge_request(w, text, "MESSAGE", "z9hG4bKa"));
	edge_stack_wait(w, "MESSAGE ");
	branch = strstr(text, "z9hG4bKa");
	branch[7] = 'b';
	edge_peer_send(w, text);
	edge_peer_wait(w, "SIP/2.0 482 ");
}

/* What nobody is to hear. */
static void test_silence(void **state)
{
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT], response[EDGE_SIDE_TEXT], status[EDGE_SIDE_TEXT];

	edge_peer_send(w, edge_request(w, text, "MESSAGE", "z9hG4bKa"));
	edge_stack_wait(w, "MESSAGE ");
	snprintf(status, sizeof(status), "%d %s", EDGE_DROPPED, edge_silence(w->edge));
	edge_stack_send(w, edge_answer(w, response, status));
	loop_until(w->base, edge_side_is_quiet, w);
	edge_peer_send(w, edge_request(w, text, "MESSAGE", "z9hG4bKb"));
	edge_stack_wait(w, "MESSAGE ");
	edge_stack_send(w, edge_answer(w, response, "200 OK"));
	edge_peer_wait(w, "SIP/2.0 200 ");
}

static bool is_lost(void *arg)
{
	const struct edge_side *w = arg;

	return !edge_link_is_open(w->edge);
}

/* What the stack had not answered when its connection closed is new when it comes again. */
static void test_lost_link(void **state)
{
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT], response[EDGE_SIDE_TEXT];

	edge_peer_send(w, edge_request(w, text, "INVITE", "z9hG4bKa"));
	edge_stack_wait(w, "INVITE ");
	edge_stack_send(w, edge_answer(w, response, "180 Ringing"));
	edge_peer_wait(w, "SIP/2.0 180 ");
	close(w->stack);
	loop_until(w->base, is_lost, w);
	w->waiting_len = 0;
	edge_stack_connect(w);
	edge_peer_send(w, text);
	edge_stack_wait(w, "INVITE ");
	edge_stack_send(w, edge_answer(w, response, "200 OK"));
	edge_peer_wait(w, "SIP/2.0 200 ");
}

/* --- requests that stand alone --- */

/* Who takes them, and what came last. */
struct taker {
	unsigned count;
	int result;
	char text[EDGE_SIDE_TEXT];
	size_t head;
};

static int take(struct slice text, size_t head, void *arg)
{
	struct taker *t = arg;

	t->count++;
	t->head = head;
	memcpy(t->text, text.p, text.len);
	t->text[text.len] = '\0';
	return t->result;
}

static void take_alone(struct edge_side *w, struct taker *t)
{
	*t = (struct taker){0};
	w->edge->standalone = take;
	w->edge->arg = t;
}

static bool has_come(void *arg)
{
	return ((struct taker *)arg)->count > 0;
}

/* What is in a dialog, or may begin one, is the stack's as ever. */
static void test_alone(void **state)
{
	static const char *const alone[] = {"REGISTER", "MESSAGE", "OPTIONS", "PUBLISH", "FOO"};
	static const char *const others[] = {"INVITE", "SUBSCRIBE", "REFER", "BYE", "NOTIFY"};
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT], *to;
	struct taker t;

	take_alone(w, &t);
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
		t.count = 0;
		edge_peer_send(w, edge_request(w, text, alone[i], alone[i]));
		loop_until(w->base, has_come, &t);
		assert_int_equal(strncmp(t.text, alone[i], strlen(alone[i])), 0);
		assert_int_equal(t.head, strlen(t.text));
		assert_non_null(strstr(t.text, "\r\nVia: SIP/2.0/TCP 127.0.0.1:"));
	}
	t.count = 0;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		edge_peer_send(w, edge_request(w, text, others[i], others[i]));
		edge_stack_wait(w, others[i]);
	}
	edge_request(w, text, "MESSAGE", "z9hG4bKdialog");
	to = strstr(text, "To: <sip:b@h>") + strlen("To: <sip:b@h>");
	memmove(to + 6, to, strlen(to) + 1);
	memcpy(to, ";tag=2", 6);
	edge_peer_send(w, text);
	edge_stack_wait(w, "MESSAGE ");
	assert_int_equal(t.count, 0);
}

/* They are answered past the stack, even while it is away, and known when they come again. */
static void test_alone_answered(void **state)
{
	const struct edge_reply reply = {.code = 202,
	    .phrase = SLICE("so it is"),
	    .to_tag = SLICE("tag"),
	    .lines = SLICE("X: y\r\n")};
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT];
	struct taker t;

	take_alone(w, &t);
	edge_peer_send(w, edge_request(w, text, "MESSAGE", "z9hG4bKa"));
	loop_until(w->base, has_come, &t);
	edge_servers_forget(w->edge);
	edge_peer_send(w, text);
	edge_peer_send(w, edge_request(w, text, "MESSAGE", "z9hG4bKb"));
	t.count = 0;
	loop_until(w->base, has_come, &t);
	assert_int_equal(edge_number(w, "repeats_in"), 1);
	for (int i = 0; i < 2; i++) {
		if (i == 0)
			assert_int_equal(
			    edge_answer_standalone(w->edge, (struct slice){t.text, t.head}, &reply),
			    0);
		else
			edge_peer_send(w, text);
		edge_peer_wait(w, "SIP/2.0 202 so it is\r\n");
		assert_non_null(strstr(w->text, "\r\nTo: <sip:b@h>;tag=tag\r\n"));
		assert_non_null(strstr(w->text, "\r\nX: y\r\n"));
		assert_null(strstr(w->text, "SIP/2.0/TCP"));
	}
	assert_int_equal(t.count, 1);
}

/* One that cannot be taken is refused, and as new as ever when it comes again. */
static void test_alone_refused(void **state)
{
	static const struct {
		int result;
		const char *answer;
	} cases[] = {{-EBADMSG, "SIP/2.0 400 "}, {-ENOMEM, "SIP/2.0 500 "}};
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT];
	struct taker t;

	take_alone(w, &t);
	edge_request(w, text, "REGISTER", "z9hG4bKa");
	for (unsigned i = 0; i < 4; i++) {
		t.result = cases[i % 2].result;
		edge_peer_send(w, text);
		edge_peer_wait(w, cases[i % 2].answer);
		assert_int_equal(t.count, i + 1);
	}
	assert_int_equal(edge_number(w, "transactions"), 0);
}

/* 17.1.2.2: timer E until a final response; timer K absorbs it when it comes again. */
static void test_client(void **state)
{
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT], response[EDGE_SIDE_TEXT];

	edge_stack_send(w, edge_stack_request(w, text, "MESSAGE", "z9hG4bKm"));
	edge_peer_wait(w, "MESSAGE ");
	assert_non_null(strstr(w->text, "Max-Forwards: 70"));
	assert_null(strstr(w->text, "Route"));
	memcpy(text, w->text, EDGE_SIDE_TEXT);
	edge_peer_wait(w, "MESSAGE ");
	assert_string_equal(w->text, text);
	edge_answer(w, response, "200 OK");
	edge_peer_send(w, response);
	edge_stack_wait(w, "SIP/2.0 200 ");
	assert_non_null(strstr(w->text, "SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKm\r\n"));
	edge_peer_send(w, response);
	loop_until(w->base, edge_side_is_quiet, w);
	assert_int_equal(edge_number(w, "repeats_in"), 1);
	assert_true(edge_number(w, "repeats_out") >= 1);
}

/* 17.1.1.2: a provisional response ends timer A; a failure gets its ACK each time. */
static void test_client_invite(void **state)
{
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT], response[EDGE_SIDE_TEXT], ack[EDGE_SIDE_TEXT];

	edge_stack_send(w, edge_stack_request(w, text, "INVITE", "z9hG4bKi"));
	edge_peer_wait(w, "INVITE ");
	edge_peer_send(w, edge_answer(w, response, "180 Ringing"));
	edge_answer(w, response, "486 Busy Here");
	edge_stack_wait(w, "SIP/2.0 180 ");
	edge_peer_send(w, response);
	edge_stack_wait(w, "SIP/2.0 486 ");
	edge_stack_send(w, edge_stack_request(w, text, "ACK", "z9hG4bKi"));
	edge_peer_wait(w, "ACK ");
	memcpy(ack, w->text, EDGE_SIDE_TEXT);
	edge_peer_send(w, response);
	edge_peer_wait(w, "ACK ");
	assert_string_equal(w->text, ack);
	loop_until(w->base, edge_side_is_quiet, w);
}

/* The stack hears of the re-INVITE's failure first, and the peer's response gets its ACK all the same. */
static void test_crossing_bye(void **state)
{
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT], refusal[EDGE_SIDE_TEXT], tagged[EDGE_SIDE_TEXT];
	const char *to;

	edge_stack_request(w, text, "INVITE", "z9hG4bKi");
	to = strstr(text, "\r\nCall-ID");
	snprintf(tagged, sizeof(tagged), "%.*s;tag=2%s", (int)(to - text), text, to);
	edge_stack_send(w, tagged);
	edge_peer_wait(w, "INVITE ");
	edge_answer(w, refusal, "481 Gone");
	edge_peer_send(w, edge_request(w, text, "BYE", "z9hG4bKother"));
	edge_stack_wait(w, "BYE "); /* of another dialog */
	edge_peer_send(w, edge_request(w, text, "BYE", "z9hG4bKi"));
	edge_stack_wait(w, "BYE "); /* its tags are others */
	edge_request(w, text, "BYE", "z9hG4bKi");
	strstr(text, "branch=z9hG4bKi")[14] = 'b';
	to = strstr(text, ">\r\nCall-ID") + 1;
	snprintf(tagged, sizeof(tagged), "%.*s;tag=1%s", (int)(to - text), text, to);
	strstr(tagged, "tag=1")[4] = '2'; /* of From */
	edge_peer_send(w, tagged);
	edge_stack_wait(w, "SIP/2.0 487 ");
	edge_stack_wait(w, "BYE ");
	for (int i = 0; i < 2; i++) {
		edge_peer_send(w, refusal);
		edge_peer_wait(w, "ACK ");
		assert_non_null(strstr(w->text, "To: <sip:b@h>;tag=2\r\n"));
	}
	edge_peer_send(w, edge_request(w, text, "MESSAGE", "z9hG4bKm"));
	edge_stack_wait(w, "MESSAGE "); /* and nothing before it */
	loop_until(w->base, edge_side_is_quiet, w);
}

/* 18.4 */
static void test_client_unreachable(void **state)
{
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT];

	close(w->peer);
	edge_stack_send(w, edge_stack_request(w, text, "MESSAGE", "z9hG4bKm"));
	edge_stack_wait(w, "SIP/2.0 503 ");
	w->peer = socket(AF_INET, SOCK_DGRAM, 0);
}

/* A response is taken from whom its request went to alone. */
static void test_stray(void **state)
{
	struct edge_side *w = *state;
	char text[EDGE_SIDE_TEXT], response[EDGE_SIDE_TEXT];

	edge_stack_send(w, edge_stack_request(w, text, "MESSAGE", "z9hG4bKm"));
	edge_peer_wait(w, "MESSAGE ");
	edge_answer(w, response, "200 OK");
	strstr(response, "z9hG4bKm.")[10] ^= 1;
	edge_peer_send(w, response);
	edge_peer_send(w, edge_answer(w, response, "200 OK"));
	edge_stack_wait(w, "SIP/2.0 200 ");
	assert_int_equal(edge_number(w, "stray_responses"), 1);
}

/* --- shares --- */

static union addr address(const char *text)
{
	union addr addr;

	assert_int_equal(addr_parse_host(&addr, slice_of(text)), 0);
	return addr;
}

static edge_share share_of(struct edge_side *w, const char *text)
{
	const union addr addr = address(text);

	return edge_share_of(w->edge, &addr);
}

/* One address has an eighth once half is taken; those that no limit is for have what there is. */
static void test_shares(void **state)
{
	static char proxy[] = "192.0.2.9";
	static char *exempt[] = {proxy};
	static const struct net_guard_settings settings = {.auth_failure_window_ms = 1000,
	    .exempt = {exempt, 1}};
	struct edge_side *w = *state;
	struct edge *edge = w->edge;
	struct net_guard *guard;
	edge_share one, other;

	assert_int_equal(share_of(w, "192.0.2.1"), EDGE_SHARE_OF_NOBODY); /* no guard */
	assert_int_equal(net_guard_new(&guard, w->base, &settings, w->stats), 0);
	net_use_guard(edge->protocol.net, guard);
	one = share_of(w, "2001:db8::1");
	other = share_of(w, "2001:db8:0:1::1");
	assert_int_not_equal(one, EDGE_SHARE_OF_NOBODY);
	assert_int_equal(share_of(w, "2001:db8::ffff:0:0:1"), one);
	assert_int_equal(share_of(w, proxy), EDGE_SHARE_OF_NOBODY);
	if (other == one) /* which once in 4095 runs is so */
		other = one % (EDGE_SHARES - 1) + 1;
	w->settings.transaction_memory = 1 << 20;
	assert_true(edge_memory_take(edge, one, 1 << 19));
	assert_false(edge_memory_take(edge, one, 1));
	assert_true(edge_memory_take(edge, other, 1 << 17));
	assert_false(edge_memory_take(edge, other, 1));
	assert_true(edge_memory_take_datagram(edge, EDGE_SHARE_OF_NOBODY, 1 << 17));
	assert_false(edge_memory_take_datagram(edge, EDGE_SHARE_OF_NOBODY, 1));
	assert_true(edge_memory_take(edge, EDGE_SHARE_OF_NOBODY, 1 << 18));
	assert_false(edge_memory_take(edge, EDGE_SHARE_OF_NOBODY, 1));
	edge_memory_give(edge, EDGE_SHARE_OF_NOBODY, 3 << 17);
	edge_memory_give(edge, one, 1 << 19);
	assert_true(edge_memory_take(edge, other, 3 << 17));
	edge_memory_give(edge, other, 1 << 19);
	assert_int_equal(edge_number(w, "transaction_memory"), 0);
	net_use_guard(edge->protocol.net, NULL);
	net_guard_free(guard);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_server),
	    TEST(test_server_invite),
	    TEST(test_server_accepted),
	    TEST(test_merged),
	    TEST(test_silence),
	    TEST(test_lost_link),
	    TEST(test_alone),
	    TEST(test_alone_answered),
	    TEST(test_alone_refused),
	    TEST(test_client),
	    TEST(test_client_invite),
	    TEST(test_crossing_bye),
	    TEST(test_client_unreachable),
	    TEST(test_stray),
	    TEST(test_shares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
