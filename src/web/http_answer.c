/* HTTP answers: texts, files, and the one that makes a WebSocket. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "net/listener.h"
#include "net/upgrade.h"
#include "web/http_priv.h"

enum { PIECE_BYTES = 64 * 1024 }; /* of a file, that are read at once */

const char http_security_headers[] =
    "X-Content-Type-Options: nosniff\r\n"
    "Content-Security-Policy: default-src 'self'; connect-src 'self' ws: wss:; "
    "img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'\r\n"
    "Referrer-Policy: no-referrer\r\n";

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

/* The last of it is queued: from now on it is who reads that takes his time. */
static void end_answer(struct http_conn *c)
{
	net_stream_set_life(&c->stream, NULL);
	if (keeps(c)) {
		net_stream_want_room(&c->stream);
	} else {
		c->closing = true;
		net_stream_close_after_send(&c->stream);
	}
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

void http_hold(struct http_conn *c)
{
	c->held = true;
	net_stream_pause(&c->stream);
	net_stream_want_room(&c->stream);
}

void http_close_file(struct http_conn *c)
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
		http_close_file(c);
		end_answer(c);
	}
	net_stream_want_room(&c->stream); /* for the next, or to release */
}

void http_room(struct http_conn *c)
{
	if (c->file >= 0) {
		send_piece(c);
		return;
	}
	if (c->held)
		net_stream_resume(&c->stream);
	c->held = false;
	http_set_life(c);
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
	http_hold(c);
	send_piece(c);
}

void http_upgrade(struct http_conn *c, const struct net_listener *to, void *arg,
    const union addr *client)
{
	struct upgrade_terms terms = {
	    .subprotocol = slice_of(to->protocol->subprotocol),
	    .headers = slice_of(http_security_headers),
	};
	char text[2048];
	struct buffer w = BUFFER_ON(text);
	unsigned status = upgrade_answer(c->request.head, &terms, &w);
	const struct net_handing handing = {to, arg, client, buffer_text(&w), c->rest};
	int err;

	if (c->request.too_long) { /* what comes are no frames */
		http_refuse(c, 413, NULL);
		return;
	}
	c->answered = true;
	if (status != 101 || w.err) {
		c->closing = true;
		net_stream_end(&c->stream, buffer_text(&w));
		end_answer(c);
		return;
	}
	err = net_stream_hand_over(&c->stream, &handing);
	if (err < 0 && c->stream.state != NET_CLOSED) {
		log_debug("web: conn %" PRIu64 ": no WebSocket: %s", c->stream.number,
		    strerror(-err));
		c->closing = true;
		http_refuse(c, 503, NULL);
	}
}

void http_refuse_broken(struct http_conn *c, unsigned status)
{
	if (c->closing)
		return;
	c->closing = true;
	http_refuse(c, status, NULL);
}
