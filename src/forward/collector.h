/* Requests that are wanted whole: collected up to 64 KiB of body, more is answered 413. */
#pragma once

#include "forward/forwarder.h"
#include "forward/hop.h"

struct collector;

/** A request of which all is here. */
struct collected {
	struct incoming in;
	struct slice raw; /* as it came */
};

/** @return as msrp_sink_ops.end */
typedef int collector_done_fn(struct forwarder *fw, const struct collected *c);

/** From a target's request(): take the frame, and call done at its end.  @return as request() */
int collector_take(struct forwarder *fw, struct msrp_conn *conn, const struct msrp_frame *frame,
    collector_done_fn *done);

/** Forget it. */
void collector_free(struct collector *c);
