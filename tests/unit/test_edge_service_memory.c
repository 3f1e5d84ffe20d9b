/*
 * A request to a domain whose first server has no time, while the n-th allocation fails, for each n:
 * what comes of that request is open, but the sender of the next one is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dns_server.h"
#include "edge_side.h"
#include "loop.h"
#include "memory.h"

#define DOMAIN "a.test"

struct world {
	struct edge_side side;
	struct dns_server dns;
	struct dns_record records[2];
};

/* Two servers at one place, which count as two: names are what they are known by. */
static void open_world(struct world *w)
{
	uint16_t port;

	edge_side_open(&w->side, w->dns.address);
	dns_server_open(&w->dns, w->side.base);
	port = addr_port(&w->side.peer_addr);
	w->records[0] = (struct dns_record){"_sip._udp." DOMAIN, 1, 0, port, "one.test"};
	w->records[1] = (struct dns_record){"_sip._udp." DOMAIN, 2, 0, port, "two.test"};
	w->dns.records = w->records;
	w->dns.count = 2;
	snprintf(w->side.to, sizeof(w->side.to), DOMAIN);
}

static void close_world(struct world *w)
{
	dns_server_close(&w->dns);
	edge_side_close(&w->side);
}

/* All is in one loop: when it has nothing to do, whatever can come has come. */
static bool get_invite(struct world *w)
{
	ssize_t n;

	loop_settle(w->side.base);
	do
		n = recv(w->side.peer, w->side.text, sizeof(w->side.text) - 1, MSG_DONTWAIT);
	while (n > 0 && strncmp(w->side.text, "INVITE ", 7) != 0);
	w->side.text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static void live(struct world *w)
{
	char text[EDGE_SIDE_TEXT];

	edge_stack_send(&w->side, edge_stack_request(&w->side, text, "INVITE", "z9hG4bKa"));
	for (int i = 0; i < 2 && get_invite(w); i++) {
		edge_answer(&w->side, text, i == 0 ? "503 Busy" : "486 Busy Here");
		edge_peer_send(&w->side, text);
	}
	loop_settle(w->side.base);
}

static bool is_told(void *arg)
{
	struct world *w = arg;
	ssize_t n = recv(w->side.peer, w->side.text, sizeof(w->side.text) - 1, MSG_DONTWAIT);
	char text[EDGE_SIDE_TEXT];

	w->side.text[n > 0 ? n : 0] = '\0';
	if (strncmp(w->side.text, "MESSAGE ", 8) == 0)
		edge_peer_send(&w->side, edge_answer(&w->side, text, "200 OK"));
	return edge_stack_has(&w->side) && strstr(w->side.text, "CSeq: 1 MESSAGE");
}

/* A name server that could not be heard is a time-out, and then the domain is no host either. */
static void go_on(struct world *w)
{
	char text[EDGE_SIDE_TEXT];

	edge_stack_send(&w->side, edge_stack_request(&w->side, text, "MESSAGE", "z9hG4bKb"));
	loop_until(w->side.base, is_told, w);
	loop_until(w->side.base, edge_side_is_quiet, &w->side);
}

static void each_allocation(void **state)
{
	static struct world w;
	unsigned n = 0;
	bool failed;

	(void)state;
	do {
		open_world(&w);
		memory_fail_at(++n);
		live(&w);
		failed = memory_has_failed();
		memory_fail_at(0);
		go_on(&w);
		close_world(&w);
	} while (failed);
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
