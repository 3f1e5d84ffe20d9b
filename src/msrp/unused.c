/*
 * Connections that were opened for sessions which have left them.  The next session that leads
 * there finds one in the pool; but by sessions that have ended, or have moved on, nobody is to have
 * more of them than so many.  None is closed while it is being left: who leaves one may be about to
 * take another.
 */
#include "msrp/priv.h"

#include <errno.h>

enum {
	UNUSED_MAX = 256,
	AT_ONCE = 8, /* are looked at, if all of them are busy */
};

/* Does nothing go over it either way, and nothing wait for an answer? */
static bool is_silent(const struct msrp_conn *conn)
{
	return !conn->in && LIST_EMPTY(&conn->flows.all) && LIST_EMPTY(&conn->transactions);
}

static void list(struct msrp_conn *conn)
{
	struct msrp_stack *stack = stack_of(conn);

	conn->listed = true;
	conn->unopened = !msrp_conn_open(conn);
	if (conn->unopened) {
		TAILQ_INSERT_TAIL(&stack->unopened, conn, unused_entry);
		return;
	}
	TAILQ_INSERT_TAIL(&stack->unused, conn, unused_entry);
	stack->unused_count++;
}

static void unlist(struct msrp_conn *conn)
{
	struct msrp_stack *stack = stack_of(conn);

	if (!conn->listed)
		return;
	conn->listed = false;
	if (conn->unopened) {
		TAILQ_REMOVE(&stack->unopened, conn, unused_entry);
		return;
	}
	TAILQ_REMOVE(&stack->unused, conn, unused_entry);
	stack->unused_count--;
}

void unused_begin(struct msrp_conn *conn)
{
	struct msrp_stack *stack = stack_of(conn);

	unlist(conn);
	if (msrp_conn_accepted(conn) || msrp_conn_closing(conn))
		return;
	conn->unused = true;
	list(conn);
	if (conn->unopened || stack->unused_count > UNUSED_MAX)
		timer_start(&stack->sweep, 0);
}

void unused_opened(struct msrp_conn *conn)
{
	if (conn->unused)
		unused_begin(conn);
}

void unused_end(struct msrp_conn *conn)
{
	unlist(conn);
	conn->unused = false;
}

void unused_sweep(void *arg)
{
	struct msrp_stack *stack = arg;
	struct msrp_conn *conn;

	/* With something to bring it opens, and is one of the others then. */
	while ((conn = TAILQ_FIRST(&stack->unopened))) {
		unlist(conn);
		if (is_silent(conn) && msrp_conn_backlog(conn) == 0)
			msrp_conn_close(conn, -ECANCELED);
	}
	for (int i = 0; i < AT_ONCE && stack->unused_count > UNUSED_MAX; i++) {
		conn = TAILQ_FIRST(&stack->unused);
		unlist(conn);
		if (is_silent(conn))
			msrp_conn_close_after_send(conn);
		else
			list(conn);
	}
}
