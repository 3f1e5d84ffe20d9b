/*
 * Feeding parsers what they do not expect: input that ends at an unreadable page, and input in
 * pieces of every kind.
 */
#pragma once

#include <msrpd/slice.h>

/** Memory in front of a page that may not be touched. */
struct guard {
	char *base, *end;
	size_t size;
};

/** @param size  of the longest input */
void guard_init(struct guard *guard, size_t size);
void guard_fini(struct guard *guard);

/** A copy of bytes whose first byte beyond the end is unreadable; valid until the next one. */
struct slice guard_copy(struct guard *guard, struct slice bytes);

/** A parser that takes a stream in pieces. */
struct cut_target {
	void (*begin)(void *arg);
	void (*piece)(struct slice piece, void *arg);
	void (*end)(const char *how, void *arg); /* how the input was cut, for messages */
};

/**
 * Run target over input once whole, once byte by byte, and once for each place where it may be
 * cut in two.  Each piece ends at an unreadable page.
 */
void cut_every_way(struct slice input, const struct cut_target *target, void *arg);
