#include "ctl/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <msrpd/slice.h>
#include <msrpd/timer.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/stats.h"

enum {
	HEADERS_MAX = 8192,
	BODY_MAX = 1024,
	TIMEOUT_SECONDS = 10,
	METHODS_ALL = 0xffff, /* so that an odd one gets our 405, not evhttp's 501 */
};

struct ctl_metrics {
	struct evhttp *http;
	struct evhttp_bound_socket *socket;
	const struct stats *stats;
	uint64_t started_ms;
	const char *(*not_ready)(void *arg);
	void *arg;
};

static int check_listen(const void *value, struct reason *why)
{
	char *const *text = value;
	union addr address;

	if (addr_parse(&address, slice_of(*text)) == 0)
		return 0;
	return reason_set(why, -EINVAL, "not an address with a port (127.0.0.1:9155, [::1]:9155)");
}

const struct setting ctl_metrics_settings_rows[] = {
    {.name = "listen",
	.type = SETTING_TEXT,
	.offset = offsetof(struct ctl_metrics_settings, listen),
	.flags = SETTING_FIXED,
	.check = check_listen,
	.help = "IP address and port of GET /metrics, /healthz and /readyz; absent: no such "
		"listener."},
    {0},
};

/* --- what is told --- */

static void add_head(struct evbuffer *out, const char *name, const char *help, const char *type)
{
	evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A histogram, as Prometheus wants it: each bucket with all below it. */
static void add_times(struct evbuffer *out, const char *name, const struct stats_times *times)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < STATS_BUCKETS; i++) {
		count += times->buckets[i];
		evbuffer_add_printf(out, "%s_bucket{le=\"%u.%03u\"} %" PRIu64 "\n", name,
		    (1u << i) / 1000, (1u << i) % 1000, count);
	}
	evbuffer_add_printf(out,
	    "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %" PRIu64 ".%03" PRIu64
	    "\n%s_count %" PRIu64 "\n",
	    name, times->count, name, times->sum_ms / 1000, times->sum_ms % 1000, name,
	    times->count);
}

static void add_item(const struct stats_item *item, void *arg)
{
	char name[128];

	if (item->times) {
		snprintf(name, sizeof(name), "msrpd_%s_%s_seconds", item->group, item->name);
		add_head(arg, name, item->help, "histogram");
		add_times(arg, name, item->times);
		return;
	}
	snprintf(name, sizeof(name), "msrpd_%s_%s%s", item->group, item->name,
	    item->gauge ? "" : "_total");
	add_head(arg, name, item->help, item->gauge ? "gauge" : "counter");
	evbuffer_add_printf(arg, "%s %" PRIu64 "\n", name, item->value);
}

/* @return bytes; 0: the system does not say */
static uint64_t resident_bytes(void)
{
	unsigned long long total, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%llu %llu", &total, &resident) != 2)
		resident = 0;
	fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (!dir)
		return 0;
	for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count - 1; /* the directory's own */
}

static void add_gauge(struct evbuffer *out, const char *name, const char *help, uint64_t value)
{
	add_head(out, name, help, "gauge");
	evbuffer_add_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void add_process(struct evbuffer *out, uint64_t started_ms)
{
	add_gauge(out, "process_resident_memory_bytes", "Resident memory.", resident_bytes());
	add_gauge(out, "process_open_fds", "Open file descriptors.", open_descriptors());
	add_gauge(out, "msrpd_uptime_seconds", "Seconds since the start.",
	    (timer_now_ms() - started_ms) / 1000);
	add_gauge(out, "msrpd_log_lost_lines", "Log lines that the target did not take.",
	    log_lost());
	add_head(out, "msrpd_build_info", "The version that runs, as a label.", "gauge");
	evbuffer_add_printf(out, "msrpd_build_info{version=\"%s\"} 1\n", MSRPD_VERSION);
}

void ctl_metrics_write(struct evbuffer *out, const struct stats *stats, uint64_t started_ms)
{
	stats_each(stats, add_item, out);
	add_process(out, started_ms);
}

const char ctl_metrics_type[] = "text/plain; version=0.0.4; charset=utf-8";

/* --- requests --- */

/* What is in the request's output buffer, of which RFC 9110 9.3.2 lets HEAD have the length. */
static void answer(struct evhttp_request *request, int code, const char *phrase, const char *type)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	struct evbuffer *body = evhttp_request_get_output_buffer(request);
	char length[24];

	snprintf(length, sizeof(length), "%zu", evbuffer_get_length(body));
	evhttp_add_header(headers, "Content-Type", type);
	evhttp_add_header(headers, "Content-Length", length);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD)
		evbuffer_drain(body, evbuffer_get_length(body));
	evhttp_send_reply(request, code, phrase, NULL);
}

