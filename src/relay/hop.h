/* Where a frame goes next, and whether it may: RFC 4976 section 6.4. */
#pragma once

#include "relay/arrival.h"
#include "relay/grant.h"

struct hop {
	struct msrp_conn *conn; /* borrowed for the turn */
	struct grant *grant;    /* that it passes by last; NULL: msrp_forward */
	bool outgoing;          /* from that grant's client */
	struct slice to_path;   /* what remains of it */
	struct slice own;       /* this relay's URI; absent: msrp_forward */
	struct slice inner;     /* a second one, when another grant came next; or absent */
};

/** @return 0, or a status with a phrase that the frame is to be refused with */
int hop_find(struct arrival *a, struct hop *hop, const char **phrase);

/** Write To-Path and From-Path of a's frame as it goes on. */
void hop_write_paths(struct buffer *w, const struct arrival *a, const struct hop *hop);

/** Bytes that they take at most. */
size_t hop_paths_size(const struct arrival *a, const struct hop *hop);
