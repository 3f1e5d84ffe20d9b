/* Connections, flows, transactions and the pool, against raw sockets on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/stats.h"
#include "loop.h"
#include "msrp/conn.h"
#include "msrp/listener.h"
#include "msrp/pool.h"
#include "msrp/stack.h"
#include "msrp/transaction.h"
#include "net/net.h"

enum { GOT_MAX = 4 << 20 };

static const char session[] = "testsession0123456789ab";

struct fixture {
	struct event_base *base;
	struct stats *stats;
	struct net *net;
	struct msrp_stack *stack;
	struct msrp_settings settings;
	struct msrp_listen_settings listen;
	uint16_t port;
	int fd; /* the raw peer */
	char *got;
	size_t got_len;
	bool eof;
	size_t want; /* for has_bytes() */
	const char *want_text;

	/* a target that takes everything */
	struct msrp_target target;
	struct msrp_sink sink;
	struct msrp_user user;
	struct msrp_conn *conn;
	char uri[200], method[32], flag;
	char *body;
	size_t body_len;
	unsigned requests, ends, aborts, pieces;
	int pause_after; /* pieces; -1: never */
	int closed_err;
	bool opened;
};

static struct fixture *fixture_of_target(struct msrp_target *t)
{
	return (struct fixture *)((char *)t - offsetof(struct fixture, target));
}

static struct fixture *fixture_of_sink(struct msrp_sink *s)
{
	return (struct fixture *)((char *)s - offsetof(struct fixture, sink));
}

static struct fixture *fixture_of_user(struct msrp_user *u)
{
	return (struct fixture *)((char *)u - offsetof(struct fixture, user));
}

static int on_body(struct msrp_sink *sink, struct slice piece)
{
	struct fixture *f = fixture_of_sink(sink);

	f->body = realloc(f->body, f->body_len + piece.len);
	memcpy(f->body + f->body_len, piece.p, piece.len);
	f->body_len += piece.len;
	f->pieces++;
	return f->pause_after >= 0 && (int)f->pieces > f->pause_after ? -EAGAIN : 0;
}

static int on_end(struct msrp_sink *sink, enum msrp_flag flag)
{
	struct fixture *f = fixture_of_sink(sink);

	f->ends++;
	f->flag = (char)flag;
	msrp_conn_reply(f->conn, 200, SLICE("OK"), (struct slice){NULL, 0});
	return 0;
}

static void on_aborted(struct msrp_sink *sink, int err)
{
	(void)err;
	fixture_of_sink(sink)->aborts++;
}

static const struct msrp_sink_ops sink_ops = {
    .body = on_body,
    .end = on_end,
    .aborted = on_aborted,
};

static void on_closed(struct msrp_user *user, int err)
{
	struct fixture *f = fixture_of_user(user);

	f->closed_err = err;
	f->conn = NULL;
}

static void on_opened(struct msrp_user *user)
{
	fixture_of_user(user)->opened = true;
}

static const struct msrp_user_ops user_ops = {
    .closed = on_closed,
    .opened = on_opened,
};

static int on_request(struct msrp_target *t, struct msrp_conn *conn, const struct msrp_frame *frame)
{
	struct fixture *f = fixture_of_target(t);

	f->requests++;
	snprintf(f->method, sizeof(f->method), "%.*s", SLICE_ARG(frame->method_text));
	if (!f->user.conn) {
		f->conn = conn;
		msrp_conn_attach(conn, &f->user, 0);
	}
	msrp_conn_take(conn, &f->sink);
	return 0;
}

static const struct msrp_target_ops target_ops = {.request = on_request};

