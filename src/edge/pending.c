/*
 * Requests of the stack whose final response has not come: they fail at once when their connection
 * does, instead of after the time that the stack gives a peer to answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/priv.h"

enum { KEY_SIZE = 320 };

static int write_key(char key[KEY_SIZE], struct slice branch, struct slice method)
{
	int n = snprintf(key, KEY_SIZE, "%.*s %.*s", SLICE_ARG(branch), SLICE_ARG(method));

	return n > 0 && n < KEY_SIZE ? 0 : -1;
}

static struct edge_pending *find(struct edge *edge, struct slice branch, struct slice method)
{
	struct edge_pending *p = NULL;
	char key[KEY_SIZE];

	if (write_key(key, branch, method) == 0)
		HASH_FIND_STR(edge->pendings, key, p);
	return p;
}

static void drop(struct edge *edge, struct edge_pending *p)
{
	HASH_DELETE(hh, edge->pendings, p);
	TAILQ_REMOVE(&p->flow->pendings, p, of_flow);
	timer_queue_stop(&edge->waiting, &p->given_up);
	free(p->failure);
	free(p);
}

static void insert(struct sip_flow *f, struct edge_pending *p)
{
	struct edge *edge = f->edge;

	p->flow = f;
	HASH_ADD_STR(edge->pendings, key, p);
	if (!p->hh.tbl) {
		free(p->failure);
		free(p);
		return;
	}
	TAILQ_INSERT_TAIL(&f->pendings, p, of_flow);
	timer_queue_start(&edge->waiting, &p->given_up);
}

/* The stack waits for no answer to a cancelled INVITE longer than to any other (RFC 3261 9.1). */
static void bound_cancelled(struct edge *edge, struct slice branch)
{
	struct edge_pending *invite = find(edge, branch, SLICE("INVITE"));

	if (invite)
		timer_queue_start(&edge->waiting, &invite->given_up);
}

void edge_pending_start(struct sip_flow *f, const struct edge_head *request)
{
	const struct edge_reply failed = {.code = 503,
	    .why = "connection lost",
	    .agent = slice_of(f->edge->link.token),
	    .to_tag = SLICE("edge")};
	struct slice method = edge_head_method(request);
	struct edge_pending *p, *before;
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	struct edge_via via;
	char key[KEY_SIZE];
	size_t size;

	if (!edge_reply_possible(request) || edge_head_via(request, &via) < 0
	    || write_key(key, via.branch, method) < 0)
		return;
	if (slice_equal(method, SLICE("CANCEL")))
		bound_cancelled(f->edge, via.branch);
	before = find(f->edge, via.branch, method);
	if (before)
		drop(f->edge, before);
	size = strlen(key) + 1;
	p = calloc(1, sizeof(*p) + size);
	if (!p)
		return;
	memcpy(p->key, key, size);
	p->invite = slice_equal(method, SLICE("INVITE"));
	edge_reply_write(&w, request, &failed);
	if (buffer_take(&w, &p->failure, &p->failure_len) < 0)
		free(p);
	else
		insert(f, p);
}

void edge_pending_answered(struct edge *edge, struct slice branch, const struct edge_head *response)
{
	struct edge_pending *p;
	struct slice method;
	uint32_t number;

	if (edge_head_cseq(response, &number, &method) < 0)
		return;
	p = find(edge, branch, method);
	if (!p)
		return;
	/* RFC 3261 17.1.1.2: an INVITE may ring as long as it likes. */
	if (response->code >= 200)
		drop(edge, p);
	else if (p->invite)
		timer_queue_stop(&edge->waiting, &p->given_up);
}

void edge_pendings_fail(struct sip_flow *f)
{
	struct edge_pending *p;

	while ((p = TAILQ_FIRST(&f->pendings))) {
		edge_link_send_text(&f->edge->link, (struct slice){p->failure, p->failure_len});
		drop(f->edge, p);
	}
}

void edge_pending_given_up(struct timer_entry *entry, void *arg)
{
	drop(arg,
	    (struct edge_pending *)(void *)((char *)entry
		- offsetof(struct edge_pending, given_up)));
}
