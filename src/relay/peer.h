/* What the relay knows of a connection. */
#pragma once

#include "msrp/conn.h"
#include "relay/core.h"

/** Exists from the first frame on that the relay has dealt with. */
struct peer {
	struct msrp_note note;
	struct relay *relay;
	LIST_ENTRY(peer) entry;
	LIST_ENTRY(peer) certified_entry;
	struct msrp_conn *conn;
	char *identity;         /* name that its certificate was last asked for */
	unsigned failures : 16; /* wrong AUTHs, and refusals before anything was right */
	bool certified : 1;     /* it showed a certificate that a known authority vouches for */
	bool proven : 1;        /* the certificate has the name of identity */
	bool node : 1;          /* we have opened it to another node of the cluster */
	bool valid : 1;         /* something was right */
};

/** @return NULL when memory is out */
struct peer *peer_of(struct relay *relay, struct msrp_conn *conn);
void peer_free(struct peer *peer);

/** Of a connection that has none yet: NULL. */
struct peer *peer_find(const struct msrp_conn *conn);

/** Does its certificate vouch for host? */
bool peer_is(struct peer *peer, struct slice host);

/** A connection whose certificate vouches for host, or NULL. */
struct msrp_conn *peer_with_identity(struct relay *relay, struct slice host);

/** It did something wrong; once too often, and it is closed when that has been answered. */
void peer_failed(struct peer *peer);
