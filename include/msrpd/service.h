/*
 * A service is a role of the daemon: it brings its variables and actions of
 * rules, control methods, events and settings as tables, and main hangs them into
 * the rules, the control socket and the config.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/control.h>
#include <msrpd/event.h>
#include <msrpd/reason.h>
#include <msrpd/route.h>
#include <msrpd/setting.h>

struct anchors;
struct auth;
struct cluster;
struct cluster_mark;
struct event_base;
struct msrp_stack;
struct net;
struct notifier;
struct page;
struct sip_request;
struct sip_stack;
struct stats;
struct ua;

/** What a service is given at its start; everything outlives it. */
struct service_env {
	struct event_base *base; /* for timers */
	struct event_bus *bus;
	struct stats *stats;
	struct budget *budget;
	struct auth *auth;         /* who may call, for roles that challenge by themselves */
	struct ua *ua;             /* NULL without SIP */
	struct sip_stack *sip;     /* for roles that make dialogs without the UA; NULL likewise */
	struct anchors *anchors;   /* second legs (anchor.h); NULL likewise */
	struct page *page;         /* NULL without SIP */
	struct notifier *notifier; /* of event packages (subscription.h); NULL without SIP */
	struct msrp_stack *msrp;   /* for roles that speak MSRP without the UA */
	struct net *net;           /* for a trace (net/tap.h) */
	struct cluster *cluster;   /* of who owns what (cluster.h); NULL: there is none */
	const struct routes
	    *routes; /* for roles that walk lists; a reload replaces what it holds */
};

struct service {
	const char *name; /* "gw", as in status and in the names of statistics */

	const char *section; /* of the config, "gateway"; NULL: it has no settings */
	bool optional;       /* its settings begin with a bool: is the section in the file? */
	const struct setting *settings; /* rows over a struct of settings_size bytes */
	size_t settings_size;
	/** Check them together, as setting.check; NULL: any will do. */
	int (*check)(const void *settings, struct reason *why);

	const struct route_variable *variables;
	const struct route_transform *transforms;
	const struct action *actions;
	const struct method *methods;
	const struct event_type *const *events; /* NULL-terminated */

	/**
	 * @param settings  valid until the next reload() returns
	 * @param statep    left alone: the settings say that there is no such role
	 * @return 0, or negative errno with the reason
	 */
	int (*start)(const struct service_env *env, const void *settings, void **statep,
	    struct reason *why);

	/**
	 * Take new settings; NULL: there is nothing to take.
	 *
	 * @return 0, or negative errno with the reason: nothing has changed, and settings that
	 *         it had may come once more
	 */
	int (*reload)(void *state, const void *settings, struct reason *why);

	/**
	 * A SIP request that no rule is for; NULL: it takes none.
	 *
	 * @return whether it takes this one, and answers it
	 */
	bool (*request)(struct sip_request *req, void *state);

	/**
	 * An OPTIONS asks about somebody: what our Contact has of its own there, as that of a
	 * struct ua_offer; NULL: nothing ever.
	 *
	 * @return bytes written to text; 0: nothing
	 */
	size_t (*contact)(const struct sip_request *options, char *text, size_t size, void *state);

	/**
	 * A request that another node of the cluster sends on for this service; NULL: there is
	 * none such.  Answer it here: it must go to no node again.
	 */
	void (*forwarded)(struct sip_request *req, const struct cluster_mark *mark, void *state);

	/** How many it has now; NULL: it has none.  state is not NULL. */
	size_t (*sessions)(const void *state);

	/**
	 * The daemon begins to stop: end what it has, and tell of it, while there is still somebody
	 * to tell; NULL: it has nothing but sessions of the UA.  state is not NULL.
	 */
	void (*quit)(void *state);

	/** Sessions of the UA have ended before, and been told of.  Accepts NULL. */
	void (*stop)(void *state);
};
