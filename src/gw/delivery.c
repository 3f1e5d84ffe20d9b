/* MESSAGE to MSRP: what waits, what was sent, and what the MESSAGE is answered. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/budget.h>
#include <msrpd/stats.h>

#include "gw/priv.h"

enum { IN_FLIGHT_MAX = 256 }; /* that a peer which answers may owe answers to */

const struct event_type gw_message_failed = {
    .name = "E_MSRP_GW_MSG_FAILED",
    .params = (const char *const[]){"key", "from_uri", "to_uri", "ruri", "call_id", "code",
	"reason", NULL},
    .often = true,
};

static const struct gw_answer accepted = {.code = 202};

/* --- what its sender hears --- */

/* The value of the Reason that stands first. */
static struct slice reason_of(const struct gw_answer *a)
{
	struct slice rest = a->headers, line, name;

	if (!slice_cut(&rest, '\r', &line) || !slice_cut(&line, ' ', &name)
	    || !slice_equal(name, SLICE("Reason:")))
		return SLICE("");
	return line;
}

/* He has been answered before: whoever listens to events may tell him. */
static void tell_failed(const struct gw_binding *b, struct slice call_id, const struct gw_answer *a)
{
	struct event_param params[] = {
	    event_text("key", slice_of(b->key)),
	    event_text("from_uri", sip_address_uri(b->names->from)),
	    event_text("to_uri", sip_address_uri(b->names->to)),
	    event_text("ruri", b->names->ruri),
	    event_text("call_id", call_id),
	    event_number("code", a->code),
	    event_text("reason", reason_of(a)),
	};

	event_emit(b->gw->env.bus, &gw_message_failed, params, sizeof(params) / sizeof(params[0]));
}

static bool is_answered(const struct sip_request *message)
{
	return !message || sip_request_answered(message);
}

/* @param message  NULL: it is gone, since it was answered */
static void tell(const struct gw_binding *b, struct sip_request *message, struct slice call_id,
    const struct gw_answer *a)
{
	if (!is_answered(message))
		sip_request_reply(message, a->code, a->reason, a->headers);
	else if (a->code >= 300)
		tell_failed(b, call_id, a);
}

/* --- one delivery --- */

static void enqueue(struct gw_binding *b, struct gw_delivery *d, bool sent)
{
	d->sent = sent;
	if (sent)
		TAILQ_INSERT_TAIL(&b->unanswered, d, next);
	else
		TAILQ_INSERT_TAIL(&b->waiting, d, next);
	b->waiting_count++;
	b->waiting_bytes += d->bytes;
}

static void dequeue(struct gw_delivery *d)
{
	struct gw_binding *b = d->binding;

	if (d->sent)
		TAILQ_REMOVE(&b->unanswered, d, next);
	else
		TAILQ_REMOVE(&b->waiting, d, next);
	b->waiting_count--;
	b->waiting_bytes -= d->bytes;
}

static size_t cost_of(const struct sip_request *message)
{
	return sizeof(struct gw_delivery) + sip_request_field(message, SIP_FIELD_CALL_ID).len
	    + sip_request_field(message, SIP_FIELD_BODY).len;
}

/* @return 0 or -ENOBUFS */
static int charge(struct gw *gw, const struct sip_request *message)
{
	int err = budget_take_within(gw->env.budget, cost_of(message), GW_TENTHS);

	if (err < 0)
		++*gw->count.refused_full;
	return err;
}

int gw_delivery_fits(struct gw *gw, const struct sip_request *message)
{
	int err = charge(gw, message);

	if (err == 0)
		budget_return(gw->env.budget, cost_of(message));
	return err;
}

static void uncharge(struct gw_delivery *d)
{
	budget_return(d->binding->gw->env.budget, d->charged);
	d->charged = 0;
}

static void delivery_free(struct gw_delivery *d)
{
	timer_queue_stop(&d->binding->gw->timeout, &d->timeout);
	if (d->request)
		sip_request_unref(d->request);
	uncharge(d);
	free(d);
}

