/* The page-mode gateway: SIP MESSAGE (RFC 3428) to MSRP and back, as a service. */
#pragma once

#include <msrpd/service.h>

/** msrp_gw_answer, msg_to_msrp, msrp_gw_* and the E_MSRP_GW_* events. */
extern const struct service gw_service;
