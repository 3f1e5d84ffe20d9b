#include "endpoint/sender.h"

#include <errno.h>
#include <string.h>

#include "endpoint/report_in.h"
#include "endpoint/session.h"
#include "wire/report.h"

#define NONE ((struct slice){NULL, 0})

/* --- queueing --- */

static struct transmission_list *queue_of(struct sender *out, const struct transmission *m)
{
	return m->long_one ? &out->chunker.longs : &out->chunker.shorts;
}

int sender_send(struct sender *out, const struct message_out *message, unsigned flags,
    char *message_id)
{
	struct transmission *m;
	int err = transmission_new(&m, &out->chunker.messages, message);

	if (err < 0)
		return err;
	m->confirm = flags & MSRP_SEND_CONFIRM;
	transmission_append(queue_of(out, m), m);
	out->messages++;
	(*out->session->all->count.messages_out)++;
	if (message_id)
		transmission_id(&out->chunker.messages, m->number, message_id);
	chunker_kick(&out->chunker);
	return 0;
}

static struct transmission *find_in(const struct transmission_list *list, uint64_t number)
{
	struct transmission *m;

	TAILQ_FOREACH(m, list, next)
		if (m->number == number)
			return m;
	return NULL;
}

/* A message of which the peer is to get more; or that starved before its first chunk. */
static struct transmission *find_begun(const struct sender *out, uint64_t number)
{
	struct transmission *m = find_in(&out->chunker.interleaved, number);

	if (!m)
		m = find_in(&out->chunker.throttled, number);
	if (!m)
		m = find_in(&out->chunker.starved, number);
	if (!m && out->chunker.open && out->chunker.open->number == number)
		m = out->chunker.open;
	return m;
}

void sender_ready(struct sender *out, struct slice message_id)
{
	struct transmission *m;
	uint64_t number;

	if (transmission_parse_id(&out->chunker.messages, message_id, &number) < 0)
		return;
	m = find_begun(out, number);
	if (m)
		chunker_wake(&out->chunker, m);
}

static void judge_list(struct sender *out, struct transmission_list *list,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg)
{
	struct transmission *m, *next;

	for (m = TAILQ_FIRST(list); m; m = next) {
		next = TAILQ_NEXT(m, next);
		if (m->begun || m->bodiless)
			continue;
		m->verdict = judge((struct slice){m->type, m->type_len}, m->body.total, arg);
		if (m->verdict)
			transmission_append(&out->rejected, m);
	}
}

void sender_filter(struct sender *out,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg)
{
	judge_list(out, &out->chunker.shorts, judge, arg);
	judge_list(out, &out->chunker.longs, judge, arg);
	judge_list(out, &out->chunker.starved, judge, arg);
	if (!TAILQ_EMPTY(&out->rejected))
		session_due(out->session);
}

/* --- telling --- */

struct notice {
	uint64_t number;
	const struct transmission *message; /* NULL: gone already */
	struct byte_range range;
	int code;
	struct slice phrase;
	enum report_source source;
};

/* The handler may free the endpoint, and with it or by giving up all messages in its lists. */
static void tell(struct sender *out, const struct notice *n)
{
	const struct session *s = out->session;
	char id[MSRP_MESSAGE_ID_SIZE], type[TRANSMISSION_TYPE_MAX];
	struct message_report report = {
	    .message_id = transmission_id(&out->chunker.messages, n->number, id),
	    .code = n->code,
	    .phrase = n->phrase,
	    .range = n->range,
	    .source = n->source,
	};

	if (!s->handler)
		return;
	if (n->message && !n->message->bodiless) {
		memcpy(type, n->message->type, n->message->type_len);
		report.content_type = (struct slice){type, n->message->type_len};
	}
	s->handler->report(&report, s->arg);
}

/* Tell that nothing will come of the whole message, and free it. */
static void tell_and_free(struct sender *out, struct transmission *m, int code)
{
	uint64_t total = m->body.total; /* UINT64_MAX is BYTE_RANGE_UNKNOWN */

	transmission_unlink(m);
	tell(out,
	    &(struct notice){.number = m->number,
		.message = m,
		.range = {1, total, total},
		.code = code,
		.source = REPORT_FROM_HERE});
	transmission_free(m);
}

/* --- stopping --- */

/*
 * RFC 4975 7.1.1, 10.5: no more of it is sent.  The chunk that is being written ends with "#";
 * between two chunks a peer that refused it knows, and one that did not answer is told.
 *
 * @return false: that cost the connection, and the message was dealt with
 */
static bool stop_sending(struct sender *out, struct transmission *m, bool peer_knows)
{

	m->failed = true;
	if (out->chunker.open == m)
		return chunker_abort_open(&out->chunker);
	if (m->begun && !peer_knows) {
		transmission_source_done(m);
		transmission_append(&out->chunker.interleaved, m);
		chunker_kick(&out->chunker);
	} else {
		transmission_stop(m);
		transmission_append(&out->chunker.answerable, m);
	}
	return true;
}

