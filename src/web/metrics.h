/*
 * The metrics listener: GET /metrics gives every number of stats in the text
 * form of Prometheus 0.0.4, GET /healthz says that the loop turns, GET /readyz
 * whether new sessions are welcome.
 */
#pragma once

#include <stdint.h>

#include <msrpd/setting.h>

struct http_conn;
struct net;
struct stats;

struct web_metrics;

enum { WEB_METRICS_CONNECTIONS = 512 }; /* that it takes; one more is closed */

struct web_metrics_settings {
	char *listen; /* "127.0.0.1:9155", "[::1]:9155"; NULL: no listener */
};

/** The keys of `metrics:`, over struct web_metrics_settings. */
extern const struct setting web_metrics_settings_rows[];

/** What it works on; everything outlives it. */
struct web_metrics_env {
	struct net *net;
	struct stats *stats;
	uint64_t started_ms; /* when the daemon began, by timer_now_ms() */
	/** Why new sessions are not welcome, in a word or two; NULL: they are. */
	const char *(*not_ready)(void *arg);
	void *arg;
};

/**
 * @param env       copied
 * @param settings  borrowed for the call
 * @return 0 (with NULL when settings want no listener), or negative errno
 */
int web_metrics_new(struct web_metrics **metricsp, const struct web_metrics_env *env,
    const struct web_metrics_settings *settings);

/** Accepts NULL. */
void web_metrics_free(struct web_metrics *metrics);

/** The port listened on, in host byte order: another than the configured one where that is 0. */
uint16_t web_metrics_port(const struct web_metrics *metrics);

/** What GET /metrics is answered, for other listeners; started_ms as above. */
void web_metrics_answer(struct http_conn *conn, const struct stats *stats, uint64_t started_ms);
