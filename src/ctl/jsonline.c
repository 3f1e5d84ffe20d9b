#include "ctl/jsonline.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

/* A value or a key follows: a comma, unless it is the first or a key has gone before it. */
static void begin_value(struct buffer *line)
{
	char last = line->len ? line->p[line->len - 1] : '\n';

	if (last != '{' && last != '[' && last != ':' && last != '\n')
		buffer_add_char(line, ',');
}

static void add_key(struct buffer *line, struct slice key, struct slice suffix)
{
	begin_value(line);
	buffer_add_char(line, '"');
	buffer_add(line, key);
	buffer_add(line, suffix);
	buffer_add(line, SLICE("\":"));
}

void jsonline_key(struct buffer *line, struct slice key)
{
	add_key(line, key, SLICE(""));
}

void jsonline_open(struct buffer *line, char bracket)
{
	begin_value(line);
	buffer_add_char(line, bracket);
}

void jsonline_close(struct buffer *line, char bracket)
{
	buffer_add_char(line, bracket);
}

/* Is any byte of the word zero?  All eight at once. */
static bool has_zero(uint64_t word)
{
	return (word - UINT64_C(0x0101010101010101)) & ~word & UINT64_C(0x8080808080808080);
}

static bool has_special(uint64_t word)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t below_space = (word - ones * 0x20) & ~word & ones * 0x80;

	return below_space || has_zero(word ^ ones * '"') || has_zero(word ^ ones * '\\');
}

static bool is_special(char c)
{
	return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

/* Bytes at the front of text that stand for themselves in a JSON string. */
static size_t plain_run(struct slice text)
{
	size_t n = 0;
	uint64_t word;

	for (; text.len - n >= sizeof(word); n += sizeof(word)) {
		memcpy(&word, text.p + n, sizeof(word));
		if (has_special(word))
			break;
	}
	while (n < text.len && !is_special(text.p[n]))
		n++;
	return n;
}

static void add_escape(struct buffer *line, char c)
{
	static const char short_forms[0x20] = {
	    ['\b'] = 'b',
	    ['\f'] = 'f',
	    ['\n'] = 'n',
	    ['\r'] = 'r',
	    ['\t'] = 't',
	};
	static const char hex[] = "0123456789abcdef";
	unsigned char code = (unsigned char)c;
	char unicode[6] = {'\\', 'u', '0', '0', hex[code >> 4], hex[code & 15]};
	char brief[2] = {'\\', c};

	if (code < sizeof(short_forms)) {
		if (!short_forms[code]) {
			buffer_add(line, (struct slice){unicode, sizeof(unicode)});
			return;
		}
		brief[1] = short_forms[code];
	}
	buffer_add(line, (struct slice){brief, sizeof(brief)});
}

static void add_utf8(struct buffer *line, struct slice text)
{
	while (text.len) {
		size_t n = plain_run(text);

		buffer_add(line, slice_head(text, n));
		text = slice_from(text, n);
		if (text.len) {
			add_escape(line, text.p[0]);
			text = slice_from(text, 1);
		}
	}
}

/* The rare case: what is no character is replaced, the rest goes the usual way. */
static void add_repaired(struct buffer *line, struct slice text)
{
	while (text.len) {
		size_t n = slice_utf8_char(text);

		if (n == 0)
			buffer_add(line, SLICE("\xef\xbf\xbd"));
		else
			add_utf8(line, slice_head(text, n));
		text = slice_from(text, n ? n : 1);
	}
}

static void add_string(struct buffer *line, struct slice text, bool utf8)
{
	begin_value(line);
	buffer_add_char(line, '"');
	if (utf8)
		add_utf8(line, text);
	else
		add_repaired(line, text);
	buffer_add_char(line, '"');
}

void jsonline_text(struct buffer *line, struct slice text)
{
	if (text.p)
		add_string(line, text, slice_is_utf8(text));
	else
		jsonline_word(line, SLICE("null"));
}

void jsonline_base64(struct buffer *line, struct slice bytes)
{
	/* A multiple of three: padding comes at the end alone. */
	enum { PIECE = 3 << 20 };

	begin_value(line);
	buffer_add_char(line, '"');
	while (bytes.len) {
		struct slice piece = slice_head(bytes, PIECE);
		size_t room = (piece.len + 2) / 3 * 4;

		if (buffer_reserve(line, room + 1) < 0)
			return;
		EVP_EncodeBlock((unsigned char *)line->p + line->len,
		    (const unsigned char *)piece.p, (int)piece.len);
		line->len += room;
		bytes = slice_from(bytes, piece.len);
	}
	buffer_add_char(line, '"');
}

void jsonline_number(struct buffer *line, int64_t number)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRId64, number);

	begin_value(line);
	buffer_add(line, (struct slice){digits, (size_t)n});
}

void jsonline_word(struct buffer *line, struct slice word)
{
	begin_value(line);
	buffer_add(line, word);
}

void jsonline_body(struct buffer *line, struct slice key, struct slice bytes)
{
	bool utf8 = slice_is_utf8(bytes);

	add_key(line, key, utf8 ? SLICE("") : SLICE("_base64"));
	if (utf8)
		add_string(line, bytes, true);
	else
		jsonline_base64(line, bytes);
}

static void add_param(struct buffer *line, const struct event_param *param);

static void add_value(struct buffer *line, const struct event_param *param)
{
	switch (param->kind) {
	case EVENT_NUMBER:
		jsonline_number(line, param->number);
		break;
	case EVENT_TRUE:
		jsonline_word(line, SLICE("true"));
		break;
	case EVENT_OBJECT:
		jsonline_open(line, '{');
		for (size_t i = 0; i < param->count; i++)
			add_param(line, &param->items[i]);
		jsonline_close(line, '}');
		break;
	case EVENT_LIST:
		jsonline_open(line, '[');
		for (size_t i = 0; i < param->count; i++)
			add_value(line, &param->items[i]);
		jsonline_close(line, ']');
		break;
	default:
		jsonline_text(line,
		    param->kind == EVENT_TEXT ? param->text : (struct slice){NULL, 0});
	}
}

static void add_param(struct buffer *line, const struct event_param *param)
{
	if (param->kind == EVENT_BODY) {
		jsonline_body(line, slice_of(param->name), param->text);
		return;
	}
	jsonline_key(line, slice_of(param->name));
	add_value(line, param);
}

void jsonline_event(struct buffer *line, const struct event_notice *event, bool guarded)
{
	buffer_add(line, SLICE("{\"jsonrpc\":\"2.0\",\"method\":\""));
	buffer_add(line, slice_of(event->type->name));
	buffer_add(line, SLICE("\",\"params\":{"));
	for (size_t i = 0; i < event->count; i++)
		if (guarded || !event->params[i].guarded)
			add_param(line, &event->params[i]);
	buffer_add(line, SLICE("}}\n"));
}
