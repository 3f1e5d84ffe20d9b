/* Our INVITE and re-INVITEs: RFC 3261 13.2, 14.1. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_util.h>

#include <msrpd/rand.h>

#include "base/buffer.h"
#include "sip/dialog_priv.h"

/* --- our INVITE --- */

/* The digest's URI is the Request-URI. */
void dialog_send_invite(struct sip_dialog *d)
{
	const char *uri = d->call ? d->call->ruri : d->target ? d->target : "";
	unsigned expires = d->call ? d->call->session_expires : 0;
	unsigned hops = d->call ? d->call->hops : 0;
	char *credentials = sip_auth_lines(d->auth, d->stack, "INVITE", uri), cseq[32] = "",
	     forwards[16];
	char *contact;

	if (d->call)
		d->secure = sip_call_is_secure(d->call, d->stack);
	contact = sip_agent_contact(d->agent, d->secure, d->contact);
	d->exchange = OURS;
	d->late = !d->sdp;
	if (d->phase == READY)
		dialog_await_answer(d);
	++*d->stack->stats.invites_out;
	if (d->call)
		snprintf(cseq, sizeof(cseq), "%u INVITE", d->call->cseq);
	snprintf(forwards, sizeof(forwards), "%u", hops - 1);
	nua_invite(d->nh, TAG_IF(d->call, SIPTAG_CSEQ_STR(cseq)),
	    TAG_IF(contact, SIPTAG_CONTACT_STR(contact)),
	    TAG_IF(expires, NUTAG_SESSION_TIMER(expires)), TAG_IF(expires, NUTAG_MIN_SE(expires)),
	    TAG_IF(hops, SIPTAG_MAX_FORWARDS_STR(forwards)),
	    TAG_IF(credentials, SIPTAG_HEADER_STR(credentials)),
	    TAG_IF(d->call && d->headers, SIPTAG_HEADER_STR(d->headers)),
	    TAG_IF(d->sdp, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
	    TAG_IF(d->sdp, SIPTAG_PAYLOAD_STR(d->sdp)), TAG_END());
	free(credentials);
	free(contact);
	sip_stack_kick(d->stack);
}

static void on_retry(void *arg);

static void on_turn(struct sip_turn *turn)
{
	struct sip_dialog *d =
	    (struct sip_dialog *)((char *)turn - offsetof(struct sip_dialog, turn));

	d->nh = sip_call_handle(d->call, d->agent, &d->owner);
	if (d->nh)
		dialog_send_invite(d);
	else
		timer_start(&d->retry, 0); /* nobody may be told from in here */
}

/* To the call's URI.  @return 0, -ENETUNREACH, -ENOBUFS, -ENOMEM, -EINVAL */
static int place_call(struct sip_dialog *d)
{
	int err;

	d->agent = sip_call_agent(d->call, d->stack, false);
	if (!d->agent)
		return -ENETUNREACH;
	err = sip_turn_take(&d->turn, d->stack, d->call, on_turn);
	if (err == 1)
		on_turn(&d->turn);
	return err < 0 ? err : 0;
}

int dialog_take_offer(struct sip_dialog *d, struct slice sdp)
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
	const struct sip_way way = {.flow = invite->flow, .node = invite->node};
	struct sip_dialog *d;
	int err = dialog_new(&d, stack, handler, arg);

	if (err)
		return err;
	d->uac = true;
	d->exchange = OURS;
	d->owner.event = dialog_on_event;
	d->redirects = invite->redirects;
	d->call = malloc(sizeof(*d->call));
	err = d->call
	    ? sip_call_init(d->call, stack, invite->ruri, invite->from_uri, invite->to_uri, &way)
	    : -ENOMEM;
	if (!err)
		d->call->hops = invite->hops;
	if (!err)
		err = dialog_take_offer(d, invite->sdp);
	if (!err)
		err = sip_dialog_set_headers(d, invite->headers);
	if (!err)
		err = sip_dialog_set_contact(d, invite->contact);
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

static struct sip_failure failure_of(const struct sip_event *ev)
{
	struct sip_failure f = {.code = ev->status,
	    .reason = slice_of(ev->phrase),
	    .from_peer = ev->from_peer};

	/* Sofia's own: 9xx when it could not even send. */
	if (ev->status >= 700)
		f = (struct sip_failure){.code = 503, .reason = SLICE("Service Unavailable")};
	else if (f.reason.len == 0)
		f.reason = slice_of(sip_status_phrase(ev->status));
	return f;
}

static void on_retry(void *arg)
{
	static const struct sip_failure failure = {.code = 503,
	    .reason = SLICE("Service Unavailable")};
	struct sip_dialog *d = arg;

	dialog_ref(d);
	if (d->phase == SETUP && !d->nh)
		dialog_tell_over(d, &failure);
	else
		dialog_tell_idle(d);
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

static bool is_for_owner(const struct sip_dialog *d, const struct sip_event *ev)
{
	return d->redirects && ev->from_peer && ev->status >= 300 && ev->status < 400;
}

/* Once more, with what the answer asks for.  @return true when the INVITE is on its way */
static bool try_again(struct sip_dialog *d, const struct sip_event *ev)
{
	while (d->call && !is_for_owner(d, ev) && sip_call_again(d->call, &d->auth, d->stack, ev)) {
		sip_turn_give(&d->turn);
		dialog_release_handle(d);
		if (place_call(d) == 0)
			return true;
	}
	if (d->call || (ev->status != 401 && ev->status != 407)
	    || sip_auth_challenge(&d->auth, d->stack, ev->sip) < 0)
		return false;
	dialog_send_invite(d);
	return true;
}

/* Would nua end the dialog after this answer to a request in it?  RFC 5057 */
static bool ends_dialog(int status)
{
	int graceful = 1; /* as nua has it where the RFC leaves the choice */

	return sip_response_terminates_dialog(status, sip_method_invite, &graceful) != 0
	    || graceful;
}

/* The headers of an answer that have a meaning of their own: RFC 3261 20, 21. */
static char *lines_of(const sip_t *sip)
{
	const void *const headers[] = {
	    sip->sip_status->st_status < 400 ? sip->sip_contact : NULL,
	    sip->sip_retry_after,
	    sip->sip_warning,
	    sip->sip_error_info,
	    sip->sip_reason,
	    sip->sip_accept,
	    sip->sip_accept_encoding,
	    sip->sip_accept_language,
	    sip->sip_unsupported,
	};
	su_home_t home[1] = {SU_HOME_INIT(home)};
	struct buffer w = {.max = SIP_MESSAGE_MAX};
	char *text = NULL;
	size_t len;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		for (const msg_header_t *h = headers[i]; h; h = (const msg_header_t *)h->sh_next)
			buffer_printf(&w, "%s: %.*s\r\n", h->sh_class->hc_name,
			    SLICE_ARG(sip_header_value(home, h, 0)));
	su_home_deinit(home);
	return buffer_take(&w, &text, &len) == 0 ? text : NULL;
}

/* The dialog would be over: that nobody answers what is sent in it the edge says in this manner. */
static bool is_silence(const struct sip_event *ev)
{
	return ev->status == 504 && !ev->from_peer;
}

static void on_invite_refused(struct sip_dialog *d, const struct sip_event *ev)
{
	struct sip_failure f = failure_of(ev);
	bool ours = d->exchange == OURS; /* else nua's own, a refresh */
	char *lines;

	if (d->phase == READY && is_silence(ev)) {
		dialog_unanswered(d);
		return;
	}
	if (ours && try_again(d, ev))
		return;
	lines = ev->from_peer && ev->sip->sip_status ? lines_of(ev->sip) : NULL;
	if (lines && *lines)
		f.headers = slice_of(lines);
	if (d->phase == SETUP || ends_dialog(f.code)) {
		dialog_tell_over(d, &f);
	} else if (ours && !(ev->status == 491 && wait_after_glare(d))) {
		d->exchange = IDLE;
		free(d->sdp);
		d->sdp = NULL;
		if (d->handler)
			d->handler->refused(d, &f, d->arg);
	} else if (d->exchange == REFRESH) {
		d->exchange = IDLE;
	}
	free(lines);
}

/* ours: of an INVITE that our owner has asked for, not nua. */
static void take_sdp_of_2xx(struct sip_dialog *d, struct slice sdp, bool ours)
{
	static const struct sip_failure no_offer = {.code = 488,
	    .reason = SLICE("No offer in the answer"),
	    .from_peer = true};

	if (d->late && sdp.p) {
		d->handler->offer(d, sdp, d->arg);
		return;
	}
	if (!d->late)
		d->handler->answer(d, sdp, d->arg);
	if (d->exchange == OURS_ACK)
		dialog_ack(d, NULL);
	if (d->late && d->phase == SETUP) {
		dialog_bye(d);
		dialog_tell_over(d, &no_offer);
	} else if (d->late && ours) {
		d->handler->refused(d, &no_offer, d->arg);
	}
}

static void forget_early_answer(struct sip_dialog *d)
{
	free(d->early_sdp);
	free(d->early_tag);
	d->early_sdp = d->early_tag = NULL;
}

/*
 * RFC 3262 5: an answer may come in a reliable provisional response, which nua acknowledges by
 * PRACK; then the 2xx of that fork need not repeat it.
 */
static void note_early_answer(struct sip_dialog *d, const sip_t *sip)
{
	struct sip_body body;
	struct slice sdp;

	if (!sip || !sip->sip_rseq || d->late || !sip->sip_to->a_tag
	    || sip_message_sdp(&body, sip, &sdp) < 0)
		return;
	if (sdp.p) {
		forget_early_answer(d);
		d->early_sdp = slice_dup(sdp);
		d->early_tag = slice_dup(slice_of(sip->sip_to->a_tag));
	}
	sip_body_fini(&body);
}

static void on_invite_progress(struct sip_dialog *d, const struct sip_event *ev)
{
	note_early_answer(d, ev->sip);
	if (ev->status > 100 && d->phase == SETUP && d->handler->progress)
		d->handler->progress(d, ev->status, slice_of(ev->phrase), d->arg);
}

static struct slice early_answer(const struct sip_dialog *d, const sip_t *sip)
{
	bool same = d->early_sdp && d->early_tag && sip->sip_to->a_tag
	    && strcmp(d->early_tag, sip->sip_to->a_tag) == 0;

	return slice_of(same ? d->early_sdp : NULL);
}

static void on_invite_accepted(struct sip_dialog *d, const struct sip_event *ev)
{
	bool ours = d->exchange == OURS;
	struct sip_body body;
	struct slice sdp;

	d->exchange = OURS_ACK;
	dialog_note_target(d, ev->sip);
	if (d->phase == SETUP) {
		dialog_watch_flow(d, sip_agent_response_flow(d->agent, ev->sip), ev->sip);
		dialog_note_methods(d, ev->sip);
	}
	free(d->sdp);
	d->sdp = NULL;
	sip_message_sdp(&body, ev->sip, &sdp);
	take_sdp_of_2xx(d, sdp.p ? sdp : early_answer(d, ev->sip), ours);
	sip_body_fini(&body);
	forget_early_answer(d);
}

void dialog_on_invite_response(struct sip_dialog *d, const struct sip_event *ev)
{
	sip_stack_count_reply(d->stack, ev);
	sip_turn_give(&d->turn); /* it was written, and somebody is there */
	timer_queue_stop(&d->stack->unheard, &d->heard);
	if (d->phase == OVER)
		return;
	if (ev->status >= 300)
		on_invite_refused(d, ev);
	else if (ev->status >= 200)
		on_invite_accepted(d, ev);
	else if (ev->from_peer)
		on_invite_progress(d, ev);
}

/*
 * nua refreshes by itself, by INVITE where the peer has no UPDATE, and says no more of it than this.
 * One of ours would wait for its answer, and take it for that to our offer.
 */
void dialog_note_refresh(struct sip_dialog *d, const struct sip_event *ev)
{
	/* With a status the phrase is the peer's. */
	if (d->phase == READY && d->exchange == IDLE && ev->status == 0 && ev->phrase
	    && strcmp(ev->phrase, "INVITE sent") == 0) {
		d->exchange = REFRESH;
		dialog_await_answer(d);
	}
}

/* nua refreshes by itself, but has no credentials. */
void dialog_on_refresh_answered(struct sip_dialog *d, const struct sip_event *ev)
{
	char *credentials;

	if (is_silence(ev)) {
		dialog_unanswered(d);
		return;
	}
	if (ev->status < 300)
		sip_auth_begin(d->auth);
	if ((ev->status != 401 && ev->status != 407) || !d->target
	    || sip_auth_challenge(&d->auth, d->stack, ev->sip) < 0)
		return;
	credentials = sip_auth_lines(d->auth, d->stack, "UPDATE", d->target);
	nua_update(d->nh, TAG_IF(credentials, SIPTAG_HEADER_STR(credentials)), TAG_END());
	free(credentials);
}
