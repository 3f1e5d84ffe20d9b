/* The URIs beside a grant, and the connections that lead there: learned from what comes in. */
#pragma once

#include <sys/queue.h>

#include <msrpd/slice.h>

struct msrp_conn;
struct neighbor;

/** Zeroed: empty. */
LIST_HEAD(neighbors, neighbor);

/** Where frames for uri go; NULL: that is not known. */
struct msrp_conn *neighbors_find(struct neighbors *list, struct slice uri);

/**
 * From now on frames for uri go to conn, until it closes.  Of too many the one that was longest
 * without use is forgotten.
 */
void neighbors_learn(struct neighbors *list, struct slice uri, struct msrp_conn *conn);

void neighbors_clear(struct neighbors *list);
