#include "endpoint/partial.h"

#include <errno.h>
#include <stdlib.h>

#include <msrpd/story.h>

#include "endpoint/session.h"

/* --- life --- */

struct partial *partial_find(const struct partials *all, const struct send_head *head)
{
	struct partial *m;

	LIST_FOREACH(m, &all->list, next)
		if (m->hash == head->hash && slice_equal(m->id, head->id))
			return m;
	return NULL;
}

struct partial *partial_new(struct partials *all, const struct send_head *head)
{
	struct partial *m = calloc(1, sizeof(*m) + head->id.len + head->type.len);

	if (!m)
		return NULL;
	m->all = all;
	m->failure_report = head->failure_report;
	m->success_report = head->success_report;
	m->total = head->range.total;
	m->hash = head->hash;
	m->id = (struct slice){m->text, head->id.len};
	m->type = (struct slice){m->text + head->id.len, head->type.len};
	memcpy(m->text, head->id.p, head->id.len);
	memcpy(m->text + head->id.len, head->type.p, head->type.len);
	LIST_INSERT_HEAD(&all->list, m, next);
	all->count++;
	return m;
}

static struct timer_queue *timeouts(const struct partial *m)
{
	return &m->all->session->all->partial;
}

void partial_unlink(struct partial *m)
{
	struct partials *all = m->all;

	if (all->current == m)
		all->current = NULL;
	if (all->asked == m)
		all->asked = NULL;
	LIST_REMOVE(m, next);
	all->count--;
	timer_queue_stop(timeouts(m), &m->timer);
}

void partial_free(struct partial *m)
{
	budget_return(session_budget(m->all->session), m->charged);
	reassembly_fini(&m->parts);
	free(m->path);
	free(m);
}

int partial_close(struct partial *m, int err)
{
	struct session *s = m->all->session;

	partial_unlink(m);
	return m->begun && s->handler ? s->handler->end(m->stream, err, s->arg) : 0;
}

void partial_abandon(struct partial *m, int err)
{
	partial_close(m, err);
	partial_free(m);
}

void partial_expired(struct timer_entry *entry, void *arg)
{
	struct partial *m = (struct partial *)((char *)entry - offsetof(struct partial, timer));
	struct session *s = session_ref(m->all->session);

	(void)arg;
	(*s->all->count.partial)++;
	story_often("msrp: session %.*s: message %.*s: dropped, no chunk came for partial_timeout",
	    SLICE_ARG(msrp_target_id(&s->target)), SLICE_ARG(m->id));
	partial_abandon(m, -ETIMEDOUT);
	session_unref(s);
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

enum { PARTIAL_TENTHS = 7 };

/* Memory is charged as it is taken, not as it is announced. */
static int charge(struct partial *m)
{
	size_t more = m->parts.held > m->charged ? m->parts.held - m->charged : 0;

	if (budget_take_within(session_budget(m->all->session), more, PARTIAL_TENTHS) < 0)
		return -ENOBUFS;
	m->charged += more;
	return 0;
}

/* @return 0, or the status with which the chunk is refused */
static int store(struct partial *m, uint64_t at, struct slice piece)
{
	uint64_t max = session_settings(m->all->session)->max_message_size;

	/* A stream may have no bound, but what waits for the bytes before it has. */
	if (m->parts.held > 2 * max)
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
	struct partials *all = m->all;
	struct session *s = all->session;
	int result;

	m->delivered += piece.len;
	all->asked = m;
	result = s->handler->piece(m->stream, piece, s->arg);
	if (all->asked != m)
		return -ECANCELED;
	all->asked = NULL;
	if (result == -EAGAIN)
		m->stalled = true;
	return result >= 300 || result == -EAGAIN ? result : 0;
}

int partial_add(struct partial *m, uint64_t at, struct slice piece)
{
	const struct session *s = m->all->session;

	if (s->bounded && at + piece.len > session_settings(s)->max_message_size)
		return 413;
	if (!s->stream || m->stalled || at > m->delivered)
		return store(m, at, piece);
	m->storing = false;
	if (at + piece.len <= m->delivered)
		return 0;
	return give(m, slice_from(piece, (size_t)(m->delivered - at)));
}

/* --- chunks --- */

void partial_begin_chunk(struct partial *m)
{
	m->all->current = m;
	m->storing = false;
	timer_queue_stop(timeouts(m), &m->timer);
}

void partial_end_chunk(struct partial *m)
{
	m->all->current = NULL;
	m->storing = false;
}

void partial_wait(struct partial *m)
{
	if (!m->stalled)
		timer_queue_start(timeouts(m), &m->timer);
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
