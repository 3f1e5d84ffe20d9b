/* Requests that go to another server of their domain. */
#pragma once

#include "edge/client_priv.h"
#include "edge/place_priv.h"

/**
 * Should the server that the request went to not be reached, or answer 503 (RFC 3263 4.3), send it
 * again to the next one.
 * @param attempt  as for edge_service_apply()
 */
void edge_retry_note(struct edge *edge, const struct edge_target *target,
    const struct edge_message *request, unsigned attempt);
void edge_retry_forget(struct edge_client *client);

/** Nobody is there.  @return is it on its way elsewhere?  It is gone here then */
bool edge_retry_unreached(struct edge_client *client);
/** The same when it is too late for this one. */
void edge_retry_too_late(struct edge_client *client);

/** 503.  @return is it on its way elsewhere? */
bool edge_retry_refused(struct edge_client *client, struct slice branch,
    const struct edge_head *response);
