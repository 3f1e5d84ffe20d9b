/*
 * Threads for what would hold up the loop: jobs go out, and what became of them comes back in a
 * turn of the loop.  Whatever a job looks at is the thread's until then.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

struct event_base;
struct net_workers;

enum { NET_WORKERS_MAX = 64 };

/** Embedded in its owner, which bounds how many there are. */
struct net_job {
	TAILQ_ENTRY(net_job) entry;
	bool waits;                        /* the pool's */
	void (*run)(struct net_job *job);  /* on a thread */
	void (*done)(struct net_job *job); /* on the loop; may free it, or give it in again */
};

/**
 * Its threads begin with the first job.
 *
 * @param threads  how many, 1 to NET_WORKERS_MAX
 * @return 0 or negative errno
 */
int net_workers_new(struct net_workers **workersp, struct event_base *base, unsigned threads);

/** Jobs that run are waited for; what has run, or will not, is told done().  NULL is harmless. */
void net_workers_free(struct net_workers *workers);

/**
 * Run it when a thread has time for it, in the order in which they came.
 * @return 0, or negative errno: there are no threads to be had
 */
int net_workers_put(struct net_workers *workers, struct net_job *job);

/** @return true: it has not begun, and is forgotten; false: done() will be called */
bool net_workers_cancel(struct net_workers *workers, struct net_job *job);
