/* What a connection reads: bytes to frames, frames to targets and transactions, and replies. */
#include "msrp/priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "base/log.h"

enum {
	STORED_INPUTS = 64,
	REPLY_MAX = 4096, /* beside the paths, which are the peer's own */
};

/* --- what is read at the moment --- */

static struct msrp_input *input_get(struct msrp_conn *conn)
{
	struct msrp_stack *stack = conn->stack;
	struct msrp_input *in = conn->in;

	if (in)
		return in;
	in = stack->free_inputs;
	if (in) {
		stack->free_inputs = in->next;
		stack->free_input_count--;
	} else {
		in = malloc(sizeof(*in));
		if (!in)
			return NULL;
	}
	in->next = NULL;
	in->parked = NULL;
	in->sink = NULL;
	in->in_frame = in->answered = in->pause = false;
	in->stash = NULL;
	in->stashed = (struct slice){NULL, 0};
	msrp_parser_init(&in->parser, stack->settings->max_header_size);
	conn->in = in;
	return in;
}

void input_drop(struct msrp_conn *conn)
{
	struct msrp_stack *stack = conn->stack;
	struct msrp_input *in = conn->in;

	if (!in)
		return;
	conn->in = NULL;
	msrp_parser_fini(&in->parser);
	free(in->parked);
	if (in->stash)
		msrp_block_put(stack, in->stash);
	if (stack->free_input_count >= STORED_INPUTS) {
		free(in);
		return;
	}
	in->next = stack->free_inputs;
	stack->free_inputs = in;
	stack->free_input_count++;
}

/* --- frames --- */

void input_abort(struct msrp_conn *conn, int err)
{
	struct msrp_sink *sink = conn->in ? conn->in->sink : NULL;

	if (!sink)
		return;
	msrp_sink_drop(sink);
	sink->ops->aborted(sink, err);
}

/* -EAGAIN may come with the last byte that was read, so the parser's count does not tell it. */
static int noted(struct msrp_conn *conn, int err)
{
	if (conn->state == CONN_CLOSED)
		return -ECONNRESET;
	if (err == 0 && conn->close_when_sent)
		err = -EAGAIN; /* nothing more is wanted of this peer */
	if (err == -EAGAIN)
		conn->in->pause = true;
	return err;
}

static int on_head(const struct msrp_frame *frame, void *arg)
{
	struct msrp_conn *conn = arg;
	struct msrp_input *in = conn->in;

	(*conn->stack->count.frames_in)++;
	/* Start line and paths; what follows them may be credentials. */
	log_debug("msrp: conn %" PRIu64 ": in: %.*s", conn->number,
	    (int)(frame->head.len - frame->headers.len), frame->head.p);
	in->in_frame = true;
	in->answered = !msrp_frame_is_request(frame);
	in->frame = *frame;
	return noted(conn,
	    msrp_frame_is_request(frame) ? msrp_stack_request(conn, frame)
					 : transactions_response(conn, frame));
}

/* The few bytes that the parser had to make up again are put where a piece stays for the turn. */
static struct slice lasting(struct msrp_stack *stack, struct slice piece)
{
	const struct msrp_block *block = stack->feeding;
	struct msrp_block *text;
	char *p;

	if (piece.p >= block->data && piece.p < block->data + block->size)
		return piece;
	p = msrp_stack_text(stack, piece.len, &text);
	if (p)
		memcpy(p, piece.p, piece.len);
	return (struct slice){p, piece.len};
}

static int on_body(struct slice piece, void *arg)
{
	struct msrp_conn *conn = arg;
	struct msrp_sink *sink = conn->in->sink;

	if (!sink)
		return 0;
	piece = lasting(conn->stack, piece);
	return piece.p ? noted(conn, sink->ops->body(sink, piece)) : -ENOMEM;
}

static int on_end(enum msrp_flag flag, void *arg)
{
	struct msrp_conn *conn = arg;
	struct msrp_input *in = conn->in;
	struct msrp_sink *sink = in->sink;
	int err = 0;

	if (sink) {
		msrp_sink_drop(sink);
		err = sink->ops->end(sink, flag);
	}
	in->in_frame = false;
	free(in->parked);
	in->parked = NULL;
	return noted(conn, err);
}

