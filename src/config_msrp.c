#include "config_msrp.h"

#include <errno.h>
#include <stdio.h>

#include "base/addr.h"
#include "msrp/listener.h"
#include "relay/relay.h"
#include "wire/uri.h"

enum { KEY_SIZE = 64 };

static const struct setting_list *relay_uris(const struct config *cfg)
{
	static const struct setting_list none;
	const struct relay_settings *relay = config_service(cfg, &relay_service);

	return relay ? &relay->my_uri : &none;
}

static const struct msrp_listen_settings *listen_at(const struct config *cfg, size_t i)
{
	return (const struct msrp_listen_settings *)cfg->msrp.listen.items + i;
}

/* A listener on every address, :: in whatever spelling: nobody can be told such an address. */
static bool is_wildcard(const struct msrp_uri *uri)
{
	union addr address;

	return addr_parse_host(&address, uri->host) == 0 && addr_is_any(&address);
}

/* HOST or HOST:PORT, as it stands in an MSRP URI. */
static int parse_advertised(struct msrp_uri *uri, char *buf, size_t size, const char *text)
{
	int n = snprintf(buf, size, "msrp://%s;tcp", text);

	if (n < 0 || (size_t)n >= size || msrp_uri_parse(uri, slice_of(buf)) != n
	    || uri->session_id.p)
		return -EINVAL;
	return 0;
}

/* Port 0 of a listener is any free one, so whatever is said of it. */
static bool same_server(const struct msrp_uri *listener, uint16_t port, const struct msrp_uri *uri)
{
	struct msrp_uri own = *listener;

	own.secure = uri->secure;
	own.port = port ? port : uri->port;
	if (is_wildcard(&own))
		own.host = uri->host;
	return msrp_uri_same_server(&own, uri);
}

/* Does a URI name this listener, by scheme, transport and port, and by address or advertise? */
static bool names_listener(const struct msrp_uri *uri, const struct msrp_listen_settings *listener)
{
	char buf[MSRP_LISTEN_URI_MAX], told_buf[MSRP_LISTEN_URI_MAX];
	struct msrp_uri own, told;

	if (msrp_listen_uri_parse(&own, buf, slice_of(listener->uri)) < 0
	    || own.secure != uri->secure)
		return false;
	if (same_server(&own, own.port, uri))
		return true;
	if (!listener->advertise
	    || parse_advertised(&told, told_buf, sizeof(told_buf), listener->advertise) < 0)
		return false;
	told.transport = own.transport; /* which advertise does not tell */
	return same_server(&told, told.port ? told.port : own.port, uri);
}

static bool any_names(const struct setting_list *uris, const struct msrp_listen_settings *listener)
{
	char buf[MSRP_LISTEN_URI_MAX];
	struct msrp_uri uri;

	for (size_t i = 0; i < uris->count; i++)
		if (msrp_listen_uri_parse(&uri, buf, slice_of(((char *const *)uris->items)[i])) == 0
		    && names_listener(&uri, listener))
			return true;
	return false;
}

static bool name_is_taken(const struct config *cfg, size_t i)
{
	const char *name = listen_at(cfg, i)->name;

	for (size_t k = 0; name && k < i; k++)
		if (listen_at(cfg, k)->name && strcmp(listen_at(cfg, k)->name, name) == 0)
			return true;
	return false;
}

static int check_listener(const struct config *cfg, struct config_load *load, size_t i)
{
	const struct msrp_listen_settings *listener = listen_at(cfg, i);
	char key[KEY_SIZE], buf[MSRP_LISTEN_URI_MAX];
	struct msrp_uri uri, told;

	if (name_is_taken(cfg, i)) {
		snprintf(key, sizeof(key), "msrp.listen.%zu.name", i);
		return config_fail(load, key, "two listeners are named %.64s", listener->name);
	}
	snprintf(key, sizeof(key), "msrp.listen.%zu", i);
	if (!listener->uri || msrp_listen_uri_parse(&uri, buf, slice_of(listener->uri)) < 0)
		return config_fail(load, key, "a listener needs a uri");
	if (uri.secure && !cfg->msrp.tls.certificate)
		return config_fail(load, key, "an msrps listener needs msrp.tls.certificate");
	if (is_wildcard(&uri) && !listener->advertise && !any_names(&cfg->ua.my_uri, listener)
	    && !any_names(relay_uris(cfg), listener))
		return config_fail(load, key,
		    "a listener on every address needs advertise, or a my_uri that names it");
	if (listener->advertise
	    && parse_advertised(&told, buf, sizeof(buf), listener->advertise) < 0) {
		snprintf(key, sizeof(key), "msrp.listen.%zu.advertise", i);
		return config_fail(load, key, "not HOST or HOST:PORT");
	}
	return 0;
}

static int check_my_uri(const struct config *cfg, struct config_load *load, const char *key,
    const char *text)
{
	char buf[MSRP_LISTEN_URI_MAX];
	struct msrp_uri uri;

	if (msrp_listen_uri_parse(&uri, buf, slice_of(text)) < 0)
		return config_fail(load, key, "not msrp[s]://HOST[:PORT];tcp without a session id");
	for (size_t i = 0; i < cfg->msrp.listen.count; i++)
		if (names_listener(&uri, listen_at(cfg, i)))
			return 0;
	return config_fail(load, key,
	    "no listener of msrp.listen has this scheme, port and address");
}

static int check_my_uris(const struct config *cfg, struct config_load *load, const char *section,
    const struct setting_list *uris)
{
	char key[KEY_SIZE];

	for (size_t i = 0; i < uris->count; i++) {
		int err;

		snprintf(key, sizeof(key), "%s.my_uri.%zu", section, i);
		err = check_my_uri(cfg, load, key, ((char *const *)uris->items)[i]);
		if (err < 0)
			return err;
	}
	return 0;
}

int config_check_msrp(const struct config *cfg, struct config_load *load, void *arg)
{
	char buf[MSRP_LISTEN_URI_MAX];
	struct msrp_uri uri;
	int err = 0;

	(void)arg;
	for (size_t i = 0; i < cfg->msrp.listen.count && err == 0; i++)
		err = check_listener(cfg, load, i);
	if (err == 0)
		err = check_my_uris(cfg, load, "ua", &cfg->ua.my_uri);
	if (err == 0)
		err = check_my_uris(cfg, load, "relay", relay_uris(cfg));
	if (err == 0 && cfg->ua.relay_uri
	    && (msrp_listen_uri_parse(&uri, buf, slice_of(cfg->ua.relay_uri)) < 0 || !uri.port))
		err = config_fail(load, "ua.relay_uri",
		    "not msrp[s]://HOST[:PORT];tcp without a session id");
	return err;
}
