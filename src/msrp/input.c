/* What a connection reads: bytes to frames, frames to targets and transactions, and replies. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <msrpd/story.h>

#include "base/buffer.h"
#include "base/log.h"
#include "msrp/priv.h"
#include "net/net.h"
#include "wire/path.h"
#include "wire/report.h"
#include "wire/write.h"

enum {
	STORED_INPUTS = 64,
	REPLY_MAX = 4096, /* beside the paths, which are the peer's own */
};

/* --- what is read at the moment --- */

struct msrp_input {
	struct msrp_parser parser;
	const struct msrp_frame *frame; /* the request in hand, or NULL */
	struct msrp_frame kept;         /* that, once the read that brought it is over */
	char *parked;                   /* its text */
	struct target_hint hint;
	struct msrp_sink *sink;
	bool in_frame, answered, pause;
	bool reading;  /* more may come of what has been read */
	bool has_body; /* the frame in hand; for whoever listens */
};

void inputs_init(struct pool *pool)
{
	*pool = POOL(struct msrp_input, STORED_INPUTS);
}

static struct msrp_input *input_get(struct msrp_conn *conn)
{
	struct msrp_stack *stack = stack_of(conn);
	struct msrp_input *in = conn->in;

	if (in)
		return in;
	in = pool_get(&stack->inputs);
	if (!in)
		return NULL;
	in->parked = NULL;
	in->sink = NULL;
	in->frame = NULL;
	in->in_frame = in->answered = in->pause = in->reading = false;
	msrp_parser_init(&in->parser, stack->settings->max_header_size);
	conn->in = in;
	return in;
}

void input_drop(struct msrp_conn *conn)
{
	struct msrp_input *in = conn->in;

	if (!in)
		return;
	conn->in = NULL;
	msrp_parser_fini(&in->parser);
	free(in->parked);
	pool_put(&stack_of(conn)->inputs, in);
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
	if (msrp_conn_closed(conn))
		return -ECONNRESET;
	if (err == 0 && conn->stream.closing)
		err = -EAGAIN; /* nothing more is wanted of this peer */
	if (err == -EAGAIN)
		conn->in->pause = true;
	return err;
}

static int on_head(const struct msrp_frame *frame, void *arg)
{
	struct msrp_conn *conn = arg;
	struct msrp_input *in = conn->in;

	(*stack_of(conn)->count.frames_in)++;
	/* Start line and paths; what follows them may be credentials. */
	log_debug("msrp: conn %" PRIu64 ": in: %.*s", conn->stream.number,
	    (int)(frame->head.len - frame->headers.len), frame->head.p);
	in->has_body = frame->has_body;
	in->in_frame = true;
	in->answered = !msrp_frame_is_request(frame);
	in->frame = in->answered ? NULL : frame;
	return noted(conn,
	    in->frame ? targets_request(conn, frame, &in->hint)
		      : transactions_response(conn, frame));
}

static int on_body(struct slice piece, void *arg)
{
	struct msrp_conn *conn = arg;
	struct msrp_sink *sink = conn->in->sink;

	if (!sink)
		return 0;
	/* The few bytes that the parser had to make up again do not lie in what was read. */
	piece = net_pin(stack_of(conn)->protocol.net, piece);
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
	in->frame = NULL;
	free(in->parked);
	in->parked = NULL;
	return noted(conn, err);
}

static void on_broken(const struct msrp_frame *frame, int err, void *arg)
{
	struct msrp_conn *conn = arg;

	(*stack_of(conn)->count.bad_frames)++;
	log_debug("msrp: conn %" PRIu64 ": broken frame: %s", conn->stream.number, strerror(-err));
	if (!msrp_frame_answerable(frame))
		return;
	conn->in->frame = frame;
	conn->in->in_frame = true;
	conn->in->answered = false;
	msrp_conn_reply(conn, 400, SLICE("Bad Request"), (struct slice){NULL, 0});
	conn->in->in_frame = false;
	conn->in->frame = NULL;
}

static struct slice rebased(struct slice s, const char *from, const char *to)
{
	return s.p ? (struct slice){to + (s.p - from), s.len} : s;
}

/*
 * The head lies in a buffer that will be used again, and what was parsed of it goes with the
 * parser's turn: keep what an answer needs, and nothing that would lie elsewhere.
 */
static int park_head(struct msrp_input *in)
{
	const struct msrp_frame *now = in->frame;
	struct msrp_frame *f = &in->kept;
	struct slice rest;
	const char *head;
	char *copy;

	if (!in->in_frame || in->parked || !now)
		return 0;
	copy = slice_dup(now->head);
	if (!copy)
		return -ENOMEM;
	head = now->head.p;
	*f = (struct msrp_frame){.method = now->method,
	    .has_body = now->has_body,
	    .good_paths = now->good_paths,
	    .tid = rebased(now->tid, head, copy),
	    .method_text = rebased(now->method_text, head, copy),
	    .to_path = rebased(now->to_path, head, copy),
	    .from_path = rebased(now->from_path, head, copy),
	    .failure_report = rebased(now->failure_report, head, copy),
	    .fault = now->fault};
	/* Of paths that were those of the frame before, this one lies in that frame's head. */
	rest = f->to_path;
	if (msrp_path_next(&rest, &f->to) <= 0)
		f->to = (struct msrp_uri){0};
	in->frame = f;
	in->parked = copy;
	return 0;
}

static int on_cut(void *arg)
{
	struct msrp_conn *conn = arg;
	struct msrp_input *in = conn->in;
	int err = park_head(in);

	if (err == 0 && in->sink && in->sink->ops->parked)
		err = in->sink->ops->parked(in->sink);
	return err;
}

