#include "routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <msrpd/page.h>

#include "base/log.h"
#include "base/tree.h"
#include "route/sipuri.h"

/* --- compiling --- */

/* @return a NULL-terminated array of what the listeners are called, to be freed; NULL: no memory */
static const char **listener_names(const struct config *config)
{
	const struct msrp_listen_settings *listen = config->msrp.listen.items;
	size_t count = config->msrp.listen.count;
	const char **names = calloc(count + 1, sizeof(*names));

	for (size_t i = 0; names && i < count; i++)
		names[i] = listen[i].name ? listen[i].name : listen[i].uri;
	return names;
}

int routes_compile(struct routes *routes, const struct routes_env *env, struct config_load *load)
{
	const struct {
		struct route_list **listp;
		unsigned list;
		const char *key;
	} lists[] = {
	    {&routes->sip, ROUTE_SIP, "routes.sip"},
	    {&routes->msrp, ROUTE_MSRP, "routes.msrp"},
	    {&routes->msrp_auth, ROUTE_MSRP_AUTH, "routes.msrp_auth"},
	    {&routes->msrp_socket, ROUTE_MSRP_SOCKET, "routes.msrp_socket"},
	    {&routes->event, ROUTE_EVENT, "routes.event"},
	};
	const char **listeners = env->config ? listener_names(env->config) : NULL;
	struct tree_fault fault;
	int err = 0;

	*routes = (struct routes){0};
	if (env->config && !listeners)
		return config_fail(load, "routes", "out of memory");
	for (size_t i = 0; err == 0 && i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct route_spec spec = {lists[i].list, env->actions, env->events, listeners};

		err =
		    route_list_new(lists[i].listp, &spec, config_tree(load, lists[i].key), &fault);
		if (err < 0)
			err = config_fail_fault(load, &fault);
	}
	free(listeners);
	return err;
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

/* --- what rules see --- */

static struct slice sip_value(const struct sip_request *request, const struct route_var *var)
{
	switch (var->id) {
	case ROUTE_VAR_SIP_METHOD:
		return sip_request_field(request, SIP_FIELD_METHOD);
	case ROUTE_VAR_SIP_RURI:
		return sip_request_field(request, SIP_FIELD_RURI);
	case ROUTE_VAR_SIP_FROM:
		return sip_request_field(request, SIP_FIELD_FROM_URI);
	case ROUTE_VAR_SIP_TO:
		return sip_request_field(request, SIP_FIELD_TO_URI);
	case ROUTE_VAR_SIP_RURI_USER:
		return route_sip_user(sip_request_field(request, SIP_FIELD_RURI));
	case ROUTE_VAR_SIP_FROM_USER:
		return route_sip_user(sip_request_field(request, SIP_FIELD_FROM_URI));
	case ROUTE_VAR_SIP_TO_USER:
		return route_sip_user(sip_request_field(request, SIP_FIELD_TO_URI));
	case ROUTE_VAR_SIP_RURI_DOMAIN:
		return route_sip_domain(sip_request_field(request, SIP_FIELD_RURI));
	case ROUTE_VAR_SIP_FROM_DOMAIN:
		return route_sip_domain(sip_request_field(request, SIP_FIELD_FROM_URI));
	case ROUTE_VAR_SIP_TO_DOMAIN:
		return route_sip_domain(sip_request_field(request, SIP_FIELD_TO_URI));
	case ROUTE_VAR_SIP_CALL_ID:
		return sip_request_field(request, SIP_FIELD_CALL_ID);
	case ROUTE_VAR_SIP_PROTO:
		return sip_request_field(request, SIP_FIELD_PROTO);
	case ROUTE_VAR_SIP_CONTACT:
		return sip_request_field(request, SIP_FIELD_CONTACT);
	case ROUTE_VAR_SIP_CONTENT_TYPE:
		return sip_request_field(request, SIP_FIELD_CONTENT_TYPE);
	case ROUTE_VAR_SIP_USER_AGENT:
		return sip_request_field(request, SIP_FIELD_USER_AGENT);
	case ROUTE_VAR_SIP_BODY:
		return sip_request_field(request, SIP_FIELD_BODY);
	case ROUTE_VAR_SOURCE_ADDRESS:
		return sip_request_field(request, SIP_FIELD_SOURCE_ADDRESS);
	case ROUTE_VAR_SOURCE_PORT:
		return sip_request_field(request, SIP_FIELD_SOURCE_PORT);
	case ROUTE_VAR_HEADER:
		return sip_request_header(request, var->argument);
	default:
		return (struct slice){NULL, 0};
	}
}

static bool get_sip(const void *facts, const struct route_var *var,
    char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	(void)scratch;
	*valuep = sip_value(facts, var);
	return valuep->p != NULL;
}

static bool get_event(const void *facts, const struct route_var *var,
    char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	const struct event_notice *event = facts;
	const struct event_param *param;
	int n;

	if (var->id == ROUTE_VAR_EVENT) {
		*valuep = slice_of(event->type->name);
		return true;
	}
	param = var->id == ROUTE_VAR_EVENT_PARAM ? event_find_param(event, var->argument) : NULL;
	if (!param || param->kind == EVENT_NULL)
		return false;
	if (param->kind != EVENT_NUMBER) {
		*valuep = param->text;
		return true;
	}
	n = snprintf(scratch, ROUTE_SCRATCH_SIZE, "%lld", (long long)param->number);
	*valuep = (struct slice){scratch, (size_t)n};
	return true;
}

/* --- walking --- */

void routes_run_sip(const struct routes *routes, struct sip_request *request)
{
	struct route_facts facts = {get_sip, request};
	struct action_subject subject = {.request = request};

	unsigned result = route_run(routes->sip, &facts, &subject);

	/* A rule may well leave the answer to a later turn, so only no rule at all is a 404. */
	if (result & ROUTE_DROPPED)
		sip_request_drop(request);
	else if (!(result & ROUTE_HELD))
		sip_request_reply(request, 404, SLICE("Not Found"), (struct slice){NULL, 0});
}

void routes_run_event(const struct routes *routes, const struct event_notice *event)
{
	struct route_facts facts = {get_event, event};
	struct action_subject subject = {.event = event};

	route_run(routes->event, &facts, &subject);
}

/* --- actions that belong to no service --- */

static const struct arg_spec send_reply_args[] = {
    {"code", ARG_NUMBER, true, NULL},
    {"reason", ARG_TEXT, true, NULL},
    {"headers", ARG_HEADERS, false, NULL},
    {0},
};

static int send_reply(const struct action_subject *subject, const struct arg *args, void *state)
{
	int64_t code = args[0].number;
	int err;

	(void)state;
	err = code < 100 || code > 699
	    ? -EINVAL
	    : sip_request_reply(subject->request, (int)code, args[1].text,
		args[2].present ? args[2].text : (struct slice){NULL, 0});
	if (err < 0)
		log_warn("routes: send_reply %lld: %s", (long long)code,
		    err == -EEXIST ? "answered already" : "not an answer");
	return err;
}

static int check_send_reply(const struct arg *args, const char *const *later, const char **why)
{
	(void)later;
	if (args[0].text.p && (args[0].number < 100 || args[0].number > 699)) {
		*why = "code is from 100 to 699";
		return -EINVAL;
	}
	return 0;
}

static const struct arg_spec send_message_args[] = {
    {"ruri", ARG_TEXT, true, NULL},
    {"from", ARG_TEXT, true, NULL},
    {"to", ARG_TEXT, true, NULL},
    {"content_type", ARG_TEXT, true, NULL},
    {"body", ARG_TEXT, true, NULL},
    {0},
};

static int send_message(const struct action_subject *subject, const struct arg *args, void *state)
{
	struct page_message message = {
	    .ruri = args[0].text,
	    .from_uri = args[1].text,
	    .to_uri = args[2].text,
	    .content_type = args[3].text,
	    .body = args[4].text,
	};
	int err = state ? page_send(state, &message, NULL, NULL) : -ENETUNREACH;

	(void)subject;
	if (err < 0)
		log_warn("routes: send_message to %.*s: %s", SLICE_ARG(message.ruri),
		    strerror(-err));
	return err;
}

const struct action routes_actions[] = {
    {.name = "send_reply",
	.lists = ROUTE_SIP,
	.args = send_reply_args,
	.run = send_reply,
	.check = check_send_reply},
    {.name = "send_message",
	.lists = ROUTE_SIP | ROUTE_EVENT,
	.args = send_message_args,
	.run = send_message},
    {0},
};
