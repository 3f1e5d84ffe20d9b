/*
 * The relay: RFC 4976.  It authenticates clients, grants them URIs, and passes
 * what comes for these URIs on, in both directions, while it arrives.
 *
 * Built on msrp/ alone; rules come in compiled (route/route.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/service.h>
#include <msrpd/setting.h>

struct msrp_stack;
struct relay;
struct route_list;
struct stats;

/** A row of `relay.users`: exactly one of the three secrets is there. */
struct relay_user {
	char *name;
	char *password;
	char *ha1; /* MD5(user:realm:password), hex */
	char *ha1_sha256;
};

/** The `relay:` section. */
struct relay_settings {
	bool enabled;
	struct setting_list my_uri; /* of char *; empty: every listener */
	char *auth_realm;           /* NULL: host of the AUTH's To-Path */
	struct setting_list users;  /* of struct relay_user */
	char *htdigest;             /* NULL: none */
	uint64_t auth_expires_ms, auth_min_expires_ms, auth_max_expires_ms;
	int auth_algorithm; /* enum msrp_digest_algorithm */
	uint64_t nonce_expire_ms;
	uint64_t max_auth_attempts;
	bool allow_plain_auth;
	uint64_t cleanup_interval_ms;
	uint64_t hash_size; /* log2 */
};

extern const struct setting relay_settings_rows[];

/** For the row that has these rows as its group: minimum, default and maximum of Expires in order. */
int relay_settings_check(const void *settings, const char **why);

/** The three lists that the relay walks; NULL: no rules. */
struct relay_routes {
	const struct route_list *msrp;
	const struct route_list *msrp_auth;
	const struct route_list *msrp_socket;
};

/**
 * Make the relay, and make it the stack's fallback.  Listeners are open already.
 *
 * @param settings  borrowed until the next relay_reload(), or the end; and so the lists
 * @param why       room for a sentence when a file cannot be used
 * @return 0, -EINVAL with why, -ENOMEM
 */
int relay_new(struct relay **relayp, struct msrp_stack *stack,
    const struct relay_settings *settings, const struct relay_routes *routes, struct stats *stats,
    char *why, size_t size);

/** Ends all grants; accepts NULL. */
void relay_free(struct relay *relay);

/** Take new settings and rules; grants stay.  On failure nothing changes, and why says why. */
int relay_reload(struct relay *relay, const struct relay_settings *settings,
    const struct relay_routes *routes, char *why, size_t size);

/** Grants that are alive. */
size_t relay_sessions(const struct relay *relay);

/** msrp_relay_list_sessions, msrp_relay_end_session; their state is the struct relay. */
extern const struct method relay_methods[];

/** Actions of routes.msrp, msrp_auth and msrp_socket; they need no state. */
extern const struct action relay_actions[];
