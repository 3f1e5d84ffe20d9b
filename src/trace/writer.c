/*
 * The thread that writes a trace: a disk may be slow and a name may not be found, but the loop does
 * not wait for either.  Records come through a bounded queue of two halves, one being filled while
 * the other is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "trace/priv.h"

struct trace_writer {
	pthread_mutex_t lock;
	pthread_cond_t wake, done;
	/* under lock */
	struct buffer filling;
	bool stopping, over, abandoned;
	unsigned lost;
	int err;

	pthread_t thread;
	/* the thread's */
	struct buffer writing;
	int fd;
	char *path, *begin, *host, *port;
	size_t begin_len;
	uint64_t written, max_file; /* written: what is whole */
	unsigned files, number;
	unsigned *made, count; /* numbers of the files that are there, the oldest first */
};

enum { NUMBERS_AT_ONCE = 1000 }; /* are tried for one record */

/* --- files --- */

/* "/dir/trace.pcapng", "/dir/trace.1.pcapng", … */
static char *name_of(const struct trace_writer *w, unsigned number)
{
	const char *base = strrchr(w->path, '/'), *dot;
	char *name;
	int n;

	dot = strrchr(base ? base : w->path, '.');
	if (!dot)
		dot = w->path + strlen(w->path);
	n = number ? asprintf(&name, "%.*s.%u%s", (int)(dot - w->path), w->path, number, dot)
		   : asprintf(&name, "%s", w->path);
	return n < 0 ? NULL : name;
}

static void close_fd(struct trace_writer *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

static int write_all(const struct trace_writer *w, struct slice bytes)
{
	uint64_t at = w->written;

	while (bytes.len) {
		ssize_t n = pwrite(w->fd, bytes.p, bytes.len, (off_t)at);

		if (n < 0 && errno != EINTR)
			return -errno;
		bytes = slice_from(bytes, n > 0 ? (size_t)n : 0);
		at += n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}

/* All of it or nothing: behind half a record nobody can read on. */
static int write_record(struct trace_writer *w, struct slice record)
{
	int err = write_all(w, record);

	if (err == 0)
		w->written += record.len;
	else if (ftruncate(w->fd, (off_t)w->written) < 0)
		close_fd(w);
	return err;
}

/* The oldest of the files that this writer has made; those of others stay, whatever their name. */
static void forget_oldest(struct trace_writer *w)
{
	char *name = name_of(w, w->made[0]);

	if (name)
		unlink(name);
	free(name);
	memmove(w->made, w->made + 1, --w->count * sizeof(w->made[0]));
}

/* It begins with the section's header, or it is not there. */
static int begin_file(struct trace_writer *w, const char *name)
{
	int err;

	w->written = 0;
	err = write_record(w, (struct slice){w->begin, w->begin_len});
	if (err < 0) {
		close_fd(w);
		unlink(name);
		return err;
	}
	w->made[w->count++] = w->number;
	return 0;
}

/* The name is new, so that nobody else can have it open, and no link leads away. */
static int open_file(struct trace_writer *w)
{
	char *name = name_of(w, w->number);
	int err = 0;

	if (!name)
		return -ENOMEM;
	w->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (w->fd < 0)
		err = -errno;
	/* First of all, for it may be our own files that fill the disk. */
	if (err == 0 && w->count == w->files)
		forget_oldest(w);
	if (err == 0)
		err = begin_file(w, name);
	free(name);
	return err;
}

/* A number that an earlier trace has used is left out. */
static int next_file(struct trace_writer *w)
{
	int err = -EEXIST;

	close_fd(w);
	if (w->count && w->made[w->count - 1] == w->number)
		w->number++;
	for (unsigned i = 0; err == -EEXIST && i < NUMBERS_AT_ONCE; i++) {
		err = open_file(w);
		if (err == -EEXIST)
			w->number++;
	}
	return err;
}

static int write_to_file(struct trace_writer *w, struct slice record)
{
	int err = 0;

	if (w->fd < 0 || w->written + record.len > w->max_file)
		err = next_file(w);
	return err < 0 ? err : write_record(w, record);
}

/* --- hosts --- */

static int connect_to(struct trace_writer *w)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
	struct addrinfo *found, *a;
	int err = -EHOSTUNREACH;

	if (getaddrinfo(w->host, w->port, &hints, &found) != 0)
		return err;
	for (a = found; a && w->fd < 0; a = a->ai_next) {
		w->fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (w->fd >= 0 && connect(w->fd, a->ai_addr, a->ai_addrlen) < 0) {
			err = -errno;
			close_fd(w);
		}
	}
	freeaddrinfo(found);
	return w->fd < 0 ? err : 0;
}

static int send_to_host(struct trace_writer *w, struct slice record)
{
	int err = w->fd < 0 ? connect_to(w) : 0;

	if (err < 0)
		return err;
	/* A port that was closed for the datagram before says so now; this one was not sent. */
	for (int i = 0; i < 2; i++)
		if (send(w->fd, record.p, record.len, MSG_NOSIGNAL) >= 0)
			return 0;
	return -errno;
}

/* --- the thread --- */

static void count_lost(struct trace_writer *w, int err)
{
	pthread_mutex_lock(&w->lock);
	w->lost++;
	w->err = err;
	pthread_mutex_unlock(&w->lock);
}

static void write_records(struct trace_writer *w)
{
	struct slice rest = buffer_text(&w->writing);
	uint32_t len;
	int err;

	while (rest.len) {
		memcpy(&len, rest.p, sizeof(len));
		rest = slice_from(rest, sizeof(len));
		err = w->host ? send_to_host(w, slice_head(rest, len))
			      : write_to_file(w, slice_head(rest, len));
		if (err < 0)
			count_lost(w, err);
		rest = slice_from(rest, len);
	}
	w->writing.len = 0;
}

static void writer_free(struct trace_writer *w)
{
	close_fd(w);
	buffer_fini(&w->filling);
	buffer_fini(&w->writing);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->wake);
	pthread_cond_destroy(&w->done);
	free(w->path);
	free(w->begin);
	free(w->made);
	free(w->host);
	free(w->port);
	free(w);
}

