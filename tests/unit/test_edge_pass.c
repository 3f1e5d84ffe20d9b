/* Requests that go on to another node, over UDP: a stack, a peer and the node, all of the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge_side.h"

enum { TEXT = EDGE_SIDE_TEXT };

struct world {
	struct edge_side side; /* first: its functions take it */
	int node;
	union addr node_addr;
};

static int set_up(void **state)
{
	static struct world w;
	union addr any = {.in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};

	edge_side_open(&w.side, NULL);
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
	edge_side_close(&w->side);
	return 0;
}

/* --- the node is a second peer --- */

static void node_send(struct world *w, const char *text)
{
	int peer = w->side.peer;

	w->side.peer = w->node;
	edge_peer_send(&w->side, text);
	w->side.peer = peer;
}

static void node_wait(struct world *w, const char *start)
{
	int peer = w->side.peer;

	w->side.peer = w->node;
	edge_peer_wait(&w->side, start);
	w->side.peer = peer;
}

/* An INVITE of the peer's, which the stack has got, goes there. */
static void pass_invite(struct world *w)
{
	char text[TEXT], got[TEXT], node[120], own[120], contact[120], host[ADDR_TEXT_SIZE];
	struct edge_passing passing;

	edge_peer_send(&w->side, edge_request(&w->side, text, "INVITE", "z9hG4bKi"));
	edge_stack_wait(&w->side, "INVITE ");
	memcpy(got, w->side.text, TEXT);
	addr_print(&w->node_addr, host);
	snprintf(node, sizeof(node), "sip:%s;transport=udp", host);
	addr_print(edge_listener_address(w->side.listener), host);
	snprintf(own, sizeof(own), "sip:%s;transport=udp", host);
	snprintf(contact, sizeof(contact), "<sip:%s>", host);
	passing =
	    (struct edge_passing){slice_of(got), slice_of(node), slice_of(own), slice_of(contact)};
	assert_int_equal(edge_pass_on(w->side.edge, &passing), 0);
	node_wait(w, "INVITE ");
	/* What the stack says of it from now on nobody hears. */
	memcpy(text, w->side.text, TEXT);
	memcpy(w->side.text, got, TEXT);
	edge_stack_send(&w->side, edge_answer(&w->side, got, "408 Nothing"));
	memcpy(w->side.text, text, TEXT);
}

/* Of the dialog that pass_invite() has begun, or as if. */
static const char *in_dialog(struct world *w, char text[TEXT], const char *method,
    const char *call_id, const char *routes)
{
	char host[ADDR_TEXT_SIZE];

	addr_print(&w->side.peer_addr, host);
	snprintf(text, TEXT,
	    "%s sip:x@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;rport;branch=z9hG4bK%s%s\r\n"
	    "Route: %s\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\nCall-ID: %s\r\n"
	    "CSeq: 2 %s\r\nContent-Length: 0\r\n\r\n",
	    method, host, host, method, call_id, routes, call_id, method);
	return text;
}

/* RFC 5658: one Record-Route for either side, and in that dialog alone. */
static void test_passed(void **state)
{
	struct world *w = *state;
	struct edge_side *s = &w->side;
	char text[TEXT], for_node[512], for_peer[512], call_id[100], back[1100];

	pass_invite(w);
	assert_int_equal(sscanf(strstr(s->text, "Record-Route: "),
			     "Record-Route: %511[^,], %511[^\r]", for_node, for_peer),
	    2);
	assert_int_equal(sscanf(strstr(s->text, "Call-ID: "), "Call-ID: %99[^\r]", call_id), 1);
	assert_null(strstr(s->text, "transport=tcp;lr")); /* the link's */
	node_send(w, edge_answer(s, text, "200 OK"));
	edge_peer_wait(s, "SIP/2.0 ");
	assert_memory_equal(s->text, "SIP/2.0 200 ", 12);
	assert_non_null(strstr(s->text, for_node));
	assert_null(strstr(strstr(s->text, "Via: ") + 1, "Via: "));
	snprintf(back, sizeof(back), "%s, %s", for_peer, for_node);
	edge_peer_send(s, in_dialog(w, text, "ACK", call_id, back));
	node_wait(w, "ACK ");
	assert_null(strstr(s->text, for_peer));
	assert_null(strstr(s->text, for_node));
	snprintf(back, sizeof(back), "%s, %s", for_node, for_peer);
	node_send(w, in_dialog(w, text, "BYE", call_id, back));
	edge_peer_wait(s, "BYE ");
	assert_null(strstr(s->text, "Route: "));
	edge_peer_send(s, edge_answer(s, text, "200 OK"));
	node_wait(w, "SIP/2.0 200 ");
	edge_peer_send(s, in_dialog(w, text, "MESSAGE", "other", back));
	edge_stack_wait(s, "MESSAGE ");
	assert_int_equal(edge_number(s, "passed"), 1);
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_passed),
	    TEST(test_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
