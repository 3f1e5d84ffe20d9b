#include "forward/chunk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/rand.h>

#include "base/log.h"
#include "wire/byte_range.h"
#include "wire/report.h"
#include "wire/write.h"
#include "wire/path.h"

enum {
	TID_AT = 5,       /* behind "MSRP " */
	HEAD_SLACK = 64,  /* start line and blank line */
	RANGE_SLACK = 96, /* Byte-Range with three numbers */
	REPORT_SLACK = 512,
	SMALL_REPORT = 2048,
	/* RFC 4975 7.1.1: a chunk longer than this must be interruptible: its range-end is "*" */
	UNINTERRUPTED_MAX = 2048,
};

#define TID_ROOM SLICE("0000000000000000")
_Static_assert(sizeof("0000000000000000") == MSRP_TID_LEN + 1, "as long as a transaction id");

/* --- memory --- */

/* Memory of one with that much text. */
static size_t charge_for(size_t text)
{
	return sizeof(struct chunk) + (text > CHUNK_TEXT_INLINE ? text : 0);
}

static struct chunk *chunk_get(struct forwarder *fw, size_t text)
{
	struct chunk *chunk;

	if (budget_take(msrp_stack_budget(fw->stack), charge_for(text)) < 0)
		return NULL;
	chunk = pool_get(&fw->chunk_pool);
	if (!chunk)
		goto fail;
	chunk->cap = (uint32_t)text;
	chunk->text = text <= CHUNK_TEXT_INLINE ? chunk->inline_text : malloc(text);
	if (!chunk->text)
		goto fail;
	chunk->fw = fw;
	chunk->t.conn = NULL;
	chunk->writer = NULL;
	chunk->source = NULL;
	chunk->sent = 0;
	chunk->complete = false;
	LIST_INSERT_HEAD(&fw->chunks, chunk, entry);
	return chunk;
fail:
	free(chunk);
	budget_return(msrp_stack_budget(fw->stack), charge_for(text));
	return NULL;
}

void chunk_free(struct chunk *chunk)
{
	struct forwarder *fw = chunk->fw;

	msrp_transaction_stop(&chunk->t);
	budget_return(msrp_stack_budget(fw->stack), charge_for(chunk->cap));
	if (chunk->source)
		msrp_conn_unref(chunk->source);
	if (chunk->text != chunk->inline_text)
		free(chunk->text);
	LIST_REMOVE(chunk, entry);
	pool_put(&fw->chunk_pool, chunk);
}

/* --- its head --- */

static struct slice part(const struct chunk *chunk, uint32_t at, uint32_t len)
{
	return (struct slice){chunk->text + at, len};
}

struct slice chunk_text(const struct chunk *chunk)
{
	return part(chunk, 0, chunk->len);
}

/* What a REPORT needs and the head lacks is kept behind the head's end. */
static void write_origin(struct buffer *w, struct chunk *chunk, const struct msrp_frame *f)
{
	struct slice own = msrp_path_first(f->to_path);

	chunk->own_at = (uint32_t)w->len;
	chunk->own_len = (uint32_t)own.len;
	buffer_add(w, own);
	chunk->from_at = (uint32_t)w->len;
	chunk->from_len = (uint32_t)f->from_path.len;
	buffer_add(w, f->from_path);
}

static bool is_too_long(const struct byte_range *range)
{
	return range->end != BYTE_RANGE_UNKNOWN && range->end >= range->start
	    && range->end - range->start >= UNINTERRUPTED_MAX;
}

