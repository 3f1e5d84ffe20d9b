/* Messages that an endpoint sends, and what becomes of them: RFC 4975 7.1.1, 7.3.2. */
#include "endpoint/priv.h"

#include <errno.h>

#define NONE ((struct slice){NULL, 0})

static void on_left(struct net_mark *mark);

void sender_init(struct endpoint *ep)
{
	struct sender *out = &ep->out;
	struct transmission_list *lists[] = {&out->rejected, &out->shorts, &out->longs,
	    &out->interleaved, &out->starved, &out->throttled, &out->answerable, &out->flushing};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		lists[i]->lastp = &lists[i]->first;
	out->flow.ops = &chunker_flow_ops;
	out->left.sent = on_left;
}

bool sender_drained(const struct sender *out)
{
	return out->count == 0 && !out->greet;
}

void sender_check_drained(struct endpoint *ep)
{
	if (ep->handler && sender_drained(&ep->out) && ep->handler->drained)
		ep->handler->drained(ep->arg);
}

/* --- queueing --- */

static struct transmission_list *queue_of(struct sender *out, const struct transmission *m)
{
	return m->long_one ? &out->longs : &out->shorts;
}

int sender_send(struct endpoint *ep, const struct message_out *message, unsigned flags,
    char *message_id)
{
	struct sender *out = &ep->out;
	struct transmission *m;
	int err = transmission_new(&m, ep, message);

	if (err < 0)
		return err;
	m->number = ++out->last_number;
	m->confirm = flags & MSRP_SEND_CONFIRM;
	transmission_append(queue_of(out, m), m);
	out->messages++;
	(*ep->all->count.messages_out)++;
	if (message_id)
		transmission_id(ep, m->number, message_id);
	chunker_kick(ep);
	return 0;
}

static struct transmission *find_in(const struct transmission_list *list, uint64_t number)
{
	for (struct transmission *m = list->first; m; m = m->next)
		if (m->number == number)
			return m;
	return NULL;
}

/* A message of which the peer is to get more; or that starved before its first chunk. */
static struct transmission *find_begun(const struct sender *out, uint64_t number)
{
	struct transmission *m = find_in(&out->interleaved, number);

	if (!m)
		m = find_in(&out->throttled, number);
	if (!m)
		m = find_in(&out->starved, number);
	if (!m && out->open && out->open->number == number)
		m = out->open;
	return m;
}

void sender_ready(struct endpoint *ep, struct slice message_id)
{
	struct sender *out = &ep->out;
	struct transmission *m;
	uint64_t number;

	if (transmission_parse_id(ep, message_id, &number) < 0)
		return;
	m = find_begun(out, number);
	if (!m)
		return;
	m->dry = false;
	if (m->list != &out->starved)
		return;
	transmission_append(m->begun ? &out->interleaved : &out->longs, m);
	chunker_kick(ep);
}

static void judge_list(struct endpoint *ep, struct transmission_list *list,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg)
{
	struct transmission *m, *next;

	for (m = list->first; m; m = next) {
		next = m->next;
		if (m->begun || m->bodiless)
			continue;
		m->verdict = judge((struct slice){m->type, m->type_len}, m->body.total, arg);
		if (m->verdict)
			transmission_append(&ep->out.rejected, m);
	}
}

