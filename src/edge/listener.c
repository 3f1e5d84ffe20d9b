#include "edge/listener_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/priv.h"
#include "edge/token_priv.h"
#include "net/transport.h"

static const struct edge_transport transports[] = {
    {.name = "udp", .via = "UDP", .service = "_sip._udp", .can_dial = true},
    {.name = "tcp", .via = "TCP", .net = &net_tcp, .service = "_sip._tcp", .can_dial = true},
    {.name = "tls", .via = "TLS", .net = &net_tls, .service = "_sips._tcp", .can_dial = true},
    {.name = "ws", .via = "WS", .net = &net_ws},
    {.name = "wss", .uri = "ws", .via = "WSS", .net = &net_wss},
};

const struct edge_transport *edge_transport_find(struct slice name)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
		if (slice_equal_nocase(slice_of(transports[i].name), name))
			return &transports[i];
	return NULL;
}

static void name_it(struct edge_listener *l)
{
	struct edge_token token = {.kind = TOKEN_OUT, .number = l->index};

	edge_token_write(l->edge, &token, l->token);
	addr_print(&l->addr, l->name);
	edge_route_write(l->edge, l->token, l->route);
}

static int open_streams(struct edge_listener *l)
{
	int err = net_listener_open(&l->socket);

	l->addr = l->socket.addr;
	return err;
}

static void close_sockets(struct edge_listener *l)
{
	net_listener_close(&l->socket);
	net_udp_close(&l->port);
}

static struct edge_listener *new_listener(struct edge *edge, const struct edge_transport *transport,
    const union addr *addr, void *owner)
{
	struct edge_listener *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->edge = edge;
	l->transport = transport;
	l->owner = owner;
	l->index = edge->listener_count;
	l->addr = *addr;
	l->socket = (struct net_listener){.protocol = &edge->protocol,
	    .transport = transport->net,
	    .name = l->name,
	    .arg = l,
	    .origins = &edge->settings->origins,
	    .addr = *addr};
	return l;
}

/* It has its address. */
static void add_listener(struct edge_listener *l)
{
	name_it(l);
	STAILQ_INSERT_TAIL(&l->edge->listeners, l, next);
	l->edge->listener_count++;
}

int edge_listen(struct edge *edge, const struct edge_transport *transport, const union addr *addr,
    void *owner, struct edge_listener **listenerp, struct reason *why)
{
	struct edge_listener *l;
	int err;

	if (transport->net && transport->net->encrypted && !net_tls_can_accept(edge->protocol.tls))
		return reason_set(why, -EINVAL, "needs sip.tls.certificate and private_key");
	l = new_listener(edge, transport, addr, owner);
	if (!l)
		return reason_set(why, -ENOMEM, "out of memory");
	err = edge_listener_has_datagrams(l) ? edge_port_open(l) : open_streams(l);
	if (err < 0) {
		close_sockets(l);
		free(l);
		return reason_set(why, err, "%s", strerror(-err));
	}
	add_listener(l);
	*listenerp = l;
	return 0;
}

int edge_listen_handed(struct edge *edge, bool secure, const union addr *addr, void *owner,
    struct edge_listener **listenerp, const struct net_listener **handedp)
{
	const struct edge_transport *transport =
	    edge_transport_find(secure ? SLICE("wss") : SLICE("ws"));
	struct edge_listener *l = new_listener(edge, transport, addr, owner);

	if (!l)
		return -ENOMEM;
	add_listener(l);
	*listenerp = l;
	*handedp = &l->socket;
	return 0;
}

void edge_unlisten(struct edge_listener *l)
{
	STAILQ_REMOVE(&l->edge->listeners, l, edge_listener, next);
	close_sockets(l);
	free(l);
}

const union addr *edge_listener_address(const struct edge_listener *listener)
{
	return &listener->addr;
}

void *edge_listener_owner(const struct edge_listener *listener)
{
	return listener->owner;
}

struct edge_listener *edge_listener_at(struct edge *edge, uint64_t index)
{
	struct edge_listener *l;

	STAILQ_FOREACH(l, &edge->listeners, next)
		if (l->index == index)
			return l;
	return NULL;
}

/* 0: it will not do. */
static int fitness(const struct edge_listener *l, const struct edge_transport *transport,
    const union addr *like)
{
	if (l->transport != transport)
		return 0;
	if (!like || addr_same_host(&l->addr, like))
		return 3;
	return l->addr.any.sa_family == like->any.sa_family ? 2 : 1;
}

struct edge_listener *edge_listener_with(struct edge *edge, const struct edge_transport *transport,
    const union addr *like)
{
	struct edge_listener *l, *best = NULL;
	int most = 0;

	STAILQ_FOREACH(l, &edge->listeners, next) {
		int fits = fitness(l, transport, like);

		if (fits > most) {
			most = fits;
			best = l;
		}
	}
	return best;
}

void edge_listener_route(const struct edge_listener *listener, char text[EDGE_ROUTE_SIZE])
{
	memcpy(text, listener->route, EDGE_ROUTE_SIZE);
}

void edge_datagram_route(const struct edge_listener *listener, char text[EDGE_ROUTE_SIZE])
{
	struct edge_token token = {.kind = TOKEN_WHOLE, .number = listener->index};
	char name[EDGE_TOKEN_SIZE];

	edge_token_write(listener->edge, &token, name);
	edge_route_write(listener->edge, name, text);
}

void edge_listeners_reload(struct edge *edge)
{
	struct edge_listener *l;

	STAILQ_FOREACH(l, &edge->listeners, next)
		l->socket.origins = &edge->settings->origins;
}

void edge_listeners_close(struct edge *edge)
{
	struct edge_listener *l;

	while ((l = STAILQ_FIRST(&edge->listeners)))
		edge_unlisten(l);
}
