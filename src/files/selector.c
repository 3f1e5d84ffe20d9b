#include "files/selector.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>

#include <msrpd/hex.h>

/* --- reading --- */

/* The next selector: up to a space that is not in quotes. */
static int next_selector(struct slice *rest, struct slice *one)
{
	bool quoted = false;
	size_t len = 0;

	while (rest->len && *rest->p == ' ')
		*rest = slice_from(*rest, 1);
	for (; len < rest->len && (quoted || rest->p[len] != ' '); len++)
		if (rest->p[len] == '"')
			quoted = !quoted;
	if (quoted)
		return -EBADMSG;
	*one = slice_head(*rest, len);
	*rest = slice_from(*rest, len);
	return len > 0;
}

static int take_name(struct selector *selector, struct slice value)
{
	if (value.len < 3 || value.p[0] != '"' || value.p[value.len - 1] != '"')
		return -EBADMSG;
	selector->name = (struct slice){value.p + 1, value.len - 2};
	for (size_t i = 0; i < selector->name.len; i++)
		if (selector->name.p[i] == '"'
		    || (selector->name.p[i] == '%'
			&& hex_byte(slice_from(selector->name, i + 1)) < 0))
			return -EBADMSG;
	return 0;
}

/* "sha-1:72:24:…"; of other algorithms nothing is known. */
static int take_hash(struct selector *selector, struct slice value)
{
	struct slice algorithm;

	slice_cut(&value, ':', &algorithm);
	if (!value.p)
		return -EBADMSG;
	if (!slice_equal_nocase(algorithm, SLICE("sha-1")))
		return 0;
	if (value.len != 3 * SUM_SHA1_SIZE - 1)
		return -EBADMSG;
	for (size_t i = 0; i < SUM_SHA1_SIZE; i++) {
		int byte = hex_byte(slice_from(value, 3 * i));

		if (byte < 0 || (i && value.p[3 * i - 1] != ':'))
			return -EBADMSG;
		selector->sha1[i] = (uint8_t)byte;
	}
	selector->has_sha1 = true;
	return 0;
}

static int take(struct selector *selector, struct slice one)
{
	struct slice name;

	slice_cut(&one, ':', &name);
	if (!one.p || one.len == 0)
		return -EBADMSG;
	if (slice_equal_nocase(name, SLICE("name")))
		return take_name(selector, one);
	if (slice_equal_nocase(name, SLICE("type")))
		selector->type = one;
	else if (slice_equal_nocase(name, SLICE("size")))
		return slice_to_u64(one, INT64_MAX, &selector->size) < 0 ? -EBADMSG : 0;
	else if (slice_equal_nocase(name, SLICE("hash")))
		return take_hash(selector, one);
	return 0;
}

int selector_parse(struct selector *selector, struct slice text)
{
	struct slice one;
	int err = 0, more = 1;

	*selector = (struct selector){.size = UINT64_MAX};
	if (text.len > SELECTOR_SIZE_MAX)
		return -EMSGSIZE;
	while (err == 0 && (more = next_selector(&text, &one)) > 0)
		err = take(selector, one);
	return more < 0 ? more : err;
}

size_t selector_unescape(char *out, struct slice text)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		int byte = text.p[i] == '%' ? hex_byte(slice_from(text, i + 1)) : -1;

		out[len++] = byte < 0 ? text.p[i] : (char)byte;
		i += byte < 0 ? 0 : 2;
	}
	return len;
}

int file_range_parse(struct file_range *range, struct slice text)
{
	struct slice start;

	*range = (struct file_range){1, UINT64_MAX};
	if (!text.p)
		return 0;
	slice_cut(&text, '-', &start);
	if (slice_to_u64(start, INT64_MAX, &range->start) < 0 || range->start == 0 || !text.p)
		return -EBADMSG;
	if (slice_equal(text, SLICE("*")))
		return 0;
	if (slice_to_u64(text, INT64_MAX, &range->stop) < 0 || range->stop < range->start)
		return -EBADMSG;
	return 0;
}

/* --- writing --- */

/* What may not stand in a filename-string, and what is no text. */
static void write_escaped(struct buffer *w, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c < ' ' || c == '"' || c == '%' || c == 0x7f)
			buffer_printf(w, "%%%02X", c);
		else
			buffer_add_char(w, text.p[i]);
	}
}

static void write_type(struct buffer *w, struct slice type)
{
	struct slice parameter, name;

	slice_cut(&type, ';', &parameter);
	buffer_add(w, slice_trim(parameter));
	while (slice_cut(&type, ';', &parameter)) {
		parameter = slice_trim(parameter);
		slice_cut(&parameter, '=', &name);
		if (!parameter.p)
			continue;
		if (parameter.len > 1 && parameter.p[0] == '"')
			parameter = (struct slice){parameter.p + 1, parameter.len - 2};
		buffer_printf(w, ";%.*s=\"", SLICE_ARG(name));
		write_escaped(w, parameter);
		buffer_add_char(w, '"');
	}
}

void sum_write(char text[SUM_TEXT_SIZE], const uint8_t *sum, size_t size, bool for_sdp)
{
	char *p = text;

	if (!for_sdp) {
		hex_write(text, sum, size);
		return;
	}
	for (size_t i = 0; i < size; i++) {
		if (i)
			*p++ = ':';
		hex_write(p, &sum[i], 1);
		for (char *end = p + 2; p < end; p++)
			*p = (char)toupper(*p);
	}
}

void selector_write(struct buffer *w, const struct selector_out *selector)
{
	char sum[SUM_TEXT_SIZE];

	sum_write(sum, selector->sha1, SUM_SHA1_SIZE, true);
	buffer_add(w, SLICE("a=file-selector:name:\""));
	write_escaped(w, selector->name);
	buffer_add(w, SLICE("\" type:"));
	write_type(w, selector->type);
	buffer_printf(w, " size:%" PRIu64 " hash:sha-1:%s\r\n", selector->size, sum);
}
