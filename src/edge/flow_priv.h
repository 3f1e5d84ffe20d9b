/* A client's connection. */
#pragma once

#include <msrpd/table.h>
#include <msrpd/timer.h>

#include "edge/cause_priv.h"
#include "edge/framer.h"
#include "edge/listener_priv.h"
#include "net/stream.h"

struct edge_place;

enum { FLOW_KEY_SIZE = ADDR_TEXT_SIZE + 12 };

struct sip_flow {
	struct net_stream stream; /* but of one by UDP, or away, no stream at all */
	struct edge *edge;
	UT_hash_handle peer_hh;  /* by key, of one by UDP */
	char key[FLOW_KEY_SIZE]; /* "LISTENER ADDRESS:PORT" */
	UT_hash_handle hh;       /* by the stream's number, while it is alive */
	const struct edge_listener *listener;
	const struct edge_transport *transport;
	struct edge_place *place; /* NULL: accepted */
	edge_share cause;         /* for whom it was opened */
	SLIST_HEAD(, edge_alias) aliases;
	struct edge_framer framer;
	union addr peer;
	char peer_host[ADDR_TEXT_SIZE];
	char token[EDGE_TOKEN_SIZE];
	char peer_token[EDGE_TOKEN_SIZE]; /* the same on what comes from him, with his share */
	bool was_open;
	bool ended;          /* the peer sends no more, but is still answered */
	unsigned unanswered; /* requests of his */
	bool was_right;      /* a message of the peer's was SIP */
	uint8_t faults;      /* of those that came before */
	TAILQ_HEAD(, sip_flow_watch) watches;
	TAILQ_HEAD(, edge_client) clients;
	TAILQ_ENTRY(sip_flow) paused_next; /* while the link has no room */
	bool paused;
	bool asked;   /* whether the peer is there, and nothing has come since */
	bool is_node; /* a node of ours is there */
	char *node;   /* it is no connection, but this URI of a node, which has one; else NULL */
};

extern const struct net_handler flow_handler;
void flow_on_slow(struct timer_entry *life, void *arg);
void flow_on_quiet(struct timer_entry *life, void *arg);

/** Of a listener, to be accepted or dialled.  @return NULL: no memory */
struct sip_flow *flow_new(const struct edge_listener *listener,
    const struct edge_transport *transport);
/** Write its tokens. */
void flow_name(struct sip_flow *flow, edge_share share);
/** Where requests go.  NULL: it is closed, or its peer sends no more */
struct sip_flow *flow_find(struct edge *edge, uint64_t number);
/** Where responses go.  NULL: it is closed */
struct sip_flow *flow_find_asker(struct edge *edge, uint64_t number);
static inline bool flow_is_alive(const struct sip_flow *flow)
{
	return flow->stream.state != NET_CLOSED && !flow->stream.closing && !flow->ended;
}

/** A response to its peer.  @return false: he is not there any more */
bool flow_respond(struct sip_flow *flow, const struct edge_message *response,
    const struct edge_change *change, bool silent);

/**
 * Write a message to the peer: the head changed, and the body.  A flow on which too much waits is
 * closed instead.
 */
void flow_send(struct sip_flow *flow, const struct edge_message *message,
    const struct edge_change *change);

/** Write an answer of our own, a head. */
void flow_answer(struct sip_flow *flow, struct slice text);
