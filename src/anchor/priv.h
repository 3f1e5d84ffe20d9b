/*
 * What the files of this folder share.
 *
 * An anchored session has two legs, each a SIP dialog with an MSRP side: what its peer says
 * in SDP goes to the other leg's peer as if we said it, with our own path in place of his.
 */
#pragma once

#include <sys/queue.h>

#include <msrpd/anchor.h>
#include <msrpd/service.h>
#include <msrpd/story.h>
#include <msrpd/table.h>
#include <msrpd/timer.h>

#include "forward/forwarder.h"
#include "forward/way.h"
#include "msrp/listener.h"
#include "msrp/target.h"
#include "msrp/transaction.h"
#include "sip/dialog.h"
#include "sip/sdp.h"
#include "ua/local.h"

/* A connection that was lost or refused is tried again after this, twice it, … */
enum {
	ANCHOR_RETRY_MS = 100,
	ANCHOR_HELD_MS = 5000, /* one that has lasted so long was no failure */
};

/** The `anchor:` section. */
struct anchor_settings {
	uint64_t max_sessions;
	uint64_t ring_timeout_ms;
	uint64_t max_duration_ms;    /* 0: no limit */
	uint64_t reconnect_grace_ms; /* 0: end at once */
};

extern const struct setting anchor_settings_rows[];

/** Why one ended. */
enum anchor_end { ANCHOR_BYE, ANCHOR_ENDED, ANCHOR_EXPIRED, ANCHOR_FAILED, ANCHOR_STOPPED };

enum { ANCHOR_ENDS = ANCHOR_STOPPED + 1 };

/* --- one leg --- */

/** What its peer has said of his stream, in SDP that is kept as it came. */
struct anchor_side {
	char *sdp;         /* NULL: nothing yet */
	size_t len, at;    /* at: his m= line */
	struct slice path; /* in sdp */
	bool answers;      /* our offer; else it is one of his */
	bool connects;     /* he does, not we */
};

struct anchor_leg {
	struct anchor *anchor;
	struct anchor_leg *other;
	struct sip_dialog *dialog;
	bool up; /* its dialog is established */

	/* SDP */
	struct sdp_own sdp;      /* what we have said */
	size_t at;               /* our m= line in it; SDP_NOWHERE */
	bool plain;              /* our offers are without CEMA (RFC 6714) */
	struct anchor_side peer; /* that holds */
	struct anchor_side next; /* that he has offered, until the other leg's peer has answered */
	size_t charged;          /* for both, of max_memory */
	bool asks;               /* he waits for our SDP, made of what the other leg's peer says */
	bool asks_ours;          /* his INVITE had no offer: that SDP is one */
	bool offers;             /* an offer of our own waits until the dialog is idle */
	bool offered;            /* what we have said last is an offer that has no answer yet */

	/* MSRP */
	struct msrp_target target;
	struct msrp_user user;
	struct msrp_transaction greeting;
	struct way way;         /* of what goes to its peer */
	struct traffic traffic; /* of what comes from him */
	struct timer_entry grace, retry;
	unsigned retry_wait; /* of ANCHOR_RETRY_MS before the next try, or the last one; 0: none */
	unsigned retry_left; /* what is left of that */
	uint64_t since_ms;   /* its connection is, or the last one was, confirmed */
	char *claim;         /* the path of who is bound, until his SDP is here; else NULL */
	bool confirmed;      /* its connection: something came over it */
	bool lost;           /* one was, or could not be had; none was confirmed since */
	bool secure;         /* its URI is msrps */
	char uri[MSRP_LISTEN_URI_MAX + UA_ID_MAX];
};

enum { CALLER, CALLEE };

struct anchor {
	struct anchors *all;
	struct anchor_leg *legs[2];
	UT_hash_handle hh;
	unsigned refs;
	bool established, over;
	struct timer_entry ringing, duration;
	bool other_tried;         /* the callee has refused TLS, or plain TCP, and got the other */
	struct sip_invite second; /* without its SDP; its texts, and a reference to its flow */
	char *headers;            /* its own, too */
	char id[UA_ID_MAX + 1];   /* the session id of the caller's leg */
};

/* --- all of them --- */

struct anchor_counters {
	uint64_t *sessions, *started, *refused, *established, *failed, *ended[ANCHOR_ENDS];
	uint64_t *lost, *reconnected;
};

struct anchors {
	struct service_env env;
	const struct anchor_settings *settings;
	const struct ua_locals *locals; /* of the UA */
	struct forwarder forwarder;
	struct anchor *table; /* by id */
	struct timer_queue ringing, duration, grace, retry;
	struct anchor_counters count;
};

extern const struct event_type anchor_event_new, anchor_event_end;

/** Who calls into one from outside holds a reference. */
void anchor_ref(struct anchor *anchor);
void anchor_unref(struct anchor *anchor);

