#include "sip/dialog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/msg_header.h>

#include <msrpd/story.h>

#include "base/buffer.h"
#include "base/log.h"
#include "sip/dialog_priv.h"
#include "sip/request_priv.h"

/* --- life --- */

void dialog_drop_call(struct sip_dialog *d)
{
	if (d->call)
		sip_call_clear(d->call);
	free(d->call);
	d->call = NULL;
}

void dialog_ref(struct sip_dialog *d)
{
	d->refs++;
}

void dialog_unref(struct sip_dialog *d)
{
	if (--d->refs > 0)
		return;
	sip_auth_free(d->auth);
	free(d->sdp);
	free(d->early_sdp);
	free(d->early_tag);
	free(d->headers);
	free(d->contact);
	free(d->reason);
	free(d->call_id);
	free(d->target);
	free(d->features);
	free(d);
}

int dialog_new(struct sip_dialog **dp, struct sip_stack *stack,
    const struct sip_dialog_handler *handler, void *arg)
{
	struct sip_dialog *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->stack = stack;
	d->handler = handler;
	d->arg = arg;
	d->refs = 1;
	d->began_ms = timer_now_ms();
	++*stack->stats.dialogs;
	*dp = d;
	return 0;
}

void dialog_forget_question(struct sip_dialog *d)
{
	if (d->request)
		sip_request_unref(d->request);
	d->request = NULL;
	nua_destroy_event(d->saved);
	d->saved[0] = NULL;
}

void dialog_release_handle(struct sip_dialog *d)
{
	if (!d->nh)
		return;
	nua_handle_bind(d->nh, NULL);
	nua_handle_destroy(d->nh);
	d->nh = NULL;
	sip_stack_kick(d->stack);
}

void dialog_finish(struct sip_dialog *d)
{
	timer_fini(&d->retry);
	sip_turn_give(&d->turn);
	dialog_forget_question(d);
	dialog_release_handle(d);
	dialog_drop_call(d);
	timer_queue_stop(&d->stack->orphans, &d->watch);
	timer_queue_stop(&d->stack->unheard, &d->heard);
	sip_flow_watch_stop(&d->flow);
	--*d->stack->stats.dialogs;
	if (d->orphan)
		sip_stack_end(d->stack);
	dialog_unref(d);
}

void dialog_set_phase(struct sip_dialog *d, enum phase phase)
{
	static const char *const names[] = {[SETUP] = "setup", [READY] = "ready", [OVER] = "over"};

	const struct story of = {.call_id = slice_of(d->call_id)};

	story_note(LOG_LEVEL_DEBUG, &of, "sip: dialog %s: %s -> %s", d->call_id ? d->call_id : "",
	    names[d->phase], names[phase]);
	d->phase = phase;
}

/* --- telling the owner; the caller holds a reference --- */

void dialog_tell_over(struct sip_dialog *d, const struct sip_failure *cause)
{
	bool ready = d->phase == READY;

	if (d->phase == OVER)
		return;
	dialog_set_phase(d, OVER);
	d->exchange = IDLE;
	timer_stop(&d->retry);
	timer_queue_stop(&d->stack->unheard, &d->heard);
	sip_turn_give(&d->turn);
	dialog_forget_question(d);
	if (d->handler && ready)
		d->handler->ended(d, cause, d->arg);
	else if (d->handler)
		d->handler->failed(d, cause, d->arg);
}

void dialog_tell_idle(struct sip_dialog *d)
{
	if (!d->busy_said || !d->handler || d->phase != READY || d->exchange != IDLE
	    || timer_running(&d->retry))
		return;
	d->busy_said = false;
	d->handler->idle(d, d->arg);
}

void dialog_set_established(struct sip_dialog *d)
{
	if (d->phase != SETUP)
		return;
	stats_took(d->stack->stats.setup, timer_now_ms() - d->began_ms);
	dialog_set_phase(d, READY);
	dialog_drop_call(d);
	timer_fini(&d->retry); /* rarely needed again */
	if (d->handler)
		d->handler->established(d, d->arg);
}

/* --- what both sides do --- */

