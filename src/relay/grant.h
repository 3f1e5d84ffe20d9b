/*
 * Grants, the URIs that clients were given: found by URI (msrp/stack), by owner and From-Path, and
 * in the order of their ends.
 */
#pragma once

#include "forward/way.h"
#include "msrp/conn.h"
#include "relay/core.h"
#include "relay/neighbor.h"

/** What is kept of a grant from the first request on that passes by it. */
struct grant_use {
	struct neighbors neighbors;       /* beyond it */
	struct way way;                   /* of what passes by it */
	struct msrp_listener *leave_from; /* as routes.msrp_socket has it, once asked */
	char *alias;                      /* another URI that the client writes as; or NULL */
	struct traffic from_client, to_client;
	bool leave_asked;
};

/**
 * A URI that a client was given.  It belongs to the client's connection and ends with it; or, given
 * by_identity, to whoever proves to be the host of the client's URI (RFC 4976 6.3), on any
 * connection: then the connection is the one that it was last heard on, and may come and go.
 */
struct grant {
	struct msrp_target target;
	struct msrp_user user; /* of the client's connection */
	struct relay *relay;
	struct grant *chain;   /* of the same bucket */
	struct grant_use *use; /* once something has passed by it */
	struct grant_owner *owner;
	uint64_t expires_ms;
	uint32_t index; /* in the heap */
	uint32_t hash;  /* of owner and from_path */
	uint16_t user_len, from_len;
	uint16_t client_len; /* of the first URI in from */
	bool by_identity;
	char text[]; /* URI, user, From-Path of the AUTH */
};

enum { GRANT_FROM_PATH_MAX = 2048 }; /* what is kept of an AUTH: twenty relays and more */

struct grants;

/** A request whose first To-Path URI is the grant's: as msrp_target_ops.request. */
typedef int grant_request_fn(struct grant *grant, struct msrp_conn *conn,
    const struct msrp_frame *frame);

int grants_new(struct grants **grantsp, struct relay *relay, grant_request_fn *on_request);
void grants_free(struct grants *grants); /* ends them all */
size_t grants_count(const struct grants *grants);
struct grant *grants_at(const struct grants *grants, size_t index);

/** Who asks for a grant, and what for. */
struct grant_terms {
	struct msrp_conn *conn; /* the client's; NULL: by identity */
	struct msrp_uri host;   /* scheme, host, port of the URI to be made */
	struct slice user;
	struct slice from_path;
	uint64_t lifetime_ms;
};

/**
 * @return 0; -EMSGSIZE: its From-Path is longer than GRANT_FROM_PATH_MAX; -EDQUOT: the user has
 *         max_sessions_per_user; -ENOBUFS: there are max_sessions; -ENOMEM
 */
int grant_new(struct grant **grantp, struct grants *grants, const struct grant_terms *terms);

/** End it: frames of it that are under way are broken off. */
void grant_free(struct grant *grant);

void grant_extend(struct grant *grant, uint64_t lifetime_ms);

/** Something passes by it.  @return NULL: no memory */
struct grant_use *grant_used(struct grant *grant);

/** The one that this connection (NULL: by identity) got with that From-Path. */
struct grant *grants_find(const struct grants *grants, const struct msrp_conn *conn,
    struct slice from_path);

/** The one that has this URI, or NULL. */
struct grant *grant_of_uri(struct relay *relay, const struct msrp_uri *uri);

struct slice grant_uri(const struct grant *grant);
struct slice grant_username(const struct grant *grant);
struct slice grant_from_path(const struct grant *grant);

/* --- its client --- */

/** The URI that it was asked for with. */
struct slice grant_client_uri(const struct grant *grant);

/** Is this a connection of its client? */
bool grant_is_from_client(struct grant *grant, struct msrp_conn *conn);

/** Its client, known by identity, is heard, or was called, on this connection. */
void grant_heard(struct grant *grant, struct msrp_conn *conn);

/** The connection to its client; NULL: none of its identity is open. */
struct msrp_conn *grant_client_conn(struct grant *grant);

/** Is this the URI that its client got it with, or writes as? */
bool grant_is_client(const struct grant *grant, struct slice uri);

/** The same, or another one of the same host and port: RFC 4976's own clients change theirs. */
bool grant_names_client(const struct grant *grant, struct slice uri);

/** The client writes as this URI. */
void grant_learn_client(struct grant *grant, struct slice uri);
