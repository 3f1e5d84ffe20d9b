/* Nicknames: RFC 7701 section 7, RFC 8266. */
#include "conf_fake.h"

static void they_are_prepared(void **state)
{
	static const struct {
		const char *asked, *shown; /* NULL: 424 */
	} rows[] = {
	    {"Ally", "Ally"},
	    {"  Ally  the   1st ", "Ally the 1st"},
	    {"\xc2\xa0"
	     "A\xe3\x80\x80"
	     "B",
		"A B"},                         /* spaces of other kinds */
	    {"\xef\xbc\xa1\xef\xbd\x8c", "Al"}, /* wide letters */
	    {"e\xcc\x81", "\xc3\xa9"},          /* two characters that are one */
	    {"\xe2\x85\xa3", "IV"},             /* RFC 8266 4: a Roman numeral */
	    {"\xe2\x99\x9a", "\xe2\x99\x9a"},   /* symbols are welcome */
	    {"   ", NULL},
	    {"a\tb", NULL},
	    {"a\xe2\x80\x8b"
	     "b",
		NULL},               /* what nobody can see */
	    {"a\xef\xbf\xbf", NULL}, /* no character */
	    {"\xff", NULL},
	};
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE);

	for (size_t i = 0; i < CONF_COUNT(rows); i++) {
		assert_int_equal(ask_nickname(alice, rows[i].asked), rows[i].shown ? 200 : 424);
		if (rows[i].shown)
			assert_string_equal(nickname_of(alice), rows[i].shown);
	}
	assert_int_equal(alice->handler->nickname(alice, ABSENT, alice->arg), 424);
}

static void they_have_a_bound(void **state)
{
	struct world *w = *state;
	struct ua_session *alice = join(w, ALICE);
	char name[1025];

	memset(name, 'x', sizeof(name));
	name[1024] = '\0';
	assert_int_equal(ask_nickname(alice, name), 424);
	name[1023] = '\0';
	assert_int_equal(ask_nickname(alice, name), 200);
}

static void each_is_for_one_user(void **state)
{
	struct world *w = *state;
	struct ua_session *phone = join(w, ALICE), *laptop = join(w, ALICE), *bob = join(w, BOB);

	assert_int_equal(ask_nickname(phone, "Ally"), 200);
	assert_int_equal(ask_nickname(bob, "aLLY"), 425);
	assert_int_equal(ask_nickname(laptop, "ALLY"), 200);
	leave(phone);
	assert_int_equal(ask_nickname(bob, "ally"), 425);
	assert_int_equal(ask_nickname(laptop, ""), 200);
	assert_int_equal(ask_nickname(bob, "ally"), 200);
	/* One that is refused leaves the old one: RFC 7701 7.2. */
	assert_int_equal(ask_nickname(laptop, "other"), 200);
	assert_int_equal(ask_nickname(laptop, "Ally"), 425);
	assert_string_equal(nickname_of(laptop), "other");
	/* A word that only looks like it is another one. */
	assert_int_equal(ask_nickname(laptop, "a11y"), 200);
}

static void some_are_reserved(void **state)
{
	struct world *w = *state;
	char *names[] = {(char *)(uintptr_t) "Moderator"},
	     *users[] = {(char *)(uintptr_t) "alice", (char *)(uintptr_t) "bob"};
	struct ua_session *alice, *bob;

	w->settings.reserved_nicknames = (struct setting_list){names, 1};
	w->room.users = (struct setting_list){users, 2};
	alice = join(w, ALICE);
	bob = join(w, BOB);
	assert_int_equal(ask_nickname(alice, "MODERATOR"), 425);
	assert_int_equal(ask_nickname(alice, "Bob"), 425);
	assert_int_equal(ask_nickname(bob, "Bob"), 200);
	w->settings.nicknames = false;
	assert_int_equal(ask_nickname(bob, "x"), 403);
}

static void who_comes_back_has_his(void **state)
{
	struct world *w = *state;
	struct ua_session *bob = join(w, BOB), *alice;

	conf_nickname_restore(lobby(w), SLICE("ally"), SLICE(ALICE), SLICE("Ally"));
	assert_int_equal(ask_nickname(bob, "Ally"), 425);
	alice = join(w, ALICE);
	assert_string_equal(nickname_of(alice), "Ally");
	/* RFC 7701 7.1: one session is given it, and no other. */
	assert_null(nickname_of(join(w, ALICE)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(they_are_prepared),
	    CASE(they_have_a_bound),
	    CASE(each_is_for_one_user),
	    CASE(some_are_reserved),
	    CASE(who_comes_back_has_his),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
