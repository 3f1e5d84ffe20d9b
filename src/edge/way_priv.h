/* The ways of a message through the edge: in.c to the stack, out.c from it, pass.c past it. */
#pragma once

#include "edge/flow_priv.h"

struct edge_client;

/* --- in.c: what clients send --- */

/** Where a message came from. */
struct edge_source {
	const struct edge_listener *listener;
	struct sip_flow *flow; /* NULL: in a datagram */
	const union addr *peer;
	const char *host; /* of peer */
};

void edge_take_from_peer(const struct edge_source *from, const struct edge_message *message);

/** One that has a fault: it is counted, and answered if it can be. */
void edge_take_faulty(const struct edge_source *from, const struct edge_head *head);

/** Answer what is not taken. */
void edge_refuse(const struct edge_source *from, const struct edge_head *request, unsigned code,
    const char *why);

/** Is it outside of dialogs, and can none begin with it?  Then it needs no transaction of the stack's. */
bool edge_stands_alone(const struct edge_head *request);

/** Does a dialog begin with it, along whose Record-Route its later requests go? */
bool edge_forms_dialog(struct slice method);

/* --- out.c: what the stack sends --- */

/**
 * Give a response to whom the branch of our Via names.
 *
 * @param passed  it is what the request has been answered where it has gone on to, and not by us
 * @return false: it is none of ours
 */
bool edge_respond(struct edge *edge, struct slice branch, const struct edge_message *message,
    bool passed);
void edge_take_from_stack(struct edge *edge, const struct edge_message *message);
/** A request of the stack's that has waited, or has been elsewhere in vain. */
void edge_send_again(struct edge *edge, struct slice text, unsigned attempt);
/** The ACK of a failure that only we have heard of, as the stack would send it. */
void edge_send_ack(struct edge_client *invite, struct slice text);
/** Has it a token of ours where only the stack has one? */
bool edge_is_from_stack(struct edge *edge, const struct edge_head *head);

/** The token of its top Route or Record-Route.  @return 0 or -EBADMSG: none of ours */
int edge_route_token(struct edge *edge, const struct edge_head *head, enum edge_field field,
    struct edge_token *token);

/* --- pass.c: between a client and another node --- */

/**
 * A request of a peer's that is not for the stack: a node's, for a flow; in a dialog that a passed
 * request has begun; or about such a request.
 *
 * @param change  our Via is on it, of this branch
 * @param passed  false: it is for the stack
 * @return 0, or the status that it is to be refused with
 */
unsigned edge_pass_request(const struct edge_source *from, const struct edge_message *message,
    const struct edge_change *change, struct slice branch, bool *passed);

/** Is it a peer's, on its way to another one? */
bool edge_is_passed(struct edge *edge, const struct edge_head *request);

/** What a request is answered that does not reach who it is for: RFC 3261 16.9, 16.7 of a passed one. */
static inline unsigned edge_unreached(bool passed)
{
	return passed ? 500 : 503;
}

/** A response of the edge's own goes to the stack, or to the peer whose passed request it is to. */
void edge_give_back(struct edge *edge, struct slice response);
