/* Messages of an endpoint on their way in: RFC 4975 7.3.1, 7.1.2 to 7.1.4, 7.2. */
#include "msrp/endpoint_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/rand.h"
#include "msrp/path.h"

#define NONE ((struct slice){NULL, 0})

static struct msrp_endpoint *of_sink(struct msrp_sink *sink)
{
	return (struct msrp_endpoint *)((char *)sink - offsetof(struct msrp_endpoint, in.sink));
}

/* --- Message-IDs that are done with --- */

/* FNV-1a: who makes two of his own meet loses a message of his own. */
static uint64_t hash_id(struct slice id)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < id.len; i++)
		hash = (hash ^ (unsigned char)id.p[i]) * UINT64_C(1099511628211);
	return hash;
}

/* @return how the message was answered, or 0: it is new */
static int done_code(const struct inbox *in, struct slice id)
{
	uint64_t hash = hash_id(id);

	for (unsigned i = 0; in->done && i < DONE_MAX; i++)
		if (in->done[i].code && in->done[i].hash == hash)
			return in->done[i].code;
	return 0;
}

static void note_done(struct inbox *in, struct slice id, int code)
{
	if (!in->done)
		in->done = calloc(DONE_MAX, sizeof(*in->done));
	if (!in->done)
		return; /* a repetition would be delivered again, that is all */
	in->done[in->next_done] = (struct done){hash_id(id), code};
	in->next_done = (in->next_done + 1) % DONE_MAX;
}

/* --- REPORTs --- */

static void send_report(struct msrp_endpoint *ep, struct slice path, struct slice id,
    uint64_t total, int code, struct slice phrase)
{
	char text[HEAD_MAX], tid[MSRP_TID_LEN + 1];
	struct msrp_writer w = MSRP_WRITER(text);
	struct msrp_report_text report = {
		.to_path = path,
		.from_path = slice_of(ep->own_uri),
		.message_id = id,
		.range = {1, total, total},
		.code = (unsigned)code,
		.comment = phrase,
	};

	if (!ep->user.conn)
		return; /* RFC 4975 7.1.2: none for a session that is gone */
	rand_token(tid, MSRP_TID_LEN);
	report.tid = slice_of(tid);
	msrp_write_report(&w, &report);
	if (w.overflow)
		return;
	msrp_conn_send(ep->user.conn, msrp_written(&w));
	(*ep->all->count.reports_out)++;
	endpoint_active(ep);
}

static bool report_wanted(bool success_report, enum failure_report failure_report, int code)
{
	return code < 300 ? success_report : failure_report != FAILURE_REPORT_NO;
}

static void forget_later(struct inbox *in, struct later *later)
{
	HASH_DEL(in->later, later);
	free(later);
}

/* The service will say what became of the message: keep what its REPORT needs. */
static void keep_for_later(struct msrp_endpoint *ep, const struct message *m, struct slice path)
{
	struct inbox *in = &ep->in;
	struct later *later;

	if (!m->success_report && m->failure_report == FAILURE_REPORT_NO)
		return;
	HASH_FIND(hh, in->later, m->message_id.p, m->message_id.len, later);
	if (later)
		forget_later(in, later);
	if (HASH_COUNT(in->later) >= LATER_MAX)
		forget_later(in, in->later);
	later = malloc(sizeof(*later) + path.len);
	if (!later)
		return;
	*later = (struct later){
		.total = m->body.len,
		.failure_report = m->failure_report,
		.success_report = m->success_report,
		.id_len = (uint8_t)m->message_id.len,
		.path_len = (uint32_t)path.len,
	};
	memcpy(later->id, m->message_id.p, m->message_id.len);
	memcpy(later->path, path.p, path.len);
	HASH_ADD_KEYPTR(hh, in->later, later->id, later->id_len, later);
}

int inbox_report(struct msrp_endpoint *ep, struct slice id, int code, struct slice phrase)
{
	struct later *later;

	HASH_FIND(hh, ep->in.later, id.p, id.len, later);
	if (!later)
		return -ENOENT;
	if (report_wanted(later->success_report, later->failure_report, code))
		send_report(ep, (struct slice){later->path, later->path_len}, id, later->total, code,
		    phrase);
	forget_later(&ep->in, later);
	return 0;
}

/* The service has the message, and says what is to be reported. */
static void report_delivery(struct msrp_endpoint *ep, const struct message *m, uint64_t total,
    struct slice path, int result)
{
	struct message told = *m;

	if (!ep->handler)
		return;
	if (result == MSRP_REPORT_LATER) {
		told.body.len = (size_t)total;
		keep_for_later(ep, &told, path);
		return;
	}
	if (result == 0)
		result = 200;
	if (report_wanted(m->success_report, m->failure_report, result))
		send_report(ep, path, m->message_id, total, result, NONE);
}

