/* What the files of web/ share among themselves. */
#pragma once

#include <sys/queue.h>

#include "net/listener.h"
#include "web/files.h"
#include "web/hooks.h"
#include "web/http.h"
#include "web/sockets.h"
#include "web/web.h"

/** One address that is listened on. */
struct web_listener {
	STAILQ_ENTRY(web_listener) next;
	struct net_listener socket;
	char url[80];
};

/** What is counted beside HTTP. */
struct web_count {
	uint64_t *posts, *tokens, *bad_passwords, *bad_tokens;
};

struct web {
	struct web_env env;
	struct rpc *rpc;
	const struct net_listener *msrp;   /* NULL: there is none */
	const struct net_listener *sip[2]; /* by http and https; the same */
	const struct web_settings *settings;
	STAILQ_HEAD(, web_listener) listeners;
	struct http_server http;
	struct web_files files;
	struct prefixes metrics, forwarded;
	struct web_sockets sockets;
	struct web_hooks hooks;
	struct web_count count;
};

/** "http://127.0.0.1:8080" taken apart.  @return 0 or -EINVAL */
int web_listen_parse(struct slice text, bool *securep, union addr *addr);

/** "https://HOST[:PORT]"; without a port that of the scheme.  @return 0 or -EINVAL */
int web_advertise_parse(struct slice text, struct web_place *place);

/** Who asks: whom a proxy of ours speaks for, or who has connected. */
void web_client(const struct web *web, const struct http_conn *conn,
    const struct http_request *request, union addr *addr);

/** Does no page ask, or one of ours, or one of `origins`? */
bool web_origin_is_welcome(const struct web *web, const struct http_request *request);

/** /api and /api/token; also where there is no API. */
void web_api(struct web *web, struct http_conn *conn, const struct http_request *request);
void web_api_token(struct web *web, struct http_conn *conn, const struct http_request *request);

/** Is it to /api, from who has a token? */
bool web_api_takes_body(const struct web *web, const struct http_request *request);
