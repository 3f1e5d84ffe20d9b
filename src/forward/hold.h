/*
 * What has come of a chunk that is not whole yet, kept back from a connection that others write on
 * as well: they would interrupt its frame, and the rest need another one.
 */
#pragma once

#include "forward/forwarder.h"

enum {
	HOLD_MAX = 16 * 1024,       /* bytes; a chunk longer than that goes on all the same */
	HOLDS_MAX = 4 * 1024 * 1024 /* of all together */
};

/** Embedded in its owner.  Zeroed: nothing is held. */
struct hold {
	struct slice piece; /* the latest, where it was read */
	char *text;         /* what came before that, copied */
	uint32_t len, cap;
};

static inline bool hold_is_empty(const struct hold *hold)
{
	return !hold->piece.len && !hold->len;
}

/**
 * Hold piece as well, which stays where it is until the end of the read.
 *
 * @return false: that would be too much, and piece is not held
 */
bool hold_add(struct hold *hold, struct forwarder *fw, struct slice piece);

/** The read is over: copy what lies there.  @return false: there is no room for that */
bool hold_keep(struct hold *hold, struct forwarder *fw);

/** What was copied, and what comes behind it. */
static inline struct slice hold_text(const struct hold *hold)
{
	return (struct slice){hold->text, hold->len};
}

void hold_drop(struct hold *hold, struct forwarder *fw);
