/* What nodes share, written and read while the n-th allocation fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <event2/event.h>

#include "base/stats.h"
#include "cluster/priv.h"
#include "event/bus.h"
#include "loop.h"
#include "memory.h"
#include "redis_server.h"
#include "registrar/priv.h"

struct world {
	struct event_base *base;
	struct stats *stats;
	struct cluster *cluster;
};

struct asked {
	struct cluster_claim claim;
	unsigned answers, expected;
};

static bool is_ready(void *arg)
{
	const struct world *w = arg;

	return redis_is_ready(&w->cluster->redis) && w->cluster->registered;
}

static bool all_answered(void *arg)
{
	const struct asked *a = arg;

	return a->answers == a->expected;
}

static void on_record(const struct cluster_record *record, void *arg)
{
	struct asked *a = arg;

	if (record)
		assert_true(record->written || record->count <= CLUSTER_LINES_MAX);
	a->answers++;
}

static void on_decided(struct cluster_claim *claim, const struct cluster_node *owner)
{
	assert_null(owner);
	((struct asked *)claim)->answers++;
}

static void on_lost(struct cluster_claim *claim, const struct cluster_node *owner)
{
	(void)claim;
	(void)owner;
	fail();
}

static void on_owner(const struct cluster_node *owner, void *arg)
{
	struct asked *a = arg;

	assert_null(owner);
	a->answers++;
}

static const struct cluster_claim_ops claim_ops = {on_decided, on_lost};

/* A claim, a record and a mark. */
static void live(struct world *w)
{
	const struct cluster_line line = {.process = cluster_own_process(w->cluster),
	    .text = SLICE("one two")};
	const struct cluster_writing writing = {.keep_ms = 60000, .lines = &line, .count = 1};
	const struct cluster_mark mark = {.service = SLICE("gw"),
	    .args = {SLICE("a key")},
	    .count = 1};
	struct asked a = {.claim = {.ops = &claim_ops}};
	struct buffer text = {.max = BUFFER_UNBOUNDED};

	a.expected += !cluster_claim(w->cluster, &a.claim, "gw", SLICE("key"));
	a.expected +=
	    cluster_record_write(w->cluster, "aor", SLICE("a@h"), &writing, on_record, &a) != NULL;
	a.expected += cluster_record_read(w->cluster, "aor", SLICE("a@h"), on_record, &a) != NULL;
	a.expected += cluster_owner_read(w->cluster, "gw", SLICE("key"), on_owner, &a) != NULL;
	cluster_count(w->cluster, SLICE("\x7f\0\0\1"));
	cluster_mark_write(w->cluster, &text, SLICE("a"), &mark);
	loop_until(w->base, all_answered, &a);
	cluster_release(&a.claim);
	buffer_fini(&text);
}

/* Bindings that come and go, and are settled. */
static void register_some(struct world *w, const struct registrar_settings *settings)
{
	struct event_bus *bus = NULL;
	struct service_env env = {.base = w->base, .stats = w->stats, .cluster = w->cluster};
	struct registrar *r;
	struct reason why;
	void *state = NULL;

	if (event_bus_new(&bus) < 0)
		return;
	env.bus = bus;
	if (event_bus_add_types(bus, registrar_service.events) == 0
	    && registrar_service.start(&env, settings, &state, &why) == 0) {
		r = state;
		for (unsigned i = 0; i < 3; i++) {
			const struct binding_terms terms = {.contact = SLICE("sip:a@192.0.2.1"),
			    .call_id = SLICE("call"),
			    .q = Q_MAX,
			    .cseq = i,
			    .expires_ms = 60000};
			struct aor *aor = aor_get(r, SLICE("a@h"));
			struct binding *b = aor ? binding_new(r, &terms) : NULL;

			if (b)
				binding_put(b, aor, aor_find_binding(aor, &terms));
			if (aor)
				share_settle(aor);
			if (aor)
				aor_release(aor);
			share_remove(r, SLICE("a@h"), i == 1 ? terms.contact : SLICE("sip:b"));
			while (!LIST_EMPTY(&r->shares))
				event_base_loop(w->base, EVLOOP_ONCE);
		}
		registrar_service.stop(state);
	}
	event_bus_free(bus);
}

static void each_allocation(void **state)
{
	struct redis_server redis = {.pid = 0};
	struct registrar_settings registrar = {.given = true, .max_expires_ms = 60000};
	char *urls[1];
	unsigned n = 0;

	(void)state;
	redis_server_start(&redis);
	urls[0] = redis.url;
	do {
		struct cluster_settings settings = {.given = true,
		    .redis = {urls, 1},
		    .node = (char[]){"a"},
		    .sip = (char[]){"sip:127.0.0.1"},
		    .prefix = (char[]){"test:"},
		    .ttl_ms = 3000};
		struct world w = {.base = event_base_new()};
		const struct cluster_env env = {.base = w.base, .settings = &settings};
		struct cluster_env own = env;

		assert_int_equal(stats_new(&w.stats), 0);
		own.stats = w.stats;
		assert_int_equal(cluster_new(&w.cluster, &own), 0);
		loop_until(w.base, is_ready, &w);
		memory_fail_at(++n);
		live(&w);
		register_some(&w, &registrar);
		cluster_free(w.cluster);
		stats_free(w.stats);
		event_base_free(w.base);
		assert_true(n < 1000);
	} while (memory_has_failed());
	memory_fail_at(0);
	assert_true(n > 20);
	redis_server_fini(&redis);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
