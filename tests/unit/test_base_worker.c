/* Jobs on threads, and how they come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include <event2/event.h>

#include <msrpd/worker.h>

#include "loop.h"

enum { JOBS = 500, THREADS = 3 };

struct fixture {
	struct event_base *base;
	struct worker *workers;
	pthread_t loop;
	sem_t gate, reached; /* for jobs that wait */
	unsigned done;
};

struct task {
	struct job job;
	struct fixture *fixture;
	unsigned again; /* times to give it in again */
	unsigned runs, dones;
	bool on_thread;
};

static struct task *task_of(struct job *job)
{
	return (struct task *)job; /* its first member */
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->base = event_base_new();
	f->loop = pthread_self();
	sem_init(&f->gate, 0, 0);
	sem_init(&f->reached, 0, 0);
	assert_int_equal(worker_new(&f->workers, f->base, THREADS), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	worker_free(f->workers);
	event_base_free(f->base);
	sem_destroy(&f->gate);
	sem_destroy(&f->reached);
	free(f);
	return 0;
}

static void run(struct job *job)
{
	struct task *j = task_of(job);

	j->runs++;
	j->on_thread = !pthread_equal(pthread_self(), j->fixture->loop);
}

static void run_at_gate(struct job *job)
{
	struct task *j = task_of(job);

	sem_post(&j->fixture->reached);
	sem_wait(&j->fixture->gate);
	run(job);
}

static void done(struct job *job)
{
	struct task *j = task_of(job);

	assert_true(pthread_equal(pthread_self(), j->fixture->loop));
	assert_true(j->on_thread);
	assert_int_equal(j->runs, ++j->dones);
	j->fixture->done++;
	if (j->again) {
		j->again--;
		worker_put(j->fixture->workers, job);
	}
}

static void put(struct fixture *f, struct task *jobs, size_t count, void (*what)(struct job *job),
    unsigned again)
{
	for (size_t i = 0; i < count; i++) {
		jobs[i] = (struct task){.job = {.work = what, .done = done},
		    .fixture = f,
		    .again = again};
		worker_put(f->workers, &jobs[i].job);
	}
}

static bool all_done(void *arg)
{
	struct fixture *f = arg;

	return f->done == 2 * JOBS;
}

static void jobs_run_on_threads_and_come_back(void **state)
{
	static struct task jobs[JOBS];
	struct fixture *f = *state;

	put(f, jobs, JOBS, run, 1);
	loop_until(f->base, all_done, f);
	for (size_t i = 0; i < JOBS; i++)
		assert_int_equal(jobs[i].dones, 2);
}

static void what_has_not_begun_can_be_forgotten(void **state)
{
	struct task busy[THREADS], waiting[2];
	struct fixture *f = *state;

	put(f, busy, THREADS, run_at_gate, 0);
	for (int i = 0; i < THREADS; i++)
		sem_wait(&f->reached);
	put(f, waiting, 2, run, 0);
	assert_true(worker_cancel(f->workers, &waiting[0].job));
	assert_true(worker_cancel(f->workers, &waiting[1].job));
	assert_false(worker_cancel(f->workers, &waiting[0].job));
	assert_false(worker_cancel(f->workers, &busy[0].job));
	for (int i = 0; i < THREADS; i++)
		sem_post(&f->gate);
	worker_free(f->workers);
	f->workers = NULL;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(busy[i].dones, 1);
	assert_int_equal(waiting[0].runs + waiting[1].runs, 0);
}

static void the_end_waits_for_what_runs(void **state)
{
	struct task job;
	struct fixture *f = *state;

	put(f, &job, 1, run_at_gate, 0);
	sem_wait(&f->reached);
	sem_post(&f->gate);
	worker_free(f->workers);
	f->workers = NULL;
	assert_int_equal(job.dones, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(jobs_run_on_threads_and_come_back),
	    CASE(what_has_not_begun_can_be_forgotten),
	    CASE(the_end_waits_for_what_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
