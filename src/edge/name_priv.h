/* Names of next hops, and their addresses. */
#pragma once

#include <msrpd/table.h>
#include <msrpd/timer.h>

#include "base/addr.h"
#include "edge/client_priv.h"
#include "net/lookup.h"

struct edge_name {
	UT_hash_handle hh;
	struct net_lookup *lookup; /* NULL: it is known */
	edge_share cause;          /* for whom it is asked for */
	struct timer_entry kept;
	union addr found[2]; /* of IPv4 and IPv6; none */
	TAILQ_HEAD(, edge_client) waiting;
	struct edge *edge;
	bool starting;
	char host[];
};

/**
 * @param cause  for whom it is
 * @return NULL: no memory, or too many
 */
struct edge_name *edge_name_get(struct edge *edge, struct slice host, edge_share cause);

/** The address, of this family if there is one.  @return false: none */
bool edge_name_address(const struct edge_name *name, sa_family_t family, union addr *addr);

int edge_names_init(struct edge *edge, struct event_base *base);
void edge_names_fini(struct edge *edge);
