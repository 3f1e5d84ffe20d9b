/* What the files of this folder share, and nobody else. */
#pragma once

#include <sys/queue.h>

#include <msrpd/table.h>
#include <msrpd/timer.h>

#include "endpoint/endpoint.h"
#include "sip/dialog.h"
#include "sip/sdp.h"
#include "ua/local.h"
#include "ua/ua.h"

enum {
	UA_RETRY_MS = 100,       /* of a refused connection: after this, twice it, … */
	UA_STREAMS_MAX = 16,     /* that one session carries beside its own */
	UA_LAST_WORDS_MS = 2000, /* for what its BYE has overtaken */
};

struct ua_counters {
	uint64_t *sessions, *started, *answered, *refused, *established, *failed;
	uint64_t *ended[UA_END_STOPPED + 1];
};

TAILQ_HEAD(ua_sessions, ua_session);
TAILQ_HEAD(ua_streams, ua_session);

struct ua {
	struct ua_env env;
	struct endpoints *endpoints;
	struct ua_locals locals;
	struct ua_session *sessions;    /* by id */
	struct ua_sessions established; /* oldest first */
	struct timer cleanup;
	struct timer_queue unbound;    /* sessions whose peers are to connect */
	struct timer_queue grace;      /* sessions without their connection */
	struct timer_queue retry;      /* those of them whose connection was refused */
	struct timer_queue last_words; /* sessions that hear their peers out */
	const struct ua_taker *taker;  /* of streams that peers add; NULL: none */
	struct ua_streams orphans;     /* whose carriers have ended */
	struct timer orphaned;
	struct ua_counters count;
	bool stopping;
	void (*stopped)(void *arg);
	void *stopped_arg;
	struct timer stopped_timer;
};

/** To be called when a session is gone: tells who waits for the last one. */
void ua_session_gone(struct ua *ua);

/** Put a session into the table.  @return 0 or -ENOMEM */
int ua_session_enter(struct ua_session *s);

/* --- sessions --- */

enum session_state {
	SESSION_SETUP, /* until the ACK */
	SESSION_ESTABLISHED,
	SESSION_LOST,     /* without its connection: reconnect_grace runs */
	SESSION_GIVEN_UP, /* for good; the reports of what was not sent come in */
	SESSION_FLUSHING, /* a graceful stop waits for what is queued */
	SESSION_HEARING,  /* the peer has ended it; its answers to what it got come in */
	SESSION_OVER,
};

/** What the peer said in SDP; one block. */
struct ua_peer {
	struct slice path, accept_types, accept_wrapped_types;
	struct slice attribute; /* that the service asked for */
	uint64_t max_size;      /* UINT64_MAX: none */
	enum sdp_direction direction;
	struct slice fingerprints[SDP_FINGERPRINT_MAX]; /* "sha-256 AB:CD…" */
	size_t fingerprint_count;
	bool connects; /* the peer does, not we */
};

struct endpoint_auth;

struct ua_session {
	struct ua *ua;
	unsigned refs; /* of the table, and of each handler's call */
	enum session_state state;
	bool uac, notified; /* told of as established */
	bool reoffer;       /* once the dialog is free for it */
	bool offering;      /* our re-INVITE is under way */
	bool moved;         /* our path has changed, and the peer does not know */
	bool held;          /* until ua_release() */
	bool sends_only;
	bool file; /* its stream is one for a file */
	const struct ua_handler *handler;
	void *arg;
	const char *peer_attribute; /* see struct ua_offer */

	/*
	 * A session may carry others, each with a stream of its own in the carrier's SDP: they
	 * have no dialog.
	 */
	struct ua_session *carrier; /* NULL: it stands for itself, or its carrier has ended */
	struct ua_streams streams;  /* that it carries */
	TAILQ_ENTRY(ua_session) stream;
	enum {
		STREAM_QUIET,   /* our offers have nothing of it yet */
		STREAM_READY,   /* it may be in the next one */
		STREAM_OFFERED, /* it is in the one under way */
		STREAM_AGREED,
		STREAM_REFUSED, /* by the answer */
		STREAM_DROPPED, /* by the peer's offer */
	} agreement;
	enum ua_end orphaned_by;
	bool carried;    /* it is, or was */
	size_t at;       /* the m= line of its stream; SDP_NOWHERE */
	char *described; /* attributes that ua_release() brought */

