/*
 * What happens to a session, told once: to the log, and to a memory of the last events from which
 * `msrpctl why` puts a session's story together.  For the few things that make or end a session,
 * not for its messages.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/log.h>
#include <msrpd/slice.h>

/** Whom it happens to; what is not known is absent. */
struct story {
	struct slice session_id, call_id;
	struct slice key;  /* of the gateway */
	const char *stack; /* "msrp" or "sip", whose connection it is; NULL: none */
	uint64_t conn;
};

/**
 * Remember one line, and log it where the level is logged.  It stands for itself, as lines of the
 * log do.
 */
void story_note(enum log_level level, const struct story *of, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/**
 * A line at level info that a peer can have as often as he likes, and that is no part of a
 * session's story: of these and of what is refused a number a second is logged, and then how many
 * there were besides.
 */
void story_often(const char *format, ...) __attribute__((format(printf, 1, 2)));

/**
 * As story_note() for what was refused, at level info: a peer can have that as often as he likes, so
 * only the first line with that code of a session (or else call, or connection) counts, and of
 * those a number a second is logged.
 */
void story_refuse(const struct story *of, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
