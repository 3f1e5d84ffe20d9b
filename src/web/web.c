#include "web/web.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/log.h>
#include <msrpd/stats.h>

#include "net/net.h"
#include "net/transport.h"
#include "web/metrics.h"
#include "web/priv.h"

/* --- who asks --- */

/* The last that a chain of proxies has added is what ours has seen. */
static struct slice last_of(struct slice list)
{
	struct slice item = {NULL, 0};

	while (slice_cut(&list, ',', &item)) {
	}
	return slice_trim(item);
}

void web_client(const struct web *web, const struct http_conn *conn,
    const struct http_request *request, union addr *addr)
{
	union addr told;

	http_conn_peer(conn, addr);
	if (!request->forwarded_for.p || !prefixes_have(&web->forwarded, addr)
	    || addr_parse_host(&told, last_of(request->forwarded_for)) < 0)
		return;
	addr_set_port(&told, addr_port(addr)); /* the proxy's: it is not told */
	*addr = told;
}

bool web_origin_is_welcome(const struct web *web, const struct http_request *request)
{
	const struct setting_list *origins = &web->settings->origins;
	struct slice origin = request->origin;
	const char *mark = origin.p ? memmem(origin.p, origin.len, "://", 3) : NULL;

	if (!origin.p)
		return true;
	/* Its scheme may be the proxy's in front. */
	if (mark
	    && slice_equal_nocase(slice_from(origin, (size_t)(mark + 3 - origin.p)), request->host))
		return true;
	for (size_t i = 0; i < origins->count; i++) {
		struct slice known = slice_of(((char *const *)origins->items)[i]);

		if (slice_equal(known, SLICE("*")) || slice_equal_nocase(known, origin))
			return true;
	}
	return false;
}

/* --- what is there --- */

static void on_metrics(struct web *web, struct http_conn *conn, const struct http_request *request)
{
	union addr client;

	web_client(web, conn, request, &client);
	if (!prefixes_have(&web->metrics, &client))
		http_refuse(conn, 404, NULL);
	else if (!request->get)
		http_refuse(conn, 405, "Allow: GET, HEAD\r\n");
	else
		web_metrics_answer(conn, web->env.stats, web->env.started_ms);
}

static void take_websocket(struct web *web, struct http_conn *conn,
    const struct http_request *request, const struct net_listener *to)
{
	union addr client;

	web_client(web, conn, request, &client);
	if (!to)
		http_refuse(conn, 404, NULL);
	else if (!web_origin_is_welcome(web, request))
		http_refuse(conn, 403, NULL);
	else
		http_upgrade(conn, to, to->arg, &client);
}

static void on_msrp(struct web *web, struct http_conn *conn, const struct http_request *request)
{
	take_websocket(web, conn, request, web->msrp);
}

static void on_sip(struct web *web, struct http_conn *conn, const struct http_request *request)
{
	take_websocket(web, conn, request, web->sip[http_conn_is_secure(conn)]);
}

/* takes_body as of http_server; NULL: none but small ones. */
static const struct page {
	const char *path;
	void (*answer)(struct web *web, struct http_conn *conn, const struct http_request *request);
	bool (*takes_body)(const struct web *web, const struct http_request *request);
} pages[] = {
    {"/api", web_api, web_api_takes_body},
    {"/api/token", web_api_token, NULL},
    {"/msrp", on_msrp, NULL},
    {"/sip", on_sip, NULL},
    {"/metrics", on_metrics, NULL},
};

static const struct page *find_page(struct slice path)
{
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		if (slice_equal(path, slice_of(pages[i].path)))
			return &pages[i];
	return NULL;
}

static bool takes_body(const struct http_request *request, void *arg)
{
	const struct page *page = find_page(request->path);

	return page && page->takes_body && page->takes_body(arg, request);
}

