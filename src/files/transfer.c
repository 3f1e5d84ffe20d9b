/* A file on its way: its memory, its threads' work, its end. */
#include "files/priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <msrpd/budget.h>
#include <msrpd/story.h>

#define FACTS "session_id", "name", "type", "size", "path", "sha1", "sha256"

const struct event_type files_received = {
    .name = "E_MSRP_FILE_RECEIVED",
    .params = (const char *const[]){FACTS, NULL},
};

const struct event_type files_sent = {
    .name = "E_MSRP_FILE_SENT",
    .params = (const char *const[]){FACTS, NULL},
};

const struct event_type files_failed = {
    .name = "E_MSRP_FILE_FAILED",
    .params = (const char *const[]){FACTS, "reason", NULL},
};

const struct event_type files_progress = {
    .often = true,
    .name = "E_MSRP_FILE_PROGRESS",
    .params = (const char *const[]){"session_id", "bytes", "size", NULL},
};

/* --- life --- */

static void work_task(struct job *job);
static void on_task_done(struct job *job);

static int make_tasks(struct transfer *t)
{
	int err = 0;

	for (int i = 0; i < TASKS; i++) {
		t->tasks[i] =
		    (struct task){.job = {.work = work_task, .done = on_task_done}, .of = t};
		if (i < SUM_KINDS && err == 0)
			err = sum_new(&t->tasks[i].sum, (enum sum_kind)i);
	}
	return err;
}

int transfer_new(struct transfer **tp, struct files *files, struct slice name, struct slice type)
{
	struct transfer *t;

	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->files = files;
	t->fd = -1;
	t->size = UINT64_MAX;
	t->name = slice_dup(name);
	t->type = slice_dup(type);
	TAILQ_INSERT_TAIL(&files->all, t, next);
	files->begun++;
	(*files->count.under_way)++;
	if (!t->name || !t->type || make_tasks(t) < 0) {
		transfer_free(t);
		return -ENOMEM;
	}
	*tp = t;
	return 0;
}

void transfer_free(struct transfer *t)
{
	struct files *files = t->files;

	TAILQ_REMOVE(&files->all, t, next);
	(*files->count.under_way)--;
	timer_queue_stop(&files->idle, &t->idle);
	timer_queue_stop(&files->confirm, &t->confirm);
	budget_return(files->budget, t->charged);
	if (t->fd >= 0)
		close(t->fd);
	for (int i = 0; i < SUM_KINDS; i++)
		sum_free(t->tasks[i].sum);
	for (int i = 0; i < 2; i++)
		free(t->halves[i].p);
	free(t->cpim.p);
	free(t->head);
	free(t->session_id);
	free(t->owner);
	free(t->name);
	free(t->type);
	free(t->path);
	free(t);
}

int transfer_allocate(struct transfer *t)
{
	if (budget_take_within(t->files->budget, BUFFER_COST, BUFFER_TENTHS) < 0)
		return -ENOBUFS;
	t->charged = BUFFER_COST;
	for (int i = 0; i < 2; i++) {
		t->halves[i] = (struct half){.p = malloc(HALF_SIZE), .cap = HALF_SIZE};
		if (!t->halves[i].p)
			return -ENOMEM;
	}
	return 0;
}

int transfer_set_session(struct transfer *t, struct ua_session *s)
{
	struct ua_session_info info;

	ua_session_info(s, &info);
	t->s = s;
	t->session_id = slice_dup(slice_of(ua_session_id(s)));
	t->owner = slice_dup(info.uac ? info.from_uri : info.to_uri);
	return t->session_id && t->owner ? 0 : -ENOMEM;
}

/* --- the threads --- */

static void work_task(struct job *job)
{
	struct task *task = (struct task *)job;
	struct transfer *t = task->of;

	task->err = task->sum ? t->work->sum(t, task->sum) : t->work->disk(t);
}

static void on_task_done(struct job *job)
{
	const struct task *task = (struct task *)job;
	struct transfer *t = task->of;

	if (t->err == 0)
		t->err = task->err;
	if (--t->busy > 0)
		return;
	if (t->err == 0)
		t->summed = t->sum_to;
	t->work->done(t);
}

void transfer_put(struct transfer *t, const struct work *work, size_t bytes)
{
	unsigned first = work->sum ? 0 : DISK, end = work->disk ? TASKS : DISK;

	t->work = work;
	t->err = 0;
	t->sum_to = t->summed + bytes;
	t->busy = end - first;
	for (unsigned i = first; i < end; i++)
		worker_put(t->files->worker, &t->tasks[i].job);
}

