/* Cuts an endpoint's messages into chunks, which interleave on its connection: RFC 4975 7.1.1. */
#include "endpoint/priv.h"

#include <errno.h>
#include <stdlib.h>

#include <msrpd/rand.h>

#include "base/log.h"

enum {
	WHOLE_MAX = 2048,      /* RFC 4975 7.1.1: a longer chunk must be interruptible */
	SLICE_MAX = 64 * 1024, /* of a chunk, before others on its connection go on */
	FRAME_COST = 256,      /* of a share: what a frame has beside its body */
	BEGUN_MAX = 8,         /* long messages that interleave: peers bound them too */
	UNANSWERED_MAX = 256,  /* chunks of one message */
	STORED_CHUNKS = 1024,
	HEAD_MAX = 2 * MSRP_PATH_MAX + 2048,
};

#define NONE ((struct slice){NULL, 0})

static bool long_may_go(const struct sender *out)
{
	return out->interleaved.first || (out->longs.first && out->begun < BEGUN_MAX);
}

static bool has_work(const struct sender *out)
{
	return out->open || out->greet || out->shorts.first || long_may_go(out);
}

void chunker_kick(struct endpoint *ep)
{
	if (endpoint_can_send(ep) && has_work(&ep->out))
		msrp_flow_wait(&ep->out.flow);
}

/* --- chunks --- */

static struct chunk *chunk_get(struct endpoint *ep)
{
	struct endpoints *all = ep->all;
	struct chunk *chunk = all->free_chunks;

	if (chunk) {
		all->free_chunks = chunk->next;
		all->free_chunk_count--;
	} else {
		chunk = malloc(sizeof(*chunk));
		if (!chunk)
			return NULL;
	}
	chunk->next = ep->out.chunks;
	chunk->prevp = &ep->out.chunks;
	if (chunk->next)
		chunk->next->prevp = &chunk->next;
	ep->out.chunks = chunk;
	return chunk;
}

void chunker_chunk_over(struct chunk *chunk)
{
	struct endpoints *all = chunk->ep->all;

	*chunk->prevp = chunk->next;
	if (chunk->next)
		chunk->next->prevp = chunk->prevp;
	if (all->free_chunk_count >= STORED_CHUNKS) {
		free(chunk);
		return;
	}
	chunk->next = all->free_chunks;
	all->free_chunks = chunk;
	all->free_chunk_count++;
}

void chunker_free_store(struct endpoints *all)
{
	struct chunk *chunk;

	while ((chunk = all->free_chunks)) {
		all->free_chunks = chunk->next;
		free(chunk);
	}
}

/* --- the open frame --- */

/* Writing can close the connection when memory is out; then everything has been rewound. */
static bool still_on(const struct endpoint *ep, uint64_t connection)
{
	return ep->handler && ep->out.flow.conn && ep->connections == connection;
}

static int begin_transaction(struct endpoint *ep, struct transmission *m)
{
	struct sender *out = &ep->out;
	struct chunk *chunk;
	int err;

	out->open_chunk = NULL;
	if (m && m->failure_report == FAILURE_REPORT_NO) {
		rand_token(out->open_tid, MSRP_TID_LEN);
		return 0;
	}
	chunk = chunk_get(ep);
	if (!chunk)
		return -ENOMEM;
	chunk->t = (struct msrp_transaction){.ops = &sender_chunk_ops};
	chunk->ep = ep;
	chunk->message = m && m->failure_report == FAILURE_REPORT_YES ? m : NULL;
	chunk->number = m ? m->number : 0;
	err = msrp_transaction_start(&chunk->t, out->flow.conn);
	if (err < 0) {
		chunker_chunk_over(chunk);
		return err;
	}
	if (chunk->message)
		m->unanswered++;
	memcpy(out->open_tid, chunk->t.tid, sizeof(out->open_tid));
	out->open_chunk = chunk;
	return 0;
}

static void write_head(struct endpoint *ep, const struct transmission *m, uint64_t number,
    const struct byte_range *range)
{
	char head[HEAD_MAX], id[MSRP_MESSAGE_ID_SIZE];
	struct buffer w = BUFFER_ON(head);

	msrp_write_request_line(&w, slice_of(ep->out.open_tid), SLICE("SEND"));
	msrp_write_paths(&w, slice_of(ep->to_path), slice_of(ep->own_uri));
	msrp_write_header(&w, SLICE("Message-ID"), transmission_id(ep, number, id));
	if (m && m->success_report)
		buffer_add(&w, SLICE("Success-Report: yes\r\n"));
	if (m && m->failure_report == FAILURE_REPORT_NO)
		buffer_add(&w, SLICE("Failure-Report: no\r\n"));
	if (m && m->failure_report == FAILURE_REPORT_PARTIAL)
		buffer_add(&w, SLICE("Failure-Report: partial\r\n"));
	buffer_add(&w, SLICE("Byte-Range: "));
	msrp_byte_range_write(&w, range);
	buffer_add(&w, SLICE("\r\n"));
	if (m && !m->bodiless) {
		msrp_write_header(&w, SLICE("Content-Type"), (struct slice){m->type, m->type_len});
		msrp_write_blank_line(&w);
	}
	msrp_flow_begin(&ep->out.flow, buffer_text(&w));
}

