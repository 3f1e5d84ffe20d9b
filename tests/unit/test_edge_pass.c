/* Requests that go on past the stack: a stack, clients and a node, all of the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <msrpd/hex.h>

#include "dns_server.h"
#include "edge/client_priv.h"
#include "edge/priv.h"
#include "edge/service_priv.h"
#include "edge_side.h"
#include "loop.h"

enum { TEXT = EDGE_SIDE_TEXT, ROUTE = 512 };

struct world {
	struct edge_side side; /* first: its functions take it */
	struct dns_server dns; /* knows a host node.test */
	int node, phone;       /* a client by TCP; -1: none */
	union addr node_addr;
	/* Of pass_invite(): its Record-Routes, and its Call-ID. */
	char for_node[ROUTE], for_peer[ROUTE], call_id[100];
};

static int set_up(void **state)
{
	static struct world w;
	static const struct dns_record record = {"_x", 1, 0, 1, "node.test"};
	union addr any = {.in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};

	edge_side_open(&w.side, w.dns.address);
	dns_server_open(&w.dns, w.side.base);
	w.dns.records = &record;
	w.dns.count = 1;
	w.phone = -1;
	w.node = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(w.node, &any.any, addr_len(&any)), 0);
	addr_of_socket(&w.node_addr, w.node);
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	close(w->node);
	if (w->phone >= 0)
		close(w->phone);
	dns_server_close(&w->dns);
	edge_side_close(&w->side);
	return 0;
}

/* --- the node, and the phone, are peers, too --- */

static void send_as(struct world *w, int who, const char *text)
{
	int peer = w->side.peer;

	w->side.peer = who;
	edge_peer_send(&w->side, text);
	w->side.peer = peer;
}

static void wait_as(struct world *w, int who, const char *start)
{
	int peer = w->side.peer;

	w->side.peer = who;
	edge_peer_wait(&w->side, start);
	w->side.peer = peer;
}

static void node_send(struct world *w, const char *text)
{
	send_as(w, w->node, text);
}

static void node_wait(struct world *w, const char *start)
{
	wait_as(w, w->node, start);
}

