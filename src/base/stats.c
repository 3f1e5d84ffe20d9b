#include "base/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct number {
	struct number *next;
	struct stats_item item; /* whose value is what the owner adds to */
};

struct stats {
	struct number *first;
};

int stats_new(struct stats **statsp)
{
	struct stats *stats = calloc(1, sizeof(*stats));

	if (!stats)
		return -ENOMEM;
	*statsp = stats;
	return 0;
}

void stats_free(struct stats *stats)
{
	if (!stats)
		return;
	while (stats->first) {
		struct number *number = stats->first;

		stats->first = number->next;
		free(number);
	}
	free(stats);
}

static bool in_group(const struct number *number, const char *group)
{
	return strcmp(number->item.group, group) == 0;
}

/* Numbers of a group lie together: a new one goes behind the last of its group. */
static uint64_t *add(struct stats *stats, const struct stats_item *item)
{
	struct number **place = NULL, *number;

	for (struct number **p = &stats->first; *p; p = &(*p)->next) {
		if (!in_group(*p, item->group))
			continue;
		if (strcmp((*p)->item.name, item->name) == 0)
			return &(*p)->item.value;
		place = &(*p)->next;
	}
	if (!place)
		for (place = &stats->first; *place; place = &(*place)->next)
			;
	number = malloc(sizeof(*number));
	if (!number)
		return NULL;
	*number = (struct number){*place, *item};
	*place = number;
	return &number->item.value;
}

int stats_register(struct stats *stats, const char *group, const struct stats_row *rows,
    void *owner)
{
	for (; rows->name; rows++) {
		uint64_t **numberp = (uint64_t **)((char *)owner + rows->offset);

		*numberp =
		    add(stats, &(struct stats_item){group, rows->name, rows->help, rows->gauge, 0});
		if (!*numberp)
			return -ENOMEM;
	}
	return 0;
}

uint64_t *stats_counter(struct stats *stats, const char *group, const char *name, const char *help)
{
	return add(stats, &(struct stats_item){group, name, help, false, 0});
}

uint64_t *stats_gauge(struct stats *stats, const char *group, const char *name, const char *help)
{
	return add(stats, &(struct stats_item){group, name, help, true, 0});
}

void stats_each(const struct stats *stats, void (*fn)(const struct stats_item *item, void *arg),
    void *arg)
{
	for (const struct number *number = stats->first; number; number = number->next)
		fn(&number->item, arg);
}

bool stats_has_group(const struct stats *stats, const char *group)
{
	for (const struct number *number = stats->first; number; number = number->next)
		if (in_group(number, group))
			return true;
	return false;
}
