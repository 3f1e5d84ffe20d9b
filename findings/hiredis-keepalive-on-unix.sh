#!/bin/sh
# hiredis' redisEnableKeepAlive() on a UNIX socket fails, and its error stays in the context: an
# asynchronous connection takes it for one of its own and ends at the first reply.
. "$(dirname "$0")/lib.sh"
unpack libhiredis0.14=0.14.1-3 libhiredis-dev=0.14.1-3 libevent-2.1-7=2.1.12-stable-8+deb12u1 \
	libevent-dev=2.1.12-stable-8+deb12u1
compile hiredis event <<'C'
#include <stdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <hiredis/async.h>
#include <hiredis/adapters/libevent.h>

static const char path[] = "finding.sock";
static struct event_base *base;

static void on_reply(redisAsyncContext *c, void *reply, void *arg)
{
	printf("%s: %s\n", (const char *)arg, reply ? ((redisReply *)reply)->str : "no reply");
	fflush(stdout);
	event_base_loopbreak(base);
}

static void ask(const char *what, int keep_alive)
{
	redisAsyncContext *c = redisAsyncConnectUnix(path);

	base = event_base_new();
	redisLibeventAttach(c, base);
	if (keep_alive)
		redisEnableKeepAlive(&c->c);
	redisAsyncCommand(c, on_reply, (void *)what, "PING");
	event_base_dispatch(base);
}

/* Says PONG to each client, as a Redis does. */
static void serve(int fd)
{
	char text[256];

	for (;;) {
		int client = accept(fd, NULL, NULL);

		if (read(client, text, sizeof(text)) > 0 && write(client, "+PONG\r\n", 7) == 7)
			while (read(client, text, sizeof(text)) > 0)
				;
		close(client);
	}
}

int main(void)
{
	struct sockaddr_un here = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	pid_t server;

	strcpy(here.sun_path, path);
	if (bind(fd, (void *)&here, sizeof(here)) < 0 || listen(fd, 5) < 0)
		return 1;
	alarm(20);
	server = fork();
	if (server == 0) {
		alarm(20);
		close(1);
		serve(fd);
	}
	ask("as it is", 0);
	ask("with keep-alive", 1);
	kill(server, SIGTERM);
	return 0;
}
C
(cd "$tmp" && ./finding) | judge "as it is: PONG
with keep-alive: no reply"
