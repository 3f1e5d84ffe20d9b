#include "sip/dialog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/msg_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/su_tag.h>

#include "base/log.h"
#include "base/rand.h"
#include "sip/dialog_priv.h"
#include "sip/priv.h"
#include "sip/request_priv.h"

enum phase { SETUP, READY, OVER };

/* Who owes what in the offer/answer exchange under way (RFC 3261 13, 14; RFC 3311). */
enum exchange {
	IDLE,
	OURS,		/* our INVITE waits for its answer */
	OURS_ACK,	/* it came, we owe the ACK: to an offer, with our answer */
	THEIRS,		/* their INVITE waits for our answer */
	THEIRS_ACK,	/* it was given, the ACK is to come */
	UPDATE,		/* their UPDATE waits for our answer */
};

struct sip_dialog {
	struct sip_owner	owner;		/* the handle's magic */
	struct sip_turn		turn;
	struct timer_entry	watch;		/* bounds how long an orphan may take to end */
	struct sip_stack	*stack;
	struct sip_agent	*agent;
	nua_handle_t		*nh;		/* NULL: the INVITE waits for its turn */
	const struct sip_dialog_handler *handler;	/* NULL: an orphan, freed by its owner */
	void			*arg;
	enum phase		phase;
	enum exchange		exchange;
	unsigned		refs;
	bool			uac, orphan;
	bool			busy_said;	/* somebody waits for the exchange to end */
	bool			late;		/* our last INVITE had no offer */
	bool			offered;	/* our 200 has an offer, the ACK shall bring the answer */
	struct sip_auth		*auth;
	struct sip_request	*request;	/* the peer's first INVITE, until it is answered */
	nua_saved_event_t	saved[1];	/* a later INVITE or UPDATE of his, until it is answered */
	struct sip_call		*call;		/* until we are established by it */
	char			*sdp;		/* our offer, until it is answered */
	char			*call_id;
	char			*target;	/* the peer's Contact */
	struct timer		retry;		/* after 491; or to tell that nothing could be sent */
};

/* --- life --- */

static void drop_call(struct sip_dialog *d)
{
	if (d->call)
		sip_call_clear(d->call);
	free(d->call);
	d->call = NULL;
}

static void dialog_ref(struct sip_dialog *d)
{
	d->refs++;
}

static void dialog_unref(struct sip_dialog *d)
{
	if (--d->refs > 0)
		return;
	sip_auth_free(d->auth);
	free(d->sdp);
	free(d->call_id);
	free(d->target);
	free(d);
}

static int dialog_new(struct sip_dialog **dp, struct sip_stack *stack,
    const struct sip_dialog_handler *handler, void *arg)
{
	struct sip_dialog *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->stack = stack;
	d->handler = handler;
	d->arg = arg;
	d->refs = 1;
	++*stack->stats.dialogs;
	*dp = d;
	return 0;
}

static void forget_question(struct sip_dialog *d)
{
	if (d->request)
		sip_request_unref(d->request);
	d->request = NULL;
	nua_destroy_event(d->saved);
	d->saved[0] = NULL;
}

static void release_handle(struct sip_dialog *d)
{
	if (!d->nh)
		return;
	nua_handle_bind(d->nh, NULL);
	nua_handle_destroy(d->nh);
	d->nh = NULL;
	sip_stack_kick(d->stack);
}

/* The last of it; the memory goes with the last reference. */
static void dialog_finish(struct sip_dialog *d)
{
	timer_fini(&d->retry);
	sip_turn_give(&d->turn);
	forget_question(d);
	release_handle(d);
	drop_call(d);
	timer_queue_stop(&d->stack->orphans, &d->watch);
	--*d->stack->stats.dialogs;
	if (d->orphan)
		sip_stack_end(d->stack);
	dialog_unref(d);
}

/* --- telling the owner; the caller holds a reference --- */

static struct sip_failure failure_of(const struct sip_event *ev)
{
	struct sip_failure f = {ev->status, slice_of(ev->phrase), ev->from_peer};

	/* Sofia's own: 9xx when it could not even send. */
	if (ev->status >= 700)
		f = (struct sip_failure){503, SLICE("Service Unavailable"), false};
	else if (f.reason.len == 0)
		f.reason = slice_of(sip_status_phrase(ev->status));
	return f;
}

