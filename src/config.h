/*
 * The config file: YAML in, one plain struct out (docs/config.md).  Each module
 * and each service declares its section as rows (msrpd/setting.h); this reads
 * them all by one table.
 *
 * Errors read "FILE:LINE:COLUMN: what is wrong".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <msrpd/reason.h>
#include <msrpd/service.h>
#include <msrpd/setting.h>

#include "base/log.h"
#include "cluster/cluster.h"
#include "ctl/server.h"
#include "msrp/stack.h"
#include "sandbox/sandbox.h"
#include "net/guard.h"
#include "net/lookup.h"
#include "net/prefixes.h"
#include "sip/stack.h"
#include "ua/ua.h"
#include "web/metrics.h"
#include "web/web.h"

struct tree;
struct tree_fault;

/** What the file says, defaults put in. */
struct config {
	uint64_t shutdown_grace_ms;
	struct log_settings log;
	struct sandbox_settings sandbox;
	struct ctl_settings control;
	struct sip_settings sip;
	struct msrp_settings msrp;
	struct net_guard_settings limits;
	struct setting_list proxy_protocol; /* of char * */
	bool share_ports;
	uint64_t tls_threads; /* 0: as many as there are processors */
	struct net_dns_settings dns;
	struct setting_list credentials; /* of struct sip_credential */
	struct setting_list users;       /* of struct auth_user */
	struct ua_settings ua;
	struct web_metrics_settings metrics;
	struct web_settings web;
	struct cluster_settings cluster;
};

struct config_load; /* a load in its last stage: all is filled in, the tree still there */

/**
 * A check across sections, or a reader of a part that has no rows (the rules of routes).
 * It runs once everything is filled in and checked by its rows.
 */
struct config_hook {
	/** @return 0, or what config_fail() returned: nothing is loaded then */
	int (*check)(const struct config *cfg, struct config_load *load, void *arg);
	void *arg;
};

/** What the program brings to the file. */
struct config_env {
	const struct service *const *services; /* NULL-terminated; or NULL */
	const struct config_hook *hooks;       /* ended by one without check; or NULL */
	/** What ${instance} in the file stands for; NULL: for itself. */
	const char *instance;
	/** A line like an error's, for what is allowed but hardly meant; NULL: nobody listens */
	void (*warn)(const char *line, void *arg);
	void *warn_arg;
};

/**
 * Read and check a file.
 *
 * @param env   borrowed; its services must outlive the config
 * @param why   filled on failure
 * @return 0, -EINVAL: a fault in the file, another errno: it cannot be read, or -ENOMEM
 */
int config_load(struct config **cfgp, const char *path, const struct config_env *env,
    struct reason *why);

/** The same for a text at hand; name stands for the file in messages. */
int config_parse(struct config **cfgp, struct slice text, const char *name,
    const struct config_env *env, struct reason *why);

void config_free(struct config *cfg);

/** The rows of the whole file, those of the services included; valid as long as cfg. */
const struct setting *config_rows(const struct config *cfg);

/** The settings of a service that was in env.services; valid as long as cfg. */
const void *config_service(const struct config *cfg, const struct service *service);

/**
 * May a reload go from old to fresh?  Not if a setting that is fixed at start differs.
 *
 * @param why  filled with the key's name and what to do
 * @return 0 or -EPERM
 */
int config_changes_fixed(const struct config *old, const struct config *fresh, struct reason *why);

/* --- for hooks --- */

/**
 * Refuse the file for what stands under a key: names and indices from 0 joined by dots,
 * "relay.my_uri.0".  Of a key that is not in the file the nearest thing above it is named.
 *
 * @return -EINVAL, for the hook to return
 */
int config_fail(struct config_load *load, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** The same for a fault that a reader of config_tree() has found.  @return -EINVAL */
int config_fail_fault(struct config_load *load, const struct tree_fault *fault);

/** Tell env.warn about what stands under a key. */
void config_warn(struct config_load *load, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Call fn for each file that the settings name, those of secrets included. */
void config_each_file(const struct config *cfg, const struct config_load *load,
    void (*fn)(const char *path, bool written, void *arg), void *arg);

/** The file's own text under a key, valid until the hook returns; NULL if it has none. */
const struct tree *config_tree(const struct config_load *load, const char *key);
