/*
 * Handlers may close any connection: at the n-th call of any handler it closes its own one, or
 * the peer's, for each n.  Two ends in one stack stream at each other, with answers in between.
 */
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
#include "msrp/pool.h"
#include "msrp/transaction.h"
#include "msrp_side.h"

#define OWNER(type, member, p) ((type *)(void *)((char *)(p)-offsetof(type, member)))

enum { PIECE = 20000, FRAMES = 2 };

struct end {
	struct scene *scene;
	struct msrp_conn *conn;
	struct msrp_target target;
	struct msrp_user user;
	struct msrp_note note;
	struct msrp_sink sink;
	struct msrp_flow flow;
	struct net_mark mark;
	struct msrp_transaction transaction;
	char uri[128], peer_uri[128], piece[PIECE];
	unsigned left, pieces;
	bool noted;
};

struct scene {
	struct msrp_side side;
	struct end ends[2]; /* who calls, who is called */
	unsigned calls, close_at;
	bool close_own, closed;
};

/* Every handler comes by here. @return false if its own connection is gone now */
static bool happen(struct end *end)
{
	struct scene *s = end->scene;
	struct end *victim = s->close_own ? end : &s->ends[end == &s->ends[0]];

	if (++s->calls == s->close_at && victim->conn) {
		s->closed = true;
		msrp_conn_close(victim->conn, -ECANCELED);
	}
	return end->conn != NULL;
}

/* --- out --- */

static void end_frame(struct end *end, char flag)
{
	char text[40];
	int n = snprintf(text, sizeof(text), "\r\n-------%s%c\r\n", end->transaction.tid, flag);

	msrp_flow_end(&end->flow, (struct slice){text, (size_t)n});
	msrp_transaction_sent(&end->transaction);
}

static void begin_frame(struct end *end)
{
	char head[500];
	int n;

	if (!end->left || msrp_transaction_start(&end->transaction, end->conn) < 0)
		return;
	end->left--;
	end->pieces = 3;
	n = snprintf(head, sizeof(head),
	    "MSRP %s SEND\r\nTo-Path: %s\r\nFrom-Path: %s\r\nMessage-ID: m1m1m1\r\n"
	    "Byte-Range: 1-*/*\r\nContent-Type: text/plain\r\n\r\n",
	    end->transaction.tid, end->peer_uri, end->uri);
	msrp_flow_begin(&end->flow, (struct slice){head, (size_t)n});
}

static void on_writable(struct msrp_flow *flow)
{
	struct end *end = OWNER(struct end, flow, flow);

	if (!happen(end))
		return;
	if (!end->transaction.conn)
		begin_frame(end);
	if (!msrp_flow_is_open(flow))
		return;
	msrp_flow_body(flow, (struct slice){end->piece, PIECE});
	if (--end->pieces)
		msrp_flow_wait(flow);
	else
		end_frame(end, '$');
}

static void on_interrupt(struct msrp_flow *flow)
{
	struct end *end = OWNER(struct end, flow, flow);

	if (happen(end))
		end_frame(end, '+');
}

static void on_flow_closed(struct msrp_flow *flow, int err)
{
	(void)err;
	happen(OWNER(struct end, flow, flow));
}

static const struct msrp_flow_ops flow_ops = {.interrupt = on_interrupt,
    .writable = on_writable,
    .closed = on_flow_closed};

static int on_response(struct msrp_transaction *t, const struct msrp_frame *response)
{
	struct end *end = OWNER(struct end, transaction, t);

	(void)response;
	if (happen(end) && end->left)
		msrp_flow_wait(&end->flow);
	return 0;
}

static void on_timeout(struct msrp_transaction *t)
{
	(void)t;
	fail();
}

static void on_lost(struct msrp_transaction *t, int err)
{
	(void)err;
	happen(OWNER(struct end, transaction, t));
}

static const struct msrp_transaction_ops transaction_ops = {.response = on_response,
    .timeout = on_timeout,
    .lost = on_lost};

static void on_sent(struct net_mark *mark)
{
	happen(OWNER(struct end, mark, mark));
}

/* --- in --- */

static int on_body(struct msrp_sink *sink, struct slice piece)
{
	(void)piece;
	happen(OWNER(struct end, sink, sink));
	return 0;
}

static int on_end(struct msrp_sink *sink, enum msrp_flag flag)
{
	struct end *end = OWNER(struct end, sink, sink);

	(void)flag;
	if (happen(end))
		msrp_conn_reply(end->conn, 200, SLICE("OK"), (struct slice){NULL, 0});
	return 0;
}

static void on_aborted(struct msrp_sink *sink, int err)
{
	(void)err;
	happen(OWNER(struct end, sink, sink));
}