/* --- incomplete messages --- */

static struct slice id_of(const struct incoming *m)
{
	return (struct slice){m->id, m->id_len};
}

static void drop_incoming(struct incoming *m)
{
	struct msrp_endpoint *ep = m->ep;

	if (ep->in.current == m)
		ep->in.current = NULL;
	HASH_DEL(ep->in.open, m);
	timer_queue_stop(&ep->all->partial, &m->timer);
	msrp_stack_discharge(ep->all->stack, m->charged);
	assembly_fini(&m->parts);
	free(m);
}

/* It will never be whole. */
static void abandon(struct incoming *m, int err)
{
	struct msrp_endpoint *ep = m->ep;
	void *stream = m->stream;

	drop_incoming(m);
	if (ep->stream && ep->handler)
		ep->handler->end(stream, err, ep->arg);
}

void inbox_partial_expired(struct timer_entry *entry, void *arg)
{
	struct incoming *m = (struct incoming *)((char *)entry - offsetof(struct incoming, timer));
	struct msrp_endpoint *ep = endpoint_ref(m->ep);

	(void)arg;
	(*ep->all->count.partial)++;
	log_info("msrp: session %.*s: message %.*s: dropped, no chunk came for partial_timeout",
	    SLICE_ARG(ep->target.uri.session_id), SLICE_ARG(id_of(m)));
	abandon(m, -ETIMEDOUT);
	endpoint_unref(ep);
}

static struct message describe(const struct incoming *m)
{
	return (struct message){
		.message_id = id_of(m),
		.content_type = slice_of(m->type),
		.total = m->total,
		.failure_report = m->failure_report,
		.success_report = m->success_report,
	};
}

/* @return 0 or the MSRP status that refuses the message */
static int new_incoming(struct msrp_endpoint *ep, struct incoming **mp)
{
	struct inbox *in = &ep->in;
	struct incoming *m;
	struct message told;

	if (HASH_COUNT(in->open) >= msrp_stack_settings(ep->all->stack)->max_open_messages)
		return 413;
	m = calloc(1, sizeof(*m) + in->type.len + 1);
	if (!m)
		return 413;
	m->ep = ep;
	m->failure_report = in->failure_report;
	m->success_report = in->success_report;
	m->total = in->total;
	m->id_len = (uint8_t)in->id.len;
	memcpy(m->id, in->id.p, in->id.len);
	memcpy(m->type, in->type.p, in->type.len);
	HASH_ADD_KEYPTR(hh, in->open, m->id, m->id_len, m);
	*mp = m;
	if (!ep->stream)
		return 0;
	told = describe(m);
	int code = ep->handler->begin(&told, &m->stream, ep->arg);
	if (code && ep->handler)
		drop_incoming(m);
	return code;
}

/* Refuse the message in hand: an answer at once, and none of its bytes any more. */
static int refuse(struct msrp_endpoint *ep, int code)
{
	struct inbox *in = &ep->in;

	(*ep->all->count.refused)++;
	note_done(in, in->id, code);
	msrp_conn_reply(ep->user.conn, code, NONE, NONE);
	in->skip = true;
	if (in->current)
		abandon(in->current, -EMSGSIZE);
	return 0;
}

/* Memory is charged as it is taken, not as it is announced. */
static int charge(struct incoming *m)
{
	size_t more = m->parts.held - m->charged;

	if (m->parts.held <= m->charged)
		return 0;
	if (msrp_stack_charge(m->ep->all->stack, more) < 0)
		return -ENOBUFS;
	m->charged += more;
	return 0;
}

static int give_piece(struct msrp_endpoint *ep, struct incoming *m, struct slice piece)
{
	int result;

	m->delivered += piece.len;
	result = ep->handler->piece(m->stream, piece, ep->arg);
	if (!ep->handler)
		return 0;
	return result >= 300 ? refuse(ep, result) : result == -EAGAIN ? -EAGAIN : 0;
}

static int add_piece(struct msrp_endpoint *ep, struct incoming *m, struct slice piece)
{
	uint64_t max = msrp_stack_settings(ep->all->stack)->max_message_size;

	if (m->direct)
		return give_piece(ep, m, piece);
	if (assembly_position(&m->parts) + piece.len > max || m->parts.held > 2 * max)
		return refuse(ep, 413);
	if (assembly_add(&m->parts, piece) < 0 || charge(m) < 0)
		return refuse(ep, 413);
	return 0;
}

/* The frame in hand belongs to this incomplete message from now on. */
static int begin_part(struct msrp_endpoint *ep, struct incoming *m)
{
	ep->in.current = m;
	timer_queue_stop(&ep->all->partial, &m->timer);
	m->direct = ep->stream && ep->in.start - 1 == m->delivered && m->parts.count == 0;
	if (!m->direct && assembly_begin(&m->parts, ep->in.start - 1) < 0)
		return refuse(ep, 413);
	return 0;
}