static void on_broken(const struct msrp_frame *frame, int err, void *arg)
{
	struct msrp_conn *conn = arg;

	(*conn->stack->count.bad_frames)++;
	log_debug("msrp: conn %" PRIu64 ": broken frame: %s", conn->number, strerror(-err));
	if (!msrp_frame_answerable(frame))
		return;
	conn->in->frame = *frame;
	conn->in->in_frame = true;
	conn->in->answered = false;
	msrp_conn_reply(conn, 400, SLICE("Bad Request"), (struct slice){NULL, 0});
	conn->in->in_frame = false;
}

static const struct msrp_parser_handler parser_handler = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .broken = on_broken,
};

static struct slice rebased(struct slice s, const char *from, const char *to)
{
	return s.p ? (struct slice){to + (s.p - from), s.len} : s;
}

/* The head lies in a buffer that will be used again: keep what an answer needs of it. */
static int park_head(struct msrp_input *in)
{
	struct msrp_frame *f = &in->frame;
	struct slice head = f->head;
	char *copy;

	if (!in->in_frame || in->parked || !msrp_frame_is_request(f))
		return 0;
	copy = slice_dup(head);
	if (!copy)
		return -ENOMEM;
	f->tid = rebased(f->tid, head.p, copy);
	f->method_text = rebased(f->method_text, head.p, copy);
	f->to_path = rebased(f->to_path, head.p, copy);
	f->from_path = rebased(f->from_path, head.p, copy);
	f->failure_report = rebased(f->failure_report, head.p, copy);
	in->parked = copy;
	return 0;
}

static int park(struct msrp_input *in)
{
	int err = park_head(in);

	if (err == 0 && in->sink && in->sink->ops->parked)
		err = in->sink->ops->parked(in->sink);
	return err;
}

/* A pause in the middle of what was read leaves a rest: keep it, and its block with it. */
static void stash(struct msrp_conn *conn, struct slice rest, struct msrp_block *block)
{
	struct msrp_input *in = conn->in;
	struct msrp_block *before = in->stash, *copy = NULL;

	/* Not a block for a few bytes: many may be paused. */
	if (rest.len && rest.len < KEEP_MIN && block->size == BLOCK_BYTES)
		copy = msrp_block_copy(rest);
	if (copy) {
		block = copy;
		rest.p = copy->data;
	} else if (rest.len) {
		block->refs++;
	}
	in->stash = rest.len ? block : NULL;
	in->stashed = rest;
	if (before)
		msrp_block_put(conn->stack, before);
}

/* Parse what came.  The caller holds a ref. */
static void feed(struct msrp_conn *conn, struct slice data, struct msrp_block *block)
{
	struct msrp_input *in = input_get(conn);
	ssize_t n;

	conn->stack->feeding = block;
	n = in ? msrp_parser_feed(&in->parser, data, &parser_handler, conn) : -ENOMEM;
	conn->stack->feeding = NULL;
	if (conn->state == CONN_CLOSED)
		return;
	if (n >= 0 && park(in) < 0)
		n = -ENOMEM;
	if (n < 0) {
		/* What was answered before (400 first) goes out, then it closes. */
		input_abort(conn, (int)n);
		output_flush(conn);
		msrp_conn_part(conn, (int)n);
		return;
	}
	if (in->pause)
		msrp_conn_pause(conn, PAUSED_BY_SINK);
	in->pause = false;
	stash(conn, slice_from(data, (size_t)n), block);
	if (msrp_parser_idle(&in->parser) && !in->in_frame && !in->stash)
		input_drop(conn);
}

void msrp_conn_take(struct msrp_conn *conn, struct msrp_sink *sink)
{
	sink->conn = conn;
	conn->in->sink = sink;
}

const struct msrp_frame *msrp_conn_request(const struct msrp_conn *conn)
{
	return &conn->in->frame;
}

bool msrp_conn_may_hold_end_line(const struct msrp_conn *conn)
{
	return msrp_parser_saw_hyphens(&conn->in->parser);
}

void msrp_sink_drop(struct msrp_sink *sink)
{
	if (!sink->conn)
		return;
	sink->conn->in->sink = NULL;
	sink->conn = NULL;
}

/* --- bytes --- */

