#include <msrpd/worker.h>

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

STAILQ_HEAD(jobs, job);

struct worker {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* under lock */
	struct jobs waiting, worked;
	bool stopping;

	pthread_t thread;
	bool running;
	struct event *event;
	int fd; /* readable when jobs have been worked */
};

/* --- in the thread --- */

static void tell(const struct worker *w)
{
	const uint64_t one = 1;

	/* It fails only when it tells already. */
	if (write(w->fd, &one, sizeof(one)) < 0)
		return;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct job *job;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!(job = STAILQ_FIRST(&w->waiting)) && !w->stopping)
			pthread_cond_wait(&w->wake, &w->lock);
		if (!job)
			break;
		STAILQ_REMOVE_HEAD(&w->waiting, next);
		pthread_mutex_unlock(&w->lock);
		job->work(job);
		pthread_mutex_lock(&w->lock);
		STAILQ_INSERT_TAIL(&w->worked, job, next);
		tell(w);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* --- in the loop --- */

static struct job *take_worked(struct worker *w)
{
	struct job *job;

	pthread_mutex_lock(&w->lock);
	job = STAILQ_FIRST(&w->worked);
	if (job)
		STAILQ_REMOVE_HEAD(&w->worked, next);
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

static bool start_thread(struct worker *w)
{
	sigset_t all, before;

	if (w->running || w->stopping)
		return w->running;
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	w->running = pthread_create(&w->thread, NULL, run, w) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return w->running;
}

int worker_new(struct worker **workerp, struct event_base *base)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	STAILQ_INIT(&w->waiting);
	STAILQ_INIT(&w->worked);
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
	bool running = start_thread(w);

	if (!running)
		job->work(job);
	pthread_mutex_lock(&w->lock);
	STAILQ_INSERT_TAIL(running ? &w->waiting : &w->worked, job, next);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	if (!running)
		tell(w);
}

static void stop_thread(struct worker *w)
{
	struct job *job;

	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	if (w->running)
		pthread_join(w->thread, NULL);
	w->running = false; /* jobs that are put now are done at once */
	while ((job = take_worked(w)))
		job->done(job);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	stop_thread(w);
	if (w->event)
		event_free(w->event);
	if (w->fd >= 0)
		close(w->fd);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
