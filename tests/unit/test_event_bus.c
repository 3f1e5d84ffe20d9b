#include "event/bus.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct event_type type_a = {.name = "E_A",
    .params = (const char *const[]){"x", "y", NULL}};
static const struct event_type type_b = {.name = "E_B", .params = NULL};
static const struct event_type unknown = {.name = "E_UNKNOWN", .params = NULL};
static const struct event_type *const types[] = {&type_a, &type_b, NULL};

struct fixture {
	struct event_bus *bus;
	char told[256]; /* "1:E_A 2:E_A " */
	struct listener {
		struct event_subscriber subscriber;
		struct fixture *fixture;
		int number;
		void (*then)(struct listener *l);
	} listeners[4];
};

static void on_event(const struct event_notice *notice, void *arg)
{
	struct listener *l = arg;
	size_t len = strlen(l->fixture->told);
	void (*then)(struct listener *) = l->then;

	snprintf(l->fixture->told + len, sizeof(l->fixture->told) - len, "%d:%s ", l->number,
	    notice->type->name);
	l->then = NULL;
	if (then)
		then(l);
}

static void subscribe(struct fixture *f, int number, uint64_t mask)
{
	struct listener *l = &f->listeners[number];

	l->fixture = f;
	l->number = number;
	l->subscriber = (struct event_subscriber){.mask = mask, .fn = on_event, .arg = l};
	event_bus_subscribe(f->bus, &l->subscriber);
}

static int setup(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){0};
	assert_int_equal(event_bus_new(&fixture.bus), 0);
	assert_int_equal(event_bus_add_types(fixture.bus, types), 0);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	event_bus_free(f->bus);
	for (int i = 0; i < 4; i++)
		assert_null(f->listeners[i].subscriber.bus);
	return 0;
}

static void emit(struct fixture *f, const struct event_type *type, const char *expected)
{
	f->told[0] = '\0';
	event_emit(f->bus, type, NULL, 0);
	assert_string_equal(f->told, expected);
}

static void test_types(void **state)
{
	static const struct event_type again = {.name = "E_A", .params = NULL};
	static char names[EVENT_TYPES_MAX][16];
	static struct event_type many[EVENT_TYPES_MAX];
	struct fixture *f = *state;

	assert_ptr_equal(event_bus_find(f->bus, SLICE("E_B")), &type_b);
	assert_null(event_bus_find(f->bus, SLICE("E_")));
	assert_int_equal(event_bus_bit(f->bus, &type_a), 1);
	assert_int_equal(event_bus_bit(f->bus, &type_b), 2);
	assert_int_equal(event_bus_bit(f->bus, &unknown), 0);
	assert_int_equal(event_bus_add_types(f->bus, types), 0);
	assert_int_equal(event_bus_add_types(f->bus, NULL), 0);
	assert_int_equal(
	    event_bus_add_types(f->bus, (const struct event_type *const[]){&again, NULL}), -EEXIST);
	for (int i = 2; i <= EVENT_TYPES_MAX; i++) {
		const struct event_type *one[] = {&many[i - 1], NULL};

		snprintf(names[i - 1], sizeof(names[0]), "E_%d", i);
		many[i - 1].name = names[i - 1];
		assert_int_equal(event_bus_add_types(f->bus, one),
		    i < EVENT_TYPES_MAX ? 0 : -ENOBUFS);
	}
	assert_int_equal(event_bus_bit(f->bus, &many[EVENT_TYPES_MAX - 2]), UINT64_C(1) << 63);
}

static void test_order_and_masks(void **state)
{
	struct fixture *f = *state;

	subscribe(f, 1, EVENT_ALL);
	subscribe(f, 2, event_bus_bit(f->bus, &type_b));
	subscribe(f, 3, event_bus_bit(f->bus, &type_a));
	emit(f, &type_a, "1:E_A 3:E_A ");
	emit(f, &type_b, "1:E_B 2:E_B ");
	emit(f, &unknown, "");
	f->listeners[1].subscriber.mask = 0;
	emit(f, &type_a, "3:E_A ");
	event_bus_unsubscribe(&f->listeners[3].subscriber);
	event_bus_unsubscribe(&f->listeners[3].subscriber);
	emit(f, &type_a, "");
	subscribe(f, 3, EVENT_ALL);
	emit(f, &type_b, "2:E_B 3:E_B ");
}

