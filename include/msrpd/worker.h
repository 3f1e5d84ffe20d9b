/*
 * Threads beside the loop, for what may have to wait for a disk or would take long.  Jobs are begun
 * in the order in which they are put, so one thread does one after the other.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

struct event_base;
struct worker;

enum { WORKER_THREADS_MAX = 64 };

/** Embedded in its owner, which stays as long as it is under way. */
struct job {
	/** In the thread: touches what belongs to the job, and nothing else. */
	void (*work)(struct job *job);
	/** In the loop, when that is done; the job may be put again, or freed. */
	void (*done)(struct job *job);
	TAILQ_ENTRY(job) entry;
	bool waits; /* the worker's */
};

/**
 * The threads themselves begin with the first job.
 *
 * @param threads  how many, 1 to WORKER_THREADS_MAX
 * @return 0 or -ENOMEM
 */
int worker_new(struct worker **workerp, struct event_base *base, unsigned threads);

/** Without a thread to be had the work is done at once, and done() follows all the same. */
void worker_put(struct worker *w, struct job *job);

/** @return true: it has not begun, and is forgotten; false: done() will be, or was, called */
bool worker_cancel(struct worker *w, struct job *job);

/** Jobs that are under way are finished, and their done() called.  Accepts NULL. */
void worker_free(struct worker *w);
