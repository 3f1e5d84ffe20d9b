/* Client transactions on a flow: they fail when it does, or go by UDP where it never opened. */
#include "edge/client_own_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "edge/flow_priv.h"
#include "edge/link_priv.h"
#include "edge/priv.h"
#include "edge/retry_priv.h"
#include "edge/way_priv.h"

static void note_instead(struct edge_client *c, const struct edge_outgoing *instead)
{
	c->host = slice_dup(instead->host);
	c->listener = instead->listener;
	c->port = instead->port;
	c->cause = instead->cause;
	client_set_text(&c->text, instead->text);
}

int edge_client_by_flow(struct sip_flow *f, const struct edge_head *request, unsigned attempt,
    const struct edge_outgoing *instead)
{
	bool answerable = edge_reply_possible(request);
	struct edge_client *c;

	if (f->was_open)
		instead = NULL;
	if (!answerable && !instead) /* an ACK: nobody waits for its answer */
		return 0;
	c = client_new(f->edge, request, attempt);
	if (!c)
		return 0;
	c->flow = f;
	TAILQ_INSERT_TAIL(&f->clients, c, entry);
	if (answerable && !c->own)
		client_set_text(&c->head, (struct slice){request->p, request->len});
	if (instead)
		note_instead(c, instead);
	if (!c->passed || client_take_memory(c, request) == 0)
		return 0;
	edge_client_drop(c);
	return -ENOBUFS;
}

void client_tell_flow_failure(const struct edge_client *c, unsigned code, const char *why)
{
	struct edge_head request = {0};
	struct edge_reply failed;

	/* Or nobody waits, or there was no memory for it. */
	if (edge_head_scan(&request, c->head, &edge_own_bounds) < 0)
		return;
	failed = client_reply(c, &request, code, why);
	edge_link_give_reply(&c->edge->link, &request, &failed);
}

void edge_clients_fail(struct sip_flow *f)
{
	struct edge_client *c;

	while ((c = TAILQ_FIRST(&f->clients))) {
		client_leave_lists(c);
		if (!f->was_open && edge_retry_unreached(c))
			continue;
		if (!f->was_open && c->host && c->text.p) {
			client_send_by_udp(c); /* RFC 3261 18.1.1: he may have no TCP */
			continue;
		}
		client_count_failure(c);
		client_leave(c);
		client_tell_flow_failure(c, edge_unreached(c->passed), "connection lost");
		edge_client_drop(c);
	}
}
