#include "edge/datagram_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/priv.h"

static void write_key(char key[FLOW_KEY_SIZE], const struct edge_listener *l,
    const union addr *peer)
{
	char text[ADDR_TEXT_SIZE];

	snprintf(key, FLOW_KEY_SIZE, "%u %s", l->index, addr_print(peer, text));
}

struct sip_flow *edge_datagram_flow(const struct edge_listener *l, const union addr *peer)
{
	char key[FLOW_KEY_SIZE];
	struct sip_flow *f;

	if (!l->edge->datagrams)
		return NULL;
	write_key(key, l, peer);
	HASH_FIND(peer_hh, l->edge->datagrams, key, strlen(key), f);
	return f;
}

void edge_datagram_forget(struct sip_flow *f)
{
	if (f->peer_hh.tbl)
		HASH_DELETE(peer_hh, f->edge->datagrams, f);
	if (f->hh.tbl)
		HASH_DELETE(hh, f->edge->flows, f);
	memset(&f->peer_hh, 0, sizeof(f->peer_hh));
	memset(&f->hh, 0, sizeof(f->hh));
}

void edge_datagram_lost(const struct edge_listener *l, const union addr *peer)
{
	struct sip_flow *f = edge_datagram_flow(l, peer);

	if (!f)
		return;
	edge_datagram_forget(f);
	f->stream.state = NET_CLOSED;
	flow_handler.closed(&f->stream, -ECONNREFUSED);
}

/* @return NULL: no memory */
static struct sip_flow *add(struct sip_flow *f)
{
	struct edge *edge = f->edge;

	HASH_ADD(hh, edge->flows, stream.number, sizeof(f->stream.number), f);
	if (f->hh.tbl)
		HASH_ADD(peer_hh, edge->datagrams, key, (unsigned)strlen(f->key), f);
	if (f->peer_hh.tbl)
		return f;
	sip_flow_unref(f);
	return NULL;
}

/* As edge_flow_away() it is no stream, but with a number that no stream has. */
static struct sip_flow *make(const struct edge_origin *origin)
{
	struct edge *edge = origin->listener->edge;
	struct sip_flow *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->edge = edge;
	f->listener = origin->listener;
	f->transport = origin->transport;
	f->peer = origin->peer;
	f->stream.protocol = &edge->protocol;
	f->stream.refs = 1;
	f->stream.state = NET_OPEN;
	f->stream.number = ++edge->protocol.last_number;
	TAILQ_INIT(&f->watches);
	TAILQ_INIT(&f->clients);
	SLIST_INIT(&f->aliases);
	write_key(f->key, f->listener, &f->peer);
	flow_name(f, edge_share_of_datagram(edge, &f->peer));
	return add(f);
}

struct sip_flow *edge_flow_of_origin(const struct edge_origin *origin)
{
	struct sip_flow *f = origin->flow;

	if (!f)
		f = edge_datagram_flow(origin->listener, &origin->peer);
	return f ? sip_flow_ref(f) : make(origin);
}
