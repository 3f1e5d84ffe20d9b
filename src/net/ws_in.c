/*
 * What comes over a WebSocket: frames into pieces of messages (RFC 6455 5), where they lie.  wslay
 * reads the headers; payload is unmasked here, since wslay would have to copy it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <wslay/wslay.h>

#include "base/log.h"
#include "net/priv.h"
#include "net/ws.h"

enum { MASKED = 0x80, LENGTH = 0x7f, LENGTH_16 = 126, LENGTH_64 = 127 };

/* --- bytes --- */

ssize_t ws_read(struct net_stream *s, char *p, size_t size, unsigned *flags)
{
	struct buffer *head = &ws_of(s)->head;
	struct slice kept = slice_head(buffer_text(head), size);

	if (!kept.len)
		return ws_carrier(s)->read(s, p, size, flags);
	memcpy(p, kept.p, kept.len);
	buffer_drop(head, kept.len);
	if (!head->len)
		buffer_fini(head);
	*flags |= NET_READ_MORE;
	return (ssize_t)kept.len;
}

/* The mask is as good as one of eight octets, of which eight are taken at once. */
static void unmask(struct ws *ws, char *p, size_t len)
{
	unsigned char mask[8];
	uint64_t words[8], mask_word;
	size_t i = 0;

	for (unsigned k = 0; k < sizeof(mask); k++)
		mask[k] = ws->mask[(ws->mask_at + k) % 4];
	memcpy(&mask_word, mask, sizeof(mask_word));
	for (; len - i >= sizeof(words); i += sizeof(words)) {
		memcpy(words, p + i, sizeof(words));
		for (unsigned k = 0; k < 8; k++)
			words[k] ^= mask_word;
		memcpy(p + i, words, sizeof(words));
	}
	for (; i < len; i++)
		p[i] = (char)(p[i] ^ mask[i % sizeof(mask)]);
	ws->mask_at = (unsigned)(ws->mask_at + len) % 4;
}

/* --- frames --- */

/* @return -EPROTO, with which the stream is closed */
static int refuse(struct net_stream *s, unsigned code, const char *why)
{
	log_debug("%s: conn %" PRIu64 ": WebSocket: %s", s->protocol->name, s->number, why);
	ws_of(s)->close_code = (uint16_t)code;
	return -EPROTO;
}

/* Octets of the header in hand, as far as it tells. */
static size_t header_size(const struct ws *ws)
{
	unsigned length = ws->header[1] & LENGTH;

	if (ws->header_len < 2)
		return 2;
	return 2u
	    + (length == LENGTH_64        ? 8
		    : length == LENGTH_16 ? 2
					  : 0)
	    + (ws->header[1] & MASKED ? 4 : 0);
}

/* @return is it whole? */
static bool take_header(struct ws *ws, struct slice *raw)
{
	while (ws->header_len < header_size(ws)) {
		struct slice part = slice_head(*raw, header_size(ws) - ws->header_len);

		if (!part.len)
			return false;
		memcpy(ws->header + ws->header_len, part.p, part.len);
		ws->header_len = (uint8_t)(ws->header_len + part.len);
		*raw = slice_from(*raw, part.len);
	}
	return true;
}

/* A wslay that reads headers, one at a time and whole, for all streams. */
struct ws_reader {
	wslay_frame_context_ptr context;
	unsigned char header[6]; /* as it is shown */
	size_t len;
};

static ssize_t on_wanted(uint8_t *p, size_t size, int flags, void *arg)
{
	const struct ws_reader *reader = arg;

	(void)flags;
	if (reader->len > size)
		return -1;
	memcpy(p, reader->header, reader->len);
	return (ssize_t)reader->len;
}

void ws_reader_free(struct ws_reader *reader)
{
	if (reader)
		wslay_frame_context_free(reader->context);
	free(reader);
}

static struct ws_reader *reader_of(struct net *net)
{
	static const struct wslay_frame_callbacks callbacks = {.recv_callback = on_wanted};
	struct ws_reader *reader = net->ws_reader;

	if (reader)
		return reader;
	reader = calloc(1, sizeof(*reader));
	if (reader && wslay_frame_context_init(&reader->context, &callbacks, reader) < 0) {
		free(reader);
		reader = NULL;
	}
	net->ws_reader = reader;
	return reader;
}

/*
 * wslay is shown a frame without payload: between two of those it has no state, and the payload,
 * which it would copy and unmask octet by octet, is ours.
 */
static int ask_reader(struct net_stream *s, struct wslay_frame_iocb *frame)
{
	const struct ws *ws = ws_of(s);
	struct ws_reader *reader = reader_of(s->protocol->net);
	unsigned masked = ws->header[1] & MASKED;

	if (!reader)
		return -ENOMEM;
	reader->header[0] = ws->header[0];
	reader->header[1] = (unsigned char)masked;
	reader->len = 2;
	if (masked) {
		memcpy(reader->header + 2, ws->header + ws->header_len - 4, 4);
		reader->len += 4;
	}
	if (wslay_frame_recv(reader->context, frame) == 0)
		return 0;
	s->protocol->net->ws_reader = NULL; /* where it stands in the frame nobody knows */
	ws_reader_free(reader);
	return -EPROTO;
}

