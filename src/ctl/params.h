/* The parameters of a call, read from JSON as its method wants them. */
#pragma once

#include <jansson.h>

#include <msrpd/control.h>

enum {
	PARAMS_MAX = 16, /* of a method */
	PARAMS_WHY_SIZE = 256,
};

/** Zeroed: none. */
struct params {
	struct param values[PARAMS_MAX];
	void *owned[PARAMS_MAX];   /* what was made for them */
	char why[PARAMS_WHY_SIZE]; /* what is wrong with them */
};

/**
 * Read them, by name or by position.
 *
 * @param specs  NULL: none
 * @param given  an object or a list, or NULL; borrowed until params_fini()
 * @return 0; -EPROTO: the wrong type, -EINVAL: the type is right, the value is not, both with why;
 *         -ENOMEM.  params_fini() is due anyway
 */
int params_read(struct params *params, const struct param_spec *specs, json_t *given);
void params_fini(struct params *params);

/** The text of a string, absent if it is none. */
struct slice params_text(const json_t *string);
