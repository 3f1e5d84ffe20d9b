/*
 * The ways that MSRP travels.  A URI's scheme and its transport parameter together name one; which
 * bytes it stands for, and whether they are encrypted, is up to the transport (net/transport.h).
 */
#pragma once

#include <stdbool.h>

#include <msrpd/slice.h>

#include "net/transport.h"

struct msrp_transport {
	bool secure;       /* its URIs' scheme is msrps */
	struct slice name; /* in URIs: "tcp" (RFC 4975 section 9), "ws" (RFC 7977) */
	const struct net_transport *net;
	bool accepts_only; /* nobody can be called by it */
};

/** @return NULL: none of ours */
const struct msrp_transport *msrp_transport_find(bool secure, struct slice name);
