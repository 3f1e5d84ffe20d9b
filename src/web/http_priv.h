/* A connection of HTTP as its files see it: http.c, http_request.c, http_answer.c. */
#pragma once

#include <http_parser.h>

#include <msrpd/buffer.h>

#include "net/stream.h"
#include "web/http.h"

enum { HTTP_SEND_QUEUE = 256 * 1024 };

struct http_conn {
	struct net_stream stream; /* first */
	struct http_server *server;
	struct http_parser parser;
	struct buffer head, body;
	size_t seen;         /* of the head, that do not end it */
	struct slice rest;   /* behind the request, while it is handled */
	struct slice name;   /* of the header that is being read */
	struct slice length; /* what Expect and Content-Length say */
	struct slice expect;
	char *path; /* of the request, to be freed */
	struct http_request request;
	bool whole;   /* the request has come, or as much of it as is taken */
	bool in_body; /* what comes is not of the head any more */
	bool broken;  /* the head is none that we take */
	bool answered, closing;
	bool keep; /* the connection, as the request has it */
	bool held; /* nothing more is taken before what was answered has left */
	int file;  /* that is being sent, -1: none */
	uint64_t file_left;
};

/* http_request.c: bytes into requests */

/** @return bytes taken of those that may hold the end of a head */
size_t http_take_head(struct http_conn *c, struct slice bytes);
/** @return the same of those that belong to a body */
size_t http_take_body(struct http_conn *c, struct slice bytes);
void http_request_forget(struct http_conn *c);

/* http.c */

/**
 * Run the time-out that is due now: of a request that comes, or of the time between two; none while
 * what was answered has not left, which is net's business.
 */
void http_set_life(struct http_conn *c);

/* http_answer.c */

/** Refuse what cannot be read on from, and close; nothing where that has been done. */
void http_refuse_broken(struct http_conn *c, unsigned status);
/** Nothing more is taken before what was answered has left: one does not ask on while one does not
 *  read. */
void http_hold(struct http_conn *c);
/** What was written has left. */
void http_room(struct http_conn *c);
void http_close_file(struct http_conn *c);
