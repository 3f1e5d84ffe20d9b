/* The life of connections while the n-th allocation fails, for each n: plain, TLS, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "loop.h"
#include "memory.h"
#include "msrp/pool.h"
#include "msrp/transaction.h"
#include "msrp_side.h"

enum { CHUNK = 40000 };

/* The active end: a stream of bodies with their transactions, over a connection of the pool. */
struct caller {
	struct msrp_side *side;
	struct msrp_user user;
	struct msrp_flow flow;
	struct msrp_transaction transaction;
	unsigned left;
	bool over, answered;
	char body[CHUNK];
};

#define OWNER(type, member, p) ((type *)(void *)((char *)(p)-offsetof(type, member)))

static void write_frame(struct caller *c)
{
	char head[400], end[40];
	int n;

	if (msrp_transaction_start(&c->transaction, c->flow.conn) < 0) {
		c->over = true;
		return;
	}
	n = snprintf(head, sizeof(head),
	    "MSRP %s SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/caller;tcp\r\n"
	    "Message-ID: m1m1m1\r\nByte-Range: 1-*/*\r\nContent-Type: text/plain\r\n\r\n",
	    c->transaction.tid, c->side->uri);
	msrp_flow_begin(&c->flow, (struct slice){head, (size_t)n});
	msrp_flow_body(&c->flow, (struct slice){c->body, CHUNK});
	n = snprintf(end, sizeof(end), "\r\n-------%s$\r\n", c->transaction.tid);
	msrp_flow_end(&c->flow, (struct slice){end, (size_t)n});
	msrp_transaction_sent(&c->transaction);
}

static void flow_writable(struct msrp_flow *flow)
{
	write_frame(OWNER(struct caller, flow, flow));
}

static void flow_interrupt(struct msrp_flow *flow)
{
	(void)flow;
	fail();
}

static void flow_closed(struct msrp_flow *flow, int err)
{
	(void)err;
	OWNER(struct caller, flow, flow)->over = true;
}

static const struct msrp_flow_ops flow_ops = {.interrupt = flow_interrupt,
    .writable = flow_writable,
    .closed = flow_closed};

static int on_response(struct msrp_transaction *t, const struct msrp_frame *response)
{
	struct caller *c = OWNER(struct caller, transaction, t);

	(void)response;
	if (--c->left) {
		msrp_flow_wait(&c->flow);
	} else {
		c->answered = c->over = true;
		msrp_conn_close_after_send(c->flow.conn);
	}
	return 0;
}

static void on_timeout(struct msrp_transaction *t)
{
	OWNER(struct caller, transaction, t)->over = true;
}

static void on_lost(struct msrp_transaction *t, int err)
{
	(void)t;
	(void)err;
}

static const struct msrp_transaction_ops transaction_ops = {.response = on_response,
    .timeout = on_timeout,
    .lost = on_lost};

static void user_closed(struct msrp_user *user, int err)
{
	(void)err;
	OWNER(struct caller, user, user)->over = true;
}

static const struct msrp_user_ops user_ops = {.closed = user_closed};

static void call(struct caller *c, bool tls)
{
	struct msrp_destination to = {.secure = tls,
	    .host = SLICE("127.0.0.1"),
	    .port = tls ? c->side->tls_port : c->side->port};
	struct msrp_conn *conn;

	c->user.ops = &user_ops;
	c->flow.ops = &flow_ops;
	c->transaction.ops = &transaction_ops;
	c->left = 5;
	memset(c->body, 'x', CHUNK);
	if (msrp_pool_get(c->side->stack, &to, &conn) < 0) {
		c->over = true;
		return;
	}
	msrp_conn_attach(conn, &c->user, 0);
	msrp_flow_attach(&c->flow, conn);
	write_frame(c); /* waits until it is connected */
}

static bool is_over(void *arg)
{
	struct caller *c = arg;

	return c->over;
}

static bool is_quiet(void *arg)
{
	struct caller *c = arg;

	return msrp_stack_connections(c->side->stack) == 0;
}

static void stop_caller(struct caller *c)
{
	msrp_transaction_stop(&c->transaction);
	msrp_flow_detach(&c->flow);
	if (c->user.conn)
		msrp_conn_close(c->user.conn, -ECONNRESET);
	msrp_conn_detach(&c->user);
}

static void sweep(bool tls, bool slow, unsigned threads)
{
	struct certs certs;
	unsigned n = 0, lost = 0;
	bool failed;

	certs_make(&certs);
	do {
		struct caller *caller = calloc(1, sizeof(*caller));
		struct msrp_side side;

		msrp_side_init(&side, &certs);
		side.threads = threads;
		side.settings.send_queue = slow ? 4096 : 1 << 20;
		side.settings.transaction_timeout_ms = 2000;
		msrp_side_start(&side);
		caller->side = &side;
		memory_fail_at(++n);
		call(caller, tls);
		loop_until(side.base, is_over, caller);
		failed = memory_has_failed();
		memory_fail_at(0);
		assert_true(caller->answered || failed);
		lost += !caller->answered;
		stop_caller(caller);
		if (side.conn)
			msrp_conn_close(side.conn, -ECONNRESET);
		loop_until(side.base, is_quiet, caller);
		msrp_side_stop(&side);
		free(caller);
		assert_true(n < 1000);
	} while (failed);
	assert_in_range(lost, 5, n);
	certs_remove(&certs);
}

static void test_plain(void **state)
{
	(void)state;
	sweep(false, false, 0);
}

static void test_tls(void **state)
{
	(void)state;
	sweep(true, true, 0);
}

static void test_tls_with_threads(void **state)
{
	(void)state;
	sweep(true, false, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_tls),
	    cmocka_unit_test(test_tls_with_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
