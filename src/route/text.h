/* Texts of rules that may hold variables: compiled once, put together at each walk. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

#include "base/buffer.h"

struct route_piece;
struct route_spec;
struct route_subject;
struct tree;
struct tree_fault;

/** A compiled text.  Zeroed: an empty one. */
struct route_text {
	struct route_piece *pieces;
	size_t count;
	bool variables, late; /* there are some, and some whose value may come late */
};

/** Append bytes as they are.  @return 0 or -ENOMEM */
int route_text_add(struct route_text *t, struct slice bytes);

/**
 * Append a text in which $variables stand, and $$ for a dollar sign.
 *
 * @param node      the text, copied
 * @param one_line  control characters in the variables' values become spaces
 * @return 0; -EINVAL or -ENOMEM with fault filled
 */
int route_text_compile(struct route_text *t, const struct tree *node, bool one_line,
    const struct route_spec *spec, struct tree_fault *fault);

void route_text_fini(struct route_text *t);

/**
 * Put the text together behind what is in the buffer already.  A variable without a value
 * adds nothing.
 *
 * @param subject  may be NULL for a text without variables
 * @return 0; -EMSGSIZE: more than ROUTE_VALUE_MAX bytes; -ENOMEM
 */
int route_text_expand(const struct route_text *t, const struct route_subject *subject,
    struct buffer *out);

/**
 * Is that what the text would be, put together?  With a variable without a value it is nothing,
 * and so equal to nothing.
 */
bool route_text_is(const struct route_text *t, const struct route_subject *subject,
    struct slice value);
