/* What is remembered of sessions, and what is logged of refusals. */
#include "base/story.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

enum { MEMORY = 8192, TEXT_MAX = 65536 };

static char told[TEXT_MAX];

static void add(const struct story_line *line, void *arg)
{
	size_t len = strlen(told);

	(void)arg;
	assert_true(line->when_ms > 0);
	snprintf(told + len, sizeof(told) - len, "%.*s\n", SLICE_ARG(line->text));
}

static size_t tell(const char *name)
{
	told[0] = '\0';
	return story_tell(slice_of(name), add, NULL);
}

static void note(const char *session, const char *call, const char *key, uint64_t conn,
    const char *line)
{
	const struct story of = {slice_of(session), slice_of(call), slice_of(key),
	    conn ? "msrp" : NULL, conn};

	story_note(LOG_LEVEL_DEBUG, &of, "%s", line);
}

static int setup(void **state)
{
	(void)state;
	story_close();
	log_set_level(LOG_LEVEL_ERROR);
	return story_open(MEMORY);
}

static int teardown(void **state)
{
	(void)state;
	log_close();
	return 0;
}

/* All names lead to all lines, in the order in which they came. */
static void test_names(void **state)
{
	static const char *const names[] = {"s1", "c1", "k1"};

	(void)state;
	note(NULL, "c1", NULL, 0, "invite");
	note("s2", "c2", NULL, 0, "another");
	note("s1", "c1", NULL, 0, "session");
	note("s1", NULL, "k1", 0, "gateway");
	note(NULL, NULL, "k2", 0, "another key");
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(tell(names[i]), 3);
		assert_string_equal(told, "invite\nsession\ngateway\n");
	}
	assert_int_equal(tell("s"), 0);
	assert_int_equal(tell(""), 0);
	assert_int_equal(tell("s2"), 1);
}

/* A connection's own lines belong to all of its sessions, those of one session to that one. */
static void test_connections(void **state)
{
	(void)state;
	note(NULL, NULL, NULL, 7, "accepted");
	note("s1", NULL, NULL, 7, "first");
	note("s2", NULL, NULL, 7, "second");
	note(NULL, NULL, NULL, 8, "other");
	note(NULL, NULL, NULL, 7, "closed");
	assert_int_equal(tell("s1"), 3);
	assert_string_equal(told, "accepted\nfirst\nclosed\n");
	assert_int_equal(tell("s2"), 3);
	assert_int_equal(tell("msrp 7"), 0);
}

/* The oldest lines go, one by one, whatever their length; what is told is what was noted. */
static void test_ring(void **state)
{
	char line[600], session[32];

	(void)state;
	srand(1);
	for (int i = 0; i < 20000; i++) {
		int len = rand() % 500;

		snprintf(session, sizeof(session), "session-%d", i / 4);
		snprintf(line, sizeof(line), "%d %0*d", i, len, 0);
		note(session, i % 2 ? "call" : NULL, NULL, i % 3 ? 0 : 7, line);
		assert_true(tell(session) >= 1);
		assert_non_null(strstr(told, line));
	}
	assert_true(tell("call") > 10);
	assert_int_equal(tell("session-1"), 0);
}

static void test_too_long(void **state)
{
	static char name[300], line[3000];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	memset(line, 'x', sizeof(line) - 1);
	note(name, "call", NULL, 0, line);
	assert_int_equal(tell("call"), 1);
	assert_int_equal(strlen(told), 1024);
	assert_int_equal(tell(name), 0);
}

static void test_sizes(void **state)
{
	(void)state;
	note("s", NULL, NULL, 0, "a line");
	assert_int_equal(story_open(MEMORY), 0);
	assert_int_equal(tell("s"), 1);
	assert_int_equal(story_open(2 * MEMORY), 0);
	assert_int_equal(tell("s"), 0);
	assert_int_equal(story_open(0), 0);
	note("s", NULL, NULL, 0, "a line");
	assert_int_equal(tell("s"), 0);
	/* Smaller than a line. */
	assert_int_equal(story_open(40), 0);
	note("s", NULL, NULL, 0, "a line");
	assert_int_equal(tell("s"), 0);
}

/* Each code once for a session. */
static void test_refusals(void **state)
{
	const struct story one = {.session_id = SLICE("s1")}, other = {.session_id = SLICE("s2")};

	(void)state;
	for (int i = 0; i < 1000; i++) {
		story_refuse(&one, 481, "no session");
		story_refuse(&other, 481, "no session either");
	}
	story_refuse(&one, 413, "too large");
	assert_int_equal(tell("s1"), 2);
	assert_string_equal(told, "no session\ntoo large\n");
	assert_int_equal(tell("s2"), 1);
}

/* Lines that a peer can have for nothing: so many a second, and how many there were besides. */
static void test_often(void **state)
{
	static char text[1 << 16];
	int fds[2], before = dup(STDERR_FILENO);
	unsigned lines = 0;
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	dup2(fds[1], STDERR_FILENO);
	log_set_level(LOG_LEVEL_INFO);
	for (int i = 0; i < 10000; i++)
		story_often("again %d", i);
	log_set_level(LOG_LEVEL_ERROR);
	dup2(before, STDERR_FILENO);
	n = read(fds[0], text, sizeof(text));
	for (ssize_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	/* The second may have ended meanwhile. */
	assert_in_range(lines, 20, 3 * 21);
	close(fds[0]);
	close(fds[1]);
	close(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_names, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_connections, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_ring, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_often, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
