/* What the files of this folder share.  The only header of the project that knows Sofia-SIP. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <sofia-sip/msg_mclass.h>
#include <sofia-sip/nua.h>
#include <sofia-sip/nua_tag.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/su_wait.h>

#include <msrpd/reason.h>
#include <msrpd/slice.h>
#include <msrpd/stats.h>
#include <msrpd/timer.h>

#include "base/addr.h"
#include "edge/edge.h"
#include "sip/body.h"
#include "sip/loop.h"
#include "sip/stack.h"

struct stats;

/** The su_root within. */
su_root_t *sip_loop_root(struct sip_loop *loop);

/** Run it on the spot until *done; never from inside one of Sofia's callbacks. */
void sip_loop_finish(struct sip_loop *loop, const bool *done);

/* --- stack and agents --- */

enum {
	SIP_MESSAGE_MAX = 1 << 20, /* bytes of a request that we take or make */
	SIP_UDP_MAX = 1300,        /* RFC 3428 8: beyond it TCP */
	SIP_URI_MAX = 2048,
	SIP_ROUTE_SIZE = SIP_URI_MAX + 256,
};

/** One thing that Sofia reports; valid for the callback. */
struct sip_event {
	nua_event_t event;
	int status;
	const char *phrase;
	nua_handle_t *nh;
	const sip_t *sip; /* may be made up by Sofia where nothing came */
	tagi_t *tags;
	bool from_peer; /* sip came from the network */
};

/** Whoever a handle belongs to; embedded first, hung to the handle as its magic. */
struct sip_owner {
	void (*event)(struct sip_owner *owner, const struct sip_event *ev);
};

enum sip_transport {
	SIP_UDP = 1,
	SIP_TCP = 2,
	SIP_TLS = 4,
	SIP_WS = 8, /* RFC 7118: nobody is called over these two */
	SIP_WSS = 16,
};

/** A listener, with its socket in the edge. */
struct sip_agent {
	STAILQ_ENTRY(sip_agent) next;
	struct sip_stack *stack;
	enum sip_transport transport;
	union addr address; /* port 0 until it is open on a free one */
	struct edge_listener *listener;
};

struct sip_stats {
	uint64_t *invites_in, *messages_in, *registers_in, *invites_out, *messages_out;
	uint64_t *auth_failures;
	uint64_t *options_in, *subscribes_in, *refers_in, *notifies_out, *subscriptions;
	uint64_t *replies_in[7], *replies_out[7]; /* by class, 1 to 6 */
	uint64_t *timeouts, *dialogs, *requests_waiting;
	struct stats_times *setup;
};

/** Sofia's tables for messages, with our parsers in it. */
struct sip_parse {
	struct msg_hclass_s request, from, to, contact, record_route, refer_to, referred_by;
	struct msg_hclass_s content_type, cseq;
	msg_mclass_t *mclass;
};

STAILQ_HEAD(sip_agents, sip_agent);
struct sip_destination;

struct sip_stack {
	struct event_base *base;
	struct sip_loop *loop;
	struct sip_parse parse;
	struct sip_agents agents;
	struct edge *edge;
	nua_t *nua;
	bool nua_down;         /* nua_shutdown() came to its end */
	struct sip_owner link; /* of the request that opens its connection to the edge */
	nua_handle_t *link_nh; /* its handle while it is under way; NULL */
	struct timer link_timer;
	const struct sip_settings *settings;
	const struct sip_credential *credentials;
	size_t credential_count;
	const struct sip_stack_handler *handler;
	void *arg;
	struct auth *auth;
	struct net_guard *guard;
	bool registers;
	char *tags;                           /* what may stand in Require */
	char *own_lines;                      /* header lines of answers that nua does not write */
	char *events;                         /* "Allow-Events: ..." line; NULL: there are none */
	char *contact;                        /* the advertised URI; NULL: the socket's */
	char *route;                          /* "<proxy>", NULL: none */
	struct sip_destination *destinations; /* a hash table */
	struct notifier *notifier;            /* NULL: there is none */
	struct timer_queue orphans;           /* dialogs that end behind the scenes */
	struct timer_queue unheard;           /* those whose re-INVITE has no answer */
	struct timer_queue dropped;           /* requests that get no answer, oldest first */
	size_t dropped_count;
	struct sip_stats stats;
	size_t under_way; /* what a graceful stop waits for */
	enum { SIP_RUNNING, SIP_STOPPING, SIP_SHUTTING_DOWN, SIP_FREEING } stage;
	void (*done)(void *arg);
	void *done_arg;
	struct timer done_timer;
};

