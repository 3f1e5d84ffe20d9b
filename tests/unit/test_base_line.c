/* Fair turns: who goes when, and how much at once. */
#include "base/line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "loop.h"

/* Who waits: works for so long, so many times. */
struct worker {
	struct line_entry entry;
	char name;
	unsigned work_us;
	unsigned times; /* that it has more to do */
	struct worker *leaves;
};

static struct event_base *base;
static struct line line;
static char story[128];

static void tell(char what)
{
	size_t len = strlen(story);

	assert_true(len + 1 < sizeof(story));
	story[len] = what;
}

static void work(unsigned us)
{
	struct timespec began, now;

	clock_gettime(CLOCK_MONOTONIC, &began);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - began.tv_sec) * 1000000 + (now.tv_nsec - began.tv_nsec) / 1000 < us);
}

static void run(struct line_entry *entry)
{
	struct worker *w =
	    (struct worker *)(void *)((char *)entry - offsetof(struct worker, entry));

	tell(w->name);
	if (w->work_us)
		work(w->work_us);
	if (w->leaves)
		line_leave(&line, &w->leaves->entry);
	if (w->times && w->times--)
		line_join(&line, entry);
}

static struct worker worker(char name, unsigned work_us, unsigned times)
{
	return (struct worker){.entry = {.run = run, .most = 5},
	    .name = name,
	    .work_us = work_us,
	    .times = times};
}

static unsigned serving_us;

static void served(void *arg)
{
	(void)arg;
	tell('.');
	if (serving_us)
		work(serving_us);
}

static int setup(void **state)
{
	(void)state;
	serving_us = 0;
	memset(story, 0, sizeof(story));
	base = event_base_new();
	return base ? line_init(&line, base, served, NULL) : -1;
}

static int teardown(void **state)
{
	(void)state;
	line_fini(&line);
	event_base_free(base);
	return 0;
}

static void join(struct worker *w)
{
	line_join(&line, &w->entry);
}

/* The story without its turns: a machine that is busy with others makes more of them. */
static const char *order(void)
{
	static char text[sizeof(story)];
	size_t len = 0;

	for (const char *p = story; *p; p++)
		if (*p != '.')
			text[len++] = *p;
	text[len] = '\0';
	return text;
}

static bool empty(void *arg)
{
	(void)arg;
	return line_is_empty(&line);
}

/* --- tests --- */

static void the_first_is_served_first(void **state)
{
	struct worker a = worker('a', 0, 0), b = worker('b', 0, 0);

	(void)state;
	join(&b);
	join(&a);
	join(&b); /* it waits already */
	assert_string_equal(story, "");
	loop_until(base, empty, NULL);
	assert_string_equal(order(), "ba");
}

/* Whoever works for as long as a share has the turn to himself, and then goes to the end. */
static void a_turn_is_a_share(void **state)
{
	struct worker a = worker('a', 200, 2), b = worker('b', 200, 1);

	(void)state;
	join(&a);
	join(&b);
	loop_until(base, empty, NULL);
	assert_int_equal(strlen(order()), 5);
	for (const char *p = story; p[1]; p++)
		assert_true(*p == '.' || p[1] == '.');
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	char byte;

	(void)what;
	(void)arg;
	assert_int_equal(read(fd, &byte, 1), 1);
	tell('s');
}

/* A socket that becomes readable meanwhile does not wait for the whole line. */
static void sockets_come_between(void **state)
{
	struct worker a = worker('a', 200, 0), b = worker('b', 200, 0);
	struct event *readable;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	readable = event_new(base, ends[0], EV_READ | EV_PERSIST, on_socket, NULL);
	assert_non_null(readable);
	event_add(readable, NULL);
	join(&a);
	join(&b);
	event_base_loop(base, EVLOOP_ONCE);
	assert_string_equal(story, "a.");
	assert_int_equal(write(ends[1], "x", 1), 1);
	loop_until(base, empty, NULL);
	assert_string_equal(story, "a.sb.");
	event_free(readable);
	close(ends[0]);
	close(ends[1]);
}

/* Have it work without a break until it is busy, have a turn as that, and wait with more. */
static void busy(struct worker *w)
{
	w->work_us = 1100;
	w->times = 3;
	join(w);
	event_base_loop(base, EVLOOP_ONCE);
	event_base_loop(base, EVLOOP_ONCE);
	assert_true(w->entry.waits);
	assert_int_equal(w->times, 1);
	memset(story, 0, sizeof(story));
}

