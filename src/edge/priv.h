/* What the files of this folder share. */
#pragma once

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include <msrpd/hash.h>
#include <msrpd/timer.h>

#include "base/buffer.h"
#include "edge/edge.h"
#include "edge/framer.h"
#include "edge/reply.h"
#include "net/dial.h"
#include "net/listener.h"
#include "net/stream.h"
#include "net/tap.h"

/* --- tokens --- */

enum { EDGE_TOKEN_LEN = 33, EDGE_MAC_LEN = 16 };

/** What the top Route, Record-Route or Via of a message between edge and stack names. */
struct edge_token {
	enum { TOKEN_FLOW = 'f', TOKEN_OUT = 'o', TOKEN_LINK = 'l' } kind;
	uint64_t number; /* of a flow; of a listener */
};

/** @return 0 or -ENOMEM */
int edge_token_write(struct edge *edge, const struct edge_token *token,
    char text[EDGE_TOKEN_LEN + 1]);

/** @return 0 or -EBADMSG: not one that we have written */
int edge_token_parse(struct edge *edge, struct slice text, struct edge_token *token);

/** A keyed hash of the texts, in hexadecimal.  @return 0 or -ENOMEM */
int edge_mac(struct edge *edge, const struct slice *texts, size_t count,
    char mac[EDGE_MAC_LEN + 1]);

/* --- listeners --- */

struct edge_listener {
	STAILQ_ENTRY(edge_listener) next;
	struct net_listener socket;
	struct edge *edge;
	const struct edge_transport *transport;
	unsigned index;
	void *owner;
	char name[ADDR_TEXT_SIZE];   /* sent-by, in the log as well */
	char route[EDGE_ROUTE_SIZE]; /* of what is to leave as it */
};

struct edge_listener *edge_listener_at(struct edge *edge, uint64_t index);

/** The first of that transport; NULL. */
struct edge_listener *edge_listener_with(struct edge *edge, const struct edge_transport *transport);

/** The edge has other settings. */
void edge_listeners_reload(struct edge *edge);
void edge_listeners_close(struct edge *edge);

/* --- flows --- */

/** A place that a flow was dialled to. */
struct edge_place {
	UT_hash_handle hh;
	struct net_dial dial;
	char key[]; /* "tls HOST PORT LISTENER" */
};

struct sip_flow {
	struct net_stream stream;
	struct edge *edge;
	UT_hash_handle hh; /* by the stream's number, while it is alive */
	const struct edge_listener *listener;
	const struct edge_transport *transport;
	struct edge_place *place; /* NULL: accepted */
	struct edge_framer framer;
	union addr peer;
	char peer_host[ADDR_TEXT_SIZE];
	char token[EDGE_TOKEN_LEN + 1];
	TAILQ_HEAD(, sip_flow_watch) watches;
	TAILQ_HEAD(, edge_pending) pendings;
	TAILQ_ENTRY(sip_flow) paused_next; /* while the link has no room */
	bool paused;
	bool asked; /* whether the peer is there, and nothing has come since */
};

extern const struct net_handler flow_handler;
void flow_on_slow(struct timer_entry *life, void *arg);
void flow_on_quiet(struct timer_entry *life, void *arg);

/** Of a listener, to be accepted or dialled.  @return NULL: no memory */
struct sip_flow *flow_new(const struct edge_listener *listener,
    const struct edge_transport *transport);
struct sip_flow *flow_find(struct edge *edge, uint64_t number);
static inline bool flow_is_alive(const struct sip_flow *flow)
{
	return flow->stream.state != NET_CLOSED && !flow->stream.closing;
}

/** Write a message to the peer: the head changed, and the body. */
void flow_send(struct sip_flow *flow, const struct edge_message *message,
    const struct edge_change *change);

/* in.c: what clients send */
void edge_take_from_peer(struct sip_flow *flow, const struct edge_message *message);

