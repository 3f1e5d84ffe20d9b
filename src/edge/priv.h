/*
 * The edge as a whole, which owns all that its files keep.
 *
 * Each file has a header of its own, and each header stands on those behind its colon:
 *
 *	token, repeat, memory, cause:
 *	link:           token
 *	listener:       token
 *	flow:           listener
 *	way:            flow
 *	place:          flow
 *	datagram:       flow
 *	alias, service: place
 *	client:         flow, repeat
 *	name:           client
 *	retry:          client, place
 *	server:         way, repeat
 *
 * A message crosses most of them, and what is told of one goes the way of another: so the sources
 * call each other in circles.
 */
#pragma once

#include <msrpd/hash.h>
#include <msrpd/timer.h>

#include "base/buffer.h"
#include "edge/framer.h"
#include "edge/link_priv.h"
#include "edge/memory_priv.h"
#include "edge/repeat_priv.h"

/** Write a message, its head changed, over what w has.  @return 0 or negative errno, as logged */
int edge_write(struct buffer *w, const struct edge_message *message,
    const struct edge_change *change);

struct edge_count {
	uint64_t *messages_in, *messages_out, *bad_messages, *stray_responses, *passed,
	    *passed_failed;
	uint64_t *datagrams_in, *datagrams_out, *datagrams_dropped;
	uint64_t *repeats_in, *repeats_out;
	uint64_t *transactions, *transaction_memory, *transactions_refused;
};

struct edge {
	struct net_protocol protocol; /* of the flows */
	char advertised[280];         /* what clients call us; empty: the listener's address */
	struct edge_link link;
	const struct edge_settings *settings;
	struct edge_bounds bounds;
	struct hash *hash;
	STAILQ_HEAD(, edge_listener) listeners;
	unsigned listener_count;
	struct sip_flow *flows;        /* by number */
	struct sip_flow *datagrams;    /* of these those by UDP, by key */
	struct edge_place *places;     /* by key */
	struct edge_alias *aliases;    /* by key */
	struct edge_client *clients;   /* by key */
	struct edge_client *calls;     /* INVITEs that wait, by dialog */
	struct edge_server *servers;   /* by key */
	struct edge_server *merged;    /* by fields: those that begin something */
	struct edge_invite *invites;   /* by key: invites_kept */
	struct edge_name *names;       /* by host */
	struct edge_service *services; /* by name */
	struct edge_bad *bad_places;   /* by place */
	struct timer_queue reading;    /* flows with a message that is not whole */
	struct timer_queue idle;       /* the others */
	struct timer_queue ending;     /* those whose peer sends no more */
	struct timer_queue quiet;      /* of these those that are pinged */
	/* Client transactions: without an answer; timer C; with a final one, timers D and K. */
	struct timer_queue client_waiting, client_watched, client_ringing, client_completed,
	    client_absorbing;
	/* Server transactions: an INVITE that rings; timers H, J and L, which are as long; timer I. */
	struct timer_queue server_ringing, server_completed, server_confirmed;
	struct timer_queue repeats[REPEAT_STEPS];
	struct timer_queue names_kept, services_kept, bad_kept;
	uint64_t transaction_timeout_ms;
	uint64_t full_said_ms;           /* that there is no room for transactions */
	struct timer_queue invites_kept; /* those that the stack has to answer, or has refused */
	uint64_t shares[EDGE_SHARES];    /* of transaction_memory */
	uint32_t caused[EDGE_SHARES];    /* connections and questions under way */
	struct buffer text;              /* of the message that is being written */
	struct edge_count count;
	void (*link_lost)(void *arg);
	int (*standalone)(struct slice text, size_t head, void *arg);
	void *arg;
};

/** Timers K and I: what is on its way when a transaction ends has come by then. */
static inline uint64_t edge_t4_ms(const struct edge *edge)
{
	return edge->transaction_timeout_ms * 5 / 32;
}
