/*
 * Requests that go on past the stack, and what follows them: to a client the nodes are one, so this
 * one is a proxy between him and the node that serves him, or calls him (RFC 3261 16).
 *
 * It begins in one of two ways.  A client's request that the stack has got, and that another node is
 * to serve, goes there (edge_pass_on()); a node's, with the token of a client's flow in its Route
 * (RFC 5626 5), goes over that.  Both have the Via on them that the edge has put there, so what comes
 * back finds its way as any response does.  If a dialog begins with it there are two Record-Routes
 * more (RFC 5658), one for either side, each of which says where the other side is.
 *
 * What they say we have written, for that Call-ID alone: where a request goes is never read out of
 * what a client can write.
 */
#include "edge/way_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <msrpd/hex.h>

#include "edge/client_priv.h"
#include "edge/flow_priv.h"
#include "edge/link_priv.h"
#include "edge/listener_priv.h"
#include "edge/place_priv.h"
#include "edge/priv.h"
#include "edge/server_priv.h"
#include "edge/token_priv.h"

enum {
	TO_NODE = 'n',   /* its URI, in hexadecimal */
	TO_CLIENT = 'c', /* a token: his flow, or where his datagram came from */
	NODE_MAX = 255,
	NODE_SIZE = 2 * NODE_MAX + 1,
	WAY_SIZE = 1 + 2 * NODE_MAX + EDGE_MAC_LEN + 1,
	ADVERTISED_SIZE = 300,
	OWN_SIZE = 320,
	OWN_ROUTES = 2,
	/* What the way there may add to a request that has our routes: Via, mostly. */
	ADDED_SIZE = 1024,
	ADDED_LINES = 3,
};

/* Where requests go whose Route a Record-Route of these has become. */
struct way {
	char kind;
	struct slice text;
};

/* A way, and what we are called by those who are to use it. */
struct end {
	struct way way;
	struct slice uri;
};

/* A request that goes on, and what its change is made of. */
struct passage {
	struct edge *edge;
	const struct edge_message *message;
	struct slice branch; /* of our Via on it */
	struct edge_change change;
	struct buffer route, record_route;
	char hops[24];
};

/* --- Record-Routes --- */

static int write_way(struct edge *edge, char text[WAY_SIZE], const struct way *way,
    struct slice call_id)
{
	size_t len = 1 + way->text.len;

	if (len + EDGE_MAC_LEN >= WAY_SIZE)
		return -EMSGSIZE;
	text[0] = way->kind;
	memcpy(text + 1, way->text.p, way->text.len);
	edge_mac(edge, (struct slice[]){SLICE("way"), {text, len}, call_id}, 3, text + len);
	return 0;
}

static int read_way(struct edge *edge, struct slice text, struct slice call_id, struct way *way)
{
	struct slice known = slice_head(text, text.len - EDGE_MAC_LEN);

	if (text.len <= 1 + EDGE_MAC_LEN
	    || !edge_mac_is(edge, (struct slice[]){SLICE("way"), known, call_id}, 3,
		slice_from(text, known.len)))
		return -EBADMSG;
	*way = (struct way){known.p[0], slice_from(known, 1)};
	return 0;
}

/* The URI with that user, and lr. */
static void add_uri(struct buffer *w, struct slice uri, const char *user)
{
	struct slice host;
	struct edge_uri parsed;

	if (edge_uri_parse(&parsed, uri) < 0 || parsed.headers.p) {
		w->err = -EINVAL;
		return;
	}
	host = slice_from(uri, (size_t)(parsed.host.p - uri.p));
	if (parsed.host.p[-1] == '[')
		host = (struct slice){host.p - 1, host.len + 1};
	buffer_printf(w, "<%s:%s@%.*s%s>", parsed.secure ? "sips" : "sip", user, SLICE_ARG(host),
	    edge_uri_param(&parsed, SLICE("lr")).p ? "" : ";lr");
}

/* The first one is for the side that the request goes on to. */
static void record_routes(struct passage *p, const struct end ends[OWN_ROUTES])
{
	struct slice call_id = edge_head_value(&p->message->head, EDGE_CALL_ID);
	struct buffer *w = &p->record_route;
	char text[WAY_SIZE];

	for (int i = 0; i < OWN_ROUTES && !w->err; i++) {
		if (i > 0)
			buffer_add(w, SLICE(", "));
		w->err = write_way(p->edge, text, &ends[i].way, call_id);
		if (!w->err)
			add_uri(w, ends[i].uri, text);
	}
}