static ssize_t read_plain(struct msrp_conn *conn, char *p, size_t size)
{
	ssize_t n;

	do
		n = recv(conn->fd, p, size, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? n : -ENOTCONN;
}

/* As many records as there are; a record more may wait when the block is full. */
static ssize_t read_tls(struct msrp_conn *conn, char *p, size_t size)
{
	size_t got = 0;

	while (size - got >= READ_MIN / 4) {
		int n;

		ERR_clear_error();
		n = SSL_read(conn->ssl, p + got, (int)(size - got));
		if (n > 0) {
			got += (size_t)n;
			continue;
		}
		switch (SSL_get_error(conn->ssl, n)) {
		case SSL_ERROR_WANT_READ:
			return got ? (ssize_t)got : -EAGAIN;
		case SSL_ERROR_WANT_WRITE:
			conn->read_wants_write = true;
			if (msrp_conn_want_write(conn) < 0)
				return -ENOMEM;
			return got ? (ssize_t)got : -EAGAIN;
		case SSL_ERROR_ZERO_RETURN:
			conn->eof = true;
			return got ? (ssize_t)got : -ENOTCONN;
		default:
			conn->eof = true;
			return got ? (ssize_t)got : -ECONNRESET;
		}
	}
	conn->more = true;
	return (ssize_t)got;
}

/* @return bytes that were read and parsed, or why there are none */
static ssize_t read_some(struct msrp_conn *conn)
{
	struct msrp_block *block = msrp_stack_rx(conn->stack);
	size_t room;
	char *p;
	ssize_t n;

	if (!block)
		return -ENOMEM;
	/* To get the block a turn may have been made: what it paused reads on by itself. */
	if (conn->state != CONN_OPEN || conn->paused || conn->close_when_sent)
		return -EAGAIN;
	p = block->data + block->used;
	room = BLOCK_BYTES - block->used;
	if (room > READ_MAX)
		room = READ_MAX;
	n = conn->ssl ? read_tls(conn, p, room) : read_plain(conn, p, room);
	if (n <= 0)
		return n;
	block->used += (size_t)n;
	*conn->stack->count.bytes_in += (size_t)n;
	feed(conn, (struct slice){p, (size_t)n}, block);
	return n;
}

void input_read(struct msrp_conn *conn)
{
	ssize_t n;

	if (conn->in && conn->in->stash && !conn->paused) {
		feed(conn, conn->in->stashed, conn->in->stash);
		if (conn->state != CONN_OPEN || conn->paused)
			return;
	}
	conn->more = false;
	n = read_some(conn);
	if (conn->write_wants_read)
		msrp_conn_dirty(conn);
	conn->write_wants_read = false;
	if (conn->state != CONN_OPEN || conn->paused || n == -EAGAIN)
		return;
	if (n < 0 || conn->eof) {
		/* The peer sends no more; what it is owed it may still read. */
		output_flush(conn);
		msrp_conn_close(conn, n == -ENOTCONN || n > 0 ? -ECONNRESET : (int)n);
	} else if (conn->more) {
		msrp_conn_read_again(conn);
	}
}

/* --- replies --- */

/* RFC 4975 7.2 and 7.1.4: is this answer to the request in hand wanted? */
static bool reply_wanted(const struct msrp_frame *request, int code)
{
	enum failure_report report;

	if (request->method == MSRP_REPORT)
		return false;
	if (request->method != MSRP_SEND)
		return true;
	if (msrp_failure_report_parse(request->failure_report, &report) < 0)
		report = FAILURE_REPORT_YES;
	return report == FAILURE_REPORT_YES || (report == FAILURE_REPORT_PARTIAL && code >= 300);
}

void msrp_conn_reply(struct msrp_conn *conn, int code, struct slice phrase, struct slice headers)
{
	struct msrp_input *in = conn->in;
	char small[REPLY_MAX], *large = NULL;
	struct msrp_writer w = MSRP_WRITER(small);
	size_t need;

	if (!in || !in->in_frame || in->answered || conn->state == CONN_CLOSED)
		return;
	in->answered = true;
	if (!reply_wanted(&in->frame, code) || !msrp_frame_answerable(&in->frame))
		return;
	need = in->frame.from_path.len + in->frame.to_path.len + phrase.len + headers.len + 256;
	if (need > sizeof(small)) {
		large = malloc(need);
		if (!large)
			return;
		w = (struct msrp_writer){.p = large, .cap = need};
	}
	msrp_write_response_head(&w, &in->frame, (unsigned)code, phrase);
	msrp_write(&w, headers);
	msrp_write_end_line(&w, in->frame.tid, MSRP_COMPLETE, false);
	log_debug("msrp: conn %" PRIu64 ": out: %d to %.*s", conn->number, code,
	    SLICE_ARG(in->frame.tid));
	msrp_conn_send(conn, msrp_written(&w));
	free(large);
}
