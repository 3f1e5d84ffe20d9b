/* Bindings that come, are refreshed, replaced and removed while the n-th allocation fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <event2/event.h>

#include <msrpd/stats.h>

#include "base/stats.h"
#include "event/bus.h"
#include "memory.h"
#include "registrar/priv.h"

enum { USERS = 20 };

/* As register_save() does it. */
static bool put(struct registrar *r, struct slice name, const char *contact, const char *reg_id)
{
	struct binding_terms terms = {.contact = slice_of(contact),
	    .call_id = SLICE("call"),
	    .q = Q_MAX,
	    .expires_ms = 60000,
	    .instance = SLICE("<urn:uuid:1>"),
	    .reg_id = slice_of(reg_id)};
	struct binding *b = binding_new(r, &terms);
	struct aor *aor = aor_get(r, name);

	if (b && aor) {
		binding_put(b, aor, aor_find_binding(aor, &terms));
		return true;
	}
	if (b)
		binding_free(b);
	if (aor)
		aor_release(aor);
	return false;
}

static void live(struct registrar *r, unsigned failures)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < USERS; i++) {
		char name[] = {'a' + (char)i, '@', 'h'};
		struct slice user = {name, sizeof(name)};
		struct aor *aor;

		kept += put(r, user, "sip:a@h:1", "1");
		kept += put(r, user, "sip:a@h:2", "2");
		kept += put(r, user, "sip:a@h:1", "1"); /* again */
		kept += put(r, user, "sip:a@h:3", "2"); /* in place of another */
		aor = aor_find(r, user);
		if (i % 2 && aor)
			binding_end(TAILQ_FIRST(&aor->bindings), END_UNREGISTERED);
	}
	assert_true(kept + failures >= 4 * USERS);
	assert_in_range(*r->count.contacts, USERS, 2 * USERS);
}

static void each_allocation(void **state)
{
	struct registrar_settings settings = {.given = true};
	unsigned n = 0;

	(void)state;
	do {
		struct service_env env = {.base = event_base_new()};
		struct event_bus *bus = NULL;
		struct stats *stats = NULL;
		struct reason why;
		void *r;

		assert_int_equal(stats_new(&stats), 0);
		assert_int_equal(event_bus_new(&bus), 0);
		assert_int_equal(event_bus_add_types(bus, registrar_service.events), 0);
		env.bus = bus;
		env.stats = stats;
		memory_fail_at(++n);
		if (registrar_service.start(&env, &settings, &r, &why) == 0) {
			live(r, 1);
			registrar_service.stop(r);
		}
		event_bus_free(bus);
		stats_free(stats);
		event_base_free(env.base);
		assert_true(n < 1000);
	} while (memory_has_failed());
	memory_fail_at(0);
	assert_true(n > 4 * USERS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
