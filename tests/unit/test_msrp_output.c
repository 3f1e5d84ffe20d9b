/* Who gets to write when, and what the peer still reads of a connection that is closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "loop.h"
#include "msrp_side.h"

struct fixture {
	struct msrp_side side;
	struct msrp_peer peer;
	struct certs certs;
};

static int set_up(void **state, bool tls, bool framed)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (tls)
		certs_make(&f->certs);
	msrp_side_init(&f->side, tls ? &f->certs : NULL);
	msrp_side_start(&f->side);
	if (framed)
		msrp_peer_open_framed(&f->peer, &f->side);
	else
		msrp_peer_open(&f->peer, &f->side, tls ? &f->certs : NULL, false);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return set_up(state, false, false);
}

static int setup_tls(void **state)
{
	return set_up(state, true, false);
}

static int setup_framed(void **state)
{
	return set_up(state, false, true);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	msrp_peer_close(&f->peer);
	msrp_side_stop(&f->side);
	if (f->certs.dir[0])
		certs_remove(&f->certs);
	free(f);
	return 0;
}

/* --- last words --- */

/* A 400, although bytes behind the broken frame are not read any more. */
static void the_last_answer_survives_bytes_that_nobody_read(void **state)
{
	struct fixture *f = *state;
	static const char broken[] = "MSRP abcd1234 SEND\r\nTo-Path: msrp://127.0.0.1:1/x;tcp\r\n"
				     "From-Path: msrp://127.0.0.1:9/peer;tcp\r\n\n";
	size_t len = 200000;
	char *rest = calloc(1, len);

	/* All of it is on its way before the stack has read anything. */
	msrp_peer_try(&f->peer, broken, sizeof(broken) - 1);
	assert_int_equal(msrp_peer_try(&f->peer, rest, len), len);
	msrp_peer_expect_end(&f->peer);
	assert_true(f->peer.eof);
	assert_ptr_equal(strstr(f->peer.got, "MSRP abcd1234 400 "), f->peer.got);
	assert_int_equal(msrp_stack_connections(f->side.stack), 0);
	free(rest);
}

static void nothing_is_taken_after_a_close_that_waits(void **state)
{
	struct fixture *f = *state;
	char frames[1000];
	int n = 0;

	f->side.close_after = true;
	for (int i = 0; i < 3; i++)
		n += snprintf(frames + n, sizeof(frames) - (size_t)n,
		    "MSRP abcd123%d SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
		    "Message-ID: m1m1m1\r\nContent-Type: text/plain\r\n\r\nhi\r\n-------abcd123%d$\r\n",
		    i, f->side.uri, i);
	msrp_peer_say(&f->peer, frames, (size_t)n);
	msrp_peer_expect_end(&f->peer);
	assert_true(f->peer.eof);
	assert_int_equal(f->side.requests, 1);
	assert_non_null(strstr(f->peer.got, "MSRP abcd1230 200"));
	assert_null(strstr(f->peer.got, "abcd1231"));
}

/* --- flows --- */

struct stream {
	struct msrp_flow flow;
	char tid[16];
	unsigned frames, since_poll, most;
	size_t left, chunk;
	char *bytes;
	bool closed;
};

static void end_frame(struct stream *s, char flag)
{
	char end[40];
	int n = snprintf(end, sizeof(end), "\r\n-------%s%c\r\n", s->tid, flag);

	msrp_flow_end(&s->flow, (struct slice){end, (size_t)n});
}

static void on_interrupt(struct msrp_flow *flow)
{
	end_frame((struct stream *)flow, '+');
}

static void on_writable(struct msrp_flow *flow)
{
	struct stream *s = (struct stream *)flow;
	size_t part = s->left < s->chunk ? s->left : s->chunk;
	char head[100];
	int n;

	if (++s->since_poll > s->most)
		s->most = s->since_poll;
	if (!msrp_flow_is_open(flow)) {
		snprintf(s->tid, sizeof(s->tid), "tid%05u", s->frames++);
		n = snprintf(head, sizeof(head), "MSRP %s SEND\r\nX: y\r\n\r\n", s->tid);
		msrp_flow_begin(flow, (struct slice){head, (size_t)n});
	}
	msrp_flow_body(flow, (struct slice){s->bytes, part});
	s->left -= part;
	if (s->left)
		msrp_flow_wait(flow);
	else
		end_frame(s, '$');
}

static void on_closed(struct msrp_flow *flow, int err)
{
	(void)err;
	((struct stream *)flow)->closed = true;
}

static const struct msrp_flow_ops stream_ops = {.interrupt = on_interrupt,
    .writable = on_writable,
    .closed = on_closed};

/* An open session, and a stream of so many bytes in its direction. */
static void start_stream(struct fixture *f, struct stream *s, size_t total, size_t chunk)
{
	msrp_peer_send(&f->peer, f->side.uri, "hello", "");
	msrp_peer_expect(&f->peer, "-------abcd1234$\r\n");
	f->peer.got_len = f->peer.message = 0;
	*s = (struct stream){.flow.ops = &stream_ops, .left = total, .chunk = chunk};
	s->bytes = malloc(chunk);
	memset(s->bytes, 'Q', chunk);
	msrp_flow_attach(&s->flow, f->side.conn);
	msrp_flow_wait(&s->flow);
}

