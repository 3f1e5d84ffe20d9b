/* What endpoint, inbox and outbox share, and nobody else. */
#pragma once

#include <msrpd/timer.h>

#include "endpoint/assembly.h"
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
	struct timer turn; /* runs what may not run inside a call */
	struct endpoint *due;
	struct endpoint_counters count;
	struct sent_chunk *free_chunks;
	unsigned free_chunk_count;
};

/* --- in --- */

struct inbox;

/** A message that is not whole yet, or is streamed. */
struct incoming {
	struct incoming *next, **prevp; /* all of the endpoint */
	struct timer_entry timer;
	struct endpoint *ep;
	struct assembly parts; /* what cannot be given to the service yet */
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
struct incoming *incoming_find(const struct inbox *in);

/** For the message of the frame in hand.  @return NULL when memory is out */
struct incoming *incoming_new(struct endpoint *ep);
void incoming_unlink(struct incoming *m);

/** It must be unlinked. */
void incoming_free(struct incoming *m);

/** It will never be whole: tell its service, unless the endpoint is being freed, and free it. */
void incoming_abandon(struct incoming *m, int err);

/** No chunk came for partial_timeout. */
void incoming_expired(struct timer_entry *entry, void *arg);

/** Without the body. */
struct message incoming_describe(const struct incoming *m);

/**
 * Bytes of the chunk in hand: a stream's go to its service if they are what it waits for; else
 * they are kept.
 *
 * @param at  their position in the message, from 0
 * @return 0; -EAGAIN: the service takes no more now; the status that refuses them; or -ECANCELED:
 *         the service has freed or given up the endpoint, and the message is gone
 */
int incoming_add(struct incoming *m, uint64_t at, struct slice piece);
void incoming_end_chunk(struct incoming *m);

/** Give the service what was kept and is its turn.  @return as incoming_add() */
int incoming_drain(struct incoming *m);
bool incoming_stream_is_whole(const struct incoming *m);

/** Is there something that a stream's service could be given now? */
bool incoming_can_go_on(const struct incoming *m);

/** A Message-ID that is done with: 200 delivered, else why it was refused. */
struct done_id {
	uint64_t hash;
	int code;
};

struct inbox {
	struct msrp_sink sink;
	struct msrp_conn *conn; /* of the frame in hand */
	struct incoming *open;
	unsigned open_count;
	struct incoming *asked; /* its service is being called */
	struct report_list later;
	struct done_id *done; /* a ring, once there is one */
	unsigned next_done;
	uint64_t messages;

