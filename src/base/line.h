/*
 * Fair turns of a loop: what has more to do than its share of a turn waits in line, and a turn
 * serves the first of the line, once whoever has less to do was served.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct event;
struct event_base;

/** A place in line, embedded in who waits.  Zeroed but for run and most: not waiting. */
struct line_entry {
	STAILQ_ENTRY(line_entry) next;
	/** Do a share of the work; if that leaves some, join the line again. */
	void (*run)(struct line_entry *entry);
	bool waits;
	/** How many times the least that is worth a turn is to be doubled for a share of it... */
	uint8_t share;
	/** ...and how many times at most. */
	uint8_t most;
};

struct line {
	struct event *turn;
	STAILQ_HEAD(, line_entry) entries;
	struct line_entry *running; /* it may be gone, unless it has joined again */
	bool again;
	void (*before)(void *arg);
	void *arg;
};

/**
 * @param before  called before the line's part of each turn; all else was served then
 * @return 0 or -ENOMEM
 */
int line_init(struct line *line, struct event_base *base, void (*before)(void *arg), void *arg);
/** Harmless on zeroed memory. */
void line_fini(struct line *line);

/** To the end of the line; harmless for who waits already. */
void line_join(struct line *line, struct line_entry *entry);
/** From anywhere in it, in time that grows with its length; harmless for who does not wait. */
void line_leave(struct line *line, struct line_entry *entry);
