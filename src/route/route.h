/*
 * The rules engine: a subject in, the first rule that holds out (docs/routes.md).
 * It knows neither what variables stand for nor what actions do: both come in as
 * tables (msrpd/route.h).  Lists are compiled once; a walk parses nothing, and allocates
 * only for arguments that hold variables.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/route.h>

struct tree;
struct tree_fault;

/** A compiled list of rules; immutable. */
struct route_list;

/** What a list of rules is compiled with; rows of tables must outlive the list. */
struct route_spec {
	unsigned list;                                   /* one of ROUTE_SIP … ROUTE_EVENT */
	const char *name;                                /* "sip" of routes.sip, for messages */
	const struct action_table *actions;              /* ended by one without actions */
	const struct route_variable *const *variables;   /* tables, NULL-terminated */
	const struct route_transform *const *transforms; /* the same */
	const struct route_env *env;                     /* for checks */
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

/**
 * Would a walk need the value of a late variable, such as a body that is not here yet?  True only
 * if the walk comes to a rule that reads one and that nothing else rules out; late ones are not
 * asked for their values.
 */
bool route_list_waits(const struct route_list *list, const struct route_subject *subject);

/** What a walk came to. */
enum {
	/**
	 * A rule held and ended the walk.  Without this bit the list has decided nothing (rules
	 * that say continue may have run), and the caller does what is done without rules.
	 */
	ROUTE_HELD = 1,
	ROUTE_DROPPED = 2, /* by the action drop; with ROUTE_HELD */
	ROUTE_FAILED = 4,  /* an action failed, which ended the walk; with ROUTE_HELD */
	ROUTE_WAITS = 8,   /* subject->finished() will tell; with ROUTE_HELD */
};

/**
 * Walk the list: run the actions of the first rule that holds, and of those before it that
 * say continue.  An action that ends the walk does so when its rule's actions are done.
 *
 * @return bits of the above
 */
unsigned route_run(struct route_list *list, const struct route_subject *subject);
