/* Messages of an endpoint on their way out, and what becomes of them: RFC 4975 7.1.1, 7.3.2. */
#include "endpoint/priv.h"

#include <errno.h>

#define NONE ((struct slice){NULL, 0})

static void on_left(struct net_mark *mark);

void outbox_init(struct endpoint *ep)
{
	struct outbox *out = &ep->out;
	struct outgoing_list *lists[] = {&out->judged, &out->shorts, &out->longs, &out->turning,
	    &out->starved, &out->crowded, &out->answering, &out->leaving};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		lists[i]->lastp = &lists[i]->first;
	out->flow.ops = &sending_flow_ops;
	out->left.sent = on_left;
}

bool outbox_drained(const struct outbox *out)
{
	return out->count == 0 && !out->greet;
}

void outbox_check_drained(struct endpoint *ep)
{
	if (ep->handler && outbox_drained(&ep->out) && ep->handler->drained)
		ep->handler->drained(ep->arg);
}

/* --- queueing --- */

static struct outgoing_list *queue_of(struct outbox *out, const struct outgoing *m)
{
	return m->long_one ? &out->longs : &out->shorts;
}

int outbox_send(struct endpoint *ep, const struct message_out *message, unsigned flags,
    char *message_id)
{
	struct outbox *out = &ep->out;
	struct outgoing *m;
	int err = outgoing_new(&m, ep, message);

	if (err < 0)
		return err;
	m->number = ++out->last_number;
	m->confirm = flags & MSRP_SEND_CONFIRM;
	outgoing_append(queue_of(out, m), m);
	out->messages++;
	(*ep->all->count.messages_out)++;
	if (message_id)
		outgoing_id(ep, m->number, message_id);
	sending_kick(ep);
	return 0;
}

static struct outgoing *find_in(const struct outgoing_list *list, uint64_t number)
{
	for (struct outgoing *m = list->first; m; m = m->next)
		if (m->number == number)
			return m;
	return NULL;
}

/* A message of which the peer is to get more; or that starved before its first chunk. */
static struct outgoing *find_begun(const struct outbox *out, uint64_t number)
{
	struct outgoing *m = find_in(&out->turning, number);

	if (!m)
		m = find_in(&out->crowded, number);
	if (!m)
		m = find_in(&out->starved, number);
	if (!m && out->open && out->open->number == number)
		m = out->open;
	return m;
}

void outbox_ready(struct endpoint *ep, struct slice message_id)
{
	struct outbox *out = &ep->out;
	struct outgoing *m;
	uint64_t number;

	if (outgoing_parse_id(ep, message_id, &number) < 0)
		return;
	m = find_begun(out, number);
	if (!m)
		return;
	m->dry = false;
	if (m->list != &out->starved)
		return;
	outgoing_append(m->begun ? &out->turning : &out->longs, m);
	sending_kick(ep);
}

static void judge_list(struct endpoint *ep, struct outgoing_list *list,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg)
{
	struct outgoing *m, *next;

	for (m = list->first; m; m = next) {
		next = m->next;
		if (m->begun || m->bodiless)
			continue;
		m->verdict = judge((struct slice){m->type, m->type_len}, m->body.total, arg);
		if (m->verdict)
			outgoing_append(&ep->out.judged, m);
	}
}

void outbox_sift(struct endpoint *ep,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg)
{
	judge_list(ep, &ep->out.shorts, judge, arg);
	judge_list(ep, &ep->out.longs, judge, arg);
	judge_list(ep, &ep->out.starved, judge, arg);
	if (ep->out.judged.first)
		endpoint_due(ep);
}

/* --- telling --- */

struct notice {
	uint64_t number;
	const struct outgoing *message; /* NULL: gone already */
	struct byte_range range;
	int code;
	struct slice phrase;
	enum report_source source;
};

