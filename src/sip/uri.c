#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/url.h>

#include <msrpd/hex.h>
#include <msrpd/request.h>

#include "sip/priv.h"

static bool is_safe(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.p[i] <= ' ' || text.p[i] == 0x7f
		    || strchr("<>\"", text.p[i]))
			return false;
	return text.len > 0 && text.len <= SIP_URI_MAX;
}

static bool is_unreserved(int c)
{
	return isalnum(c) || (c && strchr("-_.!~*'()", c)); /* RFC 3261 25.1 */
}

/* The character of an escape, or -1: it is none. */
static int escaped(const char *p, size_t len)
{
	return *p == '%' ? hex_byte((struct slice){p + 1, len - 1}) : -1;
}

/* Would a digit here make an escape of a percent sign that is none? */
static bool is_after_bare_percent(const char *text, size_t len)
{
	return (len >= 1 && text[len - 1] == '%') || (len >= 2 && text[len - 2] == '%');
}

size_t sip_escapes_normalize(char *text, size_t len)
{
	size_t to = 0;

	for (size_t from = 0; from < len; from++) {
		int c = escaped(text + from, len - from);

		if (c < 0) {
			text[to++] = text[from];
		} else if (is_unreserved(c) && !is_after_bare_percent(text, to)) {
			text[to++] = (char)c;
			from += 2;
		} else {
			text[to++] = '%';
			text[to++] = (char)toupper((unsigned char)text[++from]);
			text[to++] = (char)toupper((unsigned char)text[++from]);
		}
	}
	return to;
}

static bool is_ours(const url_t *url, struct slice text)
{
	switch (url->url_type) {
	case url_sip:
	case url_sips:
	case url_im:
	case url_pres:
		return url->url_host && *url->url_host;
	case url_tel:
		return url->url_user && *url->url_user;
	default:
		return slice_starts_nocase(text, SLICE("urn:service:"))
		    && text.len > sizeof("urn:service:") - 1;
	}
}

char *sip_uri_clean(struct slice text)
{
	char *parsed = NULL, *clean = NULL;
	url_t url;

	if (!is_safe(text) || !(parsed = slice_dup(text)))
		return NULL;
	if (url_d(&url, parsed) < 0 || !is_ours(&url, text))
		goto out;
	/*
	 * Sofia 1.12 reads past the end of a target with headers, and would put them into the
	 * request.
	 */
	if (url.url_headers)
		text.len = (size_t)(url.url_headers - 1 - parsed);
	clean = slice_dup(text);
	if (clean)
		clean[sip_escapes_normalize(clean, text.len)] = '\0';
out:
	free(parsed);
	return clean;
}

/* Where the "<" of a name-addr is, behind its name; text.len: it is none. */
static size_t find_angle(struct slice text)
{
	size_t i = 0;

	if (text.len > 0 && text.p[0] == '"')
		for (i = 1; i < text.len && text.p[i] != '"'; i++)
			i += text.p[i] == '\\';
	while (i < text.len && text.p[i] != '<')
		i++;
	return i < text.len ? i : text.len;
}

struct slice sip_address_uri(struct slice address)
{
	struct slice text = slice_trim(address), uri;
	size_t angle = find_angle(text);

	if (angle == text.len)
		return text;
	text = slice_from(text, angle + 1);
	slice_cut(&text, '>', &uri);
	return uri;
}

struct slice sip_address_name(struct slice address)
{
	struct slice text = slice_trim(address), name;
	size_t angle = find_angle(text);

	name = angle < text.len ? slice_trim(slice_head(text, angle)) : (struct slice){0};
	return name.len > 0 ? name : (struct slice){0};
}

