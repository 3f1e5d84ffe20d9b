/*
 * The header by which a proxy in front of us tells whose connection it is: HAProxy's PROXY
 * protocol, versions 1 and 2.  It is taken out of the socket, and not one byte more.
 */
#pragma once

#include <stddef.h>

#include "base/addr.h"

enum { PROXY_TEXT_MAX = 107, PROXY_LENGTH_MAX = 4096 };

/** While the header comes; zeroed at first. */
struct proxy_header {
	size_t len;     /* bytes that are here */
	size_t skipped; /* bytes behind the addresses of version 2 */
	unsigned char bytes[PROXY_TEXT_MAX];
};

/**
 * Take what has come of the header.
 *
 * @param peer  filled when it is whole: the client; none if the connection stands for itself
 *              (LOCAL, UNKNOWN), or for what is not TCP
 * @return 1: whole, 0: more is to come; -EPROTO: not a header; -ECONNRESET: the end; or another
 *         negative errno
 */
int proxy_header_read(struct proxy_header *header, int fd, union addr *peer);
