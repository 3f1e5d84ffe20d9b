/*
 * SIP's sockets, in front of the SIP stack: a proxy of one hop, which owns all that strangers reach.
 * To the stack they are one connection, the link, which carries nothing but whole messages within
 * their bounds.
 *
 * A request from a client gets a Via and a Record-Route of ours on top.  The Via names his flow, or
 * where his datagram came from, by a token; so the responses come back to him.  The Record-Route
 * names the flow or, as there is no such thing over UDP, the listener: so the requests of the dialog
 * that he began leave over the one or as the other.  The stack's requests have a Route with a token
 * on top: that of a flow, or that of the listener they are to leave as.
 *
 * Between a client and another node of ours it is the same proxy, past the stack (pass.c): a node's
 * request for a client has a Route with his flow's token (RFC 5626 5), which only nodes are told, and
 * two Record-Routes (RFC 5658) lead the dialog's other requests between the two.
 *
 * On streams it is a stateless proxy (RFC 3261 16.11).  Over UDP it brings what makes up for lost
 * datagrams (RFC 3261 17), of which the stack, on its reliable link, knows nothing: it repeats
 * requests and final responses, and answers or swallows what is repeated to it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/flow.h>
#include <msrpd/reason.h>
#include <msrpd/setting.h>

#include "base/addr.h"
#include "net/tls.h"

struct edge;
struct edge_listener;
struct net;
struct stats;

/** Of the section sip: of the config. */
struct edge_settings {
	uint64_t max_message_size, max_headers, max_header_size;
	uint64_t message_timeout_ms, idle_timeout_ms;
	uint64_t ping_interval_ms;   /* of WebSockets, and flows that are watched; 0: never */
	struct setting_list origins; /* of char *: pages that WebSockets are for */
	uint64_t max_connections;
	uint64_t transaction_memory;
	struct net_tls_settings tls;
};

/** What an edge is made of; all is borrowed for its lifetime. */
struct edge_options {
	struct net *net;
	struct stats *stats;
	const struct edge_settings *settings; /* or until the next reload */
	uint64_t transaction_timeout_ms;      /* after which the stack has given a request up */
	/** The stack's connection has closed: have it opened, by a request along
	 *  edge_link_route(). */
	void (*link_lost)(void *arg);
	/**
	 * A request that stands alone: outside of dialogs, and none can begin with it.  NULL: the
	 * stack gets it over its connection, as it gets the others.
	 *
	 * @param text  the whole of it as the stack would get it, for the call, and until the edge
	 *              is called
	 * @param head  so many bytes of it are its head
	 * @return 0: edge_answer_standalone() will be called, or has been; -EBADMSG: the edge is to answer
	 *         400; another negative errno: 500
	 */
	int (*standalone)(struct slice text, size_t head, void *arg);
	void *arg;
};

/** @return 0; -EINVAL with why: TLS files; -ENOMEM; of a socket that cannot be opened */
int edge_new(struct edge **edgep, const struct edge_options *options, struct reason *why);

/** Take the new settings; connections live on.  @return 0 or -EINVAL with why: nothing changed */
int edge_reload(struct edge *edge, const struct edge_settings *settings, struct reason *why);

/** No reference to a flow may be left.  Accepts NULL. */
void edge_free(struct edge *edge);

/** What clients call us, a URI, where that is not the listener's address; absent: nothing. */
void edge_advertise(struct edge *edge, struct slice uri);

/* --- listeners --- */

/** A transport of SIP. */
struct edge_transport {
	const char *name;                /* "tcp" */
	const char *uri;                 /* in URIs, if it has another name there */
	const char *via;                 /* in Via: "TCP" */
	const struct net_transport *net; /* NULL: datagrams */
	const char *service;             /* RFC 3263 4.2; NULL: nobody is called by it */
	bool can_dial;
};

/** @return NULL: there is none of that name, in any case */
const struct edge_transport *edge_transport_find(struct slice name);

/**
 * Listen.
 *
 * @param addr   its port may be 0, any
 * @param owner  for edge_listener_owner()
 * @return 0; -EINVAL with why: TLS without a certificate; or why the socket cannot be opened
 */
int edge_listen(struct edge *edge, const struct edge_transport *transport, const union addr *addr,
    void *owner, struct edge_listener **listenerp, struct reason *why);

struct net_listener;

/**
 * A listener whose connections, WebSockets, another one hands over (net_stream_hand_over()).
 *
 * @param addr      where they come in, with the port
 * @param secure    behind TLS
 * @param handedp   whom they are handed to
 */
int edge_listen_handed(struct edge *edge, bool secure, const union addr *addr, void *owner,
    struct edge_listener **listenerp, const struct net_listener **handedp);

/** As it is open. */
const union addr *edge_listener_address(const struct edge_listener *listener);
void *edge_listener_owner(const struct edge_listener *listener);

/** Close one that nothing has come in on. */
void edge_unlisten(struct edge_listener *listener);

/* --- where requests come from --- */

