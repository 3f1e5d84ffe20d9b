#include "edge/cause_priv.h"

#include "edge/priv.h"
#include "net/guard.h"
#include "net/net.h"

bool edge_cause_enter(struct edge *edge, edge_share share)
{
	if (share == EDGE_SHARE_OF_NOBODY)
		return true;
	if (!net_guard_allows(net_guard_of(edge->protocol.net), edge->caused[share]))
		return false;
	edge->caused[share]++;
	return true;
}

void edge_cause_leave(struct edge *edge, edge_share share)
{
	if (share != EDGE_SHARE_OF_NOBODY)
		edge->caused[share]--;
}
