/* Numbers for get_statistics and /metrics, named group:name. */
#pragma once

#include <stdint.h>

struct stats;

/**
 * Register a counter (only grows) under group and name; both must outlive stats
 * (literals do).  The same pair registered again gives the same number.
 *
 * @return the number to add to, owned by stats; NULL when memory is out
 */
uint64_t *stats_counter(struct stats *stats, const char *group, const char *name, const char *help);

/** The same for a number that rises and falls. */
uint64_t *stats_gauge(struct stats *stats, const char *group, const char *name, const char *help);
