#include <msrpd/timer.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <event2/event.h>

#include "loop.h"

static struct event_base *base;

static int setup(void **state)
{
	(void)state;
	base = event_base_new();
	return base ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	event_base_free(base);
	return 0;
}

/* --- single timers --- */

struct single {
	struct timer timer;
	unsigned fired, again; /* again: restarts left */
	uint64_t at_ms;
};

static void on_single(void *arg)
{
	struct single *s = arg;

	s->fired++;
	s->at_ms = timer_now_ms();
	if (s->again) {
		s->again--;
		timer_start(&s->timer, 1);
	}
}

static bool single_done(void *arg)
{
	struct single *s = arg;

	return s->fired > 0 && !timer_running(&s->timer);
}

static void fires_once_and_not_early(void **state)
{
	struct single s = {0};
	uint64_t start = timer_now_ms();

	(void)state;
	assert_int_equal(timer_init(&s.timer, base, on_single, &s), 0);
	assert_false(timer_running(&s.timer));
	timer_start(&s.timer, 30);
	assert_true(timer_running(&s.timer));
	loop_until(base, single_done, &s);
	assert_int_equal(s.fired, 1);
	assert_true(s.at_ms - start >= 29);
	loop_settle(base);
	assert_int_equal(s.fired, 1);
	timer_fini(&s.timer);
}

static void can_be_restarted_by_itself(void **state)
{
	struct single s = {.again = 3};

	(void)state;
	assert_int_equal(timer_init(&s.timer, base, on_single, &s), 0);
	timer_start(&s.timer, 0);
	loop_until(base, single_done, &s);
	assert_int_equal(s.fired, 4);
	timer_fini(&s.timer);
}

static void is_set_anew_or_stopped(void **state)
{
	struct single sooner = {0}, stopped = {0};

	(void)state;
	assert_int_equal(timer_init(&sooner.timer, base, on_single, &sooner), 0);
	assert_int_equal(timer_init(&stopped.timer, base, on_single, &stopped), 0);
	timer_start(&stopped.timer, 1);
	timer_start(&sooner.timer, 3600 * 1000);
	timer_start(&sooner.timer, 5);
	timer_stop(&stopped.timer);
	timer_stop(&stopped.timer);
	assert_false(timer_running(&stopped.timer));
	loop_until(base, single_done, &sooner);
	assert_int_equal(sooner.fired, 1);
	assert_int_equal(stopped.fired, 0);
	timer_fini(&sooner.timer);
	timer_fini(&stopped.timer);
}

static void is_harmless_when_zeroed(void **state)
{
	struct timer t = {0};

	(void)state;
	timer_stop(&t);
	assert_false(timer_running(&t));
	timer_fini(&t);
	timer_fini(&t);
}

/* --- queues --- */

enum { ENTRIES = 8 };

struct waiting {
	struct timer_queue queue;
	struct timer_entry entries[ENTRIES];
	unsigned order[64]; /* which expired, in which order */
	unsigned count, wanted;
	uint64_t last_ms;
	struct timer_entry *also_stop; /* by the next to expire */
	unsigned restarts;             /* of whatever expires */
};

static void on_expired(struct timer_entry *entry, void *arg)
{
	struct waiting *w = arg;

	assert_false(timer_entry_running(entry));
	w->order[w->count++] = (unsigned)(entry - w->entries);
	w->last_ms = timer_now_ms();
	if (w->also_stop)
		timer_queue_stop(&w->queue, w->also_stop);
	w->also_stop = NULL;
	if (w->restarts) {
		w->restarts--;
		timer_queue_start(&w->queue, entry);
	}
}

static bool all_expired(void *arg)
{
	struct waiting *w = arg;

	return w->count >= w->wanted;
}

static void init(struct waiting *w, uint64_t period_ms)
{
	*w = (struct waiting){.count = 0};
	assert_int_equal(timer_queue_init(&w->queue, base, period_ms, on_expired, w), 0);
}

static void run(struct waiting *w, unsigned wanted)
{
	w->wanted = wanted;
	loop_until(base, all_expired, w);
	loop_settle(base);
	assert_int_equal(w->count, wanted);
}

