/*
 * Between a client's flow and another node of ours: RFC 3261 16.11, RFC 5626 5, RFC 5658.  A
 * request with the token of a flow in its Route goes over that; one of its dialog with the token
 * of a node's flow goes back there.  Neither is ever asked for a third way.
 */
#include <errno.h>
#include <stdio.h>

#include "edge/priv.h"
#include "edge/uri.h"

enum { RECORD_ROUTE_SIZE = 1024 };

static const struct slice absent;

/* --- where it goes --- */

/* Both Record-Routes come back at once, each as the top one of its direction. */
static unsigned count_routes(struct edge *edge, const struct edge_head *head)
{
	struct edge_token token;
	struct edge_uri second;

	return edge_uri_parse(&second, edge_head_next_hop(head, 1)) == 0
		&& edge_token_parse(edge, second.user, &token) == 0
		&& (token.kind == TOKEN_BACK || token.kind == TOKEN_NODE)
	    ? 2
	    : 1;
}

/* The node's connection, or another one to where its Contact says that it is. */
static struct sip_flow *flow_back(struct edge *edge, const struct edge_head *head,
    const struct edge_token *token)
{
	struct sip_flow *f = flow_find(edge, token->number);
	struct edge_target t;

	if (f)
		return f;
	if (edge_target_read(edge, &t, edge_head_next_hop(head, count_routes(edge, head)), NULL) < 0
	    || !t.transport->net || !t.listener)
		return NULL;
	return edge_target_flow(edge, &t);
}

/* @return NULL: it is refused */
static struct sip_flow *find_way(const struct edge_source *from, const struct edge_head *head,
    const struct edge_token *token)
{
	struct edge *edge = from->listener->edge;
	struct sip_flow *to = NULL;

	if (!from->flow)
		edge_refuse(from, head, 403, "this way is for streams");
	/* Whom a client reaches by it is to have called him. */
	else if (token->kind == TOKEN_BACK && !edge_head_tag(head, EDGE_TO).p)
		edge_refuse(from, head, 403, "this way is for dialogs");
	else if (!(to = token->kind == TOKEN_NODE ? flow_find(edge, token->number)
						  : flow_back(edge, head, token)))
		edge_refuse(from, head, 430, "the connection is closed");
	return to == from->flow ? NULL : to;
}

/* --- requests --- */

/* The top one is for the client, the other one is what the node itself has used. */
static int write_record_route(const struct sip_flow *from, const struct sip_flow *to,
    const struct edge_head *head, char text[RECORD_ROUTE_SIZE])
{
	const struct edge_token back = {.kind = TOKEN_BACK, .number = from->stream.number};
	struct slice node = edge_head_top(head, EDGE_ROUTE);
	const char *advertised = to->edge->advertised;
	char token[EDGE_TOKEN_SIZE];
	int n, err = edge_token_write(to->edge, &back, token);

	if (err < 0)
		return err;
	n = snprintf(text, RECORD_ROUTE_SIZE, "<sip:%s@%s;transport=%s;lr>, %.*s", token,
	    *advertised ? advertised : to->listener->name, to->transport->name, SLICE_ARG(node));
	return n > 0 && n < RECORD_ROUTE_SIZE ? 0 : -EMSGSIZE;
}

/* RFC 3261 16.6; absent where it is used up. */
static struct slice count_down(const struct edge_head *head, char text[24])
{
	struct buffer w = {.p = text, .cap = 24};
	uint64_t hops = 70;

	if (edge_head_has(head, EDGE_MAX_FORWARDS)
	    && slice_to_u64(edge_head_value(head, EDGE_MAX_FORWARDS), 255, &hops) < 0)
		hops = 70;
	if (hops == 0)
		return absent;
	buffer_add_number(&w, hops - 1);
	return buffer_text(&w);
}

/* What becomes of a request between the two; the texts are kept in it. */
struct plan {
	struct edge_change change;
	char branch[EDGE_BRANCH_SIZE], wire[EDGE_BRANCH_SIZE], via[EDGE_BRANCH_SIZE + 300];
	char record_route[RECORD_ROUTE_SIZE], hops[24];
};

/* @return 0 or negative errno */
static int make_plan(struct plan *plan, const struct edge_source *from, const struct sip_flow *to,
    const struct edge_message *m)
{
	struct edge *edge = to->edge;
	struct edge_change *change = &plan->change;
	char mac[EDGE_MAC_LEN + 1];
	struct edge_via via;
	int err = edge_head_via(&m->head, &via);

	if (err == 0)
		err = edge_transaction_mac(edge, &m->head, &via, mac);
	if (err < 0)
		return err;
	snprintf(plan->branch, sizeof(plan->branch), "z9hG4bK%s.%s", from->flow->token, mac);
	err = edge_branch_write(edge, to->token, slice_of(plan->branch), 0, plan->wire);
	if (err < 0)
		return err;
	snprintf(plan->via, sizeof(plan->via), "SIP/2.0/%s %s;branch=%s", to->transport->via,
	    to->listener->name, plan->wire);
	*change = (struct edge_change){.push_via = slice_of(plan->via),
	    .drop_routes = count_routes(edge, &m->head),
	    .max_forwards = count_down(&m->head, plan->hops),
	    .add_max_forwards = true,
	    .add_content_length = true,
	    .content_length = m->body.len};
	edge_note_source(change, from, &via);
	return 0;
}

static void to_client(const struct edge_source *from, struct sip_flow *to, struct plan *plan,
    const struct edge_message *m)
{
	if (edge_forms_dialog(edge_head_method(&m->head))
	    && write_record_route(from->flow, to, &m->head, plan->record_route) == 0)
		plan->change.push_record_route = slice_of(plan->record_route);
	edge_client_between(to, &m->head, slice_of(plan->branch), from->flow->stream.number);
	flow_send(to, m, &plan->change);
}

bool edge_between_request(const struct edge_source *from, const struct edge_message *m)
{
	struct edge_token token;
	struct sip_flow *to;
	struct plan plan;

	if (edge_route_token(from->listener->edge, &m->head, &token) < 0
	    || (token.kind != TOKEN_NODE && token.kind != TOKEN_BACK))
		return false;
	to = find_way(from, &m->head, &token);
	if (!to || make_plan(&plan, from, to, m) < 0)
		return true;
	if (!plan.change.max_forwards.p) {
		edge_refuse(from, &m->head, 483, NULL);
	} else if (token.kind == TOKEN_NODE) {
		from->flow->is_node = true;
		to_client(from, to, &plan, m);
	} else {
		flow_send(to, m, &plan.change);
	}
	return true;
}
