/* The documents of RFC 4575, as one watcher gets them. */
#define FAKES_MAX 512 /* more than one document has room for */
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
	free(document(w, true));
	conf_room_end(lobby(w));
	assert_true(w->subscription.ended);
	assert_non_null(
	    strstr(w->subscription.last, "entity=\"" LOBBY "\" state=\"deleted\" version=\"1\"/>"));
}

/* --- more than one document has room for --- */

enum { CROWD = FAKES_MAX - 12 };

static void crowd_uri(char uri[64], int number)
{
	snprintf(uri, 64, "sip:somebody-with-a-long-name-%d@im.example.org", number);
}

static struct ua_session *crowd_join(struct world *w, int number)
{
	char from[64];

	w->settings.max_participants = CROWD + 1;
	crowd_uri(from, number);
	return join(w, from);
}

/* What a watcher knows after the documents up to the one that leaves nothing out. */
static int learn(struct world *w, bool full, bool known[CROWD])
{
	int documents = 0;

	do {
		char *text = document(w, full && documents == 0), state[16], version[32];
		const char *at = text;
		int number, taken;

		assert_non_null(text);
		assert_in_range(strlen(text), 1, 34 << 10);
		snprintf(version, sizeof(version), "state=\"%s\" version=\"",
		    full && documents == 0 ? "full" : "partial");
		assert_non_null(strstr(text, version));
		while ((at = strstr(at, "<user entity=\"sip:somebody-with-a-long-name-"))) {
			taken = sscanf(at,
			    "<user entity=\"sip:somebody-with-a-long-name-%d@im.example.org\" state=\"%15[a-z]",
			    &number, state);
			assert_int_equal(taken, 2);
			known[number] = strcmp(state, "full") == 0;
			at++;
		}
		free(text);
		documents++;
	} while (w->subscription.changed);
	return documents;
}

static void a_long_roster_comes_in_parts(void **state)
{
	struct world *w = *state;
	bool known[CROWD] = {false};
	struct ua_session *last = NULL;

	for (int i = 0; i < CROWD; i++)
		last = crowd_join(w, i);
	assert_int_equal(watch(w), 0);
	assert_in_range(learn(w, true, known), 3, 8);
	for (int i = 0; i < CROWD; i++)
		assert_true(known[i]);
	leave(last);
	assert_int_equal(learn(w, false, known), 1);
	assert_false(known[CROWD - 1]);
	unwatch(w);
}

/* Who comes and goes meanwhile, and those who left before anybody watched. */
static void a_roster_changes_between_its_parts(void **state)
{
	struct world *w = *state;
	bool known[CROWD] = {false};
	struct ua_session *last;
	char *text;

	for (int i = 0; i < CROWD - 1; i++)
		crowd_join(w, i);
	last = crowd_join(w, CROWD - 1);
	assert_int_equal(watch(w), 0);
	text = document(w, true);
	assert_non_null(strstr(text, "-long-name-0@"));
	assert_null(strstr(text, "-long-name-499@"));
	assert_true(w->subscription.changed);
	free(text);
	leave(last);
	last = join(w, BOB);
	learn(w, false, known);
	assert_false(known[CROWD - 1]);
	assert_true(known[CROWD - 2]);
	leave(last);
	expect(w, false, THESE("entity=\"" BOB "\" state=\"deleted\""), NULL);
	unwatch(w);
}

/* Nothing follows it. */
static void the_last_document_has_all(void **state)
{
	struct world *w = *state;
	char *text;

	for (int i = 0; i < CROWD; i++)
		crowd_join(w, i);
	assert_int_equal(watch(w), 0);
	w->subscription.ends = true;
	text = document(w, true);
	assert_false(w->subscription.changed);
	assert_non_null(strstr(text, "-long-name-0@"));
	assert_non_null(strstr(text, "-long-name-499@"));
	free(text);
	unwatch(w);
}

static void who_asks_shows_who_he_is(void **state)
{
	struct world *w = *state;
	char *users[] = {(char *)(uintptr_t) "alice"};

	w->settings.roster_realm = (char *)(uintptr_t) "im.example.org";
	assert_int_equal(watch(w), 401);
	w->room.users = (struct setting_list){users, 1};
	assert_int_equal(watch_as(w, "desk"), 403);
	assert_int_equal(watch_as(w, "alice"), 0);
	unwatch(w);
	w->room.users = (struct setting_list){NULL, 0};
	w->settings.roster_realm = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(changes_are_told_once),
	    CASE(devices_are_endpoints_of_one_user),
	    CASE(too_many_who_left_are_not_remembered),
	    CASE(who_is_not_admitted_does_not_watch),
	    CASE(the_end_of_a_room_is_told),
	    CASE(a_long_roster_comes_in_parts),
	    CASE(a_roster_changes_between_its_parts),
	    CASE(the_last_document_has_all),
	    CASE(who_asks_shows_who_he_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
