/*
 * What an event costs the daemon: E_MSRP_MSG_RECEIVED with a body of one KiB to one and to four
 * subscribers, 32 of them in each turn of the loop, encoding and writing included.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/stats.h"
#include "ctl/server.h"
#include "event/bus.h"

enum { EVENTS = 100000, PER_TURN = 32, BODY = 1024, SUBSCRIBERS_MAX = 4 };

static const struct event_type type = {.name = "E_MSRP_MSG_RECEIVED", .params = NULL};

static double cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6
	    + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Another process, so that its time is not counted. */
static pid_t start_subscriber(const char *path)
{
	static const char request[] =
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"event_subscribe\"}\n";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	static char bytes[1 << 20];
	pid_t pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0
	    || write(fd, request, sizeof(request) - 1) < 0)
		_exit(1);
	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
	_exit(0);
}

static void emit(struct event_bus *bus)
{
	static char body[BODY];
	const struct event_param params[] = {
	    event_text("session_id", SLICE("abcdefghijklmnopqrstuv")),
	    event_text("message_id", SLICE("0123456789abcdef0123456789abcdef")),
	    event_text("content_type", SLICE("text/plain")),
	    event_body("body", (struct slice){body, sizeof(body)}),
	};

	memset(body, 'x', sizeof(body));
	event_emit(bus, &type, params, sizeof(params) / sizeof(params[0]));
}

/* Of what the server counts. */
static struct count {
	uint64_t *requests, *events;
} count;

static const struct stats_row numbers[] = {
    {.name = "requests", .help = "", .offset = offsetof(struct count, requests)},
    {.name = "events", .help = "", .offset = offsetof(struct count, events)},
    {0},
};

static void run(unsigned subscribers)
{
	static const struct event_type *const types[] = {&type, NULL};
	char path[64];
	struct ctl_settings settings = {path, 0600, NULL, 1 << 20, 1 << 30};
	struct ctl_daemon daemon = {.base = event_base_new()};
	struct ctl_server *server;
	struct reason why;
	double before;

	snprintf(path, sizeof(path), "/tmp/bench_ctl_events.%d", (int)getpid());
	if (event_bus_new(&daemon.bus) < 0 || stats_new(&daemon.stats) < 0
	    || event_bus_add_types(daemon.bus, types) < 0
	    || stats_register(daemon.stats, "ctl", numbers, &count) < 0
	    || ctl_server_new(&server, &daemon, &settings, &why) < 0)
		exit(1);
	for (unsigned i = 0; i < subscribers; i++)
		if (start_subscriber(path) < 0)
			exit(1);
	while (*count.requests < subscribers)
		event_base_loop(daemon.base, EVLOOP_ONCE);
	before = cpu_us();
	while (*count.events < (uint64_t)EVENTS * subscribers) {
		for (int i = 0; i < PER_TURN; i++)
			emit(daemon.bus);
		event_base_loop(daemon.base, EVLOOP_NONBLOCK);
	}
	printf("event_1k_%u_subscribers %.2f us\n", subscribers, (cpu_us() - before) / EVENTS);
	ctl_server_free(server);
	while (wait(NULL) > 0)
		;
	event_bus_free(daemon.bus);
	stats_free(daemon.stats);
	event_base_free(daemon.base);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	run(1);
	run(SUBSCRIBERS_MAX);
	return 0;
}
