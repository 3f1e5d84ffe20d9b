/* What rules see of a SIP request, and do with SIP: docs/routes.md. */
#pragma once

#include <msrpd/route.h>

extern const struct route_variable sip_variables[];

/** send_reply, send_message; their state is the struct page (NULL without SIP). */
extern const struct action sip_actions[];