void sender_sift(struct endpoint *ep,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg)
{
	judge_list(ep, &ep->out.shorts, judge, arg);
	judge_list(ep, &ep->out.longs, judge, arg);
	judge_list(ep, &ep->out.starved, judge, arg);
	if (ep->out.rejected.first)
		endpoint_due(ep);
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
static void tell(struct endpoint *ep, const struct notice *n)
{
	char id[MSRP_MESSAGE_ID_SIZE], type[TRANSMISSION_TYPE_MAX];
	struct message_report report = {
	    .message_id = transmission_id(ep, n->number, id),
	    .code = n->code,
	    .phrase = n->phrase,
	    .range = n->range,
	    .source = n->source,
	};

	if (!ep->handler)
		return;
	if (n->message && !n->message->bodiless) {
		memcpy(type, n->message->type, n->message->type_len);
		report.content_type = (struct slice){type, n->message->type_len};
	}
	ep->handler->report(&report, ep->arg);
}

/* Tell that nothing will come of the whole message, and free it. */
static void tell_and_free(struct endpoint *ep, struct transmission *m, int code)
{
	uint64_t total = m->body.total; /* UINT64_MAX is BYTE_RANGE_UNKNOWN */

	transmission_unlink(m);
	tell(ep,
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
static bool stop_sending(struct endpoint *ep, struct transmission *m, bool peer_knows)
{
	struct sender *out = &ep->out;

	m->failed = true;
	if (out->open == m)
		return chunker_abort_open(ep);
	if (m->begun && !peer_knows) {
		transmission_source_done(m);
		transmission_append(&out->interleaved, m);
		chunker_kick(ep);
	} else {
		transmission_stop(m);
		transmission_append(&out->answerable, m);
	}
	return true;
}

/* Nothing more is to come of it: take it out, for the caller to free. */
static bool take_if_over(struct sender *out, struct transmission *m)
{
	if (m->list != &out->answerable || m->unanswered)
		return false;
	transmission_unlink(m);
	return true;
}

/* --- responses --- */

/* The first failure of a message is told; the message stays until its other chunks are over. */
static void chunk_failed(struct endpoint *ep, const struct chunk *chunk, int code,
    struct slice phrase, enum report_source source)
{
	struct notice n = {.number = chunk->number,
	    .range = chunk->range,
	    .code = code,
	    .phrase = phrase,
	    .source = source};
	struct transmission *m =
	    chunk->message ? chunk->message : find_begun(&ep->out, chunk->number);
	bool told = m && m->failed, over;

	if (m && !told && !stop_sending(ep, m, source == REPORT_FROM_RESPONSE))
		m = NULL;
	over = m && take_if_over(&ep->out, m);
	n.message = m;
	if (!told)
		tell(ep, &n);
	if (over)
		transmission_free(m);
}

/* One chunk less is unanswered. */
static void chunk_answered(struct endpoint *ep, struct transmission *m, int code,
    struct slice phrase)
{
	if (m->list == &ep->out.throttled) {
		transmission_append(&ep->out.interleaved, m);
		chunker_kick(ep);
	}
	if (!take_if_over(&ep->out, m))
		return;
	if (m->confirm && !m->failed)
		tell(ep,
		    &(struct notice){.number = m->number,
			.message = m,
			.range = {1, m->sent, m->sent},
			.code = code,
			.phrase = phrase,
			.source = REPORT_FROM_RESPONSE});
	transmission_free(m);
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
	struct endpoint *ep = endpoint_ref(chunk.ep);
	int code = (int)response->code;

	ep->confirmed = true;
	endpoint_active(ep);
	if (code >= 300 && chunk.number)
		chunk_failed(ep, &chunk, code, response->phrase, REPORT_FROM_RESPONSE);
	else if (chunk.message)
		chunk_answered(ep, chunk.message, code, response->phrase);
	if (ep->handler && (code == 481 || code == 506))
		endpoint_refused(ep, code);
	sender_check_drained(ep);
	endpoint_unref(ep);
	return 0;
}

static void on_timeout(struct msrp_transaction *t)
{
	struct chunk chunk = take_chunk(t);
	struct endpoint *ep = endpoint_ref(chunk.ep);

	/* A 200 was due to these alone; from the others silence is consent. */
	if (chunk.message)
		chunk_failed(ep, &chunk, 408, NONE, REPORT_FROM_HERE);
	sender_check_drained(ep);
	endpoint_unref(ep);
}

static void on_lost(struct msrp_transaction *t, int err)
{
	(void)err; /* the message is looked after when the endpoint is told: sender_rewind() */
	take_chunk(t);
}

const struct msrp_transaction_ops sender_chunk_ops = {on_response, on_timeout, on_lost};

static void free_flushing(struct sender *out)
{
	while (out->flushing.first)
		transmission_free(out->flushing.first);
}

static void on_left(struct net_mark *mark)
{
	struct endpoint *ep =
	    endpoint_ref((struct endpoint *)((char *)mark - offsetof(struct endpoint, out.left)));

	free_flushing(&ep->out);
	sender_check_drained(ep);
	endpoint_unref(ep);
}

/* --- reports from the peer --- */

void sender_report_received(struct endpoint *ep, const struct msrp_frame *frame)
{
	struct message_report report = {
	    .message_id = frame->message_id,
	    .source = REPORT_FROM_REPORT,
	};
	struct msrp_status status;
	struct transmission *m;
	uint64_t number;

	(*ep->all->count.reports_in)++;
	/* RFC 4975 7.1.1: of messages that we do not know, silently ignored. */
	if (transmission_parse_id(ep, frame->message_id, &number) < 0
	    || msrp_status_parse(&status, frame->status) < 0)
		return;
	report.namespace = status.namespace;
	report.code = (int)status.code;
	report.phrase = status.comment;
	if (frame->byte_range.p)
		report.range = frame->range;
	m = status.namespace == 0 && status.code >= 300 ? find_begun(&ep->out, number) : NULL;
	/* RFC 4975 7.3.2: as if it were the response. */
	if (m && !m->failed && stop_sending(ep, m, true) && take_if_over(&ep->out, m))
		transmission_free(m);
	if (ep->handler)
		ep->handler->report(&report, ep->arg);
	sender_check_drained(ep);
}

/* --- losing the connection --- */

/* Nobody waits for the responses of that connection any more. */
static void stop_chunks(struct endpoint *ep)
{
	while (ep->out.chunks) {
		msrp_transaction_stop(&ep->out.chunks->t);
		take_chunk(&ep->out.chunks->t);
	}
}

void sender_leave(struct endpoint *ep)
{
	struct sender *out = &ep->out;
	struct transmission *m = out->open;

	if (msrp_flow_is_open(&out->flow) && chunker_abort_open(ep))
		m->failed = false; /* here, not as a whole */
	else if (out->open)
		transmission_prepend(&out->interleaved, m);
	out->open = NULL;
	if (out->flow.conn)
		msrp_conn_unmark(out->flow.conn, &out->left);
	stop_chunks(ep);
}

/* RFC 4975 5.4: what was not confirmed may be sent again, under the same Message-ID. */
static void rewind_message(struct endpoint *ep, struct transmission *m, int err)
{
	struct sender *out = &ep->out;

	if (m->failed) {
		transmission_free(m);
	} else if (err == -ETIMEDOUT || (m->buffer && m->sent)) {
		/* Not taken in time; or its source cannot be asked again for what it gave. */
		transmission_stop(m);
		m->verdict = err == -ETIMEDOUT ? 408 : 481;
		transmission_prepend(&out->rejected, m);
	} else {
		transmission_stop(m);
		transmission_count(m);
		m->sent = 0;
		transmission_prepend(queue_of(out, m), m);
	}
}

void sender_rewind(struct endpoint *ep, int err)
{
	struct sender *out = &ep->out;
	struct transmission_list *lists[] = {&out->interleaved, &out->throttled, &out->answerable};
	struct transmission *m, *next;

	out->greet = false;
	free_flushing(out);
	for (m = out->starved.first; m; m = next) {
		next = m->next;
		if (m->begun)
			transmission_append(&out->interleaved, m);
	}
	/* From the last one on, each to the front: the oldest are in front in the end. */
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		while (lists[i]->first)
			rewind_message(ep, transmission_last(lists[i]), err);
	if (out->rejected.first)
		endpoint_due(ep);
}

/* The next message that is to be given up, of those up to limit. */
static struct transmission *next_lost(struct sender *out, uint64_t limit)
{
	struct transmission_list *lists[] = {&out->rejected, &out->answerable, &out->interleaved,
	    &out->throttled, &out->starved, &out->longs, &out->shorts};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (lists[i]->first && lists[i]->first->number <= limit)
			return lists[i]->first;
	return NULL;
}

void sender_give_up(struct endpoint *ep)
{
	struct sender *out = &ep->out;
	uint64_t limit = out->last_number; /* a handler may queue more */
	struct transmission *m;

	endpoint_ref(ep);
	sender_leave(ep);
	msrp_flow_keep(&out->flow);
	free_flushing(out);
	while (ep->handler && (m = next_lost(out, limit))) {
		if (m->failed)
			transmission_free(m);
		else
			tell_and_free(ep, m, m->verdict ? m->verdict : 481);
	}
	endpoint_unref(ep);
}

void sender_run(struct endpoint *ep)
{
	struct transmission *m;

	while (ep->handler && (m = ep->out.rejected.first))
		tell_and_free(ep, m, m->verdict);
	sender_check_drained(ep);
}

void sender_fini(struct endpoint *ep)
{
	struct transmission *m;

	free_flushing(&ep->out);
	while ((m = next_lost(&ep->out, UINT64_MAX)))
		transmission_free(m);
}
