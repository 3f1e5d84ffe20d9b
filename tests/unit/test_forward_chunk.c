/* Chunks of the relay's own: heads, ranges, responses, REPORTs.  RFC 4976 6.4.1, 6.4.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "loop.h"
#include "forward/chunk.h"
#include "relay/hop.h"
#include "relay_side.h"

struct fixture {
	struct relay_cast cast;
	struct msrp_frame frame;
	char text[2048];
	struct chunk *chunk;
};

static int setup(void **state)
{
	struct fixture *f = relay_fixture_new(sizeof(*f));

	relay_peer_open(&f->cast.bob, f->cast.side, "bob");
	*state = f;
	return 0;
}

/* The chunk that a SEND of alice's for bob becomes. */
static struct chunk *make(struct fixture *f, const char *headers, bool has_body)
{
	struct arrival a;
	struct hop hop;
	const char *phrase;

	snprintf(f->text, sizeof(f->text),
	    "MSRP abcd1234 SEND\r\nTo-Path: %s\r\nFrom-Path: %s\r\n%s%s",
	    relay_way_out(&f->cast.alice, &f->cast.bob), f->cast.alice.own, headers,
	    has_body ? "\r\n" : "-------abcd1234$\r\n");
	a = relay_arrive(&f->cast.alice, f->text, &f->frame);
	neighbors_learn(&grant_used(f->cast.alice.grant)->neighbors, slice_of(f->cast.bob.own),
	    f->cast.bob.conn);
	assert_int_equal(hop_find(&a, &hop, &phrase), 0);
	f->chunk = chunk_new(&a.relay->forwarder,
	    &(struct incoming){.conn = a.conn, .frame = &f->frame}, &hop);
	assert_non_null(f->chunk);
	return f->chunk;
}

/* What stands behind the paths. */
static struct slice headers_of(const struct chunk *chunk)
{
	return slice_from(chunk_text(chunk), chunk->headers_at);
}

static void assert_headers(const struct chunk *chunk, const char *expected)
{
	struct slice got = headers_of(chunk);

	if (!slice_equal(got, slice_of(expected)))
		fail_msg("%.*s", SLICE_ARG(got));
}

static void its_head(void **state)
{
	struct fixture *f = *state;
	struct chunk *chunk = make(f, "Message-ID: m1m1\r\nX: y\r\nContent-Type: a/b\r\n", true);
	char expected[512];

	snprintf(expected, sizeof(expected), "SEND\r\nTo-Path: %s\r\nFrom-Path: %s %s\r\n",
	    f->cast.bob.own, f->cast.alice.granted, f->cast.alice.own);
	/* The transaction id is put in when it is known. */
	assert_true(slice_equal(
	    slice_head(slice_from(chunk_text(chunk), 5 + MSRP_TID_LEN + 1), strlen(expected)),
	    slice_of(expected)));
	assert_headers(chunk, "Message-ID: m1m1\r\nX: y\r\nContent-Type: a/b\r\n\r\n");
	assert_int_equal(chunk_start(chunk, f->cast.bob.conn, NULL), 0);
	assert_memory_equal(chunk->text + 5, chunk->t.tid, MSRP_TID_LEN);
	chunk_free(chunk);
}

