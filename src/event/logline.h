/*
 * Events as log lines, at level info:
 *
 *	NAME key=value key="quoted value" key=null
 *
 * A text is quoted when it is empty, reads null, or holds anything but printable ASCII
 * without space, quote, = and backslash; in quotes the last and the quote have a backslash
 * before them.
 */
#pragma once

#include <stdbool.h>

#include "event/bus.h"

struct event_logline {
	struct event_subscriber subscriber;
	bool body; /* log.event_body; may be changed at any time */
};

enum { EVENT_LOGLINE_BODY_MAX = 256 }; /* bytes of a body that are logged */

void event_logline_start(struct event_logline *logline, struct event_bus *bus, bool body);

/** Harmless if it was not started. */
void event_logline_stop(struct event_logline *logline);
