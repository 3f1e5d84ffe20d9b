/* Numbers and times for get_statistics and /metrics, named group:name. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stats;

enum { STATS_BUCKETS = 17 };

/** How long something took: how often up to 1, 2, 4 … 65,536 ms. */
struct stats_times {
	uint64_t count, sum_ms;
	uint64_t buckets[STATS_BUCKETS]; /* each without the one before it */
};

/** Count one that took so long. */
void stats_took(struct stats_times *times, uint64_t ms);

/**
 * A number of a group: a uint64_t * in its owner's struct, which points to what it adds to; or a
 * struct stats_times *, for stats_took().
 */
struct stats_row {
	const char *name, *help;
	size_t offset; /* of that pointer */
	bool gauge;    /* rises and falls; else a counter, which only grows */
	bool times;    /* NAME_count and NAME_ms; in /metrics a histogram, NAME_seconds */
};

/**
 * Register the numbers of a group, and fill the pointers.  The texts must outlive stats (literals
 * do).  The same pair of group and name registered again gives the same number.
 *
 * @param rows   ended by one without a name
 * @param owner  the struct that has the pointers; the numbers belong to stats
 * @return 0 or -ENOMEM
 */
int stats_register(struct stats *stats, const char *group, const struct stats_row *rows,
    void *owner);
