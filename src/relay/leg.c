/*
 * One SEND of ours: its head, the wait for its answer, and the REPORT when it
 * fails (RFC 4976 6.4.1, 6.4.3).
 */
#include "relay/priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/rand.h>

#include "base/log.h"
#include "wire/path.h"

enum {
	TID_AT = 5,       /* behind "MSRP " */
	HEAD_SLACK = 64,  /* start line and blank line */
	RANGE_SLACK = 96, /* Byte-Range with three numbers */
	STORED_LEGS = 1024,
	REPORT_SLACK = 512,
	SMALL_REPORT = 2048,
	/* RFC 4975 7.1.1: a chunk longer than this must be interruptible: its range-end is "*" */
	UNINTERRUPTED_MAX = 2048,
};

static const char tid_room[MSRP_TID_LEN + 1] = "0000000000000000";

/* --- memory --- */

/* Memory of one with that much text. */
static size_t charge_for(size_t text)
{
	return sizeof(struct leg) + (text > LEG_TEXT_INLINE ? text : 0);
}

static struct leg *leg_get(struct relay *relay, size_t text)
{
	struct leg *leg = relay->free_legs;

	if (budget_take(msrp_stack_budget(relay->stack), charge_for(text)) < 0)
		return NULL;
	if (leg) {
		relay->free_legs = leg->next;
		relay->free_leg_count--;
	} else {
		leg = malloc(sizeof(*leg));
	}
	if (!leg)
		goto fail;
	leg->cap = (uint32_t)text;
	leg->text = text <= LEG_TEXT_INLINE ? leg->inline_text : malloc(text);
	if (!leg->text)
		goto fail;
	leg->relay = relay;
	leg->t.conn = NULL;
	leg->stream = NULL;
	leg->source = NULL;
	leg->sent = 0;
	leg->complete = false;
	leg->next = relay->legs;
	leg->prevp = &relay->legs;
	if (leg->next)
		leg->next->prevp = &leg->next;
	relay->legs = leg;
	return leg;
fail:
	free(leg);
	budget_return(msrp_stack_budget(relay->stack), charge_for(text));
	return NULL;
}

void leg_free(struct leg *leg)
{
	struct relay *relay = leg->relay;

	msrp_transaction_stop(&leg->t);
	budget_return(msrp_stack_budget(relay->stack), charge_for(leg->cap));
	if (leg->source)
		msrp_conn_unref(leg->source);
	if (leg->text != leg->inline_text)
		free(leg->text);
	*leg->prevp = leg->next;
	if (leg->next)
		leg->next->prevp = leg->prevp;
	if (relay->free_leg_count >= STORED_LEGS) {
		free(leg);
		return;
	}
	leg->next = relay->free_legs;
	relay->free_legs = leg;
	relay->free_leg_count++;
}

void legs_trim(struct relay *relay)
{
	for (struct leg *leg; (leg = relay->free_legs); free(leg))
		relay->free_legs = leg->next;
	relay->free_leg_count = 0;
}

/* --- its head --- */

static struct slice part(const struct leg *leg, uint32_t at, uint32_t len)
{
	return (struct slice){leg->text + at, len};
}

struct slice leg_text(const struct leg *leg)
{
	return part(leg, 0, leg->len);
}

/* What a REPORT needs when our frame does not have it: behind the head's end. */
static void write_origin(struct msrp_writer *w, struct leg *leg, const struct msrp_frame *f)
{
	struct slice own = msrp_path_first(f->to_path);

	leg->own_at = (uint32_t)w->len;
	leg->own_len = (uint32_t)own.len;
	msrp_write(w, own);
	leg->from_at = (uint32_t)w->len;
	leg->from_len = (uint32_t)f->from_path.len;
	msrp_write(w, f->from_path);
}

static bool is_too_long(const struct byte_range *range)
{
	return range->end != BYTE_RANGE_UNKNOWN && range->end >= range->start
	    && range->end - range->start >= UNINTERRUPTED_MAX;
}

/* @param grown  by how much the headers are longer than they came */
static void note_range(struct leg *leg, const struct msrp_frame *f, size_t end, size_t grown)
{
	const char *value, *cr;

	leg->range_at = leg->range_len = 0;
	if (!f->byte_range.p)
		return;
	leg->range_at = leg->headers_at + (uint32_t)(f->byte_range.p - f->headers.p);
	value = leg->text + leg->range_at;
	cr = memchr(value, '\r', end - leg->range_at);
	leg->range_len = cr ? (uint32_t)(cr - value) : 0;
	/* What follows a value that was rewritten has moved; modulo 2^32, for it may be shorter. */
	if (leg->id_at > leg->range_at)
		leg->id_at += (uint32_t)grown;
}

