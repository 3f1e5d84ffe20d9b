/* Message-IDs of a session that were refused: further chunks get the same answer, unasked. */
#pragma once

#include <stdint.h>

struct refusal {
	uint64_t hash; /* of the Message-ID */
	int code;      /* 0: none */
};

/** The last ones.  Zeroed: none. */
struct refused {
	struct refusal *ring;
	unsigned next;
};

/** @return the status with which the message was refused, or 0 */
int refused_code(const struct refused *r, uint64_t hash);

/** Without memory none is remembered: another chunk is judged anew. */
void refused_add(struct refused *r, uint64_t hash, int code);

void refused_fini(struct refused *r);
