/* Client transactions by UDP: the address is found, the request sent until something comes. */
#include "edge/client_own_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "edge/datagram_priv.h"
#include "edge/link_priv.h"
#include "edge/listener_priv.h"
#include "edge/name_priv.h"
#include "edge/priv.h"
#include "edge/repeat_priv.h"
#include "edge/retry_priv.h"
#include "edge/token_priv.h"
#include "edge/way_priv.h"

/* --- failing --- */

/* In the request as it was sent the Via is not the stack's. */
void client_tell_datagram_failure(struct edge_client *c, unsigned code, const char *why)
{
	struct edge *edge = c->edge;
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	struct edge_change change = {.via_transport = SLICE("TCP"),
	    .via_sent_by = slice_of(edge->link.sent_by)};
	struct edge_message m = {.head = {0}};
	struct edge_head request = {0};
	struct edge_reply failed;
	struct edge_via via;
	unsigned attempt;

	if (c->own || edge_head_scan(&request, c->text, &edge_own_bounds) < 0
	    || !edge_reply_possible(&request))
		return;
	failed = client_reply(c, &request, code, why);
	edge_reply_write(&w, &request, &failed);
	if (!w.err && edge_head_scan(&m.head, buffer_text(&w), &edge_own_bounds) == 0
	    && edge_head_via(&m.head, &via) == 0) {
		change.via_branch =
		    edge_branch_parse(edge, c->listener->token, via.branch, &attempt);
		if (!edge_respond(edge, change.via_branch, &m, false))
			edge_link_send(&edge->link, &m, &change);
	}
	buffer_fini(&w);
}

static void fail_datagram(struct edge_client *c, const char *why)
{
	if (edge_retry_unreached(c))
		return;
	client_count_failure(c);
	client_leave(c);
	if (*c->key && !c->completed)
		client_tell_datagram_failure(c, edge_unreached(c->passed), why);
	edge_client_drop(c);
}

/* --- sending --- */

int client_transmit(struct edge_client *c)
{
	return net_udp_send(&c->listener->port, &c->peer, c->text);
}

/* Timers A and E; B and F are the stack's. */
static void on_again(struct edge_repeat *r)
{
	struct edge_client *c =
	    (struct edge_client *)(void *)((char *)r - offsetof(struct edge_client, repeat));
	int err;

	if (timer_now_ms() >= c->started_ms + c->edge->transaction_timeout_ms) {
		edge_retry_too_late(c);
		edge_repeat_stop(c->edge, r);
		return;
	}
	++*c->edge->count.repeats_out;
	err = client_transmit(c);
	if (err < 0)
		fail_datagram(c, strerror(-err));
}

/* The address is known.  @return 0: an ACK is gone then; or why it cannot go there */
static int begin(struct edge_client *c)
{
	int err = client_transmit(c);

	if (!*c->key) {
		edge_client_drop(c);
		return 0;
	}
	if (err == 0)
		edge_repeat_start(c->edge, &c->repeat, c->invite ? REPEAT_STEPS - 1 : REPEAT_T2);
	return err;
}

/* --- where it goes --- */

static int take_address(struct edge_client *c, const struct edge_name *name)
{
	if (!edge_name_address(name, c->listener->addr.any.sa_family, &c->peer))
		return -EHOSTUNREACH;
	addr_set_port(&c->peer, c->port);
	return 0;
}

void edge_clients_drop(struct edge_name *name)
{
	while (!TAILQ_EMPTY(&name->waiting))
		edge_client_drop(TAILQ_FIRST(&name->waiting));
}

void edge_client_resolved(struct edge_client *c, const struct edge_name *name)
{
	int err;

	client_leave_lists(c);
	err = take_address(c, name);
	if (err == 0)
		err = begin(c);
	if (err < 0)
		fail_datagram(c, strerror(-err));
}

/* @return 1 with the address; 0: it will be known later; negative errno */
static int find_address(struct edge_client *c, struct slice host)
{
	struct edge_name *name;
	int err;

	if (addr_parse_host(&c->peer, host) == 0) {
		edge_set_scope(&c->peer, c->listener);
		addr_set_port(&c->peer, c->port);
		return 1;
	}
	name = edge_name_get(c->edge, host, c->cause);
	if (!name)
		return -ENOBUFS;
	if (name->lookup) {
		c->name = name;
		TAILQ_INSERT_TAIL(&name->waiting, c, entry);
		return 0;
	}
	err = take_address(c, name);
	return err < 0 ? err : 1;
}

/* --- requests --- */

int edge_client_by_datagram(const struct edge_outgoing *out, const struct edge_head *request,
    unsigned attempt)
{
	struct edge *edge = out->listener->edge;
	struct edge_client *c = client_new(edge, request, attempt);
	int err;

	if (!c)
		return -ENOMEM;
	c->counted = true;
	++*edge->count.transactions;
	c->listener = out->listener;
	c->port = out->port;
	c->cause = out->cause;
	c->repeat.again = on_again;
	client_set_text(&c->text, out->text);
	err = c->text.p ? client_take_memory(c, request) : -ENOMEM;
	if (err == 0)
		err = find_address(c, out->host);
	if (err == 1)
		err = begin(c);
	if (err >= 0)
		return err;
	if (c->own)
		err = 0; /* nobody is to hear of it */
	edge_client_drop(c);
	return err;
}

void client_send_by_udp(struct edge_client *c)
{
	int err;

	c->repeat.again = on_again;
	c->started_ms = timer_now_ms();
	err = find_address(c, slice_of(c->host));
	if (err == 1)
		err = begin(c);
	if (err < 0)
		fail_datagram(c, strerror(-err));
}

void edge_client_ack(struct edge_client *invite, struct slice text)
{
	client_set_text(&invite->text, text);
	net_udp_send(&invite->listener->port, &invite->peer, text);
}

void edge_client_unreachable(struct edge_listener *l, struct slice sent)
{
	struct edge *edge = l->edge;
	struct edge_head head = {0};
	struct edge_client *c;
	struct edge_via via;
	unsigned attempt = 0;

	edge_head_scan(&head, sent, &edge_own_bounds); /* it may be cut anywhere */
	if (!head.request || edge_head_via(&head, &via) < 0)
		return;
	c = edge_client_find(edge, edge_branch_parse(edge, l->token, via.branch, &attempt),
	    edge_head_method(&head));
	if (!c || c->flow || c->listener != l || c->attempt != attempt || c->completed)
		return;
	edge_datagram_lost(l, &c->peer); /* RFC 5626 7 */
	fail_datagram(c, "unreachable");
}
