/*
 * Counters and gauges, named group:name, for get_statistics and /metrics.
 * Whoever counts holds a pointer to its number and adds to it; nothing is looked up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/slice.h>
#include <msrpd/stats.h>

int stats_new(struct stats **statsp);
void stats_free(struct stats *stats);

struct stats_item {
	const char *group, *name, *help;
	bool gauge;
	uint64_t value;
	const struct stats_times *times; /* NULL: a number, which value is */
};

/** Call fn for each, groups together, in the order of registration. */
void stats_each(const struct stats *stats, void (*fn)(const struct stats_item *item, void *arg),
    void *arg);

bool stats_has_group(const struct stats *stats, struct slice group);