struct edge_origin {
	const struct edge_listener *listener;
	const struct edge_transport *transport;
	struct sip_flow *flow; /* borrowed; NULL: a datagram */
	union addr peer;
};

/**
 * Of the branch that our Via has in a request.
 * @return 0 or -ENOENT: none of ours, or its flow is closed
 */
int edge_origin_of_branch(struct edge *edge, struct slice branch, struct edge_origin *origin);

/** Bytes of a header line that other nodes take, as we do. */
size_t edge_max_header_size(const struct edge *edge);

struct edge_reply;

/**
 * Answer one that edge_options.standalone got.
 *
 * @param head  its head
 * @return 0 or -ENOMEM: nobody is answered, and his connection closed
 */
int edge_answer_standalone(struct edge *edge, struct slice head, const struct edge_reply *reply);

/* --- other nodes --- */

/** A request that goes on to another node. */
struct edge_passing {
	struct slice request; /* the whole of it, as the stack has got it */
	struct slice node;    /* URI that the node's SIP is reached at */
	struct slice own; /* the same of this one; absent: it has none, and no dialog may begin */
};

/**
 * Let another node serve a request: what it answers goes back to the client, and so do the requests
 * of a dialog that begins with it, in both directions.  What the stack answers goes nowhere from now
 * on.  A node that is not reached is a 500, and so is its 503 (RFC 3261 16.7).
 *
 * @return 0, -EBADMSG, -EINVAL, -ENOMEM, or -ENOENT: the client has gone
 */
int edge_pass_on(struct edge *edge, const struct edge_passing *passing);

/* --- flows --- */

/**
 * The flow that a request came over, to be kept: a connection, or by UDP the listener and where the
 * datagram came from, which is one for as long as somebody keeps it.
 *
 * @return a reference; NULL: no memory
 */
struct sip_flow *edge_flow_of_origin(const struct edge_origin *origin);

/** Of the user in the Route that edge_flow_route() gave; borrowed.  NULL: none, or it is closed. */
struct sip_flow *edge_flow_of_token(struct edge *edge, struct slice token);

/** The listener that it came in on, or that it left as. */
const struct edge_listener *edge_flow_listener(const struct sip_flow *flow);
const struct edge_transport *edge_flow_transport(const struct sip_flow *flow);

/**
 * One that another node has: for whoever keeps flows, who finds it alive.  Neither it nor its
 * listener can be asked for anything but edge_flow_node().
 *
 * @param uri  with the user that sip_flow_user() has told there; behind a dot there may be, in
 *             hexadecimal, the URI that what follows in a dialog is to come back to.  Or a Route
 *             that leads to somebody (RFC 3327), which begins with "<"
 * @return a reference; NULL: no memory
 */
struct sip_flow *edge_flow_away(struct edge *edge, struct slice uri);

/** That URI or Route; NULL: it is a connection of ours. */
const char *edge_flow_node(const struct sip_flow *flow);

/**
 * The URI by which another node reaches whoever is at a flow's other end.
 *
 * @param own   URI that our SIP is reached at by nodes
 * @param from  the same of the node that is to use it
 * @return what was written; absent: no memory
 */
struct slice edge_flow_place(struct buffer *w, const struct sip_flow *flow, struct slice own,
    struct slice from);

/* --- the link --- */

enum { EDGE_ROUTE_SIZE = 128 };

/**
 * Values of Route for the stack's requests: over a flow; to the place that the next Route or the
 * Request-URI names, leaving as that listener; the same in one datagram, however large; and to the
 * edge itself, which answers 200.
 */
void edge_flow_route(const struct sip_flow *flow, char text[EDGE_ROUTE_SIZE]);
void edge_listener_route(const struct edge_listener *listener, char text[EDGE_ROUTE_SIZE]);
void edge_datagram_route(const struct edge_listener *listener, char text[EDGE_ROUTE_SIZE]);
void edge_link_route(const struct edge *edge, char text[EDGE_ROUTE_SIZE]);

/** Is that the name in the Warning of responses that the edge itself makes to the stack? */
bool edge_is_own_name(const struct edge *edge, struct slice name);

/**
 * The phrase of a response that is not to leave: with EDGE_DROPPED nobody is to hear any, with
 * EDGE_GONE_ON it is another node's to answer.
 */
const char *edge_silence(const struct edge *edge);

/* None of them 408, which Sofia keeps to itself but of an INVITE (RFC 4320 4.2). */
enum { EDGE_DROPPED = 480, EDGE_GONE_ON = 410 };

/** Is the stack's connection open? */
bool edge_link_is_open(const struct edge *edge);

/**
 * The stack has had its turn: it has read what was written to it, and is given the next of what
 * waits for it.
 *
 * @param doublings  how much, as a share of a turn (base/line.h)
 * @return was it given any?
 */
bool edge_link_step(struct edge *edge, unsigned doublings);

/** Is nothing on its way from the stack to the clients any more? */
bool edge_is_quiet(const struct edge *edge);
