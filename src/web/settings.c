#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <event2/http.h>

#include "net/upgrade.h"
#include "web/priv.h"

enum { SECRET_MIN = 16 };

int web_listen_parse(struct slice text, bool *securep, union addr *addr)
{
	static const struct slice schemes[] = {{"http://", 7}, {"https://", 8}};

	for (size_t i = 0; i < 2; i++) {
		if (!slice_starts_nocase(text, schemes[i]))
			continue;
		*securep = i == 1;
		return addr_parse(addr, slice_from(text, schemes[i].len));
	}
	return -EINVAL;
}

int web_advertise_parse(struct slice text, struct web_place *place)
{
	struct evhttp_uri *uri = NULL;
	char *copy = slice_dup(text);
	const char *scheme, *host;
	int err = -EINVAL;

	if (copy)
		uri = evhttp_uri_parse(copy);
	scheme = uri ? evhttp_uri_get_scheme(uri) : NULL;
	host = uri ? evhttp_uri_get_host(uri) : NULL;
	if (host && *host && scheme && !evhttp_uri_get_userinfo(uri)
	    && (strcasecmp(scheme, "https") == 0 || strcasecmp(scheme, "http") == 0)
	    && strlen(evhttp_uri_get_path(uri)) == 0 && !evhttp_uri_get_query(uri)) {
		place->secure = strcasecmp(scheme, "https") == 0;
		place->host = (struct slice){text.p + strlen(scheme) + 3, strlen(host)};
		place->port = evhttp_uri_get_port(uri) > 0 ? (uint16_t)evhttp_uri_get_port(uri)
		    : place->secure                        ? 443
							   : 80;
		err = 0;
	}
	if (uri)
		evhttp_uri_free(uri);
	free(copy);
	return err;
}

static int check_advertise(const void *value, struct reason *why)
{
	struct web_place place;

	if (web_advertise_parse(slice_of(*(char *const *)value), &place) == 0)
		return 0;
	return reason_set(why, -EINVAL, "is not http[s]://HOST[:PORT]");
}

static int check_listen(const void *value, struct reason *why)
{
	union addr addr;
	bool secure;

	if (web_listen_parse(slice_of(*(char *const *)value), &secure, &addr) == 0)
		return 0;
	return reason_set(why, -EINVAL, "is not http[s]://ADDRESS:PORT");
}

static int check_root(const void *value, struct reason *why)
{
	return **(char *const *)value == '/' ? 0
					     : reason_set(why, -EINVAL, "is not an absolute path");
}

static int check_secret(const void *value, struct reason *why)
{
	return strlen(*(char *const *)value) >= SECRET_MIN
	    ? 0
	    : reason_set(why, -EINVAL, "is shorter than 16 characters");
}

#define OF(field) offsetof(struct web_settings, field)

