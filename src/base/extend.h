/* Text whose length is counted first: one question for room, and then none. */
#pragma once

#include "base/buffer.h"

/** Append n bytes, one at least, for the caller to fill.  @return NULL: no room, and err is set */
static inline char *buffer_extend(struct buffer *b, size_t n)
{
	if ((b->err || n > b->cap - b->len) && buffer_reserve(b, n) < 0)
		return NULL;
	b->len += n;
	return b->p + b->len - n;
}

/** Copy s to p, where there is room.  @return behind the copy */
static inline char *slice_put(char *p, struct slice s)
{
	if (s.len)
		memcpy(p, s.p, s.len);
	return p + s.len;
}
