#include "ctl/repair.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	LEVELS_MAX = 1000, /* jansson reads some more */
	ESCAPE = 6,        /* bytes of \\uXXXX */
};

/* The text is read at from, and written at to, which is never ahead of it. */
struct repair {
	const char *from, *end;
	char *to;
	size_t level;
};

static void copy(struct repair *r, size_t n)
{
	if (r->level <= LEVELS_MAX) {
		memmove(r->to, r->from, n);
		r->to += n;
	}
	r->from += n;
}

static void write(struct repair *r, const char *instead)
{
	size_t n = strlen(instead);

	memcpy(r->to, instead, n);
	r->to += n;
}

/* --- strings --- */

/* The number of an escape, or -1: there is none. */
static long escaped(const struct repair *r, const char *p)
{
	char digits[5] = "";

	if (r->end - p < ESCAPE || p[0] != '\\' || p[1] != 'u')
		return -1;
	memcpy(digits, p + 2, 4);
	return strspn(digits, "0123456789abcdefABCDEF") == 4 ? strtol(digits, NULL, 16) : -1;
}

static bool is_high(long c)
{
	return c >= 0xd800 && c < 0xdc00;
}

static bool is_low(long c)
{
	return c >= 0xdc00 && c < 0xe000;
}

static void take_escape(struct repair *r)
{
	long c = escaped(r, r->from);
	bool pair = is_high(c) && is_low(escaped(r, r->from + ESCAPE));

	if (c < 0) {
		copy(r, r->end - r->from < 2 ? 1 : 2);
		return;
	}
	if (c != 0 && (pair || (!is_high(c) && !is_low(c)))) {
		copy(r, pair ? 2 * ESCAPE : ESCAPE);
		return;
	}
	r->from += ESCAPE;
	if (r->level <= LEVELS_MAX)
		write(r, "\\ufffd");
}

static void take_string(struct repair *r)
{
	copy(r, 1);
	while (r->from < r->end && *r->from != '"')
		if (*r->from == '\\')
			take_escape(r);
		else
			copy(r, 1);
	if (r->from < r->end)
		copy(r, 1);
}

/* --- the rest --- */

static bool is_beyond_range(const char *number, size_t len)
{
	if (memchr(number, '.', len) || memchr(number, 'e', len) || memchr(number, 'E', len))
		return isinf(strtod(number, NULL));
	errno = 0;
	strtoll(number, NULL, 10);
	return errno == ERANGE;
}

static void take_number(struct repair *r)
{
	size_t len = strspn(r->from, "+-.0123456789eE");

	if (r->level > LEVELS_MAX || !is_beyond_range(r->from, len)) {
		copy(r, len);
		return;
	}
	r->from += len;
	write(r, "null"); /* the shortest such is 1e309 */
}

static void open_level(struct repair *r)
{
	if (r->level++ == LEVELS_MAX)
		write(r, "0");
	copy(r, 1);
}

static void close_level(struct repair *r)
{
	copy(r, 1);
	if (r->level > 0)
		r->level--;
}

static void take(struct repair *r)
{
	char c = *r->from;

	if (c == '"')
		take_string(r);
	else if (c == '-' || (c >= '0' && c <= '9'))
		take_number(r);
	else if (c == '{' || c == '[')
		open_level(r);
	else if (c == '}' || c == ']')
		close_level(r);
	else
		copy(r, 1);
}

size_t json_repair(char *text, size_t len)
{
	struct repair r = {.from = text, .end = text + len, .to = text};

	while (r.from < r.end)
		take(&r);
	return (size_t)(r.to - text);
}
