/* message/cpim: RFC 3862. */
#include <msrpd/cpim.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#include <msrpd/hex.h>

#include "base/buffer.h"

/* --- lines --- */

/* The next line of text, without its end. @return false: there is no line end any more */
static bool next_line(struct slice *rest, struct slice *line)
{
	const char *end = rest->len ? memchr(rest->p, '\n', rest->len) : NULL;
	size_t len;

	if (!end)
		return false;
	len = (size_t)(end - rest->p);
	*line = slice_head(*rest, len);
	if (len && line->p[len - 1] == '\r')
		line->len--;
	*rest = slice_from(*rest, len + 1);
	return true;
}

static bool is_name_char(char c)
{
	/* RFC 3862 3.6, with the "." of prefixes */
	return c > ' ' && c < 0x7f && !strchr("()<>@,;:\\\"/[]?={}", c);
}

static bool is_name(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_name_char(s.p[i]))
			return false;
	return s.len > 0;
}

static bool is_text(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < ' ' && s.p[i] != '\t')
			return false;
	return true;
}

/* "Name:;lang=fr value" into its parts. */
static bool split_header(struct slice line, struct cpim_header *h)
{
	size_t i = 0;

	if (!slice_cut(&line, ':', &h->name) || !line.p || !is_name(h->name) || !is_text(line))
		return false;
	h->params = (struct slice){NULL, 0};
	if (line.len && line.p[0] == ';') {
		/* A quoted value may hold spaces. */
		for (bool quoted = false; i < line.len && (quoted || line.p[i] != ' '); i++) {
			if (quoted && line.p[i] == '\\' && i + 1 < line.len)
				i++;
			else if (line.p[i] == '"')
				quoted = !quoted;
		}
		h->params = slice_head(line, i);
	}
	h->value = slice_trim(slice_from(line, i));
	return true;
}

/* --- namespaces --- */

/* NS: prefix <uri>, or NS: <uri> for the names without one. */
struct namespaces {
	struct slice prefixes[CPIM_HEADERS_MAX], uris[CPIM_HEADERS_MAX];
	size_t count;
};

static bool declare(struct namespaces *spaces, struct slice value)
{
	struct slice prefix, rest = value;

	if (spaces->count == CPIM_HEADERS_MAX || !slice_cut(&rest, '<', &prefix) || rest.len < 2
	    || rest.p[rest.len - 1] != '>')
		return false;
	spaces->prefixes[spaces->count] = slice_trim(prefix);
	spaces->uris[spaces->count++] = slice_head(rest, rest.len - 1);
	return true;
}

static struct slice find_space(const struct namespaces *spaces, struct slice prefix)
{
	for (size_t i = spaces->count; i-- > 0;)
		if (slice_equal(spaces->prefixes[i], prefix))
			return spaces->uris[i];
	return prefix.len ? (struct slice){NULL, 0} : SLICE(CPIM_CORE);
}

static void resolve(const struct namespaces *spaces, struct cpim_header *h)
{
	struct slice rest = h->name, prefix;

	slice_cut(&rest, '.', &prefix);
	if (rest.p)
		h->name = rest;
	else
		prefix.len = 0;
	h->space = find_space(spaces, prefix);
}

/* --- parsing --- */

static int parse_headers(struct cpim *m, struct slice *rest)
{
	struct namespaces spaces = {.count = 0};
	struct slice line;

	m->header_count = 0;
	while (next_line(rest, &line)) {
		struct cpim_header h;

		if (line.len == 0)
			return m->header_count ? 0 : -EBADMSG;
		if (!split_header(line, &h))
			return -EBADMSG;
		if (slice_equal(h.name, SLICE("NS"))) {
			if (!declare(&spaces, h.value))
				return -EBADMSG;
			continue;
		}
		if (m->header_count == CPIM_HEADERS_MAX)
			return -EMSGSIZE;
		resolve(&spaces, &h);
		m->headers[m->header_count++] = h;
	}
	return -EBADMSG;
}

static int parse_content(struct cpim *m, struct slice *rest)
{
	const char *start = rest->p;
	struct slice line;

	while (next_line(rest, &line)) {
		struct slice name;

		if (line.len == 0) {
			m->content_type = cpim_content_value(m, "Content-Type");
			m->body = *rest;
			return 0;
		}
		/* A folded line (RFC 5322 2.2.3) goes on from the one before it. */
		if (line.p != start && (line.p[0] == ' ' || line.p[0] == '\t'))
			continue;
		if (!slice_cut(&line, ':', &name) || !line.p || !is_name(name))
			return -EBADMSG;
		m->content_headers.len = (size_t)(rest->p - start);
	}
	return -EBADMSG;
}

