/* What the files of this folder share. */
#pragma once

#include <msrpd/timer.h>

#include "endpoint/reassembly.h"
#include "endpoint/delivered.h"
#include "msrp/conn.h"
#include "endpoint/endpoint.h"
#include "endpoint/report.h"
#include "msrp/transaction.h"

struct endpoint_counters {
	uint64_t *messages_in, *messages_out, *reports_in, *reports_out;
	uint64_t *refused, *duplicates, *partial;
};

struct endpoints {
	struct msrp_stack *stack;
	struct timer_queue partial, silent;
	struct timer deferred; /* runs what may not run inside a call: see endpoint_due() */
	struct endpoint *due;
	struct endpoint_counters count;
	struct chunk *free_chunks;
	unsigned free_chunk_count;
};

/* --- in --- */

struct receiver;

/** A message that is not whole yet, or is streamed. */
struct partial {
	struct partial *next, **prevp; /* all of the endpoint */
	struct timer_entry timer;
	struct endpoint *ep;
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

/** That of the frame in hand; NULL: it is new. */
struct partial *partial_find(const struct receiver *in);

/** For the message of the frame in hand.  @return NULL when memory is out */
struct partial *partial_new(struct endpoint *ep);
void partial_unlink(struct partial *m);

/** It must be unlinked. */
void partial_free(struct partial *m);

/** It will never be whole: tell its service, unless the endpoint is being freed, and free it. */
void partial_abandon(struct partial *m, int err);

/** No chunk came for partial_timeout. */
void partial_expired(struct timer_entry *entry, void *arg);

/** Without the body. */
struct message partial_describe(const struct partial *m);

/**
 * Bytes of the chunk in hand: a stream's go to its service if they are what it waits for; else
 * they are kept.
 *
 * @param at  their position in the message, from 0
 * @return 0; -EAGAIN: the service takes no more now; the status that refuses them; or -ECANCELED:
 *         the service has freed or given up the endpoint, and the message is gone
 */
int partial_add(struct partial *m, uint64_t at, struct slice piece);
void partial_end_chunk(struct partial *m);

/** Give the service what was kept and comes next.  @return as partial_add() */
int partial_drain(struct partial *m);
bool partial_stream_is_whole(const struct partial *m);

/** Is there something that a stream's service could be given now? */
bool partial_can_go_on(const struct partial *m);

/** A message that was refused: so are further chunks of it. */
struct refusal {
	uint64_t hash;
	int code; /* 0: none */
};

struct receiver {
	struct msrp_sink sink;
	struct msrp_conn *conn; /* of the frame in hand */
	struct partial *open;
	unsigned open_count;
	struct partial *asked; /* its service is being called */
	struct report_list later;
	struct delivered delivered;
	struct refusal *refusals; /* a ring, once there is one */
	unsigned next_refusal;
	uint64_t messages;

	/* the frame in hand */
	struct partial *current; /* NULL: all of it lies in the read at hand */
	struct slice id, type;   /* while current is NULL */
	struct slice held;       /* the same: its body so far */
	struct byte_range range;
	uint64_t count; /* bytes of its body so far */
	uint64_t hash;
	enum failure_report failure_report;
	bool success_report;
	bool skip;     /* its body is of no use */
	bool repeated; /* or without a body: acknowledged like a delivery */
	char id_text[MSRP_MESSAGE_ID_MAX];
};

int receiver_take_send(struct endpoint *ep, struct msrp_conn *conn, const struct msrp_frame *frame);
int receiver_report(struct endpoint *ep, struct slice id, int code, struct slice phrase);
void receiver_resume(struct endpoint *ep, void *stream);
void receiver_init(struct endpoint *ep);

/** The connection is being left: the frame in hand goes on without us. */
void receiver_leave(struct endpoint *ep, const struct msrp_conn *conn);

/** Incomplete messages will not be whole, and streams are told. */
void receiver_give_up(struct endpoint *ep);

/** What was put off: see endpoint_due(). */
void receiver_run(struct endpoint *ep);
void receiver_fini(struct endpoint *ep);

/* --- out --- */

enum { TRANSMISSION_TYPE_MAX = 1024 }; /* bytes of a Content-Type */

/** A message to send, in the list of what it waits for. */
struct transmission {
	struct transmission *next, **prevp;
	struct transmission_list *list; /* NULL: none */
	struct endpoint *ep;
	struct message_body body; /* bytes: our copy, behind the type, or shared */
	uint64_t number;          /* in its Message-ID */
	uint64_t sent;            /* bytes of the body */
	size_t cost;              /* of max_queued_bytes, until all is sent */
	size_t charged;           /* of max_memory */
	unsigned unanswered;      /* chunks */
	enum failure_report failure_report;
	int verdict; /* of the rejected: why it is not sent */
	bool success_report, confirm, bodiless, long_one;
	bool text;                           /* its chunks end between two characters */
	bool counted;                        /* cost is among the endpoint's bytes */
	bool begun;                          /* a long one of which the peer has a part */
	bool failed;                         /* told so; what is left to do is an "#" */
	bool dry;                            /* the source has nothing now */
	bool ended;                          /* it has given all */
	char *buffer;                        /* what a source gave; NULL: no source */
	size_t buffer_size, buffered, taken; /* taken: sent of it */
	size_t type_len;
	char type[]; /* and bytes, or buffer */
};

struct transmission_list {
	struct transmission *first, **lastp;
};

void transmission_unlink(struct transmission *m);
void transmission_append(struct transmission_list *list, struct transmission *m);
void transmission_prepend(struct transmission_list *list, struct transmission *m);
struct transmission *transmission_last(const struct transmission_list *list);

struct slice transmission_id(const struct endpoint *ep, uint64_t number,
    char id[MSRP_MESSAGE_ID_SIZE]);

/** @return 0 or -ENOENT: no Message-ID that this endpoint has given */
int transmission_parse_id(const struct endpoint *ep, struct slice id, uint64_t *numberp);

/** In no list yet. @return 0; -EINVAL: bad Content-Type; -ENOBUFS; -ENOMEM */
int transmission_new(struct transmission **mp, struct endpoint *ep,
    const struct message_out *message);

/** Its source is not asked any more. */
void transmission_source_done(struct transmission *m);

/** It waits to be sent, and takes room of max_queued_bytes for it. */
void transmission_count(struct transmission *m);

/** Nothing more of it is sent. */
void transmission_stop(struct transmission *m);
void transmission_free(struct transmission *m);

/** Ask the source for a chunk.  @return 0; its error; -ECANCELED: the message is gone */
int transmission_fill(struct transmission *m);

/**
 * The front of bytes, max of them at most.  Of a text no character is cut in two: there are peers
 * that decode each chunk by itself.
 */
struct slice transmission_cut(const struct transmission *m, struct slice bytes, size_t max);

/** The next bytes to send, and whether they are the last. */
struct slice transmission_chunk(const struct transmission *m, size_t max, bool *lastp);

/** A chunk that is not over: its response is awaited, or its frame is open. */
struct chunk {
	struct msrp_transaction t;   /* first */
	struct chunk *next, **prevp; /* all of the endpoint; next: in the store */
	struct endpoint *ep;
	struct transmission *message; /* that waits for its 200; NULL: none does */
	uint64_t number;              /* of the message; 0: bodiless of our own */
	struct byte_range range;
};

struct sender {
	struct msrp_flow flow;
	struct transmission_list rejected;    /* not to be sent: to be reported */
	struct transmission_list shorts;      /* one chunk each */
	struct transmission_list longs;       /* not begun */
	struct transmission_list interleaved; /* begun: a chunk of each, round robin */
	struct transmission_list starved;     /* their source has nothing now */
	struct transmission_list throttled;   /* too many chunks are unanswered */
	struct transmission_list answerable;  /* sent, and not answered */
	struct transmission_list flushing;    /* sent, no answer comes: until it has left */
	struct net_mark left;
	struct chunk *chunks;
	uint64_t last_number;
	uint64_t messages; /* queued, ever */
	size_t bytes;      /* the costs */
	unsigned count;    /* messages */
	unsigned begun;    /* of them long ones that the peer has a part of */
	bool greet;        /* a bodiless SEND is due */
	bool long_next;
	struct transmission *asked; /* its source is being asked */