static int raw_connect(uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct reason why;

	assert_non_null(f);
	f->fd = -1;
	f->pause_after = -1;
	f->listen = (struct msrp_listen_settings){.name = (char *)(uintptr_t) "test",
	    .uri = (char *)(uintptr_t) "msrp://127.0.0.1:0;tcp"};
	f->settings = (struct msrp_settings){
	    .listen = {&f->listen, 1},
	    .transaction_timeout_ms = 200,
	    .connect_timeout_ms = 2000,
	    .tls_handshake_timeout_ms = 2000,
	    .bind_timeout_ms = 5000,
	    .idle_timeout_ms = 5000,
	    .max_connections = 100,
	    .max_header_size = 16384,
	    .send_queue = 64 * 1024,
	    .send_timeout_ms = 5000,
	    .max_memory = 1 << 20,
	};
	f->base = event_base_new();
	assert_int_equal(net_new(&f->net, f->base), 0);
	assert_int_equal(stats_new(&f->stats), 0);
	assert_int_equal(msrp_stack_new(&f->stack, f->net, &f->settings, f->stats, &why), 0);
	assert_int_equal(msrp_listeners_open(f->stack, &why), 0);
	f->port = msrp_listener_port(msrp_listener_at(f->stack, 0));
	snprintf(f->uri, sizeof(f->uri), "msrp://127.0.0.1:%u/%s;tcp", f->port, session);
	f->target = (struct msrp_target){.ops = &target_ops, .uri = slice_of(f->uri)};
	f->sink.ops = &sink_ops;
	f->user.ops = &user_ops;
	assert_int_equal(msrp_target_bind(f->stack, &f->target), 0);
	f->got = malloc(GOT_MAX);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->fd >= 0)
		close(f->fd);
	msrp_sink_drop(&f->sink);
	msrp_conn_detach(&f->user);
	msrp_target_unbind(f->stack, &f->target);
	msrp_stack_free(f->stack);
	net_free(f->net);
	stats_free(f->stats);
	event_base_free(f->base);
	free(f->body);
	free(f->got);
	free(f);
	return 0;
}

static void read_some(struct fixture *f)
{
	ssize_t n = recv(f->fd, f->got + f->got_len, GOT_MAX - f->got_len - 1, 0);

	if (n > 0)
		f->got_len += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		f->eof = true;
	f->got[f->got_len] = '\0';
}

static bool has_text(void *arg)
{
	struct fixture *f = arg;

	read_some(f);
	return strstr(f->got, f->want_text) != NULL;
}

static bool has_eof(void *arg)
{
	struct fixture *f = arg;

	read_some(f);
	return f->eof;
}

static bool has_ended(void *arg)
{
	return ((struct fixture *)arg)->ends > 0;
}

static bool has_pieces(void *arg)
{
	return ((struct fixture *)arg)->pieces > 0;
}

static bool is_closed(void *arg)
{
	return ((struct fixture *)arg)->closed_err != 0;
}

static bool is_aborted(void *arg)
{
	return ((struct fixture *)arg)->aborts > 0;
}

static void say(struct fixture *f, const char *bytes, size_t len)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = send(f->fd, bytes + at, len - at, MSG_NOSIGNAL);

		if (n > 0)
			at += (size_t)n;
		else
			event_base_loop(f->base, EVLOOP_NONBLOCK);
	}
}

static void say_frame(struct fixture *f, const char *sid, const char *body, const char *more)
{
	char frame[4096];
	int n = snprintf(frame, sizeof(frame),
	    "MSRP abcd1234 SEND\r\nTo-Path: msrp://127.0.0.1:%u/%s;tcp\r\n"
	    "From-Path: msrp://127.0.0.1:9/peer;tcp\r\nMessage-ID: m1m1m1\r\n%s"
	    "Byte-Range: 1-%zu/%zu\r\nContent-Type: text/plain\r\n\r\n%s\r\n-------abcd1234$\r\n",
	    f->port, sid, more, strlen(body), strlen(body), body);

	say(f, frame, (size_t)n);
}

static void expect(struct fixture *f, const char *text)
{
	f->want_text = text;
	loop_until(f->base, has_text, f);
}

