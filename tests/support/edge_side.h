/* An edge over UDP, between a stack and a peer that a test plays. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "edge/edge.h"

struct event_base;

enum { EDGE_SIDE_TIMEOUT_MS = 3000, EDGE_SIDE_TEXT = 4096 };

struct edge_side {
	struct event_base *base;
	struct stats *stats;
	struct net *net;
	char *name_server;
	struct setting_list name_servers;
	struct edge_settings settings;
	struct edge *edge;
	struct edge_listener *listener;
	int peer, stack; /* sockets of the test's */
	union addr peer_addr;
	char to[256]; /* host, or host:port, that the stack's requests are for: the peer's */
	char link[EDGE_ROUTE_SIZE], own[EDGE_ROUTE_SIZE];
	/* The message that came last; bytes behind it. */
	char text[EDGE_SIDE_TEXT], waiting[4 * EDGE_SIDE_TEXT];
	size_t waiting_len;
};

/** @param name_server  "127.0.0.1:53", borrowed; NULL: the system's */
void edge_side_open(struct edge_side *w, char *name_server);
/** All memory of transactions has to be given back by then. */
void edge_side_close(struct edge_side *w);

/** A statistic of the group sip. */
uint64_t edge_number(struct edge_side *w, const char *name);
/** Are all transactions forgotten?  For loop_until(). */
bool edge_side_is_quiet(void *side);

/** Of a TCP socket: nothing waits for the peer's ACK (Nagle). */
void edge_socket_hurry(int fd);

/* --- the stack --- */

/** The stack comes, or comes again. */
void edge_stack_connect(struct edge_side *w);
void edge_stack_send(struct edge_side *w, const char *text);
/** Is there a message to it, without a body?  It is in w->text then.  For loop_until(). */
bool edge_stack_has(void *side);
/** The next message to it, without a body, is in w->text then, and begins like this. */
void edge_stack_wait(struct edge_side *w, const char *start);
/** A request of its, to w->to. */
const char *edge_stack_request(struct edge_side *w, char text[EDGE_SIDE_TEXT], const char *method,
    const char *branch);

/* --- the peer --- */

void edge_peer_send(struct edge_side *w, const char *text);
/** The next message to it that begins like this is in w->text then; others are passed over. */
void edge_peer_wait(struct edge_side *w, const char *start);
/** A request of its. */
const char *edge_request(struct edge_side *w, char text[EDGE_SIDE_TEXT], const char *method,
    const char *branch);

/** What is answered to the request in w->text. */
const char *edge_answer(struct edge_side *w, char text[EDGE_SIDE_TEXT], const char *status);
