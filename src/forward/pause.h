/*
 * Back-pressure: a source is not read while what it fills has no room.
 *
 * A source that feeds other connections too waits no longer than shared_stall for one of them, and
 * one that several sessions use no longer for one that is not there yet.
 */
#pragma once

#include "forward/forwarder.h"

/** Embedded in what passes bytes from a source to a flow.  Zeroed but for stalled: not on. */
struct pause {
	struct timer_entry stall;
	struct msrp_conn *source; /* borrowed from the owner while it is on; NULL: it is off */
	struct msrp_flow *flow;   /* the same: what waits for room */
	/** It lasted for shared_stall: read the source again, whatever becomes of the flow. */
	void (*stalled)(struct pause *pause);
};

/**
 * Ask for flow's writable(), on which the pause is to end; on a flow that is detached it ends when its
 * owner says so.
 *
 * @return -EAGAIN, for a sink
 */
int pause_begin(struct pause *pause, struct forwarder *fw, struct msrp_conn *source,
    struct msrp_flow *flow);

/** Read the source again; harmless on one that is off. */
void pause_end(struct pause *pause, struct forwarder *fw);

/** Expiry of a pause.stall; arg is the forwarder. */
void pause_expired(struct timer_entry *entry, void *arg);

/**
 * Read no more from source until what waits for dest has been written, unless less than limit
 * waits there.
 *
 * @return 0, or -EAGAIN: the source pauses
 */
int pause_until_drained(struct forwarder *fw, struct msrp_conn *source, struct msrp_conn *dest,
    size_t limit);

/** Was dest given up on by a pause, and has not taken much since? */
bool pause_is_stalled(const struct forwarder *fw, struct msrp_conn *dest);

/** One that pause_until_drained() made, of forwarder.drains. */
void drain_free(struct drain *drain);
