/*
 * How the bytes of a stream travel: a table of operations, chosen when the stream is accepted or
 * dialled.  The stream owns the socket, its events and its time-outs; the transport is what
 * stands between the two, and is called by the stream alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <msrpd/slice.h>

struct net_stream;

enum {
	NET_IOV_MAX = 128, /* the most pieces that writev() is given at once */
	NET_ENDS_MAX = 64, /* and the most messages that end in them */
};

/** Where messages end in what is written: offsets from its beginning, each above the last. */
struct net_ends {
	size_t at[NET_ENDS_MAX];
	int count;
};

/** What read() tells beside its bytes. */
enum {
	NET_READ_MORE = 1, /* more may be at hand that makes no socket readable */
	NET_READ_END = 2,  /* framed: the message ends with these bytes, or with no more of them */
};

struct net_transport {
	const char *name; /* in the log */

	/**
	 * The transport that carries the bytes of this one, which calls its operations; NULL: this
	 * one is at the socket itself.
	 */
	const struct net_transport *carrier;

	/** Are bytes encrypted, and peers possibly certified? */
	bool encrypted;

	/**
	 * Does the transport carry messages instead of mere bytes?  Then read() gives bytes of one
	 * message a call, or what unframe() makes messages of, and writev() is told where they end.
	 */
	bool framed;

	/**
	 * The socket is connected: make the state.  NULL: nothing to make.
	 * @return 0 or negative errno
	 */
	int (*open)(struct net_stream *stream);

	/**
	 * A step of the handshake, whenever the socket is readable, or writable after
	 * net_stream_want_write().  NULL: there is no handshake.
	 * @return 1: done, 0: under way, or negative errno
	 */
	int (*start)(struct net_stream *stream);

	/**
	 * @param flags  NET_READ_MORE, NET_READ_END are added
	 * @return bytes; 0: the peer sends no more, unless a message ends; -EAGAIN: none now;
	 *         another negative errno
	 */
	ssize_t (*read)(struct net_stream *stream, char *p, size_t size, unsigned *flags);

	/**
	 * framed: take the next piece of a message off what was read, and change that where it lies
	 * if need be.  NULL: read() gives such pieces.
	 * @param raw   of it, what is behind the piece is left
	 * @param piece within raw
	 * @param endp  does the message end with it?
	 * @return 1, 0: nothing is left, and there was no piece; or negative errno: nor will there
	 *         be any more
	 */
	int (*unframe)(struct net_stream *stream, struct slice *raw, struct slice *piece,
	    bool *endp);

	/**
	 * Write.  What is taken need not have left: the transport tells by net_stream_hold() how
	 * many bytes it still has, and is called with count 0 to go on with these.
	 *
	 * @param ends  framed: where messages end in these bytes; otherwise NULL, or of no interest
	 * @return bytes taken, -EAGAIN: none now, or another negative errno
	 */
	ssize_t (*writev)(struct net_stream *stream, const struct iovec *iov, int count,
	    const struct net_ends *ends);

	/**
	 * Ask the peer whether it is there; NULL: the transport knows no such question.
	 * @return false: something else is to be said first
	 */
	bool (*ping)(struct net_stream *stream);

	/** The stream closes, the socket behind it: say so to the peer if it was open; free the
	 *  state.  NULL: nothing to do. */
	void (*shutdown)(struct net_stream *stream);

	/** Who the peer is, as net_stream_peer_certified() and so on; all NULL if not encrypted, or
	 *  if a carrier knows. */
	bool (*peer_certified)(const struct net_stream *stream);
	bool (*peer_is)(const struct net_stream *stream, struct slice host);
	bool (*peer_has_fingerprint)(const struct net_stream *stream, struct slice fingerprint);
};

extern const struct net_transport net_tcp, net_tls;
/** WebSockets over TCP and over TLS; for streams that are accepted. */
extern const struct net_transport net_ws, net_wss;

/** A transport, and what is kept of one stream. */
struct net_link {
	const struct net_transport *ops;
	void *state;   /* by the transport at the socket */
	void *carried; /* by the one that it carries */
};

/** For transports.  Whoever holds bytes is called on at the turn's end. */
void net_stream_hold(struct net_stream *stream, size_t bytes);
size_t net_stream_held(const struct net_stream *stream);
int net_stream_want_write(struct net_stream *stream);

/**
 * The handshake goes on elsewhere: the stream keeps from its socket and its transport until that
 * comes back, when start() is called.
 */
void net_stream_handshake_leaves(struct net_stream *stream);
void net_stream_handshake_returns(struct net_stream *stream);

/** What is to be read waits for room to write; what is to be written, for bytes to read. */
int net_stream_read_wants_write(struct net_stream *stream);
int net_stream_write_wants_read(struct net_stream *stream);
