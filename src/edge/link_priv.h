/* The one connection between edge and stack. */
#pragma once

#include <sys/queue.h>

#include <msrpd/timer.h>

#include "base/buffer.h"
#include "edge/framer.h"
#include "edge/reply.h"
#include "edge/token_priv.h"
#include "net/listener.h"
#include "net/protocol.h"

struct edge_link {
	struct net_protocol protocol;
	struct net_listener listener;
	uint64_t counts[7]; /* the protocol's: nobody asks for them */
	struct edge *edge;
	struct edge_peer *stack; /* NULL: the stack has not come yet, or has gone */
	struct timer_queue strangers;
	struct buffer queue; /* to the stack, from done on */
	size_t done;
	size_t credit; /* bytes that the stack may be given before it has its turn */
	TAILQ_HEAD(, sip_flow) paused;
	char sent_by[280];           /* of the stack's Via */
	char token[EDGE_TOKEN_SIZE]; /* in Warnings, a secret between the edge and the stack */
};

/** Of what we have written ourselves. */
extern const struct edge_bounds edge_own_bounds;

/** @return 0 or negative errno; edge_link_fini() is harmless after a failure */
int edge_link_init(struct edge_link *link, struct edge *edge, struct net *net);
void edge_link_fini(struct edge_link *link);

/** To the stack: a message with its head changed, or as it is.  @return 0 or -ENOMEM: it is lost */
int edge_link_send(struct edge_link *link, const struct edge_message *message,
    const struct edge_change *change);
void edge_link_send_text(struct edge_link *link, struct slice text);

/** Is there so much for the stack that clients are to wait? */
bool edge_link_is_full(const struct edge_link *link);
/** Do not read the flow until the link has room again; do so no more, it is closed. */
void edge_link_pause(struct edge_link *link, struct sip_flow *flow);
void edge_link_forget(struct edge_link *link, struct sip_flow *flow);

/** Has all that the stack has written been read? */
bool edge_link_is_quiet(const struct edge_link *link);

/** What we say of a request that the stack, or a peer by way of us, has sent. */
struct edge_reply edge_own_reply(struct edge *edge, const struct edge_head *request, unsigned code,
    const char *why);

/** Answer such a request by ourselves.  Harmless for an ACK. */
void edge_link_reply(struct edge_link *link, const struct edge_head *request, unsigned code,
    const char *why);

/** The same, with that answer. */
void edge_link_give_reply(struct edge_link *link, const struct edge_head *request,
    const struct edge_reply *reply);