static void on_request(struct http_conn *conn, const struct http_request *request, void *arg)
{
	const struct page *page = find_page(request->path);
	struct web *web = arg;

	if (page)
		page->answer(web, conn, request);
	else if (web->files.fd >= 0)
		web_files_answer(&web->files, conn, request);
	else
		http_refuse(conn, 404, NULL);
}

/* --- life --- */

static struct http_limits limits_of(const struct web_settings *s)
{
	return (struct http_limits){
	    .max_connections = s->max_connections,
	    .max_body = s->max_request,
	    .request_timeout_ms = s->request_timeout_ms,
	    .idle_timeout_ms = s->idle_timeout_ms,
	};
}

static int open_listener(struct web *web, const char *text, struct reason *why)
{
	struct web_listener *l = calloc(1, sizeof(*l));
	char addr[ADDR_TEXT_SIZE];
	bool secure;
	int err;

	if (!l)
		return reason_set(why, -ENOMEM, "out of memory");
	STAILQ_INSERT_TAIL(&web->listeners, l, next);
	if (web_listen_parse(slice_of(text), &secure, &l->socket.addr) < 0)
		return reason_set(why, -EINVAL, "%s: not http[s]://ADDRESS:PORT", text);
	if (secure && !net_tls_can_accept(web->http.protocol.tls))
		return reason_set(why, -EINVAL, "%s: needs web.tls.certificate", text);
	l->socket.protocol = &web->http.protocol;
	l->socket.transport = secure ? &net_tls : &net_tcp;
	l->socket.arg = &web->http;
	l->socket.name = text;
	err = net_listener_open(&l->socket);
	if (err < 0)
		return reason_set(why, err, "%s: %s", text, strerror(-err));
	snprintf(l->url, sizeof(l->url), "http%s://%s", secure ? "s" : "",
	    addr_print(&l->socket.addr, addr));
	l->socket.name = l->url;
	return 0;
}

static int open_listeners(struct web *web, struct reason *why)
{
	const struct setting_list *list = &web->settings->listen;
	int err = 0;

	for (size_t i = 0; err == 0 && i < list->count; i++)
		err = open_listener(web, ((char *const *)list->items)[i], why);
	return err;
}

static int take_prefixes(struct web *web, const struct web_settings *settings)
{
	int err = prefixes_set(&web->metrics, &settings->metrics);

	return err < 0 ? err : prefixes_set(&web->forwarded, &settings->forwarded);
}

#define NUMBER(field) offsetof(struct web_count, field)

static const struct stats_row numbers[] = {
    {.name = "posts", .help = "requests of users by POST", .offset = NUMBER(posts)},
    {.name = "tokens", .help = "tokens given for a password", .offset = NUMBER(tokens)},
    {.name = "bad_passwords",
	.help = "requests for a token with wrong credentials",
	.offset = NUMBER(bad_passwords)},
    {.name = "bad_tokens",
	.help = "requests to the API without a good token",
	.offset = NUMBER(bad_tokens)},
    {0},
};

static int make_servers(struct web *web, struct reason *why)
{
	const struct web_settings *s = web->settings;
	struct http_limits limits = limits_of(s);
	struct net_tls_contexts *tls = NULL;
	int err = net_tls_contexts_new(&tls, &s->tls, why);

	if (err < 0)
		return err;
	web->http.protocol.tls = tls;
	reason_set(why, -ENOMEM, "out of memory");
	err = stats_register(web->env.stats, "api", numbers, &web->count);
	if (err == 0)
		err = http_server_init(&web->http, &limits, web->env.stats);
	if (err == 0)
		err = web_sockets_init(&web->sockets, &web->env, s);
	if (err == 0)
		err = web_hooks_init(&web->hooks, net_base(web->env.net), web->env.bus,
		    web->env.stats);
	if (err == 0)
		err = take_prefixes(web, s);
	return err == 0 ? web_hooks_configure(&web->hooks, &s->webhooks, why) : err;
}

int web_new(struct web **webp, const struct web_env *env, const struct web_settings *settings,
    struct reason *why)
{
	struct web *web = calloc(1, sizeof(*web));
	int err;

