/* Actions of rules: what stands under do, checked against the tables of actions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/route.h>

struct route_arg;
struct route_spec;
struct tree;
struct tree_fault;

/** One action of a rule with its arguments.  Zeroed: none. */
struct route_action {
	const struct action *action;
	void *const *statep;    /* NULL: it needs no state */
	struct route_arg *args; /* as many as the action has specs */
	size_t count;
	bool late; /* reads a variable whose value may come late */
	unsigned line, column;
	bool last; /* none behind it in its rule answers */
};

/**
 * @param action  zeroed; to be given to route_action_fini(), on failure too
 * @param node    NAME, or {NAME: ARGUMENTS}
 * @return 0; -EINVAL or -ENOMEM with fault filled
 */
int route_action_compile(struct route_action *action, const struct tree *node,
    const struct route_spec *spec, struct tree_fault *fault);

/**
 * Run the action's own check, once all of its rule are known.
 */
int route_action_check(struct route_action *action, const struct action_place *place,
    struct tree_fault *fault);

void route_action_fini(struct route_action *action);

/** Put the arguments together and call the action.  @return what it returned, or -EINVAL … */
int route_action_run(const struct route_action *action, const struct route_subject *subject);

/** Is it the built-in drop? */
bool route_action_drops(const struct route_action *action);
