#include "endpoint/refused.h"

#include <stdlib.h>

enum { REFUSED_MAX = 16 }; /* of a session */

int refused_code(const struct refused *r, uint64_t hash)
{
	for (unsigned i = 0; r->ring && i < REFUSED_MAX; i++)
		if (r->ring[i].hash == hash && r->ring[i].code)
			return r->ring[i].code;
	return 0;
}

void refused_add(struct refused *r, uint64_t hash, int code)
{
	if (!r->ring)
		r->ring = calloc(REFUSED_MAX, sizeof(*r->ring));
	if (!r->ring)
		return;
	r->ring[r->next] = (struct refusal){hash, code};
	r->next = (r->next + 1) % REFUSED_MAX;
}

void refused_fini(struct refused *r)
{
	free(r->ring);
	*r = (struct refused){0};
}
