/* A message of which some chunks have come: its memory, its bytes, its service. */
#include "endpoint/priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"

static const struct msrp_settings *settings_of(const struct partial *m)
{
	return msrp_stack_settings(m->ep->all->stack);
}

/* --- life --- */

struct partial *partial_find(const struct receiver *in)
{
	for (struct partial *m = in->open; m; m = m->next)
		if (m->hash == in->hash && slice_equal(m->id, in->id))
			return m;
	return NULL;
}

struct partial *partial_new(struct endpoint *ep)
{
	struct receiver *in = &ep->in;
	struct partial *m = calloc(1, sizeof(*m) + in->id.len + in->type.len);

	if (!m)
		return NULL;
	m->ep = ep;
	m->failure_report = in->failure_report;
	m->success_report = in->success_report;
	m->total = in->range.total;
	m->hash = in->hash;
	m->id = (struct slice){m->text, in->id.len};
	m->type = (struct slice){m->text + in->id.len, in->type.len};
	memcpy(m->text, in->id.p, in->id.len);
	memcpy(m->text + in->id.len, in->type.p, in->type.len);
	m->next = in->open;
	m->prevp = &in->open;
	if (m->next)
		m->next->prevp = &m->next;
	in->open = m;
	in->open_count++;
	return m;
}

void partial_unlink(struct partial *m)
{
	struct receiver *in = &m->ep->in;

	if (in->current == m)
		in->current = NULL;
	if (in->asked == m)
		in->asked = NULL;
	*m->prevp = m->next;
	if (m->next)
		m->next->prevp = m->prevp;
	in->open_count--;
	timer_queue_stop(&m->ep->all->partial, &m->timer);
}

void partial_free(struct partial *m)
{
	budget_return(msrp_stack_budget(m->ep->all->stack), m->charged);
	reassembly_fini(&m->parts);
	free(m->path);
	free(m);
}

void partial_abandon(struct partial *m, int err)
{
	struct endpoint *ep = m->ep;

	partial_unlink(m);
	if (m->begun && ep->handler)
		ep->handler->end(m->stream, err, ep->arg);
	partial_free(m);
}

void partial_expired(struct timer_entry *entry, void *arg)
{
	struct partial *m = (struct partial *)((char *)entry - offsetof(struct partial, timer));
	struct endpoint *ep = endpoint_ref(m->ep);

	(void)arg;
	(*ep->all->count.partial)++;
	log_info("msrp: session %.*s: message %.*s: dropped, no chunk came for partial_timeout",
	    SLICE_ARG(ep->target.uri.session_id), SLICE_ARG(m->id));
	partial_abandon(m, -ETIMEDOUT);
	endpoint_unref(ep);
}

struct message partial_describe(const struct partial *m)
{
	return (struct message){
	    .message_id = m->id,
	    .content_type = m->type,
	    .total = m->total,
	    .failure_report = m->failure_report,
	    .success_report = m->success_report,
	};
}

/* --- bytes --- */

/* Memory is charged as it is taken, not as it is announced. */
static int charge(struct partial *m)
{
	size_t more = m->parts.held > m->charged ? m->parts.held - m->charged : 0;

	if (budget_take(msrp_stack_budget(m->ep->all->stack), more) < 0)
		return -ENOBUFS;
	m->charged += more;
	return 0;
}

/* @return 0, or the status with which the chunk is refused */
static int store(struct partial *m, uint64_t at, struct slice piece)
{
	uint64_t max = settings_of(m)->max_message_size;

	/* A stream has no bound, but what waits for the bytes before it has. */
	if ((!m->ep->stream && at + piece.len > max) || m->parts.held > 2 * max)
		return 413;
	if (!m->storing && reassembly_begin(&m->parts, at) < 0)
		return 413;
	m->storing = true;
	if (reassembly_add(&m->parts, piece) < 0 || charge(m) < 0)
		return 413;
	return 0;
}

/* @return as partial_add() */
static int give(struct partial *m, struct slice piece)
{
	struct endpoint *ep = m->ep;
	int result;

	m->delivered += piece.len;
	ep->in.asked = m;
	result = ep->handler->piece(m->stream, piece, ep->arg);
	if (ep->in.asked != m)
		return -ECANCELED;
	ep->in.asked = NULL;
	if (result == -EAGAIN)
		m->stalled = true;
	return result >= 300 || result == -EAGAIN ? result : 0;
}

int partial_add(struct partial *m, uint64_t at, struct slice piece)
{
	if (!m->ep->stream || m->stalled || at > m->delivered)
		return store(m, at, piece);
	m->storing = false;
	if (at + piece.len <= m->delivered)
		return 0;
	return give(m, slice_from(piece, (size_t)(m->delivered - at)));
}

void partial_end_chunk(struct partial *m)
{
	m->storing = false;
}

bool partial_stream_is_whole(const struct partial *m)
{
	return m->parts.total_known && m->delivered >= m->parts.total;
}

bool partial_can_go_on(const struct partial *m)
{
	return m->begun && !m->stalled
	    && (partial_stream_is_whole(m) || reassembly_at(&m->parts, m->delivered).len);
}

int partial_drain(struct partial *m)
{
	struct slice part;
	int result = m->stalled ? -EAGAIN : 0;

	while (result == 0 && (part = reassembly_at(&m->parts, m->delivered)).len) {
		result = give(m, part);
		if (result != -ECANCELED)
			reassembly_forget(&m->parts, m->delivered);
	}
	return result;
}
