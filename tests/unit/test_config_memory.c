/* A config with rules, loaded and walked while the n-th allocation fails, for each n. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/tree.h"
#include "config.h"
#include "memory.h"
#include "route/route.h"
#include "route_stubs.h"
#include "services.h"

static const char yaml[] =
    "log: {ident: \"m\"}\n"
    "msrp: {listen: [{name: a, uri: \"msrp://127.0.0.1:0;tcp\", advertise: x}]}\n"
    "credentials: [{realm: r, username: u, password: p}]\n"
    "relay: {users: {alice: {password: p}}, my_uri: \"msrp://127.0.0.1;tcp\"}\n"
    "routes:\n"
    "  sip:\n"
    "    - if: [{$rm: [INVITE, \"*\"], $hdr(X): \"!x*\"}, {$ru: \"~^sip:\"}]\n"
    "      do:\n"
    "        - act: {text: \"$fu:$tu\", code: 2$sp, flags: [a, b], headers: {X-A: \"<$fu>\"}}\n"
    "        - log: {level: debug, text: \"$ru$$\"}\n"
    "      continue: true\n"
    "    - do: drop\n";

static const struct arg_spec specs[] = {
    {.name = "text", .kind = ARG_TEXT, .required = true},
    {.name = "code", .kind = ARG_NUMBER, .required = true},
    {.name = "flags", .kind = ARG_TEXTS, .required = true},
    {.name = "headers", .kind = ARG_HEADERS, .required = true},
    {0},
};

static int run(const struct route_subject *subject, const struct arg *args, void *state)
{
	(void)subject;
	(void)state;
	assert_true(slice_equal(args[0].text, SLICE("7:7")));
	assert_int_equal(args[1].number, 27);
	assert_true(slice_equal(args[3].text, SLICE("X-A: <7>\r\n")));
	return 0;
}

static const struct action actions[] = {
    {.name = "act", .lists = ROUTE_SIP, .args = specs, .run = run},
    {0},
};

static bool get(const struct route_subject *subject, const struct route_variable *variable,
    struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	(void)subject;
	(void)argument;
	(void)scratch;
	*valuep = strcmp(variable->name, "ru") == 0 ? SLICE("sip:x") : SLICE("7");
	return true;
}

static int compile(const struct config *cfg, struct config_load *load, void *arg)
{
	struct action_table tables[] = {{actions, NULL}, {NULL, NULL}};
	struct route_env env = {.msrp = &cfg->msrp};
	struct route_spec spec = {
	    .list = ROUTE_SIP,
	    .name = "sip",
	    .actions = tables,
	    .variables = route_stub_variables,
	    .transforms = route_stub_transforms,
	    .env = &env,
	};
	struct tree_fault fault;
	int err = route_list_new(arg, &spec, config_tree(load, "routes.sip"), &fault);

	if (err == -EINVAL)
		return config_fail_fault(load, &fault);
	return err;
}

static int load(struct config **cfgp, struct route_list **listp)
{
	struct config_hook hooks[] = {{compile, listp}, {NULL, NULL}};
	struct config_env env = {.services = services, .hooks = hooks};
	struct reason why;

	return config_parse(cfgp, slice_of(yaml), "m", &env, &why);
}

static int set_up(void **state)
{
	(void)state;
	route_stubs_init(get);
	return 0;
}

static void test_load(void **state)
{
	unsigned n = 0;
	int err;

	(void)state;
	do {
		struct config *cfg = NULL;
		struct route_list *list = NULL;

		memory_fail_at(++n);
		err = load(&cfg, &list);
		assert_int_equal(err, memory_has_failed() ? -ENOMEM : 0);
		assert_true((cfg != NULL) == (err == 0));
		memory_fail_at(0);
		route_list_free(list);
		config_free(cfg);
	} while (err < 0);
	assert_true(n > 100); /* it did fail now and then */
}

static void test_walk(void **state)
{
	struct route_subject subject = {0};
	struct config *cfg = NULL;
	struct route_list *list = NULL;
	unsigned n = 0, got;

	(void)state;
	assert_int_equal(load(&cfg, &list), 0);
	do {
		memory_fail_at(++n);
		got = route_run(list, &subject);
		assert_int_equal(got,
		    ROUTE_HELD | (memory_has_failed() ? ROUTE_FAILED : ROUTE_DROPPED));
	} while (got & ROUTE_FAILED);
	memory_fail_at(0);
	assert_true(n > 1);
	route_list_free(list);
	config_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_load),
	    cmocka_unit_test(test_walk),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
