/* What the stack sends, and where it goes: RFC 3261 16.11 and 18. */
#include "edge/way_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "edge/client_priv.h"
#include "edge/datagram_priv.h"
#include "edge/flow_priv.h"
#include "edge/link_priv.h"
#include "edge/listener_priv.h"
#include "edge/memory_priv.h"
#include "edge/name_priv.h"
#include "edge/place_priv.h"
#include "edge/priv.h"
#include "edge/retry_priv.h"
#include "edge/server_priv.h"
#include "edge/service_priv.h"
#include "edge/token_priv.h"

static const struct slice absent;

/* RFC 3261 18.1.1: what is larger goes over a stream, where the path's MTU is not known. */
enum { DATAGRAM_USUAL = 1300 };

/* --- responses --- */

/* Is it one that nobody is to hear? */
static bool is_silence(const struct edge *edge, const struct edge_head *head)
{
	return slice_equal(edge_head_phrase(head), slice_of(edge_silence(edge)));
}

/* RFC 3261 18.2.2 */
static void answer_datagram(struct edge *edge, const struct edge_token *token, struct slice mac,
    const struct edge_message *m, const struct edge_change *change)
{
	struct edge_listener *l = edge_listener_at(edge, token->number);
	struct edge_server_id id = {.mac = mac};
	union addr to = token->peer;
	char host[ADDR_TEXT_SIZE];
	struct slice text;
	uint32_t number;

	if (!l || edge_head_cseq(&m->head, &number, &id.method) < 0
	    || edge_write(&edge->text, m, change) < 0)
		return;
	edge_set_scope(&to, l);
	id.host = addr_print_host(&to, host);
	addr_set_port(&to, token->reply_port);
	text = is_silence(edge, &m->head) ? absent : buffer_text(&edge->text);
	if (edge_server_answer(edge, &id, m->head.code, text))
		net_udp_send(&l->port, &to, text);
}

/* RFC 3261 18.2.2: its connection has ended. */
static void answer_elsewhere(struct edge *edge, const struct edge_message *m,
    const struct edge_change *change)
{
	struct edge_head head = {0};
	struct edge_target target;
	struct edge_via via;
	struct sip_flow *f;

	if (edge_write(&edge->text, m, change) < 0
	    || edge_head_scan_own(&head, buffer_text(&edge->text)) < 0
	    || edge_head_via(&head, &via) < 0 || edge_target_of_via(edge, &target, &via) < 0)
		return;
	f = edge_target_flow(edge, &target);
	if (f)
		flow_send(f, m, change);
}

static void answer_flow(struct edge *edge, const struct edge_token *token,
    const struct edge_message *m, const struct edge_change *change, bool passed)
{
	struct sip_flow *f = flow_find_asker(edge, token->number);
	bool silent = is_silence(edge, &m->head);

	if (f && flow_respond(f, m, change, silent))
		return;
	/* What others have answered has the Vias that they like. */
	if (!silent && !passed && m->head.code >= 200)
		answer_elsewhere(edge, m, change);
}

bool edge_respond(struct edge *edge, struct slice branch, const struct edge_message *m, bool passed)
{
	struct edge_token token;
	struct edge_change change = {.drop_via = true,
	    .add_content_length = true, /* by UDP it need not have one */
	    .content_length = m->body.len,
	    /* The one that we put on the stack's request. */
	    .drop_record_route = edge_route_token(edge, &m->head, EDGE_RECORD_ROUTE, &token) == 0};
	struct slice mac;

	if (edge_branch_token(edge, branch, &token, &mac) < 0)
		return false;
	/* RFC 3261 16.7: it is not this node that is out of service, and others are good there. */
	if (passed && m->head.code == 503)
		change.code = SLICE("500");
	if (token.kind == TOKEN_DATAGRAM)
		answer_datagram(edge, &token, mac, m, &change);
	else if (token.kind == TOKEN_FLOW)
		answer_flow(edge, &token, m, &change, passed);
	return true;
}

/* Of whom the request was that is answered. */
static edge_share share_of_branch(struct edge *edge, struct slice branch)
{
	struct edge_token token;
	struct slice mac;

	if (edge_branch_token(edge, branch, &token, &mac) < 0)
		return EDGE_SHARE_OF_NOBODY;
	return token.kind == TOKEN_DATAGRAM ? edge_share_of(edge, &token.peer) : token.share;
}