/* What they write leaves before the busy are served. */
static void who_comes_goes_before_the_busy(void **state)
{
	struct worker a = worker('a', 0, 0), b = worker('b', 0, 0);

	(void)state;
	busy(&a);
	join(&b);
	event_base_loop(base, EVLOOP_ONCE);
	assert_string_equal(story, "b.");
	event_base_loop(base, EVLOOP_ONCE);
	assert_string_equal(story, "b.a.");
}

/* A newcomer is not modest yet, and who has had much to do is not. */
static void the_modest_go_first(void **state)
{
	struct worker a = worker('a', 0, 0), b = worker('b', 500, 0), c = worker('c', 0, 0);

	(void)state;
	join(&a);
	join(&b);
	loop_until(base, empty, NULL);
	a.entry.modest = true; /* whatever a busy machine has made of that moment */
	b.work_us = 0;
	memset(story, 0, sizeof(story));
	join(&b);
	join(&c);
	join(&a);
	loop_until(base, empty, NULL);
	assert_string_equal(order(), "abc");
	assert_int_equal(story[1], '.');
}

static void pause_in_it(struct line_entry *entry)
{
	line_is_not_done(&line, entry);
}

/* Who has more to do and waits for something else has not been modest, nor who left. */
static void who_is_not_done_is_not_modest(void **state)
{
	struct worker a = worker('a', 0, 0);

	(void)state;
	a.entry.run = pause_in_it;
	join(&a);
	loop_until(base, empty, NULL);
	assert_false(a.entry.modest);
	a.entry.modest = true;
	join(&a);
	line_leave(&line, &a.entry);
	assert_false(a.entry.modest);
}

/* @return false: a busy machine has made that turn a short one */
static bool goes_on_before_the_busy(void)
{
	struct worker a = worker('a', 0, 0), b = worker('b', 0, 1), c = worker('c', 0, 0);
	bool so;

	busy(&a);
	join(&b);
	join(&c);
	event_base_loop(base, EVLOOP_ONCE);
	so = strcmp(story, "bcb.") == 0;
	loop_until(base, empty, NULL);
	memset(story, 0, sizeof(story));
	return so;
}

/* Who goes on is not busy at once, and one who was is not for ever. */
static void who_goes_on_for_a_moment_is_not_busy(void **state)
{
	struct worker a = worker('a', 0, 0), c = worker('c', 0, 0);
	bool so = false;

	(void)state;
	for (int i = 0; i < 50 && !so; i++)
		so = goes_on_before_the_busy();
	assert_true(so);
	busy(&a);
	loop_until(base, empty, NULL);
	memset(story, 0, sizeof(story));
	busy(&c);
	a.work_us = 0;
	join(&a);
	event_base_loop(base, EVLOOP_ONCE);
	assert_string_equal(story, "a.");
	loop_until(base, empty, NULL);
}

/* Of those who come there may be too many for a turn: the next one is of the busy. */
static void nobody_is_left_out(void **state)
{
	struct worker a = worker('a', 0, 0), b = worker('b', 500, 0), c = worker('c', 500, 0);

	(void)state;
	busy(&a);
	join(&b);
	join(&c);
	loop_until(base, empty, NULL);
	assert_memory_equal(story, "b.a.c.", 6);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	on_socket(fd, what, NULL);
	line_ready(&line, &w->entry);
}

/* The loop does not ask for sockets once more before. */
static void who_is_ready_is_served_at_once(void **state)
{
	struct worker a = worker('a', 0, 0);
	struct event *readable;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	readable = event_new(base, ends[0], EV_READ, on_ready, &a);
	assert_non_null(readable);
	event_add(readable, NULL);
	assert_int_equal(write(ends[1], "x", 1), 1);
	event_base_loop(base, EVLOOP_ONCE);
	assert_string_equal(order(), "sa");
	event_free(readable);
	close(ends[0]);
	close(ends[1]);
}

static void shares_fit_the_work(void **state)
{
	struct worker quick = worker('q', 0, 20), slow = worker('s', 200, 3);

	(void)state;
	slow.entry.share = 2;
	join(&quick);
	loop_until(base, empty, NULL);
	/* Never beyond its most; what a busy machine makes of a moment may have taken one back. */
	assert_in_range(quick.entry.share, 1, quick.entry.most);
	join(&slow);
	loop_until(base, empty, NULL);
	assert_int_equal(slow.entry.share, 0);
}

/*
 * How long it takes to write what the modest have been answered is not the work of who comes next.
 * A busy machine may make much of his moment, but not every time.
 */
