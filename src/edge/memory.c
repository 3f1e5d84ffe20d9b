/*
 * Memory of transactions, of either side, and what the stack keeps of INVITEs that it has yet to
 * answer, or has refused: one bound for all, and a share of it for an address.
 */
#include "edge/memory_priv.h"

#include <errno.h>
#include <stdlib.h>

#include <msrpd/table.h>

#include "base/log.h"
#include "edge/priv.h"
#include "net/guard.h"
#include "net/net.h"

enum {
	FULL_AGAIN_MS = 10 * 1000, /* between two lines in the log */
	INVITE_COST = 20 << 10,    /* to the stack */
	RESERVE_MIN = 64 << 10,
};

/* An INVITE that the stack was given, or has refused, of late. */
struct edge_invite {
	struct timer_entry life;
	UT_hash_handle hh;
	uint64_t key; /* of the branch that it has for the stack */
	edge_share share;
};

/* --- shares --- */

/*
 * Two addresses may have one: the hash is keyed, so nobody can choose with whom.  A table of all
 * addresses would be one more thing that a crowd fills.
 */
edge_share edge_share_of(const struct edge *edge, const union addr *peer)
{
	struct slice key = net_guard_key(peer);

	if (net_guard_exempts(net_guard_of(edge->protocol.net), peer))
		return EDGE_SHARE_OF_NOBODY;
	return (edge_share)(2 + hash_texts(edge->hash, &key, 1) % (EDGE_SHARES - 2));
}

edge_share edge_share_of_datagram(const struct edge *edge, const union addr *peer)
{
	return net_guard_exempts(net_guard_of(edge->protocol.net), peer) ? EDGE_SHARE_OF_NOBODY
									 : EDGE_SHARE_OF_DATAGRAMS;
}

/* As long as there is plenty, one address may have it. */
static bool is_fair(const struct edge *edge, edge_share share, size_t bytes)
{
	uint64_t bound = edge->settings->transaction_memory;

	return share == EDGE_SHARE_OF_NOBODY || *edge->count.transaction_memory + bytes <= bound / 2
	    || edge->shares[share] + bytes <= bound / 8;
}

/* --- taking --- */

static bool has_room(struct edge *edge, edge_share share, size_t bytes, uint64_t bound)
{
	uint64_t now = timer_now_ms();
	bool has = *edge->count.transaction_memory + bytes <= bound;

	if (has && is_fair(edge, share, bytes))
		return true;
	++*edge->count.transactions_refused;
	if (now >= edge->full_said_ms + FULL_AGAIN_MS) {
		edge->full_said_ms = now;
		log_warn("sip: sip.transaction_memory is used up%s: requests are refused",
		    has ? ", but for what is left to other addresses" : "");
	}
	return false;
}

bool edge_memory_has(struct edge *edge, edge_share share, size_t bytes)
{
	return has_room(edge, share, bytes, edge->settings->transaction_memory);
}

bool edge_memory_take(struct edge *edge, edge_share share, size_t bytes)
{
	bool has = edge_memory_has(edge, share, bytes);

	if (has)
		edge_memory_add(edge, share, bytes);
	return has;
}

bool edge_memory_take_datagram(struct edge *edge, edge_share share, size_t bytes)
{
	uint64_t bound = edge->settings->transaction_memory;
	bool has = has_room(edge, share, bytes, bound - bound / 4);

	if (has)
		edge_memory_add(edge, share, bytes);
	return has;
}

bool edge_memory_take_reserve(struct edge *edge, size_t bytes)
{
	uint64_t bound = edge->settings->transaction_memory;
	uint64_t more = bound / 8 > RESERVE_MIN ? bound / 8 : RESERVE_MIN;
	bool has = *edge->count.transaction_memory + bytes <= bound + more;

	if (has)
		edge_memory_add(edge, EDGE_SHARE_OF_NOBODY, bytes);
	return has;
}

void edge_memory_add(struct edge *edge, edge_share share, size_t bytes)
{
	*edge->count.transaction_memory += bytes;
	edge->shares[share] += bytes;
}

void edge_memory_give(struct edge *edge, edge_share share, size_t bytes)
{
	*edge->count.transaction_memory -= bytes;
	edge->shares[share] -= bytes;
}

/* --- what the stack keeps of INVITEs --- */

static void forget(struct edge *edge, struct timer_entry *life)
{
	struct edge_invite *invite = (struct edge_invite *)(void *)life;

	_Static_assert(offsetof(struct edge_invite, life) == 0, "it is the entry");
	timer_queue_stop(&edge->invites_kept, life);
	HASH_DEL(edge->invites, invite);
	edge_memory_give(edge, invite->share, INVITE_COST);
	free(invite);
}

static void on_over(struct timer_entry *life, void *arg)
{
	forget(arg, life);
}

static struct edge_invite *find(struct edge *edge, struct slice branch, uint64_t *key)
{
	struct edge_invite *invite;

	*key = hash_texts(edge->hash, &branch, 1);
	HASH_FIND(hh, edge->invites, key, sizeof(*key), invite);
	return invite;
}

void edge_invite_note(struct edge *edge, struct slice branch, edge_share share)
{
	uint64_t key;
	struct edge_invite *invite = find(edge, branch, &key);

	if (!invite) {
		invite = calloc(1, sizeof(*invite));
		if (!invite)
			return;
		invite->key = key;
		invite->share = share;
		HASH_ADD(hh, edge->invites, key, sizeof(invite->key), invite);
		if (!invite->hh.tbl) {
			free(invite);
			return;
		}
		edge_memory_add(edge, share, INVITE_COST);
	}
	timer_queue_start(&edge->invites_kept, &invite->life);
}

void edge_invite_accepted(struct edge *edge, struct slice branch)
{
	uint64_t key;
	struct edge_invite *invite = find(edge, branch, &key);

	if (invite)
		forget(edge, &invite->life);
}

int edge_invites_init(struct edge *edge, struct event_base *base)
{
	return timer_queue_init(&edge->invites_kept, base, edge->transaction_timeout_ms, on_over,
	    edge);
}

void edge_invites_fini(struct edge *edge)
{
	struct timer_entry *life;

	while ((life = timer_queue_first(&edge->invites_kept)))
		forget(edge, life);
	timer_queue_fini(&edge->invites_kept);
}
