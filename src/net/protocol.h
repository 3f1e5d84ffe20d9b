/* What all streams of one protocol have in common: its handler, limits, time-outs and counters. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <msrpd/slice.h>
#include <msrpd/timer.h>

struct net;
struct net_stream;
struct net_tap;
struct net_tls_contexts;

/**
 * What a stream's owner is told.  It is called with a ref held, and may close or free anything.
 */
struct net_handler {
	/**
	 * A listener (arg is its arg) has taken a connection: make its owner.
	 * @return the stream, by net_stream_init(); NULL: no memory
	 */
	struct net_stream *(*accept)(void *arg);

	/** It is established, handshake included. */
	void (*opened)(struct net_stream *stream);

	/**
	 * Bytes have come, valid until the turn of the loop ends.
	 * @param end  a message of a framed transport ends with them
	 * @return those that were used; the rest is given again in another turn, or, if the stream
	 *         was paused, when it goes on; negative errno: close, when what was queued has been
	 *         written
	 */
	ssize_t (*input)(struct net_stream *stream, struct slice bytes, bool end);

	/**
	 * The peer sends no more, but may still read.  NULL: nothing is on its way to him.
	 * @return false: close; true: it stays open until its owner closes it
	 */
	bool (*ended)(struct net_stream *stream);

	/** After net_stream_want_room(): all that waited was handed to the kernel. */
	void (*room)(struct net_stream *stream);

	/**
	 * A message waits for the end of the one that is open: end that with net_stream_end().
	 * NULL: it can wait.
	 */
	void (*interrupt)(struct net_stream *stream);

	/**
	 * The peer has shown by something else than a message that it is there: the answer to
	 * net_stream_ping(), or a ping of its own.  Not to close or write from; NULL: nobody asks.
	 */
	void (*alive)(struct net_stream *stream);

	/**
	 * It is about to close while somebody listens at the tap: tell there what has come of a
	 * message that will not become whole.  Not to write or close from; NULL: nothing.
	 */
	void (*cut)(struct net_stream *stream);

	/** It is closed; once. */
	void (*closed)(struct net_stream *stream, int err);

	/** The last ref is gone. */
	void (*free)(struct net_stream *stream);
};

struct net_limits {
	uint64_t max_streams;
	uint64_t max_message; /* bytes of one that is received on a framed transport; 0: any */
	uint64_t send_queue;  /* bytes that wait before whoever makes them is to pause */
	/* 0 is never */
	uint64_t connect_timeout_ms, handshake_timeout_ms;
	uint64_t
	    preface_timeout_ms;   /* of a PROXY header, and of a WebSocket's handshake behind TLS */
	uint64_t send_timeout_ms; /* in which none of the bytes that wait is taken */
};

/** Owned by the protocol's statistics. */
struct net_counters {
	uint64_t *accepted, *connected, *refused, *closed, *open, *bytes_in, *bytes_out;
};

/**
 * Their rows in a table of struct stats_row, for an owner whose protocol is its member of that
 * name.
 *
 * @param what     "HTTP connections"
 * @param refusal  why some are refused: "connections beyond …"
 */
#define NET_COUNTER_ROW(owner, row, field, text) \
	.name = row, .help = text, .offset = offsetof(owner, protocol.count.field)
#define NET_COUNTER_ROWS(owner, what, refusal)                                               \
	{NET_COUNTER_ROW(owner, "accepted", accepted, what " accepted")},                    \
	    {NET_COUNTER_ROW(owner, "connected", connected, what " opened by msrpd")},       \
	    {NET_COUNTER_ROW(owner, "refused", refused, refusal)},                           \
	    {NET_COUNTER_ROW(owner, "closed", closed, what " closed")},                      \
	    {NET_COUNTER_ROW(owner, "bytes_in", bytes_in,                                    \
		"bytes received on " what ", TLS removed")},                                 \
	    {NET_COUNTER_ROW(owner, "bytes_out", bytes_out,                                  \
		"bytes sent on " what ", before TLS")},                                      \
	{                                                                                    \
		NET_COUNTER_ROW(owner, "connections", open, what " open now"), .gauge = true \
	}

/** Embedded in its owner; fields are for reading. */
struct net_protocol {
	struct net *net;
	const char *name;        /* in the log */
	const char *subprotocol; /* of WebSockets (RFC 6455 1.9) */
	bool text; /* WebSockets: messages of ours that are UTF-8 say so, instead of being binary */
	bool frugal; /* its handler takes little at once, so that little is read: 8 KiB at most */
	bool prompt; /* what is written does not wait for more of it, whoever writes it */
	const struct net_handler *handler;
	struct net_limits limits;
	struct net_tls_contexts *tls; /* borrowed; NULL: no TLS */
	struct net_tap *tap;          /* the net's */
	bool tapped;                  /* somebody listens there */
	LIST_ENTRY(net_protocol) of_net;
	struct net_counters count;
	LIST_HEAD(, net_stream) streams;
	size_t stream_count;
	uint64_t last_number;
	struct timer_queue connecting, handshaking, prefacing, sending;
	bool stopping;
};

/**
 * net, name, handler, limits, tls and count, of WebSockets subprotocol and text, frugal and prompt
 * are set by the owner.
 * @return 0 or -ENOMEM; net_protocol_fini() is harmless on zeroed memory, and after a failure
 */
int net_protocol_init(struct net_protocol *protocol);

/** Take other limits and TLS contexts; streams keep the contexts that they were opened with. */
void net_protocol_reload(struct net_protocol *protocol, const struct net_limits *limits,
    struct net_tls_contexts *tls);

/** Is max_streams reached? */
bool net_protocol_is_full(const struct net_protocol *protocol);

/** Closes all streams; nothing is accepted or dialled any more, and nothing lingers. */
void net_protocol_fini(struct net_protocol *protocol);