	/* the frame in hand */
	struct incoming *current; /* NULL: all of it lies in the read at hand */
	struct slice id, type;    /* while current is NULL */
	struct slice held;        /* the same: its body so far */
	struct byte_range range;
	uint64_t count; /* bytes of its body so far */
	uint64_t hash;
	enum failure_report failure_report;
	bool success_report;
	bool skip;     /* its body is of no use */
	bool repeated; /* or bodiless: acknowledged like a delivery */
	char id_text[MSRP_MESSAGE_ID_SIZE];
};

int inbox_send_request(struct endpoint *ep, struct msrp_conn *conn, const struct msrp_frame *frame);
int inbox_report(struct endpoint *ep, struct slice id, int code, struct slice phrase);
void inbox_resume(struct endpoint *ep, void *stream);
void inbox_init(struct endpoint *ep);

/** The connection is being left: the frame in hand goes on without us. */
void inbox_leave(struct endpoint *ep, const struct msrp_conn *conn);

/** Incomplete messages will not be whole, and streams are told. */
void inbox_give_up(struct endpoint *ep);

/** What was put off: see endpoint_due(). */
void inbox_run(struct endpoint *ep);
void inbox_fini(struct endpoint *ep);

/* --- out --- */

enum { OUTGOING_TYPE_MAX = 1024 }; /* bytes of a Content-Type */

/** A message to send, in the list of what it waits for. */
struct outgoing {
	struct outgoing *next, **prevp;
	struct outgoing_list *list; /* NULL: none */
	struct endpoint *ep;
	struct message_body body; /* bytes: our copy, behind the type, or shared */
	uint64_t number;          /* in its Message-ID */
	uint64_t sent;            /* bytes of the body */
	size_t cost;              /* of max_queued_bytes, until all is sent */
	size_t charged;           /* of max_memory */
	unsigned unanswered;      /* chunks */
	enum failure_report failure_report;
	int verdict; /* of the judged: why it is not sent */
	bool success_report, confirm, bodiless, long_one;
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

struct outgoing_list {
	struct outgoing *first, **lastp;
};

void outgoing_unlink(struct outgoing *m);
void outgoing_append(struct outgoing_list *list, struct outgoing *m);
void outgoing_prepend(struct outgoing_list *list, struct outgoing *m);
struct outgoing *outgoing_last(const struct outgoing_list *list);

struct slice outgoing_id(const struct endpoint *ep, uint64_t number, char id[MSRP_MESSAGE_ID_SIZE]);

/** @return 0 or -ENOENT: no Message-ID that this endpoint has given */
int outgoing_parse_id(const struct endpoint *ep, struct slice id, uint64_t *numberp);

/** In no list yet. @return 0; -EINVAL: bad Content-Type; -ENOBUFS; -ENOMEM */
int outgoing_new(struct outgoing **mp, struct endpoint *ep, const struct message_out *message);

/** Its source is not asked any more. */
void outgoing_source_done(struct outgoing *m);

/** It waits to be sent, and takes room of max_queued_bytes for it. */
void outgoing_count(struct outgoing *m);

/** Nothing more of it is sent. */
void outgoing_stop(struct outgoing *m);
void outgoing_free(struct outgoing *m);

/** Ask the source for a chunk.  @return 0; its error; -ECANCELED: the message is gone */
int outgoing_fill(struct outgoing *m);

/** The next bytes to send, and whether they are the last. */
struct slice outgoing_chunk(const struct outgoing *m, size_t max, bool *lastp);

/** A chunk that is not over: its response is awaited, or its frame is open. */
struct sent_chunk {
	struct msrp_transaction t;        /* first */
	struct sent_chunk *next, **prevp; /* all of the endpoint; next: in the store */
	struct endpoint *ep;
	struct outgoing *message; /* that waits for its 200; NULL: none does */
	uint64_t number;          /* of the message; 0: bodiless of our own */
	struct byte_range range;
};

struct outbox {
	struct msrp_flow flow;
	struct outgoing_list judged;    /* not to be sent: to be reported */
	struct outgoing_list shorts;    /* one chunk each */
	struct outgoing_list longs;     /* not begun */
	struct outgoing_list turning;   /* begun, a chunk each in turn */
	struct outgoing_list starved;   /* their source has nothing now */
	struct outgoing_list crowded;   /* too many chunks are unanswered */
	struct outgoing_list answering; /* sent, and not answered */
	struct outgoing_list leaving;   /* sent, no answer comes: until it has left */
	struct net_mark left;
	struct sent_chunk *chunks;
	uint64_t last_number;
	uint64_t messages; /* queued, ever */
	size_t bytes;      /* the costs */
	unsigned count;    /* messages */
	unsigned begun;    /* of them long ones that the peer has a part of */
	bool greet;        /* a bodiless SEND is due */
	bool long_turn;
	struct outgoing *asked; /* its source is being asked */

	/* the frame that is open */
	struct outgoing *open;
	struct sent_chunk *open_chunk; /* NULL: no answer comes */
	struct slice open_rest;        /* of its body */
	bool open_last;
	char open_tid[MSRP_TID_LEN + 1];
};

void outbox_init(struct endpoint *ep);
int outbox_send(struct endpoint *ep, const struct message_out *message, unsigned flags,
    char *message_id);
void outbox_ready(struct endpoint *ep, struct slice message_id);
void outbox_sift(struct endpoint *ep,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg);

void outbox_report_received(struct endpoint *ep, const struct msrp_frame *frame);

/** The connection is being left, or is gone: what is open is ended, no answer awaited. */
void outbox_leave(struct endpoint *ep);

/**
 * After that: what was not answered goes out again on the next one.
 *
 * @param err  0, or why it closed; -ETIMEDOUT: what it owed is reported 408
 */
void outbox_rewind(struct endpoint *ep, int err);
void outbox_give_up(struct endpoint *ep);

/** What was put off: see endpoint_due(). */
void outbox_run(struct endpoint *ep);
void outbox_fini(struct endpoint *ep);
bool outbox_drained(const struct outbox *out);
void outbox_check_drained(struct endpoint *ep);

extern const struct msrp_transaction_ops outbox_chunk_ops;
extern const struct msrp_flow_ops sending_flow_ops;

/** Something may leave now. */
void sending_kick(struct endpoint *ep);

/** End the open frame with "#", its message has failed.  @return false: that cost the connection */
bool sending_abort_open(struct endpoint *ep);

/** The chunk's transaction has ended. */
void sending_chunk_over(struct sent_chunk *chunk);
void sending_free_store(struct endpoints *all);

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
	bool speaks_first; /* on this connection */
	bool confirmed;    /* the peer has spoken on it */
	uint64_t max_queued_bytes;
	struct timer_entry silent;
	struct inbox in;
	struct outbox out;
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

/** A frame passed: the session is not silent. */
void endpoint_active(struct endpoint *ep);

/** Call inbox_run() and outbox_run() in the next turn of the loop. */
void endpoint_due(struct endpoint *ep);

/** A response that speaks of the session: 481, 506. */
void endpoint_refused(struct endpoint *ep, int code);