const struct setting web_settings_rows[] = {
    {.name = "listen",
	.type = SETTING_TEXTS,
	.offset = OF(listen),
	.flags = SETTING_FIXED,
	.check = check_listen,
	.help = "Where browsers and web services come in: http://ADDRESS:PORT or https://. Port 0 "
		"is any free one. Absent: nowhere."},
    {.name = "tls",
	.type = SETTING_GROUP,
	.offset = OF(tls),
	.group = net_tls_settings_rows,
	.check = net_tls_settings_check,
	.help = "TLS of https."},
    {.name = "advertise",
	.type = SETTING_TEXT,
	.offset = OF(advertise),
	.flags = SETTING_FIXED,
	.check = check_advertise,
	.help = "http[s]://HOST[:PORT] by which browsers reach the port, through a proxy say; MSRP "
		"sessions over /msrp say so in their URIs. Default: the first address of listen."},
    {.name = "msrp",
	.type = SETTING_BOOL,
	.offset = OF(msrp),
	.preset = "true",
	.flags = SETTING_FIXED,
	.help = "Whether there is /msrp, for MSRP over WebSocket (RFC 7977)."},
    {.name = "sip",
	.type = SETTING_BOOL,
	.offset = OF(sip),
	.preset = "true",
	.flags = SETTING_FIXED,
	.help = "Whether there is /sip, for SIP over WebSocket (RFC 7118), where SIP is listened "
		"on at all."},
    {.name = "root",
	.type = SETTING_TEXT,
	.offset = OF(root),
	.flags = SETTING_FIXED,
	.check = check_root,
	.help = "Directory of the files that are served; absent: none are. Links in it and hidden "
		"files are not."},
    {.name = "origins",
	.type = SETTING_TEXTS,
	.offset = OF(origins),
	.check = upgrade_check_origin,
	.help =
	    "Pages of other hosts that may use /api and the WebSockets: https://HOST[:PORT], or "
	    "* for any."},
    {.name = "metrics",
	.type = SETTING_TEXTS,
	.offset = OF(metrics),
	.check = prefixes_check,
	.help = "Addresses and prefixes from which /metrics may be read; absent: from none."},
    {.name = "forwarded",
	.type = SETTING_TEXTS,
	.offset = OF(forwarded),
	.check = prefixes_check,
	.help =
	    "Addresses and prefixes of HTTP proxies in front whose X-Forwarded-For is believed: "
	    "its last address is the client's then, at /sip and /msrp as well."},
    {.name = "api_token_secret",
	.type = SETTING_SECRET,
	.offset = OF(api_token_secret),
	.check = check_secret,
	.help = "Signs the tokens of the API; another one makes all of them void. Absent: there is "
		"no API."},
    {.name = "api_token_lifetime",
	.type = SETTING_DURATION,
	.offset = OF(api_token_lifetime_ms),
	.preset = "12h",
	.min = 1000,
	.help = "How long a token of POST /api/token is good."},
    {.name = "webhooks",
	.type = SETTING_LIST,
	.offset = OF(webhooks),
	.group = web_hook_rows,
	.item_size = sizeof(struct web_hook_settings),
	.help = "Where events are posted to, one a request."},
    {.name = "max_connections",
	.type = SETTING_NUMBER,
	.offset = OF(max_connections),
	.preset = "4096",
	.min = 1,
	.max = 1 << 20,
	.help = "Connections by HTTP, and as many WebSockets of the API; one more is closed at "
		"once, or answered 503."},
    {.name = "max_request",
	.type = SETTING_SIZE,
	.offset = OF(max_request),
	.preset = "1MiB",
	.min = 1024,
	.max = 1 << 30,
	.help = "Longest body of a request, and longest message on a WebSocket of the API."},
    {.name = "max_backlog",
	.type = SETTING_SIZE,
	.offset = OF(max_backlog),
	.preset = "4MiB",
	.min = 1024,
	.max = UINT64_C(1) << 34,
	.help = "Unread events of a WebSocket of the API; one that has more is disconnected."},
    {.name = "request_timeout",
	.type = SETTING_DURATION,
	.offset = OF(request_timeout_ms),
	.preset = "20s",
	.min = 100,
	.help =
	    "How long a request, and a message on a WebSocket of the API, may take to come, from "
	    "its first byte to its last."},
    {.name = "idle_timeout",
	.type = SETTING_DURATION,
	.offset = OF(idle_timeout_ms),
	.preset = "75s",
	.min = 100,
	.help = "How long a connection is kept between two requests."},
    {0},
};

static bool wants_tls(const struct web_settings *s)
{
	union addr addr;
	bool secure = false;

	for (size_t i = 0; i < s->listen.count && !secure; i++)
		web_listen_parse(slice_of(((char *const *)s->listen.items)[i]), &secure, &addr);
	return secure;
}

/* Nobody can be told such an address. */
static bool is_wildcard(const struct web_settings *s)
{
	union addr addr;
	bool secure;

	return s->listen.count
	    && web_listen_parse(slice_of(*(char *const *)s->listen.items), &secure, &addr) == 0
	    && addr_is_any(&addr);
}

int web_settings_check(const void *settings, struct reason *why)
{
	const struct web_settings *s = settings;

	if (!s->tls.certificate != !s->tls.private_key)
		return reason_set(why, -EINVAL,
		    "wants certificate and private_key of tls together");
	if (s->msrp && !s->advertise && is_wildcard(s))
		return reason_set(why, -EINVAL,
		    "wants advertise, as it listens on every address, or msrp: false");
	if (wants_tls(s) && !s->tls.certificate)
		return reason_set(why, -EINVAL, "wants tls.certificate for https");
	return 0;
}
