/*
 * Events as log lines, at level info:
 *
 *	NAME key=value key="quoted value" key=null
 *
 * A text is quoted when it is empty, reads null, or holds anything but printable ASCII
 * without space, quote, = and backslash; in quotes the last and the quote have a backslash
 * before them.
 *
 * Of events that come as often as a peer likes some lines a second and session are logged, and then
 * how many there were besides; subscribers of the bus get all.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "event/bus.h"

enum {
	EVENT_LOGLINE_BODY_MAX = 256, /* bytes of a body that are logged */
	/* Lines of one session, or room, of events that a peer can have as often as he likes. */
	EVENT_LOGLINE_A_SECOND = 20,
	EVENT_LOGLINE_SLOTS = 4096,
};

struct event_logline {
	struct event_subscriber subscriber;
	bool body; /* log.event_body; may be changed at any time */
	/* Of sessions, by a hash of their ids: in which second there were how many lines. */
	struct {
		uint32_t second, lines;
	} sessions[EVENT_LOGLINE_SLOTS];
	uint64_t silent;      /* lines that were left out, and of which nothing is said yet */
	uint32_t silent_from; /* the second of the first */
};

void event_logline_start(struct event_logline *logline, struct event_bus *bus, bool body);

/** Say of how many events there was no line, if any.  Harmless if it was not started. */
void event_logline_stop(struct event_logline *logline);
