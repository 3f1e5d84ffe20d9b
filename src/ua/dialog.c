/* A session's SIP dialog: how it is made, and what it says. */
#include "ua/priv.h"

#include <errno.h>
#include <string.h>

#include <msrpd/story.h>

#include "endpoint/auth.h"
#include "sip/request.h"

/* --- what it tells --- */

static void refuse_with(struct ua_session *s, int code, struct slice reason)
{
	sip_dialog_refuse(s->dialog, code, reason, (struct slice){NULL, 0});
}

static void refuse(struct ua_session *s, int err)
{
	if (err == -EPROTO)
		refuse_with(s, 488, SLICE("Not Acceptable Here"));
	else
		refuse_with(s, 500, SLICE("Server Internal Error"));
}

static void on_offer(struct sip_dialog *d, struct slice sdp, void *arg)
{
	struct ua_session *s = arg;
	struct slice text;
	int err = sdp.p ? ua_media_answer(s, sdp, &text) : ua_media_offer(s, &text);

	if (err < 0 && err != -ESHUTDOWN) {
		refuse(s, err);
		return;
	}
	sip_dialog_answer(d, text);
	if (err == -ESHUTDOWN) {
		ua_session_ends(s, UA_END_BYE);
		return;
	}
	ua_session_ref(s);
	if (sdp.p)
		ua_session_follow(s);
	ua_streams_settle(s);
	ua_session_unref(s);
}

/* It is we that say so, but of what the peer has answered. */
static const struct sip_failure useless_answer = {
    .code = 488,
    .reason = SLICE("Not Acceptable Here"),
    .from_peer = true,
};

static void on_answer(struct sip_dialog *d, struct slice sdp, void *arg)
{
	struct ua_session *s = arg;
	int err = sdp.p ? ua_media_take_answer(s, sdp) : -EPROTO;

	(void)d;
	s->offering = s->moved = false;
	if (err == 0) {
		ua_session_ref(s);
		ua_session_follow(s);
		if (s->notified)
			ua_streams_settle(s);
		ua_session_unref(s);
	} else if (s->state == SESSION_SETUP)
		ua_session_fail(s, &useless_answer);
	else
		ua_session_terminate(s, UA_END_FAILED);
}

static void on_established(struct sip_dialog *d, void *arg)
{
	struct ua_session *s = arg;

	(void)d;
	ua_session_arrived(s);
}

static void on_failed(struct sip_dialog *d, const struct sip_failure *failure, void *arg)
{
	(void)d;
	ua_session_fail(arg, failure);
}

void ua_dialog_offer(struct ua_session *s)
{
	struct slice text;
	const struct story of = ua_story(s);
	int err;

	if (!s->reoffer || !s->notified || s->state == SESSION_OVER)
		return;
	err = ua_media_offer(s, &text);
	if (err == 0)
		err = sip_dialog_reinvite(s->dialog, text);
	/* While another exchange is under way on_idle() will come. */
	s->reoffer = err == -EBUSY;
	s->offering = err == 0;
	if (err < 0 && err != -EBUSY)
		story_note(LOG_LEVEL_INFO, &of, "ua: session %s: re-INVITE: %s", s->id,
		    strerror(-err));
}

static void on_refused(struct sip_dialog *d, const struct sip_failure *failure, void *arg)
{
	struct ua_session *s = arg;
	const struct story of = ua_story(s);

	(void)d;
	s->offering = false;
	sdp_own_refused(&s->sdp);
	story_note(LOG_LEVEL_INFO, &of, "ua: session %s: re-INVITE refused: %d %.*s", s->id,
	    failure->code, SLICE_ARG(failure->reason));
	ua_session_ref(s);
	ua_streams_refused(s, failure);
	/* When our path has changed the old one is no good. */
	if (s->moved)
		ua_session_terminate(s, UA_END_FAILED);
	ua_session_unref(s);
}

static void on_idle(struct sip_dialog *d, void *arg)
{
	struct ua_session *s = arg;

	(void)d;
	/* It crossed with one of the peer's. */
	s->reoffer = s->reoffer || s->offering;
	s->offering = false;
	ua_dialog_offer(s);
}

static void on_dialog_message(struct sip_dialog *d, struct sip_request *request, void *arg)
{
	(void)d;
	ua_page_take(arg, request);
}

static void on_ended(struct sip_dialog *d, const struct sip_failure *cause, void *arg)
{
	(void)d;
	ua_session_ends(arg, cause->code == 200 ? UA_END_BYE : UA_END_FAILED);
}

