/* What was said of late. */
#include "conf_fake.h"

static void the_last_ones_are_kept(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE), *bob;
	struct conf_history *history = &lobby(w)->history;

	for (int i = 0; i < 5; i++)
		assert_int_equal(say(alice, ALICE, LOBBY, "words"), 0);
	assert_int_equal(history->count, 3);
	bob = join(w, BOB);
	assert_int_equal(bob->sent, 3);
	assert_memory_equal(bob->last, "DateTime: 20", 12);
	assert_non_null(strstr(bob->last, "\r\n\r\nwords"));
}

static void a_date_of_its_own_stays(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE);
	const char *text = "From: <" ALICE ">\r\nTo: <" LOBBY ">\r\nDateTime: 2020-02-20T20:20:20Z"
			   "\r\n\r\nContent-Type: text/plain\r\n\r\nx";

	assert_int_equal(say_text(alice, text), 0);
	assert_string_equal(join(w, BOB)->last, text);
}

static void it_has_a_bound_in_bytes(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE);
	struct conf_history *history = &lobby(w)->history;
	static char words[2000];

	memset(words, 'x', 800);
	for (int i = 0; i < 3; i++)
		assert_int_equal(say(alice, ALICE, LOBBY, words), 0);
	assert_int_equal(history->count, 2);
	assert_true(history->bytes <= 2000);
	memset(words, 'x', 1999);
	assert_int_equal(say(alice, ALICE, LOBBY, words), 0);
	assert_int_equal(history->count, 2); /* too large to be kept at all */
	w->settings.history = 1;
	conf_history_trim(lobby(w));
	assert_int_equal(history->count, 1);
}

static void what_is_for_one_or_no_message_is_not_there(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE);

	join(w, BOB);
	assert_int_equal(say(alice, ALICE, BOB, "psst"), UA_REPORT_LATER);
	assert_int_equal(alice->report_code, 200);
	assert_memory_equal(alice->report_body, "From: <" ALICE ">\r\nTo: <" BOB ">\r\n\r\n",
	    sizeof("From: <" ALICE ">\r\nTo: <" BOB ">\r\n\r\n") - 1);
	assert_int_equal(say_text(alice,
			     "From: <" ALICE ">\r\nTo: <" LOBBY ">\r\n\r\n"
			     "Content-Type: application/im-iscomposing+xml\r\n\r\n<x/>"),
	    0);
	assert_int_equal(lobby(w)->history.count, 0);
	w->settings.history = 0;
	assert_int_equal(say(alice, ALICE, LOBBY, "words"), 0);
	assert_int_equal(lobby(w)->history.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(the_last_ones_are_kept),
	    CASE(a_date_of_its_own_stays),
	    CASE(it_has_a_bound_in_bytes),
	    CASE(what_is_for_one_or_no_message_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
