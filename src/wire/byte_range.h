/* Byte-Range: RFC 4975 sections 7.3.1, 9. */
#pragma once

#include <msrpd/message.h>
#include <msrpd/slice.h>

#include "base/buffer.h"

/**
 * Numbers are below 2^63, so sums of two do not overflow.  An end beyond the total is let
 * through: the payload says what a chunk holds, not this header (RFC 4975 7.3.1).
 *
 * @return 0 or -EBADMSG
 */
int msrp_byte_range_parse(struct byte_range *range, struct slice value);
void msrp_byte_range_write(struct buffer *w, const struct byte_range *range);
