/*
 * Somebody is typing (RFC 3994): of use only to a session that is there, here or at another node, and
 * not worth one.
 */
#include <stdlib.h>

#include "gw/priv.h"

/* One that waits to hear which node has the key. */
struct gw_composing {
	LIST_ENTRY(gw_composing) entry;
	struct gw *gw;
	struct cluster_question *question;
	struct sip_request *message;
	struct gw_order *order;
};

/* Who types learns nothing of it. */
static void drop(struct gw *gw, struct sip_request *message, const struct gw_order *order)
{
	++*gw->count.iscomposing_dropped;
	if (order->last)
		gw_reply(message, 202);
}

/* --- which node has the key --- */

static void forget(struct gw_composing *c)
{
	LIST_REMOVE(c, entry);
	sip_request_unref(c->message);
	free(c->order);
	free(c);
}

static void on_owner(const struct cluster_node *owner, void *arg)
{
	struct gw_composing *c = arg;

	if (owner)
		gw_owner_note(c->gw, c->order->key, owner->name);
	if (!owner || gw_remote_send(c->gw, c->message, c->order, owner) < 0)
		drop(c->gw, c->message, c->order);
	forget(c);
}

/* @return will it be heard? */
static bool ask(struct gw *gw, struct sip_request *message, const struct gw_order *order)
{
	struct gw_composing *c = calloc(1, sizeof(*c));

	if (!c)
		return false;
	c->gw = gw;
	c->message = sip_request_ref(message);
	c->order = gw_order_dup(order);
	LIST_INSERT_HEAD(&gw->composing, c, entry);
	if (c->order)
		c->question = cluster_owner_read(gw->env.cluster, "gw", order->key, on_owner, c);
	if (c->question)
		return true;
	forget(c);
	return false;
}

/* --- one that has come --- */

int gw_composing_take(struct gw *gw, struct sip_request *message, const struct gw_order *order)
{
	struct gw_binding *b = gw_binding_find(gw, order->key);
	bool forward = gw->settings->iscomposing == GW_ISCOMPOSING_FORWARD;

	if (forward && b && b->up)
		return gw_deliver(b, message,
		    &(struct gw_order){.confirm = GW_ACCEPTED, .last = order->last});
	if (forward && !b && (gw_remote_knows(gw, message, order) || ask(gw, message, order)))
		return 0;
	drop(gw, message, order);
	return 0;
}

void gw_composing_free(struct gw *gw)
{
	struct gw_composing *c;

	while ((c = LIST_FIRST(&gw->composing))) {
		cluster_question_drop(c->question);
		drop(gw, c->message, c->order);
		forget(c);
	}
}
