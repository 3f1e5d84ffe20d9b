/*
 * Who owns which session id.
 *
 * A request goes to the target whose URI stands first in its To-Path; what has
 * no such target goes to the fallback, the relay, or is answered 481.
 */
#pragma once

#include <stdbool.h>

#include <msrpd/table.h>

#include "wire/frame.h"

struct msrp_conn;
struct msrp_stack;
struct msrp_target;

/**
 * What can be first in a To-Path: an endpoint's session, a relay's grant.
 *
 * request: a well-formed request whose first To-Path URI equals the target's arrived on conn;
 * its head is valid during the call.  The target answers with msrp_conn_reply(), now or until
 * the frame's end, and takes the body by msrp_conn_take(); otherwise the body is skipped.
 *
 * @return 0; -EAGAIN: read no more from conn before msrp_conn_resume(); another error closes it
 */
struct msrp_target_ops {
	int (*request)(struct msrp_target *target, struct msrp_conn *conn,
	    const struct msrp_frame *frame);
	/** It judges itself if conn may bring the request; else its scheme must be the URI's. */
	bool bridges;
};

/** Embedded in its owner, whose life covers the time between bind and unbind. */
struct msrp_target {
	const struct msrp_target_ops *ops;
	struct slice uri;  /* text of the owner's, which stays as long as the target is bound */
	UT_hash_handle hh; /* by session id */
};

/** Of a target that is, or was, bound. */
static inline struct slice msrp_target_id(const struct msrp_target *target)
{
	return (struct slice){target->hh.key, target->hh.keylen};
}

/** @return 0 or -EEXIST: the session id is taken; -EINVAL: no URI, or without one; -ENOMEM */
int msrp_target_bind(struct msrp_stack *stack, struct msrp_target *target);
void msrp_target_unbind(struct msrp_stack *stack, struct msrp_target *target);

/** The target that this URI names, or NULL. */
struct msrp_target *msrp_target_find(struct msrp_stack *stack, const struct msrp_uri *uri);

/** What gets requests that no target owns; NULL: they are answered 481. */
void msrp_stack_set_fallback(struct msrp_stack *stack,
    int (*request)(struct msrp_conn *conn, const struct msrp_frame *frame, void *arg), void *arg);
