/*
 * A SEND being forwarded (RFC 4976 6.4.1): what comes in is passed on at once, by reference.
 *
 * A forward takes the body of one incoming chunk; what it writes is one chunk of our own, or
 * several when other messages need the connection meanwhile.  Of a chunk that is not to be cut, and
 * on a connection that others write on as well, the frame is opened when all has come, or more than
 * is held back (forward/hold.h).
 */
#pragma once

#include "forward/chunk.h"
#include "forward/forwarder.h"
#include "forward/hold.h"
#include "forward/hop.h"
#include "forward/pause.h"

enum { FORWARDS_KEPT = 256 }; /* for further ones */

struct forward {
	struct msrp_sink sink;
	struct msrp_flow flow;
	struct pause pause;
	struct way_watch watch;
	struct chunk_writer writer;
	struct forwarder *fw;
	struct traffic *traffic; /* of the way that it watches */
	LIST_ENTRY(forward) entry;
	struct msrp_conn *source; /* ref */
	struct chunk *chunk;      /* open, or to be opened; NULL: all is written */
	struct hold hold;         /* of a chunk that is to be opened */
	bool close_sent;
	bool answered; /* at its end, by us */
	bool opened;   /* a frame, be it ended since */
	bool whole;    /* all of the message was passed on before its end-line came */
	bool excess;   /* and more of it came then */
	uint8_t tail_len;
	char tail[MSRP_END_LINE_MAX]; /* of what was passed on last */
};

/**
 * Pass on a SEND: the rest of it is taken from its connection, or is at hand.
 *
 * @return as msrp_target_ops.request; or an MSRP status with a phrase that it is to be refused with
 */
int forward_send(struct forwarder *fw, const struct incoming *in, const struct hop *hop,
    const char **phrase);

/** Break it off without a REPORT. */
void forward_free(struct forward *f);
