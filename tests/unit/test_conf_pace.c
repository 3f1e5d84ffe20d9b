/* Who does not read: RFC 7701 6.4. */
#include "conf_fake.h"

static char words[3000];

static bool bob_is_gone(struct world *w)
{
	return w->sessions[1].gone;
}

/* A message of which more is to come; *streamp is to be given it. */
static int begin_long(struct ua_session *s, void **streamp)
{
	char text[TEXT_MAX];

	memset(words, 'x', sizeof(words) - 1);
	snprintf(text, sizeof(text),
	    "From: <" ALICE ">\r\nTo: <" LOBBY ">\r\n\r\nContent-Type: text/plain\r\n\r\n%s",
	    words);
	return begin_text(s, text, 50000, streamp);
}

static void a_burst_holds_the_sender_for_a_while(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE), *bob = join(w, BOB);
	void *stream;

	assert_int_equal(begin_long(alice, &stream), 0);
	assert_int_equal(bob->sent, 1);
	bob->backlog = 1001;
	assert_int_equal(alice->handler->piece(alice, stream, SLICE("x"), alice->arg), -EAGAIN);
	assert_int_equal(bob->low, 500);
	assert_null(alice->resumed);
	/* He reads, and it goes on. */
	bob->backlog = 500;
	bob->handler->room(bob, bob->arg);
	assert_ptr_equal(alice->resumed, stream);
	assert_int_equal(alice->handler->piece(alice, stream, SLICE("x"), alice->arg), 0);
	/* He does not, and has to go. */
	alice->resumed = NULL;
	bob->backlog = 5000;
	assert_int_equal(alice->handler->piece(alice, stream, SLICE("x"), alice->arg), -EAGAIN);
	world_wait(w, bob_is_gone);
	assert_ptr_equal(alice->resumed, stream);
	assert_non_null(strstr(w->events, "LEAVE " BOB " - slow;"));
	assert_int_equal(*w->conf->count.slow, 1);
	assert_int_equal(alice->handler->end(alice, stream, 0, alice->arg), 0);
}

static bool time_is_over(struct world *w)
{
	static uint64_t began;

	(void)w;
	if (!began)
		began = timer_now_ms();
	return timer_now_ms() - began > 60;
}

/* More comes than he takes, for longer than shared_stall. */
static void who_falls_behind_is_dropped_at_once(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE), *bob = join(w, BOB), *carol;

	carol = join(w, "sip:carol@im.example.org");
	bob->backlog = 600;
	assert_int_equal(say(alice, ALICE, LOBBY, "one"), 0);
	world_wait(w, time_is_over);
	bob->backlog = 1100;
	assert_int_equal(say(alice, ALICE, LOBBY, "two"), 0);
	assert_true(bob->gone);
	assert_int_equal(lobby(w)->slow, 0);
	assert_int_equal(carol->sent, 2);
}

static void a_held_sender_may_leave(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE), *bob = join(w, BOB);
	void *stream;

	assert_int_equal(begin_long(alice, &stream), 0);
	bob->backlog = 1001;
	assert_int_equal(alice->handler->piece(alice, stream, SLICE("x"), alice->arg), -EAGAIN);
	leave(alice);
	bob->backlog = 0;
	bob->handler->room(bob, bob->arg);
	assert_int_equal(lobby(w)->slow, 0);
}

/* What was queued for him is more than the UA holds. */
static void too_much_is_too_much(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE), *bob = join(w, BOB);

	bob->send_result = -ENOBUFS;
	assert_int_equal(say(alice, ALICE, LOBBY, "one"), 0);
	assert_true(bob->gone);
	assert_non_null(strstr(w->events, "LEAVE " BOB " - slow;"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(a_burst_holds_the_sender_for_a_while),
	    CASE(who_falls_behind_is_dropped_at_once),
	    CASE(a_held_sender_may_leave),
	    CASE(too_much_is_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
