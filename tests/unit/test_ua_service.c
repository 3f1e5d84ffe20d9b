/* A service that is built on <msrpd/...> alone, and what it needs of the UA. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include "base/budget.h"
#include "event/bus.h"
#include "loop.h"
#include "room.h"
#include "sip_peer.h"
#include "ua/priv.h"
#include "ua_host.h"

enum {
	GUESTS = 3,
	PATIENT_MS = 20000, /* no answer here is late, however slow the machine */
};

struct world {
	struct event_base *base;
	struct event_bus *bus;
	struct event_subscriber subscriber;
	struct host room, guests[GUESTS];
	struct peer watcher;
	char joined[256]; /* tokens of who has come */
};

static void on_event(const struct event_notice *event, void *arg)
{
	struct world *w = arg;
	const struct event_param *tokens = event_find_param(event, SLICE("tokens"));
	size_t used = strlen(w->joined);

	snprintf(w->joined + used, sizeof(w->joined) - used, "[%.*s]", SLICE_ARG(tokens->text));
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct service_env env = {0};
	struct reason why;

	assert_non_null(w);
	w->base = event_base_new();
	assert_int_equal(event_bus_new(&w->bus), 0);
	assert_int_equal(event_bus_add_types(w->bus, room_service.events), 0);
	w->subscriber = (struct event_subscriber){.mask = EVENT_ALL, .fn = on_event, .arg = w};
	event_bus_subscribe(w->bus, &w->subscriber);
	w->room.sip_settings.transaction_timeout = PATIENT_MS;
	host_open(&w->room, w->base);
	env.base = w->base;
	env.bus = w->bus;
	env.stats = w->room.stats;
	env.budget = msrp_stack_budget(w->room.msrp);
	env.ua = w->room.ua;
	env.notifier = w->room.notifier;
	w->room.service = &room_service;
	assert_int_equal(room_service.start(&env, NULL, &w->room.service_state, &why), 0);
	for (size_t i = 0; i < GUESTS; i++) {
		w->guests[i].attributes = "a=chatroom:nickname private-messages\r\n";
		w->guests[i].sip_settings.transaction_timeout = PATIENT_MS;
		host_open(&w->guests[i], w->base);
		assert_int_equal(host_call(&w->guests[i], &w->room, "text/plain"), 0);
		host_wait(&w->guests[i], "new:text/plain ");
	}
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < GUESTS; i++)
		host_close(&w->guests[i]);
	ua_halt(w->room.ua);
	if (w->room.service_state)
		room_service.stop(w->room.service_state);
	host_close(&w->room);
	event_bus_free(w->bus);
	event_base_free(w->base);
	free(w);
	return 0;
}

static bool all_joined(void *arg)
{
	struct world *w = arg;
	size_t n = 0;

	for (const char *p = w->joined; (p = strchr(p, ']')); p++)
		n++;
	return n == GUESTS;
}

static void test_messages(void **state)
{
	struct world *w = *state;
	const struct budget *budget = msrp_stack_budget(w->room.msrp);

	loop_until(w->base, all_joined, w);
	assert_string_equal(w->joined,
	    "[nickname private-messages][nickname private-messages][nickname private-messages]");
	assert_int_equal(room_service.sessions(w->room.service_state), GUESTS);
	assert_int_equal(host_send(&w->guests[0], "text/plain", "hello", NULL), 0);
	for (size_t i = 1; i < GUESTS; i++)
		host_wait(&w->guests[i], "msg:text/plain:hello ");
	/* the room itself acknowledges and reports (RFC 7701 6.3); the sender gets no copy */
	host_wait(&w->guests[0], "report:000 200:1-5/5 ");
	host_quiet(&w->guests[0]);
	assert_string_equal(w->guests[0].log, "");
	assert_int_equal(host_number(&w->room, "room", "messages"), 1);
	loop_settle(w->base);
	assert_int_equal(*budget->used, 0);
}

/* The session of the room's that a guest has. */
static struct ua_session *session_with(struct world *w, size_t i)
{
	struct ua_session *s = w->room.ua->sessions;

	while (i--)
		s = s->hh.next;
	return s;
}

static void test_nicknames(void **state)
{
	struct world *w = *state;
	struct ua_session *first = session_with(w, 0), *second = session_with(w, 1);
	int (*nickname)(struct slice, void *) = ua_endpoint_handler.nickname;

	assert_int_equal(nickname(SLICE("Al"), first), 200);
	assert_int_equal(nickname(SLICE("Al"), first), 200);
	assert_int_equal(nickname(SLICE("Al"), second), 425);
	assert_int_equal(nickname((struct slice){NULL, 0}, second), 424);
	assert_int_equal(nickname(SLICE(""), first), 200);
	assert_int_equal(nickname(SLICE("Al"), second), 200);
}

/* Whoever goes and however: the service hears of it, and holds no pointer to it any more. */
static void test_ends(void **state)
{
	struct world *w = *state;

	ua_end(w->guests[0].s);
	for (int i = 0; i < 1000 && room_service.sessions(w->room.service_state) == GUESTS; i++)
		event_base_loop(w->base, EVLOOP_ONCE);
	assert_int_equal(room_service.sessions(w->room.service_state), GUESTS - 1);
	ua_halt(w->room.ua);
	assert_int_equal(room_service.sessions(w->room.service_state), 0);
}

static void expect_notify(struct world *w, const char *state, const char *body)
{
	peer_expect(&w->watcher, "NOTIFY ");
	assert_true(peer_has(&w->watcher, state));
	assert_true(peer_has(&w->watcher, body));
	peer_answer(&w->watcher, "200 OK", NULL, NULL);
}

/* RFC 6665, as a service takes part in it: it is told of nothing that has ended, nor asked. */
static void test_watched(void **state)
{
	struct world *w = *state;

	loop_until(w->base, all_joined, w);
	peer_open(&w->watcher, w->base);
	peer_begin(&w->watcher, "SUBSCRIBE", w->room.uri, "Event: room\r\n", NULL);
	peer_expect(&w->watcher, "SIP/2.0 200 ");
	expect_notify(w, "active;expires=3600", "full: 3");
	ua_end(w->guests[0].s);
	expect_notify(w, "active;expires=", "now: 2");
	peer_begin(&w->watcher, "SUBSCRIBE", w->room.uri, "Event: room\r\nExpires: 0\r\n", NULL);
	peer_expect(&w->watcher, "SIP/2.0 200 ");
	expect_notify(w, "terminated;reason=timeout", "full: 2");
	ua_halt(w->room.ua);
	expect_notify(w, "active;expires=", "now: 0");
	room_service.stop(w->room.service_state);
	expect_notify(w, "terminated;reason=deactivated", "Content-Length: 0");
	w->room.service_state = NULL;
	peer_close(&w->watcher);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_messages),
	    TEST(test_nicknames),
	    TEST(test_ends),
	    TEST(test_watched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
