/*
 * Connections: raw clients in another process send frames, and this one answers each with 200, or
 * (one client) passes it on to a third process through a flow.  Prints CPU time per frame and byte.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/stats.h"
#include "msrp/priv.h"
#include "net/net.h"

#define OWNER(type, member, p) ((type *)(void *)((char *)(p)-offsetof(type, member)))

enum { CLIENTS_MAX = 64 };

static const char session[] = "benchsession0123456789";

struct bench {
	struct event_base *base;
	struct net *net;
	struct msrp_stack *stack;
	struct msrp_target target;
	char uri[128];
	uint16_t sink_port; /* 0: answer */
	unsigned long want, frames;
	struct msrp_conn *out;
	struct msrp_user user;
	struct leg {
		struct bench *bench;
		struct msrp_sink sink;
		struct msrp_user user;
		struct msrp_flow flow;
		struct msrp_conn *conn;
		char tid[40];
	} legs[CLIENTS_MAX];
	size_t leg_count;
};

static void nothing(struct msrp_flow *flow)
{
	(void)flow;
}

static void lost(struct msrp_flow *flow, int err)
{
	(void)flow;
	(void)err;
}

static void resume(struct msrp_flow *flow)
{
	msrp_conn_resume(OWNER(struct leg, flow, flow)->conn);
}

static const struct msrp_flow_ops flow_ops = {.interrupt = nothing,
    .writable = resume,
    .closed = lost};

static void user_closed(struct msrp_user *user, int err)
{
	(void)user;
	(void)err;
}

static const struct msrp_user_ops user_ops = {.closed = user_closed};

static int room(struct leg *leg)
{
	if (!leg->flow.conn || msrp_flow_room(&leg->flow))
		return 0;
	msrp_flow_wait(&leg->flow);
	return -EAGAIN;
}

static int on_body(struct msrp_sink *sink, struct slice piece)
{
	struct leg *leg = OWNER(struct leg, sink, sink);

	if (leg->flow.conn)
		msrp_flow_body(&leg->flow, piece);
	return room(leg);
}

static int on_end(struct msrp_sink *sink, enum msrp_flag flag)
{
	struct leg *leg = OWNER(struct leg, sink, sink);
	struct bench *b = leg->bench;
	char end[60];
	int n;

	(void)flag;
	if (leg->flow.conn) {
		n = snprintf(end, sizeof(end), "\r\n-------%s$\r\n", leg->tid);
		msrp_flow_end(&leg->flow, (struct slice){end, (size_t)n});
	}
	msrp_conn_reply(leg->conn, 200, SLICE("OK"), (struct slice){NULL, 0});
	if (++b->frames == b->want)
		event_base_loopbreak(b->base);
	return room(leg);
}

static const struct msrp_sink_ops sink_ops = {.body = on_body, .end = on_end};

static struct leg *leg_of(struct bench *b, struct msrp_conn *conn)
{
	struct leg *leg;

	for (size_t i = 0; i < b->leg_count; i++)
		if (b->legs[i].conn == conn)
			return &b->legs[i];
	leg = &b->legs[b->leg_count++];
	*leg = (struct leg){.bench = b,
	    .sink.ops = &sink_ops,
	    .user.ops = &user_ops,
	    .flow.ops = &flow_ops,
	    .conn = conn};
	msrp_conn_attach(conn, &leg->user, 0);
	if (b->out)
		msrp_flow_attach(&leg->flow, b->out);
	return leg;
}

static int on_request(struct msrp_target *target, struct msrp_conn *conn,
    const struct msrp_frame *frame)
{
	struct leg *leg = leg_of(OWNER(struct bench, target, target), conn);
	char head[1000];
	int n;

	if (leg->flow.conn) {
		snprintf(leg->tid, sizeof(leg->tid), "fwd%.*s", SLICE_ARG(frame->tid));
		n = snprintf(head, sizeof(head), "MSRP %s SEND\r\n%.*s\r\n", leg->tid,
		    SLICE_ARG(frame->headers));
		msrp_flow_begin(&leg->flow, (struct slice){head, (size_t)n});
	}
	msrp_conn_take(conn, &leg->sink);
	return 0;
}

static const struct msrp_target_ops target_ops = {.request = on_request};

/* --- the other processes --- */

static int loopback_socket(uint16_t *portp)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	    .sin_port = htons(*portp)};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (*portp) {
		if (connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
			exit(1);
		return fd;
	}
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 || listen(fd, 1) < 0
	    || getsockname(fd, (struct sockaddr *)&in, &len) < 0)
		exit(1);
	*portp = ntohs(in.sin_port);
	return fd;
}

static pid_t run_sink(int listening)
{
	static char buf[1 << 18];
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	fd = accept(listening, NULL, NULL);
	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
	_exit(0);
}

