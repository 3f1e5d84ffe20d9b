#include "web/http.h"

#include <errno.h>
#include <stdlib.h>

#include <msrpd/stats.h>

#include "net/net.h"
#include "web/http_priv.h"

enum {
	SEND_TIMEOUT_MS = 30000,
	HANDSHAKE_TIMEOUT_MS = 10000,
};

static struct http_conn *conn_of(struct net_stream *stream)
{
	return (struct http_conn *)stream;
}

void http_set_life(struct http_conn *c)
{
	struct timer_queue *queue = c->head.len ? &c->server->reading : &c->server->idle;

	if (c->closing || net_stream_backlog(&c->stream))
		queue = NULL;
	net_stream_set_life(&c->stream, queue);
}

/* --- input --- */

static void handle(struct http_conn *c, struct slice rest)
{
	struct http_server *server = c->server;

	++*server->requests;
	c->rest = rest;
	c->keep = !c->request.too_long && http_should_keep_alive(&c->parser);
	if (!c->request.too_long)
		c->request.body = buffer_text(&c->body);
	server->handle(c, &c->request, server->arg);
	if (!c->answered)
		http_refuse(c, 500, NULL);
	http_request_forget(c);
	if (!c->held && net_stream_backlog(&c->stream) > HTTP_SEND_QUEUE)
		http_hold(c);
}

static ssize_t on_input(struct net_stream *stream, struct slice bytes, bool end)
{
	struct http_conn *c = conn_of(stream);
	size_t used = 0;

	(void)end;
	while (used < bytes.len && !c->held && !c->closing && stream->state == NET_OPEN) {
		struct slice rest = slice_from(bytes, used);

		used += c->in_body ? http_take_body(c, rest) : http_take_head(c, rest);
		if (c->whole && !c->closing)
			handle(c, slice_from(bytes, used));
	}
	return c->held ? (ssize_t)used : (ssize_t)bytes.len;
}

/* --- a connection --- */

static struct net_stream *on_accept(void *arg)
{
	struct http_server *server = arg;
	struct http_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->server = server;
	c->file = -1;
	net_stream_init(&c->stream, &server->protocol);
	return &c->stream;
}

static void on_opened(struct net_stream *stream)
{
	net_stream_set_life(stream, &conn_of(stream)->server->reading);
}

static void on_room(struct net_stream *stream)
{
	http_room(conn_of(stream));
}

static void on_closed(struct net_stream *stream, int err)
{
	(void)err;
	http_close_file(conn_of(stream));
}

static void on_free(struct net_stream *stream)
{
	struct http_conn *c = conn_of(stream);

	http_request_forget(c);
	free(c);
}

static const struct net_handler handler = {
    .accept = on_accept,
    .opened = on_opened,
    .input = on_input,
    .room = on_room,
    .closed = on_closed,
    .free = on_free,
};

void http_conn_peer(const struct http_conn *c, union addr *addr)
{
	net_stream_peer(&c->stream, addr);
	addr_unmap(addr);
}

bool http_conn_is_secure(const struct http_conn *c)
{
	return c->stream.link.ops->encrypted;
}

/* --- all of them --- */

/* RFC 9110 15.5.9 */
static void on_slow(struct timer_entry *life, void *arg)
{
	struct http_conn *c = conn_of(net_stream_expired(life));

	(void)arg;
	if (c->head.len == 0)
		net_stream_close(&c->stream, -ETIMEDOUT);
	else
		http_refuse_broken(c, 408);
}

static void on_idle(struct timer_entry *life, void *arg)
{
	(void)arg;
	net_stream_close(net_stream_expired(life), -ETIMEDOUT);
}

static struct net_limits limits_of(const struct http_limits *limits)
{
	return (struct net_limits){
	    .max_streams = limits->max_connections,
	    .send_queue = HTTP_SEND_QUEUE,
	    .handshake_timeout_ms = HANDSHAKE_TIMEOUT_MS,
	    .preface_timeout_ms = limits->request_timeout_ms,
	    .send_timeout_ms = SEND_TIMEOUT_MS,
	};
}

#define NUMBER(field) offsetof(struct http_server, field)

static const struct stats_row numbers[] = {
    NET_COUNTER_ROWS(struct http_server, "HTTP connections",
	"HTTP connections beyond limits, or more than the listener may have"),
    {.name = "requests", .help = "HTTP requests", .offset = NUMBER(requests)},
    {0},
};

int http_server_init(struct http_server *server, const struct http_limits *limits,
    struct stats *stats)
{
	struct event_base *base = net_base(server->protocol.net);
	int err = stats_register(stats, server->protocol.name, numbers, server);

	server->protocol.handler = &handler;
	server->protocol.limits = limits_of(limits);
	server->max_body = limits->max_body;
	if (err == 0)
		err = timer_queue_init(&server->reading, base, limits->request_timeout_ms, on_slow,
		    server);
	if (err == 0)
		err =
		    timer_queue_init(&server->idle, base, limits->idle_timeout_ms, on_idle, server);
	return err == 0 ? net_protocol_init(&server->protocol) : err;
}

void http_server_reload(struct http_server *server, const struct http_limits *limits,
    struct net_tls_contexts *tls)
{
	struct net_limits of = limits_of(limits);

	net_protocol_reload(&server->protocol, &of, tls);
	server->max_body = limits->max_body;
	timer_queue_set_period(&server->reading, limits->request_timeout_ms);
	timer_queue_set_period(&server->idle, limits->idle_timeout_ms);
}

void http_server_fini(struct http_server *server)
{
	net_protocol_fini(&server->protocol);
	timer_queue_fini(&server->reading);
	timer_queue_fini(&server->idle);
}