/* End the frame, and let its transaction's time run. */
static void end_frame(struct endpoint *ep, enum msrp_flag flag)
{
	struct sender *out = &ep->out;
	struct chunk *chunk = out->open_chunk;
	struct transmission *m = out->open;
	uint64_t connection = ep->connections;
	char end[MSRP_END_LINE_MAX];
	struct buffer w = BUFFER_ON(end);

	if (chunk && m)
		chunk->range.end = m->sent;
	msrp_write_end_line(&w, slice_of(out->open_tid), flag, m && !m->bodiless);
	msrp_flow_end(&out->flow, buffer_text(&w));
	if (!still_on(ep, connection))
		return;
	out->open = NULL;
	out->open_chunk = NULL;
	if (chunk)
		msrp_transaction_sent(&chunk->t);
	endpoint_active(ep);
}

/* All of the message is written. */
static void sent_all(struct endpoint *ep, struct transmission *m)
{
	struct sender *out = &ep->out;

	if (m->failure_report == FAILURE_REPORT_YES) {
		transmission_append(&out->answerable, m);
	} else {
		transmission_append(&out->flushing, m);
		msrp_conn_unmark(out->flow.conn, &out->left);
		msrp_conn_mark(out->flow.conn, &out->left);
	}
	transmission_stop(m);
}

/* As much of the open frame as leaves at once. */
static void continue_frame(struct endpoint *ep)
{
	struct sender *out = &ep->out;
	struct transmission *m = out->open;
	struct slice piece = transmission_cut(m, out->open_rest, SLICE_MAX);
	uint64_t connection = ep->connections;
	bool last = out->open_last;

	out->open_rest = slice_from(out->open_rest, piece.len);
	m->sent += piece.len;
	m->taken += piece.len;
	if (piece.len)
		msrp_flow_body(&out->flow, piece);
	if (!still_on(ep, connection) || out->open_rest.len)
		return;
	end_frame(ep, last ? MSRP_COMPLETE : MSRP_MORE);
	if (!still_on(ep, connection))
		return;
	if (last)
		sent_all(ep, m);
	else if (m->dry)
		transmission_append(&out->starved, m);
	else
		transmission_append(
		    m->unanswered < UNANSWERED_MAX ? &out->interleaved : &out->throttled, m);
}

/*
 * Open a frame for piece, which was fixed before its transaction id is drawn: nobody can have
 * put that id into it.  The message is in no list until the frame's end.
 *
 * @return 0, or -ECONNRESET: the connection is gone, and this dealt with
 */
static int begin_frame(struct endpoint *ep, struct transmission *m, struct slice piece, bool last)
{
	struct sender *out = &ep->out;
	uint64_t connection = ep->connections;
	struct byte_range range = {m->sent + 1, m->sent + piece.len, m->body.total};
	struct msrp_conn *conn = out->flow.conn;
	int err = begin_transaction(ep, m);

	if (err < 0) {
		msrp_conn_close(conn, err);
		return -ECONNRESET;
	}
	if (last)
		range.total = range.end;
	if (out->open_chunk)
		out->open_chunk->range = range;
	if (piece.len > WHOLE_MAX || (piece.len == 0 && !last))
		range.end = BYTE_RANGE_UNKNOWN;
	if (m->long_one && !m->begun) {
		m->begun = true;
		out->begun++;
	}
	transmission_unlink(m);
	out->greet = false;
	out->open = m;
	out->open_rest = piece;
	out->open_last = last;
	write_head(ep, m, m->number, &range);
	return still_on(ep, connection) ? 0 : -ECONNRESET;
}

/* What was open for the message is over, and with it the message, but for the answers. */
static void message_aborted(struct endpoint *ep, struct transmission *m)
{
	m->failed = true;
	transmission_stop(m);
	transmission_append(&ep->out.answerable, m);
}

bool chunker_abort_open(struct endpoint *ep)
{
	struct transmission *m = ep->out.open;
	uint64_t connection = ep->connections;

	end_frame(ep, MSRP_ABORTED);
	if (!still_on(ep, connection))
		return false;
	message_aborted(ep, m);
	return true;
}

/* The message will not be whole: tell the peer, if it has a part of it. */
static void abort_message(struct endpoint *ep, struct transmission *m)
{
	uint64_t connection = ep->connections;

	if (m->begun) {
		if (begin_frame(ep, m, NONE, false) < 0)
			return;
		end_frame(ep, MSRP_ABORTED);
		if (!still_on(ep, connection))
			return;
	}
	message_aborted(ep, m);
	if (m->unanswered == 0)
		transmission_free(m);
}

