/* Two endpoints and what they send each other, while the n-th allocation fails, for each n. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include <event2/event.h>

#include "memory.h"
#include "msrp_sides.h"

enum {
	ALLOCATIONS_MAX = 5000, /* more than one session makes */
	ROUNDS = 100,           /* turns of the loop for one session, which needs some 20 */
	LONG = 100000,
};

static const struct slice NONE = {NULL, 0};

struct source {
	size_t left;
	unsigned asked, done;
	char bytes[3000];
};

static int pull(void *arg, size_t want, struct slice *piece)
{
	struct source *s = arg;

	s->asked++;
	if (want > sizeof(s->bytes))
		want = sizeof(s->bytes);
	if (want > s->left)
		want = s->left;
	s->left -= want;
	*piece = (struct slice){s->bytes, want};
	return 0;
}

static void done(void *arg)
{
	((struct source *)arg)->done++;
}

static int connect_sides(struct sides *f, bool stream)
{
	struct msrp_destination to = {.host = SLICE("127.0.0.1"), .port = f->port};
	int err = sides_open_one(f, &f->a, "sideaaaaaaaaaaaaaaaaaaa", false);

	if (err == 0)
		err = sides_open_one(f, &f->b, "sidebbbbbbbbbbbbbbbbbbb", stream);
	if (err == 0)
		err = endpoint_set_path(f->a.ep, NONE, slice_of(f->b.uri));
	if (err == 0)
		err = endpoint_set_path(f->b.ep, NONE, slice_of(f->a.uri));
	if (err < 0)
		return err;
	endpoint_start(f->a.ep);
	endpoint_start(f->b.ep);
	return endpoint_connect(f->a.ep, &to, true, 0);
}

/* @return did all of it pass? */
static bool run_session(struct sides *f, bool stream, struct source *source, const char *text)
{
	struct message_out out = {.content_type = SLICE("text/plain"),
	    .success_report = true,
	    .body = {.total = UINT64_MAX, .pull = pull, .done = done, .arg = source}};
	unsigned *arrived = stream ? &f->b.ends : &f->b.messages;
	bool sent;

	if (sides_init(f) < 0 || connect_sides(f, stream) < 0)
		return false;
	sent = side_send(&f->a, SLICE("short"), FAILURE_REPORT_YES, true, MSRP_SEND_CONFIRM) == 0;
	sent &= side_send(&f->a, (struct slice){text, LONG}, FAILURE_REPORT_YES, true, 0) == 0;
	sent &= side_send(&f->a, SLICE("no answer"), FAILURE_REPORT_NO, false, 0) == 0;
	source->asked = 1; /* from here on done() is owed */
	if (endpoint_send(f->a.ep, &out, 0, NULL) < 0) {
		source->asked = 0;
		sent = false;
	}
	for (int i = 0; i < ROUNDS && (*arrived < 4 || f->a.reports < 4); i++) {
		struct timeval limit = {0, 1000};

		event_base_loopexit(f->base, &limit);
		event_base_loop(f->base, EVLOOP_ONCE);
		if (f->a.lost || f->b.lost)
			break;
	}
	return sent && *arrived == 4;
}

static void run_with_failures(void **state, bool stream)
{
	struct sides *f = *state;
	char *text = calloc(1, LONG);
	struct source source = {0};
	bool passed = false;

	sides_fini(f);
	for (unsigned n = 1; !passed && n < ALLOCATIONS_MAX; n++) {
		struct side fresh = {0};

		fresh.body = f->a.body;
		f->a = fresh;
		fresh.body = f->b.body;
		f->b = fresh;
		f->b.own_report = stream ? 0 : 200; /* with a body */
		source = (struct source){.left = 50000};
		memory_fail_at(n);
		passed = run_session(f, stream, &source, text) && !memory_has_failed();
		sides_fini(f);
		memory_fail_at(0);
		assert_true(source.done == (source.asked > 0));
	}
	assert_true(passed);
	free(text);
	assert_int_equal(sides_init(f), 0);
}

static void messages_survive(void **state)
{
	run_with_failures(state, false);
}

static void streams_survive(void **state)
{
	run_with_failures(state, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(messages_survive, sides_setup, sides_teardown),
	    cmocka_unit_test_setup_teardown(streams_survive, sides_setup, sides_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
