#include "numbers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/stats.h"

struct lookup {
	const char *group, *name;
	uint64_t value;
};

static void look(const struct stats_item *item, void *arg)
{
	struct lookup *l = arg;

	if (strcmp(item->group, l->group) == 0 && strcmp(item->name, l->name) == 0)
		l->value = item->value;
}

uint64_t number_of(struct stats *stats, const char *group, const char *name)
{
	struct lookup l = {group, name, UINT64_MAX};

	stats_each(stats, look, &l);
	if (l.value == UINT64_MAX)
		fail_msg("there is no number %s:%s", group, name);
	return l.value;
}
