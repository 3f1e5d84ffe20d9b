/*
 * Subscribers of the API: a WebSocket each, which asks for all events of its user and then only
 * reads.  bench/ws.py gives a token a line on standard input, and an empty line when that is all;
 * then "ready" is printed, and for each further line how many events have come since the last one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "websocket.h"

enum { BUFFER = 256 * 1024 };

struct subscriber {
	int fd;
	struct websocket_in ws;
};

static int epoll_fd, port;
static size_t waiting, events, strays;
static char raw[BUFFER], text[BUFFER];

static void die(const char *what)
{
	fprintf(stderr, "bench_api: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void subscribe(const char *token)
{
	static const char request[] = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": "
				      "\"event_subscribe\", \"params\": []}";
	struct subscriber *s = calloc(1, sizeof(*s));
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
	char target[1100], frame[WEBSOCKET_HEAD + sizeof(request)];
	size_t len;

	inet_pton(AF_INET, "127.0.0.1", &addr.sin_addr);
	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die("connect");
	snprintf(target, sizeof(target), "/api?token=%s", token);
	if (!websocket_open(s->fd, target, "jsonrpc"))
		die("WebSocket");
	memcpy(frame + WEBSOCKET_HEAD, request, sizeof(request));
	len = websocket_seal(frame, WEBSOCKET_TEXT, sizeof(request) - 1);
	if (send(s->fd, frame, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send");
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event) < 0)
		die("epoll_ctl");
	waiting++;
}

static size_t count(const char *needle)
{
	size_t found = 0;

	for (const char *at = text; (at = strstr(at, needle)); at++)
		found++;
	return found;
}

/* What comes is short: answers and events lie whole in one read or are counted by their names. */
static void read_some(struct subscriber *s)
{
	ssize_t n = recv(s->fd, raw, sizeof(raw) - 1, 0);

	if (n <= 0)
		die("closed");
	text[websocket_unwrap(&s->ws, raw, (size_t)n, text)] = '\0';
	waiting -= count("\"result\"");
	events += count("\"method\"");
	strays += count("\"error\"");
}

static void turn(int timeout_ms)
{
	struct epoll_event ready[256];
	int n = epoll_wait(epoll_fd, ready, 256, timeout_ms);

	for (int i = 0; i < n; i++)
		read_some(ready[i].data.ptr);
}

int main(int argc, char **argv)
{
	struct rlimit files = {65536, 65536};
	struct epoll_event event = {.events = EPOLLIN};
	char line[1024], *end;

	if (argc != 2)
		return 2;
	port = (int)strtol(argv[1], NULL, 10);
	setrlimit(RLIMIT_NOFILE, &files);
	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	epoll_fd = epoll_create1(0);
	while (fgets(line, sizeof(line), stdin) && *line != '\n') {
		end = strchr(line, '\n');
		if (end)
			*end = '\0';
		subscribe(line);
	}
	while (waiting)
		turn(1000);
	if (strays)
		die("refused");
	puts("ready");
	/* Standard input is the one without a subscriber. */
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
		die("epoll_ctl");
	for (;;) {
		struct epoll_event ready[256];
		int n = epoll_wait(epoll_fd, ready, 256, -1);

		for (int i = 0; i < n; i++) {
			if (ready[i].data.ptr) {
				read_some(ready[i].data.ptr);
				continue;
			}
			if (!fgets(line, sizeof(line), stdin))
				return 0;
			printf("events %zu\n", events);
			events = 0;
		}
	}
}