static inline void sip_stack_kick(struct sip_stack *stack)
{
	sip_loop_kick(stack->loop);
}

/** Something that a graceful stop waits for begins, or ends. */
void sip_stack_begin(struct sip_stack *stack);
void sip_stack_end(struct sip_stack *stack);

/** Count a response that came in, or did not; and one that goes out. */
void sip_stack_count_reply(struct sip_stack *stack, const struct sip_event *ev);
void sip_stack_count_answer(struct sip_stack *stack, int status);

/**
 * The agent that a request to this URI leaves from, when that is its next hop: by transport, then
 * family, then order.  NULL if none can reach it.
 *
 * @param large  only TCP or TLS will do
 */
struct sip_agent *sip_stack_route(struct sip_stack *stack, const char *uri, bool large);

/** Call it for all that comes with no owner. */
void sip_stack_event(struct sip_stack *stack, const struct sip_event *ev);

/** @return 0, -ENOMEM, -ENOTSUP: another Sofia than the one we know */
int sip_parse_init(struct sip_stack *stack);

/** A request that stands alone came: edge_options.standalone. */
int sip_request_alone(struct slice text, size_t head, void *stack);

/** When no message is left. */
void sip_parse_fini(struct sip_stack *stack);

/** Of a Contact or Record-Route: can a request go there? */
bool sip_url_usable(const url_t *url);

/** Is our Contact in the answer to this request to have sips (RFC 3261 12.1.1)? */
bool sip_is_secure(const sip_t *sip);

/** Of a Contact: was it "*"? */
bool sip_url_is_star(const url_t *url);

/**
 * For what goes out: a cleaned URI, and a From or To around one, with their escapes as they are.
 *
 * @return in memory of home; NULL: it is none, or memory is out
 */
url_t *sip_url_make(su_home_t *home, const char *uri);
sip_addr_t *sip_address_make(su_home_t *home, struct sip_stack *stack, const char *text);

/* --- nua.c: Sofia's user agent, and its connection to the edge --- */

/** With the edge, and its connection to it.  @return 0 or negative errno with why */
int sip_nua_open(struct sip_stack *stack, const struct sip_stack_options *options,
    struct reason *why);

/** Dialogs, requests and the like must be gone. */
void sip_nua_close(struct sip_stack *stack);

/** Take those of the settings that a reload may change.  @return 0 or -ENOMEM */
int sip_nua_take_settings(struct sip_stack *stack);

/**
 * Answer a request for something else in a dialog that has its one purpose (RFC 6665 4.5.2); with
 * 405, after which Sofia forgets what she has begun for it, and not with 403, after which she
 * does not.
 */
void sip_stack_refuse_sharing(const struct sip_stack *stack, nua_handle_t *nh);

/**
 * Let SUBSCRIBE ask for these: names with commas between them; NULL: for nothing, and it is not
 * among the methods that we allow.
 *
 * @param added  the one that is new among them, or NULL
 */
void sip_nua_allow_events(struct sip_stack *stack, const char *events, const char *added);

/* --- agents --- */

struct sip_call;

enum { SIP_AGENT_URI_SIZE = 128 };

/** Where it listens. */
void sip_agent_uri(const struct sip_agent *agent, char uri[SIP_AGENT_URI_SIZE]);

const struct edge_transport *sip_agent_transport(const struct sip_agent *agent);

/** Where a request came from.  @return 0 or -ENOENT: nobody is there any more */
int sip_agent_origin(const struct sip_stack *stack, const sip_t *sip, struct edge_origin *origin);

/** The Route of a request that begins something: over the call's flow, or as the agent. */
void sip_agent_route(const struct sip_agent *agent, const struct sip_call *call,
    char route[SIP_ROUTE_SIZE]);

/** Can this be what a Contact of ours has of its own, as sip_agent_contact() takes it? */
bool sip_contact_is_free(struct slice own);

/**
 * Our Contact, with its user and parameters as in sip_invite.contact or NULL.
 *
 * @param secure  with sips, where the agent has TLS
 * @return to be freed; NULL: no memory
 */
char *sip_agent_contact(const struct sip_agent *agent, bool secure, const char *own);

