/* The SIP side: two dialogs, and what happens to the one said in the other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "anchor/priv.h"
#include "sip/request.h"

enum { NOT_ACCEPTABLE = 488 };

#define LOST       SLICE("SIP;cause=500;text=\"Session lost\"")
#define UNANSWERED SLICE("SIP;cause=488;text=\"Not Acceptable Here\"")

static struct anchor_leg *leg_of(void *arg)
{
	return arg;
}

static void forget_question(struct anchor_leg *leg)
{
	leg->asks = leg->asks_ours = false;
	media_forget(leg);
}

static void refuse(struct anchor_leg *leg, const struct sip_failure *failure)
{
	forget_question(leg);
	sip_dialog_refuse(leg->dialog, failure->code, failure->reason, failure->headers);
}

static void refuse_with(struct anchor_leg *leg, int code, struct slice reason)
{
	refuse(leg, &(struct sip_failure){.code = code, .reason = reason});
}

/* Within a dialog 500 might end it for him (RFC 5057). */
static void refuse_for(struct anchor_leg *leg, int err)
{
	if (err == -EPROTO || leg->up)
		refuse_with(leg, NOT_ACCEPTABLE, SLICE("Not Acceptable Here"));
	else
		refuse_with(leg, 500, SLICE("Server Internal Error"));
}

/* --- offers and answers --- */

/* With what the other leg's peer is able to do (RFC 3840): he may be a focus. */
static int say(struct anchor_leg *leg, struct slice sdp)
{
	sip_dialog_set_contact(leg->dialog, sip_dialog_features(leg->other->dialog));
	return sip_dialog_answer(leg->dialog, sdp);
}

/* He cannot be refused, or the one who waits for him cannot be served: it is over. */
static void give_up(struct anchor_leg *leg)
{
	if (leg->other->asks)
		refuse_with(leg->other, NOT_ACCEPTABLE, SLICE("Not Acceptable Here"));
	anchor_finish(leg->anchor, ANCHOR_FAILED, UNANSWERED);
}

/* He waits for our answer: it is what the other leg's peer says.  @return has he got it? */
static bool answer_now(struct anchor_leg *leg)
{
	struct slice text;
	int err = media_answer(leg, &text);

	leg->asks = false;
	if (err == 0)
		err = say(leg, text);
	if (err == 0) {
		media_settle(leg);
		leg_follow(leg);
	} else if (sip_dialog_owes_ack(leg->dialog)) {
		give_up(leg);
	} else {
		refuse_for(leg, err);
	}
	return err == 0;
}

/* He has asked for our offer: it is what the other leg's peer offers, who waits for an answer. */
static void offer_now(struct anchor_leg *leg)
{
	struct slice text;
	int err = media_offer(leg, &text);

	leg->asks = leg->asks_ours = false;
	if (err == 0)
		err = say(leg, text);
	if (err == 0)
		return;
	refuse_for(leg, err);
	if (leg->peer.sdp)
		answer_now(leg->other);
	else
		give_up(leg->other);
}

/* Ask leg's peer what the other leg's peer wants to know, or tell him what we offer anew. */
static int ask(struct anchor_leg *leg)
{
	struct slice text = {NULL, 0};
	int err = sip_dialog_may_reinvite(leg->dialog);

	if (err == 0 && !leg->other->asks_ours)
		err = media_offer(leg, &text);
	return err < 0 ? err : sip_dialog_reinvite(leg->dialog, text);
}

/* Its peer is told what holds as soon as he can be. */
static void offer_again(struct anchor_leg *leg)
{
	leg->offers = ask(leg) == -EBUSY;
}

static void ask_for(struct anchor_leg *leg)
{
	int err = ask(leg->other);

	if (err == -EBUSY)
		refuse_with(leg, 491, SLICE("Request Pending"));
	else if (err < 0)
		refuse_for(leg, err);
}

static void on_question(struct anchor_leg *leg, struct slice sdp)
{
	/* Until the peer has answered what the other one asks he can ask nothing himself. */
	if (leg->other->asks || !leg->anchor->established) {
		refuse_with(leg, 491, SLICE("Request Pending"));
		return;
	}
	leg->asks = true;
	leg->asks_ours = !sdp.p;
	if (sdp.p && media_is_same(leg))
		answer_now(leg);
	else
		ask_for(leg);
}