/* Nothing more is to come of it: take it out, for the caller to free. */
static bool take_if_over(struct sender *out, struct transmission *m)
{
	if (m->list != &out->chunker.answerable || m->unanswered)
		return false;
	transmission_unlink(m);
	return true;
}

/* --- responses --- */

/* The first failure of a message is told; the message stays until its other chunks are over. */
static void chunk_failed(struct sender *out, const struct chunk *chunk, int code,
    struct slice phrase, enum report_source source)
{
	struct notice n = {.number = chunk->number,
	    .range = chunk->range,
	    .code = code,
	    .phrase = phrase,
	    .source = source};
	struct transmission *m = chunk->message ? chunk->message : find_begun(out, chunk->number);
	bool told = m && m->failed, over;

	if (m && !told && !stop_sending(out, m, source == REPORT_FROM_RESPONSE))
		m = NULL;
	over = m && take_if_over(out, m);
	n.message = m;
	if (!told)
		tell(out, &n);
	if (over)
		transmission_free(m);
}

/* One chunk less is unanswered. */
static void chunk_answered(struct sender *out, struct transmission *m, int code,
    struct slice phrase)
{
	if (m->list == &out->chunker.throttled) {
		transmission_append(&out->chunker.interleaved, m);
		chunker_kick(&out->chunker);
	}
	if (!take_if_over(out, m))
		return;
	if (m->confirm && !m->failed)
		tell(out,
		    &(struct notice){.number = m->number,
			.message = m,
			.range = {1, m->sent, m->sent},
			.code = code,
			.phrase = phrase,
			.source = REPORT_FROM_RESPONSE});
	transmission_free(m);
}

static struct sender *of_chunker(struct chunker *c)
{
	return (struct sender *)((char *)c - offsetof(struct sender, chunker));
}

/* @return what was known of the chunk, which is over */
static struct chunk take_chunk(struct msrp_transaction *t)
{
	struct chunk *chunk = (struct chunk *)t, taken = *chunk;

	if (chunk->message)
		chunk->message->unanswered--;
	chunker_chunk_over(chunk);
	return taken;
}

static int on_response(struct msrp_transaction *t, const struct msrp_frame *response)
{
	struct chunk chunk = take_chunk(t);
	struct sender *out = of_chunker(chunk.chunker);
	struct session *s = session_ref(out->session);
	int code = (int)response->code;

	session_confirm(s);
	session_active(s);
	if (code >= 300 && chunk.number)
		chunk_failed(out, &chunk, code, response->phrase, REPORT_FROM_RESPONSE);
	else if (chunk.message)
		chunk_answered(out, chunk.message, code, response->phrase);
	if (s->handler && (code == 481 || code == 506))
		out->refused(s, code);
	chunker_check_drained(&out->chunker);
	session_unref(s);
	return 0;
}

static void on_timeout(struct msrp_transaction *t)
{
	struct chunk chunk = take_chunk(t);
	struct sender *out = of_chunker(chunk.chunker);
	struct session *s = session_ref(out->session);

	/* A 200 was due to these alone; from the others silence is consent. */
	if (chunk.message)
		chunk_failed(out, &chunk, 408, NONE, REPORT_FROM_HERE);
	chunker_check_drained(&out->chunker);
	session_unref(s);
}

static void on_lost(struct msrp_transaction *t, int err)
{
	(void)err; /* the message is looked after when the endpoint is told: sender_rewind() */
	take_chunk(t);
}

static const struct msrp_transaction_ops chunk_ops = {
    .response = on_response,
    .timeout = on_timeout,
    .lost = on_lost,
};

/* --- reports from the peer --- */

static void hear_report(struct sender *out, const struct report_head *head)
{
	const struct session *s = out->session;
	struct message_report report = {
	    .message_id = head->message_id,
	    .range = head->range,
	    .body_type = head->body_type,
	    .body = head->body,
	    .source = REPORT_FROM_REPORT,
	};
	struct msrp_status status;
	struct transmission *m;
	uint64_t number;

	(*s->all->count.reports_in)++;
	/* RFC 4975 7.1.1: of messages that we do not know, silently ignored. */
	if (transmission_parse_id(&out->chunker.messages, head->message_id, &number) < 0
	    || msrp_status_parse(&status, head->status) < 0)
		return;
	report.namespace = status.namespace;
	report.code = (int)status.code;
	report.phrase = status.comment;
	m = status.namespace == 0 && status.code >= 300 ? find_begun(out, number) : NULL;
	/* RFC 4975 7.3.2: as if it were the response. */
	if (m && !m->failed && stop_sending(out, m, true) && take_if_over(out, m))
		transmission_free(m);
	if (s->handler)
		s->handler->report(&report, s->arg);
	chunker_check_drained(&out->chunker);
}

