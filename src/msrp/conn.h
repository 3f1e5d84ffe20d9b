/*
 * One MSRP connection, a stream of bytes (net/stream.h) that carries frames: frames in, frames out.
 *
 * In: the head of each request goes to its target (stack.h), which may take
 * the body as a stream through a sink; each response goes to its transaction.
 * Out: two kinds of frames.  Responses and REPORTs are small and urgent; they
 * are sent whole and overtake, at a frame's boundary, everything else.  What
 * carries bodies goes through flows, of which one at a time has its frame open.
 *
 * What is written during a turn of the loop leaves in one system call at the
 * turn's end.  Bytes given by reference must stay until then; what the socket
 * does not take is copied or, if it lies in a receive buffer, kept there.
 *
 * Handlers may close the connection they are called for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <msrpd/slice.h>

#include "msrp/transport.h"
#include "net/stream.h"
#include "wire/frame.h"

struct msrp_conn;
struct msrp_listener;
struct msrp_stack;

/* --- life --- */

struct msrp_conn *msrp_conn_ref(struct msrp_conn *conn);
void msrp_conn_unref(struct msrp_conn *conn);

/**
 * Close now: what is queued is lost; sink, flows, transactions and users are told err.
 * Harmless on a closed connection.
 */
void msrp_conn_close(struct msrp_conn *conn, int err);

/**
 * Close when all that is queued has been sent; nothing is read any more, nor queued.  The peer
 * is given a moment to read it: a socket with bytes unread would be reset.
 */
void msrp_conn_close_after_send(struct msrp_conn *conn);

bool msrp_conn_closed(const struct msrp_conn *conn);

/** Is it closed, or going to be once all has been sent? */
bool msrp_conn_closing(const struct msrp_conn *conn);

uint64_t msrp_conn_number(const struct msrp_conn *conn); /* never used twice */
const struct msrp_transport *msrp_conn_transport(const struct msrp_conn *conn);

/** Did the peer open it?  Then the listener that took it, else NULL. */
bool msrp_conn_accepted(const struct msrp_conn *conn);
struct msrp_listener *msrp_conn_listener(const struct msrp_conn *conn);

/** The peer's address, or ours on this connection: "192.0.2.1:2855", "[2001:db8::1]:2855", or "-";
 *  cut to size, NUL-terminated. */
void msrp_conn_peer_text(const struct msrp_conn *conn, char *text, size_t size);
void msrp_conn_local_text(const struct msrp_conn *conn, char *text, size_t size);

/** Did the peer show a certificate that our CA vouches for?  And with this name among its SANs? */
bool msrp_conn_peer_certified(const struct msrp_conn *conn);
bool msrp_conn_peer_is(const struct msrp_conn *conn, struct slice host);

/** Did the peer show a certificate with this fingerprint ("SHA-256 AB:CD…", RFC 8122)? */
bool msrp_conn_peer_fingerprint(const struct msrp_conn *conn, struct slice fingerprint);

/** Its peer has shown wrong credentials; has it so often that they are not to be looked at? */
void msrp_conn_wrong_credentials(struct msrp_conn *conn);
bool msrp_conn_is_barred(const struct msrp_conn *conn);

/** What a role keeps with a connection, without being a reason to keep the connection. */
struct msrp_note {
	SLIST_ENTRY(msrp_note) entry;
	/** The connection is gone, the note off it; the last thing that is told of it. */
	void (*closed)(struct msrp_note *note);
};

/** The one that is known by its callback; NULL: none. */
struct msrp_note *msrp_conn_note(const struct msrp_conn *conn,
    void (*closed)(struct msrp_note *note));
void msrp_conn_add_note(struct msrp_conn *conn, struct msrp_note *note);
void msrp_conn_remove_note(struct msrp_conn *conn, struct msrp_note *note);

/** Marks of whoever gets the requests without a target (target.h); 0 at first. */
uint32_t *msrp_conn_marks(struct msrp_conn *conn);

/* --- users: what a connection is kept for --- */

struct msrp_user;
struct msrp_user_ops {
	/** The connection is gone; the user is detached already.  Once. */
	void (*closed)(struct msrp_user *user, int err);
	/** An outgoing connection is established, TLS included.  NULL: nobody asks. */
	void (*opened)(struct msrp_user *user);
	/**
	 * Anybody may have connections opened by such users: what they leave is closed unless it is
	 * open, or is one of many.
	 */
	bool for_anybody;
};

/** A session or a grant; embedded.  A connection without users is closed after idle_timeout. */
struct msrp_user {
	const struct msrp_user_ops *ops;
	struct msrp_conn *conn; /* NULL: detached */
	LIST_ENTRY(msrp_user) entry;
};

/**
 * Attach: the connection is bound, bind_timeout no longer counts.
 * @param idle_ms  0, or how long this user's connection is kept after its last user (the longest
 *                 that any user of it asked for counts)
 */
void msrp_conn_attach(struct msrp_conn *conn, struct msrp_user *user, uint64_t idle_ms);
void msrp_conn_detach(struct msrp_user *user);
size_t msrp_conn_users(const struct msrp_conn *conn);
/** As if it had had a user now: without one it is kept for idle_timeout from here on. */
void msrp_conn_keep(struct msrp_conn *conn);

/** Has it ever had a user? */
bool msrp_conn_used(const struct msrp_conn *conn);

/** Is it established (an accepted one after its TLS handshake)? */
bool msrp_conn_open(const struct msrp_conn *conn);

/* --- input --- */

