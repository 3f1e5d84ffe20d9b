/*
 * The session of an endpoint, as both of its directions see it.
 *
 * Each file of this folder knows those above it in this list that stand behind its colon, and no
 * other:
 *
 *	auth, delivered, refused, reassembly, report, report_in, session:
 *	partial:      session, reassembly
 *	receiver:     session, partial, delivered, refused, report
 *	transmission: session
 *	chunker:      session, transmission
 *	sender:       session, transmission, chunker, report_in
 *	endpoint:     all of them but auth
 *
 * What has to go up is told through a callback.
 */
#pragma once

#include <sys/queue.h>

#include <msrpd/timer.h>

#include "base/pool.h"
#include "endpoint/endpoint.h"
#include "msrp/conn.h"
#include "msrp/transaction.h"

struct endpoint_counters {
	uint64_t *messages_in, *messages_out, *reports_in, *reports_out;
	uint64_t *refused, *duplicates, *partial;
};

LIST_HEAD(session_list, session);

struct endpoints {
	struct msrp_stack *stack;
	struct timer_queue partial, silent;
	struct timer deferred; /* runs what may not run inside a call: see session_due() */
	struct session_list due;
	struct endpoint_counters count;
	struct pool chunks;
};

/** First in its endpoint. */
struct session {
	struct msrp_target target;
	struct msrp_user user;
	struct msrp_user second; /* see bind_to() of endpoint.c */
	struct endpoints *all;
	const struct endpoint_handler *handler; /* NULL once the endpoint is freed */
	void *arg;
	LIST_ENTRY(session) next_due;
	unsigned refs;
	uint64_t connections; /* it has had, so far */
	bool is_due;
	bool stream;
	bool bounded; /* by max_message_size */
	bool started, bound_told;
	bool relayed;      /* its path leads through relays of ours */
	bool speaks_first; /* on this connection */
	bool confirmed;    /* the peer has spoken on it, */
	bool heard;        /* or on one before, since its path is what it is */
	uint64_t max_queued_bytes;
	uint64_t chunk_size; /* 0: the stack's */
	struct timer_entry silent;
	const char *own_uri;
	char *to_path; /* NULL: not known yet */
};

static inline void session_confirm(struct session *s)
{
	s->confirmed = s->heard = true;
}

static inline struct session *session_ref(struct session *s)
{
	s->refs++;
	return s;
}

/** The last one frees the endpoint. */
void session_unref(struct session *s);

static inline const struct msrp_settings *session_settings(const struct session *s)
{
	return msrp_stack_settings(s->all->stack);
}

static inline struct budget *session_budget(const struct session *s)
{
	return msrp_stack_budget(s->all->stack);
}

/** Bytes of body in a SEND, at most. */
size_t session_chunk_size(const struct session *s);

/** A frame passed: the session is not silent. */
void session_active(struct session *s);

/** Call receiver_run() and sender_run() in the next round of the loop. */
void session_due(struct session *s);
