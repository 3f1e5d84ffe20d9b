/* What clients send: RFC 3261 16.3 to 16.7, as far as a stateless proxy of one hop has to; 18.2. */
#include "edge/way_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <msrpd/story.h>

#include "base/log.h"
#include "edge/alias_priv.h"
#include "edge/client_priv.h"
#include "edge/datagram_priv.h"
#include "edge/flow_priv.h"
#include "edge/link_priv.h"
#include "edge/listener_priv.h"
#include "edge/memory_priv.h"
#include "edge/priv.h"
#include "edge/server_priv.h"
#include "edge/token_priv.h"
#include "net/guard.h"
#include "net/net.h"
#include "net/tap.h"

enum { SIP_PORT = 5060 };

static const struct slice absent;

static struct edge *edge_of(const struct edge_source *from)
{
	return from->listener->edge;
}

/*
 * The same for an INVITE, its ACK and its CANCEL, and another for each transaction (RFC 3261 16.11),
 * also without a branch that is one.  The stack knows them by more than their branch: so what it
 * takes for another one is another one here, and counts.
 */
static void transaction_mac(const struct edge *edge, const struct edge_head *head,
    const struct edge_via *via, char mac[EDGE_MAC_LEN + 1])
{
	struct slice number = edge_head_value(head, EDGE_CSEQ);
	struct slice rest = via->branch;
	bool is_one = edge_branch_cut(&rest) && rest.len;
	const struct slice parts[] = {edge_head_value(head, EDGE_CALL_ID),
	    slice_head(number, number.len - edge_head_method(head).len),
	    edge_head_tag(head, EDGE_FROM), is_one ? via->branch : edge_head_uri(head),
	    is_one ? via->sent_by : via->value};

	edge_mac(edge, parts, 5, mac);
}

bool edge_forms_dialog(struct slice method)
{
	return slice_equal(method, SLICE("INVITE")) || slice_equal(method, SLICE("SUBSCRIBE"))
	    || slice_equal(method, SLICE("REFER"));
}

bool edge_stands_alone(const struct edge_head *request)
{
	static const char *const of_dialogs[] = {"INVITE", "ACK", "CANCEL", "BYE", "PRACK",
	    "UPDATE", "INFO", "SUBSCRIBE", "NOTIFY", "REFER", NULL};

	return !edge_head_tag(request, EDGE_TO).p
	    && !slice_is_listed(edge_head_method(request), of_dialogs);
}

/* Where they go from now on: back, or by the place that they name, for whomever they come from. */
static void write_route(const struct edge_source *from, char route[EDGE_ROUTE_SIZE])
{
	const struct sip_flow *flow =
	    from->flow ? from->flow : edge_datagram_flow(from->listener, from->peer);
	struct edge_token token = {.kind = TOKEN_OUT, .number = from->listener->index};
	char text[EDGE_TOKEN_SIZE];

	if (flow) {
		edge_flow_route(flow, route);
		return;
	}
	token.share = edge_share_of_datagram(edge_of(from), from->peer);
	edge_token_write(edge_of(from), &token, text);
	edge_route_write(edge_of(from), text, route);
}

/* RFC 3261 18.2.1, RFC 3581 4 */
static void note_source(struct edge_change *change, const struct edge_source *from,
    const struct edge_via *via)
{
	/* One that he has written himself is not believed: answers may go there. */
	if (!via->wants_rport && !via->received.p && slice_equal(via->host, slice_of(from->host)))
		return;
	change->via_received = slice_of(from->host);
	change->via_rport = addr_port(from->peer);
}

/* RFC 3261 18.2.2, RFC 3581 4; to no other host, whatever maddr says. */
static uint16_t reply_port(const struct edge_source *from, const struct edge_via *via)
{
	return via->wants_rport ? addr_port(from->peer) : via->port ? via->port : SIP_PORT;
}

/* --- answers of our own --- */

