/* Any bytes as a config file, its rules compiled and walked. */
#include <stddef.h>
#include <stdint.h>

#include "base/tree.h"
#include "config.h"
#include "route/route.h"
#include "route_stubs.h"
#include "services.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = {"accepted", "sent", NULL};

static const struct arg_spec specs[] = {
    {.name = "text", .kind = ARG_TEXT, .required = true},
    {.name = "code", .kind = ARG_NUMBER},
    {.name = "confirm", .kind = ARG_CHOICE, .choices = words},
    {.name = "flags", .kind = ARG_TEXTS, .choices = words},
    {.name = "headers", .kind = ARG_HEADERS},
    {0},
};

static int run_act(const struct route_subject *subject, const struct arg *args, void *state)
{
	volatile char last = 0;

	(void)subject;
	(void)state;
	for (size_t i = 0; specs[i].name; i++)
		for (size_t k = 0; k < args[i].text.len; k++)
			last = args[i].text.p[k];
	return last == 'x' ? -1 : 0;
}

static int run_end(const struct route_subject *subject, const struct arg *args, void *state)
{
	(void)subject;
	(void)args;
	(void)state;
	return 0;
}

static const struct action actions[] = {
    {.name = "act", .lists = ~0u, .args = specs, .run = run_act},
    {.name = "end", .lists = ~0u, .ends_walk = true, .run = run_end},
    {0},
};

static const struct action_table tables[] = {{actions, NULL}, {NULL, NULL}};

static bool get(const struct route_subject *subject, const struct route_variable *variable,
    struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	(void)subject;
	scratch[0] = (char)('a' + (int)(variable->id % 26));
	*valuep = argument.p ? argument : (struct slice){scratch, 1};
	return variable->id % 5 != 0;
}

static const struct event_type *const no_events[] = {NULL};

static int compile_routes(const struct config *cfg, struct config_load *load, void *arg)
{
	static const struct {
		const char *key;
		unsigned list;
	} lists[] = {
	    {"routes.sip", ROUTE_SIP},
	    {"routes.msrp", ROUTE_MSRP},
	    {"routes.msrp_auth", ROUTE_MSRP_AUTH},
	    {"routes.msrp_socket", ROUTE_MSRP_SOCKET},
	    {"routes.event", ROUTE_EVENT},
	};
	struct route_subject subject = {0};
	struct tree_fault fault;

	(void)arg;
	route_stubs_init(get);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct route_env env = {.events = no_events, .msrp = &cfg->msrp};
		struct route_spec spec = {
		    .list = lists[i].list,
		    .name = "any",
		    .actions = tables,
		    .variables = route_stub_variables,
		    .transforms = route_stub_transforms,
		    .env = &env,
		};
		struct route_list *list;

		if (route_list_new(&list, &spec, config_tree(load, lists[i].key), &fault) < 0)
			return config_fail_fault(load, &fault);
		route_list_waits(list, &subject);
		route_run(list, &subject);
		route_list_free(list);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct config_hook hooks[] = {{compile_routes, NULL}, {NULL, NULL}};
	struct config_env env = {.services = services, .hooks = hooks};
	struct reason why;
	struct config *cfg = NULL;

	config_parse(&cfg, (struct slice){(const char *)data, size}, "fuzz", &env, &why);
	config_free(cfg);
	return 0;
}
