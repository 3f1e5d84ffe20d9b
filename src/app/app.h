/*
 * Applications at the control socket as a service: sessions by rule or by
 * method, messages and what becomes of them as events.  The smallest service
 * there is, so the one to begin a new one from.
 */
#pragma once

#include <msrpd/service.h>

/** msrp_ua_answer, msrp_ua_* and the E_MSRP_* events of sessions. */
extern const struct service app_service;