static void write_head(struct msrp_writer *w, struct leg *leg, const struct arrival *a,
    const struct hop *hop)
{
	const struct msrp_frame *f = a->frame;
	size_t grown;

	leg->start = f->range.start;
	leg->total = f->range.total;
	msrp_write_request_line(w, slice_of(tid_room), f->method_text);
	hop_write_paths(w, a, hop);
	leg->headers_at = (uint32_t)w->len;
	/* "From-Path: … OWN FROM" and CRLF end here. */
	leg->from_len = (uint32_t)f->from_path.len;
	leg->from_at = leg->headers_at - 2 - leg->from_len;
	leg->own_len = (uint32_t)hop->own.len;
	leg->own_at = leg->from_at - 1 - leg->own_len;
	leg->id_at = leg->headers_at + (uint32_t)(f->message_id.p - f->headers.p);
	leg->id_len = (uint32_t)f->message_id.len;
	msrp_write_forwarded_headers(w, f, is_too_long(&f->range));
	grown = w->len - leg->headers_at - f->headers.len;
	note_range(leg, f, w->len, grown);
	if (f->has_body)
		msrp_write_blank_line(w);
	leg->len = (uint32_t)w->len;
	if (!hop->own.p)
		write_origin(w, leg, f);
}

struct leg *leg_new(const struct arrival *a, const struct hop *hop)
{
	const struct msrp_frame *f = a->frame;
	size_t text = HEAD_SLACK + hop_paths_size(a, hop) + f->headers.len;
	struct msrp_writer w;
	struct leg *leg;

	if (!hop->own.p)
		text += f->to_path.len + f->from_path.len;
	leg = leg_get(a->relay, text > LEG_TEXT_INLINE ? text : LEG_TEXT_INLINE);
	if (!leg)
		return NULL;
	leg->has_body = f->has_body;
	msrp_failure_report_parse(f->failure_report, &leg->failure_report);
	w = (struct msrp_writer){.p = leg->text, .cap = leg->cap};
	write_head(&w, leg, a, hop);
	if (w.overflow) {
		leg_free(leg);
		return NULL;
	}
	leg->source = msrp_conn_ref(a->conn);
	return leg;
}

/* From behind what before has sent; where there was no Byte-Range one goes first. */
static void write_next(struct msrp_writer *w, struct leg *leg, const struct leg *before)
{
	struct byte_range range = {leg->start, BYTE_RANGE_UNKNOWN, leg->total};
	uint32_t cut = before->range_at ? before->range_at : before->headers_at;
	uint32_t value_at, after = cut + before->range_len, shift;

	msrp_write(w, part(before, 0, cut));
	if (!before->range_at)
		msrp_write(w, SLICE("Byte-Range: "));
	value_at = (uint32_t)w->len;
	msrp_byte_range_write(w, &range);
	leg->range_at = value_at;
	leg->range_len = (uint32_t)w->len - value_at;
	if (!before->range_at)
		msrp_write(w, SLICE("\r\n"));
	shift = (uint32_t)w->len - after;
	msrp_write(w, part(before, after, before->len - after));
	leg->len = (uint32_t)w->len;
	leg->headers_at = before->headers_at;
	leg->id_at = before->id_at < cut ? before->id_at : before->id_at + shift;
	leg->id_len = before->id_len;
	leg->own_at = before->own_at;
	leg->own_len = before->own_len;
	leg->from_at = before->from_at;
	leg->from_len = before->from_len;
	/* Those of a forwarded frame stand behind the head and have not been copied yet. */
	if (before->own_at >= before->len) {
		leg->own_at = (uint32_t)w->len;
		msrp_write(w, part(before, before->own_at, before->own_len));
		leg->from_at = (uint32_t)w->len;
		msrp_write(w, part(before, before->from_at, before->from_len));
	}
}

struct leg *leg_continue(const struct leg *before)
{
	size_t text = before->len + before->own_len + before->from_len + RANGE_SLACK;
	struct leg *leg = leg_get(before->relay, text > LEG_TEXT_INLINE ? text : LEG_TEXT_INLINE);
	struct msrp_writer w;

