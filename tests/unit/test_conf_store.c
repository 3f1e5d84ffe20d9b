/* What a room finds in its file: what it has written, and what somebody else has. */
#include <sqlite3.h>
#include <unistd.h>

#include "conf_fake.h"
#include "directory.h"

#define CAROL "sip:carol@im.example.org"

static char directory[64], path[96];

static int set_up(void **state)
{
	struct world *w;

	strcpy(directory, "/tmp/msrpd-store-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/rooms.db", directory);
	world_open(state);
	w = *state;
	w->settings.persist = path;
	return 0;
}

static int tear_down(void **state)
{
	world_close(state);
	directory_remove(directory);
	return 0;
}

static void execute(const char *statements)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, statements, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", statements, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static size_t rooms(struct world *w)
{
	return HASH_COUNT(w->conf->rooms);
}

static void what_was_is_there_again(void **state)
{
	struct world *w = *state;
	struct ua_session *alice;

	assert_int_equal(world_start(w), 0);
	alice = join(w, ALICE);
	assert_int_equal(ask_nickname(alice, "Ally"), 200);
	assert_int_equal(say(alice, ALICE, LOBBY, "hello"), 0);
	world_stop(w); /* with her in it: who leaves gives the name back */
	assert_int_equal(world_start(w), 0);
	assert_int_equal(lobby(w)->history.count, 1);
	alice = join(w, ALICE);
	assert_string_equal(nickname_of(alice), "Ally");
	assert_non_null(strstr(alice->last, "hello"));
}

/* Whatever has been written into it, it is no more than rooms with what they have. */
static void what_others_wrote_is_taken_as_far_as_it_goes(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_start(w), 0);
	world_stop(w);
	execute("INSERT INTO rooms VALUES ('sip:made@im.example.org', 'Tea', 5, 1);"
		"INSERT INTO rooms VALUES ('" LOBBY "', 'x', -1, 7);"
		"INSERT INTO rooms VALUES ('tel:+1', NULL, NULL, NULL);"
		"INSERT INTO rooms VALUES ('', x'00ff', 'many', 'yes');"
		"INSERT INTO rooms VALUES (17, 17, 17, 17);"
		"INSERT INTO history VALUES (1, '" LOBBY "', NULL, NULL, NULL);"
		"INSERT INTO history VALUES (2, '" LOBBY "', x'00', 3, 4.5);"
		"INSERT INTO history VALUES (3, 'sip:nowhere@h', 'a', 'text/plain', 'b');"
		"INSERT INTO history VALUES (4, NULL, 'a', 'text/plain', 'b');"
		"INSERT INTO history VALUES (5, '" LOBBY "', 'a', 'message/cpim', zeroblob(3000));"
		"INSERT INTO nicknames VALUES ('" LOBBY "', 'a', NULL, NULL);"
		"INSERT INTO nicknames VALUES ('" LOBBY "', 'b', '" ALICE "', NULL);"
		"INSERT INTO nicknames VALUES ('" LOBBY "', 'c', '" BOB "', x'ff00');"
		"INSERT INTO nicknames VALUES ('" LOBBY "', '', '', '');"
		"INSERT INTO nicknames VALUES ('sip:nowhere@h', 'a', 'b', 'c');");
	assert_int_equal(world_start(w), 0);
	assert_int_equal(rooms(w), 2);
	assert_int_equal(lobby(w)->history.count, 0); /* the last one has no room for others */
	assert_true(slice_equal(conf_room_subject(lobby(w)), SLICE("")));
	join(w, ALICE);
	join(w, BOB);
	assert_int_equal(ask_nickname(join(w, CAROL), "Carol"), 200);
}

static void another_file_is_refused(void **state)
{
	struct world *w = *state;
	FILE *f = fopen(path, "w");

	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", f);
	fclose(f);
	assert_int_equal(world_start(w), -EIO);
	unlink(path);
	/* Nor is one whose tables are others. */
	execute("CREATE TABLE rooms (x);");
	assert_int_equal(world_start(w), -EIO);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_was_is_there_again),
	    TEST(what_others_wrote_is_taken_as_far_as_it_goes),
	    TEST(another_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
