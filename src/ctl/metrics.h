/*
 * The metrics listener: GET /metrics gives every number of stats in the text
 * form of Prometheus 0.0.4, GET /healthz says that the loop turns, GET /readyz
 * whether new sessions are welcome.
 */
#pragma once

#include <stdint.h>

#include <msrpd/setting.h>

struct evbuffer;
struct event_base;
struct stats;

struct ctl_metrics;

struct ctl_metrics_settings {
	char *listen; /* "127.0.0.1:9155", "[::1]:9155"; NULL: no listener */
};

/** The keys of `metrics:`, over struct ctl_metrics_settings. */
extern const struct setting ctl_metrics_settings_rows[];

/**
 * @param stats      outlives the listener
 * @param not_ready  says why new sessions are not welcome, in a word or two; NULL: they are
 * @return 0 (with NULL when settings want no listener), or negative errno
 */
int ctl_metrics_new(struct ctl_metrics **metricsp, struct event_base *base,
    const struct stats *stats, const struct ctl_metrics_settings *settings,
    const char *(*not_ready)(void *arg), void *arg);

/** Accepts NULL. */
void ctl_metrics_free(struct ctl_metrics *metrics);

/** The port listened on, in host byte order: another than the configured one where that is 0. */
uint16_t ctl_metrics_port(const struct ctl_metrics *metrics);

/**
 * Append what GET /metrics gives, for other listeners.
 * @param started_ms  when the daemon began, by timer_now_ms()
 */
void ctl_metrics_write(struct evbuffer *out, const struct stats *stats, uint64_t started_ms);

/** Its Content-Type. */
extern const char ctl_metrics_type[];
