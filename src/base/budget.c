#include "base/budget.h"

#include <assert.h>
#include <errno.h>

static int take(struct budget *budget, size_t bytes, uint64_t max)
{
	if (*budget->used > max || bytes > max - *budget->used)
		return -ENOBUFS;
	*budget->used += bytes;
	return 0;
}

int budget_take(struct budget *budget, size_t bytes)
{
	return take(budget, bytes, budget->max);
}

int budget_take_within(struct budget *budget, size_t bytes, unsigned tenths)
{
	return take(budget, bytes, budget->max / 10 * tenths);
}

void budget_return(struct budget *budget, size_t bytes)
{
	assert(bytes <= *budget->used);
	*budget->used -= bytes;
}
