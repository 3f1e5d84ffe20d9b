/* What the sources of msrp/ share, and nobody else. */
#pragma once

#include <msrpd/table.h>
#include <msrpd/timer.h>

#include "base/budget.h"
#include "base/pool.h"
#include "msrp/conn.h"
#include "msrp/listener.h"
#include "msrp/pool.h"
#include "msrp/stack.h"
#include "msrp/transaction.h"
#include "msrp/transport.h"
#include "net/guard.h"
#include "net/net.h"
#include "net/protocol.h"
#include "net/stream.h"
#include "net/tap.h"
#include "wire/parser.h"

/* --- one connection --- */

struct msrp_input;
struct pool_entry;

/* What flow.c keeps of a connection. */
struct conn_flows {
	LIST_HEAD(, msrp_flow) all;
	TAILQ_HEAD(, msrp_flow) waiting;
	struct msrp_flow *open; /* whose frame is */
};

struct msrp_conn {
	struct net_stream stream;
	const struct msrp_transport *transport;
	struct msrp_input *in; /* while bytes of a frame have come but not its end */
	struct conn_flows flows;
	LIST_HEAD(, msrp_transaction) transactions;
	LIST_HEAD(, msrp_user) users;
	uint32_t marks;              /* the fallback's */
	struct msrp_user *next_user; /* to be told that it is open */
	SLIST_HEAD(, msrp_note) notes;
	struct answers *answers; /* NULL: each goes out by itself */
	TAILQ_ENTRY(msrp_conn) unused_entry;
	uint32_t user_count;
	uint32_t idle_ms, idle_left_ms; /* to be kept without users, the whole and what is left */
	uint32_t used : 1;              /* it has had a user */
	uint32_t unused : 1;            /* opened for a session that has left it */
	uint32_t listed : 1;            /* among those, or */
	uint32_t unopened : 1;          /* among those that were not open then */
	uint32_t round : 20;            /* of its flows */
	uint32_t shared : 8;            /* flows to come are taken to share it, so many of them */
};

static inline struct msrp_conn *conn_of(struct net_stream *stream)
{
	return (struct msrp_conn *)(void *)((char *)stream - offsetof(struct msrp_conn, stream));
}

/** NULL: no memory. */
struct msrp_conn *conn_new(struct msrp_stack *stack, const struct msrp_transport *transport);

extern const struct net_handler conn_handler;

/** Timer queues' expired(). */
void conn_on_unbound(struct timer_entry *life, void *stack);
void conn_on_idle(struct timer_entry *life, void *stack);

/* input.c */
void inputs_init(struct pool *pool);
ssize_t input_feed(struct msrp_conn *conn, struct slice bytes, bool end);
void input_abort(struct msrp_conn *conn, int err); /* tells the sink */
void input_cut(const struct msrp_conn *conn);      /* it ends in a head; only while net_tap_on() */
void input_drop(struct msrp_conn *conn);

/* tap.c: only while net_tap_on() */
void tap_head(const struct msrp_conn *conn, const struct msrp_frame *frame);
void tap_body(const struct msrp_conn *conn, enum net_way way, struct slice piece);
/** What is no frame: all that is at hand from where it begins. */
void tap_broken(const struct msrp_conn *conn, struct slice bytes);
void tap_end(const struct msrp_conn *conn, struct slice tid, enum msrp_flag flag, bool has_body);

/* together.c */
/** A 200 to that SEND waits for the end of the read.  @return false: it does not */
bool answers_keep(struct msrp_conn *conn, const struct msrp_frame *request, struct slice phrase);
void answers_send(struct msrp_conn *conn);
void answers_free(struct msrp_conn *conn);
/** Transaction ids that it answers as well, separated by spaces; absent: none. */
struct slice answers_also(const struct msrp_frame *response);

/* flow.c */
void flows_init(struct msrp_conn *conn);
void flows_run(struct msrp_conn *conn);
void flows_interrupt(struct msrp_conn *conn);
void flows_closed(struct msrp_conn *conn, int err);

/* pool.c */
void pool_remove(struct msrp_conn *conn);

/* unused.c */
/** The last session has left it. */
void unused_begin(struct msrp_conn *conn);
/** It is open now, whoever has left it before. */
void unused_opened(struct msrp_conn *conn);
/** Somebody uses it, or it is closed. */
void unused_end(struct msrp_conn *conn);
/** A timer's: end those that are too many.  @param stack  a struct msrp_stack */
void unused_sweep(void *stack);

/** Whom the last request was for, if nobody has gone since. */
struct target_hint {
	struct msrp_target *target; /* NULL: not known */
	uint64_t generation;
};

/* target.c: a request has come. @return as msrp_target_ops.request */
int targets_request(struct msrp_conn *conn, const struct msrp_frame *frame,
    struct target_hint *hint);

/* transaction.c */
struct transactions {
	struct timer_queue answering;
	struct msrp_transaction **slots;
	uint32_t slot_cap, free_slot, *free_slots;
};

int transactions_init(struct msrp_stack *stack);
void transactions_fini(struct msrp_stack *stack);
int transactions_response(struct msrp_conn *conn, const struct msrp_frame *frame);
void transactions_lost(struct msrp_conn *conn, int err);

/* --- the stack --- */

struct msrp_counters {
	uint64_t *frames_in, *frames_out;
	uint64_t *bad_frames, *stray_responses, *unknown_sessions, *timeouts;
	struct stats_times *transaction;
};

struct msrp_stack {
	struct net_protocol protocol;
	const struct msrp_settings *settings;
	struct msrp_counters count;
	struct timer_queue unbound, idle; /* lives of connections without users */
	TAILQ_HEAD(, msrp_conn) unused;   /* that was left last is last */
	TAILQ_HEAD(, msrp_conn) unopened; /* not open when it was left */
	unsigned unused_count;
	struct timer sweep;
	struct budget budget;

	/* of listener.c, pool.c, target.c, transaction.c, input.c */
	struct msrp_listener *listeners;
	size_t listener_count;
	struct pool_entry *pool;
	struct msrp_target *targets;
	uint64_t target_generation; /* another one whenever one goes */
	int (*fallback)(struct msrp_conn *conn, const struct msrp_frame *frame, void *arg);
	void *fallback_arg;
	struct transactions transactions;
	struct pool inputs;
	struct msrp_parser_past past; /* of the read that is being worked off */
	uint64_t past_read;           /* its net_read_number() */
};

static inline struct msrp_stack *stack_of(const struct msrp_conn *conn)
{
	return (struct msrp_stack *)(void *)((char *)conn->stream.protocol
	    - offsetof(struct msrp_stack, protocol));
}
