/* Messages of an endpoint on their way out: RFC 4975 7.1.1. */
#include "msrp/endpoint_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/rand.h"

enum {
	WHOLE_MAX	= 2048,	/* a longer chunk must be interruptible: range-end "*" */
	STORED_CHUNKS	= 1024,
	LEAST_COST	= 256,	/* of a message, however small, against the bounds */
};

void outbox_init(struct outbox *out)
{
	out->last_ready = &out->ready;
	out->last_all = &out->all;
}

bool outbox_drained(const struct outbox *out)
{
	return !out->all && !out->unanswered && !out->greet;
}

/* --- messages --- */

static void push_ready(struct outbox *out, struct outgoing *m)
{
	m->next = NULL;
	m->prevp = out->last_ready;
	*out->last_ready = m;
	out->last_ready = &m->next;
}

static void drop_ready(struct outbox *out, struct outgoing *m)
{
	if (!m->prevp)
		return;
	*m->prevp = m->next;
	if (m->next)
		m->next->prevp = m->prevp;
	else
		out->last_ready = m->prevp;
	m->prevp = NULL;
}

static void source_done(struct outgoing *m)
{
	void (*done)(void *arg) = m->body.done;

	m->body.done = NULL;
	m->body.pull = NULL;
	if (done)
		done(m->body.arg);
}

static void free_message(struct outgoing *m)
{
	struct msrp_endpoint *ep = m->ep;
	struct outbox *out = &ep->out;

	drop_ready(out, m);
	*m->all_prevp = m->all_next;
	if (m->all_next)
		m->all_next->all_prevp = m->all_prevp;
	else
		out->last_all = m->all_prevp;
	out->bytes -= m->charged;
	msrp_stack_discharge(ep->all->stack, m->charged);
	source_done(m);
	free(m);
}

static void write_id(const struct msrp_endpoint *ep, uint64_t number, char id[MSRP_MESSAGE_ID_SIZE])
{
	snprintf(id, MSRP_MESSAGE_ID_SIZE, "%s%llx", ep->prefix, (unsigned long long)number);
}

static int new_message(struct outgoing **mp, struct msrp_endpoint *ep,
    const struct message_out *message, unsigned flags)
{
	const struct message_body *body = &message->body;
	size_t type_len = message->content_type.len;
	size_t bytes = body->pull || !message->content_type.p ? 0 : body->bytes.len;
	size_t cost = bytes > LEAST_COST ? bytes : LEAST_COST;
	struct outgoing *m;

	if (type_len > UINT16_MAX || bytes > SIZE_MAX / 2)
		return -EINVAL;
	if (bytes && (ep->out.bytes > ep->max_queued_bytes
			 || bytes > ep->max_queued_bytes - ep->out.bytes))
		return -ENOBUFS;
	if (msrp_stack_charge(ep->all->stack, cost) < 0)
		return -ENOBUFS;
	m = malloc(sizeof(*m) + type_len + bytes);
	if (!m) {
		msrp_stack_discharge(ep->all->stack, cost);
		return -ENOMEM;
	}
	*m = (struct outgoing){
		.ep = ep,
		.body = *body,
		.failure_report = message->failure_report,
		.success_report = message->success_report,
		.confirm = flags & MSRP_SEND_CONFIRM,
		.bodiless = !message->content_type.p,
		.from_source = body->pull != NULL,
		.type_len = (uint16_t)type_len,
		.charged = cost,
	};
	if (type_len)
		memcpy(m->type, message->content_type.p, type_len);
	if (!body->pull) {
		if (bytes)
			memcpy(m->type + type_len, body->bytes.p, bytes);
		m->body.bytes = (struct slice){m->type + type_len, bytes};
		m->body.total = bytes;
	}
	*mp = m;
	return 0;
}

