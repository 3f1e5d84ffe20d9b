/* Client transactions: requests of the stack. */
#pragma once

#include <msrpd/table.h>
#include <msrpd/timer.h>

#include "edge/flow_priv.h"
#include "edge/repeat_priv.h"

struct edge_name;
struct edge_retry;

/** What is to go by UDP. */
struct edge_outgoing {
	struct edge_listener *listener;
	struct slice host; /* an address of the listener's family, or a name */
	uint16_t port;
	edge_share cause; /* for whom the name is asked for */
	struct slice text;
};

/**
 * What is known of one.  On a flow: what to tell the stack when that dies.  By UDP: what to send
 * again, RFC 3261 17.1.
 */
struct edge_client {
	UT_hash_handle hh;
	UT_hash_handle dialog_hh;       /* of an INVITE while it waits for its final response */
	uint64_t dialog;                /* a keyed hash of its Call-ID and tags */
	TAILQ_ENTRY(edge_client) entry; /* of its flow, or of the name that is being looked up */
	struct timer_entry life;
	struct timer_queue *life_queue; /* NULL: it is not bounded */
	struct edge_repeat repeat;
	struct edge *edge;
	struct sip_flow *flow;          /* NULL: by UDP */
	struct edge_listener *listener; /* by UDP, or instead of the flow: as whom; NULL */
	struct edge_name *name;         /* that is being looked up; NULL */
	char *host;                     /* instead of the flow: to whom; NULL */
	uint16_t port;
	edge_share cause;    /* for whom a name is asked for */
	union addr peer;     /* by UDP */
	struct slice head;   /* on a flow: the request's, as the stack sent it; owned */
	struct slice cancel; /* of a passed INVITE: its CANCEL, as the stack would send it; owned */
	struct slice text;   /* by UDP: the request, or the ACK to its final response; owned */
	struct slice tag;    /* of the first reliable provisional response; owned */
	struct edge_retry *retry; /* where it is one of several servers; NULL */
	size_t cost;              /* memory that is accounted for */
	uint64_t started_ms;
	unsigned attempt; /* of edge_branch_write() */
	bool counted;     /* among the transactions by UDP */
	bool answered;    /* there has been a response */
	bool hung_up;     /* who sent it thinks that it was answered, and the peer has not yet */
	bool passed;      /* a peer's, and not the stack's */
	bool cancelled;   /* it rings no longer than any other */
	bool gives_up;    /* its CANCEL is to be our own */
	bool own;         /* that CANCEL: nobody is to hear what comes of it */
	bool invite, completed;
	bool again; /* a re-INVITE of the stack's */
	char key[]; /* "BRANCH METHOD" of the stack's; empty: an ACK that is sent once */
};

/** The transaction with this branch of the stack's; NULL. */
struct edge_client *edge_client_find(struct edge *edge, struct slice branch, struct slice method);

/** The INVITE that a CANCEL, or the ACK of a failure, with this branch of the stack's is about; NULL. */
struct edge_client *edge_client_invite(struct edge *edge, struct slice method, struct slice branch);

/**
 * A request goes over a flow.  Without memory it is not remembered, and its failure will be a
 * time-out.
 *
 * @param instead  what to do should the flow never open; NULL: fail
 * @return 0 or -ENOBUFS: it is a peer's, and there is no room for it
 */
int edge_client_by_flow(struct sip_flow *flow, const struct edge_head *request, unsigned attempt,
    const struct edge_outgoing *instead);

/**
 * A request goes by UDP; but for an ACK it is sent again until it is answered.
 * @return 0; -ENOBUFS, -ENOMEM, or why it cannot go there
 */
int edge_client_by_datagram(const struct edge_outgoing *out, const struct edge_head *request,
    unsigned attempt);

/** Send the ACK of a final response that is none of 2xx to where its INVITE went, and keep it. */
void edge_client_ack(struct edge_client *invite, struct slice text);

/**
 * A response came; branch and attempt are those of edge_branch_parse().
 * @return false: it is not for the stack: it has come before, or the request goes elsewhere now
 */
bool edge_client_answered(struct edge *edge, struct slice branch, unsigned attempt,
    const struct edge_head *response);

/**
 * Whoever is called may not hang up before he has answered (RFC 3261 15): the stack would end the
 * dialog, and not give back the memory of the INVITE.
 */
bool edge_client_hangs_up_early(struct edge *edge, const struct edge_head *bye);

/**
 * A peer hangs up.  A re-INVITE that crosses with it fails first, as far as the stack hears: it would
 * not give back the memory of one that the end of its dialog overtakes.
 */
void edge_client_hung_up(struct edge *edge, const struct edge_head *bye);

/**
 * The ACK of a failure, made of what was kept of its INVITE or that one's CANCEL.
 *
 * @param response  whose To it has; NULL: that of the request
 * @return to be freed; absent: no memory
 */
struct slice edge_client_make_ack(struct slice request, const struct edge_head *response);

void edge_client_drop(struct edge_client *client);
/** A final response came. */
void edge_client_end(struct edge_client *client, unsigned code);
/** It makes room for the next attempt.  Its response may come again, and gets its ACK again. */
void edge_client_retire(struct edge_client *client);

/** Those that waited for the name, which is given up with it. */
void edge_clients_drop(struct edge_name *name);

/** The name that they waited for is known, or there is none such. */
void edge_client_resolved(struct edge_client *client, const struct edge_name *name);

/** Nobody is there (RFC 3261 18.4): what was sent, or as much of it as has come back. */
void edge_client_unreachable(struct edge_listener *listener, struct slice sent);

/** The stack has given all of its requests up; peers' pass on. */
void edge_clients_forget(struct edge *edge);

/** The flow has died. */
void edge_clients_fail(struct sip_flow *flow);

int edge_clients_init(struct edge *edge, struct event_base *base);
void edge_clients_fini(struct edge *edge);
