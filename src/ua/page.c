/* Messages that SIP brings: a MESSAGE in the dialog, a text beside the SDP of the INVITE. */
#include "ua/priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "sip/body.h"
#include "sip/request.h"

static const struct slice absent;

/* RFC 3261 21.4.13: which types there might be instead. */
static void refuse_type(struct sip_request *request, const char *first, struct slice types)
{
	struct buffer line = {.max = BUFFER_UNBOUNDED};
	struct slice type;
	char *text;
	size_t len;

	buffer_printf(&line, "Accept: %s", first);
	for (const char *between = *first ? ", " : ""; slice_cut(&types, ' ', &type);
	     between = ", ")
		buffer_printf(&line, "%s%.*s", between, SLICE_ARG(type));
	buffer_add(&line, SLICE("\r\n"));
	if (buffer_take(&line, &text, &len) < 0)
		return; /* and it is answered 500 */
	sip_request_reply(request, 415, absent, (struct slice){text, len});
	free(text);
}

/* As a stream, in one piece. */
static int give_stream(struct ua_session *s, const struct message *m)
{
	struct message head = *m;
	void *stream = NULL;
	int result;

	head.body = absent;
	result = s->handler->begin(s, &head, &stream, s->arg);
	if (result || s->state == SESSION_OVER)
		return result;
	result = s->handler->piece(s, stream, m->body, s->arg);
	if (s->state == SESSION_OVER)
		return result;
	if (result && result != -EAGAIN) {
		s->handler->end(s, stream, -EMSGSIZE, s->arg);
		return result;
	}
	return s->handler->end(s, stream, 0, s->arg);
}

/* The caller holds the session. */
static int give(struct ua_session *s, const struct message *m)
{
	return s->handler->message ? s->handler->message(s, m, s->arg) : give_stream(s, m);
}

/* --- in the dialog: RFC 3428 --- */

/* Of what the service says; nothing among it ends the dialog (RFC 5057 5.1). */
static int sip_status(int result)
{
	switch (result) {
	case 0:
		return 200;
	case UA_REPORT_LATER:
		return 202;
	case 400:
	case 403:
	case 405:
	case 413:
	case 415:
		return result;
	case 408:
		return 504; /* RFC 4320 4.2 */
	default:
		return 500;
	}
}

static int take(struct ua_session *s, struct sip_request *request)
{
	struct message m = {
	    .message_id = SLICE(""),
	    .content_type = sip_request_field(request, SIP_FIELD_CONTENT_TYPE),
	    .body = sip_request_field(request, SIP_FIELD_BODY),
	    .failure_report = FAILURE_REPORT_NO,
	    .request = request,
	};

	m.total = m.body.len;
	if (m.body.len == 0)
		return 0;
	if (!m.content_type.p)
		return 400;
	if (!sdp_types_have(s->accept_types, m.content_type))
		return 415;
	return give(s, &m);
}

void ua_reply(struct sip_request *message, int result)
{
	sip_request_reply(message, sip_status(result), absent, absent);
}

void ua_page_take(struct ua_session *s, struct sip_request *request)
{
	int result = 500;

	ua_session_ref(s);
	ua_session_arrived(s);
	if (s->notified && s->state <= SESSION_LOST)
		result = take(s, request);
	if (result == 415)
		refuse_type(request, "", s->accept_types);
	else if (result != UA_REPLY_LATER)
		ua_reply(request, result);
	ua_session_unref(s);
}

/* --- in the INVITE --- */

static bool is_taken(const struct sip_part *part, struct slice accept_types)
{
	return sip_part_is_message(part)
	    && (sdp_types_have(accept_types, part->type)
		|| sdp_types_have(SLICE("message/cpim"), part->type));
}

int ua_page_judge(struct sip_request *invite, struct slice accept_types)
{
	const struct sip_body *body = sip_request_body(invite);

	for (size_t i = 0; i < body->count; i++) {
		const struct sip_part *part = &body->parts[i];

		if (!sip_part_is_message(part) || is_taken(part, accept_types)
		    || part->handling == SIP_HANDLING_OPTIONAL)
			continue;
		refuse_type(invite, "application/sdp, multipart/mixed", accept_types);
		return -EPROTO;
	}
	return 0;
}

void ua_page_greet(struct ua_session *s, const struct sip_request *invite)
{
	const struct sip_body *body = sip_request_body(invite);

	for (size_t i = 0; i < body->count && s->state != SESSION_OVER; i++) {
		const struct sip_part *part = &body->parts[i];
		struct message m = {
		    .message_id = SLICE(""),
		    .content_type = part->type,
		    .body = part->body,
		    .total = part->body.len,
		    .failure_report = FAILURE_REPORT_NO,
		};

		if (part->body.len > 0 && is_taken(part, s->accept_types))
			give(s, &m);
	}
}
