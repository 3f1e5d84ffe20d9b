/*
 * A flow (RFC 5626): the connection of one SIP client, or where his datagrams come from.  Requests of ours reach him over it, from
 * wherever he opened it; there may be no other way to him, as with a browser or behind a NAT.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

#include <msrpd/slice.h>

struct buffer;
struct sip_flow;
struct sip_request;

/** Where somebody is who is registered; borrowed. */
struct sip_place {
	struct slice uri;
	struct sip_flow *flow; /* that goes there; NULL: none of ours */
	/*
	 * Without it: URI of the node that has it; or, beginning with "<", the Route that leads there
	 * (RFC 3327).  Absent: where uri leads.
	 */
	struct slice node;
};

/** The flow that the request came over, borrowed from it; NULL: none, it came over UDP. */
struct sip_flow *sip_request_flow(const struct sip_request *req);

/** The same if its sender is at the other end himself, and no proxy between the two; else NULL. */
struct sip_flow *sip_request_own_flow(const struct sip_request *req);

/**
 * The flow that the request came over, whoever is at its other end: a connection or, by UDP, our
 * socket and where the datagram came from, as which it is one while it is kept (RFC 5626 6).
 *
 * @return a reference; NULL: no memory
 */
struct sip_flow *sip_request_keep_flow(const struct sip_request *req);

bool sip_flow_is_by_udp(const struct sip_flow *flow);

/** Whoever keeps a flow holds a reference, which does not keep its connection open. */
struct sip_flow *sip_flow_ref(struct sip_flow *flow);

/** Accepts NULL. */
void sip_flow_unref(struct sip_flow *flow);

/**
 * Somebody has written: keep the connection that answers to him go over.  As long as the one that is
 * kept is open it stays, lest others take his answers by writing in his name.
 *
 * @param callerp  a reference, or NULL: none is known
 */
void sip_flow_note_caller(struct sip_flow **callerp, const struct sip_request *req);

/**
 * Is its connection open?  What is sent over one that is closed gets 503.  By UDP: has ICMP not said
 * yet that nobody is there?
 */
bool sip_flow_is_alive(const struct sip_flow *flow);

enum { SIP_FLOW_USER_SIZE = 40 };

/** The user of a URI by which other nodes reach whoever is at the other end: a secret of theirs. */
void sip_flow_user(const struct sip_flow *flow, char user[SIP_FLOW_USER_SIZE]);

/**
 * That URI: "sip:HOST…" becomes "sip:USER.FROM@HOST…", with the URI of the node that is to use it in
 * hexadecimal: what comes in a dialog is to find that very node, and not any that the clients' name
 * for us leads to.
 *
 * @param sip   URI that the node's SIP is reached at which has the flow
 * @param user  absent: there is no flow
 * @param from  the same of the node that is to use it; absent: none
 * @return what was written; absent: no flow, or w->err
 */
struct slice sip_flow_write_uri(struct buffer *w, struct slice sip, struct slice user,
    struct slice from);

/**
 * Embedded in whoever wants to hear of a flow's end; zeroed, it does not watch.  A flow that is
 * watched is needed: its connection stays open however long nothing comes over it.
 */
struct sip_flow_watch {
	TAILQ_ENTRY(sip_flow_watch) entry;
	/** The connection has closed.  The watch is off; it may free itself, and start others. */
	void (*died)(struct sip_flow_watch *watch);
	struct sip_flow *flow; /* NULL: it does not watch */
};

/** The flow is alive; a watch holds a reference to it. */
void sip_flow_watch_start(struct sip_flow_watch *watch, struct sip_flow *flow);

/** Harmless on one that does not watch. */
void sip_flow_watch_stop(struct sip_flow_watch *watch);
