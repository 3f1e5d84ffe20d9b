/*
 * WebSocket (RFC 6455) for whoever is accepted, on TCP or TLS: messages in frames.  wslay reads
 * the frames; it is there only while one is at hand, so that an idle stream costs no buffer.
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

enum {
	HEAD_MAX = 8192,    /* of the request that upgrades */
	HEAD_STEP = 1024,   /* in which it is read */
	PIECE_MAX = 4096,   /* of payload that wslay gives at once */
	FRUITLESS_MAX = 64, /* control frames and the like in a row, for fairness */
	HEADER_MAX = 10,    /* of a frame without mask */
	CONTROL_MAX = 125,  /* payload of a control frame: RFC 6455 5.5 */
	REST_PAYLOAD = 64,
};

/* Bytes that are to go out before anything else: a control frame, or how a frame begins. */
struct rest {
	size_t at, len;
	unsigned char bytes[HEADER_MAX + CONTROL_MAX];
};

struct ws {
	struct buffer head; /* of the handshake, and what came behind it */
	bool carrier_open;  /* the carrier's handshake is over */

	/* in */
	wslay_frame_context_ptr frames; /* NULL: between two of them */
	size_t ahead;                   /* bytes that it was given, and has not given */
	int carrier_says;               /* why there were none for it, or 1 */
	bool carrier_has_more;
	bool in_frame, in_message;
	uint64_t frame_left, message_len;
	struct rest *control; /* payload of a control frame while it comes */
	int over;             /* why nothing more is read */
	uint16_t close_code;  /* RFC 6455 7.4 */

	/* out */
	bool out_message;  /* one is open */
	uint64_t out_left; /* of the open frame */
	struct rest *rest;
	struct rest *next; /* a ping or pong that waits for the end of the open frame */
};

static struct ws *ws_of(const struct net_stream *s)
{
	return s->link.carried;
}

static const struct net_transport *carrier_of(const struct net_stream *s)
{
	return s->link.ops->carrier;
}

/* --- the handshake --- */

