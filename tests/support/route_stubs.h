/* The tables of all providers of rules, their values taken from the test instead. */
#pragma once

#include "route/route.h"

extern const struct route_variable *route_stub_variables[];
extern const struct route_transform *route_stub_transforms[];

/** Fill the tables: every variable is asked for by get. */
void route_stubs_init(
    bool (*get)(const struct route_subject *subject, const struct route_variable *variable,
	struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep));
