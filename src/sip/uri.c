#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/url.h>

#include "sip/priv.h"

static bool is_safe(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.p[i] <= ' ' || text.p[i] == 0x7f
		    || strchr("<>\"", text.p[i]))
			return false;
	return text.len > 0 && text.len <= SIP_URI_MAX;
}

char *sip_uri_clean(struct slice text)
{
	char *parsed = NULL, *clean = NULL;
	url_t url;
	isize_t len;

	if (!is_safe(text) || !(parsed = slice_dup(text)))
		return NULL;
	if (url_d(&url, parsed) < 0)
		goto out;
	/* Sofia 1.12 reads past the end of a target with headers, and would put them into the
	 * request. */
	url.url_headers = NULL;
	if (url.url_type != url_tel
	    && ((url.url_type != url_sip && url.url_type != url_sips) || !url.url_host
		|| !*url.url_host))
		goto out;
	len = url_e(NULL, 0, &url);
	if (len <= 0 || !(clean = malloc((size_t)len + 1)))
		goto out;
	url_e(clean, len + 1, &url);
out:
	free(parsed);
	return clean;
}

char *sip_uri_in_angles(struct slice text)
{
	char *clean = sip_uri_clean(text), *angled = NULL;

	if (clean && asprintf(&angled, "<%s>", clean) < 0)
		angled = NULL;
	free(clean);
	return angled;
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

	if (url->url_type == url_sips)
		return SIP_TLS;
	if (url->url_params)
		url_param(url->url_params, "transport", name, sizeof(name));
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
	if (url_d(&url, text) < 0 || !url.url_host)
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

	free(clean);
	return err ? err : hop->transports ? 0 : -EINVAL;
}