static void answers_481_for_unknown_sessions(void **state)
{
	struct fixture *f = *state;

	f->fd = raw_connect(f->port);
	say_frame(f, "nobody", "hello", "");
	expect(f, "-------abcd1234$\r\n");
	assert_ptr_equal(strstr(f->got, "MSRP abcd1234 481"), f->got);
	assert_non_null(strstr(f->got, "To-Path: msrp://127.0.0.1:9/peer;tcp\r\n"));
	assert_int_equal(f->requests, 0);
}

static void says_nothing_where_failure_report_forbids(void **state)
{
	struct fixture *f = *state;

	f->fd = raw_connect(f->port);
	say_frame(f, "nobody", "hello", "Failure-Report: no\r\n");
	say_frame(f, session, "hello", "Failure-Report: partial\r\n");
	loop_until(f->base, has_ended, f);
	loop_settle(f->base);
	read_some(f);
	assert_int_equal(f->got_len, 0);
}

static void answers_400_and_closes_on_broken_framing(void **state)
{
	struct fixture *f = *state;
	static const char broken[] = "MSRP abcd1234 SEND\r\nTo-Path: msrp://127.0.0.1:1/x;tcp\r\n"
				     "From-Path: msrp://127.0.0.1:9/peer;tcp\r\n\n";

	f->fd = raw_connect(f->port);
	say(f, broken, sizeof(broken) - 1);
	loop_until(f->base, has_eof, f);
}

static void gives_bodies_to_the_sink_and_replies(void **state)
{
	struct fixture *f = *state;

	f->fd = raw_connect(f->port);
	say_frame(f, session, "hello", "");
	expect(f, "MSRP abcd1234 200 OK\r\n");
	assert_int_equal(f->body_len, 5);
	assert_memory_equal(f->body, "hello", 5);
	assert_int_equal(f->flag, '$');
	assert_string_equal(f->method, "SEND");
}

static void answers_a_request_whose_head_came_in_an_earlier_read(void **state)
{
	struct fixture *f = *state;
	char head[400];
	int n = snprintf(head, sizeof(head),
	    "MSRP abcd1234 SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: m1m1m1\r\nContent-Type: text/plain\r\n\r\nab",
	    f->uri);

	f->fd = raw_connect(f->port);
	say(f, head, (size_t)n);
	loop_until(f->base, has_pieces, f);
	say(f, "cd\r\n-------abcd1234$\r\n", 22);
	expect(f, "From-Path: msrp://127.0.0.1:");
	expect(f, "-------abcd1234$\r\n");
	assert_memory_equal(f->body, "abcd", 4);
}

static void reads_no_more_while_paused(void **state)
{
	struct fixture *f = *state;
	size_t len = 1 << 20;
	char *big = malloc(len);
	char head[400], before;
	int n = snprintf(head, sizeof(head),
	    "MSRP abcd1234 SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: m1m1m1\r\nContent-Type: text/plain\r\n\r\n",
	    f->uri);
	size_t sent = 0, was;

	memset(big, 'x', len);
	f->fd = raw_connect(f->port);
	f->pause_after = 0;
	say(f, head, (size_t)n);
	send(f->fd, big, 1000, 0);
	loop_until(f->base, has_pieces, f);
	loop_settle(f->base);
	was = f->body_len;
	before = f->body[0];
	assert_int_equal(before, 'x');
	for (ssize_t m; (m = send(f->fd, big, len - 1000 - sent > 65536 ? 65536 : len - 1000 - sent,
			     MSG_NOSIGNAL))
	     > 0;)
		sent += (size_t)m;
	loop_settle(f->base);
	assert_int_equal(f->body_len, was);
	f->pause_after = -1;
	msrp_conn_resume(f->conn);
	while (sent < len - 1000) {
		say(f, big, len - 1000 - sent > 4096 ? 4096 : len - 1000 - sent);
		sent += len - 1000 - sent > 4096 ? 4096 : len - 1000 - sent;
	}
	say(f, "\r\n-------abcd1234+\r\n", 20);
	loop_until(f->base, has_ended, f);
	assert_int_equal(f->body_len, len);
	assert_int_equal(f->flag, '+');
	free(big);
}

