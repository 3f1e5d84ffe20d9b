#include "base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAP = 512 };

void buffer_fini(struct buffer *b)
{
	if (b->max)
		free(b->p);
	*b = (struct buffer){.max = b->max};
}

static int fail(struct buffer *b, int err)
{
	b->err = err;
	return err;
}

int buffer_reserve(struct buffer *b, size_t more)
{
	size_t cap = b->cap ? b->cap : FIRST_CAP;
	char *p;

	if (b->err || more <= b->cap - b->len)
		return b->err;
	if (b->max < b->len || more > b->max - b->len)
		return fail(b, -EMSGSIZE);
	while (cap - b->len < more && cap <= b->max / 2)
		cap *= 2;
	if (cap - b->len < more || cap > b->max)
		cap = b->max;
	p = realloc(b->p, cap);
	if (!p)
		return fail(b, -ENOMEM);
	b->p = p;
	b->cap = cap;
	return 0;
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
	size_t room = b->cap - b->len;
	va_list args, again;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(room ? b->p + b->len : NULL, room, format, args);
	if (n < 0)
		fail(b, -ENOMEM);
	else if (buffer_reserve(b, (size_t)n + 1) == 0) {
		if ((size_t)n >= room)
			vsnprintf(b->p + b->len, b->cap - b->len, format, again);
		b->len += (size_t)n;
	}
	va_end(again);
	va_end(args);
}

void buffer_drop(struct buffer *b, size_t n)
{
	b->len -= n;
	if (b->len && n)
		memmove(b->p, b->p + n, b->len);
}

int buffer_take(struct buffer *b, char **textp, size_t *lenp)
{
	int err = buffer_reserve(b, 1);

	if (err < 0) {
		buffer_fini(b);
		return err;
	}
	b->p[b->len] = '\0';
	*textp = b->p;
	*lenp = b->len;
	*b = (struct buffer){.max = b->max};
	return 0;
}
