/* What a relay passes on while the n-th allocation fails, for each n. */
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
#include "relay_side.h"

enum {
	ALLOCATIONS_MAX = 400, /* more than the frames below make */
	LONG = 3000,           /* more than a chunk or a frame keeps in place */
};

struct fixture {
	struct relay_side *side;
	struct relay_peer alice, bob;
	char *text; /* the frames */
};

/* As far as it goes: its connection may be closed by now, for want of memory. */
static void send_now(struct relay_peer *from, const char *text)
{
	msrp_peer_try(&from->raw, text, strlen(text));
	loop_settle(from->side->msrp.base);
}

/* SENDs of all kinds, a REPORT and a NICKNAME of alice's for bob, and what bob says to some. */
static void run(struct fixture *f)
{
	const char *out = relay_way_out(&f->alice, &f->bob);
	char long_header[LONG];

	memset(long_header, 'x', sizeof(long_header) - 1);
	long_header[sizeof(long_header) - 1] = '\0';
	sprintf(f->text,
	    "MSRP send1234 SEND\r\nTo-Path: %s\r\nFrom-Path: %s\r\nMessage-ID: m1m1\r\n"
	    "Content-Type: a/b\r\n\r\nshort\r\n-------send1234$\r\n"
	    "MSRP send2345 SEND\r\nTo-Path: %s\r\nFrom-Path: %s\r\nMessage-ID: m2m2\r\n"
	    "X: %s\r\nContent-Type: a/b\r\n\r\nshort\r\n-------send2345$\r\n",
	    out, f->alice.own, out, f->alice.own, long_header);
	send_now(&f->alice, f->text);
	sprintf(f->text,
	    "MSRP nick1234 NICKNAME\r\nTo-Path: %s\r\nFrom-Path: %s\r\nX: %s\r\n-------nick1234$\r\n"
	    "MSRP foo12345 FOO\r\nTo-Path: %s\r\nFrom-Path: %s\r\nContent-Type: a/b\r\n\r\n%s\r\n"
	    "-------foo12345$\r\n"
	    "MSRP report12 REPORT\r\nTo-Path: %s\r\nFrom-Path: %s\r\nMessage-ID: m1m1\r\n"
	    "Status: 000 200\r\n-------report12$\r\n",
	    out, f->alice.own, long_header, out, f->alice.own, long_header, out, f->alice.own);
	send_now(&f->alice, f->text);
	/* One that is under way when everything ends. */
	sprintf(f->text,
	    "MSRP half1234 SEND\r\nTo-Path: %s\r\nFrom-Path: %s\r\nMessage-ID: m3m3\r\n"
	    "Content-Type: a/b\r\n\r\nhalf",
	    out, f->alice.own);
	send_now(&f->alice, f->text);
}

/* A second client, by AUTH and grant. */
static void grant(struct fixture *f)
{
	struct grant_terms terms = {
	    .host = {.host = SLICE("127.0.0.1"),
		.port = f->side->msrp.port,
		.transport = SLICE("tcp")},
	    .from_path = slice_of(f->bob.own),
	    .lifetime_ms = 60000,
	    .conn = f->bob.conn,
	};
	struct grant *made;
	int err;

	if (msrp_conn_closed(f->bob.conn))
		return;
	err = grant_new(&made, f->side->relay->grants, &terms);
	assert_true(err == 0 || err == -ENOMEM);
}

static bool pass(unsigned n)
{
	struct fixture f = {.text = malloc(8 * LONG)};
	void *side;
	bool failed;

	relay_side_setup(&side);
	f.side = side;
	relay_client_open(&f.alice, f.side, "alice");
	relay_peer_open(&f.bob, f.side, "bob");
	relay_peer_knock(&f.bob, &f.alice);
	/* A peer may be closed for want of memory: whoever looks at it keeps it. */
	msrp_conn_ref(f.alice.conn);
	msrp_conn_ref(f.bob.conn);
	memory_fail_at(n);
	run(&f);
	grant(&f);
	failed = memory_has_failed();
	memory_fail_at(0);
	loop_settle(f.side->msrp.base);
	msrp_conn_unref(f.alice.conn);
	msrp_conn_unref(f.bob.conn);
	relay_peer_close(&f.alice);
	relay_peer_close(&f.bob);
	relay_side_teardown(&side);
	free(f.text);
	return !failed;
}

static void frames_survive(void **state)
{
	unsigned n = 1;

	(void)state;
	while (!pass(n) && n < ALLOCATIONS_MAX)
		n++;
	assert_in_range(n, 10,
	    ALLOCATIONS_MAX - 1); /* some of it allocated, and all of it passed */
}

/* No relay is made by halves. */
static void its_start_survives(void **state)
{
	unsigned n = 1;

	(void)state;
	for (bool failed = true; failed && n < ALLOCATIONS_MAX; n++) {
		struct relay_side side;
		struct service_env env = {.routes = &side.routes};
		struct reason why;
		void *relay = NULL;
		int err;

		relay_side_init(&side);
		msrp_side_start(&side.msrp);
		env.base = side.msrp.base;
		env.stats = side.msrp.stats;
		env.msrp = side.msrp.stack;
		memory_fail_at(n);
		err = relay_service.start(&env, &side.settings, &relay, &why);
		failed = memory_has_failed();
		memory_fail_at(0);
		assert_true(failed || err == 0);
		side.relay = err < 0 ? NULL : relay;
		relay_side_stop(&side);
	}
	assert_in_range(n, 5, ALLOCATIONS_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_survive),
	    cmocka_unit_test(its_start_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
