/*
 * Events: facts that applications and rules may act on.  Emitted once, they go
 * to every subscriber, the log among them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

struct event_bus;

enum event_kind {
	EVENT_TEXT, /* UTF-8; bytes that are none are replaced by U+FFFD on the way out */
	EVENT_NUMBER,
	EVENT_BODY,   /* octets: NAME, or NAME_base64 when they are not UTF-8 */
	EVENT_TRUE,   /* left out where it is not so */
	EVENT_OBJECT, /* of items, by their names */
	EVENT_LIST,   /* of items, their names do not count */
	EVENT_NULL,
};

struct event_param {
	const char *name;
	enum event_kind kind;
	struct slice text;
	int64_t number;
	const struct event_param *items;
	size_t count;
	bool guarded; /* for operators alone: users whom the event concerns do not get it */
};

/** A kind of event; const, declared once by whoever emits it. */
struct event_type {
	const char *name;          /* "E_MSRP_SESSION_NEW" */
	const char *const *params; /* NULL-terminated names, for $param() in rules */
	/** As often as a peer likes, for each message say: no part of a session's story, and not
	 *  each has a line of the log. */
	bool often;
};

/** Text parameter: absent text is JSON null. */
static inline struct event_param event_text(const char *name, struct slice text)
{
	return (struct event_param){.name = name,
	    .kind = text.p ? EVENT_TEXT : EVENT_NULL,
	    .text = text};
}

static inline struct event_param event_number(const char *name, int64_t number)
{
	return (struct event_param){.name = name, .kind = EVENT_NUMBER, .number = number};
}

static inline struct event_param event_body(const char *name, struct slice bytes)
{
	return (struct event_param){.name = name, .kind = EVENT_BODY, .text = bytes};
}

static inline struct event_param event_true(const char *name)
{
	return (struct event_param){.name = name, .kind = EVENT_TRUE};
}

static inline struct event_param event_null(const char *name)
{
	return (struct event_param){.name = name, .kind = EVENT_NULL};
}

/** Params are borrowed for the call; subscribers run before it returns.  For operators alone. */
void event_emit(struct event_bus *bus, const struct event_type *type,
    const struct event_param *params, size_t count);

/** The users whom an event concerns; borrowed. */
struct event_audience {
	/** Call fn with the address of each, a URI or one with a name; twice the same does no harm. */
	void (*each)(const void *what, void (*fn)(struct slice address, void *arg), void *arg);
	const void *what;
};

/** Of one user; address is borrowed. */
struct event_audience event_audience_of(const struct slice *address);

/** The same for these users also. */
void event_emit_for(struct event_bus *bus, const struct event_type *type,
    const struct event_param *params, size_t count, const struct event_audience *audience);

/** Does anybody but the log listen to this type, or the log at its level?  Spares building one. */
bool event_wanted(const struct event_bus *bus, const struct event_type *type);
