/*
 * Sofia's event loop nested in ours: its poll descriptor is one event of the
 * event_base, its next time-out one timer.  No thread, no polling.
 */
#pragma once

#include <msrpd/reason.h>

struct event_base;
struct sip_loop;

/**
 * @param base  runs the loop from now on; must outlive it
 * @param why   constant text on failure
 * @return 0, -ENOMEM, or -ENOTSUP when Sofia's descriptor could not be found
 */
int sip_loop_new(struct sip_loop **loopp, struct event_base *base, struct reason *why);

/** Nothing made on the loop may be left.  Accepts NULL. */
void sip_loop_free(struct sip_loop *loop);

/**
 * Run the loop soon.  To be called after each call into Sofia that queues work: from the
 * owning thread it writes to no descriptor, so nothing else would wake the loop in time.
 * Cheap, may be repeated, also inside Sofia's callbacks.
 */
void sip_loop_kick(struct sip_loop *loop);

/** Call fn after each turn of Sofia's loop, in which it has read what was there. */
void sip_loop_on_step(struct sip_loop *loop, void (*fn)(void *arg), void *arg);
