/* Grants: how they are found, the order of their ends, whose they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include <event2/event.h>

#include "base/stats.h"
#include "net/net.h"
#include "loop.h"
#include "relay/grant.h"

enum { MANY = 500, HOUR_MS = 3600 * 1000 };

struct fixture {
	struct event_base *base;
	struct stats *stats;
	struct msrp_settings msrp;
	struct net *net;
	struct msrp_stack *stack;
	struct relay_settings settings;
	struct relay *relay;
	size_t want;
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	static const struct routes none;
	struct service_env env = {.routes = &none};
	struct reason why;
	void *relay;

	f->base = event_base_new();
	assert_int_equal(net_new(&f->net, f->base), 0);
	assert_int_equal(stats_new(&f->stats), 0);
	f->msrp.max_memory = 1 << 20;
	f->msrp.max_header_size = 16384;
	assert_int_equal(msrp_stack_new(&f->stack, f->net, &f->msrp, f->stats, &why), 0);
	f->settings.nonce_expire_ms = 30000;
	f->settings.cleanup_interval_ms = 60000;
	f->settings.hash_size = 1;
	f->settings.enabled = true;
	env.base = f->base;
	env.stats = f->stats;
	env.msrp = f->stack;
	assert_int_equal(relay_service.start(&env, &f->settings, &relay, &why), 0);
	f->relay = relay;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	relay_service.stop(f->relay);
	msrp_stack_free(f->stack);
	net_free(f->net);
	stats_free(f->stats);
	event_base_free(f->base);
	test_free(f);
	return 0;
}

/* One that belongs to an identity: no connection is needed. */
static struct grant *make(struct fixture *f, const char *from_path, uint64_t lifetime_ms)
{
	struct grant_terms terms = {
	    .host = {.host = SLICE("im.example.org"), .port = 2855, .transport = SLICE("tcp")},
	    .user = SLICE("alice"),
	    .from_path = slice_of(from_path),
	    .lifetime_ms = lifetime_ms,
	};
	struct grant *grant;

	assert_int_equal(grant_new(&grant, f->relay->grants, &terms), 0);
	return grant;
}

static void numbered(char path[64], int n)
{
	snprintf(path, 64, "msrps://relay.example.net:2855/client%d;tcp", n);
}

static void what_it_says(void **state)
{
	struct fixture *f = *state;
	struct grant *grant = make(f, "msrps://relay.example.net:2855/x;tcp", HOUR_MS);
	struct msrp_uri uri;

	assert_true(msrp_uri_parse(&uri, grant_uri(grant)) > 0);
	assert_true(slice_equal(uri.host, SLICE("im.example.org")));
	assert_int_equal(uri.port, 2855);
	assert_int_equal(uri.session_id.len, 22);
	assert_false(uri.secure);
	assert_true(slice_equal(grant_username(grant), SLICE("alice")));
	assert_ptr_equal(msrp_target_find(f->stack, &uri), &grant->target);
	grant_free(grant);
	assert_int_equal(relay_service.sessions(f->relay), 0);
}

static void found_by_from_path(void **state)
{
	struct fixture *f = *state;
	struct grant *grants[MANY];
	char path[64];

	for (int i = 0; i < MANY; i++) {
		numbered(path, i);
		grants[i] = make(f, path, HOUR_MS);
	}
	for (int i = 0; i < MANY; i++) {
		numbered(path, i);
		assert_ptr_equal(grants_find(f->relay->grants, NULL, slice_of(path)), grants[i]);
	}
	for (int i = 0; i < MANY; i += 2)
		grant_free(grants[i]);
	for (int i = 0; i < MANY; i++) {
		numbered(path, i);
		assert_ptr_equal(grants_find(f->relay->grants, NULL, slice_of(path)),
		    i % 2 ? grants[i] : NULL);
	}
	assert_int_equal(relay_service.sessions(f->relay), MANY / 2);
}

static bool few_enough(void *arg)
{
	struct fixture *f = arg;

	return relay_service.sessions(f->relay) <= f->want;
}

/* The one that ends first is always in front, whatever comes, goes and is extended. */
static void the_heap_is_one(void **state)
{
	struct fixture *f = *state;
	struct grant *grants[MANY];
	uint32_t random = 12345;
	char path[64];

	for (int i = 0; i < MANY; i++) {
		random = random * 1103515245 + 12345;
		numbered(path, i);
		grants[i] = make(f, path, HOUR_MS + random % 100000);
	}
	for (int i = 0; i < MANY; i += 3)
		grant_extend(grants[i], HOUR_MS + (uint64_t)i * 7 % 1000);
	for (int i = 1; i < MANY; i += 3)
		grant_free(grants[i]);
	for (size_t i = 0; i < grants_count(f->relay->grants); i++) {
		const struct grant *grant = grants_at(f->relay->grants, i);

		assert_int_equal(grant->index, i);
		if (i)
			assert_true(grants_at(f->relay->grants, (i - 1) / 2)->expires_ms
			    <= grant->expires_ms);
	}
}

static void they_end_when_they_should(void **state)
{
	struct fixture *f = *state;
	struct grant *late = make(f, "msrps://relay.example.net:2855/late;tcp", HOUR_MS);
	struct grant *extended = make(f, "msrps://relay.example.net:2855/extended;tcp", 30);
	uint64_t begun = timer_now_ms();

	make(f, "msrps://relay.example.net:2855/first;tcp", 20);
	make(f, "msrps://relay.example.net:2855/second;tcp", 60);
	grant_extend(extended, HOUR_MS);
	f->want = 3;
	loop_until(f->base, few_enough, f);
	assert_true(timer_now_ms() - begun >= 20);
	f->want = 2;
	loop_until(f->base, few_enough, f);
	assert_true(timer_now_ms() - begun >= 60);
	assert_ptr_equal(grants_find(f->relay->grants, NULL, grant_from_path(late)), late);
	assert_ptr_equal(grants_find(f->relay->grants, NULL, grant_from_path(extended)), extended);
}

static void whose_it_is(void **state)
{
	static const struct {
		const char *uri;
		bool exact, named;
	} cases[] = {
	    {"msrps://alice.example.com:9892/98cjs;tcp", true, true},
	    {"msrps://alice.example.com:9892/other;tcp", false, true},
	    {"msrps://alice.example.com:9893/98cjs;tcp", false, false},
	    {"msrp://alice.example.com:9892/98cjs;tcp", false, false},
	    {"msrps://bob.example.com:9892/98cjs;tcp", false, false}, {"nonsense", false, false},
	    {"msrps://alias.example.com:7965/bar;tcp", true, true}, /* once it has been learned */
	};
	struct fixture *f = *state;
	struct grant *grant = make(f, "msrps://alice.example.com:9892/98cjs;tcp", HOUR_MS);

	assert_false(grant_is_client(grant, slice_of(cases[6].uri)));
	assert_false(grant_names_client(grant, slice_of(cases[6].uri)));
	grant_learn_client(grant, slice_of(cases[6].uri));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(grant_is_client(grant, slice_of(cases[i].uri)), cases[i].exact);
		assert_int_equal(grant_names_client(grant, slice_of(cases[i].uri)), cases[i].named);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_it_says, setup, teardown),
	    cmocka_unit_test_setup_teardown(found_by_from_path, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_heap_is_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(they_end_when_they_should, setup, teardown),
	    cmocka_unit_test_setup_teardown(whose_it_is, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
