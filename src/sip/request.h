/* SIP requests for the layers inside the daemon; the rest is in msrpd/request.h. */
#pragma once

#include <msrpd/request.h>

/**
 * The offer in an INVITE: its body, or the part of a multipart body that is application/sdp.
 * Absent without a body (the peer wants our offer, RFC 3261 13.2.1).
 *
 * @return 0; -EPROTO: a body, but no SDP that can be read in it: the request was answered 415
 */
int sip_request_sdp(struct sip_request *req, struct slice *sdpp);