/* @param grown  by how much the headers are longer than they came */
static void note_range(struct chunk *chunk, const struct msrp_frame *f, size_t end, size_t grown)
{
	const char *value, *cr;

	chunk->range_at = chunk->range_len = 0;
	if (!f->byte_range.p)
		return;
	chunk->range_at = chunk->headers_at + (uint32_t)(f->byte_range.p - f->headers.p);
	value = chunk->text + chunk->range_at;
	cr = memchr(value, '\r', end - chunk->range_at);
	chunk->range_len = cr ? (uint32_t)(cr - value) : 0;
	/* What follows a value that was rewritten has moved; modulo 2^32, for it may be shorter. */
	if (chunk->id_at > chunk->range_at)
		chunk->id_at += (uint32_t)grown;
}

static void write_head(struct buffer *w, struct chunk *chunk, const struct msrp_frame *f,
    const struct hop *hop)
{
	size_t grown;

	chunk->start = f->range.start;
	chunk->total = f->range.total;
	msrp_write_request_line(w, TID_ROOM, f->method_text);
	hop_write_paths(w, hop, f);
	chunk->headers_at = (uint32_t)w->len;
	/* "From-Path: … OWN FROM" and CRLF end here. */
	chunk->from_len = (uint32_t)f->from_path.len;
	chunk->from_at = chunk->headers_at - 2 - chunk->from_len;
	chunk->own_len = (uint32_t)hop->own.len;
	chunk->own_at = chunk->from_at - 1 - chunk->own_len;
	chunk->id_at = chunk->headers_at + (uint32_t)(f->message_id.p - f->headers.p);
	chunk->id_len = (uint32_t)f->message_id.len;
	msrp_write_forwarded_headers(w, f, is_too_long(&f->range));
	grown = w->len - chunk->headers_at - f->headers.len;
	note_range(chunk, f, w->len, grown);
	if (f->has_body)
		msrp_write_blank_line(w);
	chunk->len = (uint32_t)w->len;
	if (!hop->own.p)
		write_origin(w, chunk, f);
}

struct chunk *chunk_new(struct forwarder *fw, const struct incoming *in, const struct hop *hop)
{
	const struct msrp_frame *f = in->frame;
	size_t text = HEAD_SLACK + hop_paths_size(hop, f) + f->headers.len;
	struct buffer w;
	struct chunk *chunk;

	if (!hop->own.p)
		text += f->to_path.len + f->from_path.len;
	chunk = chunk_get(fw, text > CHUNK_TEXT_INLINE ? text : CHUNK_TEXT_INLINE);
	if (!chunk)
		return NULL;
	chunk->has_body = f->has_body;
	chunk->brief = f->range.end != BYTE_RANGE_UNKNOWN && !is_too_long(&f->range);
	msrp_failure_report_parse(f->failure_report, &chunk->failure_report);
	w = (struct buffer){.p = chunk->text, .cap = chunk->cap};
	write_head(&w, chunk, f, hop);
	if (w.err) {
		chunk_free(chunk);
		return NULL;
	}
	chunk->source = msrp_conn_ref(in->conn);
	return chunk;
}

/* From behind what before has sent; where there was no Byte-Range one goes first. */
static void write_next(struct buffer *w, struct chunk *chunk, const struct chunk *before)
{
	struct byte_range range = {chunk->start, BYTE_RANGE_UNKNOWN, chunk->total};
	uint32_t cut = before->range_at ? before->range_at : before->headers_at;
	uint32_t value_at, after = cut + before->range_len, shift;

	buffer_add(w, part(before, 0, cut));
	if (!before->range_at)
		buffer_add(w, SLICE("Byte-Range: "));
	value_at = (uint32_t)w->len;
	msrp_byte_range_write(w, &range);
	chunk->range_at = value_at;
	chunk->range_len = (uint32_t)w->len - value_at;
	if (!before->range_at)
		buffer_add(w, SLICE("\r\n"));
	shift = (uint32_t)w->len - after;
	buffer_add(w, part(before, after, before->len - after));
	chunk->len = (uint32_t)w->len;
	chunk->headers_at = before->headers_at;
	chunk->id_at = before->id_at < cut ? before->id_at : before->id_at + shift;
	chunk->id_len = before->id_len;
	chunk->own_at = before->own_at;
	chunk->own_len = before->own_len;
	chunk->from_at = before->from_at;
	chunk->from_len = before->from_len;
	/* Those of a forwarded frame stand behind the head and have not been copied yet. */
	if (before->own_at >= before->len) {
		chunk->own_at = (uint32_t)w->len;
		buffer_add(w, part(before, before->own_at, before->own_len));
		chunk->from_at = (uint32_t)w->len;
		buffer_add(w, part(before, before->from_at, before->from_len));
	}
}

