/*
 * Character classes of RFC 4975 section 9, RFC 3986 and RFC 3261 section 25.1, one bit each; looks
 * at many bytes at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <msrpd/slice.h>

enum {
	CHARS_DIGIT = 1 << 0,
	CHARS_ALPHA = 1 << 1,
	CHARS_ALPHANUM = CHARS_DIGIT | CHARS_ALPHA,
	CHARS_IDENT = 1 << 2, /* ident-char */
	CHARS_TOKEN = 1 << 3,
	CHARS_HOST = 1 << 4,    /* unreserved */
	CHARS_SESSION = 1 << 5, /* of a session id */
	CHARS_USERINFO = 1 << 6,
	CHARS_SIP_TOKEN = 1 << 7,
};

extern const uint8_t chars_classes[256];

static inline bool chars_is(char c, unsigned classes)
{
	return chars_classes[(unsigned char)c] & classes;
}

/** Is c one of the characters of set? */
static inline bool chars_one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

/* --- many bytes at once --- */

typedef signed char chars_bytes __attribute__((vector_size(16)));

static inline chars_bytes chars_load(const char *p)
{
	chars_bytes bytes;

	memcpy(&bytes, p, sizeof(bytes));
	return bytes;
}

/** Which of the bytes is the first to be all ones, as comparisons make them; 16: none. */
static inline size_t chars_first_hit(chars_bytes hits)
{
#if defined(__SSE2__)
	typedef char chars_chars __attribute__((vector_size(16)));

	return (size_t)__builtin_ctz(
	    (unsigned)__builtin_ia32_pmovmskb128((chars_chars)hits) | 1u << 16);
#else
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
#endif
}

/** Which of the four words at p consist of c alone. */
static inline chars_bytes chars_words_equal(const char *p, char c)
{
	typedef uint32_t chars_words __attribute__((vector_size(16)));
	chars_words words;

	memcpy(&words, p, sizeof(words));
	return (chars_bytes)(words == (unsigned char)c * 0x01010101u);
}

/** How many characters at the front of s are printable ASCII. */
static inline size_t chars_printable_span(struct slice s)
{
	size_t n = 0, hit;

	for (; s.len - n >= sizeof(chars_bytes); n += sizeof(chars_bytes)) {
		chars_bytes bytes = chars_load(s.p + n);

		/* Beyond ASCII is negative. */
		hit = chars_first_hit((chars_bytes)((bytes < 0x20) | (bytes == 0x7f)));
		if (hit < sizeof(chars_bytes))
			return n + hit;
	}
	while (n < s.len && s.p[n] >= 0x20 && s.p[n] < 0x7f)
		n++;
	return n;
}

/** How many bytes at the front of s are none of CR, LF and NUL. */
static inline size_t chars_line_span(struct slice s)
{
	size_t n = 0, hit;

	for (; s.len - n >= sizeof(chars_bytes); n += sizeof(chars_bytes)) {
		chars_bytes bytes = chars_load(s.p + n);

		hit = chars_first_hit(
		    (chars_bytes)((bytes == '\r') | (bytes == '\n') | (bytes == '\0')));
		if (hit < sizeof(chars_bytes))
			return n + hit;
	}
	while (n < s.len && s.p[n] != '\r' && s.p[n] != '\n' && s.p[n] != '\0')
		n++;
	return n;
}

/** Where c stands in s first, or s.len. */
static inline size_t chars_find(struct slice s, char c)
{
	const char *p = s.len ? (const char *)memchr(s.p, c, s.len) : NULL;

	return p ? (size_t)(p - s.p) : s.len;
}

/** The same, quick if that is near. */
static inline size_t chars_find_near(struct slice s, char c)
{
	size_t hit;

	if (s.len >= sizeof(chars_bytes)) {
		hit = chars_first_hit((chars_bytes)(chars_load(s.p) == (signed char)c));
		if (hit < sizeof(chars_bytes))
			return hit;
	}
	return chars_find(s, c);
}

/* --- by class --- */

/* Which of the bytes at p are letters, digits, "-" or ".": most, where identifiers are. */
static inline chars_bytes chars_common(const char *p)
{
	typedef unsigned char chars_octets __attribute__((vector_size(16)));
	chars_octets c = (chars_octets)chars_load(p), letter = (c | 0x20) - 'a', other = c - '-';

	/* From "-" to "9" they are neighbours, with "/" in between. */
	return (chars_bytes)((letter < 26) | ((other <= '9' - '-') & (c != '/')));
}

/** How many characters at the front of s are in one of classes. */
static inline size_t chars_span(struct slice s, unsigned classes)
{
	const unsigned common = CHARS_IDENT | CHARS_TOKEN | CHARS_HOST | CHARS_SESSION
	    | CHARS_USERINFO | CHARS_SIP_TOKEN;
	size_t n = 0;

	while (classes & common && s.len - n >= sizeof(chars_bytes)) {
		size_t hit = chars_first_hit(~chars_common(s.p + n));

		n += hit;
		if (hit == sizeof(chars_bytes))
			continue;
		if (!chars_is(s.p[n], classes))
			return n;
		n++;
	}
	while (n < s.len && chars_is(s.p[n], classes))
		n++;
	return n;
}

/** Cut the characters in classes off the front of *rest. */
static inline struct slice chars_take(struct slice *rest, unsigned classes)
{
	struct slice taken = {rest->p, chars_span(*rest, classes)};

	*rest = slice_from(*rest, taken.len);
	return taken;
}

/** Drop c from the front of *rest, if it is there. */
static inline bool chars_take_char(struct slice *rest, char c)
{
	if (rest->len == 0 || rest->p[0] != c)
		return false;
	*rest = slice_from(*rest, 1);
	return true;
}
