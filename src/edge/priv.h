/* What the files of this folder share. */
#pragma once

#include <msrpd/hash.h>
#include <msrpd/table.h>
#include <msrpd/timer.h>

#include "base/buffer.h"
#include "edge/edge.h"
#include "edge/framer.h"
#include "edge/reply.h"
#include "net/dial.h"
#include "net/listener.h"
#include "net/service.h"
#include "net/stream.h"
#include "net/tap.h"
#include "net/udp.h"

struct edge_target;

/* --- tokens --- */

enum {
	EDGE_MAC_LEN = 16,
	EDGE_FLOW_TOKEN_SIZE = 1 + 16 + EDGE_MAC_LEN + 1, /* with a NUL */
	EDGE_TOKEN_SIZE = EDGE_FLOW_TOKEN_SIZE + 32,      /* with the host of a datagram */
};

_Static_assert((int)EDGE_FLOW_TOKEN_SIZE <= (int)SIP_FLOW_USER_SIZE, "it is told to others");

/** What the top Route, Record-Route or Via of a message between edge and stack names. */
struct edge_token {
	enum {
		TOKEN_FLOW = 'f',
		TOKEN_DATAGRAM = 'd', /* where one came from */
		TOKEN_OUT = 'o',      /* the listener that a request is to leave as */
		TOKEN_WHOLE = 'w',    /* the same; by UDP however large it is */
		TOKEN_LINK = 'l',
		TOKEN_NODE = 'n', /* a flow that another node's request is to go over */
	} kind;
	uint64_t number;     /* of a flow; of a listener */
	union addr peer;     /* DATAGRAM: its source; without its scope */
	uint16_t reply_port; /* DATAGRAM: where the response goes */
};

void edge_token_write(const struct edge *edge, const struct edge_token *token,
    char text[EDGE_TOKEN_SIZE]);

/** @return 0 or -EBADMSG: not one that we have written */
int edge_token_parse(struct edge *edge, struct slice text, struct edge_token *token);

/** A keyed hash of the texts, in hexadecimal. */
void edge_mac(const struct edge *edge, const struct slice *texts, size_t count,
    char mac[EDGE_MAC_LEN + 1]);

/** Is it that?  In a time that tells nothing of where it differs. */
bool edge_mac_is(struct edge *edge, const struct slice *texts, size_t count, struct slice mac);

enum { EDGE_BRANCH_SIZE = 300 };

/**
 * The branch that a request of the stack has in its Via on the wire: the stack's, and a hash of it
 * with a token, so that only responses to what went out there are taken.
 *
 * @param attempt  so many times the request was sent elsewhere: each is a transaction of its own
 *                 (RFC 3263 4.3)
 * @return 0 or -EMSGSIZE
 */
int edge_branch_write(struct edge *edge, const char *token, struct slice branch, unsigned attempt,
    char wire[EDGE_BRANCH_SIZE]);

/** @return the stack's; absent: it is not one that we have sent */
struct slice edge_branch_parse(struct edge *edge, const char *token, struct slice wire,
    unsigned *attemptp);

/** Cut off what each branch of RFC 3261 begins with.  @return false: it is none */
bool edge_branch_cut(struct slice *branch);

enum { EDGE_OWN_BRANCH_SIZE = 7 + EDGE_TOKEN_SIZE + EDGE_MAC_LEN + 1 };

/** Of a flow's or a datagram's token.  @return as edge_origin_of_branch() */
int edge_token_origin(struct edge *edge, const struct edge_token *token,
    struct edge_origin *origin);

/**
 * The branch of the Via that is put on what comes from a peer: it says where the response goes.
 *
 * @param mac  what follows the token
 * @return 0 or -EBADMSG: it is not one of ours
 */
int edge_branch_token(struct edge *edge, struct slice branch, struct edge_token *token,
    struct slice *mac);

/* --- repeating: timers A, E and G of RFC 3261 17 --- */

