/* The memory that what peers send may take in the whole process: msrp.max_memory. */
#pragma once

#include <stddef.h>

struct budget; /* one a daemon */

/** Take bytes of it before they are allocated.  @return 0 or -ENOBUFS: there are not so many */
int budget_take(struct budget *budget, size_t bytes);

/**
 * The same for what a peer may leave lying, so many tenths of all being taken at most: what only
 * passes through finds room.
 */
int budget_take_within(struct budget *budget, size_t bytes, unsigned tenths);

/** Give back what was taken. */
void budget_return(struct budget *budget, size_t bytes);