/* RFC 6455 5.2: in as few octets as it takes, and without a sign. */
static int read_length(const struct ws *ws, uint64_t *lengthp)
{
	unsigned first = ws->header[1] & LENGTH, octets = 0;
	uint64_t length = first, least = 0;

	if (first >= LENGTH_16) {
		octets = first == LENGTH_64 ? 8 : 2;
		least = first == LENGTH_64 ? UINT16_MAX + UINT64_C(1) : LENGTH_16;
		length = 0;
	}
	for (unsigned i = 0; i < octets; i++)
		length = length << 8 | ws->header[2 + i];
	*lengthp = length;
	return length < least || length > INT64_MAX ? -EPROTO : 0;
}

static int read_header(struct net_stream *s, struct wslay_frame_iocb *frame)
{
	int err = ask_reader(s, frame);

	if (err == 0)
		err = read_length(ws_of(s), &frame->payload_length);
	if (err == 0 && wslay_is_ctrl_frame(frame->opcode)
	    && frame->payload_length > WS_CONTROL_MAX)
		err = -EPROTO;
	return err == -EPROTO
	    ? refuse(s, WSLAY_CODE_PROTOCOL_ERROR, "a frame with an impossible header")
	    : err;
}

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

static int begin_frame(struct net_stream *s)
{
	struct ws *ws = ws_of(s);
	struct wslay_frame_iocb frame;
	int err = read_header(s, &frame);

	if (err == 0)
		err = check_frame(s, &frame);
	if (err < 0)
		return err;
	ws->fin = frame.fin;
	ws->opcode = frame.opcode;
	ws->frame_left = frame.payload_length;
	memcpy(ws->mask, ws->header + ws->header_len - sizeof(ws->mask), sizeof(ws->mask));
	ws->mask_at = 0;
	ws->header_len = 0;
	ws->in_frame = true;
	if (!wslay_is_ctrl_frame(frame.opcode)) {
		ws->in_message = true;
		ws->message_len += frame.payload_length;
		return 0;
	}
	ws->control = calloc(1, sizeof(*ws->control));
	return ws->control ? 0 : -ENOMEM;
}

/* --- control frames --- */

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
static void on_ping(struct net_stream *s, struct ws_rest *ping)
{
	struct ws *ws = ws_of(s);

	memmove(ping->bytes + 2, ping->bytes, ping->len);
	ping->len += ws_write_header(ping->bytes, WSLAY_PONG, true, ping->len);
	free(ws->next);
	ws->next = ping;
	ws_go_on_soon(s);
}

static void tell_alive(struct net_stream *s)
{
	if (s->protocol->handler->alive)
		s->protocol->handler->alive(s);
}

/* @return 0, or negative errno: nothing more is read */
static int end_control(struct net_stream *s)
{
	struct ws_rest *control = ws_of(s)->control;
	int err = 0;

	ws_of(s)->control = NULL;
	if (ws_of(s)->opcode == WSLAY_PING)
		on_ping(s, control);
	else if (ws_of(s)->opcode == WSLAY_CONNECTION_CLOSE)
		err = on_close(s, control->bytes, control->len);
	if (ws_of(s)->opcode != WSLAY_PING)
		free(control);
	if (ws_of(s)->opcode != WSLAY_CONNECTION_CLOSE)
		tell_alive(s);
	return err;
}

/* --- pieces --- */

/* What has come of the open frame's payload, unmasked. */
static struct slice take_payload(struct ws *ws, struct slice *raw)
{
	struct slice payload = *raw;

	if (payload.len > ws->frame_left)
		payload.len = (size_t)ws->frame_left;
	unmask(ws, (char *)(uintptr_t)payload.p, payload.len);
	*raw = slice_from(*raw, payload.len);
	ws->frame_left -= payload.len;
	ws->in_frame = ws->frame_left > 0;
	return payload;
}

static int take_control(struct net_stream *s, struct slice payload)
{
	struct ws *ws = ws_of(s);

	memcpy(ws->control->bytes + ws->control->len, payload.p, payload.len);
	ws->control->len += payload.len;
	return ws->in_frame ? 0 : end_control(s);
}

static bool end_data(struct ws *ws)
{
	if (ws->in_frame || !ws->fin)
		return false;
	ws->in_message = false;
	ws->message_len = 0;
	return true;
}

int ws_unframe(struct net_stream *s, struct slice *raw, struct slice *piece, bool *endp)
{
	struct ws *ws = ws_of(s);
	struct slice payload;
	int err = 0;

	/* A frame without payload is over when its header is. */
	while (err == 0 && (ws->in_frame ? raw->len > 0 : take_header(ws, raw))) {
		if (!ws->in_frame && (err = begin_frame(s)) < 0)
			break;
		payload = take_payload(ws, raw);
		if (ws->control) {
			err = take_control(s, payload);
			if (s->state != NET_OPEN)
				return 0; /* who heard that the peer is there has closed it */
			continue;
		}
		*endp = end_data(ws);
		*piece = payload;
		if (payload.len || *endp)
			return 1;
	}
	return err;
}
