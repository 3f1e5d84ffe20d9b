#include "forward/collector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/write.h"

enum { BODY_MAX = 64 * 1024 };

struct collector {
	struct msrp_sink sink;
	struct forwarder *fw;
	struct msrp_conn *conn; /* ref */
	LIST_ENTRY(collector) entry;
	collector_done_fn *done;
	struct buffer raw; /* the frame so far */
	size_t head_len;   /* through the blank line, if there is a body */
	size_t charged;
	char tid[MSRP_TID_MAX];
	size_t tid_len;
	bool has_body;
};

void collector_free(struct collector *c)
{
	msrp_sink_drop(&c->sink);
	budget_return(msrp_stack_budget(c->fw->stack), c->charged);
	msrp_conn_unref(c->conn);
	LIST_REMOVE(c, entry);
	free(c->raw.p);
	free(c);
}

/* Room for more bytes, and for the end-line behind them. */
static int reserve(struct collector *c, size_t more)
{
	size_t need = c->raw.len + more + MSRP_END_LINE_MAX, cap = c->raw.cap;
	char *p;

	if (need <= cap)
		return 0;
	while (cap < need)
		cap = cap ? cap * 2 : 2048;
	if (budget_take(msrp_stack_budget(c->fw->stack), cap - c->raw.cap) < 0)
		return -ENOBUFS;
	c->charged += cap - c->raw.cap;
	p = realloc(c->raw.p, cap);
	if (!p)
		return -ENOMEM;
	c->raw.p = p;
	c->raw.cap = cap;
	return 0;
}

/* RFC 4975 10.5: the sender is to stop. */
static int refuse(struct collector *c)
{
	forwarder_replied(c->fw, 413);
	msrp_conn_reply(c->conn, 413, SLICE("Too large"), NOTHING);
	collector_free(c);
	return 0;
}

static int on_body(struct msrp_sink *sink, struct slice piece)
{
	struct collector *c = OWNER(struct collector, sink, sink);

	if (c->raw.len - c->head_len + piece.len > BODY_MAX || reserve(c, piece.len) < 0)
		return refuse(c);
	buffer_add(&c->raw, piece);
	return 0;
}

static int on_end(struct msrp_sink *sink, enum msrp_flag flag)
{
	struct collector *c = OWNER(struct collector, sink, sink);
	struct slice body = {c->raw.p + c->head_len, c->raw.len - c->head_len};
	struct msrp_frame f;
	int result = 0;

	msrp_write_end_line(&c->raw, (struct slice){c->tid, c->tid_len}, flag, c->has_body);
	if (msrp_frame_parse(&f, buffer_text(&c->raw), c->raw.len) > 0)
		result = c->done(c->fw,
		    &(struct collected){
			.in = {.conn = c->conn,
			    .frame = &f,
			    .whole = true,
			    .flag = flag,
			    .body = body},
			.raw = buffer_text(&c->raw),
		    });
	collector_free(c);
	return result;
}

static void on_aborted(struct msrp_sink *sink, int err)
{
	(void)err;
	collector_free(OWNER(struct collector, sink, sink));
}

static const struct msrp_sink_ops sink_ops = {
    .body = on_body,
    .end = on_end,
    .aborted = on_aborted,
};

int collector_take(struct forwarder *fw, struct msrp_conn *conn, const struct msrp_frame *f,
    collector_done_fn *done)
{
	struct collector *c = calloc(1, sizeof(*c));

	if (!c) {
		forwarder_replied(fw, 413);
		msrp_conn_reply(conn, 413, SLICE("Out of memory"), NOTHING);
		return 0;
	}
	c->sink.ops = &sink_ops;
	c->fw = fw;
	c->done = done;
	c->conn = msrp_conn_ref(conn);
	c->has_body = f->has_body;
	c->tid_len = f->tid.len;
	memcpy(c->tid, f->tid.p, f->tid.len);
	LIST_INSERT_HEAD(&fw->collectors, c, entry);
	if (reserve(c, f->head.len + 2) < 0)
		return refuse(c);
	buffer_add(&c->raw, f->head);
	if (f->has_body)
		msrp_write_blank_line(&c->raw);
	c->head_len = c->raw.len;
	msrp_conn_take(conn, &c->sink);
	return 0;
}
