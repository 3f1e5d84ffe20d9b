/* Where the SDP is in a body: RFC 5621, RFC 2046 section 5.1. */
#pragma once

#include <msrpd/slice.h>

/**
 * Find the SDP in a body: the whole of it, or the first part of a multipart body that is
 * application/sdp.
 *
 * @param sdpp  a view of body
 * @return 0; -EPROTO: there is none that can be read
 */
int sip_body_find_sdp(struct slice content_type, struct slice body, struct slice *sdpp);
