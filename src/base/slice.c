#include <msrpd/slice.h>

#include <errno.h>
#include <stdlib.h>

#include "base/chars.h"

bool slice_cut(struct slice *rest, char c, struct slice *piece)
{
	const char *end;

	if (!rest->p)
		return false;
	end = rest->len ? memchr(rest->p, c, rest->len) : NULL;
	if (!end) {
		*piece = *rest;
		*rest = (struct slice){NULL, 0};
		return true;
	}
	*piece = slice_head(*rest, (size_t)(end - rest->p));
	*rest = slice_from(*rest, piece->len + 1);
	return true;
}

bool slice_starts_nocase(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_equal_nocase(slice_head(s, prefix.len), prefix);
}

bool slice_is_listed(struct slice s, const char *const *words)
{
	for (; words && *words; words++) {
		struct slice word = slice_of(*words);
		bool begins = word.len > 0 && word.p[word.len - 1] == '-';

		if (begins ? slice_starts_nocase(s, word) : slice_equal_nocase(s, word))
			return true;
	}
	return false;
}

int slice_to_u64(struct slice s, uint64_t max, uint64_t *valuep)
{
	uint64_t value = 0;
	bool overflow = false;

	if (s.len == 0)
		return -EBADMSG;
	for (size_t i = 0; i < s.len; i++) {
		uint64_t digit = (uint64_t)(unsigned char)s.p[i] - '0';

		if (digit > 9)
			return -EBADMSG;
		/* Goes on after an overflow: a letter further on is the worse fault. */
		overflow = overflow || value > (UINT64_MAX - digit) / 10;
		value = value * 10 + digit;
	}
	if (overflow || value > max)
		return -ERANGE;
	*valuep = value;
	return 0;
}

char *slice_dup(struct slice s)
{
	char *copy;

	if (!s.p)
		return NULL;
	copy = malloc(s.len + 1);
	if (!copy)
		return NULL;
	if (s.len)
		memcpy(copy, s.p, s.len);
	copy[s.len] = '\0';
	return copy;
}

void slice_free_secret(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

struct slice slice_pack(char **p, struct slice s)
{
	struct slice copy = {s.p ? *p : NULL, s.len};

	if (s.len)
		memcpy(*p, s.p, s.len);
	*p += s.len;
	return copy;
}

bool slice_is_token(struct slice s)
{
	return s.len > 0 && chars_span(s, CHARS_TOKEN) == s.len;
}

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

bool slice_is_one_line(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (is_control(s.p[i]))
			return false;
	return true;
}

void slice_make_one_line(char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (is_control(p[i]))
			p[i] = ' ';
}

/* Length of the sequence that a lead byte announces, 0 if it can lead none. */
static size_t utf8_length(unsigned char lead)
{
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if (lead >= 0xe0 && lead <= 0xef)
		return 3;
	return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

/* Overlong forms, surrogates and what lies beyond U+10FFFF show in the second byte. */
static bool utf8_second_ok(unsigned char lead, unsigned char second)
{
	switch (lead) {
	case 0xe0:
		return second >= 0xa0;
	case 0xed:
		return second <= 0x9f;
	case 0xf0:
		return second >= 0x90;
	case 0xf4:
		return second <= 0x8f;
	default:
		return true;
	}
}

size_t slice_utf8_char(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t n = s.len ? utf8_length(p[0]) : 0;

	if (n > s.len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n < 2 || utf8_second_ok(p[0], p[1]) ? n : 0;
}

/* Most text is ASCII: eight bytes at a time. */
static size_t ascii_run(struct slice s)
{
	size_t n = 0;
	uint64_t word;

	for (; s.len - n >= sizeof(word); n += sizeof(word)) {
		memcpy(&word, s.p + n, sizeof(word));
		if (word & 0x8080808080808080)
			break;
	}
	return n;
}

bool slice_is_utf8(struct slice s)
{
	while (s.len) {
		size_t n = ascii_run(s);

		if (n == 0)
			n = slice_utf8_char(s);
		if (n == 0)
			return false;
		s = slice_from(s, n);
	}
	return true;
}

bool slice_is_media_type(struct slice s)
{
	struct slice rest = s, bare, type;

	if (!slice_is_one_line(s) || !slice_is_utf8(s) || !slice_cut(&rest, ';', &bare))
		return false;
	bare = slice_trim(bare);
	return slice_cut(&bare, '/', &type) && slice_is_token(type) && slice_is_token(bare);
}
