/*
 * Grants of other nodes (docs/cluster.md): a session id of this relay begins with the name of the
 * node that gave it, so where a frame belongs is seen from its URI.  It goes there as it is, and
 * what that node sends back goes to whom it is for.
 */
#pragma once

#include "msrp/conn.h"
#include "relay/core.h"

struct passage;

/** Is this URI a grant of another node? */
bool node_has(const struct relay *relay, const struct msrp_uri *uri);

/**
 * The connection to the node whose grant this is: one for all frames.
 *
 * @return 0; -ENOENT: there is no such node; or as msrp_pool_get()
 */
int node_connect(struct relay *relay, const struct msrp_uri *uri, struct msrp_conn **connp);

/** Is it another node's word that it is one?  That has been taken then, and has no answer. */
bool node_greets(const struct relay *relay, struct msrp_conn *conn, const struct msrp_frame *frame);

/** What is sent back by way of this grant of another node, to that URI, goes to conn. */
void node_learn(struct relay *relay, struct slice grant, struct slice uri, struct msrp_conn *conn);

/** Where it goes, when it came from a node over such a connection; NULL: nowhere. */
struct msrp_conn *node_back(struct relay *relay, struct msrp_conn *from, struct slice grant,
    struct slice uri);

void nodes_fini(struct relay *relay);
