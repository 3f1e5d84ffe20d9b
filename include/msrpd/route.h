/*
 * What the rules of routes are made of (docs/routes.md): variables that they
 * read and actions that they run.  Each provider (SIP, the event bus, a service)
 * brings its own as tables; the engine knows no name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/reason.h>
#include <msrpd/slice.h>

struct event_type;
struct msrp_settings;
struct route_walk;
struct sip_request;

/** The lists of rules. */
enum {
	ROUTE_SIP = 1,
	ROUTE_MSRP = 2,
	ROUTE_MSRP_AUTH = 4,
	ROUTE_MSRP_SOCKET = 8,
	ROUTE_EVENT = 16
};

/** What a list is walked for.  One of the pointers is set, by the list. */
struct route_subject {
	struct sip_request *request; /* ROUTE_SIP */
	void *frame;                 /* the three of MSRP: the relay's own */
	const void *event;           /* ROUTE_EVENT: the bus's own */
	bool last;                   /* for actions: none behind it in its rule answers */
	/** A rule holds, and its actions are about to run; NULL: nobody asks. */
	void (*chosen)(const struct route_subject *subject, const char *rule);
	/** A walk that has waited is over, with what route_run() would have returned. */
	void (*finished)(const struct route_subject *subject, unsigned result);
	const void *arg;           /* of finished() */
	struct route_walk **walkp; /* for route_wait(); NULL: this walk cannot wait */
};

/**
 * For an action that cannot do its work yet: it returns -EINPROGRESS, and calls route_go_on() once,
 * later.  What rules stand behind it is what stood there when it began.
 *
 * @return NULL: this walk cannot wait, or memory is out
 */
struct route_walk *route_wait(const struct route_subject *subject);

/** @param result  what the action would have returned */
void route_go_on(struct route_walk *walk, int result);

/** What checks may look at while rules are compiled, before anything has started. */
struct route_env {
	const struct event_type *const *events; /* of all services, NULL-terminated */
	const struct msrp_settings *msrp;
	bool cluster; /* another node may have what a request is for */
};

struct route_list;

/** The rules of a config, compiled. */
struct routes {
	struct route_list *sip, *msrp, *msrp_auth, *msrp_socket, *event;
};

/* --- variables --- */

enum { ROUTE_SCRATCH_SIZE = 256 };

/** A row of a table of variables; "ru" stands for $ru. */
struct route_variable {
	const char *name; /* NULL ends the table */
	unsigned lists;   /* ROUTE_… where it is known */

	/**
	 * Its value for a subject.
	 *
	 * @param argument  what stood in the parentheses; absent if there are none
	 * @param scratch   room for a value that stands nowhere as text
	 * @param valuep    filled; valid until the next get() with that scratch
	 * @return true; false: it has no value, which is what the pattern null matches
	 */
	bool (*get)(const struct route_subject *subject, const struct route_variable *variable,
	    struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep);
	size_t id; /* for get(), which may serve several rows */

	/* $name(ARGUMENT): one of keys, or one that is known, or else the name of a header */
	const char *argument;              /* what it is: "key", "parameter", …; NULL: none */
	const struct route_variable *keys; /* a row of these, which is then the variable */
	/** @return the i-th of the names that are known; NULL behind the last */
	const char *(*known)(const struct route_env *env, size_t i);

	bool flag; /* true or false, and stands in an if without $ */
	bool late; /* its value may not be there yet, see route_list_waits() */
};

/** A row of a table of transformations, $(variable{name}): what it makes of a value. */
struct route_transform {
	const char *name; /* NULL ends the table */
	unsigned lists;
	/** value may lie in scratch.  @return as route_variable.get */
	bool (*apply)(const struct route_transform *transform, struct slice value,
	    char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep);
	size_t id;
};

/* --- actions --- */

enum arg_kind {
	ARG_TEXT,    /* may hold $variables */
	ARG_NUMBER,  /* the same, a whole number in the end */
	ARG_CHOICE,  /* one of choices, constant */
	ARG_TEXTS,   /* a list of constant texts */
	ARG_HEADERS, /* map of names to texts; given as "Name: value\r\n" lines */
};

struct arg_spec {
	const char *name; /* NULL ends the table */
	enum arg_kind kind;
	bool required;
	const char *const *choices; /* NULL-terminated; ARG_HEADERS: for slice_is_listed(),
					those not to be given */
	/** Check an ARG_TEXT without variables when the rule is compiled; NULL: any will do. */
	int (*check)(struct slice text, const struct route_env *env, struct reason *why);
};

/** One argument, variables put in; a variable without a value leaves its text empty. */
struct arg {
	bool present;
	struct slice text;         /* ARG_TEXT, ARG_HEADERS */
	int64_t number;            /* ARG_NUMBER; ARG_CHOICE: index */
	const struct slice *texts; /* ARG_TEXTS */
	size_t count;
};

/** Where an action stands. */
struct action_place {
	bool first; /* no action before it, in its rule, answers */
	bool last;  /* as in route_subject */
	const struct route_env *env;
};

struct action {
	const char *name;            /* NULL ends the table */
	unsigned lists;              /* ROUTE_… where it may stand */
	const struct arg_spec *args; /* NULL: none */
	bool ends_walk;              /* also where the rule says continue */
	bool answers;                /* it answers the subject: see route_subject.last */
	/**
	 * args: as many as specs.  @return 0; -EINPROGRESS: see route_wait(); another negative
	 * errno: the rest of the rule is not run, the action having given the answer that goes
	 * with its failure
	 */
	int (*run)(const struct route_subject *subject, const struct arg *args, void *state);
	/**
	 * Extra check when the rule is compiled; NULL: none.  An argument with variables is present
	 * without a text.
	 */
	int (*check)(const struct arg *args, const struct action_place *place, struct reason *why);
};