static void expires_in_order(void **state)
{
	struct waiting w;
	uint64_t start = timer_now_ms();

	(void)state;
	init(&w, 20);
	for (unsigned i = 0; i < ENTRIES; i++)
		timer_queue_start(&w.queue, &w.entries[i]);
	/* started again: to the end of the queue */
	timer_queue_start(&w.queue, &w.entries[0]);
	run(&w, ENTRIES);
	for (unsigned i = 0; i < ENTRIES; i++)
		assert_int_equal(w.order[i], (i + 1) % ENTRIES);
	assert_true(w.last_ms - start >= 20);
	assert_false(timer_running(&w.queue.timer));
	timer_queue_fini(&w.queue);
}

static void stops_first_middle_and_last(void **state)
{
	struct waiting w;

	(void)state;
	init(&w, 5);
	for (unsigned i = 0; i < ENTRIES; i++)
		timer_queue_start(&w.queue, &w.entries[i]);
	timer_queue_stop(&w.queue, &w.entries[0]);
	timer_queue_stop(&w.queue, &w.entries[4]);
	timer_queue_stop(&w.queue, &w.entries[ENTRIES - 1]);
	timer_queue_stop(&w.queue, &w.entries[ENTRIES - 1]);
	assert_false(timer_entry_running(&w.entries[4]));
	assert_true(timer_entry_running(&w.entries[5]));
	run(&w, 5);
	assert_int_equal(w.order[0], 1);
	assert_int_equal(w.order[3], 5);
	assert_int_equal(w.order[4], 6);
	/* the last one stopped, nothing waits any more; the queue is of use again */
	timer_queue_start(&w.queue, &w.entries[0]);
	timer_queue_stop(&w.queue, &w.entries[0]);
	assert_false(timer_running(&w.queue.timer));
	timer_queue_start(&w.queue, &w.entries[2]);
	run(&w, 6);
	assert_int_equal(w.order[5], 2);
	timer_queue_fini(&w.queue);
}

static void lets_handlers_stop_and_start(void **state)
{
	struct waiting w;

	(void)state;
	init(&w, 2);
	timer_queue_start(&w.queue, &w.entries[0]);
	timer_queue_start(&w.queue, &w.entries[1]);
	w.also_stop = &w.entries[1];
	w.restarts = 2;
	run(&w, 3);
	assert_int_equal(w.order[0], 0);
	assert_int_equal(w.order[1], 0);
	assert_int_equal(w.order[2], 0);
	timer_queue_fini(&w.queue);
}

static void changes_its_period(void **state)
{
	struct waiting w;
	uint64_t start = timer_now_ms();

	(void)state;
	init(&w, 3600 * 1000);
	timer_queue_start(&w.queue, &w.entries[0]);
	timer_queue_set_period(&w.queue, 20);
	timer_queue_start(&w.queue, &w.entries[1]);
	run(&w, 2);
	assert_int_equal(w.order[0], 0);
	assert_true(w.last_ms - start >= 20 && w.last_ms - start < LOOP_DEADLINE_MS);
	/* 0: entries wait, but never expire */
	timer_queue_set_period(&w.queue, 0);
	timer_queue_start(&w.queue, &w.entries[3]);
	assert_true(timer_entry_running(&w.entries[3]));
	assert_false(timer_running(&w.queue.timer));
	loop_settle(base);
	assert_int_equal(w.count, 2);
	timer_queue_set_period(&w.queue, 1);
	run(&w, 3);
	assert_int_equal(w.order[2], 3);
	timer_queue_fini(&w.queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(fires_once_and_not_early, setup, teardown),
	    cmocka_unit_test_setup_teardown(can_be_restarted_by_itself, setup, teardown),
	    cmocka_unit_test_setup_teardown(is_set_anew_or_stopped, setup, teardown),
	    cmocka_unit_test(is_harmless_when_zeroed),
	    cmocka_unit_test_setup_teardown(expires_in_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(stops_first_middle_and_last, setup, teardown),
	    cmocka_unit_test_setup_teardown(lets_handlers_stop_and_start, setup, teardown),
	    cmocka_unit_test_setup_teardown(changes_its_period, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
