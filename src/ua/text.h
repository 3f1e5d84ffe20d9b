/* A text that grows as it is written; memory that is out is noticed once, at the end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <msrpd/slice.h>

/** Zeroed: empty. */
struct text {
	char *p;
	size_t len, cap;
	bool failed;
};

void text_add(struct text *t, struct slice s);
void text_format(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Hand it over, to be freed, with a NUL behind it; t is empty again.  @return 0 or -ENOMEM */
int text_take(struct text *t, char **textp, size_t *lenp);
