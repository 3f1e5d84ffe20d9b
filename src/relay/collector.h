/* Collecting frames that are wanted whole: by rules that read bodies, and all that are no SEND. */
#pragma once

#include "relay/arrival.h"

struct collector;

/** The frame is whole: begin anew with it.  @return as msrp_sink_ops.end */
typedef int collector_done_fn(struct arrival *a);

/**
 * Collect a's frame.  What is too long, or finds no memory, is answered 413 (RFC 4975 10.5).
 *
 * @return as msrp_target_ops.request
 */
int collector_take(struct arrival *a, collector_done_fn *done);
void collector_free(struct collector *c);
