/* Any bytes as a config file, its rules compiled and walked. */
#include <stddef.h>
#include <stdint.h>

#include "base/tree.h"
#include "config.h"
#include "route/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = {"accepted", "sent", NULL};

static const struct arg_spec specs[] = {
    {"text", ARG_TEXT, true, NULL},
    {"code", ARG_NUMBER, false, NULL},
    {"confirm", ARG_CHOICE, false, words},
    {"flags", ARG_TEXTS, false, words},
    {"headers", ARG_HEADERS, false, NULL},
    {0},
};

static int run_act(const struct action_subject *subject, const struct arg *args, void *state)
{
	volatile char last = 0;

	(void)subject;
	(void)state;
	for (size_t i = 0; specs[i].name; i++)
		for (size_t k = 0; k < args[i].text.len; k++)
			last = args[i].text.p[k];
	return last == 'x' ? -1 : 0;
}

static int run_end(const struct action_subject *subject, const struct arg *args, void *state)
{
	(void)subject;
	(void)args;
	(void)state;
	return 0;
}

static const struct action actions[] = {
    {"act", ~0u, specs, false, run_act, NULL},
    {"end", ~0u, NULL, true, run_end, NULL},
    {0},
};

static const struct action_table tables[] = {{actions, NULL}, {NULL, NULL}};

static bool get(const void *facts, const struct route_var *var, char scratch[ROUTE_SCRATCH_SIZE],
    struct slice *valuep)
{
	(void)facts;
	scratch[0] = (char)('a' + (int)var->id % 26);
	*valuep = var->argument.p ? var->argument : (struct slice){scratch, 1};
	return (int)var->id % 5 != 0;
}

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
	struct route_facts facts = {get, NULL};
	struct action_subject subject = {0};
	struct tree_fault fault;

	(void)cfg;
	(void)arg;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct route_spec spec = {.list = lists[i].list, .actions = tables};
		struct route_list *list;

		if (route_list_new(&list, &spec, config_tree(load, lists[i].key), &fault) < 0)
			return config_fail_fault(load, &fault);
		route_list_waits(list, &facts, ROUTE_BIT(ROUTE_VAR_MSRP_BODY));
		route_run(list, &facts, &subject);
		route_list_free(list);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct config_hook hooks[] = {{compile_routes, NULL}, {NULL, NULL}};
	struct config_env env = {.hooks = hooks};
	char why[CONFIG_WHY_SIZE];
	struct config *cfg = NULL;

	config_parse(&cfg, (struct slice){(const char *)data, size}, "fuzz", &env, why,
	    sizeof(why));
	config_free(cfg);
	return 0;
}
