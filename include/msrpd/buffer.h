/*
 * Bytes written one after the other: into memory of the caller's, or into memory that grows up to
 * a bound.  What did not fit is noticed once, at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <msrpd/slice.h>

/**
 * Zeroed but for max: empty, and growing.  Once err is set nothing more is written, and what was
 * written is of no use.  A writer that finds its text impossible may set err itself.
 */
struct buffer {
	char *p;
	size_t len, cap;
	size_t max; /* bytes that it may grow to; 0: p is borrowed, and all there is */
	int err;    /* 0, -EMSGSIZE or -ENOMEM */
};

/** A buffer that borrows a char array. */
#define BUFFER_ON(array) ((struct buffer){.p = (array), .cap = sizeof(array)})

/** For max, where the bound lies in what is written. */
#define BUFFER_UNBOUNDED SIZE_MAX

/** Frees what a growing buffer holds; it is empty and usable again, also after it failed. */
void buffer_fini(struct buffer *b);

/** Make room for that many bytes behind the last one.  @return 0 or err */
int buffer_reserve(struct buffer *b, size_t more);

/** Append formatted text; a NUL must find room behind it. */
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Drop the first n bytes, n at most len; the rest moves to the front. */
void buffer_drop(struct buffer *b, size_t n);

/**
 * Hand over what a growing buffer holds, to be freed, with a NUL behind it.  The buffer is empty
 * again, also on failure.
 *
 * @return 0, or err
 */
int buffer_take(struct buffer *b, char **textp, size_t *lenp);

/** Append s whole, or nothing of it and set err.  Inlined, a literal is a store or two. */
static inline __attribute__((always_inline)) void buffer_add(struct buffer *b, struct slice s)
{
	if ((b->err || s.len > b->cap - b->len) && buffer_reserve(b, s.len) < 0)
		return;
	if (s.len)
		memcpy(b->p + b->len, s.p, s.len);
	b->len += s.len;
}

static inline void buffer_add_char(struct buffer *b, char c)
{
	buffer_add(b, (struct slice){&c, 1});
}

/** Append value in decimal. */
static inline void buffer_add_number(struct buffer *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + value % 10);
	while (value /= 10);
	buffer_add(b, (struct slice){digits + at, sizeof(digits) - at});
}

/** What was written; borrowed until more is. */
static inline struct slice buffer_text(const struct buffer *b)
{
	return (struct slice){b->p, b->len};
}

/** @return bytes written, or err */
static inline ssize_t buffer_result(const struct buffer *b)
{
	return b->err ? b->err : (ssize_t)b->len;
}
