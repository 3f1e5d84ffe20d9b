/* The daemon as a whole: all of its parts, and what becomes of them together. */
#pragma once

#include <msrpd/reason.h>
#include <msrpd/timer.h>

#include "base/log.h"
#include "event/bus.h"
#include "event/logline.h"
#include "notify.h"
#include "route/route.h"
#include "routes.h"
#include "sandbox/sandbox.h"
#include "services.h"
#include "web_side.h"

struct config;

/** What the command line says. */
struct options {
	const char *config;
	const char *instance; /* what ${instance} in it stands for; NULL */
	bool check, to_stderr;
	unsigned verbose;
};

/** Zeroed but for options and notify.fd: nothing of it is there. */
struct daemon {
	struct options options;
	struct sandbox sandbox;
	struct event_base *base;
	struct config *config;
	struct routes routes;
	struct routes_rest rest;
	struct users *users; /* until auth has them */
	struct stats *stats;
	struct event_bus *bus;
	struct event_logline logline;
	struct event_subscriber rules; /* routes.event */
	struct net_guard *guard;
	struct auth *auth;
	struct net *net;
	struct msrp_stack *msrp;
	struct sip_stack *sip;
	struct page *page;
	struct notifier *notifier;
	struct cluster *cluster; /* NULL: there is none */
	struct ua *ua;
	void *states[SERVICES]; /* of services[] */
	struct ctl_server *control;
	struct web_metrics *metrics;
	struct web_side web;
	struct notify notify;
	struct event *signals[4];
	struct timer grace;
	uint64_t started_ms;
	bool stopping;
};

/* reload.c */

/** Read the config, its rules and users.  @param warn  is given a line for each doubt */
int daemon_load(struct daemon *d, void (*warn)(const char *line, void *arg), struct reason *why);
void daemon_unload(struct daemon *d);

/** Log as the config and the command line want.  @return as log_open() */
int daemon_open_log(const struct daemon *d, const struct config *cfg);

/** Whose credentials are known. */
int daemon_start_auth(struct daemon *d);

/** All of the config anew, or nothing; the log and the service manager are told. */
int daemon_reload(struct daemon *d, struct reason *why);

/* status.c */

/** Answer the control command "status"; arg is the daemon. */
void daemon_status(struct reply *reply, void *arg);

/* daemon.c */

/** Each part, in order.  On failure daemon_finish() ends those that have started. */
int daemon_start(struct daemon *d, struct reason *why);

/** End what is under way, and then the loop: within shutdown_grace, or at once if asked again. */
void daemon_stop(struct daemon *d);

/** The reverse of daemon_load() and daemon_start(), from wherever they got to. */
void daemon_finish(struct daemon *d);
