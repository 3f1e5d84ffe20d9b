/* A session: what becomes of it, and who is told. */
#include "ua/priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/flow.h>
#include <msrpd/rand.h>
#include <msrpd/story.h>

#include "base/buffer.h"
#include "base/log.h"
#include "endpoint/auth.h"
#include "msrp/stack.h"
#include "sip/request.h"
#include "ua/types.h"

static const char *const state_names[] = {
    [SESSION_SETUP] = "setup",
    [SESSION_ESTABLISHED] = "established",
    [SESSION_LOST] = "lost",
    [SESSION_GIVEN_UP] = "given up",
    [SESSION_FLUSHING] = "flushing",
    [SESSION_OVER] = "over",
};

struct story ua_story(const struct ua_session *s)
{
	return (struct story){.session_id = slice_of(s->id),
	    .call_id = s->dialog ? sip_dialog_call_id(s->dialog) : (struct slice){NULL, 0}};
}

static void set_state(struct ua_session *s, enum session_state state)
{
	const struct story of = ua_story(s);

	story_note(LOG_LEVEL_DEBUG, &of, "ua: session %s: %s -> %s", s->id, state_names[s->state],
	    state_names[state]);
	s->state = state;
}

/* --- references --- */

void ua_session_ref(struct ua_session *s)
{
	s->refs++;
}

void ua_session_unref(struct ua_session *s)
{
	if (--s->refs > 0)
		return;
	sdp_own_fini(&s->sdp);
	sip_flow_unref(s->flow);
	free(s->peer);
	free(s->refused_types);
	free(s);
}

/* --- the end of it --- */

/* RFC 3326, on the BYE */
static const struct slice reasons[] = {
    [UA_END_BYE] = {NULL, 0},
    [UA_END_EXPIRED] = SLICE("SIP;cause=480;text=\"Session lasted too long\""),
    [UA_END_FAILED] = SLICE("SIP;cause=503;text=\"MSRP connection lost\""),
    [UA_END_STOPPED] = {NULL, 0},
};

/* From now on nobody finds it, and whoever still has it gets nothing done with it. */
static void retire(struct ua_session *s)
{
	struct ua *ua = s->ua;

	set_state(s, SESSION_OVER);
	HASH_DEL(ua->sessions, s);
	if (s->established_ms)
		TAILQ_REMOVE(&ua->established, s, established);
	timer_queue_stop(&ua->grace, &s->grace);
	timer_queue_stop(&ua->retry, &s->retry);
	(*ua->count.sessions)--;
}

static void leave(struct ua_session *s, enum ua_end end)
{
	if (s->invite)
		sip_request_unref(s->invite);
	s->invite = NULL;
	sip_dialog_free(s->dialog, reasons[end]);
	s->dialog = NULL;
	endpoint_auth_free(s->upstream);
	s->upstream = NULL;
	endpoint_free(s->endpoint);
	s->endpoint = NULL;
}

/* The handler is told before the dialog goes, to which what it is told may belong. */
static void finish(struct ua_session *s, enum ua_end end, const struct ua_notice *notice)
{
	struct ua *ua = s->ua;

	if (s->state == SESSION_OVER)
		return;
	retire(s);
	if (notice)
		s->handler->notify(s, notice, s->arg);
	leave(s, end);
	ua_session_unref(s);
	ua_session_gone(ua);
}

void ua_session_drop(struct ua_session *s)
{
	finish(s, UA_END_BYE, NULL);
}

void ua_session_terminate(struct ua_session *s, enum ua_end end)
{
	struct ua_notice notice = {.what = UA_TERMINATED, .end = end};

	if (s->state == SESSION_OVER)
		return;
	(*s->ua->count.ended[end])++;
	finish(s, end, &notice);
}

void ua_session_fail(struct ua_session *s, const struct sip_failure *failure)
{
	struct ua_notice notice = {
	    .what = UA_FAILED,
	    .code = failure->code,
	    .reason = failure->reason,
	    .from_peer = failure->from_peer,
	};

	if (s->state == SESSION_OVER)
		return;
	/* The ACK that never came, of a session that a message had shown to be there. */
	if (s->notified) {
		ua_session_terminate(s, UA_END_FAILED);
		return;
	}
	(*s->ua->count.failed)++;
	finish(s, UA_END_BYE, &notice);
}

