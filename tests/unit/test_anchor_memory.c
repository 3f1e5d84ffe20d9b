/*
 * A session between two UAs by way of an anchor while the n-th allocation fails, for each n: each in
 * a process of its own, which must go on to another session.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include <msrpd/anchor.h>
#include <msrpd/timer.h>

#include "anchor/anchor.h"
#include "anchor/priv.h"
#include "event/bus.h"
#include "forked.h"
#include "loop.h"
#include "memory.h"
#include "ua_host.h"

enum {
	PATIENCE_MS = 600, /* for what will never happen */
	STEP = 7,          /* those of sessions have their turn in test_ua_memory */
};

struct trio {
	struct event_base *base;
	struct event_bus *bus;
	struct anchor_settings settings;
	struct host alice, middle, bob;
};

static const char *bob_uri; /* an action has no state but the service's */

/* What a rule would say: to bob. */
static int run_rule(const struct route_subject *subject, const struct arg *args, void *state)
{
	const struct anchor_call call = {.ruri = slice_of(bob_uri)};

	(void)args;
	return anchor_call(state, subject->request, &call);
}

static const struct action rule[] = {{.name = "rule", .run = run_rule}, {0}};
static const struct service through = {.actions = rule};

static void turn(const struct trio *t)
{
	event_base_loopexit(t->base, &(struct timeval){0, 5000});
	event_base_loop(t->base, EVLOOP_ONCE);
}

static void open_middle(struct trio *t)
{
	struct host *h = &t->middle;
	struct service_env env = {.base = t->base, .bus = t->bus};
	struct reason why;

	t->settings = (struct anchor_settings){.max_sessions = 10,
	    .ring_timeout_ms = 5000,
	    .max_duration_ms = 60000,
	    .reconnect_grace_ms = 200};
	h->service = &through;
	host_open(h, t->base);
	env.stats = h->stats;
	env.ua = h->ua;
	env.sip = h->sip;
	env.msrp = h->msrp;
	env.budget = msrp_stack_budget(h->msrp);
	assert_int_equal(anchor_service.start(&env, &t->settings, &h->service_state, &why), 0);
	bob_uri = t->bob.uri;
}

static bool has(const struct host *h, const char *text)
{
	return strstr(h->log, text) != NULL;
}

static bool wait_for(struct trio *t, const struct host *h, const char *text)
{
	uint64_t deadline = timer_now_ms() + PATIENCE_MS;

	while (!has(h, text) && !has(h, "failed") && !has(h, "end") && timer_now_ms() < deadline)
		turn(t);
	return has(h, text);
}

/* Whatever of it comes about.  @return all of it did */
static bool try_chat(struct trio *t)
{
	t->alice.log[0] = t->bob.log[0] = '\0';
	if (host_call(&t->alice, &t->middle, "text/plain") < 0)
		return false;
	if (!wait_for(t, &t->alice, "new:") || !wait_for(t, &t->bob, "new:"))
		return false;
	return host_send(&t->alice, "text/plain", "hello", NULL) == 0
	    && wait_for(t, &t->bob, "msg:text/plain:hello")
	    && host_send(&t->bob, "text/plain", "hi", NULL) == 0
	    && wait_for(t, &t->alice, "msg:text/plain:hi");
}

static void end_session(struct ua_session *s, void *arg)
{
	(void)arg;
	ua_end(s);
}

static void end_all(struct trio *t)
{
	uint64_t deadline = timer_now_ms() + LOOP_DEADLINE_MS;

	ua_each(t->alice.ua, end_session, NULL);
	ua_each(t->bob.ua, end_session, NULL);
	while (host_number(&t->alice, "sip", "dialogs") + host_number(&t->bob, "sip", "dialogs")
		+ host_number(&t->middle, "sip", "dialogs")
		+ host_number(&t->middle, "anchor", "sessions")
	    > 0) {
		assert_true(timer_now_ms() < deadline);
		turn(t);
	}
}

static int run_child(unsigned n)
{
	struct trio *t = calloc(1, sizeof(*t));
	int failed;

	t->base = event_base_new();
	assert_int_equal(event_bus_new(&t->bus), 0);
	assert_int_equal(event_bus_add_types(t->bus, anchor_service.events), 0);
	t->alice.accepts = t->bob.accepts = "text/plain";
	host_open(&t->alice, t->base);
	host_open(&t->bob, t->base);
	open_middle(t);
	memory_fail_at(n);
	try_chat(t);
	failed = memory_has_failed();
	memory_fail_at(0);
	end_all(t);
	while (!try_chat(t))
		end_all(t);
	end_all(t);
	anchor_service.stop(t->middle.service_state);
	host_close(&t->alice);
	host_close(&t->bob);
	host_close(&t->middle);
	event_bus_free(t->bus);
	event_base_free(t->base);
	free(t);
	return failed ? 0 : FORKED_NOT_FAILED;
}

static void test_each_allocation(void **state)
{
	(void)state;
	assert_true(forked_each(run_child, STEP) > 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
