/* Flows by UDP: a listener of ours and where datagrams to it came from (RFC 5626 6). */
#pragma once

#include "edge/flow_priv.h"

/** Does anybody keep the one from there?  NULL: nobody. */
struct sip_flow *edge_datagram_flow(const struct edge_listener *listener, const union addr *peer);

/** Nobody is there any more: whoever watches it is told. */
void edge_datagram_lost(const struct edge_listener *listener, const union addr *peer);

/** Nobody keeps it any more, or it is lost. */
void edge_datagram_forget(struct sip_flow *flow);

static inline bool flow_is_datagram(const struct sip_flow *flow)
{
	return flow->transport && !flow->transport->net;
}
