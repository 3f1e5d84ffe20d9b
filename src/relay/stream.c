/*
 * A SEND on its way through: what comes in is passed on at once, by reference.
 * One stream takes the body of one incoming frame; what it writes is one leg, or
 * several when others need the line meanwhile.
 */
#include "relay/priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum {
	STORED_STREAMS = 256,
	HYPHENS_LEN = 9, /* with the CRLF before them */
	NEEDLE_LEN = HYPHENS_LEN + MSRP_TID_LEN,
};

/* --- memory --- */

static struct stream *stream_get(struct relay *relay)
{
	struct stream *s = relay->free_streams;

	if (s) {
		relay->free_streams = s->next;
		relay->free_stream_count--;
	} else {
		s = malloc(sizeof(*s));
	}
	return s;
}

static void link_stream(struct stream *s, struct stream **head)
{
	s->next = *head;
	s->prevp = head;
	if (s->next)
		s->next->prevp = &s->next;
	*head = s;
}

static void unlink_stream(struct stream *s)
{
	*s->prevp = s->next;
	if (s->next)
		s->next->prevp = s->prevp;
}

/* Its leg is gone, or on its own. */
static void stream_put(struct stream *s)
{
	struct relay *relay = s->relay;

	timer_queue_stop(&relay->stalls, &s->stall);
	msrp_sink_drop(&s->sink);
	msrp_flow_detach(&s->flow);
	if (s->paused)
		msrp_conn_resume(s->source);
	msrp_conn_unref(s->source);
	unlink_stream(s);
	if (relay->free_stream_count >= STORED_STREAMS) {
		free(s);
		return;
	}
	s->next = relay->free_streams;
	relay->free_streams = s;
	relay->free_stream_count++;
}

void streams_trim(struct relay *relay)
{
	for (struct stream *s; (s = relay->free_streams); free(s))
		relay->free_streams = s->next;
	relay->free_stream_count = 0;
}

/* It has nothing to write any more: what still comes of its frame is thrown away. */
static void cut_loose(struct stream *s)
{
	timer_queue_stop(&s->relay->stalls, &s->stall);
	msrp_flow_detach(&s->flow);
	unlink_stream(s);
	link_stream(s, &s->relay->streams);
	s->grant = NULL;
	if (s->paused)
		msrp_conn_resume(s->source);
	s->paused = false;
}

/* --- legs --- */

/* Open the frame of the leg that is next. @return false: it failed, and with it the stream */
static bool open_leg(struct stream *s)
{
	struct leg *leg = s->leg;

	if (!s->flow.conn || leg_start(leg, s->flow.conn) < 0) {
		stream_fail(s, 408, NOTHING);
		return false;
	}
	leg->stream = s;
	/* The blank line's CRLF counts as an end-line's. */
	memcpy(s->tail, "\r\n", 2);
	s->tail_len = 2;
	msrp_flow_begin(&s->flow, leg_text(leg));
	return s->leg != NULL;
}

static void write_end(struct stream *s, const struct leg *leg, enum msrp_flag flag)
{
	char text[MSRP_END_LINE_MAX];
	struct msrp_writer w = MSRP_WRITER(text);

	msrp_write_end_line(&w, (struct slice){leg->t.tid, MSRP_TID_LEN}, flag, leg->has_body);
	msrp_flow_end(&s->flow, msrp_written(&w));
}

/* End the open frame; the leg waits for its answer by itself. */
static void end_leg(struct stream *s, enum msrp_flag flag)
{
	struct leg *leg = s->leg;

	s->leg = NULL;
	leg->complete = flag == MSRP_COMPLETE;
	write_end(s, leg, flag);
	if (s->flow.conn) {
		leg_written(leg);
		return;
	}
	/* For want of memory the connection has just been closed. */
	leg_report(leg, 408, NOTHING);
	leg_free(leg);
}

