/* What goes out over a WebSocket: messages in frames, as many at once as the carrier takes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <wslay/wslay.h>

#include "net/stream.h"
#include "net/ws.h"

enum {
	FRAMES_MAX = 64,   /* at once */
	REST_PAYLOAD = 64, /* of a frame of which nothing but the header has left */
};

/* --- headers --- */

size_t ws_write_header(unsigned char *p, unsigned opcode, bool fin, uint64_t len)
{
	size_t octets = len > UINT16_MAX ? 8 : len > WS_CONTROL_MAX ? 2 : 0;

	p[0] = (unsigned char)(opcode | (fin ? 0x80 : 0));
	p[1] = (unsigned char)(octets == 8 ? 127 : octets == 2 ? 126 : len);
	for (size_t i = octets; i > 0; i--, len >>= 8)
		p[1 + i] = (unsigned char)len;
	return 2 + octets;
}

/* --- text or not --- */

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

/* --- frames --- */

struct frame {
	unsigned char header[WS_HEADER_OUT_MAX];
	size_t header_len; /* 0: it has left, and so has a part of the payload */
	uint64_t payload;
	bool end;   /* of a message */
	int pieces; /* where its payload begins among those of the batch */
};

/* What the carrier is given at once. */
struct batch {
	const struct iovec *iov; /* what is left of it to put in frames */
	int count;
	size_t at; /* bytes of the first of them that are in frames already */
	struct frame frames[FRAMES_MAX];
	int frame_count;
	struct iovec pieces[NET_IOV_MAX + 2 * FRAMES_MAX];
	int piece_count;
};

