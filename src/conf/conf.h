/* Chat rooms: an MSRP switch with its focus (RFC 7701, RFC 4579). */
#pragma once

#include <msrpd/service.h>

/** msrp_conf_join, msrp_conf_… at the control socket, and the section conference. */
extern const struct service conf_service;