/* Make room for others on the line: the rest goes in a SEND of its own. */
static void split(struct stream *s)
{
	struct leg *next = leg_continue(s->leg);

	if (!next) {
		stream_fail(s, 413, NOTHING);
		return;
	}
	(*s->relay->count.split)++;
	end_leg(s, MSRP_MORE);
	s->leg = next;
}

/* End with "#", in a frame opened for that if need be.  Takes the leg from the stream. */
static struct leg *break_off(struct stream *s)
{
	struct leg *leg = s->leg;

	s->leg = NULL;
	leg->stream = NULL;
	if (!msrp_flow_is_open(&s->flow) && s->flow.conn && leg_start(leg, s->flow.conn) == 0)
		msrp_flow_begin(&s->flow, leg_text(leg));
	if (msrp_flow_is_open(&s->flow))
		write_end(s, leg, MSRP_ABORTED);
	(*s->relay->count.broken_off)++;
	return leg;
}

void stream_fail(struct stream *s, unsigned code, struct slice phrase)
{
	struct leg *leg;

	if (s->leg) {
		leg = break_off(s);
		leg_report(leg, code, phrase);
		leg_free(leg);
	}
	if (s->spent)
		stream_put(s);
	else
		cut_loose(s);
}

void stream_free(struct stream *s)
{
	if (s->leg)
		leg_free(break_off(s));
	stream_put(s);
}

/* --- bodies --- */

static void make_needle(const struct stream *s, char needle[NEEDLE_LEN])
{
	memcpy(needle, "\r\n-------", HYPHENS_LEN);
	memcpy(needle + HYPHENS_LEN, s->leg->t.tid, MSRP_TID_LEN);
}

/* Of a CRLF that is our own head's, of a leg that goes on, the parser knows nothing. */
static bool may_hold_end_line(const struct stream *s)
{
	return s->leg->sent < NEEDLE_LEN || msrp_conn_may_hold_end_line(s->source);
}

/*
 * A peer that has seen our transaction id may tell it to the sender, who could end our frame
 * with it and go on with one of his own: RFC 4975 7.1.
 *
 * @return where piece is to be cut so that no end-line of ours remains, or -1
 */
static ssize_t find_end_line(const struct stream *s, struct slice piece)
{
	char needle[NEEDLE_LEN], seam[2 * NEEDLE_LEN];
	size_t front = piece.len < NEEDLE_LEN - 1 ? piece.len : NEEDLE_LEN - 1;
	const char *hit;

	/* Before any of it has left, nobody knows the transaction id. */
	if (!may_hold_end_line(s) || !msrp_flow_has_left(&s->flow))
		return -1;
	make_needle(s, needle);
	memcpy(seam, s->tail, s->tail_len);
	memcpy(seam + s->tail_len, piece.p, front);
	hit = memmem(seam, s->tail_len + front, needle, NEEDLE_LEN);
	if (hit)
		return hit - seam + HYPHENS_LEN > s->tail_len
		    ? hit - seam + HYPHENS_LEN - s->tail_len
		    : 0;
	hit = memmem(piece.p, piece.len, needle, NEEDLE_LEN);
	return hit ? hit - piece.p + HYPHENS_LEN : -1;
}

/* Remember the last bytes: an end-line may begin with them. */
static void keep_tail(struct stream *s, struct slice piece)
{
	const size_t max = NEEDLE_LEN - 1;
	size_t keep = max - (piece.len < max ? piece.len : max);

	/* Where one begins, the parser has seen its hyphens in the same piece. */
	if (!may_hold_end_line(s)) {
		s->tail_len = 0;
		return;
	}
	if (piece.len >= max)
		piece = slice_from(piece, piece.len - max);
	if (s->tail_len > keep) {
		memmove(s->tail, s->tail + s->tail_len - keep, keep);
		s->tail_len = (uint8_t)keep;
	}
	memcpy(s->tail + s->tail_len, piece.p, piece.len);
	s->tail_len = (uint8_t)(s->tail_len + piece.len);
}

