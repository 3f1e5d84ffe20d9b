#include "ctl/rpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "ctl/params.h"
#include "ctl/priv.h"
#include "ctl/repair.h"

enum {
	/* Brackets, commas and colons of a line: a short one can be a huge one in memory. */
	STRUCTURE_MAX = 65536,
	WHY_SIZE = 256,
	ID_MAX = 256,
	ID_SIZE = 6 * ID_MAX + 2, /* as JSON, if each byte is written as \u00NN */
};

struct entry {
	const struct method *method;
	void *state;
};

struct rpc {
	struct entry *entries;
	size_t count, room;
};

/*
 * jansson 2.14 writes past its buffer after an allocation that failed, because its scanner
 * does not look whether text could be saved: an orderly end is better.
 */
static void *allocate(size_t size)
{
	void *p = malloc(size);

	if (!p) {
		log_error("ctl: out of memory in a request");
		exit(EXIT_FAILURE);
	}
	return p;
}

int rpc_new(struct rpc **rpcp)
{
	struct rpc *rpc = calloc(1, sizeof(*rpc));

	if (!rpc)
		return -ENOMEM;
	json_set_alloc_funcs(allocate, free);
	*rpcp = rpc;
	return 0;
}

void rpc_free(struct rpc *rpc)
{
	if (!rpc)
		return;
	free(rpc->entries);
	free(rpc);
}

/* One ':' may stand for a '_': msrp_ua:send_message is the newer spelling of OpenSIPS. */
static bool is_named(const struct method *method, struct slice name)
{
	struct slice known = slice_of(method->name), rest = name, service;

	slice_cut(&rest, ':', &service);
	if (method->also && slice_equal(slice_of(method->also), name))
		return true;
	if (!rest.p)
		return slice_equal(known, name);
	return known.len == name.len && known.p[service.len] == '_'
	    && slice_equal(slice_head(known, service.len), service)
	    && slice_equal(slice_from(known, service.len + 1), rest);
}

static const struct entry *find(const struct rpc *rpc, struct slice name)
{
	for (size_t i = 0; i < rpc->count; i++)
		if (is_named(rpc->entries[i].method, name))
			return &rpc->entries[i];
	return NULL;
}