static void tells_the_sink_and_user_of_a_lost_connection(void **state)
{
	struct fixture *f = *state;
	char head[400];
	int n = snprintf(head, sizeof(head),
	    "MSRP abcd1234 SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: m1m1m1\r\nContent-Type: text/plain\r\n\r\nab",
	    f->uri);

	f->fd = raw_connect(f->port);
	say(f, head, (size_t)n);
	loop_until(f->base, has_pieces, f);
	close(f->fd);
	f->fd = -1;
	loop_until(f->base, is_aborted, f);
	assert_int_equal(f->closed_err, -ECONNRESET);
	assert_int_equal(f->ends, 0);
}

/* --- flows --- */

struct stream {
	struct msrp_flow flow;
	char tid[16];
	unsigned chunks, interrupts;
	size_t left, chunk, piece;
	char *bytes;
	bool closed, hold_open;
};

static void end_chunk(struct stream *s, char flag)
{
	char end[40];
	int n = snprintf(end, sizeof(end), "\r\n-------%s%c\r\n", s->tid, flag);

	msrp_flow_end(&s->flow, (struct slice){end, (size_t)n});
}

static void stream_interrupt(struct msrp_flow *flow)
{
	struct stream *s = (struct stream *)flow;

	s->interrupts++;
	end_chunk(s, '+');
}

static void stream_writable(struct msrp_flow *flow)
{
	struct stream *s = (struct stream *)flow;
	char head[100];
	size_t part = s->left < s->chunk ? s->left : s->chunk;
	int n;

	if (!s->left)
		return;
	if (!msrp_flow_is_open(flow)) {
		snprintf(s->tid, sizeof(s->tid), "%c%06u", s->bytes[0], s->chunks++);
		n = snprintf(head, sizeof(head), "MSRP %s SEND\r\nX: y\r\n\r\n", s->tid);
		msrp_flow_begin(flow, (struct slice){head, (size_t)n});
	}
	msrp_flow_body(flow, (struct slice){s->bytes, part});
	s->left -= part;
	if (!s->hold_open || !s->left)
		end_chunk(s, s->left ? '+' : '$');
	if (s->left)
		msrp_flow_wait(flow);
}

static void stream_closed(struct msrp_flow *flow, int err)
{
	(void)err;
	((struct stream *)flow)->closed = true;
}

static const struct msrp_flow_ops stream_ops = {
    .interrupt = stream_interrupt,
    .writable = stream_writable,
    .closed = stream_closed,
};

static void stream_init(struct stream *s, struct msrp_conn *conn, char c, size_t total)
{
	*s = (struct stream){.flow.ops = &stream_ops, .left = total, .chunk = 32768};
	s->bytes = malloc(s->chunk);
	memset(s->bytes, c, s->chunk);
	msrp_flow_attach(&s->flow, conn);
}

static size_t count_char(const struct fixture *f, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < f->got_len; i++)
		n += f->got[i] == c;
	return n;
}

static bool got_both_ends(void *arg)
{
	struct fixture *f = arg;

	read_some(f);
	return f->got_len >= f->want;
}

/* Every frame whole, one after the other. */
static void check_frames(const struct fixture *f)
{
	const char *p = f->got, *end = f->got + f->got_len;

	while (p < end) {
		char tid[16], line[64];
		const char *close;
		int n;

		assert_int_equal(sscanf(p, "MSRP %15s ", tid), 1);
		n = snprintf(line, sizeof(line), "-------%s", tid);
		close = memmem(p, (size_t)(end - p), line, (size_t)n);
		assert_non_null(close);
		p = close + n + 3;
	}
	assert_ptr_equal(p, end);
}

