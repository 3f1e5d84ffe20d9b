#include "net/protocol.h"

#include <errno.h>

#include "net/priv.h"
#include "net/tls_priv.h"

static void on_handshake_timeout(struct timer_entry *entry, void *arg)
{
	(void)arg;
	net_stream_close(net_stream_expired(entry), -ETIMEDOUT);
}

/* Without memory for it they are its own, and some handshakes longer. */
static void share_tickets(const struct net_protocol *p)
{
	if (p->net->ticket_secret)
		tls_share_tickets(p->tls, slice_of(p->net->ticket_secret));
}

int net_protocol_init(struct net_protocol *p)
{
	const struct net_limits *limits = &p->limits;
	struct event_base *base = p->net->base;
	int err = 0;

	LIST_INIT(&p->streams);
	p->tap = net_tap_of(p->net);
	p->tapped = p->tap->ops;
	LIST_INSERT_HEAD(&p->net->protocols, p, of_net);
	share_tickets(p);
	err |=
	    timer_queue_init(&p->connecting, base, limits->connect_timeout_ms, dial_on_timeout, p);
	err |= timer_queue_init(&p->handshaking, base, limits->handshake_timeout_ms,
	    on_handshake_timeout, p);
	err |= timer_queue_init(&p->prefacing, base, limits->preface_timeout_ms,
	    on_handshake_timeout, p);
	err |= timer_queue_init(&p->sending, base, limits->send_timeout_ms, output_on_timeout, p);
	return err ? -ENOMEM : 0;
}

void net_protocol_reload(struct net_protocol *p, const struct net_limits *limits,
    struct net_tls_contexts *tls)
{
	p->limits = *limits;
	p->tls = tls;
	share_tickets(p);
	timer_queue_set_period(&p->connecting, limits->connect_timeout_ms);
	timer_queue_set_period(&p->handshaking, limits->handshake_timeout_ms);
	timer_queue_set_period(&p->prefacing, limits->preface_timeout_ms);
	timer_queue_set_period(&p->sending, limits->send_timeout_ms);
}

bool net_protocol_is_full(const struct net_protocol *p)
{
	return p->stream_count >= p->limits.max_streams;
}

void net_protocol_fini(struct net_protocol *p)
{
	struct net_stream *stream;

	p->stopping = true;
	while ((stream = LIST_FIRST(&p->streams)))
		net_stream_close(stream, -ESHUTDOWN);
	if (p->net)
		turn_forget(p->net, p);
	if (p->tap)
		LIST_REMOVE(p, of_net);
	p->tap = NULL;
	timer_queue_fini(&p->connecting);
	timer_queue_fini(&p->handshaking);
	timer_queue_fini(&p->prefacing);
	timer_queue_fini(&p->sending);
}
