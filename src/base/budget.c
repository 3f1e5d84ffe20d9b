#include "base/budget.h"

#include <assert.h>
#include <errno.h>

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