/* In the 2xx to our INVITE, which had none: the answer goes into the ACK. */
static void on_late_offer(struct anchor_leg *leg)
{
	leg->asks = true;
	if (leg->other->asks_ours)
		offer_now(leg->other);
	else
		answer_now(leg); /* to a refresh of the stack's own */
}

static void take_away(struct anchor_leg *leg, struct slice sdp)
{
	struct slice text;

	if (media_close(leg, sdp, &text) == 0)
		sip_dialog_answer(leg->dialog, text);
	anchor_finish(leg->anchor, ANCHOR_BYE, NOTHING);
}

static void on_offer(struct sip_dialog *d, struct slice sdp, void *arg)
{
	struct anchor_leg *leg = leg_of(arg);
	bool late = sip_dialog_owes_ack(d);
	int err = sdp.p ? media_take(leg, sdp, false) : 0;

	anchor_ref(leg->anchor);
	if (err == -ESHUTDOWN)
		take_away(leg, sdp);
	else if (err < 0 && late)
		give_up(leg);
	else if (err < 0)
		refuse_for(leg, err);
	else if (late)
		on_late_offer(leg);
	else
		on_question(leg, sdp);
	anchor_unref(leg->anchor);
}

/* What the other leg's peer has been told of it holds no more. */
static void on_withdrawn(struct sip_dialog *d, void *arg)
{
	struct anchor_leg *leg = leg_of(arg);
	bool told = leg->asks && !leg->asks_ours;

	(void)d;
	forget_question(leg);
	if (told)
		offer_again(leg->other);
}

/* He has agreed to what does not come about. */
static void call_off(struct anchor_leg *leg)
{
	if (!leg->anchor->established)
		anchor_finish(leg->anchor, ANCHOR_FAILED, UNANSWERED);
	else if (!leg->anchor->over)
		offer_again(leg);
}

/* What holds still does; whom it was to serve does not get it. */
static void drop_answer(struct anchor_leg *leg, int err)
{
	media_take_back(leg);
	if (!leg->other->asks)
		return;
	refuse_for(leg->other, err);
	call_off(leg);
}

static void on_answer(struct sip_dialog *d, struct slice sdp, void *arg)
{
	struct anchor_leg *leg = leg_of(arg);
	int err = sdp.p ? media_take(leg, sdp, true) : -EPROTO;

	(void)d;
	anchor_ref(leg->anchor);
	if (err == 0) {
		if (leg->other->asks && !answer_now(leg->other))
			call_off(leg);
		leg_follow(leg);
	} else if (err == -EPROTO || !leg->anchor->established
	    || sip_dialog_owes_ack(leg->other->dialog)) {
		give_up(leg);
	} else {
		drop_answer(leg, err);
	}
	anchor_unref(leg->anchor);
}

/* His answer as one of ours. */
static struct sip_failure passed_on(const struct sip_failure *failure)
{
	struct sip_failure f = *failure;

	/* It is us whom he does not know, and the other one cannot help that. */
	if (f.code == 401 || f.code == 407) {
		f = (struct sip_failure){.code = 403, .reason = SLICE("Forbidden")};
	} else if (f.code == 503 && f.from_peer) {
		/* RFC 3261 16.7: it is not we who are out of service. */
		f.code = 500;
		f.reason = SLICE("Callee Unavailable");
	}
	return f;
}

static void on_refused(struct sip_dialog *d, const struct sip_failure *failure, void *arg)
{
	struct anchor_leg *leg = leg_of(arg);
	struct sip_failure f = passed_on(failure);

	(void)d;
	leg->offers = false;
	media_take_back(leg);
	if (leg->other->asks)
		refuse(leg->other, &f);
}

/* Our offer crossed with one of his, or had to wait. */
static void on_idle(struct sip_dialog *d, void *arg)
{
	struct anchor_leg *leg = leg_of(arg);

	(void)d;
	if (leg->other->asks)
		ask_for(leg->other);
	else if (leg->offers || leg->offered)
		offer_again(leg);
}

/* --- its beginning --- */

static void on_progress(struct sip_dialog *d, int code, struct slice reason, void *arg)
{
	struct anchor_leg *leg = leg_of(arg);

	(void)d;
	sip_dialog_progress(leg->other->dialog, code, reason);
}

static void on_established(struct sip_dialog *d, void *arg)
{
	struct anchor_leg *leg = leg_of(arg);

	(void)d;
	anchor_ref(leg->anchor);
	leg->up = true;
	if (leg->other->up)
		anchor_set_established(leg->anchor);
	leg_follow(leg);
	if (!leg->anchor->over && media_wants_plain(leg)) {
		leg->plain = true;
		offer_again(leg);
	}
	anchor_unref(leg->anchor);
}

