/*
 * Requests by all ways through the edge while the n-th allocation fails, for each n: by datagrams, over
 * a client's connection and one that is dialled, and past the stack.  On a connection each is answered,
 * or that is closed; a datagram may be lost.  The next ones go through.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include <msrpd/flow.h>
#include <msrpd/timer.h>

#include "edge/priv.h"
#include "edge_side.h"
#include "loop.h"
#include "memory.h"

enum { TEXT = EDGE_SIDE_TEXT, ROUNDS = 40 };

struct world {
	struct edge_side side;
	struct edge_listener *tcp;
	int phone; /* a client by TCP */
	int door;  /* where one by TCP is dialled */
	int node;
	uint64_t deadline;
	bool link_lost;
	int mirror; /* a socket that is connected to itself */
};

static const char loopback[] = "127.0.0.1:0";

static int open_socket(int type)
{
	int fd = socket(AF_INET, type, 0);
	union addr any;

	assert_int_equal(addr_parse(&any, slice_of(loopback)), 0);
	assert_int_equal(bind(fd, &any.any, addr_len(&any)), 0);
	return fd;
}

/* Then loopback keeps the order of all packets. */
static void stay_on_one_processor(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

/*
 * All that can come has come: what was sent before a packet to ourselves is there when that is.  More
 * rounds than there are hops, and more time than the edge waits with a write for the next one.  The
 * next message has no memory of those before it.
 */
static void settle(const struct world *w)
{
	uint64_t began = timer_now_ms();
	char c = 0;

	for (int i = 0; i < ROUNDS || timer_now_ms() - began < 2; i++) {
		event_base_loop(w->side.base, EVLOOP_NONBLOCK);
		assert_int_equal(send(w->mirror, &c, 1, 0), 1);
		assert_int_equal(recv(w->mirror, &c, 1, 0), 1);
	}
	buffer_fini(&w->side.edge->text);
}

static void open_world(struct world *w)
{
	struct reason why;
	union addr any;

	edge_side_open(&w->side, NULL);
	assert_int_equal(addr_parse(&any, slice_of(loopback)), 0);
	assert_int_equal(
	    edge_listen(w->side.edge, edge_transport_find(SLICE("TCP")), &any, NULL, &w->tcp, &why),
	    0);
	w->door = open_socket(SOCK_STREAM | SOCK_NONBLOCK);
	assert_int_equal(listen(w->door, 8), 0);
	w->node = open_socket(SOCK_DGRAM);
	w->phone = -1;
	w->deadline = timer_now_ms() + LOOP_DEADLINE_MS;
	w->mirror = open_socket(SOCK_DGRAM);
	addr_of_socket(&any, w->mirror);
	assert_int_equal(connect(w->mirror, &any.any, addr_len(&any)), 0);
}

static void close_world(struct world *w)
{
	close(w->door);
	close(w->node);
	close(w->mirror);
	edge_side_close(&w->side);
}

/* What came last is s->text. */
static bool begins(const struct world *w, const char *start)
{
	return strncmp(w->side.text, start, strlen(start)) == 0;
}

/* @return has the stack got it?  Not if it has lost the link; then it has come again. */
static bool stack_has(struct world *w, const char *start)
{
	struct edge_side *s = &w->side;
	bool has = false;

	settle(w);
	while (!has && edge_stack_has(s))
		has = begins(w, start);
	if (edge_link_is_open(s->edge))
		return has;
	w->link_lost = true;
	close(s->stack);
	s->waiting_len = 0;
	edge_stack_connect(s);
	return false;
}

/* @param endp  told whether that was all that will ever come */
static bool has(struct world *w, int fd, const char *start, bool *endp)
{
	struct edge_side *s = &w->side;
	ssize_t n;

	settle(w);
	n = recv(fd, s->text, TEXT - 1, MSG_DONTWAIT);
	s->text[n > 0 ? n : 0] = '\0';
	*endp = n == 0 || (n < 0 && errno != EAGAIN);
	return n > 0 && begins(w, start);
}

static void check_time(const struct world *w)
{
	assert_true(timer_now_ms() < w->deadline);
}

/* As long as nothing can have been lost it is waited for. */
static bool stack_gets(struct world *w, const char *start)
{
	while (!stack_has(w, start)) {
		if (memory_has_failed())
			return false;
		check_time(w);
	}
	return true;
}

static bool gets(struct world *w, int fd, const char *start)
{
	bool end;

	while (!has(w, fd, start, &end)) {
		if (memory_has_failed())
			return false;
		check_time(w);
	}
	return true;
}

static void stack_answers(struct world *w, const char *status)
{
	char text[TEXT];

	edge_stack_send(&w->side, edge_answer(&w->side, text, status));
}

static void say(int fd, const char *text)
{
	send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* --- the ways --- */

static unsigned from_peer(struct world *w, const char *branch)
{
	struct edge_side *s = &w->side;
	char text[TEXT];

	edge_peer_send(s, edge_request(s, text, "MESSAGE", branch));
	if (!stack_gets(w, "MESSAGE "))
		return 0;
	stack_answers(w, "200 OK");
	return gets(w, s->peer, "SIP/2.0 200 ");
}

static unsigned to_peer(struct world *w, const char *branch)
{
	struct edge_side *s = &w->side;
	char text[TEXT];

	edge_stack_send(s, edge_stack_request(s, text, "INVITE", branch));
	if (!gets(w, s->peer, "INVITE "))
		return 0;
	edge_peer_send(s, edge_answer(s, text, "486 Busy Here"));
	if (stack_gets(w, "SIP/2.0 486 "))
		return 1;
	w->link_lost = false;
	edge_peer_send(s, text); /* again, as nobody has acknowledged it */
	while (!stack_has(w, "SIP/2.0 486 ") && !w->link_lost)
		check_time(w);
	return 0;
}

/* A request over a flow, or a new connection.  @return has it been answered by who is there? */
static unsigned over(struct world *w, const char *branch, const char *host,
    const struct sip_flow *flow, int *fdp)
{
	struct edge_side *s = &w->side;
	char text[TEXT], own[sizeof(s->own)], to[sizeof(s->to)];
	bool answered, end;

	memcpy(own, s->own, sizeof(own));
	memcpy(to, s->to, sizeof(to));
	if (flow)
		edge_flow_route(flow, s->own);
	snprintf(s->to, sizeof(s->to), "%s", host);
	edge_stack_send(s, edge_stack_request(s, text, "MESSAGE", branch));
	memcpy(s->own, own, sizeof(own));
	memcpy(s->to, to, sizeof(to));
	w->link_lost = false;
	do {
		check_time(w);
		settle(w);
		if (*fdp < 0)
			*fdp = accept4(w->door, NULL, NULL, SOCK_NONBLOCK);
		if (*fdp >= 0 && has(w, *fdp, "MESSAGE ", &end)) {
			edge_socket_hurry(*fdp);
			say(*fdp, edge_answer(s, text, "200 OK"));
		}
		answered = stack_has(w, "SIP/2.0 ");
	} while (!answered && !w->link_lost);
	return answered && begins(w, "SIP/2.0 200 ");
}

static unsigned dial(struct world *w, const char *branch)
{
	char host[128], door[ADDR_TEXT_SIZE];
	union addr addr;
	int fd = -1;
	unsigned good;

	addr_of_socket(&addr, w->door);
	snprintf(host, sizeof(host), "%s;transport=tcp", addr_print(&addr, door));
	good = over(w, branch, host, NULL, &fd);
	if (fd >= 0)
		close(fd);
	settle(w);
	return good;
}

/* @return the flow of the request that the stack has got; NULL: it has closed, or no memory */
static struct sip_flow *flow_of_request(struct world *w)
{
	struct edge_origin origin;
	char branch[200];

	assert_int_equal(sscanf(strstr(w->side.text, "branch="), "branch=%199[^;\r]", branch), 1);
	if (edge_origin_of_branch(w->side.edge, slice_of(branch), &origin) < 0)
		return NULL;
	return edge_flow_of_origin(&origin);
}

static unsigned by_phone(struct world *w, const char *branch)
{
	struct edge_side *s = &w->side;
	const union addr *to = edge_listener_address(w->tcp);
	char text[TEXT];
	struct sip_flow *flow = NULL;
	unsigned good = 0;
	bool answered, end;
	char *via;

	w->phone = socket(AF_INET, SOCK_STREAM, 0);
	edge_socket_hurry(w->phone);
	assert_int_equal(connect(w->phone, &to->any, addr_len(to)), 0);
	edge_request(s, text, "OPTIONS", branch);
	via = strstr(text, ";branch=");
	memmove(via + 6, via, strlen(via) + 1);
	memcpy(via, ";alias", 6);
	say(w->phone, text);
	w->link_lost = false;
	do {
		check_time(w);
		if (stack_has(w, "OPTIONS ")) {
			flow = flow_of_request(w);
			stack_answers(w, "200 OK");
		}
		answered = has(w, w->phone, "SIP/2.0 ", &end);
	} while (!answered && !end && !w->link_lost);
	good += answered && begins(w, "SIP/2.0 200 ");
	if (flow && answered)
		good += over(w, branch, "127.0.0.1:9", flow, &w->phone);
	if (flow)
		sip_flow_unref(flow);
	close(w->phone);
	settle(w);
	return good;
}

static unsigned pass(struct world *w, const char *branch)
{
	struct edge_side *s = &w->side;
	char got[TEXT], text[TEXT], node[100];
	struct edge_passing passing = {.own = SLICE("sip:127.0.0.1")};
	union addr addr;
	bool end;

	addr_of_socket(&addr, w->node);
	snprintf(node, sizeof(node), "sip:127.0.0.1:%u;transport=udp", addr_port(&addr));
	edge_peer_send(s, edge_request(s, text, "INVITE", branch));
	if (!stack_gets(w, "INVITE "))
		return 0;
	memcpy(got, s->text, TEXT);
	passing.request = slice_of(got);
	passing.node = slice_of(node);
	if (edge_pass_on(s->edge, &passing) < 0) {
		stack_answers(w, "500 Out of Memory");
		while (!has(w, s->peer, "SIP/2.0 500 ", &end))
			check_time(w);
		return 0;
	}
	if (!gets(w, w->node, "INVITE "))
		return 0;
	addr = *edge_listener_address(s->listener);
	edge_answer(s, text, "486 Busy Here");
	sendto(w->node, text, strlen(text), 0, &addr.any, addr_len(&addr));
	return gets(w, s->peer, "SIP/2.0 486 ");
}

enum { ALL = 6 };

static unsigned live(struct world *w, const char *one, const char *other)
{
	return from_peer(w, one) + to_peer(w, one) + dial(w, one) + by_phone(w, one)
	    + pass(w, other);
}

/* What of the others comes again is not waited for. */
static void forget(struct world *w)
{
	bool end;

	settle(w);
	while (has(w, w->side.peer, "", &end) || stack_has(w, ""))
		check_time(w);
}

static void each_allocation(void **state)
{
	static struct world w;
	unsigned n = 0, good, hurt = 0;
	bool failed;

	(void)state;
	stay_on_one_processor();
	do {
		open_world(&w);
		memory_fail_at(++n);
		good = live(&w, "z9hG4bKa", "z9hG4bKb");
		failed = memory_has_failed();
		memory_fail_at(0);
		assert_true(failed || good == ALL);
		hurt += good < ALL;
		forget(&w);
		assert_int_equal(live(&w, "z9hG4bKc", "z9hG4bKd"), ALL);
		while (w.side.edge->protocol.stream_count > 0) {
			settle(&w);
			check_time(&w);
		}
		close_world(&w);
		assert_true(n < 2000);
	} while (failed);
	assert_true(hurt > 20);
	print_message("%u allocations failed in turn, %u were noticed\n", n - 1, hurt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