/* Of this binding or instance alone: RFC 3261 20.10, RFC 5626, RFC 5627. */
static bool is_of_binding(struct slice parameter)
{
	static const char *const names[] = {"q", "expires", "reg-id", "+sip.instance", "pub-gruu",
	    "temp-gruu", "gr", "ob"};
	struct slice name;

	slice_cut(&parameter, '=', &name);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_equal_nocase(name, slice_of(names[i])))
			return true;
	return false;
}

static char *features_of(const sip_contact_t *contact)
{
	struct buffer w = {.max = SIP_URI_MAX};
	char *text = NULL;
	size_t len;

	for (size_t i = 0; contact->m_params && contact->m_params[i]; i++) {
		size_t before = w.len;

		if (is_of_binding(slice_of(contact->m_params[i])))
			continue;
		buffer_printf(&w, ";%s", contact->m_params[i]);
		if (!sip_contact_is_free(slice_from(buffer_text(&w), before)))
			w.len = before;
	}
	if (w.len == 0 || buffer_take(&w, &text, &len) < 0)
		buffer_fini(&w);
	return text;
}

void dialog_note_target(struct sip_dialog *d, const sip_t *sip)
{
	char *target = sip_contact_clean(sip);

	if (!target)
		return;
	free(d->target);
	d->target = target;
	free(d->features);
	d->features = features_of(sip->sip_contact);
}

/* Other peers are called where they say that they are, once there is something to tell them. */
static void on_flow_died(struct sip_flow_watch *watch)
{
	static const struct sip_failure failed = {.code = 430, .reason = SLICE("Flow Failed")};
	struct sip_dialog *d =
	    (struct sip_dialog *)((char *)watch - offsetof(struct sip_dialog, flow));

	log_debug("sip: dialog %s: its connection has closed", d->call_id ? d->call_id : "");
	if (!d->tied)
		return;
	dialog_ref(d);
	dialog_tell_over(d, &failed);
	dialog_unref(d);
}

void dialog_watch_flow(struct sip_dialog *d, struct sip_flow *flow, const sip_t *sip)
{
	sip_flow_watch_stop(&d->flow);
	if (!flow)
		return;
	d->tied = sip_flow_is_only_way(flow, sip);
	d->flow.died = on_flow_died;
	sip_flow_watch_start(&d->flow, flow);
}

/* Refresh by UPDATE where the peer can do it (else nua repeats the INVITE): RFC 4028 7.4. */
void dialog_note_methods(struct sip_dialog *d, const sip_t *sip)
{
	if (!sip->sip_allow || !SIP_IS_ALLOWED(sip->sip_allow, sip_method_update))
		nua_set_hparams(d->nh, NUTAG_UPDATE_REFRESH(0), TAG_END());
}

