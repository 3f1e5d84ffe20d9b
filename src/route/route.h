/*
 * The rules engine: facts in, the first rule that holds out (docs/routes.md).
 * It knows neither what the facts are taken from nor what actions do: both come
 * in as tables.  Lists are compiled once; a walk parses nothing, and allocates
 * only for arguments that hold variables.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/event.h>
#include <msrpd/service.h>
#include <msrpd/slice.h>

#include "route/var.h"

struct tree;
struct tree_fault;

/** A compiled list of rules; immutable. */
struct route_list;

/** What a list of rules is compiled with; all of it must outlive the list. */
struct route_spec {
	unsigned list;                      /* one of ROUTE_SIP … ROUTE_EVENT */
	const struct action_table *actions; /* ended by one without actions */
	/** For ROUTE_EVENT: NULL-terminated; names in $param() are checked against them. */
	const struct event_type *const *events;
	/** NULL-terminated; constant names in ARG_LISTENER are checked against them.  NULL: none is. */
	const char *const *listeners;
};

/** The actions of one service, and the state that they are given. */
struct action_table {
	const struct action *actions;
	/**
	 * Where the state is found when an action runs: rules are compiled before services
	 * start.  NULL: the actions need none.
	 */
	void *const *statep;
};

/**
 * Compile the rules under one of the keys of routes.
 *
 * @param rules  borrowed for the call; NULL: an empty list
 * @return 0, -EINVAL with fault filled, or -ENOMEM
 */
int route_list_new(struct route_list **listp, const struct route_spec *spec,
    const struct tree *rules, struct tree_fault *fault);

void route_list_free(struct route_list *list);

/** No rules at all: a walk would do nothing. */
bool route_list_empty(const struct route_list *list);

/** The variables that any rule reads, in its if or its arguments: ROUTE_BIT(id) of each. */
uint64_t route_list_reads(const struct route_list *list);

/** Where a walk gets the values of variables from. */
struct route_facts {
	/**
	 * The value of a variable.
	 *
	 * @param scratch  room for a value that stands nowhere as text
	 * @param valuep   filled; must stay valid until get is called again
	 * @return true; false: it has no value, which is what null matches
	 */
	bool (*get)(const void *facts, const struct route_var *var,
	    char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep);
	const void *facts;
};

/**
 * Would a walk need one of these variables?  For values that cost something to have, such as
 * a body that is not here yet: asked with the rest of the facts at hand, it is true only if
 * the walk comes to a rule that reads one of them and that nothing else rules out.
 *
 * @param late  ROUTE_BIT(id) of each such variable; facts->get is not asked for these
 */
bool route_list_waits(const struct route_list *list, const struct route_facts *facts,
    uint64_t late);

/** What a walk came to. */
enum {
	/**
	 * A rule held and ended the walk.  Without this bit the list has decided nothing (rules
	 * that say continue may have run), and the caller does what is done without rules.
	 */
	ROUTE_HELD = 1,
	ROUTE_DROPPED = 2, /* by the action drop; with ROUTE_HELD */
	ROUTE_FAILED = 4,  /* an action failed, which ended the walk; with ROUTE_HELD */
};

/**
 * Walk the list: run the actions of the first rule that holds, and of those before it that
 * say continue.  An action that ends the walk does so when its rule's actions are done.
 *
 * @param subject  handed to the actions; its last is set here
 * @return bits of the above
 */
unsigned route_run(const struct route_list *list, const struct route_facts *facts,
    const struct action_subject *subject);