static void stop_stream(struct stream *s)
{
	msrp_flow_detach(&s->flow);
	free(s->bytes);
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	((struct stream *)arg)->since_poll = 0;
}

/* However fast the peer reads, other sockets are looked at now and then. */
static void a_fast_reader_starves_nobody(void **state)
{
	struct fixture *f = *state;
	struct event *always;
	static struct stream s;
	int ends[2];

	start_stream(f, &s, 200000, 100);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	always = event_new(f->side.base, ends[0], EV_READ | EV_PERSIST, on_poll, &s);
	event_add(always, NULL);
	while (s.left) {
		msrp_peer_read(&f->peer);
		event_base_loop(f->side.base, EVLOOP_ONCE);
	}
	assert_in_range(s.most, 2, 16);
	event_free(always);
	close(ends[0]);
	close(ends[1]);
	stop_stream(&s);
}

static size_t count(const struct msrp_peer *peer, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < peer->got_len; i++)
		n += peer->got[i] == c;
	return n;
}

static bool has_all(void *arg)
{
	struct fixture *f = arg;

	msrp_peer_read(&f->peer);
	return f->peer.got_len > f->peer.want_bytes
	    && memcmp(f->peer.got + f->peer.got_len - 3, "$\r\n", 3) == 0
	    && count(&f->peer, 'Q') == f->peer.want_bytes;
}

/* An answer gets its place between two frames, and the open one is ended for it. */
static void urgent_frames_overtake(void **state)
{
	struct fixture *f = *state;
	static const char urgent[] = "MSRP urgent99 200 OK\r\nTo-Path: x\r\n-------urgent99$\r\n";
	size_t total = 8 << 20;
	static struct stream s;
	const char *at;

	start_stream(f, &s, total, 50000);
	loop_settle(f->side.base);
	assert_true(s.left > 0); /* the peer does not read: the socket is full */
	assert_true(msrp_conn_backlog(f->side.conn) > 0);
	msrp_conn_send(f->side.conn,
	    SLICE("MSRP urgent99 200 OK\r\nTo-Path: x\r\n-------urgent99$\r\n"));
	f->peer.want_bytes = total;
	loop_until(f->side.base, has_all, f);
	assert_int_equal(s.frames, 2);
	at = memmem(f->peer.got, f->peer.got_len, urgent, sizeof(urgent) - 1);
	assert_non_null(at);
	assert_memory_equal(at - 3, "+\r\n", 3);
	assert_memory_equal(at + sizeof(urgent) - 1, "MSRP tid00001 SEND", 18);
	assert_int_equal(msrp_conn_backlog(f->side.conn), 0);
	stop_stream(&s);
}

static void a_stalled_reader_is_closed(void **state)
{
	struct fixture *f = *state;
	static struct stream s;

	f->side.settings.send_timeout_ms = 100;
	assert_int_equal(msrp_stack_reload(f->side.stack, &f->side.settings, &(struct reason){""}),
	    0);
	start_stream(f, &s, 8 << 20, 50000);
	while (!f->side.closed_err)
		event_base_loop(f->side.base, EVLOOP_ONCE);
	assert_int_equal(f->side.closed_err, -ETIMEDOUT);
	assert_true(s.closed);
	stop_stream(&s);
}

/* --- reading --- */

static bool has_ended(void *arg)
{
	struct fixture *f = arg;

	if (f->side.conn)
		msrp_conn_resume(f->side.conn);
	return f->side.ends > 1;
}

/* A sink that pauses after each piece gets all of it, and no more than it asked for. */
static void a_slow_sink_is_given_time(void **state)
{
	struct fixture *f = *state;
	size_t len = 4 << 20, sent = 0, was;
	char *body = malloc(len), head[300];
	int n = snprintf(head, sizeof(head),
	    "MSRP abcd1235 SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: m1m1m1\r\nContent-Type: text/plain\r\n\r\n",
	    f->side.uri);

	memset(body, 'x', len);
	msrp_peer_send(&f->peer, f->side.uri, "hello", "");
	msrp_peer_expect(&f->peer, "-------abcd1234$\r\n");
	f->side.pause = true;
	msrp_peer_say(&f->peer, head, (size_t)n);
	for (int i = 0; i < 200; i++) {
		sent +=
		    msrp_peer_try(&f->peer, body + sent, len - sent > 16384 ? 16384 : len - sent);
		event_base_loop(f->side.base, EVLOOP_NONBLOCK);
	}
	was = f->side.body_bytes;
	assert_in_range(was, 5 + 1, 5 + 65536);
	while (sent < len) {
		sent +=
		    msrp_peer_try(&f->peer, body + sent, len - sent > 16384 ? 16384 : len - sent);
		msrp_conn_resume(f->side.conn);
		event_base_loop(f->side.base, EVLOOP_NONBLOCK);
	}
	while (!msrp_peer_try(&f->peer, "\r\n-------abcd1235$\r\n", 20)) {
		msrp_conn_resume(f->side.conn);
		event_base_loop(f->side.base, EVLOOP_NONBLOCK);
	}
	loop_until(f->side.base, has_ended, f);
	assert_int_equal(f->side.body_bytes, 5 + len);
	msrp_peer_expect(&f->peer, "-------abcd1235$\r\n");
	free(body);
}