void dialog_ack(struct sip_dialog *d, const char *sdp)
{
	d->exchange = IDLE;
	nua_ack(d->nh, TAG_IF(sdp, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
	    TAG_IF(sdp, SIPTAG_PAYLOAD_STR(sdp)), TAG_END());
	sip_stack_kick(d->stack);
}

/* Sofia's own repetition, off elsewhere, lets a BYE through that is challenged. */
void dialog_bye(struct sip_dialog *d)
{
	nua_bye(d->nh, NUTAG_RETRY_COUNT(1), TAG_IF(d->reason, SIPTAG_REASON_STR(d->reason)),
	    TAG_END());
	sip_stack_kick(d->stack);
}

/* --- the end --- */

struct slice dialog_reason_of(const sip_t *sip, char text[DIALOG_REASON_MAX])
{
	const msg_header_t *h = sip ? (const msg_header_t *)sip->sip_reason : NULL;
	issize_t n = h ? msg_header_field_e(text, DIALOG_REASON_MAX, h, 0) : 0;

	/* What is longer was not written to its end. */
	return n > 0 && n < DIALOG_REASON_MAX ? (struct slice){text, (size_t)n}
					      : (struct slice){NULL, 0};
}

static void on_bye(struct sip_dialog *d, const struct sip_event *ev)
{
	char text[DIALOG_REASON_MAX];
	struct sip_failure cause = {.code = d->phase == READY ? 200 : 487,
	    .reason = SLICE("Session Terminated"),
	    .from_peer = true,
	    .why = dialog_reason_of(ev->sip, text)};

	dialog_tell_over(d, &cause);
}

static void on_lost(struct sip_dialog *d, int code, struct slice reason)
{
	dialog_tell_over(d, &(struct sip_failure){.code = code, .reason = reason});
}

static void on_message(struct sip_request *req, void *arg)
{
	struct sip_dialog *d = arg;

	d->handler->message(d, req, d->arg);
}

void dialog_on_event(struct sip_owner *owner, const struct sip_event *ev)
{
	struct sip_dialog *d = (struct sip_dialog *)owner;

	dialog_ref(d);
	switch (ev->event) {
	case nua_r_invite:
		dialog_on_invite_response(d, ev);
		break;
	case nua_i_invite:
		dialog_on_question(d, ev, THEIRS);
		break;
	case nua_i_update:
		dialog_on_question(d, ev, UPDATE);
		break;
	case nua_i_ack:
		dialog_on_ack(d, ev);
		break;
	case nua_i_active: /* our ACK has left */
		if (d->uac)
			dialog_set_established(d);
		break;
	case nua_i_cancel:
		dialog_on_cancel(d, ev);
		break;
	case nua_i_bye:
		on_bye(d, ev);
		break;
	case nua_i_state:
		dialog_note_refresh(d, ev);
		break;
	case nua_r_update:
		dialog_on_refresh_answered(d, ev);
		break;
	case nua_i_error:
		if (ev->status == 408)
			on_lost(d, 408, SLICE("ACK Timeout"));
		break;
	case nua_r_bye: /* of nua's own: nobody refreshed the session in time */
		on_lost(d, 408, SLICE("Session Timeout"));
		break;
	case nua_i_terminated:
		on_lost(d, ev->status >= 300 && ev->status < 700 ? ev->status : 481,
		    slice_of(ev->phrase));
		break;
	case nua_i_message:
		sip_request_arrived(d->stack, ev, &(struct sip_taker){on_message, d, true});
		break;
	case nua_i_subscribe:
	case nua_i_method:
		sip_stack_refuse_sharing(d->stack, d->nh);
		break;
	default:
		break;
	}
	dialog_tell_idle(d);
	dialog_unref(d);
}

/* --- what the owner does --- */

int sip_dialog_progress(struct sip_dialog *d, int code, struct slice reason)
{
	if (d->phase == OVER || d->exchange != THEIRS || code <= 100 || code > 199)
		return -EPROTO;
	dialog_respond(d, code, reason, NULL, NULL);
	return 0;
}

int sip_dialog_set_contact(struct sip_dialog *d, struct slice own)
{
	char *copy = NULL;

	if (!sip_contact_is_free(own))
		return -EINVAL;
	if (own.len > 0 && !(copy = slice_dup(own)))
		return -ENOMEM;
	free(d->contact);
	d->contact = copy;
	return 0;
}

int sip_dialog_set_headers(struct sip_dialog *d, struct slice headers)
{
	char *lines = NULL;

	if (headers.len > 0 && !sip_headers_are_free(headers))
		return -EINVAL;
	if (headers.len > 0 && !(lines = slice_dup(headers)))
		return -ENOMEM;
	free(d->headers);
	d->headers = lines;
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
		dialog_ack(d, text);
	} else {
		dialog_respond(d, 200, (struct slice){0}, text,
		    d->phase == SETUP ? d->headers : NULL);
		d->exchange = d->exchange == THEIRS ? THEIRS_ACK : IDLE;
		dialog_forget_question(d);
	}
	free(text);
	return 0;
}

int sip_dialog_refuse(struct sip_dialog *d, int code, struct slice reason, struct slice headers)
{
	char *lines = NULL;

	if (d->phase == OVER || (d->exchange != THEIRS && d->exchange != UPDATE) || code < 300
	    || code > 699)
		return -EPROTO;
	if (headers.p && !(lines = sip_header_lines(headers)))
		return -EPROTO;
	dialog_respond(d, code, reason, NULL, lines);
	free(lines);
	dialog_forget_question(d);
	d->exchange = IDLE;
	if (d->phase == SETUP)
		dialog_set_phase(d, OVER);
	return 0;
}

int sip_dialog_may_reinvite(struct sip_dialog *d)
{
	if (d->phase != READY)
		return -ENOTCONN;
	if (d->exchange == IDLE && !timer_running(&d->retry))
		return 0;
	d->busy_said = true;
	return -EBUSY;
}

