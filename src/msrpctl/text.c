#include "msrpctl/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msrpctl/msrpctl.h"

void die(const char *what, const char *why)
{
	fprintf(stderr, "msrpctl: %s%s%s\n", what, why ? ": " : "", why ? why : "");
	exit(EXIT_TROUBLE);
}

void *must(void *p)
{
	if (!p)
		die("out of memory", NULL);
	return p;
}

void text_add(struct text *text, const char *p, size_t len)
{
	if (len >= text->size - text->len) {
		text->size = (text->len + len + 1) * 2;
		text->p = must(realloc(text->p, text->size));
	}
	memcpy(text->p + text->len, p, len);
	text->len += len;
	text->p[text->len] = '\0';
}

void text_adds(struct text *text, const char *s)
{
	text_add(text, s, strlen(s));
}

/*
 * What a peer sent may hold control characters, and a terminal obeys them: they are written as
 * \n or \xNN.  The bytes are UTF-8, jansson has seen to that.
 */
void text_add_safe(struct text *text, const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
		char escaped[8];

		if (*p >= 0x20 && *p != 0x7f && !c1) {
			text_add(text, (const char *)p, 1);
			continue;
		}
		p += c1;
		if (*p == '\n')
			snprintf(escaped, sizeof(escaped), "\\n");
		else
			snprintf(escaped, sizeof(escaped), "\\x%02x", *p);
		text_adds(text, escaped);
	}
}

/* JSON in ASCII alone: the characters that a terminal obeys are not all below U+0020. */
void text_add_json(struct text *text, const json_t *value)
{
	char *json = must(json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII));

	for (const char *p = json; *p; p++)
		text_add(text, *p == 0x7f ? "\\u007f" : p, *p == 0x7f ? 6 : 1);
	free(json);
}

void text_add_value(struct text *text, const json_t *value);

static void text_add_list(struct text *text, const json_t *list)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		if (i)
			text_adds(text, ", ");
		text_add_value(text, item);
	}
}

/* A value in one cell. */
void text_add_value(struct text *text, const json_t *value)
{
	if (json_is_string(value))
		text_add_safe(text, json_string_value(value));
	else if (json_is_array(value))
		text_add_list(text, value);
	else if (json_is_null(value))
		text_adds(text, "-");
	else
		text_add_json(text, value);
}

/* Columns that a string takes on a terminal, wide characters aside. */
size_t columns(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

size_t bytes_of_columns(const char *s, size_t n)
{
	size_t at = 0;

	while (s[at] && (n || ((unsigned char)s[at] & 0xc0) == 0x80)) {
		n -= ((unsigned char)s[at] & 0xc0) != 0x80;
		at++;
	}
	return at;
}

char *cell(const json_t *value)
{
	struct text text = {0};

	text_adds(&text, "");
	if (value)
		text_add_value(&text, value);
	return text.p;
}
