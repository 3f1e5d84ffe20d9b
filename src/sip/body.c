#include "sip/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <sofia-sip/msg_header.h>

#include "sip/priv.h"

enum {
	DEPTH_MAX = 3,     /* multiparts within multiparts */
	BOUNDARY_MAX = 70, /* RFC 2046 5.1.1 */
	VALUE_MAX = 512,   /* of Content-Type and Content-Disposition */
};

/* --- header values --- */

static struct slice without_parameters(struct slice value)
{
	struct slice bare;

	if (!slice_cut(&value, ';', &bare))
		return (struct slice){0};
	return slice_trim(bare);
}

/* The value of a parameter; a quoted one without its quotes. */
static struct slice parameter(struct slice value, struct slice name)
{
	struct slice piece, key, rest = value;

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

static bool is_type(const struct sip_part *part, struct slice type)
{
	return slice_equal_nocase(without_parameters(part->type), type);
}

static void set_disposition(struct sip_part *part, struct slice value)
{
	struct slice handling = parameter(value, SLICE("handling"));

	part->disposition = without_parameters(value);
	part->handling = slice_equal_nocase(handling, SLICE("required")) ? SIP_HANDLING_REQUIRED
	    : slice_equal_nocase(handling, SLICE("optional"))            ? SIP_HANDLING_OPTIONAL
									 : SIP_HANDLING_UNSAID;
}

/* --- encodings --- */

static bool is_multipart(const struct sip_part *part)
{
	return slice_starts_nocase(part->type, SLICE("multipart/"));
}

/* No part lies in another that is decoded (RFC 2045 6.4), so all of them have room in one body. */
static int decode(struct sip_body *b, struct sip_part *part)
{
	EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
	unsigned char *to = (unsigned char *)b->own + b->own_len;
	int len = 0, tail = 0;
	bool ok;

	if (!ctx)
		return -ENOMEM;
	EVP_DecodeInit(ctx);
	ok = EVP_DecodeUpdate(ctx, to, &len, (const unsigned char *)part->body.p,
		 (int)part->body.len)
		>= 0
	    && EVP_DecodeFinal(ctx, to + len, &tail) == 1;
	EVP_ENCODE_CTX_free(ctx);
	if (!ok) {
		part->type = (struct slice){0};
		return 0;
	}
	part->body = (struct slice){(char *)to, (size_t)(len + tail)};
	b->own_len += part->body.len;
	return 0;
}

static bool is_plain(struct slice encoding)
{
	return !encoding.p || slice_equal_nocase(encoding, SLICE("7bit"))
	    || slice_equal_nocase(encoding, SLICE("8bit"))
	    || slice_equal_nocase(encoding, SLICE("binary"))
	    || slice_equal_nocase(encoding, SLICE("identity"));
}

/* --- parts --- */

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

static int add(struct sip_body *b, const struct sip_part *part, int depth);

static int add_part(struct sip_body *b, struct slice text, int depth)
{
	struct sip_part part = {.type = SLICE("text/plain")}; /* RFC 2046 5.1 */
	struct slice line, name, transfer = {0}, encoding = {0};

	while (next_line(&text, &line)) {
		if (!slice_cut(&line, ':', &name) || !line.p)
			continue;
		name = slice_trim(name);
		line = slice_trim(line);
		if (slice_equal_nocase(name, SLICE("Content-Type"))
		    || slice_equal_nocase(name, SLICE("c")))
			part.type = line;
		else if (slice_equal_nocase(name, SLICE("Content-Disposition")))
			set_disposition(&part, line);
		else if (slice_equal_nocase(name, SLICE("Content-ID")))
			part.id = line;
		else if (slice_equal_nocase(name, SLICE("Content-Transfer-Encoding")))
			transfer = line;
		else if (slice_equal_nocase(name, SLICE("Content-Encoding"))
		    || slice_equal_nocase(name, SLICE("e")))
			encoding = line;
	}
	part.body = text.p ? text : SLICE("");
	if (slice_equal_nocase(transfer, SLICE("base64")) && !is_multipart(&part)) {
		int err = decode(b, &part);

		if (err)
			return err;
	} else if (!is_plain(transfer)) {
		part.type = (struct slice){0};
	}
	if (!is_plain(encoding))
		part.type = (struct slice){0};
	return add(b, &part, depth + 1);
}

static bool has_sdp(const struct sip_body *b, size_t from)
{
	for (size_t i = from; i < b->count; i++)
		if (is_type(&b->parts[i], SLICE("application/sdp")))
			return true;
	return false;
}

/* Of alternatives the last that has an SDP remains; where none has, the last. */
static void choose(struct sip_body *b, size_t first, size_t latest)
{
	if (latest == first)
		return;
	if (has_sdp(b, first) && !has_sdp(b, latest)) {
		b->count = latest;
		return;
	}
	memmove(&b->parts[first], &b->parts[latest], (b->count - latest) * sizeof(b->parts[0]));
	b->count -= latest - first;
}

static int add_multipart(struct sip_body *b, const struct sip_part *whole, int depth)
{
	struct slice boundary = parameter(whole->type, SLICE("boundary")), body = whole->body;
	bool alternative = is_type(whole, SLICE("multipart/alternative"));
	char mark_text[BOUNDARY_MAX + 2] = "--";
	struct slice mark = {mark_text, boundary.len + 2};
	const char *here, *next, *end = body.p + body.len;
	size_t first = b->count;
	int err = 0;

	if (boundary.len == 0 || boundary.len > BOUNDARY_MAX)
		return 0;
	memcpy(mark_text + 2, boundary.p, boundary.len);
	for (here = find_delimiter(body, body.p, mark); here && !err; here = next) {
		const char *start = memchr(here + mark.len, '\n', (size_t)(end - here) - mark.len);
		size_t latest = b->count;

		if (!start
		    || (end - here >= (ptrdiff_t)mark.len + 2
			&& memcmp(here + mark.len, "--", 2) == 0))
			break;
		start++;
		next = find_delimiter(body, start, mark);
		err = add_part(b,
		    without_last_newline(
			(struct slice){start, (size_t)((next ? next : end) - start)}),
		    depth);
		if (alternative && b->count > latest)
			choose(b, first, latest);
	}
	return err;
}

static int add(struct sip_body *b, const struct sip_part *part, int depth)
{
	if (depth < DEPTH_MAX && is_multipart(part))
		return add_multipart(b, part, depth);
	if (b->count == SIP_PARTS_MAX)
		return -EPROTO;
	b->parts[b->count++] = *part;
	return 0;
}

/* --- what the header promises --- */

static struct slice keep(struct sip_body *b, struct slice value)
{
	struct slice kept = {value.p ? b->own + b->own_len : NULL, value.len};

