/* What a room makes of the messages of its participants: RFC 7701 6. */
#include "conf_fake.h"

#define CAROL "sip:carol@im.example.org"
#define TEXT  "\r\nContent-Type: text/plain\r\n\r\nhello"
#define IMDN  "\r\nContent-Type: message/imdn+xml\r\n\r\n<imdn/>"

static void what_it_says_is_checked(void **state)
{
	static const struct {
		const char *cpim;
		int status;
	} cases[] = {
	    {"From: <" ALICE ">\r\nTo: <" LOBBY ">\r\n" TEXT, 0},
	    {"From: Alice <SIP:alice@IM.example.org>\r\nTo: <" LOBBY ">\r\n" TEXT, 0},
	    {"From: <" ALICE ">\r\nTo: <" LOBBY ">\r\n\r\n\r\nhello", 0},
	    {"From: <" BOB ">\r\nTo: <" LOBBY ">\r\n" TEXT, 403},
	    {"From: <" ALICE "> <" BOB ">\r\nTo: <" LOBBY ">\r\n" TEXT, 403},
	    {"From: alice\r\nTo: <" LOBBY ">\r\n" TEXT, 403},
	    {"To: <" LOBBY ">\r\n" TEXT, 403},
	    {"From: <" ALICE ">\r\nFrom: <" BOB ">\r\nTo: <" LOBBY ">\r\n" TEXT, 403},
	    {"From: <" ALICE ">\r\nTo: <" LOBBY ">\r\nTo: <" BOB ">\r\n" TEXT, 403},
	    {"NS: x <y>\r\nx.From: <" ALICE ">\r\nTo: <" LOBBY ">\r\n" TEXT, 403},
	    {"From: <" ALICE ">\r\n" TEXT, 404},
	    {"hello", 415},
	    {"From: <" ALICE ">\r\nTo: <" LOBBY ">\r\n\r\nContent-Type: text/plain", 415},
	    {"From <" ALICE ">\r\nTo: <" LOBBY ">\r\n" TEXT, 415},
	};
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE), *bob = join(w, BOB);
	unsigned sent = bob->sent;

	for (size_t i = 0; i < CONF_COUNT(cases); i++) {
		int status = say_text(alice, cases[i].cpim);

		sent += cases[i].status == 0;
		if (status != cases[i].status || bob->sent != sent)
			fail_msg("case %zu: %d", i, status);
		assert_int_equal(alice->reports, 0);
	}
}

/* RFC 7701 6.2: who writes to one alone hears what became of it from the room. */
static void what_is_private_is_reported(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE), *bob = join(w, BOB);
	static char name[12000];
	char text[sizeof(name) + 256];
	unsigned sent;

	assert_int_equal(say(alice, ALICE, CAROL, "psst"), 404);
	assert_int_equal(say(alice, ALICE, BOB, "psst"), UA_REPORT_LATER);
	assert_int_equal(alice->report_code, 200);
	assert_non_null(strstr(alice->report_body, "To: <" BOB ">"));
	/* Its addresses are to fit into that. */
	memset(name, 'n', sizeof(name) - 1);
	snprintf(text, sizeof(text), "From: <" ALICE ">\r\nTo: %s <" BOB ">\r\n" TEXT, name);
	assert_int_equal(say_text(alice, text), 413);
	/* Where there is nothing private a notification goes on: who asked for it takes it. */
	w->settings.private_messages = false;
	sent = bob->sent;
	assert_int_equal(say(alice, ALICE, BOB, "psst"), 428);
	assert_int_equal(bob->sent, sent);
	assert_int_equal(say_text(alice, "From: <" ALICE ">\r\nTo: <" BOB ">\r\n" IMDN),
	    UA_REPORT_LATER);
	assert_int_equal(bob->sent, sent + 1);
	w->settings.private_messages = true;
	bob->tokens = "nickname";
	assert_int_equal(say(alice, ALICE, BOB, "psst"), 428);
}

static void what_is_too_long_or_none_is_refused(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE);
	struct message plain = {.message_id = SLICE("id"), .content_type = SLICE("text/plain")};
	static char text[200000];
	void *stream = NULL;

	assert_int_equal(alice->handler->begin(alice, &plain, &stream, alice->arg), 415);
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(begin_text(alice, text, sizeof(text), &stream), 413);
	/* A body that is longer than messages are, and was not announced. */
	assert_int_equal(
	    begin_text(alice, "From: <" ALICE ">\r\nTo: <" LOBBY ">\r\n" TEXT, UINT64_MAX, &stream),
	    0);
	assert_int_equal(alice->handler->piece(alice, stream, slice_of(text), alice->arg), 413);
	assert_int_equal(alice->handler->end(alice, stream, -EMSGSIZE, alice->arg), 413);
	/* It ends before its head does. */
	assert_int_equal(begin_text(alice, "From: <" ALICE ">\r\n", UINT64_MAX, &stream), 0);
	assert_int_equal(alice->handler->end(alice, stream, 0, alice->arg), 415);
}

/* Under the name that he has here, whatever his client writes. */
static void who_is_anonymous_is_not_named(void **state)
{
	struct world *w = *state;
	struct ua_session *bob = join(w, BOB), *alice;
	int code;

	alice = invite(w, ALICE, "id", &code);
	session_up(alice);
	assert_int_equal(say(alice, ALICE, LOBBY, "hello"), 0);
	assert_null(strstr(bob->last, "alice"));
	assert_non_null(strstr(bob->last, "From: <sip:anonymous-"));
	assert_non_null(strstr(bob->last, "\r\n\r\nhello"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(what_it_says_is_checked),
	    CASE(what_is_private_is_reported),
	    CASE(what_is_too_long_or_none_is_refused),
	    CASE(who_is_anonymous_is_not_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
