#include "base/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct number {
	TAILQ_ENTRY(number) next;
	struct stats_item item; /* whose value is what the owner adds to */
	struct stats_times times[];
};

struct stats {
	TAILQ_HEAD(, number) numbers;
};

int stats_new(struct stats **statsp)
{
	struct stats *stats = calloc(1, sizeof(*stats));

	if (!stats)
		return -ENOMEM;
	TAILQ_INIT(&stats->numbers);
	*statsp = stats;
	return 0;
}

void stats_free(struct stats *stats)
{
	struct number *number;

	if (!stats)
		return;
	while ((number = TAILQ_FIRST(&stats->numbers))) {
		TAILQ_REMOVE(&stats->numbers, number, next);
		free(number);
	}
	free(stats);
}

static bool in_group(const struct number *number, struct slice group)
{
	return slice_equal(group, slice_of(number->item.group));
}

/* Numbers of a group lie together: a new one goes behind the last of its group. */
static struct number *add(struct stats *stats, const char *group, const struct stats_row *row)
{
	struct number *number, *last = NULL;

	TAILQ_FOREACH(number, &stats->numbers, next) {
		if (!in_group(number, slice_of(group)))
			continue;
		if (strcmp(number->item.name, row->name) == 0)
			return number;
		last = number;
	}
	number = calloc(1, sizeof(*number) + (row->times ? sizeof(*number->times) : 0));
	if (!number)
		return NULL;
	number->item = (struct stats_item){.group = group,
	    .name = row->name,
	    .help = row->help,
	    .gauge = row->gauge,
	    .times = row->times ? number->times : NULL};
	if (last)
		TAILQ_INSERT_AFTER(&stats->numbers, last, number, next);
	else
		TAILQ_INSERT_TAIL(&stats->numbers, number, next);
	return number;
}

int stats_register(struct stats *stats, const char *group, const struct stats_row *rows,
    void *owner)
{
	for (; rows->name; rows++) {
		void *place = (char *)owner + rows->offset;
		struct number *number = add(stats, group, rows);

		if (!number)
			return -ENOMEM;
		if (rows->times)
			*(struct stats_times **)place = number->times;
		else
			*(uint64_t **)place = &number->item.value;
	}
	return 0;
}

/* 2 to the power of i: the first that is no less */
static unsigned bucket_of(uint64_t ms)
{
	return ms < 2 ? 0 : 64u - (unsigned)__builtin_clzll(ms - 1);
}

void stats_took(struct stats_times *times, uint64_t ms)
{
	unsigned i = bucket_of(ms);

	times->count++;
	times->sum_ms += ms;
	if (i < STATS_BUCKETS)
		times->buckets[i]++;
}

void stats_each(const struct stats *stats, void (*fn)(const struct stats_item *item, void *arg),
    void *arg)
{
	const struct number *number;

	TAILQ_FOREACH(number, &stats->numbers, next)
		fn(&number->item, arg);
}

bool stats_has_group(const struct stats *stats, struct slice group)
{
	const struct number *number;

	TAILQ_FOREACH(number, &stats->numbers, next)
		if (in_group(number, group))
			return true;
	return false;
}
