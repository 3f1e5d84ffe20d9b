/*
 * Tokens by which a program speaks for a user at the API: "USER.EXPIRY.CODE", where USER is the
 * name in hex, EXPIRY seconds since 1970, and CODE the HMAC-SHA256 of both in hex.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/slice.h>

enum {
	TOKEN_USER_MAX = 128, /* bytes of a name */
	TOKEN_SIZE = 2 * TOKEN_USER_MAX + 1 + 20 + 1 + 64 + 1,
};

/** Is this a name that tokens can be for? */
bool token_is_user(struct slice user);

/** @param user  token_is_user()  @return 0 or -ENOMEM */
int token_make(char token[TOKEN_SIZE], struct slice secret, struct slice user, uint64_t expiry);

/**
 * @param now   seconds since 1970
 * @param user  filled, with a NUL behind it
 * @return false: it is none of ours, or has expired
 */
bool token_check(struct slice token, struct slice secret, uint64_t now,
    char user[TOKEN_USER_MAX + 1], uint64_t *expiryp);