/* Each client keeps its socket full, and reads what comes back. */
static pid_t run_clients(uint16_t port, const char *uri, size_t clients, size_t body)
{
	static char frames[1 << 18], back[1 << 18];
	struct pollfd fds[CLIENTS_MAX];
	size_t at[CLIENTS_MAX] = {0}, len = 0;
	pid_t pid = fork();

	if (pid)
		return pid;
	len = (size_t)snprintf(frames, 400,
	    "MSRP tid00000 SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: m1m1m1\r\nByte-Range: 1-%zu/%zu\r\nContent-Type: text/plain\r\n\r\n",
	    uri, body, body);
	memset(frames + len, 'x', body);
	len += body;
	len += (size_t)snprintf(frames + len, 60, "\r\n-------tid00000$\r\n");
	for (size_t i = 0, one = len; len + one < sizeof(frames) && i < 1000; i++, len += one)
		memcpy(frames + len, frames, one);
	for (size_t i = 0; i < clients; i++)
		fds[i] = (struct pollfd){.fd = loopback_socket(&port), .events = POLLIN | POLLOUT};
	while (poll(fds, clients, -1) > 0) {
		for (size_t i = 0; i < clients; i++) {
			ssize_t n;

			if (fds[i].revents & POLLIN
			    && recv(fds[i].fd, back, sizeof(back), MSG_DONTWAIT) == 0)
				_exit(0);
			if (!(fds[i].revents & POLLOUT))
				continue;
			n = send(fds[i].fd, frames + at[i], len - at[i],
			    MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n < 0 && errno != EAGAIN)
				_exit(0);
			at[i] = n > 0 ? (at[i] + (size_t)n) % len : at[i];
		}
	}
	_exit(0);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec)
	    + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int run(const char *name, size_t clients, size_t body, bool forward, unsigned long frames)
{
	struct msrp_listen_settings listen = {.uri = (char *)(uintptr_t) "msrp://127.0.0.1:0;tcp"};
	struct msrp_settings settings = {.listen = {&listen, 1},
	    .max_connections = 1000,
	    .max_header_size = 16384,
	    .send_queue = 1 << 20,
	    .max_memory = 1 << 30};
	struct bench b = {.base = event_base_new(),
	    .want = frames,
	    .target.ops = &target_ops,
	    .user.ops = &user_ops};
	struct stats *stats;
	pid_t sink = 0, client;
	uint16_t port = 0;
	double before, used;
	struct reason why;
	int fd = -1;

	if (net_new(&b.net, b.base) < 0 || stats_new(&stats) < 0
	    || msrp_stack_new(&b.stack, b.net, &settings, stats, &why) < 0
	    || msrp_listeners_open(b.stack, &why) < 0)
		return 1;
	if (forward) {
		fd = loopback_socket(&port);
		sink = run_sink(fd);
		struct msrp_destination to = {.host = SLICE("127.0.0.1"), .port = port};
		if (msrp_pool_get(b.stack, &to, &b.out) < 0)
			return 1;
		msrp_conn_attach(b.out, &b.user, 0);
	}
	port = msrp_listener_port(msrp_listener_at(b.stack, 0));
	snprintf(b.uri, sizeof(b.uri), "msrp://127.0.0.1:%u/%s;tcp", port, session);
	b.target.uri = slice_of(b.uri);
	if (msrp_target_bind(b.stack, &b.target) < 0)
		return 1;
	client = run_clients(port, b.uri, clients, body);
	before = cpu_seconds();
	event_base_dispatch(b.base);
	used = (cpu_seconds() - before) * 1e9;
	printf("%s_frame %.0f ns\n%s_byte %.3f ns\n", name, used / (double)b.frames, name,
	    used / (double)b.frames / (double)(body ? body : 1));
	fflush(stdout);
	kill(client, SIGTERM);
	if (sink)
		kill(sink, SIGTERM);
	while (wait(NULL) > 0)
		;
	_exit(0);
}

static int measure(const char *name, size_t clients, size_t body, bool forward,
    unsigned long frames)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run(name, clients, body, forward, frames));
	waitpid(pid, &status, 0);
	return status != 0;
}

int main(int argc, char **argv)
{
	unsigned long scale = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;

	printf("connection %zu bytes\n", sizeof(struct msrp_conn));
	fflush(stdout);
	return measure("answer_small", 16, 100, false, 300000 * scale)
	    | measure("answer_1k", 16, 1024, false, 200000 * scale)
	    | measure("answer_32k", 16, 32768, false, 30000 * scale)
	    | measure("forward_1k", 1, 1024, true, 200000 * scale)
	    | measure("forward_32k", 1, 32768, true, 30000 * scale);
}
