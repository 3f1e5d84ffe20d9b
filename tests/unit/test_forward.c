/* SENDs on their way through: RFC 4976 6.4.1, and back-pressure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "loop.h"
#include "forward/forward.h"
#include "msrp/priv.h"
#include "relay_side.h"

/* The kernel doubles what a socket is given; half of a queue is more than two of them hold. */
enum {
	SOCKET_BUFFER = 64 << 10,
	QUEUE = 1 << 20,
	MANY = 64 << 20, /* more than is ever taken */
};

struct fixture {
	struct relay_cast cast;
};

static int setup(void **state)
{
	static const int size = SOCKET_BUFFER;
	struct fixture *f = relay_fixture_new(sizeof(*f));

	f->cast.side->msrp.settings.send_queue = QUEUE;
	relay_peer_open(&f->cast.bob, f->cast.side, "bob");
	setsockopt(f->cast.bob.raw.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(f->cast.bob.conn->stream.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	relay_client_open(&f->cast.carol, f->cast.side, "carol");
	relay_peer_knock(&f->cast.bob, &f->cast.alice);
	relay_peer_knock(&f->cast.carol, &f->cast.alice);
	*state = f;
	return 0;
}

/* Half a chunk of alice's for bob, of which the relay has passed on what has come. */
static void begin(struct fixture *f, const char *headers)
{
	relay_peer_head(&f->cast.alice, relay_way_out(&f->cast.alice, &f->cast.bob), "half1234",
	    headers);
	relay_peer_say(&f->cast.alice, "first half, ");
	relay_peer_expect(&f->cast.bob, "first half, ");
}

static void finish(struct fixture *f)
{
	relay_peer_say(&f->cast.alice, "second half\r\n-------half1234$\r\n");
}

static void nothing_is_left(struct fixture *f)
{
	loop_settle(f->cast.side->msrp.base);
	assert_true(LIST_EMPTY(&f->cast.side->relay->forwarder.forwards));
	assert_true(LIST_EMPTY(&f->cast.side->relay->forwarder.drains));
	if (f->cast.alice.grant && f->cast.alice.grant->use)
		assert_true(LIST_EMPTY(&f->cast.alice.grant->use->way.watches));
}

static void it_leaves_before_all_has_come(void **state)
{
	struct fixture *f = *state;
	struct grant *grant = f->cast.alice.grant;

	begin(f, "Byte-Range: 1-*/23\r\n");
	assert_false(relay_peer_got(&f->cast.alice, " 200 "));
	finish(f);
	relay_peer_expect(&f->cast.bob, "second half\r\n-------");
	relay_peer_expect(&f->cast.alice, "MSRP half1234 200 OK\r\n");
	nothing_is_left(f);
	assert_int_equal(grant->use->from_client.messages, 1);
	assert_int_equal(grant->use->from_client.bytes, 23);
	assert_int_equal(grant->use->to_client.messages, 2);
}

/* Whatever ends it half-way: its receiver is told by "#", its sender by a REPORT on what went. */
static void its_grant_ends(void **state)
{
	struct fixture *f = *state;

	begin(f, "Byte-Range: 1-*/23\r\n");
	grant_free(f->cast.alice.grant);
	f->cast.alice.grant = NULL;
	relay_peer_expect(&f->cast.bob, "#\r\n");
	relay_peer_expect(&f->cast.alice, "Byte-Range: 1-12/23\r\nStatus: 000 481\r\n");
	finish(f);
	relay_peer_expect(&f->cast.alice, "MSRP half1234 200 OK\r\n");
	nothing_is_left(f);
}

static void its_receiver_refuses_it(void **state)
{
	struct fixture *f = *state;
	struct chunk *chunk;

	begin(f, "");
	chunk = LIST_FIRST(&f->cast.side->relay->forwarder.chunks);
	relay_peer_say(&f->cast.bob,
	    "MSRP %s 413 Enough\r\nTo-Path: %s\r\nFrom-Path: %s\r\n-------%s$\r\n", chunk->t.tid,
	    f->cast.alice.granted, f->cast.bob.own, chunk->t.tid);
	relay_peer_expect(&f->cast.bob, "#\r\n");
	relay_peer_expect(&f->cast.alice, "Status: 000 413 Enough\r\n");
	finish(f);
	relay_peer_expect(&f->cast.alice, "MSRP half1234 200 OK\r\n");
	nothing_is_left(f);
	assert_true(LIST_EMPTY(&f->cast.side->relay->forwarder.chunks));
}

static void an_early_success_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct chunk *chunk;

	begin(f, "");
	chunk = LIST_FIRST(&f->cast.side->relay->forwarder.chunks);
	relay_peer_say(&f->cast.bob,
	    "MSRP %s 200 OK\r\nTo-Path: %s\r\nFrom-Path: %s\r\n-------%s$\r\n", chunk->t.tid,
	    f->cast.alice.granted, f->cast.bob.own, chunk->t.tid);
	loop_settle(f->cast.side->msrp.base);
	finish(f);
	relay_peer_expect(&f->cast.bob, "second half\r\n-------");
	assert_false(relay_peer_got(&f->cast.alice, "REPORT"));
	nothing_is_left(f);
}

static void its_receiver_goes(void **state)
{
	struct fixture *f = *state;

	begin(f, "");
	msrp_conn_close(f->cast.bob.conn, -ECONNRESET);
	relay_peer_expect(&f->cast.alice, "Status: 000 408\r\n");
	finish(f);
	relay_peer_expect(&f->cast.alice, "MSRP half1234 200 OK\r\n");
	nothing_is_left(f);
}

static void its_sender_goes(void **state)
{
	struct fixture *f = *state;

	begin(f, "");
	msrp_conn_close(f->cast.alice.conn, -ECONNRESET); /* and the grant with it */
	f->cast.alice.grant = NULL;
	relay_peer_expect(&f->cast.bob, "#\r\n");
	nothing_is_left(f);
	assert_int_equal(grants_count(f->cast.side->relay->grants), 1); /* carol's */
}

static void the_relay_goes(void **state)
{
	struct fixture *f = *state;

	begin(f, "");
	relay_service.stop(f->cast.side->relay);
	f->cast.side->relay = NULL;
	relay_peer_expect(&f->cast.bob, "#\r\n");
}

/* RFC 4975 7.1.2: another message interrupts it. */
static void another_message_comes_between(void **state)
{
	struct fixture *f = *state;

	relay_peer_knock(&f->cast.bob, &f->cast.carol);
	begin(f, "Byte-Range: 1-*/23\r\n");
	relay_peer_send(&f->cast.carol, relay_way_out(&f->cast.carol, &f->cast.bob), "carol123", "",
	    "aside");
	relay_peer_expect(&f->cast.bob, "+\r\n");
	relay_peer_expect(&f->cast.bob, "aside\r\n-------");
	finish(f);
	relay_peer_expect(&f->cast.bob, "Byte-Range: 13-*/23\r\n");
	relay_peer_expect(&f->cast.bob, "second half\r\n-------");
	assert_int_equal(*f->cast.side->relay->forwarder.count.split, 1);
	nothing_is_left(f);
}

/* --- a connection that several write on --- */

/* Carol and alice both write to bob: their chunks are held back from now on. */
static void share(struct fixture *f)
{
	relay_peer_knock(&f->cast.bob, &f->cast.carol);
	begin(f, "");
	relay_peer_send(&f->cast.carol, relay_way_out(&f->cast.carol, &f->cast.bob), "shar1234", "",
	    "shared");
	relay_peer_expect(&f->cast.bob, "shared\r\n-------");
	finish(f);
	relay_peer_expect(&f->cast.bob, "second half\r\n-------");
}

static bool is_held(void *arg)
{
	struct fixture *f = arg;
	struct forward *forward = LIST_FIRST(&f->cast.side->relay->forwarder.forwards);

	return forward && forward->hold.len == sizeof("first half, ") - 1;
}

/* The first part of a chunk of alice's for bob, of which nothing is passed on. */
static void begin_held(struct fixture *f, const char *tid)
{
	relay_peer_head(&f->cast.alice, relay_way_out(&f->cast.alice, &f->cast.bob), tid,
	    "Byte-Range: 1-*/23\r\n");
	relay_peer_say(&f->cast.alice, "first ");
	relay_peer_say(&f->cast.alice, "half, ");
	loop_until(f->cast.side->msrp.base, is_held, f);
	loop_settle(f->cast.side->msrp.base);
	assert_false(relay_peer_got(&f->cast.bob, "first"));
	assert_true(f->cast.side->relay->forwarder.held >= sizeof("first half, ") - 1);
}

static void nothing_is_held(struct fixture *f)
{
	nothing_is_left(f);
	assert_int_equal(f->cast.side->relay->forwarder.held, 0);
}

static void chunks_of_several_are_not_split(void **state)
{
	struct fixture *f = *state;
	uint64_t *split = f->cast.side->relay->forwarder.count.split, before;

	share(f);
	before = *split;
	begin_held(f, "alice234");
	relay_peer_send(&f->cast.carol, relay_way_out(&f->cast.carol, &f->cast.bob), "carol234", "",
	    "aside");
	relay_peer_expect(&f->cast.bob, "aside\r\n-------");
	relay_peer_say(&f->cast.alice, "second half\r\n-------alice234$\r\n");
	relay_peer_expect(&f->cast.bob, "Byte-Range: 1-*/23\r\n");
	relay_peer_expect(&f->cast.bob, "\r\n\r\nfirst half, second half\r\n-------");
	relay_peer_expect(&f->cast.alice, "MSRP alice234 200 OK\r\n");
	assert_int_equal(*split, before);
	nothing_is_held(f);
}

/* What interrupts nobody goes on as it comes: here the rest of a chunk that is too long. */
static void a_long_chunk_is_not_held(void **state)
{
	struct fixture *f = *state;
	static char bytes[HOLD_MAX];

	memset(bytes, 'x', sizeof(bytes));
	share(f);
	begin_held(f, "alice234");
	msrp_peer_say(&f->cast.alice.raw, bytes, sizeof(bytes));
	relay_peer_expect(&f->cast.bob, "first half, xxx");
	assert_int_equal(f->cast.side->relay->forwarder.held, 0);
	relay_peer_say(&f->cast.alice, "the rest");
	relay_peer_expect(&f->cast.bob, "the rest");
	relay_peer_say(&f->cast.alice, "\r\n-------alice234+\r\n");
	relay_peer_expect(&f->cast.bob, "+\r\n");
	nothing_is_held(f);
}

/* Also not where no memory is left for that. */
static void nothing_is_held_without_memory(void **state)
{
	struct fixture *f = *state;
	struct forwarder *fw = &f->cast.side->relay->forwarder;

	share(f);
	fw->held = HOLDS_MAX;
	begin(f, "");
	finish(f);
	relay_peer_expect(&f->cast.bob, "second half\r\n-------");
	fw->held = 0;
	nothing_is_held(f);
}

static void the_sender_of_what_is_held_goes(void **state)
{
	struct fixture *f = *state;

	share(f);
	begin_held(f, "alice234");
	relay_peer_close(&f->cast.alice);
	f->cast.alice.grant = NULL;
	relay_peer_expect(&f->cast.bob, "#\r\n");
	nothing_is_held(f);
}

static void the_receiver_of_what_is_held_goes(void **state)
{
	struct fixture *f = *state;

	share(f);
	begin_held(f, "alice234");
	msrp_conn_close(f->cast.bob.conn, -ETIMEDOUT);
	relay_peer_expect(&f->cast.alice, "Status: 000 408\r\n");
	relay_peer_say(&f->cast.alice, "second half\r\n-------alice234$\r\n");
	relay_peer_expect(&f->cast.alice, "MSRP alice234 200 OK\r\n");
	nothing_is_held(f);
}

/* After that many that nobody interrupted it is one's own again. */
static void it_is_forgotten_that_others_wrote(void **state)
{
	enum { ENOUGH = 64 };
	struct fixture *f = *state;

	share(f);
	for (int i = 0; i < ENOUGH; i++) {
		relay_peer_send(&f->cast.alice, relay_way_out(&f->cast.alice, &f->cast.bob),
		    "alone123", "", "alone");
		relay_peer_expect(&f->cast.bob, "alone\r\n-------");
	}
	begin(f, "");
	finish(f);
	relay_peer_expect(&f->cast.bob, "second half\r\n-------");
	nothing_is_held(f);
}

/* --- back-pressure --- */

/* A chunk for one that reads nothing, until no more of it is taken. @return bytes that were */
static size_t fill(struct fixture *f, const struct relay_peer *to, const char *tid)
{
	static char bytes[1 << 16];
	size_t taken = 0, quiet = 0;

	memset(bytes, 'x', sizeof(bytes));
	relay_peer_head(&f->cast.alice, relay_way_out(&f->cast.alice, to), tid, "");
	while (taken < MANY && quiet < 20) {
		size_t n = msrp_peer_try(&f->cast.alice.raw, bytes, sizeof(bytes));

		taken += n;
		quiet = n ? 0 : quiet + 1;
		event_base_loop(f->cast.side->msrp.base, EVLOOP_NONBLOCK);
	}
	assert_true(taken < MANY);
	return taken;
}

static bool is_drained(void *arg)
{
	struct fixture *f = arg;

	msrp_peer_read(&f->cast.bob.raw);
	return msrp_conn_backlog(f->cast.bob.conn) == 0;
}

static void a_full_receiver_pauses_the_sender(void **state)
{
	struct fixture *f = *state;
	size_t taken = fill(f, &f->cast.bob, "fill1234");

	/* The sockets hold some, the relay no more than send_queue and what was read at once. */
	assert_true(msrp_conn_backlog(f->cast.bob.conn) < QUEUE + 512 * 1024);
	assert_true(taken > QUEUE);
	/* One that feeds nobody else waits for ever. */
	assert_false(relay_peer_got(&f->cast.alice, "REPORT"));
	msrp_peer_expect_bytes(&f->cast.bob.raw, taken);
	relay_peer_say(&f->cast.alice, "\r\n-------fill1234$\r\n");
	relay_peer_expect(&f->cast.alice, "MSRP fill1234 200 OK\r\n");
	nothing_is_left(f);
}

static void who_feeds_others_waits_for_shared_stall(void **state)
{
	struct fixture *f = *state;

	relay_peer_send(&f->cast.alice, relay_way_out(&f->cast.alice, &f->cast.carol), "carol123",
	    "", "to carol");
	relay_peer_expect(&f->cast.carol, "to carol");
	fill(f, &f->cast.bob, "fill1234");
	relay_peer_expect(&f->cast.alice, "Status: 000 408\r\n");
	/* The rest of it is read and thrown away, and others are served. */
	relay_peer_say(&f->cast.alice, "\r\n-------fill1234$\r\n");
	relay_peer_send(&f->cast.alice, relay_way_out(&f->cast.alice, &f->cast.carol), "carol234",
	    "", "again");
	relay_peer_expect(&f->cast.carol, "again");
	/* Until half of its queue has left, further ones are refused. */
	relay_peer_send(&f->cast.alice, relay_way_out(&f->cast.alice, &f->cast.bob), "bob12345", "",
	    "too early");
	relay_peer_expect(&f->cast.alice, "MSRP bob12345 408 ");
	loop_until(f->cast.side->msrp.base, is_drained, f);
	relay_peer_send(&f->cast.alice, relay_way_out(&f->cast.alice, &f->cast.bob), "bob23456", "",
	    "in time");
	relay_peer_expect(&f->cast.bob, "in time");
	nothing_is_left(f);
}

static void a_full_receiver_goes(void **state)
{
	struct fixture *f = *state;

	fill(f, &f->cast.bob, "fill1234");
	msrp_conn_close(f->cast.bob.conn, -ETIMEDOUT);
	relay_peer_expect(&f->cast.alice, "Status: 000 408\r\n");
	relay_peer_say(&f->cast.alice, "\r\n-------fill1234$\r\n");
	relay_peer_expect(&f->cast.alice, "MSRP fill1234 200 OK\r\n");
	nothing_is_left(f);
}

static void the_sender_of_a_full_receiver_goes(void **state)
{
	struct fixture *f = *state;

	fill(f, &f->cast.bob, "fill1234");
	msrp_conn_close(f->cast.alice.conn, -ECONNRESET);
	f->cast.alice.grant = NULL;
	nothing_is_left(f);
}

/* --- a way that leads to nobody yet --- */

struct gate {
	struct msrp_target target;
	struct way way;
	struct fixture *f;
	struct msrp_conn *conn; /* NULL: to be opened */
	bool whole;             /* requests count as here as a whole */
};

static int on_gate_request(struct msrp_target *target, struct msrp_conn *conn,
    const struct msrp_frame *frame)
{
	struct gate *gate = OWNER(struct gate, target, target);
	const struct incoming in = {.conn = conn, .frame = frame, .whole = gate->whole};
	const struct hop hop = {
	    .conn = gate->conn,
	    .to_path = SLICE("msrp://127.0.0.1:9/there;tcp"),
	    .from_path = gate->target.uri,
	    .way = &gate->way,
	};
	const char *phrase;
	int code = forward_send(&gate->f->cast.side->relay->forwarder, &in, &hop, &phrase);

	if (code <= 0)
		return code;
	msrp_conn_reply(conn, code, slice_of(phrase), NOTHING);
	return 0;
}

static const struct msrp_target_ops gate_ops = {.request = on_gate_request};

static void gate_bind(struct gate *gate, struct fixture *f)
{
	*gate =
	    (struct gate){.target = {.ops = &gate_ops, .uri = SLICE("msrp://127.0.0.1:1/gate;tcp")},
		.f = f};
	assert_int_equal(msrp_target_bind(f->cast.side->msrp.stack, &gate->target), 0);
}

static void gate_set_up(struct gate *gate, struct fixture *f)
{
	gate_bind(gate, f);
	relay_peer_send(&f->cast.alice, "msrp://127.0.0.1:1/gate;tcp", "first123", "", "first");
	relay_peer_send(&f->cast.alice, "msrp://127.0.0.1:1/gate;tcp", "second12", "", "second");
	loop_settle(f->cast.side->msrp.base);
	assert_false(relay_peer_got(&f->cast.alice, "123 200 OK"));
	assert_false(LIST_EMPTY(&gate->way.watches));
}

static void gate_close(struct gate *gate)
{
	msrp_target_unbind(gate->f->cast.side->msrp.stack, &gate->target);
	nothing_is_left(gate->f);
	assert_true(LIST_EMPTY(&gate->way.watches));
}

/* What comes before somebody is there waits in its sender's connection, and so does all after it. */
static void it_waits_until_its_way_is_open(void **state)
{
	struct fixture *f = *state;
	struct gate gate;

	gate_set_up(&gate, f);
	assert_null(LIST_NEXT(LIST_FIRST(&gate.way.watches), entry)); /* the second was not read */
	gate.conn = f->cast.bob.conn;
	way_open(&gate.way, gate.conn, SLICE("msrp://127.0.0.1:9/there;tcp"));
	relay_peer_expect(&f->cast.bob, "To-Path: msrp://127.0.0.1:9/there;tcp\r\n");
	relay_peer_expect(&f->cast.bob, "first\r\n-------");
	relay_peer_expect(&f->cast.bob, "second\r\n-------");
	relay_peer_expect(&f->cast.alice, "MSRP second12 200 OK\r\n");
	gate_close(&gate);
}

/* RFC 4975 7.1.1: what says where it ends waits until it is whole, once its way is open as well. */
static void what_is_not_cut_waits_on_behind_its_way(void **state)
{
	struct fixture *f = *state;
	struct gate gate;

	gate_bind(&gate, f);
	relay_peer_head(&f->cast.alice, "msrp://127.0.0.1:1/gate;tcp", "first123",
	    "Byte-Range: 1-23/23\r\n");
	relay_peer_say(&f->cast.alice, "first half, ");
	loop_settle(f->cast.side->msrp.base);
	gate.conn = f->cast.bob.conn;
	way_open(&gate.way, gate.conn, SLICE("msrp://127.0.0.1:9/there;tcp"));
	loop_settle(f->cast.side->msrp.base);
	assert_false(relay_peer_got(&f->cast.bob, "SEND"));
	relay_peer_say(&f->cast.alice, "second half\r\n-------first123$\r\n");
	relay_peer_expect(&f->cast.bob, "Byte-Range: 1-23/23\r\n");
	relay_peer_expect(&f->cast.bob, "first half, second half\r\n-------");
	relay_peer_expect(&f->cast.alice, "MSRP first123 200 OK\r\n");
	gate_close(&gate);
}

/* Shorter, longer, and too long for the room that a chunk has of itself. */
static void its_way_opens_to_another_path(void **state)
{
	static char path[2 * CHUNK_TEXT_INLINE];
	static const size_t lengths[] = {12, 40, sizeof(path)};
	struct fixture *f = *state;

	memset(path, 'p', sizeof(path));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct slice to = {path, lengths[i]};
		struct chunk *chunk;
		struct gate gate;
		char *line;

		gate_bind(&gate, f);
		relay_peer_send(&f->cast.alice, "msrp://127.0.0.1:1/gate;tcp", "first123", "",
		    "first");
		loop_settle(f->cast.side->msrp.base);
		way_open(&gate.way, f->cast.bob.conn, to);
		assert_true(asprintf(&line, "To-Path: %.*s\r\nFrom-Path: ", SLICE_ARG(to)) > 0);
		relay_peer_expect(&f->cast.bob, line);
		free(line);
		relay_peer_expect(&f->cast.bob, "first\r\n-------");
		relay_peer_expect(&f->cast.alice, "MSRP first123 200 OK\r\n");
		chunk = LIST_FIRST(&f->cast.side->relay->forwarder.chunks);
		relay_peer_say(&f->cast.bob,
		    "MSRP %s 415 No\r\nTo-Path: %s\r\nFrom-Path: %s\r\n-------%s$\r\n",
		    chunk->t.tid, f->cast.alice.granted, f->cast.bob.own, chunk->t.tid);
		relay_peer_expect(&f->cast.alice, "From-Path: msrp://127.0.0.1:1/gate;tcp\r\n");
		relay_peer_expect(&f->cast.alice, "Message-ID: first123\r\n");
		relay_peer_expect(&f->cast.alice, "Status: 000 415 No\r\n");
		gate_close(&gate);
	}
}

