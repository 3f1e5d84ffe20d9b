/* One queue for each length of a wait: any number of them costs as many timers of the loop. */
#include "edge/repeat_priv.h"

#include <errno.h>

#include "edge/priv.h"

enum { T1_MS = 500 }; /* RFC 3261 17.1.1.1 */

static void on_due(struct timer_entry *entry, void *arg)
{
	struct edge_repeat *r =
	    (struct edge_repeat *)(void *)((char *)entry - offsetof(struct edge_repeat, entry));
	struct edge *edge = arg;

	if (r->step < r->last)
		r->step++;
	timer_queue_start(&edge->repeats[r->step], &r->entry);
	r->again(r);
}

int edge_repeats_init(struct edge *edge, struct event_base *base)
{
	int err = 0;

	for (unsigned i = 0; i < REPEAT_STEPS && err == 0; i++)
		err = timer_queue_init(&edge->repeats[i], base, (uint64_t)T1_MS << i, on_due, edge);
	return err;
}

void edge_repeats_fini(struct edge *edge)
{
	for (unsigned i = 0; i < REPEAT_STEPS; i++)
		timer_queue_fini(&edge->repeats[i]);
}

void edge_repeat_start(struct edge *edge, struct edge_repeat *r, uint8_t last)
{
	r->step = 0;
	r->last = last;
	timer_queue_start(&edge->repeats[0], &r->entry);
}

void edge_repeat_slow_down(struct edge *edge, struct edge_repeat *r)
{
	if (!timer_entry_running(&r->entry) || r->step == REPEAT_T2)
		return;
	edge_repeat_stop(edge, r);
	r->step = REPEAT_T2;
	timer_queue_start(&edge->repeats[r->step], &r->entry);
}

void edge_repeat_stop(struct edge *edge, struct edge_repeat *r)
{
	timer_queue_stop(&edge->repeats[r->step], &r->entry);
}