static int ws_open(struct net_stream *s)
{
	const struct net_transport *carrier = carrier_of(s);
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
	ssize_t n = carrier_of(s)->writev(s, &iov, 1, false);

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
		n = carrier_of(s)->read(s, head->p + seen, HEAD_STEP, &flags);
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
	const struct net_transport *carrier = carrier_of(s);
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

/* --- what is ours to send between the frames of messages --- */

static size_t write_header(unsigned char *p, unsigned opcode, bool fin, uint64_t len)
{
	size_t octets = len > UINT16_MAX ? 8 : len > CONTROL_MAX ? 2 : 0;

	p[0] = (unsigned char)(opcode | (fin ? 0x80 : 0));
	p[1] = (unsigned char)(octets == 8 ? 127 : octets == 2 ? 126 : len);
	for (size_t i = octets; i > 0; i--, len >>= 8)
		p[1 + i] = (unsigned char)len;
	return 2 + octets;
}

/* Have the stream call again for the bytes that are ours, unless it will for the carrier's. */
static void go_on_soon(struct net_stream *s)
{
	struct ws *ws = ws_of(s);

	if (net_stream_held(s))
		return;
	if (!ws->rest && ws->out_left == 0) {
		ws->rest = ws->next;
		ws->next = NULL;
	}
	if (ws->rest)
		net_stream_hold(s, ws->rest->len - ws->rest->at);
}

static ssize_t write_rest(struct net_stream *s)
{
	struct ws *ws = ws_of(s);
	struct iovec iov = {ws->rest->bytes + ws->rest->at, ws->rest->len - ws->rest->at};
	ssize_t n = carrier_of(s)->writev(s, &iov, 1, false);

	if (n < 0)
		return n;
	ws->rest->at += (size_t)n;
	if (ws->rest->at == ws->rest->len) {
		free(ws->rest);
		ws->rest = NULL;
	}
	return n;
}

/* --- reading --- */

/* @return -EPROTO, with which the stream is closed */
static int refuse(struct net_stream *s, unsigned code, const char *why)
{
	log_debug("%s: conn %" PRIu64 ": WebSocket: %s", s->protocol->name, s->number, why);
	ws_of(s)->close_code = (uint16_t)code;
	return -EPROTO;
}

/* wslay asks for bytes: first those that came behind the handshake. */
static ssize_t on_wanted(uint8_t *p, size_t size, int wslay_flags, void *stream)
{
	struct net_stream *s = stream;
	struct ws *ws = ws_of(s);
	unsigned flags = 0;
	ssize_t n;

	(void)wslay_flags;
	if (ws->head.len) {
		struct slice kept = slice_head(buffer_text(&ws->head), size);

		n = (ssize_t)kept.len;
		memcpy(p, kept.p, kept.len);
		buffer_drop(&ws->head, kept.len);
		ws->carrier_has_more = ws->head.len > 0;
	} else {
		n = carrier_of(s)->read(s, (char *)p, size, &flags);
		ws->carrier_has_more = flags & NET_READ_MORE;
	}
	ws->carrier_says = n > 0 ? 1 : n ? (int)n : -ECONNRESET;
	if (n <= 0)
		return -1;
	ws->ahead += (size_t)n;
	return n;
}

static const struct wslay_frame_callbacks callbacks = {.recv_callback = on_wanted};

/* RFC 6455 5.2, 5.4, 5.5 */
static int check_frame(struct net_stream *s, const struct wslay_frame_iocb *frame)
{
	struct ws *ws = ws_of(s);
	uint64_t max = s->protocol->limits.max_message;
	bool first = frame->opcode == WSLAY_TEXT_FRAME || frame->opcode == WSLAY_BINARY_FRAME;

	if (!frame->mask)
		return refuse(s, WSLAY_CODE_PROTOCOL_ERROR, "a frame without mask");
	if (frame->rsv)
		return refuse(s, WSLAY_CODE_PROTOCOL_ERROR, "an extension that was not agreed on");
	if (wslay_is_ctrl_frame(frame->opcode))
		return frame->opcode <= WSLAY_PONG
		    ? 0
		    : refuse(s, WSLAY_CODE_PROTOCOL_ERROR, "an unknown control frame");
	if (!first && frame->opcode != WSLAY_CONTINUATION_FRAME)
		return refuse(s, WSLAY_CODE_PROTOCOL_ERROR, "an unknown frame");
	if (first == ws->in_message)
		return refuse(s, WSLAY_CODE_PROTOCOL_ERROR, "a fragment out of turn");
	if (max && (frame->payload_length > max || ws->message_len > max - frame->payload_length))
		return refuse(s, WSLAY_CODE_MESSAGE_TOO_BIG, "a message too long");
	return 0;
}

static int begin_frame(struct net_stream *s, const struct wslay_frame_iocb *frame)
{
	struct ws *ws = ws_of(s);
	int err = check_frame(s, frame);

	if (err < 0)
		return err;
	ws->in_frame = true;
	ws->frame_left = frame->payload_length;
	ws->ahead -= 6; /* two octets, and the mask */
	if (frame->payload_length > CONTROL_MAX)
		ws->ahead -= frame->payload_length > UINT16_MAX ? 8 : 2;
	if (!wslay_is_ctrl_frame(frame->opcode)) {
		ws->in_message = true;
		ws->message_len += frame->payload_length;
		return 0;
	}
	ws->control = calloc(1, sizeof(*ws->control));
	return ws->control ? 0 : -ENOMEM;
}

/* RFC 6455 7.4: may this code come in a frame? */
static bool is_close_code(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014)
	    || (code >= 3000 && code <= 4999);
}

/* The peer closes: it is answered with its own code. */
static int on_close(struct net_stream *s, const unsigned char *payload, size_t len)
{
	struct ws *ws = ws_of(s);
	unsigned code =
	    len < 2 ? WSLAY_CODE_NORMAL_CLOSURE : (unsigned)payload[0] << 8 | payload[1];

	if (len == 1 || !is_close_code(code))
		return refuse(s, WSLAY_CODE_PROTOCOL_ERROR, "a close frame without proper code");
	ws->close_code = (uint16_t)code;
	return -ECONNRESET;
}

/* Only the latest ping needs its pong (RFC 6455 5.5.3). */
static void on_ping(struct net_stream *s, struct rest *ping)
{
	struct ws *ws = ws_of(s);

	memmove(ping->bytes + 2, ping->bytes, ping->len);
	ping->len += write_header(ping->bytes, WSLAY_PONG, true, ping->len);
	free(ws->next);
	ws->next = ping;
	go_on_soon(s);
}

static void tell_alive(struct net_stream *s)
{
	if (s->protocol->handler->alive)
		s->protocol->handler->alive(s);
}

/* @return 0, or negative errno: nothing more is read */
static int end_control(struct net_stream *s, unsigned opcode)
{
	struct rest *control = ws_of(s)->control;
	int err = 0;

	ws_of(s)->control = NULL;
	if (opcode != WSLAY_CONNECTION_CLOSE)
		tell_alive(s);
	if (opcode == WSLAY_PING) {
		on_ping(s, control);
		return 0;
	}
	if (opcode == WSLAY_CONNECTION_CLOSE)
		err = on_close(s, control->bytes, control->len);
	free(control);
	return err;
}

static void end_data(struct ws *ws, bool fin, unsigned *flags)
{
	if (!fin)
		return;
	ws->in_message = false;
	ws->message_len = 0;
	*flags |= NET_READ_END;
}

