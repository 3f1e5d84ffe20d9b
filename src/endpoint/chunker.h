/* Cuts an endpoint's messages into chunks, which interleave on its connection: RFC 4975 7.1.1. */
#pragma once

#include <sys/queue.h>

#include "endpoint/transmission.h"
#include "msrp/conn.h"
#include "msrp/transaction.h"

struct session;

/** A chunk that is not over: its response is awaited, or its frame is open. */
struct chunk {
	struct msrp_transaction t; /* first */
	LIST_ENTRY(chunk) next;
	struct chunker *chunker;
	struct transmission *message; /* that waits for its 200; NULL: none does */
	uint64_t number;              /* of the message; 0: bodiless of our own */
	struct byte_range range;
};

struct chunker {
	struct session *session;
	struct msrp_flow flow;
	const struct msrp_transaction_ops *chunk_ops; /* what its answer means the sender knows */
	struct transmissions messages;
	struct transmission_list shorts;      /* one chunk each */
	struct transmission_list longs;       /* not begun */
	struct transmission_list interleaved; /* begun: a chunk of each, round robin */
	struct transmission_list starved;     /* their source has nothing now */
	struct transmission_list throttled;   /* too many chunks are unanswered */
	struct transmission_list answerable;  /* sent, and not answered */
	struct transmission_list flushing;    /* sent, no answer comes: until it has left */
	struct net_mark left;
	LIST_HEAD(, chunk) chunks;
	bool greet;      /* a bodiless SEND is due */
	bool wants_room; /* to be told when no more than low bytes wait */
	uint64_t low;
	bool long_next;

	/* the frame that is open */
	struct transmission *open;
	struct chunk *open_chunk; /* NULL: no answer comes */
	struct slice open_rest;   /* of its body */
	bool open_last;
	char open_tid[MSRP_TID_LEN + 1];
};

void chunker_init(struct chunker *c, struct session *session,
    const struct msrp_transaction_ops *chunk_ops);

/** May messages leave? */
bool chunker_can_send(const struct chunker *c);

/** Something may leave now. */
void chunker_kick(struct chunker *c);

/** Send a bodiless SEND, if greet, and nothing else comes first. */
void chunker_greet(struct chunker *c, bool greet);

/** The source of a message has bytes again. */
void chunker_wake(struct chunker *c, struct transmission *m);

/** End the open frame with "#", its message has failed.  @return false: that cost the connection */
bool chunker_abort_open(struct chunker *c);

/** The transaction of the chunk has ended. */
void chunker_chunk_over(struct chunk *chunk);

/** What no answer comes for has left, or will not any more. */
void chunker_free_flushing(struct chunker *c);

/** Has all that was queued been written?  Answers may be due. */
bool chunker_written(const struct chunker *c);

/** Is nothing queued or unanswered any more? */
bool chunker_drained(const struct chunker *c);
void chunker_check_drained(struct chunker *c);
