/* What requests pass by as long as it is there: a relay's grant, the side of an anchored session. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <msrpd/slice.h>

struct msrp_conn;

/** Messages and bytes of bodies in one direction. */
struct traffic {
	uint64_t messages, bytes;
};

/** Embedded in its owner.  Zeroed: nothing passes. */
struct way {
	LIST_HEAD(, way_watch) watches;
};

/** Embedded in what passes.  Zeroed but for the callbacks: passes by none. */
struct way_watch {
	LIST_ENTRY(way_watch) entry;
	struct way *way;
	bool waits; /* for opened() */
	/** The way has ended, and is watched no more. */
	void (*ended)(struct way_watch *watch);
	/** It leads to that connection now, and there to that path. */
	void (*opened)(struct way_watch *watch, struct msrp_conn *conn, struct slice to_path);
};

void way_watch(struct way_watch *watch, struct way *way);

/** Harmless on one that watches none. */
void way_unwatch(struct way_watch *watch);

/** Tell all that pass. */
void way_end(struct way *way);

/** Tell those that wait, once. */
void way_open(struct way *way, struct msrp_conn *conn, struct slice to_path);