/* @return bytes of a message at p; or negative errno */
static ssize_t take_piece(struct net_stream *s, const struct wslay_frame_iocb *frame, char *p,
    unsigned *flags)
{
	struct ws *ws = ws_of(s);
	bool control = wslay_is_ctrl_frame(frame->opcode);
	int err = ws->in_frame ? 0 : begin_frame(s, frame);

	if (err < 0)
		return err;
	ws->ahead -= frame->data_length;
	ws->frame_left -= frame->data_length;
	ws->in_frame = ws->frame_left > 0;
	memcpy(control ? (char *)ws->control->bytes + ws->control->len : p, frame->data,
	    frame->data_length);
	if (!control) {
		if (!ws->in_frame)
			end_data(ws, frame->fin, flags);
		return (ssize_t)frame->data_length;
	}
	ws->control->len += frame->data_length;
	return ws->in_frame ? 0 : end_control(s, frame->opcode);
}

/* @return bytes of a message, 0: of none; or negative errno */
static ssize_t read_piece(struct net_stream *s, char *p, unsigned *flags)
{
	struct ws *ws = ws_of(s);
	struct wslay_frame_iocb frame;
	ssize_t n;

	if (!ws->frames && wslay_frame_context_init(&ws->frames, &callbacks, s) < 0)
		return -ENOMEM;
	n = wslay_frame_recv(ws->frames, &frame);
	if (n == WSLAY_ERR_WANT_READ)
		return ws->carrier_says < 0 ? ws->carrier_says : 0;
	if (n < 0)
		return refuse(s, WSLAY_CODE_PROTOCOL_ERROR, "a frame with an impossible header");
	return take_piece(s, &frame, p, flags);
}

/* Up to the end of a message, if it comes. @return bytes; *errp: why there are no more */
static size_t read_message(struct net_stream *s, char *p, size_t size, unsigned *flags, int *errp)
{
	size_t got = 0;

	for (int fruitless = 0; size - got >= PIECE_MAX && !(*flags & NET_READ_END);) {
		ssize_t n = read_piece(s, p + got, flags);

		if (n < 0) {
			*errp = (int)n;
			break;
		}
		got += (size_t)n;
		if (n == 0 && ++fruitless == FRUITLESS_MAX)
			break;
	}
	return got;
}

/* Between two frames, with nothing read ahead, there is nothing to remember. */
static void stop_reading_ahead(struct ws *ws)
{
	if (ws->in_frame || ws->ahead)
		return;
	wslay_frame_context_free(ws->frames);
	ws->frames = NULL;
	if (ws->head.len == 0)
		buffer_fini(&ws->head);
}

static ssize_t ws_read(struct net_stream *s, char *p, size_t size, unsigned *flags)
{
	struct ws *ws = ws_of(s);
	int err = 0;
	size_t got = ws->over ? 0 : read_message(s, p, size, flags, &err);

	if (err < 0 && err != -EAGAIN)
		ws->over = err;
	stop_reading_ahead(ws);
	if (ws->over ? got > 0 : err == 0 && (ws->ahead || ws->carrier_has_more))
		*flags |= NET_READ_MORE;
	if (got || *flags & NET_READ_END)
		return (ssize_t)got;
	return ws->over ? ws->over : -EAGAIN;
}

/* --- writing --- */

/* The header of a frame and what may follow it now. @return pieces */
static int gather(struct iovec *to, unsigned char *header, size_t header_len, uint64_t left,
    const struct iovec *iov, int count)
{
	int n = 0;

	if (header_len)
		to[n++] = (struct iovec){header, header_len};
	for (int i = 0; i < count && left; i++) {
		to[n] = iov[i];
		if (to[n].iov_len > left)
			to[n].iov_len = (size_t)left;
		left -= to[n++].iov_len;
	}
	return n;
}

/*
 * Nothing but the header of a frame has left, or less: the stream may not think that nothing has,
 * so a little of the payload is taken as well.
 * @return bytes of payload taken
 */
static ssize_t keep_beginning(struct net_stream *s, const unsigned char *header, size_t header_len,
    size_t sent, const struct iovec *iov)
{
	struct ws *ws = ws_of(s);
	struct rest *rest = calloc(1, sizeof(*rest));
	struct slice payload =
	    slice_head((struct slice){iov->iov_base, iov->iov_len}, REST_PAYLOAD);

	if (!rest)
		return -ENOMEM;
	memcpy(rest->bytes, header + sent, header_len - sent);
	memcpy(rest->bytes + header_len - sent, payload.p, payload.len);
	rest->len = header_len - sent + payload.len;
	ws->rest = rest;
	return (ssize_t)payload.len;
}

/* A character that is cut in two, up to where it is. */
struct cut {
	char bytes[4];
	size_t len;
};

