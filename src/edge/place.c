/* Places that requests go to, and the connections there: RFC 3261 18.1.1, RFC 3263, RFC 5923. */
#include "edge/place_priv.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "edge/alias_priv.h"
#include "edge/flow_priv.h"
#include "edge/listener_priv.h"
#include "edge/priv.h"

/* RFC 3263 4.1, RFC 3261 26.2.2, RFC 7118 5.2 */
const struct edge_transport *edge_uri_transport(const struct edge_uri *uri,
    const struct edge_listener *listener)
{
	struct slice name = edge_uri_param(uri, SLICE("transport"));
	bool datagrams = listener && edge_listener_has_datagrams(listener);

	if (!name.p)
		name = uri->secure ? SLICE("tls") : datagrams ? SLICE("udp") : SLICE("tcp");
	else if (uri->secure && slice_equal_nocase(name, SLICE("tcp")))
		name = SLICE("tls");
	else if (uri->secure && slice_equal_nocase(name, SLICE("ws")))
		name = SLICE("wss");
	else if (uri->secure && slice_equal_nocase(name, SLICE("udp")))
		return NULL;
	return edge_transport_find(name);
}

void edge_lower(char *p)
{
	for (; *p; p++)
		*p = (char)tolower((unsigned char)*p);
}

static uint16_t default_port(const struct edge_transport *transport)
{
	return transport->net && transport->net->encrypted ? 5061 : 5060;
}

/* With an address the one of its family. */
static void choose_listener(struct edge *edge, struct edge_target *t,
    struct edge_listener *listener)
{
	const union addr *like = listener ? &listener->addr : NULL;
	union addr to;

	if (addr_parse_host(&to, slice_of(t->host)) == 0
	    && (!like || like->any.sa_family != to.any.sa_family)) {
		like = &to;
		listener = NULL;
	}
	if (!listener || listener->transport != t->transport)
		listener = edge_listener_with(edge, t->transport, like);
	/* Whoever does not listen for TLS is a client of it all the same. */
	if (!listener && t->transport->net && t->transport->net->encrypted)
		listener = edge_listener_with(edge, edge_transport_find(SLICE("tcp")), like);
	t->listener = listener;
}

/* A Contact with ;ob is for the flow alone (RFC 5626 4.3), but by UDP there is no other way. */
static bool is_for_flow_alone(const struct edge_uri *uri, const struct edge_transport *transport)
{
	return transport->net && edge_uri_param(uri, SLICE("ob")).p;
}

int edge_target_read(struct edge *edge, struct edge_target *t, struct slice text,
    struct edge_listener *listener)
{
	struct edge_uri uri;
	struct slice host;

	if (edge_uri_parse(&uri, text) < 0)
		return -EINVAL;
	*t = (struct edge_target){.transport = edge_uri_transport(&uri, listener),
	    .named = uri.secure || edge_uri_param(&uri, SLICE("transport")).p,
	    .has_port = uri.port};
	host = edge_uri_param(&uri, SLICE("maddr"));
	if (!host.len)
		host = uri.host;
	if (!t->transport || !t->transport->can_dial || host.len == 0 || host.len >= sizeof(t->host)
	    || is_for_flow_alone(&uri, t->transport))
		return -EINVAL;
	snprintf(t->host, sizeof(t->host), "%.*s", SLICE_ARG(host));
	edge_lower(t->host);
	t->port = uri.port ? uri.port : default_port(t->transport);
	choose_listener(edge, t, listener);
	return 0;
}

static bool is_nobody(struct slice host)
{
	static const struct slice invalid = {".invalid", 8};

	return host.len >= invalid.len
	    && slice_equal_nocase(slice_from(host, host.len - invalid.len), invalid);
}