struct chunk *chunk_continue(const struct chunk *before)
{
	size_t text = before->len + before->own_len + before->from_len + RANGE_SLACK;
	struct chunk *chunk =
	    chunk_get(before->fw, text > CHUNK_TEXT_INLINE ? text : CHUNK_TEXT_INLINE);
	struct buffer w;

	if (!chunk)
		return NULL;
	chunk->start = before->start + before->sent;
	chunk->total = before->total;
	chunk->has_body = before->has_body;
	chunk->brief = false;
	chunk->failure_report = before->failure_report;
	w = (struct buffer){.p = chunk->text, .cap = chunk->cap};
	write_next(&w, chunk, before);
	if (w.err) {
		chunk_free(chunk);
		return NULL;
	}
	chunk->source = msrp_conn_ref(before->source);
	return chunk;
}

bool chunk_is_whole(const struct chunk *chunk)
{
	return chunk->total != BYTE_RANGE_UNKNOWN && chunk->start + chunk->sent == chunk->total + 1;
}

/* @return 0, -ENOMEM, -ENOBUFS */
static int grow(struct chunk *chunk, size_t cap)
{
	struct budget *budget = msrp_stack_budget(chunk->fw->stack);
	size_t more = charge_for(cap) - charge_for(chunk->cap);
	char *text;

	if (budget_take(budget, more) < 0)
		return -ENOBUFS;
	text = malloc(cap);
	if (!text) {
		budget_return(budget, more);
		return -ENOMEM;
	}
	memcpy(text, chunk->text, chunk->cap);
	if (chunk->text != chunk->inline_text)
		free(chunk->text);
	chunk->text = text;
	chunk->cap = (uint32_t)cap;
	return 0;
}

int chunk_set_path(struct chunk *chunk, struct slice to_path)
{
	/* Of the text, where what a REPORT needs may stand behind the head. */
	size_t origin = chunk->from_at + chunk->from_len,
	       all = origin > chunk->len ? origin : chunk->len;
	const char *line = (char *)memchr(chunk->text, '\n', chunk->len) + 1;
	size_t at = (size_t)(line - chunk->text) + sizeof("To-Path: ") - 1;
	size_t end = (size_t)((char *)memchr(line, '\r', chunk->len - (size_t)(line - chunk->text))
	    - chunk->text);
	uint32_t shift = (uint32_t)(to_path.len - (end - at)); /* modulo 2^32 */

	if (slice_equal(part(chunk, (uint32_t)at, (uint32_t)(end - at)), to_path))
		return 0;
	if (at + to_path.len + (all - end) > chunk->cap) {
		int err = grow(chunk, at + to_path.len + (all - end));

		if (err < 0)
			return err;
	}
	memmove(chunk->text + at + to_path.len, chunk->text + end, all - end);
	memcpy(chunk->text + at, to_path.p, to_path.len);
	chunk->len += shift;
	chunk->headers_at += shift;
	chunk->own_at += shift;
	chunk->from_at += shift;
	chunk->id_at += shift;
	if (chunk->range_at)
		chunk->range_at += shift;
	return 0;
}

/* --- the REPORT --- */