int outbox_send(struct msrp_endpoint *ep, const struct message_out *message, unsigned flags,
    char *message_id)
{
	struct outbox *out = &ep->out;
	struct outgoing *m;
	int err;

	err = new_message(&m, ep, message, flags);
	if (err < 0)
		return err;
	m->number = ++out->last_number;
	out->messages++;
	m->all_next = NULL;
	m->all_prevp = out->last_all;
	*out->last_all = m;
	out->last_all = &m->all_next;
	push_ready(out, m);
	out->bytes += m->charged;
	if (message_id)
		write_id(ep, m->number, message_id);
	(*ep->all->count.messages_out)++;
	outbox_kick(ep);
	return 0;
}

/* The number in a Message-ID of ours. @return 0 or -ENOENT: we never gave it */
static int parse_id(const struct msrp_endpoint *ep, struct slice id, uint64_t *numberp)
{
	size_t prefix = sizeof(ep->prefix) - 1;
	uint64_t number = 0;

	if (id.len <= prefix || id.len > prefix + 15 || memcmp(id.p, ep->prefix, prefix) != 0)
		return -ENOENT;
	for (size_t i = prefix; i < id.len; i++) {
		char c = id.p[i];

		if (c >= '0' && c <= '9')
			number = number * 16 + (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			number = number * 16 + (uint64_t)(c - 'a' + 10);
		else
			return -ENOENT;
	}
	if (number == 0 || number > ep->out.last_number)
		return -ENOENT;
	*numberp = number;
	return 0;
}

static struct outgoing *find_message(struct msrp_endpoint *ep, struct slice id)
{
	uint64_t number;

	if (parse_id(ep, id, &number) < 0)
		return NULL;
	/* In the order of their numbers; what is sent and answered is gone. */
	for (struct outgoing *m = ep->out.all; m && m->number <= number; m = m->all_next)
		if (m->number == number)
			return m;
	return NULL;
}

/* --- telling --- */

static void tell_failure(struct outgoing *m, const char *status, int code,
    const struct msrp_byte_range *range, enum report_source source)
{
	char id[MSRP_MESSAGE_ID_SIZE], text[80];
	struct msrp_writer w = MSRP_WRITER(text);
	struct message_report report = {.status = slice_of(status), .code = code, .source = source};

	write_id(m->ep, m->number, id);
	msrp_byte_range_write(&w, range);
	report.message_id = slice_of(id);
	report.byte_range = msrp_written(&w);
	report.content_type = (struct slice){m->bodiless ? NULL : m->type, m->type_len};
	endpoint_tell(m->ep, &report);
}

static struct msrp_byte_range whole_range(const struct outgoing *m)
{
	uint64_t total = m->body.total;

	return (struct msrp_byte_range){1, total == UINT64_MAX ? MSRP_RANGE_UNKNOWN : total, total};
}

static void check_drained(struct msrp_endpoint *ep)
{
	if (outbox_drained(&ep->out) && ep->handler && ep->handler->drained)
		ep->handler->drained(ep->arg);
}

/* Sent and answered, or failed and nothing left to wait for: done with. */
static void settle(struct outgoing *m)
{
	if (m->unanswered == 0 && m->all_sent)
		free_message(m);
}

/* The message is all sent, with what was written just now or for good. */
static void sent_all(struct outgoing *m)
{
	m->all_sent = true;
	if (m->from_source || m->failure_report == FAILURE_REPORT_NO)
		msrp_flow_keep(&m->ep->out.flow);
	source_done(m);
}

/* --- chunks --- */

static struct sent_chunk *chunk_get(struct msrp_endpoints *all)
{
	struct sent_chunk *chunk = all->free_chunks;

	if (!chunk)
		return malloc(sizeof(*chunk));
	all->free_chunks = chunk->next;
	all->free_chunk_count--;
	return chunk;
}

static void chunk_put(struct msrp_endpoints *all, struct sent_chunk *chunk)
{
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

/* The chunk's response is there, or will never be. */
static struct outgoing *chunk_over(struct sent_chunk *chunk)
{
	struct outgoing *m = chunk->message;

	if (m)
		m->unanswered--;
	return m;
}

/* RFC 4975 7.1.1: the first failure tells; what has not been sent stays here. */
static void fail_message(struct outgoing *m, const char *status, int code,
    const struct msrp_byte_range *range, enum report_source source)
{
	if (m->failed)
		return;
	m->failed = true;
	if (!m->all_sent && m->sent && endpoint_can_send(m->ep)) {
		if (!m->prevp)
			push_ready(&m->ep->out, m); /* for the chunk that says "#" */
		outbox_kick(m->ep);
	} else {
		m->all_sent = true;
		drop_ready(&m->ep->out, m);
	}
	tell_failure(m, status, code, range, source);
}

static int on_response(struct msrp_transaction *t, const struct msrp_frame *response)
{
	struct sent_chunk *chunk = (struct sent_chunk *)t;
	struct msrp_endpoint *ep = endpoint_ref(chunk->ep);
	struct outgoing *m = chunk_over(chunk);
	int code = (int)response->code;
	char status[160];

	ep->confirmed = true;
	endpoint_active(ep);
	snprintf(status, sizeof(status), "000 %03d%s%.*s", code, response->phrase.len ? " " : "",
	    response->phrase.len > 128 ? 128 : (int)response->phrase.len,
	    response->phrase.p ? response->phrase.p : "");
	if (m && code >= 300 && m->failure_report != FAILURE_REPORT_NO)
		fail_message(m, status, code, &chunk->range, REPORT_FROM_RESPONSE);
	else if (m && code < 300 && m->confirm && chunk->last)
		tell_failure(m, status, code, &(struct msrp_byte_range){1, chunk->range.end, chunk->range.end},
		    REPORT_FROM_RESPONSE);
	/* The handler may have freed the endpoint, and the message with it. */
	if (ep->handler && m)
		settle(m);
	chunk_put(ep->all, chunk);
	if (ep->handler && (code == 481 || code == 506))
		endpoint_refused(ep, code);
	if (ep->handler)
		check_drained(ep);
	endpoint_unref(ep);
	return 0;
}

static void on_timeout(struct msrp_transaction *t)
{
	struct sent_chunk *chunk = (struct sent_chunk *)t;
	struct msrp_endpoint *ep = endpoint_ref(chunk->ep);
	struct outgoing *m = chunk_over(chunk);

	if (m && m->failure_report == FAILURE_REPORT_YES)
		fail_message(m, "000 408", 408, &chunk->range, REPORT_FROM_HERE);
	if (ep->handler && m)
		settle(m);
	chunk_put(ep->all, chunk);
	if (ep->handler)
		check_drained(ep);
	endpoint_unref(ep);
}

/* With its connection: outbox_rewind() deals with the message. */
static void on_lost(struct msrp_transaction *t, int err)
{
	struct sent_chunk *chunk = (struct sent_chunk *)t;

	(void)err;
	chunk_over(chunk);
	chunk_put(chunk->ep->all, chunk);
}

static const struct msrp_transaction_ops chunk_ops = {on_response, on_timeout, on_lost};

/* Take the next transaction id. chunkp stays NULL where no response is to come. */
static int begin_chunk(struct msrp_endpoint *ep, struct outgoing *m, struct sent_chunk **chunkp,
    char tid[MSRP_TID_LEN + 1])
{
	struct sent_chunk *chunk;
	int err;

	*chunkp = NULL;
	if (m && m->failure_report == FAILURE_REPORT_NO) {
		rand_token(tid, MSRP_TID_LEN);
		return 0;
	}
	chunk = chunk_get(ep->all);
	if (!chunk)
		return -ENOMEM;
	*chunk = (struct sent_chunk){.t.ops = &chunk_ops, .ep = ep, .message = m};
	err = msrp_transaction_start(&chunk->t, ep->out.flow.conn);
	chunk->next = ep->out.unanswered;
	chunk->prevp = &ep->out.unanswered;
	if (chunk->next)
		chunk->next->prevp = &chunk->next;
	ep->out.unanswered = chunk;
	if (err < 0) {
		chunk_put(ep->all, chunk);
		return err;
	}
	if (m)
		m->unanswered++;
	memcpy(tid, chunk->t.tid, MSRP_TID_LEN + 1);
	*chunkp = chunk;
	return 0;
}

static void write_report_headers(struct msrp_writer *w, const struct outgoing *m)
{
	if (m->success_report)
		msrp_write(w, SLICE("Success-Report: yes\r\n"));
	if (m->failure_report == FAILURE_REPORT_NO)
		msrp_write(w, SLICE("Failure-Report: no\r\n"));
	if (m->failure_report == FAILURE_REPORT_PARTIAL)
		msrp_write(w, SLICE("Failure-Report: partial\r\n"));
}

/* One SEND. m is NULL for a bodiless one of our own. @return 0 or negative errno */
static int write_chunk(struct msrp_endpoint *ep, struct outgoing *m, struct slice piece,
    enum msrp_flag flag)
{
	char head[HEAD_MAX], end[MSRP_END_LINE_MAX], tid[MSRP_TID_LEN + 1], id[MSRP_MESSAGE_ID_SIZE];
	struct msrp_writer w = MSRP_WRITER(head), e = MSRP_WRITER(end);
	uint64_t start = m ? m->sent + 1 : 1, stop = start - 1 + piece.len;
	bool body = m && !m->bodiless;
	struct msrp_byte_range range = {start, stop, m && !m->bodiless ? m->body.total : 0};
	struct sent_chunk *chunk;
	int err = begin_chunk(ep, m, &chunk, tid);

	if (err < 0)
		return err;
	if (chunk) {
		chunk->range = range;
		chunk->last = flag == MSRP_COMPLETE;
	}
	if (flag == MSRP_COMPLETE && range.total == UINT64_MAX)
		range.total = stop;
	/* Interruptible, so the end is not promised (RFC 4975 7.1.1). */
	if (piece.len > WHOLE_MAX || flag == MSRP_ABORTED)
		range.end = MSRP_RANGE_UNKNOWN;
	write_id(ep, m ? m->number : ++ep->out.last_number, id);
	msrp_write_request_line(&w, slice_of(tid), SLICE("SEND"));
	msrp_write_paths(&w, slice_of(ep->to_path), slice_of(ep->own_uri));
	msrp_write_header(&w, SLICE("Message-ID"), slice_of(id));
	if (m)
		write_report_headers(&w, m);
	msrp_write(&w, SLICE("Byte-Range: "));
	msrp_byte_range_write(&w, &range);
	msrp_write(&w, SLICE("\r\n"));
	if (body) {
		msrp_write_header(&w, SLICE("Content-Type"), (struct slice){m->type, m->type_len});
		msrp_write_blank_line(&w);
	}
	msrp_write_end_line(&e, slice_of(tid), flag, body);
	msrp_flow_begin(&ep->out.flow, msrp_written(&w));
	msrp_flow_body(&ep->out.flow, piece);
	msrp_flow_end(&ep->out.flow, msrp_written(&e));
	ep->out.greet = false;
	/* Out of memory closes the connection, and ends the chunk with it. */
	if (!ep->out.flow.conn)
		return -ENOTCONN;
	if (chunk)
		msrp_transaction_sent(&chunk->t);
	endpoint_active(ep);
	return 0;
}

/* The next piece of a message. @return 0, -EAGAIN: its source has none now, or its error */
static int next_piece(struct outgoing *m, size_t want, struct slice *piece, bool *lastp)
{
	uint64_t left = m->body.total - m->sent;
	int err;

	if (!m->body.pull) {
		*piece = slice_head(slice_from(m->body.bytes, (size_t)m->sent), want);
		*lastp = piece->len == left;
		return 0;
	}
	if (m->body.total != UINT64_MAX && left < want)
		want = (size_t)left;
	*piece = (struct slice){NULL, 0};
	err = m->body.pull(m->body.arg, want, piece);
	if (err < 0)
		return err;
	if (piece->len > want)
		return -EPROTO;
	*lastp = m->body.total == UINT64_MAX ? piece->len == 0 : piece->len == left;
	/* A source that ends before its announced total has failed. */
	return piece->len == 0 && !*lastp ? -EPROTO : 0;
}

static void abort_message(struct outgoing *m)
{
	if (m->sent)
		write_chunk(m->ep, m, (struct slice){NULL, 0}, MSRP_ABORTED);
	sent_all(m);
}

/* msrp_endpoint_sift() found that the peer would not have it. */
static void tell_refused(struct outgoing *m)
{
	struct msrp_endpoint *ep = m->ep;
	struct msrp_byte_range range = whole_range(m);
	char status[16];

	snprintf(status, sizeof(status), "000 %03d", m->refused);
	tell_failure(m, status, m->refused, &range, REPORT_FROM_HERE);
	if (ep->handler)
		free_message(m);
}

/* A chunk of the message at the head of the line. @return bytes sent, or negative errno */
static ssize_t send_next(struct msrp_endpoint *ep, struct outgoing *m, size_t want)
{
	struct slice piece = {NULL, 0};
	bool last = true;
	int err;

	drop_ready(&ep->out, m);
	if (m->refused) {
		tell_refused(m);
		return 0;
	}
	if (m->failed) {
		abort_message(m);
		settle(m);
		return 0;
	}
	err = m->bodiless ? 0 : next_piece(m, want, &piece, &last);
	if (!ep->handler)
		return -ECANCELED;
	if (err == -EAGAIN) {
		m->stalled = true;
		return 0;
	}
	if (err < 0) {
		m->failed = true;
		abort_message(m);
		settle(m);
		return 0;
	}
	err = write_chunk(ep, m, piece, last ? MSRP_COMPLETE : MSRP_MORE);
	if (err < 0) {
		if (ep->handler && ep->out.flow.conn)
			push_ready(&ep->out, m);
		return err;
	}
	m->sent += piece.len;
	if (last)
		sent_all(m);
	else
		push_ready(&ep->out, m);
	settle(m);
	return (ssize_t)piece.len;
}

static void on_writable(struct msrp_flow *flow)
{
	struct msrp_endpoint *ep =
	    (struct msrp_endpoint *)((char *)flow - offsetof(struct msrp_endpoint, out.flow));
	size_t budget = (size_t)msrp_stack_settings(ep->all->stack)->chunk_size;
	struct outgoing *m;

	endpoint_ref(ep);
	/* One chunk_size in all: then it is another session's turn. */
	while (ep->handler && ep->out.flow.conn && (m = ep->out.ready)) {
		bool pulled = m->body.pull != NULL;
		ssize_t n = send_next(ep, m, budget);

		/* A source's piece is good until it is asked again: not in this turn. */
		if (n < 0 || pulled)
			break;
		if (budget < (size_t)n + LEAST_COST + WHOLE_MAX)
			break;
		budget -= (size_t)n + LEAST_COST;
	}
	/* Only where nothing else has bound the session at the peer (RFC 4975 5.4). */
	if (ep->handler && ep->out.greet && ep->out.flow.conn)
		write_chunk(ep, NULL, (struct slice){NULL, 0}, MSRP_COMPLETE);
	if (ep->handler && ep->out.ready)
		msrp_flow_wait(&ep->out.flow);
	if (ep->handler)
		check_drained(ep);
	endpoint_unref(ep);
}

static void on_interrupt(struct msrp_flow *flow)
{
	(void)flow; /* chunks are written whole, so none is ever found open */
}

static void on_closed(struct msrp_flow *flow, int err)
{
	(void)flow; /* the user of the same connection is told */
	(void)err;
}

const struct msrp_flow_ops outbox_flow_ops = {on_interrupt, on_writable, on_closed};

void outbox_kick(struct msrp_endpoint *ep)
{
	if (!endpoint_can_send(ep) || (!ep->out.ready && !ep->out.greet))
		return;
	msrp_flow_wait(&ep->out.flow);
}

void outbox_sift(struct msrp_endpoint *ep,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg)
{
	for (struct outgoing *m = ep->out.all; m; m = m->all_next)
		if (!m->sent && !m->all_sent && !m->failed && !m->bodiless)
			m->refused = judge((struct slice){m->type, m->type_len}, m->body.total, arg);
	outbox_kick(ep);
}

void outbox_ready(struct msrp_endpoint *ep, struct slice message_id)
{
	struct outgoing *m = find_message(ep, message_id);

	if (!m || !m->stalled)
		return;
	m->stalled = false;
	push_ready(&ep->out, m);
	outbox_kick(ep);
}

/* --- reports from the peer --- */

void outbox_report_received(struct msrp_endpoint *ep, const struct msrp_frame *frame)
{
	struct message_report report = {
		.message_id = frame->message_id,
		.status = frame->status,
		.byte_range = frame->byte_range,
		.source = REPORT_FROM_REPORT,
	};
	struct msrp_status status;
	struct msrp_byte_range range;
	struct outgoing *m;
	uint64_t number;

	(*ep->all->count.reports_in)++;
	/* RFC 4975 7.1.1: of messages that we do not know, silently ignored. */
	if (parse_id(ep, frame->message_id, &number) < 0
	    || msrp_status_parse(&status, frame->status) < 0)
		return;
	report.code = status.namespace == 0 ? (int)status.code : 0;
	m = report.code >= 300 ? find_message(ep, frame->message_id) : NULL;
	if (m && !m->failed && msrp_byte_range_parse(&range, frame->byte_range) == 0) {
		/* RFC 4975 7.3.2: as if it were the response. */
		m->failed = true;
		if (!m->all_sent && m->sent) {
			if (!m->prevp)
				push_ready(&ep->out, m);
			outbox_kick(ep);
		}
	}
	endpoint_tell(ep, &report);
}

/* --- losing the connection --- */

/* Leave the connection's transactions: nobody waits for these responses any more. */
static void stop_chunks(struct msrp_endpoint *ep)
{
	struct sent_chunk *chunk;

	while ((chunk = ep->out.unanswered)) {
		msrp_transaction_stop(&chunk->t);
		chunk_over(chunk);
		chunk_put(ep->all, chunk);
	}
}

static void tell_lost(struct outgoing *m)
{
	struct msrp_byte_range range = whole_range(m);

	tell_failure(m, "000 481", 481, &range, REPORT_FROM_HERE);
}

void outbox_rewind(struct msrp_endpoint *ep)
{
	struct outgoing *m, *next;

	stop_chunks(ep);
	ep->out.greet = false;
	for (m = ep->out.all; m && ep->handler; m = next) {
		next = m->all_next;
		m->stalled = false;
		/* A source cannot be asked again for what it gave. */
		if (!m->failed && m->from_source && m->sent) {
			m->failed = true;
			tell_lost(m);
			if (!ep->handler)
				return;
		}
		if (m->failed) {
			free_message(m);
			continue;
		}
		m->sent = 0;
		m->all_sent = false;
		if (!m->prevp)
			push_ready(&ep->out, m);
	}
}

void outbox_give_up(struct msrp_endpoint *ep)
{
	struct outgoing *m;

	endpoint_ref(ep);
	stop_chunks(ep);
	while (ep->handler && (m = ep->out.all)) {
		if (!m->failed)
			tell_lost(m);
		if (ep->handler)
			free_message(m);
	}
	endpoint_unref(ep);
}

void outbox_fini(struct msrp_endpoint *ep)
{
	stop_chunks(ep);
	while (ep->out.all)
		free_message(ep->out.all);
}