	/* the frame that is open */
	struct transmission *open;
	struct chunk *open_chunk; /* NULL: no answer comes */
	struct slice open_rest;   /* of its body */
	bool open_last;
	char open_tid[MSRP_TID_LEN + 1];
};

void sender_init(struct endpoint *ep);
int sender_send(struct endpoint *ep, const struct message_out *message, unsigned flags,
    char *message_id);
void sender_ready(struct endpoint *ep, struct slice message_id);
void sender_sift(struct endpoint *ep,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg);

void sender_report_received(struct endpoint *ep, const struct msrp_frame *frame);

/** The connection is being left, or is gone: what is open is ended, no answer awaited. */
void sender_leave(struct endpoint *ep);

/**
 * After that: what was not answered goes out again on the next one.
 *
 * @param err  0, or why it closed; -ETIMEDOUT: what it owed is reported 408
 */
void sender_rewind(struct endpoint *ep, int err);
void sender_give_up(struct endpoint *ep);

/** What was put off: see endpoint_due(). */
void sender_run(struct endpoint *ep);
void sender_fini(struct endpoint *ep);
bool sender_drained(const struct sender *out);
void sender_check_drained(struct endpoint *ep);

extern const struct msrp_transaction_ops sender_chunk_ops;
extern const struct msrp_flow_ops chunker_flow_ops;

/** Something may leave now. */
void chunker_kick(struct endpoint *ep);

/** End the open frame with "#", its message has failed.  @return false: that cost the connection */
bool chunker_abort_open(struct endpoint *ep);

/** The chunk's transaction has ended. */
void chunker_chunk_over(struct chunk *chunk);
void chunker_free_store(struct endpoints *all);

/* --- the endpoint --- */

struct endpoint {
	struct msrp_target target;
	struct msrp_user user;
	struct msrp_user second; /* see bind_to() */
	struct endpoints *all;
	const struct endpoint_handler *handler; /* NULL once it is freed */
	void *arg;
	struct endpoint *next_due, **due_prevp;
	unsigned refs;
	uint64_t connections; /* it has had, so far */
	bool stream, started, bound_told;
	bool relayed;      /* its path leads through relays of ours */
	bool speaks_first; /* on this connection */
	bool confirmed;    /* the peer has spoken on it */
	uint64_t max_queued_bytes;
	uint64_t chunk_size; /* 0: the stack's */
	struct timer_entry silent;
	struct receiver in;
	struct sender out;
	char *to_path;   /* NULL: not known yet */
	char prefix[17]; /* of our Message-IDs */
	char own_uri[];
};

static inline struct endpoint *endpoint_ref(struct endpoint *ep)
{
	ep->refs++;
	return ep;
}

void endpoint_unref(struct endpoint *ep);

/** May messages leave? */
bool endpoint_can_send(const struct endpoint *ep);

/** Bytes of body in a SEND, at most. */
size_t endpoint_chunk_size(const struct endpoint *ep);

/** A frame passed: the session is not silent. */
void endpoint_active(struct endpoint *ep);

/** Call receiver_run() and sender_run() in the next round of the loop. */
void endpoint_due(struct endpoint *ep);

/** A response that speaks of the session: 481, 506. */
void endpoint_refused(struct endpoint *ep, int code);