static int on_parked(struct msrp_sink *sink)
{
	happen(OWNER(struct end, sink, sink));
	return 0;
}

static const struct msrp_sink_ops sink_ops = {.body = on_body,
    .end = on_end,
    .aborted = on_aborted,
    .parked = on_parked};

/* --- the connection --- */

static void on_opened(struct msrp_user *user)
{
	happen(OWNER(struct end, user, user));
}

static void on_closed(struct msrp_user *user, int err)
{
	struct end *end = OWNER(struct end, user, user);

	(void)err;
	end->conn = NULL;
	happen(end);
}

static const struct msrp_user_ops user_ops = {.opened = on_opened, .closed = on_closed};

static void on_note_closed(struct msrp_note *note)
{
	struct end *end = OWNER(struct end, note, note);

	assert_false(end->noted); /* once */
	end->noted = true;
	happen(end);
}

static void join(struct end *end, struct msrp_conn *conn)
{
	end->conn = conn;
	msrp_conn_attach(conn, &end->user, 0);
	msrp_conn_add_note(conn, &end->note);
	msrp_flow_attach(&end->flow, conn);
	msrp_conn_mark(conn, &end->mark);
	msrp_flow_wait(&end->flow);
}

static int on_request(struct msrp_target *target, struct msrp_conn *conn,
    const struct msrp_frame *frame)
{
	struct end *end = OWNER(struct end, target, target);

	(void)frame;
	if (!end->conn && !end->noted)
		join(end, conn);
	if (happen(end))
		msrp_conn_take(conn, &end->sink);
	return 0;
}

static const struct msrp_target_ops target_ops = {.request = on_request, .bridges = true};

static void init_end(struct scene *s, struct end *end, const char *id, const char *peer_id)
{
	end->scene = s;
	end->target.ops = &target_ops;
	end->user.ops = &user_ops;
	end->note.closed = on_note_closed;
	end->sink.ops = &sink_ops;
	end->flow.ops = &flow_ops;
	end->mark.sent = on_sent;
	end->transaction.ops = &transaction_ops;
	end->left = FRAMES;
	memset(end->piece, 'x', PIECE);
	snprintf(end->uri, sizeof(end->uri), "msrp://127.0.0.1:%u/%s;tcp", s->side.port, id);
	snprintf(end->peer_uri, sizeof(end->peer_uri), "msrp://127.0.0.1:%u/%s;tcp", s->side.port,
	    peer_id);
	end->target.uri = slice_of(end->uri);
	assert_int_equal(msrp_target_bind(s->side.stack, &end->target), 0);
}

static void leave(struct end *end)
{
	msrp_sink_drop(&end->sink);
	msrp_transaction_stop(&end->transaction);
	msrp_target_unbind(end->scene->side.stack, &end->target);
	if (end->conn)
		msrp_conn_close(end->conn, -ECONNRESET);
}

static bool is_done(void *arg)
{
	struct scene *s = arg;
	bool done = true;

	for (int i = 0; i < 2; i++)
		done = done && !s->ends[i].left && !s->ends[i].transaction.conn;
	return done || (s->closed && msrp_stack_connections(s->side.stack) == 0);
}

/* @return how many handlers were called */
static unsigned play(const struct certs *certs, unsigned close_at, bool close_own)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct msrp_destination to = {.secure = certs != NULL, .host = SLICE("127.0.0.1")};
	struct msrp_conn *conn;
	unsigned calls;

	s->close_at = close_at;
	s->close_own = close_own;
	msrp_side_init(&s->side, certs);
	s->side.settings.send_queue = 4096;
	msrp_side_start(&s->side);
	init_end(s, &s->ends[0], "caller0123456789", "called0123456789");
	init_end(s, &s->ends[1], "called0123456789", "caller0123456789");
	to.port = certs ? s->side.tls_port : s->side.port;
	assert_int_equal(msrp_pool_get(s->side.stack, &to, &conn), 0);
	join(&s->ends[0], conn);
	loop_until(s->side.base, is_done, s);
	s->close_at = 0;
	leave(&s->ends[0]);
	leave(&s->ends[1]);
	msrp_side_stop(&s->side);
	calls = s->calls;
	free(s);
	return calls;
}

static void sweep(const struct certs *certs)
{
	unsigned calls = play(certs, 0, false);

	assert_in_range(calls, 30, 1000);
	for (unsigned n = 1; n <= calls; n++) {
		play(certs, n, true);
		play(certs, n, false);
	}
}

static void test_plain(void **state)
{
	(void)state;
	sweep(NULL);
}

static void test_tls(void **state)
{
	struct certs certs;

	(void)state;
	certs_make(&certs);
	sweep(&certs);
	certs_remove(&certs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
