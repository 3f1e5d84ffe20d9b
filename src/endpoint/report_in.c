#include "endpoint/report_in.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buffer.h"

struct report_in {
	struct msrp_sink sink;    /* first */
	struct report_in **place; /* where it is known, until all of it is here */
	void (*heard)(const struct report_head *head, void *arg);
	void *arg;
	struct report_head head; /* its texts are copies, in text */
	struct buffer body;      /* the parser has its bound, too: MSRP_OTHER_BODY_MAX */
	char text[];
};

_Static_assert((int)REPORT_BODY_MAX == (int)MSRP_OTHER_BODY_MAX, "what we send can be received");

struct report_head report_head_of(const struct msrp_frame *frame)
{
	return (struct report_head){
	    .message_id = frame->message_id,
	    .status = frame->status,
	    .range = frame->byte_range.p ? frame->range : (struct byte_range){0},
	};
}

static void report_in_free(struct report_in *in)
{
	buffer_fini(&in->body);
	free(in);
}

static int on_body(struct msrp_sink *sink, struct slice piece)
{
	struct report_in *in = (struct report_in *)sink;

	buffer_add(&in->body, piece);
	return 0;
}

static int on_end(struct msrp_sink *sink, enum msrp_flag flag)
{
	struct report_in *in = (struct report_in *)sink;

	(void)flag;
	*in->place = NULL;
	if (in->body.err)
		in->head.body_type.p = NULL; /* without memory it has none */
	else
		in->head.body = buffer_text(&in->body);
	in->heard(&in->head, in->arg);
	report_in_free(in);
	return 0;
}

static void on_aborted(struct msrp_sink *sink, int err)
{
	(void)err;
	report_in_drop((struct report_in *)sink);
}

static const struct msrp_sink_ops sink_ops = {
    .body = on_body,
    .end = on_end,
    .aborted = on_aborted,
};

static struct slice keep(char **at, struct slice text)
{
	struct slice copy = {*at, text.len};

	memcpy(*at, text.p, text.len);
	*at += text.len;
	return copy;
}

int report_in_take(struct report_in **inp, struct msrp_conn *conn,
    void (*heard)(const struct report_head *head, void *arg), void *arg)
{
	const struct msrp_frame *frame = msrp_conn_request(conn);
	struct report_head head = report_head_of(frame);
	struct report_in *in = calloc(1,
	    sizeof(*in) + head.message_id.len + head.status.len + frame->content_type.len);
	char *at;

	if (!in)
		return -ENOMEM;
	at = in->text;
	in->sink.ops = &sink_ops;
	in->place = inp;
	in->heard = heard;
	in->arg = arg;
	in->head.message_id = keep(&at, head.message_id);
	in->head.status = keep(&at, head.status);
	in->head.range = head.range;
	in->head.body_type = keep(&at, frame->content_type);
	in->body.max = REPORT_BODY_MAX;
	msrp_conn_take(conn, &in->sink);
	*inp = in;
	return 0;
}

void report_in_drop(struct report_in *in)
{
	if (!in)
		return;
	*in->place = NULL;
	msrp_sink_drop(&in->sink);
	report_in_free(in);
}
