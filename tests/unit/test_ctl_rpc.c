#include "ctl/rpc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

/* --- methods to call --- */

static int calls;

/* Shows what arrived: "text=hi number=- texts=a|b bytes=3" */
static void echo(const struct param *params, struct reply *reply, void *state)
{
	char shown[512], number[32] = "-", texts[256] = "";
	size_t len = 0;

	calls++;
	assert_string_equal(state, "state");
	if (params[1].present)
		snprintf(number, sizeof(number), "%lld", (long long)params[1].number);
	for (size_t i = 0; i < params[2].count; i++)
		len += (size_t)snprintf(texts + len, sizeof(texts) - len, "%.*s|",
		    SLICE_ARG(params[2].texts[i]));
	snprintf(shown, sizeof(shown), "%.*s %s %s%s %s%.*s", SLICE_ARG(params[0].text), number,
	    params[2].present ? "" : "-", texts, params[3].present ? "" : "-",
	    SLICE_ARG(params[3].text));
	reply_text(reply, NULL, slice_of(shown));
}

static void fail_it(const struct param *params, struct reply *reply, void *state)
{
	(void)params;
	(void)state;
	reply_open_object(reply, NULL);
	reply_text(reply, "a", SLICE("written before it failed"));
	reply_open_list(reply, "b");
	reply_error(reply, 404, "unknown \"session\"");
	reply_text(reply, NULL, SLICE("written after"));
	reply_close(reply);
}

static void nothing(const struct param *params, struct reply *reply, void *state)
{
	(void)params;
	(void)reply;
	(void)state;
	calls++;
}

static void structure(const struct param *params, struct reply *reply, void *state)
{
	(void)params;
	(void)state;
	reply_open_object(reply, NULL);
	reply_open_list(reply, "list");
	for (int i = 0; i < 2; i++) {
		reply_open_object(reply, NULL);
		reply_number(reply, "n", i);
		reply_bool(reply, "even", i % 2 == 0);
		reply_close(reply);
	}
	reply_open_list(reply, NULL);
	reply_close(reply);
	reply_close(reply);
	reply_null(reply, "null");
	reply_text(reply, "absent", (struct slice){NULL, 0});
	reply_text(reply, "text", SLICE("x"));
	reply_open_object(reply, "left open");
	reply_open_list(reply, "too");
}

static void large(const struct param *params, struct reply *reply, void *state)
{
	static const char text[1000] = "";

	(void)params;
	(void)state;
	calls++;
	reply_text(reply, NULL, (struct slice){text, sizeof(text)});
}

static const struct param_spec echo_params[] = {
    {.name = "text", .kind = PARAM_TEXT, .required = true},
    {.name = "number", .kind = PARAM_NUMBER},
    {.name = "texts", .kind = PARAM_TEXTS},
    {.name = "bytes", .kind = PARAM_BASE64},
    {0},
};

static const struct param_spec body_params[] = {
    {.name = "body", .kind = PARAM_BODY, .required = true},
    {0},
};

static void echo_body(const struct param *params, struct reply *reply, void *state)
{
	(void)state;
	reply_text(reply, NULL, params[0].text);
}

static const struct method methods[] = {
    {.name = "echo_it",
	.also = "parrot:repeat",
	.params = echo_params,
	.call = echo,
	.help = "says what it was given"},
    {.name = "echo_body", .params = body_params, .call = echo_body, .help = ""},
    {.name = "fail", .call = fail_it, .help = ""},
    {.name = "nothing", .call = nothing, .help = ""},
    {.name = "structure", .call = structure, .help = ""},
    {.name = "large", .call = large, .help = ""},
    {0},
};

static int setup(void **state)
{
	struct rpc *rpc;

	assert_int_equal(rpc_new(&rpc), 0);
	assert_int_equal(rpc_add_methods(rpc, methods, (void *)"state"), 0);
	calls = 0;
	*state = rpc;
	return 0;
}

static int teardown(void **state)
{
	rpc_free(*state);
	return 0;
}

/* @return the answer without its newline, to be freed; "" if there is none */
static char *ask_as(struct rpc *rpc, const struct rpc_caller *caller, struct slice line,
    size_t answer_max)
{
	struct buffer answer = {.max = BUFFER_UNBOUNDED};
	char *copy = malloc(line.len), *text;

	/* in memory of its own: whoever reads past the end is caught */
	memcpy(copy, line.p, line.len);
	rpc_handle(rpc, caller, (struct slice){copy, line.len}, &answer, answer_max);
	free(copy);
	assert_false(answer.err);
	if (answer.len) {
		assert_int_equal(answer.p[answer.len - 1], '\n');
		assert_null(memchr(answer.p, '\n', answer.len - 1));
		answer.len--;
	}
	text = slice_dup((struct slice){answer.len ? answer.p : "", answer.len});
	buffer_fini(&answer);
	return text;
}