static void fail_here(struct ua_session *s, int code, struct slice reason)
{
	struct sip_failure failure = {.code = code, .reason = reason};

	ua_session_fail(s, &failure);
}

/* --- established --- */

/* What the INVITE brought along. */
static void greet(struct ua_session *s)
{
	struct sip_request *invite = s->invite;

	s->invite = NULL;
	ua_page_greet(s, invite);
	sip_request_unref(invite);
}

static void establish(struct ua_session *s)
{
	struct ua *ua = s->ua;
	struct ua_notice notice = {
	    .what = UA_ESTABLISHED,
	    .accept_types = s->peer->accept_types,
	    .accept_wrapped_types = s->peer->accept_wrapped_types,
	    .invite = s->invite,
	};
	int err;

	set_state(s, SESSION_ESTABLISHED);
	s->established_ms = timer_now_ms();
	s->notified = true;
	TAILQ_INSERT_TAIL(&ua->established, s, established);
	(*ua->count.established)++;
	ua_message_filter(s);
	endpoint_start(s->endpoint);
	err = ua_media_connect(s);
	ua_session_ref(s);
	s->handler->notify(s, &notice, s->arg);
	if (s->invite)
		greet(s);
	if (err < 0 && s->state != SESSION_OVER)
		ua_session_lost(err, s);
	ua_session_unref(s);
}

void ua_session_arrived(struct ua_session *s)
{
	if (s->state == SESSION_SETUP && s->peer)
		establish(s);
}

/* --- the connection --- */

static bool is_established(const struct ua_session *s)
{
	return s->state == SESSION_ESTABLISHED || s->state == SESSION_LOST;
}

void ua_session_give_up(struct ua_session *s)
{
	set_state(s, SESSION_GIVEN_UP);
	ua_session_ref(s);
	endpoint_give_up(s->endpoint);
	ua_session_terminate(s, UA_END_FAILED);
	ua_session_unref(s);
}

static void wait_for_connection(struct ua_session *s)
{
	if (s->ua->env.settings->reconnect_grace_ms == 0) {
		ua_session_give_up(s);
		return;
	}
	set_state(s, SESSION_LOST);
	s->retry_periods = 0;
	timer_queue_start(&s->ua->grace, &s->grace);
}

/* A peer may open its port only when it has seen our answer, or the ACK. */
static void retry_later(struct ua_session *s)
{
	timer_queue_start(&s->ua->retry, &s->retry);
}

static void reconnect(struct ua_session *s)
{
	int err = ua_media_connect(s);

	if (err < 0)
		ua_session_lost(err, s);
}

void ua_session_retry(struct ua_session *s)
{
	unsigned n = ++s->retry_periods;

	/* At powers of two, so that the intervals grow. */
	if (n & (n - 1))
		retry_later(s);
	else
		reconnect(s);
}

void ua_session_bound(void *arg)
{
	struct ua_session *s = arg;
	const struct story of = ua_story(s);

	if (!ua_media_is_peer(s)) {
		story_note(LOG_LEVEL_INFO, &of,
		    "ua: session %s: certificate has none of the fingerprints in SDP", s->id);
		endpoint_unbind(s->endpoint);
		if (s->notified)
			ua_session_terminate(s, UA_END_FAILED);
		else
			fail_here(s, 488, SLICE("Wrong Fingerprint"));
		return;
	}
	if (s->state != SESSION_LOST)
		return;
	timer_queue_stop(&s->ua->grace, &s->grace);
	timer_queue_stop(&s->ua->retry, &s->retry);
	set_state(s, SESSION_ESTABLISHED);
}

void ua_session_lost(int err, void *arg)
{
	struct ua_session *s = arg;
	const struct story of = ua_story(s);

	story_note(LOG_LEVEL_DEBUG, &of, "ua: session %s: connection lost: %s", s->id,
	    strerror(-err));
	ua_session_ref(s);
	if (s->state == SESSION_ESTABLISHED)
		wait_for_connection(s);
	else if (s->state == SESSION_FLUSHING)
		ua_session_terminate(s, UA_END_STOPPED);
	if (s->state == SESSION_LOST && err == -ECONNREFUSED)
		retry_later(s);
	ua_session_unref(s);
}

