/* The event bus behind <msrpd/event.h>: which types there are, and who is told. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <msrpd/event.h>

enum { EVENT_TYPES_MAX = 64 }; /* bits of a mask */

/** One event, as subscribers see it; borrowed for the call. */
struct event_notice {
	const struct event_type *type;
	const struct event_param *params;
	size_t count;
	const struct event_audience *audience; /* NULL: operators alone */
};

/**
 * Who is told: embedded in its owner, zeroed before use.  The owner may change mask at any
 * time; fn may subscribe and unsubscribe anybody, itself included, and emit further events.
 */
struct event_subscriber {
	uint64_t mask; /* of event_bus_bit(); EVENT_ALL */
	void (*fn)(const struct event_notice *event, void *arg);
	bool (*wanted)(void *arg); /* false: not just now; NULL: always */
	void *arg;
	TAILQ_ENTRY(event_subscriber) next;
	struct event_bus *bus;
};

#define EVENT_ALL UINT64_MAX

/** @return 0 or -ENOMEM */
int event_bus_new(struct event_bus **busp);

/** Subscribers that are left are unsubscribed. */
void event_bus_free(struct event_bus *bus);

/**
 * Make types known; they outlive the bus.  A type that nobody added reaches nobody.
 *
 * @param types  NULL-terminated; NULL: none
 * @return 0, -EEXIST: another type has that name, -ENOBUFS: more than EVENT_TYPES_MAX
 */
int event_bus_add_types(struct event_bus *bus, const struct event_type *const *types);

/** @return the type, or NULL */
const struct event_type *event_bus_find(const struct event_bus *bus, struct slice name);

/** The bit of a type in masks; 0 for one that was not added. */
uint64_t event_bus_bit(const struct event_bus *bus, const struct event_type *type);

/**
 * Subscribers are told in the order in which they subscribed.  Who may emit in turn (the
 * rules) comes last, so that everybody else sees cause before effect.
 */
void event_bus_subscribe(struct event_bus *bus, struct event_subscriber *subscriber);

/** Harmless on one that is not subscribed. */
void event_bus_unsubscribe(struct event_subscriber *subscriber);

/** @return the parameter of that name, or NULL */
const struct event_param *event_find_param(const struct event_notice *event, struct slice name);
