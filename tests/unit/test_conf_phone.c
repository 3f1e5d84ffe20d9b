/* Who has SIP MESSAGE alone. */
#include "conf_fake.h"

static void texts_go_both_ways_in_order(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE);

	assert_int_equal(write_page(w, PHONE, "hello", NULL), 200);
	assert_non_null(strstr(w->events, "JOIN " PHONE " - -;"));
	assert_non_null(strstr(alice->last, "From: <" PHONE ">"));
	assert_non_null(strstr(alice->last, "\r\n\r\nhello"));
	say(alice, ALICE, LOBBY, "one");
	say(alice, ALICE, LOBBY, "two");
	assert_int_equal(w->page_count, 1); /* RFC 3428 8: the second waits */
	assert_string_equal(w->pages[0].body, "alice: one");
	assert_string_equal(w->pages[0].ruri, PHONE);
	page_answer(w, 200);
	assert_string_equal(w->pages[0].body, "alice: two");
	page_answer(w, 200);
	assert_int_equal(w->page_count, 0);
	/* Nothing private: RFC 7701 6.2. */
	assert_int_equal(say(alice, ALICE, PHONE, "psst"), 428);
}

/* Behind a NAT or in a browser there may be no other way to it. */
static void what_others_say_goes_where_it_writes_from(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE);

	write_page(w, PHONE, "by UDP", NULL);
	say(alice, ALICE, LOBBY, "one");
	assert_null(w->pages[0].caller);
	page_answer(w, 200);
	w->flow = (struct sip_flow *)(void *)w;
	write_page(w, PHONE, "by TCP", NULL);
	say(alice, ALICE, LOBBY, "two");
	assert_ptr_equal(w->pages[0].caller, w->flow);
	page_answer(w, 200);
}

static void commands_are_obeyed(void **state)
{
	static const struct {
		const char *text, *answer;
	} rows[] = {
	    {"/nick Fon", "You are Fon now."},
	    {"/NICK  Ally ", "Somebody else has that name."},
	    {"/nick \x01", "That is not a name."},
	    {"/who\r\n", "Ally, Fon"},
	    {"/nick", "You have no nickname now."},
	    {"/what", "I know /nick NAME, /who and /leave."},
	};
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE);

	ask_nickname(alice, "Ally");
	for (size_t i = 0; i < CONF_COUNT(rows); i++) {
		assert_int_equal(write_page(w, PHONE, rows[i].text, NULL), 200);
		assert_string_equal(w->pages[0].body, rows[i].answer);
		page_answer(w, 200);
	}
	assert_int_equal(alice->sent, 0);
	assert_int_equal(write_page(w, PHONE, "/leave", NULL), 200);
	assert_int_equal(write_page(w, PHONE, "/leave", NULL), 200); /* and does not come by it */
	assert_int_equal(lobby(w)->count, 1);
}

/* Where there are no nicknames; and of a crowd it is told whom one MESSAGE has room for. */
static void answers_have_bounds(void **state)
{
	struct world *w = *state;
	char name[201];

	w->settings.max_participants = FAKES_MAX;
	memset(name, 'n', sizeof(name) - 1);
	for (size_t i = 0; i < 12; i++) {
		char uri[64];

		snprintf(uri, sizeof(uri), "sip:user%zu@im.example.org", i);
		snprintf(name + 120, sizeof(name) - 120, "%zu", i);
		assert_int_equal(ask_nickname(join(w, uri), name), 200);
	}
	assert_int_equal(write_page(w, PHONE, "/nick Fon", NULL), 200);
	page_answer(w, 200);
	assert_int_equal(write_page(w, PHONE, "/who", NULL), 200);
	assert_non_null(strstr(w->pages[0].body, "nnn"));
	page_answer(w, 200);
	w->settings.nicknames = false;
	assert_int_equal(write_page(w, PHONE, "/nick Tel", NULL), 200);
	assert_string_equal(w->pages[0].body, "There are no nicknames here.");
	page_answer(w, 200);
}

static int write_as(struct world *w, const char *method, const char *from, const char *type,
    struct slice body, bool no_hops)
{
	struct sip_request request;

	request_init(&request, method, from, NULL);
	request.fields[SIP_FIELD_CONTENT_TYPE] = slice_of(type);
	request.fields[SIP_FIELD_BODY] = body;
	request.no_hops = no_hops;
	run_action(w, "msg_to_conf", &request);
	assert_int_equal(request.answers, 1);
	return request.code;
}