/* It will not come whole in one read: it becomes an incomplete message. */
static int promote(struct msrp_endpoint *ep)
{
	struct inbox *in = &ep->in;
	struct slice piece = in->piece;
	struct incoming *m = NULL;
	int code = new_incoming(ep, &m);

	in->piece = NONE;
	if (!ep->handler)
		return 0;
	if (code)
		return refuse(ep, code);
	begin_part(ep, m);
	return piece.len && !in->skip ? add_piece(ep, m, piece) : 0;
}

/* --- whole messages --- */

/* The memory of m is the caller's. */
static void deliver(struct msrp_endpoint *ep, const struct message *m, struct slice path)
{
	note_done(&ep->in, m->message_id, 200);
	ep->in.messages++;
	(*ep->all->count.messages_in)++;
	report_delivery(ep, m, m->body.len, path, ep->handler->message(m, ep->arg));
}

static int finish_stream(struct msrp_endpoint *ep, struct incoming *m, struct slice path)
{
	struct message told = describe(m);
	struct slice part;
	int err = 0, result;

	while (ep->handler && ep->in.current == m
	       && (part = assembly_at(&m->parts, m->delivered)).len)
		err = give_piece(ep, m, part);
	if (!ep->handler || ep->in.current != m)
		return 0;
	assembly_forget(&m->parts, m->delivered);
	if (!m->parts.total_known || m->delivered < m->parts.total) {
		timer_queue_start(&ep->all->partial, &m->timer);
		ep->in.current = NULL;
		return err;
	}
	note_done(&ep->in, told.message_id, 200);
	ep->in.messages++;
	(*ep->all->count.messages_in)++;
	result = ep->handler->end(m->stream, 0, ep->arg);
	if (!ep->handler)
		return 0;
	report_delivery(ep, &told, m->delivered, path, result);
	drop_incoming(m);
	return 0;
}

static void finish_assembly(struct msrp_endpoint *ep, struct incoming *m, struct slice path)
{
	struct message whole = describe(m);
	size_t max = (size_t)msrp_stack_settings(ep->all->stack)->max_message_size;

	ep->in.current = NULL;
	if (!assembly_complete(&m->parts)) {
		timer_queue_start(&ep->all->partial, &m->timer);
		return;
	}
	if (m->parts.total > max || assembly_join(&m->parts, &whole.body) < 0) {
		report_delivery(ep, &whole, 0, path, 413);
		drop_incoming(m);
		return;
	}
	whole.total = whole.body.len;
	/* Out of the table first: the handler may free the endpoint. */
	HASH_DEL(ep->in.open, m);
	deliver(ep, &whole, path);
	msrp_stack_discharge(ep->all->stack, m->charged);
	assembly_fini(&m->parts);
	free(m);
}

static void end_part(struct incoming *m, bool last)
{
	if (!m->direct) {
		assembly_end(&m->parts, last);
	} else if (last) {
		m->parts.total = m->delivered;
		m->parts.total_known = true;
	}
}

static void deliver_in_place(struct msrp_endpoint *ep, struct slice path)
{
	struct inbox *in = &ep->in;
	struct message whole = {
		.message_id = in->id,
		.content_type = in->type,
		.body = in->piece.p ? in->piece : (struct slice){"", 0},
		.total = in->piece.len,
		.failure_report = in->failure_report,
		.success_report = in->success_report,
	};

	deliver(ep, &whole, path);
}

/* --- the frame in hand --- */

static int on_body(struct msrp_sink *sink, struct slice piece)
{
	struct msrp_endpoint *ep = endpoint_ref(of_sink(sink));
	struct inbox *in = &ep->in;
	int err = 0;

	if (in->skip) {
		/* nobody wants it */
	} else if (!in->current && !in->piece.p && !ep->stream) {
		in->piece = piece;
	} else {
		if (!in->current)
			err = promote(ep);
		if (ep->handler && in->current)
			err = add_piece(ep, in->current, piece);
	}
	endpoint_unref(ep);
	return err;
}

static int on_parked(struct msrp_sink *sink)
{
	struct msrp_endpoint *ep = endpoint_ref(of_sink(sink));
	struct inbox *in = &ep->in;
	int err = 0;

	if (!in->skip && !in->current)
		err = promote(ep);
	if (in->id.p != in->id_text) {
		memcpy(in->id_text, in->id.p, in->id.len);
		in->id.p = in->id_text;
	}
	in->type = NONE;
	endpoint_unref(ep);
	return err == -EAGAIN ? 0 : err;
}

