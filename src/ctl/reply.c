#include "ctl/priv.h"

#include <assert.h>

void reply_begin(struct reply *reply, struct jsonline *out, struct slice id)
{
	*reply = (struct reply){.out = out, .start = out->len};
	jsonline_open(out, '{');
	jsonline_raw(out, SLICE("\"jsonrpc\":\"2.0\",\"id\":"));
	jsonline_raw(out, id);
	reply->head_end = out->len;
}

/* In front of each value: its key, or "result" for the whole. */
static void begin_value(struct reply *reply, const char *key)
{
	bool in_object = reply->depth && !(reply->lists >> (reply->depth - 1) & 1);

	assert(in_object == (key != NULL));
	if (in_object)
		jsonline_key(reply->out, slice_of(key));
	else if (reply->depth == 0) {
		assert(reply->out->failed || reply->out->len == reply->head_end);
		jsonline_key(reply->out, SLICE("result"));
	}
}

void reply_text(struct reply *reply, const char *key, struct slice text)
{
	if (reply->error)
		return;
	begin_value(reply, key);
	jsonline_text(reply->out, text);
}

void reply_number(struct reply *reply, const char *key, int64_t number)
{
	if (reply->error)
		return;
	begin_value(reply, key);
	jsonline_number(reply->out, number);
}

static void add_word(struct reply *reply, const char *key, struct slice word)
{
	if (reply->error)
		return;
	begin_value(reply, key);
	jsonline_word(reply->out, word);
}

void reply_bool(struct reply *reply, const char *key, bool value)
{
	add_word(reply, key, value ? SLICE("true") : SLICE("false"));
}

void reply_null(struct reply *reply, const char *key)
{
	add_word(reply, key, SLICE("null"));
}

static void open_level(struct reply *reply, const char *key, bool list)
{
	if (reply->error)
		return;
	assert(reply->depth < REPLY_DEPTH_MAX);
	begin_value(reply, key);
	jsonline_open(reply->out, list ? '[' : '{');
	reply->lists &= ~(UINT64_C(1) << reply->depth);
	reply->lists |= (uint64_t)list << reply->depth;
	reply->depth++;
}

void reply_open_object(struct reply *reply, const char *key)
{
	open_level(reply, key, false);
}

void reply_open_list(struct reply *reply, const char *key)
{
	open_level(reply, key, true);
}

void reply_close(struct reply *reply)
{
	if (reply->error)
		return;
	assert(reply->depth > 0);
	reply->depth--;
	jsonline_close(reply->out, reply->lists >> reply->depth & 1 ? ']' : '}');
}

void reply_error(struct reply *reply, int code, const char *message)
{
	jsonline_cut(reply->out, reply->head_end);
	reply->error = true;
	jsonline_key(reply->out, SLICE("error"));
	jsonline_open(reply->out, '{');
	jsonline_key(reply->out, SLICE("code"));
	jsonline_number(reply->out, code);
	jsonline_key(reply->out, SLICE("message"));
	jsonline_text(reply->out, slice_of(message));
	jsonline_close(reply->out, '}');
}

void reply_end(struct reply *reply)
{
	while (!reply->error && reply->depth > 0)
		reply_close(reply);
	if (reply->out->len == reply->head_end)
		reply_null(reply, NULL);
	jsonline_close(reply->out, '}');
}

void reply_drop(struct reply *reply)
{
	jsonline_cut(reply->out, reply->start);
}
