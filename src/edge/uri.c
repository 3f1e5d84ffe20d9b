#include "edge/uri.h"

#include <errno.h>

#include <msrpd/hex.h>

#include "base/chars.h"

/* A URI that goes to a host. */
struct parts {
	struct slice user, password, host, port, params, headers; /* absent: not there */
};

static const struct slice absent;

/* Up to the first of some characters. */
static size_t span_until(struct slice s, const char *stops)
{
	size_t n = 0;

	while (n < s.len && !chars_one_of(s.p[n], stops))
		n++;
	return n;
}

/* --- characters --- */

static bool is_hex(char c)
{
	return hex_digit(c) >= 0;
}

/* Characters that may stand in a URI at all; some phones have a "#" in the user. */
static bool has_uri_chars(struct slice s)
{
	while (s.len) {
		size_t n = chars_span(s, CHARS_USERINFO);

		if (n == 0 && !chars_one_of(s.p[0], "%?/@[]#"))
			return false;
		s = slice_from(s, n ? n : 1);
	}
	return true;
}

/*
 * Are escapes whole, and is what follows the first one in a part alphanumeric or of those others?
 * Sofia-SIP looks at no other characters.
 */
static bool has_good_escapes(struct slice part, const char *others)
{
	size_t at = chars_find(part, '%');

	while (at < part.len) {
		char c = part.p[at++];

		if (c == '%') {
			if (part.len - at < 2 || !is_hex(part.p[at]) || !is_hex(part.p[at + 1]))
				return false;
			at += 2;
		} else if (!chars_is(c, CHARS_ALPHANUM) && !chars_one_of(c, others))
			return false;
	}
	return true;
}

#define MARKS "-_.!~*'()"

/* --- schemes --- */

enum kind { UNKNOWN, HOST, HOST_PLAIN, OPAQUE };

static const struct {
	struct slice name;
	enum kind kind;
} schemes[] = {
    {{"sip", 3}, HOST},
    {{"sips", 4}, HOST},
    {{"tel", 3}, OPAQUE},
    {{"urn", 3}, OPAQUE},
    {{"im", 2}, HOST_PLAIN}, /* in its user no separators */
    {{"pres", 4}, HOST_PLAIN},
};

static enum kind scheme_kind(struct slice scheme)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (slice_equal_nocase(scheme, schemes[i].name))
			return schemes[i].kind;
	return UNKNOWN;
}

/* @return false: there is none */
static bool take_scheme(struct slice *rest, struct slice *scheme)
{
	size_t n = 0;

	while (n < rest->len
	    && (chars_is(rest->p[n], CHARS_ALPHANUM) || chars_one_of(rest->p[n], "+-.")))
		n++;
	if (n == 0 || n == rest->len || rest->p[n] != ':' || !chars_is(rest->p[0], CHARS_ALPHA))
		return false;
	*scheme = slice_head(*rest, n);
	*rest = slice_from(*rest, n + 1);
	return true;
}

/* --- parts --- */

/* The user ends at the first "@" behind it; it may hold separators itself. */
static void take_user(struct slice *rest, struct parts *parts)
{
	size_t at = chars_find(*rest, '@'), colon;

	if (at == rest->len)
		return;
	parts->user = slice_head(*rest, at);
	*rest = slice_from(*rest, at + 1);
	colon = chars_find(parts->user, ':');
	if (colon < at)
		parts->password = slice_from(parts->user, colon + 1);
	parts->user.len = colon;
}

static bool cut_ipv6(struct slice *rest, struct slice *host)
{
	size_t n = 0;

	while (n < rest->len && (is_hex(rest->p[n]) || chars_one_of(rest->p[n], ":.")))
		n++;
	*host = slice_head(*rest, n);
	*rest = slice_from(*rest, n);
	return n > 0 && chars_take_char(rest, ']');
}

bool edge_host_cut(struct slice *rest, struct slice *host)
{
	if (chars_take_char(rest, '['))
		return cut_ipv6(rest, host);
	*host = chars_take(rest, CHARS_HOST);
	return host->len > 0;
}

static bool take_host(struct slice *rest, struct parts *parts)
{
	if (!edge_host_cut(rest, &parts->host))
		return false;
	if (chars_take_char(rest, ':'))
		parts->port = chars_take(rest, CHARS_DIGIT);
	return !parts->port.p || parts->port.len;
}

/* @param rest  behind the scheme */
static bool split(struct slice rest, struct parts *parts)
{
	*parts = (struct parts){.user = absent};
	take_user(&rest, parts);
	if (!take_host(&rest, parts))
		return false;
	if (chars_take_char(&rest, ';')) {
		parts->params = slice_head(rest, chars_find(rest, '?'));
		rest = slice_from(rest, parts->params.len);
	}
	if (chars_take_char(&rest, '?')) {
		parts->headers = rest;
		rest.len = 0;
	}
	return rest.len == 0;
}

static bool take_parts(struct slice rest, bool plain, struct parts *parts)
{
	uint64_t port;

	if (!split(rest, parts))
		return false;
	if ((parts->user.p && !parts->user.len)
	    || (plain && span_until(parts->user, "/;?#") < parts->user.len))
		return false;
	return (!parts->port.p || slice_to_u64(parts->port, UINT16_MAX, &port) == 0)
	    && has_good_escapes(parts->user, MARKS "&=+$,;?/")
	    && has_good_escapes(parts->password, MARKS "&=+$,")
	    && chars_find(parts->params, '#') == parts->params.len
	    && chars_find(parts->headers, '#') == parts->headers.len
	    && has_good_escapes(parts->params, MARKS "/:&+$;=@,")
	    && has_good_escapes(parts->headers, MARKS "/:&+$;=@,?[]");
}

/* --- public --- */

bool edge_uri_is_foreign(struct slice text)
{
	struct slice scheme;

	return take_scheme(&text, &scheme) && scheme_kind(scheme) == UNKNOWN;
}

bool edge_uri_is_good(struct slice text)
{
	struct slice scheme;
	struct parts parts;

	if (!has_uri_chars(text) || !take_scheme(&text, &scheme) || text.len == 0)
		return false;
	switch (scheme_kind(scheme)) {
	case HOST:
		return take_parts(text, false, &parts);
	case HOST_PLAIN:
		return take_parts(text, true, &parts);
	case OPAQUE:
		return span_until(text, ";/?#@") > 0 && has_good_escapes(text, MARKS "&=+$,;:");
	case UNKNOWN:
		return span_until(text, ":%") == text.len;
	}
	return false;
}

int edge_uri_parse(struct edge_uri *uri, struct slice text)
{
	struct slice scheme;
	struct parts parts;
	uint64_t port = 0;

	if (!has_uri_chars(text) || !take_scheme(&text, &scheme) || scheme_kind(scheme) != HOST
	    || !take_parts(text, false, &parts))
		return -EBADMSG;
	if (parts.port.p)
		slice_to_u64(parts.port, UINT16_MAX, &port);
	*uri = (struct edge_uri){
	    .secure = scheme.len == 4,
	    .user = parts.user,
	    .host = parts.host,
	    .port = (uint16_t)port,
	    .params = parts.params,
	    .headers = parts.headers,
	};
	return 0;
}

struct slice edge_uri_param(const struct edge_uri *uri, struct slice name)
{
	struct slice rest = uri->params, param, key;

	while (slice_cut(&rest, ';', &param)) {
		slice_cut(&param, '=', &key);
		if (slice_equal_nocase(key, name))
			return param.p ? param : (struct slice){key.p + key.len, 0};
	}
	return absent;
}
