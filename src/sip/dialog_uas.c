/* The peer's INVITEs and UPDATEs: RFC 3261 13.3, 14.2, RFC 3311. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/sip_status.h>

#include "sip/dialog_priv.h"
#include "sip/request_priv.h"

/* --- their INVITE and UPDATE --- */

int sip_dialog_accept(struct sip_dialog **dp, struct sip_request *invite,
    const struct sip_dialog_handler *handler, void *arg)
{
	struct sip_request_parts parts;
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
	d->secure = sip_is_secure(parts.sip);
	d->nh = parts.nh;
	d->late = true; /* nua's own refresh would have no offer */
	d->exchange = THEIRS;
	d->offered = !parts.sip->sip_payload;
	d->request = sip_request_ref(invite);
	d->owner.event = dialog_on_event;
	nua_handle_bind(d->nh, (nua_hmagic_t *)&d->owner);
	dialog_watch_flow(d, sip_request_flow(invite), parts.sip);
	dialog_note_target(d, parts.sip);
	dialog_note_methods(d, parts.sip);
	*dp = d;
	return 0;
}

void dialog_respond(struct sip_dialog *d, int status, struct slice reason, const char *sdp,
    const char *headers)
{
	msg_t *with = d->request ? sip_request_msg(d->request) : nua_saved_event_request(d->saved);
	char *contact = status < 300 ? sip_agent_contact(d->agent, d->secure, d->contact) : NULL;

	nua_respond(d->nh, status, sip_phrase(d->nh, status, reason), NUTAG_WITH(with),
	    TAG_IF(contact, SIPTAG_CONTACT_STR(contact)),
	    TAG_IF(sdp, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
	    TAG_IF(sdp, SIPTAG_PAYLOAD_STR(sdp)), TAG_IF(headers, SIPTAG_HEADER_STR(headers)),
	    TAG_END());
	free(contact);
	if (d->phase == SETUP)
		sip_stack_count_answer(d->stack, status);
	sip_stack_kick(d->stack);
}

void dialog_refuse_now(struct sip_dialog *d, int status)
{
	nua_respond(d->nh, status, sip_status_phrase(status), NUTAG_WITH_THIS(d->stack->nua),
	    TAG_END());
}

static void refuse_body(struct sip_dialog *d, const sip_t *sip)
{
	nua_respond(d->nh, SIP_415_UNSUPPORTED_MEDIA, NUTAG_WITH_THIS(d->stack->nua),
	    SIPTAG_HEADER_STR(sip_body_accepted(sip)), TAG_END());
}

static void take_question(struct sip_dialog *d, struct slice sdp, enum exchange exchange)
{
	if (exchange == UPDATE && !sdp.p)
		dialog_refuse_now(d, 200); /* a refresh: RFC 4028 7.4 */
	else if (d->phase != READY || d->exchange != IDLE)
		dialog_refuse_now(d, 491);
	else if (!nua_save_event(d->stack->nua, d->saved))
		dialog_refuse_now(d, 500);
	else {
		d->exchange = exchange;
		d->offered = !sdp.p;
		d->handler->offer(d, sdp, d->arg);
	}
}

void dialog_on_question(struct sip_dialog *d, const struct sip_event *ev, enum exchange exchange)
{
	struct sip_body body;
	struct slice sdp;

	if (ev->status >= 200)
		return; /* nua has refused it: 491, 500 */
	dialog_note_target(d, ev->sip);
	if (sip_message_sdp(&body, ev->sip, &sdp) < 0)
		refuse_body(d, ev->sip);
	else
		take_question(d, sdp, exchange);
	sip_body_fini(&body);
}

void dialog_on_ack(struct sip_dialog *d, const struct sip_event *ev)
{
	struct sip_body body;
	struct slice sdp;

	if (d->exchange != THEIRS_ACK)
		return;
	d->exchange = IDLE;
	sip_message_sdp(&body, ev->sip, &sdp);
	if (d->offered)
		d->handler->answer(d, sdp, d->arg);
	sip_body_fini(&body);
	if (d->handler && d->phase != OVER)
		dialog_set_established(d);
}

void dialog_on_cancel(struct sip_dialog *d, const struct sip_event *ev)
{
	char text[DIALOG_REASON_MAX];
	const struct sip_failure cancelled = {.code = 487,
	    .reason = SLICE("Request Terminated"),
	    .from_peer = true,
	    .why = dialog_reason_of(ev->sip, text)};

	if (d->exchange != THEIRS)
		return;
	if (d->phase == SETUP) {
		dialog_tell_over(d, &cancelled);
		return;
	}
	d->exchange = IDLE;
	dialog_forget_question(d);
	if (d->handler->withdrawn)
		d->handler->withdrawn(d, d->arg);
}
