/* SIP requests for the layers inside the daemon; the rest is in msrpd/request.h. */
#pragma once

#include <msrpd/request.h>

struct sip_body;

/**
 * The offer in an INVITE: its body, or the part of a multipart body that is application/sdp.
 * Absent without a body (the peer wants our offer, RFC 3261 13.2.1).
 *
 * @param sdpp  valid as long as the request
 * @return 0; -EPROTO: a body, but no SDP that can be read in it, or beside it what has to be
 *         understood and is not: the request was answered 415; or 406, if its sender takes no
 *         answer that is SDP; -ENOMEM
 */
int sip_request_sdp(struct sip_request *req, struct slice *sdpp);

/** The rule that holds for it, for people to read; copied. */
void sip_request_set_rule(struct sip_request *req, const char *rule);

/** The parts of its body; call sip_request_sdp() before. */
const struct sip_body *sip_request_body(const struct sip_request *req);
