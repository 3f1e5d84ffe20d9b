#include "endpoint/receiver.h"

#include <errno.h>
#include <stdlib.h>

#include "endpoint/session.h"
#include "wire/report.h"

#define NONE ((struct slice){NULL, 0})

static struct receiver *of_sink(struct msrp_sink *sink)
{
	return (struct receiver *)((char *)sink - offsetof(struct receiver, sink));
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

/* --- REPORTs --- */

static void send_report(struct receiver *in, struct msrp_conn *conn,
    const struct report_subject *subject, const struct report_out *report)
{
	/* RFC 4975 7.1.2: none for a session that is gone. */
	if (!conn || !subject->from_path.p || !report_wanted(subject, report->code)
	    || report_send(conn, subject, report) < 0)
		return;
	(*in->session->all->count.reports_out)++;
	session_active(in->session);
}

/* The service has the message, and result is what is to be reported. */
static void report_result(struct receiver *in, const struct report_subject *subject, int result)
{
	struct report_out report = {.code = result == 0 ? 200 : result};

	if (!in->session->handler)
		return;
	if (result == MSRP_REPORT_LATER)
		report_list_add(&in->later, subject); /* without memory there is none */
	else
		send_report(in, in->conn, subject, &report);
}

/* The service has been asked, and may have sent the REPORT already. */
static void report_asked(struct receiver *in, int result)
{
	struct report_subject *subject = in->asked;

	in->asked = NULL;
	if (subject)
		report_result(in, subject, result);
}

int receiver_report(struct receiver *in, struct slice id, const struct report_out *report)
{
	struct report_subject subject;
	struct later_report *later;

	if (in->asked && slice_equal(in->asked->message_id, id)) {
		send_report(in, in->conn, in->asked, report);
		in->asked = NULL;
		return 0;
	}
	if (report_list_take(&in->later, id, slice_of(in->session->own_uri), &subject, &later) < 0)
		return -ENOENT;
	send_report(in, in->session->user.conn, &subject, report);
	free(later);
	return 0;
}

static struct slice from_path(const struct receiver *in)
{
	return msrp_conn_request(in->conn)->from_path;
}

static struct report_subject subject_of(const struct receiver *in, const struct message *m,
    struct slice path, uint64_t total)
{
	return (struct report_subject){
	    .from_path = path,
	    .own_uri = slice_of(in->session->own_uri),
	    .message_id = m->message_id,
	    .range = {1, total, total},
	    .failure_report = m->failure_report,
	    .success_report = m->success_report,
	};
}

/* --- bytes --- */

/* Refuse the message in hand: an answer at once, and none of its bytes any more. */
static int refuse(struct receiver *in, int code)
{
	(*in->session->all->count.refused)++;
	refused_add(&in->refused, in->head.hash, code);
	in->skip = true;
	in->repeated = false;
	msrp_conn_reply(in->conn, code, NONE, NONE);
	if (in->open.current)
		partial_abandon(in->open.current, -EMSGSIZE);
	return 0;
}

/* Where in the message the next byte of the chunk in hand is, from 0. */
static uint64_t position(const struct receiver *in)
{
	return in->head.range.start - 1 + in->count;
}

/*
 * A stream begins with its first byte, and its service says at once whether it wants the message.
 *
 * @return false: it does not, or the message is gone
 */
static bool begin_stream(struct receiver *in, struct partial *m)
{
	struct message told = partial_describe(m);
	void *stream = NULL;
	int code = in->session->handler->begin(&told, &stream, in->session->arg);

	if (in->open.current != m) /* the endpoint was freed, or has given up */
		return false;
	if (code) {
		refuse(in, code);
		return false;
	}
	m->stream = stream;
	m->begun = true;
	return true;
}

static int add_piece(struct receiver *in, struct partial *m, struct slice piece)
{
	int result;

	if (in->session->stream && !m->begun && !begin_stream(in, m))
		return 0;
	result = partial_add(m, position(in), piece);
	in->count += piece.len;
	if (result > 0)
		return refuse(in, result);
	return result == -EAGAIN ? -EAGAIN : 0;
}

/* What has come is more than can stay where it was received: copy it. */
static int keep_held(struct receiver *in)
{
	struct slice held = in->held;
	struct partial *m;

	in->held = NONE;
	in->count = 0;
	if (in->open.count >= session_settings(in->session)->max_open_messages)
		return refuse(in, 413);
	m = partial_new(&in->open, &in->head);
	if (!m)
		return refuse(in, 413);
	partial_begin_chunk(m);
	return held.len ? add_piece(in, m, held) : 0;
}

static int on_body(struct msrp_sink *sink, struct slice piece)
{
	struct receiver *in = of_sink(sink);
	struct session *s = session_ref(in->session);
	int err = 0;

	if (in->skip) {
		in->count += piece.len;
	} else if (!s->stream && !in->open.current && !in->held.len) {
		in->held = piece;
		in->count = piece.len;
	} else {
		if (!in->open.current)
			err = keep_held(in);
		if (in->open.current)
			err = add_piece(in, in->open.current, piece);
	}
	session_unref(s);
	return err;
}

/* The read that brought the frame's head is over, and more is to come. */
static int on_parked(struct msrp_sink *sink)
{
	struct receiver *in = of_sink(sink);
	struct session *s = session_ref(in->session);

	if (!in->skip && !in->open.current)
		keep_held(in);
	if (in->head.id.p != in->id_text) {
		memcpy(in->id_text, in->head.id.p, in->head.id.len);
		in->head.id.p = in->id_text;
	}
	in->head.type = NONE;
	session_unref(s);
	return 0;
}

/* --- whole messages --- */

static void count_message(struct receiver *in, uint64_t hash)
{
	delivered_add(&in->delivered, hash);
	in->messages++;
	(*in->session->all->count.messages_in)++;
}

/* The memory of m is the caller's. */
static void deliver(struct receiver *in, const struct message *m, uint64_t hash)
{
	struct report_subject subject = subject_of(in, m, from_path(in), m->body.len);

	count_message(in, hash);
	in->asked = &subject;
	report_asked(in, in->session->handler->message(m, in->session->arg));
}

static void deliver_held(struct receiver *in)
{
	struct message whole = {
	    .message_id = in->head.id,
	    .content_type = in->head.type,
	    .body = in->held,
	    .total = in->held.len,
	    .failure_report = in->head.failure_report,
	    .success_report = in->head.success_report,
	};

	deliver(in, &whole, in->head.hash);
}

/* Of a message that its service is not told of. */
static void report_whole(struct receiver *in, const struct message *m, int result)
{
	struct report_subject subject = subject_of(in, m, from_path(in), m->total);

	report_result(in, &subject, result);
}

static void finish_reassembly(struct receiver *in, struct partial *m)
{
	struct message whole = partial_describe(m);

	if (!reassembly_complete(&m->parts)) {
		partial_wait(m);
		return;
	}
	partial_unlink(m);
	whole.total = m->parts.total;
	if (whole.total == 0)
		report_whole(in, &whole, 0);
	else if (reassembly_join(&m->parts, &whole.body) == 0)
		deliver(in, &whole, m->hash);
	else
		report_whole(in, &whole, 413);
	partial_free(m);
}

/* --- streams --- */

static void end_stream(struct receiver *in, struct partial *m, struct slice path)
{
	struct message told = partial_describe(m);
	struct report_subject subject = subject_of(in, &told, path, m->delivered);
	int result;

	in->asked = &subject;
	if (m->begun)
		count_message(in, m->hash);
	result = partial_close(m, 0);
	report_asked(in, result);
	partial_free(m);
}

/* The service has refused it when the chunk was answered already. */
static void refuse_stream(struct receiver *in, struct partial *m, struct slice path, int code)
{
	struct message told = partial_describe(m);
	struct report_subject subject = subject_of(in, &told, path, m->delivered);

	refused_add(&in->refused, m->hash, code);
	in->asked = &subject;
	partial_close(m, -EMSGSIZE);
	report_asked(in, code);
	partial_free(m);
}

/* @param result  of partial_drain() */
static void stream_drained(struct receiver *in, struct partial *m, struct slice path, int result)
{
	if (result == -ECANCELED)
		return;
	if (result > 0)
		refuse_stream(in, m, path, result);
	else if (result == 0 && partial_stream_is_whole(m))
		end_stream(in, m, path);
	else
		partial_wait(m);
}

static int finish_stream(struct receiver *in, struct partial *m)
{
	struct slice path = from_path(in);
	int result = partial_drain(m);

	/* Its REPORT may be due when no request of its sender is at hand. */
	if (result == -EAGAIN && !m->path)
		m->path = slice_dup(path);
	stream_drained(in, m, path, result);
	return result == -EAGAIN ? -EAGAIN : 0;
}

static struct partial *next_to_drain(const struct receiver *in)
{
	struct partial *m;

