/* Where a frame goes next, and whether it may: RFC 4976 section 6.4. */
#pragma once

#include "forward/hop.h"
#include "relay/arrival.h"
#include "relay/grant.h"

/**
 * The way is that of the grant which the frame passes by last, and the traffic its direction.
 *
 * @param hop  its conn is borrowed for the turn
 * @return 0, or a status with a phrase that the frame is to be refused with
 */
int hop_find(struct arrival *a, struct hop *hop, const char **phrase);