static void write_piece(struct stream *s, struct slice piece)
{
	if (!piece.len)
		return;
	s->leg->sent += piece.len;
	if (s->grant)
		(s->outgoing ? &s->grant->out : &s->grant->in)->bytes += piece.len;
	*s->relay->count.body_bytes += piece.len;
	keep_tail(s, piece);
	msrp_flow_body(&s->flow, piece);
}

static void pass_on(struct stream *s, struct slice piece)
{
	ssize_t cut = find_end_line(s, piece);

	if (cut >= 0) {
		write_piece(s, slice_head(piece, (size_t)cut));
		piece = slice_from(piece, (size_t)cut);
		if (s->leg)
			split(s);
		if (!s->leg || !open_leg(s))
			return;
	}
	write_piece(s, piece);
}

/* --- back-pressure --- */

static void pause_source(struct stream *s)
{
	struct peer *source = peer_find(s->source);

	s->paused = true;
	msrp_flow_wait(&s->flow);
	if (source && peer_is_shared(source))
		timer_queue_start(&s->relay->stalls, &s->stall);
}

static int pause_if_full(struct stream *s)
{
	if (!s->flow.conn || msrp_flow_room(&s->flow))
		return 0;
	pause_source(s);
	return -EAGAIN;
}

static void on_writable(struct msrp_flow *flow)
{
	struct stream *s = OWNER(struct stream, flow, flow);

	timer_queue_stop(&s->relay->stalls, &s->stall);
	if (s->spent) {
		stream_put(s);
		return;
	}
	s->paused = false;
	msrp_conn_resume(s->source);
}

void stream_stalled(struct timer_entry *entry, void *arg)
{
	struct stream *s = OWNER(struct stream, stall, entry);
	struct peer *dest = s->flow.conn ? peer_of(arg, s->flow.conn) : NULL;

	if (dest)
		dest->stalled = true;
	log_debug("relay: conn %" PRIu64 ": read on, past a destination that takes nothing",
	    msrp_conn_number(s->source));
	stream_fail(s, 408, NOTHING);
}

/* Was it given up on, and has not taken much since? */
static bool is_stalled(const struct relay *relay, struct msrp_conn *conn)
{
	struct peer *dest = peer_find(conn);

	if (!dest || !dest->stalled)
		return false;
	dest->stalled = msrp_conn_backlog(conn) > msrp_stack_settings(relay->stack)->send_queue / 2;
	return dest->stalled;
}

/* --- handlers --- */

static int on_body(struct msrp_sink *sink, struct slice piece)
{
	struct stream *s = OWNER(struct stream, sink, sink);

	if (!s->leg || (!msrp_flow_is_open(&s->flow) && !open_leg(s)))
		return 0;
	pass_on(s, piece);
	return pause_if_full(s);
}

static void finish(struct stream *s, enum msrp_flag flag)
{
	/* Interrupted, and nothing came since: only what the receiver has to know is worth a frame. */
	if (!msrp_flow_is_open(&s->flow) && flag == MSRP_MORE) {
		leg_free(s->leg);
		s->leg = NULL;
		return;
	}
	if (!msrp_flow_is_open(&s->flow) && !open_leg(s))
		return;
	if (s->grant && flag == MSRP_COMPLETE)
		(s->outgoing ? &s->grant->out : &s->grant->in)->messages++;
	*s->relay->count.messages += flag == MSRP_COMPLETE;
	end_leg(s, flag);
}

static int on_end(struct msrp_sink *sink, enum msrp_flag flag)
{
	struct stream *s = OWNER(struct stream, sink, sink);

	if (s->answered)
		relay_count_reply(s->relay, 200);
	msrp_conn_reply(s->source, 200, SLICE("OK"), NOTHING);
	if (s->leg)
		finish(s, flag);
	if (s->close_sent && s->flow.conn)
		msrp_conn_close_after_send(s->flow.conn);
	s->spent = true;
	if (pause_if_full(s) == -EAGAIN)
		return -EAGAIN;
	stream_put(s);
	return 0;
}

