/*
 * Nonces of challenges (RFC 2617 section 3.2).  A nonce carries the time of its making, its number
 * and a code over both by a key of this process, so that it proves itself.  The counts that were
 * used with it are noted in a ring, where those that were made last have their place: memory is
 * bounded however many challenges are asked for, and a nonce that the ring has passed by is stale.
 *
 * One that is sent by datagram is made for the address that it is sent to, and is good from there
 * alone: who shows it has got it, whatever address others write into their datagrams.
 *
 * Nodes of a cluster have one key.  A nonce of another one is good for 30 s, the time to answer a
 * challenge: so much is there for its counts, which that one does not hear of, to be used once more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/slice.h>

enum { NONCE_LEN = 64 }; /* hex digits */

enum nonce_state { NONCE_FRESH, NONCE_STALE };

struct nonces;

int nonces_new(struct nonces **noncesp, uint64_t expire_ms);
void nonces_free(struct nonces *nonces);
void nonces_set_expire(struct nonces *nonces, uint64_t expire_ms);

/** From now on the key is made of this secret, which others have as well.  @return 0 or -ENOMEM */
int nonces_share(struct nonces *nonces, struct slice secret);

/** A new one.  @param address  as text, of at most 64 bytes; absent: it is for a connection */
void nonces_make(struct nonces *nonces, struct slice address, char nonce[NONCE_LEN + 1]);

/** Was it made for that address, not too long ago? */
bool nonces_know(const struct nonces *nonces, struct slice nonce, struct slice address);

/** Use a nonce with that count: fresh once.  Only for credentials that are right. */
enum nonce_state nonces_use(struct nonces *nonces, struct slice nonce, struct slice address,
    uint32_t nc);
