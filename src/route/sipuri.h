/* User and domain of a SIP URI, for $rU $fU $tU $rd $fd $td: RFC 3261 section 19.1. */
#pragma once

#include <msrpd/slice.h>

/** Without password and parameters; of a tel: URI the number.  Absent if there is none. */
struct slice route_sip_user(struct slice uri);

/** The host as it is written, an IPv6 address in its brackets.  Absent if there is none. */
struct slice route_sip_domain(struct slice uri);
