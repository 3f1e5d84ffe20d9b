#include "base/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct number {
	TAILQ_ENTRY(number) next;
	struct stats_item item; /* whose value is what the owner adds to */
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

static bool in_group(const struct number *number, const char *group)
{
	return strcmp(number->item.group, group) == 0;
}

/* Numbers of a group lie together: a new one goes behind the last of its group. */
static uint64_t *add(struct stats *stats, const char *group, const struct stats_row *row)
{
	struct number *number, *last = NULL;

	TAILQ_FOREACH(number, &stats->numbers, next) {
		if (!in_group(number, group))
			continue;
		if (strcmp(number->item.name, row->name) == 0)
			return &number->item.value;
		last = number;
	}
	number = calloc(1, sizeof(*number));
	if (!number)
		return NULL;
	number->item = (struct stats_item){group, row->name, row->help, row->gauge, 0};
	if (last)
		TAILQ_INSERT_AFTER(&stats->numbers, last, number, next);
	else
		TAILQ_INSERT_TAIL(&stats->numbers, number, next);
	return &number->item.value;
}

int stats_register(struct stats *stats, const char *group, const struct stats_row *rows,
    void *owner)
{
	for (; rows->name; rows++) {
		uint64_t **numberp = (uint64_t **)((char *)owner + rows->offset);

		*numberp = add(stats, group, rows);
		if (!*numberp)
			return -ENOMEM;
	}
	return 0;
}

void stats_each(const struct stats *stats, void (*fn)(const struct stats_item *item, void *arg),
    void *arg)
{
	const struct number *number;

	TAILQ_FOREACH(number, &stats->numbers, next)
		fn(&number->item, arg);
}

bool stats_has_group(const struct stats *stats, const char *group)
{
	const struct number *number;

	TAILQ_FOREACH(number, &stats->numbers, next)
		if (in_group(number, group))
			return true;
	return false;
}