/* How much of the end of a piece may be the beginning of a character. */
static size_t find_cut(struct slice piece)
{
	for (size_t n = 1; n <= 3 && n <= piece.len; n++) {
		struct slice end = slice_from(piece, piece.len - n);

		if ((end.p[0] & 0xc0) != 0x80)
			return slice_utf8_char(end) ? 0 : n;
	}
	return 0;
}

static bool is_utf8_piece(struct slice piece, struct cut *cut)
{
	struct slice end;

	for (; cut->len && piece.len; piece = slice_from(piece, 1)) {
		cut->bytes[cut->len++] = piece.p[0];
		if (slice_utf8_char((struct slice){cut->bytes, cut->len}))
			cut->len = 0;
		else if (cut->len == sizeof(cut->bytes))
			return false;
	}
	if (!piece.len)
		return true;
	end = slice_from(piece, piece.len - find_cut(piece));
	memcpy(cut->bytes, end.p, end.len);
	cut->len = end.len;
	return slice_is_utf8(slice_head(piece, piece.len - end.len));
}

static bool is_utf8(const struct iovec *iov, int count)
{
	struct cut cut = {.len = 0};

	for (int i = 0; i < count; i++)
		if (!is_utf8_piece((struct slice){iov[i].iov_base, iov[i].iov_len}, &cut))
			return false;
	return cut.len == 0;
}

/* What is not there as a whole is binary: it may yet become anything. */
static unsigned opcode_of(const struct net_stream *s, const struct iovec *iov, int count, bool end)
{
	if (ws_of(s)->out_message)
		return WSLAY_CONTINUATION_FRAME;
	return s->protocol->text && end && is_utf8(iov, count) ? WSLAY_TEXT_FRAME
							       : WSLAY_BINARY_FRAME;
}

static uint64_t bytes_of(const struct iovec *iov, int count)
{
	uint64_t bytes = 0;

	for (int i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

/* Begin a frame of all these bytes, or go on in the open one. @return bytes taken, or -errno */
static ssize_t write_frame(struct net_stream *s, const struct iovec *iov, int count, bool end)
{
	struct ws *ws = ws_of(s);
	struct iovec pieces[NET_IOV_MAX + 1];
	unsigned char header[HEADER_MAX];
	bool begins = ws->out_left == 0;
	uint64_t left = begins ? bytes_of(iov, count) : ws->out_left;
	size_t header_len = 0;
	ssize_t n;

	if (begins)
		header_len = write_header(header, opcode_of(s, iov, count, end), end, left);
	n = carrier_of(s)->writev(s, pieces, gather(pieces, header, header_len, left, iov, count),
	    false);
	if (n <= 0)
		return n;
	if ((size_t)n > header_len)
		n -= (ssize_t)header_len;
	else
		n = keep_beginning(s, header, header_len, (size_t)n, iov);
	if (n < 0)
		return n;
	if (begins)
		ws->out_message = !end;
	ws->out_left = left - (uint64_t)n;
	return n;
}

static ssize_t ws_writev(struct net_stream *s, const struct iovec *iov, int count, bool end)
{
	struct ws *ws = ws_of(s);
	ssize_t n;

	if (count) {
		n = write_frame(s, iov, count, end);
	} else if (ws->rest) {
		net_stream_hold(s, 0);
		n = write_rest(s);
	} else {
		n = carrier_of(s)->writev(s, NULL, 0, false);
	}
	go_on_soon(s);
	return n;
}

/* RFC 6455 5.5.2 */
static bool ws_ping(struct net_stream *s)
{
	struct ws *ws = ws_of(s);

	if (ws->next)
		return false;
	ws->next = calloc(1, sizeof(*ws->next));
	if (!ws->next)
		return false;
	ws->next->len = write_header(ws->next->bytes, WSLAY_PING, true, 0);
	go_on_soon(s);
	return true;
}

/* --- the end --- */

static void say_close(struct net_stream *s)
{
	unsigned code = s->protocol->stopping ? WSLAY_CODE_GOING_AWAY : ws_of(s)->close_code;
	unsigned char frame[4];

	write_header(frame, WSLAY_CONNECTION_CLOSE, true, 2);
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
		if (ws->frames)
			wslay_frame_context_free(ws->frames);
		free(ws->control);
		free(ws->rest);
		free(ws->next);
		free(ws);
	}
	if (s->link.state)
		carrier_of(s)->shutdown(s);
}

#define OVER(below)                                                                               \
	.carrier = &(below), .framed = true, .open = ws_open, .start = ws_start, .read = ws_read, \
	.writev = ws_writev, .ping = ws_ping, .shutdown = ws_shutdown

const struct net_transport net_ws = {.name = "ws", OVER(net_tcp)};
const struct net_transport net_wss = {.name = "wss", .encrypted = true, OVER(net_tls)};