void transfer_put_sums(struct transfer *t, const struct work *work, uint64_t end)
{
	uint64_t left = end > t->summed ? end - t->summed : 0;

	transfer_put(t, work, left < SUMMED_AT_ONCE ? (size_t)left : SUMMED_AT_ONCE);
}

int transfer_sum(struct transfer *t, struct sum *sum)
{
	char block[64 * 1024];
	uint64_t at = t->summed;

	while (at < t->sum_to) {
		size_t want =
		    t->sum_to - at < sizeof(block) ? (size_t)(t->sum_to - at) : sizeof(block);
		ssize_t n = pread(t->fd, block, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		if (sum_add(sum, (struct slice){block, (size_t)n}) < 0)
			return -ENOMEM;
		at += (uint64_t)n;
	}
	return 0;
}

int transfer_sum_up(struct transfer *t)
{
	int err = sum_finish(t->tasks[SUM_SHA1].sum, t->is_sha1);

	return err < 0 ? err : sum_finish(t->tasks[SUM_SHA256].sum, t->is_sha256);
}

/* --- telling --- */

static void emit(struct transfer *t, const struct event_type *type,
    const struct event_param *params, size_t count)
{
	struct slice owner = slice_of(t->owner);
	struct event_audience audience = event_audience_of(&owner);

	event_emit_for(t->files->bus, type, params, count, &audience);
}

static struct event_param size_param(const struct transfer *t)
{
	return t->size == UINT64_MAX ? event_null("size") : event_number("size", (int64_t)t->size);
}

void transfer_moved(struct transfer *t, uint64_t bytes)
{
	uint64_t now = timer_now_ms();

	t->moved += bytes;
	*(t->out ? t->files->count.bytes_out : t->files->count.bytes_in) += bytes;
	if (timer_entry_running(&t->idle))
		timer_queue_start(&t->files->idle, &t->idle);
	if (now - t->told_ms < PROGRESS_MS || !event_wanted(t->files->bus, &files_progress))
		return;
	t->told_ms = now;

	struct event_param params[] = {
	    event_text("session_id", slice_of(t->session_id)),
	    event_number("bytes", (int64_t)(t->offset + t->moved)),
	    size_param(t),
	};

	emit(t, &files_progress, params, sizeof(params) / sizeof(params[0]));
}

void transfer_end_session(struct transfer *t)
{
	struct ua_session *s = t->s;

	t->s = NULL;
	if (s)
		ua_end(s);
}

static struct event_param sum_param(const struct transfer *t, const char *name, char *text,
    const uint8_t *sum, size_t size)
{
	if (!t->summed_up)
		return event_null(name);
	sum_write(text, sum, size, false);
	return event_text(name, (struct slice){text, 2 * size});
}

void transfer_over(struct transfer *t, const struct event_type *type, struct slice reason)
{
	const struct story of = {.session_id = slice_of(t->session_id)};
	bool there = t->out || t->finished; /* what comes has its name when it is whole */
	char sha1[SUM_TEXT_SIZE], sha256[SUM_TEXT_SIZE];
	struct event_param params[] = {
	    event_text("session_id", slice_of(t->session_id)),
	    event_text("name", slice_of(t->name)),
	    event_text("type", slice_of(t->type)),
	    size_param(t),
	    event_text("path", there ? slice_of(t->path) : (struct slice){NULL, 0}),
	    sum_param(t, "sha1", sha1, t->is_sha1, SUM_SHA1_SIZE),
	    sum_param(t, "sha256", sha256, t->is_sha256, SUM_SHA256_SIZE),
	    event_text("reason", reason),
	};
	size_t count = sizeof(params) / sizeof(params[0]);

	if (t->over)
		return;
	t->over = true;
	timer_queue_stop(&t->files->idle, &t->idle);
	params[4].guarded = true;
	if (type == &files_failed) {
		(*t->files->count.failed)++;
		story_note(LOG_LEVEL_INFO, &of, "files: session %s: file failed: %.*s",
		    t->session_id, SLICE_ARG(reason));
	} else {
		count--;
		(*(type == &files_sent ? t->files->count.sent : t->files->count.received))++;
	}
	emit(t, type, params, count);
}

void transfer_failed_by(struct transfer *t, int code, struct slice phrase)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "%d%s%.*s", code, phrase.len ? " " : "",
	    SLICE_ARG(slice_head(phrase, 200)));

	transfer_over(t, &files_failed, (struct slice){text, (size_t)n});
}
