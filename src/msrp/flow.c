/* Flows: who writes bodies onto a connection, one frame at a time, in turn. */
#include <assert.h>
#include <errno.h>

#include "msrp/priv.h"

/* A piece this small costs less to copy than to hand to the kernel by itself. */
enum { COPY_MAX = 512 };

/* So many flows are taken to share a connection after one that had company on it. */
enum { SHARED_FOR = 64 };

void flows_init(struct msrp_conn *conn)
{
	LIST_INIT(&conn->flows.all);
	TAILQ_INIT(&conn->flows.waiting);
}

void msrp_flow_attach(struct msrp_flow *flow, struct msrp_conn *conn)
{
	if (!LIST_EMPTY(&conn->flows.all))
		conn->shared = SHARED_FOR;
	else if (conn->shared)
		conn->shared--;
	flow->conn = conn;
	LIST_INSERT_HEAD(&conn->flows.all, flow, entry);
}

bool msrp_flow_is_shared(const struct msrp_flow *flow)
{
	return flow->conn && flow->conn->shared;
}

static void stop_waiting(struct msrp_flow *flow)
{
	if (!flow->waiting.tqe_prev)
		return;
	TAILQ_REMOVE(&flow->conn->flows.waiting, flow, waiting);
	flow->waiting.tqe_prev = NULL;
}

void msrp_flow_detach(struct msrp_flow *flow)
{
	struct msrp_conn *conn = flow->conn;

	if (!conn)
		return;
	assert(!msrp_flow_is_open(flow));
	stop_waiting(flow);
	LIST_REMOVE(flow, entry);
	flow->conn = NULL;
	/* What it wrote in this turn may lie in memory that its owner now frees. */
	net_stream_keep(&conn->stream);
}

bool msrp_flow_room(const struct msrp_flow *flow)
{
	return flow->conn
	    && msrp_conn_backlog(flow->conn) < stack_of(flow->conn)->settings->send_queue;
}

void msrp_flow_wait(struct msrp_flow *flow)
{
	struct msrp_conn *conn = flow->conn;

	if (!conn || flow->waiting.tqe_prev)
		return;
	flow->round = conn->round;
	TAILQ_INSERT_TAIL(&conn->flows.waiting, flow, waiting);
	net_stream_want_room(&conn->stream);
}

bool msrp_flow_is_open(const struct msrp_flow *flow)
{
	return flow->conn && flow->conn->flows.open == flow;
}

bool msrp_flow_has_left(const struct msrp_flow *flow)
{
	return msrp_flow_is_open(flow) && net_stream_message_has_left(&flow->conn->stream);
}

void flows_interrupt(struct msrp_conn *conn)
{
	struct msrp_flow *open = conn->flows.open;

	if (open)
		open->ops->interrupt(open);
}

void msrp_flow_begin(struct msrp_flow *flow, struct slice head)
{
	struct msrp_conn *conn = flow->conn;
	struct net_tap *tap;

	if (!conn)
		return;
	flows_interrupt(conn);
	if (flow->conn != conn || msrp_conn_closed(conn))
		return;
	net_stream_copy(&conn->stream, head);
	if (conn->stream.failed)
		return;
	conn->flows.open = flow;
	if ((tap = net_tap_on(&conn->stream)))
		tap->ops->head(tap, &conn->stream, NET_OUT, head);
}

void msrp_flow_body(struct msrp_flow *flow, struct slice piece)
{
	if (!msrp_flow_is_open(flow))
		return;
	if (net_tap_on(&flow->conn->stream))
		tap_body(flow->conn, NET_OUT, piece);
	if (piece.len <= COPY_MAX)
		net_stream_copy(&flow->conn->stream, piece);
	else
		net_stream_borrow(&flow->conn->stream, piece);
}

void msrp_flow_keep(struct msrp_flow *flow)
{
	if (flow->conn)
		net_stream_keep(&flow->conn->stream);
}

void msrp_flow_end(struct msrp_flow *flow, struct slice end)
{
	struct msrp_conn *conn = flow->conn;
	struct net_tap *tap;

	if (!msrp_flow_is_open(flow))
		return;
	conn->flows.open = NULL;
	if ((tap = net_tap_on(&conn->stream)))
		tap->ops->end(tap, &conn->stream, NET_OUT, end);
	net_stream_end(&conn->stream, end);
	(*stack_of(conn)->count.frames_out)++;
}

void flows_run(struct msrp_conn *conn)
{
	struct msrp_flow *flow;

	/* Who waits again from now on belongs to the next round. */
	conn->round++;
	while (msrp_conn_open(conn) && (flow = TAILQ_FIRST(&conn->flows.waiting))
	    && flow->round != conn->round && msrp_flow_room(flow)) {
		stop_waiting(flow);
		flow->ops->writable(flow);
	}
	if (!TAILQ_EMPTY(&conn->flows.waiting))
		net_stream_want_room(&conn->stream);
}

void flows_closed(struct msrp_conn *conn, int err)
{
	struct msrp_flow *flow;

	conn->flows.open = NULL;
	while ((flow = LIST_FIRST(&conn->flows.all))) {
		msrp_flow_detach(flow);
		flow->ops->closed(flow, err);
	}
}