int cpim_parse(struct cpim *m, struct slice text)
{
	struct slice rest = text;
	struct cpim parsed;
	int err;

	if (!text.p)
		return -EBADMSG;
	err = parse_headers(&parsed, &rest);
	if (err < 0)
		return err;
	parsed.content_headers = (struct slice){rest.p, 0};
	err = parse_content(&parsed, &rest);
	if (err < 0)
		return err;
	if (text.len - parsed.body.len > CPIM_HEAD_MAX)
		return -EMSGSIZE;
	*m = parsed;
	return 0;
}

/* @return false: text ends before an empty line */
static bool skip_headers(struct slice *rest)
{
	struct slice line;

	while (next_line(rest, &line))
		if (line.len == 0)
			return true;
	return false;
}

ssize_t cpim_head_size(struct slice text)
{
	struct slice rest = text;

	if (!skip_headers(&rest) || !skip_headers(&rest))
		return text.len > CPIM_HEAD_MAX ? -EMSGSIZE : -EAGAIN;
	return (ssize_t)(text.len - rest.len);
}

struct slice cpim_value(const struct cpim *m, const char *space, const char *name)
{
	for (size_t i = 0; i < m->header_count; i++) {
		const struct cpim_header *h = &m->headers[i];

		if (slice_equal(h->space, slice_of(space))
		    && slice_equal_nocase(h->name, slice_of(name)))
			return h->value;
	}
	return (struct slice){NULL, 0};
}

struct slice cpim_content_value(const struct cpim *m, const char *name)
{
	struct slice rest = m->content_headers, line, key;

	while (next_line(&rest, &line)) {
		struct slice value = line;

		if (slice_cut(&value, ':', &key) && value.p
		    && slice_equal_nocase(key, slice_of(name)))
			return slice_trim(value);
	}
	return (struct slice){NULL, 0};
}

/* Where the first "<" outside quotes is; value.len if there is none. */
static size_t find_angle(struct slice value)
{
	bool quoted = false;

	for (size_t i = 0; i < value.len; i++) {
		if (quoted && value.p[i] == '\\' && i + 1 < value.len)
			i++;
		else if (value.p[i] == '"')
			quoted = !quoted;
		else if (value.p[i] == '<' && !quoted)
			return i;
	}
	return value.len;
}

struct slice cpim_uri(struct slice value)
{
	size_t at = find_angle(value);
	struct slice rest, uri;

	if (at == value.len)
		return slice_trim(value);
	rest = slice_from(value, at + 1);
	if (!slice_cut(&rest, '>', &uri) || slice_trim(rest).len > 0)
		return (struct slice){NULL, 0};
	return slice_trim(uri);
}

struct slice cpim_formal_name(struct slice value)
{
	size_t at = find_angle(value);
	struct slice name = slice_trim(slice_head(value, at));

	return at == value.len || name.len == 0 ? (struct slice){NULL, 0} : name;
}

/* --- escapes --- */

static bool read_hex4(struct slice s, unsigned *codep)
{
	unsigned code = 0;

	if (s.len < 4)
		return false;
	for (size_t i = 0; i < 4; i++) {
		int digit = hex_digit(s.p[i]);

		if (digit < 0)
			return false;
		code = code * 16 + (unsigned)digit;
	}
	*codep = code;
	return true;
}

/* One character of the Basic Multilingual Plane; no half of a surrogate pair is one. */
static size_t write_utf8(char out[3], unsigned code)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | code >> 12);
	out[1] = (char)(0x80 | (code >> 6 & 0x3f));
	out[2] = (char)(0x80 | (code & 0x3f));
	return 3;
}

/* The escape at the front of s, behind its "\". @return bytes of it; 0: it is none */
static size_t read_escape(struct slice s, char out[3], size_t *lenp)
{
	static const char from[] = "btnr\"'\\", to[] = "\b\t\n\r\"'\\";
	const char *found;
	unsigned code;

	if (s.len == 0)
		return 0;
	if (s.p[0] == 'u') {
		if (!read_hex4(slice_from(s, 1), &code) || (code >= 0xd800 && code < 0xe000))
			return 0;
		*lenp = write_utf8(out, code);
		return 5;
	}
	found = s.p[0] ? strchr(from, s.p[0]) : NULL;
	if (!found)
		return 0;
	out[0] = to[found - from];
	*lenp = 1;
	return 1;
}

