/* What clients send: RFC 3261 16.3 to 16.7, as far as a stateless proxy of one hop has to. */
#include <stdio.h>

#include "base/log.h"
#include "edge/priv.h"

static const struct slice cookie = {"z9hG4bK", 7}; /* RFC 3261 8.1.1.7 */

/*
 * The same for an INVITE, its ACK and its CANCEL, and another for each transaction (RFC 3261
 * 16.11), also without a branch that is one.
 */
static int write_branch(struct sip_flow *f, const struct edge_head *head,
    const struct edge_via *via, char mac[EDGE_MAC_LEN + 1])
{
	const struct slice by_branch[] = {via->branch, via->sent_by};
	struct slice number = edge_head_value(head, EDGE_CSEQ);
	const struct slice by_fields[] = {edge_head_value(head, EDGE_CALL_ID),
	    slice_head(number, number.len - edge_head_method(head).len),
	    edge_head_tag(head, EDGE_FROM), edge_head_uri(head), via->value};
	bool is_one = slice_equal(slice_head(via->branch, cookie.len), cookie)
	    && via->branch.len > cookie.len;

	return is_one ? edge_mac(f->edge, by_branch, 2, mac) : edge_mac(f->edge, by_fields, 5, mac);
}

/* Does a dialog begin with it, along whose Record-Route its later requests go? */
static bool forms_dialog(struct slice method)
{
	return slice_equal(method, SLICE("INVITE")) || slice_equal(method, SLICE("SUBSCRIBE"));
}

/* RFC 3261 18.2.1, RFC 3581 4 */
static bool wants_received(const struct sip_flow *f, const struct edge_via *via)
{
	return via->wants_rport || !slice_equal(via->host, slice_of(f->peer_host));
}

static void take_request(struct sip_flow *f, const struct edge_message *m)
{
	struct edge *edge = f->edge;
	struct edge_change change = {.add_content_length = true, .content_length = m->body.len};
	char own[128], mac[EDGE_MAC_LEN + 1], route[EDGE_ROUTE_SIZE];
	struct edge_via via;

	if (edge_head_via(&m->head, &via) < 0 || write_branch(f, &m->head, &via, mac) < 0)
		return;
	snprintf(own, sizeof(own), "SIP/2.0/TCP 127.0.0.1:%u;branch=z9hG4bK%s.%s",
	    addr_port(&edge->link.listener.addr), f->token, mac);
	change.push_via = slice_of(own);
	if (wants_received(f, &via)) {
		change.via_received = slice_of(f->peer_host);
		change.via_rport = addr_port(&f->peer);
	}
	if (forms_dialog(edge_head_method(&m->head))) {
		edge_flow_route(f, route);
		change.push_record_route = slice_of(route);
	}
	edge_link_send(&edge->link, m, &change);
}

/*
 * A response has to be one to a request that went out over this very flow: its branch is the
 * stack's, and a hash of it with the flow's token.
 */
static struct slice stacks_branch(struct sip_flow *f, struct slice branch)
{
	char mac[EDGE_MAC_LEN + 1];
	struct slice theirs = branch;

	if (branch.len <= EDGE_MAC_LEN + 1)
		return (struct slice){0};
	theirs.len -= EDGE_MAC_LEN + 1;
	if (branch.p[theirs.len] != '.'
	    || edge_mac(f->edge, (struct slice[]){slice_of(f->token), theirs}, 2, mac) < 0
	    || !slice_equal(slice_from(branch, theirs.len + 1), slice_of(mac)))
		return (struct slice){0};
	return theirs;
}

static void take_response(struct sip_flow *f, const struct edge_message *m)
{
	struct edge *edge = f->edge;
	struct edge_change change = {.via_transport = SLICE("TCP"),
	    .via_sent_by = slice_of(edge->link.sent_by),
	    .add_content_length = true,
	    .content_length = m->body.len};
	char route[EDGE_ROUTE_SIZE];
	struct slice method;
	struct edge_via via;
	uint32_t number;

	if (edge_head_via(&m->head, &via) < 0
	    || !(change.via_branch = stacks_branch(f, via.branch)).p) {
		++*edge->count.stray_responses;
		return;
	}
	if (edge_head_cseq(&m->head, &number, &method) == 0 && forms_dialog(method)) {
		edge_flow_route(f, route);
		change.append_record_route = slice_of(route);
	}
	edge_pending_answered(edge, change.via_branch, &m->head);
	edge_link_send(&edge->link, m, &change);
}

void edge_take_from_peer(struct sip_flow *f, const struct edge_message *m)
{
	++*f->edge->count.messages_in;
	net_tap_message(&f->stream, NET_IN, edge_head_text(&m->head), m->body);
	if (m->head.request)
		take_request(f, m);
	else
		take_response(f, m);
}
