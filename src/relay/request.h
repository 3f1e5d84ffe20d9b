/*
 * Forwarding requests other than SEND: RFC 4976 6.4.2, 6.4.3.  A REPORT goes on and is forgotten;
 * whatever else is answered by its receiver, and the response is passed back.
 */
#pragma once

#include "relay/hop.h"

struct request;

/**
 * Pass on a's frame, which is here as a whole.
 *
 * @return as msrp_target_ops.request
 */
int request_forward(struct arrival *a, const struct hop *hop);

/** Forget it; its response will go nowhere. */
void request_free(struct request *r);