/** Embedded in what is sent again and again until something comes; zeroed: it is not. */
struct edge_repeat {
	struct timer_entry entry;
	uint8_t step;                              /* its wait is T1 times two to the step */
	uint8_t last;                              /* it grows no further */
	void (*again)(struct edge_repeat *repeat); /* may free it */
};

enum { REPEAT_T2 = 3, REPEAT_STEPS = 7 };

/** @return 0 or -ENOMEM; edge_repeats_fini() is harmless then */
int edge_repeats_init(struct edge *edge, struct event_base *base);
void edge_repeats_fini(struct edge *edge);

/** Call again() after T1, and then each time after twice as long, up to the last step. */
void edge_repeat_start(struct edge *edge, struct edge_repeat *repeat, uint8_t last);
/** From now on each time after T2. */
void edge_repeat_slow_down(struct edge *edge, struct edge_repeat *repeat);
void edge_repeat_stop(struct edge *edge, struct edge_repeat *repeat);

/* --- listeners --- */

struct edge_listener {
	STAILQ_ENTRY(edge_listener) next;
	struct net_listener socket; /* of streams */
	struct net_udp port;        /* of datagrams */
	union addr addr;            /* as it is open */
	struct edge *edge;
	const struct edge_transport *transport;
	unsigned index;
	void *owner;
	char name[ADDR_TEXT_SIZE];   /* sent-by, in the log as well */
	char token[EDGE_TOKEN_SIZE]; /* of what is to leave as it */
	char route[EDGE_ROUTE_SIZE];
};

struct edge_listener *edge_listener_at(struct edge *edge, uint64_t index);

/** One of that transport; NULL.  @param like  its address if possible, or else its family; NULL */
struct edge_listener *edge_listener_with(struct edge *edge, const struct edge_transport *transport,
    const union addr *like);

/** The link-local addresses of a listener's peers are in its zone. */
static inline void edge_set_scope(union addr *peer, const struct edge_listener *listener)
{
	if (peer->any.sa_family == AF_INET6)
		peer->in6.sin6_scope_id = listener->addr.in6.sin6_scope_id;
}

static inline bool edge_listener_has_datagrams(const struct edge_listener *listener)
{
	return !listener->transport->net;
}

/** The edge has other settings. */
void edge_listeners_reload(struct edge *edge);
void edge_listeners_close(struct edge *edge);

/** Open the socket of a UDP listener.  @return 0 or negative errno */
int edge_port_open(struct edge_listener *listener);
/** The link has room again. */
void edge_ports_resume(struct edge *edge);

/* --- flows --- */

/** A place that a flow was dialled to. */
struct edge_place {
	UT_hash_handle hh;
	struct net_dial dial;
	char key[]; /* "tls HOST PORT LISTENER" */
};

/**
 * An accepted connection stands for the address that its peer says he is called at (RFC 5923), as
 * far as his certificate goes.
 */
struct edge_alias {
	UT_hash_handle hh;
	SLIST_ENTRY(edge_alias) of_flow;
	struct sip_flow *flow;
	char key[]; /* "HOST PORT" */
};

