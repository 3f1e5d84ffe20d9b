#include "loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <event2/event.h>

#include <msrpd/timer.h>

void loop_until(struct event_base *base, bool (*done)(void *arg), void *arg)
{
	uint64_t deadline = timer_now_ms() + LOOP_DEADLINE_MS;

	while (!done(arg)) {
		/* Wakes a loop that has nothing to wait for, so that the deadline is seen. */
		struct timeval limit = {0, 20000};

		assert_true(timer_now_ms() < deadline);
		event_base_loopexit(base, &limit);
		event_base_loop(base, EVLOOP_ONCE);
	}
}

void loop_settle(struct event_base *base)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}