static void write_reply(struct buffer *w, const struct edge_source *from,
    const struct edge_head *request, const struct edge_reply *reply)
{
	struct buffer plain = {.max = BUFFER_UNBOUNDED};
	struct edge_change change = {.drop_via = false};
	struct edge_head head = {0};
	struct edge_via via;

	edge_reply_write(&plain, request, reply);
	if (!plain.err && edge_head_scan(&head, buffer_text(&plain), &edge_own_bounds) == 0) {
		if (edge_head_via(&head, &via) == 0)
			note_source(&change, from, &via);
		edge_head_write(w, &head, &change);
	} else {
		w->err = -EBADMSG;
	}
	buffer_fini(&plain);
}

/* What is known of it, a part of each, so that the reason has room. */
static void note_refusal(const struct edge_source *from, const struct edge_head *request,
    unsigned code, const char *why)
{
	enum { PART_MAX = 100 };
	const struct story of = {.call_id = edge_head_value(request, EDGE_CALL_ID)};

	if (request->request)
		story_refuse(&of, (int)code, "sip: %.*s %.*s of %.*s from %s refused: %u %s",
		    SLICE_ARG(slice_head(edge_head_method(request), PART_MAX)),
		    SLICE_ARG(slice_head(edge_head_uri(request), PART_MAX)),
		    SLICE_ARG(slice_head(edge_head_value(request, EDGE_FROM), PART_MAX)),
		    from->host, code, why ? why : "");
}

void edge_refuse(const struct edge_source *from, const struct edge_head *request, unsigned code,
    const char *why)
{
	struct edge_listener *l = (struct edge_listener *)from->listener;
	const struct edge_reply reply = {.code = code,
	    .why = why,
	    .to_tag = slice_of(from->flow ? from->flow->token : l->token)};
	struct buffer *w = &l->edge->text;
	union addr to = *from->peer;
	struct edge_via via;
	bool has_via = edge_head_via(request, &via) == 0;

	note_refusal(from, request, code, why);
	if (!edge_reply_possible(request))
		return;
	w->len = 0;
	write_reply(w, from, request, &reply);
	if (w->err) {
		buffer_fini(w);
	} else if (from->flow) {
		flow_answer(from->flow, buffer_text(w));
	} else {
		/* A Via that is the fault itself says nothing: then where it came from is all we know. */
		if (has_via)
			addr_set_port(&to, reply_port(from, &via));
		net_udp_send(&l->port, &to, buffer_text(w));
	}
}

void edge_take_faulty(const struct edge_source *from, const struct edge_head *head)
{
	++*edge_of(from)->count.bad_messages;
	if (from->flow)
		net_tap_message(&from->flow->stream, NET_IN, edge_head_text(head), absent);
	log_debug("sip: %s %s: %s", from->listener->transport->name, from->host, head->why);
	edge_refuse(from, head, head->status, head->why);
}

/* --- requests --- */

static struct edge_server_id id_of(const struct edge_source *from, const struct edge_head *head,
    const char *mac)
{
	return (struct edge_server_id){slice_of(mac), edge_head_method(head), from->host};
}

static void forget(const struct edge_source *from, const struct edge_head *head, const char *mac)
{
	const struct edge_server_id id = id_of(from, head, mac);

	edge_server_forget(edge_of(from), &id);
}

/* What is new is refused, and so is what comes again. */
static void refuse(const struct edge_source *from, const struct edge_head *head, const char *mac,
    unsigned status, const char *why)
{
	if (!from->flow)
		forget(from, head, mac);
	edge_refuse(from, head, status, why);
}

/* Does it say that it is about a dialog, or a request before?  The stack knows whether that is so. */
static bool goes_on(const struct edge_head *head)
{
	struct slice method = edge_head_method(head);

	return slice_equal(method, SLICE("CANCEL"))
	    || (edge_head_tag(head, EDGE_TO).p && !slice_equal(method, SLICE("REGISTER")));
}

/*
 * The stack need not be asked for the answer to what would not be looked at.  A node of ours has
 * asked that of whom it speaks for.
 */
