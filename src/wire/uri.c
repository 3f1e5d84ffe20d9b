#include "wire/uri.h"

#include <errno.h>

#include "base/addr.h"
#include "base/buffer.h"
#include "base/chars.h"

static bool parse_scheme(struct slice *rest, bool *secure)
{
	if (!slice_starts_nocase(*rest, SLICE("msrp")))
		return false;
	*rest = slice_from(*rest, 4);
	*secure = chars_take_char(rest, 's') || chars_take_char(rest, 'S');
	return chars_take_char(rest, ':') && chars_take_char(rest, '/')
	    && chars_take_char(rest, '/');
}

/* No character of a userinfo ends it but "@", and no other part of a URI may hold one. */
static bool parse_userinfo(struct slice *rest, struct slice *userinfo)
{
	struct slice taken = chars_take(rest, CHARS_USERINFO);

	if (!chars_take_char(rest, '@'))
		return false;
	*userinfo = taken;
	return true;
}

static bool parse_ipv6(struct slice *rest, struct slice *host)
{
	const char *end = memchr(rest->p, ']', rest->len);
	union addr address;

	if (!end)
		return false;
	*host = slice_head(*rest, (size_t)(end - rest->p));
	*rest = slice_from(*rest, host->len + 1);
	return addr_parse_host(&address, *host) == 0 && address.any.sa_family == AF_INET6;
}

static bool parse_host(struct slice *rest, struct slice *host)
{
	if (chars_take_char(rest, '['))
		return parse_ipv6(rest, host);
	*host = chars_take(rest, CHARS_HOST);
	return host->len > 0;
}

static bool parse_port(struct slice *rest, uint16_t *port)
{
	struct slice digits;
	unsigned value = 0;

	if (!chars_take_char(rest, ':'))
		return true;
	digits = chars_take(rest, CHARS_DIGIT);
	if (digits.len > 5)
		return false;
	for (size_t i = 0; i < digits.len; i++)
		value = value * 10 + (unsigned)(digits.p[i] - '0');
	*port = (uint16_t)value;
	return value > 0 && value <= UINT16_MAX;
}

static bool parse_session_id(struct slice *rest, struct slice *session_id)
{
	if (!chars_take_char(rest, '/'))
		return true;
	*session_id = chars_take(rest, CHARS_SESSION);
	return session_id->len > 0;
}

static bool parse_transport(struct slice *rest, struct slice *transport)
{
	if (!chars_take_char(rest, ';'))
		return false;
	*transport = chars_take(rest, CHARS_ALPHANUM);
	return transport->len > 0;
}

static bool parse_params(struct slice *rest, struct slice *params)
{
	const char *start = rest->p;

	while (chars_take_char(rest, ';'))
		if (chars_take(rest, CHARS_TOKEN).len == 0
		    || (chars_take_char(rest, '=') && chars_take(rest, CHARS_TOKEN).len == 0))
			return false;
	if (rest->p > start)
		*params = (struct slice){start + 1, (size_t)(rest->p - start) - 1};
	return true;
}

static bool parse_behind_userinfo(struct slice *rest, struct msrp_uri *u)
{
	return parse_host(rest, &u->host) && parse_port(rest, &u->port)
	    && parse_session_id(rest, &u->session_id) && parse_transport(rest, &u->transport)
	    && parse_params(rest, &u->params);
}

ssize_t msrp_uri_parse(struct msrp_uri *uri, struct slice text)
{
	struct msrp_uri u = {0};
	struct slice rest = text, authority, userinfo;
	bool good;

	if (!parse_scheme(&rest, &u.secure))
		return -EBADMSG;
	authority = rest;
	good = parse_behind_userinfo(&rest, &u);
	/* A userinfo is rare, and shows in that the rest makes no sense without it. */
	if ((!good || (rest.len && rest.p[0] != ' ')) && parse_userinfo(&authority, &userinfo)) {
		u = (struct msrp_uri){.secure = u.secure, .userinfo = userinfo};
		rest = authority;
		good = parse_behind_userinfo(&rest, &u);
	}
	if (!good)
		return -EBADMSG;
	*uri = u;
	return (ssize_t)(text.len - rest.len);
}

static bool is_ipv6(struct slice host)
{
	return host.len && memchr(host.p, ':', host.len);
}

static bool same_host(struct slice a, struct slice b)
{
	union addr x, y;

	/* One address has many spellings: ::1 and 0:0::1 are the same host. */
	if (is_ipv6(a) && is_ipv6(b) && addr_parse_host(&x, a) == 0 && addr_parse_host(&y, b) == 0)
		return addr_same_host(&x, &y);
	return slice_equal_nocase(a, b);
}

bool msrp_uri_same_server(const struct msrp_uri *a, const struct msrp_uri *b)
{
	/* 2855 is a recommendation, not a default: an absent port differs from it. */
	return a->secure == b->secure && a->port == b->port
	    && slice_equal_nocase(a->transport, b->transport) && same_host(a->host, b->host);
}

bool msrp_uri_equal(const struct msrp_uri *a, const struct msrp_uri *b)
{
	return slice_equal(a->session_id, b->session_id) && msrp_uri_same_server(a, b);
}

bool msrp_uri_is_address(const struct msrp_uri *uri)
{
	union addr address;

	return is_ipv6(uri->host) || addr_parse_host(&address, uri->host) == 0;
}

static void write_authority(struct buffer *w, const struct msrp_uri *uri)
{
	if (uri->userinfo.p) {
		buffer_add(w, uri->userinfo);
		buffer_add_char(w, '@');
	}
	if (is_ipv6(uri->host)) {
		buffer_add_char(w, '[');
		buffer_add(w, uri->host);
		buffer_add_char(w, ']');
	} else {
		buffer_add(w, uri->host);
	}
	if (uri->port) {
		buffer_add_char(w, ':');
		buffer_add_number(w, uri->port);
	}
}

void msrp_uri_write(struct buffer *w, const struct msrp_uri *uri)
{
	buffer_add(w, uri->secure ? SLICE("msrps://") : SLICE("msrp://"));
	write_authority(w, uri);
	if (uri->session_id.p) {
		buffer_add_char(w, '/');
		buffer_add(w, uri->session_id);
	}
	buffer_add_char(w, ';');
	buffer_add(w, uri->transport);
	if (uri->params.p) {
		buffer_add_char(w, ';');
		buffer_add(w, uri->params);
	}
}
