/* Why a request was refused, and by which rule: for the log, and for who asks later. */
#include <msrpd/story.h>

#include "sip/request_priv.h"

void sip_request_note_refusal(const struct sip_request *req, int code, const char *phrase,
    const char *rule)
{
	struct sip_request_parts parts;
	struct story of = {0};

	/* A 401 is how logging in begins. */
	if (code < 300 || code == 401)
		return;
	sip_request_look(req, &parts);
	of.call_id = slice_of(parts.sip->sip_call_id->i_id);
	story_refuse(&of, code, "sip: %s %.*s of %.*s from %.*s refused: %d %s, by %s",
	    parts.sip->sip_request->rq_method_name,
	    SLICE_ARG(sip_request_field(req, SIP_FIELD_RURI)),
	    SLICE_ARG(sip_request_field(req, SIP_FIELD_FROM_URI)),
	    SLICE_ARG(sip_request_field(req, SIP_FIELD_SOURCE_ADDRESS)), code, phrase,
	    rule[0] ? rule : "no rule");
}
