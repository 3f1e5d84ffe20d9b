/*
 * A file from one UA to another while the n-th allocation fails, for each n: each in a process of
 * its own, which must go on to another file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>

#include <msrpd/timer.h>

#include "event/bus.h"
#include "files/files.h"
#include "files/priv.h"
#include "forked.h"
#include "loop.h"
#include "memory.h"
#include "ua_host.h"
#include "directory.h"

enum {
	PATIENCE_MS = 2000, /* for what will never happen */
	FILE_SIZE = 300000,
	STEP = 5, /* those of sessions have their turn in test_ua_memory */
};

struct pair {
	struct event_base *base;
	struct event_bus *bus;
	struct host a, b;
	char directory[32], path[48];
};

static void turn(const struct pair *p)
{
	event_base_loopexit(p->base, &(struct timeval){0, 5000});
	event_base_loop(p->base, EVLOOP_ONCE);
}

static uint64_t over(const struct pair *p)
{
	return host_number(&p->a, "files", "sent") + host_number(&p->a, "files", "failed");
}

static void open_host(struct pair *p, struct host *h)
{
	struct service_env env = {.base = p->base, .bus = p->bus};
	struct reason why;

	h->service = &files_service;
	host_open(h, p->base);
	h->ua_settings.files = (struct ua_files){
	    .present = true,
	    .directory = strdup(p->directory), /* host_close() frees it */
	    .max_size = 1 << 20,
	    .max_total = 64 << 20, /* what failed leaves its parts */
	    .idle_timeout_ms = PATIENCE_MS / 2,
	};
	env.stats = h->stats;
	env.ua = h->ua;
	env.budget = msrp_stack_budget(h->msrp);
	assert_int_equal(files_service.start(&env, NULL, &h->service_state, &why), 0);
}

static struct source source_of(const struct pair *p)
{
	struct source source = {.root_len = strlen(p->directory)};

	strcpy(source.path, p->path);
	return source;
}

/* Whatever of it comes about. */
static bool try_file(struct pair *p)
{
	const struct source source = source_of(p);
	const struct send_order order = {
	    .from_uri = SLICE("sip:a@example.org"),
	    .to_uri = SLICE("sip:b@example.org"),
	    .ruri = slice_of(p->b.uri),
	    .source = &source,
	};
	uint64_t before = over(p), deadline = timer_now_ms() + PATIENCE_MS;
	struct transfer *t;
	const char *step;

	if (send_begin(p->a.service_state, &order, &t, &step) < 0)
		return false;
	while (over(p) == before && timer_now_ms() < deadline)
		turn(p);
	return true;
}

static void go_on(struct pair *p)
{
	uint64_t before = host_number(&p->a, "files", "sent");
	uint64_t deadline = timer_now_ms() + LOOP_DEADLINE_MS;

	while (host_number(&p->a, "files", "sent") == before) {
		assert_true(timer_now_ms() < deadline);
		try_file(p);
	}
}

static void end_all(struct ua_session *s, void *arg)
{
	(void)arg;
	ua_cancel(s);
}

static void wait_idle(struct pair *p)
{
	uint64_t deadline = timer_now_ms() + LOOP_DEADLINE_MS;

	ua_each(p->a.ua, end_all, NULL);
	ua_each(p->b.ua, end_all, NULL);
	while (host_number(&p->a, "files", "under_way") + host_number(&p->b, "files", "under_way")
		+ host_number(&p->a, "sip", "dialogs") + host_number(&p->b, "sip", "dialogs")
	    > 0) {
		assert_true(timer_now_ms() < deadline);
		turn(p);
	}
}

static void make_file(struct pair *p)
{
	FILE *f;

	strcpy(p->directory, "/tmp/msrpd-files-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	snprintf(p->path, sizeof(p->path), "%s/out", p->directory);
	f = fopen(p->path, "w");
	assert_non_null(f);
	for (int i = 0; i < FILE_SIZE; i++)
		putc(i & 0xff, f);
	assert_int_equal(fclose(f), 0);
}

static int run_child(unsigned n)
{
	struct pair *p = calloc(1, sizeof(*p));
	int failed;

	p->base = event_base_new();
	assert_int_equal(event_bus_new(&p->bus), 0);
	assert_int_equal(event_bus_add_types(p->bus, files_service.events), 0);
	make_file(p);
	open_host(p, &p->a);
	open_host(p, &p->b);
	memory_fail_at(n);
	try_file(p);
	failed = memory_has_failed();
	memory_fail_at(0);
	wait_idle(p);
	go_on(p);
	wait_idle(p);
	ua_halt(p->a.ua);
	ua_halt(p->b.ua);
	files_service.stop(p->a.service_state);
	files_service.stop(p->b.service_state);
	host_close(&p->a);
	host_close(&p->b);
	event_bus_free(p->bus);
	event_base_free(p->base);
	directory_remove(p->directory);
	free(p);
	return failed ? 0 : FORKED_NOT_FAILED;
}

static void test_each_allocation(void **state)
{
	(void)state;
	assert_true(forked_each(run_child, STEP) > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