int sip_dialog_reinvite(struct sip_dialog *d, struct slice sdp)
{
	int err = sip_dialog_may_reinvite(d);

	if (!err)
		err = dialog_take_offer(d, sdp);
	if (err)
		return err;
	sip_auth_begin(d->auth);
	dialog_send_invite(d);
	return 0;
}

bool sip_dialog_owes_ack(const struct sip_dialog *d)
{
	return d->exchange == OURS_ACK;
}

struct slice sip_dialog_features(const struct sip_dialog *d)
{
	return slice_of(d->features);
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
			dialog_ack(d, NULL);
			dialog_bye(d);
		} else if (final && d->phase == SETUP) {
			dialog_finish(d);
		}
		break;
	case nua_i_ack:
		if (d->exchange == THEIRS_ACK)
			dialog_bye(d);
		d->exchange = IDLE;
		break;
	case nua_r_bye:
		if ((ev->status == 401 || ev->status == 407)
		    && sip_auth_answer_bye(d->stack, ev) == 0)
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
	case nua_i_subscribe:
	case nua_i_method:
		/* By a 481 nua would end a dialog whose INVITE still waits: RFC 3261 14.2. */
		if (!final)
			dialog_refuse_now(d, d->phase == SETUP ? 491 : 481);
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

static void cancel(struct sip_dialog *d)
{
	nua_cancel(d->nh, TAG_IF(d->reason, SIPTAG_REASON_STR(d->reason)), TAG_END());
	sip_stack_kick(d->stack);
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
	if (!d)
		return;
	d->handler = NULL;
	sip_flow_watch_stop(&d->flow);
	timer_stop(&d->retry);
	timer_queue_stop(&d->stack->unheard, &d->heard);
	/* What is pending is answered first: RFC 3261 15.1.2. */
	if (d->exchange == THEIRS || d->exchange == UPDATE)
		sip_dialog_refuse(d, d->phase == SETUP ? 480 : 487, (struct slice){0},
		    (struct slice){0});
	if ((d->phase == OVER && !d->owes_bye) || !d->nh) {
		dialog_finish(d);
		return;
	}
	make_orphan(d);
	d->reason = slice_dup(reason);
	if (d->phase == SETUP && d->exchange == OURS) {
		cancel(d);
		return;
	}
	if (d->exchange == OURS_ACK)
		dialog_ack(d, NULL);
	/* RFC 3261 15: no BYE before the ACK, or its time-out. */
	if (d->exchange != THEIRS_ACK)
		dialog_bye(d);
}

/*
 * RFC 3261 12.2.1.2: a BYE goes to who does not answer, as he may be there all the same.  When nua finds
 * out itself it has no dialog any more to send one in.
 */
void dialog_unanswered(struct sip_dialog *d)
{
	static const struct sip_failure silence = {.code = 408, .reason = SLICE("Request Timeout")};

	dialog_ref(d);
	d->owes_bye = true;
	dialog_tell_over(d, &silence);
	dialog_unref(d);
}

static void on_unheard(struct timer_entry *entry, void *arg)
{
	(void)arg;
	dialog_unanswered(
	    (struct sip_dialog *)((char *)entry - offsetof(struct sip_dialog, heard)));
}

void dialog_await_answer(struct sip_dialog *d)
{
	timer_queue_start(&d->stack->unheard, &d->heard);
}

int sip_dialogs_init(struct sip_stack *stack)
{
	uint64_t timeout_ms = stack->settings->transaction_timeout;
	/* a CANCEL's answer and then a BYE's, each in its time */
	int err = timer_queue_init(&stack->orphans, stack->base, 2 * timeout_ms + 1000,
	    on_orphan_expired, NULL);

	if (err == 0)
		err = timer_queue_init(&stack->unheard, stack->base, timeout_ms - timeout_ms / 16,
		    on_unheard, NULL);
	return err;
}

void sip_dialogs_fini(struct sip_stack *stack)
{
	struct timer_entry *first;

	while ((first = timer_queue_first(&stack->orphans)))
		on_orphan_expired(first, NULL);
	timer_queue_fini(&stack->orphans);
	timer_queue_fini(&stack->unheard);
}
