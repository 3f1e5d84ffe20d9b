/*
 * Message-IDs of a session that were delivered: what is sent again after a lost connection or
 * response is acknowledged, and not delivered again (RFC 4975 5.4).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { DELIVERED_MAX = 1024 }; /* of a session: the last ones; 12 KiB */

/** Hashes of Message-IDs, oldest first, and chains through them.  Zeroed: none. */
struct delivered {
	uint64_t *hashes; /* a ring */
	uint16_t *heads, *next;
	unsigned cap, oldest, count;
};

bool delivered_has(const struct delivered *d, uint64_t hash);

/** Without memory fewer are remembered. */
void delivered_add(struct delivered *d, uint64_t hash);

void delivered_fini(struct delivered *d);
