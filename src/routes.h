/*
 * The rules of the config at work: compiled with the tables of all providers,
 * walked for SIP requests and for events.  The relay walks its own lists.
 */
#pragma once

#include <msrpd/request.h>

#include "config.h"
#include "event/bus.h"
#include "route/route.h"

/**
 * Compile all lists, for a config_hook.
 *
 * @param routes  to be given to routes_fini(), on failure too
 * @param states  where the states of services[] are found when an action runs: rules are compiled
 *                before services start
 * @param pagep   the same of the struct page
 */
int routes_compile(struct routes *routes, void *const *states, void *const *pagep,
    const struct config *cfg, struct config_load *load);
void routes_fini(struct routes *routes);

/** Who takes the requests that no rule is for. */
struct routes_rest {
	void (*take)(struct sip_request *request, void *arg);
	void *arg;
};

/** Walk routes.sip for a request; rest is told in this call or, if a rule has to wait, later. */
void routes_run_sip(const struct routes *routes, struct sip_request *request,
    const struct routes_rest *rest);

/** Walk routes.event. */
void routes_run_event(const struct routes *routes, const struct event_notice *event);
