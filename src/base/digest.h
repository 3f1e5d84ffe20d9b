/*
 * Digest, by which HTTP, SIP and MSRP prove that somebody knows a password: RFC 7616, RFC 3261
 * section 22, RFC 4976 section 9.1.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/slice.h>

#include "base/buffer.h"

enum digest_algorithm { DIGEST_MD5, DIGEST_SHA256 };

/** A hash in lower-case hex, without a NUL. */
enum { DIGEST_HEX_MAX = 64 };

struct digest_hash {
	size_t len; /* 32 or 64 */
	char hex[DIGEST_HEX_MAX];
};

static inline struct slice digest_hash_slice(const struct digest_hash *hash)
{
	return (struct slice){hash->hex, hash->len};
}

/** Longest value with escapes in it; those without may be of any length. */
enum { DIGEST_UNESCAPED_MAX = 512 };

/**
 * The parameters of a challenge, of credentials and of Authentication-Info, each of which uses
 * some.  Values are plain: without quotes and escapes.  They borrow the text that was parsed, or
 * the struct itself, which therefore is not to be copied.
 */
struct digest {
	enum digest_algorithm algorithm;
	bool says_algorithm; /* MD5 too, which is the default */
	bool without_qop;    /* RFC 2069's, with neither cnonce nor nc; else qop is auth */
	struct slice realm;
	struct slice nonce;
	struct slice opaque; /* absent if there is none */
	bool stale;          /* of a challenge */
	struct slice username;
	struct slice uri; /* as in the header, where it may be absent; see below */
	struct slice response;
	struct slice cnonce;
	uint32_t nc;
	struct slice rspauth;
	struct slice nextnonce; /* absent if there is none */
	char unescaped[DIGEST_UNESCAPED_MAX];
	size_t unescaped_len;
};

/**
 * Parse the value of WWW-Authenticate.  Unknown parameters and domain are ignored.
 *
 * @return 0; -EBADMSG not grammatical, or realm or nonce missing; -EPROTO a challenge without an
 *         answer: Basic, a qop without auth, an algorithm other than MD5 and SHA-256
 */
int digest_parse_challenge(struct digest *digest, struct slice value);

/**
 * Parse the value of Authorization.
 *
 * @return 0; -EBADMSG not grammatical, or username, realm, nonce, response, cnonce or nc missing;
 *         -EPROTO another scheme, qop or algorithm
 */
int digest_parse_credentials(struct digest *digest, struct slice value);

/**
 * Parse the value of Authentication-Info.
 *
 * @return 0; -EBADMSG not grammatical, or rspauth, cnonce or nc missing; -EPROTO another qop
 */
int digest_parse_info(struct digest *digest, struct slice value);

/** What a user is known by: the password, or its hashes HA1 in hex, in any case. */
struct digest_secret {
	struct slice password; /* absent: the hash of the algorithm in use */
	struct slice ha1;      /* MD5(username:realm:password) */
	struct slice ha1_sha256;
};

/** HA1 = H(username:realm:password).  @return 0 or -ENOMEM */
int digest_ha1(enum digest_algorithm algorithm, struct slice username, struct slice realm,
    struct slice password, struct digest_hash *ha1);

/**
 * HA1 by what is known.  Takes the same time whatever that is; where nothing fits the algorithm,
 * ha1 is filled all the same.
 *
 * @return 0, -ENOENT: nothing fits, -ENOMEM
 */
int digest_secret_ha1(const struct digest_secret *secret, enum digest_algorithm algorithm,
    struct slice username, struct slice realm, struct digest_hash *ha1);

/**
 * What response must be: algorithm, qop, nonce, nc and cnonce of digest count.
 *
 * @param ha1     in hex
 * @param method  of the request
 * @param uri     as the protocol has it, whatever digest->uri says: SIP's Request-URI, or the
 *                rightmost URI of MSRP's To-Path
 * @return 0 or -ENOMEM
 */
int digest_response(const struct digest *digest, struct slice ha1, struct slice method,
    struct slice uri, struct digest_hash *response);

/** The same for rspauth, by which the server proves that it knows the password too. */
int digest_rspauth(const struct digest *digest, struct slice ha1, struct slice uri,
    struct digest_hash *rspauth);

/** Are hash and text equal?  Takes the same time wherever they differ. */
bool digest_matches(const struct digest_hash *hash, struct slice text);

/*
 * The three header values.  A control character in a value could break out of its header: the
 * buffer has -EBADMSG then.
 */

/** Value of WWW-Authenticate: realm, nonce, qop, algorithm, stale, opaque. */
void digest_write_challenge(struct buffer *b, const struct digest *digest);

/** Value of Authorization: all but rspauth and nextnonce; what is absent is left out. */
void digest_write_credentials(struct buffer *b, const struct digest *digest);

/** Value of Authentication-Info: qop, cnonce, nc, rspauth, nextnonce if present. */
void digest_write_info(struct buffer *b, const struct digest *digest);