static const struct sip_dialog_handler dialog_handler = {
    .offer = on_offer,
    .answer = on_answer,
    .established = on_established,
    .failed = on_failed,
    .refused = on_refused,
    .idle = on_idle,
    .message = on_dialog_message,
    .ended = on_ended,
};

/* --- setting up --- */

static int invite(struct ua_session *s)
{
	struct sip_invite call = {
	    .from_uri = s->from_uri,
	    .to_uri = s->to_uri,
	    .ruri = s->ruri,
	    .headers = s->headers,
	    .contact = s->contact,
	    .flow = s->flow,
	    .hops = s->hops,
	};
	int err = ua_media_offer(s, &call.sdp);

	if (err == 0)
		err = sip_dialog_invite(&s->dialog, s->ua->env.sip, &call, &dialog_handler, s);
	return err;
}

static int answer_invite(struct ua_session *s)
{
	struct slice offer, text;
	int err;

	s->unanswered = false;
	err = sip_request_sdp(s->invite, &offer);
	if (err == 0)
		err = offer.p ? ua_media_answer(s, offer, &text) : ua_media_offer(s, &text);
	if (err < 0)
		refuse(s, err);
	else
		sip_dialog_answer(s->dialog, text); /* cancelled meanwhile: on_failed() will come */
	return err;
}

void ua_session_granted(struct ua_session *s)
{
	int err;

	if (s->carried && !s->carrier)
		return; /* and is about to end */
	if (s->carrier && !s->notified) {
		ua_stream_ready(s);
		return;
	}
	if (s->notified) {
		struct ua_session *carrier = s->carrier ? s->carrier : s;

		carrier->reoffer = carrier->moved = true;
		err = endpoint_set_path(s->endpoint, ua_upstream_path(s), s->peer->path);
		if (err < 0)
			ua_session_lost(err, s);
		else
			ua_dialog_offer(carrier);
		return;
	}
	if (s->unanswered) {
		err = answer_invite(s);
		if (err < 0)
			ua_session_fail_here(s, 500, SLICE("Server Internal Error"));
	} else if (!s->dialog) {
		err = invite(s);
		if (err < 0)
			ua_session_fail_here(s, err == -EINVAL || err == -EDESTADDRREQ ? 400 : 503,
			    slice_of(strerror(-err)));
	} else {
		s->reoffer = s->moved = true;
	}
}

void ua_session_auth_failed(struct ua_session *s, int code, struct slice reason, bool from_relay)
{
	const struct story of = ua_story(s);
	struct sip_failure failure = {.code = code, .reason = reason, .from_peer = from_relay};

	story_note(LOG_LEVEL_INFO, &of, "ua: session %s: relay: AUTH failed: %d %.*s", s->id, code,
	    SLICE_ARG(reason));
	if (s->notified) {
		ua_session_give_up(s, UA_END_FAILED);
		return;
	}
	if (s->unanswered)
		refuse_with(s, 503, SLICE("Service Unavailable"));
	ua_session_fail(s, &failure);
}

void ua_session_call_off(struct ua_session *s, struct slice reason)
{
	if (s->unanswered)
		refuse_with(s, 503, reason);
	ua_session_fail_here(s, 503, reason);
}

int ua_session_call(struct ua_session *s)
{
	if (s->ua->env.settings->relay_uri)
		return ua_upstream_ask(s);
	if (!s->carrier)
		return invite(s);
	ua_stream_ready(s);
	return 0;
}

int ua_release(struct ua_session *s, struct slice attributes)
{
	char *described;

	if (s->state != SESSION_SETUP || !s->held || (s->carried && !s->carrier))
		return -EPIPE;
	described = slice_dup(attributes);
	if (!described)
		return -ENOMEM;
	s->described = described;
	s->attributes = slice_of(described);
	s->held = false;
	return ua_session_call(s);
}

int ua_session_accept(struct ua_session *s, struct sip_request *request)
{
	int err = sip_dialog_accept(&s->dialog, request, &dialog_handler, s);

	if (err < 0)
		return err;
	sip_dialog_set_headers(s->dialog, s->headers);
	sip_dialog_set_contact(s->dialog, s->contact);
	s->invite = sip_request_ref(request);
	s->unanswered = true;
	if (!s->ua->env.settings->relay_uri)
		return answer_invite(s);
	err = ua_upstream_ask(s);
	if (err < 0)
		refuse_with(s, 503, SLICE("Service Unavailable"));
	return err;
}
