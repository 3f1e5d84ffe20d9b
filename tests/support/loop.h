/* Running a loop in a test until something is so. */
#pragma once

#include <stdbool.h>

struct event_base;

enum { LOOP_DEADLINE_MS = 60000 };

/** Turn the loop until done(arg); fails the test after LOOP_DEADLINE_MS. */
void loop_until(struct event_base *base, bool (*done)(void *arg), void *arg);

/** Turn the loop until it has nothing to do at once. */
void loop_settle(struct event_base *base);
