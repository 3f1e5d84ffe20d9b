/* WebSockets (RFC 6455) as load generators need them: a client's frames. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	WEBSOCKET_HEAD = 8, /* room for that of a frame which is sent */
	WEBSOCKET_TEXT = 1,
	WEBSOCKET_BINARY = 2,
};

/** What comes, between two reads. */
struct websocket_in {
	unsigned char head[10];
	size_t head_len;
	uint64_t left; /* of the open frame */
	bool data, open;
};

/**
 * Make a frame of len bytes, UINT16_MAX at most, that have room for a head in front of them.
 * @return bytes of the frame
 */
static inline size_t websocket_seal(char *frame, unsigned opcode, size_t len)
{
	static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	size_t head = len < 126 ? 6 : WEBSOCKET_HEAD, i = 0;
	char *payload = frame + head;
	uint64_t word, mask_word;

	if (len > UINT16_MAX)
		abort();
	if (head < WEBSOCKET_HEAD)
		memmove(payload, frame + WEBSOCKET_HEAD, len);
	frame[0] = (char)(0x80 | opcode);
	frame[1] = (char)(0x80 | (len < 126 ? len : 126));
	if (head == WEBSOCKET_HEAD) {
		frame[2] = (char)(len >> 8);
		frame[3] = (char)len;
	}
	memcpy(payload - 4, mask, 4);
	memcpy(&mask_word, mask, 4);
	memcpy((char *)&mask_word + 4, mask, 4);
	for (; len - i >= 8; i += 8) {
		memcpy(&word, payload + i, 8);
		word ^= mask_word;
		memcpy(payload + i, &word, 8);
	}
	for (; i < len; i++)
		payload[i] = (char)(payload[i] ^ (char)mask[i % 4]);
	return head + len;
}

/* An octet of a frame's head more: is it whole? */
static inline void websocket_begin(struct websocket_in *ws)
{
	unsigned length = ws->head[1];

	if (ws->head_len < 2 || ws->head_len < (length == 127 ? 10u : length == 126 ? 4u : 2u))
		return;
	ws->left = length < 126 ? length : 0;
	for (size_t i = 2; i < ws->head_len; i++)
		ws->left = ws->left << 8 | ws->head[i];
	ws->data = (ws->head[0] & 15) <= WEBSOCKET_BINARY;
	ws->open = ws->left > 0;
	ws->head_len = 0;
}

/** Take frames off: what is said in them goes to to, where there is as much room.  @return bytes */
static inline size_t websocket_unwrap(struct websocket_in *ws, const char *raw, size_t len,
    char *to)
{
	size_t got = 0;

	while (len) {
		size_t part;

		if (!ws->open) {
			ws->head[ws->head_len++] = (unsigned char)*raw++;
			len--;
			websocket_begin(ws);
			continue;
		}
		part = ws->left < len ? (size_t)ws->left : len;

		if (ws->data) {
			memcpy(to + got, raw, part);
			got += part;
		}
		raw += part;
		len -= part;
		ws->left -= part;
		ws->open = ws->left > 0;
	}
	return got;
}

/** Ask for it on a connected socket, and wait for the answer.  @return was it 101? */
static inline bool websocket_open(int fd, const char *target, const char *subprotocol)
{
	char text[2048];
	size_t len = 0;
	int n = snprintf(text, sizeof(text),
	    "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Protocol: %s\r\n\r\n",
	    target, subprotocol);

	if (n >= (int)sizeof(text) || send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		return false;
	do {
		ssize_t got = recv(fd, text + len, 1, 0); /* nothing of what follows */

		if (got != 1)
			return false;
		len++;
	} while (len < sizeof(text) && (len < 4 || memcmp(text + len - 4, "\r\n\r\n", 4) != 0));
	return len > 12 && memcmp(text + 9, "101", 3) == 0;
}
