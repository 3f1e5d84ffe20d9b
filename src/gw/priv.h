/* What the files of this folder share, and nobody else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <msrpd/cluster.h>
#include <msrpd/page.h>
#include <msrpd/service.h>
#include <msrpd/slice.h>
#include <msrpd/table.h>
#include <msrpd/timer.h>
#include <msrpd/ua.h>

enum gw_cpim { GW_CPIM_AUTO, GW_CPIM_PASS };
enum gw_iscomposing { GW_ISCOMPOSING_DROP, GW_ISCOMPOSING_FORWARD };
enum gw_confirm { GW_ACCEPTED, GW_SENT, GW_DELIVERED };

enum { GW_TENTHS = 7 }; /* of the budget: what is sent and passed on finds room beside it */

/** The section gateway: of the config. */
struct gw_settings {
	uint64_t session_timeout_ms, message_timeout_ms; /* 0: off */
	uint64_t max_queued, max_queued_bytes;
	int cpim, iscomposing; /* the enums above */
	int large_messages;    /* enum page_large */
	uint64_t cleanup_interval_ms;
	uint64_t hash_size; /* log2 */
};

extern const struct setting gw_settings_rows[];

struct gw_counters {
	uint64_t *sessions, *setups, *setups_failed, *ended[UA_END_STOPPED + 1];
	uint64_t *to_msrp, *to_msrp_failed, *to_sip, *to_sip_failed;
	uint64_t *remote, *remote_taken, *yielded;
	uint64_t *refused_type, *refused_full, *duplicates, *iscomposing_dropped;
	struct stats_times *delivery_to_msrp, *delivery_to_sip;
};

/** Digests of MESSAGEs, see recent.c. */
struct gw_recent {
	uint64_t *slots;
	size_t size, used;
};

struct gw_composing;
struct gw_order;
struct gw_owner;
struct gw_queue;
struct hash;

struct gw {
	struct service_env env;
	const struct gw_settings *settings; /* until the next reload */
	struct gw_binding *bindings;        /* by key */
	struct gw_queue *queues;            /* by Request-URI */
	struct gw_recent recent[2];         /* MESSAGEs of late, and of before that */
	struct timer recent_turn;
	struct hash *hash;       /* of what they are told apart by */
	struct gw_owner *owners; /* by key: which node has it, as was heard of late */
	struct timer_queue owner_expiry;
	LIST_HEAD(, gw_composing) composing; /* who has the key is being asked */
	struct timer sweep;
	struct timer_queue timeout;           /* of MESSAGEs that wait for their answer */
	struct timer_queue in_dialog_timeout; /* of those in a session's dialog */
	struct timer_queue glare;             /* of INVITEs that met one of ours */
	struct gw_counters count;
};

/* --- what a rule wants of a MESSAGE --- */

/** What our INVITE has of the rule. */
struct gw_invite {
	struct slice types;
	struct slice headers; /* lines, beside those of the MESSAGE that are passed on */
};

struct gw_order {
	struct slice key;
	struct gw_invite invite;
	enum gw_confirm confirm;
	bool last;       /* nobody but the gateway answers, be it with confirm: accepted */
	unsigned passes; /* from node to node, before it came here */
};

/**
 * Into the session of that key, which is made if there is none, here or wherever the key is; one that
 * has come before, or only says that somebody is typing, makes none, and is taken.
 *
 * @return 0: taken, and answered in time if it is for the gateway to answer it; negative: it was
 *         answered with an error
 */
int gw_take(struct gw *gw, struct sip_request *message, const struct gw_order *order);

/** Answer it with the usual phrase. */
void gw_reply(struct sip_request *message, int code);

/* --- binding.c: a key and its session --- */

/** How MESSAGEs to the page-mode side are addressed. */
struct gw_names {
	struct slice from, to; /* URIs or name-addrs */
	struct slice ruri;
	struct sip_flow *flow;       /* that goes there; NULL: where ruri leads */
	struct sip_flow *caller;     /* of who wrote, unless he is elsewhere; NULL */
	struct slice headers;        /* lines for each of them */
	struct slice answer_headers; /* and for our 2xx to the INVITE */
};

TAILQ_HEAD(gw_deliveries, gw_delivery);
LIST_HEAD(gw_pages, gw_page);

