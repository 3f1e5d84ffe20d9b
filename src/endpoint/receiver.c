/* Messages that an endpoint receives: RFC 4975 7.3.1, 7.1.2 to 7.1.4, 7.2. */
#include "endpoint/priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"

enum { REFUSALS_MAX = 16 }; /* of a session: the last ones */

#define NONE ((struct slice){NULL, 0})

static struct endpoint *of_sink(struct msrp_sink *sink)
{
	return (struct endpoint *)((char *)sink - offsetof(struct endpoint, in.sink));
}

static const struct msrp_settings *settings_of(const struct endpoint *ep)
{
	return msrp_stack_settings(ep->all->stack);
}

/* --- Message-IDs --- */

/* FNV-1a: a sender that makes two of its own meet loses a message of its own. */
static uint64_t hash_id(struct slice id)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < id.len; i++)
		hash = (hash ^ (unsigned char)id.p[i]) * UINT64_C(1099511628211);
	return hash;
}

/* @return the status with which the message was refused, or 0 */
static int refusal_code(const struct receiver *in)
{
	for (unsigned i = 0; in->refusals && i < REFUSALS_MAX; i++)
		if (in->refusals[i].hash == in->hash && in->refusals[i].code)
			return in->refusals[i].code;
	return 0;
}

static void note_refusal(struct receiver *in, uint64_t hash, int code)
{
	if (!in->refusals)
		in->refusals = calloc(REFUSALS_MAX, sizeof(*in->refusals));
	if (!in->refusals)
		return; /* another chunk is judged anew, that is all */
	in->refusals[in->next_refusal] = (struct refusal){hash, code};
	in->next_refusal = (in->next_refusal + 1) % REFUSALS_MAX;
}

/* --- REPORTs --- */

static void send_report(struct endpoint *ep, struct msrp_conn *conn,
    const struct report_subject *subject, int code, struct slice phrase)
{
	/* RFC 4975 7.1.2: none for a session that is gone. */
	if (!conn || !subject->from_path.p || report_send(conn, subject, code, phrase) < 0)
		return;
	(*ep->all->count.reports_out)++;
	endpoint_active(ep);
}

/* The service has the message, and result is what is to be reported. */
static void report_result(struct endpoint *ep, const struct report_subject *subject, int result)
{
	int code = result == 0 ? 200 : result;

	if (!ep->handler)
		return;
	if (result == MSRP_REPORT_LATER)
		report_list_add(&ep->in.later, subject); /* without memory there is none */
	else if (report_wanted(subject, code))
		send_report(ep, ep->in.conn, subject, code, NONE);
}

int receiver_report(struct endpoint *ep, struct slice id, int code, struct slice phrase)
{
	struct report_subject subject;
	struct later_report *later;

	if (report_list_take(&ep->in.later, id, slice_of(ep->own_uri), &subject, &later) < 0)
		return -ENOENT;
	if (report_wanted(&subject, code))
		send_report(ep, ep->user.conn, &subject, code, phrase);
	free(later);
	return 0;
}

static struct slice from_path(const struct receiver *in)
{
	return msrp_conn_request(in->conn)->from_path;
}

static struct report_subject subject_of(const struct endpoint *ep, const struct message *m,
    struct slice path, uint64_t total)
{
	return (struct report_subject){
	    .from_path = path,
	    .own_uri = slice_of(ep->own_uri),
	    .message_id = m->message_id,
	    .range = {1, total, total},
	    .failure_report = m->failure_report,
	    .success_report = m->success_report,
	};
}

/* --- bytes --- */

/* Refuse the message in hand: an answer at once, and none of its bytes any more. */
static int refuse(struct endpoint *ep, int code)
{
	struct receiver *in = &ep->in;

	(*ep->all->count.refused)++;
	note_refusal(in, in->hash, code);
	in->skip = true;
	in->repeated = false;
	msrp_conn_reply(in->conn, code, NONE, NONE);
	if (in->current)
		partial_abandon(in->current, -EMSGSIZE);
	return 0;
}

/* Where in the message the next byte of the chunk in hand is, from 0. */
static uint64_t position(const struct receiver *in)
{
	return in->range.start - 1 + in->count;
}

/*
 * A stream begins with its first byte, and its service says at once whether it wants the message.
 *
 * @return false: it does not, or the message is gone
 */
static bool begin_stream(struct endpoint *ep, struct partial *m)
{
	struct message told = partial_describe(m);
	void *stream = NULL;
	int code = ep->handler->begin(&told, &stream, ep->arg);

	if (ep->in.current != m) /* the endpoint was freed, or has given up */
		return false;
	if (code) {
		refuse(ep, code);
		return false;
	}
	m->stream = stream;
	m->begun = true;
	return true;
}

