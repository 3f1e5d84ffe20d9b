/* What all transactions together may cost: sip.transaction_memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

#include "base/addr.h"

struct edge;
struct event_base;

enum {
	EDGE_SHARES = 4096,
	EDGE_SHARE_OF_NOBODY = 0,    /* which is not bounded */
	EDGE_SHARE_OF_DATAGRAMS = 1, /* which may come from anywhere */
};

/** For whom it is taken: an address, an IPv6 one by its /64, but for those in limits.exempt. */
typedef uint16_t edge_share;

edge_share edge_share_of(const struct edge *edge, const union addr *peer);
/** The same where only a datagram has shown the address. */
edge_share edge_share_of_datagram(const struct edge *edge, const union addr *peer);

/**
 * Is there room for so many bytes more?  Once half of all is taken, one share may have an eighth.
 */
bool edge_memory_has(struct edge *edge, edge_share share, size_t bytes);

/** Memory of transactions.  @return false: the bound is reached */
bool edge_memory_take(struct edge *edge, edge_share share, size_t bytes);
/**
 * The same for a request that comes by UDP, from whomever it says: of all addresses together they
 * leave a quarter to those that have shown where they are.
 */
bool edge_memory_take_datagram(struct edge *edge, edge_share share, size_t bytes);
/** For what ends something: that may have an eighth, or 64 KiB, more.  It is nobody's. */
bool edge_memory_take_reserve(struct edge *edge, size_t bytes);
/** Whatever the bound is. */
void edge_memory_add(struct edge *edge, edge_share share, size_t bytes);
void edge_memory_give(struct edge *edge, edge_share share, size_t bytes);

/**
 * The stack has an INVITE with this branch of ours to answer, or has refused it: either way it
 * keeps that for 64*T1, whatever transport it came by, and as long its memory counts here.
 */
void edge_invite_note(struct edge *edge, struct slice branch, edge_share share);
/** What it keeps now is a session's. */
void edge_invite_accepted(struct edge *edge, struct slice branch);

int edge_invites_init(struct edge *edge, struct event_base *base);
void edge_invites_fini(struct edge *edge);
