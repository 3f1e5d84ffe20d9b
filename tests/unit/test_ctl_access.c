/* Who may call what: users beside the operator. */
#include "ctl/rpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- methods --- */

static int calls;

static void say_ok(const struct param *params, struct reply *reply, void *state)
{
	(void)params;
	(void)state;
	calls++;
	reply_text(reply, NULL, SLICE("OK"));
}

static void list(const struct param *params, struct reply *reply, void *state)
{
	static const char *const addresses[] = {"sip:alice@example.org", "sip:bob@example.org"};

	(void)params;
	(void)state;
	reply_open_list(reply, NULL);
	for (size_t i = 0; i < 2; i++)
		if (reply_is_for(reply, slice_of(addresses[i])))
			reply_text(reply, NULL, slice_of(addresses[i]));
	reply_close(reply);
}

static bool is_theirs(const struct param *params, const struct reply *reply, void *state)
{
	(void)state;
	return reply_is_for(reply, params[0].text);
}

static const struct param_spec params[] = {
    {.name = "address", .kind = PARAM_TEXT, .required = true},
    {0},
};

static const struct method methods[] = {
    {.name = "operate", .call = say_ok, .help = ""},
    {.name = "list", .access = METHOD_USER, .call = list, .help = ""},
    {.name = "end",
	.params = params,
	.access = METHOD_OWNER,
	.is_theirs = is_theirs,
	.call = say_ok,
	.help = ""},
    {.name = "begin",
	.params = params,
	.access = METHOD_SPEAKER,
	.is_theirs = is_theirs,
	.call = say_ok,
	.help = ""},
    {0},
};

/* --- who calls --- */

static bool owns(struct slice address, void *arg)
{
	return slice_equal(address, slice_of(arg));
}

static const struct rpc_caller boss = {.batches = true, .blanks = true};
static const struct rpc_caller alice = {.owns = owns, .arg = (void *)"sip:alice@example.org"};

static void assert_answer(void **state, const struct rpc_caller *caller, const char *request,
    const char *expected, int called)
{
	struct buffer answer = {.max = BUFFER_UNBOUNDED};

	calls = 0;
	rpc_handle(*state, caller, slice_of(request), &answer, 1 << 20);
	buffer_add_char(&answer, '\0');
	if (!strstr(answer.p, expected))
		fail_msg("%s is answered %s", request, answer.p);
	assert_int_equal(calls, called);
	buffer_fini(&answer);
}

#define CALL(method, address) \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":[" address "]}"
#define ALICE "\"sip:alice@example.org\""
#define BOB   "\"sip:bob@example.org\""

static void test_operator(void **state)
{
	assert_answer(state, &boss, CALL("operate", ""), "\"OK\"", 1);
	assert_answer(state, &boss, CALL("list", ""), ALICE "," BOB, 0);
	assert_answer(state, &boss, CALL("end", BOB), "\"OK\"", 1);
	assert_answer(state, &boss, CALL("begin", BOB), "\"OK\"", 1);
}

static void test_user(void **state)
{
	assert_answer(state, &alice, CALL("operate", ""), "\"code\":403", 0);
	assert_answer(state, &alice, CALL("list", ""), "[" ALICE "]", 0);
	assert_answer(state, &alice, CALL("end", ALICE), "\"OK\"", 1);
	assert_answer(state, &alice, CALL("end", BOB), "\"code\":404", 0);
	assert_answer(state, &alice, CALL("begin", ALICE), "\"OK\"", 1);
	assert_answer(state, &alice, CALL("begin", BOB), "\"code\":403", 0);
	assert_answer(state, &alice, CALL("nonsense", ""), "-32601", 0);
	assert_answer(state, &alice, CALL("end", "7"), "-32602", 0);
}

static void test_one_at_a_time(void **state)
{
	assert_answer(state, &boss, "[" CALL("operate", "") "]", "\"OK\"", 1);
	assert_answer(state, &alice, "[" CALL("end", ALICE) "]", "-32600", 0);
	assert_answer(state, &alice, " \t\r\n", "-32600", 0);
	assert_answer(state, &alice, "", "-32600", 0);
}

static int setup(void **state)
{
	struct rpc *rpc;

	assert_int_equal(rpc_new(&rpc), 0);
	assert_int_equal(rpc_add_methods(rpc, methods, NULL), 0);
	*state = rpc;
	return 0;
}

static int teardown(void **state)
{
	rpc_free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_operator),
	    cmocka_unit_test(test_user),
	    cmocka_unit_test(test_one_at_a_time),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