/* out.c: what the stack sends */
void edge_take_from_stack(struct edge *edge, const struct edge_message *message);
/** Has it a token of ours where only the stack has one? */
bool edge_is_from_stack(struct edge *edge, const struct edge_head *head);

/* --- requests of the stack that wait for their response --- */

/** Its flow's, until the final response has come. */
struct edge_pending {
	UT_hash_handle hh;
	TAILQ_ENTRY(edge_pending) of_flow;
	struct timer_entry given_up; /* by the stack */
	struct sip_flow *flow;
	char *failure; /* the response should the flow die */
	size_t failure_len;
	bool invite;
	char key[]; /* "BRANCH METHOD" of the stack's */
};

/** Without memory it is not remembered, and its failure will be a time-out. */
void edge_pending_start(struct sip_flow *flow, const struct edge_head *request);
/** A response to it came: branch is the stack's. */
void edge_pending_answered(struct edge *edge, struct slice branch,
    const struct edge_head *response);
/** The flow has died. */
void edge_pendings_fail(struct sip_flow *flow);
void edge_pending_given_up(struct timer_entry *entry, void *edge);

/* --- the link --- */

struct edge_link {
	struct net_protocol protocol;
	struct net_listener listener;
	uint64_t counts[7]; /* the protocol's: nobody asks for them */
	struct edge *edge;
	struct edge_peer *stack; /* NULL: the stack has not come yet, or has gone */
	struct timer_queue strangers;
	struct buffer queue; /* to the stack, from done on */
	size_t done;
	size_t credit; /* bytes that the stack may be given before it has its turn */
	TAILQ_HEAD(, sip_flow) paused;
	char sent_by[280];              /* of the stack's Via */
	char token[EDGE_TOKEN_LEN + 1]; /* in Warnings, a secret between the edge and the stack */
};

/** @return 0 or negative errno; edge_link_fini() is harmless after a failure */
int edge_link_init(struct edge_link *link, struct edge *edge, struct net *net);
void edge_link_fini(struct edge_link *link);

/** To the stack: a message with its head changed, or as it is. */
void edge_link_send(struct edge_link *link, const struct edge_message *message,
    const struct edge_change *change);
void edge_link_send_text(struct edge_link *link, struct slice text);

/** Is there so much for the stack that clients are to wait? */
bool edge_link_is_full(const struct edge_link *link);
/** Do not read the flow until the link has room again; do so no more, it is closed. */
void edge_link_pause(struct edge_link *link, struct sip_flow *flow);
void edge_link_forget(struct edge_link *link, struct sip_flow *flow);

/** Has all that the stack has written been read? */
bool edge_link_is_quiet(const struct edge_link *link);

/** Answer a request of the stack's by ourselves.  Harmless for an ACK. */
void edge_link_reply(struct edge_link *link, const struct edge_head *request, unsigned code,
    const char *why);

/** "<sip:TOKEN@127.0.0.1:PORT;transport=tcp;lr>" */
void edge_route_write(const struct edge *edge, const char *token, char text[EDGE_ROUTE_SIZE]);

/* --- the edge --- */

struct edge_count {
	uint64_t *messages_in, *messages_out, *bad_messages, *stray_responses;
};

struct edge {
	struct net_protocol protocol; /* of the flows */
	struct edge_link link;
	const struct edge_settings *settings;
	struct edge_bounds bounds;
	struct hash *hash;
	STAILQ_HEAD(, edge_listener) listeners;
	unsigned listener_count;
	struct sip_flow *flows;        /* by number */
	struct edge_place *places;     /* by key */
	struct edge_pending *pendings; /* by key */
	struct timer_queue reading;    /* flows with a message that is not whole */
	struct timer_queue idle;       /* the others */
	struct timer_queue quiet;      /* of these the WebSockets, while they are pinged */
	struct timer_queue waiting;    /* pendings */
	struct buffer text;            /* of the message that is being written */
	struct edge_count count;
	void (*link_lost)(void *arg);
	void *arg;
};