/**
 * Open every listener of the settings.
 *
 * @return 0, -EINVAL, -EADDRINUSE, -ENOMEM with why; what was opened is in stack->agents
 */
int sip_listeners_open(struct sip_stack *stack, struct reason *why);
void sip_listeners_close(struct sip_stack *stack);

/** As sip_request_uri_is_ours(), of a cleaned URI. */
bool sip_stack_is_here(const struct sip_stack *stack, const char *uri,
    const struct setting_list *names);

/* --- flows --- */

/** The one that the final response to an INVITE of ours came over; NULL: none, or it is closed. */
struct sip_flow *sip_agent_response_flow(const struct sip_agent *agent, const sip_t *sip);

/**
 * Does no other connection lead to who sent this: by the WebSocket that it came over, or by what
 * its Contact says (RFC 5626 5.3, RFC 7118 appendix B)?
 */
bool sip_flow_is_only_way(const struct sip_flow *flow, const sip_t *sip);

/* --- URIs --- */

/**
 * Resolve the escapes of unreserved characters, write the others in capitals (RFC 3986 6.2.2);
 * those of reserved characters stay, which would be another URI without.
 *
 * @return the new length
 */
size_t sip_escapes_normalize(char *text, size_t len);

/**
 * A sip:, sips:, tel:, im:, pres: or urn:service: URI from outside, made safe to give to Sofia: no
 * headers (behind "?"), nothing that could end it early; its escapes normalized.
 *
 * @return to be freed; NULL if it is none
 */
char *sip_uri_clean(struct slice text);

/**
 * An address for a header: "<URI>", or "NAME <URI>" of a name-addr (RFC 3261 25.1), name quoted.
 *
 * @return to be freed; NULL if it is none
 */
char *sip_address_clean(struct slice text);

/** The same of one that Sofia has parsed. */
char *sip_url_clean(const url_t *url);

/** Of the first Contact; NULL if there is none. */
char *sip_contact_clean(const sip_t *sip);

/** That of a URI without one. */
const char *sip_usual_port(unsigned transports);

struct sip_hop {
	char host[256];      /* without brackets */
	char port[8];        /* "" for the default */
	unsigned transports; /* those that its URI allows */
};

/** Where a cleaned URI leads.  @return 0, -EINVAL: for a proxy to say, it is none of SIP's */
int sip_uri_hop(const char *uri, struct sip_hop *hop);

/** Where a listener is.  @return 0, -EINVAL: no SIP URI, or with a transport that we lack */
int sip_listener_parse(const char *text, struct sip_hop *hop);

/* --- bodies --- */

/**
 * The body of a message, without parts where there is none.
 *
 * @return 0 with a body to be given to sip_body_fini(); -EPROTO: one that cannot be read; -ENOMEM
 */
int sip_message_body(struct sip_body *body, const sip_t *sip);

/**
 * The same for an offer or answer.
 *
 * @param sdpp  in the body; absent when there is none, also on failure
 * @return -EPROTO also for a body without SDP, or with a part beside it that is beyond us
 */
int sip_message_sdp(struct sip_body *body, const sip_t *sip, struct slice *sdpp);

/** Is the body compressed, or encoded otherwise? */
bool sip_body_is_encoded(const sip_t *sip);

/** A header line for the 415 that refuses the body. */
const char *sip_body_accepted(const sip_t *sip);

/** Does its sender take an answer with a body of that type?  Without an Accept that is so. */
bool sip_takes_body(const sip_t *sip, const char *type);

/* --- authentication --- */

/** Challenges that a dialog or request has met; NULL: none yet. */
struct sip_auth;

/**
 * Take in the challenges of a 401 or 407.
 *
 * @param authp  made when it is NULL
 * @return 0: the request is to be repeated with sip_auth_lines(); -EACCES: we have no credentials
 *         for it, or they were refused; -ENOMEM
 */
int sip_auth_challenge(struct sip_auth **authp, const struct sip_stack *stack, const sip_t *sip);

/** Another request begins: what was refused before may be tried again.  Accepts NULL. */
void sip_auth_begin(struct sip_auth *auth);

/** Authorization and Proxy-Authorization lines, to be freed; NULL: none needed, or no memory. */
char *sip_auth_lines(struct sip_auth *auth, const struct sip_stack *stack, const char *method,
    const char *uri);
void sip_auth_free(struct sip_auth *auth);

