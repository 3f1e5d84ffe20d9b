#include "web/http.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/http.h>
#include <http_parser.h>

#include <msrpd/buffer.h>
#include <msrpd/stats.h>

#include "base/log.h"
#include "net/listener.h"
#include "net/net.h"
#include "net/stream.h"
#include "net/upgrade.h"

enum {
	HEAD_MAX = 8192,
	PIECE_BYTES = 64 * 1024, /* of a file, that are read at once */
	SEND_QUEUE = 256 * 1024,
	SEND_TIMEOUT_MS = 30000,
	HANDSHAKE_TIMEOUT_MS = 10000,
};

struct http_conn {
	struct net_stream stream; /* first */
	struct http_server *server;
	struct http_parser parser;
	struct buffer head, body;
	size_t seen;         /* of the head, that do not end it */
	struct slice rest;   /* behind the request, while it is handled */
	struct slice name;   /* of the header that is being read */
	struct slice length; /* what Expect and Content-Length say */
	struct slice expect;
	char *path; /* of the request, to be freed */
	struct http_request request;
	bool whole;    /* the request has come */
	bool in_body;  /* what comes is not of the head any more */
	bool broken;   /* the head is none that we take */
	bool too_long; /* the body is */
	bool answered, closing;
	bool keep; /* the connection, as the request has it */
	bool held; /* nothing more is taken before what was answered has left */
	int file;  /* that is being sent, -1: none */
	uint64_t file_left;
};

const char http_security_headers[] =
    "X-Content-Type-Options: nosniff\r\n"
    "Content-Security-Policy: default-src 'self'; connect-src 'self' ws: wss:; "
    "img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'\r\n"
    "Referrer-Policy: no-referrer\r\n";

static struct http_conn *conn_of(struct net_stream *stream)
{
	return (struct http_conn *)stream;
}

/* --- one request: the parser tells --- */

static struct http_conn *conn_of_parser(struct http_parser *parser)
{
	return parser->data;
}

/* With whole heads a piece is a whole: a second piece of a value is a folded line (RFC 9112 5.2). */
static int on_target(struct http_parser *parser, const char *p, size_t len)
{
	struct http_conn *c = conn_of_parser(parser);
	struct http_parser_url url;

	http_parser_url_init(&url);
	if (http_parser_parse_url(p, len, parser->method == HTTP_CONNECT, &url) != 0
	    || !(url.field_set & (1 << UF_PATH)))
		return -1;
	c->request.path =
	    (struct slice){p + url.field_data[UF_PATH].off, url.field_data[UF_PATH].len};
	if (url.field_set & (1 << UF_QUERY))
		c->request.query =
		    (struct slice){p + url.field_data[UF_QUERY].off, url.field_data[UF_QUERY].len};
	return 0;
}

static int on_name(struct http_parser *parser, const char *p, size_t len)
{
	conn_of_parser(parser)->name = (struct slice){p, len};
	return 0;
}

static int on_value(struct http_parser *parser, const char *p, size_t len)
{
	struct http_conn *c = conn_of_parser(parser);
	struct http_request *r = &c->request;
	const struct {
		struct slice name, *slot;
	} rows[] = {
	    {SLICE("Host"), &r->host},
	    {SLICE("Origin"), &r->origin},
	    {SLICE("Authorization"), &r->authorization},
	    {SLICE("Content-Length"), &c->length},
	    {SLICE("Expect"), &c->expect},
	    {SLICE("If-None-Match"), &r->if_none_match},
	    {SLICE("X-Forwarded-For"), &r->forwarded_for},
	};

	if (c->in_body)
		return 0; /* a trailer of a chunked one */
	if (!c->name.p)
		return -1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!slice_equal_nocase(c->name, rows[i].name))
			continue;
		if (rows[i].slot->p)
			return -1;
		*rows[i].slot = slice_trim((struct slice){p, len});
	}
	if (slice_equal_nocase(c->name, SLICE("Upgrade")))
		r->websocket |=
		    slice_equal_nocase(slice_trim((struct slice){p, len}), SLICE("websocket"));
	c->name = (struct slice){NULL, 0};
	return 0;
}

static int on_head(struct http_parser *parser)
{
	struct http_conn *c = conn_of_parser(parser);

	c->in_body = true;
	if (parser->content_length != UINT64_MAX && parser->content_length > c->server->max_body) {
		c->too_long = true;
		return -1;
	}
	return 0;
}

