#include "net/workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

TAILQ_HEAD(jobs, net_job);

struct net_workers {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* under lock */
	struct jobs waiting, over;
	bool stopping;

	int fd; /* readable when some are over */
	struct event event;
	unsigned wanted, started;
	pthread_t threads[];
};

/* --- the threads --- */

static void tell_loop(const struct net_workers *w)
{
	const uint64_t one = 1;
	ssize_t n = write(w->fd, &one, sizeof(one));

	(void)n; /* it counts, so it cannot fail before there were 2^64 jobs */
}

static void run_next(struct net_workers *w)
{
	struct net_job *job = TAILQ_FIRST(&w->waiting);
	bool first;

	TAILQ_REMOVE(&w->waiting, job, entry);
	job->waits = false;
	pthread_mutex_unlock(&w->lock);
	job->run(job);
	pthread_mutex_lock(&w->lock);
	first = TAILQ_EMPTY(&w->over);
	TAILQ_INSERT_TAIL(&w->over, job, entry);
	if (first)
		tell_loop(w);
}

static void *run(void *arg)
{
	struct net_workers *w = arg;

	pthread_mutex_lock(&w->lock);
	while (!w->stopping) {
		if (TAILQ_EMPTY(&w->waiting))
			pthread_cond_wait(&w->wake, &w->lock);
		else
			run_next(w);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* --- the loop's side --- */

static void finish(struct jobs *jobs)
{
	struct net_job *job;

	while ((job = TAILQ_FIRST(jobs))) {
		TAILQ_REMOVE(jobs, job, entry);
		job->done(job);
	}
}

static void on_over(evutil_socket_t fd, short what, void *arg)
{
	struct net_workers *w = arg;
	struct jobs over = TAILQ_HEAD_INITIALIZER(over);
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&w->lock);
	TAILQ_CONCAT(&over, &w->over, entry);
	pthread_mutex_unlock(&w->lock);
	finish(&over);
}

/* Signals are the loop's. @return 0, or an error if there is no thread at all */
static int start_threads(struct net_workers *w)
{
	sigset_t all, before;
	int err = 0;

	if (w->started)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (err == 0 && w->started < w->wanted) {
		err = pthread_create(&w->threads[w->started], NULL, run, w);
		w->started += err == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return w->started ? 0 : -err;
}

int net_workers_put(struct net_workers *w, struct net_job *job)
{
	int err = start_threads(w);

	if (err < 0)
		return err;
	pthread_mutex_lock(&w->lock);
	TAILQ_INSERT_TAIL(&w->waiting, job, entry);
	job->waits = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

bool net_workers_cancel(struct net_workers *w, struct net_job *job)
{
	bool waits;

	pthread_mutex_lock(&w->lock);
	waits = job->waits;
	if (waits)
		TAILQ_REMOVE(&w->waiting, job, entry);
	job->waits = false;
	pthread_mutex_unlock(&w->lock);
	return waits;
}

/* --- life --- */

int net_workers_new(struct net_workers **workersp, struct event_base *base, unsigned threads)
{
	struct net_workers *w = calloc(1, sizeof(*w) + threads * sizeof(w->threads[0]));
	int err = 0;

	if (!w)
		return -ENOMEM;
	w->wanted = threads;
	TAILQ_INIT(&w->waiting);
	TAILQ_INIT(&w->over);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->fd < 0)
		err = -errno;
	if (err == 0
	    && (event_assign(&w->event, base, w->fd, EV_READ | EV_PERSIST, on_over, w) < 0
		|| event_add(&w->event, NULL) < 0))
		err = -ENOMEM;
	if (err < 0) {
		net_workers_free(w);
		return err;
	}
	*workersp = w;
	return 0;
}

void net_workers_free(struct net_workers *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->started; i++)
		pthread_join(w->threads[i], NULL);
	finish(&w->over);
	finish(&w->waiting);
	if (event_initialized(&w->event))
		event_del(&w->event);
	if (w->fd >= 0)
		close(w->fd);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
