/* What endpoint, inbox and outbox share. */
#pragma once

#include <uthash.h>

#include <msrpd/timer.h>

#include "msrp/assembly.h"
#include "msrp/conn.h"
#include "msrp/endpoint.h"
#include "msrp/transaction.h"

enum {
	DONE_MAX	= 32,	/* Message-IDs of a session that are known to be done with */
	LATER_MAX	= 1024,	/* messages of a session whose REPORT waits for the service */
	HEAD_MAX	= 2 * MSRP_PATH_MAX + 1024,
};

struct endpoint_counters {
	uint64_t *messages_in, *messages_out, *reports_in, *reports_out, *refused, *partial;
};

struct msrp_endpoints {
	struct msrp_stack		*stack;
	struct timer_queue		partial, silent;
	struct endpoint_counters	count;
	struct sent_chunk		*free_chunks;
	unsigned			free_chunk_count;
};

/* --- in --- */

/** A message that is not whole yet. */
struct incoming {
	UT_hash_handle		hh;		/* by id */
	struct timer_entry	timer;
	struct msrp_endpoint	*ep;
	struct assembly		parts;
	size_t			charged;
	uint64_t		delivered;	/* stream: bytes given to the service */
	void			*stream;
	bool			direct;		/* stream: the chunk in hand is what comes next */
	enum failure_report	failure_report;
	bool			success_report;
	uint64_t		total;
	uint8_t			id_len;
	char			id[MSRP_MESSAGE_ID_SIZE];
	char			type[];
};

/** A REPORT that the service will ask for. */
struct later {
	UT_hash_handle		hh;		/* by id; the oldest first */
	uint64_t		total;
	enum failure_report	failure_report;
	bool			success_report;
	uint8_t			id_len;
	char			id[MSRP_MESSAGE_ID_SIZE];
	uint32_t		path_len;
	char			path[];
};

struct done {
	uint64_t	hash;		/* of the Message-ID */
	int		code;		/* 200, or what it was refused with */
};

struct inbox {
	struct msrp_sink	sink;
	struct incoming		*open;		/* hash */
	struct incoming		*current;	/* of the frame in hand; NULL: not needed so far */
	struct later		*later;		/* hash */
	struct done		*done;		/* a ring of DONE_MAX, once there is one */
	unsigned		next_done;
	uint64_t		messages;

	/* the frame in hand */
	struct slice		id, type, piece;	/* piece: its body so far, in the receive block */
	uint64_t		start, total;
	enum failure_report	failure_report;
	bool			success_report;
	bool			skip;		/* bodiless, or done with: only to be answered */
	char			id_text[MSRP_MESSAGE_ID_SIZE];
};

int inbox_request(struct msrp_endpoint *ep, struct msrp_conn *conn, const struct msrp_frame *frame);
int inbox_report(struct msrp_endpoint *ep, struct slice id, int code, struct slice phrase);
void inbox_resume(struct msrp_endpoint *ep, void *stream);
void inbox_init(struct inbox *in);
void inbox_fini(struct msrp_endpoint *ep);
void inbox_partial_expired(struct timer_entry *entry, void *arg);

/* --- out --- */

/** A message to send, until all of it is answered. */
struct outgoing {
	struct outgoing		*next, **prevp;		/* those with something to send, in turn */
	struct outgoing		*all_next, **all_prevp;
	struct msrp_endpoint	*ep;
	struct message_body	body;		/* bytes: our copy, behind the type */
	uint64_t		sent;		/* bytes of the body */
	unsigned		unanswered;	/* chunks */
	enum failure_report	failure_report;
	bool			success_report, confirm, bodiless, from_source;
	bool			all_sent, failed, stalled;
	int			refused;		/* by msrp_endpoint_sift(): told when its turn comes */
	uint64_t		number;		/* in the Message-ID */
	size_t			charged;
	uint16_t		type_len;
	char			type[];		/* and bytes */
};

/** A chunk whose response is awaited. */
struct sent_chunk {
	struct msrp_transaction	t;
	struct sent_chunk	*next, **prevp;	/* of the endpoint, or in the store */
	struct outgoing		*message;	/* NULL: a bodiless SEND of our own, or its message is gone */
	struct msrp_endpoint	*ep;
	struct msrp_byte_range	range;
	bool			last;
};

struct outbox {
	struct msrp_flow	flow;
	struct outgoing		*ready, **last_ready;
	struct outgoing		*all, **last_all;
	uint64_t		last_number, messages;
	size_t			bytes;		/* queued */
	bool			greet;		/* a bodiless SEND is due */
	struct sent_chunk	*unanswered;
};

extern const struct msrp_flow_ops outbox_flow_ops;

void outbox_init(struct outbox *out);
int outbox_send(struct msrp_endpoint *ep, const struct message_out *message, unsigned flags,
    char *message_id);
void outbox_sift(struct msrp_endpoint *ep,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg);
void outbox_ready(struct msrp_endpoint *ep, struct slice message_id);
void outbox_kick(struct msrp_endpoint *ep);	/* something may leave now */
void outbox_report_received(struct msrp_endpoint *ep, const struct msrp_frame *frame);
void outbox_rewind(struct msrp_endpoint *ep);	/* the connection is gone: all again on the next */
void outbox_give_up(struct msrp_endpoint *ep);
void outbox_fini(struct msrp_endpoint *ep);
bool outbox_drained(const struct outbox *out);

/* --- the endpoint --- */

struct msrp_endpoint {
	struct msrp_target			target;
	struct msrp_user			user;
	struct msrp_endpoints			*all;
	const struct msrp_endpoint_handler	*handler;	/* NULL once it is freed */
	void					*arg;
	unsigned				refs;
	bool					stream, started, confirmed, bound_told;
	uint64_t				max_queued_bytes;
	struct timer_entry			silent;
	struct inbox				in;
	struct outbox				out;
	char					*to_path;	/* NULL: not known yet */
	char					prefix[17];	/* of our Message-IDs */
	char					own_uri[];
};

struct msrp_endpoint *endpoint_ref(struct msrp_endpoint *ep);
void endpoint_unref(struct msrp_endpoint *ep);
bool endpoint_can_send(const struct msrp_endpoint *ep);
void endpoint_active(struct msrp_endpoint *ep);	/* a frame passed: not silent */
void endpoint_refused(struct msrp_endpoint *ep, int code);
void endpoint_tell(struct msrp_endpoint *ep, const struct message_report *report);
