/*
 * Requests other than SEND: RFC 4976 6.4.2, 6.4.3.  A REPORT goes on and is forgotten;
 * whatever else is answered by its receiver, and the answer is passed back.
 */
#include "relay/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/rand.h>

#include "wire/path.h"

enum {
	SMALL_FRAME = 2048,
	FRAME_SLACK = 256,
};

/* Room for a frame: on the stack if it is small. */
struct frame_buffer {
	struct msrp_writer w;
	char *heap;
	char small[SMALL_FRAME];
};

static int buffer_init(struct frame_buffer *b, size_t size)
{
	b->heap = NULL;
	b->w = (struct msrp_writer){.p = b->small, .cap = sizeof(b->small)};
	if (size <= sizeof(b->small))
		return 0;
	b->heap = malloc(size);
	if (!b->heap)
		return -ENOMEM;
	b->w.p = b->heap;
	b->w.cap = size;
	return 0;
}

/* Send what was written, if all of it was. */
static void buffer_send(struct frame_buffer *b, struct msrp_conn *conn)
{
	if (!b->w.overflow)
		msrp_conn_send(conn, msrp_written(&b->w));
	free(b->heap);
}

/* --- there --- */

static int send_request(const struct arrival *a, const struct hop *hop, struct slice tid)
{
	const struct msrp_frame *f = a->frame;
	struct frame_buffer b;
	int err = buffer_init(&b,
	    FRAME_SLACK + f->method_text.len + hop_paths_size(a, hop) + f->headers.len
		+ a->body.len);

	if (err < 0)
		return err;
	msrp_write_request_line(&b.w, tid, f->method_text);
	hop_write_paths(&b.w, a, hop);
	msrp_write_forwarded_headers(&b.w, f, false);
	if (f->has_body) {
		msrp_write_blank_line(&b.w);
		msrp_write(&b.w, a->body);
	}
	msrp_write_end_line(&b.w, tid, a->whole ? a->flag : MSRP_COMPLETE, f->has_body);
	buffer_send(&b, hop->conn);
	if (a->close_sent)
		msrp_conn_close_after_send(hop->conn);
	return 0;
}

static int pass_report(struct arrival *a, const struct hop *hop)
{
	char tid[MSRP_TID_LEN + 1];

	rand_token(tid, MSRP_TID_LEN);
	return send_request(a, hop, (struct slice){tid, MSRP_TID_LEN});
}

/* --- and back --- */

/* What became of the request: an answer of ours, or the one that came, f. */
static void answer(struct errand *e, unsigned code, struct slice phrase, const struct msrp_frame *f)
{
	struct slice from = f ? f->from_path : NOTHING, headers = f ? f->headers : NOTHING;
	struct frame_buffer b;

	if (msrp_conn_closed(e->source)
	    || buffer_init(&b,
		   FRAME_SLACK + e->from_path.len + e->own.len + from.len + headers.len
		       + phrase.len)
		< 0)
		return;
	msrp_write_response_line(&b.w, e->tid, code, phrase);
	msrp_write(&b.w, SLICE("To-Path: "));
	msrp_write(&b.w, e->from_path);
	msrp_write(&b.w, SLICE("\r\nFrom-Path: "));
	msrp_write(&b.w, e->own);
	if (from.p) {
		msrp_write_char(&b.w, ' ');
		msrp_write(&b.w, from);
	}
	msrp_write(&b.w, SLICE("\r\n"));
	msrp_write(&b.w, headers);
	msrp_write_end_line(&b.w, e->tid, MSRP_COMPLETE, false);
	buffer_send(&b, e->source);
}

/* RFC 4976 6.3: wrong credentials for a relay beyond us count as well. */
static bool is_refusal(const struct errand *e, const struct msrp_frame *f)
{
	struct msrp_digest challenge;

	return e->credentials && f->code == 401
	    && !(f->www_authenticate.p
		&& msrp_digest_parse_challenge(&challenge, f->www_authenticate) == 0
		&& challenge.stale);
}

