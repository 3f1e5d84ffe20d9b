/* What comes back for a client transaction: for the stack, or because it has come before. */
#include "edge/client_own_priv.h"

#include <stdlib.h>

#include "edge/priv.h"
#include "edge/repeat_priv.h"
#include "edge/retry_priv.h"
#include "edge/way_priv.h"

/* RFC 3261 17.1.1.2: an INVITE may ring as long as the stack likes; 16.7: or a proxy. */
static void take_provisional(struct edge_client *c, unsigned code)
{
	c->answered = true;
	if (code > 100)
		edge_retry_forget(c); /* it is there that it rings */
	if (!c->invite) {
		edge_repeat_slow_down(c->edge, &c->repeat);
		return;
	}
	edge_repeat_stop(c->edge, &c->repeat);
	if (!c->cancelled && (code > 100 || c->life_queue != &c->edge->client_ringing))
		client_set_life(c, c->passed ? &c->edge->client_ringing : NULL);
}

/* Who has called has heard of a failure of ours before: the ACK is ours, too. */
static void acknowledge_late(struct edge_client *c, const struct edge_head *response)
{
	struct slice ack = edge_client_make_ack(c->cancel, response);

	if (ack.p)
		edge_send_ack(c, ack);
	free((char *)ack.p);
}

/* @return is it for the stack? */
static bool take_again(struct edge_client *c, const struct edge_head *response)
{
	bool refused = c->invite && response->code >= 300;
	bool accepted = c->invite && response->code >= 200 && !refused;

	/* Another branch of a fork may accept. */
	if (c->hung_up ? !c->again && accepted : c->flow || accepted)
		return true;
	++*c->edge->count.repeats_in;
	if (refused && c->text.p) {
		++*c->edge->count.repeats_out;
		client_transmit(c);
	} else if (refused) {
		acknowledge_late(c, response);
	}
	return false;
}

/* As the stack has it, after RFC 5057 5.1. */
static bool ends_dialog(unsigned code)
{
	static const unsigned codes[] = {404, 408, 410, 416, 480, 481, 482, 484, 485, 502, 604};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i] == code)
			return true;
	return false;
}

/* @return was it one within a dialog? */
static bool give_up(struct edge_client *c, const struct edge_head *response)
{
	bool watched = c->life_queue == &c->edge->client_watched;
	bool reinvite = c->again;

	if (watched)
		client_give_up_watched(c);
	else if (reinvite)
		client_give_up_reinvite(c, response);
	return watched || reinvite;
}

/* RFC 3262: has it a number? */
static bool is_reliable(const struct edge_head *response)
{
	struct edge_line line;
	size_t at = 0;

	while (edge_head_next_line(response, &at, &line))
		if (slice_equal_nocase(line.name, SLICE("RSeq")))
			return true;
	return false;
}

/* The stack has bound itself to another branch of the fork. */
static bool is_of_another_branch(const struct edge_client *c, const struct edge_head *response)
{
	return c->tag.p && response->code >= 200
	    && !slice_equal(edge_head_tag(response, EDGE_TO), c->tag);
}

bool edge_client_answered(struct edge *edge, struct slice branch, unsigned attempt,
    const struct edge_head *response)
{
	struct edge_client *c;
	struct slice method;
	uint32_t number;
	bool own;

	if (edge_head_cseq(response, &number, &method) < 0)
		return true;
	c = edge_client_find(edge, branch, method);
	if (!c)
		return true;
	if (c->attempt != attempt && !(c = client_find_retired(c, attempt)))
		return false;
	if (c->completed)
		return take_again(c, response);
	if (response->code == 503 && edge_retry_refused(c, branch, response))
		return false;
	if (ends_dialog(response->code) && give_up(c, response))
		return false;
	if (is_of_another_branch(c, response))
		return client_end_fork(c, response);
	if (c->dialog_hh.tbl && !c->tag.p && response->code > 100 && response->code < 200
	    && is_reliable(response))
		client_set_text(&c->tag, edge_head_tag(response, EDGE_TO));
	own = c->own;
	if (response->code >= 200)
		edge_client_end(c, response->code);
	else
		take_provisional(c, response->code);
	return !own;
}