static void test_wanted(void **state)
{
	struct fixture *f = *state;

	assert_false(event_wanted(f->bus, &type_a));
	subscribe(f, 1, event_bus_bit(f->bus, &type_a));
	assert_true(event_wanted(f->bus, &type_a));
	assert_false(event_wanted(f->bus, &type_b));
	assert_false(event_wanted(f->bus, &unknown));
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static void test_not_just_now(void **state)
{
	struct fixture *f = *state;

	subscribe(f, 1, EVENT_ALL);
	f->listeners[1].subscriber.wanted = never;
	assert_false(event_wanted(f->bus, &type_a));
	emit(f, &type_a, "");
	f->listeners[1].subscriber.wanted = NULL;
	emit(f, &type_a, "1:E_A ");
}

static void unsubscribe_self(struct listener *l)
{
	event_bus_unsubscribe(&l->subscriber);
}

static void unsubscribe_next(struct listener *l)
{
	event_bus_unsubscribe(&l[1].subscriber);
}

static void unsubscribe_previous(struct listener *l)
{
	event_bus_unsubscribe(&l[-1].subscriber);
}

static void unsubscribe_all(struct listener *l)
{
	for (int i = 1; i < 4; i++)
		event_bus_unsubscribe(&l->fixture->listeners[i].subscriber);
}

static void test_unsubscribe_inside(void **state)
{
	static const struct {
		int who;
		void (*then)(struct listener *l);
		const char *told, *after;
	} cases[] = {
	    {1, unsubscribe_self, "1:E_A 2:E_A 3:E_A ", "2:E_A 3:E_A "},
	    {3, unsubscribe_self, "1:E_A 2:E_A 3:E_A ", "1:E_A 2:E_A "},
	    {1, unsubscribe_next, "1:E_A 3:E_A ", "1:E_A 3:E_A "},
	    {2, unsubscribe_next, "1:E_A 2:E_A ", "1:E_A 2:E_A "},
	    {2, unsubscribe_previous, "1:E_A 2:E_A 3:E_A ", "2:E_A 3:E_A "},
	    {1, unsubscribe_all, "1:E_A ", ""},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int n = 1; n < 4; n++)
			subscribe(f, n, EVENT_ALL);
		f->listeners[cases[i].who].then = cases[i].then;
		emit(f, &type_a, cases[i].told);
		emit(f, &type_a, cases[i].after);
		unsubscribe_all(&f->listeners[1]);
	}
}

static void emit_b(struct listener *l)
{
	event_emit(l->fixture->bus, &type_b, NULL, 0);
}

static void emit_b_that_ends_next(struct listener *l)
{
	l->then = unsubscribe_next;
	emit_b(l);
}

/* The outer emit notices who went in the inner one. */
static void test_emit_inside(void **state)
{
	struct fixture *f = *state;

	for (int n = 1; n < 4; n++)
		subscribe(f, n, EVENT_ALL);
	f->listeners[3].then = emit_b;
	emit(f, &type_a, "1:E_A 2:E_A 3:E_A 1:E_B 2:E_B 3:E_B ");
	f->listeners[1].then = emit_b_that_ends_next;
	emit(f, &type_a, "1:E_A 1:E_B 3:E_B 3:E_A ");
}

static void check_params(const struct event_notice *notice, void *arg)
{
	const struct event_param *x = event_find_param(notice, SLICE("x"));

	assert_int_equal(notice->count, 2);
	assert_int_equal(x->kind, EVENT_NUMBER);
	assert_int_equal(x->number, -5);
	assert_int_equal(event_find_param(notice, SLICE("y"))->kind, EVENT_NULL);
	assert_null(event_find_param(notice, SLICE("z")));
	++*(int *)arg;
}

static void test_params(void **state)
{
	struct fixture *f = *state;
	const struct event_param params[] = {event_number("x", -5),
	    event_text("y", (struct slice){0})};
	int told = 0;
	struct event_subscriber subscriber = {.mask = EVENT_ALL, .fn = check_params, .arg = &told};

	event_bus_subscribe(f->bus, &subscriber);
	event_emit(f->bus, &type_a, params, 2);
	assert_int_equal(told, 1);
	event_bus_unsubscribe(&subscriber);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_types),
	    CASE(test_order_and_masks),
	    CASE(test_wanted),
	    CASE(test_not_just_now),
	    CASE(test_unsubscribe_inside),
	    CASE(test_emit_inside),
	    CASE(test_params),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
