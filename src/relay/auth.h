/* AUTH for this relay: RFC 4976 sections 6.3 and 9.1. */
#pragma once

#include "relay/arrival.h"

/** Challenge, check, and grant, refresh or refuse.  Answers a. */
void auth_request(struct arrival *a);
