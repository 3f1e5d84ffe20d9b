/*
 * Client transactions that are given up before their final response has come: by a BYE that crosses
 * with them, or for their time.
 */
#include "edge/client_own_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "edge/priv.h"
#include "edge/way_priv.h"

static const struct slice absent;

/* @return NULL: it is gone, as who is told may close, and it went to him */
static struct edge_client *answer_instead(struct edge_client *c, unsigned code, const char *why)
{
	struct edge *edge = c->edge;
	char key[CLIENT_KEY_SIZE];

	snprintf(key, sizeof(key), "%s", c->key);
	if (c->flow)
		client_tell_flow_failure(c, code, why);
	else
		client_tell_datagram_failure(c, code, why);
	HASH_FIND_STR(edge->clients, key, c);
	return c;
}

/* --- a BYE that crosses --- */

/* Wherever it comes from: the re-INVITE may have gone by way of another node. */
void edge_client_hung_up(struct edge *edge, const struct edge_head *bye)
{
	struct edge_client *c = client_find_reinvite(edge, bye);
	struct slice ack;

	if (!c)
		return;
	c = answer_instead(c, 487, "hung up");
	if (!c)
		return;
	/* By UDP the response that comes gets its ACK: within a dialog To is known before (17.1.1.3). */
	ack = c->flow ? absent : edge_client_make_ack(c->text, NULL);
	client_complete(c, &edge->client_waiting);
	c->text = ack;
	c->hung_up = true;
}

/* --- time --- */

/* Timer C: RFC 3261 16.8. */
static void stop_ringing(struct edge_client *c)
{
	struct slice cancel = {slice_dup(c->cancel), c->cancel.len}; /* which sending may forget */

	c->gives_up = true;
	client_set_life(c, &c->edge->client_waiting);
	if (cancel.p)
		edge_send_again(c->edge, cancel, 0);
	free((char *)cancel.p);
}

/* Who has called hears no other failure after this one, but still that it was accepted (16.7). */
static void time_out(struct edge_client *c)
{
	struct slice cancel;

	c = answer_instead(c, 408, "no answer");
	if (!c)
		return;
	cancel = c->cancel;
	c->cancel = absent;
	client_complete(c, &c->edge->client_completed);
	c->cancel = cancel;
	c->hung_up = true;
}

void client_give_up_watched(struct edge_client *c)
{
	c = answer_instead(c, 504, "no answer");
	if (c)
		edge_client_drop(c);
}

/* The response gets its ACK, and the stack hears of another. */
static void refuse_instead(struct edge_client *c, const struct edge_head *response, unsigned code,
    const char *why)
{
	bool by_flow = c->flow;
	struct slice ack = edge_client_make_ack(by_flow ? c->head : c->text, response);

	c = answer_instead(c, code, why);
	if (c) {
		client_complete(c, by_flow ? &c->edge->client_waiting : &c->edge->client_completed);
		c->hung_up = true;
	}
	if (c && by_flow) {
		edge_send_ack(c, ack);
	} else if (c && ack.p) {
		c->text = ack;
		client_transmit(c);
		return;
	}
	free((char *)ack.p);
}

void client_give_up_reinvite(struct edge_client *c, const struct edge_head *response)
{
	refuse_instead(c, response, 504, "no answer");
}

bool client_end_fork(struct edge_client *c, const struct edge_head *response)
{
	if (response->code >= 300) {
		refuse_instead(c, response, response->code, "another branch has refused");
		return false;
	}
	c = answer_instead(c, 487, "another branch has accepted");
	if (c)
		edge_client_drop(c);
	return true;
}

void client_expire(struct edge_client *c)
{
	if (c->life_queue == &c->edge->client_watched) {
		client_give_up_watched(c);
		return;
	}
	if (c->life_queue == &c->edge->client_ringing) {
		stop_ringing(c);
		return;
	}
	client_count_failure(c);
	/* Of its own the stack finds that out. */
	if (c->passed && c->invite && !c->completed)
		time_out(c);
	else
		edge_client_drop(c);
}