int edge_target_of_via(struct edge *edge, struct edge_target *t, const struct edge_via *via)
{
	const struct edge_transport *transport = edge_transport_find(via->transport);
	struct slice host = via->received.p ? via->received : via->host;
	union addr caller;

	if (!transport || !transport->net || !transport->can_dial || is_nobody(via->host)
	    || addr_parse_host(&caller, host) < 0 || via->host.len >= sizeof(t->identity))
		return -EINVAL;
	*t = (struct edge_target){.transport = transport,
	    .named = true,
	    .has_port = true,
	    .port = via->port ? via->port : default_port(transport),
	    .cause = edge_share_of(edge, &caller)};
	snprintf(t->host, sizeof(t->host), "%.*s", SLICE_ARG(host));
	/* By TLS he is to be who he has said he is. */
	if (transport->net->encrypted && !slice_equal_nocase(host, via->host))
		snprintf(t->identity, sizeof(t->identity), "%.*s", SLICE_ARG(via->host));
	choose_listener(edge, t, NULL);
	return t->listener ? 0 : -EINVAL;
}

bool edge_target_to_tcp(struct edge *edge, struct edge_target *t)
{
	struct edge_listener *from = t->listener;

	t->transport = edge_transport_find(SLICE("tcp"));
	t->listener = edge_listener_with(edge, t->transport, from ? &from->addr : NULL);
	return t->listener;
}

/* --- opening connections, and finding those that are open --- */

static void write_key(char *key, size_t size, const struct edge_target *t)
{
	struct buffer w = {.p = key, .cap = size - 1};

	buffer_add(&w, slice_of(t->transport->name));
	buffer_add_char(&w, ' ');
	buffer_add(&w, slice_of(t->host));
	buffer_add_char(&w, ' ');
	buffer_add_number(&w, t->port);
	buffer_add_char(&w, ' ');
	buffer_add_number(&w, t->listener->index);
	buffer_add_char(&w, ' ');
	buffer_add(&w, slice_of(t->identity));
	key[w.len] = '\0';
}

static int dial(struct sip_flow *f, const struct edge_target *t)
{
	const struct net_destination to = {.transport = t->transport->net,
	    .host = slice_of(t->host),
	    .port = t->port,
	    .identity = slice_of(t->identity[0] ? t->identity : NULL),
	    .from = &t->listener->addr,
	    .fingerprints = ""};

	return net_dial(&f->stream, &f->place->dial, &to);
}

/* Or by what is to be brought to him he could have more connections than he may open. */
static int set_cause(struct sip_flow *f, edge_share cause)
{
	if (!edge_cause_enter(f->edge, cause))
		return -EMFILE;
	f->cause = cause;
	return 0;
}

static struct sip_flow *open_flow(struct edge *edge, const struct edge_target *t, const char *key)
{
	size_t size = strlen(key) + 1;
	int err;
	struct sip_flow *f =
	    net_protocol_is_full(&edge->protocol) ? NULL : flow_new(t->listener, t->transport);

	if (!f)
		return NULL;
	err = set_cause(f, t->cause);
	if (err == 0)
		f->place = calloc(1, sizeof(*f->place) + size);
	if (f->place) {
		memcpy(f->place->key, key, size);
		HASH_ADD_STR(edge->places, key, f->place);
	}
	if (f->place && dial(f, t) == 0)
		return f;
	if (err == -EMFILE)
		log_debug("sip: %s:%u: not called back: too many of one address", t->host, t->port);
	net_stream_close(&f->stream, err < 0 ? err : -ENOMEM);
	return NULL;
}

struct sip_flow *edge_target_flow(struct edge *edge, const struct edge_target *t)
{
	struct edge_place *place;
	struct sip_flow *f;
	char key[600];

	write_key(key, sizeof(key), t);
	HASH_FIND_STR(edge->places, key, place);
	if (!place) {
		f = edge_alias_flow(edge, t);
		return f ? f : open_flow(edge, t, key);
	}
	f = (struct sip_flow *)(void *)((char *)place->dial.stream
	    - offsetof(struct sip_flow, stream));
	if (flow_is_alive(f))
		return f;
	HASH_DELETE(hh, edge->places, place);
	memset(&place->hh, 0, sizeof(place->hh));
	return open_flow(edge, t, key);
}
