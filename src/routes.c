#include "routes.h"

#include "base/tree.h"
#include "event/rules.h"
#include "services.h"
#include "sip/request.h"
#include "sip/rules.h"

/* --- compiling --- */

/* What all providers bring; each table is NULL-terminated, actions by one without actions. */
struct tables {
	const struct route_variable *variables[SERVICES + 3];
	const struct route_transform *transforms[SERVICES + 1];
	struct action_table actions[SERVICES + 2];
	const struct event_type *events[EVENT_TYPES_MAX + 1];
};

static void gather(struct tables *all, void *const *states, void *const *pagep)
{
	size_t variables = 0, transforms = 0, actions = 0, count = 0;

	*all = (struct tables){0};
	all->variables[variables++] = sip_variables;
	all->variables[variables++] = event_variables;
	for (size_t i = 0; i < SERVICES; i++) {
		const struct service *service = services[i];

		if (service->variables)
			all->variables[variables++] = service->variables;
		if (service->transforms)
			all->transforms[transforms++] = service->transforms;
		if (service->actions)
			all->actions[actions++] =
			    (struct action_table){service->actions, &states[i]};
		for (size_t k = 0; service->events && service->events[k]; k++)
			if (count < EVENT_TYPES_MAX)
				all->events[count++] = service->events[k];
	}
	all->actions[actions] = (struct action_table){sip_actions, pagep};
}

int routes_compile(struct routes *routes, void *const *states, void *const *pagep,
    const struct config *cfg, struct config_load *load)
{
	const struct {
		struct route_list **listp;
		unsigned list;
		const char *name, *key;
	} lists[] = {
	    {.listp = &routes->sip, .list = ROUTE_SIP, .name = "sip", .key = "routes.sip"},
	    {.listp = &routes->msrp, .list = ROUTE_MSRP, .name = "msrp", .key = "routes.msrp"},
	    {.listp = &routes->msrp_auth,
		.list = ROUTE_MSRP_AUTH,
		.name = "msrp_auth",
		.key = "routes.msrp_auth"},
	    {.listp = &routes->msrp_socket,
		.list = ROUTE_MSRP_SOCKET,
		.name = "msrp_socket",
		.key = "routes.msrp_socket"},
	    {.listp = &routes->event, .list = ROUTE_EVENT, .name = "event", .key = "routes.event"},
	};
	struct tables all;
	struct route_env env = {.events = all.events,
	    .msrp = &cfg->msrp,
	    .cluster = cfg->cluster.given};
	struct tree_fault fault;

	*routes = (struct routes){0};
	gather(&all, states, pagep);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct route_spec spec = {
		    .list = lists[i].list,
		    .name = lists[i].name,
		    .actions = all.actions,
		    .variables = all.variables,
		    .transforms = all.transforms,
		    .env = &env,
		};
		int err =
		    route_list_new(lists[i].listp, &spec, config_tree(load, lists[i].key), &fault);

		if (err < 0)
			return config_fail_fault(load, &fault);
	}
	return 0;
}

void routes_fini(struct routes *routes)
{
	route_list_free(routes->sip);
	route_list_free(routes->msrp);
	route_list_free(routes->msrp_auth);
	route_list_free(routes->msrp_socket);
	route_list_free(routes->event);
	*routes = (struct routes){0};
}

/* --- walking --- */

static void on_chosen(const struct route_subject *subject, const char *rule)
{
	sip_request_set_rule(subject->request, rule);
}

/* @return has a rule held? */
static bool take_result(struct sip_request *request, unsigned result)
{
	if (result & ROUTE_DROPPED)
		sip_request_drop(request);
	return result & ROUTE_HELD;
}

static void on_finished(const struct route_subject *subject, unsigned result)
{
	const struct routes_rest *rest = subject->arg;

	if (!take_result(subject->request, result))
		rest->take(subject->request, rest->arg);
	sip_request_unref(subject->request);
}

void routes_run_sip(const struct routes *routes, struct sip_request *request,
    const struct routes_rest *rest)
{
	struct route_walk *waits = NULL;
	const struct route_subject subject = {.request = request,
	    .chosen = on_chosen,
	    .finished = on_finished,
	    .arg = rest,
	    .walkp = &waits};
	unsigned result = route_run(routes->sip, &subject);

	if (result & ROUTE_WAITS)
		sip_request_ref(request);
	else if (!take_result(request, result))
		rest->take(request, rest->arg);
}

void routes_run_event(const struct routes *routes, const struct event_notice *event)
{
	struct route_subject subject = {.event = event};

	route_run(routes->event, &subject);
}
