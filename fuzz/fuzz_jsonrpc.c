/*
 * Lines of a control client: whatever they are, each answer is one line of JSON, and a
 * text that goes in comes out as it was.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "ctl/rpc.h"

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void echo(const struct param *params, struct reply *reply, void *state)
{
	(void)state;
	reply_open_object(reply, NULL);
	reply_text(reply, "text", params[0].text);
	reply_number(reply, "number", params[1].number);
	reply_open_list(reply, "texts");
	for (size_t i = 0; i < params[2].count; i++)
		reply_text(reply, NULL, params[2].texts[i]);
	reply_close(reply);
	reply_text(reply, "bytes", params[3].text);
	reply_close(reply);
}

static void fail(const struct param *params, struct reply *reply, void *state)
{
	(void)params;
	(void)state;
	reply_open_list(reply, NULL);
	reply_error(reply, 404, "no such thing");
}

static const struct param_spec echo_params[] = {
    {.name = "text", .kind = PARAM_TEXT, .required = true},
    {.name = "number", .kind = PARAM_NUMBER},
    {.name = "texts", .kind = PARAM_TEXTS},
    {.name = "bytes", .kind = PARAM_BASE64},
    {0},
};

static const struct method methods[] = {
    {.name = "msrp_ua_echo", .params = echo_params, .call = echo, .help = ""},
    {.name = "fail", .call = fail, .help = ""},
    {0},
};

static void check_answer(const json_t *answer)
{
	check(json_is_object(answer));
	check(json_object_get(answer, "id") != NULL);
	check(!json_object_get(answer, "result") != !json_object_get(answer, "error"));
}

static void check_answers(struct slice text)
{
	json_t *value = json_loadb(text.p, text.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	const json_t *item;
	size_t i;

	check(value != NULL);
	if (json_is_object(value))
		check_answer(value);
	else
		check(json_array_size(value) > 0);
	json_array_foreach(value, i, item) check_answer(item);
	json_decref(value);
}

static void run_line(struct rpc *rpc, struct slice line)
{
	const struct rpc_caller caller = {.batches = true, .blanks = true};
	struct buffer answer = {.max = BUFFER_UNBOUNDED};

	rpc_handle(rpc, &caller, line, &answer, 4096);
	check(!answer.err);
	if (answer.len) {
		check(memchr(answer.p, '\n', answer.len) == answer.p + answer.len - 1);
		check_answers((struct slice){answer.p, answer.len});
	}
	buffer_fini(&answer);
}

/* The same bytes as a text that a peer sent. */
static void check_encoder(struct slice text)
{
	struct buffer line = {.max = BUFFER_UNBOUNDED};
	json_t *value;

	jsonline_text(&line, text);
	value = json_loadb(line.p, line.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	check(json_is_string(value));
	if (slice_is_utf8(text))
		check(slice_equal(text,
		    (struct slice){json_string_value(value), json_string_length(value)}));
	json_decref(value);
	buffer_fini(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = {(const char *)data, size}, line;
	struct rpc *rpc;

	if (!data)
		return 0;
	check_encoder(rest);
	check(rpc_new(&rpc) == 0);
	check(rpc_add_methods(rpc, methods, NULL) == 0);
	while (slice_cut(&rest, '\n', &line))
		run_line(rpc, line);
	rpc_free(rpc);
	return 0;
}
