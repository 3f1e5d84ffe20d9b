#include "checks.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "config.h"
#include "msrp/listener.h"
#include "settings.h"

static const void *value_of(const struct config *cfg, const char *key)
{
	const void *value = NULL;
	const struct setting *row = settings_find(config_rows(cfg), key, cfg, &value);

	assert(row);
	(void)row;
	return value;
}

static const char *text_at(const struct setting_list *list, size_t i)
{
	return ((char *const *)list->items)[i];
}

/* --- sizes --- */

/* A size that should be so many halves of another one at least. */
static const struct proportion {
	const char	*key;
	uint64_t	halves;
	const char	*of;
} proportions[] = {
	/* base64 makes a body a third longer, and the envelope comes on top */
	{"control.max_request", 3, "msrp.max_message_size"},
	/* one answer and one event of the largest kind */
	{"control.max_backlog", 4, "control.max_request"},
};

static void warn_of_proportions(const struct config *cfg, struct config_load *load)
{
	for (size_t i = 0; i < sizeof(proportions) / sizeof(proportions[0]); i++) {
		const struct proportion *p = &proportions[i];
		uint64_t size = *(const uint64_t *)value_of(cfg, p->key);
		uint64_t of = *(const uint64_t *)value_of(cfg, p->of);

		if (size / p->halves < of / 2)
			config_warn(load, p->key, "%s is less than %s times %s", p->key,
			    p->halves == 3 ? "1.5" : "2", p->of);
	}
}

/* --- listeners --- */

static const struct msrp_listen_settings *listen_at(const struct config *cfg, size_t i)
{
	return (const struct msrp_listen_settings *)cfg->msrp.listen.items + i;
}

/* An address that stands for all of them: 0.0.0.0, or :: in whatever spelling. */
static bool is_wildcard(const struct msrp_uri *uri)
{
	char text[INET6_ADDRSTRLEN];
	struct in_addr v4;
	struct in6_addr v6;

	snprintf(text, sizeof(text), "%.*s", SLICE_ARG(uri->host));
	if (inet_pton(AF_INET, text, &v4) == 1)
		return v4.s_addr == INADDR_ANY;
	return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6);
}

/* A listener's HOST[:PORT] as a URI over buf; the port is 0 if it has none. */
static int parse_advertise(struct msrp_uri *uri, char buf[MSRP_LISTEN_URI_MAX],
    const char *advertise, bool secure)
{
	int n = snprintf(buf, MSRP_LISTEN_URI_MAX, "msrp%s://%s;tcp", secure ? "s" : "", advertise);

	if (n < 0 || n >= MSRP_LISTEN_URI_MAX || msrp_uri_parse(uri, slice_of(buf)) != n
	    || uri->session_id.p || uri->userinfo.p)
		return -EINVAL;
	return 0;
}

/* Does what a listener advertises stand for the URI?  port: its own, 0 for any. */
static bool advertised_as(const char *advertise, uint16_t port, const struct msrp_uri *uri)
{
	struct msrp_uri own;
	char buf[MSRP_LISTEN_URI_MAX];

	if (parse_advertise(&own, buf, advertise, uri->secure) < 0)
		return false;
	if (own.port == 0)
		own.port = port ? port : uri->port;
	return msrp_uri_same_server(&own, uri);
}

/* uri: of the config, its port put in */
static bool listener_serves(const struct msrp_listen_settings *listen, const struct msrp_uri *uri)
{
	struct msrp_uri own;
	char buf[MSRP_LISTEN_URI_MAX];
	uint16_t port;

	if (msrp_listen_uri_parse(&own, buf, slice_of(listen->uri)) < 0
	    || own.secure != uri->secure)
		return false;
	port = own.port;
	if (listen->advertise && advertised_as(listen->advertise, port, uri))
		return true;
	/* Port 0 is any free port, a wildcard any address. */
	if (port == 0)
		own.port = uri->port;
	return is_wildcard(&own) ? own.port == uri->port : msrp_uri_same_server(&own, uri);
}

static int check_own_uri(const struct config *cfg, struct config_load *load, const char *key,
    const char *text)
{
	struct msrp_uri uri;
	char buf[MSRP_LISTEN_URI_MAX];

	if (msrp_listen_uri_parse(&uri, buf, slice_of(text)) < 0)
		return config_fail(load, key, "%.128s is not an MSRP URI without a session id", text);
	for (size_t i = 0; i < cfg->msrp.listen.count; i++)
		if (listener_serves(listen_at(cfg, i), &uri))
			return 0;
	return config_fail(load, key, "no listener of msrp.listen matches %.128s", text);
}

