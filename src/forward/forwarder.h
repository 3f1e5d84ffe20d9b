/*
 * Requests passed on from one connection to another while they arrive (RFC 4976 6.4): what relay
 * and anchor do alike.  Where a request goes, and as what, its service says by a hop.
 *
 * Each file knows those above it in this list that stand behind its colon, and no other:
 *
 *	forwarder, way, feed:
 *	hop:     way
 *	pause:   feed, forwarder
 *	hold:    forwarder
 *	chunk:   forwarder, hop
 *	forward: chunk, hold, pause
 *	request: hop, pause
 *	collector: forwarder, hop
 */
#pragma once

#include <sys/queue.h>

#include <msrpd/timer.h>

#include "base/pool.h"
#include "msrp/conn.h"
#include "msrp/stack.h"

#define OWNER(type, member, p) ((type *)((char *)(p)-offsetof(type, member)))

static const struct slice NOTHING = {NULL, 0};

struct forwarder;
struct stats;

/** What a service has to say to what passes; const. */
struct forwarder_ops {
	/** dest has answered.  @return false: nothing is to follow from that.  NULL: all is. */
	bool (*response)(struct forwarder *fw, struct msrp_conn *dest,
	    const struct msrp_frame *response);
	/** A request was answered so, by us.  NULL: nobody asks. */
	void (*replied)(struct forwarder *fw, unsigned code);
	/** source has got that answer to a request other than SEND.  NULL: nobody asks. */
	void (*answered)(struct forwarder *fw, struct msrp_conn *source, bool credentials,
	    const struct msrp_frame *response);
};

struct forwarder_counters {
	uint64_t *messages, *body_bytes, *reports, *split, *broken_off;
};

/** What all that passes by one service shares; embedded in it. */
struct forwarder {
	struct msrp_stack *stack;
	const struct forwarder_ops *ops;
	struct forwarder_counters count;
	struct timer_queue stalls; /* of pauses */
	LIST_HEAD(, forward) forwards;
	LIST_HEAD(, chunk) chunks;
	LIST_HEAD(, request) requests;
	LIST_HEAD(, drain) drains;
	LIST_HEAD(, collector) collectors;
	struct pool forward_pool, chunk_pool;
	size_t held; /* bytes, by all holds */
};

/** @param group  of its numbers (msrpd/stats.h), the service's  @return 0 or -ENOMEM */
int forwarder_init(struct forwarder *fw, struct msrp_stack *stack, const struct forwarder_ops *ops,
    struct stats *stats, const char *group);

/** Break off all that is under way.  Harmless on one that was zeroed. */
void forwarder_fini(struct forwarder *fw);

/** After msrp_stack_reload(). */
void forwarder_reload(struct forwarder *fw);

/** Give back memory that is kept for further ones. */
void forwarder_trim(struct forwarder *fw);

/** What the service says, if it is asked: see struct forwarder_ops. */
bool forwarder_heeds(struct forwarder *fw, struct msrp_conn *dest,
    const struct msrp_frame *response);
void forwarder_replied(struct forwarder *fw, unsigned code);
