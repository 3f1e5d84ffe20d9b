/* A request that has come, and how it goes on. */
#pragma once

#include "base/buffer.h"
#include "forward/way.h"
#include "wire/frame.h"

struct msrp_conn;

/** A request on its arrival; lives for one call. */
struct incoming {
	struct msrp_conn *conn;
	const struct msrp_frame *frame;
	bool whole; /* body and flag are here */
	enum msrp_flag flag;
	struct slice body;
	bool close_sent; /* close the connection that it goes to once it has left */
};

/** How it goes on; borrowed for one call. */
struct hop {
	struct msrp_conn *conn; /* NULL: the way has none yet, and what has a body waits for it */
	struct slice to_path;
	struct slice own;   /* goes before its From-Path; absent: from_path stands in its place */
	struct slice inner; /* a second one, before that; or absent */
	struct slice from_path;
	struct way *way;         /* NULL: by none */
	struct traffic *traffic; /* of the way; NULL: nobody counts */
	bool hides;              /* its sender is not to see where answers come from */
};

/** Write To-Path and From-Path of a frame as it goes on. */
void hop_write_paths(struct buffer *w, const struct hop *hop, const struct msrp_frame *frame);

/** Bytes that they take at most. */
size_t hop_paths_size(const struct hop *hop, const struct msrp_frame *frame);