static void flows_take_turns_and_urgent_frames_overtake(void **state)
{
	struct fixture *f = *state;
	struct stream a, b;
	static const char urgent[] = "MSRP urgent99 200 OK\r\nTo-Path: x\r\n-------urgent99$\r\n";
	size_t total = 1 << 20;
	const char *at;

	f->fd = raw_connect(f->port);
	say_frame(f, session, "hello", "");
	expect(f, "-------abcd1234$\r\n");
	f->got_len = 0;
	stream_init(&a, f->conn, 'Q', total);
	stream_init(&b, f->conn, 'Z', total);
	b.hold_open = true;
	msrp_flow_wait(&a.flow);
	msrp_flow_wait(&b.flow);
	/* the peer does not read: the socket fills, something is queued */
	loop_settle(f->base);
	assert_true(a.left > 0 && b.left > 0);
	msrp_conn_send(f->conn,
	    SLICE("MSRP urgent99 200 OK\r\nTo-Path: x\r\n-------urgent99$\r\n"));
	f->want_text = "urgent99";
	f->want = 2 * total;
	loop_until(f->base, got_both_ends, f);
	while (a.left || b.left)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
	f->want_text = "$\r\n";
	loop_settle(f->base);
	read_some(f);
	loop_settle(f->base);
	read_some(f);
	assert_int_equal(count_char(f, 'Q'), total + a.chunks * 2);
	assert_int_equal(count_char(f, 'Z'), total + b.chunks * 2);
	check_frames(f);
	/* fair: at no time one of them had two chunks more than the other */
	assert_in_range(a.chunks, 32, 40);
	at = memmem(f->got, f->got_len, urgent, sizeof(urgent) - 1);
	assert_non_null(at);
	assert_true(at - f->got < (ptrdiff_t)(f->got_len - 65536));
	msrp_flow_detach(&a.flow);
	msrp_flow_detach(&b.flow);
	free(a.bytes);
	free(b.bytes);
}

static void a_closed_connection_tells_its_flows(void **state)
{
	struct fixture *f = *state;
	struct stream a;

	f->fd = raw_connect(f->port);
	say_frame(f, session, "hello", "");
	expect(f, "-------abcd1234$\r\n");
	stream_init(&a, f->conn, 'Q', 100);
	msrp_conn_close(f->conn, -ETIMEDOUT);
	assert_true(a.closed);
	assert_null(a.flow.conn);
	assert_int_equal(f->closed_err, -ETIMEDOUT);
	free(a.bytes);
}

struct meddler {
	struct msrp_flow flow;
	struct msrp_conn *closing, *writing;
	unsigned calls;
};

static void meddle(struct msrp_flow *flow)
{
	struct meddler *m = (struct meddler *)flow;

	m->calls++;
	msrp_conn_send(m->closing, SLICE("again"));
	msrp_conn_send(m->writing, SLICE("again"));
	msrp_conn_close(m->closing, -ETIMEDOUT);
}

static const struct msrp_flow_ops meddler_ops = {
    .interrupt = stream_interrupt,
    .writable = meddle,
    .closed = stream_closed,
};

/* A connection from outside; *connp: ours for it. */
static int bound_peer(struct fixture *f, struct msrp_conn **connp)
{
	f->got_len = 0;
	f->fd = raw_connect(f->port);
	say_frame(f, session, "hello", "");
	expect(f, "-------abcd1234$\r\n");
	*connp = f->conn;
	msrp_conn_detach(&f->user);
	return f->fd;
}

/* All three have been served when the third makes the first two dirty again and closes one. */
static void a_turn_ends_although_who_comes_up_again_is_closed(void **state)
{
	struct fixture *f = *state;
	struct meddler m = {.flow.ops = &meddler_ops};
	struct msrp_conn *conn;
	int closed = bound_peer(f, &m.closing), written = bound_peer(f, &m.writing);
	int served = bound_peer(f, &conn);

	msrp_flow_attach(&m.flow, conn);
	msrp_conn_send(m.closing, SLICE("once"));
	msrp_conn_send(m.writing, SLICE("once"));
	msrp_flow_wait(&m.flow);
	f->got_len = 0;
	f->fd = written;
	expect(f, "onceagain");
	assert_int_equal(m.calls, 1);
	msrp_flow_detach(&m.flow);
	close(closed);
	close(served);
}

