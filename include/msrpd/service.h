/*
 * A service is a role of the daemon built on the public headers: it brings its
 * route actions, control methods, events and settings as tables, and main
 * hangs them into the rules, the control socket and the config.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/control.h>
#include <msrpd/event.h>
#include <msrpd/request.h>
#include <msrpd/setting.h>
#include <msrpd/slice.h>

struct event_base;
struct page;
struct stats;
struct ua;

/* --- route actions --- */

enum {
	ROUTE_SIP = 1,
	ROUTE_MSRP = 2,
	ROUTE_MSRP_AUTH = 4,
	ROUTE_MSRP_SOCKET = 8,
	ROUTE_EVENT = 16
};

enum arg_kind {
	ARG_TEXT,     /* may hold $variables */
	ARG_NUMBER,   /* the same, a whole number in the end */
	ARG_CHOICE,   /* one of choices, constant */
	ARG_TEXTS,    /* a list of constant texts */
	ARG_HEADERS,  /* map of names to texts; given as "Name: value\r\n" lines */
	ARG_LISTENER, /* a text: name of an MSRP listener, or "tcp:IP:PORT", "tls:IP:PORT" */
};

struct arg_spec {
	const char *name; /* NULL ends the table */
	enum arg_kind kind;
	bool required;
	const char *const *choices; /* NULL-terminated; of ARG_CHOICE and ARG_TEXTS */
};

/** One argument, variables put in; a variable without a value leaves its text empty. */
struct arg {
	bool present;
	struct slice text;         /* ARG_TEXT, ARG_HEADERS, ARG_LISTENER */
	int64_t number;            /* ARG_NUMBER; ARG_CHOICE: index */
	const struct slice *texts; /* ARG_TEXTS */
	size_t count;
};

/**
 * What an action works on.  One of the pointers is set, by the list that runs.
 */
struct action_subject {
	struct sip_request *request; /* ROUTE_SIP */
	void *frame;                 /* the three of MSRP: the relay's own */
	const void *event;           /* ROUTE_EVENT */
	bool last;                   /* no send_reply follows in this rule */
};

struct action {
	const char *name;            /* NULL ends the table */
	unsigned lists;              /* ROUTE_… where it may stand */
	const struct arg_spec *args; /* NULL: none */
	bool ends_walk;              /* also where the rule says continue */
	/**
	 * args: as many as specs.  @return 0; negative errno: the rest of the rule is not run,
	 * the action having given the answer that goes with its failure
	 */
	int (*run)(const struct action_subject *subject, const struct arg *args, void *state);
	/** Extra check when the rule is compiled; NULL: none.  later: names of the actions behind it. */
	int (*check)(const struct arg *args, const char *const *later, const char **why);
};

/* --- the service itself --- */

/** What a service is given at its start; everything outlives it. */
struct service_env {
	struct event_base *base; /* for timers */
	struct event_bus *bus;
	struct stats *stats;
	struct ua *ua;     /* NULL without SIP */
	struct page *page; /* NULL without SIP */
};

struct service {
	const char *name;               /* "gw", as in status and in the names of statistics */
	const char *section;            /* of the config, "gateway"; NULL: it has no settings */
	const struct setting *settings; /* rows over a struct of settings_size bytes */
	size_t settings_size;
	const struct action *actions;
	const struct method *methods;
	const struct event_type *const *events; /* NULL-terminated */
	/** settings: valid until the next reload() returns.  @return 0 or negative errno */
	int (*start)(const struct service_env *env, const void *settings, void **statep,
	    const char **why);
	void (*reload)(void *state, const void *settings); /* NULL: nothing to be done */
	size_t (*sessions)(const void *state);             /* that it has now; NULL: of no kind */
	void (*stop)(void *state);                         /* accepts NULL */
};