static void on_report_whole(const struct report_head *head, void *arg)
{
	struct sender *out = arg;
	struct session *s = session_ref(out->session);

	hear_report(out, head);
	session_unref(s);
}

void sender_take_report(struct sender *out, struct msrp_conn *conn)
{
	const struct msrp_frame *frame = msrp_conn_request(conn);
	struct report_head head = report_head_of(frame);

	/* Of two at once, on two connections, the second one's body is passed over. */
	if (frame->has_body && frame->content_type.p && !out->report
	    && report_in_take(&out->report, conn, on_report_whole, out) == 0)
		return;
	hear_report(out, &head);
}

/* --- losing the connection --- */

/* Nobody waits for the responses of that connection any more. */
static void stop_chunks(struct sender *out)
{
	struct chunk *chunk;

	while ((chunk = LIST_FIRST(&out->chunker.chunks))) {
		msrp_transaction_stop(&chunk->t);
		take_chunk(&chunk->t);
	}
}

void sender_leave(struct sender *out)
{
	struct transmission *m = out->chunker.open;

	if (msrp_flow_is_open(&out->chunker.flow) && chunker_abort_open(&out->chunker))
		m->failed = false; /* here, not as a whole */
	else if (out->chunker.open)
		transmission_prepend(&out->chunker.interleaved, m);
	out->chunker.open = NULL;
	if (out->chunker.flow.conn)
		msrp_conn_unmark(out->chunker.flow.conn, &out->chunker.left);
	stop_chunks(out);
}

/* RFC 4975 5.4: what was not confirmed may be sent again, under the same Message-ID. */
static void rewind_message(struct sender *out, struct transmission *m, int err)
{
	if (m->failed) {
		transmission_free(m);
	} else if (err == -ETIMEDOUT || (m->buffer && m->sent)) {
		/* Not taken in time; or its source cannot be asked again for what it gave. */
		transmission_stop(m);
		m->verdict = err == -ETIMEDOUT ? 408 : 481;
		transmission_prepend(&out->rejected, m);
	} else {
		transmission_rewind(m);
		transmission_prepend(queue_of(out, m), m);
	}
}

void sender_rewind(struct sender *out, int err)
{
	struct transmission_list *lists[] = {&out->chunker.interleaved, &out->chunker.throttled,
	    &out->chunker.answerable};
	struct transmission *m, *next;

	out->chunker.greet = false;
	chunker_free_flushing(&out->chunker);
	for (m = TAILQ_FIRST(&out->chunker.starved); m; m = next) {
		next = TAILQ_NEXT(m, next);
		if (m->begun)
			transmission_append(&out->chunker.interleaved, m);
	}
	/* From the last one on, each to the front: the oldest are in front in the end. */
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		while ((m = TAILQ_LAST(lists[i], transmission_list)))
			rewind_message(out, m, err);
	if (!TAILQ_EMPTY(&out->rejected))
		session_due(out->session);
}

/* The next message that is to be given up, of those up to limit. */
static struct transmission *next_lost(struct sender *out, uint64_t limit)
{
	struct transmission_list *lists[] = {&out->rejected, &out->chunker.answerable,
	    &out->chunker.interleaved, &out->chunker.throttled, &out->chunker.starved,
	    &out->chunker.longs, &out->chunker.shorts};
	struct transmission *m;

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if ((m = TAILQ_FIRST(lists[i])) && m->number <= limit)
			return m;
	return NULL;
}

void sender_give_up(struct sender *out)
{
	struct session *s = session_ref(out->session);
	uint64_t limit = out->chunker.messages.last_number; /* a handler may queue more */
	struct transmission *m;

	sender_leave(out);
	msrp_flow_keep(&out->chunker.flow);
	chunker_free_flushing(&out->chunker);
	while (s->handler && (m = next_lost(out, limit))) {
		if (m->failed)
			transmission_free(m);
		else
			tell_and_free(out, m, m->verdict ? m->verdict : 481);
	}
	session_unref(s);
}

void sender_run(struct sender *out)
{
	struct transmission *m;

	while (out->session->handler && (m = TAILQ_FIRST(&out->rejected)))
		tell_and_free(out, m, m->verdict);
	chunker_check_drained(&out->chunker);
}

/* --- life --- */

void sender_init(struct sender *out, struct session *session,
    void (*refused)(struct session *session, int code))
{
	out->session = session;
	out->refused = refused;
	TAILQ_INIT(&out->rejected);
	chunker_init(&out->chunker, session, &chunk_ops);
}

void sender_fini(struct sender *out)
{
	struct transmission *m;

	report_in_drop(out->report);
	chunker_free_flushing(&out->chunker);
	while ((m = next_lost(out, UINT64_MAX)))
		transmission_free(m);
}
