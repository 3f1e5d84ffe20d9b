/* The documents of RFC 4575, as one watcher gets them. */
#include "conf_fake.h"

static void expect(struct world *w, bool full, const char *const *there, const char *const *absent)
{
	char *text = document(w, full);

	assert_non_null(text);
	for (; *there; there++)
		assert_non_null(strstr(text, *there));
	for (; absent && *absent; absent++)
		assert_null(strstr(text, *absent));
	free(text);
}

#define THESE(...) ((const char *const[]){__VA_ARGS__, NULL})

static void changes_are_told_once(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE), *bob;

	assert_int_equal(watch(w), 0);
	expect(w, true,
	    THESE("state=\"full\" version=\"0\"", "entity=\"" LOBBY "\"", "entity=\"" ALICE "\"",
		"<user-count>1</user-count>"),
	    NULL);
	bob = join(w, BOB);
	assert_true(w->subscription.changed);
	expect(w, false, THESE("state=\"partial\" version=\"1\"", BOB, "<user-count>2<"),
	    THESE(ALICE));
	ask_nickname(bob, "B<o>\"b\"&co");
	expect(w, false, THESE("xcon:nickname=\"B&lt;o&gt;&quot;b&quot;&amp;co\""), THESE(ALICE));
	leave(bob);
	expect(w, false,
	    THESE("<user entity=\"" BOB "\" state=\"deleted\"/>", "<user-count>1<", "\"3\">"),
	    THESE(ALICE));
	/* Back before it was told: there, and not deleted. */
	leave(alice);
	join(w, ALICE);
	expect(w, false, THESE("entity=\"" ALICE "\" state=\"full\""), THESE("deleted"));
	unwatch(w);
}

static void devices_are_endpoints_of_one_user(void **state)
{
	struct world *w = *state;
	struct ua_session *phone = join(w, ALICE);

	join(w, ALICE);
	assert_int_equal(watch(w), 0);
	expect(w, true,
	    THESE("<user-count>1<", ALICE ";device=1\">", ALICE ";device=2\">", "dialed-in"), NULL);
	leave(phone);
	expect(w, false, THESE(ALICE ";device=2\">"), THESE(";device=1", "deleted"));
	unwatch(w);
}

/* Of more than GONE_MAX who have left a watcher that was away gets all anew. */
static void too_many_who_left_are_not_remembered(void **state)
{
	struct world *w = *state;
	char from[64];

	assert_int_equal(watch(w), 0);
	free(document(w, true));
	for (int i = 0; i < 1001; i++) {
		snprintf(from, sizeof(from), "sip:user%d@im.example.org", i);
		leave(join(w, from));
		w->session_count = 0;
	}
	assert_int_equal(lobby(w)->roster.gone_count, 1000);
	expect(w, false, THESE("state=\"full\"", "<user-count>0<"), THESE("deleted"));
	unwatch(w);
	assert_int_equal(lobby(w)->roster.gone_count, 0);
}

static void who_is_not_admitted_does_not_watch(void **state)
{
	struct world *w = *state;
	char *users[] = {(char *)(uintptr_t) "alice"};

	w->room.users = (struct setting_list){users, 1};
	assert_int_equal(watch(w), 403);
	w->room.users = (struct setting_list){NULL, 0};
}

static void the_end_of_a_room_is_told(void **state)
{
	struct world *w = *state;

	assert_int_equal(watch(w), 0);
	conf_room_end(lobby(w));
	assert_true(w->subscription.ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(changes_are_told_once),
	    CASE(devices_are_endpoints_of_one_user),
	    CASE(too_many_who_left_are_not_remembered),
	    CASE(who_is_not_admitted_does_not_watch),
	    CASE(the_end_of_a_room_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