static char *ask_bytes(struct rpc *rpc, struct slice line, size_t answer_max)
{
	static const struct rpc_caller boss = {.batches = true, .blanks = true};

	return ask_as(rpc, &boss, line, answer_max);
}

static char *ask(struct rpc *rpc, const char *line)
{
	return ask_bytes(rpc, slice_of(line), 1 << 20);
}

static void assert_answer(struct rpc *rpc, const char *line, const char *expected)
{
	char *answer = ask(rpc, line);

	assert_string_equal(answer, expected);
	free(answer);
}

/* The answer is an error of that code with that id, its message holds a word. */
static void assert_refused(struct rpc *rpc, struct slice line, int code, const char *id,
    const char *word)
{
	char *answer = ask_bytes(rpc, line, 1 << 20), head[128];

	snprintf(head, sizeof(head),
	    "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":%d,\"message\":\"", id, code);
	if (strncmp(answer, head, strlen(head)) != 0 || !strstr(answer + strlen(head), word))
		fail_msg("%.*s is answered %s", SLICE_ARG(line), answer);
	json_decref(json_loads(answer, 0, NULL));
	free(answer);
}

#define CALL(method, params) \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":" params "}"
#define RESULT(id, result) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":" result "}"
#define FAILURE(id, code, message)                                                               \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"error\":{\"code\":" code ",\"message\":\"" message \
	"\"}}"

static void test_params(void **state)
{
	static const struct {
		const char *params, *result;
	} cases[] = {
	    {"{\"text\":\"a\"}", "a - - -"},
	    {"[\"a\"]", "a - - -"},
	    {"{\"bytes\":\"SGk=\",\"texts\":[\"x\",\"y\"],\"number\":5,\"text\":\"a\"}",
		"a 5 x|y| Hi"},
	    {"[\"a\",5,[\"x\",\"y\"],\"SGk=\"]", "a 5 x|y| Hi"},
	    {"[\"a\",\"-12\",[\"x\"],\"\"]", "a -12 x| "},
	    {"[\"\",null,[],\"SGkh\"]", " -  Hi!"},
	    {"[\"\",\"9223372036854775807\",null,\"SA==\"]", " 9223372036854775807 - H"},
	    {"[\"\",-9223372036854775808]", " -9223372036854775808 - -"},
	    {"{\"text\":\"a\",\"number\":null}", "a - - -"},
	    {"[\"\\u00fc\\\"\"]", "\xc3\xbc\\\" - - -"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[512], expected[512];

		snprintf(line, sizeof(line), CALL("echo_it", "%s"), cases[i].params);
		snprintf(expected, sizeof(expected), RESULT("1", "\"%s\""), cases[i].result);
		assert_answer(*state, line, expected);
	}
}

static void test_bad_params(void **state)
{
	static const struct {
		const char *params, *word;
	} cases[] = {
	    {"{}", "parameter text is missing"},
	    {"[]", "parameter text is missing"},
	    {"{\"text\":null}", "parameter text is missing"},
	    {"{\"text\":5}", "parameter text is not a string"},
	    {"{\"text\":\"a\",\"txet\":1}", "unknown parameter txet"},
	    {"{\"text\":\"a\",\"n\\\"\":1}", "unknown parameter n\\\""},
	    {"[\"a\",1,[],\"\",5]", "too many parameters"},
	    {"[\"a\",1.5]", "number is not a whole number"},
	    {"[\"a\",\"1x\"]", "number is not a whole number"},
	    {"[\"a\",\"\"]", "number is not a whole number"},
	    {"[\"a\",\"-\"]", "number is not a whole number"},
	    {"[\"a\",\"+1\"]", "number is not a whole number"},
	    {"[\"a\",\"9223372036854775808\"]", "number is not a whole number"},
	    {"[\"a\",true]", "number is not a whole number"},
	    {"[\"a\",1,[1]]", "texts is not a list of strings"},
	    {"[\"a\",1,{}]", "texts is not a list of strings"},
	    {"[\"a\",1,\"x\"]", "texts is not a list of strings"},
	    {"[\"a\",1,[],7]", "base64"},
	};
	char line[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line), CALL("echo_it", "%s"), cases[i].params);
		assert_refused(*state, slice_of(line), RPC_INVALID_PARAMS, "1", cases[i].word);
	}
	assert_refused(*state, SLICE(CALL("nothing", "{\"a\":1}")), RPC_INVALID_PARAMS, "1",
	    "unknown");
	assert_refused(*state, SLICE(CALL("nothing", "[1]")), RPC_INVALID_PARAMS, "1", "too many");
	assert_int_equal(calls, 0);
}

