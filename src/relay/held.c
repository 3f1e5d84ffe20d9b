/* Frames that are wanted whole: by rules that read bodies, and requests other than SEND. */
#include "relay/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HELD_BODY_MAX = 64 * 1024 };

struct held {
	struct msrp_sink sink;
	struct relay *relay;
	struct msrp_conn *conn;     /* ref */
	struct held *next, **prevp; /* all of the relay */
	struct msrp_writer raw;     /* the frame so far */
	size_t head_len;            /* through the blank line, if there is a body */
	size_t charged;
	char tid[MSRP_TID_MAX];
	size_t tid_len;
	bool has_body;
};

void held_free(struct held *h)
{
	msrp_sink_drop(&h->sink);
	budget_return(msrp_stack_budget(h->relay->stack), h->charged);
	msrp_conn_unref(h->conn);
	*h->prevp = h->next;
	if (h->next)
		h->next->prevp = h->prevp;
	free(h->raw.p);
	free(h);
}

/* Room for more bytes, and for the end-line behind them. */
static int reserve(struct held *h, size_t more)
{
	size_t need = h->raw.len + more + MSRP_END_LINE_MAX, cap = h->raw.cap;
	char *p;

	if (need <= cap)
		return 0;
	while (cap < need)
		cap = cap ? cap * 2 : 2048;
	if (budget_take(msrp_stack_budget(h->relay->stack), cap - h->raw.cap) < 0)
		return -ENOBUFS;
	h->charged += cap - h->raw.cap;
	p = realloc(h->raw.p, cap);
	if (!p)
		return -ENOMEM;
	h->raw.p = p;
	h->raw.cap = cap;
	return 0;
}

/* RFC 4975 10.5: the sender is to stop. */
static int refuse(struct held *h)
{
	struct arrival a = {.relay = h->relay, .conn = h->conn};

	arrival_reply(&a, 413, SLICE("Too large"), NOTHING);
	held_free(h);
	return 0;
}

static int on_body(struct msrp_sink *sink, struct slice piece)
{
	struct held *h = OWNER(struct held, sink, sink);

	if (h->raw.len - h->head_len + piece.len > HELD_BODY_MAX || reserve(h, piece.len) < 0)
		return refuse(h);
	msrp_write(&h->raw, piece);
	return 0;
}

static int on_end(struct msrp_sink *sink, enum msrp_flag flag)
{
	struct held *h = OWNER(struct held, sink, sink);
	struct slice body = {h->raw.p + h->head_len, h->raw.len - h->head_len};
	struct msrp_frame f;
	struct msrp_target *target;
	int result = 0;

	msrp_write_end_line(&h->raw, (struct slice){h->tid, h->tid_len}, flag, h->has_body);
	if (msrp_frame_parse(&f, msrp_written(&h->raw), h->raw.len) > 0) {
		/* The grant may be gone by now. */
		target = msrp_target_find(h->relay->stack, &f.to);
		result = relay_handle(&(struct arrival){
		    .relay = h->relay,
		    .conn = h->conn,
		    .frame = &f,
		    .grant = target && target->ops == &grant_ops
			? OWNER(struct grant, target, target)
			: NULL,
		    .whole = true,
		    .flag = flag,
		    .body = body,
		    .raw = msrp_written(&h->raw),
		});
	}
	held_free(h);
	return result;
}

static void on_aborted(struct msrp_sink *sink, int err)
{
	(void)err;
	held_free(OWNER(struct held, sink, sink));
}

static const struct msrp_sink_ops sink_ops = {
    .body = on_body,
    .end = on_end,
    .aborted = on_aborted,
};

int held_take(struct arrival *a)
{
	const struct msrp_frame *f = a->frame;
	struct held *h = calloc(1, sizeof(*h));

	if (!h) {
		arrival_reply(a, 413, SLICE("Out of memory"), NOTHING);
		return 0;
	}
	h->sink.ops = &sink_ops;
	h->relay = a->relay;
	h->conn = msrp_conn_ref(a->conn);
	h->has_body = f->has_body;
	h->tid_len = f->tid.len;
	memcpy(h->tid, f->tid.p, f->tid.len);
	h->next = a->relay->held;
	h->prevp = &a->relay->held;
	if (h->next)
		h->next->prevp = &h->next;
	a->relay->held = h;
	if (reserve(h, f->head.len + 2) < 0)
		return refuse(h);
	msrp_write(&h->raw, f->head);
	if (f->has_body)
		msrp_write_blank_line(&h->raw);
	h->head_len = h->raw.len;
	msrp_conn_take(a->conn, &h->sink);
	return 0;
}
