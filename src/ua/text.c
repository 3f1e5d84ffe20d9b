#include "ua/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 512 };

/* Room for more bytes and a NUL. */
static bool reserve(struct text *t, size_t more)
{
	size_t cap = t->cap ? t->cap : FIRST_CAP;
	char *p;

	if (t->failed || more >= SIZE_MAX / 4) {
		t->failed = true;
		return false;
	}
	while (cap <= t->len + more)
		cap *= 2;
	if (cap == t->cap)
		return true;
	p = realloc(t->p, cap);
	if (!p) {
		t->failed = true;
		return false;
	}
	t->p = p;
	t->cap = cap;
	return true;
}

void text_add(struct text *t, struct slice s)
{
	if (!reserve(t, s.len))
		return;
	if (s.len)
		memcpy(t->p + t->len, s.p, s.len);
	t->len += s.len;
}

void text_format(struct text *t, const char *format, ...)
{
	va_list args, again;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	if (n >= 0 && reserve(t, (size_t)n)) {
		vsnprintf(t->p + t->len, t->cap - t->len, format, again);
		t->len += (size_t)n;
	}
	va_end(again);
	va_end(args);
}

int text_take(struct text *t, char **textp, size_t *lenp)
{
	if (!reserve(t, 0)) {
		free(t->p);
		*t = (struct text){0};
		return -ENOMEM;
	}
	t->p[t->len] = '\0';
	*textp = t->p;
	*lenp = t->len;
	*t = (struct text){0};
	return 0;
}
