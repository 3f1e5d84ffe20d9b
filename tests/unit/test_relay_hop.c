/* Who may pass, and by which connection: RFC 4976 6.4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "relay/hop.h"
#include "relay_side.h"

struct fixture {
	struct relay_cast cast;
	struct msrp_frame frame;
	struct arrival arrival;
	char text[1024], paths[512];
};

static int setup(void **state)
{
	struct fixture *f = relay_fixture_new(sizeof(*f));

	relay_client_open(&f->cast.bob, f->cast.side, "bob");
	relay_peer_open(&f->cast.carol, f->cast.side, "carol");
	*state = f;
	return 0;
}

/* A frame from somebody, and where it goes.  @return what hop_find() says */
static int find(struct fixture *f, const struct relay_peer *from, const char *to_path,
    struct hop *hop, const char **phrase)
{
	snprintf(f->text, sizeof(f->text),
	    "MSRP abcd1234 SEND\r\nTo-Path: %s\r\nFrom-Path: %s\r\nMessage-ID: m1m1\r\n"
	    "-------abcd1234$\r\n",
	    to_path, from->own);
	f->arrival = relay_arrive(from, f->text, &f->frame);
	*phrase = NULL;
	return hop_find(&f->arrival, hop, phrase);
}

static const char *path(struct fixture *f, const char *a, const char *b, const char *c)
{
	snprintf(f->paths, sizeof(f->paths), "%s%s%s%s%s", a, b ? " " : "", b ? b : "",
	    c ? " " : "", c ? c : "");
	return f->paths;
}

static void who_may_pass(void **state)
{
	struct fixture *f = *state;
	const char *alice = f->cast.alice.granted, *bob = f->cast.bob.granted,
		   *far = "msrp://127.0.0.1:1/x;tcp";
	const struct {
		const struct relay_peer *from;
		const char *to[3];
		int code;
		const struct relay_peer *next; /* NULL: a connection of its own */
	} cases[] = {
	    {&f->cast.alice, {alice, far}, 0, NULL},
	    {&f->cast.carol, {alice, f->cast.alice.own}, 0, &f->cast.alice},
	    {&f->cast.bob, {alice, f->cast.alice.own}, 0, &f->cast.alice},
	    /* a foreign grant leads to its client alone */
	    {&f->cast.carol, {alice, far}, 403, NULL},
	    {&f->cast.bob, {alice, far}, 403, NULL},
	    {&f->cast.carol, {alice, f->cast.bob.own}, 0,
		&f->cast.alice}, /* of the same host and port */
	    /* through two grants of one relay, and no third */
	    {&f->cast.alice, {alice, bob, f->cast.bob.own}, 0, &f->cast.bob},
	    {&f->cast.alice, {alice, bob, far}, 403, NULL},
	    {&f->cast.carol, {bob, alice, f->cast.alice.own}, 403, NULL},
	    {&f->cast.alice, {alice, alice, f->cast.alice.own}, 0, &f->cast.alice},
	    /* ends */
	    {&f->cast.alice, {alice}, 481, NULL},
	    {&f->cast.carol, {alice}, 481, NULL},
	    {&f->cast.alice, {alice, bob}, 481, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *phrase, *to = path(f, cases[i].to[0], cases[i].to[1], cases[i].to[2]);
		struct hop hop;
		int code = find(f, cases[i].from, to, &hop, &phrase);

		if (code != cases[i].code)
			fail_msg("%d %s: %s", code, phrase, to);
		if (code)
			assert_non_null(phrase);
		else if (cases[i].next)
			assert_ptr_equal(hop.conn, cases[i].next->conn);
		else
			assert_false(msrp_conn_accepted(hop.conn));
	}
}

static void a_session_of_the_relay_that_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct hop hop;
	const char *phrase;
	char gone[128];

	snprintf(gone, sizeof(gone), "msrp://127.0.0.1:%u/gone;tcp", f->cast.side->msrp.port);
	assert_int_equal(find(f, &f->cast.alice,
			     path(f, f->cast.alice.granted, gone, f->cast.bob.own), &hop, &phrase),
	    481);
}

static void paths_are_moved_on(void **state)
{
	struct fixture *f = *state;
	struct hop hop;
	const char *phrase;
	char text[1024], expected[1024];
	struct buffer w = BUFFER_ON(text);

	assert_int_equal(find(f, &f->cast.alice,
			     path(f, f->cast.alice.granted, f->cast.bob.granted, f->cast.bob.own),
			     &hop, &phrase),
	    0);
	hop_write_paths(&w, &hop, f->arrival.frame);
	snprintf(expected, sizeof(expected), "To-Path: %s\r\nFrom-Path: %s %s %s\r\n",
	    f->cast.bob.own, f->cast.bob.granted, f->cast.alice.granted, f->cast.alice.own);
	assert_true(slice_equal(buffer_text(&w), slice_of(expected)));
	assert_true(w.len <= hop_paths_size(&hop, f->arrival.frame));
	/* towards bob, by whose grant it passes last */
	assert_ptr_equal(hop.traffic, &f->cast.bob.grant->use->to_client);
}

