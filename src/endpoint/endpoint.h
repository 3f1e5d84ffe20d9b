/*
 * One end of an MSRP session (RFC 4975): messages out as chunks, chunks in as
 * messages, responses and reports both ways.  Knows nothing of SIP: paths and
 * destinations come from whoever negotiated them.
 *
 * Callbacks may free the endpoint.  None comes from inside a function of this header, but for
 * what endpoint_give_up() tells.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/message.h>
#include <msrpd/slice.h>

#include "msrp/pool.h"
#include "msrp/stack.h"
#include "wire/path.h"

struct endpoint;
struct endpoints;
struct stats;

enum {
	MSRP_MESSAGE_ID_SIZE = 33, /* NUL included */
	MSRP_REPORT_LATER = 1,     /* as UA_REPORT_LATER */
	MSRP_SEND_CONFIRM = 1,     /* as UA_SEND_CONFIRM */
};

/** What all endpoints of a stack share: time-outs, memory, numbers. */
int endpoints_new(struct endpoints **allp, struct msrp_stack *stack, struct stats *stats);
void endpoints_free(struct endpoints *all); /* accepts NULL; its endpoints are gone */

/** After msrp_stack_reload(): take its time-outs. */
void endpoints_reload(struct endpoints *all);

struct endpoint_handler {
	/** Is a message of this type welcome?  (multipart/mixed and its like are, unasked.) */
	bool (*accepts)(struct slice content_type, void *arg);

	/** message, or begin, piece and end: see struct ua_handler (msrpd/ua.h). */
	int (*message)(const struct message *m, void *arg);
	int (*begin)(const struct message *m, void **streamp, void *arg);
	int (*piece)(void *stream, struct slice piece, void *arg);
	int (*end)(void *stream, int err, void *arg);

	/** As ua_handler.nickname, whose 501 it returns where there is none. */
	int (*nickname)(struct slice nickname, void *arg);

	/** As ua_handler.report. */
	void (*report)(const struct message_report *report, void *arg);

	/**
	 * The session has its connection: ours is established, or the peer's first request came.
	 * Not called for one that was open when endpoint_connect() found it.
	 */
	void (*bound)(void *arg);

	/** It has lost it, or could not be connected.  Messages wait for the next one. */
	void (*lost)(int err, void *arg);

	/** The peer knows no such session (481), or not on this connection (506). */
	void (*refused)(int code, void *arg);

	/** As ua_handler.room; NULL: it does not ask. */
	void (*room)(void *arg);

	/** Nothing is queued or unanswered any more. */
	void (*drained)(void *arg);
};

struct endpoint_options {
	struct slice own_uri; /* with its session id; copied */
	const struct endpoint_handler *handler;
	void *arg;
	uint64_t max_queued_bytes;
	uint64_t chunk_size; /* bytes of body in a SEND; 0: the stack's setting */
	bool stream;         /* begin, piece, end */
	bool bounded;        /* as ua_handler.bounded */
};

/** @return 0; -EEXIST: the session id is taken; -EINVAL; -ENOMEM */
int endpoint_new(struct endpoint **epp, struct endpoints *all,
    const struct endpoint_options *options);

/** Leaves its connection; what is queued is lost, sources get their done().  Accepts NULL. */
void endpoint_free(struct endpoint *ep);

/**
 * Where messages go: To-Path is the relays' Use-Path and the peer's a=path.
 *
 * @param relays  absent without relays
 * @return 0; -EINVAL: not a path; -EMSGSIZE: longer than MSRP_PATH_MAX; -ENOMEM
 */
int endpoint_set_path(struct endpoint *ep, struct slice relays, struct slice peer);

/**
 * Be the side that connects (RFC 6135 4.2).
 *
 * @param greet    bind the session at the peer: a bodiless SEND if nothing else waits (RFC 4975
 *                 5.4); false, behind a relay: nothing leaves before the peer's first request
 *                 (RFC 6135 4.5)
 * @param idle_ms  see msrp_conn_attach()
 * @return as msrp_pool_get()
 */
int endpoint_connect(struct endpoint *ep, const struct msrp_destination *to, bool greet,
    uint64_t idle_ms);

/** Messages may leave from now on: the session is established. */
void endpoint_start(struct endpoint *ep);

/** Leave the connection; messages wait for the next one, which may come or be opened. */
void endpoint_unbind(struct endpoint *ep);

bool endpoint_bound(const struct endpoint *ep);

/** Has the peer sent a request or a response, since its path is what it is? */
bool endpoint_heard(const struct endpoint *ep);

/** The connection it is on, or on its way to; NULL: none. */
struct msrp_conn *endpoint_conn(const struct endpoint *ep);

/**
 * Queue a message.
 *
 * @param message_id  room for MSRP_MESSAGE_ID_SIZE bytes, or NULL
 * @return 0; -ENOBUFS: max_queued_bytes or max_memory reached; -ENOMEM
 */
int endpoint_send(struct endpoint *ep, const struct message_out *message, unsigned flags,
    char *message_id);

/**
 * Drop what is queued and unsent and for which judge() gives an MSRP status (415, 413): report()
 * of that, REPORT_FROM_HERE, comes for each, not from inside this call.
 */
void endpoint_filter(struct endpoint *ep,
    int (*judge)(struct slice content_type, uint64_t total, void *arg), void *arg);

/** See ua_backlog(), ua_want_room(). */
uint64_t endpoint_backlog(const struct endpoint *ep);
void endpoint_want_room(struct endpoint *ep, uint64_t low);

/** See ua_message_ready(), ua_message_resume(), ua_send_report(). */
void endpoint_ready(struct endpoint *ep, struct slice message_id);
void endpoint_resume(struct endpoint *ep, void *stream);
int endpoint_report(struct endpoint *ep, struct slice message_id, const struct report_out *report);

/**
 * Give up: report() 481 for each message that is queued or unanswered, end() -ECONNRESET
 * for each stream.
 */
void endpoint_give_up(struct endpoint *ep);

struct endpoint_info {
	size_t queued_bytes;
	uint64_t messages_in, messages_out;
	bool drained;
	bool written; /* all that was queued; answers may be due */
};

void endpoint_info(const struct endpoint *ep, struct endpoint_info *info);
