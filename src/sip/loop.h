/*
 * Sofia's event loop nested in ours: its poll descriptor is one event of the
 * event_base, its next time-out one timer; its turn comes in line with whatever else
 * keeps our loop for long.  No thread, no polling.
 */
#pragma once

#include <stdbool.h>

#include <msrpd/reason.h>

struct net;
struct sip_loop;

/**
 * @param net   whose loop runs Sofia's from now on; must outlive it
 * @param why   constant text on failure
 * @return 0, -ENOMEM, or -ENOTSUP when Sofia's descriptor could not be found
 */
int sip_loop_new(struct sip_loop **loopp, struct net *net, struct reason *why);

/** Nothing made on the loop may be left.  Accepts NULL. */
void sip_loop_free(struct sip_loop *loop);

/**
 * Run the loop soon.  To be called after each call into Sofia that queues work: from the
 * owning thread it writes to no descriptor, so nothing else would wake the loop in time.
 * Cheap, may be repeated, also inside Sofia's callbacks.
 */
void sip_loop_kick(struct sip_loop *loop);

/**
 * Call fn after each turn of Sofia's loop, in which it has read what was there; fn gives it more
 * to read, and says whether it did.
 *
 * @param fn  its doublings: how many times the least that is worth a turn is to be doubled
 */
void sip_loop_on_step(struct sip_loop *loop, bool (*fn)(void *arg, unsigned doublings), void *arg);