struct msrp_sink;
struct msrp_sink_ops {
	/** @return 0; -EAGAIN: taken, but read no more before msrp_conn_resume(); else closes */
	int (*body)(struct msrp_sink *sink, struct slice piece);
	/** The frame's end; the sink is detached, the reply still possible. @return as body */
	int (*end)(struct msrp_sink *sink, enum msrp_flag flag);
	/** The connection died inside the frame; the sink is detached. */
	void (*aborted)(struct msrp_sink *sink, int err);
	/**
	 * The frame goes on in another read: pieces given so far, and what request() was given,
	 * are not there any more after this.  NULL: nobody keeps any.
	 * @return 0, or negative errno, which closes
	 */
	int (*parked)(struct msrp_sink *sink);
};

/** Takes the body of one frame; embedded in whoever wants it. */
struct msrp_sink {
	const struct msrp_sink_ops *ops;
	struct msrp_conn *conn; /* while attached */
};

/** From a target's request(): give me this frame's body and its end. */
void msrp_conn_take(struct msrp_conn *conn, struct msrp_sink *sink);

/**
 * The request that conn is reading, between its head and its end; method, transaction id and
 * paths are valid throughout, the rest while its head is in the read at hand.
 */
const struct msrp_frame *msrp_conn_request(const struct msrp_conn *conn);

/**
 * May an end-line, of whatever transaction id, have come in the body of that request so far, behind
 * a CRLF of it or at its start?  False is certain, and the rule.
 */
bool msrp_conn_may_hold_end_line(const struct msrp_conn *conn);

/** Lose interest in the rest of the frame; harmless on a sink that is not attached. */
void msrp_sink_drop(struct msrp_sink *sink);

/** Read again after -EAGAIN; nothing is read or called from inside this call. */
void msrp_conn_resume(struct msrp_conn *conn);

/**
 * Answer the request that conn is reading, from its head until its end; once.  Sends nothing
 * where the method (REPORT) or Failure-Report (RFC 4975 7.2) forbid this answer.
 *
 * @param phrase   absent for none
 * @param headers  further header lines with their CRLF; absent for none
 */
void msrp_conn_reply(struct msrp_conn *conn, int code, struct slice phrase, struct slice headers);

/**
 * From now on 200s to the SENDs of one read are one frame.  For an other end that is known to
 * understand it, as we do everywhere: RFC 4975 knows nothing of it.
 *
 * @return 0 or -ENOMEM
 */
int msrp_conn_answer_together(struct msrp_conn *conn);

/* --- output --- */

/**
 * Queue a whole small frame ahead of all bodies: responses, REPORTs.  Copied.
 * When more than send_queue of these wait, conn is not read until they have left.
 */
void msrp_conn_send(struct msrp_conn *conn, struct slice frame);

/** Bytes that wait to be written; those not taken by the kernel at the end of a turn count. */
size_t msrp_conn_backlog(const struct msrp_conn *conn);

struct msrp_flow;
struct msrp_flow_ops {
	/**
	 * Another frame needs the line while this flow's frame is open: end it by
	 * msrp_flow_end() before returning, with the flag "+" unless nothing is left to go on with.
	 */
	void (*interrupt)(struct msrp_flow *flow);
	/** After msrp_flow_wait(): all that waited on the connection was handed to the kernel. */
	void (*writable)(struct msrp_flow *flow);
	/** The connection is gone; the flow is detached. */
	void (*closed)(struct msrp_flow *flow, int err);
};

/** One stream of frames onto a connection; embedded. */
struct msrp_flow {
	const struct msrp_flow_ops *ops;
	struct msrp_conn *conn;         /* NULL: detached */
	LIST_ENTRY(msrp_flow) entry;    /* all flows of conn */
	TAILQ_ENTRY(msrp_flow) waiting; /* tqe_prev NULL: not */
	uint32_t round;                 /* in which it began to wait */
};

void msrp_flow_attach(struct msrp_flow *flow, struct msrp_conn *conn);

/** Have other flows been on its connection as well, at the moment or of late? */
bool msrp_flow_is_shared(const struct msrp_flow *flow);

/** Its frame must not be open.  Harmless on a detached one. */
void msrp_flow_detach(struct msrp_flow *flow);

/** Less than send_queue waits on the connection: go on writing. */
bool msrp_flow_room(const struct msrp_flow *flow);

/** Ask for writable(), once, in turn with the other flows of the connection. */
void msrp_flow_wait(struct msrp_flow *flow);

/**
 * Open a frame: interrupts the flow whose frame is open.
 * @param head  start line and headers, with the empty line if a body follows; copied
 */
void msrp_flow_begin(struct msrp_flow *flow, struct slice head);

/** Further bytes, by reference, valid until the end of this turn of the loop (see above). */
void msrp_flow_body(struct msrp_flow *flow, struct slice piece);

/** Copy what was given by reference and has not left: its memory goes before the turn's end. */
void msrp_flow_keep(struct msrp_flow *flow);

/** @param end  the rest of the frame, end-line and all; copied */
void msrp_flow_end(struct msrp_flow *flow, struct slice end);

/** Is this flow's frame open? */
bool msrp_flow_is_open(const struct msrp_flow *flow);

/** Has any byte of the open frame been handed to the kernel?  Until then nobody knows its tid. */
bool msrp_flow_has_left(const struct msrp_flow *flow);

/** Be told when all bodies queued so far were handed to the kernel. */
void msrp_conn_mark(struct msrp_conn *conn, struct net_mark *mark);
/** Harmless on one that does not wait. */
void msrp_conn_unmark(struct msrp_conn *conn, struct net_mark *mark);
