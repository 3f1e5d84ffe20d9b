/*
 * Who of many nodes owns what: claims, node records and a common secret in Redis, as the daemon
 * sees it (docs/cluster.md).  What services see is <msrpd/cluster.h>.
 */
#pragma once

#include <stdint.h>

#include <msrpd/cluster.h>
#include <msrpd/control.h>
#include <msrpd/reason.h>
#include <msrpd/setting.h>

struct event_base;
struct stats;

/** The section cluster: of the config. */
struct cluster_settings {
	bool given;
	struct setting_list redis; /* of char *: URLs, tried in order */
	char *password;            /* where a URL has none; NULL */
	char *node, *sip, *msrp;   /* sip and msrp may be NULL */
	char *prefix;
	uint64_t ttl_ms;
};

extern const struct setting cluster_settings_rows[];

/** What must fit together. */
int cluster_settings_check(const void *settings, struct reason *why);

struct cluster_env {
	struct event_base *base;
	struct stats *stats;
	const struct cluster_settings *settings; /* until the next cluster_reload() */
	struct slice msrp;                       /* where settings say nothing; or absent */
};

/** @return 0 with *clusterp, NULL if the settings say that there is none; or -ENOMEM */
int cluster_new(struct cluster **clusterp, const struct cluster_env *env);

/** Settings that say the same are elsewhere from now on.  Accepts NULL. */
void cluster_reload(struct cluster *cluster, const struct cluster_settings *settings);

/** Claims must have been released.  Its node record goes, so what was its own is free at once. */
void cluster_free(struct cluster *cluster);

/**
 * Tell from now on of the secret that all nodes share, whenever it is another one; it is borrowed
 * for the call.
 */
void cluster_on_secret(struct cluster *cluster, void (*fn)(struct slice secret, void *arg),
    void *arg);

/** Numbers that all nodes count together. */
struct cluster_counted {
	const char *kind;
	uint64_t life_ms; /* from the first one on */
	/** So many there are, when more of them have been told. */
	void (*total)(struct slice key, uint64_t number, void *arg);
	void *arg;
};

/** cluster NULL: nothing is counted. */
void cluster_count_begin(struct cluster *cluster, const struct cluster_counted *counted);

/**
 * One more of this key.  They go to Redis at once, or together when it has answered; while it is
 * away they are not counted.
 *
 * @param key  16 bytes at most
 */
void cluster_count(struct cluster *cluster, struct slice key);

/** Of the control socket; their state is the cluster, which may be NULL. */
extern const struct method cluster_methods[];
