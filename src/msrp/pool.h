/* Outgoing connections, shared by all that go to the same place: RFC 4975 section 5.4. */
#pragma once

#include "msrp/conn.h"
#include "msrp/stack.h"

/** Where to; slices are borrowed for the call. */
struct msrp_destination {
	bool secure;            /* as a URI with that scheme and transport */
	struct slice transport; /* absent: "tcp" */
	struct slice host;      /* address or name */
	uint16_t port;
	struct msrp_listener *from; /* leave from its address; NULL: as the kernel chooses */
	/** "HASH HEX…" values of which the peer's certificate must match one instead of its name
	 *  and issuer (RFC 4975 14.4); empty: by name and CA */
	const struct slice *fingerprints;
	size_t fingerprint_count;
	bool existing; /* open no new one: -ENOENT */
};

/**
 * The connection to that place: one that is open or being opened, or a new one.  It can be
 * written to at once; failures to connect are told to its users, never from inside this call.
 * A name is looked up (A, AAAA), its addresses are tried in order (RFC 4975 6.2).
 *
 * @param connp  borrowed: attach a user, or take a ref, before the next turn of the loop
 * @return 0; -ENOENT: see existing; -EMFILE: max_connections; -EINVAL, also for a transport that is
 *         none of ours; -ENOMEM; -ESHUTDOWN
 */
int msrp_pool_get(struct msrp_stack *stack, const struct msrp_destination *to,
    struct msrp_conn **connp);
