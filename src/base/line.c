#include "base/line.h"

#include <errno.h>
#include <time.h>

#include <event2/event.h>

enum { SHARE_NS = 64 * 1000 };

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* event_active() would call it before the sockets have had their turn, but cannot fail. */
static void call_soon(struct line *line)
{
	static const struct timeval now = {0, 0};

	if (evtimer_add(line->turn, &now) < 0)
		event_active(line->turn, EV_TIMEOUT, 0);
}

static void adjust(struct line_entry *e, uint64_t took)
{
	if (took > SHARE_NS && e->share > 0)
		e->share--;
	else if (took < SHARE_NS / 4 && e->share < e->most)
		e->share++;
}

static void run_first(struct line *line, uint64_t began)
{
	struct line_entry *e = STAILQ_FIRST(&line->entries);

	STAILQ_REMOVE_HEAD(&line->entries, next);
	e->waits = false;
	line->running = e;
	line->again = false;
	e->run(e);
	if (line->again)
		adjust(e, now_ns() - began);
	line->running = NULL;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct line *line = arg;
	uint64_t began, now;

	(void)fd;
	(void)what;
	line->before(line->arg);
	began = now = now_ns();
	while (!STAILQ_EMPTY(&line->entries) && now - began < SHARE_NS) {
		run_first(line, now);
		now = now_ns();
	}
	if (!STAILQ_EMPTY(&line->entries))
		call_soon(line);
}

int line_init(struct line *line, struct event_base *base, void (*before)(void *arg), void *arg)
{
	*line = (struct line){.before = before, .arg = arg};
	STAILQ_INIT(&line->entries);
	line->turn = evtimer_new(base, on_turn, line);
	return line->turn ? 0 : -ENOMEM;
}

void line_fini(struct line *line)
{
	if (line->turn)
		event_free(line->turn);
	line->turn = NULL;
}

void line_join(struct line *line, struct line_entry *e)
{
	if (e->waits)
		return;
	if (STAILQ_EMPTY(&line->entries) && !line->running)
		call_soon(line);
	e->waits = true;
	STAILQ_INSERT_TAIL(&line->entries, e, next);
	if (e == line->running)
		line->again = true;
}

void line_leave(struct line *line, struct line_entry *e)
{
	if (!e->waits)
		return;
	e->waits = false;
	STAILQ_REMOVE(&line->entries, e, line_entry, next);
	if (e == line->running)
		line->again = false;
}
