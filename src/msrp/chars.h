/* Character classes of RFC 4975 section 9 and RFC 3986, one bit each. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/slice.h>

enum {
	MSRP_DIGIT	= 1 << 0,
	MSRP_ALPHA	= 1 << 1,
	MSRP_ALPHANUM	= MSRP_DIGIT | MSRP_ALPHA,
	MSRP_IDENT	= 1 << 2,	/* ident-char */
	MSRP_TOKEN	= 1 << 3,
	MSRP_HOST	= 1 << 4,	/* unreserved */
	MSRP_SESSION	= 1 << 5,	/* of a session id */
	MSRP_USERINFO	= 1 << 6,
};

extern const uint8_t msrp_chars[256];

static inline bool msrp_char_is(char c, unsigned classes)
{
	return msrp_chars[(unsigned char)c] & classes;
}

/** How many characters at the front of s are in one of classes. */
static inline size_t msrp_span(struct slice s, unsigned classes)
{
	size_t n = 0;

	while (n < s.len && msrp_char_is(s.p[n], classes))
		n++;
	return n;
}

/** Cut the characters in classes off the front of *rest. */
static inline struct slice msrp_take(struct slice *rest, unsigned classes)
{
	struct slice taken = {rest->p, msrp_span(*rest, classes)};

	*rest = slice_from(*rest, taken.len);
	return taken;
}

/** Drop c from the front of *rest, if it is there. */
static inline bool msrp_take_char(struct slice *rest, char c)
{
	if (rest->len == 0 || rest->p[0] != c)
		return false;
	*rest = slice_from(*rest, 1);
	return true;
}
