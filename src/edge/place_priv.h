/* Where a URI leads, and the connections there. */
#pragma once

#include <msrpd/table.h>

#include "edge/flow_priv.h"
#include "edge/uri.h"
#include "net/dial.h"

/** A place that a flow was dialled to. */
struct edge_place {
	UT_hash_handle hh;
	struct net_dial dial;
	char key[]; /* "tls HOST PORT LISTENER" */
};

/** Host names are the same in any case. */
void edge_lower(char *text);

struct edge_target {
	const struct edge_transport *transport;
	struct edge_listener *listener; /* that it leaves as; NULL: there is none */
	bool named;                     /* the URI says by which transport */
	bool has_port;                  /* and which port */
	char host[256];
	char identity[256]; /* the domain whose server the host is; empty: it is nobody's */
	unsigned choices;   /* so many servers it has */
	uint16_t port;
	edge_share cause; /* for whom that is */
};

/**
 * Where a URI leads.
 *
 * @param listener  that the request is to leave as, if it can; NULL: any
 * @return 0 or -EINVAL: nobody can be reached there
 */
int edge_target_read(struct edge *edge, struct edge_target *target, struct slice uri,
    struct edge_listener *listener);

/**
 * Where the response goes to a request with this top Via whose connection has ended (RFC 3261
 * 18.2.2): to the address that it came from, and the port that it names.
 *
 * @return 0 or -EINVAL: its sender cannot be called
 */
int edge_target_of_via(struct edge *edge, struct edge_target *target, const struct edge_via *via);

/** The transport of a URI, as that listener or any other one would take it; NULL: not spoken. */
const struct edge_transport *edge_uri_transport(const struct edge_uri *uri,
    const struct edge_listener *listener);

/** The same place by TCP.  @return false: we do not speak it */
bool edge_target_to_tcp(struct edge *edge, struct edge_target *target);

/** The connection there, of a transport on streams: opened unless it is.  NULL: none to be had */
struct sip_flow *edge_target_flow(struct edge *edge, const struct edge_target *target);
