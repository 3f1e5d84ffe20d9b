#include <msrpd/timer.h>

#include <errno.h>
#include <stddef.h>
#include <time.h>

#include <event2/event.h>

uint64_t timer_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	(void)fd;
	(void)what;
	t->fn(t->arg);
}

int timer_init(struct timer *t, struct event_base *base, void (*fn)(void *arg), void *arg)
{
	*t = (struct timer){.fn = fn, .arg = arg};
	t->event = evtimer_new(base, on_timer, t);
	return t->event ? 0 : -ENOMEM;
}

static bool start(struct timer *t, uint64_t delay_ms)
{
	struct timeval tv = {
	    .tv_sec = (time_t)(delay_ms / 1000),
	    .tv_usec = (suseconds_t)(delay_ms % 1000 * 1000),
	};

	return evtimer_add(t->event, &tv) == 0;
}

void timer_start(struct timer *t, uint64_t delay_ms)
{
	start(t, delay_ms);
}

void timer_stop(struct timer *t)
{
	if (t->event)
		evtimer_del(t->event);
}

bool timer_running(const struct timer *t)
{
	return t->event && evtimer_pending(t->event, NULL);
}

void timer_fini(struct timer *t)
{
	if (t->event)
		event_free(t->event);
	t->event = NULL;
}

/* The loop's timer runs for the first entry alone; the others come after it. */
static void arm(struct timer_queue *q)
{
	const struct timer_entry *first = timer_queue_first(q);
	uint64_t now;

	if (!first || q->period_ms == 0) {
		timer_stop(&q->timer);
		q->armed = false;
		return;
	}
	now = timer_now_ms();
	q->armed = start(&q->timer, first->due_ms > now ? first->due_ms - now : 0);
}

static void unlink_entry(struct timer_queue *q, struct timer_entry *entry)
{
	TAILQ_REMOVE(&q->entries, entry, next);
	entry->next.tqe_prev = NULL;
}

static void on_queue(void *arg)
{
	struct timer_queue *q = arg;
	uint64_t now = timer_now_ms();
	struct timer_entry *entry;

	/* A handler that starts its entry again gets a later due time, so this ends. */
	while ((entry = timer_queue_first(q)) && q->period_ms && entry->due_ms <= now) {
		unlink_entry(q, entry);
		q->expired(entry, q->arg);
	}
	arm(q);
}

int timer_queue_init(struct timer_queue *q, struct event_base *base, uint64_t period_ms,
    void (*expired)(struct timer_entry *entry, void *arg), void *arg)
{
	*q = (struct timer_queue){.period_ms = period_ms, .expired = expired, .arg = arg};
	TAILQ_INIT(&q->entries);
	return timer_init(&q->timer, base, on_queue, q);
}

void timer_queue_fini(struct timer_queue *q)
{
	timer_fini(&q->timer);
}

void timer_queue_set_period(struct timer_queue *q, uint64_t period_ms)
{
	struct timer_entry *entry;

	TAILQ_FOREACH(entry, &q->entries, next)
		entry->due_ms = entry->due_ms - q->period_ms + period_ms;
	q->period_ms = period_ms;
	arm(q);
}

void timer_queue_start(struct timer_queue *q, struct timer_entry *entry)
{
	if (timer_entry_running(entry))
		unlink_entry(q, entry);
	entry->due_ms = timer_now_ms() + q->period_ms;
	TAILQ_INSERT_TAIL(&q->entries, entry, next);
	/* Later ones ride on the timer of the first: a wake-up too early re-arms itself. */
	if (q->period_ms && !q->armed)
		arm(q);
}

void timer_queue_stop(struct timer_queue *q, struct timer_entry *entry)
{
	if (!timer_entry_running(entry))
		return;
	unlink_entry(q, entry);
	if (TAILQ_EMPTY(&q->entries))
		arm(q);
}
