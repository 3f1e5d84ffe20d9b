/*
 * Patterns of rules: wildcards, regular expressions, numbers, address prefixes,
 * null.  Compiled once; matching takes time in proportion to the value.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <regex.h>

#include <msrpd/slice.h>

#include "base/addr.h"

struct tree;
struct tree_fault;

enum route_pattern_kind {
	PATTERN_LITERAL,
	PATTERN_WILD,  /* * and ? */
	PATTERN_REGEX, /* ~ */
	PATTERN_LESS,  /* < and so on: numbers */
	PATTERN_LESS_EQUAL,
	PATTERN_EQUAL,
	PATTERN_GREATER_EQUAL,
	PATTERN_GREATER,
	PATTERN_PREFIX, /* of addresses */
	PATTERN_NULL,   /* no value */
};

struct route_pattern {
	enum route_pattern_kind kind;
	bool negated; /* ! */
	char *own;
	struct slice text; /* literals and wildcards: of own */
	uint64_t number;
	regex_t regex;
	union addr prefix;
	unsigned bits; /* of the prefix that count */
};

enum { ROUTE_PATTERN_MAX = 1024 }; /* bytes */

/**
 * Compile the pattern that a text is.
 *
 * @param pattern  zeroed; to be given to route_pattern_fini(), on failure too
 * @return 0; -EINVAL or -ENOMEM with fault filled
 */
int route_pattern_compile(struct route_pattern *pattern, const struct tree *node,
    struct tree_fault *fault);

void route_pattern_fini(struct route_pattern *pattern);

/** @param value  absent: there is none, which is what null matches */
bool route_pattern_matches(const struct route_pattern *pattern, struct slice value);