static void note_invite(struct edge *edge, struct slice branch, unsigned code)
{
	if (code >= 300)
		edge_invite_note(edge, branch, share_of_branch(edge, branch));
	else if (code >= 200)
		edge_invite_accepted(edge, branch);
}

/* What has gone on to another node is not the stack's to answer any more. */
static void send_response(struct edge *edge, const struct edge_message *m)
{
	struct edge_via via;
	struct slice method;
	uint32_t number;

	if (edge_head_via(&m->head, &via) < 0 || edge_head_cseq(&m->head, &number, &method) < 0)
		return;
	if (slice_equal(method, SLICE("INVITE")))
		note_invite(edge, via.branch, m->head.code);
	if (is_silence(edge, &m->head) && m->head.code == EDGE_GONE_ON)
		return; /* if it was not to be sent on, it is answered by now */
	if (!edge_client_find(edge, via.branch, method))
		edge_respond(edge, via.branch, m, false);
}

/* --- requests --- */

/* It cannot even be sent. */
static void give_up(struct edge *edge, const struct edge_head *request, unsigned code,
    const char *why)
{
	if (edge_is_passed(edge, request))
		++*edge->count.passed_failed;
	edge_link_reply(&edge->link, request, code, why);
}

static void not_reached(struct edge *edge, const struct edge_head *request, const char *why)
{
	give_up(edge, request, edge_unreached(edge_is_passed(edge, request)), why);
}

/* @param err  -ENOBUFS: it is we who cannot */
static void not_sent(struct edge *edge, const struct edge_head *request, int err)
{
	if (err == -ENOBUFS)
		give_up(edge, request, 503, "too many transactions, or names to ask for");
	else
		not_reached(edge, request, strerror(-err));
}

/* Its branch on the wire. */
static int write_branch(struct edge *edge, const char *token, const struct edge_head *head,
    unsigned attempt, char branch[EDGE_BRANCH_SIZE])
{
	struct edge_via via;

	return edge_head_via(head, &via) < 0
	    ? -EBADMSG
	    : edge_branch_write(edge, token, via.branch, attempt, branch);
}

/* How each request changes on its way out. */
static void plan(struct edge_change *change, const char *branch)
{
	change->drop_routes = 1;
	change->add_max_forwards = true; /* ACK and BYE for a fork's second 200 have none */
	change->via_branch = slice_of(branch);
}

/* RFC 5923 8.1: we have called, and shown who we are, if the other side has asked for it. */
static bool is_known_by_certificate(const struct sip_flow *f)
{
	return f->place && f->transport->net->encrypted
	    && net_tls_can_accept(f->edge->protocol.tls);
}

/* @param instead  should the flow never open; NULL */
static void send_over(struct sip_flow *f, const struct edge_message *m, unsigned attempt,
    const struct edge_outgoing *instead)
{
	struct edge_change change = {.via_transport = slice_of(f->transport->via),
	    .via_sent_by = slice_of(f->listener->name),
	    .via_alias = is_known_by_certificate(f)};
	char branch[EDGE_BRANCH_SIZE];

	if (write_branch(f->edge, f->token, &m->head, attempt, branch) < 0)
		return;
	plan(&change, branch);
	if (edge_client_by_flow(f, &m->head, attempt, instead) == 0)
		flow_send(f, m, &change);
	else
		not_sent(f->edge, &m->head, -ENOBUFS);
}

/* @return 0 with the datagram in edge->text */
static int write_datagram(const struct edge_listener *l, const struct edge_message *m,
    unsigned attempt)
{
	struct edge_change change = {.via_transport = slice_of(l->transport->via),
	    .via_sent_by = slice_of(l->name)};
	char branch[EDGE_BRANCH_SIZE];
	int err = write_branch(l->edge, l->token, &m->head, attempt, branch);

	plan(&change, branch);
	return err < 0 ? err : edge_write(&l->edge->text, m, &change);
}

/* @return is it on its way? */
static bool send_by_tcp_instead(const struct edge_target *target, const struct edge_message *m,
    unsigned attempt, const struct edge_outgoing *out)
{
	struct edge *edge = out->listener->edge;
	struct edge_target t = *target;
	struct sip_flow *f = edge_target_to_tcp(edge, &t) ? edge_target_flow(edge, &t) : NULL;

	if (f)
		send_over(f, m, attempt, out);
	return f;
}

