/* The budget behind <msrpd/budget.h>, for who owns it. */
#pragma once

#include <stdint.h>

#include <msrpd/budget.h>

struct stats;

/** Embedded in its owner. */
struct budget {
	uint64_t max;   /* may be changed at any time, also to less than is taken */
	uint64_t *used; /* a gauge of stats */
};

/** group, name and help: of the gauge.  @return 0 or -ENOMEM */
int budget_init(struct budget *budget, uint64_t max, struct stats *stats, const char *group,
    const char *name, const char *help);
