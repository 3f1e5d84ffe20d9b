/* The budget behind <msrpd/budget.h>, for who owns it. */
#pragma once

#include <stdint.h>

#include <msrpd/budget.h>

/** Embedded in its owner, who fills it. */
struct budget {
	uint64_t max;   /* may be changed at any time, also to less than is taken */
	uint64_t *used; /* a gauge of the statistics */
};
