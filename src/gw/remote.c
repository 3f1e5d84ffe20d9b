/* MESSAGEs whose key is another node's: it gets them, and what it answers is the answer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/cluster.h>
#include <msrpd/story.h>

#include "gw/priv.h"

/* --- the texts of a rule, kept --- */

struct gw_order *gw_order_dup(const struct gw_order *order)
{
	const struct gw_invite *invite = &order->invite;
	struct gw_order *copy =
	    malloc(sizeof(*copy) + order->key.len + invite->types.len + invite->headers.len + 1);
	char *text;

	if (!copy)
		return NULL;
	*copy = *order;
	text = (char *)(copy + 1);
	copy->key = slice_pack(&text, order->key);
	copy->invite.types = slice_pack(&text, invite->types);
	copy->invite.headers = slice_pack(&text, invite->headers);
	return copy;
}

/* --- who has which key, for a while --- */

enum { OWNERS_MAX = 16384 };

struct gw_owner {
	UT_hash_handle hh;
	struct timer_entry expiry;
	struct slice key, node; /* of text */
	char text[];
};

static struct gw_owner *owner_find(const struct gw *gw, struct slice key)
{
	struct gw_owner *o;

	HASH_FIND(hh, gw->owners, key.p, key.len, o);
	return o;
}

static void owner_free(struct gw *gw, struct gw_owner *o)
{
	timer_queue_stop(&gw->owner_expiry, &o->expiry);
	HASH_DEL(gw->owners, o);
	free(o);
}

void gw_owner_on_expiry(struct timer_entry *entry, void *arg)
{
	owner_free(arg, (struct gw_owner *)((char *)entry - offsetof(struct gw_owner, expiry)));
}

void gw_owners_free(struct gw *gw)
{
	while (gw->owners)
		owner_free(gw, gw->owners);
}

/* Without memory it is asked again. */
void gw_owner_note(struct gw *gw, struct slice key, struct slice node)
{
	struct gw_owner *o = owner_find(gw, key);
	char *text;

	if (o)
		owner_free(gw, o);
	if (HASH_COUNT(gw->owners) >= OWNERS_MAX)
		return;
	o = calloc(1, sizeof(*o) + key.len + node.len + 1);
	if (!o)
		return;
	text = o->text;
	o->key = slice_pack(&text, key);
	o->node = slice_pack(&text, node);
	HASH_ADD_KEYPTR(hh, gw->owners, o->key.p, o->key.len, o);
	if (o->hh.tbl)
		timer_queue_start(&gw->owner_expiry, &o->expiry);
	else
		free(o);
}

/* --- to the other node --- */

enum { PASSES_MAX = 2 }; /* who is asked may know by then that it is a third one's */

static const struct slice confirms[] = {
    [GW_ACCEPTED] = SLICE("accepted"),
    [GW_SENT] = SLICE("sent"),
    [GW_DELIVERED] = SLICE("delivered"),
};

int gw_remote_send(struct gw *gw, struct sip_request *message, const struct gw_order *order,
    const struct cluster_node *node)
{
	char last[] = {(char)('1' + order->passes)};
	const struct cluster_mark mark = {
	    .service = SLICE("gw"),
	    .args = {order->key, order->invite.types, order->invite.headers,
		confirms[order->confirm], {last, 1}},
	    .count = 5,
	};
	int err;

	if (order->passes >= PASSES_MAX)
		return -EXDEV;
	err = sip_request_pass_on(message, gw->env.cluster, node, &mark);
	if (err == -EEXIST)
		story_often("gw: key %.*s: node %.*s has it, but a rule has answered for it",
		    SLICE_ARG(order->key), SLICE_ARG(node->name));
	if (err < 0)
		return err;
	/* Whether it came before is for that node to know. */
	gw_recent_forget(gw, message, order->passes);
	++*gw->count.remote;
	return 0;
}

bool gw_remote_knows(struct gw *gw, struct sip_request *message, const struct gw_order *order)
{
	struct gw_owner *o = order->passes == 0 ? owner_find(gw, order->key) : NULL;
	struct cluster_node node;

	return o && cluster_find_node(gw->env.cluster, o->node, &node) == 0
	    && gw_remote_send(gw, message, order, &node) == 0;
}

/* --- from another node --- */

static enum gw_confirm confirm_of(struct slice name)
{
	enum gw_confirm confirm = GW_DELIVERED;

	while (confirm > GW_ACCEPTED && !slice_equal(confirms[confirm], name))
		confirm--;
	return confirm;
}

void gw_remote_take(struct sip_request *message, const struct cluster_mark *mark, void *state)
{
	const struct gw_order order = {
	    .key = mark->args[0],
	    .invite = {mark->args[1], mark->args[2]},
	    .confirm = confirm_of(mark->args[3]),
	    .last = true,
	    .passes = slice_equal(mark->args[4], SLICE("1")) ? 1 : PASSES_MAX,
	};
	struct gw *gw = state;

	if (mark->count != 5 || !order.key.p
	    || !slice_equal(sip_request_field(message, SIP_FIELD_METHOD), SLICE("MESSAGE"))) {
		gw_reply(message, 400);
		return;
	}
	++*gw->count.remote_taken;
	gw_take(gw, message, &order);
}