/* --- which goes next --- */

/* What fits one chunk goes in the order in which it was queued. */
static void send_shorts(struct endpoint *ep)
{
	struct sender *out = &ep->out;
	uint64_t connection = ep->connections;
	size_t share = endpoint_chunk_size(ep);
	struct transmission *m;

	while (still_on(ep, connection) && !out->open && (m = out->shorts.first)) {
		size_t len = m->body.bytes.len;

		if (begin_frame(ep, m, m->body.bytes, true) < 0)
			return;
		continue_frame(ep);
		if (share < len + FRAME_COST)
			return;
		share -= len + FRAME_COST;
	}
}

/* Its source will not give what it promised. */
static void source_failed(struct endpoint *ep, struct transmission *m, int err)
{
	uint64_t connection = ep->connections;

	log_debug("msrp: session %.*s: a message's source failed: %s",
	    SLICE_ARG(ep->target.uri.session_id), strerror(-err));
	m->failed = true;
	transmission_source_done(m);
	if (still_on(ep, connection))
		abort_message(ep, m);
}

static void send_long(struct endpoint *ep)
{
	struct sender *out = &ep->out;
	struct transmission *m = out->interleaved.first ? out->interleaved.first : out->longs.first;
	struct slice piece;
	bool last;
	int err;

	transmission_prepend(&out->interleaved, m);
	if (m->failed) {
		abort_message(ep, m);
		return;
	}
	err = m->buffer && !m->dry ? transmission_fill(m) : 0;
	if (err == -ECANCELED)
		return;
	if (err < 0) {
		source_failed(ep, m, err);
		return;
	}
	piece = transmission_chunk(m, endpoint_chunk_size(ep), &last);
	/* RFC 4975 7.1.1: no chunk of less than 2048 bytes but the last. */
	if (m->dry && piece.len < WHOLE_MAX) {
		transmission_append(&out->starved, m);
		return;
	}
	if (begin_frame(ep, m, piece, last) == 0)
		continue_frame(ep);
}

static void send_greeting(struct endpoint *ep)
{
	struct sender *out = &ep->out;
	uint64_t connection = ep->connections;
	struct byte_range nothing = {1, 0, 0};
	struct msrp_conn *conn = out->flow.conn;
	int err = begin_transaction(ep, NULL);

	out->greet = false;
	if (err < 0) {
		msrp_conn_close(conn, err);
		return;
	}
	out->open_chunk->range = nothing;
	write_head(ep, NULL, ++out->last_number, &nothing);
	if (still_on(ep, connection))
		end_frame(ep, MSRP_COMPLETE);
}

/* One chunk's share, alternately for short messages and long ones. */
static void send_next(struct endpoint *ep)
{
	struct sender *out = &ep->out;
	uint64_t connection = ep->connections;

	if (out->open)
		continue_frame(ep);
	else if (long_may_go(out) && (out->long_next || !out->shorts.first)) {
		out->long_next = false;
		send_long(ep);
	} else {
		out->long_next = true;
		send_shorts(ep);
	}
	/* RFC 4975 5.4: only if nothing else binds the session at the peer. */
	if (still_on(ep, connection) && out->greet && !out->open)
		send_greeting(ep);
}

static struct endpoint *of_flow(struct msrp_flow *flow)
{
	return (struct endpoint *)((char *)flow - offsetof(struct endpoint, out.flow));
}

static void on_writable(struct msrp_flow *flow)
{
	struct endpoint *ep = endpoint_ref(of_flow(flow));

	if (endpoint_can_send(ep) && has_work(&ep->out))
		send_next(ep);
	if (ep->handler)
		chunker_kick(ep);
	sender_check_drained(ep);
	endpoint_unref(ep);
}

/* Others wait for the connection: the rest of the chunk goes in the next one. */
static void on_interrupt(struct msrp_flow *flow)
{
	struct endpoint *ep = endpoint_ref(of_flow(flow));
	struct transmission *m = ep->out.open;
	uint64_t connection = ep->connections;

	end_frame(ep, MSRP_MORE);
	if (m && still_on(ep, connection)) {
		/* A message that was meant for one chunk has become a long one. */
		m->long_one = true;
		if (!m->begun)
			ep->out.begun++;
		m->begun = true;
		transmission_prepend(&ep->out.interleaved, m);
		chunker_kick(ep);
	}
	endpoint_unref(ep);
}

static void on_closed(struct msrp_flow *flow, int err)
{
	(void)flow; /* the user of the same connection is told */
	(void)err;
}

const struct msrp_flow_ops chunker_flow_ops = {on_interrupt, on_writable, on_closed};