struct gw_binding {
	UT_hash_handle hh;
	struct gw *gw;
	struct sip_request *cause; /* the MESSAGE that it is being set up for; NULL: an INVITE */
	struct gw_names *names;
	struct ua_session *session;      /* NULL: not begun, or over */
	char *accept_types;              /* the MSRP peer's; NULL before they are known */
	bool up;                         /* the session is established */
	bool uac;                        /* by our INVITE */
	struct cluster_claim claim;      /* to the key */
	struct gw_order *order;          /* what it begins with once the key is ours; NULL */
	bool theirs;                     /* the key is another node's: it ends when it is idle */
	bool proven;                     /* the peer has answered a SEND: it is connected */
	bool page_cpim;                  /* the MESSAGE side has sent message/cpim */
	bool any_wrapped;                /* the peer has no accept-wrapped-types */
	uint64_t last_page_ms;           /* the MESSAGE side sent a message */
	uint64_t last_any_ms;            /* either side did */
	struct gw_deliveries waiting;    /* for the session to be set up */
	struct gw_deliveries unanswered; /* handed to the UA */
	size_t waiting_bytes;            /* of both */
	size_t waiting_count;
	struct gw_pages pages; /* under way as MESSAGEs */
	size_t page_count;
	struct sip_request *glare; /* the peer's INVITE that met ours; NULL: none */
	struct gw_names *glare_names;
	char *glare_types;
	struct timer_entry glare_timer;
	char key[];
};

enum { GW_TEXT_MAX = 2048 }; /* bytes of a key, a URI */

struct gw_binding *gw_binding_find(struct gw *gw, struct slice key);

/**
 * Answer an INVITE as a session; the answer is given here in any case.
 *
 * @return 0 or negative errno
 */
int gw_binding_answer(struct gw *gw, struct sip_request *invite, struct slice key,
    struct slice types, const struct gw_names *names);

/**
 * Begin a session because of a MESSAGE.  On failure E_MSRP_GW_SETUP_FAILED has been raised.
 *
 * @return 0 or what ua_start() returned
 */
int gw_binding_call(struct gw_binding **bp, struct gw *gw, struct sip_request *message,
    const struct gw_order *order);

/** The MESSAGE side has written: the clocks run anew, and answers may go back over its connection. */
void gw_binding_heard(struct gw_binding *b, const struct sip_request *message);

/** End it: BYE or CANCEL, and the events. */
void gw_binding_end(struct gw_binding *b, enum ua_end end);

/** The expired ones. */
void gw_binding_sweep(struct gw *gw);

/** All of them, without a word. */
void gw_binding_drop_all(struct gw *gw);

/** Is it to end because another node has the key? */
bool gw_binding_yields(const struct gw_binding *b);

void gw_binding_on_glare(struct timer_entry *entry, void *arg);

extern const struct event_type gw_session_new, gw_session_end, gw_setup_failed;

/* --- delivery.c: MESSAGE to MSRP --- */

/** What a MESSAGE was answered was too much: it has failed after all. */
extern const struct event_type gw_message_failed;

/** A MESSAGE on its way into a session. */
struct gw_delivery {
	TAILQ_ENTRY(gw_delivery) next;
	struct gw_binding *binding;
	struct sip_request *request;
	size_t charged; /* to the budget */
	struct timer_entry timeout;
	enum gw_confirm confirm;
	bool answers;    /* with confirm: accepted as well, once it is known whose the key is */
	unsigned passes; /* as of gw_order */
	uint64_t came_ms;
	bool sent;
	bool accepted; /* by a response, which is not yet what confirm asks for */
	size_t bytes;
	uint64_t taken, covered; /* bytes, by responses and by success reports */
	bool reported_open;      /* by a success report that does not say how far */
	char id[UA_MESSAGE_ID_SIZE];
	char call_id[]; /* the MESSAGE's */
};

/** What a MESSAGE is answered. */
struct gw_answer {
	int code;
	struct slice reason; /* absent: the usual phrase */
	struct slice headers;
};

/** Is there memory for it?  Asked before a session begins for it.  @return 0 or -ENOBUFS */
int gw_delivery_fits(struct gw *gw, const struct sip_request *message);

/**
 * Take a MESSAGE into a binding.
 *
 * @return 0: taken; negative: it was answered with an error
 */
int gw_deliver(struct gw_binding *b, struct sip_request *message, const struct gw_order *order);

/** The key is ours: those that were only waiting to hear that are answered. */
void gw_delivery_accept(struct gw_binding *b);

/** The key is that node's, and so are those that wait. */
void gw_delivery_move(struct gw_binding *b, const struct cluster_node *node);

/** The session is there: what waited leaves. */
void gw_delivery_flush(struct gw_binding *b);

/** It is not, or no more: whoever waits for an answer gets this one. */
void gw_delivery_fail_all(struct gw_binding *b, const struct gw_answer *answer);

void gw_delivery_report(struct gw_binding *b, const struct message_report *report);
void gw_delivery_on_timeout(struct timer_entry *entry, void *arg);

/* --- remote.c: MESSAGEs whose key is another node's --- */

