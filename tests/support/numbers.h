/* Statistics, as a test looks at them. */
#pragma once

#include <stdint.h>

struct stats;

/** The one of that group and name, now; fails the test if there is none. */
uint64_t number_of(struct stats *stats, const char *group, const char *name);