static int on_response(struct msrp_transaction *t, const struct msrp_frame *f)
{
	struct errand *e = OWNER(struct errand, t, t);
	struct peer *source;

	relay_count_response(e->relay, f->code);
	if (relay_accepts_response(e->relay, e->dest, f)) {
		answer(e, f->code, f->phrase, f);
		source = peer_find(e->source);
		if (source && is_refusal(e, f))
			peer_failed(source);
	}
	errand_free(e);
	return 0;
}

static void on_timeout(struct msrp_transaction *t)
{
	struct errand *e = OWNER(struct errand, t, t);

	relay_count_reply(e->relay, 408);
	answer(e, 408, SLICE("No answer"), NULL);
	errand_free(e);
}

static void on_lost(struct msrp_transaction *t, int err)
{
	struct errand *e = OWNER(struct errand, t, t);

	(void)err;
	relay_count_reply(e->relay, 408);
	answer(e, 408, SLICE("Connection lost"), NULL);
	errand_free(e);
}

static const struct msrp_transaction_ops transaction_ops = {
    .response = on_response,
    .timeout = on_timeout,
    .lost = on_lost,
};

static struct slice append(struct msrp_writer *w, struct slice s)
{
	struct slice copy = {w->p + w->len, s.len};

	msrp_write(w, s);
	return copy;
}

static struct errand *errand_new(const struct arrival *a, const struct hop *hop)
{
	const struct msrp_frame *f = a->frame;
	struct slice own = hop->own.p ? hop->own : msrp_path_first(f->to_path);
	size_t text = f->tid.len + own.len + f->from_path.len, size = sizeof(struct errand) + text;
	struct msrp_writer w = {.cap = text};
	struct errand *e;

	if (budget_take(msrp_stack_budget(a->relay->stack), size) < 0)
		return NULL;
	e = calloc(1, size);
	if (!e) {
		budget_return(msrp_stack_budget(a->relay->stack), size);
		return NULL;
	}
	w.p = e->text;
	e->tid = append(&w, f->tid);
	e->own = append(&w, own);
	e->from_path = append(&w, f->from_path);
	e->t.ops = &transaction_ops;
	e->relay = a->relay;
	e->charged = size;
	e->source = msrp_conn_ref(a->conn);
	e->dest = hop->conn;
	e->credentials = f->method == MSRP_AUTH && f->authorization.p;
	e->next = a->relay->errands;
	e->prevp = &a->relay->errands;
	if (e->next)
		e->next->prevp = &e->next;
	a->relay->errands = e;
	return e;
}

void errand_free(struct errand *e)
{
	msrp_transaction_stop(&e->t);
	budget_return(msrp_stack_budget(e->relay->stack), e->charged);
	msrp_conn_unref(e->source);
	*e->prevp = e->next;
	if (e->next)
		e->next->prevp = e->prevp;
	free(e);
}

static int pass_request(struct arrival *a, const struct hop *hop)
{
	struct errand *e = errand_new(a, hop);
	int err = e ? msrp_transaction_start(&e->t, hop->conn) : -ENOMEM;

	if (err == 0)
		err = send_request(a, hop, (struct slice){e->t.tid, MSRP_TID_LEN});
	if (err < 0 && e)
		errand_free(e);
	/* Sending may have cost the connection, and the errand with it then. */
	if (err == 0 && !msrp_conn_closed(hop->conn))
		msrp_transaction_sent(&e->t);
	return err;
}

int errand_pass(struct arrival *a, const struct hop *hop)
{
	bool report = a->frame->method == MSRP_REPORT;
	int err = report ? pass_report(a, hop) : pass_request(a, hop);

	if (err < 0) {
		arrival_reply(a, 408, SLICE("Out of resources"), NOTHING);
		return 0;
	}
	return stream_hold_back(a->relay, a->conn, hop->conn);
}
