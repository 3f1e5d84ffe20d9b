#include "base/line.h"

#include <errno.h>
#include <time.h>

#include <event2/event.h>

enum {
	SHARE_LEAST_NS = 64 * 1000, /* of a turn, */
	SHARE_MOST_NS = 256 * 1000, /* if those who would have to wait for it are rare */
	CREDIT_NS = 256 * 1000,     /* what who has not used his share may have more, at most */
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
	if (took > line->share && e->share > 0)
		e->share--;
	else if (took < line->share / 2 && e->share < e->most)
		e->share++;
}

/* Who has waited long enough without it has some credit, but not more than a moment's. */
static void insert(struct line *line, struct line_entry *e)
{
	if (e->used == 0)
		e->used = line->clock;
	else if (e->used < line->clock - CREDIT_NS)
		e->used = line->clock - CREDIT_NS;
	e->light = e->used <= line->clock - CREDIT_NS / 2;
	STAILQ_INSERT_TAIL(e->light ? &line->light : &line->heavy, e, next);
	line->count++;
}

/* What it took counts for itself, and the clock goes on by an equal share of it. */
static void account(struct line *line, uint64_t took)
{
	struct line_entry *e = line->running;

	line->clock += took / (line->count + 1);
	if (!e)
		return;
	e->used += took;
	if (!e->waits)
		return;
	adjust(line, e, took);
	insert(line, e);
}

static void run_first(struct line *line, struct line_entries *entries)
{
	struct line_entry *e = STAILQ_FIRST(entries);
	uint64_t began = line->now;

	STAILQ_REMOVE_HEAD(entries, next);
	line->count--;
	e->waits = false;
	line->running = e;
	e->run(e);
	line->now = now_ns();
	account(line, line->now - began);
	line->running = NULL;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct line *line = arg;
	uint64_t end;

	(void)fd;
	(void)what;
	line->now = now_ns();
	if (!STAILQ_EMPTY(&line->light) && !STAILQ_EMPTY(&line->heavy))
		line->share = SHARE_LEAST_NS;
	else if (line->share < SHARE_MOST_NS)
		line->share += line->share / 16;
	end = line->now + line->share;
	while (!STAILQ_EMPTY(&line->light) && line->now < end)
		run_first(line, &line->light);
	if (!STAILQ_EMPTY(&line->heavy))
		line->served(line->arg);
	line->patient = true;
	while (!STAILQ_EMPTY(&line->heavy) && line->now < end)
		run_first(line, &line->heavy);
	line->patient = false;
	line->served(line->arg);
	line->called = false;
	if (line->count)
		call_soon(line);
}

/* --- life --- */

int line_init(struct line *line, struct event_base *base, void (*served)(void *arg), void *arg)
{
	*line = (struct line){.clock = CREDIT_NS,
	    .share = SHARE_LEAST_NS,
	    .served = served,
	    .arg = arg};
	STAILQ_INIT(&line->light);
	STAILQ_INIT(&line->heavy);
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

void line_leave(struct line *line, struct line_entry *e)
{
	if (e == line->running)
		line->running = NULL;
	else if (e->waits) {
		STAILQ_REMOVE(e->light ? &line->light : &line->heavy, e, line_entry, next);
		line->count--;
	}
	e->waits = false;
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
	visit(&line->light, fn, arg);
	visit(&line->heavy, fn, arg);
	if (line->running && line->running->waits)
		fn(line->running, arg);
}
