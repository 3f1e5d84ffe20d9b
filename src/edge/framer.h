/*
 * Bytes of a stream into whole SIP messages within bounds: RFC 3261 7.5, 18.3; RFC 5626 4.4.1;
 * RFC 7118 5.  Pure, no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

#include "edge/head.h"

struct edge_partial;

/** Embedded in its stream; zeroed but for framed: between two messages.  Fields are its own. */
struct edge_framer {
	struct edge_partial *partial; /* of a message that came in pieces */
	bool framed; /* its transport carries messages (WebSocket): set by the owner */
	bool broken;
	bool skips;   /* framed: what is left of a message that was refused before its end */
	uint8_t crlf; /* bytes of CRLF CRLF that came last */
};

enum edge_framed {
	EDGE_MORE,    /* nothing more is whole: all bytes were used */
	EDGE_MESSAGE, /* whole and good, with one Content-Length; framed: perhaps without */
	EDGE_PING,    /* CRLF CRLF, or more of them, between messages: answer CRLF */
	/*
	 * A message with a fault, but it is known where the next one begins: answer head.status
	 * where edge_reply_possible(), and nobody else is to see it.
	 */
	EDGE_FAULTY,
	/*
	 * Over a bound, not SIP, or without a length that can be read: answer head.status where
	 * edge_reply_possible(), and close.  Nothing more is taken.
	 */
	EDGE_BROKEN,
};

/** What edge_framer_next() found: valid until it is called again, and as long as the bytes are. */
struct edge_message {
	struct edge_head head; /* with a fault: what could be read of it; why and status are set */
	struct slice body;     /* empty: none */
	bool kept; /* it lies in the framer's memory, not in the bytes: gone with the next call */
};

void edge_framer_fini(struct edge_framer *framer);

/** Is it between two messages?  Otherwise one has begun and message_timeout runs. */
bool edge_framer_idle(const struct edge_framer *framer);

/**
 * Find what is next in *bytes and cut it off there: to be called again, then or later with what is
 * left, until it says EDGE_MORE or EDGE_BROKEN.  A message that lies whole in bytes is given where
 * it lies, without a copy; what there is of one that does not is kept, up to max_message_size.  When
 * there is no memory for it that is EDGE_BROKEN with 503.
 *
 * @param bytes    those that came, or what is left of them
 * @param end      framed: a message of the transport ends with them.  What is behind a body with
 *                 a Content-Length is dropped (RFC 3261 18.3)
 * @param message  filled for EDGE_MESSAGE, EDGE_FAULTY and EDGE_BROKEN
 */
enum edge_framed edge_framer_next(struct edge_framer *framer, struct slice *bytes, bool end,
    const struct edge_bounds *bounds, struct edge_message *message);

/** The message that has begun takes too long: as EDGE_BROKEN, with this fault. */
void edge_framer_give_up(struct edge_framer *framer, unsigned status, const char *why,
    struct edge_message *message);
