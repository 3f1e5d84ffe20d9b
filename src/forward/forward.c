#include "forward/forward.h"

#include <errno.h>
#include <string.h>

#include "forward/feed.h"
#include "wire/write.h"

enum {
	HYPHENS_LEN = 9, /* with the CRLF before them */
	NEEDLE_LEN = HYPHENS_LEN + MSRP_TID_LEN,
};

/* --- its end --- */

/* Its chunk is gone, or on its own. */
static void release(struct forward *f)
{
	struct forwarder *fw = f->fw;

	msrp_sink_drop(&f->sink);
	msrp_flow_detach(&f->flow);
	hold_drop(&f->hold, fw);
	pause_end(&f->pause, fw);
	way_unwatch(&f->watch);
	msrp_conn_unref(f->source);
	LIST_REMOVE(f, entry);
	pool_put(&fw->forward_pool, f);
}

static void write_end(struct forward *f, const struct chunk *chunk, enum msrp_flag flag)
{
	char text[MSRP_END_LINE_MAX];
	struct buffer w = BUFFER_ON(text);

	msrp_write_end_line(&w, (struct slice){chunk->t.tid, MSRP_TID_LEN}, flag, chunk->has_body);
	msrp_flow_end(&f->flow, buffer_text(&w));
}

/* End with "#", in a frame opened for that if need be.  @return the chunk, taken from f */
static struct chunk *break_off(struct forward *f)
{
	struct chunk *chunk = f->chunk;

	f->chunk = NULL;
	if (!msrp_flow_is_open(&f->flow) && f->flow.conn
	    && chunk_start(chunk, f->flow.conn, &f->writer) == 0)
		msrp_flow_begin(&f->flow, chunk_text(chunk));
	if (msrp_flow_is_open(&f->flow))
		write_end(f, chunk, MSRP_ABORTED);
	(*f->fw->count.broken_off)++;
	return chunk;
}

/* Break it off and let the sender know; what still comes of its frame is thrown away. */
static void fail(struct forward *f, unsigned code, struct slice phrase)
{
	struct chunk *chunk = f->chunk ? break_off(f) : NULL;

	hold_drop(&f->hold, f->fw);
	if (chunk) {
		chunk_report(chunk, code, phrase);
		chunk_free(chunk);
	}
	msrp_flow_detach(&f->flow);
	way_unwatch(&f->watch);
	pause_end(&f->pause, f->fw);
}

void forward_free(struct forward *f)
{
	if (f->chunk)
		chunk_free(break_off(f));
	release(f);
}

/* --- chunks --- */

/* Open the frame of the chunk that is next.  @return false: the forward has failed */
static bool open_chunk(struct forward *f)
{
	if (!f->flow.conn || chunk_start(f->chunk, f->flow.conn, &f->writer) < 0) {
		fail(f, 408, NOTHING);
		return false;
	}
	/* The blank line's CRLF counts as an end-line's. */
	memcpy(f->tail, "\r\n", 2);
	f->tail_len = 2;
	f->opened = true;
	msrp_flow_begin(&f->flow, chunk_text(f->chunk));
	return f->chunk != NULL;
}

/* End the open frame; the chunk waits for its response by itself. */
static void end_chunk(struct forward *f, enum msrp_flag flag)
{
	struct chunk *chunk = f->chunk;

	f->chunk = NULL;
	chunk->complete = flag == MSRP_COMPLETE;
	write_end(f, chunk, flag);
	chunk_written(chunk);
}

/* Let others use the connection: the rest goes in a chunk of its own. */
static void split(struct forward *f)
{
	struct chunk *next = chunk_continue(f->chunk);

	if (!next) {
		fail(f, 413, NOTHING);
		return;
	}
	(*f->fw->count.split)++;
	end_chunk(f, MSRP_MORE);
	f->chunk = next;
}

/* --- bodies --- */

static void make_needle(const struct forward *f, char needle[NEEDLE_LEN])
{
	memcpy(needle, "\r\n-------", HYPHENS_LEN);
	memcpy(needle + HYPHENS_LEN, f->chunk->t.tid, MSRP_TID_LEN);
}