static void send_datagram(const struct edge_target *t, bool whole, const struct edge_message *m,
    unsigned attempt)
{
	struct edge *edge = t->listener->edge;
	struct edge_outgoing out = {t->listener, slice_of(t->host), t->port, t->cause, absent};
	int err = write_datagram(t->listener, m, attempt);

	out.text = buffer_text(&edge->text);
	if (err == 0 && !whole && !t->named && out.text.len > DATAGRAM_USUAL
	    && send_by_tcp_instead(t, m, attempt, &out))
		return;
	if (err == 0)
		err = edge_client_by_datagram(&out, &m->head, attempt);
	if (err < 0)
		not_sent(edge, &m->head, err);
}

static void send_by_stream(const struct edge_target *t, const struct edge_message *m,
    unsigned attempt)
{
	struct edge *edge = t->listener->edge;
	struct sip_flow *f = edge_target_flow(edge, t);

	if (f)
		send_over(f, m, attempt, NULL);
	else
		not_reached(edge, &m->head, "no connection to be had");
}

static void send_there(const struct edge_target *t, bool whole, const struct edge_message *m,
    unsigned attempt)
{
	if (t->transport->net)
		send_by_stream(t, m, attempt);
	else
		send_datagram(t, whole, m, attempt);
	if (t->choices > 1)
		edge_retry_note(t->listener->edge, t, m, attempt);
}

/* To the place that the request itself names, for whom the token is. */
static void send_to_target(struct edge *edge, const struct edge_token *token,
    const struct edge_message *m, unsigned attempt)
{
	struct edge_listener *listener =
	    token->kind == TOKEN_FLOW ? NULL : edge_listener_at(edge, token->number);
	bool whole = token->kind == TOKEN_WHOLE;
	struct edge_target t;
	int err;

	err = edge_target_read(edge, &t, edge_head_next_hop(&m->head, 1), listener);
	t.cause = token->share;
	if (err < 0)
		give_up(edge, &m->head, 430, "the connection is closed");
	else if (!t.listener)
		not_reached(edge, &m->head, "no listener of that transport");
	else if ((err = edge_service_apply(&t, m, attempt)) == 0)
		send_there(&t, whole, m, attempt);
	else if (err != -EINPROGRESS)
		not_sent(edge, &m->head, err);
}

/* Nobody else is to get what is for him, whatever it names. */
static void send_to_peer(struct edge_listener *l, const union addr *peer, uint16_t port,
    const struct edge_message *m)
{
	char host[ADDR_TEXT_SIZE];
	struct edge_target t = {.listener = l, .port = port};

	snprintf(t.host, sizeof(t.host), "%s", addr_print_host(peer, host));
	send_datagram(&t, true, m, 0);
}

/* Where his responses go. */
static void send_to_source(struct edge *edge, const struct edge_token *token,
    const struct edge_message *m)
{
	struct edge_listener *l = edge_listener_at(edge, token->number);

	if (l)
		send_to_peer(l, &token->peer, token->reply_port, m);
	else
		give_up(edge, &m->head, 430, "its listener is closed");
}

static void send_along(struct sip_flow *f, const struct edge_message *m)
{
	if (flow_is_datagram(f))
		send_to_peer((struct edge_listener *)f->listener, &f->peer, addr_port(&f->peer), m);
	else
		send_over(f, m, 0, NULL);
}

/* An INVITE's CANCEL, and the ACK of its failure, go where it went (RFC 3261 9.1, 17.1.1.3). */
static void send_after(struct edge_client *invite, const struct edge_message *m)
{
	struct edge *edge = invite->edge;
	char host[ADDR_TEXT_SIZE];
	struct edge_outgoing cancel = {.listener = invite->listener, .port = invite->port};
	int err;

	if (invite->flow) {
		send_over(invite->flow, m, invite->attempt, NULL);
		return;
	}
	if (write_datagram(invite->listener, m, invite->attempt) < 0)
		return;
	cancel.text = buffer_text(&edge->text);
	/* Where that is may not be known yet: they wait for it one behind the other. */
	cancel.host =
	    slice_of(invite->name ? invite->name->host : addr_print_host(&invite->peer, host));
	if (invite->completed)
		edge_client_ack(invite, cancel.text);
	else if ((err = edge_client_by_datagram(&cancel, &m->head, invite->attempt)) < 0)
		not_sent(edge, &m->head, err);
}

void edge_send_ack(struct edge_client *invite, struct slice text)
{
	struct edge_message m = {.head = {0}};

	if (edge_head_scan(&m.head, text, &edge_own_bounds) == 0)
		send_after(invite, &m);
}

static struct edge_client *invite_of(struct edge *edge, const struct edge_head *head)
{
	struct edge_via via;