	if (value.len)
		memcpy(b->own + b->own_len, value.p, value.len);
	b->own_len += value.len;
	return kept;
}

int sip_body_parse(struct sip_body *body, struct slice type, struct slice disposition,
    struct slice text)
{
	struct sip_part whole = {.body = text};
	int err;

	*body = (struct sip_body){.own = malloc(type.len + disposition.len + text.len + 1)};
	if (!body->own)
		return -ENOMEM;
	whole.type = keep(body, type);
	set_disposition(&whole, keep(body, disposition));
	err = add(body, &whole, 0);
	if (err)
		sip_body_fini(body);
	return err;
}

void sip_body_fini(struct sip_body *body)
{
	free(body->own);
	body->own = NULL;
}

const struct sip_part *sip_body_sdp(const struct sip_body *body)
{
	for (size_t i = 0; i < body->count; i++) {
		const struct sip_part *part = &body->parts[i];

		if (is_type(part, SLICE("application/sdp"))
		    && (!part->disposition.p
			|| slice_equal_nocase(part->disposition, SLICE("session"))))
			return part;
	}
	return NULL;
}

bool sip_part_is_message(const struct sip_part *part)
{
	return (slice_starts_nocase(part->type, SLICE("text/"))
		   || is_type(part, SLICE("message/cpim")))
	    && (!part->disposition.p || slice_equal_nocase(part->disposition, SLICE("render")));
}

bool sip_body_is_beyond_us(const struct sip_body *body)
{
	for (size_t i = 0; i < body->count; i++) {
		const struct sip_part *part = &body->parts[i];

		if (part->handling == SIP_HANDLING_REQUIRED && !sip_part_is_message(part)
		    && !is_type(part, SLICE("application/sdp"))
		    && !is_type(part, SLICE("application/pidf+xml")))
			return true;
	}
	return false;
}

/* --- messages --- */

static int header_text(char text[VALUE_MAX], const void *header, struct slice *valuep)
{
	issize_t len = 0;

	if (header)
		len = msg_header_field_e(text, VALUE_MAX, header, 0);
	if (header && (len <= 0 || len >= VALUE_MAX))
		return -EPROTO;
	*valuep = (struct slice){header ? text : NULL, (size_t)len};
	return 0;
}

bool sip_body_is_encoded(const sip_t *sip)
{
	const sip_content_encoding_t *encoding = sip->sip_content_encoding;

	if (encoding)
		for (msg_param_t const *item = encoding->k_items; item && *item; item++)
			if (strcasecmp(*item, "identity") != 0)
				return true;
	return false;
}

const char *sip_body_accepted(const sip_t *sip)
{
	return sip_body_is_encoded(sip) ? "Accept-Encoding: identity\r\n"
					: "Accept: application/sdp, multipart/mixed\r\n";
}

bool sip_takes_body(const sip_t *sip, const char *type)
{
	size_t main_len = strcspn(type, "/") + 1;

	for (const sip_accept_t *accept = sip->sip_accept; accept; accept = accept->ac_next) {
		const char *range = accept->ac_type;

		if (!range || (accept->ac_q && msg_q_value(accept->ac_q) == 0))
			continue;
		if (strcasecmp(range, type) == 0 || strcmp(range, "*/*") == 0
		    || (strncasecmp(range, type, main_len) == 0
			&& strcmp(range + main_len, "*") == 0))
			return true;
	}
	return !sip->sip_accept;
}

int sip_message_body(struct sip_body *body, const sip_t *sip)
{
	char type_text[VALUE_MAX], disposition_text[VALUE_MAX];
	struct slice type, disposition;

	*body = (struct sip_body){0};
	if (!sip->sip_payload || sip->sip_payload->pl_len == 0)
		return 0;
	if (sip_body_is_encoded(sip))
		return -EPROTO;
	if (header_text(type_text, sip->sip_content_type, &type) < 0 || !type.p
	    || header_text(disposition_text, sip->sip_content_disposition, &disposition) < 0)
		return -EPROTO;
	return sip_body_parse(body, type, disposition,
	    (struct slice){sip->sip_payload->pl_data, sip->sip_payload->pl_len});
}

int sip_message_sdp(struct sip_body *body, const sip_t *sip, struct slice *sdpp)
{
	int err = sip_message_body(body, sip);
	const struct sip_part *part = err ? NULL : sip_body_sdp(body);

	*sdpp = part ? part->body : (struct slice){0};
	if (err)
		return err;
	if ((part || !body->own) && !sip_body_is_beyond_us(body))
		return 0;
	sip_body_fini(body);
	return -EPROTO;
}
