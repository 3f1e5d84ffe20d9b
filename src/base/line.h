/*
 * Fair turns of a loop: what has something to do stands in line.  A turn of the loop serves the
 * modest first, who the last time had little to do and left nothing; then who else comes, or the
 * busy, who have had something to do all the time: where there are both, the one kind in this turn
 * and the other in the next.  Of a kind one at least, and more for a moment.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct event;
struct event_base;

STAILQ_HEAD(line_entries, line_entry);

/** A place in line, embedded in who waits.  Zeroed but for run and most: not waiting. */
struct line_entry {
	STAILQ_ENTRY(line_entry) next;
	/** Do a share of the work; if that leaves some, join the line again. */
	void (*run)(struct line_entry *entry);
	uint64_t began; /* nanoseconds: when it was served first since it was not in line */
	bool waits;
	bool goes_on;              /* since then it has always had more to do */
	bool much;                 /* this time it took more than the least */
	bool modest;               /* the last time it took little and a moment, and that was all */
	struct line_entries *list; /* that it waits in */
	/** How many times the least that is worth a turn is to be doubled for a share of it... */
	uint8_t share;
	/** ...and how many times at most. */
	uint8_t most;
};

struct line {
	struct event *turn;
	bool called;
	bool of_busy;   /* the last turn, behind the modest */
	uint64_t share; /* nanoseconds of a turn */
	unsigned count;
	struct line_entries modest, ready, busy;
	struct line_entry *running; /* NULL: it is gone */
	bool patient;               /* what it writes may wait for more of its kind */
	uint64_t now; /* nanoseconds: when what is being served began, or the last ended */
	void (*served)(void *arg);
	void *arg;
};

/**
 * @param served  called when the modest have been served, before others are, and at the end of
 *                each turn
 * @return 0 or -ENOMEM
 */
int line_init(struct line *line, struct event_base *base, void (*served)(void *arg), void *arg);
/** Harmless on zeroed memory. */
void line_fini(struct line *line);

/** To the end of the line; harmless for who waits already. */
void line_join(struct line *line, struct line_entry *entry);
/** The same by an event of a socket: it may be served before the loop asks for more of them. */
void line_ready(struct line *line, struct line_entry *entry);
/** From anywhere in it, in time that grows with its length; harmless for who does not wait. */
void line_leave(struct line *line, struct line_entry *entry);
/** Who is being served has more to do, and joins when something else has happened. */
void line_is_not_done(struct line *line, struct line_entry *entry);
/** What is served in this turn was more than the least that is worth one: that is not modest. */
void line_took_much(struct line_entry *entry);
/** Call fn for all who wait; it may have the entry that it is given leave. */
void line_visit(struct line *line, void (*fn)(struct line_entry *entry, void *arg), void *arg);
bool line_is_empty(const struct line *line);
