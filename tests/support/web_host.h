/* The web of a daemon, with one user and a few methods, as a test drives it. */
#pragma once

#include "web/priv.h"

struct event_base;

enum { WEB_TOKEN_SECONDS = 3600 };

struct web_host {
	struct event_base *base;
	struct stats *stats;
	struct event_bus *bus;
	struct net *net;
	struct auth *auth;
	struct rpc *rpc;
	struct web_settings settings; /* may be changed before web_host_start() */
	struct web *web;
	char token[TOKEN_SIZE]; /* of alice, whose password is "secret" */
};

/** An event that concerns alice, sip:alice@example.org. */
extern const struct event_type web_host_event;

/** Settings that suit tests. */
void web_host_init(struct web_host *host, struct event_base *base);
/** @return 0 or negative errno: memory is out */
int web_host_start(struct web_host *host);
void web_host_stop(struct web_host *host);

/** The event happens. */
void web_host_tell(struct web_host *host);