/* --- transactions --- */

struct asked {
	struct msrp_transaction t;
	int code, err;
	bool timed_out;
};

static int asked_response(struct msrp_transaction *t, const struct msrp_frame *response)
{
	((struct asked *)t)->code = (int)response->code;
	return 0;
}

static void asked_timeout(struct msrp_transaction *t)
{
	((struct asked *)t)->timed_out = true;
}

static void asked_lost(struct msrp_transaction *t, int err)
{
	((struct asked *)t)->err = err;
}

static const struct msrp_transaction_ops asked_ops = {
    .response = asked_response,
    .timeout = asked_timeout,
    .lost = asked_lost,
};

static bool asked_is_over(void *arg)
{
	struct asked *a = arg;

	return a->code || a->err || a->timed_out;
}

static void responses_find_their_transaction(void **state)
{
	struct fixture *f = *state;
	struct asked one = {.t.ops = &asked_ops}, two = {.t.ops = &asked_ops},
		     three = {.t.ops = &asked_ops};
	char response[200];
	int n;

	f->fd = raw_connect(f->port);
	say_frame(f, session, "hello", "");
	expect(f, "-------abcd1234$\r\n");
	assert_int_equal(msrp_transaction_start(&one.t, f->conn), 0);
	assert_int_equal(msrp_transaction_start(&two.t, f->conn), 0);
	assert_int_equal(msrp_transaction_start(&three.t, f->conn), 0);
	assert_string_not_equal(one.t.tid, two.t.tid);
	msrp_transaction_sent(&one.t);
	msrp_transaction_sent(&two.t);
	n = snprintf(response, sizeof(response),
	    "MSRP %s 413\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n-------%s$\r\n",
	    two.t.tid, f->uri, two.t.tid);
	say(f, response, (size_t)n);
	say(f, response, (size_t)n); /* a second one is to nothing */
	loop_until(f->base, asked_is_over, &two);
	assert_int_equal(two.code, 413);
	loop_until(f->base, asked_is_over, &one);
	assert_true(one.timed_out);
	/* the third was never sent, so its time does not run; it ends with the connection */
	assert_false(asked_is_over(&three));
	msrp_conn_close(f->conn, -ECONNRESET);
	assert_int_equal(three.err, -ECONNRESET);
}

/* --- answers together --- */

static int print_send(const struct fixture *f, char *to, const char *tid, const char *more)
{
	return sprintf(to,
	    "MSRP %s SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: %s\r\n%s-------%s$\r\n",
	    tid, f->uri, tid, more, tid);
}

static void say_send(struct fixture *f, const char *tid)
{
	char frame[512];

	say(f, frame, (size_t)print_send(f, frame, tid, ""));
}

static unsigned count_of(const char *text, const char *part)
{
	unsigned n = 0;

	while ((text = strstr(text, part))) {
		text++;
		n++;
	}
	return n;
}

static void answers_of_a_read_are_one_frame(void **state)
{
	struct fixture *f = *state;
	char frames[5 * 512];
	int n;

	f->fd = raw_connect(f->port);
	say_frame(f, session, "hello", "");
	expect(f, "-------abcd1234$\r\n");
	assert_int_equal(msrp_conn_answer_together(f->conn), 0);
	f->got_len = 0;
	n = print_send(f, frames, "first111", "");
	n += print_send(f, frames + n, "second22", "Byte-Range: x\r\n"); /* 400 */
	n += print_send(f, frames + n, "third333", "");
	n += print_send(f, frames + n, "fourth44", "Failure-Report: no\r\n");
	n += print_send(f, frames + n, "fifth555", "");
	say(f, frames, (size_t)n);
	expect(f, "-------first111$\r\n");
	assert_int_equal(count_of(f->got, "MSRP "), 2);
	assert_non_null(strstr(f->got, "MSRP second22 400"));
	assert_non_null(
	    strstr(f->got, "\r\nAlso-Answered: third333 fifth555\r\n-------first111$\r\n"));
	f->got_len = 0;
	say_send(f, "sixth666");
	expect(f, "-------sixth666$\r\n");
	assert_null(strstr(f->got, "Also-Answered"));
}