/* RFC 4975 7.1.1: what is longer than 2048 bytes is interruptible, and its range-end "*". */
static void its_range_end(void **state)
{
	static const struct {
		const char *given, *written;
	} cases[] = {
	    {"1-2048/2048", "1-2048/2048"},
	    {"1-2049/2049", "1-*/2049"},
	    {"5000-9000/*", "5000-*/*"},
	    {"1-*/*", "1-*/*"},
	    {"1-0/0", "1-0/0"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char given[200], expected[200];

		snprintf(given, sizeof(given),
		    "Message-ID: m1m1\r\nByte-Range: %s\r\nContent-Type: a/b\r\n", cases[i].given);
		snprintf(expected, sizeof(expected),
		    "Message-ID: m1m1\r\nByte-Range: %s\r\nContent-Type: a/b\r\n\r\n",
		    cases[i].written);
		make(f, given, true);
		assert_headers(f->chunk, expected);
		chunk_free(f->chunk);
	}
}

/* Wherever Byte-Range and Message-ID stand, and if there is no Byte-Range at all. */
static void it_goes_on(void **state)
{
	static const struct {
		const char *given, *next;
	} cases[] = {
	    {"Message-ID: m1m1\r\nByte-Range: 11-*/500\r\nContent-Type: a/b\r\n",
		"Message-ID: m1m1\r\nByte-Range: 111-*/500\r\nContent-Type: a/b\r\n\r\n"},
	    {"Byte-Range:   11-400/500  \r\nMessage-ID: m1m1\r\nContent-Type: a/b\r\n",
		"Byte-Range:   111-*/500\r\nMessage-ID: m1m1\r\nContent-Type: a/b\r\n\r\n"},
	    {"Message-ID: m1m1\r\nContent-Type: a/b\r\n",
		"Byte-Range: 101-*/*\r\nMessage-ID: m1m1\r\nContent-Type: a/b\r\n\r\n"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chunk *next, *third;

		make(f, cases[i].given, true)->sent = 100;
		next = chunk_continue(f->chunk);
		chunk_free(f->chunk);
		assert_non_null(next);
		assert_headers(next, cases[i].next);
		assert_true(slice_equal((struct slice){next->text + next->id_at, next->id_len},
		    SLICE("m1m1")));
		next->sent = 50;
		third = chunk_continue(next);
		assert_int_equal(third->start, next->start + 50);
		assert_true(slice_equal((struct slice){third->text + third->id_at, third->id_len},
		    SLICE("m1m1")));
		chunk_free(next);
		chunk_free(third);
	}
}

static void its_report(void **state)
{
	struct fixture *f = *state;
	char id[129], headers[300], expected[600];

	memset(id, 'i', sizeof(id));
	id[128] = '\0';
	snprintf(headers, sizeof(headers),
	    "Message-ID: %s\r\nByte-Range: 11-*/500\r\nContent-Type: a/b\r\n", id);
	make(f, headers, true)->sent = 20;
	chunk_report(f->chunk, 415, SLICE("Not that"));
	snprintf(expected, sizeof(expected),
	    " REPORT\r\nTo-Path: %s\r\nFrom-Path: %s\r\nMessage-ID: %s\r\nByte-Range: 11-30/500\r\n"
	    "Status: 000 415 Not that\r\n-------",
	    f->cast.alice.own, f->cast.alice.granted, id);
	relay_peer_expect(&f->cast.alice, expected);
	chunk_free(f->chunk);
}

/* Its total is known when all of it is here (RFC 4975 7.1.4). */
static void the_total_of_its_report(void **state)
{
	struct fixture *f = *state;

	make(f, "Message-ID: m1m1\r\nContent-Type: a/b\r\n", true)->sent = 20;
	chunk_report(f->chunk, 408, NOTHING);
	relay_peer_expect(&f->cast.alice, "Byte-Range: 1-20/*\r\nStatus: 000 408\r\n");
	f->chunk->complete = true;
	chunk_report(f->chunk, 408, NOTHING);
	relay_peer_expect(&f->cast.alice, "Byte-Range: 1-20/20\r\nStatus: 000 408\r\n");
	chunk_free(f->chunk);
}

/* --- Failure-Report, and what comes back: none, 200, 413, the end of the connection --- */

enum outcome { SILENCE, SUCCESS, FAILURE, LOST };

static void respond(struct fixture *f, unsigned code)
{
	char tid[MSRP_TID_LEN + 1];

	memcpy(tid, f->chunk->t.tid, sizeof(tid));
	relay_peer_say(&f->cast.bob,
	    "MSRP %s %u Word\r\nTo-Path: %s\r\nFrom-Path: %s\r\n-------%s$\r\n", tid, code,
	    f->cast.alice.granted, f->cast.bob.own, tid);
}

static bool no_chunk_is_left(void *arg)
{
	struct fixture *f = arg;

	return LIST_EMPTY(&f->cast.side->relay->forwarder.chunks);
}

static void send_and_see(struct fixture *f, const char *failure_report, enum outcome outcome)
{
	char headers[200];

	snprintf(headers, sizeof(headers), "Message-ID: m1m1\r\n%s%s%s",
	    failure_report ? "Failure-Report: " : "", failure_report ? failure_report : "",
	    failure_report ? "\r\n" : "");
	make(f, headers, false);
	assert_int_equal(chunk_start(f->chunk, f->cast.bob.conn, NULL), 0);
	f->chunk->complete = true;
	chunk_written(f->chunk);
	if (LIST_EMPTY(&f->cast.side->relay->forwarder.chunks))
		return;                       /* nobody waits */
	loop_settle(f->cast.side->msrp.base); /* its last byte has left */
	if (outcome == SUCCESS)
		respond(f, 200);
	else if (outcome == FAILURE)
		respond(f, 413);
	else if (outcome == LOST)
		msrp_conn_close(f->cast.bob.conn, -ECONNRESET);
	loop_until(f->cast.side->msrp.base, no_chunk_is_left, f);
}

static void what_comes_back(void **state)
{
	static const struct {
		const char *failure_report;
		enum outcome outcome;
		const char *status; /* of the REPORT; NULL: none */
	} cases[] = {
	    {NULL, SILENCE, "000 408\r\n"},
	    {NULL, SUCCESS, NULL},
	    {NULL, FAILURE, "000 413 Word\r\n"},
	    {"yes", FAILURE, "000 413 Word\r\n"},
	    {"partial", SILENCE, NULL},
	    {"partial", FAILURE, "000 413 Word\r\n"},
	    {"no", SILENCE, NULL},
	    {"no", FAILURE, NULL},
	    {"partial", LOST, NULL},
	    {NULL, LOST, "000 408\r\n"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		send_and_see(f, cases[i].failure_report, cases[i].outcome);
		if (cases[i].status)
			relay_peer_expect(&f->cast.alice, cases[i].status);
		else
			assert_false(relay_peer_got(&f->cast.alice, "REPORT"));
		if (cases[i].outcome == LOST) {
			relay_peer_close(&f->cast.bob);
			relay_peer_open(&f->cast.bob, f->cast.side, "again");
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, relay_fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(its_head),
	    TEST(its_range_end),
	    TEST(it_goes_on),
	    TEST(its_report),
	    TEST(the_total_of_its_report),
	    TEST(what_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
