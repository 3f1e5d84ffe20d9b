/*
 * Connections that were opened for somebody who has left them.  The next session that leads there
 * finds one in the pool; but by sessions that have ended, or have moved on, nobody is to have more
 * of them than so many.
 */
#include "msrp/priv.h"

enum { UNUSED_MAX = 256 };

bool unused_is_silent(const struct msrp_conn *conn)
{
	return LIST_EMPTY(&conn->flows.all) && LIST_EMPTY(&conn->transactions);
}

void unused_begin(struct msrp_conn *conn)
{
	struct msrp_stack *stack = stack_of(conn);
	struct msrp_conn *oldest;

	if (msrp_conn_accepted(conn))
		return;
	conn->unused = true;
	TAILQ_INSERT_TAIL(&stack->unused, conn, unused_entry);
	if (++stack->unused_count <= UNUSED_MAX)
		return;
	oldest = TAILQ_FIRST(&stack->unused);
	unused_end(oldest);
	if (unused_is_silent(oldest))
		msrp_conn_close_after_send(oldest);
}

void unused_end(struct msrp_conn *conn)
{
	struct msrp_stack *stack = stack_of(conn);

	if (!conn->unused)
		return;
	conn->unused = false;
	stack->unused_count--;
	TAILQ_REMOVE(&stack->unused, conn, unused_entry);
}
