#include <msrpd/sip_uri.h>

#include <msrpd/buffer.h>

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

/* --- parameters --- */

/* Cut the front off, up to the first of some characters. */
static struct slice take(struct slice *rest, const char *stops)
{
	struct slice front = until(*rest, stops);

	*rest = slice_from(*rest, front.len);
	return front;
}

static struct slice take_quoted(struct slice *rest)
{
	struct slice text = slice_from(*rest, 1);
	size_t len = 0;

	while (len < text.len && text.p[len] != '"')
		len += text.p[len] == '\\' && len + 1 < text.len ? 2 : 1;
	*rest = slice_from(text, len);
	take(rest, ";");
	return slice_head(text, len);
}

/* Of ";name=value;name", or what is left of it. */
static bool next_param(struct slice *rest, struct slice *name, struct slice *value)
{
	take(rest, ";");
	if (rest->len == 0)
		return false;
	*rest = slice_from(*rest, 1);
	*name = slice_trim(take(rest, "=;"));
	*value = SLICE("");
	if (rest->len == 0 || rest->p[0] == ';')
		return true;
	*rest = slice_from(*rest, 1);
	while (rest->len && rest->p[0] == ' ')
		*rest = slice_from(*rest, 1);
	*value = rest->len && rest->p[0] == '"' ? take_quoted(rest) : slice_trim(take(rest, ";"));
	return true;
}

static struct slice find_param(struct slice params, struct slice name)
{
	struct slice found, value;

	while (next_param(&params, &found, &value))
		if (slice_equal_nocase(found, name))
			return value;
	return absent;
}

struct slice sip_address_params(struct slice address)
{
	struct slice uri = sip_address_uri(address), rest = slice_trim(address);

	if (uri.p == rest.p) /* without <> all of it is the URI's */
		return absent;
	return slice_from(rest, (size_t)(uri.p - rest.p) + uri.len);
}

struct slice sip_address_param(struct slice address, struct slice name)
{
	return find_param(sip_address_params(address), name);
}

bool sip_param_cut(struct slice *rest, struct slice *name, struct slice *text)
{
	struct slice value;

	take(rest, ";");
	*text = *rest;
	if (!next_param(rest, name, &value))
		return false;
	text->len -= rest->len;
	return true;
}

/* --- comparison --- */

/* Those that make another URI where only one has them. */
static bool must_be_in_both(struct slice name)
{
	static const char *const names[] = {"transport", "user", "ttl", "method", "maddr", NULL};

	for (const char *const *n = names; *n; n++)
		if (slice_equal_nocase(slice_of(*n), name))
			return true;
	return false;
}

/* Do the parameters of a allow those of b? */
static bool allows(struct slice a, struct slice b)
{
	struct slice name, value, other;

	while (next_param(&a, &name, &value)) {
		other = find_param(b, name);
		if (other.p ? !slice_equal_nocase(other, value) : must_be_in_both(name))
			return false;
	}
	return true;
}

struct parts {
	struct slice scheme, userinfo, host, params;
};

static struct parts split(struct slice uri)
{
	struct parts parts = {.scheme = until(uri, ":")};
	struct slice rest = after_scheme(uri), userinfo = until(rest, "@");

	if (userinfo.len < rest.len) {
		parts.userinfo = userinfo;
		rest = slice_from(rest, userinfo.len + 1);
	}
	rest = until(rest, "?");
	parts.host = take(&rest, ";");
	parts.params = rest;
	return parts;
}

void sip_uri_write_plain(struct buffer *w, struct slice uri, bool dialled)
{
	struct slice rest = after_scheme(uri),
		     value = find_param(split(uri).params, SLICE("transport"));

	buffer_add(w, SLICE("sip:"));
	if (dialled && value.p) {
		buffer_add(w, slice_head(rest, (size_t)(value.p - rest.p)));
		buffer_add(w, SLICE("tls"));
		rest = slice_from(rest, (size_t)(value.p - rest.p) + value.len);
	}
	buffer_add(w, rest);
	if (dialled && !value.p)
		buffer_add(w, SLICE(";transport=tls"));
}

bool sip_uri_has_param(struct slice uri, struct slice name)
{
	return find_param(split(uri).params, name).p;
}

bool sip_uri_same(struct slice a, struct slice b)
{
	struct parts x = split(a), y = split(b);

	/* Also one that is none, as it has a parameter twice, is itself. */
	return slice_equal(a, b)
	    || (slice_equal_nocase(x.scheme, y.scheme) && slice_equal(x.userinfo, y.userinfo)
		&& slice_equal_nocase(x.host, y.host) && allows(x.params, y.params)
		&& allows(y.params, x.params));
}
