/* The User Agent for who owns it; its use by services is in msrpd/ua.h. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <msrpd/setting.h>
#include <msrpd/ua.h>

struct cluster;
struct event_base;
struct msrp_stack;
struct sip_credential;
struct sip_stack;
struct stats;

/** The section ua: of the config. */
struct ua_settings {
	struct setting_list my_uri; /* char *; empty: first listener of each scheme */
	char *relay_uri;            /* NULL: none */
	uint64_t relay_chunk_size;
	uint64_t relay_idle_timeout_ms;
	uint64_t max_queued_bytes;
	uint64_t max_sessions;       /* 0: no limit */
	uint64_t max_duration_ms;    /* the same */
	uint64_t bind_timeout_ms;    /* 0: no limit */
	uint64_t reconnect_grace_ms; /* 0: end at once */
	uint64_t cleanup_interval_ms;
	uint64_t hash_size; /* log2 */
	struct ua_files files;
};

extern const struct setting ua_settings_rows[];

/** What a UA is made of; all of it outlives the UA. */
struct ua_env {
	struct event_base *base;
	struct stats *stats;
	struct msrp_stack *msrp; /* its listeners are open */
	struct sip_stack *sip;
	struct cluster *cluster; /* whose name for this node session ids begin with; NULL: none */
	const struct ua_settings *settings;       /* or until the next reload */
	const struct sip_credential *credentials; /* for AUTH at relay_uri; the same */
	size_t credential_count;
};

/**
 * @param why  room for a sentence
 * @return 0, -EINVAL: no listener for a my_uri, or -ENOMEM
 */
int ua_new(struct ua **uap, const struct ua_env *env, struct reason *why);

/** Sessions that are there keep the URIs that they have.  @return as ua_new(): nothing has changed */
int ua_reload(struct ua *ua, const struct ua_settings *settings,
    const struct sip_credential *credentials, size_t credential_count, struct reason *why);

/**
 * End every session by BYE once what it has queued is sent, with UA_END_STOPPED, and make no
 * further ones.  done is called once, not from inside this call; bound the wait with a timer.
 */
void ua_stop(struct ua *ua, void (*done)(void *arg), void *arg);

/** End those that are left at once, before their services stop. */
void ua_halt(struct ua *ua);

/** All sessions are gone.  Accepts NULL. */
void ua_free(struct ua *ua);