/* The parser knows nothing of a CRLF that ends the head of a chunk of ours. */
static bool may_hold_end_line(const struct forward *f)
{
	return f->chunk->sent < NEEDLE_LEN || msrp_conn_may_hold_end_line(f->source);
}

/*
 * A receiver that tells the sender the transaction id of this chunk could let it end the chunk, and
 * go on with a frame of its own: RFC 4975 7.1.
 *
 * @return where piece is to be cut so that no end-line of this chunk remains, or -1
 */
static ssize_t find_end_line(const struct forward *f, struct slice piece)
{
	char needle[NEEDLE_LEN], seam[2 * NEEDLE_LEN];
	size_t front = piece.len < NEEDLE_LEN - 1 ? piece.len : NEEDLE_LEN - 1;
	const char *hit;

	/* Before any of it has left, nobody knows the transaction id. */
	if (!may_hold_end_line(f) || !msrp_flow_has_left(&f->flow))
		return -1;
	make_needle(f, needle);
	memcpy(seam, f->tail, f->tail_len);
	memcpy(seam + f->tail_len, piece.p, front);
	hit = memmem(seam, f->tail_len + front, needle, NEEDLE_LEN);
	if (hit)
		return hit - seam + HYPHENS_LEN > f->tail_len
		    ? hit - seam + HYPHENS_LEN - f->tail_len
		    : 0;
	hit = memmem(piece.p, piece.len, needle, NEEDLE_LEN);
	return hit ? hit - piece.p + HYPHENS_LEN : -1;
}

/* Remember the last bytes: an end-line may begin with them. */
static void keep_tail(struct forward *f, struct slice piece)
{
	const size_t max = NEEDLE_LEN - 1;
	size_t keep = max - (piece.len < max ? piece.len : max);

	/* Where one begins, the parser has seen its hyphens in the same piece. */
	if (!may_hold_end_line(f)) {
		f->tail_len = 0;
		return;
	}
	if (piece.len >= max)
		piece = slice_from(piece, piece.len - max);
	if (f->tail_len > keep) {
		memmove(f->tail, f->tail + f->tail_len - keep, keep);
		f->tail_len = (uint8_t)keep;
	}
	memcpy(f->tail + f->tail_len, piece.p, piece.len);
	f->tail_len = (uint8_t)(f->tail_len + piece.len);
}

static void count(struct forward *f, unsigned messages, size_t bytes)
{
	*f->fw->count.messages += messages;
	*f->fw->count.body_bytes += bytes;
	if (!f->watch.way || !f->traffic)
		return;
	f->traffic->messages += messages;
	f->traffic->bytes += bytes;
}

static void write_piece(struct forward *f, struct slice piece)
{
	if (!piece.len)
		return;
	f->chunk->sent += piece.len;
	count(f, 0, piece.len);
	keep_tail(f, piece);
	msrp_flow_body(&f->flow, piece);
}

/* A browser has a message of a WebSocket only when it has all of it: RFC 7977 5.1. */
static size_t room_in_chunk(const struct forward *f)
{
	size_t max = msrp_stack_settings(f->fw->stack)->chunk_size;

	if (!msrp_conn_transport(f->flow.conn)->net->framed)
		return SIZE_MAX;
	return f->chunk->sent < max ? max - f->chunk->sent : 0;
}

static void pass_on(struct forward *f, struct slice piece)
{
	ssize_t cut = find_end_line(f, piece);
	size_t room = room_in_chunk(f);

	if (room < piece.len && (cut < 0 || room < (size_t)cut))
		cut = (ssize_t)room;

	if (cut >= 0) {
		write_piece(f, slice_head(piece, (size_t)cut));
		piece = slice_from(piece, (size_t)cut);
		if (f->chunk)
			split(f);
		if (!f->chunk || !open_chunk(f))
			return;
		pass_on(f, piece);
		return;
	}
	write_piece(f, piece);
}