static int write_node(struct slice uri, char hex[NODE_SIZE], struct way *way)
{
	if (!uri.p || uri.len > NODE_MAX || !edge_uri_is_good(uri))
		return -EINVAL;
	hex_write(hex, uri.p, uri.len);
	*way = (struct way){TO_NODE, slice_of(hex)};
	return 0;
}

/* --- on --- */

static struct edge_listener *any_listener(const struct edge *edge)
{
	return STAILQ_FIRST(&edge->listeners);
}

static void go_to_node(struct passage *p, struct slice uri)
{
	buffer_add(&p->route, slice_of(any_listener(p->edge)->route));
	buffer_add(&p->route, SLICE(", <"));
	buffer_add(&p->route, uri);
	buffer_add(&p->route, SLICE(";lr>"));
}

static void go_to_client(struct passage *p, struct slice token)
{
	char text[EDGE_TOKEN_SIZE], route[EDGE_ROUTE_SIZE];

	snprintf(text, sizeof(text), "%.*s", SLICE_ARG(token));
	edge_route_write(p->edge, text, route);
	buffer_add(&p->route, slice_of(route));
}

/* RFC 3261 16.6.  @return false: none are left */
static bool count_down(struct passage *p)
{
	const struct edge_head *head = &p->message->head;
	struct buffer w = BUFFER_ON(p->hops);
	uint64_t hops = 70;

	if (edge_head_has(head, EDGE_MAX_FORWARDS))
		slice_to_u64(edge_head_value(head, EDGE_MAX_FORWARDS), 255, &hops);
	if (hops == 0)
		return false;
	buffer_add_number(&w, hops - 1);
	p->change.max_forwards = buffer_text(&w);
	return true;
}

/*
 * What is put on it must not take it over the bounds of the next node, which would close the
 * connection that the nodes share.
 */
static bool is_within_bounds(const struct passage *p, size_t size)
{
	const struct edge_bounds *bounds = &p->edge->bounds;

	return size + ADDED_SIZE <= bounds->max_message_size
	    && p->message->head.lines + ADDED_LINES <= bounds->max_headers;
}

/* As a request of the stack's.  @return 0, a status, or negative errno */
static int send_on(struct passage *p)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	int err = p->route.err ? p->route.err : p->record_route.err;

	if (err == 0 && !count_down(p))
		err = 483;
	p->change.push_route = buffer_text(&p->route);
	if (p->record_route.len)
		p->change.push_record_route = buffer_text(&p->record_route);
	if (err == 0)
		err = edge_write(&w, p->message, &p->change);
	if (err == 0 && !is_within_bounds(p, w.len))
		err = 513;
	if (err == 0) {
		++*p->edge->count.passed;
		edge_server_note_passed(p->edge, p->branch, edge_head_method(&p->message->head));
		edge_send_again(p->edge, buffer_text(&w), 0);
	}
	buffer_fini(&w);
	return err;
}

static void fini(struct passage *p)
{
	buffer_fini(&p->route);
	buffer_fini(&p->record_route);
}

static struct passage new_passage(struct edge *edge, const struct edge_message *m)
{
	return (struct passage){.edge = edge,
	    .message = m,
	    .route = {.max = BUFFER_UNBOUNDED},
	    .record_route = {.max = BUFFER_UNBOUNDED}};
}

/* --- what clients call us --- */

static void write_listener(const struct edge_listener *l, char name[ADDR_TEXT_SIZE])
{
	union addr addr = l->addr;

	if (addr.any.sa_family == AF_INET6)
		addr.in6.sin6_scope_id = 0; /* it is ours alone, and no part of a URI */
	addr_print(&addr, name);
}

/* The port is one of those transports that the URI is for. */
static void write_advertised(const struct edge_uri *uri, const struct edge_listener *l,
    const struct edge_transport *t, char name[ADVERTISED_SIZE])
{
	int n = snprintf(name, ADVERTISED_SIZE,
	    memchr(uri->host.p, ':', uri->host.len) ? "[%.*s]" : "%.*s", SLICE_ARG(uri->host));

	if (uri->port && edge_uri_transport(uri, l) == t)
		snprintf(name + n, ADVERTISED_SIZE - (size_t)n, ":%u", uri->port);
}

