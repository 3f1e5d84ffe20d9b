/*
 * Patterns of rules: wildcards, regular expressions, numbers, address prefixes,
 * null, texts with variables.  Compiled once; matching takes time in proportion to the value.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <regex.h>

#include <msrpd/slice.h>

#include "base/addr.h"
#include "route/text.h"

struct route_spec;
struct route_subject;
struct tree;
struct tree_fault;

enum route_pattern_kind {
	PATTERN_LITERAL,
	PATTERN_TEXT,  /* with variables */
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
	struct route_text expected;
	uint64_t number;
	regex_t regex;
	union addr prefix;
	unsigned bits; /* of the prefix that count */
};

enum { ROUTE_PATTERN_MAX = 1024 }; /* bytes */

/**
 * Compile the pattern that a text is.  What has a $ is no wildcard: what variables bring is compared
 * byte by byte.
 *
 * @param pattern  zeroed; to be given to route_pattern_fini(), on failure too
 * @return 0; -EINVAL or -ENOMEM with fault filled
 */
int route_pattern_compile(struct route_pattern *pattern, const struct tree *node,
    const struct route_spec *spec, struct tree_fault *fault);

void route_pattern_fini(struct route_pattern *pattern);

/**
 * @param subject  whose variables a pattern means; NULL where it has none
 * @param value    absent: there is none, which is what null matches
 */
bool route_pattern_matches(const struct route_pattern *pattern, const struct route_subject *subject,
    struct slice value);
