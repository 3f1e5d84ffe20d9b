/* MESSAGEs whose key is another node's: it gets them, and what it answers is the answer. */
#include <errno.h>
#include <stdlib.h>

#include <msrpd/cluster.h>

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

/* --- to the other node --- */

static const struct slice confirms[] = {
    [GW_ACCEPTED] = SLICE("accepted"),
    [GW_SENT] = SLICE("sent"),
    [GW_DELIVERED] = SLICE("delivered"),
};

int gw_remote_send(struct gw *gw, struct sip_request *message, const struct gw_order *order,
    const struct cluster_node *node)
{
	const struct cluster_mark mark = {
	    .service = SLICE("gw"),
	    .args = {order->key, order->invite.types, order->invite.headers,
		confirms[order->confirm]},
	    .count = 4,
	};
	int err;

	if (order->forwarded)
		return -EXDEV;
	err = sip_request_pass_on(message, gw->env.cluster, node, &mark);
	if (err < 0)
		return err;
	gw_recent_forget(gw, message, false); /* whether it came before is for that node to know */
	++*gw->count.remote;
	return 0;
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
	    .forwarded = true,
	};
	struct gw *gw = state;

	if (mark->count != 4 || !order.key.p
	    || !slice_equal(sip_request_field(message, SIP_FIELD_METHOD), SLICE("MESSAGE"))) {
		gw_reply(message, 400);
		return;
	}
	++*gw->count.remote_taken;
	gw_take_once(gw, message, &order);
}
