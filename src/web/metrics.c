#include "web/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <msrpd/buffer.h>
#include <msrpd/timer.h>

#include "base/log.h"
#include "base/stats.h"
#include "net/listener.h"
#include "net/transport.h"
#include "web/http.h"

enum {
	BODY_MAX = 1024,
	TIMEOUT_MS = 10000,
	WALK_EVERY_MS = 60000,
};

struct web_metrics {
	struct web_metrics_env env;
	struct http_server http;
	struct net_listener listener;
	char name[ADDR_TEXT_SIZE]; /* of the listener, in the log */
};

static int check_listen(const void *value, struct reason *why)
{
	char *const *text = value;
	union addr address;

	if (addr_parse(&address, slice_of(*text)) == 0)
		return 0;
	return reason_set(why, -EINVAL, "not an address with a port (127.0.0.1:9155, [::1]:9155)");
}

const struct setting web_metrics_settings_rows[] = {
    {.name = "listen",
	.type = SETTING_TEXT,
	.offset = offsetof(struct web_metrics_settings, listen),
	.flags = SETTING_FIXED,
	.check = check_listen,
	.help = "IP address and port of GET /metrics, /healthz and /readyz; absent: no such "
		"listener."},
    {0},
};

/* --- what is told --- */

static void add_head(struct buffer *out, const char *name, const char *help, const char *type)
{
	buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A histogram, as Prometheus wants it: each bucket with all below it. */
static void add_times(struct buffer *out, const char *name, const struct stats_times *times)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < STATS_BUCKETS; i++) {
		count += times->buckets[i];
		buffer_printf(out, "%s_bucket{le=\"%u.%03u\"} %" PRIu64 "\n", name,
		    (1u << i) / 1000, (1u << i) % 1000, count);
	}
	buffer_printf(out,
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
	buffer_printf(arg, "%s %" PRIu64 "\n", name, item->value);
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

static uint64_t walk_descriptors(void)
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

/* Linux 6.2 and later have the number at hand; a walk past thousands holds up the loop. */
static uint64_t open_descriptors(void)
{
	static uint64_t walked, walked_ms;
	struct stat dir;

	if (stat("/proc/self/fd", &dir) == 0 && dir.st_size > 0)
		return (uint64_t)dir.st_size;
	if (!walked_ms || timer_now_ms() - walked_ms >= WALK_EVERY_MS) {
		walked = walk_descriptors();
		walked_ms = timer_now_ms();
	}
	return walked;
}

static void add_gauge(struct buffer *out, const char *name, const char *help, uint64_t value)
{
	add_head(out, name, help, "gauge");
	buffer_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void add_process(struct buffer *out, uint64_t started_ms)
{
	add_gauge(out, "process_resident_memory_bytes", "Resident memory.", resident_bytes());
	add_gauge(out, "process_open_fds", "Open file descriptors.", open_descriptors());
	add_gauge(out, "msrpd_uptime_seconds", "Seconds since the start.",
	    (timer_now_ms() - started_ms) / 1000);
	add_gauge(out, "msrpd_log_lost_lines", "Log lines that the target did not take.",
	    log_lost());
	add_head(out, "msrpd_build_info", "The version that runs, as a label.", "gauge");
	buffer_printf(out, "msrpd_build_info{version=\"%s\"} 1\n", MSRPD_VERSION);
}

/* --- requests --- */

static void answer(struct http_conn *conn, unsigned status, const char *type, struct slice body)
{
	http_answer(conn, status,
	    &(struct http_answer){.type = type,
		.headers = "Cache-Control: no-store\r\n",
		.body = body});
}

static void answer_word(struct http_conn *conn, unsigned status, const char *word)
{
	char text[64];
	struct buffer w = BUFFER_ON(text);

	buffer_printf(&w, "%s\n", word);
	answer(conn, status, "text/plain; charset=utf-8", buffer_text(&w));
}

void web_metrics_answer(struct http_conn *conn, const struct stats *stats, uint64_t started_ms)
{
	struct buffer text = {.max = BUFFER_UNBOUNDED};

	stats_each(stats, add_item, &text);
	add_process(&text, started_ms);
	if (text.err)
		http_refuse(conn, 503, NULL);
	else
		answer(conn, 200, "text/plain; version=0.0.4; charset=utf-8", buffer_text(&text));
	buffer_fini(&text);
}

static void on_metrics(const struct web_metrics *metrics, struct http_conn *conn)
{
	web_metrics_answer(conn, metrics->env.stats, metrics->env.started_ms);
}

static void on_healthz(const struct web_metrics *metrics, struct http_conn *conn)
{
	(void)metrics;
	answer_word(conn, 200, "ok");
}

static void on_readyz(const struct web_metrics *metrics, struct http_conn *conn)
{
	const char *why = metrics->env.not_ready(metrics->env.arg);

	answer_word(conn, why ? 503 : 200, why ? why : "ok");
}

static const struct {
	struct slice path;
	void (*get)(const struct web_metrics *metrics, struct http_conn *conn);
} pages[] = {
    {SLICE("/metrics"), on_metrics},
    {SLICE("/healthz"), on_healthz},
    {SLICE("/readyz"), on_readyz},
};

static void on_request(struct http_conn *conn, const struct http_request *request, void *arg)
{
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (!slice_equal(request->path, pages[i].path))
			continue;
		if (request->get)
			pages[i].get(arg, conn);
		else
			http_refuse(conn, 405, "Allow: GET, HEAD\r\n");
		return;
	}
	http_refuse(conn, 404, NULL);
}

/* --- the listener's life --- */

static int start(struct web_metrics *metrics, const char *listen)
{
	static const struct http_limits limits = {
	    .max_connections = WEB_METRICS_CONNECTIONS,
	    .max_body = BODY_MAX,
	    .request_timeout_ms = TIMEOUT_MS,
	    .idle_timeout_ms = TIMEOUT_MS,
	};
	struct net_listener *l = &metrics->listener;
	int err = http_server_init(&metrics->http, &limits, metrics->env.stats);

	if (err == 0)
		err = addr_parse(&l->addr, slice_of(listen));
	l->name = addr_print(&l->addr, metrics->name);
	return err == 0 ? net_listener_open(l) : err;
}

int web_metrics_new(struct web_metrics **metricsp, const struct web_metrics_env *env,
    const struct web_metrics_settings *settings)
{
	struct web_metrics *metrics;
	int err;

	*metricsp = NULL;
	if (!settings->listen)
		return 0;
	metrics = calloc(1, sizeof(*metrics));
	if (!metrics)
		return -ENOMEM;
	metrics->env = *env;
	metrics->http = (struct http_server){
	    .protocol = {.net = env->net, .name = "metrics"},
	    .handle = on_request,
	    .arg = metrics,
	};
	metrics->listener = (struct net_listener){
	    .protocol = &metrics->http.protocol,
	    .transport = &net_tcp,
	    .arg = &metrics->http,
	    .alone = true,
	};
	err = start(metrics, settings->listen);
	if (err < 0) {
		web_metrics_free(metrics);
		return err;
	}
	*metricsp = metrics;
	return 0;
}

void web_metrics_free(struct web_metrics *metrics)
{
	if (!metrics)
		return;
	net_listener_close(&metrics->listener);
	http_server_fini(&metrics->http);
	free(metrics);
}

uint16_t web_metrics_port(const struct web_metrics *metrics)
{
	return addr_port(&metrics->listener.addr);
}
