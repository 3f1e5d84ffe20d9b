/* Dialogs within the folder: what their files share, and what the stack does with them. */
#pragma once

#include "sip/dialog.h"
#include "sip/priv.h"

enum phase { SETUP, READY, OVER };

/* Who owes what in the offer/answer exchange under way (RFC 3261 13, 14; RFC 3311). */
enum exchange {
	IDLE,
	OURS,       /* our INVITE waits for its answer */
	REFRESH,    /* so does an INVITE of nua's own: RFC 4028 */
	OURS_ACK,   /* it came, we owe the ACK: to an offer, with our answer */
	THEIRS,     /* their INVITE waits for our answer */
	THEIRS_ACK, /* it was given, the ACK is to come */
	UPDATE,     /* their UPDATE waits for our answer */
};

struct sip_dialog {
	struct sip_owner owner; /* the handle's magic */
	struct sip_turn turn;
	struct timer_entry watch; /* bounds how long an orphan may take to end */
	struct timer_entry heard; /* and how long a re-INVITE may go without any answer */
	struct sip_stack *stack;
	struct sip_agent *agent;
	nua_handle_t *nh;                         /* NULL: the INVITE waits for its turn */
	const struct sip_dialog_handler *handler; /* NULL: an orphan, freed by its owner */
	void *arg;
	enum phase phase;
	enum exchange exchange;
	uint64_t began_ms;
	unsigned refs;
	bool uac, orphan;
	bool busy_said; /* somebody waits for the exchange to end */
	bool late;      /* our last INVITE had no offer */
	bool offered;   /* our 200 has an offer, the ACK answers */
	bool redirects; /* as in struct sip_invite */
	bool secure;    /* our Contact has sips */
	struct sip_auth *auth;
	struct sip_request *request; /* the peer's first INVITE, until it is answered */
	nua_saved_event_t saved[1];  /* its later INVITE or UPDATE, until answered */
	struct sip_call *call;       /* until we are established by it */
	char *sdp;                   /* our offer, until it is answered */
	char *early_sdp, *early_tag; /* an answer in a reliable provisional one, and whose; NULL */
	char *headers;               /* of our first INVITE, or the 2xx to theirs; NULL: none */
	char *contact;               /* parameters of ours, ";isfocus"; NULL: none */
	char *reason;                /* of the end that its owner has put to it; NULL: none */
	char *call_id;
	char *target;               /* the peer's Contact */
	char *features;             /* of that, see sip_dialog_features(); NULL: none */
	struct timer retry;         /* after 491; or nothing could be sent */
	struct sip_flow_watch flow; /* the peer's connection */
	bool tied;                  /* to it: there is no other way to the peer */
	bool owes_bye;              /* it is over for us alone */
};

/* --- dialog.c --- */

int dialog_new(struct sip_dialog **dp, struct sip_stack *stack,
    const struct sip_dialog_handler *handler, void *arg);

/** The last of it; its memory goes with the last reference. */
void dialog_finish(struct sip_dialog *d);

enum { DIALOG_REASON_MAX = 256 };

/** The value of its Reason header, in text; absent if it has none. */
struct slice dialog_reason_of(const sip_t *sip, char text[DIALOG_REASON_MAX]);

/** Whoever calls a handler holds one. */
void dialog_ref(struct sip_dialog *d);
void dialog_unref(struct sip_dialog *d);

void dialog_set_phase(struct sip_dialog *d, enum phase phase);
void dialog_drop_call(struct sip_dialog *d);
void dialog_forget_question(struct sip_dialog *d);
void dialog_release_handle(struct sip_dialog *d);

/** failed() or ended(), once. */
void dialog_tell_over(struct sip_dialog *d, const struct sip_failure *cause);

/** idle(), if it is owed and the time for it. */
void dialog_tell_idle(struct sip_dialog *d);

/** established(), once. */
void dialog_set_established(struct sip_dialog *d);

/** The peer's INVITE or 2xx came over this flow; NULL: over UDP. */
void dialog_watch_flow(struct sip_dialog *d, struct sip_flow *flow, const sip_t *sip);

/** What the peer's INVITE or 2xx tells of it: Contact, and the methods that it knows. */
void dialog_note_target(struct sip_dialog *d, const sip_t *sip);
void dialog_note_methods(struct sip_dialog *d, const sip_t *sip);

/** A re-INVITE leaves: without any answer the dialog ends in time for a BYE. */
void dialog_await_answer(struct sip_dialog *d);

/** It ends, and the peer gets a BYE. */
void dialog_unanswered(struct sip_dialog *d);

void dialog_ack(struct sip_dialog *d, const char *sdp);
void dialog_bye(struct sip_dialog *d);

/** Where Sofia's events go while the dialog has an owner. */
void dialog_on_event(struct sip_owner *owner, const struct sip_event *ev);

/* --- dialog_uac.c: what we ask --- */

/** Keep a copy of our offer; absent: none.  @return 0 or -ENOMEM */
int dialog_take_offer(struct sip_dialog *d, struct slice sdp);
void dialog_send_invite(struct sip_dialog *d);
void dialog_on_invite_response(struct sip_dialog *d, const struct sip_event *ev);
void dialog_note_refresh(struct sip_dialog *d, const struct sip_event *ev);
void dialog_on_refresh_answered(struct sip_dialog *d, const struct sip_event *ev);

/* --- dialog_uas.c: what the peer asks --- */

void dialog_respond(struct sip_dialog *d, int status, struct slice reason, const char *sdp,
    const char *headers);
void dialog_refuse_now(struct sip_dialog *d, int status);
void dialog_on_question(struct sip_dialog *d, const struct sip_event *ev, enum exchange exchange);
void dialog_on_ack(struct sip_dialog *d, const struct sip_event *ev);
void dialog_on_cancel(struct sip_dialog *d, const struct sip_event *ev);

/* --- for the stack --- */

/** @return 0 or -ENOMEM */
int sip_dialogs_init(struct sip_stack *stack);

/** Drop those that end behind the scenes. */
void sip_dialogs_fini(struct sip_stack *stack);