static void its_way_ends_before_it_is_open(void **state)
{
	struct fixture *f = *state;
	struct gate gate;

	gate_set_up(&gate, f);
	way_end(&gate.way);
	relay_peer_expect(&f->cast.alice, "Status: 000 481\r\n");
	relay_peer_expect(&f->cast.alice, "MSRP first123 200 OK\r\n");
	msrp_conn_close(f->cast.alice.conn, -ECONNRESET); /* with the second that waits */
	f->cast.alice.grant = NULL;
	gate_close(&gate);
}

static void its_sender_goes_before_the_way_is_open(void **state)
{
	struct fixture *f = *state;
	struct gate gate;

	gate_set_up(&gate, f);
	msrp_conn_close(f->cast.alice.conn, -ECONNRESET);
	f->cast.alice.grant = NULL;
	gate_close(&gate);
}

/* Its sender cannot be made to wait any more. */
static void what_is_here_as_a_whole_does_not_wait(void **state)
{
	struct fixture *f = *state;
	struct gate gate;

	gate_bind(&gate, f);
	gate.whole = true;
	relay_peer_send(&f->cast.alice, "msrp://127.0.0.1:1/gate;tcp", "whole123", "", "whole");
	relay_peer_expect(&f->cast.alice, "MSRP whole123 408 Not connected\r\n");
	gate_close(&gate);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, relay_fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(it_leaves_before_all_has_come),
	    TEST(its_grant_ends),
	    TEST(its_receiver_refuses_it),
	    TEST(an_early_success_changes_nothing),
	    TEST(its_receiver_goes),
	    TEST(its_sender_goes),
	    TEST(the_relay_goes),
	    TEST(another_message_comes_between),
	    TEST(chunks_of_several_are_not_split),
	    TEST(a_long_chunk_is_not_held),
	    TEST(nothing_is_held_without_memory),
	    TEST(the_sender_of_what_is_held_goes),
	    TEST(the_receiver_of_what_is_held_goes),
	    TEST(it_is_forgotten_that_others_wrote),
	    TEST(a_full_receiver_pauses_the_sender),
	    TEST(who_feeds_others_waits_for_shared_stall),
	    TEST(a_full_receiver_goes),
	    TEST(the_sender_of_a_full_receiver_goes),
	    TEST(it_waits_until_its_way_is_open),
	    TEST(what_is_not_cut_waits_on_behind_its_way),
	    TEST(its_way_opens_to_another_path),
	    TEST(its_way_ends_before_it_is_open),
	    TEST(its_sender_goes_before_the_way_is_open),
	    TEST(what_is_here_as_a_whole_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
