/*
 * The relay's ground: what all of its files stand on.
 *
 * Each file knows those above it in this list that stand behind its colon, and no other:
 *
 *	tables, core:
 *	peer, neighbor: core
 *	arrival:        peer
 *	grant:          peer, neighbor
 *	node:           peer
 *	hop:            arrival, grant, node
 *	auth:           arrival, grant
 *	action:         arrival, tables
 *	facts:          arrival, tables
 *	method:         grant, tables
 *	settings:       tables
 *	relay:          all of them
 *
 * What has to go up is told through a callback: a peer's connection tells its grants, a grant
 * what passes by it.
 */
#pragma once

#include <sys/queue.h>

#include <msrpd/slice.h>
#include <msrpd/timer.h>

#include "forward/forwarder.h"
#include "msrp/stack.h"
#include "relay/relay.h"
#include "wire/frame.h"
#include "wire/uri.h"

enum { CODES_COUNTED = 12 }; /* the last one stands for all others */

struct relay_counters {
	uint64_t *requests[MSRP_OTHER + 1];
	uint64_t *replies[CODES_COUNTED], *responses[CODES_COUNTED];
	uint64_t *sessions, *granted, *refreshed, *expired;
	uint64_t *auth_failures, *foreign;
};

/** Each list, table and pool belongs to the file of that name. */
struct relay {
	struct msrp_stack *stack;
	const struct relay_settings *settings;
	const struct routes *routes;
	struct relay_counters count;
	struct forwarder forwarder;
	struct auth *auth;
	struct cluster *cluster; /* NULL: there is none */
	struct grants *grants;
	struct passage *passages;       /* a hash table, of node.c */
	struct passage *latest_passage; /* that was found; NULL: none, or it is gone */
	struct node_link *node_links;   /* a hash table, of node.c */
	struct msrp_uri *own;           /* of settings.my_uri */
	size_t own_count;
	struct timer cleanup;
	LIST_HEAD(, peer) peers; /* who is known by certificate */
};

/** Register the counters.  @return 0 or -ENOMEM */
int relay_counters_init(struct relay *relay, struct stats *stats);

/** Count an answer: of this relay, or of a next hop. */
void relay_count_reply(struct relay *relay, unsigned code);
void relay_count_response(struct relay *relay, unsigned code);

/** Parse settings.my_uri; the URIs borrow the settings.  @return 0, -EINVAL or -ENOMEM */
int relay_parse_own(struct msrp_uri **ownp, size_t *countp, const struct relay_settings *settings);

/** Is this URI, session id aside, one of this relay's?  @param hostp  how to name it in grants */
bool relay_owns(const struct relay *relay, const struct msrp_uri *uri, struct msrp_uri *hostp);