/* The right type, but no base64: that is a bad value. */
static void test_bad_base64(void **state)
{
	static const char *const cases[] = {
	    "\"SGk\"",
	    "\"SGk= \"",
	    "\" SGk=\"",
	    "\"SG\\nk\"",
	    "\"S===\"",
	    "\"====\"",
	    "\"SG=k\"",
	    "\"SG-k\"",
	    "\"SGk=SGk=\"",
	};
	char line[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line), CALL("echo_it", "[\"a\",1,[],%s]"), cases[i]);
		assert_refused(*state, slice_of(line), 400, "1", "bytes is not a string in base64");
	}
	assert_int_equal(calls, 0);
}

static void test_methods(void **state)
{
	static const char *const known[] = {"echo_it", "echo:it", "parrot:repeat"};
	static const char *const unknown[] = {"", "echo", "echo_itt", "echo::it", "echo:", ":",
	    "ECHO_IT", "rpc.echo_it", "echo:it:it", "parrot_repeat", "parrot:"};
	char line[128];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		snprintf(line, sizeof(line), CALL("%s", "[\"a\"]"), known[i]);
		assert_answer(*state, line, RESULT("1", "\"a - - -\""));
	}
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		snprintf(line, sizeof(line), CALL("%s", "[\"a\"]"), unknown[i]);
		assert_refused(*state, slice_of(line), RPC_METHOD_NOT_FOUND, "1", unknown[i]);
	}
	assert_int_equal(rpc_add_methods(*state, methods + 1, NULL), -EEXIST);
}

static void test_answers(void **state)
{
	assert_answer(*state, CALL("fail", "{}"), FAILURE("1", "404", "unknown \\\"session\\\""));
	assert_answer(*state, CALL("nothing", "[]"), RESULT("1", "null"));
	assert_answer(*state, CALL("structure", "[]"),
	    RESULT("1",
		"{\"list\":[{\"n\":0,\"even\":true},{\"n\":1,\"even\":false},[]],\"null\":null,\"absent\":null,"
		"\"text\":\"x\",\"left open\":{\"too\":[]}}"));
}

static void test_ids(void **state)
{
	static const char *const good[] = {"0", "-7", "9223372036854775807", "\"a\"", "\"\"",
	    "null", "1.5", "\"q\\\"\\\\\\n\"", "\"\xc3\xbc\""};
	static const char *const bad[] = {"true", "{}", "[1]"};
	char line[2048], expected[2048], text[600] = "";

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(line, sizeof(line),
		    "{\"jsonrpc\":\"2.0\",\"method\":\"nothing\",\"id\":%s}", good[i]);
		snprintf(expected, sizeof(expected), RESULT("%s", "null"), good[i]);
		assert_answer(*state, line, expected);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line),
		    "{\"jsonrpc\":\"2.0\",\"method\":\"nothing\",\"id\":%s}", bad[i]);
		assert_refused(*state, slice_of(line), RPC_INVALID_REQUEST, "null", "id");
	}
	/* as long as may be, all of it escaped; and one byte more */
	for (size_t n = 256; n <= 257; n++) {
		memset(text, 0, sizeof(text));
		memset(text, 'i', n);
		snprintf(line, sizeof(line),
		    "{\"jsonrpc\":\"2.0\",\"method\":\"nothing\",\"id\":\"%s\"}", text);
		snprintf(expected, sizeof(expected), RESULT("\"%s\"", "null"), text);
		if (n == 256)
			assert_answer(*state, line, expected);
		else
			assert_refused(*state, slice_of(line), RPC_INVALID_REQUEST, "null", "id");
	}
	assert_int_equal(calls, sizeof(good) / sizeof(good[0]) + 1);
}

