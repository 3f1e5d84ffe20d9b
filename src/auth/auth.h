/*
 * Who calls: credentials checked, and challenges made, for all that uses Digest (RFC 7616): AUTH
 * of the relay (RFC 4976 section 9.1), SIP requests (RFC 3261 section 22, RFC 8760).
 */
#pragma once

#include <stdint.h>

#include <msrpd/slice.h>

#include "auth/users.h"
#include "base/buffer.h"
#include "base/digest.h"

struct auth;

/** Takes users, even on failure.  @return 0 or -ENOMEM */
int auth_new(struct auth **authp, struct users *users, uint64_t nonce_expire_ms);

/** Take other users; nonces that are out stay good. */
void auth_reload(struct auth *auth, struct users *users, uint64_t nonce_expire_ms);

/** Other nodes have the same secret: challenges of theirs are answered here.  0 or -ENOMEM */
int auth_share(struct auth *auth, struct slice secret);

void auth_free(struct auth *auth);

/** What credentials must be for. */
struct auth_terms {
	struct slice realm;
	enum digest_algorithm algorithm;
	struct slice method;
	struct slice uri;                   /* that the digest is over */
	const struct digest_secret *secret; /* NULL: that of the user */
	/* Address that a datagram has come from, or so it says; absent: a connection. */
	struct slice sender;
};

enum auth_verdict {
	AUTH_RIGHT,
	/*
	 * Right but for the nonce, which is to be another, or the count.  By datagram it is that
	 * whenever the nonce was not sent to the sender: else passwords could be tried, and
	 * failures be counted, in the name of anybody.
	 */
	AUTH_STALE,
	AUTH_WRONG,
};

/**
 * Check credentials.  Takes the same work whether there is such a user or not.
 *
 * @param digest   parsed
 * @param rspauth  filled where the verdict is AUTH_RIGHT; NULL: not wanted
 */
enum auth_verdict auth_check(struct auth *auth, const struct digest *digest,
    const struct auth_terms *terms, struct digest_hash *rspauth);

/** Write the value of WWW-Authenticate: realm and algorithm of terms, with a new nonce. */
void auth_write_challenge(struct auth *auth, const struct auth_terms *terms, bool stale,
    struct buffer *b);

/**
 * Is this the user's password?  Takes the same work whether there is such a user or not.
 *
 * @param realms  of char *: those that hashes may be of; may be empty
 */
bool auth_login(struct auth *auth, struct slice user, struct slice password,
    const struct setting_list *realms);
