/*
 * A thread beside the loop, for what may have to wait for a disk or would take long.  It does one
 * job at a time, in the order in which they are put.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

struct event_base;
struct worker;

/** Embedded in its owner, which stays as long as it is under way. */
struct job {
	/** In the thread: touches what belongs to the job, and nothing else. */
	void (*work)(struct job *job);
	/** In the loop, when that is done; the job may be put again, or freed. */
	void (*done)(struct job *job);
	STAILQ_ENTRY(job) next;
};

/** The thread itself begins with the first job.  @return 0 or -ENOMEM */
int worker_new(struct worker **workerp, struct event_base *base);

/** Without a thread to be had the work is done at once, and done() follows all the same. */
void worker_put(struct worker *w, struct job *job);

/** Jobs that are under way are finished, and their done() called.  Accepts NULL. */
void worker_free(struct worker *w);
