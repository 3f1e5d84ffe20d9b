/* What all transactions together may cost: sip.transaction_memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct edge;

enum { EDGE_REFUSAL_SLOTS = 33 };

/** INVITEs that the stack has refused of late. */
struct edge_refusals {
	uint64_t slot; /* of time, the last that is counted in */
	uint32_t counts[EDGE_REFUSAL_SLOTS];
	uint32_t total;
};

/**
 * Is there room for so many bytes more?  The stack keeps each INVITE that it has refused for 64*T1,
 * whatever transport it came by: that counts as well.
 */
bool edge_memory_has(struct edge *edge, size_t bytes);

/** The stack has refused an INVITE. */
void edge_refusal_note(struct edge *edge);

/** Memory of transactions.  @return false: the bound is reached */
bool edge_memory_take(struct edge *edge, size_t bytes);
/** For what ends something: that may have an eighth, or 64 KiB, more. */
bool edge_memory_take_reserve(struct edge *edge, size_t bytes);
/** Whatever the bound is. */
void edge_memory_add(struct edge *edge, size_t bytes);
void edge_memory_give(struct edge *edge, size_t bytes);
