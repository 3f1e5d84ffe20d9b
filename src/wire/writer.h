/* A bounded buffer that text is written into; too much is noticed once, at the end. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <msrpd/slice.h>

/** Borrows the buffer at p.  Once overflow is set nothing more is written. */
struct msrp_writer {
	char *p;
	size_t len, cap;
	bool overflow;
};

/** A writer on a char array. */
#define MSRP_WRITER(array) ((struct msrp_writer){.p = (array), .cap = sizeof(array)})

/** Append s whole, or nothing of it and set overflow. */
static inline void msrp_write(struct msrp_writer *w, struct slice s)
{
	if (w->overflow || s.len > w->cap - w->len) {
		w->overflow = true;
		return;
	}
	if (s.len)
		memcpy(w->p + w->len, s.p, s.len);
	w->len += s.len;
}

static inline void msrp_write_char(struct msrp_writer *w, char c)
{
	msrp_write(w, (struct slice){&c, 1});
}

/** Append value in decimal. */
static inline void msrp_write_number(struct msrp_writer *w, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + value % 10);
	while (value /= 10);
	msrp_write(w, (struct slice){digits + at, sizeof(digits) - at});
}

/** What was written; of no use after an overflow. */
static inline struct slice msrp_written(const struct msrp_writer *w)
{
	return (struct slice){w->p, w->len};
}

/** @return bytes written, or -EMSGSIZE if the buffer was too small */
static inline ssize_t msrp_write_result(const struct msrp_writer *w)
{
	return w->overflow ? -EMSGSIZE : (ssize_t)w->len;
}
