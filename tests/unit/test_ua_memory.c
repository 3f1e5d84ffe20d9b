/*
 * A whole session between two UAs while the n-th allocation fails, for each n: each in a process of
 * its own, which must go on to another session.
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

#include <msrpd/timer.h>

#include "forked.h"
#include "loop.h"
#include "memory.h"
#include "ua_host.h"

enum {
	PATIENCE_MS = 400, /* for what will never happen: an answer was not to be had */
};

struct pair {
	struct event_base *base;
	struct host a, b;
};

static bool over(const struct pair *p)
{
	return strstr(p->b.log, "end:") || strstr(p->a.log, "end:") || strstr(p->a.log, "failed:");
}

/* Turn the loop until text is in the log; or until what is under way is over, or too late. */
static void await(struct pair *p, const char *log, const char *text)
{
	uint64_t deadline = timer_now_ms() + PATIENCE_MS;

	while (!strstr(log, text) && !over(p) && timer_now_ms() < deadline) {
		event_base_loopexit(p->base, &(struct timeval){0, 5000});
		event_base_loop(p->base, EVLOOP_ONCE);
	}
}

/* Whatever of it comes about. */
static void try_session(struct pair *p)
{
	if (host_call(&p->a, &p->b, "text/plain") < 0)
		return;
	await(p, p->b.log, "new:");
	if (p->a.s)
		host_send(&p->a, "text/plain", "hello", NULL);
	await(p, p->b.log, "msg:");
	await(p, p->a.log, "report:");
	if (p->b.s)
		host_send(&p->b, "text/plain", "hello yourself", NULL);
	await(p, p->a.log, "msg:");
	if (p->a.s)
		ua_end(p->a.s);
	p->a.s = NULL;
	await(p, p->b.log, "end:");
}

static void end_all(struct ua_session *s, void *arg)
{
	(void)arg;
	ua_end(s);
}

/* What of the first session was lost may come again, and be told, while the other one lives. */
static void expect(struct pair *p, struct host *h, const char *text)
{
	uint64_t deadline = timer_now_ms() + LOOP_DEADLINE_MS;

	while (!strstr(h->log, text)) {
		assert_true(timer_now_ms() < deadline);
		event_base_loopexit(p->base, &(struct timeval){0, 5000});
		event_base_loop(p->base, EVLOOP_ONCE);
	}
	h->log[0] = '\0';
}

static void go_on(struct pair *p)
{
	assert_int_equal(host_call(&p->a, &p->b, "text/plain"), 0);
	expect(p, &p->a, "new:text/plain ");
	assert_int_equal(host_send(&p->a, "text/plain", "again", NULL), 0);
	expect(p, &p->b, "msg:text/plain:again ");
	ua_end(p->a.s);
	expect(p, &p->b, "end:bye ");
}

static int run_child(unsigned n)
{
	struct pair *p = calloc(1, sizeof(*p));
	int failed;

	p->base = event_base_new();
	p->b.accepts = "text/plain";
	host_open(&p->a, p->base);
	host_open(&p->b, p->base);
	memory_fail_at(n);
	try_session(p);
	failed = memory_has_failed();
	memory_fail_at(0);
	ua_each(p->a.ua, end_all, NULL);
	ua_each(p->b.ua, end_all, NULL);
	do /* a datagram may come again */
		host_quiet(&p->a);
	while (host_number(&p->a, "sip", "dialogs") + host_number(&p->b, "sip", "dialogs") > 0);
	p->a.log[0] = p->b.log[0] = '\0';
	go_on(p);
	host_close(&p->a);
	host_close(&p->b);
	event_base_free(p->base);
	free(p);
	return failed ? 0 : FORKED_NOT_FAILED;
}

static void test_each_allocation(void **state)
{
	(void)state;
	assert_true(forked_each(run_child, 1) > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
