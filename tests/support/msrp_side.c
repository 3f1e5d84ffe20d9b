#include "msrp/priv.h"
#include "msrp_side.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>
#include <openssl/err.h>

#include "base/stats.h"
#include "loop.h"
#include "loopback.h"
#include "net/net.h"

#define OWNER(type, member, p) ((type *)(void *)((char *)(p)-offsetof(type, member)))

/* --- the session --- */

static int on_body(struct msrp_sink *sink, struct slice piece)
{
	struct msrp_side *side = OWNER(struct msrp_side, sink, sink);

	side->body_bytes += piece.len;
	return side->pause ? -EAGAIN : 0;
}

static int on_end(struct msrp_sink *sink, enum msrp_flag flag)
{
	struct msrp_side *side = OWNER(struct msrp_side, sink, sink);

	(void)flag;
	side->ends++;
	msrp_conn_reply(side->conn, 200, SLICE("OK"), (struct slice){NULL, 0});
	if (side->close_after)
		msrp_conn_close_after_send(side->conn);
	return 0;
}

static void on_aborted(struct msrp_sink *sink, int err)
{
	(void)err;
	OWNER(struct msrp_side, sink, sink)->aborts++;
}

static const struct msrp_sink_ops sink_ops = {.body = on_body,
    .end = on_end,
    .aborted = on_aborted};

static void on_closed(struct msrp_user *user, int err)
{
	struct msrp_side *side = OWNER(struct msrp_side, user, user);

	side->closed_err = err;
	side->conn = NULL;
}

static void on_opened(struct msrp_user *user)
{
	OWNER(struct msrp_side, user, user)->opened = true;
}

static const struct msrp_user_ops user_ops = {.closed = on_closed, .opened = on_opened};

static int on_request(struct msrp_target *target, struct msrp_conn *conn,
    const struct msrp_frame *frame)
{
	struct msrp_side *side = OWNER(struct msrp_side, target, target);

	(void)frame;
	side->requests++;
	if (!side->user.conn) {
		side->conn = conn;
		msrp_conn_attach(conn, &side->user, 0);
	}
	msrp_conn_take(conn, &side->sink);
	return 0;
}

static const struct msrp_target_ops target_ops = {.request = on_request, .bridges = true};

/* --- the stack --- */

static char *text(const char *s)
{
	return (char *)(uintptr_t)s;
}

void msrp_side_init(struct msrp_side *side, const struct certs *certs)
{
	*side = (struct msrp_side){0};
	signal(SIGPIPE, SIG_IGN); /* as the daemon does: OpenSSL writes without MSG_NOSIGNAL */
	side->listen[0] = (struct msrp_listen_settings){.uri = text("msrp://127.0.0.1:0;tcp")};
	side->listen[1] = (struct msrp_listen_settings){.uri = text("msrps://0.0.0.0:0;tcp")};
	side->settings = (struct msrp_settings){
	    .listen = {side->listen, certs ? 2 : 1},
	    .transaction_timeout_ms = 5000,
	    .connect_timeout_ms = 5000,
	    .tls_handshake_timeout_ms = 5000,
	    .bind_timeout_ms = 20000,
	    .idle_timeout_ms = 20000,
	    .max_connections = 100,
	    .max_header_size = 16384,
	    .send_queue = 64 * 1024,
	    .send_timeout_ms = 20000,
	    .max_memory = 1 << 20,
	    .tls.verify_server = true,
	};
	if (certs) {
		side->settings.tls.certificate = text(certs->cert);
		side->settings.tls.private_key = text(certs->key);
		side->settings.tls.ca_file = text(certs->ca);
	}
}

/* Another way into the first listener. */
static void listen_framed(struct msrp_side *side)
{
	side->framed = (struct net_listener){.protocol = &side->stack->protocol,
	    .transport = &framed_transport,
	    .name = "framed",
	    .arg = msrp_listener_at(side->stack, 0)};
	loopback_listen(&side->framed);
}