	*webp = NULL;
	if (!web)
		return reason_set(why, -ENOMEM, "out of memory");
	web->env = *env;
	web->settings = settings;
	web->files.fd = -1;
	web->http.protocol.net = env->net;
	web->http.protocol.name = "web";
	web->http.takes_body = takes_body;
	web->http.handle = on_request;
	web->http.arg = web;
	STAILQ_INIT(&web->listeners);
	err = make_servers(web, why);
	if (err == 0 && settings->root && (err = web_files_open(&web->files, settings->root)) < 0)
		reason_set(why, err, "root: %s: %s", settings->root, strerror(-err));
	if (err == 0)
		err = open_listeners(web, why);
	if (err < 0) {
		web_free(web);
		return err;
	}
	*webp = web;
	return 0;
}

void web_free(struct web *web)
{
	struct web_listener *l;

	if (!web)
		return;
	while ((l = STAILQ_FIRST(&web->listeners))) {
		STAILQ_REMOVE_HEAD(&web->listeners, next);
		net_listener_close(&l->socket);
		free(l);
	}
	web_hooks_fini(&web->hooks);
	web_sockets_fini(&web->sockets);
	http_server_fini(&web->http);
	net_tls_contexts_free(web->http.protocol.tls);
	web_files_close(&web->files);
	prefixes_fini(&web->metrics);
	prefixes_fini(&web->forwarded);
	free(web);
}

int web_reload(struct web *web, const struct web_settings *settings, struct reason *why)
{
	struct net_tls_contexts *tls = NULL, *before;
	struct http_limits limits = limits_of(settings);
	int err = web ? net_tls_contexts_new(&tls, &settings->tls, why) : 0;

	if (!web || err < 0)
		return err;
	before = web->http.protocol.tls;
	if (net_tls_can_accept(before) && !net_tls_can_accept(tls))
		err = reason_set(why, -EINVAL, "web.tls: the certificate of a listener is gone");
	else if ((err = take_prefixes(web, settings)) < 0)
		reason_set(why, err, "out of memory");
	if (err == 0)
		err = web_hooks_configure(&web->hooks, &settings->webhooks, why);
	if (err < 0) {
		net_tls_contexts_free(tls);
		return err;
	}
	web->settings = settings;
	http_server_reload(&web->http, &limits, tls);
	web_sockets_reload(&web->sockets, settings);
	net_tls_contexts_free(before);
	return 0;
}

void web_each_listener(const struct web *web, void (*fn)(const char *url, void *arg), void *arg)
{
	const struct web_listener *l;

	if (web)
		STAILQ_FOREACH(l, &web->listeners, next)
			fn(l->url, arg);
}

static bool place_of(const struct web *web, const struct web_listener *l, struct web_place *place)
{
	if (!l)
		return false;
	*place = (struct web_place){
	    .secure = l->socket.transport->encrypted,
	    .addr = l->socket.addr,
	};
	if (web->settings->advertise)
		web_advertise_parse(slice_of(web->settings->advertise), place);
	return true;
}

bool web_place(const struct web *web, struct web_place *place)
{
	return place_of(web, STAILQ_FIRST(&web->listeners), place);
}

bool web_place_by(const struct web *web, bool encrypted, struct web_place *place)
{
	const struct web_listener *l = STAILQ_FIRST(&web->listeners);

	while (l && l->socket.transport->encrypted != encrypted)
		l = STAILQ_NEXT(l, next);
	return place_of(web, l, place);
}

void web_use_rpc(struct web *web, struct rpc *rpc)
{
	web->rpc = web->sockets.rpc = rpc;
}

void web_use_msrp(struct web *web, const struct net_listener *listener)
{
	web->msrp = listener;
}

void web_use_sip(struct web *web, bool encrypted, const struct net_listener *listener)
{
	web->sip[encrypted] = listener;
}
