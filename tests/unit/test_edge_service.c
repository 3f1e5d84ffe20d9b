/* Domains and their servers behind the edge: RFC 3263 4.2, 4.3. */
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

#define DOMAIN  "a.test"
#define SERVICE "_sip._udp." DOMAIN

struct world {
	struct edge_side side; /* its peer is the first server */
	struct dns_server dns;
	struct dns_record records[2];
	int second;
	unsigned asked; /* requests for nothing */
};

/* The stack's requests are for the domain, and by UDP. */
static int set_up(void **state)
{
	static struct world w;
	union addr any = {.in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
	union addr at;

	edge_side_open(&w.side, w.dns.address);
	dns_server_open(&w.dns, w.side.base);
	w.second = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(w.second, &any.any, addr_len(&any)), 0);
	addr_of_socket(&at, w.second);
	w.records[0] = (struct dns_record){SERVICE, 1, 0, addr_port(&w.side.peer_addr), "one.test"};
	w.records[1] = (struct dns_record){SERVICE, 2, 0, addr_port(&at), "two.test"};
	w.dns.records = w.records;
	w.dns.count = 2;
	snprintf(w.side.to, sizeof(w.side.to), DOMAIN);
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	dns_server_close(&w->dns);
	edge_side_close(&w->side);
	close(w->second);
	return 0;
}

/* The peer is the other server from now on. */
static void turn(struct world *w)
{
	int peer = w->side.peer;

	w->side.peer = w->second;
	w->second = peer;
}

static void ask(struct world *w, const char *method, const char *branch)
{
	char text[EDGE_SIDE_TEXT];

	edge_stack_send(&w->side, edge_stack_request(&w->side, text, method, branch));
}

static void reply(struct world *w, const char *status)
{
	char text[EDGE_SIDE_TEXT];

	edge_peer_send(&w->side, edge_answer(&w->side, text, status));
}

/* What is asked for once serves those that wait, in their order, and those that come later. */
static void one_question(void **state)
{
	struct world *w = *state;

	ask(w, "MESSAGE", "z9hG4bKa");
	ask(w, "MESSAGE", "z9hG4bKb");
	edge_peer_wait(&w->side, "MESSAGE ");
	assert_non_null(strstr(w->side.text, "z9hG4bKa"));
	reply(w, "200 OK");
	edge_stack_wait(&w->side, "SIP/2.0 200 ");
	edge_peer_wait(&w->side, "MESSAGE ");
	assert_non_null(strstr(w->side.text, "z9hG4bKb"));
	reply(w, "200 OK");
	edge_stack_wait(&w->side, "SIP/2.0 200 ");
	ask(w, "MESSAGE", "z9hG4bKc");
	edge_peer_wait(&w->side, "MESSAGE ");
	reply(w, "404 Not Found");
	edge_stack_wait(&w->side, "SIP/2.0 404 ");
	assert_int_equal(w->dns.asked, 1);
}

/* RFC 3263 4.3: each server sees a transaction of its own. */
static void the_next_one(void **state)
{
	struct world *w = *state;
	char first[EDGE_SIDE_TEXT], late[EDGE_SIDE_TEXT];

	ask(w, "MESSAGE", "z9hG4bKm");
	edge_peer_wait(&w->side, "MESSAGE ");
	memcpy(first, w->side.text, sizeof(first));
	edge_answer(&w->side, late, "503 Service Unavailable");
	reply(w, "503 Service Unavailable");
	turn(w);
	edge_peer_wait(&w->side, "MESSAGE ");
	assert_non_null(strstr(w->side.text, "z9hG4bKm~1."));
	assert_null(strstr(first, "z9hG4bKm~"));
	edge_peer_send(&w->side, late); /* it comes again: the stack hears of neither */
	reply(w, "200 OK");
	edge_stack_wait(&w->side, "SIP/2.0 200 ");
	assert_non_null(strstr(w->side.text, ";branch=z9hG4bKm\r\n"));
	ask(w, "MESSAGE", "z9hG4bKn");
	edge_peer_wait(&w->side, "MESSAGE ");
	assert_non_null(strstr(w->side.text, "z9hG4bKn."));
	reply(w, "200 OK");
	edge_stack_wait(&w->side, "SIP/2.0 200 ");
}

/* The ACK of what the stack does not hear is ours, as often as it is asked for (17.1.1.2). */
static void an_invite(void **state)
{
	struct world *w = *state;
	char refusal[EDGE_SIDE_TEXT], ack[EDGE_SIDE_TEXT];
	const char *via;

	ask(w, "INVITE", "z9hG4bKi");
	edge_peer_wait(&w->side, "INVITE ");
	edge_answer(&w->side, refusal, "503 Service Unavailable");
	reply(w, "100 Trying");
	edge_stack_wait(&w->side, "SIP/2.0 100 ");
	via = strstr(refusal, "Via: ");
	edge_peer_send(&w->side, refusal);
	edge_peer_wait(&w->side, "ACK sip:x@" DOMAIN " SIP/2.0\r\n");
	memcpy(ack, w->side.text, sizeof(ack));
	assert_memory_equal(strstr(ack, "Via: "), via, strcspn(via, "\r"));
	assert_non_null(strstr(ack, "CSeq: 1 ACK\r\n"));
	assert_null(strstr(ack, "Route: "));
	edge_peer_send(&w->side, refusal);
	edge_peer_wait(&w->side, "ACK ");
	assert_string_equal(w->side.text, ack);
	turn(w);
	edge_peer_wait(&w->side, "INVITE ");
	reply(w, "486 Busy Here");
	edge_stack_wait(&w->side, "SIP/2.0 486 ");
	ask(w, "ACK", "z9hG4bKi");
	edge_peer_wait(&w->side, "ACK ");
	assert_non_null(strstr(w->side.text, "z9hG4bKi~1."));
	loop_until(w->side.base, edge_side_is_quiet, &w->side);
}