static const char *const own_uris[] = {"relay.my_uri"};

enum { OWN_URIS = sizeof(own_uris) / sizeof(own_uris[0]) };

static int check_own_uris(const struct config *cfg, struct config_load *load, const char *key)
{
	const struct setting_list *list = value_of(cfg, key);
	char item[64];
	int err = 0;

	for (size_t i = 0; err == 0 && i < list->count; i++) {
		snprintf(item, sizeof(item), "%s.%zu", key, i);
		err = check_own_uri(cfg, load, item, text_at(list, i));
	}
	return err;
}

static bool has_own_uri(const struct config *cfg, const struct msrp_listen_settings *listen)
{
	for (size_t k = 0; k < OWN_URIS; k++) {
		const struct setting_list *list = value_of(cfg, own_uris[k]);

		for (size_t i = 0; i < list->count; i++) {
			struct msrp_uri uri;
			char buf[MSRP_LISTEN_URI_MAX];

			if (msrp_listen_uri_parse(&uri, buf, slice_of(text_at(list, i))) == 0
			    && listener_serves(listen, &uri))
				return true;
		}
	}
	return false;
}

static int check_name(const struct config *cfg, struct config_load *load, size_t i)
{
	const struct msrp_listen_settings *listen = listen_at(cfg, i);
	char key[64];

	snprintf(key, sizeof(key), "msrp.listen.%zu.name", i);
	for (size_t k = 0; listen->name && k < i; k++)
		if (listen_at(cfg, k)->name && strcmp(listen_at(cfg, k)->name, listen->name) == 0)
			return config_fail(load, key, "two listeners have the name %.64s", listen->name);
	return 0;
}

static int check_advertise(const struct config *cfg, struct config_load *load, size_t i)
{
	const struct msrp_listen_settings *listen = listen_at(cfg, i);
	struct msrp_uri uri;
	char buf[MSRP_LISTEN_URI_MAX], key[64];

	if (!listen->advertise || parse_advertise(&uri, buf, listen->advertise, false) == 0)
		return 0;
	snprintf(key, sizeof(key), "msrp.listen.%zu.advertise", i);
	return config_fail(load, key, "advertise: %.128s is not HOST or HOST:PORT", listen->advertise);
}

static int check_listen_uri(const struct config *cfg, struct config_load *load, size_t i)
{
	const struct msrp_listen_settings *listen = listen_at(cfg, i);
	const struct msrp_tls_settings *tls = &cfg->msrp.tls;
	struct msrp_uri uri;
	char buf[MSRP_LISTEN_URI_MAX], key[64];

	snprintf(key, sizeof(key), "msrp.listen.%zu.uri", i);
	if (msrp_listen_uri_parse(&uri, buf, slice_of(listen->uri)) < 0)
		return config_fail(load, key, "%.128s is not the URI of a listener", listen->uri);
	if (uri.secure && (!tls->certificate || !tls->private_key))
		return config_fail(load, key,
		    "an msrps listener wants msrp.tls.certificate and msrp.tls.private_key");
	/* 0.0.0.0 is no address that a peer could be told. */
	if (is_wildcard(&uri) && !listen->advertise && !has_own_uri(cfg, listen))
		return config_fail(load, key,
		    "a listener on all addresses wants advertise, or a my_uri");
	return 0;
}

static int check_listeners(const struct config *cfg, struct config_load *load)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < cfg->msrp.listen.count; i++) {
		err = check_name(cfg, load, i);
		if (err == 0)
			err = check_advertise(cfg, load, i);
		if (err == 0)
			err = check_listen_uri(cfg, load, i);
	}
	for (size_t k = 0; err == 0 && k < OWN_URIS; k++)
		err = check_own_uris(cfg, load, own_uris[k]);
	return err;
}

int checks_run(const struct config *cfg, struct config_load *load)
{
	int err = check_listeners(cfg, load);

	if (err < 0)
		return err;
	warn_of_proportions(cfg, load);
	if (cfg->relay.allow_plain_auth)
		config_warn(load, "relay.allow_plain_auth",
		    "relay.allow_plain_auth: passwords are checked on connections without TLS, "
		    "which RFC 4976 forbids");
	return 0;
}