size_t cpim_unescape(char *text, size_t size, struct slice value)
{
	size_t len = 0;

	for (size_t i = 0; i < value.len;) {
		char out[3] = {value.p[i]};
		size_t out_len = 1, used = 0;

		if (value.p[i] == '\\')
			used = read_escape(slice_from(value, i + 1), out, &out_len);
		if (out_len > size - len)
			break;
		memcpy(text + len, out, out_len);
		len += out_len;
		i += 1 + used;
	}
	return len;
}

static void write_escaped(struct buffer *b, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\\')
			buffer_add(b, SLICE("\\\\"));
		else if (c == '\n')
			buffer_add(b, SLICE("\\n"));
		else if (c == '\r')
			buffer_add(b, SLICE("\\r"));
		else if (c == '\t')
			buffer_add(b, SLICE("\\t"));
		else if (c < ' ' || c == 0x7f)
			buffer_printf(b, "\\u%04x", c);
		else
			buffer_add(b, slice_head(slice_from(s, i), 1));
	}
}

/* --- building --- */

/* What stands in a header as it is. */
static bool is_plain(struct slice s)
{
	return is_text(s) && !(s.len && memchr(s.p, 0x7f, s.len));
}

static bool is_uri(struct slice s)
{
	return s.len && is_plain(s) && !memchr(s.p, '<', s.len) && !memchr(s.p, '>', s.len)
	    && !memchr(s.p, ' ', s.len);
}

static void write_address(struct buffer *b, const char *header, struct slice name, struct slice uri)
{
	buffer_printf(b, "%s: %.*s%s<%.*s>\r\n", header, SLICE_ARG(name), name.len ? " " : "",
	    SLICE_ARG(uri));
}

static void write_header(struct buffer *b, const char *name, struct slice value)
{
	if (value.p)
		buffer_printf(b, "%s: %.*s\r\n", name, SLICE_ARG(value));
}

static void write_imdn(struct buffer *b, const struct cpim_out *out)
{
	char wants[IMDN_WANTS_SIZE];

	if (!out->message_id.p && !out->dispositions)
		return;
	buffer_add(b, SLICE("NS: imdn <" CPIM_IMDN ">\r\n"));
	write_header(b, "imdn.Message-ID", out->message_id);
	imdn_wants_text(wants, out->dispositions);
	if (wants[0])
		write_header(b, "imdn.Disposition-Notification", slice_of(wants));
}

static void write_all(struct buffer *b, const struct cpim_out *out)
{
	write_address(b, "From", out->from_name, out->from_uri);
	write_address(b, "To", out->to_name, out->to_uri);
	write_header(b, "DateTime", out->datetime);
	if (out->subject.p) {
		buffer_add(b, SLICE("Subject: "));
		write_escaped(b, out->subject);
		buffer_add(b, SLICE("\r\n"));
	}
	write_imdn(b, out);
	buffer_add(b, SLICE("\r\n"));
	write_header(b, "Content-Type",
	    out->content_type.p ? out->content_type : SLICE("text/plain;charset=UTF-8"));
	buffer_add(b, out->content_headers);
	buffer_add(b, SLICE("\r\n"));
	buffer_add(b, out->body);
}

int cpim_build(char **textp, size_t *lenp, const struct cpim_out *out)
{
	struct buffer b = {.max = BUFFER_UNBOUNDED};

	if (!is_uri(out->from_uri) || !is_uri(out->to_uri) || !is_plain(out->from_name)
	    || !is_plain(out->to_name) || !is_plain(out->datetime) || !is_plain(out->message_id)
	    || !is_plain(out->content_type))
		return -EINVAL;
	write_all(&b, out);
	return buffer_take(&b, textp, lenp);
}

void cpim_datetime(char text[CPIM_DATETIME_SIZE])
{
	struct timeval now;
	struct tm tm;
	char seconds[CPIM_DATETIME_SIZE];

	gettimeofday(&now, NULL);
	gmtime_r(&now.tv_sec, &tm);
	strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, CPIM_DATETIME_SIZE, "%.19s.%03uZ", seconds,
	    (unsigned)(now.tv_usec / 1000) % 1000);
}