static void answer_text(struct evhttp_request *request, int code, const char *phrase,
    const char *text)
{
	evbuffer_add_printf(evhttp_request_get_output_buffer(request), "%s\n", text);
	answer(request, code, phrase, "text/plain; charset=utf-8");
}

static void on_metrics(struct evhttp_request *request, void *arg)
{
	const struct ctl_metrics *metrics = arg;

	ctl_metrics_write(evhttp_request_get_output_buffer(request), metrics->stats,
	    metrics->started_ms);
	answer(request, HTTP_OK, "OK", ctl_metrics_type);
}

static void on_healthz(struct evhttp_request *request, void *arg)
{
	(void)arg;
	answer_text(request, HTTP_OK, "OK", "ok");
}

static void on_readyz(struct evhttp_request *request, void *arg)
{
	const struct ctl_metrics *metrics = arg;
	const char *why = metrics->not_ready(metrics->arg);

	if (why)
		answer_text(request, HTTP_SERVUNAVAIL, "Service Unavailable", why);
	else
		answer_text(request, HTTP_OK, "OK", "ok");
}

static const struct {
	const char *path;
	void (*get)(struct evhttp_request *request, void *arg);
} pages[] = {
    {"/metrics", on_metrics},
    {"/healthz", on_healthz},
    {"/readyz", on_readyz},
};

static void on_request(struct evhttp_request *request, void *arg)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	enum evhttp_cmd_type method = evhttp_request_get_command(request);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;

	for (size_t i = 0; path && i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strcmp(path, pages[i].path) != 0)
			continue;
		if (method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD) {
			pages[i].get(request, arg);
			return;
		}
		evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET, HEAD");
		/* not evhttp_send_error(), which drops headers */
		evhttp_send_reply(request, HTTP_BADMETHOD, "Method Not Allowed", NULL);
		return;
	}
	evhttp_send_error(request, HTTP_NOTFOUND, NULL);
}

/* --- the listener's life --- */

static int open_listener(struct ctl_metrics *metrics, const char *listen)
{
	char host[ADDR_TEXT_SIZE];
	union addr address;

	if (addr_parse(&address, slice_of(listen)) < 0)
		return -EINVAL;
	addr_print_host(&address, host);
	errno = 0;
	metrics->socket = evhttp_bind_socket_with_handle(metrics->http, host, addr_port(&address));
	if (metrics->socket)
		return 0;
	return errno ? -errno : -EADDRNOTAVAIL;
}

int ctl_metrics_new(struct ctl_metrics **metricsp, struct event_base *base,
    const struct stats *stats, const struct ctl_metrics_settings *settings,
    const char *(*not_ready)(void *arg), void *arg)
{
	struct ctl_metrics *metrics;
	int err;

	*metricsp = NULL;
	if (!settings->listen)
		return 0;
	metrics = calloc(1, sizeof(*metrics));
	if (!metrics)
		return -ENOMEM;
	metrics->stats = stats;
	metrics->started_ms = timer_now_ms();
	metrics->not_ready = not_ready;
	metrics->arg = arg;
	metrics->http = evhttp_new(base);
	if (!metrics->http) {
		free(metrics);
		return -ENOMEM;
	}
	evhttp_set_max_headers_size(metrics->http, HEADERS_MAX);
	evhttp_set_max_body_size(metrics->http, BODY_MAX);
	evhttp_set_timeout(metrics->http, TIMEOUT_SECONDS);
	evhttp_set_allowed_methods(metrics->http, METHODS_ALL);
	evhttp_set_gencb(metrics->http, on_request, metrics);
	err = open_listener(metrics, settings->listen);
	if (err) {
		ctl_metrics_free(metrics);
		return err;
	}
	*metricsp = metrics;
	return 0;
}

void ctl_metrics_free(struct ctl_metrics *metrics)
{
	if (!metrics)
		return;
	evhttp_free(metrics->http);
	free(metrics);
}

uint16_t ctl_metrics_port(const struct ctl_metrics *metrics)
{
	union addr address;

	addr_of_socket(&address, evhttp_bound_socket_get_fd(metrics->socket));
	return addr_port(&address);
}
