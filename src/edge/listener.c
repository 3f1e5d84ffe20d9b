#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/priv.h"

static const struct edge_transport transports[] = {
    {.name = "tcp", .via = "TCP", .net = &net_tcp, .can_dial = true},
    {.name = "tls", .via = "TLS", .net = &net_tls, .can_dial = true},
    {.name = "ws", .via = "WS", .net = &net_ws},
    {.name = "wss", .via = "WSS", .net = &net_wss},
};

const struct edge_transport *edge_transport_find(struct slice name)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
		if (slice_equal_nocase(slice_of(transports[i].name), name))
			return &transports[i];
	return NULL;
}

static int name_it(struct edge_listener *l)
{
	struct edge_token token = {TOKEN_OUT, l->index};
	char text[EDGE_TOKEN_LEN + 1];
	int err = edge_token_write(l->edge, &token, text);

	addr_print(&l->socket.addr, l->name);
	edge_route_write(l->edge, text, l->route);
	return err;
}

int edge_listen(struct edge *edge, const struct edge_transport *transport, const union addr *addr,
    void *owner, struct edge_listener **listenerp, struct reason *why)
{
	struct edge_listener *l;
	int err;

	if (transport->net->encrypted && !net_tls_can_accept(edge->protocol.tls))
		return reason_set(why, -EINVAL, "needs sip.tls.certificate and private_key");
	l = calloc(1, sizeof(*l));
	if (!l)
		return reason_set(why, -ENOMEM, "out of memory");
	l->edge = edge;
	l->transport = transport;
	l->owner = owner;
	l->index = edge->listener_count;
	l->socket = (struct net_listener){.protocol = &edge->protocol,
	    .transport = transport->net,
	    .name = l->name,
	    .arg = l,
	    .origins = &edge->settings->origins,
	    .addr = *addr};
	err = net_listener_open(&l->socket);
	if (err == 0)
		err = name_it(l);
	if (err < 0) {
		net_listener_close(&l->socket);
		free(l);
		return reason_set(why, err, "%s", strerror(-err));
	}
	STAILQ_INSERT_TAIL(&edge->listeners, l, next);
	edge->listener_count++;
	*listenerp = l;
	return 0;
}

const union addr *edge_listener_address(const struct edge_listener *listener)
{
	return &listener->socket.addr;
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

struct edge_listener *edge_listener_with(struct edge *edge, const struct edge_transport *transport)
{
	struct edge_listener *l;

	STAILQ_FOREACH(l, &edge->listeners, next)
		if (l->transport == transport)
			return l;
	return NULL;
}

void edge_listener_route(const struct edge_listener *listener, char text[EDGE_ROUTE_SIZE])
{
	memcpy(text, listener->route, EDGE_ROUTE_SIZE);
}

void edge_listeners_reload(struct edge *edge)
{
	struct edge_listener *l;

	STAILQ_FOREACH(l, &edge->listeners, next)
		l->socket.origins = &edge->settings->origins;
}

void edge_stop_listening(struct edge *edge)
{
	struct edge_listener *l;

	STAILQ_FOREACH(l, &edge->listeners, next)
		net_listener_close(&l->socket);
}

void edge_listeners_close(struct edge *edge)
{
	struct edge_listener *l;

	edge_stop_listening(edge);
	while ((l = STAILQ_FIRST(&edge->listeners))) {
		STAILQ_REMOVE_HEAD(&edge->listeners, next);
		free(l);
	}
}