struct sip_flow {
	struct net_stream stream;
	struct edge *edge;
	UT_hash_handle hh; /* by the stream's number, while it is alive */
	const struct edge_listener *listener;
	const struct edge_transport *transport;
	struct edge_place *place; /* NULL: accepted */
	SLIST_HEAD(, edge_alias) aliases;
	struct edge_framer framer;
	union addr peer;
	char peer_host[ADDR_TEXT_SIZE];
	char token[EDGE_TOKEN_SIZE];
	bool was_open;
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
struct sip_flow *flow_find(struct edge *edge, uint64_t number);
static inline bool flow_is_alive(const struct sip_flow *flow)
{
	return flow->stream.state != NET_CLOSED && !flow->stream.closing;
}

/**
 * Write a message to the peer: the head changed, and the body.  A flow on which too much waits is
 * closed instead.
 */
void flow_send(struct sip_flow *flow, const struct edge_message *message,
    const struct edge_change *change);

/** Write an answer of our own, a head. */
void flow_answer(struct sip_flow *flow, struct slice text);

/* in.c: what clients send */

/** Where a message came from. */
struct edge_source {
	const struct edge_listener *listener;
	struct sip_flow *flow; /* NULL: in a datagram */
	const union addr *peer;
	const char *host; /* of peer */
};

void edge_take_from_peer(const struct edge_source *from, const struct edge_message *message);

/** Answer what is not taken. */
void edge_refuse(const struct edge_source *from, const struct edge_head *request, unsigned code,
    const char *why);

/** Does a dialog begin with it, along whose Record-Route its later requests go? */
bool edge_forms_dialog(struct slice method);

/**
 * The same for an INVITE, its ACK and its CANCEL, and another for each transaction (RFC 3261
 * 16.11), also without a branch that is one.
 */
void edge_transaction_mac(const struct edge *edge, const struct edge_head *head,
    const struct edge_via *via, char mac[EDGE_MAC_LEN + 1]);

/** RFC 3261 18.2.1, RFC 3581 4 */
void edge_note_source(struct edge_change *change, const struct edge_source *from,
    const struct edge_via *via);

/* out.c: what the stack sends */
/**
 * Give a response to whom the branch of our Via names.
 *
 * @param passed  it is what the request has been answered where it has gone on to, and not by us
 * @return false: it is none of ours
 */
bool edge_respond(struct edge *edge, struct slice branch, const struct edge_message *message,
    bool passed);
void edge_take_from_stack(struct edge *edge, const struct edge_message *message);
/** A request of the stack's that has waited, or has been elsewhere in vain. */
void edge_send_again(struct edge *edge, struct slice text, unsigned attempt);
/** The ACK of a failure that only we have heard of, as the stack would send it. */
void edge_send_ack(struct edge_client *invite, struct slice text);
/** Has it a token of ours where only the stack has one? */
bool edge_is_from_stack(struct edge *edge, const struct edge_head *head);

/** The token of its top Route or Record-Route.  @return 0 or -EBADMSG: none of ours */
int edge_route_token(struct edge *edge, const struct edge_head *head, enum edge_field field,
    struct edge_token *token);

/* pass.c: past the stack, between a client and another node */

/**
 * A request of a peer's that is not for the stack: a node's, for a flow; in a dialog that a passed
 * request has begun; or about such a request.
 *
 * @param change  our Via is on it, of this branch
 * @param passed  false: it is for the stack
 * @return 0, or the status that it is to be refused with
 */
unsigned edge_pass_request(const struct edge_source *from, const struct edge_message *message,
    const struct edge_change *change, struct slice branch, bool *passed);

/** Is it a peer's, on its way to another one? */
bool edge_is_passed(struct edge *edge, const struct edge_head *request);

/** What a request is answered that does not reach who it is for: RFC 3261 16.9, 16.7 of a passed one. */
static inline unsigned edge_unreached(bool passed)
{
	return passed ? 500 : 503;
}

/** A response of the edge's own goes to the stack, or to the peer whose passed request it is to. */
void edge_give_back(struct edge *edge, struct slice response);

/* --- server transactions: requests that came in datagrams, RFC 3261 17.2 and RFC 6026 --- */

/** What is kept of one, and no more: it costs memory for 64*T1. */
struct edge_server {
	UT_hash_handle hh;
	UT_hash_handle merged_hh;
	struct timer_entry life;
	struct edge_repeat repeat; /* a final response to an INVITE, until its ACK */
	uint64_t key;              /* a keyed hash of what RFC 3261 17.2.3 compares */
	uint64_t fields;           /* of what 8.2.2.2 compares */
	struct edge_listener *listener;
	union addr to;  /* where responses go */
	char *response; /* the last one; NULL: none */
	uint32_t len;
	enum { SERVER_PROCEEDING, SERVER_COMPLETED, SERVER_CONFIRMED } state;
	bool invite;
	bool passed; /* another peer is to answer, and not the stack */
};

/** Which transaction? */
struct edge_server_id {
	struct slice mac;    /* of our branch */
	struct slice method; /* ACK is INVITE's */
	const char *host;    /* it comes from there */
};

enum edge_verdict {
	EDGE_NEW,      /* pass it on */
	EDGE_ABSORBED, /* it has come before */
	EDGE_MERGED,   /* it has come another way (RFC 3261 8.2.2.2) */
	EDGE_TOO_MANY, /* there is no room for another transaction */
};

/** A request has come.  @param to  where responses go */
enum edge_verdict edge_server_take(const struct edge_source *from, const struct edge_server_id *id,
    const struct edge_head *request, const union addr *to);

/**
 * The stack responds: keep it.
 * @return false: it is not to be sent
 */
bool edge_server_answer(struct edge *edge, const struct edge_server_id *id, unsigned code,
    struct slice response);

/** The stack has not got the request, and will not answer: it is new when it comes again. */
void edge_server_forget(struct edge *edge, const struct edge_server_id *id);
/** Nor any of those that it has not answered, but for passed ones. */
void edge_servers_forget(struct edge *edge);
/** The request with this branch of ours goes on past the stack.  Harmless if it came over a flow. */
void edge_server_note_passed(struct edge *edge, struct slice branch, struct slice method);

int edge_servers_init(struct edge *edge, struct event_base *base);
void edge_servers_fini(struct edge *edge);

/**
 * Is there room for so many bytes more?  The stack keeps each INVITE that it has refused for 64*T1,
 * whatever transport it came by: that counts as well.
 */
bool edge_memory_has(struct edge *edge, size_t bytes);

/** The stack has refused an INVITE. */
void edge_refusal_note(struct edge *edge);

/** Memory of transactions.  @return false: the bound is reached */
bool edge_memory_take(struct edge *edge, size_t bytes);
/** For what ends something: that may have an eighth, or 64 KiB, more. */
bool edge_memory_take_reserve(struct edge *edge, size_t bytes);
/** Whatever the bound is. */
void edge_memory_add(struct edge *edge, size_t bytes);
void edge_memory_give(struct edge *edge, size_t bytes);

/* --- client transactions: requests of the stack --- */

/** What is to go by UDP. */
struct edge_outgoing {
	struct edge_listener *listener;
	struct slice host; /* an address of the listener's family, or a name */
	uint16_t port;
	struct slice text;
};

/**
 * What is known of one.  On a flow: what to tell the stack when that dies.  By UDP: what to send
 * again, RFC 3261 17.1.
 */
struct edge_client {
	UT_hash_handle hh;
	UT_hash_handle dialog_hh;       /* of a re-INVITE while it waits for its final response */
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
	union addr peer;     /* by UDP */
	struct slice head;   /* on a flow: the request's, as the stack sent it; owned */
	struct slice cancel; /* of a passed INVITE: its CANCEL, as the stack would send it; owned */
	struct slice text;   /* by UDP: the request, or the ACK to its final response; owned */
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
 * A peer hangs up.  A re-INVITE that crosses with it fails first, as far as the stack hears: it would
 * not give back the memory of one that the end of its dialog overtakes.
 */
void edge_client_hung_up(struct edge *edge, const struct edge_head *bye);

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

/* --- other servers of a domain --- */

/**
 * Should the server that the request went to not be reached, or answer 503 (RFC 3263 4.3), send it
 * again to the next one.
 * @param attempt  as for edge_service_apply()
 */
void edge_retry_note(struct edge *edge, const struct edge_target *target,
    const struct edge_message *request, unsigned attempt);
void edge_retry_forget(struct edge_client *client);

/** Nobody is there.  @return is it on its way elsewhere?  It is gone here then */
bool edge_retry_unreached(struct edge_client *client);
/** The same when it is too late for this one. */
void edge_retry_too_late(struct edge_client *client);

/** 503.  @return is it on its way elsewhere? */
bool edge_retry_refused(struct edge_client *client, struct slice branch,
    const struct edge_head *response);

/* --- names of next hops --- */

struct edge_name {
	UT_hash_handle hh;
	struct net_lookup *lookup; /* NULL: it is known */
	struct timer_entry kept;
	union addr found[2]; /* of IPv4 and IPv6; none */
	TAILQ_HEAD(, edge_client) waiting;
	struct edge *edge;
	bool starting;
	char host[];
};

/** @return NULL: no memory, or too many */
struct edge_name *edge_name_get(struct edge *edge, struct slice host);

/** The address, of this family if there is one.  @return false: none */
bool edge_name_address(const struct edge_name *name, sa_family_t family, union addr *addr);

int edge_names_init(struct edge *edge, struct event_base *base);
void edge_names_fini(struct edge *edge);

/* --- places that requests go to --- */

/** Host names are the same in any case. */
void edge_lower(char *text);

struct edge_target {
	const struct edge_transport *transport;
	struct edge_listener *listener; /* that it leaves as; NULL: there is none */
	bool named;                     /* the URI says by which transport */
	bool has_port;                  /* and which port */
	char host[256];
	char identity[256]; /* the domain whose server the host is; empty: it is nobody's */
	unsigned choices;   /* so many servers it has */
	uint16_t port;
};

/**
 * Where a URI leads.
 *
 * @param listener  that the request is to leave as, if it can; NULL: any
 * @return 0 or -EINVAL: nobody can be reached there
 */
int edge_target_read(struct edge *edge, struct edge_target *target, struct slice uri,
    struct edge_listener *listener);

enum { EDGE_PLACE_SIZE = 300 };

/** "TRANSPORT HOST PORT" */
void edge_place_write(char place[EDGE_PLACE_SIZE], const struct edge_transport *transport,
    const char *host, uint16_t port);

/**
 * Nobody could be reached there, or it has no time: pass it over for a while where a domain has
 * others.
 * @param at_least_ms  that long, or 0: the usual
 */
void edge_place_failed(struct edge *edge, const char *place, uint64_t at_least_ms);

/** Has the domain another server, as far as is known, than those that have failed? */
bool edge_service_has_other(struct edge *edge, const struct edge_transport *transport,
    const char *domain);

/**
 * If the target is a domain with servers, make it one of these.
 *
 * @param attempt  so many times the request was sent elsewhere, in vain
 * @return 0; -EINPROGRESS: the request waits, and is sent later; -EHOSTUNREACH: there is no other
 *         server; -ENOBUFS: too many wait
 */
int edge_service_apply(struct edge_target *target, const struct edge_message *message,
    unsigned attempt);

int edge_services_init(struct edge *edge, struct event_base *base);
void edge_services_fini(struct edge *edge);
/** The stack has given all of its requests up; peers' wait on. */
void edge_services_drop_waiting(struct edge *edge);

/** The transport of a URI, as that listener or any other one would take it; NULL: not spoken. */
const struct edge_transport *edge_uri_transport(const struct edge_uri *uri,
    const struct edge_listener *listener);

/** The same place by TCP.  @return false: we do not speak it */
bool edge_target_to_tcp(struct edge *edge, struct edge_target *target);

/** The connection there, of a transport on streams: opened unless it is.  NULL: none to be had */
struct sip_flow *edge_target_flow(struct edge *edge, const struct edge_target *target);

/**
 * A request with an alias has come over the flow.  Harmless where that proves nothing: without
 * TLS, or a certificate that holds.
 */
void edge_alias_note(struct sip_flow *flow, const struct edge_via *via);

/** The connection that stands for that place, to whose name its certificate is; NULL. */
struct sip_flow *edge_alias_flow(struct edge *edge, const struct edge_target *target);

/** The flow has died. */
void edge_aliases_forget(struct sip_flow *flow);

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
	char sent_by[280];           /* of the stack's Via */
	char token[EDGE_TOKEN_SIZE]; /* in Warnings, a secret between the edge and the stack */
};

/** Of what we have written ourselves. */
extern const struct edge_bounds edge_own_bounds;

/** @return 0 or negative errno; edge_link_fini() is harmless after a failure */
int edge_link_init(struct edge_link *link, struct edge *edge, struct net *net);
void edge_link_fini(struct edge_link *link);

/** To the stack: a message with its head changed, or as it is.  @return 0 or -ENOMEM: it is lost */
int edge_link_send(struct edge_link *link, const struct edge_message *message,
    const struct edge_change *change);
void edge_link_send_text(struct edge_link *link, struct slice text);

/** Is there so much for the stack that clients are to wait? */
bool edge_link_is_full(const struct edge_link *link);
/** Do not read the flow until the link has room again; do so no more, it is closed. */
void edge_link_pause(struct edge_link *link, struct sip_flow *flow);
void edge_link_forget(struct edge_link *link, struct sip_flow *flow);

/** Has all that the stack has written been read? */
bool edge_link_is_quiet(const struct edge_link *link);

/** What we say of a request that the stack, or a peer by way of us, has sent. */
struct edge_reply edge_own_reply(struct edge *edge, const struct edge_head *request, unsigned code,
    const char *why);

/** Answer such a request by ourselves.  Harmless for an ACK. */
void edge_link_reply(struct edge_link *link, const struct edge_head *request, unsigned code,
    const char *why);

/** "<sip:TOKEN@127.0.0.1:PORT;transport=tcp;lr>" */
void edge_route_write(const struct edge *edge, const char *token, char text[EDGE_ROUTE_SIZE]);

/* --- the edge --- */

/** Write a message, its head changed, over what w has.  @return 0 or negative errno, as logged */
int edge_write(struct buffer *w, const struct edge_message *message,
    const struct edge_change *change);

struct edge_count {
	uint64_t *messages_in, *messages_out, *bad_messages, *stray_responses, *passed,
	    *passed_failed;
	uint64_t *datagrams_in, *datagrams_out, *datagrams_dropped;
	uint64_t *repeats_in, *repeats_out;
	uint64_t *transactions, *transaction_memory, *transactions_refused;
};

enum { EDGE_REFUSAL_SLOTS = 33 };

/** INVITEs that the stack has refused of late. */
struct edge_refusals {
	uint64_t slot; /* of time, the last that is counted in */
	uint32_t counts[EDGE_REFUSAL_SLOTS];
	uint32_t total;
};

struct edge {
	struct net_protocol protocol; /* of the flows */
	char advertised[280];         /* what clients call us; empty: the listener's address */
	struct edge_link link;
	const struct edge_settings *settings;
	struct edge_bounds bounds;
	struct hash *hash;
	STAILQ_HEAD(, edge_listener) listeners;
	unsigned listener_count;
	struct sip_flow *flows;        /* by number */
	struct edge_place *places;     /* by key */
	struct edge_alias *aliases;    /* by key */
	struct edge_client *clients;   /* by key */
	struct edge_client *reinvites; /* by dialog */
	struct edge_server *servers;   /* by key */
	struct edge_server *merged;    /* by fields: those that begin something */
	struct edge_name *names;       /* by host */
	struct edge_service *services; /* by name */
	struct edge_bad *bad_places;   /* by place */
	struct timer_queue reading;    /* flows with a message that is not whole */
	struct timer_queue idle;       /* the others */
	struct timer_queue quiet;      /* of these the WebSockets, while they are pinged */
	/* Client transactions: without an answer; timer C; with a final one, timers D and K. */
	struct timer_queue client_waiting, client_ringing, client_completed, client_absorbing;
	/* Server transactions: an INVITE that rings; timers H, J and L, which are as long; timer I. */
	struct timer_queue server_ringing, server_completed, server_confirmed;
	struct timer_queue repeats[REPEAT_STEPS];
	struct timer_queue names_kept, services_kept, bad_kept;
	uint64_t transaction_timeout_ms;
	uint64_t full_said_ms; /* that there is no room for transactions */
	struct edge_refusals refusals;
	struct buffer text; /* of the message that is being written */
	struct edge_count count;
	void (*link_lost)(void *arg);
	void *arg;
};

/** Timers K and I: what is on its way when a transaction ends has come by then. */
static inline uint64_t edge_t4_ms(const struct edge *edge)
{
	return edge->transaction_timeout_ms * 5 / 32;
}
