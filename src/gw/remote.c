/* MESSAGEs whose key is another node's: it gets them, and what it answers is the answer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/buffer.h>
#include <msrpd/cluster.h>
#include <msrpd/stats.h>

#include "gw/priv.h"

enum {
	TRIES = 2, /* a node that has died meanwhile has given the key back */
	UNDER_WAY_MAX = 4096,
	NOT_HERE = 481, /* the key is another's by now */
	TIMED_OUT = 408,
};

/* A MESSAGE at another node. */
struct gw_remote {
	LIST_ENTRY(gw_remote) next;
	struct gw *gw;
	struct sip_request *message;
	struct gw_order order; /* whose texts are in text */
	char text[];
};

/* --- the texts of a rule, kept --- */

static size_t text_size(const struct gw_order *o)
{
	return o->key.len + o->invite.types.len + o->invite.headers.len;
}

void gw_order_pack(struct gw_order *copy, const struct gw_order *order, char *text)
{
	*copy = *order;
	copy->key = slice_pack(&text, order->key);
	copy->invite.types = slice_pack(&text, order->invite.types);
	copy->invite.headers = slice_pack(&text, order->invite.headers);
}

struct gw_order *gw_order_dup(const struct gw_order *order)
{
	struct gw_order *copy = malloc(sizeof(*copy) + text_size(order) + 1);

	if (copy)
		gw_order_pack(copy, order, (char *)(copy + 1));
	return copy;
}

/* --- to the other node --- */

static void remote_free(struct gw_remote *r)
{
	LIST_REMOVE(r, next);
	r->gw->remote_count--;
	sip_request_unref(r->message);
	free(r);
}

void gw_remote_free_all(struct gw *gw)
{
	while (!LIST_EMPTY(&gw->remotes))
		remote_free(LIST_FIRST(&gw->remotes));
}

/* A node that does not answer in time may have it all the same: it is not to come twice. */
static bool is_unknown(const struct page_result *result)
{
	return !result->from_peer && result->code == TIMED_OUT;
}

static bool is_worth_another_try(const struct gw_remote *r, const struct page_result *result)
{
	bool gone = (!result->from_peer && !is_unknown(result)) || result->code == NOT_HERE;

	return gone && r->order.tries < TRIES;
}

static void on_answer(const struct page_result *result, void *arg)
{
	struct gw_remote *r = arg;
	struct gw *gw = r->gw;

	if (is_worth_another_try(r, result) && gw_take(gw, r->message, &r->order) >= 0) {
		remote_free(r);
		return;
	}
	if (result->code >= 300)
		++*gw->count.remote_failed;
	if (result->code >= 300 && !is_unknown(result))
		gw_recent_forget(gw, r->message);
	if (!sip_request_answered(r->message))
		sip_request_reply(r->message, result->code == NOT_HERE ? 480 : result->code,
		    result->reason, (struct slice){NULL, 0});
	remote_free(r);
}

static void write_headers(struct buffer *w, const struct gw_remote *r,
    const struct cluster_node *node)
{
	static const char *const confirms[] = {"accepted", "sent", "delivered"};
	const struct cluster_mark mark = {
	    .service = SLICE("gw"),
	    .args = {r->order.key, r->order.invite.types, r->order.invite.headers,
		slice_of(confirms[r->order.confirm])},
	    .count = 4,
	};
	char *passed = sip_request_passed_lines(r->message);

	buffer_add(w, slice_of(passed));
	free(passed);
	cluster_mark_write(r->gw->env.cluster, w, node->name, &mark);
}

static int send(struct gw_remote *r, const struct cluster_node *node)
{
	struct buffer headers = {.max = BUFFER_UNBOUNDED};
	struct page_message page = {
	    .ruri = sip_request_field(r->message, SIP_FIELD_RURI),
	    .from_uri = sip_request_field(r->message, SIP_FIELD_FROM),
	    .to_uri = sip_request_field(r->message, SIP_FIELD_TO),
	    .content_type = sip_request_field(r->message, SIP_FIELD_CONTENT_TYPE),
	    .body = sip_request_field(r->message, SIP_FIELD_BODY),
	    .node = node->sip,
	};
	int err;

	write_headers(&headers, r, node);
	page.headers = buffer_text(&headers);
	err = headers.err ? headers.err : page_send(r->gw->env.page, &page, on_answer, r);
	buffer_fini(&headers);
	return err;
}

int gw_remote_send(struct gw *gw, struct sip_request *message, const struct gw_order *order,
    const struct cluster_node *node)
{
	struct gw_remote *r;
	int err;

	if (order->forwarded || !node->sip.p)
		return -EXDEV;
	if (gw->remote_count >= UNDER_WAY_MAX)
		return -ENOBUFS;
	r = calloc(1, sizeof(*r) + text_size(order) + 1);
	if (!r)
		return -ENOMEM;
	r->gw = gw;
	r->message = sip_request_ref(message);
	gw_order_pack(&r->order, order, r->text);
	r->order.tries++;
	LIST_INSERT_HEAD(&gw->remotes, r, next);
	gw->remote_count++;
	err = send(r, node);
	if (err < 0)
		remote_free(r);
	else
		++*gw->count.remote;
	return err;
}

/* --- from another node --- */

static enum gw_confirm confirm_of(struct slice name)
{
	if (slice_equal(name, SLICE("delivered")))
		return GW_DELIVERED;
	return slice_equal(name, SLICE("sent")) ? GW_SENT : GW_ACCEPTED;
}

void gw_remote_take(struct sip_request *message, const struct cluster_mark *mark, void *state)
{
	const struct gw_order order = {
	    .key = mark->args[0],
	    .invite = {mark->args[1], mark->args[2]},
	    .confirm = confirm_of(mark->args[3]),
	    .last = true,
	    .forwarded = true,
	};
	struct gw *gw = state;

	if (mark->count == 4 && order.key.p
	    && slice_equal(sip_request_field(message, SIP_FIELD_METHOD), SLICE("MESSAGE"))) {
		++*gw->count.remote_taken;
		gw_take(gw, message, &order);
	} else {
		sip_request_reply(message, 400, (struct slice){NULL, 0}, (struct slice){NULL, 0});
	}
}