static int add_piece(struct endpoint *ep, struct partial *m, struct slice piece)
{
	int result;

	if (ep->stream && !m->begun && !begin_stream(ep, m))
		return 0;
	result = partial_add(m, position(&ep->in), piece);
	ep->in.count += piece.len;
	if (result > 0)
		return refuse(ep, result);
	return result == -EAGAIN ? -EAGAIN : 0;
}

/* The frame in hand is a chunk of this message. */
static void begin_chunk(struct endpoint *ep, struct partial *m)
{
	ep->in.current = m;
	m->storing = false;
	timer_queue_stop(&ep->all->partial, &m->timer);
}

/* What has come is more than can stay where it was received: copy it. */
static int keep_held(struct endpoint *ep)
{
	struct receiver *in = &ep->in;
	struct slice held = in->held;
	struct partial *m;

	in->held = NONE;
	in->count = 0;
	if (in->open_count >= settings_of(ep)->max_open_messages)
		return refuse(ep, 413);
	m = partial_new(ep);
	if (!m)
		return refuse(ep, 413);
	begin_chunk(ep, m);
	return held.len ? add_piece(ep, m, held) : 0;
}

static int on_body(struct msrp_sink *sink, struct slice piece)
{
	struct endpoint *ep = endpoint_ref(of_sink(sink));
	struct receiver *in = &ep->in;
	int err = 0;

	if (in->skip) {
		in->count += piece.len;
	} else if (!ep->stream && !in->current && !in->held.len) {
		in->held = piece;
		in->count = piece.len;
	} else {
		if (!in->current)
			err = keep_held(ep);
		if (in->current)
			err = add_piece(ep, in->current, piece);
	}
	endpoint_unref(ep);
	return err;
}

/* The read that brought the frame's head is over, and more is to come. */
static int on_parked(struct msrp_sink *sink)
{
	struct endpoint *ep = endpoint_ref(of_sink(sink));
	struct receiver *in = &ep->in;

	if (!in->skip && !in->current)
		keep_held(ep);
	if (in->id.p != in->id_text) {
		memcpy(in->id_text, in->id.p, in->id.len);
		in->id.p = in->id_text;
	}
	in->type = NONE;
	endpoint_unref(ep);
	return 0;
}

/* --- whole messages --- */

static void count_message(struct endpoint *ep, uint64_t hash)
{
	delivered_add(&ep->in.delivered, hash);
	ep->in.messages++;
	(*ep->all->count.messages_in)++;
}

/* The memory of m is the caller's. */
static void deliver(struct endpoint *ep, const struct message *m, uint64_t hash)
{
	struct report_subject subject = subject_of(ep, m, from_path(&ep->in), m->body.len);

	count_message(ep, hash);
	report_result(ep, &subject, ep->handler->message(m, ep->arg));
}

static void deliver_held(struct endpoint *ep)
{
	struct receiver *in = &ep->in;
	struct message whole = {
	    .message_id = in->id,
	    .content_type = in->type,
	    .body = in->held,
	    .total = in->held.len,
	    .failure_report = in->failure_report,
	    .success_report = in->success_report,
	};

	deliver(ep, &whole, in->hash);
}

/* The chunk is over; the message waits for others. */
static void wait_for_more(struct endpoint *ep, struct partial *m)
{
	if (!m->stalled)
		timer_queue_start(&ep->all->partial, &m->timer);
}

/* Of a message that its service is not told of. */
static void report_whole(struct endpoint *ep, const struct message *m, int result)
{
	struct report_subject subject = subject_of(ep, m, from_path(&ep->in), m->total);

	report_result(ep, &subject, result);
}

static void finish_reassembly(struct endpoint *ep, struct partial *m)
{
	struct message whole = partial_describe(m);

	if (!reassembly_complete(&m->parts)) {
		wait_for_more(ep, m);
		return;
	}
	partial_unlink(m);
	whole.total = m->parts.total;
	if (whole.total == 0)
		report_whole(ep, &whole, 0);
	else if (reassembly_join(&m->parts, &whole.body) == 0)
		deliver(ep, &whole, m->hash);
	else
		report_whole(ep, &whole, 413);
	partial_free(m);
}

/* --- streams --- */

static void end_stream(struct endpoint *ep, struct partial *m, struct slice path)
{
	struct message told = partial_describe(m);
	struct report_subject subject = subject_of(ep, &told, path, m->delivered);

	int result = 0;

	partial_unlink(m);
	if (m->begun) {
		count_message(ep, m->hash);
		result = ep->handler->end(m->stream, 0, ep->arg);
	}
	report_result(ep, &subject, result);
	partial_free(m);
}