/** A copy to be freed. @return NULL: no memory */
struct gw_order *gw_order_dup(const struct gw_order *order);

/**
 * Let that node have it, and answer it.
 *
 * @return 0; -EXDEV: it has been sent on twice before, or the node has no SIP; or as
 *         sip_request_pass_on()
 */
int gw_remote_send(struct gw *gw, struct sip_request *message, const struct gw_order *order,
    const struct cluster_node *node);

/** Is it known already which node has the key, so that it has gone there?  Then it is answered. */
bool gw_remote_knows(struct gw *gw, struct sip_request *message, const struct gw_order *order);

/** A node has a key, as Redis says. */
void gw_owner_note(struct gw *gw, struct slice key, struct slice node);

void gw_owner_on_expiry(struct timer_entry *entry, void *arg);
void gw_owners_free(struct gw *gw);

/** As service.forwarded. */
void gw_remote_take(struct sip_request *message, const struct cluster_mark *mark, void *state);

/* --- composing.c: somebody is typing --- */

/** Into the session of that key if it is there, here or at another node.  @return as gw_take() */
int gw_composing_take(struct gw *gw, struct sip_request *message, const struct gw_order *order);

void gw_composing_free(struct gw *gw);

/* --- queue.c: MSRP to MESSAGE, one at a time to each Request-URI --- */

/** A message from the session.  @return as ua_handler.message */
int gw_page_take(struct gw_binding *b, const struct message *m);

/** For timer_queue_init(): a MESSAGE in a dialog waits no longer for what becomes of its page. */
void gw_page_on_timeout(struct timer_entry *entry, void *arg);

/** The session is gone: nobody is left to report to. */
void gw_page_orphan_all(struct gw_binding *b);

/** Forget what is under way; the page has been or will be freed without calling back. */
void gw_queue_free_all(struct gw *gw);

/* --- content.c: what goes over as it is, in an envelope, or out of one --- */

/** A content on its way; what had to be made for it is in made and headers. */
struct gw_content {
	struct slice type, body;
	char *headers; /* SIP header lines; NULL: none */
	char *made;
};

void gw_content_fini(struct gw_content *c);

bool gw_type_is(struct slice content_type, struct slice name);
bool gw_type_is_cpim(struct slice content_type);

/** An indication that somebody is typing (RFC 3994), bare or in an envelope? */
bool gw_is_composing(struct slice content_type, struct slice body);

/**
 * @return 0; -EPROTOTYPE: the peer does not take it; -EBADMSG: not the CPIM that it says; -ENOMEM
 */
int gw_content_for_msrp(struct gw_content *c, const struct gw_binding *b,
    const struct ua_session *s, const struct sip_request *message);

/** What an MSRP sender wants to hear by IMDN, as slices of its message. */
struct gw_imdn_request {
	unsigned wants; /* bits of enum imdn_want; 0: nothing */
	struct slice message_id, datetime, from, to;
};

/** @return 0; -EBADMSG: not the CPIM that it says; -ENOMEM */
int gw_content_for_page(struct gw_content *c, struct gw_imdn_request *imdn,
    const struct gw_binding *b, const struct message *m);

/**
 * The notification of what became of a message: message/cpim.
 *
 * @param c  type and body, to be given to gw_content_fini()
 * @return 0; -ENOENT: none is wanted; negative errno
 */
int gw_content_imdn(struct gw_content *c, const struct gw_imdn_request *imdn, bool delivered);

/* --- status.c: what a failure there means here --- */

/** MSRP status (RFC 4975 section 10) for a MESSAGE's final answer; 200 for 2xx. */
int gw_msrp_status(const struct page_result *result);

/** SIP status for an MSRP failure. */
int gw_sip_status(int msrp_code);

enum { GW_PHRASE_SIZE = 64 };

/** For people: what SIP said; absent where it said nothing that failed. */
struct slice gw_report_phrase(char text[GW_PHRASE_SIZE], const struct page_result *result);

enum { GW_HEADERS_SIZE = 320 };

/** A Reason header line (RFC 3326).  @return as a slice of text */
struct slice gw_reason_header(char text[GW_HEADERS_SIZE], const char *protocol, int code,
    struct slice phrase);

/* --- recent.c: MESSAGEs that come again when SIP's transaction is forgotten --- */

/**
 * Note a MESSAGE that came by an unreliable transport, here or at the node that has passed it on.
 *
 * @return true if it was noted before, in the 32 s in which it may come again at least
 */
bool gw_recent_note(struct gw *gw, const struct sip_request *message, unsigned passes);

/** It was refused after all: it may be tried again. */
void gw_recent_forget(struct gw *gw, const struct sip_request *message, unsigned passes);

void gw_recent_on_turn(void *arg);
void gw_recent_free(struct gw *gw);
