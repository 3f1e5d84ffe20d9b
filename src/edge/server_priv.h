/* Server transactions: requests that came in datagrams, RFC 3261 17.2 and RFC 6026. */
#pragma once

#include <msrpd/table.h>
#include <msrpd/timer.h>

#include "edge/memory_priv.h"
#include "edge/repeat_priv.h"
#include "edge/way_priv.h"

/** What is kept of one, and no more: it costs memory for 64*T1. */
struct edge_server {
	UT_hash_handle hh;
	UT_hash_handle merged_hh;
	struct timer_entry life;
	struct edge_repeat repeat; /* a final response to an INVITE, until its ACK */
	uint64_t key;              /* a keyed hash of what RFC 3261 17.2.3 compares */
	uint64_t fields;           /* of what 8.2.2.2 compares */
	struct edge_listener *listener;
	union addr to;  /* where responses go */
	char *response; /* the last one; NULL: none */
	uint32_t len;
	edge_share share;
	enum { SERVER_PROCEEDING, SERVER_COMPLETED, SERVER_CONFIRMED } state;
	bool invite;
	bool passed; /* it has not gone over the link */
};

/** Which transaction? */
struct edge_server_id {
	struct slice mac;    /* of our branch */
	struct slice method; /* ACK is INVITE's */
	const char *host;    /* it comes from there */
};

enum edge_verdict {
	EDGE_NEW,      /* pass it on */
	EDGE_ABSORBED, /* it has come before */
	EDGE_MERGED,   /* it has come another way (RFC 3261 8.2.2.2) */
	EDGE_TOO_MANY, /* there is no room for another transaction */
};

/** A request has come.  @param to  where responses go */
enum edge_verdict edge_server_take(const struct edge_source *from, const struct edge_server_id *id,
    const struct edge_head *request, const union addr *to);

/**
 * The stack responds: keep it.
 * @return false: it is not to be sent
 */
bool edge_server_answer(struct edge *edge, const struct edge_server_id *id, unsigned code,
    struct slice response);

/** The stack has not got the request, and will not answer: it is new when it comes again. */
void edge_server_forget(struct edge *edge, const struct edge_server_id *id);
/** Nor any of those that it has not answered, but for passed ones. */
void edge_servers_forget(struct edge *edge);
/** The request with this branch of ours goes on past the stack.  Harmless if it came over a flow. */
void edge_server_note_passed(struct edge *edge, struct slice branch, struct slice method);

int edge_servers_init(struct edge *edge, struct event_base *base);
void edge_servers_fini(struct edge *edge);
