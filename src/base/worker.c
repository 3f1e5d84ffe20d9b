#include <msrpd/worker.h>

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

TAILQ_HEAD(jobs, job);

struct worker {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* under lock */
	struct jobs waiting, worked;
	bool stopping;

	struct event *event;
	int fd; /* readable when jobs have been worked */
	unsigned wanted, started;
	pthread_t threads[];
};

/* --- in the threads --- */

static void tell(const struct worker *w)
{
	const uint64_t one = 1;

	/* It fails only when it tells already. */
	if (write(w->fd, &one, sizeof(one)) < 0)
		return;
}

/* Under lock. */
static void return_job(struct worker *w, struct job *job)
{
	bool first = TAILQ_EMPTY(&w->worked);

	TAILQ_INSERT_TAIL(&w->worked, job, entry);
	if (first)
		tell(w);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct job *job;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!(job = TAILQ_FIRST(&w->waiting)) && !w->stopping)
			pthread_cond_wait(&w->wake, &w->lock);
		if (!job)
			break;
		TAILQ_REMOVE(&w->waiting, job, entry);
		job->waits = false;
		pthread_mutex_unlock(&w->lock);
		job->work(job);
		pthread_mutex_lock(&w->lock);
		return_job(w, job);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* --- in the loop --- */

static struct job *take_worked(struct worker *w)
{
	struct job *job;

	pthread_mutex_lock(&w->lock);
	job = TAILQ_FIRST(&w->worked);
	if (job)
		TAILQ_REMOVE(&w->worked, job, entry);
	pthread_mutex_unlock(&w->lock);
	return job;
}

static void on_worked(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	uint64_t count;
	struct job *job;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	while ((job = take_worked(w)))
		job->done(job);
}

/* @return whether there is a thread */
static bool start_threads(struct worker *w)
{
	sigset_t all, before;

	if (w->started || w->stopping)
		return w->started;
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (w->started < w->wanted && pthread_create(&w->threads[w->started], NULL, run, w) == 0)
		w->started++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return w->started;
}

int worker_new(struct worker **workerp, struct event_base *base, unsigned threads)
{
	struct worker *w = calloc(1, sizeof(*w) + threads * sizeof(w->threads[0]));

	if (!w)
		return -ENOMEM;
	w->wanted = threads;
	TAILQ_INIT(&w->waiting);
	TAILQ_INIT(&w->worked);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd >= 0)
		w->event = event_new(base, w->fd, EV_READ | EV_PERSIST, on_worked, w);
	if (!w->event || event_add(w->event, NULL) < 0) {
		worker_free(w);
		return -ENOMEM;
	}
	*workerp = w;
	return 0;
}

void worker_put(struct worker *w, struct job *job)
{
	bool running = start_threads(w);

	if (!running)
		job->work(job);
	pthread_mutex_lock(&w->lock);
	job->waits = running;
	if (running) {
		TAILQ_INSERT_TAIL(&w->waiting, job, entry);
		pthread_cond_signal(&w->wake);
	} else {
		return_job(w, job);
	}
	pthread_mutex_unlock(&w->lock);
}

bool worker_cancel(struct worker *w, struct job *job)
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

static void stop_threads(struct worker *w)
{
	struct job *job;

	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->started; i++)
		pthread_join(w->threads[i], NULL);
	w->started = 0; /* jobs that are put now are done at once */
	while ((job = take_worked(w)))
		job->done(job);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	stop_threads(w);
	if (w->event)
		event_free(w->event);
	if (w->fd >= 0)
		close(w->fd);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
