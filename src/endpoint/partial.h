/* Messages of which some chunks have come: their memory, their bytes, their service. */
#pragma once

#include <sys/queue.h>

#include <msrpd/message.h>
#include <msrpd/timer.h>

#include "endpoint/reassembly.h"

struct session;

/** What the head of a SEND says. */
struct send_head {
	struct slice id, type;
	uint64_t hash; /* of id */
	struct byte_range range;
	enum failure_report failure_report;
	bool success_report;
};

/** A message that is not whole yet, or is streamed. */
struct partial {
	LIST_ENTRY(partial) next;
	struct timer_entry timer;
	struct partials *all;
	struct reassembly parts; /* what cannot be given to the service yet */
	size_t charged;
	uint64_t delivered; /* stream: bytes that the service has */
	void *stream;
	bool begun;   /* stream: end() is owed */
	bool stalled; /* stream: it takes no piece now */
	bool storing; /* the chunk in hand goes to parts */
	char *path;   /* stream: From-Path, if the REPORT comes later */
	enum failure_report failure_report;
	bool success_report;
	uint64_t total;        /* as announced */
	uint64_t hash;         /* of id */
	struct slice id, type; /* copies, in text */
	char text[];
};

/** Those of a session. */
struct partials {
	struct session *session;
	LIST_HEAD(, partial) list;
	unsigned count;
	struct partial *current; /* the frame in hand is a chunk of it; NULL: of none */
	struct partial *asked;   /* its service is being called */
};

/** The message that a SEND is a chunk of; NULL: it is new. */
struct partial *partial_find(const struct partials *all, const struct send_head *head);

/** @return NULL when memory is out */
struct partial *partial_new(struct partials *all, const struct send_head *head);
void partial_unlink(struct partial *m);

/** It must be unlinked. */
void partial_free(struct partial *m);

/**
 * Unlink it and tell its service, unless the endpoint is being freed, that it is whole (err 0) or
 * will never be.
 *
 * @return what the service says; 0: it was not told
 */
int partial_close(struct partial *m, int err);

/** It will never be whole: partial_close(), and it is freed. */
void partial_abandon(struct partial *m, int err);

/** No chunk came for partial_timeout. */
void partial_expired(struct timer_entry *entry, void *arg);

/** Without the body. */
struct message partial_describe(const struct partial *m);

/** The frame in hand is a chunk of it. */
void partial_begin_chunk(struct partial *m);

/**
 * Bytes of the chunk in hand: a stream's go to its service if they are what it waits for; else
 * they are kept.
 *
 * @param at  their position in the message, from 0
 * @return 0; -EAGAIN: the service takes no more now; the status that refuses them; or -ECANCELED:
 *         the service has freed or given up the endpoint, and the message is gone
 */
int partial_add(struct partial *m, uint64_t at, struct slice piece);

/** The frame in hand is over, or goes on without us. */
void partial_end_chunk(struct partial *m);

/** Until its next chunk comes, or partial_timeout is over. */
void partial_wait(struct partial *m);

/** Give the service what was kept and comes next.  @return as partial_add() */
int partial_drain(struct partial *m);
bool partial_stream_is_whole(const struct partial *m);

/** Is there something that a stream's service could be given now? */
bool partial_can_go_on(const struct partial *m);
