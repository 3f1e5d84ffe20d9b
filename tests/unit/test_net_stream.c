/* Streams of a protocol that knows no MSRP, over TCP and over a transport that carries messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "framed.h"
#include "loop.h"
#include "loopback.h"
#include "net/dial.h"
#include "net/listener.h"
#include "net/net.h"

enum { LARGE = 3 << 20, GOT_MAX = 8 << 20 };

/* One end of a stream, and what it has been told. */
struct end {
	struct net_stream stream;
	struct net_dial dial;
	struct fixture *fixture;
	char *got;
	size_t got_len;
	size_t wants; /* at most so many bytes at once, then it pauses; 0: all there are */
	bool sips;    /* it does not pause, but leaves the rest for later */
	size_t most;  /* bytes that it was given at once */
	unsigned opened, messages, interrupts, rooms, closed, marks;
	int err;
	struct net_mark mark;
};

struct fixture {
	struct event_base *base;
	struct net *net;
	struct net_protocol protocol;
	struct net_listener listener;
	const struct net_transport *transport;
	uint64_t counts[7];
	struct end *caller, *called;
	size_t want;
	unsigned freed;
};

static struct end *end_of(struct net_stream *stream)
{
	return (struct end *)stream; /* its first member */
}

/* --- the protocol: bytes are kept --- */

static struct end *new_end(struct fixture *f)
{
	struct end *end = calloc(1, sizeof(*end));

	end->fixture = f;
	end->got = malloc(GOT_MAX);
	net_stream_init(&end->stream, &f->protocol);
	return end;
}

static struct net_stream *on_accept(void *arg)
{
	struct fixture *f = arg;

	f->called = new_end(f);
	return &f->called->stream;
}

static void on_opened(struct net_stream *stream)
{
	end_of(stream)->opened++;
}

static ssize_t on_input(struct net_stream *stream, struct slice bytes, bool end)
{
	struct end *e = end_of(stream);
	size_t n = e->wants && e->wants < bytes.len ? e->wants : bytes.len;

	if (bytes.len > e->most)
		e->most = bytes.len;
	memcpy(e->got + e->got_len, bytes.p, n);
	e->got_len += n;
	if (n == bytes.len)
		e->messages += end;
	else if (!e->sips)
		net_stream_pause(stream);
	return (ssize_t)n;
}

static void on_room(struct net_stream *stream)
{
	end_of(stream)->rooms++;
}

static void on_interrupt(struct net_stream *stream)
{
	end_of(stream)->interrupts++;
	net_stream_end(stream, SLICE("+"));
}

static void on_closed(struct net_stream *stream, int err)
{
	end_of(stream)->closed++;
	end_of(stream)->err = err;
}

static void on_free(struct net_stream *stream)
{
	struct end *e = end_of(stream);

	e->fixture->freed++;
	free(e->got);
	free(e);
}

static const struct net_handler handler = {.accept = on_accept,
    .opened = on_opened,
    .input = on_input,
    .room = on_room,
    .interrupt = on_interrupt,
    .closed = on_closed,
    .free = on_free};

/* --- the fixture --- */

static int set_up(void **state, const struct net_transport *transport)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint64_t *c = f->counts;

	f->base = event_base_new();
	f->transport = transport;
	assert_int_equal(net_new(&f->net, f->base), 0);
	f->protocol = (struct net_protocol){.net = f->net,
	    .name = "test",
	    .handler = &handler,
	    .limits = {.max_streams = 10, .send_queue = 1 << 16},
	    .count = {&c[0], &c[1], &c[2], &c[3], &c[4], &c[5], &c[6]}};
	assert_int_equal(net_protocol_init(&f->protocol), 0);
	f->listener = (struct net_listener){.protocol = &f->protocol,
	    .transport = transport,
	    .name = "test",
	    .arg = f};
	loopback_listen(&f->listener);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return set_up(state, &net_tcp);
}

static int setup_framed(void **state)
{
	return set_up(state, &framed_transport);
}

static void let_go(struct end *end)
{
	if (end)
		net_stream_unref(&end->stream);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	unsigned ends = (unsigned)(f->caller != NULL) + (unsigned)(f->called != NULL);

	net_listener_close(&f->listener);
	let_go(f->caller);
	let_go(f->called);
	net_protocol_fini(&f->protocol);
	assert_int_equal(f->freed, ends);
	assert_int_equal(f->protocol.stream_count, 0);
	net_free(f->net);
	event_base_free(f->base);
	free(f);
	return 0;
}