/* The service has refused it when the chunk was answered already. */
static void refuse_stream(struct endpoint *ep, struct partial *m, struct slice path, int code)
{
	struct message told = partial_describe(m);
	struct report_subject subject = subject_of(ep, &told, path, m->delivered);

	note_refusal(&ep->in, m->hash, code);
	report_result(ep, &subject, code);
	partial_abandon(m, -EMSGSIZE);
}

/* @param result  of drain() */
static void stream_drained(struct endpoint *ep, struct partial *m, struct slice path, int result)
{
	if (result == -ECANCELED)
		return;
	if (result > 0)
		refuse_stream(ep, m, path, result);
	else if (result == 0 && partial_stream_is_whole(m))
		end_stream(ep, m, path);
	else
		wait_for_more(ep, m);
}

static int finish_stream(struct endpoint *ep, struct partial *m)
{
	struct slice path = from_path(&ep->in);
	int result = partial_drain(m);

	/* Its REPORT may be due when no request of its sender is at hand. */
	if (result == -EAGAIN && !m->path)
		m->path = slice_dup(path);
	stream_drained(ep, m, path, result);
	return result == -EAGAIN ? -EAGAIN : 0;
}

static struct partial *next_to_drain(const struct receiver *in)
{
	for (struct partial *m = in->open; m; m = m->next)
		if (m != in->current && partial_can_go_on(m))
			return m;
	return NULL;
}

void receiver_run(struct endpoint *ep)
{
	struct receiver *in = &ep->in;
	struct msrp_conn *conn = in->conn;
	struct partial *m;

	while (ep->handler && (m = next_to_drain(in))) {
		char *path = m->path;

		m->path = NULL;
		in->conn = ep->user.conn;
		stream_drained(ep, m, slice_of(path), partial_drain(m));
		free(path);
	}
	in->conn = conn;
}

void receiver_resume(struct endpoint *ep, void *stream)
{
	struct partial *m = ep->in.open;

	while (m && !(m->begun && m->stalled && m->stream == stream))
		m = m->next;
	if (!m)
		return;
	m->stalled = false;
	endpoint_due(ep);
	if (ep->user.conn)
		msrp_conn_resume(ep->user.conn);
	if (ep->second.conn)
		msrp_conn_resume(ep->second.conn);
}

/* --- the end of a frame --- */

/*
 * RFC 4975 5.4: a repetition is acknowledged as if it were none.  7.1.1: and so is a request
 * without a body, or with one of no bytes.
 */
static void report_undelivered(struct endpoint *ep, enum msrp_flag flag)
{
	struct receiver *in = &ep->in;
	struct message told = {.message_id = in->id,
	    .failure_report = in->failure_report,
	    .success_report = in->success_report};
	struct report_subject subject = subject_of(ep, &told, from_path(in), in->count);
	uint64_t end = position(in);

	subject.range = (struct byte_range){in->range.start, end,
	    flag == MSRP_COMPLETE ? end : in->range.total};
	report_result(ep, &subject, 0);
}

static int end_of_chunk(struct endpoint *ep, struct partial *m, enum msrp_flag flag)
{
	ep->in.current = NULL;
	partial_end_chunk(m);
	if (flag == MSRP_ABORTED) {
		partial_abandon(m, -ECANCELED);
		return 0;
	}
	if (flag == MSRP_COMPLETE)
		reassembly_set_total(&m->parts, position(&ep->in));
	if (ep->stream)
		return finish_stream(ep, m);
	finish_reassembly(ep, m);
	return 0;
}

static int end_of_frame(struct endpoint *ep, enum msrp_flag flag)
{
	struct receiver *in = &ep->in;
	struct partial *m = in->current ? in->current : partial_find(in);

	if (in->current)
		return end_of_chunk(ep, in->current, flag);
	if (in->skip && m && flag == MSRP_ABORTED)
		partial_abandon(m, -ECANCELED); /* a bodiless "#" speaks for the message */
	else if (!in->skip && in->held.len && flag == MSRP_COMPLETE)
		deliver_held(ep);
	else if ((!in->skip || in->repeated) && flag != MSRP_ABORTED)
		report_undelivered(ep, flag);
	return 0;
}

static int on_end(struct msrp_sink *sink, enum msrp_flag flag)
{
	struct endpoint *ep = endpoint_ref(of_sink(sink));
	struct receiver *in = &ep->in;
	bool whole = flag == MSRP_COMPLETE && in->range.start == 1;
	int err = 0;

	if (!in->skip && !in->current && flag != MSRP_ABORTED && !whole)
		keep_held(ep);
	/* The 200 precedes whatever the service says to the message. */
	msrp_conn_reply(in->conn, 200, SLICE("OK"), NONE);
	if (ep->handler)
		err = end_of_frame(ep, flag);
	endpoint_unref(ep);
	return err;
}

