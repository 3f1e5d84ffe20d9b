/*
 * Where a trace listens: protocols tell it each message that they read and write, in plain text,
 * whatever carries them.  Nobody listens: one look at a pointer.
 */
#pragma once

#include <stddef.h>

#include <msrpd/slice.h>

#include "net/protocol.h"
#include "net/stream.h"

enum net_way { NET_IN, NET_OUT };

struct net_tap;

/** A message comes in parts; in each direction of a stream one after the other. */
struct net_tap_ops {
	/** All of its head, the blank line included if there is one. */
	void (*head)(struct net_tap *tap, const struct net_stream *stream, enum net_way way,
	    struct slice bytes);
	void (*body)(struct net_tap *tap, const struct net_stream *stream, enum net_way way,
	    struct slice piece);
	/** What comes behind its body; empty: nothing. */
	void (*end)(struct net_tap *tap, const struct net_stream *stream, enum net_way way,
	    struct slice bytes);
	/** Instead: it is none, and no more of it comes. */
	void (*broken)(struct net_tap *tap, const struct net_stream *stream, enum net_way way);
	/** A datagram, which is a whole message. */
	void (*datagram)(struct net_tap *tap, const union addr *local, const union addr *peer,
	    enum net_way way, struct slice bytes);
	/** The stream is gone, and with it what has not ended. */
	void (*closed)(struct net_tap *tap, const struct net_stream *stream);
};

/** One of a net. */
struct net_tap {
	const struct net_tap_ops *ops; /* NULL: nobody listens */
	void *arg;                     /* of who does */
};

/** Listen, or no more: ops is NULL. */
void net_tap_set(struct net *net, const struct net_tap_ops *ops, void *arg);

/** NULL: nobody listens. */
static inline struct net_tap *net_tap_on(const struct net_stream *stream)
{
	const struct net_protocol *protocol = stream->protocol;

	return __builtin_expect(protocol->tapped, 0) ? protocol->tap : NULL;
}

/** A whole message that is at hand. */
static inline void net_tap_message(const struct net_stream *stream, enum net_way way,
    struct slice head, struct slice body)
{
	struct net_tap *tap = net_tap_on(stream);

	if (!tap)
		return;
	tap->ops->head(tap, stream, way, head);
	if (body.len)
		tap->ops->body(tap, stream, way, body);
	tap->ops->end(tap, stream, way, (struct slice){NULL, 0});
}