/* Open the frame, and pass on what was held back.  @return as open_chunk() */
static bool open_with_held(struct forward *f)
{
	struct hold hold = f->hold;

	f->hold = (struct hold){.text = NULL};
	if (open_chunk(f) && hold.len) {
		pass_on(f, hold_text(&hold));
		msrp_flow_keep(&f->flow);
	}
	if (f->chunk && hold.piece.len)
		pass_on(f, hold.piece);
	hold_drop(&hold, f->fw);
	return f->chunk != NULL;
}

/* --- the frame that comes in --- */

/* What others would cut, or must not. */
static bool is_held_back(const struct forward *f)
{
	return f->chunk->brief || msrp_flow_is_shared(&f->flow);
}

static int on_body(struct msrp_sink *sink, struct slice piece)
{
	struct forward *f = OWNER(struct forward, sink, sink);

	if (!f->chunk) {
		f->excess |= f->whole && piece.len > 0;
		return 0;
	}
	if (!msrp_flow_is_open(&f->flow)) {
		if (is_held_back(f) && hold_add(&f->hold, f->fw, piece))
			return 0;
		if (!open_with_held(f))
			return 0;
	}
	pass_on(f, piece);
	if (!f->flow.conn || msrp_flow_room(&f->flow))
		return 0;
	return pause_begin(&f->pause, f->fw, f->source, &f->flow);
}

static void complete(struct forward *f, enum msrp_flag flag)
{
	if (flag == MSRP_COMPLETE)
		count(f, 1, 0);
	end_chunk(f, flag);
}

static void finish(struct forward *f, enum msrp_flag flag)
{
	bool open = msrp_flow_is_open(&f->flow);

	/* Interrupted, and nothing came since: only what the receiver has to know needs a frame. */
	if (!open && flag == MSRP_MORE && f->opened && hold_is_empty(&f->hold)) {
		chunk_free(f->chunk);
		f->chunk = NULL;
		return;
	}
	if (open || open_with_held(f))
		complete(f, flag);
}

static int on_end(struct msrp_sink *sink, enum msrp_flag flag)
{
	struct forward *f = OWNER(struct forward, sink, sink);
	struct msrp_conn *dest;
	int code = f->excess ? 400 : 200;
	int result = 0;

	if (f->answered)
		forwarder_replied(f->fw, (unsigned)code);
	msrp_conn_reply(f->source, code, f->excess ? SLICE("Beyond its total") : SLICE("OK"),
	    NOTHING);
	if (f->chunk)
		finish(f, flag);
	dest = f->flow.conn;
	if (dest && f->close_sent)
		msrp_conn_close_after_send(dest);
	if (dest && !msrp_flow_room(&f->flow))
		result = pause_until_drained(f->fw, f->source, dest,
		    msrp_stack_settings(f->fw->stack)->send_queue);
	release(f);
	return result;
}

/* What lies in the read goes on after all where it cannot be copied. */
static int on_parked(struct msrp_sink *sink)
{
	struct forward *f = OWNER(struct forward, sink, sink);

	if (f->chunk && f->hold.piece.len && !hold_keep(&f->hold, f->fw))
		open_with_held(f);
	return 0;
}

static void on_aborted(struct msrp_sink *sink, int err)
{
	(void)err;
	forward_free(OWNER(struct forward, sink, sink));
}

static const struct msrp_sink_ops sink_ops = {
    .body = on_body,
    .end = on_end,
    .aborted = on_aborted,
    .parked = on_parked,
};

/* --- where it goes --- */

/* Of a whole message nothing is left for another chunk, whose Byte-Range would be none. */
static void on_interrupt(struct msrp_flow *flow)
{
	struct forward *f = OWNER(struct forward, flow, flow);

	f->whole = chunk_is_whole(f->chunk);
	if (f->whole)
		complete(f, MSRP_COMPLETE);
	else
		split(f);
}

static void on_writable(struct msrp_flow *flow)
{
	struct forward *f = OWNER(struct forward, flow, flow);

	pause_end(&f->pause, f->fw);
}

/* The destination is gone. */
static void on_closed(struct msrp_flow *flow, int err)
{
	(void)err;
	fail(OWNER(struct forward, flow, flow), 408, NOTHING);
}