static int on_body(struct http_parser *parser, const char *p, size_t len)
{
	struct http_conn *c = conn_of_parser(parser);

	buffer_add(&c->body, (struct slice){p, len});
	c->too_long = c->body.err == -EMSGSIZE;
	return c->body.err ? -1 : 0;
}

static int on_whole(struct http_parser *parser)
{
	conn_of_parser(parser)->whole = true;
	http_parser_pause(parser, 1);
	return 0;
}

static const struct http_parser_settings callbacks = {
    .on_url = on_target,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_whole,
};

/* The path is what files and pages are found by, so it is decoded here and nowhere again. */
static bool finish_request(struct http_conn *c)
{
	struct http_request *r = &c->request;
	char *encoded = slice_dup(r->path);
	size_t len = 0;

	c->path = encoded ? evhttp_uridecode(encoded, 0, &len) : NULL;
	free(encoded);
	if (!c->path || len == 0 || c->path[0] != '/' || strlen(c->path) != len)
		return false;
	r->path = (struct slice){c->path, len};
	r->method = slice_of(http_method_str((enum http_method)c->parser.method));
	r->head_only = c->parser.method == HTTP_HEAD;
	r->get = r->head_only || c->parser.method == HTTP_GET;
	r->head = buffer_text(&c->head);
	r->body = buffer_text(&c->body);
	return true;
}

static void forget_request(struct http_conn *c)
{
	buffer_fini(&c->head);
	buffer_fini(&c->body);
	free(c->path);
	c->path = NULL;
	c->seen = 0;
	c->request = (struct http_request){0};
	c->name = c->length = c->expect = (struct slice){NULL, 0};
	c->whole = c->in_body = c->broken = c->too_long = c->answered = false;
}

/* --- answers --- */

static const char *phrase_of(unsigned status)
{
	return http_status_str((enum http_status)status);
}

static bool keeps(const struct http_conn *c)
{
	return !c->closing && c->keep;
}

/* The head; with it the answer ends if nothing is to follow. */
static void write_head(struct http_conn *c, unsigned status, const struct http_answer *answer,
    uint64_t length, bool ends)
{
	char text[2048];
	struct buffer w = BUFFER_ON(text);

	buffer_printf(&w, "HTTP/1.1 %u %s\r\n%s%s", status, phrase_of(status),
	    http_security_headers, answer->headers ? answer->headers : "");
	if (answer->type)
		buffer_printf(&w, "Content-Type: %s\r\n", answer->type);
	if (status != 204 && status != 304)
		buffer_printf(&w, "Content-Length: %" PRIu64 "\r\n", length);
	buffer_printf(&w, "%s\r\n", keeps(c) ? "" : "Connection: close\r\n");
	if (w.err)
		net_stream_close(&c->stream, w.err);
	else if (ends)
		net_stream_end(&c->stream, buffer_text(&w));
	else
		net_stream_copy(&c->stream, buffer_text(&w));
}

/* The last of it is written. */
static void end_answer(struct http_conn *c)
{
	if (!keeps(c)) {
		c->closing = true;
		net_stream_close_after_send(&c->stream);
		return;
	}
	net_stream_set_life(&c->stream, &c->server->idle);
}

void http_answer(struct http_conn *c, unsigned status, const struct http_answer *answer)
{
	bool bare = c->request.head_only || answer->body.len == 0;

	c->answered = true;
	c->closing |= answer->close;
	write_head(c, status, answer, answer->body.len, bare);
	if (!bare)
		net_stream_end(&c->stream, answer->body);
	end_answer(c);
}

void http_refuse(struct http_conn *c, unsigned status, const char *headers)
{
	char text[64];
	struct buffer w = BUFFER_ON(text);
	struct http_answer answer = {.type = "text/plain; charset=utf-8", .headers = headers};

	buffer_printf(&w, "%s\n", phrase_of(status));
	answer.body = buffer_text(&w);
	http_answer(c, status, &answer);
}

/* One does not ask on while one does not read. */
static void hold(struct http_conn *c)
{
	c->held = true;
	net_stream_pause(&c->stream);
	net_stream_want_room(&c->stream);
}

static void release(struct http_conn *c)
{
	c->held = false;
	net_stream_resume(&c->stream);
}

static void close_file(struct http_conn *c)
{
	if (c->file >= 0)
		close(c->file);
	c->file = -1;
}

