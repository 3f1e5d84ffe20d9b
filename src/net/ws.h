/* A WebSocket as its two directions see it: ws.c, ws_in.c, ws_out.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buffer.h"
#include "net/transport.h"

enum {
	WS_HEADER_IN_MAX = 14,  /* of a frame with a mask */
	WS_HEADER_OUT_MAX = 10, /* and without one */
	WS_CONTROL_MAX = 125,   /* payload of a control frame: RFC 6455 5.5 */
};

/* Bytes that are to go out before anything else: a control frame, or how a frame begins. */
struct ws_rest {
	size_t at, len;
	unsigned char bytes[WS_HEADER_OUT_MAX + WS_CONTROL_MAX];
};

struct ws {
	struct buffer head; /* of the handshake, and what came behind it */
	bool carrier_open;  /* the carrier's handshake is over */

	/* in */
	unsigned char header[WS_HEADER_IN_MAX]; /* of a frame, as far as it has come */
	uint8_t header_len;
	bool in_frame, in_message;
	bool fin; /* of the open frame, as its opcode and its mask */
	uint8_t opcode;
	unsigned char mask[4];
	unsigned mask_at; /* which octet of it is next */
	uint64_t frame_left, message_len;
	struct ws_rest *control; /* payload of a control frame while it comes */
	uint16_t close_code;     /* RFC 6455 7.4 */

	/* out */
	bool out_message;  /* one is open */
	uint64_t out_left; /* of the open frame */
	bool holding;      /* what the stream knows to be held is rest, and not the carrier's */
	struct ws_rest *rest;
	struct ws_rest *next; /* a ping or pong that waits for the end of the open frame */
};

static inline struct ws *ws_of(const struct net_stream *s)
{
	return s->link.carried;
}

static inline const struct net_transport *ws_carrier(const struct net_stream *s)
{
	return s->link.ops->carrier;
}

/* ws_in.c: as in struct net_transport */
ssize_t ws_read(struct net_stream *s, char *p, size_t size, unsigned *flags);
int ws_unframe(struct net_stream *s, struct slice *raw, struct slice *piece, bool *endp);

/* ws_out.c */
/** @return bytes written to p, WS_HEADER_OUT_MAX at most */
size_t ws_write_header(unsigned char *p, unsigned opcode, bool fin, uint64_t len);
/** Have the stream call again for the bytes that are ours, unless it will for the carrier's. */
void ws_go_on_soon(struct net_stream *s);
ssize_t ws_writev(struct net_stream *s, const struct iovec *iov, int count,
    const struct net_ends *ends);
