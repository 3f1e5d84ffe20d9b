/*
 * What the relay knows of whoever is at the other end of a connection: of anybody a few marks on
 * the connection itself, of one with a certificate that counts a name as well.
 */
#pragma once

#include "msrp/conn.h"
#include "relay/core.h"

/** A frame has come: one who shows a certificate can be found by peer_with_identity() from now. */
void peer_meet(struct relay *relay, struct msrp_conn *conn);

/** Forget who is known by certificate. */
void peers_fini(struct relay *relay);

/** Something was right: a frame for the relay, or a session that the connection has carried. */
void peer_was_right(struct msrp_conn *conn);
bool peer_has_been_right(struct msrp_conn *conn);

/** We have opened the connection to another node of the cluster. */
void peer_is_now_node(struct msrp_conn *conn);
bool peer_is_node(struct msrp_conn *conn);

/** Does the certificate, of one who was met, vouch for host? */
bool peer_is(const struct msrp_conn *conn, struct slice host);

/** A connection whose certificate vouches for host, or NULL. */
struct msrp_conn *peer_with_identity(struct relay *relay, struct slice host);

/** It did something wrong; once too often, and it is closed when that has been answered. */
void peer_failed(struct relay *relay, struct msrp_conn *conn);