static bool is_barred(const struct edge_source *from, const struct edge_head *head)
{
	struct edge_line line;
	size_t at = 0;

	if ((from->flow && from->flow->is_node) || goes_on(head))
		return false;
	while (edge_head_next_line(head, &at, &line))
		if (slice_equal_nocase(line.name, SLICE("Authorization")))
			return net_guard_bars(net_guard_of(edge_of(from)->protocol.net),
			    from->peer);
	return false;
}

/* The transaction that it belongs to.  @return is it to be passed on? */
static bool is_new(const struct edge_source *from, const struct edge_head *head, const char *mac,
    uint16_t port)
{
	const struct edge_server_id id = id_of(from, head, mac);
	union addr to = *from->peer;

	addr_set_port(&to, port);
	switch (edge_server_take(from, &id, head, &to)) {
	case EDGE_NEW:
		return true;
	case EDGE_ABSORBED:
		return false;
	case EDGE_MERGED:
		edge_refuse(from, head, 482, "it has come another way");
		return false;
	case EDGE_TOO_MANY:
		edge_refuse(from, head, 503, "too many transactions");
		return false;
	}
	return false;
}

static void write_token(const struct edge_source *from, uint16_t port, char text[EDGE_TOKEN_SIZE])
{
	const struct edge_token token = {.kind = TOKEN_DATAGRAM,
	    .number = from->listener->index,
	    .peer = *from->peer,
	    .reply_port = port};

	if (from->flow)
		memcpy(text, from->flow->peer_token, EDGE_TOKEN_SIZE);
	else
		edge_token_write(edge_of(from), &token, text);
}

/* The Via that is put on it for the stack.  @return its branch, in text */
static struct slice write_via(const struct edge *edge, char *text, size_t size, const char *token,
    const char *mac)
{
	struct buffer w = {.p = text, .cap = size};
	size_t at;

	buffer_add(&w, SLICE("SIP/2.0/TCP 127.0.0.1:"));
	buffer_add_number(&w, addr_port(&edge->link.listener.addr));
	buffer_add(&w, SLICE(";branch="));
	at = w.len;
	buffer_add(&w, SLICE("z9hG4bK"));
	buffer_add(&w, slice_of(token));
	buffer_add_char(&w, '.');
	buffer_add(&w, slice_of(mac));
	buffer_add_char(&w, '\0');
	return (struct slice){text + at, w.len - at - 1};
}

static void expect_answer(const struct edge_source *from, const struct edge_head *head, int count)
{
	if (from->flow && !slice_equal(edge_head_method(head), SLICE("ACK")))
		from->flow->unanswered += (unsigned)count;
}

/* @param branch  of the Via that it has for the stack */
static int give_to_stack(const struct edge_source *from, const struct edge_message *m,
    const struct edge_change *given, struct slice branch)
{
	struct edge *edge = edge_of(from);
	struct edge_change change = *given;
	char route[EDGE_ROUTE_SIZE];
	int err;

	if (edge_forms_dialog(edge_head_method(&m->head))) {
		write_route(from, route);
		change.push_record_route = slice_of(route);
	}
	err = edge_link_send(&edge->link, m, &change);
	/* Many can wait for the stack, and all of them be refused. */
	if (err == 0 && slice_equal(edge_head_method(&m->head), SLICE("INVITE")))
		edge_invite_note(edge, branch, edge_share_of(edge, from->peer));
	return err;
}

/* It may be answered before this returns. */
static int give(const struct edge_source *from, const struct edge_message *m,
    const struct edge_change *change, struct slice branch)
{
	struct edge *edge = edge_of(from);
	struct buffer *w = &edge->text;
	int err;

	if (!edge->standalone || !edge_stands_alone(&m->head))
		return give_to_stack(from, m, change, branch);
	err = edge_write(w, m, change);
	return err ? err : edge->standalone(buffer_text(w), w->len - m->body.len, edge->arg);
}

