#include "endpoint/chunker.h"

#include <errno.h>
#include <stdlib.h>

#include <msrpd/rand.h>

#include "base/log.h"
#include "endpoint/session.h"
#include "wire/write.h"

enum {
	WHOLE_MAX = 2048,      /* RFC 4975 7.1.1: a longer chunk must be interruptible */
	SLICE_MAX = 64 * 1024, /* of a chunk, before others on its connection go on */
	FRAME_COST = 256,      /* of a share: what a frame has beside its body */
	BEGUN_MAX = 8,         /* long messages that interleave: peers bound them too */
	UNANSWERED_MAX = 256,  /* chunks of one message */
	HEAD_MAX = 2 * MSRP_PATH_MAX + 2048,
};

#define NONE ((struct slice){NULL, 0})

/* --- what waits --- */

static bool long_may_go(const struct chunker *c)
{
	return !TAILQ_EMPTY(&c->interleaved)
	    || (!TAILQ_EMPTY(&c->longs) && c->messages.begun < BEGUN_MAX);
}

static bool has_work(const struct chunker *c)
{
	return c->open || c->greet || !TAILQ_EMPTY(&c->shorts) || long_may_go(c);
}

bool chunker_can_send(const struct chunker *c)
{
	const struct session *s = c->session;

	/* RFC 6135 4.5: behind a relay the passive side connects too, and waits. */
	return s->handler && s->started && s->to_path && c->flow.conn
	    && (s->speaks_first || s->confirmed);
}

void chunker_kick(struct chunker *c)
{
	if (chunker_can_send(c) && has_work(c))
		msrp_flow_wait(&c->flow);
}

void chunker_greet(struct chunker *c, bool greet)
{
	c->greet = greet;
	chunker_kick(c);
}

bool chunker_drained(const struct chunker *c)
{
	return c->messages.count == 0 && !c->greet;
}

bool chunker_written(const struct chunker *c)
{
	return !has_work(c) && TAILQ_EMPTY(&c->longs) && TAILQ_EMPTY(&c->starved)
	    && TAILQ_EMPTY(&c->throttled);
}

void chunker_check_drained(struct chunker *c)
{
	const struct session *s = c->session;

	if (s->handler && chunker_drained(c) && s->handler->drained)
		s->handler->drained(s->arg);
}

void chunker_free_flushing(struct chunker *c)
{
	while (!TAILQ_EMPTY(&c->flushing))
		transmission_free(TAILQ_FIRST(&c->flushing));
}

static void on_left(struct net_mark *mark)
{
	struct chunker *c = (struct chunker *)((char *)mark - offsetof(struct chunker, left));
	struct session *s = session_ref(c->session);

	chunker_free_flushing(c);
	chunker_check_drained(c);
	session_unref(s);
}

/* --- chunks --- */

static struct chunk *chunk_get(struct chunker *c)
{
	struct chunk *chunk = pool_get(&c->session->all->chunks);

	if (chunk)
		LIST_INSERT_HEAD(&c->chunks, chunk, next);
	return chunk;
}

void chunker_chunk_over(struct chunk *chunk)
{
	struct chunker *c = chunk->chunker;

	/* An answer may precede the end of its frame. */
	if (c->open_chunk == chunk)
		c->open_chunk = NULL;
	LIST_REMOVE(chunk, next);
	pool_put(&c->session->all->chunks, chunk);
}

/* --- the open frame --- */

/* Writing can close the connection when memory is out; then everything has been rewound. */
static bool still_on(const struct chunker *c, uint64_t connection)
{
	const struct session *s = c->session;

	return s->handler && c->flow.conn && s->connections == connection;
}