static void answers_go_where_frames_came_from(void **state)
{
	struct fixture *f = *state;
	struct hop hop;
	const char *phrase;

	assert_int_equal(find(f, &f->cast.carol, relay_way_in(&f->cast.alice), &hop, &phrase), 0);
	assert_int_equal(
	    find(f, &f->cast.alice, relay_way_out(&f->cast.alice, &f->cast.carol), &hop, &phrase),
	    0);
	assert_ptr_equal(hop.conn, f->cast.carol.conn);
	assert_ptr_equal(hop.traffic, &f->cast.alice.grant->use->from_client);
}

/* A stranger that writes as the client, or as a grant of this relay, is not found there. */
static void nobody_takes_the_place_of_others(void **state)
{
	struct fixture *f = *state;
	struct relay_peer liar = f->cast.carol;
	struct hop hop;
	const char *phrase;

	snprintf(liar.own, sizeof(liar.own), "%s", f->cast.bob.granted);
	assert_int_equal(find(f, &liar, relay_way_in(&f->cast.alice), &hop, &phrase), 0);
	assert_int_equal(find(f, &f->cast.alice,
			     path(f, f->cast.alice.granted, f->cast.bob.granted, f->cast.bob.own),
			     &hop, &phrase),
	    0);
	assert_ptr_equal(hop.conn, f->cast.bob.conn);
	assert_true(LIST_EMPTY(&f->cast.alice.grant->use->neighbors));
}

static void no_connect_uses_what_is_open(void **state)
{
	struct fixture *f = *state;
	const char *phrase, *far = "msrp://127.0.0.1:1/x;tcp";
	struct hop hop;

	find(f, &f->cast.carol, relay_way_in(&f->cast.alice), &hop, &phrase);
	f->arrival.conn = f->cast.alice.conn;
	f->arrival.no_connect = true;
	snprintf(f->text, sizeof(f->text),
	    "MSRP abcd1234 SEND\r\nTo-Path: %s %s\r\nFrom-Path: %s\r\nMessage-ID: m1m1\r\n"
	    "-------abcd1234$\r\n",
	    f->cast.alice.granted, far, f->cast.alice.own);
	assert_true(msrp_frame_parse(&f->frame, slice_of(f->text), sizeof(f->text)) > 0);
	assert_int_equal(hop_find(&f->arrival, &hop, &phrase), 481);
}

/* RFC 4976 6.3: given to an identity that shows itself by TLS, with a client's URI without it. */
static void no_plain_connection_for_an_identity(void **state)
{
	struct fixture *f = *state;
	struct grant_terms terms = {
	    .host = {.host = SLICE("127.0.0.1"),
		.port = f->cast.side->msrp.port,
		.transport = SLICE("tcp")},
	    .from_path = SLICE("msrp://127.0.0.1:9/passive;tcp"),
	    .lifetime_ms = 60000,
	};
	struct hop hop;
	const char *phrase;
	char to[300];

	assert_int_equal(grant_new(&f->cast.alice.grant, f->cast.side->relay->grants, &terms), 0);
	snprintf(to, sizeof(to), "%.*s %.*s", SLICE_ARG(grant_uri(f->cast.alice.grant)),
	    SLICE_ARG(terms.from_path));
	assert_int_equal(find(f, &f->cast.carol, to, &hop, &phrase), 481);
	/* Nor is who has no certificate the client, wherever it was heard last. */
	assert_false(grant_is_from_client(f->cast.alice.grant, f->cast.carol.conn));
	grant_heard(f->cast.alice.grant, f->cast.bob.conn);
	assert_int_equal(find(f, &f->cast.carol, to, &hop, &phrase), 0);
	assert_ptr_equal(hop.conn, f->cast.bob.conn);
	msrp_conn_close(f->cast.bob.conn, -ECONNRESET);
	assert_int_equal(find(f, &f->cast.carol, to, &hop, &phrase), 481);
}

static void by_paths_of_a_rule(void **state)
{
	struct fixture *f = *state;
	const char *phrase;
	char text[512];
	struct buffer w = BUFFER_ON(text);
	struct hop hop;

	find(f, &f->cast.carol, relay_way_in(&f->cast.alice), &hop, &phrase);
	f->arrival.grant = NULL;
	f->arrival.verdict = VERDICT_FORWARD;
	f->arrival.to_path = SLICE("msrp://127.0.0.1:1/there;tcp");
	f->arrival.from_path = SLICE("msrp://127.0.0.1:2/here;tcp");
	assert_int_equal(hop_find(&f->arrival, &hop, &phrase), 0);
	assert_null(hop.way);
	hop_write_paths(&w, &hop, f->arrival.frame);
	assert_true(slice_equal(buffer_text(&w),
	    SLICE(
		"To-Path: msrp://127.0.0.1:1/there;tcp\r\nFrom-Path: msrp://127.0.0.1:2/here;tcp\r\n")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, relay_fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(who_may_pass),
	    TEST(a_session_of_the_relay_that_is_not_there),
	    TEST(paths_are_moved_on),
	    TEST(answers_go_where_frames_came_from),
	    TEST(nobody_takes_the_place_of_others),
	    TEST(no_connect_uses_what_is_open),
	    TEST(no_plain_connection_for_an_identity),
	    TEST(by_paths_of_a_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