	struct sip_dialog *dialog;
	struct sip_request *invite; /* the peer's, until the session is established */
	bool unanswered;            /* it is */
	struct endpoint *endpoint;
	struct endpoint_auth *upstream; /* the relay's grant; NULL without relay_uri */
	struct sdp_own sdp;
	struct ua_peer *peer; /* NULL before it is known */
	char *refused_types;  /* answered 415; NULL: none */
	uint64_t established_ms;
	struct timer_entry unbound, grace, retry, last_words;
	unsigned retry_periods;              /* of UA_RETRY_MS since the first refusal */
	TAILQ_ENTRY(ua_session) established; /* while established_ms is not 0 */
	UT_hash_handle hh;
	struct slice uri; /* our own; these texts stand behind the struct */
	struct slice from_uri, to_uri, ruri;
	struct slice accept_types, accept_wrapped_types; /* ours */
	struct slice headers, contact;
	struct sip_flow *flow;   /* that our INVITE goes over; NULL */
	unsigned hops;           /* that it may go, as of a ua_offer */
	struct slice attributes; /* the same */
	char id[UA_ID_MAX + 1];
};

/* --- make.c --- */

/** What a session begins with. */
struct ua_session_start {
	struct ua_session *carrier; /* NULL: it stands for itself */
	const struct ua_offer *offer;
	const struct ua_local *local;
	struct slice from_uri, to_uri, ruri;
	bool uac;
};

/** Are there as many sessions as there may be? */
bool ua_is_full(const struct ua *ua);

/** @return 0, -EINVAL: types that are none, -ENOBUFS: ua_is_full(), -ENOMEM */
int ua_session_new(struct ua_session **sp, struct ua *ua, const struct ua_session_start *start);

/* --- dialog.c --- */

/** By our INVITE, or the AUTH before it.  On failure the session remains to be dropped. */
int ua_session_call(struct ua_session *s);

/** By the peer's.  @return 0; negative: it was answered with an error */
int ua_session_accept(struct ua_session *s, struct sip_request *invite);

/** Before it is established: its caller is answered 503, the one called gets a CANCEL; and UA_FAILED. */
void ua_session_call_off(struct ua_session *s, struct slice reason);

/** Offer what has changed, now or once the dialog is free for it. */
void ua_dialog_offer(struct ua_session *s);

/* --- session.c --- */

/** The ACK of an INVITE, or an answer: it is agreed upon. */
void ua_session_establish(struct ua_session *s);

/** Leave everything, without a word to the handler: BYE, CANCEL or an error answer. */
void ua_session_drop(struct ua_session *s);

/** The same, and UA_TERMINATED. */
void ua_session_terminate(struct ua_session *s, enum ua_end end);

/** The same when the peer has ended it: later, where the handler hears_out. */
void ua_session_ends(struct ua_session *s, enum ua_end end);

/** The same, and UA_FAILED; here: it is we that say so. */
void ua_session_fail(struct ua_session *s, const struct sip_failure *failure);
void ua_session_fail_here(struct ua_session *s, int code, struct slice reason);

/** After another exchange of SDP: go where it says. */
void ua_session_follow(struct ua_session *s);

/**
 * The daemon stops: end it once nothing is queued, and at once while it is set up.  Harmless on
 * one that waits for that.
 */
void ua_session_flush(struct ua_session *s);

/** Another UA_RETRY_MS has passed since the connection was refused. */
void ua_session_retry(struct ua_session *s);

/** bind_timeout has passed: what has become of it? */
void ua_session_missed(struct ua_session *s);

/** Nobody is there to take what is queued, nor will be. */
void ua_session_give_up(struct ua_session *s, enum ua_end end);

/** Hold a session across calls of handlers. */
void ua_session_ref(struct ua_session *s);
void ua_session_unref(struct ua_session *s);