static void test_notifications(void **state)
{
	assert_answer(*state, "{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}", "");
	assert_int_equal(calls, 1);
	assert_answer(*state, "{\"jsonrpc\":\"2.0\",\"method\":\"unknown\"}", "");
	assert_answer(*state, "{\"jsonrpc\":\"2.0\",\"method\":\"fail\"}", "");
	assert_answer(*state, "{\"jsonrpc\":\"2.0\",\"method\":\"echo_it\",\"params\":[1]}", "");
	assert_answer(*state, "{\"jsonrpc\":\"2.0\",\"method\":\"echo_it\",\"params\":[\"a\"]}",
	    "");
	assert_int_equal(calls, 2);
}

static void test_bad_envelopes(void **state)
{
	static const struct {
		const char *line, *id;
	} cases[] = {
	    {"1", "null"},
	    {"\"echo\"", "null"},
	    {"null", "null"},
	    {"{}", "null"},
	    {"[]", "null"},
	    {"{\"method\":\"nothing\",\"id\":1}", "1"},
	    {"{\"jsonrpc\":\"1.0\",\"method\":\"nothing\",\"id\":1}", "1"},
	    {"{\"jsonrpc\":2.0,\"method\":\"nothing\",\"id\":1}", "1"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1}", "1"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}", "1"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"x\"}", "1"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"nothing\",\"params\":\"a\"}", "\"x\""},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nothing\",\"params\":null}", "1"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"nothing\",\"params\":5}", "null"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(*state, slice_of(cases[i].line), RPC_INVALID_REQUEST, cases[i].id,
		    "");
	assert_int_equal(calls, 0);
}

