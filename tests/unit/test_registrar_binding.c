/* Bindings of an address-of-record: names, order, replacement, expiry, their events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include <msrpd/stats.h>

#include "base/stats.h"
#include "event/bus.h"
#include "loop.h"
#include "registrar/priv.h"

struct fixture {
	struct event_base *base;
	struct event_bus *bus;
	struct stats *stats;
	struct event_subscriber subscriber;
	struct registrar_settings settings;
	struct registrar *r;
	char log[2048];
};

/* "NEW sip:a@h " and "END sip:a@h reason " */
static void on_event(const struct event_notice *event, void *arg)
{
	struct fixture *f = arg;
	size_t used = strlen(f->log);
	bool new = event->type == &registration_new;

	assert_true(slice_equal(event->params[0].text, SLICE("sip:alice@example.org")));
	used += (size_t)snprintf(f->log + used, sizeof(f->log) - used, "%s %.*s ",
	    new ? "NEW" : "END", SLICE_ARG(event->params[1].text));
	if (!new)
		snprintf(f->log + used, sizeof(f->log) - used, "%.*s ",
		    SLICE_ARG(event->params[2].text));
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct service_env env = {0};
	struct reason why;
	void *r = NULL;

	f->base = event_base_new();
	assert_int_equal(stats_new(&f->stats), 0);
	assert_int_equal(event_bus_new(&f->bus), 0);
	assert_int_equal(event_bus_add_types(f->bus, registrar_service.events), 0);
	f->subscriber = (struct event_subscriber){.mask = EVENT_ALL, .fn = on_event, .arg = f};
	event_bus_subscribe(f->bus, &f->subscriber);
	f->settings.given = true;
	env = (struct service_env){.base = f->base, .bus = f->bus, .stats = f->stats};
	assert_int_equal(registrar_service.start(&env, &f->settings, &r, &why), 0);
	f->r = r;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	registrar_service.stop(f->r);
	event_bus_unsubscribe(&f->subscriber);
	event_bus_free(f->bus);
	stats_free(f->stats);
	event_base_free(f->base);
	test_free(f);
	return 0;
}

static void expect_log(struct fixture *f, const char *log)
{
	assert_string_equal(f->log, log);
	f->log[0] = '\0';
}

static struct aor *alice(struct fixture *f)
{
	return aor_find(f->r, SLICE("alice@example.org"));
}

static struct binding_terms terms_of(const char *contact, unsigned q)
{
	return (struct binding_terms){
	    .contact = slice_of(contact),
	    .call_id = SLICE("call"),
	    .q = q,
	    .expires_ms = 60000,
	};
}

static void put(struct fixture *f, const struct binding_terms *terms)
{
	struct aor *aor = aor_get(f->r, SLICE("alice@example.org"));
	struct binding *b = binding_new(f->r, terms);

	assert_non_null(aor);
	assert_non_null(b);
	binding_put(b, aor, aor_find_binding(aor, terms));
}

static void put_plain(struct fixture *f, const char *contact, unsigned q)
{
	struct binding_terms terms = terms_of(contact, q);

	put(f, &terms);
}

static void expect_order(struct fixture *f, const char *contacts)
{
	char text[512] = "";
	struct binding *b;

	TAILQ_FOREACH(b, &alice(f)->bindings, entry)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s ",
		    SLICE_ARG(b->terms.contact));
	assert_string_equal(text, contacts);
}

