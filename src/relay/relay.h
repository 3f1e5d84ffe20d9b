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

/** The `relay:` section. */
struct relay_settings {
	bool enabled;
	struct setting_list my_uri; /* of char *; empty: every listener */
	char *auth_realm;           /* NULL: host of the AUTH's To-Path */
	struct setting_list users;  /* of struct auth_user; not the relay's alone, see reload.c */
	char *htdigest;             /* NULL: none */
	uint64_t auth_expires_ms, auth_min_expires_ms, auth_max_expires_ms;
	int auth_algorithm; /* enum digest_algorithm */
	uint64_t nonce_expire_ms;
	uint64_t max_auth_attempts;
	uint64_t max_sessions, max_sessions_per_user; /* 0: any number */
	bool allow_plain_auth;
	uint64_t cleanup_interval_ms;
	uint64_t hash_size; /* log2 */
};

/** Its sessions are the grants that are alive. */
extern const struct service relay_service;
