/*
 * The rules of the config at work: compiled with everybody's actions, walked
 * for SIP requests and for events.  The relay walks its own lists.
 */
#pragma once

#include <msrpd/request.h>
#include <msrpd/service.h>

#include "config.h"
#include "event/bus.h"
#include "route/route.h"

struct page;

struct routes {
	struct route_list *sip, *msrp, *msrp_auth, *msrp_socket, *event;
};

/** What the lists are compiled with; outlives them. */
struct routes_env {
	const struct action_table *actions;     /* ended by one without actions */
	const struct event_type *const *events; /* NULL-terminated */
	const struct config *config;            /* whose listeners rules may name; NULL: any */
};

/**
 * Compile all lists, for a config_hook.
 *
 * @param routes  to be given to routes_fini(), on failure too
 */
int routes_compile(struct routes *routes, const struct routes_env *env, struct config_load *load);
void routes_fini(struct routes *routes);

/** Walk routes.sip for a request; what no rule answers is answered 404. */
void routes_run_sip(const struct routes *routes, struct sip_request *request);

/** Walk routes.event. */
void routes_run_event(const struct routes *routes, const struct event_notice *event);

/** send_reply, send_message; their state is the struct page (NULL without SIP). */
extern const struct action routes_actions[];