static bool is_silent(int who)
{
	char byte;

	return recv(who, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0;
}

static void read_record_routes(struct world *w, char first[ROUTE], char second[ROUTE])
{
	const char *text = w->side.text;

	assert_int_equal(sscanf(strstr(text, "Record-Route: "), "Record-Route: %511[^,], %511[^\r]",
			     first, second),
	    2);
	assert_int_equal(sscanf(strstr(text, "Call-ID: "), "Call-ID: %99[^\r]", w->call_id), 1);
}

/* --- an INVITE of the peer's, which the stack has got, goes to the node --- */

static void pass(struct world *w, const char *got, const char *node_host)
{
	char node[120], own[120], host[ADDR_TEXT_SIZE];
	struct edge_passing passing;

	snprintf(node, sizeof(node), "sip:%s:%u;transport=udp", node_host,
	    addr_port(&w->node_addr));
	addr_print(edge_listener_address(w->side.listener), host);
	snprintf(own, sizeof(own), "sip:%s;transport=udp", host);
	passing = (struct edge_passing){slice_of(got), slice_of(node), slice_of(own)};
	assert_int_equal(edge_pass_on(w->side.edge, &passing), 0);
}

static void take_invite(struct world *w, char got[TEXT])
{
	char text[TEXT];

	edge_peer_send(&w->side, edge_request(&w->side, text, "INVITE", "z9hG4bKi"));
	edge_stack_wait(&w->side, "INVITE ");
	memcpy(got, w->side.text, TEXT);
}

static void pass_invite(struct world *w)
{
	char text[TEXT], got[TEXT];

	take_invite(w, got);
	pass(w, got, "127.0.0.1");
	node_wait(w, "INVITE ");
	read_record_routes(w, w->for_node, w->for_peer);
	/* What the stack says of it from now on nobody hears. */
	memcpy(text, w->side.text, TEXT);
	memcpy(w->side.text, got, TEXT);
	edge_stack_send(&w->side, edge_answer(&w->side, got, "408 Nothing"));
	memcpy(w->side.text, text, TEXT);
}

/* Of a dialog; headers are whole lines. */
static const char *within(char text[TEXT], const char *method, const union addr *to,
    const char *call_id, const char *headers)
{
	static unsigned number;
	char host[ADDR_TEXT_SIZE];

	addr_print(to, host);
	snprintf(text, TEXT,
	    "%s sip:x@%s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK%u\r\n"
	    "%sFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\nCall-ID: %s\r\n"
	    "CSeq: 2 %s\r\nContent-Length: 0\r\n\r\n",
	    method, host, ++number, headers, call_id, method);
	return text;
}

/* Of the dialog that pass_invite() has begun, or as if. */
static const char *in_dialog(struct world *w, char text[TEXT], const char *method,
    const char *call_id, const char *first, const char *second)
{
	char headers[2 * ROUTE + 20];

	snprintf(headers, sizeof(headers), "Route: %s, %s\r\n", first, second);
	return within(text, method, &w->side.peer_addr, call_id, headers);
}

/* RFC 5658: one Record-Route for either side, and in that dialog alone. */
static void test_passed(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char text[TEXT];

	pass_invite(w);
	assert_null(strstr(s->text, "transport=tcp;lr")); /* the link's */
	node_send(w, edge_answer(s, text, "200 OK"));
	edge_peer_wait(s, "SIP/2.0 ");
	assert_memory_equal(s->text, "SIP/2.0 200 ", 12);
	assert_non_null(strstr(s->text, w->for_node));
	assert_null(strstr(strstr(s->text, "Via: ") + 1, "Via: "));
	edge_peer_send(s, in_dialog(w, text, "ACK", w->call_id, w->for_peer, w->for_node));
	node_wait(w, "ACK ");
	assert_null(strstr(s->text, w->for_peer));
	assert_null(strstr(s->text, w->for_node));
	node_send(w, in_dialog(w, text, "BYE", w->call_id, w->for_node, w->for_peer));
	edge_peer_wait(s, "BYE ");
	assert_null(strstr(s->text, "Route: "));
	edge_peer_send(s, edge_answer(s, text, "200 OK"));
	node_wait(w, "SIP/2.0 200 ");
	edge_peer_send(s, in_dialog(w, text, "MESSAGE", "other", w->for_peer, w->for_node));
	edge_stack_wait(s, "MESSAGE ");
	assert_int_equal(edge_number(s, "passed"), 3); /* INVITE, ACK, BYE */
}

/* By UDP a response need not say how long it is; by a connection it has to. */
static void test_length(void **state)
{
	static const char length[] = "Content-Length: 0\r\n";
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char text[TEXT], *line;

	pass_invite(w);
	node_send(w, in_dialog(w, text, "BYE", w->call_id, w->for_node, w->for_peer));
	edge_peer_wait(s, "BYE ");
	edge_answer(s, text, "200 OK");
	line = strstr(text, length);
	assert_non_null(line);
	memmove(line, line + strlen(length), strlen(line + strlen(length)) + 1);
	edge_peer_send(s, text);
	node_wait(w, "SIP/2.0 200 ");
	assert_non_null(strstr(s->text, length));
}

/* Whatever a request names, it goes to the node or to where the client's INVITE came from. */
static void test_nowhere_else(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char text[TEXT], headers[3 * ROUTE], host[ADDR_TEXT_SIZE];
	int other = socket(AF_INET, SOCK_DGRAM, 0);
	union addr other_addr = {
	    .in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};

	assert_int_equal(bind(other, &other_addr.any, addr_len(&other_addr)), 0);
	addr_of_socket(&other_addr, other);
	addr_print(&other_addr, host);
	pass_invite(w);
	for (int i = 0; i < 2; i++) {
		const char *way = i ? w->for_node : w->for_peer;

		snprintf(headers, sizeof(headers), "Route: %s, <sip:%s;lr>\r\n", way, host);
		edge_peer_send(s, within(text, "MESSAGE", &other_addr, w->call_id, headers));
		wait_as(w, i ? s->peer : w->node, "MESSAGE ");
		send_as(w, i ? s->peer : w->node, edge_answer(s, text, "200 OK"));
		edge_peer_wait(s, "SIP/2.0 200 ");
	}
	assert_true(is_silent(other));
	close(other);
}

/* RFC 3261 16.3, 16.6. */
static void test_max_forwards(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char text[TEXT], headers[2 * ROUTE];

	pass_invite(w);
	snprintf(headers, sizeof(headers), "Max-Forwards: 5\r\nRoute: %s\r\n", w->for_peer);
	edge_peer_send(s, within(text, "MESSAGE", &w->node_addr, w->call_id, headers));
	node_wait(w, "MESSAGE ");
	assert_non_null(strstr(s->text, "Max-Forwards: 4\r\n"));
	node_send(w, edge_answer(s, text, "200 OK"));
	snprintf(headers, sizeof(headers), "Max-Forwards: 0\r\nRoute: %s\r\n", w->for_peer);
	edge_peer_send(s, within(text, "MESSAGE", &w->node_addr, w->call_id, headers));
	edge_peer_wait(s, "SIP/2.0 483 ");
}

/* The same of one that the stack has got. */
static void test_max_forwards_at_once(void **state)
{
	struct world *w = *state;
	char got[TEXT], text[TEXT];

	take_invite(w, got);
	snprintf(text, sizeof(text), "%.*sMax-Forwards: 0\r\n\r\n", (int)strlen(got) - 2, got);
	pass(w, text, "127.0.0.1");
	edge_peer_wait(&w->side, "SIP/2.0 483 ");
	assert_true(is_silent(w->node));
}

/* RFC 3261 9.1, 17.1.1.3: its CANCEL and the ACK of its failure go the same way. */
static void test_failure(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char text[TEXT], invite[TEXT], response[TEXT];

	pass_invite(w);
	memcpy(invite, s->text, TEXT);
	edge_peer_send(s, edge_request(s, text, "CANCEL", "z9hG4bKi"));
	node_wait(w, "CANCEL ");
	node_send(w, edge_answer(s, text, "200 OK"));
	edge_peer_wait(s, "SIP/2.0 200 ");
	memcpy(s->text, invite, TEXT);
	node_send(w, edge_answer(s, response, "487 Request Terminated"));
	edge_peer_wait(s, "SIP/2.0 487 ");
	edge_peer_send(s, edge_request(s, text, "ACK", "z9hG4bKi"));
	node_wait(w, "ACK ");
}

/* RFC 3261 16.7: it is the node that is out of service, and not who has passed the request on. */
static void test_unavailable(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char text[TEXT];

	pass_invite(w);
	node_send(w, edge_answer(s, text, "503 Busy\r\nRetry-After: 5"));
	edge_peer_wait(s, "SIP/2.0 500 Busy\r\n");
	assert_non_null(strstr(s->text, "\r\nRetry-After: 5\r\n"));
	edge_peer_send(s, edge_request(s, text, "ACK", "z9hG4bKi"));
	node_wait(w, "ACK ");
	node_send(w, in_dialog(w, text, "BYE", w->call_id, w->for_node, w->for_peer));
	edge_peer_wait(s, "BYE ");
	edge_peer_send(s, edge_answer(s, text, "503 Busy"));
	node_wait(w, "SIP/2.0 500 Busy\r\n");
}

/* 16.9: as if it had answered that. */
static void test_not_reached(void **state)
{
	struct world *w = *state;
	struct edge_passing passing = {.own = SLICE("sip:127.0.0.1")};
	char got[TEXT], node[120];
	union addr addr = {.in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
	int closed = socket(AF_INET, SOCK_STREAM, 0);

	/* Its port is nobody else's, and nobody listens there. */
	assert_int_equal(bind(closed, &addr.any, addr_len(&addr)), 0);
	addr_of_socket(&addr, closed);
	snprintf(node, sizeof(node), "sip:127.0.0.1:%u;transport=tcp", addr_port(&addr));
	take_invite(w, got);
	passing.request = slice_of(got);
	passing.node = slice_of(node);
	assert_int_equal(edge_pass_on(w->side.edge, &passing), 0);
	edge_peer_wait(&w->side, "SIP/2.0 500 ");
	close(closed);
}

static bool has_no_stack(void *world)
{
	return !edge_link_is_open(((struct world *)world)->side.edge);
}

static void lose_stack(struct world *w)
{
	close(w->side.stack);
	loop_until(w->side.base, has_no_stack, w);
	edge_stack_connect(&w->side);
}

/* With it the stack has nothing to do: its link may close, and be opened again. */
static void test_link_lost(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char text[TEXT], invite[TEXT];

	pass_invite(w);
	memcpy(invite, s->text, TEXT);
	lose_stack(w);
	edge_peer_send(s, edge_request(s, text, "INVITE", "z9hG4bKi"));
	edge_peer_send(s, edge_request(s, text, "CANCEL", "z9hG4bKi"));
	node_wait(w, "CANCEL ");
	edge_peer_send(s, edge_request(s, text, "MESSAGE", "z9hG4bKm"));
	edge_stack_wait(s, "MESSAGE "); /* and no INVITE before it */
	memcpy(s->text, invite, TEXT);
	node_send(w, edge_answer(s, text, "487 Request Terminated"));
	edge_peer_wait(s, "SIP/2.0 487 ");
}

/* Also while it waits to be told where the node is. */
static void test_link_lost_at_once(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	const struct dns_record record = {"_sip._udp.nodes.test", 1, 0, addr_port(&w->node_addr),
	    "node.test"};
	struct edge_passing passing = {.node = SLICE("sip:nodes.test;transport=udp"),
	    .own = SLICE("sip:127.0.0.1")};
	char got[TEXT];

	w->dns.records = &record;
	take_invite(w, got);
	passing.request = slice_of(got);
	assert_int_equal(edge_pass_on(s->edge, &passing), 0);
	edge_services_drop_waiting(s->edge);
	node_wait(w, "INVITE ");
}

/* Also while nobody knows yet where that is. */
static void test_cancelled_at_once(void **state)
{
	struct world *w = *state;
	char got[TEXT], text[TEXT];

	take_invite(w, got);
	edge_peer_send(&w->side, edge_request(&w->side, text, "CANCEL", "z9hG4bKi"));
	pass(w, got, "node.test");
	node_wait(w, "INVITE ");
	node_wait(w, "CANCEL ");
}

/* RFC 3261 16.6, 16.8: timer C. */
static void test_rings(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char text[TEXT], invite[TEXT];

	timer_queue_set_period(&s->edge->client_ringing, 50);
	pass_invite(w);
	memcpy(invite, s->text, TEXT);
	node_send(w, edge_answer(s, text, "180 Ringing"));
	edge_peer_wait(s, "SIP/2.0 180 ");
	node_wait(w, "CANCEL ");
	assert_non_null(strstr(s->text, "CSeq: 1 CANCEL\r\n"));
	assert_null(strstr(strstr(s->text, "Via: ") + 1, "Via: "));
	node_send(w, edge_answer(s, text, "200 OK"));
	memcpy(s->text, invite, TEXT);
	node_send(w, edge_answer(s, text, "487 Request Terminated"));
	edge_peer_wait(s, "SIP/2.0 ");
	assert_memory_equal(s->text, "SIP/2.0 487 ", 12); /* and nothing of the CANCEL's */
}

/* What ends a call has room also where nothing new has. */
static void test_cancelled_without_room(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char text[TEXT];

	pass_invite(w);
	s->settings.transaction_memory = 1;
	edge_peer_send(s, edge_request(s, text, "CANCEL", "z9hG4bKi"));
	node_wait(w, "CANCEL ");
	node_send(w, edge_answer(s, text, "200 OK"));
	edge_peer_wait(s, "SIP/2.0 ");
	assert_memory_equal(s->text, "SIP/2.0 200 ", 12);
}

static void test_rings_without_room(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char text[TEXT];

	timer_queue_set_period(&s->edge->client_ringing, 50);
	pass_invite(w);
	node_send(w, edge_answer(s, text, "180 Ringing"));
	edge_peer_wait(s, "SIP/2.0 180 ");
	s->settings.transaction_memory = 1;
	node_wait(w, "CANCEL ");
	assert_true(is_silent(s->peer));
}

static void test_no_answer(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;

	char text[TEXT], invite[TEXT], *to;

	timer_queue_set_period(&s->edge->client_waiting, 50);
	pass_invite(w);
	memcpy(invite, s->text, TEXT);
	edge_peer_wait(s, "SIP/2.0 408 ");
	edge_peer_send(s, edge_request(s, text, "ACK", "z9hG4bKi"));
	/* A failure that comes now is nobody's but ours. */
	to = strstr(invite, "\r\nTo: <sip:b@h>") + strlen("\r\nTo: <sip:b@h>");
	memmove(to + strlen(";tag=b"), to, strlen(to) + 1);
	memcpy(to, ";tag=b", strlen(";tag=b"));
	for (int i = 0; i < 2; i++) {
		memcpy(s->text, invite, TEXT);
		node_send(w, edge_answer(s, text, "486 Busy Here"));
		node_wait(w, "ACK ");
		assert_non_null(strstr(s->text, "\r\nTo: <sip:b@h>;tag=b\r\n"));
	}
	assert_true(is_silent(s->peer));
	/* RFC 3261 16.7 */
	memcpy(s->text, invite, TEXT);
	node_send(w, edge_answer(s, text, "200 OK"));
	edge_peer_wait(s, "SIP/2.0 200 ");
}

/* --- a request of the node's goes to the phone's flow --- */

/* @param user  that the node is to use */
static void connect_phone(struct world *w, char user[SIP_FLOW_USER_SIZE])
{
	struct edge_side *s = &w->side;
	union addr any = {.in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
	struct edge_listener *l;
	struct edge_origin origin;
	char text[TEXT], branch[200];
	struct reason why;
	const union addr *to;

	assert_int_equal(
	    edge_listen(s->edge, edge_transport_find(SLICE("TCP")), &any, NULL, &l, &why), 0);
	to = edge_listener_address(l);
	w->phone = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(w->phone, &to->any, addr_len(to)), 0);
	edge_request(s, text, "OPTIONS", "z9hG4bKo");
	assert_int_equal(write(w->phone, text, strlen(text)), (ssize_t)strlen(text));
	edge_stack_wait(s, "OPTIONS ");
	assert_int_equal(sscanf(strstr(s->text, "branch="), "branch=%199[^;\r]", branch), 1);
	assert_int_equal(edge_origin_of_branch(s->edge, slice_of(branch), &origin), 0);
	sip_flow_user(origin.flow, user);
}

/* @return what the phone got is in w->side.text */
static const char *write_call(struct world *w, char text[TEXT], const char *user,
    const char *max_forwards)
{
	char headers[ROUTE], node[ADDR_TEXT_SIZE], host[ADDR_TEXT_SIZE];

	addr_print(&w->node_addr, node);
	addr_print(edge_listener_address(w->side.listener), host);
	snprintf(headers, sizeof(headers),
	    "Route: <sip:%s@%s;transport=udp;lr>\r\nContact: <sip:%s;transport=udp>\r\n"
	    "Max-Forwards: %s\r\n",
	    user, host, node, max_forwards);
	return within(text, "INVITE", &w->side.peer_addr, "call", headers);
}

/* Its INVITE has come to the phone. */
static void call_phone(struct world *w, char user[SIP_FLOW_USER_SIZE])
{
	char text[TEXT];

	connect_phone(w, user);
	node_send(w, write_call(w, text, user, "70"));
	wait_as(w, w->phone, "INVITE ");
	read_record_routes(w, w->for_peer, w->for_node);
}

static void test_called(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char user[SIP_FLOW_USER_SIZE], text[TEXT];

	connect_phone(w, user);
	node_send(w, write_call(w, text, user, "70"));
	wait_as(w, w->phone, "INVITE ");
	assert_null(strstr(s->text, user)); /* it is the nodes' secret */
	assert_null(strstr(s->text, "\r\nRoute: "));
	assert_non_null(strstr(s->text, "Max-Forwards: 69\r\n"));
	read_record_routes(w, w->for_peer, w->for_node);
	send_as(w, w->phone, edge_answer(s, text, "200 OK"));
	node_wait(w, "SIP/2.0 200 ");
	assert_non_null(strstr(s->text, w->for_node));
	send_as(w, w->phone, in_dialog(w, text, "BYE", w->call_id, w->for_peer, w->for_node));
	node_wait(w, "BYE ");
	node_send(w, edge_answer(s, text, "200 OK"));
	wait_as(w, w->phone, "SIP/2.0 200 ");
	node_send(w, in_dialog(w, text, "BYE", w->call_id, w->for_node, w->for_peer));
	wait_as(w, w->phone, "BYE ");
}

/* All nodes may have one name, so the node says behind the token where it is itself. */
static void test_called_by_one_of_many(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char user[SIP_FLOW_USER_SIZE + 2 * ROUTE], node[ADDR_TEXT_SIZE + 20], text[TEXT], *contact;
	size_t len;

	connect_phone(w, user);
	len = (size_t)snprintf(node, sizeof(node), "sip:127.0.0.1:%u;transport=udp",
	    addr_port(&w->node_addr));
	strcat(user, ".");
	hex_write(user + strlen(user), node, len);
	write_call(w, text, user, "70");
	contact = strstr(text, "Contact: <sip:127.0.0.1:") + strlen("Contact: <sip:");
	memcpy(contact, "127.0.0.2", strlen("127.0.0.2"));
	node_send(w, text);
	wait_as(w, w->phone, "INVITE ");
	assert_null(strstr(s->text, strchr(user, '.')));
	read_record_routes(w, w->for_peer, w->for_node);
	send_as(w, w->phone, edge_answer(s, text, "200 OK"));
	node_wait(w, "SIP/2.0 200 ");
	send_as(w, w->phone, in_dialog(w, text, "BYE", w->call_id, w->for_peer, w->for_node));
	node_wait(w, "BYE ");
}

/* @return what the phone is to call us, "sip:user@HOST…" without the user */
static const char *called_as(struct world *w, const char *user, const char *scheme, char uri[ROUTE])
{
	char text[TEXT], request[TEXT];
	int cut = 0;

	write_call(w, text, user, "70");
	snprintf(request, sizeof(request), "INVITE %s%s", scheme, strchr(text, ':'));
	node_send(w, request);
	wait_as(w, w->phone, "INVITE ");
	read_record_routes(w, w->for_peer, w->for_node);
	assert_int_equal(sscanf(w->for_peer, "<%5[sip]:%n", uri, &cut), 1);
	snprintf(uri + strlen(uri), ROUTE - strlen(uri), ":%s", strchr(w->for_peer, '@') + 1);
	send_as(w, w->phone, edge_answer(&w->side, text, "486 Busy Here"));
	node_wait(w, "SIP/2.0 486 ");
	return uri;
}

/* A port is of its transport alone, a zone is nobody else's, and sips stays sips. */
static void test_called_as(void **state)
{
	struct world *w = *state;
	struct edge *edge = w->side.edge;
	char user[SIP_FLOW_USER_SIZE], uri[ROUTE];
	struct edge_listener *l;
	union addr addr;

	connect_phone(w, user);
	l = (struct edge_listener *)edge->flows->listener;
	edge_advertise(edge, SLICE("sip:im.test:5099"));
	assert_string_equal(called_as(w, user, "sip", uri), "sip:im.test:5099;transport=tcp;lr>");
	edge_advertise(edge, SLICE("sips:[2001:db8::1]:5061"));
	assert_string_equal(called_as(w, user, "sip", uri), "sip:[2001:db8::1];transport=tcp;lr>");
	edge->flows->transport = edge_transport_find(SLICE("tls"));
	assert_string_equal(called_as(w, user, "sips", uri), "sips:[2001:db8::1]:5061;lr>");
	assert_string_equal(called_as(w, user, "sip", uri),
	    "sip:[2001:db8::1]:5061;transport=tls;lr>");
	edge->flows->transport = edge_transport_find(SLICE("wss"));
	assert_string_equal(called_as(w, user, "sips", uri), "sips:[2001:db8::1];transport=ws;lr>");
	edge_advertise(edge, (struct slice){NULL, 0});
	addr = l->addr;
	assert_int_equal(addr_parse(&l->addr, SLICE("[fe80::1]:5060")), 0);
	l->addr.in6.sin6_scope_id = 1;
	assert_string_equal(called_as(w, user, "sip", uri), "sip:[fe80::1]:5060;transport=ws;lr>");
	l->addr = addr;
}

/* The stack's re-INVITE fails before the BYE that crosses it, by whatever way that comes. */
static void test_crossing_bye(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char user[SIP_FLOW_USER_SIZE], text[TEXT], tagged[TEXT];
	const char *to;

	connect_phone(w, user);
	edge_stack_request(s, text, "INVITE", "z9hG4bKr");
	to = strstr(text, "\r\nCall-ID");
	snprintf(tagged, sizeof(tagged), "%.*s;tag=2%s", (int)(to - text), text, to);
	edge_stack_send(s, tagged);
	edge_peer_wait(s, "INVITE ");
	edge_request(s, text, "BYE", "z9hG4bKr");
	to = strstr(text, "\r\nCall-ID");
	snprintf(tagged, sizeof(tagged), "%.*s;tag=1%s", (int)(to - text), text, to);
	strstr(tagged, "tag=1")[4] = '2'; /* of From */
	send_as(w, w->phone, tagged);
	edge_stack_wait(s, "SIP/2.0 487 ");
	edge_stack_wait(s, "BYE ");
}

/* Over a stream as well: it has rung too long, and is not even cancelled at once. */
static void test_phone_is_late(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char user[SIP_FLOW_USER_SIZE], text[TEXT], invite[TEXT];

	connect_phone(w, user);
	timer_queue_set_period(&s->edge->client_ringing, 50);
	timer_queue_set_period(&s->edge->client_waiting, 50);
	node_send(w, write_call(w, text, user, "70"));
	wait_as(w, w->phone, "INVITE ");
	memcpy(invite, s->text, TEXT);
	send_as(w, w->phone, edge_answer(s, text, "180 Ringing"));
	wait_as(w, w->phone, "CANCEL ");
	node_wait(w, "SIP/2.0 408 ");
	memcpy(s->text, invite, TEXT);
	send_as(w, w->phone, edge_answer(s, text, "487 Request Terminated"));
	wait_as(w, w->phone, "ACK ");
	assert_true(is_silent(w->node));
}

static void test_hung_up_without_room(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char user[SIP_FLOW_USER_SIZE], text[TEXT];

	call_phone(w, user);
	send_as(w, w->phone, edge_answer(s, text, "200 OK"));
	node_wait(w, "SIP/2.0 200 ");
	s->settings.transaction_memory = 1;
	node_send(w, in_dialog(w, text, "ACK", w->call_id, w->for_node, w->for_peer));
	wait_as(w, w->phone, "ACK ");
	send_as(w, w->phone, in_dialog(w, text, "BYE", w->call_id, w->for_peer, w->for_node));
	node_wait(w, "BYE ");
}

/* The request is answered, and goes nowhere else. */
static void test_phone_is_gone(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char user[SIP_FLOW_USER_SIZE], text[TEXT];

	call_phone(w, user);
	close(w->phone);
	w->phone = -1;
	node_wait(w, "SIP/2.0 500 ");
	node_send(w, in_dialog(w, text, "BYE", w->call_id, w->for_node, w->for_peer));
	node_wait(w, "SIP/2.0 430 ");
	node_send(w, write_call(w, text, user, "70"));
	node_wait(w, "SIP/2.0 430 ");
	assert_true(is_silent(s->peer));
}

static void test_called_too_much(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char user[SIP_FLOW_USER_SIZE], text[TEXT];

	connect_phone(w, user);
	node_send(w, write_call(w, text, user, "0"));
	node_wait(w, "SIP/2.0 483 ");
	/* Room for what the edge keeps of it as it came, and not as it goes. */
	s->settings.transaction_memory = edge_number(s, "transaction_memory") + 512;
	node_send(w, write_call(w, text, user, "70"));
	node_wait(w, "SIP/2.0 503 ");
	s->settings.transaction_memory = 1 << 20;
	node_send(w, write_call(w, text, user, "70"));
	wait_as(w, w->phone, "INVITE ");
	assert_true(edge_number(s, "transaction_memory") > sizeof(struct edge_client));
}

/* What ends something has a bound as well. */
static void test_reserve(void **state)
{
	struct world *w = *state;
	struct edge *edge = w->side.edge;

	w->side.settings.transaction_memory = 1 << 20;
	assert_true(edge_memory_take(edge, EDGE_SHARE_OF_NOBODY, 1 << 20));
	assert_false(edge_memory_take(edge, EDGE_SHARE_OF_NOBODY, 1));
	assert_true(edge_memory_take_reserve(edge, 1 << 17));
	assert_false(edge_memory_take_reserve(edge, 1));
	edge_memory_give(edge, EDGE_SHARE_OF_NOBODY, 9 << 17);
	assert_int_equal(edge_number(&w->side, "transaction_memory"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_passed),
	    TEST(test_length),
	    TEST(test_reserve),
	    TEST(test_nowhere_else),
	    TEST(test_max_forwards),
	    TEST(test_max_forwards_at_once),
	    TEST(test_failure),
	    TEST(test_unavailable),
	    TEST(test_not_reached),
	    TEST(test_cancelled_at_once),
	    TEST(test_link_lost),
	    TEST(test_link_lost_at_once),
	    TEST(test_rings),
	    TEST(test_cancelled_without_room),
	    TEST(test_rings_without_room),
	    TEST(test_no_answer),
	    TEST(test_called),
	    TEST(test_called_by_one_of_many),
	    TEST(test_called_as),
	    TEST(test_crossing_bye),
	    TEST(test_phone_is_late),
	    TEST(test_hung_up_without_room),
	    TEST(test_phone_is_gone),
	    TEST(test_called_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