void chunk_report(struct chunk *chunk, unsigned code, struct slice phrase)
{
	char small[SMALL_REPORT], *large = NULL, tid[MSRP_TID_LEN + 1];
	struct buffer w = BUFFER_ON(small);
	size_t need = chunk->from_len + chunk->own_len + phrase.len + REPORT_SLACK;
	struct msrp_report_text report = {
	    .tid = {tid, MSRP_TID_LEN},
	    .to_path = part(chunk, chunk->from_at, chunk->from_len),
	    .from_path = part(chunk, chunk->own_at, chunk->own_len),
	    .message_id = part(chunk, chunk->id_at, chunk->id_len),
	    .range = {chunk->start, chunk->start + chunk->sent - 1, chunk->total},
	    .code = code,
	    .comment = phrase,
	};

	if (chunk->failure_report == FAILURE_REPORT_NO || msrp_conn_closed(chunk->source))
		return;
	if (need > sizeof(small)) {
		large = malloc(need);
		if (!large)
			return;
		w = (struct buffer){.p = large, .cap = need};
	}
	/* RFC 4975 7.1.4: a failure's range is the actual one; its total is known in the end. */
	if (report.range.total == BYTE_RANGE_UNKNOWN && chunk->complete)
		report.range.total = report.range.end;
	rand_token(tid, MSRP_TID_LEN);
	msrp_write_report(&w, &report);
	log_debug("forward: conn %" PRIu64 ": REPORT 000 %u for %.*s",
	    msrp_conn_number(chunk->source), code, SLICE_ARG(report.message_id));
	if (!w.err) {
		msrp_conn_send(chunk->source, buffer_text(&w));
		(*chunk->fw->count.reports)++;
	}
	free(large);
}

/* --- its answer --- */

static int on_response(struct msrp_transaction *t, const struct msrp_frame *f)
{
	struct chunk *chunk = OWNER(struct chunk, t, t);
	struct forwarder *fw = chunk->fw;
	bool failed;

	failed = forwarder_heeds(fw, chunk->dest, f) && f->code >= 300;
	if (chunk->writer) {
		/* An answer before the end; a good one changes nothing for the rest of it. */
		if (failed)
			chunk->writer->refused(chunk->writer, f->code, f->phrase);
		return 0;
	}
	if (failed)
		chunk_report(chunk, f->code, f->phrase);
	chunk_free(chunk);
	return 0;
}

static void on_timeout(struct msrp_transaction *t)
{
	struct chunk *chunk = OWNER(struct chunk, t, t);

	/* With "partial" there is no answer when all is well. */
	if (chunk->failure_report == FAILURE_REPORT_YES)
		chunk_report(chunk, 408, NOTHING);
	chunk_free(chunk);
}

static void on_lost(struct msrp_transaction *t, int err)
{
	struct chunk *chunk = OWNER(struct chunk, t, t);

	(void)err;
	if (chunk->writer) /* whose flow tells of it, too */
		return;
	if (chunk->failure_report == FAILURE_REPORT_YES || !t->left)
		chunk_report(chunk, 408, NOTHING);
	chunk_free(chunk);
}

static const struct msrp_transaction_ops transaction_ops = {
    .response = on_response,
    .timeout = on_timeout,
    .lost = on_lost,
};

int chunk_start(struct chunk *chunk, struct msrp_conn *conn, struct chunk_writer *writer)
{
	int err;

	/* Its head found no memory on a connection that is about to close: so it was not sent. */
	msrp_transaction_stop(&chunk->t);
	chunk->t.ops = &transaction_ops;
	chunk->dest = conn;
	err = msrp_transaction_start(&chunk->t, conn);
	if (err < 0)
		return err;
	memcpy(chunk->text + TID_AT, chunk->t.tid, MSRP_TID_LEN);
	chunk->writer = writer;
	return 0;
}

void chunk_written(struct chunk *chunk)
{
	chunk->writer = NULL;
	if (chunk->failure_report == FAILURE_REPORT_NO || !chunk->t.conn)
		chunk_free(chunk);
	else
		msrp_transaction_sent(&chunk->t);
}