static void *run(void *arg)
{
	struct trace_writer *w = arg;
	struct buffer full;
	bool abandoned;

	pthread_mutex_lock(&w->lock);
	while (w->filling.len || !w->stopping) {
		if (w->filling.len == 0) {
			pthread_cond_wait(&w->wake, &w->lock);
			continue;
		}
		full = w->filling;
		w->filling = w->writing;
		w->writing = full;
		pthread_mutex_unlock(&w->lock);
		write_records(w);
		pthread_mutex_lock(&w->lock);
	}
	w->over = true;
	abandoned = w->abandoned;
	pthread_cond_signal(&w->done);
	pthread_mutex_unlock(&w->lock);
	if (abandoned)
		writer_free(w);
	return NULL;
}

/* Signals are the loop's. */
static int start_thread(struct trace_writer *w)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

/* --- the loop's side --- */

static int prepare(struct trace_writer *w, const struct trace_writer_options *o)
{
	w->path = slice_dup(slice_of(o->path));
	w->begin = slice_dup(o->begin);
	w->host = slice_dup(o->host);
	w->port = slice_dup(o->port);
	w->begin_len = o->begin.len;
	w->max_file = o->max_file;
	w->files = o->files;
	w->made = calloc(o->path ? o->files : 1, sizeof(w->made[0]));
	w->filling.max = w->writing.max = o->queue / 2;
	if (!w->made || (o->path && (!w->path || !w->begin))
	    || (o->host.p && (!w->host || !w->port)))
		return -ENOMEM;
	return o->path ? open_file(w) : 0;
}

int trace_writer_new(struct trace_writer **writerp, const struct trace_writer_options *options,
    struct reason *why)
{
	struct trace_writer *w = calloc(1, sizeof(*w));
	int err;

	reason_set(why, -ENOMEM, "out of memory");
	if (!w)
		return -ENOMEM;
	w->fd = -1;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	pthread_cond_init(&w->done, NULL);
	err = prepare(w, options);
	if (err == 0)
		err = start_thread(w);
	if (err < 0) {
		reason_set(why, err, "%s: %s", options->path ? options->path : "thread",
		    strerror(-err));
		writer_free(w);
		return err;
	}
	*writerp = w;
	return 0;
}

int trace_writer_put(struct trace_writer *w, struct slice record)
{
	const uint32_t len = (uint32_t)record.len;
	struct buffer *b = &w->filling;
	bool was_empty, fits;

	pthread_mutex_lock(&w->lock);
	was_empty = b->len == 0;
	fits = record.len + sizeof(len) <= b->max - b->len
	    && buffer_reserve(b, record.len + sizeof(len)) == 0;
	if (fits) {
		buffer_add(b, (struct slice){(const char *)&len, sizeof(len)});
		buffer_add(b, record);
		if (was_empty)
			pthread_cond_signal(&w->wake);
	}
	b->err = 0; /* for want of memory: what is in it stays */
	pthread_mutex_unlock(&w->lock);
	return fits ? 0 : -ENOBUFS;
}

static unsigned take_lost(struct trace_writer *w, int *errp)
{
	unsigned lost = w->lost;

	*errp = w->err;
	w->lost = 0;
	return lost;
}

unsigned trace_writer_lost(struct trace_writer *w, int *errp)
{
	unsigned lost;

	pthread_mutex_lock(&w->lock);
	lost = take_lost(w, errp);
	pthread_mutex_unlock(&w->lock);
	return lost;
}

bool trace_writer_stop(struct trace_writer *w, unsigned wait_ms, unsigned *lostp, int *errp)
{
	struct timespec due;
	bool over;

	clock_gettime(CLOCK_REALTIME, &due);
	due.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	due.tv_sec += wait_ms / 1000 + due.tv_nsec / 1000000000;
	due.tv_nsec %= 1000000000;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_signal(&w->wake);
	while (!w->over && pthread_cond_timedwait(&w->done, &w->lock, &due) == 0)
		;
	over = w->over;
	w->abandoned = !over;
	*lostp = take_lost(w, errp);
	if (!over)
		pthread_detach(w->thread);
	pthread_mutex_unlock(&w->lock);
	if (!over)
		return false;
	pthread_join(w->thread, NULL);
	writer_free(w);
	return true;
}