static int dial(struct fixture *f, const char *host, uint16_t port)
{
	struct net_destination to = {.transport = f->transport,
	    .host = slice_of(host),
	    .port = port,
	    .fingerprints = ""};

	f->caller = new_end(f);
	net_stream_ref(&f->caller->stream);
	return net_dial(&f->caller->stream, &f->caller->dial, &to);
}

static uint16_t listening_at(const struct fixture *f)
{
	return addr_port(&f->listener.addr);
}

static bool both_open(void *arg)
{
	struct fixture *f = arg;

	return f->called && f->called->opened && f->caller->opened;
}

static void open_both(struct fixture *f)
{
	assert_int_equal(dial(f, "127.0.0.1", listening_at(f)), 0);
	assert_int_equal(f->caller->opened, 0);
	loop_until(f->base, both_open, f);
	net_stream_ref(&f->called->stream);
}

static bool has_come(void *arg)
{
	struct fixture *f = arg;

	return f->called->got_len >= f->want;
}

static void expect(struct fixture *f, size_t bytes)
{
	f->want = bytes;
	loop_until(f->base, has_come, f);
	assert_int_equal(f->called->got_len, bytes);
}

static bool caller_is_closed(void *arg)
{
	return ((struct fixture *)arg)->caller->closed;
}

static bool called_is_closed(void *arg)
{
	return ((struct fixture *)arg)->called->closed;
}

/* --- cases --- */

static void messages_arrive(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	assert_int_equal(net_stream_send(&f->caller->stream, SLICE("one")), 0);
	assert_int_equal(net_stream_send(&f->caller->stream, SLICE("two")), 0);
	expect(f, 6);
	assert_memory_equal(f->called->got, "onetwo", 6);
	assert_int_equal(f->called->messages, f->transport->framed ? 2 : 0);
	assert_int_equal(*f->protocol.count.accepted, 1);
	assert_int_equal(*f->protocol.count.connected, 1);
	assert_int_equal(*f->protocol.count.bytes_in, 6);
	assert_int_equal(*f->protocol.count.bytes_out, 6);
}

static void a_name_is_looked_up(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(dial(f, "localhost", listening_at(f)), 0);
	loop_until(f->base, both_open, f);
	net_stream_ref(&f->called->stream);
}

static void who_cannot_connect_is_told_later(void **state)
{
	struct fixture *f = *state;
	uint16_t port = listening_at(f);

	net_listener_close(&f->listener);
	assert_int_equal(dial(f, "127.0.0.1", port), 0);
	assert_int_equal(f->caller->closed, 0);
	loop_until(f->base, caller_is_closed, f);
	assert_int_equal(f->caller->err, -ECONNREFUSED);
	assert_int_equal(f->caller->opened, 0);
}

static void no_more_than_max_streams_are_accepted(void **state)
{
	struct fixture *f = *state;

	f->protocol.limits.max_streams = 1;
	assert_int_equal(dial(f, "127.0.0.1", listening_at(f)), 0);
	assert_true(net_protocol_is_full(&f->protocol));
	loop_until(f->base, caller_is_closed, f);
	assert_null(f->called);
	assert_int_equal(*f->protocol.count.refused, 1);
}

/* A queue that the socket does not take, in memory that is gone before it does. */
static void what_was_borrowed_outlives_its_memory(void **state)
{
	struct fixture *f = *state;
	char *bytes = malloc(LARGE);

	open_both(f);
	net_stream_pause(&f->called->stream);
	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = (char)(i % 251);
	net_stream_borrow(&f->caller->stream, (struct slice){bytes, LARGE - 1});
	assert_int_equal(net_stream_backlog(&f->caller->stream), LARGE - 1);
	assert_false(net_stream_message_has_left(&f->caller->stream));
	net_stream_end(&f->caller->stream, (struct slice){bytes + LARGE - 1, 1});
	loop_settle(f->base);
	assert_true(net_stream_backlog(&f->caller->stream) > 0);
	memset(bytes, 'x', LARGE);
	free(bytes);
	net_stream_resume(&f->called->stream);
	expect(f, LARGE);
	for (size_t i = 0; i < LARGE; i++)
		assert_int_equal(f->called->got[i], (char)(i % 251));
	assert_int_equal(f->called->messages, f->transport->framed ? 1 : 0);
	assert_int_equal(net_stream_backlog(&f->caller->stream), 0);
}

static void what_is_kept_outlives_its_memory_within_the_turn(void **state)
{
	struct fixture *f = *state;
	char *bytes = malloc(1000);

	open_both(f);
	memset(bytes, 'a', 1000);
	net_stream_borrow(&f->caller->stream, (struct slice){bytes, 1000});
	net_stream_keep(&f->caller->stream);
	memset(bytes, 'x', 1000);
	free(bytes);
	net_stream_end(&f->caller->stream, SLICE("."));
	expect(f, 1001);
	assert_int_equal(f->called->got[999], 'a');
}