void msrp_side_start(struct msrp_side *side)
{
	struct reason why = {""};

	side->base = event_base_new();
	assert_int_equal(net_new(&side->net, side->base), 0);
	if (side->threads)
		assert_int_equal(net_use_threads(side->net, side->threads), 0);
	assert_int_equal(stats_new(&side->stats), 0);
	if (msrp_stack_new(&side->stack, side->net, &side->settings, side->stats, &why) < 0
	    || msrp_listeners_open(side->stack, &why) < 0)
		fail_msg("%s", why.text);
	listen_framed(side);
	side->port = msrp_listener_port(msrp_listener_at(side->stack, 0));
	if (side->settings.listen.count > 1)
		side->tls_port = msrp_listener_port(msrp_listener_at(side->stack, 1));
	snprintf(side->uri, sizeof(side->uri), "msrp://127.0.0.1:%u/testsession0123456789;tcp",
	    side->port);
	side->target = (struct msrp_target){.ops = &target_ops, .uri = slice_of(side->uri)};
	side->sink.ops = &sink_ops;
	side->user.ops = &user_ops;
	assert_int_equal(msrp_target_bind(side->stack, &side->target), 0);
}

void msrp_side_stop(struct msrp_side *side)
{
	msrp_sink_drop(&side->sink);
	msrp_conn_detach(&side->user);
	msrp_target_unbind(side->stack, &side->target);
	net_listener_close(&side->framed);
	msrp_stack_free(side->stack);
	net_free(side->net);
	stats_free(side->stats);
	event_base_free(side->base);
}

/* --- peers --- */