struct anchor *anchor_find(struct anchors *all, struct slice id);

/**
 * End it: BYE, CANCEL or an error on both sides, as their state demands.
 *
 * @param why  value of a Reason header (RFC 3326) for who did not end it himself; or absent
 */
void anchor_finish(struct anchor *anchor, enum anchor_end end, struct slice why);

/** Whom lines about a leg are about. */
struct story anchor_story(const struct anchor_leg *leg);

/** Both dialogs are there. */
void anchor_set_established(struct anchor *anchor);

/** The callee refuses what he is offered: is there something else, TLS or not?  Then it is next. */
bool anchor_try_other(struct anchor *anchor);

/** What has passed, both ways. */
struct traffic anchor_traffic(const struct anchor *anchor);

/** Expiry of anchors.ringing, .duration; arg is the anchors. */
void anchor_on_ringing(struct timer_entry *entry, void *arg);
void anchor_on_duration(struct timer_entry *entry, void *arg);

/* --- call.c: the SIP side --- */

/** Make the caller's dialog of his INVITE.  @return 0, or negative: it is answered */
int call_take(struct anchor_leg *caller, struct sip_request *invite);

/** Send the second INVITE.  @return 0, or negative: the first one was refused for it */
int call_place(struct anchor_leg *callee);

/** It comes to nothing: that answer to the caller. */
void call_give_up(struct anchor_leg *caller, int code, struct slice reason);

/* --- leg.c: the MSRP side --- */

/** With a URI of its own at local.  @return 0 or -ENOMEM */
int leg_new(struct anchor_leg **legp, struct anchor *anchor, const struct ua_local *local);

/** To a URI there, with the same session id; nobody knows the one before.  @return as leg_new() */
int leg_move(struct anchor_leg *leg, const struct ua_local *local);

/** No target any more, off its connection; what is under way is broken off. */
void leg_close(struct anchor_leg *leg);

/** It is closed.  Accepts NULL. */
void leg_free(struct anchor_leg *leg);

struct slice leg_id(const struct anchor_leg *leg);

/** Go where the SDP that was exchanged says: connect if that is for us to do, or wait for him. */
void leg_follow(struct anchor_leg *leg);

/** Its peer's SDP has another path: leave the connection, and wait for it no more. */
void leg_leave(struct anchor_leg *leg);

/** There is no grace any more: those that have lost their connection end. */
void leg_end_grace(struct anchors *all);

/** Expiry of anchors.grace, .retry. */
void leg_on_grace(struct timer_entry *entry, void *arg);
void leg_on_retry(struct timer_entry *entry, void *arg);

/* --- media.c: SDP --- */

/** Nothing has been said by either, any more.  end: for good. */
void media_begin(struct anchor_leg *leg);
void media_end(struct anchor_leg *leg);

/**
 * What the peer of leg says: his offer (ours answers it), or (answers) his answer to ours.
 *
 * @return 0; -EPROTO: nothing that can be used: 488; -ESHUTDOWN: he takes the stream away; -ENOMEM,
 *         -ENOBUFS: no memory for it
 */
int media_take(struct anchor_leg *leg, struct slice sdp, bool answers);

/** Are the preconditions of his offer met, or absent (RFC 3312)?  Otherwise 580. */
bool media_is_ready(const struct anchor_leg *leg);

/** Does his offer say nothing new? */
bool media_is_same(const struct anchor_leg *leg);

/** What he has offered holds: the other leg's peer has agreed.  Or it does not. */
void media_settle(struct anchor_leg *leg);
void media_forget(struct anchor_leg *leg);

/** Has he answered in a way that wants another offer, without CEMA (RFC 6714 4.2)? */
bool media_wants_plain(const struct anchor_leg *leg);

/**
 * Our offer to leg's peer, or our answer to his, made of what the other leg's peer says.
 *
 * @param textp  valid until the next of these for leg
 * @return 0; -EPROTO: he has said nothing; -ENOMEM
 */
int media_offer(struct anchor_leg *leg, struct slice *textp);
int media_answer(struct anchor_leg *leg, struct slice *textp);

/** Our offer was refused, or did not get there: what we have said before holds. */
void media_take_back(struct anchor_leg *leg);

/** Our agreement to his offer that takes the stream away.  @return as above */
int media_close(struct anchor_leg *leg, struct slice offer, struct slice *textp);

struct msrp_destination;

/** Where we connect to him; views of what he has said.  @return 0 or -EPROTO */
int media_destination(const struct anchor_leg *leg, struct msrp_destination *to,
    struct slice fingerprints[SDP_FINGERPRINT_MAX]);

/** Has the peer at the connection a certificate that his SDP speaks of (RFC 8122 6.2)?  Not before it is open. */
bool media_is_peer(const struct anchor_leg *leg, const struct msrp_conn *conn);
