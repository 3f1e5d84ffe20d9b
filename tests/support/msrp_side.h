/*
 * An MSRP stack in a test, with one session that takes all it is sent, and raw peers of it: by TCP,
 * by TLS of OpenSSL, or by messages (framed.h), sharing no code with src/msrp.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "certs.h"
#include "framed.h"
#include "msrp/conn.h"
#include "msrp/stack.h"
#include "net/listener.h"

struct event_base;
struct stats;

struct msrp_side {
	struct event_base *base;
	struct stats *stats;
	struct net *net;
	struct msrp_stack *stack;
	struct msrp_settings settings; /* may be changed before start */
	struct msrp_listen_settings listen[2];
	unsigned threads;        /* for handshakes; 0: the loop's */
	uint16_t port, tls_port; /* tls_port: 0 without certificates */
	struct net_listener framed;

	/* the session */
	struct msrp_target target;
	struct msrp_sink sink;
	struct msrp_user user;
	struct msrp_conn *conn; /* that brought its first request */
	char uri[128];
	size_t body_bytes;
	unsigned requests, ends, aborts;
	bool pause;       /* after each piece */
	bool close_after; /* each frame */
	bool opened;
	int closed_err;
};

/** Settings that suit tests; certs NULL: no TLS listener. */
void msrp_side_init(struct msrp_side *side, const struct certs *certs);
/** Fails the test unless it starts. */
void msrp_side_start(struct msrp_side *side);
void msrp_side_stop(struct msrp_side *side);

struct msrp_peer {
	struct msrp_side *side;
	int fd;
	SSL *ssl;
	SSL_CTX *ctx;
	struct framed *framed;
	size_t message; /* framed: where in got the one in hand begins */
	char *got;
	size_t got_len, got_cap;
	bool eof; /* in order: not by a reset */
	bool reset;
	const char *want;
	size_t want_bytes;
};

/** Connects; by TLS if certs, whose certificate it shows if show. */
void msrp_peer_open(struct msrp_peer *peer, struct msrp_side *side, const struct certs *certs,
    bool show);

/** The same over a transport that carries messages, each of them one frame. */
void msrp_peer_open_framed(struct msrp_peer *peer, struct msrp_side *side);
void msrp_peer_close(struct msrp_peer *peer);

/** Send all, turning the loop as needed. */
void msrp_peer_say(struct msrp_peer *peer, const char *bytes, size_t len);
/** Send as much as is taken at once. @return bytes */
size_t msrp_peer_try(struct msrp_peer *peer, const char *bytes, size_t len);
/** A SEND with this body and these further headers. */
void msrp_peer_send(struct msrp_peer *peer, const char *uri, const char *body, const char *headers);

/** Read what is there. */
void msrp_peer_read(struct msrp_peer *peer);
/** Turn the loop until text, so many bytes, or the end has come. */
void msrp_peer_expect(struct msrp_peer *peer, const char *text);
void msrp_peer_expect_bytes(struct msrp_peer *peer, size_t bytes);
void msrp_peer_expect_end(struct msrp_peer *peer);
