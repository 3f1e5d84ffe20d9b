/* HTTP Digest as MSRP's AUTH uses it: RFC 4976 section 9.1, RFC 7616. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/slice.h>

#include "wire/writer.h"

enum msrp_digest_algorithm { MSRP_DIGEST_MD5, MSRP_DIGEST_SHA256 };

/** A hash in lower-case hex, without a NUL. */
enum { MSRP_DIGEST_HEX_MAX = 64 };

struct msrp_digest_hash {
	size_t len; /* 32 or 64 */
	char hex[MSRP_DIGEST_HEX_MAX];
};

static inline struct slice msrp_digest_hash_slice(const struct msrp_digest_hash *hash)
{
	return (struct slice){hash->hex, hash->len};
}

/** Longest value with escapes in it; those without may be of any length. */
enum { MSRP_DIGEST_UNESCAPED_MAX = 512 };

/**
 * The parameters of a challenge, of credentials and of Authentication-Info, each of which uses
 * some.  qop is always auth.  Values are plain: without quotes and escapes.  They borrow the
 * text that was parsed, or the struct itself, which therefore is not to be copied.
 */
struct msrp_digest {
	enum msrp_digest_algorithm algorithm;
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
	char unescaped[MSRP_DIGEST_UNESCAPED_MAX];
	size_t unescaped_len;
};

/**
 * Parse the value of WWW-Authenticate.  Unknown parameters and domain are ignored.
 *
 * @return 0; -EBADMSG not grammatical, or realm or nonce missing; -EPROTO a challenge that MSRP
 *         does not use: Basic, no qop=auth on offer, an algorithm other than MD5 and SHA-256
 */
int msrp_digest_parse_challenge(struct msrp_digest *digest, struct slice value);

/**
 * Parse the value of Authorization.
 *
 * @return 0; -EBADMSG not grammatical, or username, realm, nonce, response, cnonce or nc missing;
 *         -EPROTO another scheme, qop or algorithm
 */
int msrp_digest_parse_credentials(struct msrp_digest *digest, struct slice value);

/**
 * Parse the value of Authentication-Info.
 *
 * @return 0; -EBADMSG not grammatical, or rspauth, cnonce or nc missing; -EPROTO another qop
 */
int msrp_digest_parse_info(struct msrp_digest *digest, struct slice value);

/** HA1 = H(username:realm:password).  @return 0 or -ENOMEM */
int msrp_digest_ha1(enum msrp_digest_algorithm algorithm, struct slice username, struct slice realm,
    struct slice password, struct msrp_digest_hash *ha1);

/**
 * What response must be: algorithm, nonce, nc and cnonce of digest count.
 *
 * @param ha1  in hex
 * @param uri  text of the rightmost To-Path URI of the AUTH (RFC 4976 9.1), whatever digest->uri
 * @return 0 or -ENOMEM
 */
int msrp_digest_response(const struct msrp_digest *digest, struct slice ha1, struct slice uri,
    struct msrp_digest_hash *response);

/** The same for rspauth, by which the relay proves that it knows the password too. */
int msrp_digest_rspauth(const struct msrp_digest *digest, struct slice ha1, struct slice uri,
    struct msrp_digest_hash *rspauth);

/** Are hash and text equal?  Takes the same time wherever they differ. */
bool msrp_digest_matches(const struct msrp_digest_hash *hash, struct slice text);

/*
 * The three header values.  MD5 is the default and left unsaid.  A control character in a
 * value could break out of its header: it makes the writer overflow.
 */

/** Value of WWW-Authenticate: realm, nonce, qop, algorithm, stale, opaque. */
void msrp_digest_write_challenge(struct msrp_writer *w, const struct msrp_digest *digest);

/** Value of Authorization: all but rspauth and nextnonce; opaque and uri if present. */
void msrp_digest_write_credentials(struct msrp_writer *w, const struct msrp_digest *digest);

/** Value of Authentication-Info: qop, cnonce, nc, rspauth, nextnonce if present. */
void msrp_digest_write_info(struct msrp_writer *w, const struct msrp_digest *digest);