static void shake_hands(struct msrp_peer *peer, const struct certs *certs, bool show)
{
	peer->ctx = SSL_CTX_new(TLS_client_method());
	if (show) {
		SSL_CTX_use_certificate_chain_file(peer->ctx, certs->cert);
		SSL_CTX_use_PrivateKey_file(peer->ctx, certs->key, SSL_FILETYPE_PEM);
	}
	SSL_CTX_set_mode(peer->ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	peer->ssl = SSL_new(peer->ctx);
	SSL_set_fd(peer->ssl, peer->fd);
	SSL_set_connect_state(peer->ssl);
	while (SSL_do_handshake(peer->ssl) != 1)
		event_base_loop(peer->side->base, EVLOOP_NONBLOCK);
}

static void connect_to(struct msrp_peer *peer, struct msrp_side *side, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	    .sin_port = htons(port)};

	*peer = (struct msrp_peer){.side = side, .got_cap = 1 << 16};
	peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(peer->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	fcntl(peer->fd, F_SETFL, O_NONBLOCK);
	peer->got = malloc(peer->got_cap);
}

void msrp_peer_open(struct msrp_peer *peer, struct msrp_side *side, const struct certs *certs,
    bool show)
{
	connect_to(peer, side, certs ? side->tls_port : side->port);
	if (certs)
		shake_hands(peer, certs, show);
}

void msrp_peer_open_framed(struct msrp_peer *peer, struct msrp_side *side)
{
	connect_to(peer, side, addr_port(&side->framed.addr));
	peer->framed = calloc(1, sizeof(*peer->framed));
}

void msrp_peer_close(struct msrp_peer *peer)
{
	free(peer->framed);
	SSL_free(peer->ssl);
	SSL_CTX_free(peer->ctx);
	close(peer->fd);
	free(peer->got);
	*peer = (struct msrp_peer){.fd = -1};
}

/* A message ends with its frame: behind the end-line. @return bytes up to there, or all */
static size_t to_end_line(const char *bytes, size_t len, bool *endp)
{
	const char *line = memmem(bytes, len, "-------", 7);
	const char *end = line ? memmem(line, len - (size_t)(line - bytes), "\r\n", 2) : NULL;

	*endp = end != NULL;
	return end ? (size_t)(end - bytes) + 2 : len;
}

static ssize_t try_framed(struct msrp_peer *peer, const char *bytes, size_t len)
{
	bool end;
	struct iovec iov = {(char *)(uintptr_t)bytes, to_end_line(bytes, len, &end)};

	if (peer->framed->out_len && framed_flush(peer->framed, peer->fd) < 0)
		return 0;
	return peer->framed->out_len ? 0 : framed_write(peer->framed, peer->fd, &iov, 1, end);
}

size_t msrp_peer_try(struct msrp_peer *peer, const char *bytes, size_t len)
{
	ssize_t n;

	ERR_clear_error();
	n = peer->ssl      ? SSL_write(peer->ssl, bytes, (int)len)
	    : peer->framed ? try_framed(peer, bytes, len)
			   : send(peer->fd, bytes, len, MSG_NOSIGNAL);
	return n > 0 ? (size_t)n : 0;
}

void msrp_peer_say(struct msrp_peer *peer, const char *bytes, size_t len)
{
	for (size_t at = 0; at < len;) {
		at += msrp_peer_try(peer, bytes + at, len - at);
		event_base_loop(peer->side->base, EVLOOP_NONBLOCK);
	}
}

void msrp_peer_send(struct msrp_peer *peer, const char *uri, const char *body, const char *headers)
{
	char frame[4096];
	int n = snprintf(frame, sizeof(frame),
	    "MSRP abcd1234 SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: m1m1m1\r\n%sByte-Range: 1-%zu/%zu\r\nContent-Type: text/plain\r\n\r\n"
	    "%s\r\n-------abcd1234$\r\n",
	    uri, headers, strlen(body), strlen(body), body);

	assert_in_range(n, 1, sizeof(frame) - 1);
	msrp_peer_say(peer, frame, (size_t)n);
}

/* Is this message one frame, from its start line to the end-line of its transaction? */
static void check_message(const char *message, size_t len)
{
	char tid[32], line[48];
	int n;

	assert_int_equal(sscanf(message, "MSRP %31s ", tid), 1);
	n = snprintf(line, sizeof(line), "-------%s", tid);
	assert_ptr_equal(memmem(message, len, line, (size_t)n), message + len - n - 3);
	assert_memory_equal(message + len - 2, "\r\n", 2);
}

static ssize_t read_framed(struct msrp_peer *peer, char *p, size_t room)
{
	bool end = false;
	ssize_t n = framed_read(peer->framed, peer->fd, p, room, &end);

	if (n < 0) {
		errno = (int)-n;
		return -1;
	}
	if (end) {
		const char *message = peer->got + peer->message;

		check_message(message, (size_t)(p + n - message));
		peer->message = (size_t)(p + n - peer->got);
	}
	return n;
}

static ssize_t read_once(struct msrp_peer *peer)
{
	char *p = peer->got + peer->got_len;
	size_t room = peer->got_cap - peer->got_len - 1;

	if (peer->framed)
		return read_framed(peer, p, room);
	if (!peer->ssl)
		return recv(peer->fd, p, room, 0);
	ERR_clear_error();
	int n = SSL_read(peer->ssl, p, (int)room);
	if (n > 0)
		return n;
	errno = EAGAIN;
	switch (SSL_get_error(peer->ssl, n)) {
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -1;
	default:
		errno = ECONNRESET;
		return -1;
	}
}

static void make_room(struct msrp_peer *peer)
{
	if (peer->got_cap - peer->got_len > 1 << 15)
		return;
	peer->got_cap *= 2;
	peer->got = realloc(peer->got, peer->got_cap);
	assert_non_null(peer->got);
}

void msrp_peer_read(struct msrp_peer *peer)
{
	ssize_t n;

	do {
		make_room(peer);
		n = read_once(peer);
		if (n > 0)
			peer->got_len += (size_t)n;
		else if (n == 0)
			peer->eof = true;
		else if (errno != EAGAIN)
			peer->reset = true;
	} while (n > 0);
	peer->got[peer->got_len] = '\0';
}

static bool has_text(void *arg)
{
	struct msrp_peer *peer = arg;

	msrp_peer_read(peer);
	return memmem(peer->got, peer->got_len, peer->want, strlen(peer->want)) != NULL;
}

static bool has_bytes(void *arg)
{
	struct msrp_peer *peer = arg;

	msrp_peer_read(peer);
	return peer->got_len >= peer->want_bytes;
}

static bool has_end(void *arg)
{
	struct msrp_peer *peer = arg;

	msrp_peer_read(peer);
	return peer->eof || peer->reset;
}

void msrp_peer_expect(struct msrp_peer *peer, const char *wanted)
{
	peer->want = wanted;
	loop_until(peer->side->base, has_text, peer);
}

void msrp_peer_expect_bytes(struct msrp_peer *peer, size_t bytes)
{
	peer->want_bytes = bytes;
	loop_until(peer->side->base, has_bytes, peer);
}

void msrp_peer_expect_end(struct msrp_peer *peer)
{
	loop_until(peer->side->base, has_end, peer);
}