	LIST_FOREACH(m, &in->open.list, next)
		if (m != in->open.current && partial_can_go_on(m))
			return m;
	return NULL;
}

void receiver_run(struct receiver *in)
{
	struct msrp_conn *conn = in->conn;
	struct partial *m;

	while (in->session->handler && (m = next_to_drain(in))) {
		char *path = m->path;

		m->path = NULL;
		in->conn = in->session->user.conn;
		stream_drained(in, m, slice_of(path), partial_drain(m));
		free(path);
	}
	in->conn = conn;
}

static struct partial *find_stalled(const struct receiver *in, const void *stream)
{
	struct partial *m;

	LIST_FOREACH(m, &in->open.list, next)
		if (m->begun && m->stalled && m->stream == stream)
			return m;
	return NULL;
}

void receiver_resume(struct receiver *in, void *stream)
{
	struct session *s = in->session;
	struct partial *m = find_stalled(in, stream);

	if (!m)
		return;
	m->stalled = false;
	session_due(s);
	if (s->user.conn)
		msrp_conn_resume(s->user.conn);
	if (s->second.conn)
		msrp_conn_resume(s->second.conn);
}

/* --- the end of a frame --- */

/*
 * RFC 4975 5.4: a repetition is acknowledged as if it were none.  7.1.1: and so is a request
 * without a body, or with one of no bytes.
 */
static void report_undelivered(struct receiver *in, enum msrp_flag flag)
{
	struct message told = {.message_id = in->head.id,
	    .failure_report = in->head.failure_report,
	    .success_report = in->head.success_report};
	struct report_subject subject = subject_of(in, &told, from_path(in), in->count);
	uint64_t end = position(in);

	subject.range = (struct byte_range){in->head.range.start, end,
	    flag == MSRP_COMPLETE ? end : in->head.range.total};
	report_result(in, &subject, 0);
}

static int end_of_chunk(struct receiver *in, struct partial *m, enum msrp_flag flag)
{
	partial_end_chunk(m);
	if (flag == MSRP_ABORTED) {
		partial_abandon(m, -ECANCELED);
		return 0;
	}
	if (flag == MSRP_COMPLETE)
		reassembly_set_total(&m->parts, position(in));
	if (in->session->stream)
		return finish_stream(in, m);
	finish_reassembly(in, m);
	return 0;
}

static int end_of_frame(struct receiver *in, enum msrp_flag flag)
{
	struct partial *m =
	    in->open.current ? in->open.current : partial_find(&in->open, &in->head);

	if (in->open.current)
		return end_of_chunk(in, in->open.current, flag);
	if (in->skip && m && flag == MSRP_ABORTED)
		partial_abandon(m, -ECANCELED); /* a bodiless "#" speaks for the message */
	else if (!in->skip && in->held.len && flag == MSRP_COMPLETE)
		deliver_held(in);
	else if ((!in->skip || in->repeated) && flag != MSRP_ABORTED)
		report_undelivered(in, flag);
	return 0;
}

static int on_end(struct msrp_sink *sink, enum msrp_flag flag)
{
	struct receiver *in = of_sink(sink);
	struct session *s = session_ref(in->session);
	bool whole = flag == MSRP_COMPLETE && in->head.range.start == 1;
	int err = 0;

	if (!in->skip && !in->open.current && flag != MSRP_ABORTED && !whole)
		keep_held(in);
	/* The 200 precedes whatever the service says to the message. */
	msrp_conn_reply(in->conn, 200, SLICE("OK"), NONE);
	if (s->handler)
		err = end_of_frame(in, flag);
	session_unref(s);
	return err;
}

/* What came of this chunk counts; its rest may come again. */
static void on_aborted(struct msrp_sink *sink, int err)
{
	struct partial *m = of_sink(sink)->open.current;

	(void)err;
	if (!m)
		return;
	partial_end_chunk(m);
	partial_wait(m);
}

static const struct msrp_sink_ops sink_ops = {
    .body = on_body,
    .end = on_end,
    .aborted = on_aborted,
    .parked = on_parked,
};

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
static int judge(struct receiver *in)
{
	const struct session *s = in->session;
	const struct send_head *head = &in->head;
	uint64_t max = session_settings(s)->max_message_size;
	int code = refused_code(&in->refused, in->head.hash);

	if (code)
		return code;
	if (!always_welcome(head->type) && !s->handler->accepts(head->type, s->arg))
		return 415;
	if (!s->bounded)
		return 0;
	return head->range.start - 1 > max
		|| (head->range.total != BYTE_RANGE_UNKNOWN && head->range.total > max)
	    ? 413
	    : 0;
}

static void read_head(struct receiver *in, const struct msrp_frame *frame)
{
	struct send_head *head = &in->head;

	head->id = frame->message_id;
	head->hash = hash_id(head->id);
	head->type = frame->content_type;
	head->range = frame->range;
	/* msrp_frame_check() has seen these already, so none can fail. */
	msrp_failure_report_parse(frame->failure_report, &head->failure_report);
	msrp_success_report_parse(frame->success_report, &head->success_report);
	in->held = NONE;
	in->count = 0;
	in->open.current = NULL;
	in->skip = in->repeated = false;
}

/* Only to be acknowledged. */
static int skip(struct receiver *in)
{
	in->skip = in->repeated = true;
	return 0;
}

int receiver_take_send(struct receiver *in, struct msrp_conn *conn, const struct msrp_frame *frame)
{
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
	m = partial_find(&in->open, &in->head);
	if (m) {
		partial_begin_chunk(m);
		return 0;
	}
	if (delivered_has(&in->delivered, in->head.hash)) {
		(*in->session->all->count.duplicates)++;
		return skip(in);
	}
	code = is_encoded(frame) ? 415 : judge(in);
	return code ? refuse(in, code) : 0;
}

/* --- life --- */

void receiver_init(struct receiver *in, struct session *session)
{
	in->session = in->open.session = session;
	in->sink.ops = &sink_ops;
	LIST_INIT(&in->open.list);
	report_list_init(&in->later);
}

void receiver_leave(struct receiver *in, const struct msrp_conn *conn)
{
	if (!conn || in->sink.conn != conn)
		return;
	msrp_sink_drop(&in->sink);
	on_aborted(&in->sink, -ECANCELED);
}

void receiver_give_up(struct receiver *in)
{
	struct session *s = session_ref(in->session);
	struct partial *m;

	msrp_sink_drop(&in->sink);
	while (s->handler && (m = LIST_FIRST(&in->open.list)))
		partial_abandon(m, -ECONNRESET);
	session_unref(s);
}

void receiver_fini(struct receiver *in)
{
	struct partial *m;

	msrp_sink_drop(&in->sink);
	while ((m = LIST_FIRST(&in->open.list)))
		partial_abandon(m, -ECONNRESET);
	report_list_fini(&in->later);
	delivered_fini(&in->delivered);
	refused_fini(&in->refused);
}
