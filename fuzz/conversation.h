/*
 * Whole conversations as inputs: what several peers say, each on a connection of its own, in turns.
 * A byte from 1 to 8 is none of a text: it stands for a name that the target knows (a URI that is
 * made anew each time), 14 and 15 are other ends of the turn: from then on the first or second
 * peer speaks; 16 lets what has been said be heard first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

#include "msrp/stack.h"
#include "wire/parser.h"

struct event_base;
struct net_listener;
struct stats;

enum {
	SPEAKERS = 2,
	NAMES = 8,
	INPUT_MAX = 8192, /* the socket takes it at once, its names written out */
};

/** One end of a socket pair, whose other one the listener has accepted. */
struct speaker {
	int fd;
	struct msrp_parser parser; /* of what it hears */
	size_t heard;              /* bytes */
	unsigned requests, responses;
	bool over;
	char *first; /* what it has heard first, for those who want it */
	size_t first_len;
};

struct conversation {
	struct event_base *base;
	struct speaker speakers[SPEAKERS];
	const char *names[NAMES]; /* NULL: nothing */
	bool frames; /* what is heard must be frames of MSRP, each of them whole or the last */
};

void must(bool holds);

/**
 * A stack for the life of the process, whose contexts of TLS take longer to make than what is said;
 * what is heard of it is frames.
 *
 * @param settings  what differs between targets: sizes of messages and chunks
 */
struct msrp_stack *conversation_start(struct conversation *c, const struct msrp_settings *settings,
    struct stats **statsp);

void speaker_open(struct conversation *c, size_t which, const struct net_listener *listener);
void speaker_say(struct conversation *c, size_t which, struct slice text);

/** Turn the loop until nothing is left to do at once, and hear what they are told. */
void conversation_settle(struct conversation *c);

/** Have them say the input; then hear. */
void conversation_run(struct conversation *c, const uint8_t *data, size_t size);

/** They leave. */
void conversation_end(struct conversation *c);
