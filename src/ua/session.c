/* A session: what becomes of it, and who is told. */
#include "ua/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/flow.h>
#include <msrpd/story.h>

#include "base/log.h"
#include "endpoint/auth.h"
#include "sip/request.h"

static const char *const state_names[] = {
    [SESSION_SETUP] = "setup",
    [SESSION_ESTABLISHED] = "established",
    [SESSION_LOST] = "lost",
    [SESSION_GIVEN_UP] = "given up",
    [SESSION_FLUSHING] = "flushing",
    [SESSION_HEARING] = "hearing out",
    [SESSION_OVER] = "over",
};

struct story ua_story(const struct ua_session *s)
{
	const struct sip_dialog *dialog = s->carrier ? s->carrier->dialog : s->dialog;

	return (struct story){.session_id = slice_of(s->id),
	    .call_id = dialog ? sip_dialog_call_id(dialog) : (struct slice){NULL, 0}};
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
	free(s->described);
	free(s);
}

/* --- the end of it --- */

/* RFC 3326, on the BYE */
static const struct slice reasons[] = {
    [UA_END_BYE] = {NULL, 0},
    [UA_END_EXPIRED] = SLICE("SIP;cause=480;text=\"Session lasted too long\""),
    [UA_END_ABSENT] = SLICE("SIP;cause=503;text=\"No MSRP connection\""),
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
	timer_queue_stop(&ua->unbound, &s->unbound);
	timer_queue_stop(&ua->grace, &s->grace);
	timer_queue_stop(&ua->retry, &s->retry);
	timer_queue_stop(&ua->last_words, &s->last_words);
	(*ua->count.sessions)--;
	ua_stream_leave(s);
}

static void hang_up(struct ua_session *s, enum ua_end end)
{
	if (s->invite)
		sip_request_unref(s->invite);
	s->invite = NULL;
	sip_dialog_free(s->dialog, reasons[end]);
	s->dialog = NULL;
	endpoint_auth_free(s->upstream);
	s->upstream = NULL;
}

static void leave(struct ua_session *s, enum ua_end end)
{
	hang_up(s, end);
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
	ua_streams_leave(s, end);
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

/* SIP is not MSRP: a BYE may overtake the answers and REPORTs that were sent before it. */
static bool may_hear_more(const struct ua_session *s)
{
	struct endpoint_info info;

	if (!s->handler->hears_out || s->state != SESSION_ESTABLISHED)
		return false;
	endpoint_info(s->endpoint, &info);
	return info.written;
}

void ua_session_ends(struct ua_session *s, enum ua_end end)
{
	if (end != UA_END_BYE || !may_hear_more(s)) {
		ua_session_terminate(s, end);
		return;
	}
	set_state(s, SESSION_HEARING);
	timer_queue_start(&s->ua->last_words, &s->last_words);
	ua_stream_leave(s);
	hang_up(s, end);
}

void ua_session_fail(struct ua_session *s, const struct sip_failure *failure)
{
	struct ua_notice notice = {
	    .what = UA_FAILED,
	    .code = failure->code,
	    .reason = failure->reason,
	    .from_peer = failure->from_peer,
	    .end = s->ua->stopping ? UA_END_STOPPED : UA_END_BYE,
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

void ua_session_fail_here(struct ua_session *s, int code, struct slice reason)
{
	struct sip_failure failure = {.code = code, .reason = reason};

	ua_session_fail(s, &failure);
}

/* --- established --- */

/* A connection that was lost has a time of its own. */
static bool awaits_peer(const struct ua_session *s)
{
	return s->state == SESSION_ESTABLISHED && s->peer->connects && !endpoint_heard(s->endpoint);
}

/* RFC 4975 5.4: who connects does so at once, and sends. */
static void await_peer(struct ua_session *s)
{
	if (awaits_peer(s))
		timer_queue_start(&s->ua->unbound, &s->unbound);
}

void ua_session_missed(struct ua_session *s)
{
	const struct story of = ua_story(s);

	if (!awaits_peer(s))
		return;
	story_note(LOG_LEVEL_DEBUG, &of, "ua: session %s: nothing has come by MSRP", s->id);
	ua_session_give_up(s, UA_END_ABSENT);
}

/* What the INVITE brought along. */
static void greet(struct ua_session *s)
{
	struct sip_request *invite = s->invite;

	s->invite = NULL;
	ua_page_greet(s, invite);
	sip_request_unref(invite);
}

void ua_session_establish(struct ua_session *s)
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
	await_peer(s);
	ua_session_ref(s);
	s->handler->notify(s, &notice, s->arg);
	if (s->invite)
		greet(s);
	if (err < 0 && s->state != SESSION_OVER)
		ua_session_lost(err, s);
	ua_streams_settle(s);
	ua_session_unref(s);
}

void ua_session_arrived(struct ua_session *s)
{
	if (s->state == SESSION_SETUP && s->peer)
		ua_session_establish(s);
}

/* --- the connection --- */

static bool is_established(const struct ua_session *s)
{
	return s->state == SESSION_ESTABLISHED || s->state == SESSION_LOST;
}

void ua_session_give_up(struct ua_session *s, enum ua_end end)
{
	set_state(s, SESSION_GIVEN_UP);
	ua_session_ref(s);
	endpoint_give_up(s->endpoint);
	ua_session_terminate(s, end);
	ua_session_unref(s);
}

static void wait_for_connection(struct ua_session *s)
{
	if (s->ua->env.settings->reconnect_grace_ms == 0) {
		ua_session_give_up(s, UA_END_FAILED);
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
			ua_session_fail_here(s, 488, SLICE("Wrong Fingerprint"));
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
	else if (s->state == SESSION_HEARING)
		ua_session_terminate(s, UA_END_BYE);
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
		ua_session_give_up(s, UA_END_FAILED);
		return;
	}
	/* 10.10: no more on this connection; another may come. */
	endpoint_unbind(s->endpoint);
	if (s->state == SESSION_ESTABLISHED)
		wait_for_connection(s);
}

void ua_session_follow(struct ua_session *s)
{
	if (!is_established(s))
		return;
	/* It has the whole of the grace again to bring the connection. */
	if (s->state == SESSION_LOST)
		timer_queue_start(&s->ua->grace, &s->grace);
	ua_message_filter(s);
	await_peer(s);
	reconnect(s);
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
	if (s->state == SESSION_SETUP) {
		ua_session_call_off(s, SLICE("Shutting Down"));
		return;
	}
	if (s->state == SESSION_ESTABLISHED) {
		endpoint_info(s->endpoint, &info);
		if (!info.drained) {
			set_state(s, SESSION_FLUSHING);
			return;
		}
	}
	ua_session_terminate(s, UA_END_STOPPED);
}
