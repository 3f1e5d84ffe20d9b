#include "base/line.h"

#include <errno.h>
#include <time.h>

#include <event2/event.h>

enum {
	SHARE_LEAST_NS = 8 * 1000, /* of a turn for the busy, while others come */
	SHARE_MOST_NS = 96 * 1000, /* of a turn, while there are only busy ones, or none */
	OTHERS_NS = 64 * 1000,     /* of a turn for those others */
	PIECE_NS = 32 * 1000,      /* of work, that anybody may be asked to wait for */
	MODEST_NS = 128 * 1000,    /* of work, with nothing left: who asks seldom is slow at it */
	BUSY_NS = 1000 * 1000,     /* of work without a break, and of waiting for it */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

bool line_is_empty(const struct line *line)
{
	return line->count == 0;
}

/* --- calling the turn --- */

/* Once the sockets have had their turn. */
static void call_soon(struct line *line)
{
	static const struct timeval now = {0, 0};

	line->called = true;
	if (evtimer_add(line->turn, &now) < 0)
		event_active(line->turn, EV_TIMEOUT, 0);
}

/* Behind what the loop has in hand. */
static void call_now(struct line *line)
{
	line->called = true;
	event_active(line->turn, EV_TIMEOUT, 0);
}

/* --- the turn --- */

static void adjust(const struct line *line, struct line_entry *e, uint64_t took)
{
	uint64_t piece = line->share > PIECE_NS ? line->share : PIECE_NS;

	if (took > piece && e->share > 0)
		e->share--;
	else if (e->waits && took < piece / 2 && e->share < e->most)
		e->share++;
}

static void insert(struct line *line, struct line_entry *e)
{
	e->goes_on = e == line->running;
	e->list = !e->goes_on && e->modest                 ? &line->modest
	    : e->goes_on && line->now - e->began > BUSY_NS ? &line->busy
							   : &line->ready;
	STAILQ_INSERT_TAIL(e->list, e, next);
	line->count++;
}

static void run_first(struct line *line, struct line_entries *entries)
{
	struct line_entry *e = STAILQ_FIRST(entries);
	uint64_t began = line->now, took;

	STAILQ_REMOVE_HEAD(entries, next);
	line->count--;
	e->waits = e->much = false;
	if (!e->goes_on)
		e->began = began;
	line->running = e;
	e->run(e);
	line->now = now_ns();
	took = line->now - began;
	if (line->running) {
		e->modest = !e->goes_on && !e->waits && !e->much && took < MODEST_NS;
		adjust(line, e, took);
		if (e->waits)
			insert(line, e);
	}
	line->running = NULL;
}

/*
 * One of them at least, whatever the others have taken.
 *
 * @param patient  what they write may wait for more of its kind
 */
static void serve(struct line *line, struct line_entries *entries, uint64_t end, bool patient)
{
	if (STAILQ_EMPTY(entries))
		return;
	line->patient = patient;
	do
		run_first(line, entries);
	while (!STAILQ_EMPTY(entries) && line->now < end);
	line->patient = false;
}

static void serve_modest_first(struct line *line, uint64_t end)
{
	if (STAILQ_EMPTY(&line->modest))
		return;
	serve(line, &line->modest, end, false);
	line->served(line->arg);
	line->now = now_ns(); /* that was no work of whoever comes next */
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct line *line = arg;
	bool ready = !STAILQ_EMPTY(&line->ready), busy = !STAILQ_EMPTY(&line->busy);
	bool contended = busy && (ready || !STAILQ_EMPTY(&line->modest));
	uint64_t end, others_end;

	(void)fd;
	(void)what;
	line->now = now_ns();
	if (contended)
		line->share = SHARE_LEAST_NS;
	else if (line->share < SHARE_MOST_NS)
		line->share += line->share / 16;
	end = line->now + line->share;
	others_end = contended ? line->now + OTHERS_NS : end;
	line->of_busy = busy && !(ready && line->of_busy);
	if (!ready && !busy)
		serve(line, &line->modest, end, true);
	else
		serve_modest_first(line, others_end);
	if (line->of_busy)
		serve(line, &line->busy, end, true);
	else if (ready)
		serve(line, &line->ready, others_end, !busy);
	line->served(line->arg);
	line->called = false;
	if (line->count)
		call_soon(line);
}

/* --- life --- */

int line_init(struct line *line, struct event_base *base, void (*served)(void *arg), void *arg)
{
	*line = (struct line){.share = SHARE_LEAST_NS, .served = served, .arg = arg};
	STAILQ_INIT(&line->modest);
	STAILQ_INIT(&line->ready);
	STAILQ_INIT(&line->busy);
	line->turn = evtimer_new(base, on_turn, line);
	return line->turn ? 0 : -ENOMEM;
}

void line_fini(struct line *line)
{
	if (line->turn)
		event_free(line->turn);
	line->turn = NULL;
}

/* --- standing in it --- */

/* Who is being served comes to its place once it is known what that has taken. */
static void join(struct line *line, struct line_entry *e)
{
	e->waits = true;
	if (e != line->running)
		insert(line, e);
}

void line_join(struct line *line, struct line_entry *e)
{
	if (e->waits)
		return;
	join(line, e);
	if (!line->called)
		call_soon(line);
}

void line_ready(struct line *line, struct line_entry *e)
{
	if (e->waits)
		return;
	join(line, e);
	if (!line->called)
		call_now(line);
}

void line_is_not_done(struct line *line, struct line_entry *e)
{
	if (e == line->running)
		e->goes_on = true;
}

void line_took_much(struct line_entry *e)
{
	e->much = true;
}

void line_leave(struct line *line, struct line_entry *e)
{
	if (e == line->running)
		line->running = NULL;
	else if (e->waits) {
		STAILQ_REMOVE(e->list, e, line_entry, next);
		line->count--;
	}
	e->waits = e->modest = false;
}

static void visit(struct line_entries *entries, void (*fn)(struct line_entry *entry, void *arg),
    void *arg)
{
	struct line_entry *e, *next;

	for (e = STAILQ_FIRST(entries); e; e = next) {
		next = STAILQ_NEXT(e, next);
		fn(e, arg);
	}
}

void line_visit(struct line *line, void (*fn)(struct line_entry *entry, void *arg), void *arg)
{
	visit(&line->modest, fn, arg);
	visit(&line->ready, fn, arg);
	visit(&line->busy, fn, arg);
	if (line->running && line->running->waits)
		fn(line->running, arg);
}
