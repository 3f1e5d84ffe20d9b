/* What is sent again and again: timers A, E and G of RFC 3261 17. */
#pragma once

#include <msrpd/timer.h>

struct edge;

/** Embedded in what is sent again and again until something comes; zeroed: it is not. */
struct edge_repeat {
	struct timer_entry entry;
	uint8_t step;                              /* its wait is T1 times two to the step */
	uint8_t last;                              /* it grows no further */
	void (*again)(struct edge_repeat *repeat); /* may free it */
};

enum { REPEAT_T2 = 3, REPEAT_STEPS = 7 };

/** @return 0 or -ENOMEM; edge_repeats_fini() is harmless then */
int edge_repeats_init(struct edge *edge, struct event_base *base);
void edge_repeats_fini(struct edge *edge);

/** Call again() after T1, and then each time after twice as long, up to the last step. */
void edge_repeat_start(struct edge *edge, struct edge_repeat *repeat, uint8_t last);
/** From now on each time after T2. */
void edge_repeat_slow_down(struct edge *edge, struct edge_repeat *repeat);
void edge_repeat_stop(struct edge *edge, struct edge_repeat *repeat);