/* Go on while the peer reads. */
static void send_piece(struct http_conn *c)
{
	char piece[PIECE_BYTES];
	size_t wanted = c->file_left < sizeof(piece) ? (size_t)c->file_left : sizeof(piece);
	ssize_t n = read(c->file, piece, wanted);

	if (n <= 0) {
		/* It has become shorter since its length was told. */
		net_stream_close(&c->stream, n < 0 ? -errno : -EIO);
		return;
	}
	c->file_left -= (uint64_t)n;
	if (c->file_left > 0) {
		net_stream_copy(&c->stream, (struct slice){piece, (size_t)n});
	} else {
		net_stream_end(&c->stream, (struct slice){piece, (size_t)n});
		close_file(c);
		end_answer(c);
	}
	net_stream_want_room(&c->stream); /* for the next, or to release */
}

void http_answer_file(struct http_conn *c, int fd, uint64_t size, const struct http_answer *answer)
{
	bool bare = c->request.head_only || size == 0;

	c->answered = true;
	write_head(c, 200, answer, size, bare);
	if (bare) {
		close(fd);
		end_answer(c);
		return;
	}
	c->file = fd;
	c->file_left = size;
	/* What comes meanwhile waits; who does not read is net's business. */
	net_stream_set_life(&c->stream, NULL);
	hold(c);
	send_piece(c);
}

void http_upgrade(struct http_conn *c, const struct net_listener *to, void *arg)
{
	struct upgrade_terms terms = {
	    .subprotocol = slice_of(to->protocol->subprotocol),
	    .headers = slice_of(http_security_headers),
	};
	char text[2048];
	struct buffer w = BUFFER_ON(text);
	unsigned status = upgrade_answer(c->request.head, &terms, &w);
	int err;

	c->answered = true;
	if (status != 101 || w.err) {
		c->closing = true;
		net_stream_end(&c->stream, buffer_text(&w));
		end_answer(c);
		return;
	}
	err = net_stream_hand_over(&c->stream, to, arg, buffer_text(&w), c->rest);
	if (err < 0 && c->stream.state != NET_CLOSED) {
		log_debug("web: conn %" PRIu64 ": no WebSocket: %s", c->stream.number,
		    strerror(-err));
		c->closing = true;
		http_refuse(c, 503, NULL);
	}
}

/* --- input --- */

/* The end of the head, or 0; a line that ends with LF alone ends us (RFC 9112 2.2). */
static size_t find_end(struct http_conn *c)
{
	const char *p = c->head.p;
	size_t end = 0;

	for (size_t i = c->seen; i < c->head.len && !end && !c->broken; i++) {
		c->broken = !p[i] || (p[i] > 0 && p[i] < ' ' && !strchr("\t\r\n", p[i]));
		if (p[i] != '\n')
			continue;
		c->broken = i == 0 || p[i - 1] != '\r';
		if (i >= 3 && p[i - 2] == '\n' && p[i - 3] == '\r')
			end = i + 1;
	}
	c->seen = c->head.len;
	return end;
}

static void refuse_broken(struct http_conn *c, unsigned status)
{
	c->closing = true;
	http_refuse(c, status, NULL);
}

