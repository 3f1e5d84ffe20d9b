/*
 * Timers on the daemon's loop: single ones, and queues of equal time-outs, in
 * which any number of deadlines costs one timer of the loop.
 *
 * Times are milliseconds of the monotonic clock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct event;
struct event_base;

/** Milliseconds of the monotonic clock. */
uint64_t timer_now_ms(void);

/**
 * One timer, embedded in its owner.  Zeroed memory is an initialised timer that
 * never was started: timer_stop() and timer_fini() are harmless on it.
 */
struct timer {
	struct event *event;
	void (*fn)(void *arg);
	void *arg;
};

/** @return 0 or -ENOMEM */
int timer_init(struct timer *t, struct event_base *base, void (*fn)(void *arg), void *arg);

/** Call fn once, delay_ms from now; a timer that runs already is set anew. */
void timer_start(struct timer *t, uint64_t delay_ms);

void timer_stop(struct timer *t);
bool timer_running(const struct timer *t);

/** Stops, and frees what init took. */
void timer_fini(struct timer *t);

/** A place in a timer_queue, embedded in what times out.  Zeroed: not queued. */
struct timer_entry {
	TAILQ_ENTRY(timer_entry) next;
	uint64_t due_ms;
};

/** Time-outs of one common length; start and stop are O(1). */
struct timer_queue {
	struct timer timer;
	TAILQ_HEAD(, timer_entry) entries; /* the first is due first */
	uint64_t period_ms;
	bool armed; /* timer runs for one of them */
	void (*expired)(struct timer_entry *entry, void *arg);
	void *arg;
};

/**
 * @param period_ms  how long each entry waits; 0: entries never expire
 * @param expired    called with the entry already taken out; may start and stop any entry
 * @return 0 or -ENOMEM
 */
int timer_queue_init(struct timer_queue *q, struct event_base *base, uint64_t period_ms,
    void (*expired)(struct timer_entry *entry, void *arg), void *arg);

/** All entries must be stopped before. */
void timer_queue_fini(struct timer_queue *q);

/** Change the period; entries that wait keep their start and get the new length. */
void timer_queue_set_period(struct timer_queue *q, uint64_t period_ms);

/** (Re)start the entry's wait from now. */
void timer_queue_start(struct timer_queue *q, struct timer_entry *entry);

/** Harmless on an entry that is not queued. */
void timer_queue_stop(struct timer_queue *q, struct timer_entry *entry);

/** Milliseconds that an entry has waited. */
static inline uint64_t timer_queue_age(const struct timer_queue *q, const struct timer_entry *entry)
{
	return timer_now_ms() + q->period_ms - entry->due_ms;
}

/** The entry that expires next, NULL if there is none. */
static inline struct timer_entry *timer_queue_first(const struct timer_queue *q)
{
	return TAILQ_FIRST(&q->entries);
}

static inline bool timer_entry_running(const struct timer_entry *entry)
{
	return entry->next.tqe_prev != NULL;
}