/* @return 0, -ENOBUFS or -ENOMEM */
static int delivery_new(struct gw_delivery **dp, struct gw_binding *b, struct sip_request *message,
    const struct gw_order *order)
{
	struct slice call_id = sip_request_field(message, SIP_FIELD_CALL_ID);
	struct gw_delivery *d;
	int err = charge(b->gw, message);

	if (err < 0)
		return err;
	d = calloc(1, sizeof(*d) + call_id.len + 1);
	if (!d) {
		budget_return(b->gw->env.budget, cost_of(message));
		return -ENOMEM;
	}
	memcpy(d->call_id, call_id.p, call_id.len);
	d->binding = b;
	d->charged = cost_of(message);
	d->request = sip_request_ref(message);
	d->confirm = order->confirm;
	d->answers = order->last && order->confirm == GW_ACCEPTED;
	d->passes = order->passes;
	d->came_ms = timer_now_ms();
	d->bytes = sip_request_field(message, SIP_FIELD_BODY).len;
	if (order->confirm != GW_ACCEPTED)
		timer_queue_start(&b->gw->timeout, &d->timeout);
	*dp = d;
	return 0;
}

/* It has left the lists, and this is what became of it. */
static void finish(struct gw_delivery *d, const struct gw_answer *a)
{
	struct gw *gw = d->binding->gw;

	if (a->code < 300) {
		++*gw->count.to_msrp;
		stats_took(gw->count.delivery_to_msrp, timer_now_ms() - d->came_ms);
	} else {
		++*gw->count.to_msrp_failed;
		if (!is_answered(d->request))
			gw_recent_forget(gw, d->request, d->passes);
	}
	tell(d->binding, d->request, slice_of(d->call_id), a);
	delivery_free(d);
}

/* --- into the session --- */

static struct gw_answer answer_for(int err)
{
	static const struct {
		int err, code;
	} table[] = {
	    {-EPROTOTYPE, 415},
	    {-EMSGSIZE, 413},
	    {-ENOBUFS, 480},
	    {-EPERM, 403},
	    {-EPIPE, 480},
	    {-EBADMSG, 400},
	    {-EINVAL, 400},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].err == err)
			return (struct gw_answer){.code = table[i].code};
	return (struct gw_answer){.code = 500};
}

/* RFC 3261 21.4.13: which types there might be instead. */
static struct slice accept_header(char *text, size_t size, const char *types)
{
	struct slice rest = slice_of(types), type;
	size_t n = 0;

	while (slice_cut(&rest, ' ', &type)) {
		const char *before = n ? ", " : "Accept: ";

		if (n + strlen(before) + type.len + 2 > size)
			break;
		n += (size_t)snprintf(text + n, size - n, "%s%.*s", before, SLICE_ARG(type));
	}
	if (n)
		n += (size_t)snprintf(text + n, size - n, "\r\n");
	return (struct slice){n ? text : NULL, n};
}

static int send_content(struct gw_delivery *d, struct ua_session *s)
{
	struct gw_content content;
	struct message_out out;
	int err = gw_content_for_msrp(&content, d->binding, s, d->request);

	if (err < 0)
		return err;
	out = (struct message_out){
	    .content_type = content.type,
	    .body = {.bytes = content.body},
	    .failure_report = FAILURE_REPORT_YES,
	    .success_report = d->confirm == GW_DELIVERED,
	};
	d->bytes = content.body.len;
	err = ua_send(s, &out, UA_SEND_CONFIRM, d->id);
	gw_content_fini(&content);
	return err;
}

/* Hand it to the UA, which takes of the budget what it keeps.  On failure it remains the caller's. */
static int hand_over(struct gw_delivery *d)
{
	int err;

	if (d->confirm == GW_ACCEPTED)
		uncharge(d);
	err = send_content(d, d->binding->session);
	if (err < 0)
		return err;
	if (d->confirm == GW_ACCEPTED) {
		sip_request_unref(d->request); /* the UA has all that is still needed of it */
		d->request = NULL;
	}
	enqueue(d->binding, d, true);
	return 0;
}