static void on_sent(struct net_mark *mark)
{
	((struct end *)(void *)((char *)mark - offsetof(struct end, mark)))->marks++;
}

/* Behind the message that has begun to leave, before those that wait; an open one is ended. */
static void the_urgent_overtake_between_messages(void **state)
{
	struct fixture *f = *state;
	struct net_stream *s;
	char *large = calloc(1, LARGE);

	open_both(f);
	s = &f->caller->stream;
	f->caller->mark.sent = on_sent;
	net_stream_pause(&f->called->stream);
	net_stream_borrow(s, (struct slice){large, LARGE});
	loop_settle(f->base); /* a part of it has left */
	assert_true(net_stream_message_has_left(s));
	net_stream_mark(s, &f->caller->mark);
	net_stream_send(s, SLICE("urgent"));
	net_stream_want_room(s);
	loop_settle(f->base);
	assert_int_equal(f->caller->marks, 0);
	assert_int_equal(f->caller->rooms, 0);
	net_stream_resume(&f->called->stream);
	expect(f, LARGE + 7);
	assert_int_equal(f->caller->interrupts, 1);
	assert_memory_equal(f->called->got + LARGE, "+urgent", 7);
	assert_int_equal(f->called->messages, f->transport->framed ? 2 : 0);
	loop_settle(f->base);
	assert_int_equal(f->caller->marks, 1);
	assert_int_equal(f->caller->rooms, 1);
	free(large);
}

/* An end without bytes of its own, when all before it has left: the urgent need not wait on. */
static void a_message_may_end_when_all_of_it_has_left(void **state)
{
	struct fixture *f = *state;
	struct net_stream *s;

	open_both(f);
	s = &f->caller->stream;
	net_stream_copy(s, SLICE("bul"));
	expect(f, 3);
	net_stream_end(s, SLICE("k"));
	net_stream_send(s, SLICE("urgent"));
	expect(f, 10);
	assert_memory_equal(f->called->got, "bulkurgent", 10);
	assert_int_equal(f->caller->interrupts, 0);
	assert_null(s->out);
}

static void a_closed_stream_takes_no_mark(void **state)
{
	struct fixture *f = *state;
	struct net_stream *s;

	open_both(f);
	s = &f->caller->stream;
	f->caller->mark.sent = on_sent;
	net_stream_close(s, -ECONNRESET);
	net_stream_mark(s, &f->caller->mark);
	assert_false(s->failed);
	net_stream_unmark(s, &f->caller->mark);
	assert_int_equal(f->caller->marks, 0);
}

static bool drinks_all(void *arg)
{
	struct fixture *f = arg;

	net_stream_resume(&f->called->stream);
	return f->called->got_len >= f->want;
}

/* What its handler leaves comes again by itself, and what ends a message ends it once. */
static void who_sips_gets_all(void **state)
{
	struct fixture *f = *state;
	char bytes[500];

	open_both(f);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i % 251);
	f->called->wants = 7;
	f->called->sips = true;
	net_stream_send(&f->caller->stream, (struct slice){bytes, sizeof(bytes)});
	net_stream_close_after_send(&f->caller->stream);
	expect(f, sizeof(bytes));
	assert_memory_equal(f->called->got, bytes, sizeof(bytes));
	assert_int_equal(f->called->messages, f->transport->framed ? 1 : 0);
	loop_until(f->base, called_is_closed, f);
}

/* However much there is, and however quickly it is taken. */
static void the_frugal_read_little(void **state)
{
	struct fixture *f = *state;
	char *bytes = calloc(1, LARGE);

	open_both(f);
	f->protocol.frugal = true;
	net_stream_send(&f->caller->stream, (struct slice){bytes, LARGE});
	expect(f, LARGE);
	assert_in_range(f->called->most, 1, 8192);
	free(bytes);
}

static void a_pause_loses_nothing(void **state)
{
	struct fixture *f = *state;
	char bytes[5000];

	open_both(f);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i % 251);
	f->called->wants = 7;
	net_stream_send(&f->caller->stream, (struct slice){bytes, sizeof(bytes)});
	f->want = sizeof(bytes);
	loop_until(f->base, drinks_all, f);
	assert_int_equal(f->called->got_len, sizeof(bytes));
	assert_memory_equal(f->called->got, bytes, sizeof(bytes));
	assert_int_equal(f->called->messages, f->transport->framed ? 1 : 0);
}

