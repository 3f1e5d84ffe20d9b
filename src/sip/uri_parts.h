/*
 * User and domain of a URI, for $rU $fU $tU $rd $fd $td: RFC 3261 section 19.1, RFC 3966 (tel:),
 * RFC 3861 (im:, pres:); a URN has neither.
 */
#pragma once

#include <msrpd/slice.h>

/**
 * The userinfo without its password, "alice;x" of "sip:alice;x:pw@h"; of a tel: URI the number.
 * Absent if there is none.
 */
struct slice sip_uri_user(struct slice uri);

/** The host as it is written, an IPv6 address in its brackets.  Absent if there is none. */
struct slice sip_uri_domain(struct slice uri);