static int begin_transaction(struct chunker *c, struct transmission *m)
{
	struct chunk *chunk;
	int err;

	c->open_chunk = NULL;
	if (m && m->failure_report == FAILURE_REPORT_NO) {
		rand_token(c->open_tid, MSRP_TID_LEN);
		return 0;
	}
	chunk = chunk_get(c);
	if (!chunk)
		return -ENOMEM;
	chunk->t = (struct msrp_transaction){.ops = c->chunk_ops};
	chunk->chunker = c;
	chunk->message = m && m->failure_report == FAILURE_REPORT_YES ? m : NULL;
	chunk->number = m ? m->number : 0;
	err = msrp_transaction_start(&chunk->t, c->flow.conn);
	if (err < 0) {
		chunker_chunk_over(chunk);
		return err;
	}
	if (chunk->message)
		m->unanswered++;
	memcpy(c->open_tid, chunk->t.tid, sizeof(c->open_tid));
	c->open_chunk = chunk;
	return 0;
}

static void write_head(struct chunker *c, const struct transmission *m, uint64_t number,
    const struct byte_range *range)
{
	char head[HEAD_MAX], id[MSRP_MESSAGE_ID_SIZE];
	struct buffer w = BUFFER_ON(head);

	msrp_write_request_line(&w, slice_of(c->open_tid), SLICE("SEND"));
	msrp_write_paths(&w, slice_of(c->session->to_path), slice_of(c->session->own_uri));
	msrp_write_header(&w, SLICE("Message-ID"), transmission_id(&c->messages, number, id));
	if (m && m->success_report)
		buffer_add(&w, SLICE("Success-Report: yes\r\n"));
	if (m && m->failure_report == FAILURE_REPORT_NO)
		buffer_add(&w, SLICE("Failure-Report: no\r\n"));
	if (m && m->failure_report == FAILURE_REPORT_PARTIAL)
		buffer_add(&w, SLICE("Failure-Report: partial\r\n"));
	msrp_write_byte_range(&w, range);
	if (m && !m->bodiless) {
		msrp_write_header(&w, SLICE("Content-Type"), (struct slice){m->type, m->type_len});
		msrp_write_blank_line(&w);
	}
	msrp_flow_begin(&c->flow, buffer_text(&w));
}

/* End the frame, and let its transaction's time run. */
static void end_frame(struct chunker *c, enum msrp_flag flag)
{
	struct chunk *chunk = c->open_chunk;
	struct transmission *m = c->open;
	uint64_t connection = c->session->connections;
	char end[MSRP_END_LINE_MAX];
	struct buffer w = BUFFER_ON(end);

	if (chunk && m)
		chunk->range.end = m->sent;
	msrp_write_end_line(&w, slice_of(c->open_tid), flag, m && !m->bodiless);
	msrp_flow_end(&c->flow, buffer_text(&w));
	if (!still_on(c, connection))
		return;
	c->open = NULL;
	c->open_chunk = NULL;
	if (chunk)
		msrp_transaction_sent(&chunk->t);
	session_active(c->session);
}

/* All of the message is written. */
static void sent_all(struct chunker *c, struct transmission *m)
{

	if (m->failure_report == FAILURE_REPORT_YES) {
		transmission_append(&c->answerable, m);
	} else {
		transmission_append(&c->flushing, m);
		msrp_conn_unmark(c->flow.conn, &c->left);
		msrp_conn_mark(c->flow.conn, &c->left);
	}
	transmission_stop(m);
}

/* As much of the open frame as leaves at once. */
static void continue_frame(struct chunker *c)
{
	struct transmission *m = c->open;
	struct slice piece = transmission_cut(m, c->open_rest, SLICE_MAX);
	uint64_t connection = c->session->connections;
	bool last = c->open_last;

	c->open_rest = slice_from(c->open_rest, piece.len);
	transmission_sent(m, piece.len);
	if (piece.len)
		msrp_flow_body(&c->flow, piece);
	if (!still_on(c, connection) || c->open_rest.len)
		return;
	end_frame(c, last ? MSRP_COMPLETE : MSRP_MORE);
	if (!still_on(c, connection))
		return;
	if (last)
		sent_all(c, m);
	else if (m->dry)
		transmission_append(&c->starved, m);
	else
		transmission_append(
		    m->unanswered < UNANSWERED_MAX ? &c->interleaved : &c->throttled, m);
}

/*
 * Open a frame for piece, which was fixed before its transaction id is drawn: nobody can have
 * put that id into it.  The message is in no list until the frame's end.
 *
 * @return 0, or -ECONNRESET: the connection is gone, and this dealt with
 */
