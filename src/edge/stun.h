/* STUN on SIP's own ports: a client keeps its way through a NAT open by it (RFC 5626 8, RFC 5389). */
#pragma once

#include <stddef.h>

#include <msrpd/slice.h>

#include "base/addr.h"

enum { STUN_ANSWER_SIZE = 20 + 24 };

/**
 * Answer a Binding Request with the address that it came from.
 *
 * @return bytes of the answer; 0: it is none, or wants what we do not know
 */
size_t stun_answer(unsigned char answer[STUN_ANSWER_SIZE], const union addr *from,
    struct slice request);