static const struct msrp_parser_handler parser_handler = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .broken = on_broken,
    .cut = on_cut,
};

/* --- the same for a trace, which is told first --- */

static int on_head_tapped(const struct msrp_frame *frame, void *arg)
{
	tap_head(arg, frame);
	return on_head(frame, arg);
}

static int on_body_tapped(struct slice piece, void *arg)
{
	tap_body(arg, NET_IN, piece);
	return on_body(piece, arg);
}

static int on_end_tapped(enum msrp_flag flag, void *arg)
{
	const struct msrp_conn *conn = arg;

	tap_end(conn, msrp_parser_tid(&conn->in->parser), flag, conn->in->has_body);
	return on_end(flag, arg);
}

static void on_broken_tapped(const struct msrp_frame *frame, int err, void *arg)
{
	tap_broken(arg, frame->head);
	on_broken(frame, err, arg);
}

static const struct msrp_parser_handler tapped_handler = {
    .head = on_head_tapped,
    .body = on_body_tapped,
    .end = on_end_tapped,
    .broken = on_broken_tapped,
    .cut = on_cut,
};

void input_cut(const struct msrp_conn *conn)
{
	if (conn->in)
		tap_broken(conn, msrp_parser_kept(&conn->in->parser));
}

/* --- feeding --- */

static bool between_frames(const struct msrp_input *in)
{
	return msrp_parser_idle(&in->parser) && !in->in_frame;
}

/* What one read has brought lies in one place, in however many messages it came. */
static ssize_t parse(struct msrp_conn *conn, struct slice bytes)
{
	struct msrp_stack *stack = stack_of(conn);
	const struct msrp_parser_handler *handler =
	    net_tap_on(&conn->stream) ? &tapped_handler : &parser_handler;
	uint64_t read = net_read_number(stack->protocol.net);

	ssize_t n;

	if (stack->past_read != read)
		stack->past.frame = NULL;
	stack->past_read = read;
	conn->in->reading = true;
	n = msrp_parser_feed_on(&conn->in->parser, &stack->past, bytes, handler, conn);
	if (msrp_conn_closed(conn))
		return n;
	conn->in->reading = false;
	answers_send(conn);
	return n;
}

ssize_t input_feed(struct msrp_conn *conn, struct slice bytes, bool end)
{
	struct msrp_input *in = input_get(conn);
	ssize_t n = in ? parse(conn, bytes) : -ENOMEM;

	if (msrp_conn_closed(conn))
		return -ECONNRESET;
	/* A transport that carries messages carries one frame in each. */
	if (end && n == (ssize_t)bytes.len && !between_frames(in))
		n = -EBADMSG;
	if (n < 0) {
		if (in && !in->parked) { /* then it is gone, and cannot be answered any more */
			in->in_frame = false;
			in->frame = NULL;
		}
		/* What was answered before (400 first) goes out, then it closes. */
		input_abort(conn, (int)n);
		return n;
	}
	if (in->pause)
		net_stream_pause(&conn->stream);
	in->pause = false;
	if (between_frames(in))
		input_drop(conn);
	return n;
}

void msrp_conn_resume(struct msrp_conn *conn)
{
	net_stream_resume(&conn->stream);
}

void msrp_conn_take(struct msrp_conn *conn, struct msrp_sink *sink)
{
	sink->conn = conn;
	conn->in->sink = sink;
}

const struct msrp_frame *msrp_conn_request(const struct msrp_conn *conn)
{
	return conn->in->frame;
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

static void note_refusal(const struct msrp_conn *conn, int code, struct slice phrase)
{
	const struct msrp_frame *f = conn->in->frame;
	const struct story of = {.session_id = f->to.session_id,
	    .stack = "msrp",
	    .conn = conn->stream.number};

	story_refuse(&of, code, "msrp: conn %" PRIu64 ": %.*s for session %.*s refused: %d %.*s",
	    conn->stream.number, SLICE_ARG(f->method_text), SLICE_ARG(f->to.session_id), code,
	    SLICE_ARG(phrase));
}

void msrp_conn_reply(struct msrp_conn *conn, int code, struct slice phrase, struct slice headers)
{
	struct msrp_input *in = conn->in;
	char small[REPLY_MAX], *large = NULL;
	struct buffer w = BUFFER_ON(small);
	size_t need;

	if (!in || !in->in_frame || in->answered || msrp_conn_closed(conn))
		return;
	in->answered = true;
	if (code >= 400 && code != 401)
		note_refusal(conn, code, phrase);
	if (!reply_wanted(in->frame, code) || !msrp_frame_answerable(in->frame))
		return;
	if (code == 200 && in->frame->method == MSRP_SEND && !headers.len && in->reading
	    && answers_keep(conn, in->frame, phrase))
		return;
	need = in->frame->from_path.len + in->frame->to_path.len + phrase.len + headers.len + 256;
	if (need > sizeof(small)) {
		large = malloc(need);
		if (!large)
			return;
		w = (struct buffer){.p = large, .cap = need};
	}
	msrp_write_response_head(&w, in->frame, (unsigned)code, phrase);
	buffer_add(&w, headers);
	msrp_write_end_line(&w, in->frame->tid, MSRP_COMPLETE, false);
	log_debug("msrp: conn %" PRIu64 ": out: %d to %.*s", conn->stream.number, code,
	    SLICE_ARG(in->frame->tid));
	msrp_conn_send(conn, buffer_text(&w));
	free(large);
}