void ua_session_refused(int code, void *arg)
{
	struct ua_session *s = arg;
	const struct story of = ua_story(s);

	story_note(LOG_LEVEL_DEBUG, &of, "ua: session %s: peer answered %d", s->id, code);
	if (!is_established(s))
		return;
	if (code == 481) { /* RFC 4975 10.8 */
		ua_session_give_up(s);
		return;
	}
	/* 10.10: no more on this connection; another may come. */
	endpoint_unbind(s->endpoint);
	if (s->state == SESSION_ESTABLISHED)
		wait_for_connection(s);
}

void ua_session_drained(void *arg)
{
	struct ua_session *s = arg;

	if (s->state == SESSION_FLUSHING)
		ua_session_terminate(s, UA_END_STOPPED);
}

void ua_session_flush(struct ua_session *s)
{
	struct endpoint_info info;

	if (s->state == SESSION_FLUSHING)
		return;
	if (s->state == SESSION_ESTABLISHED) {
		endpoint_info(s->endpoint, &info);
		if (!info.drained) {
			set_state(s, SESSION_FLUSHING);
			return;
		}
	}
	ua_session_terminate(s, UA_END_STOPPED);
}

/* After another exchange of SDP: go where it says. */
static void follow(struct ua_session *s)
{
	if (!is_established(s))
		return;
	/* It has the whole of the grace again to bring the connection. */
	if (s->state == SESSION_LOST)
		timer_queue_start(&s->ua->grace, &s->grace);
	ua_message_filter(s);
	reconnect(s);
}

/* --- the dialog --- */

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
	if (err == -ESHUTDOWN)
		ua_session_terminate(s, UA_END_BYE);
	else if (sdp.p)
		follow(s);
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
	if (err == 0)
		follow(s);
	else if (s->state == SESSION_SETUP)
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

static void offer_anew(struct ua_session *s)
{
	struct slice text;
	const struct story of = ua_story(s);
	int err;

	if (!s->reoffer || !s->notified)
		return;
	err = ua_media_offer(s, &text);
	if (err == 0)
		err = sip_dialog_reinvite(s->dialog, text);
	/* While another exchange is under way on_idle() will come. */
	s->reoffer = err == -EBUSY;
	if (err < 0 && err != -EBUSY)
		story_note(LOG_LEVEL_INFO, &of, "ua: session %s: re-INVITE: %s", s->id,
		    strerror(-err));
}

static void on_refused(struct sip_dialog *d, const struct sip_failure *failure, void *arg)
{
	struct ua_session *s = arg;
	const struct story of = ua_story(s);

	(void)d;
	/* We only re-INVITE because our path has changed, and then the old one is no good. */
	story_note(LOG_LEVEL_INFO, &of, "ua: session %s: re-INVITE refused: %d %.*s", s->id,
	    failure->code, SLICE_ARG(failure->reason));
	ua_session_terminate(s, UA_END_FAILED);
}

static void on_idle(struct sip_dialog *d, void *arg)
{
	(void)d;
	offer_anew(arg);
}

static void on_dialog_message(struct sip_dialog *d, struct sip_request *request, void *arg)
{
	(void)d;
	ua_page_take(arg, request);
}

static void on_ended(struct sip_dialog *d, const struct sip_failure *cause, void *arg)
{
	(void)d;
	ua_session_terminate(arg, cause->code == 200 ? UA_END_BYE : UA_END_FAILED);
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

	if (s->notified) {
		s->reoffer = true;
		err = endpoint_set_path(s->endpoint, ua_upstream_path(s), s->peer->path);
		if (err < 0)
			ua_session_lost(err, s);
		else
			offer_anew(s);
		return;
	}
	if (s->unanswered) {
		err = answer_invite(s);
		if (err < 0)
			fail_here(s, 500, SLICE("Server Internal Error"));
	} else if (!s->dialog) {
		err = invite(s);
		if (err < 0)
			fail_here(s, err == -EINVAL || err == -EDESTADDRREQ ? 400 : 503,
			    slice_of(strerror(-err)));
	} else {
		s->reoffer = true;
	}
}

