#include "ctl/priv.h"

#include <assert.h>

#include "ctl/rpc.h"

static struct json_reply *json_of(struct reply *reply)
{
	return (struct json_reply *)reply;
}

/* In front of each value: its key, or "result" for the whole. */
static void begin_value(struct json_reply *j, const char *key)
{
	bool in_object = j->depth && !(j->lists >> (j->depth - 1) & 1);

	assert(in_object == (key != NULL));
	if (in_object)
		jsonline_key(j->out, slice_of(key));
	else if (j->depth == 0) {
		assert(j->out->err || j->out->len == j->head_end);
		jsonline_key(j->out, SLICE("result"));
	}
}

static void write_text(struct reply *reply, const char *key, struct slice text)
{
	struct json_reply *j = json_of(reply);

	if (j->error)
		return;
	begin_value(j, key);
	jsonline_text(j->out, text);
}

static void write_body(struct reply *reply, const char *key, struct slice bytes)
{
	struct json_reply *j = json_of(reply);

	if (!j->error)
		jsonline_body(j->out, slice_of(key), bytes);
}

static void write_number(struct reply *reply, const char *key, int64_t number)
{
	struct json_reply *j = json_of(reply);

	if (j->error)
		return;
	begin_value(j, key);
	jsonline_number(j->out, number);
}

static void write_word(struct json_reply *j, const char *key, struct slice word)
{
	if (j->error)
		return;
	begin_value(j, key);
	jsonline_word(j->out, word);
}

static void write_bool(struct reply *reply, const char *key, bool value)
{
	write_word(json_of(reply), key, value ? SLICE("true") : SLICE("false"));
}

static void write_null(struct reply *reply, const char *key)
{
	write_word(json_of(reply), key, SLICE("null"));
}

static void open_level(struct reply *reply, const char *key, bool list)
{
	struct json_reply *j = json_of(reply);

	if (j->error)
		return;
	assert(j->depth < REPLY_DEPTH_MAX);
	begin_value(j, key);
	jsonline_open(j->out, list ? '[' : '{');
	j->lists &= ~(UINT64_C(1) << j->depth);
	j->lists |= (uint64_t)list << j->depth;
	j->depth++;
}

static void close_level(struct reply *reply)
{
	struct json_reply *j = json_of(reply);

	if (j->error)
		return;
	assert(j->depth > 0);
	j->depth--;
	jsonline_close(j->out, j->lists >> j->depth & 1 ? ']' : '}');
}

static void write_error(struct reply *reply, int code, const char *message)
{
	struct json_reply *j = json_of(reply);

	j->out->len = j->head_end;
	j->error = true;
	jsonline_key(j->out, SLICE("error"));
	jsonline_open(j->out, '{');
	jsonline_key(j->out, SLICE("code"));
	jsonline_number(j->out, code);
	jsonline_key(j->out, SLICE("message"));
	jsonline_text(j->out, slice_of(message));
	jsonline_close(j->out, '}');
}

static bool is_for_caller(const struct reply *reply, struct slice address)
{
	const struct rpc_caller *caller = json_reply_caller(reply);

	return !caller->owns || caller->owns(address, caller->arg);
}

static const struct reply_ops json_ops = {
    .text = write_text,
    .body = write_body,
    .number = write_number,
    .boolean = write_bool,
    .null = write_null,
    .open = open_level,
    .close = close_level,
    .error = write_error,
    .is_for = is_for_caller,
};

const struct rpc_caller *json_reply_caller(const struct reply *reply)
{
	return ((const struct json_reply *)reply)->caller;
}

void json_reply_begin(struct json_reply *reply, struct buffer *out, struct slice id)
{
	*reply = (struct json_reply){.reply.ops = &json_ops, .out = out, .start = out->len};
	jsonline_open(out, '{');
	buffer_add(out, SLICE("\"jsonrpc\":\"2.0\",\"id\":"));
	buffer_add(out, id);
	reply->head_end = out->len;
}

void json_reply_end(struct json_reply *reply)
{
	while (!reply->error && reply->depth > 0)
		reply_close(&reply->reply);
	if (reply->out->len == reply->head_end)
		reply_null(&reply->reply, NULL);
	jsonline_close(reply->out, '}');
}

void json_reply_drop(struct json_reply *reply)
{
	reply->out->len = reply->start;
}