/* RFC 3261 16.6: of a request to a sips URI it is one, too. */
static struct slice write_own(const struct edge_listener *l, const struct edge_transport *t,
    const struct edge_head *head, char text[OWN_SIZE])
{
	char name[ADVERTISED_SIZE];
	const char *transport = t->uri ? t->uri : t->name;
	struct edge_uri advertised, to;
	bool secure = t->net && t->net->encrypted && edge_uri_parse(&to, edge_head_uri(head)) == 0
	    && to.secure;

	if (edge_uri_parse(&advertised, slice_of(l->edge->advertised)) == 0)
		write_advertised(&advertised, l, t, name);
	else
		write_listener(l, name);
	if (secure && !t->uri) /* there is no transport=tls in it (26.2.2) */
		snprintf(text, OWN_SIZE, "sips:%s", name);
	else
		snprintf(text, OWN_SIZE, "%s:%s;transport=%s", secure ? "sips" : "sip", name,
		    transport);
	return slice_of(text);
}

/* --- a client's, to a node --- */

/* He is where responses go. */
static int write_client(struct passage *p, char text[EDGE_TOKEN_SIZE], struct way *way,
    struct edge_origin *origin)
{
	struct edge_token token;
	struct slice mac;
	struct edge_via via;
	int err = edge_head_via(&p->message->head, &via);

	p->branch = via.branch;
	if (err == 0)
		err = edge_branch_token(p->edge, via.branch, &token, &mac);
	if (err == 0)
		err = edge_token_origin(p->edge, &token, origin);
	if (err == 0)
		edge_token_write(p->edge, &token, text);
	*way = (struct way){TO_CLIENT, slice_of(text)};
	return err;
}

/* @return 0, a status, or negative errno */
static int pass_on(struct passage *p, const struct edge_passing *passing)
{
	const struct edge_head *head = &p->message->head;
	char client[EDGE_TOKEN_SIZE] = "", node[NODE_SIZE], own[OWN_SIZE];
	struct end ends[] = {{.uri = passing->own}, {.uri = {NULL, 0}}};
	struct edge_origin origin;
	int err = write_client(p, client, &ends[0].way, &origin);

	if (err == 0)
		err = write_node(passing->node, node, &ends[1].way);
	if (err < 0)
		return err;
	go_to_node(p, passing->node);
	if (edge_forms_dialog(edge_head_method(head)) && !passing->own.p)
		return -EXDEV;
	if (edge_forms_dialog(edge_head_method(head))) {
		ends[1].uri = write_own(origin.listener, origin.transport, head, own);
		p->change.drop_record_route = true; /* it is the stack's */
		record_routes(p, ends);
	}
	return send_on(p);
}

int edge_pass_on(struct edge *edge, const struct edge_passing *passing)
{
	struct edge_message m = {.head = {0}};
	struct passage p = new_passage(edge, &m);
	int err;

	if (edge_head_scan_own(&m.head, passing->request) < 0 || m.head.status)
		return -EBADMSG;
	m.body = slice_from(passing->request, m.head.len);
	err = pass_on(&p, passing);
	fini(&p);
	if (err > 0)
		edge_link_reply(&edge->link, &m.head, (unsigned)err, NULL);
	return err > 0 ? 0 : err;
}

/* --- a node's, to a client's flow --- */

/* It says so behind the token, which only nodes know; or else its Contact does. */
static int write_back(const struct edge_head *head, char hex[NODE_SIZE], struct way *way)
{
	char node[NODE_MAX];
	struct edge_uri route = {.user = {NULL, 0}};
	struct slice token;

	edge_uri_parse(&route, edge_value_uri(edge_head_top(head, EDGE_ROUTE)));
	slice_cut(&route.user, '.', &token);
	if (!route.user.p)
		return write_node(edge_value_uri(edge_head_top(head, EDGE_CONTACT)), hex, way);
	if (route.user.len > 2 * NODE_MAX || !hex_read(node, route.user.len / 2, route.user))
		return -EINVAL;
	return write_node((struct slice){node, route.user.len / 2}, hex, way);
}