static struct gw_answer refusal(const struct gw_binding *b, int err, char accept[GW_HEADERS_SIZE])
{
	struct gw_answer a = answer_for(err);

	if (a.code == 415) {
		++*b->gw->count.refused_type;
		if (b->accept_types)
			a.headers = accept_header(accept, GW_HEADERS_SIZE, b->accept_types);
	}
	return a;
}

static bool is_full(const struct gw_binding *b, size_t bytes)
{
	const struct gw_settings *settings = b->gw->settings;

	/* A peer that answers keeps nothing waiting; what it owes is bounded all the same. */
	if (b->proven)
		return b->waiting_count >= settings->max_queued + IN_FLIGHT_MAX;
	return b->waiting_count >= settings->max_queued
	    || bytes > settings->max_queued_bytes - b->waiting_bytes
	    || b->waiting_bytes > settings->max_queued_bytes;
}

/* With confirm: accepted, it is taken once it is known that the key is ours. */
static void accept(struct gw_delivery *d)
{
	if (d->answers && !d->binding->order)
		tell(d->binding, d->request, slice_of(d->call_id), &accepted);
	d->answers &= d->binding->order != NULL;
}

static int deliver(struct gw_binding *b, struct sip_request *message, const struct gw_order *order)
{
	struct gw_delivery *d;
	int err;

	if (is_full(b, sip_request_field(message, SIP_FIELD_BODY).len)) {
		++*b->gw->count.refused_full;
		return -ENOBUFS;
	}
	err = delivery_new(&d, b, message, order);
	if (err < 0)
		return err;
	if (!b->up) {
		accept(d);
		enqueue(b, d, false);
		return 0;
	}
	err = hand_over(d);
	if (err < 0)
		delivery_free(d);
	else if (order->last && order->confirm == GW_ACCEPTED)
		tell(b, message, slice_of(d->call_id), &accepted);
	return err;
}

int gw_deliver(struct gw_binding *b, struct sip_request *message, const struct gw_order *order)
{
	char accept[GW_HEADERS_SIZE];
	int err = deliver(b, message, order);

	b->page_cpim |= gw_type_is_cpim(sip_request_field(message, SIP_FIELD_CONTENT_TYPE));
	if (err < 0) {
		struct gw_answer a = refusal(b, err, accept);

		++*b->gw->count.to_msrp_failed;
		tell(b, message, sip_request_field(message, SIP_FIELD_CALL_ID), &a);
	}
	return err;
}

void gw_delivery_accept(struct gw_binding *b)
{
	struct gw_delivery *d;

	TAILQ_FOREACH(d, &b->waiting, next)
		accept(d);
}

static void move(struct gw_delivery *d, const struct cluster_node *node)
{
	struct gw_binding *b = d->binding;
	struct gw_order order = *b->order;
	int err;

	order.confirm = d->confirm;
	order.passes = d->passes;
	err = gw_remote_send(b->gw, d->request, &order, node);
	if (err < 0)
		finish(d,
		    &(struct gw_answer){.code = err == -EXDEV ? 480
			    : err == -EMSGSIZE                ? 513
							      : 503});
	else
		delivery_free(d);
}

void gw_delivery_move(struct gw_binding *b, const struct cluster_node *node)
{
	struct gw_delivery *d;

	while ((d = TAILQ_FIRST(&b->waiting))) {
		dequeue(d);
		move(d, node);
	}
}

void gw_delivery_flush(struct gw_binding *b)
{
	char accept[GW_HEADERS_SIZE];
	struct gw_delivery *d;

	while ((d = TAILQ_FIRST(&b->waiting))) {
		int err;

		dequeue(d);
		err = hand_over(d);
		if (err < 0) {
			struct gw_answer a = refusal(b, err, accept);

			finish(d, &a);
		}
	}
}

