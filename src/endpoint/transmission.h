/* Messages that are being sent: their memory, their Message-IDs, their bodies. */
#pragma once

#include <sys/queue.h>

#include <msrpd/message.h>

#include "base/shared_body.h"

#include "endpoint/endpoint.h"

enum { TRANSMISSION_TYPE_MAX = 1024 }; /* bytes of a Content-Type */

TAILQ_HEAD(transmission_list, transmission);

struct transmission;

/** What those of a session share. */
struct transmissions {
	struct session *session;
	uint64_t last_number;
	size_t bytes;                          /* the costs */
	unsigned count;                        /* messages */
	unsigned begun;                        /* of them long ones that the peer has a part of */
	struct transmission *asked;            /* its source is being asked */
	uint64_t unsent;                       /* bytes of bodies that wait to be written */
	void (*grown)(struct transmission *m); /* it has more to send */
	char prefix[17];                       /* of their Message-IDs */
};

/** A message to send, in the list of what it waits for. */
struct transmission {
	TAILQ_ENTRY(transmission) next;
	struct transmission_list *list; /* NULL: none */
	struct transmissions *all;
	struct message_body body;    /* bytes: our copy, behind the type, or shared */
	struct shared_reader reader; /* of a shared body while it grows */
	uint64_t max_bytes;          /* that the peer takes of it */
	uint64_t number;             /* in its Message-ID */
	uint64_t sent;               /* bytes of the body */
	size_t cost;                 /* of max_queued_bytes, until all is sent */
	size_t charged;              /* of max_memory */
	unsigned unanswered;         /* chunks */
	enum failure_report failure_report;
	int verdict; /* of the rejected: why it is not sent */
	bool success_report, confirm, bodiless, long_one;
	bool text;                           /* its chunks end between two characters */
	bool counted;                        /* cost is among the bytes of all */
	bool begun;                          /* a long one of which the peer has a part */
	bool failed;                         /* told so; what is left to do is an "#" */
	bool dry;                            /* the source has nothing now */
	bool ended;                          /* it has given all; always, without a source */
	char *buffer;                        /* what a source gave; NULL: no source */
	size_t buffer_size, buffered, taken; /* taken: sent of it */
	size_t type_len;
	char type[]; /* and bytes, or buffer */
};

/** Each takes it out of the list that it is in. */
void transmission_unlink(struct transmission *m);
void transmission_append(struct transmission_list *list, struct transmission *m);
void transmission_prepend(struct transmission_list *list, struct transmission *m);

struct slice transmission_id(const struct transmissions *all, uint64_t number,
    char id[MSRP_MESSAGE_ID_SIZE]);

/** @return 0 or -ENOENT: no Message-ID of this session */
int transmission_parse_id(const struct transmissions *all, struct slice id, uint64_t *numberp);

/** With the next number, in no list yet. @return 0; -EINVAL: bad Content-Type; -ENOBUFS; -ENOMEM */
int transmission_new(struct transmission **mp, struct transmissions *all,
    const struct message_out *message);
void transmission_free(struct transmission *m);

/** Its source is not asked any more. */
void transmission_source_done(struct transmission *m);

/** It waits to be sent, and takes room of max_queued_bytes for it. */
void transmission_count(struct transmission *m);

/** Nothing more of it is sent. */
void transmission_stop(struct transmission *m);

/** A byte of it was written. */
void transmission_sent(struct transmission *m, size_t len);

/** From its first byte again. */
void transmission_rewind(struct transmission *m);

/**
 * What a body that grows is good for now.
 *
 * @return 0, or why it will not be sent to its end
 */
int transmission_look(struct transmission *m, size_t chunk_size);

/** Ask the source for a chunk.  @return 0; its error; -ECANCELED: the message is gone */
int transmission_fill(struct transmission *m);

/**
 * The front of bytes, max of them at most.  Of a text no character is cut in two: there are peers
 * that decode each chunk by itself.
 */
struct slice transmission_cut(const struct transmission *m, struct slice bytes, size_t max);

/** The next bytes to send, and whether they are the last. */
struct slice transmission_chunk(const struct transmission *m, size_t max, bool *lastp);