	if (!leg)
		return NULL;
	leg->start = before->start + before->sent;
	leg->total = before->total;
	leg->has_body = before->has_body;
	leg->failure_report = before->failure_report;
	w = (struct msrp_writer){.p = leg->text, .cap = leg->cap};
	write_next(&w, leg, before);
	if (w.overflow) {
		leg_free(leg);
		return NULL;
	}
	leg->source = msrp_conn_ref(before->source);
	return leg;
}

/* --- the REPORT --- */

void leg_report(struct leg *leg, unsigned code, struct slice phrase)
{
	char small[SMALL_REPORT], *large = NULL, tid[MSRP_TID_LEN + 1];
	struct msrp_writer w = MSRP_WRITER(small);
	size_t need = leg->from_len + leg->own_len + phrase.len + REPORT_SLACK;
	struct msrp_report_text report = {
	    .tid = {tid, MSRP_TID_LEN},
	    .to_path = part(leg, leg->from_at, leg->from_len),
	    .from_path = part(leg, leg->own_at, leg->own_len),
	    .message_id = part(leg, leg->id_at, leg->id_len),
	    .range = {leg->start, leg->start + leg->sent - 1, leg->total},
	    .code = code,
	    .comment = phrase,
	};

	if (leg->failure_report == FAILURE_REPORT_NO || msrp_conn_closed(leg->source))
		return;
	if (need > sizeof(small)) {
		large = malloc(need);
		if (!large)
			return;
		w = (struct msrp_writer){.p = large, .cap = need};
	}
	/* RFC 4975 7.1.4: a failure's range is the actual one; its total is known when all is here. */
	if (report.range.total == BYTE_RANGE_UNKNOWN && leg->complete)
		report.range.total = report.range.end;
	rand_token(tid, MSRP_TID_LEN);
	msrp_write_report(&w, &report);
	log_debug("relay: conn %" PRIu64 ": REPORT 000 %u for %.*s", msrp_conn_number(leg->source),
	    code, SLICE_ARG(report.message_id));
	if (!w.overflow) {
		msrp_conn_send(leg->source, msrp_written(&w));
		(*leg->relay->count.reports)++;
	}
	free(large);
}

/* --- its answer --- */

static int on_response(struct msrp_transaction *t, const struct msrp_frame *f)
{
	struct leg *leg = OWNER(struct leg, t, t);
	struct relay *relay = leg->relay;
	struct stream *stream = leg->stream;

	relay_count_response(relay, f->code);
	if (!relay_accepts_response(relay, leg->dest, f) || f->code < 300) {
		/* An answer before the end: the rest of the chunk still goes. */
		if (!stream)
			leg_free(leg);
		return 0;
	}
	if (stream) {
		stream_fail(stream, f->code, f->phrase);
		return 0;
	}
	leg_report(leg, f->code, f->phrase);
	leg_free(leg);
	return 0;
}

static void on_timeout(struct msrp_transaction *t)
{
	struct leg *leg = OWNER(struct leg, t, t);

	/* With "partial" there is no answer when all is well. */
	if (leg->failure_report == FAILURE_REPORT_YES)
		leg_report(leg, 408, NOTHING);
	leg_free(leg);
}

static void on_lost(struct msrp_transaction *t, int err)
{
	struct leg *leg = OWNER(struct leg, t, t);

	(void)err;
	if (leg->stream) /* its flow tells of it, too */
		return;
	if (leg->failure_report == FAILURE_REPORT_YES || !t->left)
		leg_report(leg, 408, NOTHING);
	leg_free(leg);
}

static const struct msrp_transaction_ops transaction_ops = {
    .response = on_response,
    .timeout = on_timeout,
    .lost = on_lost,
};

int leg_start(struct leg *leg, struct msrp_conn *conn)
{
	int err;

	leg->t.ops = &transaction_ops;
	leg->dest = conn;
	err = msrp_transaction_start(&leg->t, conn);
	if (err == 0)
		memcpy(leg->text + TID_AT, leg->t.tid, MSRP_TID_LEN);
	return err;
}

void leg_written(struct leg *leg)
{
	leg->stream = NULL;
	if (leg->failure_report == FAILURE_REPORT_NO || !leg->t.conn)
		leg_free(leg);
	else
		msrp_transaction_sent(&leg->t);
}