static int add_method(struct rpc *rpc, const struct method *method, void *state)
{
	if (find(rpc, slice_of(method->name)))
		return -EEXIST;
	if (rpc->count == rpc->room) {
		size_t room = rpc->room ? rpc->room * 2 : 16;
		struct entry *entries = realloc(rpc->entries, room * sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		rpc->entries = entries;
		rpc->room = room;
	}
	rpc->entries[rpc->count++] = (struct entry){method, state};
	return 0;
}

int rpc_add_methods(struct rpc *rpc, const struct method *methods, void *state)
{
	int err = 0;

	for (; !err && methods && methods->name; methods++)
		err = add_method(rpc, methods, state);
	return err;
}

void rpc_each_method(const struct rpc *rpc, void (*fn)(const struct method *method, void *arg),
    void *arg)
{
	for (size_t i = 0; i < rpc->count; i++)
		fn(rpc->entries[i].method, arg);
}

/* --- requests --- */

/* Users are told apart from operators here alone: by the row of the method. */
static bool may_call(const struct entry *entry, const struct params *params, struct reply *reply)
{
	const struct method *method = entry->method;

	if (method->access < METHOD_OWNER || !json_reply_caller(reply)->owns
	    || method->is_theirs(params->values, reply, entry->state))
		return true;
	if (method->access == METHOD_OWNER)
		reply_error(reply, 404, "not found");
	else
		reply_error(reply, 403, "not in your name");
	return false;
}

static void call_method(const struct entry *entry, json_t *params, struct reply *reply)
{
	struct params read = {0};
	int err = params_read(&read, entry->method->params, params);

	if (err == -EPROTO)
		reply_error(reply, RPC_INVALID_PARAMS, read.why);
	else if (err == -EINVAL)
		reply_error(reply, 400, read.why);
	else if (err)
		reply_error(reply, 500, "out of memory");
	else if (may_call(entry, &read, reply))
		entry->method->call(read.values, reply, entry->state);
	params_fini(&read);
}

static bool is_id(const json_t *id)
{
	return json_is_null(id) || json_is_number(id)
	    || (json_is_string(id) && json_string_length(id) <= ID_MAX);
}

/* @return what is wrong with the envelope, or NULL */
static const char *check_request(const json_t *request)
{
	const json_t *id = json_object_get(request, "id");
	const json_t *params = json_object_get(request, "params");
	struct slice version = params_text(json_object_get(request, "jsonrpc"));

	if (!json_is_object(request))
		return "a request is an object";
	if (!slice_equal(version, SLICE("2.0")))
		return "jsonrpc is not \"2.0\"";
	if (!json_is_string(json_object_get(request, "method")))
		return "method is not a string";
	if (params && !json_is_object(params) && !json_is_array(params))
		return "params is neither an object nor a list";
	if (id && !is_id(id))
		return "id is not a number, null or a string of at most 256 bytes";
	return NULL;
}

static void run(const struct rpc *rpc, const struct rpc_caller *caller, const json_t *request,
    struct reply *reply)
{
	struct slice name = params_text(json_object_get(request, "method"));
	const struct entry *entry = find(rpc, name);
	char why[WHY_SIZE];

	if (entry && caller->owns && entry->method->access == METHOD_OPERATOR) {
		reply_error(reply, 403, "for operators alone");
		return;
	}
	if (entry) {
		call_method(entry, json_object_get(request, "params"), reply);
		return;
	}
	snprintf(why, sizeof(why), "unknown method %.*s", SLICE_ARG(name));
	reply_error(reply, RPC_METHOD_NOT_FOUND, why);
}

static struct slice id_text(const json_t *id, char *buffer, size_t size)
{
	size_t n = id && is_id(id) ? json_dumpb(id, buffer, size, JSON_ENCODE_ANY) : 0;

	return n > 0 && n <= size ? (struct slice){buffer, n} : SLICE("null");
}

/* An id that was repaired is not what the client has written. */
static bool is_repaired(const json_t *id)
{
	return json_is_string(id) && strstr(json_string_value(id), "\xef\xbf\xbd") != NULL;
}

static void reject(struct reply *reply, enum rpc_error code, const char *message)
{
	log_debug("ctl: refused: %s", message);
	reply_error(reply, (int)code, message);
}

/* Why requests that could be read are not carried out. */
struct refusal {
	int code;
	const char *why;
};

/* A line, and where its answers go. */
struct line {
	const struct rpc *rpc;
	const struct rpc_caller *caller;
	struct buffer *answer;
	size_t answer_max;
};

static void handle_request(const struct line *line, const json_t *request,
    const struct refusal *refusal)
{
	const json_t *id = json_object_get(request, "id");
	const char *why = check_request(request);
	struct json_reply reply;
	char buffer[ID_SIZE];

	if (refusal && is_repaired(id))
		id = json_null();
	json_reply_begin(&reply, line->answer, id_text(id, buffer, sizeof(buffer)));
	reply.caller = line->caller;
	if (why)
		reject(&reply.reply, RPC_INVALID_REQUEST, why);
	else if (refusal)
		reply_error(&reply.reply, refusal->code, refusal->why);
	else
		run(line->rpc, line->caller, request, &reply.reply);
	if (why || id)
		json_reply_end(&reply);
	else
		json_reply_drop(&reply);
}

static void handle_batch(const struct line *line, const json_t *batch,
    const struct refusal *refusal)
{
	static const struct refusal too_large = {500,
	    "not done, the answers before it in the batch are too large"};
	struct buffer *answer = line->answer;
	size_t start = answer->len;

	jsonline_open(answer, '[');
	for (size_t i = 0; i < json_array_size(batch); i++)
		handle_request(line, json_array_get(batch, i),
		    answer->len - start > line->answer_max ? &too_large : refusal);
	if (answer->len == start + 1)
		answer->len = start;
	else
		jsonline_close(answer, ']');
}

static void refuse(struct buffer *answer, enum rpc_error code, const char *message)
{
	struct json_reply reply;

	json_reply_begin(&reply, answer, SLICE("null"));
	reject(&reply.reply, code, message);
	json_reply_end(&reply);
}

static void handle_value(const struct line *line, const json_t *value,
    const struct refusal *refusal)
{
	if (!json_is_array(value))
		handle_request(line, value, refusal);
	else if (!line->caller->batches)
		refuse(line->answer, RPC_INVALID_REQUEST, "one request, not a batch");
	else if (json_array_size(value) == 0)
		refuse(line->answer, RPC_INVALID_REQUEST, "an empty batch");
	else if (json_array_size(value) > RPC_BATCH_MAX)
		refuse(line->answer, RPC_INVALID_REQUEST, "more than 1000 requests in a batch");
	else
		handle_batch(line, value, refusal);
}

/* Is the line more than STRUCTURE_MAX brackets, commas and colons?  Those in strings are text. */
static bool is_unwieldy(struct slice line)
{
	size_t count = 0;
	bool quoted = false;

	for (size_t i = 0; i < line.len && line.len > STRUCTURE_MAX; i++) {
		char c = line.p[i];

		if (c == '"')
			quoted = !quoted;
		else if (quoted)
			i += c == '\\';
		else if (c == '{' || c == '[' || c == ',' || c == ':')
			count++;
	}
	return count > STRUCTURE_MAX;
}

static bool is_blank(struct slice line)
{
	size_t i = 0;

	while (i < line.len && line.p[i] && strchr(" \t\r\n", line.p[i]))
		i++;
	return i == line.len;
}

static json_t *load(const char *text, size_t len, size_t flags, json_error_t *error)
{
	return json_loadb(text, len, flags | JSON_DECODE_ANY | JSON_ALLOW_NUL, error);
}

static const char *why_not(enum json_error_code code)
{
	switch (code) {
	case json_error_null_byte_in_key:
		return "a name holds a NUL";
	case json_error_duplicate_key:
		return "a name is given twice";
	case json_error_numeric_overflow:
		return "a number is out of range";
	case json_error_stack_overflow:
		return "too many levels";
	default:
		return "an escape is half of a surrogate pair";
	}
}

/*
 * JSON that jansson cannot give: what can be read without the fault tells at least whose requests
 * are to be refused.
 */
static json_t *load_repaired(struct slice line)
{
	char *copy = slice_dup(line);
	json_error_t ignored;
	json_t *value = copy ? load(copy, json_repair(copy, line.len), 0, &ignored) : NULL;

	free(copy);
	return value;
}

static void handle_line(const struct line *line, struct slice text)
{
	struct refusal refusal = {.code = 400};
	char why[WHY_SIZE];
	json_error_t error;
	json_t *value;

	if (is_unwieldy(text)) {
		refuse(line->answer, RPC_INVALID_REQUEST, "too many values in one line");
		return;
	}
	value = load(text.p, text.len, JSON_REJECT_DUPLICATES, &error);
	if (!value && (value = load_repaired(text)))
		refusal.why = why_not(json_error_code(&error));
	if (!value) {
		snprintf(why, sizeof(why), "not JSON: %s", error.text);
		refuse(line->answer, RPC_PARSE_ERROR, why);
		return;
	}
	handle_value(line, value, refusal.why ? &refusal : NULL);
	json_decref(value);
}

void rpc_handle(struct rpc *rpc, const struct rpc_caller *caller, struct slice text,
    struct buffer *answer, size_t answer_max)
{
	struct line line = {rpc, caller, answer, answer_max};
	size_t start = answer->len;

	if (!is_blank(text))
		handle_line(&line, text);
	else if (!caller->blanks)
		refuse(answer, RPC_INVALID_REQUEST, "no request");
	if (answer->len > start)
		buffer_add(answer, SLICE("\n"));
}

void rpc_refuse(struct buffer *answer, enum rpc_error code, const char *message)
{
	refuse(answer, code, message);
	buffer_add(answer, SLICE("\n"));
}
