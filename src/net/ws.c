/*
 * The transport of WebSockets (RFC 6455) for whoever is accepted, on TCP or TLS: its handshake, its
 * pings and its end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <wslay/wslay.h>

#include "base/buffer.h"
#include "base/log.h"
#include "net/listener.h"
#include "net/priv.h"
#include "net/stream.h"
#include "net/upgrade.h"
#include "net/ws.h"

enum {
	HEAD_MAX = 8192,  /* of the request that upgrades */
	HEAD_STEP = 1024, /* in which it is read */
};

/* --- the handshake --- */

static int ws_open(struct net_stream *s)
{
	const struct net_transport *carrier = ws_carrier(s);
	struct ws *ws;

	if (!s->accepted)
		return -EPROTONOSUPPORT;
	ws = calloc(1, sizeof(*ws));
	if (!ws)
		return -ENOMEM;
	ws->head.max = HEAD_MAX;
	ws->close_code = WSLAY_CODE_NORMAL_CLOSURE;
	s->link.carried = ws;
	return carrier->open ? carrier->open(s) : 0;
}

static int say(struct net_stream *s, const void *bytes, size_t len)
{
	struct iovec iov = {(void *)(uintptr_t)bytes, len};
	ssize_t n = ws_carrier(s)->writev(s, &iov, 1, NULL);

	/* A socket on which nothing was said yet has room for that little. */
	return n < 0 ? (int)n : (size_t)n < len ? -EPROTO : 0;
}

/* @return 1, or negative errno */
static int answer(struct net_stream *s, size_t head_len)
{
	struct ws *ws = ws_of(s);
	struct upgrade_terms terms = {
	    .subprotocol = slice_of(s->protocol->subprotocol),
	    .origins = s->listener->origins,
	};
	char text[512];
	struct buffer w = BUFFER_ON(text);
	unsigned status = 431;
	int err;

	if (head_len)
		status = upgrade_answer((struct slice){ws->head.p, head_len}, &terms, &w);
	else
		upgrade_refuse(status, &w);
	err = w.err ? w.err : say(s, text, w.len);
	if (status != 101) {
		log_debug("%s: conn %" PRIu64 ": WebSocket refused: %u", s->protocol->name,
		    s->number, status);
		return -EPROTO;
	}
	buffer_drop(&ws->head, head_len);
	if (!ws->head.len)
		buffer_fini(&ws->head);
	return err < 0 ? err : 1;
}

/* @return bytes up to the end of the head, the first seen of which are known not to end it; or 0 */
static size_t find_end(const struct buffer *head, size_t seen)
{
	size_t from = seen > 3 ? seen - 3 : 0;
	const char *end = memmem(head->p + from, head->len - from, "\r\n\r\n", 4);

	return end ? (size_t)(end - head->p) + 4 : 0;
}

/* @return 1: done, 0: under way, or negative errno */
static int read_head(struct net_stream *s)
{
	struct buffer *head = &ws_of(s)->head;

	for (;;) {
		size_t seen = head->len, end;
		unsigned flags = 0;
		ssize_t n;

		if (buffer_reserve(head, HEAD_STEP) < 0)
			return head->err == -EMSGSIZE ? answer(s, 0) : head->err;
		n = ws_carrier(s)->read(s, head->p + seen, HEAD_STEP, &flags);
		if (n <= 0)
			return n == -EAGAIN ? 0 : n ? (int)n : -ECONNRESET;
		head->len += (size_t)n;
		end = find_end(head, seen);
		if (end)
			return answer(s, end);
	}
}

static int ws_start(struct net_stream *s)
{
	const struct net_transport *carrier = ws_carrier(s);
	struct ws *ws = ws_of(s);

	if (!ws->carrier_open) {
		int n = carrier->start ? carrier->start(s) : 1;

		if (n <= 0)
			return n;
		ws->carrier_open = true;
		net_stream_set_life(s, &s->protocol->prefacing);
	}
	return read_head(s);
}

int ws_adopt(struct net_stream *s, struct slice answer, struct slice rest)
{
	struct ws *ws = calloc(1, sizeof(*ws));
	int err = -ENOMEM;

	if (!ws)
		return err;
	ws->head.max = BUFFER_UNBOUNDED; /* what was read at once, at most */
	ws->close_code = WSLAY_CODE_NORMAL_CLOSURE;
	ws->carrier_open = true;
	s->link.carried = ws;
	buffer_add(&ws->head, rest);
	return ws->head.err ? ws->head.err : say(s, answer.p, answer.len);
}

/* --- asking --- */

/* RFC 6455 5.5.2 */
static bool ws_ping(struct net_stream *s)
{
	struct ws *ws = ws_of(s);

	if (ws->next)
		return false;
	ws->next = calloc(1, sizeof(*ws->next));
	if (!ws->next)
		return false;
	ws->next->len = ws_write_header(ws->next->bytes, WSLAY_PING, true, 0);
	ws_go_on_soon(s);
	return true;
}

/* --- the end --- */

static void say_close(struct net_stream *s)
{
	unsigned code = s->protocol->stopping ? WSLAY_CODE_GOING_AWAY : ws_of(s)->close_code;
	unsigned char frame[4];

	ws_write_header(frame, WSLAY_CONNECTION_CLOSE, true, 2);
	frame[2] = (unsigned char)(code >> 8);
	frame[3] = (unsigned char)code;
	say(s, frame, sizeof(frame)); /* its failure is of no interest any more */
}

static void ws_shutdown(struct net_stream *s)
{
	struct ws *ws = ws_of(s);

	if (ws) {
		if (s->state == NET_OPEN && !ws->rest && !ws->out_left && !net_stream_held(s))
			say_close(s);
		buffer_fini(&ws->head);
		free(ws->control);
		free(ws->rest);
		free(ws->next);
		free(ws);
	}
	if (s->link.state)
		ws_carrier(s)->shutdown(s);
}

#define OVER(below)                                                                               \
	.carrier = &(below), .framed = true, .open = ws_open, .start = ws_start, .read = ws_read, \
	.unframe = ws_unframe, .writev = ws_writev, .ping = ws_ping, .shutdown = ws_shutdown

const struct net_transport net_ws = {.name = "ws", OVER(net_tcp)};
const struct net_transport net_wss = {.name = "wss", .encrypted = true, OVER(net_tls)};
