/* What all of msrpctl goes by. */
#pragma once

#include <stdbool.h>

#define DEFAULT_SOCKET "/run/msrpd/msrpd.sock"

enum {
	EXIT_RESULT = 0,
	EXIT_ERROR = 1,   /* msrpd answered with an error object */
	EXIT_TROUBLE = 2, /* wrong usage, or nobody answers */
};

struct options {
	const char *socket;
	bool json;
};

/** Say so, and end with EXIT_TROUBLE; why may be NULL. */
void die(const char *what, const char *why) __attribute__((noreturn));

/** p, if there was memory for it. */
void *must(void *p);
