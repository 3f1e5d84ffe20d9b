/* What a WebSocket's client may send behind its handshake: no more comes out than went in. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "net/priv.h"
#include "net/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 60000 }; /* the socket takes it at once */

static const char handshake[] =
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: test\r\n\r\n";

static struct net_protocol protocol;
static size_t got;
static bool closed;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static struct net_stream *on_accept(void *arg)
{
	struct net_stream *s = calloc(1, sizeof(*s));

	(void)arg;
	must(s);
	net_stream_init(s, &protocol);
	return s;
}

static void on_opened(struct net_stream *s)
{
	net_stream_send(s, SLICE("hello"));
}

static ssize_t on_input(struct net_stream *s, struct slice bytes, bool end)
{
	got += bytes.len;
	if (end)
		net_stream_send(s, slice_head(bytes, 100));
	return (ssize_t)bytes.len;
}

static void on_room(struct net_stream *s)
{
	(void)s;
}

static void on_closed(struct net_stream *s, int err)
{
	(void)s;
	must(err < 0);
	closed = true;
}

static void on_free(struct net_stream *s)
{
	free(s);
}

static const struct net_handler handler = {.accept = on_accept,
    .opened = on_opened,
    .input = on_input,
    .room = on_room,
    .interrupt = on_room,
    .closed = on_closed,
    .free = on_free};

static struct event_base *base;

static void start(void)
{
	static uint64_t counts[7];
	struct net *net;

	if (!base)
		base = event_base_new();
	must(base != NULL);
	must(net_new(&net, base) == 0);
	protocol = (struct net_protocol){.net = net,
	    .name = "fuzz",
	    .subprotocol = "test",
	    .handler = &handler,
	    .limits = {.max_streams = 10, .send_queue = 1 << 16, .max_message = 50000},
	    .count = {&counts[0], &counts[1], &counts[2], &counts[3], &counts[4], &counts[5],
		&counts[6]}};
	must(net_protocol_init(&protocol) == 0);
}

static void finish(void)
{
	struct net *net = protocol.net;

	net_protocol_fini(&protocol);
	net_free(net);
}

/* Take what it says, so that it ends. */
static void drink(int fd)
{
	char bytes[4096];

	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
}

static void check_proxy_header(const uint8_t *data, size_t size)
{
	struct proxy_header header = {0};
	union addr client;
	int fds[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	must(size == 0 || send(fds[0], data, size, 0) == (ssize_t)size);
	close(fds[0]);
	must(proxy_header_read(&header, fds[1], &client) != 0);
	close(fds[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_listener listener = {.protocol = &protocol, .transport = &net_ws};
	int fds[2];

	if (size > INPUT_MAX)
		return 0;
	start();
	check_proxy_header(data, size);
	got = 0;
	closed = false;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	must(stream_accept(&listener, fds[1], NULL, false) == 0);
	must(send(fds[0], handshake, sizeof(handshake) - 1, 0) > 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	must(size == 0 || send(fds[0], data, size, MSG_NOSIGNAL) == (ssize_t)size);
	shutdown(fds[0], SHUT_WR);
	while (!closed) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		drink(fds[0]);
	}
	event_base_loop(base, EVLOOP_NONBLOCK);
	close(fds[0]);
	must(got <= size);
	finish();
	return 0;
}