/* The handler may free the endpoint, and with it or by giving up all messages in its lists. */
static void tell(struct endpoint *ep, const struct notice *n)
{
	char id[MSRP_MESSAGE_ID_SIZE], type[OUTGOING_TYPE_MAX];
	struct message_report report = {
	    .message_id = outgoing_id(ep, n->number, id),
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
static void tell_and_free(struct endpoint *ep, struct outgoing *m, int code)
{
	uint64_t total = m->body.total; /* UINT64_MAX is BYTE_RANGE_UNKNOWN */

	outgoing_unlink(m);
	tell(ep,
	    &(struct notice){.number = m->number,
		.message = m,
		.range = {1, total, total},
		.code = code,
		.source = REPORT_FROM_HERE});
	outgoing_free(m);
}

/* --- stopping --- */

/*
 * RFC 4975 7.1.1, 10.5: no more of it is sent.  The chunk that is being written ends with "#";
 * between two chunks a peer who refused it knows, and one who did not answer is told.
 *
 * @return false: that cost the connection, and the message was dealt with
 */
static bool stop_sending(struct endpoint *ep, struct outgoing *m, bool peer_knows)
{
	struct outbox *out = &ep->out;

	m->failed = true;
	if (out->open == m)
		return sending_abort_open(ep);
	if (m->begun && !peer_knows) {
		outgoing_source_done(m);
		outgoing_append(&out->turning, m);
		sending_kick(ep);
	} else {
		outgoing_stop(m);
		outgoing_append(&out->answering, m);
	}
	return true;
}

/* Nothing more is to come of it: take it out, for the caller to free. */
static bool take_if_over(struct outbox *out, struct outgoing *m)
{
	if (m->list != &out->answering || m->unanswered)
		return false;
	outgoing_unlink(m);
	return true;
}

/* --- responses --- */

/* The first failure of a message is told; the message stays until its other chunks are over. */
static void chunk_failed(struct endpoint *ep, const struct sent_chunk *chunk, int code,
    struct slice phrase, enum report_source source)
{
	struct notice n = {.number = chunk->number,
	    .range = chunk->range,
	    .code = code,
	    .phrase = phrase,
	    .source = source};
	struct outgoing *m = chunk->message ? chunk->message : find_begun(&ep->out, chunk->number);
	bool told = m && m->failed, over;

	if (m && !told && !stop_sending(ep, m, source == REPORT_FROM_RESPONSE))
		m = NULL;
	over = m && take_if_over(&ep->out, m);
	n.message = m;
	if (!told)
		tell(ep, &n);
	if (over)
		outgoing_free(m);
}

/* One chunk less is unanswered. */
static void chunk_answered(struct endpoint *ep, struct outgoing *m, int code, struct slice phrase)
{
	if (m->list == &ep->out.crowded) {
		outgoing_append(&ep->out.turning, m);
		sending_kick(ep);
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
	outgoing_free(m);
}

/* @return what was known of the chunk, which is over */
static struct sent_chunk take_chunk(struct msrp_transaction *t)
{
	struct sent_chunk *chunk = (struct sent_chunk *)t, taken = *chunk;

	if (chunk->message)
		chunk->message->unanswered--;
	sending_chunk_over(chunk);
	return taken;
}

static int on_response(struct msrp_transaction *t, const struct msrp_frame *response)
{
	struct sent_chunk chunk = take_chunk(t);
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
	outbox_check_drained(ep);
	endpoint_unref(ep);
	return 0;
}

static void on_timeout(struct msrp_transaction *t)
{
	struct sent_chunk chunk = take_chunk(t);
	struct endpoint *ep = endpoint_ref(chunk.ep);

	/* A 200 was due to these alone; from the others silence is consent. */
	if (chunk.message)
		chunk_failed(ep, &chunk, 408, NONE, REPORT_FROM_HERE);
	outbox_check_drained(ep);
	endpoint_unref(ep);
}

static void on_lost(struct msrp_transaction *t, int err)
{
	(void)err; /* the message's turn comes when the endpoint is told: outbox_rewind() */
	take_chunk(t);
}

const struct msrp_transaction_ops outbox_chunk_ops = {on_response, on_timeout, on_lost};

static void free_leaving(struct outbox *out)
{
	while (out->leaving.first)
		outgoing_free(out->leaving.first);
}

static void on_left(struct net_mark *mark)
{
	struct endpoint *ep =
	    endpoint_ref((struct endpoint *)((char *)mark - offsetof(struct endpoint, out.left)));

	free_leaving(&ep->out);
	outbox_check_drained(ep);
	endpoint_unref(ep);
}

/* --- reports from the peer --- */

void outbox_report_received(struct endpoint *ep, const struct msrp_frame *frame)
{
	struct message_report report = {
	    .message_id = frame->message_id,
	    .source = REPORT_FROM_REPORT,
	};
	struct msrp_status status;
	struct outgoing *m;
	uint64_t number;

	(*ep->all->count.reports_in)++;
	/* RFC 4975 7.1.1: of messages that we do not know, silently ignored. */
	if (outgoing_parse_id(ep, frame->message_id, &number) < 0
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
		outgoing_free(m);
	if (ep->handler)
		ep->handler->report(&report, ep->arg);
	outbox_check_drained(ep);
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

void outbox_leave(struct endpoint *ep)
{
	struct outbox *out = &ep->out;
	struct outgoing *m = out->open;

	if (msrp_flow_is_open(&out->flow) && sending_abort_open(ep))
		m->failed = false; /* here, not as a whole */
	else if (out->open)
		outgoing_prepend(&out->turning, m);
	out->open = NULL;
	if (out->flow.conn)
		msrp_conn_unmark(out->flow.conn, &out->left);
	stop_chunks(ep);
}

/* RFC 4975 5.4: what was not confirmed may be sent again, under the same Message-ID. */
static void rewind_message(struct endpoint *ep, struct outgoing *m, int err)
{
	struct outbox *out = &ep->out;

	if (m->failed) {
		outgoing_free(m);
	} else if (err == -ETIMEDOUT || (m->buffer && m->sent)) {
		/* Not taken in time; or its source cannot be asked again for what it gave. */
		outgoing_stop(m);
		m->verdict = err == -ETIMEDOUT ? 408 : 481;
		outgoing_prepend(&out->judged, m);
	} else {
		outgoing_stop(m);
		outgoing_count(m);
		m->sent = 0;
		outgoing_prepend(queue_of(out, m), m);
	}
}

void outbox_rewind(struct endpoint *ep, int err)
{
	struct outbox *out = &ep->out;
	struct outgoing_list *lists[] = {&out->turning, &out->crowded, &out->answering};
	struct outgoing *m, *next;

	out->greet = false;
	free_leaving(out);
	for (m = out->starved.first; m; m = next) {
		next = m->next;
		if (m->begun)
			outgoing_append(&out->turning, m);
	}
	/* From the last one on, each to the front: the oldest are in front in the end. */
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		while (lists[i]->first)
			rewind_message(ep, outgoing_last(lists[i]), err);
	if (out->judged.first)
		endpoint_due(ep);
}

/* The next message that is to be given up, of those up to limit. */
static struct outgoing *next_lost(struct outbox *out, uint64_t limit)
{
	struct outgoing_list *lists[] = {&out->judged, &out->answering, &out->turning,
	    &out->crowded, &out->starved, &out->longs, &out->shorts};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (lists[i]->first && lists[i]->first->number <= limit)
			return lists[i]->first;
	return NULL;
}

void outbox_give_up(struct endpoint *ep)
{
	struct outbox *out = &ep->out;
	uint64_t limit = out->last_number; /* a handler may queue more */
	struct outgoing *m;

	endpoint_ref(ep);
	outbox_leave(ep);
	msrp_flow_keep(&out->flow);
	free_leaving(out);
	while (ep->handler && (m = next_lost(out, limit))) {
		if (m->failed)
			outgoing_free(m);
		else
			tell_and_free(ep, m, m->verdict ? m->verdict : 481);
	}
	endpoint_unref(ep);
}

void outbox_run(struct endpoint *ep)
{
	struct outgoing *m;

	while (ep->handler && (m = ep->out.judged.first))
		tell_and_free(ep, m, m->verdict);
	outbox_check_drained(ep);
}

void outbox_fini(struct endpoint *ep)
{
	struct outgoing *m;

	free_leaving(&ep->out);
	while ((m = next_lost(&ep->out, UINT64_MAX)))
		outgoing_free(m);
}
