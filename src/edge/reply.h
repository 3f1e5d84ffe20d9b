/* Responses of the edge's own, ACKs and CANCELs: RFC 3261 8.2.6, 8.2.7, 16.7, 21; RFC 5626 11.  Pure. */
#pragma once

#include <stdbool.h>

#include <msrpd/slice.h>

#include "base/buffer.h"
#include "edge/head.h"

struct edge_reply {
	unsigned code;
	const char *why;     /* for people, in a Warning (RFC 3261 20.43); NULL: none */
	struct slice agent;  /* whose Warning it is, a host or a name; absent: msrpd */
	struct slice to_tag; /* where the request has none; the same for the same request (8.2.7) */
	struct slice phrase; /* absent: the usual one */
	struct slice lines;  /* further header lines; absent: none */
};

/**
 * Can it be answered: a request but ACK, of which Via, From, To, Call-ID and CSeq could be read?
 * Also one that was refused.
 */
bool edge_reply_possible(const struct edge_head *request);

/**
 * What goes where an INVITE went: its CANCEL (RFC 3261 9.1), or the ACK of a response that is none of
 * 2xx (17.1.1.3).
 *
 * @param to  value of To
 */
void edge_after_write(struct buffer *w, const struct edge_head *invite, struct slice method,
    struct slice to);

/** Write the whole response, for one that edge_reply_possible(). */
void edge_reply_write(struct buffer *w, const struct edge_head *request,
    const struct edge_reply *reply);
