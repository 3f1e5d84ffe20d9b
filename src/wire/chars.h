/* Character classes of RFC 4975 section 9 and RFC 3986, one bit each; looks at many bytes at once. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <msrpd/slice.h>

enum {
	MSRP_DIGIT = 1 << 0,
	MSRP_ALPHA = 1 << 1,
	MSRP_ALPHANUM = MSRP_DIGIT | MSRP_ALPHA,
	MSRP_IDENT = 1 << 2, /* ident-char */
	MSRP_TOKEN = 1 << 3,
	MSRP_HOST = 1 << 4,    /* unreserved */
	MSRP_SESSION = 1 << 5, /* of a session id */
	MSRP_USERINFO = 1 << 6,
};

extern const uint8_t msrp_chars[256];

static inline bool msrp_char_is(char c, unsigned classes)
{
	return msrp_chars[(unsigned char)c] & classes;
}

/* --- many bytes at once --- */

typedef signed char msrp_bytes __attribute__((vector_size(16)));

static inline msrp_bytes msrp_load(const char *p)
{
	msrp_bytes bytes;

	memcpy(&bytes, p, sizeof(bytes));
	return bytes;
}

/** Which of the bytes is the first to be all ones, as comparisons make them; 16: none. */
static inline size_t msrp_first_hit(msrp_bytes hits)
{
	uint64_t half[2];

	memcpy(half, &hits, sizeof(half));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	if (half[0])
		return (size_t)__builtin_ctzll(half[0]) / 8;
	return half[1] ? 8 + (size_t)__builtin_ctzll(half[1]) / 8 : 16;
#else
	if (half[0])
		return (size_t)__builtin_clzll(half[0]) / 8;
	return half[1] ? 8 + (size_t)__builtin_clzll(half[1]) / 8 : 16;
#endif
}

/** Which of the four words at p consist of c alone. */
static inline msrp_bytes msrp_words_equal(const char *p, char c)
{
	typedef uint32_t msrp_words __attribute__((vector_size(16)));
	msrp_words words;

	memcpy(&words, p, sizeof(words));
	return (msrp_bytes)(words == (unsigned char)c * 0x01010101u);
}

/** How many characters at the front of s are printable ASCII. */
static inline size_t msrp_printable_span(struct slice s)
{
	size_t n = 0, hit;

	for (; s.len - n >= sizeof(msrp_bytes); n += sizeof(msrp_bytes)) {
		msrp_bytes bytes = msrp_load(s.p + n);

		/* Beyond ASCII is negative. */
		hit = msrp_first_hit((msrp_bytes)((bytes < 0x20) | (bytes == 0x7f)));
		if (hit < sizeof(msrp_bytes))
			return n + hit;
	}
	while (n < s.len && s.p[n] >= 0x20 && s.p[n] < 0x7f)
		n++;
	return n;
}

/** Where c stands in s first, or s.len; quick if that is near. */
static inline size_t msrp_find_near(struct slice s, char c)
{
	const char *p;
	size_t hit;

	if (s.len >= sizeof(msrp_bytes)) {
		hit = msrp_first_hit((msrp_bytes)(msrp_load(s.p) == (signed char)c));
		if (hit < sizeof(msrp_bytes))
			return hit;
	}
	p = s.len ? memchr(s.p, c, s.len) : NULL;
	return p ? (size_t)(p - s.p) : s.len;
}

/* --- by class --- */

/* Which of the bytes at p are letters, digits, "-" or ".": most, where identifiers are. */
static inline msrp_bytes msrp_common(const char *p)
{
	typedef unsigned char msrp_octets __attribute__((vector_size(16)));
	msrp_octets c = (msrp_octets)msrp_load(p), letter = (c | 0x20) - 'a', other = c - '-';

	/* From "-" to "9" they are neighbours, with "/" in between. */
	return (msrp_bytes)((letter < 26) | ((other <= '9' - '-') & (c != '/')));
}

/** How many characters at the front of s are in one of classes. */
static inline size_t msrp_span(struct slice s, unsigned classes)
{
	const unsigned common = MSRP_IDENT | MSRP_TOKEN | MSRP_HOST | MSRP_SESSION | MSRP_USERINFO;
	size_t n = 0;

	while (classes & common && s.len - n >= sizeof(msrp_bytes)) {
		size_t hit = msrp_first_hit(~msrp_common(s.p + n));

		n += hit;
		if (hit == sizeof(msrp_bytes))
			continue;
		if (!msrp_char_is(s.p[n], classes))
			return n;
		n++;
	}
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