static void what_the_modest_write_is_their_work(void **state)
{
	struct worker a = worker('a', 0, 0), b = worker('b', 0, 0);

	(void)state;
	serving_us = 500;
	for (int i = 0; i < 50 && !b.entry.modest; i++) {
		memset(story, 0, sizeof(story));
		a.entry.modest = true;
		join(&b);
		join(&a);
		loop_until(base, empty, NULL);
		assert_string_equal(story, "a.b.");
	}
	assert_true(b.entry.modest);
}

/* Have it served, again and again until no busy machine has made much of the moment. */
static void serve_until_modest(struct worker *w)
{
	for (int i = 0; i < 50 && !w->entry.modest; i++) {
		memset(story, 0, sizeof(story));
		join(w);
		loop_until(base, empty, NULL);
	}
}

/* Who asks for something once in a while is slow at it: nothing of it is in the caches any more. */
static void slow_is_modest_all_the_same(void **state)
{
	struct worker a = worker('a', 80, 0);

	(void)state;
	serve_until_modest(&a);
	assert_true(a.entry.modest);
}

static void take_much(struct line_entry *entry)
{
	line_took_much(entry);
}

static void much_is_not_modest(void **state)
{
	struct worker a = worker('a', 0, 0);

	(void)state;
	serve_until_modest(&a);
	a.entry.run = take_much;
	join(&a);
	loop_until(base, empty, NULL);
	assert_false(a.entry.modest);
	a.entry.run = run;
	serve_until_modest(&a);
	assert_true(a.entry.modest);
}

static void who_leaves_is_not_served(void **state)
{
	struct worker a = worker('a', 0, 0), b = worker('b', 0, 0), c = worker('c', 0, 0);

	(void)state;
	a.leaves = &b;
	join(&a);
	join(&b);
	join(&c);
	loop_until(base, empty, NULL);
	assert_string_equal(order(), "ac");
	line_leave(&line, &b.entry);
	join(&b);
	loop_until(base, empty, NULL);
	assert_string_equal(order(), "acb");
}

static void leave_and_join(struct line_entry *entry)
{
	line_join(&line, entry);
	line_leave(&line, entry);
	memset(entry, 0, sizeof(*entry)); /* as who is freed */
}

static void who_is_served_may_leave(void **state)
{
	struct worker a = worker('a', 0, 0), b = worker('b', 0, 0);

	(void)state;
	a.entry.run = leave_and_join;
	join(&a);
	join(&b);
	loop_until(base, empty, NULL);
	assert_string_equal(order(), "b");
}

static void note(struct line_entry *entry, void *arg)
{
	struct worker *w =
	    (struct worker *)(void *)((char *)entry - offsetof(struct worker, entry));

	(void)arg;
	tell(w->name);
	line_leave(&line, entry);
}

static void all_who_wait_are_visited(void **state)
{
	struct worker a = worker('a', 0, 0), b = worker('b', 0, 0), c = worker('c', 0, 0);

	(void)state;
	busy(&c);
	join(&b);
	join(&a);
	line_visit(&line, note, NULL);
	assert_string_equal(story, "bac");
	assert_true(line_is_empty(&line));
}

static void visit_all(struct line_entry *entry)
{
	line_join(&line, entry);
	line_visit(&line, note, NULL);
}

/* Also who is being served, if he has joined again. */
static void who_is_served_is_visited(void **state)
{
	struct worker a = worker('a', 0, 0), b = worker('b', 0, 0);

	(void)state;
	a.entry.run = visit_all;
	join(&a);
	join(&b);
	loop_until(base, empty, NULL);
	assert_string_equal(order(), "ba");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_first_is_served_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_turn_is_a_share, setup, teardown),
	    cmocka_unit_test_setup_teardown(sockets_come_between, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_comes_goes_before_the_busy, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_goes_on_for_a_moment_is_not_busy, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_modest_go_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_is_not_done_is_not_modest, setup, teardown),
	    cmocka_unit_test_setup_teardown(nobody_is_left_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_is_ready_is_served_at_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_is_served_may_leave, setup, teardown),
	    cmocka_unit_test_setup_teardown(all_who_wait_are_visited, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_is_served_is_visited, setup, teardown),
	    cmocka_unit_test_setup_teardown(shares_fit_the_work, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_the_modest_write_is_their_work, setup, teardown),
	    cmocka_unit_test_setup_teardown(slow_is_modest_all_the_same, setup, teardown),
	    cmocka_unit_test_setup_teardown(much_is_not_modest, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_leaves_is_not_served, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
