/*
 * HTTP/1.1 on streams of net/, as a server: RFC 9110, RFC 9112.  Requests are read by http_parser,
 * whole and within bounds, and handled one after the other; each gets one answer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/setting.h>
#include <msrpd/slice.h>

#include "base/addr.h"
#include "net/prefixes.h"
#include "net/protocol.h"

struct http_conn;
struct net_listener;
struct stats;

/** A request, valid until its answer; what a header does not say is absent. */
struct http_request {
	struct slice method; /* "GET" */
	struct slice path;   /* decoded once; begins with a slash, and holds no NUL */
	struct slice query;  /* as it was sent, without its ? */
	struct slice head;   /* all of it, its empty line included */
	struct slice body;
	struct slice host, origin, authorization, if_none_match, forwarded_for;
	bool too_long;       /* its body, which is absent then, and the connection closed behind */
	bool websocket;      /* it wants to be one */
	bool get, head_only; /* GET or HEAD; HEAD */
};

struct http_limits {
	uint64_t max_connections;
	uint64_t max_body;
	uint64_t request_timeout_ms; /* from its first byte to its last */
	uint64_t idle_timeout_ms;    /* between two of them */
};

enum { HTTP_SMALL_BODY = 4096 }; /* that everybody may send */

/** Embedded in its owner. */
struct http_server {
	struct net_protocol protocol;
	struct timer_queue reading, idle;
	uint64_t max_body;
	uint64_t *requests; /* a number of the statistics */
	/** May its body be as long as max_body?  Asked before it is read; NULL: it may not. */
	bool (*takes_body)(const struct http_request *request, void *arg);
	/** Answer it, now. */
	void (*handle)(struct http_conn *conn, const struct http_request *request, void *arg);
	void *arg;
};

/**
 * protocol.net, protocol.tls, protocol.name, handle and arg are set by the owner, the rest is zero;
 * the name is also that of the group of its numbers.
 * @return 0 or -ENOMEM; http_server_fini() is due either way
 */
int http_server_init(struct http_server *server, const struct http_limits *limits,
    struct stats *stats);
void http_server_reload(struct http_server *server, const struct http_limits *limits,
    struct net_tls_contexts *tls);
void http_server_fini(struct http_server *server);

/** Who has connected. */
void http_conn_peer(const struct http_conn *conn, union addr *addr);
/** Over TLS? */
bool http_conn_is_secure(const struct http_conn *conn);

/** What an answer has beside the headers that all have. */
struct http_answer {
	const char *type;    /* Content-Type; NULL: no body */
	const char *headers; /* lines, each with its CRLF; NULL: none */
	struct slice body;
	bool close; /* nothing more is read from this connection */
};

/** Once for each request. */
void http_answer(struct http_conn *conn, unsigned status, const struct http_answer *answer);

/** One that says no more than its status; headers as above. */
void http_refuse(struct http_conn *conn, unsigned status, const char *headers);

/** 200 with a file, or its headers alone for HEAD.  Takes fd. */
void http_answer_file(struct http_conn *conn, int fd, uint64_t size,
    const struct http_answer *answer);

/**
 * Make it a WebSocket of another protocol's listener, if the request asks properly for that.
 * The connection is answered, or not one of ours any more.
 *
 * @param client  whose it is then: who has connected, or for whom he speaks
 */
void http_upgrade(struct http_conn *conn, const struct net_listener *to, void *arg,
    const union addr *client);

/** Headers that every answer has, as lines. */
extern const char http_security_headers[];