static uint64_t bytes_of(const struct iovec *iov, int count)
{
	uint64_t bytes = 0;

	for (int i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

static void add_payload(struct batch *b, uint64_t bytes)
{
	while (bytes) {
		struct iovec piece = {(char *)b->iov->iov_base + b->at, b->iov->iov_len - b->at};

		if (piece.iov_len > bytes)
			piece.iov_len = (size_t)bytes;
		b->at += piece.iov_len;
		if (b->at == b->iov->iov_len) {
			b->iov++;
			b->count--;
			b->at = 0;
		}
		bytes -= piece.iov_len;
		if (piece.iov_len)
			b->pieces[b->piece_count++] = piece;
	}
}

/* What is not there as a whole is binary: it may yet become anything. */
static unsigned opcode_of(const struct net_stream *s, const struct batch *b, const struct frame *f,
    bool in_message)
{
	if (in_message)
		return WSLAY_CONTINUATION_FRAME;
	return s->protocol->text && f->end
		&& is_utf8(b->pieces + f->pieces, b->piece_count - f->pieces)
	    ? WSLAY_TEXT_FRAME
	    : WSLAY_BINARY_FRAME;
}

/* @return is there room for another one? */
static bool add_frame(const struct net_stream *s, struct batch *b, uint64_t payload, bool end,
    bool *in_message)
{
	struct frame *f = &b->frames[b->frame_count++];
	struct iovec *header = &b->pieces[b->piece_count++];

	*f = (struct frame){.payload = payload, .end = end, .pieces = b->piece_count};
	add_payload(b, payload);
	f->header_len = ws_write_header(f->header, opcode_of(s, b, f, *in_message), end, payload);
	*header = (struct iovec){f->header, f->header_len};
	*in_message = !end;
	return b->frame_count < FRAMES_MAX;
}

/* The rest of the open frame, a frame for each message, and one for what is of no whole message. */
static void gather(const struct net_stream *s, struct batch *b, const struct net_ends *ends)
{
	const struct ws *ws = ws_of(s);
	uint64_t all = bytes_of(b->iov, b->count), at = ws->out_left < all ? ws->out_left : all;
	bool in_message = ws->out_message, room = true;

	if (at) {
		b->frames[b->frame_count++] =
		    (struct frame){.payload = ws->out_left, .end = !ws->out_message};
		add_payload(b, at);
	}
	for (int i = 0; i < ends->count && room; i++) {
		if (ends->at[i] <= at)
			continue;
		room = add_frame(s, b, ends->at[i] - at, true, &in_message);
		at = ends->at[i];
	}
	if (room && at < all)
		add_frame(s, b, all - at, false, &in_message);
}

/*
 * Of a frame nothing but the header has left, or less: the stream may not think that nothing has,
 * so a little of the payload is taken as well.
 * @return bytes of payload taken
 */
static ssize_t keep_beginning(struct ws *ws, const struct batch *b, const struct frame *f,
    size_t sent)
{
	const struct iovec *first = &b->pieces[f->pieces];
	struct slice payload =
	    slice_head((struct slice){first->iov_base, first->iov_len}, REST_PAYLOAD);
	struct ws_rest *rest = calloc(1, sizeof(*rest));

	if (!rest)
		return -ENOMEM;
	memcpy(rest->bytes, f->header + sent, f->header_len - sent);
	memcpy(rest->bytes + f->header_len - sent, payload.p, payload.len);
	rest->len = f->header_len - sent + payload.len;
	ws->rest = rest;
	return (ssize_t)payload.len;
}

/* So many bytes of a frame were taken, one at least.  @return those of its payload, or -ENOMEM */
static ssize_t settle_frame(struct ws *ws, const struct batch *b, const struct frame *f,
    size_t sent)
{
	ssize_t payload = sent > f->header_len || f->header_len == 0
	    ? (ssize_t)(sent - f->header_len)
	    : keep_beginning(ws, b, f, sent);

	if (payload < 0)
		return payload;
	ws->out_message = !f->end;
	ws->out_left = f->payload - (uint64_t)payload;
	return payload;
}

/* @return bytes of payload among those that the carrier has taken, or -ENOMEM */
static ssize_t settle(struct ws *ws, const struct batch *b, size_t sent)
{
	ssize_t taken = 0;

	for (int i = 0; i < b->frame_count && sent; i++) {
		const struct frame *f = &b->frames[i];
		uint64_t whole = f->header_len + f->payload;
		size_t part = whole < sent ? (size_t)whole : sent;
		ssize_t n = settle_frame(ws, b, f, part);

		if (n < 0)
			return n;
		sent -= part;
		taken += n;
	}
	return taken;
}

static ssize_t write_frames(struct net_stream *s, const struct iovec *iov, int count,
    const struct net_ends *ends)
{
	struct batch b;
	ssize_t n;

	b.iov = iov;
	b.count = count;
	b.at = 0;
	b.frame_count = b.piece_count = 0;
	gather(s, &b, ends);
	n = ws_carrier(s)->writev(s, b.pieces, b.piece_count, NULL);
	return n <= 0 ? n : settle(ws_of(s), &b, (size_t)n);
}

/* --- what is ours to send between the frames of messages --- */

void ws_go_on_soon(struct net_stream *s)
{
	struct ws *ws = ws_of(s);

	if (net_stream_held(s))
		return;
	if (!ws->rest && ws->out_left == 0) {
		ws->rest = ws->next;
		ws->next = NULL;
	}
	if (!ws->rest)
		return;
	ws->holding = true;
	net_stream_hold(s, ws->rest->len - ws->rest->at);
}

static ssize_t write_rest(struct net_stream *s)
{
	struct ws *ws = ws_of(s);
	struct iovec iov = {ws->rest->bytes + ws->rest->at, ws->rest->len - ws->rest->at};
	ssize_t n;

	ws->holding = false;
	net_stream_hold(s, 0);
	n = ws_carrier(s)->writev(s, &iov, 1, NULL);
	if (n < 0)
		return n;
	ws->rest->at += (size_t)n;
	if (ws->rest->at == ws->rest->len) {
		free(ws->rest);
		ws->rest = NULL;
	}
	return n;
}

ssize_t ws_writev(struct net_stream *s, const struct iovec *iov, int count,
    const struct net_ends *ends)
{
	ssize_t n;

	if (count)
		n = write_frames(s, iov, count, ends);
	else if (ws_of(s)->holding)
		n = write_rest(s);
	else
		n = ws_carrier(s)->writev(s, NULL, 0, NULL);
	ws_go_on_soon(s);
	return n;
}
