/* UDP listeners: datagrams of the socket into messages. */
#include "edge/listener_priv.h"

#include "edge/client_priv.h"
#include "edge/link_priv.h"
#include "edge/priv.h"
#include "edge/stun.h"
#include "edge/way_priv.h"

static bool is_keepalive(struct slice bytes)
{
	/* STUN and NUL: RFC 5389 6; anything of SIP's begins with a letter or an empty line. */
	return bytes.len == 0 || (unsigned char)bytes.p[0] < '\n';
}

static void answer_stun(struct edge_listener *l, const union addr *from, struct slice request)
{
	unsigned char answer[STUN_ANSWER_SIZE];
	size_t len = stun_answer(answer, from, request);

	if (len)
		net_udp_send(&l->port, from, (struct slice){(char *)answer, len});
}

static void on_received(void *arg, const union addr *from, struct slice bytes)
{
	struct edge_listener *l = arg;
	struct edge *edge = l->edge;
	struct edge_framer framer = {.framed = true};
	char host[ADDR_TEXT_SIZE];
	const struct edge_source source = {l, NULL, from, host};
	struct edge_message m;

	if (addr_port(from) == 0)
		return;
	if (is_keepalive(bytes)) {
		answer_stun(l, from, bytes);
		return;
	}
	addr_print_host(from, host);
	switch (edge_framer_next(&framer, &bytes, true, &edge->bounds, &m)) {
	case EDGE_MESSAGE:
		edge_take_from_peer(&source, &m);
		break;
	case EDGE_FAULTY:
	case EDGE_BROKEN:
		edge_take_faulty(&source, &m.head);
		break;
	case EDGE_MORE:
	case EDGE_PING: /* RFC 5626 4.4.1 is for streams */
		break;
	}
	edge_framer_fini(&framer);
	if (edge_link_is_full(&edge->link))
		net_udp_pause(&l->port);
}

static void on_unreachable(void *arg, struct slice sent)
{
	edge_client_unreachable(arg, sent);
}

static const struct net_udp_handler handler = {on_received, on_unreachable};

int edge_port_open(struct edge_listener *l)
{
	struct edge *edge = l->edge;

	l->port = (struct net_udp){.net = edge->protocol.net,
	    .handler = &handler,
	    .arg = l,
	    .count = {edge->count.datagrams_in, edge->count.datagrams_out,
		edge->count.datagrams_dropped, edge->protocol.count.bytes_in,
		edge->protocol.count.bytes_out}};
	return net_udp_open(&l->port, &l->addr);
}

void edge_ports_resume(struct edge *edge)
{
	struct edge_listener *l;

	STAILQ_FOREACH(l, &edge->listeners, next)
		net_udp_resume(&l->port);
}
