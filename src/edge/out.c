/* What the stack sends, and where it goes: RFC 3261 16.11 and 18.1.1, RFC 5923 for connections. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "edge/priv.h"

/* --- responses --- */

/* Is the top Record-Route the one that we put on the request? */
static bool has_own_record_route(struct edge *edge, const struct edge_head *head)
{
	struct slice uri = edge_value_uri(edge_head_top(head, EDGE_RECORD_ROUTE));
	struct edge_token token;
	struct edge_uri parsed;

	return uri.p && edge_uri_parse(&parsed, uri) == 0
	    && edge_token_parse(edge, parsed.user, &token) == 0;
}

static void send_response(struct edge *edge, const struct edge_message *m)
{
	struct edge_change change = {.drop_via = true,
	    .drop_record_route = has_own_record_route(edge, &m->head)};
	struct sip_flow *f = NULL;
	struct edge_via via;

	if (edge_head_via(&m->head, &via) == 0)
		f = edge_flow_of_branch(edge, via.branch);
	if (f)
		flow_send(f, m, &change);
}

/* --- places --- */

struct target {
	const struct edge_transport *transport;
	struct edge_listener *listener;
	char host[256];
	uint16_t port;
};

static const struct edge_transport *transport_of(const struct edge_uri *uri)
{
	struct slice name = edge_uri_param(uri, SLICE("transport"));

	if (!name.p)
		name = uri->secure ? SLICE("tls") : SLICE("tcp");
	else if (uri->secure && slice_equal_nocase(name, SLICE("tcp")))
		name = SLICE("tls"); /* RFC 3261 26.2.2 */
	return edge_transport_find(name);
}

static void lower(char *p)
{
	for (; *p; p++)
		*p = (char)tolower((unsigned char)*p);
}

/* @return 0 or -EINVAL: nobody can be dialled there */
static int read_target(struct target *t, struct slice text)
{
	struct edge_uri uri;
	struct slice host;

	if (edge_uri_parse(&uri, text) < 0)
		return -EINVAL;
	t->transport = transport_of(&uri);
	host = edge_uri_param(&uri, SLICE("maddr"));
	if (!host.len)
		host = uri.host;
	if (!t->transport || !t->transport->can_dial || host.len == 0 || host.len >= sizeof(t->host)
	    || edge_uri_param(&uri, SLICE("ob")).p)
		return -EINVAL;
	snprintf(t->host, sizeof(t->host), "%.*s", SLICE_ARG(host));
	lower(t->host);
	t->port = uri.port ? uri.port : t->transport->net->encrypted ? 5061 : 5060;
	return 0;
}

/* --- opening connections, and finding those that are open --- */

static int write_key(char *key, size_t size, const struct target *t)
{
	return snprintf(key, size, "%s %s %u %u", t->transport->name, t->host, t->port,
	    t->listener->index);
}

static int dial(struct sip_flow *f, const struct target *t)
{
	const struct net_destination to = {.transport = t->transport->net,
	    .host = slice_of(t->host),
	    .port = t->port,
	    .from = &t->listener->socket.addr,
	    .fingerprints = ""};

	return net_dial(&f->stream, &f->place->dial, &to);
}

static struct sip_flow *open_flow(struct edge *edge, const struct target *t, const char *key)
{
	size_t size = strlen(key) + 1;
	struct sip_flow *f =
	    net_protocol_is_full(&edge->protocol) ? NULL : flow_new(t->listener, t->transport);

	if (!f)
		return NULL;
	f->place = calloc(1, sizeof(*f->place) + size);
	if (f->place) {
		memcpy(f->place->key, key, size);
		HASH_ADD_STR(edge->places, key, f->place);
	}
	if (f->place && dial(f, t) == 0)
		return f;
	net_stream_close(&f->stream, -ENOMEM);
	return NULL;
}

static struct sip_flow *flow_to(struct edge *edge, const struct target *t)
{
	struct edge_place *place;
	struct sip_flow *f;
	char key[320];

