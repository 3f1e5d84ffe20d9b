#include "edge/edge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/stats.h>

#include "base/log.h"
#include "edge/client_priv.h"
#include "edge/flow_priv.h"
#include "edge/link_priv.h"
#include "edge/listener_priv.h"
#include "edge/name_priv.h"
#include "edge/priv.h"
#include "edge/repeat_priv.h"
#include "edge/server_priv.h"
#include "edge/service_priv.h"
#include "edge/uri.h"
#include "net/net.h"

enum {
	SEND_QUEUE = 64 << 10, /* of answers that wait, until no more requests are read */
	SEND_TIMEOUT_MS = 30 * 1000,
	CONNECT_TIMEOUT_MS = 10 * 1000,
};

#define COUNT(counter) .offset = offsetof(struct edge, count.counter)

static const struct stats_row counters[] = {
    NET_COUNTER_ROWS(struct edge, "SIP connections",
	"connections beyond max_connections or limits, closed at once"),
    {"stream_messages_in", "messages received on streams, whole and within their bounds",
	COUNT(messages_in)},
    {"stream_messages_out", "messages sent on streams", COUNT(messages_out)},
    {"bad_messages", "messages with a fault, over a bound, or not SIP at all", COUNT(bad_messages)},
    {"stray_responses", "responses to no request that went the way that they came",
	COUNT(stray_responses)},
    {"passed", "requests that went on, to another node or from one to its client", COUNT(passed)},
    {"passed_failed", "those of them that got no answer", COUNT(passed_failed)},
    {"datagrams_in", "datagrams received", COUNT(datagrams_in)},
    {"datagrams_out", "datagrams sent", COUNT(datagrams_out)},
    {"datagrams_dropped", "datagrams that the kernel had no room for until they were read",
	COUNT(datagrams_dropped)},
    {"repeats_in", "messages that came again over UDP", COUNT(repeats_in)},
    {"repeats_out", "messages sent again over UDP", COUNT(repeats_out)},
    {"transactions_refused",
	"requests refused as transaction_memory, or an address's share, was used up",
	COUNT(transactions_refused)},
    {"transactions", "transactions over UDP that are remembered", COUNT(transactions),
	.gauge = true},
    {"transaction_memory", "bytes that they take, and INVITEs that are unanswered, or were refused",
	COUNT(transaction_memory), .gauge = true},
    {0},
};

static struct net_limits limits_of(const struct edge_settings *s)
{
	return (struct net_limits){
	    .max_streams = s->max_connections,
	    .max_message = s->max_message_size,
	    .send_queue = SEND_QUEUE,
	    .connect_timeout_ms = CONNECT_TIMEOUT_MS,
	    .handshake_timeout_ms = s->message_timeout_ms,
	    .preface_timeout_ms = s->message_timeout_ms,
	    .send_timeout_ms = SEND_TIMEOUT_MS,
	};
}

size_t edge_max_header_size(const struct edge *edge)
{
	return edge->bounds.max_header_size;
}

static void take_settings(struct edge *edge, const struct edge_settings *s)
{
	edge->settings = s;
	edge->bounds = (struct edge_bounds){.max_message_size = s->max_message_size,
	    .max_header_size = s->max_header_size,
	    .max_headers = (unsigned)s->max_headers};
}

static void on_idle(struct timer_entry *life, void *arg)
{
	(void)arg;
	net_stream_close_after_send(net_stream_expired(life));
}

static int make_queues(struct edge *edge, const struct edge_options *options)
{
	struct event_base *base = net_base(options->net);
	const struct edge_settings *s = options->settings;
	int err = 0;

	err |= timer_queue_init(&edge->reading, base, s->message_timeout_ms, flow_on_slow, NULL);
	err |= timer_queue_init(&edge->idle, base, s->idle_timeout_ms, on_idle, NULL);
	err |=
	    timer_queue_init(&edge->ending, base, options->transaction_timeout_ms, on_idle, NULL);
	err |= timer_queue_init(&edge->quiet, base, s->ping_interval_ms, flow_on_quiet, NULL);
	err |= edge_repeats_init(edge, base);
	err |= edge_clients_init(edge, base);
	err |= edge_servers_init(edge, base);
	err |= edge_invites_init(edge, base);
	err |= edge_names_init(edge, base);
	err |= edge_services_init(edge, base);
	return err ? -ENOMEM : 0;
}

/* Without a certificate there is no TLS listener, and we are nobody to whom we call by TLS. */
static int make_tls(const struct edge *edge, const struct edge_settings *s,
    struct net_tls_contexts **tlsp, struct reason *why)
{
	int err;

