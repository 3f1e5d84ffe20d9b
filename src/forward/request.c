#include "forward/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/rand.h>

#include "forward/pause.h"
#include "msrp/transaction.h"
#include "wire/path.h"
#include "wire/write.h"

enum {
	SMALL_FRAME = 2048,
	FRAME_SLACK = 256,
};

/* Room for a frame: on the stack if it is small. */
struct frame_buffer {
	struct buffer w;
	char *heap;
	char small[SMALL_FRAME];
};

static int buffer_init(struct frame_buffer *b, size_t size)
{
	b->heap = NULL;
	b->w = (struct buffer){.p = b->small, .cap = sizeof(b->small)};
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
	if (!b->w.err)
		msrp_conn_send(conn, buffer_text(&b->w));
	free(b->heap);
}

/* --- there --- */

static int send_request(const struct incoming *in, const struct hop *hop, struct slice tid)
{
	const struct msrp_frame *f = in->frame;
	struct frame_buffer b;
	int err = buffer_init(&b,
	    FRAME_SLACK + f->method_text.len + hop_paths_size(hop, f) + f->headers.len
		+ in->body.len);

	if (err < 0)
		return err;
	msrp_write_request_line(&b.w, tid, f->method_text);
	hop_write_paths(&b.w, hop, f);
	msrp_write_forwarded_headers(&b.w, f, false);
	if (f->has_body) {
		msrp_write_blank_line(&b.w);
		buffer_add(&b.w, in->body);
	}
	msrp_write_end_line(&b.w, tid, in->whole ? in->flag : MSRP_COMPLETE, f->has_body);
	buffer_send(&b, hop->conn);
	if (in->close_sent)
		msrp_conn_close_after_send(hop->conn);
	return 0;
}

static int pass_report(const struct incoming *in, const struct hop *hop)
{
	char tid[MSRP_TID_LEN + 1];

	rand_token(tid, MSRP_TID_LEN);
	return send_request(in, hop, (struct slice){tid, MSRP_TID_LEN});
}

/* --- and back --- */

/* One that is answered from end to end. */
struct request {
	struct msrp_transaction t;
	struct forwarder *fw;
	LIST_ENTRY(request) entry;
	struct msrp_conn *source; /* ref */
	struct msrp_conn *dest;   /* borrowed as long as t runs */
	bool credentials;         /* an AUTH with Authorization */
	bool hides;               /* see struct hop */
	size_t charged;
	struct slice tid, own, from_path; /* of the request as it came */
	char text[];
};

/* Answer the request: by the response f, or (NULL) by ourselves. */
static void answer(struct request *r, unsigned code, struct slice phrase,
    const struct msrp_frame *f)
{
	struct slice from = f && !r->hides ? f->from_path : NOTHING,
		     headers = f ? f->headers : NOTHING;
	struct frame_buffer b;

	if (msrp_conn_closed(r->source)
	    || buffer_init(&b,
		   FRAME_SLACK + r->from_path.len + r->own.len + from.len + headers.len
		       + phrase.len)
		< 0)
		return;
	msrp_write_response_line(&b.w, r->tid, code, phrase);
	buffer_add(&b.w, SLICE("To-Path: "));
	buffer_add(&b.w, r->from_path);
	buffer_add(&b.w, SLICE("\r\nFrom-Path: "));
	buffer_add(&b.w, r->own);
	if (from.p) {
		buffer_add_char(&b.w, ' ');
		buffer_add(&b.w, from);
	}
	buffer_add(&b.w, SLICE("\r\n"));
	buffer_add(&b.w, headers);
	msrp_write_end_line(&b.w, r->tid, MSRP_COMPLETE, false);
	buffer_send(&b, r->source);
}

static int on_response(struct msrp_transaction *t, const struct msrp_frame *f)
{
	struct request *r = OWNER(struct request, t, t);
	struct forwarder *fw = r->fw;

	if (forwarder_heeds(fw, r->dest, f)) {
		answer(r, f->code, f->phrase, f);
		if (fw->ops->answered)
			fw->ops->answered(fw, r->source, r->credentials, f);
	}
	request_free(r);
	return 0;
}

static void fail(struct request *r, struct slice phrase)
{
	forwarder_replied(r->fw, 408);
	answer(r, 408, phrase, NULL);
	request_free(r);
}

static void on_timeout(struct msrp_transaction *t)
{
	fail(OWNER(struct request, t, t), SLICE("No answer"));
}

static void on_lost(struct msrp_transaction *t, int err)
{
	(void)err;
	fail(OWNER(struct request, t, t), SLICE("Connection lost"));
}

static const struct msrp_transaction_ops transaction_ops = {
    .response = on_response,
    .timeout = on_timeout,
    .lost = on_lost,
};

static struct slice append(struct buffer *w, struct slice s)
{
	struct slice copy = {w->p + w->len, s.len};

	buffer_add(w, s);
	return copy;
}

static struct request *request_new(struct forwarder *fw, const struct incoming *in,
    const struct hop *hop)
{
	const struct msrp_frame *f = in->frame;
	struct slice own = hop->own.p ? hop->own : msrp_path_first(f->to_path);
	size_t text = f->tid.len + own.len + f->from_path.len, size = sizeof(struct request) + text;
	struct buffer w = {.cap = text};
	struct request *r;

	if (budget_take(msrp_stack_budget(fw->stack), size) < 0)
		return NULL;
	r = calloc(1, size);
	if (!r) {
		budget_return(msrp_stack_budget(fw->stack), size);
		return NULL;
	}
	w.p = r->text;
	r->tid = append(&w, f->tid);
	r->own = append(&w, own);
	r->from_path = append(&w, f->from_path);
	r->t.ops = &transaction_ops;
	r->fw = fw;
	r->charged = size;
	r->source = msrp_conn_ref(in->conn);
	r->dest = hop->conn;
	r->credentials = f->method == MSRP_AUTH && f->authorization.p;
	r->hides = hop->hides;
	LIST_INSERT_HEAD(&fw->requests, r, entry);
	return r;
}

void request_free(struct request *r)
{
	msrp_transaction_stop(&r->t);
	budget_return(msrp_stack_budget(r->fw->stack), r->charged);
	msrp_conn_unref(r->source);
	LIST_REMOVE(r, entry);
	free(r);
}

static int pass_request(struct forwarder *fw, const struct incoming *in, const struct hop *hop)
{
	struct request *r = request_new(fw, in, hop);
	int err = r ? msrp_transaction_start(&r->t, hop->conn) : -ENOMEM;

	if (err == 0)
		err = send_request(in, hop, (struct slice){r->t.tid, MSRP_TID_LEN});
	if (err == 0)
		msrp_transaction_sent(&r->t);
	else if (r)
		request_free(r);
	return err;
}

int request_forward(struct forwarder *fw, const struct incoming *in, const struct hop *hop,
    const char **phrase)
{
	bool report = in->frame->method == MSRP_REPORT;
	int err = -ENOTCONN;

	*phrase = hop->conn ? "Out of resources" : "Not connected";
	if (hop->conn)
		err = report ? pass_report(in, hop) : pass_request(fw, in, hop);
	if (err < 0)
		return 408;
	/* Small frames are queued whatever waits there; a source of too many is paused. */
	return pause_until_drained(fw, in->conn, hop->conn,
	    2 * msrp_stack_settings(fw->stack)->send_queue);
}
