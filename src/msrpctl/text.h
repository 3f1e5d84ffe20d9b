/* Text for a terminal: what peers have sent cannot command it. */
#pragma once

#include <stddef.h>

#include <jansson.h>

/** A string that is being built; fatal when memory is out.  Zeroed: none, p is to be freed. */
struct text {
	char *p;
	size_t len, size;
};

void text_add(struct text *text, const char *p, size_t len);
void text_adds(struct text *text, const char *s);
void text_add_safe(struct text *text, const char *s);
void text_add_json(struct text *text, const json_t *value);
/** A value in one cell. */
void text_add_value(struct text *text, const json_t *value);

/** That cell, to be freed; NULL: an empty one. */
char *cell(const json_t *value);

/** Columns that a string takes, and bytes of it that take no more than so many. */
size_t columns(const char *s);
size_t bytes_of_columns(const char *s, size_t columns);
