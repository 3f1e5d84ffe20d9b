/*
 * Requests that go on to another node of ours, and what follows them: to a client the nodes are
 * one, so this one is a proxy between him and the node that serves him (RFC 3261 16).
 *
 * A request that the stack has got, and that another node is to serve, goes there with the Via that
 * the edge has put on it, so what comes back finds its way as any response does.  If it begins a
 * dialog it has two Record-Routes more (RFC 5658): one is where the other node sends the requests of
 * that dialog, and says which way the client is; the other is the client's, and says which node.
 * Both are good in that dialog alone.
 */
#include <errno.h>
#include <string.h>

#include <msrpd/hex.h>

#include "edge/priv.h"

enum {
	TO_NODE = 'n',   /* the node's URI, in hexadecimal */
	TO_CLIENT = 'c', /* a token: his flow, or the listener that he is reached as */
	NODE_MAX = 255,
	WAY_SIZE = 1 + 2 * NODE_MAX + EDGE_MAC_LEN + 1,
	OWN_ROUTES = 2,
};

/* Where requests go whose Route a Record-Route of these has become. */
struct way {
	char kind;
	struct slice text;
};

/* --- Record-Routes --- */

static int make_mac(struct edge *edge, struct slice way, struct slice call_id,
    char mac[EDGE_MAC_LEN + 1])
{
	return edge_mac(edge, (struct slice[]){way, call_id}, 2, mac);
}

static int write_way(struct edge *edge, char text[WAY_SIZE], const struct way *way,
    struct slice call_id)
{
	size_t len = 1 + way->text.len;

	if (len + EDGE_MAC_LEN >= WAY_SIZE)
		return -EMSGSIZE;
	text[0] = way->kind;
	memcpy(text + 1, way->text.p, way->text.len);
	return make_mac(edge, (struct slice){text, len}, call_id, text + len);
}

static int read_way(struct edge *edge, struct slice text, struct slice call_id, struct way *way)
{
	struct slice known = slice_head(text, text.len - EDGE_MAC_LEN);
	char mac[EDGE_MAC_LEN + 1];

	if (text.len <= 1 + EDGE_MAC_LEN || make_mac(edge, known, call_id, mac) < 0
	    || !slice_equal(slice_from(text, known.len), slice_of(mac)))
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
	buffer_printf(w, "<%s:%s@%.*s;lr>", parsed.secure ? "sips" : "sip", user, SLICE_ARG(host));
}

static void add_record_routes(struct edge *edge, struct buffer *w, const struct edge_passing *p,
    const struct edge_head *head)
{
	struct slice call_id = edge_head_value(head, EDGE_CALL_ID);
	struct edge_uri own;
	char node[2 * NODE_MAX + 1], text[WAY_SIZE];

	if (p->node.len > NODE_MAX
	    || edge_uri_parse(&own, edge_value_uri(edge_head_top(head, EDGE_RECORD_ROUTE))) < 0) {
		w->err = -EINVAL;
		return;
	}
	hex_write(node, p->node.p, p->node.len);
	w->err = write_way(edge, text, &(struct way){TO_CLIENT, own.user}, call_id);
	add_uri(w, p->own, text);
	buffer_add(w, SLICE(", "));
	if (!w->err)
		w->err = write_way(edge, text, &(struct way){TO_NODE, slice_of(node)}, call_id);
	add_uri(w, edge_value_uri(p->contact), text);
}

/* --- on --- */

static struct edge_listener *any_listener(const struct edge *edge)
{
	return STAILQ_FIRST(&edge->listeners);
}

static void add_node_route(const struct edge *edge, struct buffer *w, struct slice node)
{
	buffer_printf(w, "%s, <%.*s;lr>", any_listener(edge)->route, SLICE_ARG(node));
}

/* As a request of the stack's. */
static int send_on(struct edge *edge, const struct edge_message *m,
    const struct edge_change *change)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	int err = edge_write(&w, m, change);

	if (err == 0)
		edge_send_again(edge, buffer_text(&w), 0);
	buffer_fini(&w);
	return err;
}

int edge_pass_on(struct edge *edge, const struct edge_passing *p)
{
	struct buffer routes = {.max = BUFFER_UNBOUNDED}, record = {.max = BUFFER_UNBOUNDED};
	struct edge_change change = {.drop_record_route = false};
	struct edge_message m = {.head = {0}};
	int err;

	if (edge_head_scan(&m.head, p->request, &edge_own_bounds) < 0 || m.head.status)
		return -EBADMSG;
	/* Behind it may be a NUL of Sofia's. */
	m.body = slice_head(slice_from(p->request, m.head.len), m.head.content_length);
	add_node_route(edge, &routes, p->node);
	change.push_route = buffer_text(&routes);
	if (edge_forms_dialog(edge_head_method(&m.head))) {
		add_record_routes(edge, &record, p, &m.head);
		change.drop_record_route = true;
		change.push_record_route = buffer_text(&record);
	}
	err = routes.err ? routes.err : record.err;
	if (err == 0)
		err = send_on(edge, &m, &change);
	if (err == 0)
		++*edge->count.passed;
	buffer_fini(&routes);
	buffer_fini(&record);
	return err;
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

static void add_way(struct edge *edge, struct buffer *w, const struct way *way)
{
	char node[NODE_MAX + 1], route[EDGE_ROUTE_SIZE], token[EDGE_TOKEN_SIZE];
	size_t len = way->text.len / 2;

	if (way->kind == TO_NODE) {
		edge_hex_read(node, way->text);
		add_node_route(edge, w, (struct slice){node, len});
		return;
	}
	memcpy(token, way->text.p, way->text.len);
	token[way->text.len] = '\0';
	edge_route_write(edge, token, route);
	buffer_add(w, slice_of(route));
}

/* The CANCEL of an INVITE that has gone on, or the ACK of its failure: they have no Route of ours. */
static bool is_after_passed(struct edge *edge, const struct edge_head *head, struct slice branch)
{
	bool ack = slice_equal(edge_head_method(head), SLICE("ACK"));
	struct edge_client *invite;

	if (!ack && !slice_equal(edge_head_method(head), SLICE("CANCEL")))
		return false;
	invite = edge_client_find(edge, branch, SLICE("INVITE"));
	return invite && invite->completed == ack;
}

bool edge_pass_request(struct edge *edge, const struct edge_message *m,
    const struct edge_change *change, struct slice branch)
{
	struct buffer route = {.max = BUFFER_UNBOUNDED};
	struct edge_change passing = *change;
	struct way way;

	passing.drop_routes = read_ways(edge, &m->head, &way);
	if (passing.drop_routes > 0)
		add_way(edge, &route, &way);
	else if (is_after_passed(edge, &m->head, branch))
		buffer_add(&route, slice_of(any_listener(edge)->route));
	else
		return false;
	passing.push_route = buffer_text(&route);
	if (!route.err)
		send_on(edge, m, &passing);
	buffer_fini(&route);
	return true;
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
	    || edge_head_via(&m.head, &via) < 0 || !edge_respond(edge, via.branch, &m))
		edge_link_send_text(&edge->link, response);
}
