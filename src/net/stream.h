/*
 * One stream of bytes to a peer, whatever transport carries it; embedded in its owner.
 *
 * Out, there are two queues: urgent messages, which are queued whole, and the bulk, a sequence of
 * messages of any length.  The urgent overtake the bulk between two of its messages.  Bytes given
 * by reference must stay until the turn's end; what the kernel has not taken by then is copied or,
 * if it lies in a receive block, kept there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event_struct.h>

#include <msrpd/slice.h>
#include <msrpd/timer.h>

#include "base/addr.h"
#include "base/line.h"
#include "net/protocol.h"
#include "net/transport.h"

struct net_dial;
struct net_guard_host;
struct net_listener;
struct net_output;
struct proxy_header;
struct net_stash;

enum net_state {
	NET_RESOLVING,
	NET_CONNECTING,
	NET_PROXIED, /* by somebody who is to say for whom */
	NET_LATE,    /* waits until it may begin its handshake */
	NET_HANDSHAKE,
	NET_OPEN,
	NET_CLOSED,
};

/** Fields are for reading, by net/ and transports. */
struct net_stream {
	struct net_protocol *protocol;
	LIST_ENTRY(net_stream) entry;
	union {
		TAILQ_ENTRY(net_stream) late_entry; /* while NET_LATE, and so in no other list */
		struct {
			TAILQ_ENTRY(net_stream) dirty_entry;
			struct line_entry line; /* of who has more to read than a turn's share */
		};
	};
	uint64_t number;
	struct net_link link;
	const struct net_listener *listener; /* NULL: dialled */
	struct net_guard_host *host;         /* it counts there; NULL: nowhere */
	union addr *client;                  /* who is behind the proxy; NULL: nobody */
	struct proxy_header *proxied;        /* while it comes */
	struct net_dial *dial;               /* NULL: accepted, or closed() is over */
	struct net_output *out;              /* while something is queued, or waits for its end */
	struct net_stash *stash;             /* what a pause has left of the bytes received */
	struct timer_queue *life_queue;      /* in which life runs */
	struct timer_entry life;
	int fd;
	unsigned refs;
	uint32_t turn; /* in which it was served last */
	enum net_state state : 8;
	unsigned paused : 2;
	bool accepted : 1; /* else dialled */
	bool ended : 1;    /* the peer sends no more */
	bool closing : 1;  /* when all is sent */
	bool away : 1;     /* its handshake is with a thread, and so is its transport */
	bool reading : 1;
	bool dirty : 1; /* in a list of the turn: */
	bool later : 1; /* that one */
	bool wants_room : 1;
	bool failed : 1; /* its output has a hole: to be closed */
	bool read_wants_write : 1, write_wants_read : 1;
	struct event *ev_write;
	struct event ev_read;
};

/* --- life --- */

/** Of zeroed memory; with one ref, which net_stream_close() drops. */
void net_stream_init(struct net_stream *stream, struct net_protocol *protocol);

void net_stream_ref(struct net_stream *stream);
void net_stream_unref(struct net_stream *stream);

/** Close now: what is queued is lost.  Harmless on a closed one. */
void net_stream_close(struct net_stream *stream, int err);

/**
 * Close when all that is queued has been sent; nothing is read any more, nor queued as urgent.
 * The peer is given a moment to read it: a socket with bytes unread would be reset.
 */
void net_stream_close_after_send(struct net_stream *stream);

/**
 * The time-out that the stream runs in, one at a time; NULL: none.  Until it is open, net/ sets
 * it; from then on its owner.
 */
void net_stream_set_life(struct net_stream *stream, struct timer_queue *queue);

/** The stream whose life has expired; it is in no queue now. */
struct net_stream *net_stream_expired(struct timer_entry *life);

/** What becomes of a stream that is handed over; all is borrowed for the call. */
struct net_handing {
	const struct net_listener *to; /* whose it will be; its socket need not be open */
	void *arg;                     /* for net_handler.accept() of its protocol */
	/* For whom the peer, a proxy, speaks: the limits are his from now on.  NULL: for himself */
	const union addr *client;
	struct slice answer; /* to the request, which is written first */
	struct slice rest;   /* bytes that were read behind the request */
};

/**
 * Make a WebSocket of an accepted stream that is open and not framed, at which a request for that
 * was read: from now on it is a stream of another listener's protocol, whose limit of streams
 * counts.  On success this one is closed, without its socket.
 *
 * @return 0 or negative errno: then it is as it was, or closed
 */
int net_stream_hand_over(struct net_stream *stream, const struct net_handing *handing);

/* --- who is there --- */

/** The peer's address, or ours on this stream; none if it is not connected. */
void net_stream_peer(const struct net_stream *stream, union addr *addr);
void net_stream_local(const struct net_stream *stream, union addr *addr);

/** Has the connection broken, as far as the system knows?  One that is not read does not tell. */
bool net_stream_is_broken(const struct net_stream *stream);

/** Did the peer show a certificate that our CA vouches for?  And with this name among its SANs? */
bool net_stream_peer_certified(const struct net_stream *stream);
bool net_stream_peer_is(const struct net_stream *stream, struct slice host);

/** Did the peer show a certificate with this fingerprint ("SHA-256 AB:CD…", RFC 8122)? */
bool net_stream_peer_has_fingerprint(const struct net_stream *stream, struct slice fingerprint);

/* --- input --- */

/** Read no more, from the handler's input() also, before net_stream_resume(). */
void net_stream_pause(struct net_stream *stream);

/** Nothing is read or called from inside this call. */
void net_stream_resume(struct net_stream *stream);

/* --- output --- */

/* Where memory is short, what writes makes the stream fail: it is closed at the turn's end. */

/**
 * Queue a whole urgent message; copied.  When more than send_queue of these wait, the stream is
 * not read until they have left.
 * @return 0 or -ENOTCONN: the stream is closed, or about to be
 */
int net_stream_send(struct net_stream *stream, struct slice message);

/**
 * Ask the peer whether it is there: net_handler.alive() follows if it is.
 * @return false: not now, or the transport cannot
 */
bool net_stream_ping(struct net_stream *stream);

/** Go on with the bulk, or begin a message of it. */
void net_stream_copy(struct net_stream *stream, struct slice bytes);
void net_stream_borrow(struct net_stream *stream, struct slice bytes);

/** The open message of the bulk, or a new one, ends with these bytes: one at least, copied. */
void net_stream_end(struct net_stream *stream, struct slice bytes);

/** Copy what was borrowed and has not left: its memory goes away before the turn's end. */
void net_stream_keep(struct net_stream *stream);

/** Ask for room(), once. */
void net_stream_want_room(struct net_stream *stream);

/** Bytes that wait to be written. */
size_t net_stream_backlog(const struct net_stream *stream);

/** Has any byte of the open message of the bulk been handed to the kernel? */
bool net_stream_message_has_left(const struct net_stream *stream);

/** A place in the bulk: told when all that was queued so far was handed to the kernel. */
struct net_mark {
	TAILQ_ENTRY(net_mark) entry; /* zeroed: not waiting */
	uint64_t offset;
	void (*sent)(struct net_mark *mark);
};

/** A stream that closes forgets its marks, and a closed one takes none. */
void net_stream_mark(struct net_stream *stream, struct net_mark *mark);
/** Harmless on one that does not wait. */
void net_stream_unmark(struct net_stream *stream, struct net_mark *mark);
