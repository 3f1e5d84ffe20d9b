#include "sip/uri_parts.h"

static const struct slice absent;

/* The front of s, up to the first of some characters. */
static struct slice until(struct slice s, const char *stops)
{
	size_t n = 0;

	while (n < s.len && (s.p[n] == '\0' || !strchr(stops, s.p[n])))
		n++;
	return slice_head(s, n);
}

/* What stands behind the scheme and its colon. */
static struct slice after_scheme(struct slice uri)
{
	struct slice scheme = until(uri, ":");

	return scheme.len < uri.len ? slice_from(uri, scheme.len + 1) : absent;
}

static struct slice or_absent(struct slice s)
{
	return s.len ? s : absent;
}

static bool is_urn(struct slice uri)
{
	return slice_starts_nocase(uri, SLICE("urn:"));
}

static bool is_tel(struct slice uri)
{
	return slice_starts_nocase(uri, SLICE("tel:"));
}

struct slice sip_uri_user(struct slice uri)
{
	struct slice rest = after_scheme(uri);
	struct slice userinfo = until(rest, "@");

	if (is_urn(uri))
		return absent;
	if (is_tel(uri))
		return or_absent(until(rest, ";"));
	return userinfo.len < rest.len ? or_absent(until(userinfo, ":")) : absent;
}

struct slice sip_uri_domain(struct slice uri)
{
	struct slice rest = after_scheme(uri);
	struct slice userinfo = until(rest, "@");

	if (is_urn(uri) || is_tel(uri))
		return absent;
	if (userinfo.len < rest.len)
		rest = slice_from(rest, userinfo.len + 1);
	if (rest.len && rest.p[0] == '[') {
		struct slice host = until(rest, "]");

		return host.len < rest.len ? slice_head(rest, host.len + 1) : absent;
	}
	return or_absent(until(rest, ":;?>"));
}
