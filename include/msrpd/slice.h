/* A run of bytes that belongs to somebody else: no copy, no NUL at the end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct slice {
	const char *p; /* NULL: absent, which is not the same as empty */
	size_t len;
};

/** A string literal as a slice, also in a static initialiser. */
#define SLICE(literal) ((struct slice){("" literal), sizeof(literal) - 1})

/** For "%.*s". */
#define SLICE_ARG(s) (int)(s).len, (s).p ? (s).p : ""

/** A C string as a slice; NULL gives an absent one. */
static inline struct slice slice_of(const char *s)
{
	return (struct slice){s, s ? strlen(s) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool slice_equal_nocase(struct slice a, struct slice b)
{
	/* Mostly the case is the same, too, which is quicker to see. */
	return a.len == b.len
	    && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0 || strncasecmp(a.p, b.p, a.len) == 0);
}

/** The rest of s behind its first n bytes; n is at most s.len.  Absent if s is. */
static inline struct slice slice_from(struct slice s, size_t n)
{
	return (struct slice){n ? s.p + n : s.p, s.len - n};
}

static inline struct slice slice_head(struct slice s, size_t n)
{
	return (struct slice){s.p, n < s.len ? n : s.len};
}

/** Without spaces and tabs at either end. */
static inline struct slice slice_trim(struct slice s)
{
	while (s.len && (*s.p == ' ' || *s.p == '\t')) {
		s.p++;
		s.len--;
	}
	while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/**
 * Cut the next piece off the front of *rest, up to the first c, which is dropped.
 *
 * @return true with the piece; false when rest was absent.  The last piece leaves rest absent.
 */
bool slice_cut(struct slice *rest, char c, struct slice *piece);

/** Does s begin with prefix, ASCII letters in any case? */
bool slice_starts_nocase(struct slice s, struct slice prefix);

/**
 * Is it one of these words, in whatever case?  A word that ends in '-' stands for all that
 * begin so.
 *
 * @param words  NULL-terminated; NULL is as good as none
 */
bool slice_is_listed(struct slice s, const char *const *words);

/**
 * The whole of s as a decimal number: digits alone.
 *
 * @return 0, -EBADMSG for anything else than digits, -ERANGE above max
 */
int slice_to_u64(struct slice s, uint64_t max, uint64_t *valuep);

/** A heap copy with a NUL behind it, to be freed; NULL when memory is out or s is absent. */
char *slice_dup(struct slice s);

/** Free a text that may be a secret: its bytes are overwritten first.  Accepts NULL. */
void slice_free_secret(char *text);

/**
 * Copy s to *p, which moves behind the copy: for texts that live in one piece of memory with
 * their owner.
 *
 * @return the copy; absent if s is
 */
struct slice slice_pack(char **p, struct slice s);

/** One token, and nothing else: RFC 4975 section 9; MIME and SDP have the same characters. */
bool slice_is_token(struct slice s);

/** A media type, with or without parameters, as a header may have it: RFC 2045 section 5.1. */
bool slice_is_media_type(struct slice s);

/** No control characters: what cannot end a header line, nor begin one. */
bool slice_is_one_line(struct slice s);

/** Make spaces of the control characters among len bytes. */
void slice_make_one_line(char *p, size_t len);

/** Bytes of the UTF-8 sequence at the front of s; 0 if none begins there, or s is empty. */
size_t slice_utf8_char(struct slice s);

/** Is s well-formed UTF-8 (RFC 3629)? */
bool slice_is_utf8(struct slice s);