static void test_not_json(void **state)
{
	static const struct slice lines[] = {
	    {"{", 1},
	    {"}", 1},
	    {"hello", 5},
	    {"{\"a\":1}}", 8},
	    {"{} {}", 5},
	    {"\"abc", 4},
	    {"{'a':1}", 7},
	    {"\0", 1},
	    {"{\"a\":\"b\0c\"}", 11},
	    {"\"\xff\"", 3},
	    {"\"\xc3\"", 3},
	    {"\"\xed\xa0\x80\"", 5},
	    {"01", 2},
	    {"NaN", 3},
	    {"[1,]", 4},
	    {"\"\t\"", 3},
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_refused(*state, lines[i], RPC_PARSE_ERROR, "null", "not JSON: ");
}

/* RFC 8259 7: \u0000 is a character like any other, where what it stands in can hold it. */
static void test_nul(void **state)
{
	static const struct {
		const char *line;
		int code;
		const char *word;
	} refused[] = {
	    {CALL("echo_it", "[\"a\\u0000\"]"), 400, "text is not a string without NUL"},
	    {CALL("echo_it", "[\"a\",1,[\"\\u0000\"]]"), 400, "texts is not a list without NUL"},
	    {CALL("echo_it\\u0000", "[\"a\"]"), RPC_METHOD_NOT_FOUND, "unknown method echo_it"},
	    {CALL("echo_it", "{\"text\\u0000\":\"a\"}"), 400, "a name holds a NUL"},
	    {CALL("nothing", "[],\"\\u0000\":\"\\\\u0000\""), 400, "a name holds a NUL"},
	    {"{\"jsonrpc\":\"2.0\\u0000\",\"id\":1,\"method\":\"nothing\"}", RPC_INVALID_REQUEST,
		"jsonrpc"},
	};

	assert_answer(*state, CALL("echo_body", "[\"b\\u0000c\"]"), RESULT("1", "\"b\\u0000c\""));
	assert_answer(*state, "{\"jsonrpc\":\"2.0\",\"id\":\"\\u0000\",\"method\":\"nothing\"}",
	    RESULT("\"\\u0000\"", "null"));
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_refused(*state, slice_of(refused[i].line), refused[i].code, "1",
		    refused[i].word);
	assert_answer(*state, "[" CALL("nothing", "{\"\\u0000\":1}") "]",
	    "[" FAILURE("1", "400", "a name holds a NUL") "]");
	/* a line that is no JSON otherwise */
	assert_refused(*state, SLICE("{\"\\u0000\":1,}"), RPC_PARSE_ERROR, "null", "not JSON: ");
}

/* JSON that jansson does not read: who asks is told so by his id, and goes on. */
static void test_unreadable(void **state)
{
	static const struct {
		const char *line;
		const char *word;
	} refused[] = {
	    {CALL("echo_it", "[\"\\ud800\"]"), "surrogate"},
	    {CALL("echo_it", "[\"\\udc00\\ud800\\udc00\"]"), "surrogate"},
	    {CALL("echo_it", "[\"\\ud800\\u0041\"]"), "surrogate"},
	    {CALL("echo_it", "[\"a\\\\\",\"\\uD800x\"]"), "surrogate"},
	    {CALL("echo_it", "{\"text\":\"a\",\"text\":\"b\"}"), "twice"},
	    {CALL("nothing", "[],\"more\":1,\"more\":2"), "twice"},
	    {CALL("echo_it", "[\"a\",1e309]"), "out of range"},
	    {CALL("echo_it", "[\"a\",-1.5E+4000]"), "out of range"},
	    {CALL("echo_it", "[\"a\",9223372036854775808]"), "out of range"},
	    {CALL("echo_it", "[\"a\",-123456789012345678901234567890]"), "out of range"},
	    /* and several at once */
	    {CALL("echo_it", "[\"\\ud800\",1e999,{\"a\":1,\"a\":1}]"), "surrogate"},
	};
	static const struct slice nobodys[] = {
	    {"\"\\ud800\"", 8},
	    {"{\"a\":1,\"a\":2}", 13},
	    {"1e999", 5},
	    {"123456789012345678901234567890", 30},
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_refused(*state, slice_of(refused[i].line), 400, "1", refused[i].word);
	for (size_t i = 0; i < sizeof(nobodys) / sizeof(nobodys[0]); i++)
		assert_refused(*state, nobodys[i], RPC_INVALID_REQUEST, "null", "");
	assert_answer(*state, CALL("echo_body", "[\"\\ud83d\\ude00\"]"),
	    RESULT("1", "\"\xf0\x9f\x98\x80\""));
	/* what was the fault of the id itself cannot come back */
	assert_refused(*state,
	    SLICE("{\"jsonrpc\":\"2.0\",\"id\":\"a\\ud800\",\"method\":\"nothing\"}"), 400, "null",
	    "surrogate");
	assert_refused(*state, SLICE("{\"jsonrpc\":\"2.0\",\"id\":1e999,\"method\":\"nothing\"}"),
	    400, "null", "out of range");
	assert_refused(*state, SLICE("{\"\\ud800\":1,}"), RPC_PARSE_ERROR, "null", "not JSON: ");
	assert_int_equal(calls, 0);
}

enum { DEEP = 3000 };

static void test_too_many_levels(void **state)
{
	char line[4 * DEEP], levels[3 * DEEP + 1] = "";
	size_t n = 0;

	for (size_t i = 0; i < DEEP; i++)
		levels[n++] = '[';
	n += (size_t)snprintf(levels + n, sizeof(levels) - n, "\"]\\\"\\ud800\",1e999");
	for (size_t i = 0; i < DEEP; i++)
		levels[n++] = ']';
	levels[n] = '\0';
	snprintf(line, sizeof(line), CALL("nothing", "%s"), levels);
	assert_refused(*state, slice_of(line), 400, "1", "too many levels");
	/* the id is found behind them as well */
	snprintf(line, sizeof(line),
	    "{\"x\":%s,\"id\":7,\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}", levels);
	assert_refused(*state, slice_of(line), 400, "7", "too many levels");
	levels[n - 1] = '\0';
	snprintf(line, sizeof(line), CALL("nothing", "%s"), levels);
	assert_refused(*state, slice_of(line), RPC_PARSE_ERROR, "null", "not JSON: ");
}

/* Nothing to say to an empty line. */
static void test_blank_lines(void **state)
{
	assert_answer(*state, "", "");
	assert_answer(*state, " \t\r", "");
	assert_answer(*state, " {\"jsonrpc\":\"2.0\",\"method\":\"nothing\",\"id\":1} \r",
	    RESULT("1", "null"));
}

static void test_deep_and_wide(void **state)
{
	enum { MANY = 100000 };
	char *line = malloc(2 * MANY + 3), *answer;

	memset(line, '[', MANY);
	assert_refused(*state, (struct slice){line, MANY}, RPC_INVALID_REQUEST, "null", "too many");
	assert_refused(*state, (struct slice){line, 60000}, RPC_PARSE_ERROR, "null", "not JSON");
	memset(line + MANY, ']', MANY);
	answer = ask_bytes(*state, (struct slice){line + MANY - 60000, 120000}, 1 << 20);
	assert_string_equal(answer, "[" FAILURE("null", "-32600", "a request is an object") "]");
	free(answer);
	for (size_t i = 0; i < MANY; i++)
		memcpy(line + 2 * i, "1,", 2);
	memmove(line + 1, line, 2 * MANY);
	line[0] = '[';
	memcpy(line + 2 * MANY, "1]", 2);
	assert_refused(*state, (struct slice){line, 2 * MANY + 2}, RPC_INVALID_REQUEST, "null",
	    "too many");
	/* what stands in a string is text, whatever it looks like */
	memcpy(line, "[\"\\\"", 4);
	assert_refused(*state, (struct slice){line, 2 * MANY + 2}, RPC_PARSE_ERROR, "null",
	    "not JSON");
	line[2 * MANY] = '"';
	line[2 * MANY + 2] = '\0';
	assert_answer(*state, line, "[" FAILURE("null", "-32600", "a request is an object") "]");
	free(line);
}

static void test_batches(void **state)
{
	char *line = malloc(200000), *end = line, *answer;

	assert_answer(*state,
	    "[" CALL("nothing", "[]") ",{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"},7," CALL(
		"fail", "[]") "," CALL("echo_it", "[\"a\"]") "]",
	    "[" RESULT("1", "null") "," FAILURE("null", "-32600",
		"a request is an object") "," FAILURE("1", "404",
		"unknown \\\"session\\\"") "," RESULT("1", "\"a - - -\"") "]");
	assert_answer(*state, "[{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}]", "");
	assert_answer(*state,
	    "[{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}," CALL("nothing", "[]") "]",
	    "[" RESULT("1", "null") "]");
	assert_refused(*state, SLICE("[]"), RPC_INVALID_REQUEST, "null", "empty batch");
	assert_answer(*state, "[[]]", "[" FAILURE("null", "-32600", "a request is an object") "]");
	calls = 0;
	*end++ = '[';
	for (int i = 0; i <= RPC_BATCH_MAX; i++) {
		end = mempcpy(end, CALL("nothing", "[]"), strlen(CALL("nothing", "[]")));
		*end++ = ',';
	}
	end[-1] = ']';
	assert_refused(*state, (struct slice){line, (size_t)(end - line)}, RPC_INVALID_REQUEST,
	    "null", "1000");
	assert_int_equal(calls, 0);
	end -= strlen(CALL("nothing", "[]")) + 1;
	end[-1] = ']';
	answer = ask_bytes(*state, (struct slice){line, (size_t)(end - line)}, 1 << 20);
	assert_int_equal(calls, RPC_BATCH_MAX);
	free(answer);
	free(line);
}