	*tlsp = NULL;
	if (!s->tls.certificate && net_tls_can_accept(edge->protocol.tls))
		return reason_set(why, -EINVAL, "certificate: it is in use");
	err = net_tls_contexts_new(tlsp, &s->tls, why);
	if (err == 0)
		net_tls_contexts_use_domains(*tlsp);
	return err;
}

static int start(struct edge *edge, const struct edge_options *options, struct reason *why)
{
	struct reason text;
	int err = stats_register(options->stats, "sip", counters, edge);

	if (err == 0)
		err = hash_new(&edge->hash);
	if (err == 0)
		err = net_protocol_init(&edge->protocol);
	if (err == 0)
		err = make_queues(edge, options);
	if (err < 0)
		return reason_set(why, err, "out of memory");
	err = edge_link_init(&edge->link, edge, options->net);
	if (err < 0)
		return reason_set(why, err, "loopback: %s", strerror(-err));
	err = make_tls(edge, options->settings, &edge->protocol.tls, &text);
	return err < 0 ? reason_set(why, err, "sip.tls: %s", text.text) : 0;
}

int edge_new(struct edge **edgep, const struct edge_options *options, struct reason *why)
{
	struct edge *edge = calloc(1, sizeof(*edge));
	int err;

	if (!edge)
		return reason_set(why, -ENOMEM, "out of memory");
	STAILQ_INIT(&edge->listeners);
	edge->protocol = (struct net_protocol){.net = options->net,
	    .name = "sip",
	    .subprotocol = "sip", /* RFC 7118 */
	    .text = true,         /* some phones in browsers read nothing else */
	    .frugal = true,       /* a flow takes a message a turn */
	    .handler = &flow_handler,
	    .limits = limits_of(options->settings)};
	edge->text.max = BUFFER_UNBOUNDED;
	edge->transaction_timeout_ms = options->transaction_timeout_ms;
	edge->link_lost = options->link_lost;
	edge->standalone = options->standalone;
	edge->arg = options->arg;
	take_settings(edge, options->settings);
	err = start(edge, options, why);
	if (err < 0) {
		edge_free(edge);
		return err;
	}
	*edgep = edge;
	return 0;
}

int edge_reload(struct edge *edge, const struct edge_settings *s, struct reason *why)
{
	struct net_tls_contexts *before = edge->protocol.tls, *tls;
	struct net_limits limits = limits_of(s);
	int err = make_tls(edge, s, &tls, why);

	if (err < 0)
		return err;
	net_protocol_reload(&edge->protocol, &limits, tls);
	net_tls_contexts_free(before);
	take_settings(edge, s);
	edge_listeners_reload(edge);
	timer_queue_set_period(&edge->reading, s->message_timeout_ms);
	timer_queue_set_period(&edge->idle, s->idle_timeout_ms);
	timer_queue_set_period(&edge->quiet, s->ping_interval_ms);
	return 0;
}

void edge_advertise(struct edge *edge, struct slice uri)
{
	bool fits = uri.p && uri.len < sizeof(edge->advertised);

	snprintf(edge->advertised, sizeof(edge->advertised), "%.*s", fits ? (int)uri.len : 0,
	    fits ? uri.p : "");
}

int edge_write(struct buffer *w, const struct edge_message *m, const struct edge_change *change)
{
	int err;

	w->len = 0;
	edge_head_write(w, &m->head, change);
	buffer_add(w, m->body);
	err = w->err;
	if (err) {
		log_warn("sip: a message was lost: out of memory");
		buffer_fini(w);
	}
	return err;
}

bool edge_is_quiet(const struct edge *edge)
{
	const struct edge_listener *l;
	const struct net_stream *s;

	LIST_FOREACH(s, &edge->protocol.streams, entry)
		if (s->state == NET_OPEN && net_stream_backlog(s) > 0)
			return false;
	STAILQ_FOREACH(l, &edge->listeners, next)
		if (l->port.parcel_bytes > 0)
			return false;
	return edge_link_is_quiet(&edge->link);
}

void edge_free(struct edge *edge)
{
	if (!edge)
		return;
	edge->link.protocol.stopping = true; /* it is not to be opened again */
	net_protocol_fini(&edge->protocol);
	edge_link_fini(&edge->link);
	edge_clients_fini(edge);
	edge_servers_fini(edge);
	edge_invites_fini(edge);
	edge_names_fini(edge);
	edge_services_fini(edge);
	edge_repeats_fini(edge);
	edge_listeners_close(edge);
	timer_queue_fini(&edge->reading);
	timer_queue_fini(&edge->idle);
	timer_queue_fini(&edge->ending);
	timer_queue_fini(&edge->quiet);
	net_tls_contexts_free(edge->protocol.tls);
	hash_free(edge->hash);
	buffer_fini(&edge->text);
	free(edge);
}
