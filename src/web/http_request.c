/* HTTP requests: bytes into heads and bodies. */
#include <stdlib.h>
#include <string.h>

#include <event2/http.h>

#include "web/http_priv.h"

enum { HEAD_MAX = 8192 };

/* --- what the parser tells --- */

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
		bool list; /* in several lines too, of which the last counts */
	} rows[] = {
	    {SLICE("Host"), &r->host, false},
	    {SLICE("Origin"), &r->origin, false},
	    {SLICE("Authorization"), &r->authorization, false},
	    {SLICE("Content-Length"), &c->length, false},
	    {SLICE("Expect"), &c->expect, false},
	    {SLICE("If-None-Match"), &r->if_none_match, true},
	    {SLICE("X-Forwarded-For"), &r->forwarded_for, true},
	};

	if (c->in_body)
		return 0; /* a trailer of a chunked one */
	if (!c->name.p)
		return -1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!slice_equal_nocase(c->name, rows[i].name))
			continue;
		if (rows[i].slot->p && !rows[i].list)
			return -1;
		*rows[i].slot = slice_trim((struct slice){p, len});
	}
	if (slice_equal_nocase(c->name, SLICE("Upgrade")))
		r->websocket |=
		    slice_equal_nocase(slice_trim((struct slice){p, len}), SLICE("websocket"));
	c->name = (struct slice){NULL, 0};
	return 0;
}

/* The path is what files and pages are found by, so it is decoded here and nowhere again. */
static bool finish_head(struct http_conn *c)
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
	return true;
}

/* Who is refused whatever he sends is not to fill our memory before. */
static uint64_t body_max(const struct http_conn *c, uint64_t told)
{
	const struct http_server *server = c->server;
	bool small = told == UINT64_MAX ? !(c->parser.flags & F_CHUNKED) : told <= HTTP_SMALL_BODY;

	if (server->max_body <= HTTP_SMALL_BODY || small
	    || (server->takes_body && server->takes_body(&c->request, server->arg)))
		return server->max_body;
	return HTTP_SMALL_BODY;
}

static int on_head(struct http_parser *parser)
{
	struct http_conn *c = conn_of_parser(parser);
	uint64_t told = parser->content_length, max;

	c->in_body = true;
	if (!finish_head(c))
		return -1;
	max = body_max(c, told);
	c->body = (struct buffer){.max = (size_t)max};
	c->request.too_long = told != UINT64_MAX && told > max;
	return c->request.too_long ? -1 : 0;
}

static int on_body(struct http_parser *parser, const char *p, size_t len)
{
	struct http_conn *c = conn_of_parser(parser);

	buffer_add(&c->body, (struct slice){p, len});
	c->request.too_long = c->body.err == -EMSGSIZE;
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

void http_request_forget(struct http_conn *c)
{
	buffer_fini(&c->head);
	buffer_fini(&c->body);
	free(c->path);
	c->path = NULL;
	c->seen = 0;
	c->request = (struct http_request){0};
	c->name = c->length = c->expect = (struct slice){NULL, 0};
	c->whole = c->in_body = c->broken = c->answered = false;
}

/* --- heads and bodies --- */

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

/* Is it one of ours, all of it read as far as its body is taken? */
static bool is_read(const struct http_conn *c, size_t n)
{
	enum http_errno err = HTTP_PARSER_ERRNO(&c->parser);

	return c->request.too_long || (n == c->head.len && (err == HPE_OK || err == HPE_PAUSED));
}

static void read_head(struct http_conn *c)
{
	size_t n;

	c->parser.data = c;
	http_parser_init(&c->parser, HTTP_REQUEST);
	n = http_parser_execute(&c->parser, &callbacks, c->head.p, c->head.len);
	c->whole |= c->request.too_long;
	if (!is_read(c, n) || c->parser.http_major != 1
	    || (!c->request.host.p && c->parser.http_minor))
		http_refuse_broken(c, 400);
	else if (!c->whole && slice_equal_nocase(c->expect, SLICE("100-continue")))
		net_stream_send(&c->stream, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
}

size_t http_take_head(struct http_conn *c, struct slice bytes)
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
	}
	buffer_add(&c->head, slice_head(bytes, HEAD_MAX - before));
	if (c->head.err) {
		net_stream_close(&c->stream, c->head.err);
		return bytes.len;
	}
	if (before == 0)
		http_set_life(c);
	end = find_end(c);
	if (c->broken) {
		http_refuse_broken(c, 400);
		return bytes.len;
	}
	if (!end && c->head.len == HEAD_MAX)
		http_refuse_broken(c, 431);
	if (!end)
		return c->head.len - before;
	c->head.len = end;
	read_head(c);
	return end - before;
}

size_t http_take_body(struct http_conn *c, struct slice bytes)
{
	size_t n = http_parser_execute(&c->parser, &callbacks, bytes.p, bytes.len);

	c->whole |= c->request.too_long;
	if (!c->whole && HTTP_PARSER_ERRNO(&c->parser) != HPE_OK)
		http_refuse_broken(c, 400);
	return n;
}