/* Nothing came before it, and nothing follows. */
static bool is_whole(const struct msrp_endpoint *ep, enum msrp_flag flag)
{
	return !ep->in.current && flag == MSRP_COMPLETE && ep->in.start == 1 && !ep->stream;
}

static int end_message(struct msrp_endpoint *ep, struct slice path, enum msrp_flag flag)
{
	struct inbox *in = &ep->in;

	if (flag == MSRP_ABORTED) {
		if (in->current)
			abandon(in->current, -ECANCELED);
		return 0;
	}
	if (!in->current) {
		deliver_in_place(ep, path);
		return 0;
	}
	end_part(in->current, flag == MSRP_COMPLETE);
	if (ep->stream)
		return finish_stream(ep, in->current, path);
	finish_assembly(ep, in->current, path);
	return 0;
}

static int on_end(struct msrp_sink *sink, enum msrp_flag flag)
{
	struct msrp_endpoint *ep = endpoint_ref(of_sink(sink));
	struct msrp_conn *conn = ep->user.conn;
	struct inbox *in = &ep->in;
	int err = 0;

	if (!in->skip && !in->current && flag != MSRP_ABORTED && !is_whole(ep, flag))
		promote(ep);
	/* The 200 precedes whatever the service says to the message. */
	if (ep->handler && ep->user.conn)
		msrp_conn_reply(conn, 200, SLICE("OK"), NONE);
	if (ep->handler && ep->user.conn && !in->skip)
		err = end_message(ep, msrp_conn_request(conn)->from_path, flag);
	endpoint_unref(ep);
	return err;
}

static void on_aborted(struct msrp_sink *sink, int err)
{
	struct msrp_endpoint *ep = of_sink(sink);

	(void)err;
	if (!ep->in.current)
		return;
	/* What came of this chunk counts; its rest may come again. */
	end_part(ep->in.current, false);
	timer_queue_start(&ep->all->partial, &ep->in.current->timer);
	ep->in.current = NULL;
}

static const struct msrp_sink_ops sink_ops = {on_body, on_end, on_aborted, on_parked};

void inbox_init(struct inbox *in)
{
	in->sink.ops = &sink_ops;
}

void inbox_fini(struct msrp_endpoint *ep)
{
	struct inbox *in = &ep->in;

	msrp_sink_drop(&in->sink);
	in->current = NULL;
	while (in->open)
		drop_incoming(in->open);
	while (in->later)
		forget_later(in, in->later);
	free(in->done);
	in->done = NULL;
}

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

/* Is the message refused for what its head says? @return 0 or an MSRP status */
static int judge(struct msrp_endpoint *ep)
{
	struct inbox *in = &ep->in;
	int code = done_code(in, in->id);
	uint64_t max = msrp_stack_settings(ep->all->stack)->max_message_size;

	if (code)
		return code;
	if (!always_welcome(in->type) && !ep->handler->accepts(in->type, ep->arg))
		return 415;
	if (!ep->stream && in->total != MSRP_RANGE_UNKNOWN && in->total > max)
		return 413;
	return !ep->stream && in->start - 1 > max ? 413 : 0;
}

static void read_head(struct inbox *in, const struct msrp_frame *frame)
{
	struct msrp_byte_range range = {1, MSRP_RANGE_UNKNOWN, MSRP_RANGE_UNKNOWN};

	/* msrp_frame_check() has seen these already, so none can fail. */
	if (frame->byte_range.p)
		msrp_byte_range_parse(&range, frame->byte_range);
	msrp_failure_report_parse(frame->failure_report, &in->failure_report);
	msrp_success_report_parse(frame->success_report, &in->success_report);
	in->id = frame->message_id;
	in->type = frame->content_type;
	in->piece = NONE;
	in->start = range.start;
	in->total = range.total;
	in->current = NULL;
	in->skip = !frame->has_body || !frame->content_type.p;
}

int inbox_request(struct msrp_endpoint *ep, struct msrp_conn *conn, const struct msrp_frame *frame)
{
	struct inbox *in = &ep->in;
	struct incoming *m;
	int code;

	if (in->sink.conn) { /* a frame of this session is being read on another connection */
		msrp_conn_reply(conn, 506, NONE, NONE);
		return 0;
	}
	read_head(in, frame);
	msrp_conn_take(conn, &in->sink);
	if (in->skip)
		return 0;
	code = judge(ep);
	if (code == 200) {
		in->skip = true;
		return 0;
	}
	if (code)
		return refuse(ep, code);
	HASH_FIND(hh, in->open, in->id.p, in->id.len, m);
	return m ? begin_part(ep, m) : 0;
}

void inbox_resume(struct msrp_endpoint *ep, void *stream)
{
	(void)stream;
	if (ep->user.conn)
		msrp_conn_resume(ep->user.conn);
}
