/* Variables as rules name them: compiled to the row that is asked for the value. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <msrpd/route.h>
#include <msrpd/slice.h>

/** A variable as a rule names it; a view of the text that was parsed. */
struct route_var {
	const struct route_variable *variable;
	struct slice argument;                   /* absent if it takes none */
	const struct route_transform *transform; /* NULL: the value itself */
};

enum { ROUTE_VALUE_MAX = 65536 }; /* bytes of an argument, its variables put in */

struct route_spec;
struct tree;
struct tree_fault;

/**
 * Parse the variable at the front of text: $name, $name(argument), $(name{transformation}),
 * $(name(argument){transformation}).
 *
 * @param spec  whose variables are known
 * @param at    where the text stands, for fault
 * @return bytes consumed; -EINVAL with fault filled
 */
ssize_t route_var_parse(struct route_var *var, struct slice text, const struct route_spec *spec,
    const struct tree *at, struct tree_fault *fault);

/**
 * Find a flag, which stands in an if by its bare name.
 *
 * @return 0, -ENOENT: no flag has that name, -EINVAL with fault filled: not in this list
 */
int route_var_find_flag(struct route_var *var, const struct route_spec *spec,
    const struct tree *name, struct tree_fault *fault);

/** As route_variable.get. */
static inline bool route_var_get(const struct route_var *var, const struct route_subject *subject,
    char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	if (!var->variable->get(subject, var->variable, var->argument, scratch, valuep))
		return false;
	return !var->transform || var->transform->apply(var->transform, *valuep, scratch, valuep);
}
