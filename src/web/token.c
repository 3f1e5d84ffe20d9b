#include "web/token.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <openssl/crypto.h>

#include <msrpd/buffer.h>

#include "base/mac.h"

/* What the secret signs beside tokens is not one. */
static const char purpose[] = "msrpd token ";

bool token_is_user(struct slice user)
{
	return user.len > 0 && user.len <= TOKEN_USER_MAX && slice_is_one_line(user)
	    && slice_is_utf8(user);
}

/* @param text  "USER.EXPIRY" */
static int write_code(char code[MAC_HEX_SIZE], struct slice secret, struct slice text)
{
	char signed_text[sizeof(purpose) + TOKEN_SIZE];
	struct buffer w = BUFFER_ON(signed_text);

	buffer_add(&w, slice_of(purpose));
	buffer_add(&w, text);
	return w.err ? w.err : mac_hex(code, secret, buffer_text(&w));
}

int token_make(char token[TOKEN_SIZE], struct slice secret, struct slice user, uint64_t expiry)
{
	struct buffer w = {.p = token, .cap = TOKEN_SIZE};
	char code[MAC_HEX_SIZE];
	int err;

	for (size_t i = 0; i < user.len; i++)
		buffer_printf(&w, "%02x", (unsigned char)user.p[i]);
	buffer_printf(&w, ".%" PRIu64, expiry);
	err = write_code(code, secret, buffer_text(&w));
	if (err == 0)
		buffer_printf(&w, ".%s", code);
	return err ? err : w.err;
}

/* @return the first len - 64 bytes that stand before the last dot; absent: no token of ours */
static struct slice verified(struct slice token, struct slice secret)
{
	const size_t tail = MAC_HEX_SIZE; /* the dot counts for the NUL */
	struct slice text = slice_head(token, token.len - tail), code;
	char expected[MAC_HEX_SIZE];

	if (token.len <= tail || token.len >= TOKEN_SIZE || token.p[text.len] != '.')
		return (struct slice){NULL, 0};
	code = slice_from(token, text.len + 1);
	if (write_code(expected, secret, text) < 0
	    || CRYPTO_memcmp(expected, code.p, MAC_HEX_SIZE - 1) != 0)
		return (struct slice){NULL, 0};
	return text;
}

bool token_check(struct slice token, struct slice secret, uint64_t now,
    char user[TOKEN_USER_MAX + 1], uint64_t *expiryp)
{
	struct slice expiry = verified(token, secret), name;
	char hex[2 * TOKEN_USER_MAX + 1];
	size_t len;

	if (!slice_cut(&expiry, '.', &name) || name.len >= sizeof(hex)
	    || slice_to_u64(expiry, UINT64_MAX, expiryp) < 0 || *expiryp <= now)
		return false;
	memcpy(hex, name.p, name.len);
	hex[name.len] = '\0';
	if (!OPENSSL_hexstr2buf_ex((unsigned char *)user, TOKEN_USER_MAX, &len, hex, '\0'))
		return false;
	user[len] = '\0';
	return token_is_user((struct slice){user, len}); /* others make tokens as well */
}
