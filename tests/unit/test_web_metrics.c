#include "web/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <msrpd/timer.h>

#include "base/stats.h"
#include "loop.h"
#include "net/net.h"
#include "numbers.h"

enum { DEADLINE_MS = 60000 };

struct fixture {
	struct event_base *base;
	struct net *net;
	struct stats *stats;
	struct web_metrics *metrics;
	const char *not_ready;
};

static const char *not_ready(void *arg)
{
	return ((const struct fixture *)arg)->not_ready;
}

static int make(struct fixture *f, struct web_metrics **metricsp,
    const struct web_metrics_settings *settings)
{
	const struct web_metrics_env env = {
	    .net = f->net,
	    .stats = f->stats,
	    .started_ms = timer_now_ms(),
	    .not_ready = not_ready,
	    .arg = f,
	};

	return web_metrics_new(metricsp, &env, settings);
}

static int setup(void **state)
{
	static const struct web_metrics_settings settings = {.listen = (char *)"127.0.0.1:0"};
	struct fixture *f = calloc(1, sizeof(*f));

	f->base = event_base_new();
	assert_int_equal(net_new(&f->net, f->base), 0);
	assert_int_equal(stats_new(&f->stats), 0);
	assert_int_equal(make(f, &f->metrics, &settings), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	web_metrics_free(f->metrics);
	net_free(f->net);
	stats_free(f->stats);
	event_base_free(f->base);
	free(f);
	return 0;
}

static int dial(struct fixture *f)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons(web_metrics_port(f->metrics)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Say it, and return all that comes until the other side closes; to be freed. */
static char *talk(struct fixture *f, const char *request, size_t len)
{
	uint64_t deadline = timer_now_ms() + DEADLINE_MS;
	char *bytes = calloc(1, 1 << 18);
	int fd = dial(f);
	size_t got = 0;
	ssize_t n = 0;

	send(fd, request, len, MSG_NOSIGNAL);
	do {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		n = recv(fd, bytes + got, (1 << 18) - 1 - got, MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
		assert_true(timer_now_ms() < deadline);
	} while (n > 0 || (n < 0 && errno == EAGAIN));
	close(fd);
	return bytes;
}

static char *request(struct fixture *f, const char *method, const char *path)
{
	char text[256];

	snprintf(text, sizeof(text),
	    "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method, path);
	return talk(f, text, strlen(text));
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("%s is not in %s", part, text);
}

static uint64_t *number(struct fixture *f, const char *group, const char *name, bool gauge)
{
	const struct stats_row rows[] = {{.name = name, .help = "What it is.", .gauge = gauge},
	    {0}};
	uint64_t *value;

	assert_int_equal(stats_register(f->stats, group, rows, &value), 0);
	return value;
}

static void test_metrics(void **state)
{
	struct fixture *f = *state;
	char *text;

	*number(f, "ua", "messages_received", false) = 7;
	*number(f, "relay", "grants", true) = UINT64_MAX;
	text = request(f, "GET", "/metrics");
	assert_has(text, "HTTP/1.1 200 OK\r\n");
	assert_has(text, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	assert_has(text,
	    "\n# HELP msrpd_ua_messages_received_total What it is.\n"
	    "# TYPE msrpd_ua_messages_received_total counter\nmsrpd_ua_messages_received_total 7\n");
	assert_has(text,
	    "\n# TYPE msrpd_relay_grants gauge\nmsrpd_relay_grants 18446744073709551615\n");
	assert_has(text, "\nprocess_resident_memory_bytes ");
	assert_has(text, "\nmsrpd_uptime_seconds 0\n");
	assert_has(text, "\nmsrpd_build_info{version=\"" MSRPD_VERSION "\"} 1\n");
	free(text);
}

/* Each bucket has all that took less, the last one all. */
static void test_times(void **state)
{
	static const struct stats_row rows[] = {
	    {.name = "setup", .help = "How long.", .times = true}, {0}};
	struct fixture *f = *state;
	struct stats_times *times;
	char *text;

	assert_int_equal(stats_register(f->stats, "sip", rows, &times), 0);
	stats_took(times, 1);
	stats_took(times, 3);
	stats_took(times, 4);
	stats_took(times, 100000);
	text = request(f, "GET", "/metrics");
	assert_has(text,
	    "\n# HELP msrpd_sip_setup_seconds How long.\n"
	    "# TYPE msrpd_sip_setup_seconds histogram\n"
	    "msrpd_sip_setup_seconds_bucket{le=\"0.001\"} 1\n"
	    "msrpd_sip_setup_seconds_bucket{le=\"0.002\"} 1\n"
	    "msrpd_sip_setup_seconds_bucket{le=\"0.004\"} 3\n");
	assert_has(text,
	    "\nmsrpd_sip_setup_seconds_bucket{le=\"65.536\"} 3\n"
	    "msrpd_sip_setup_seconds_bucket{le=\"+Inf\"} 4\n"
	    "msrpd_sip_setup_seconds_sum 100.008\nmsrpd_sip_setup_seconds_count 4\n");
	free(text);
}

static void test_readiness(void **state)
{
	struct fixture *f = *state;
	char *text = request(f, "GET", "/readyz");

	assert_has(text, "HTTP/1.1 200 OK\r\n");
	assert_has(text, "\r\n\r\nok\n");
	free(text);
	f->not_ready = "stopping";
	text = request(f, "GET", "/readyz");
	assert_has(text, "HTTP/1.1 503 Service Unavailable\r\n");
	assert_has(text, "\r\n\r\nstopping\n");
	free(text);
}

/* Each line is a comment or a name and a number. */
static void test_form(void **state)
{
	struct fixture *f = *state;
	char *text, *line;
	unsigned samples = 0;

	number(f, "ua", "sessions", true);
	text = request(f, "GET", "/metrics");
	line = strstr(text, "\r\n\r\n");
	assert_non_null(line);
	for (line += 4; *line; line = strchr(line, '\n') + 1) {
		char name[128];
		double value;
		int used = 0;

		assert_non_null(strchr(line, '\n'));
		if (strncmp(line, "# HELP ", 7) == 0 || strncmp(line, "# TYPE ", 7) == 0)
			continue;
		assert_int_equal(sscanf(line, "%127[a-z0-9_]%*[^ ] %lf%n", name, &value, &used) > 0
			|| sscanf(line, "%127[a-z0-9_] %lf%n", name, &value, &used) == 2,
		    1);
		samples++;
	}
	assert_int_equal(samples, 14);
	free(text);
}

static void test_open_descriptors(void **state)
{
	struct fixture *f = *state;
	unsigned before, after;
	char *text;
	int fds[2];

	text = request(f, "GET", "/metrics");
	assert_int_equal(
	    sscanf(strstr(text, "\nprocess_open_fds "), "\nprocess_open_fds %u", &before), 1);
	free(text);
	assert_int_equal(pipe(fds), 0);
	text = request(f, "GET", "/metrics");
	assert_int_equal(
	    sscanf(strstr(text, "\nprocess_open_fds "), "\nprocess_open_fds %u", &after), 1);
	free(text);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(after, before + 2);
}

static void test_pages(void **state)
{
	static const struct {
		const char *method, *path, *part;
	} cases[] = {
	    {"GET", "/healthz", "HTTP/1.1 200 OK\r\n"},
	    {"GET", "/healthz", "\r\n\r\nok\n"},
	    {"GET", "/healthz?verbose", "HTTP/1.1 200 OK\r\n"},
	    {"GET", "/", "HTTP/1.1 404 "},
	    {"GET", "/metrics/", "HTTP/1.1 404 "},
	    {"GET", "/../etc/passwd", "HTTP/1.1 404 "},
	    {"POST", "/", "HTTP/1.1 404 "},
	    {"POST", "/metrics", "HTTP/1.1 405 "},
	    {"PUT", "/metrics", "\r\nAllow: GET, HEAD\r\n"},
	    {"DELETE", "/healthz", "HTTP/1.1 405 "},
	    {"OPTIONS", "/metrics", "HTTP/1.1 405 "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = request(*state, cases[i].method, cases[i].path);

		assert_has(text, cases[i].part);
		free(text);
	}
}

/* RFC 9110 9.3.2: the head that GET would get, and nothing behind it. */
static void test_head(void **state)
{
	char *text = request(*state, "HEAD", "/healthz");

	assert_has(text, "HTTP/1.1 200 OK\r\n");
	assert_has(text, "Content-Length: 3\r\n");
	assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
	free(text);
	text = request(*state, "HEAD", "/metrics");
	assert_has(text, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
	free(text);
}

struct wanted {
	struct fixture *fixture;
	const char *name;
	uint64_t value;
};

static bool is_so(void *arg)
{
	const struct wanted *w = arg;

	return number_of(w->fixture->stats, "metrics", w->name) == w->value;
}

static void wait_for(struct fixture *f, const char *name, uint64_t value)
{
	struct wanted wanted = {f, name, value};

	loop_until(f->base, is_so, &wanted);
}

/* One more is closed, and those who are there are served. */
static void test_so_many_connections(void **state)
{
	static const char ask[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
	static int fds[WEB_METRICS_CONNECTIONS];
	struct fixture *f = *state;
	struct rlimit files;
	char byte;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	for (int i = 0; i < WEB_METRICS_CONNECTIONS; i++) {
		fds[i] = dial(f);
		wait_for(f, "accepted", (uint64_t)i + 1);
	}
	for (uint64_t more = 1; more < 3; more++) {
		int fd = dial(f);

		wait_for(f, "refused", more);
		assert_int_equal(recv(fd, &byte, 1, 0), 0);
		close(fd);
	}
	for (int i = 0; i < WEB_METRICS_CONNECTIONS; i += WEB_METRICS_CONNECTIONS - 1) {
		assert_int_equal(send(fds[i], ask, sizeof(ask) - 1, 0), (ssize_t)sizeof(ask) - 1);
		wait_for(f, "requests", i ? 2 : 1);
		assert_int_equal(recv(fds[i], &byte, 1, 0), 1);
	}
	close(fds[0]);
	wait_for(f, "closed", 1);
	fds[0] = dial(f);
	wait_for(f, "accepted", WEB_METRICS_CONNECTIONS + 1);
	for (int i = 0; i < WEB_METRICS_CONNECTIONS; i++)
		close(fds[i]);
}

/* Whatever comes in, the next one is served. */
static void test_hostile_requests(void **state)
{
	static const char *const requests[] = {
	    "\r\n\r\n\r\n",
	    "GET\r\n\r\n",
	    "GET /metrics\r\n\r\n",
	    "rubbish rubbish rubbish\r\n\r\n",
	    "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 99999999999\r\n\r\n",
	    "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: -1\r\n\r\n",
	};
	struct fixture *f = *state;
	char *head = malloc(100000), *text;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		text = talk(f, requests[i], strlen(requests[i]));
		assert_null(strstr(text, " 200 "));
		free(text);
	}
	memset(head, 'x', 100000);
	memcpy(head, "GET /metrics HTTP/1.1\r\nX: ", 26);
	text = talk(f, head, 100000);
	assert_null(strstr(text, " 200 "));
	free(text);
	free(head);
	text = request(f, "GET", "/healthz");
	assert_has(text, " 200 ");
	free(text);
}

static void test_no_listener(void **state)
{
	static const struct web_metrics_settings none = {.listen = NULL};
	struct fixture *f = *state;
	struct web_metrics *metrics;

	assert_int_equal(make(f, &metrics, &none), 0);
	assert_null(metrics);
	web_metrics_free(metrics);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
	    {"127.0.0.1:9155", true},
	    {"[::1]:9155", true},
	    {"0.0.0.0:0", true},
	    {"127.0.0.1", false},
	    {"[::1]", false},
	    {"::1", false},
	    {"localhost:9155", false},
	    {":9155", false},
	    {"127.0.0.1:65536", false},
	    {"127.0.0.1:", false},
	    {"127.0.0.1:9155x", false},
	    {"127.0.0.1:-1", false},
	    {"", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = (char *)cases[i].text;
		struct reason why = {""};

		assert_int_equal(web_metrics_settings_rows[0].check(&text, &why),
		    cases[i].good ? 0 : -EINVAL);
		assert_int_equal(why.text[0] == '\0', cases[i].good);
	}
}

static void test_address_in_use(void **state)
{
	struct fixture *f = *state;
	struct web_metrics_settings settings;
	struct web_metrics *metrics = NULL;
	char listen[32];

	snprintf(listen, sizeof(listen), "127.0.0.1:%u", web_metrics_port(f->metrics));
	settings.listen = listen;
	assert_int_equal(make(f, &metrics, &settings), -EADDRINUSE);
	assert_null(metrics);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_metrics),
	    CASE(test_times),
	    CASE(test_readiness),
	    CASE(test_form),
	    CASE(test_open_descriptors),
	    CASE(test_pages),
	    CASE(test_head),
	    CASE(test_so_many_connections),
	    CASE(test_hostile_requests),
	    CASE(test_no_listener),
	    CASE(test_addresses),
	    CASE(test_address_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
