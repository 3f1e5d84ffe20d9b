#include "base/budget.h"

#include <assert.h>
#include <errno.h>

#include <msrpd/stats.h>

int budget_init(struct budget *budget, uint64_t max, struct stats *stats, const char *group,
    const char *name, const char *help)
{
	budget->max = max;
	budget->used = stats_gauge(stats, group, name, help);
	return budget->used ? 0 : -ENOMEM;
}

int budget_take(struct budget *budget, size_t bytes)
{
	if (*budget->used > budget->max || bytes > budget->max - *budget->used)
		return -ENOBUFS;
	*budget->used += bytes;
	return 0;
}

void budget_return(struct budget *budget, size_t bytes)
{
	assert(bytes <= *budget->used);
	*budget->used -= bytes;
}
