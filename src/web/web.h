/*
 * One port for browsers and web services (docs/web.md): files, the API, WebSockets of MSRP and
 * SIP, metrics.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/control.h>
#include <msrpd/reason.h>
#include <msrpd/setting.h>
#include <msrpd/slice.h>

#include "base/addr.h"
#include "net/tls.h"

struct auth;
struct event_bus;
struct net;
struct net_listener;
struct rpc;
struct stats;
struct web;

/** The `web:` section. */
struct web_settings {
	struct setting_list listen; /* of char *: "http://ADDRESS:PORT", https */
	struct net_tls_settings tls;
	char *
	    advertise; /* "https://HOST[:PORT]" by which others reach us; NULL: the first of listen */
	bool sip, msrp;              /* are there WebSockets for them? */
	char *root;                  /* NULL: no files */
	struct setting_list origins; /* of char *: pages beside our own */
	struct setting_list metrics; /* of char *: prefixes from which /metrics may be asked for */
	/* of char *: prefixes of proxies whose X-Forwarded-For counts */
	struct setting_list forwarded;
	struct setting_list webhooks; /* of struct web_hook_settings */
	char *api_token_secret;       /* NULL: no API */
	uint64_t api_token_lifetime_ms;
	uint64_t max_connections, max_request, max_backlog;
	uint64_t request_timeout_ms, idle_timeout_ms;
};

extern const struct setting web_settings_rows[];

/** For setting.check of the section. */
int web_settings_check(const void *settings, struct reason *why);

/** What it works on, and what only main knows; everything outlives it. */
struct web_env {
	struct net *net;
	struct event_bus *bus;
	struct stats *stats;
	struct auth *auth;
	/** Whose address is it, of our users?  Absent: nobody's. */
	struct slice (*user_of)(struct slice address, void *arg);
	/** Realms that hashed passwords may be of, texts; the domains of our users. */
	const struct setting_list *(*realms)(void *arg);
	void *arg;
	uint64_t started_ms; /* when the daemon began, by timer_now_ms() */
};

/**
 * Listen.
 *
 * @param env       copied
 * @param settings  borrowed until the next web_reload(), or the end
 * @return 0, or negative errno with the reason
 */
int web_new(struct web **webp, const struct web_env *env, const struct web_settings *settings,
    struct reason *why);

/** Whose methods users call: before the loop runs. */
void web_use_rpc(struct web *web, struct rpc *rpc);

/** Where it is that others reach us. */
struct web_place {
	bool secure;       /* https */
	union addr addr;   /* that a listener is on, its real port included */
	struct slice host; /* of advertise; absent: there is none */
	uint16_t port;     /* the same */
};

/** Of the first listener.  @return false: there is none */
bool web_place(const struct web *web, struct web_place *place);
/** Of the first one by https, or by http.  What is advertised is that for either. */
bool web_place_by(const struct web *web, bool encrypted, struct web_place *place);

/** Hand WebSockets at /msrp and /sip over to these; NULL: there are none.  They outlive the web. */
void web_use_msrp(struct web *web, const struct net_listener *listener);
/** @param encrypted  those that come in by https, or else by http */
void web_use_sip(struct web *web, bool encrypted, const struct net_listener *listener);

/** Accepts NULL. */
void web_free(struct web *web);

/** On failure nothing changes.  Accepts NULL. */
int web_reload(struct web *web, const struct web_settings *settings, struct reason *why);

/** Call fn with the URL of each listener, the real port in place of 0.  Accepts NULL. */
void web_each_listener(const struct web *web, void (*fn)(const char *url, void *arg), void *arg);

/** `token`, to be added to the control socket; its state is the web's. */
extern const struct method web_methods[];