static void take_request(const struct edge_source *from, const struct edge_message *m)
{
	struct edge *edge = edge_of(from);
	struct edge_change change = {.add_content_length = true, .content_length = m->body.len};
	char mac[EDGE_MAC_LEN + 1], token[EDGE_TOKEN_SIZE], own[64 + EDGE_OWN_BRANCH_SIZE];
	struct slice branch;
	struct edge_via via;
	unsigned status;
	bool passed;
	int err = 0;

	if (edge_head_via(&m->head, &via) < 0)
		return;
	if (is_barred(from, &m->head)) {
		edge_refuse(from, &m->head, 403, "too many wrong credentials");
		return;
	}
	transaction_mac(edge, &m->head, &via, mac);
	write_token(from, reply_port(from, &via), token);
	if (!from->flow && !is_new(from, &m->head, mac, reply_port(from, &via)))
		return;
	/* Over UDP is_new() has asked. */
	if (from->flow && slice_equal(edge_head_method(&m->head), SLICE("INVITE"))
	    && !edge_memory_has(edge, edge_share_of(edge, from->peer), 0)) {
		edge_refuse(from, &m->head, 503, "too many transactions");
		return;
	}
	if (via.alias && from->flow)
		edge_alias_note(from->flow, &via);
	if (slice_equal(edge_head_method(&m->head), SLICE("BYE"))) {
		if (edge_client_hangs_up_early(edge, &m->head)) {
			refuse(from, &m->head, mac, 481, "nothing was answered yet");
			return;
		}
		edge_client_hung_up(edge, &m->head);
	}
	branch = write_via(edge, own, sizeof(own), token, mac);
	change.push_via = slice_of(own);
	note_source(&change, from, &via);
	expect_answer(from, &m->head, 1);
	status = edge_pass_request(from, m, &change, branch, &passed);
	if (!passed)
		err = give(from, m, &change, branch);
	if (err < 0)
		status = err == -EBADMSG ? 400 : 500;
	if (!status)
		return;
	expect_answer(from, &m->head, -1);
	refuse(from, &m->head, mac, status, status == 400 ? "it cannot be read" : NULL);
}

/* --- responses --- */

/*
 * What cannot be given to the stack does not count as answered: by UDP it comes again, and of a
 * connection that is closed the stack is told.
 */
static bool has_memory(const struct edge_source *from, const struct edge_message *m)
{
	enum { CHANGES_MAX = 2 * EDGE_ROUTE_SIZE };
	struct buffer *w = &edge_of(from)->text;

	w->len = 0;
	if (buffer_reserve(w, edge_head_text(&m->head).len + m->body.len + CHANGES_MAX) == 0)
		return true;
	buffer_fini(w);
	log_warn("sip: a response from %s was lost: out of memory", from->host);
	if (from->flow)
		net_stream_close(&from->flow->stream, -ENOMEM);
	return false;
}

/* It has to be one to a request that went out over this very flow, or as this listener. */
static void take_response(const struct edge_source *from, const struct edge_message *m)
{
	struct edge *edge = edge_of(from);
	const char *token = from->flow ? from->flow->token : from->listener->token;
	struct edge_change change = {.via_transport = SLICE("TCP"),
	    .via_sent_by = slice_of(edge->link.sent_by),
	    .add_content_length = true,
	    .content_length = m->body.len};
	char route[EDGE_ROUTE_SIZE];
	struct slice method;
	struct edge_via via;
	uint32_t number;
	unsigned attempt;

	if (edge_head_via(&m->head, &via) < 0
	    || !(change.via_branch = edge_branch_parse(edge, token, via.branch, &attempt)).p) {
		++*edge->count.stray_responses;
		return;
	}
	if (!has_memory(from, m)
	    || !edge_client_answered(edge, change.via_branch, attempt, &m->head)
	    || edge_respond(edge, change.via_branch, m, true))
		return;
	if (edge_head_cseq(&m->head, &number, &method) == 0 && edge_forms_dialog(method)) {
		write_route(from, route);
		change.append_record_route = slice_of(route);
	}
	edge_link_send(&edge->link, m, &change);
}

void edge_take_from_peer(const struct edge_source *from, const struct edge_message *m)
{
	if (from->flow) {
		++*edge_of(from)->count.messages_in;
		net_tap_message(&from->flow->stream, NET_IN, edge_head_text(&m->head), m->body);
	}
	if (m->head.request)
		take_request(from, m);
	else
		take_response(from, m);
}