static void on_failed(struct sip_dialog *d, const struct sip_failure *failure, void *arg)
{
	struct anchor_leg *leg = leg_of(arg);
	struct anchor *anchor = leg->anchor;
	const struct story of = anchor_story(leg);
	bool callee = leg == anchor->legs[CALLEE];
	struct sip_failure f = passed_on(failure);

	(void)d;
	if (callee && f.code == NOT_ACCEPTABLE && leg->other->asks && !leg->other->asks_ours
	    && anchor_try_other(anchor))
		return;
	story_note(LOG_LEVEL_INFO, &of, "anchor: session %s: %s: %d %.*s", anchor->id,
	    callee ? "not put through" : "given up by the caller", failure->code,
	    SLICE_ARG(failure->reason));
	if (callee && leg->other->asks)
		refuse(leg->other, &f);
	anchor_finish(anchor, ANCHOR_FAILED, failure->why);
}

void call_give_up(struct anchor_leg *caller, int code, struct slice reason)
{
	if (caller->asks)
		refuse_with(caller, code, reason);
}

/* --- its end --- */

static void on_message(struct sip_dialog *d, struct sip_request *request, void *arg)
{
	(void)d;
	(void)arg;
	sip_request_reply(request, 405, SLICE("Session Mode Only"), NOTHING);
}

static void on_ended(struct sip_dialog *d, const struct sip_failure *cause, void *arg)
{
	struct anchor_leg *leg = leg_of(arg);
	const struct story of = anchor_story(leg);
	bool bye = cause->code == 200;

	(void)d;
	story_note(LOG_LEVEL_INFO, &of, "anchor: session %s: %s %s: %d %.*s", leg->anchor->id,
	    leg == leg->anchor->legs[CALLER] ? "caller" : "callee", bye ? "says BYE" : "is lost",
	    cause->code, SLICE_ARG(cause->reason));
	anchor_finish(leg->anchor, bye ? ANCHOR_BYE : ANCHOR_FAILED,
	    cause->why.p || bye ? cause->why : LOST);
}

static const struct sip_dialog_handler dialog_handler = {
    .offer = on_offer,
    .withdrawn = on_withdrawn,
    .answer = on_answer,
    .progress = on_progress,
    .established = on_established,
    .failed = on_failed,
    .refused = on_refused,
    .idle = on_idle,
    .message = on_message,
    .ended = on_ended,
};

/* --- the two INVITEs --- */

static int reply(struct sip_request *invite, int code, struct slice reason)
{
	sip_request_reply(invite, code, reason, NOTHING);
	return -EPROTO;
}

int call_take(struct anchor_leg *caller, struct sip_request *invite)
{
	struct slice offer;
	int err;

	if (sip_request_sdp(invite, &offer) < 0)
		return -EPROTO; /* answered 415 */
	err = offer.p ? media_take(caller, offer, false) : 0;
	if (err == -EPROTO)
		return reply(invite, NOT_ACCEPTABLE, SLICE("Not Acceptable Here"));
	if (err < 0)
		return reply(invite, 500, SLICE("Server Internal Error"));
	if (!media_is_ready(caller))
		return reply(invite, 580, SLICE("Precondition Failure"));
	err = sip_dialog_accept(&caller->dialog, invite, &dialog_handler, caller);
	if (err < 0)
		return reply(invite, 500, SLICE("Server Internal Error"));
	caller->asks = true;
	caller->asks_ours = !offer.p;
	return 0;
}

int call_place(struct anchor_leg *callee)
{
	struct sip_invite invite = callee->anchor->second;
	struct sip_dialog *first = callee->other->dialog;
	int err = callee->other->asks_ours ? 0 : media_offer(callee, &invite.sdp);

	invite.contact = sip_dialog_features(first);
	if (err == 0)
		err = sip_dialog_invite(&callee->dialog, callee->anchor->all->env.sip, &invite,
		    &dialog_handler, callee);
	switch (err) {
	case 0:
		return 0;
	case -EINVAL:
	case -EDESTADDRREQ:
		refuse_with(callee->other, 400, SLICE("Nowhere To Call"));
		break;
	case -ENETUNREACH:
	case -ENOBUFS:
		refuse_with(callee->other, 503, SLICE("Service Unavailable"));
		break;
	default:
		refuse_with(callee->other, 500, SLICE("Server Internal Error"));
	}
	return err;
}