static const struct msrp_flow_ops flow_ops = {
    .interrupt = on_interrupt,
    .writable = on_writable,
    .closed = on_closed,
};

static void on_stalled(struct pause *pause)
{
	fail(OWNER(struct forward, pause, pause), 408, NOTHING);
}

static void on_refused(struct chunk_writer *writer, unsigned code, struct slice phrase)
{
	fail(OWNER(struct forward, writer, writer), code, phrase);
}

static void on_way_ended(struct way_watch *watch)
{
	fail(OWNER(struct forward, watch, watch), 481, NOTHING);
}

/* It has waited for that; the one it goes to may have moved meanwhile. */
static void on_way_opened(struct way_watch *watch, struct msrp_conn *conn, struct slice to_path)
{
	struct forward *f = OWNER(struct forward, watch, watch);
	struct feed *source = feed_find(f->source);

	if (chunk_set_path(f->chunk, to_path) < 0) {
		fail(f, 413, NOTHING);
		return;
	}
	if (source)
		feed_goes_to(source, conn);
	msrp_flow_attach(&f->flow, conn);
	if (is_held_back(f) || open_chunk(f))
		pause_end(&f->pause, f->fw);
}

/* --- its beginning --- */

static struct forward *forward_new(struct forwarder *fw, const struct incoming *in,
    const struct hop *hop)
{
	struct forward *f = pool_get(&fw->forward_pool);

	if (!f)
		return NULL;
	f->sink = (struct msrp_sink){.ops = &sink_ops};
	f->flow = (struct msrp_flow){.ops = &flow_ops};
	f->pause = (struct pause){.stalled = on_stalled};
	f->watch = (struct way_watch){.ended = on_way_ended, .opened = on_way_opened};
	f->writer.refused = on_refused;
	f->fw = fw;
	f->source = msrp_conn_ref(in->conn);
	f->chunk = NULL;
	f->hold = (struct hold){.text = NULL};
	f->traffic = hop->traffic;
	f->close_sent = in->close_sent;
	f->answered = false;
	f->opened = false;
	f->whole = false;
	f->excess = false;
	f->tail_len = 0;
	LIST_INSERT_HEAD(&fw->forwards, f, entry);
	if (hop->way)
		way_watch(&f->watch, hop->way);
	if (hop->conn)
		msrp_flow_attach(&f->flow, hop->conn);
	return f;
}

/* A frame that is here as a whole. */
static int pass_whole(struct forward *f, const struct incoming *in)
{
	/* No need to heed back-pressure in between: the end asks again. */
	if (in->body.len)
		on_body(&f->sink, in->body);
	return on_end(&f->sink, in->flag);
}

static int refuse(int code, const char *text, const char **phrase)
{
	*phrase = text;
	return code;
}

int forward_send(struct forwarder *fw, const struct incoming *in, const struct hop *hop,
    const char **phrase)
{
	struct feed *source = feed_of(in->conn);
	struct forward *f = NULL;

	/* What would wait for a connection has its sender wait, which this one has done with. */
	if (in->whole && !hop->conn)
		return refuse(408, "Not connected", phrase);
	if (source && hop->conn)
		feed_goes_to(source, hop->conn);
	if (source && hop->conn && feed_is_shared(source) && pause_is_stalled(fw, hop->conn))
		return refuse(408, "Destination takes nothing", phrase);
	f = source ? forward_new(fw, in, hop) : NULL;
	if (f)
		f->chunk = chunk_new(fw, in, hop);
	if (!f || !f->chunk) {
		if (f)
			release(f);
		return refuse(413, "Out of memory", phrase);
	}
	f->answered = f->chunk->failure_report == FAILURE_REPORT_YES;
	if (!in->whole)
		msrp_conn_take(in->conn, &f->sink);
	if (!hop->conn) {
		f->watch.waits = true;
		return pause_begin(&f->pause, fw, in->conn, &f->flow);
	}
	if (!is_held_back(f))
		open_chunk(f);
	return in->whole ? pass_whole(f, in) : 0;
}