/* --- media.c: SDP and where the connection goes --- */

/**
 * Our offer, or our answer to one.
 *
 * @param textp  valid until the next of these
 * @return 0; -EPROTO: nothing in the offer that can be used: 488; -ESHUTDOWN: it takes our stream
 *         away, which textp agrees to; -ENOMEM
 */
int ua_media_offer(struct ua_session *s, struct slice *textp);
int ua_media_answer(struct ua_session *s, struct slice offer, struct slice *textp);

/**
 * The way to be reached that suits an offer (absent: any).
 *
 * @return NULL if there is none, or nothing in the offer that can be used: 488, and *whyp says why
 */
const struct ua_local *ua_media_pick(const struct ua *ua, struct slice offer,
    const struct ua_offer *ours, const char **whyp);

/** The way that s is reached; after a reload perhaps another. */
const struct ua_local *ua_media_local_of(const struct ua_session *s);

/** Are the offer's preconditions met, or absent (RFC 3312)?  Otherwise 580. */
bool ua_media_is_ready(struct slice offer);

/** Take the peer's answer to our offer.  @return 0, -EPROTO: nothing that can be used, -ENOMEM */
int ua_media_take_answer(struct ua_session *s, struct slice answer);

/** Connect, if that is for us to do.  Harmless on a session that is connected. */
int ua_media_connect(struct ua_session *s);

/** Is the peer at the connection's other end the one that its SDP spoke of (RFC 8122 6.2)? */
bool ua_media_is_peer(struct ua_session *s);

/* --- stream.c: sessions that others carry --- */

/** What becomes of a session's stream, when the exchange of SDP is over: they are told. */
void ua_streams_settle(struct ua_session *carrier);

/** Our offer was refused: what it brought goes. */
void ua_streams_refused(struct ua_session *carrier, const struct sip_failure *failure);

/** The carrier has ended: those that it carries will be told, not from inside this call. */
void ua_streams_leave(struct ua_session *carrier, enum ua_end end);

/** It ends: off its carrier, whose SDP it leaves. */
void ua_stream_leave(struct ua_session *s);

/** It may be offered. */
void ua_stream_ready(struct ua_session *s);

/** The peer adds a stream: the taker is asked for a session.  @return NULL: refused */
struct ua_session *ua_stream_take(struct ua_session *carrier, const struct sdp_media *media,
    const struct ua_local *local);

/* --- upstream.c: the relay --- */

/**
 * Ask for a Use-Path; ua_session_granted() or ua_session_auth_failed() follows, also when a refresh
 * brings another, or none.
 */
int ua_upstream_ask(struct ua_session *s);

/** The Use-Path in the order of To-Path; absent before it is granted, or without a relay. */
struct slice ua_upstream_path(const struct ua_session *s);

void ua_session_granted(struct ua_session *s);

/** @param code  of the relay's answer; 408, 503 without one */
void ua_session_auth_failed(struct ua_session *s, int code, struct slice reason, bool from_relay);

/* --- page.c: messages that SIP brings --- */

/**
 * Can the texts beside the SDP of an INVITE be taken?
 *
 * @return 0; -EPROTO: it was answered 415
 */
int ua_page_judge(struct sip_request *invite, struct slice accept_types);

/** The session is established: those texts are its first messages. */
void ua_page_greet(struct ua_session *s, const struct sip_request *invite);

/** Whom lines about it are about. */
struct story ua_story(const struct ua_session *s);

/** A MESSAGE in the dialog; it is answered here. */
void ua_page_take(struct ua_session *s, struct sip_request *request);

/* --- message.c --- */

extern const struct endpoint_handler ua_endpoint_handler;

/** Give up what was queued before it was known what the peer takes. */
void ua_message_filter(struct ua_session *s);

/* what the endpoint tells of the connection; session.c */
void ua_session_bound(void *arg);
void ua_session_lost(int err, void *arg);
void ua_session_refused(int code, void *arg);
void ua_session_drained(void *arg);

/** A message came before the ACK: the peer has our answer, so the session is established. */
void ua_session_arrived(struct ua_session *s);