/* The end of the stream is noticed, although what came before it was not wanted yet. */
static void an_end_in_a_pause_waits_for_the_rest(void **state)
{
	struct fixture *f = *state;

	f->side.pause = true;
	msrp_peer_send(&f->peer, f->side.uri, "hello", "");
	loop_settle(f->side.base);
	if (f->peer.ssl)
		SSL_shutdown(f->peer.ssl);
	shutdown(f->peer.fd, SHUT_WR);
	loop_settle(f->side.base);
	assert_int_equal(f->side.requests, 1);
	assert_int_equal(f->side.ends, 0);
	f->side.pause = false;
	msrp_conn_resume(f->side.conn);
	msrp_peer_expect(&f->peer, "-------abcd1234$\r\n");
	msrp_peer_expect_end(&f->peer);
	assert_int_equal(f->side.closed_err, -ECONNRESET);
}

/* --- messages --- */

static void say_fragment(struct fixture *f, const char *text, bool end)
{
	struct iovec iov = {(char *)(uintptr_t)text, strlen(text)};

	assert_int_equal(framed_write(f->peer.framed, f->peer.fd, &iov, 1, end), iov.iov_len);
	assert_int_equal(f->peer.framed->out_len, 0);
}

static void write_head(const struct fixture *f, char head[300])
{
	snprintf(head, 300,
	    "MSRP abcd1234 SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: m1m1m1\r\nContent-Type: text/plain\r\n\r\n",
	    f->side.uri);
}

/* A message may come in fragments, the last of them empty. */
static void a_message_ends_when_it_is_told(void **state)
{
	struct fixture *f = *state;
	char head[300];

	write_head(f, head);
	say_fragment(f, head, false);
	say_fragment(f, "hello\r\n-------abcd1234$\r\n", false);
	say_fragment(f, "", true);
	msrp_peer_expect(&f->peer, "MSRP abcd1234 200");
	say_fragment(f, head, false);
	say_fragment(f, "hello\r\n-------abcd1234$\r\n", true);
	loop_until(f->side.base, has_ended, f);
	assert_int_equal(f->side.body_bytes, 10);
	assert_int_equal(f->side.closed_err, 0);
}

static void a_message_that_ends_within_its_frame_is_broken(void **state)
{
	struct fixture *f = *state;
	char head[300];

	write_head(f, head);
	say_fragment(f, head, false);
	say_fragment(f, "hel", true);
	msrp_peer_expect_end(&f->peer);
	assert_int_equal(f->side.requests, 1);
	assert_int_equal(f->side.ends, 0);
	assert_int_equal(f->side.aborts, 1);
	assert_int_equal(f->side.closed_err, -EBADMSG);
}

#define CASE(name)                                 \
	{                                          \
#name, name, setup, teardown, NULL \
	}
#define TLS_CASE(name)                                          \
	{                                                       \
#name " (TLS)", name, setup_tls, teardown, NULL \
	}

#define FRAMED_CASE(name)                                             \
	{                                                             \
#name " (framed)", name, setup_framed, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(the_last_answer_survives_bytes_that_nobody_read),
	    CASE(nothing_is_taken_after_a_close_that_waits),
	    TLS_CASE(nothing_is_taken_after_a_close_that_waits),
	    FRAMED_CASE(nothing_is_taken_after_a_close_that_waits),
	    CASE(a_fast_reader_starves_nobody),
	    TLS_CASE(a_fast_reader_starves_nobody),
	    FRAMED_CASE(a_fast_reader_starves_nobody),
	    CASE(urgent_frames_overtake),
	    TLS_CASE(urgent_frames_overtake),
	    FRAMED_CASE(urgent_frames_overtake),
	    CASE(a_stalled_reader_is_closed),
	    TLS_CASE(a_stalled_reader_is_closed),
	    FRAMED_CASE(a_stalled_reader_is_closed),
	    CASE(a_slow_sink_is_given_time),
	    TLS_CASE(a_slow_sink_is_given_time),
	    FRAMED_CASE(a_slow_sink_is_given_time),
	    CASE(an_end_in_a_pause_waits_for_the_rest),
	    TLS_CASE(an_end_in_a_pause_waits_for_the_rest),
	    FRAMED_CASE(an_end_in_a_pause_waits_for_the_rest),
	    FRAMED_CASE(a_message_ends_when_it_is_told),
	    FRAMED_CASE(a_message_that_ends_within_its_frame_is_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
