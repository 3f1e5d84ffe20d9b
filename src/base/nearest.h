/* Guess which known name a mistyped one was meant to be. */
#pragma once

#include <msrpd/slice.h>

/** A search under way: set name, offer every known name, ask for the best. */
struct nearest {
	struct slice name;
	const char *best;
	size_t distance; /* of best: letters changed, added, dropped */
};

void nearest_offer(struct nearest *n, const char *known);

enum { NEAREST_HINT_SIZE = 80 };

/** Write "; did you mean NAME?", or nothing if no name is near.  @return hint */
const char *nearest_hint(const struct nearest *n, char hint[NEAREST_HINT_SIZE]);