static void on_aborted(struct msrp_sink *sink, int err)
{
	struct stream *s = OWNER(struct stream, sink, sink);

	(void)err;
	stream_free(s);
}

static void on_interrupt(struct msrp_flow *flow)
{
	split(OWNER(struct stream, flow, flow));
}

/* The destination is gone. */
static void on_closed(struct msrp_flow *flow, int err)
{
	(void)err;
	stream_fail(OWNER(struct stream, flow, flow), 408, NOTHING);
}

static const struct msrp_sink_ops sink_ops = {
    .body = on_body,
    .end = on_end,
    .aborted = on_aborted,
};

static const struct msrp_flow_ops flow_ops = {
    .interrupt = on_interrupt,
    .writable = on_writable,
    .closed = on_closed,
};

/* --- the beginning --- */

static void stream_init(struct stream *s, struct relay *relay, struct msrp_conn *source)
{
	s->sink = (struct msrp_sink){.ops = &sink_ops};
	s->flow = (struct msrp_flow){.ops = &flow_ops};
	s->stall = (struct timer_entry){0};
	s->relay = relay;
	s->grant = NULL;
	s->source = msrp_conn_ref(source);
	s->leg = NULL;
	s->outgoing = s->close_sent = s->paused = s->spent = s->answered = false;
	s->tail_len = 0;
}

static struct stream *stream_new(struct arrival *a, const struct hop *hop)
{
	struct stream *s = stream_get(a->relay);

	if (!s)
		return NULL;
	stream_init(s, a->relay, a->conn);
	s->grant = hop->grant;
	s->outgoing = hop->outgoing;
	s->close_sent = a->close_sent;
	link_stream(s, hop->grant ? &hop->grant->streams : &a->relay->streams);
	msrp_flow_attach(&s->flow, hop->conn);
	return s;
}

/* A frame that is here as a whole. */
static int pass_whole(struct stream *s, const struct arrival *a)
{
	/* No need to heed back-pressure in between: the end asks again. */
	if (a->body.len)
		on_body(&s->sink, a->body);
	return on_end(&s->sink, a->flag);
}

int stream_pass(struct arrival *a, const struct hop *hop)
{
	struct peer *source = peer_of(a->relay, a->conn);
	struct stream *s = stream_new(a, hop);

	if (!source || !s) {
		arrival_reply(a, 413, SLICE("Out of memory"), NOTHING);
		if (s)
			stream_put(s);
		return 0;
	}
	peer_feeds(source, hop->conn);
	if (peer_is_shared(source) && is_stalled(a->relay, hop->conn)) {
		arrival_reply(a, 408, SLICE("Destination takes nothing"), NOTHING);
		stream_put(s);
		return 0;
	}
	s->leg = leg_new(a, hop);
	if (!s->leg) {
		arrival_reply(a, 413, SLICE("Out of memory"), NOTHING);
		stream_put(s);
		return 0;
	}
	s->answered = s->leg->failure_report == FAILURE_REPORT_YES;
	if (!a->whole)
		msrp_conn_take(a->conn, &s->sink);
	open_leg(s);
	return a->whole ? pass_whole(s, a) : 0;
}

/* --- others than SENDs --- */

int stream_hold_back(struct relay *relay, struct msrp_conn *source, struct msrp_conn *dest)
{
	struct stream *s;

	if (msrp_conn_closed(dest)
	    || msrp_conn_backlog(dest) <= 2 * msrp_stack_settings(relay->stack)->send_queue)
		return 0;
	s = stream_get(relay);
	if (!s)
		return 0;
	stream_init(s, relay, source);
	link_stream(s, &relay->streams);
	msrp_flow_attach(&s->flow, dest);
	s->spent = true;
	pause_source(s);
	return -EAGAIN;
}