/* More than one frame holds: each is in one of them, and in no other. */
static void many_answers_are_several_frames(void **state)
{
	enum { MANY = 300 };
	struct fixture *f = *state;
	char *frames = malloc(MANY * 512), tid[16];
	int n = 0;

	f->fd = raw_connect(f->port);
	say_frame(f, session, "hello", "");
	expect(f, "-------abcd1234$\r\n");
	assert_int_equal(msrp_conn_answer_together(f->conn), 0);
	f->got_len = 0;
	for (int i = 0; i < MANY; i++) {
		snprintf(tid, sizeof(tid), "numbered%04d", i);
		n += print_send(f, frames + n, tid, "");
	}
	say(f, frames, (size_t)n);
	snprintf(tid, sizeof(tid), "numbered%04d", MANY - 1);
	expect(f, tid);
	expect(f, "$\r\n");
	loop_settle(f->base);
	read_some(f);
	for (int i = 0; i < MANY; i++) {
		snprintf(tid, sizeof(tid), " numbered%04d", i); /* behind MSRP, or another one */
		assert_int_equal(count_of(f->got, tid), 1);
	}
	assert_in_range(count_of(f->got, "MSRP "), 2, MANY / 4);
	free(frames);
}

static void an_answer_may_be_to_several(void **state)
{
	enum { FIRST, SECOND, THIRD, OTHER, COUNT };
	struct fixture *f = *state;
	struct asked asked[COUNT] = {{.code = 0}}, gone = {.t.ops = &asked_ops};
	char response[512];
	int n;

	f->fd = raw_connect(f->port);
	say_frame(f, session, "hello", "");
	expect(f, "-------abcd1234$\r\n");
	for (int i = 0; i < COUNT; i++) {
		asked[i].t.ops = &asked_ops;
		assert_int_equal(msrp_transaction_start(&asked[i].t, f->conn), 0);
	}
	assert_int_equal(msrp_transaction_start(&gone.t, f->conn), 0);
	msrp_transaction_stop(&gone.t);
	/* Also where nobody waits for the one that it is to in the first place. */
	n = snprintf(response, sizeof(response),
	    "MSRP %s 200\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Also-Answered: %s nobodys1 %s %s\r\n-------%s$\r\n",
	    gone.t.tid, f->uri, asked[SECOND].t.tid, asked[FIRST].t.tid, asked[THIRD].t.tid,
	    gone.t.tid);
	say(f, response, (size_t)n);
	loop_until(f->base, asked_is_over, &asked[THIRD]);
	for (int i = FIRST; i <= THIRD; i++)
		assert_int_equal(asked[i].code, 200);
	assert_false(asked_is_over(&asked[OTHER]));
	assert_int_equal(gone.code, 0);
	msrp_conn_close(f->conn, -ECONNRESET);
	assert_int_equal(asked[OTHER].err, -ECONNRESET);
}

/* --- the pool --- */

static bool is_opened(void *arg)
{
	return ((struct fixture *)arg)->opened;
}

static struct msrp_destination loopback(const struct fixture *f)
{
	return (struct msrp_destination){.host = SLICE("127.0.0.1"), .port = f->port};
}