/* Between its quotes; what has none is to have nothing that would want an escape. */
static bool is_name(struct slice name)
{
	bool quoted = name.len >= 2 && name.p[0] == '"' && name.p[name.len - 1] == '"';

	if (!slice_is_utf8(name) || name.len > SIP_URI_MAX)
		return false;
	for (size_t i = quoted; i < name.len - quoted; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (c < ' ' || c == 0x7f || c == '"' || (c == '\\' && !quoted))
			return false;
		if (c == '\\' && (++i >= name.len - 1 || (unsigned char)name.p[i] < ' '))
			return false;
	}
	return true;
}

char *sip_url_clean(const url_t *url)
{
	char text[SIP_URI_MAX + 1];
	issize_t len = url_e(text, sizeof(text), url);

	return len > 0 && (size_t)len < sizeof(text)
	    ? sip_uri_clean((struct slice){text, (size_t)len})
	    : NULL;
}

char *sip_contact_clean(const sip_t *sip)
{
	return sip && sip->sip_contact ? sip_url_clean(sip->sip_contact->m_url) : NULL;
}

char *sip_address_clean(struct slice text)
{
	struct slice name = sip_address_name(text), uri = sip_address_uri(text);
	const char *quote = name.len > 0 && name.p[0] == '"' ? "" : "\"";
	char *clean = NULL, *address = NULL;

	text = slice_trim(text);
	if (uri.len < text.len && text.p[text.len - 1] != '>')
		return NULL; /* what follows would be parameters of the header */
	clean = sip_uri_clean(uri);
	if (!clean || !is_name(name))
		goto out;
	if ((name.p ? asprintf(&address, "%s%.*s%s <%s>", quote, SLICE_ARG(name), quote, clean)
		    : asprintf(&address, "<%s>", clean))
	    < 0)
		address = NULL;
out:
	free(clean);
	return address;
}

static void copy_host(char *to, size_t size, const char *host)
{
	size_t len = strlen(host);

	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (len >= size)
		len = size - 1;
	memcpy(to, host, len);
	to[len] = '\0';
}

static unsigned allowed_transports(const url_t *url)
{
	char name[8] = "";

	bool sips = url->url_type == url_sips;

	if (url->url_params)
		url_param(url->url_params, "transport", name, sizeof(name));
	if (strcasecmp(name, "ws") == 0)
		return sips ? SIP_WSS : SIP_WS;
	if (strcasecmp(name, "wss") == 0)
		return SIP_WSS;
	if (sips)
		return SIP_TLS;
	if (!name[0])
		return SIP_UDP | SIP_TCP;
	return strcasecmp(name, "udp") == 0 ? SIP_UDP
	    : strcasecmp(name, "tcp") == 0  ? SIP_TCP
	    : strcasecmp(name, "tls") == 0  ? SIP_TLS
					    : 0;
}

int sip_uri_hop(const char *uri, struct sip_hop *hop)
{
	char text[SIP_URI_MAX + 1], maddr[256] = "";
	url_t url;

	if (strlen(uri) > SIP_URI_MAX)
		return -EINVAL;
	strncpy(text, uri, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	if (url_d(&url, text) < 0 || !url.url_host
	    || (url.url_type != url_sip && url.url_type != url_sips))
		return -EINVAL;
	if (url.url_params)
		url_param(url.url_params, "maddr", maddr, sizeof(maddr));
	copy_host(hop->host, sizeof(hop->host), maddr[0] ? maddr : url.url_host);
	copy_host(hop->port, sizeof(hop->port), url.url_port ? url.url_port : "");
	hop->transports = allowed_transports(&url);
	return 0;
}

int sip_listener_parse(const char *text, struct sip_hop *hop)
{
	char *clean = sip_uri_clean(slice_of(text));
	int err = clean ? sip_uri_hop(clean, hop) : -EINVAL;
	struct slice port;
	uint64_t number;

	free(clean);
	if (err)
		return err;
	port = slice_of(hop->port);
	if (!hop->transports
	    || (port.len > 0 && strcmp(port.p, "*") != 0 && slice_to_u64(port, 65535, &number) < 0))
		return -EINVAL;
	return 0;
}