/* As TLS in the middle of a change of keys: it writes when a byte has come. */
static ssize_t write_after_a_byte(struct net_stream *s, const struct iovec *iov, int count,
    const struct net_ends *ends)
{
	char byte;

	if (!s->accepted && !s->link.state) {
		if (recv(s->fd, &byte, 1, MSG_DONTWAIT) != 1)
			return net_stream_write_wants_read(s) < 0 ? -ENOMEM : -EAGAIN;
		s->link.state = s;
	}
	return net_tcp.writev(s, iov, count, ends);
}

static void forget(struct net_stream *s)
{
	(void)s;
}

static int setup_reluctant(void **state)
{
	static struct net_transport reluctant;

	reluctant = net_tcp;
	reluctant.writev = write_after_a_byte;
	reluctant.shutdown = forget;
	return set_up(state, &reluctant);
}

static void a_pause_does_not_hold_what_is_written(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	net_stream_pause(&f->caller->stream);
	net_stream_copy(&f->caller->stream, SLICE("bulk"));
	loop_settle(f->base);
	assert_int_equal(f->called->got_len, 0);
	net_stream_copy(&f->called->stream, SLICE("!?"));
	expect(f, 4);
	assert_memory_equal(f->called->got, "bulk", 4);
	assert_int_equal(f->caller->got_len, 0);
	net_stream_resume(&f->caller->stream);
	loop_settle(f->base);
	assert_int_equal(f->caller->got_len, 1);
}

static void a_close_that_waits_loses_nothing(void **state)
{
	struct fixture *f = *state;
	char *bytes = calloc(1, LARGE);

	open_both(f);
	net_stream_pause(&f->called->stream);
	net_stream_borrow(&f->caller->stream, (struct slice){bytes, LARGE - 1});
	net_stream_end(&f->caller->stream, (struct slice){bytes + LARGE - 1, 1});
	net_stream_close_after_send(&f->caller->stream);
	assert_int_equal(net_stream_send(&f->caller->stream, SLICE("late")), -ENOTCONN);
	loop_settle(f->base);
	assert_int_equal(f->caller->closed, 0);
	net_stream_resume(&f->called->stream);
	loop_until(f->base, called_is_closed, f);
	assert_int_equal(f->called->got_len, LARGE);
	assert_int_equal(f->caller->closed, 1);
	free(bytes);
}

/* Streams that wait for their turn's end are forgotten with their protocol. */
static void a_protocol_ends_in_the_middle_of_a_turn(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	net_stream_send(&f->caller->stream, SLICE("never seen"));
	net_stream_pause(&f->called->stream);
	net_stream_resume(&f->called->stream);
	net_protocol_fini(&f->protocol);
	assert_int_equal(f->caller->err, -ESHUTDOWN);
	assert_int_equal(f->called->err, -ESHUTDOWN);
	loop_settle(f->base);
}

#define CASE(name)                                 \
	{                                          \
#name, name, setup, teardown, NULL \
	}
#define FRAMED_CASE(name)                                             \
	{                                                             \
#name " (framed)", name, setup_framed, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(messages_arrive),
	    FRAMED_CASE(messages_arrive),
	    CASE(a_name_is_looked_up),
	    CASE(who_cannot_connect_is_told_later),
	    CASE(no_more_than_max_streams_are_accepted),
	    CASE(what_was_borrowed_outlives_its_memory),
	    FRAMED_CASE(what_was_borrowed_outlives_its_memory),
	    CASE(what_is_kept_outlives_its_memory_within_the_turn),
	    FRAMED_CASE(what_is_kept_outlives_its_memory_within_the_turn),
	    CASE(the_urgent_overtake_between_messages),
	    FRAMED_CASE(the_urgent_overtake_between_messages),
	    CASE(a_message_may_end_when_all_of_it_has_left),
	    CASE(a_closed_stream_takes_no_mark),
	    CASE(who_sips_gets_all),
	    FRAMED_CASE(who_sips_gets_all),
	    CASE(the_frugal_read_little),
	    CASE(a_pause_loses_nothing),
	    FRAMED_CASE(a_pause_loses_nothing),
	    cmocka_unit_test_setup_teardown(a_pause_does_not_hold_what_is_written, setup_reluctant,
		teardown),
	    CASE(a_close_that_waits_loses_nothing),
	    FRAMED_CASE(a_close_that_waits_loses_nothing),
	    CASE(a_protocol_ends_in_the_middle_of_a_turn),
	    FRAMED_CASE(a_protocol_ends_in_the_middle_of_a_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