void ua_session_auth_failed(struct ua_session *s, int code, struct slice reason, bool from_relay)
{
	const struct story of = ua_story(s);
	struct sip_failure failure = {.code = code, .reason = reason, .from_peer = from_relay};

	story_note(LOG_LEVEL_INFO, &of, "ua: session %s: relay: AUTH failed: %d %.*s", s->id, code,
	    SLICE_ARG(reason));
	if (s->notified) {
		ua_session_give_up(s);
		return;
	}
	if (s->unanswered)
		refuse_with(s, 503, SLICE("Service Unavailable"));
	ua_session_fail(s, &failure);
}

int ua_session_call(struct ua_session *s)
{
	if (s->ua->env.settings->relay_uri)
		return ua_upstream_ask(s);
	return invite(s);
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

/* --- a new one --- */

enum { URI_ROOM = 64 }; /* "msrps://[", "]:65535/", the id, ";tcp" */

static struct slice keep_uri(char **p, const struct ua_session *s, const struct ua_local *local)
{
	struct buffer w = {.p = *p, .cap = strlen(local->host) + URI_ROOM};
	struct msrp_uri uri = {
	    .secure = local->transport->secure,
	    .host = slice_of(local->host),
	    .port = local->port,
	    .session_id = {s->id, UA_ID_LEN},
	    .transport = local->transport->name,
	};

	msrp_uri_write(&w, &uri);
	assert(!w.err);
	*p += w.len;
	return buffer_text(&w);
}

static int keep_types(char **p, struct ua_session *s, const struct ua_offer *offer)
{
	ssize_t n = ua_types_clean(*p, offer->accept_types);

	if (n < 0)
		return (int)n;
	s->accept_types = (struct slice){*p, (size_t)n};
	*p += n;
	if (offer->accept_wrapped_types.p) {
		n = ua_types_clean(*p, offer->accept_wrapped_types);
		if (n < 0)
			return (int)n;
		s->accept_wrapped_types = (struct slice){*p, (size_t)n};
	} else if (sdp_types_have_container(s->accept_types)) {
		s->accept_wrapped_types = SLICE("*");
	}
	return 0;
}

static int open_endpoint(struct ua_session *s)
{
	const struct ua_settings *settings = s->ua->env.settings;
	struct endpoint_options options = {
	    .own_uri = s->uri,
	    .handler = &ua_endpoint_handler,
	    .arg = s,
	    .max_queued_bytes = settings->max_queued_bytes,
	    .chunk_size = settings->relay_uri ? settings->relay_chunk_size : 0,
	    .stream = s->handler->begin != NULL,
	    .bounded = s->handler->bounded,
	};

	return endpoint_new(&s->endpoint, s->ua->endpoints, &options);
}

int ua_session_new(struct ua_session **sp, struct ua *ua, const struct ua_session_start *start)
{
	const struct ua_offer *offer = start->offer;
	size_t room = strlen(start->local->host) + URI_ROOM + start->from_uri.len
	    + start->to_uri.len + start->ruri.len + offer->accept_types.len
	    + offer->accept_wrapped_types.len + offer->headers.len + offer->contact.len
	    + offer->attributes.len;
	struct ua_session *s = calloc(1, sizeof(*s) + room);
	char *p;
	int err;

	if (!s)
		return -ENOMEM;
	s->ua = ua;
	s->refs = 1;
	s->uac = start->uac;
	s->handler = offer->handler;
	s->arg = offer->arg;
	rand_token(s->id, UA_ID_LEN);
	sdp_own_init(&s->sdp);
	p = (char *)(s + 1);
	s->uri = keep_uri(&p, s, start->local);
	s->from_uri = slice_pack(&p, start->from_uri);
	s->to_uri = slice_pack(&p, start->to_uri);
	s->ruri = slice_pack(&p, start->ruri);
	s->headers = slice_pack(&p, offer->headers);
	s->contact = slice_pack(&p, offer->contact);
	s->attributes = slice_pack(&p, offer->attributes);
	s->peer_attribute = offer->peer_attribute;
	if (offer->flow)
		s->flow = sip_flow_ref(offer->flow);
	err = keep_types(&p, s, offer);
	if (err == 0)
		err = open_endpoint(s);
	if (err == 0)
		err = ua_session_enter(s);
	if (err < 0) {
		endpoint_free(s->endpoint);
		ua_session_unref(s);
		return err;
	}
	*sp = s;
	return 0;
}
