/*
 * Forwarding requests other than SEND: RFC 4976 6.4.2, 6.4.3.  A REPORT goes on and is forgotten;
 * whatever else is answered by its receiver, and the response is passed back.
 */
#pragma once

#include "forward/forwarder.h"
#include "forward/hop.h"

struct request;

/**
 * Pass on a request of which all is here; to a way without a connection none goes.
 *
 * @return as forward_send()
 */
int request_forward(struct forwarder *fw, const struct incoming *in, const struct hop *hop,
    const char **phrase);

/** Forget it; its response will go nowhere. */
void request_free(struct request *r);