	write_key(key, sizeof(key), t);
	HASH_FIND_STR(edge->places, key, place);
	if (!place)
		return open_flow(edge, t, key);
	f = (struct sip_flow *)(void *)((char *)place->dial.stream
	    - offsetof(struct sip_flow, stream));
	if (flow_is_alive(f))
		return f;
	HASH_DELETE(hh, edge->places, place);
	memset(&place->hh, 0, sizeof(place->hh));
	return open_flow(edge, t, key);
}

/* --- requests --- */

static void send_over(struct sip_flow *f, const struct edge_message *m)
{
	struct edge_change change = {.drop_route = true,
	    .add_max_forwards = true, /* ACK and BYE for a fork's second 200 have none */
	    .via_transport = slice_of(f->transport->via),
	    .via_sent_by = slice_of(f->listener->name)};
	char branch[300], mac[EDGE_MAC_LEN + 1];
	struct edge_via via;
	int n;

	if (edge_head_via(&m->head, &via) < 0
	    || edge_mac(f->edge, (struct slice[]){slice_of(f->token), via.branch}, 2, mac) < 0)
		return;
	n = snprintf(branch, sizeof(branch), "%.*s.%s", SLICE_ARG(via.branch), mac);
	if (n < 0 || (size_t)n >= sizeof(branch))
		return;
	change.via_branch = slice_of(branch);
	edge_pending_start(f, &m->head);
	flow_send(f, m, &change);
}

/* To the place that the request itself names. */
static void send_to_target(struct edge *edge, struct edge_listener *listener,
    const struct edge_message *m)
{
	struct target t = {.listener = listener};
	struct sip_flow *f;

	if (read_target(&t, edge_head_next_hop(&m->head, 1)) < 0) {
		edge_link_reply(&edge->link, &m->head, 430, "the connection is closed");
		return;
	}
	if (!listener || listener->transport != t.transport)
		t.listener = edge_listener_with(edge, t.transport);
	f = t.listener ? flow_to(edge, &t) : NULL;
	if (f)
		send_over(f, m);
	else
		edge_link_reply(&edge->link, &m->head, 503, "no connection to be had");
}

static void greet(struct edge *edge, const struct edge_message *m)
{
	struct edge_via via;

	if (edge_head_via(&m->head, &via) == 0)
		snprintf(edge->link.sent_by, sizeof(edge->link.sent_by), "%.*s",
		    SLICE_ARG(via.sent_by));
	edge_link_reply(&edge->link, &m->head, 200, NULL);
}

static int read_route(struct edge *edge, const struct edge_head *head, struct edge_token *token)
{
	struct slice uri = edge_value_uri(edge_head_top(head, EDGE_ROUTE));
	struct edge_uri parsed;

	if (!uri.p || edge_uri_parse(&parsed, uri) < 0)
		return -EBADMSG;
	return edge_token_parse(edge, parsed.user, token);
}

static void send_request(struct edge *edge, const struct edge_message *m)
{
	struct edge_token token;
	struct sip_flow *f;

	if (read_route(edge, &m->head, &token) < 0) {
		log_warn("sip: a request without a way out");
		edge_link_reply(&edge->link, &m->head, 503, "no way out");
		return;
	}
	switch (token.kind) {
	case TOKEN_LINK:
		greet(edge, m);
		break;
	case TOKEN_OUT:
		send_to_target(edge, edge_listener_at(edge, token.number), m);
		break;
	case TOKEN_FLOW:
		f = flow_find(edge, token.number);
		if (f)
			send_over(f, m);
		else
			send_to_target(edge, NULL, m);
		break;
	}
}

bool edge_is_from_stack(struct edge *edge, const struct edge_head *head)
{
	struct edge_token token;
	struct edge_via via;

	if (head->request)
		return read_route(edge, head, &token) == 0;
	return edge_head_via(head, &via) == 0 && edge_flow_of_branch(edge, via.branch);
}

void edge_take_from_stack(struct edge *edge, const struct edge_message *m)
{
	if (m->head.request)
		send_request(edge, m);
	else
		send_response(edge, m);
}
