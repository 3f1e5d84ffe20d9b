/* Requests that go to another server of their domain: RFC 3263 4.3, RFC 3261 21.5.4. */
#include "edge/retry_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "edge/client_priv.h"
#include "edge/link_priv.h"
#include "edge/memory_priv.h"
#include "edge/place_priv.h"
#include "edge/priv.h"
#include "edge/service_priv.h"
#include "edge/way_priv.h"

enum { PAUSE_MAX_MS = 60 * 60 * 1000 }; /* that a server may ask for */

/* A request as the stack has sent it, for another server than the one that it went to. */
struct edge_retry {
	char place[EDGE_PLACE_SIZE];
	char domain[256]; /* of which the place is one */
	const struct edge_transport *transport;
	unsigned attempt; /* of the next one */
	size_t len;
	char text[];
};

void edge_retry_note(struct edge *edge, const struct edge_target *t, const struct edge_message *m,
    unsigned attempt)
{
	struct slice head = edge_head_text(&m->head);
	size_t len = head.len + m->body.len, cost = sizeof(struct edge_retry) + len;
	struct edge_client *c;
	struct edge_via via;

	if (edge_head_via(&m->head, &via) < 0)
		return;
	c = edge_client_find(edge, via.branch, edge_head_method(&m->head));
	if (!c || c->retry || !edge_memory_take(edge, EDGE_SHARE_OF_NOBODY, cost))
		return;
	c->retry = malloc(cost);
	if (!c->retry) {
		edge_memory_give(edge, EDGE_SHARE_OF_NOBODY, cost);
		return;
	}
	c->cost += cost;
	c->retry->attempt = attempt + 1;
	c->retry->len = len;
	c->retry->transport = t->transport;
	memcpy(c->retry->domain, t->identity, sizeof(c->retry->domain));
	edge_place_write(c->retry->place, t->transport, t->host, t->port);
	memcpy(c->retry->text, head.p, head.len);
	if (m->body.len)
		memcpy(c->retry->text + head.len, m->body.p, m->body.len);
}

void edge_retry_forget(struct edge_client *c)
{
	free(c->retry);
	c->retry = NULL;
}

static void send_elsewhere(struct edge *edge, struct edge_retry *retry)
{
	edge_send_again(edge, (struct slice){retry->text, retry->len}, retry->attempt);
	free(retry);
}

bool edge_retry_unreached(struct edge_client *c)
{
	struct edge_retry *retry = c->retry;
	struct edge *edge = c->edge;

	if (!retry || c->answered)
		return false;
	c->retry = NULL;
	edge_place_failed(edge, retry->place, 0);
	edge_client_drop(c);
	send_elsewhere(edge, retry);
	return true;
}

void edge_retry_too_late(struct edge_client *c)
{
	if (c->retry && !c->answered)
		edge_place_failed(c->edge, c->retry->place, 0);
}

/* --- 503 --- */

static uint64_t retry_after_ms(const struct edge_head *response)
{
	struct edge_line line;
	uint64_t seconds = 0;
	size_t at = 0;

	while (edge_head_next_line(response, &at, &line)) {
		struct slice value = edge_line_value(line.text);

		if (slice_equal_nocase(line.name, SLICE("Retry-After"))
		    && slice_to_u64(chars_take(&value, CHARS_DIGIT), PAUSE_MAX_MS / 1000, &seconds)
			== -ERANGE)
			seconds = PAUSE_MAX_MS / 1000;
	}
	return seconds * 1000;
}

/* The stack hears nothing of the response, so the ACK is ours. */
static void acknowledge(struct edge *edge, const struct edge_retry *retry,
    const struct edge_head *response)
{
	struct slice ack = edge_client_make_ack((struct slice){retry->text, retry->len}, response);

	if (ack.p)
		edge_send_again(edge, ack, 0);
	free((char *)ack.p);
}

bool edge_retry_refused(struct edge_client *c, struct slice branch,
    const struct edge_head *response)
{
	struct edge_retry *retry = c->retry;
	struct edge *edge = c->edge;
	bool invite;

	if (!retry)
		return false;
	c->retry = NULL;
	edge_place_failed(edge, retry->place, retry_after_ms(response));
	if (!edge_service_has_other(edge, retry->transport, retry->domain)) {
		free(retry);
		return false;
	}
	invite = c->invite;
	edge_client_end(c, response->code);
	if (invite) {
		acknowledge(edge, retry, response);
		c = edge_client_invite(edge, SLICE("ACK"), branch); /* its flow may have closed */
		if (c)
			edge_client_retire(c);
	}
	send_elsewhere(edge, retry);
	return true;
}