/* What the stack has given up goes nowhere else. */
static void a_cancelled_invite(void **state)
{
	struct world *w = *state;
	char refusal[EDGE_SIDE_TEXT];

	ask(w, "INVITE", "z9hG4bKi");
	edge_peer_wait(&w->side, "INVITE ");
	edge_answer(&w->side, refusal, "503 Service Unavailable");
	reply(w, "100 Trying");
	edge_stack_wait(&w->side, "SIP/2.0 100 ");
	ask(w, "CANCEL", "z9hG4bKi");
	edge_peer_wait(&w->side, "CANCEL ");
	reply(w, "200 OK");
	edge_stack_wait(&w->side, "SIP/2.0 200 ");
	edge_peer_send(&w->side, refusal);
	edge_stack_wait(&w->side, "SIP/2.0 503 ");
}

/* Who has no time is asked again when there is nobody else, and what he says counts then. */
static void nobody_else(void **state)
{
	struct world *w = *state;

	ask(w, "MESSAGE", "z9hG4bKm");
	edge_peer_wait(&w->side, "MESSAGE ");
	reply(w, "503 One");
	turn(w);
	edge_peer_wait(&w->side, "MESSAGE ");
	reply(w, "503 Two\r\nRetry-After: 99999999999999999999999 (never)");
	edge_stack_wait(&w->side, "SIP/2.0 503 Two");
	turn(w);
	ask(w, "MESSAGE", "z9hG4bKn");
	edge_peer_wait(&w->side, "MESSAGE ");
	reply(w, "200 OK");
	edge_stack_wait(&w->side, "SIP/2.0 200 ");
}

/* What waits for an answer is bounded, and so is the wait. */
static void a_silent_server(void **state)
{
	struct world *w = *state;

	w->dns.mood = DNS_SILENT;
	w->side.settings.transaction_memory = 1024;
	ask(w, "MESSAGE", "z9hG4bKa");
	ask(w, "MESSAGE", "z9hG4bKb");
	ask(w, "MESSAGE", "z9hG4bKc");
	ask(w, "MESSAGE", "z9hG4bKd");
	edge_stack_wait(&w->side, "SIP/2.0 503 ");
	w->dns.mood = DNS_GOOD;
	w->side.settings.transaction_memory = 1 << 20;
}

/* One request to each of so many hosts, until one is refused at once.  @return which one */
static unsigned ask_until_refused(struct world *w, const char *host, unsigned most)
{
	char branch[32];

	for (unsigned i = 1; i <= most; i++) {
		snprintf(w->side.to, sizeof(w->side.to), host, i);
		snprintf(branch, sizeof(branch), "z9hG4bK%u", i);
		ask(w, "MESSAGE", branch);
		loop_settle(w->side.base);
		while (edge_stack_has(&w->side))
			if (strncmp(w->side.text, "SIP/2.0 503 ", 12) == 0) {
				assert_non_null(strstr(w->side.text, branch));
				return i;
			}
	}
	return 0;
}

static void assert_served(struct world *w, const char *branch)
{
	ask(w, "MESSAGE", branch);
	edge_peer_wait(&w->side, "MESSAGE ");
	reply(w, "200 OK");
	do
		loop_until(w->side.base, edge_stack_has, &w->side);
	while (strncmp(w->side.text, "SIP/2.0 200 ", 12) != 0);
}

/* Nor is a domain whose servers cannot be asked for taken for one that has none. */
static void so_many_questions(void **state)
{
	struct world *w = *state;

	w->side.settings.transaction_memory = 64 << 20;
	assert_served(w, "z9hG4bKa");
	w->dns.mood = DNS_SILENT;
	assert_in_range(ask_until_refused(w, "d%u.test", 1000), 257, 1000);
	snprintf(w->side.to, sizeof(w->side.to), DOMAIN);
	assert_served(w, "z9hG4bKb");
}

static void so_many_names(void **state)
{
	struct world *w = *state;

	w->side.settings.transaction_memory = 64 << 20;
	w->dns.mood = DNS_SILENT;
	assert_in_range(ask_until_refused(w, "n%u.test:5060", 4096), 1025, 4096);
	addr_print(&w->side.peer_addr, w->side.to);
	assert_served(w, "z9hG4bKa");
}

/* It has no servers, nor has it an address. */
static void ask_for_nothing(struct world *w, unsigned domain)
{
	char branch[32];

	snprintf(w->side.to, sizeof(w->side.to), "d%u.test", domain);
	snprintf(branch, sizeof(branch), "z9hG4bK%u.%u", domain, ++w->asked);
	ask(w, "MESSAGE", branch);
	loop_until(w->side.base, edge_stack_has, &w->side);
}

/* The oldest makes room. */
static void so_many_domains(void **state)
{
	struct world *w = *state;

	ask_for_nothing(w, 0);
	ask_for_nothing(w, 0);
	assert_int_equal(w->dns.asked, 1);
	for (unsigned i = 1; i <= 1024; i++)
		ask_for_nothing(w, i);
	assert_int_equal(w->dns.asked, 1 + 1024);
	ask_for_nothing(w, 0);
	assert_int_equal(w->dns.asked, 1 + 1024 + 1);
	snprintf(w->side.to, sizeof(w->side.to), DOMAIN);
	assert_served(w, "z9hG4bKa");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(one_question),
	    TEST(the_next_one),
	    TEST(an_invite),
	    TEST(a_cancelled_invite),
	    TEST(nobody_else),
	    TEST(a_silent_server),
	    TEST(so_many_questions),
	    TEST(so_many_names),
	    TEST(so_many_domains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