static void read_head(struct http_conn *c)
{
	size_t n;

	c->parser.data = c;
	http_parser_init(&c->parser, HTTP_REQUEST);
	c->body = (struct buffer){.max = (size_t)c->server->max_body};
	n = http_parser_execute(&c->parser, &callbacks, c->head.p, c->head.len);
	if (c->too_long)
		refuse_broken(c, 413);
	else if (HTTP_PARSER_ERRNO(&c->parser) != HPE_OK
	    && HTTP_PARSER_ERRNO(&c->parser) != HPE_PAUSED)
		refuse_broken(c, 400);
	else if (n != c->head.len || c->parser.http_major != 1
	    || (!c->request.host.p && c->parser.http_minor))
		refuse_broken(c, 400);
	else if (!c->whole && slice_equal_nocase(c->expect, SLICE("100-continue")))
		net_stream_send(&c->stream, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* @return bytes taken of those that may hold the end of a head */
static size_t take_head(struct http_conn *c, struct slice bytes)
{
	size_t before = c->head.len, end;

	if (before == 0) {
		/* RFC 9112 2.2: empty lines in front of it */
		size_t blank = 0;

		while (blank < bytes.len && (bytes.p[blank] == '\r' || bytes.p[blank] == '\n'))
			blank++;
		if (blank)
			return blank;
		c->head.max = HEAD_MAX;
		net_stream_set_life(&c->stream, &c->server->reading);
	}
	buffer_add(&c->head, slice_head(bytes, HEAD_MAX - before));
	if (c->head.err) {
		net_stream_close(&c->stream, c->head.err);
		return bytes.len;
	}
	end = find_end(c);
	if (c->broken) {
		refuse_broken(c, 400);
		return bytes.len;
	}
	if (!end && c->head.len == HEAD_MAX)
		refuse_broken(c, 431);
	if (!end)
		return c->head.len - before;
	c->head.len = end;
	read_head(c);
	return end - before;
}

static size_t take_body(struct http_conn *c, struct slice bytes)
{
	size_t n = http_parser_execute(&c->parser, &callbacks, bytes.p, bytes.len);

	if (c->too_long)
		refuse_broken(c, 413);
	else if (!c->whole && HTTP_PARSER_ERRNO(&c->parser) != HPE_OK)
		refuse_broken(c, 400);
	return n;
}

static void handle(struct http_conn *c, struct slice rest)
{
	struct http_server *server = c->server;

	++*server->requests;
	c->rest = rest;
	c->keep = http_should_keep_alive(&c->parser);
	if (finish_request(c))
		server->handle(c, &c->request, server->arg);
	else
		refuse_broken(c, 400);
	if (!c->answered)
		http_refuse(c, 500, NULL);
	forget_request(c);
	if (!c->held && net_stream_backlog(&c->stream) > SEND_QUEUE)
		hold(c);
}

static ssize_t on_input(struct net_stream *stream, struct slice bytes, bool end)
{
	struct http_conn *c = conn_of(stream);
	size_t used = 0;

	(void)end;
	while (used < bytes.len && !c->held && !c->closing && stream->state == NET_OPEN) {
		struct slice rest = slice_from(bytes, used);

		used += c->in_body ? take_body(c, rest) : take_head(c, rest);
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
	struct http_conn *c = conn_of(stream);

	if (c->file >= 0)
		send_piece(c);
	else if (c->held)
		release(c);
}

static void on_interrupt(struct net_stream *stream)
{
	(void)stream; /* nothing of ours is urgent */
}

static void on_closed(struct net_stream *stream, int err)
{
	(void)err;
	close_file(conn_of(stream));
}

static void on_free(struct net_stream *stream)
{
	struct http_conn *c = conn_of(stream);

	forget_request(c);
	free(c);
}

static const struct net_handler handler = {
    .accept = on_accept,
    .opened = on_opened,
    .input = on_input,
    .room = on_room,
    .interrupt = on_interrupt,
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
		refuse_broken(c, 408);
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
	    .send_queue = SEND_QUEUE,
	    .handshake_timeout_ms = HANDSHAKE_TIMEOUT_MS,
	    .preface_timeout_ms = limits->request_timeout_ms,
	    .send_timeout_ms = SEND_TIMEOUT_MS,
	};
}

#define NUMBER(field) offsetof(struct http_server, field)

static const struct stats_row numbers[] = {
    {.name = "accepted",
	.help = "HTTP connections accepted",
	.offset = NUMBER(protocol.count.accepted)},
    {.name = "connected",
	.help = "HTTP connections opened by msrpd: none",
	.offset = NUMBER(protocol.count.connected)},
    {.name = "refused",
	.help = "HTTP connections beyond web.max_connections or limits.connections_per_address",
	.offset = NUMBER(protocol.count.refused)},
    {.name = "closed",
	.help = "HTTP connections closed, or made WebSockets",
	.offset = NUMBER(protocol.count.closed)},
    {.name = "connections",
	.help = "HTTP connections open now",
	.offset = NUMBER(protocol.count.open),
	.gauge = true},
    {.name = "bytes_in",
	.help = "bytes received by HTTP",
	.offset = NUMBER(protocol.count.bytes_in)},
    {.name = "bytes_out", .help = "bytes sent by HTTP", .offset = NUMBER(protocol.count.bytes_out)},
    {.name = "requests", .help = "HTTP requests", .offset = NUMBER(requests)},
    {0},
};

int http_server_init(struct http_server *server, const struct http_limits *limits,
    struct stats *stats)
{
	struct event_base *base = net_base(server->protocol.net);
	int err = stats_register(stats, "web", numbers, server);

	server->protocol.name = "web";
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