static int begin_frame(struct chunker *c, struct transmission *m, struct slice piece, bool last)
{
	uint64_t connection = c->session->connections;
	struct byte_range range = {m->sent + 1, m->sent + piece.len, m->body.total};
	struct msrp_conn *conn = c->flow.conn;
	int err = begin_transaction(c, m);

	if (err < 0) {
		msrp_conn_close(conn, err);
		return -ECONNRESET;
	}
	if (last)
		range.total = range.end;
	if (c->open_chunk)
		c->open_chunk->range = range;
	if (piece.len > WHOLE_MAX || (piece.len == 0 && !last))
		range.end = BYTE_RANGE_UNKNOWN;
	if (m->long_one && !m->begun) {
		m->begun = true;
		c->messages.begun++;
	}
	transmission_unlink(m);
	c->greet = false;
	c->open = m;
	c->open_rest = piece;
	c->open_last = last;
	write_head(c, m, m->number, &range);
	return still_on(c, connection) ? 0 : -ECONNRESET;
}

/* What was open for the message is over, and with it the message, but for the answers. */
static void message_aborted(struct chunker *c, struct transmission *m)
{
	m->failed = true;
	transmission_stop(m);
	transmission_append(&c->answerable, m);
}

bool chunker_abort_open(struct chunker *c)
{
	struct transmission *m = c->open;
	uint64_t connection = c->session->connections;

	end_frame(c, MSRP_ABORTED);
	if (!still_on(c, connection))
		return false;
	message_aborted(c, m);
	return true;
}

/* The message will not be whole: tell the peer, if it has a part of it. */
static void abort_message(struct chunker *c, struct transmission *m)
{
	uint64_t connection = c->session->connections;

	if (m->begun) {
		if (begin_frame(c, m, NONE, false) < 0)
			return;
		end_frame(c, MSRP_ABORTED);
		if (!still_on(c, connection))
			return;
	}
	message_aborted(c, m);
	if (m->unanswered == 0)
		transmission_free(m);
}

/* --- which goes next --- */

/* What fits one chunk goes in the order in which it was queued. */
static void send_shorts(struct chunker *c)
{
	uint64_t connection = c->session->connections;
	size_t share = session_chunk_size(c->session);
	struct transmission *m;

	while (still_on(c, connection) && !c->open && (m = TAILQ_FIRST(&c->shorts))) {
		size_t len = m->body.bytes.len;

		if (begin_frame(c, m, m->body.bytes, true) < 0)
			return;
		continue_frame(c);
		if (share < len + FRAME_COST)
			return;
		share -= len + FRAME_COST;
	}
}

/* Its source will not give what it promised. */
static void source_failed(struct chunker *c, struct transmission *m, int err)
{
	uint64_t connection = c->session->connections;

	log_debug("msrp: session %.*s: a message's source failed: %s",
	    SLICE_ARG(msrp_target_id(&c->session->target)), strerror(-err));
	m->failed = true;
	transmission_source_done(m);
	if (still_on(c, connection))
		abort_message(c, m);
}

/* @return as transmission_fill() */
static int next_bytes(const struct chunker *c, struct transmission *m)
{
	if (m->buffer)
		return m->dry ? 0 : transmission_fill(m);
	return transmission_look(m, session_chunk_size(c->session));
}

static void send_long(struct chunker *c)
{
	struct transmission *m =
	    TAILQ_FIRST(TAILQ_EMPTY(&c->interleaved) ? &c->longs : &c->interleaved);
	struct slice piece;
	bool last;
	int err;

	transmission_prepend(&c->interleaved, m);
	if (m->failed) {
		abort_message(c, m);
		return;
	}
	err = next_bytes(c, m);
	if (err == -ECANCELED)
		return;
	if (err < 0) {
		source_failed(c, m, err);
		return;
	}
	piece = transmission_chunk(m, session_chunk_size(c->session), &last);
	/* RFC 4975 7.1.1: no chunk of less than 2048 bytes but the last. */
	if (m->dry && piece.len < WHOLE_MAX) {
		transmission_append(&c->starved, m);
		return;
	}
	if (begin_frame(c, m, piece, last) == 0)
		continue_frame(c);
}