/* What came of this chunk counts; its rest may come again. */
static void on_aborted(struct msrp_sink *sink, int err)
{
	struct endpoint *ep = of_sink(sink);
	struct partial *m = ep->in.current;

	(void)err;
	ep->in.current = NULL;
	if (!m)
		return;
	partial_end_chunk(m);
	wait_for_more(ep, m);
}

static const struct msrp_sink_ops sink_ops = {on_body, on_end, on_aborted, on_parked};

/* --- heads --- */

/* RFC 4975 7.3.1, 14.3: these are to be taken whatever was negotiated. */
static bool always_welcome(struct slice type)
{
	struct slice rest = type, name;

	if (!slice_cut(&rest, ';', &name))
		return false;
	name = slice_trim(name);
	return slice_equal_nocase(name, SLICE("multipart/mixed"))
	    || slice_equal_nocase(name, SLICE("multipart/alternative"))
	    || slice_equal_nocase(name, SLICE("multipart/signed"));
}

/* Nobody above unpacks it. */
static bool is_encoded(const struct msrp_frame *frame)
{
	return frame->content_encoding.p
	    && !slice_equal_nocase(frame->content_encoding, SLICE("identity"));
}

/* Is a new message refused for what its head says? @return 0 or an MSRP status */
static int judge(struct endpoint *ep)
{
	const struct receiver *in = &ep->in;
	uint64_t max = settings_of(ep)->max_message_size;
	int code = refusal_code(in);

	if (code)
		return code;
	if (!always_welcome(in->type) && !ep->handler->accepts(in->type, ep->arg))
		return 415;
	if (ep->stream)
		return 0;
	return in->range.start - 1 > max
		|| (in->range.total != BYTE_RANGE_UNKNOWN && in->range.total > max)
	    ? 413
	    : 0;
}

static void read_head(struct receiver *in, const struct msrp_frame *frame)
{
	in->range = frame->range;
	/* msrp_frame_check() has seen these already, so none can fail. */
	msrp_failure_report_parse(frame->failure_report, &in->failure_report);
	msrp_success_report_parse(frame->success_report, &in->success_report);
	in->id = frame->message_id;
	in->hash = hash_id(in->id);
	in->type = frame->content_type;
	in->held = NONE;
	in->count = 0;
	in->current = NULL;
	in->skip = in->repeated = false;
}

/* Only to be acknowledged. */
static int skip(struct receiver *in)
{
	in->skip = in->repeated = true;
	return 0;
}

int receiver_take_send(struct endpoint *ep, struct msrp_conn *conn, const struct msrp_frame *frame)
{
	struct receiver *in = &ep->in;
	struct partial *m;
	int code;

	if (in->sink.conn) { /* a frame of this session is being read on another connection */
		msrp_conn_reply(conn, 506, NONE, NONE);
		return 0;
	}
	read_head(in, frame);
	in->conn = conn;
	msrp_conn_take(conn, &in->sink);
	if (!frame->has_body || !frame->content_type.p)
		return skip(in);
	m = partial_find(in);
	if (m) {
		begin_chunk(ep, m);
		return 0;
	}
	if (delivered_has(&in->delivered, in->hash)) {
		(*ep->all->count.duplicates)++;
		return skip(in);
	}
	code = is_encoded(frame) ? 415 : judge(ep);
	return code ? refuse(ep, code) : 0;
}

/* --- life --- */

void receiver_init(struct endpoint *ep)
{
	ep->in.sink.ops = &sink_ops;
}

void receiver_leave(struct endpoint *ep, const struct msrp_conn *conn)
{
	struct receiver *in = &ep->in;

	if (!conn || in->sink.conn != conn)
		return;
	msrp_sink_drop(&in->sink);
	on_aborted(&in->sink, -ECANCELED);
}

void receiver_give_up(struct endpoint *ep)
{
	endpoint_ref(ep);
	msrp_sink_drop(&ep->in.sink);
	while (ep->handler && ep->in.open)
		partial_abandon(ep->in.open, -ECONNRESET);
	endpoint_unref(ep);
}

void receiver_fini(struct endpoint *ep)
{
	struct receiver *in = &ep->in;

	msrp_sink_drop(&in->sink);
	while (in->open)
		partial_abandon(in->open, -ECONNRESET);
	report_list_fini(&in->later);
	delivered_fini(&in->delivered);
	free(in->refusals);
	in->refusals = NULL;
}