static void what_is_no_text_is_refused(void **state)
{
	static const struct {
		const char *method, *from, *type, *body;
		bool no_hops;
		int code;
	} cases[] = {
	    {"INVITE", PHONE, "text/plain", "hello", false, 500},
	    {"MESSAGE", PHONE, "text/plain", NULL, false, 400},
	    {"MESSAGE", PHONE, NULL, "hello", false, 400},
	    {"MESSAGE", PHONE, "text/html", "hello", false, 415},
	    {"MESSAGE", PHONE, "text/plain", "hello", true, 483},
	    {"MESSAGE", PHONE, "text/plain", "\xff", false, 400},
	    {"MESSAGE", "phone", "text/plain", "hello", false, 403},
	    {"MESSAGE", "sip:a@anonymous.invalid", "text/plain", "hello", false, 433},
	    {"MESSAGE", PHONE, "Text/Plain ;charset=utf-8", "hello", false, 200},
	};
	static char longest[64 * 1024 + 1];
	struct world *w = *state;

	for (size_t i = 0; i < CONF_COUNT(cases); i++)
		assert_int_equal(write_as(w, cases[i].method, cases[i].from, cases[i].type,
				     slice_of(cases[i].body), cases[i].no_hops),
		    cases[i].code);
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(write_as(w, "MESSAGE", PHONE, "text/plain",
			     (struct slice){longest, sizeof(longest)}, false),
	    413);
	assert_int_equal(lobby(w)->count, 1);
}

static void who_does_not_take_them_has_left(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE);

	write_page(w, PHONE, "here", NULL);
	for (int i = 0; i < 6; i++)
		say(alice, ALICE, LOBBY, "words");
	page_answer(w, 480);
	page_answer(w, 480);
	page_answer(w, 200);
	page_answer(w, 480);
	page_answer(w, 480);
	assert_int_equal(lobby(w)->count, 2);
	page_answer(w, 408);
	assert_non_null(strstr(w->events, "LEAVE " PHONE " - failed;"));
	assert_int_equal(lobby(w)->count, 1);
}

static void what_waits_has_a_bound(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE);

	write_page(w, PHONE, "here", NULL);
	for (int i = 0; i < 101; i++)
		say(alice, ALICE, LOBBY, "words");
	assert_non_null(strstr(w->events, "LEAVE " PHONE " - slow;"));
	/* The one that is under way comes back to nobody. */
	page_answer(w, 200);
	write_page(w, PHONE, "again", NULL);
	w->page_result = -ENETUNREACH;
	for (int i = 0; i < 3; i++)
		say(alice, ALICE, LOBBY, "words");
	assert_int_equal(lobby(w)->count, 1);
	w->page_result = 0;
	/* And at the end there may be some. */
	write_page(w, PHONE, "again", NULL);
	say(alice, ALICE, LOBBY, "words");
	say(alice, ALICE, LOBBY, "words");
}

static void the_unknown_are_known_again(void **state)
{
	struct world *w = *state;
	const struct conf_participant *p;

	assert_int_equal(write_page(w, PHONE, "by name", NULL), 200);
	assert_int_equal(write_page(w, PHONE, "unknown", "header; ID"), 200);
	assert_non_null(strstr(w->events, "LEAVE " PHONE " - bye;"));
	assert_int_equal(write_page(w, PHONE, "unknown", NULL), 200);
	assert_int_equal(lobby(w)->count, 1);
	p = TAILQ_FIRST(&lobby(w)->participants);
	assert_string_equal(p->real, PHONE);
	assert_true(conf_uri_is_anonymous(slice_of(p->user->uri)));
	assert_int_equal(write_page(w, "sip:anonymous@anonymous.invalid", "x", NULL), 433);
}

static bool nobody_is_here(struct world *w)
{
	return lobby(w)->count == 0;
}

static void who_is_silent_has_left(void **state)
{
	struct world *w = *state;

	timer_queue_set_period(&w->conf->silent, 20);
	assert_int_equal(write_page(w, PHONE, "here", NULL), 200);
	world_wait(w, nobody_is_here);
	assert_non_null(strstr(w->events, "LEAVE " PHONE " - expired;"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(texts_go_both_ways_in_order),
	    CASE(what_others_say_goes_where_it_writes_from),
	    CASE(commands_are_obeyed),
	    CASE(answers_have_bounds),
	    CASE(what_is_no_text_is_refused),
	    CASE(who_does_not_take_them_has_left),
	    CASE(what_waits_has_a_bound),
	    CASE(the_unknown_are_known_again),
	    CASE(who_is_silent_has_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
