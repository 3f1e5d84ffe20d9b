/* Flows: who writes bodies onto a connection, one frame at a time, in turn. */
#include "msrp/priv.h"

#include <assert.h>
#include <errno.h>

/* A piece this small costs less to copy than to hand to the kernel by itself. */
enum { COPY_MAX = 512 };

void msrp_flow_attach(struct msrp_flow *flow, struct msrp_conn *conn)
{
	flow->conn = conn;
	flow->next = conn->flows;
	flow->prevp = &conn->flows;
	if (flow->next)
		flow->next->prevp = &flow->next;
	conn->flows = flow;
}

static void stop_waiting(struct msrp_flow *flow)
{
	struct msrp_conn *conn = flow->conn;

	if (!flow->wait_prevp)
		return;
	*flow->wait_prevp = flow->wait_next;
	if (flow->wait_next)
		flow->wait_next->wait_prevp = flow->wait_prevp;
	else
		conn->last_waiting = flow->wait_prevp;
	flow->wait_next = NULL;
	flow->wait_prevp = NULL;
}

void msrp_flow_detach(struct msrp_flow *flow)
{
	struct msrp_conn *conn = flow->conn;

	if (!conn)
		return;
	assert(!msrp_flow_is_open(flow));
	stop_waiting(flow);
	*flow->prevp = flow->next;
	if (flow->next)
		flow->next->prevp = flow->prevp;
	flow->next = NULL;
	flow->prevp = NULL;
	flow->conn = NULL;
	/* What it wrote in this turn may lie in memory that its owner now frees. */
	if (output_settle_borrowed(conn) < 0)
		output_fail(conn);
}

bool msrp_flow_room(const struct msrp_flow *flow)
{
	return flow->conn && output_backlog(flow->conn) < flow->conn->stack->settings->send_queue;
}

void msrp_flow_wait(struct msrp_flow *flow)
{
	struct msrp_conn *conn = flow->conn;

	if (!conn || flow->wait_prevp)
		return;
	flow->round = conn->round;
	flow->wait_next = NULL;
	flow->wait_prevp = conn->last_waiting;
	*conn->last_waiting = flow;
	conn->last_waiting = &flow->wait_next;
	msrp_conn_dirty(conn);
}

bool msrp_flow_is_open(const struct msrp_flow *flow)
{
	return flow->conn && flow->conn->out && flow->conn->out->open == flow;
}

uint64_t msrp_flow_frame_bytes(const struct msrp_flow *flow)
{
	return msrp_flow_is_open(flow) ? flow->conn->out->queued - flow->conn->out->open_from : 0;
}

bool msrp_flow_has_left(const struct msrp_flow *flow)
{
	return msrp_flow_is_open(flow) && flow->conn->out->written > flow->conn->out->open_from;
}

void msrp_flow_begin(struct msrp_flow *flow, struct slice head)
{
	struct msrp_conn *conn = flow->conn;

	if (!conn)
		return;
	if (conn->out && conn->out->open)
		conn->out->open->ops->interrupt(conn->out->open);
	if (flow->conn != conn || conn->state == CONN_CLOSED)
		return;
	output_copy(conn, head);
	if (conn->failed)
		return;
	conn->out->open = flow;
	conn->out->open_from = conn->out->queued - head.len;
}

void msrp_flow_body(struct msrp_flow *flow, struct slice piece)
{
	if (!msrp_flow_is_open(flow))
		return;
	if (piece.len <= COPY_MAX)
		output_copy(flow->conn, piece);
	else
		output_borrow(flow->conn, piece);
}

void msrp_flow_keep(struct msrp_flow *flow)
{
	if (flow->conn && output_settle_borrowed(flow->conn) < 0)
		output_fail(flow->conn);
}

void msrp_flow_end(struct msrp_flow *flow, struct slice end)
{
	struct msrp_conn *conn = flow->conn;

	if (!msrp_flow_is_open(flow))
		return;
	conn->out->open = NULL;
	output_copy(conn, end);
	output_frame_end(conn);
}

void flows_run(struct msrp_conn *conn)
{
	struct msrp_flow *flow;

	/* Who waits again from now on belongs to the next round. */
	conn->round++;
	while (conn->state == CONN_OPEN && (flow = conn->waiting) && flow->round != conn->round) {
		if (!msrp_flow_room(flow))
			return;
		stop_waiting(flow);
		flow->ops->writable(flow);
	}
}

void flows_closed(struct msrp_conn *conn, int err)
{
	struct msrp_flow *flow;

	while ((flow = conn->flows)) {
		msrp_flow_detach(flow);
		flow->ops->closed(flow, err);
	}
}

void msrp_conn_mark(struct msrp_conn *conn, struct msrp_mark *mark)
{
	struct msrp_output *out = conn->state == CONN_CLOSED ? NULL : output_get(conn);

	if (!out) {
		output_fail(conn);
		return;
	}
	mark->next = NULL;
	mark->prevp = out->last_mark;
	mark->offset = out->queued;
	*out->last_mark = mark;
	out->last_mark = &mark->next;
	msrp_conn_dirty(conn);
}

void msrp_conn_unmark(struct msrp_conn *conn, struct msrp_mark *mark)
{
	if (!mark->prevp)
		return;
	*mark->prevp = mark->next;
	if (mark->next)
		mark->next->prevp = mark->prevp;
	else
		conn->out->last_mark = mark->prevp;
	mark->next = NULL;
	mark->prevp = NULL;
}
