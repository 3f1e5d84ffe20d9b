/* The sockets that clients reach. */
#pragma once

#include <sys/queue.h>

#include "edge/token_priv.h"
#include "net/listener.h"
#include "net/udp.h"

struct edge_listener {
	STAILQ_ENTRY(edge_listener) next;
	struct net_listener socket; /* of streams */
	struct net_udp port;        /* of datagrams */
	union addr addr;            /* as it is open */
	struct edge *edge;
	const struct edge_transport *transport;
	unsigned index;
	void *owner;
	char name[ADDR_TEXT_SIZE];   /* sent-by, in the log as well */
	char token[EDGE_TOKEN_SIZE]; /* of what is to leave as it */
	char route[EDGE_ROUTE_SIZE];
};

struct edge_listener *edge_listener_at(struct edge *edge, uint64_t index);

/** One of that transport; NULL.  @param like  its address if possible, or else its family; NULL */
struct edge_listener *edge_listener_with(struct edge *edge, const struct edge_transport *transport,
    const union addr *like);

/** The link-local addresses of a listener's peers are in its zone. */
static inline void edge_set_scope(union addr *peer, const struct edge_listener *listener)
{
	if (peer->any.sa_family == AF_INET6)
		peer->in6.sin6_scope_id = listener->addr.in6.sin6_scope_id;
}

static inline bool edge_listener_has_datagrams(const struct edge_listener *listener)
{
	return !listener->transport->net;
}

/** The edge has other settings. */
void edge_listeners_reload(struct edge *edge);
void edge_listeners_close(struct edge *edge);

/** Open the socket of a UDP listener.  @return 0 or negative errno */
int edge_port_open(struct edge_listener *listener);
/** The link has room again. */
void edge_ports_resume(struct edge *edge);
