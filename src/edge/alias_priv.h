/* Accepted connections in place of those that would be opened (RFC 5923). */
#pragma once

#include <msrpd/table.h>

#include "edge/place_priv.h"

/**
 * An accepted connection stands for the address that its peer says he is called at (RFC 5923), as
 * far as his certificate goes.
 */
struct edge_alias {
	UT_hash_handle hh;
	SLIST_ENTRY(edge_alias) of_flow;
	struct sip_flow *flow;
	char key[]; /* "HOST PORT" */
};

/**
 * A request with an alias has come over the flow.  Harmless where that proves nothing: without
 * TLS, or a certificate that holds.
 */
void edge_alias_note(struct sip_flow *flow, const struct edge_via *via);

/** The connection that stands for that place, to whose name its certificate is; NULL. */
struct sip_flow *edge_alias_flow(struct edge *edge, const struct edge_target *target);

/** The flow has died. */
void edge_aliases_forget(struct sip_flow *flow);