static void the_pool_shares_connections(void **state)
{
	struct fixture *f = *state;
	struct msrp_destination to = loopback(f),
				named = {.host = SLICE("localhost"), .port = f->port};
	struct msrp_conn *one, *two, *three;

	to.existing = true;
	assert_int_equal(msrp_pool_get(f->stack, &to, &one), -ENOENT);
	to.existing = false;
	assert_int_equal(msrp_pool_get(f->stack, &to, &one), 0);
	msrp_conn_attach(one, &f->user, 0);
	assert_int_equal(msrp_pool_get(f->stack, &to, &two), 0);
	assert_ptr_equal(one, two);
	to.transport = SLICE("TCP");
	assert_int_equal(msrp_pool_get(f->stack, &to, &two), 0);
	assert_ptr_equal(one, two);
	to.transport = SLICE("sctp");
	assert_int_equal(msrp_pool_get(f->stack, &to, &two), -EINVAL);
	assert_false(f->opened);
	loop_until(f->base, is_opened, f);
	msrp_conn_detach(&f->user);
	f->opened = false;
	assert_int_equal(msrp_pool_get(f->stack, &named, &three), 0);
	assert_ptr_not_equal(one, three);
	msrp_conn_attach(three, &f->user, 0);
	loop_until(f->base, is_opened, f);
}

static void a_refused_connection_is_told_later(void **state)
{
	struct fixture *f = *state;
	struct msrp_destination to = loopback(f);
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	struct msrp_conn *conn;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	/* bound, not listening: nobody else gets this port */
	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	getsockname(fd, (struct sockaddr *)&in, &len);
	to.port = ntohs(in.sin_port);
	assert_int_equal(msrp_pool_get(f->stack, &to, &conn), 0);
	msrp_conn_attach(conn, &f->user, 0);
	assert_int_equal(f->closed_err, 0);
	loop_until(f->base, is_closed, f);
	assert_int_equal(f->closed_err, -ECONNREFUSED);
	assert_int_equal(msrp_stack_connections(f->stack), 0);
	close(fd);
}

static void connections_are_limited(void **state)
{
	struct reason why;
	struct fixture *f = *state;
	struct msrp_destination to = loopback(f);
	struct msrp_conn *conn;
	int fd;

	f->settings.max_connections = 1;
	assert_int_equal(msrp_stack_reload(f->stack, &f->settings, &why), 0);
	f->fd = raw_connect(f->port);
	say_frame(f, session, "hello", "");
	expect(f, "-------abcd1234$\r\n");
	assert_int_equal(msrp_pool_get(f->stack, &to, &conn), -EMFILE);
	fd = f->fd;
	f->fd = raw_connect(f->port);
	loop_until(f->base, has_eof, f);
	assert_int_equal(msrp_stack_connections(f->stack), 1);
	close(fd);
}

static void bodies_have_a_budget(void **state)
{
	struct fixture *f = *state;
	struct budget *budget = msrp_stack_budget(f->stack);

	assert_int_equal(budget_take(budget, 1 << 20), 0);
	assert_int_equal(budget_take(budget, 1), -ENOBUFS);
	budget_return(budget, 1 << 20);
	assert_int_equal(budget_take(budget, SIZE_MAX), -ENOBUFS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(answers_481_for_unknown_sessions),
	    CASE(says_nothing_where_failure_report_forbids),
	    CASE(answers_400_and_closes_on_broken_framing),
	    CASE(gives_bodies_to_the_sink_and_replies),
	    CASE(answers_a_request_whose_head_came_in_an_earlier_read),
	    CASE(reads_no_more_while_paused),
	    CASE(tells_the_sink_and_user_of_a_lost_connection),
	    CASE(flows_take_turns_and_urgent_frames_overtake),
	    CASE(a_closed_connection_tells_its_flows),
	    CASE(a_turn_ends_although_who_comes_up_again_is_closed),
	    CASE(responses_find_their_transaction),
	    CASE(answers_of_a_read_are_one_frame),
	    CASE(many_answers_are_several_frames),
	    CASE(an_answer_may_be_to_several),
	    CASE(the_pool_shares_connections),
	    CASE(a_refused_connection_is_told_later),
	    CASE(connections_are_limited),
	    CASE(bodies_have_a_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