static void names(void **state)
{
	static const struct {
		const char *uri, *name;
	} cases[] = {
	    {"sip:alice@example.org", "alice@example.org"},
	    {"sips:Alice:pw@EXAMPLE.org:5061;transport=tls", "Alice@example.org"},
	    {"sip:alice;x@[2001:DB8::1]:5060", "alice;x@[2001:db8::1]"},
	    {"sip:example.org", NULL},
	    {"sip:alice@", NULL},
	    {"tel:+1212", NULL},
	    {"urn:service:sos", NULL},
	    {"", NULL},
	};
	char name[AOR_NAME_MAX], longest[AOR_NAME_MAX + 8];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice got = aor_name(slice_of(cases[i].uri), name);

		if (!cases[i].name != !got.p
		    || (got.p && !slice_equal(got, slice_of(cases[i].name))))
			fail_msg("%s: %.*s", cases[i].uri, SLICE_ARG(got));
	}
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "sip:", 4);
	memcpy(longest + sizeof(longest) - 3, "@h", 3);
	assert_null(aor_name(slice_of(longest), name).p);
}

static void order(void **state)
{
	struct fixture *f = *state;

	put_plain(f, "sip:a@h", 500);
	put_plain(f, "sip:b@h", 500);
	put_plain(f, "sip:c@h", 1000);
	put_plain(f, "sip:d@h", 0);
	expect_order(f, "sip:c@h sip:b@h sip:a@h sip:d@h ");
	expect_log(f, "NEW sip:a@h NEW sip:b@h NEW sip:c@h NEW sip:d@h ");
	/* Refreshed: the newest of its q, and no event. */
	put_plain(f, "sip:a@H", 500);
	expect_order(f, "sip:c@h sip:a@H sip:b@h sip:d@h ");
	put_plain(f, "sip:c@h", 100);
	expect_order(f, "sip:a@H sip:b@h sip:c@h sip:d@h ");
	expect_log(f, "");
	assert_int_equal(*f->r->count.contacts, 4);
	assert_int_equal(*f->r->count.refreshed, 2);
}

static void instances(void **state)
{
	struct fixture *f = *state;
	struct binding_terms one = terms_of("sip:a@h:1", 1000), two = terms_of("sip:a@h:2", 1000);

	one.instance = two.instance = SLICE("<urn:uuid:1>");
	put(f, &one);
	put(f, &two); /* no reg-id: as any other contact */
	expect_log(f, "NEW sip:a@h:1 NEW sip:a@h:2 ");
	one.reg_id = two.reg_id = SLICE("1");
	put(f, &one);
	expect_log(f, "");
	put(f, &two);
	expect_log(f, "END sip:a@h:1 replaced NEW sip:a@h:2 ");
	/* RFC 5626 6: where both have them, the contact has no say. */
	two.reg_id = SLICE("2");
	put(f, &two); /* in place of the one that had none */
	expect_log(f, "");
	two.reg_id = SLICE("3");
	put(f, &two);
	expect_log(f, "NEW sip:a@h:2 ");
	expect_order(f, "sip:a@h:2 sip:a@h:2 sip:a@h:2 ");
}

static void ends(void **state)
{
	struct fixture *f = *state;

	put_plain(f, "sip:a@h", 1000);
	put_plain(f, "sip:b@h", 1000);
	binding_end(TAILQ_FIRST(&alice(f)->bindings), END_REMOVED);
	assert_non_null(alice(f));
	binding_end(TAILQ_FIRST(&alice(f)->bindings), END_UNREGISTERED);
	assert_null(alice(f));
	expect_log(f, "NEW sip:a@h NEW sip:b@h END sip:b@h removed END sip:a@h unregistered ");
	assert_int_equal(*f->r->count.aors, 0);
	assert_int_equal(*f->r->count.contacts, 0);
}

static bool is_gone(void *arg)
{
	return !alice(arg);
}

static void expiry(void **state)
{
	struct fixture *f = *state;
	struct binding_terms terms = terms_of("sip:a@h", 1000);

	terms.expires_ms = 20;
	put(f, &terms);
	loop_until(f->base, is_gone, f);
	expect_log(f, "NEW sip:a@h END sip:a@h expired ");
	assert_int_equal(*f->r->count.ended[END_EXPIRED], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names),
	    TEST(order),
	    TEST(instances),
	    TEST(ends),
	    TEST(expiry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
