/* src/edge over UDP, between a stack and a peer that the test plays: RFC 3261 17, RFC 6026. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include <msrpd/timer.h>

#include "base/stats.h"
#include "edge/edge.h"
#include "edge/head.h"
#include "loop.h"
#include "net/net.h"

enum { TIMEOUT_MS = 3000, TEXT = 4096 };

struct world {
	struct event_base *base;
	struct stats *stats;
	struct net *net;
	struct edge_settings settings;
	struct edge *edge;
	struct edge_listener *listener;
	int peer, stack; /* sockets of the test's */
	union addr peer_addr;
	char link[EDGE_ROUTE_SIZE], own[EDGE_ROUTE_SIZE];
	char text[TEXT], waiting[4 * TEXT]; /* the message that came last; bytes behind it */
	size_t waiting_len;
};

static void on_link_lost(void *arg)
{
	(void)arg;
}

/* --- the stack --- */

static void stack_send(struct world *w, const char *text)
{
	assert_int_equal(write(w->stack, text, strlen(text)), (ssize_t)strlen(text));
}

/* Whole messages without bodies. */
static bool stack_has(void *arg)
{
	struct world *w = arg;
	ssize_t n = recv(w->stack, w->waiting + w->waiting_len,
	    sizeof(w->waiting) - 1 - w->waiting_len, MSG_DONTWAIT);
	const char *end;
	size_t len;

	if (n > 0)
		w->waiting_len += (size_t)n;
	w->waiting[w->waiting_len] = '\0';
	end = strstr(w->waiting, "\r\n\r\n");
	if (!end)
		return false;
	len = (size_t)(end + 4 - w->waiting);
	memcpy(w->text, w->waiting, len);
	w->text[len] = '\0';
	memmove(w->waiting, w->waiting + len, w->waiting_len - len);
	w->waiting_len -= len;
	return true;
}

static void stack_wait(struct world *w, const char *start)
{
	loop_until(w->base, stack_has, w);
	if (strncmp(w->text, start, strlen(start)) != 0)
		fail_msg("wanted %s, got %s", start, w->text);
}

static void connect_stack(struct world *w)
{
	union addr link = {.in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
	char text[TEXT];
	unsigned port;

	edge_link_route(w->edge, w->link);
	assert_int_equal(sscanf(strchr(w->link, '@'), "@127.0.0.1:%u", &port), 1);
	addr_set_port(&link, (uint16_t)port);
	w->stack = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(w->stack, &link.any, addr_len(&link)), 0);
	snprintf(text, sizeof(text),
	    "OPTIONS sip:edge@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK0\r\n"
	    "Route: %s\r\nFrom: <sip:s@h>;tag=1\r\nTo: <sip:edge@h>\r\nCall-ID: 0\r\n"
	    "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
	    w->link);
	stack_send(w, text);
	stack_wait(w, "SIP/2.0 200 ");
}

/* --- the peer --- */

static void peer_send(struct world *w, const char *text)
{
	const union addr *to = edge_listener_address(w->listener);

	assert_int_equal(sendto(w->peer, text, strlen(text), 0, &to->any, addr_len(to)),
	    (ssize_t)strlen(text));
}

static bool peer_has(void *arg)
{
	struct world *w = arg;
	ssize_t n = recv(w->peer, w->text, sizeof(w->text) - 1, MSG_DONTWAIT);

	if (n < 0)
		return false;
	w->text[n] = '\0';
	return true;
}

/* What comes again before it, on a slow machine, is passed over. */
static void peer_wait(struct world *w, const char *start)
{
	do
		loop_until(w->base, peer_has, w);
	while (strncmp(w->text, start, strlen(start)) != 0);
}

/* --- numbers --- */

struct lookup {
	const char *name;
	uint64_t value;
};

static void look(const struct stats_item *item, void *arg)
{
	struct lookup *l = arg;

	if (strcmp(item->name, l->name) == 0)
		l->value = item->value;
}

static uint64_t number(struct world *w, const char *name)
{
	struct lookup l = {name, UINT64_MAX};

	stats_each(w->stats, look, &l);
	assert_true(l.value != UINT64_MAX);
	return l.value;
}

static bool forgotten(void *arg)
{
	return number(arg, "transactions") == 0;
}

/* --- messages --- */

static const char *request(struct world *w, char text[TEXT], const char *method, const char *branch)
{
	char host[ADDR_TEXT_SIZE];

	addr_print(&w->peer_addr, host);
	snprintf(text, TEXT,
	    "%s sip:x@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s\r\nFrom: <sip:a@h>;tag=1\r\n"
	    "To: <sip:b@h>\r\nCall-ID: %s\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
	    method, host, host, branch, branch, method);
	return text;
}