static void send_greeting(struct chunker *c)
{
	uint64_t connection = c->session->connections;
	struct byte_range nothing = {1, 0, 0};
	struct msrp_conn *conn = c->flow.conn;
	int err = begin_transaction(c, NULL);

	c->greet = false;
	if (err < 0) {
		msrp_conn_close(conn, err);
		return;
	}
	c->open_chunk->range = nothing;
	write_head(c, NULL, ++c->messages.last_number, &nothing);
	if (still_on(c, connection))
		end_frame(c, MSRP_COMPLETE);
}

/* One chunk's share, alternately for short messages and long ones. */
static void send_next(struct chunker *c)
{
	uint64_t connection = c->session->connections;

	if (c->open)
		continue_frame(c);
	else if (long_may_go(c) && (c->long_next || TAILQ_EMPTY(&c->shorts))) {
		c->long_next = false;
		send_long(c);
	} else {
		c->long_next = true;
		send_shorts(c);
	}
	/* RFC 4975 5.4: only if nothing else binds the session at the peer. */
	if (still_on(c, connection) && c->greet && !c->open)
		send_greeting(c);
}

static struct chunker *of_flow(struct msrp_flow *flow)
{
	return (struct chunker *)((char *)flow - offsetof(struct chunker, flow));
}

static void check_room(struct chunker *c)
{
	const struct session *s = c->session;

	if (!c->wants_room || c->messages.unsent > c->low || !s->handler)
		return;
	c->wants_room = false;
	s->handler->room(s->arg);
}

static void on_writable(struct msrp_flow *flow)
{
	struct chunker *c = of_flow(flow);
	struct session *s = session_ref(c->session);

	if (chunker_can_send(c) && has_work(c))
		send_next(c);
	if (s->handler)
		chunker_kick(c);
	check_room(c);
	chunker_check_drained(c);
	session_unref(s);
}

/* Others wait for the connection: the rest of the chunk goes in the next one. */
static void on_interrupt(struct msrp_flow *flow)
{
	struct chunker *c = of_flow(flow);
	struct session *s = session_ref(c->session);
	struct transmission *m = c->open;
	uint64_t connection = c->session->connections;

	end_frame(c, MSRP_MORE);
	if (m && still_on(c, connection)) {
		/* A message that was meant for one chunk has become a long one. */
		m->long_one = true;
		if (!m->begun)
			c->messages.begun++;
		m->begun = true;
		transmission_prepend(&c->interleaved, m);
		chunker_kick(c);
	}
	session_unref(s);
}

static void on_closed(struct msrp_flow *flow, int err)
{
	(void)flow; /* the user of the same connection is told */
	(void)err;
}

static const struct msrp_flow_ops flow_ops = {
    .interrupt = on_interrupt,
    .writable = on_writable,
    .closed = on_closed,
};

/* It goes on, in its turn. */
void chunker_wake(struct chunker *c, struct transmission *m)
{
	m->dry = false;
	if (m->list != &c->starved)
		return;
	transmission_append(m->begun ? &c->interleaved : &c->longs, m);
	chunker_kick(c);
}

static void on_grown(struct transmission *m)
{
	chunker_wake((struct chunker *)((char *)m->all - offsetof(struct chunker, messages)), m);
}

/* --- life --- */

void chunker_init(struct chunker *c, struct session *session,
    const struct msrp_transaction_ops *chunk_ops)
{
	struct transmission_list *lists[] = {&c->shorts, &c->longs, &c->interleaved, &c->starved,
	    &c->throttled, &c->answerable, &c->flushing};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		TAILQ_INIT(lists[i]);
	LIST_INIT(&c->chunks);
	c->session = c->messages.session = session;
	c->messages.grown = on_grown;
	c->chunk_ops = chunk_ops;
	c->flow.ops = &flow_ops;
	c->left.sent = on_left;
	rand_token(c->messages.prefix, sizeof(c->messages.prefix) - 1);
}
