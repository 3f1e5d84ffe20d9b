#include "event/bus.h"

#include <errno.h>
#include <stdlib.h>

/* Where an emit in progress goes on; unsubscribing moves it on. */
struct cursor {
	struct cursor *outer; /* of the emit around this one */
	struct event_subscriber *next;
};

struct event_bus {
	const struct event_type *types[EVENT_TYPES_MAX];
	size_t count;
	TAILQ_HEAD(, event_subscriber) subscribers;
	struct cursor *cursor;
};

int event_bus_new(struct event_bus **busp)
{
	struct event_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return -ENOMEM;
	TAILQ_INIT(&bus->subscribers);
	*busp = bus;
	return 0;
}

void event_bus_free(struct event_bus *bus)
{
	if (!bus)
		return;
	while (!TAILQ_EMPTY(&bus->subscribers))
		event_bus_unsubscribe(TAILQ_FIRST(&bus->subscribers));
	free(bus);
}

static int add_type(struct event_bus *bus, const struct event_type *type)
{
	const struct event_type *known = event_bus_find(bus, slice_of(type->name));

	if (known)
		return known == type ? 0 : -EEXIST;
	if (bus->count == EVENT_TYPES_MAX)
		return -ENOBUFS;
	bus->types[bus->count++] = type;
	return 0;
}

int event_bus_add_types(struct event_bus *bus, const struct event_type *const *types)
{
	int err = 0;

	for (; !err && types && *types; types++)
		err = add_type(bus, *types);
	return err;
}

const struct event_type *event_bus_find(const struct event_bus *bus, struct slice name)
{
	for (size_t i = 0; i < bus->count; i++)
		if (slice_equal(name, slice_of(bus->types[i]->name)))
			return bus->types[i];
	return NULL;
}

uint64_t event_bus_bit(const struct event_bus *bus, const struct event_type *type)
{
	for (size_t i = 0; i < bus->count; i++)
		if (bus->types[i] == type)
			return UINT64_C(1) << i;
	return 0;
}

void event_bus_subscribe(struct event_bus *bus, struct event_subscriber *subscriber)
{
	subscriber->bus = bus;
	TAILQ_INSERT_TAIL(&bus->subscribers, subscriber, next);
}

void event_bus_unsubscribe(struct event_subscriber *subscriber)
{
	struct event_bus *bus = subscriber->bus;

	if (!bus)
		return;
	for (struct cursor *c = bus->cursor; c; c = c->outer)
		if (c->next == subscriber)
			c->next = TAILQ_NEXT(subscriber, next);
	TAILQ_REMOVE(&bus->subscribers, subscriber, next);
	subscriber->bus = NULL;
}

static bool wants(const struct event_subscriber *subscriber, uint64_t bit)
{
	return (subscriber->mask & bit)
	    && (!subscriber->wanted || subscriber->wanted(subscriber->arg));
}

static void each_of_one(const void *what, void (*fn)(struct slice address, void *arg), void *arg)
{
	fn(*(const struct slice *)what, arg);
}

struct event_audience event_audience_of(const struct slice *address)
{
	return (struct event_audience){.each = each_of_one, .what = address};
}

void event_emit(struct event_bus *bus, const struct event_type *type,
    const struct event_param *params, size_t count)
{
	event_emit_for(bus, type, params, count, NULL);
}

void event_emit_for(struct event_bus *bus, const struct event_type *type,
    const struct event_param *params, size_t count, const struct event_audience *audience)
{
	const struct event_notice notice = {type, params, count, audience};
	uint64_t bit = event_bus_bit(bus, type);
	struct cursor cursor = {bus->cursor, TAILQ_FIRST(&bus->subscribers)};

	bus->cursor = &cursor;
	while (cursor.next) {
		struct event_subscriber *subscriber = cursor.next;

		cursor.next = TAILQ_NEXT(subscriber, next);
		if (wants(subscriber, bit))
			subscriber->fn(&notice, subscriber->arg);
	}
	bus->cursor = cursor.outer;
}

bool event_wanted(const struct event_bus *bus, const struct event_type *type)
{
	uint64_t bit = event_bus_bit(bus, type);
	const struct event_subscriber *s;

	TAILQ_FOREACH(s, &bus->subscribers, next)
		if (wants(s, bit))
			return true;
	return false;
}

const struct event_param *event_find_param(const struct event_notice *event, struct slice name)
{
	for (size_t i = 0; i < event->count; i++)
		if (slice_equal(name, slice_of(event->params[i].name)))
			return &event->params[i];
	return NULL;
}