/** Answer the challenge to a BYE, which nua repeats by itself.  @return 0 or -EACCES */
int sip_auth_answer_bye(const struct sip_stack *stack, const struct sip_event *ev);

/* --- requests that begin something --- */

enum {
	SIP_TARGETS_MAX = 5, /* that redirects may lead to */
	SIP_CALL_ID = 24,
};

/** What an INVITE or MESSAGE is made of; each try has a handle of its own. */
struct sip_call {
	char *ruri, *from, *to; /* from with its tag, both in <> */
	char call_id[SIP_CALL_ID + 1];
	unsigned cseq;                  /* of the latest try */
	unsigned session_expires;       /* seconds; 0: the usual */
	unsigned hops;                  /* as in struct sip_invite */
	struct sip_flow *flow;          /* a ref; NULL: where ruri or the proxy is */
	char *node;                     /* a URI that it goes to instead of those; NULL: none */
	char *path;                     /* its Route, which begins with that; NULL: node alone */
	bool by_node;                   /* that has a flow to ruri */
	bool one_datagram;              /* by UDP however large it is */
	char *targets[SIP_TARGETS_MAX]; /* from redirects, RFC 3261 8.1.3.4 */
	unsigned target_count, next_target;
};

/** How a request goes when it does not go where its Request-URI leads; zeroed: it does. */
struct sip_way {
	struct sip_flow *flow;
	struct slice node; /* URI of a proxy, with or without ";lr" */
};

/**
 * @return 0, -EINVAL: a URI that is none, -EDESTADDRREQ: a Request-URI that only a proxy could
 *         route (RFC 3261 8.1.2), and we have none
 */
int sip_call_init(struct sip_call *call, struct sip_stack *stack, struct slice ruri,
    struct slice from, struct slice to, const struct sip_way *way);
void sip_call_clear(struct sip_call *call);

/** It goes by way of no other node, or proxy, any more. */
void sip_call_leave_node(struct sip_call *call);

/** It goes there instead.  @return 0 or -ENOMEM */
int sip_call_lead(struct sip_call *call, const struct sip_place *place);

/** The agent that the next try leaves from; NULL: none can.  @param large  only a stream will do */
struct sip_agent *sip_call_agent(const struct sip_call *call, struct sip_stack *stack, bool large);

/** Where it goes when it has no flow: the URI of its next hop. */
const char *sip_call_hop(const struct sip_call *call, const struct sip_stack *stack);

/** Is our Contact in what it begins to have sips (RFC 3261 8.1.1.8)? */
bool sip_call_is_secure(const struct sip_call *call, const struct sip_stack *stack);

/** A handle for the next try, over call->flow if there is one.  @return NULL when memory is out */
nua_handle_t *sip_call_handle(struct sip_call *call, struct sip_agent *agent,
    struct sip_owner *owner);

/**
 * After a final answer of 300 and more: is there another way to try (credentials, another
 * target, a longer session)?  The call is changed for it.
 */
bool sip_call_again(struct sip_call *call, struct sip_auth **auth, const struct sip_stack *stack,
    const struct sip_event *ev);

/* --- destinations: requests under way to one next hop are bounded --- */

/** A request's place at its destination; zeroed: none. */
struct sip_turn {
	TAILQ_ENTRY(sip_turn) next;
	struct sip_destination *destination;
	bool waiting;
	void (*go)(struct sip_turn *turn);
};

/**
 * Take a place at the call's next hop.
 *
 * @param go  called later, from the loop, when the place had to be waited for
 * @return 1: go now; 0: wait for go(); -ENOBUFS; -ENOMEM
 */
int sip_turn_take(struct sip_turn *turn, struct sip_stack *stack, const struct sip_call *call,
    void (*go)(struct sip_turn *turn));

/** Give it back.  Harmless on a turn that has none. */
void sip_turn_give(struct sip_turn *turn);

/* --- header lines, and phrases --- */

/** A header's value as Sofia writes it, in memory of home; absent: memory is out. */
struct slice sip_header_value(su_home_t *home, const void *h, int flags);

/** Header lines for SIPTAG_HEADER_STR, to be freed; NULL if there is an empty line among them. */
char *sip_header_lines(struct slice headers);

/** The phrase for a status, kept alive as long as the handle: nua reads it later. */
const char *sip_phrase(nua_handle_t *nh, int status, struct slice reason);
