/*
 * AUTH towards the relays that act for us, as their client: RFC 4976 sections 5.1 and 9.1.
 * One of these is for one session: a Use-Path is never shared (RFC 4976 3.1).
 *
 * Callbacks may free it.  None comes from inside a function of this header.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/slice.h>

#include "msrp/pool.h"
#include "msrp/stack.h"

struct endpoint_auth;

/** Who we are at a relay; borrowed until the callback's next call. */
struct endpoint_credentials {
	struct slice username;
	struct slice password; /* absent: ha1 */
	struct slice ha1;      /* MD5 of username:realm:password in hex; for MD5 alone */
};

struct endpoint_auth_handler {
	/** @return false: we are nobody in that realm, so there is no second attempt */
	bool (
	    *credentials)(struct slice realm, struct endpoint_credentials *credentials, void *arg);

	/** There is a Use-Path, or a refresh brought another one. */
	void (*granted)(void *arg);

	/**
	 * There is none (any more), and nothing will be tried again.
	 *
	 * @param code        of the relay's answer; 408: it gave none; 503: no connection
	 * @param reason      may be absent or empty
	 * @param from_relay  the relay said so
	 */
	void (*failed)(int code, struct slice reason, bool from_relay, void *arg);
};

struct endpoint_auth_options {
	/** The nearest first: each is asked through those before it.  An absent port is 2855. */
	struct slice relays;
	struct slice own_uri;       /* of the session, with its id */
	struct msrp_listener *from; /* to leave from; or NULL */
	uint64_t idle_ms;           /* see msrp_conn_attach() */
	const struct endpoint_auth_handler *handler;
	void *arg;
};

/**
 * Ask for a Use-Path, and go on asking at four fifths of each grant's time.  Texts are copied.
 *
 * @return 0; -EINVAL: a path or URI that is none; -ENOMEM; else as msrp_pool_get()
 */
int endpoint_auth_new(struct endpoint_auth **authp, struct msrp_stack *stack,
    const struct endpoint_auth_options *options);

/** The grant is left to expire, and its connection to idle_ms.  Accepts NULL. */
void endpoint_auth_free(struct endpoint_auth *auth);

/**
 * The Use-Path in the order of To-Path; absent before granted().  Reversed, and with the own
 * URI behind it, it is the session's a=path (RFC 4976 5.1).  Valid until granted() or failed().
 */
struct slice endpoint_auth_path(const struct endpoint_auth *auth);

/** Where the first relay is: the session's connection is the one that AUTH went over. */
void endpoint_auth_destination(const struct endpoint_auth *auth, struct msrp_destination *to);
