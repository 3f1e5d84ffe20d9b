/* What one address may do, while the n-th allocation fails, for each n. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include <event2/event.h>

#include "base/stats.h"
#include "memory.h"
#include "net/guard.h"
#include "net/guard_priv.h"

enum { HOSTS = 40, EACH = 3 };

struct fixture {
	struct event_base *base;
	struct stats *stats;
	struct net_guard_host *hosts[HOSTS * EACH];
};

static union addr address(unsigned number)
{
	union addr a;

	assert_int_equal(addr_parse_host(&a, SLICE("192.0.2.0")), 0);
	a.in.sin_addr.s_addr += number << 24;
	return a;
}

/* Whoever is let in is counted, and goes on being so whatever fails for others. */
static void live(struct fixture *f, struct net_guard *guard,
    const struct net_guard_settings *settings)
{
	unsigned entered = 0;

	for (unsigned i = 0; i < HOSTS * EACH; i++) {
		union addr peer = address(i % HOSTS);
		int err = net_guard_enter(guard, &peer, true, &f->hosts[i]);

		assert_true(err == 0 || err == -ENOMEM);
		assert_true(err == 0 || !f->hosts[i]);
		entered += err == 0;
	}
	assert_in_range(entered, HOSTS * EACH - 1, HOSTS * EACH);
	for (unsigned i = 0; i < HOSTS; i++) {
		union addr peer = address(HOSTS + i);

		net_guard_note_failure(guard, &peer, true);
		net_guard_bars(guard, &peer);
	}
	net_guard_reload(guard, settings);
	for (unsigned i = 0; i < HOSTS * EACH; i++)
		net_guard_leave(f->hosts[i]);
}

static void each_allocation(void **state)
{
	static char *exempt[] = {"127.0.0.0/8", "::1/128"};
	static const struct net_guard_settings settings = {.connections_per_address = EACH,
	    .auth_failures = 1,
	    .auth_failure_window_ms = 60000,
	    .exempt = {exempt, 2}};
	unsigned n = 0, unmade = 0;

	(void)state;
	do {
		struct fixture f = {.base = event_base_new()};
		struct net_guard *guard;

		assert_int_equal(stats_new(&f.stats), 0);
		memory_fail_at(++n);
		if (net_guard_new(&guard, f.base, &settings, f.stats) == 0)
			live(&f, guard, &settings);
		else
			unmade++, guard = NULL;
		net_guard_free(guard);
		stats_free(f.stats);
		event_base_free(f.base);
		assert_true(n < 1000);
	} while (memory_has_failed());
	memory_fail_at(0);
	assert_true(n > 2 * HOSTS);
	assert_true(unmade > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