/* What the stack has to say to the request in w->text. */
static const char *answer(struct world *w, char text[TEXT], const char *status)
{
	struct edge_head head = {0};
	struct edge_bounds bounds = {TEXT, TEXT, 100};
	struct edge_line line;
	size_t at = 0, len;

	assert_int_equal(edge_head_scan(&head, slice_of(w->text), &bounds), 0);
	len = (size_t)snprintf(text, TEXT, "SIP/2.0 %s\r\n", status);
	while (edge_head_next_line(&head, &at, &line))
		if (line.field != EDGE_OTHER && line.field != EDGE_MAX_FORWARDS
		    && line.field != EDGE_ROUTE && line.field != EDGE_CONTACT) {
			memcpy(text + len, line.text.p, line.text.len);
			len += line.text.len;
		}
	memcpy(text + len, "\r\n", 3);
	return text;
}

static const char *outgoing(struct world *w, char text[TEXT], const char *method,
    const char *branch)
{
	char to[ADDR_TEXT_SIZE];

	addr_print(&w->peer_addr, to);
	snprintf(text, TEXT,
	    "%s sip:x@%s SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=%s\r\nRoute: %s\r\n"
	    "From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: %s\r\nCSeq: 1 %s\r\n"
	    "Content-Length: 0\r\n\r\n",
	    method, to, branch, w->own, branch, method);
	return text;
}

/* --- tests --- */

static int set_up(void **state)
{
	static struct world w;
	struct edge_options options = {.settings = &w.settings,
	    .transaction_timeout_ms = TIMEOUT_MS,
	    .link_lost = on_link_lost};
	union addr any = {.in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
	struct reason why;

	w = (struct world){.base = event_base_new(),
	    .settings = {.max_message_size = 65536,
		.max_headers = 128,
		.max_header_size = 8192,
		.message_timeout_ms = 10000,
		.idle_timeout_ms = 600000,
		.max_connections = 10,
		.transaction_memory = 1 << 20}};
	assert_int_equal(stats_new(&w.stats), 0);
	assert_int_equal(net_new(&w.net, w.base), 0);
	options.net = w.net;
	options.stats = w.stats;
	assert_int_equal(edge_new(&w.edge, &options, &why), 0);
	assert_int_equal(
	    edge_listen(w.edge, edge_transport_find(SLICE("UDP")), &any, NULL, &w.listener, &why),
	    0);
	edge_listener_route(w.listener, w.own);
	w.peer = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(w.peer, &any.any, addr_len(&any)), 0);
	addr_of_socket(&w.peer_addr, w.peer);
	connect_stack(&w);
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	edge_free(w->edge);
	close(w->peer);
	close(w->stack);
	net_free(w->net);
	assert_int_equal(number(w, "transaction_memory"), 0);
	assert_int_equal(number(w, "transactions"), 0);
	stats_free(w->stats);
	event_base_free(w->base);
	return 0;
}

/* 17.2.2: absorbed before there is an answer, and answered alike afterwards, until timer J. */
static void test_server(void **state)
{
	struct world *w = *state;
	char text[TEXT], response[TEXT], first[TEXT];

	request(w, text, "MESSAGE", "z9hG4bKa");
	peer_send(w, text);
	stack_wait(w, "MESSAGE ");
	answer(w, response, "200 OK");
	peer_send(w, text);
	peer_send(w, request(w, first, "MESSAGE", "z9hG4bKb"));
	stack_wait(w, "MESSAGE ");
	assert_non_null(strstr(w->text, "z9hG4bKb"));
	assert_int_equal(number(w, "repeats_in"), 1);
	stack_send(w, response);
	peer_wait(w, "SIP/2.0 200 OK\r\n");
	memcpy(first, w->text, TEXT);
	peer_send(w, text);
	peer_wait(w, "SIP/2.0 200 OK\r\n");
	assert_string_equal(w->text, first);
	loop_until(w->base, forgotten, w);
	peer_send(w, text);
	stack_wait(w, "MESSAGE ");
}

/* 17.2.1: timer G, the ACK, and timer I. */
static void test_server_invite(void **state)
{
	struct world *w = *state;
	char text[TEXT], ack[TEXT], response[TEXT];

	peer_send(w, request(w, text, "INVITE", "z9hG4bKi"));
	stack_wait(w, "INVITE ");
	stack_send(w, answer(w, response, "486 Busy Here"));
	peer_wait(w, "SIP/2.0 486 ");
	peer_wait(w, "SIP/2.0 486 ");
	request(w, ack, "ACK", "z9hG4bKi");
	peer_send(w, ack);
	stack_wait(w, "ACK ");
	peer_send(w, ack);
	peer_send(w, text);
	loop_until(w->base, forgotten, w);
	assert_int_equal(number(w, "repeats_in"), 2);
	assert_true(number(w, "repeats_out") >= 1);
}

/* RFC 6026: the INVITE that comes again gets nothing, and its 2xx is the stack's to repeat. */
static void test_server_accepted(void **state)
{
	struct world *w = *state;
	char text[TEXT], response[TEXT];

	peer_send(w, request(w, text, "INVITE", "z9hG4bKi"));
	stack_wait(w, "INVITE ");
	answer(w, response, "200 OK");
	for (int i = 0; i < 2; i++) {
		stack_send(w, response);
		peer_wait(w, "SIP/2.0 200 ");
	}
	peer_send(w, text);
	loop_until(w->base, forgotten, w);
	assert_int_equal(number(w, "repeats_in"), 1);
	assert_int_equal(number(w, "repeats_out"), 0);
}