static int go_to_flow(struct passage *p, const struct sip_flow *f)
{
	const struct edge_head *head = &p->message->head;
	char node[NODE_SIZE], own[OWN_SIZE];
	struct end ends[] = {{.uri = write_own(f->listener, f->transport, head, own)},
	    {.way = {TO_CLIENT, slice_of(f->token)},
		.uri = edge_value_uri(edge_head_top(head, EDGE_ROUTE))}};
	int err = 0;

	p->change.drop_routes = 1;
	go_to_client(p, slice_of(f->token));
	if (edge_forms_dialog(edge_head_method(head))) {
		err = write_back(head, node, &ends[0].way);
		record_routes(p, ends);
	}
	return err;
}

static int find_flow(struct passage *p, const struct edge_source *from,
    const struct edge_token *token)
{
	const struct sip_flow *f = flow_find(p->edge, token->number);

	if (from->flow)
		from->flow->is_node = true;
	return f ? go_to_flow(p, f) : 430;
}

/* --- what follows --- */

/* Routes of ours on top.  @return so many; the first one says where it goes */
static unsigned read_ways(struct edge *edge, const struct edge_head *head, struct way *way)
{
	struct slice call_id = edge_head_value(head, EDGE_CALL_ID);
	struct edge_uri uri;
	struct way next;
	unsigned n = 0;

	/* They are for what comes in a dialog, and for nothing new. */
	if (!edge_head_has(head, EDGE_ROUTE) || !edge_head_tag(head, EDGE_TO).p)
		return 0;
	while (n < OWN_ROUTES && edge_uri_parse(&uri, edge_head_next_hop(head, n)) == 0
	    && read_way(edge, uri.user, call_id, &next) == 0) {
		if (n++ == 0)
			*way = next;
	}
	return n;
}

/* @return 0, or 430: he has gone */
static int go_along(struct passage *p, const struct way *way)
{
	struct edge_token token;
	char node[NODE_MAX];

	if (way->kind == TO_NODE) {
		hex_read(node, way->text.len / 2, way->text);
		go_to_node(p, (struct slice){node, way->text.len / 2});
		return 0;
	}
	if (edge_token_parse(p->edge, way->text, &token) < 0
	    || (token.kind == TOKEN_FLOW && !flow_find(p->edge, token.number)))
		return 430;
	go_to_client(p, way->text);
	return 0;
}

/* @return 0, -ENOENT: it is the stack's; a status, or another negative errno */
static int choose(struct passage *p, const struct edge_source *from, struct slice branch)
{
	const struct edge_head *head = &p->message->head;
	struct edge_token token;
	struct way way;

	if (edge_route_token(p->edge, head, EDGE_ROUTE, &token) == 0 && token.kind == TOKEN_NODE)
		return find_flow(p, from, &token);
	p->change.drop_routes = read_ways(p->edge, head, &way);
	if (p->change.drop_routes > 0)
		return go_along(p, &way);
	/* The CANCEL of an INVITE that has gone on, or the ACK of its failure, has no Route of ours. */
	if (!edge_client_invite(p->edge, edge_head_method(head), branch))
		return -ENOENT;
	buffer_add(&p->route, slice_of(any_listener(p->edge)->route));
	return 0;
}

unsigned edge_pass_request(const struct edge_source *from, const struct edge_message *m,
    const struct edge_change *change, struct slice branch, bool *passed)
{
	struct passage p = new_passage(from->listener->edge, m);
	int err;

	p.branch = branch;
	p.change = *change;
	err = choose(&p, from, branch);
	*passed = err != -ENOENT;
	if (err == 0)
		err = send_on(&p);
	fini(&p);
	if (!*passed)
		return 0;
	return err < 0 ? 500 : (unsigned)err;
}

/* --- back --- */

bool edge_is_passed(struct edge *edge, const struct edge_head *request)
{
	struct edge_token token;
	struct slice mac;
	struct edge_via via;

	return edge_head_via(request, &via) == 0
	    && edge_branch_token(edge, via.branch, &token, &mac) == 0;
}

void edge_give_back(struct edge *edge, struct slice response)
{
	struct edge_message m = {.head = {0}};
	struct edge_via via;

	if (edge_head_scan(&m.head, response, &edge_own_bounds) < 0
	    || edge_head_via(&m.head, &via) < 0 || !edge_respond(edge, via.branch, &m, false))
		edge_link_send_text(&edge->link, response);
}
