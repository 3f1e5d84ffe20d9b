/*
 * Memory of transactions, of either side, and what the stack keeps of INVITEs that it has refused:
 * one bound for all.
 */
#include "edge/memory_priv.h"

#include "base/log.h"
#include "edge/priv.h"

enum {
	FULL_AGAIN_MS = 10 * 1000, /* between two lines in the log */
	REFUSAL_COST = 20 << 10,   /* to the stack */
	RESERVE_MIN = 64 << 10,
};

/* @return the slot of time that this is; those before the last 64*T1 are empty then */
static uint32_t *refusals_now(struct edge *edge)
{
	struct edge_refusals *r = &edge->refusals;
	uint64_t slot_ms = edge->transaction_timeout_ms / (EDGE_REFUSAL_SLOTS - 1) + 1;
	uint64_t now = timer_now_ms() / slot_ms;

	if (r->slot + EDGE_REFUSAL_SLOTS <= now)
		*r = (struct edge_refusals){.slot = now};
	while (r->slot < now) {
		uint32_t *count = &r->counts[++r->slot % EDGE_REFUSAL_SLOTS];

		r->total -= *count;
		*count = 0;
	}
	return &r->counts[now % EDGE_REFUSAL_SLOTS];
}

void edge_refusal_note(struct edge *edge)
{
	++*refusals_now(edge);
	edge->refusals.total++;
}

static uint64_t used_memory(struct edge *edge)
{
	refusals_now(edge);
	return *edge->count.transaction_memory + (uint64_t)edge->refusals.total * REFUSAL_COST;
}

bool edge_memory_has(struct edge *edge, size_t bytes)
{
	uint64_t now = timer_now_ms();

	if (used_memory(edge) + bytes <= edge->settings->transaction_memory)
		return true;
	++*edge->count.transactions_refused;
	if (now >= edge->full_said_ms + FULL_AGAIN_MS) {
		edge->full_said_ms = now;
		log_warn("sip: sip.transaction_memory is used up: requests are refused");
	}
	return false;
}

bool edge_memory_take(struct edge *edge, size_t bytes)
{
	bool has = edge_memory_has(edge, bytes);

	if (has)
		edge_memory_add(edge, bytes);
	return has;
}

bool edge_memory_take_reserve(struct edge *edge, size_t bytes)
{
	uint64_t bound = edge->settings->transaction_memory;
	uint64_t more = bound / 8 > RESERVE_MIN ? bound / 8 : RESERVE_MIN;
	bool has = used_memory(edge) + bytes <= bound + more;

	if (has)
		edge_memory_add(edge, bytes);
	return has;
}

void edge_memory_add(struct edge *edge, size_t bytes)
{
	*edge->count.transaction_memory += bytes;
}

void edge_memory_give(struct edge *edge, size_t bytes)
{
	*edge->count.transaction_memory -= bytes;
}
