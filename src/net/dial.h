/* Opening a stream to a place: DNS, its addresses in order, a time-out for each. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

#include "net/stream.h"

/** Where to; borrowed for the call. */
struct net_destination {
	const struct net_transport *transport;
	struct slice host; /* address or name */
	uint16_t port;
	/** Whose certificate it has to have, if that is not the host: the domain that has named it. */
	struct slice identity;
	/** Leave from this address, with any port; NULL: as the kernel chooses. */
	const union addr *from;
	/** One a line: the certificate must have one of these ("SHA-256 AB:CD…", RFC 8122), instead
	 *  of the host's name and a known issuer; empty: name and issuer count. */
	const char *fingerprints;
};

/** Embedded in the stream's owner, until closed() is called; zeroed, it is finished. */
struct net_dial {
	struct net_stream *stream;
	const char *fingerprints;
	char *host, *identity; /* who it has to be; NULL: the host */
	struct net_lookup *lookup;
	struct evutil_addrinfo *addresses, *next; /* NULL once connected */
	struct event *attempt; /* of the next address, in a turn of its own; NULL once connected */
	int err;               /* of the last attempt */
	uint16_t port;
	union addr from; /* none: any */
};

/**
 * Begin to connect; how it ends the stream's handler is told, never from inside this call.
 *
 * @param to  its fingerprints are borrowed for the dial's life
 * @return 0, -ENOMEM
 */
int net_dial(struct net_stream *stream, struct net_dial *dial, const struct net_destination *to);

/** Who is to be there, by TLS. */
static inline struct slice net_dial_identity(const struct net_dial *dial)
{
	return slice_of(dial->identity ? dial->identity : dial->host);
}

/** Its stream is closed. */
void net_dial_fini(struct net_dial *dial);
