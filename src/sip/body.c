#include "sip/body.h"

#include <errno.h>
#include <string.h>

#include <sofia-sip/msg_header.h>

#include "sip/priv.h"

enum {
	PARTS_MAX = 32,
	DEPTH_MAX = 3, /* multiparts within multiparts */
	TYPE_MAX = 512,
	BOUNDARY_MAX = 70, /* RFC 2046 5.1.1 */
};

static struct slice type_of(struct slice content_type)
{
	struct slice type;

	if (!slice_cut(&content_type, ';', &type))
		return (struct slice){0};
	return slice_trim(type);
}

/* The value of a parameter; a quoted one without its quotes. */
static struct slice parameter(struct slice content_type, struct slice name)
{
	struct slice piece, key, rest = content_type;

	slice_cut(&rest, ';', &piece);
	while (slice_cut(&rest, ';', &piece)) {
		if (!slice_cut(&piece, '=', &key) || !slice_equal_nocase(slice_trim(key), name)
		    || !piece.p)
			continue;
		piece = slice_trim(piece);
		if (piece.len >= 2 && piece.p[0] == '"' && piece.p[piece.len - 1] == '"')
			piece = (struct slice){piece.p + 1, piece.len - 2};
		return piece;
	}
	return (struct slice){0};
}

/* The next line that begins with "--" boundary, at or behind from; NULL if there is none. */
static const char *find_delimiter(struct slice body, const char *from, struct slice mark)
{
	const char *end = body.p + body.len, *p = from;

	while ((p = memmem(p, (size_t)(end - p), mark.p, mark.len))) {
		if (p == body.p || p[-1] == '\n')
			return p;
		p++;
	}
	return NULL;
}

/* Cut the next header line off a part's head; false at the empty line, which is cut as well. */
static bool next_line(struct slice *part, struct slice *line)
{
	struct slice rest = *part;

	if (!slice_cut(&rest, '\n', line))
		return false;
	if (line->len > 0 && line->p[line->len - 1] == '\r')
		line->len--;
	*part = rest;
	return line->len > 0;
}

static struct slice without_last_newline(struct slice part)
{
	if (part.len > 0 && part.p[part.len - 1] == '\n')
		part.len--;
	if (part.len > 0 && part.p[part.len - 1] == '\r')
		part.len--;
	return part;
}

static int find(struct slice content_type, struct slice body, int depth, struct slice *sdpp);

static int find_in_part(struct slice part, int depth, struct slice *sdpp)
{
	struct slice line, name, type = {0}, encoding = {0};

	while (next_line(&part, &line)) {
		if (!slice_cut(&line, ':', &name) || !line.p)
			continue;
		name = slice_trim(name);
		if (slice_equal_nocase(name, SLICE("Content-Type"))
		    || slice_equal_nocase(name, SLICE("c")))
			type = slice_trim(line);
		else if (slice_equal_nocase(name, SLICE("Content-Transfer-Encoding")))
			encoding = slice_trim(line);
	}
	if (!type.p || !part.p || slice_equal_nocase(encoding, SLICE("base64"))
	    || slice_equal_nocase(encoding, SLICE("quoted-printable")))
		return -EPROTO;
	return find(type, part, depth + 1, sdpp);
}

static int find_in_multipart(struct slice boundary, struct slice body, int depth,
    struct slice *sdpp)
{
	char mark_text[BOUNDARY_MAX + 2] = "--";
	struct slice mark = {mark_text, boundary.len + 2};
	const char *here, *next, *end = body.p + body.len;

	if (boundary.len == 0 || boundary.len > BOUNDARY_MAX)
		return -EPROTO;
	memcpy(mark_text + 2, boundary.p, boundary.len);
	here = find_delimiter(body, body.p, mark);
	for (int i = 0; here && i < PARTS_MAX; i++, here = next) {
		const char *start = memchr(here + mark.len, '\n', (size_t)(end - here) - mark.len);

		if (!start
		    || (end - here >= (ptrdiff_t)mark.len + 2
			&& memcmp(here + mark.len, "--", 2) == 0))
			break;
		start++;
		next = find_delimiter(body, start, mark);
		if (find_in_part(without_last_newline(
				     (struct slice){start, (size_t)((next ? next : end) - start)}),
			depth, sdpp)
		    == 0)
			return 0;
	}
	return -EPROTO;
}

static int find(struct slice content_type, struct slice body, int depth, struct slice *sdpp)
{
	struct slice type = type_of(content_type);

	if (slice_equal_nocase(type, SLICE("application/sdp"))) {
		*sdpp = body;
		return 0;
	}
	if (depth < DEPTH_MAX && slice_starts_nocase(type, SLICE("multipart/")))
		return find_in_multipart(parameter(content_type, SLICE("boundary")), body, depth,
		    sdpp);
	return -EPROTO;
}

int sip_body_find_sdp(struct slice content_type, struct slice body, struct slice *sdpp)
{
	return find(content_type, body, 0, sdpp);
}

int sip_body_sdp(const sip_t *sip, struct slice *sdpp)
{
	char type[TYPE_MAX];
	issize_t len;

	*sdpp = (struct slice){0};
	if (!sip->sip_payload || sip->sip_payload->pl_len == 0)
		return 0;
	if (!sip->sip_content_type || sip->sip_content_encoding)
		return -EPROTO;
	len =
	    msg_header_field_e(type, sizeof(type), (const msg_header_t *)sip->sip_content_type, 0);
	if (len <= 0 || (size_t)len >= sizeof(type))
		return -EPROTO;
	return sip_body_find_sdp((struct slice){type, (size_t)len},
	    (struct slice){sip->sip_payload->pl_data, sip->sip_payload->pl_len}, sdpp);
}