/* 8.2.2.2 */
static void test_merged(void **state)
{
	struct world *w = *state;
	char text[TEXT];
	char *branch;

	peer_send(w, request(w, text, "MESSAGE", "z9hG4bKa"));
	stack_wait(w, "MESSAGE ");
	branch = strstr(text, "z9hG4bKa");
	branch[7] = 'b';
	peer_send(w, text);
	peer_wait(w, "SIP/2.0 482 ");
}

/* What nobody is to hear. */
static void test_silence(void **state)
{
	struct world *w = *state;
	char text[TEXT], response[TEXT], status[TEXT];

	peer_send(w, request(w, text, "MESSAGE", "z9hG4bKa"));
	stack_wait(w, "MESSAGE ");
	snprintf(status, sizeof(status), "408 %s", edge_silence(w->edge));
	stack_send(w, answer(w, response, status));
	loop_until(w->base, forgotten, w);
	peer_send(w, request(w, text, "MESSAGE", "z9hG4bKb"));
	stack_wait(w, "MESSAGE ");
	stack_send(w, answer(w, response, "200 OK"));
	peer_wait(w, "SIP/2.0 200 ");
}

static bool is_lost(void *arg)
{
	const struct world *w = arg;

	return !edge_link_is_open(w->edge);
}

/* What the stack had not answered when its connection closed is new when it comes again. */
static void test_lost_link(void **state)
{
	struct world *w = *state;
	char text[TEXT], response[TEXT];

	peer_send(w, request(w, text, "INVITE", "z9hG4bKa"));
	stack_wait(w, "INVITE ");
	stack_send(w, answer(w, response, "180 Ringing"));
	peer_wait(w, "SIP/2.0 180 ");
	close(w->stack);
	loop_until(w->base, is_lost, w);
	w->waiting_len = 0;
	connect_stack(w);
	peer_send(w, text);
	stack_wait(w, "INVITE ");
	stack_send(w, answer(w, response, "200 OK"));
	peer_wait(w, "SIP/2.0 200 ");
}

/* 17.1.2.2: timer E until a final response; timer K absorbs it when it comes again. */
static void test_client(void **state)
{
	struct world *w = *state;
	char text[TEXT], response[TEXT];

	stack_send(w, outgoing(w, text, "MESSAGE", "z9hG4bKm"));
	peer_wait(w, "MESSAGE ");
	assert_non_null(strstr(w->text, "Max-Forwards: 70"));
	assert_null(strstr(w->text, "Route"));
	memcpy(text, w->text, TEXT);
	peer_wait(w, "MESSAGE ");
	assert_string_equal(w->text, text);
	answer(w, response, "200 OK");
	peer_send(w, response);
	stack_wait(w, "SIP/2.0 200 ");
	assert_non_null(strstr(w->text, "SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKm\r\n"));
	peer_send(w, response);
	loop_until(w->base, forgotten, w);
	assert_int_equal(number(w, "repeats_in"), 1);
	assert_true(number(w, "repeats_out") >= 1);
}

/* 17.1.1.2: a provisional response ends timer A; a failure gets its ACK each time. */
static void test_client_invite(void **state)
{
	struct world *w = *state;
	char text[TEXT], response[TEXT], ack[TEXT];

	stack_send(w, outgoing(w, text, "INVITE", "z9hG4bKi"));
	peer_wait(w, "INVITE ");
	peer_send(w, answer(w, response, "180 Ringing"));
	answer(w, response, "486 Busy Here");
	stack_wait(w, "SIP/2.0 180 ");
	peer_send(w, response);
	stack_wait(w, "SIP/2.0 486 ");
	stack_send(w, outgoing(w, text, "ACK", "z9hG4bKi"));
	peer_wait(w, "ACK ");
	memcpy(ack, w->text, TEXT);
	peer_send(w, response);
	peer_wait(w, "ACK ");
	assert_string_equal(w->text, ack);
	loop_until(w->base, forgotten, w);
}

/* 18.4 */
static void test_client_unreachable(void **state)
{
	struct world *w = *state;
	char text[TEXT];

	close(w->peer);
	stack_send(w, outgoing(w, text, "MESSAGE", "z9hG4bKm"));
	stack_wait(w, "SIP/2.0 503 ");
	w->peer = socket(AF_INET, SOCK_DGRAM, 0);
}

/* A response is taken from whom its request went to alone. */
static void test_stray(void **state)
{
	struct world *w = *state;
	char text[TEXT], response[TEXT];

	stack_send(w, outgoing(w, text, "MESSAGE", "z9hG4bKm"));
	peer_wait(w, "MESSAGE ");
	answer(w, response, "200 OK");
	strstr(response, "z9hG4bKm.")[10] ^= 1;
	peer_send(w, response);
	peer_send(w, answer(w, response, "200 OK"));
	stack_wait(w, "SIP/2.0 200 ");
	assert_int_equal(number(w, "stray_responses"), 1);
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
	    TEST(test_client),
	    TEST(test_client_invite),
	    TEST(test_client_unreachable),
	    TEST(test_stray),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