static void tell_over(struct sip_dialog *d, const struct sip_failure *cause)
{
	bool ready = d->phase == READY;

	if (d->phase == OVER)
		return;
	d->phase = OVER;
	d->exchange = IDLE;
	timer_stop(&d->retry);
	sip_turn_give(&d->turn);
	forget_question(d);
	if (d->handler && ready)
		d->handler->ended(d, cause, d->arg);
	else if (d->handler)
		d->handler->failed(d, cause, d->arg);
}

static void tell_idle(struct sip_dialog *d)
{
	if (!d->busy_said || !d->handler || d->phase != READY || d->exchange != IDLE
	    || timer_running(&d->retry))
		return;
	d->busy_said = false;
	d->handler->idle(d, d->arg);
}

/* --- our INVITE --- */

/* The digest's URI is the Request-URI. */
static void send_invite(struct sip_dialog *d)
{
	const char *uri = d->call ? d->call->ruri : d->target ? d->target : "";
	unsigned expires = d->call ? d->call->session_expires : 0;
	char *credentials = sip_auth_lines(d->auth, d->stack, "INVITE", uri), cseq[32] = "";
	const char *contact = d->stack->contact;

	d->exchange = OURS;
	d->late = !d->sdp;
	++*d->stack->stats.invites_out;
	if (d->call)
		snprintf(cseq, sizeof(cseq), "%u INVITE", d->call->cseq);
	nua_invite(d->nh, TAG_IF(d->call, SIPTAG_CSEQ_STR(cseq)), TAG_IF(contact, SIPTAG_CONTACT_STR(contact)),
	    TAG_IF(expires, NUTAG_SESSION_TIMER(expires)), TAG_IF(expires, NUTAG_MIN_SE(expires)),
	    TAG_IF(credentials, SIPTAG_HEADER_STR(credentials)),
	    TAG_IF(d->sdp, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
	    TAG_IF(d->sdp, SIPTAG_PAYLOAD_STR(d->sdp)), TAG_END());
	free(credentials);
	sip_stack_kick(d->stack);
}

static void on_event(struct sip_owner *owner, const struct sip_event *ev);
static void on_retry(void *arg);

static void on_turn(struct sip_turn *turn)
{
	struct sip_dialog *d = (struct sip_dialog *)((char *)turn - offsetof(struct sip_dialog, turn));

	d->nh = sip_call_handle(d->call, d->agent, &d->owner);
	if (d->nh)
		send_invite(d);
	else
		timer_start(&d->retry, 0);	/* nobody may be told from in here */
}

/* To the call's URI.  @return 0, -ENETUNREACH, -ENOBUFS, -ENOMEM, -EINVAL */
static int place_call(struct sip_dialog *d)
{
	int err;

	d->agent = sip_stack_route(d->stack, d->call->ruri, false);
	if (!d->agent)
		return -ENETUNREACH;
	err = sip_turn_take(&d->turn, d->stack, d->call->ruri, on_turn);
	if (err == 1)
		on_turn(&d->turn);
	return err < 0 ? err : 0;
}

static int copy_offer(struct sip_dialog *d, struct slice sdp)
{
	char *copy = slice_dup(sdp);

	if (sdp.p && !copy)
		return -ENOMEM;
	free(d->sdp);
	d->sdp = copy;
	return 0;
}

int sip_dialog_invite(struct sip_dialog **dp, struct sip_stack *stack,
    const struct sip_invite *invite, const struct sip_dialog_handler *handler, void *arg)
{
	struct sip_dialog *d;
	int err = dialog_new(&d, stack, handler, arg);

	if (err)
		return err;
	d->uac = true;
	d->exchange = OURS;
	d->owner.event = on_event;
	d->call = malloc(sizeof(*d->call));
	err = d->call ? sip_call_init(d->call, invite->ruri, invite->from_uri, invite->to_uri) : -ENOMEM;
	if (!err)
		err = copy_offer(d, invite->sdp);
	if (!err && !(d->call_id = slice_dup(slice_of(d->call->call_id))))
		err = -ENOMEM;
	if (!err)
		err = timer_init(&d->retry, stack->base, on_retry, d);
	if (!err)
		err = place_call(d);
	if (err) {
		dialog_finish(d);
		return err;
	}
	*dp = d;
	return 0;
}

/* --- answers to our INVITE --- */

static void on_retry(void *arg)
{
	static const struct sip_failure failure = {503, {"Service Unavailable", 19}, false};
	struct sip_dialog *d = arg;

	dialog_ref(d);
	if (d->phase == SETUP && !d->nh)
		tell_over(d, &failure);
	else
		tell_idle(d);
	dialog_unref(d);
}

/*
 * Both re-INVITEd at once: RFC 3261 14.1 has the one with the Call-ID wait longer.  Meanwhile the
 * other's comes, after which our offer may be another: its owner makes it anew.
 */
static bool wait_after_glare(struct sip_dialog *d)
{
	uint64_t delay_ms = d->uac ? 2100 + rand_u64() % 191 * 10 : rand_u64() % 201 * 10;

	if (!d->retry.event && timer_init(&d->retry, d->stack->base, on_retry, d) < 0)
		return false;
	d->exchange = IDLE;
	d->busy_said = true;
	timer_start(&d->retry, delay_ms);
	return true;
}

/* Once more, with what the answer asks for.  @return true when the INVITE is on its way */
static bool try_again(struct sip_dialog *d, const struct sip_event *ev)
{
	while (d->call && sip_call_again(d->call, &d->auth, d->stack, ev)) {
		sip_turn_give(&d->turn);
		release_handle(d);
		if (place_call(d) == 0)
			return true;
	}
	if (d->call || (ev->status != 401 && ev->status != 407)
	    || sip_auth_challenge(&d->auth, d->stack, ev->sip) < 0)
		return false;
	send_invite(d);
	return true;
}

/* Would nua end the dialog after this answer to a request in it?  RFC 5057 */
static bool ends_dialog(int status)
{
	int graceful = 1;	/* as nua has it where the RFC leaves the choice */

	return sip_response_terminates_dialog(status, sip_method_invite, &graceful) != 0 || graceful;
}

static void on_invite_refused(struct sip_dialog *d, const struct sip_event *ev)
{
	struct sip_failure f = failure_of(ev);
	bool ours = d->exchange == OURS;	/* else nua's own, a refresh */

	if (ours && try_again(d, ev))
		return;
	if (d->phase == SETUP || ends_dialog(f.code)) {
		tell_over(d, &f);
		return;
	}
	if (!ours || (ev->status == 491 && wait_after_glare(d)))
		return;
	d->exchange = IDLE;
	free(d->sdp);
	d->sdp = NULL;
	if (d->handler)
		d->handler->refused(d, &f, d->arg);
}

static void set_established(struct sip_dialog *d)
{
	if (d->phase != SETUP)
		return;
	d->phase = READY;
	drop_call(d);
	if (d->handler)
		d->handler->established(d, d->arg);
}

static void send_ack(struct sip_dialog *d, const char *sdp)
{
	d->exchange = IDLE;
	nua_ack(d->nh, TAG_IF(sdp, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
	    TAG_IF(sdp, SIPTAG_PAYLOAD_STR(sdp)), TAG_END());
	sip_stack_kick(d->stack);
}

static void note_target(struct sip_dialog *d, const sip_t *sip)
{
	char text[SIP_URI_MAX + 1];
	issize_t len;

	if (!sip || !sip->sip_contact)
		return;
	len = url_e(text, sizeof(text), sip->sip_contact->m_url);
	if (len <= 0 || (size_t)len >= sizeof(text))
		return;
	free(d->target);
	d->target = sip_uri_clean((struct slice){text, (size_t)len});
}

/* Refresh by UPDATE where the peer can do it (else nua repeats the INVITE): RFC 4028 7.4. */
static void note_peer_methods(struct sip_dialog *d, const sip_t *sip)
{
	bool update = sip->sip_allow && SIP_IS_ALLOWED(sip->sip_allow, sip_method_update);

	nua_set_hparams(d->nh, NUTAG_UPDATE_REFRESH(update), TAG_END());
}

/* Sofia's own repetition, off elsewhere, lets a BYE through that is challenged. */
static void end_by_bye(struct sip_dialog *d, const char *reason)
{
	nua_bye(d->nh, NUTAG_RETRY_COUNT(1), TAG_IF(reason, SIPTAG_REASON_STR(reason)), TAG_END());
	sip_stack_kick(d->stack);
}

static void on_invite_accepted(struct sip_dialog *d, const struct sip_event *ev)
{
	static const struct sip_failure no_offer = {488, {"No offer in the answer", 22}, false};
	struct slice sdp;

	if (sip_body_sdp(ev->sip, &sdp) < 0)
		sdp = (struct slice){0};
	d->exchange = OURS_ACK;
	note_target(d, ev->sip);
	if (d->phase == SETUP)
		note_peer_methods(d, ev->sip);
	free(d->sdp);
	d->sdp = NULL;
	if (d->late && sdp.p) {
		d->handler->offer(d, sdp, d->arg);
		return;
	}
	if (!d->late)
		d->handler->answer(d, sdp, d->arg);
	if (d->exchange == OURS_ACK)
		send_ack(d, NULL);
	if (d->late && d->phase == SETUP) {
		end_by_bye(d, NULL);
		tell_over(d, &no_offer);
	}
}

static void on_invite_response(struct sip_dialog *d, const struct sip_event *ev)
{
	sip_stack_count_reply(d->stack, ev);
	sip_turn_give(&d->turn);	/* it was written, and somebody is there */
	if (d->phase == OVER)
		return;
	if (ev->status >= 300)
		on_invite_refused(d, ev);
	else if (ev->status >= 200)
		on_invite_accepted(d, ev);
}

/* --- their INVITE and UPDATE --- */

int sip_dialog_accept(struct sip_dialog **dp, struct sip_request *invite,
    const struct sip_dialog_handler *handler, void *arg)
{
	struct sip_invite_parts parts;
	struct sip_dialog *d;
	int err = sip_request_invite(invite, &parts);

	if (!err)
		err = dialog_new(&d, parts.agent->stack, handler, arg);
	if (err)
		return err;
	d->call_id = slice_dup(sip_request_field(invite, SIP_FIELD_CALL_ID));
	if (!d->call_id) {
		dialog_finish(d);
		return -ENOMEM;
	}
	sip_request_given(invite);
	d->agent = parts.agent;
	d->nh = parts.nh;
	d->late = true;		/* nua's own refresh would have no offer */
	d->exchange = THEIRS;
	d->offered = !parts.sip->sip_payload;
	d->request = sip_request_ref(invite);
	d->owner.event = on_event;
	nua_handle_bind(d->nh, (nua_hmagic_t *)&d->owner);
	note_target(d, parts.sip);
	note_peer_methods(d, parts.sip);
	*dp = d;
	return 0;
}

static void respond(struct sip_dialog *d, int status, struct slice reason, const char *sdp,
    const char *headers)
{
	msg_t *with = d->request ? sip_request_msg(d->request) : nua_saved_event_request(d->saved);
	const char *contact = d->stack->contact;

	nua_respond(d->nh, status, sip_phrase(d->nh, status, reason), NUTAG_WITH(with),
	    TAG_IF(status < 300 && contact, SIPTAG_CONTACT_STR(contact)),
	    TAG_IF(sdp, SIPTAG_CONTENT_TYPE_STR("application/sdp")), TAG_IF(sdp, SIPTAG_PAYLOAD_STR(sdp)),
	    TAG_IF(headers, SIPTAG_HEADER_STR(headers)), TAG_END());
	if (d->phase == SETUP)
		sip_stack_count_answer(d->stack, status);
	sip_stack_kick(d->stack);
}

static void refuse_now(struct sip_dialog *d, int status)
{
	nua_respond(d->nh, status, sip_status_phrase(status), NUTAG_WITH_THIS(d->agent->nua), TAG_END());
}

static void on_question(struct sip_dialog *d, const struct sip_event *ev, enum exchange exchange)
{
	struct slice sdp;

	if (ev->status >= 200)
		return;		/* nua has refused it: 491, 500 */
	note_target(d, ev->sip);
	if (sip_body_sdp(ev->sip, &sdp) < 0)
		refuse_now(d, 415);
	else if (exchange == UPDATE && !sdp.p)
		refuse_now(d, 200);		/* a refresh: RFC 4028 7.4 */
	else if (d->phase != READY || d->exchange != IDLE)
		refuse_now(d, 491);
	else if (!nua_save_event(d->agent->nua, d->saved))
		refuse_now(d, 500);
	else {
		d->exchange = exchange;
		d->offered = !sdp.p;
		d->handler->offer(d, sdp, d->arg);
	}
}

static void on_ack(struct sip_dialog *d, const struct sip_event *ev)
{
	struct slice sdp;

	if (d->exchange != THEIRS_ACK)
		return;
	if (sip_body_sdp(ev->sip, &sdp) < 0)
		sdp = (struct slice){0};
	d->exchange = IDLE;
	if (d->offered)
		d->handler->answer(d, sdp, d->arg);
	if (d->handler && d->phase != OVER)
		set_established(d);
}

static void on_cancel(struct sip_dialog *d)
{
	static const struct sip_failure cancelled = {487, {"Request Terminated", 18}, true};

	if (d->exchange != THEIRS)
		return;
	if (d->phase == SETUP) {
		tell_over(d, &cancelled);
		return;
	}
	d->exchange = IDLE;
	forget_question(d);
}

/* --- the end --- */

static void on_bye(struct sip_dialog *d, const struct sip_event *ev)
{
	const sip_reason_t *reason = ev->sip ? ev->sip->sip_reason : NULL;
	char text[128] = "";
	struct sip_failure cause = {d->phase == READY ? 200 : 487, SLICE("Session Terminated"), true};

	if (reason && msg_header_field_e(text, sizeof(text), (const msg_header_t *)reason, 0) > 0)
		cause.reason = (struct slice){text, strnlen(text, sizeof(text))};
	tell_over(d, &cause);
}

static void on_lost(struct sip_dialog *d, int code, struct slice reason)
{
	tell_over(d, &(struct sip_failure){code, reason, false});
}

/* nua refreshes by itself, but has no credentials. */
static void on_refresh_answered(struct sip_dialog *d, const struct sip_event *ev)
{
	char *credentials;

	if (ev->status < 300)
		sip_auth_begin(d->auth);
	if ((ev->status != 401 && ev->status != 407) || !d->target
	    || sip_auth_challenge(&d->auth, d->stack, ev->sip) < 0)
		return;
	credentials = sip_auth_lines(d->auth, d->stack, "UPDATE", d->target);
	nua_update(d->nh, TAG_IF(credentials, SIPTAG_HEADER_STR(credentials)), TAG_END());
	free(credentials);
}

static void on_event(struct sip_owner *owner, const struct sip_event *ev)
{
	struct sip_dialog *d = (struct sip_dialog *)owner;

	dialog_ref(d);
	switch (ev->event) {
	case nua_r_invite:
		on_invite_response(d, ev);
		break;
	case nua_i_invite:
		on_question(d, ev, THEIRS);
		break;
	case nua_i_update:
		on_question(d, ev, UPDATE);
		break;
	case nua_i_ack:
		on_ack(d, ev);
		break;
	case nua_i_active:	/* our ACK has left */
		if (d->uac)
			set_established(d);
		break;
	case nua_i_cancel:
		on_cancel(d);
		break;
	case nua_i_bye:
		on_bye(d, ev);
		break;
	case nua_r_update:
		on_refresh_answered(d, ev);
		break;
	case nua_i_error:
		if (ev->status == 408)
			on_lost(d, 408, SLICE("ACK Timeout"));
		break;
	case nua_r_bye:		/* of nua's own: nobody refreshed the session in time */
		on_lost(d, 408, SLICE("Session Timeout"));
		break;
	case nua_i_terminated:
		on_lost(d, ev->status >= 300 && ev->status < 700 ? ev->status : 481, slice_of(ev->phrase));
		break;
	case nua_i_message:
		sip_request_arrived(d->agent, ev, true);
		break;
	default:
		break;
	}
	tell_idle(d);
	dialog_unref(d);
}

/* --- what the owner does --- */

int sip_dialog_progress(struct sip_dialog *d, int code, struct slice reason)
{
	if (d->phase == OVER || d->exchange != THEIRS || code <= 100 || code > 199)
		return -EPROTO;
	respond(d, code, reason, NULL, NULL);
	return 0;
}

int sip_dialog_answer(struct sip_dialog *d, struct slice sdp)
{
	char *text;

	if (d->phase == OVER
	    || (d->exchange != THEIRS && d->exchange != UPDATE && d->exchange != OURS_ACK))
		return -EPROTO;
	text = slice_dup(sdp);
	if (!text)
		return -ENOMEM;
	if (d->exchange == OURS_ACK) {
		send_ack(d, text);
	} else {
		respond(d, 200, (struct slice){0}, text, NULL);
		d->exchange = d->exchange == THEIRS ? THEIRS_ACK : IDLE;
		forget_question(d);
	}
	free(text);
	return 0;
}

int sip_dialog_refuse(struct sip_dialog *d, int code, struct slice reason, struct slice headers)
{
	char *lines = NULL;

	if (d->phase == OVER || (d->exchange != THEIRS && d->exchange != UPDATE) || code < 300 || code > 699)
		return -EPROTO;
	if (headers.p && !(lines = sip_header_lines(headers)))
		return -EPROTO;
	respond(d, code, reason, NULL, lines);
	free(lines);
	forget_question(d);
	d->exchange = IDLE;
	if (d->phase == SETUP)
		d->phase = OVER;
	return 0;
}

int sip_dialog_reinvite(struct sip_dialog *d, struct slice sdp)
{
	int err;

	if (d->phase != READY)
		return -ENOTCONN;
	if (d->exchange != IDLE || timer_running(&d->retry)) {
		d->busy_said = true;
		return -EBUSY;
	}
	err = copy_offer(d, sdp);
	if (err)
		return err;
	sip_auth_begin(d->auth);
	send_invite(d);
	return 0;
}

struct slice sip_dialog_call_id(const struct sip_dialog *d)
{
	return slice_of(d->call_id);
}

/* --- ending behind the scenes, when the owner is gone --- */

static void on_orphan_event(struct sip_owner *owner, const struct sip_event *ev)
{
	struct sip_dialog *d = (struct sip_dialog *)owner;
	bool final = ev->status >= 200;

	switch (ev->event) {
	case nua_r_invite:
		/* A 2xx has overtaken our CANCEL; or it was refused, as wished. */
		if (final && ev->status < 300) {
			send_ack(d, NULL);
			end_by_bye(d, NULL);
		} else if (final && d->phase == SETUP) {
			dialog_finish(d);
		}
		break;
	case nua_i_ack:
		if (d->exchange == THEIRS_ACK)
			end_by_bye(d, NULL);
		d->exchange = IDLE;
		break;
	case nua_r_bye:
		if ((ev->status == 401 || ev->status == 407) && sip_auth_answer_bye(d->stack, ev) == 0)
			break;
		if (final)
			dialog_finish(d);
		break;
	case nua_r_authenticate:
	case nua_i_terminated:
		dialog_finish(d);
		break;
	case nua_i_invite:
	case nua_i_update:
	case nua_i_message:
		if (!final)
			refuse_now(d, 481);
		break;
	default:
		break;
	}
}

static void on_orphan_expired(struct timer_entry *entry, void *arg)
{
	(void)arg;
	dialog_finish((struct sip_dialog *)((char *)entry - offsetof(struct sip_dialog, watch)));
}

static void make_orphan(struct sip_dialog *d)
{
	d->orphan = true;
	d->owner.event = on_orphan_event;
	sip_stack_begin(d->stack);
	timer_queue_start(&d->stack->orphans, &d->watch);
}

void sip_dialog_free(struct sip_dialog *d, struct slice reason)
{
	char *text;

	if (!d)
		return;
	d->handler = NULL;
	timer_stop(&d->retry);
	if (d->phase == SETUP && d->exchange == THEIRS)
		sip_dialog_refuse(d, 480, (struct slice){0}, (struct slice){0});
	if (d->phase == OVER || !d->nh) {
		dialog_finish(d);
		return;
	}
	make_orphan(d);
	if (d->phase == SETUP && d->exchange == OURS) {
		nua_cancel(d->nh, TAG_END());
		sip_stack_kick(d->stack);
		return;
	}
	/* RFC 3261 15: no BYE before the ACK, which may still be on its way; else its time-out brings one. */
	if (d->phase == SETUP && d->exchange == THEIRS_ACK)
		return;
	if (d->exchange == OURS_ACK)
		send_ack(d, NULL);
	text = slice_dup(reason);
	end_by_bye(d, text);
	free(text);
}

int sip_dialogs_init(struct sip_stack *stack)
{
	/* a CANCEL's answer and then a BYE's, each in its time */
	return timer_queue_init(&stack->orphans, stack->base,
	    2 * stack->settings->transaction_timeout + 1000, on_orphan_expired, NULL);
}

void sip_dialogs_fini(struct sip_stack *stack)
{
	while (stack->orphans.first)
		on_orphan_expired(stack->orphans.first, NULL);
	timer_queue_fini(&stack->orphans);
}
