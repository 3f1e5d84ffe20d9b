/*
 * A transport that carries messages, on any stream socket: to prove that what stands on net/
 * needs nothing of TCP or TLS.  A message is a sequence of fragments, each of them four octets,
 * big-endian, that are twice its length, plus one if the message ends with it, and its bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/transport.h"

extern const struct net_transport framed_transport;

enum { FRAMED_HEADER = 4, FRAGMENT_MAX = 5000 };

/** One end of it; the transport has one, and so may a test's peer. */
struct framed {
	/* in: the fragment in hand */
	unsigned char header[FRAMED_HEADER];
	size_t header_len, left;
	bool final;
	/* out: what the socket did not take */
	unsigned char out[FRAMED_HEADER + FRAGMENT_MAX];
	size_t out_at, out_len;
};

/** @param endp  set if a message ends with these bytes, of which there may be none then
 *  @return bytes; 0: the end of the socket, unless *endp; or negative errno */
ssize_t framed_read(struct framed *framed, int fd, char *p, size_t size, bool *endp);

/** Send a fragment of these bytes, or of their beginning. @return bytes, or -EAGAIN: none */
ssize_t framed_write(struct framed *framed, int fd, const struct iovec *iov, int count, bool end);

/** Send on what the socket did not take. @return 0, or negative errno */
int framed_flush(struct framed *framed, int fd);