	return edge_head_via(head, &via) < 0
	    ? NULL
	    : edge_client_invite(edge, edge_head_method(head), via.branch);
}

int edge_route_token(struct edge *edge, const struct edge_head *head, enum edge_field field,
    struct edge_token *token)
{
	struct slice uri = edge_value_uri(edge_head_top(head, field)), text = absent;
	struct edge_uri parsed;

	if (!uri.p || edge_uri_parse(&parsed, uri) < 0)
		return -EBADMSG;
	slice_cut(&parsed.user, '.', &text);
	return edge_token_parse(edge, text, token);
}

/* Another node knows the tokens that are for it. */
static bool is_way_out(struct edge *edge, const struct edge_head *head, struct edge_token *token)
{
	return edge_route_token(edge, head, EDGE_ROUTE, token) == 0 && token->kind != TOKEN_NODE;
}

/* The ACK to a failure of our own: nobody else has heard of it. */
static bool is_for_us(const struct edge *edge, const struct edge_head *head,
    const struct edge_client *invite)
{
	return slice_equal(edge_head_method(head), SLICE("ACK"))
	    && ((invite && invite->hung_up)
		|| slice_equal(edge_head_tag(head, EDGE_TO), slice_of(edge->link.token)));
}

static void send_request(struct edge *edge, const struct edge_message *m, unsigned attempt)
{
	struct edge_client *invite = invite_of(edge, &m->head);
	struct edge_token token;
	struct sip_flow *f;

	if (is_for_us(edge, &m->head, invite))
		return;
	if (invite) {
		send_after(invite, m);
		return;
	}
	if (!is_way_out(edge, &m->head, &token)) {
		log_warn("sip: a request without a way out");
		give_up(edge, &m->head, 503, "no way out");
		return;
	}
	switch (token.kind) {
	case TOKEN_LINK:
		edge_link_reply(&edge->link, &m->head, 200, NULL);
		break;
	case TOKEN_OUT:
	case TOKEN_WHOLE:
		send_to_target(edge, &token, m, attempt);
		break;
	case TOKEN_FLOW:
		f = flow_find(edge, token.number);
		if (f)
			send_along(f, m);
		else
			send_to_target(edge, &token, m, attempt);
		break;
	case TOKEN_DATAGRAM:
		send_to_source(edge, &token, m);
		break;
	case TOKEN_NODE:
		break;
	}
}

void edge_send_again(struct edge *edge, struct slice text, unsigned attempt)
{
	struct edge_message m = {.head = {0}};

	if (edge_head_scan_own(&m.head, text) < 0)
		return;
	m.body = slice_from(text, m.head.len);
	send_request(edge, &m, attempt);
}

bool edge_is_from_stack(struct edge *edge, const struct edge_head *head)
{
	struct edge_token token;
	struct edge_via via;
	struct slice mac;

	if (head->request)
		return is_way_out(edge, head, &token) && token.kind != TOKEN_DATAGRAM;
	return edge_head_via(head, &via) == 0
	    && edge_branch_token(edge, via.branch, &token, &mac) == 0;
}

/* Who asked has no other way to know. */
static void close_asker(struct edge *edge, const struct edge_head *request)
{
	struct edge_token token;
	struct edge_via via;
	struct slice mac;
	struct sip_flow *f = NULL;

	if (edge_head_via(request, &via) == 0
	    && edge_branch_token(edge, via.branch, &token, &mac) == 0 && token.kind == TOKEN_FLOW)
		f = flow_find_asker(edge, token.number);
	if (f)
		net_stream_close(&f->stream, -ENOMEM);
}

int edge_answer_standalone(struct edge *edge, struct slice text, const struct edge_reply *reply)
{
	struct edge_head request = {0};
	struct edge_message m = {.head = {0}};
	struct buffer w = {.max = BUFFER_UNBOUNDED}; /* by what was let in, and our own lines */
	int err = edge_head_scan_own(&request, text);

	if (!err)
		edge_reply_write(&w, &request, reply);
	if (!err)
		err = w.err ? w.err : edge_head_scan_own(&m.head, buffer_text(&w));
	if (!err)
		send_response(edge, &m);
	else
		close_asker(edge, &request);
	buffer_fini(&w);
	return err;
}

void edge_take_from_stack(struct edge *edge, const struct edge_message *m)
{
	if (m->head.request)
		send_request(edge, m, 0);
	else
		send_response(edge, m);
}