/* A batch whose answers grow too large is answered to its end, but no more is done. */
static void test_batch_with_large_answers(void **state)
{
	static const char batch[] =
	    "[" CALL("large", "[]") "," CALL("large", "[]") "," CALL("large", "[]") "]";
	char *answer = ask_bytes(*state, slice_of(batch), 7000);
	json_t *value = json_loads(answer, JSON_ALLOW_NUL, NULL);

	assert_int_equal(calls, 2);
	assert_int_equal(json_array_size(value), 3);
	assert_non_null(json_object_get(json_array_get(value, 1), "result"));
	assert_int_equal(json_integer_value(json_object_get(
			     json_object_get(json_array_get(value, 2), "error"), "code")),
	    500);
	json_decref(value);
	free(answer);
}

static void test_refuse(void **state)
{
	struct buffer answer = {.max = BUFFER_UNBOUNDED};

	(void)state;
	rpc_refuse(&answer, RPC_INVALID_REQUEST, "too long");
	assert_int_equal(answer.len, strlen(FAILURE("null", "-32600", "too long") "\n"));
	assert_memory_equal(answer.p, FAILURE("null", "-32600", "too long") "\n", answer.len);
	buffer_fini(&answer);
}

static void add_name(const struct method *method, void *arg)
{
	char *names = arg;
	size_t len = strlen(names);

	snprintf(names + len, 128 - len, "%s ", method->name);
}

static void test_each_method(void **state)
{
	char names[128] = "";

	rpc_each_method(*state, add_name, names);
	assert_string_equal(names, "echo_it echo_body fail nothing structure large ");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_params),
	    CASE(test_bad_params),
	    CASE(test_bad_base64),
	    CASE(test_methods),
	    CASE(test_answers),
	    CASE(test_ids),
	    CASE(test_notifications),
	    CASE(test_bad_envelopes),
	    CASE(test_not_json),
	    CASE(test_nul),
	    CASE(test_unreadable),
	    CASE(test_too_many_levels),
	    CASE(test_blank_lines),
	    CASE(test_deep_and_wide),
	    CASE(test_batches),
	    CASE(test_batch_with_large_answers),
	    CASE(test_refuse),
	    CASE(test_each_method),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