void gw_delivery_fail_all(struct gw_binding *b, const struct gw_answer *a)
{
	struct gw_delivery *d;

	while ((d = TAILQ_FIRST(&b->unanswered)) || (d = TAILQ_FIRST(&b->waiting))) {
		dequeue(d);
		finish(d, a);
	}
}

/* --- what became of it --- */

/* How far it came.  A peer that takes messages and never reports success is no rarity. */
static struct slice progress_header(char text[GW_HEADERS_SIZE], const struct gw_delivery *d)
{
	if (!d->sent)
		return gw_reason_header(text, "SIP", 408, SLICE("No session yet"));
	if (!d->accepted)
		return gw_reason_header(text, "MSRP", 408, SLICE("No response"));
	return gw_reason_header(text, "MSRP", 200, SLICE("Accepted, but no success report"));
}

/*
 * Should nobody tell in time: one that still waits here is then not sent any more, so that
 * what is said of it stays true.
 */
void gw_delivery_on_timeout(struct timer_entry *entry, void *arg)
{
	struct gw_delivery *d =
	    (struct gw_delivery *)((char *)entry - offsetof(struct gw_delivery, timeout));
	char text[GW_HEADERS_SIZE];

	(void)arg;
	dequeue(d);
	finish(d, &(struct gw_answer){.code = 504, .headers = progress_header(text, d)});
}

static struct gw_delivery *find(const struct gw_binding *b, struct slice message_id)
{
	struct gw_delivery *d;

	TAILQ_FOREACH(d, &b->unanswered, next)
		if (slice_equal(slice_of(d->id), message_id))
			return d;
	return NULL;
}

/* All of the message where the report does not say. */
static uint64_t range_bytes(const struct byte_range *range, uint64_t all)
{
	if (range->start == 0 || range->end == BYTE_RANGE_UNKNOWN || range->end < range->start)
		return all;
	return range->end - range->start + 1;
}

/* A report without an end may be of the first chunk: it is of all when all was taken. */
static bool is_done(const struct gw_delivery *d)
{
	bool taken = d->taken >= d->bytes;

	return d->confirm == GW_DELIVERED ? d->covered >= d->bytes || (d->reported_open && taken)
					  : taken;
}

static void on_failure(struct gw_delivery *d, const struct message_report *report)
{
	char text[GW_HEADERS_SIZE], accept[GW_HEADERS_SIZE * 2];
	struct gw_answer a = {.code = gw_sip_status(report->code)};
	struct slice types = {NULL, 0};

	a.headers = gw_reason_header(text, "MSRP", report->code, report->phrase);
	if (a.code == 415) {
		++*d->binding->gw->count.refused_type;
		memcpy(accept, a.headers.p, a.headers.len);
		if (d->binding->accept_types)
			types = accept_header(accept + a.headers.len, GW_HEADERS_SIZE,
			    d->binding->accept_types);
		a.headers = (struct slice){accept, a.headers.len + types.len};
	}
	dequeue(d);
	finish(d, &a);
}

void gw_delivery_report(struct gw_binding *b, const struct message_report *report)
{
	struct gw_delivery *d;
	bool response = report->source == REPORT_FROM_RESPONSE;

	if (report->source != REPORT_FROM_HERE)
		b->proven = true;
	d = find(b, report->message_id);
	if (!d || report->namespace != 0)
		return;
	if (report->code != 200) {
		on_failure(d, report);
		return;
	}
	d->accepted |= response;
	if (response)
		d->taken += range_bytes(&report->range, d->bytes);
	else if (report->range.end == BYTE_RANGE_UNKNOWN)
		d->reported_open = true;
	else
		d->covered += range_bytes(&report->range, d->bytes);
	if (!is_done(d))
		return;
	dequeue(d);
	finish(d, &(struct gw_answer){.code = 200});
}
